// The words of a conntrack(8) command (1.4.7): which options there are, which command takes which, and the sentences for those that do
// not fit. Options with a value take it from the next word or behind `=`.
//
// Left out: secmark (-c), `-R FILE`, names of labels.

import { parseAddressAton } from '../../../stack/ip/address.ts';
import { anyConnection, parseAddressFilter } from '../../../stack/netfilter/conntrack/filter.ts';
import type { AddressFilter, ConnectionFilter } from '../../../stack/netfilter/conntrack/filter.ts';
import type { LineOptions } from '../../../stack/netfilter/conntrack/listing.ts';
import { SCTP_STATE_NAMES } from '../../../stack/netfilter/conntrack/sctp.ts';
import {
  IPS_ASSURED,
  IPS_EXPECTED,
  IPS_FIXED_TIMEOUT,
  IPS_HW_OFFLOAD,
  IPS_OFFLOAD,
  IPS_SEEN_REPLY,
} from '../../../stack/netfilter/conntrack/table.ts';
import { TCP_STATE_NAMES } from '../../../stack/netfilter/conntrack/tcp-table.ts';

export type Action = 'L' | 'G' | 'D' | 'I' | 'A' | 'U' | 'E' | 'F' | 'C' | 'S' | 'V' | 'h';
export type TableName = 'conntrack' | 'expect' | 'dying' | 'unconfirmed';

/** `ADDRESS[:PORT]` of -n and -g. */
export interface NatTarget {
  address: Uint8Array | null;
  port: number | null;
}

export interface Request {
  action: Action | null;
  table: TableName;
  filter: ConnectionFilter;
  line: LineOptions;
  /** `-o save` and `-o timestamp`. */
  save: boolean;
  /** `-o xml`. */
  xml: boolean;
  timestamp: boolean;
  zero: boolean;
  timeoutS: number | null;
  srcNat: NatTarget | null;
  dstNat: NatTarget | null;
  addLabels: number[];
  removeLabels: number[] | null;
  /** -e: NEW 1, UPDATES 2, DESTROY 4. */
  events: number;
  /** Options that were given, by the letters of the table below. */
  given: Set<string>;
}

/** A command that cannot be: exit status 2 and the hint at --help. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

const LONG: Readonly<Record<string, string>> = {
  dump: 'L',
  create: 'I',
  delete: 'D',
  update: 'U',
  get: 'G',
  flush: 'F',
  event: 'E',
  count: 'C',
  stats: 'S',
  add: 'A',
  version: 'V',
  help: 'h',
  'orig-src': 's',
  src: 's',
  'orig-dst': 'd',
  dst: 'd',
  'reply-src': 'r',
  'reply-dst': 'q',
  protonum: 'p',
  proto: 'p',
  timeout: 't',
  status: 'u',
  zero: 'z',
  'event-mask': 'e',
  mark: 'm',
  id: 'i',
  family: 'f',
  'src-nat': 'n',
  'dst-nat': 'g',
  'any-nat': 'j',
  output: 'o',
  'buffer-size': 'b',
  zone: 'w',
  label: 'l',
  'label-add': '<',
  'label-del': '>',
  'orig-zone': '(',
  'reply-zone': ')',
};

/** Names by letter, for complaints. */
const NAMES: Readonly<Record<string, string>> = {
  s: 'src',
  d: 'dst',
  r: 'reply-src',
  q: 'reply-dst',
  p: 'protonum',
  t: 'timeout',
  u: 'status',
  z: 'zero',
  e: 'event-mask',
  m: 'mark',
  i: 'id',
  f: 'family',
  n: 'src-nat',
  g: 'dst-nat',
  o: 'output',
  b: 'buffer-size',
  j: 'any-nat',
  w: 'zone',
  l: 'label',
  '<': 'label-add',
  '>': 'label-del',
  '(': 'orig-zone',
  ')': 'reply-zone',
};

/** Options that each command takes; those it cannot do without stand in capitals of `MUST`. */
const TAKES: Readonly<Record<Action, string>> = {
  L: 'sdrqpuzmfngojwl()',
  I: 'sdrqptumngwl<()',
  A: 'sdrqptumngwl<()',
  U: 'sdrqptumifngol<>w',
  D: 'sdrqptumfngojwl()i',
  G: 'sdrqpow',
  F: 'f',
  E: 'sdrqpemfngobjwl()',
  C: '',
  S: '',
  V: '',
  h: 'p',
};
const MUST: Readonly<Partial<Record<Action, string>>> = { I: 'pt', A: 'pt', G: 'p' };

/** Options that a protocol has, once `-p` has named it. */
const PORTS = 'sport dport orig-port-src orig-port-dst reply-port-src reply-port-dst'.split(' ');
const OPTIONS_OF: Readonly<Record<number, readonly string[]>> = {
  1: ['icmp-type', 'icmp-code', 'icmp-id'],
  6: [...PORTS, 'state'],
  17: PORTS,
  33: [...PORTS, 'state'],
  47: ['srckey', 'dstkey', 'reply-key-src', 'reply-key-dst'],
  58: ['icmpv6-type', 'icmpv6-code', 'icmpv6-id'],
  132: [...PORTS, 'state', 'orig-vtag', 'reply-vtag'],
  136: PORTS,
};

/** Options of protocols, which hold numbers. */
const PROTOCOL_OPTIONS: Readonly<Record<string, keyof ConnectionFilter>> = {
  'orig-port-src': 'sport',
  sport: 'sport',
  'orig-port-dst': 'dport',
  dport: 'dport',
  'reply-port-src': 'replySport',
  'reply-port-dst': 'replyDport',
  'icmp-type': 'icmpType',
  'icmp-code': 'icmpCode',
  'icmp-id': 'icmpId',
  'icmpv6-type': 'icmpType',
  'icmpv6-code': 'icmpCode',
  'icmpv6-id': 'icmpId',
  srckey: 'sport',
  dstkey: 'dport',
  'reply-key-src': 'replySport',
  'reply-key-dst': 'replyDport',
};

const PROTOCOLS: Readonly<Record<string, number>> = {
  icmp: 1,
  tcp: 6,
  udp: 17,
  dccp: 33,
  gre: 47,
  icmpv6: 58,
  sctp: 132,
  udplite: 136,
};

const STATUSES: Readonly<Record<string, number>> = {
  ASSURED: IPS_ASSURED,
  SEEN_REPLY: IPS_SEEN_REPLY,
  UNSET: 0,
  FIXED_TIMEOUT: IPS_FIXED_TIMEOUT,
  EXPECTED: IPS_EXPECTED,
  OFFLOAD: IPS_OFFLOAD,
  HW_OFFLOAD: IPS_HW_OFFLOAD,
};

const EVENTS: Readonly<Record<string, number>> = { ALL: 7, NEW: 1, UPDATES: 2, DESTROY: 4 };
const ACTIONS = 'LGDIAUEFCSVh';
const TABLES: readonly TableName[] = ['expect', 'conntrack', 'dying', 'unconfirmed'];
/** Options whose value may be missing. */
const OPTIONAL_VALUE = new Set(['n', 'g', 'j', '>']);

/** Reads a command's words. Throws UsageError. */
export function parseRequest(args: readonly string[]): Request {
  const request: Request = {
    action: null,
    table: 'conntrack',
    filter: anyConnection(),
    line: { extended: false, id: false, ktimestamp: false, labels: false },
    save: false,
    xml: false,
    timestamp: false,
    zero: false,
    timeoutS: null,
    srcNat: null,
    dstNat: null,
    addLabels: [],
    removeLabels: null,
    events: 7,
    given: new Set(),
  };
  for (let i = 0; i < args.length; i++) {
    const equals = args[i].startsWith('--') ? args[i].indexOf('=') : -1;
    const word = equals < 0 ? args[i] : args[i].slice(0, equals);
    const letter = letterOf(word);
    if (ACTIONS.includes(letter)) {
      if (request.action !== null) throw new UsageError('Invalid commands combination');
      request.action = letter as Action;
      const table = args[i + 1];
      if (table !== undefined && !table.startsWith('-')) {
        request.table = tableOf(table);
        i++;
      }
      continue;
    }
    if (letter === 'z') {
      request.zero = true;
      request.given.add('z');
      continue;
    }
    if (letter.length > 1 && !(OPTIONS_OF[request.filter.protocol ?? 0] ?? []).includes(letter))
      throw new UsageError(`unknown option \`--${letter}'`);
    let value = equals < 0 ? args[i + 1] : args[i].slice(equals + 1);
    const isMissing = value === undefined || (equals < 0 && value.startsWith('-'));
    if (isMissing && OPTIONAL_VALUE.has(letter)) value = '';
    else if (value === undefined) throw new UsageError(`option \`${word}' requires an argument`);
    else if (equals < 0) i++;
    option(request, letter, value);
    if (letter.length === 1) request.given.add(letter);
  }
  if (request.action !== null) checkOptions(request, request.action);
  return request;
}

function letterOf(word: string): string {
  if (word.startsWith('--')) return LONG[word.slice(2)] ?? word.slice(2);
  if (word.length !== 2 || !word.startsWith('-'))
    throw new UsageError(`unknown argument \`${word}'`);
  return word.slice(1);
}

function tableOf(word: string): TableName {
  const found = TABLES.find((name) => name.startsWith(word));
  if (found === undefined) throw new UsageError(`unknown type \`${word}'`);
  return found;
}

function checkOptions(request: Request, action: Action): void {
  for (const letter of MUST[action] ?? '')
    if (!request.given.has(letter))
      throw new UsageError(`You need to supply the \`--${NAMES[letter]}' option for this command`);
  for (const letter of request.given)
    if (!TAKES[action].includes(letter))
      throw new UsageError(`Illegal option \`--${NAMES[letter]}' with this command`);
  if (action !== 'I' && action !== 'A' && action !== 'G') return;
  const { filter } = request;
  const hasOriginal = filter.src !== null && filter.dst !== null;
  const hasReply = filter.replySrc !== null && filter.replyDst !== null;
  if (hasOriginal || hasReply) return;
  const partly = filter.src === null && filter.dst === null;
  const isReply = partly && (filter.replySrc !== null || filter.replyDst !== null);
  throw new UsageError(
    isReply
      ? "you have to specify `--reply-src' and `--reply-dst'"
      : "you have to specify `--orig-src' and `--orig-dst'",
  );
}

function option(request: Request, letter: string, value: string): void {
  const { filter } = request;
  const numeric = PROTOCOL_OPTIONS[letter];
  if (numeric !== undefined) {
    (filter[numeric] as number | null) = number(value, `Invalid port \`${value}'`);
    return;
  }
  switch (letter) {
    case 's':
      filter.src = address(value);
      return;
    case 'd':
      filter.dst = address(value);
      return;
    case 'r':
      filter.replySrc = address(value);
      return;
    case 'q':
      filter.replyDst = address(value);
      return;
    case 'p':
      filter.protocol =
        PROTOCOLS[value.toLowerCase()] ?? number(value, `\`${value}' unsupported protocol`);
      return;
    case 'f':
      if (value !== 'ipv4' && value !== 'ipv6')
        throw new UsageError(`\`${value}' unsupported protocol`);
      filter.family = value === 'ipv4' ? 2 : 10;
      return;
    case 't':
      request.timeoutS = number(value, `Invalid timeout value '${value}'`);
      return;
    case 'u':
      statuses(filter, value);
      return;
    case 'e':
      request.events = words(value, EVENTS);
      return;
    case 'i':
      filter.id = number(value, `Invalid id '${value}'`);
      return;
    default:
      moreOptions(request, letter, value);
  }
}

function moreOptions(request: Request, letter: string, value: string): void {
  const { filter } = request;
  const zone = (): number => number(value, `Invalid zone value '${value}'`, 65535);
  switch (letter) {
    case 'm': {
      const [text, mask] = value.split('/');
      const bad = `Invalid mark value '${value}'`;
      filter.mark = { value: number(text, bad), mask: mask === undefined ? -1 : number(mask, bad) };
      return;
    }
    case 'n':
      request.srcNat = target(value, '--src-nat');
      filter.srcNat = request.srcNat.address ?? new Uint8Array(0);
      return;
    case 'g':
      request.dstNat = target(value, '--dst-nat');
      filter.dstNat = request.dstNat.address ?? new Uint8Array(0);
      return;
    case 'j':
      filter.anyNat = target(value, '--any-nat').address ?? new Uint8Array(0);
      return;
    case 'w':
      filter.zone = zone();
      return;
    case '(':
      filter.originalZone = zone();
      return;
    case ')':
      filter.replyZone = zone();
      return;
    case 'l':
      filter.labels = labels(value);
      return;
    case '<':
      request.addLabels = labels(value);
      return;
    case '>':
      request.removeLabels = value === '' ? [] : labels(value);
      return;
    case 'b':
      number(value, `Invalid buffer size '${value}'`);
      return;
    case 'state':
      filter.state = stateOf(value, filter.protocol);
      return;
    case 'orig-vtag':
    case 'reply-vtag':
      // Verification tags are not tracked.
      number(value, `Invalid vtag value '${value}'`);
      return;
    case 'o':
      outputs(request, value);
      return;
    default:
      throw new UsageError(`unknown option \`${letter.length === 1 ? '-' : '--'}${letter}'`);
  }
}

/** A state by the names of the protocol. */
function stateOf(value: string, protocol: number | null): number {
  const isSctp = protocol === PROTOCOLS['sctp'];
  const names: readonly string[] = isSctp ? SCTP_STATE_NAMES : TCP_STATE_NAMES;
  const state = names.indexOf(value);
  if (state < 0) throw new UsageError(`unknown ${isSctp ? 'SCTP' : 'TCP'} state \`${value}'`);
  return state;
}

function statuses(filter: ConnectionFilter, value: string): void {
  for (const item of value.split(',')) {
    if (item === 'UNREPLIED') {
      filter.statusClear |= IPS_SEEN_REPLY;
      continue;
    }
    const bits = words(item.replace(/^!/, ''), STATUSES);
    if (item.startsWith('!')) filter.statusClear |= bits;
    else filter.statusSet |= bits;
  }
}

function outputs(request: Request, value: string): void {
  for (const item of value.split(',')) {
    if (item === 'extended') request.line.extended = true;
    else if (item === 'id') request.line.id = true;
    else if (item === 'ktimestamp') request.line.ktimestamp = true;
    else if (item === 'labels') request.line.labels = true;
    else if (item === 'timestamp') request.timestamp = true;
    else if (item === 'save') request.save = true;
    else if (item === 'xml') request.xml = true;
    else if (item !== 'userspace') throw new UsageError(`Bad parameter \`${item}'`);
  }
}

function words(value: string, table: Readonly<Record<string, number>>): number {
  let bits = 0;
  for (const item of value.split(',')) {
    const bit = table[item.toUpperCase()];
    if (bit === undefined) throw new UsageError(`Bad parameter \`${item}'`);
    bits |= bit;
  }
  return bits;
}

function labels(value: string): number[] {
  return value.split(',').map((item) => number(item, `unknown label '${item}'`, 127));
}

function number(text: string, message: string, max = 0xffff_ffff): number {
  if (!/^(0x[0-9a-f]+|\d+)$/i.test(text) || Number(text) > max) throw new UsageError(message);
  return Number(text);
}

function address(text: string): AddressFilter {
  const found = parseAddressFilter(text);
  if (found === 'address') throw new UsageError(`Invalid IP address \`${text}'`);
  if (found === 'netmask') throw new UsageError('Invalid netmask');
  return found;
}

function target(text: string, option: string): NatTarget {
  if (text === '') return { address: null, port: null };
  if (text.includes('/')) throw new UsageError(`CIDR notation unavailable for \`${option}'`);
  const match = /^(?:\[([^\]]*)\]|([^:]*)|([^[].*:.*:.*))(?::([^:]*))?$/.exec(text);
  const found = match === null ? null : parseAddressAton(match[1] ?? match[2] ?? match[3] ?? '');
  if (match === null || found === null) throw new UsageError(`Invalid IP address \`${text}'`);
  const port =
    match[4] === undefined ? null : number(match[4], `Invalid port \`${match[4]}'`, 65535);
  return { address: found, port };
}
