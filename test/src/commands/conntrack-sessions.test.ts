// Sessions of the real conntrack (fixtures/recordings/conntrack): -o xml, forms of addresses. Ids are the machine's own, seconds may be
// one less there, and -U counts the request itself as a use.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { tokenize } from '../../../src/scenario/commands/command.ts';
import { parseTranscript } from '../../../src/scenario/recording/transcript.ts';
import { Testbed } from '../../../src/scenario/testbed.ts';

const FOLDER = new URL('../../../fixtures/recordings/conntrack/', import.meta.url);

/** Lines in any order, without ids; a second has begun or not. */
function plain(text: string): string[] {
  return text
    .replace(/<id>[0-9]+</g, '<id>N<')
    .replace(/<use>[12]</g, '<use>N<')
    .replace(/^(udp +17) (99|100) /gm, '$1 N ')
    .replace(/<timeout>(99|100|59|60)</g, '<timeout>N<')
    .split('\n')
    .sort();
}

describe.each(['xml', 'addresses'])('conntrack session %s', (name) => {
  const testbed = new Testbed({ ports: [] });
  const recorded = readFileSync(new URL(`${name}.commands.txt`, FOLDER), 'utf8');
  for (const { command, output, status, line } of parseTranscript(recorded))
    it(`line ${line}: ${command}`, () => {
      const result = testbed.runWords(tokenize(command)[0]);
      expect(plain(result.stderr + result.stdout)).toEqual(plain(output));
      expect(result.status).toBe(status);
    });
});
