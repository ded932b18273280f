// Which address of a range a connection gets: a hash of source and destination, so that a client keeps its address
// (find_best_ips_proto). The hash is Bob Jenkins's lookup3 over words ("hashword", public domain, burtleburtle.net/bob/c/lookup3.c) as
// Linux applies it to addresses in memory on a little-endian machine, so that the model picks the address that Linux picks.

import type { Tuple } from '../conntrack/tuple.ts';
import { MANIP_SRC, RANGE_PERSISTENT } from './range.ts';
import type { NatRange } from './range.ts';

/** Linux's arbitrary start value. */
const JHASH_START = 0xdead_beef;

function rotate(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by));
}

/** lookup3's hash of four words: two rounds, the last over one word. */
function hashFourWords(k0: number, k1: number, k2: number, k3: number, seed: number): number {
  const start = (JHASH_START + (4 << 2) + seed) | 0;
  let a = (start + k0) | 0;
  let b = (start + k1) | 0;
  let c = (start + k2) | 0;
  // mix
  a = ((a - c) ^ rotate(c, 4)) | 0;
  c = (c + b) | 0;
  b = ((b - a) ^ rotate(a, 6)) | 0;
  a = (a + c) | 0;
  c = ((c - b) ^ rotate(b, 8)) | 0;
  b = (b + a) | 0;
  a = ((a - c) ^ rotate(c, 16)) | 0;
  c = (c + b) | 0;
  b = ((b - a) ^ rotate(a, 19)) | 0;
  a = (a + c) | 0;
  c = ((c - b) ^ rotate(b, 4)) | 0;
  b = (b + a) | 0;
  // the last word, then final
  a = (a + k3) | 0;
  c = ((c ^ b) - rotate(b, 14)) | 0;
  a = ((a ^ c) - rotate(c, 11)) | 0;
  b = ((b ^ a) - rotate(a, 25)) | 0;
  c = ((c ^ b) - rotate(b, 16)) | 0;
  a = ((a ^ c) - rotate(c, 4)) | 0;
  b = ((b ^ a) - rotate(a, 14)) | 0;
  c = ((c ^ b) - rotate(b, 24)) | 0;
  return c;
}

/** The word as a little-endian machine reads the address bytes. */
function swap(word: number): number {
  return (word >>> 24) | ((word >>> 8) & 0xff00) | ((word << 8) & 0xff0000) | (word << 24);
}

/** Maps a 32-bit value onto 0..range−1 by its upper bits (reciprocal_scale). */
function scale(value: number, range: number): number {
  // In halves: the whole product has 64 bits.
  const low = Math.floor(((value & 0xffff) * range) / 0x1_0000);
  return Math.floor(((value >>> 16) * range + low) / 0x1_0000);
}

/** Gives the key an address of the range at the end that changes. */
export function chooseAddress(tuple: Tuple, range: NatRange, manip: number, zone: number): void {
  const { min, max } = range;
  const dst = [tuple.d0, tuple.d1, tuple.d2, tuple.d3];
  const last = tuple.family === 2 ? 0 : 3;
  const persistent = (range.flags & RANGE_PERSISTENT) !== 0;
  const seed = persistent ? 0 : swap(dst[last]) ^ zone;
  let hash = hashFourWords(swap(tuple.s0), swap(tuple.s1), swap(tuple.s2), swap(tuple.s3), seed);
  const chosen = [0, 0, 0, 0];
  let free = false;
  for (let i = 0; i <= last; i++) {
    // Words behind one that is below the maximum may have any value.
    const from = free ? 0 : min[i] >>> 0;
    const count = free ? 0xffff_ffff : (max[i] >>> 0) - from + 1;
    chosen[i] = (from + scale(hash, count)) | 0;
    if (chosen[i] !== max[i]) free = true;
    const mixed = manip === MANIP_SRC ? dst[i] : chosen[i];
    if (!persistent) hash ^= swap(mixed);
  }
  setAddress(tuple, manip, chosen);
}

/** Writes four address words at one end of a key. */
export function setAddress(tuple: Tuple, manip: number, words: ArrayLike<number>): void {
  if (manip === MANIP_SRC) {
    tuple.s0 = words[0];
    tuple.s1 = words[1];
    tuple.s2 = words[2];
    tuple.s3 = words[3];
  } else {
    tuple.d0 = words[0];
    tuple.d1 = words[1];
    tuple.d2 = words[2];
    tuple.d3 = words[3];
  }
}
