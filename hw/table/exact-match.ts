// Exact-match flow table: buckets of a few ways, two hash functions (cuckoo), a small stash, bounded displacement.
//
// Naive idea: a map from key to entry. What hardware does: each key has two buckets of `ways` slots; an insertion that
// finds both full displaces a resident to its other bucket, at most `maxKicks` times, then tries the stash, then gives
// up (BUCKET_FULL) and leaves the table as it was. A lookup reads two buckets and the stash: constant time.
// Slots hold handles; key, action and counters live under the handle, so displacement never changes an entry's name.
// Not here: tables that share memory, wide keys that take two slots (a later issue). Oracle in tests: a Map.

import { assert } from '../base/assert.ts';
import { EXACT_KEY_WORDS } from '../parse/key-layout.ts';

/** Words from one stored key to the next: one cache line. */
const KEY_STRIDE = 16;

/** Results of `insert` below 0. */
export const INSERT_TABLE_FULL = -1;
export const INSERT_BUCKET_FULL = -2;
export const INSERT_EXISTS = -3;

/** Hash of a key of 11 words at `at`: multiply and shift (Math.imul), well mixed in all 32 bits. */
export function hashKey(words: Uint32Array, at: number): number {
  let h = 0x2545f491;
  const end = at + EXACT_KEY_WORDS;
  for (let i = at; i < end; i++) {
    h = Math.imul(h ^ words[i], 0x9e3779b1);
    h ^= h >>> 15;
  }
  h = Math.imul(h ^ (h >>> 13), 0x85ebca6b);
  return h ^ (h >>> 16);
}

export class ExactMatchTable {
  /** Handles below this are valid. */
  readonly capacity: number;
  /** Entries in use. */
  count = 0;
  /** Entries displaced by the last insertion. */
  lastMoves = 0;
  /** Lookups that found or did not find an entry. */
  hits = 0;
  misses = 0;

  private readonly ways: number;
  private readonly bucketMask: number;
  private readonly stashEntries: number;
  private readonly maxKicks: number;
  /** Hash and handle (−1: free) per slot, side by side: a bucket is one cache line. The stash follows the buckets. */
  private readonly slots: Int32Array;
  private readonly stashAt: number;
  private stashCount = 0;
  private readonly keys: Uint32Array;
  private readonly used: Uint8Array;
  /** Slot that holds each handle. */
  private readonly handleSlot: Int32Array;
  private readonly freeHandles: Int32Array;
  private freeCount = 0;
  private readonly kickPath: Int32Array;
  private kickTurn = 0;

  constructor(entries: number, ways: number, stashEntries: number, maxKicks: number) {
    const buckets = entries / ways;
    assert(
      Number.isInteger(Math.log2(buckets)) && buckets >= 1,
      'exact match: entries / ways must be a power of two',
    );
    this.capacity = entries;
    this.ways = ways;
    this.bucketMask = buckets - 1;
    this.stashEntries = stashEntries;
    this.maxKicks = maxKicks;
    this.stashAt = entries;
    this.slots = new Int32Array(2 * (entries + stashEntries)).fill(-1);
    this.keys = new Uint32Array(entries * KEY_STRIDE);
    this.used = new Uint8Array(entries);
    this.handleSlot = new Int32Array(entries).fill(-1);
    this.freeHandles = new Int32Array(entries);
    this.kickPath = new Int32Array(maxKicks + 1);
    this.clear();
  }

  /** Removes everything. */
  clear(): void {
    this.slots.fill(-1);
    this.handleSlot.fill(-1);
    this.used.fill(0);
    this.stashCount = 0;
    this.count = 0;
    this.freeCount = this.capacity;
    for (let i = 0; i < this.capacity; i++) this.freeHandles[i] = this.capacity - 1 - i;
  }

  /** Whether a handle names an entry. */
  isUsed(handle: number): boolean {
    return handle >= 0 && handle < this.capacity && this.used[handle] === 1;
  }

  /** Handle of the entry with this key (11 words), −1 for none; counts hit or miss. */
  lookup(key: Uint32Array): number {
    const handle = this.find(key);
    if (handle >= 0) this.hits++;
    else this.misses++;
    return handle;
  }

  /** As `lookup`, without counting. */
  find(key: Uint32Array): number {
    if (this.count === 0) return -1;
    const hash = hashKey(key, 0);
    const first = (hash & this.bucketMask) * this.ways;
    const handle = this.probe(key, hash, first, first + this.ways);
    if (handle >= 0) return handle;
    const second = this.otherBucket(hash, hash & this.bucketMask) * this.ways;
    const other = this.probe(key, hash, second, second + this.ways);
    if (other >= 0 || this.stashCount === 0) return other;
    return this.probe(key, hash, this.stashAt, this.stashAt + this.stashEntries);
  }

  /** Adds a key; returns its handle or INSERT_*. */
  insert(key: Uint32Array): number {
    this.lastMoves = 0;
    if (this.find(key) >= 0) return INSERT_EXISTS;
    if (this.freeCount === 0) return INSERT_TABLE_FULL;
    const hash = hashKey(key, 0);
    const slot = this.makeRoom(hash);
    if (slot < 0) return INSERT_BUCKET_FULL;
    const handle = this.freeHandles[--this.freeCount];
    this.keys.set(key.subarray(0, EXACT_KEY_WORDS), handle * KEY_STRIDE);
    this.used[handle] = 1;
    this.place(slot, handle, hash);
    this.count++;
    return handle;
  }

  /** Removes an entry; false when the handle names none. */
  remove(handle: number): boolean {
    if (!this.isUsed(handle)) return false;
    const slot = this.handleSlot[handle];
    this.slots[2 * slot + 1] = -1;
    if (slot >= this.stashAt) this.stashCount--;
    this.handleSlot[handle] = -1;
    this.used[handle] = 0;
    this.freeHandles[this.freeCount++] = handle;
    this.count--;
    return true;
  }

  /** Copies an entry's key (11 words) to `out`. */
  readKey(handle: number, out: Uint32Array): void {
    const at = handle * KEY_STRIDE;
    for (let i = 0; i < EXACT_KEY_WORDS; i++) out[i] = this.keys[at + i];
  }

  private probe(key: Uint32Array, hash: number, from: number, to: number): number {
    for (let slot = from; slot < to; slot++) {
      if (this.slots[2 * slot] !== hash) continue;
      const handle = this.slots[2 * slot + 1];
      if (handle >= 0 && this.keyEquals(key, handle * KEY_STRIDE)) return handle;
    }
    return -1;
  }

  /** Unrolled: a loop takes three times as long for 11 words. */
  private keyEquals(key: Uint32Array, at: number): boolean {
    const keys = this.keys;
    return (
      keys[at] === key[0] &&
      keys[at + 1] === key[1] &&
      keys[at + 2] === key[2] &&
      keys[at + 3] === key[3] &&
      keys[at + 4] === key[4] &&
      keys[at + 5] === key[5] &&
      keys[at + 6] === key[6] &&
      keys[at + 7] === key[7] &&
      keys[at + 8] === key[8] &&
      keys[at + 9] === key[9] &&
      keys[at + 10] === key[10]
    );
  }

  /** Partial-key cuckoo: the other bucket follows from the hash and the one bucket, both ways round. */
  private otherBucket(hash: number, bucket: number): number {
    return bucket ^ (((Math.imul(hash >>> 16, 0x5bd1e995) >>> 3) | 1) & this.bucketMask);
  }

  private freeSlotIn(bucket: number): number {
    const from = bucket * this.ways;
    for (let slot = from; slot < from + this.ways; slot++)
      if (this.slots[2 * slot + 1] < 0) return slot;
    return -1;
  }

  /** A free slot for a key with this hash: in its buckets, by displacement, or in the stash; −1 for none. */
  private makeRoom(hash: number): number {
    const first = hash & this.bucketMask;
    let slot = this.freeSlotIn(first);
    if (slot < 0) slot = this.freeSlotIn(this.otherBucket(hash, first));
    if (slot < 0) slot = this.displace(first);
    if (slot >= 0) return slot;
    for (let s = this.stashAt; s < this.stashAt + this.stashEntries; s++)
      if (this.slots[2 * s + 1] < 0) return s;
    return -1;
  }

  /** Walks one path of residents to a free slot, then moves them from its end: nothing moves when there is no end. */
  private displace(fromBucket: number): number {
    const path = this.kickPath;
    let bucket = fromBucket;
    for (let kicks = 0; kicks < this.maxKicks; kicks++) {
      const victim = this.victimIn(bucket, kicks);
      if (victim < 0) return -1;
      path[kicks] = victim;
      bucket = this.otherBucket(this.slots[2 * victim], bucket);
      let free = this.freeSlotIn(bucket);
      if (free < 0) continue;
      for (let i = kicks; i >= 0; i--) {
        const source = path[i];
        this.place(free, this.slots[2 * source + 1], this.slots[2 * source]);
        this.slots[2 * source + 1] = -1;
        this.lastMoves++;
        free = source;
      }
      return free;
    }
    return -1;
  }

  /** The next slot of a bucket in turn that the path has not been at; −1 when it has been at all of them. */
  private victimIn(bucket: number, kicks: number): number {
    for (let tries = 0; tries < this.ways; tries++) {
      const victim = bucket * this.ways + (this.kickTurn++ % this.ways);
      const seenAt = this.kickPath.indexOf(victim);
      if (seenAt < 0 || seenAt >= kicks) return victim;
    }
    return -1;
  }

  private place(slot: number, handle: number, hash: number): void {
    this.slots[2 * slot + 1] = handle;
    this.slots[2 * slot] = hash;
    this.handleSlot[handle] = slot;
    if (slot >= this.stashAt) this.stashCount++;
  }
}
