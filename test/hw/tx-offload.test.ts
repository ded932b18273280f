// Transmit offloads at descriptor level: segmentation against an oracle, SCTP, tags behind tags, legacy descriptors; head
// write-back and the thresholds of TXDCTL; what stops a queue, by name.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { QUEUE_FAULTS } from '../../hw/dma/queue-fault.ts';
import { pseudoSum, segments } from '../reference/segment-oracle.ts';
import { Bench, MEMORY_BASE, frame } from './harness.ts';

const EOP = 1 << 24;
const RS = 1 << 27;
const TSE = 2 ** 31;
const VLE = 1 << 30;
const DATA = 0x20300000;

/** Writes one descriptor's four words. */
function descriptor(b: Bench, ring: number, slot: number, words: number[]): void {
  const at = ring - MEMORY_BASE + 16 * slot;
  words.forEach((word, i) => b.view().setUint32(at + 4 * i, word >>> 0, true));
}

function buffer(b: Bench, bytes: Uint8Array): number {
  const iova = b.alloc(Math.max(bytes.length, 16));
  b.memory.main.bytes.set(bytes, iova - MEMORY_BASE);
  return iova;
}

/** A context: MACLEN, IPLEN, L4LEN, MSS, VLAN, TUCMD. */
function context(
  b: Bench,
  ring: number,
  slot: number,
  c: { mac: number; ip: number; l4?: number; mss?: number; vlan?: number; tucmd: number },
): void {
  const lens = c.ip + c.mac * 512 + (c.vlan ?? 0) * 65536;
  descriptor(b, ring, slot, [
    lens,
    0,
    0x20200000 + c.tucmd,
    (c.l4 ?? 0) * 256 + (c.mss ?? 0) * 65536,
  ]);
}

function settle(b: Bench): void {
  b.pass(1e9);
  b.nic.sync(b.scheduler.nowPs);
  b.nic.checkInvariants();
}

const status = (b: Bench, ring: number, slot: number): number =>
  b.view().getUint32(ring - MEMORY_BASE + 16 * slot + 12, true);

/** Frame as a driver hands it over for segmentation: zero lengths and IPv4 checksum, pseudo-header sum. */
function message(v6: boolean, tcp: boolean, payload: number, tcpFlags: number): Uint8Array {
  const bytes = frame({ v6, proto: tcp ? 6 : 17, payload, tcpFlags });
  const view = new DataView(bytes.buffer);
  const l4 = v6 ? 54 : 34;
  if (v6) view.setUint16(18, 0);
  else {
    view.setUint16(16, 0);
    view.setUint16(24, 0);
  }
  view.setUint16(l4 + (tcp ? 16 : 6), pseudoSum(bytes, 14));
  return bytes;
}

describe('segmentation', () => {
  const shape = fc.record({
    v6: fc.boolean(),
    tcp: fc.boolean(),
    payload: fc.integer({ min: 1, max: 9000 }),
    mss: fc.integer({ min: 100, max: 1460 }),
    flags: fc.integer({ min: 0, max: 255 }),
    cuts: fc.array(fc.integer({ min: 1, max: 8999 }), { maxLength: 6 }),
    vlan: fc.constantFrom(0, 0x2007),
  });

  it('cuts messages as the definition says, byte for byte', () => {
    fc.assert(
      fc.property(shape, (s) => {
        const b = new Bench();
        const ring = b.txQueue(0, 0, 32);
        const bytes = message(s.v6, s.tcp, s.payload, s.flags);
        const l4At = s.v6 ? 54 : 34;
        const l4 = s.tcp ? 20 : 8;
        const ip = s.v6 ? 40 : 20;
        const tucmd = (s.v6 ? 0 : 1 << 10) | (s.tcp ? 1 << 11 : 0);
        context(b, ring, 0, { mac: 14, ip, l4, mss: s.mss, vlan: s.vlan, tucmd });
        const cuts = [...new Set(s.cuts)].filter((cut) => cut < bytes.length).sort((x, y) => x - y);
        const ends = [...cuts, bytes.length];
        ends.forEach((end, i) => {
          const piece = bytes.subarray(i === 0 ? 0 : ends[i - 1], end);
          const last = i === ends.length - 1 ? EOP + RS : 0;
          const command = piece.length + DATA + TSE + last + (s.vlan > 0 ? VLE : 0);
          const olinfo = (bytes.length - l4At - l4) * 16384 + (s.v6 ? 0x200 : 0x300);
          descriptor(b, ring, 1 + i, [buffer(b, piece), 0, command, olinfo]);
        });
        b.w(0, 0x6018, 1 + ends.length);
        settle(b);
        const want = segments({ bytes, l3At: 14, l4At, headerBytes: l4At + l4, mss: s.mss });
        const tag = [0x81, 0, s.vlan >> 8, s.vlan & 255];
        const onWire = want.map((f) =>
          s.vlan > 0 ? new Uint8Array([...f.slice(0, 12), ...tag, ...f.slice(12)]) : f,
        );
        expect(b.egress.map((f) => f.bytes.slice(0, onWire[0].length))).toHaveLength(want.length);
        b.egress.forEach((f, i) => expect(f.bytes.slice(0, onWire[i].length)).toEqual(onWire[i]));
        expect(status(b, ring, ends.length) & 1).toBe(1);
        expect(b.r(0, 0x6010)).toBe(1 + ends.length);
        expect(b.r(0, 0x4080)).toBe(want.length); // GPTC
      }),
      { numRuns: 60 },
    );
  });

  it('waits for the transmit buffer between segments, and keeps other queues going', () => {
    const b = new Bench({ txPacketBufferBytes: 4000 });
    const ring = b.txQueue(0, 0, 8);
    const bytes = message(false, true, 30_000, 0x18);
    context(b, ring, 0, { mac: 14, ip: 20, l4: 20, mss: 1000, tucmd: 0xc00 });
    const command = bytes.length + DATA + TSE + EOP + RS;
    descriptor(b, ring, 1, [buffer(b, bytes), 0, command, 30_000 * 16384 + 0x300]);
    b.w(0, 0x6018, 2);
    expect(b.egress.length).toBeLessThan(10);
    settle(b);
    expect(b.egress.length).toBe(30);
    expect(b.nic.functions[0].txRings[0].stalls).toBeGreaterThan(3);
    // FIN and PSH only in the last.
    expect(b.egress.map((f) => f.bytes[47] & 9)).toEqual([...new Array<number>(29).fill(0), 8]);
  });

  it('takes the flags from DTXTCPFLGL and DTXTCPFLGH', () => {
    const b = new Bench();
    const ring = b.txQueue(0, 0, 8);
    expect([b.r(0, 0x4a88), b.r(0, 0x4a8c)]).toEqual([0x0ff60ff6, 0xf7f]);
    b.w(0, 0x4a88, 0x0ff00f0f);
    b.w(0, 0x4a8c, 0xfff);
    const bytes = message(false, true, 300, 0xff);
    context(b, ring, 0, { mac: 14, ip: 20, l4: 20, mss: 100, tucmd: 0xc00 });
    const command = bytes.length + DATA + TSE + EOP;
    descriptor(b, ring, 1, [buffer(b, bytes), 0, command, 300 * 16384 + 0x300]);
    b.w(0, 0x6018, 2);
    settle(b);
    expect(b.egress.map((f) => f.bytes[47])).toEqual([0x0f, 0xf0, 0xff]);
  });
});

describe('checksums and tags', () => {
  it('inserts the CRC32c of SCTP', () => {
    const b = new Bench();
    const ring = b.txQueue(0, 0, 8);
    const bytes = frame({ proto: 132, payload: 24 });
    bytes.fill(0xaa, 42, 46);
    context(b, ring, 0, { mac: 14, ip: 20, tucmd: 0x1400 });
    descriptor(b, ring, 1, [buffer(b, bytes), 0, bytes.length + DATA + EOP, 0x200]);
    b.w(0, 0x6018, 2);
    settle(b);
    const out = b.egress[0].bytes;
    const zeroed = out.slice(34, bytes.length);
    zeroed.fill(0, 8, 12);
    const crc = crc32c(zeroed);
    expect([...out.slice(42, 46)]).toEqual([0, 8, 16, 24].map((shift) => (crc >>> shift) & 255));
  });

  it('CRC32c of "123456789" is E3069283', () => {
    expect(crc32c(new TextEncoder().encode('123456789')) >>> 0).toBe(0xe3069283);
  });

  it('inserts a tag behind the outer one with CTRL_EXT.EXTENDED_VLAN', () => {
    const b = new Bench();
    const ring = b.txQueue(0, 0, 8);
    b.w(0, 0x18, 1 << 26);
    b.w(0, 0x5078, 0x88a8 << 16);
    const plain = frame();
    const outer = new Uint8Array([...plain.slice(0, 12), 0x88, 0xa8, 0, 9, ...plain.slice(12)]);
    context(b, ring, 0, { mac: 18, ip: 20, vlan: 5, tucmd: 0 });
    descriptor(b, ring, 1, [buffer(b, outer), 0, outer.length + DATA + EOP + VLE, 0x80]);
    descriptor(b, ring, 2, [buffer(b, plain), 0, plain.length + DATA + EOP + VLE, 0x80]);
    b.w(0, 0x6018, 3);
    settle(b);
    const two = [...plain.slice(0, 12), 0x88, 0xa8, 0, 9, 0x81, 0, 0, 5, ...plain.slice(12)];
    expect(b.egress[0].bytes).toEqual(new Uint8Array(two));
    const one = [...plain.slice(0, 12), 0x81, 0, 0, 5, ...plain.slice(12)];
    expect(b.egress[1].bytes).toEqual(new Uint8Array(one));
  });

  it('takes legacy descriptors: several buffers, checksum by offsets, tag, report', () => {
    const b = new Bench();
    const ring = b.txQueue(0, 0, 8);
    const want = frame({ proto: 6, payload: 40 });
    const given = want.slice();
    let sum = 0x0a00 + 0x0001 + 0x0a00 + 0x0102 + 6 + 60;
    sum = (sum & 0xffff) + (sum >>> 16);
    given[50] = sum >> 8;
    given[51] = sum & 255;
    descriptor(b, ring, 0, [buffer(b, given.slice(0, 30)), 0, 30, 0]);
    const command = given.length - 30 + (50 << 16) + EOP + (1 << 26) + RS + VLE;
    descriptor(b, ring, 1, [buffer(b, given.slice(30)), 0, command, (34 << 8) + 7 * 65536]);
    b.w(0, 0x6018, 2);
    settle(b);
    const tagged = [...want.slice(0, 12), 0x81, 0, 0, 7, ...want.slice(12)];
    expect(b.egress[0].bytes).toEqual(new Uint8Array(tagged));
    expect([status(b, ring, 0) & 1, status(b, ring, 1) & 1]).toEqual([0, 1]);
  });

  it('passes null descriptors between frames', () => {
    const b = new Bench();
    const ring = b.txQueue(0, 0, 8);
    descriptor(b, ring, 0, [0, 0, DATA + EOP + RS, 0]);
    descriptor(b, ring, 1, [buffer(b, frame()), 0, frame().length + DATA + EOP, 0]);
    b.w(0, 0x6018, 2);
    settle(b);
    expect([b.egress.length, status(b, ring, 0) & 1]).toEqual([1, 1]);
  });
});

describe('reports', () => {
  const send = (b: Bench, ring: number, slot: number): void => {
    const bytes = frame();
    descriptor(b, ring, slot, [buffer(b, bytes), 0, bytes.length + DATA + EOP + RS, 0]);
    b.w(0, 0x6018, (slot + 1) % 32);
  };
  it('writes the head instead of DD', () => {
    const b = new Bench();
    const ring = b.txQueue(0, 0, 32);
    const head = b.alloc(4);
    b.w(0, 0x6038, head | 1);
    for (let slot = 0; slot < 5; slot++) send(b, ring, slot);
    settle(b);
    expect(b.view().getUint32(head - MEMORY_BASE, true)).toBe(5);
    expect(status(b, ring, 4)).toBe(0);
  });
  it('waits for WTHRESH descriptors, without EITR for ever, with it for one interval', () => {
    const b = new Bench();
    const ring = b.txQueue(0, 0, 32);
    b.w(0, 0x6028, 0x02000000 | (4 << 16));
    b.w(0, 0x898, 0x10);
    b.w(0, 0x900, 0x8300); // TX 0: vector 3
    const done = (): number[] => [0, 1, 2, 3, 4, 5].map((slot) => status(b, ring, slot) & 1);
    for (let slot = 0; slot < 3; slot++) send(b, ring, slot);
    settle(b);
    expect(done()).toEqual([0, 0, 0, 0, 0, 0]);
    send(b, ring, 3);
    settle(b);
    expect(done()).toEqual([1, 1, 1, 1, 0, 0]);
    b.w(0, 0x820 + 12, 50 << 3);
    send(b, ring, 4);
    b.pass(90e6);
    b.nic.sync(b.scheduler.nowPs);
    expect(done()[4]).toBe(0);
    b.pass(20e6);
    b.nic.sync(b.scheduler.nowPs);
    expect(done()[4]).toBe(1);
  });
  it('reads descriptors ahead with PTHRESH', () => {
    const latency = (txdctl: number): number => {
      const b = new Bench();
      const ring = b.txQueue(0, 0, 256);
      b.w(0, 0x6028, 0x02000000 | txdctl);
      const bytes = frame({ payload: 1400 });
      const iova = buffer(b, bytes);
      for (let slot = 0; slot < 200; slot++)
        descriptor(b, ring, slot, [iova, 0, bytes.length + DATA + EOP, 0]);
      b.w(0, 0x6018, 200);
      settle(b);
      expect(b.egress.length).toBe(200);
      return b.egress[199].endPs;
    };
    expect(latency(32 | (8 << 8))).toBeLessThanOrEqual(latency(0));
  });
});

describe('distrust', () => {
  const chain = (b: Bench, ring: number, count: number, lenBytes: number): void => {
    for (let slot = 0; slot < count; slot++) {
      const end = slot === count - 1 ? EOP : 0;
      descriptor(b, ring, slot, [buffer(b, new Uint8Array(lenBytes)), 0, lenBytes + DATA + end, 0]);
    }
    b.w(0, 0x6018, count);
  };
  const one = (b: Bench, ring: number, words: number[]): void => {
    descriptor(b, ring, 0, words);
    b.w(0, 0x6018, 1);
  };
  it.each<[string, (b: Bench, ring: number) => void]>([
    ['chain-too-long', (b, ring) => chain(b, ring, 39, 10)],
    ['zero-length', (b, ring) => one(b, ring, [MEMORY_BASE, 0, DATA, 0])],
    ['frame-too-short', (b, ring) => chain(b, ring, 1, 16)],
    ['buffer-address', (b, ring) => one(b, ring, [16, 0, 60 + DATA + EOP, 0])],
    ['descriptor-type', (b, ring) => one(b, ring, [MEMORY_BASE, 0, 60 + 0x20500000 + EOP, 0])],
    ['bad-context', (b, ring) => one(b, ring, [MEMORY_BASE, 0, 60 + DATA + EOP, 0x300])],
    ['bad-segmentation', (b, ring) => one(b, ring, [MEMORY_BASE, 0, 60 + DATA + EOP + TSE, 0x300])],
    ['tail-past-ring', (b) => b.w(0, 0x6018, 64)],
  ])('%s stops the queue and is counted', (name, spoil) => {
    const b = new Bench();
    const ring = b.txQueue(0, 0, 64);
    spoil(b, ring);
    settle(b);
    const { faultLog, stopReason } = b.nic.functions[0].txRings[0];
    expect(QUEUE_FAULTS[faultLog.last].name).toBe(name);
    expect(faultLog.total).toBe(1);
    expect(stopReason).not.toBe(0);
    expect(b.egress).toEqual([]);
  });
  it('takes a chain of 38, and one of 38 less WTHRESH', () => {
    const b = new Bench();
    const ring = b.txQueue(0, 0, 64);
    chain(b, ring, 38, 10);
    settle(b);
    expect(b.egress.length).toBe(1);
  });
  it('a misaligned ring base loses its low bits, counted', () => {
    const b = new Bench();
    b.w(0, 0x6000, 0x10000041);
    expect(b.r(0, 0x6000)).toBe(0x10000000);
    b.w(0, 0x1000, 0x10000008);
    expect(b.r(0, 0x1000)).toBe(0x10000000);
    const { txRings, rxRings } = b.nic.functions[0];
    expect([txRings[0].faults, rxRings[0].faults]).toEqual([1, 1]);
  });
  it('RSC is refused, and said', () => {
    const b = new Bench();
    b.w(0, 0x102c, 0x0d);
    expect(b.r(0, 0x102c)).toBe(0x0c);
    expect(QUEUE_FAULTS[b.nic.functions[0].rxRings[0].faultLog.last].name).toBe('rsc-refused');
  });
});

/** Bit by bit, no table. */
function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes)
    for (let bit = 0; bit < 8; bit++) {
      const out = (crc ^ (byte >> bit)) & 1;
      crc = (crc >>> 1) ^ (out === 1 ? 0x82f63b78 : 0);
    }
  return ~crc;
}
