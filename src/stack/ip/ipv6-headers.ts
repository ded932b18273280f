// IPv6 extension headers (RFC 8200 section 4): finding the transport header, and what the options of hop-by-hop and destination
// headers demand of a node that does not know them (net/ipv6/exthdrs.c).

import { loadUint16 } from './address.ts';

export const NEXTHDR_HOP = 0;
export const NEXTHDR_ROUTING = 43;
export const NEXTHDR_FRAGMENT = 44;
export const NEXTHDR_AUTH = 51;
export const NEXTHDR_ICMP = 58;
export const NEXTHDR_NONE = 59;
export const NEXTHDR_DEST = 60;

export const IPV6_HEADER_BYTES = 40;

/** What a walk found. One object is reused: copy what must live longer. */
export interface HeaderWalk {
  /** Protocol behind the last extension header. */
  protocol: number;
  /** Offset in memory of what follows the last extension header (past the end when truncated). */
  transportAt: number;
  /** Offset in memory of the fragment header, −1 for none. */
  fragmentAt: number;
  /** Where the next-header field stands that names the fragment header. */
  fragmentNextAt: number;
  /** Fragment offset in bytes, 0 without a fragment header. */
  fragmentOffset: number;
  /** There is a routing header: the destination is not the last one. */
  hasRouting: boolean;
  /** The chain runs past the end of the packet. */
  truncated: boolean;
}

const walkResult: HeaderWalk = {
  protocol: 0,
  transportAt: 0,
  fragmentAt: -1,
  fragmentNextAt: 0,
  fragmentOffset: 0,
  hasRouting: false,
  truncated: false,
};

/** Walks the chain of the IPv6 packet at `at`, `lenBytes` long; stops behind a fragment header with offset ≠ 0. */
export function walkHeaders(bytes: Uint8Array, at: number, lenBytes: number): HeaderWalk {
  const walk = walkResult;
  const end = at + lenBytes;
  let next = bytes[at + 6];
  let nextAt = at + 6;
  let p = at + IPV6_HEADER_BYTES;
  walk.fragmentAt = -1;
  walk.fragmentNextAt = 0;
  walk.fragmentOffset = 0;
  walk.hasRouting = false;
  walk.truncated = false;
  while (isExtension(next)) {
    if (p + 8 > end) {
      walk.truncated = true;
      break;
    }
    let lengthBytes = (bytes[p + 1] + 1) * 8;
    if (next === NEXTHDR_ROUTING) walk.hasRouting = true;
    if (next === NEXTHDR_FRAGMENT) {
      lengthBytes = 8;
      walk.fragmentAt = p;
      walk.fragmentNextAt = nextAt;
      walk.fragmentOffset = loadUint16(bytes, p + 2) & 0xfff8;
    } else if (next === NEXTHDR_AUTH) lengthBytes = (bytes[p + 1] + 2) * 4;
    nextAt = p;
    next = bytes[p];
    p += lengthBytes;
    if (walk.fragmentOffset !== 0) break;
  }
  if (p > end) walk.truncated = true;
  walk.protocol = next;
  walk.transportAt = p;
  return walk;
}

function isExtension(next: number): boolean {
  return (
    next === NEXTHDR_HOP ||
    next === NEXTHDR_ROUTING ||
    next === NEXTHDR_FRAGMENT ||
    next === NEXTHDR_AUTH ||
    next === NEXTHDR_DEST
  );
}

/** Answers of checkOptions that are no offset. */
export const OPTIONS_OK = -1;
export const OPTIONS_DROP = -2;

/**
 * Checks the options of the hop-by-hop or destination header at `p` of the packet at `at`: OPTIONS_OK, OPTIONS_DROP
 * (silently), or the offset from the packet's start of an unknown option that asks for a parameter problem (code 2).
 */
export function checkOptions(
  bytes: Uint8Array,
  at: number,
  p: number,
  end: number,
  toGroup: boolean,
): number {
  const headerBytes = (bytes[p + 1] + 1) * 8;
  if (p + headerBytes > end) return OPTIONS_DROP;
  const stop = p + headerBytes;
  for (let i = p + 2; i < stop;) {
    const type = bytes[i];
    if (type === 0) {
      i++;
      continue;
    }
    const lengthBytes = i + 1 < stop ? bytes[i + 1] + 2 : stop + 1;
    if (i + lengthBytes > stop) return OPTIONS_DROP;
    const known = type === 1 || (type === 5 && lengthBytes === 4);
    if (!known) {
      const action = type >> 6;
      if (action === 1) return OPTIONS_DROP;
      if (action === 2 || (action === 3 && !toGroup)) return i - at;
      if (action === 3) return OPTIONS_DROP;
    }
    i += lengthBytes;
  }
  return OPTIONS_OK;
}
