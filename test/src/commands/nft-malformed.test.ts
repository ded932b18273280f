// Damaged rule sets: nft refuses with file, place and reason, and the rule set before stays whole. Against the verdicts of the real nft
// 1.0.6 on ninety files with one word lost, doubled, moved or changed (fixtures/record-nft-malformed.sh), and as a property over real
// rule sets damaged at random.

import fc from 'fast-check';
import { readFileSync, readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { NetDevice } from '../../../driver/netdev.ts';
import { NfStack } from '../../support/nf-stack.ts';

const SEED = 20261121;
const recordings = new URL('../../../fixtures/recordings/', import.meta.url);
const read = (name: string): string => readFileSync(new URL(name, recordings), 'utf8');

function stackWith(rules: string): NfStack {
  const stack = new NfStack();
  stack.devs.push(new NetDevice('lo', stack.devs[0].ops));
  expect(stack.nf.nft.load(rules)).toBe('');
  return stack;
}

const cases = new Map(
  read('nft/malformed.cases.txt')
    .split(/^=== /m)
    .slice(1)
    .map((text) => [text.slice(0, text.indexOf('\n')), text.slice(text.indexOf('\n') + 1)]),
);

/** Where the message says the fault is, and all of it. */
interface Verdict {
  status: number;
  place: string;
  message: string;
}

const verdictOf = (status: number, message: string): Verdict => ({
  status,
  place: message.split(' ')[0],
  message,
});

describe('damaged rule sets', () => {
  const recorded = new Map(
    read('nft/malformed.verdicts.txt')
      .split('\n')
      .flatMap((line) => {
        const [, name, status, message] = /^(\w+) rc (\d) ?(.*)$/.exec(line) ?? [];
        return name === undefined ? [] : [[name, verdictOf(Number(status), message)] as const];
      }),
  );

  /** What the model says, the whole rule set before it. */
  const said = (name: string): Verdict => {
    const { nft } = stackWith(cases.get('whole') ?? '').nf;
    const result = nft.run(['-f', name], '', () => cases.get(name) ?? null);
    return verdictOf(result.status, result.stderr.split('\n')[0]);
  };
  const names = [...recorded.keys()];

  it('are refused where the real nft refuses them, and only there', () => {
    const statuses = (of: (name: string) => Verdict): string[] =>
      names.map((name) => `${name} ${of(name).status}`);
    expect(statuses(said)).toEqual(statuses((name) => recorded.get(name) as Verdict));
  });

  it('mostly at the same place (the real parser reads a whole statement before it looks at types)', () => {
    const pairs = names.map((name) => [said(name), recorded.get(name) as Verdict]);
    expect(pairs.filter(([a, b]) => a.place === b.place).length).toBeGreaterThanOrEqual(68);
    expect(pairs.filter(([a, b]) => a.message === b.message).length).toBeGreaterThanOrEqual(49);
  });
});

describe(`rule sets damaged at random (seed ${SEED})`, () => {
  const listings = readdirSync(new URL('rulesets/', recordings)).filter((f) => f.endsWith('.txt'));
  const sources = [...listings.map((f) => read(`rulesets/${f}`)), cases.get('whole') ?? ''];
  const words = (source: string): { start: number; end: number }[] =>
    [...source.matchAll(/"[^"]*"|[\w.:/-]+|[^\s\w]/g)].map((m) => ({
      start: m.index,
      end: m.index + m[0].length,
    }));
  const garbage = ['{', '}', ';', 'bogus', '70000', '"x', '/33', ',', 'drop', '@nosuch', '', '\n'];

  const damage = fc.record({
    source: fc.constantFrom(...sources),
    at: fc.nat(),
    put: fc.constantFrom(...garbage),
    keeps: fc.boolean(),
  });

  it('leave all or nothing, and a refusal names a place in the file', () => {
    const before = cases.get('whole') ?? '';
    let refused = 0;
    fc.assert(
      fc.property(damage, ({ source, at, put, keeps }) => {
        const all = words(source);
        const { start, end } = all[at % all.length];
        const damaged = `${source.slice(0, keeps ? end : start)} ${put} ${source.slice(end)}`;
        const { nft } = stackWith(before).nf;
        const list = (): string => nft.run(['-a', 'list', 'ruleset']).stdout;
        const listed = list();
        const { status, stderr } = nft.run(['-f', 'damaged'], '', () => damaged);
        if (status === 0) return;
        refused++;
        expect(list()).toBe(listed);
        const [head, line, marks] = stderr.split('\n');
        const place = /^damaged:(\d+):(\d+)-(\d+): Error: ./.exec(head);
        expect(head).toMatch(/^damaged:\d+:\d+-\d+: Error: ./);
        expect(line).toBe(damaged.split('\n')[Number(place?.[1]) - 1]);
        expect(marks.indexOf('^')).toBe(Number(place?.[2]) - 1);
        expect(marks.lastIndexOf('^')).toBe(Number(place?.[3]) - 1);
      }),
      { seed: SEED, numRuns: 300 },
    );
    expect(refused).toBeGreaterThan(100);
  });
});
