// Sets that rules change, against a plain map of keys and times: `add`, `update` and `delete @set`, timeouts, a full set, elements
// that count and limit, and what becomes of them when nft commands come in between.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PS_PER_MS } from '../../../../hw/time/units.ts';
import { NfStack } from '../../../support/nf-stack.ts';

const SEED = 20261121;
const LEN_BYTES = 40;

/** A TCP frame from 10.0.0.`host` to a port. */
function frame(host: number, dport: number): Uint8Array {
  const bytes = new Uint8Array(54);
  const view = new DataView(bytes.buffer);
  view.setUint16(12, 0x0800);
  bytes[14] = 0x45;
  view.setUint16(16, LEN_BYTES);
  bytes[22] = 64;
  bytes[23] = 6;
  view.setUint32(26, 0x0a000000 + host);
  view.setUint16(36, dport);
  return bytes;
}

/** A stack with this chain body behind these sets. */
function machine(sets: string, rules: string): NfStack {
  const stack = new NfStack();
  const chain = `chain c { type filter hook forward priority 0; policy accept;\n${rules}\n}`;
  expect(stack.nf.nft.load(`table ip t {\n${sets}\n${chain}\n}\n`)).toBe('');
  return stack;
}

function advance(stack: NfStack, timeMs: number): void {
  stack.scheduler.runUntil(stack.scheduler.nowPs + timeMs * PS_PER_MS);
}

const fate = (stack: NfStack, host: number, dport = 80): string =>
  stack.send(frame(host, dport), 0).fate;

const listed = (stack: NfStack): string => stack.nf.nft.run(['list', 'set', 'ip', 't', 's']).stdout;

const SET = 'set s { type ipv4_addr; flags dynamic,timeout; timeout 2s; size 3; }';
const ADD = 1;
const UPDATE = 2;
const DELETE = 3;
const RULES = `tcp dport ${ADD} add @s { ip saddr } accept
  tcp dport ${UPDATE} update @s { ip saddr timeout 3s } accept
  tcp dport ${DELETE} delete @s { ip saddr } accept
  tcp dport < 10 drop
  ip saddr @s drop`;

type Step =
  | { kind: 'packet'; host: number; dport: number }
  | { kind: 'wait'; timeMs: number }
  | { kind: 'command'; words: readonly string[] };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('packet' as const),
      host: fc.integer({ min: 1, max: 5 }),
      dport: fc.constantFrom(ADD, UPDATE, DELETE, 80),
    }),
  },
  fc.record({
    kind: fc.constant('wait' as const),
    timeMs: fc.constantFrom(1, 500, 999, 1000, 2000),
  }),
  fc.record({
    kind: fc.constant('command' as const),
    words: fc.constantFrom(
      ['list', 'ruleset'],
      ['add', 'chain', 'ip', 't', 'other'],
      ['add', 'rule', 'ip', 't', 'nosuch', 'accept'],
    ),
  }),
);

/** What the manual says of the rules above. */
class Oracle {
  private readonly until = new Map<number, number>();

  hosts(nowMs: number): number[] {
    return [...this.until].flatMap(([host, until]) => (until > nowMs ? [host] : []));
  }

  packet(host: number, dport: number, nowMs: number): 'sent' | 'dropped' {
    const isIn = this.hosts(nowMs).includes(host);
    if (dport === DELETE) this.until.delete(host);
    if (dport >= 10) return isIn ? 'dropped' : 'sent';
    if (dport === DELETE) return 'sent';
    if (!isIn && this.hosts(nowMs).length === 3) return 'dropped';
    if (!isIn || dport === UPDATE) this.until.set(host, nowMs + (dport === UPDATE ? 3000 : 2000));
    return 'sent';
  }
}

describe(`sets that rules change (seed ${SEED})`, () => {
  it('hold what a plain map holds, whatever nft commands come in between', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const stack = machine(SET, RULES);
        const oracle = new Oracle();
        let nowMs = 0;
        for (const s of steps) {
          if (s.kind === 'wait') {
            advance(stack, s.timeMs);
            nowMs += s.timeMs;
          } else if (s.kind === 'command') stack.nf.nft.run(s.words);
          else expect(fate(stack, s.host, s.dport)).toBe(oracle.packet(s.host, s.dport, nowMs));
        }
        const hosts = [...listed(stack).matchAll(/10\.0\.0\.(\d)/g)].map((m) => Number(m[1]));
        expect(hosts).toEqual(oracle.hosts(nowMs).sort());
      }),
      { seed: SEED, numRuns: 300 },
    );
  });

  it('lists when an element goes, to the millisecond', () => {
    const stack = machine(SET, RULES);
    fate(stack, 1, ADD);
    fate(stack, 2, UPDATE);
    advance(stack, 750);
    expect(listed(stack)).toContain(
      'elements = { 10.0.0.1 expires 1s250ms, 10.0.0.2 timeout 3s expires 2s250ms }',
    );
  });

  it('give each element a counter and a limit of its own', () => {
    const set = 'set s { type ipv4_addr; flags dynamic; }';
    const stack = machine(set, 'add @s { ip saddr limit rate over 1/second burst 2 packets } drop');
    const sent = (host: number): string[] => [0, 1, 2].map(() => fate(stack, host));
    expect(sent(1)).toEqual(['sent', 'sent', 'dropped']);
    expect(sent(2)).toEqual(['sent', 'sent', 'dropped']);
    const counted = machine(set, 'update @s { ip saddr counter }');
    for (const host of [2, 1, 2]) fate(counted, host);
    expect(listed(counted)).toContain(
      'elements = { 10.0.0.1 counter packets 1 bytes 40, 10.0.0.2 counter packets 2 bytes 80 }',
    );
  });

  it('count the packets that look an element up where the set says so', () => {
    const stack = machine(
      'set s { type ipv4_addr; counter; elements = { 10.0.0.1, 10.0.0.2 } }',
      'ip saddr @s drop',
    );
    expect([fate(stack, 1), fate(stack, 1), fate(stack, 3)]).toEqual([
      'dropped',
      'dropped',
      'sent',
    ]);
    const counts = '10.0.0.1 counter packets 2 bytes 80, 10.0.0.2 counter packets 0 bytes 0';
    expect(listed(stack)).toContain(counts);
  });

  it('take concatenated keys with names, and maps forget what has expired', () => {
    const stack = machine(
      `set s { type ifname . ipv4_addr . inet_service; }
       map m { type ipv4_addr : verdict; flags timeout;
         elements = { 10.0.0.1 timeout 1s : drop } }`,
      'add @s { iifname . ip saddr . tcp dport }\nip saddr vmap @m',
    );
    expect(fate(stack, 1, 443)).toBe('dropped');
    advance(stack, 1000);
    expect(fate(stack, 1, 443)).toBe('sent');
    expect(listed(stack)).toContain('elements = { "rc" . 10.0.0.1 . 443 }');
  });

  it('come back from their own JSON', () => {
    const stack = machine(SET, `${RULES}\nupdate @s { ip saddr timeout 5s limit rate 4/second }`);
    fate(stack, 1, ADD);
    const json = stack.nf.nft.run(['-j', 'list', 'ruleset']).stdout;
    const again = new NfStack();
    // 1.0.6's JSON has no word for dynamic sets.
    const dynamic = json.replace('"flags": ["timeout"]', '"flags": ["dynamic", "timeout"]');
    expect(again.nf.nft.run(['-j', '-f', '-'], dynamic).stderr).toBe('');
    expect(again.nf.nft.run(['list', 'ruleset']).stdout).toBe(
      stack.nf.nft.run(['list', 'ruleset']).stdout,
    );
  });
});
