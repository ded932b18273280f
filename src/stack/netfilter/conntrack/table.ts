// The connection table: one row of columns per connection, two hash chains through it (original and reply tuple).
//
// Rows are typed arrays (48 int32 words and 6 doubles: 240 bytes), so a million connections need about 290 MB with chain heads
// and handles, and the garbage collector never walks them. An *element* names one tuple of one row: id * 2 + direction.
// A handle object per connection (`Connection`) is what skb.nfct points to; its id is −1 once the row was given back.
//
// Chains, not open addressing: removal is common (every connection ends) and early drop needs buckets (spec C.2).

import { TUPLE_WORDS, Tuple } from './tuple.ts';

/** Words of a row. The tuples first: `ROW_REPLY` words apart, each followed by its hash and chain link. */
export const ROW_WORDS = 48;
export const ROW_REPLY = 12;
const T_HASH = TUPLE_WORDS;
const T_NEXT = TUPLE_WORDS + 1;
/** Status bits (IPS_*). */
export const C_STATUS = 24;
export const C_MARK = 25;
/** Flow objects that hold the connection. */
export const C_FLOW_REFS = 26;
export const C_TCP_STATE = 27;
/** Per-direction TCP state: five words each (tcp-window.ts). */
export const C_SEEN = 28;
export const SEEN_WORDS = 5;
export const C_LAST_SEQ = 38;
export const C_LAST_ACK = 39;
export const C_LAST_END = 40;
export const C_LAST_WIN = 41;
export const C_LAST_INDEX = 42;
export const C_LAST_DIR = 43;
export const C_RETRANS = 44;
export const C_LAST_FLAGS = 45;
export const C_LAST_WSCALE = 46;
/** Number printed as id=. */
export const C_ID = 47;

/** Doubles of a row. */
export const ROW_DOUBLES = 6;
/** End of life, ps; while unconfirmed the span in ps. */
export const D_TIMEOUT = 0;
/** Time of creation, ps. */
export const D_START = 1;
/** Packets of original and reply direction, then bytes. */
export const D_PACKETS = 2;
export const D_BYTES = 4;

/** Status bits of a connection (enum ip_conntrack_status). */
export const IPS_EXPECTED = 1 << 0;
export const IPS_SEEN_REPLY = 1 << 1;
export const IPS_ASSURED = 1 << 2;
export const IPS_CONFIRMED = 1 << 3;
export const IPS_SRC_NAT = 1 << 4;
export const IPS_DST_NAT = 1 << 5;
export const IPS_SEQ_ADJUST = 1 << 6;
export const IPS_SRC_NAT_DONE = 1 << 7;
export const IPS_DST_NAT_DONE = 1 << 8;
export const IPS_DYING = 1 << 9;
export const IPS_FIXED_TIMEOUT = 1 << 10;
export const IPS_NAT_CLASH = 1 << 12;
export const IPS_HELPER = 1 << 13;
export const IPS_OFFLOAD = 1 << 14;
export const IPS_HW_OFFLOAD = 1 << 15;
/** Ours: the row has an Extension (extensions.ts). */
export const IPS_HAS_EXT = 1 << 29;
/** Ours: the counters extension exists (nf_conntrack_acct was on at creation). */
export const IPS_HAS_ACCT = 1 << 30;

/** What skb.nfct points to. */
export class Connection {
  /** Row; −1 once the row was given back; below that a template, which a rule gave a packet before conntrack (template.ts). */
  id: number;

  constructor(id: number) {
    this.id = id;
  }
}

const INITIAL_ROWS = 1024;
const NIL = -1;

export class ConnectionTable {
  words = new Int32Array(INITIAL_ROWS * ROW_WORDS);
  doubles = new Float64Array(INITIAL_ROWS * ROW_DOUBLES);
  /** Handle by row, null while free. */
  conns: (Connection | null)[] = new Array<Connection | null>(INITIAL_ROWS).fill(null);
  /** Rows in use, unconfirmed ones included. */
  count = 0;
  /** Rows that were ever in use: ids are below it. */
  highWater = 0;

  private heads = new Int32Array(2 * INITIAL_ROWS).fill(NIL);
  private mask = 2 * INITIAL_ROWS - 1;
  private freeIds: number[] = [];
  private readonly scratch = new Tuple();

  /** Number of buckets (nf_conntrack_buckets as far as the model has it). */
  get bucketCount(): number {
    return this.mask + 1;
  }

  /** A zeroed row; its handle is in `conns`. */
  alloc(): Connection {
    let id = this.freeIds.pop() ?? NIL;
    if (id === NIL) {
      id = this.highWater++;
      if (this.highWater * ROW_WORDS > this.words.length) this.grow();
    }
    this.words.fill(0, id * ROW_WORDS, (id + 1) * ROW_WORDS);
    this.doubles.fill(0, id * ROW_DOUBLES, (id + 1) * ROW_DOUBLES);
    const conn = new Connection(id);
    this.conns[id] = conn;
    this.count++;
    return conn;
  }

  /** Gives a row back (it must be out of the chains). */
  free(id: number): void {
    const conn = this.conns[id];
    if (conn === null) return;
    conn.id = NIL;
    this.conns[id] = null;
    this.freeIds.push(id);
    this.count--;
  }

  /** What packets of the original direction look like behind NAT: the reply key turned round. */
  outside(id: number, into: Tuple): void {
    this.scratch.load(this.words, id * ROW_WORDS + ROW_REPLY);
    this.scratch.invert(into);
  }

  /** Element whose tuple is `tuple`, −1 for none. `hash` is the tuple's. */
  find(tuple: Tuple, hash: number): number {
    const words = this.words;
    for (let e = this.heads[hash & this.mask]; e !== NIL;) {
      const at = (e >> 1) * ROW_WORDS + (e & 1) * ROW_REPLY;
      if (words[at + T_HASH] === hash && tuple.equals(words, at)) return e;
      e = words[at + T_NEXT];
    }
    return NIL;
  }

  /** Puts one tuple of a row into its chain. */
  link(element: number, hash: number): void {
    const at = (element >> 1) * ROW_WORDS + (element & 1) * ROW_REPLY;
    const bucket = hash & this.mask;
    this.words[at + T_HASH] = hash;
    this.words[at + T_NEXT] = this.heads[bucket];
    this.heads[bucket] = element;
  }

  /** Takes one tuple of a row out of its chain. */
  unlink(element: number): void {
    const words = this.words;
    const at = (element >> 1) * ROW_WORDS + (element & 1) * ROW_REPLY;
    const bucket = words[at + T_HASH] & this.mask;
    const next = words[at + T_NEXT];
    let e = this.heads[bucket];
    if (e === element) {
      this.heads[bucket] = next;
      return;
    }
    while (e !== NIL) {
      const place = (e >> 1) * ROW_WORDS + (e & 1) * ROW_REPLY + T_NEXT;
      if (words[place] === element) {
        words[place] = next;
        return;
      }
      e = words[place];
    }
  }

  /** First element of a bucket, −1 for none; `nextInBucket` goes on. For early drop. */
  firstInBucket(bucket: number): number {
    return this.heads[bucket & this.mask];
  }

  nextInBucket(element: number): number {
    return this.words[(element >> 1) * ROW_WORDS + (element & 1) * ROW_REPLY + T_NEXT];
  }

  private grow(): void {
    const rows = this.conns.length * 2;
    const words = new Int32Array(rows * ROW_WORDS);
    words.set(this.words);
    this.words = words;
    const doubles = new Float64Array(rows * ROW_DOUBLES);
    doubles.set(this.doubles);
    this.doubles = doubles;
    while (this.conns.length < rows) this.conns.push(null);
    this.rehash(2 * rows);
  }

  private rehash(buckets: number): void {
    this.heads = new Int32Array(buckets).fill(NIL);
    this.mask = buckets - 1;
    for (let id = 0; id < this.conns.length; id++) {
      const status = this.words[id * ROW_WORDS + C_STATUS];
      if (this.conns[id] === null || (status & IPS_CONFIRMED) === 0 || (status & IPS_DYING) !== 0)
        continue;
      this.link(id * 2, this.words[id * ROW_WORDS + T_HASH]);
      this.link(id * 2 + 1, this.words[id * ROW_WORDS + ROW_REPLY + T_HASH]);
    }
  }
}

/** A number for id=: stable for the entry's life, spread over 32 bits as the kernel's siphash is. */
export function entryId(hash: number, serial: number): number {
  let h = Math.imul(hash ^ Math.imul(serial, 0x9e3779b1), 0x85ebca6b);
  h ^= h >>> 16;
  return h;
}
