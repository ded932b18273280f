// Whether the packets of a rule are all taken by several others together.
//
// Naive idea: try every packet. Instead: a rule is some cubes (a range is the prefixes that make it up; a cube is words of value and
// mask). From each cube the other rules are taken away one after the other: of a rule that cares for a bit that the cube leaves
// open, the half where they differ stays, and in the other half the next bit is looked at, until nothing is left (covered) or a part
// that no further rule meets (not covered: a packet of it proves it). The parts may double with every rule: so many steps are
// allowed a rule, and so many in all; beyond them the answer is "not decided", which is counted and told.
// Cost: rules that one probe packet proves not to be covered never come here (shadow.ts); the others take some 100 steps each.

import { FIELD_BITS } from '../rules/rule.ts';
import type { Rule } from '../rules/rule.ts';
import { prefixesOf } from '../rules/overlap.ts';
import type { RuleWords } from './rule-words.ts';

export const COVERED = 1;
export const NOT_COVERED = 0;
export const NOT_DECIDED = -1;
export type Cover = typeof COVERED | typeof NOT_COVERED | typeof NOT_DECIDED;

/** Steps for one rule, and for a whole set. */
const RULE_STEPS = 20_000;
const SET_STEPS = 5_000_000;
/** Cubes of a rule at most: a rule of more is not decided. */
const MAX_CUBES = 64;

interface Cube {
  value: Uint32Array;
  mask: Uint32Array;
}

/** A rule that takes packets away; with `isOther`, one whose packets must all be gone by then. */
interface Taker {
  rule: number;
  cubes: Cube[];
  isOther: boolean;
}

export class UnionCover {
  /** Rules that the last answer "covered" rests on. */
  takers: number[] = [];
  private readonly rules: readonly Rule[];
  private readonly words: RuleWords;
  private readonly used = new Set<number>();
  private list: Taker[] = [];
  private steps = 0;
  private stepsLeft = SET_STEPS;

  constructor(rules: readonly Rule[], words: RuleWords) {
    this.rules = rules;
    this.words = words;
  }

  /**
   * Whether `candidates`, in order of precedence, take every packet of the rule. Where `isOther` says so of one of them, it must
   * not meet what those before it have left.
   */
  covers(
    rule: number,
    candidates: readonly number[],
    isOther: (candidate: number) => boolean = () => false,
  ): Cover {
    const own = this.cubesOf(rule);
    if (own === null || this.stepsLeft <= 0) return NOT_DECIDED;
    this.list = [];
    for (const candidate of candidates) {
      if (!this.words.mayMeet(rule, candidate)) continue;
      const cubes = this.cubesOf(candidate);
      if (cubes === null) return NOT_DECIDED;
      this.list.push({ rule: candidate, cubes, isOther: isOther(candidate) });
    }
    this.used.clear();
    this.steps = Math.min(RULE_STEPS, this.stepsLeft);
    const before = this.steps;
    let answer: Cover = COVERED;
    for (const { value, mask } of own) {
      answer = this.isTaken(value.slice(), mask.slice(), 0, 0);
      if (answer !== COVERED) break;
    }
    this.stepsLeft -= before - this.steps;
    this.takers = [...this.used].sort((a, b) => a - b);
    return answer;
  }

  /** Takes rules from `at` on (and cubes of that rule from `cube` on) away from a cube, which is changed. */
  private isTaken(value: Uint32Array, mask: Uint32Array, at: number, cube: number): Cover {
    for (let t = at, c = cube; t < this.list.length; t++, c = 0) {
      const taker = this.list[t];
      for (; c < taker.cubes.length; c++) {
        if (--this.steps < 0) return NOT_DECIDED;
        if (!meets(value, mask, taker.cubes[c])) continue;
        if (taker.isOther) return NOT_COVERED;
        this.used.add(taker.rule);
        return this.splitBy(taker.cubes[c], value, mask, t, c + 1);
      }
    }
    return NOT_COVERED;
  }

  /** What of a cube is outside `taker` must be taken by the rest. */
  private splitBy(
    taker: Cube,
    value: Uint32Array,
    mask: Uint32Array,
    at: number,
    cube: number,
  ): Cover {
    for (let w = 0; w < mask.length; w++) {
      for (let open = taker.mask[w] & ~mask[w]; open !== 0; open &= open - 1) {
        const bit = open & -open;
        const outside = value.slice();
        const outsideMask = mask.slice();
        outside[w] = outside[w] | (~taker.value[w] & bit);
        outsideMask[w] = outsideMask[w] | bit;
        const answer = this.isTaken(outside, outsideMask, at, cube);
        if (answer !== COVERED) return answer;
        value[w] = value[w] | (taker.value[w] & bit);
        mask[w] = mask[w] | bit;
      }
    }
    return COVERED;
  }

  /** The rule as cubes, null for too many. */
  private cubesOf(index: number): Cube[] | null {
    const { words, value, mask, wordOf } = this.words;
    const from = index * words;
    const first = {
      value: value.slice(from, from + words),
      mask: mask.slice(from, from + words),
    };
    let cubes: Cube[] = [first];
    for (const match of this.rules[index].matches) {
      if (match.kind !== 'range') continue;
      const word = wordOf.get(match.field) as number;
      const pieces = prefixesOf(match.low, match.high, FIELD_BITS[match.field]);
      if (cubes.length * pieces.length > MAX_CUBES) return null;
      cubes = cubes.flatMap((cube) => pieces.map((piece) => withWord(cube, word, piece)));
    }
    return cubes;
  }
}

function withWord(cube: Cube, word: number, piece: { value: number; mask: number }): Cube {
  const copy = { value: cube.value.slice(), mask: cube.mask.slice() };
  copy.value[word] = piece.value;
  copy.mask[word] = piece.mask;
  return copy;
}

function meets(value: Uint32Array, mask: Uint32Array, cube: Cube): boolean {
  for (let w = 0; w < mask.length; w++)
    if (((value[w] ^ cube.value[w]) & mask[w] & cube.mask[w]) !== 0) return false;
  return true;
}
