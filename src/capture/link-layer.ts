// Ethernet frames from packets of other link layers: the emulated ports speak Ethernet only.
//
// What the capture knows is kept: source MAC and protocol of a Linux cooked header, the protocol of a loopback header,
// the IP version of raw IP. What it does not know is made up, always in the same way:
//   source       02:00:5e:00:53:01 (locally administered), unless a cooked header has a 6-byte address
//   destination  02:00:5e:00:53:02, or by a cooked header's packet type: ff:ff:ff:ff:ff:ff for broadcast, the group
//                address of the IP destination (RFC 1112, RFC 2464) for multicast
// No padding to 60 bytes, no VLAN tag: the cooked header of Linux carries none. Packets that are no Ethernet payload
// (netlink, CAN, an unknown family) give -1 and are the caller's to count.

import {
  LINKTYPE_ETHERNET,
  LINKTYPE_IPV4,
  LINKTYPE_IPV6,
  LINKTYPE_LINUX_SLL,
  LINKTYPE_LINUX_SLL2,
  LINKTYPE_LOOP,
  LINKTYPE_NULL,
} from './link-types.ts';
import type { CaptureRecord } from './record.ts';

/** Bytes a frame may be longer than its packet in the capture: room to plan for in the output. */
export const MAX_GROWTH_BYTES = 14;

const ETHERNET_BYTES = 14;
const SLL_BYTES = 16;
const SLL2_BYTES = 20;
const LOOP_BYTES = 4;
const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;
const ARPHRD_NETLINK = 824;
const SLL_BROADCAST = 1;
const SLL_MULTICAST = 2;
const PROTOCOL_802_3 = 0x0001; // Novell raw 802.3
const PROTOCOL_802_2 = 0x0004; // LLC: the type field is a length

const MAC_GROUP_PREFIX_IPV4 = [0x01, 0x00, 0x5e];

/**
 * Writes `record`'s packet as an Ethernet frame at `outAt` and returns its length in bytes, or -1 when it has no Ethernet
 * form. `out` needs room for the captured length plus MAX_GROWTH_BYTES. An Ethernet packet is copied as it is.
 */
export function toEthernet(record: CaptureRecord, out: Uint8Array, outAt: number): number {
  const { bytes, at, lenBytes } = record;
  switch (record.linkType) {
    case LINKTYPE_ETHERNET:
      copy(bytes, at, lenBytes, out, outAt);
      return lenBytes;
    case LINKTYPE_LINUX_SLL:
      return cookedToEthernet(record, out, outAt);
    case LINKTYPE_LINUX_SLL2:
      return cooked2ToEthernet(record, out, outAt);
    case LINKTYPE_NULL:
    case LINKTYPE_LOOP: {
      if (lenBytes < LOOP_BYTES) return -1;
      const etherType = familyEtherType(bytes, at);
      return rawToEthernet(record, LOOP_BYTES, etherType, out, outAt);
    }
    case LINKTYPE_IPV4:
      return rawToEthernet(record, 0, ETHERTYPE_IPV4, out, outAt);
    case LINKTYPE_IPV6:
      return rawToEthernet(record, 0, ETHERTYPE_IPV6, out, outAt);
    default:
      return rawToEthernet(record, 0, versionEtherType(bytes, at, lenBytes), out, outAt);
  }
}

/** By how many bytes a frame is longer than its packet in the capture; to be added to the length on the wire too. */
export function ethernetGrowthBytes(linkType: number): number {
  switch (linkType) {
    case LINKTYPE_ETHERNET:
      return 0;
    case LINKTYPE_LINUX_SLL:
      return ETHERNET_BYTES - SLL_BYTES;
    case LINKTYPE_LINUX_SLL2:
      return ETHERNET_BYTES - SLL2_BYTES;
    case LINKTYPE_NULL:
    case LINKTYPE_LOOP:
      return ETHERNET_BYTES - LOOP_BYTES;
    default:
      return ETHERNET_BYTES;
  }
}

/** Linux cooked capture v1: packet type, device type, address length, address[8], protocol. */
function cookedToEthernet(record: CaptureRecord, out: Uint8Array, outAt: number): number {
  const { bytes, at, lenBytes } = record;
  if (lenBytes < SLL_BYTES) return -1;
  if (read16(bytes, at + 2) === ARPHRD_NETLINK) return -1;
  const protocol = read16(bytes, at + 14);
  const etherType = cookedEtherType(protocol, record.wireLenBytes - SLL_BYTES);
  const length = rawToEthernet(record, SLL_BYTES, etherType, out, outAt);
  if (length < 0) return -1;
  if (read16(bytes, at + 4) === 6) copy(bytes, at + 6, 6, out, outAt + 6);
  destination(read16(bytes, at), out, outAt, length);
  return length;
}

/** Linux cooked capture v2: protocol, reserved, interface, device type, packet type, address length, address[8]. */
function cooked2ToEthernet(record: CaptureRecord, out: Uint8Array, outAt: number): number {
  const { bytes, at, lenBytes } = record;
  if (lenBytes < SLL2_BYTES) return -1;
  if (read16(bytes, at + 8) === ARPHRD_NETLINK) return -1;
  const etherType = cookedEtherType(read16(bytes, at), record.wireLenBytes - SLL2_BYTES);
  const length = rawToEthernet(record, SLL2_BYTES, etherType, out, outAt);
  if (length < 0) return -1;
  if (bytes[at + 11] === 6) copy(bytes, at + 12, 6, out, outAt + 6);
  destination(bytes[at + 10], out, outAt, length);
  return length;
}

/** The type or length field for a cooked header's protocol; -1 for what Ethernet does not carry. */
function cookedEtherType(protocol: number, payloadBytes: number): number {
  if (protocol >= 0x0600) return protocol;
  const isLength = protocol === PROTOCOL_802_3 || protocol === PROTOCOL_802_2;
  return isLength && payloadBytes < 0x0600 ? payloadBytes : -1;
}

/** Puts the made-up header before the payload that starts `headerBytes` into the packet. */
function rawToEthernet(
  record: CaptureRecord,
  headerBytes: number,
  etherType: number,
  out: Uint8Array,
  outAt: number,
): number {
  if (etherType < 0) return -1;
  out[outAt] = 0x02;
  out[outAt + 1] = 0x00;
  out[outAt + 2] = 0x5e;
  out[outAt + 3] = 0x00;
  out[outAt + 4] = 0x53;
  out[outAt + 5] = 0x02;
  out.copyWithin(outAt + 6, outAt, outAt + 5);
  out[outAt + 11] = 0x01;
  out[outAt + 12] = etherType >>> 8;
  out[outAt + 13] = etherType;
  const payloadBytes = record.lenBytes - headerBytes;
  copy(record.bytes, record.at + headerBytes, payloadBytes, out, outAt + ETHERNET_BYTES);
  return ETHERNET_BYTES + payloadBytes;
}

/** Replaces the made-up destination of the frame at `outAt` where the cooked packet type tells more. */
function destination(packetType: number, out: Uint8Array, outAt: number, lenBytes: number): void {
  if (packetType === SLL_BROADCAST) {
    out.fill(0xff, outAt, outAt + 6);
    return;
  }
  if (packetType !== SLL_MULTICAST) return;
  const etherType = read16(out, outAt + 12);
  if (etherType === ETHERTYPE_IPV4 && lenBytes >= ETHERNET_BYTES + 20) {
    out.set(MAC_GROUP_PREFIX_IPV4, outAt);
    out[outAt + 3] = out[outAt + ETHERNET_BYTES + 17] & 0x7f;
    out[outAt + 4] = out[outAt + ETHERNET_BYTES + 18];
    out[outAt + 5] = out[outAt + ETHERNET_BYTES + 19];
  } else if (etherType === ETHERTYPE_IPV6 && lenBytes >= ETHERNET_BYTES + 40) {
    out[outAt] = 0x33;
    out[outAt + 1] = 0x33;
    out.copyWithin(outAt + 2, outAt + ETHERNET_BYTES + 36, outAt + ETHERNET_BYTES + 40);
  }
}

/**
 * Ethernet type of a loopback header's address family: 2 is IPv4 everywhere, IPv6 is 10 (Linux), 24 (NetBSD, OpenBSD),
 * 28 (FreeBSD) or 30 (macOS). The family is below 256, so the byte order shows itself: LOOP needs no other treatment.
 */
function familyEtherType(bytes: Uint8Array, at: number): number {
  if (bytes[at + 1] !== 0 || bytes[at + 2] !== 0) return -1;
  if (bytes[at] !== 0 && bytes[at + 3] !== 0) return -1;
  const family = bytes[at] | bytes[at + 3];
  if (family === 2) return ETHERTYPE_IPV4;
  const isIpv6 = family === 10 || family === 24 || family === 28 || family === 30;
  return isIpv6 ? ETHERTYPE_IPV6 : -1;
}

function versionEtherType(bytes: Uint8Array, at: number, lenBytes: number): number {
  if (lenBytes === 0) return -1;
  const version = bytes[at] >>> 4;
  return version === 4 ? ETHERTYPE_IPV4 : version === 6 ? ETHERTYPE_IPV6 : -1;
}

function read16(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1];
}

/** Byte loop for what headers need, `set` for payloads (see chunk-buffer.ts). */
function copy(from: Uint8Array, at: number, lenBytes: number, to: Uint8Array, toAt: number): void {
  if (lenBytes > 16) {
    to.set(from.subarray(at, at + lenBytes), toAt);
    return;
  }
  for (let i = 0; i < lenBytes; i++) to[toAt + i] = from[at + i];
}
