// The TCP tracker against Linux 6.1: from each state one more segment (fixtures/recordings/flowtable/tcp-states.json).
// Each step starts on a fresh machine; the segments of `paths` bring the connection to the state, then the recorded frame
// comes. Compared: the entry before, the entry after (timeouts within 1 s) and which ct state the packet matched.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { NfStack, hex } from '../../../support/nf-stack.ts';

interface Step {
  name: string;
  in: { port: 'c' | 's'; frame: string };
  before: string[];
  after: { ct: string[]; matched: string[] };
}

const recording = JSON.parse(
  readFileSync(
    new URL('../../../../fixtures/recordings/flowtable/tcp-states.json', import.meta.url),
    'utf8',
  ),
) as { paths: Record<string, string[]>; steps: Step[] };

const RULES = `table inet t {
  chain forwarded { type filter hook forward priority 0; ct state invalid accept; }
}
`;
const FLAGS: Record<string, number> = { F: 1, S: 2, R: 4, P: 8, A: 16, U: 32 };
const MATCHED: Record<string, number> = { inv: 1, est: 2, rel: 4, new: 8 };

function put32(bytes: Uint8Array, at: number, value: number): void {
  new DataView(bytes.buffer).setUint32(at, value);
}

/** Fills in the TCP checksum of a 14 + 20 + n frame. */
function checksum(frame: Uint8Array): void {
  const view = new DataView(frame.buffer);
  const lenBytes = frame.length - 34;
  view.setUint16(50, 0);
  let sum = 6 + lenBytes;
  for (let i = 26; i < frame.length; i += 2) sum += view.getUint16(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(50, ~sum & 0xffff);
}

/** A segment of a path ("cSA": client, SYN+ACK) with sequence numbers kept as two hosts would. */
class Path {
  private readonly next = { c: 1000, s: 5000 };
  private readonly seen = { c: 0, s: 0 };

  segment(word: string, clientPort: number): { frame: Uint8Array; from: number } {
    const side = word.charAt(0) as 'c' | 's';
    const peer = side === 'c' ? 's' : 'c';
    const flags = [...word.slice(1)].reduce((bits, letter) => bits | FLAGS[letter], 0);
    const frame = hex(
      '020000000101020000000102080045000028000100004006af23c0a801020a0000024e2100500000000000000000500000000000' +
        '0000',
    );
    frame[47] = flags;
    frame[48] = 0xfa;
    frame[49] = 0xf0;
    const view = new DataView(frame.buffer);
    if (side === 's') {
      view.setUint32(26, 0x0a000002);
      view.setUint32(30, 0xc0a80102);
    }
    view.setUint16(34, side === 'c' ? clientPort : 80);
    view.setUint16(36, side === 'c' ? 80 : clientPort);
    put32(frame, 38, this.next[side]);
    put32(
      frame,
      42,
      (flags & 16) !== 0 ? (this.seen[side] === 0 ? this.next[peer] : this.seen[side]) : 0,
    );
    this.next[side] += (flags & 3) !== 0 ? 1 : 0;
    this.seen[peer] = this.next[side];
    checksum(frame);
    return { frame, from: side === 'c' ? 0 : 1 };
  }
}

/** `2 tcp 6 119 SYN_SENT sport=… ` of the recording, from our line. */
function short(line: string): string {
  return line
    .replace(/^ipv[46] +/, '')
    .replace(/ +/g, ' ')
    .replace(/ (src|dst|packets|bytes|mark|use)=\S+/g, '');
}

/** Splits off the timeout. */
function parts(line: string): { timeout: number; rest: string } {
  const words = line.split(' ');
  return { timeout: Number(words[3]), rest: [...words.slice(0, 3), ...words.slice(4)].join(' ') };
}

function expectLines(found: string[], wanted: string[]): void {
  expect(found.map((l) => parts(l).rest)).toEqual(wanted.map((l) => parts(l).rest));
  found.forEach((line, i) => {
    expect(Math.abs(parts(line).timeout - parts(wanted[i]).timeout)).toBeLessThanOrEqual(1);
  });
}

describe('TCP states as Linux 6.1 recorded them', () => {
  for (const step of recording.steps)
    it(step.name, () => {
      const stack = new NfStack();
      stack.sysctl.set('net.netfilter.nf_conntrack_acct', '1');
      expect(stack.nf.nft.load(RULES)).toBe('');
      const frame = hex(step.in.frame);
      const view = new DataView(frame.buffer);
      const clientPort = view.getUint16(step.in.port === 'c' ? 34 : 36);
      const path = new Path();
      let seconds = 0.1;
      for (const word of recording.paths[step.name.split(':')[0]]) {
        const { frame: bytes, from } = path.segment(word, clientPort);
        stack.at((seconds += 0.001)).send(bytes, from);
      }
      expectLines(stack.connections().map(short), step.before);
      const passage = stack.at((seconds += 0.001)).send(frame, step.in.port === 'c' ? 0 : 1);
      expectLines(stack.connections().map(short), step.after.ct);
      expect(passage.ctState).toBe(MATCHED[step.after.matched[0]]);
      expect(passage.fate).toBe('sent');
    });
});
