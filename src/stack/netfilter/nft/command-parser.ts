// Commands of nft: `add table inet t { … }`, `list ruleset`, `delete rule inet t c handle 4`, and blocks of a rule-set file.
// The parser knows the grammar only; whether names exist is the transaction's business (transaction.ts).

import type { Family, Place, Statement } from './ast.ts';
import { Cursor } from './cursor.ts';
import { NftError, lex } from './lexer.ts';
import { parseStatements } from './rule-parser.ts';
import { priorityValue } from './ruleset.ts';
import type { BaseHook } from './ruleset.ts';

export type Verb = 'add' | 'create' | 'insert' | 'replace' | 'delete' | 'list' | 'flush' | 'reset';

export interface ChainSpec {
  name: string;
  place: Place;
  base: BaseHook | null;
  /** A policy given without a hook changes an existing chain. */
  policy: 'accept' | 'drop' | null;
  rules: { statements: Statement[]; place: Place }[];
}

export interface FlowTableSpec {
  name: string;
  place: Place;
  hook: string | null;
  priority: number | null;
  devices: string[];
  offload: boolean;
  counter: boolean;
}

export interface CounterSpec {
  name: string;
  place: Place;
  packets: number;
  bytes: number;
}

export interface Command {
  verb: Verb;
  object: string;
  family: Family;
  /** Whether the family was written. */
  familyGiven: boolean;
  table: string;
  tablePlace: Place;
  name: string;
  namePlace: Place;
  /** The whole command. */
  place: Place;
  /** Rule handle, index or position; −1 for none. */
  handle: number;
  position: number;
  index: number;
  statements: Statement[];
  chains: ChainSpec[];
  counters: CounterSpec[];
  flowtables: FlowTableSpec[];
}

const FAMILIES = new Set(['ip', 'ip6', 'inet']);
const OTHER_FAMILIES = new Set(['arp', 'bridge', 'netdev']);
const VERBS = new Set('add create insert replace delete list flush reset'.split(' '));
const HOOKS = new Set('prerouting input forward output postrouting ingress egress'.split(' '));
const UNSUPPORTED_OBJECTS = new Set(
  'set map element quota limit secmark synproxy meter ct sets maps meters quotas limits hooks'.split(
    ' ',
  ),
);

/** All commands of a source. Throws NftError. */
export function parseCommands(source: string): Command[] {
  const cursor = new Cursor(lex(source));
  const commands: Command[] = [];
  cursor.skipSeparators();
  while (cursor.token.kind !== 'end') {
    commands.push(parseCommand(cursor));
    if (!cursor.atEnd || cursor.is('}')) cursor.fail();
    cursor.skipSeparators();
  }
  return commands;
}

function blank(verb: Verb, object: string, start: number): Command {
  const place = { start, end: start };
  return {
    verb,
    object,
    family: 'ip',
    familyGiven: false,
    table: '',
    tablePlace: place,
    name: '',
    namePlace: place,
    place,
    handle: -1,
    position: -1,
    index: -1,
    statements: [],
    chains: [],
    counters: [],
    flowtables: [],
  };
}

function parseCommand(cursor: Cursor): Command {
  const start = cursor.token.start;
  let verb: Verb = 'add';
  if (cursor.token.kind !== 'word') cursor.fail();
  if (VERBS.has(cursor.token.text)) verb = cursor.next().text as Verb;
  const object = cursor.token;
  if (object.kind !== 'word') cursor.fail();
  if (UNSUPPORTED_OBJECTS.has(object.text)) unsupported(object);
  if (!OBJECTS.has(object.text)) cursor.fail();
  cursor.next();
  const command = blank(verb, object.text, start);
  parseFamily(cursor, command);
  parseArguments(cursor, command);
  command.place = { start, end: cursor.tokens[cursor.at - 1].end };
  return command;
}

const OBJECTS = new Set(
  'table chain rule counter flowtable ruleset tables chains counters flowtables'.split(' '),
);

function unsupported(place: Place): never {
  throw new NftError('Could not process rule: Operation not supported', place.start, place.end);
}

function parseFamily(cursor: Cursor, command: Command): void {
  const { token } = cursor;
  if (token.kind !== 'word') return;
  if (OTHER_FAMILIES.has(token.text)) unsupported(token);
  if (!FAMILIES.has(token.text)) return;
  command.family = token.text as Family;
  command.familyGiven = true;
  cursor.next();
}

function parseArguments(cursor: Cursor, command: Command): void {
  const { object, verb } = command;
  if (object === 'ruleset' || object === 'tables' || object === 'chains') return;
  if (object === 'counters' || object === 'flowtables') {
    if (cursor.take('table')) {
      parseFamily(cursor, command);
      takeTable(cursor, command);
    } else if (!cursor.atEnd) takeTable(cursor, command);
    return;
  }
  takeTable(cursor, command);
  if (object === 'table') {
    if (cursor.is('{') && (verb === 'add' || verb === 'create')) parseTableBlock(cursor, command);
    return;
  }
  const name = cursor.word();
  command.name = name.text;
  command.namePlace = { start: name.start, end: name.end };
  if (object === 'rule') {
    parseRuleArguments(cursor, command);
    return;
  }
  if (verb === 'delete' || verb === 'list' || verb === 'flush' || verb === 'reset') {
    if (object === 'flowtable' && cursor.is('{')) unsupported(cursor.token);
    return;
  }
  if (object === 'chain') command.chains.push(parseChainBody(cursor, command));
  else if (object === 'counter') command.counters.push(parseCounterBody(cursor, command));
  else command.flowtables.push(parseFlowTableBody(cursor, command));
}

function takeTable(cursor: Cursor, command: Command): void {
  const table = cursor.word();
  command.table = table.text;
  command.tablePlace = { start: table.start, end: table.end };
}

function parseRuleArguments(cursor: Cursor, command: Command): void {
  for (;;) {
    if (cursor.take('handle')) command.handle = cursor.number();
    else if (cursor.take('position')) command.position = cursor.number();
    else if (cursor.take('index')) command.index = cursor.number();
    else break;
  }
  if (command.verb !== 'delete') command.statements = parseStatements(cursor);
}

/** `{ chain … counter … flowtable … }`. */
function parseTableBlock(cursor: Cursor, command: Command): void {
  cursor.expect('{');
  cursor.skipSeparators();
  while (!cursor.is('}')) {
    const object = cursor.token;
    if (object.kind !== 'word') cursor.fail();
    if (UNSUPPORTED_OBJECTS.has(object.text)) unsupported(object);
    if (object.text !== 'chain' && object.text !== 'counter' && object.text !== 'flowtable')
      cursor.fail();
    cursor.next();
    const name = cursor.word();
    const inner = { ...command, name: name.text, namePlace: { start: name.start, end: name.end } };
    if (object.text === 'chain') command.chains.push(parseChainBody(cursor, inner));
    else if (object.text === 'counter') command.counters.push(parseCounterBody(cursor, inner));
    else command.flowtables.push(parseFlowTableBody(cursor, inner));
    if (cursor.token.kind !== 'newline' && !cursor.is(';') && !cursor.is('}')) cursor.fail();
    cursor.skipSeparators();
  }
  cursor.expect('}');
}

/** Ends an item of a block: a newline or semicolon must stand before the brace (nft 1.0.6). */
function endItem(cursor: Cursor): void {
  if (cursor.token.kind !== 'newline' && !cursor.is(';')) cursor.fail();
  cursor.skipSeparators();
}

function parseChainBody(cursor: Cursor, command: Command): ChainSpec {
  const chain: ChainSpec = {
    name: command.name,
    place: command.namePlace,
    base: null,
    policy: null,
    rules: [],
  };
  if (!cursor.take('{')) return chain;
  cursor.skipSeparators();
  while (!cursor.is('}')) {
    if (cursor.take('type')) chain.base = parseBaseHook(cursor);
    else if (cursor.take('policy')) {
      chain.policy = parsePolicy(cursor);
      if (chain.base !== null) chain.base.policy = chain.policy;
    } else {
      const start = cursor.token.start;
      const statements = parseStatements(cursor);
      const end = cursor.tokens[cursor.at - 1].end;
      chain.rules.push({ statements, place: { start, end } });
    }
    endItem(cursor);
  }
  cursor.expect('}');
  return chain;
}

function parsePolicy(cursor: Cursor): 'accept' | 'drop' {
  if (!cursor.is('accept') && !cursor.is('drop')) cursor.fail();
  return cursor.next().text as 'accept' | 'drop';
}

function parseBaseHook(cursor: Cursor): BaseHook {
  const type = cursor.word();
  if (type.text !== 'filter' && type.text !== 'nat' && type.text !== 'route')
    throw new NftError('unknown chain type', type.start, type.end);
  cursor.expect('hook');
  const hook = cursor.word();
  if (!HOOKS.has(hook.text)) throw new NftError('unknown chain hook', hook.start, hook.end);
  if (hook.text === 'ingress' || hook.text === 'egress') unsupported(hook);
  const priority = parsePriority(cursor, hook.text);
  return { type: type.text, hook: hook.text, priority, policy: 'accept' };
}

function parsePriority(cursor: Cursor, hook: string): number {
  cursor.expect('priority');
  const { token } = cursor;
  if (token.kind === 'word') {
    cursor.next();
    const dashed = /^(\w+)-(\d+)$/.exec(token.text);
    const base = priorityValue(dashed === null ? token.text : dashed[1], hook);
    if (base === null) {
      const message = `'${token.text}' is invalid priority in this context.`;
      throw new NftError(message, token.start, token.end);
    }
    if (dashed !== null) return base - Number(dashed[2]);
    if (cursor.take('+')) return base + cursor.number();
    return cursor.take('-') ? base - cursor.number() : base;
  }
  return cursor.take('-') ? -cursor.number() : cursor.number();
}

function parseCounterBody(cursor: Cursor, command: Command): CounterSpec {
  const counter = { name: command.name, place: command.namePlace, packets: 0, bytes: 0 };
  if (cursor.take('{')) {
    cursor.skipSeparators();
    readCounterValues(cursor, counter);
    cursor.skipSeparators();
    cursor.expect('}');
  } else readCounterValues(cursor, counter);
  return counter;
}

function readCounterValues(cursor: Cursor, counter: CounterSpec): void {
  if (!cursor.take('packets')) return;
  counter.packets = cursor.number();
  cursor.expect('bytes');
  counter.bytes = cursor.number();
}

function parseFlowTableBody(cursor: Cursor, command: Command): FlowTableSpec {
  const table: FlowTableSpec = {
    name: command.name,
    place: command.namePlace,
    hook: null,
    priority: null,
    devices: [],
    offload: false,
    counter: false,
  };
  if (!cursor.take('{')) return table;
  cursor.skipSeparators();
  while (!cursor.is('}')) {
    if (cursor.take('hook')) {
      const hook = cursor.word();
      if (!HOOKS.has(hook.text)) throw new NftError('unknown chain hook', hook.start, hook.end);
      table.hook = hook.text;
      table.priority = parsePriority(cursor, 'ingress');
    } else if (cursor.take('devices')) {
      cursor.expect('=');
      parseDevices(cursor, table);
    } else if (cursor.take('flags')) {
      cursor.expect('offload');
      table.offload = true;
    } else if (cursor.take('counter')) table.counter = true;
    else cursor.fail();
    endItem(cursor);
  }
  cursor.expect('}');
  return table;
}

function parseDevices(cursor: Cursor, table: FlowTableSpec): void {
  cursor.expect('{');
  cursor.skipNewlines();
  while (!cursor.is('}')) {
    table.devices.push(cursor.word().text);
    cursor.skipNewlines();
    if (!cursor.take(',')) break;
    cursor.skipNewlines();
  }
  cursor.expect('}');
}
