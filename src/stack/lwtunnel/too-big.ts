// The answer to a packet that is too long for its tunnel, where the device is a port of a bridge or datapath (iptunnel_pmtud_*,
// net/ipv4/ip_tunnel_core.c; spec D.8): ICMP "fragmentation needed" or ICMPv6 "packet too big" as if it came from the packet's
// destination, with addresses and MAC addresses swapped, to be received on the tunnel device.

import type { Kernel } from '../../../driver/kernel.ts';
import type { SkBuff } from '../../../driver/skb.ts';
import { loadUint16, storeInt32, storeUint16 } from '../ip/address.ts';
import { inetChecksum, setIpv4Checksum, transportChecksum } from '../ip/checksum.ts';
import { ICMP_DEST_UNREACH, IPPROTO_ICMP } from '../ip/icmp.ts';
import { ICMPV6_PKT_TOOBIG } from '../ip/icmp6.ts';
import { IPV6_HEADER_BYTES, NEXTHDR_ICMP, walkHeaders } from '../ip/ipv6-headers.ts';
import { ETH_P_IP, ETH_P_IPV6 } from '../packet-types.ts';
import type { InnerPacket } from './inner-packet.ts';

const ETH_HEADER_BYTES = 14;
const IP_HEADER_BYTES = 20;
const ICMP_HEADER_BYTES = 8;
const ICMP_FRAG_NEEDED = 4;
const DONT_FRAGMENT = 0x4000;
/** Smallest MTU for which there is an answer, and the answer's length at most. */
const IPV4_MIN_BYTES = 576;
const IPV6_MIN_BYTES = 1280;
const NDISC_REDIRECT = 137;

/** The answer to a frame (skb.at at its MAC header), null where there is to be none. `skb` stays the caller's. */
export function tooBigAnswer(
  kernel: Kernel,
  skb: SkBuff,
  inner: InnerPacket,
  mtuBytes: number,
): SkBuff | null {
  const at = inner.networkAt;
  if (inner.outerType === ETH_P_IP && mayAnswer4(skb, at, mtuBytes))
    return answer(kernel, skb, at, IP_HEADER_BYTES, IPV4_MIN_BYTES, mtuBytes);
  if (inner.outerType === ETH_P_IPV6 && mayAnswer6(skb, at, mtuBytes))
    return answer(kernel, skb, at, IPV6_HEADER_BYTES, IPV6_MIN_BYTES, mtuBytes);
  return null;
}

/** iptunnel_pmtud_check_icmp. */
function mayAnswer4({ bytes }: SkBuff, at: number, mtuBytes: number): boolean {
  if (mtuBytes < IPV4_MIN_BYTES || loadUint16(bytes, at + 6) !== DONT_FRAGMENT) return false;
  const [source0, dst0] = [bytes[at + 12], bytes[at + 16]];
  if (source0 === 0 || source0 === 127 || isGroup4(source0, bytes, at + 12)) return false;
  if (isGroup4(dst0, bytes, at + 16)) return false;
  if (bytes[at + 9] !== IPPROTO_ICMP) return true;
  return ![3, 4, 5, 11, 12].includes(bytes[at + (bytes[at] & 15) * 4]);
}

/** Multicast, or 255.255.255.255. */
function isGroup4(first: number, bytes: Uint8Array, at: number): boolean {
  return (first & 0xf0) === 0xe0 || [0, 1, 2, 3].every((i) => bytes[at + i] === 0xff);
}

/** iptunnel_pmtud_check_icmpv6. */
function mayAnswer6({ bytes, at: start, lenBytes }: SkBuff, at: number, mtuBytes: number): boolean {
  if (mtuBytes < IPV6_MIN_BYTES || bytes[at + 8] === 0xff) return false;
  const lead = bytes.subarray(at + 8, at + 23).every((byte) => byte === 0);
  if (lead && bytes[at + 23] <= 1) return false;
  const walk = walkHeaders(bytes, at, start + lenBytes - at);
  if (walk.truncated || walk.fragmentOffset !== 0) return false;
  if (walk.protocol !== NEXTHDR_ICMP) return true;
  const type = bytes[walk.transportAt];
  return type >= 128 && type !== NDISC_REDIRECT;
}

function answer(
  kernel: Kernel,
  skb: SkBuff,
  networkAt: number,
  ipBytes: number,
  mostBytes: number,
  mtuBytes: number,
): SkBuff | null {
  const quotedBytes = Math.min(
    skb.at + skb.lenBytes - networkAt,
    mostBytes - ipBytes - ICMP_HEADER_BYTES,
  );
  const icmpBytes = ICMP_HEADER_BYTES + quotedBytes;
  const error = kernel.alloc_skb(ETH_HEADER_BYTES + ipBytes + icmpBytes);
  if (error === null) return null;
  const { bytes, at } = error;
  const ipAt = at + ETH_HEADER_BYTES;
  const icmpAt = ipAt + ipBytes;
  error.lenBytes = ETH_HEADER_BYTES + ipBytes + icmpBytes;
  bytes.copyWithin(at, skb.at + 6, skb.at + 12);
  bytes.copyWithin(at + 6, skb.at, skb.at + 6);
  bytes.copyWithin(at + 12, skb.at + 12, skb.at + 14);
  bytes.copyWithin(icmpAt + ICMP_HEADER_BYTES, networkAt, networkAt + quotedBytes);
  storeUint16(bytes, icmpAt + 2, 0);
  storeInt32(bytes, icmpAt + 4, mtuBytes);
  if (ipBytes === IP_HEADER_BYTES) {
    bytes[icmpAt] = ICMP_DEST_UNREACH;
    bytes[icmpAt + 1] = ICMP_FRAG_NEEDED;
    storeUint16(bytes, icmpAt + 2, inetChecksum(bytes, icmpAt, icmpBytes));
    storeUint16(bytes, ipAt, 0x4500);
    storeUint16(bytes, ipAt + 2, ipBytes + icmpBytes);
    storeUint16(bytes, ipAt + 4, 0);
    storeUint16(bytes, ipAt + 6, DONT_FRAGMENT);
    bytes[ipAt + 8] = bytes[networkAt + 8];
    bytes[ipAt + 9] = IPPROTO_ICMP;
    bytes.copyWithin(ipAt + 12, networkAt + 16, networkAt + 20);
    bytes.copyWithin(ipAt + 16, networkAt + 12, networkAt + 16);
    setIpv4Checksum(bytes, ipAt);
  } else {
    bytes[icmpAt] = ICMPV6_PKT_TOOBIG;
    bytes[icmpAt + 1] = 0;
    storeInt32(bytes, ipAt, 0x60000000);
    storeUint16(bytes, ipAt + 4, icmpBytes);
    bytes[ipAt + 6] = NEXTHDR_ICMP;
    bytes[ipAt + 7] = bytes[networkAt + 7];
    bytes.copyWithin(ipAt + 8, networkAt + 24, networkAt + 40);
    bytes.copyWithin(ipAt + 24, networkAt + 8, networkAt + 24);
    const sum = transportChecksum(bytes, ipAt, NEXTHDR_ICMP, icmpAt, icmpBytes);
    storeUint16(bytes, icmpAt + 2, sum);
  }
  return error;
}
