// The two tuples of every flow, hashed in typed arrays (spec B.2 "Flow tuple"): addresses, ports, input interface, protocols and
// the VLAN id under which packets arrive. An element is flow id * 2 + direction. The newest of equal tuples is found first: a
// flow that is being torn down may stand behind its successor until the next collection.

import type { Tuple } from '../conntrack/tuple.ts';

/** Key words of an element, then VLAN id, hash, chain link; padded to 64 bytes, so that a look-up touches one cache line. */
export const ELEMENT_WORDS = 16;
const E_VLAN = 10;
const E_HASH = 11;
const E_NEXT = 12;
const INITIAL_FLOWS = 512;

export class TupleTable {
  words = new Int32Array(2 * INITIAL_FLOWS * ELEMENT_WORDS);
  private heads = new Int32Array(2 * INITIAL_FLOWS).fill(-1);
  private mask = 2 * INITIAL_FLOWS - 1;
  private elementCount = 0;

  /** Element of the key (its meta word carries the input ifindex where conntrack has the zone), −1 for none. */
  find(tuple: Tuple, vlanId: number): number {
    const hash = tuple.hash();
    const { words } = this;
    for (let e = this.heads[hash & this.mask]; e >= 0;) {
      const at = e * ELEMENT_WORDS;
      if (words[at + E_HASH] === hash && words[at + E_VLAN] === vlanId && tuple.equals(words, at))
        return e;
      e = words[at + E_NEXT];
    }
    return -1;
  }

  insert(element: number, tuple: Tuple, vlanId: number): void {
    while ((element + 1) * ELEMENT_WORDS > this.words.length) this.grow();
    const at = element * ELEMENT_WORDS;
    tuple.store(this.words, at);
    const hash = tuple.hash();
    this.words[at + E_VLAN] = vlanId;
    this.words[at + E_HASH] = hash;
    this.words[at + E_NEXT] = this.heads[hash & this.mask];
    this.heads[hash & this.mask] = element;
    this.elementCount++;
  }

  remove(element: number): void {
    const { words } = this;
    const at = element * ELEMENT_WORDS;
    const bucket = words[at + E_HASH] & this.mask;
    let e = this.heads[bucket];
    if (e === element) this.heads[bucket] = words[at + E_NEXT];
    else
      for (; e >= 0; e = words[e * ELEMENT_WORDS + E_NEXT])
        if (words[e * ELEMENT_WORDS + E_NEXT] === element) {
          words[e * ELEMENT_WORDS + E_NEXT] = words[at + E_NEXT];
          break;
        }
    words[at + E_HASH] = 0;
    this.elementCount--;
  }

  /** Elements in the table (two per flow). */
  get count(): number {
    return this.elementCount;
  }

  /** Doubles the rows and spreads the chains over twice the buckets, keeping each chain's order. */
  private grow(): void {
    const old = this.words;
    const heads = this.heads;
    this.words = new Int32Array(old.length * 2);
    this.words.set(old);
    this.heads = new Int32Array(heads.length * 2).fill(-1);
    this.mask = this.heads.length - 1;
    const chain: number[] = [];
    for (const head of heads) {
      chain.length = 0;
      for (let e = head; e >= 0; e = old[e * ELEMENT_WORDS + E_NEXT]) chain.push(e);
      for (let i = chain.length - 1; i >= 0; i--) {
        const at = chain[i] * ELEMENT_WORDS;
        const bucket = this.words[at + E_HASH] & this.mask;
        this.words[at + E_NEXT] = this.heads[bucket];
        this.heads[bucket] = chain[i];
      }
    }
  }
}
