// VXLAN's header (RFC 7348, drivers/net/vxlan; spec D.6): flags with the VNI-valid bit, the VNI in the upper 24 bits of the second word;
// with the group policy extension the policy in the first.
//
// Left out: GPE, remote checksum offload, the VNI filter; devices with a remote of their own, their forwarding table and learning.

import { loadInt32, storeInt32 } from '../ip/address.ts';
import type { UdpEncapsulation } from './encapsulation.ts';
import type { TunnelInfo } from './tunnel-info.ts';
import { TUNNEL_KEY, TUNNEL_VXLAN_OPT, key32Of } from './tunnel-info.ts';

const HEADER_BYTES = 8;
const FLAG_VNI = 0x08000000;
/** Group policy: the extension is there, do not learn, policy applied; the id in the low 16 bits. */
const FLAG_GBP = 0x80000000;
const GBP_BITS = 0x0048ffff;
/** What a header with the extension may use beside it (VXLAN_GBP_USED_BITS). */
const GBP_USED_BITS = 0x00ffffff;

/** What `ip link add type vxlan` says of a device. */
export interface VxlanConfig {
  readonly port: number;
  readonly sourceMin: number;
  readonly sourceMax: number;
  readonly gbp: boolean;
  readonly zeroChecksum6: boolean;
}

export function vxlan(config: VxlanConfig): UdpEncapsulation {
  const { gbp } = config;
  return {
    kind: 'vxlan',
    ...config,
    portByPacket: true,
    ttlByRoute: true,
    missingInfoCounter: 'tx_dropped',
    mostMtuBytes: 65535,
    headerBytes: () => HEADER_BYTES,
    write(bytes, at, info) {
      const policy = gbp ? policyOf(info) : 0;
      storeInt32(bytes, at, FLAG_VNI | (policy === 0 ? 0 : FLAG_GBP | policy));
      storeInt32(bytes, at + 4, key32Of(info) << 8);
    },
    read(bytes, at, end) {
      if (end - at < HEADER_BYTES) return null;
      let left = loadInt32(bytes, at);
      const word = loadInt32(bytes, at + 4);
      if ((left & FLAG_VNI) === 0) return null;
      left &= ~FLAG_VNI;
      // Metadata has room for the policy whether or not there is one.
      const options = new Uint8Array(4);
      let flags = TUNNEL_KEY;
      if (gbp && (left & FLAG_GBP) !== 0) {
        // In the host's order, little-endian.
        new DataView(options.buffer).setUint32(0, left & GBP_BITS, true);
        left &= ~(FLAG_GBP | GBP_USED_BITS);
        flags |= TUNNEL_VXLAN_OPT;
      }
      if (left !== 0 || (word & 0xff) !== 0) return null;
      return { innerAt: at + HEADER_BYTES, vni: word >>> 8, flags, options };
    },
  };
}

/** vxlan_build_gbp_hdr. */
function policyOf({ flags, options }: TunnelInfo): number {
  if ((flags & TUNNEL_VXLAN_OPT) === 0 || options.length < 4) return 0;
  const word = new DataView(options.buffer, options.byteOffset).getUint32(0, true);
  return word & GBP_BITS;
}
