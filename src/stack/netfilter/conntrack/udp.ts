// The UDP tracker (spec C.5): 30 s while unreplied and for the first 2 s of a conversation, then 120 s and ASSURED.

import { PS_PER_S } from '../../../../hw/time/units.ts';
import { loadUint16 } from '../../ip/address.ts';
import {
  C_STATUS,
  D_START,
  IPS_ASSURED,
  IPS_NAT_CLASH,
  IPS_SEEN_REPLY,
  ROW_DOUBLES,
  ROW_WORDS,
} from './table.ts';
import type { ConnectionTable } from './table.ts';
import type { Timeouts } from './timeouts.ts';

/** A conversation younger than this is not a stream yet, ps. */
const STREAM_AGE_PS = 2 * PS_PER_S;

/** Whether the UDP header's length fits what is there (`l4Bytes` from the header on). */
export function udpLengthIsRight(bytes: Uint8Array, at: number, l4Bytes: number): boolean {
  if (l4Bytes < 8) return false;
  const lenBytes = loadUint16(bytes, at + 4);
  return lenBytes >= 8 && lenBytes <= l4Bytes;
}

/** Moves the entry on; the timeout to set, ps. */
export function udpPacket(
  table: ConnectionTable,
  id: number,
  timeouts: Timeouts,
  nowPs: number,
): number {
  const at = id * ROW_WORDS + C_STATUS;
  const status = table.words[at];
  if ((status & IPS_SEEN_REPLY) === 0) return timeouts.udpPs;
  if (nowPs - table.doubles[id * ROW_DOUBLES + D_START] <= STREAM_AGE_PS) return timeouts.udpPs;
  if ((status & IPS_NAT_CLASH) === 0) table.words[at] = status | IPS_ASSURED;
  return timeouts.udpStreamPs;
}
