// Which entries constrain each other: an edge from a to b when some packet matches both and a wins (lower priority).
//
// The graph has no cycle (edges go from lower to higher priority). Entries of equal priority have no edge: any may win.
// An insertion is compared with every entry: one pass over flat arrays of keys (10 000 entries: 90 us; a walk over node
// objects took 300). Edges are kept as lists of ids in both directions, each in the order in which entries came, so that
// an entry is found in its neighbours' lists by bisection. Rule sets with wide wildcards have long lists: 8 bytes for each
// pair that overlaps (fw1 as prefixes: 32 000 entries, 7 million pairs).
// For prefixes the edges are exactly "is a longer prefix of", so paths are the chains of Shah and Gupta's CAO.

import { assert } from '../../base/assert.ts';
import { ChainLengths } from './chain-lengths.ts';
import type { PlacementEntry } from './engine.ts';
import { IdList } from './id-list.ts';

const NO_IDS = new IdList();

export class ConstraintGraph {
  /** Entries on the longest chain that ends at an entry coming from above, that one included; and downwards from it. */
  readonly chainAbove: ChainLengths;
  readonly chainBelow: ChainLengths;
  /** By id: those that must lie above (lower positions), and below. */
  readonly above: (IdList | undefined)[] = [];
  readonly below: (IdList | undefined)[] = [];
  /** By id: row of its key in the flat arrays, its priority, and when it came. */
  private rowOf = new Int32Array(64);
  private priorityOf = new Float64Array(64);
  private serialOf = new Float64Array(64);
  private serials = 0;
  /** Words of a key; known from the first entry. */
  private words = 0;
  private rows = 0;
  private idOfRow = new Int32Array(64);
  private priorityOfRow = new Float64Array(64);
  private value = new Uint32Array(0);
  private mask = new Uint32Array(0);

  constructor() {
    const isBefore = (a: number, b: number): boolean => this.priorityOf[a] < this.priorityOf[b];
    const nearer = (id: number): IdList => this.aboveOf(id);
    const farther = (id: number): IdList => this.belowOf(id);
    this.chainAbove = new ChainLengths({ nearer, farther, isBefore });
    const isAfter = (a: number, b: number): boolean => this.priorityOf[a] > this.priorityOf[b];
    this.chainBelow = new ChainLengths({ nearer: farther, farther: nearer, isBefore: isAfter });
  }

  /** Ids that must lie above an entry. */
  aboveOf(id: number): IdList {
    return this.above[id] ?? NO_IDS;
  }

  belowOf(id: number): IdList {
    return this.below[id] ?? NO_IDS;
  }

  add(entry: PlacementEntry): void {
    const { id } = entry;
    if (id >= this.rowOf.length) this.growIds(id);
    this.priorityOf[id] = entry.priority;
    this.serialOf[id] = this.serials++;
    this.above[id] = new IdList();
    this.below[id] = new IdList();
    this.connect(entry);
    this.append(entry);
    this.chainAbove.added(id);
    this.chainBelow.added(id);
  }

  remove(id: number): void {
    const above = this.aboveOf(id);
    const below = this.belowOf(id);
    for (let i = 0; i < above.count; i++) this.unlist(this.belowOf(above.items[i]), id);
    for (let i = 0; i < below.count; i++) this.unlist(this.aboveOf(below.items[i]), id);
    this.above[id] = undefined;
    this.below[id] = undefined;
    this.dropRow(this.rowOf[id]);
    this.chainAbove.removed(id, below);
    this.chainBelow.removed(id, above);
  }

  /** Finds the edges of a new entry: entries that differ in no bit that both care about. */
  private connect({ id, priority, value: own, mask: care }: PlacementEntry): void {
    const { words, value, mask } = this;
    const above = this.aboveOf(id);
    const below = this.belowOf(id);
    for (let row = 0; row < this.rows; row++) {
      const at = row * words;
      let w = 0;
      while (w < words && ((own[w] ^ value[at + w]) & care[w] & mask[at + w]) === 0) w++;
      if (w < words) continue;
      const order = this.priorityOfRow[row] - priority;
      const other = this.idOfRow[row];
      if (order < 0) {
        above.push(other);
        this.belowOf(other).push(id);
      } else if (order > 0) {
        below.push(other);
        this.aboveOf(other).push(id);
      }
    }
    this.sortBySerial(above);
    this.sortBySerial(below);
  }

  /** Rows are in order of arrival until one is dropped; lists must be. */
  private sortBySerial(list: IdList): void {
    const { serialOf } = this;
    const ids = list.items.subarray(0, list.count);
    for (let i = 1; i < ids.length; i++)
      if (serialOf[ids[i - 1]] > serialOf[ids[i]]) {
        ids.sort((a, b) => serialOf[a] - serialOf[b]);
        return;
      }
  }

  private unlist(list: IdList, id: number): void {
    const { serialOf } = this;
    const serial = serialOf[id];
    let [low, high] = [0, list.count - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (serialOf[list.items[middle]] < serial) low = middle + 1;
      else high = middle;
    }
    assert(list.items[low] === id, 'placement: an edge in one direction only');
    list.removeAt(low);
  }

  private append(entry: PlacementEntry): void {
    if (this.rows === 0) this.words = entry.mask.length;
    assert(entry.mask.length === this.words, 'placement: keys of different length in one table');
    const row = this.rows++;
    if (row >= this.idOfRow.length || this.value.length < (row + 1) * this.words) this.growRows();
    this.idOfRow[row] = entry.id;
    this.rowOf[entry.id] = row;
    this.priorityOfRow[row] = entry.priority;
    this.value.set(entry.value, row * this.words);
    this.mask.set(entry.mask, row * this.words);
  }

  /** The last row takes the place of the one that goes. */
  private dropRow(row: number): void {
    const last = --this.rows;
    if (row === last) return;
    const { words } = this;
    this.idOfRow[row] = this.idOfRow[last];
    this.priorityOfRow[row] = this.priorityOfRow[last];
    this.value.copyWithin(row * words, last * words, (last + 1) * words);
    this.mask.copyWithin(row * words, last * words, (last + 1) * words);
    this.rowOf[this.idOfRow[row]] = row;
  }

  private growRows(): void {
    const rows = Math.max(64, this.rows * 2);
    const copy = <T extends Int32Array | Float64Array | Uint32Array>(from: T, to: T): T => {
      to.set(from.subarray(0, to.length));
      return to;
    };
    this.idOfRow = copy(this.idOfRow, new Int32Array(rows));
    this.priorityOfRow = copy(this.priorityOfRow, new Float64Array(rows));
    this.value = copy(this.value, new Uint32Array(rows * this.words));
    this.mask = copy(this.mask, new Uint32Array(rows * this.words));
  }

  private growIds(id: number): void {
    const size = Math.max(this.rowOf.length * 2, id + 1);
    const { rowOf, priorityOf, serialOf } = this;
    (this.rowOf = new Int32Array(size)).set(rowOf);
    (this.priorityOf = new Float64Array(size)).set(priorityOf);
    (this.serialOf = new Float64Array(size)).set(serialOf);
  }
}
