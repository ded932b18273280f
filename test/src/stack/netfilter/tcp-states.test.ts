// The TCP tracker against Linux 6.1: from each state one more segment (fixtures/recordings/flowtable/tcp-states.json).
// Each step starts on a fresh machine; the segments of `paths` bring the connection to the state, then the recorded frame
// comes. Compared: the entry before, the entry after (timeouts within 1 s) and which ct state the packet matched.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { NfStack, hex } from '../../../support/nf-stack.ts';
import { TcpPath } from '../../../support/tcp-path.ts';

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
const MATCHED: Record<string, number> = { inv: 1, est: 2, rel: 4, new: 8 };

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
      const path = new TcpPath();
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
