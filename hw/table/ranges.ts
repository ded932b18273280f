// Port ranges in ternary memory: expansion to prefixes, expansion in Gray code (SRGE), and range-check registers.
//
// A ternary entry says 0, 1 or either for each bit; a range is none of that. Three ways out, each with its price:
//  - prefixes: the range is cut into aligned blocks; at most 2W − 2 entries for W bits (30 for 16), and a rule with two
//    ranges is the product (900). Works on any TCAM. [1024, 65535] costs 6, [0, 1023] and single values 1 (hw 3.4).
//  - SRGE (Bremler-Barr and Hendler): key and entries hold the Gray code of the number. There, numbers mirrored about a
//    block boundary differ in one bit only, so one entry covers a block and its mirror image; at most 2W − 4 entries
//    from W = 4 on (tests: exhaustive to W = 8). Needs a key builder that encodes, and costs it nothing else.
//  - range-check registers (mlxsw's port ranges: 16; E810: 8 a profile): comparators beside the key, one key bit each.
//    One entry a rule, but the registers run out; equal ranges share one.
// Not here: the W-entry codings with complements, and dictionaries of the ranges of a whole rule set.

import { assert } from '../base/assert.ts';

/** One ternary value of a field: bits of `mask` are compared with `value`; both unsigned. */
export interface Ternary {
  readonly value: number;
  readonly mask: number;
}

/** Inclusive range of a field of `widthBits` bits, 1 to 32. */
export interface FieldRange {
  readonly lo: number;
  readonly hi: number;
  readonly widthBits: number;
}

export type RangeMethod = 'prefix' | 'srge' | 'registers';

function assertRange({ lo, hi, widthBits }: FieldRange): void {
  const isInteger = Number.isInteger(lo) && Number.isInteger(hi);
  assert(isInteger && widthBits >= 1 && widthBits <= 32, 'range: integers in 1 to 32 bits');
  assert(lo >= 0 && lo <= hi && hi < 2 ** widthBits, 'range: 0 <= lo <= hi < 2^width');
}

/** Size of the largest aligned block that starts at `lo` and ends by `hi`. */
function blockAt(lo: number, hi: number): number {
  let size = 1;
  while (lo % (2 * size) === 0 && lo + 2 * size - 1 <= hi) size *= 2;
  return size;
}

function blockTernary(lo: number, size: number, widthBits: number): Ternary {
  return { value: lo, mask: 2 ** widthBits - size };
}

/** Entries of the prefix expansion. */
export function countPrefixes(range: FieldRange): number {
  assertRange(range);
  let count = 0;
  for (let at = range.lo; at <= range.hi; at += blockAt(at, range.hi)) count++;
  return count;
}

/** The prefix expansion, ascending. */
export function expandToPrefixes(range: FieldRange): Ternary[] {
  assertRange(range);
  const cover: Ternary[] = [];
  for (let at = range.lo; at <= range.hi;) {
    const size = blockAt(at, range.hi);
    cover.push(blockTernary(at, size, range.widthBits));
    at += size;
  }
  return cover;
}

/** Gray code of a number: neighbours differ in one bit. */
export function grayCode(binary: number): number {
  return (binary ^ (binary >>> 1)) >>> 0;
}

/** The SRGE expansion: entries to compare with the Gray code of the field. Entries may overlap. */
export function expandToGray(range: FieldRange): Ternary[] {
  assertRange(range);
  return new GrayCover(range.widthBits).cover(range.lo, range.hi);
}

/**
 * Covers by mirror images. A range that is no block is split at the boundary in its middle (where its ends part); the
 * smaller side's blocks also cover their mirror images on the larger side, by leaving one more bit open. What is left
 * of the larger side is covered in the same way, or the larger side as a whole if that is cheaper; or the larger side's
 * blocks are taken and the rest of the smaller one added. The cheapest of the three wins.
 */
class GrayCover {
  private readonly widthBits: number;
  private readonly known = new Map<string, Ternary[]>();

  constructor(widthBits: number) {
    this.widthBits = widthBits;
  }

  cover(lo: number, hi: number): Ternary[] {
    if (lo > hi) return [];
    if (blockAt(lo, hi) === hi - lo + 1) return this.blocks(lo, hi, 0);
    const key = `${lo} ${hi}`;
    let best = this.known.get(key);
    if (best !== undefined) return best;
    const bit = 2 ** (31 - Math.clz32(lo ^ hi));
    const middle = hi - (hi % bit);
    const below = middle - lo;
    const above = hi - middle + 1;
    const small = below <= above ? this.blocks(lo, middle - 1, bit) : this.blocks(middle, hi, bit);
    best = small;
    if (below < above)
      best = [...small, ...shortest(this.cover(middle + below, hi), this.cover(middle, hi))];
    if (below > above)
      best = [
        ...small,
        ...shortest(this.cover(lo, middle - 1 - above), this.cover(lo, middle - 1)),
      ];
    if (below !== above) best = shortest(best, this.largeFirst(lo, middle, hi, bit));
    this.known.set(key, best);
    return best;
  }

  /** Blocks of the larger side, with their mirror image where that lies in the range, then the rest of the smaller. */
  private largeFirst(lo: number, middle: number, hi: number, bit: number): Ternary[] {
    const isBelow = middle - lo > hi - middle + 1;
    const cover: Ternary[] = [];
    let restLo = isBelow ? middle : lo;
    let restHi = isBelow ? hi : middle - 1;
    const [from, to] = isBelow ? [lo, middle - 1] : [middle, hi];
    for (let at = from; at <= to;) {
      const size = blockAt(at, to);
      const mirrorLo = 2 * middle - (at + size);
      const mirrorHi = mirrorLo + size - 1;
      const isMirrored = mirrorLo >= lo && mirrorHi <= hi;
      cover.push(...this.blocks(at, at + size - 1, isMirrored ? bit : 0));
      if (isMirrored && isBelow) restLo = Math.max(restLo, mirrorHi + 1);
      if (isMirrored && !isBelow) restHi = Math.min(restHi, mirrorLo - 1);
      at += size;
    }
    if (restLo <= restHi) cover.push(...this.blocks(restLo, restHi, 0));
    return cover;
  }

  /** Aligned blocks in Gray code; bits of `open` are left open too. */
  private blocks(lo: number, hi: number, open: number): Ternary[] {
    const cover: Ternary[] = [];
    for (let at = lo; at <= hi;) {
      const size = blockAt(at, hi);
      const mask = ((2 ** this.widthBits - size) & ~open) >>> 0;
      cover.push({ value: (grayCode(at) & mask) >>> 0, mask });
      at += size;
    }
    return cover;
  }
}

function shortest(a: Ternary[], b: Ternary[]): Ternary[] {
  return b.length < a.length ? b : a;
}

/** Entries that a rule with these ranges costs; with registers always 1 (whether there are any left is theirs to say). */
export function entriesOfRule(ranges: readonly FieldRange[], method: RangeMethod): number {
  if (method === 'registers') return 1;
  return ranges.reduce(
    (product, range) =>
      product * (method === 'prefix' ? countPrefixes(range) : expandToGray(range).length),
    1,
  );
}

/** Whether a range needs no register: a block of numbers is one ternary value. */
export function isOneTernary(range: FieldRange): boolean {
  assertRange(range);
  return blockAt(range.lo, range.hi) === range.hi - range.lo + 1;
}

/** Comparators with a limit, shared by equal ranges of one field. */
export class RangeRegisters {
  readonly limit: number;
  /** Registers taken. */
  inUse = 0;
  private readonly users: Int32Array;
  private readonly lo: Float64Array;
  private readonly hi: Float64Array;
  private readonly field: Int32Array;

  constructor(limit: number) {
    this.limit = limit;
    this.users = new Int32Array(limit);
    this.lo = new Float64Array(limit);
    this.hi = new Float64Array(limit);
    this.field = new Int32Array(limit);
  }

  /** Register for a range of a field (the caller's number for it), shared or new; −1 when all are taken. */
  acquire(field: number, range: FieldRange): number {
    assertRange(range);
    let free = -1;
    for (let i = 0; i < this.limit; i++) {
      if (this.users[i] === 0) {
        if (free < 0) free = i;
      } else if (this.field[i] === field && this.lo[i] === range.lo && this.hi[i] === range.hi) {
        this.users[i] = this.users[i] + 1;
        return i;
      }
    }
    if (free < 0) return -1;
    this.users[free] = 1;
    this.inUse++;
    this.field[free] = field;
    this.lo[free] = range.lo;
    this.hi[free] = range.hi;
    return free;
  }

  /** One user less; the register is free when none is left. */
  release(register: number): void {
    assert(this.users[register] > 0, 'range registers: release of a free register');
    const users = this.users[register] - 1;
    this.users[register] = users;
    if (users === 0) this.inUse--;
  }

  /** Key bits that a packet's field value sets: bit n for register n of that field. */
  match(field: number, value: number): number {
    let bits = 0;
    for (let i = 0; i < this.limit; i++)
      if (
        this.users[i] !== 0 &&
        this.field[i] === field &&
        value >= this.lo[i] &&
        value <= this.hi[i]
      )
        bits |= 1 << i;
    return bits >>> 0;
  }
}
