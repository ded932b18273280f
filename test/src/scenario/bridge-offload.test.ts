// Bridges and VLAN devices below a flowtable: the same traffic through the classic path, the software flowtable and hardware leaves the
// same frames, on the same ports; the fast path takes packets at the real port (spec B.7, E.59).

import { describe, expect, it } from 'vitest';
import { frameOf, ipPacket } from '../../support/packets.ts';
import type { Packet } from '../../support/packets.ts';
import { Machine, portMac } from '../../support/machine.ts';

type Way = 'classic' | 'software' | 'hardware';

interface Topology {
  commands: string;
  /** Device that has the clients' address, and the tag of their frames on p0 (−1: none). */
  inside: string;
  clientTag: number;
  /** MAC that clients send to. */
  routerMac: string;
}

const BRIDGE = `ip link add br0 address 02:00:00:00:0b:01 type bridge
  ip link set p0 master br0; ip link set p2 master br0; ip link set br0 up`;
const FILTERING = `${BRIDGE.replace('type bridge', 'type bridge vlan_filtering 1')}`;

const TOPOLOGIES: Record<string, Topology> = {
  'a bridge': { commands: BRIDGE, inside: 'br0', clientTag: -1, routerMac: '020000000b01' },
  'a VLAN device': {
    commands: 'ip link add link p0 name p0.10 type vlan id 10; ip link set p0.10 up',
    inside: 'p0.10',
    clientTag: 10,
    routerMac: portMac(0),
  },
  'a VLAN device on a bridge': {
    commands: `${BRIDGE}
      ip link add link br0 name br0.10 type vlan id 10; ip link set br0.10 up`,
    inside: 'br0.10',
    clientTag: 10,
    routerMac: '020000000b01',
  },
  'a VLAN device on a bridge that filters, tagged port': {
    commands: `${FILTERING}
      bridge vlan add vid 10 dev br0 self; bridge vlan add vid 10 dev p0
      ip link add link br0 name br0.10 type vlan id 10; ip link set br0.10 up`,
    inside: 'br0.10',
    clientTag: 10,
    routerMac: '020000000b01',
  },
  'a VLAN device on a bridge that filters, untagged port': {
    commands: `${FILTERING}
      bridge vlan add vid 10 dev br0 self; bridge vlan add vid 10 dev p0 pvid untagged
      ip link add link br0 name br0.10 type vlan id 10; ip link set br0.10 up`,
    inside: 'br0.10',
    clientTag: -1,
    routerMac: '020000000b01',
  },
  'a bridge that filters, tagged port': {
    commands: `${FILTERING}
      bridge vlan del vid 1 dev p0; bridge vlan add vid 1 dev p0`,
    inside: 'br0',
    clientTag: 1,
    routerMac: '020000000b01',
  },
};

const CLIENT = '0200000000c1';

class Router extends Machine {
  private readonly topology: Topology;

  constructor(topology: Topology, way: Way, checksDmac = false) {
    super(['p0', 'p1', 'p2'], { device: { flowStageChecksDmac: checksDmac } });
    this.topology = topology;
    this.run('sysctl -w net.ipv6.conf.all.disable_ipv6=1 net.ipv4.ip_forward=1');
    this.run(topology.commands);
    const { inside } = topology;
    this.run(`ip addr add 192.168.1.1/24 dev ${inside}; ip addr add 10.0.0.1/24 dev p1`);
    this.run(`ip neigh add 192.168.1.2 lladdr 02:00:00:00:00:c1 dev ${inside} nud permanent`);
    this.run('ip neigh add 10.0.0.2 lladdr 02:00:00:00:00:aa dev p1 nud permanent');
    const table =
      way === 'classic'
        ? ''
        : `flowtable f { hook ingress priority 0; devices = { p0, p1, p2 };
            ${way === 'hardware' ? 'flags offload;' : ''} }`;
    const add = way === 'classic' ? '' : 'meta l4proto { tcp, udp } flow add @f';
    this.run(
      'nft -f -',
      `table inet t { ${table}
        chain passing { type filter hook forward priority 0
          ct state new,established ${add}
        } }`,
    );
    this.pass(100);
  }

  /** A packet of the client on p0, tagged as its network is. */
  client(packet: Partial<Packet>, to = this.topology.routerMac): string[] {
    const frame = frameOf(ipPacket(packet), to, CLIENT);
    const { clientTag } = this.topology;
    if (clientTag < 0) return this.frame(0, frame);
    const tag = `8100${clientTag.toString(16).padStart(4, '0')}`;
    return this.frame(0, `${frame.slice(0, 24)}${tag}${frame.slice(24)}`);
  }
}

function exchange(topology: Topology, way: Way, checksDmac = false): [string[], Router] {
  const router = new Router(topology, way, checksDmac);
  const frames: string[] = [];
  const there = { src: '192.168.1.2', dst: '10.0.0.2', sport: 4000, dport: 80 };
  const back = { src: '10.0.0.2', dst: '192.168.1.2', sport: 80, dport: 4000 };
  const up = (more: Partial<Packet>): void => {
    frames.push(...router.client({ ...there, ...more }));
  };
  const down = (more: Partial<Packet>): void => {
    frames.push(...router.send(1, { ...back, ...more }));
  };
  up({ flags: 'S', seq: 999 });
  down({ flags: 'SA', seq: 4999, ack: 1000 });
  up({ flags: 'A', seq: 1000, ack: 5000 });
  for (let i = 0; i < 3; i++) {
    const payload = new Uint8Array(20 + i).fill(i);
    up({ flags: 'PA', seq: 1000, ack: 5000, payload, ttl: 60 - i });
    down({ flags: 'PA', seq: 5000, ack: 1000, payload, ttl: 50 - i });
  }
  up({ protocol: 'udp', sport: 5000 });
  up({ protocol: 'udp', sport: 5000 });
  down({ protocol: 'udp', dport: 5000 });
  up({ protocol: 'udp', sport: 5000 });
  router.testbed.checkInvariants();
  expect(router.testbed.ledger.pending).toBe(0);
  return [frames, router];
}

const tally = (router: Router): number[] => [...router.testbed.ledger.fatePackets];

describe('below a flowtable', () => {
  it.each(Object.keys(TOPOLOGIES))('%s: the same frames on every way', (name) => {
    const topology = TOPOLOGIES[name];
    const [classic, slow] = exchange(topology, 'classic');
    const [software, fast] = exchange(topology, 'software');
    const [hardware, offloaded] = exchange(topology, 'hardware');
    expect(classic).toHaveLength(13);
    expect(software).toEqual(classic);
    expect(hardware).toEqual(classic);
    // SYN, SYN-ACK, ACK and two UDP packets are the classic path's in all of them.
    expect(tally(slow).slice(0, 3)).toEqual([0, 0, 13]);
    expect(tally(fast).slice(0, 3)).toEqual([0, 8, 5]);
    expect(tally(offloaded).slice(0, 3)).toEqual([8, 0, 5]);
  });

  it('a device that checks the destination MAC leaves packets to the bridge’s own address to software', () => {
    const [classic] = exchange(TOPOLOGIES['a bridge'], 'classic');
    const [hardware, router] = exchange(TOPOLOGIES['a bridge'], 'hardware', true);
    expect(hardware).toEqual(classic);
    expect(tally(router).slice(0, 3)).toEqual([4, 4, 5]);
    // As Linux does unless told otherwise, the bridge takes the lowest address of its ports: then it is the port's own.
    const plain = {
      ...TOPOLOGIES['a bridge'],
      commands: BRIDGE.replace(' address 02:00:00:00:0b:01', ''),
      routerMac: portMac(0),
    };
    expect(tally(exchange(plain, 'hardware', true)[1]).slice(0, 3)).toEqual([8, 0, 5]);
  });

  it('a station on another port of the bridge: flooded, learned, and never sent to the wrong port', () => {
    const router = new Router(TOPOLOGIES['a bridge'], 'software');
    const other = '0200000000c2';
    const packet = { src: '192.168.1.2', dst: '192.168.1.3' };
    expect(router.client(packet, other).map((f) => f.slice(0, 2))).toEqual(['p2']);
    const answer = frameOf(ipPacket({ src: '192.168.1.3', dst: '192.168.1.2' }), CLIENT, other);
    expect(router.frame(2, answer).map((f) => f.slice(0, 2))).toEqual(['p0']);
    expect(router.run('bridge fdb show br br0')).toBe(
      '02:00:00:00:01:01 dev p0 master br0 permanent\n' +
        '02:00:00:00:01:03 dev p2 master br0 permanent\n' +
        '02:00:00:00:0b:01 dev br0 master br0 permanent\n' +
        '02:00:00:00:00:c1 dev p0 master br0 \n' +
        '02:00:00:00:00:c2 dev p2 master br0 \n',
    );
    // After the ageing time they are forgotten.
    router.pass(301_000);
    expect(router.run('bridge fdb show br br0')).not.toMatch(/:c[12] /);
    router.testbed.checkInvariants();
  });

  it('no memory for the copies of a flooded frame: the host still gets it, and it has one fate', () => {
    const router = new Router(TOPOLOGIES['a bridge'], 'software');
    router.testbed.kernel.skb_copy = () => null;
    const ask = { src: '192.168.1.2', dst: '192.168.1.1', protocol: 'icmp' } as const;
    expect(router.client(ask, 'ffffffffffff')).toEqual([]);
    expect(router.client(ask)).toHaveLength(1);
    expect(router.testbed.ledger.pending).toBe(0);
    router.testbed.checkInvariants();
  });

  it('a port of the bridge goes down, leaves, or the bridge goes: the flows over it end', () => {
    for (const change of ['ip link set p0 down', 'ip link set br0 down', 'ip link del br0']) {
      const [, router] = exchange(TOPOLOGIES['a bridge'], 'hardware');
      expect(router.testbed.nic.pipeline.flows.count).toBe(4);
      router.run(change);
      router.pass(3000);
      expect(router.testbed.nic.pipeline.flows.count).toBe(0);
      expect(router.run('flowtable list')).toBe('');
      router.testbed.checkInvariants();
    }
  });

  it('without the port in its list a flowtable keeps to the bridge’s device', () => {
    const router = new Router(TOPOLOGIES['a bridge'], 'classic');
    router.run('nft flush ruleset');
    router.run(
      'nft -f -',
      `table inet t { flowtable f { hook ingress priority 0; devices = { br0, p1 }; }
        chain passing { type filter hook forward priority 0
          meta l4proto udp flow add @f
        } }`,
    );
    const packet = { src: '192.168.1.2', dst: '10.0.0.2', protocol: 'udp' } as const;
    const [first] = router.client(packet);
    router.client(packet);
    expect(router.client(packet)).toEqual([first]);
    expect(tally(router)[1]).toBe(1);
  });

  it('VLAN filtering: what a port may not have is dropped and counted', () => {
    const router = new Router(TOPOLOGIES['a bridge that filters, tagged port'], 'classic');
    const packet = { src: '192.168.1.2', dst: '10.0.0.2' };
    const untagged = frameOf(ipPacket(packet), '020000000b01', CLIENT);
    expect(router.frame(0, untagged)).toEqual([]);
    const wrong = `${untagged.slice(0, 24)}81000063${untagged.slice(24)}`;
    expect(router.frame(0, wrong)).toEqual([]);
    expect(router.client(packet)).toHaveLength(1);
    expect(tally(router)[4]).toBe(2);
    expect(router.run('bridge vlan show')).toBe(
      'port              vlan-id  \n' +
        'p0                1\n' +
        'p2                1 PVID Egress Untagged\n' +
        'br0               1 PVID Egress Untagged\n',
    );
    expect(router.run('bridge -j vlan show')).toBe(
      '[{"ifname":"p0","vlans":[{"vlan":1}]},' +
        '{"ifname":"p2","vlans":[{"vlan":1,"flags":["PVID","Egress Untagged"]}]},' +
        '{"ifname":"br0","vlans":[{"vlan":1,"flags":["PVID","Egress Untagged"]}]}]\n',
    );
  });
});
