// `flow add`: which packets turn their connection into a flow (spec B.3). Every refusal is counted under its name and only
// breaks the rule; the packet goes on.

import type { NetDevice } from '../../../../driver/netdev.ts';
import type { SkBuff } from '../../../../driver/skb.ts';
import { sameBytes } from '../../ip/address.ts';
import type { Route } from '../../ip/fib.ts';
import {
  C_SEEN,
  C_STATUS,
  C_TCP_STATE,
  IPS_ASSURED,
  IPS_CONFIRMED,
  IPS_DST_NAT,
  IPS_DYING,
  IPS_HELPER,
  IPS_NAT_CLASH,
  IPS_OFFLOAD,
  IPS_SEQ_ADJUST,
  IPS_SRC_NAT,
  ROW_REPLY,
  ROW_WORDS,
  SEEN_WORDS,
} from '../conntrack/table.ts';
import type { Connection } from '../conntrack/table.ts';
import { IP_CT_NEW, IP_CT_RELATED } from '../conntrack/ctinfo.ts';
import { TCP_ESTABLISHED, TCP_SYN_RECV, TH_FIN, TH_RST } from '../conntrack/tcp-table.ts';
import { FLAG_BE_LIBERAL, S_FLAGS } from '../conntrack/tcp-window.ts';
import { IPPROTO_TCP, IPPROTO_UDP, T_DST, T_META, tupleAddress } from '../conntrack/tuple.ts';
import { FLOWTABLE_ADD_PS } from '../costs.ts';
import type { HookState } from '../hooks.ts';
import { TRACE_FLOW_ADD, TRACE_FLOW_REFUSED } from '../trace-steps.ts';
import type { AdmissionRefusal } from './counters.ts';
import { NF_FLOW_DNAT, NF_FLOW_SNAT } from './flow.ts';
import { forwardPath } from './forward-path.ts';
import type { DirectXmit } from './forward-path.ts';
import type { FlowSide } from './flow.ts';
import type { FlowTable } from './flowtable.ts';

export class Admission {
  private readonly table: FlowTable;
  /** As in 2017 (spec B.1): once packets have passed both ways, whatever the TCP handshake still lacks. */
  private readonly isRfc: boolean;
  /** Sides in use, by route; they go with it. */
  private readonly shared = new WeakMap<Route, FlowSide[]>();

  constructor(table: FlowTable) {
    this.table = table;
    this.isRfc = table.settings.form === 'rfc';
  }

  /** Whether a flow was made. */
  admit(skb: SkBuff, state: HookState): boolean {
    const refusal = this.check(skb, state) ?? this.offload(skb, state);
    if (refusal === null) return true;
    this.table.counters.refusedAdmission[refusal]++;
    const { stack } = this.table;
    const nowPs = stack.scheduler.nowPs;
    stack.trace?.step(skb.packetId, nowPs, TRACE_FLOW_REFUSED, 0, 0, 0, refusal);
    return false;
  }

  /** Conditions 1 to 5; null when they hold. */
  private check(skb: SkBuff, state: HookState): AdmissionRefusal | null {
    const { bytes } = skb;
    if (state.family === 2 && (bytes[skb.networkAt] & 0xf) !== 5) return 'ip-options';
    const conn = skb.nfct as Connection | null;
    if (conn === null || conn.id < 0) return 'no-conntrack';
    const { words } = this.table.ct.table;
    const row = conn.id * ROW_WORDS;
    const status = words[row + C_STATUS];
    const protocol = (words[row + T_META] >> 8) & 0xff;
    if (protocol === IPPROTO_TCP) {
      const flags = bytes[skb.transportAt + 13];
      const tcpState = words[row + C_TCP_STATE];
      const established = this.isRfc
        ? tcpState === TCP_SYN_RECV || tcpState === TCP_ESTABLISHED
        : tcpState === TCP_ESTABLISHED && (status & IPS_ASSURED) !== 0;
      if ((flags & (TH_FIN | TH_RST)) !== 0) return 'tcp-fin-rst';
      if (!established) return 'tcp-not-established';
    } else if (protocol !== IPPROTO_UDP) return 'protocol';
    if ((status & IPS_HELPER) !== 0) return 'helper';
    if ((status & IPS_SEQ_ADJUST) !== 0) return 'seq-adjust';
    if ((status & IPS_NAT_CLASH) !== 0) return 'nat-clash';
    if ((status & IPS_CONFIRMED) === 0) return 'unconfirmed';
    if (this.isRfc && skb.ctinfo === IP_CT_NEW) return 'new';
    if (this.isRfc && skb.ctinfo === IP_CT_RELATED) return 'related';
    return (status & IPS_OFFLOAD) !== 0 ? 'offloaded-already' : null;
  }

  /** Conditions 6 to 11: routes of both directions, then the flow. */
  private offload(skb: SkBuff, state: HookState): AdmissionRefusal | null {
    const { table } = this;
    const conn = skb.nfct as Connection;
    const { words } = table.ct.table;
    const row = conn.id * ROW_WORDS;
    const direction = skb.ctinfo >= 3 ? 1 : 0;
    const route = skb.dst as Route | null;
    const inDev = state.inDev;
    if (route === null || route.dev === null || inDev === null) return 'no-return-route';
    // The way back: to the source of this direction, out of the device that the packet came in on.
    const back = this.routeTo(tupleAddress(words, row + direction * ROW_REPLY, 0), inDev);
    if (back === null || back.dev === null || back.type !== 'unicast') return 'no-return-route';
    if ((words[row + C_STATUS] & IPS_DYING) !== 0) return 'conntrack-dying';
    table.stack.kernel.charge(FLOWTABLE_ADD_PS);
    words[row + C_STATUS] |= IPS_OFFLOAD;
    const status = words[row + C_STATUS];
    const protocol = (words[row + T_META] >> 8) & 0xff;
    if (protocol === IPPROTO_TCP) {
      words[row + C_SEEN + S_FLAGS] |= FLAG_BE_LIBERAL;
      words[row + C_SEEN + SEEN_WORDS + S_FLAGS] |= FLAG_BE_LIBERAL;
    }
    const way = this.side(back.dev, route, route.dev);
    const wayBack = this.side(route.dev, back, back.dev);
    this.discover(way, wayBack, conn.id, direction);
    const original = this.share(direction === 0 ? way : wayBack);
    const reply = this.share(direction === 0 ? wayBack : way);
    const nat =
      ((status & IPS_SRC_NAT) !== 0 ? NF_FLOW_SNAT : 0) |
      ((status & IPS_DST_NAT) !== 0 ? NF_FLOW_DNAT : 0);
    const flow = table.insert(conn, protocol, nat, original, reply);
    const { stack } = table;
    stack.trace?.step(skb.packetId, stack.scheduler.nowPs, TRACE_FLOW_ADD, flow.id, 0, 0, '');
    return null;
  }

  private side(inDev: NetDevice, route: Route, outDev: NetDevice): FlowSide {
    return { inDev, vlanId: -1, route, outDev, direct: null, mtuBytes: route.pathMtuBytes };
  }

  /** The side that an earlier flow of the same route has, if it is equal: 64 bytes less for each direction of most flows. */
  private share(side: FlowSide): FlowSide {
    const known = this.shared.get(side.route);
    if (known === undefined) {
      this.shared.set(side.route, [side]);
      return side;
    }
    for (const old of known)
      if (
        old.inDev === side.inDev &&
        old.outDev === side.outDev &&
        old.vlanId === side.vlanId &&
        sameDirect(old.direct, side.direct) &&
        old.mtuBytes === side.mtuBytes
      )
        return old;
    known.push(side);
    return side;
  }

  /**
   * Route to an address out of `dev`. The best route of all is the best out of `dev` when it goes there, and it is cached: flows
   * to one address share it (a route of its own for each flow were 150 bytes a flow).
   */
  private routeTo(address: Uint8Array, dev: NetDevice): Route | null {
    const { fib } = this.table.stack;
    if (address.length === 16) {
      const best = fib.lookup6(address, 0);
      return best?.dev === dev ? best : fib.lookup6(address, 0, dev.ifindex);
    }
    const word = (address[0] << 24) | (address[1] << 16) | (address[2] << 8) | address[3];
    const best = fib.lookup4(word);
    return best?.dev === dev ? best : fib.lookup4(word, dev.ifindex);
  }

  /**
   * Forward-path discovery (B.7): where VLAN devices or bridges are below a route, the packets of the other direction are taken at the
   * real device if that is listed, and those of this one may go straight to it.
   */
  private discover(way: FlowSide, wayBack: FlowSide, ctId: number, direction: number): void {
    const { stack, devices, ct } = this.table;
    const row = ctId * ROW_WORDS;
    const own = row + direction * ROW_REPLY;
    const other = row + (1 - direction) * ROW_REPLY;
    for (const side of [way, wayBack]) {
      const opposite = side === way ? wayBack : way;
      const { outDev } = side;
      const isPlain = stack.links.vlan(outDev) === null && !stack.bridges?.bridgeOf(outDev);
      if (isPlain) continue;
      // The neighbour that the packets of this side go to must be known.
      const to = tupleAddress(ct.table.words, side === way ? other : own, 0);
      const neighbour = stack.neigh.find(outDev, side.route.gateway ?? to);
      if (neighbour === null || !neighbour.isValid) continue;
      const path = forwardPath(stack, outDev, neighbour.mac);
      if (path === null || !devices.includes(path.dev)) continue;
      opposite.inDev = path.dev;
      opposite.vlanId = path.vlanId;
      side.direct = path.direct;
    }
  }
}

function sameDirect(a: DirectXmit | null, b: DirectXmit | null): boolean {
  if (a === null || b === null) return a === b;
  return (
    a.outDev === b.outDev &&
    sameBytes(a.source, 0, b.source, 0, 6) &&
    sameBytes(a.destination, 0, b.destination, 0, 6)
  );
}

/** Next hop of a direction: the gateway, or the address the packets go to after NAT. */
export function nextHopOf(
  table: FlowTable,
  ctId: number,
  direction: number,
  side: FlowSide,
): Uint8Array {
  if (side.route.gateway !== null) return side.route.gateway;
  const row = ctId * ROW_WORDS;
  // The other tuple's source is where this direction's packets end up.
  return tupleAddress(table.ct.table.words, row + (1 - direction) * ROW_REPLY, 0);
}

/** Addresses of a direction as it arrives: source, destination. */
export function addressesOf(
  table: FlowTable,
  ctId: number,
  direction: number,
): [Uint8Array, Uint8Array] {
  const at = ctId * ROW_WORDS + direction * ROW_REPLY;
  const { words } = table.ct.table;
  return [tupleAddress(words, at, 0), tupleAddress(words, at, T_DST)];
}
