// A tunnel device as a port of a datapath: what an upcall says of the way out (spec C.3, checkable behaviours 86 to 88), that each
// packet ends once, and how `ip link` shows the devices (as recorded from iproute2 6.1 on Linux 6.1).

import { describe, expect, it } from 'vitest';
import { STACK_DROPS } from '../../../../src/stack/outcome.ts';
import { readAttrs } from '../../../../src/stack/openvswitch/nlattr.ts';
import type { NlAttr } from '../../../../src/stack/openvswitch/nlattr.ts';
import { PACKET, TUN } from '../../../../src/stack/openvswitch/uapi.ts';
import { DatapathRig, etherFrame } from '../../../support/datapath-rig.ts';
import { ipPacket } from '../../../support/packets.ts';

const IP = 'in_port(1),eth(),eth_type(0x0800),ipv4(frag=no)';
const PID = 7;

function rigWithTunnels(): DatapathRig {
  const rig = new DatapathRig();
  for (const command of [
    'ip addr add 172.16.0.1/24 dev p2',
    'ip neigh replace 172.16.0.2 lladdr 02:00:00:00:03:02 dev p2 nud permanent',
    'ip link add vx mtu 65000 type vxlan dstport 4789 external',
    'ip link set vx up',
    'ip link add gt type gretap external',
    'ip link set gt up',
    `ovs-dpctl add-if ${rig.datapath.name} vx,port_no=10 gt,port_no=12`,
  ])
    rig.must(command.split(' '));
  return rig;
}

function egressOf(actions: string): NlAttr[] | null {
  const rig = rigWithTunnels();
  let found: NlAttr[] | null = null;
  rig.datapath.listeners.set(PID, ({ attrs }) => {
    const value = attrs.find(({ type }) => type === PACKET.EGRESS_TUN_KEY)?.value;
    found = value === undefined ? null : readAttrs(value);
  });
  rig.addFlow(IP, actions);
  rig.send(1, etherFrame(ipPacket({ protocol: 'udp', payload: new Uint8Array(8) })));
  return found;
}

const SET = 'set(tunnel(tun_id=0x5,dst=172.16.0.2,ttl=64,flags(key)))';

describe('the way out in an upcall', () => {
  it('VXLAN: id, source by route, destination, ports', () => {
    const key = egressOf(`${SET},userspace(pid=${PID},tunnel_out_port=10)`) ?? [];
    const of = (type: number): string =>
      Buffer.from(key.find((one) => one.type === type)?.value ?? []).toString('hex');
    expect(of(TUN.ID)).toBe('0000000000000005');
    expect(of(TUN.IPV4_SRC)).toBe('ac100001');
    expect(of(TUN.IPV4_DST)).toBe('ac100002');
    expect(of(TUN.TP_DST)).toBe('12b5');
    const port = parseInt(of(TUN.TP_SRC), 16);
    expect(port).toBeGreaterThanOrEqual(32768);
    expect(port).toBeLessThan(60999);
  });

  it('GRE: only the source', () => {
    const key = egressOf(`${SET},userspace(pid=${PID},tunnel_out_port=12)`) ?? [];
    expect(key.map(({ type }) => type)).toEqual([TUN.ID, TUN.IPV4_SRC, TUN.IPV4_DST, TUN.TTL]);
  });

  it('nothing without set(tunnel()), for a plain port, for a port that is not there', () => {
    expect(egressOf(`userspace(pid=${PID},tunnel_out_port=10)`)).toBeNull();
    expect(egressOf(`${SET},userspace(pid=${PID},tunnel_out_port=2)`)).toBeNull();
    expect(egressOf(`${SET},userspace(pid=${PID},tunnel_out_port=77)`)).toBeNull();
  });
});

describe('fates', () => {
  it.each([
    ['10', 'tunnel-txinfo'],
    ['set(tunnel(tun_id=0x5,dst=203.0.113.9,ttl=64,flags(key))),10', 'no-route'],
    ['set(tunnel(tun_id=0x5,ipv6_dst=fd00::2,ttl=64,flags(key))),12', 'tunnel-txinfo'],
  ])('%s: %s', (actions, reason) => {
    const rig = rigWithTunnels();
    rig.addFlow(IP, actions);
    rig.send(1, etherFrame(ipPacket({ protocol: 'udp', payload: new Uint8Array(8) })));
    rig.testbed.checkInvariants();
    const drops = STACK_DROPS.flatMap(({ name }, i) => {
      const count = rig.testbed.ledger.stackDrops[i];
      return count === 0 ? [] : [[name, count]];
    });
    expect(drops).toEqual([[reason, 1]]);
  });
});

describe('ip link', () => {
  it('shows the devices as the tool does', () => {
    const rig = new DatapathRig();
    const show = (device: string): string[] =>
      rig.must(['ip', '-d', 'link', 'show', device]).split('\n');
    rig.must('ip link add vxlan0 type vxlan dstport 4789 external'.split(' '));
    rig.must('ip link add gnv0 type geneve external'.split(' '));
    rig.must('ip link add gre1 type gretap external'.split(' '));
    expect(show('vxlan0')[2]).toContain(
      '    vxlan external id 0 srcport 0 0 dstport 4789 nolearning ttl auto ageing 300 udpcsum noudp6zerocsumtx noudp6zerocsumrx addrgenmode',
    );
    expect(show('gnv0')[2]).toContain(
      '    geneve external id 0 ttl auto dstport 6081 udp6zerocsumrx addrgenmode',
    );
    expect(show('gnv0')[0]).toContain('mtu 65465 qdisc noop state DOWN');
    expect(show('gnv0')[1]).toContain('minmtu 68 maxmtu 65465 ');
    expect(show('gre1')[0]).toContain(': gre1@NONE: <BROADCAST,MULTICAST> mtu 1462 ');
    expect(show('gre1')[1]).toContain('minmtu 68 maxmtu 0 ');
    expect(show('gre1')[2]).toContain(
      '    gretap external remote any local any ttl inherit addrgenmode',
    );
    const again = rig.run('ip link add x type vxlan dstport 4789 external'.split(' '));
    expect(again).toMatchObject({
      status: 2,
      stderr: 'Error: A VXLAN device with the specified VNI already exists.\n',
    });
    for (const device of ['vxlan0', 'gnv0', 'gre1']) rig.must(['ip', 'link', 'del', device]);
    rig.must('ip link add x type vxlan dstport 4789 external'.split(' '));
  });
});
