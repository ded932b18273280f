// `ethtool -N DEV flow-type TYPE ... action N [loc N]` lines into neutral rules (ethtool(8)).
//
// Masks after `m` are DON'T-CARE masks: a one bit is ignored; without `m` the whole field counts. The flow type says
// EtherType and protocol. Without `loc` the tool takes the highest free location: here of a table of 65536, so later rules win
// over earlier ones exactly as they would; a given `loc` stands.
// Not here: `delete`, RSS hash settings (rx-flow-hash), user-def's driver-specific meaning (kept as a number).

import { RuleDraft, missingPrerequisite } from './draft.ts';
import { ETH_IPV4, ETH_IPV6, ETH_VLAN, PROTO_AH, PROTO_ESP } from './names.ts';
import { PROTO_SCTP, PROTO_TCP, PROTO_UDP } from './names.ts';
import { FIELD_BITS, fullMask } from './rule.ts';
import type { FieldName, Place, Rule } from './rule.ts';
import { inRange, Words } from './scan.ts';
import type { LogicalLine } from './scan.ts';
import { complement, parseIp, parseMacWords, parseWide } from './values.ts';

/** Locations assumed for rules that name none: the highest is given first. */
export const ETHTOOL_LOCATIONS = 65536;

export interface FlowType {
  name: string;
  /** 0 for ether. */
  ethType: number;
  /** −1 for any. */
  proto: number;
}

export const FLOW_TYPES: readonly FlowType[] = [
  { name: 'ether', ethType: 0, proto: -1 },
  { name: 'tcp4', ethType: ETH_IPV4, proto: PROTO_TCP },
  { name: 'udp4', ethType: ETH_IPV4, proto: PROTO_UDP },
  { name: 'sctp4', ethType: ETH_IPV4, proto: PROTO_SCTP },
  { name: 'ah4', ethType: ETH_IPV4, proto: PROTO_AH },
  { name: 'esp4', ethType: ETH_IPV4, proto: PROTO_ESP },
  { name: 'ip4', ethType: ETH_IPV4, proto: -1 },
  { name: 'tcp6', ethType: ETH_IPV6, proto: PROTO_TCP },
  { name: 'udp6', ethType: ETH_IPV6, proto: PROTO_UDP },
  { name: 'sctp6', ethType: ETH_IPV6, proto: PROTO_SCTP },
  { name: 'ah6', ethType: ETH_IPV6, proto: PROTO_AH },
  { name: 'esp6', ethType: ETH_IPV6, proto: PROTO_ESP },
  { name: 'ip6', ethType: ETH_IPV6, proto: -1 },
];

/** Options of one field: which flow types take them ('l4': with ports; 'ipsec'; 'ip': ip4 and ip6; '4', '6'; 'ether'). */
export interface EthtoolOption {
  option: string;
  field: FieldName;
  on: 'any' | 'ether' | '4' | '6' | 'l4' | 'ipsec' | 'ip';
}

export const ETHTOOL_OPTIONS: readonly EthtoolOption[] = [
  { option: 'src', field: 'eth_src', on: 'ether' },
  { option: 'dst', field: 'eth_dst', on: 'ether' },
  { option: 'proto', field: 'eth_type', on: 'ether' },
  { option: 'src-ip', field: 'ipv4_src', on: '4' },
  { option: 'dst-ip', field: 'ipv4_dst', on: '4' },
  { option: 'src-ip', field: 'ipv6_src', on: '6' },
  { option: 'dst-ip', field: 'ipv6_dst', on: '6' },
  { option: 'tos', field: 'ip_tos', on: '4' },
  { option: 'tclass', field: 'ip_tos', on: '6' },
  { option: 'l4proto', field: 'ip_proto', on: 'ip' },
  { option: 'l4data', field: 'l4_data', on: 'ip' },
  { option: 'src-port', field: 'sport', on: 'l4' },
  { option: 'dst-port', field: 'dport', on: 'l4' },
  { option: 'spi', field: 'spi', on: 'ipsec' },
  { option: 'vlan-etype', field: 'vlan_tpid', on: 'any' },
  { option: 'user-def', field: 'user_def', on: 'any' },
  { option: 'dst-mac', field: 'eth_dst', on: 'any' },
];

/** Whether a flow type takes an option. */
export function takesOption(type: FlowType, option: EthtoolOption): boolean {
  switch (option.on) {
    case 'any':
      return option.option !== 'dst-mac' || type.ethType !== 0;
    case 'ether':
      return type.ethType === 0;
    case '4':
      return type.ethType === ETH_IPV4;
    case '6':
      return type.ethType === ETH_IPV6;
    case 'ip':
      return type.ethType !== 0 && type.proto < 0;
    case 'l4':
      return [PROTO_TCP, PROTO_UDP, PROTO_SCTP].includes(type.proto);
    case 'ipsec':
      return type.proto === PROTO_AH || type.proto === PROTO_ESP;
  }
}

/** Reads lines in order: free locations depend on the rules before. */
export class EthtoolReader {
  private readonly file: string;
  private readonly used = new Set<string>();
  private readonly nextFree = new Map<string, number>();

  constructor(file: string) {
    this.file = file;
  }

  /** The rule of a line. Throws RuleSyntaxError. */
  read(line: LogicalLine): Rule {
    const words = new Words(this.file, line);
    words.takeOneOf('ethtool');
    words.takeOneOf('-N', '-U', '--config-ntuple', '--config-nfc');
    const draft = new RuleDraft(this.file, 'ethtool');
    draft.device = words.take('a device');
    words.takeOneOf('flow-type');
    const at = words.at;
    const name = words.takeOneOf(...FLOW_TYPES.map((one) => one.name));
    const type = FLOW_TYPES.find((one) => one.name === name) ?? FLOW_TYPES[0];
    if (type.ethType !== 0) draft.exact('eth_type', type.ethType, at);
    if (type.proto >= 0) draft.exact('ip_proto', type.proto, at);
    const action = { queue: 0, vf: -1, at };
    while (!words.done) parseOption(words, draft, type, action);
    impliedTag(draft);
    giveAction(words, draft, action);
    this.giveLocation(draft);
    const rule = draft.build(line.line, line.text);
    const missing = missingPrerequisite(rule);
    if (missing !== null) {
      const { at, field } = missing.match;
      words.failAt(at, `${missing.needs} for ${field}`, 'a rule without');
    }
    return rule;
  }

  private giveLocation(draft: RuleDraft): void {
    const { device } = draft;
    if (!draft.priorityGiven) {
      let free = this.nextFree.get(device) ?? ETHTOOL_LOCATIONS - 1;
      while (this.used.has(`${device} ${free}`)) free--;
      draft.priority = free;
      this.nextFree.set(device, free - 1);
    }
    this.used.add(`${device} ${draft.priority}`);
  }
}

/** `vlan` without `vlan-etype` is about 802.1Q tags. */
function impliedTag(draft: RuleDraft): void {
  const has = (field: FieldName): boolean => draft.matches.some((one) => one.field === field);
  const tci = draft.matches.find((one) => one.field === 'vlan_id');
  if (tci !== undefined && !has('vlan_tpid')) draft.exact('vlan_tpid', ETH_VLAN, tci.at);
}

interface RingAction {
  /** −1 drops. */
  queue: number;
  vf: number;
  at: Place;
}

function parseOption(words: Words, draft: RuleDraft, type: FlowType, action: RingAction): void {
  const at = words.at;
  if (words.takeIf('action') !== '') {
    action.at = at;
    // A ring cookie: queue in the low 32 bits, number of a virtual function plus one in the next eight.
    const cookie = words.takeAs('a queue, or -1 to drop', (text) => {
      const value = text === '-1' ? -1 : inRange(text, 0, 2 ** 40 - 1);
      return value === null || value % 2 ** 32 > 0xffff ? null : value;
    });
    action.queue = cookie < 0 ? -1 : cookie % 2 ** 32;
    if (cookie >= 2 ** 32) action.vf = Math.floor(cookie / 2 ** 32) - 1;
  } else if (words.takeIf('queue') !== '') {
    action.at = at;
    action.queue = words.takeNumber(0, 0xffff);
  } else if (words.takeIf('vf') !== '') {
    action.at = at;
    action.vf = words.takeNumber(0, 254);
  } else if (words.takeIf('loc') !== '') {
    draft.priority = words.takeNumber(0, 0xffffffff);
    draft.priorityGiven = true;
  } else if (words.takeIf('vlan') !== '') parseTci(words, draft, at);
  else {
    const options = ETHTOOL_OPTIONS.filter((one) => takesOption(type, one));
    const option = options.find((one) => one.option === words.peek());
    if (option === undefined) {
      const names = new Set([...options.map((one) => one.option), 'vlan', 'action', 'vf', 'loc']);
      words.fail(`${[...names].join(', ')} (of flow-type ${type.name})`);
    }
    words.take(option.option);
    const { value, mask } = parseValueMask(words, option.field);
    draft.mask(option.field, value, mask, at);
  }
}

function parseValueMask(words: Words, field: FieldName): { value: number[]; mask: number[] } {
  const expected = `a value of ${field} (${FIELD_BITS[field]} bits)`;
  const value = words.takeAs(expected, (text) => parseOptionValue(field, text));
  let mask = fullMask(field);
  if (words.takeIf('m') !== '') {
    const ignored = words.takeAs(`a don't-care mask of ${field}`, (text) =>
      parseOptionValue(field, text),
    );
    mask = complement(field, ignored);
  }
  return { value, mask };
}

/** A value of an option's field, words most significant first; null when it is none. */
export function parseOptionValue(field: FieldName, text: string): number[] | null {
  const bits = FIELD_BITS[field];
  if (bits === 48) return parseMacWords(text);
  if (field.startsWith('ipv')) {
    const address = parseIp(text);
    return address !== null && address.words.length * 32 === bits ? address.words : null;
  }
  return parseWide(text, bits);
}

/** `vlan TCI [m MASK]`: id, drop-eligible bit and priority; a compared one makes the rule about tagged packets. */
function parseTci(words: Words, draft: RuleDraft, at: Place): void {
  const tci = words.takeNumber(0, 0xffff);
  const ignored = words.takeIf('m') === '' ? 0 : words.takeNumber(0, 0xffff);
  const mask = ~ignored & 0xffff;
  draft.mask('vlan_id', [tci & mask & 0xfff], [mask & 0xfff], at);
  draft.mask('vlan_dei', [((tci & mask) >>> 12) & 1], [(mask >>> 12) & 1], at);
  draft.mask('vlan_pcp', [(tci & mask) >>> 13], [mask >>> 13], at);
}

function giveAction(words: Words, draft: RuleDraft, { queue, vf, at }: RingAction): void {
  if (vf >= 0) {
    if (queue < 0) words.failAt(at, 'a queue of the virtual function', 'drop');
    draft.act({ kind: 'vf', id: vf, queue, at });
  } else if (queue < 0) draft.act({ kind: 'drop', at });
  else draft.act({ kind: 'queue', index: queue, at });
}
