// spec/hardware.md validation cases V1, V2, V3 and V25.
import { describe, expect, it } from 'vitest';
import { PcieLink, tlpBandwidthGbps } from '../../hw/pcie/link.ts';
import { Port } from '../../hw/mac/port.ts';
import { genericNic } from '../../hw/models.ts';

const config = genericNic().pcie;

function gbps(run: (link: PcieLink, size: number) => number, size: number): number {
  const link = new PcieLink(
    { ...config, readLatencyPs: 0, readPsPerByte: 0, writeLatencyPs: 0 },
    { nowPs: 0 },
  );
  let endPs = 0;
  const n = 1000;
  for (let i = 0; i < n; i++) endPs = run(link, size);
  return (n * size * 8 * 1000) / endPs;
}

describe('PCIe Gen3 x8, MPS 256, MRRS 512', () => {
  it('V1: TLP bandwidth', () => {
    expect(tlpBandwidthGbps(config)).toBeCloseTo(57.885, 2);
    expect(tlpBandwidthGbps({ ...config, lanes: 16 })).toBeCloseTo(113.7, 1);
    expect(tlpBandwidthGbps({ ...config, generation: 4, mpsBytes: 512 })).toBeCloseTo(114.623, 1);
  });
  it.each([
    [64, 42.1],
    [256, 52.92],
    [257, 48.78],
    [1500, 52.81],
  ])('V2: write of %i bytes', (size, expected) => {
    expect(Math.abs(gbps((l, s) => l.write(0, s, 0), size) / expected - 1)).toBeLessThan(0.001);
  });
  it.each([
    [64, 44.1],
    [256, 53.69],
    [512, 53.69],
  ])('V3: read of %i bytes', (size, expected) => {
    expect(Math.abs(gbps((l, s) => l.read(0, s, 0), size) / expected - 1)).toBeLessThan(0.002);
  });
});

describe('line rate (V25)', () => {
  it('sends 14,880,952 minimum frames a second at 10G, both ways', () => {
    const port = new Port(0, 10e9, 0, 1 << 20, 1e12);
    let endPs = 0;
    for (let i = 0; i < 1000; i++) {
      port.receive(60);
      port.transmit(60);
      endPs = port.endPs;
    }
    expect(port.rxLine.freePs).toBe(67_200 * 1000);
    expect(endPs).toBe(67_200 * 1000 - 12 * 800);
  });
  it('tail-drops the receive buffer and frees it when the DMA finishes', () => {
    const port = new Port(0, 10e9, 0, 200, 1000);
    expect(port.hasRoom(150)).toBe(true);
    port.releasePs = 1000;
    port.hold(150);
    port.arrivalPs = 999;
    expect(port.hasRoom(100)).toBe(false);
    port.arrivalPs = 1000;
    expect(port.hasRoom(100)).toBe(true);
  });
});
