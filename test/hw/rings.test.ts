// Rings and interrupts at register and memory level: wrap, full, several descriptors, VLAN, checksum insertion, misuse.
import { describe, expect, it } from 'vitest';
import { Bench, MEMORY_BASE, frame } from './harness.ts';

const MS = 1e9;

function arrive(b: Bench, f: Uint8Array, id: number): void {
  b.nic.frameIn(0, b.scheduler.nowPs, f, 0, f.length, id);
}

function settle(b: Bench): void {
  b.scheduler.runUntil(b.scheduler.nowPs + MS);
  b.nic.sync(b.scheduler.nowPs);
  b.nic.checkInvariants();
}

/** Puts the buffers back into all descriptors, as a driver does that refills. */
function rearm(b: Bench, ring: number, buffers: number[]): void {
  buffers.forEach((buffer, i) => {
    const at = ring - MEMORY_BASE + 16 * i;
    b.view().setUint32(at, buffer, true);
    b.view().setUint32(at + 4, 0, true);
    b.view().setUint32(at + 8, 0, true);
  });
}

describe('receive ring', () => {
  it('writes payload and descriptor, not before its time, and notes the owner', () => {
    const b = new Bench();
    b.start(0);
    const { ring, buffers } = b.rxQueue(0, 0, 8);
    const f = frame({ payload: 100 });
    const startPs = b.scheduler.nowPs;
    arrive(b, f, 42);
    b.nic.sync(b.scheduler.nowPs);
    expect(b.received).toEqual([]);
    expect(b.view().getUint32(ring - MEMORY_BASE, true)).toBe(buffers[0]);
    settle(b);
    const at = ring - MEMORY_BASE;
    expect(b.view().getUint32(at + 8, true)).toBe(0x73); // DD EOP UDPCS L4CS IPCS
    expect(b.view().getUint16(at + 12, true)).toBe(f.length);
    expect(b.view().getUint32(at, true)).toBe(0x210); // IPv4, UDP, no RSS
    const to = buffers[0] - MEMORY_BASE;
    expect(b.memory.main.bytes.slice(to, to + f.length)).toEqual(f);
    expect(b.memory.ownerAt(buffers[0])).toBe(42);
    // 10G: 8 + len + 4 octets, 0.3 us of MAC, then pipeline and PCIe: more than 1 us in all, less than 3.
    expect(b.received[0].ps - startPs).toBeGreaterThan(1e6);
    expect(b.received[0].ps - startPs).toBeLessThan(3e6);
    expect(b.r(0, 0x1010)).toBe(1); // RDH
  });

  it('marks bad checksums', () => {
    const b = new Bench();
    b.start(0);
    const { ring } = b.rxQueue(0, 0, 8);
    const f = frame({ payload: 33 });
    f[60] ^= 1;
    arrive(b, f, 1);
    settle(b);
    expect(b.view().getUint32(ring - MEMORY_BASE + 8, true)).toBe(0x40000073);
  });

  it('wraps and drops with QPRDC when the ring is empty and DROP_EN is set', () => {
    const b = new Bench();
    b.start(0);
    const { ring, buffers } = b.rxQueue(0, 0, 8, { drop: true });
    for (let i = 0; i < 9; i++) arrive(b, frame(), i);
    settle(b);
    expect(b.received.map((r) => r.slot)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(b.drops.map((d) => [d.packetId, d.reason])).toEqual([
      [7, 3],
      [8, 3],
    ]);
    expect(b.r(0, 0x1430)).toBe(2);
    rearm(b, ring, buffers);
    b.w(0, 0x1018, 4);
    for (let i = 10; i < 16; i++) arrive(b, frame(), i);
    settle(b);
    expect(b.received.slice(7).map((r) => r.slot)).toEqual([7, 0, 1, 2, 3]);
    expect(b.drops.length).toBe(3);
  });

  it('keeps frames in the packet buffer without DROP_EN, until it is full, and goes on in order', () => {
    const b = new Bench({ rxPacketBufferBytes: 1000, maxFrameBytes: 1600 });
    b.start(0);
    const { ring, buffers } = b.rxQueue(0, 0, 8);
    for (let i = 0; i < 7; i++) {
      arrive(b, frame({ payload: 158 }), i);
      settle(b);
    }
    for (let i = 7; i < 14; i++) {
      arrive(b, frame({ payload: 158 }), i);
      settle(b);
    }
    expect(b.received.length).toBe(7);
    expect(b.drops.map((d) => [d.packetId, d.reason])).toEqual([
      [12, 2],
      [13, 2],
    ]);
    expect(b.r(0, 0x3fa0)).toBe(2); // MPC
    rearm(b, ring, buffers);
    b.w(0, 0x1018, 3);
    settle(b);
    expect(b.received.map((r) => r.packetId)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    rearm(b, ring, buffers);
    b.w(0, 0x1018, 6);
    settle(b);
    arrive(b, frame(), 20);
    settle(b);
    expect(b.received.slice(11).map((r) => r.packetId)).toEqual([11, 20]);
  });

  it('spreads a long frame over descriptors; only the last has EOP and the facts', () => {
    const b = new Bench();
    b.start(0);
    const { ring, buffers } = b.rxQueue(0, 0, 8, { kib: 1 });
    const f = frame({ payload: 2958 });
    arrive(b, f, 5);
    settle(b);
    const d = (i: number): number[] => {
      const at = ring - MEMORY_BASE + 16 * i;
      return [b.view().getUint32(at + 8, true) & 3, b.view().getUint16(at + 12, true)];
    };
    expect([d(0), d(1), d(2)]).toEqual([
      [1, 1024],
      [1, 1024],
      [3, 3000 - 2048],
    ]);
    const got = [0, 1, 2].flatMap((i) => {
      const at = buffers[i] - MEMORY_BASE;
      return [...b.memory.main.bytes.slice(at, at + d(i)[1])];
    });
    expect(new Uint8Array(got)).toEqual(f);
    expect(b.received).toMatchObject([{ packetId: 5, slot: 2 }]);
  });

  it('strips a tag into the descriptor when RXDCTL.VME is set', () => {
    const b = new Bench();
    b.start(0);
    const { ring, buffers } = b.rxQueue(0, 0, 8, { vme: true });
    const tagged = frame({ vlans: [0x6123] });
    arrive(b, tagged, 1);
    settle(b);
    const at = ring - MEMORY_BASE;
    const plain = frame();
    expect(b.view().getUint16(at + 14, true)).toBe(0x6123);
    expect(b.view().getUint32(at + 8, true) & 8).toBe(8);
    const to = buffers[0] - MEMORY_BASE;
    expect(b.memory.main.bytes.slice(to, to + b.view().getUint16(at + 12, true))).toEqual(plain);
  });

  it.each([
    [
      'length 0',
      (b: Bench): void => {
        b.w(0, 0x1008, 0);
      },
    ],
    [
      'length not a multiple of 128',
      (b: Bench): void => {
        b.w(0, 0x1008, 130);
      },
    ],
    [
      'ring outside memory',
      (b: Bench): void => {
        b.w(0, 0x1004, 7);
      },
    ],
    [
      'buffer outside memory',
      (b: Bench): void => {
        b.view().setUint32(b.nic.functions[0].rxRings[0].baseIova - MEMORY_BASE, 16, true);
      },
    ],
  ])('survives a driver that gets it wrong: %s', (_name, spoil) => {
    const b = new Bench();
    b.start(0);
    b.rxQueue(0, 0, 8);
    b.w(0, 0x1028, 0);
    spoil(b);
    b.w(0, 0x1028, 0x02000000);
    b.pass(3e6);
    arrive(b, frame(), 1);
    arrive(b, frame(), 2);
    settle(b);
    expect(b.drops.map((d) => d.reason)).toEqual([9, 9]);
    expect(b.nic.functions[0].rxRings[0].faults).toBe(1);
  });

  it('drops with a reason when disabled, when the link is down, and when too long or too short', () => {
    const b = new Bench();
    arrive(b, frame(), 1);
    b.start(0);
    arrive(b, frame(), 2);
    b.nic.setLink(0, false);
    arrive(b, frame(), 3);
    b.nic.setLink(0, true);
    b.w(0, 0x4268, 1000 << 16);
    arrive(b, frame({ payload: 955 }), 4); // 42 + 955 + FCS 4 = 1001
    arrive(b, new Uint8Array(13), 5);
    settle(b);
    expect(b.drops.map((d) => d.reason)).toEqual([10, 11, 1, 5, 6]);
    expect([b.r(0, 0x40ac), b.r(0, 0x40a4)]).toEqual([1, 1]);
  });
});

interface TxSpec {
  slot: number;
  bytes: Uint8Array;
  cmd?: number;
  olinfo?: number;
}

function post(b: Bench, ring: number, t: TxSpec): number {
  const buffer = b.alloc(Math.max(t.bytes.length, 16));
  b.memory.main.bytes.set(t.bytes, buffer - MEMORY_BASE);
  const at = ring - MEMORY_BASE + 16 * t.slot;
  b.view().setUint32(at, buffer, true);
  b.view().setUint32(at + 4, 0, true);
  b.view().setUint32(at + 8, t.bytes.length | 0x20300000 | (t.cmd ?? 0x09000000), true);
  b.view().setUint32(at + 12, t.olinfo ?? 0, true);
  return buffer;
}

function context(
  b: Bench,
  ring: number,
  slot: number,
  vlan: number,
  macLen: number,
  ipLen: number,
  tucmd: number,
): void {
  const at = ring - MEMORY_BASE + 16 * slot;
  b.view().setUint32(at, (vlan << 16) | (macLen << 9) | ipLen, true);
  b.view().setUint32(at + 8, 0x20200000 | tucmd, true);
  b.view().setUint32(at + 12, 0, true);
}

const dd = (b: Bench, ring: number, slot: number): number =>
  b.view().getUint32(ring - MEMORY_BASE + 16 * slot + 12, true) & 1;

describe('transmit ring', () => {
  it('sends, writes DD back where asked, carries the packet id of the buffer, pads to 60', () => {
    const b = new Bench();
    const ring = b.txQueue(1, 0, 8);
    const f = frame({ payload: 4 });
    b.memory.setOwner(post(b, ring, { slot: 0, bytes: f }), 77);
    post(b, ring, { slot: 1, bytes: frame({ payload: 50 }), cmd: 0x01000000 });
    b.w(1, 0x6018, 2);
    expect(dd(b, ring, 0)).toBe(0);
    settle(b);
    expect([dd(b, ring, 0), dd(b, ring, 1)]).toEqual([1, 0]);
    expect(b.egress[0]).toMatchObject({
      port: 1,
      packetId: 77,
      fromHost: true,
      queue: 0,
      entry: -1,
    });
    expect(b.egress[0].bytes).toEqual(new Uint8Array([...f, ...new Uint8Array(60 - f.length)]));
    expect(b.r(1, 0x6010)).toBe(2);
    expect(b.r(1, 0x4080)).toBe(2); // GPTC
  });

  it('joins descriptors, inserts tag and checksums by context', () => {
    const b = new Bench();
    const ring = b.txQueue(0, 0, 8);
    for (const tcp of [true, false]) {
      const want = frame({ proto: tcp ? 6 : 17, payload: 61 });
      const given = want.slice();
      given[24] = given[25] = 0;
      // The driver leaves the pseudo-header sum in the field.
      let sum = 0x0a00 + 0x0001 + 0x0a00 + 0x0102 + (tcp ? 6 + 81 : 17 + 69);
      sum = (sum & 0xffff) + (sum >>> 16);
      given[tcp ? 50 : 40] = sum >> 8;
      given[tcp ? 51 : 41] = sum & 255;
      const s = tcp ? 0 : 4;
      context(b, ring, s, 0x2007, 14, 20, 0x400 | (tcp ? 0x800 : 0));
      post(b, ring, { slot: s + 1, bytes: given.slice(0, 20), cmd: 0x40000000, olinfo: 0x380 });
      post(b, ring, { slot: s + 2, bytes: given.slice(20), cmd: 0x49000000 });
      b.w(0, 0x6018, (s + 3) % 8);
      if (tcp) {
        post(b, ring, { slot: 3, bytes: frame() });
        b.w(0, 0x6018, 4);
      }
      settle(b);
      const tagged = [...want.slice(0, 12), 0x81, 0, 0x20, 7, ...want.slice(12)];
      expect(b.egress.at(tcp ? 0 : -1)?.bytes).toEqual(new Uint8Array(tagged));
    }
  });

  it('waits for EOP, and for room in the transmit buffer, without loss', () => {
    const b = new Bench({ txPacketBufferBytes: 4000 });
    const ring = b.txQueue(0, 0, 32);
    post(b, ring, { slot: 0, bytes: new Uint8Array(1000), cmd: 0 });
    b.w(0, 0x6018, 1);
    settle(b);
    expect(b.egress.length).toBe(0);
    post(b, ring, { slot: 1, bytes: new Uint8Array(400) });
    for (let i = 2; i < 22; i++) post(b, ring, { slot: i, bytes: new Uint8Array(1400) });
    b.w(0, 0x6018, 22);
    expect(b.egress.length).toBeLessThan(21);
    settle(b);
    expect(b.egress.length).toBe(21);
    expect(b.nic.functions[0].txRings[0].stalls).toBeGreaterThan(3);
    const gaps = b.egress.slice(1).map((f, i) => f.startPs - b.egress[i].startPs);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual((1400 + 24) * 800 - 1); // never faster than the line
  });

  it.each([
    ['tail past the ring', (b: Bench): void => b.w(0, 0x6018, 500), []],
    [
      'buffer outside memory',
      (b: Bench, ring: number): void => {
        post(b, ring, { slot: 0, bytes: new Uint8Array(60) });
        b.view().setUint32(ring - MEMORY_BASE, 3, true);
        b.w(0, 0x6018, 1);
      },
      [9],
    ],
    [
      'frame too short',
      (b: Bench, ring: number): void => {
        post(b, ring, { slot: 0, bytes: new Uint8Array(9) });
        b.w(0, 0x6018, 1);
      },
      [12],
    ],
    [
      'descriptor of an unknown type',
      (b: Bench, ring: number): void => {
        post(b, ring, { slot: 0, bytes: new Uint8Array(60) });
        b.view().setUint32(ring - MEMORY_BASE + 8, 0x2b50003c, true);
        b.w(0, 0x6018, 1);
      },
      [12],
    ],
    [
      'segmentation',
      (b: Bench, ring: number): void => {
        post(b, ring, { slot: 0, bytes: new Uint8Array(60), cmd: 0x89000000 });
        b.w(0, 0x6018, 1);
      },
      [12],
    ],
    [
      'checksum beyond the frame',
      (b: Bench, ring: number): void => {
        context(b, ring, 0, 0, 14, 60, 0x800);
        post(b, ring, { slot: 1, bytes: new Uint8Array(60), olinfo: 0x200 });
        b.w(0, 0x6018, 2);
      },
      [12],
    ],
  ])('stops on misuse: %s', (_name, spoil, reasons) => {
    const b = new Bench();
    const ring = b.txQueue(0, 0, 8);
    spoil(b, ring);
    settle(b);
    expect(b.drops.map((d) => d.reason)).toEqual(reasons);
    expect(b.nic.functions[0].txRings[0].faults).toBe(1);
    expect(b.egress).toEqual([]);
    // Disable, repair, enable: it works again.
    b.w(0, 0x6028, 0);
    b.w(0, 0x6010, 0);
    b.w(0, 0x6018, 0);
    b.w(0, 0x6028, 0x02000000);
    b.pass(3e6);
    post(b, ring, { slot: 0, bytes: frame() });
    b.w(0, 0x6018, 1);
    settle(b);
    expect(b.egress.length).toBe(1);
  });
});

describe('interrupts', () => {
  const setup = (): Bench => {
    const b = new Bench();
    b.start(0);
    b.rxQueue(0, 0, 64);
    b.w(0, 0x900, 0x80 | 3); // IVAR 0: RX 0 -> vector 3
    b.w(0, 0x898, 0x40000000 | 0x10); // GPIE: MSI-X, EIAME
    b.w(0, 0x810, 0xffff); // EIAC
    return b;
  };
  it('fire after the write-back, only unmasked, and a masked cause fires on unmasking', () => {
    const b = setup();
    arrive(b, frame(), 1);
    settle(b);
    expect(b.interrupts).toEqual([]);
    const now = b.scheduler.nowPs;
    b.w(0, 0xaa0, 8);
    b.scheduler.runUntil(now + MS);
    expect(b.interrupts).toMatchObject([{ fn: 0, vector: 3, ps: now }]);
    arrive(b, frame(), 2);
    b.scheduler.runUntil(b.scheduler.nowPs + MS);
    expect(b.received.length).toBe(2); // published before the interrupt
    expect(b.interrupts[1].ps).toBeGreaterThanOrEqual(b.received[1].ps);
  });
  it('mask themselves with EIAM and lose nothing that arrives meanwhile', () => {
    const b = setup();
    b.w(0, 0xad0, 8);
    b.w(0, 0xaa0, 8);
    for (let i = 0; i < 5; i++) arrive(b, frame(), i);
    b.scheduler.runUntil(b.scheduler.nowPs + MS);
    expect(b.interrupts.length).toBe(1);
    expect(b.r(0, 0x880) & 8).toBe(0);
    arrive(b, frame(), 9);
    b.scheduler.runUntil(b.scheduler.nowPs + MS);
    expect(b.interrupts.length).toBe(1);
    b.w(0, 0x880, 8); // EIMS: vectors 0-15 share it
    b.scheduler.runUntil(b.scheduler.nowPs + MS);
    expect(b.interrupts.length).toBe(2);
  });
  it('are spaced by EITR in steps of 2.048 us', () => {
    const b = setup();
    b.w(0, 0x820 + 12, 10 << 3);
    b.w(0, 0xaa0, 8);
    for (let i = 0; i < 60; i++) {
      arrive(b, frame(), i);
      b.scheduler.runUntil(b.scheduler.nowPs + 1e6);
    }
    settle(b);
    const gaps = b.interrupts.slice(1).map((x, i) => x.ps - b.interrupts[i].ps);
    expect(gaps.length).toBeGreaterThan(1);
    for (const gap of gaps) expect(gap).toBeGreaterThanOrEqual(20_480_000);
    expect(b.interrupts.length).toBeLessThan(6);
  });
  it('tell link changes through IVAR_MISC, with the cause in EICR', () => {
    const b = setup();
    b.w(0, 0xa00, (0x80 | 5) << 8);
    b.w(0, 0x880, 0x100000);
    b.nic.setLink(0, false);
    b.scheduler.runUntil(MS);
    expect(b.interrupts).toMatchObject([{ vector: 5 }]);
    expect(b.r(0, 0x42a4)).toBe(0);
    expect(b.r(0, 0x800)).toBe(0x100000);
    expect(b.r(0, 0x800)).toBe(0);
  });
});

describe('reset', () => {
  it('accounts for frames that are staged or wait', () => {
    const b = new Bench();
    b.start(0);
    b.rxQueue(0, 0, 8);
    for (let i = 0; i < 10; i++) arrive(b, frame(), i);
    b.w(0, 0, 0x04000000);
    b.nic.checkInvariants();
    expect(b.drops.map((d) => d.reason)).toEqual(new Array(10).fill(11));
    expect(b.r(0, 0x1008)).toBe(0);
  });
});
