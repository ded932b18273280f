// One direction of a flow as a flow_rule: the match and the action list that a driver is asked to put in, in the kernel's order
// (spec B.6.5, B.6.6; reference/offload). There is no action for the TTL: a device that forwards decrements it; and none for the
// MTU: it must send longer packets to the host.
//
// Not here: tunnels (enc_* keys, encapsulation), a second VLAN tag, PPPoE: forward-path discovery finds none of them.

import * as R from '../../../../driver/flow-rule.ts';
import type { FlowActionEntry, FlowMatch, FlowRule } from '../../../../driver/flow-rule.ts';
import { ROW_REPLY, ROW_WORDS } from '../conntrack/table.ts';
import { IPPROTO_TCP, Tuple } from '../conntrack/tuple.ts';
import { addressesOf, nextHopOf } from './admission.ts';
import { NF_FLOW_DNAT, NF_FLOW_SNAT } from './flow.ts';
import type { Flow } from './flow.ts';
import type { FlowTable } from './flowtable.ts';

const ETH_P_IP = 0x0800;
const ETH_P_IPV6 = 0x86dd;
const ETH_P_8021Q = 0x8100;
/** FIN and RST: hardware must not have them (mask of the TCP flags key, value 0). */
const TCP_FLAGS_TO_HOST = 0x05;
const ALL_ONES = 0xffffffff;
/** Offsets of addresses in the network header. */
const IP4_ADDRESS_AT = { src: 12, dst: 16 };
const IP6_ADDRESS_AT = { src: 8, dst: 24 };

const tuple = new Tuple();
const hwStats = R.FLOW_ACTION_HW_STATS_DONT_CARE;

/** The rule of a direction (0 original, 1 reply); null when the next hop has no valid neighbour. */
export function buildFlowRule(table: FlowTable, flow: Flow, direction: number): FlowRule | null {
  const actions: FlowActionEntry[] = [];
  if (!addEthernet(table, flow, direction, actions)) return null;
  addVlan(flow, direction, actions);
  addNat(table, flow, direction, actions);
  actions.push({ id: R.FLOW_ACTION_REDIRECT, dev: flow.side(1 - direction).inDev, hwStats });
  return { match: buildMatch(table, flow, direction), actions };
}

function buildMatch(table: FlowTable, flow: Flow, direction: number): FlowMatch {
  const match = R.emptyMatch();
  const side = flow.side(direction);
  const [src, dst] = addressesOf(table, flow.ctId, direction);
  const isIpv4 = src.length === 4;
  tuple.load(table.ct.table.words, flow.ctId * ROW_WORDS + direction * ROW_REPLY);
  match.meta = { key: { ingressIfindex: side.inDev.ifindex }, mask: { ingressIfindex: ALL_ONES } };
  const addrType = isIpv4 ? R.FLOW_DISSECTOR_KEY_IPV4_ADDRS : R.FLOW_DISSECTOR_KEY_IPV6_ADDRS;
  match.control.key.addrType = addrType;
  match.control.mask.addrType = 0xffff;
  match.basic.key = { nProto: isIpv4 ? ETH_P_IP : ETH_P_IPV6, ipProto: flow.protocol };
  match.basic.mask = { nProto: 0xffff, ipProto: 0xff };
  const full = isIpv4 ? FULL_IPV4 : FULL_IPV6;
  const addresses = { key: { src, dst }, mask: { src: full, dst: full } };
  if (isIpv4) match.ipv4 = addresses;
  else match.ipv6 = addresses;
  match.ports = {
    key: { src: tuple.l4 >>> 16, dst: tuple.l4 & 0xffff },
    mask: { src: 0xffff, dst: 0xffff },
  };
  let used = (1 << R.FLOW_DISSECTOR_KEY_META) | (1 << addrType) | (1 << R.FLOW_DISSECTOR_KEY_PORTS);
  if (flow.protocol === IPPROTO_TCP) {
    match.tcp = { key: { flags: 0 }, mask: { flags: TCP_FLAGS_TO_HOST } };
    used |= 1 << R.FLOW_DISSECTOR_KEY_TCP;
  }
  if (side.vlanId >= 0) {
    match.vlan = {
      key: { id: side.vlanId, priority: 0, tpid: ETH_P_8021Q, ethType: 0 },
      mask: { id: 0xfff, priority: 0, tpid: 0xffff, ethType: 0 },
    };
    used |= 1 << R.FLOW_DISSECTOR_KEY_VLAN;
  }
  match.usedKeys |= used;
  return match;
}

const FULL_IPV4 = new Uint8Array(4).fill(255);
const FULL_IPV6 = new Uint8Array(16).fill(255);

/** New MAC addresses, source first, as words of the Ethernet header. */
function addEthernet(
  table: FlowTable,
  flow: Flow,
  direction: number,
  actions: FlowActionEntry[],
): boolean {
  const header = ethernetOf(table, flow, direction);
  if (header === null) return false;
  const { source, destination } = header;
  const htype = R.FLOW_ACT_MANGLE_HDR_TYPE_ETH;
  mangle(actions, htype, 4, 0xffff0000, (source[0] << 8) | source[1]);
  mangle(actions, htype, 8, 0, word(source, 2));
  mangle(actions, htype, 0, 0, word(destination, 0));
  mangle(actions, htype, 4, 0x0000ffff, ((destination[4] << 24) | (destination[5] << 16)) >>> 0);
  return true;
}

/** Source and destination of frames that leave; null while the next hop has no valid neighbour. */
export function ethernetOf(
  table: FlowTable,
  flow: Flow,
  direction: number,
): { source: Uint8Array; destination: Uint8Array } | null {
  const side = flow.side(direction);
  if (side.direct !== null) return side.direct;
  const hop = nextHopOf(table, flow.ctId, direction, side);
  const neighbour = table.stack.neigh.find(side.outDev, hop);
  if (neighbour === null || !neighbour.isValid) return null;
  return { source: side.outDev.mac, destination: neighbour.mac };
}

/** The tag of the way in goes, the one of the way out comes. */
function addVlan(flow: Flow, direction: number, actions: FlowActionEntry[]): void {
  if (flow.side(direction).vlanId >= 0) actions.push({ id: R.FLOW_ACTION_VLAN_POP, hwStats });
  const vid = flow.side(1 - direction).vlanId;
  if (vid >= 0)
    actions.push({ id: R.FLOW_ACTION_VLAN_PUSH, vid, proto: ETH_P_8021Q, prio: 0, hwStats });
}

/** SNAT before DNAT, each address before port; IPv4 then asks for its checksums. */
function addNat(table: FlowTable, flow: Flow, direction: number, actions: FlowActionEntry[]): void {
  const nat = flow.flags & (NF_FLOW_SNAT | NF_FLOW_DNAT);
  if (nat === 0) return;
  // What the packets of this direction become: the other tuple, turned round.
  const [farSrc, farDst] = addressesOf(table, flow.ctId, 1 - direction);
  tuple.load(table.ct.table.words, flow.ctId * ROW_WORDS + (1 - direction) * ROW_REPLY);
  const far = tuple.l4;
  const isTcp = flow.protocol === IPPROTO_TCP;
  for (const bit of [NF_FLOW_SNAT, NF_FLOW_DNAT]) {
    if ((nat & bit) === 0) continue;
    const ofSource = (bit === NF_FLOW_SNAT) === (direction === 0);
    mangleAddress(actions, ofSource ? farDst : farSrc, ofSource ? 'src' : 'dst');
    const htype = isTcp ? R.FLOW_ACT_MANGLE_HDR_TYPE_TCP : R.FLOW_ACT_MANGLE_HDR_TYPE_UDP;
    if (ofSource) mangle(actions, htype, 0, 0x0000ffff, ((far & 0xffff) << 16) >>> 0);
    else mangle(actions, htype, 0, 0xffff0000, far >>> 16);
  }
  if (farSrc.length !== 4) return;
  const l4 = isTcp ? R.TCA_CSUM_UPDATE_FLAG_TCP : R.TCA_CSUM_UPDATE_FLAG_UDP;
  const csumFlags = R.TCA_CSUM_UPDATE_FLAG_IPV4HDR | l4;
  actions.push({ id: R.FLOW_ACTION_CSUM, csumFlags, hwStats });
}

function mangleAddress(
  actions: FlowActionEntry[],
  address: Uint8Array,
  which: 'src' | 'dst',
): void {
  if (address.length === 4) {
    const offset = IP4_ADDRESS_AT[which];
    mangle(actions, R.FLOW_ACT_MANGLE_HDR_TYPE_IP4, offset, 0, word(address, 0));
    return;
  }
  for (let at = 0; at < 16; at += 4)
    mangle(
      actions,
      R.FLOW_ACT_MANGLE_HDR_TYPE_IP6,
      IP6_ADDRESS_AT[which] + at,
      0,
      word(address, at),
    );
}

function mangle(
  actions: FlowActionEntry[],
  htype: number,
  offset: number,
  mask: number,
  val: number,
): void {
  actions.push({ id: R.FLOW_ACTION_MANGLE, htype, offset, mask, val, hwStats });
}

function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;
}
