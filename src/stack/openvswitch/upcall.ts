// Upcalls: what the datapath tells userspace of a packet (OVS_PACKET_CMD_MISS and _ACTION), as the message's attributes in the kernel's order
// (queue_userspace_packet, spec A.5).
//
// Left out: GSO (no packet here is one), the multicast groups of generic netlink.

import type { DpPacket } from './dp-packet.ts';
import { tagIntoFrame } from './dp-packet.ts';
import type { FlowKey } from './flow-key.ts';
import { keyAttrs } from './key-attrs.ts';
import { nested, u16Attr, u32Attr } from './nlattr.ts';
import type { NlAttr } from './nlattr.ts';
import { PACKET } from './uapi.ts';

/** A message to userspace. */
export interface Upcall {
  /** PACKET_CMD_*. */
  readonly cmd: number;
  /** Netlink port that it is sent to. */
  readonly pid: number;
  /** PACKET attributes. */
  readonly attrs: readonly NlAttr[];
}

/** What an upcall says beyond the packet and its key. */
export interface UpcallInfo {
  readonly cmd: number;
  readonly pid: number;
  readonly userdata: Uint8Array | null;
  readonly egressTunKey: NlAttr | null;
  /** The action list, null when it was not asked for. */
  readonly actions: Uint8Array | null;
}

/** The message; the packet's tag goes into its bytes, as in the kernel, for good. */
export function upcallOf(packet: DpPacket, key: FlowKey, info: UpcallInfo, hash: number): Upcall {
  tagIntoFrame(packet);
  const { skb, cutlen } = packet;
  const attrs: NlAttr[] = [nested(PACKET.KEY, keyAttrs(key, key, false))];
  if (info.userdata !== null) attrs.push({ type: PACKET.USERDATA, value: info.userdata });
  if (info.egressTunKey !== null) attrs.push(info.egressTunKey);
  if (info.actions !== null) attrs.push({ type: PACKET.ACTIONS, value: info.actions });
  if (packet.mru > 0) attrs.push(u16Attr(PACKET.MRU, packet.mru));
  if (cutlen > 0) attrs.push(u32Attr(PACKET.LEN, skb.lenBytes));
  attrs.push({ type: PACKET.HASH, value: hashBytes(hash) });
  const end = skb.at + skb.lenBytes - cutlen;
  attrs.push({ type: PACKET.PACKET, value: skb.bytes.slice(skb.at, end) });
  return { cmd: info.cmd, pid: info.pid, attrs };
}

/** 64 bits: the hash, and that it is one of addresses and ports, made by software. */
function hashBytes(hash: number): Uint8Array {
  const out = new Uint8Array(8);
  const flags = 3;
  new DataView(out.buffer).setUint32(0, hash, true);
  out[4] = flags;
  return out;
}
