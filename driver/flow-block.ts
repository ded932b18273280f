// ndo_setup_tc and flow blocks: how the stack hands rules to a driver today (spec B.6, D.4; include/net/flow_offload.h).
//
// A block (tc's ingress or egress of a device, or a flowtable) is bound to a device once: `ndo_setup_tc(dev, TC_SETUP_BLOCK
// or TC_SETUP_FT, FlowBlockOffload)`; the driver answers by adding its callback to `cbList`. From then on each rule goes to
// every callback of the block as `cb(type, request, done)`. Binding is synchronous; callbacks may sleep: they answer through
// `done`, at once or later in simulated time, with 0 or a negative errno, and explain a refusal in the request's extack.
//
// A rule's key is its `cookie`: unique per rule (for flowtables per direction of a flow) and stable for its life. REPLACE of a
// known cookie replaces or is answered EEXIST; DESTROY and STATS of an unknown one ENOENT. Not here: indirect blocks.

import { EBUSY, ENOENT, EOPNOTSUPP } from './errno.ts';
import type { FlowPolice, FlowRule } from './flow-rule.ts';
import type { ExtAck, NetDevice } from './netdev.ts';

/** enum tc_setup_type of Linux 6.1 (the values show in driver logs). */
export const TC_SETUP_CLSFLOWER = 3;
export const TC_SETUP_CLSMATCHALL = 4;
export const TC_SETUP_BLOCK = 6;
export const TC_SETUP_ROOT_QDISC = 12;
export const TC_SETUP_FT = 15;
export type TcSetupType =
  | typeof TC_SETUP_CLSFLOWER
  | typeof TC_SETUP_CLSMATCHALL
  | typeof TC_SETUP_BLOCK
  | typeof TC_SETUP_ROOT_QDISC
  | typeof TC_SETUP_FT;

export const FLOW_BLOCK_BIND = 0;
export const FLOW_BLOCK_UNBIND = 1;

/** enum flow_block_binder_type. */
export const FLOW_BLOCK_BINDER_TYPE_UNSPEC = 0;
export const FLOW_BLOCK_BINDER_TYPE_CLSACT_INGRESS = 1;
export const FLOW_BLOCK_BINDER_TYPE_CLSACT_EGRESS = 2;

export const FLOW_CLS_REPLACE = 0;
export const FLOW_CLS_DESTROY = 1;
export const FLOW_CLS_STATS = 2;
export type FlowClsCommand =
  typeof FLOW_CLS_REPLACE | typeof FLOW_CLS_DESTROY | typeof FLOW_CLS_STATS;

/** struct flow_stats: what a STATS request is answered with. */
export interface FlowRuleStats {
  /** Deltas since the previous request. */
  pkts: number;
  bytes: number;
  drops: number;
  /** Time of the last hit, ps; 0 for never. */
  lastUsedPs: number;
  /** FLOW_ACTION_HW_STATS_*; 0 while no driver said. */
  usedHwStats: number;
}

/** All zero. */
export function zeroRuleStats(): FlowRuleStats {
  return { pkts: 0, bytes: 0, drops: 0, lastUsedPs: 0, usedHwStats: 0 };
}

/** flow_stats_update: adds a driver's deltas; the latest use counts. */
export function flow_stats_update(
  stats: FlowRuleStats,
  bytes: number,
  pkts: number,
  drops: number,
  lastUsedPs: number,
  usedHwStats: number,
): void {
  stats.pkts += pkts;
  stats.bytes += bytes;
  stats.drops += drops;
  stats.lastUsedPs = Math.max(stats.lastUsedPs, lastUsedPs);
  stats.usedHwStats |= usedHwStats;
}

/** struct flow_cls_common_offload: what every request carries. */
export interface FlowClsCommon {
  chainIndex: number;
  /** ETH_P_*; ETH_P_ALL (3) for any. */
  protocol: number;
  /** tc's pref, the flowtable's priority. */
  prio: number;
  /** The filter has skip_sw: software does not do it if the driver refuses. */
  skipSw: boolean;
  extack: ExtAck;
}

/** struct flow_cls_offload: TC_SETUP_CLSFLOWER. `rule` is null except for REPLACE. */
export interface FlowClsOffload {
  type: typeof TC_SETUP_CLSFLOWER;
  common: FlowClsCommon;
  command: FlowClsCommand;
  cookie: number;
  rule: FlowRule | null;
  stats: FlowRuleStats;
}

/** struct tc_cls_matchall_offload: TC_SETUP_CLSMATCHALL; its rule matches everything. */
export interface ClsMatchallOffload {
  type: typeof TC_SETUP_CLSMATCHALL;
  common: FlowClsCommon;
  command: FlowClsCommand;
  cookie: number;
  rule: FlowRule | null;
  stats: FlowRuleStats;
  /** Set for a matchall that is nothing but one policer. */
  police: FlowPolice | null;
}

export type FlowBlockRequest = FlowClsOffload | ClsMatchallOffload;

/** flow_setup_cb_t. Calls `done` exactly once. */
export type FlowSetupCallback = (request: FlowBlockRequest, done: (error: number) => void) => void;

/** struct flow_block_cb: one driver's place in a block. */
export interface FlowBlockCallback {
  readonly cb: FlowSetupCallback;
  /** Identity: a driver looks its callback up by it. */
  readonly ident: unknown;
  readonly dev: NetDevice;
  refCount: number;
}

/** struct flow_block: the callbacks of a tc block or flowtable. */
export interface FlowBlock {
  callbacks: FlowBlockCallback[];
}

/** struct flow_block_offload: the request of TC_SETUP_BLOCK and TC_SETUP_FT. */
export interface FlowBlockOffload {
  command: typeof FLOW_BLOCK_BIND | typeof FLOW_BLOCK_UNBIND;
  binderType: number;
  /** The block serves several devices (`ingress_block N`). */
  blockShared: boolean;
  block: FlowBlock;
  /** Filled by the driver on BIND; emptied into `block` by the caller. */
  cbList: FlowBlockCallback[];
  extack: ExtAck;
}

/** TC_SETUP_ROOT_QDISC: told of a root or clsact qdisc coming or going; what no driver here uses. */
export interface RootQdiscOffload {
  kind: string;
  add: boolean;
}

/** What `ndo_setup_tc` gets beside the type: a FlowBlockOffload for BLOCK and FT, else what the type is about. */
export type TcSetupData = FlowBlockOffload | RootQdiscOffload;

/** The request of TC_SETUP_BLOCK or TC_SETUP_FT, null for another type. */
export function blockOffloadOf(type: TcSetupType, data: TcSetupData): FlowBlockOffload | null {
  return type === TC_SETUP_BLOCK || type === TC_SETUP_FT ? (data as FlowBlockOffload) : null;
}

/**
 * flow_block_cb_setup_simple for a driver with one callback per device: binds (EOPNOTSUPP for a binder type other than
 * ingress when `ingressOnly`, EBUSY when bound already) and unbinds (ENOENT when not bound).
 */
export function flow_block_cb_setup_simple(
  offload: FlowBlockOffload,
  dev: NetDevice,
  cb: FlowSetupCallback,
  ident: unknown,
  ingressOnly: boolean,
): number {
  if (ingressOnly && offload.binderType !== FLOW_BLOCK_BINDER_TYPE_CLSACT_INGRESS)
    return -EOPNOTSUPP;
  const at = offload.block.callbacks.findIndex((one) => one.ident === ident && one.dev === dev);
  if (offload.command === FLOW_BLOCK_BIND) {
    if (at >= 0) return -EBUSY;
    offload.cbList.push({ cb, ident, dev, refCount: 1 });
    return 0;
  }
  if (at < 0) return -ENOENT;
  offload.block.callbacks.splice(at, 1);
  return 0;
}
