// What one stage has and who holds it: slices or rows of ternary memory, exact-match entries, tables.
//
// Ternary memory goes to key templates a gang of slices at a time, when their rows are full (as `fit` counts it); memory
// without slices is rows that any key takes one of. Both are given back when the table goes.

import { gangFor } from '../table/slices.ts';
import type { StageConfig } from './config.ts';

export class StageMemory {
  readonly config: StageConfig;
  /** Tables in the stage. */
  tables = 0;
  freeSlices: number;
  freeExact: number;
  /** Free rows, where memory has no slices. */
  freeRows: number;

  constructor(config: StageConfig) {
    this.config = config;
    this.freeSlices = config.ternary?.slices ?? 0;
    this.freeExact = config.exactEntries;
    this.freeRows = this.isSliced ? 0 : (config.ternary?.depth ?? 0);
  }

  private get isSliced(): boolean {
    return (this.config.ternary?.slices ?? 0) > 0;
  }

  /** Slices that a key of so many bits takes side by side; 0 where memory is plain rows. */
  gangOf(keyBits: number): number {
    const { ternary } = this.config;
    if (ternary === null || ternary.slices === 0) return 0;
    if (ternary.gang === 'whole') return Math.max(1, Math.ceil(keyBits / ternary.sliceBits));
    return gangFor(keyBits, ternary.sliceBits);
  }

  /** Whether a key fits at all. */
  fits(keyBits: number): boolean {
    return this.gangOf(keyBits) <= (this.config.ternary?.slices ?? 0);
  }

  /** Rows that a template could ever have. */
  maxRows(keyBits: number): number {
    const { ternary } = this.config;
    if (ternary === null) return 0;
    const gang = this.gangOf(keyBits);
    return gang === 0 ? ternary.depth : Math.floor(ternary.slices / gang) * ternary.depth;
  }

  /** Takes rows for a template that holds `held` and needs `needed`; the new number held, −1 when there are no more. */
  grow(keyBits: number, held: number, needed: number): number {
    const depth = this.config.ternary?.depth ?? 0;
    if (needed <= held) return held;
    const gang = this.gangOf(keyBits);
    if (gang === 0) {
      if (needed - held > this.freeRows) return -1;
      this.freeRows -= needed - held;
      return needed;
    }
    const gangs = Math.ceil((needed - held) / depth);
    if (gangs * gang > this.freeSlices) return -1;
    this.freeSlices -= gangs * gang;
    return held + gangs * depth;
  }

  /** Gives a template's rows back. */
  release(keyBits: number, held: number): void {
    const depth = this.config.ternary?.depth ?? 1;
    const gang = this.gangOf(keyBits);
    if (gang === 0) this.freeRows += held;
    else this.freeSlices += Math.round(held / depth) * gang;
  }
}
