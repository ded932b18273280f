// Room in the tables of a device, counted rule by rule: each kind of table says yes, or what ran out.

import { ExactMatchTable, INSERT_EXISTS, INSERT_TABLE_FULL } from '../../hw/table/exact-match.ts';
import { ppeHashIpv4, ppeHashIpv6 } from '../../hw/table/ppe-hash.ts';
import { PPE_UN_HIT, PpeTable } from '../../hw/table/ppe-table.ts';
import { EXACT_KEY_WORDS } from '../../hw/parse/key-layout.ts';
import { figure, figureList } from '../devices/profile.ts';
import { refuse } from '../rules/refusal.ts';
import type { Refusal } from '../rules/refusal.ts';
import { matchOf } from '../rules/rule.ts';
import type { FieldName, Rule } from '../rules/rule.ts';
import { encodeRule } from './key-layout.ts';
import { EngineSet, decidesByItself } from './engine-set.ts';
import type { RulePlan, TablePlan } from './table-plan.ts';

/** How much of something is in use. `path` is the figure that sets its size, '' where none does. */
export interface ResourceUse {
  path: string;
  title: string;
  used: number;
  capacity: number;
}

/** Room in one table. */
export interface TableRoom {
  /** Entries in use. */
  entries: number;
  /** Displacements so far (hash tables). */
  moves: number;
  /** Takes the rule, or says what ran out and changes nothing. */
  admit(index: number, rule: Rule, plan: RulePlan): Refusal | null;
  resources(): ResourceUse[];
}

export function makeRoom(plan: TablePlan): TableRoom {
  switch (plan.table.kind) {
    case 'ternary':
      return new TernaryRoom(plan);
    case 'list':
      return new ListRoom(plan);
    case 'hash':
      return new HashRoom(plan);
    case 'buckets':
      return new BucketRoom(plan);
  }
}

/** Rows of slices. Each template takes gangs of slices as it grows; without slices all share the rows. */
class TernaryRoom implements TableRoom {
  entries = 0;
  readonly moves = 0;
  private readonly plan: TablePlan;
  private readonly depth: number;
  private readonly limit: number;
  /** Free slices of each bank; empty where memory is not cut into slices. */
  private readonly freeOfBank: number[];
  private readonly slices: number;
  /** Rows in use and rows held, by template. */
  private readonly rowsUsed: number[];
  private readonly rowsHeld: number[];
  private readonly registers = new Set<number>();
  private readonly engines: EngineSet | null;
  /** Rows of one priority and width each, and the free places in the last of them (bnxt rows). */
  private rows = 0;
  private readonly placesLeft = new Map<string, number>();

  constructor(plan: TablePlan) {
    const { figures } = plan.table;
    this.plan = plan;
    this.depth = figure(figures, 'depth', 1);
    this.limit = figure(figures, 'rangeRegisters', 0);
    this.slices = figure(figures, 'slices', 0);
    const perBank = figure(figures, 'slicesPerBank', this.slices);
    const banks = this.slices === 0 ? 0 : this.slices / perBank;
    this.freeOfBank = new Array<number>(banks).fill(perBank);
    this.rowsUsed = plan.layouts.map(() => 0);
    this.rowsHeld = plan.layouts.map(() => 0);
    this.engines = decidesByItself(plan.table) ? new EngineSet(plan) : null;
  }

  admit(index: number, rule: Rule, plan: RulePlan): Refusal | null {
    let isNew = 0;
    for (const range of plan.ranges) if (!this.registers.has(range)) isNew++;
    if (this.registers.size + isNew > this.limit && isNew > 0)
      return refuse('no-free-range-register', `${this.registers.size} of ${this.limit}`);
    if (!this.roomFor(index, rule, plan)) return this.full(plan);
    for (const range of plan.ranges) this.registers.add(range);
    this.entries += plan.entries;
    this.rowsUsed[plan.template] = this.rowsUsed[plan.template] + plan.entries;
    return null;
  }

  resources(): ResourceUse[] {
    const { id, table } = this.plan;
    const found: ResourceUse[] = [];
    const add = (path: string, title: string, used: number, capacity: number): void => {
      found.push({ path: `${id}.${path}`, title: `${id} ${title}`, used, capacity });
    };
    if (table.engine === 'rows-per-priority') add('depth', 'rows', this.rows, this.depth);
    else if (table.engine === 'exact-masks-and-spill') this.addRegions(add);
    else if (this.slices === 0) add('depth', 'entries', this.entries, this.capacity());
    else {
      const free = this.freeOfBank.reduce((sum, slices) => sum + slices, 0);
      add('slices', 'slices', this.slices - free, this.slices);
      add('depth', 'entries', this.entries, this.capacity());
    }
    if (table.ranges === 'registers')
      add('rangeRegisters', 'range registers', this.registers.size, this.limit);
    return found;
  }

  private addRegions(
    add: (path: string, title: string, used: number, capacity: number) => void,
  ): void {
    const { figures } = this.plan.table;
    let [spilled, masks, hashed] = [0, 0, 0];
    for (const engine of this.engines?.engines ?? []) {
      if (engine === null || !('spilled' in engine) || !('masksInUse' in engine)) continue;
      spilled += engine.spilled as number;
      masks += engine.masksInUse as number;
      hashed += engine.count - (engine.spilled as number);
    }
    add('depth', 'C-TCAM entries', spilled, this.depth);
    add('maxMasks', 'masks (eRPs)', masks, figure(figures, 'maxMasks', 1));
    add(
      'buckets',
      'A-TCAM entries',
      hashed,
      figure(figures, 'buckets', 1) * figure(figures, 'ways', 1),
    );
  }

  /** Entries that there are, at the width of the narrowest key in use, given what the others hold. */
  private capacity(): number {
    const { figures } = this.plan.table;
    if (this.slices === 0) return this.depth - figure(figures, 'reservedRows', 0);
    const gangs = this.plan.layouts.map((layout) => this.plan.gangOf(layout));
    const inUse = gangs.filter((_, at) => this.rowsHeld[at] > 0);
    const gang = Math.min(...(inUse.length === 0 ? gangs : inUse));
    return this.rowsHeld.reduce((sum, rows) => sum + rows, 0) + this.freeGangs(gang) * this.depth;
  }

  private freeGangs(gang: number): number {
    return this.freeOfBank.reduce((sum, free) => sum + Math.floor(free / gang), 0);
  }

  /** Room by counting: takes further gangs for the template when its rows are full. */
  private hold({ template, gang, entries }: RulePlan): boolean {
    if (this.slices === 0) return this.entries + entries <= this.capacity();
    const missing = this.rowsUsed[template] + entries - this.rowsHeld[template];
    const gangs = Math.max(0, Math.ceil(missing / this.depth));
    if (gangs > this.freeGangs(gang)) return false;
    for (let left = gangs; left > 0; left--) {
      const bank = this.freeOfBank.findIndex((free) => free >= gang);
      this.freeOfBank[bank] = this.freeOfBank[bank] - gang;
      this.rowsHeld[template] = this.rowsHeld[template] + this.depth;
    }
    return true;
  }

  private roomFor(index: number, rule: Rule, plan: RulePlan): boolean {
    if (this.engines !== null) return this.engines.insert(index, rule, plan) >= 0;
    if (this.plan.table.engine === 'rows-per-priority') return this.holdInRows(rule, plan);
    return this.hold(plan);
  }

  /** A row holds entries of one priority and one width: how many rows there are does not depend on the order. */
  private holdInRows({ priority }: Rule, { gang, entries }: RulePlan): boolean {
    const perRow = figure(this.plan.table.figures, 'rowSlices', 1) / gang;
    const name = `${priority} ${gang}`;
    const left = this.placesLeft.get(name) ?? 0;
    const rows = Math.max(0, Math.ceil((entries - left) / perRow));
    if (this.rows + rows > this.depth) return false;
    this.rows += rows;
    this.placesLeft.set(name, left + rows * perRow - entries);
    return true;
  }

  private full(plan: RulePlan): Refusal {
    const isCostly = plan.entries > 1 && this.entries < this.capacity() && this.engines === null;
    if (isCostly) return refuse('range-too-costly', `${plan.entries} entries`);
    return refuse('no-free-entry', String(this.entries));
  }
}

/**
 * So many entries; all with one mask, or with so many masks, where the table has a `masks` figure; so many for each flow type
 * where it has `masksPerType`.
 */
class ListRoom implements TableRoom {
  entries = 0;
  readonly moves = 0;
  private readonly plan: TablePlan;
  private readonly capacity: number;
  private readonly maxMasks: number;
  private readonly maxMasksPerType: number;
  private readonly masks = new Set<number>();
  private readonly masksOfType = new Map<number, number>();
  private readonly ruleOfKey = new Map<number, number>();

  constructor(plan: TablePlan) {
    const { figures } = plan.table;
    this.plan = plan;
    const pballoc = figure(figures, 'pballoc', 0);
    this.capacity = pballoc > 0 ? 1024 * 2 ** pballoc - 2 : figure(figures, 'entries', 0);
    this.maxMasks = figure(figures, 'masks', 0);
    this.maxMasksPerType = figure(figures, 'masksPerType', 0);
  }

  admit(index: number, rule: Rule, plan: RulePlan): Refusal | null {
    if (this.entries + plan.entries > this.capacity)
      return refuse('no-free-entry', String(this.entries));
    const refusal = this.maskRefusal(rule, plan);
    if (refusal !== null) return refusal;
    if (this.maxMasks + this.maxMasksPerType > 0) {
      const other = this.ruleOfKey.get(plan.key);
      if (other !== undefined) return refuse('entry-exists', String(other));
      if (!this.masks.has(plan.mask))
        this.masksOfType.set(plan.type, (this.masksOfType.get(plan.type) ?? 0) + 1);
      this.masks.add(plan.mask);
      this.ruleOfKey.set(plan.key, index);
    }
    this.entries += plan.entries;
    return null;
  }

  private maskRefusal(rule: Rule, plan: RulePlan): Refusal | null {
    if (this.masks.has(plan.mask)) return null;
    const fields = (): string => rule.matches.map((match) => match.field).join(', ');
    if (this.maxMasks > 0 && this.masks.size >= this.maxMasks)
      return this.maxMasks === 1
        ? refuse('mask-conflict', fields())
        : refuse('masks-exhausted', String(this.masks.size));
    const ofType = this.masksOfType.get(plan.type) ?? 0;
    if (this.maxMasksPerType > 0 && ofType >= this.maxMasksPerType)
      return refuse('input-set-conflict', fields());
    return null;
  }

  resources(): ResourceUse[] {
    const { id } = this.plan;
    const { entries, capacity } = this;
    const figureName = 'pballoc' in this.plan.table.figures ? 'pballoc' : 'entries';
    const title = `${id} entries`;
    const found = [{ path: `${id}.${figureName}`, title, used: entries, capacity }];
    if (this.maxMasks > 0) {
      const [used, limit] = [this.masks.size, this.maxMasks];
      found.push({ path: `${id}.masks`, title: `${id} masks`, used, capacity: limit });
    }
    return found;
  }
}

class HashRoom implements TableRoom {
  entries = 0;
  moves = 0;
  private readonly plan: TablePlan;
  private readonly hash: ExactMatchTable;
  private readonly kicks: number;
  private readonly key = new Uint32Array(EXACT_KEY_WORDS);

  constructor(plan: TablePlan) {
    const { figures } = plan.table;
    const number = (name: string): number => figure(figures, name, 1);
    this.plan = plan;
    this.kicks = number('maxKicks');
    this.hash = new ExactMatchTable(
      number('entries'),
      number('ways'),
      number('stashEntries'),
      this.kicks,
    );
  }

  admit(_index: number, rule: Rule, plan: RulePlan): Refusal | null {
    const layout = this.plan.layouts[plan.template];
    if (layout.words > EXACT_KEY_WORDS) return refuse('key-too-wide', String(layout.keyBits));
    this.key.fill(0);
    this.key.set(encodeRule(rule, layout, 'none')[0].value);
    const handle = this.hash.insert(this.key);
    if (handle === INSERT_EXISTS) return refuse('entry-exists', 'of the same key');
    if (handle === INSERT_TABLE_FULL) return refuse('no-free-entry', String(this.entries));
    if (handle < 0) return refuse('bucket-full', String(this.kicks));
    this.entries++;
    this.moves += this.hash.lastMoves;
    return null;
  }

  resources(): ResourceUse[] {
    const { id } = this.plan;
    const [path, title] = [`${id}.entries`, `${id} entries`];
    return [{ path, title, used: this.entries, capacity: this.hash.capacity }];
  }
}

class BucketRoom implements TableRoom {
  entries = 0;
  readonly moves = 0;
  private readonly plan: TablePlan;
  private readonly ppe: PpeTable;
  private readonly bucketEntries: 2 | 4;
  private readonly key = new Uint32Array(EXACT_KEY_WORDS);
  private readonly usable: number;

  constructor(plan: TablePlan) {
    const { figures } = plan.table;
    this.plan = plan;
    this.bucketEntries = figure(figures, 'bucketEntries', 2) === 4 ? 4 : 2;
    this.ppe = new PpeTable({
      bucketEntries: this.bucketEntries,
      staticEntries: figureList(figures, 'staticEntries'),
      bindRate: figure(figures, 'bindRate', 30),
    });
    this.usable = this.ppe.usable;
  }

  admit(_index: number, rule: Rule, plan: RulePlan): Refusal | null {
    const layout = this.plan.layouts[plan.template];
    this.key.fill(0);
    this.key.set(encodeRule(rule, layout, 'none')[0].value.subarray(0, EXACT_KEY_WORDS));
    const proto = wordsOf(rule, 'ip_proto')[0];
    if (this.ppe.packet(this.hashOf(rule), this.key, proto, false, 0) !== PPE_UN_HIT)
      return refuse('entry-exists', 'of the same key');
    if (this.ppe.lastEntry < 0) return refuse('bucket-full', '0');
    this.ppe.bind(this.ppe.lastEntry);
    this.entries++;
    return null;
  }

  resources(): ResourceUse[] {
    const title = `${this.plan.id} entries`;
    return [{ path: '', title, used: this.entries, capacity: this.usable }];
  }

  private hashOf(rule: Rule): number {
    const ports = (wordsOf(rule, 'sport')[0] << 16) | wordsOf(rule, 'dport')[0];
    if (matchOf(rule, 'ipv6_src') === null) {
      const [src] = wordsOf(rule, 'ipv4_src');
      return ppeHashIpv4(src, wordsOf(rule, 'ipv4_dst')[0], ports, this.bucketEntries);
    }
    const words = new Uint32Array([...wordsOf(rule, 'ipv6_src'), ...wordsOf(rule, 'ipv6_dst')]);
    return ppeHashIpv6(words, 0, 4, ports, this.bucketEntries);
  }
}

function wordsOf(rule: Rule, field: FieldName): number[] {
  const match = matchOf(rule, field);
  return match === null || match.kind === 'range' ? [0] : match.value;
}
