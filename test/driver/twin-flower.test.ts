// tc filters through ndo_setup_tc of the reference driver into the staged tables of the device: what they do to frames, what
// comes back as statistics, why some are refused, and what a reset leaves.

import { describe, expect, it } from 'vitest';
import {
  FLOW_BLOCK_BIND,
  FLOW_BLOCK_BINDER_TYPE_CLSACT_INGRESS,
  FLOW_CLS_DESTROY,
  FLOW_CLS_REPLACE,
  FLOW_CLS_STATS,
  TC_SETUP_BLOCK,
  TC_SETUP_CLSFLOWER,
  type FlowBlock,
  type FlowBlockOffload,
  type FlowClsCommand,
  type FlowClsOffload,
} from '../../driver/flow-block.ts';
import * as FR from '../../driver/flow-rule.ts';
import type { FlowActionEntry, FlowMatch } from '../../driver/flow-rule.ts';
import { errnoName } from '../../driver/errno.ts';
import { twinReinit } from '../../driver/twin/probe.ts';
import { genericNic } from '../../hw/models.ts';
import { nicConfigOf } from '../../src/devices/nic-config.ts';
import { loadDevice } from '../../src/node/device-files.ts';
import { REFUSAL_REASONS } from '../../src/rules/refusal.ts';
import { frame, type FrameSpec } from '../hw/harness.ts';
import { must } from '../support/must.ts';
import { TwinRig } from '../support/twin-rig.ts';

const ANY = FR.FLOW_ACTION_HW_STATS_ANY;
type Loose = { id: number } & Record<string, unknown>;

class TcRig extends TwinRig {
  readonly blocks: FlowBlock[] = [];

  constructor(device = 'generic-switch') {
    super({ nic: { ...nicConfigOf(loadDevice(device)), ports: 3 } });
    this.up();
    for (const dev of this.devs) {
      dev.flags |= 0x100;
      dev.ops.ndo_set_rx_mode?.(dev);
      const block: FlowBlock = { callbacks: [] };
      const offload: FlowBlockOffload = {
        command: FLOW_BLOCK_BIND,
        binderType: FLOW_BLOCK_BINDER_TYPE_CLSACT_INGRESS,
        blockShared: false,
        block,
        cbList: [],
        extack: { message: '', reason: '' },
      };
      expect(dev.ops.ndo_setup_tc?.(dev, TC_SETUP_BLOCK, offload)).toBe(0);
      block.callbacks.push(...offload.cbList);
      this.blocks.push(block);
    }
  }

  request(
    port: number,
    command: FlowClsCommand,
    cookie: number,
    rule: FR.FlowRule | null,
    prio = 1,
    chain = 0,
  ) {
    const request: FlowClsOffload = {
      type: TC_SETUP_CLSFLOWER,
      common: {
        chainIndex: chain,
        protocol: 0x0800,
        prio,
        skipSw: true,
        extack: { message: '', reason: '' },
      },
      command,
      cookie,
      rule,
      stats: { pkts: 0, bytes: 0, drops: 0, lastUsedPs: 0, usedHwStats: 0 },
    };
    let error: number | null = null;
    this.kernel.inContext(0, () => {
      this.blocks[port].callbacks[0].cb(request, (code) => {
        error = code;
      });
    });
    this.advance(1e10);
    return { error: must(error as number | null), stats: request.stats, ...request.common.extack };
  }

  add(
    cookie: number,
    match: Partial<FlowMatch>,
    actions: readonly Loose[],
    prio = cookie,
    chain = 0,
    port = 0,
  ) {
    const full = { ...FR.emptyMatch(), ...match };
    full.usedKeys |= match.ipv4 ? 1 << FR.FLOW_DISSECTOR_KEY_IPV4_ADDRS : 0;
    const list = actions.map((action) => ({ hwStats: ANY, ...action })) as FlowActionEntry[];
    return this.request(
      port,
      FLOW_CLS_REPLACE,
      cookie,
      { match: full, actions: list },
      prio,
      chain,
    );
  }

  send(spec: FrameSpec = {}, port = 0): { id: number; bytes: Uint8Array } {
    this.sent.length = 0;
    const bytes = frame(spec);
    const id = this.inject(port, bytes);
    this.advance(1e9);
    return { id, bytes };
  }
}

const ipv4 = (proto = 17): Partial<FlowMatch> => ({
  basic: { key: { nProto: 0x0800, ipProto: proto }, mask: { nProto: 0xffff, ipProto: 0xff } },
});
const dstNet = (a: number): Pick<FlowMatch, 'ipv4'> => ({
  ipv4: {
    key: { src: new Uint8Array(4), dst: new Uint8Array([a, 0, 0, 0]) },
    mask: { src: new Uint8Array(4), dst: new Uint8Array([255, 0, 0, 0]) },
  },
});
const dports = (dstMin: number, dstMax: number): Pick<FlowMatch, 'portsRange'> => ({
  portsRange: {
    key: { srcMin: 0, srcMax: 0, dstMin, dstMax },
    mask: { srcMin: 0, srcMax: 0, dstMin: 0xffff, dstMax: 0xffff },
  },
});
const DROP = { id: FR.FLOW_ACTION_DROP };

describe('tc filters in hardware', () => {
  it('drops what it matches, counts it, and stops when it is deleted', () => {
    const rig = new TcRig();
    expect(rig.add(1, { ...ipv4(), ...dstNet(10), ...dports(80, 90) }, [DROP])).toMatchObject({
      error: 0,
    });
    const hit = rig.send({ dport: 85 });
    const miss = rig.send({ dport: 91 });
    expect(rig.fates.get(hit.id)).toEqual(['hw:rule']);
    expect(rig.fates.get(miss.id)).not.toEqual(['hw:rule']);
    const tagged = rig.send({ dport: 85, vlans: [5] });
    expect(rig.fates.get(tagged.id)).not.toEqual(['hw:rule']);
    const other = rig.send({ dport: 85 }, 1);
    expect(rig.fates.get(other.id)).not.toEqual(['hw:rule']);
    const first = rig.request(0, FLOW_CLS_STATS, 1, null).stats;
    expect(first).toMatchObject({ pkts: 1, bytes: hit.bytes.length });
    expect(first.lastUsedPs).toBeGreaterThan(0);
    expect(rig.request(0, FLOW_CLS_STATS, 1, null).stats.pkts).toBe(0);
    expect(rig.request(0, FLOW_CLS_DESTROY, 1, null).error).toBe(0);
    expect(rig.fates.get(rig.send({ dport: 85 }).id)).not.toEqual(['hw:rule']);
    expect(rig.request(0, FLOW_CLS_DESTROY, 1, null)).toMatchObject({
      error: -2,
      reason: 'not-found',
    });
  });

  it('redirects, mirrors, rewrites and tags in the order of the actions', () => {
    const rig = new TcRig();
    const [, p1, p2] = rig.devs;
    const actions = [
      { id: FR.FLOW_ACTION_VLAN_PUSH, vid: 7, proto: 0x8100, prio: 2 },
      { id: FR.FLOW_ACTION_MIRRED, dev: p2 },
      { id: FR.FLOW_ACTION_VLAN_POP },
      // pedit: ip ttl dec, ip dst 11.0.0.9, udp dport 53, eth src 02:aa:bb:cc:dd:ee
      {
        id: FR.FLOW_ACTION_ADD,
        htype: FR.FLOW_ACT_MANGLE_HDR_TYPE_IP4,
        offset: 8,
        mask: 0x00ffffff,
        val: 0xff000000,
      },
      {
        id: FR.FLOW_ACTION_MANGLE,
        htype: FR.FLOW_ACT_MANGLE_HDR_TYPE_IP4,
        offset: 16,
        mask: 0,
        val: 0x0b000009,
      },
      {
        id: FR.FLOW_ACTION_MANGLE,
        htype: FR.FLOW_ACT_MANGLE_HDR_TYPE_UDP,
        offset: 0,
        mask: 0xffff0000,
        val: 53,
      },
      {
        id: FR.FLOW_ACTION_MANGLE,
        htype: FR.FLOW_ACT_MANGLE_HDR_TYPE_ETH,
        offset: 4,
        mask: 0xffff0000,
        val: 0x02aa,
      },
      {
        id: FR.FLOW_ACTION_MANGLE,
        htype: FR.FLOW_ACT_MANGLE_HDR_TYPE_ETH,
        offset: 8,
        mask: 0,
        val: 0xbbccddee,
      },
      { id: FR.FLOW_ACTION_CSUM, csumFlags: 17 },
      { id: FR.FLOW_ACTION_REDIRECT, dev: p1 },
    ];
    expect(rig.add(1, ipv4(), actions)).toMatchObject({ error: 0 });
    rig.send({ payload: 60 });
    const src = new Uint8Array([0x02, 0xaa, 0xbb, 0xcc, 0xdd, 0xee]);
    expect(
      rig.sent.map(({ portIndex, bytes }) => [portIndex, Buffer.from(bytes).toString('hex')]),
    ).toEqual([
      [2, Buffer.from(frame({ payload: 60, vlans: [0x4007] })).toString('hex')],
      [
        1,
        Buffer.from(frame({ payload: 60, ttl: 63, dstIp: 0x0b000009, dport: 53, src })).toString(
          'hex',
        ),
      ],
    ]);
  });

  it('goes on in later chains only; polices; samples to a group', () => {
    const rig = new TcRig();
    const police = {
      index: 3,
      rateBytesPerS: 0,
      burstBytes: 200,
      mtuBytes: 0,
      exceed: FR.FLOW_ACTION_DROP,
      notexceed: FR.FLOW_ACTION_PIPE,
    };
    const goto = (chainIndex: number): Loose => ({ id: FR.FLOW_ACTION_GOTO, chainIndex });
    expect(
      rig.add(1, ipv4(), [
        { id: FR.FLOW_ACTION_POLICE, police },
        { id: FR.FLOW_ACTION_SAMPLE, rate: 1, group: 9, truncBytes: 64 },
        goto(2),
      ]).error,
    ).toBe(0);
    expect(rig.add(2, ipv4(), [DROP], 1, 2).error).toBe(0);
    expect(rig.add(3, ipv4(), [goto(1)], 5, 2)).toMatchObject({
      error: -22,
      reason: 'goto-backwards',
    });
    expect(rig.add(4, ipv4(), [goto(60)], 5, 2)).toMatchObject({
      error: -22,
      reason: 'no-such-group',
    });
    const ids = [1, 2, 3].map(() => rig.send({ payload: 40 }).id);
    expect(ids.map((id) => rig.fates.get(id))).toEqual([['hw:rule'], ['hw:rule'], ['hw:meter']]);
    expect(rig.kernel.samples.get(9)).toEqual({ packets: 2, bytes: 128 });
    rig.nic.checkInvariants();
    // The meter is the policer's: free again when the last rule that names it goes.
    expect(rig.request(0, FLOW_CLS_DESTROY, 1, null).error).toBe(0);
    expect(rig.nic.stages?.isMeterSet[3]).toBe(0);
  });

  it('the lower pref wins, whatever came first', () => {
    const rig = new TcRig();
    rig.add(1, ipv4(), [{ id: FR.FLOW_ACTION_REDIRECT, dev: rig.devs[1] }], 20);
    rig.add(
      2,
      { ...ipv4(), ...dstNet(10) },
      [{ id: FR.FLOW_ACTION_REDIRECT, dev: rig.devs[2] }],
      10,
    );
    rig.send();
    expect(rig.sent.map(({ portIndex }) => portIndex)).toEqual([2]);
  });

  it('marks what goes up', () => {
    const rig = new TcRig();
    const seen: number[] = [];
    rig.kernel.rxHandler = {
      receive: (skb) => {
        seen.push(skb.mark);
        rig.kernel.free_skb(skb);
      },
    };
    rig.add(1, ipv4(), [{ id: FR.FLOW_ACTION_MARK, mark: 77 }]);
    rig.send();
    expect(seen).toEqual([77]);
  });

  it('filters come back after a reset of the function', () => {
    const rig = new TcRig();
    rig.add(1, ipv4(), [DROP]);
    rig.kernel.inContext(0, () => void twinReinit(rig.devs[0]));
    rig.advance(1e12);
    expect(rig.fates.get(rig.send().id)).toEqual(['hw:rule']);
    expect(rig.request(0, FLOW_CLS_STATS, 1, null).stats.pkts).toBe(1);
  });
});

describe('filters that do not fit', () => {
  it.each([
    [
      'an ARP key',
      { arp: { key: {}, mask: {} } as FlowMatch['arp'] },
      [DROP],
      'EOPNOTSUPP',
      'field-not-in-template',
      'arp',
    ],
    [
      'a TTL where the key has none',
      { ...ipv4(), ip: { key: { tos: 0, ttl: 5 }, mask: { tos: 0, ttl: 255 } } },
      [DROP],
      'EOPNOTSUPP',
      'field-not-in-template',
      'ip_ttl',
    ],
    [
      'tunnels',
      ipv4(),
      [{ id: FR.FLOW_ACTION_TUNNEL_DECAP }],
      'EOPNOTSUPP',
      'action-not-supported',
      'tunnel-decap',
    ],
    [
      'queues on a switch',
      ipv4(),
      [{ id: FR.FLOW_ACTION_QUEUE, index: 1 }],
      'EOPNOTSUPP',
      'action-not-supported',
      'queue',
    ],
  ])('%s', (_name, match, actions, error, reason, names) => {
    const rig = new TcRig();
    const answer = rig.add(1, match, actions);
    expect([errnoName(answer.error), answer.reason]).toEqual([error, reason]);
    expect(answer.message).toContain(names);
    expect((REFUSAL_REASONS as readonly string[]).includes(answer.reason)).toBe(true);
  });

  it('a full table says so; a range that takes more than is left says that; a chain that is not there', () => {
    const rig = new TcRig('rocker-ofdpa');
    for (let n = 0; n < 100; n++)
      expect(rig.add(n + 1, { ...ipv4(), ...dstNet(n) }, [DROP]).error).toBe(0);
    const full = rig.add(101, ipv4(6), [DROP]);
    expect([errnoName(full.error), full.reason, full.message]).toEqual([
      'ENOSPC',
      'no-free-entry',
      'table full: 100 entries in use',
    ]);
    const ranged = rig.add(102, { ...ipv4(), ...dports(1, 65534) }, [DROP]);
    expect([errnoName(ranged.error), ranged.reason]).toEqual(['ENOSPC', 'range-too-costly']);
    const chained = rig.add(103, ipv4(), [DROP], 1, 1);
    expect([errnoName(chained.error), chained.reason]).toEqual(['EINVAL', 'no-such-group']);
    expect(rig.request(0, FLOW_CLS_DESTROY, 7, null).error).toBe(0);
    expect(rig.add(101, ipv4(6), [DROP]).error).toBe(0);
  });

  it('range registers run out', () => {
    const rig = new TcRig();
    for (let n = 0; n < 16; n++)
      expect(rig.add(n + 1, { ...ipv4(), ...dports(n, n + 100) }, [DROP]).error).toBe(0);
    const answer = rig.add(17, { ...ipv4(), ...dports(500, 777) }, [DROP]);
    expect([errnoName(answer.error), answer.reason]).toEqual(['ENOSPC', 'no-free-range-register']);
  });

  it('a device without tables', () => {
    const rig = new TwinRig({ nic: { ...genericNic(), stages: null } }).up();
    expect(rig.nic.stages).toBeNull();
  });
});
