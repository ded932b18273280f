// Neutral rules as ClassBench lines. The format knows five fields of IPv4 and nothing else: other fields, actions and
// addresses that are no prefixes are refused by name. Order in the file is the only priority: print rules in their order of
// precedence. The protocol's mask is written as it is; generators use 0x00 and 0xFF.

import { ETH_IPV4 } from './names.ts';
import { FIELD_BITS, prefixLength, rangeAsMask } from './rule.ts';
import type { FieldMatch, FieldName, Rule } from './rule.ts';
import { Telling } from './telling.ts';
import type { Told } from './telling.ts';
import { exactValue, formatIp } from './values.ts';

/** The line without its end. */
export function tellClassbench(rule: Rule): Told {
  const telling = new Telling(rule);
  const type = telling.take('eth_type');
  if (type !== null && exactValue(type) !== ETH_IPV4) telling.refuseField(type, 'eth_type ip');
  telling.say(`@${prefix(telling, 'ipv4_src')}`, prefix(telling, 'ipv4_dst'));
  telling.say(range(telling, 'sport'), range(telling, 'dport'));
  telling.say(protocol(telling), '0x0000/0x0000');
  telling.refuseUnsaid();
  for (const action of rule.actions) telling.refuseAction(action, 'no actions (--ignore-actions)');
  if (rule.group > 0) telling.refuseAttribute(`group ${rule.group}`, 'all rules in one group');
  return telling.end('\t');
}

function prefix(telling: Telling, field: FieldName): string {
  const match = telling.take(field);
  if (match === null) return '0.0.0.0/0';
  if (match.kind === 'range') {
    telling.refuseRange(match, FIELD_BITS[field]);
    return '';
  }
  const length = prefixLength(field, match.mask);
  if (length < 0) telling.refuseMask(match, 'a prefix');
  return `${formatIp(match.value)}/${length}`;
}

function range(telling: Telling, field: FieldName): string {
  const match = telling.take(field);
  if (match === null) return '0 : 65535';
  if (match.kind === 'range') return `${match.low} : ${match.high}`;
  const [low] = match.value;
  const high = low + (0xffff - match.mask[0]);
  if (!isOneRange(match)) telling.refuseMask(match, 'a range or a prefix');
  return `${low} : ${high}`;
}

/** Whether the values that a mask lets through are one range. */
function isOneRange(match: FieldMatch & { kind: 'mask' }): boolean {
  const [low] = match.value;
  return rangeAsMask(low, low + (0xffff - match.mask[0]), 16) === match.mask[0];
}

function protocol(telling: Telling): string {
  const match = telling.take('ip_proto');
  if (match === null) return '0x00/0x00';
  if (match.kind === 'range') {
    telling.refuseRange(match, 8);
    return '';
  }
  // As the generators write it: value in small letters, mask in capitals.
  return `0x${hex2(match.value[0])}/0x${hex2(match.mask[0]).toUpperCase()}`;
}

function hex2(value: number): string {
  return value.toString(16).padStart(2, '0');
}
