// ICMP errors (spec C.6): the quoted packet names the connection; its key is turned round and looked up. The error gets the
// connection as RELATED, without refreshing it. Not found, or the error does not go where the quoted packet came from: invalid.

import type { SkBuff } from '../../../../driver/skb.ts';
import { loadInt32 } from '../../ip/address.ts';
import type { Conntrack } from './conntrack.ts';
import { PacketView, readTuple } from './packet.ts';
import { ROW_REPLY, ROW_WORDS } from './table.ts';
import { Tuple } from './tuple.ts';

const ICMP_HEADER_BYTES = 8;

const quoted = new PacketView();
const inner = new Tuple();
const turned = new Tuple();

/** Element that the error is about (its direction is that of the error), −1 for none. */
export function findRelated(
  ct: Conntrack,
  skb: SkBuff,
  family: number,
  l4At: number,
  l4Bytes: number,
): number {
  const at = l4At + ICMP_HEADER_BYTES;
  const lenBytes = l4Bytes - ICMP_HEADER_BYTES;
  if (!locateQuoted(skb.bytes, at, lenBytes, family)) return -1;
  if (!readTuple(inner, skb.bytes, at, family, quoted, ct.zone)) return -1;
  if (!inner.invert(turned)) return -1;
  const nowPs = ct.now;
  const element = ct.findLive(turned, turned.hash(), nowPs);
  if (element < 0) return -1;
  return goesBack(ct, skb, family, element) ? element : -1;
}

/** The quoted packet may be cut short: only its first 8 bytes of transport header are needed. */
function locateQuoted(bytes: Uint8Array, at: number, lenBytes: number, family: number): boolean {
  return quoted.locate(bytes, at, lenBytes, family) && quoted.l4Bytes >= 8;
}

/** Whether the error is addressed to the sender of the quoted packet, as the entry knows it. */
function goesBack(ct: Conntrack, skb: SkBuff, family: number, element: number): boolean {
  const { words } = ct.table;
  const at = (element >> 1) * ROW_WORDS + (element & 1) * ROW_REPLY;
  const dstAt = skb.networkAt + (family === 2 ? 16 : 24);
  const count = family === 2 ? 1 : 4;
  for (let i = 0; i < count; i++)
    if (loadInt32(skb.bytes, dstAt + 4 * i) !== words[at + 4 + i]) return false;
  return true;
}
