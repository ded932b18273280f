// tc lines against what a real kernel made of them: a driver that accepts every flower offload logged its keys, masks and
// actions as the kernel decoded them (fixtures/rules/dialects/linux-flower.driver.txt). The decoder of the log is here.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readRules, tellRule } from '../../../src/rules/dialects.ts';
import { matchOf } from '../../../src/rules/rule.ts';
import type { Action, FieldName, Rule } from '../../../src/rules/rule.ts';

const FOLDER = join(import.meta.dirname, '../../../fixtures/rules/dialects');
const read = readRules(readFileSync(join(FOLDER, 'linux-flower.tc'), 'utf8'), 'flower.tc', 'tc');
const LOG = readFileSync(join(FOLDER, 'linux-flower.driver.txt'), 'utf8').trim().split('\n');

/** Which command each log line is about: the others stay in software or were refused. */
const COMMAND_OF_LINE = [0, 1, 2, 4, 5, 6, 7, 8, 10, 13, 15];

interface Logged {
  keys: Map<string, string>;
  actions: string[];
}

function parseLog(line: string): Logged {
  const [head, ...actions] = line.replace(/ (\[ct table.*)?-> 0$/, '').split(' | ');
  const keys = new Map<string, string>();
  let last = '';
  // Parts of one key stand apart: "vlan.id=10/fff prio=3/7" names vlan's priority, "mpls[0]=100/fffff tc=3".
  for (const word of head.split(' ').filter((one) => one.includes('='))) {
    const [name, value] = word.split('=');
    const prefix = { prio: 'vlan.', tc: 'mpls.', bos: 'mpls.', mark: 'ct.', zone: 'ct.' }[name];
    const dotted = name === 'ttl' && last.startsWith('mpls') ? 'mpls.ttl' : (prefix ?? '') + name;
    const key = name === 'prio' && !last.startsWith('vlan') ? 'prio' : dotted;
    keys.set(key, value);
    last = key;
  }
  return { keys, actions: actions.map((one) => one.replace(/ hw_stats=.*$/, '')) };
}

/** Value and mask of a rule's field as the log writes them: BigInt-free, through text. */
function asHex(rule: Rule, field: FieldName): string {
  const match = matchOf(rule, field);
  if (match === null) return '0/0';
  if (match.kind === 'range') return `${match.low}-${match.high}`;
  const text = (words: number[]): string =>
    BigInt(`0x${words.map((w) => w.toString(16).padStart(8, '0')).join('')}`).toString(16);
  return `${text(match.value)}/${text(match.mask)}`;
}

const hexPair = (text: string, base: number): string => {
  const [value, mask] = text.split('/');
  return `${parseInt(value, base).toString(16)}/${mask.replace(/^0+(?=.)/, '')}`;
};
const bytesHex = (text: string, base: number, split: string): string =>
  text
    .split('/')
    .map((part) => {
      const all = part.split(split).map((one) => parseInt(one, base).toString(16).padStart(2, '0'));
      return BigInt(`0x${all.join('')}`).toString(16);
    })
    .join('/');
const port = (text: string): string => (text.includes('-') ? text : hexPair(text, 10));

/** Log key, field, and how the log's text becomes value/mask in hexadecimal. */
const CHECKS: [key: string, field: FieldName, norm: (text: string) => string][] = [
  ['ip_proto', 'ip_proto', (text) => hexPair(text, 10)],
  ['tos', 'ip_tos', (text) => hexPair(text, 16)],
  ['ttl', 'ip_ttl', (text) => hexPair(text, 10)],
  ['ipv4.src', 'ipv4_src', (text) => bytesHex(text, 10, '.')],
  ['ipv4.dst', 'ipv4_dst', (text) => bytesHex(text, 10, '.')],
  ['eth.dst', 'eth_dst', (text) => bytesHex(text, 16, ':')],
  ['eth.src', 'eth_src', (text) => bytesHex(text, 16, ':')],
  ['sport', 'sport', port],
  ['dport', 'dport', port],
  ['tcp.flags', 'tcp_flags', (text) => hexPair(text, 16)],
  ['vlan.id', 'vlan_id', (text) => hexPair(text, 10)],
  ['vlan.prio', 'vlan_pcp', (text) => hexPair(text, 10)],
  ['tpid', 'vlan_tpid', (text) => text],
  ['mpls[0]', 'mpls_label', (text) => hexPair(text, 10)],
  ['mpls.ttl', 'mpls_ttl', (text) => hexPair(text, 10)],
  ['ct.zone', 'ct_zone', (text) => hexPair(text, 10)],
  ['ct.mark', 'ct_mark', (text) => hexPair(text, 16)],
];

/** Keys that a dissector shares with others: printed though not compared. */
const SHARED = new Set(['0-0', '0/0']);

describe('tc flower lines as Linux reads them', () => {
  it('reads every line of the recording', () => {
    expect(read.error).toBeNull();
    expect(read.rules).toHaveLength(16);
    expect(LOG).toHaveLength(COMMAND_OF_LINE.length);
  });

  LOG.forEach((line, at) => {
    const rule = read.rules[COMMAND_OF_LINE[at]];
    const { keys, actions } = parseLog(line);
    it(`has the keys and masks of log line ${at + 1}`, () => {
      expect(rule.group).toBe(Number(keys.get('chain')));
      expect(rule.priority).toBe(Number(keys.get('prio')));
      const type = hexPair(keys.get('n_proto') ?? '0/0', 16);
      expect(asHex(rule, 'eth_type')).toBe(type);
      const fields = new Set<FieldName>(['eth_type', 'ip_frag', 'ct_state', 'ct_label']);
      for (const [key, field, norm] of CHECKS) {
        const text = keys.get(key);
        if (text === undefined || SHARED.has(text)) continue;
        fields.add(field);
        expect(`${key} ${asHex(rule, field)}`).toBe(`${key} ${norm(text)}`);
      }
      for (const field of ['ipv6_dst', 'icmp_type', 'icmp_code', 'mpls_tc', 'mpls_bos'] as const)
        fields.add(field);
      // Nothing is compared that the kernel does not compare.
      for (const match of rule.matches) expect(fields).toContain(match.field);
    });

    it(`has the actions of log line ${at + 1}`, () => {
      expect(rule.actions.map(logged)).toEqual(actions.map(shortened));
    });
  });

  it('prints lines that read as the same rules', () => {
    const text = read.rules.map((rule) => tellRule(rule, 'tc').text).join('\n');
    const again = readRules(text, 'again', 'tc');
    expect(again.error).toBeNull();
    expect(again.rules.map(bare)).toEqual(read.rules.map(bare));
  });

  it('knows the byte order of labels and the bits of states', () => {
    const rule = read.rules[7];
    expect(asHex(rule, 'ct_label')).toBe('201/ffff');
    expect(asHex(rule, 'ct_state')).toBe('22/22');
    const tagged = read.rules[2];
    expect(asHex(tagged, 'ipv6_dst')).toBe(
      `fd${'0'.repeat(30)}/${'f'.repeat(16)}${'0'.repeat(16)}`,
    );
    expect(asHex(tagged, 'icmp_type')).toBe('80/ff');
    expect(asHex(tagged, 'icmp_code')).toBe('0/ff');
    expect(asHex(read.rules[1], 'ip_frag')).toBe('1/1');
  });
});

function bare(rule: Rule): unknown {
  const left = ['at', 'source', 'order', 'priorityGiven'];
  return JSON.parse(
    JSON.stringify(rule, (key, value: unknown) => (left.includes(key) ? 0 : value)),
  );
}

/** The log's action reduced to what a rule says of it. */
function shortened(text: string): string {
  if (text.startsWith('add(14)') && text.endsWith('val=000000ff')) return 'ttl-1';
  if (text.startsWith('mangle(13) htype=2 offset=12')) return 'set ipv4_src 4030201 swapped';
  if (text.startsWith('mangle(13) htype=5 offset=0')) return 'set sport 6300 swapped';
  return text
    .replace(/\(\d+\)/, '')
    .replace(/ flags=\d+| opts=0| table=\d+| index=\d+/g, '')
    .replace(/^ct action=(\d+)/, 'ct $1');
}

const swap = (value: number, bytes: number): string => {
  const digits = value.toString(16).padStart(bytes * 2, '0');
  return BigInt(`0x${(digits.match(/../g) ?? []).reverse().join('')}`).toString(16);
};

function logged(action: Action): string {
  const hex4 = (value: number): string => value.toString(16).padStart(4, '0');
  switch (action.kind) {
    case 'output':
      return `redirect dev=${action.port}`;
    case 'mirror':
      return `mirror dev=${action.port}`;
    case 'dec_ttl':
      return 'ttl-1';
    case 'set_field':
      return action.field === 'sport'
        ? `set sport ${swap(action.value[0], 2)} swapped`
        : `set ${action.field} ${swap(action.value[0], 4)} swapped`;
    case 'checksum':
      return 'csum';
    case 'pop_vlan':
      return 'vlan-pop';
    case 'push_vlan':
      return `vlan-push vid=${action.id} prio=${action.pcp} proto=${hex4(action.tpid)}`;
    case 'pop_mpls':
      return `mpls-pop proto=${hex4(action.tpid)}`;
    case 'push_mpls': {
      const { label, tc, bos, ttl, tpid } = action;
      return `mpls-push label=${label} tc=${tc} bos=${bos} ttl=${ttl} proto=${hex4(tpid)}`;
    }
    case 'encap': {
      const { id, src, dst, dstPort, ttl, tos } = action.tunnel;
      return `tunnel-encap id=${id} src=${src} dst=${dst} dport=${dstPort} ttl=${ttl} tos=${tos}`;
    }
    case 'ct':
      // TCA_CT_ACT_COMMIT 1, NAT 8, NAT_SRC 16: 19 in the log is hexadecimal.
      return `ct ${action.commit ? '19' : '0'} zone=${action.zone}`;
    case 'police': {
      const { rateBytesPerS, burstBytes, mtuBytes } = action;
      return `police rate=${rateBytesPerS} burst=${burstBytes} mtu=${mtuBytes} exceed=1 notexceed=31`;
    }
    case 'goto':
      return `goto chain=${action.group}`;
    case 'mark':
      return `mark mark=${action.value}`;
    case 'pass':
      return 'accept';
    default:
      return action.kind;
  }
}
