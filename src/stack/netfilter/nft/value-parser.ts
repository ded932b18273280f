// Right sides of matches and elements of sets: single values, ranges, prefixes, lists of bits, anonymous and named sets.

import type { Rhs } from './ast.ts';
import type { Cursor } from './cursor.ts';
import { NftError } from './lexer.ts';
import { compareScalars, isBitmask, parseScalar } from './types.ts';
import type { Scalar, TypeName } from './types.ts';

/** Type and width of the values that are expected. */
export interface ValueType {
  type: TypeName;
  widthBits: number;
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
  if (!isBitmask(field.type)) return { kind: 'value', value };
  let bits = value as number;
  while ((lists && cursor.take(',')) || cursor.take('|'))
    bits |= parseValue(cursor, field) as number;
  return { kind: 'value', value: bits };
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
  }
  cursor.expect('}');
  elements.sort((a, b) => compareScalars(first(a), first(b)));
  return { kind: 'set', elements: dedupe(elements) };
}

/** Lowest value of an element. */
export function first(rhs: Rhs): Scalar {
  if (rhs.kind === 'range') return rhs.from;
  return rhs.kind === 'set' || rhs.kind === 'named' ? 0 : rhs.value;
}

/** Highest value of an element. */
export function last(rhs: Rhs): Scalar {
  if (rhs.kind === 'range') return rhs.to;
  if (rhs.kind !== 'prefix') return first(rhs);
  const { value, lenBits } = rhs;
  if (typeof value === 'number') return value + 2 ** (32 - lenBits) - 1;
  if (typeof value === 'string') return value;
  return value.map((byte, i) => {
    const left = lenBits - 8 * i;
    return left >= 8 ? byte : left <= 0 ? 0xff : byte | (0xff >> left);
  });
}

function dedupe(elements: Rhs[]): Rhs[] {
  const seen = new Set<string>();
  return elements.filter((e) => {
    const key = JSON.stringify(e);
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

function maskScalar(value: Scalar, lenBits: number, widthBits: number): Scalar {
  if (typeof value === 'number') {
    const keep = 2 ** (widthBits - lenBits);
    return Math.floor(value / keep) * keep;
  }
  if (typeof value === 'string') return value;
  return value.map((byte, i) => {
    const left = lenBits - 8 * i;
    return left >= 8 ? byte : left <= 0 ? 0 : byte & (0xff << (8 - left));
  });
}
