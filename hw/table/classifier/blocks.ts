// The blocks of a classifier's tree: what a leaf, a node and a table are in the arena, and how each is made, read and given back.
// tree.ts builds and changes trees with them, search.ts looks rules up.
//
// A reference is one word: 0 nothing, positive the word of a leaf in the arena, negative that of a node (negated).
//   leaf: SIZE, CAPACITY, LIMIT, then SIZE records of `leafWords` words, best first.
//   node: TABLE_COUNT, REST (reference: the rules that no table serves), COUNT, PLANNED, BEST, then TABLE_COUNT tables.
//   table: BEST, SHIFT, SLOTS, COUNT, BITS, then the mask, `keyWords` words. SLOTS names 2^(32 - shift) references.
// Tables stand in order of their best priority. Best values may be too good after removals: that costs a probe, no match.

import { Arena } from './arena.ts';
import { PRIORITY, RULE_ID } from './layout.ts';
import type { RecordLayout } from './layout.ts';

export const LEAF_SIZE = 0;
export const LEAF_CAPACITY = 1;
/** Rules from which the leaf is planned again. */
export const LEAF_LIMIT = 2;
export const LEAF_RECORDS = 3;

export const NODE_TABLE_COUNT = 0;
export const NODE_REST = 1;
export const NODE_COUNT = 2;
/** Rules below the node when it was planned. */
export const NODE_PLANNED = 3;
/** Best priority below the node, or better. */
export const NODE_BEST = 4;
export const NODE_TABLES = 5;

export const TABLE_BEST = 0;
export const TABLE_SHIFT = 1;
export const TABLE_SLOTS = 2;
export const TABLE_COUNT = 3;
/** Bits set in the mask: of two tables that serve a rule the one with more bits takes it. */
export const TABLE_BITS = 4;
export const TABLE_MASK = 5;

export interface RuleStore {
  /** Records of `storeWords` words, by rule id. */
  words: Int32Array;
}

export class Blocks {
  readonly arena: Arena;
  /** Nodes in use: bounds what a lookup can have pending. */
  nodeCount = 0;
  protected readonly layout: RecordLayout;
  protected readonly store: RuleStore;
  protected readonly multipliers: Int32Array;
  protected readonly tableWords: number;

  constructor(layout: RecordLayout, multipliers: Int32Array, store: RuleStore, words: number) {
    this.layout = layout;
    this.multipliers = multipliers;
    this.store = store;
    this.arena = new Arena(words);
    this.tableWords = TABLE_MASK + layout.keyWords;
  }

  protected newLeaf(capacity: number, limit: number): number {
    const leaf = this.arena.allocate(LEAF_RECORDS + capacity * this.layout.leafWords);
    this.arena.words[leaf + LEAF_SIZE] = 0;
    this.arena.words[leaf + LEAF_CAPACITY] = capacity;
    this.arena.words[leaf + LEAF_LIMIT] = limit;
    return leaf;
  }

  protected releaseLeaf(leaf: number): void {
    const capacity = this.arena.words[leaf + LEAF_CAPACITY];
    this.arena.release(leaf, LEAF_RECORDS + capacity * this.layout.leafWords);
  }

  /** Copies a rule's record into a leaf that has room, at its place in the order. */
  protected intoLeaf(leaf: number, id: number): void {
    const words = this.arena.words;
    const store = this.store.words;
    const { leafWords, storeWords } = this.layout;
    const rule = id * storeWords;
    const priority = store[rule + PRIORITY];
    const first = leaf + LEAF_RECORDS;
    let at = first + words[leaf + LEAF_SIZE] * leafWords;
    const end = at;
    while (at > first) {
      const other = words[at - leafWords + PRIORITY];
      if (other < priority) break;
      if (other === priority && words[at - leafWords + RULE_ID] < id) break;
      at -= leafWords;
    }
    if (at < end) words.copyWithin(at + leafWords, at, end);
    for (let word = 0; word < leafWords; word++) words[at + word] = store[rule + word];
    words[leaf + LEAF_SIZE] = words[leaf + LEAF_SIZE] + 1;
  }

  /** A node with these masks and no slots yet. */
  protected makeNode(tables: number, masks: Int32Array, planned: number): number {
    const { keyWords } = this.layout;
    const node = this.arena.allocate(NODE_TABLES + tables * this.tableWords);
    const words = this.arena.words;
    words[node + NODE_TABLE_COUNT] = tables;
    words[node + NODE_REST] = 0;
    words[node + NODE_COUNT] = 0;
    words[node + NODE_PLANNED] = planned;
    words[node + NODE_BEST] = 0x7fffffff;
    for (let i = 0; i < tables; i++) {
      const table = node + NODE_TABLES + i * this.tableWords;
      words.fill(0, table, table + this.tableWords);
      words[table + TABLE_BEST] = 0x7fffffff;
      let bits = 0;
      for (let word = 0; word < keyWords; word++) {
        const mask = masks[i * keyWords + word];
        words[table + TABLE_MASK + word] = mask;
        bits += bitCount(mask);
      }
      words[table + TABLE_BITS] = bits;
    }
    this.nodeCount++;
    return node;
  }

  /** Gives a table empty slots for `ruleCount` rules: two to four per rule. */
  protected makeSlots(table: number, ruleCount: number): void {
    const log2 = Math.max(2, 33 - Math.clz32(Math.max(1, ruleCount)));
    const slots = this.arena.allocate(2 ** log2);
    const words = this.arena.words;
    words.fill(0, slots, slots + 2 ** log2);
    words[table + TABLE_SLOTS] = slots;
    words[table + TABLE_SHIFT] = 32 - log2;
  }

  protected sortTables(node: number, tables: number): void {
    for (let i = 1; i < tables; i++) this.bubble(node, node + NODE_TABLES + i * this.tableWords);
  }

  /** Moves a table forward until none before it has a worse best priority. */
  protected bubble(node: number, table: number): void {
    const words = this.arena.words;
    const size = this.tableWords;
    const first = node + NODE_TABLES;
    const best = words[table + TABLE_BEST];
    for (let at = table; at > first && words[at - size + TABLE_BEST] > best; at -= size)
      for (let word = 0; word < size; word++) {
        const moved = words[at + word];
        words[at + word] = words[at - size + word];
        words[at - size + word] = moved;
      }
  }

  /** Rules below a reference. */
  protected countOf(reference: number): number {
    if (reference < 0) return this.arena.words[NODE_COUNT - reference];
    return reference === 0 ? 0 : this.arena.words[reference + LEAF_SIZE];
  }

  /** Writes the ids of the rules below a reference to `into` from `at` on; returns the place after the last. */
  protected collect(reference: number, into: Int32Array, at: number): number {
    const words = this.arena.words;
    if (reference >= 0) {
      const { leafWords } = this.layout;
      const size = reference === 0 ? 0 : words[reference + LEAF_SIZE];
      for (let i = 0; i < size; i++)
        into[at + i] = words[reference + LEAF_RECORDS + i * leafWords + RULE_ID];
      return at + size;
    }
    const node = -reference;
    let place = this.collect(words[node + NODE_REST], into, at);
    for (let i = 0; i < words[node + NODE_TABLE_COUNT]; i++) {
      const table = node + NODE_TABLES + i * this.tableWords;
      const slots = words[table + TABLE_SLOTS];
      const end = slots + 2 ** (32 - words[table + TABLE_SHIFT]);
      for (let slot = slots; slot < end; slot++)
        if (words[slot] !== 0) place = this.collect(words[slot], into, place);
    }
    return place;
  }

  /** Gives back everything below a reference. */
  protected drop(reference: number): void {
    if (reference > 0) this.releaseLeaf(reference);
    if (reference >= 0) return;
    const words = this.arena.words;
    const node = -reference;
    const tables = words[node + NODE_TABLE_COUNT];
    this.drop(words[node + NODE_REST]);
    for (let i = 0; i < tables; i++) {
      const table = node + NODE_TABLES + i * this.tableWords;
      const slots = words[table + TABLE_SLOTS];
      const slotCount = 2 ** (32 - words[table + TABLE_SHIFT]);
      for (let slot = slots; slot < slots + slotCount; slot++) this.drop(words[slot]);
      this.arena.release(slots, slotCount);
    }
    this.arena.release(node, NODE_TABLES + tables * this.tableWords);
    this.nodeCount--;
  }

  /** Whether a table's mask has only bits that the rule cares about. */
  protected serves(table: number, id: number): boolean {
    const { keyWords, storeWords, maskAt } = this.layout;
    const rule = id * storeWords;
    let extra = 0;
    for (let word = 0; word < keyWords; word++)
      extra |= this.arena.words[table + TABLE_MASK + word] & ~this.store.words[rule + maskAt[word]];
    return extra === 0;
  }

  /** One past the last word of a node's tables. */
  protected tablesEnd(node: number): number {
    return node + NODE_TABLES + this.arena.words[node + NODE_TABLE_COUNT] * this.tableWords;
  }

  /** The table of a node that takes a rule: of those that serve it the one with most bits; 0 for none. */
  protected tableFor(node: number, id: number): number {
    const words = this.arena.words;
    let chosen = 0;
    let chosenBits = -1;
    for (let i = 0; i < words[node + NODE_TABLE_COUNT]; i++) {
      const table = node + NODE_TABLES + i * this.tableWords;
      const bits = words[table + TABLE_BITS];
      if (bits > chosenBits && this.serves(table, id)) {
        chosen = table;
        chosenBits = bits;
      }
    }
    return chosen;
  }

  protected hashOf(table: number, id: number): number {
    const { keyWords, storeWords, valueAt } = this.layout;
    const words = this.arena.words;
    const store = this.store.words;
    const rule = id * storeWords;
    let hash = 0;
    for (let word = 0; word < keyWords; word++) {
      const mask = words[table + TABLE_MASK + word];
      const value = store[rule + valueAt[word]] & mask;
      hash = (hash + Math.imul(value ^ (value >>> 16), this.multipliers[word])) | 0;
    }
    return hash;
  }

  protected slotOf(table: number, id: number): number {
    const words = this.arena.words;
    const shift = words[table + TABLE_SHIFT];
    return words[table + TABLE_SLOTS] + (this.hashOf(table, id) >>> shift);
  }
}

function bitCount(word: number): number {
  let bits = 0;
  for (let left = word; left !== 0; left &= left - 1) bits++;
  return bits;
}
