// Data types of nft expressions: how values are written, printed and given in JSON (nft 1.0.6: protocols and states by name,
// ports and lengths as numbers, marks in eight hex digits).
//
// A scalar is a number (0..2^32−1; amounts up to 2^53), the 16 bytes of an IPv6 address, or a name (of an interface, which may end in
// `*`, or of a helper). Service names are read but never printed.

import { formatAddress, loadInt32, parseAddress } from '../../ip/address.ts';
import { formatTime, timeOf } from './time-text.ts';
import { SYMBOLS } from './type-symbols.ts';

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
  | 'pkt_type'
  | 'dscp'
  | 'ecn'
  | 'icmp_code'
  | 'icmpv6_code'
  | 'iface_type'
  | 'devgroup'
  /** Milliseconds. */
  | 'time'
  /** A name of something else than an interface. */
  | 'string'
  /** Packets or bytes: 64 bits. */
  | 'amount'
  /** Bit numbers; only ct-label.ts has values of it. */
  | 'ct_label';

/** Type of a key or of a value: one, or one for each part of a concatenation. */
export type Types = readonly TypeName[];

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
  dscp: 6,
  ecn: 2,
  icmp_code: 8,
  icmpv6_code: 8,
  iface_type: 16,
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
  'dscp',
  'ecn',
  'icmp_code',
  'icmpv6_code',
  'iface_type',
  'devgroup',
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
  if (type === 'string') return { ok: true, value: word };
  if (type === 'time') {
    const timeMs = timeOf(word);
    return timeMs < 0 ? { ok: false, message: 'wrong time format' } : { ok: true, value: timeMs };
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
    dscp: 'Differentiated Services Code Point',
    ecn: 'Explicit Congestion Notification',
    icmp_code: 'icmp code',
    icmpv6_code: 'icmpv6 code',
    iface_type: 'network interface type',
    devgroup: 'devgroup name',
    amount: 'integer',
    time: 'relative time',
    ct_label: 'conntrack label',
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
  if (isBitmask(type)) return bitNames(type, value).join(type === 'tcp_flag' ? ' | ' : ',');
  if (type === 'time') return formatTime(value);
  const symbol =
    type === 'inet_service' ? undefined : SYMBOLS[type]?.find(([, number]) => number === value);
  if (symbol === undefined) return formatNumber(type, value);
  return type === 'devgroup' ? `"${symbol[0]}"` : symbol[0];
}

/** An end of a range: nft prints no names there. */
export function formatEnd(type: TypeName, value: Scalar): string {
  return typeof value === 'number' ? formatNumber(type, value) : formatScalar(type, value);
}

function formatNumber(type: TypeName, value: number): string {
  if (type === 'ipv4_addr') return dotted(value);
  if (type === 'mark') return `0x${value.toString(16).padStart(8, '0')}`;
  if (type === 'dscp') return `0x${value.toString(16).padStart(2, '0')}`;
  return type === 'time' ? `${Math.floor(value / MS_PER_S)}s` : String(value);
}

const MS_PER_S = 1000;

/** The scalar as `nft -j list` gives it. */
export function jsonScalar(type: TypeName, value: Scalar): unknown {
  if (typeof value === 'string') return value;
  if (value instanceof Uint8Array || type === 'ipv4_addr') return formatScalar(type, value);
  if (isBitmask(type)) {
    if (value === 0) return 0;
    const names = bitNames(type, value);
    return names.length === 1 ? names[0] : names;
  }
  if (type === 'time') return Math.floor(value / MS_PER_S);
  const symbol =
    type === 'inet_service' ? undefined : SYMBOLS[type]?.find(([, number]) => number === value);
  return symbol === undefined ? value : symbol[0];
}

/** Names of the bits that are set, lowest bit first. */
export function bitNames(type: TypeName, value: number): string[] {
  const names: [name: string, bit: number][] = [];
  let left = value;
  for (const [name, bit] of SYMBOLS[type] ?? [])
    if ((left & bit) !== 0) {
      names.push([name, bit]);
      left &= ~bit;
    }
  if (left !== 0 || names.length === 0) names.push([`0x${left.toString(16)}`, left]);
  return names.sort((x, y) => x[1] - y[1]).map(([name]) => name);
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
