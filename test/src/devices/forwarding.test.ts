// Forwarding rates of the saturated machine: what must hold whatever the constants are. Small runs; `flowtwin validate` prints the
// published figures beside the model's.

import { describe, expect, it } from 'vitest';
import { hostCosts } from '../../../driver/costs.ts';
import { E5_IO_CACHE, IoCache } from '../../../hw/dma/io-cache.ts';
import { forwardingRate } from '../../../src/devices/forwarding-bed.ts';

describe('forwarding rate', () => {
  it('follows from the cores: two forward twice what one does, and all of them are busy', () => {
    const of = (cores: number): ReturnType<typeof forwardingRate> =>
      forwardingRate({ path: 'linux', cores, rxSlots: 512, offeredPerCore: 2.8e6 });
    const [one, two] = [of(1), of(2)];
    expect(one.busyCores).toBeGreaterThan(0.98);
    expect(two.busyCores).toBeGreaterThan(1.96);
    expect(two.packetsPerSecond / one.packetsPerSecond).toBeCloseTo(2, 1);
  });

  it('forwards what is offered below saturation', () => {
    const rate = forwardingRate({ path: 'linux', cores: 1, rxSlots: 512, offeredPerCore: 0.5e6 });
    expect(rate.packetsPerSecond / 0.5e6).toBeCloseTo(1, 1);
    expect(rate.busyCores).toBeLessThan(0.5);
  });

  it('takes no core in hardware, and less time in the software flowtable than without', () => {
    const of = (path: 'classic' | 'software' | 'hardware'): ReturnType<typeof forwardingRate> =>
      forwardingRate({ path, cores: 1, rxSlots: 512, offeredPerCore: 4e6 });
    const [classic, software, hardware] = [of('classic'), of('software'), of('hardware')];
    expect(hardware.packetsPerSecond).toBeCloseTo(4e6, -5);
    expect(hardware.busyCores).toBe(0);
    expect(software.packetsPerSecond).toBeGreaterThan(1.5 * classic.packetsPerSecond);
    // What a packet costs in XDP is the driver's part of it alone.
    const xdp = forwardingRate({ path: 'xdp', cores: 1, rxSlots: 512, offeredPerCore: 10e6 });
    const driverPs = hostCosts().rxDescriptorPs + hostCosts().txDescriptorPs;
    expect(xdp.packetsPerSecond).toBeLessThan(1e12 / driverPs);
    expect(xdp.packetsPerSecond).toBeGreaterThan(0.85 * (1e12 / driverPs));
  });

  it('slows down when rings outgrow the cache that devices write into', () => {
    const of = (rxSlots: number): ReturnType<typeof forwardingRate> =>
      forwardingRate({
        path: 'xdp',
        cores: 2,
        rxSlots,
        offeredPerCore: 10e6,
        ioCache: { shareBytes: 1 << 20, ways: 2, missPs: 60_000 },
      });
    // 512 buffers fit the share: two rings of 128 do, two of 1024 do not.
    const [small, large] = [of(128), of(1024)];
    expect(small.missRatio).toBeLessThan(0.2);
    expect(large.missRatio).toBeGreaterThan(0.9);
    expect(large.packetsPerSecond).toBeLessThan(0.8 * small.packetsPerSecond);
  });
});

describe('the I/O share of the cache', () => {
  it('holds as many buffers as fit, and forgets when more come in turn', () => {
    const cache = new IoCache(E5_IO_CACHE);
    const buffers = E5_IO_CACHE.shareBytes / 2048;
    const round = (count: number): number => {
      const before = cache.misses;
      for (let n = 0; n < count; n++) {
        cache.deviceWrites(n * 2048 + 128);
      }
      for (let n = 0; n < count; n++) cache.readPs(n * 2048 + 128);
      return cache.misses - before;
    };
    expect(buffers).toBe(768);
    expect(round(buffers)).toBe(0);
    expect(round(2 * buffers)).toBe(buffers);
  });
});
