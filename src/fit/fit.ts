// `fit`: does a rule set fit a device, what does it cost, and why not. Pure; src/node/commands/fit.ts reads files and prints.
//
// Order of work: each rule against each table by itself (table-plan.ts), room in file order (admission.ts), moves and time
// (cost.ts), sizes at which the answer changes (sizes.ts), shadowed and redundant rules (shadow.ts). docs/fit.md is the manual.

import type { DeviceProfile } from '../devices/profile.ts';
import type { Refusal } from '../rules/refusal.ts';
import type { FieldName, Rule } from '../rules/rule.ts';
import { REFUSED, SOFTWARE, admit, planRules } from './admission.ts';
import type { Admission, FitPlan, Progress } from './admission.ts';
import { installCosts } from './cost.ts';
import type { InstallCost } from './cost.ts';
import { findOverlaps } from './shadow.ts';
import type { Overlaps } from './shadow.ts';
import { sizeAnswers } from './sizes.ts';
import type { SizeAnswer } from './sizes.ts';
import type { ResourceUse } from './table-room.ts';

export interface RefusedRule {
  /** Number of the rule in its file, from 0. */
  rule: number;
  line: number;
  refusal: Refusal;
}

export interface FitReport {
  schema: 'flowtwin-fit/1';
  device: string;
  fits: boolean;
  rules: number;
  accepted: number;
  refused: number;
  /** Rules that ask for software only. */
  software: number;
  /** Entries per rule that went in. */
  expansion: number;
  resources: (ResourceUse & { percent: number; headroom: number })[];
  /** Rules that passed by a table to keep their precedence; `isDecided` false: not worked out, the set is too large. */
  precedence: { isDecided: boolean; moved: number };
  /** Rules refused, by reason. */
  refusedBy: Record<string, number>;
  firstRefused: RefusedRule | null;
  tables: InstallCost[];
  sizes: SizeAnswer[];
  overlaps: Overlaps;
}

/** A report with what it was made from, for `explainRule`. */
export interface Fit {
  report: FitReport;
  plan: FitPlan;
  admission: Admission;
}

export interface FitOptions {
  progress?: Progress;
  /** Found before for the same rules (comparing devices). */
  overlaps?: Overlaps;
}

export function fitRules(
  rules: readonly Rule[],
  device: DeviceProfile,
  { progress = () => undefined, overlaps }: FitOptions = {},
): Fit {
  const plan = planRules(rules, device, progress);
  const admission = admit(plan, progress);
  const tables = installCosts(plan, admission, progress);
  const sizes = sizeAnswers(plan, admission, progress);
  const software = admission.tableOf.reduce((sum, t) => sum + (t === SOFTWARE ? 1 : 0), 0);
  const entries = admission.rooms.reduce((sum, room) => sum + room.entries, 0);
  const refused = admission.refusals.size;
  const report: FitReport = {
    schema: 'flowtwin-fit/1',
    device: device.name,
    fits: refused === 0,
    rules: rules.length,
    accepted: admission.accepted,
    refused,
    software,
    expansion: admission.accepted === 0 ? 1 : entries / admission.accepted,
    resources: admission.resources.map((use) => ({
      ...use,
      percent: use.capacity === 0 ? 0 : (100 * use.used) / use.capacity,
      headroom: use.capacity - use.used,
    })),
    precedence: { isDecided: plan.precedence.isDecided, moved: admission.moved },
    refusedBy: countReasons(admission),
    firstRefused: firstRefused(rules, admission, sizes),
    tables,
    sizes,
    overlaps: overlaps ?? findOverlaps(rules, progress),
  };
  return { report, plan, admission };
}

function countReasons(admission: Admission): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { reason } of admission.refusals.values()) counts[reason] = (counts[reason] ?? 0) + 1;
  return counts;
}

/** The first rule that failed; where room was short, with the sizes that let more in. */
function firstRefused(
  rules: readonly Rule[],
  admission: Admission,
  sizes: readonly SizeAnswer[],
): RefusedRule | null {
  const [first] = admission.refusals.entries();
  if (first === undefined) return null;
  const [rule, refusal] = first;
  const enough = sizes.filter((size) => size.enough !== null && refusal.resource !== '');
  const settings = enough.map(
    (size) => `${size.path}=${size.enough} (then ${size.enoughRules} rules)`,
  );
  const remedy =
    settings.length === 0 ? refusal.remedy : `${settings.join(' or ')}; ${refusal.remedy}`;
  return { rule, line: rules[rule].source.line, refusal: { ...refusal, remedy } };
}

/** One rule in every table of the device. */
export interface RuleExplained {
  rule: number;
  line: number;
  text: string;
  priority: number;
  outcome: 'accepted' | 'refused' | 'software';
  refusal: Refusal | null;
  tables: TableExplained[];
  /** Rules that take all of its packets, that make it needless: one, several together, or none. */
  shadowedBy: readonly number[];
  redundantBy: readonly number[];
}

export interface TableExplained {
  table: string;
  taken: boolean;
  /** Why the table can never hold the rule, null when it can. */
  refusal: Refusal | null;
  template: string;
  fields: readonly FieldName[];
  keyBits: number;
  slices: number;
  entries: number;
  /** Entries that each range costs; 1 in a range register. */
  ranges: { field: FieldName; low: number; high: number; entries: number }[];
}

/** Why one rule is where it is. `index` counts from 0. */
export function explainRule({ plan, admission, report }: Fit, index: number): RuleExplained {
  const rule = plan.rules[index];
  const { overlaps } = report;
  const place = admission.tableOf[index];
  const tables = plan.tables.map((table, t): TableExplained => {
    const own = plan.plans[index][t];
    const layout = table.layouts[own.template];
    return {
      table: table.id,
      taken: place === t,
      refusal: own.refusal,
      template: layout?.name ?? '',
      fields: layout?.fields ?? [],
      keyBits: layout?.keyBits ?? 0,
      slices: own.gang,
      entries: own.entries,
      ranges: rule.matches.flatMap((match) =>
        match.kind === 'range'
          ? [
              {
                field: match.field,
                low: match.low,
                high: match.high,
                entries: table.rangeCost(match),
              },
            ]
          : [],
      ),
    };
  });
  return {
    rule: index,
    line: rule.source.line,
    text: rule.source.text,
    priority: rule.priority,
    outcome: place === SOFTWARE ? 'software' : place === REFUSED ? 'refused' : 'accepted',
    refusal: admission.refusals.get(index) ?? null,
    tables,
    shadowedBy: othersOf(index, overlaps.shadowed, overlaps.shadowedTogether),
    redundantBy: othersOf(index, overlaps.redundant, overlaps.redundantTogether),
  };
}

function othersOf(
  index: number,
  alone: readonly [number, number][],
  together: readonly [number, number[]][],
): readonly number[] {
  const one = alone.find(([rule]) => rule === index);
  if (one !== undefined) return [one[1]];
  return together.find(([rule]) => rule === index)?.[1] ?? [];
}
