// The tree of hash nodes that a classifier searches: building, inserting, removing. The essay on why it is what it is heads
// classifier.ts; the lookups over it are in search.ts.
//
// A reference is one word: 0 nothing, positive the word of a leaf in the arena, negative that of a node (negated).
//   leaf: SIZE, CAPACITY, LIMIT, then SIZE records of `leafWords` words, best first.
//   node: TABLE_COUNT, REST (reference: the rules that no table serves), COUNT, PLANNED, BEST, then TABLE_COUNT tables.
//   table: T_BEST, T_SHIFT, T_SLOTS, T_COUNT, T_BITS, then the mask, `keyWords` words. T_SLOTS names 2^(32 - shift) references.
// Tables stand in order of their best priority. Best values may be too good after removals: that costs a probe, no match.

import { Arena } from './arena.ts';
import { PRIORITY, RULE_ID } from './layout.ts';
import type { RecordLayout } from './layout.ts';
import { Planner } from './planner.ts';

export const LEAF_SIZE = 0;
const LEAF_CAPACITY = 1;
/** Rules from which the leaf is planned again. */
const LEAF_LIMIT = 2;
export const LEAF_RECORDS = 3;

export const NODE_TABLE_COUNT = 0;
export const NODE_REST = 1;
const NODE_COUNT = 2;
/** Rules below the node when it was planned. */
const NODE_PLANNED = 3;
/** Best priority below the node, or better. */
export const NODE_BEST = 4;
export const NODE_TABLES = 5;

export const TABLE_BEST = 0;
export const TABLE_SHIFT = 1;
export const TABLE_SLOTS = 2;
const TABLE_COUNT = 3;
/** Bits set in the mask: of two tables that serve a rule the one with more bits takes it. */
const TABLE_BITS = 4;
export const TABLE_MASK = 5;

/** Rules that a leaf takes before a node is considered in its place; 4 and 16 were slower (docs/classifier.md). */
const LEAF_MAX = 8;
/** Nodes up to this size are planned again at once when they have doubled: 1 ms at most. */
const REPLAN_MAX = 512;

export interface RuleStore {
  /** Records of `storeWords` words, by rule id. */
  words: Int32Array;
}

export class Tree {
  readonly arena: Arena;
  /** Reference of the root. */
  root = 0;
  /** Nodes in use: bounds what a lookup can have pending. */
  nodeCount = 0;
  private readonly layout: RecordLayout;
  private readonly store: RuleStore;
  private readonly planner: Planner;
  private readonly multipliers: Int32Array;
  private readonly tableWords: number;

  constructor(layout: RecordLayout, multipliers: Int32Array, store: RuleStore, words: number) {
    this.layout = layout;
    this.multipliers = multipliers;
    this.store = store;
    this.arena = new Arena(words);
    this.planner = new Planner(layout, multipliers);
    this.tableWords = TABLE_MASK + layout.keyWords;
  }

  /** Puts a rule of the store into the tree. */
  insert(id: number): void {
    this.root = this.insertAt(this.root, id);
  }

  /** Takes a rule out of the tree, its record still in the store; false when it was not there. */
  remove(id: number): boolean {
    const before = this.removed;
    this.root = this.removeAt(this.root, id);
    return this.removed !== before;
  }
  private removed = 0;

  /** Makes the tree hold exactly these rules, planned as a whole. */
  load(ids: Int32Array, count: number): void {
    this.drop(this.root);
    this.root = this.build(ids, count);
  }

  /**
   * Starts from an empty root whose tables are planned for `ruleCount` rules, of which `sample` holds some, that come one by one.
   * Tables get their final number of slots: no doubling on the way.
   */
  prepare(sample: Int32Array, sampleCount: number, ruleCount: number): void {
    this.drop(this.root);
    this.root = 0;
    const tables = this.planner.plan(this.store.words, sample, sampleCount, ruleCount);
    if (tables === 0) return;
    const node = this.makeNode(tables, ruleCount);
    this.root = -node;
    const shares = new Int32Array(tables);
    for (let i = 0; i < sampleCount; i++) {
      const table = this.tableFor(node, sample[i] as number);
      if (table !== 0) this.addShare(shares, node, table);
    }
    const scale = ruleCount / sampleCount;
    for (let i = 0; i < tables; i++)
      this.makeSlots(node + NODE_TABLES + i * this.tableWords, (shares[i] as number) * scale);
  }

  private addShare(shares: Int32Array, node: number, table: number): void {
    const index = (table - node - NODE_TABLES) / this.tableWords;
    shares[index] = (shares[index] as number) + 1;
  }

  // --- building

  /** A reference to a new subtree of `count` rules. */
  private build(ids: Int32Array, count: number): number {
    if (count === 0) return 0;
    if (count <= LEAF_MAX) return this.makeLeaf(ids, count, LEAF_MAX);
    const tables = this.planner.plan(this.store.words, ids, count, count);
    if (tables === 0) return this.makeLeaf(ids, count, 2 * count);
    return this.fillNode(this.makeNode(tables, count), tables, ids, count);
  }

  /** A node with the planner's masks and no slots yet. */
  private makeNode(tables: number, planned: number): number {
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
        const mask = this.planner.masks[i * keyWords + word] as number;
        words[table + TABLE_MASK + word] = mask;
        bits += bitCount(mask);
      }
      words[table + TABLE_BITS] = bits;
    }
    this.nodeCount++;
    return node;
  }

  /** Gives a table empty slots for `ruleCount` rules: two to four per rule. */
  private makeSlots(table: number, ruleCount: number): void {
    const log2 = Math.max(2, 33 - Math.clz32(Math.max(1, ruleCount)));
    const slots = this.arena.allocate(2 ** log2);
    const words = this.arena.words;
    words.fill(0, slots, slots + 2 ** log2);
    words[table + TABLE_SLOTS] = slots;
    words[table + TABLE_SHIFT] = 32 - log2;
  }

  /** Distributes rules over a new node's tables and builds what is below. */
  private fillNode(node: number, tables: number, ids: Int32Array, count: number): number {
    const store = this.store.words;
    const { storeWords } = this.layout;
    const tableOf = new Int32Array(count);
    const shares = new Int32Array(tables);
    const rest = new Int32Array(count);
    let restCount = 0;
    let best = 0x7fffffff;
    for (let i = 0; i < count; i++) {
      const id = ids[i] as number;
      const table = this.tableFor(node, id);
      const priority = store[id * storeWords + PRIORITY] as number;
      best = Math.min(best, priority);
      tableOf[i] = table;
      if (table === 0) {
        rest[restCount++] = id;
        continue;
      }
      this.addShare(shares, node, table);
      if (priority < (this.arena.words[table + TABLE_BEST] as number))
        this.arena.words[table + TABLE_BEST] = priority;
    }
    for (let i = 0; i < tables; i++)
      this.fillTable(node + NODE_TABLES + i * this.tableWords, shares[i] as number, tableOf, ids);
    const below = this.build(rest, restCount);
    this.arena.words[node + NODE_REST] = below;
    this.arena.words[node + NODE_COUNT] = count;
    this.arena.words[node + NODE_BEST] = best;
    this.sortTables(node, tables);
    return -node;
  }

  /** Builds the buckets of one table from the rules marked with it. */
  private fillTable(table: number, share: number, tableOf: Int32Array, ids: Int32Array): void {
    this.makeSlots(table, share);
    this.arena.words[table + TABLE_COUNT] = share;
    const slots = this.arena.words[table + TABLE_SLOTS] as number;
    const shift = this.arena.words[table + TABLE_SHIFT] as number;
    const heads = new Int32Array(2 ** (32 - shift));
    const next = new Int32Array(tableOf.length);
    for (let i = tableOf.length - 1; i >= 0; i--) {
      if (tableOf[i] !== table) continue;
      const slot = this.hashOf(table, ids[i] as number) >>> shift;
      next[i] = heads[slot] as number;
      heads[slot] = i + 1;
    }
    for (let slot = 0; slot < heads.length; slot++) {
      let count = 0;
      for (let i = heads[slot] as number; i !== 0; i = next[i - 1] as number) count++;
      if (count === 0) continue;
      const bucket = new Int32Array(count);
      count = 0;
      for (let i = heads[slot] as number; i !== 0; i = next[i - 1] as number)
        bucket[count++] = ids[i - 1] as number;
      // A bucket of all rules would be planned alike without end: it is a list.
      const below =
        count === ids.length ? this.makeLeaf(bucket, count, 2 * count) : this.build(bucket, count);
      this.arena.words[slots + slot] = below;
    }
  }

  private sortTables(node: number, tables: number): void {
    for (let i = 1; i < tables; i++) this.bubble(node, node + NODE_TABLES + i * this.tableWords);
  }

  /** Moves a table forward until none before it has a worse best priority. */
  private bubble(node: number, table: number): void {
    const words = this.arena.words;
    const size = this.tableWords;
    const first = node + NODE_TABLES;
    const best = words[table + TABLE_BEST] as number;
    for (let at = table; at > first && (words[at - size + TABLE_BEST] as number) > best; at -= size)
      for (let word = 0; word < size; word++) {
        const moved = words[at + word] as number;
        words[at + word] = words[at - size + word] as number;
        words[at - size + word] = moved;
      }
  }

  // --- leaves

  private makeLeaf(ids: Int32Array, count: number, limit: number): number {
    const leaf = this.newLeaf(Math.max(count, 1), limit);
    for (let i = 0; i < count; i++) this.intoLeaf(leaf, ids[i] as number);
    return leaf;
  }

  private newLeaf(capacity: number, limit: number): number {
    const leaf = this.arena.allocate(LEAF_RECORDS + capacity * this.layout.leafWords);
    this.arena.words[leaf + LEAF_SIZE] = 0;
    this.arena.words[leaf + LEAF_CAPACITY] = capacity;
    this.arena.words[leaf + LEAF_LIMIT] = limit;
    return leaf;
  }

  private releaseLeaf(leaf: number): void {
    const capacity = this.arena.words[leaf + LEAF_CAPACITY] as number;
    this.arena.release(leaf, LEAF_RECORDS + capacity * this.layout.leafWords);
  }

  /** Copies a rule's record into a leaf that has room, at its place in the order. */
  private intoLeaf(leaf: number, id: number): void {
    const words = this.arena.words;
    const store = this.store.words;
    const { leafWords, storeWords } = this.layout;
    const rule = id * storeWords;
    const priority = store[rule + PRIORITY] as number;
    const first = leaf + LEAF_RECORDS;
    let at = first + (words[leaf + LEAF_SIZE] as number) * leafWords;
    const end = at;
    while (at > first) {
      const other = words[at - leafWords + PRIORITY] as number;
      if (other < priority) break;
      if (other === priority && (words[at - leafWords + RULE_ID] as number) < id) break;
      at -= leafWords;
    }
    if (at < end) words.copyWithin(at + leafWords, at, end);
    for (let word = 0; word < leafWords; word++) words[at + word] = store[rule + word] as number;
    words[leaf + LEAF_SIZE] = (words[leaf + LEAF_SIZE] as number) + 1;
  }

  // --- one rule in

  private insertAt(reference: number, id: number): number {
    if (reference < 0) return this.insertIntoNode(-reference, id);
    if (reference === 0) {
      const leaf = this.newLeaf(1, LEAF_MAX);
      this.intoLeaf(leaf, id);
      return leaf;
    }
    return this.insertIntoLeaf(reference, id);
  }

  private insertIntoLeaf(leaf: number, id: number): number {
    const { leafWords } = this.layout;
    const size = this.arena.words[leaf + LEAF_SIZE] as number;
    if (size >= (this.arena.words[leaf + LEAF_LIMIT] as number)) {
      const ids = new Int32Array(size + 1);
      this.collect(leaf, ids, 0);
      ids[size] = id;
      this.releaseLeaf(leaf);
      return this.build(ids, size + 1);
    }
    if (size < (this.arena.words[leaf + LEAF_CAPACITY] as number)) {
      this.intoLeaf(leaf, id);
      return leaf;
    }
    const roomier = this.newLeaf(
      size + (size >> 1) + 1,
      this.arena.words[leaf + LEAF_LIMIT] as number,
    );
    const from = leaf + LEAF_RECORDS;
    this.arena.words.copyWithin(roomier + LEAF_RECORDS, from, from + size * leafWords);
    this.arena.words[roomier + LEAF_SIZE] = size;
    this.releaseLeaf(leaf);
    this.intoLeaf(roomier, id);
    return roomier;
  }

  private insertIntoNode(node: number, id: number): number {
    const count = (this.arena.words[node + NODE_COUNT] as number) + 1;
    if (count <= REPLAN_MAX && count > 2 * (this.arena.words[node + NODE_PLANNED] as number)) {
      const ids = new Int32Array(count);
      this.collect(-node, ids, 0);
      ids[count - 1] = id;
      this.drop(-node);
      return this.build(ids, count);
    }
    const priority = this.store.words[id * this.layout.storeWords + PRIORITY] as number;
    this.arena.words[node + NODE_COUNT] = count;
    if (priority < (this.arena.words[node + NODE_BEST] as number))
      this.arena.words[node + NODE_BEST] = priority;
    const table = this.tableFor(node, id);
    if (table === 0) {
      const rest = this.insertAt(this.arena.words[node + NODE_REST] as number, id);
      this.arena.words[node + NODE_REST] = rest;
      return -node;
    }
    this.insertIntoTable(table, id);
    if (priority < (this.arena.words[table + TABLE_BEST] as number)) {
      this.arena.words[table + TABLE_BEST] = priority;
      this.bubble(node, table);
    }
    return -node;
  }

  private insertIntoTable(table: number, id: number): void {
    const share = (this.arena.words[table + TABLE_COUNT] as number) + 1;
    this.arena.words[table + TABLE_COUNT] = share;
    const shift = this.arena.words[table + TABLE_SHIFT] as number;
    if (share > 2 ** (32 - shift) && shift > 8) this.doubleSlots(table);
    const slot = this.slotOf(table, id);
    const below = this.insertAt(this.arena.words[slot] as number, id);
    this.arena.words[slot] = below;
  }

  /** Doubles a table's slots: the rules of slot i go to 2 i and 2 i + 1, for the index is the hash's upper bits. */
  private doubleSlots(table: number): void {
    const shift = this.arena.words[table + TABLE_SHIFT] as number;
    const oldSlots = this.arena.words[table + TABLE_SLOTS] as number;
    const oldCount = 2 ** (32 - shift);
    const slots = this.arena.allocate(2 * oldCount);
    this.arena.words.fill(0, slots, slots + 2 * oldCount);
    for (let slot = 0; slot < oldCount; slot++) {
      const reference = this.arena.words[oldSlots + slot] as number;
      if (reference !== 0) this.splitSlot(table, reference, slots + 2 * slot, shift - 1);
    }
    this.arena.release(oldSlots, oldCount);
    this.arena.words[table + TABLE_SLOTS] = slots;
    this.arena.words[table + TABLE_SHIFT] = shift - 1;
  }

  private splitSlot(table: number, reference: number, pair: number, shift: number): void {
    const ids = new Int32Array(this.countOf(reference));
    this.collect(reference, ids, 0);
    const odd = new Int32Array(ids.length);
    let evenCount = 0;
    let oddCount = 0;
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i] as number;
      if (((this.hashOf(table, id) >>> shift) & 1) === 1) odd[oddCount++] = id;
      else ids[evenCount++] = id;
    }
    if (evenCount === 0 || oddCount === 0) {
      this.arena.words[pair + (oddCount > 0 ? 1 : 0)] = reference;
      return;
    }
    this.drop(reference);
    const even = this.build(ids, evenCount);
    this.arena.words[pair] = even;
    const other = this.build(odd, oddCount);
    this.arena.words[pair + 1] = other;
  }

  // --- one rule out

  private removeAt(reference: number, id: number): number {
    if (reference === 0) return 0;
    if (reference > 0) return this.removeFromLeaf(reference, id);
    const node = -reference;
    const before = this.removed;
    const end = this.tablesEnd(node);
    for (let table = node + NODE_TABLES; table < end; table += this.tableWords) {
      if (!this.serves(table, id)) continue;
      this.removeFromSlot(this.slotOf(table, id), id);
      if (this.removed === before) continue;
      this.arena.words[table + TABLE_COUNT] = (this.arena.words[table + TABLE_COUNT] as number) - 1;
      break;
    }
    if (this.removed === before) this.removeFromSlot(node + NODE_REST, id);
    if (this.removed === before) return reference;
    const count = (this.arena.words[node + NODE_COUNT] as number) - 1;
    this.arena.words[node + NODE_COUNT] = count;
    const planned = this.arena.words[node + NODE_PLANNED] as number;
    if (count > LEAF_MAX / 2 || planned > REPLAN_MAX) return reference;
    const ids = new Int32Array(count);
    this.collect(reference, ids, 0);
    this.drop(reference);
    return this.build(ids, count);
  }

  /** Removes below the reference that word `slot` of the arena holds. */
  private removeFromSlot(slot: number, id: number): void {
    const below = this.removeAt(this.arena.words[slot] as number, id);
    this.arena.words[slot] = below;
  }

  private removeFromLeaf(leaf: number, id: number): number {
    const words = this.arena.words;
    const { leafWords } = this.layout;
    const size = words[leaf + LEAF_SIZE] as number;
    const end = leaf + LEAF_RECORDS + size * leafWords;
    let at = leaf + LEAF_RECORDS;
    while (at < end && words[at + RULE_ID] !== id) at += leafWords;
    if (at === end) return leaf;
    this.removed++;
    if (size === 1) {
      this.releaseLeaf(leaf);
      return 0;
    }
    words.copyWithin(at, at + leafWords, end);
    words[leaf + LEAF_SIZE] = size - 1;
    return leaf;
  }

  // --- walking

  /** Rules below a reference. */
  private countOf(reference: number): number {
    if (reference < 0) return this.arena.words[NODE_COUNT - reference] as number;
    return reference === 0 ? 0 : (this.arena.words[reference + LEAF_SIZE] as number);
  }

  /** Writes the ids of the rules below a reference to `into` from `at` on; returns the place after the last. */
  private collect(reference: number, into: Int32Array, at: number): number {
    const words = this.arena.words;
    if (reference >= 0) {
      const { leafWords } = this.layout;
      const size = reference === 0 ? 0 : (words[reference + LEAF_SIZE] as number);
      for (let i = 0; i < size; i++)
        into[at + i] = words[reference + LEAF_RECORDS + i * leafWords + RULE_ID] as number;
      return at + size;
    }
    const node = -reference;
    let place = this.collect(words[node + NODE_REST] as number, into, at);
    for (let i = 0; i < (words[node + NODE_TABLE_COUNT] as number); i++) {
      const table = node + NODE_TABLES + i * this.tableWords;
      const slots = words[table + TABLE_SLOTS] as number;
      const end = slots + 2 ** (32 - (words[table + TABLE_SHIFT] as number));
      for (let slot = slots; slot < end; slot++)
        if (words[slot] !== 0) place = this.collect(words[slot] as number, into, place);
    }
    return place;
  }

  /** Gives back everything below a reference. */
  private drop(reference: number): void {
    if (reference > 0) this.releaseLeaf(reference);
    if (reference >= 0) return;
    const words = this.arena.words;
    const node = -reference;
    const tables = words[node + NODE_TABLE_COUNT] as number;
    this.drop(words[node + NODE_REST] as number);
    for (let i = 0; i < tables; i++) {
      const table = node + NODE_TABLES + i * this.tableWords;
      const slots = words[table + TABLE_SLOTS] as number;
      const slotCount = 2 ** (32 - (words[table + TABLE_SHIFT] as number));
      for (let slot = slots; slot < slots + slotCount; slot++) this.drop(words[slot] as number);
      this.arena.release(slots, slotCount);
    }
    this.arena.release(node, NODE_TABLES + tables * this.tableWords);
    this.nodeCount--;
  }

  // --- tables

  /** Whether a table's mask has only bits that the rule cares about. */
  private serves(table: number, id: number): boolean {
    const { keyWords, storeWords, maskAt } = this.layout;
    const rule = id * storeWords;
    let extra = 0;
    for (let word = 0; word < keyWords; word++)
      extra |=
        (this.arena.words[table + TABLE_MASK + word] as number) &
        ~(this.store.words[rule + (maskAt[word] as number)] as number);
    return extra === 0;
  }

  /** One past the last word of a node's tables. */
  private tablesEnd(node: number): number {
    return (
      node + NODE_TABLES + (this.arena.words[node + NODE_TABLE_COUNT] as number) * this.tableWords
    );
  }

  /** The table of a node that takes a rule: of those that serve it the one with most bits; 0 for none. */
  private tableFor(node: number, id: number): number {
    const words = this.arena.words;
    let chosen = 0;
    let chosenBits = -1;
    for (let i = 0; i < (words[node + NODE_TABLE_COUNT] as number); i++) {
      const table = node + NODE_TABLES + i * this.tableWords;
      const bits = words[table + TABLE_BITS] as number;
      if (bits > chosenBits && this.serves(table, id)) {
        chosen = table;
        chosenBits = bits;
      }
    }
    return chosen;
  }

  private hashOf(table: number, id: number): number {
    const { keyWords, storeWords, valueAt } = this.layout;
    const words = this.arena.words;
    const store = this.store.words;
    const rule = id * storeWords;
    let hash = 0;
    for (let word = 0; word < keyWords; word++) {
      const mask = words[table + TABLE_MASK + word] as number;
      const value = (store[rule + (valueAt[word] as number)] as number) & mask;
      hash = (hash + Math.imul(value ^ (value >>> 16), this.multipliers[word] as number)) | 0;
    }
    return hash;
  }

  private slotOf(table: number, id: number): number {
    const words = this.arena.words;
    const shift = words[table + TABLE_SHIFT] as number;
    return (words[table + TABLE_SLOTS] as number) + (this.hashOf(table, id) >>> shift);
  }
}

function bitCount(word: number): number {
  let bits = 0;
  for (let left = word; left !== 0; left &= left - 1) bits++;
  return bits;
}
