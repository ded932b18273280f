// Chain-ancestor order with the free space in the middle: CAO_OPT of Shah and Gupta (see prefix-length.ts), carried over
// from prefixes to any ternary entries.
//
// Naive idea: keep everything in order of priority. Optimisation 1: only entries that some packet matches together
// constrain each other (constraint-graph.ts); the rest may lie anywhere. To make room for an entry, one entry of its
// chain takes the place of the next one, and so on to the free space: as many moves as the chain has members there.
// Optimisation 2: the free space is in the middle of the chains. An entry goes above it when its longest chain upwards
// is not longer than its longest chain downwards, else below it, so at most half a chain lies on either side.
//
// Making room: the window of a new entry is the places between the lowest entry that must be above it and the highest
// that must be below. A free place in the window: no move. Else entries step down (or up) to the nearest free place in
// jumps, each as far as the next entry it may not pass: the fewest moves in that direction; the cheaper direction wins.
// For ternary entries the window may be empty (an entry that must be above lies below one that must be below): then
// those two sides are pulled past each other first (`untangle`). Prefixes never need that: their overlaps are nested.
//
// Bound: D/2 moves for an insertion among prefixes, D the longest chain, as long as the halves stay halves. A new prefix
// that covers many others shifts the middle of all their chains at once, and we rebalance an entry only when it moves
// anyway; so a series of such may cost up to D. (No scheme can promise D/2 there: one new entry can make any number of
// others change sides.) In random prefix tables with chains of 23, about 1 insertion in 1000 exceeded D/2, by one move;
// a single chain never does. Holes left by removals are kept as free places: a removal costs no move (the paper fills
// them).
// Cost to us: O(N) comparisons an insertion. The searches read, for each entry, the last place above and the first below it
// that it may not pass; these are kept as entries move, and found anew only when the entry that set them has gone the
// other way (10 times faster at 10 000 entries). Chain lengths follow within a bounded effort a change (chain-lengths.ts),
// so that the choice of side may lag behind by some changes after a very wide entry came or went.
// 10 000 rules of fw1 (3 million overlaps), inserted in random order: 0.15 ms an insertion, 2 ms in 1 of 100; those that
// move 1000 entries, 10 ms. Removing one: 0.4 ms (Node 20).

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
import { ConstraintGraph } from './constraint-graph.ts';
import type { IdList } from './id-list.ts';

/** To be found when next asked for: no place compares as nearer than these. */
const UNKNOWN_FLOOR = 0x7fffffff;
const UNKNOWN_CEILING = -2;

/** Moves after which an entry that finds others in wrong order looks for a better way. */
const FEW_MOVES = 8;

/** Entries on the wrong side of a run of free places, by place. */
interface Meeting {
  start: number;
  end: number;
  rising: number[];
  sinking: number[];
  cost: number;
}

export class ChainAncestorOrder implements PlacementEngine {
  readonly name = 'chain-ancestor';
  readonly depth: number;
  readonly orderedDepth: number;
  private readonly slots: Slots;
  private readonly graph = new ConstraintGraph();
  private moves = 0;
  /** By id: last place of the entries that must be above, −1; first place of those that must be below, `depth`. */
  private floor = new Int32Array(64);
  private ceiling = new Int32Array(64);

  constructor(depth: number) {
    this.slots = new Slots(depth);
    this.depth = depth;
    this.orderedDepth = depth;
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

  /** Entries on the longest chain through `id`. */
  chainLength(id: number): number {
    const { chainAbove, chainBelow } = this.graph;
    chainAbove.settle();
    chainBelow.settle();
    return chainAbove.of(id) + chainBelow.of(id) - 1;
  }

  insert(entry: PlacementEntry): PlacementResult {
    this.slots.steps.clear();
    return this.insertOne(entry);
  }

  /** From both ends of the order towards its middle, where the free space is. */
  insertBatch(entries: readonly PlacementEntry[]): PlacementResult {
    this.slots.steps.clear();
    const status = checkBatch(entries, this);
    if (status !== 'ok') return refused(status);
    const sorted = [...entries].sort((a, b) => a.priority - b.priority);
    const order: PlacementEntry[] = [];
    for (let low = 0, high = sorted.length - 1; low <= high; low++, high--) {
      order.push(sorted[low]);
      if (high > low) order.push(sorted[high]);
    }
    return insertInOrder(order, (entry) => this.insertOne(entry));
  }

  remove(id: number): PlacementResult {
    this.slots.steps.clear();
    const place = this.slots.placeOf(id);
    if (place < 0) return refused('unknown-entry');
    this.slots.invalidate(place);
    this.notePlace(id, place, -1);
    this.graph.remove(id);
    return placed(place, 0);
  }

  private insertOne(entry: PlacementEntry): PlacementResult {
    const { slots, graph } = this;
    if (slots.placeOf(entry.id) >= 0) return refused('entry-exists');
    if (slots.count === this.depth) return refused('no-free-entry');
    graph.add(entry);
    if (entry.id >= this.floor.length) this.grow(entry.id);
    this.floor[entry.id] = UNKNOWN_FLOOR;
    this.ceiling[entry.id] = UNKNOWN_CEILING;
    this.moves = 0;
    this.untangle(entry.id);
    const place = this.openPlace(entry.id);
    slots.write(entry.id, place);
    this.notePlace(entry.id, -1, place);
    return placed(place, this.moves);
  }

  /** Last place of the entries that must be above, −1 for none. Entries not in place yet do not count. */
  private findFloor(id: number): number {
    let floor = -1;
    const { items, count } = this.graph.aboveOf(id);
    for (let i = 0; i < count; i++) {
      const place = this.slots.placeOf(items[i]);
      if (place > floor) floor = place;
    }
    return floor;
  }

  /** First place of the entries that must be below, `depth` for none. */
  private findCeiling(id: number): number {
    let ceiling = this.depth;
    const { items, count } = this.graph.belowOf(id);
    for (let i = 0; i < count; i++) {
      const place = this.slots.placeOf(items[i]);
      if (place >= 0 && place < ceiling) ceiling = place;
    }
    return ceiling;
  }

  private floorOf(id: number): number {
    if (this.floor[id] === UNKNOWN_FLOOR) this.floor[id] = this.findFloor(id);
    return this.floor[id];
  }

  private ceilingOf(id: number): number {
    if (this.ceiling[id] === UNKNOWN_CEILING) this.ceiling[id] = this.findCeiling(id);
    return this.ceiling[id];
  }

  /** An entry went from place `from` (−1: none) to `to` (−1: none): its neighbours' floors and ceilings follow. */
  private notePlace(id: number, from: number, to: number): void {
    const { floor, ceiling } = this;
    const above = this.graph.aboveOf(id);
    for (let i = 0; i < above.count; i++) {
      const other = above.items[i];
      if (to >= 0 && to <= ceiling[other]) ceiling[other] = to;
      else if (ceiling[other] === from) ceiling[other] = UNKNOWN_CEILING;
    }
    const below = this.graph.belowOf(id);
    for (let i = 0; i < below.count; i++) {
      const other = below.items[i];
      if (to >= 0 && to >= floor[other]) floor[other] = to;
      else if (floor[other] === from) floor[other] = UNKNOWN_FLOOR;
    }
  }

  private grow(id: number): void {
    const size = Math.max(this.floor.length * 2, id + 1);
    for (const name of ['floor', 'ceiling'] as const) {
      const larger = new Int32Array(size);
      larger.set(this[name]);
      this[name] = larger;
    }
  }

  private firstFree(from: number): number {
    const place = this.slots.idAt.indexOf(-1, Math.max(0, from));
    return place < 0 ? this.depth : place;
  }

  private lastFree(before: number): number {
    return before <= 0 ? -1 : this.slots.idAt.lastIndexOf(-1, before - 1);
  }

  /** A free place in the window of `id`, made by the fewest moves. */
  private openPlace(id: number): number {
    const floor = this.floorOf(id);
    const ceiling = this.ceilingOf(id);
    const free = this.freePlaceIn(id, floor, ceiling);
    if (free >= 0) return free;
    const down = this.chainDown(floor, ceiling);
    const up = this.chainUp(floor, ceiling);
    if (up.length === 0 || (down.length > 0 && down.length <= up.length)) return this.play(down);
    return this.play(up);
  }

  /** Where to put an entry that finds free places in its window: at the edge of the free space on its side. */
  private freePlaceIn(id: number, floor: number, ceiling: number): number {
    const first = this.firstFree(floor + 1);
    if (first >= ceiling) return -1;
    const isUpper = this.graph.chainAbove.of(id) <= this.graph.chainBelow.of(id);
    return isUpper ? first : this.lastFree(ceiling);
  }

  /**
   * Places of the entries that step down, the first in or at the end of the window, then the free place; empty when
   * there is none. Breadth first: `reach` is the farthest place that so many jumps get to. The last one goes to the
   * edge of the free space on its side (this is how entries change sides), but never back past those that follow it.
   */
  private chainDown(floor: number, ceiling: number): number[] {
    const free = this.firstFree(floor + 1);
    if (free === this.depth) return [];
    const path: number[] = [];
    let from = floor + 1;
    let reach = Math.min(ceiling, this.depth - 1);
    while (free > reach) {
      let best = -1;
      let bestReach = reach;
      for (let p = from; p <= reach; p++) {
        const next = this.ceilingOf(this.slots.idAt[p]);
        if (next > bestReach) {
          best = p;
          bestReach = next;
        }
      }
      path.push(best);
      from = reach + 1;
      reach = Math.min(bestReach, this.depth - 1);
    }
    const last = path[path.length - 1];
    const id = this.slots.idAt[last];
    path.push(this.freePlaceIn(id, last, this.ceilingOf(id)));
    return path;
  }

  private chainUp(floor: number, ceiling: number): number[] {
    const free = this.lastFree(ceiling);
    if (free < 0) return [];
    const path: number[] = [];
    let from = ceiling - 1;
    let reach = Math.max(floor, 0);
    while (free < reach) {
      let best = -1;
      let bestReach = reach;
      for (let p = from; p >= reach; p--) {
        const next = this.floorOf(this.slots.idAt[p]);
        if (next < bestReach) {
          best = p;
          bestReach = next;
        }
      }
      path.push(best);
      from = reach - 1;
      reach = Math.max(bestReach, 0);
    }
    const last = path[path.length - 1];
    const id = this.slots.idAt[last];
    path.push(this.freePlaceIn(id, this.floorOf(id), last));
    return path;
  }

  /** Moves the last of the path first; returns the place that the first one left (the free place of a path of one). */
  private play(path: readonly number[]): number {
    for (let i = path.length - 2; i >= 0; i--) {
      const id = this.slots.idAt[path[i]];
      this.slots.move(path[i], path[i + 1]);
      this.notePlace(id, path[i], path[i + 1]);
      this.moves++;
    }
    return path[0];
  }

  /**
   * Makes the window of `id` non-empty. Each round moves members of one side only, entries that must lie below it
   * downwards or those above it upwards, so the pairs in wrong order get fewer every time. A wide entry that comes late may
   * find thousands in wrong order: once rounds have cost as much as it would to bring both sides to the largest hole,
   * that is done instead, so at most about twice the cheaper of the two.
   */
  private untangle(id: number): void {
    const movesBefore = this.moves;
    let holeFrom = FEW_MOVES;
    for (;;) {
      const floor = this.floorOf(id);
      const ceiling = this.ceilingOf(id);
      if (floor < ceiling) return;
      if (this.moves - movesBefore >= holeFrom) {
        const meeting = this.meeting(id);
        if (meeting === null) holeFrom = Infinity;
        else if (meeting.cost <= this.moves - movesBefore) return this.meet(meeting);
        else holeFrom = meeting.cost;
      }
      if (this.firstFree(floor + 1) < this.depth) this.sinkOne(floor, ceiling);
      else if (this.lastFree(ceiling) >= 0) this.riseOne(floor, ceiling);
      else this.play(this.strictUp(floor, floor));
    }
  }

  /** The last of a chain that starts at `ceiling` goes below `floor`. */
  private sinkOne(floor: number, ceiling: number): void {
    let low = ceiling;
    for (;;) {
      const next = this.ceilingOf(this.slots.idAt[low]);
      if (next > floor) break;
      low = next;
    }
    this.play(this.strictDown(low, floor));
  }

  private riseOne(floor: number, ceiling: number): void {
    let high = floor;
    for (;;) {
      const next = this.floorOf(this.slots.idAt[high]);
      if (next < ceiling) break;
      high = next;
    }
    this.play(this.strictUp(high, ceiling));
  }

  /** What it takes to have `id` in the largest run of free places; null without room. */
  private meeting(id: number): Meeting | null {
    const { graph } = this;
    const [start, end] = this.largestHole();
    const rising = this.wrongSide(id, graph.above, end, this.depth);
    const sinking = this.wrongSide(id, graph.below, 0, start);
    const cost = rising.length + sinking.length;
    return cost < end - start ? { start, end, rising, sinking, cost } : null;
  }

  /** Those that must be above go to the start of the hole, those that must be below to its end, each in one move. */
  private meet({ start, end, rising, sinking }: Meeting): void {
    for (let i = 0; i < rising.length; i++) this.play([rising[i], start + i]);
    for (let i = 1; i <= sinking.length; i++) this.play([sinking[sinking.length - i], end - i]);
  }

  /** Places from `low` and below `high` of all that hang on `id` in one direction, in order. */
  private wrongSide(
    id: number,
    lists: readonly (IdList | undefined)[],
    low: number,
    high: number,
  ): number[] {
    const found = new Set<number>();
    const work = [id];
    for (let at = 0; at < work.length; at++) {
      const { items, count } = lists[work[at]] as IdList;
      for (let i = 0; i < count; i++) {
        const place = this.slots.placeOf(items[i]);
        if (place < low || place >= high || found.has(place)) continue;
        found.add(place);
        work.push(items[i]);
      }
    }
    return [...found].sort((a, b) => a - b);
  }

  /** The longest run of free places: the first, and the first behind it. */
  private largestHole(): [number, number] {
    let best: [number, number] = [0, 0];
    for (let start = this.firstFree(0); start < this.depth;) {
      let end = start;
      while (end < this.depth && this.slots.idAt[end] < 0) end++;
      if (end - start > best[1] - best[0]) best = [start, end];
      start = this.firstFree(end);
    }
    return best;
  }

  /** The entry at `from` goes below `floor`, pushing down only entries that must lie below it. */
  private strictDown(from: number, floor: number): number[] {
    const path = [from];
    for (let p = from, low = floor; ;) {
      const free = this.firstFree(Math.max(p, low) + 1);
      const next = this.ceilingOf(this.slots.idAt[p]);
      path.push(free < next ? free : next);
      if (free < next) return path;
      p = next;
      low = next;
    }
  }

  private strictUp(from: number, ceiling: number): number[] {
    const path = [from];
    for (let p = from, high = ceiling; ;) {
      const free = this.lastFree(Math.min(p, high));
      const next = this.floorOf(this.slots.idAt[p]);
      path.push(free > next ? free : next);
      if (free > next) return path;
      p = next;
      high = next;
    }
  }
}
