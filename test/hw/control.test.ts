// The function as a whole, register by register as bring-up code uses them: EEPROM, semaphores, link, packet buffers, security
// gates, 64-bit accesses, registers that are not modelled.
import { describe, expect, it } from 'vitest';
import { Bench, frame } from './harness.ts';

const US = 1e6;

function readWord(b: Bench, port: number, address: number): number {
  b.w(port, 0x10014, (address << 2) | 1);
  expect(b.r(port, 0x10014) & 2).toBe(0);
  b.pass(20 * US);
  const value = b.r(port, 0x10014);
  expect(value & 2).toBe(2);
  return value >>> 16;
}

describe('EEPROM', () => {
  it('has the addresses of the ports and a checksum that drivers accept', () => {
    const b = new Bench();
    expect((b.r(0, 0x10010) >> 11) & 15).toBe(7); // EEC.SIZE: 2^(7+6) words
    // As ixgbe sums it: words 0 to 0x3E, then the sections behind the pointers 0x03 to 0x0E.
    let sum = 0;
    for (let i = 0; i < 0x3f; i++) sum += readWord(b, 0, i);
    const macs: number[][] = [];
    for (let p = 3; p < 0x0f; p++) {
      const at = readWord(b, 0, p);
      if (at === 0xffff || at === 0) continue;
      const words = Array.from({ length: readWord(b, 0, at) }, (_, i) =>
        readWord(b, 0, at + 1 + i),
      );
      sum += words.reduce((total, word) => total + word, 0);
      macs.push(words.flatMap((word) => [word & 255, word >> 8]));
    }
    expect(readWord(b, 0, 0x3f)).toBe((0xbaba - sum) & 0xffff);
    expect(macs).toEqual([[...b.mac(0)], [...b.mac(1)]]);
  });
  it('keeps what EEWR wrote, over a reset and for both ports', () => {
    const b = new Bench();
    b.w(0, 0x10018, (0xbeef << 16) | (0x80 << 2) | 1);
    b.pass(20 * US);
    b.w(0, 0, 0x04000000);
    b.pass(10_000 * US);
    expect(readWord(b, 1, 0x80)).toBe(0xbeef);
  });
});

describe('semaphores', () => {
  it('SWSM.SMBI is taken by reading and given back by writing, across functions', () => {
    const b = new Bench();
    expect(b.r(0, 0x10140) & 1).toBe(0);
    expect(b.r(1, 0x10140) & 1).toBe(1);
    b.w(0, 0x10140, 1 | 2);
    expect(b.r(0, 0x10140) & 2).toBe(2);
    b.w(0, 0x10140, 0);
    expect(b.r(1, 0x10140) & 1).toBe(0);
  });
  it('SW_FW_SYNC is shared', () => {
    const b = new Bench();
    b.w(0, 0x10160, 0x5);
    expect(b.r(1, 0x10160)).toBe(5);
  });
});

describe('link', () => {
  it('goes down and up again by AUTOC.AN_RESTART, with LSC both times', () => {
    const b = new Bench();
    expect(b.r(0, 8) & 0x80).toBe(0x80); // STATUS.LINK_UP
    b.w(0, 0x42a0, b.r(0, 0x42a0) | 0x1000);
    expect(b.r(0, 0x42a0) & 0x1000).toBe(0);
    expect(b.r(0, 0x42a4)).toBe(0);
    expect(b.r(0, 0x800)).toBe(0x100000);
    const f = frame();
    b.nic.frameIn(0, b.scheduler.nowPs, f, 0, f.length, 1);
    expect(b.drops.map((d) => d.reason)).toEqual([1]);
    b.pass(30_000 * US);
    expect(b.r(0, 0x42a4)).toBe(0x70000000);
    expect(b.r(0, 0x800)).toBe(0x100000);
    expect(b.r(0, 0x4034)).toBe(1); // MLFC
  });
  it('a link reset trains anew, a software reset does not', () => {
    const b = new Bench();
    b.w(0, 0, 1 << 26);
    expect(b.r(0, 0x42a4)).not.toBe(0);
    b.w(0, 0, (1 << 26) | (1 << 3));
    expect(b.r(0, 0)).toBe((1 << 26) | (1 << 3));
    expect(b.r(0, 0x42a4)).toBe(0);
    b.pass(30_000 * US);
    expect([b.r(0, 0), b.r(0, 0x42a4)]).toEqual([0, 0x70000000]);
  });
  it('a driver that spins on it sees it come up inside one event', () => {
    const b = new Bench();
    b.w(0, 0x42a0, 0x7000);
    b.scheduler.nowPs += 30_000 * US; // as a core does that charges time
    expect(b.r(0, 0x42a4)).toBe(0x70000000);
  });
});

describe('packet buffers', () => {
  it('RXPBSIZE makes the receive buffer smaller', () => {
    const b = new Bench();
    b.start(0);
    b.rxQueue(0, 0, 8);
    expect(b.r(0, 0x3c00)).toBe(0x80000); // 512 KiB
    b.w(0, 0x3c00, 4 << 10);
    for (let i = 0; i < 20; i++) {
      const f = frame({ payload: 958 });
      b.nic.frameIn(0, b.scheduler.nowPs, f, 0, f.length, i);
      b.pass(US);
    }
    b.pass(1000 * US);
    b.nic.sync(b.scheduler.nowPs);
    // Seven go to the ring, four wait in 4 KiB, the rest is missed.
    expect([b.received.length, b.r(0, 0x3fa0), b.r(0, 0x3fc0)]).toEqual([7, 9, 4]);
  });
  it('the security gate closes receive and transmit', () => {
    const b = new Bench();
    b.start(0);
    b.rxQueue(0, 0, 8);
    expect(b.r(0, 0x8d04) & 1).toBe(1); // SECRXSTAT.RDY
    b.w(0, 0x8d00, b.r(0, 0x8d00) | 2);
    const f = frame();
    b.nic.frameIn(0, b.scheduler.nowPs, f, 0, f.length, 1);
    expect(b.drops.map((d) => d.reason)).toEqual([10]);
    b.w(0, 0x8d00, b.r(0, 0x8d00) & ~2);
    b.nic.frameIn(0, b.scheduler.nowPs, f, 0, f.length, 2);
    expect(b.drops.length).toBe(1);
  });
});

describe('accesses', () => {
  it('of 64 bits are pairs, low half first', () => {
    const b = new Bench();
    const { bar0 } = b.nic.functions[0];
    bar0.write64(0x1000, 0x12_3456_7880);
    expect([b.r(0, 0x1000), b.r(0, 0x1004)]).toEqual([0x34567880, 0x12]);
    expect(bar0.read64(0x1000)).toBe(0x12_3456_7880);
    b.start(0);
    b.rxQueue(0, 0, 8);
    const f = frame();
    b.nic.frameIn(0, b.scheduler.nowPs, f, 0, f.length, 1);
    expect(bar0.read64(0x4088)).toBe(f.length + 4); // GORC, cleared by its high half
    expect(bar0.read64(0x4088)).toBe(0);
  });
  it('to what is not modelled read as documented, keep nothing, and are counted by name', () => {
    const b = new Bench();
    expect(b.r(0, 0x3008)).toBe(0x8808); // PFCTOP
    b.w(0, 0x5808, 0xff); // WUFC
    expect(b.r(0, 0x5808)).toBe(0);
    expect(b.r(0, 0x1fffc)).toBe(0);
    b.r(0, 3);
    expect(b.nic.functions[0].registers.unmodelled()).toEqual([
      { offset: -1, name: null, count: 1 },
      { offset: 0x3008, name: 'PFCTOP', count: 1 },
      { offset: 0x5808, name: 'WUFC', count: 2 },
      { offset: 0x1fffc, name: null, count: 1 },
    ]);
  });
  it('statistics count transmitted sizes', () => {
    const b = new Bench();
    expect(b.r(0, 0x40d8)).toBe(0);
    const fn = b.nic.functions[0];
    fn.ctx.stats[0].countSize(100, 60);
    expect([b.r(0, 0x40d8), b.r(0, 0x40d8)]).toEqual([1, 0]);
  });
});
