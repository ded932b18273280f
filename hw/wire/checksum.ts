// The Internet checksum: sums over bytes (RFC 1071) and incremental update (RFC 1624, equation 3).
//
// Sums are plain numbers that may exceed 16 bits until `fold`: 32,768 words of 16 bits stay below 2^31.

/** Adds the 16-bit big-endian words of [at, at + lenBytes) to `sum`; an odd last byte is padded with zero. Not folded. */
export function sumBytes(bytes: Uint8Array, at: number, lenBytes: number, sum = 0): number {
  let total = sum;
  const end = at + (lenBytes & ~1);
  let high = 0;
  let low = 0;
  for (let i = at; i < end; i += 2) {
    high += bytes[i];
    low += bytes[i + 1];
  }
  total += high * 256 + low;
  if ((lenBytes & 1) !== 0) total += bytes[end] << 8;
  return total;
}

/** Reduces a sum below 2^48 to 16 bits with end-around carry. */
export function fold(sum: number): number {
  let s = sum > 0x7fffffff ? (sum % 0x10000) + Math.floor(sum / 0x10000) : sum;
  s = (s & 0xffff) + (s >>> 16);
  return (s & 0xffff) + (s >>> 16);
}

/** The checksum field's value for a sum. */
export function checksumOf(sum: number): number {
  return ~fold(sum) & 0xffff;
}

/** Incremental update: what to add to the running delta when a 32-bit word changes. */
export function delta32(oldWord: number, newWord: number): number {
  const inverse = ~oldWord;
  return (
    (inverse & 0xffff) +
    ((inverse >>> 16) & 0xffff) +
    (newWord & 0xffff) +
    ((newWord >>> 16) & 0xffff)
  );
}

/** Incremental update: the same for a 16-bit word. */
export function delta16(oldWord: number, newWord: number): number {
  return (~oldWord & 0xffff) + (newWord & 0xffff);
}

/** New checksum field after the deltas of all changed words: HC' = ~(~HC + delta). */
export function updateChecksum(oldChecksum: number, delta: number): number {
  return ~fold((~oldChecksum & 0xffff) + delta) & 0xffff;
}
