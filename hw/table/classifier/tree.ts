// The tree of hash nodes that a classifier searches: building, inserting, removing. The essay on why it is what it is heads
// classifier.ts; the blocks that it is made of are in blocks.ts, the lookups over it in search.ts.

import {
  Blocks,
  LEAF_CAPACITY,
  LEAF_LIMIT,
  LEAF_RECORDS,
  LEAF_SIZE,
  NODE_BEST,
  NODE_COUNT,
  NODE_PLANNED,
  NODE_REST,
  NODE_TABLES,
  TABLE_BEST,
  TABLE_COUNT,
  TABLE_SHIFT,
  TABLE_SLOTS,
} from './blocks.ts';
import type { RuleStore } from './blocks.ts';
import { PRIORITY, RULE_ID } from './layout.ts';
import type { RecordLayout } from './layout.ts';
import { Planner, SAMPLE_MAX } from './planner.ts';

/** Rules that a leaf takes before a node is considered in its place; 6 was 25 % slower, 20 alike (docs/classifier.md). */
const LEAF_MAX = 16;
/** Nodes up to this size are planned again at once when they have doubled: 1 ms at most. */
const REPLAN_MAX = 512;
/** Rules looked at when planning while one rule goes in. */
const UPDATE_SAMPLE = 32;

export class Tree extends Blocks {
  /** Reference of the root. */
  root = 0;
  private readonly planner: Planner;
  private planSample: Int32Array = new Int32Array(0);
  private planRules = 0;
  /** Rules that a plan looks at: all that it may while loading, fewer while a single rule goes in. */
  private sampleMax = UPDATE_SAMPLE;
  /** Rules removed so far. */
  private removed = 0;

  constructor(layout: RecordLayout, multipliers: Int32Array, store: RuleStore, words: number) {
    super(layout, multipliers, store, words);
    this.planner = new Planner(layout, multipliers);
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
  /** Makes the tree hold exactly these rules, planned as a whole. */
  load(ids: Int32Array, count: number): void {
    this.drop(this.root);
    this.sampleMax = SAMPLE_MAX;
    this.root = this.build(ids, count);
    this.sampleMax = UPDATE_SAMPLE;
  }

  /**
   * Starts planning the empty tree for `ruleCount` rules, of which `sample` holds some, that will come one by one;
   * `advancePlan` does it.
   */
  beginPlan(sample: Int32Array, ruleCount: number): void {
    this.planSample = sample;
    this.planRules = ruleCount;
    this.planner.begin(sample, sample.length, ruleCount, SAMPLE_MAX);
  }

  /** A step of less than 1 ms; true when the tree is ready for its rules. Tables have their final size: no doubling. */
  advancePlan(): boolean {
    if (!this.planner.advance(this.store.words)) return false;
    const tables = this.planner.tableCount;
    if (tables === 0) return true;
    const node = this.makeNode(tables, this.planner.masks, this.planRules);
    this.root = -node;
    const shares = new Int32Array(tables);
    const sample = this.planSample;
    for (let i = 0; i < sample.length; i++) {
      const table = this.tableFor(node, sample[i]);
      if (table !== 0) this.addShare(shares, node, table);
    }
    const scale = this.planRules / sample.length;
    for (let i = 0; i < tables; i++)
      this.makeSlots(node + NODE_TABLES + i * this.tableWords, shares[i] * scale);
    return true;
  }

  private addShare(shares: Int32Array, node: number, table: number): void {
    const index = (table - node - NODE_TABLES) / this.tableWords;
    shares[index] = shares[index] + 1;
  }

  // --- building

  /** A reference to a new subtree of `count` rules. */
  private build(ids: Int32Array, count: number): number {
    if (count === 0) return 0;
    if (count <= LEAF_MAX) return this.makeLeaf(ids, count, LEAF_MAX);
    const tables = this.planner.plan(this.store.words, ids, count, count, this.sampleMax);
    if (tables === 0) return this.makeLeaf(ids, count, 2 * count);
    return this.fillNode(this.makeNode(tables, this.planner.masks, count), tables, ids, count);
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
      const id = ids[i];
      const table = this.tableFor(node, id);
      const priority = store[id * storeWords + PRIORITY];
      best = Math.min(best, priority);
      tableOf[i] = table;
      if (table === 0) {
        rest[restCount++] = id;
        continue;
      }
      this.addShare(shares, node, table);
      if (priority < this.arena.words[table + TABLE_BEST])
        this.arena.words[table + TABLE_BEST] = priority;
    }
    for (let i = 0; i < tables; i++)
      this.fillTable(node + NODE_TABLES + i * this.tableWords, shares[i], tableOf, ids);
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
    const slots = this.arena.words[table + TABLE_SLOTS];
    const shift = this.arena.words[table + TABLE_SHIFT];
    const heads = new Int32Array(2 ** (32 - shift));
    const next = new Int32Array(tableOf.length);
    for (let i = tableOf.length - 1; i >= 0; i--) {
      if (tableOf[i] !== table) continue;
      const slot = this.hashOf(table, ids[i]) >>> shift;
      next[i] = heads[slot];
      heads[slot] = i + 1;
    }
    for (let slot = 0; slot < heads.length; slot++) {
      let count = 0;
      for (let i = heads[slot]; i !== 0; i = next[i - 1]) count++;
      if (count === 0) continue;
      const bucket = new Int32Array(count);
      count = 0;
      for (let i = heads[slot]; i !== 0; i = next[i - 1]) bucket[count++] = ids[i - 1];
      // A bucket of all rules would be planned alike without end: it is a list.
      const below =
        count === ids.length ? this.makeLeaf(bucket, count, 2 * count) : this.build(bucket, count);
      this.arena.words[slots + slot] = below;
    }
  }

  // --- leaves

  private makeLeaf(ids: Int32Array, count: number, limit: number): number {
    const leaf = this.newLeaf(Math.max(count, 1), limit);
    for (let i = 0; i < count; i++) this.intoLeaf(leaf, ids[i]);
    return leaf;
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
    const size = this.arena.words[leaf + LEAF_SIZE];
    if (size >= this.arena.words[leaf + LEAF_LIMIT]) {
      const ids = new Int32Array(size + 1);
      this.collect(leaf, ids, 0);
      ids[size] = id;
      this.releaseLeaf(leaf);
      return this.build(ids, size + 1);
    }
    if (size < this.arena.words[leaf + LEAF_CAPACITY]) {
      this.intoLeaf(leaf, id);
      return leaf;
    }
    const roomier = this.newLeaf(size + (size >> 1) + 1, this.arena.words[leaf + LEAF_LIMIT]);
    const from = leaf + LEAF_RECORDS;
    this.arena.words.copyWithin(roomier + LEAF_RECORDS, from, from + size * leafWords);
    this.arena.words[roomier + LEAF_SIZE] = size;
    this.releaseLeaf(leaf);
    this.intoLeaf(roomier, id);
    return roomier;
  }

  private insertIntoNode(node: number, id: number): number {
    const count = this.arena.words[node + NODE_COUNT] + 1;
    if (count <= REPLAN_MAX && count > 2 * this.arena.words[node + NODE_PLANNED]) {
      const ids = new Int32Array(count);
      this.collect(-node, ids, 0);
      ids[count - 1] = id;
      this.drop(-node);
      return this.build(ids, count);
    }
    const priority = this.store.words[id * this.layout.storeWords + PRIORITY];
    this.arena.words[node + NODE_COUNT] = count;
    if (priority < this.arena.words[node + NODE_BEST])
      this.arena.words[node + NODE_BEST] = priority;
    const table = this.tableFor(node, id);
    if (table === 0) {
      const rest = this.insertAt(this.arena.words[node + NODE_REST], id);
      this.arena.words[node + NODE_REST] = rest;
      return -node;
    }
    this.insertIntoTable(table, id);
    if (priority < this.arena.words[table + TABLE_BEST]) {
      this.arena.words[table + TABLE_BEST] = priority;
      this.bubble(node, table);
    }
    return -node;
  }

  private insertIntoTable(table: number, id: number): void {
    const share = this.arena.words[table + TABLE_COUNT] + 1;
    this.arena.words[table + TABLE_COUNT] = share;
    const shift = this.arena.words[table + TABLE_SHIFT];
    if (share > 2 ** (32 - shift) && shift > 8) this.doubleSlots(table);
    const slot = this.slotOf(table, id);
    const below = this.insertAt(this.arena.words[slot], id);
    this.arena.words[slot] = below;
  }

  /** Doubles a table's slots: the rules of slot i go to 2 i and 2 i + 1, for the index is the hash's upper bits. */
  private doubleSlots(table: number): void {
    const shift = this.arena.words[table + TABLE_SHIFT];
    const oldSlots = this.arena.words[table + TABLE_SLOTS];
    const oldCount = 2 ** (32 - shift);
    const slots = this.arena.allocate(2 * oldCount);
    this.arena.words.fill(0, slots, slots + 2 * oldCount);
    for (let slot = 0; slot < oldCount; slot++) {
      const reference = this.arena.words[oldSlots + slot];
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
      const id = ids[i];
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
      this.arena.words[table + TABLE_COUNT] = this.arena.words[table + TABLE_COUNT] - 1;
      break;
    }
    if (this.removed === before) this.removeFromSlot(node + NODE_REST, id);
    if (this.removed === before) return reference;
    const count = this.arena.words[node + NODE_COUNT] - 1;
    this.arena.words[node + NODE_COUNT] = count;
    const planned = this.arena.words[node + NODE_PLANNED];
    if (count > LEAF_MAX / 2 || planned > REPLAN_MAX) return reference;
    const ids = new Int32Array(count);
    this.collect(reference, ids, 0);
    this.drop(reference);
    return this.build(ids, count);
  }

  /** Removes below the reference that word `slot` of the arena holds. */
  private removeFromSlot(slot: number, id: number): void {
    const below = this.removeAt(this.arena.words[slot], id);
    this.arena.words[slot] = below;
  }

  private removeFromLeaf(leaf: number, id: number): number {
    const words = this.arena.words;
    const { leafWords } = this.layout;
    const size = words[leaf + LEAF_SIZE];
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
}
