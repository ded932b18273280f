// Connections as conntrack(8) prints them (spec C.8; conntrack-tools 1.4.7), and the filters of its -L, -D.
//
// use= counts the table, every flow object not yet freed, and packets that wait for a neighbour with the connection attached.

import { PS_PER_S } from '../../../../hw/time/units.ts';
import { formatAddress } from '../../ip/address.ts';
import type { StackPort } from '../stack-port.ts';
import type { Conntrack } from './conntrack.ts';
import {
  C_FLOW_REFS,
  C_ID,
  C_MARK,
  C_STATUS,
  C_TCP_STATE,
  D_BYTES,
  D_PACKETS,
  D_TIMEOUT,
  IPS_ASSURED,
  IPS_HAS_ACCT,
  IPS_HW_OFFLOAD,
  IPS_OFFLOAD,
  IPS_SEEN_REPLY,
  ROW_DOUBLES,
  ROW_REPLY,
  ROW_WORDS,
} from './table.ts';
import { TCP_STATE_NAMES } from './tcp-table.ts';
import {
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_TCP,
  IPPROTO_UDP,
  T_DST,
  T_L4,
  T_META,
  tupleAddress,
} from './tuple.ts';

/** Columns of a line beside the usual ones. */
export interface LineOptions {
  /** `-o extended`: the layer-3 protocol in front. */
  extended: boolean;
  /** `-o id`. */
  id: boolean;
}

const PROTOCOL_NAMES: Record<number, string> = {
  [IPPROTO_ICMP]: 'icmp',
  [IPPROTO_TCP]: 'tcp',
  [IPPROTO_UDP]: 'udp',
  47: 'gre',
  [IPPROTO_ICMPV6]: 'icmpv6',
  132: 'sctp',
};

/** Name of a protocol as conntrack(8) has it, `unknown` for one without tracker. */
export function protocolName(protocol: number): string {
  return PROTOCOL_NAMES[protocol] ?? 'unknown';
}

/** Packets that wait with their connection attached, by row. */
function heldPackets(stack: StackPort, ct: Conntrack): Map<number, number> {
  const held = new Map<number, number>();
  for (const neighbour of stack.neigh.list())
    for (const skb of neighbour.queue) {
      const conn = skb.nfct as { id: number } | null;
      if (conn === null || conn.id < 0 || ct.table.conns[conn.id] !== conn) continue;
      held.set(conn.id, (held.get(conn.id) ?? 0) + 1);
    }
  return held;
}

/** Line of each row, without newline. */
export function connectionLines(
  stack: StackPort,
  ct: Conntrack,
  ids: readonly number[],
  options: LineOptions,
): string[] {
  const held = heldPackets(stack, ct);
  return ids.map((id) => line(ct, id, held.get(id) ?? 0, options));
}

function line(ct: Conntrack, id: number, heldCount: number, options: LineOptions): string {
  const { words, doubles } = ct.table;
  const row = id * ROW_WORDS;
  const status = words[row + C_STATUS];
  const meta = words[row + T_META];
  const protocol = (meta >> 8) & 0xff;
  const parts: string[] = [];
  if (options.extended) parts.push((meta & 0xff) === 2 ? 'ipv4     2' : 'ipv6     10');
  parts.push(`${protocolName(protocol).padEnd(8)} ${protocol}`);
  if ((status & IPS_OFFLOAD) === 0) {
    const leftPs = doubles[id * ROW_DOUBLES + D_TIMEOUT] - ct.now;
    parts.push(String(Math.max(0, Math.floor(leftPs / PS_PER_S))));
    if (protocol === IPPROTO_TCP) parts.push(TCP_STATE_NAMES[words[row + C_TCP_STATE]]);
  }
  parts.push(...tupleWords(words, row, protocol), ...countWords(ct, id, 0));
  if ((status & IPS_SEEN_REPLY) === 0) parts.push('[UNREPLIED]');
  parts.push(...tupleWords(words, row + ROW_REPLY, protocol), ...countWords(ct, id, 1));
  if ((status & IPS_HW_OFFLOAD) !== 0) parts.push('[HW_OFFLOAD]');
  else if ((status & IPS_OFFLOAD) !== 0) parts.push('[OFFLOAD]');
  else if ((status & IPS_ASSURED) !== 0) parts.push('[ASSURED]');
  parts.push(`mark=${words[row + C_MARK] >>> 0}`);
  if (meta >>> 16 !== 0) parts.push(`zone=${meta >>> 16}`);
  parts.push(`use=${1 + words[row + C_FLOW_REFS] + heldCount}`);
  if (options.id) parts.push(`id=${words[row + C_ID] >>> 0}`);
  return parts.join(' ');
}

function tupleWords(words: Int32Array, at: number, protocol: number): string[] {
  const src = formatAddress(tupleAddress(words, at, 0));
  const dst = formatAddress(tupleAddress(words, at, T_DST));
  const l4 = words[at + T_L4];
  const parts = [`src=${src}`, `dst=${dst}`];
  if (protocol === IPPROTO_TCP || protocol === IPPROTO_UDP)
    parts.push(`sport=${l4 >>> 16}`, `dport=${l4 & 0xffff}`);
  else if (protocol === IPPROTO_ICMP || protocol === IPPROTO_ICMPV6)
    parts.push(`type=${(l4 >> 8) & 0xff}`, `code=${l4 & 0xff}`, `id=${l4 >>> 16}`);
  return parts;
}

function countWords(ct: Conntrack, id: number, direction: number): string[] {
  if ((ct.table.words[id * ROW_WORDS + C_STATUS] & IPS_HAS_ACCT) === 0) return [];
  const at = id * ROW_DOUBLES + direction;
  return [`packets=${ct.table.doubles[at + D_PACKETS]}`, `bytes=${ct.table.doubles[at + D_BYTES]}`];
}

/** What a command asks of a connection; null fields match any. */
export interface ConnectionFilter {
  /** 2 or 10; conntrack(8) without -f takes both for -L and -D. */
  family: number | null;
  protocol: number | null;
  src: Uint8Array | null;
  dst: Uint8Array | null;
  replySrc: Uint8Array | null;
  replyDst: Uint8Array | null;
  sport: number | null;
  dport: number | null;
  mark: number | null;
  zone: number | null;
  state: number | null;
  /** Status bits that must be set. */
  statusSet: number;
  /** Status bits that must be clear. */
  statusClear: number;
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
    mark: null,
    zone: null,
    state: null,
    statusSet: 0,
    statusClear: 0,
  };
}

function sameAddress(
  words: Int32Array,
  at: number,
  offset: number,
  want: Uint8Array | null,
): boolean {
  if (want === null) return true;
  const have = tupleAddress(words, at, offset);
  return have.length === want.length && have.every((byte, i) => byte === want[i]);
}

/** Whether a row passes the filter. */
export function matchesFilter(ct: Conntrack, id: number, filter: ConnectionFilter): boolean {
  const { words } = ct.table;
  const row = id * ROW_WORDS;
  const meta = words[row + T_META];
  const status = words[row + C_STATUS];
  const l4 = words[row + T_L4];
  const is = (want: number | null, have: number): boolean => want === null || want === have;
  return (
    is(filter.family, meta & 0xff) &&
    is(filter.protocol, (meta >> 8) & 0xff) &&
    is(filter.zone, meta >>> 16) &&
    is(filter.sport, l4 >>> 16) &&
    is(filter.dport, l4 & 0xffff) &&
    is(filter.mark, words[row + C_MARK] >>> 0) &&
    is(filter.state, words[row + C_TCP_STATE]) &&
    (status & filter.statusSet) === filter.statusSet &&
    (status & filter.statusClear) === 0 &&
    sameAddress(words, row, 0, filter.src) &&
    sameAddress(words, row, T_DST, filter.dst) &&
    sameAddress(words, row + ROW_REPLY, 0, filter.replySrc) &&
    sameAddress(words, row + ROW_REPLY, T_DST, filter.replyDst)
  );
}
