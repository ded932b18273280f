// Pause frames and the split receive buffer, at register level. Offsets and frame layouts are repeated here from the 82599 data sheet
// and IEEE 802.3 annexes 31B and 31D on purpose.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AdminSide, flow } from './admin-helper.ts';
import { Bench, MEMORY_BASE, frame } from './harness.ts';

const MFLCN = 0x4294;
const RFCE = 8;
const RPFCE = 4;
const FCCFG = 0x3d00;
const FCTTV = 0x3200;
const FCRTL = 0x3220;
const FCRTH = 0x3260;
const FCRTV = 0x32a0;
const RTRUP2TC = 0x3020;
const RXPBSIZE = 0x3c00;
const MRQC = 0xec80;
const MPC = 0x3fa0;
const TOP_BIT = 0x80000000;
/** One quantum at 10G: 512 bits, ps. */
const QUANTUM_PS = 51_200;
const US = 1e6;

/** A pause frame for everything, or (with `classes`) for these priorities. */
function pauseFrame(quanta: number, classes = -1): Uint8Array {
  const bytes = new Uint8Array(60);
  const view = new DataView(bytes.buffer);
  bytes.set([0x01, 0x80, 0xc2, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x88, 0x08]);
  view.setUint16(14, classes < 0 ? 0x0001 : 0x0101);
  view.setUint16(16, classes < 0 ? quanta : classes);
  for (let i = 0; i < 8 && classes >= 0; i++)
    if ((classes & (1 << i)) !== 0) view.setUint16(18 + 2 * i, quanta);
  return bytes;
}

/** What a control frame says: opcode, second word, quanta of the classes. */
function control(bytes: Uint8Array): { opcode: number; word: number; quanta: number[] } {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  expect([...bytes.slice(0, 6)]).toEqual([0x01, 0x80, 0xc2, 0, 0, 1]);
  expect(view.getUint16(12)).toBe(0x8808);
  const quanta = Array.from({ length: 8 }, (_, i) => view.getUint16(18 + 2 * i));
  return { opcode: view.getUint16(14), word: view.getUint16(16), quanta };
}

/** A bench with a host that sends `count` frames at once from queue 0 of port 0. */
class Sender {
  readonly b: Bench;
  private readonly ring: number;
  private readonly buffer: number;
  private tail = 0;

  constructor(overrides: ConstructorParameters<typeof Bench>[0] = {}) {
    this.b = new Bench(overrides);
    this.b.start(0);
    this.ring = this.b.txQueue(0, 0, 64);
    this.buffer = this.b.alloc(2048);
    const f = frame({ payload: 400 });
    this.b.memory.main.bytes.set(f, this.buffer - MEMORY_BASE);
  }

  send(count: number): void {
    const { b } = this;
    for (let n = 0; n < count; n++) {
      const at = this.ring - MEMORY_BASE + 16 * this.tail;
      b.view().setUint32(at, this.buffer, true);
      b.view().setUint32(at + 4, 0, true);
      b.view().setUint32(at + 8, 442 | 0x2b300000, true);
      b.view().setUint32(at + 12, 442 << 14, true);
      this.tail = (this.tail + 1) % 64;
    }
    b.w(0, 0x6018, this.tail);
  }

  receive(bytes: Uint8Array): void {
    this.b.nic.frameIn(0, this.b.scheduler.nowPs, bytes, 0, bytes.length, 1000);
  }
}

describe('a port told to pause', () => {
  it('stops fetching for the time asked, and counts the frame', () => {
    const s = new Sender();
    s.b.w(0, MFLCN, RFCE);
    s.receive(pauseFrame(1000));
    const startPs = s.b.scheduler.nowPs;
    s.send(5);
    s.b.pass(40 * US);
    expect(s.b.egress).toHaveLength(0);
    s.b.pass(40 * US);
    expect(s.b.egress).toHaveLength(5);
    const waitedPs = s.b.egress[0].startPs - startPs;
    expect(waitedPs).toBeGreaterThan(1000 * QUANTUM_PS);
    expect(waitedPs).toBeLessThan(1000 * QUANTUM_PS + 5 * US);
    expect(s.b.r(0, 0x41a8)).toBe(1); // LXOFFRXC
    expect(s.b.r(0, 0x41a8)).toBe(0);
    expect(s.b.drops).toHaveLength(1); // the pause frame ends in the MAC
    s.b.nic.checkInvariants();
  });

  it('goes on at an XON', () => {
    const s = new Sender();
    s.b.w(0, MFLCN, RFCE);
    s.receive(pauseFrame(0xffff));
    s.send(3);
    s.b.pass(100 * US);
    expect(s.b.egress).toHaveLength(0);
    s.receive(pauseFrame(0));
    s.b.pass(10 * US);
    expect(s.b.egress).toHaveLength(3);
    expect(s.b.r(0, 0x41a4)).toBe(1); // LXONRXC
  });

  it('takes a pause frame as any other without RFCE, and goes on when RFCE is cleared', () => {
    const s = new Sender();
    s.b.rxQueue(0, 0, 8);
    s.receive(pauseFrame(0xffff));
    s.send(1);
    s.b.pass(20 * US);
    s.b.nic.sync(s.b.scheduler.nowPs);
    expect(s.b.egress).toHaveLength(1);
    expect(s.b.received).toHaveLength(1);
    s.b.w(0, MFLCN, RFCE);
    s.receive(pauseFrame(0xffff));
    s.send(1);
    s.b.pass(20 * US);
    expect(s.b.egress).toHaveLength(1);
    s.b.w(0, MFLCN, 0);
    s.b.pass(20 * US);
    expect(s.b.egress).toHaveLength(2);
  });

  it('keeps forwarded frames as long as there is room, in order, and counts what there is none for', () => {
    const b = new Bench({ txPacketBufferBytes: 4096 });
    b.start(0);
    b.start(1);
    b.rxQueue(0, 0, 64);
    expect(new AdminSide(b, 0).run(1, 77, flow({ flags: 0 })).status).toBe(0);
    b.w(1, MFLCN, RFCE);
    const pause = pauseFrame(0xffff);
    b.nic.frameIn(1, b.scheduler.nowPs, pause, 0, 60, -1);
    for (let n = 0; n < 20; n++) {
      const f = frame({ dst: b.mac(0), payload: 400 - n });
      b.nic.frameIn(0, b.scheduler.nowPs, f, 0, f.length, n);
      b.pass(US);
    }
    expect(b.egress).toHaveLength(0);
    const lost = b.drops.filter((drop) => drop.packetId >= 0);
    expect(lost.length).toBeGreaterThan(5);
    b.nic.frameIn(1, b.scheduler.nowPs, pauseFrame(0), 0, 60, -1);
    b.pass(100 * US);
    expect(b.egress.map((out) => out.packetId)).toEqual(
      Array.from({ length: 20 - lost.length }, (_, n) => n),
    );
    expect(b.egress[0].startPs).toBeGreaterThan(20 * US);
    b.nic.checkInvariants();
  });

  it('pauses only the priorities named (802.1Qbb)', () => {
    const b = new Bench();
    b.start(0);
    b.start(1);
    b.rxQueue(0, 0, 64);
    const admin = new AdminSide(b, 0);
    expect(admin.run(1, 77, flow({ flags: 0 })).status).toBe(0);
    b.w(1, MFLCN, RPFCE);
    b.w(1, 0xc800, 0o76543210); // RTTUP2TC: priority n is class n
    b.nic.frameIn(1, b.scheduler.nowPs, pauseFrame(1000, 0b0000_1000), 0, 60, -1);
    const f = frame({ dst: b.mac(0) });
    b.nic.frameIn(0, b.scheduler.nowPs, f, 0, f.length, 1); // untagged: class 0
    b.pass(5 * US);
    expect(b.egress).toHaveLength(1);
    b.nic.frameIn(1, b.scheduler.nowPs, pauseFrame(1000, 0b0000_0001), 0, 60, -1);
    b.nic.frameIn(0, b.scheduler.nowPs, f, 0, f.length, 2);
    b.pass(5 * US);
    expect(b.egress).toHaveLength(1);
    b.pass(60 * US);
    expect(b.egress).toHaveLength(2);
    expect(b.r(1, 0x4160)).toBe(1); // PXOFFRXC 0
    expect(b.r(1, 0x416c)).toBe(1); // PXOFFRXC 3
    expect(b.r(1, 0x41a8)).toBe(0); // LXOFFRXC
    // 802.3x frames are not for a port that has only RPFCE.
    b.nic.frameIn(1, b.scheduler.nowPs, pauseFrame(1000), 0, 60, -1);
    expect(b.r(1, 0x41a8)).toBe(0);
  });
});

describe('a port whose receive buffer fills', () => {
  /** Port 0 with one queue without descriptors, so that frames wait in the buffer. */
  function filling(): { b: Bench; put: (count: number) => void } {
    const b = new Bench({ rxPacketBufferBytes: 16384 });
    b.start(0);
    b.rxQueue(0, 0, 8);
    b.w(0, FCTTV, 1000);
    b.w(0, FCRTV, 500);
    b.w(0, FCRTH, (8192 | TOP_BIT) >>> 0);
    b.w(0, FCRTL, (2048 | TOP_BIT) >>> 0);
    const f = frame({ payload: 958 });
    const put = (count: number): void => {
      for (let n = 0; n < count; n++) {
        b.nic.frameIn(0, b.scheduler.nowPs, f, 0, f.length, n);
        b.pass(US);
      }
    };
    return { b, put };
  }

  it('sends XOFF above FCRTH, again at FCRTV, and XON at FCRTL', () => {
    const { b, put } = filling();
    b.w(0, FCCFG, 8);
    put(7); // seven go into the ring's descriptors
    expect(b.egress).toHaveLength(0);
    put(8); // 8,000 bytes wait
    expect(b.egress).toHaveLength(0);
    put(1);
    expect(b.egress).toHaveLength(1);
    expect(control(b.egress[0].bytes)).toMatchObject({ opcode: 1, word: 1000 });
    expect([...b.egress[0].bytes.slice(6, 12)]).toEqual([...b.mac(0)]);
    b.pass(70 * US); // half of 1,000 quanta are 25.6 us: sent again twice
    expect(b.egress).toHaveLength(3);
    expect(b.egress[1].startPs - b.egress[0].startPs).toBeGreaterThan(500 * QUANTUM_PS);
    expect(b.egress[1].startPs - b.egress[0].startPs).toBeLessThan(500 * QUANTUM_PS + US);
    // The host gives descriptors: the waiting frames leave, the level falls.
    for (let tail = 0; tail < 7; tail++) {
      b.w(0, 0x1018, tail);
      b.pass(5 * US);
    }
    const last = b.egress.at(-1);
    expect(last === undefined ? null : control(last.bytes)).toMatchObject({ opcode: 1, word: 0 });
    expect(b.r(0, 0x3f60)).toBe(1); // LXONTXC
    expect(b.r(0, 0x3f68)).toBe(b.egress.length - 1); // LXOFFTXC
    expect(b.r(0, 0x4080)).toBe(b.egress.length); // GPTC counts them too
    b.nic.checkInvariants();
  });

  it('says nothing without FCCFG or FCEN', () => {
    const { b, put } = filling();
    put(20);
    expect(b.egress).toHaveLength(0);
    b.w(0, FCRTH, 8192);
    b.w(0, FCCFG, 8);
    put(5);
    expect(b.egress).toHaveLength(0);
  });
});

describe('the receive buffer split by class', () => {
  function split(): Bench {
    const b = new Bench({ rxPacketBufferBytes: 32768 });
    b.start(0);
    b.w(0, MRQC, 4); // eight classes
    b.w(0, RTRUP2TC, 0b001_000_000_000 | 0); // priority 3 is class 1
    b.w(0, RXPBSIZE, 8 << 10);
    b.w(0, RXPBSIZE + 4, 4 << 10);
    b.rxQueue(0, 0, 8);
    return b;
  }
  const tagged = frame({ payload: 954, vlans: [(3 << 13) | 5] });
  const plain = frame({ payload: 958 });
  const put = (b: Bench, f: Uint8Array, count: number): void => {
    for (let n = 0; n < count; n++) {
      b.nic.frameIn(0, b.scheduler.nowPs, f, 0, f.length, n);
      b.pass(US);
    }
  };

  it('drops in the class that is full, counted in its MPC, and takes the others', () => {
    const b = split();
    put(b, plain, 7); // all descriptors
    put(b, tagged, 6);
    expect(b.drops).toHaveLength(2); // 4 KiB hold four frames of 1,000 bytes
    expect(b.r(0, MPC + 4)).toBe(2);
    expect(b.r(0, MPC)).toBe(0);
    put(b, plain, 8);
    expect(b.drops).toHaveLength(2);
    put(b, plain, 1);
    expect(b.r(0, MPC)).toBe(1);
    b.nic.checkInvariants();
  });

  it('pauses the priorities of a class', () => {
    const b = split();
    b.w(0, FCCFG, 16);
    b.w(0, FCTTV, (77 << 16) | 11);
    b.w(0, FCRTH + 4, (2048 | TOP_BIT) >>> 0);
    b.w(0, FCRTL + 4, (1024 | TOP_BIT) >>> 0);
    put(b, plain, 7);
    put(b, tagged, 3);
    expect(b.egress).toHaveLength(1);
    const sent = control(b.egress[0].bytes);
    expect(sent).toEqual({ opcode: 0x0101, word: 8, quanta: [0, 0, 0, 77, 0, 0, 0, 0] });
    expect(b.r(0, 0x3f24)).toBe(1); // PXOFFTXC 1
    expect(b.r(0, 0x3f68)).toBe(0);
  });

  it('keeps levels and conservation under any mix of classes, descriptors and mode changes', () => {
    const step = fc.constantFrom('plain', 'tagged', 'descriptor', 'on', 'off', 'time');
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const b = split();
        let tail = 0;
        for (const what of steps) {
          if (what === 'plain') put(b, plain, 1);
          else if (what === 'tagged') put(b, tagged, 1);
          else if (what === 'descriptor') b.w(0, 0x1018, (tail = (tail + 1) % 8));
          else if (what === 'on') b.w(0, MRQC, 4);
          else if (what === 'off') b.w(0, MRQC, 1);
          else b.pass(20 * US);
          b.nic.sync(b.scheduler.nowPs);
          b.nic.checkInvariants();
        }
      }),
      { seed: 20260, numRuns: 60 },
    );
  });
});
