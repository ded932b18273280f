// Flowtable entries of today's kernel (TC_SETUP_FT) for the reference driver: a flow_rule is read back into the direction of a
// connection that the card's flow table takes, or refused by name.
//
// Every direction is announced to every device of the flowtable; the function on whose port its packets arrive inserts it, the
// others answer EOPNOTSUPP. The rule says nothing of TTL and MTU: the device decrements
// the one and sends to the host what exceeds the MTU of the device on the way out.
//
// Reasons beside flow.ts's and flow-translate.ts's: 'key' (a match that a connection has not), 'action', 'mask'.

import type { TwinAdapter } from './adapter.ts';
import { EOPNOTSUPP } from '../errno.ts';
import { FLOW_ACTION_HW_STATS_DELAYED } from '../flow-rule.ts';
import * as R from '../flow-rule.ts';
import type { FlowActionEntry, FlowMatch, FlowRule } from '../flow-rule.ts';
import { FLOW_CLS_DESTROY, FLOW_CLS_REPLACE, flow_stats_update } from '../flow-block.ts';
import type { FlowBlock, FlowBlockRequest } from '../flow-block.ts';
import type { FlowDirection } from '../flow-offload.ts';
import type { ExtAck, NetDevice } from '../netdev.ts';

/** One request of a flowtable about a direction. */
export function setupFlow(
  adapter: TwinAdapter,
  block: FlowBlock,
  request: FlowBlockRequest,
  done: (error: number) => void,
): void {
  const { cookie, command, stats } = request;
  const { extack } = request.common;
  const { flows } = adapter;
  if (command === FLOW_CLS_REPLACE) {
    const { rule } = request;
    if (rule?.match.meta?.key.ingressIfindex !== adapter.dev.ifindex) {
      refuse(extack, 'in-device', `packets of the rule do not arrive on ${adapter.dev.name}`);
      done(-EOPNOTSUPP);
      return;
    }
    const way = readRule(adapter, rule, cookie, extack);
    if (way === null) {
      flows.refusedCount++;
      done(-EOPNOTSUPP);
      return;
    }
    flows.addDirection(adapter, way, block, ({ error, message, reason }) => {
      extack.message = message;
      extack.reason = reason;
      done(error);
    });
  } else if (command === FLOW_CLS_DESTROY) flows.removeDirection(cookie, done);
  else
    flows.readStats(adapter, cookie, (error, packets, bytes, lastUsedPs) => {
      if (error === 0)
        flow_stats_update(stats, bytes, packets, 0, lastUsedPs, FLOW_ACTION_HW_STATS_DELAYED);
      done(error);
    });
}

/** Keys that a connection's rule has. */
const KNOWN_KEYS =
  (1 << R.FLOW_DISSECTOR_KEY_META) |
  (1 << R.FLOW_DISSECTOR_KEY_CONTROL) |
  (1 << R.FLOW_DISSECTOR_KEY_BASIC) |
  (1 << R.FLOW_DISSECTOR_KEY_IPV4_ADDRS) |
  (1 << R.FLOW_DISSECTOR_KEY_IPV6_ADDRS) |
  (1 << R.FLOW_DISSECTOR_KEY_PORTS) |
  (1 << R.FLOW_DISSECTOR_KEY_TCP) |
  (1 << R.FLOW_DISSECTOR_KEY_VLAN);

/** A direction as far as it has been read. */
interface Draft extends Omit<FlowDirection, 'outDev'> {
  outDev: NetDevice | null;
}

function readRule(
  adapter: TwinAdapter,
  rule: FlowRule,
  cookie: number,
  extack: ExtAck,
): FlowDirection | null {
  const { match } = rule;
  const isIpv6 = match.control.key.addrType === R.FLOW_DISSECTOR_KEY_IPV6_ADDRS;
  const addresses = isIpv6 ? match.ipv6 : match.ipv4;
  if ((match.usedKeys & ~KNOWN_KEYS) !== 0)
    return refuse(extack, 'key', `match on keys ${hex(match.usedKeys & ~KNOWN_KEYS)}`);
  if (addresses === null || match.ports === null)
    return refuse(extack, 'key', 'an entry needs addresses and ports');
  if (!hasFullMasks(match)) return refuse(extack, 'mask', 'only exact values can be matched');
  const draft: Draft = {
    cookie,
    inDev: adapter.dev,
    outDev: null,
    family: isIpv6 ? 6 : 4,
    l4proto: match.basic.key.ipProto,
    src: addresses.key.src,
    dst: addresses.key.dst,
    sport: match.ports.key.src,
    dport: match.ports.key.dst,
    vlanId: match.vlan === null ? -1 : match.vlan.key.id,
    ethSrc: new Uint8Array(6),
    ethDst: new Uint8Array(6),
    pushVlanId: -1,
    newSrc: null,
    newDst: null,
    newSport: 0,
    newDport: 0,
    mtuBytes: 0,
  };
  for (const action of rule.actions)
    if (!readAction(draft, action))
      return refuse(extack, 'action', `action ${R.FLOW_ACTION_NAMES[action.id]} cannot be done`);
  const { outDev } = draft;
  if (outDev === null) return refuse(extack, 'action', 'an entry needs a redirect');
  return { ...draft, outDev, mtuBytes: outDev.mtuBytes };
}

function hasFullMasks(match: FlowMatch): boolean {
  const addresses = match.ipv6 ?? match.ipv4;
  const { ports } = match;
  const exact = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0xff);
  return (
    match.basic.mask.ipProto === 0xff &&
    (match.vlan === null || (match.vlan.mask.id === 0xfff && match.vlan.mask.priority === 0)) &&
    (match.tcp === null || (match.tcp.key.flags === 0 && match.tcp.mask.flags === 0x05)) &&
    ports?.mask.src === 0xffff &&
    ports.mask.dst === 0xffff &&
    addresses !== null &&
    exact(addresses.mask.src) &&
    exact(addresses.mask.dst)
  );
}

/** Takes an action into the draft; false for one that an entry cannot do. */
function readAction(draft: Draft, action: FlowActionEntry): boolean {
  switch (action.id) {
    case R.FLOW_ACTION_REDIRECT:
      draft.outDev = action.dev;
      return true;
    case R.FLOW_ACTION_VLAN_POP:
      return draft.vlanId >= 0;
    case R.FLOW_ACTION_VLAN_PUSH:
      draft.pushVlanId = action.vid;
      return action.proto === 0x8100 && action.prio === 0;
    case R.FLOW_ACTION_CSUM:
      // The device always fixes the checksums of what it rewrites.
      return true;
    case R.FLOW_ACTION_MANGLE:
      return readMangle(draft, action.htype, action.offset, action.mask, action.val);
    default:
      return false;
  }
}

function readMangle(
  draft: Draft,
  htype: number,
  offset: number,
  mask: number,
  val: number,
): boolean {
  switch (htype) {
    case R.FLOW_ACT_MANGLE_HDR_TYPE_ETH:
      // The first twelve bytes of the frame: destination, then source.
      for (let i = 0; i < 4; i++) {
        if (((mask >>> (24 - 8 * i)) & 255) === 255) continue;
        const at = offset + i;
        const byte = (val >>> (24 - 8 * i)) & 255;
        if (at < 6) draft.ethDst[at] = byte;
        else if (at < 12) draft.ethSrc[at - 6] = byte;
        else return false;
      }
      return true;
    case R.FLOW_ACT_MANGLE_HDR_TYPE_IP4:
      return draft.family === 4 && readAddress(draft, offset - 12, mask, val);
    case R.FLOW_ACT_MANGLE_HDR_TYPE_IP6:
      return draft.family === 6 && readAddress(draft, offset - 8, mask, val);
    case R.FLOW_ACT_MANGLE_HDR_TYPE_TCP:
    case R.FLOW_ACT_MANGLE_HDR_TYPE_UDP:
      if (offset !== 0) return false;
      if (mask >>> 16 === 0) draft.newSport = val >>> 16;
      if ((mask & 0xffff) === 0) draft.newDport = val & 0xffff;
      return true;
    default:
      return false;
  }
}

/** A word of an address; `at` counts from the source address. */
function readAddress(draft: Draft, at: number, mask: number, val: number): boolean {
  const bytes = draft.family === 4 ? 4 : 16;
  if (mask !== 0 || at < 0 || at >= 2 * bytes || at % 4 !== 0) return false;
  const isSource = at < bytes;
  const address = (isSource ? draft.newSrc : draft.newDst) ?? new Uint8Array(bytes);
  if (isSource) draft.newSrc = address;
  else draft.newDst = address;
  for (let i = 0; i < 4; i++) address[(at % bytes) + i] = (val >>> (24 - 8 * i)) & 255;
  return true;
}

function refuse(extack: ExtAck, reason: string, message: string): null {
  extack.reason = reason;
  extack.message = message;
  return null;
}

function hex(value: number): string {
  return `0x${(value >>> 0).toString(16)}`;
}
