// A flow_rule's match as key words of the staged tables (hw/switch/phv.ts), or the field that they cannot compare.
//
// Whether a table's template has the fields is the device's to say. What is decided here: a filter is about packets of
// its port; one with an EtherType and no VLAN key is about untagged ones (as flower is), with one VLAN key about packets
// of one tag. Port ranges go to range registers if the device has any, else they are expanded to prefixes (and so take
// several entries: all go in or none).

import {
  FLOW_DISSECTOR_KEY_IPV4_ADDRS,
  FLOW_DISSECTOR_KEY_IPV6_ADDRS,
  flow_rule_match_key,
} from '../flow-rule.ts';
import type { FlowKeyAddrs, FlowKeyVlan, FlowMatch, FlowRule, KeyMask } from '../flow-rule.ts';
import * as P from '../../hw/switch/phv.ts';
import { expandToPrefixes } from '../../hw/table/ranges.ts';

/** Inclusive bounds of a port. */
export type PortBounds = readonly [low: number, high: number];

/** One entry's key. */
export interface EntryKey {
  value: Uint32Array;
  mask: Uint32Array;
}

export interface KeyPlan {
  /** One for each combination of expanded ranges. */
  keys: EntryKey[];
  /** Bounds for range registers, null for none. */
  sport: PortBounds | null;
  dport: PortBounds | null;
}

const FULL = 0xffff;
const VLAN_TPID = 0x8100;

/** The name of the field that cannot be compared, or the plan. */
export function planKey(
  rule: FlowRule,
  portIndex: number,
  ifindex: number,
  rangeRegisters: number,
): KeyPlan | string {
  const { match } = rule;
  const stranger = strangerOf(match, ifindex);
  if (stranger !== '') return stranger;
  const key: EntryKey = {
    value: new Uint32Array(P.PHV_WORDS),
    mask: new Uint32Array(P.PHV_WORDS),
  };
  put(key, 'in_port', portIndex, 0xff);
  const { basic, control } = match;
  put(key, 'eth_type', basic.key.nProto, basic.mask.nProto);
  put(key, 'ip_proto', basic.key.ipProto, basic.mask.ipProto);
  put(key, 'ip_frag', control.key.flags & 3, control.mask.flags & 3);
  putTags(key, match);
  putAddresses(key, rule);
  if (match.ip !== null) {
    put(key, 'ip_tos', match.ip.key.tos, match.ip.mask.tos);
    put(key, 'ip_ttl', match.ip.key.ttl, match.ip.mask.ttl);
  }
  if (match.ports !== null) {
    put(key, 'sport', match.ports.key.src, match.ports.mask.src);
    put(key, 'dport', match.ports.key.dst, match.ports.mask.dst);
  }
  if (match.tcp !== null) put(key, 'tcp_flags', match.tcp.key.flags, match.tcp.mask.flags);
  if (match.icmp !== null) {
    put(key, 'icmp_type', match.icmp.key.type, match.icmp.mask.type);
    put(key, 'icmp_code', match.icmp.key.code, match.icmp.mask.code);
  }
  return withRanges(key, match, rangeRegisters);
}

/** The first key of a rule that no table here compares; '' for none. */
function strangerOf(match: FlowMatch, ifindex: number): string {
  if (match.arp !== null) return 'arp';
  if (match.mpls !== null) return 'mpls';
  if (match.ct !== null) return 'ct_state';
  if (match.encControl !== null || match.encKeyid !== null || match.encIpv4 !== null)
    return 'tunnel key';
  if (match.encIpv6 !== null || match.encPorts !== null || match.encIp !== null)
    return 'tunnel key';
  const meta = match.meta;
  if (meta !== null && meta.mask.ingressIfindex !== 0 && meta.key.ingressIfindex !== ifindex)
    return 'indev';
  return '';
}

function put(key: EntryKey, name: P.PhvFieldName, value: number, mask: number): void {
  const { word, shift } = P.PHV_FIELDS[name];
  key.mask[word] = key.mask[word] | (mask << shift);
  key.value[word] = key.value[word] | ((value & mask) << shift);
}

function putTags(key: EntryKey, { vlan, cvlan, basic }: FlowMatch): void {
  if (vlan !== null) {
    putTag(key, vlan, 'vlan_tpid', 'vlan_id', 'vlan_pcp');
    put(key, 'eth_type', vlan.key.ethType, cvlan === null ? vlan.mask.ethType : 0);
  }
  if (cvlan !== null) {
    putTag(key, cvlan, 'cvlan_tpid', 'cvlan_id', 'cvlan_pcp');
    put(key, 'eth_type', cvlan.key.ethType, cvlan.mask.ethType);
    return;
  }
  // The EtherType is what follows the tags: without saying so, packets with more tags would match, too.
  const hasType = basic.mask.nProto !== 0 || (vlan !== null && vlan.mask.ethType !== 0);
  if (hasType) put(key, vlan === null ? 'vlan_tpid' : 'cvlan_tpid', 0, FULL);
}

function putTag(
  key: EntryKey,
  { key: tag, mask }: KeyMask<FlowKeyVlan>,
  tpid: 'vlan_tpid' | 'cvlan_tpid',
  id: 'vlan_id' | 'cvlan_id',
  pcp: 'vlan_pcp' | 'cvlan_pcp',
): void {
  put(key, tpid, mask.tpid === 0 ? VLAN_TPID : tag.tpid, FULL);
  put(key, id, tag.id, mask.id);
  put(key, pcp, tag.priority, mask.priority);
}

function putAddresses(key: EntryKey, rule: FlowRule): void {
  const { ethAddrs, ipv4, ipv6, control } = rule.match;
  if (ethAddrs !== null) {
    putMac(key, 'eth_dst_hi', 'eth_dst_lo', ethAddrs.key.dst, ethAddrs.mask.dst);
    putMac(key, 'eth_src_hi', 'eth_src_lo', ethAddrs.key.src, ethAddrs.mask.src);
  }
  // Both keys may be set for one of them: the control key says which is meant.
  const { addrType } = control.key;
  const is = (which: number): boolean =>
    flow_rule_match_key(rule, which) && (addrType === which || addrType === 0);
  if (ipv4 !== null && is(FLOW_DISSECTOR_KEY_IPV4_ADDRS)) putIp(key, ipv4, 1);
  else if (ipv6 !== null && is(FLOW_DISSECTOR_KEY_IPV6_ADDRS)) putIp(key, ipv6, 4);
}

function putMac(
  key: EntryKey,
  high: P.PhvFieldName,
  low: P.PhvFieldName,
  mac: Uint8Array,
  mask: Uint8Array,
): void {
  put(key, high, (mac[0] << 8) | mac[1], (mask[0] << 8) | mask[1]);
  put(key, low, word(mac, 2), word(mask, 2));
}

function putIp(key: EntryKey, { key: ip, mask }: KeyMask<FlowKeyAddrs>, words: number): void {
  for (let i = 0; i < words; i++) {
    key.mask[P.P_SRC + i] = word(mask.src, 4 * i);
    key.value[P.P_SRC + i] = word(ip.src, 4 * i) & word(mask.src, 4 * i);
    key.mask[P.P_DST + i] = word(mask.dst, 4 * i);
    key.value[P.P_DST + i] = word(ip.dst, 4 * i) & word(mask.dst, 4 * i);
  }
}

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
}

function withRanges(key: EntryKey, { portsRange }: FlowMatch, registers: number): KeyPlan {
  const plan: KeyPlan = { keys: [key], sport: null, dport: null };
  if (portsRange === null) return plan;
  const { key: bounds, mask } = portsRange;
  const sport: PortBounds | null = mask.srcMin === 0 ? null : [bounds.srcMin, bounds.srcMax];
  const dport: PortBounds | null = mask.dstMin === 0 ? null : [bounds.dstMin, bounds.dstMax];
  if (registers > 0) return { ...plan, sport, dport };
  if (sport !== null) plan.keys = expand(plan.keys, 'sport', sport);
  if (dport !== null) plan.keys = expand(plan.keys, 'dport', dport);
  return plan;
}

function expand(
  keys: readonly EntryKey[],
  field: 'sport' | 'dport',
  [lo, hi]: PortBounds,
): EntryKey[] {
  const pieces = expandToPrefixes({ lo, hi, widthBits: 16 });
  return keys.flatMap((key) =>
    pieces.map((piece) => {
      const copy = { value: key.value.slice(), mask: key.mask.slice() };
      put(copy, field, piece.value, piece.mask);
      return copy;
    }),
  );
}
