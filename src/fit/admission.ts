// Which rules go where: each in file order into the first table that can hold it, or refused with the reason that says most.
//
// Rules that ask for software only (tc skip_hw) are counted apart: they are no failure. `counters` and `meters` of the device
// limit rules that count or police. A rule that would break the precedence of the set in a table (precedence.ts) goes to a
// later one.

import { figure } from '../devices/profile.ts';
import type { DeviceProfile } from '../devices/profile.ts';
import { Precedence } from './precedence.ts';
import { refuse } from '../rules/refusal.ts';
import type { Refusal, RefusalReason } from '../rules/refusal.ts';
import type { Rule } from '../rules/rule.ts';
import { makeRoom } from './table-room.ts';
import type { ResourceUse, TableRoom } from './table-room.ts';
import { TablePlan } from './table-plan.ts';
import type { RulePlan } from './table-plan.ts';

/** A rule set against a device's tables, before room is counted. */
export interface FitPlan {
  device: DeviceProfile;
  rules: readonly Rule[];
  tables: TablePlan[];
  /** By rule, then by table. */
  plans: RulePlan[][];
  precedence: Precedence;
}

/** Table number of a rule that no table took, and of one that asked for software. */
export const REFUSED = -1;
export const SOFTWARE = -2;

export interface Admission {
  /** Index of the table that took each rule, REFUSED or SOFTWARE. */
  tableOf: Int32Array;
  refusals: Map<number, Refusal>;
  accepted: number;
  /** Rules that passed by a table to keep their precedence. */
  moved: number;
  rooms: TableRoom[];
  resources: ResourceUse[];
}

export type Progress = (phase: string, done: number, total: number) => void;

const PROGRESS_RULES = 1024;

export function planRules(
  rules: readonly Rule[],
  device: DeviceProfile,
  progress: Progress = () => undefined,
): FitPlan {
  const tables = Object.entries(device.tables).map(([id, table]) => new TablePlan(id, table));
  const plans = rules.map((rule, index) => {
    if (index % PROGRESS_RULES === 0) progress('keys', index, rules.length);
    return tables.map((table) => table.plan(rule));
  });
  progress('precedence', 0, rules.length);
  return { device, rules, tables, plans, precedence: new Precedence(rules, plans) };
}

/**
 * The same plan under other sizes: `device` differs in figures only. Slices per key depend on figures too, so the
 * caller must not change widths.
 */
export function withSizes(plan: FitPlan, device: DeviceProfile): FitPlan {
  const tables = Object.entries(device.tables).map(([id, table]) => new TablePlan(id, table));
  return { ...plan, device, tables };
}

export function admit(plan: FitPlan, progress: Progress = () => undefined): Admission {
  const { rules, plans, tables, precedence } = plan;
  const rooms = tables.map(makeRoom);
  const shared = new SharedResources(plan.device);
  const tableOf = new Int32Array(rules.length).fill(REFUSED);
  const refusals = new Map<number, Refusal>();
  let accepted = 0;
  let moved = 0;
  for (const [index, rule] of rules.entries()) {
    if (index % PROGRESS_RULES === 0) progress('room', index, rules.length);
    if (rule.residence === 'software') {
      tableOf[index] = SOFTWARE;
      continue;
    }
    let refusal = shared.missing(rule);
    for (let t = 0; t < rooms.length && tableOf[index] < 0; t++) {
      if (refusal !== null && isShared(refusal.reason)) break;
      let own = plans[index][t].refusal;
      if (own === null) {
        const rival = precedence.rival(index, t, tableOf);
        own =
          rival >= 0
            ? refuse('wrong-precedence', `${rival} in table ${tables[tableOf[rival]].id}`)
            : rooms[t].admit(index, rule, plans[index][t]);
      }
      if (own === null) tableOf[index] = t;
      else if (refusal === null || rank(own) >= rank(refusal)) refusal = own;
    }
    if (tableOf[index] >= 0) {
      accepted++;
      if (refusal?.reason === 'wrong-precedence') moved++;
      shared.take(rule);
    } else refusals.set(index, refusal ?? refuse('field-not-in-template', 'any'));
  }
  const resources = [...rooms.flatMap((room) => room.resources()), ...shared.resources()];
  return { tableOf, refusals, accepted, moved, rooms, resources };
}

/** How much a refusal says: lack of room before what one table cannot do, that before a field it does not know. */
function rank(refusal: Refusal): number {
  if (refusal.resource !== '' && refusal.reason !== 'no-such-group') return 4;
  if (SAYS_MUCH.includes(refusal.reason)) return 3;
  if (refusal.reason === 'no-such-group') return 0;
  return refusal.reason === 'field-not-in-template' ? 1 : 2;
}

const SAYS_MUCH: readonly RefusalReason[] = [
  'mask-conflict',
  'input-set-conflict',
  'entry-exists',
  'wrong-precedence',
];

function isShared(reason: RefusalReason): boolean {
  return reason === 'no-free-counter' || reason === 'no-free-meter';
}

/** Counters and meters of the whole device; no figure: no limit. */
class SharedResources {
  private readonly limits: { counters: number; meters: number };
  private readonly used = { counters: 0, meters: 0 };

  constructor(device: DeviceProfile) {
    this.limits = {
      counters: figure(device.figures, 'counters', Infinity),
      meters: figure(device.figures, 'meters', Infinity),
    };
  }

  missing(rule: Rule): Refusal | null {
    const { counters, meters } = this.used;
    if (counts(rule) && counters >= this.limits.counters)
      return refuse('no-free-counter', String(counters));
    if (meters + metersOf(rule) > this.limits.meters)
      return refuse('no-free-meter', String(meters));
    return null;
  }

  take(rule: Rule): void {
    if (counts(rule)) this.used.counters++;
    this.used.meters += metersOf(rule);
  }

  resources(): ResourceUse[] {
    const found: ResourceUse[] = [];
    for (const path of ['counters', 'meters'] as const)
      if (Number.isFinite(this.limits[path]))
        found.push({ path, title: path, used: this.used[path], capacity: this.limits[path] });
    return found;
  }
}

function counts(rule: Rule): boolean {
  return rule.actions.some((action) => action.kind === 'count');
}

function metersOf(rule: Rule): number {
  return rule.actions.filter(({ kind }) => kind === 'police' || kind === 'meter').length;
}
