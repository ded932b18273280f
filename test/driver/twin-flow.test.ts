// ndo_flow_offload of the reference driver on the real device model (spec/tun-and-flow-offload.md B.6, E.4).

import { describe, expect, it } from 'vitest';
import {
  EEXIST,
  EINVAL,
  ENOENT,
  ENOSPC,
  EOPNOTSUPP,
  ETIMEDOUT,
  errnoName,
} from '../../driver/errno.ts';
import {
  FLOW_OFFLOAD_ADD,
  FLOW_OFFLOAD_DEL,
  FLOW_OFFLOAD_STATS,
} from '../../driver/flow-offload.ts';
import type { FlowDirection, FlowOffload, FlowStats } from '../../driver/flow-offload.ts';
import { twinAdapter } from '../../driver/twin/adapter.ts';
import { twinReinit } from '../../driver/twin/probe.ts';
import { DummyNic } from '../support/dummy-nic.ts';
import { TwinRig, ethtoolStat, fateCounts, ipFrame } from '../support/twin-rig.ts';
import { must } from '../support/must.ts';

const HOST_A = new Uint8Array([2, 0, 0, 0, 0xaa, 1]);
const HOST_B = new Uint8Array([2, 0, 0, 0, 0xbb, 1]);

function ip(value: number): Uint8Array {
  return new Uint8Array([value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]);
}

/** Flow number n: 10.0.1.1:1000+n on eth0 to 10.0.2.1:2000 on eth1, UDP, routed without NAT. */
function flow(rig: TwinRig, n: number, change: Partial<FlowDirection> = {}): FlowOffload {
  const [eth0, eth1] = rig.devs as [TwinRig['devs'][0], TwinRig['devs'][0]];
  const common = {
    family: 4 as const,
    l4proto: 17,
    vlanId: -1,
    pushVlanId: -1,
    newSrc: null,
    newDst: null,
    newSport: 0,
    newDport: 0,
    mtuBytes: 1500,
  };
  const original: FlowDirection = {
    ...common,
    cookie: 2 * n + 1,
    inDev: eth0,
    outDev: eth1,
    src: ip(0x0a000101),
    dst: ip(0x0a000201),
    sport: 1000 + n,
    dport: 2000,
    ethSrc: eth1.mac,
    ethDst: HOST_B,
  };
  const reply: FlowDirection = {
    ...common,
    cookie: 2 * n + 2,
    inDev: eth1,
    outDev: eth0,
    src: original.dst,
    dst: original.src,
    sport: 2000,
    dport: 1000 + n,
    ethSrc: eth0.mac,
    ethDst: HOST_A,
  };
  return { directions: [{ ...original, ...change }, reply], inHardware: 0 };
}

interface Answer {
  error: string;
  reason: string;
  message: string;
}

/** Calls ndo_flow_offload and lets time pass until it has answered. */
function offload(
  rig: TwinRig,
  type: 0 | 1 | 2,
  object: FlowOffload,
  stats?: FlowStats,
  waitPs = 100e6,
): Answer | null {
  const [eth0] = rig.devs;
  const extack = { message: '', reason: '' };
  let answer: Answer | null = null;
  const done = (error: number): void => {
    if (answer !== null) throw new Error('answered twice');
    answer = { error: error === 0 ? 'ok' : errnoName(error), ...extack };
  };
  rig.kernel.inContext(0, () => {
    eth0.ops.ndo_flow_offload?.(eth0, type, object, extack, done, stats);
  });
  rig.advance(waitPs);
  return answer;
}

function up(options: ConstructorParameters<typeof TwinRig>[0] = {}): TwinRig {
  return new TwinRig({ queues: 2, ...options }).up();
}

function emptyStats(): FlowStats {
  return { packets: [0, 0], bytes: [0, 0], lastUsedPs: 0 };
}

describe('ADD', () => {
  it('moves both directions of a flow into hardware: rewritten, TTL less one, host not involved', () => {
    const rig = up();
    const object = flow(rig, 0);
    expect(offload(rig, FLOW_OFFLOAD_ADD, object)).toMatchObject({ error: 'ok' });
    expect(object.inHardware).toBe(3);
    const polls = rig.kernel.cores.map((core) => core.packetCount);
    rig.inject(0, ipFrame({ dst: rig.devs[0].mac, sport: 1000, dport: 2000, lenBytes: 200 }));
    rig.inject(
      1,
      ipFrame({
        dst: rig.devs[1].mac,
        sport: 2000,
        dport: 1000,
        srcIp: 0x0a000201,
        dstIp: 0x0a000101,
      }),
    );
    rig.advance(1e9);
    expect(fateCounts(rig)).toEqual({ egress: 2 });
    const [first, second] = rig.sent;
    expect([first.portIndex, first.fromHost, second.portIndex]).toEqual([1, false, 0]);
    expect([...first.bytes.subarray(0, 12)]).toEqual([...HOST_B, ...rig.devs[1].mac]);
    expect(first.bytes[22]).toBe(63);
    expect(rig.kernel.cores.map((core) => core.packetCount)).toEqual(polls);
  });

  it('answers later than it was asked, and the flow is not in hardware before', () => {
    const rig = up();
    const object = flow(rig, 0);
    expect(offload(rig, FLOW_OFFLOAD_ADD, object, undefined, 0)).toBeNull();
    expect(object.inHardware).toBe(0);
    rig.advance(100e6);
    expect(object.inHardware).toBe(3);
  });

  it('says EEXIST for a flow that is there, and ENOENT after it was removed', () => {
    const rig = up();
    const object = flow(rig, 0);
    offload(rig, FLOW_OFFLOAD_ADD, object);
    const again = offload(rig, FLOW_OFFLOAD_ADD, flow(rig, 0));
    expect(again).toMatchObject({ error: errnoName(EEXIST), reason: 'exists' });
    const sameKey = flow(rig, 0);
    sameKey.directions.forEach((way) => (way.cookie += 100));
    expect(offload(rig, FLOW_OFFLOAD_ADD, sameKey)).toMatchObject({
      error: errnoName(EEXIST),
      reason: 'same-key',
    });
    expect(offload(rig, FLOW_OFFLOAD_DEL, object)).toMatchObject({ error: 'ok' });
    expect(offload(rig, FLOW_OFFLOAD_DEL, object)).toMatchObject({
      error: errnoName(ENOENT),
      reason: 'not-found',
    });
    rig.inject(0, ipFrame({ dst: rig.devs[0].mac, sport: 1000, dport: 2000 }));
    rig.advance(1e9);
    expect(rig.kernel.cores[0].packetCount + rig.kernel.cores[1].packetCount).toBe(1);
  });

  it.each<[string, Partial<FlowDirection>, number, string]>([
    ['ICMP', { l4proto: 1 }, EOPNOTSUPP, 'l4-protocol'],
    ['VLAN id out of range', { vlanId: 4095 }, EINVAL, 'vlan'],
    ['short address', { src: new Uint8Array(3) }, EINVAL, 'address'],
    ['multicast next hop', { ethDst: new Uint8Array([1, 0, 0, 0, 0, 1]) }, EINVAL, 'address'],
  ])(
    'refuses %s with errno and reason, and takes the other direction',
    (_n, change, errno, reason) => {
      const rig = up();
      const half = flow(rig, 0, change);
      const answer = offload(rig, FLOW_OFFLOAD_ADD, half);
      expect(answer).toMatchObject({ error: 'ok', reason });
      expect(must(answer).message).not.toBe('');
      expect(half.inHardware).toBe(2);
      const none = flow(rig, 1, change);
      none.directions[1] = { ...none.directions[0], cookie: 99 };
      expect(offload(rig, FLOW_OFFLOAD_ADD, none)).toMatchObject({
        error: errnoName(errno),
        reason,
      });
      expect(none.inHardware).toBe(0);
    },
  );

  it('refuses a device that is not a port of the card, and a port with hw-tc-offload off', () => {
    const rig = up();
    const stranger = new DummyNic(rig.kernel).dev;
    const object = flow(rig, 0, { outDev: stranger });
    object.directions[1].inDev = stranger;
    expect(offload(rig, FLOW_OFFLOAD_ADD, object)).toMatchObject({
      error: errnoName(EOPNOTSUPP),
      reason: 'out-device',
      message: 'dummy0 is not a port of this device',
    });
    for (const dev of rig.devs) dev.features.request(new Map([['hw-tc-offload', false]]));
    expect(offload(rig, FLOW_OFFLOAD_ADD, flow(rig, 0))).toMatchObject({
      error: errnoName(EOPNOTSUPP),
      reason: 'offload-disabled',
    });
  });

  it('fills the table, answers ENOSPC, and takes flows again when some are removed', () => {
    const exactMatch = { entries: 64, ways: 4, stashEntries: 4, maxKicks: 8 };
    const rig = up({ nic: { exactMatch } });
    const installed: FlowOffload[] = [];
    let refused: Answer | null = null;
    for (let n = 0; n < 100; n++) {
      const object = flow(rig, n);
      const answer = offload(rig, FLOW_OFFLOAD_ADD, object);
      if (must(answer).error === 'ok') installed.push(object);
      else refused = answer;
    }
    expect(refused).toMatchObject({ error: errnoName(ENOSPC) });
    expect(['table-full', 'bucket-full']).toContain(must(refused).reason);
    const bits = installed.reduce((n, o) => n + (o.inHardware & 1) + (o.inHardware >> 1), 0);
    expect(ethtoolStat(rig.devs[0], 'hw_flow_entries')).toBe(bits);
    expect(bits).toBeGreaterThan(50);
    expect(bits).toBeLessThanOrEqual(68);
    expect(ethtoolStat(rig.devs[0], 'hw_flow_no_space')).toBeGreaterThan(50);
    for (const object of installed)
      expect(offload(rig, FLOW_OFFLOAD_DEL, object)).toMatchObject({ error: 'ok' });
    expect(ethtoolStat(rig.devs[0], 'hw_flow_entries')).toBe(0);
    expect(offload(rig, FLOW_OFFLOAD_ADD, flow(rig, 200))).toMatchObject({ error: 'ok' });
  });

  it('installs hundreds at once: more than the admin ring holds', () => {
    const rig = up();
    let done = 0;
    const objects = Array.from({ length: 500 }, (_, n) => flow(rig, n));
    rig.kernel.inContext(0, () => {
      for (const object of objects)
        rig.devs[0].ops.ndo_flow_offload?.(
          rig.devs[0],
          FLOW_OFFLOAD_ADD,
          object,
          { message: '', reason: '' },
          (error) => (done += error === 0 ? 1 : 0),
        );
    });
    rig.advance(50e9);
    expect(done).toBe(500);
    expect(objects.every((object) => object.inHardware === 3)).toBe(true);
  });
});

describe('DEL and STATS', () => {
  it('removes a flow that is deleted while its insertion is under way', () => {
    const rig = up();
    const object = flow(rig, 0);
    expect(offload(rig, FLOW_OFFLOAD_ADD, object, undefined, 0)).toBeNull();
    expect(offload(rig, FLOW_OFFLOAD_DEL, object)).toMatchObject({ error: 'ok' });
    expect(ethtoolStat(rig.devs[0], 'hw_flow_entries')).toBe(0);
    expect(offload(rig, FLOW_OFFLOAD_ADD, flow(rig, 0))).toMatchObject({ error: 'ok' });
  });

  it('reports packets, bytes and last use as deltas, one bulk read for all flows', () => {
    const rig = up();
    const objects = [0, 1, 2].map((n) => flow(rig, n));
    for (const object of objects) offload(rig, FLOW_OFFLOAD_ADD, object);
    rig.advance(2e12);
    let lastPs = 0;
    for (let i = 0; i < 7; i++) {
      rig.inject(0, ipFrame({ dst: rig.devs[0].mac, sport: 1001, lenBytes: 100 }), 1e6);
      lastPs = rig.scheduler.nowPs;
    }
    rig.advance(1e6);
    const commands = ethtoolStat(rig.devs[0], 'adm_commands');
    const all = objects.map((object) => {
      const stats = emptyStats();
      expect(offload(rig, FLOW_OFFLOAD_STATS, object, stats)).toMatchObject({ error: 'ok' });
      return stats;
    });
    expect(ethtoolStat(rig.devs[0], 'adm_commands')).toBe(commands + 1);
    expect(all.map((stats) => stats.packets)).toEqual([
      [0, 0],
      [7, 0],
      [0, 0],
    ]);
    expect(all[1].bytes).toEqual([700, 0]);
    expect(Math.abs(all[1].lastUsedPs - lastPs)).toBeLessThan(2e6);
    expect(all[0].lastUsedPs).toBe(0);
    const again = emptyStats();
    rig.advance(2e12);
    offload(rig, FLOW_OFFLOAD_STATS, objects[1], again);
    expect(again.packets).toEqual([0, 0]);
    expect(again.lastUsedPs).toBe(all[1].lastUsedPs);
    expect(ethtoolStat(rig.devs[0], 'hw_flow_hits')).toBe(7);
  });

  it('answers ENOENT to STATS of a flow that is not there', () => {
    const rig = up();
    expect(offload(rig, FLOW_OFFLOAD_STATS, flow(rig, 0), emptyStats())).toMatchObject({
      error: errnoName(ENOENT),
    });
  });

  it('removes flows after their ports went down', () => {
    const rig = up();
    const object = flow(rig, 0);
    offload(rig, FLOW_OFFLOAD_ADD, object);
    for (const dev of rig.devs) rig.kernel.dev_close(dev);
    expect(offload(rig, FLOW_OFFLOAD_DEL, object)).toMatchObject({ error: 'ok' });
  });

  it('forgets flows on reset', () => {
    const rig = up();
    const object = flow(rig, 0);
    offload(rig, FLOW_OFFLOAD_ADD, object);
    const table = rig.kernel.devlinks.portOf(rig.devs[0])?.devlink.resources[0];
    expect(table?.occupied?.()).toBe(rig.nic.pipeline.flows.count);
    expect(table?.occupied?.()).toBe(2);
    expect(table?.size).toBe(rig.nic.pipeline.flows.capacity);
    expect(twinReinit(rig.devs[0])).toBe(0);
    expect(table?.occupied?.()).toBe(0);
    rig.advance(1e9);
    expect(ethtoolStat(rig.devs[0], 'hw_flow_entries')).toBe(0);
    expect(offload(rig, FLOW_OFFLOAD_DEL, object)).toMatchObject({ error: errnoName(ENOENT) });
    expect(offload(rig, FLOW_OFFLOAD_ADD, flow(rig, 0))).toMatchObject({ error: 'ok' });
  });
});

describe('admin queue', () => {
  it('gives up on a slow device with ETIMEDOUT and removes what appears late', () => {
    const admin = { maxSlots: 64, commandPs: 50e9, insertPs: 0, movePs: 0, entryPs: 0 };
    const rig = up({ nic: { admin }, adminTimeoutPs: 20e9 });
    rig.advance(1e12); // PORT_SET of both ports
    const object = flow(rig, 0);
    const answer = offload(rig, FLOW_OFFLOAD_ADD, object, undefined, 30e9);
    expect(answer).toMatchObject({ error: errnoName(ETIMEDOUT), reason: 'timeout' });
    expect(object.inHardware).toBe(0);
    rig.advance(1e12);
    expect(rig.nic.checkInvariants()).toBeUndefined();
    rig.inject(0, ipFrame({ dst: rig.devs[0].mac, sport: 1000, dport: 2000 }));
    rig.advance(1e9);
    expect(rig.sent).toEqual([]); // not forwarded by a left-over entry
    expect(must(twinAdapter(rig.devs[0])).admin.timeoutCount).toBeGreaterThanOrEqual(2);
  });
});
