// The Internet checksum (RFC 1071) over bytes in place, with the pseudo headers of TCP, UDP and ICMPv6, and the update by
// difference that a router makes when it lowers the TTL or changes a field (RFC 1624): a wrong checksum stays as wrong as it was.

/** Sum of 16-bit words (not folded, not inverted), added to `seed`. Good for up to 64 KiB of data per call. */
export function sumWords(bytes: Uint8Array, at: number, lenBytes: number, seed = 0): number {
  let sum = seed;
  const end = at + (lenBytes & ~1);
  for (let i = at; i < end; i += 2) sum += (bytes[i] << 8) | bytes[i + 1];
  if ((lenBytes & 1) !== 0) sum += bytes[end] << 8;
  return sum;
}

/** Folds a sum to 16 bits and inverts it: what stands in a checksum field; 0 over data that includes a right checksum. */
export function foldChecksum(sum: number): number {
  let folded = (sum & 0xffff) + (sum >>> 16);
  folded = (folded & 0xffff) + (folded >>> 16);
  folded = (folded & 0xffff) + (folded >>> 16);
  return ~folded & 0xffff;
}

/** Checksum of a run of bytes. */
export function inetChecksum(bytes: Uint8Array, at: number, lenBytes: number, seed = 0): number {
  return foldChecksum(sumWords(bytes, at, lenBytes, seed));
}

/** Sum of the pseudo header of the IP header at `networkAt` for a transport of `lenBytes` bytes. */
export function pseudoHeaderSum(
  bytes: Uint8Array,
  networkAt: number,
  protocol: number,
  lenBytes: number,
): number {
  return bytes[networkAt] >> 4 === 4
    ? sumWords(bytes, networkAt + 12, 8, protocol + lenBytes)
    : sumWords(bytes, networkAt + 8, 32, protocol + lenBytes);
}

/** Checksum of a TCP, UDP or ICMPv6 message; 0 when the message carries a right one. */
export function transportChecksum(
  bytes: Uint8Array,
  networkAt: number,
  protocol: number,
  at: number,
  lenBytes: number,
): number {
  return inetChecksum(bytes, at, lenBytes, pseudoHeaderSum(bytes, networkAt, protocol, lenBytes));
}

/** Recomputes the checksum of the IPv4 header at `at`. */
export function setIpv4Checksum(bytes: Uint8Array, at: number): void {
  bytes[at + 10] = 0;
  bytes[at + 11] = 0;
  const sum = inetChecksum(bytes, at, (bytes[at] & 15) * 4);
  bytes[at + 10] = sum >> 8;
  bytes[at + 11] = sum;
}

/** Lowers the TTL of the IPv4 header at `at` by one and adjusts its checksum by difference: a wrong one stays wrong. */
export function decreaseTtl(bytes: Uint8Array, at: number): void {
  let check = ((bytes[at + 10] << 8) | bytes[at + 11]) + 0x0100;
  if (check >= 0xffff) check = (check + 1) & 0xffff;
  bytes[at + 8]--;
  bytes[at + 10] = check >> 8;
  bytes[at + 11] = check;
}

/** One's complement sum of a 16-bit checksum field after a word changed (RFC 1624, equation 3). */
export function adjustChecksum(check: number, from: number, to: number): number {
  let sum = (~check & 0xffff) + (~from & 0xffff) + to;
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** Writes a 16-bit field; checksums at `checkAt` and `otherCheckAt` (−1 for none) follow. */
export function replace16(
  bytes: Uint8Array,
  at: number,
  value: number,
  checkAt: number,
  otherCheckAt = -1,
): void {
  const from = (bytes[at] << 8) | bytes[at + 1];
  if (from === value) return;
  if (checkAt >= 0) adjustAt(bytes, checkAt, from, value);
  if (otherCheckAt >= 0) adjustAt(bytes, otherCheckAt, from, value);
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

/** Writes a 32-bit field likewise. */
export function replace32(
  bytes: Uint8Array,
  at: number,
  word: number,
  checkAt: number,
  otherCheckAt = -1,
): void {
  replace16(bytes, at, word >>> 16, checkAt, otherCheckAt);
  replace16(bytes, at + 2, word & 0xffff, checkAt, otherCheckAt);
}

function adjustAt(bytes: Uint8Array, checkAt: number, from: number, to: number): void {
  const sum = adjustChecksum((bytes[checkAt] << 8) | bytes[checkAt + 1], from, to);
  bytes[checkAt] = sum >>> 8;
  bytes[checkAt + 1] = sum;
}
