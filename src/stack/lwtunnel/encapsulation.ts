// What sets one UDP tunnel apart from another: the header behind UDP's, and a few rules (vxlan.ts, geneve.ts).

import type { TunnelInfo } from './tunnel-info.ts';

/** What a header says; reused. */
export interface TunnelHeader {
  /** Where the inner frame begins. */
  innerAt: number;
  vni: number;
  /** TUNNEL_* bits, without CSUM. */
  flags: number;
  options: Uint8Array;
}

export interface UdpEncapsulation {
  readonly kind: 'vxlan' | 'geneve';
  /** UDP port of the device. */
  readonly port: number;
  /** Range of source ports; an empty one stands for the local port range. */
  readonly sourceMin: number;
  readonly sourceMax: number;
  /** The packet's own port goes before the device's. */
  readonly portByPacket: boolean;
  /** TTL 0 means the route's; else it is sent. */
  readonly ttlByRoute: boolean;
  /** Over IPv6 a UDP checksum of 0 is accepted. */
  readonly zeroChecksum6: boolean;
  /** Counter of frames that do not say where to. */
  readonly missingInfoCounter: 'tx_errors' | 'tx_dropped';
  /** Most that the MTU can be. */
  readonly mostMtuBytes: number;
  /** Bytes of the header for a packet, options included. */
  headerBytes(info: TunnelInfo): number;
  /** Writes the header. */
  write(bytes: Uint8Array, at: number, info: TunnelInfo): void;
  /** Reads a header at [at, end), null when it is not acceptable. */
  read(bytes: Uint8Array, at: number, end: number): TunnelHeader | null;
}
