// Changing one end of a packet as NAT says (nf_nat_manip_pkt): address, port or ICMP id, checksums by difference, so that a wrong one
// stays wrong. UDP checksum 0 stays 0, a computed 0 becomes 0xffff; SCTP's CRC32c is computed anew, as it has no difference.
//
// The packet may be the quotation inside an ICMP error, cut behind 8 bytes of its transport header: a checksum that is not there
// is not touched. GRE keys stay (only the PPTP helper changes them).

import { loadUint16, storeInt32, storeUint16 } from '../../ip/address.ts';
import { replace16, replace32 } from '../../ip/checksum.ts';
import {
  IPPROTO_DCCP,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_SCTP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  IPPROTO_UDPLITE,
} from '../conntrack/tuple.ts';
import type { Tuple } from '../conntrack/tuple.ts';
import { crc32c } from './crc32c.ts';
import { MANIP_SRC } from './range.ts';

const TCP_HEADER_BYTES = 20;
const UDP_HEADER_BYTES = 8;
const SCTP_HEADER_BYTES = 12;
const DCCP_HEADER_BYTES = 12;

/** Where the checksum that covers the addresses is, −1 for none. */
function coveringCheckAt(
  bytes: Uint8Array,
  l4At: number,
  l4Bytes: number,
  protocol: number,
): number {
  switch (protocol) {
    case IPPROTO_TCP:
      return l4Bytes < TCP_HEADER_BYTES ? -1 : l4At + 16;
    case IPPROTO_UDP:
    case IPPROTO_UDPLITE:
      if (l4Bytes < UDP_HEADER_BYTES) return -1;
      return loadUint16(bytes, l4At + 6) === 0 ? -1 : l4At + 6;
    case IPPROTO_DCCP:
      return l4Bytes < DCCP_HEADER_BYTES ? -1 : l4At + 6;
    case IPPROTO_ICMPV6:
      return l4Bytes < 4 ? -1 : l4At + 2;
    default:
      return -1;
  }
}

/**
 * Gives the packet with IP header at `at` and transport header at `l4At` (`l4Bytes` to its end) the source (MANIP_SRC) or destination
 * of `target`.
 */
export function mangle(
  bytes: Uint8Array,
  at: number,
  l4At: number,
  l4Bytes: number,
  protocol: number,
  target: Tuple,
  manip: number,
): void {
  const check = coveringCheckAt(bytes, l4At, l4Bytes, protocol);
  manglePort(bytes, l4At, l4Bytes, protocol, target, manip, check);
  const isSource = manip === MANIP_SRC;
  if (target.family === 2)
    replace32(bytes, at + (isSource ? 12 : 16), isSource ? target.s0 : target.d0, check, at + 10);
  else {
    const from = at + (isSource ? 8 : 24);
    replace32(bytes, from, isSource ? target.s0 : target.d0, check);
    replace32(bytes, from + 4, isSource ? target.s1 : target.d1, check);
    replace32(bytes, from + 8, isSource ? target.s2 : target.d2, check);
    replace32(bytes, from + 12, isSource ? target.s3 : target.d3, check);
  }
  const isUdp = protocol === IPPROTO_UDP || protocol === IPPROTO_UDPLITE;
  if (isUdp && check >= 0 && loadUint16(bytes, check) === 0) storeUint16(bytes, check, 0xffff);
}

function manglePort(
  bytes: Uint8Array,
  l4At: number,
  l4Bytes: number,
  protocol: number,
  target: Tuple,
  manip: number,
  check: number,
): void {
  const portAt = manip === MANIP_SRC ? l4At : l4At + 2;
  const port = manip === MANIP_SRC ? target.l4 >>> 16 : target.l4 & 0xffff;
  switch (protocol) {
    case IPPROTO_TCP:
    case IPPROTO_UDP:
    case IPPROTO_UDPLITE:
    case IPPROTO_DCCP:
      if (l4Bytes >= 4) replace16(bytes, portAt, port, check);
      return;
    case IPPROTO_SCTP:
      if (l4Bytes < 4) return;
      storeUint16(bytes, portAt, port);
      if (l4Bytes < SCTP_HEADER_BYTES) return;
      storeInt32(bytes, l4At + 8, 0);
      storeCrc(bytes, l4At + 8, crc32c(bytes, l4At, l4Bytes));
      return;
    case IPPROTO_ICMP:
      if (l4Bytes >= 8 && hasId4(bytes[l4At]))
        replace16(bytes, l4At + 4, target.l4 >>> 16, l4At + 2);
      return;
    case IPPROTO_ICMPV6:
      if (l4Bytes >= 8 && (bytes[l4At] === 128 || bytes[l4At] === 129))
        replace16(bytes, l4At + 4, target.l4 >>> 16, check);
      return;
    default: // no ports
  }
}

/** ICMP queries and their answers, which carry an id. */
function hasId4(type: number): boolean {
  return type === 0 || type === 8 || (type >= 13 && type <= 18);
}

/** SCTP sends its CRC least significant byte first (RFC 9260, appendix A). */
function storeCrc(bytes: Uint8Array, at: number, crc: number): void {
  bytes[at] = crc;
  bytes[at + 1] = crc >>> 8;
  bytes[at + 2] = crc >>> 16;
  bytes[at + 3] = crc >>> 24;
}
