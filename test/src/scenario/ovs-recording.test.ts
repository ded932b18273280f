// The datapath against a recording of the kernel's: frames to the byte, flow dumps, conntrack entries, upcalls, refusals.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseRecording } from '../../../src/scenario/recording/format.ts';
import type { Recording } from '../../../src/scenario/recording/format.ts';
import { playRecording } from '../../../src/scenario/recording/player.ts';

const FILE = new URL('../../../fixtures/recordings/ovs/ovs.json', import.meta.url);

function load(): Recording {
  return parseRecording(readFileSync(FILE, 'utf8'), 'ovs.json');
}

describe('ovs.json', () => {
  it('plays without difference', () => {
    const { differences, compared, steps } = playRecording(load());
    expect(differences).toEqual([]);
    expect(steps).toBe(401);
    expect(compared.frames).toBe(307);
  }, 60_000);

  it('finds what was changed: a frame, a dump, an upcall, a refusal', () => {
    const recording = load();
    const stepOf = (name: string): Recording['steps'][number] => {
      const found = recording.steps.find((step) => step.name === name);
      if (found === undefined) throw new Error(`no step '${name}'`);
      return found;
    };
    const frame = stepOf('output: udp').out?.[0];
    const dump = stepOf('output: after').dump;
    const upcall = stepOf('recirc miss to userspace: udp').upcalls?.[0] as { cmd: string };
    const refused = stepOf('set arp: flows').run?.find((one) => one.error !== undefined);
    if (frame === undefined || dump === undefined || refused === undefined)
      throw new Error('the recording has no such step');
    frame.frame = frame.frame.replace(/73$/, '74');
    dump[0] = dump[0].replace('packets:3', 'packets:4');
    upcall.cmd = 'ACTION';
    delete refused.error;
    const { differences } = playRecording(recording);
    expect([...new Set(differences.map(({ what }) => what))].sort()).toEqual([
      'command',
      'dump',
      'frame',
      'upcall',
    ]);
  }, 60_000);
});
