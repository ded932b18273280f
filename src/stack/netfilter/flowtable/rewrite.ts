// Rewriting a packet in place on the fast path: TTL, addresses and ports, checksums adjusted incrementally (RFC 1624), so a
// wrong checksum leaves as wrong as it came (recordings). UDP checksum 0 stays 0; a computed 0 becomes 0xffff.

import type { Tuple } from '../conntrack/tuple.ts';

/** One's complement sum of a 16-bit checksum field after a word changed. */
function adjust16(check: number, from: number, to: number): number {
  let sum = (~check & 0xffff) + (~from & 0xffff) + to;
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

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

/** Changes one 32-bit word of an address. */
function replaceWord(
  bytes: Uint8Array,
  at: number,
  word: number,
  ipCheckAt: number,
  l4CheckAt: number,
): void {
  for (let half = 0; half < 2; half++) {
    const to = half === 0 ? word >>> 16 : word & 0xffff;
    const from = read16(bytes, at + 2 * half);
    if (from === to) continue;
    if (ipCheckAt >= 0) write16(bytes, ipCheckAt, adjust16(read16(bytes, ipCheckAt), from, to));
    if (l4CheckAt >= 0) write16(bytes, l4CheckAt, adjust16(read16(bytes, l4CheckAt), from, to));
    write16(bytes, at + 2 * half, to);
  }
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
  for (let half = 0; half < 2; half++) {
    const port = half === 0 ? to.l4 >>> 16 : to.l4 & 0xffff;
    const from = read16(bytes, l4At + 2 * half);
    if (from === port) continue;
    if (check >= 0) write16(bytes, check, adjust16(read16(bytes, check), from, port));
    write16(bytes, l4At + 2 * half, port);
  }
  if (family === 2) {
    replaceWord(bytes, at + 12, to.s0, at + 10, check);
    replaceWord(bytes, at + 16, to.d0, at + 10, check);
  } else {
    replaceWord(bytes, at + 8, to.s0, -1, check);
    replaceWord(bytes, at + 12, to.s1, -1, check);
    replaceWord(bytes, at + 16, to.s2, -1, check);
    replaceWord(bytes, at + 20, to.s3, -1, check);
    replaceWord(bytes, at + 24, to.d0, -1, check);
    replaceWord(bytes, at + 28, to.d1, -1, check);
    replaceWord(bytes, at + 32, to.d2, -1, check);
    replaceWord(bytes, at + 36, to.d3, -1, check);
  }
  if (protocol === 17 && check >= 0 && read16(bytes, check) === 0) write16(bytes, check, 0xffff);
}
