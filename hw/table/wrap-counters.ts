// Counters of finite width, and what the host sees of them: they wrap, and their copy in host reach is stale.
//
// Hardware counters have 32 to 48 bits (MediaTek PPE: 48 for bytes, 40 for packets, hw 4.2) and wrap silently. Reading
// them one by one is slow, so devices copy them to memory now and then (firmware sweeps); a reader sees the value as of
// the last copy. Naive idea: copy all counters every `refreshPs`, an event and a sweep each time. Here a counter keeps
// the value that it had at the last copy before its last change: a read returns that one if no copy has happened since
// the change, else the current one. Same answers, no events.
//
// `counterDelta` is the driver's side: the increase between two reads of a counter that may have wrapped once.

import { assert } from '../base/assert.ts';

export class WrapCounters {
  readonly widthBits: number;
  private readonly modulus: number;
  /** Time between copies, ps; 0: reads are always current. */
  private readonly refreshPs: number;
  private readonly value: Float64Array;
  private readonly copied: Float64Array;
  /** Number of the copy interval of the last change. */
  private readonly interval: Float64Array;

  constructor(counters: number, widthBits: number, refreshPs: number) {
    assert(widthBits >= 1 && widthBits <= 52, 'counters: 1 to 52 bits');
    this.widthBits = widthBits;
    this.modulus = 2 ** widthBits;
    this.refreshPs = refreshPs;
    this.value = new Float64Array(counters);
    this.copied = new Float64Array(counters);
    this.interval = new Float64Array(counters);
  }

  /** Adds at `atPs` (never before an earlier change); amounts below 2^52. */
  add(counter: number, amount: number, atPs: number): void {
    if (this.refreshPs > 0) {
      const interval = Math.floor(atPs / this.refreshPs);
      if (interval > this.interval[counter]) {
        this.interval[counter] = interval;
        this.copied[counter] = this.value[counter];
      }
    }
    let sum = this.value[counter] + amount;
    while (sum >= this.modulus) sum -= this.modulus;
    this.value[counter] = sum;
  }

  /** What a reader sees at `atPs`. */
  read(counter: number, atPs: number): number {
    if (this.refreshPs === 0) return this.value[counter];
    const interval = Math.floor(atPs / this.refreshPs);
    return interval > this.interval[counter] ? this.value[counter] : this.copied[counter];
  }

  /** The current value, for the model's own reports. */
  current(counter: number): number {
    return this.value[counter];
  }

  /** A new entry takes the counter over. */
  clear(counter: number): void {
    this.value[counter] = 0;
    this.copied[counter] = 0;
    this.interval[counter] = 0;
  }
}

/** Increase from one read to the next, both in [0, 2^widthBits), if it wrapped at most once. */
export function counterDelta(before: number, after: number, widthBits: number): number {
  return after >= before ? after - before : after - before + 2 ** widthBits;
}
