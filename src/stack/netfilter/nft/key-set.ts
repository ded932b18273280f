// Sets that are looked up by a key of several words: concatenations, and all sets whose elements come and go between two
// transactions (timeouts, `add @set`) or hold statements of their own.
//
// A key has one word a part, four for IPv6 addresses and interface names. Sets of single keys are a hash table with open addressing;
// sets with ranges are searched from the first element on (the kernel's nft_pipapo answers the same: the first that matches).
// Slots keep their numbers while their element lives: programs refer to the elements of maps by slot.

import type { ElementStatement } from './ast.ts';

const MIN_SLOTS = 8;
/** Knuth's multiplicative hash: 2^32 over the golden ratio. */
const GOLDEN = 0x9e3779b1 | 0;

export class KeySet {
  /** Words of each part of a key, and of them all. */
  readonly partWords: readonly number[];
  readonly keyWords: number;
  /** Whether keys have an upper end of their own. */
  readonly isRanged: boolean;
  /** Slots given out, the free ones among them included. */
  slots = 0;
  /** Elements, the expired ones that nothing has swept yet included. */
  count = 0;
  /** By slot: when the element goes (Infinity: never), and how long it stays from its last update on (0: as long as the set says). */
  expiresPs = new Float64Array(MIN_SLOTS);
  timeoutPs = new Float64Array(MIN_SLOTS);
  /** By slot: the element's statements, null where the slot is free. */
  statements: (readonly ElementStatement[] | null)[] = [];

  private keys: Int32Array;
  private tops: Int32Array;
  /** Slot + 1 by hash, 0 for none; twice as many as slots. */
  private table = new Int32Array(2 * MIN_SLOTS);
  private readonly free: number[] = [];

  constructor(partWords: readonly number[], isRanged: boolean) {
    this.partWords = partWords;
    this.keyWords = partWords.reduce((sum, words) => sum + words, 0);
    this.isRanged = isRanged;
    this.keys = new Int32Array(MIN_SLOTS * this.keyWords);
    this.tops = new Int32Array(isRanged ? MIN_SLOTS * this.keyWords : 0);
  }

  /** Slot of the element that holds this key at this time, -1 for none. */
  find(key: Int32Array, nowPs: number): number {
    const slot = this.isRanged ? this.findRange(key, nowPs) : this.findExact(key);
    return slot >= 0 && this.expiresPs[slot] > nowPs ? slot : -1;
  }

  /** Adds an element that is not there (an expired one of the same key goes); its slot. `top` ends a range. */
  insert(key: Int32Array, top: Int32Array, statements: readonly ElementStatement[]): number {
    const old = this.isRanged ? -1 : this.findExact(key);
    if (old >= 0) this.remove(old);
    const slot = this.free.pop() ?? this.slots++;
    if (slot >= this.expiresPs.length) this.grow();
    this.keys.set(key.subarray(0, this.keyWords), slot * this.keyWords);
    if (this.isRanged) this.tops.set(top.subarray(0, this.keyWords), slot * this.keyWords);
    this.statements[slot] = statements;
    this.expiresPs[slot] = Infinity;
    this.timeoutPs[slot] = 0;
    this.count++;
    if (!this.isRanged) this.table[this.vacancy(slot)] = slot + 1;
    return slot;
  }

  remove(slot: number): void {
    if (!this.isRanged) this.unlink(slot);
    this.statements[slot] = null;
    this.expiresPs[slot] = -Infinity;
    this.free.push(slot);
    this.count--;
  }

  /** Takes out what has expired. */
  sweep(nowPs: number): void {
    for (let slot = 0; slot < this.slots; slot++)
      if (this.statements[slot] !== null && this.expiresPs[slot] <= nowPs) this.remove(slot);
  }

  /** The key of a slot. */
  keyOf(slot: number): Int32Array {
    return this.keys.subarray(slot * this.keyWords, (slot + 1) * this.keyWords);
  }

  private findExact(key: Int32Array): number {
    const { table, keys, keyWords } = this;
    const mask = table.length - 1;
    for (let at = this.hash(key, 0) & mask; ; at = (at + 1) & mask) {
      const slot = table[at] - 1;
      if (slot < 0) return -1;
      const from = slot * keyWords;
      let i = 0;
      while (i < keyWords && keys[from + i] === key[i]) i++;
      if (i === keyWords) return slot;
    }
  }

  private findRange(key: Int32Array, nowPs: number): number {
    for (let slot = 0; slot < this.slots; slot++)
      if (this.expiresPs[slot] > nowPs && this.isWithin(key, slot)) return slot;
    return -1;
  }

  /** Whether every part lies between its ends. */
  private isWithin(key: Int32Array, slot: number): boolean {
    const base = slot * this.keyWords;
    let at = 0;
    for (let part = 0; part < this.partWords.length; part++) {
      const words = this.partWords[part];
      if (compareWords(key, at, this.keys, base + at, words) < 0) return false;
      if (compareWords(key, at, this.tops, base + at, words) > 0) return false;
      at += words;
    }
    return true;
  }

  private hash(words: Int32Array, from: number): number {
    let hash = 0;
    for (let i = 0; i < this.keyWords; i++) {
      hash = Math.imul(hash ^ words[from + i], GOLDEN);
      hash ^= hash >>> 15;
    }
    return hash;
  }

  /** Where the slot's number belongs in the table. */
  private vacancy(slot: number): number {
    const mask = this.table.length - 1;
    let at = this.hash(this.keys, slot * this.keyWords) & mask;
    while (this.table[at] !== 0) at = (at + 1) & mask;
    return at;
  }

  /** Takes a slot out of the table; the run behind it closes up. */
  private unlink(slot: number): void {
    const { table } = this;
    const mask = table.length - 1;
    let at = this.hash(this.keys, slot * this.keyWords) & mask;
    while (table[at] !== slot + 1) at = (at + 1) & mask;
    table[at] = 0;
    for (let next = (at + 1) & mask; table[next] !== 0; next = (next + 1) & mask) {
      const moved = table[next] - 1;
      table[next] = 0;
      table[this.vacancy(moved)] = moved + 1;
    }
  }

  private grow(): void {
    const size = 2 * this.expiresPs.length;
    this.expiresPs = extended(this.expiresPs, new Float64Array(size));
    this.timeoutPs = extended(this.timeoutPs, new Float64Array(size));
    this.keys = extended(this.keys, new Int32Array(size * this.keyWords));
    if (this.isRanged) {
      this.tops = extended(this.tops, new Int32Array(size * this.keyWords));
      return;
    }
    const old = this.table;
    this.table = new Int32Array(2 * size);
    for (const entry of old) if (entry !== 0) this.table[this.vacancy(entry - 1)] = entry;
  }
}

function extended<T extends Float64Array | Int32Array>(from: T, to: T): T {
  to.set(from);
  return to;
}

/** Order of two numbers of so many words, the first word counting most. */
function compareWords(
  a: Int32Array,
  aFrom: number,
  b: Int32Array,
  bFrom: number,
  words: number,
): number {
  for (let i = 0; i < words; i++) {
    const x = a[aFrom + i] >>> 0;
    const y = b[bFrom + i] >>> 0;
    if (x !== y) return x < y ? -1 : 1;
  }
  return 0;
}
