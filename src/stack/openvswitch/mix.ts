// Mixing a word into a hash (the finalizer of murmur3): for hashes whose values nobody sees, only which ones are equal.

/** Unsigned. */
export function mix32(hash: number, value: number): number {
  let mixed = Math.imul(hash ^ value, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
