// Regions with exact-mask groups that spill into a ternary region: A-TCAM and C-TCAM as in Spectrum-2 (mlxsw
// spectrum_acl_erp.c, spectrum_acl_atcam.c; hw 4.3).
//
// Naive idea: every entry in ternary memory, with its moves. Optimisation: real rule sets use few masks. A region has at
// most 16 masks in use (eRPs); an entry whose mask is one of them goes into hashed memory, keyed by mask and masked
// value, costs no move and no TCAM cell. A packet is looked up with every mask in use and in the C-TCAM; the entry with
// the best priority wins, so hashed entries need no order. An entry spills into the C-TCAM when all masks are taken by
// others or when its bucket is full; the C-TCAM is kept by parman, with its moves. Cost: one hash lookup for each mask
// in use, charged by the caller (`masksInUse`).
//
// A mask is given up with its last hashed entry. Spilled entries stay spilled (the driver moves them only in a rehash of
// the whole region, which is left out, as are eRP deltas of up to 8 bits, which let one mask serve several).
// Positions 0 to cDepth − 1 are the C-TCAM, above that the hashed entries: `orderedDepth` is cDepth. Which engine keeps
// the C-TCAM is fixed here because it is in mlxsw. Of equal entries (mask, value) several may be in a bucket.

import { assert } from '../../base/assert.ts';
import {
  StepLog,
  checkBatch,
  placed,
  refused,
  type PlacementEngine,
  type PlacementEntry,
  type PlacementResult,
} from './engine.ts';
import { sameMask } from './overlap.ts';
import { Parman } from './parman.ts';

interface Erp {
  mask: Uint32Array;
  users: number;
}

export interface RegionMasksConfig {
  /** Ternary entries that spills may take. */
  cDepth: number;
  /** Hashed entries: buckets × ways; buckets a power of two. */
  buckets: number;
  ways: number;
  /** Masks in use at most: 16 in Spectrum-2. */
  maxMasks: number;
}

export class RegionMasks implements PlacementEngine {
  readonly name = 'exact-masks-and-spill';
  readonly depth: number;
  readonly orderedDepth: number;
  readonly steps = new StepLog();
  /** Entries that went to the C-TCAM because no mask was left, and because their bucket was full. */
  spilledByMask = 0;
  spilledByBucket = 0;

  private readonly config: RegionMasksConfig;
  private readonly ternary: Parman;
  private readonly erps: (Erp | null)[];
  /** Id at each hashed place, −1 free. */
  private readonly hashed: Int32Array;
  private readonly hashedPlaces = new Map<number, { place: number; erp: number }>();

  constructor(config: RegionMasksConfig) {
    assert((config.buckets & (config.buckets - 1)) === 0, 'regions: buckets not a power of two');
    this.config = config;
    this.ternary = new Parman(config.cDepth);
    this.orderedDepth = config.cDepth;
    this.hashed = new Int32Array(config.buckets * config.ways).fill(-1);
    this.depth = config.cDepth + this.hashed.length;
    this.erps = new Array<Erp | null>(config.maxMasks).fill(null);
  }

  get count(): number {
    return this.ternary.count + this.hashedPlaces.size;
  }

  /** Entries in the C-TCAM. */
  get spilled(): number {
    return this.ternary.count;
  }

  /** Hash lookups that a packet costs. */
  get masksInUse(): number {
    return this.erps.reduce((sum, erp) => sum + (erp === null ? 0 : 1), 0);
  }

  placeOf(id: number): number {
    const hashed = this.hashedPlaces.get(id);
    return hashed === undefined ? this.ternary.placeOf(id) : this.orderedDepth + hashed.place;
  }

  insert(entry: PlacementEntry): PlacementResult {
    this.steps.clear();
    if (this.placeOf(entry.id) >= 0) return refused('entry-exists');
    const place = this.insertHashed(entry);
    if (place >= 0) return placed(place, 0);
    const result = this.ternary.insert(entry);
    this.copySteps();
    return result;
  }

  /** Hashed entries cost no moves in any order; the spilled ones are planned together. */
  insertBatch(entries: readonly PlacementEntry[]): PlacementResult {
    this.steps.clear();
    const status = checkBatch(entries, this);
    if (status !== 'ok') return refused(status);
    const spilled: PlacementEntry[] = [];
    const done: number[] = [];
    const before = [this.spilledByMask, this.spilledByBucket] as const;
    for (const entry of entries)
      if (this.insertHashed(entry) < 0) spilled.push(entry);
      else done.push(entry.id);
    const result = this.ternary.insertBatch(spilled);
    if (result.status !== 'ok') {
      for (const id of done) this.removeHashed(id);
      this.steps.clear();
      [this.spilledByMask, this.spilledByBucket] = before;
      return result;
    }
    this.copySteps();
    return result;
  }

  remove(id: number): PlacementResult {
    this.steps.clear();
    if (this.hashedPlaces.has(id)) return placed(this.removeHashed(id), 0);
    const result = this.ternary.remove(id);
    this.copySteps();
    return result;
  }

  private insertHashed(entry: PlacementEntry): number {
    let erp = this.erps.findIndex((e) => e !== null && sameMask(e.mask, entry.mask));
    const isNew = erp < 0;
    if (isNew) erp = this.erps.indexOf(null);
    if (erp < 0) {
      this.spilledByMask++;
      return -1;
    }
    const first = this.bucketOf(entry, erp) * this.config.ways;
    for (let place = first; place < first + this.config.ways; place++) {
      if (this.hashed[place] !== -1) continue;
      this.hashed[place] = entry.id;
      this.hashedPlaces.set(entry.id, { place, erp });
      if (isNew) this.erps[erp] = { mask: entry.mask.slice(), users: 1 };
      else (this.erps[erp] as Erp).users++;
      this.steps.push(entry.id, -1, this.orderedDepth + place);
      return this.orderedDepth + place;
    }
    this.spilledByBucket++;
    return -1;
  }

  private removeHashed(id: number): number {
    const { place, erp } = this.hashedPlaces.get(id) as { place: number; erp: number };
    const mask = this.erps[erp] as Erp;
    if (--mask.users === 0) this.erps[erp] = null;
    this.hashed[place] = -1;
    this.hashedPlaces.delete(id);
    this.steps.push(id, this.orderedDepth + place, -1);
    return this.orderedDepth + place;
  }

  /** The real function is not published: any well-mixing one gives the same statistics. */
  private bucketOf(entry: PlacementEntry, erp: number): number {
    let h = Math.imul(erp + 1, 0x2545f491);
    for (let i = 0; i < entry.mask.length; i++) {
      h = Math.imul(h ^ (entry.value[i] & entry.mask[i]), 0x9e3779b1);
      h ^= h >>> 15;
    }
    h = Math.imul(h ^ (h >>> 13), 0x85ebca6b);
    return (h ^ (h >>> 16)) & (this.config.buckets - 1);
  }

  private copySteps(): void {
    const { count, id, from, to } = this.ternary.steps;
    for (let i = 0; i < count; i++) this.steps.push(id[i], from[i], to[i]);
  }
}
