// Meters against BigInt oracles written from the RFCs, wrapping counters, aging sweeps, stage latency (V26), slices.

import { describe, expect, it } from 'vitest';
import { AgingSweeper } from '../../hw/table/aging.ts';
import {
  GREEN,
  METER_RFC4115,
  METER_SRTCM,
  METER_TRTCM,
  MeterTable,
  RED,
  YELLOW,
  type MeterConfig,
} from '../../hw/table/meter.ts';
import { gangFor, SlicedTcam, SlicePool, type SliceRegion } from '../../hw/table/slices.ts';
import { pipeCycles, stageCycles, type StageFeatures } from '../../hw/table/stage-latency.ts';
import { counterDelta, WrapCounters } from '../../hw/table/wrap-counters.ts';
import { Scheduler } from '../../hw/time/scheduler.ts';
import { matches, seeded, toWords } from '../reference/linear-tcam.ts';

/** The RFCs with rational time: tokens offered by time t are floor(rate × t). */
class BigMeter {
  private readonly config: MeterConfig;
  private c: bigint;
  private e: bigint;
  private last: bigint;
  constructor(config: MeterConfig, nowPs: bigint) {
    this.config = config;
    this.c = BigInt(config.committedBurstBytes);
    this.e = BigInt(config.excessBurstBytes);
    this.last = nowPs;
  }

  colour(len: number, inColour: number, nowPs: bigint): number {
    const { algorithm, isColourAware } = this.config;
    const offered = (rate: number): bigint =>
      (BigInt(rate) * nowPs) / 10n ** 12n - (BigInt(rate) * this.last) / 10n ** 12n;
    const cbs = BigInt(this.config.committedBurstBytes);
    const ebs = BigInt(this.config.excessBurstBytes);
    if (algorithm === METER_SRTCM)
      // RFC 2697 section 3: one by one, C if it is below CBS, else E if it is below EBS.
      for (let n = offered(this.config.committedBytesPerSecond); n > 0n; n--)
        if (this.c < cbs) this.c++;
        else if (this.e < ebs) this.e++;
        else break;
    else {
      this.c += offered(this.config.committedBytesPerSecond);
      this.e += offered(this.config.excessBytesPerSecond);
      if (this.c > cbs) this.c = cbs;
      if (this.e > ebs) this.e = ebs;
    }
    this.last = nowPs;
    const b = BigInt(len);
    const colour = isColourAware ? inColour : GREEN;
    if (algorithm === METER_TRTCM) {
      if (colour === RED || this.e - b < 0n) return RED;
      if (colour === YELLOW || this.c - b < 0n) {
        this.e -= b;
        return YELLOW;
      }
      this.e -= b;
      this.c -= b;
      return GREEN;
    }
    if (colour === GREEN && this.c - b >= 0n) {
      this.c -= b;
      return GREEN;
    }
    if ((colour === GREEN || colour === YELLOW) && this.e - b >= 0n) {
      this.e -= b;
      return YELLOW;
    }
    return RED;
  }
}

describe('meters', () => {
  const algorithms = [METER_SRTCM, METER_TRTCM, METER_RFC4115] as const;
  it.each(algorithms.flatMap((a) => [false, true].map((aware) => [a, aware] as const)))(
    'algorithm %i, colour-aware %s: agrees with the RFC in BigInt over 20 000 packets',
    (algorithm, isColourAware) => {
      const seen = new Set<number>();
      for (const [seed, cir, pir] of [
        [1, 1_000_003, 2_500_000],
        [2, 125_000_000, 333_333_333],
        [3, 12_500_000_001, 49_999_999_999],
        [4, 7, 13],
      ]) {
        const config: MeterConfig = {
          algorithm,
          isColourAware,
          committedBytesPerSecond: cir,
          committedBurstBytes: 4000,
          excessBytesPerSecond: pir,
          excessBurstBytes: 9000,
        };
        const random = seeded(seed);
        const start = 987_654_321_012;
        const table = new MeterTable(3);
        table.configure(1, config, start);
        const oracle = new BigMeter(config, BigInt(start));
        // Gaps around the time that a packet's tokens take, with long silences in between.
        const gapPs = Math.ceil((800 / cir) * 1e12);
        let nowPs = start;
        for (let n = 0; n < 5000; n++) {
          const meanPs = n < 2500 ? gapPs : gapPs / 4;
          nowPs += random(100) === 0 ? random(100) * gapPs : random(meanPs * 2);
          const len = 40 + random(1460);
          const inColour = random(3);
          const colour = table.colour(1, len, inColour, nowPs);
          if (colour !== oracle.colour(len, inColour, BigInt(nowPs)))
            expect.fail(`seed ${seed}, packet ${n}: ${colour}`);
          seen.add(colour);
        }
      }
      expect(seen.size).toBe(3);
    },
  );

  it('passes exactly the committed rate over an hour, whatever the packet times', () => {
    const table = new MeterTable(1);
    const rate = 1_250_007;
    table.configure(
      0,
      {
        algorithm: METER_RFC4115,
        isColourAware: false,
        committedBytesPerSecond: rate,
        committedBurstBytes: 1500,
        excessBytesPerSecond: 0,
        excessBurstBytes: 0,
      },
      0,
    );
    let green = 0;
    const hourPs = 3600e12;
    const stepPs = 299_999_999.7; // not a whole number of ps, and faster than the rate
    for (let n = 1; n * stepPs <= hourPs; n++)
      if (table.colour(0, 500, GREEN, n * stepPs) === GREEN) green += 500;
    expect(Math.abs(green - (rate * 3600 + 1500))).toBeLessThanOrEqual(1500);
  });

  it('refuses fractions and rates beyond its arithmetic', () => {
    const bad = (rate: number) => () =>
      new MeterTable(1).configure(
        0,
        {
          algorithm: METER_SRTCM,
          isColourAware: false,
          committedBytesPerSecond: rate,
          committedBurstBytes: 1,
          excessBytesPerSecond: 0,
          excessBurstBytes: 1,
        },
        0,
      );
    expect(bad(1.5)).toThrow();
    expect(bad(6e10)).toThrow();
  });
});

describe('wrapping counters', () => {
  it('wraps at its width; deltas survive one wrap', () => {
    const random = seeded(40);
    const counters = new WrapCounters(1, 40, 0);
    let total = 0n;
    let before = 0;
    for (let n = 0; n < 2000; n++) {
      const amount = random(2 ** 38);
      counters.add(0, amount, n);
      total += BigInt(amount);
      const after = counters.read(0, n);
      expect(after).toBe(Number(total % (1n << 40n)));
      expect(counterDelta(before, after, 40)).toBe(amount);
      before = after;
    }
  });

  it('reads are as of the last copy, like an eager copy at every tick', () => {
    const random = seeded(41);
    const refreshPs = 100;
    const counters = new WrapCounters(2, 48, refreshPs);
    const eager = { value: [0, 0], copied: [0, 0], nextPs: refreshPs };
    let nowPs = 0;
    for (let n = 0; n < 3000; n++) {
      nowPs += random(60);
      while (eager.nextPs <= nowPs) {
        eager.copied = [...eager.value];
        eager.nextPs += refreshPs;
      }
      const counter = random(2);
      expect(counters.read(counter, nowPs)).toBe(eager.copied[counter]);
      if (random(3) > 0) continue;
      counters.add(counter, n, nowPs);
      eager.value[counter] += n;
      expect(counters.current(counter)).toBe(eager.value[counter]);
    }
    counters.clear(0);
    expect(counters.read(0, nowPs + 1000)).toBe(0);
  });
});

describe('aging', () => {
  it('reports idle entries once, after maxAge rounds, and keeps those that are hit', () => {
    const scheduler = new Scheduler();
    const aged: [number, number][] = [];
    const config = { entries: 64, entriesPerTick: 16, tickPs: 10, maxAge: 3 };
    const sweeper = new AgingSweeper(config, scheduler, {
      onAged: (entry, atPs) => aged.push([entry, atPs]),
    });
    for (const entry of [0, 20, 63]) sweeper.add(entry);
    for (let now = 0; now < 400; now += 10) {
      scheduler.runUntil(now);
      if (now < 200) sweeper.hitBit[20] = 1;
    }
    const roundPs = 40;
    expect(aged.map(([entry]) => entry)).toEqual([0, 63, 20]);
    expect(aged[0][1]).toBe(10 + 2 * roundPs);
    expect(aged[1][1]).toBe(40 + 2 * roundPs);
    expect(aged[2][1] - 190).toBeGreaterThan(2 * roundPs);
    expect(aged[2][1] - 190).toBeLessThanOrEqual(4 * roundPs);
    // Nothing left: the sweeper sleeps, and wakes with the next entry.
    expect(scheduler.pendingCount).toBe(0);
    sweeper.add(5);
    expect(scheduler.pendingCount).toBe(1);
  });
});

describe('stage latency (V26)', () => {
  const stage = (features: Partial<StageFeatures>): StageFeatures => ({
    dependency: 'match',
    hasTcam: false,
    hasSelector: false,
    hasMeter: false,
    hasStateful: false,
    ...features,
  });
  const pipe = (features: Partial<StageFeatures>) =>
    Array.from({ length: 12 }, () => stage(features));

  it('268 with TCAM, 244 without, 16 concurrent; egress at least 160', () => {
    expect(pipeCycles(pipe({ hasTcam: true }), false)).toBe(268);
    expect(pipeCycles(pipe({}), false)).toBe(244);
    expect(pipeCycles(pipe({ dependency: 'concurrent' }), false)).toBe(16);
    expect(pipeCycles(pipe({ dependency: 'concurrent' }), true)).toBe(160);
    expect(pipeCycles(pipe({ hasTcam: true }), true)).toBe(268);
    const ns = [268, 244, 16].map((cycles) => (cycles * 1000) / 1270);
    expect(ns.map((x) => Number(x.toPrecision(3)))).toEqual([211, 192, 12.6]);
  });

  it('a selector counts more than a meter, and only one of them counts', () => {
    const all = { hasTcam: true, hasSelector: true, hasMeter: true, hasStateful: true };
    expect(stageCycles(stage(all))).toBe(30);
    expect(stageCycles(stage({ hasMeter: true, hasStateful: true }))).toBe(24);
    expect(stageCycles(stage({ hasStateful: true }))).toBe(24);
    expect(stageCycles(stage({ ...all, dependency: 'action' }))).toBe(2);
  });
});

describe('slices', () => {
  const e810 = {
    slices: 16,
    widthBits: 40,
    depth: 512,
    unitRows: 64,
    slicesPerBank: 16,
    maxGang: 16,
  };

  it('gangs powers of two for wide keys and stacks for deep tables', () => {
    expect([40, 41, 80, 81, 160, 320, 640].map((bits) => gangFor(bits, 40))).toEqual([
      1, 2, 2, 4, 4, 8, 16,
    ]);
    const pool = new SlicePool(e810);
    expect(pool.allocate(641, 1)).toBe('key-too-wide');
    const wide = pool.allocate(160, 600) as SliceRegion;
    expect([wide.gang, wide.gangs, wide.rowsPerGang, wide.entries]).toEqual([
      4,
      [0, 4],
      [512, 128],
      640,
    ]);
    expect(pool.freeSlices).toBe(8);
    expect(pool.allocate(40, 4097)).toBe('no-free-slices');
    const narrow = pool.allocate(40, 4096) as SliceRegion;
    expect([narrow.gang, narrow.entries, pool.freeSlices]).toEqual([1, 4096, 0]);
    pool.release(wide);
    expect((pool.allocate(320, 1) as SliceRegion).gangs).toEqual([0]);
    const banked = new SlicePool({ ...e810, slicesPerBank: 2 });
    expect(banked.allocate(160, 1)).toBe('key-too-wide');
    expect((banked.allocate(80, 1024) as SliceRegion).gangs).toEqual([0, 2]);
  });

  it.each([40, 64, 97, 160, 320])(
    '%i-bit keys: the encoder finds what a linear scan finds',
    (keyBits) => {
      const random = seeded(keyBits);
      const geometry = { ...e810, depth: 8, unitRows: 4 };
      const region = new SlicePool(geometry).allocate(keyBits, 12) as SliceRegion;
      const tcam = new SlicedTcam(geometry, region);
      const words = Math.ceil(keyBits / 32);
      const pad = BigInt(words * 32 - keyBits);
      const bits = (): bigint => {
        // Few bits, all over the key, so that matches are common.
        const at = [0, 1, 31, 32, 39, 40, 63, keyBits - 1][random(8)] % keyBits;
        return (BigInt(random(2)) << BigInt(keyBits - 1 - at)) << pad;
      };
      const places: ({ value: bigint; mask: bigint } | null)[] = Array.from(
        { length: region.entries },
        () => null,
      );
      for (let n = 0; n < 600; n++) {
        const position = random(region.entries);
        if (random(3) === 0) {
          tcam.invalidate(position);
          places[position] = null;
        } else {
          const rule = { value: bits() | bits(), mask: bits() | bits() | bits() };
          tcam.write(position, toWords(rule.value, words), toWords(rule.mask, words));
          places[position] = rule;
        }
        const key = bits() | bits() | bits();
        const expected = places.findIndex((rule) => rule !== null && matches(rule, key));
        expect(tcam.lookup(toWords(key, words))).toBe(expected);
      }
      const used = places.filter((rule) => rule !== null).length;
      const total = tcam.rowsInUse.reduce((sum, rows) => sum + rows, 0);
      expect(total).toBe(used * region.gang);
    },
  );
});
