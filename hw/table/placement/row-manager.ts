// Rows of equal priority, as the TCAM manager of Broadcom's bnxt firmware interface does it (DPDK
// bnxt/tf_core/cfa_tcam_mgr.c, read; hw 3.1).
//
// A row has 1, 2 or 4 slices and holds that many narrow entries of ONE priority and ONE width; the whole row has one
// place in the order. Naive idea: a row per entry, shifted one by one. Optimisations: an entry first looks for room in a
// row of its priority and width (no move); else it needs a row, and only one row of each priority between the free row
// and its place moves (the one at the far end of that priority goes to the free row). Rows fill from the bottom up,
// lowest precedence last; rows of the top priority fill from the top down and never move. So free rows always lie
// between the two. Cost: one row move for each distinct priority between the place and the free rows.
//
// A removal first tries to empty its row (each entry left moves to a partly used row of equal priority and width), then
// closes the gap with one row move for each distinct priority above it.
// A row move rewrites every entry of the row: one move in `moves`, a step for each entry. Positions count slices.
// Not here: the driver's session and resource bookkeeping.

import { assert } from '../../base/assert.ts';
import {
  Slots,
  insertInOrder,
  placed,
  refused,
  type PlacementEngine,
  type PlacementEntry,
  type PlacementResult,
  type PlacementStatus,
} from './engine.ts';

export class RowManager implements PlacementEngine {
  readonly name = 'rows-per-priority';
  /** Slices in all rows. */
  readonly depth: number;
  readonly orderedDepth: number;
  private readonly rows: number;
  private readonly sliceCount: number;
  private readonly topPriority: number;
  private readonly slots: Slots;
  private readonly priorityOf: Float64Array;
  /** Slices of each entry in the row. */
  private readonly widthOf: Uint8Array;
  /** Entries in the row; 0 is a free row. */
  private readonly usedOf: Uint8Array;
  private freeRows: number;
  /** Row moves so far. */
  private rowMoves = 0;

  /** `sliceCount` slices a row: 1, 2 or 4. Entries of priority `topPriority` fill from the top. */
  constructor(rows: number, sliceCount = 1, topPriority = 0) {
    assert(sliceCount === 1 || sliceCount === 2 || sliceCount === 4, 'rows: 1, 2 or 4 slices');
    this.slots = new Slots(rows * sliceCount);
    this.depth = rows * sliceCount;
    this.orderedDepth = this.depth;
    this.rows = rows;
    this.sliceCount = sliceCount;
    this.topPriority = topPriority;
    this.priorityOf = new Float64Array(rows);
    this.widthOf = new Uint8Array(rows);
    this.usedOf = new Uint8Array(rows);
    this.freeRows = rows;
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

  /** Lowest precedence first, so that rows stack up without moving each other. */
  insertBatch(entries: readonly PlacementEntry[]): PlacementResult {
    this.slots.steps.clear();
    const status = this.checkRows(entries);
    if (status !== 'ok') return refused(status);
    const order = [...entries].sort((a, b) => b.priority - a.priority);
    return insertInOrder(order, (entry) => this.insertOne(entry));
  }

  remove(id: number): PlacementResult {
    const { slots } = this;
    slots.steps.clear();
    const place = slots.placeOf(id);
    if (place < 0) return refused('unknown-entry');
    const row = Math.floor(place / this.sliceCount);
    slots.invalidate(place);
    this.usedOf[row] = this.usedOf[row] - 1;
    let moves = 0;
    if (this.usedOf[row] > 0) moves += this.combine(row);
    if (this.usedOf[row] === 0) {
      this.freeRows++;
      moves += this.compact(row);
    }
    return placed(place, moves);
  }

  private insertOne(entry: PlacementEntry): PlacementResult {
    const { slots, sliceCount } = this;
    const { id, priority, slices } = entry;
    if (slots.placeOf(id) >= 0) return refused('entry-exists');
    if (!this.isWidth(slices)) return refused('key-too-wide');
    if (priority < this.topPriority) return refused('priority-out-of-range');
    if (slices < sliceCount) {
      const place = this.partlyUsed(priority, slices, -1);
      if (place >= 0) {
        this.writeEntry(id, place);
        return placed(place, 0);
      }
    }
    if (this.freeRows === 0) return refused('no-free-entry');
    const movesBefore = this.rowMoves;
    const row = this.openRow(priority);
    this.priorityOf[row] = priority;
    this.widthOf[row] = slices;
    this.freeRows--;
    this.writeEntry(id, row * sliceCount);
    return placed(row * sliceCount, this.rowMoves - movesBefore);
  }

  private writeEntry(id: number, place: number): void {
    this.slots.write(id, place);
    const row = Math.floor(place / this.sliceCount);
    this.usedOf[row] = this.usedOf[row] + 1;
  }

  private isWidth(slices: number): boolean {
    return slices >= 1 && slices <= this.sliceCount && this.sliceCount % slices === 0;
  }

  /** First free slice among rows of this priority and width, other than `except`; −1 for none. */
  private partlyUsed(priority: number, slices: number, except: number): number {
    const { usedOf, priorityOf, widthOf, sliceCount } = this;
    const fits = sliceCount / slices;
    for (let row = 0; row < this.rows; row++) {
      if (usedOf[row] === 0 || row === except) continue;
      if (priorityOf[row] > priority) break;
      if (priorityOf[row] !== priority || widthOf[row] !== slices || usedOf[row] === fits) continue;
      for (let s = 0; s < sliceCount; s += slices)
        if (this.slots.idAt[row * sliceCount + s] === -1) return row * sliceCount + s;
    }
    return -1;
  }

  /** A free row at the right place; there is one. */
  private openRow(priority: number): number {
    const { usedOf, priorityOf } = this;
    if (priority === this.topPriority) {
      let row = 0;
      while (usedOf[row] !== 0) row++;
      return row;
    }
    let free = this.rows - 1;
    let target = -1;
    for (; usedOf[free] !== 0; free--) if (target < 0 && priorityOf[free] < priority) target = free;
    while (free < target) {
      // The last row of the next priority goes up to the free row.
      let from = free + 1;
      while (from < target && priorityOf[from + 1] === priorityOf[from]) from++;
      this.moveRow(from, free);
      free = from;
    }
    return free;
  }

  private moveRow(from: number, to: number): void {
    const { sliceCount, slots } = this;
    for (let s = 0; s < sliceCount; s++)
      if (slots.idAt[from * sliceCount + s] !== -1)
        slots.move(from * sliceCount + s, to * sliceCount + s);
    this.priorityOf[to] = this.priorityOf[from];
    this.widthOf[to] = this.widthOf[from];
    this.usedOf[to] = this.usedOf[from];
    this.usedOf[from] = 0;
    this.rowMoves++;
  }

  /** Moves entries of a partly used row to others like it; returns the moves. */
  private combine(row: number): number {
    const { sliceCount, slots } = this;
    const slices = this.widthOf[row];
    let moves = 0;
    for (let s = 0; s < sliceCount; s += slices) {
      const from = row * sliceCount + s;
      if (slots.idAt[from] === -1) continue;
      const to = this.partlyUsed(this.priorityOf[row], slices, row);
      if (to < 0) break;
      slots.move(from, to);
      const toRow = Math.floor(to / sliceCount);
      this.usedOf[toRow] = this.usedOf[toRow] + 1;
      this.usedOf[row] = this.usedOf[row] - 1;
      moves++;
    }
    return moves;
  }

  /** Lets the gap at `row` wander to the free rows; returns the row moves. */
  private compact(row: number): number {
    const { usedOf, priorityOf, topPriority } = this;
    const before = this.rowMoves;
    const isTop = priorityOf[row] === topPriority;
    const step = isTop ? 1 : -1;
    let gap = row;
    let edge = row + step;
    while (edge >= 0 && edge < this.rows && usedOf[edge] !== 0) {
      const priority = priorityOf[edge];
      if ((priority === topPriority) !== isTop) break;
      let far = edge;
      while (usedOf[far + step] !== 0 && priorityOf[far + step] === priority) far += step;
      this.moveRow(far, gap);
      gap = far;
      edge = far + step;
    }
    return this.rowMoves - before;
  }

  /** Whether the whole batch fits: rows needed by priority and width, less the room in partly used rows. */
  private checkRows(entries: readonly PlacementEntry[]): PlacementStatus {
    const wanted = new Map<string, number>();
    const seen = new Set<number>();
    for (const { id, priority, slices } of entries) {
      if (this.slots.placeOf(id) >= 0 || seen.has(id)) return 'entry-exists';
      if (!this.isWidth(slices)) return 'key-too-wide';
      if (priority < this.topPriority) return 'priority-out-of-range';
      seen.add(id);
      const key = `${priority}/${slices}`;
      wanted.set(key, (wanted.get(key) ?? 0) + 1);
    }
    const room = new Map<string, number>();
    for (let row = 0; row < this.rows; row++) {
      const used = this.usedOf[row];
      if (used === 0) continue;
      const width = this.widthOf[row];
      const key = `${this.priorityOf[row]}/${width}`;
      room.set(key, (room.get(key) ?? 0) + this.sliceCount / width - used);
    }
    let rowsNeeded = 0;
    for (const [key, count] of wanted) {
      const fits = this.sliceCount / Number(key.slice(key.indexOf('/') + 1));
      rowsNeeded += Math.ceil(Math.max(0, count - (room.get(key) ?? 0)) / fits);
    }
    return rowsNeeded > this.freeRows ? 'no-free-entry' : 'ok';
  }
}
