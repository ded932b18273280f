// One step of Marsaglia's xorshift32 ("Xorshift RNGs", 2003): what the stack's seeded draws are made of.

/** The state after `state` (not 0), as a signed 32-bit number. */
export function xorshift32(state: number): number {
  let x = state;
  x ^= x << 13;
  x ^= x >>> 17;
  return x ^ (x << 5);
}
