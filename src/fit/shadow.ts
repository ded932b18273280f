// Shadowed and redundant rules.
//
// A rule is shadowed when rules of higher precedence match every packet that it matches: it never wins. It is redundant when
// it may win, but taking it away changes nothing: whatever it wins then goes to rules of lower precedence with the same
// actions. One rule may do this alone, or several together (union.ts). Rules without actions (ClassBench) are all different.
//
// Naive idea: compare all pairs. Optimisation: rules that cover another also match any packet of it. So some packets of
// each rule are looked up in the classifier; where the rule itself wins one, nothing shadows it, and where then no lower one
// matches it, it is not redundant. Only the rest are compared with the others, on flat words first (rule-words.ts): with one
// rule at a time, then with all that meet it. Each removal is judged with those found before gone, so all may go together.

import { TernaryClassifier } from '../../hw/table/classifier/ternary.ts';
import { rangeMask } from './range-mask.ts';
import { FIELD_BITS, compareRules } from '../rules/rule.ts';
import type { FieldMatch, FieldName, Rule } from '../rules/rule.ts';
import { overlap } from '../rules/overlap.ts';
import type { Progress } from './admission.ts';
import { RuleWords } from './rule-words.ts';
import { COVERED, NOT_DECIDED, UnionCover } from './union.ts';

export interface Overlaps {
  /** [rule, rule that shadows it], by number in the file. */
  shadowed: [number, number][];
  /** [rule, rules above that together take all of its packets]. */
  shadowedTogether: [number, number[]][];
  /** [rule, rule below that makes it needless]. */
  redundant: [number, number][];
  /** [rule, rules below that together make it needless]. */
  redundantTogether: [number, number[]][];
  /** Rules of which it was not worked out whether several cover them: too many steps. */
  notDecided: number;
  /** False when the set was too large to look for redundant rules. */
  redundantSought: boolean;
}

/** Packets of a rule that are looked up before it is compared with others. */
const PROBES = 4;
/** Rules up to which redundant ones are looked for (pairs are compared). */
const REDUNDANT_RULES = 20_000;
const PROGRESS_RULES = 512;

export function findOverlaps(
  rules: readonly Rule[],
  progress: Progress = () => undefined,
): Overlaps {
  const order = rules.map((_, i) => i).sort((a, b) => compareRules(rules[a], rules[b]));
  const words = new RuleWords(rules);
  const winners = new Winners(words, order);
  const search: Search = {
    rules,
    order,
    words,
    winners,
    union: new UnionCover(rules, words),
    isGone: new Uint8Array(rules.length),
    found: {
      shadowed: [],
      shadowedTogether: [],
      redundant: [],
      redundantTogether: [],
      notDecided: 0,
      redundantSought: rules.length <= REDUNDANT_RULES,
    },
  };
  for (const [rank, index] of order.entries()) {
    if (rank % PROGRESS_RULES === 0) progress('shadows', rank, rules.length);
    if (!winners.wins(index)) findShadow(search, rank);
  }
  if (search.found.redundantSought) findRedundant(search, progress);
  const byRule = (a: [number, unknown], b: [number, unknown]): number => a[0] - b[0];
  for (const list of [search.found.shadowed, search.found.redundant]) list.sort(byRule);
  for (const list of [search.found.shadowedTogether, search.found.redundantTogether])
    list.sort(byRule);
  return search.found;
}

interface Search {
  rules: readonly Rule[];
  /** Rules in order of precedence. */
  order: readonly number[];
  words: RuleWords;
  winners: Winners;
  union: UnionCover;
  /** Rules found needless so far. */
  isGone: Uint8Array;
  found: Overlaps;
}

function findShadow({ rules, order, words, union, isGone, found }: Search, rank: number): void {
  const index = order[rank];
  const meeting: number[] = [];
  for (let above = 0; above < rank; above++) {
    const other = order[above];
    if (words.mayCover(other, index) && covers(rules[other], rules[index])) {
      found.shadowed.push([index, other]);
      isGone[index] = 1;
      return;
    }
    if (isGone[other] === 0 && words.mayMeet(other, index)) meeting.push(other);
  }
  if (meeting.length < 2) return;
  // Wide ones first: they leave the fewest parts.
  const answer = union.covers(index, words.widestFirst(meeting));
  if (answer === NOT_DECIDED) found.notDecided++;
  if (answer !== COVERED) return;
  found.shadowedTogether.push([index, union.takers]);
  isGone[index] = 1;
}

function findRedundant(search: Search, progress: Progress): void {
  const { rules, order, words, winners, isGone, found } = search;
  const actions = rules.map((rule, i) =>
    rule.actions.length === 0 ? `none ${i}` : JSON.stringify(withoutPlaces(rule.actions)),
  );
  if (rules.every((rule) => rule.actions.length === 0)) return;
  const lowest = new Winners(words, [...order].reverse());
  for (let rank = order.length - 1; rank >= 0; rank--) {
    if (rank % PROGRESS_RULES === 0) progress('redundant', order.length - rank, order.length);
    const index = order[rank];
    if (isGone[index] === 1 || rules[index].actions.length === 0) continue;
    if (winners.wins(index, lowest)) continue;
    const other = oneBelow(search, rank, actions);
    if (other >= 0) found.redundant.push([index, other]);
    else if (!severalBelow(search, rank, actions)) continue;
    isGone[index] = 1;
  }
}

/** A rule below that covers the one at `rank` with the same actions, all that meet it in between having them too; else -1. */
function oneBelow(search: Search, rank: number, actions: readonly string[]): number {
  const { rules, order, words, isGone } = search;
  const index = order[rank];
  for (let below = rank + 1; below < order.length; below++) {
    const other = order[below];
    if (isGone[other] === 1 || !words.mayMeet(index, other)) continue;
    if (!overlap(rules[index], rules[other])) continue;
    if (actions[other] !== actions[index]) return -1;
    if (covers(rules[other], rules[index])) return other;
  }
  return -1;
}

/** Whether what the rule at `rank` wins goes to rules below with the same actions when it is taken away. */
function severalBelow(search: Search, rank: number, actions: readonly string[]): boolean {
  const { order, words, isGone, union, found } = search;
  const index = order[rank];
  const meeting = order.filter(
    (other) => other !== index && isGone[other] === 0 && words.mayMeet(index, other),
  );
  if (meeting.length < 2) return false;
  const isAbove = new Set(order.slice(0, rank));
  const answer = union.covers(
    index,
    meeting,
    (other) => !isAbove.has(other) && actions[other] !== actions[index],
  );
  if (answer === NOT_DECIDED) found.notDecided++;
  if (answer !== COVERED) return false;
  const below = union.takers.filter((other) => !isAbove.has(other));
  found.redundantTogether.push([index, below]);
  return true;
}

function withoutPlaces(actions: Rule['actions']): unknown[] {
  return actions.map((action) => ({ ...action, at: null }));
}

/** Whether `outer` matches every packet that `inner` matches. */
export function covers(outer: Rule, inner: Rule): boolean {
  if (outer.group !== inner.group || outer.device !== inner.device) return false;
  if (outer.direction !== inner.direction) return false;
  if (!sameTags(outer, inner)) return false;
  for (const match of outer.matches) {
    const own = inner.matches.find(({ field }) => field === match.field);
    if (own === undefined || !matchCovers(match, own)) return false;
  }
  return true;
}

/** A rule with an EtherType is about exactly the tags that it names (rule.ts). */
function sameTags(outer: Rule, inner: Rule): boolean {
  const has = (rule: Rule, field: FieldName): boolean =>
    rule.matches.some((match) => match.field === field);
  if (!has(outer, 'eth_type')) return true;
  return (
    has(outer, 'vlan_tpid') === has(inner, 'vlan_tpid') &&
    has(outer, 'cvlan_tpid') === has(inner, 'cvlan_tpid')
  );
}

function matchCovers(outer: FieldMatch, inner: FieldMatch): boolean {
  if (outer.kind === 'mask' && inner.kind === 'mask') {
    for (let w = 0; w < outer.mask.length; w++) {
      if ((outer.mask[w] & ~inner.mask[w]) !== 0) return false;
      if (((outer.value[w] ^ inner.value[w]) & outer.mask[w]) !== 0) return false;
    }
    return true;
  }
  if (outer.kind === 'range') {
    const [low, high] = inner.kind === 'range' ? [inner.low, inner.high] : span(inner);
    return outer.low <= low && high <= outer.high;
  }
  // A range within a masked set: within the prefix that all its numbers share.
  if (inner.kind !== 'range') return false;
  const shared = rangeMask(inner.low, inner.high, FIELD_BITS[inner.field]);
  return (outer.mask[0] & ~shared) === 0 && ((outer.value[0] ^ inner.low) & outer.mask[0]) === 0;
}

/** Lowest and highest number that a mask takes; all between need not match, so this errs towards "not covered". */
function span(match: { value: number[]; mask: number[]; field: FieldName }): [number, number] {
  const [value] = match.value;
  const open = 2 ** FIELD_BITS[match.field] - 1 - match.mask[0];
  return [value, value + open];
}

/** Who wins packets of a rule, the first of `order` before the others. */
class Winners {
  private readonly rules: RuleWords;
  private readonly classifier: TernaryClassifier;
  private readonly key: Uint32Array;
  private readonly rankOf: Int32Array;

  constructor(rules: RuleWords, order: readonly number[]) {
    this.rules = rules;
    this.key = new Uint32Array(rules.words);
    this.rankOf = new Int32Array(rules.count);
    this.classifier = new TernaryClassifier(rules.words);
    this.classifier.load(() => {
      for (const [rank, index] of order.entries()) {
        this.rankOf[index] = rank;
        this.classifier.insert(rank, rank, rules.value, rules.mask, index * rules.words);
      }
    });
  }

  /**
   * Whether the rule wins one of a few of its packets: then those before it do not cover it. With `others`,
   * the same order reversed: and no rule after it matches that packet.
   */
  wins(index: number, others: Winners | null = null): boolean {
    const { key } = this;
    for (let probe = 0; probe < PROBES; probe++) {
      this.rules.packetOf(index, probe, key);
      if (!this.isFirst(index, key)) continue;
      if (others === null || others.isFirst(index, key)) return true;
    }
    return false;
  }

  private isFirst(index: number, key: Uint32Array): boolean {
    return this.classifier.lookup(key) === this.rankOf[index];
  }
}
