// Each dialect's own ways: real lines as manuals and users write them, what they imply, which way masks and priorities
// point, what `auto` takes a file for, and where malformed lines are said to be wrong.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readRules, tellRule } from '../../../src/rules/dialects.ts';
import { ruleToJson } from '../../../src/rules/json.ts';
import type { Dialect, Rule } from '../../../src/rules/rule.ts';
import { compareRules } from '../../../src/rules/rule.ts';

const FOLDER = join(import.meta.dirname, '../../../fixtures/rules/dialects');

function rules(text: string, from: Dialect | 'auto' = 'auto'): Rule[] {
  const read = readRules(text, 'f', from);
  expect(read.error?.message ?? '').toBe('');
  return read.rules;
}

/** Matches as `field=value/mask` or `field=low-high`, in the notation of the JSON form. */
function matches(text: string): string[] {
  const [rule] = rules(text);
  return Object.entries(ruleToJson(rule).matches).map(([field, match]) =>
    'low' in match
      ? `${field}=${match.low}-${match.high}`
      : `${field}=${match.value}/${match.mask}`,
  );
}

function kinds(text: string): unknown[] {
  return ruleToJson(rules(text)[0]).actions.map((one) =>
    Object.values(one)
      .map((value) => (typeof value === 'string' ? value : JSON.stringify(value)))
      .join(' '),
  );
}

const matchText = (rule: Rule): string => JSON.stringify(ruleToJson(rule).matches);

describe('real lines', () => {
  it('tc: abbreviated words, as the kernel tests write them', () => {
    const line =
      'filter add dev h2 ingress prot ipv6 pref 1000 flower skip_sw dst_ip 2001:db8:1::1 action drop';
    expect(matches(line)).toEqual([
      'eth_type=34525/65535',
      'ipv6_dst=2001:db8:1::1/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
    ]);
    expect(kinds(line)).toEqual(['drop']);
    expect(rules(line)[0]).toMatchObject({ priority: 1000, device: 'h2', residence: 'hardware' });
  });

  it('tc: the example of tc-ct(8)', () => {
    const line =
      'tc filter add dev eth0 ingress prio 1 chain 2 proto ip flower ct_state +trk+new action ct zone 2 commit mark 0xbb nat src addr 5.5.5.7 pipe action mirred egress redirect dev eth1';
    expect(matches(line)).toEqual(['eth_type=2048/65535', 'ct_state=33/33']);
    const [rule] = rules(line);
    expect(rule.group).toBe(2);
    expect(rule.actions[0]).toMatchObject({
      kind: 'ct',
      commit: true,
      zone: 2,
      mark: { value: 0xbb, mask: 0xffffffff },
      nat: { direction: 'src', addressLow: '5.5.5.7', addressHigh: '5.5.5.7' },
    });
    expect(rule.actions[1]).toMatchObject({ kind: 'output', port: 'eth1' });
  });

  it('tc: pedit without a control word stops with ok (tc-pedit(8))', () => {
    const head =
      'tc filter add dev p0 ingress protocol ip flower action pedit ex munge ip ttl set 9';
    expect(kinds(head)).toEqual(['set_field ip_ttl 9 255', 'pass']);
    expect(kinds(`${head} pipe action drop`)).toEqual(['set_field ip_ttl 9 255', 'drop']);
  });

  it('ethtool: masks are don’t-care masks', () => {
    expect(
      matches('ethtool -N p0 flow-type tcp4 src-ip 10.1.2.3 m 0.0.255.255 dst-port 80 action 1'),
    ).toEqual([
      'eth_type=2048/65535',
      'ip_proto=6/255',
      'ipv4_src=10.1.0.0/255.255.0.0',
      'dport=80/65535',
    ]);
  });

  it('ethtool: vlan is a tag control word; -1 drops', () => {
    const line =
      'ethtool -U eth5 flow-type ether dst 00:11:22:33:44:55 vlan 45 m 0xf000 loc 5 action -1';
    expect(matches(line)).toEqual([
      'eth_dst=00:11:22:33:44:55/ff:ff:ff:ff:ff:ff',
      'vlan_tpid=33024/65535',
      'vlan_id=45/4095',
    ]);
    expect(kinds(line)).toEqual(['drop']);
  });

  it('ethtool: a ring cookie names a virtual function (i40e: 0x800000002 is queue 2 of function 7)', () => {
    const line = 'ethtool -N p0 flow-type udp4 action 0x800000002';
    expect(kinds(line)).toEqual(['vf 7 2']);
  });

  it('testpmd: is, spec with mask, prefix, last', () => {
    const line =
      'flow create 0 ingress group 1 priority 2 pattern eth / ipv4 src spec 10.9.9.9 src mask 255.0.0.0 dst is 1.2.3.4 / tcp dst spec 80 dst last 90 flags spec 0x02 flags mask 0x17 / end actions queue index 1 / count / end';
    expect(matches(line)).toEqual([
      'eth_type=2048/65535',
      'ip_proto=6/255',
      'ipv4_src=10.0.0.0/255.0.0.0',
      'ipv4_dst=1.2.3.4/255.255.255.255',
      'dport=80-90',
      'tcp_flags=2/23',
    ]);
    expect(kinds(line)).toEqual(['queue 1', 'count']);
    expect(rules(line)[0]).toMatchObject({ group: 1, priority: 2, device: '0' });
  });

  it('testpmd: a range that is a prefix is one mask; the headers of a tunnel are its own', () => {
    const ports =
      'flow create 0 ingress pattern eth / ipv6 / udp src spec 0 src last 1023 / end actions drop / end';
    expect(matches(ports)).toContain('sport=0/64512');
    const line =
      'flow create 0 ingress pattern eth / ipv4 dst is 9.9.9.9 / udp / vxlan vni is 42 / eth / ipv4 src is 1.1.1.1 / end actions vxlan_decap / queue index 3 / end';
    expect(matches(line)).toEqual([
      'eth_type=2048/65535',
      'ipv4_src=1.1.1.1/255.255.255.255',
      'tun_id=0x2a/0xffffffffffffffff',
      'tun_ipv4_dst=9.9.9.9/255.255.255.255',
      'tun_dport=4789/65535',
    ]);
  });

  it('OVS: keys and masks of odp-util’s own samples', () => {
    expect(
      matches(
        'in_port(1),eth(src=00:01:02:03:04:05,dst=10:11:12:13:14:15),eth_type(0x0800),ipv4(src=35.8.2.41/255.255.255.0,dst=172.16.0.20/255.255.255.0,proto=5/0xf0,tos=0x80/0xf0,ttl=128/0xf0,frag=no), packets:0, bytes:0, used:never, actions:drop',
      ),
    ).toEqual([
      'eth_dst=10:11:12:13:14:15/ff:ff:ff:ff:ff:ff',
      'eth_src=00:01:02:03:04:05/ff:ff:ff:ff:ff:ff',
      'eth_type=2048/65535',
      'ip_proto=0/240',
      'ip_tos=128/240',
      'ip_ttl=128/240',
      'ip_frag=0/1',
      'ipv4_src=35.8.2.0/255.255.255.0',
      'ipv4_dst=172.16.0.0/255.255.255.0',
    ]);
  });

  it('OVS: labels, states and neighbour discovery', () => {
    const line =
      'in_port(1),ct_state(+trk),ct_zone(0x5/0xff),ct_mark(0x10305070/0xf0f0f0f0),ct_label(0x1234567890abcdef1234567890abcdef/0x102030405060708090a0b0c0d0e0f0),eth_type(0x86dd),ipv6(src=::1,dst=::2,label=0,proto=58,tclass=0,hlimit=128,frag=no),icmpv6(type=135,code=0),nd(target=::3/::250,sll=00:05:06:07:08:09/ff:ff:ff:ff:ff:00), packets:0, bytes:0, used:never, actions:ct(commit,zone=5),recirc(0x2)';
    expect(matches(line)).toEqual([
      'eth_type=34525/65535',
      'ip_proto=58/255',
      'ip_tos=0/255',
      'ip_ttl=128/255',
      'ip_frag=0/1',
      'ipv6_src=::1/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
      'ipv6_dst=::2/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
      'ipv6_label=0/1048575',
      'icmp_type=135/255',
      'icmp_code=0/255',
      'nd_target=::/::250',
      'nd_sll=00:05:06:07:08:00/ff:ff:ff:ff:ff:00',
      'ct_state=32/32',
      'ct_zone=5/255',
      'ct_mark=271601776/4042322160',
      // The value within the mask: BigInt('0x1234…') & BigInt('0x1020…').
      `ct_label=0x${(0x1234567890abcdef1234567890abcdefn & 0x102030405060708090a0b0c0d0e0f0n).toString(16)}/0x102030405060708090a0b0c0d0e0f0`,
    ]);
    expect(rules(line)[0].actions.at(-1)).toMatchObject({ kind: 'goto', group: 2 });
  });

  it('OVS: add-flow commands, quoted or not, and outputs as copies', () => {
    const actions = "'2,set(eth(src=00:01:02:03:04:05)),3'";
    for (const line of [
      `ovs-appctl dpctl/add-flow 'in_port(1),eth(),eth_type(0x0800),ipv4()' ${actions}`,
      'ovs-dpctl add-flow system@dp0 in_port(1),eth_type(0x0800) 2,set(eth(src=00:01:02:03:04:05)),3',
      'add in_port(1),eth_type(0x0800),ipv4() 2,set(eth(src=00:01:02:03:04:05)),3',
    ]) {
      expect(rules(line)[0].device).toBe('1');
      expect(matches(line)).toEqual(['eth_type=2048/65535']);
      const [rule] = rules(line);
      expect(rule.actions.map((one) => one.kind)).toEqual(['mirror', 'set_field', 'output']);
    }
  });

  it('ClassBench: five fields, of IPv4', () => {
    expect(
      matches('@16.32.1.1/32\t2.1.0.0/16\t0 : 65535\t0 : 1023\t0x06/0xFF\t0x0000/0x0200\t'),
    ).toEqual([
      'eth_type=2048/65535',
      'ip_proto=6/255',
      'ipv4_src=16.32.1.1/255.255.255.255',
      'ipv4_dst=2.1.0.0/255.255.0.0',
      'dport=0/64512',
    ]);
  });
});

describe('priorities', () => {
  /** Line numbers in order of precedence. */
  const precedence = (text: string): number[] =>
    rules(text)
      .sort(compareRules)
      .map((rule) => rule.source.line);
  const tc = (pref: string): string =>
    `tc filter add dev p0 ingress protocol ip ${pref} flower action drop`;

  it('tc: the lower pref wins, and without pref the later filter does', () => {
    expect(precedence([tc('pref 9'), tc('pref 3'), tc('pref 5')].join('\n'))).toEqual([2, 3, 1]);
    const auto = rules([tc(''), tc(''), tc('pref 7'), tc('')].join('\n'));
    expect(auto.map((rule) => rule.priority)).toEqual([49152, 49151, 7, 6]);
  });

  it('ethtool: the lower location wins, the highest free one is taken', () => {
    const line = (loc: string): string => `ethtool -N p0 flow-type tcp4 action 1 ${loc}`;
    expect(precedence([line('loc 9'), line(''), line('loc 2'), line('')].join('\n'))).toEqual([
      3, 1, 4, 2,
    ]);
  });

  it('testpmd: the lower priority wins; ClassBench: the earlier line', () => {
    const flow = (n: number): string =>
      `flow create 0 ingress priority ${n} pattern end actions drop / end`;
    expect(precedence([flow(2), flow(0), flow(1)].join('\n'))).toEqual([2, 3, 1]);
    const line = '@0.0.0.0/0 0.0.0.0/0 0 : 65535 0 : 65535 0x00/0x00';
    expect(precedence([line, line, line].join('\n'))).toEqual([1, 2, 3]);
  });
});

describe('files', () => {
  for (const [file, dialect, count] of [
    ['router.tc', 'tc', 5],
    ['steering.ethtool', 'ethtool', 6],
    ['pmd.testpmd', 'testpmd', 5],
    ['megaflows.ovs', 'ovs', 3],
    ['small.classbench', 'classbench', 3],
  ] as const)
    it(`${file} is ${dialect} and prints as itself`, () => {
      const read = readRules(readFileSync(join(FOLDER, file), 'utf8'), file, 'auto');
      expect(read.error).toBeNull();
      expect([read.dialect, read.rules.length]).toEqual([dialect, count]);
      const text = read.rules.map((rule) => tellRule(rule, dialect).text).join('\n');
      const again = readRules(text, file, 'auto');
      expect(again.rules.map(matchText)).toEqual(read.rules.map(matchText));
      expect(again.rules.map((rule) => tellRule(rule, dialect).text).join('\n')).toBe(text);
    });

  it('joins lines at backslashes and counts columns in each', () => {
    const read = readRules(
      '# x\n\nfilter add dev p0 ingress \\\n  flower \\\n  dst_port x',
      'f',
      'auto',
    );
    expect(read.error).toMatchObject({ line: 5, column: 12 });
  });

  it('says what it knows of a file that is none of them', () => {
    expect(readRules('\n# hi\nallow all\n', 'f', 'auto').error?.message).toBe(
      "f:3:1: expected a line of tc, ethtool, testpmd, OVS or ClassBench, found 'allow all'",
    );
    expect(readRules('\n# nothing\n', 'f', 'auto')).toMatchObject({ rules: [], error: null });
  });
});

describe('malformed lines', () => {
  const TABLE: [text: string, column: number, expected: RegExp][] = [
    ['tc filter ad dev p0 flower', 11, /^add, replace, change$/],
    ['tc filter add ingress protocol ip flower', 35, /dev DEVICE/],
    ['tc filter add dev p0 protocol ipx flower', 31, /a protocol/],
    ['tc filter add dev p0 pref 70000 flower', 27, /0 to 65535/],
    ['tc filter add dev p0 protocol ip flower dst_ip 10.0.0.0/33', 48, /prefix/],
    ['tc filter add dev p0 protocol ip flower dst_ip', 47, /prefix/],
    ['tc filter add dev p0 protocol ip flower dst_port 80', 41, /ip_proto tcp, udp or sctp/],
    ['tc filter add dev p0 protocol ip flower ip_proto tcp dst_port 90-80', 63, /LOW below HIGH/],
    ['tc filter add dev p0 protocol ip flower dst_ip ::1', 41, /eth_type ipv6/],
    ['tc filter add dev p0 flower colour red', 29, /a key of flower/],
    ['tc filter add dev p0 flower ct_state +trk+trk', 38, /states/],
    ['tc filter add dev p0 flower dst_mac 1 dst_mac 2', 37, /MAC/],
    ['tc filter add dev p0 flower ct_zone 1 ct_zone 2', 39, /ct_zone once/],
    ['tc filter add dev p0 flower action mirred egress redirect p1', 59, /dev/],
    ['tc filter add dev p0 flower action fly', 36, /mirred/],
    ['tc filter add dev p0 flower action vlan push', 45, /id NUMBER/],
    ['tc filter add dev p0 matchall dst_ip 1.2.3.4', 31, /matchall has no keys/],
    ['ethtool -K p0 ntuple on', 9, /-N, -U/],
    ['ethtool -N p0 flow-type tcp5 action 1', 25, /tcp4/],
    ['ethtool -N p0 flow-type tcp4 src 00:11:22:33:44:55 action 1', 30, /src-ip/],
    ['ethtool -N p0 flow-type tcp4 src-ip 10.0.0.0 m 0.0.0 action 1', 48, /don't-care mask/],
    ['ethtool -N p0 flow-type tcp4 dst-port 99999 action 1', 39, /16 bits/],
    ['ethtool -N p0 flow-type ip4 action', 35, /queue/],
    ['flow create x ingress', 13, /0 to 65535/],
    ['flow create 0 ingress pattern eth / ipv5 / end actions drop / end', 37, /pattern item/],
    [
      'flow create 0 ingress pattern eth / ipv4 src 1.2.3.4 / end',
      46,
      /is, spec, last, mask, prefix/,
    ],
    ['flow create 0 ingress pattern ipv4 src spec 1.1.1.1 src prefix 33 / end', 64, /0 to 32/],
    [
      'flow create 0 ingress pattern eth / ipv4 / ipv4 / end actions drop / end',
      44,
      /eth_type once/,
    ],
    [
      'flow create 0 ingress pattern eth type is 0x86dd / ipv4 / end actions drop / end',
      35,
      /0x800/,
    ],
    ['flow create 0 ingress pattern eth / end actions fly / end', 49, /an action/],
    ['flow create 0 ingress pattern eth / end actions drop', 53, /\//],
    ['in_port(1),eth_type(0x0800),ipv4(src=10.0.0), actions:1', 38, /address/],
    ['in_port(1),eth_type(0x0800),colour(1), actions:1', 29, /in_port, eth/],
    ['in_port(1),eth_type(0x0800),ipv4(frag=some), actions:1', 39, /no, first or later/],
    ['in_port(1),eth_type(0x0800),tcp(dst=80), actions:1', 33, /ip_proto tcp, udp or sctp/],
    ['in_port(1),eth_type(0x0800)', 28, /actions:/],
    ['in_port(1),eth_type(0x0800), actions:ct(commit,force_commit)', 60, /one of commit/],
    ['in_port(1), actions:recirc(1),2', 21, /last action/],
    ['in_port(1), actions:clone(2)', 21, /an action/],
    ['@10.0.0.0/8 10.0.0.0/40 0 : 1 0 : 1 0x06/0xFF', 22, /prefix length/],
    ['@10.0.0.0/8 10.0.0.0/8 5 : 1 0 : 1 0x06/0xFF', 28, /port/],
  ];

  for (const [text, column, expected] of TABLE)
    it(text, () => {
      const read = readRules(`\n${text}\n`, 'f', 'auto');
      expect(read.rules).toEqual([]);
      expect(read.error?.message).toMatch(/^f:2:\d+: expected .+, found .+$/);
      expect([read.error?.line, read.error?.column]).toEqual([2, column]);
      expect(read.error?.expected).toMatch(expected);
    });

  it('keeps the rules before the line', () => {
    const good = 'tc filter add dev p0 protocol ip flower action drop';
    const read = readRules(`${good}\n${good}\ntc filter add\n${good}\n`, 'f', 'auto');
    expect([read.rules.length, read.error?.line]).toEqual([2, 3]);
  });
});
