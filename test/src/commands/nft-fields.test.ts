// Which packets match: a router of a real Linux counted for 130 rules, each with a match of its own, what they matched of 37 packets
// (fixtures/recordings/nft/fields.json). The same rules and packets here; every counter is compared, and every frame that came out.

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { PS_PER_MS } from '../../../hw/time/units.ts';
import { tokenize } from '../../../src/scenario/commands/command.ts';
import { Testbed } from '../../../src/scenario/testbed.ts';
import { bytesOf, hex } from '../../support/stack-rig.ts';

interface Recording {
  wires: Record<string, { device: string; mac: string }>;
  setup: (string | { cmd: string; stdin: string })[];
  steps: {
    t: number;
    in: { port: string; frame: string };
    out: { port: string; frame: string }[];
  }[];
  ruleset: string;
}

const recording = JSON.parse(
  readFileSync(new URL('../../../fixtures/recordings/nft/fields.json', import.meta.url), 'utf8'),
) as Recording;

it('counts for every match what a real Linux counted', () => {
  const { wires, setup, steps, ruleset } = recording;
  const ports = Object.keys(wires);
  const testbed = new Testbed({
    seed: 1,
    device: { txPadReset: false },
    ports: ports.map((p) => ({ name: wires[p].device, mac: wires[p].mac })),
  });
  let out: { port: string; frame: string }[] = [];
  testbed.onFrame = ({ portIndex, bytes, at, lenBytes }) => {
    out.push({ port: ports[portIndex], frame: hex(bytes.subarray(at, at + lenBytes)) });
  };
  for (const entry of setup) {
    const [words] = tokenize(typeof entry === 'string' ? entry : entry.cmd);
    const done = testbed.runWords(words, typeof entry === 'string' ? '' : entry.stdin);
    expect(done.stderr).toBe('');
  }
  const startPs = testbed.nowPs;
  for (const step of steps) {
    const atPs = startPs + Math.round(step.t * 1000) * PS_PER_MS;
    testbed.advance(Math.max(0, atPs - testbed.nowPs));
    out = [];
    testbed.inject(ports.indexOf(step.in.port), testbed.nowPs, bytesOf(step.in.frame));
    testbed.advance(100 * PS_PER_MS);
    expect(out, step.in.frame).toEqual(step.out);
  }
  const listed = testbed.runWords(['nft', 'list', 'ruleset']).stdout;
  expect(listed.split('\n')).toEqual(ruleset.split('\n'));
});
