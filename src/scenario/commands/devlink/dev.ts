// devlink dev: show, info, param, eswitch, reload. Output as recorded from iproute2 6.1.0 (fixtures/recordings/offload/devlink).
//
// Left out: flash, selftests, inline and encapsulation modes, reload into another namespace.

import type { Devlink, DevlinkCmode, DevlinkParam } from '../../../../driver/devlink.ts';
import { reload } from '../../../../driver/devlink-core.ts';
import { EINVAL, EOPNOTSUPP } from '../../../../driver/errno.ts';
import { ok } from '../command.ts';
import type { CommandResult } from '../command.ts';
import type { JsonNode } from '../json-text.ts';
import {
  DevlinkUsageError,
  answered,
  hasHandle,
  listing,
  noDevice,
  object,
  pick,
  refused,
  takeDevlink,
  takeOptions,
} from './args.ts';
import type { DevlinkCall, DevlinkRunner, Entry } from './args.ts';

const COMMANDS: readonly (readonly [name: string, run: DevlinkRunner])[] = [
  ['show', show],
  ['list', show],
  ['eswitch', runEswitch],
  ['reload', runReload],
  ['param', runParam],
  ['info', info],
];

export function runDev(call: DevlinkCall): CommandResult {
  const word = call.words.shift() ?? 'show';
  const run = pick(COMMANDS, word);
  if (run === undefined) throw new DevlinkUsageError(`Command "${word}" not found\n`);
  return run(call);
}

/** One instance by its handle, or all; null when the handle names none. */
function chosen(call: DevlinkCall): readonly Devlink[] | null {
  if (!hasHandle(call.words)) return call.devlinks.all();
  const devlink = takeDevlink(call);
  return devlink === null ? null : [devlink];
}

function show(call: DevlinkCall): CommandResult {
  const devices = chosen(call);
  takeOptions(call.words, []);
  if (devices === null) return noDevice();
  return listing(
    call.flags,
    'dev',
    devices.map(({ handle }) => ({ handle, text: `${handle}\n`, node: object() })),
  );
}

function info(call: DevlinkCall): CommandResult {
  const isOne = hasHandle(call.words);
  const devices = chosen(call);
  takeOptions(call.words, []);
  if (devices === null) return noDevice();
  if (isOne && devices[0].ops.info === undefined) return refused(EOPNOTSUPP);
  return listing(call.flags, 'info', devices.flatMap(infoEntry));
}

function infoEntry(devlink: Devlink): Entry[] {
  const said = devlink.ops.info?.();
  if (said === undefined) return [];
  let text = `${devlink.handle}:\n  driver ${said.driver}\n`;
  const kinds: [string, JsonNode][] = [];
  for (const kind of ['fixed', 'running', 'stored'] as const) {
    if (said[kind].length === 0) continue;
    if (kinds.length === 0) text += '  versions:\n';
    text += `      ${kind}:\n`;
    for (const [name, version] of said[kind]) text += `        ${name} ${version}\n`;
    kinds.push([kind, { fields: said[kind] }]);
  }
  const fields: [string, JsonNode][] = [['driver', said.driver]];
  if (kinds.length > 0) fields.push(['versions', { fields: kinds }]);
  return [{ handle: devlink.handle, text, node: { fields } }];
}

function runEswitch(call: DevlinkCall): CommandResult {
  const word = call.words.shift() ?? '';
  const isSet = 'set'.startsWith(word) && word !== 's';
  if (!isSet && !'show'.startsWith(word))
    throw new DevlinkUsageError(`Command "${word}" not found\n`);
  const devlink = takeDevlink(call);
  const options = [{ name: 'mode', missing: 'E-Switch mode option expected.' }];
  const mode = takeOptions(call.words, isSet ? options : []).get('mode');
  if (mode !== undefined && mode !== 'legacy' && mode !== 'switchdev')
    throw new DevlinkUsageError(`Unknown eswitch mode "${mode}"\n`);
  if (devlink === null) return noDevice();
  const { eswitchMode, setEswitchMode } = devlink.ops;
  if (eswitchMode === undefined || setEswitchMode === undefined) return refused(EOPNOTSUPP);
  if (mode !== undefined) {
    const extack = { message: '', reason: '' };
    return answered(setEswitchMode(mode, extack), extack);
  }
  const { handle } = devlink;
  const now = eswitchMode();
  const entry = { handle, text: `${handle}: mode ${now}\n`, node: object(['mode', now]) };
  return listing(call.flags, 'dev', [entry]);
}

function runReload(call: DevlinkCall): CommandResult {
  const devlink = takeDevlink(call);
  const action = takeOptions(call.words, [{ name: 'action' }]).get('action');
  if (action !== undefined && action !== 'driver_reinit' && action !== 'fw_activate')
    throw new DevlinkUsageError(`Unknown reload action "${action}"\n`);
  if (devlink === null) return noDevice();
  const extack = { message: '', reason: '' };
  // No device here has firmware that could be activated.
  const error = action === 'fw_activate' ? -EOPNOTSUPP : reload(devlink, extack);
  if (error !== 0 || action === undefined) return answered(error, extack);
  return ok(`reload_actions_performed:\n    ${action}\n`);
}

function runParam(call: DevlinkCall): CommandResult {
  const word = call.words.shift() ?? 'show';
  if ('show'.startsWith(word)) return showParam(call);
  if ('set'.startsWith(word)) return setParam(call);
  throw new DevlinkUsageError(`Command "${word}" not found\n`);
}

function showParam(call: DevlinkCall): CommandResult {
  if (!hasHandle(call.words)) {
    const devices = call.devlinks.all().filter(({ params }) => params.length > 0);
    return listing(
      call.flags,
      'param',
      devices.map((devlink) => paramEntry(devlink, devlink.params)),
    );
  }
  const devlink = takeDevlink(call);
  const options = [{ name: 'name', missing: 'Parameter name expected.' }];
  const name = takeOptions(call.words, options).get('name');
  if (devlink === null) return noDevice();
  const param = devlink.params.find((one) => one.name === name);
  if (param === undefined) return refused(EINVAL);
  return listing(call.flags, 'param', [paramEntry(devlink, [param])]);
}

function paramEntry({ handle }: Devlink, params: readonly DevlinkParam[]): Entry {
  const items = params.map((param): { text: string; node: JsonNode } => {
    const type = param.isGeneric ? 'generic' : 'driver-specific';
    const value = param.get();
    return {
      text:
        `  name ${param.name} type ${type}\n` +
        `    values:\n      cmode ${param.cmode} value ${value}\n`,
      node: object(
        ['name', param.name],
        ['type', type],
        ['values', { items: [object(['cmode', param.cmode], ['value', value])] }],
      ),
    };
  });
  return {
    handle,
    text: `${handle}:\n${items.map(({ text }) => text).join('')}`,
    node: { items: items.map(({ node }) => node) },
  };
}

const CMODES: readonly DevlinkCmode[] = ['runtime', 'driverinit', 'permanent'];

function setParam(call: DevlinkCall): CommandResult {
  const devlink = takeDevlink(call);
  const values = takeOptions(call.words, [
    { name: 'name', missing: 'Parameter name expected.' },
    { name: 'value', missing: 'Value to set expected.' },
    { name: 'cmode', missing: 'Configuration mode expected.' },
  ]);
  const cmode = values.get('cmode') ?? '';
  if (!CMODES.some((one) => one === cmode))
    throw new DevlinkUsageError(`Unknown configuration mode "${cmode}"\n`);
  if (devlink === null) return noDevice();
  const param = devlink.params.find(({ name }) => name === values.get('name'));
  if (param === undefined) return refused(EINVAL);
  const text = values.get('value') ?? '';
  const value = readValue(param, text);
  if (value === null)
    throw new DevlinkUsageError(`Value "${text}" is not a number or not within range\n`);
  if (param.cmode !== cmode) return refused(EOPNOTSUPP);
  const extack = { message: '', reason: '' };
  return answered(param.set(value, extack), extack);
}

/** The value of a text, null when it is none of this parameter's kind. */
function readValue(param: DevlinkParam, text: string): number | boolean | null {
  if (param.maximum === null) return text === 'true' ? true : text === 'false' ? false : null;
  const value = /^[0-9]+$/.test(text) ? Number(text) : NaN;
  return value <= param.maximum ? value : null;
}
