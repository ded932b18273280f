// Layer-4 checksum verification at prerouting (nf_ip_checksum, nf_ip6_checksum): RFC 1071 over pseudo header and segment.
// Skipped where the device verified it (CHECKSUM_UNNECESSARY). UDP over IPv4 with checksum 0 carries none.

/** Sum of 16-bit words, not folded; an odd last byte counts as the high one. At most 128 KiB (no overflow in 2^53). */
export function sumWords(bytes: Uint8Array, at: number, lenBytes: number, initial: number): number {
  let sum = initial;
  const even = at + (lenBytes & ~1);
  let i = at;
  for (; i < even; i += 2) sum += (bytes[i] << 8) | bytes[i + 1];
  if ((lenBytes & 1) !== 0) sum += bytes[i] << 8;
  return sum;
}

/** Folds a sum to 16 bits with end-around carry. */
export function fold(sum: number): number {
  let s = sum;
  while (s > 0xffff) s = (s & 0xffff) + Math.floor(s / 0x10000);
  return s;
}

/** Whether the checksum over pseudo header and `lenBytes` at `l4At` is right. `networkAt` names the IP header. */
export function l4ChecksumIsRight(
  bytes: Uint8Array,
  networkAt: number,
  family: number,
  protocol: number,
  l4At: number,
  lenBytes: number,
): boolean {
  const pseudo =
    family === 2
      ? sumWords(bytes, networkAt + 12, 8, protocol + lenBytes)
      : sumWords(bytes, networkAt + 8, 32, protocol + lenBytes);
  return fold(sumWords(bytes, l4At, lenBytes, pseudo)) === 0xffff;
}

/** Whether the checksum of an ICMP (version 4) message, which has no pseudo header, is right. */
export function icmpChecksumIsRight(bytes: Uint8Array, at: number, lenBytes: number): boolean {
  return fold(sumWords(bytes, at, lenBytes, 0)) === 0xffff;
}
