// A rule set from one dialect to another: priorities first, then each rule's words.
//
// Rules keep their priority numbers where the target can take them as they are. They are renumbered, in order of precedence, when
// a number is out of the target's range, or where the target does not break ties as the source does: two overlapping rules of
// equal priority, two rules at one ethtool location, two protocols at one tc pref. ClassBench has only the order of lines:
// rules are printed by precedence. OVS datapath flows have no precedence at all: a rule that overlaps one that wins
// over it and does something else is refused.
// Not here: splitting a rule into several (ranges into prefixes, wildcards into protocols).

import { tellRule } from './dialects.ts';
import { overlap, OverlapFilter } from './overlap.ts';
import { actionFacts, compareRules, matchOf } from './rule.ts';
import type { Action, Dialect, Rule } from './rule.ts';
import { refuse } from './refusal.ts';
import type { Refusal } from './refusal.ts';
import { exactValue } from './values.ts';

export interface ConvertOptions {
  to: Dialect;
  /** Device for rules that name none; '' for the dialect's default. */
  device: string;
  /** Action for rules that have none; null for none. */
  action: Action | null;
  /** Leaves actions out. */
  ignoreActions: boolean;
}

export interface Converted {
  /** As read, with its own priority. */
  rule: Rule;
  /** '' when refused. */
  text: string;
  refusals: Refusal[];
}

/** Lowest and highest priority of a dialect that has them. */
const PRIORITY_RANGE: Partial<Record<Dialect, readonly [low: number, high: number]>> = {
  tc: [1, 0xffff],
  ethtool: [0, 0xffffffff],
  testpmd: [0, 0xffffffff],
};

/** In the order of the target's text: file order, or precedence where lines are the precedence. */
export function convertRules(rules: readonly Rule[], options: ConvertOptions): Converted[] {
  const prepared = rules.map((rule) => ({ ...rule, actions: actionsFor(rule, options) }));
  const { to } = options;
  const same = rules.every((rule) => rule.source.dialect === to);
  if (!same) renumber(prepared, to);
  if (!same && to === 'classbench') prepared.sort(compareRules);
  const shadows = !same && to === 'ovs' ? findShadows(prepared) : new Map<Rule, Refusal>();
  return prepared.map((rule) => {
    const told = tellRule(rule, to, options.device);
    const shadow = shadows.get(rule);
    if (shadow !== undefined) told.refusals.push(shadow);
    const original = rules[rule.order] ?? rule;
    const text = told.refusals.length === 0 ? told.text : '';
    return { rule: original, text, refusals: told.refusals.sort(byPlace) };
  });
}

/** By place in the text; what is about no single place first. */
function byPlace(a: Refusal, b: Refusal): number {
  return (a.at?.line ?? 0) - (b.at?.line ?? 0) || (a.at?.column ?? 0) - (b.at?.column ?? 0);
}

function actionsFor(rule: Rule, { action, ignoreActions }: ConvertOptions): Action[] {
  const kept = ignoreActions ? [] : rule.actions;
  if (kept.length > 0 || action === null) return kept;
  const { line, column } = rule.source;
  return [{ ...action, at: { line, column } }];
}

/** What shares priorities: one device's one group. */
function scopeOf(rule: Rule): string {
  return `${rule.device}\n${rule.direction}\n${rule.group}`;
}

function renumber(rules: Rule[], to: Dialect): void {
  const range = PRIORITY_RANGE[to];
  if (range === undefined) return;
  const scopes = new Map<string, Rule[]>();
  for (const rule of rules) {
    const scope = scopes.get(scopeOf(rule));
    if (scope === undefined) scopes.set(scopeOf(rule), [rule]);
    else scope.push(rule);
  }
  for (const scope of scopes.values()) renumberScope(scope.sort(compareRules), to, range);
}

/** `rules` in order of precedence. */
function renumberScope(
  rules: Rule[],
  to: Dialect,
  [low, high]: readonly [low: number, high: number],
): void {
  const ties = tiesMatter(rules, to);
  const outside = rules.some((rule) => rule.priority < low || rule.priority > high);
  if (!ties && !outside) return;
  let number = low - 1;
  let last = NaN;
  for (const rule of rules) {
    if (ties || rule.priority !== last) number++;
    last = rule.priority;
    rule.priority = number;
  }
}

/** Whether rules of equal priority would be lost or decided otherwise in the target. `rules` in order of precedence. */
function tiesMatter(rules: readonly Rule[], to: Dialect): boolean {
  for (let at = 1; at < rules.length; at++) {
    const rule = rules[at];
    for (let before = at - 1; before >= 0; before--) {
      const other = rules[before];
      if (other.priority !== rule.priority) break;
      if (to === 'ethtool') return true;
      if (to === 'tc' && protocolOf(rule) !== protocolOf(other)) return true;
      // Datapath flows do not overlap: that is the contract of the source.
      if (rule.source.dialect !== 'ovs' && overlap(rule, other)) return true;
    }
  }
  return false;
}

/** tc's `protocol`: one per pref. */
function protocolOf(rule: Rule): number {
  const match = matchOf(rule, 'vlan_tpid') ?? matchOf(rule, 'eth_type');
  return exactValue(match);
}

/** Refusals of rules that lose against another one where they overlap, by rule. */
function findShadows(rules: readonly Rule[]): Map<Rule, Refusal> {
  const sorted = [...rules].sort(compareRules);
  const does = sorted.map((rule) => JSON.stringify(rule.actions.map(actionFacts)));
  const filter = new OverlapFilter(sorted);
  const found = new Map<Rule, Refusal>();
  sorted.forEach((rule, at) => {
    // Rules that do the same may overlap: it does not matter which is found. That is the cheap test, so it comes first.
    let before = 0;
    for (; before < at; before++) {
      if (does[before] === does[at] || filter.apart(before, at)) continue;
      if (overlap(sorted[before], rule)) break;
    }
    if (before === at) return;
    const other = sorted[before];
    const { file, line } = other.source;
    const what = `${rule.priority} below that of ${file}:${line}, which overlaps,`;
    found.set(rule, refuse('dialect-priority', what, null, 'flows that do not overlap'));
  });
  return found;
}
