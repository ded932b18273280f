// Which connections come from a source address and port: a source that has a mapping keeps it for further destinations
// (nf_nat_bysource). One chain per hash through rows of their own, made when NAT is first used.

import type { ConnectionTable } from '../conntrack/table.ts';
import { ROW_WORDS } from '../conntrack/table.ts';
import { T_L4, T_META, Tuple } from '../conntrack/tuple.ts';

const NIL = -1;
const BUCKETS = 4096;

export class SourceIndex {
  private readonly table: ConnectionTable;
  private heads = new Int32Array(BUCKETS).fill(NIL);
  private next = new Int32Array(0);
  /** ifindex that a masqueraded connection leaves through, 0 for others. */
  private masquerade = new Int32Array(0);
  private readonly key = new Tuple();
  private count = 0;

  constructor(table: ConnectionTable) {
    this.table = table;
  }

  /** Adds the source of a row's original key. */
  add(id: number): void {
    this.grow(id);
    const bucket = this.bucketOf(id);
    this.next[id] = this.heads[bucket];
    this.heads[bucket] = id;
    if (++this.count > 2 * this.heads.length) this.rehash();
  }

  remove(id: number): void {
    const bucket = this.bucketOf(id);
    let at = this.heads[bucket];
    if (at === id) this.heads[bucket] = this.next[id];
    else {
      while (at !== NIL && this.next[at] !== id) at = this.next[at];
      if (at !== NIL) this.next[at] = this.next[id];
    }
    this.count--;
    this.masquerade[id] = 0;
  }

  /** First row whose source may be the key's, −1 for none; `after` goes on. Check with `matches`. */
  first(tuple: Tuple): number {
    return this.heads[sourceHash(tuple) & (this.heads.length - 1)];
  }

  after(id: number): number {
    return this.next[id];
  }

  /** Whether source address and port, protocol and zone of the row's original key are the key's. */
  matches(id: number, tuple: Tuple): boolean {
    const { words } = this.table;
    const at = id * ROW_WORDS;
    return (
      words[at] === tuple.s0 &&
      words[at + 1] === tuple.s1 &&
      words[at + 2] === tuple.s2 &&
      words[at + 3] === tuple.s3 &&
      words[at + T_L4] >>> 16 === tuple.l4 >>> 16 &&
      words[at + T_META] === tuple.meta
    );
  }

  /** Notes that a row's source is the address of a device. */
  setMasquerade(id: number, ifindex: number): void {
    this.grow(id);
    this.masquerade[id] = ifindex;
  }

  masqueradeOf(id: number): number {
    return id < this.masquerade.length ? this.masquerade[id] : 0;
  }

  private bucketOf(id: number): number {
    this.key.load(this.table.words, id * ROW_WORDS);
    return sourceHash(this.key) & (this.heads.length - 1);
  }

  private grow(id: number): void {
    if (id < this.next.length) return;
    const rows = this.table.conns.length;
    const next = new Int32Array(rows).fill(NIL);
    next.set(this.next);
    this.next = next;
    const masquerade = new Int32Array(rows);
    masquerade.set(this.masquerade);
    this.masquerade = masquerade;
  }

  private rehash(): void {
    const ids: number[] = [];
    for (const head of this.heads) for (let id = head; id !== NIL; id = this.next[id]) ids.push(id);
    this.heads = new Int32Array(this.heads.length * 4).fill(NIL);
    this.count = 0;
    for (const id of ids) this.add(id);
  }
}

function sourceHash(t: Tuple): number {
  let h = Math.imul(t.s0, 0x9e37_79b1) ^ Math.imul(t.s3 ^ t.s1, 0x85eb_ca6b);
  h ^= Math.imul((t.l4 >>> 16) ^ t.meta, 0xc2b2_ae35) ^ t.s2;
  h ^= h >>> 15;
  h = Math.imul(h, 0x2c1b_3c6d);
  return h ^ (h >>> 13);
}
