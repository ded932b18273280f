// Geometry of ternary memory: slices of a width and depth, ganged side by side for wider keys, stacked for deeper tables.
//
// A device has `slices` blocks of `depth` rows by `widthBits` bits (E810: 16 × 512 × 40; Tofino: 24 × 512 × 44; hw 4).
// A key wider than a slice gangs the next power of two of slices (40-, 80-, 160-, 320-, 640-bit keys): a rule then takes
// the same row in each of them, and its match line is the AND of theirs. A table deeper than a slice stacks gangs; the
// priority encoder goes through them in order, first gang first, lowest row first. Naive view: "entries × key bits";
// what is lost is that gangs are whole, rows come in units (E810: 64), and a gang may not cross a bank.
//
// `SlicePool` hands out gangs to tables and says what ran out. `SlicedTcam` is the memory itself, slice by slice, for
// profiles that need to know which slice is used how much; its lookup is the naive one, row by row and slice by slice.
// The pipeline's own table (tcam.ts) and the classifier are the fast ways to the same answer.

import { assert } from '../base/assert.ts';

export interface SliceGeometry {
  slices: number;
  /** Bits compared in one slice. */
  widthBits: number;
  /** Rows of a slice. */
  depth: number;
  /** Rows are given out in multiples of this. */
  unitRows: number;
  /** Slices of a bank; a gang lies within one. */
  slicesPerBank: number;
  /** Largest gang. */
  maxGang: number;
}

/** A table's share: `gangs` lists the first slice of each gang; positions count rows through the gangs in order. */
export interface SliceRegion {
  readonly keyBits: number;
  /** Slices side by side. */
  readonly gang: number;
  readonly gangs: readonly number[];
  /** Rows taken of each gang. */
  readonly rowsPerGang: readonly number[];
  readonly entries: number;
}

export type SliceRefusal = 'key-too-wide' | 'no-free-slices';

/** Slices that a key needs side by side: the power of two that holds it. */
export function gangFor(keyBits: number, widthBits: number): number {
  let gang = 1;
  while (gang * widthBits < keyBits) gang *= 2;
  return gang;
}

export class SlicePool {
  readonly geometry: SliceGeometry;
  /** Rows taken of each slice; a slice belongs to one table at a time. */
  private readonly taken: Int32Array;

  constructor(geometry: SliceGeometry) {
    assert(geometry.slices % geometry.slicesPerBank === 0, 'slices: banks must be whole');
    assert(geometry.depth % geometry.unitRows === 0, 'slices: depth must be whole units');
    this.geometry = geometry;
    this.taken = new Int32Array(geometry.slices);
  }

  get freeSlices(): number {
    return this.taken.reduce((sum, rows) => sum + (rows === 0 ? 1 : 0), 0);
  }

  /** Room for `entries` keys of `keyBits`, rounded up to units; all or nothing. */
  allocate(keyBits: number, entries: number): SliceRegion | SliceRefusal {
    const { widthBits, depth, unitRows, maxGang, slicesPerBank } = this.geometry;
    const gang = gangFor(keyBits, widthBits);
    if (gang > maxGang || gang > slicesPerBank) return 'key-too-wide';
    const gangs: number[] = [];
    const rowsPerGang: number[] = [];
    let left = Math.ceil(entries / unitRows) * unitRows;
    for (let first = 0; left > 0 && first + gang <= this.geometry.slices; first++) {
      const isAligned = (first % slicesPerBank) % gang === 0;
      const isInBank = (first % slicesPerBank) + gang <= slicesPerBank;
      if (!isAligned || !isInBank || !this.isFree(first, gang)) continue;
      const rows = Math.min(left, depth);
      gangs.push(first);
      rowsPerGang.push(rows);
      left -= rows;
      first += gang - 1;
    }
    if (left > 0) return 'no-free-slices';
    gangs.forEach((first, i) => this.taken.fill(rowsPerGang[i], first, first + gang));
    const total = rowsPerGang.reduce((sum, rows) => sum + rows, 0);
    return { keyBits, gang, gangs, rowsPerGang, entries: total };
  }

  release(region: SliceRegion): void {
    for (const first of region.gangs) this.taken.fill(0, first, first + region.gang);
  }

  private isFree(first: number, gang: number): boolean {
    for (let s = first; s < first + gang; s++) if (this.taken[s] !== 0) return false;
    return true;
  }
}

/** Ternary memory of one region. Keys are words, most significant first; bit 0 of the key is the first word's top bit. */
export class SlicedTcam {
  readonly region: SliceRegion;
  /** Rows in use of each slice of the geometry. */
  readonly rowsInUse: Int32Array;
  private readonly widthBits: number;
  private readonly wordsPerSlice: number;
  private readonly rowWords: number;
  private readonly value: Uint32Array;
  private readonly mask: Uint32Array;
  private readonly used: Uint8Array;
  private readonly key: Uint32Array;

  constructor(geometry: SliceGeometry, region: SliceRegion) {
    this.region = region;
    this.rowsInUse = new Int32Array(geometry.slices);
    this.widthBits = geometry.widthBits;
    this.wordsPerSlice = Math.ceil(geometry.widthBits / 32);
    this.rowWords = this.wordsPerSlice * region.gang;
    this.value = new Uint32Array(region.entries * this.rowWords);
    this.mask = new Uint32Array(region.entries * this.rowWords);
    this.used = new Uint8Array(region.entries);
    this.key = new Uint32Array(this.rowWords);
  }

  /** Writes a rule to a position; bits outside the mask are ignored. */
  write(position: number, value: Uint32Array, mask: Uint32Array): void {
    const at = position * this.rowWords;
    this.cut(value, this.value, at);
    this.cut(mask, this.mask, at);
    if (this.used[position] === 0) this.count(position, 1);
    this.used[position] = 1;
  }

  invalidate(position: number): void {
    if (this.used[position] === 0) return;
    this.used[position] = 0;
    this.count(position, -1);
  }

  /** Lowest position whose slices all match, −1 for none. */
  lookup(words: Uint32Array): number {
    this.cut(words, this.key, 0);
    for (let position = 0; position < this.region.entries; position++) {
      if (this.used[position] === 0) continue;
      let isMatch = true;
      for (let s = 0; s < this.region.gang && isMatch; s++)
        isMatch = this.sliceMatches(position, s);
      if (isMatch) return position;
    }
    return -1;
  }

  private sliceMatches(position: number, slice: number): boolean {
    const words = this.wordsPerSlice;
    const at = position * this.rowWords + slice * words;
    for (let w = 0; w < words; w++) {
      const differ = this.key[slice * words + w] ^ this.value[at + w];
      if ((differ & this.mask[at + w]) !== 0) return false;
    }
    return true;
  }

  /** Cuts a key into the bits of each slice (left-aligned in the slice's words). */
  private cut(words: Uint32Array, out: Uint32Array, at: number): void {
    for (let s = 0; s < this.region.gang; s++)
      for (let w = 0; w < this.wordsPerSlice; w++) {
        const bits = Math.min(32, this.widthBits - 32 * w);
        const from = s * this.widthBits + 32 * w;
        const index = from >> 5;
        const shift = from & 31;
        const high = (words[index] ?? 0) << shift;
        const low = shift === 0 ? 0 : (words[index + 1] ?? 0) >>> (32 - shift);
        out[at + s * this.wordsPerSlice + w] = (high | low) & (-1 << (32 - bits));
      }
  }

  private count(position: number, by: number): void {
    let row = position;
    let g = 0;
    while (row >= this.region.rowsPerGang[g]) row -= this.region.rowsPerGang[g++];
    const first = this.region.gangs[g];
    for (let s = first; s < first + this.region.gang; s++)
      this.rowsInUse[s] = this.rowsInUse[s] + by;
  }
}
