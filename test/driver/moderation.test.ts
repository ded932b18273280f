// Adaptive interrupt moderation against the published table (hw V27), the curve it approximates, and the walk of a vector.

import { describe, expect, it } from 'vitest';
import {
  ADAPTIVE_START_US,
  AdaptiveInterval,
  delayOfSizeUs,
} from '../../driver/twin/moderation.ts';
import { intervalUs, setInterval } from '../../driver/twin/interval.ts';
import { adapterOf } from '../../driver/twin/adapter.ts';
import { TwinRig } from '../support/twin-rig.ts';
import { numberedFrame } from '../support/dummy-nic.ts';

const MS = 1e9;

/** A vector after one look at `packets` packets of `sizeBytes` in its first jiffy. */
function afterLook(packets: number, sizeBytes: number, speedMbps = 10_000): number {
  const vector = new AdaptiveInterval(speedMbps);
  vector.update(0.5 * MS, packets, packets * sizeBytes, packets, packets * sizeBytes);
  return vector.intervalUs;
}

describe('adaptive moderation', () => {
  it.each([
    [40, 20],
    [60, 20],
    [316, 60],
    [1084, 110],
    [1981, 126],
    [9000, 126],
  ])('asks for the published delay in bulk mode: %d bytes', (sizeBytes, us) => {
    expect(delayOfSizeUs(sizeBytes, false, false)).toBe(us);
    expect(afterLook(1000, sizeBytes)).toBe(us);
  });

  it('stays within one step and 5 % of the curve 170 (s + 24) / (s + 640) from 60 to 1980 bytes', () => {
    for (let s = 60; s <= 1980; s++) {
      const curve = (170 * (s + 24)) / (s + 640);
      expect(Math.abs(delayOfSizeUs(s, false, false) - curve), `${s} B`).toBeLessThan(
        2 + 0.05 * curve,
      );
    }
  });

  it('halves it in latency mode, moving down 2 us at a time', () => {
    expect(delayOfSizeUs(60, true, false)).toBe(10);
    const vector = new AdaptiveInterval(10_000);
    const seen: number[] = [];
    for (let n = 1; n <= 5; n++) {
      vector.update(0.5 * MS, 2 * n, 128 * n, 2 * n, 128 * n);
      seen.push(vector.intervalUs);
    }
    expect(seen).toEqual([82, 80, 78, 76, 74]);
  });

  it('creeps up below 48 packets, holds below 96, halves below 256, and never leaves 10 to 84', () => {
    expect(afterLook(20, 1000)).toBe(ADAPTIVE_START_US + 2);
    expect(afterLook(60, 1000)).toBe(ADAPTIVE_START_US);
    expect(afterLook(200, 1000)).toBe(ADAPTIVE_START_US / 2);
    const vector = new AdaptiveInterval(10_000);
    let total = 0;
    for (let n = 0; n < 100; n++) {
      total += 20;
      vector.update(0.5 * MS, total, 1000 * total, total, 1000 * total);
    }
    expect(vector.intervalUs).toBe(84);
    for (let n = 0; n < 10; n++) {
      total += 200;
      vector.update(0.5 * MS, total, 1000 * total, total, 1000 * total);
    }
    expect(vector.intervalUs).toBe(10);
  });

  it('starts over after a jiffy without a look, and takes the smaller of both directions', () => {
    const vector = new AdaptiveInterval(10_000);
    vector.update(0.5 * MS, 1000, 60_000, 0, 0);
    expect(vector.intervalUs).toBe(20);
    vector.update(7 * MS, 2000, 120_000, 0, 0);
    expect(vector.intervalUs).toBe(10);
  });

  it('knows the coarser scale of 1G', () => {
    expect(delayOfSizeUs(60, false, true)).toBe(80);
    expect(delayOfSizeUs(1500, false, true)).toBe(126);
  });
});

describe('the reference driver with adaptive moderation', () => {
  function interruptsOf(adaptiveRx: boolean): number {
    const rig = new TwinRig({ queues: 1, adaptiveRx, host: { coreCount: 1 } });
    const [dev] = rig.devs;
    rig.kernel.rxHandler = { receive: (skb) => rig.kernel.free_skb(skb) };
    rig.kernel.dev_open(dev);
    if (adaptiveRx) setInterval(adapterOf(dev), 50, true);
    rig.scheduler.runFor(MS);
    const frame = numberedFrame(0);
    frame.set(dev.mac, 0);
    const startPs = rig.scheduler.nowPs;
    // 2 M packets/s for 10 ms: more than 96 packets an interrupt at 50 us.
    for (let n = 0; n < 20_000; n++) {
      const atPs = startPs + n * 500_000;
      rig.scheduler.runUntil(atPs);
      rig.nic.frameIn(0, atPs, frame, 0, frame.length, -1);
    }
    rig.scheduler.runFor(MS);
    const us = intervalUs(adapterOf(dev), 0);
    if (adaptiveRx) expect(us).toBeLessThanOrEqual(50);
    else expect(us).toBe(50);
    return rig.nic.functions[0].msix.fired[0];
  }

  it('interrupts more often when an interval holds more than 96 packets', () => {
    const fixed = interruptsOf(false);
    const adaptive = interruptsOf(true);
    // 10 ms at one interrupt per 50 us and its polls, and at 48 to 96 packets (24 to 48 us) an interrupt.
    expect(fixed).toBeGreaterThan(120);
    expect(fixed).toBeLessThan(220);
    expect(adaptive).toBeGreaterThan(1.2 * fixed);
  });
});
