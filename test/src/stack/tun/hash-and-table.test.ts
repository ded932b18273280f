// The flow hash (SipHash against its published vectors and a BigInt oracle, symmetry, what is dissected) and the flow table against
// a list that does the same slowly.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Scheduler } from '../../../../hw/time/scheduler.ts';
import { PS_PER_S } from '../../../../hw/time/units.ts';
import { FlowKeys } from '../../../../src/stack/tun/dissect.ts';
import { FlowHasher, reciprocalScale, symmetricHash } from '../../../../src/stack/tun/flow-hash.ts';
import { FLOWS_MAX, FlowTable } from '../../../../src/stack/tun/flow-table.ts';
import { SipHash } from '../../../../src/stack/tun/siphash.ts';
import { udpFrame } from '../../../support/tun-rig.ts';

const M = (1n << 64n) - 1n;
const rotate = (x: bigint, n: bigint): bigint => ((x << n) | (x >> (64n - n))) & M;

/** SipHash-2-4 from its paper. */
function oracle(key: readonly bigint[], bytes: Uint8Array): bigint {
  const v = [
    key[0] ^ 0x736f6d6570736575n,
    key[1] ^ 0x646f72616e646f6dn,
    key[0] ^ 0x6c7967656e657261n,
    key[1] ^ 0x7465646279746573n,
  ];
  const round = (): void => {
    v[0] = (v[0] + v[1]) & M;
    v[1] = rotate(v[1], 13n) ^ v[0];
    v[0] = rotate(v[0], 32n);
    v[2] = (v[2] + v[3]) & M;
    v[3] = rotate(v[3], 16n) ^ v[2];
    v[0] = (v[0] + v[3]) & M;
    v[3] = rotate(v[3], 21n) ^ v[0];
    v[2] = (v[2] + v[1]) & M;
    v[1] = rotate(v[1], 17n) ^ v[2];
    v[2] = rotate(v[2], 32n);
  };
  const blocks = Math.floor(bytes.length / 8) + 1;
  for (let i = 0; i < blocks; i++) {
    let m = i === blocks - 1 ? BigInt(bytes.length & 0xff) << 56n : 0n;
    for (let b = 0; b < 8 && 8 * i + b < bytes.length; b++)
      m |= BigInt(bytes[8 * i + b]) << BigInt(8 * b);
    v[3] ^= m;
    round();
    round();
    v[0] ^= m;
  }
  v[2] ^= 0xffn;
  for (let i = 0; i < 4; i++) round();
  return v[0] ^ v[1] ^ v[2] ^ v[3];
}

function ours(key: readonly number[], bytes: Uint8Array): bigint {
  const padded = new Uint8Array(Math.ceil(bytes.length / 4) * 4 + 4);
  padded.set(bytes);
  const words = new Uint32Array(padded.buffer);
  const sip = new SipHash(key);
  sip.hash(words, Math.floor(bytes.length / 4), bytes.length % 4);
  return (BigInt(sip.high) << 32n) | BigInt(sip.low);
}

const KEY = [0x03020100, 0x07060504, 0x0b0a0908, 0x0f0e0d0c];
const KEY64 = [0x0706050403020100n, 0x0f0e0d0c0b0a0908n];

describe('SipHash-2-4', () => {
  it('gives the published values for 0 to 7 and 15 bytes', () => {
    const published = [
      '310e0edd47db6f72',
      'fd67dc93c539f874',
      '5a4fa9d909806c0d',
      '2d7efbd796666785',
      'b7877127e09427cf',
      '8da699cd64557618',
      'cee3fe586e46c9cb',
      '37d1018bf50002ab',
    ];
    published.forEach((hex, length) => {
      const bytes = Uint8Array.from({ length }, (_v, i) => i);
      const value = BigInt(`0x${(hex.match(/../g) ?? []).reverse().join('')}`);
      expect(ours(KEY, bytes)).toBe(value);
    });
    const fifteen = Uint8Array.from({ length: 15 }, (_v, i) => i);
    expect(ours(KEY, fifteen)).toBe(0xa129ca6149be45e5n);
  });

  it('agrees with BigInt on any input', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        expect(ours(KEY, bytes)).toBe(oracle(KEY64, bytes));
      }),
    );
  });
});

const hasher = new FlowHasher(symmetricHash(7));
const hashOf = (frame: Uint8Array): number =>
  hasher.hash(frame, 14, frame.length, (frame[12] << 8) | frame[13]);

describe('flow hash', () => {
  it('is the same in both directions and never 0', () => {
    fc.assert(
      fc.property(fc.nat(65535), fc.nat(65535), fc.nat(255), fc.nat(255), (sp, dp, s, d) => {
        expect(hashOf(udpFrame(sp, dp, s, d))).toBe(hashOf(udpFrame(dp, sp, d, s)));
        // Ports are ordered apart from the addresses.
        expect(hashOf(udpFrame(sp, dp, s, d))).toBe(hashOf(udpFrame(dp, sp, s, d)));
        expect(hashOf(udpFrame(sp, dp, s, d))).toBeGreaterThan(0);
      }),
    );
    expect(new FlowHasher(() => 0).hash(udpFrame(1, 2), 14, 44, 0x800)).toBe(1);
  });

  it('spreads flows, and differs with the seed', () => {
    const queues = [0, 0, 0, 0];
    for (let port = 0; port < 4000; port++) queues[reciprocalScale(hashOf(udpFrame(port, 9)), 4)]++;
    for (const count of queues) expect(count).toBeGreaterThan(900);
    const other = new FlowHasher(symmetricHash(8));
    const frame = udpFrame(1, 2);
    expect(other.hash(frame, 14, 44, 0x800)).not.toBe(hashOf(frame));
  });

  it('fragments hash without ports', () => {
    const first = udpFrame(1, 2);
    const second = udpFrame(3, 4);
    first[20] = second[20] = 0x20;
    expect(hashOf(first)).toBe(hashOf(second));
    expect(hashOf(first)).not.toBe(hashOf(udpFrame(1, 2)));
  });

  it('descends into VLAN tags, IPIP, 6in4 and GRE', () => {
    const plain = udpFrame(5, 6);
    const ip = plain.subarray(14);
    const keys = new FlowKeys();
    keys.dissect(plain, 14, plain.length, 0x0800);
    const inner = { ports: [keys.srcPort, keys.dstPort], src: keys.src[0] };
    expect(inner).toEqual({ ports: [5, 6], src: 0x0a000001 });
    const cases: readonly (readonly [number[], number])[] = [
      [[0, 5, 8, 0], 0x8100],
      [[0, 5, 0x81, 0, 0, 6, 8, 0], 0x88a8],
      [outerIpv4(4), 0x0800],
      [[...outerIpv4(47), 0, 0, 8, 0], 0x0800],
      [[...outerIpv4(47), 0x30, 0, 8, 0, 0, 0, 0, 1, 0, 0, 0, 2], 0x0800],
      [outerIpv6([4]), 0x86dd],
      [outerIpv6([0, 4]), 0x86dd],
    ];
    for (const [header, protocol] of cases) {
      const bytes = Uint8Array.from([...header, ...ip]);
      keys.dissect(bytes, 0, bytes.length, protocol);
      expect([keys.srcPort, keys.dstPort, keys.src[0]]).toEqual([5, 6, 0x0a000001]);
    }
  });

  it('survives any bytes', () => {
    const keys = new FlowKeys();
    const protocols = [0x0800, 0x86dd, 0x8100, 0x8864, 0x0806, 0x88a8];
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), fc.constantFrom(...protocols), (b, p) => {
        keys.dissect(b, 0, b.length, p);
        expect(keys.srcPort).toBeLessThan(65536);
      }),
      { numRuns: 2000 },
    );
  });
});

function outerIpv4(protocol: number): number[] {
  return [0x45, 0, 0, 90, 0, 0, 0, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
}

/** Headers in order; 0 is a hop-by-hop header of 8 bytes. */
function outerIpv6(headers: number[]): number[] {
  const addresses = [...new Array<number>(15).fill(0), 1, ...new Array<number>(15).fill(0), 2];
  const base = [0x60, 0, 0, 0, 0, 60, headers[0], 64, ...addresses];
  return headers[0] === 0 ? [...base, headers[1], 0, 1, 4, 0, 0, 0, 0] : base;
}

/** The same rules with a list: newest first, collected at whole seconds. */
class SlowTable {
  entries: { hash: number; queue: number; updatedPs: number }[] = [];
  dueS = 3;

  update(hash: number, queue: number, nowPs: number): void {
    const known = this.entries.find((entry) => entry.hash === hash);
    if (known !== undefined) {
      known.queue = queue;
      known.updatedPs = nowPs;
      return;
    }
    if (this.entries.length < FLOWS_MAX) this.entries.push({ hash, queue, updatedPs: nowPs });
    if (this.dueS === Infinity) this.dueS = Math.ceil((nowPs + 3 * PS_PER_S) / PS_PER_S);
  }

  advance(toPs: number): void {
    while (this.dueS * PS_PER_S <= toPs) {
      const nowPs = this.dueS * PS_PER_S;
      this.entries = this.entries.filter((entry) => entry.updatedPs + 3 * PS_PER_S > nowPs);
      const next = Math.min(...this.entries.map((entry) => entry.updatedPs + 3 * PS_PER_S));
      this.dueS = this.entries.length === 0 ? Infinity : Math.ceil(next / PS_PER_S);
    }
  }

  find(hash: number): number {
    return this.entries.find((entry) => entry.hash === hash)?.queue ?? -1;
  }
}

describe('flow table', () => {
  it('agrees with a list under random updates, look-ups, deletions and time', () => {
    // Few hashes, many of them in the same buckets.
    const hash = fc.tuple(fc.nat(3), fc.nat(4)).map(([bucket, high]) => bucket + 1024 * high);
    const step = fc.oneof(
      fc.record({ kind: fc.constant('update' as const), hash, queue: fc.nat(3) }),
      fc.record({ kind: fc.constant('find' as const), hash, queue: fc.nat(3) }),
      fc.record({ kind: fc.constant('delete' as const), hash, queue: fc.nat(3) }),
      fc.record({ kind: fc.constant('wait' as const), hash, queue: fc.nat(20) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const scheduler = new Scheduler();
        const table = new FlowTable({
          get nowPs() {
            return scheduler.nowPs;
          },
          at: (atPs, run) => scheduler.at(atPs, run),
          cancel: (id) => scheduler.cancel(id),
        });
        const slow = new SlowTable();
        for (const one of steps) {
          if (one.kind === 'wait') {
            scheduler.runFor(one.queue * 0.17 * PS_PER_S);
            slow.advance(scheduler.nowPs);
          } else if (one.kind === 'delete') {
            table.deleteQueue(one.queue);
            slow.entries = slow.entries.filter((entry) => entry.queue !== one.queue);
          } else if (one.kind === 'update') {
            table.update(one.hash, one.queue);
            slow.update(one.hash, one.queue, scheduler.nowPs);
          } else expect(table.lookup(one.hash)).toBe(slow.find(one.hash));
          expect(table.count).toBe(slow.entries.length);
          expect(table.isArmed).toBe(slow.dueS !== Infinity);
        }
        const left = table.entries().map((entry) => [entry.hash, entry.queueIndex]);
        const expected = slow.entries.map((entry) => [entry.hash, entry.queue]);
        expect(left.sort()).toEqual(expected.sort());
      }),
      { numRuns: 500 },
    );
  });

  it('is armed again by a flow that a full table refuses', () => {
    const scheduler = new Scheduler();
    const table = new FlowTable({
      get nowPs() {
        return scheduler.nowPs;
      },
      at: (atPs, run) => scheduler.at(atPs, run),
      cancel: (id) => scheduler.cancel(id),
    });
    scheduler.runFor(3 * PS_PER_S);
    expect(table.isArmed).toBe(false);
    for (let hash = 1; hash <= FLOWS_MAX + 3; hash++) table.update(hash, 0);
    expect([table.count, table.counters.refusals, table.isArmed]).toEqual([FLOWS_MAX, 3, true]);
    scheduler.runFor(4 * PS_PER_S);
    expect([table.count, table.isArmed]).toEqual([0, false]);
    table.destroy();
  });
});
