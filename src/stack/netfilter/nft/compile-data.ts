// What instructions look up and compare, made of the keys and right sides of rules: sorted pairs of numbers, address ranges, key sets,
// the bounds of a test (program.ts says what each holds).

import { loadInt32 } from '../../ip/address.ts';
import type { MatchStatement, Rhs } from './ast.ts';
import { first, isRange, last } from './key-order.ts';
import { KeySet } from './key-set.ts';
import { MAX_KEY_WORDS, wordsOf, writeKey } from './key-words.ts';
import * as op from './program.ts';
import type { Scalar, Types } from './types.ts';

/** A set of these keys; slots are their places in the list. */
export function keySetOf(types: Types, keys: readonly Rhs[]): KeySet {
  const set = new KeySet(types.map(wordsOf), keys.some(isRange));
  const low = new Int32Array(MAX_KEY_WORDS);
  const high = new Int32Array(MAX_KEY_WORDS);
  for (const key of keys) {
    writeKey(types, key, low, high);
    set.insert(low, high, []);
  }
  return set;
}

/** Bounds of a right side as unsigned numbers. */
export function bounds(rhs: Rhs): [from: number, to: number] {
  if (rhs.kind === 'value') return [rhs.value as number, rhs.value as number];
  if (rhs.kind === 'range') return [rhs.from as number, rhs.to as number];
  if (rhs.kind === 'prefix') {
    const from = rhs.value as number;
    return [from, from + 2 ** (32 - rhs.lenBits) - 1];
  }
  return [0, 0];
}

export function testOf(s: MatchStatement): [test: number, from: number, to: number] {
  const [from, to] = bounds(s.right);
  switch (s.op) {
    case 'any':
      return [op.TEST_ANY, from | 0, 0];
    case 'none':
      return [op.TEST_NONE, from | 0, 0];
    case '<':
      return from === 0 ? [op.TEST_NOT_RANGE, 0, -1] : [op.TEST_RANGE, 0, (from - 1) | 0];
    case '<=':
      return [op.TEST_RANGE, 0, to | 0];
    case '>':
      return to === 0xffff_ffff ? [op.TEST_NOT_RANGE, 0, -1] : [op.TEST_RANGE, (to + 1) | 0, -1];
    case '>=':
      return [op.TEST_RANGE, from | 0, -1];
    case '!=':
      return from === to ? [op.TEST_NE, from | 0, 0] : [op.TEST_NOT_RANGE, from | 0, to | 0];
    default:
      return from === to ? [op.TEST_EQ, from | 0, 0] : [op.TEST_RANGE, from | 0, to | 0];
  }
}

export function numberSet(keys: readonly Rhs[]): Float64Array {
  const pairs = keys.map(bounds);
  pairs.sort((a, b) => a[0] - b[0]);
  return Float64Array.from(pairs.flat());
}

export function addressSet(keys: readonly Rhs[]): Uint32Array {
  return Uint32Array.from(
    keys.flatMap((e) => [...addressWords(first(e)), ...addressWords(last(e))]),
  );
}

function addressWords(address: Scalar): number[] {
  return [0, 4, 8, 12].map((at) => loadInt32(address as Uint8Array, at) >>> 0);
}
