// What interrupts beside the plain queue causes: low-latency interrupts (82599 7.3.4.2), the TCP timer; the unicast hash table, link
// modes, the limit of transmit reads, queues from 64 on. Register level, with the data sheet's numbers repeated on purpose.
import { describe, expect, it } from 'vitest';
import { Bench, frame, MEMORY_BASE } from './harness.ts';
import type { FrameSpec } from './harness.ts';
import { BUCKET_KEY } from '../../hw/steering/fdir-hash.ts';
import { naiveFdirHash } from '../reference/naive-steering.ts';

const US = 1e6;
const MS = 1e9;
/** EITR: 100 steps of 2.048 us. */
const INTERVAL = 100 << 3;
const FLOW = { proto: 6, srcIp: 0x0a000001, dstIp: 0x0a000002, sport: 1234, dport: 80 };

class InterruptBench extends Bench {
  private sent = 0;

  /** One queue on vector 3, moderated. */
  constructor(eitr = INTERVAL) {
    super();
    this.start(0);
    this.rxQueue(0, 0, 64);
    this.w(0, 0x900, 0x80 | 3);
    this.w(0, 0x898, 0x40000010); // GPIE: MSI-X, EIAME
    this.w(0, 0x810, 0xffff);
    this.w(0, 0x820 + 12, eitr);
    this.w(0, 0xaa0, 8);
  }

  /** Sends a frame and lets 10 us pass; how many interrupts that brought. */
  interruptsBy(spec: FrameSpec): number {
    const before = this.interrupts.length;
    const f = frame(spec);
    this.nic.frameIn(0, this.scheduler.nowPs, f, 0, f.length, ++this.sent);
    this.pass(10 * US);
    return this.interrupts.length - before;
  }

  /** 5-tuple filter for TCP port 80 without a queue, with an interrupt at once: as ixgbe's LLIPort sets it. */
  urgentPort(l34timir: number): void {
    this.w(0, 0xe400, 80 << 24); // SDPQF: destination port 80 in wire order
    this.w(0, 0xe800, l34timir);
    this.w(0, 0xe600, 0x40000000 | (7 << 2) | (0x17 << 25)); // FTQF: all but the destination port ignored
  }
}

describe('low-latency interrupts', () => {
  const other = { ...FLOW, dport: 81 };

  it('of a 5-tuple filter do not wait for the interval', () => {
    const b = new InterruptBench();
    b.urgentPort(0x00181000); // LLI, SIZE_BP
    expect(b.interruptsBy(other)).toBe(1);
    expect(b.interruptsBy(other)).toBe(0); // moderated
    expect(b.interruptsBy(FLOW)).toBe(1);
    expect(b.interruptsBy(FLOW)).toBe(1);
    expect(b.interruptsBy(other)).toBe(0);
    b.pass(MS);
    expect(b.interrupts).toHaveLength(4);
    expect(b.received).toHaveLength(5);
  });

  it('take a shorter packet than LLITHRESH only, unless SIZE_BP is set', () => {
    const b = new InterruptBench();
    b.urgentPort(0x00180000);
    b.w(0, 0xec90, 200);
    expect(b.interruptsBy(FLOW)).toBe(1);
    expect(b.interruptsBy({ ...FLOW, payload: 300 })).toBe(0);
    expect(b.interruptsBy({ ...FLOW, payload: 20 })).toBe(1);
  });

  it('come by a Flow Director filter with INT', () => {
    const b = new InterruptBench();
    b.w(0, 0xee70, 0x10); // flexible bytes masked
    b.w(0, 0xee68, BUCKET_KEY);
    b.w(0, 0xee00, 0x0a060011);
    b.pass(100 * US);
    const words = [
      2 << 16,
      FLOW.dstIp,
      0,
      0,
      0,
      FLOW.srcIp,
      0,
      0,
      0,
      (FLOW.sport << 16) | FLOW.dport,
    ];
    b.w(0, 0xee18, 0x0100000a);
    b.w(0, 0xee1c, 0x0200000a);
    b.w(0, 0xee20, (FLOW.dport << 16) | FLOW.sport);
    b.w(0, 0xee28, naiveFdirHash([...words, 0], BUCKET_KEY) | (7 << 16));
    b.w(0, 0xee2c, 1 | 8 | (2 << 5) | (1 << 10) | (1 << 11) | (1 << 15));
    b.pass(100 * US);
    expect([1, 2, 3].map(() => b.interruptsBy(other))).toEqual([1, 0, 0]);
    expect([1, 2].map(() => b.interruptsBy(FLOW))).toEqual([1, 1]);
  });

  it('come by EtherType, and by priority of the tag, without a queue of the filter', () => {
    const b = new InterruptBench();
    b.interruptsBy(other);
    b.w(0, 0x5128, 0x80000000 | 0x86dd); // ETQF 0: IPv6
    b.w(0, 0xec00, 0x20000000); // ETQS 0: LLI
    expect(b.interruptsBy({ ...other, v6: true })).toBe(1);
    expect(b.interruptsBy(other)).toBe(0);
    b.w(0, 0x5ac0, 8 | 5); // IMIRVP: priority 5 and above
    expect(b.interruptsBy({ ...other, vlans: [(4 << 13) | 7] })).toBe(0);
    expect(b.interruptsBy({ ...other, vlans: [(5 << 13) | 7] })).toBe(1);
  });

  it('do not come for a packet with a wrong checksum', () => {
    const b = new InterruptBench();
    b.urgentPort(0x00181000);
    b.interruptsBy(other);
    const f = frame(FLOW);
    f[f.length - 1] ^= 1;
    b.nic.frameIn(0, b.scheduler.nowPs, f, 0, f.length, 99);
    b.pass(10 * US);
    expect(b.interrupts).toHaveLength(1);
  });

  it('with LLI_MOD take credits, which come back every LL_INTERVAL times 4 us', () => {
    const b = new InterruptBench(INTERVAL | (1 << 15) | (2 << 16)); // two credits
    b.w(0, 0x898, 0x40000010 | (5 << 7)); // a credit every 20 us
    b.w(0, 0x820 + 12, INTERVAL | (1 << 15) | (2 << 16));
    b.urgentPort(0x00181000);
    b.interruptsBy(other); // at 10 us: no credit taken
    const credits = (): number => (b.r(0, 0x820 + 12) >>> 16) & 31;
    expect(credits()).toBe(2);
    b.w(0, 0x898, 0x40000010); // none come back
    expect([1, 2, 3, 4].map(() => b.interruptsBy(FLOW))).toEqual([1, 1, 0, 0]);
    expect(credits()).toBe(0);
    b.w(0, 0x820 + 12, INTERVAL | (1 << 15) | (1 << 31)); // CNT_WDIS: credits stay
    b.w(0, 0x898, 0x40000010 | (5 << 7));
    b.r(0, 0x820 + 12);
    const before = credits();
    b.pass(20 * US);
    expect(credits()).toBe(before + 1);
    b.pass(100 * MS);
    expect(credits()).toBe(31);
  });
});

describe('TCP timer', () => {
  const timer = (): Bench => {
    const b = new Bench();
    b.w(0, 0x898, 0x10);
    b.w(0, 0xa00, 0x80 | 6); // IVAR_MISC: TCP timer to vector 6
    b.w(0, 0x880, 0x40000000);
    return b;
  };
  it('interrupts after its milliseconds, again and again with LOOP', () => {
    const b = timer();
    b.w(0, 0x4c, 0xb00 | 3);
    b.pass(2.9 * MS);
    expect(b.interrupts).toEqual([]);
    b.pass(0.2 * MS);
    expect(b.interrupts).toMatchObject([{ vector: 6 }]);
    expect(b.r(0, 0x800)).toBe(0x40000000);
    b.pass(9 * MS);
    expect(b.interrupts).toHaveLength(4);
    b.w(0, 0x4c, 0x300 | 3);
    b.pass(20 * MS);
    expect(b.interrupts).toHaveLength(5); // once without LOOP
  });
  it('stands still without COUNT_EN, goes on from there, and ends at once with COUNT_FINISH', () => {
    const b = timer();
    b.w(0, 0x4c, 0x300 | 10);
    b.pass(6 * MS);
    b.w(0, 0x4c, 10);
    b.pass(50 * MS);
    expect(b.interrupts).toEqual([]);
    b.w(0, 0x4c, 0x200 | 10);
    b.pass(3.9 * MS);
    expect(b.interrupts).toEqual([]);
    b.pass(0.2 * MS);
    expect(b.interrupts).toHaveLength(1);
    b.w(0, 0x4c, 0x400);
    b.pass(US);
    expect(b.interrupts).toHaveLength(2);
    b.pass(50 * MS);
    expect(b.interrupts).toHaveLength(2);
  });
  it('is cleared by itself with EIAC, and by a reset', () => {
    const b = timer();
    b.w(0, 0x810, 0x40000000);
    b.w(0, 0x4c, 0x400);
    b.pass(US);
    expect([b.interrupts.length, b.r(0, 0x800)]).toEqual([1, 0]);
    b.w(0, 0x4c, 0xb00 | 1);
    b.w(0, 0, 0x04000000);
    b.pass(50 * MS);
    expect([b.interrupts.length, b.r(0, 0x4c)]).toEqual([1, 0]);
  });
});

describe('unicast hash table', () => {
  it('takes an address whose bit is set, with MFE, by the hash of the multicast table', () => {
    const b = new Bench();
    b.start(0);
    b.w(0, 0x5080, 0);
    b.rxQueue(0, 0, 16);
    const vector = (0x34 >> 4) | (0x12 << 4);
    const send = (id: number, first: number): void => {
      const f = frame({ dst: new Uint8Array([first, 0, 0x5e, 0, 0x34, 0x12]) });
      b.nic.frameIn(0, b.scheduler.nowPs, f, 0, f.length, id);
      b.pass(US);
    };
    b.w(0, 0xf400 + 4 * (vector >> 5), 1 << (vector & 31));
    send(1, 2); // MFE is clear
    b.w(0, 0x5090, 4);
    send(2, 2);
    send(3, 3); // multicast: another table
    expect(b.drops.map((d) => d.packetId)).toEqual([1, 3]);
  });
});

describe('link modes', () => {
  it.each([
    ['0: 1G without negotiation', 0x0000, 0x60000000],
    ['1: 10G without negotiation', 0x2000, 0x70000000],
    ['2: 1G', 0x4000, 0x60000000],
    ['3: 10G serial', 0x6000, 0x70000000],
    ['4: KX4, KX, KR offering all', 0xc0018000, 0x70000000],
    ['4 offering KX only', 0x40008000, 0x60000000],
    ['4 offering nothing', 0x00008000, 0],
    ['5: SGMII', 0xa000, 0x60000000],
    ['6 offering KR', 0x0001c000, 0x70000000],
    ['7 offering KX', 0x4000e000, 0x60000000],
  ])('LMS %s', (_name, autoc, links) => {
    const b = new Bench();
    b.w(0, 0x42a0, (autoc | 0x1000) >>> 0);
    b.pass(30 * MS);
    expect(b.r(0, 0x42a0)).toBe(autoc >>> 0);
    expect(b.r(0, 0x42a4)).toBe(links);
  });
  it('a frame takes ten times as long at 1 Gb/s', () => {
    const b = new Bench();
    const ring = b.txQueue(0, 0, 16);
    b.w(0, 0x42a0, 0x1000); // LMS 0
    b.pass(30 * MS);
    b.view().setUint32(ring - MEMORY_BASE, b.alloc(2048), true);
    b.view().setUint32(ring - MEMORY_BASE + 8, 0x2b300000 | 1000, true); // advanced, EOP, IFCS, RS
    b.view().setUint32(ring - MEMORY_BASE + 12, 1000 << 14, true);
    b.w(0, 0x6018, 1);
    b.pass(MS);
    const [sent] = b.egress;
    expect(sent.endPs - sent.startPs).toBe((8 + 1000 + 4) * 8000);
  });
});

describe('DTXMXSZRQ', () => {
  /** Sends frames of 1,000 bytes on a fast link; when the last one left. */
  const lastOf = (limit: number): number => {
    const b = new Bench({ lineRateBps: 400e9 });
    const ring = b.txQueue(0, 0, 64);
    b.w(0, 0x8100, limit);
    const buffer = b.alloc(2048) - MEMORY_BASE;
    for (let i = 0; i < 32; i++) {
      b.view().setUint32(ring - MEMORY_BASE + 16 * i, buffer + MEMORY_BASE, true);
      b.view().setUint32(ring - MEMORY_BASE + 16 * i + 8, 0x23300000 | 1000, true);
      b.view().setUint32(ring - MEMORY_BASE + 16 * i + 12, 1000 << 14, true);
    }
    const startPs = b.scheduler.nowPs;
    b.w(0, 0x6018, 32);
    b.pass(MS);
    expect(b.egress).toHaveLength(32);
    return b.egress[31].startPs - startPs;
  };
  it('limits the bytes that transmit has asked for: so many a read latency', () => {
    const free = lastOf(0xfff);
    // 1 KiB: one frame at a time, each at least the read latency (546 ns) after the one before.
    expect(lastOf(4)).toBeGreaterThan(31 * 546_000);
    // 4 KiB, the reset value: four at a time.
    const four = lastOf(0x10);
    expect(four).toBeGreaterThan(7 * 546_000);
    expect(four).toBeLessThan(lastOf(4) / 3);
    expect(four).toBeGreaterThan(free);
    expect(lastOf(0xffe)).toBe(free);
  });
});

describe('queues from 64 on', () => {
  it('receive, send and interrupt as the others', () => {
    const b = new Bench({ queues: 128, vectors: 64 });
    b.start(0);
    const ring = b.alloc(16 * 16);
    const buffer = b.alloc(2048);
    b.view().setUint32(ring - MEMORY_BASE, buffer, true);
    const block = 0xd000 + 0x40 * 36; // queue 100
    b.w(0, block, ring);
    b.w(0, block + 8, 256);
    b.w(0, block + 0x14, 0x02000002);
    b.w(0, block + 0x28, 0x02000000);
    b.pass(2 * US);
    b.w(0, block + 0x18, 8);
    b.w(0, 0x900 + 4 * 50, 0x80 | 40); // IVAR 50: RX 100 to vector 40
    b.w(0, 0x898, 0x10);
    b.w(0, 0xaa4, 1 << 8);
    b.w(0, 0x5128, 0x80000000 | 0x0800);
    b.w(0, 0xec00, 0x80000000 | (100 << 16));
    const f = frame();
    b.nic.frameIn(0, b.scheduler.nowPs, f, 0, f.length, 1);
    b.pass(10 * US);
    expect(b.received).toMatchObject([{ queue: 100, slot: 0 }]);
    expect(b.interrupts).toMatchObject([{ vector: 40 }]);
    expect(b.r(0, block + 0x10)).toBe(1); // RDH
    expect(b.view().getUint32(ring - MEMORY_BASE + 8, true) & 3).toBe(3); // DD, EOP
    const txRing = b.txQueue(0, 127, 16);
    b.view().setUint32(txRing - MEMORY_BASE, buffer, true);
    b.view().setUint32(txRing - MEMORY_BASE + 8, 0x2b300000 | f.length, true);
    b.view().setUint32(txRing - MEMORY_BASE + 12, f.length << 14, true);
    b.w(0, 0x6000 + 0x40 * 127 + 0x18, 1);
    b.pass(10 * US);
    expect(b.egress).toMatchObject([{ queue: 127 }]);
    expect(b.r(0, 0x6000 + 0x40 * 127 + 0x10)).toBe(1);
    b.nic.checkInvariants();
  });
});
