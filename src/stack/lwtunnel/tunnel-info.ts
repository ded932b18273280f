// What a flow-based tunnel device is told with a packet, or tells of one (struct ip_tunnel_info, include/net/ip_tunnels.h; spec C.1,
// C.2): the outer addresses and fields, the tunnel's id and options. It goes along with the packet in `skb.tunnelInfo`.
//
// Left out: the route cache, the bridge mode, ERSPAN options.

import type { SkBuff } from '../../../driver/skb.ts';
import type { Route } from '../ip/fib.ts';

/** Flags of a tunnel key (TUNNEL_* of ip_tunnels.h). */
export const TUNNEL_CSUM = 0x0001;
export const TUNNEL_KEY = 0x0004;
export const TUNNEL_SEQ = 0x0008;
export const TUNNEL_DONT_FRAGMENT = 0x0100;
export const TUNNEL_OAM = 0x0200;
export const TUNNEL_CRIT_OPT = 0x0400;
export const TUNNEL_GENEVE_OPT = 0x0800;
export const TUNNEL_VXLAN_OPT = 0x1000;

export interface TunnelInfo {
  /** Where the packet is to go (IP_TUNNEL_INFO_TX); false: where it came out of. */
  readonly isTx: boolean;
  /** 8 bytes. */
  readonly id: Uint8Array;
  /** Outer addresses, 4 or 16 bytes, both the same; a source of zeros: as the route says. */
  readonly src: Uint8Array;
  readonly dst: Uint8Array;
  /** TUNNEL_* bits. */
  readonly flags: number;
  readonly tos: number;
  readonly ttl: number;
  /** IPv6 flow label. */
  readonly label: number;
  /** Outer UDP ports, 0 for none. */
  readonly tpSrc: number;
  readonly tpDst: number;
  /** As in the header; what they are the flags say. */
  readonly options: Uint8Array;
}

/** Where a packet that is being sent is to go: as it says itself, or else its route; null when neither does (skb_tunnel_info). */
export function txInfo(skb: SkBuff): TunnelInfo | null {
  const info = skb.tunnelInfo as TunnelInfo | null;
  if (info?.isTx === true) return info;
  return (skb.dst as Route | null)?.entry.encap ?? null;
}

/** Whether two routes tell the same (ip_tun_cmp_encap). */
export function sameInfo(a: TunnelInfo | null, b: TunnelInfo | null): boolean {
  if (a === null || b === null) return a === b;
  return plain(a) === plain(b);
}

function plain({ id, src, dst, options, ...rest }: TunnelInfo): string {
  return [id, src, dst, options].map((bytes) => bytes.join(',')).join(';') + JSON.stringify(rest);
}

/** The low half of a tunnel id (tunnel_id_to_key32), unsigned. */
export function key32Of({ id }: TunnelInfo): number {
  return ((id[4] << 24) | (id[5] << 16) | (id[6] << 8) | id[7]) >>> 0;
}

/** The id of a key of up to 32 bits (key32_to_tunnel_id). */
export function idOfKey32(key: number): Uint8Array {
  return Uint8Array.of(0, 0, 0, 0, key >>> 24, key >>> 16, key >>> 8, key);
}

/** An address that stands for none. */
export function isZero(address: Uint8Array): boolean {
  return address.every((byte) => byte === 0);
}
