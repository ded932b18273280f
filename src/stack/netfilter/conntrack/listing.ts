// Connections as conntrack(8) prints them (spec C.8; conntrack-tools 1.4.7): lines of a listing and of events.
//
// use= counts the table, every flow object not yet freed, and packets that wait for a neighbour with the connection attached.
// XML is in listing-xml.ts. Left out: names of labels (they are listed by number).

import { PS_PER_MS, PS_PER_S } from '../../../../hw/time/units.ts';
import { formatAddress } from '../../ip/address.ts';
import type { StackPort } from '../stack-port.ts';
import { clockText } from './clock-text.ts';
import type { Conntrack } from './conntrack.ts';
import { EVENT_PROTOINFO } from './events.ts';
import type { EventKind } from './events.ts';
import { SCTP_STATE_NAMES } from './sctp.ts';
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
  IPS_CONFIRMED,
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
  IPPROTO_DCCP,
  IPPROTO_GRE,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_SCTP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  IPPROTO_UDPLITE,
  T_DST,
  T_L4,
  T_META,
  hasPorts,
  tupleAddress,
} from './tuple.ts';

/** Columns of a line beside the usual ones. */
export interface LineOptions {
  /** `-o extended`: the layer-3 protocol in front. */
  extended: boolean;
  /** `-o id`. */
  id: boolean;
  /** `-o ktimestamp`: when the connection was confirmed. */
  ktimestamp?: boolean;
  /** `-o labels`. */
  labels?: boolean;
}

const PROTOCOL_NAMES: Record<number, string> = {
  [IPPROTO_ICMP]: 'icmp',
  [IPPROTO_TCP]: 'tcp',
  [IPPROTO_UDP]: 'udp',
  [IPPROTO_DCCP]: 'dccp',
  [IPPROTO_GRE]: 'gre',
  [IPPROTO_ICMPV6]: 'icmpv6',
  [IPPROTO_SCTP]: 'sctp',
  [IPPROTO_UDPLITE]: 'udplite',
};

/** The kernel counts its time in these, ps (HZ 250). */
const JIFFY_PS = 4 * PS_PER_MS;

/** Name of a protocol as conntrack(8) has it, `unknown` for one without tracker. */
export function protocolName(protocol: number): string {
  return PROTOCOL_NAMES[protocol] ?? 'unknown';
}

/** Name of a row's protocol state, null for protocols without states. */
export function stateName(words: Int32Array, row: number): string | null {
  const protocol = (words[row + T_META] >> 8) & 0xff;
  if (protocol === IPPROTO_TCP) return TCP_STATE_NAMES[words[row + C_TCP_STATE]];
  return protocol === IPPROTO_SCTP ? SCTP_STATE_NAMES[words[row + C_TCP_STATE]] : null;
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

/** use= of each row. */
export function useCounts(stack: StackPort, ct: Conntrack, ids: readonly number[]): number[] {
  const held = heldPackets(stack, ct);
  return ids.map((id) => {
    return 1 + ct.table.words[id * ROW_WORDS + C_FLOW_REFS] + (held.get(id) ?? 0);
  });
}

/** Line of each row, without newline. */
export function connectionLines(
  stack: StackPort,
  ct: Conntrack,
  ids: readonly number[],
  options: LineOptions,
): string[] {
  const uses = useCounts(stack, ct, ids);
  return ids.map((id, i) => {
    const { words } = ct.table;
    const row = id * ROW_WORDS;
    const isOffloaded = (words[row + C_STATUS] & IPS_OFFLOAD) !== 0;
    const start = isOffloaded ? [] : [String(secondsLeft(ct, id))];
    const state = isOffloaded ? null : stateName(words, row);
    if (state !== null) start.push(state);
    const use = `use=${uses[i]}`;
    return line(ct, id, options, start, [`mark=${words[row + C_MARK] >>> 0}`], use, true);
  });
}

/** Whole seconds that a row has left. */
export function secondsLeft(ct: Conntrack, id: number): number {
  const at = ct.table.doubles[id * ROW_DOUBLES + D_TIMEOUT];
  const confirmed = (ct.table.words[id * ROW_WORDS + C_STATUS] & IPS_CONFIRMED) !== 0;
  return Math.max(0, Math.floor((confirmed ? at - ct.now : at) / PS_PER_S));
}

/** The line of an event, as `conntrack -E` prints it. */
export function eventLine(
  ct: Conntrack,
  kind: EventKind,
  id: number,
  bits: number,
  options: LineOptions,
): string {
  const { words, doubles } = ct.table;
  const row = id * ROW_WORDS;
  const isEnd = kind === 'DESTROY';
  const start: string[] = [];
  if ((words[row + C_STATUS] & IPS_OFFLOAD) === 0) {
    // Time in jiffies: what a packet has just set has not begun to run.
    const jiffies =
      Math.floor(doubles[id * ROW_DOUBLES + D_TIMEOUT] / JIFFY_PS) - Math.floor(ct.now / JIFFY_PS);
    const seconds = Math.max(0, Math.floor((jiffies * JIFFY_PS) / PS_PER_S));
    if (!isEnd || seconds > 0) start.push(String(seconds));
  }
  const hasState = kind !== 'UPDATE' || (bits & EVENT_PROTOINFO) !== 0;
  const state = hasState ? stateName(words, row) : null;
  if (state !== null) start.push(state);
  const mark = words[row + C_MARK] === 0 ? [] : [`mark=${words[row + C_MARK] >>> 0}`];
  return `${`[${kind}]`.padStart(9)} ${line(ct, id, options, start, mark, null, isEnd)}`;
}

function line(
  ct: Conntrack,
  id: number,
  options: LineOptions,
  start: readonly string[],
  mark: readonly string[],
  use: string | null,
  withCounters: boolean,
): string {
  const { words } = ct.table;
  const row = id * ROW_WORDS;
  const status = words[row + C_STATUS];
  const meta = words[row + T_META];
  const protocol = (meta >> 8) & 0xff;
  const zone = meta >>> 16;
  const replyZone = words[row + ROW_REPLY + T_META] >>> 16;
  const count = (direction: number): string[] =>
    withCounters ? countWords(ct, id, direction) : [];
  const parts: string[] = [];
  if (options.extended) parts.push((meta & 0xff) === 2 ? 'ipv4     2' : 'ipv6     10');
  parts.push(`${protocolName(protocol).padEnd(8)} ${protocol}`, ...start);
  parts.push(...tupleWords(words, row, protocol));
  if (zone !== replyZone && zone !== 0) parts.push(`zone-orig=${zone}`);
  parts.push(...count(0));
  if ((status & IPS_SEEN_REPLY) === 0) parts.push('[UNREPLIED]');
  parts.push(...tupleWords(words, row + ROW_REPLY, protocol));
  if (zone !== replyZone && replyZone !== 0) parts.push(`zone-reply=${replyZone}`);
  parts.push(...count(1));
  if ((status & IPS_HW_OFFLOAD) !== 0) parts.push('[HW_OFFLOAD]');
  else if ((status & IPS_OFFLOAD) !== 0) parts.push('[OFFLOAD]');
  else if ((status & IPS_ASSURED) !== 0) parts.push('[ASSURED]');
  parts.push(...mark);
  if (zone === replyZone && zone !== 0) parts.push(`zone=${zone}`);
  parts.push(...extensionWords(ct, id, options, withCounters));
  if (use !== null) parts.push(use);
  if (options.id) parts.push(`id=${words[row + C_ID] >>> 0}`);
  parts.push(...labelWords(ct, id, options));
  return parts.join(' ');
}

function extensionWords(
  ct: Conntrack,
  id: number,
  options: LineOptions,
  withTimes: boolean,
): string[] {
  const extension = ct.extensions.get(id);
  if (extension === null) return [];
  const words: string[] = [];
  if (withTimes && extension.startPs >= 0) {
    const age = Math.floor(ct.now / PS_PER_S) - Math.floor(extension.startPs / PS_PER_S);
    words.push(`delta-time=${age}`);
    if (options.ktimestamp === true) words.push(`[start=${clockText(extension.startPs)}]`);
  }
  if (extension.helper !== null) words.push(`helper=${extension.helper.name}`);
  return words;
}

function labelWords(ct: Conntrack, id: number, options: LineOptions): string[] {
  const labels = options.labels === true ? (ct.extensions.get(id)?.labels ?? null) : null;
  if (labels === null) return [];
  const set: number[] = [];
  for (let bit = 0; bit < 128; bit++)
    if ((labels[bit >> 5] & (2 ** (bit & 31))) !== 0) set.push(bit);
  return [`labels=${set.join(',')}`];
}

/** Addresses and layer-4 part of a key in columns. */
export function tupleWords(words: Int32Array, at: number, protocol: number): string[] {
  const src = formatAddress(tupleAddress(words, at, 0));
  const dst = formatAddress(tupleAddress(words, at, T_DST));
  const l4 = words[at + T_L4];
  const parts = [`src=${src}`, `dst=${dst}`];
  if (hasPorts(protocol)) parts.push(`sport=${l4 >>> 16}`, `dport=${l4 & 0xffff}`);
  else if (protocol === IPPROTO_ICMP || protocol === IPPROTO_ICMPV6)
    parts.push(`type=${(l4 >> 8) & 0xff}`, `code=${l4 & 0xff}`, `id=${l4 >>> 16}`);
  else if (protocol === IPPROTO_GRE)
    parts.push(`srckey=0x${(l4 >>> 16).toString(16)}`, `dstkey=0x${(l4 & 0xffff).toString(16)}`);
  return parts;
}

function countWords(ct: Conntrack, id: number, direction: number): string[] {
  if ((ct.table.words[id * ROW_WORDS + C_STATUS] & IPS_HAS_ACCT) === 0) return [];
  const at = id * ROW_DOUBLES + direction;
  return [`packets=${ct.table.doubles[at + D_PACKETS]}`, `bytes=${ct.table.doubles[at + D_BYTES]}`];
}
