// Actions of the datapath on frames: lengths after truncation as Open vSwitch's own tests have them (ofproto-dpif.at, system-traffic.at),
// meters (dpif-netdev.at), what the kernel refuses when a flow is installed (spec A.3, A.7, A.8.3), and one fate per packet.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PS_PER_MS } from '../../../../hw/time/units.ts';
import { MeterTable } from '../../../../src/stack/openvswitch/meter.ts';
import { parseOdpActions } from '../../../../src/stack/openvswitch/odp-actions-parse.ts';
import { NO_PORT_NAMES, parseOdpKey } from '../../../../src/stack/openvswitch/odp-key.ts';
import { DatapathRig, etherFrame } from '../../../support/datapath-rig.ts';
import { ipPacket } from '../../../support/packets.ts';
import { Random } from '../../../support/random.ts';

const IP = 'in_port(1),eth(),eth_type(0x0800),ipv4(frag=no)';

function udpFrame(lenBytes: number): Uint8Array {
  const packet = ipPacket({ protocol: 'udp', payload: new Uint8Array(lenBytes - 42) });
  return etherFrame(packet);
}

/** Lengths of the frames by port. */
function lengths(out: readonly { port: number; frame: Uint8Array }[]): Record<number, number[]> {
  const found: Record<number, number[]> = {};
  for (const { port, frame } of out) (found[port] ??= []).push(frame.length);
  return found;
}

describe('trunc', () => {
  it.each([
    [170, 'trunc(64),2,4', { 2: [64], 4: [170] }],
    [170, 'trunc(64),2,trunc(128),2,trunc(60),4,2,4', { 2: [64, 128, 170], 4: [60, 170] }],
    [
      242,
      'trunc(100),3,5,trunc(100),3,trunc(100),5,3,trunc(200),5,trunc(65535),3',
      { 3: [100, 100, 242, 242], 5: [242, 100, 200] },
    ],
  ])('%i bytes, %s', (lenBytes, actions, expected) => {
    const rig = new DatapathRig(5);
    rig.addFlow(IP, actions);
    expect(lengths(rig.send(1, udpFrame(lenBytes)))).toEqual(expected);
  });
});

describe('meters', () => {
  it('pktps, rate 1, burst 1: one of five packets passes', () => {
    const meters = new MeterTable();
    meters.set(1, false, 1, 1, 0);
    const dropped = [1, 2, 3, 4, 5].map(() => meters.exceeds(1, 60, 0));
    expect(dropped).toEqual([false, true, true, true, true]);
    expect(meters.get(1)).toMatchObject({ packets: 5, bandPackets: 4 });
  });

  it('kbps, rate 1, burst 2: 60-byte packets as in dpif-netdev.at', () => {
    const meters = new MeterTable();
    meters.set(1, true, 1, 2, 0);
    const passed = (count: number, atMs: number): number =>
      Array.from({ length: count }, () => meters.exceeds(1, 60, atMs * PS_PER_MS)).filter(
        (drops) => !drops,
      ).length;
    expect(passed(7, 0)).toBe(4);
    expect(passed(5, 870)).toBe(1);
    expect(passed(5, 880)).toBe(1);
  });

  it('an unknown meter does nothing', () => {
    expect(new MeterTable().exceeds(9, 60, 0)).toBe(false);
  });
});

describe('refused when installed', () => {
  const EINVAL = 'Invalid argument';
  it.each([
    ['in_port(1),eth(),eth_type(0x0800)', '2', EINVAL],
    ['in_port(1),eth(),eth_type(0x0800),ipv4(proto=6),tcp()', '2', EINVAL],
    ['in_port(1),eth(),eth_type(0x0800),ipv4(proto=17/0),udp(src=5)', '2', EINVAL],
    ['in_port(1),eth(),eth_type(0x8100),encap(eth_type(0x0800),ipv4())', '2', EINVAL],
    ['in_port(1),eth(),eth_type(0x0806),arp(op=1/0xf00)', '2', ''],
    [IP, 'trunc(13),2', EINVAL],
    [IP, 'trunc(14),2', ''],
    [IP, 'set(udp(src=5)),2', EINVAL],
    [IP, 'set(ipv6(hlimit=3)),2', EINVAL],
    [IP, 'set(ipv4(proto=6)),2', EINVAL],
    [IP, 'set(eth(dst=10:11:12:13:14:15/ff:ff:ff:00:00:00)),2', EINVAL],
    [IP, 'push_vlan(vid=1,pcp=0,cfi=0),2', EINVAL],
    [IP, 'push_vlan(tpid=0x9100,vid=1,pcp=0),2', EINVAL],
    [IP, 'push_eth(src=00:01:02:03:04:05,dst=10:11:12:13:14:15),2', EINVAL],
    [IP, 'pop_eth,push_eth(src=00:01:02:03:04:05,dst=10:11:12:13:14:15),2', ''],
    [IP, 'push_vlan(vid=1,pcp=0),push_mpls(label=1,tc=0,ttl=1,bos=1,eth_type=0x8847),2', EINVAL],
    [IP, 'push_mpls(label=1,tc=0,ttl=1,bos=1,eth_type=0x8847),set(ipv4(ttl=1)),2', EINVAL],
    [IP, 'pop_mpls(eth_type=0x800),2', EINVAL],
    [IP, 'ct(mark=1),2', EINVAL],
    [IP, 'ct(commit,mark=1/0),2', EINVAL],
    [IP, 'ct(nat(src=10.0.0.1)),2', EINVAL],
    [IP, 'ct(commit,nat(src,dst)),2', 'Numerical result out of range'],
    [IP, 'ct(commit,nat(src=fd00::1)),2', EINVAL],
    [IP, 'ct(commit,helper=nosuch),2', EINVAL],
    [IP, 'set(tunnel(tun_id=1,dst=1.2.3.4,flags(key))),2', EINVAL],
    [IP, 'set(tunnel(tun_id=1,ttl=64,flags(key))),2', EINVAL],
    [IP, 'set(tunnel(tun_id=1,dst=1.2.3.4,ttl=64,flags(key))),2', ''],
    [IP, 'userspace(pid=0),2', EINVAL],
    [IP, 'check_pkt_len(size=0,gt(2),le(3))', EINVAL],
    [IP, 'hash(sym_l4(0)),2', EINVAL],
    [IP, '65535', EINVAL],
    [IP, '65534', ''],
  ])('%s %s: %s', (key, actions, error) => {
    const rig = new DatapathRig(1);
    const { status, stderr } = rig.run(['ovs-dpctl', 'add-flow', 'dp0', key, actions]);
    expect(status).toBe(error === '' ? 0 : 1);
    expect(stderr.split('\n').at(-2) ?? '').toBe(
      error === '' ? '' : `ovs-dpctl: updating flow table (${error})`,
    );
  });

  it('whatever bytes come: an errno or a flow, never an exception', () => {
    const { datapath } = new DatapathRig(1);
    const attr = fc
      .tuple(fc.integer({ min: 0, max: 34 }), fc.uint8Array({ maxLength: 48 }))
      .map(([type, value]) => {
        const lenBytes = 4 + value.length;
        const bytes = new Uint8Array((lenBytes + 3) & ~3);
        bytes.set([lenBytes, 0, type, 0]);
        bytes.set(value, 4);
        return [...bytes];
      });
    const list = fc.array(attr, { maxLength: 5 }).map((attrs) => Uint8Array.from(attrs.flat()));
    const mess = fc.oneof(list, fc.uint8Array({ maxLength: 64 }));
    const valid = Uint8Array.from([
      8, 0, 3, 0, 1, 0, 0, 0, 16, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 6, 0, 0x12,
      0x34, 0, 0,
    ]);
    fc.assert(
      fc.property(mess, fc.option(mess), mess, (key, mask, actions) => {
        expect(datapath.flowNew(key, mask, actions, true)).toBeLessThanOrEqual(0);
        expect(datapath.flowNew(valid, null, actions, false)).toBeLessThanOrEqual(0);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('ct', () => {
  it('a copy that waits at the fourth level still commits the connection of its packet', () => {
    const rig = new DatapathRig(3);
    rig.addFlow(
      IP,
      'ct(zone=4),clone(clone(clone(clone(ct(commit,zone=4),2),3),3),3),ct(commit,zone=5),3',
    );
    rig.addFlow('in_port(3),eth(),eth_type(0x0800),ipv4(frag=no)', 'ct(commit,zone=6),2');
    rig.send(1, etherFrame(ipPacket({ protocol: 'udp', sport: 1 })));
    rig.send(3, etherFrame(ipPacket({ protocol: 'udp', sport: 2 })));
    const listed = rig.must(['conntrack', '-L']).trim().split('\n');
    expect(listed.map((line) => /zone=\d/.exec(line)?.[0]).sort()).toEqual([
      'zone=4',
      'zone=5',
      'zone=6',
    ]);
  });
});

describe('packets of userspace (OVS_PACKET_CMD_EXECUTE)', () => {
  const none = NO_PORT_NAMES;
  const execute = (rig: DatapathRig, key: string, actions: string): number => {
    const frame = udpFrame(60);
    const skb = rig.testbed.stack.kernel.alloc_skb(frame.length);
    if (skb === null) throw new Error('no memory');
    skb.bytes.set(frame, skb.at);
    skb.lenBytes = frame.length;
    const error = rig.datapath.executePacket(
      skb,
      parseOdpKey(key, none).key,
      parseOdpActions(actions, none),
    );
    rig.testbed.advance(10 * PS_PER_MS);
    return error;
  };
  const KEY_TEXT = 'in_port(1),eth(),eth_type(0x0800),ipv4()';

  it('runs the actions without a flow', () => {
    const rig = new DatapathRig(2);
    expect(execute(rig, KEY_TEXT, 'trunc(50),2')).toBe(0);
    expect(lengths(rig.out)).toEqual({ 2: [50] });
    expect(rig.datapath.hits).toBe(0);
  });

  it('refuses what the packet does not allow, and a port that is not there', () => {
    const rig = new DatapathRig(2);
    expect(execute(rig, KEY_TEXT, 'set(tcp(src=5)),2')).toBe(-22);
    expect(execute(rig, KEY_TEXT.replace('(1)', '(9)'), '2')).toBe(-19);
    expect(rig.out).toEqual([]);
  });
});

describe('fates', () => {
  const ACTIONS = [
    '2',
    '3,2',
    '9',
    '9,2',
    'drop',
    'pop_vlan',
    'trunc(64),2,3',
    'push_vlan(vid=5,pcp=1),2',
    'clone(2),drop',
    'clone(set(ipv4(ttl=3)),2),3',
    'sample(sample=50%,actions(2))',
    'sample(sample=50%,actions(2)),3',
    'recirc(1)',
    'recirc(1),2',
    'recirc(7)',
    'clone(clone(clone(clone(recirc(1),2),3),2),3)',
    'ct(commit,zone=1),2',
    'ct(zone=1),recirc(1)',
    'ct(commit,zone=2,nat(src=10.9.9.9)),3',
    'set(ipv4(src=9.9.9.9)),check_pkt_len(size=200,gt(2),le(drop))',
    'userspace(pid=5)',
    'pop_eth,2',
  ];

  it('every packet ends once, whatever the actions (seeds 1 to 12)', () => {
    for (let seed = 1; seed <= 12; seed++) {
      const random = new Random(seed);
      const rig = new DatapathRig(3);
      const pick = (): string => ACTIONS[random.below(ACTIONS.length)];
      for (const port of [1, 2, 3])
        for (const recirc of ['0', '0x1'])
          rig.addFlow(
            `recirc_id(${recirc}),in_port(${port}),eth(),eth_type(0x0800),ipv4(frag=no)`,
            pick(),
          );
      rig.run([
        'ovs-dpctl',
        'add-flow',
        'dp0',
        'in_port(1),eth(),eth_type(0x0800),ipv4(frag=first)',
        'ct(zone=3),2',
      ]);
      const packets = 60;
      for (let i = 0; i < packets; i++) {
        const packet = ipPacket({
          protocol: random.below(2) === 0 ? 'udp' : 'tcp',
          sport: 1000 + random.below(3),
          payload: new Uint8Array(random.below(300)),
        });
        if (random.below(5) === 0) packet[6] |= 0x20;
        rig.send(1 + random.below(3), etherFrame(packet));
      }
      // Fragments that wait for others end within 30 s.
      rig.testbed.advance(40_000 * PS_PER_MS);
      rig.testbed.checkInvariants();
      const { ledger } = rig.testbed;
      const ended = ledger.fatePackets.reduce((sum, count) => sum + count, 0);
      expect({ seed, ended }).toEqual({ seed, ended: packets });
    }
  });
});
