// Conntrack's values for matches: what the connection of a packet says to `ct KEY`, `ct original KEY` and `ct reply KEY`.

import type { SkBuff } from '../../../../driver/skb.ts';
import { PS_PER_MS } from '../../../../hw/time/units.ts';
import type { Conntrack } from '../conntrack/conntrack.ts';
import { IP_CT_ESTABLISHED_REPLY, IP_CT_UNTRACKED } from '../conntrack/ctinfo.ts';
import {
  C_ID,
  C_MARK,
  C_STATUS,
  D_BYTES,
  D_PACKETS,
  D_TIMEOUT,
  IPS_CONFIRMED,
  ROW_DOUBLES,
  ROW_REPLY,
  ROW_WORDS,
} from '../conntrack/table.ts';
import type { Connection } from '../conntrack/table.ts';
import { T_DST, T_L4, T_META } from '../conntrack/tuple.ts';
import * as fields from './fields.ts';

const STATUS_BITS = 0xffff;

/** The connection that a packet has, null for none (or only a template). */
export function connectionOf(skb: SkBuff): Connection | null {
  const conn = skb.nfct as Connection | null;
  return conn === null || conn.id < 0 ? null : conn;
}

/** Bits of `ct state`. */
export function ctState(skb: SkBuff): number {
  if (skb.nfct !== null) return 1 << ((skb.ctinfo % IP_CT_ESTABLISHED_REPLY) + 1);
  return skb.ctinfo === IP_CT_UNTRACKED ? 64 : 1;
}

/** The number of any other key. */
export function ctNumber(ct: Conntrack, conn: Connection, key: number, skb: SkBuff): number {
  const { words } = ct.table;
  const row = conn.id * ROW_WORDS;
  const meta = words[row + T_META];
  switch (key) {
    case fields.CT_MARK:
      return words[row + C_MARK];
    case fields.CT_STATUS:
      return words[row + C_STATUS] & STATUS_BITS;
    case fields.CT_DIRECTION:
      return skb.ctinfo >= IP_CT_ESTABLISHED_REPLY ? 1 : 0;
    case fields.CT_ZONE:
      // A zone of one direction only is the connection's all the same.
      return meta >>> 16 === 0 ? words[row + ROW_REPLY + T_META] >>> 16 : meta >>> 16;
    case fields.CT_L3PROTO:
      return meta & 0xff;
    case fields.CT_PROTOCOL:
      return (meta >> 8) & 0xff;
    case fields.CT_ID:
      return words[row + C_ID];
    case fields.CT_EXPIRATION: {
      // Before confirmation the kernel has no end of life yet, and answers 0.
      if ((words[row + C_STATUS] & IPS_CONFIRMED) === 0) return 0;
      const leftPs = ct.table.doubles[conn.id * ROW_DOUBLES + D_TIMEOUT] - ct.now;
      return leftPs > 0 ? Math.floor(leftPs / PS_PER_MS) : 0;
    }
    default:
      return directed(words, row, key - fields.CT_DIRECTED);
  }
}

function directed(words: Int32Array, row: number, key: number): number {
  const at = row + (key >= fields.CT_DIRECTED_KEYS ? ROW_REPLY : 0);
  switch (key % fields.CT_DIRECTED_KEYS) {
    case fields.CT_SRC_ADDRESS:
      return words[at];
    case fields.CT_DST_ADDRESS:
      return words[at + T_DST];
    case fields.CT_PROTO_SRC:
      return words[at + T_L4] >>> 16;
    case fields.CT_PROTO_DST:
      return words[at + T_L4] & 0xffff;
    default:
      return words[at + T_META] >>> 16;
  }
}

/** Packets, bytes or bytes a packet, of one direction or both; 0 where nothing was counted. */
export function ctAmount(ct: Conntrack, { id }: Connection, key: number): number {
  const { doubles } = ct.table;
  const at = id * ROW_DOUBLES;
  const way = Math.floor((key - fields.CT_DIRECTED) / fields.CT_DIRECTED_KEYS);
  const sum = (column: number): number =>
    way < 2 ? doubles[at + column + way] : doubles[at + column] + doubles[at + column + 1];
  const which = (key - fields.CT_DIRECTED) % fields.CT_DIRECTED_KEYS;
  if (which === fields.CT_PACKETS) return sum(D_PACKETS);
  const bytes = sum(D_BYTES);
  if (which === fields.CT_BYTES) return bytes;
  const packets = sum(D_PACKETS);
  return packets === 0 ? 0 : Math.floor(bytes / packets);
}

/** The bytes of an IPv6 address of the key into `out`. */
export function ctAddress6(ct: Conntrack, { id }: Connection, key: number, out: Uint8Array): void {
  const { words } = ct.table;
  const way = key >= fields.CT_DIRECTED + fields.CT_DIRECTED_KEYS ? ROW_REPLY : 0;
  const which = (key - fields.CT_DIRECTED) % fields.CT_DIRECTED_KEYS;
  const at = id * ROW_WORDS + way + (which === fields.CT_DST_ADDRESS ? T_DST : 0);
  for (let i = 0; i < 16; i++) out[i] = words[at + (i >> 2)] >>> (24 - 8 * (i & 3));
}
