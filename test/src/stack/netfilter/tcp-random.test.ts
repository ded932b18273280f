// Random connections against the naive tracker: two hosts that shake hands, send data, lose and repeat segments, reset, close one after
// the other or both at once, and use their ports again. After each segment: what it matched, the entry's state and flags.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NAIVE_STATE_NAMES, NaiveTcpConntrack } from '../../../reference/naive-tcp-conntrack.ts';
import type { NaiveSegment } from '../../../reference/naive-tcp-conntrack.ts';
import { NfStack, hex } from '../../../support/nf-stack.ts';
import { frameOf, ipPacket } from '../../../support/packets.ts';

const SEED = 20261121;
const RULES =
  'table inet t { chain c { type filter hook forward priority 0; ct state invalid accept; } }';
const MATCHES = { invalid: 1, established: 2, new: 8 } as const;

type Side = 'c' | 's';

/** Two hosts as far as sequence numbers go. */
class Hosts {
  next = { c: 1000, s: 5000 };
  /** What each side has received in order: what it acknowledges. */
  heard = { c: 0, s: 0 };
  sent: NaiveSegment[] = [];

  make(from: Side, flags: string, payloadBytes = 0): NaiveSegment {
    const segment = {
      from,
      flags,
      seq: this.next[from],
      ack: flags.includes('A') ? this.heard[from] : 0,
      payloadBytes,
    };
    this.next[from] += payloadBytes + (/[SF]/.test(flags) ? 1 : 0);
    this.sent.push(segment);
    return segment;
  }

  /** The segment reaches the other side. */
  deliver(segment: NaiveSegment): void {
    const to = segment.from === 'c' ? 's' : 'c';
    if (this.heard[to] === 0 && segment.flags.includes('S')) this.heard[to] = segment.seq;
    const end = segment.seq + segment.payloadBytes + (/[SF]/.test(segment.flags) ? 1 : 0);
    if (segment.seq <= this.heard[to] && end > this.heard[to]) this.heard[to] = end;
  }

  /** New numbers for the same ports. */
  restart(): void {
    this.next = { c: this.next.c + 100_000, s: this.next.s + 100_000 };
    this.heard = { c: 0, s: 0 };
    this.sent = [];
  }
}

/** Bytes of a segment as a frame. */
function frame(segment: NaiveSegment): Uint8Array {
  const fromClient = segment.from === 'c';
  const packet = ipPacket({
    src: fromClient ? '192.168.1.2' : '10.0.0.2',
    dst: fromClient ? '10.0.0.2' : '192.168.1.2',
    sport: fromClient ? 4000 : 80,
    dport: fromClient ? 80 : 4000,
    flags: segment.flags,
    seq: segment.seq,
    ack: segment.ack,
    payload: new Uint8Array(segment.payloadBytes),
  });
  return hex(frameOf(packet, '020000000101', '020000000002'));
}

type Step =
  | {
      what: 'open' | 'ack' | 'data' | 'fin' | 'rst' | 'junk' | 'odd';
      from: Side;
      lost: boolean;
      size: number;
    }
  | { what: 'again'; from: Side; lost: boolean; size: number }
  | {
      what: 'handshake' | 'close' | 'close-both' | 'reuse';
      from: Side;
      lost: boolean;
      size: number;
    };

const step: fc.Arbitrary<Step> = fc.record({
  what: fc.constantFrom(
    'open',
    'ack',
    'data',
    'data',
    'fin',
    'rst',
    'junk',
    'odd',
    'again',
    'again',
    'handshake',
    'close',
    'close-both',
    'reuse',
  ),
  from: fc.constantFrom<Side>('c', 's'),
  lost: fc.boolean(),
  size: fc.integer({ min: 1, max: 300 }),
});

/** Segments of a step, as they come past the tracker. */
function* segments(hosts: Hosts, { what, from, lost, size }: Step): Generator<NaiveSegment> {
  const peer: Side = from === 'c' ? 's' : 'c';
  const send = (segment: NaiveSegment, arrives = true): NaiveSegment => {
    if (arrives) hosts.deliver(segment);
    return segment;
  };
  // Hosts that have not heard of each other say nothing else.
  const isOpening = what === 'open' || what === 'handshake' || what === 'reuse' || what === 'again';
  if (!isOpening && (hosts.heard.c === 0 || hosts.heard.s === 0)) return;
  switch (what) {
    case 'open':
      yield send(hosts.make(from, 'S'), !lost);
      return;
    case 'handshake':
      yield send(hosts.make('c', 'S'));
      yield send(hosts.make('s', 'SA'));
      if (!lost) yield send(hosts.make('c', 'A'));
      return;
    case 'ack':
      yield send(hosts.make(from, 'A'), !lost);
      return;
    case 'data':
      yield send(hosts.make(from, 'PA', size), !lost);
      if (!lost) yield send(hosts.make(peer, 'A'));
      return;
    case 'fin':
      yield send(hosts.make(from, 'FA'), !lost);
      return;
    case 'close':
      for (const side of [from, peer] as const) {
        yield send(hosts.make(side, 'FA'));
        yield send(hosts.make(side === 'c' ? 's' : 'c', 'A'));
      }
      return;
    case 'close-both': {
      const one = hosts.make(from, 'FA');
      const other = hosts.make(peer, 'FA');
      yield send(one);
      yield send(other);
      yield send(hosts.make(peer, 'A'));
      yield send(hosts.make(from, 'A'));
      return;
    }
    case 'rst':
      yield hosts.make(from, lost ? 'R' : 'RA');
      return;
    case 'reuse':
      hosts.restart();
      yield send(hosts.make('c', 'S'), !lost);
      return;
    case 'junk':
      yield { ...hosts.make(from, 'A'), flags: lost ? 'FSA' : 'F' };
      return;
    case 'odd':
      yield { ...hosts.make(from, 'SA'), payloadBytes: 0 };
      return;
    case 'again': {
      const old = hosts.sent.filter((s) => s.from === from && !s.flags.includes('R'));
      if (old.length > 0) yield send(old[old.length - 1], !lost);
    }
  }
}

function entryText(naive: NaiveTcpConntrack): string {
  const { entry } = naive;
  if (entry === null) return 'none';
  const flags = [entry.seenReply ? '' : '[UNREPLIED]', entry.assured ? '[ASSURED]' : ''];
  return [NAIVE_STATE_NAMES[entry.state], entry.client, ...flags].filter((w) => w !== '').join(' ');
}

function lineText(lines: string[]): string {
  if (lines.length === 0) return 'none';
  const words = lines[0].split(/ +/);
  const flags = words.filter((w) => w.startsWith('['));
  const client = lines[0].indexOf('src=192') < lines[0].indexOf('src=10.') ? 'c' : 's';
  return [words[5], client, ...flags].join(' ');
}

describe(`random TCP connections (seed ${SEED})`, () => {
  it('are tracked as the table says', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const stack = new NfStack();
        stack.sysctl.set('net.netfilter.nf_conntrack_tcp_be_liberal', '1');
        expect(stack.nf.nft.load(RULES)).toBe('');
        const naive = new NaiveTcpConntrack();
        const hosts = new Hosts();
        const story: string[] = [];
        let seconds = 1;
        for (const one of steps)
          for (const segment of segments(hosts, one)) {
            const { ctState } = stack
              .at((seconds += 0.01))
              .send(frame(segment), segment.from === 'c' ? 0 : 1);
            const match = naive.pass(segment);
            story.push(
              `${segment.from}${segment.flags} seq ${segment.seq} ack ${segment.ack}: ${match}`,
            );
            const told = story.slice(-12).join('\n');
            expect(`${ctState} ${lineText(stack.connections())}`, told).toBe(
              `${MATCHES[match]} ${entryText(naive)}`,
            );
          }
        return true;
      }),
      { seed: SEED, numRuns: 600 },
    );
  });
});
