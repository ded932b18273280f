// Which connections a command of conntrack(8) means: -L, -D, -U and -E with the same filters.

import { parseAddressAton, samePrefix } from '../../ip/address.ts';
import type { Conntrack } from './conntrack.ts';
import {
  C_ID,
  C_MARK,
  C_STATUS,
  C_TCP_STATE,
  IPS_DST_NAT,
  IPS_SRC_NAT,
  ROW_REPLY,
  ROW_WORDS,
} from './table.ts';
import { T_DST, T_L4, T_META, tupleAddress } from './tuple.ts';

/** An address, or a network of them. */
export interface AddressFilter {
  address: Uint8Array;
  prefixLen: number;
}

/** What a command asks of a connection; null fields match any. */
export interface ConnectionFilter {
  /** 2 or 10; conntrack(8) without -f takes both for -L and -D. */
  family: number | null;
  protocol: number | null;
  src: AddressFilter | null;
  dst: AddressFilter | null;
  replySrc: AddressFilter | null;
  replyDst: AddressFilter | null;
  /** Layer-4 parts of both keys: source and destination port, ICMP id, type and code. */
  sport: number | null;
  dport: number | null;
  replySport: number | null;
  replyDport: number | null;
  icmpType: number | null;
  icmpCode: number | null;
  icmpId: number | null;
  mark: { value: number; mask: number } | null;
  zone: number | null;
  originalZone: number | null;
  replyZone: number | null;
  id: number | null;
  state: number | null;
  /** Status bits that must be set, and that must be clear. */
  statusSet: number;
  statusClear: number;
  /** The translated source or destination; an empty address matches any. */
  srcNat: Uint8Array | null;
  dstNat: Uint8Array | null;
  anyNat: Uint8Array | null;
  /** Labels that must be set. */
  labels: readonly number[];
}

export function anyConnection(): ConnectionFilter {
  return {
    family: null,
    protocol: null,
    src: null,
    dst: null,
    replySrc: null,
    replyDst: null,
    sport: null,
    dport: null,
    replySport: null,
    replyDport: null,
    icmpType: null,
    icmpCode: null,
    icmpId: null,
    mark: null,
    zone: null,
    originalZone: null,
    replyZone: null,
    id: null,
    state: null,
    statusSet: 0,
    statusClear: 0,
    srcNat: null,
    dstNat: null,
    anyNat: null,
    labels: [],
  };
}

/** `ADDRESS` or `ADDRESS/LENGTH` as conntrack(8) reads them (nothing behind the slash is 0), or which of the two is wrong. */
export function parseAddressFilter(text: string): AddressFilter | 'address' | 'netmask' {
  const slash = text.indexOf('/');
  const address = parseAddressAton(slash < 0 ? text : text.slice(0, slash));
  if (address === null) return 'address';
  const most = address.length * 8;
  if (slash < 0) return { address, prefixLen: most };
  const tail = text.slice(slash + 1);
  if (tail !== '' && !/^\s*\+?\d+$/.test(tail)) return 'netmask';
  const prefixLen = Number(tail);
  return prefixLen > most ? 'netmask' : { address, prefixLen };
}

function isIn(words: Int32Array, at: number, offset: number, want: AddressFilter | null): boolean {
  if (want === null) return true;
  const have = tupleAddress(words, at, offset);
  return have.length === want.address.length && samePrefix(have, want.address, want.prefixLen);
}

/** Whether an end was translated, to this address unless it is empty. */
function natFits(words: Int32Array, row: number, bit: number, want: Uint8Array): boolean {
  if ((words[row + C_STATUS] & bit) === 0) return false;
  if (want.length === 0) return true;
  const have = tupleAddress(words, row + ROW_REPLY, bit === IPS_SRC_NAT ? T_DST : 0);
  return have.length === want.length && have.every((byte, i) => byte === want[i]);
}

function hasLabels(ct: Conntrack, id: number, wanted: readonly number[]): boolean {
  if (wanted.length === 0) return true;
  const labels = ct.extensions.get(id)?.labels ?? null;
  return labels !== null && wanted.every((bit) => (labels[bit >> 5] & (2 ** (bit & 31))) !== 0);
}

/** Whether a row passes the filter. */
export function matchesFilter(ct: Conntrack, id: number, filter: ConnectionFilter): boolean {
  const { words } = ct.table;
  const row = id * ROW_WORDS;
  const reply = row + ROW_REPLY;
  const meta = words[row + T_META];
  const replyZone = words[reply + T_META] >>> 16;
  const status = words[row + C_STATUS];
  const l4 = words[row + T_L4];
  const replyL4 = words[reply + T_L4];
  const { srcNat, dstNat, anyNat, mark } = filter;
  const is = (want: number | null, have: number): boolean => want === null || want === have;
  return (
    is(filter.family, meta & 0xff) &&
    is(filter.protocol, (meta >> 8) & 0xff) &&
    is(filter.zone, meta >>> 16 === replyZone ? replyZone : 0) &&
    is(filter.originalZone, meta >>> 16) &&
    is(filter.replyZone, replyZone) &&
    is(filter.sport, l4 >>> 16) &&
    is(filter.dport, l4 & 0xffff) &&
    is(filter.replySport, replyL4 >>> 16) &&
    is(filter.replyDport, replyL4 & 0xffff) &&
    is(filter.icmpId, l4 >>> 16) &&
    is(filter.icmpType, (l4 >> 8) & 0xff) &&
    is(filter.icmpCode, l4 & 0xff) &&
    is(filter.id, words[row + C_ID] >>> 0) &&
    is(filter.state, words[row + C_TCP_STATE]) &&
    (mark === null || (words[row + C_MARK] & mark.mask) >>> 0 === mark.value) &&
    (status & filter.statusSet) === filter.statusSet &&
    (status & filter.statusClear) === 0 &&
    isIn(words, row, 0, filter.src) &&
    isIn(words, row, T_DST, filter.dst) &&
    isIn(words, reply, 0, filter.replySrc) &&
    isIn(words, reply, T_DST, filter.replyDst) &&
    (srcNat === null || natFits(words, row, IPS_SRC_NAT, srcNat)) &&
    (dstNat === null || natFits(words, row, IPS_DST_NAT, dstNat)) &&
    (anyNat === null ||
      natFits(words, row, IPS_SRC_NAT, anyNat) ||
      natFits(words, row, IPS_DST_NAT, anyNat)) &&
    hasLabels(ct, id, filter.labels)
  );
}
