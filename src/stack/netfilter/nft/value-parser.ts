// Right sides of matches and elements of sets: single values, ranges, prefixes, lists of bits, anonymous and named sets.

import type { Place, Rhs } from './ast.ts';
import type { Cursor } from './cursor.ts';
import { maskScalar, mergeIntervals } from './intervals.ts';
import { compareKeys, first, isRange } from './key-order.ts';
import { NftError } from './lexer.ts';
import { compareScalars, describeAll, isBitmask, parseScalar, widthOf } from './types.ts';
import type { Scalar, TypeName, Types } from './types.ts';

/** Type and width of the values that are expected; with parts, a concatenation. */
export interface ValueType {
  type: TypeName;
  widthBits: number;
  parts: readonly ValueType[];
}

/** What is expected of a set's key or data. */
export function valueTypeOf(types: Types): ValueType {
  const parts = types.map((type) => ({ type, widthBits: widthOf(type), parts: [] }));
  return parts.length === 1 ? parts[0] : { type: 'integer', widthBits: 0, parts };
}

/** The types of what is expected, one a part. */
export function typesOf(field: ValueType): Types {
  return field.parts.length > 0 ? field.parts.map((p) => p.type) : [field.type];
}

/** One word as a value of the type. Throws NftError at its place. */
export function scalarOf(
  type: TypeName,
  text: string,
  bits: number,
  start: number,
  end: number,
): Scalar {
  const parsed = parseScalar(type, text, bits);
  if (!parsed.ok) throw new NftError(parsed.message, start, end);
  return parsed.value;
}

/** A right side; `lists`: bits may be separated by commas, and a set may be named. */
export function parseRhs(cursor: Cursor, field: ValueType, lists: boolean): Rhs {
  if (lists && cursor.is('@')) return parseSetName(cursor);
  if (cursor.take('{')) return parseSet(cursor, field);
  return field.parts.length > 0 ? parseConcat(cursor, field) : parseSingle(cursor, field, lists);
}

/** `a . b`: as many parts as the type has. */
function parseConcat(cursor: Cursor, field: ValueType): Rhs {
  const { start } = cursor.token;
  const parts: Rhs[] = [];
  const places: Place[] = [];
  const take = (): void => {
    const from = cursor.token.start;
    parts.push(parseSingle(cursor, field.parts[parts.length], false));
    places.push({ start: from, end: cursor.tokens[cursor.at - 1].end });
  };
  take();
  while (cursor.is('.')) {
    const dot = cursor.next();
    if (parts.length < field.parts.length) {
      take();
      continue;
    }
    const { end } = cursor.next();
    throw new NftError("Can't parse symbolic invalid expressions", dot.start, end);
  }
  const { end } = cursor.tokens[cursor.at - 1];
  if (parts.length < field.parts.length)
    throw new NftError(`invalid data type, expected ${describeAll(typesOf(field))}`, start, end);
  return { kind: 'concat', parts, places };
}

function parseSingle(cursor: Cursor, field: ValueType, lists: boolean): Rhs {
  if (isBitmask(field.type)) return { kind: 'value', value: parseBits(cursor, field, lists) };
  if (field.type === 'iface_index') return parseInterface(cursor);
  const value = parseValue(cursor, field);
  if (cursor.take('/')) {
    const place = cursor.token;
    const lenBits = cursor.number();
    if (lenBits > field.widthBits)
      throw new NftError('Prefix length is longer than the address', place.start, place.end);
    return { kind: 'prefix', value: maskScalar(value, lenBits, field.widthBits), lenBits };
  }
  if (cursor.take('-')) {
    const place = cursor.token;
    const to = parseValue(cursor, field);
    if (compareScalars(value, to) > 0)
      throw new NftError('Range has zero or negative size', place.start, place.end);
    return { kind: 'range', from: value, to };
  }
  return { kind: 'value', value };
}

/** `a|b`, and with `lists` `a,b`: the bits of all of them. */
export function parseBits(cursor: Cursor, field: ValueType, lists: boolean): number {
  let bits = parseValue(cursor, field) as number;
  while ((lists && cursor.take(',')) || cursor.take('|'))
    bits |= parseValue(cursor, field) as number;
  return bits;
}

/** A device by name or index; kept by index, as the kernel does, and listed by the name that it has then. */
function parseInterface(cursor: Cursor): Rhs {
  const { text, kind, start, end } = cursor.token;
  const { devices } = cursor;
  const device = (ifindex: number): Rhs => ({
    kind: 'value',
    value: ifindex,
    device: () => devices?.byIndex(ifindex)?.name,
  });
  if (kind === 'number') return device(cursor.number());
  if (kind !== 'word' && kind !== 'quoted') cursor.fail();
  cursor.next();
  const dev = devices?.byName(text) ?? null;
  if (dev === null) throw new NftError('Interface does not exist', start, end);
  return device(dev.ifindex);
}

/** `@name`. */
export function parseSetName(cursor: Cursor): Extract<Rhs, { kind: 'named' }> {
  const { start } = cursor.next();
  const name = cursor.word();
  return { kind: 'named', name: name.text, start, end: name.end };
}

function parseSet(cursor: Cursor, field: ValueType): Rhs {
  const elements: Rhs[] = [];
  cursor.skipNewlines();
  while (!cursor.is('}')) {
    elements.push(parseRhs(cursor, field, false));
    cursor.skipNewlines();
    if (!cursor.take(',')) break;
    cursor.skipNewlines();
    // nft takes `22, , 443`.
    if (cursor.take(',')) cursor.skipNewlines();
  }
  cursor.expect('}');
  // A set of one is that one.
  if (elements.length === 1 && elements[0].kind !== 'concat') return elements[0];
  const types = typesOf(field);
  const hasRanges = elements.some(isRange);
  // Concatenations with ranges stay as they are written; names with a `*` make the others ranges too: order of the alphabet.
  if (types.length === 1 && hasRanges) elements.sort((a, b) => compareScalars(first(a), first(b)));
  const written = dedupe(elements);
  if (hasRanges) {
    const isPlain = types.length === 1 && types[0] !== 'ifname' && types[0] !== 'string';
    const merged = isPlain ? mergeIntervals(types[0], written) : written;
    return { kind: 'set', elements: merged, written: merged };
  }
  const sorted = [...written].sort((a, b) => compareKeys(types, a, b));
  return { kind: 'set', elements: sorted, written };
}

function dedupe(elements: Rhs[]): Rhs[] {
  const seen = new Set<string>();
  return elements.filter((e) => {
    const key = JSON.stringify(e.kind === 'concat' ? e.parts : e);
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

function parseValue(cursor: Cursor, field: ValueType): Scalar {
  const { token } = cursor;
  if (token.kind === 'punct' || token.kind === 'newline' || token.kind === 'end') cursor.fail();
  cursor.next();
  return scalarOf(field.type, token.text, field.widthBits, token.start, token.end);
}
