// Register level, with the data sheet's numbers repeated on purpose; docs/registers.md is current.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { registerDocument } from '../../hw/register-doc.ts';
import { Bench, frame } from './harness.ts';

describe('registers', () => {
  it('answer a reset and a probe as an 82599 driver expects', () => {
    const b = new Bench();
    expect(b.r(0, 0x10010) & 0x200).toBe(0x200); // EEC.ARD
    expect(b.r(0, 0x2f00) & 8).toBe(8); // RDRXCTL.DMAIDONE
    b.w(0, 0, 0x04000000);
    expect(b.r(0, 0)).toBe(0x04000000);
    expect(b.r(0, 0x10010) & 0x200).toBe(0);
    expect(b.r(0, 0x2f00) & 8).toBe(0);
    b.pass(10e6);
    expect(b.r(0, 4)).toBe(0); // CTRL.RST clears itself within 10 us
    b.pass(10e9);
    expect(b.r(0, 0x10010) & 0x300).toBe(0x300);
    expect(b.r(0, 0x2f00) & 8).toBe(8);
    expect(b.r(1, 8) & 0xc).toBe(4); // STATUS.LAN_ID
    expect(b.r(0, 0x42a4)).toBe(0x70000000); // LINKS: up, 10G
    expect(b.r(0, 0xa200)).toBe(0x00746602); // RAL0
    expect(b.r(1, 0x5404)).toBe(0x80000100); // RAH0 by its alias: AV, port in the last byte
    b.w(0, 0x5000, 0x2000);
    expect(b.r(0, 0x5000)).toBe(0x2000);
  });
  it('read enable bits back, show aliases, count unknown offsets', () => {
    const b = new Bench();
    b.w(0, 0x1028, 0x02000000);
    expect(b.r(0, 0x1028) & 0x02000000).toBe(0);
    b.pass(10e6);
    expect(b.r(0, 0x1028) & 0x02000000).toBe(0x02000000);
    b.w(0, 0x1028, 0);
    expect(b.r(0, 0x1028) & 0x02000000).toBe(0x02000000);
    b.pass(10e6);
    expect(b.r(0, 0x1028)).toBe(0);
    b.w(0, 0x5818, 0x00330001);
    expect(b.r(0, 0xec80)).toBe(0x00330001); // MRQC
    b.w(0, 0x5c04, 0x03020100);
    expect(b.r(0, 0xeb04)).toBe(0x03020100); // RETA 1
    expect(b.nic.functions[0].rss.reta[7]).toBe(3);
    expect(b.r(0, 0x8ffc)).toBe(0);
    b.w(0, 0x8ffc, 5);
    expect(b.r(0, 0x8ffc)).toBe(0);
    expect(b.nic.functions[0].registers.unknown.get(0x8ffc)).toBe(3);
  });
  it('clear statistics by reading, octets by the high half', () => {
    const b = new Bench();
    b.start(0);
    b.rxQueue(0, 0, 16);
    const f = frame({ dst: b.mac(0), payload: 100 });
    b.nic.frameIn(0, 0, f, 0, f.length, 1);
    b.nic.frameIn(0, 1e6, f, 0, f.length, 2);
    expect(b.r(0, 0x4074)).toBe(2); // GPRC
    expect(b.r(0, 0x4074)).toBe(0);
    expect(b.r(0, 0x4088)).toBe(2 * (f.length + 4)); // GORCL
    expect(b.r(0, 0x4088)).toBe(2 * (f.length + 4));
    expect(b.r(0, 0x408c)).toBe(0);
    expect(b.r(0, 0x4088)).toBe(0);
    expect(b.r(0, 0x1030)).toBe(2); // QPRC 0
    expect(b.r(0, 0x40d0)).toBe(2); // TPR
  });
  it('docs/registers.md is what the definitions say', () => {
    const file = readFileSync(new URL('../../docs/registers.md', import.meta.url), 'utf8');
    expect(file === registerDocument(), 'docs/registers.md is stale').toBe(true);
  });
});

describe('MAC filter', () => {
  it.each([
    ['own address', [0x02, 0x66, 0x74, 0, 0, 0], 0, true],
    ['other unicast', [2, 9, 9, 9, 9, 9], 0, false],
    ['other unicast, UPE', [2, 9, 9, 9, 9, 9], 0x200, true],
    ['broadcast', [255, 255, 255, 255, 255, 255], 0, false],
    ['broadcast, BAM', [255, 255, 255, 255, 255, 255], 0x400, true],
    ['multicast', [1, 0, 0x5e, 0, 0, 1], 0x400, false],
    ['multicast, MPE', [1, 0, 0x5e, 0, 0, 1], 0x100, true],
  ])('%s', (_name, dst, fctrl, accepted) => {
    const b = new Bench();
    b.start(0);
    b.w(0, 0x5080, fctrl);
    b.rxQueue(0, 0, 16);
    const f = frame({ dst: new Uint8Array(dst) });
    b.nic.frameIn(0, 0, f, 0, f.length, 1);
    expect(b.drops.map((d) => d.reason)).toEqual(accepted ? [] : [4]);
  });
  it('hashes multicast addresses as ixgbe does (MO 0: bits 47:36)', () => {
    const b = new Bench();
    b.start(0);
    b.w(0, 0x5080, 0);
    b.w(0, 0x5090, 4); // MFE
    const vector = (0x34 >> 4) | (0x12 << 4);
    b.w(0, 0x5200 + 4 * (vector >> 5), 1 << (vector & 31));
    b.rxQueue(0, 0, 16);
    for (const last of [0x12, 0x13]) {
      const f = frame({ dst: new Uint8Array([1, 0, 0x5e, 0, 0x34, last]) });
      b.nic.frameIn(0, 0, f, 0, f.length, last);
    }
    expect(b.drops.map((d) => d.packetId)).toEqual([0x13]);
  });
});
