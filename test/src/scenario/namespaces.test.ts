// Network namespaces on one card: overlapping addresses side by side in its flow table, packets across a veth pair, and what goes when
// a namespace goes.

import { describe, expect, it } from 'vitest';
import { Namespaces } from '../../../src/stack/namespaces.ts';
import { frameOf, ipPacket, readPacket } from '../../support/packets.ts';
import { Machine, portMac } from '../../support/machine.ts';
import { bytesOf } from '../../support/stack-rig.ts';

const FLOWTABLE = (devices: string, flags: string): string => `table inet t {
  flowtable f { hook ingress priority 0; devices = { ${devices} }; ${flags} }
  chain passing { type filter hook forward priority 0
    ct state established,new meta l4proto { tcp, udp } flow add @f
  }
}`;

/** Two routers with the same addresses, each with two ports of one card. */
function twins(flags = 'flags offload;'): Machine {
  const machine = new Machine(['p0', 'p1', 'p2', 'p3']);
  for (const [name, a, b] of [
    ['red', 'p0', 'p1'],
    ['blue', 'p2', 'p3'],
  ]) {
    machine.run(`ip netns add ${name}; ip link set ${a} netns ${name}`);
    machine.run(`ip link set dev ${b} netns ${name}; ip -n ${name} link set ${a} up`);
    machine.run(`ip -n ${name} link set ${b} up`);
    machine.run(`ip netns exec ${name} sysctl -w net.ipv4.ip_forward=1`);
    machine.run(`ip -n ${name} addr add 192.168.1.1/24 dev ${a}`);
    machine.run(`ip -n ${name} addr add 10.0.0.1/24 dev ${b}`);
    const tail = 'lladdr 02:00:00:00:00:aa nud permanent dev';
    machine.run(`ip -n ${name} neigh add 192.168.1.2 ${tail} ${a}`);
    machine.run(`ip -n ${name} neigh add 10.0.0.2 ${tail} ${b}`);
    machine.run(`ip netns exec ${name} nft -f -`, FLOWTABLE(`${a}, ${b}`, flags));
  }
  machine.pass(100);
  machine.take();
  return machine;
}

const client = { protocol: 'udp', src: '192.168.1.2', dst: '10.0.0.2' } as const;
const server = { protocol: 'udp', src: '10.0.0.2', dst: '192.168.1.2' } as const;
const back = { ...server, sport: 80, dport: 4000 };

describe('network namespaces', () => {
  it('the same connection in two namespaces: four entries in one table, each forwards to its own port', () => {
    const machine = twins();
    const { testbed } = machine;
    for (const port of [0, 2]) {
      machine.send(port, client);
      machine.send(port, client);
      machine.send(port + 1, back);
    }
    machine.pass(50);
    expect(testbed.nic.pipeline.flows.count).toBe(4);
    const before = testbed.ledger.fatePackets[0];
    for (const port of [0, 1, 2, 3]) {
      const out = machine.send(port, port % 2 === 0 ? client : back);
      expect(out).toHaveLength(1);
      expect(out[0].slice(0, 2)).toBe(`p${port ^ 1}`);
      expect(readPacket(bytesOf(out[0].slice(3 + 28))).faults).toEqual([]);
    }
    expect(testbed.ledger.fatePackets[0] - before).toBe(4);
    for (const name of ['red', 'blue']) {
      expect(machine.run(`ip netns exec ${name} conntrack -L`)).toMatch(
        /^udp.*\[HW_OFFLOAD\].*\n$/,
      );
      expect(machine.run(`ip netns exec ${name} flowtable list`)).toMatch(/in-hardware=both/);
    }
    expect(machine.run('conntrack -L')).toBe('');
    expect(machine.run('flowtable list')).toBe('');
    testbed.checkInvariants();
  });

  it('a rule, a sysctl and a connection of one namespace are not the other one’s', () => {
    const machine = twins('');
    machine.run('ip netns exec red nft add rule inet t passing ip saddr 192.168.1.2 drop');
    machine.run('ip netns exec blue sysctl -w net.netfilter.nf_conntrack_udp_timeout=5');
    expect(machine.send(0, client)).toEqual([]);
    expect(machine.send(2, client)).toHaveLength(1);
    expect(machine.run('ip netns exec red conntrack -L')).toBe('');
    expect(machine.run('ip netns exec blue conntrack -L')).toMatch(/^udp {6}17 4 src/);
    expect(machine.run('ip netns exec red sysctl -n net.netfilter.nf_conntrack_udp_timeout')).toBe(
      '30\n',
    );
    machine.testbed.checkInvariants();
  });

  it('deleting a namespace takes its hardware entries and gives its ports back, down', () => {
    const machine = twins();
    const { testbed } = machine;
    for (const port of [0, 0, 2, 2]) machine.send(port, client);
    machine.pass(50);
    expect(testbed.nic.pipeline.flows.count).toBe(4);
    machine.run('ip netns del red');
    testbed.checkInvariants();
    machine.pass(50);
    expect(testbed.nic.pipeline.flows.count).toBe(2);
    expect(machine.run('ip -br link')).toMatch(/^lo .*\np0 +DOWN .*\np1 +DOWN .*\n$/);
    expect(machine.run('ip addr show p0')).not.toMatch(/192\.168/);
    const inHardware = testbed.ledger.fatePackets[0];
    expect(machine.send(2, client)).toHaveLength(1);
    expect(testbed.ledger.fatePackets[0]).toBe(inHardware + 1);
    // The port works on in the initial namespace.
    machine.run('ip link set p0 up; ip addr add 192.168.1.1/24 dev p0');
    machine.pass(100);
    const request = { protocol: 'icmp', src: '192.168.1.2', dst: '192.168.1.1' } as const;
    machine.run('ip neigh add 192.168.1.2 lladdr 02:00:00:00:00:aa dev p0');
    expect(machine.send(0, request)).toHaveLength(1);
    machine.run('ip netns del blue');
    machine.pass(3000);
    expect(testbed.nic.pipeline.flows.count).toBe(0);
    testbed.checkInvariants();
    expect(testbed.ledger.pending).toBe(0);
  });

  it('a port that leaves its flowtable’s namespace takes its entries along out of the table', () => {
    const machine = twins();
    machine.send(0, client);
    machine.send(0, client);
    machine.pass(50);
    expect(machine.testbed.nic.pipeline.flows.count).toBe(2);
    machine.run('ip -n red link set p0 netns blue');
    machine.pass(2100);
    expect(machine.testbed.nic.pipeline.flows.count).toBe(0);
    expect(machine.run('ip netns exec red nft list flowtables')).toMatch(/devices = \{ p1 \}/);
    expect(machine.run('ip -n blue -br link show p0')).toMatch(/DOWN/);
    machine.testbed.checkInvariants();
  });

  it('packets cross a veth pair, and the flowtables of both namespaces carry their part', () => {
    const machine = new Machine(['p0', 'p1']);
    machine.run('ip netns add inner; ip link set p1 netns inner; ip -n inner link set p1 up');
    machine.run('ip link add v0 type veth peer name v1 netns inner');
    machine.run('ip link set v0 up; ip -n inner link set v1 up');
    machine.run('ip addr add 192.168.1.1/24 dev p0; ip addr add 172.16.0.1/30 dev v0');
    machine.run('ip -n inner addr add 172.16.0.2/30 dev v1');
    machine.run('ip -n inner addr add 10.0.0.1/24 dev p1');
    machine.run('ip route add 10.0.0.0/24 via 172.16.0.2');
    machine.run('ip -n inner route add 192.168.1.0/24 via 172.16.0.1');
    machine.run('ip neigh add 192.168.1.2 lladdr 02:00:00:00:00:aa dev p0');
    machine.run('ip -n inner neigh add 10.0.0.2 lladdr 02:00:00:00:00:aa dev p1');
    machine.run('sysctl -w net.ipv4.ip_forward=1');
    machine.run('ip netns exec inner sysctl -w net.ipv4.ip_forward=1');
    machine.run('nft -f -', FLOWTABLE('p0, v0', ''));
    machine.run('ip netns exec inner nft -f -', FLOWTABLE('v1, p1', ''));
    machine.pass(3000);
    machine.take();
    const classic = machine.send(0, { ...client, ttl: 40 });
    machine.send(0, client);
    machine.send(1, back);
    const fast = machine.send(0, { ...client, ttl: 40 });
    expect(fast).toEqual(classic);
    expect(fast).toHaveLength(1);
    expect(readPacket(bytesOf(fast[0].slice(3 + 28))).ttl).toBe(38);
    expect(machine.run('flowtable list')).toMatch(/software=1\/1/);
    expect(machine.run('ip netns exec inner flowtable list')).toMatch(/software=1\/1/);
    // Too long for the pair: dropped there and counted, as a veth does.
    machine.run('ip -n inner link set v1 mtu 1000');
    machine.send(0, { ...client, payload: new Uint8Array(1200) });
    expect(machine.run('ip -s link show v0')).toMatch(/TX:[^\n]*\n *\d+ +\d+ +0 +1 /);
    machine.testbed.checkInvariants();
    expect(machine.testbed.ledger.pending).toBe(0);
  });

  it('VLAN devices of one trunk in several namespaces', () => {
    const machine = new Machine(['p0', 'p1']);
    for (const [name, id] of [
      ['red', 10],
      ['blue', 20],
    ] as const) {
      machine.run(`ip netns add ${name}; ip link add link p0 name p0.${id} type vlan id ${id}`);
      machine.run(`ip link set p0.${id} netns ${name}; ip -n ${name} link set p0.${id} up`);
      machine.run(`ip -n ${name} addr add 192.168.1.1/24 dev p0.${id}`);
      machine.run(`ip -n ${name} neigh add 192.168.1.2 lladdr 02:00:00:00:00:aa dev p0.${id}`);
    }
    machine.pass(3000);
    machine.take();
    const echo = ipPacket({ protocol: 'icmp', src: '192.168.1.2', dst: '192.168.1.1' });
    const frame = frameOf(echo, portMac(0), '0200000000aa');
    for (const id of ['000a', '0014']) {
      const [answer] = machine.frame(0, `${frame.slice(0, 24)}8100${id}${frame.slice(24)}`);
      expect(answer.slice(3 + 24, 3 + 32)).toBe(`8100${id}`);
    }
    expect(machine.run('ip -n red link show p0.10')).toMatch(/p0\.10@if2: .* link-netnsid 0\n/s);
    // Without the trunk there are no VLANs.
    machine.run('ip netns del red');
    machine.frame(0, `${frame.slice(0, 24)}8100000a${frame.slice(24)}`);
    expect(machine.testbed.ledger.stackDrops.reduce((a, b) => a + b)).toBe(1);
    machine.testbed.checkInvariants();
  });

  it('tc filters of two namespaces never have one cookie, also when another namespace has gone', () => {
    const machine = new Machine(['p0', 'p1']);
    machine.run('ip netns add red; ip netns add blue; ip netns del red; ip netns add green');
    const namespaces = Namespaces.of(machine.testbed.stack);
    const cookies = [['blue', 'p0'] as const, ['green', 'p1'] as const].map(([name, dev]) => {
      machine.run(`ip link set ${dev} netns ${name}`);
      machine.run(`ip netns exec ${name} tc qdisc add dev ${dev} clsact`);
      machine.run(
        `ip netns exec ${name} tc filter add dev ${dev} ingress flower skip_hw action drop`,
      );
      const blocks = [...(namespaces.find(name)?.tc.qdiscs.values() ?? [])];
      return blocks.flatMap(({ ingress }) => [...ingress.all()].map(({ filter }) => filter.cookie));
    });
    expect(cookies.map(({ length }) => length)).toEqual([1, 1]);
    expect(cookies[0][0]).not.toBe(cookies[1][0]);
  });

  it('a machine that nobody gave a second namespace keeps no book of them', () => {
    const machine = new Machine(['p0', 'p1']);
    machine.run('ip addr add 192.168.1.1/24 dev p0');
    machine.send(0, { protocol: 'icmp', src: '192.168.1.2', dst: '192.168.1.1' });
    expect(machine.testbed.stack.namespaces).toBeNull();
    expect(Namespaces.of(machine.testbed.stack).all()).toHaveLength(1);
  });
});
