// Actions of testpmd's `flow create` into neutral ones (DPDK testpmd guide).
//
// `of_push_vlan` and the tag writes after it are one push; `rss` without queues is delivery to the host as its port spreads
// it (pass); `passthru` goes on with lower rules (continue). `count` may name a shared counter: its id is not kept.
// Not here: encapsulation by named templates (vxlan_encap has its header elsewhere), raw_*, modify_field, indirect actions, age.

import { ETH_VLAN } from './names.ts';
import { fullMask } from './rule.ts';
import type { Action, FieldName, Place } from './rule.ts';
import type { Words } from './scan.ts';
import { parseIpv4, parseIpv6, parseMacWords } from './values.ts';

type Parse = (words: Words, at: Place) => Action | null;

/** Writes of one field: action, word before the value, field. Also the printer's table. */
export const TESTPMD_SETS: readonly { action: string; word: string; field: FieldName }[] = [
  { action: 'set_mac_dst', word: 'mac_addr', field: 'eth_dst' },
  { action: 'set_mac_src', word: 'mac_addr', field: 'eth_src' },
  { action: 'set_ipv4_src', word: 'ipv4_addr', field: 'ipv4_src' },
  { action: 'set_ipv4_dst', word: 'ipv4_addr', field: 'ipv4_dst' },
  { action: 'set_ipv6_src', word: 'ipv6_addr', field: 'ipv6_src' },
  { action: 'set_ipv6_dst', word: 'ipv6_addr', field: 'ipv6_dst' },
  { action: 'set_tp_src', word: 'port', field: 'sport' },
  { action: 'set_tp_dst', word: 'port', field: 'dport' },
  { action: 'set_ttl', word: 'ttl_value', field: 'ip_ttl' },
  { action: 'of_set_vlan_vid', word: 'vlan_vid', field: 'vlan_id' },
  { action: 'of_set_vlan_pcp', word: 'vlan_pcp', field: 'vlan_pcp' },
];

/** An action of a number: `NAME WORD N`. */
function numbered(word: string, high: number, build: (n: number, at: Place) => Action): Parse {
  return (words, at) => {
    words.takeOneOf(word);
    return build(words.takeNumber(0, high), at);
  };
}

const PARSERS: Record<string, Parse> = {
  void: () => null,
  drop: (_words, at) => ({ kind: 'drop', at }),
  passthru: (_words, at) => ({ kind: 'continue', at }),
  dec_ttl: (_words, at) => ({ kind: 'dec_ttl', at }),
  of_pop_vlan: (_words, at) => ({ kind: 'pop_vlan', at }),
  of_dec_nw_ttl: (_words, at) => ({ kind: 'dec_ttl', at }),
  vxlan_decap: (_words, at) => ({ kind: 'decap', at }),
  queue: numbered('index', 0xffff, (index, at) => ({ kind: 'queue', index, at })),
  jump: numbered('group', 0xffffffff, (group, at) => ({ kind: 'goto', group, at })),
  meter: numbered('mtr_id', 0xffffffff, (id, at) => ({ kind: 'meter', id, at })),
  mark: numbered('id', 0xffffffff, (value, at) => ({ kind: 'mark', value, mask: 0xffffffff, at })),
  vf: numbered('id', 0xffff, (id, at) => ({ kind: 'vf', id, queue: -1, at })),
  port_id: numbered('id', 0xffffffff, output),
  port_representor: numbered('port_id', 0xffff, output),
  represented_port: numbered('ethdev_port_id', 0xffff, output),
  of_pop_mpls: numbered('ethertype', 0xffff, (tpid, at) => ({ kind: 'pop_mpls', tpid, at })),
  of_push_vlan: parsePushVlan,
  rss: parseRss,
  count: (words, at) => {
    if (words.takeIf('identifier') !== '') words.takeNumber(0, 0xffffffff);
    return { kind: 'count', at };
  },
  set_ipv4_dscp: dscp,
  set_ipv6_dscp: dscp,
};

function output(port: number, at: Place): Action {
  return { kind: 'output', port: String(port), at };
}

function dscp(words: Words, at: Place): Action {
  words.takeOneOf('dscp_value');
  const value = [words.takeNumber(0, 63) << 2];
  return { kind: 'set_field', field: 'ip_tos', value, mask: [0xfc], at };
}

/** After the word `actions`, up to and including `end`. */
export function parseTestpmdActions(words: Words): Action[] {
  const actions: Action[] = [];
  for (;;) {
    const at = words.at;
    if (words.takeIf('end') !== '') return actions;
    const name = words.peek();
    const set = TESTPMD_SETS.find((one) => one.action === name);
    const parse = Object.hasOwn(PARSERS, name) ? PARSERS[name] : undefined;
    if (set === undefined && parse === undefined)
      words.fail(`an action (${Object.keys(PARSERS).join(', ')}, set_...) or end`);
    words.take(name);
    const action = set === undefined ? parse?.(words, at) : parseSet(words, set, at);
    if (action !== null && action !== undefined) actions.push(action);
    words.takeOneOf('/');
  }
}

function parseSet(words: Words, set: { word: string; field: FieldName }, at: Place): Action {
  words.takeOneOf(set.word);
  const { field } = set;
  const mask = fullMask(field);
  let value: number[];
  if (set.word === 'mac_addr') value = words.takeAs('a MAC address', parseMacWords);
  else if (set.word === 'ipv4_addr') value = words.takeAs('an IPv4 address', parseIpv4);
  else if (set.word === 'ipv6_addr') value = words.takeAs('an IPv6 address', parseIpv6);
  else value = [words.takeNumber(0, mask[0])];
  return { kind: 'set_field', field, value, mask, at };
}

/** `of_push_vlan ethertype T / of_set_vlan_vid vlan_vid N / of_set_vlan_pcp vlan_pcp N`: the writes are part of the push. */
function parsePushVlan(words: Words, at: Place): Action {
  let tpid = ETH_VLAN;
  if (words.takeIf('ethertype') !== '') tpid = words.takeNumber(0, 0xffff);
  const tag = { id: 0, pcp: 0 };
  for (;;) {
    const next = words.peekAfter('/');
    if (next === 'of_set_vlan_vid') {
      words.takeOneOf('/');
      words.take(next);
      words.takeOneOf('vlan_vid');
      tag.id = words.takeNumber(0, 4095);
    } else if (next === 'of_set_vlan_pcp') {
      words.takeOneOf('/');
      words.take(next);
      words.takeOneOf('vlan_pcp');
      tag.pcp = words.takeNumber(0, 7);
    } else return { kind: 'push_vlan', tpid, ...tag, at };
  }
}

/** `rss` with queues spreads over these, without it is the host's usual way. */
function parseRss(words: Words, at: Place): Action {
  const queues: number[] = [];
  while (words.peek() !== '/') {
    const what = words.takeOneOf('queues', 'types', 'func', 'level', 'key', 'key_len');
    if (what === 'queues') {
      while (words.takeIf('end') === '') queues.push(words.takeNumber(0, 0xffff));
    } else if (what === 'types') while (words.takeIf('end') === '') words.take('a type or end');
    else words.take(`a value of ${what}`);
  }
  return queues.length === 0 ? { kind: 'pass', at } : { kind: 'rss', queues, at };
}
