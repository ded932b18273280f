// Geneve's header (RFC 8926, drivers/net/geneve.c; spec D.6): version, length of the options, OAM and critical bits, protocol, VNI,
// options.
//
// Left out: inner protocols other than Ethernet, devices with a remote of their own.

import { loadInt32, loadUint16, storeInt32, storeUint16 } from '../ip/address.ts';
import type { UdpEncapsulation } from './encapsulation.ts';
import {
  TUNNEL_CRIT_OPT,
  TUNNEL_GENEVE_OPT,
  TUNNEL_KEY,
  TUNNEL_OAM,
  key32Of,
} from './tunnel-info.ts';

const HEADER_BYTES = 8;
const ETH_P_TEB = 0x6558;
const FLAG_OAM = 0x80;
const FLAG_CRITICAL = 0x40;
/** 65,535 less the header with UDP's (16), IPv6's (40) and Ethernet's (14). */
const MOST_MTU_BYTES = 65465;

/** What `ip link add type geneve` says of a device. */
export interface GeneveConfig {
  readonly port: number;
  readonly zeroChecksum6: boolean;
}

export function geneve(config: GeneveConfig): UdpEncapsulation {
  return {
    kind: 'geneve',
    ...config,
    sourceMin: 1,
    sourceMax: 65535,
    portByPacket: false,
    ttlByRoute: false,
    missingInfoCounter: 'tx_errors',
    mostMtuBytes: MOST_MTU_BYTES,
    headerBytes: ({ options }) => HEADER_BYTES + options.length,
    write(bytes, at, info) {
      const { flags, options } = info;
      bytes[at] = options.length >> 2;
      bytes[at + 1] =
        ((flags & TUNNEL_OAM) === 0 ? 0 : FLAG_OAM) |
        ((flags & TUNNEL_CRIT_OPT) === 0 ? 0 : FLAG_CRITICAL);
      storeUint16(bytes, at + 2, ETH_P_TEB);
      storeInt32(bytes, at + 4, key32Of(info) << 8);
      if ((flags & TUNNEL_GENEVE_OPT) !== 0) bytes.set(options, at + HEADER_BYTES);
      else bytes.fill(0, at + HEADER_BYTES, at + HEADER_BYTES + options.length);
    },
    read(bytes, at, end) {
      if (end - at < HEADER_BYTES || bytes[at] >> 6 !== 0) return null;
      if (loadUint16(bytes, at + 2) !== ETH_P_TEB) return null;
      const innerAt = at + HEADER_BYTES + (bytes[at] & 0x3f) * 4;
      if (innerAt > end) return null;
      const options = bytes.slice(at + HEADER_BYTES, innerAt);
      const flags =
        TUNNEL_KEY |
        ((bytes[at + 1] & FLAG_OAM) === 0 ? 0 : TUNNEL_OAM) |
        ((bytes[at + 1] & FLAG_CRITICAL) === 0 ? 0 : TUNNEL_CRIT_OPT) |
        (options.length === 0 ? 0 : TUNNEL_GENEVE_OPT);
      return { innerAt, vni: loadInt32(bytes, at + 4) >>> 8, flags, options };
    },
  };
}
