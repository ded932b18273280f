// Tags, credits, IO-TLB and latency that varies, against naive counterparts and published values (spec/hardware.md 1.5).

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEFAULT_IOMMU, genericNic, NUMA_REMOTE_PS, READ_SPREADS } from '../../hw/models.ts';
import type { HostSideConfig, PcieConfig } from '../../hw/models.ts';
import { IoTlb, LatencySpread } from '../../hw/pcie/host-side.ts';
import { PcieLink, tlpBandwidthGbps } from '../../hw/pcie/link.ts';

const OFF: HostSideConfig = { readTags: 0, postedBytes: 0, readSpread: null, iommu: null };

function linkWith(changes: Partial<PcieConfig>): PcieLink {
  return new PcieLink({ ...genericNic().pcie, ...changes }, { nowPs: 0 });
}

describe('TLP sizes', () => {
  it('32-bit addresses save four bytes of a request, an ECRC takes four of each TLP', () => {
    // 512 bytes: two writes of 256; one request of 512 and two completions.
    const sizes = (changes: Partial<PcieConfig>): number[] => {
      const [writes, reads] = [linkWith(changes), linkWith(changes)];
      writes.write(0, 512, 0);
      reads.read(0, 512, 0);
      return [writes.upBytes, reads.upBytes, reads.downBytes];
    };
    expect(sizes({})).toEqual([560, 24, 552]);
    expect(sizes({ addressBits: 32 })).toEqual([552, 20, 552]);
    expect(sizes({ ecrc: true })).toEqual([568, 28, 560]);
    expect(sizes({ rcbBytes: 64 })).toEqual([560, 24, 672]);
    expect(sizes({ mrrsBytes: 128 })).toEqual([560, 96, 552]);
    expect(sizes({ host: OFF })).toEqual(sizes({}));
  });

  it.each([
    [1, 12.137, 13.566, 12.982],
    [2, 27.578, 28.676, 28.18],
    [3, 56.666, 57.885, 57.312],
    [4, 113.332, 115.77, 114.623],
  ])('generation %i, x8: published bandwidth at MPS 128, 256, 512', (generation, ...published) => {
    const { pcie } = genericNic();
    for (const [at, mpsBytes] of [128, 256, 512].entries())
      expect(tlpBandwidthGbps({ ...pcie, generation, mpsBytes })).toBeCloseTo(published[at], 2);
  });
});

describe('reads in flight', () => {
  it('with every option off through the slow way: the times of the fast way', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 512 }), { maxLength: 50 }), (sizes) => {
        const [fast, slow] = [linkWith({}), linkWith({ host: OFF })];
        for (const bytes of sizes) {
          expect(slow.read(0, bytes, 0)).toBe(fast.read(0, bytes, 0));
          expect(slow.write(0, bytes, 0)).toBe(fast.write(0, bytes, 0));
        }
      }),
    );
  });

  it('never more than the tags: of one more completion than tags, the last comes a latency after the first', () => {
    const { readLatencyPs } = genericNic().pcie;
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.array(fc.tuple(fc.integer({ min: 1, max: 2048 }), fc.nat(50_000)), { maxLength: 60 }),
        (readTags, reads) => {
          const link = linkWith({ host: { ...OFF, readTags } });
          const ends: number[] = [];
          let readyPs = 0;
          for (const [bytes, gapPs] of reads) {
            readyPs += gapPs;
            // One request each, so that each completion is seen.
            ends.push(link.read(readyPs, Math.min(bytes, 512), 0));
          }
          ends.sort((a, b) => a - b);
          for (let i = readTags; i < ends.length; i++)
            expect(ends[i] - ends[i - readTags]).toBeGreaterThanOrEqual(readLatencyPs);
        },
      ),
    );
  });

  it('about 30 reads of 128 bytes in flight sustain 40G at 900 ns (hw 1.5)', () => {
    const gbps = (readTags: number): number => {
      const link = linkWith({
        readLatencyPs: 900_000,
        readPsPerByte: 0,
        host: { ...OFF, readTags },
      });
      let endPs = 0;
      for (let i = 0; i < 3000; i++) endPs = Math.max(endPs, link.read(0, 128, 0));
      return (3000 * 128 * 8000) / endPs;
    };
    // A frame of 128 bytes every 29.6 ns is 34.6 Gb/s of payload.
    expect(gbps(32)).toBeGreaterThan(34.6);
    expect(gbps(24)).toBeLessThan(34.6);
    expect(gbps(1)).toBeCloseTo((128 * 8) / 922, 1);
  });
});

describe('posted writes in flight', () => {
  it('never more bytes than the credits', () => {
    const { writeLatencyPs } = genericNic().pcie;
    fc.assert(
      fc.property(
        fc.integer({ min: 256, max: 1024 }),
        fc.array(fc.integer({ min: 1, max: 256 }), { maxLength: 80 }),
        (postedBytes, sizes) => {
          const link = linkWith({ host: { ...OFF, postedBytes } });
          const writes = sizes.map((bytes) => ({ bytes, endPs: link.write(0, bytes, 0) }));
          for (const { endPs } of writes) {
            // Sent by the end of the wire's time, in memory a latency later: in between it holds its bytes.
            const held = writes
              .filter((w) => w.endPs >= endPs && w.endPs < endPs + writeLatencyPs)
              .reduce((sum, { bytes }) => sum + bytes, 0);
            expect(held).toBeLessThanOrEqual(postedBytes);
          }
        },
      ),
    );
  });
});

describe('IO-TLB', () => {
  it('is a least recently used list of pages', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 6 }),
        fc.array(fc.tuple(fc.nat(12 * 4096), fc.integer({ min: 1, max: 9000 })), { maxLength: 80 }),
        (entries, transfers) => {
          const tlb = new IoTlb({ ...DEFAULT_IOMMU, entries });
          let naive: number[] = [];
          for (const [iova, bytes] of transfers) {
            let missing = 0;
            for (let page = iova >> 12; page <= (iova + bytes - 1) >> 12; page++) {
              if (!naive.includes(page)) missing++;
              naive = [page, ...naive.filter((other) => other !== page)].slice(0, entries);
            }
            expect(tlb.missesOf(iova, bytes)).toBe(missing);
          }
        },
      ),
    );
  });

  it('a miss costs a walk, super pages make it rare', () => {
    const host = { ...OFF, iommu: DEFAULT_IOMMU };
    const link = linkWith({ host });
    const missPs = link.read(0, 64, 4096 * 9);
    expect(missPs - linkWith({}).read(0, 64, 0)).toBeCloseTo(DEFAULT_IOMMU.missPs, 3);
    const large = linkWith({ host: { ...OFF, iommu: { ...DEFAULT_IOMMU, pageBytes: 2 ** 21 } } });
    for (let i = 0; i < 5000; i++) large.read(0, 64, ((i * 7919) % 16384) * 4096);
    expect(large.host?.ioTlb?.misses).toBe(32);
  });
});

describe('latency', () => {
  it('memory of the other socket: 107 ns more', () => {
    const near = linkWith({}).read(0, 64, 0);
    expect(linkWith({ numaPs: NUMA_REMOTE_PS }).read(0, 64, 0) - near).toBeCloseTo(107_000, 3);
  });

  it.each(['e5', 'e3'] as const)('%s: least, median and 99.9th percentile as measured', (name) => {
    const { leastPs, medianPs, p999Ps } = READ_SPREADS[name];
    const spread = new LatencySpread({ ...READ_SPREADS[name], seed: 7 });
    const draws = Array.from({ length: 100_000 }, () => medianPs + spread.next());
    draws.sort((a, b) => a - b);
    expect(draws[0]).toBeGreaterThanOrEqual(leastPs);
    expect(draws[0] / leastPs).toBeCloseTo(1, 2);
    expect(draws[50_000] / medianPs).toBeCloseTo(1, 2);
    expect(Math.abs(draws[99_900] / p999Ps - 1)).toBeLessThan(0.1);
    const again = new LatencySpread({ ...READ_SPREADS[name], seed: 7 });
    const other = new LatencySpread({ ...READ_SPREADS[name], seed: 8 });
    const first = again.next();
    expect(new LatencySpread({ ...READ_SPREADS[name], seed: 7 }).next()).toBe(first);
    expect(other.next()).not.toBe(first);
  });
});
