// devlink health: show, diagnose, recover, set. Output as recorded from iproute2 6.1.0, with what that version does wrong: it ends a
// message at its first array and says "kernel answers: Success".
//
// Left out: dumps, test; reporters of ports.

import type { Devlink, DevlinkFmsg, DevlinkReporter } from '../../../../driver/devlink.ts';
import { recoverHealth } from '../../../../driver/devlink-core.ts';
import { EINVAL, EOPNOTSUPP } from '../../../../driver/errno.ts';
import { ok } from '../command.ts';
import type { CommandResult } from '../command.ts';
import { jsonText } from '../json-text.ts';
import type { JsonNode } from '../json-text.ts';
import { DevlinkUsageError, booleanOf, hasHandle, listing, noDevice, numberOf } from './args.ts';
import { pick, refused, takeDevlink, takeOptions } from './args.ts';
import type { DevlinkCall, DevlinkRunner, Entry, ScalarField } from './args.ts';

const COMMANDS: readonly (readonly [name: string, run: DevlinkRunner])[] = [
  ['show', show],
  ['list', show],
  ['recover', (call) => withReporter(call, (reporter) => done(recoverHealth(reporter)))],
  ['diagnose', (call) => withReporter(call, (reporter) => diagnose(call, reporter))],
  ['set', set],
];
const REPORTER = { name: 'reporter', missing: "Reporter's name is expected." };
const BYTES_PER_LINE = 16;

export function runHealth(call: DevlinkCall): CommandResult {
  const word = call.words.shift() ?? 'show';
  const run = pick(COMMANDS, word);
  if (run === undefined) throw new DevlinkUsageError(`Command "${word}" not found\n`);
  return run(call);
}

function show(call: DevlinkCall): CommandResult {
  if (!hasHandle(call.words)) {
    const devices = call.devlinks.all().filter(({ reporters }) => reporters.length > 0);
    const entries = devices.map((devlink) => entryOf(devlink, devlink.reporters));
    return listing(call.flags, 'health', entries);
  }
  return withReporter(call, (reporter, devlink) =>
    listing(call.flags, 'health', [entryOf(devlink, [reporter])]),
  );
}

/** Runs a command for the reporter that the words name. */
function withReporter(
  call: DevlinkCall,
  run: (reporter: DevlinkReporter, devlink: Devlink) => CommandResult,
): CommandResult {
  const devlink = takeDevlink(call);
  const name = takeOptions(call.words, [REPORTER]).get('reporter');
  if (devlink === null) return noDevice();
  const reporter = devlink.reporters.find((one) => one.name === name);
  return reporter === undefined ? refused(EINVAL) : run(reporter, devlink);
}

function done(error: number): CommandResult {
  return error === 0 ? ok() : refused(error);
}

function entryOf({ handle }: Devlink, reporters: readonly DevlinkReporter[]): Entry {
  const items = reporters.map((reporter) => {
    const fields: ScalarField[] = [
      ['state', reporter.isHealthy ? 'healthy' : 'error'],
      ['error', reporter.errorCount],
      ['recover', reporter.recoverCount],
    ];
    if (reporter.recovery !== null)
      fields.push(
        ['grace_period', reporter.recovery.gracePeriodMs],
        ['auto_recover', reporter.recovery.isAutomatic],
      );
    fields.push(['auto_dump', reporter.autoDump]);
    return { name: reporter.name, fields };
  });
  const text = items.map(
    ({ name, fields }) =>
      `  reporter ${name}\n    ${fields.map(([key, value]) => `${key} ${String(value)}`).join(' ')}\n`,
  );
  return {
    handle,
    text: `${handle}:\n${text.join('')}`,
    node: {
      items: items.map(({ name, fields }) => ({ fields: [['reporter', name], ...fields] })),
    },
  };
}

function set(call: DevlinkCall): CommandResult {
  const devlink = takeDevlink(call);
  const values = takeOptions(call.words, [
    REPORTER,
    { name: 'grace_period' },
    { name: 'auto_recover' },
    { name: 'auto_dump' },
  ]);
  const [grace, recover, dump] = ['grace_period', 'auto_recover', 'auto_dump'].map((name) => {
    return values.get(name);
  });
  const gracePeriodMs = grace === undefined ? undefined : numberOf(grace);
  const isAutomatic = recover === undefined ? undefined : booleanOf(recover);
  const autoDump = dump === undefined ? undefined : booleanOf(dump);
  if (devlink === null) return noDevice();
  const reporter = devlink.reporters.find((one) => one.name === values.get('reporter'));
  if (reporter === undefined) return refused(EINVAL);
  const { recovery } = reporter;
  if (recovery === null && (gracePeriodMs ?? isAutomatic) !== undefined) return refused(EOPNOTSUPP);
  if (recovery !== null)
    reporter.recovery = {
      gracePeriodMs: gracePeriodMs ?? recovery.gracePeriodMs,
      isAutomatic: isAutomatic ?? recovery.isAutomatic,
    };
  reporter.autoDump = autoDump ?? reporter.autoDump;
  return ok();
}

function diagnose({ flags }: DevlinkCall, reporter: DevlinkReporter): CommandResult {
  const message = reporter.diagnose();
  const end = message.findIndex(({ kind }) => kind === 'array');
  const shown = end < 0 ? message : message.slice(0, end);
  const stdout = flags.json
    ? `${jsonText({ fields: shown.map(fieldOf) }, flags.pretty)}\n`
    : textOf(shown);
  return { status: 0, stdout, stderr: end < 0 ? '' : 'kernel answers: Success\n' };
}

function fieldOf(item: DevlinkFmsg): [string, JsonNode] {
  if (item.kind === 'value') return [item.name, item.value];
  if (item.kind === 'binary') return [item.name, { items: [...item.bytes] }];
  return [item.name, { fields: item.kind === 'nest' ? item.members.map(fieldOf) : [] }];
}

/** Values follow each other on a line, bytes and nests have lines of their own. */
function textOf(message: readonly DevlinkFmsg[]): string {
  let text = '';
  for (const item of message) {
    if (item.kind === 'value') text += ` ${item.name}: ${String(item.value)}`;
    else if (item.kind === 'binary') text += `\n  ${item.name}:\n${bytesText(item.bytes)}`;
    else if (item.kind === 'nest')
      text += `\n  ${item.name}:\n   ${textOf(item.members).trimEnd()}\n`;
  }
  return `${text.replace(/\n\n/g, '\n').replace(/\n$/, '')}\n`;
}

function bytesText(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += BYTES_PER_LINE) {
    const line = [...bytes.subarray(at, at + BYTES_PER_LINE)];
    text += `    ${line.map((byte) => `${byte.toString(16).padStart(2, '0')} `).join('')}\n`;
  }
  return text;
}
