// One match-action table: its key templates, entries with their action lists, its default action, counters of use.
//
// Exact tables are hashed buckets (table/exact-match.ts). Ternary tables have a region for each template (ternary-region.ts); all
// are looked up and the best priority wins, among equals the earlier template. LPM tables are ternary ones whose masks are
// prefixes and whose priority is their length: the longest wins, and entries of one length never overlap.
//
// An entry is named by a number. It holds its number, actions, counter and range registers until its last copy in memory
// is invalid; `remove` only starts that. So a packet that still finds it gets the whole entry.

import type { Scheduler } from '../time/scheduler.ts';
import { AgingSweeper, type AgingListener } from '../table/aging.ts';
import { ExactMatchTable, INSERT_BUCKET_FULL, INSERT_EXISTS } from '../table/exact-match.ts';
import type { PlacementEntry, PlacementStatus } from '../table/placement/engine.ts';
import type { PlacementConfig } from '../table/placement/index.ts';
import { EXACT_KEY_WORDS } from '../parse/key-layout.ts';
import { TableKind, type SwitchConfig, type TableConfig } from './config.ts';
import { PHV_WORDS } from './phv.ts';
import type { StageMemory } from './stage-memory.ts';
import { KeyTemplate } from './template.ts';
import { TernaryRegion } from './ternary-region.ts';

/** Ways, stash and displacements of exact tables: as those of the device's flow table (models.ts). */
const EXACT_WAYS = 4;
const EXACT_STASH = 8;
const EXACT_KICKS = 32;
/** Prefix lengths 0 to 128, and bits of further key fields. */
const LPM_LEVELS = 512;

/** An entry on its way in. */
export interface NewEntry {
  template: number;
  priority: number;
  /** PHV_WORDS words. */
  value: Uint32Array;
  mask: Uint32Array;
  items: Uint32Array;
  cookie: number;
  owner: number;
  /** Device counter, −1 for none. */
  counter: number;
  /** Range registers that it holds. */
  registers: readonly number[];
  ages: boolean;
}

export type AddResult = PlacementStatus | 'bucket-full' | 'no-free-slices';

/** Gives back what an entry held besides memory. */
export type EntryReleased = (entry: NewEntry) => void;

interface Region {
  template: KeyTemplate;
  memory: TernaryRegion | null;
  /** Rows held, and entries in them. */
  held: number;
  used: number;
}

export class StageTable {
  readonly id: number;
  readonly config: TableConfig;
  readonly templates: readonly KeyTemplate[];
  readonly stage: StageMemory;
  /** Default action; replaced by DEFAULT_SET. */
  defaultItems: Uint32Array;
  /** Entries, removed ones not counted. */
  count = 0;
  /** Lookups by outcome. */
  hits = 0;
  misses = 0;
  /** Entries that the last change moved or displaced. */
  lastMoves = 0;
  readonly aging: AgingSweeper;
  /** Time of the last hit by number, ps; 0 for never. */
  readonly lastHitPs: Float64Array;

  private readonly scheduler: Scheduler;
  private readonly released: EntryReleased;
  private readonly regions: Region[] = [];
  private readonly exact: ExactMatchTable | null;
  private readonly key = new Uint32Array(PHV_WORDS);
  private readonly entries: (NewEntry | null)[];
  private readonly isLive: Uint8Array;
  private readonly free: number[] = [];
  /** Handle in the exact table of each number, and back. */
  private readonly exactHandle: Int32Array;
  private readonly numberOfExact: Int32Array;

  constructor(
    id: number,
    config: TableConfig,
    device: SwitchConfig,
    stage: StageMemory,
    scheduler: Scheduler,
    listeners: { released: EntryReleased; aged: AgingListener },
  ) {
    this.id = id;
    this.config = config;
    this.stage = stage;
    this.scheduler = scheduler;
    this.released = listeners.released;
    this.defaultItems = config.defaultItems;
    this.templates = config.templates.map((mask) => new KeyTemplate(mask, device.implied));
    const { entries } = config;
    this.exact =
      config.kind === TableKind.EXACT
        ? new ExactMatchTable(exactCapacity(entries), EXACT_WAYS, EXACT_STASH, EXACT_KICKS)
        : null;
    for (const template of this.templates)
      this.regions.push({ template, memory: null, held: 0, used: 0 });
    this.entries = new Array<NewEntry | null>(entries).fill(null);
    this.isLive = new Uint8Array(entries);
    this.lastHitPs = new Float64Array(entries);
    this.exactHandle = new Int32Array(this.exact === null ? 0 : entries);
    this.numberOfExact = new Int32Array(this.exact?.capacity ?? 0);
    for (let number = entries - 1; number >= 0; number--) this.free.push(number);
    const { entriesPerTick, tickPs, maxAge } = device.aging;
    const aging = { entries, entriesPerTick: Math.min(entriesPerTick, entries), tickPs, maxAge };
    this.aging = new AgingSweeper(aging, scheduler, listeners.aged);
  }

  /** The entry that a packet's words match: its number, −1 for none. Counts hit or miss. */
  lookup(phv: Uint32Array): number {
    const number = this.exact === null ? this.ternaryLookup(phv) : this.exactLookup(phv);
    if (number < 0) this.misses++;
    else {
      this.hits++;
      this.aging.hitBit[number] = 1;
    }
    return number;
  }

  /** Action list of an entry that a lookup found. */
  itemsOf(number: number): Uint32Array {
    return (this.entries[number] as NewEntry).items;
  }

  /** Device counter of an entry, −1 for none. */
  counterOf(number: number): number {
    return this.entries[number]?.counter ?? -1;
  }

  /** An entry that has not been removed, null for any other number. */
  entry(number: number): NewEntry | null {
    return this.isLive[number] === 1 ? this.entries[number] : null;
  }

  /** All entries, removed ones that are still in memory included. */
  forEach(visit: (entry: NewEntry, number: number) => void): void {
    this.entries.forEach((entry, number) => {
      if (entry !== null) visit(entry, number);
    });
  }

  /** The narrowest template with every bit of a mask, −1 for none. */
  templateFor(mask: Uint32Array): number {
    let best = -1;
    this.templates.forEach((template, index) => {
      if (template.strangerIn(mask) >= 0) return;
      if (best < 0 || template.keyBits < this.templates[best].keyBits) best = index;
    });
    return best;
  }

  /** When everything that was asked for is in place, ps. */
  get settledPs(): number {
    let atPs = 0;
    for (const { memory } of this.regions)
      if (memory !== null) atPs = Math.max(atPs, memory.settledPs);
    return atPs;
  }

  /** When the next write is done, ps; Infinity when nothing moves. */
  get nextPs(): number {
    let atPs = Infinity;
    for (const { memory } of this.regions)
      if (memory !== null) atPs = Math.min(atPs, memory.nextPs);
    return atPs;
  }

  /** Adds entries, all or none, planned together; numbers into `numbers`. What refused entries held is given back. */
  add(entries: readonly NewEntry[], numbers: number[]): AddResult {
    this.lastMoves = 0;
    numbers.length = 0;
    if (entries.length > this.free.length) {
      entries.forEach(this.released);
      return 'no-free-entry';
    }
    if (this.exact !== null) return this.addExact(entries, numbers, this.exact);
    const byTemplate = new Map<number, PlacementEntry[]>();
    for (const entry of entries) {
      const number = this.take(entry);
      numbers.push(number);
      const region = byTemplate.get(entry.template) ?? [];
      byTemplate.set(entry.template, region);
      region.push(this.placementOf(entry, number));
    }
    const done: number[] = [];
    for (const [template, placements] of byTemplate) {
      const status = this.addToRegion(template, placements);
      if (status === 'ok') {
        done.push(template);
        continue;
      }
      this.undo(byTemplate, done, numbers);
      return status;
    }
    return 'ok';
  }

  /** Starts the removal of an entry. */
  remove(number: number): void {
    const entry = this.entries[number] as NewEntry;
    this.isLive[number] = 0;
    this.count--;
    this.aging.remove(number);
    this.lastMoves = 0;
    if (this.exact !== null) {
      this.exact.remove(this.exactHandle[number]);
      this.gone(number);
      return;
    }
    const region = this.regions[entry.template];
    region.memory?.remove(number);
    this.lastMoves = region.memory?.lastMoves ?? 0;
  }

  /** Does what is still to come at once. */
  flush(): void {
    for (const { memory } of this.regions) memory?.flush();
  }

  /** Gives all memory back; entries must have gone. */
  release(): void {
    for (const region of this.regions) {
      if (region.held > 0) this.stage.release(region.template.keyBits, region.held);
      region.held = 0;
      region.memory = null;
    }
  }

  private exactLookup(phv: Uint32Array): number {
    const { key } = this;
    this.templates[0].pack(phv, key);
    const handle = (this.exact as ExactMatchTable).find(key);
    return handle < 0 ? -1 : this.numberOfExact[handle];
  }

  private ternaryLookup(phv: Uint32Array): number {
    const { regions, key } = this;
    let best = -1;
    let bestPriority = 0;
    for (let i = 0; i < regions.length; i++) {
      const { memory, template } = regions[i];
      if (memory === null || memory.placesInUse === 0) continue;
      template.pack(phv, key);
      const number = memory.lookup(key);
      if (number < 0) continue;
      const { priority } = this.entries[number] as NewEntry;
      if (best >= 0 && priority >= bestPriority) continue;
      best = number;
      bestPriority = priority;
    }
    return best;
  }

  private take(entry: NewEntry): number {
    const number = this.free.pop() as number;
    this.entries[number] = entry;
    this.isLive[number] = 1;
    this.lastHitPs[number] = 0;
    this.count++;
    if (entry.ages) this.aging.add(number);
    return number;
  }

  /** An entry is in no memory any more. */
  private gone(number: number): void {
    const entry = this.entries[number] as NewEntry;
    this.entries[number] = null;
    this.free.push(number);
    if (this.exact === null) this.regions[entry.template].used--;
    if (this.exact === null && this.stage.gangOf(1) === 0) this.giveRowBack(entry.template);
    this.released(entry);
  }

  private giveRowBack(template: number): void {
    const region = this.regions[template];
    if (region.held === 0) return;
    region.held--;
    this.stage.release(region.template.keyBits, 1);
  }

  private addExact(
    entries: readonly NewEntry[],
    numbers: number[],
    exact: ExactMatchTable,
  ): AddResult {
    for (const [index, entry] of entries.entries()) {
      const key = new Uint32Array(EXACT_KEY_WORDS);
      this.templates[0].pack(entry.value, key);
      const handle = exact.insert(key);
      if (handle < 0) {
        for (const number of numbers.splice(0)) this.remove(number);
        entries.slice(index).forEach(this.released);
        if (handle === INSERT_EXISTS) return 'entry-exists';
        return handle === INSERT_BUCKET_FULL ? 'bucket-full' : 'no-free-entry';
      }
      const number = this.take(entry);
      this.exactHandle[number] = handle;
      this.numberOfExact[handle] = number;
      this.lastMoves += exact.lastMoves;
      numbers.push(number);
    }
    return 'ok';
  }

  private addToRegion(template: number, placements: readonly PlacementEntry[]): AddResult {
    const region = this.regions[template];
    if (this.stage.config.ternary?.engine !== 'exact-masks-and-spill') {
      const needed = region.used + placements.length;
      const held = this.stage.grow(region.template.keyBits, region.held, needed);
      if (held < 0) return region.held === 0 ? 'no-free-slices' : 'no-free-entry';
      region.held = held;
    }
    region.memory ??= this.makeRegion(region.template);
    const status = region.memory.add(placements);
    if (status !== 'ok') return status;
    region.used += placements.length;
    this.lastMoves += region.memory.lastMoves;
    return 'ok';
  }

  /** A batch did not go in: what went in goes out, what did not gives its number back. */
  private undo(
    byTemplate: ReadonlyMap<number, readonly PlacementEntry[]>,
    done: readonly number[],
    numbers: number[],
  ): void {
    for (const [template, placements] of byTemplate)
      for (const { id } of placements)
        if (done.includes(template)) this.remove(id);
        else this.forget(id);
    numbers.length = 0;
    this.lastMoves = 0;
  }

  /** Takes a number back that never got into memory. */
  private forget(number: number): void {
    this.isLive[number] = 0;
    this.count--;
    this.aging.remove(number);
    this.released(this.entries[number] as NewEntry);
    this.entries[number] = null;
    this.free.push(number);
  }

  private placementOf(entry: NewEntry, id: number): PlacementEntry {
    const template = this.templates[entry.template];
    const value = new Uint32Array(template.keyWords);
    const mask = new Uint32Array(template.keyWords);
    template.pack(entry.mask, mask);
    template.pack(entry.value, value);
    for (let i = 0; i < value.length; i++) value[i] = value[i] & mask[i];
    return { id, priority: entry.priority, value, mask, slices: 1 };
  }

  private makeRegion(template: KeyTemplate): TernaryRegion {
    const { movePs } = this.stage.config;
    const config = this.placementConfig(template);
    return new TernaryRegion(config, template.keyWords, this.scheduler, { movePs }, (number) =>
      this.gone(number),
    );
  }

  private placementConfig(template: KeyTemplate): PlacementConfig {
    const { ternary } = this.stage.config;
    const depth = Math.max(1, this.stage.maxRows(template.keyBits));
    if (this.config.kind === TableKind.LPM)
      return { engine: 'prefix-length-middle', depth, levels: LPM_LEVELS };
    const engine = ternary?.engine ?? 'parman';
    switch (engine) {
      case 'rows-per-priority':
        return { engine, depth, rowSlices: 1, topPriority: ternary?.topPriority ?? 0 };
      case 'prefix-length-middle':
      case 'prefix-length-end':
        return { engine, depth, levels: LPM_LEVELS };
      case 'exact-masks-and-spill':
        return {
          engine,
          depth: ternary?.depth ?? 1,
          buckets: ternary?.buckets ?? 1,
          ways: ternary?.ways ?? 1,
          maxMasks: ternary?.maxMasks ?? 1,
        };
      default:
        return { engine, depth };
    }
  }
}

/** Entries of an exact table, rounded up to whole buckets, a power of two of them. */
function exactCapacity(entries: number): number {
  let buckets = 1;
  while (buckets * EXACT_WAYS < entries) buckets *= 2;
  return buckets * EXACT_WAYS;
}
