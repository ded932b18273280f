// Rewriting a packet in place on the fast path: TTL, addresses and ports, checksums adjusted incrementally (RFC 1624), so a
// wrong checksum leaves as wrong as it came (recordings). UDP checksum 0 stays 0; a computed 0 becomes 0xffff.

import { replace16, replace32 } from '../../ip/checksum.ts';
import type { Tuple } from '../conntrack/tuple.ts';

function read16(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1];
}

function write16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

/** Decrements TTL or hop limit; IPv4's header checksum follows as ip_decrease_ttl does it. */
export function decrementTtl(bytes: Uint8Array, at: number, family: number): void {
  if (family !== 2) {
    bytes[at + 7]--;
    return;
  }
  const check = read16(bytes, at + 10) + 0x0100;
  write16(bytes, at + 10, (check + (check >= 0xffff ? 1 : 0)) & 0xffff);
  bytes[at + 8]--;
}

/** Where the transport checksum is, −1 when the packet carries none (UDP with 0). */
function l4CheckAt(bytes: Uint8Array, l4At: number, protocol: number): number {
  if (protocol === 6) return l4At + 16;
  return read16(bytes, l4At + 6) === 0 ? -1 : l4At + 6;
}

/** Gives the packet at `at` the addresses and ports of `to` (its words as in conntrack's tuples). */
export function rewriteTuple(
  bytes: Uint8Array,
  at: number,
  l4At: number,
  family: number,
  protocol: number,
  to: Tuple,
): void {
  const check = l4CheckAt(bytes, l4At, protocol);
  replace16(bytes, l4At, to.l4 >>> 16, check);
  replace16(bytes, l4At + 2, to.l4 & 0xffff, check);
  if (family === 2) {
    replace32(bytes, at + 12, to.s0, check, at + 10);
    replace32(bytes, at + 16, to.d0, check, at + 10);
  } else {
    replace32(bytes, at + 8, to.s0, check);
    replace32(bytes, at + 12, to.s1, check);
    replace32(bytes, at + 16, to.s2, check);
    replace32(bytes, at + 20, to.s3, check);
    replace32(bytes, at + 24, to.d0, check);
    replace32(bytes, at + 28, to.d1, check);
    replace32(bytes, at + 32, to.d2, check);
    replace32(bytes, at + 36, to.d3, check);
  }
  if (protocol === 17 && check >= 0 && read16(bytes, check) === 0) write16(bytes, check, 0xffff);
}
