// What tc(8) prints of filters and their actions, as text and as JSON (iproute2 6.1.0; reference/offload/offsim-flower and
// netdevsim-tc). One description of a filter serves both: a tree of JSON values, and lines.

import type { FieldMatch, FieldName } from '../../rules/rule.ts';
import { formatIp, formatMacWords } from '../../rules/values.ts';
import { prefixLength } from '../../rules/rule.ts';
import type { TcFilter, TcProto } from '../../stack/tc/block.ts';
import { actionNode, actionText } from './tc-show-actions.ts';
import type { JsonNode } from './json-text.ts';
import { labelHex } from './tc-show-common.ts';
import type { ShowOptions } from './tc-show-common.ts';

const PROTOCOLS: Record<number, string> = {
  3: 'all',
  0x0800: 'ip',
  0x0806: 'arp',
  0x86dd: 'ipv6',
  0x8100: '802.1Q',
  0x88a8: '802.1ad',
  0x8847: 'mpls_uc',
  0x8848: 'mpls_mc',
};

/** iproute2's name of a link-layer protocol, `[34525]` for one without. */
export function protocolName(protocol: number): string {
  return PROTOCOLS[protocol] ?? `[${protocol}]`;
}

/** Lines of a filter below its head. */
export function filterText(proto: TcProto, filter: TcFilter, options: ShowOptions): string {
  let text = '';
  if (proto.classifier === 'flower') {
    for (const [name, value] of keysOf(filter, proto)) text += `\n  ${name} ${keyText(value)}`;
    if (filter.skipHw) text += '\n  skip_hw';
    if (filter.skipSw) text += '\n  skip_sw';
    text += hardwareText(filter);
  } else {
    if (filter.skipHw) text += '\n  skip_hw ';
    if (filter.skipSw) text += '\n  skip_sw ';
    text += hardwareText(filter);
    if (options.stats) text += ` (rule hit ${filter.hits})`;
  }
  filter.actions.forEach((action, i) => {
    text += `\n\taction order ${i + 1}: ${actionText(action, options)}`;
  });
  return `${text}\n`;
}

function hardwareText(filter: TcFilter): string {
  return filter.inHwCount > 0 ? `\n  in_hw in_hw_count ${filter.inHwCount}` : '\n  not_in_hw';
}

/** `options` of a filter's JSON. */
export function filterNode(proto: TcProto, filter: TcFilter, options: ShowOptions): JsonNode {
  const fields: [string, JsonNode][] = [['handle', filter.handle]];
  if (proto.classifier === 'flower')
    fields.push(['keys', { fields: keysOf(filter, proto).flatMap(keyFields) }]);
  if (filter.skipHw) fields.push(['skip_hw', true]);
  if (filter.skipSw) fields.push(['skip_sw', true]);
  if (filter.inHwCount > 0) fields.push(['in_hw', true], ['in_hw_count', filter.inHwCount]);
  else fields.push(['not_in_hw', true]);
  if (proto.classifier === 'matchall' && options.stats) fields.push(['rule_hit', filter.hits]);
  const actions = filter.actions.map((action, i) => actionNode(action, i + 1, options));
  if (actions.length > 0) fields.push(['actions', { items: actions }]);
  return { fields };
}

/** A key's value: text alike in both forms, or with forms of its own. */
type KeyValue =
  | { same: string }
  | { number: number; text?: string }
  | { number: number; text: string; mask: string }
  | { low: number; high: number }
  | { flags: [string, boolean][] };

function keyText(value: KeyValue): string {
  if ('same' in value) return value.same;
  if ('low' in value) return `${value.low}-${value.high}`;
  if ('flags' in value) return value.flags.map(([flag, on]) => (on ? flag : `no${flag}`)).join('/');
  return value.text ?? String(value.number);
}

function keyFields([name, value]: [string, KeyValue]): [string, JsonNode][] {
  if ('same' in value) return [[name, value.same]];
  if ('low' in value) {
    const range: [string, JsonNode][] = [
      ['start', value.low],
      ['end', value.high],
    ];
    return [[name, { fields: range }]];
  }
  if ('flags' in value) return [[name, { fields: value.flags }]];
  const fields: [string, JsonNode][] = [[name, value.number]];
  if ('mask' in value) fields.push([`${name}_mask`, value.mask]);
  return fields;
}

/** The keys in the order of flower_print_opt. */
function keysOf(filter: TcFilter, proto: TcProto): [string, KeyValue][] {
  const given = new Map(filter.keys.map((key) => [key.field, key]));
  const found: [string, KeyValue][] = [];
  const push = (name: string, value: KeyValue | null): void => {
    if (value !== null) found.push([name, value]);
  };
  const from = (field: FieldName, make: (key: FieldMatch) => KeyValue | null): KeyValue | null => {
    const key = given.get(field);
    return key === undefined ? null : make(key);
  };
  for (const tag of ['vlan', 'cvlan'] as const) {
    push(`${tag}_id`, from(`${tag}_id`, plainNumber));
    push(`${tag}_prio`, from(`${tag}_pcp`, plainNumber));
    if (!given.has(`${tag}_tpid`)) continue;
    const inner = tag === 'vlan' && given.has('cvlan_tpid') ? 'cvlan_tpid' : 'eth_type';
    push(`${tag}_ethtype`, from(inner, etherTypeText));
  }
  push('dst_mac', from('eth_dst', macText));
  push('src_mac', from('eth_src', macText));
  push('eth_type', from('eth_type', etherTypeText));
  push('ip_proto', from('ip_proto', protoText));
  push('ip_tos', from('ip_tos', byteMask));
  push('ip_ttl', from('ip_ttl', byteMask));
  push('mpls_label', from('mpls_label', plainNumber));
  for (const name of ['mpls_tc', 'mpls_bos', 'mpls_ttl'] as const)
    push(name, from(name, numberAsText));
  for (const family of ['ipv4', 'ipv6'] as const) {
    push('dst_ip', from(`${family}_dst`, ipText));
    push('src_ip', from(`${family}_src`, ipText));
  }
  push('dst_port', from('dport', portValue));
  push('src_port', from('sport', portValue));
  push('tcp_flags', from('tcp_flags', flagsText));
  push('icmp_type', from('icmp_type', numberMaskText));
  push('icmp_code', from('icmp_code', numberMaskText));
  push('arp_sip', from('arp_sip', ipText));
  push('arp_tip', from('arp_tip', ipText));
  push('arp_op', from('arp_op', arpOpText));
  push('arp_sha', from('arp_sha', macText));
  push('arp_tha', from('arp_tha', macText));
  for (const family of ['ipv4', 'ipv6'] as const) {
    push('enc_dst_ip', from(`tun_${family}_dst`, ipText));
    push('enc_src_ip', from(`tun_${family}_src`, ipText));
  }
  push('enc_key_id', from('tun_id', lastWord));
  push('enc_dst_port', from('tun_dport', plainNumber));
  push('enc_src_port', from('tun_sport', plainNumber));
  push('enc_tos', from('tun_tos', byteMask));
  push('enc_ttl', from('tun_ttl', byteMask));
  push('ip_flags', from('ip_frag', fragFlags));
  push('ct_state', from('ct_state', ctStateText));
  push('ct_zone', from('ct_zone', zoneValue));
  push('ct_mark', from('ct_mark', markValue));
  push('ct_label', from('ct_label', labelText));
  void proto;
  return found;
}

function wordsOf(key: FieldMatch): { value: readonly number[]; mask: readonly number[] } {
  return key.kind === 'mask' ? key : { value: [key.low], mask: [0xffff] };
}

function plainNumber(key: FieldMatch): KeyValue {
  return { number: wordsOf(key).value[0] };
}

function lastWord(key: FieldMatch): KeyValue {
  return { number: wordsOf(key).value.at(-1) ?? 0 };
}

function numberAsText(key: FieldMatch): KeyValue {
  return { same: String(wordsOf(key).value[0]) };
}

const ETHER_TYPES: Record<number, string> = {
  0x0800: 'ipv4',
  0x86dd: 'ipv6',
  0x0806: 'arp',
  0x8035: 'rarp',
};

function etherTypeText(key: FieldMatch): KeyValue {
  const type = wordsOf(key).value[0];
  return { same: ETHER_TYPES[type] ?? type.toString(16).padStart(4, '0') };
}

const IP_PROTOS: Record<number, string> = {
  1: 'icmp',
  6: 'tcp',
  17: 'udp',
  58: 'icmpv6',
  132: 'sctp',
};

function protoText(key: FieldMatch): KeyValue {
  const proto = wordsOf(key).value[0];
  return { same: IP_PROTOS[proto] ?? proto.toString(16).padStart(2, '0') };
}

function macText(key: FieldMatch): KeyValue {
  const { value, mask } = wordsOf(key);
  const address = formatMacWords(value);
  const length = prefixLength(key.field, mask);
  if (length === 48) return { same: address };
  return { same: length >= 0 ? `${address}/${length}` : `${address}/${formatMacWords(mask)}` };
}

function ipText(key: FieldMatch): KeyValue {
  const { value, mask } = wordsOf(key);
  const address = formatIp(value);
  const length = prefixLength(key.field, mask);
  if (length === value.length * 32) return { same: address };
  return { same: length >= 0 ? `${address}/${length}` : `${address}/${formatIp(mask)}` };
}

/** `16/0xfc`; as JSON the number and its mask in hexadecimal. */
function byteMask(key: FieldMatch): KeyValue {
  const { value, mask } = wordsOf(key);
  if (mask[0] === 0xff) return { number: value[0] };
  const hex = mask[0].toString(16);
  return { number: value[0], text: `${value[0]}/0x${hex}`, mask: hex };
}

function portValue(key: FieldMatch): KeyValue {
  if (key.kind === 'range' && key.low !== key.high) return { low: key.low, high: key.high };
  return { number: key.kind === 'range' ? key.low : key.value[0] };
}

function flagsText(key: FieldMatch): KeyValue {
  const { value, mask } = wordsOf(key);
  const head = `0x${value[0].toString(16)}`;
  return { same: mask[0] === 0xfff ? head : `${head}/${mask[0].toString(16)}` };
}

function numberMaskText(key: FieldMatch): KeyValue {
  const { value, mask } = wordsOf(key);
  return { same: mask[0] === 0xff ? `${value[0]}` : `${value[0]}/${mask[0]}` };
}

function arpOpText(key: FieldMatch): KeyValue {
  const { value } = wordsOf(key);
  return { same: ['', 'request', 'reply'][value[0]] || String(value[0]) };
}

function fragFlags(key: FieldMatch): KeyValue {
  const { value, mask } = wordsOf(key);
  const flags: [string, boolean][] = [];
  if ((mask[0] & 1) !== 0) flags.push(['frag', (value[0] & 1) !== 0]);
  if ((mask[0] & 2) !== 0) flags.push(['firstfrag', (value[0] & 2) !== 0]);
  return { flags };
}

/** tc's own order of states; bits as in rules: new, est, rel, rpl, inv, trk. */
const CT_STATES: readonly (readonly [name: string, bit: number])[] = [
  ['trk', 5],
  ['new', 0],
  ['est', 1],
  ['rel', 2],
  ['inv', 4],
  ['rpl', 3],
];

function ctStateText(key: FieldMatch): KeyValue {
  const { value, mask } = wordsOf(key);
  const states = CT_STATES.filter(([, bit]) => ((mask[0] >>> bit) & 1) === 1);
  const sign = (bit: number): string => (((value[0] >>> bit) & 1) === 1 ? '+' : '-');
  return { same: states.map(([name, bit]) => `${sign(bit)}${name}`).join('') };
}

function zoneValue(key: FieldMatch): KeyValue {
  const { value, mask } = wordsOf(key);
  if (mask[0] === 0xffff) return { number: value[0] };
  const hex = mask[0].toString(16);
  return { number: value[0], text: `${value[0]}/0x${hex}`, mask: hex };
}

function markValue(key: FieldMatch): KeyValue {
  const { value, mask } = wordsOf(key);
  if (mask[0] === 0xffffffff) return { number: value[0] };
  const hex = mask[0].toString(16);
  return { number: value[0], text: `${value[0]}/0x${hex}`, mask: hex };
}

function labelText(key: FieldMatch): KeyValue {
  const { value, mask } = wordsOf(key);
  const isFull = mask.every((word) => word === 0xffffffff);
  return { same: isFull ? labelHex(value) : `${labelHex(value)}/${labelHex(mask)}` };
}
