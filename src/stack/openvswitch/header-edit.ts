// Actions that put headers on and take them off (net/openvswitch/actions.c, net/core/skbuff.c): VLAN tags, MPLS labels, the MAC header.
// Where the key cannot follow it becomes stale and is extracted again before it is next needed.

import type { DpPacket } from './dp-packet.ts';
import { closeGap, openGap, tagIntoFrame, tagOutOfFrame } from './dp-packet.ts';
import type { FlowKey } from './flow-key.ts';
import { extractFrame, extractPacket } from './key-extract.ts';
import { isMplsType, isVlanType, MAC_PROTO_ETHERNET, MAC_PROTO_NONE } from './flow-key.ts';
import { VLAN_TAG_PRESENT } from './flow-key.ts';

/** SW_FLOW_KEY_INVALID, in macProto. */
const STALE = 0x80;
const ADDRESSES_BYTES = 12;
const ETH_HEADER_BYTES = 14;
const LSE_BYTES = 4;
const ETH_P_TEB = 0x6558;

export function isStale(key: FlowKey): boolean {
  return (key.macProto & STALE) !== 0;
}

function invalidate(key: FlowKey): void {
  key.macProto |= STALE;
}

/** Extracts the packet's part of the key again (ovs_flow_key_update). */
export function refreshKey(key: FlowKey, packet: DpPacket): void {
  const { skb } = packet;
  const end = skb.at + skb.lenBytes;
  if (packet.isLayer3) {
    extractPacket(key, skb.bytes, skb.at, end, skb.protocol);
    return;
  }
  const isTagged = skb.vlanTci >= 0;
  const [tpid, tci] = isTagged ? [packet.tpid, skb.vlanTci] : [0, 0];
  extractFrame(key, skb.bytes, skb.at, end, tpid, tci);
}

/** push_vlan: an older tag goes into the frame. */
export function pushVlan(packet: DpPacket, key: FlowKey, tpid: number, tci: number): void {
  const { skb } = packet;
  if (skb.vlanTci >= 0) {
    invalidate(key);
    tagIntoFrame(packet);
  } else {
    key.vlanTpid = tpid;
    key.vlanTci = tci;
  }
  packet.tpid = tpid;
  skb.vlanTci = tci & ~VLAN_TAG_PRESENT;
}

/** pop_vlan: the next tag comes out of the frame. */
export function popVlan(packet: DpPacket, key: FlowKey): void {
  const { skb } = packet;
  if (skb.vlanTci < 0) tagOutOfFrame(packet);
  skb.vlanTci = -1;
  if (isVlanType(packet.protocol)) tagOutOfFrame(packet);
  if (skb.vlanTci >= 0) invalidate(key);
  else {
    key.vlanTpid = 0;
    key.vlanTci = 0;
  }
}

/** push_mpls: a label behind the MAC header. */
export function pushMpls(packet: DpPacket, key: FlowKey, lse: number, ethType: number): void {
  const macBytes = packet.isLayer3 ? 0 : ETH_HEADER_BYTES;
  writeLse(packet, openGap(packet, LSE_BYTES, macBytes), lse);
  packet.protocol = ethType;
  invalidate(key);
}

/** add_mpls in front of the MAC header: the whole frame is payload. */
export function addMpls(packet: DpPacket, key: FlowKey, lse: number, ethType: number): void {
  tagIntoFrame(packet);
  writeLse(packet, openGap(packet, LSE_BYTES, 0), lse);
  packet.isLayer3 = true;
  packet.protocol = ethType;
  key.macProto = MAC_PROTO_NONE;
  invalidate(key);
}

/** pop_mpls: nothing for a packet without a label. */
export function popMpls(packet: DpPacket, key: FlowKey, ethType: number): void {
  if (!isMplsType(packet.protocol)) return;
  closeGap(packet, LSE_BYTES, packet.isLayer3 ? 0 : ETH_HEADER_BYTES);
  if (ethType === ETH_P_TEB && packet.isLayer3) {
    packet.isLayer3 = false;
    key.macProto = MAC_PROTO_ETHERNET;
  } else packet.protocol = ethType;
  invalidate(key);
}

/** push_eth: a MAC header with the packet's protocol as type. */
export function pushEth(packet: DpPacket, key: FlowKey, src: Uint8Array, dst: Uint8Array): void {
  const { skb } = packet;
  const type = skb.protocol;
  const at = openGap(packet, ETH_HEADER_BYTES, 0);
  packet.isLayer3 = false;
  skb.bytes.set(dst, at);
  skb.bytes.set(src, at + 6);
  packet.protocol = type;
  key.macProto = MAC_PROTO_ETHERNET;
  invalidate(key);
}

/** pop_eth. */
export function popEth(packet: DpPacket, key: FlowKey): void {
  const type = packet.protocol;
  closeGap(packet, ETH_HEADER_BYTES, 0);
  packet.isLayer3 = true;
  packet.protocol = type;
  key.macProto = MAC_PROTO_NONE;
  invalidate(key);
}

/** Overwrites the outermost label. */
export function setMpls(packet: DpPacket, key: FlowKey, lse: number, mask: number): void {
  const { bytes } = packet.skb;
  const at = packet.networkAt;
  const old = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
  const value = (old & ~mask) | (lse & mask);
  writeLse(packet, at, value);
  key.mplsLse[0] = value;
}

function writeLse(packet: DpPacket, at: number, lse: number): void {
  const { bytes } = packet.skb;
  bytes[at] = lse >>> 24;
  bytes[at + 1] = lse >>> 16;
  bytes[at + 2] = lse >>> 8;
  bytes[at + 3] = lse;
}

/** The MAC addresses in place. */
export function ethernetAt(packet: DpPacket): { dst: number; src: number } {
  return { dst: packet.skb.at, src: packet.skb.at + ADDRESSES_BYTES / 2 };
}
