// Neutral rules as OVS datapath flows, in the form of dpctl/dump-flows with statistics of a flow never used.
//
// The datapath drops what its list does not send: a rule that ends in `pass`, in words or by saying nothing, cannot be said.
// `count` and `checksum` need no word. Datapath flows have no priority: convert.ts refuses overlapping rules before this.

import { CT_STATES, ETH_VLAN, formatCtState } from './names.ts';
import { FIELD_BITS, matchOf } from './rule.ts';
import type { Action, FieldMatch, FieldName, MaskMatch, Rule, TunnelHeader } from './rule.ts';
import { missingPrerequisite } from './draft.ts';
import { formatCtAction } from './ovs-ct.ts';
import { OVS_FRAG, OVS_GROUPS, OVS_SCALARS, OVS_TUNNEL, OVS_TUNNEL_FLAGS } from './ovs-keys.ts';
import type { OvsForm } from './ovs-keys.ts';
import { asRun, Telling } from './telling.ts';
import type { Told } from './telling.ts';
import { exactValue, formatHex, formatIp, formatMacWords, isFull } from './values.ts';

/** The line without its end. */
export function tellOvs(rule: Rule, device = ''): Told {
  const telling = new Telling(rule);
  if (rule.direction === 'egress') telling.refuseAttribute('egress', 'ingress');
  const missing = missingPrerequisite(rule);
  if (missing !== null) telling.refuseField(missing.match, missing.needs);
  const keys = [`recirc_id(${hex(rule.group)})`];
  const scalar = (...names: string[]): void => {
    for (const { key, field, form } of OVS_SCALARS) {
      if (!names.includes(key)) continue;
      const text = partText(telling, field, form);
      if (text !== '') keys.push(`${key}(${text})`);
    }
  };
  scalar('dp_hash', 'skb_priority');
  pushIf(keys, 'tunnel', tunnelKey(telling));
  const port = telling.take('in_port');
  const where = rule.device === '' ? device : rule.device;
  if (port !== null) keys.push(`in_port(${partText(telling, 'in_port', 'number')})`);
  else if (where.includes(' ')) telling.refuseAttribute(where, 'a port instead of a block');
  else if (where !== '') keys.push(`in_port(${where})`);
  scalar('skb_mark');
  const state = telling.take('ct_state');
  if (state?.kind === 'mask') {
    const all = state.mask[0] === 2 ** CT_STATES.length - 1;
    const exact = all && state.value[0] === 0;
    keys.push(`ct_state(${exact ? '0' : formatCtState(state.value[0], state.mask[0])})`);
  }
  scalar('ct_zone', 'ct_mark', 'ct_label');
  pushIf(keys, 'eth', groupText(telling, 'eth'));
  keys.push(...belowEthernet(telling));
  telling.refuseUnsaid();
  const actions = actionsText(telling);
  telling.say(`${keys.join(',')}, packets:0, bytes:0, used:never, actions:${actions}`);
  return telling.end();
}

function pushIf(keys: string[], key: string, inside: string): void {
  if (inside !== '') keys.push(`${key}(${inside})`);
}

/** Types, tags and what is in them. */
function belowEthernet(telling: Telling): string[] {
  const inner: string[] = [];
  const type = telling.take('eth_type');
  if (type !== null) inner.push(`eth_type(${typeText(telling, type)})`);
  inner.push(...networkKeys(telling));
  const second = telling.take('cvlan_tpid');
  const outer = telling.take('vlan_tpid');
  const tagged = second === null ? inner : inTag(telling, second, 'cvlan_id', 'cvlan_pcp', inner);
  return outer === null ? tagged : inTag(telling, outer, 'vlan_id', 'vlan_pcp', tagged);
}

function inTag(
  telling: Telling,
  tpid: FieldMatch,
  id: FieldName,
  pcp: FieldName,
  inner: string[],
): string[] {
  if (exactValue(tpid) < 0) telling.refuseMask(tpid, 'an exact type');
  const parts: string[] = [];
  for (const [name, field] of [
    ['vid', id],
    ['pcp', pcp],
  ] as const) {
    const text = partText(telling, field, 'number');
    if (text !== '') parts.push(`${name}=${text}`);
  }
  return [
    `eth_type(${typeText(telling, tpid)})`,
    `vlan(${parts.join(',')})`,
    `encap(${inner.join(',')})`,
  ];
}

/** Four hexadecimal digits, and the mask where there is one. */
function typeText(telling: Telling, match: FieldMatch): string {
  if (match.kind === 'range') {
    telling.refuseRange(match);
    return '';
  }
  const four = (value: number): string => `0x${value.toString(16).padStart(4, '0')}`;
  const mask = isFull(match.field, match.mask) ? '' : `/${hex(match.mask[0])}`;
  return four(match.value[0]) + mask;
}

function networkKeys(telling: Telling): string[] {
  const { rule } = telling;
  const type = exactValue(matchOf(rule, 'eth_type'));
  const proto = exactValue(matchOf(rule, 'ip_proto'));
  const keys: string[] = [];
  const add = (key: string): void => pushIf(keys, key, groupText(telling, key));
  if (type === 0x8847 || type === 0x8848) add('mpls');
  if (type === 0x0806 || type === 0x8035) add('arp');
  if (type === 0x0800) add('ipv4');
  if (type === 0x86dd) add('ipv6');
  for (const group of OVS_GROUPS) if (group.proto > 0 && group.proto === proto) add(group.key);
  const flags = telling.take('tcp_flags');
  if (flags?.kind === 'mask') keys.push(`tcp_flags(${partText(telling, 'tcp_flags', 'hex')})`);
  return keys;
}

function groupText(telling: Telling, key: string): string {
  const group = OVS_GROUPS.find((one) => one.key === key);
  const parts: string[] = [];
  for (const { name, field, form } of group?.parts ?? []) {
    const text = name === 'frag' ? fragText(telling) : partText(telling, field, form);
    if (text !== '') parts.push(`${name}=${text}`);
  }
  return parts.join(',');
}

/** OVS compares all of frag or nothing. */
function fragText(telling: Telling): string {
  const match = telling.take('ip_frag');
  if (match?.kind !== 'mask') return '';
  const value = match.value[0];
  const whole = match.mask[0] === 3 || (match.mask[0] === 1 && value === 0);
  const name = Object.keys(OVS_FRAG).find((one) => OVS_FRAG[one].value === value);
  if (whole && name !== undefined) return name;
  telling.refuseMask(match, 'no, first or later');
  return '';
}

function partText(telling: Telling, field: FieldName, form: OvsForm): string {
  const match = telling.take(field);
  if (match === null) return '';
  if (match.kind === 'range') {
    const bits = FIELD_BITS[field];
    if (asRun(match, bits) !== null) telling.refuseRange(match, bits);
    return '';
  }
  return maskedText(match, form);
}

function maskedText(match: Pick<MaskMatch, 'field' | 'value' | 'mask'>, form: OvsForm): string {
  const { field, value, mask } = match;
  const full = isFull(field, mask);
  if (form === 'mac') return formatMacWords(value) + (full ? '' : `/${formatMacWords(mask)}`);
  if (form === 'ip') return formatIp(value) + (full ? '' : `/${formatIp(mask)}`);
  const shown = form === 'number' ? String(value[0]) : hexWords(value);
  return shown + (full ? '' : `/${formatHex(mask)}`);
}

function hexWords(words: readonly number[]): string {
  const text = formatHex(words);
  return text === '0x0' ? '0' : text;
}

function hex(value: number): string {
  return hexWords([value]);
}

function tunnelKey(telling: Telling): string {
  const parts: string[] = [];
  for (const { name, field, form } of OVS_TUNNEL) {
    const text = partText(telling, field, form);
    if (text !== '') parts.push(`${name}=${text}`);
  }
  const flags = telling.take('tun_flags');
  if (flags?.kind === 'mask') {
    const signed = OVS_TUNNEL_FLAGS.map((flag, bit) =>
      ((flags.mask[0] >>> bit) & 1) === 0
        ? ''
        : `${((flags.value[0] >>> bit) & 1) === 1 ? '+' : '-'}${flag}`,
    ).join('');
    parts.push(`flags(${signed})`);
  }
  return parts.join(',');
}

/** Actions after which nothing is left to say; a list that ends otherwise would let the packet pass. */
const FINAL = ['drop', 'output', 'trap', 'goto', 'pass', 'continue', 'queue', 'rss', 'vf'];

function actionsText(telling: Telling): string {
  const { actions } = telling.rule;
  const parts: string[] = [];
  const last = actions.at(-1);
  if (last === undefined)
    telling.refuseAttribute('a rule without actions', 'an action (--action drop)');
  else if (!FINAL.includes(last.kind))
    telling.refuseAction({ kind: 'pass', at: last.at }, 'a last action that sends or drops');
  for (let at = 0; at < actions.length; at++) {
    const action = actions[at];
    if (action.kind === 'set_field') {
      const run = sameHeader(telling, actions, at);
      if (run === null) telling.refuseAction(action, 'a field of eth, ip, tcp, udp, sctp or mpls');
      else {
        parts.push(run.text);
        at += run.used - 1;
      }
      continue;
    }
    const text = actionText(action, at === actions.length - 1);
    if (text === null) telling.refuseAction(action, remedyFor(action));
    else if (text !== '') parts.push(text);
  }
  return parts.length === 0 ? 'drop' : parts.join(',');
}

function remedyFor(action: Action): string {
  if (action.kind === 'pass') return 'an output (the datapath drops what it does not send)';
  if (action.kind === 'police') return 'a meter made before, and meter(N)';
  if (action.kind === 'decap') return 'the rule without it: tunnel ports take the header off';
  if (action.kind === 'sample') return 'a rate that is 0.1 % or a multiple, without trunc';
  return '';
}

/** Neighbouring writes to one header as one set. */
function sameHeader(
  telling: Telling,
  actions: readonly Action[],
  from: number,
): { text: string; used: number } | null {
  const type = exactValue(matchOf(telling.rule, 'eth_type'));
  const proto = exactValue(matchOf(telling.rule, 'ip_proto'));
  const first = actions[from];
  if (first.kind !== 'set_field') return null;
  if (first.field === 'skb_priority')
    return { text: `set(skb_priority(${maskedText(first, 'hex')}))`, used: 1 };
  const group = OVS_GROUPS.find(
    (one) =>
      one.parts.some((part) => part.field === first.field && part.name !== 'frag') &&
      (one.proto === 0 || one.proto === proto) &&
      (one.key !== 'ipv6' || type === 0x86dd) &&
      (one.key !== 'ipv4' || type === 0x0800),
  );
  if (group === undefined) return null;
  const parts: string[] = [];
  let used = 0;
  for (; from + used < actions.length; used++) {
    const action = actions[from + used];
    if (action.kind !== 'set_field') break;
    const part = group.parts.find((one) => one.field === action.field);
    if (part === undefined || parts.some((one) => one.startsWith(`${part.name}=`))) break;
    parts.push(`${part.name}=${maskedText(action, part.form)}`);
  }
  return { text: `set(${group.key}(${parts.join(',')}))`, used };
}

/** Text of one action, '' for one that goes without saying, null for one that cannot be said. */
function actionText(action: Action, last: boolean): string | null {
  switch (action.kind) {
    case 'count':
    case 'checksum':
      return '';
    case 'drop':
      return last ? '' : null;
    case 'output':
      return last ? action.port : null;
    case 'mirror':
      return action.port;
    case 'trap':
      return last ? `userspace(${action.detail === '' ? 'pid=0' : action.detail})` : null;
    case 'goto':
      return last ? `recirc(${hex(action.group)})` : null;
    case 'mark': {
      const mask = action.mask === 0xffffffff ? '' : `/${hex(action.mask)}`;
      return `set(skb_mark(${hex(action.value)}${mask}))`;
    }
    case 'dec_ttl':
      return 'dec_ttl(le_1(drop))';
    case 'meter':
      return `meter(${action.id})`;
    case 'push_vlan': {
      const tpid = action.tpid === ETH_VLAN ? '' : `tpid=${hex(action.tpid)},`;
      return `push_vlan(${tpid}vid=${action.id},pcp=${action.pcp})`;
    }
    case 'pop_vlan':
      return 'pop_vlan';
    case 'push_mpls': {
      const { label, tc, ttl, bos, tpid } = action;
      return `push_mpls(label=${label},tc=${tc},ttl=${ttl},bos=${bos},eth_type=${hex(tpid)})`;
    }
    case 'pop_mpls':
      return `pop_mpls(eth_type=${hex(action.tpid)})`;
    case 'encap':
      return tunnelSet(action.tunnel);
    case 'ct':
      return formatCtAction(action);
    case 'sample':
      return action.truncBytes > 0 || 1000 % action.rate !== 0
        ? null
        : `sample(sample=${(100 / action.rate).toFixed(1)}%,actions(psample(group=${action.group})))`;
    default:
      return null;
  }
}

function tunnelSet(tunnel: TunnelHeader): string {
  const six = tunnel.dst.includes(':') ? 'ipv6_' : '';
  const parts: string[] = [];
  if (tunnel.id !== null && tunnel.id > 0) parts.push(`tun_id=0x${tunnel.id.toString(16)}`);
  if (tunnel.src !== '') parts.push(`${six}src=${tunnel.src}`);
  parts.push(`${six}dst=${tunnel.dst}`);
  if (tunnel.tos !== null) parts.push(`tos=${hex(tunnel.tos)}`);
  if (tunnel.ttl !== null) parts.push(`ttl=${tunnel.ttl}`);
  if (tunnel.dstPort !== null) parts.push(`tp_dst=${tunnel.dstPort}`);
  const flags = [
    tunnel.dontFragment ? 'df' : '',
    tunnel.checksum ? 'csum' : '',
    tunnel.id === null ? '' : 'key',
  ].filter((one) => one !== '');
  parts.push(`flags(${flags.join('|')})`);
  return `set(tunnel(${parts.join(',')}))`;
}
