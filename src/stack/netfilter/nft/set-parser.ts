// Declarations of sets and maps, their elements, and the maps of `vmap` and `map` expressions (nft 1.0.6 grammar).
// What nft has and the model has not (typeof, auto-merge) is refused at its place.

import type { DataTypes, MapRef, MapVerdict, SetElement } from './ast.ts';
import { Cursor } from './cursor.ts';
import type { DeviceNames } from './cursor.ts';
import { parseElementStatements } from './element-statements.ts';
import { compareKeys, isRange } from './key-order.ts';
import { NftError } from './lexer.ts';
import type { Token } from './lexer.ts';
import { unsupported } from './refusal.ts';
import type { SetSpec } from './set-model.ts';
import { parseTime } from './time-text.ts';
import { SET_TYPES } from './types.ts';
import type { TypeName } from './types.ts';
import { parseRhs, parseSetName, typesOf, valueTypeOf } from './value-parser.ts';
import type { ValueType } from './value-parser.ts';

/** Types of nft that the model has no values of. */
const OTHER_TYPES = new Set('ether_addr arp_op uid gid ct_label realm classid boolean'.split(' '));

/** `{ type T[: D]; flags …; size N; comment "…"; elements = { … } }` of `add set` or `add map`. */
export function parseSetBody(
  cursor: Cursor,
  name: string,
  place: { start: number; end: number },
  isMap: boolean,
): SetSpec {
  const spec: SetSpec = {
    name,
    place,
    isMap,
    keyTypes: [],
    dataTypes: null,
    intervalData: false,
    interval: false,
    constant: false,
    dynamic: false,
    hasTimeout: false,
    timeoutMs: 0,
    gcMs: 0,
    policyMemory: false,
    statements: [],
    size: 0,
    comment: null,
    elements: [],
  };
  const open = cursor.expect('{');
  let hasType = false;
  let elements: Token[] | null = null;
  cursor.skipSeparators();
  while (!cursor.is('}')) {
    if (cursor.take('type')) {
      parseTypes(cursor, spec);
      hasType = true;
    } else if (cursor.take('flags')) parseFlags(cursor, spec);
    else if (cursor.take('size')) spec.size = cursor.number();
    else if (cursor.take('comment')) spec.comment = cursor.word().text;
    else if (cursor.take('policy')) spec.policyMemory = parsePolicy(cursor);
    else if (cursor.take('timeout')) {
      spec.timeoutMs = parseTime(cursor);
      spec.hasTimeout = true;
    } else if (cursor.take('gc-interval')) spec.gcMs = parseTime(cursor);
    else if (cursor.is('counter') || cursor.is('limit'))
      spec.statements.push(...parseElementStatements(cursor));
    else if (cursor.take('elements')) {
      cursor.expect('=');
      elements = takeBraced(cursor);
    } else if (NOT_MODELLED.has(cursor.token.text)) unsupported(cursor.token);
    else cursor.fail();
    if (!cursor.is('}') && !cursor.atEnd) cursor.fail();
    cursor.skipSeparators();
  }
  const { end } = cursor.tokens[cursor.at - 1];
  cursor.expect('}');
  if (!hasType) throw new NftError('set definition does not specify key', open.start, end);
  if (elements !== null) spec.elements = parseElements(elements, spec, cursor.devices);
  return spec;
}

/** What nft takes in a set's body and the model does not have. */
const NOT_MODELLED = new Set('typeof auto-merge quota'.split(' '));

function parseTypes(cursor: Cursor, spec: SetSpec): void {
  spec.keyTypes = parseTypeList(cursor);
  if (!spec.isMap) return;
  cursor.expect(':');
  spec.intervalData = cursor.take('interval');
  spec.dataTypes = cursor.take('verdict') ? 'verdict' : parseTypeList(cursor);
}

/** `A . B`. */
function parseTypeList(cursor: Cursor): TypeName[] {
  const types = [parseType(cursor)];
  while (cursor.take('.')) types.push(parseType(cursor));
  return types;
}

function parseType(cursor: Cursor): TypeName {
  const token = cursor.word();
  if (OTHER_TYPES.has(token.text)) unsupported(token);
  if (!SET_TYPES.has(token.text as TypeName))
    throw new NftError(`unknown datatype ${token.text}`, token.start, token.end);
  return token.text as TypeName;
}

/** Whether the set is to save memory. */
function parsePolicy(cursor: Cursor): boolean {
  if (cursor.take('memory')) return true;
  if (!cursor.take('performance')) cursor.fail('memory or performance');
  return false;
}

function parseFlags(cursor: Cursor, spec: SetSpec): void {
  do {
    if (cursor.take('interval')) spec.interval = true;
    else if (cursor.take('constant')) spec.constant = true;
    else if (cursor.take('dynamic')) spec.dynamic = true;
    else if (cursor.take('timeout')) spec.hasTimeout = true;
    else cursor.fail('constant or interval or dynamic or timeout');
  } while (cursor.take(','));
}

/** The tokens between braces; the type of their values may not be known yet. */
export function takeBraced(cursor: Cursor): Token[] {
  cursor.expect('{');
  const tokens: Token[] = [];
  let depth = 0;
  while (depth > 0 || !cursor.is('}')) {
    if (cursor.token.kind === 'end') cursor.fail();
    if (cursor.is('{')) depth++;
    if (cursor.is('}')) depth--;
    tokens.push(cursor.next());
  }
  const { start } = cursor.expect('}');
  return [...tokens, { kind: 'end', text: '}', start, end: start }];
}

/** Elements of a set or map of these types. Throws NftError. */
export function parseElements(
  tokens: Token[],
  set: SetSpec,
  devices: DeviceNames | null,
): SetElement[] {
  const hasStatements = set.statements.length > 0;
  const elements = parseElementsOf(
    tokens,
    valueTypeOf(set.keyTypes),
    set.dataTypes,
    devices,
    hasStatements,
  );
  if (!set.intervalData) elements.forEach(checkSingleton);
  return elements;
}

function checkSingleton({ data }: SetElement): void {
  if (data?.kind !== 'value' || !isRange(data.value)) return;
  throw new NftError('Value must be a singleton', data.place.start, data.place.end);
}

/** What an element is without options. */
const BARE = { data: null, timeoutMs: 0, leftMs: Infinity, comment: null };

/** `timeout T`, `expires T`, `comment "…"` and the statements that the set declares, in any order. */
function parseOptions(cursor: Cursor, element: SetElement, statements: boolean): void {
  for (;;) {
    if (cursor.take('timeout')) element.timeoutMs = parseTime(cursor);
    else if (cursor.take('expires')) element.leftMs = parseTime(cursor);
    else if (cursor.take('comment')) element.comment = cursor.word().text;
    else if (cursor.is('counter') || cursor.is('limit')) {
      const { start, end } = cursor.token;
      if (!statements) throw new NftError('missing statement in set declaration', start, end);
      element.statements.push(...parseElementStatements(cursor));
    } else return;
  }
}

function parseElement(
  cursor: Cursor,
  key: ValueType,
  dataTypes: DataTypes | null,
  statements: boolean,
): SetElement {
  const { start } = cursor.token;
  const value = parseRhs(cursor, key, false);
  const { end } = cursor.tokens[cursor.at - 1];
  const element = { ...BARE, key: value, statements: [], start, end };
  parseOptions(cursor, element, statements);
  if (!cursor.is(':')) return element;
  const colon = cursor.next();
  if (dataTypes === null) throw new NftError('set is not a map', colon.start, colon.end);
  if (dataTypes === 'verdict') return { ...element, data: parseVerdictOf(cursor) };
  const from = cursor.token.start;
  const data = parseRhs(cursor, valueTypeOf(dataTypes), false);
  const place = { start: from, end: cursor.tokens[cursor.at - 1].end };
  return { ...element, data: { kind: 'value', value: data, place } };
}

function parseVerdictOf(cursor: Cursor): MapVerdict {
  const { token } = cursor;
  for (const kind of ['accept', 'drop', 'return', 'continue'] as const)
    if (cursor.take(kind)) return { kind };
  const isGoto = cursor.is('goto');
  if (!isGoto && !cursor.is('jump')) cursor.fail();
  cursor.next();
  const chain = cursor.word();
  return { kind: 'jump', goto: isGoto, chain: chain.text, start: token.start, end: chain.end };
}

/** What follows `vmap` or `map`: `@name` or `{ key : data, … }`; `dataOf` tells the types of what stands between braces. */
export function parseMapRef(
  cursor: Cursor,
  key: ValueType,
  dataOf: (tokens: readonly Token[]) => DataTypes,
): MapRef {
  if (cursor.is('@')) {
    const { name, start, end } = parseSetName(cursor);
    return { kind: 'named', name, start, end };
  }
  const { start } = cursor.token;
  const tokens = takeBraced(cursor);
  const { end } = cursor.tokens[cursor.at - 1];
  const dataTypes = dataOf(tokens);
  const written = parseElementsOf(tokens, key, dataTypes, cursor.devices);
  const bare = written.find((e) => e.data === null);
  if (bare !== undefined)
    throw new NftError('mapping expression is missing its right side', bare.start, bare.end);
  const elements = [...written];
  if (!elements.some((e) => isRange(e.key)))
    elements.sort((a, b) => compareKeys(typesOf(key), a.key, b.key));
  return { kind: 'elements', elements, written, dataTypes, start, end };
}

function parseElementsOf(
  tokens: Token[],
  key: ValueType,
  dataTypes: DataTypes | null,
  devices: DeviceNames | null,
  statements = false,
): SetElement[] {
  const cursor = new Cursor(tokens, devices);
  const elements: SetElement[] = [];
  cursor.skipNewlines();
  while (cursor.token.kind !== 'end') {
    elements.push(parseElement(cursor, key, dataTypes, statements));
    cursor.skipNewlines();
    if (!cursor.take(',')) break;
    cursor.skipNewlines();
  }
  if (cursor.token.kind !== 'end') cursor.fail("comma or '}'");
  return elements;
}
