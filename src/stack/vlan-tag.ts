// The 802.1Q tag in a frame (skb.at at its MAC header): put in front of the EtherType, and taken out again.

import type { SkBuff } from '../../driver/skb.ts';
import { ETH_P_8021Q } from './packet-types.ts';

export const VLAN_TAG_BYTES = 4;
/** Both MAC addresses. */
const ADDRESSES_BYTES = 12;

/** `tci`: priority and id. */
export function pushVlanTag(skb: SkBuff, tci: number, tpid = ETH_P_8021Q): void {
  const { bytes } = skb;
  const at = skb.at - VLAN_TAG_BYTES;
  bytes.copyWithin(at, skb.at, skb.at + ADDRESSES_BYTES);
  bytes[at + 12] = tpid >> 8;
  bytes[at + 13] = tpid & 255;
  bytes[at + 14] = tci >> 8;
  bytes[at + 15] = tci;
  skb.at = at;
  skb.macAt = at;
  skb.lenBytes += VLAN_TAG_BYTES;
}

/** Moves the tag of a frame to `skb.vlanTci`; false when it has none. */
export function popVlanTag(skb: SkBuff): boolean {
  const { bytes, at } = skb;
  if (((bytes[at + 12] << 8) | bytes[at + 13]) !== ETH_P_8021Q) return false;
  takeVlanTag(skb);
  return true;
}

/** The same where a tag is known to be, of whatever TPID. */
export function takeVlanTag(skb: SkBuff): void {
  const { bytes, at } = skb;
  skb.vlanTci = (bytes[at + 14] << 8) | bytes[at + 15];
  bytes.copyWithin(at + VLAN_TAG_BYTES, at, at + ADDRESSES_BYTES);
  skb.at = at + VLAN_TAG_BYTES;
  skb.macAt = skb.at;
  skb.lenBytes -= VLAN_TAG_BYTES;
}
