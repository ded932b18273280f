// `tc filter add ...` lines with flower or matchall into neutral rules (tc(8), tc-flower(8)).
//
// Lines may start with `tc` or, as in files for `tc -batch`, with `filter`. `replace` and `change` are read as `add`; lines
// about qdiscs, chains and blocks set the stage and are passed over. A filter without `pref` gets what the kernel
// gives: 49152 in an empty chain, else one below the lowest in use (so a later filter wins).
// Not here: other classifiers (u32, bpf), `del`, filters on classes, keys without a field (tc-keys.ts).

import { RuleDraft, missingPrerequisite } from './draft.ts';
import { ETH_QINQ, ETH_VLAN, etherType, ipProto, parseCtState } from './names.ts';
import { FIELD_BITS, fullMask } from './rule.ts';
import type { FieldMatch, FieldName, Place, Rule } from './rule.ts';
import { parseHex, parseUnsigned, Words } from './scan.ts';
import type { LogicalLine } from './scan.ts';
import { parseTcActionList, parseTcActions } from './tc-actions.ts';
import type { TcAction } from './tc-actions.ts';
import { ARP_OPS, TC_KEYS } from './tc-keys.ts';
import type { TcKey } from './tc-keys.ts';
import { parseIp, parseLabel, parseMacWords, parsePrefix } from './values.ts';

const AUTO_PREF = 49152;

/** Reads lines in order: automatic priorities depend on the filters before. */
export class TcReader {
  private readonly file: string;
  /** Lowest pref in use by device, direction and chain. */
  private readonly lowestPref = new Map<string, number>();

  constructor(file: string) {
    this.file = file;
  }

  /** The rule of a line, null for a line that is none. Throws RuleSyntaxError. */
  read(line: LogicalLine): Rule | null {
    const words = new Words(this.file, line);
    words.takeIf('tc');
    if (words.takeIf('qdisc', 'chain', 'class') !== '') return null;
    words.takeOneOf('filter');
    if (words.takeIf('show', 'list', 'ls', 'get') !== '') return null;
    words.takeOneOf('add', 'replace', 'change');
    const draft = new RuleDraft(this.file, 'tc');
    parseKeys(words, draft, parseHead(words, draft));
    if (words.takeIf('action', 'actions') !== '') draft.actions = parseTcActions(words);
    if (!words.done) words.fail('a key of flower, or action');
    this.givePriority(draft);
    const rule = draft.build(line.line, line.text);
    const missing = missingPrerequisite(rule);
    if (missing !== null) {
      const { at, field } = missing.match;
      words.failAt(at, `${missing.needs} before ${field}`, `a filter without`);
    }
    return rule;
  }

  private givePriority(draft: RuleDraft): void {
    const chain = `${draft.device} ${draft.direction} ${draft.group}`;
    const lowest = this.lowestPref.get(chain) ?? AUTO_PREF + 1;
    if (!draft.priorityGiven) draft.priority = lowest - 1;
    this.lowestPref.set(chain, Math.min(lowest, draft.priority));
  }
}

/** iproute2 takes these words by any beginning of three letters or more. */
function abbreviates(text: string, ...words: string[]): boolean {
  return text.length >= 3 && words.some((word) => word.startsWith(text));
}

/** A filter as the command line has it: what a rule leaves out is its classifier and its actions as such. */
export interface TcFilterSpec {
  rule: Rule;
  /** The keys as written: values are not cut to their masks, ranges stay ranges. */
  keys: FieldMatch[];
  /** EtherType of `protocol`, 3 (ETH_P_ALL) for all, −1 when it was not given. */
  protocol: number;
  classifier: 'flower' | 'matchall';
  actions: TcAction[];
}

/** Reads what follows `tc filter add|replace|change`, without automatic priorities. Throws RuleSyntaxError. */
export function parseTcFilter(words: Words): TcFilterSpec {
  const draft = new RuleDraft(words.file, 'tc');
  const protocol = parseHead(words, draft);
  const classifier = words.peek() === 'matchall' ? 'matchall' : 'flower';
  parseKeys(words, draft, protocol);
  let actions: TcAction[] = [];
  if (words.takeIf('action', 'actions') !== '') actions = parseTcActionList(words, true);
  if (!words.done) words.fail('a key of flower, or action');
  const rule = draft.build(words.line.line, words.line.text);
  const { type, given } = protocol;
  return {
    rule,
    keys: draft.matches,
    protocol: type !== 0 ? type : given ? 3 : -1,
    classifier,
    actions,
  };
}

interface Protocol {
  given: boolean;
  /** 0 for all. */
  type: number;
  at: Place;
}

/** Up to and including the classifier's name. */
function parseHead(words: Words, draft: RuleDraft): Protocol {
  const protocol: Protocol = { given: false, type: 0, at: words.at };
  for (;;) {
    const word = words.peek();
    if (word === 'flower' || word === 'matchall') break;
    if (word === 'dev' || word === 'block') {
      words.take('dev');
      const name = words.take(word === 'dev' ? 'a device' : 'a block number');
      draft.device = word === 'dev' ? name : `block ${name}`;
    } else if (word === 'ingress' || word === 'egress') {
      words.take(word);
      draft.direction = word;
    } else if (word === 'root') words.take(word);
    else if (word === 'parent') {
      words.take(word);
      const parent = words.take('a parent');
      draft.direction = /^ffff:(fff3)$/.test(parent) ? 'egress' : 'ingress';
    } else if (abbreviates(word, 'protocol')) {
      words.take(word);
      protocol.at = words.at;
      protocol.given = true;
      protocol.type = words.takeAs('a protocol (ip, ipv6, 802.1Q, all, 0x....)', (text) =>
        text.toLowerCase() === 'all' ? 0 : etherType(text),
      );
    } else if (abbreviates(word, 'preference', 'priority') || word === 'prio') {
      words.take(word);
      draft.priority = words.takeNumber(0, 0xffff);
      draft.priorityGiven = draft.priority > 0;
    } else if (word === 'handle') {
      words.take(word);
      draft.handle = words.takeAs('a handle', parseUnsigned);
    } else if (word === 'chain') {
      words.take(word);
      draft.group = words.takeNumber(0, 0xffffffff);
    } else words.fail('dev, block, protocol, pref, handle, chain, or flower');
  }
  if (draft.device === '') words.fail('dev DEVICE or block NUMBER before the classifier');
  return protocol;
}

function parseKeys(words: Words, draft: RuleDraft, protocol: Protocol): void {
  const matchall = words.take('flower') === 'matchall';
  const { type, at } = protocol;
  const tagged = type === ETH_VLAN || type === ETH_QINQ;
  if (type !== 0) draft.exact(tagged ? 'vlan_tpid' : 'eth_type', type, at);
  for (;;) {
    const word = words.peek();
    if (words.done || word === 'action' || word === 'actions') return;
    if (words.takeIf('skip_sw') !== '') draft.residence = 'hardware';
    else if (words.takeIf('skip_hw') !== '') draft.residence = 'software';
    else if (words.takeIf('verbose') !== '') continue;
    else if (matchall) words.fail('skip_sw, skip_hw or action (matchall has no keys)');
    else if (!parseSpecialKey(words, draft)) parseTableKey(words, draft);
  }
}

/** Keys that do not fit the table: names, flags, EtherTypes. False when the next word is none of them. */
function parseSpecialKey(words: Words, draft: RuleDraft): boolean {
  const at = words.at;
  if (words.takeIf('vlan_ethtype') !== '') {
    parseInnerType(words, draft, 'vlan_tpid');
  } else if (words.takeIf('cvlan_ethtype') !== '') {
    parseInnerType(words, draft, 'cvlan_tpid');
  } else if (words.takeIf('ip_proto') !== '') {
    draft.exact('ip_proto', words.takeAs('tcp, udp, sctp, icmp, icmpv6 or a number', ipProto), at);
  } else if (words.takeIf('arp_op') !== '') {
    const named = words.takeIf('request', 'reply');
    if (named !== '') draft.exact('arp_op', ARP_OPS[named], at);
    else parseMasked(words, draft, { key: 'arp_op', field: 'arp_op', form: 'decimal' }, at);
  } else if (words.takeIf('ip_flags') !== '') {
    const flags = words.takeAs('frag, nofrag, firstfrag or nofirstfrag', parseFragFlags);
    draft.mask('ip_frag', [flags.value], [flags.mask], at);
  } else if (words.takeIf('ct_state') !== '') {
    const state = words.takeAs('states as in +trk-new', parseCtState);
    draft.mask('ct_state', [state.value], [state.mask], at);
  } else if (words.takeIf('indev') !== '') {
    const port = words.takeAs('a device whose name ends in its number', (text) =>
      /[0-9]$/.test(text) ? parseUnsigned((/[0-9]+$/.exec(text) ?? [''])[0]) : null,
    );
    draft.exact('in_port', port, at);
  } else return false;
  return true;
}

/** The type below a tag: another tag, or what the packet is. */
function parseInnerType(words: Words, draft: RuleDraft, outer: FieldName): void {
  if (draft.exactOf(outer) < 0) {
    const needs = outer === 'vlan_tpid' ? 'protocol 802.1Q or 802.1ad' : 'vlan_ethtype 802.1Q';
    words.fail(`${needs} before the type below the tag`);
  }
  const at = words.at;
  const type = words.takeAs('a protocol', etherType);
  const tag = (type === ETH_VLAN || type === ETH_QINQ) && outer === 'vlan_tpid';
  draft.exact(tag ? 'cvlan_tpid' : 'eth_type', type, at);
}

/** flower's fragment flags are ip_frag's bits. */
function parseFragFlags(text: string): { value: number; mask: number } | null {
  let value = 0;
  let mask = 0;
  for (const flag of text.split('/')) {
    const known = { frag: [1, 1], nofrag: [0, 1], firstfrag: [2, 2], nofirstfrag: [0, 2] }[flag];
    if (known === undefined || (mask & known[1]) !== 0) return null;
    value |= known[0];
    mask |= known[1];
  }
  return { value, mask };
}

function parseTableKey(words: Words, draft: RuleDraft): void {
  const at = words.at;
  const name = words.peek();
  const keys = TC_KEYS.filter((one) => one.key === name);
  if (keys.length === 0) words.fail('a key of flower, skip_sw, skip_hw or action');
  words.take(name);
  const key = keys[0];
  if (key.form === 'ip' || key.form === 'ipv4') parseAddressKey(words, draft, keys, at);
  else if (key.form === 'mac') {
    const mac = words.takeAs('a MAC address, ADDRESS/MASK or ADDRESS/LENGTH', parseMaskedMac);
    draft.mask(key.field, mac.value, mac.mask, at);
  } else if (key.form === 'port') parsePort(words, draft, key.field, at);
  else if (key.form === 'label') {
    const label = words.takeAs('a label in hexadecimal, [/MASK]', parseLabel);
    draft.mask(key.field, label.value, label.mask, at);
  } else parseMasked(words, draft, key, at);
}

function parseAddressKey(words: Words, draft: RuleDraft, keys: TcKey[], at: Place): void {
  const expected = keys[0].form === 'ipv4' ? 'an IPv4 prefix' : 'an IPv4 or IPv6 prefix';
  const found = words.takeAs(expected, (text) => {
    const slash = text.indexOf('/');
    const address = parseIp(slash < 0 ? text : text.slice(0, slash));
    if (address === null || (keys.length === 1 && address.family === 6)) return null;
    const { field } = keys[address.family === 4 ? 0 : 1];
    const mask = slash < 0 ? fullMask(field) : parseNetmask(field, text.slice(slash + 1));
    return mask === null ? null : { field, value: address.words, mask };
  });
  draft.mask(found.field, found.value, found.mask, at);
}

/** A prefix length, or a netmask in address notation. */
function parseNetmask(field: FieldName, text: string): number[] | null {
  const prefix = parsePrefix(field, text);
  if (prefix !== null) return prefix;
  const mask = parseIp(text);
  if (mask === null || mask.words.length !== fullMask(field).length) return null;
  return /^1*0*$/.test(mask.words.map((w) => w.toString(2).padStart(32, '0')).join(''))
    ? mask.words
    : null;
}

/** ADDRESS, ADDRESS/MASK or ADDRESS/LENGTH. */
export function parseMaskedMac(text: string): { value: number[]; mask: number[] } | null {
  const [address, slash] = text.split('/', 2);
  const value = parseMacWords(address);
  if (value === null) return null;
  if (!text.includes('/')) return { value, mask: fullMask('eth_dst') };
  const mask = parsePrefix('eth_dst', slash) ?? parseMacWords(slash);
  return mask === null ? null : { value, mask };
}

function parsePort(words: Words, draft: RuleDraft, field: FieldName, at: Place): void {
  const range = words.takeAs('a port, or LOW-HIGH with LOW below HIGH', (text) => {
    const parts = /^([0-9]{1,5})(?:-([0-9]{1,5}))?$/.exec(text);
    if (parts === null) return null;
    const low = Number(parts[1]);
    const high = parts[2] === undefined ? low : Number(parts[2]);
    const ordered = parts[2] === undefined || low < high;
    return ordered && high <= 0xffff ? { low, high } : null;
  });
  draft.range(field, range.low, range.high, at);
}

const NUMBERS: Record<string, [value: typeof parseHex, mask: typeof parseHex]> = {
  byte: [(text) => parseUnsigned(text) ?? parseHex(text), parseHex],
  decimal: [parseUnsigned, parseUnsigned],
  hex: [parseHex, parseHex],
  word: [parseUnsigned, parseUnsigned],
};

function parseMasked(words: Words, draft: RuleDraft, key: TcKey, at: Place): void {
  // The tool takes one byte of arp_op and 32 bits of a tunnel id; the fields are wider.
  const narrowed: Partial<Record<FieldName, number>> = { tun_id: 32, arp_op: 8 };
  const bits = narrowed[key.field] ?? FIELD_BITS[key.field];
  const limit = 2 ** bits - 1;
  const [parseValue, parseMask] = NUMBERS[key.form] ?? NUMBERS['word'];
  const form = key.form === 'exact' ? 'a number' : 'VALUE or VALUE/MASK';
  const found = words.takeAs(`${form} up to ${limit}`, (text) => {
    const parts = text.split('/');
    if (parts.length > (key.form === 'exact' ? 1 : 2)) return null;
    const value = parseValue(parts[0]);
    const mask = parts.length === 1 ? limit : parseMask(parts[1]);
    if (value === null || mask === null || value > limit || mask > limit) return null;
    return { value, mask };
  });
  if (key.field === 'tun_id') draft.mask('tun_id', [0, found.value], fullMask('tun_id'), at);
  else if (key.field === 'arp_op' && found.mask === limit) draft.exact('arp_op', found.value, at);
  else draft.mask(key.field, [found.value], [found.mask], at);
}
