// Finding a packet's connection without tracking the packet (what the datapath of Open vSwitch does before it decides).

import type { SkBuff } from '../../../../driver/skb.ts';
import type { Conntrack } from './conntrack.ts';
import { PacketView, readTuple } from './packet.ts';
import { Tuple } from './tuple.ts';

const view = new PacketView();
const tuple = new Tuple();

/** Element (id * 2 + direction) of the packet's connection in a zone, −1 for none; skb.networkAt is set. */
export function peekConnection(ct: Conntrack, skb: SkBuff, family: number, zone: number): number {
  if (!view.locate(skb.bytes, skb.networkAt, skb.lenBytes, family)) return -1;
  if (!readTuple(tuple, skb.bytes, skb.networkAt, family, view, zone)) return -1;
  return ct.findLive(tuple, tuple.hash(), ct.now);
}
