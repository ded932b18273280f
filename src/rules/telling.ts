// What printers share: words put together, refusals collected, and the bookkeeping that no match is passed over in silence.

import { prefixesOf } from './overlap.ts';
import { matchOf } from './rule.ts';
import type { Action, FieldMatch, FieldName, Rule } from './rule.ts';
import { refuse } from './refusal.ts';
import type { Refusal } from './refusal.ts';

/** A rule in a dialect's words: `text` is to be used only when nothing was refused. */
export interface Told {
  text: string;
  refusals: Refusal[];
}

export class Telling {
  readonly rule: Rule;
  readonly words: string[] = [];
  readonly refusals: Refusal[] = [];
  /** Fields that the text says or implies. */
  private readonly said = new Set<FieldName>();

  constructor(rule: Rule) {
    this.rule = rule;
  }

  say(...words: string[]): void {
    this.words.push(...words);
  }

  /** The match on a field, marked as said; null for none. */
  take(field: FieldName): FieldMatch | null {
    this.said.add(field);
    return matchOf(this.rule, field);
  }

  /** A field that cannot be said at all. */
  refuseField(match: FieldMatch, remedy = ''): void {
    this.said.add(match.field);
    this.refusals.push(refuse('dialect-field', match.field, match.at, remedy));
  }

  refuseMask(match: FieldMatch, remedy = ''): void {
    this.refusals.push(refuse('dialect-mask', match.field, match.at, remedy));
  }

  refuseRange(match: FieldMatch & { kind: 'range' }, widthBits = 16): void {
    const count = prefixesOf(match.low, match.high, widthBits).length;
    const remedy = `one rule for each of the ${count} prefixes of ${match.low}-${match.high}`;
    this.refusals.push(refuse('dialect-range', match.field, match.at, remedy));
  }

  refuseAction(action: Action, remedy = ''): void {
    this.refusals.push(refuse('dialect-action', actionName(action), action.at, remedy));
  }

  refuseAttribute(what: string, remedy = ''): void {
    this.refusals.push(refuse('dialect-attribute', what, null, remedy));
  }

  /** Refuses every match that nobody took. */
  refuseUnsaid(): void {
    for (const match of this.rule.matches) if (!this.said.has(match.field)) this.refuseField(match);
  }

  end(separator = ' '): Told {
    return { text: this.words.join(separator), refusals: this.refusals };
  }
}

/** An action as messages name it. */
export function actionName(action: Action): string {
  return action.kind === 'set_field' ? `set_field ${action.field}` : action.kind;
}

/** Lowest and highest value of a match that is one run of values; null for a mask with holes or a wide field. */
export function asRun(match: FieldMatch, widthBits: number): { low: number; high: number } | null {
  if (match.kind === 'range') return { low: match.low, high: match.high };
  if (match.mask.length > 1) return null;
  const free = 2 ** widthBits - 1 - match.mask[0];
  if (!Number.isInteger(Math.log2(free + 1))) return null;
  return { low: match.value[0], high: match.value[0] + free };
}
