// Range matching: published counts (V16, hw 3.4), exhaustive membership for narrow fields, registers with a limit.

import { describe, expect, it } from 'vitest';
import {
  countPrefixes,
  entriesOfRule,
  expandToGray,
  expandToPrefixes,
  isOneTernary,
  RangeRegisters,
  type Ternary,
} from '../../hw/table/ranges.ts';
import { seeded } from '../reference/linear-tcam.ts';

const range = (lo: number, hi: number, widthBits = 16) => ({ lo, hi, widthBits });
const hits = (cover: Ternary[], field: number): boolean =>
  cover.some(({ value, mask }) => ((field ^ value) & mask) === 0);

/** Fewest aligned blocks by dynamic programming over trie nodes: independent of the greedy walk. */
function blocksByTrie(lo: number, hi: number, nodeLo: number, nodeSize: number): number {
  if (hi < nodeLo || lo > nodeLo + nodeSize - 1) return 0;
  if (lo <= nodeLo && hi >= nodeLo + nodeSize - 1) return 1;
  const half = nodeSize / 2;
  return blocksByTrie(lo, hi, nodeLo, half) + blocksByTrie(lo, hi, nodeLo + half, half);
}

describe('prefix expansion', () => {
  it('has the published counts', () => {
    expect(countPrefixes(range(1, 65534))).toBe(30);
    expect(entriesOfRule([range(1, 65534), range(1, 65534)], 'prefix')).toBe(900);
    expect(countPrefixes(range(1024, 65535))).toBe(6);
    expect(countPrefixes(range(0, 1023))).toBe(1);
    expect(countPrefixes(range(0, 65535))).toBe(1);
    expect(countPrefixes(range(80, 80))).toBe(1);
  });

  it('has the worked example of four bits: 30 + 3 = 33 entries', () => {
    const four = (lo: number, hi: number) => range(lo, hi, 4);
    const counts = [four(1, 14), four(5, 14), four(7, 10), four(2, 3)].map(countPrefixes);
    expect(counts).toEqual([6, 5, 3, 1]);
    const first = entriesOfRule([four(1, 14), four(5, 14)], 'prefix');
    const second = entriesOfRule([four(7, 10), four(2, 3)], 'prefix');
    expect([first, second, first + second]).toEqual([30, 3, 33]);
  });

  it('covers exactly the range, with as few blocks as the trie has; worst case 2W − 2', () => {
    for (let width = 1; width <= 7; width++) {
      let worst = 0;
      for (let lo = 0; lo < 2 ** width; lo++)
        for (let hi = lo; hi < 2 ** width; hi++) {
          const cover = expandToPrefixes(range(lo, hi, width));
          for (let x = 0; x < 2 ** width; x++)
            if (hits(cover, x) !== (x >= lo && x <= hi)) expect.fail(`${lo}-${hi} at ${x}`);
          expect(cover.length).toBe(blocksByTrie(lo, hi, 0, 2 ** width));
          expect(countPrefixes(range(lo, hi, width))).toBe(cover.length);
          expect(isOneTernary(range(lo, hi, width))).toBe(cover.length === 1);
          worst = Math.max(worst, cover.length);
        }
      if (width > 1) expect(worst).toBe(2 * width - 2);
    }
  });

  it('works to the last bit of 32', () => {
    expect(expandToPrefixes(range(0xfffffffe, 0xffffffff, 32))).toEqual([
      { value: 0xfffffffe, mask: 0xfffffffe },
    ]);
    expect(expandToPrefixes(range(0, 0xffffffff, 32))).toEqual([{ value: 0, mask: 0 }]);
    expect(countPrefixes(range(1, 0xfffffffe, 32))).toBe(62);
    expect(() => countPrefixes(range(5, 4))).toThrow();
  });
});

describe('SRGE', () => {
  const reflected = (bits: number): number[] => {
    // The reflected code by its definition: the list, then the list backwards with a new bit set.
    if (bits === 0) return [0];
    const half = reflected(bits - 1);
    return [...half, ...[...half].reverse().map((code) => code + 2 ** (bits - 1))];
  };

  it('covers exactly the range for every range of up to 8 bits, in 2W − 4 entries or fewer', () => {
    for (let width = 1; width <= 8; width++) {
      const codes = reflected(width);
      let worst = 0;
      for (let lo = 0; lo < 2 ** width; lo++)
        for (let hi = lo; hi < 2 ** width; hi++) {
          const cover = expandToGray(range(lo, hi, width));
          for (let x = 0; x < 2 ** width; x++)
            if (hits(cover, codes[x]) !== (x >= lo && x <= hi)) expect.fail(`${lo}-${hi} at ${x}`);
          if (cover.length > countPrefixes(range(lo, hi, width)))
            expect.fail(`${lo}-${hi}: more than prefixes`);
          worst = Math.max(worst, cover.length);
        }
      if (width >= 4) expect(worst).toBe(2 * width - 4);
    }
  });

  it('16 bits: at most 28, membership at random points and at the edges', () => {
    const random = seeded(16);
    const codes = reflected(16);
    for (let n = 0; n < 400; n++) {
      const a = random(65536);
      const b = random(65536);
      const [lo, hi] = [Math.min(a, b), Math.max(a, b)];
      const cover = expandToGray(range(lo, hi));
      expect(cover.length).toBeLessThanOrEqual(28);
      const points = [lo, hi, Math.max(0, lo - 1), Math.min(65535, hi + 1)];
      for (let k = 0; k < 20; k++) points.push(random(65536));
      for (const x of points) expect(hits(cover, codes[x])).toBe(x >= lo && x <= hi);
    }
    expect(expandToGray(range(1, 65534)).length).toBeLessThanOrEqual(28);
  });
});

describe('range registers', () => {
  it('shares equal ranges, runs out at the limit, frees with the last user', () => {
    const registers = new RangeRegisters(2);
    expect(registers.acquire(0, range(80, 90))).toBe(0);
    expect(registers.acquire(0, range(80, 90))).toBe(0);
    expect(registers.acquire(1, range(80, 90))).toBe(1);
    expect(registers.acquire(0, range(1, 5))).toBe(-1);
    expect(registers.inUse).toBe(2);
    expect([registers.match(0, 80), registers.match(0, 91), registers.match(1, 90)]).toEqual([
      1, 0, 2,
    ]);
    registers.release(0);
    expect(registers.acquire(0, range(1, 5))).toBe(-1);
    registers.release(0);
    expect(registers.acquire(0, range(1, 5))).toBe(0);
    expect(() => new RangeRegisters(1).release(0)).toThrow();
    expect(entriesOfRule([range(1, 65534), range(1, 65534)], 'registers')).toBe(1);
  });
});
