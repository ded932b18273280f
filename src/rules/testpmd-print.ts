// Neutral rules as testpmd `flow create` commands: pattern items in header order, `is` for exact values, `spec` with `mask` or
// `last` otherwise, then the actions.
//
// Names of ports become numbers by their trailing digits. A tunnel is told from the outer UDP port (4789 vxlan, 6081 geneve).
// `checksum` needs no word: writes mend checksums here.

import { refuse } from './refusal.ts';
import { ETH_IPV6, portNumber } from './names.ts';
import { FIELD_BITS, matchOf } from './rule.ts';
import type { Action, FieldMatch, FieldName, Rule } from './rule.ts';
import { Telling } from './telling.ts';
import type { Told } from './telling.ts';
import { TESTPMD_SETS } from './testpmd-actions.ts';
import { FRAGMENT_MASK, ITEMS, OUTER_FIELDS, SECOND_TAG, TUNNEL_ITEMS } from './testpmd-items.ts';
import type { Item } from './testpmd-items.ts';
import { exactValue, formatHex, formatIp, formatMacWords, isFull } from './values.ts';

export function tellTestpmd(rule: Rule, device = '0'): Told {
  const telling = new Telling(rule);
  const where = rule.device === '' ? device : rule.device;
  const port = portNumber(where);
  if (port < 0) telling.refuseAttribute(`device ${where}`, 'a device whose name ends in a number');
  if (rule.residence === 'software') telling.refuseAttribute('skip_hw', 'a rule for hardware');
  telling.say('flow', 'create', String(port), rule.direction);
  if (rule.group > 0) telling.say('group', String(rule.group));
  if (rule.priority < 0 || rule.priority > 0xffffffff)
    telling.refusals.push(refuse('dialect-priority', String(rule.priority)));
  if (rule.priority !== 0 || rule.priorityGiven) telling.say('priority', String(rule.priority));
  telling.say('pattern');
  tellMeta(telling);
  tellTunnel(telling);
  tellHeaders(telling);
  telling.say('end', 'actions');
  for (const action of rule.actions) tellAction(telling, action);
  if (rule.actions.length === 0)
    telling.refuseAttribute('a rule without actions', 'an action (--action drop)');
  telling.say('end');
  telling.refuseUnsaid();
  return telling.end();
}

function tellMeta(telling: Telling): void {
  const port = telling.take('in_port');
  if (port !== null) {
    telling.say('port_id');
    tellSpec(telling, 'id', port);
    telling.say('/');
  }
  const mark = telling.take('skb_mark');
  if (mark !== null) {
    telling.say('mark');
    tellSpec(telling, 'id', mark);
    telling.say('/');
  }
}

/** Outer headers up to the tunnel's item, when any tun_ field is compared. */
function tellTunnel(telling: Telling): void {
  const { rule } = telling;
  const outer = rule.matches.filter((one) => one.field.startsWith('tun_'));
  if (outer.length === 0) return;
  const port = exactValue(matchOf(rule, 'tun_dport'));
  const tunnel = TUNNEL_ITEMS.find((one) => one.port === port);
  if (tunnel === undefined) {
    const remedy = 'tun_dport 4789 (vxlan) or 6081 (geneve), which say what tunnel it is';
    for (const match of outer) telling.refuseField(match, remedy);
    return;
  }
  const six = matchOf(rule, 'tun_ipv6_src') !== null || matchOf(rule, 'tun_ipv6_dst') !== null;
  const four = matchOf(rule, 'tun_ipv4_src') !== null || matchOf(rule, 'tun_ipv4_dst') !== null;
  if (six && four) telling.refuseAttribute('both families in the outer header', 'one of them');
  telling.say('eth', '/');
  for (const name of [six ? 'ipv6' : 'ipv4', 'udp']) {
    const item = ITEMS.find((one) => one.name === name);
    if (item !== undefined) tellItem(telling, item, (field) => OUTER_FIELDS[field] ?? null);
  }
  telling.say(tunnel.name);
  const id = telling.take('tun_id');
  if (id?.kind === 'mask') {
    const wide = id.value[0] > 0 || id.value[1] > 0xffffff;
    const whole = isFull('tun_id', id.mask);
    if (wide || (!whole && (id.mask[0] > 0 || id.mask[1] > 0xffffff)))
      telling.refuseMask(id, 'an id of 24 bits');
    if (whole) telling.say('vni', 'is', String(id.value[1]));
    else telling.say('vni', 'spec', String(id.value[1]), 'vni', 'mask', formatHex(id.mask));
  }
  telling.say('/');
}

/** Items that the rule's types imply, in order; fields that no item on the way has stay unsaid and are refused. */
function tellHeaders(telling: Telling): void {
  const { rule } = telling;
  const identity = (field: FieldName): FieldName => field;
  const outer = telling.take('vlan_tpid');
  const second = telling.take('cvlan_tpid');
  const type = matchOf(rule, 'eth_type');
  const l3 = itemFor('eth_type', exactValue(type), ['mpls', 'arp_eth_ipv4', 'ipv4', 'ipv6']);
  const typeSaid = l3 !== null || type === null;
  if (l3 !== null) telling.take('eth_type');
  const eth = ITEMS[0];
  // A type without an item of its own stands where the type is: in eth, or in the last tag.
  telling.say('eth');
  tellFields(telling, eth, (field) => (field === 'eth_type' ? null : field));
  if (outer !== null) tellTagType(telling, 'type', outer);
  else if (!typeSaid) tellSpec(telling, 'type', telling.take('eth_type'));
  telling.say('/');
  if (outer !== null) tellTag(telling, identity, second, !typeSaid && second === null);
  if (second !== null) tellTag(telling, (field) => SECOND_TAG[field] ?? null, null, !typeSaid);
  if (l3 === null) return;
  const proto = matchOf(rule, 'ip_proto');
  const l4Names = ['tcp', 'udp', 'sctp', 'icmp', 'icmp6', 'esp'];
  const ip = l3.name === 'ipv4' || l3.name === 'ipv6';
  const l4 = ip ? itemFor('ip_proto', exactValue(proto), l4Names) : null;
  if (l4 !== null) telling.take('ip_proto');
  tellItem(telling, l3, (field) => (field === 'ip_proto' && l4 !== null ? null : field));
  if (l4 !== null) tellItem(telling, l4, identity);
}

function itemFor(field: FieldName, value: number, among: string[]): Item | null {
  const says = (item: Item): boolean =>
    item.implies.some((one) => one.field === field && one.value === value);
  return ITEMS.find((item) => among.includes(item.name) && says(item)) ?? null;
}

/** The tag's type is named only where it is not the usual one. */
function tellTagType(telling: Telling, word: string, tpid: FieldMatch): void {
  const value = exactValue(tpid);
  if (value !== 0x8100 && value !== 0x88a8) telling.refuseMask(tpid, '802.1Q or 802.1ad');
  else if (value === 0x88a8) telling.say(word, 'is', '0x88a8');
}

function tellTag(
  telling: Telling,
  rename: (field: FieldName) => FieldName | null,
  inner: FieldMatch | null,
  tellType: boolean,
): void {
  telling.say('vlan');
  const vlan = ITEMS[1];
  tellFields(telling, vlan, (field) => (field === 'eth_type' ? null : rename(field)));
  if (inner !== null) tellTagType(telling, 'inner_type', inner);
  else if (tellType) tellSpec(telling, 'inner_type', telling.take('eth_type'));
  telling.say('/');
}

function tellItem(
  telling: Telling,
  item: Item,
  rename: (field: FieldName) => FieldName | null,
): void {
  telling.say(item.name);
  tellFields(telling, item, rename);
  telling.say('/');
}

function tellFields(
  telling: Telling,
  item: Item,
  rename: (field: FieldName) => FieldName | null,
): void {
  for (const { name, field } of item.fields) {
    const own = rename(field);
    if (own === null) continue;
    const match = telling.take(own);
    if (match !== null) tellSpec(telling, name, match);
  }
}

function tellSpec(telling: Telling, name: string, match: FieldMatch | null): void {
  if (match === null) return;
  const { field } = match;
  if (field === 'ip_frag') {
    if (match.kind === 'mask' && (match.mask[0] & 1) === 1 && (match.value[0] & 1) === 0)
      telling.say(name, 'spec', '0', name, 'mask', `0x${FRAGMENT_MASK.toString(16)}`);
    else telling.refuseField(match, 'whole packets (ip_frag 0/1)');
    return;
  }
  if (match.kind === 'range') {
    telling.say(name, 'spec', String(match.low), name, 'last', String(match.high));
    return;
  }
  const value = valueText(field, match.value);
  if (isFull(field, match.mask)) telling.say(name, 'is', value);
  else telling.say(name, 'spec', value, name, 'mask', maskText(field, match.mask));
}

function isAddress(field: FieldName): boolean {
  return /ipv[46]_|^arp_.ip$/.test(field);
}

function valueText(field: FieldName, words: readonly number[]): string {
  if (FIELD_BITS[field] === 48) return formatMacWords(words);
  if (isAddress(field)) return formatIp(words);
  return /eth_type|flags/.test(field) ? formatHex(words) : String(words[words.length - 1]);
}

function maskText(field: FieldName, words: readonly number[]): string {
  if (FIELD_BITS[field] === 48) return formatMacWords(words);
  return isAddress(field) ? formatIp(words) : formatHex(words);
}

function tellAction(telling: Telling, action: Action): void {
  const words = actionWords(telling, action);
  if (words === null) telling.refuseAction(action, remedyFor(action));
  else if (words.length > 0) telling.say(...words, '/');
}

function remedyFor(action: Action): string {
  if (action.kind === 'encap')
    return 'a template set up before (set vxlan ...), which a rule cannot hold';
  if (action.kind === 'police') return 'a meter made before (create port meter) and meter mtr_id';
  if (action.kind === 'mirror') return 'a sample action with a list set up before';
  if (action.kind === 'output') return 'a port whose name ends in a number';
  return '';
}

function actionWords(telling: Telling, action: Action): string[] | null {
  switch (action.kind) {
    case 'drop':
    case 'count':
    case 'dec_ttl':
      return [action.kind];
    case 'pass':
      return ['rss'];
    case 'continue':
      return ['passthru'];
    case 'checksum':
      return [];
    case 'output': {
      const port = portNumber(action.port);
      return port < 0 ? null : ['port_id', 'id', String(port)];
    }
    case 'queue':
      return ['queue', 'index', String(action.index)];
    case 'vf':
      return action.queue > 0 ? null : ['vf', 'id', String(action.id)];
    case 'rss':
      return ['rss', 'queues', ...action.queues.map(String), 'end'];
    case 'mark':
      return action.mask === 0xffffffff ? ['mark', 'id', String(action.value)] : null;
    case 'meter':
      return ['meter', 'mtr_id', String(action.id)];
    case 'goto':
      return ['jump', 'group', String(action.group)];
    case 'pop_vlan':
      return ['of_pop_vlan'];
    case 'pop_mpls':
      return ['of_pop_mpls', 'ethertype', `0x${action.tpid.toString(16)}`];
    case 'decap':
      return exactValue(matchOf(telling.rule, 'tun_dport')) === 4789 ? ['vxlan_decap'] : null;
    case 'push_vlan': {
      const push = ['of_push_vlan', 'ethertype', `0x${action.tpid.toString(16)}`];
      const vid = ['/', 'of_set_vlan_vid', 'vlan_vid', String(action.id)];
      return [...push, ...vid, '/', 'of_set_vlan_pcp', 'vlan_pcp', String(action.pcp)];
    }
    case 'set_field':
      return setWords(telling, action);
    default:
      return null;
  }
}

function setWords(telling: Telling, action: Action & { kind: 'set_field' }): string[] | null {
  const { field, value, mask } = action;
  if (field === 'ip_tos' && mask[0] === 0xfc) {
    const six = exactValue(matchOf(telling.rule, 'eth_type')) === ETH_IPV6;
    return [six ? 'set_ipv6_dscp' : 'set_ipv4_dscp', 'dscp_value', String(value[0] >>> 2)];
  }
  const set = TESTPMD_SETS.find((one) => one.field === field);
  if (set === undefined || !isFull(field, mask)) return null;
  return [set.action, set.word, valueText(field, value)];
}
