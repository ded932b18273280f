// The IPv6 part of flow key extraction: header and chain of extension headers (parse_ipv6hdr and ipv6_find_hdr).
//
// Peculiar: a later fragment has protocol 44 whatever it carries, unless the header after the fragment header is itself an
// extension header: then the kernel's search fails, and the key says "first fragment" and protocol 59 (none). A chain
// that breaks off keeps addresses and hop limit, with protocol 59.

import type { FlowKey } from './flow-key.ts';

/** Neighbour discovery options that go into a key (RFC 4861). */
export const ND_OPT = { sourceLinkLayer: 1, targetLinkLayer: 2 } as const;

const IPV6_BYTES = 40;
const NEXTHDR_HOP = 0;
const NEXTHDR_ROUTING = 43;
const NEXTHDR_FRAGMENT = 44;
const NEXTHDR_ESP = 50;
const NEXTHDR_AUTH = 51;
const NEXTHDR_NONE = 59;
const NEXTHDR_DEST = 60;
const FRAG_FIRST = 1;
const FRAG_LATER = 2;

/**
 * Fills the network fields of `key` from the IPv6 header at `at`. Returns where the transport header is, -1 when there is
 * none to read: header cut short (all zero), later fragment, or broken chain.
 */
export function parseIpv6Chain(key: FlowKey, bytes: Uint8Array, at: number, end: number): number {
  if (end - at < IPV6_BYTES) return -1;
  key.ipProto = NEXTHDR_NONE;
  key.ipTos = ((bytes[at] & 0x0f) << 4) | (bytes[at + 1] >>> 4);
  key.ipTtl = bytes[at + 7];
  key.ipv6Label = ((bytes[at + 1] & 0x0f) << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
  for (let i = 0; i < 16; i++) {
    key.ipv6Src[i] = bytes[at + 8 + i];
    key.ipv6Dst[i] = bytes[at + 24 + i];
  }
  let next = bytes[at + 6];
  let headerAt = at + IPV6_BYTES;
  key.ipv6Exthdrs = extensionBits(bytes, headerAt, end, next);
  while (isExtension(next)) {
    if (headerAt + 2 > end) return -1;
    const after = bytes[headerAt];
    let headerBytes = (bytes[headerAt + 1] + 1) * 8;
    if (next === NEXTHDR_FRAGMENT) {
      if (headerAt + 4 > end) {
        key.ipFrag = FRAG_FIRST;
        return -1;
      }
      const offset = ((bytes[headerAt + 2] << 8) | bytes[headerAt + 3]) & ~7;
      key.ipFrag = FRAG_FIRST;
      if (offset !== 0) {
        if (!isExtension(after)) {
          key.ipFrag = FRAG_LATER;
          key.ipProto = NEXTHDR_FRAGMENT;
        }
        return -1;
      }
      headerBytes = 8;
    } else if (next === NEXTHDR_AUTH) {
      headerBytes = (bytes[headerAt + 1] + 2) * 4;
    }
    next = after;
    headerAt += headerBytes;
  }
  key.ipProto = next;
  return headerAt;
}

/** OFPIEH12_* bit of each extension header; the last says that a header came twice. */
const BITS: Readonly<Record<number, number>> = {
  [NEXTHDR_NONE]: 1 << 0,
  [NEXTHDR_ESP]: 1 << 1,
  [NEXTHDR_AUTH]: 1 << 2,
  [NEXTHDR_DEST]: 1 << 3,
  [NEXTHDR_FRAGMENT]: 1 << 4,
  [NEXTHDR_ROUTING]: 1 << 5,
  [NEXTHDR_HOP]: 1 << 6,
};
const UNREPEATED = 1 << 7;

/** Which extension headers there are (get_ipv6_ext_hdrs). Not told: headers out of the recommended order. */
function extensionBits(bytes: Uint8Array, at: number, end: number, first: number): number {
  let bits = 0;
  let next = first;
  let headerAt = at;
  while (BITS[next] !== undefined) {
    if ((bits & BITS[next]) !== 0 && next !== NEXTHDR_DEST) bits |= UNREPEATED;
    bits |= BITS[next];
    if (next === NEXTHDR_NONE || next === NEXTHDR_ESP || headerAt + 2 > end) break;
    const words = bytes[headerAt + 1];
    const lenBytes =
      next === NEXTHDR_FRAGMENT ? 8 : next === NEXTHDR_AUTH ? (words + 2) * 4 : (words + 1) * 8;
    next = bytes[headerAt];
    headerAt += lenBytes;
  }
  return bits;
}

/** Headers that the search steps over; "no next header" ends it like a transport protocol. */
function isExtension(header: number): boolean {
  return (
    header === NEXTHDR_HOP ||
    header === NEXTHDR_ROUTING ||
    header === NEXTHDR_FRAGMENT ||
    header === NEXTHDR_AUTH ||
    header === NEXTHDR_DEST
  );
}
