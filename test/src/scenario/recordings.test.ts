// The whole machine against recordings of a real Linux: frames to the byte, conntrack lines, how often each hook ran.

import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { sameConntrackLine, sameFrame } from '../../../src/scenario/recording/compare.ts';
import { parseRecording } from '../../../src/scenario/recording/format.ts';
import type { Recording } from '../../../src/scenario/recording/format.ts';
import { playRecording } from '../../../src/scenario/recording/player.ts';

const FOLDER = new URL('../../../fixtures/recordings/flowtable/', import.meta.url);
const FILES = readdirSync(FOLDER).filter((name) => name.endsWith('.json'));

function load(name: string): Recording {
  return parseRecording(readFileSync(new URL(name, FOLDER), 'utf8'), name);
}

function loadOffload(name: string): Recording {
  const folder = new URL('../offload/', FOLDER);
  return parseRecording(readFileSync(new URL(name, folder), 'utf8'), name);
}

describe('recordings', () => {
  it.each(FILES)('%s: no difference', (name) => {
    const report = playRecording(load(name));
    expect(report.differences).toEqual([]);
    expect(report.compared.frames).toBeGreaterThan(30);
    expect(report.compared.ctLines).toBeGreaterThan(50);
  });

  it('offsim-flowtable-plain.json: the same calls into the driver, with the same match and action lists', () => {
    const { differences, compared } = playRecording(loadOffload('offsim-flowtable-plain.json'));
    expect(differences).toEqual([]);
    expect(compared.driverCalls).toBe(152);
  });

  it('two-namespaces.json: forwarded across a veth pair, translated in one namespace, tracked in both', () => {
    const url = new URL('../namespaces/two-namespaces.json', FOLDER);
    const { differences, compared } = playRecording(
      parseRecording(readFileSync(url, 'utf8'), 'two-namespaces.json'),
    );
    expect(differences).toEqual([]);
    expect(compared.frames).toBe(22);
    expect(compared.ctLines).toBe(74);
  });

  it('bridge/classic.json: learned, flooded, routed', () => {
    const url = new URL('../bridge/classic.json', FOLDER);
    const { differences, compared } = playRecording(
      parseRecording(readFileSync(url, 'utf8'), 'classic.json'),
    );
    expect(differences).toEqual([]);
    expect(compared.frames).toBe(20);
  });

  it('finds a changed, a missing and an extra driver call', () => {
    const recording = loadOffload('offsim-flowtable-plain.json');
    const calls = recording.steps.find((step) => step.name === 'ack')?.driver ?? [];
    calls[0] = calls[0].replace('dport=80', 'dport=81');
    calls.pop();
    const { differences } = playRecording(recording);
    expect(differences.map(({ what }) => what)).toEqual(['driver', 'driver']);
    expect(differences[0].found).toContain('dport=80');
    expect(differences[1].expected).toBe('');
  }, 60_000);

  it('finds a difference where there is one: a changed frame, line and count', () => {
    const recording = load('classic-plain.json');
    const step = recording.steps[3];
    const frame = step.out?.[0];
    if (frame === undefined || step.ct === undefined || step.hooks === undefined)
      throw new Error('the recording has no such step');
    frame.frame = frame.frame.replace(/.$/, (digit) => (digit === '0' ? '1' : '0'));
    step.ct[0] = step.ct[0].replace('dport=80', 'dport=81');
    step.hooks['fwd'] = 7;
    const { differences } = playRecording(recording);
    expect(differences.map((one) => one.what).sort()).toEqual(['ct', 'frame', 'hooks']);
  });
});

describe('what counts as the same', () => {
  const own = new Set(['c0a80101']);
  const icmp = (id: string, sum: string, src: string): string =>
    `020000000102020000000101080045c00044${id}00004001${sum}${src}c0a801020b00`;

  it('lets only packets of the machine itself differ in the IPv4 id', () => {
    const a = icmp('760e', '8097', 'c0a80101');
    expect(sameFrame(a, icmp('d77e', '1234', 'c0a80101'), own)).toBe(true);
    expect(sameFrame(icmp('760e', '8097', '0a000002'), icmp('d77e', '1234', '0a000002'), own)).toBe(
      false,
    );
    expect(sameFrame(a, `${a}00`, own)).toBe(false);
  });

  it('lets conntrack lines differ in the id and one second, nothing else', () => {
    const line = (seconds: number, rest: string): string =>
      `ipv4     2 icmp     1 ${seconds} src=1.1.1.1 dst=2.2.2.2 type=8 code=0 id=7 ${rest}`;
    expect(sameConntrackLine(line(29, 'use=1 id=5'), line(28, 'use=1 id=9'))).toBe(true);
    expect(sameConntrackLine(line(29, 'use=1 id=5'), line(27, 'use=1 id=5'))).toBe(false);
    expect(sameConntrackLine(line(29, 'use=1 id=5'), line(29, 'use=2 id=5'))).toBe(false);
  });
});
