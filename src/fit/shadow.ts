// Shadowed and redundant rules.
//
// A rule is shadowed when one rule of higher precedence matches every packet that it matches: it never wins. It is redundant
// when it may win, but taking it away changes nothing: a rule of lower precedence covers it with the same actions, and every
// rule between them that meets it has the same actions too. Rules without actions (ClassBench) count as all different.
//
// Naive idea: compare all pairs. Optimisation: a rule that covers another also matches any packet of it. So some packets of
// each rule are looked up in the classifier; where the rule itself wins one, nothing shadows it. Only the rest are compared with
// the rules before them; for redundant ones the same with precedence reversed. Pairs are compared on flat words first (10 ns
// against 150 for the rules themselves). Left out: rules covered by several others together.

import { TernaryClassifier } from '../../hw/table/classifier/ternary.ts';
import { rangeMask } from './range-mask.ts';
import { FIELD_BITS, compareRules, fieldWords } from '../rules/rule.ts';
import type { FieldMatch, FieldName, Rule } from '../rules/rule.ts';
import { overlap } from '../rules/overlap.ts';
import type { Progress } from './admission.ts';

export interface Overlaps {
  /** [rule, rule that shadows it], by number in the file. */
  shadowed: [number, number][];
  /** [rule, rule below that makes it needless]. */
  redundant: [number, number][];
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
  const shadowed: [number, number][] = [];
  const isShadowed = new Uint8Array(rules.length);
  for (const [rank, index] of order.entries()) {
    if (rank % PROGRESS_RULES === 0) progress('shadows', rank, rules.length);
    if (winners.wins(index)) continue;
    for (let above = 0; above < rank; above++)
      if (words.mayCover(order[above], index) && covers(rules[order[above]], rules[index])) {
        shadowed.push([index, order[above]]);
        isShadowed[index] = 1;
        break;
      }
  }
  shadowed.sort((a, b) => a[0] - b[0]);
  const redundantSought = rules.length <= REDUNDANT_RULES;
  const redundant = redundantSought ? findRedundant(rules, order, words, isShadowed) : [];
  return { shadowed, redundant, redundantSought };
}

function findRedundant(
  rules: readonly Rule[],
  order: readonly number[],
  words: RuleWords,
  isShadowed: Uint8Array,
): [number, number][] {
  const actions = rules.map((rule, i) =>
    rule.actions.length === 0 ? `none ${i}` : JSON.stringify(withoutPlaces(rule.actions)),
  );
  if (rules.every((rule) => rule.actions.length === 0)) return [];
  const lowest = new Winners(words, [...order].reverse());
  const isRemoved = Uint8Array.from(isShadowed);
  const found: [number, number][] = [];
  for (let rank = order.length - 1; rank >= 0; rank--) {
    const index = order[rank];
    if (isShadowed[index] === 1 || rules[index].actions.length === 0) continue;
    if (lowest.wins(index)) continue;
    for (let below = rank + 1; below < order.length; below++) {
      const other = order[below];
      if (isRemoved[other] === 1 || !words.mayMeet(index, other)) continue;
      if (!overlap(rules[index], rules[other])) continue;
      if (actions[other] !== actions[index]) break;
      if (!covers(rules[other], rules[index])) continue;
      found.push([index, other]);
      isRemoved[index] = 1;
      break;
    }
  }
  return found.sort((a, b) => a[0] - b[0]);
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

/** Rules as words of value and mask; a range by the prefix that its numbers share, which may take more packets, never fewer. */
class RuleWords {
  readonly count: number;
  readonly words: number;
  readonly value: Uint32Array;
  readonly mask: Uint32Array;

  constructor(rules: readonly Rule[]) {
    const wordOf = new Map<FieldName, number>();
    let words = 1;
    for (const rule of rules)
      for (const { field } of rule.matches)
        if (!wordOf.has(field)) {
          wordOf.set(field, words);
          words += fieldWords(field);
        }
    this.count = rules.length;
    this.words = words;
    this.value = new Uint32Array(rules.length * words);
    this.mask = new Uint32Array(rules.length * words);
    const places = new Map<string, number>();
    for (const [index, rule] of rules.entries()) this.encode(index, rule, wordOf, places);
  }

  /** False when no packet can match both. */
  mayMeet(a: number, b: number): boolean {
    const { words, value, mask } = this;
    const from = a * words;
    const other = b * words;
    for (let w = 0; w < words; w++)
      if (((value[from + w] ^ value[other + w]) & mask[from + w] & mask[other + w]) !== 0)
        return false;
    return true;
  }

  /** False when some packet of `inner` is none of `outer`. */
  mayCover(outer: number, inner: number): boolean {
    const { words, value, mask } = this;
    const from = outer * words;
    const other = inner * words;
    for (let w = 0; w < words; w++) {
      const care = mask[from + w];
      if ((care & ~mask[other + w]) !== 0) return false;
      if (((value[from + w] ^ value[other + w]) & care) !== 0) return false;
    }
    return true;
  }

  private encode(
    index: number,
    rule: Rule,
    wordOf: ReadonlyMap<FieldName, number>,
    places: Map<string, number>,
  ): void {
    const at = index * this.words;
    const where = `${rule.group} ${rule.device} ${rule.direction}`;
    const place = places.get(where) ?? places.size;
    places.set(where, place);
    this.value[at] = place;
    this.mask[at] = 0xffffffff;
    for (const match of rule.matches) {
      const word = at + (wordOf.get(match.field) as number);
      if (match.kind === 'mask')
        for (let w = 0; w < match.mask.length; w++) {
          this.value[word + w] = match.value[w];
          this.mask[word + w] = match.mask[w];
        }
      else {
        const shared = rangeMask(match.low, match.high, FIELD_BITS[match.field]);
        this.value[word] = match.low & shared;
        this.mask[word] = shared;
      }
    }
  }
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

  /** Whether the rule wins one of a few of its packets, as far as prefixes tell: then none before it covers it. */
  wins(index: number): boolean {
    const { key } = this;
    const { words, value, mask } = this.rules;
    for (let probe = 0; probe < PROBES; probe++) {
      for (let w = 0; w < words; w++) {
        const at = index * words + w;
        const free = Math.imul(at * PROBES + probe + 1, 0x9e3779b1) ^ (at >>> 3);
        key[w] = value[at] | (free & ~mask[at]);
      }
      if (this.classifier.lookup(key) === this.rankOf[index]) return true;
    }
    return false;
  }
}
