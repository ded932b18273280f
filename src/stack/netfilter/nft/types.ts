// Data types of nft expressions: how values are written, printed and given in JSON (nft 1.0.6: protocols and states by name,
// ports and lengths as numbers, marks in eight hex digits).
//
// A scalar is a number (0..2^32−1), the 16 bytes of an IPv6 address, or an interface name (which may end in `*`).
// Left out: time and string types; service names are read but never printed.

import { formatAddress, loadInt32, parseAddress } from '../../ip/address.ts';

export type Scalar = number | string | Uint8Array;

export type TypeName =
  | 'ipv4_addr'
  | 'ipv6_addr'
  | 'inet_proto'
  | 'inet_service'
  | 'ifname'
  | 'iface_index'
  | 'mark'
  | 'integer'
  | 'ct_state'
  | 'ct_status'
  | 'ct_dir'
  | 'nf_proto'
  | 'ether_type'
  | 'icmp_type'
  | 'icmpv6_type'
  | 'tcp_flag'
  | 'pkt_type';

/** Type of a key or of a value: one, or one for each part of a concatenation. */
export type Types = readonly TypeName[];

type Symbols = readonly (readonly [name: string, value: number])[];

const PROTOCOLS: Symbols = [
  ['icmp', 1],
  ['igmp', 2],
  ['tcp', 6],
  ['udp', 17],
  ['dccp', 33],
  ['gre', 47],
  ['esp', 50],
  ['ah', 51],
  ['ipv6-icmp', 58],
  ['icmpv6', 58],
  ['comp', 108],
  ['sctp', 132],
  ['udplite', 136],
];

const SERVICES: Symbols = [
  ['ssh', 22],
  ['domain', 53],
  ['http', 80],
  ['ntp', 123],
  ['snmp', 161],
  ['https', 443],
];

/** In the order in which a list of them prints. */
const SYMBOLS: Partial<Record<TypeName, Symbols>> = {
  inet_proto: PROTOCOLS,
  inet_service: SERVICES,
  ct_state: [
    ['invalid', 1],
    ['new', 8],
    ['established', 2],
    ['related', 4],
    ['untracked', 64],
  ],
  ct_status: [
    ['expected', 1],
    ['seen-reply', 2],
    ['assured', 4],
    ['confirmed', 8],
    ['snat', 16],
    ['dnat', 32],
    ['dying', 512],
  ],
  ct_dir: [
    ['original', 0],
    ['reply', 1],
  ],
  nf_proto: [
    ['ipv4', 2],
    ['ipv6', 10],
  ],
  ether_type: [
    ['ip', 0x0800],
    ['arp', 0x0806],
    ['ip6', 0x86dd],
    ['8021q', 0x8100],
    ['vlan', 0x8100],
    ['8021ad', 0x88a8],
  ],
  icmp_type: [
    ['echo-reply', 0],
    ['destination-unreachable', 3],
    ['source-quench', 4],
    ['redirect', 5],
    ['echo-request', 8],
    ['router-advertisement', 9],
    ['router-solicitation', 10],
    ['time-exceeded', 11],
    ['parameter-problem', 12],
    ['timestamp-request', 13],
    ['timestamp-reply', 14],
    ['info-request', 15],
    ['info-reply', 16],
    ['address-mask-request', 17],
    ['address-mask-reply', 18],
  ],
  icmpv6_type: [
    ['destination-unreachable', 1],
    ['packet-too-big', 2],
    ['time-exceeded', 3],
    ['parameter-problem', 4],
    ['echo-request', 128],
    ['echo-reply', 129],
    ['mld-listener-query', 130],
    ['mld-listener-report', 131],
    ['mld-listener-done', 132],
    ['nd-router-solicit', 133],
    ['nd-router-advert', 134],
    ['nd-neighbor-solicit', 135],
    ['nd-neighbor-advert', 136],
    ['nd-redirect', 137],
  ],
  tcp_flag: [
    ['fin', 1],
    ['syn', 2],
    ['rst', 4],
    ['psh', 8],
    ['ack', 16],
    ['urg', 32],
    ['ecn', 64],
    ['cwr', 128],
  ],
  pkt_type: [
    ['host', 0],
    ['unicast', 0],
    ['broadcast', 1],
    ['multicast', 2],
    ['other', 3],
  ],
};

/** Bits of a value, for the types that always have the same. */
const WIDTHS: Partial<Record<TypeName, number>> = {
  ipv6_addr: 128,
  inet_proto: 8,
  inet_service: 16,
  ct_dir: 8,
  nf_proto: 8,
  ether_type: 16,
  icmp_type: 8,
  icmpv6_type: 8,
  tcp_flag: 8,
  pkt_type: 8,
};

/** Types that a set may be declared of. */
export const SET_TYPES: ReadonlySet<TypeName> = new Set([
  'ipv4_addr',
  'ipv6_addr',
  'inet_proto',
  'inet_service',
  'ifname',
  'iface_index',
  'mark',
  'ct_state',
  'ct_status',
  'ct_dir',
  'nf_proto',
  'ether_type',
  'icmp_type',
  'icmpv6_type',
  'tcp_flag',
  'pkt_type',
]);

/** Bits of a value of the type; 32 where the type does not say. */
export function widthOf(type: TypeName): number {
  return WIDTHS[type] ?? 32;
}

/** Whether `a,b` means "any of these bits". */
export function isBitmask(type: TypeName): boolean {
  return type === 'ct_state' || type === 'ct_status' || type === 'tcp_flag';
}

/** Largest number of the type. */
function maxOf(type: TypeName, widthBits: number): number {
  if (type === 'inet_service') return 65535;
  if (type === 'inet_proto' || type === 'icmp_type' || type === 'icmpv6_type') return 255;
  return 2 ** widthBits - 1;
}

/** A parse result: the scalar, or the sentence nft prints. */
export type Parsed = { ok: true; value: Scalar } | { ok: false; message: string };

/** Reads one word as a value of the type. */
export function parseScalar(type: TypeName, word: string, widthBits = 32): Parsed {
  if (type === 'ipv4_addr' || type === 'ipv6_addr') return parseAddressOf(type, word);
  if (type === 'ifname') {
    if (word.length > 15) return { ok: false, message: 'String exceeds maximum length of 15' };
    return { ok: true, value: word };
  }
  const symbol = SYMBOLS[type]?.find(([name]) => name === word);
  if (symbol !== undefined) return { ok: true, value: symbol[1] };
  if (/^(0x[0-9a-f]+|\d+)$/i.test(word)) {
    const value = Number(word);
    const max = maxOf(type, widthBits);
    if (value > max) return { ok: false, message: `Value ${value} exceeds valid range 0-${max}` };
    return { ok: true, value };
  }
  const names: Partial<Record<TypeName, string>> = {
    inet_proto: 'Could not resolve protocol name',
    inet_service: 'Could not resolve service: Servname not supported for ai_socktype',
    iface_index: 'Interface does not exist',
  };
  return { ok: false, message: names[type] ?? `Could not parse ${describe(type)}` };
}

function parseAddressOf(type: TypeName, word: string): Parsed {
  const bytes = parseAddress(word);
  const want = type === 'ipv4_addr' ? 4 : 16;
  if (bytes === null || bytes.length !== want)
    return {
      ok: false,
      message: 'Could not resolve hostname: Name or service not known',
    };
  return { ok: true, value: want === 4 ? loadInt32(bytes, 0) >>> 0 : bytes };
}

/** The type as error messages name it. */
export function describe(type: TypeName): string {
  const names: Partial<Record<TypeName, string>> = {
    ipv4_addr: 'IPv4 address',
    ipv6_addr: 'IPv6 address',
    inet_proto: 'Internet protocol',
    inet_service: 'internet network service',
    ifname: 'network interface name',
    iface_index: 'network interface index',
    ether_type: 'ethernet protocol',
    icmp_type: 'ICMP type',
    icmpv6_type: 'ICMPv6 type',
    tcp_flag: 'TCP flag',
    ct_state: 'conntrack state',
    ct_status: 'conntrack status',
    ct_dir: 'conntrack direction',
    integer: 'integer',
    mark: 'packet mark',
    nf_proto: 'netfilter protocol',
    pkt_type: 'packet type',
  };
  return names[type] ?? type;
}

/** A type, or a concatenation of some, as error messages name it. */
export function describeAll(types: Types): string {
  if (types.length === 1) return describe(types[0]);
  return `concatenation of (${types.map(describe).join(', ')})`;
}

/** The scalar as `nft list` prints it. */
export function formatScalar(type: TypeName, value: Scalar): string {
  if (typeof value === 'string') return `"${value}"`;
  if (value instanceof Uint8Array) return formatAddress(value);
  if (type === 'ipv4_addr') return dotted(value);
  if (type === 'mark') return `0x${value.toString(16).padStart(8, '0')}`;
  if (type === 'inet_service') return String(value);
  if (isBitmask(type)) return bitNames(type, value).join(type === 'tcp_flag' ? ' | ' : ',');
  const symbol = SYMBOLS[type]?.find(([, number]) => number === value);
  return symbol === undefined ? String(value) : symbol[0];
}

/** The scalar as `nft -j list` gives it. */
export function jsonScalar(type: TypeName, value: Scalar): unknown {
  if (typeof value === 'string') return value;
  if (value instanceof Uint8Array || type === 'ipv4_addr') return formatScalar(type, value);
  if (isBitmask(type)) {
    const names = bitNames(type, value);
    return names.length === 1 ? names[0] : names;
  }
  const symbol =
    type === 'inet_service' ? undefined : SYMBOLS[type]?.find(([, number]) => number === value);
  return symbol === undefined ? value : symbol[0];
}

function bitNames(type: TypeName, value: number): string[] {
  const names: string[] = [];
  let left = value;
  for (const [name, bit] of SYMBOLS[type] ?? [])
    if ((left & bit) !== 0) {
      names.push(name);
      left &= ~bit;
    }
  if (left !== 0 || names.length === 0) names.push(`0x${left.toString(16)}`);
  return names;
}

function dotted(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}

/** Order in which sets print: by value. */
export function compareScalars(a: Scalar, b: Scalar): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  if (typeof a === 'string' && typeof b === 'string') return a < b ? -1 : a > b ? 1 : 0;
  if (a instanceof Uint8Array && b instanceof Uint8Array) {
    for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i] - b[i];
  }
  return 0;
}
