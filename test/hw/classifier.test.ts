// The classifiers against a linear scan: inserts, removes and lookups interleaved, values from small pools so that rules overlap
// and keys are near misses, equal priorities, ids used again, rebuilds on the way.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ModelError } from '../../hw/base/assert.ts';
import { Arena, roundedWords } from '../../hw/table/classifier/arena.ts';
import { FiveTupleClassifier } from '../../hw/table/classifier/five-tuple.ts';
import type { FiveTupleRule } from '../../hw/table/classifier/five-tuple.ts';
import { commonPrefixMask16, HASH_0 } from '../../hw/table/classifier/layout.ts';
import { TernaryClassifier } from '../../hw/table/classifier/ternary.ts';
import { LinearClassifier } from '../reference/linear-classifier.ts';
import type { OracleField } from '../reference/linear-classifier.ts';

/** Park and Miller's generator: below(n) is 0..n-1. */
function generator(seed: number): (limit: number) => number {
  let state = (seed % 2147483646) + 1;
  return (limit) => {
    state = (state * 48271) % 2147483647;
    return state % limit;
  };
}

const any16 = { low: 0, high: 65535 };
const RANGES = [
  any16,
  any16,
  { low: 80, high: 80 },
  { low: 81, high: 81 },
  { low: 1024, high: 65535 },
  { low: 0, high: 1023 },
  { low: 79, high: 81 },
  { low: 65535, high: 65535 },
  { low: 0, high: 0 },
];
const PORTS = [0, 1, 78, 79, 80, 81, 82, 1023, 1024, 65535];
const PROTOCOLS = [
  { value: 6, mask: 0xff },
  { value: 17, mask: 0xff },
  { value: 0, mask: 0 },
  { value: 4, mask: 0x04 },
];
const prefix = (bits: number): number => (bits === 0 ? 0 : -1 << (32 - bits));

interface Pools {
  addresses: number[];
  masks: number[];
}

/** Few values: most rules overlap. Many: tables, nodes and doublings. */
const FEW: Pools = {
  addresses: [0, -1, 0x0a000001, 0x0a000002],
  masks: [0, 8, 31, 32].map(prefix),
};
function many(below: (limit: number) => number): Pools {
  const addresses = Array.from({ length: 200 }, () => (below(1 << 16) << 16) | below(1 << 16));
  return {
    addresses,
    masks: [0, 9, 16, 20, 24, 24, 30, 32, 32, 32].map(prefix).concat(0x00ff00ff),
  };
}

function randomRule(below: (limit: number) => number, pools: Pools): FiveTupleRule {
  const pick = <T>(pool: readonly T[]): T => pool[below(pool.length)];
  const [sport, dport, protocol] = [pick(RANGES), pick(RANGES), pick(PROTOCOLS)];
  return {
    src: pick(pools.addresses),
    srcMask: pick(pools.masks),
    dst: pick(pools.addresses),
    dstMask: pick(pools.masks),
    srcPortLow: sport.low,
    srcPortHigh: sport.high,
    dstPortLow: dport.low,
    dstPortHigh: dport.high,
    protocol: protocol.value,
    protocolMask: protocol.mask,
  };
}

function oracleFields(rule: FiveTupleRule): OracleField[] {
  const word = (value: number): bigint => BigInt(value >>> 0);
  return [
    { value: word(rule.src), mask: word(rule.srcMask) },
    { value: word(rule.dst), mask: word(rule.dstMask) },
    { low: word(rule.srcPortLow), high: word(rule.srcPortHigh) },
    { low: word(rule.dstPortLow), high: word(rule.dstPortHigh) },
    { value: word(rule.protocol), mask: word(rule.protocolMask) },
  ];
}

/** A classifier and its oracle, always changed together. */
class Pair {
  readonly classifier = new FiveTupleClassifier();
  readonly oracle = new LinearClassifier();

  insert(id: number, priority: number, rule: FiveTupleRule): void {
    this.classifier.insert(id, priority, rule);
    this.oracle.insert({ id, priority, fields: oracleFields(rule) });
  }

  remove(id: number): void {
    expect(this.classifier.remove(id)).toBe(this.oracle.remove(id));
  }

  compare(below: (limit: number) => number, pools: Pools, lookups: number, note: string): void {
    expect(this.classifier.ruleCount).toBe(this.oracle.rules.size);
    for (let i = 0; i < lookups; i++) {
      const src = pools.addresses[below(pools.addresses.length)] ^ (below(4) === 0 ? 1 : 0);
      const dst = pools.addresses[below(pools.addresses.length)] ^ (below(4) === 0 ? 1 << 20 : 0);
      const [sport, dport] = [PORTS[below(PORTS.length)], PORTS[below(PORTS.length)]];
      const protocol = [6, 17, 1, 4, 255][below(5)];
      const key = [src >>> 0, dst >>> 0, sport, dport, protocol].map(BigInt);
      const found = this.classifier.lookup(src, dst, (sport << 16) | dport, protocol);
      const wanted = this.oracle.lookup(key);
      if (found !== wanted) expect.fail(`${note}: key ${key.join(' ')}: ${found}, not ${wanted}`);
    }
  }
}

describe('FiveTupleClassifier', () => {
  for (const [name, seed, ids, steps] of [
    ['few values', 1, 40, 3000],
    ['few values', 2, 300, 3000],
    ['many values', 3, 2500, 9000],
    ['many values', 4, 700, 9000],
  ] as const)
    it(`answers as a linear scan: ${name}, seed ${seed}, up to ${ids} rules`, () => {
      const below = generator(seed);
      const pools = name === 'few values' ? FEW : many(below);
      const pair = new Pair();
      let growing = true;
      for (let step = 0; step < steps; step++) {
        const id = below(ids);
        // Grow and shrink in turn, so that trees empty and fill again.
        if (step % (steps / 4) === 0) growing = step % (steps / 2) === 0;
        if (pair.classifier.has(id)) {
          if (below(10) < (growing ? 2 : 9)) pair.remove(id);
        } else if (growing || below(10) < 3) {
          pair.insert(id, below(3) === 0 ? 5 : below(1000) - 500, randomRule(below, pools));
        }
        if (step % 10 === 0) pair.compare(below, pools, 3, `seed ${seed}, step ${step}`);
      }
      for (const id of [...pair.oracle.rules.keys()]) pair.remove(id);
      pair.compare(below, pools, 3, 'empty');
    });

  it('answers as a linear scan after a load, and after changes to it', () => {
    const below = generator(5);
    const pools = many(below);
    const pair = new Pair();
    pair.classifier.load(() => {
      for (let id = 0; id < 3000; id++) pair.insert(id, id, randomRule(below, pools));
    });
    pair.compare(below, pools, 500, 'loaded');
    for (let id = 0; id < 3000; id += 2) pair.remove(id);
    pair.compare(below, pools, 500, 'every second removed');
    for (let id = 0; id < 3000; id += 4) pair.insert(id, 4000 - id, randomRule(below, pools));
    pair.compare(below, pools, 500, 'some put back');
  });

  it('survives command sequences that fast-check shrinks', () => {
    const command = fc.tuple(fc.nat(25), fc.nat(3), fc.nat(10_000));
    fc.assert(
      fc.property(fc.array(command, { maxLength: 120 }), (commands) => {
        const pair = new Pair();
        for (const [id, priority, seed] of commands) {
          const below = generator(seed);
          if (pair.classifier.has(id)) pair.remove(id);
          else pair.insert(id, priority, randomRule(below, FEW));
          pair.compare(below, FEW, 2, `seed ${seed}`);
        }
      }),
      { seed: 20261121, numRuns: 60 },
    );
  });

  it('gives equal priorities to the lowest id, whatever the order of insertion', () => {
    const classifier = new FiveTupleClassifier();
    const all = randomRule(() => 0, { addresses: [0], masks: [0] });
    const rule = { ...all, protocolMask: 0 };
    for (const id of [7, 3, 9]) classifier.insert(id, 1, rule);
    expect(classifier.lookup(1, 2, 3, 4)).toBe(3);
    classifier.insert(20, 0, rule);
    expect(classifier.lookup(1, 2, 3, 4)).toBe(20);
    classifier.remove(20);
    classifier.remove(3);
    expect(classifier.lookup(1, 2, 3, 4)).toBe(7);
  });

  it('accepts the extreme priorities', () => {
    const classifier = new FiveTupleClassifier();
    const rule = { ...randomRule(() => 0, { addresses: [0], masks: [0] }), protocolMask: 0 };
    classifier.insert(0, 0x7fffffff, rule);
    expect(classifier.lookup(1, 2, 3, 4)).toBe(0);
    classifier.insert(1, -0x80000000, rule);
    expect(classifier.lookup(1, 2, 3, 4)).toBe(1);
  });

  it('throws on misuse', () => {
    const classifier = new FiveTupleClassifier();
    const rule = randomRule(() => 0, FEW);
    classifier.insert(1, 0, rule);
    expect(() => classifier.insert(1, 0, rule)).toThrow(ModelError);
    expect(() => classifier.insert(-1, 0, rule)).toThrow(ModelError);
    expect(() => classifier.insert(2, 2 ** 31, rule)).toThrow(ModelError);
    expect(() => classifier.insert(2, 0, { ...rule, srcPortHigh: 65536 })).toThrow(ModelError);
    expect(() => classifier.insert(2, 0, { ...rule, dstPortLow: 9, dstPortHigh: 8 })).toThrow(
      ModelError,
    );
    expect(classifier.remove(2)).toBe(false);
    expect(classifier.ruleCount).toBe(1);
  });

  // Values whose hashes differ in their low bits only fall into one slot of every table: the bucket must become a list.
  it('ends the recursion when a hash tells nothing apart', () => {
    let inverse = HASH_0;
    for (let i = 0; i < 5; i++) inverse = Math.imul(inverse, 2 - Math.imul(HASH_0, inverse));
    expect(Math.imul(inverse, HASH_0)).toBe(1);
    const pair = new Pair();
    const base = { ...randomRule(() => 0, FEW), dstMask: 0, protocolMask: 0 };
    const sources: number[] = [];
    for (let i = 0; i < 300; i++) {
      const mixed = Math.imul(i, inverse);
      sources.push(mixed ^ (mixed >>> 16));
      pair.insert(i, i, { ...base, src: sources[i], srcMask: -1 });
    }
    pair.compare(generator(1), { addresses: sources, masks: [-1] }, 1000, 'one slot');
  });
});

describe('TernaryClassifier', () => {
  for (const [keyWords, seed] of [
    [1, 11],
    [2, 12],
    [5, 13],
    [20, 14],
  ])
    it(`answers as a linear scan on ${keyWords * 32}-bit keys, seed ${seed}`, () => {
      const below = generator(seed);
      const classifier = new TernaryClassifier(keyWords);
      const oracle = new LinearClassifier();
      const pool = [0, -1, 0x0f0f0f0f, -65536, 0x00ffff00, 1, -0x80000000];
      const words = (): Int32Array =>
        Int32Array.from({ length: keyWords + 1 }, () => pool[below(pool.length)]);
      const big = (parts: Int32Array): bigint[] =>
        [...parts.subarray(1)].map((part) => BigInt(part >>> 0));
      const steps = keyWords < 20 ? 4000 : 1600;
      for (let step = 0; step < steps; step++) {
        const id = below(step < 0.7 * steps ? 600 : 60);
        if (classifier.has(id)) {
          expect(classifier.remove(id)).toBe(oracle.remove(id));
        } else {
          const [value, mask, priority] = [words(), words(), below(50)];
          classifier.insert(id, priority, value, mask, 1);
          const masks = big(mask);
          const fields = big(value).map((part, at) => ({ value: part, mask: masks[at] }));
          oracle.insert({ id, priority, fields });
        }
        if (step % 4 !== 0) continue;
        const key = words();
        const unsigned = Uint32Array.from(key);
        const wanted = oracle.lookup(big(key));
        if (classifier.lookup(key, 1) !== wanted || classifier.lookup(unsigned, 1) !== wanted)
          expect.fail(`step ${step}: key ${key.join(' ')}: not ${wanted}`);
      }
    });
});

describe('layout and arena', () => {
  it('finds the common prefix of a range by asking every number in it', () => {
    const below = generator(21);
    for (let i = 0; i < 300; i++) {
      const a = below(65536);
      const b = i % 2 === 0 ? below(65536) : Math.min(65535, a + below(9));
      const [low, high] = [Math.min(a, b), Math.max(a, b)];
      let alike = 0xffff;
      for (let port = low; port <= high; port++) alike &= ~(port ^ low);
      // Bits below the first unlike one count as unlike too: the mask is a prefix.
      let mask = 0;
      for (let bit = 15; bit >= 0 && (alike & (1 << bit)) !== 0; bit--) mask |= 1 << bit;
      expect(commonPrefixMask16(low, high)).toBe(mask);
    }
  });

  it('never hands out overlapping blocks, and reuses freed ones', () => {
    const below = generator(22);
    const arena = new Arena(0);
    const blocks: { at: number; wordCount: number; mark: number }[] = [];
    for (let step = 1; step <= 4000; step++) {
      if (blocks.length > 0 && below(2) === 0) {
        const [block] = blocks.splice(below(blocks.length), 1);
        const held = arena.words.subarray(block.at, block.at + block.wordCount);
        expect(held.every((word) => word === block.mark)).toBe(true);
        arena.release(block.at, block.wordCount);
        continue;
      }
      const wordCount = below(50) === 0 ? 1 + below(5000) : 1 + below(60);
      const at = arena.allocate(wordCount);
      expect(at).toBeGreaterThan(0);
      arena.words.fill(step, at, at + wordCount);
      blocks.push({ at, wordCount, mark: step });
    }
    const used = blocks.reduce((sum, block) => sum + roundedWords(block.wordCount), 0);
    expect(arena.usedWords).toBe(used);
    expect(arena.words.length).toBeLessThan(8 * used + 65536);
  });
});
