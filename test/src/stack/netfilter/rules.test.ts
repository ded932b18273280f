// Rule programs against a naive reading of the same rules: random matches from small pools, as nft text for the model and as a
// predicate over the packet's facts for the oracle. Chains with jumps, returns and both policies.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NfStack } from '../../../support/nf-stack.ts';

const SEED = 7;

interface Facts {
  src: number;
  dport: number;
  protocol: number;
  ttl: number;
  lenBytes: number;
  six: boolean;
}

interface Match {
  text: string;
  holds: (p: Facts) => boolean;
}

const PORTS = [22, 80, 443, 8080];

function compare(op: string, a: number, b: number): boolean {
  if (op === '<' || op === '<=') return a < b || (op === '<=' && a === b);
  if (op === '>' || op === '>=') return a > b || (op === '>=' && a === b);
  return (a === b) === (op === '==');
}

const match: fc.Arbitrary<Match> = fc.oneof(
  fc.record({ port: fc.constantFrom(...PORTS), tcp: fc.boolean() }).map(({ port, tcp }) => ({
    text: `${tcp ? 'tcp' : 'udp'} dport ${port}`,
    holds: (p: Facts) => p.protocol === (tcp ? 6 : 17) && p.dport === port,
  })),
  fc
    .record({ low: fc.constantFrom(22, 80), high: fc.constantFrom(443, 8080), not: fc.boolean() })
    .map(({ low, high, not }) => ({
      text: `tcp dport ${not ? '!= ' : ''}${low}-${high}`,
      holds: (p: Facts) => p.protocol === 6 && (p.dport >= low && p.dport <= high) !== not,
    })),
  fc.subarray(PORTS, { minLength: 1 }).map((ports) => ({
    text: `th dport { ${ports.join(', ')} }`,
    holds: (p: Facts) => ports.includes(p.dport),
  })),
  fc.constantFrom(16, 24, 30, 31, 32).map((len) => ({
    text: `ip saddr 10.0.0.2/${len}`,
    holds: (p: Facts) => !p.six && p.src >>> (32 - len) === 0x0a000002 >>> (32 - len),
  })),
  fc.constantFrom('<', '<=', '>', '>=', '!=', '==').chain((op) =>
    fc.constantFrom(1, 63, 64).map((ttl) => ({
      text: `ip ttl ${op === '==' ? '' : `${op} `}${ttl}`,
      holds: (p: Facts) => !p.six && compare(op, p.ttl, ttl),
    })),
  ),
  fc.constantFrom('tcp', 'udp').map((name) => ({
    text: `meta l4proto ${name}`,
    holds: (p: Facts) => p.protocol === (name === 'tcp' ? 6 : 17),
  })),
  fc.boolean().map((not) => ({
    text: `th dport ${not ? '!= ' : ''}@ports`,
    holds: (p: Facts) => (p.dport === 22 || (p.dport >= 400 && p.dport <= 8080)) !== not,
  })),
  fc.boolean().map((not) => ({
    text: `ip saddr ${not ? '!= ' : ''}@hosts`,
    holds: (p: Facts) => !p.six && (p.src === 0x0a000001 || p.src >>> 16 === 0x0a01) !== not,
  })),
  fc.constant({ text: 'ip6 saddr @sixes', holds: (p: Facts) => p.six && p.src >>> 16 === 0x0a00 }),
  fc.constant({ text: 'iifname @names', holds: () => true }),
  fc.constant({ text: 'meta nfproto ipv6', holds: (p: Facts) => p.six }),
  fc.constant({ text: 'iifname "rc*"', holds: () => true }),
  fc.constant({ text: 'oifname { "rc", "x*" }', holds: () => false }),
  fc.constant({ text: 'meta length 0-60', holds: (p: Facts) => p.lenBytes <= 60 }),
  fc.tuple(fc.subarray(PORTS, { minLength: 1 }), fc.boolean()).map(([ports, not]) => ({
    text: `ip saddr . th dport ${not ? '!= ' : ''}{ 10.0.0.2 . ${ports.join(', 10.0.0.2 . ')} }`,
    holds: (p: Facts) => !p.six && (p.src === 0x0a000002 && ports.includes(p.dport)) !== not,
  })),
  fc.tuple(fc.constantFrom(22, 80), fc.constantFrom(80, 443)).map(([low, high]) => ({
    text: `ip saddr . tcp dport { 10.0.0.0/31 . ${low}-${high}, 10.1.0.0-10.1.0.3 . 9 }`,
    holds: (p: Facts) =>
      !p.six &&
      p.protocol === 6 &&
      ((p.src >>> 1 === 0x0a000000 >>> 1 && p.dport >= low && p.dport <= high) ||
        (p.src >>> 2 === 0x0a010000 >>> 2 && p.dport === 9)),
  })),
  fc.boolean().map((not) => ({
    text: `iifname . meta l4proto . th dport ${not ? '!= ' : ''}@triples`,
    holds: (p: Facts) => (p.protocol === 17 && p.dport === 80) !== not,
  })),
  fc.constant({
    text: 'ip6 saddr . th dport @six_ports',
    holds: (p: Facts) => p.six && p.dport <= 80 && p.src >>> 16 === 0x0a00,
  }),
);

type Verdict =
  | 'accept'
  | 'drop'
  | 'return'
  | 'jump sub'
  | ''
  | 'th dport vmap @verdicts'
  | typeof ANONYMOUS
  | typeof PAIRS;
const ANONYMOUS = 'ip saddr vmap { 10.0.0.1-10.0.0.2 : drop, 10.1.0.0/16 : continue } accept';
const PAIRS = 'ip saddr . th dport vmap { 10.0.0.2 . 22 : drop, 10.0.0.1 . 80 : jump done }';

const SETS = `
  set ports { type inet_service; flags interval; elements = { 22, 400-8080 }; }
  set hosts { type ipv4_addr; flags interval; elements = { 10.1.0.0/16, 10.0.0.1 }; }
  set sixes { type ipv6_addr; flags interval; elements = { a00::/16, fe80::1 }; }
  set names { type ifname; elements = { "lo", "rc" }; }
  set triples { type ifname . inet_proto . inet_service;
    elements = { "rc" . udp . 80, "rs" . tcp . 80, "rc" . udp . 81 }; }
  set six_ports { type ipv6_addr . inet_service; flags interval;
    elements = { a00::/16 . 0-80, fe80::1 . 443 }; }
  chain done { accept; }
  map verdicts { type inet_service : verdict; flags interval;
    elements = { 22 : drop, 80 : jump done, 443 : return, 8000-9000 : continue }; }
`;

/** What a rule says once its matches hold: a final verdict, or how to go on. */
function verdictOf(verdict: Verdict, p: Facts): string {
  if (verdict === 'th dport vmap @verdicts')
    return { 22: 'drop', 80: 'accept', 443: 'return' }[p.dport] ?? '';
  if (verdict === PAIRS && p.six) return '';
  if (verdict === PAIRS && p.src === 0x0a000002 && p.dport === 22) return 'drop';
  if (verdict === PAIRS) return p.src === 0x0a000001 && p.dport === 80 ? 'accept' : '';
  if (verdict !== ANONYMOUS) return verdict;
  if (p.six) return '';
  if (p.src === 0x0a000001 || p.src === 0x0a000002) return 'drop';
  return p.src >>> 16 === 0x0a01 ? 'accept' : '';
}

const rule = fc.record({
  matches: fc.array(match, { minLength: 1, maxLength: 3 }),
  verdict: fc.constantFrom<Verdict>(
    'accept',
    'drop',
    'return',
    'jump sub',
    '',
    'th dport vmap @verdicts',
    ANONYMOUS,
    PAIRS,
  ),
});
interface Rule {
  matches: Match[];
  verdict: Verdict;
}

const packet = fc.record({
  src: fc.constantFrom(0x0a000001, 0x0a000002, 0x0a000003, 0x0a010002),
  dport: fc.constantFrom(...PORTS, 9),
  protocol: fc.constantFrom(6, 17),
  ttl: fc.constantFrom(1, 63, 64),
  six: fc.boolean(),
});

function text(name: string, rules: Rule[], base: string): string {
  const lines = rules.map(
    (r) => `${r.matches.map((m) => m.text).join(' ')} ${r.verdict || 'counter'}`,
  );
  return `chain ${name} {\n${base}${lines.join('\n')}\n}\n`;
}

/** Walks the rules as the manual says. */
function oracle(rules: Rule[], sub: Rule[], p: Facts): 'accept' | 'drop' | null {
  for (const r of rules) {
    if (!r.matches.every((m) => m.holds(p))) continue;
    const said = verdictOf(r.verdict, p);
    if (said === 'accept' || said === 'drop') return said;
    if (said === 'return') return null;
    if (r.verdict === 'jump sub') {
      const verdict = oracle(sub, [], p);
      if (verdict !== null) return verdict;
    }
  }
  return null;
}

function frame(p: Omit<Facts, 'lenBytes'>): Uint8Array {
  const l4At = p.six ? 54 : 34;
  const bytes = new Uint8Array(l4At + 20);
  const view = new DataView(bytes.buffer);
  view.setUint16(12, p.six ? 0x86dd : 0x0800);
  bytes[14] = p.six ? 0x60 : 0x45;
  view.setUint16(p.six ? 18 : 16, p.six ? 20 : 40);
  bytes[p.six ? 20 : 23] = p.protocol;
  bytes[p.six ? 21 : 22] = p.ttl;
  view.setUint32(p.six ? 22 : 26, p.src);
  view.setUint16(l4At + 2, p.dport);
  return bytes;
}

describe(`rules (seed ${SEED})`, () => {
  it('decide as the rules read', () => {
    fc.assert(
      fc.property(
        fc.array(rule, { maxLength: 5 }),
        fc.array(rule, { maxLength: 3 }),
        fc.boolean(),
        fc.array(packet, { minLength: 1, maxLength: 12 }),
        (rules, nested, dropByDefault, packets) => {
          const sub = nested.filter((r) => r.verdict !== 'jump sub');
          const policy = dropByDefault ? 'drop' : 'accept';
          const base = `type filter hook forward priority 0; policy ${policy};\n`;
          const stack = new NfStack();
          const chains = text('sub', sub, '') + text('forwarded', rules, base);
          const source = `table inet t {\n${SETS}${chains}}\n`;
          expect(stack.nf.nft.load(source)).toBe('');
          const listed = stack.nf.nft.run(['list', 'ruleset']).stdout;
          const again = new NfStack();
          expect(again.nf.nft.load(listed)).toBe('');
          for (const p of packets) {
            const wanted = oracle(rules, sub, { ...p, lenBytes: p.six ? 60 : 40 }) ?? policy;
            const fate = wanted === 'accept' ? 'sent' : 'dropped';
            expect(stack.send(frame(p), 0).fate).toBe(fate);
            expect(again.send(frame(p), 0).fate).toBe(fate);
          }
        },
      ),
      { seed: SEED, numRuns: 300 },
    );
  });
});

describe('limit', () => {
  /** Packets that pass of those sent at these times (ms), by hand: a bucket refilled at the rate, `burst` deep. */
  function passed(timesMs: number[], perSecond: number, burst: number): number {
    let tokens = burst;
    let last = 0;
    return timesMs.filter((at) => {
      tokens = Math.min(burst, tokens + ((at - last) * perSecond) / 1000);
      last = at;
      if (tokens < 1) return false;
      tokens--;
      return true;
    }).length;
  }

  it('lets the rate and the burst through, and `over` what is beyond', () => {
    const timesMs = [...Array.from({ length: 20 }, () => 1000), 1500, 1510, 2500, 2500, 2500, 9000];
    for (const over of [false, true]) {
      const stack = new NfStack();
      const rule = `limit rate ${over ? 'over ' : ''}2/second burst 3 packets accept`;
      const base = 'type filter hook forward priority 0; policy drop;';
      expect(stack.nf.nft.load(`table ip t {\nchain c {\n${base}\n${rule}\n}\n}\n`)).toBe('');
      const sent = timesMs.filter((at) => {
        stack.at(at / 1000);
        const p = { src: 1, dport: 80, protocol: 6, ttl: 64, six: false };
        return stack.send(frame(p), 0).fate === 'sent';
      }).length;
      const within = passed(timesMs, 2, 3);
      expect(sent).toBe(over ? timesMs.length - within : within);
    }
  });
});

describe('quota', () => {
  // As measured on Linux 6.18: of packets of 100 bytes a quota of 300 takes three.
  it.each([
    ['quota 100 bytes accept', 'YYnn'],
    ['quota over 100 bytes accept', 'nnYY'],
    ['quota 120 bytes accept', 'YYYn'],
    ['quota 100 bytes used 61 bytes accept', 'nnnn'],
    ['quota name "q" accept', 'YYnn'],
  ])('%s: packets of 40 bytes %s', (rule, wanted) => {
    const stack = new NfStack();
    const chain = `chain c {\ntype filter hook forward priority 0; policy drop;\n${rule}\n}`;
    expect(stack.nf.nft.load(`table ip t {\nquota q { 100 bytes; }\n${chain}\n}\n`)).toBe('');
    const p = { src: 1, dport: 80, protocol: 6, ttl: 64, six: false };
    const fates = [...wanted].map(() => (stack.send(frame(p), 0).fate === 'sent' ? 'Y' : 'n'));
    expect(fates.join('')).toBe(wanted);
    if (!rule.includes('name')) return;
    expect(stack.nf.nft.run(['reset', 'quotas']).stdout).toContain('100 bytes used 100 bytes');
    expect(stack.send(frame(p), 0).fate).toBe('sent');
  });
});

describe('ingress chains', () => {
  it.each(['inet', 'netdev'])('of %s see packets before prerouting, on their devices', (family) => {
    const stack = new NfStack();
    const rules = `table ${family} t {
chain in { type filter hook ingress device "rc" priority 0; tcp dport 80 drop; }
}
`;
    expect(stack.nf.nft.load(rules)).toBe('');
    const p = { src: 1, dport: 80, protocol: 6, ttl: 64, six: false };
    expect(stack.send(frame(p), 0).fate).toBe('dropped');
    expect(stack.send(frame(p), 1).fate).toBe('sent');
    expect(stack.send(frame({ ...p, dport: 81 }), 0).fate).toBe('sent');
    expect(stack.nf.nft.run(['flush', 'ruleset']).stderr).toBe('');
    expect(stack.send(frame(p), 0).fate).toBe('sent');
  });
});
