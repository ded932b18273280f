// What conntrack reads of a packet: where the transport header is, and the key. IPv6 extension headers are walked.
// Left out: fragments with an offset other than 0 (the defrag hook at −400 runs before conntrack and leaves none).

import { loadInt32, loadUint16 } from '../../ip/address.ts';
import {
  IPPROTO_GRE,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_TCP,
  IPPROTO_UDP,
  hasPorts,
} from './tuple.ts';
import type { Tuple } from './tuple.ts';

const AF_INET = 2;
const IPPROTO_HOPOPTS = 0;
const IPPROTO_ROUTING = 43;
const IPPROTO_FRAGMENT = 44;
const IPPROTO_AH = 51;
const IPPROTO_DSTOPTS = 60;

/** Offsets of one packet; one reused object. */
export class PacketView {
  protocol = 0;
  /** Offset of the transport header in the bytes. */
  l4At = 0;
  /** Bytes from the transport header to the end of the IP packet. */
  l4Bytes = 0;

  /** Finds the transport header of the IP packet at `networkAt`; false when there is none. */
  locate(bytes: Uint8Array, networkAt: number, lenBytes: number, family: number): boolean {
    return family === AF_INET
      ? this.locate4(bytes, networkAt, lenBytes)
      : this.locate6(bytes, networkAt, lenBytes);
  }

  private locate4(bytes: Uint8Array, networkAt: number, lenBytes: number): boolean {
    if (lenBytes < 20) return false;
    const headerBytes = (bytes[networkAt] & 0xf) * 4;
    if (headerBytes < 20 || headerBytes > lenBytes) return false;
    if ((loadUint16(bytes, networkAt + 6) & 0x1fff) !== 0) return false;
    const total = loadUint16(bytes, networkAt + 2);
    const lenIp = total < lenBytes && total >= headerBytes ? total : lenBytes;
    this.protocol = bytes[networkAt + 9];
    this.l4At = networkAt + headerBytes;
    this.l4Bytes = lenIp - headerBytes;
    return true;
  }

  private locate6(bytes: Uint8Array, networkAt: number, lenBytes: number): boolean {
    if (lenBytes < 40) return false;
    const payload = loadUint16(bytes, networkAt + 4);
    const lenIp = payload > 0 && payload + 40 < lenBytes ? payload + 40 : lenBytes;
    const end = networkAt + lenIp;
    let next = bytes[networkAt + 6];
    let at = networkAt + 40;
    while (isExtension(next)) {
      if (at + 8 > end) return false;
      if (next === IPPROTO_FRAGMENT && (loadUint16(bytes, at + 2) & 0xfff8) !== 0) return false;
      const extBytes =
        next === IPPROTO_FRAGMENT
          ? 8
          : next === IPPROTO_AH
            ? (bytes[at + 1] + 2) * 4
            : (bytes[at + 1] + 1) * 8;
      next = bytes[at];
      at += extBytes;
    }
    if (at > end) return false;
    this.protocol = next;
    this.l4At = at;
    this.l4Bytes = end - at;
    return true;
  }
}

function isExtension(next: number): boolean {
  return (
    next === IPPROTO_HOPOPTS ||
    next === IPPROTO_ROUTING ||
    next === IPPROTO_FRAGMENT ||
    next === IPPROTO_AH ||
    next === IPPROTO_DSTOPTS
  );
}

/** Fills the key from the packet; false when the transport header is too short for it. */
export function readTuple(
  tuple: Tuple,
  bytes: Uint8Array,
  networkAt: number,
  family: number,
  view: PacketView,
  zone: number,
): boolean {
  const { protocol, l4At, l4Bytes } = view;
  let l4 = 0;
  if (protocol === IPPROTO_TCP || protocol === IPPROTO_UDP) {
    if (l4Bytes < 8) return false;
    l4 = loadInt32(bytes, l4At);
  } else if (hasPorts(protocol)) {
    if (l4Bytes < 4) return false;
    l4 = loadInt32(bytes, l4At);
  } else if (protocol === IPPROTO_GRE) {
    // Version 1 (PPTP) has the call id behind protocol and length; the other end's is the PPTP helper's knowledge.
    if (l4Bytes < 4) return false;
    if ((bytes[l4At + 1] & 7) === 1) {
      if (l4Bytes < 8) return false;
      l4 = loadUint16(bytes, l4At + 6);
    }
  } else if (protocol === IPPROTO_ICMP || protocol === IPPROTO_ICMPV6) {
    if (l4Bytes < 8) return false;
    l4 = (loadUint16(bytes, l4At + 4) << 16) | loadUint16(bytes, l4At);
  }
  tuple.setAddresses(bytes, networkAt, family);
  tuple.setL4(family, protocol, zone, l4);
  return true;
}
