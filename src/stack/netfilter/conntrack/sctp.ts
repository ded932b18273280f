// The SCTP tracker in its simple form (RFC 9260 sections 4 and 5; states and timeouts as Linux 6.1 names them): the first chunk of a
// kind that moves the association decides. Left out: verification tags, chunk bundling rules, multi-homing beyond HEARTBEAT.

import { loadUint16 } from '../../ip/address.ts';
import { C_STATUS, C_TCP_STATE, IPS_ASSURED } from './table.ts';
import { TRACK_ACCEPT, TRACK_INVALID } from './tcp.ts';
import type { TcpResult } from './tcp.ts';
import type { Timeouts } from './timeouts.ts';

const HEADER_BYTES = 12;
const CHUNK_HEADER_BYTES = 4;

/** Names as `conntrack -L` prints them, by state. */
export const SCTP_STATE_NAMES = [
  'NONE',
  'CLOSED',
  'COOKIE_WAIT',
  'COOKIE_ECHOED',
  'ESTABLISHED',
  'SHUTDOWN_SENT',
  'SHUTDOWN_RECD',
  'SHUTDOWN_ACK_SENT',
  'HEARTBEAT_SENT',
] as const;

const CODES = { NO: 0, CL: 1, CW: 2, CE: 3, ES: 4, SS: 5, SR: 6, SA: 7, HS: 8, IV: -1 } as const;
const COOKIE_ECHOED = CODES.CE;
const ESTABLISHED = CODES.ES;

/** Chunk types that move the state, in the order of the rows below. */
const CHUNK_ROWS = new Int8Array(256).fill(-1);
[1, 2, 6, 7, 8, 9, 10, 11, 14, 4, 5].forEach((type, row) => (CHUNK_ROWS[type] = row));

/** Rows: INIT, INIT_ACK, ABORT, SHUTDOWN, SHUTDOWN_ACK, ERROR, COOKIE_ECHO, COOKIE_ACK, SHUTDOWN_COMPLETE, HEARTBEAT, its ACK. */
const TABLE = [
  [
    'CW CW CW CE ES CL CL SA CW',
    'CL CL CW CE ES SS SR SA CL',
    'CL CL CL CL CL CL CL CL CL',
    'CL CL CW CE SS SS SR SA CL',
    'SA CL CW CE ES SA SA SA SA',
    'CL CL CW CE ES SS SR SA CL',
    'CL CL CE CE ES SS SR SA CL',
    'CL CL CW ES ES SS SR SA CL',
    'CL CL CW CE ES SS SR CL CL',
    'HS CL CW CE ES SS SR SA HS',
    'CL CL CW CE ES SS SR SA HS',
  ],
  [
    'IV CL CW CE ES SS SR SA IV',
    'IV CW CW CE ES SS SR SA IV',
    'IV CL CL CL CL CL CL CL IV',
    'IV CL CW CE SR SS SR SA IV',
    'IV CL CW CE ES SA SA SA IV',
    'IV CL CW CE ES SS SR SA IV',
    'IV CL CE CE ES SS SR SA IV',
    'IV CL CW ES ES SS SR SA IV',
    'IV CL CW CE ES SS SR CL IV',
    'IV CL CW CE ES SS SR SA HS',
    'IV CL CW CE ES SS SR SA ES',
  ],
].map((rows) => rows.map((row) => row.split(' ').map((name) => CODES[name as keyof typeof CODES])));

/** Whether chunks begin behind the common header and the first is long enough. */
export function sctpHeaderIsRight(bytes: Uint8Array, at: number, l4Bytes: number): boolean {
  if (l4Bytes < HEADER_BYTES + CHUNK_HEADER_BYTES) return false;
  return loadUint16(bytes, at + HEADER_BYTES + 2) >= CHUNK_HEADER_BYTES;
}

/** Whether the packet may open an association: INIT, HEARTBEAT, or one that is under way. */
export function sctpMayOpen(bytes: Uint8Array, at: number): boolean {
  const type = bytes[at + HEADER_BYTES];
  return type !== 2 && type !== 6 && type !== 11 && type !== 14;
}

/** Moves the entry on; TRACK_*. */
export function sctpPacket(
  words: Int32Array,
  row: number,
  direction: number,
  bytes: Uint8Array,
  at: number,
  l4Bytes: number,
  timeouts: Timeouts,
  result: TcpResult,
): number {
  const old = words[row + C_TCP_STATE];
  let state = old;
  const end = at + l4Bytes;
  for (let chunk = at + HEADER_BYTES; chunk + CHUNK_HEADER_BYTES <= end;) {
    const lenBytes = loadUint16(bytes, chunk + 2);
    if (lenBytes < CHUNK_HEADER_BYTES) break;
    const kind = CHUNK_ROWS[bytes[chunk]];
    if (kind >= 0) state = TABLE[direction][kind][state];
    else if (state === CODES.NO) state = CODES.CL;
    if (state === CODES.IV) return TRACK_INVALID;
    chunk += (lenBytes + 3) & ~3;
  }
  words[row + C_TCP_STATE] = state;
  if (old === COOKIE_ECHOED && direction === 1 && state === ESTABLISHED)
    words[row + C_STATUS] |= IPS_ASSURED;
  result.timeoutPs = timeouts.sctpPs[state];
  return TRACK_ACCEPT;
}
