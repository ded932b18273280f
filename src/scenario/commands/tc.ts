// tc(8), iproute2 6.1.0: ingress and clsact qdiscs with flower and matchall filters, chains, action listings, `monitor`. Output,
// errors and exit statuses as recorded (reference/offload): 1 for what the tool finds itself, 2 for what the kernel refuses.
//
// Not here: other qdiscs, classes, classifiers; `-b` files; `-d`, `-r`, `-n`.

import { strerror } from '../../../driver/errno.ts';
import type { NetDevice } from '../../../driver/netdev.ts';
import { RuleSyntaxError, Words } from '../../rules/scan.ts';
import { parseTcFilter } from '../../rules/tc-parse.ts';
import type { Answer } from '../../stack/answer.ts';
import type { TcBlock } from '../../stack/tc/block.ts';
import type { QdiscBlocks } from '../../stack/tc/control.ts';
import { failed, ok } from './command.ts';
import type { CommandContext, CommandResult, ShellCommand } from './command.ts';
import { runActions } from './tc-actions.ts';
import { watchTc } from './tc-monitor.ts';
import { TcUsageError, lineOf, readSelector } from './tc-selector.ts';
import type { Selector } from './tc-selector.ts';
import { getFilter, listChains, listFilters, listQdiscs } from './tc-list.ts';
import type { ListOptions } from './tc-list.ts';

const QUOTE = "'";
const SYNTAX_STATUS = 1;
const REFUSED_STATUS = 2;
/** invarg(): exit(-1). */
const ARGUMENT_STATUS = 255;

export const tc: ShellCommand = {
  name: 'tc',
  summary: 'clsact qdiscs, flower and matchall filters (qdisc, filter, chain, actions, monitor)',
  run: runTc,
};

function runTc(args: string[], ctx: CommandContext): CommandResult {
  const options: ListOptions = { stats: false, json: false, pretty: false };
  const words = [...args];
  while (words[0]?.startsWith('-') === true) {
    const flag = words.shift() ?? '';
    if (!readFlag(flag, options))
      return failed(SYNTAX_STATUS, `Option "${flag}" is unknown, try "tc -help".\n`);
  }
  const object = words.shift() ?? '';
  const run = OBJECTS.find(([name]) => object !== '' && name.startsWith(object))?.[1];
  if (run === undefined)
    return failed(SYNTAX_STATUS, `Object "${object}" is unknown, try "tc help".\n`);
  try {
    return run(words, options, ctx);
  } catch (error) {
    if (error instanceof TcUsageError) return failed(error.status, error.message);
    if (error instanceof RuleSyntaxError) return failed(SYNTAX_STATUS, syntaxText(error));
    throw error;
  }
}

function readFlag(flag: string, options: ListOptions): boolean {
  if (['-s', '-stats', '-statistics'].includes(flag)) options.stats = true;
  else if (['-j', '-json', '--json'].includes(flag)) options.json = true;
  else if (['-p', '-pretty'].includes(flag)) options.pretty = true;
  else return ['-d', '-details'].includes(flag);
  return true;
}

/** flower's own words for a bad key or value, and then what was expected. */
function syntaxText(error: RuleSyntaxError): string {
  const { found: quoted } = error;
  const found = quoted.startsWith(QUOTE) ? quoted.slice(1, -1) : quoted;
  if (error.expected.startsWith('a key of flower')) return `What is "${found}"?\n`;
  return `Illegal "${found}": expected ${error.expected}\n`;
}

type ObjectRunner = (words: string[], options: ListOptions, ctx: CommandContext) => CommandResult;

const OBJECTS: readonly (readonly [name: string, run: ObjectRunner])[] = [
  ['qdisc', runQdisc],
  ['filter', runFilter],
  ['chain', runChain],
  ['actions', runActions],
  ['monitor', runMonitor],
];

/** The result of a change: an answer of the kernel. */
function answerText(answer: Answer, isFilter: boolean): CommandResult {
  if (answer.error === 0) return ok();
  const head =
    answer.message === ''
      ? `RTNETLINK answers: ${strerror(-answer.error)}\n`
      : `Error: ${answer.message}.\n`;
  return failed(
    REFUSED_STATUS,
    head + (isFilter ? 'We have an error talking to the kernel\n' : ''),
  );
}

function unknownVerb(verb: string, object: string): CommandResult {
  return failed(SYNTAX_STATUS, `Command "${verb}" is unknown, try "tc ${object} help".\n`);
}

const SHOW = ['', 'show', 'list', 'ls', 'lst'];

function runQdisc(words: string[], options: ListOptions, ctx: CommandContext): CommandResult {
  const verb = words.shift() ?? '';
  if (SHOW.includes(verb)) return ok(listQdiscs(words, options, ctx));
  if (!['add', 'del', 'delete', 'replace'].includes(verb)) return unknownVerb(verb, 'qdisc');
  let dev: NetDevice | null = null;
  const blocks: QdiscBlocks = { ingress: 0, egress: 0 };
  let kind = '';
  while (words.length > 0) {
    const word = words.shift() ?? '';
    if (word === 'dev') dev = deviceOf(words.shift() ?? '', ctx);
    else if (word === 'ingress_block') blocks.ingress = blockNumber('ingress', words);
    else if (word === 'egress_block') blocks.egress = blockNumber('egress', words);
    else if (word === 'parent' || word === 'handle') words.shift();
    else kind = word;
  }
  if (dev === null) return failed(SYNTAX_STATUS, 'Cannot find device ""\n');
  if (kind !== 'clsact' && kind !== 'ingress')
    return failed(REFUSED_STATUS, 'Error: Specified qdisc kind is unknown.\n');
  const { tc: control } = ctx.stack;
  if (verb === 'del' || verb === 'delete') return answerText(control.deleteQdisc(dev, kind), false);
  if (verb === 'replace' && control.qdiscs.has(dev)) return ok();
  return answerText(control.addQdisc(dev, kind, blocks), false);
}

function blockNumber(direction: string, words: string[]): number {
  const text = words.shift() ?? '';
  const value = /^[0-9]+$/.test(text) ? Number(text) : 0;
  if (value > 0 && value <= 0xffffffff) return value;
  throw new TcUsageError(
    ARGUMENT_STATUS,
    `Error: argument "${text}" is wrong: invalid ${direction} block index value\n`,
  );
}

function deviceOf(name: string, ctx: CommandContext): NetDevice {
  const dev = ctx.stack.links.byName(name);
  if (dev === null) throw new TcUsageError(SYNTAX_STATUS, `Cannot find device "${name}"\n`);
  return dev;
}

/** The block that a filter command is about. */
function blockOf(selector: Selector, ctx: CommandContext): TcBlock {
  const { tc: control } = ctx.stack;
  const tail = 'We have an error talking to the kernel\n';
  if (selector.block > 0) {
    const block = control.sharedBlock(selector.block);
    if (block === null)
      throw new TcUsageError(REFUSED_STATUS, `Error: Block of given index was not found.\n${tail}`);
    return block;
  }
  const block = control.blockOf(deviceOf(selector.dev, ctx), selector.direction ?? 'ingress');
  if (block === null)
    throw new TcUsageError(REFUSED_STATUS, `Error: Parent Qdisc doesn't exists.\n${tail}`);
  if (block.index > 0) {
    const said =
      'This filter block is shared. Please use the block index to manipulate the filters';
    throw new TcUsageError(REFUSED_STATUS, `Error: ${said}.\n${tail}`);
  }
  return block;
}

function runFilter(words: string[], options: ListOptions, ctx: CommandContext): CommandResult {
  const verb = words.shift() ?? '';
  const { tc: control } = ctx.stack;
  if (SHOW.includes(verb)) return ok(listFilters(readSelector(words), options, ctx));
  if (verb === 'get') {
    const selector = readSelector(words);
    return getFilter(selector, blockOf(selector, ctx), options, ctx);
  }
  if (verb === 'del' || verb === 'delete') {
    const selector = readSelector(words);
    const { chain, pref, handle, protocol } = selector;
    const block = blockOf(selector, ctx);
    return answerText(control.filters.delete(block, { chain, pref, handle, protocol }), true);
  }
  if (verb !== 'add' && verb !== 'replace' && verb !== 'change') return unknownVerb(verb, 'filter');
  const spec = parseTcFilter(new Words('tc', lineOf(words)));
  const { rule } = spec;
  const shared = /^block ([0-9]+)$/.exec(rule.device);
  const selector = readSelector([]);
  if (shared === null) selector.dev = rule.device;
  else selector.block = Number(shared[1]);
  selector.direction = rule.direction;
  return answerText(control.filters.set(blockOf(selector, ctx), spec, verb), true);
}

function runChain(words: string[], options: ListOptions, ctx: CommandContext): CommandResult {
  const verb = words.shift() ?? '';
  const selector = readSelector(words);
  if (SHOW.includes(verb)) return ok(listChains(selector, options, ctx));
  const block = blockOf(selector, ctx);
  const { tc: control } = ctx.stack;
  if (verb === 'add') return answerText(control.filters.addChain(block, selector.chain), true);
  if (verb === 'del' || verb === 'delete')
    return answerText(control.filters.deleteChain(block, selector.chain), true);
  return unknownVerb(verb, 'chain');
}

function runMonitor(_words: string[], _options: ListOptions, ctx: CommandContext): CommandResult {
  watchTc(ctx.stack);
  return ok();
}
