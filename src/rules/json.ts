// Neutral rules as JSON, for `flowtwin convert --json`; the schema is in docs/rules.md.
//
// Addresses and MAC addresses are text, other values of up to 32 bits numbers, wider ones '0x...'. Masks are care masks and
// always given. Places in the text are the rule's line and column only.

import { actionFacts, FIELD_BITS } from './rule.ts';
import type { Action, FieldMatch, FieldName, Rule } from './rule.ts';
import { formatHex, formatIp, formatMacWords } from './values.ts';

export type JsonValue = string | number;

export interface RuleJson {
  order: number;
  priority: number;
  group: number;
  device: string;
  direction: 'ingress' | 'egress';
  residence: 'any' | 'hardware' | 'software';
  handle: number;
  matches: Record<string, { value: JsonValue; mask: JsonValue } | { low: number; high: number }>;
  actions: Record<string, unknown>[];
  source: { dialect: string; file: string; line: number; column: number; text: string };
}

export function ruleToJson(rule: Rule): RuleJson {
  const matches: RuleJson['matches'] = {};
  for (const match of rule.matches) matches[match.field] = matchJson(match);
  return {
    order: rule.order,
    priority: rule.priority,
    group: rule.group,
    device: rule.device,
    direction: rule.direction,
    residence: rule.residence,
    handle: rule.handle,
    matches,
    actions: rule.actions.map(actionJson),
    source: { ...rule.source },
  };
}

function matchJson(match: FieldMatch): RuleJson['matches'][string] {
  if (match.kind === 'range') return { low: match.low, high: match.high };
  const { field, value, mask } = match;
  return { value: valueJson(field, value), mask: valueJson(field, mask) };
}

function valueJson(field: FieldName, words: readonly number[]): JsonValue {
  if (FIELD_BITS[field] === 48) return formatMacWords(words);
  if (/ipv[46]_(src|dst)$|^arp_.ip$|^nd_target$/.test(field)) return formatIp(words);
  return words.length === 1 ? words[0] : formatHex(words);
}

function actionJson(action: Action): Record<string, unknown> {
  if (action.kind === 'set_field') {
    const { kind, field, value, mask } = action;
    return { kind, field, value: valueJson(field, value), mask: valueJson(field, mask) };
  }
  if (action.kind === 'ct' && action.label !== null) {
    const { value, mask } = action.label;
    return { ...actionFacts(action), label: { value: formatHex(value), mask: formatHex(mask) } };
  }
  return actionFacts(action);
}
