// A driver that does anything: writes to any register of either BAR in both widths, ring bases, lengths and tails out of nowhere,
// descriptors of random bits, resets and link changes at any moment, all while frames come in and go out. Whatever it does, the model
// does not crash, every frame that came in has exactly one fate, every event of the device ends, and the same misuse gives
// the same result again. robustness.test.ts does the same to one queue with more care for what the values mean.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { placesOf } from '../../hw/register-def.ts';
import { REGISTERS } from '../../hw/register-map.ts';
import { Bench, MEMORY_BASE, frame } from './harness.ts';
import type { FrameSpec } from './harness.ts';

const QUEUES = 4;
const SLOTS = 8;
/** Rings lie in the first 8 KiB of host memory; buffers behind them. */
const RING_BYTES = 0x2000;
const BAR_BYTES = 0x20000;

/** Every register by its place, so that all are met as often as those that come in arrays of 128. */
const PLACES = REGISTERS.map((def) => placesOf(def).map(({ offset }) => offset));

const registerOffset = fc
  .tuple(fc.nat({ max: PLACES.length - 1 }), fc.nat())
  .map(([register, n]) => PLACES[register][n % PLACES[register].length]);
const queueOffset = fc
  .tuple(
    fc.constantFrom(0x1000, 0x6000),
    fc.nat({ max: QUEUES }),
    fc.constantFrom(0, 4, 8, 0x10, 0x14, 0x18, 0x28, 0x2c, 0x38, 0x3c),
  )
  .map(([block, q, at]) => block + 0x40 * q + at);
const offset = fc.oneof(
  { weight: 4, arbitrary: queueOffset },
  { weight: 4, arbitrary: registerOffset },
  { weight: 1, arbitrary: fc.integer({ min: -8, max: BAR_BYTES + 8 }) },
);

const value = fc.oneof(
  fc.constantFrom(0, 1, 2, 3, 7, 8, 0x80, 0x81, 128, 1024, 0xffff, 0xffffffff, 0x80000000),
  fc.constantFrom(0x02000000, 0x02000402, 0x12000401, 0x04000102, 0x0a000201, 0x06000002),
  fc.nat({ max: RING_BYTES * 2 }).map((at) => MEMORY_BASE + at),
  fc.nat({ max: 31 }).map((bit) => (1 << bit) >>> 0),
  fc.integer({ min: 0, max: 0xffffffff }),
);

/** Words of descriptors: lengths, types and commands that mean something, and any bits. */
const descriptorWord = fc.oneof(
  value,
  fc.constantFrom(0x2930003c, 0x2b300100, 0x20200800, 0x29300600, 0xa9300200, 0x0d00003c),
  fc.constantFrom(0x02000814, 0x00640e14, 0x29300000, 0x2950003c, 0x2030000a, 0x00032300),
);

const spec: fc.Arbitrary<FrameSpec> = fc.record({
  dst: fc.constantFrom(
    new Uint8Array([0x02, 0x66, 0x74, 0, 0, 0]),
    new Uint8Array([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
    new Uint8Array([0x01, 0x80, 0xc2, 0, 0, 1]),
  ),
  v6: fc.boolean(),
  proto: fc.constantFrom(6, 17, 132, 1),
  sport: fc.nat({ max: 7 }),
  dport: fc.constantFrom(80, 443),
  tcpFlags: fc.constantFrom(2, 16, 17),
  vlans: fc.constantFrom<number[]>([], [5], [0xe005, 6]),
  payload: fc.constantFrom(0, 20, 1400, 4000),
});

type Op =
  | { kind: 'frames'; port: number; spec: FrameSpec; count: number }
  | { kind: 'write32' | 'write64' | 'bar2'; offset: number; value: number }
  | { kind: 'read64'; offset: number }
  | { kind: 'descriptor'; at: number; words: number[] }
  | { kind: 'good'; queue: number; tx: boolean }
  | { kind: 'reset' | 'link' | 'time'; by: number };

const op: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('frames' as const),
      port: fc.constantFrom(0, 0, 0, 1),
      spec,
      count: fc.constantFrom(1, 2, 12),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constantFrom('write32' as const, 'write32' as const, 'write64' as const),
      offset,
      value,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('read64' as const), offset }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('bar2' as const),
      offset: fc.integer({ min: -4, max: 0x60 }),
      value,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('descriptor' as const),
      at: fc.nat({ max: RING_BYTES / 16 - 1 }),
      words: fc.array(descriptorWord, { minLength: 1, maxLength: 4 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('good' as const),
      queue: fc.nat({ max: QUEUES - 1 }),
      tx: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom(...(['reset', 'link', 'time', 'time', 'time', 'time'] as const)),
      by: fc.nat({ max: 7 }),
    }),
  },
);

/** A device under traffic; what it did, as text. */
class Victim extends Bench {
  frames = 0;

  constructor() {
    super({
      queues: QUEUES,
      exactMatch: { entries: 16, ways: 4, stashEntries: 2, maxKicks: 8 },
      tcam: { entries: 8 },
      rxPacketBufferBytes: 16 * 1024,
    });
    this.alloc(RING_BYTES);
    for (const port of [0, 1]) this.start(port);
    for (let q = 0; q < QUEUES; q++) {
      this.good(q, false);
      this.good(q, true);
    }
    this.w(0, 0xec80, 0x00330001);
    for (let i = 0; i < 32; i++) this.w(0, 0xeb00 + 4 * i, 0x03020100);
    this.w(0, 0x898, 0x10);
    for (let i = 0; i < 2; i++) this.w(0, 0x900 + 4 * i, 0x83828180);
    this.w(0, 0xaa0, 0xffff);
  }

  /** A queue as a sound driver sets it up, in the ring area, with receiver and link on. */
  good(queue: number, isTx: boolean): void {
    this.nic.setLink(0, true);
    this.start(0);
    const at = (isTx ? 0x1000 : 0) + queue * SLOTS * 16;
    const block = (isTx ? 0x6000 : 0x1000) + 0x40 * queue;
    this.w(0, block + 0x28, 0);
    this.pass(5e6);
    for (let i = 0; i < SLOTS; i++) {
      const word = (n: number, bits: number): void =>
        this.view().setUint32(at + 16 * i + 4 * n, bits, true);
      word(0, MEMORY_BASE + RING_BYTES + 2048 * ((isTx ? 32 : 0) + queue * SLOTS + i));
      word(1, 0);
      word(2, isTx ? 0x2b300064 : 0);
      word(3, isTx ? 100 << 14 : 0);
    }
    this.w(0, block, MEMORY_BASE + at);
    this.w(0, block + 4, 0);
    this.w(0, block + 8, SLOTS * 16);
    this.w(0, block + 0x10, 0);
    if (isTx) this.w(0, 0x4a80, 0x81000001);
    else this.w(0, block + 0x14, 0x02000002);
    this.w(0, block + 0x28, 0x02000000);
    this.pass(2e6);
    this.w(0, block + 0x18, SLOTS - 1);
  }

  do(o: Op): void {
    const { bar0, bar2 } = this.nic.functions[0];
    const { nowPs } = this.scheduler;
    switch (o.kind) {
      case 'frames': {
        const bytes = frame(o.spec);
        for (let i = 0; i < o.count; i++)
          this.nic.frameIn(o.port, nowPs, bytes, 0, bytes.length, this.frames++);
        return;
      }
      case 'write32':
        return bar0.write32(o.offset, o.value);
      case 'write64':
        return bar0.write64(o.offset, o.value * 3);
      case 'read64':
        expect(bar0.read64(o.offset)).toBeGreaterThanOrEqual(0);
        return;
      case 'bar2':
        return bar2.write32(o.offset, o.value);
      case 'descriptor':
        return o.words.forEach((bits, n) => {
          this.view().setUint32(16 * o.at + 4 * n, bits, true);
        });
      case 'good':
        return this.good(o.queue, o.tx);
      case 'reset':
        return o.by === 0 ? this.nic.reset() : this.w(0, 0, 0x04000000 | (o.by & 1 ? 8 : 0));
      case 'link':
        return this.nic.setLink(0, (o.by & 1) === 0);
      default:
        return this.pass(10 ** (o.by + 4));
    }
  }

  /** Everything that is under way ends: time passes, then the device is reset. */
  end(): void {
    this.w(0, 0x4c, 0); // a looping TCP timer would never end
    for (let i = 0; i < 20; i++) this.pass(1e9);
    this.nic.sync(this.scheduler.nowPs);
    this.nic.checkInvariants();
    this.nic.reset();
    this.nic.checkInvariants();
  }

  /** How often each frame of the wire was dropped, received or sent on. */
  fates(): number[] {
    const seen = new Array<number>(this.frames).fill(0);
    const count = (id: number): void => {
      if (id >= 0) seen[id]++;
    };
    this.drops.forEach((d) => count(d.packetId));
    this.received.forEach((r) => count(r.packetId));
    this.egress.filter((f) => !f.fromHost).forEach((f) => count(f.packetId));
    return seen;
  }

  shown(): string {
    return JSON.stringify([
      this.egress.map((f) => [f.packetId, f.startPs, f.bytes.length]),
      this.drops,
      this.received,
      this.interrupts,
      this.nic.functions[0].debug.queueFaults(),
      this.nic.functions[0].registers.unmodelled(),
    ]);
  }
}

function play(ops: readonly Op[]): Victim {
  const victim = new Victim();
  for (const o of ops) {
    victim.do(o);
    victim.nic.checkInvariants();
  }
  victim.end();
  return victim;
}

describe('a driver that does anything', () => {
  it('never crashes the model, loses a frame without a fate, or gets another result the next time', () => {
    fc.assert(
      fc.property(fc.array(op, { minLength: 20, maxLength: 100, size: 'max' }), (ops) => {
        const victim = play(ops);
        // A transmitted frame carries the id of what was received into its buffer: received, then sent again.
        expect(victim.fates().filter((n) => n !== 1)).toEqual([]);
        expect(play(ops).shown()).toBe(victim.shown());
      }),
      { numRuns: 120 },
    );
  });
});
