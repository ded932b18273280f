// EtherType, SYN and 5-tuple filters, Flow Director, and the order among them: register level, with the data sheet's numbers
// repeated on purpose, against plain lists.
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fdirHash, BUCKET_KEY, SIGNATURE_KEY } from '../../hw/steering/fdir-hash.ts';
import { naiveFdirHash, tupleWinner } from '../reference/naive-steering.ts';
import type { PlainTuple } from '../reference/naive-steering.ts';
import { Bench, MEMORY_BASE, frame } from './harness.ts';
import type { FrameSpec } from './harness.ts';

const QUEUES = 8;
const RSSEN = 1;
const IP4_TCP = 1 << 16;

/** Little endian, as a driver loads wire bytes: the first byte lowest. */
const wire32 = (value: number): number =>
  ((value >>> 24) | ((value >>> 8) & 0xff00) | ((value << 8) & 0xff0000) | (value << 24)) >>> 0;
const wire16 = (value: number): number => ((value & 0xff) << 8) | (value >>> 8);

class SteerBench extends Bench {
  private atPs = 1e9;
  private sent = 0;

  constructor() {
    super({ queues: QUEUES, exactMatch: { entries: 64, ways: 4, stashEntries: 4, maxKicks: 8 } });
    this.start(0);
    for (let q = 0; q < QUEUES; q++) this.rxQueue(0, q, 64);
    this.scheduler.runUntil(this.atPs);
  }

  /** Queue that a frame gets, −1 when it is dropped. */
  queueOf(spec: FrameSpec, bytes = frame(spec)): number {
    const id = ++this.sent;
    this.atPs += 10e6;
    this.scheduler.runUntil(this.atPs);
    this.nic.frameIn(0, this.atPs, bytes, 0, bytes.length, id);
    this.atPs += 10e6;
    this.scheduler.runUntil(this.atPs);
    this.nic.sync(this.atPs);
    const seen = this.received.find((one) => one.packetId === id);
    return seen?.queue ?? -1;
  }

  setTuple(filter: PlainTuple): void {
    const ignored =
      (filter.src === null ? 1 : 0) |
      (filter.dst === null ? 2 : 0) |
      (filter.sport === null ? 4 : 0) |
      (filter.dport === null ? 8 : 0) |
      (filter.proto === null ? 16 : 0);
    const kind = filter.proto === 6 ? 0 : filter.proto === 17 ? 1 : filter.proto === 132 ? 2 : 3;
    const at = 4 * filter.number;
    this.w(0, 0xe000 + at, wire32(filter.src ?? 0));
    this.w(0, 0xe200 + at, wire32(filter.dst ?? 0));
    this.w(0, 0xe400 + at, (wire16(filter.dport ?? 0) << 16) | wire16(filter.sport ?? 0));
    this.w(0, 0xe800 + at, filter.queue << 21);
    const control = kind | (filter.priority << 2) | (ignored << 25) | (1 << 30) | (1 << 31);
    this.w(0, 0xe600 + at, control >>> 0);
  }

  startFdir(pballoc: number, perfect: boolean, more = 0): void {
    this.w(0, 0xee68, BUCKET_KEY);
    this.w(0, 0xee6c, SIGNATURE_KEY);
    this.w(0, 0xee00, (pballoc | (perfect ? 0x10 : 0) | (6 << 16) | (10 << 24) | more) >>> 0);
    expect(this.r(0, 0xee00) & 8).toBe(0);
    this.scheduler.runFor(60e6);
    this.atPs = this.scheduler.nowPs;
    expect(this.r(0, 0xee00) & 8).toBe(8);
  }

  command(cmd: number): number {
    this.w(0, 0xee2c, cmd >>> 0);
    expect(this.r(0, 0xee2c) & 3).toBe(cmd & 3);
    for (let i = 0; i < 1000 && (this.r(0, 0xee2c) & 3) !== 0; i++) this.scheduler.runFor(1e5);
    this.atPs = this.scheduler.nowPs;
    return this.r(0, 0xee2c);
  }

  /** Adds a perfect TCP filter as a driver does: fields, hash and index, command. */
  addPerfect(
    spec: Required<Pick<FrameSpec, 'srcIp' | 'dstIp' | 'sport' | 'dport'>>,
    id: number,
    queue: number,
    cmdBits = 0,
  ): void {
    this.w(0, 0xee18, wire32(spec.srcIp));
    this.w(0, 0xee1c, wire32(spec.dstIp));
    this.w(0, 0xee20, ((spec.dport << 16) | spec.sport) >>> 0);
    this.w(0, 0xee24, 0);
    this.w(0, 0xee28, (perfectHash(spec) | (id << 16)) >>> 0);
    this.command(1 | 8 | (2 << 5) | (1 << 11) | (1 << 15) | (queue << 16) | cmdBits);
  }
}

const FLOW = { proto: 6, srcIp: 0x0a000001, dstIp: 0x0a000002, sport: 1234, dport: 80 };

/** Bucket hash of a TCP flow with flexible bytes masked. */
function perfectHash(flow: { srcIp: number; dstIp: number; sport: number; dport: number }): number {
  return naiveFdirHash(
    [2 << 16, flow.dstIp, 0, 0, 0, flow.srcIp, 0, 0, 0, (flow.sport << 16) | flow.dport, 0],
    BUCKET_KEY,
  );
}

describe('queue filters', () => {
  it('5-tuple filters agree with a list: priority, then number', () => {
    const maybe = (values: number[]): fc.Arbitrary<number | null> =>
      fc.option(fc.constantFrom(...values), { nil: null });
    const filter = fc.record({
      number: fc.nat(127),
      priority: fc.integer({ min: 1, max: 7 }),
      queue: fc.nat(QUEUES - 1),
      src: maybe([0x0a000001, 0x0a000002]),
      dst: maybe([0x0a000001, 0x0a000002]),
      sport: maybe([1, 2]),
      dport: maybe([1, 2]),
      proto: maybe([6, 17, 132, 0]),
    });
    const packet = fc.record({
      proto: fc.constantFrom(6, 17, 132),
      srcIp: fc.constantFrom(0x0a000001, 0x0a000002),
      dstIp: fc.constantFrom(0x0a000001, 0x0a000002),
      sport: fc.constantFrom(1, 2),
      dport: fc.constantFrom(1, 2),
      v6: fc.boolean(),
    });
    fc.assert(
      fc.property(
        fc.uniqueArray(filter, { selector: (f) => f.number, maxLength: 12 }),
        packet,
        (filters, spec) => {
          const b = new SteerBench();
          for (const one of filters) b.setTuple(one);
          const plain = {
            etherType: spec.v6 ? 0x86dd : 0x800,
            src: spec.srcIp,
            dst: spec.dstIp,
            proto: spec.proto,
            sport: spec.sport,
            dport: spec.dport,
            isSyn: false,
          };
          const winner = tupleWinner(filters, plain);
          const queue = filters.find((one) => one.number === winner)?.queue ?? 0;
          expect(b.queueOf(spec)).toBe(queue);
          expect(b.nic.functions[0].steering.isActive).toBe(filters.length > 0);
        },
      ),
      { seed: 11, numRuns: 150 },
    );
  });

  it('the order is EtherType, SYN or 5-tuple by SYNQFP, Flow Director, RSS', () => {
    const b = new SteerBench();
    const syn = { ...FLOW, tcpFlags: 0x02 };
    b.w(0, 0xec80, RSSEN | IP4_TCP);
    for (let i = 0; i < 32; i++) b.w(0, 0xeb00 + 4 * i, 0x07070707);
    expect(b.queueOf(syn)).toBe(7);
    b.w(0, 0xee70, 0x10); // flexible bytes masked
    b.startFdir(1, true);
    b.addPerfect(FLOW, 5, 6);
    expect(b.queueOf(syn)).toBe(6);
    b.w(0, 0xec30, 1 | (5 << 1)); // SYN filter, after 5-tuple
    expect(b.queueOf(syn)).toBe(5);
    expect(b.queueOf(FLOW)).toBe(6);
    b.setTuple({
      number: 9,
      priority: 1,
      queue: 4,
      src: null,
      dst: null,
      sport: null,
      dport: 80,
      proto: 6,
    });
    expect(b.queueOf(syn)).toBe(4);
    b.w(0, 0xec30, (1 | (5 << 1) | (1 << 31)) >>> 0);
    expect(b.queueOf(syn)).toBe(5);
    expect(b.queueOf(FLOW)).toBe(4);
    b.w(0, 0x5128 + 4 * 3, (0x0800 | (1 << 31)) >>> 0);
    expect(b.queueOf(syn)).toBe(5); // no queue yet
    b.w(0, 0xec00 + 4 * 3, ((2 << 16) | (1 << 31)) >>> 0);
    expect(b.queueOf(syn)).toBe(2);
    const matches = (bytes: Uint8Array): string[] => {
      const { pipeline, functions } = b.nic;
      pipeline.parse(new DataView(bytes.buffer), 0, bytes.length, 0);
      const fn = functions[0];
      return fn.steering
        .explain(fn.rss.classify(pipeline.key), pipeline.key, new DataView(bytes.buffer), 0)
        .map(({ mechanism, filter, queue }) => `${mechanism}/${filter}/${queue}`);
    };
    expect(matches(frame(syn))).toEqual(['1/3/2', '2/-1/5', '3/9/4', '4/5/6', '0/-1/7']);
    b.w(0, 0, 1 << 26);
    expect(b.nic.functions[0].steering.isActive).toBe(false);
  });

  it('EtherType filters take a priority of the tag, and fragments pass 5-tuple filters by', () => {
    const b = new SteerBench();
    b.w(0, 0x5128, (0x0800 | (5 << 16) | (1 << 19) | (1 << 31)) >>> 0);
    b.w(0, 0xec00, ((3 << 16) | (1 << 31)) >>> 0);
    expect(b.queueOf({ vlans: [(5 << 13) | 7] })).toBe(3);
    expect(b.queueOf({ vlans: [(4 << 13) | 7] })).toBe(0);
    expect(b.queueOf({})).toBe(0);
    b.setTuple({
      number: 0,
      priority: 1,
      queue: 6,
      src: null,
      dst: null,
      sport: null,
      dport: null,
      proto: null,
    });
    const fragment = frame(FLOW);
    fragment[20] = 0x20;
    fragment[24] = 0;
    fragment[25] = 0;
    expect(b.queueOf(FLOW)).toBe(6);
    expect(b.queueOf({}, fragment)).toBe(0);
  });
});

describe('the descriptor', () => {
  it('names the EtherType filter in place of the packet type', () => {
    const b = new SteerBench();
    const type = (spec: FrameSpec): number => {
      const slot = b.r(0, 0x1010); // RDH 0
      b.queueOf(spec);
      return b.view().getUint32(b.r(0, 0x1000) - MEMORY_BASE + 16 * slot, true) & 0xfff0;
    };
    const tcp4 = 0x110; // IPv4, TCP
    expect(type(FLOW)).toBe(tcp4);
    b.w(0, 0x5128 + 4 * 5, 0x80000000 | 0x0800); // filter 5: IPv4
    b.w(0, 0xec00 + 4 * 5, 0x80000000); // to queue 0
    expect(type(FLOW)).toBe(0x8000 | (5 << 4));
    expect(type({ ...FLOW, v6: true })).toBe(0x140);
  });
});

describe('Flow Director', () => {
  it('hashes as its definition bit by bit does', () => {
    const word = fc.integer({ min: 0, max: 0xffffffff });
    fc.assert(
      fc.property(fc.array(word, { minLength: 11, maxLength: 11 }), word, (words, key) => {
        const common = words.slice(1).reduce((sum, one) => sum ^ one, 0);
        expect(fdirHash(words[0], common, key)).toBe(naiveFdirHash(words, key));
      }),
      { seed: 3, numRuns: 300 },
    );
  });

  it.each([
    [1, true, 2046],
    [2, true, 4094],
    [3, true, 8190],
    [1, false, 8192],
    [2, false, 16384],
    [3, false, 32768],
  ])(
    'V18: PBALLOC %i, perfect %s: %i filters fit, the next one fails',
    (pballoc, perfect, room) => {
      const b = new SteerBench();
      b.startFdir(pballoc, perfect);
      expect(b.r(0, 0xee38) & 0xffff).toBe(room);
      for (let i = 0; i < room; i++) {
        // Index or signature and bucket are all different.
        b.w(0, 0xee28, ((i & 0x7fff) | ((i >> 15) << 16) | ((perfect ? i : 0) << 16)) >>> 0);
        b.w(0, 0xee2c, 1 | (2 << 5) | (1 << 15));
      }
      b.scheduler.runFor(1e12);
      expect(b.r(0, 0xee38)).toBe(0);
      expect(b.r(0, 0xee50)).toBe(Math.min(room, 0xffff)); // FDIRUSTAT
      expect(b.r(0, 0xee50)).toBe(0);
      b.w(0, 0xee28, 0x7fff0000);
      b.command(1 | (2 << 5) | (1 << 15));
      expect(b.r(0, 0xee54)).toBe(1); // FDIRFSTAT.FADD
    },
  );

  it('perfect filters are found, queried, overwritten and removed', () => {
    const b = new SteerBench();
    b.w(0, 0xee70, 0x10);
    b.startFdir(1, true);
    b.addPerfect(FLOW, 77, 3);
    expect(b.queueOf(FLOW)).toBe(3);
    expect(b.queueOf({ ...FLOW, sport: 1235 })).toBe(0);
    expect(b.queueOf({ ...FLOW, proto: 17 })).toBe(0);
    expect([b.r(0, 0xee58), b.r(0, 0xee5c), b.r(0, 0xee58)]).toEqual([1, 2, 0]);
    b.addPerfect(FLOW, 77, 4);
    expect(b.queueOf(FLOW)).toBe(4);
    expect(b.r(0, 0xee38) & 0xffff).toBe(2045);
    expect(b.command(3) & 4).toBe(4); // query: FILTER_VALID
    b.command(2);
    expect(b.command(3) & 4).toBe(0);
    expect(b.queueOf(FLOW)).toBe(0);
    b.command(2);
    expect(b.r(0, 0xee54)).toBe(1 << 8); // FREMOVE
    b.addPerfect(FLOW, 78, 0, 1 << 9); // drop
    expect(b.queueOf(FLOW)).toBe(-1);
    b.nic.checkInvariants();
  });

  it('one global mask decides what is compared and hashed', () => {
    const b = new SteerBench();
    b.w(0, 0xee70, 0x10);
    b.w(0, 0xee40, wire32(0x000000ff)); // source address: low byte not compared
    b.w(0, 0xee44, 0xffff); // TCP source port not compared (all bits, so reversal does not show)
    b.startFdir(1, true);
    b.addPerfect({ ...FLOW, srcIp: FLOW.srcIp & ~0xff, sport: 0 }, 1, 5);
    expect(b.queueOf(FLOW)).toBe(5);
    expect(b.queueOf({ ...FLOW, srcIp: FLOW.srcIp + 7, sport: 9 })).toBe(5);
    expect(b.queueOf({ ...FLOW, srcIp: FLOW.srcIp + 256 })).toBe(0);
    expect(b.queueOf({ ...FLOW, dport: 81 })).toBe(0);
    // Port masks have their bits reversed: bit 15 of the register is the lowest bit of the port.
    b.w(0, 0xee44, 0x8000_ffff);
    expect(b.queueOf({ ...FLOW, dport: 81 })).toBe(5);
    expect(b.queueOf({ ...FLOW, dport: 82 })).toBe(0);
  });

  it('signature filters share an entry when bucket and signature agree, and count collisions', () => {
    const b = new SteerBench();
    b.startFdir(1, false);
    // As a driver computes it: flexible bytes are the EtherType at word 6 of the frame.
    const words = [2 << 16, FLOW.srcIp ^ FLOW.dstIp, (FLOW.sport << 16) | FLOW.dport, 0x0800 << 16];
    const hash = naiveFdirHash(words, BUCKET_KEY);
    const signature = naiveFdirHash(words, SIGNATURE_KEY);
    b.w(0, 0xee28, (hash | (signature << 16)) >>> 0);
    b.command(1 | 8 | (2 << 5) | (1 << 15) | (6 << 16));
    expect(b.queueOf(FLOW)).toBe(6);
    // Both directions XOR to the same addresses, not to the same ports.
    expect(b.queueOf({ ...FLOW, srcIp: FLOW.dstIp, dstIp: FLOW.srcIp })).toBe(6);
    expect(b.queueOf({ ...FLOW, sport: FLOW.dport, dport: FLOW.sport })).toBe(0);
    expect(b.queueOf({ ...FLOW, v6: true })).toBe(0);
    b.command(1 | (2 << 5) | (1 << 15) | (2 << 16)); // no update: fails, and collides
    expect(b.queueOf(FLOW)).toBe(6);
    expect([b.r(0, 0xee54), b.r(0, 0xee38) >>> 16]).toEqual([1, 1]);
    b.command(2 | (2 << 5));
    expect(b.r(0, 0xee38)).toBe(8192);
  });

  it('signatures of IPv6 leave out the bytes of addresses that FDIRIP6M names', () => {
    const b = new SteerBench();
    b.w(0, 0xee74, (1 << 15) | (1 << 16)); // last byte of the source, first of the destination
    b.startFdir(1, false);
    const bytes = frame({ ...FLOW, v6: true });
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const masked = bytes.slice();
    masked[22 + 15] = 0;
    masked[38] = 0;
    const address = (at: number): number[] =>
      [0, 4, 8, 12].map((i) => new DataView(masked.buffer).getUint32(at + i));
    const words = [6 << 16, ...address(38), ...address(22), view.getUint32(54), 0x86dd << 16];
    const [bucket, signature] = [BUCKET_KEY, SIGNATURE_KEY].map((key) => naiveFdirHash(words, key));
    b.w(0, 0xee28, (bucket | (signature << 16)) >>> 0);
    b.command(1 | 8 | (6 << 5) | (1 << 15) | (6 << 16));
    expect(b.queueOf(FLOW, bytes)).toBe(6);
    const changed = (at: number): Uint8Array =>
      bytes.map((byte, i) => (i === at ? byte ^ 64 : byte));
    expect(b.queueOf(FLOW, changed(22 + 15))).toBe(6);
    expect(b.queueOf(FLOW, changed(38))).toBe(6);
    expect(b.queueOf(FLOW, changed(22 + 14))).toBe(0);
    expect(b.queueOf(FLOW, changed(39))).toBe(0);
  });

  it('reports the filter in the descriptor and knows its longest chain', () => {
    const b = new SteerBench();
    b.w(0, 0xee70, 0x10);
    b.startFdir(1, true, 0x20); // REPORT_STATUS, FULL_THRESH 0
    b.addPerfect(FLOW, 77, 3);
    expect(b.queueOf(FLOW)).toBe(3);
    const ring = b.r(0, 0x1000 + 0x40 * 3); // RDBAL 3
    const view = b.view();
    const at = ring - 0x1000_0000;
    expect(view.getUint32(at + 4, true)).toBe(((perfectHash(FLOW) << 16) | 77) >>> 0);
    expect(view.getUint32(at + 8, true) & 4).toBe(4); // FLM
    for (let i = 0; i < 4; i++) {
      b.w(0, 0xee28, 0x1234 | ((100 + i) << 16));
      b.command(1 | (2 << 5) | (1 << 15));
    }
    expect(b.r(0, 0xee4c)).toBe(4 | (0x1234 << 16));
    expect(b.r(0, 0xee4c) & 0x3f).toBe(0);
  });

  it('raises FLOW_DIR when few filters are left', () => {
    const b = new SteerBench();
    b.startFdir(1, true, 2 ** 30); // FULL_THRESH 4: 64 filters
    const add = (id: number): void => {
      b.w(0, 0xee28, ((id & 0x7ff) | (id << 16)) >>> 0);
      b.w(0, 0xee2c, 1 | (2 << 5) | (1 << 15));
    };
    for (let i = 0; i < 2046 - 65; i++) add(i);
    b.scheduler.runFor(1e12);
    expect(b.r(0, 0x800) & 0x10000).toBe(0); // EICR
    add(2000);
    b.scheduler.runFor(1e9);
    expect(b.r(0, 0xee38)).toBe(64);
    expect(b.r(0, 0x800) & 0x10000).toBe(0x10000);
  });

  it('random commands agree with a map of filters', () => {
    const step = fc.record({
      kind: fc.constantFrom('add', 'update', 'remove', 'query'),
      flow: fc.nat(5),
      id: fc.nat(3),
      queue: fc.nat(QUEUES - 1),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
        const b = new SteerBench();
        b.w(0, 0xee70, 0x10);
        b.startFdir(1, true);
        const flows = Array.from({ length: 6 }, (_, i) => ({ ...FLOW, sport: 1000 + i }));
        // Filters in order of addition: what a linear search would look at.
        const list: { flow: number; id: number; queue: number }[] = [];
        for (const { kind, flow, id, queue } of steps) {
          const known = list.find((one) => one.flow === flow && one.id === id);
          const spec = flows[flow];
          b.w(0, 0xee18, wire32(spec.srcIp));
          b.w(0, 0xee1c, wire32(spec.dstIp));
          b.w(0, 0xee20, ((spec.dport << 16) | spec.sport) >>> 0);
          b.w(0, 0xee28, (perfectHash(spec) | (id << 16)) >>> 0);
          const bits = (2 << 5) | (1 << 15) | (queue << 16);
          if (kind === 'query') expect((b.command(3) & 4) !== 0).toBe(known !== undefined);
          else if (kind === 'remove') {
            b.command(2);
            if (known !== undefined) list.splice(list.indexOf(known), 1);
          } else {
            b.command(1 | bits | (kind === 'update' ? 8 : 0));
            if (known === undefined) list.push({ flow, id, queue });
            else if (kind === 'update') known.queue = queue;
          }
        }
        flows.forEach((spec, flow) => {
          const first = list.find((one) => one.flow === flow);
          expect(b.queueOf(spec)).toBe(first?.queue ?? 0);
        });
        expect(b.r(0, 0xee38) & 0xffff).toBe(2046 - list.length);
      }),
      { seed: 5, numRuns: 60 },
    );
  });
});
