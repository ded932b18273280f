// Neutral rules as the five-tuple classifier takes them: IPv4 addresses under any mask, ports as ranges, the protocol under a
// mask. Rules about anything else are refused by name. A rule without an EtherType is about IPv4 packets too.

import type { FiveTupleRule } from '../../hw/table/classifier/five-tuple.ts';
import { ETH_IPV4 } from './names.ts';
import { matchOf, rangeAsMask } from './rule.ts';
import type { FieldMatch, FieldName, Place, Rule } from './rule.ts';
import { RuleSyntaxError } from './scan.ts';
import { exactValue } from './values.ts';

const PORT_MAX = 0xffff;

/** The five fields of a rule. Throws RuleSyntaxError, naming the field, when the rule is about more than that. */
export function fiveTupleOf(rule: Rule): FiveTupleRule {
  if (rule.group !== 0) refuse(rule, rule.source, 'a rule of group 0', `group ${rule.group}`);
  for (const match of rule.matches)
    if (!isSayable(match)) refuse(rule, match.at, 'fields of an IPv4 five-tuple', match.field);
  const [src, dst] = [maskOf(rule, 'ipv4_src'), maskOf(rule, 'ipv4_dst')];
  const [srcPort, dstPort] = [rangeOf(rule, 'sport'), rangeOf(rule, 'dport')];
  const protocol = maskOf(rule, 'ip_proto');
  return {
    src: src.value,
    srcMask: src.mask,
    dst: dst.value,
    dstMask: dst.mask,
    srcPortLow: srcPort.low,
    srcPortHigh: srcPort.high,
    dstPortLow: dstPort.low,
    dstPortHigh: dstPort.high,
    protocol: protocol.value,
    protocolMask: protocol.mask,
  };
}

function refuse(rule: Rule, at: Place, expected: string, found: string): never {
  throw new RuleSyntaxError(rule.source.file, at, expected, found);
}

/** Whether a match is one on the five fields, in a form that they have. */
function isSayable(match: FieldMatch): boolean {
  switch (match.field) {
    case 'eth_type':
      return exactValue(match) === ETH_IPV4;
    case 'ipv4_src':
    case 'ipv4_dst':
    case 'ip_proto':
      return match.kind === 'mask';
    case 'sport':
    case 'dport':
      return match.kind === 'range' || isOneRange(match.value[0], match.mask[0]);
    default:
      return false;
  }
}

function isOneRange(low: number, mask: number): boolean {
  return rangeAsMask(low, low + PORT_MAX - mask, 16) === mask;
}

function maskOf(rule: Rule, field: FieldName): { value: number; mask: number } {
  const match = matchOf(rule, field);
  if (match === null || match.kind === 'range') return { value: 0, mask: 0 };
  return { value: match.value[0] | 0, mask: match.mask[0] | 0 };
}

function rangeOf(rule: Rule, field: FieldName): { low: number; high: number } {
  const match = matchOf(rule, field);
  if (match === null) return { low: 0, high: PORT_MAX };
  if (match.kind === 'range') return match;
  const [low] = match.value;
  return { low, high: low + PORT_MAX - match.mask[0] };
}
