// Precedence between tables: where every rule of a set goes in, the tables in their order answer as the set does.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fitRules } from '../../../src/fit/fit.ts';
import { loadDevice } from '../../../src/node/device-files.ts';
import { readRules } from '../../../src/rules/dialects.ts';
import type { Rule } from '../../../src/rules/rule.ts';

/** Sources, destination ports and what is done: few of each, so that rules meet. */
const drawn = fc.array(
  fc.tuple(
    fc.constantFrom(null, 1, 2, 3),
    fc.constantFrom(null, 80, 81),
    fc.constantFrom('drop', 'pass'),
    fc.integer({ min: 1, max: 5 }),
  ),
  { minLength: 1, maxLength: 10 },
);

function line(src: number | null, port: number | null, action: string, pref: number): string {
  const from = src === null ? '' : ` src_ip 10.0.0.${src}`;
  const to = port === null ? '' : ` dst_port ${port}`;
  const end = src !== null && port !== null ? ' dst_ip 10.9.9.9 src_port 7' : '';
  return `tc filter add dev p0 ingress protocol ip pref ${pref} flower ip_proto tcp${from}${to}${end} action ${action}`;
}

function rulesOf(lines: readonly string[]): Rule[] {
  const { rules, error } = readRules(lines.join('\n'), 'test', 'tc');
  expect(error).toBeNull();
  return rules;
}

interface Packet {
  src: number;
  port: number;
  isOwn: boolean;
}

const PACKETS: Packet[] = [1, 2, 3, 4].flatMap((src) =>
  [80, 81, 82].flatMap((port) => [true, false].map((isOwn) => ({ src, port, isOwn }))),
);

function matches(rule: Rule, { src, port, isOwn }: Packet): boolean {
  return rule.matches.every((match) => {
    if (match.kind === 'range') return false;
    const [value] = match.value;
    if (match.field === 'ipv4_src') return value === 0x0a000000 + src;
    if (match.field === 'dport') return value === port;
    if (match.field === 'ipv4_dst' || match.field === 'sport') return isOwn;
    return true;
  });
}

function winner(rules: readonly Rule[], packet: Packet): Rule | undefined {
  return [...rules]
    .sort((a, b) => a.priority - b.priority || a.order - b.order)
    .find((rule) => matches(rule, packet));
}

describe('rules over several tables', () => {
  it.each(['generic-nic', 'tofino1', 'intel-e810', 'intel-82599'])(
    '%s: the first table that knows a packet answers as the rules that went in do',
    (name) => {
      const device = loadDevice(name);
      fc.assert(
        fc.property(drawn, (set) => {
          const rules = rulesOf(set.map((one) => line(...one)));
          const { admission, plan } = fitRules(rules, device);
          const inTable = plan.tables.map((_, t) =>
            rules.filter((rule) => admission.tableOf[rule.order] === t),
          );
          const accepted = inTable.flat();
          for (const packet of PACKETS) {
            const expected = winner(accepted, packet)?.actions[0].kind;
            const table = inTable.find((own) => own.some((rule) => matches(rule, packet)));
            expect(winner(table ?? [], packet)?.actions[0].kind).toBe(expected);
          }
        }),
        { numRuns: 100 },
      );
    },
  );

  it('a rule passes by the table in which it would win against its priority', () => {
    const rules = rulesOf([
      line(null, 80, 'drop', 1),
      line(1, 80, 'pass', 2),
      line(2, 81, 'pass', 3),
    ]);
    const { report } = fitRules(rules, loadDevice('generic-nic'));
    expect(report.tables.map((table) => table.rules)).toEqual([1, 2]);
    expect(report).toMatchObject({ fits: true, precedence: { isDecided: true, moved: 1 } });
    const none = fitRules(rules, loadDevice('generic-nic', ['tcam.depth=1'])).report;
    expect(none.refusedBy).toEqual({ 'no-free-entry': 1 });
  });
});
