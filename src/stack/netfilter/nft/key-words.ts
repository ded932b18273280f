// Keys as the words that key-set.ts compares: one word for numbers, four for IPv6 addresses and interface names.

import { loadInt32 } from '../../ip/address.ts';
import type { Rhs } from './ast.ts';
import { first, last, partsOfKey } from './key-order.ts';
import type { Scalar, TypeName, Types } from './types.ts';

/** Words of a key of the longest kind: NFT_REG32_COUNT registers. */
export const MAX_KEY_WORDS = 16;
const ADDRESS6_WORDS = 4;
const NAME_BYTES = 16;

/** Words of one part. */
export function wordsOf(type: TypeName): number {
  return type === 'ipv6_addr' || type === 'ifname' ? ADDRESS6_WORDS : 1;
}

/** The lowest key of an element into `low`, the highest into `high`. */
export function writeKey(types: Types, key: Rhs, low: Int32Array, high: Int32Array): void {
  let at = 0;
  partsOfKey(key).forEach((part, i) => {
    writeScalar(first(part), low, at, 0);
    writeScalar(last(part), high, at, 0xff);
    at += wordsOf(types[i]);
  });
}

/** `fill`: the byte that a name's `*` stands for. */
function writeScalar(value: Scalar, words: Int32Array, at: number, fill: number): void {
  if (typeof value === 'number') words[at] = value | 0;
  else if (typeof value === 'string') {
    const isOpen = value.endsWith('*');
    writeName(isOpen ? value.slice(0, -1) : value, words, at, isOpen ? fill : 0);
  } else for (let i = 0; i < ADDRESS6_WORDS; i++) words[at + i] = loadInt32(value, 4 * i);
}

/** An interface name as its bytes, padded with `fill`. */
export function writeName(name: string, words: Int32Array, at: number, fill: number): void {
  for (let word = 0; word < NAME_BYTES / 4; word++) {
    let value = 0;
    for (let i = 4 * word; i < 4 * word + 4; i++)
      value = (value << 8) | (i < name.length ? name.charCodeAt(i) : fill);
    words[at + word] = value;
  }
}

/** The key that words stand for: what a rule has added. */
export function readKey(types: Types, words: Int32Array): Rhs {
  let at = 0;
  const parts = types.map((type): Rhs => {
    const value = readScalar(type, words, at);
    at += wordsOf(type);
    return { kind: 'value', value };
  });
  const places = parts.map(() => ({ start: 0, end: 0 }));
  return parts.length === 1 ? parts[0] : { kind: 'concat', parts, places };
}

function readScalar(type: TypeName, words: Int32Array, at: number): Scalar {
  if (wordsOf(type) === 1) return words[at] >>> 0;
  const bytes = new Uint8Array(NAME_BYTES);
  for (let i = 0; i < NAME_BYTES; i++) bytes[i] = words[at + (i >> 2)] >>> (24 - 8 * (i & 3));
  if (type === 'ipv6_addr') return bytes;
  const end = bytes.indexOf(0);
  return String.fromCharCode(...bytes.subarray(0, end < 0 ? NAME_BYTES : end));
}
