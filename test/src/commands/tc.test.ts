// tc(8) on the whole machine: what filters do to packets in software, and what is refused.

import { describe, expect, it } from 'vitest';
import { Testbed } from '../../../src/scenario/testbed.ts';
import { PS_PER_MS } from '../../../hw/time/units.ts';
import { ipFrame } from '../../support/twin-rig.ts';

interface Rig {
  testbed: Testbed;
  tc: (line: string) => { status: number; stdout: string; stderr: string };
  /** Injects a UDP packet to port `dport` on port 0; what came out, as port and hex. */
  send: (dport: number) => string[];
}

function rig(): Rig {
  const testbed = new Testbed({ ports: [{ promisc: true }, { promisc: true }] });
  const out: string[] = [];
  testbed.onFrame = ({ portIndex, bytes, at, lenBytes }) => {
    out.push(`${portIndex} ${Buffer.from(bytes.subarray(at, at + lenBytes)).toString('hex')}`);
  };
  const tc: Rig['tc'] = (line) => testbed.runWords(line.split(' '));
  const send = (dport: number): string[] => {
    out.length = 0;
    const frame = ipFrame({ dst: testbed.devices[0].mac, sport: 1000, dport, lenBytes: 100 });
    testbed.inject(0, testbed.nowPs, frame);
    testbed.advance(5 * PS_PER_MS);
    testbed.checkInvariants();
    return [...out];
  };
  expect(tc('tc qdisc add dev p0 clsact')).toMatchObject({ status: 0, stderr: '' });
  return { testbed, tc, send };
}

const ADD = 'tc filter add dev p0 ingress protocol ip';

describe('filters in software', () => {
  it('redirects, rewrites with checksums, pushes a tag, mirrors, counts', () => {
    const { tc, send } = rig();
    const filters = [
      `${ADD} pref 1 flower ip_proto udp dst_port 53 action mirred egress redirect dev p1`,
      `${ADD} pref 2 flower ip_proto udp dst_port 80-90 action pedit ex munge ip dst set 9.9.9.9 ` +
        `munge udp dport set 99 pipe action csum ip and udp pipe action mirred egress redirect dev p1`,
      `${ADD} pref 3 flower ip_proto udp dst_port 7 action vlan push id 20 priority 3 pipe ` +
        `action mirred egress mirror dev p1 pipe action drop`,
    ];
    for (const filter of filters) expect(tc(filter)).toMatchObject({ status: 0, stderr: '' });
    const plain = send(53);
    expect(plain).toHaveLength(1);
    expect(plain[0].startsWith('1 ')).toBe(true);
    const [rewritten] = send(85);
    const bytes = Buffer.from(rewritten.slice(2), 'hex');
    expect([...bytes.subarray(30, 34)]).toEqual([9, 9, 9, 9]);
    expect(bytes.readUInt16BE(36)).toBe(99);
    let sum = 0;
    for (let at = 14; at < 34; at += 2) sum += bytes.readUInt16BE(at);
    expect(((sum & 0xffff) + (sum >>> 16)) % 0xffff).toBe(0);
    const [tagged] = send(7);
    expect(tagged.slice(2 + 24, 2 + 32)).toBe('81006014');
    const shown = tc('tc -s filter show dev p0 ingress').stdout;
    expect(shown).toContain('not_in_hw');
    expect(shown).toMatch(/dst_port 53[\s\S]*Sent 86 bytes 1 pkt \(dropped 0/);
    expect(shown).toMatch(/gact action drop[\s\S]*Sent 86 bytes 1 pkt \(dropped 1/);
  });

  it('goes from chain to chain, by preference, and on after continue', () => {
    const { tc, send } = rig();
    for (const filter of [
      `${ADD} pref 1 flower ip_proto udp action goto chain 5`,
      `${ADD} pref 9 flower ip_proto udp action mirred egress redirect dev p1`,
      'tc filter add dev p0 ingress chain 5 protocol ip pref 1 flower ip_proto udp dst_port 9 action drop',
      'tc filter add dev p0 ingress chain 5 protocol ip pref 2 flower ip_proto udp dst_port 10 action continue',
      'tc filter add dev p0 ingress chain 5 protocol ip pref 3 matchall action mirred egress redirect dev p1',
    ])
      expect(tc(filter)).toMatchObject({ status: 0, stderr: '' });
    expect(send(9)).toEqual([]);
    expect(send(10)).toHaveLength(1);
    expect(tc('tc chain show dev p0 ingress').stdout).toBe(
      'chain parent ffff: chain 0 \nchain parent ffff: chain 5 \n',
    );
    expect(tc('tc filter del dev p0 ingress chain 5 pref 1')).toMatchObject({ status: 0 });
    expect(send(9)).toHaveLength(1);
  });

  it('polices: a burst passes, the rest is dropped', () => {
    const { tc, send } = rig();
    tc(
      `${ADD} pref 1 flower ip_proto udp action police rate 8kbit burst 200 conform-exceed drop/pipe action mirred egress redirect dev p1`,
    );
    expect([send(1), send(1), send(1)].map((out) => out.length)).toEqual([1, 1, 0]);
  });
});

describe('refusals', () => {
  const tail = 'We have an error talking to the kernel\n';

  it('says what the kernel and the tool say', () => {
    const { tc } = rig();
    const says = (line: string): string => {
      const { status, stderr } = tc(line);
      return `${status} ${stderr}`;
    };
    expect(says('tc qdisc add dev p0 clsact')).toBe(
      '2 Error: Exclusivity flag on, cannot modify.\n',
    );
    expect(says('tc qdisc del dev p1 clsact')).toBe(
      '2 Error: Cannot find specified qdisc on specified device.\n',
    );
    expect(says('tc filter add dev p1 ingress protocol ip flower action drop')).toBe(
      `2 Error: Parent Qdisc doesn't exists.\n${tail}`,
    );
    expect(says('tc filter add dev nix ingress protocol ip flower action drop')).toBe(
      '1 Cannot find device "nix"\n',
    );
    expect(says(`${ADD} flower dst_prt 80 action drop`)).toBe('1 What is "dst_prt"?\n');
    expect(says(`${ADD} flower ip_proto udp dst_port x action drop`)).toContain('1 Illegal "x"');
    expect(says(`${ADD} pref 1 flower dst_ip 10.0.0.1 action drop`)).toBe('0 ');
    expect(says(`${ADD} pref 1 flower dst_ip 10.0.0.1 action drop`)).toBe(
      `2 RTNETLINK answers: File exists\n${tail}`,
    );
    expect(says(`${ADD} pref 3 flower action ct zone 4`)).toContain('not modelled in software');
    expect(says('tc filter del dev p0 ingress pref 77')).toBe(
      `2 Error: Filter with specified priority/protocol not found.\n${tail}`,
    );
    expect(says('tc police')).toBe('1 Object "police" is unknown, try "tc help".\n');
    expect(tc('tc actions ls action gact').stdout).toContain('total acts 1\n');
  });

  it('leaves nothing behind when the qdisc goes: packets are the stack’s again', () => {
    const { testbed, tc, send } = rig();
    tc(`${ADD} flower action mirred egress redirect dev p1`);
    expect(send(5)).toHaveLength(1);
    expect(tc('tc qdisc del dev p0 clsact')).toMatchObject({ status: 0 });
    expect(send(5)).toEqual([]);
    expect(testbed.stack.tc.actions.list('mirred')).toEqual([]);
    expect(tc('tc qdisc show').stdout).toBe('');
  });
});
