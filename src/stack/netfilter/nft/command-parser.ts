// Commands of nft: `add table inet t { … }`, `list ruleset`, `delete rule inet t c handle 4`, and blocks of a rule-set file.
// The parser knows the grammar only; whether names exist is the transaction's business (transaction.ts).

import type { Family, Place, Statement } from './ast.ts';
import { parseCtHelper } from './ct-statements.ts';
import type { HelperSpec } from './ct-statements.ts';
import { Cursor } from './cursor.ts';
import type { DeviceNames } from './cursor.ts';
import { lex } from './lexer.ts';
import type { Token } from './lexer.ts';
import { parseChainBody, parseCounterBody, parseFlowTableBody } from './block-parser.ts';
import type { ChainSpec, CounterSpec, FlowTableSpec } from './block-parser.ts';
import { parseQuotaBody } from './quota.ts';
import type { QuotaSpec } from './quota.ts';
import { unsupported } from './refusal.ts';
import { parseStatements } from './rule-parser.ts';
import type { SetSpec } from './set-model.ts';
import { parseSetBody, takeBraced } from './set-parser.ts';

export type Verb =
  'add' | 'create' | 'insert' | 'replace' | 'delete' | 'list' | 'flush' | 'reset' | 'rename';

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
  /** Of `rename chain`. */
  newName: string;
  newNamePlace: Place;
  /** The whole command. */
  place: Place;
  /** Rule handle, index or position; −1 for none. */
  handle: number;
  position: number;
  index: number;
  statements: Statement[];
  chains: ChainSpec[];
  counters: CounterSpec[];
  quotas: QuotaSpec[];
  flowtables: FlowTableSpec[];
  sets: SetSpec[];
  /** Of `add element` and `delete element`: what stands between the braces; its types are the set's. */
  elements: Token[];
  /** For elements that are interface indices. */
  devices: DeviceNames | null;
  helpers: HelperSpec[];
}

const FAMILIES = new Set(['ip', 'ip6', 'inet', 'netdev']);
const OTHER_FAMILIES = new Set(['arp', 'bridge']);
const VERBS = new Set('add create insert replace delete list flush reset rename'.split(' '));
const UNSUPPORTED_OBJECTS = new Set('limit secmark synproxy meter meters limits hooks'.split(' '));

/** All commands of a source. Throws NftError. */
export function parseCommands(source: string, devices: DeviceNames | null = null): Command[] {
  const cursor = new Cursor(lex(source), devices);
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
    newName: '',
    newNamePlace: place,
    place,
    handle: -1,
    position: -1,
    index: -1,
    statements: [],
    chains: [],
    counters: [],
    quotas: [],
    flowtables: [],
    sets: [],
    elements: [],
    devices: null,
    helpers: [],
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
  if (verb === 'rename' && object.text !== 'chain') cursor.fail();
  cursor.next();
  const command = blank(verb, objectName(cursor, object.text), start);
  command.devices = cursor.devices;
  parseFamily(cursor, command);
  parseArguments(cursor, command);
  // nft counts what ends a rule as part of it: the semicolon, or the line's end.
  const { token } = cursor;
  const isRule = command.object === 'rule' && verb !== 'delete';
  const end = isRule && cursor.atEnd ? token.start + 1 : cursor.tokens[cursor.at - 1].end;
  command.place = { start, end };
  return command;
}

const OBJECTS = new Set(
  'table chain rule counter quota ct flowtable set map element ruleset tables chains counters quotas flowtables sets maps'.split(
    ' ',
  ),
);

/** `ct helper` and `ct helpers` are two words; conntrack's other objects are not modelled. */
function objectName(cursor: Cursor, word: string): string {
  if (word !== 'ct') return word;
  const second = cursor.word();
  if (second.text === 'timeout' || second.text === 'expectation') unsupported(second);
  if (second.text !== 'helper' && second.text !== 'helpers') {
    cursor.at--;
    cursor.fail();
  }
  return `ct ${second.text}`;
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
  const lists = ['counters', 'quotas', 'flowtables', 'sets', 'maps', 'ct helpers'];
  if (lists.includes(object)) {
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
  const name = cursor.name();
  command.name = name.text;
  command.namePlace = { start: name.start, end: name.end };
  if (object === 'rule') {
    parseRuleArguments(cursor, command);
    return;
  }
  if (object === 'element') {
    if (verb === 'list' || verb === 'flush' || verb === 'reset') cursor.fail();
    command.elements = takeBraced(cursor);
    return;
  }
  if (verb === 'rename') {
    const renamed = cursor.name();
    command.newName = renamed.text;
    command.newNamePlace = { start: renamed.start, end: renamed.end };
    return;
  }
  if (verb === 'delete' || verb === 'list' || verb === 'flush' || verb === 'reset') {
    if (object === 'flowtable' && cursor.is('{')) unsupported(cursor.token);
    return;
  }
  if (object === 'chain') command.chains.push(parseChainBody(cursor, command));
  else if (object === 'counter') command.counters.push(parseCounterBody(cursor, command));
  else if (object === 'quota')
    command.quotas.push(parseQuotaBody(cursor, command.name, command.namePlace));
  else if (object === 'set' || object === 'map')
    command.sets.push(parseSetBody(cursor, command.name, command.namePlace, object === 'map'));
  else if (object === 'ct helper')
    command.helpers.push(parseCtHelper(cursor, command.name, command.namePlace));
  else command.flowtables.push(parseFlowTableBody(cursor, command));
}

function takeTable(cursor: Cursor, command: Command): void {
  const table = cursor.name();
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

const BLOCKS = new Set('chain counter quota ct set map flowtable'.split(' '));

/** `{ chain … counter … ct helper … set … flowtable … }`. */
function parseTableBlock(cursor: Cursor, command: Command): void {
  cursor.expect('{');
  cursor.skipSeparators();
  while (!cursor.is('}')) {
    const object = cursor.token;
    if (object.kind !== 'word') cursor.fail();
    if (UNSUPPORTED_OBJECTS.has(object.text)) unsupported(object);
    if (!BLOCKS.has(object.text)) cursor.fail();
    cursor.next();
    if (object.text === 'ct' && objectName(cursor, 'ct') !== 'ct helper') cursor.fail();
    const name = cursor.name();
    const inner = { ...command, name: name.text, namePlace: { start: name.start, end: name.end } };
    if (object.text === 'chain') command.chains.push(parseChainBody(cursor, inner));
    else if (object.text === 'counter') command.counters.push(parseCounterBody(cursor, inner));
    else if (object.text === 'quota')
      command.quotas.push(parseQuotaBody(cursor, name.text, inner.namePlace));
    else if (object.text === 'set' || object.text === 'map')
      command.sets.push(parseSetBody(cursor, name.text, inner.namePlace, object.text === 'map'));
    else if (object.text === 'ct')
      command.helpers.push(parseCtHelper(cursor, name.text, inner.namePlace));
    else command.flowtables.push(parseFlowTableBody(cursor, inner));
    if (cursor.token.kind !== 'newline' && !cursor.is(';') && !cursor.is('}'))
      cursor.fail('newline or semicolon');
    cursor.skipSeparators();
  }
  cursor.expect('}');
}
