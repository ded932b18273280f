// What a tunnel device looks at in the frame that it carries: where its network header is and what ECN says there (include/net/inet_ecn.h,
// ip_tunnels.h; spec D.8).
//
// Behind VLAN tags the network header is found too; ECN is then read but, on the way out of a tunnel, not written.

import type { SkBuff } from '../../../driver/skb.ts';
import { replace16 } from '../ip/checksum.ts';
import { ETH_P_IP, ETH_P_IPV6 } from '../packet-types.ts';

const ETH_HEADER_BYTES = 14;
const ECN_MASK = 3;
const ECT_1 = 1;
const ECT_0 = 2;
const CE = 3;

/** Where the network header of a frame is; reused for packet after packet. */
export class InnerPacket {
  /** Type field behind the MAC addresses. */
  outerType = 0;
  /** Type behind VLAN tags. */
  protocol = 0;
  networkAt = 0;

  /** Looks at a frame: skb.at at its MAC header. */
  read({ bytes, at, lenBytes }: SkBuff): void {
    const end = at + lenBytes;
    let typeAt = at + ETH_HEADER_BYTES - 2;
    this.outerType = (bytes[typeAt] << 8) | bytes[typeAt + 1];
    this.protocol = this.outerType;
    while ((this.protocol === 0x8100 || this.protocol === 0x88a8) && typeAt + 6 <= end) {
      typeAt += 4;
      this.protocol = (bytes[typeAt] << 8) | bytes[typeAt + 1];
    }
    this.networkAt = typeAt + 2;
  }

  /** TOS or traffic class, 0 for what is not IP (ip_tunnel_get_dsfield). */
  dsfield(bytes: Uint8Array): number {
    return dsfieldAt(bytes, this.networkAt, this.protocol);
  }

  /** TTL or hop limit, 0 for what is not IP. */
  ttl(bytes: Uint8Array): number {
    if (this.outerType === ETH_P_IP) return bytes[this.networkAt + 8];
    return this.outerType === ETH_P_IPV6 ? bytes[this.networkAt + 7] : 0;
  }
}

function dsfieldAt(bytes: Uint8Array, at: number, protocol: number): number {
  if (protocol === ETH_P_IP) return bytes[at + 1];
  if (protocol === ETH_P_IPV6) return ((bytes[at] & 15) << 4) | (bytes[at + 1] >> 4);
  return 0;
}

/** The outer TOS: its DSCP, with the inner packet's ECN; of CE only that it is capable (INET_ECN_encapsulate). */
export function ecnEncapsulate(outerTos: number, innerTos: number): number {
  const inner = innerTos & ECN_MASK;
  return (outerTos & ~ECN_MASK) | (inner === CE ? ECT_0 : inner);
}

/**
 * Carries the outer header's ECN over to the packet at `at` (IP_ECN_decapsulate). False when the packet is to be dropped: congestion
 * was met by one that cannot say so.
 */
export function ecnDecapsulate(
  outerTos: number,
  bytes: Uint8Array,
  at: number,
  protocol: number,
): boolean {
  if (protocol !== ETH_P_IP && protocol !== ETH_P_IPV6) return true;
  const outer = outerTos & ECN_MASK;
  const inner = dsfieldAt(bytes, at, protocol) & ECN_MASK;
  if (inner === 0) return outer !== CE;
  if (outer === CE) setEcn(bytes, at, protocol, CE);
  else if (outer === ECT_1 && inner === ECT_0) setEcn(bytes, at, protocol, ECT_1);
  return true;
}

function setEcn(bytes: Uint8Array, at: number, protocol: number, ecn: number): void {
  if (protocol === ETH_P_IP)
    replace16(bytes, at, (bytes[at] << 8) | (bytes[at + 1] & ~ECN_MASK) | ecn, at + 10);
  else bytes[at + 1] = (bytes[at + 1] & ~(ECN_MASK << 4)) | (ecn << 4);
}
