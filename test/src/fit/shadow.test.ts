// Shadowed and redundant rules against the sets of packets themselves: a small space of packets, every one of them tried.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findOverlaps } from '../../../src/fit/shadow.ts';
import { rangeMask } from '../../../src/fit/range-mask.ts';
import type { FieldMatch, Rule } from '../../../src/rules/rule.ts';
import { canonicalMatches } from '../../../src/rules/rule.ts';

interface Packet {
  dport: number;
  proto: number;
}

/** Ports 0 to 15 (others behave alike: rules do not go beyond), two protocols. */
const PACKETS: Packet[] = [];
for (let dport = 0; dport < 16; dport++)
  for (const proto of [6, 17]) PACKETS.push({ dport, proto });

const at = { line: 1, column: 1 };
const ruleOf = (order: number, priority: number, matches: FieldMatch[], action: number): Rule => ({
  matches: canonicalMatches(matches),
  actions: action === 0 ? [] : [{ kind: 'queue', index: action, at }],
  priority,
  priorityGiven: true,
  order,
  group: 0,
  device: '',
  direction: 'ingress',
  residence: 'any',
  handle: 0,
  source: { dialect: 'tc', file: 'f', line: order + 1, column: 1, text: '' },
});

function matches(rule: Rule, packet: Packet): boolean {
  return rule.matches.every((match) => {
    const value = match.field === 'dport' ? packet.dport : packet.proto;
    if (match.kind === 'range') return value >= match.low && value <= match.high;
    return ((value ^ match.value[0]) & match.mask[0]) === 0;
  });
}

const portMatch: fc.Arbitrary<FieldMatch[]> = fc.oneof(
  fc.constant<FieldMatch[]>([]),
  fc
    .tuple(fc.integer({ min: 0, max: 15 }), fc.integer({ min: 0, max: 15 }))
    .map(([a, b]): FieldMatch[] => [
      { field: 'dport', kind: 'range', low: Math.min(a, b), high: Math.max(a, b), at },
    ]),
  fc
    .tuple(fc.integer({ min: 0, max: 15 }), fc.constantFrom(0xffff, 0xfffe, 0xfffc, 0xfff8, 0xfffd))
    .map(([value, mask]): FieldMatch[] => [
      { field: 'dport', kind: 'mask', value: [value], mask: [mask], at },
    ]),
);
const protoMatch: fc.Arbitrary<FieldMatch[]> = fc.oneof(
  fc.constant<FieldMatch[]>([]),
  fc
    .constantFrom(6, 17)
    .map((proto): FieldMatch[] => [
      { field: 'ip_proto', kind: 'mask', value: [proto], mask: [0xff], at },
    ]),
);
const ruleSet = fc.array(
  fc.tuple(portMatch, protoMatch, fc.integer({ min: 0, max: 4 }), fc.integer({ min: 1, max: 2 })),
  { minLength: 1, maxLength: 12 },
);

const wins = (rules: readonly Rule[], packet: Packet): Rule | null =>
  [...rules]
    .sort((a, b) => a.priority - b.priority || a.order - b.order)
    .find((rule) => matches(rule, packet)) ?? null;

describe('shadows', () => {
  it('are the rules whose packets are all those of one rule above', () => {
    fc.assert(
      fc.property(ruleSet, (drawn) => {
        const rules = drawn.map(([port, proto, priority, action], i) =>
          ruleOf(i, priority, [...port, ...proto], action),
        );
        const { shadowed } = findOverlaps(rules);
        const found = new Set(shadowed.map(([rule]) => rule));
        for (const [rule, by] of shadowed) {
          const above = rules[by];
          expect(above.priority - rules[rule].priority || by - rule).toBeLessThan(0);
          for (const packet of PACKETS)
            if (matches(rules[rule], packet)) expect(matches(above, packet)).toBe(true);
        }
        for (const rule of rules) {
          if (found.has(rule.order)) continue;
          for (const above of rules) {
            const isAbove = (above.priority - rule.priority || above.order - rule.order) < 0;
            // Wildcards match ports beyond the packets tried; masks with holes are left to err towards "not covered".
            if (!isAbove || !isTried(rule) || !isTried(above)) continue;
            const own = PACKETS.filter((packet) => matches(rule, packet));
            expect(own.every((packet) => matches(above, packet))).toBe(false);
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  it('and redundant rules change nothing when they go, all together', () => {
    fc.assert(
      fc.property(ruleSet, (drawn) => {
        const rules = drawn.map(([port, proto, priority, action], i) =>
          ruleOf(i, priority, [...port, ...proto], action),
        );
        const found = findOverlaps(rules);
        const alone = [...found.shadowed, ...found.redundant];
        const together = [...found.shadowedTogether, ...found.redundantTogether];
        const gone = new Set([...alone, ...together].map(([rule]) => rule));
        const left = rules.filter((rule) => !gone.has(rule.order));
        const verdict = (set: readonly Rule[], packet: Packet): string =>
          JSON.stringify(wins(set, packet)?.actions ?? null);
        for (const packet of PACKETS) expect(verdict(left, packet)).toBe(verdict(rules, packet));
      }),
      { numRuns: 300 },
    );
  });

  it('together are the rules that win no packet, and nothing is left undecided', () => {
    fc.assert(
      fc.property(ruleSet, (drawn) => {
        // Wildcards as the ports that are tried, so that they tell all about every rule.
        const rules = drawn.map(([port, proto, priority, action], i) =>
          ruleOf(i, priority, [...(port.length === 0 ? ALL_PORTS : port), ...proto], action),
        );
        const { shadowed, shadowedTogether, notDecided } = findOverlaps(rules);
        expect(notDecided).toBe(0);
        for (const [rule, by] of shadowedTogether)
          for (const packet of PACKETS)
            if (matches(rules[rule], packet))
              expect(by.some((above) => matches(rules[above], packet))).toBe(true);
        const found = [...shadowed, ...shadowedTogether].map(([rule]) => rule);
        const winning = new Set(PACKETS.map((packet) => wins(rules, packet)?.order));
        const isTold = ({ matches }: Rule): boolean =>
          matches.every(isListed) && matches.some(({ field }) => field === 'ip_proto');
        const tried = rules.filter(isTold);
        const never = tried.filter(({ order }) => !winning.has(order)).map(({ order }) => order);
        expect(found).toEqual(expect.arrayContaining(never));
      }),
      { numRuns: 300 },
    );
  });

  it('together: no rule that is left could go, too', () => {
    fc.assert(
      fc.property(ruleSet, (drawn) => {
        const rules = drawn.map(([port, proto, priority, action], i) =>
          ruleOf(i, priority, [...(port.length === 0 ? ALL_PORTS : port), ...proto], action),
        );
        if (!rules.every((rule) => rule.matches.every(isListed))) return;
        const found = findOverlaps(rules);
        const lists = [found.shadowed, found.redundant, found.shadowedTogether];
        const gone = new Set([...lists, found.redundantTogether].flat().map(([rule]) => rule));
        const left = rules.filter((rule) => !gone.has(rule.order));
        const verdict = (set: readonly Rule[], packet: Packet): string =>
          JSON.stringify(wins(set, packet)?.actions ?? null);
        for (const rule of left) {
          // Of other protocols nothing is tried: a rule for any protocol matters there.
          if (!rule.matches.some(({ field }) => field === 'ip_proto')) continue;
          const without = left.filter((other) => other !== rule);
          const changes = PACKETS.some((p) => verdict(without, p) !== verdict(left, p));
          expect(changes).toBe(true);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('tell one packet that is left, and say so when a rule is too many cubes', () => {
    // Each rule above takes the packets with one bit set: all but one packet of the last rule.
    const bits = Array.from({ length: 24 }, (_, bit) => 2 ** bit);
    const above = bits.map((bit, i) =>
      ruleOf(i, i, [{ field: 'skb_mark', kind: 'mask', value: [bit], mask: [bit], at }], 1),
    );
    const last = ruleOf(24, 24, [], 2);
    const left = findOverlaps([...above, last]);
    expect([left.shadowedTogether, left.notDecided]).toEqual([[], 0]);
    const range = (field: 'sport' | 'dport', low: number, high: number): FieldMatch => ({
      field,
      kind: 'range',
      low,
      high,
      at,
    });
    const halves = [
      ruleOf(0, 0, [range('sport', 0, 32767)], 1),
      ruleOf(1, 1, [range('sport', 32768, 65535)], 1),
    ];
    const one = ruleOf(2, 2, [range('sport', 1, 65534)], 2);
    expect(findOverlaps([...halves, one]).shadowedTogether).toEqual([[2, [0, 1]]]);
    const two = ruleOf(2, 2, [range('sport', 1, 65534), range('dport', 1, 65534)], 2);
    const many = findOverlaps([...halves, two]);
    expect([many.shadowedTogether, many.notDecided]).toEqual([[], 2]);
  });

  it('are not sought among rules of other groups, devices or without actions', () => {
    const any = ruleOf(0, 0, [], 0);
    const same = ruleOf(1, 1, [], 0);
    expect(findOverlaps([any, same]).shadowed).toEqual([[1, 0]]);
    expect(findOverlaps([any, { ...same, group: 1 }]).shadowed).toEqual([]);
    expect(findOverlaps([any, { ...same, device: 'p1' }]).shadowed).toEqual([]);
    const narrow = ruleOf(0, 0, [{ field: 'dport', kind: 'range', low: 1, high: 5, at }], 0);
    expect(findOverlaps([narrow, same]).redundant).toEqual([]);
  });
});

const ALL_PORTS: FieldMatch[] = [{ field: 'dport', kind: 'range', low: 0, high: 15, at }];

/** Whether all ports that a match takes are tried. */
function isListed(match: FieldMatch): boolean {
  if (match.field !== 'dport') return true;
  return match.kind === 'range' ? match.high < 16 : match.mask[0] !== 0xfffd;
}

/** Whether the 16 ports tell all about a rule: its ports are listed one by one, or not at all. */
function isTried(rule: Rule): boolean {
  const port = rule.matches.find(({ field }) => field === 'dport');
  if (port === undefined || port.kind === 'range') return port !== undefined && port.high < 16;
  return port.mask[0] !== 0xfffd;
}

describe('the prefix that a range shares', () => {
  it('is the longest mask under which low and high are equal', () => {
    for (let low = 0; low < 64; low++)
      for (let high = low; high < 64; high++) {
        const mask = rangeMask(low, high, 6);
        expect((low ^ high) & mask).toBe(0);
        const longer = ((mask >> 1) | 32) & 63;
        if (longer !== mask) expect((low ^ high) & longer).not.toBe(0);
      }
    expect(rangeMask(0, 0xffffffff, 32)).toBe(0);
    expect(rangeMask(7, 7, 32)).toBe(0xffffffff);
  });
});
