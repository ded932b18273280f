// Flow keys as text, in the syntax that ovs-dpctl and the OVS logs use for datapath keys (lib/odp-util.c), exact fields only:
//
//   in_port(1),eth(src=..,dst=..),eth_type(0x0800),ipv4(src=..,..,frag=no),tcp(src=..,dst=..),tcp_flags(psh|ack)
//
// Which attributes a key has follows the kernel (__ovs_nla_put_key): none for 802.2's type, no ports for later fragments,
// nd() for every ICMPv6 type 135 and 136. Left out: metadata that extraction never sets, masks.

import { formatAddress, formatMac } from '../ip/address.ts';
import type { FlowKey } from './flow-key.ts';
import {
  ETH_P_802_2,
  ETH_P_ARP,
  ETH_P_IP,
  ETH_P_IPV6,
  ETH_P_MPLS_MC,
  ETH_P_MPLS_UC,
  ETH_P_RARP,
  FRAG_FIRST,
  FRAG_LATER,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_SCTP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  isVlanType,
  VLAN_TAG_PRESENT,
} from './flow-key.ts';
import { TCP_FLAG_NAMES } from './odp-fields.ts';

/** One attribute of a key: name, and its fields by name, or its only value. */
export type KeyAttribute = [name: string, value: KeyValue];
/** Fields of an attribute (values already as the text shows them), a single value, or nested attributes. */
export type KeyValue = string | Record<string, string> | KeyAttribute[];

/** The key as text. */
export function formatFlowKey(key: FlowKey): string {
  return keyAttributes(key).map(formatAttribute).join(',');
}

/** The attributes of `key` in their canonical order. */
export function keyAttributes(key: FlowKey): KeyAttribute[] {
  const attributes: KeyAttribute[] = [
    ['in_port', String(key.inPort)],
    ['eth', { src: formatMac(key.ethSrc), dst: formatMac(key.ethDst) }],
  ];
  const inner = taggedAttributes(key, attributes);
  if (key.ethType === ETH_P_802_2 || inner === null) return attributes;
  inner.push(['eth_type', hex4(key.ethType)]);
  networkAttributes(key, inner);
  return attributes;
}

/** Adds the tags; returns the list that the rest belongs into, null when a tag without content ends the key. */
function taggedAttributes(key: FlowKey, attributes: KeyAttribute[]): KeyAttribute[] | null {
  const bareTag = isVlanType(key.ethType);
  if (key.vlanTci === 0 && !bareTag) return attributes;
  const encap = pushTag(attributes, key.vlanTpid, key.vlanTci);
  if (key.vlanTci === 0) return null;
  if (key.cvlanTci === 0 && !bareTag) return encap;
  const inner = pushTag(encap, key.cvlanTpid, key.cvlanTci);
  return key.cvlanTci === 0 ? null : inner;
}

/** Adds one tag and its encap(); returns the list inside. */
function pushTag(attributes: KeyAttribute[], tpid: number, tci: number): KeyAttribute[] {
  const fields: Record<string, string> = { vid: String(tci & 0xfff), pcp: String(tci >>> 13) };
  if ((tci & VLAN_TAG_PRESENT) === 0) fields['cfi'] = '0';
  const inside: KeyAttribute[] = [];
  attributes.push(['eth_type', hex4(tpid)], ['vlan', fields], ['encap', inside]);
  return inside;
}

function networkAttributes(key: FlowKey, attributes: KeyAttribute[]): void {
  switch (key.ethType) {
    case ETH_P_IP:
      attributes.push(['ipv4', ipv4Fields(key)]);
      transportAttributes(key, attributes);
      break;
    case ETH_P_IPV6:
      attributes.push(['ipv6', ipv6Fields(key)]);
      transportAttributes(key, attributes);
      break;
    case ETH_P_ARP:
    case ETH_P_RARP:
      attributes.push(['arp', arpFields(key)]);
      break;
    case ETH_P_MPLS_UC:
    case ETH_P_MPLS_MC:
      attributes.push(['mpls', mplsText(key)]);
      break;
  }
}

function ipv4Fields(key: FlowKey): Record<string, string> {
  return {
    src: formatAddress(key.ipv4Src),
    dst: formatAddress(key.ipv4Dst),
    proto: String(key.ipProto),
    tos: hex(key.ipTos),
    ttl: String(key.ipTtl),
    frag: fragText(key.ipFrag),
  };
}

function ipv6Fields(key: FlowKey): Record<string, string> {
  return {
    src: formatAddress(key.ipv6Src),
    dst: formatAddress(key.ipv6Dst),
    label: hex(key.ipv6Label),
    proto: String(key.ipProto),
    tclass: hex(key.ipTos),
    hlimit: String(key.ipTtl),
    frag: fragText(key.ipFrag),
  };
}

function arpFields(key: FlowKey): Record<string, string> {
  return {
    sip: formatAddress(key.ipv4Src),
    tip: formatAddress(key.ipv4Dst),
    op: String(key.ipProto),
    sha: formatMac(key.arpSha),
    tha: formatMac(key.arpTha),
  };
}

/** Labels one after the other, each with its own names: not a record. */
function mplsText(key: FlowKey): string {
  const labels: string[] = [];
  for (let i = 0; i < key.mplsCount; i++) {
    const lse = key.mplsLse[i];
    const [label, tc, bos, ttl] = [lse >>> 12, (lse >>> 9) & 7, (lse >>> 8) & 1, lse & 0xff];
    labels.push(`label=${label},tc=${tc},ttl=${ttl},bos=${bos}`);
  }
  return labels.join(',');
}

function transportAttributes(key: FlowKey, attributes: KeyAttribute[]): void {
  if (key.ipFrag === FRAG_LATER) return;
  const ports = { src: String(key.tpSrc), dst: String(key.tpDst) };
  if (key.ipProto === IPPROTO_TCP) {
    attributes.push(['tcp', ports], ['tcp_flags', tcpFlagsText(key.tcpFlags)]);
  } else if (key.ipProto === IPPROTO_UDP) attributes.push(['udp', ports]);
  else if (key.ipProto === IPPROTO_SCTP) attributes.push(['sctp', ports]);
  else if (key.ipProto === IPPROTO_ICMP && key.ethType === ETH_P_IP) {
    attributes.push(['icmp', { type: ports.src, code: ports.dst }]);
  } else if (key.ipProto === IPPROTO_ICMPV6 && key.ethType === ETH_P_IPV6) {
    attributes.push(['icmpv6', { type: ports.src, code: ports.dst }]);
    if (key.tpSrc !== 135 && key.tpSrc !== 136) return;
    const [sll, tll] = [formatMac(key.ndSll), formatMac(key.ndTll)];
    attributes.push(['nd', { target: formatAddress(key.ndTarget), sll, tll }]);
  }
}

function formatAttribute([name, value]: KeyAttribute): string {
  if (typeof value === 'string') return `${name}(${value})`;
  if (Array.isArray(value)) return `${name}(${value.map(formatAttribute).join(',')})`;
  const fields = Object.entries(value).map(([field, text]) => `${field}=${text}`);
  return `${name}(${fields.join(',')})`;
}

/** Names of the set flags from the lowest bit on, `0` for none. */
export function tcpFlagsText(flags: number): string {
  const names = TCP_FLAG_NAMES.filter((_, bit) => (flags & (1 << bit)) !== 0);
  return names.length === 0 ? '0' : names.join('|');
}

function fragText(frag: number): string {
  return frag === FRAG_LATER ? 'later' : frag === FRAG_FIRST ? 'first' : 'no';
}

/** C's `%#x`: zero without prefix. */
function hex(value: number): string {
  return value === 0 ? '0' : `0x${value.toString(16)}`;
}

function hex4(value: number): string {
  return `0x${value.toString(16).padStart(4, '0')}`;
}
