// Random frames, random register writes, random descriptors: never a crash, never a frame unaccounted for; same input,
// same result.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AdminSide, flow } from './admin-helper.ts';
import { Bench, MEMORY_BASE, frame } from './harness.ts';

const small = {
  exactMatch: { entries: 16, ways: 4, stashEntries: 2, maxKicks: 8 },
  tcam: { entries: 8 },
};

const packet = fc.oneof(
  fc.uint8Array({ minLength: 0, maxLength: 120 }),
  fc
    .record({
      cut: fc.integer({ min: 1, max: 120 }),
      at: fc.integer({ min: 0, max: 60 }),
      byte: fc.integer({ min: 0, max: 255 }),
      v6: fc.boolean(),
      tcp: fc.boolean(),
      vlans: fc.constantFrom<number[]>([], [5], [5, 6], [1, 2, 3]),
    })
    .map((s) => {
      const f = frame({
        v6: s.v6,
        proto: s.tcp ? 6 : 17,
        vlans: s.vlans,
        dst: new Uint8Array([0x02, 0x66, 0x74, 0, 0, 0]),
      });
      f[s.at] = s.byte;
      return f.slice(0, s.cut);
    }),
);

const offsets = fc.oneof(
  fc.constantFrom(
    0,
    0x808,
    0x880,
    0x888,
    0x898,
    0x900,
    0xa00,
    0x820,
    0x1000,
    0x1004,
    0x1008,
    0x1010,
    0x1014,
    0x1018,
    0x1028,
    0x3000,
    0x4a80,
    0x4240,
    0x4268,
    0x5080,
    0x5090,
    0x6000,
    0x6008,
    0x6010,
    0x6018,
    0x6028,
    0xec80,
    0xeb00,
    0xa200,
    0xa204,
    0x5088,
    0x18,
    0x42a0,
    0x3c00,
    0xcc00,
    0x4950,
    0x5480,
    0x890,
    0x6038,
    0x4a88,
    0x8800,
    0x8d00,
  ),
  fc.integer({ min: 0, max: 0x1ffff }),
);
const values = fc.oneof(
  fc.constantFrom(
    0,
    1,
    2,
    7,
    8,
    128,
    0x02000000,
    0x02000402,
    0x12000401,
    0x700,
    0xffffffff,
    MEMORY_BASE,
    0x04000000,
    0x04000102, // header split
    0x0a000201,
    0x06000002, // not a descriptor type
    0x02040824, // thresholds
    0x81000009,
    0x8007, // loopback
    0x04001000,
    MEMORY_BASE + 0x401,
  ),
  fc.integer({ min: 0, max: 0xffffffff }),
);

type Op =
  | { kind: 'frame'; port: number; bytes: Uint8Array }
  | { kind: 'bar0' | 'bar2'; offset: number; value: number }
  | { kind: 'memory'; at: number; value: number }
  | { kind: 'time' };
const op: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('frame' as const),
      port: fc.integer({ min: 0, max: 1 }),
      bytes: packet,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('bar0' as const), offset: offsets, value: values }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('bar2' as const),
      offset: fc.constantFrom(0x20, 0x24, 0x28, 0x2c, 0x30, 0x34, 0x38, 0x40, 0x44, 3),
      value: values,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('memory' as const),
      at: fc.integer({ min: 0, max: 600 }),
      value: fc.oneof(
        values,
        fc.constantFrom(0x2930003c, 0x20200800, 0x29300600, 0x00010001),
        // Segmentation, legacy, its context, null, unknown type, an endless chain.
        fc.constantFrom(0xa9300200, 0x0d00003c, 0x02000814, 0x00640e14, 0x29300000, 0x2950003c),
        fc.constantFrom(0x2030000a, 0x00032300, 0x00001c14, 0x00000300),
      ),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('time' as const) }) },
);

function play(ops: Op[]): string {
  const b = new Bench(small);
  b.start(0);
  b.start(1);
  b.rxQueue(0, 0, 8, { drop: true });
  b.txQueue(0, 0, 8);
  const admin = new AdminSide(b, 0);
  admin.run(1, 1, flow({ flags: 33 }));
  for (const o of ops) {
    if (o.kind === 'frame') b.nic.frameIn(o.port, b.scheduler.nowPs, o.bytes, 0, o.bytes.length, 3);
    else if (o.kind === 'bar0') {
      b.w(0, o.offset, o.value);
      b.r(0, o.offset);
    } else if (o.kind === 'bar2') admin.w(o.offset, o.value);
    else if (o.kind === 'memory') b.view().setUint32(o.at * 4, o.value, true);
    else b.scheduler.runUntil(b.scheduler.nowPs + 1e7);
    b.nic.checkInvariants();
  }
  b.scheduler.runUntil(b.scheduler.nowPs + 1e9);
  b.nic.sync(b.scheduler.nowPs);
  b.nic.reset();
  b.nic.checkInvariants();
  const seen = b.egress.length + b.drops.length + b.received.length;
  expect(seen).toBeGreaterThanOrEqual(ops.filter((o) => o.kind === 'frame').length);
  return JSON.stringify([
    b.egress.map((f) => [f.startPs, [...f.bytes]]),
    b.drops,
    b.received,
    b.interrupts,
  ]);
}

describe('the device against anything', () => {
  it('neither crashes nor loses a frame, and repeats itself', () => {
    fc.assert(
      fc.property(fc.array(op, { maxLength: 60 }), (ops) => {
        expect(play(ops)).toBe(play(ops));
      }),
      { numRuns: 300 },
    );
  });
});
