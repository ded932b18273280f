// Entries sorted by priority from position 0, free space at the far end: what a table without any idea does.
//
// Naive idea, and this engine is it: find the place by priority, shift everything below it down by one, write. An
// insertion sort in hardware. Cost of an insertion: one move for every entry between its place and the free space, N at
// worst; of a removal: the same, to close the gap. Measured switches show it: update time proportional to occupancy
// (hw 3.2: 42 to 48 µs times occupancy, memory-tagged figures).
//
// Optimisation: a batch is merged instead of inserted one by one. Every resident entry goes straight to its final
// place, so it moves once at most, however many new entries go in above it.
//
// Order of steps: from the far end on, each entry into free space, so nothing is overtaken.

import {
  Slots,
  checkBatch,
  placed,
  refused,
  type PlacementEngine,
  type PlacementEntry,
  type PlacementResult,
} from './engine.ts';

export class ShiftingArray implements PlacementEngine {
  readonly name = 'shifting-array';
  readonly depth: number;
  readonly orderedDepth: number;
  private readonly slots: Slots;
  /** Priority of the entry at each position below `count`, never falling. */
  private readonly priorityAt: Float64Array;

  constructor(depth: number) {
    this.slots = new Slots(depth);
    this.depth = depth;
    this.orderedDepth = depth;
    this.priorityAt = new Float64Array(depth);
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
    const { slots, priorityAt } = this;
    slots.steps.clear();
    if (slots.placeOf(entry.id) >= 0) return refused('entry-exists');
    if (slots.count === this.depth) return refused('no-free-entry');
    const place = this.upperBound(entry.priority);
    const moves = slots.count - place;
    for (let p = slots.count - 1; p >= place; p--) slots.move(p, p + 1);
    priorityAt.copyWithin(place + 1, place, slots.count);
    priorityAt[place] = entry.priority;
    slots.write(entry.id, place);
    return placed(place, moves);
  }

  remove(id: number): PlacementResult {
    const { slots } = this;
    slots.steps.clear();
    const place = slots.placeOf(id);
    if (place < 0) return refused('unknown-entry');
    const last = slots.count - 1;
    slots.invalidate(place);
    for (let p = place + 1; p <= last; p++) slots.move(p, p - 1);
    this.priorityAt.copyWithin(place, place + 1, last + 1);
    return placed(place, last - place);
  }

  insertBatch(entries: readonly PlacementEntry[]): PlacementResult {
    const { slots, priorityAt } = this;
    slots.steps.clear();
    const status = checkBatch(entries, this);
    if (status !== 'ok') return refused(status);
    const sorted = [...entries].sort((a, b) => a.priority - b.priority);
    // Merge from the far end: `to` is the final place of the next entry, resident or new, going up.
    let from = slots.count - 1;
    let next = sorted.length - 1;
    let moves = 0;
    for (let to = from + sorted.length; next >= 0; to--) {
      const entry = sorted[next];
      if (from >= 0 && priorityAt[from] > entry.priority) {
        slots.move(from, to);
        priorityAt[to] = priorityAt[from];
        from--;
        moves++;
      } else {
        slots.write(entry.id, to);
        priorityAt[to] = entry.priority;
        next--;
      }
    }
    return placed(-1, moves);
  }

  /** First position with a larger priority number: after those of equal priority. */
  private upperBound(priority: number): number {
    let low = 0;
    let high = this.slots.count;
    while (low < high) {
      const mid = (low + high) >> 1;
      if (this.priorityAt[mid] <= priority) low = mid + 1;
      else high = mid;
    }
    return low;
  }
}
