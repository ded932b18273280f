// Receive descriptors in all their forms: legacy, header split of both kinds, SCTP checksums, inner tags; interrupts with a single
// message; loopback.
import { describe, expect, it } from 'vitest';
import { Bench, MEMORY_BASE, frame } from './harness.ts';

const MS = 1e9;

function arrive(b: Bench, f: Uint8Array, id = 1): void {
  b.nic.frameIn(0, b.scheduler.nowPs, f, 0, f.length, id);
  b.pass(MS);
  b.nic.sync(b.scheduler.nowPs);
  b.nic.checkInvariants();
}

/** A queue with header buffers behind the packet buffers' addresses. */
function splitQueue(b: Bench, srrctl: number): { ring: number; data: number[]; head: number[] } {
  const { ring, buffers } = b.rxQueue(0, 0, 8);
  const head = buffers.map(() => b.alloc(1024));
  head.forEach((iova, i) => b.view().setUint32(ring - MEMORY_BASE + 16 * i + 8, iova, true));
  b.w(0, 0x1014, srrctl);
  return { ring, data: buffers, head };
}

const word = (b: Bench, ring: number, slot: number, i: number): number =>
  b.view().getUint32(ring - MEMORY_BASE + 16 * slot + 4 * i, true);
const bytesAt = (b: Bench, iova: number, length: number): Uint8Array =>
  b.memory.main.bytes.slice(iova - MEMORY_BASE, iova - MEMORY_BASE + length);

describe('legacy receive descriptors', () => {
  it('have length, status, errors and tag in their upper half', () => {
    const b = new Bench();
    b.start(0);
    const { ring, buffers } = b.rxQueue(0, 0, 8, { vme: true });
    b.w(0, 0x1014, 2);
    const f = frame({ vlans: [0x2123], proto: 6 });
    f[f.length - 1] ^= 1;
    arrive(b, f);
    expect(word(b, ring, 0, 0)).toBe(buffers[0]);
    expect(word(b, ring, 0, 2)).toBe(f.length - 4);
    // DD EOP VP L4CS IPCS; TCPE in bit 6 of the errors; tag.
    expect(word(b, ring, 0, 3)).toBe((0x2123 << 16) | (0x40 << 8) | 0x6b);
  });
});

describe('header split', () => {
  const TCP = 0x10;
  const split = (
    psrtype: number,
    srrctl: number,
    f: Uint8Array,
  ): { sph: number; hdr: number; hbo: number; len: number; head: Uint8Array; data: Uint8Array } => {
    const b = new Bench();
    b.start(0);
    b.w(0, 0x5480, psrtype);
    const { ring, data, head } = splitQueue(b, srrctl);
    arrive(b, f);
    const info = word(b, ring, 0, 0);
    const len = word(b, ring, 0, 3) & 0xffff;
    const headLen = f.length - len;
    return {
      sph: info >>> 31,
      hdr: (info >>> 21) & 0x3ff,
      hbo: (word(b, ring, 0, 2) >>> 23) & 1,
      len,
      head: bytesAt(b, head[0], headLen),
      data: bytesAt(b, data[0], len),
    };
  };
  const f = frame({ proto: 6, payload: 200 });
  const SPLIT = 2 | (4 << 8) | (2 << 25);
  const ALWAYS = 2 | (4 << 8) | (5 << 25);

  it('puts headers and payload apart', () => {
    const got = split(TCP, SPLIT, f);
    expect(got).toMatchObject({ sph: 1, hdr: 54, hbo: 0, len: 200 });
    expect(got.head).toEqual(f.slice(0, 54));
    expect(got.data).toEqual(f.slice(54));
  });
  it.each([
    ['nothing named', 0, frame({ proto: 6, payload: 200 }), 0],
    ['UDP', 0x20, frame({ payload: 200 }), 42],
    ['IPv4 of TCP', 0x100, frame({ proto: 6, payload: 200 }), 34],
    ['IPv6', 0x200, frame({ v6: true, payload: 200 }), 54],
    ['L2', 0x1000, frame({ vlans: [3], payload: 200 }), 18],
    ['IPv6 named, IPv4 came', 0x200, frame({ payload: 200 }), 0],
  ])('cuts behind the deepest header named: %s', (_name, psrtype, given, want) => {
    const got = split(psrtype, SPLIT, given);
    expect(got).toMatchObject({ sph: want > 0 ? 1 : 0, hdr: want, len: given.length - want });
    expect(new Uint8Array([...got.head, ...got.data])).toEqual(given);
  });
  it('does not split a header that is larger than its buffer, and says so', () => {
    const got = split(
      0x200,
      2 | (0 << 8) | (1 << 8) | (2 << 25),
      frame({ v6: true, payload: 100 }),
    );
    expect(got).toMatchObject({ sph: 1, hdr: 54, hbo: 0 });
    const tagged = frame({ v6: true, payload: 100, vlans: [1, 2, 3] });
    expect(split(0x1000 | 0x200, 2 | (1 << 8) | (2 << 25), tagged).len).toBeGreaterThan(0);
  });
  it('always: a short frame lies in the header buffer, a long one fills it first', () => {
    const short = split(0, ALWAYS, frame({ payload: 60 }));
    expect(short).toMatchObject({ sph: 0, hdr: 102, len: 0 });
    const long = split(0, ALWAYS, f);
    expect(long).toMatchObject({ sph: 0, hdr: 254, len: 0 });
    const longer = frame({ payload: 900 });
    const got = split(0, ALWAYS, longer);
    expect(got).toMatchObject({ sph: 0, hdr: 256, len: longer.length - 256 });
    expect(new Uint8Array([...got.head, ...got.data])).toEqual(longer);
  });
  it('goes on over several descriptors, the header in the first', () => {
    const b = new Bench();
    b.start(0);
    b.w(0, 0x5480, TCP);
    const { ring, data, head } = splitQueue(b, 1 | (4 << 8) | (2 << 25));
    const long = frame({ proto: 6, payload: 2500 });
    arrive(b, long);
    const lens = [0, 1, 2].map((i) => word(b, ring, i, 3) & 0xffff);
    expect(lens).toEqual([1024, 1024, 452]);
    expect([0, 1, 2].map((i) => word(b, ring, i, 2) & 3)).toEqual([1, 1, 3]);
    const got = [...bytesAt(b, head[0], 54)];
    lens.forEach((len, i) => got.push(...bytesAt(b, data[i], len)));
    expect(new Uint8Array(got)).toEqual(long);
  });
});

describe('receive offloads', () => {
  it('verifies the CRC32c of SCTP', () => {
    const b = new Bench();
    b.start(0);
    const { ring } = b.rxQueue(0, 0, 8);
    // A shutdown chunk; CRC worked out with the bitwise definition (tx-offload.test.ts).
    const f = frame({ proto: 132, payload: 12 });
    f.fill(0, 42, 46);
    let crc = 0xffffffff;
    for (const byte of f.slice(34))
      for (let bit = 0; bit < 8; bit++) {
        const out = (crc ^ (byte >> bit)) & 1;
        crc = (crc >>> 1) ^ (out === 1 ? 0x82f63b78 : 0);
      }
    new DataView(f.buffer).setInt32(42, ~crc, true);
    arrive(b, f);
    expect(word(b, ring, 0, 2) & 0x4000_0023).toBe(0x23);
    f[50] ^= 4;
    arrive(b, f);
    expect((word(b, ring, 1, 2) & 0x4000_0023) >>> 0).toBe(0x4000_0023);
    expect(b.r(0, 0x4120)).toBe(1); // XEC
  });
  it('strips the inner tag of two', () => {
    const b = new Bench();
    b.start(0);
    b.w(0, 0x18, 1 << 26);
    const { ring, buffers } = b.rxQueue(0, 0, 8, { vme: true });
    arrive(b, frame({ vlans: [0x2001, 0x4002] }));
    expect(word(b, ring, 0, 2) & 0x208).toBe(0x208); // VEXT, VP
    expect(word(b, ring, 0, 3) >>> 16).toBe(0x4002);
    expect(bytesAt(b, buffers[0], frame().length + 4)).toEqual(frame({ vlans: [0x2001] }));
    arrive(b, frame({ vlans: [7] }));
    expect(word(b, ring, 1, 2) & 0x208).toBe(0x200);
  });
  it('filters by the inner tag of two, and by CFI', () => {
    const b = new Bench();
    b.start(0);
    b.rxQueue(0, 0, 32);
    b.w(0, 0x5088, 0x40008100);
    b.w(0, 0xa000, 1 << 5);
    arrive(b, frame({ vlans: [5] }), 1);
    arrive(b, frame({ vlans: [6] }), 2);
    b.w(0, 0x18, 1 << 26);
    arrive(b, frame({ vlans: [9, 5] }), 3);
    arrive(b, frame({ vlans: [5, 9] }), 4);
    b.w(0, 0x5088, 0x20008100);
    arrive(b, frame({ vlans: [9, 0x1005] }), 5);
    expect(b.drops.map((d) => d.packetId)).toEqual([2, 4, 5]);
  });
});

describe('a single message (GPIE.MSIX_MODE clear)', () => {
  it('comes when a bit of EICR becomes set, once until it is read', () => {
    const b = new Bench();
    b.start(0);
    b.rxQueue(0, 0, 64);
    b.w(0, 0x900, 0x80 | 5); // RX 0: bit 5
    b.w(0, 0x880, 0x20);
    arrive(b, frame());
    arrive(b, frame());
    expect(b.interrupts).toMatchObject([{ fn: 0, vector: 0 }]);
    expect(b.r(0, 0x800)).toBe(0x20);
    expect(b.r(0, 0x800)).toBe(0);
    arrive(b, frame());
    expect(b.interrupts.length).toBe(2);
  });
  it('masks by EIAM when EICR is read, and tells again on unmasking', () => {
    const b = new Bench();
    b.start(0);
    b.rxQueue(0, 0, 64);
    b.w(0, 0x900, 0x80 | 5);
    b.w(0, 0x890, 0xffff); // EIAM
    b.w(0, 0x880, 0x20);
    arrive(b, frame());
    expect(b.r(0, 0x800)).toBe(0x20);
    expect(b.r(0, 0x880)).toBe(0);
    arrive(b, frame());
    expect(b.interrupts.length).toBe(1);
    b.w(0, 0x880, 0x20);
    b.pass(MS);
    expect(b.interrupts.length).toBe(2);
  });
  it('is spaced by EITR 0, and tells link changes without IVAR_MISC', () => {
    const b = new Bench();
    b.start(0);
    b.rxQueue(0, 0, 64);
    b.w(0, 0x900, 0x80);
    b.w(0, 0x820, 100 << 3);
    b.w(0, 0x880, 0x100001);
    arrive(b, frame());
    b.r(0, 0x800);
    const first = b.interrupts[0].ps;
    for (let i = 0; i < 30; i++) {
      b.nic.frameIn(0, b.scheduler.nowPs, frame(), 0, frame().length, i);
      b.pass(10e6);
      b.r(0, 0x800);
    }
    expect(first).toBeGreaterThan(0);
    const gaps = b.interrupts.slice(2).map((x, i) => x.ps - b.interrupts[i + 1].ps);
    for (const gap of gaps) expect(gap).toBeGreaterThanOrEqual(204_800_000);
    const before = b.interrupts.length;
    b.nic.setLink(0, false);
    b.pass(MS);
    expect(b.interrupts.length).toBe(before + 1);
    expect(b.r(0, 0x800) & 0x100000).toBe(0x100000);
  });
});

describe('loopback (HLREG0.LPBK)', () => {
  it('receives what it sends, without a cable', () => {
    const b = new Bench();
    b.start(0);
    const { buffers } = b.rxQueue(0, 0, 8);
    const ring = b.txQueue(0, 0, 8);
    b.nic.setLink(0, false);
    expect(b.r(0, 0x42a4)).toBe(0);
    b.w(0, 0x4240, b.r(0, 0x4240) | 0x8000);
    expect(b.r(0, 0x42a4) >>> 30).toBe(1);
    const f = frame({ payload: 100 });
    const at = b.alloc(f.length);
    b.memory.main.bytes.set(f, at - MEMORY_BASE);
    b.view().setUint32(ring - MEMORY_BASE, at, true);
    b.view().setUint32(ring - MEMORY_BASE + 8, 0x2b300000 | f.length, true);
    b.w(0, 0x6018, 1);
    b.pass(MS);
    b.nic.sync(b.scheduler.nowPs);
    expect(b.egress).toEqual([]);
    expect(b.received.length).toBe(1);
    expect(bytesAt(b, buffers[0], f.length)).toEqual(f);
    expect([b.r(0, 0x4080), b.r(0, 0x4074)]).toEqual([1, 1]);
    b.nic.checkInvariants();
    b.w(0, 0x4240, b.r(0, 0x4240) & ~0x8000);
    expect(b.r(0, 0x42a4)).toBe(0);
  });
});
