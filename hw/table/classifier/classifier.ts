// The software classifier: which of many ternary rules wins for a key. Same answer as a linear scan, at any moment.
//
// Lowest priority number wins; among equal priorities the lowest rule id (a rule file's line number: the earlier line).
//
// Naive: scan all rules in order; 10,000 rules cost 10 to 20 us. What follows, one step at a time (figures: docs/classifier.md):
//
// 1. Hash tables per mask (tuple space search). Rules with the same mask go into one hash table, so a lookup is one probe per
//    mask. Cost: real sets have hundreds of masks.
// 2. Fewer masks than rules have. A table may look at fewer bits than its rules do, for whatever is found is verified as a
//    whole: the leaf at a slot holds complete rules. So rules of many masks share a table, and hash collisions need no care.
//    Cost: a bucket holds several rules.
// 3. Buckets that are classifiers again. A bucket of more than LEAF_MAX rules becomes a node with tables of its own, on bits
//    that tell these rules apart; what no table serves is the node's rest, a bucket too. No rule is ever copied: it lives in
//    one leaf, so that an insert or remove touches one path.
// 4. Each node plans its masks from the rules it has (planner.ts) instead of by rules of thumb. Cost: planning (a sample, so
//    bounded), and plans that age. A node that has doubled is planned again if it is small; for the whole table see 6.
// 5. Priorities prune. A table knows the best priority below it and tables stand in that order: the first that cannot win ends
//    the node; leaves are in order as well. Safe direction: a best that is too good (left by a removal) costs a probe; one that
//    is too bad would lose matches, so inserts always lower it.
// 6. Rebuilds without a pause. When as many updates have come as there were rules, a second tree is planned from a sample, in
//    steps, and then filled with MOVES_PER_UPDATE rules on every update, which also goes to the second tree if it is its turn. Lookups use
//    the first until the second is complete. Cost: twice the memory meanwhile, and updates that do nine inserts.
// 7. Port ranges stay ranges. Leaves compare low and high; tables hash on the prefix that low and high have in common, if any.
//
// One Int32Array holds the tree (arena.ts): a lookup reads it and allocates nothing.
//
// Subclasses: FiveTupleClassifier (five-tuple.ts; unrolled, with ranges, 36 bytes a rule in leaves) for software classifiers and
// rule files, TernaryClassifier (ternary.ts; any number of 32-bit words by value and mask) as a TCAM's index.
// Oracle in tests: test/reference/linear-classifier.ts.

import { assert } from '../../base/assert.ts';
import { hashMultipliers, PRIORITY, RULE_ID } from './layout.ts';
import type { RecordLayout } from './layout.ts';
import { Tree } from './tree.ts';

/** Rules moved to the next tree per insert or remove while a rebuild is under way. */
const MOVES_PER_UPDATE = 8;
/** Ids looked at for that, at most. */
const STEPS_PER_UPDATE = 64;
/** Updates after which a small table is planned again. */
const REBUILD_UPDATES_MIN = 64;
/** Rules looked at when planning a rebuild. */
const REBUILD_SAMPLE = 4096;
const RULE_ID_MAX = 0x3ff_ffff;

/** What both classifiers share: the rule store, the tree in use, and the next one while it is being filled. */
export abstract class RuleIndex {
  /** Rules in the table. */
  ruleCount = 0;
  protected readonly layout: RecordLayout;
  protected readonly multipliers: Int32Array;
  /** Records by rule id. */
  protected readonly store: { words: Int32Array };
  protected tree: Tree;
  /** References that a lookup has yet to follow; long enough for every node of the tree. */
  protected pending = new Int32Array(64);
  private live = new Uint8Array(16);
  /** One past the highest rule id ever used. */
  private idEnd = 0;
  /** The tree that will take over, null when no rebuild is under way. It holds the rules with ids below `nextId`. */
  private next: Tree | null = null;
  private nextId = 0;
  private nextPlanned = false;
  /** Inserts and removes since the tree in use was planned. */
  private updates = 0;
  /** Rules when it was planned. */
  private plannedRules = 0;
  private loading = false;

  protected constructor(layout: RecordLayout) {
    this.layout = layout;
    this.multipliers = hashMultipliers(layout.keyWords);
    this.store = { words: new Int32Array(16 * layout.storeWords) };
    this.tree = new Tree(layout, this.multipliers, this.store, 0);
  }

  /** Whether a rule with this id is in the table. */
  has(ruleId: number): boolean {
    return this.live[ruleId] === 1;
  }

  /** Takes a rule out; false when there is none with this id. */
  remove(ruleId: number): boolean {
    if (!this.has(ruleId)) return false;
    this.live[ruleId] = 0;
    this.ruleCount--;
    if (this.loading) return true;
    const found = this.tree.remove(ruleId);
    assert(found, 'classifier: a rule of the table is not in its tree');
    if (this.next !== null && ruleId < this.nextId) this.next.remove(ruleId);
    this.afterUpdate();
    return true;
  }

  /** Runs `fill`, which inserts many rules, and plans the table once for all of them. No lookups inside. */
  load(fill: () => void): void {
    assert(!this.loading, 'classifier: load within load');
    this.loading = true;
    this.next = null;
    try {
      fill();
    } finally {
      this.loading = false;
      this.tree = new Tree(this.layout, this.multipliers, this.store, this.ruleCount * 20);
      this.tree.load(this.liveIds(1), this.ruleCount);
      this.plannedRules = this.ruleCount;
      this.updates = 0;
      this.fitPending();
    }
  }

  /** Words of 4 bytes that rules and trees take. */
  get memoryWords(): number {
    const next = this.next === null ? 0 : this.next.arena.words.length;
    return this.store.words.length + this.tree.arena.words.length + next + this.live.length / 4;
  }

  /** Claims the record of a new rule and returns its first word in the store; `added` must follow. */
  protected claim(ruleId: number, priority: number): number {
    assert(
      Number.isInteger(ruleId) && ruleId >= 0 && ruleId <= RULE_ID_MAX && !this.has(ruleId),
      `classifier: rule id ${ruleId} is taken or not a small whole number`,
    );
    assert((priority | 0) === priority, `classifier: priority ${priority} is not a 32-bit integer`);
    const at = ruleId * this.layout.storeWords;
    if (at + this.layout.storeWords > this.store.words.length) {
      const words = new Int32Array(Math.max(2 * this.store.words.length, 2 * at));
      words.set(this.store.words);
      this.store.words = words;
    }
    if (ruleId >= this.live.length) {
      const live = new Uint8Array(Math.max(2 * this.live.length, 2 * ruleId));
      live.set(this.live);
      this.live = live;
    }
    this.store.words[at + PRIORITY] = priority;
    this.store.words[at + RULE_ID] = ruleId;
    return at;
  }

  /** Puts the rule whose record has been written into the table. */
  protected added(ruleId: number): void {
    this.live[ruleId] = 1;
    this.ruleCount++;
    if (ruleId >= this.idEnd) this.idEnd = ruleId + 1;
    if (this.loading) return;
    this.tree.insert(ruleId);
    if (this.next !== null && ruleId < this.nextId) this.next.insert(ruleId);
    this.afterUpdate();
  }

  private afterUpdate(): void {
    this.updates++;
    if (this.next !== null) {
      if (this.nextPlanned) this.moveSome(this.next);
      else this.nextPlanned = this.next.advancePlan();
    }
    if (this.next === null && this.updates > Math.max(REBUILD_UPDATES_MIN, this.plannedRules))
      this.startRebuild();
    this.fitPending();
  }

  private startRebuild(): void {
    const stride = Math.max(1, Math.floor(this.ruleCount / REBUILD_SAMPLE));
    const sample = this.liveIds(stride);
    const words = this.tree.arena.usedWords;
    this.next = new Tree(this.layout, this.multipliers, this.store, words + (words >> 2));
    this.next.beginPlan(sample, this.ruleCount);
    this.nextPlanned = false;
    this.nextId = 0;
    this.plannedRules = this.ruleCount;
    this.updates = 0;
  }

  /** Moves a few rules on; when all are there, the next tree takes over. */
  private moveSome(next: Tree): void {
    const end = Math.min(this.idEnd, this.nextId + STEPS_PER_UPDATE);
    for (let moves = 0; this.nextId < end && moves < MOVES_PER_UPDATE; this.nextId++) {
      if (this.live[this.nextId] === 0) continue;
      next.insert(this.nextId);
      moves++;
    }
    if (this.nextId < this.idEnd) return;
    this.tree = next;
    this.next = null;
  }

  /** Every `stride`-th rule id in use. */
  private liveIds(stride: number): Int32Array {
    const ids = new Int32Array(Math.ceil(this.ruleCount / stride));
    let seen = 0;
    let count = 0;
    for (let id = 0; id < this.idEnd; id++)
      if (this.live[id] === 1 && seen++ % stride === 0) ids[count++] = id;
    return ids;
  }

  private fitPending(): void {
    const needed = 2 * this.tree.nodeCount + 2;
    if (needed > this.pending.length) this.pending = new Int32Array(2 * needed);
  }
}
