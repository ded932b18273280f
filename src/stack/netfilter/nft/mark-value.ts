// What `meta mark set` and `ct mark set` write: a number, a map's answer, or a mark with bits changed by `&`, `|` and `^`.
//
// Everything between a mark and constants folds into (mark & and) ^ xor, which is what the kernel keeps (nft_bitwise) and nft lists
// again: `| x` when and is ~x, `^ x` when and is all ones, else `& (and|xor) | xor`.

import type { Place, Statement } from './ast.ts';
import type { Cursor } from './cursor.ts';
import { parseKey } from './match-parser.ts';
import { unsupported } from './refusal.ts';
import { parseMapRef } from './set-parser.ts';
import { formatScalar } from './types.ts';

export type SetMark = Extract<Statement, { kind: 'set-mark' }>;

/** (mark & and) ^ xor; a constant has no mark. */
interface Bits {
  from: 'meta' | 'ct' | null;
  and: number;
  xor: number;
}

const constant = (value: number): Bits => ({ from: null, and: 0, xor: value });

/** The value, behind `set`. `start`: where the statement began. */
export function parseMarkValue(cursor: Cursor, target: 'meta' | 'ct', start: number): Statement {
  const { at } = cursor;
  if (cursor.token.kind !== 'number' && !cursor.is('(')) {
    const key = parseKey(cursor);
    if (cursor.take('map')) {
      const map = parseMapRef(cursor, key, () => ['mark']);
      return { kind: 'map-mark', target, key, map, place: { start, end: map.end } };
    }
    cursor.at = at;
  }
  const { from, and, xor } = parseOr(cursor);
  return { kind: 'set-mark', target, from, and: and >>> 0, xor: xor >>> 0 };
}

function parseOr(cursor: Cursor): Bits {
  let bits = parseXor(cursor);
  while (cursor.take('|') || cursor.take('or')) bits = merge(bits, parseXor(cursor), '|');
  return bits;
}

function parseXor(cursor: Cursor): Bits {
  let bits = parseAnd(cursor);
  while (cursor.take('^') || cursor.take('xor')) bits = merge(bits, parseAnd(cursor), '^');
  return bits;
}

function parseAnd(cursor: Cursor): Bits {
  let bits = parsePart(cursor);
  while (cursor.take('&') || cursor.take('and')) bits = merge(bits, parsePart(cursor), '&');
  return bits;
}

function parsePart(cursor: Cursor): Bits {
  if (cursor.take('(')) {
    const inner = parseOr(cursor);
    cursor.expect(')');
    return inner;
  }
  if (cursor.token.kind === 'number') return constant(cursor.number());
  const place: Place = { start: cursor.token.start, end: cursor.token.end };
  const key = parseKey(cursor);
  if (key.text !== 'meta mark' && key.text !== 'ct mark') unsupported(key.place ?? place);
  return { from: key.text === 'ct mark' ? 'ct' : 'meta', and: -1, xor: 0 };
}

/** A mark and a constant, or two constants; two marks are beyond nft 1.0.6, too. */
function merge(a: Bits, b: Bits, sign: '&' | '|' | '^'): Bits {
  const [bits, { xor: value }] = a.from === null && b.from !== null ? [b, a] : [a, b];
  const { from, and, xor } = bits;
  if (sign === '&') return { from, and: and & value, xor: xor & value };
  if (sign === '^') return { from, and, xor: xor ^ value };
  return { from, and: and & ~value, xor: (xor & ~value) | value };
}

/** The steps that nft lists: a sign and its operand each. */
function stepsOf({ and, xor }: SetMark): [sign: string, operand: number][] {
  if (and === 0xffff_ffff) return xor === 0 ? [] : [['^', xor]];
  if (xor === 0) return [['&', and]];
  if ((and | xor) >>> 0 === 0xffff_ffff && (and & xor) === 0) return [['|', xor]];
  return [
    ['&', (and | xor) >>> 0],
    ['|', xor],
  ];
}

export function printSetMark(s: SetMark): string {
  const { target, from } = s;
  if (from === null) return `${target} mark set ${formatScalar('mark', s.xor)}`;
  const steps = stepsOf(s).map(([sign, value]) => ` ${sign} ${formatScalar('mark', value)}`);
  return `${target} mark set ${from} mark${steps.join('')}`;
}

export function setMarkJson(s: SetMark): unknown {
  const { target, from } = s;
  let value: unknown = s.xor;
  if (from !== null) {
    value = { [from]: { key: 'mark' } };
    for (const [sign, operand] of stepsOf(s)) value = { [sign]: [value, operand] };
  }
  return { mangle: { key: { [target]: { key: 'mark' } }, value } };
}
