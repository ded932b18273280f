// Prefix-length order with the free space in the middle: PLO_OPT of Shah and Gupta, "Fast incremental updates on
// Ternary-CAMs" (Hot Interconnects 2000, IEEE Micro 2001), and its plain form with the free space at the end.
//
// Naive idea: keep longest-prefix tables sorted, one entry at a time. Optimisation 1 ("L"): prefixes of one length
// never match the same packet, so one length is one group of free inner order, and a group steps aside by moving one
// entry from its one end to the other; at most W moves for W-bit addresses. Optimisation 2 (PLO_OPT): the free space
// lies between the longer half and the shorter half, so only the groups between a length and the middle step aside: at
// most W/2 moves (16 for IPv4, hw 3.1: bound from memory of the paper; it follows from the layout, and tests hold it).
//
// Levels stand for lengths: level = W − length = the entry's priority, 0 to `levels` − 1. Groups of levels below
// `upperLevels` are packed from position 0 on, the others against the end. A removal closes its hole in the same way.
// The engine serves any rule set whose priorities are few small numbers.

import {
  Slots,
  checkBatch,
  insertInOrder,
  placed,
  refused,
  type PlacementEngine,
  type PlacementEntry,
  type PlacementResult,
} from './engine.ts';
import { assert } from '../../base/assert.ts';

/** Priority of a prefix of `length` bits among addresses of `widthBits` bits. */
export function prefixPriority(widthBits: number, length: number): number {
  return widthBits - length;
}

export class PrefixLengthOrder implements PlacementEngine {
  readonly name: string;
  readonly depth: number;
  readonly orderedDepth: number;
  private readonly levels: number;
  private readonly upperLevels: number;
  private readonly slots: Slots;
  /** Position of the first entry of each level, and how many there are. */
  private readonly start: Int32Array;
  private readonly size: Int32Array;
  private readonly levelOf = new Map<number, number>();

  /**
   * `levels` priorities, 0 to levels − 1 (33 for IPv4: lengths 32 to 0). Levels below `upperLevels` lie above the free
   * space: half of them for PLO_OPT (the default), all of them for free space at the end.
   */
  constructor(depth: number, levels: number, upperLevels = levels >> 1) {
    assert(levels > 0 && upperLevels >= 0 && upperLevels <= levels, 'prefix order: levels');
    this.slots = new Slots(depth);
    this.depth = depth;
    this.orderedDepth = depth;
    this.levels = levels;
    this.upperLevels = upperLevels;
    this.name = upperLevels === levels ? 'prefix-length-end' : 'prefix-length-middle';
    this.start = new Int32Array(levels);
    this.start.fill(depth, upperLevels);
    this.size = new Int32Array(levels);
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
    this.slots.steps.clear();
    return this.insertOne(entry);
  }

  /** Levels far from the free space first: later ones then have fewer groups to pass. */
  insertBatch(entries: readonly PlacementEntry[]): PlacementResult {
    this.slots.steps.clear();
    const status = checkBatch(entries, this);
    if (status !== 'ok') return refused(status);
    if (entries.some((entry) => !this.isLevel(entry.priority)))
      return refused('priority-out-of-range');
    const distance = (entry: PlacementEntry): number =>
      Math.abs(entry.priority + 0.5 - this.upperLevels);
    const order = [...entries].sort((a, b) => distance(b) - distance(a));
    return insertInOrder(order, (entry) => this.insertOne(entry));
  }

  remove(id: number): PlacementResult {
    const { slots, start, size } = this;
    slots.steps.clear();
    const place = slots.placeOf(id);
    if (place < 0) return refused('unknown-entry');
    const level = this.levelOf.get(id) as number;
    this.levelOf.delete(id);
    slots.invalidate(place);
    let hole = place;
    let moves = 0;
    // Each group fills the hole with its entry nearest to the free space; the hole wanders there.
    const isUpper = level < this.upperLevels;
    const step = isUpper ? 1 : -1;
    for (let g = level; isUpper ? g < this.upperLevels : g >= this.upperLevels; g += step) {
      if (size[g] === 0) continue;
      const edge = start[g] + (isUpper ? size[g] - 1 : 0);
      if (g === level) {
        if (edge !== hole) {
          slots.move(edge, hole);
          moves++;
        }
        size[g] = size[g] - 1;
        if (!isUpper) start[g] = start[g] + 1;
      } else {
        slots.move(edge, hole);
        moves++;
        start[g] = start[g] - step;
      }
      hole = edge;
    }
    this.alignEmpty();
    return placed(place, moves);
  }

  private insertOne(entry: PlacementEntry): PlacementResult {
    const { slots, start, size } = this;
    const level = entry.priority;
    if (slots.placeOf(entry.id) >= 0) return refused('entry-exists');
    if (!this.isLevel(level)) return refused('priority-out-of-range');
    if (slots.count === this.depth) return refused('no-free-entry');
    const isUpper = level < this.upperLevels;
    let moves = 0;
    let free: number;
    if (isUpper) {
      free = this.upperEnd();
      for (let g = this.upperLevels - 1; g > level; g--) {
        if (size[g] === 0) continue;
        slots.move(start[g], free);
        free = start[g];
        start[g] = free + 1;
        moves++;
      }
      if (size[level] === 0) start[level] = free;
    } else {
      free = this.lowerStart() - 1;
      for (let g = this.upperLevels; g < level; g++) {
        if (size[g] === 0) continue;
        const edge = start[g] + size[g] - 1;
        slots.move(edge, free);
        start[g] = start[g] - 1;
        free = edge;
        moves++;
      }
      start[level] = free;
    }
    size[level] = size[level] + 1;
    slots.write(entry.id, free);
    this.levelOf.set(entry.id, level);
    return placed(free, moves);
  }

  private isLevel(priority: number): boolean {
    return Number.isInteger(priority) && priority >= 0 && priority < this.levels;
  }

  /** One past the last entry above the free space. */
  private upperEnd(): number {
    for (let g = this.upperLevels - 1; g >= 0; g--)
      if (this.size[g] > 0) return this.start[g] + this.size[g];
    return 0;
  }

  /** First entry below the free space. */
  private lowerStart(): number {
    for (let g = this.upperLevels; g < this.levels; g++) if (this.size[g] > 0) return this.start[g];
    return this.depth;
  }

  private alignEmpty(): void {
    for (let g = 0; g < this.levels; g++)
      if (this.size[g] === 0) this.start[g] = g < this.upperLevels ? 0 : this.depth;
  }
}
