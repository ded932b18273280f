// The random numbers of port selection: a 32-bit generator (Marsaglia's xorshift32, "Xorshift RNGs", 2003) from the run's seed, so that
// the same seed gives the same ports.

import { xorshift32 } from '../../xorshift.ts';

export class NatRandom {
  private state: number;

  constructor(seed: number) {
    this.state = (Math.imul(seed + 1, 0x9e37_79b1) ^ 0x6d2b_79f5) | 1;
  }

  /** 0 to 65535. */
  next16(): number {
    this.state = xorshift32(this.state);
    return this.state >>> 16;
  }
}
