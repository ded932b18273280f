// Ethernet receive helper (net/ethernet/eth.c).

import type { NetDevice } from './netdev.ts';
import type { SkBuff } from './skb.ts';

/** pkt_type values (if_packet.h). */
export const PACKET_HOST = 0;
export const PACKET_BROADCAST = 1;
export const PACKET_MULTICAST = 2;
export const PACKET_OTHERHOST = 3;

/**
 * Reads the Ethernet header at skb.at: sets macAt, networkAt, protocol (802.3 lengths as 4: ETH_P_802_2) and pktType.
 * Unlike Linux's it does not pull the header: skb.at stays at the MAC header (see skb.ts).
 */
export function eth_type_trans(skb: SkBuff, dev: NetDevice): void {
  const { bytes, at } = skb;
  skb.dev = dev;
  skb.macAt = at;
  skb.networkAt = at + 14;
  const type = (bytes[at + 12] << 8) | bytes[at + 13];
  skb.protocol = type >= 0x600 ? type : 4;
  if ((bytes[at] & 1) !== 0) {
    const hi = (bytes[at] << 16) | (bytes[at + 1] << 8) | bytes[at + 2];
    const lo = (bytes[at + 3] << 16) | (bytes[at + 4] << 8) | bytes[at + 5];
    skb.pktType = hi === 0xffffff && lo === 0xffffff ? PACKET_BROADCAST : PACKET_MULTICAST;
    return;
  }
  const { mac } = dev;
  for (let i = 5; i >= 0; i--)
    if (bytes[at + i] !== mac[i]) {
      skb.pktType = PACKET_OTHERHOST;
      return;
    }
  skb.pktType = PACKET_HOST;
}
