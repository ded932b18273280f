// Neutral rules as `ethtool -N` lines. Masks are printed as don't-care masks. One final action: a queue, drop, or a virtual
// function; everything else (marks, counts, writes, outputs) has no word in ethtool and is refused.

import { refuse } from './refusal.ts';
import { ETHTOOL_OPTIONS, FLOW_TYPES, takesOption } from './ethtool.ts';
import type { EthtoolOption, FlowType } from './ethtool.ts';
import { ETH_VLAN, portName } from './names.ts';
import { FIELD_BITS, matchOf } from './rule.ts';
import type { FieldMatch, FieldName, MaskMatch, Rule } from './rule.ts';
import { asRun, Telling } from './telling.ts';
import type { Told } from './telling.ts';
import { complement, exactValue, formatHex, formatIp, formatMacWords, isFull } from './values.ts';

export function tellEthtool(rule: Rule, device = 'p0'): Told {
  const telling = new Telling(rule);
  const where = rule.device === '' ? device : rule.device;
  if (where.startsWith('block ')) telling.refuseAttribute(where, 'a device instead of a block');
  if (rule.direction === 'egress') telling.refuseAttribute('egress', 'ingress');
  if (rule.group > 0) telling.refuseAttribute(`group ${rule.group}`, 'group 0');
  if (rule.residence === 'software') telling.refuseAttribute('skip_hw', 'a rule for hardware');
  const type = flowType(telling);
  telling.say('ethtool', '-N', portName(where), 'flow-type', type.name);
  for (const option of ETHTOOL_OPTIONS) {
    if (!takesOption(type, option) || option.option === 'dst-mac') continue;
    if (option.field === 'vlan_tpid' && tagImplied(rule)) {
      telling.take('vlan_tpid');
      continue;
    }
    tellOption(telling, option);
  }
  tellTci(telling);
  if (type.ethType !== 0) tellOption(telling, { option: 'dst-mac', field: 'eth_dst', on: 'any' });
  telling.refuseUnsaid();
  tellAction(telling);
  if (rule.priorityGiven || rule.source.dialect !== 'ethtool') {
    if (rule.priority < 0 || rule.priority > 0xffffffff)
      telling.refusals.push(refuse('dialect-priority', String(rule.priority)));
    telling.say('loc', String(rule.priority));
  }
  return telling.end();
}

/** The flow type that says EtherType and protocol; `ether` or ip4/ip6 with options where none does. */
function flowType(telling: Telling): FlowType {
  const ethType = exactValue(matchOf(telling.rule, 'eth_type'));
  const proto = exactValue(matchOf(telling.rule, 'ip_proto'));
  const family = FLOW_TYPES.filter((one) => one.ethType === ethType);
  if (ethType <= 0 || family.length === 0) return FLOW_TYPES[0];
  telling.take('eth_type');
  const own = family.find((one) => one.proto === proto && proto >= 0);
  if (own !== undefined) {
    telling.take('ip_proto');
    return own;
  }
  return family[family.length - 1];
}

/** A compared tag control word implies 802.1Q. */
function tagImplied(rule: Rule): boolean {
  const tci = (['vlan_id', 'vlan_dei', 'vlan_pcp'] as const).some(
    (field) => matchOf(rule, field)?.kind === 'mask',
  );
  return tci && exactValue(matchOf(rule, 'vlan_tpid')) === ETH_VLAN;
}

function tellOption(telling: Telling, { option, field }: EthtoolOption): void {
  const match = telling.take(field);
  if (match === null) return;
  const masked = asMask(telling, match);
  if (masked === null) return;
  telling.say(option, valueText(field, masked.value));
  if (!isFull(field, masked.mask))
    telling.say('m', valueText(field, complement(field, masked.mask)));
}

function asMask(telling: Telling, match: FieldMatch): MaskMatch | null {
  if (match.kind === 'mask') return match;
  const run = asRun(match, FIELD_BITS[match.field]);
  if (run !== null) telling.refuseRange(match, FIELD_BITS[match.field]);
  return null;
}

function valueText(field: FieldName, words: readonly number[]): string {
  if (FIELD_BITS[field] === 48) return formatMacWords(words);
  if (field.startsWith('ipv')) return formatIp(words);
  if (field === 'sport' || field === 'dport' || field === 'ip_proto') return String(words[0]);
  return formatHex(words);
}

function tellTci(telling: Telling): void {
  let value = 0;
  let mask = 0;
  for (const [field, shift] of [
    ['vlan_id', 0],
    ['vlan_dei', 12],
    ['vlan_pcp', 13],
  ] as const) {
    const match = telling.take(field);
    if (match === null) continue;
    const masked = asMask(telling, match);
    if (masked === null) continue;
    value |= masked.value[0] << shift;
    mask |= masked.mask[0] << shift;
  }
  if (mask === 0) return;
  telling.say('vlan', `0x${value.toString(16)}`);
  if (mask !== 0xffff) telling.say('m', `0x${(~mask & 0xffff).toString(16)}`);
}

function tellAction(telling: Telling): void {
  const { actions } = telling.rule;
  let said = false;
  for (const action of actions) {
    if (said) telling.refuseAction(action, 'one action only');
    else if (action.kind === 'drop') telling.say('action', '-1');
    else if (action.kind === 'queue') telling.say('action', String(action.index));
    else if (action.kind === 'vf')
      telling.say('vf', String(action.id), 'queue', String(Math.max(action.queue, 0)));
    else telling.refuseAction(action, 'queue, drop or vf');
    said ||= ['drop', 'queue', 'vf'].includes(action.kind);
  }
  if (actions.length === 0)
    telling.refuseAttribute('a rule without actions', 'an action (--action drop)');
}
