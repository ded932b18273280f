// Conversion between dialects: the same rule wins for every packet afterwards, whatever the dialects do with priorities; what
// cannot be said is refused by name and place; overlap against all packets of a small world.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { convertRules } from '../../../src/rules/convert.ts';
import { readRules } from '../../../src/rules/dialects.ts';
import { overlap, OverlapFilter, prefixesOf } from '../../../src/rules/overlap.ts';
import { REFUSAL_REASONS, reasonInfo, refusalText, refuse } from '../../../src/rules/refusal.ts';
import { canonicalMatches, fullMask, prefixMask } from '../../../src/rules/rule.ts';
import type { Action, Dialect, FieldMatch, FieldName, Rule } from '../../../src/rules/rule.ts';
import { matchHolds, winner } from '../../reference/rule-scan.ts';
import type { Packet } from '../../reference/rule-scan.ts';

const SEED = 20261122;
const AT = { line: 0, column: 0 };
const ADDRESSES = [0x0a000001, 0x0a000002, 0x0a010203, 0xc0000001];
const PORTS = [0, 79, 80, 85, 1024, 65535];

function rule(matches: FieldMatch[], priority: number, order: number, actions: Action[]): Rule {
  return {
    matches: canonicalMatches(matches),
    actions,
    priority,
    priorityGiven: true,
    order,
    group: 0,
    device: 'p0',
    direction: 'ingress',
    residence: 'any',
    handle: 0,
    source: { dialect: 'tc', file: 'x', line: order + 1, column: 1, text: '' },
  };
}

const mask = (field: FieldName, value: number, bits: number[]): FieldMatch => ({
  field,
  kind: 'mask',
  value: [(value & bits[0]) >>> 0],
  mask: bits,
  at: AT,
});

const address = (field: FieldName): fc.Arbitrary<FieldMatch> =>
  fc
    .tuple(fc.constantFrom(...ADDRESSES), fc.constantFrom(0, 8, 30, 32))
    .map(([value, length]) => mask(field, value, prefixMask(field, length)));

const someRule = (ranges: boolean): fc.Arbitrary<FieldMatch[]> =>
  fc
    .tuple(
      address('ipv4_src'),
      address('ipv4_dst'),
      fc.constantFrom(6, 17),
      fc.constantFrom(...(ranges ? [80, 79] : [80])),
      fc.constantFrom(...(ranges ? [80, 1024] : [80])),
      fc.boolean(),
    )
    .map(([src, dst, proto, low, high, anyPort]) => {
      const matches = [
        mask('eth_type', 0x0800, fullMask('eth_type')),
        mask('ip_proto', proto, fullMask('ip_proto')),
        src,
        dst,
      ];
      if (!anyPort) matches.push({ field: 'dport', kind: 'range', low, high, at: AT });
      return matches;
    });

const ruleSet = (priorities: number[], ranges: boolean, actions: Action[]): fc.Arbitrary<Rule[]> =>
  fc
    .array(fc.tuple(someRule(ranges), fc.constantFrom(...priorities)), {
      minLength: 1,
      maxLength: 12,
    })
    .map((list) => list.map(([matches, priority], at) => rule(matches, priority, at, actions)));

/** All packets that the pools can tell apart. */
const PACKETS: Packet[] = [];
for (const src of ADDRESSES)
  for (const dst of ADDRESSES)
    for (const proto of [6n, 17n])
      for (const port of PORTS)
        PACKETS.push({
          eth_type: 0x0800n,
          ip_proto: proto,
          ipv4_src: BigInt(src),
          ipv4_dst: BigInt(dst),
          dport: BigInt(port),
        });

describe('conversion keeps who wins', () => {
  const cases: [to: Dialect, priorities: number[], ranges: boolean, actions: Action[]][] = [
    // Ties, numbers beyond tc's 16 bits, numbers below its 1.
    ['testpmd', [1, 2, 3], true, [{ kind: 'drop', at: AT }]],
    ['ethtool', [0, 1, 70000], false, [{ kind: 'queue', index: 1, at: AT }]],
    ['classbench', [5, 9, 1], true, []],
    ['tc', [0, 1, 70000], true, [{ kind: 'drop', at: AT }]],
  ];
  for (const [to, priorities, ranges, actions] of cases)
    it(`to ${to}`, () => {
      fc.assert(
        fc.property(ruleSet(priorities, ranges, actions), (rules) => {
          for (const one of rules) one.source.dialect = to === 'tc' ? 'testpmd' : 'tc';
          const options = { to, device: '', action: null, ignoreActions: false };
          const converted = convertRules(rules, options);
          expect(converted.flatMap((one) => one.refusals)).toEqual([]);
          const read = readRules(converted.map((one) => one.text).join('\n'), 'y', to);
          expect(read.error?.message ?? '').toBe('');
          const original = converted.map((one) => rules.indexOf(one.rule));
          for (const packet of PACKETS) {
            const before = winner(rules, packet);
            const after = winner(read.rules, packet);
            expect(after < 0 ? -1 : original[after]).toBe(before);
          }
        }),
        { seed: SEED, numRuns: 60 },
      );
    });

  it('to tc: one protocol for each pref', () => {
    const text =
      'flow create 0 ingress priority 4 pattern eth / ipv4 / end actions drop / end\n' +
      'flow create 0 ingress priority 4 pattern eth / ipv6 / end actions drop / end\n';
    const read = readRules(text, 'x', 'testpmd');
    const options = { to: 'tc', device: '', action: null, ignoreActions: false } as const;
    expect(convertRules(read.rules, options).map((one) => one.text)).toEqual([
      'tc filter add dev p0 ingress protocol ip pref 1 flower action drop',
      'tc filter add dev p0 ingress protocol ipv6 pref 2 flower action drop',
    ]);
  });

  it('to OVS: what loses against an overlapping rule is refused, by its line', () => {
    const text =
      'tc filter add dev p0 protocol ip pref 2 flower dst_ip 10.0.0.0/8 action drop\n' +
      'tc filter add dev p0 protocol ip pref 1 flower dst_ip 10.1.0.0/16 action mirred egress redirect dev p1\n' +
      'tc filter add dev p0 protocol ip pref 3 flower dst_ip 11.0.0.0/8 action drop\n';
    const read = readRules(text, 'x', 'tc');
    const options = { to: 'ovs', device: '', action: null, ignoreActions: false } as const;
    const converted = convertRules(read.rules, options);
    expect(converted.map((one) => one.text !== '')).toEqual([false, true, true]);
    expect(refusalText(converted[0].rule, converted[0].refusals[0])).toMatch(
      /^x:1:1: priority 2 below that of x:2, which overlaps, .*\(dialect-priority\); needs /,
    );
  });
});

describe('refusals by name and place', () => {
  const refused = (text: string, to: Dialect): string[] => {
    const read = readRules(text, 'x', 'auto');
    expect(read.error).toBeNull();
    const options = { to, device: '', action: null, ignoreActions: false };
    return convertRules(read.rules, options).flatMap((one) =>
      one.refusals.map((refusal) => {
        const { line, column } = refusal.at ?? { line: 0, column: 0 };
        return `${line}:${column} ${refusal.reason} ${refusal.what}`;
      }),
    );
  };
  const tc = 'tc filter add dev p0 protocol ip pref 1 flower ';

  it('fields, masks, ranges, actions and attributes', () => {
    expect(refused(`${tc}ct_state +trk action pass`, 'testpmd')).toEqual([
      '1:48 dialect-field ct_state',
    ]);
    expect(refused(`${tc}ip_proto tcp dst_port 80-90 action drop`, 'ethtool')).toEqual([
      '1:61 dialect-range dport',
    ]);
    expect(refused(`${tc}action mirred egress redirect dev p1`, 'ethtool')).toEqual([
      '1:55 dialect-action output',
    ]);
    expect(refused(`${tc}skip_hw action drop`, 'testpmd')).toEqual([
      '0:0 dialect-attribute skip_hw',
    ]);
    expect(
      refused('ethtool -N p0 flow-type tcp4 src-ip 10.0.0.1 m 0.255.0.0 action -1', 'tc'),
    ).toEqual(['1:30 dialect-mask ipv4_src']);
    expect(refused('@1.2.3.0/24 0.0.0.0/0 5 : 9 0 : 65535 0x00/0x00', 'tc')).toEqual([
      '1:23 dialect-field sport',
    ]);
  });

  it('what would be needed', () => {
    const read = readRules(`${tc}ip_proto tcp dst_port 1-65534 action drop`, 'x', 'tc');
    const options = { to: 'ovs', device: '', action: null, ignoreActions: false } as const;
    const [one] = convertRules(read.rules, options);
    // 30 prefixes: the worst case of a 16-bit range.
    expect(one.refusals[0].remedy).toBe('one rule for each of the 30 prefixes of 1-65534');
  });

  it('one documented list', () => {
    const page = readFileSync(join(import.meta.dirname, '../../../docs/rules.md'), 'utf8');
    const rows = page.split('\n').filter((line) => /^\| `[a-z-]+` +\| E[A-Z0-9]+ /.test(line));
    const told = rows.map((line) => /^\| `([a-z-]+)`/.exec(line)?.[1]);
    expect(told).toEqual([...REFUSAL_REASONS]);
    for (const reason of REFUSAL_REASONS) {
      const info = reasonInfo(reason);
      expect(info.extack).toContain('{}');
      const refusal = refuse(reason, 'THIS');
      expect(refusal.extack).toContain('THIS');
      expect(refusal.error).toBeLessThan(0);
      expect(refusal.remedy).not.toBe('');
      const row = rows.find((line) => line.includes(`\`${reason}\``)) ?? '';
      expect(row).toContain(info.remedy);
    }
  });
});

describe('overlap', () => {
  const small = (field: FieldName, bits: number): fc.Arbitrary<FieldMatch | null> => {
    const top = 2 ** bits - 1;
    const value = fc.integer({ min: 0, max: top });
    return fc.oneof(
      fc.constant(null),
      fc.tuple(value, value).map(([one, other]) => mask(field, one, [other])),
      fc.tuple(value, value).map(([one, other]) => ({
        field,
        kind: 'range' as const,
        low: Math.min(one, other),
        high: Math.max(one, other),
        at: AT,
      })),
    );
  };
  const world = fc
    .tuple(small('vlan_pcp', 3), small('ct_state', 8), small('mpls_tc', 3))
    .map((parts) =>
      rule(
        parts.filter((one) => one !== null),
        1,
        0,
        [],
      ),
    );

  it('says what trying all packets says', () => {
    fc.assert(
      fc.property(world, world, (a, b) => {
        let met = false;
        for (let pcp = 0n; pcp < 8n && !met; pcp++)
          for (let state = 0n; state < 256n && !met; state++)
            for (let tc = 0n; tc < 8n && !met; tc++) {
              const packet = { vlan_pcp: pcp, ct_state: state, mpls_tc: tc };
              met = [...a.matches, ...b.matches].every((match) => matchHolds(match, packet));
            }
        expect(overlap(a, b)).toBe(met);
      }),
      { seed: SEED, numRuns: 150 },
    );
  });

  it('is never denied by the filter', () => {
    fc.assert(
      fc.property(ruleSet([1], true, []), (rules) => {
        const filter = new OverlapFilter(rules);
        for (let a = 0; a < rules.length; a++)
          for (let b = 0; b < rules.length; b++)
            if (filter.apart(a, b)) expect(overlap(rules[a], rules[b])).toBe(false);
      }),
      { seed: SEED, numRuns: 60 },
    );
  });

  it('knows the published prefix counts of ranges', () => {
    const counts: [low: number, high: number, bits: number, count: number][] = [
      // Rottenstreich and Keslassy's worked example, and the common cases.
      [1, 14, 4, 6],
      [5, 14, 4, 5],
      [7, 10, 4, 3],
      [2, 3, 4, 1],
      [1, 65534, 16, 30],
      [1024, 65535, 16, 6],
      [0, 1023, 16, 1],
      [0, 65535, 16, 1],
    ];
    for (const [low, high, bits, count] of counts) {
      expect(prefixesOf(low, high, bits)).toHaveLength(count);
    }
  });

  it('keeps tagged and untagged rules apart', () => {
    const read = readRules(
      'tc filter add dev p0 protocol ip flower action drop\n' +
        'tc filter add dev p0 protocol 802.1Q flower vlan_ethtype ip action drop\n' +
        'tc filter add dev p0 protocol all flower action drop\n',
      'x',
      'tc',
    );
    const [plain, tagged, all] = read.rules;
    expect([overlap(plain, tagged), overlap(plain, all), overlap(tagged, all)]).toEqual([
      false,
      true,
      true,
    ]);
  });
});
