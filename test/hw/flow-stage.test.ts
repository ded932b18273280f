// Flow table through the admin queue, packets through the pipeline: rewriting against checksums from scratch, gates,
// counters, aging, TCAM.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AdminSide, flow, type FlowSpec } from './admin-helper.ts';
import {
  Bench,
  MEMORY_BASE,
  frame,
  ipv4HeaderIsRight,
  transportChecksum,
  transportField,
  type FrameSpec,
} from './harness.ts';

const SET_ETH = 1;
const SET_SRC = 2;
const SET_DST = 4;
const SET_SPORT = 8;
const SET_DPORT = 16;
const DEC_TTL = 32;
const POP = 64;
const PUSH = 128;

function setup(): { b: Bench; admin: AdminSide } {
  const b = new Bench({ exactMatch: { entries: 64, ways: 4, stashEntries: 4, maxKicks: 8 } });
  b.start(0);
  b.start(1);
  b.rxQueue(0, 0, 64);
  return { b, admin: new AdminSide(b, 0) };
}

function send(b: Bench, spec: FrameSpec, id = 7): Uint8Array {
  const f = frame({ dst: b.mac(0), ...spec });
  b.nic.frameIn(0, b.scheduler.nowPs, f, 0, f.length, id);
  b.scheduler.runUntil(b.scheduler.nowPs + 1e9);
  b.nic.sync(b.scheduler.nowPs);
  b.nic.checkInvariants();
  return f;
}

describe('actions', () => {
  it('routes a UDP packet: MACs, TTL, exact bytes', () => {
    const { b, admin } = setup();
    expect(admin.run(1, 77, flow({ flags: SET_ETH | DEC_TTL })).status).toBe(0);
    const f = send(b, { payload: 40 });
    const out = b.egress[0];
    const want = frame({
      dst: new Uint8Array([2, 0, 0, 0, 1, 1]),
      src: new Uint8Array([2, 0, 0, 0, 1, 2]),
      ttl: 63,
      payload: 40,
    });
    expect(out.bytes).toEqual(want);
    expect(out).toMatchObject({ port: 1, packetId: 7, fromHost: false, queue: -1, entry: 0 });
    expect(out.startPs).toBeGreaterThan(0);
    expect(f.length).toBe(want.length);
  });

  it('keeps every checksum right under random rewrites (recomputed from scratch)', () => {
    const u32 = fc.constantFrom(
      0,
      1,
      0xffff,
      0x10000,
      0xffffffff,
      0x0a000001,
      0xc0a80105,
      0xfffe0001,
    );
    const u16 = fc.constantFrom(0, 1, 0x7fff, 0xffff, 53, 4433);
    const spec = fc.record({
      v6: fc.boolean(),
      tcp: fc.boolean(),
      tagged: fc.boolean(),
      noUdp: fc.boolean(),
      payload: fc.integer({ min: 0, max: 90 }),
      flags: fc.integer({ min: 0, max: 63 }),
      push: fc.boolean(),
      pop: fc.boolean(),
      src: u32,
      dst: u32,
      newSrc: u32,
      newDst: u32,
      sport: u16,
      dport: u16,
      newSport: u16,
      newDport: u16,
    });
    fc.assert(
      fc.property(spec, (s) => {
        const { b, admin } = setup();
        const noUdpChecksum = s.noUdp && !s.v6 && !s.tcp;
        const flags = s.flags | (s.push ? PUSH : 0) | (s.pop && s.tagged ? POP : 0);
        const rule: FlowSpec = {
          ...s,
          family: s.v6 ? 6 : 4,
          proto: s.tcp ? 6 : 17,
          flags,
          pushTci: 0x2005,
        };
        if (s.tagged) rule.vlan = 5;
        expect(admin.run(1, 1, flow(rule)).status).toBe(0);
        send(b, {
          v6: s.v6,
          proto: s.tcp ? 6 : 17,
          srcIp: s.src,
          dstIp: s.dst,
          sport: s.sport,
          dport: s.dport,
          payload: s.payload,
          vlans: s.tagged ? [5] : [],
          noUdpChecksum,
        });
        const want = frame({
          v6: s.v6,
          proto: s.tcp ? 6 : 17,
          payload: s.payload,
          noUdpChecksum,
          ttl: (flags & DEC_TTL) !== 0 ? 63 : 64,
          dst: (flags & SET_ETH) !== 0 ? new Uint8Array([2, 0, 0, 0, 1, 1]) : b.mac(0),
          ...((flags & SET_ETH) !== 0 ? { src: new Uint8Array([2, 0, 0, 0, 1, 2]) } : {}),
          srcIp: (flags & SET_SRC) !== 0 ? s.newSrc : s.src,
          dstIp: (flags & SET_DST) !== 0 ? s.newDst : s.dst,
          sport: (flags & SET_SPORT) !== 0 ? s.newSport : s.sport,
          dport: (flags & SET_DPORT) !== 0 ? s.newDport : s.dport,
          vlans: [...(s.push ? [0x2005] : []), ...(s.tagged && (flags & POP) === 0 ? [5] : [])],
        });
        const out = b.egress[0].bytes;
        expect(ipv4HeaderIsRight(out)).toBe(true);
        expect(transportField(out)).toBe(noUdpChecksum ? 0 : transportChecksum(out));
        expect(out.slice(0, want.length)).toEqual(want); // the port pads to 60 behind it
      }),
      { numRuns: 150 },
    );
  });
});

describe('gates', () => {
  const opts = { flags: DEC_TTL };
  it.each<[string, number, FrameSpec, FlowSpec]>([
    ['no entry', 1, { dport: 9 }, opts],
    ['TTL', 6, { ttl: 1 }, opts],
    ['MTU', 8, { payload: 500 }, { ...opts, mtu: 400 }],
    ['FIN', 7, { proto: 6, tcpFlags: 0x11 }, { ...opts, proto: 6 }],
    ['RST', 7, { proto: 6, tcpFlags: 4 }, { ...opts, proto: 6 }],
    ['protocol', 9, { proto: 132 }, opts],
    ['two tags', 11, { vlans: [5, 6] }, { ...opts, vlan: 5 }],
    ['not addressed', 15, { dst: new Uint8Array([2, 3, 4, 5, 6, 7]) }, opts],
    ['multicast', 12, { dst: new Uint8Array([1, 0, 0x5e, 0, 0, 1]) }, opts],
    ['other VLAN', 1, { vlans: [6] }, { ...opts, vlan: 5 }],
  ])('%s', (_name, reason, packet, rule) => {
    const { b, admin } = setup();
    b.w(0, 0x5080, 0x700);
    expect(admin.run(1, 1, flow(rule)).status).toBe(0);
    send(b, packet);
    expect(b.egress).toEqual([]);
    expect(b.received.map((r) => r.miss)).toEqual([reason]);
  });

  it('fragment, options, extension header, malformed, not IP, bad header checksum', () => {
    const { b, admin } = setup();
    admin.run(1, 1, flow(opts));
    const edit = (change: (f: Uint8Array) => Uint8Array): void => {
      const f = change(frame({ dst: b.mac(0), payload: 40 }));
      b.nic.frameIn(0, b.scheduler.nowPs, f, 0, f.length, 1);
    };
    const fixed = (f: Uint8Array): Uint8Array => {
      f[24] = 0;
      f[25] = 0;
      let s = 0;
      for (let i = 14; i < 14 + (f[14] & 15) * 4; i += 2) s += (f[i] << 8) | f[i + 1];
      while (s > 0xffff) s = (s & 0xffff) + (s >>> 16);
      f[24] = (~s >> 8) & 255;
      f[25] = ~s & 255;
      return f;
    };
    edit((f) => fixed(f.fill(0x20, 20, 21)));
    edit((f) => fixed(f.fill(0x46, 14, 15)));
    edit((f) => f.fill(0, 22, 23)); // TTL 0 with a stale checksum
    edit((f) => f.slice(0, 30));
    edit((f) => f.fill(8, 13, 14));
    const ext = frame({ dst: b.mac(0), v6: true });
    ext[20] = 60;
    b.nic.frameIn(0, b.scheduler.nowPs, ext, 0, ext.length, 1);
    b.scheduler.runUntil(1e10);
    b.nic.sync(1e10);
    expect(b.received.map((r) => r.miss)).toEqual([3, 4, 10, 10, 2, 5]);
  });
});

describe('admin queue', () => {
  it('takes time, answers in order, flips the phase, raises its vector', () => {
    const { b, admin } = setup();
    b.w(0, 0xaa0, 2); // EIMS_EX: vector 1
    const t0 = b.scheduler.nowPs;
    for (let i = 0; i < 5; i++) admin.post(1, i, flow({ sport: i }));
    b.scheduler.runUntil(t0 + 2e6);
    expect(admin.answer(0).phase).toBe(0); // 2 us of firmware and the fetch are not over
    b.scheduler.runUntil(t0 + 5e6);
    expect([0, 1, 2].map((i) => admin.answer(i).phase)).toEqual([1, 0, 0]);
    b.scheduler.runUntil(t0 + 1e9);
    expect([0, 1, 2, 3, 4].map((i) => admin.answer(i))).toMatchObject(
      [0, 1, 2, 3, 4].map((i) => ({ cookie: i, status: 0, result: i, phase: 1 })),
    );
    expect(b.interrupts.length).toBe(5);
    for (let i = 0; i < 5; i++) admin.run(0, 9, () => {});
    expect(admin.answer(0).phase).toBe(0); // second lap
    expect(admin.answer(7).phase).toBe(1);
    expect(admin.r(0x3c)).toBe(2);
  });

  it('explains refusals', () => {
    const b = new Bench({ exactMatch: { entries: 4, ways: 4, stashEntries: 0, maxKicks: 4 } });
    const admin = new AdminSide(b, 0);
    const add = (s: FlowSpec): number[] => {
      const a = admin.run(1, 1, flow(s));
      return [a.status, a.detail];
    };
    expect(add({ family: 5 })).toEqual([4, 3]);
    expect(add({ proto: 1 })).toEqual([4, 4]);
    expect(add({ vlan: 5000 })).toEqual([4, 5]);
    expect(add({ inPort: 2 })).toEqual([6, 6]);
    expect(add({ verdict: 3 })).toEqual([5, 7]);
    expect(add({ outPort: 2 })).toEqual([5, 8]);
    expect(add({ verdict: 2, flags: 0x200, queue: 8 })).toEqual([5, 9]);
    expect(add({ flags: 0x400 })).toEqual([5, 10]);
    expect(add({ flags: POP })).toEqual([5, 11]);
    for (let i = 0; i < 4; i++) expect(add({ sport: i })).toEqual([0, 0]);
    expect(add({ sport: 0 })).toEqual([2, 17]);
    expect(add({ sport: 4 })).toEqual([1, 1]);
    const del = (handle: number): number[] => {
      const a = admin.run(2, 1, (v) => v.setUint32(8, handle, true));
      return [a.status, a.detail];
    };
    expect(del(99)).toEqual([3, 12]);
    expect(del(2)).toEqual([0, 0]);
    expect(del(2)).toEqual([3, 13]);
    expect(admin.run(99, 1, () => {}).status).toBe(7);
    expect(admin.run(3, 1, (v) => v.setUint32(16, 5, true)).status).toBe(8);
    expect(admin.run(3, 1, (v) => v.setUint32(16, 4, true)).status).toBe(9); // buffer at address 0
    expect(admin.run(8, 1, () => {}).result).toBe(3);
  });

  it('stops on a bad set-up or tail and says why', () => {
    const b = new Bench();
    const admin = new AdminSide(b, 0);
    admin.w(0x40, 8);
    expect(admin.r(0x44)).toBe(2);
    admin.w(0x28, 3);
    admin.w(0x38, 1);
    expect(admin.r(0x44)).toBe(1);
    expect(admin.r(0x38)).toBe(0);
  });

  it('reads counters and age', () => {
    const { b, admin } = setup();
    for (let i = 0; i < 3; i++) admin.run(1, 100 + i, flow({ sport: i, flags: DEC_TTL }));
    const f = send(b, { sport: 1 });
    send(b, { sport: 1 });
    const buffer = b.alloc(256);
    const read = (opcode: number, fill: (v: DataView) => void): number =>
      admin.run(opcode, 1, (v) => {
        v.setUint32(16, 3, true);
        v.setUint32(24, buffer, true);
        fill(v);
      }).result;
    expect(read(3, () => {})).toBe(3);
    const at = buffer - MEMORY_BASE;
    expect(b.view().getUint32(at + 32, true)).toBe(2);
    expect(b.view().getUint32(at + 32 + 8, true)).toBe(2 * f.length);
    expect(b.view().getUint32(at + 32 + 24, true)).toBe(3);
    expect(b.view().getUint32(at + 32 + 28, true)).toBe(101);
    expect(b.view().getUint32(at, true)).toBe(0);
    expect(read(6, () => {})).toBe(1);
    expect(b.view().getUint32(at, true)).toBe(2);
    expect(read(6, () => {})).toBe(0); // cleared by reading
    b.scheduler.runUntil(b.scheduler.nowPs + 50e9);
    send(b, { sport: 2 });
    const idle = (v: DataView): void => {
      v.setUint32(32, 1, true);
      v.setUint32(36, 8, true);
      v.setUint32(40, 30e9 >>> 0, true);
      v.setUint32(44, Math.floor(30e9 / 2 ** 32), true);
    };
    expect(read(6, idle)).toBe(2);
    expect([b.view().getUint32(at, true), b.view().getUint32(at + 4, true)]).toEqual([0, 1]);
  });

  it('switches the table stages of a port off, and limits the MTU of the way out', () => {
    const { b, admin } = setup();
    admin.run(1, 1, flow({ flags: DEC_TTL }));
    const port = (p: number, valid: number, enable: number, mtu: number): void => {
      const a = admin.run(7, 1, (v) =>
        [p, valid, enable, mtu].forEach((w, i) => v.setUint32(8 + 4 * i, w, true)),
      );
      expect(a.status).toBe(0);
    };
    port(0, 1, 0, 0);
    send(b, {});
    port(0, 1, 1, 0);
    port(1, 2, 0, 100);
    send(b, { payload: 73 });
    send(b, { payload: 72 });
    expect(b.received.map((r) => r.miss)).toEqual([14, 8]);
    expect(b.egress.length).toBe(1);
  });
});

describe('TCAM stage', () => {
  it('drops, steers and marks; the lowest position wins', () => {
    const { b, admin } = setup();
    b.rxQueue(0, 3, 64);
    const rule = (position: number, verdict: number, flags: number, dport: number): number =>
      admin.run(4, 1, (v) => {
        v.setUint32(8, position, true);
        v.setUint8(12, verdict);
        v.setUint8(14, 3);
        v.setUint8(15, flags);
        v.setUint32(16, 0xfeed, true);
        v.setUint32(24 + 8, dport, true);
        v.setUint32(76 + 8, 0xffff, true);
      }).status;
    expect(rule(5, 1, 0, 53)).toBe(0);
    expect(rule(4, 2, 3, 53)).toBe(0);
    expect(rule(4, 2, 3, 53)).toBe(2);
    expect(rule(512, 2, 3, 53)).toBe(1);
    send(b, { dport: 53 });
    expect(b.received).toMatchObject([{ queue: 3, miss: 13 }]);
    const ring = b.nic.functions[0].rxRings[3].baseIova - MEMORY_BASE;
    expect(b.view().getUint32(ring + 4, true)).toBe(0xfeed);
    expect(b.view().getUint32(ring + 8, true) & 7).toBe(7); // DD, EOP, FLM
    expect(admin.run(5, 1, (v) => v.setUint32(8, 4, true)).status).toBe(0);
    send(b, { dport: 53 }, 8);
    expect(b.drops).toEqual([{ packetId: 8, port: 0, reason: 7 }]);
  });
});
