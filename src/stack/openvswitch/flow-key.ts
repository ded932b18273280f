// The flow key of the Open vSwitch kernel datapath, and its extraction from the bytes of a frame (net/openvswitch/flow.c,
// key_extract, as of Linux 6.x).
//
// What is peculiar to it: truncated or malformed headers are no errors, the fields they would have given are zero; later
// fragments have no ports; ICMP type and code live in the port fields; an Ethernet type below 0x600 becomes 0x0004 (802.2)
// unless a SNAP header gives one; of MPLS three labels are kept; a VLAN tag cut short is no tag.
//
// Left out: tunnel metadata, conntrack fields, NSH, packets without a MAC header. Frames are Ethernet frames as they are
// on the wire; tags are always read in place.

import { ND_OPT, parseIpv6Chain } from './flow-key-ipv6.ts';

export const FRAG_NONE = 0;
export const FRAG_FIRST = 1;
export const FRAG_LATER = 2;

export const ETH_P_IP = 0x0800;
export const ETH_P_ARP = 0x0806;
export const ETH_P_RARP = 0x8035;
export const ETH_P_8021Q = 0x8100;
export const ETH_P_8021AD = 0x88a8;
export const ETH_P_IPV6 = 0x86dd;
export const ETH_P_MPLS_UC = 0x8847;
export const ETH_P_MPLS_MC = 0x8848;
/** What a frame with a length instead of a type gets. */
export const ETH_P_802_2 = 0x0004;
/** Smallest value of the type field that is a type. */
export const ETH_P_802_3_MIN = 0x0600;

export const IPPROTO_ICMP = 1;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_ICMPV6 = 58;
export const IPPROTO_SCTP = 132;

/** Set in a stored TCI when there is a tag: the place of the CFI bit. */
export const VLAN_TAG_PRESENT = 0x1000;
/** MPLS labels that a key holds. */
export const MPLS_LABEL_DEPTH = 3;

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

/** One key. Reused: `extract` overwrites every field. Multi-byte fields are host numbers, addresses network order. */
export class FlowKey {
  /** Datapath port the frame came in by. */
  inPort = 0;
  readonly ethSrc = new Uint8Array(6);
  readonly ethDst = new Uint8Array(6);
  /** Outer tag: TPID, and TCI with VLAN_TAG_PRESENT; both 0 without a tag. */
  vlanTpid = 0;
  vlanTci = 0;
  /** Inner tag, the same. */
  cvlanTpid = 0;
  cvlanTci = 0;
  /** Ethernet type behind the tags. */
  ethType = 0;
  /** IP protocol; ARP operation. */
  ipProto = 0;
  /** TOS or traffic class. */
  ipTos = 0;
  /** TTL or hop limit. */
  ipTtl = 0;
  /** FRAG_*. */
  ipFrag = FRAG_NONE;
  /** Ports, or ICMP type and code. */
  tpSrc = 0;
  tpDst = 0;
  /** Low 12 bits of the TCP offset and flags word. */
  tcpFlags = 0;
  /** IPv4 addresses; ARP's protocol addresses. */
  readonly ipv4Src = new Uint8Array(4);
  readonly ipv4Dst = new Uint8Array(4);
  readonly arpSha = new Uint8Array(6);
  readonly arpTha = new Uint8Array(6);
  readonly ipv6Src = new Uint8Array(16);
  readonly ipv6Dst = new Uint8Array(16);
  /** IPv6 flow label, 20 bits. */
  ipv6Label = 0;
  readonly ndTarget = new Uint8Array(16);
  readonly ndSll = new Uint8Array(6);
  readonly ndTll = new Uint8Array(6);
  /** Label stack entries kept, outermost first. */
  readonly mplsLse = new Int32Array(MPLS_LABEL_DEPTH);
  mplsCount = 0;

  /** Everything zero. */
  clear(): void {
    this.inPort = 0;
    this.ethSrc.fill(0);
    this.ethDst.fill(0);
    this.vlanTpid = 0;
    this.vlanTci = 0;
    this.cvlanTpid = 0;
    this.cvlanTci = 0;
    this.ethType = 0;
    this.clearNetwork();
    this.arpSha.fill(0);
    this.arpTha.fill(0);
    this.ndTarget.fill(0);
    this.ndSll.fill(0);
    this.ndTll.fill(0);
    this.mplsLse.fill(0);
    this.mplsCount = 0;
    this.tpSrc = 0;
    this.tpDst = 0;
    this.tcpFlags = 0;
  }

  /** The IP group and the addresses zero: what a malformed network header leaves. */
  clearNetwork(): void {
    this.ipProto = 0;
    this.ipTos = 0;
    this.ipTtl = 0;
    this.ipFrag = FRAG_NONE;
    this.ipv4Src.fill(0);
    this.ipv4Dst.fill(0);
    this.ipv6Src.fill(0);
    this.ipv6Dst.fill(0);
    this.ipv6Label = 0;
  }
}

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
  const end = at + lenBytes;
  copy(bytes, at, key.ethDst);
  copy(bytes, at + 6, key.ethSrc);
  const typeAt = vlanTags(key, bytes, at + 12, end);
  const networkAt = etherType(key, bytes, typeAt, end);
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
  return true;
}

/** Whether an Ethernet type is that of a VLAN tag. */
export function isVlanType(etherType: number): boolean {
  return etherType === ETH_P_8021Q || etherType === ETH_P_8021AD;
}

/** Up to two tags from `at`; returns where the Ethernet type is. A tag needs the type behind it to count. */
function vlanTags(key: FlowKey, bytes: Uint8Array, at: number, end: number): number {
  if (!isVlanType(read16(bytes, at)) || at + VLAN_HEAD_BYTES + 2 > end) return at;
  key.vlanTpid = read16(bytes, at);
  key.vlanTci = read16(bytes, at + 2) | VLAN_TAG_PRESENT;
  const innerAt = at + VLAN_HEAD_BYTES;
  if (!isVlanType(read16(bytes, innerAt)) || innerAt + VLAN_HEAD_BYTES + 2 > end) return innerAt;
  key.cvlanTpid = read16(bytes, innerAt);
  key.cvlanTci = read16(bytes, innerAt + 2) | VLAN_TAG_PRESENT;
  return innerAt + VLAN_HEAD_BYTES;
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
