// Precedence between tables: a device asks its tables in the profile's order, and the first that knows a packet decides,
// whatever the priorities of the rules. So two rules that meet, do different things and lie in two tables must lie in the
// order of their precedence; else the set would mean something else in hardware, and the later one has to go to another table or is
// refused ('wrong-precedence').
//
// Which pairs that can be about is worked out once: those that meet, with different actions, and that could be in two tables.
// Most sets have few rules that fit a second table, and each of those is compared with all others. Beyond COMPARED
// pairs (or KEPT of them) it is not worked out, and the report says so. Rules of different groups never meet.
// Left out: moving a rule that is in already because a later one needs its place in the order.

import { compareRules } from '../rules/rule.ts';
import type { Rule } from '../rules/rule.ts';
import { overlap } from '../rules/overlap.ts';
import { RuleWords } from './rule-words.ts';
import type { RulePlan } from './table-plan.ts';

const COMPARED = 200_000_000;
const KEPT = 8_000_000;

export class Precedence {
  /** False: the set was too large, nothing is checked. */
  readonly isDecided: boolean;
  private readonly rules: readonly Rule[];
  /** Rules before it in the file that a rule meets: `others[first[i]]` to `others[first[i + 1] - 1]`. */
  private readonly first: Int32Array;
  private others = new Int32Array(1024);
  private kept = 0;

  constructor(rules: readonly Rule[], plans: readonly (readonly RulePlan[])[]) {
    this.rules = rules;
    this.first = new Int32Array(rules.length + 1);
    this.isDecided = this.compare(plans.map(tablesOf));
  }

  /**
   * A rule in another table that would win or lose against `index` in table `t` contrary to their precedence; −1 for none.
   * `tableOf` is of the rules before it.
   */
  rival(index: number, t: number, tableOf: Int32Array): number {
    for (let at = this.first[index]; at < this.first[index + 1]; at++) {
      const other = this.others[at];
      const its = tableOf[other];
      if (its < 0 || its === t) continue;
      const isFirst = compareRules(this.rules[index], this.rules[other]) < 0;
      if (t < its !== isFirst) return other;
    }
    return -1;
  }

  /** Fills the lists; false when there are too many pairs. `tables`: bits of the tables that could hold each rule. */
  private compare(tables: readonly number[]): boolean {
    const { rules, first } = this;
    const common = mostCommon(tables);
    // Rules that can be in one and the same table only have no order to keep among themselves.
    const isPlain = (rule: number): boolean =>
      tables[rule] === 0 || (tables[rule] === common && isSingle(common));
    const special: number[] = [];
    let words: RuleWords | null = null;
    let facts: string[] = [];
    let compared = 0;
    for (let index = 0; index < rules.length; index++) {
      const plain = isPlain(index);
      const count = tables[index] === 0 ? 0 : plain ? special.length : index;
      if (count > 0 && words === null) {
        words = new RuleWords(rules);
        facts = rules.map(actionText);
      }
      compared += count;
      if (compared > COMPARED) return this.giveUp();
      for (let at = 0; at < count && words !== null; at++) {
        const other = plain ? special[at] : at;
        if (tables[other] === 0 || !words.mayMeet(index, other)) continue;
        if (isSingle(tables[index] | tables[other]) || facts[index] === facts[other]) continue;
        if (overlap(rules[index], rules[other])) this.keep(other);
      }
      first[index + 1] = this.kept;
      if (this.kept > KEPT) return this.giveUp();
      if (!plain) special.push(index);
    }
    return true;
  }

  private keep(other: number): void {
    if (this.kept === this.others.length) {
      const larger = new Int32Array(2 * this.kept);
      larger.set(this.others);
      this.others = larger;
    }
    this.others[this.kept++] = other;
  }

  private giveUp(): boolean {
    this.first.fill(0);
    return false;
  }
}

function tablesOf(plans: readonly RulePlan[]): number {
  let tables = 0;
  for (const [t, plan] of plans.entries()) if (plan.refusal === null) tables |= 1 << t;
  return tables;
}

function mostCommon(tables: readonly number[]): number {
  const counts = new Map<number, number>();
  for (const one of tables) counts.set(one, (counts.get(one) ?? 0) + 1);
  let best = 0;
  for (const [one, count] of counts)
    if (one !== 0 && count > (best === 0 ? 0 : (counts.get(best) ?? 0))) best = one;
  return best;
}

function isSingle(tables: number): boolean {
  return tables !== 0 && (tables & (tables - 1)) === 0;
}

/** Actions as text; each rule without actions differs from all others. */
function actionText(rule: Rule, index: number): string {
  if (rule.actions.length === 0) return `none ${index}`;
  return JSON.stringify(rule.actions.map((action) => ({ ...action, at: null })));
}
