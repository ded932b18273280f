// The left sides of matches: packet fields, meta and ct keys, each with its data type, where its value is found, and what
// must hold of the packet before (its protocol), as nft adds such dependencies by itself.
//
// Left out: ether, vlan, arp, headers of IPv6 extensions and of IPsec; of SCTP, DCCP and UDP-Lite all but the ports.

import type { Place } from './ast.ts';
import { widthOf } from './types.ts';
import type { TypeName, Types } from './types.ts';

/** Where a value comes from (operand of the evaluator's LOAD ops). */
export const SOURCE_NETWORK = 0;
export const SOURCE_TRANSPORT = 1;
export const SOURCE_META = 2;
export const SOURCE_CT = 3;

/** Of a concatenation: each part has its own. */
const SOURCE_PARTS = 4;

export const META_L4PROTO = 0;
export const META_NFPROTO = 1;
export const META_PROTOCOL = 2;
export const META_IIF = 3;
export const META_OIF = 4;
export const META_IIFNAME = 5;
export const META_OIFNAME = 6;
export const META_MARK = 7;
export const META_LENGTH = 8;
export const META_PKTTYPE = 9;
export const META_CPU = 10;
export const META_IIFTYPE = 11;
export const META_OIFTYPE = 12;
export const META_IIFGROUP = 13;
export const META_OIFGROUP = 14;

export const CT_STATE = 0;
export const CT_MARK = 1;
export const CT_STATUS = 2;
export const CT_DIRECTION = 3;
export const CT_ZONE = 4;
export const CT_L3PROTO = 5;
export const CT_PROTOCOL = 6;
export const CT_EXPIRATION = 7;
export const CT_ID = 8;
/** The helper's name: no number. */
const CT_HELPER = 9;
/** Labels: ct-label.ts. */
const CT_LABEL = 10;
/** From here on `key = CT_DIRECTED + CT_DIRECTED_KEYS * direction + which` (0 original, 1 reply, 2 both). */
export const CT_DIRECTED = 16;
export const CT_DIRECTED_KEYS = 8;
export const CT_SRC_ADDRESS = 0;
export const CT_DST_ADDRESS = 1;
export const CT_PROTO_SRC = 2;
export const CT_PROTO_DST = 3;
export const CT_DIRECTED_ZONE = 4;
export const CT_PACKETS = 5;
export const CT_BYTES = 6;
export const CT_AVGPKT = 7;

export interface Field {
  /** As printed. */
  text: string;
  json: unknown;
  type: TypeName;
  source: number;
  /** Key of meta and ct, byte offset of packet fields. */
  key: number;
  /** Bits of a packet field; shift of its lowest bit within the bytes read. */
  widthBits: number;
  shift: number;
  /** AF_INET or AF_INET6 that the packet must be of, 0 for any. */
  family: number;
  /** Protocol that the packet must carry, 0 for any. */
  l4proto: number;
  /** ICMP or ICMPv6 types of which the message must be one; the first is what nft asks for. */
  icmpTypes: readonly number[];
  /** Of a concatenation `a . b`; empty for a single field. */
  parts: readonly Field[];
  /** Where it was written. */
  place?: Place;
}

type Row = readonly [
  name: string,
  type: TypeName,
  at: number,
  widthBits: number,
  shift?: number,
  icmpTypes?: readonly number[],
];

const ECHO = [8, 0];
const ECHO6 = [128, 129];

const PORTS: readonly Row[] = [
  ['sport', 'inet_service', 0, 16],
  ['dport', 'inet_service', 2, 16],
];

const PAYLOAD: Record<string, readonly Row[]> = {
  ip: [
    ['version', 'integer', 0, 4, 4],
    ['hdrlength', 'integer', 0, 4],
    ['dscp', 'dscp', 1, 6, 2],
    ['ecn', 'ecn', 1, 2],
    ['length', 'integer', 2, 16],
    ['id', 'integer', 4, 16],
    ['frag-off', 'integer', 6, 16],
    ['ttl', 'integer', 8, 8],
    ['protocol', 'inet_proto', 9, 8],
    ['checksum', 'integer', 10, 16],
    ['saddr', 'ipv4_addr', 12, 32],
    ['daddr', 'ipv4_addr', 16, 32],
  ],
  ip6: [
    ['version', 'integer', 0, 4, 4],
    ['dscp', 'dscp', 0, 6, 6],
    ['ecn', 'ecn', 1, 2, 4],
    ['flowlabel', 'integer', 1, 20],
    ['length', 'integer', 4, 16],
    ['nexthdr', 'inet_proto', 6, 8],
    ['hoplimit', 'integer', 7, 8],
    ['saddr', 'ipv6_addr', 8, 128],
    ['daddr', 'ipv6_addr', 24, 128],
  ],
  tcp: [
    ['sport', 'inet_service', 0, 16],
    ['dport', 'inet_service', 2, 16],
    ['sequence', 'integer', 4, 32],
    ['ackseq', 'integer', 8, 32],
    ['doff', 'integer', 12, 4, 4],
    ['flags', 'tcp_flag', 13, 8],
    ['window', 'integer', 14, 16],
    ['checksum', 'integer', 16, 16],
    ['urgptr', 'integer', 18, 16],
  ],
  udp: [
    ['sport', 'inet_service', 0, 16],
    ['dport', 'inet_service', 2, 16],
    ['length', 'integer', 4, 16],
    ['checksum', 'integer', 6, 16],
  ],
  udplite: PORTS,
  sctp: PORTS,
  dccp: PORTS,
  th: PORTS,
  icmp: [
    ['type', 'icmp_type', 0, 8],
    ['code', 'icmp_code', 1, 8],
    ['checksum', 'integer', 2, 16],
    ['id', 'integer', 4, 16, 0, ECHO],
    ['sequence', 'integer', 6, 16, 0, ECHO],
    ['gateway', 'integer', 4, 32, 0, [5]],
    ['mtu', 'integer', 6, 16, 0, [3]],
  ],
  icmpv6: [
    ['type', 'icmpv6_type', 0, 8],
    ['code', 'icmpv6_code', 1, 8],
    ['checksum', 'integer', 2, 16],
    ['mtu', 'integer', 4, 32, 0, [2]],
    ['id', 'integer', 4, 16, 0, ECHO6],
    ['sequence', 'integer', 6, 16, 0, ECHO6],
    ['max-delay', 'integer', 4, 16, 0, [130]],
  ],
};

const PAYLOAD_FAMILY: Record<string, number> = { ip: 2, ip6: 10, icmp: 2, icmpv6: 10 };
const PAYLOAD_PROTOCOL: Record<string, number> = {
  tcp: 6,
  udp: 17,
  udplite: 136,
  sctp: 132,
  dccp: 33,
  icmp: 1,
  icmpv6: 58,
};

const META: Record<string, readonly [key: number, type: TypeName]> = {
  l4proto: [META_L4PROTO, 'inet_proto'],
  nfproto: [META_NFPROTO, 'nf_proto'],
  protocol: [META_PROTOCOL, 'ether_type'],
  iif: [META_IIF, 'iface_index'],
  oif: [META_OIF, 'iface_index'],
  iifname: [META_IIFNAME, 'ifname'],
  oifname: [META_OIFNAME, 'ifname'],
  mark: [META_MARK, 'mark'],
  length: [META_LENGTH, 'integer'],
  pkttype: [META_PKTTYPE, 'pkt_type'],
  cpu: [META_CPU, 'integer'],
  iiftype: [META_IIFTYPE, 'iface_type'],
  oiftype: [META_OIFTYPE, 'iface_type'],
  iifgroup: [META_IIFGROUP, 'devgroup'],
  oifgroup: [META_OIFGROUP, 'devgroup'],
};

/** Meta keys that print without the word meta. */
const UNQUALIFIED = new Set(['iif', 'oif', 'iifname', 'oifname', 'iifgroup', 'oifgroup']);

const CT: Record<string, readonly [key: number, type: TypeName]> = {
  state: [CT_STATE, 'ct_state'],
  mark: [CT_MARK, 'mark'],
  status: [CT_STATUS, 'ct_status'],
  direction: [CT_DIRECTION, 'ct_dir'],
  zone: [CT_ZONE, 'integer'],
  l3proto: [CT_L3PROTO, 'nf_proto'],
  protocol: [CT_PROTOCOL, 'inet_proto'],
  expiration: [CT_EXPIRATION, 'time'],
  id: [CT_ID, 'integer'],
  helper: [CT_HELPER, 'string'],
  label: [CT_LABEL, 'ct_label'],
};

/** Keys that have a direction; the amounts may stand without. */
const CT_DIRECTIONAL: Record<string, readonly [which: number, type: TypeName, family: number]> = {
  'ip saddr': [CT_SRC_ADDRESS, 'ipv4_addr', 2],
  'ip daddr': [CT_DST_ADDRESS, 'ipv4_addr', 2],
  'ip6 saddr': [CT_SRC_ADDRESS, 'ipv6_addr', 10],
  'ip6 daddr': [CT_DST_ADDRESS, 'ipv6_addr', 10],
  'proto-src': [CT_PROTO_SRC, 'inet_service', 0],
  'proto-dst': [CT_PROTO_DST, 'inet_service', 0],
  zone: [CT_DIRECTED_ZONE, 'integer', 0],
  packets: [CT_PACKETS, 'amount', 0],
  bytes: [CT_BYTES, 'amount', 0],
  avgpkt: [CT_AVGPKT, 'amount', 0],
};
const BOTH_DIRECTIONS = 2;

/** Whether a word names a header that this language knows. */
export function isPayload(protocol: string): boolean {
  return Object.hasOwn(PAYLOAD, protocol);
}

/** Whether a word may stand without `meta`. */
export function isUnqualifiedMeta(word: string): boolean {
  return UNQUALIFIED.has(word);
}

/** A header field, null when there is none of this name. */
export function payloadField(protocol: string, name: string): Field | null {
  const row = PAYLOAD[protocol]?.find((r) => r[0] === name);
  if (row === undefined) return null;
  const network = protocol === 'ip' || protocol === 'ip6';
  return {
    text: `${protocol} ${name}`,
    json: { payload: { protocol, field: name } },
    type: row[1],
    source: network ? SOURCE_NETWORK : SOURCE_TRANSPORT,
    key: row[2],
    widthBits: row[3],
    shift: row[4] ?? 0,
    family: PAYLOAD_FAMILY[protocol] ?? 0,
    l4proto: PAYLOAD_PROTOCOL[protocol] ?? 0,
    icmpTypes: row[5] ?? [],
    parts: [],
  };
}

export function metaField(name: string): Field | null {
  if (!Object.hasOwn(META, name)) return null;
  const [key, type] = META[name];
  return {
    text: UNQUALIFIED.has(name) ? name : `meta ${name}`,
    json: { meta: { key: name } },
    type,
    source: SOURCE_META,
    key,
    widthBits: widthOf(type),
    shift: 0,
    family: 0,
    l4proto: 0,
    icmpTypes: [],
    parts: [],
  };
}

/** A conntrack key: `mark`, and with a direction `ip saddr`, `proto-dst`, `bytes`; null when there is none of this name. */
export function ctField(name: string, direction: 'original' | 'reply' | null = null): Field | null {
  const isAmount = name === 'packets' || name === 'bytes' || name === 'avgpkt';
  const isDirected = Object.hasOwn(CT_DIRECTIONAL, name);
  if (isDirected && (direction !== null || isAmount)) return directedField(name, direction);
  // nft takes a direction of the two protocols, too, and forgets it.
  if (direction !== null && name !== 'l3proto' && name !== 'protocol') return null;
  if (!Object.hasOwn(CT, name)) return null;
  const [key, type] = CT[name];
  return {
    text: `ct ${name}`,
    json: { ct: { key: name } },
    type,
    source: SOURCE_CT,
    key,
    widthBits: name === 'zone' ? 16 : 32,
    shift: 0,
    family: 0,
    l4proto: 0,
    icmpTypes: [],
    parts: [],
  };
}

function directedField(name: string, direction: 'original' | 'reply' | null): Field {
  const [which, type, family] = CT_DIRECTIONAL[name];
  const way = direction === null ? BOTH_DIRECTIONS : direction === 'original' ? 0 : 1;
  return {
    text: direction === null ? `ct ${name}` : `ct ${direction} ${name}`,
    json: { ct: direction === null ? { key: name } : { key: name, dir: direction } },
    type,
    source: SOURCE_CT,
    key: CT_DIRECTED + CT_DIRECTED_KEYS * way + which,
    widthBits: type === 'amount' ? 64 : name === 'zone' ? 16 : widthOf(type),
    shift: 0,
    family,
    l4proto: 0,
    icmpTypes: [],
    parts: [],
  };
}

/** Whether a field is a transport part of a connection's key: what its numbers mean depends on the protocol. */
export function isCtPort(field: Field): boolean {
  const which = (field.key - CT_DIRECTED) % CT_DIRECTED_KEYS;
  if (field.source !== SOURCE_CT || field.key < CT_DIRECTED) return false;
  return which === CT_PROTO_SRC || which === CT_PROTO_DST;
}

/** `a . b …` as one left side; it asks of the packet what its parts ask. */
export function concatField(parts: readonly Field[]): Field {
  return {
    text: parts.map((p) => p.text).join(' . '),
    json: { concat: parts.map((p) => p.json) },
    type: 'integer',
    source: SOURCE_PARTS,
    key: 0,
    widthBits: 0,
    shift: 0,
    family: parts.find((p) => p.family !== 0)?.family ?? 0,
    l4proto: parts.find((p) => p.l4proto !== 0)?.l4proto ?? 0,
    icmpTypes: parts.find((p) => p.icmpTypes.length > 0)?.icmpTypes ?? [],
    parts,
  };
}

/** The fields that a left side reads. */
export function partsOf(field: Field): readonly Field[] {
  return field.parts.length > 0 ? field.parts : [field];
}

export function typesOf(field: Field): Types {
  return partsOf(field).map((p) => p.type);
}

/** Whether some part is conntrack's. */
export function isTracked(field: Field): boolean {
  return partsOf(field).some((p) => p.source === SOURCE_CT);
}
