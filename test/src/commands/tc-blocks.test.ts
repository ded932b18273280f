// Shared blocks and their drivers, egress filters in software, shared actions, devices that go: tc(8) on the whole machine.

import { describe, expect, it } from 'vitest';
import { EOPNOTSUPP } from '../../../driver/errno.ts';
import { FLOW_CLS_REPLACE } from '../../../driver/flow-block.ts';
import { offsimFeatures, offsimOps } from '../../../driver/sim/offsim.ts';
import type { OffsimLog } from '../../../driver/sim/offsim.ts';
import { twinProbe } from '../../../driver/twin/probe.ts';
import { PS_PER_MS } from '../../../hw/time/units.ts';
import { tokenize } from '../../../src/scenario/commands/command.ts';
import { Testbed } from '../../../src/scenario/testbed.ts';
import { StackDrop } from '../../../src/stack/outcome.ts';
import { ipFrame } from '../../support/twin-rig.ts';

type Shell = (line: string) => string;

/** What a command printed; its exit status in front where it is not 0. */
function shell(testbed: Testbed): Shell {
  return (line) => {
    const { status, stdout, stderr } = testbed.runWords(tokenize(line)[0]);
    return `${status === 0 ? '' : `${status} `}${stderr}${stdout}`;
  };
}

/** A machine with two offsim devices; `refuses` names one that refuses every filter. */
function offsims(refuses = ''): { testbed: Testbed; sh: Shell; calls: () => string[] } {
  const log: OffsimLog = [];
  const testbed = new Testbed({
    ports: [{ name: 'os0' }, { name: 'os1' }],
    driver(kernel, pdev, name) {
      const ops = offsimOps(kernel, log, (request, dev) =>
        dev.name === refuses && request.command === FLOW_CLS_REPLACE ? -EOPNOTSUPP : 0,
      );
      return twinProbe(kernel, pdev, { name, ops, initFeatures: offsimFeatures }).dev;
    },
  });
  const calls = (): string[] => {
    const lines = log.splice(0).map(({ line }) => line);
    return lines
      .filter((line) => / (REPLACE|DESTROY) /.test(line))
      .map((line) => line.replace(/^(\S+) flower (\S+) .* prio=(\d+).*$/, '$1 $2 $3'));
  };
  return { testbed, sh: shell(testbed), calls };
}

const FILTER = 'tc filter add block 5 protocol ip';

describe('shared blocks and drivers', () => {
  it('gives filters to a driver that joins, takes them from one that leaves', () => {
    const { sh, calls } = offsims();
    sh('tc qdisc add dev os0 ingress_block 5 clsact');
    sh(`${FILTER} pref 1 flower skip_sw dst_ip 10.0.0.1 action drop`);
    sh(`${FILTER} pref 2 flower skip_hw dst_ip 10.0.0.2 action drop`);
    sh(`${FILTER} pref 3 flower dst_ip 10.0.0.3 action drop`);
    expect(calls()).toEqual(['os0 REPLACE 1', 'os0 REPLACE 3']);
    expect(sh('tc qdisc add dev os1 ingress_block 5 clsact')).toBe('');
    expect(calls()).toEqual(['os1 REPLACE 1', 'os1 REPLACE 3']);
    expect(sh('tc filter show block 5')).toMatch(/in_hw in_hw_count 2[^]*not_in_hw[^]*count 2/);
    sh('tc qdisc del dev os0 clsact');
    expect(calls()).toEqual(['os0 DESTROY 1', 'os0 DESTROY 3']);
    expect(sh('tc filter show block 5')).toMatch(/in_hw in_hw_count 1[^]*not_in_hw[^]*count 1/);
    sh('tc qdisc del dev os1 clsact');
    expect(calls()).toEqual(['os1 DESTROY 1', 'os1 DESTROY 3']);
    expect(sh('tc filter show block 5')).toBe('1 Cannot find block "5"\n');
  });

  it('refuses a device whose driver cannot have what only hardware has', () => {
    const { sh, calls } = offsims('os1');
    sh('tc qdisc add dev os0 ingress_block 5 clsact');
    sh(`${FILTER} pref 1 flower skip_sw dst_ip 10.0.0.1 action drop`);
    calls();
    expect(sh('tc qdisc add dev os1 ingress_block 5 clsact')).toBe(
      '2 RTNETLINK answers: Operation not supported\n',
    );
    expect(sh('tc qdisc show dev os1')).toBe('');
    sh('tc filter del block 5 pref 1');
    sh(`${FILTER} pref 1 flower dst_ip 10.0.0.1 action drop`);
    expect(sh('tc qdisc add dev os1 ingress_block 5 clsact')).toBe('');
    expect(sh('tc filter show block 5')).toContain('in_hw in_hw_count 1\n');
  });

  it('does not bind a device without offload to filters in hardware', () => {
    const { sh } = offsims();
    sh('tc qdisc add dev os0 ingress_block 5 clsact');
    sh(`${FILTER} pref 1 flower dst_ip 10.0.0.1 action drop`);
    sh('ethtool -K os1 hw-tc-offload off');
    expect(sh('tc qdisc add dev os1 ingress_block 5 clsact')).toBe(
      '2 Error: Bind to offloaded block failed as dev has offload disabled.\n',
    );
    expect(sh('tc qdisc add dev lo ingress_block 5 clsact')).toBe(
      '2 RTNETLINK answers: Operation not supported\n',
    );
  });
});

describe('a device that goes', () => {
  it('takes its qdisc along, and filters that it alone had', () => {
    const testbed = new Testbed({ ports: [] });
    const sh = shell(testbed);
    sh("echo '1 2' > /sys/bus/netdevsim/new_device");
    sh('tc qdisc add dev eth0 ingress_block 5 clsact');
    sh('tc qdisc add dev eth1 clsact');
    sh('tc actions add action gact drop index 3');
    sh(`${FILTER} flower dst_ip 10.0.0.1 action gact index 3`);
    sh('tc filter add dev eth1 ingress protocol ip flower dst_ip 10.0.0.1 action gact index 3');
    expect(sh('tc actions ls action gact')).toContain('index 3 ref 3 bind 2');
    sh('tc qdisc add dev lo ingress_block 5 clsact');
    sh('echo 1 > /sys/bus/netdevsim/del_device');
    expect(sh('tc qdisc show')).toBe(
      'qdisc clsact ffff: dev lo parent ffff:fff1 ingress_block 5 \n',
    );
    expect(sh('tc actions ls action gact')).toContain('index 3 ref 2 bind 1');
    expect(sh('tc filter show block 5')).toContain('dst_ip 10.0.0.1');
  });
});

/** A router from p0 to p1; the ports that a UDP packet to `dport` left by, and the first frame. */
function router(): { testbed: Testbed; sh: Shell; send: (dport: number) => string[] } {
  const testbed = new Testbed();
  const sh = shell(testbed);
  const out: string[] = [];
  testbed.onFrame = ({ portIndex, bytes, at, lenBytes }) => {
    out.push(`${portIndex} ${Buffer.from(bytes.subarray(at, at + lenBytes)).toString('hex')}`);
  };
  for (const line of [
    'sysctl -w net.ipv4.ip_forward=1',
    'ip addr add 10.0.2.254/24 dev p1',
    'ip route add 10.0.1.0/24 dev p0',
    'ip neigh add 10.0.2.1 lladdr 02:00:00:00:00:99 dev p1 nud permanent',
    'tc qdisc add dev p1 clsact',
  ])
    sh(line);
  const send = (dport: number): string[] => {
    out.length = 0;
    const dst = testbed.devices[0].mac;
    testbed.inject(0, testbed.nowPs, ipFrame({ dst, sport: 1000, dport, lenBytes: 100 }));
    testbed.advance(5 * PS_PER_MS);
    testbed.checkInvariants();
    return [...out];
  };
  return { testbed, sh, send };
}

const EGRESS = 'tc filter add dev p1 egress protocol ip';

describe('egress filters in software', () => {
  it('drop, rewrite, mirror and redirect what leaves, and count it', () => {
    const { testbed, sh, send } = router();
    expect(send(1)).toHaveLength(1);
    expect(sh(`${EGRESS} pref 1 flower ip_proto udp dst_port 7 action drop`)).toBe('');
    sh(`${EGRESS} pref 2 flower ip_proto udp dst_port 8 action mirred egress mirror dev p0`);
    sh(`${EGRESS} pref 3 flower ip_proto udp dst_port 9 action mirred egress redirect dev p0`);
    sh(
      `${EGRESS} pref 4 flower ip_proto udp dst_port 10 ` +
        'action pedit ex munge eth dst set 02:11:22:33:44:55',
    );
    expect(send(7)).toEqual([]);
    expect(testbed.ledger.stackDrops[StackDrop.TC_EGRESS]).toBe(1);
    const mirrored = send(8);
    expect(mirrored.map((line) => line.slice(0, 1)).sort()).toEqual(['0', '1']);
    expect(mirrored[0].slice(2)).toBe(mirrored[1].slice(2));
    expect(send(9).map((line) => line.slice(0, 1))).toEqual(['0']);
    expect(send(10)[0].slice(2, 14)).toBe('021122334455');
    expect(send(11)).toHaveLength(1);
    expect(sh('tc -s filter show dev p1 egress')).toMatch(/Sent 86 bytes 1 pkt \(dropped 1,/);
    sh('tc qdisc del dev p1 clsact');
    expect(send(7)).toHaveLength(1);
  });

  it('see the tag of a VLAN device beside the packet, and leave it as it was', () => {
    const { sh, send } = router();
    sh('ip link add link p1 name v7 type vlan id 7');
    sh('ip link set v7 up');
    sh('ip addr add 10.0.3.254/24 dev v7');
    sh('ip neigh add 10.0.3.1 lladdr 02:00:00:00:00:98 dev v7 nud permanent');
    sh('ip route add 10.0.2.1/32 via 10.0.3.1');
    const [tagged] = send(5);
    expect(tagged.slice(26, 34)).toBe('81000007');
    sh('tc filter add dev p1 egress protocol 802.1q flower vlan_id 8 action drop');
    expect(send(5)[0].slice(26, 34)).toBe('81000007');
    sh('tc filter add dev p1 egress protocol 802.1q flower vlan_id 7 action drop');
    expect(send(5)).toEqual([]);
  });

  it('a loop of redirections ends', () => {
    const { sh, send } = router();
    sh(`${EGRESS} flower ip_proto udp action mirred egress redirect dev p1`);
    expect(send(7)).toEqual([]);
  });

  it('filters that share an action share its counters', () => {
    const { sh, send } = router();
    sh('tc actions add action gact drop index 4');
    sh(`${EGRESS} pref 1 flower ip_proto udp dst_port 7 action gact index 4`);
    sh(`${EGRESS} pref 2 flower ip_proto udp dst_port 8 action gact index 4`);
    expect([...send(7), ...send(8)]).toEqual([]);
    expect(sh('tc -s actions get action gact index 4')).toContain('2 pkt (dropped 2,');
    sh('tc actions replace action gact pass index 4');
    expect(send(7)).toHaveLength(1);
    expect(sh('tc -s actions get action gact index 4')).toContain('3 pkt (dropped 2,');
  });
});
