// The placement engines of one ternary table, with the entries of its rules: who moves when a rule comes.
//
// Key templates that share one memory of plain rows share one engine; where memory is cut into slices each template has rows
// of its own and so an engine of its own (also with the engines that read masks, which need keys of one length).
// A rule of several entries goes in as a whole or not at all.

import { makePlacement } from '../../hw/table/placement/index.ts';
import type { PlacementConfig } from '../../hw/table/placement/index.ts';
import type { PlacementEngine, PlacementEntry } from '../../hw/table/placement/engine.ts';
import { figure } from '../devices/profile.ts';
import type { TableProfile } from '../devices/profile.ts';
import type { Rule } from '../rules/rule.ts';
import { encodeRule } from './key-layout.ts';
import type { RulePlan, TablePlan } from './table-plan.ts';

/** Engines whose own bookkeeping decides whether an entry fits: counting entries does not. */
export function decidesByItself(table: TableProfile): boolean {
  return table.engine === 'exact-masks-and-spill';
}

interface PlacedRule {
  template: number;
  entries: PlacementEntry[];
}

export class EngineSet {
  readonly engines: (PlacementEngine | null)[];
  private readonly plan: TablePlan;
  private readonly placed = new Map<number, PlacedRule>();
  private readonly isShared: boolean;
  private nextId = 0;

  constructor(plan: TablePlan) {
    const { table } = plan;
    this.plan = plan;
    const readsKeys = table.engine === 'chain-ancestor' || table.engine === 'exact-masks-and-spill';
    this.isShared = table.figures['slices'] === undefined && !readsKeys;
    this.engines = plan.layouts.map(() => null);
  }

  /** Moves that the rule costs, −1 when it does not go in (then nothing has changed). */
  insert(index: number, rule: Rule, plan: RulePlan): number {
    const entries = this.entriesOf(rule, plan);
    const moves = this.insertEntries(plan.template, entries);
    if (moves >= 0) this.placed.set(index, { template: plan.template, entries });
    return moves;
  }

  /** Takes a rule out and puts it back; moves of putting it back. */
  reinsert(index: number): number {
    const { template, entries } = this.placed.get(index) as PlacedRule;
    const engine = this.engine(template);
    for (const { id } of entries) engine.remove(id);
    return this.insertEntries(template, entries);
  }

  /** Moves when all these rules go in at once, planned together; −1 when the engine does not take them so. */
  insertTogether(rules: readonly { rule: Rule; plan: RulePlan }[]): number {
    const byEngine = new Map<PlacementEngine, PlacementEntry[]>();
    for (const { rule, plan } of rules) {
      const engine = this.engine(plan.template);
      let list = byEngine.get(engine);
      if (list === undefined) byEngine.set(engine, (list = []));
      for (const entry of this.entriesOf(rule, plan)) list.push(entry);
    }
    let moves = 0;
    for (const [engine, entries] of byEngine) {
      const result = engine.insertBatch(entries);
      if (result.status !== 'ok') return -1;
      moves += result.moves;
    }
    return moves;
  }

  private engine(template: number): PlacementEngine {
    const at = this.isShared ? 0 : template;
    let engine = this.engines[at];
    if (engine === null) engine = this.engines[at] = makePlacement(this.config(template));
    return engine;
  }

  private entriesOf(rule: Rule, plan: RulePlan): PlacementEntry[] {
    const layout = this.plan.layouts[plan.template];
    const encoded = encodeRule(rule, layout, this.plan.table.ranges);
    return encoded.map(({ value, mask }) => ({
      id: this.nextId++,
      priority: rule.priority,
      value,
      mask,
      slices: this.plan.table.engine === 'rows-per-priority' ? plan.gang : 1,
    }));
  }

  private insertEntries(template: number, entries: readonly PlacementEntry[]): number {
    const engine = this.engine(template);
    let moves = 0;
    for (const [at, entry] of entries.entries()) {
      const result = engine.insert(entry);
      if (result.status === 'ok') {
        moves += result.moves;
        continue;
      }
      for (const { id } of entries.slice(0, at)) engine.remove(id);
      return -1;
    }
    return moves;
  }

  private config(template: number): PlacementConfig {
    const { engine, figures } = this.plan.table;
    const number = (name: string, otherwise = 1): number => figure(figures, name, otherwise);
    const depth = number('depth');
    switch (engine) {
      case 'rows-per-priority': {
        const rowSlices = number('rowSlices') as 1 | 2 | 4;
        const topPriority = number('topPriority', 0);
        return { engine, depth: depth * rowSlices, rowSlices, topPriority };
      }
      case 'prefix-length-middle':
      case 'prefix-length-end':
        return { engine, depth: this.rows(template), levels: number('levels') };
      case 'exact-masks-and-spill': {
        const [buckets, ways] = [number('buckets'), number('ways')];
        return { engine, depth, buckets, ways, maxMasks: number('maxMasks') };
      }
      case 'none':
        return { engine: 'shifting-array', depth: this.rows(template) };
      default:
        return { engine, depth: this.rows(template) };
    }
  }

  /** Rows that a template can have at most. */
  private rows(template: number): number {
    const { figures } = this.plan.table;
    const depth = figure(figures, 'depth', 1);
    const slices = figure(figures, 'slices', 1);
    if (figures['slices'] === undefined) return depth;
    const perBank = figure(figures, 'slicesPerBank', slices);
    const gang = this.plan.gangOf(this.plan.layouts[template]);
    return depth * (slices / perBank) * Math.floor(perBank / gang);
  }
}
