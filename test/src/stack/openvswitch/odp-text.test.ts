// Text of datapath flows against Open vSwitch itself: fixtures/recordings/ovs/text.txt holds what its own reader and printer made of
// each line (fixtures/record-ovs-text.sh). Attributes may stand in another order there: that of the userspace datapath.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { formatOdpActions } from '../../../../src/stack/openvswitch/odp-actions-format.ts';
import { parseOdpActions } from '../../../../src/stack/openvswitch/odp-actions-parse.ts';
import {
  formatOdpKey,
  NO_PORT_NAMES,
  parseOdpKey,
} from '../../../../src/stack/openvswitch/odp-key.ts';

const FILE = new URL('../../../../fixtures/recordings/ovs/text.txt', import.meta.url);
const STYLE = { verbose: false, names: NO_PORT_NAMES };

/** What this version of the tool cannot read although its datapath knows it; the model reads it. */
const READ_HERE_ONLY = /push_mpls|pop_mpls|push_eth|pop_eth|recirc\(0x|hash\(|dec_ttl\(le_1\(2/;
/** The userspace datapath refuses or forgets what the kernel takes: nothing about text. */
const NOT_TEXT = /^ovs-vswitchd: updating flow table|^$/;

const cases = readFileSync(FILE, 'utf8')
  .split(/^> /m)
  .slice(1)
  .map((part) => {
    const [line, answer] = part.split('\n');
    const [key, actions] = line.split(/ -> ?/);
    return { key, actions, answer };
  })
  .filter(({ answer }) => !NOT_TEXT.test(answer));

/** Top-level attributes, sorted. */
function attributes(key: string): string[] {
  let depth = 0;
  let text = '';
  for (const char of key) {
    depth += char === '(' ? 1 : char === ')' ? -1 : 0;
    text += char === ',' && depth === 0 ? '\n' : char;
  }
  return text.split('\n').sort();
}

function readAndPrint(key: string, actions: string): { key: string; actions: string } {
  const parsed = parseOdpKey(key, NO_PORT_NAMES);
  const list = parseOdpActions(actions, NO_PORT_NAMES);
  return {
    key: formatOdpKey(parsed.key, parsed.mask, STYLE),
    actions: formatOdpActions(list, STYLE),
  };
}

describe('flow text', () => {
  const read = cases.filter(({ answer }) => !answer.startsWith('ovs-vswitchd:'));
  const refused = cases.filter(({ answer }) => answer.startsWith('ovs-vswitchd:'));

  it('has enough cases', () => {
    expect(read.length).toBeGreaterThan(80);
    expect(refused.length).toBeGreaterThan(25);
  });

  it.each(read)('$key -> $actions', ({ key, actions, answer }) => {
    const found = readAndPrint(key, actions);
    expect(attributes(found.key)).toEqual(attributes(answer.replace(/, packets:.*/, '')));
    expect(found.actions).toBe(answer.replace(/.*, actions:/, ''));
  });

  it.each(refused)('refuses $key -> $actions', ({ key, actions, answer }) => {
    const place = /parsing flow key \((.*)\) \(Invalid argument\)/.exec(answer)?.[1];
    if (place !== undefined) expect(() => parseOdpKey(key, NO_PORT_NAMES)).toThrow(place);
    else if (READ_HERE_ONLY.test(actions)) {
      const list = parseOdpActions(actions, NO_PORT_NAMES);
      expect(formatOdpActions(list, STYLE)).toBe(actions.replace('recirc(2)', 'recirc(0x2)'));
    } else expect(() => parseOdpActions(actions, NO_PORT_NAMES)).toThrow('syntax error');
  });
});
