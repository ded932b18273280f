// The two tuples of every flow, hashed in typed arrays (spec B.2 "Flow tuple"): addresses, ports, input interface, protocols and
// the VLAN id under which packets arrive. An element is flow id * 2 + direction. The newest of equal tuples is found first: a
// flow that is being torn down may stand behind its successor until the next collection.
//
// Addresses and ports are not copied: a flow holds its connection, so an element points at that connection's own tuple (whose
// zone takes no part). 16 bytes an element instead of 64: a million flows save 96 MB, and a hit needs the row anyway.

import type { ConnectionTable } from '../conntrack/table.ts';
import { ROW_REPLY, ROW_WORDS } from '../conntrack/table.ts';
import type { Tuple } from '../conntrack/tuple.ts';

/** Words of an element: hash, chain link, input interface and VLAN id, where its tuple stands in the connections' words. */
const ELEMENT_WORDS = 4;
const E_HASH = 0;
const E_NEXT = 1;
const E_WHERE = 2;
const E_TUPLE = 3;
const INITIAL_FLOWS = 512;

export class TupleTable {
  private readonly connections: ConnectionTable;
  private words = new Int32Array(2 * INITIAL_FLOWS * ELEMENT_WORDS);
  private heads = new Int32Array(2 * INITIAL_FLOWS).fill(-1);
  private mask = 2 * INITIAL_FLOWS - 1;
  private elementCount = 0;

  constructor(connections: ConnectionTable) {
    this.connections = connections;
  }

  /** Element of the key (its meta word carries the input ifindex where conntrack has the zone), −1 for none. */
  find(tuple: Tuple, vlanId: number): number {
    const hash = tuple.hash();
    const where = whereOf(tuple, vlanId);
    const { words } = this;
    const keys = this.connections.words;
    for (let e = this.heads[hash & this.mask]; e >= 0;) {
      const at = e * ELEMENT_WORDS;
      if (
        words[at + E_HASH] === hash &&
        words[at + E_WHERE] === where &&
        tuple.equalsBesideZone(keys, words[at + E_TUPLE])
      )
        return e;
      e = words[at + E_NEXT];
    }
    return -1;
  }

  /** Enters the tuple of a direction of connection `ctId`; `tuple` is it with the ifindex in place of the zone. */
  insert(element: number, ctId: number, tuple: Tuple, vlanId: number): void {
    while ((element + 1) * ELEMENT_WORDS > this.words.length) this.grow();
    const at = element * ELEMENT_WORDS;
    const hash = tuple.hash();
    this.words[at + E_HASH] = hash;
    this.words[at + E_WHERE] = whereOf(tuple, vlanId);
    this.words[at + E_TUPLE] = ctId * ROW_WORDS + (element & 1) * ROW_REPLY;
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

/** Input interface (16 bits, as in the tuple's meta word) and VLAN id (−1 for untagged). */
function whereOf(tuple: Tuple, vlanId: number): number {
  return (tuple.zone << 16) | (vlanId & 0xffff);
}
