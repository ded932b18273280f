// The left sides of matches: packet fields, meta and ct keys, each with its data type, where its value is found, and what
// must hold of the packet before (its protocol), as nft adds such dependencies by itself.
//
// Left out: ether, vlan, arp, sctp; ct original/reply tuples.

import type { Place } from './ast.ts';
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

export const CT_STATE = 0;
export const CT_MARK = 1;
export const CT_STATUS = 2;
export const CT_DIRECTION = 3;
export const CT_ZONE = 4;
export const CT_L3PROTO = 5;
export const CT_PROTOCOL = 6;

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
  /** Of a concatenation `a . b`; empty for a single field. */
  parts: readonly Field[];
  /** Where it was written. */
  place?: Place;
}

type Row = readonly [name: string, type: TypeName, at: number, widthBits: number, shift?: number];

const PAYLOAD: Record<string, readonly Row[]> = {
  ip: [
    ['version', 'integer', 0, 4, 4],
    ['hdrlength', 'integer', 0, 4],
    ['dscp', 'integer', 1, 6, 2],
    ['ecn', 'integer', 1, 2],
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
  th: [
    ['sport', 'inet_service', 0, 16],
    ['dport', 'inet_service', 2, 16],
  ],
  icmp: [
    ['type', 'icmp_type', 0, 8],
    ['code', 'integer', 1, 8],
    ['id', 'integer', 4, 16],
    ['sequence', 'integer', 6, 16],
  ],
  icmpv6: [
    ['type', 'icmpv6_type', 0, 8],
    ['code', 'integer', 1, 8],
    ['id', 'integer', 4, 16],
    ['sequence', 'integer', 6, 16],
  ],
};

const PAYLOAD_FAMILY: Record<string, number> = { ip: 2, ip6: 10, icmp: 2, icmpv6: 10 };
const PAYLOAD_PROTOCOL: Record<string, number> = { tcp: 6, udp: 17, icmp: 1, icmpv6: 58 };

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
};

/** Meta keys that print without the word meta. */
const UNQUALIFIED = new Set(['iif', 'oif', 'iifname', 'oifname']);

const CT: Record<string, readonly [key: number, type: TypeName]> = {
  state: [CT_STATE, 'ct_state'],
  mark: [CT_MARK, 'mark'],
  status: [CT_STATUS, 'ct_status'],
  direction: [CT_DIRECTION, 'ct_dir'],
  zone: [CT_ZONE, 'integer'],
  l3proto: [CT_L3PROTO, 'nf_proto'],
  protocol: [CT_PROTOCOL, 'inet_proto'],
};

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
    widthBits: type === 'inet_proto' || type === 'nf_proto' || type === 'pkt_type' ? 8 : 32,
    shift: 0,
    family: 0,
    l4proto: 0,
    parts: [],
  };
}

export function ctField(name: string): Field | null {
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
    parts: [],
  };
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
