// What `ndo_flow_offload` hands a driver: one connection, as the RFC of November 2017 has it (both directions in one
// object), each direction spelled out as match and actions so that a driver never looks into the stack.
//
// Not here: tc flower rules and TC_SETUP_FT flow blocks, today's form of the hook: flow-block.ts and flow-rule.ts.

import type { NetDevice } from './netdev.ts';

/** enum flow_offload_type of the RFC, plus the statistics request of today's kernel. */
export const FLOW_OFFLOAD_ADD = 0;
export const FLOW_OFFLOAD_DEL = 1;
export const FLOW_OFFLOAD_STATS = 2;
export type FlowOffloadType =
  typeof FLOW_OFFLOAD_ADD | typeof FLOW_OFFLOAD_DEL | typeof FLOW_OFFLOAD_STATS;

/** One direction: packets that match are rewritten and sent out of `outDev` without software. */
export interface FlowDirection {
  /** Identity of the tuple, unique per direction and stable for the flow's life: the driver's key. */
  cookie: number;
  inDev: NetDevice;
  outDev: NetDevice;
  /** 4 or 6. */
  family: 4 | 6;
  /** 6 TCP, 17 UDP. TCP entries must not match packets with FIN or RST. */
  l4proto: number;
  /** 4 or 16 bytes, network order. */
  src: Uint8Array;
  dst: Uint8Array;
  sport: number;
  dport: number;
  /** VLAN id to match, −1 for untagged. */
  vlanId: number;
  /** New MAC addresses. */
  ethSrc: Uint8Array;
  ethDst: Uint8Array;
  /** VLAN id to push on the way out, −1 for none; a matched tag is popped. */
  pushVlanId: number;
  /** Address and port rewrites; null where nothing changes. */
  newSrc: Uint8Array | null;
  newDst: Uint8Array | null;
  newSport: number;
  newDport: number;
  /** Longest L3 packet that may be forwarded; longer ones go to the host. TTL is decremented implicitly. */
  mtuBytes: number;
}

/** A connection: original direction first, reply second. */
export interface FlowOffload {
  directions: [FlowDirection, FlowDirection];
  /** Set by the driver's answer: bit 0 original, bit 1 reply are in hardware. */
  inHardware: number;
}

/** Answer to FLOW_OFFLOAD_STATS: deltas since the previous request, per direction, and the latest use. */
export interface FlowStats {
  packets: [number, number];
  bytes: [number, number];
  /** Time of the last hit of either direction, ps; 0 for never. */
  lastUsedPs: number;
}
