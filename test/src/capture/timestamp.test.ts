// Time stamps of every resolution against BigInt arithmetic.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TimestampSplitter } from '../../../src/capture/timestamp.ts';

const splitter = new TimestampSplitter();

function split(count: bigint, resolution: number): [number, number] {
  splitter.split(Number(count >> 32n), Number(count & 0xffffffffn), resolution);
  return [splitter.seconds, splitter.fractionPs];
}

function oracle(count: bigint, resolution: number): [bigint, bigint] {
  const n = BigInt(resolution & 0x7f);
  const units = resolution >= 0x80 ? 1n << n : 10n ** n;
  return [count / units, ((count % units) * 10n ** 12n) / units];
}

const u64 = fc.oneof(
  fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
  fc.bigInt({ min: 0n, max: 3n }).map((n) => n * 10n ** 9n),
  fc.bigInt({ min: -2n, max: 2n }).map((n) => 1_700_000_000n * 10n ** 9n + n),
);

describe('TimestampSplitter', () => {
  it('is exact for powers of ten', () => {
    fc.assert(
      fc.property(u64, fc.integer({ min: 0, max: 127 }), (count, resolution) => {
        const [seconds, fractionPs] = oracle(count, resolution);
        const [ourSeconds, ourFraction] = split(count, resolution);
        expect(ourFraction).toBe(Number(fractionPs));
        if (seconds < 1n << 53n) expect(ourSeconds).toBe(Number(seconds));
      }),
      { seed: 20260721, numRuns: 3000 },
    );
  });

  it('is exact to a picosecond for powers of two', () => {
    fc.assert(
      fc.property(u64, fc.integer({ min: 0, max: 127 }), (count, exponent) => {
        const [seconds, fractionPs] = oracle(count, 0x80 | exponent);
        const [ourSeconds, ourFraction] = split(count, 0x80 | exponent);
        if (seconds < 1n << 53n) expect(ourSeconds).toBe(Number(seconds));
        expect(Math.abs(ourFraction - Number(fractionPs))).toBeLessThanOrEqual(1);
        expect(ourFraction).toBeLessThan(1e12);
      }),
      { seed: 20260721, numRuns: 3000 },
    );
  });
});
