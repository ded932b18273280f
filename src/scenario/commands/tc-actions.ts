// `tc actions`: add, change, replace, get, del, flush, list. Texts and exit statuses as recorded from iproute2 6.1.0
// (fixtures/recordings/tc): 255 for what is refused, 1 for a flush.

import { strerror } from '../../../driver/errno.ts';
import { RuleSyntaxError, Words } from '../../rules/scan.ts';
import { parseTcActionList } from '../../rules/tc-actions.ts';
import type { TcAction } from '../../rules/tc-actions.ts';
import type { Answer } from '../../stack/answer.ts';
import type { TcActionInstance } from '../../stack/tc/action.ts';
import { peditKeys } from '../../stack/tc/pedit.ts';
import { failed, ok } from './command.ts';
import type { CommandContext, CommandResult } from './command.ts';
import { actionsText, listActions } from './tc-list.ts';
import type { ListOptions } from './tc-list.ts';
import { lineOf } from './tc-selector.ts';

const REFUSED_STATUS = 255;
const TALKING = 'We have an error talking to the kernel\n';
const KINDS = [
  ...['gact', 'mirred', 'pedit', 'csum', 'vlan', 'tunnel_key', 'mpls', 'ct', 'police'],
  ...['sample', 'skbedit'],
];

export function runActions(
  words: string[],
  options: ListOptions,
  ctx: CommandContext,
): CommandResult {
  const verb = words.shift() ?? '';
  if (['add', 'change', 'replace'].includes(verb)) return put(words, verb !== 'add', ctx);
  if (verb === 'flush') return flush(words, ctx);
  if (['get', 'del', 'delete'].includes(verb)) {
    const found = named(words, ctx);
    if ('status' in found) return found;
    return verb === 'get' ? ok(actionsText(found, 1, options, ctx)) : remove(found, ctx);
  }
  if (!['', 'show', 'list', 'ls', 'lst'].includes(verb))
    return failed(REFUSED_STATUS, unknown(verb));
  const kind = kindOf(words);
  if (kind === '') return failed(REFUSED_STATUS, 'Error: action kind is missing\n');
  return ok(listActions(kind, options, ctx));
}

function unknown(verb: string): string {
  return `Command "${verb}" is unknown, try "tc actions help".\n`;
}

function kindOf(words: readonly string[]): string {
  return (words[0] === 'action' ? words[1] : words[0]) ?? '';
}

function put(words: string[], isReplace: boolean, ctx: CommandContext): CommandResult {
  const first = words.shift();
  if (first !== 'action' || words.length === 0)
    return failed(REFUSED_STATUS, `Illegal "${first === undefined ? 'action' : first}"\n`);
  let specs: TcAction[];
  try {
    specs = parseTcActionList(new Words('tc', lineOf(words)), true);
  } catch (error) {
    if (!(error instanceof RuleSyntaxError)) throw error;
    return failed(REFUSED_STATUS, 'bad action parsing\nIllegal "action"\n');
  }
  const lost = missingDevice(specs, ctx);
  if (lost !== '')
    return failed(
      REFUSED_STATUS,
      `Cannot find device "${lost}"\nbad action parsing\n` +
        `parse_action: bad value (${words.length}:${words[0]})!\nIllegal "action"\n`,
    );
  const { actions } = ctx.stack.tc;
  const made: TcActionInstance[] = [];
  for (const spec of specs) {
    const result = actions.put(spec, peditKeys(spec), ctx.stack.scheduler.nowPs, isReplace);
    if ('error' in result) {
      // All or nothing: those that this command made go again.
      for (const action of made) actions.drop(action);
      return failed(REFUSED_STATUS, refusal(result) + TALKING);
    }
    if (result.isNew) made.push(result.action);
  }
  return ok();
}

function refusal({ error, message }: Answer): string {
  return message === '' ? `RTNETLINK answers: ${strerror(error)}\n` : `Error: ${message}.\n`;
}

/** The device of a mirred action that is not there, '' for none. */
function missingDevice(specs: readonly TcAction[], ctx: CommandContext): string {
  for (const step of specs.flatMap(({ steps }) => steps))
    if ((step.kind === 'output' || step.kind === 'mirror') && !isDevice(step.port, ctx))
      return step.port;
  return '';
}

function isDevice(name: string, ctx: CommandContext): boolean {
  return ctx.stack.links.byName(name) !== null;
}

/** The actions of `action KIND index N ...`, or the refusal. */
function named(words: readonly string[], ctx: CommandContext): TcActionInstance[] | CommandResult {
  const found: TcActionInstance[] = [];
  for (let i = 0; i < words.length; i += 4) {
    const [, kind = '', word, text = ''] = words.slice(i, i + 4);
    if (word !== 'index' || !/^[0-9]+$/.test(text))
      return failed(REFUSED_STATUS, `Error: no index specified action: ${kind}\n`);
    const action = ctx.stack.tc.actions.find(kind, Number(text));
    if (action === null) {
      const what = KINDS.includes(kind)
        ? 'TC action with specified index not found'
        : 'Specified TC action kind not found';
      return failed(REFUSED_STATUS, `Error: ${what}.\n${TALKING}${unknown('action')}`);
    }
    found.push(action);
  }
  if (found.length === 0) return failed(REFUSED_STATUS, 'Illegal "action"\n');
  return found;
}

function remove(found: readonly TcActionInstance[], ctx: CommandContext): CommandResult {
  for (const action of found) {
    const answer = ctx.stack.tc.actions.remove(action);
    if (answer.error !== 0)
      return failed(REFUSED_STATUS, refusal(answer) + TALKING + unknown('action'));
  }
  return ok();
}

function flush(words: readonly string[], ctx: CommandContext): CommandResult {
  const kind = kindOf(words);
  if (!KINDS.includes(kind))
    return failed(1, 'Error: Cannot flush unknown TC action.\nWe have an error flushing\n');
  const answer = ctx.stack.tc.actions.flush(kind);
  if (answer.error !== 0) return failed(1, `${refusal(answer)}We have an error flushing\n`);
  const stderr = answer.message === '' ? '' : `Warning: ${answer.message}.\n`;
  return { status: 0, stdout: '', stderr };
}
