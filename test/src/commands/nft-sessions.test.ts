// Sessions recorded from the real nft 1.0.6 (fixtures/record-nft.sh): every command's output and exit status, and what `nft monitor`
// said in text and JSON, byte for byte. Free: process numbers, how much of a timeout is left, the
// order in which a flush empties a hash, what 1.0.6's monitor
// says of anonymous sets (`__map0`), and the bodies of deleted rules and counters in JSON (1.0.6 loses their maps and values).

import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { NetDevice } from '../../../driver/netdev.ts';
import { tokenize } from '../../../src/scenario/commands/command.ts';
import { NfStack } from '../../support/nf-stack.ts';

const folder = new URL('../../../fixtures/recordings/nft/', import.meta.url);
const read = (name: string): string => readFileSync(new URL(name, folder), 'utf8');
const sessions = readdirSync(folder).flatMap((f) => /^(.*)\.session$/.exec(f)?.[1] ?? []);

interface Recorded {
  command: string;
  printed: string;
  status: number;
}

function recorded(name: string): Recorded[] {
  const entries: Recorded[] = [];
  for (const line of read(`${name}.commands.txt`).split('\n').slice(0, -1)) {
    const rc = /^\[rc (\d+)\]$/.exec(line);
    if (line.startsWith('$ ')) entries.push({ command: line.slice(2), printed: '', status: 0 });
    else if (rc !== null) entries[entries.length - 1].status = Number(rc[1]);
    else entries[entries.length - 1].printed += `${line}\n`;
  }
  return entries;
}

/** Without how much of a timeout is left: the recording took time. */
function timeless(text: string): string {
  return text.replace(/expires [\ddhms]+/g, 'expires T').replace(/"expires": \d+/g, '"expires": T');
}

/** The lines less what two recordings of a session differ in, and what only 1.0.6's own bookkeeping explains. */
function comparable(monitor: string): string[] {
  const lines = timeless(monitor)
    .replace(/by process \d+/g, 'by process N')
    .replace(/("delete": \{"(?:rule|counter)": .*?"handle": \d+).*/g, '$1')
    .split('\n')
    .filter((line) => !line.includes('__map') && !line.includes('__set'));
  const isElement = (line: string): boolean =>
    /^(\{")?delete"?: \{"element|^delete element/.test(line);
  // A flush takes elements in hash order.
  const sorted: string[] = [];
  let from = 0;
  lines.forEach((line, i) => {
    if (isElement(line)) return;
    sorted.push(...lines.slice(from, i).sort(), line);
    from = i + 1;
  });
  return sorted;
}

describe('sessions of the real nft', () => {
  for (const [name, form] of sessions.flatMap((s) => [[s, 'txt'] as const, [s, 'json'] as const]))
    it(`${name}: outputs, statuses, monitor lines (${form})`, () => {
      const stack = new NfStack();
      const { nft } = stack.nf;
      stack.devs.push(new NetDevice('lo', stack.devs[0].ops));
      nft.run(form === 'json' ? ['-j', 'monitor'] : ['monitor']);
      for (const { command, printed, status } of recorded(name)) {
        const [words] = tokenize(command);
        const result = nft.run(words.slice(1));
        const said = timeless(result.stdout + result.stderr);
        expect({ command, printed: said, status: result.status }).toEqual({
          command,
          printed: timeless(printed),
          status,
        });
      }
      const said = read(`${name}.monitor.${form}`);
      expect(comparable(stack.monitors.take())).toEqual(comparable(said));
    });

  it.each(['concat', 'fields', 'objects'])(
    '%s: the real JSON, given as input, is listed as text',
    (name) => {
      const entries = recorded(name);
      const listing = (command: string): string =>
        entries.find((e) => e.command === command)?.printed ?? '';
      const stack = new NfStack();
      stack.devs.push(new NetDevice('lo', stack.devs[0].ops));
      const { nft } = stack.nf;
      // 1.0.6's JSON does not say that values are intervals.
      const json = listing('nft -j list ruleset').replace('"map": "ipv4_addr", "flags"', (text) =>
        text.replace('ipv4_addr', 'interval ipv4_addr'),
      );
      expect(nft.run(['-j', '-f', '-'], json).stderr).toBe('');
      const wanted = name === 'fields' ? read('fields.reread.txt') : listing('nft list ruleset');
      expect(nft.run(['list', 'ruleset']).stdout).toBe(wanted);
    },
  );

  // Not a session: 1.0.6's monitor prints garbage for ranges in concatenations. Verdicts as the real one gave them, in this order.
  it('concatenations with ranges: only a corner that lies in another one is refused', () => {
    const { nft } = new NfStack().nf;
    nft.run(['add table inet t']);
    nft.run([
      'add set inet t s { type ipv4_addr . inet_service; flags interval; elements = {' +
        '192.168.1.1-192.168.1.9 . 443-445, 10.0.0.0/8 . 80, 11.0.0.1 . 443 }; }',
    ]);
    const status = (verb: string, element: string): number =>
      nft.run([`${verb} element inet t s { ${element} }`]).status;
    expect(status('add', '10.1.0.0/16 . 80')).toBe(1);
    expect(status('add', '10.0.0.0/8 . 80')).toBe(0);
    expect(status('create', '10.0.0.0/8 . 80')).toBe(1);
    expect(status('add', '10.0.0.0/8 . 81')).toBe(0);
    expect(status('add', '10.0.0.0/8 . 70-90')).toBe(0);
    expect(status('delete', '10.0.0.0/8 . 80')).toBe(0);
    expect(nft.run(['list', 'set', 'inet', 't', 's']).stdout).toBe(`table inet t {
	set s {
		type ipv4_addr . inet_service
		flags interval
		elements = { 192.168.1.1-192.168.1.9 . 443-445,
			     11.0.0.1 . 443,
			     10.0.0.0/8 . 81,
			     10.0.0.0/8 . 70-90 }
	}
}
`);
  });
});
