// A packet inside a datapath: the frame (skb.at at its MAC header, or at the network header when it has none) and what the kernel keeps
// in its control block. A tag that is not in the bytes is in `skb.vlanTci`, with its TPID here.
//
// Copies of one packet share a `Family`: the packet's account (its fate) is closed once, by the first copy that leaves, or, when none
// does, by the last that ends.

import type { Kernel } from '../../../driver/kernel.ts';
import type { SkBuff } from '../../../driver/skb.ts';
import { ETH_HEADER_BYTES } from '../mac-header.ts';
import { VLAN_TAG_BYTES, pushVlanTag, takeVlanTag } from '../vlan-tag.ts';
import type { FlowKey } from './flow-key.ts';
import { MAC_PROTO_NONE, isVlanType } from './flow-key.ts';

/** MAC address pair in front of the type. */
const ADDRESSES_BYTES = 12;

/** What the copies of a packet share. */
export interface Family {
  packetId: number;
  alive: number;
  hasLeft: boolean;
}

export class DpPacket {
  skb: SkBuff;
  /** TPID of skb.vlanTci. */
  tpid = 0;
  /** Bytes that the next output cuts off. */
  cutlen = 0;
  /** Largest fragment when this was reassembled, else 0. */
  mru = 0;
  /** The packet has no MAC header: `skb.protocol` says what it is. */
  isLayer3 = false;
  readonly family: Family;

  constructor(skb: SkBuff, family: Family) {
    this.skb = skb;
    this.family = family;
  }

  /** A copy of its own bytes; null when there is no memory. */
  clone(kernel: Kernel): DpPacket | null {
    const skb = kernel.skb_copy(this.skb);
    if (skb === null) return null;
    skb.packetId = this.skb.packetId;
    skb.nfct = this.skb.nfct;
    skb.ctinfo = this.skb.ctinfo;
    const copy = new DpPacket(skb, this.family);
    copy.tpid = this.tpid;
    copy.cutlen = this.cutlen;
    copy.mru = this.mru;
    copy.isLayer3 = this.isLayer3;
    this.family.alive++;
    return copy;
  }

  /** Where the network header (or the label stack) is. */
  get networkAt(): number {
    const { at, bytes, lenBytes } = this.skb;
    if (this.isLayer3) return at;
    let typeAt = at + ADDRESSES_BYTES;
    const end = at + lenBytes;
    while (typeAt + 6 <= end && isVlanType((bytes[typeAt] << 8) | bytes[typeAt + 1]))
      typeAt += VLAN_TAG_BYTES;
    return typeAt + 2;
  }

  /** EtherType behind the MAC addresses, or what a packet without them is. */
  get protocol(): number {
    const { at, bytes, protocol } = this.skb;
    return this.isLayer3 ? protocol : (bytes[at + 12] << 8) | bytes[at + 13];
  }

  set protocol(value: number) {
    const { skb } = this;
    skb.protocol = value;
    if (this.isLayer3) return;
    skb.bytes[skb.at + 12] = value >> 8;
    skb.bytes[skb.at + 13] = value & 0xff;
  }

  /** Length for statistics: with the tag. */
  get statBytes(): number {
    return this.skb.lenBytes + (this.skb.vlanTci < 0 ? 0 : VLAN_TAG_BYTES);
  }
}

/** Puts the tag that stands beside the frame into it. */
export function tagIntoFrame(packet: DpPacket): void {
  const { skb } = packet;
  if (skb.vlanTci < 0) return;
  pushVlanTag(skb, skb.vlanTci, packet.tpid);
  skb.vlanTci = -1;
}

/** Takes a tag out of the frame, to stand beside it; nothing for a frame without. */
export function tagOutOfFrame(packet: DpPacket): void {
  const { skb } = packet;
  const type = packet.protocol;
  if (packet.isLayer3 || !isVlanType(type) || skb.lenBytes < ETH_HEADER_BYTES + VLAN_TAG_BYTES)
    return;
  packet.tpid = type;
  takeVlanTag(skb);
}

/** Makes room for `lenBytes` behind the first `headBytes` of the frame; returns its offset. */
export function openGap(packet: DpPacket, lenBytes: number, headBytes: number): number {
  const { skb } = packet;
  const at = skb.at - lenBytes;
  skb.bytes.copyWithin(at, skb.at, skb.at + headBytes);
  skb.at = at;
  skb.macAt = at;
  skb.lenBytes += lenBytes;
  return at + headBytes;
}

/** Removes `lenBytes` behind the first `headBytes` of the frame. */
export function closeGap(packet: DpPacket, lenBytes: number, headBytes: number): void {
  const { skb } = packet;
  skb.bytes.copyWithin(skb.at + lenBytes, skb.at, skb.at + headBytes);
  skb.at += lenBytes;
  skb.macAt = skb.at;
  skb.lenBytes -= lenBytes;
}

/** ovs_mac_header_len: what truncation leaves in any case. */
export function macHeaderBytes(key: FlowKey): number {
  return (key.macProto & 0x7f) === MAC_PROTO_NONE ? 0 : ETH_HEADER_BYTES;
}
