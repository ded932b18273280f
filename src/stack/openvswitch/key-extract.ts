// Extraction of the flow key from the bytes of a frame (net/openvswitch/flow.c, key_extract, as of Linux 6.x).
//
// What is peculiar to it: truncated or malformed headers are no errors, the fields they would have given are zero; later
// fragments have no ports; ICMP type and code live in the port fields; an Ethernet type below 0x600 becomes 0x0004 (802.2)
// unless a SNAP header gives one; of MPLS three labels are kept; a VLAN tag cut short is no tag.
//
// Left out: NSH. Metadata (tunnel, mark, conntrack) is the datapath's to fill in.

import {
  ETH_P_802_2,
  ETH_P_802_3_MIN,
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
  MAC_PROTO_ETHERNET,
  MAC_PROTO_NONE,
  MPLS_LABEL_DEPTH,
  VLAN_TAG_PRESENT,
} from './flow-key.ts';
import type { FlowKey } from './flow-key.ts';
import { ND_OPT, parseIpv6Chain } from './flow-key-ipv6.ts';

const ETHERNET_BYTES = 14;
const VLAN_HEAD_BYTES = 4;
const LLC_SNAP_BYTES = 8;
const ARP_BYTES = 28;
const IPV4_BYTES = 20;
const TCP_BYTES = 20;
const UDP_BYTES = 8;
const SCTP_BYTES = 12;
const ICMP_BYTES = 8;
const ND_BYTES = 24;

/**
 * Fills `key` from the frame of `lenBytes` bytes at `at`. Returns false, with all but `inPort` zero, when there is no whole
 * Ethernet header: such a frame never reaches a datapath.
 */
export function extractFlowKey(
  key: FlowKey,
  bytes: Uint8Array,
  at: number,
  lenBytes: number,
  inPort: number,
): boolean {
  key.clear();
  key.inPort = inPort;
  if (lenBytes < ETHERNET_BYTES) return false;
  extractFrame(key, bytes, at, at + lenBytes, 0, 0);
  return true;
}

/**
 * Fills the packet's part of `key` anew from an Ethernet frame in [at, end). `tpid` and `tci` are a tag that the device took out of
 * the frame, 0 for none.
 */
export function extractFrame(
  key: FlowKey,
  bytes: Uint8Array,
  at: number,
  end: number,
  tpid: number,
  tci: number,
): void {
  key.clearPacket();
  key.macProto = MAC_PROTO_ETHERNET;
  copy(bytes, at, key.ethDst);
  copy(bytes, at + 6, key.ethSrc);
  const typeAt = tpid === 0 ? outerTag(key, bytes, at + 12, end) : at + 12;
  if (tpid !== 0) {
    key.vlanTpid = tpid;
    key.vlanTci = tci | VLAN_TAG_PRESENT;
  }
  const innerAt = key.vlanTci === 0 ? typeAt : innerTag(key, bytes, typeAt, end);
  extractNetwork(key, bytes, etherType(key, bytes, innerAt, end), end);
}

/** The same of a packet without a MAC header, whose protocol is known to be `type`. */
export function extractPacket(
  key: FlowKey,
  bytes: Uint8Array,
  at: number,
  end: number,
  type: number,
): void {
  key.clearPacket();
  key.macProto = MAC_PROTO_NONE;
  key.ethType = type;
  extractNetwork(key, bytes, at, end);
}

function extractNetwork(key: FlowKey, bytes: Uint8Array, networkAt: number, end: number): void {
  switch (key.ethType) {
    case ETH_P_IP:
      ipv4(key, bytes, networkAt, end);
      break;
    case ETH_P_IPV6:
      ipv6(key, bytes, networkAt, end);
      break;
    case ETH_P_ARP:
    case ETH_P_RARP:
      arp(key, bytes, networkAt, end);
      break;
    case ETH_P_MPLS_UC:
    case ETH_P_MPLS_MC:
      mpls(key, bytes, networkAt, end);
      break;
  }
}

/** The tag at `at`, if it is whole with the type behind it; returns where the next type is. */
function outerTag(key: FlowKey, bytes: Uint8Array, at: number, end: number): number {
  if (!isVlanType(read16(bytes, at)) || at + VLAN_HEAD_BYTES + 2 > end) return at;
  key.vlanTpid = read16(bytes, at);
  key.vlanTci = read16(bytes, at + 2) | VLAN_TAG_PRESENT;
  return at + VLAN_HEAD_BYTES;
}

function innerTag(key: FlowKey, bytes: Uint8Array, at: number, end: number): number {
  if (!isVlanType(read16(bytes, at)) || at + VLAN_HEAD_BYTES + 2 > end) return at;
  key.cvlanTpid = read16(bytes, at);
  key.cvlanTci = read16(bytes, at + 2) | VLAN_TAG_PRESENT;
  return at + VLAN_HEAD_BYTES;
}

/** Type field, or that of a SNAP header with OUI 0; returns where the network header is. */
function etherType(key: FlowKey, bytes: Uint8Array, at: number, end: number): number {
  const type = read16(bytes, at);
  const llcAt = at + 2;
  if (type >= ETH_P_802_3_MIN) {
    key.ethType = type;
    return llcAt;
  }
  key.ethType = ETH_P_802_2;
  if (end - llcAt < LLC_SNAP_BYTES) return llcAt;
  const isSnap = bytes[llcAt] === 0xaa && bytes[llcAt + 1] === 0xaa;
  if (!isSnap || (bytes[llcAt + 3] | bytes[llcAt + 4] | bytes[llcAt + 5]) !== 0) return llcAt;
  const snapType = read16(bytes, llcAt + 6);
  if (snapType >= ETH_P_802_3_MIN) key.ethType = snapType;
  return llcAt + LLC_SNAP_BYTES;
}

function ipv4(key: FlowKey, bytes: Uint8Array, at: number, end: number): void {
  if (end - at < IPV4_BYTES) return;
  const headerBytes = (bytes[at] & 0x0f) * 4;
  if (headerBytes < IPV4_BYTES || at + headerBytes > end) return;
  key.ipTos = bytes[at + 1];
  key.ipTtl = bytes[at + 8];
  key.ipProto = bytes[at + 9];
  copy(bytes, at + 12, key.ipv4Src);
  copy(bytes, at + 16, key.ipv4Dst);
  const fragment = read16(bytes, at + 6);
  if ((fragment & 0x1fff) !== 0) {
    key.ipFrag = FRAG_LATER;
    return;
  }
  if ((fragment & 0x2000) !== 0) key.ipFrag = FRAG_FIRST;
  const transportAt = at + headerBytes;
  if (key.ipProto === IPPROTO_ICMP) icmp(key, bytes, transportAt, end);
  else transport(key, bytes, transportAt, end);
}

function ipv6(key: FlowKey, bytes: Uint8Array, at: number, end: number): void {
  const transportAt = parseIpv6Chain(key, bytes, at, end);
  if (transportAt < 0) return;
  if (key.ipProto !== IPPROTO_ICMPV6) {
    transport(key, bytes, transportAt, end);
    return;
  }
  icmp(key, bytes, transportAt, end);
  const isDiscovery = (key.tpSrc === 135 || key.tpSrc === 136) && key.tpDst === 0;
  if (isDiscovery && end - transportAt >= ND_BYTES) discovery(key, bytes, transportAt, end);
}

/** TCP, UDP and SCTP: ports, and flags of a TCP header that is whole. */
function transport(key: FlowKey, bytes: Uint8Array, at: number, end: number): void {
  const leftBytes = end - at;
  if (key.ipProto === IPPROTO_TCP) {
    if (leftBytes < TCP_BYTES) return;
    const headerBytes = (bytes[at + 12] >>> 4) * 4;
    if (headerBytes < TCP_BYTES || leftBytes < headerBytes) return;
    key.tcpFlags = read16(bytes, at + 12) & 0x0fff;
  } else if (key.ipProto === IPPROTO_UDP) {
    if (leftBytes < UDP_BYTES) return;
  } else if (key.ipProto !== IPPROTO_SCTP || leftBytes < SCTP_BYTES) {
    return;
  }
  key.tpSrc = read16(bytes, at);
  key.tpDst = read16(bytes, at + 2);
}

function icmp(key: FlowKey, bytes: Uint8Array, at: number, end: number): void {
  if (end - at < ICMP_BYTES) return;
  key.tpSrc = bytes[at];
  key.tpDst = bytes[at + 1];
}

/** Target and link-layer addresses of a neighbour solicitation or advertisement. */
function discovery(key: FlowKey, bytes: Uint8Array, at: number, end: number): void {
  copy(bytes, at + 8, key.ndTarget);
  let optionAt = at + ND_BYTES;
  while (end - optionAt >= 8) {
    const optionBytes = bytes[optionAt + 1] * 8;
    if (optionBytes === 0 || optionBytes > end - optionAt) return;
    const type = bytes[optionAt];
    if (optionBytes === 8 && (type === ND_OPT.sourceLinkLayer || type === ND_OPT.targetLinkLayer)) {
      const address = type === ND_OPT.sourceLinkLayer ? key.ndSll : key.ndTll;
      if (!isZero(address)) {
        // the same option twice
        key.ndTarget.fill(0);
        key.ndSll.fill(0);
        key.ndTll.fill(0);
        return;
      }
      copy(bytes, optionAt + 2, address);
    }
    optionAt += optionBytes;
  }
}

function arp(key: FlowKey, bytes: Uint8Array, at: number, end: number): void {
  if (end - at < ARP_BYTES) return;
  const isEthernetIpv4 =
    read16(bytes, at) === 1 &&
    read16(bytes, at + 2) === ETH_P_IP &&
    bytes[at + 4] === 6 &&
    bytes[at + 5] === 4;
  if (!isEthernetIpv4) return;
  const operation = read16(bytes, at + 6);
  key.ipProto = operation <= 0xff ? operation : 0;
  copy(bytes, at + 8, key.arpSha);
  copy(bytes, at + 14, key.ipv4Src);
  copy(bytes, at + 18, key.arpTha);
  copy(bytes, at + 24, key.ipv4Dst);
}

/** Labels down to the bottom of the stack, or to the end of the frame; the first three are kept. */
function mpls(key: FlowKey, bytes: Uint8Array, at: number, end: number): void {
  for (let lseAt = at; lseAt + 4 <= end; lseAt += 4) {
    if (key.mplsCount < MPLS_LABEL_DEPTH) {
      const lse = (read16(bytes, lseAt) << 16) | read16(bytes, lseAt + 2);
      key.mplsLse[key.mplsCount++] = lse;
    }
    if ((bytes[lseAt + 2] & 1) !== 0) return;
  }
}

function copy(bytes: Uint8Array, at: number, to: Uint8Array): void {
  for (let i = 0; i < to.length; i++) to[i] = bytes[at + i];
}

function isZero(bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i++) if (bytes[i] !== 0) return false;
  return true;
}

function read16(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1];
}
