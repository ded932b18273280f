// Keys of sets against one another: their bounds, the order in which nft lists them, and when two are the same or overlap.
//
// nft orders single keys by value (names as little-endian numbers) and concatenations as one little-endian number of all their bytes:
// the last byte of the last part counts most. Concatenations with ranges keep the order in which they came.

import type { Rhs } from './ast.ts';
import { compareScalars } from './types.ts';
import type { Scalar, TypeName, Types } from './types.ts';

/** Lowest value of a single key. */
export function first(rhs: Rhs): Scalar {
  if (rhs.kind === 'range') return rhs.from;
  return rhs.kind === 'value' || rhs.kind === 'prefix' ? rhs.value : 0;
}

/** Highest value of a single key. */
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

/** The parts of a concatenation, or the key itself. */
export function partsOfKey(key: Rhs): readonly Rhs[] {
  return key.kind === 'concat' ? key.parts : [key];
}

/** Whether a key stands for more than one value: it or a part of it is a range, a prefix, or a name that ends in `*`. */
export function isRange(key: Rhs): boolean {
  return partsOfKey(key).some((p) => p.kind === 'range' || p.kind === 'prefix' || isOpenName(p));
}

function isOpenName(key: Rhs): boolean {
  return key.kind === 'value' && typeof key.value === 'string' && key.value.endsWith('*');
}

/** Order of listing. */
export function compareKeys(types: Types, a: Rhs, b: Rhs): number {
  if (a.kind !== 'concat' || b.kind !== 'concat') return compareFirst(first(a), first(b));
  for (let i = types.length - 1; i >= 0; i--) {
    const order = compareBytes(types[i], first(a.parts[i]), first(b.parts[i]));
    if (order !== 0) return order;
  }
  return 0;
}

function compareFirst(x: Scalar, y: Scalar): number {
  return typeof x === 'string' && typeof y === 'string' ? compareNames(x, y) : compareScalars(x, y);
}

/** Types whose numbers a packet carries, most significant byte first. */
const NETWORK_ORDER = new Set<TypeName>(['ipv4_addr', 'inet_service', 'ether_type', 'integer']);

function compareBytes(type: TypeName, a: Scalar, b: Scalar): number {
  if (a instanceof Uint8Array && b instanceof Uint8Array) {
    for (let i = a.length - 1; i >= 0; i--) if (a[i] !== b[i]) return a[i] - b[i];
    return 0;
  }
  if (typeof a === 'number' && typeof b === 'number' && NETWORK_ORDER.has(type))
    return swapped(a) - swapped(b);
  return compareFirst(a, b);
}

/** The number with its four bytes the other way round. */
function swapped(value: number): number {
  const low = ((value & 0xff) << 8) | ((value >>> 8) & 0xff);
  const high = ((value >>> 8) & 0xff00) | (value >>> 24);
  return low * 0x1_0000 + high;
}

function compareNames(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length;
  for (let i = a.length - 1; i >= 0; i--)
    if (a[i] !== b[i]) return a.charCodeAt(i) - b.charCodeAt(i);
  return 0;
}

export function sameKey(a: Rhs, b: Rhs): boolean {
  const [x, y] = [partsOfKey(a), partsOfKey(b)];
  return x.every(
    (part, i) =>
      compareScalars(first(part), first(y[i])) === 0 &&
      compareScalars(last(part), last(y[i])) === 0,
  );
}

export function overlap(a: Rhs, b: Rhs): boolean {
  return compareScalars(first(a), last(b)) <= 0 && compareScalars(first(b), last(a)) <= 0;
}
