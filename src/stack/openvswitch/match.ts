// A flow's match out of the attributes that userspace gives (net/openvswitch/flow_netlink.c, ovs_nla_get_match): key and mask, with the
// kernel's checks (spec A.3). Without a mask every attribute given is matched exactly.
//
// Left out: NSH.

import { EINVAL } from '../../../driver/errno.ts';
import {
  ETH_P_802_2,
  ETH_P_802_3_MIN,
  ETH_P_ARP,
  ETH_P_IP,
  ETH_P_IPV6,
  ETH_P_RARP,
  FlowKey,
  FRAG_LATER,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_SCTP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  isMplsType,
  isVlanType,
  MAC_PROTO_ETHERNET,
  MAC_PROTO_NONE,
  MPLS_LABEL_DEPTH,
  VLAN_TAG_PRESENT,
} from './flow-key.ts';
import { attrBytes, nested, readAttrs, readBe16, readBe32, readU16, readU32 } from './nlattr.ts';
import type { NlAttr } from './nlattr.ts';
import { readTunnelKey } from './tunnel-key.ts';
import { CS_SUPPORTED, DP_MAX_PORTS, KEY } from './uapi.ts';

/** Payload bytes of key attributes; −1: nested or of several lengths. */
export const KEY_LENGTHS: Readonly<Record<number, number>> = {
  [KEY.ENCAP]: -1,
  [KEY.PRIORITY]: 4,
  [KEY.IN_PORT]: 4,
  [KEY.ETHERNET]: 12,
  [KEY.VLAN]: 2,
  [KEY.ETHERTYPE]: 2,
  [KEY.IPV4]: 12,
  [KEY.IPV6]: 40,
  [KEY.TCP]: 4,
  [KEY.UDP]: 4,
  [KEY.ICMP]: 2,
  [KEY.ICMPV6]: 2,
  [KEY.ARP]: 24,
  [KEY.ND]: 28,
  [KEY.SKB_MARK]: 4,
  [KEY.TUNNEL]: -1,
  [KEY.SCTP]: 4,
  [KEY.TCP_FLAGS]: 2,
  [KEY.DP_HASH]: 4,
  [KEY.RECIRC_ID]: 4,
  [KEY.MPLS]: -1,
  [KEY.CT_STATE]: 4,
  [KEY.CT_ZONE]: 2,
  [KEY.CT_MARK]: 4,
  [KEY.CT_LABELS]: 16,
  [KEY.CT_ORIG_TUPLE_IPV4]: 13,
  [KEY.CT_ORIG_TUPLE_IPV6]: 37,
  [KEY.IPV6_EXTHDRS]: 2,
};

type AttrMap = Map<number, Uint8Array>;

export interface Match {
  readonly key: FlowKey;
  readonly mask: FlowKey;
}

/** Key and mask of the attributes; `maskAttrs` null: exact. −EINVAL where the kernel refuses. */
export function readMatch(keyAttrs: Uint8Array, maskAttrs: Uint8Array | null): Match | number {
  const key = new FlowKey();
  const given = parseAttrs(keyAttrs, false);
  if (given === null) return -EINVAL;
  const tags = readTags(key, given, null);
  if (tags !== 0) return tags;
  const keySet = new Set(given.keys());
  const error = readKey(key, given, null);
  if (error !== 0) return error;

  const mask = new FlowKey();
  const maskBytes = maskAttrs ?? exactMask(keyAttrs);
  if (maskAttrs === null && key.tunProto !== 0) maskWholeTunnel(mask);
  const masked = maskBytes === null ? null : parseAttrs(maskBytes, true);
  if (masked === null) return -EINVAL;
  // Whether there is a tag is always matched.
  mask.vlanTci = 0xffff;
  mask.cvlanTci = 0xffff;
  const maskTags = readTags(mask, masked, key);
  if (maskTags !== 0) return maskTags;
  const maskSet = new Set(masked.keys());
  const maskError = readKey(mask, masked, key);
  if (maskError !== 0) return maskError;
  return isConsistent(key, mask, keySet, maskSet) ? { key, mask } : -EINVAL;
}

/** Reads a key alone: of a packet that userspace executes, or of a set action's value. */
export function readKeyAttrs(keyAttrs: Uint8Array): FlowKey | number {
  const key = new FlowKey();
  const given = parseAttrs(keyAttrs, false);
  if (given === null) return -EINVAL;
  const error = readTags(key, given, null) || readKey(key, given, null);
  return error === 0 ? key : error;
}

/** Attributes by type; null for a duplicate, an unknown one or a wrong length. Those of a mask that are all zero are as not given. */
function parseAttrs(bytes: Uint8Array, isMask: boolean): AttrMap | null {
  const attrs = readAttrs(bytes);
  if (attrs === null) return null;
  const map: AttrMap = new Map();
  for (const { type, value } of attrs) {
    const length = KEY_LENGTHS[type];
    if (length === undefined || map.has(type)) return null;
    if (length >= 0 && length !== value.length) return null;
    if (isMask && value.every((byte) => byte === 0)) continue;
    map.set(type, value);
  }
  return map;
}

/** The same attributes with every bit set; ct_state only in the bits there are. */
function exactMask(keyAttrs: Uint8Array): Uint8Array | null {
  const attrs = readAttrs(keyAttrs);
  if (attrs === null) return null;
  const exact = (list: readonly NlAttr[]): NlAttr[] =>
    list.map(({ type, value }) => {
      if (type === KEY.ENCAP) return nested(type, exact(readAttrs(value) ?? []));
      if (type === KEY.CT_STATE) return { type, value: Uint8Array.of(CS_SUPPORTED, 0, 0, 0) };
      if (type === KEY.TUNNEL) return { type, value: new Uint8Array(0) };
      return { type, value: new Uint8Array(value.length).fill(0xff) };
    });
  return attrBytes(exact(attrs));
}

function maskWholeTunnel(mask: FlowKey): void {
  mask.tunId.fill(0xff);
  mask.tunSrc.fill(0xff);
  mask.tunDst.fill(0xff);
  mask.tunFlags = 0xffff;
  mask.tunTos = 0xff;
  mask.tunTtl = 0xff;
  mask.tunTpSrc = 0xffff;
  mask.tunTpDst = 0xffff;
  mask.tunLabel = 0xffffffff;
  mask.tunProto = 0xff;
  mask.tunOpts.fill(0xff);
  mask.tunOptsLen = 0xff;
}

/** VLAN and ENCAP, up to twice: takes the tags out of `attrs` and puts what is inside in. 0 or −EINVAL. */
function readTags(out: FlowKey, attrs: AttrMap, of: FlowKey | null): number {
  for (const level of ['vlan', 'cvlan'] as const) {
    const found = of === null ? tagOf(attrs, level) : tagMaskOf(attrs, of, level);
    if (typeof found === 'number') return found;
    if (found === null) return 0;
    if (level === 'vlan') {
      out.vlanTpid = found.tpid;
      out.vlanTci = found.tci;
    } else {
      out.cvlanTpid = found.tpid;
      out.cvlanTci = found.tci;
    }
    attrs.delete(KEY.VLAN);
    attrs.delete(KEY.ETHERTYPE);
    const encap = attrs.get(KEY.ENCAP);
    attrs.delete(KEY.ENCAP);
    const inner = parseAttrs(encap ?? new Uint8Array(0), of !== null);
    if (inner === null) return -EINVAL;
    for (const [type, value] of inner) {
      if (attrs.has(type)) return -EINVAL;
      attrs.set(type, value);
    }
  }
  return 0;
}

interface Tag {
  tpid: number;
  tci: number;
}

function tagOf(attrs: AttrMap, level: 'vlan' | 'cvlan'): Tag | number | null {
  const type = attrs.get(KEY.ETHERTYPE);
  const hasEthernet = level === 'cvlan' || attrs.has(KEY.ETHERNET);
  if (!hasEthernet || type === undefined || !isVlanType(readBe16(type))) return null;
  const vlan = attrs.get(KEY.VLAN);
  const encap = attrs.get(KEY.ENCAP);
  if (vlan === undefined || encap === undefined) return -EINVAL;
  const tci = readBe16(vlan);
  if ((tci & VLAN_TAG_PRESENT) === 0 && (tci !== 0 || encap.length > 0)) return -EINVAL;
  return { tpid: readBe16(type), tci };
}

function tagMaskOf(attrs: AttrMap, of: FlowKey, level: 'vlan' | 'cvlan'): Tag | number | null {
  const keyTci = level === 'vlan' ? of.vlanTci : of.cvlanTci;
  if ((keyTci & VLAN_TAG_PRESENT) === 0) return attrs.has(KEY.ENCAP) ? -EINVAL : null;
  const vlan = attrs.get(KEY.VLAN);
  const type = attrs.get(KEY.ETHERTYPE);
  const tci = vlan === undefined ? 0 : readBe16(vlan);
  const tpid = type === undefined ? 0 : readBe16(type);
  if (tpid !== 0xffff || (tci & VLAN_TAG_PRESENT) === 0) return -EINVAL;
  return { tpid, tci };
}

/** ovs_key_from_nlattrs. `of` is the key whose mask is read, null for a key. */
function readKey(out: FlowKey, attrs: AttrMap, of: FlowKey | null): number {
  const isMask = of !== null;
  const error = readMetadata(out, attrs, isMask);
  if (error !== 0) return error;
  const tunnel = attrs.get(KEY.TUNNEL);
  if (tunnel !== undefined) {
    const tunnelError = readTunnelKey(out, tunnel, of);
    if (tunnelError !== 0) return tunnelError;
  }
  const ethernet = attrs.get(KEY.ETHERNET);
  const type = attrs.get(KEY.ETHERTYPE);
  const isLayer3 = ethernet === undefined && type !== undefined;
  out.macProto = isMask ? 0xff : isLayer3 ? MAC_PROTO_NONE : MAC_PROTO_ETHERNET;
  if (ethernet !== undefined) {
    out.ethSrc.set(ethernet.subarray(0, 6));
    out.ethDst.set(ethernet.subarray(6));
    if (attrs.has(KEY.VLAN)) return -EINVAL;
  } else if (type === undefined && !isMask) return -EINVAL;
  if (type !== undefined) {
    // Always matched exactly.
    if (!isMask && readBe16(type) < ETH_P_802_3_MIN) return -EINVAL;
    out.ethType = isMask ? 0xffff : readBe16(type);
  } else if (ethernet !== undefined && !isMask) out.ethType = ETH_P_802_2;
  else if (isMask && ethernet !== undefined) out.ethType = 0xffff;
  return readNetwork(out, attrs, isMask) || readTransport(out, attrs);
}

function readMetadata(out: FlowKey, attrs: AttrMap, isMask: boolean): number {
  const number = (type: number): number => {
    const value = attrs.get(type);
    return value === undefined ? 0 : readU32(value);
  };
  out.dpHash = number(KEY.DP_HASH);
  out.recircId = number(KEY.RECIRC_ID);
  out.priority = number(KEY.PRIORITY);
  out.skbMark = number(KEY.SKB_MARK);
  out.ctMark = number(KEY.CT_MARK);
  if (attrs.has(KEY.IN_PORT)) {
    const port = number(KEY.IN_PORT);
    if (!isMask && port >= DP_MAX_PORTS) return -EINVAL;
    out.inPort = isMask ? 0xffff : port;
  } else if (!isMask) out.inPort = DP_MAX_PORTS;
  const state = number(KEY.CT_STATE);
  if (!isMask && (state & ~CS_SUPPORTED) !== 0) return -EINVAL;
  out.ctState = state & CS_SUPPORTED;
  const zone = attrs.get(KEY.CT_ZONE);
  if (zone !== undefined) out.ctZone = readU16(zone);
  const labels = attrs.get(KEY.CT_LABELS);
  if (labels !== undefined) out.ctLabels.set(labels);
  for (const [type, size] of [
    [KEY.CT_ORIG_TUPLE_IPV4, 4],
    [KEY.CT_ORIG_TUPLE_IPV6, 16],
  ] as const) {
    const tuple = attrs.get(type);
    if (tuple === undefined) continue;
    out.ctSrc.set(tuple.subarray(0, size));
    out.ctDst.set(tuple.subarray(size, 2 * size));
    out.ctTpSrc = readBe16(tuple, 2 * size);
    out.ctTpDst = readBe16(tuple, 2 * size + 2);
    out.ctOrigProto = tuple[2 * size + 4];
  }
  return 0;
}

function readNetwork(out: FlowKey, attrs: AttrMap, isMask: boolean): number {
  const ipv4 = attrs.get(KEY.IPV4);
  if (ipv4 !== undefined) {
    if (!isMask && ipv4[11] > FRAG_LATER) return -EINVAL;
    out.ipv4Src.set(ipv4.subarray(0, 4));
    out.ipv4Dst.set(ipv4.subarray(4, 8));
    [out.ipProto, out.ipTos, out.ipTtl, out.ipFrag] = ipv4.subarray(8);
  }
  const ipv6 = attrs.get(KEY.IPV6);
  if (ipv6 !== undefined) {
    const label = readBe32(ipv6, 32);
    if (!isMask && (ipv6[39] > FRAG_LATER || label > 0xfffff)) return -EINVAL;
    out.ipv6Src.set(ipv6.subarray(0, 16));
    out.ipv6Dst.set(ipv6.subarray(16, 32));
    out.ipv6Label = label & 0xfffff;
    [out.ipProto, out.ipTos, out.ipTtl, out.ipFrag] = ipv6.subarray(36);
  }
  const extensions = attrs.get(KEY.IPV6_EXTHDRS);
  if (extensions !== undefined) out.ipv6Exthdrs = readU16(extensions);
  const arp = attrs.get(KEY.ARP);
  if (arp !== undefined) {
    if (!isMask && arp[8] !== 0) return -EINVAL;
    out.ipv4Src.set(arp.subarray(0, 4));
    out.ipv4Dst.set(arp.subarray(4, 8));
    out.ipProto = arp[9];
    out.arpSha.set(arp.subarray(10, 16));
    out.arpTha.set(arp.subarray(16, 22));
  }
  const mpls = attrs.get(KEY.MPLS);
  if (mpls !== undefined) {
    const count = mpls.length / 4;
    if (!Number.isInteger(count) || count === 0 || count > MPLS_LABEL_DEPTH) return -EINVAL;
    for (let i = 0; i < count; i++) out.mplsLse[i] = readBe32(mpls, 4 * i);
    out.mplsCount = isMask ? 0xff : count;
  }
  return 0;
}

function readTransport(out: FlowKey, attrs: AttrMap): number {
  const ports = attrs.get(KEY.TCP) ?? attrs.get(KEY.UDP) ?? attrs.get(KEY.SCTP);
  if (ports !== undefined) {
    out.tpSrc = readBe16(ports);
    out.tpDst = readBe16(ports, 2);
  }
  const flags = attrs.get(KEY.TCP_FLAGS);
  if (flags !== undefined) out.tcpFlags = readBe16(flags);
  const icmp = attrs.get(KEY.ICMP) ?? attrs.get(KEY.ICMPV6);
  if (icmp !== undefined) [out.tpSrc, out.tpDst] = icmp;
  const nd = attrs.get(KEY.ND);
  if (nd !== undefined) {
    out.ndTarget.set(nd.subarray(0, 16));
    out.ndSll.set(nd.subarray(16, 22));
    out.ndTll.set(nd.subarray(22, 28));
  }
  return 0;
}

const GUARDED: readonly number[] = [
  KEY.IPV4,
  KEY.IPV6,
  KEY.TCP,
  KEY.TCP_FLAGS,
  KEY.UDP,
  KEY.SCTP,
  KEY.ICMP,
  KEY.ICMPV6,
  KEY.ARP,
  KEY.ND,
  KEY.MPLS,
];

/** match_validate: what the Ethernet type and the protocol ask for is there, and no mask stands without what it depends on. */
function isConsistent(
  key: FlowKey,
  mask: FlowKey,
  keySet: ReadonlySet<number>,
  maskSet: ReadonlySet<number>,
): boolean {
  const expected: number[] = [];
  const allowed = new Set<number>(keySet);
  for (const type of GUARDED) allowed.delete(type);
  for (const type of [KEY.TUNNEL, KEY.IN_PORT, KEY.ETHERTYPE]) allowed.add(type);
  const needs = (isMaskExact: boolean, ...types: number[]): void => {
    expected.push(...types);
    if (isMaskExact) for (const type of types) allowed.add(type);
  };
  const typeIsExact = mask.ethType === 0xffff;
  const { ethType } = key;
  if (ethType === ETH_P_ARP || ethType === ETH_P_RARP) needs(typeIsExact, KEY.ARP);
  if (isMplsType(ethType)) needs(typeIsExact, KEY.MPLS);
  const isIp = ethType === ETH_P_IP || ethType === ETH_P_IPV6;
  if (ethType === ETH_P_IP) needs(typeIsExact, KEY.IPV4);
  if (ethType === ETH_P_IPV6) needs(typeIsExact, KEY.IPV6);
  if (isIp && key.ipFrag !== FRAG_LATER) {
    const protocolIsExact = mask.ipProto === 0xff;
    if (key.ipProto === IPPROTO_UDP) needs(protocolIsExact, KEY.UDP);
    if (key.ipProto === IPPROTO_SCTP) needs(protocolIsExact, KEY.SCTP);
    if (key.ipProto === IPPROTO_TCP) needs(protocolIsExact, KEY.TCP, KEY.TCP_FLAGS);
    if (ethType === ETH_P_IP && key.ipProto === IPPROTO_ICMP) needs(protocolIsExact, KEY.ICMP);
    if (ethType === ETH_P_IPV6 && key.ipProto === IPPROTO_ICMPV6) {
      needs(protocolIsExact, KEY.ICMPV6);
      if (key.tpSrc === 135 || key.tpSrc === 136) needs(mask.tpSrc === 0xff, KEY.ND);
    }
  }
  if (expected.some((type) => !keySet.has(type))) return false;
  return [...maskSet].every((type) => allowed.has(type));
}
