// The histogram against a sorted list: exact count, sum, extremes; percentiles within 1/64.

import { describe, expect, it } from 'vitest';
import { TimeHistogram } from '../../../src/report/histogram.ts';

function lcg(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 4294967296;
  };
}

describe('TimeHistogram', () => {
  it.each([1, 2, 3])('agrees with a sorted list within one part in 64 (seed %i)', (seed) => {
    const random = lcg(seed);
    const histogram = new TimeHistogram();
    const values: number[] = [];
    let sum = 0;
    for (let i = 0; i < 5000; i++) {
      const value = Math.floor(2 ** (random() * 50));
      values.push(value);
      sum += value;
      histogram.record(value);
    }
    values.sort((a, b) => a - b);
    expect(histogram.count).toBe(5000);
    expect(histogram.maxPs).toBe(values[4999]);
    expect(histogram.minPs).toBe(values[0]);
    expect(histogram.sumPs).toBe(sum);
    for (const fraction of [0.001, 0.5, 0.9, 0.99, 0.999, 1]) {
      const exact = values[Math.ceil(fraction * 5000) - 1];
      const found = histogram.percentilePs(fraction);
      expect(found).toBeGreaterThanOrEqual(exact);
      expect(found).toBeLessThanOrEqual(exact * (1 + 1 / 64) + 1);
    }
  });

  it('says zero when empty and takes zero', () => {
    const histogram = new TimeHistogram();
    expect(histogram.percentilePs(0.5)).toBe(0);
    histogram.record(0);
    expect(histogram.percentilePs(0.5)).toBe(0);
    expect(histogram.count).toBe(1);
  });
});
