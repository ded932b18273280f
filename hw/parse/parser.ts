// The packet parser: frame bytes to one flow key (key-layout.ts). Ethernet II, up to two VLAN tags, IPv4, IPv6 with
// extension headers, TCP, UDP, SCTP ports, ICMP type and code. Everything else stops at the EtherType or protocol.
//
// The frame lies in device memory at (bytes, at, lenBytes), without FCS. Nothing outside that range is read. A header
// that is cut or contradicts itself sets PARSE_MALFORMED; what was found before it stays in the key. Frames may be
// longer than the IP packet (padding), never shorter. Extension headers are followed for 8 steps at most.

import {
  K_DPORT,
  K_DST,
  K_ETHERTYPE,
  K_ETH_DST_HI,
  K_ETH_DST_LO,
  K_ETH_SRC_HI,
  K_ETH_SRC_LO,
  K_FAMILY,
  K_FLAGS,
  K_HEADERS,
  K_ICMP_CODE,
  K_ICMP_TYPE,
  K_IN_PORT,
  K_L3_AT,
  K_L3_LEN,
  K_L4_AT,
  K_PROTO,
  K_SPORT,
  K_SRC,
  K_TCP_FLAGS,
  K_TOS,
  K_TTL,
  K_VLAN_COUNT,
  K_VLAN_OUTER,
  PARSE_BROADCAST,
  PARSE_EXTENSION,
  PARSE_FRAGMENT,
  PARSE_IP_CHECKSUM_BAD,
  PARSE_IP_OPTIONS,
  PARSE_LATER_FRAGMENT,
  PARSE_MALFORMED,
  PARSE_MANY_TAGS,
  PARSE_MULTICAST,
  PARSE_PORTS,
} from './key-layout.ts';
import * as H from '../wire/headers.ts';
import { fold, sumBytes } from '../wire/checksum.ts';

const MAX_EXTENSION_HEADERS = 8;

function be16(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1];
}

function be32(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
}

/** Fills `key` from a frame of at least 14 bytes that entered at port `inPort`. */
export function parseFrame(
  bytes: Uint8Array,
  at: number,
  lenBytes: number,
  inPort: number,
  key: Uint32Array,
): void {
  key.fill(0);
  const end = at + lenBytes;
  const dstHi = be16(bytes, at);
  const dstLo = be32(bytes, at + 2);
  key[K_IN_PORT] = inPort;
  key[K_ETH_DST_HI] = dstHi;
  key[K_ETH_DST_LO] = dstLo;
  key[K_ETH_SRC_HI] = be16(bytes, at + 6);
  key[K_ETH_SRC_LO] = be32(bytes, at + 8);
  let flags = 0;
  if ((dstHi & 0x100) !== 0)
    flags = dstHi === 0xffff && dstLo === -1 ? PARSE_MULTICAST | PARSE_BROADCAST : PARSE_MULTICAST;

  let p = at + H.ETH_TYPE_AT;
  let type = be16(bytes, p);
  let tags = 0;
  while (type === H.ETHERTYPE_VLAN || type === H.ETHERTYPE_QINQ) {
    if (tags === 2) {
      flags |= PARSE_MANY_TAGS;
      break;
    }
    if (p + 6 > end) {
      flags |= PARSE_MALFORMED;
      break;
    }
    key[K_VLAN_OUTER + tags] = be16(bytes, p + 2);
    tags++;
    p += H.VLAN_TAG_BYTES;
    type = be16(bytes, p);
  }
  key[K_VLAN_COUNT] = tags;
  key[K_ETHERTYPE] = type;
  key[K_HEADERS] = tags;
  key[K_FLAGS] = flags;
  const l3At = p + 2;
  key[K_L3_AT] = l3At - at;
  if (type === H.ETHERTYPE_IPV4) parseIpv4(bytes, at, l3At, end, key);
  else if (type === H.ETHERTYPE_IPV6) parseIpv6(bytes, at, l3At, end, key);
}

function flag(key: Uint32Array, bit: number): void {
  key[K_FLAGS] = key[K_FLAGS] | bit;
}

function parseIpv4(
  bytes: Uint8Array,
  at: number,
  l3At: number,
  end: number,
  key: Uint32Array,
): void {
  key[K_FAMILY] = 4;
  key[K_HEADERS] = key[K_HEADERS] + 1;
  if (l3At + H.IPV4_HEADER_BYTES > end) {
    flag(key, PARSE_MALFORMED);
    return;
  }
  const headerBytes = (bytes[l3At] & 15) * 4;
  const l3Len = be16(bytes, l3At + H.IPV4_LENGTH_AT);
  key[K_L3_LEN] = l3Len;
  key[K_TOS] = bytes[l3At + H.IPV4_TOS_AT];
  key[K_TTL] = bytes[l3At + H.IPV4_TTL_AT];
  const proto = bytes[l3At + H.IPV4_PROTO_AT];
  key[K_PROTO] = proto;
  key[K_SRC] = be32(bytes, l3At + H.IPV4_SRC_AT);
  key[K_DST] = be32(bytes, l3At + H.IPV4_DST_AT);
  if (
    bytes[l3At] >> 4 !== 4 ||
    headerBytes < H.IPV4_HEADER_BYTES ||
    l3Len < headerBytes ||
    l3At + l3Len > end
  ) {
    flag(key, PARSE_MALFORMED);
    return;
  }
  if (headerBytes > H.IPV4_HEADER_BYTES) flag(key, PARSE_IP_OPTIONS);
  if (fold(sumBytes(bytes, l3At, headerBytes)) !== 0xffff) flag(key, PARSE_IP_CHECKSUM_BAD);
  const fragment = be16(bytes, l3At + H.IPV4_FRAGMENT_AT);
  if ((fragment & 0x3fff) !== 0) flag(key, PARSE_FRAGMENT);
  if ((fragment & 0x1fff) !== 0) {
    flag(key, PARSE_LATER_FRAGMENT);
    return;
  }
  parseTransport(bytes, at, l3At + headerBytes, l3At + l3Len, proto, key);
}

function parseIpv6(
  bytes: Uint8Array,
  at: number,
  l3At: number,
  end: number,
  key: Uint32Array,
): void {
  key[K_FAMILY] = 6;
  key[K_HEADERS] = key[K_HEADERS] + 1;
  if (l3At + H.IPV6_HEADER_BYTES > end) {
    flag(key, PARSE_MALFORMED);
    return;
  }
  const word0 = be32(bytes, l3At);
  const l3Len = be16(bytes, l3At + H.IPV6_LENGTH_AT) + H.IPV6_HEADER_BYTES;
  key[K_L3_LEN] = l3Len;
  key[K_TOS] = (word0 >>> 20) & 0xff;
  key[K_TTL] = bytes[l3At + H.IPV6_HOP_AT];
  for (let i = 0; i < 4; i++) {
    key[K_SRC + i] = be32(bytes, l3At + H.IPV6_SRC_AT + 4 * i);
    key[K_DST + i] = be32(bytes, l3At + H.IPV6_DST_AT + 4 * i);
  }
  key[K_PROTO] = bytes[l3At + H.IPV6_NEXT_AT];
  if (word0 >>> 28 !== 6 || l3At + l3Len > end) {
    flag(key, PARSE_MALFORMED);
    return;
  }
  parseExtensions(bytes, at, l3At + H.IPV6_HEADER_BYTES, l3At + l3Len, key);
}

function parseExtensions(
  bytes: Uint8Array,
  at: number,
  firstAt: number,
  end: number,
  key: Uint32Array,
): void {
  let p = firstAt;
  let next = key[K_PROTO];
  for (let i = 0; i < MAX_EXTENSION_HEADERS; i++) {
    const isFragment = next === H.PROTO_FRAGMENT;
    const isAh = next === H.PROTO_AH;
    if (!isFragment && !isAh && !isOptionsHeader(next)) break;
    flag(key, PARSE_EXTENSION);
    key[K_HEADERS] = key[K_HEADERS] + 1;
    if (p + 8 > end) {
      flag(key, PARSE_MALFORMED);
      key[K_PROTO] = next;
      return;
    }
    next = bytes[p];
    if (isFragment) {
      flag(key, PARSE_FRAGMENT);
      if ((be16(bytes, p + 2) & 0xfff8) !== 0) {
        flag(key, PARSE_LATER_FRAGMENT);
        key[K_PROTO] = next;
        return;
      }
      p += 8;
    } else {
      const units = bytes[p + 1];
      p += isAh ? (units + 2) * 4 : (units + 1) * 8;
    }
  }
  key[K_PROTO] = next;
  parseTransport(bytes, at, p, end, next, key);
}

function isOptionsHeader(next: number): boolean {
  return next === H.PROTO_HOPOPTS || next === H.PROTO_ROUTING || next === H.PROTO_DSTOPTS;
}

function parseTransport(
  bytes: Uint8Array,
  at: number,
  l4At: number,
  end: number,
  proto: number,
  key: Uint32Array,
): void {
  const room = end - l4At;
  if (proto === H.PROTO_TCP) {
    if (room < H.TCP_HEADER_BYTES) return flag(key, PARSE_MALFORMED);
    key[K_TCP_FLAGS] = be16(bytes, l4At + H.TCP_FLAGS_AT) & 0xfff;
  } else if (proto === H.PROTO_UDP || proto === H.PROTO_SCTP) {
    if (room < H.UDP_HEADER_BYTES) return flag(key, PARSE_MALFORMED);
  } else if (proto === H.PROTO_ICMP || proto === H.PROTO_ICMPV6) {
    if (room < 4) return flag(key, PARSE_MALFORMED);
    key[K_ICMP_TYPE] = bytes[l4At];
    key[K_ICMP_CODE] = bytes[l4At + 1];
    key[K_L4_AT] = l4At - at;
    key[K_HEADERS] = key[K_HEADERS] + 1;
    return;
  } else {
    return;
  }
  key[K_SPORT] = be16(bytes, l4At);
  key[K_DPORT] = be16(bytes, l4At + 2);
  key[K_L4_AT] = l4At - at;
  key[K_HEADERS] = key[K_HEADERS] + 1;
  flag(key, PARSE_PORTS);
}
