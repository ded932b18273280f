// The Ethernet header in front of a packet: within the packet (skb.at at the MAC header) or before it (skb.at at the network header).

import type { SkBuff } from '../../driver/skb.ts';

export const ETH_HEADER_BYTES = 14;

/** The frame from its MAC header on. */
export function toMacHeader(skb: SkBuff): SkBuff {
  skb.lenBytes += skb.at - skb.macAt;
  skb.at = skb.macAt;
  return skb;
}

/** Back to the network header, where that is known (also of a packet that has no MAC header). */
export function toNetworkHeader(skb: SkBuff): void {
  skb.lenBytes -= skb.networkAt - skb.at;
  skb.at = skb.networkAt;
}

/** The packet behind the MAC header at which skb.at stands: that is where its network header begins. */
export function pastMacHeader(skb: SkBuff): SkBuff {
  skb.macAt = skb.at;
  skb.at += ETH_HEADER_BYTES;
  skb.networkAt = skb.at;
  skb.lenBytes -= ETH_HEADER_BYTES;
  return skb;
}
