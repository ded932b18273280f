// The longest chain that ends at each entry, in one direction, kept up as entries come and go.
//
// The length of an entry is one more than the largest of those it hangs on (its "nearer" neighbours), 1 without any. Naive
// idea: work it out again for everything that may have changed. An entry whose neighbours change twice is then worked
// out twice, and its followers four times: removing one rule of ipc1 took 12 s. Optimisation 1: those to be looked
// at again wait in a heap in the order of the chain (priority), so each is looked at once a change. Optimisation 2: a wide
// wildcard changes the length of nearly every entry, which costs a walk over all overlaps (fw1: 3 million, 20 ms). The
// lengths only advise on which side of the free space an entry goes, so a change may use up to EDGES_PER_CHANGE
// neighbours' worth of work and leaves the rest waiting for the next ones; `settle` does it all. Deterministic: edges are
// counted, not time.
// Invariant: an entry that does not wait has the length that its neighbours' lengths say.

import type { IdList } from './id-list.ts';

/** Neighbours looked at after one change: about 0.3 ms. */
const EDGES_PER_CHANGE = 100_000;
/** What the heap costs for each entry that waits, in neighbours. */
const EDGES_PER_ENTRY = 64;

/** The order in which chains run: -1 when `a` comes before `b` on them. */
export interface ChainOrder {
  /** Neighbours that the length hangs on. */
  nearer(id: number): IdList;
  /** Neighbours whose lengths hang on this one. */
  farther(id: number): IdList;
  isBefore(a: number, b: number): boolean;
}

export class ChainLengths {
  private readonly order: ChainOrder;
  private length = new Int32Array(64);
  private isWaiting = new Uint8Array(64);
  /** Binary heap of ids, the one nearest to the start of its chain first. */
  private heap = new Int32Array(64);
  private waiting = 0;

  constructor(order: ChainOrder) {
    this.order = order;
  }

  /** As far as worked out (see `settle`). */
  of(id: number): number {
    return this.length[id];
  }

  /** Makes every length exact. */
  settle(): void {
    this.work(Infinity);
  }

  /** An entry is there, with its neighbours. */
  added(id: number): void {
    if (id >= this.length.length) this.grow(id);
    this.length[id] = this.longest(id) + 1;
    const { items, count } = this.order.farther(id);
    for (let i = 0; i < count; i++)
      if (this.length[items[i]] <= this.length[id]) this.push(items[i]);
    this.work(EDGES_PER_CHANGE);
  }

  /** An entry has gone, `farther` were the neighbours whose lengths hung on it. */
  removed(id: number, farther: IdList): void {
    const { items, count } = farther;
    for (let i = 0; i < count; i++)
      if (this.length[items[i]] === this.length[id] + 1) this.push(items[i]);
    // While it waits it cannot be taken out of the middle of the heap: `work` throws it away.
    this.length[id] = 0;
    this.work(EDGES_PER_CHANGE);
  }

  private work(edgesMost: number): void {
    const { length, order } = this;
    let edges = 0;
    while (this.waiting > 0 && edges < edgesMost) {
      const id = this.pop();
      if (length[id] === 0) continue;
      const before = length[id];
      const now = this.longest(id) + 1;
      edges += order.nearer(id).count + EDGES_PER_ENTRY;
      if (now === before) continue;
      length[id] = now;
      const { items, count } = order.farther(id);
      edges += count;
      for (let i = 0; i < count; i++) {
        const other = length[items[i]];
        if (now > before ? other <= now : other === before + 1) this.push(items[i]);
      }
    }
  }

  private longest(id: number): number {
    const { length } = this;
    const { items, count } = this.order.nearer(id);
    let longest = 0;
    for (let i = 0; i < count; i++) if (length[items[i]] > longest) longest = length[items[i]];
    return longest;
  }

  private push(id: number): void {
    if (this.isWaiting[id] === 1) return;
    this.isWaiting[id] = 1;
    const { heap, order } = this;
    let at = this.waiting++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!order.isBefore(id, heap[parent])) break;
      heap[at] = heap[parent];
      at = parent;
    }
    heap[at] = id;
  }

  private pop(): number {
    const { heap, order } = this;
    const first = heap[0];
    this.isWaiting[first] = 0;
    const last = heap[--this.waiting];
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.waiting) break;
      if (child + 1 < this.waiting && order.isBefore(heap[child + 1], heap[child])) child++;
      if (!order.isBefore(heap[child], last)) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = last;
    return first;
  }

  private grow(id: number): void {
    const size = Math.max(this.length.length * 2, id + 1);
    const { length, isWaiting, heap } = this;
    (this.length = new Int32Array(size)).set(length);
    (this.isWaiting = new Uint8Array(size)).set(isWaiting);
    (this.heap = new Int32Array(size)).set(heap);
  }
}
