// Device profiles that run: what of them the device has, and by what name the others are refused.

import { describe, expect, it } from 'vitest';
import { countBits } from '../../../hw/switch/phv.ts';
import { driverOptionsOf, nicConfigOf } from '../../../src/devices/nic-config.ts';
import { validateProfile } from '../../../src/devices/profile-schema.ts';
import { deviceNames, loadDevice } from '../../../src/node/device-files.ts';

const RUNNING = [
  'generic-nic',
  'generic-switch',
  'intel-82599',
  'intel-e810',
  'mellanox-cx5',
  'mellanox-spectrum',
  'mellanox-spectrum2',
  'rocker-ofdpa',
  'tofino1',
];

describe('device profiles that run', () => {
  it.each(deviceNames())('%s runs, or says what is missing', (name) => {
    const profile = loadDevice(name);
    if (!RUNNING.includes(name)) {
      expect(() => nicConfigOf(profile)).toThrow(
        `device ${name} cannot run: its profile has no pipeline`,
      );
      return;
    }
    const { stages } = nicConfigOf(profile);
    expect(stages?.tables.length ?? 0).toBe(profile.pipeline?.stages.length);
    for (const table of stages?.tables ?? [])
      for (const template of table.templates) expect(countBits(template)).toBeGreaterThan(100);
  });

  it('takes the figures of the profile', () => {
    const rocker = nicConfigOf(loadDevice('rocker-ofdpa'));
    expect(rocker.stages?.tables.map(({ entries }) => entries)).toEqual([100]);
    expect(rocker.hasFlowTable).toBe(false);
    const tofino = nicConfigOf(loadDevice('tofino1')).stages;
    // One bank of 24 blocks of 44 bits and 512 rows for each of the twelve stages.
    expect(
      tofino?.stages.map(({ ternary }) => [ternary?.slices, ternary?.sliceBits, ternary?.depth]),
    ).toEqual(new Array(12).fill([24, 44, 512]));
    expect(tofino?.latency).toBe('pipe');
    const generic = nicConfigOf(loadDevice('generic-switch', ['tcam.depth=64', 'meters=7']));
    expect(generic.stages?.stages[0].ternary?.depth).toBe(64);
    expect(generic.stages?.meters).toBe(7);
    expect(generic.exactMatch?.entries).toBe(131072);
  });

  it('takes rings, RSS, MACs and PCIe of the 82599, which has no flow table', () => {
    const profile = loadDevice('intel-82599', ['perfect.pballoc=3']);
    expect(nicConfigOf(profile)).toMatchObject({
      name: 'intel-82599',
      stages: null,
      hasFlowTable: false,
      queues: 128,
      vectors: 64,
      maxRingSlots: 4096,
      lineRateBps: 10e9,
      maxFrameBytes: 15868,
      rss: { tableEntries: 128, keyBytes: 40, entryBits: 4, contexts: 0 },
      pcie: { generation: 2, lanes: 8 },
    });
    // ixgbe: 64 to 4096 descriptors in steps of 8, 512 to begin with (hw 4.1).
    const ringLimits = { min: 64, max: 4096, step: 8 };
    expect(driverOptionsOf(profile)).toEqual({ fdirPballoc: 3, ringLimits });
    expect(driverOptionsOf(loadDevice('tofino1'))).toEqual({ ringLimits });
  });

  it('takes those of the E810 and the ConnectX-5 (hw 2.2, 4.1)', () => {
    const e810 = loadDevice('intel-e810');
    expect(nicConfigOf(e810)).toMatchObject({
      queues: 128, // 256 a traffic class, and 128 is what the register interface has
      maxRingSlots: 8160,
      lineRateBps: 100e9,
      rss: { tableEntries: 2048, keyBytes: 52 },
      pcie: { generation: 4, lanes: 16 },
    });
    expect(driverOptionsOf(e810)).toEqual({
      ringLimits: { min: 64, max: 8160, step: 32 },
      rxSlots: 2048,
      txSlots: 256,
    });
    const cx5 = loadDevice('mellanox-cx5');
    expect(nicConfigOf(cx5)).toMatchObject({
      maxRingSlots: 8192,
      rss: { tableEntries: 256, keyBytes: 40 },
      pcie: { generation: 3, lanes: 16 },
    });
    expect(driverOptionsOf(cx5)).toEqual({
      ringLimits: { min: 64, max: 8192, step: 0 },
      rxSlots: 1024,
      txSlots: 1024,
    });
  });

  it('turns measured insertion rates into times by size', () => {
    const [root] = nicConfigOf(loadDevice('mellanox-cx5')).stages?.stages ?? [];
    const steps = root.insertSteps ?? [];
    // Filling the root table with 32,000 rules: 38.5 k rules/s (hw 3.3); with 65,500: 1.4 k.
    const filledPs = (size: number): number => {
      let [ps, held] = [0, 0];
      for (const { below, ps: each } of steps) {
        const here = Math.max(0, Math.min(below, size) - held);
        ps += here * each;
        held += here;
      }
      return ps;
    };
    expect(32000 / (filledPs(32000) / 1e12)).toBeCloseTo(38500, 3);
    expect(65500 / (filledPs(65500) / 1e12)).toBeCloseTo(1400, 3);
    expect(root.ternary?.depth).toBe(65536);
  });

  it.each([
    ['broadcom-bnxt', 'tcam', 'has rows of several slices'],
    ['mediatek-mt7621', 'ppe', 'is a packet processing engine'],
  ])('%s with a pipeline still says what it needs', (name, _table, what) => {
    const profile = loadDevice(name);
    const [first] = Object.keys(profile.tables);
    const asked = validateProfile(
      { schema: 'flowtwin-device/1', ...profile, pipeline: { stages: [first] } },
      'test',
    );
    expect(() => nicConfigOf(asked)).toThrow(what);
  });

  it('a pipeline of tables that are not there', () => {
    const profile = loadDevice('generic-nic');
    const asked = {
      ...profile,
      pipeline: { latency: 'pipe' as const, stages: ['acl'], flows: '' },
    };
    expect(() => nicConfigOf(asked)).toThrow(
      "pipeline names the table 'acl'; there are exact, tcam",
    );
  });
});
