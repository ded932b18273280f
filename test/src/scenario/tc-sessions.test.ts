// tc(8) against sessions of the real one (fixtures/record-tc.sh): actions by themselves, filters that share them, shared blocks.
//
// The recording kernel (6.18) has no matchall and the model no u32: `u32 match u32 0 0` is played as matchall. It prints "used_hw_stats
// disabled" for every action, which the 6.1 that the model follows does not; root qdiscs are not modelled. Those lines are left out.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { tokenize } from '../../../src/scenario/commands/command.ts';
import { parseTranscript } from '../../../src/scenario/recording/transcript.ts';
import { Testbed } from '../../../src/scenario/testbed.ts';

const FOLDER = new URL('../../../fixtures/recordings/tc/', import.meta.url);

function recorded(output: string): string {
  return output
    .replaceAll('\tused_hw_stats disabled\n', '')
    .replaceAll(',"used_hw_stats":["disabled"]', '')
    .replace(/^qdisc noqueue 0: .*\n/gm, '')
    .replaceAll(
      '{"kind":"noqueue","handle":"0:","dev":"lo","root":true,"refcnt":2,"options":{}},',
      '',
    );
}

const plain = (text: string): string => text.replace(/(installed|used) [0-9]+ sec/g, '$1 N sec');

describe.each(['actions', 'blocks'])('session %s', (name) => {
  const testbed = new Testbed({ ports: [] });
  const text = readFileSync(new URL(`${name}.commands.txt`, FOLDER), 'utf8');
  for (const { command, output, status, line } of parseTranscript(text))
    it(`line ${line}: ${command}`, () => {
      const words = tokenize(command.replace('u32 match u32 0 0', 'matchall'))[0];
      const result = testbed.runWords(words);
      testbed.advance(200e9);
      expect(plain(result.stderr + result.stdout)).toBe(plain(recorded(output)));
      expect(result.status).toBe(status);
    });
});
