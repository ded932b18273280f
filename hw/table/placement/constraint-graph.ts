// Which entries constrain each other: an edge from a to b when some packet matches both and a wins (lower priority).
//
// The graph has no cycle (edges go from lower to higher priority). Entries of equal priority have no edge: any may win.
// Kept as sets of ids in both directions. Naive cost: every insertion is compared with every entry, O(N) and about 3
// words read each; rule sets with wide wildcards have long lists (memory grows with the number of overlapping pairs).
// For prefixes the edges are exactly "is a longer prefix of", so paths are the chains of Shah and Gupta's CAO.
// Chain lengths are kept up to date by passing changes on along the edges until nothing changes.

import type { PlacementEntry } from './engine.ts';
import { overlaps } from './overlap.ts';

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
}

export class ConstraintGraph {
  private readonly nodes = new Map<number, GraphNode>();

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
    };
    for (const [id, other] of this.nodes) {
      const order = other.entry.priority - entry.priority;
      if (order === 0 || !overlaps(entry, other.entry)) continue;
      if (order < 0) {
        node.above.add(id);
        other.below.add(entry.id);
      } else {
        node.below.add(id);
        other.above.add(entry.id);
      }
    }
    this.nodes.set(entry.id, node);
    this.update([entry.id], true);
    this.update([entry.id], false);
    this.update([...node.below], true);
    this.update([...node.above], false);
  }

  remove(id: number): void {
    const node = this.nodes.get(id);
    if (node === undefined) return;
    for (const other of node.above) this.node(other).below.delete(id);
    for (const other of node.below) this.node(other).above.delete(id);
    this.nodes.delete(id);
    this.update([...node.below], true);
    this.update([...node.above], false);
  }

  /** Recomputes one of the two chain lengths for `ids` and whatever depends on them. */
  private update(ids: number[], isAbove: boolean): void {
    const field = isAbove ? 'chainAbove' : 'chainBelow';
    const work = ids;
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
