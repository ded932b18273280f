// Linux's priority array manager, LSORT algorithm, as mlxsw uses it for its C-TCAM regions (lib/parman.c; hw 3.1).
//
// Naive idea: a sorted array that shifts (shifting-array.ts), N moves an insertion. Optimisation: entries of one
// priority form a chunk whose inner order is free, so a chunk moves down by one when its FIRST entry goes to the free
// place behind its last one. Cost of an insertion: one move for each non-empty chunk behind the new entry's chunk; of a
// removal: one move unless the entry was the last of its chunk (the last one fills the hole), and one for each
// non-empty chunk behind. With all priorities different that is the shifting array again.
//
// The region starts with 16 positions and grows and shrinks by 16 (one register write each, `resizes`); it shrinks when
// 16 positions are unused, never below the start. It never grows beyond `depth`.
//
// Batches: a chunk that must go down by D places moves min(D, its size) entries when it goes at once.
// Not here: mlxsw's own rehash of regions when the masks change.

import { assert } from '../../base/assert.ts';
import {
  Slots,
  checkBatch,
  placed,
  refused,
  type PlacementEngine,
  type PlacementEntry,
  type PlacementResult,
} from './engine.ts';

const BASE_COUNT = 16;
const RESIZE_STEP = 16;

interface Chunk {
  readonly priority: number;
  start: number;
  size: number;
}

export class Parman implements PlacementEngine {
  readonly name = 'parman';
  readonly depth: number;
  readonly orderedDepth: number;
  /** Positions that the region has now. */
  regionSize: number;
  /** Resizes of the region so far, and in the last call. */
  resizes = 0;
  lastResizes = 0;
  private readonly slots: Slots;
  /** Non-empty chunks in order of priority, back to back from position 0. */
  private readonly chunks: Chunk[] = [];

  constructor(depth: number) {
    this.slots = new Slots(depth);
    this.depth = depth;
    this.orderedDepth = depth;
    this.regionSize = Math.min(BASE_COUNT, depth);
  }

  get count(): number {
    return this.slots.count;
  }

  get steps() {
    return this.slots.steps;
  }

  placeOf(id: number): number {
    return this.slots.placeOf(id);
  }

  insert(entry: PlacementEntry): PlacementResult {
    const { slots } = this;
    this.begin();
    if (slots.placeOf(entry.id) >= 0) return refused('entry-exists');
    if (slots.count === this.depth) return refused('no-free-entry');
    this.enlarge(slots.count + 1);
    const k = this.chunkFor(entry.priority);
    const chunks = this.chunks;
    for (let j = chunks.length - 1; j > k; j--) this.shiftDown(chunks[j], 1);
    const place = this.append(chunks[k], entry.id);
    return placed(place, chunks.length - 1 - k);
  }

  remove(id: number): PlacementResult {
    const { slots, chunks } = this;
    this.begin();
    const place = slots.placeOf(id);
    if (place < 0) return refused('unknown-entry');
    const k = this.chunkAt(place);
    const chunk = chunks[k];
    const last = chunk.start + chunk.size - 1;
    slots.invalidate(place);
    let moves = chunks.length - 1 - k;
    if (place !== last) {
      slots.move(last, place);
      moves++;
    }
    chunk.size--;
    for (let j = k + 1; j < chunks.length; j++) {
      const later = chunks[j];
      slots.move(later.start + later.size - 1, later.start - 1);
      later.start--;
    }
    if (chunk.size === 0) chunks.splice(k, 1);
    this.shrink();
    return placed(place, moves);
  }

  insertBatch(entries: readonly PlacementEntry[]): PlacementResult {
    this.begin();
    const status = checkBatch(entries, this);
    if (status !== 'ok') return refused(status);
    this.enlarge(this.slots.count + entries.length);
    const sorted = [...entries].sort((a, b) => a.priority - b.priority);
    for (const entry of sorted) this.chunkFor(entry.priority);
    let left = sorted.length;
    let moves = 0;
    // From the last chunk on: every chunk goes down by the number of new entries in the chunks before it.
    for (let j = this.chunks.length - 1; j >= 0 && left > 0; j--) {
      const chunk = this.chunks[j];
      const end = left;
      while (left > 0 && sorted[left - 1].priority === chunk.priority) left--;
      moves += this.shiftDown(chunk, left);
      for (let i = left; i < end; i++) this.append(chunk, sorted[i].id);
    }
    return placed(-1, moves);
  }

  private begin(): void {
    this.slots.steps.clear();
    this.lastResizes = 0;
  }

  private append(chunk: Chunk, id: number): number {
    const place = chunk.start + chunk.size;
    this.slots.write(id, place);
    chunk.size++;
    return place;
  }

  /** Moves a chunk down by `by` places that are free behind it; returns the moves. */
  private shiftDown(chunk: Chunk, by: number): number {
    const moves = Math.min(by, chunk.size);
    const offset = Math.max(by, chunk.size);
    for (let i = 0; i < moves; i++) this.slots.move(chunk.start + i, chunk.start + offset + i);
    chunk.start += by;
    return moves;
  }

  /** Index of the chunk with this priority, made empty if there is none. */
  private chunkFor(priority: number): number {
    const chunks = this.chunks;
    let low = 0;
    let high = chunks.length;
    while (low < high) {
      const mid = (low + high) >> 1;
      if (chunks[mid].priority < priority) low = mid + 1;
      else high = mid;
    }
    if (low < chunks.length && chunks[low].priority === priority) return low;
    const before = chunks[low - 1];
    const start = before === undefined ? 0 : before.start + before.size;
    chunks.splice(low, 0, { priority, start, size: 0 });
    return low;
  }

  private chunkAt(place: number): number {
    let low = 0;
    let high = this.chunks.length - 1;
    while (low < high) {
      const mid = (low + high + 1) >> 1;
      if (this.chunks[mid].start <= place) low = mid;
      else high = mid - 1;
    }
    const chunk = this.chunks[low];
    assert(chunk !== undefined && place < chunk.start + chunk.size, 'parman: place in no chunk');
    return low;
  }

  private enlarge(needed: number): void {
    while (this.regionSize < needed) {
      this.regionSize = Math.min(this.regionSize + RESIZE_STEP, this.depth);
      this.noteResize();
    }
  }

  private shrink(): void {
    if (this.regionSize - this.slots.count < RESIZE_STEP) return;
    if (this.regionSize - RESIZE_STEP < BASE_COUNT) return;
    this.regionSize -= RESIZE_STEP;
    this.noteResize();
  }

  private noteResize(): void {
    this.resizes++;
    this.lastResizes++;
  }
}
