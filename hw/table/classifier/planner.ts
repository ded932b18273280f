// Chooses the masks of a node: which bits of the key its hash tables look at.
//
// Naive idea: one hash table per distinct mask (tuple space search): as many probes per lookup as there are masks, and hundreds
// are common. TupleMerge merges masks by fixed rules of thumb. Here each node asks its own rules. A mask may serve a rule if
// it has no bit that the rule does not care about; so a mask with fewer bits serves more rules and tells fewer apart. The
// planner takes, greedily, the mask with the lowest estimated cost of a lookup (one probe, the bucket it leads to, the rules
// it leaves over), until leaving the rest in a list is cheaper.
//
// Candidates: the masks of the rules at hand and what intersecting them gives, climbed from a few starting points. Cost: a
// sample of at most SAMPLE_MAX rules, so that planning has a bound (1 to 4 ms) however many rules there are, and it can go in
// steps. Safe direction: a bad mask costs time, never a match, since leaves verify whole rules and rules that no mask serves
// stay in the node's rest.

import type { RecordLayout } from './layout.ts';

/** Rules looked at when planning a larger set; 512 planned twice as long and looked up no faster. */
export const SAMPLE_MAX = 256;
/** Most hash tables of one node. */
export const TABLES_MAX = 16;
/** Distinct masks considered in one climb. */
const DISTINCT_MAX = 48;
const GROUP_SLOTS = 1024;
/** Starting points of climbs: the intersection of all masks, then the STARTS masks most used. */
const FIRST_START = -1;
const STARTS = 3;

// The cost model, in ns, fitted by trying (docs/classifier.md).
const PROBE_NS = 5;
const RULE_NS = 1.8;
const NODE_NS = 14;
const DOUBLING_NS = 7;
/** Rules from which an index beats a list. */
const LIST_RULES = 6;

/** Estimated time to search `ruleCount` rules: a list, or an index whose cost grows with the logarithm. */
function searchNs(ruleCount: number): number {
  if (ruleCount <= LIST_RULES) return RULE_NS * ruleCount;
  const indexed = NODE_NS + DOUBLING_NS * Math.log2(ruleCount / LIST_RULES);
  return Math.min(RULE_NS * ruleCount, indexed);
}

export class Planner {
  /** The masks chosen by the last `plan`, `keyWords` words each. */
  readonly masks: Int32Array;
  /** How many masks are in `masks`. */
  tableCount = 0;
  private readonly layout: RecordLayout;
  private readonly multipliers: Int32Array;
  private readonly sample = new Int32Array(SAMPLE_MAX);
  private sampleCount = 0;
  /** Rules of the set per rule of the sample. */
  private scale = 1;
  private readonly distinct: Int32Array;
  private readonly distinctUses = new Int32Array(DISTINCT_MAX);
  private distinctCount = 0;
  /** Starting point of the next climb. */
  private start = FIRST_START;
  private readonly best: Int32Array;
  private bestNs = Infinity;
  private readonly trial: Int32Array;
  // Groups of sampled rules that a mask does not tell apart: open addressing on the hash of the masked value.
  private readonly groupHash = new Int32Array(GROUP_SLOTS);
  private readonly groupStamp = new Int32Array(GROUP_SLOTS);
  private readonly groupRules = new Int32Array(GROUP_SLOTS);
  private readonly groupList = new Int32Array(SAMPLE_MAX);
  private stamp = 0;

  constructor(layout: RecordLayout, multipliers: Int32Array) {
    this.layout = layout;
    this.multipliers = multipliers;
    this.masks = new Int32Array(TABLES_MAX * layout.keyWords);
    this.distinct = new Int32Array(DISTINCT_MAX * layout.keyWords);
    this.best = new Int32Array(layout.keyWords);
    this.trial = new Int32Array(layout.keyWords);
  }

  /**
   * Plans tables for `ruleCount` rules, of which `ids` holds `idCount`, from a sample of `sampleMax`; returns how many masks it
   * left in `masks` (0: keep a list).
   */
  plan(
    store: Int32Array,
    ids: Int32Array,
    idCount: number,
    ruleCount: number,
    sampleMax: number,
  ): number {
    this.begin(ids, idCount, ruleCount, sampleMax);
    while (!this.advance(store));
    return this.tableCount;
  }

  /** Starts a plan that `advance` carries on: the same as `plan` in steps of less than 1 ms. */
  begin(ids: Int32Array, idCount: number, ruleCount: number, sampleMax: number): void {
    const { storeWords } = this.layout;
    this.sampleCount = Math.min(idCount, sampleMax, SAMPLE_MAX);
    this.scale = ruleCount / this.sampleCount;
    const stride = idCount / this.sampleCount;
    for (let i = 0; i < this.sampleCount; i++)
      this.sample[i] = ids[Math.floor(i * stride)] * storeWords;
    this.tableCount = 0;
    this.start = FIRST_START;
  }

  /** One climb; true when the plan is complete. Rules may change in between: the plan suits the store as it was read. */
  advance(store: Int32Array): boolean {
    if (this.tableCount === TABLES_MAX || this.sampleCount === 0) return true;
    if (this.start === FIRST_START) {
      this.listDistinct(store);
      this.bestNs = Infinity;
    }
    this.climb(store, this.start);
    this.start++;
    if (this.start < Math.min(STARTS, this.distinctCount)) return false;
    this.start = FIRST_START;
    if (this.bestNs >= RULE_NS * this.sampleCount * this.scale) return true;
    this.masks.set(this.best, this.tableCount * this.layout.keyWords);
    this.tableCount++;
    this.dropServed(store);
    return false;
  }

  /** Intersects a starting point with other masks for as long as that lowers its cost; keeps the result if it is the best. */
  private climb(store: Int32Array, start: number): void {
    const current = this.startMask(start);
    let currentNs = this.costNs(store, current);
    for (;;) {
      let climbedNs = currentNs;
      let step = -1;
      for (let i = 0; i < this.distinctCount && start !== FIRST_START; i++) {
        if (!this.intersect(current, i)) continue;
        const trialNs = this.costNs(store, this.trial);
        if (trialNs < climbedNs) {
          climbedNs = trialNs;
          step = i;
        }
      }
      if (step < 0) break;
      this.intersect(current, step);
      current.set(this.trial);
      currentNs = climbedNs;
    }
    if (currentNs >= this.bestNs) return;
    this.bestNs = currentNs;
    this.best.set(current);
  }

  private startMask(start: number): Int32Array {
    const { keyWords } = this.layout;
    if (start !== FIRST_START) return this.distinct.slice(start * keyWords, (start + 1) * keyWords);
    const common = new Int32Array(keyWords).fill(-1);
    for (let i = 0; i < this.distinctCount * keyWords; i++)
      common[i % keyWords] = common[i % keyWords] & this.distinct[i];
    return common;
  }

  /** Intersects `current` with distinct mask `index` into `trial`; false when that changes nothing. */
  private intersect(current: Int32Array, index: number): boolean {
    const { keyWords } = this.layout;
    let changed = 0;
    for (let word = 0; word < keyWords; word++) {
      const had = current[word];
      const left = had & this.distinct[index * keyWords + word];
      this.trial[word] = left;
      changed |= had ^ left;
    }
    return changed !== 0;
  }

  /** Lists the sample's distinct masks, the most used first. */
  private listDistinct(store: Int32Array): void {
    const { keyWords, maskAt } = this.layout;
    this.distinctCount = 0;
    for (let i = 0; i < this.sampleCount; i++) {
      const rule = this.sample[i];
      let index = 0;
      for (; index < this.distinctCount; index++) {
        let word = 0;
        while (
          word < keyWords &&
          this.distinct[index * keyWords + word] === store[rule + maskAt[word]]
        )
          word++;
        if (word === keyWords) break;
      }
      if (index === DISTINCT_MAX) continue;
      if (index === this.distinctCount) {
        for (let word = 0; word < keyWords; word++)
          this.distinct[index * keyWords + word] = store[rule + maskAt[word]];
        this.distinctUses[index] = 0;
        this.distinctCount++;
      }
      this.distinctUses[index] = this.distinctUses[index] + 1;
      while (index > 0 && this.distinctUses[index] > this.usesOf(index - 1))
        this.swapDistinct(index--);
    }
  }

  private usesOf(index: number): number {
    return this.distinctUses[index];
  }

  /** Exchanges distinct masks `index` and `index - 1`. */
  private swapDistinct(index: number): void {
    const { keyWords } = this.layout;
    for (let word = 0; word < keyWords; word++) {
      const at = index * keyWords + word;
      const moved = this.distinct[at];
      this.distinct[at] = this.distinct[at - keyWords];
      this.distinct[at - keyWords] = moved;
    }
    const uses = this.usesOf(index);
    this.distinctUses[index] = this.usesOf(index - 1);
    this.distinctUses[index - 1] = uses;
  }

  /** Estimated time of a lookup in a table with this mask and in the rules that it leaves over. */
  private costNs(store: Int32Array, mask: Int32Array): number {
    const stamp = ++this.stamp;
    let served = 0;
    let groupCount = 0;
    for (let i = 0; i < this.sampleCount; i++) {
      const hash = this.maskedHash(store, this.sample[i], mask);
      if (this.unserved) continue;
      served++;
      let slot = (hash >>> 22) & (GROUP_SLOTS - 1);
      while (this.groupStamp[slot] === stamp && this.groupHash[slot] !== hash)
        slot = (slot + 1) & (GROUP_SLOTS - 1);
      if (this.groupStamp[slot] !== stamp) {
        this.groupStamp[slot] = stamp;
        this.groupHash[slot] = hash;
        this.groupRules[slot] = 0;
        this.groupList[groupCount++] = slot;
      }
      this.groupRules[slot] = this.groupRules[slot] + 1;
    }
    if (groupCount < 2) return Infinity;
    let bucketNs = 0;
    for (let i = 0; i < groupCount; i++) {
      const rules = this.groupRules[this.groupList[i]];
      bucketNs += (rules / served) * searchNs(1 + (rules - 1) * this.scale);
    }
    return PROBE_NS + bucketNs + searchNs((this.sampleCount - served) * this.scale);
  }

  /** Whether the last `maskedHash` met a rule that the mask cannot serve. */
  private unserved = false;

  private maskedHash(store: Int32Array, rule: number, mask: Int32Array): number {
    const { keyWords, valueAt, maskAt } = this.layout;
    let hash = 0;
    let extra = 0;
    for (let word = 0; word < keyWords; word++) {
      const bits = mask[word];
      extra |= bits & ~store[rule + maskAt[word]];
      const value = store[rule + valueAt[word]] & bits;
      hash = (hash + Math.imul(value ^ (value >>> 16), this.multipliers[word])) | 0;
    }
    this.unserved = extra !== 0;
    return hash;
  }

  /** Leaves in the sample the rules that the chosen mask does not serve. */
  private dropServed(store: Int32Array): void {
    let kept = 0;
    for (let i = 0; i < this.sampleCount; i++) {
      const rule = this.sample[i];
      this.maskedHash(store, rule, this.best);
      if (this.unserved) this.sample[kept++] = rule;
    }
    this.sampleCount = kept;
  }
}
