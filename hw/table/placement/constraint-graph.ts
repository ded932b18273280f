// Which entries constrain each other: an edge from a to b when some packet matches both and a wins (lower priority).
//
// The graph has no cycle (edges go from lower to higher priority). Entries of equal priority have no edge: any may win.
// Kept as sets of ids in both directions. An insertion is compared with every entry: one pass over flat arrays of keys
// (10 000 entries: 60 us; a walk over node objects took 300). Rule sets with wide wildcards have long lists: memory grows
// with the number of overlapping pairs.
// For prefixes the edges are exactly "is a longer prefix of", so paths are the chains of Shah and Gupta's CAO.
// Chain lengths are kept up to date by passing changes on along the edges until nothing changes.

import { assert } from '../../base/assert.ts';
import type { PlacementEntry } from './engine.ts';

export interface GraphNode {
  readonly entry: PlacementEntry;
  /** Ids that must lie above (lower positions). */
  readonly above: Set<number>;
  /** Ids that must lie below. */
  readonly below: Set<number>;
  /** Entries on the longest chain that ends here coming from above, this one included. */
  chainAbove: number;
  /** Entries on the longest chain downwards from here, this one included. */
  chainBelow: number;
  /** Where its key is in the flat arrays. */
  row: number;
}

export class ConstraintGraph {
  private readonly nodes = new Map<number, GraphNode>();
  /** Words of a key; known from the first entry. */
  private words = 0;
  private rows = 0;
  private idOf = new Int32Array(64);
  private priorityOf = new Float64Array(64);
  private value = new Uint32Array(0);
  private mask = new Uint32Array(0);

  node(id: number): GraphNode {
    return this.nodes.get(id) as GraphNode;
  }

  add(entry: PlacementEntry): void {
    const node: GraphNode = {
      entry,
      above: new Set(),
      below: new Set(),
      chainAbove: 1,
      chainBelow: 1,
      row: this.rows,
    };
    this.connect(node);
    this.append(entry);
    this.nodes.set(entry.id, node);
    for (const id of node.above)
      node.chainAbove = Math.max(node.chainAbove, this.node(id).chainAbove + 1);
    for (const id of node.below)
      node.chainBelow = Math.max(node.chainBelow, this.node(id).chainBelow + 1);
    this.raise(node, true);
    this.raise(node, false);
  }

  remove(id: number): void {
    const node = this.nodes.get(id);
    if (node === undefined) return;
    for (const other of node.above) this.node(other).below.delete(id);
    for (const other of node.below) this.node(other).above.delete(id);
    this.nodes.delete(id);
    this.dropRow(node.row);
    // Only chains that went through it as their longest can get shorter.
    const isNext = (length: number, other: number): boolean => other === length + 1;
    const below = [...node.below].filter((b) => isNext(node.chainAbove, this.node(b).chainAbove));
    const above = [...node.above].filter((a) => isNext(node.chainBelow, this.node(a).chainBelow));
    this.lower(below, true);
    this.lower(above, false);
  }

  /** Finds the edges of a new node: entries that differ in no bit that both care about. */
  private connect(node: GraphNode): void {
    const { words, value, mask } = this;
    const { entry } = node;
    for (let row = 0; row < this.rows; row++) {
      const order = this.priorityOf[row] - entry.priority;
      if (order === 0) continue;
      const at = row * words;
      let w = 0;
      while (w < words && ((entry.value[w] ^ value[at + w]) & entry.mask[w] & mask[at + w]) === 0)
        w++;
      if (w < words) continue;
      const id = this.idOf[row];
      const other = this.node(id);
      if (order < 0) {
        node.above.add(id);
        other.below.add(entry.id);
      } else {
        node.below.add(id);
        other.above.add(entry.id);
      }
    }
  }

  private append(entry: PlacementEntry): void {
    if (this.rows === 0) this.words = entry.mask.length;
    assert(entry.mask.length === this.words, 'placement: keys of different length in one table');
    const row = this.rows++;
    if (row >= this.idOf.length || this.value.length < (row + 1) * this.words) this.grow();
    this.idOf[row] = entry.id;
    this.priorityOf[row] = entry.priority;
    this.value.set(entry.value, row * this.words);
    this.mask.set(entry.mask, row * this.words);
  }

  /** The last row takes the place of the one that goes. */
  private dropRow(row: number): void {
    const last = --this.rows;
    if (row === last) return;
    const { words } = this;
    this.idOf[row] = this.idOf[last];
    this.priorityOf[row] = this.priorityOf[last];
    this.value.copyWithin(row * words, last * words, (last + 1) * words);
    this.mask.copyWithin(row * words, last * words, (last + 1) * words);
    this.node(this.idOf[row]).row = row;
  }

  private grow(): void {
    const rows = Math.max(64, this.rows * 2);
    const copy = <T extends Int32Array | Float64Array | Uint32Array>(from: T, to: T): T => {
      to.set(from.subarray(0, to.length));
      return to;
    };
    this.idOf = copy(this.idOf, new Int32Array(rows));
    this.priorityOf = copy(this.priorityOf, new Float64Array(rows));
    this.value = copy(this.value, new Uint32Array(rows * this.words));
    this.mask = copy(this.mask, new Uint32Array(rows * this.words));
  }

  /** A new node made chains longer: by one at most, so every node changes once at most. */
  private raise(from: GraphNode, isAbove: boolean): void {
    const field = isAbove ? 'chainAbove' : 'chainBelow';
    const work = [from];
    for (let i = 0; i < work.length; i++) {
      const length = work[i][field];
      for (const id of isAbove ? work[i].below : work[i].above) {
        const other = this.node(id);
        if (other[field] > length) continue;
        other[field] = length + 1;
        work.push(other);
      }
    }
  }

  /** Recomputes a chain length of `work`, and of whatever depends on those that changed. */
  private lower(work: number[], isAbove: boolean): void {
    const field = isAbove ? 'chainAbove' : 'chainBelow';
    for (let i = 0; i < work.length; i++) {
      const node = this.node(work[i]);
      let longest = 0;
      for (const other of isAbove ? node.above : node.below) {
        const length = this.node(other)[field];
        if (length > longest) longest = length;
      }
      if (node[field] === longest + 1) continue;
      node[field] = longest + 1;
      for (const other of isAbove ? node.below : node.above) work.push(other);
    }
  }
}
