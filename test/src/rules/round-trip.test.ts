// Property: a rule that a dialect can say is read back as the same rule. Values come from small pools so that neighbouring cases
// (zero, full, one-off masks, ranges that are prefixes) meet often. Seeds are printed by fast-check on failure.
// That the text means what the tools mean by it is the business of linux-flower.test.ts and dialects.test.ts.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readRules, tellRule } from '../../../src/rules/dialects.ts';
import { canonicalMatches, fullMask, prefixMask } from '../../../src/rules/rule.ts';
import type { Action, Dialect, FieldMatch, FieldName, Rule } from '../../../src/rules/rule.ts';

const SEED = 20261121;
const AT = { line: 0, column: 0 };

type Pool = fc.Arbitrary<FieldMatch | null>;

const exact = (field: FieldName, ...values: number[][]): Pool =>
  fc.option(
    fc.constantFrom(...values).map((value) => ({
      field,
      kind: 'mask' as const,
      value,
      mask: fullMask(field),
      at: AT,
    })),
  );
const masked = (field: FieldName, values: number[][], masks: number[][]): Pool =>
  fc.option(
    fc
      .tuple(fc.constantFrom(...values), fc.constantFrom(...masks, fullMask(field)))
      .map(([value, mask]) => ({ field, kind: 'mask' as const, value, mask, at: AT })),
  );
const range = (field: FieldName): Pool =>
  fc.option(
    fc
      .tuple(fc.constantFrom(0, 1, 80, 1000, 1024), fc.constantFrom(0, 1, 15, 1023, 64511))
      .map(([low, more]) => ({
        field,
        kind: 'range' as const,
        low,
        high: Math.min(low + more, 0xffff),
        at: AT,
      })),
  );
const MAC = [0x0200, 0x00000001];
const IP4 = [[0x0a000001], [0xc0a80100], [0]];
const IP6 = [
  [0x20010db8, 0, 0, 1],
  [0, 0, 0, 1],
  [0xfe800000, 0, 0xffff, 0],
];
const prefixes = (field: FieldName): number[][] =>
  [1, 8, 24, 31].map((length) => prefixMask(field, length));

interface World {
  fields: Pool[];
  actions: fc.Arbitrary<Action[]>;
}

/** Everything that goes under an EtherType and protocol: the family, its fields, the transport's. */
function headers(options: {
  masks: boolean;
  ranges: boolean;
  ttl: boolean;
  protos: number[];
}): fc.Arbitrary<(FieldMatch | null)[]> {
  const { masks, ranges, ttl, protos } = options;
  const odd = masks ? [[0xff00ff00]] : [];
  const l4 = ranges ? range : (field: FieldName) => exact(field, [0], [80], [65535]);
  return fc
    .record({ six: fc.boolean(), proto: fc.constantFrom(...protos, -1) })
    .chain(({ six, proto }) => {
      const ip = (field: FieldName, wide: FieldName): Pool =>
        six ? masked(wide, IP6, prefixes(wide)) : masked(field, IP4, [...prefixes(field), ...odd]);
      const one = (field: FieldName, value: number): Pool =>
        fc.constant({ field, kind: 'mask', value: [value], mask: fullMask(field), at: AT });
      const parts: Pool[] = [
        one('eth_type', six ? 0x86dd : 0x0800),
        ip('ipv4_src', 'ipv6_src'),
        ip('ipv4_dst', 'ipv6_dst'),
        masked('ip_tos', [[0], [0x10], [0xb8]], [[0xfc], [3]]),
      ];
      if (ttl) parts.push(masked('ip_ttl', [[1], [64]], [[0xf0]]));
      if (proto >= 0) parts.push(one('ip_proto', proto));
      if ([6, 17, 132].includes(proto)) parts.push(l4('sport'), l4('dport'));
      if (ttl && proto === 6) parts.push(masked('tcp_flags', [[2], [0x12]], [[0x17]]));
      if (ttl && proto === (six ? 58 : 1))
        parts.push(exact('icmp_type', [8], [128]), exact('icmp_code', [0], [3]));
      return fc.tuple(...parts);
    });
}

const action = (one: object): Action => ({ ...one, at: AT }) as Action;
const some = (...list: object[]): fc.Arbitrary<Action[]> =>
  fc.subarray(list.map(action), { minLength: 0 });
const final = (...list: object[]): fc.Arbitrary<Action> => fc.constantFrom(...list.map(action));
const set = (field: FieldName, value: number[], mask = fullMask(field)): object => ({
  kind: 'set_field',
  field,
  value,
  mask,
});
const tunnel = {
  id: 100,
  src: '10.0.0.1',
  dst: '10.0.0.9',
  dstPort: 4789,
  tos: 4,
  ttl: null,
  checksum: true,
  dontFragment: false,
};
const nat = {
  direction: 'src',
  addressLow: '10.0.0.5',
  addressHigh: '10.0.0.9',
  portLow: 1000,
  portHigh: 2000,
};
const ct = {
  kind: 'ct',
  commit: true,
  force: false,
  clear: false,
  zone: 5,
  mark: { value: 3, mask: 0xf },
  label: { value: [0, 0, 0, 0x201], mask: [0, 0, 0, 0xffff] },
  nat,
};

const lists = (steps: fc.Arbitrary<Action[]>, last: fc.Arbitrary<Action>): fc.Arbitrary<Action[]> =>
  fc.tuple(steps, last).map(([many, one]) => [...many, one]);

const FINALS = [{ kind: 'drop' }, { kind: 'output', port: 'os2' }, { kind: 'goto', group: 2 }];

const WORLDS: Record<Dialect, World & { headers: fc.Arbitrary<(FieldMatch | null)[]> }> = {
  tc: {
    headers: headers({ masks: false, ranges: true, ttl: true, protos: [6, 17, 132, 1, 58, 47] }),
    fields: [
      masked(
        'eth_dst',
        [MAC],
        [
          [0xffff, 0xff000000],
          [0xff00, 0xff],
        ],
      ),
      masked('ip_frag', [[0], [1], [3]], [[1], [2]]),
      masked('ct_state', [[0x22], [0x20]], [[0x22], [0x2a]]),
      masked('ct_mark', [[1]], [[0xf]]),
      masked('ct_label', [[0, 0, 0, 0x201]], [[0, 0, 0, 0xffff]]),
      exact('tun_id', [0, 100]),
      exact('tun_dport', [4789]),
      masked('tun_ipv4_src', IP4, prefixes('tun_ipv4_src')),
    ],
    actions: lists(
      some(
        { kind: 'mirror', port: 'os3' },
        { kind: 'mark', value: 7, mask: 0xffffffff },
        { kind: 'mark', value: 1, mask: 0xf },
        { kind: 'dec_ttl' },
        set('ipv4_src', [0x01020304]),
        set('eth_dst', MAC),
        set('ip_tos', [0x10], [0xfc]),
        { kind: 'checksum', headers: ['ip', 'tcp'] },
        { kind: 'pop_vlan' },
        { kind: 'push_vlan', tpid: 0x88a8, id: 20, pcp: 1 },
        { kind: 'push_mpls', tpid: 0x8847, label: 7, tc: 1, ttl: 9, bos: 1 },
        { kind: 'encap', tunnel },
        { kind: 'decap' },
        ct,
        { kind: 'sample', rate: 100, group: 5, truncBytes: 64 },
        { kind: 'queue', index: 3 },
        set('skb_priority', [6]),
      ),
      final(
        ...FINALS,
        { kind: 'pass' },
        { kind: 'trap', detail: '' },
        { kind: 'continue' },
        { kind: 'meter', id: 3 },
        {
          kind: 'police',
          rateBytesPerS: 125000,
          burstBytes: 10240,
          mtuBytes: 1500,
          exceed: 'drop',
          conform: 'pipe',
        },
      ),
    ),
  },
  testpmd: {
    headers: headers({ masks: true, ranges: true, ttl: true, protos: [6, 17, 132, 1, 58, 47, 50] }),
    fields: [
      masked('eth_dst', [MAC], [[0xff00, 0xff]]),
      masked('eth_src', [MAC], [[0xffff, 0]]),
      exact('vlan_tpid', [0x8100], [0x88a8]),
      masked('skb_mark', [[5]], [[0xff]]),
      masked('ip_frag', [[0]], [[1]]),
      exact('tun_dport', [4789], [6081]),
      exact('in_port', [3]),
    ],
    actions: lists(
      some(
        { kind: 'count' },
        { kind: 'mark', value: 7, mask: 0xffffffff },
        { kind: 'dec_ttl' },
        { kind: 'pop_vlan' },
        { kind: 'push_vlan', tpid: 0x8100, id: 20, pcp: 1 },
        { kind: 'meter', id: 9 },
        set('eth_src', MAC),
        set('ipv4_dst', [0x0a000001]),
        set('ipv6_src', [0x20010db8, 0, 0, 1]),
        set('sport', [99]),
        set('ip_ttl', [9]),
        set('ip_tos', [0x28], [0xfc]),
      ),
      final(
        { kind: 'drop' },
        { kind: 'pass' },
        { kind: 'continue' },
        { kind: 'output', port: '2' },
        { kind: 'queue', index: 4 },
        { kind: 'rss', queues: [0, 1, 2] },
        { kind: 'goto', group: 3 },
        { kind: 'vf', id: 1, queue: -1 },
      ),
    ),
  },
  ovs: {
    headers: headers({ masks: true, ranges: false, ttl: true, protos: [6, 17, 132, 1, 58, 47] }),
    fields: [
      masked('eth_dst', [MAC], [[0xff00, 0xff]]),
      exact('vlan_tpid', [0x8100], [0x88a8]),
      masked('skb_mark', [[5]], [[0xff]]),
      masked('skb_priority', [[5]], [[0xff]]),
      masked('ct_state', [[0x22], [0x20]], [[0x22], [0x2a]]),
      masked('ct_zone', [[5]], [[0xff]]),
      masked('ct_mark', [[1]], [[0xf]]),
      masked('ct_label', [[0x12345678, 0x90abcdef, 1, 2]], [[1, 2, 3, 0xffff]]),
      masked('ip_frag', [[0], [1], [3]], [[3]]),
      masked('tun_id', [[0x7f1, 0x354]], [[0, 0xff]]),
      masked('tun_flags', [[4]], [[7]]),
      masked('tun_ipv6_dst', IP6, prefixes('tun_ipv6_dst')),
    ],
    actions: lists(
      some(
        { kind: 'mirror', port: '3' },
        { kind: 'mark', value: 1, mask: 0xf },
        set('eth_dst', [0x0200, 0], [0xffff, 0xff000000]),
        { kind: 'pop_vlan' },
        { kind: 'push_vlan', tpid: 0x9100, id: 13, pcp: 5 },
        { kind: 'push_mpls', tpid: 0x8847, label: 7, tc: 1, ttl: 9, bos: 1 },
        { kind: 'pop_mpls', tpid: 0x0800 },
        { kind: 'encap', tunnel },
        { kind: 'meter', id: 9 },
        { kind: 'dec_ttl' },
        ct,
        { ...ct, force: true, nat: 'restore', label: null, zone: 0 },
        { ...ct, nat: { ...nat, addressLow: 'fe80::1', addressHigh: 'fe80::9' } },
        { kind: 'sample', rate: 8, group: 5, truncBytes: 0 },
      ),
      final(
        { kind: 'output', port: '2' },
        { kind: 'goto', group: 3 },
        { kind: 'trap', detail: 'pid=7,slow_path(cfm)' },
      ),
    ),
  },
  ethtool: {
    headers: headers({ masks: true, ranges: false, ttl: false, protos: [6, 17, 132, 50, 51, 47] }),
    fields: [
      masked('eth_dst', [MAC], [[0xff00, 0xff]]),
      exact('vlan_tpid', [0x8100], [0x88a8]),
      masked('user_def', [[1, 2]], [[0xf, 0xffffffff]]),
    ],
    actions: final(
      { kind: 'drop' },
      { kind: 'queue', index: 3 },
      { kind: 'vf', id: 2, queue: 1 },
    ).map((one) => [one]),
  },
  classbench: {
    headers: headers({ masks: false, ranges: true, ttl: false, protos: [6, 17, 132] }),
    fields: [],
    actions: fc.constant([]),
  },
};

/** Fields that only some rules of a world may have: added where their header is there. */
function completed(matches: FieldMatch[], dialect: Dialect): FieldMatch[] {
  const has = (field: FieldName): boolean => matches.some((one) => one.field === field);
  const kept = matches.filter(({ field }) => {
    if (dialect === 'ovs' && field === 'tun_ipv6_dst') return true;
    if (dialect === 'testpmd' && field.startsWith('tun_')) return has('tun_dport');
    return dialect !== 'classbench' || (field !== 'ip_tos' && !field.startsWith('ipv6'));
  });
  if (dialect === 'testpmd' && kept.some((one) => one.kind === 'mask' && one.value[0] === 0x86dd))
    return kept.filter(({ field }) => field !== 'ip_frag');
  if (has('vlan_tpid'))
    kept.push({ field: 'vlan_id', kind: 'mask', value: [7], mask: [0xfff], at: AT });
  if (dialect !== 'classbench') return kept;
  return kept.map((one) =>
    one.field === 'eth_type' && one.kind === 'mask' ? { ...one, value: [0x0800] } : one,
  );
}

function ruleOf(dialect: Dialect): fc.Arbitrary<Rule> {
  const world = WORLDS[dialect];
  return fc
    .record({
      parts: fc.tuple(world.headers, fc.tuple(...world.fields)),
      actions: world.actions,
      priority: fc.constantFrom(1, 2, 65535),
      group: fc.constantFrom(0, 0, 3),
    })
    .map(({ parts, actions, priority, group }) => {
      const given = parts.flat().filter((one) => one !== null);
      const flat = dialect === 'ethtool' || dialect === 'classbench';
      const numbered = dialect === 'tc' || dialect === 'testpmd' || dialect === 'ethtool';
      return {
        matches: canonicalMatches(completed(given, dialect)),
        actions,
        priority: numbered ? priority : 0,
        priorityGiven: numbered,
        order: 0,
        group: flat ? 0 : group,
        device: { tc: 'p0', ethtool: 'p0', testpmd: '0', ovs: '1', classbench: '' }[dialect],
        direction: 'ingress' as const,
        residence: 'any' as const,
        handle: 0,
        source: { dialect, file: 'x', line: 1, column: 1, text: '' },
      };
    });
}

function bare(rule: Rule): unknown {
  const left = ['at', 'source'];
  return JSON.parse(
    JSON.stringify(rule, (key, value: unknown) => (left.includes(key) ? 0 : value)),
  );
}

describe('neutral rule to text and back', () => {
  for (const dialect of ['tc', 'ethtool', 'testpmd', 'ovs', 'classbench'] as const)
    it(`is the same rule in ${dialect}`, () => {
      fc.assert(
        fc.property(ruleOf(dialect), (rule) => {
          const told = tellRule(rule, dialect);
          expect(told.refusals).toEqual([]);
          const read = readRules(`${told.text}\n`, 'x', 'auto');
          expect(read.error?.message ?? '').toBe('');
          expect(read.dialect).toBe(dialect);
          expect(read.rules.map(bare)).toEqual([bare(rule)]);
        }),
        { seed: SEED, numRuns: 400 },
      );
    });
});
