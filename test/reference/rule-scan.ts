// The obvious meaning of a rule set: every rule against every field of a packet, the best of those that match. BigInt throughout.
// A packet is one number per field; fields that it does not have are 0.

import { FIELD_BITS } from '../../src/rules/rule.ts';
import type { FieldMatch, FieldName, Rule } from '../../src/rules/rule.ts';

export type Packet = Partial<Record<FieldName, bigint>>;

function toBig(words: readonly number[]): bigint {
  return words.reduce((sum, word) => (sum << 32n) | BigInt(word), 0n);
}

export function matchHolds(match: FieldMatch, packet: Packet): boolean {
  const value = packet[match.field] ?? 0n;
  if (value >> BigInt(FIELD_BITS[match.field]) !== 0n) throw new Error(`${match.field} too wide`);
  if (match.kind === 'range') return value >= BigInt(match.low) && value <= BigInt(match.high);
  const mask = toBig(match.mask);
  return (value & mask) === (toBig(match.value) & mask);
}

/** Index of the rule that wins, −1 for none: lowest priority number first, then file order. */
export function winner(rules: readonly Rule[], packet: Packet): number {
  let best = -1;
  rules.forEach((rule, index) => {
    if (!rule.matches.every((match) => matchHolds(match, packet))) return;
    if (best < 0 || rule.priority < rules[best].priority) best = index;
  });
  return best;
}
