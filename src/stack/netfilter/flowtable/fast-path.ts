// The software fast path (spec B.5): at ingress, before anything else of the stack, a packet of a known flow is rewritten in
// place and handed to the neighbour layer. The order of the checks is the kernel's and matters: an oversized FIN, for one, does
// not end its flow. Not looked at: destination MAC, header and payload checksums, sequence numbers; padding is kept.
//
// Left out: GSO packets (no device of the model merges segments), GRE, PPPoE, XFRM.

import type { SkBuff } from '../../../../driver/skb.ts';
import { loadInt32 } from '../../ip/address.ts';
import { PATH_FAST } from '../../outcome.ts';
import { ROW_REPLY, ROW_WORDS } from '../conntrack/table.ts';
import { TH_FIN, TH_RST } from '../conntrack/tcp-table.ts';
import { IPPROTO_TCP, IPPROTO_UDP, Tuple } from '../conntrack/tuple.ts';
import {
  FLOWTABLE_CHECK_PS,
  FLOWTABLE_LOOKUP_PS,
  FLOWTABLE_NAT_PS,
  FLOWTABLE_REWRITE_PS,
} from '../costs.ts';
import { NF_ACCEPT, NF_DROP, NF_STOLEN } from '../hooks.ts';
import type { Hook, HookState } from '../hooks.ts';
import type { StackPort } from '../stack-port.ts';
import { TRACE_FAST_PASS, TRACE_FAST_PATH, TRACE_FLOW_TEARDOWN } from '../trace-steps.ts';
import type { FastPass } from './counters.ts';
import { NF_FLOW_DNAT, NF_FLOW_SNAT, NF_FLOW_TEARDOWN } from './flow.ts';
import type { Flow } from './flow.ts';
import { F_SOFTWARE } from './flow-rows.ts';
import type { FlowTable } from './flowtable.ts';
import type { DirectXmit } from './forward-path.ts';
import { decrementTtl, rewriteTuple } from './rewrite.ts';

const TCP_HEADER_BYTES = 20;
const UDP_HEADER_BYTES = 8;
const ETH_HEADER_BYTES = 14;

export class FastPath implements Hook {
  readonly name: string;
  readonly priority: number;

  private readonly table: FlowTable;
  private readonly tuple = new Tuple();
  private readonly target = new Tuple();
  private l4At = 0;
  private protocol = 0;

  constructor(table: FlowTable) {
    this.table = table;
    this.name = `nf_flowtable ${table.settings.name}`;
    this.priority = table.settings.priority;
  }

  run(skb: SkBuff, state: HookState): number {
    const { table } = this;
    if (state.inDev === null) return NF_ACCEPT;
    table.stack.kernel.charge(FLOWTABLE_CHECK_PS);
    const { family } = state;
    const refusal = family === 2 ? this.read4(skb) : family === 10 ? this.read6(skb) : 'not-ip';
    if (refusal !== null) return this.pass(skb, refusal);
    table.stack.kernel.charge(FLOWTABLE_LOOKUP_PS);
    const meta = (state.inDev.ifindex << 16) | (this.protocol << 8) | family;
    this.tuple.setAddresses(skb.bytes, skb.networkAt, family);
    this.tuple.meta = meta;
    this.tuple.l4 = loadInt32(skb.bytes, this.l4At);
    const vlanId = skb.vlanTci >= 0 && (skb.vlanTci & 0xfff) !== 0 ? skb.vlanTci & 0xfff : -1;
    const element = table.tuples.find(this.tuple, vlanId);
    if (element < 0) return this.pass(skb, 'miss');
    const flow = table.flows[element >> 1];
    if (flow === null || (flow.flags & NF_FLOW_TEARDOWN) !== 0 || table.ctIsDying(flow))
      return this.pass(skb, 'miss');
    return this.forward(skb, flow, element & 1, family);
  }

  /** Steps 8 to 14 for a hit. */
  private forward(skb: SkBuff, flow: Flow, direction: number, family: number): number {
    const { table } = this;
    const { stack } = table;
    const side = flow.side(direction);
    if (skb.lenBytes > side.mtuBytes) return this.pass(skb, 'mtu');
    if (flow.protocol === IPPROTO_TCP) {
      const flags = skb.bytes[this.l4At + 13];
      if ((flags & (TH_FIN | TH_RST)) !== 0) {
        this.end(skb, flow, 'fin-rst');
        return this.pass(skb, 'fin-rst');
      }
    }
    const { route, direct } = side;
    if (direct === null && route.genId !== stack.fib.genId) {
      this.end(skb, flow, 'route');
      return this.pass(skb, 'route');
    }
    if (direct !== null && direct.outDev.net === null) {
      this.end(skb, flow, 'device-down');
      return NF_DROP;
    }
    stack.kernel.charge(FLOWTABLE_REWRITE_PS);
    table.refresh(flow);
    if ((flow.flags & (NF_FLOW_SNAT | NF_FLOW_DNAT)) !== 0)
      this.translate(skb, flow, direction, family);
    decrementTtl(skb.bytes, skb.networkAt, family);
    table.rows.add(flow.id, F_SOFTWARE + direction, 1);
    table.counters.fastPackets++;
    table.counters.fastBytes += skb.lenBytes;
    if (table.settings.counter) table.ct.account(flow.ctId, direction, 1, skb.lenBytes);
    if (stack.trace !== null)
      stack.trace.step(
        skb.packetId,
        stack.scheduler.nowPs,
        TRACE_FAST_PATH,
        flow.id,
        direction,
        0,
        '',
      );
    if (skb.packetId >= 0) stack.observer.onForward(skb.packetId, PATH_FAST);
    skb.vlanTci = -1;
    skb.tstampPs = 0;
    skb.dst = route;
    skb.dev = side.outDev;
    skb.at = skb.networkAt;
    if (direct === null) stack.neigh.output(skb, side.outDev, route);
    else sendDirect(skb, direct, family, stack);
    return NF_STOLEN;
  }

  /** IPv4: null when the packet can be of a flow; sets protocol and l4At. */
  private read4(skb: SkBuff): FastPass | null {
    const { bytes, networkAt: at, lenBytes } = skb;
    if (lenBytes < 20) return 'truncated';
    if (bytes[at] !== 0x45 || (bytes[at + 6] & 0x3f) !== 0 || bytes[at + 7] !== 0)
      return 'fragment-or-options';
    this.l4At = at + 20;
    return this.readL4(bytes[at + 9], bytes[at + 8], lenBytes - 20);
  }

  private read6(skb: SkBuff): FastPass | null {
    const { bytes, networkAt: at, lenBytes } = skb;
    if (lenBytes < 40) return 'truncated';
    this.l4At = at + 40;
    return this.readL4(bytes[at + 6], bytes[at + 7], lenBytes - 40);
  }

  private readL4(protocol: number, ttl: number, l4Bytes: number): FastPass | null {
    if (protocol !== IPPROTO_TCP && protocol !== IPPROTO_UDP) return 'protocol';
    if (ttl <= 1) return 'ttl';
    if (l4Bytes < (protocol === IPPROTO_TCP ? TCP_HEADER_BYTES : UDP_HEADER_BYTES))
      return 'truncated';
    this.protocol = protocol;
    return null;
  }

  /** The other direction's tuple turned round is what the packet must look like outside. */
  private translate(skb: SkBuff, flow: Flow, direction: number, family: number): void {
    const { table, target } = this;
    table.stack.kernel.charge(FLOWTABLE_NAT_PS);
    const row = flow.ctId * ROW_WORDS;
    this.tuple.load(table.ct.table.words, row + (1 - direction) * ROW_REPLY);
    this.tuple.invert(target);
    rewriteTuple(skb.bytes, skb.networkAt, this.l4At, family, flow.protocol, target);
  }

  private end(skb: SkBuff, flow: Flow, cause: 'fin-rst' | 'route' | 'device-down'): void {
    const { stack } = this.table;
    this.table.teardown(flow, cause);
    const nowPs = stack.scheduler.nowPs;
    stack.trace?.step(skb.packetId, nowPs, TRACE_FLOW_TEARDOWN, flow.id, 0, 0, cause);
  }

  private pass(skb: SkBuff, why: FastPass): number {
    this.table.counters.passed[why]++;
    const { stack } = this.table;
    if (stack.trace !== null)
      stack.trace.step(skb.packetId, stack.scheduler.nowPs, TRACE_FAST_PASS, 0, 0, 0, why);
    return NF_ACCEPT;
  }
}

/** nf_flow_queue_xmit: pushes the stored Ethernet header and sends the frame. */
function sendDirect(skb: SkBuff, direct: DirectXmit, family: number, stack: StackPort): void {
  const { bytes } = skb;
  skb.at -= ETH_HEADER_BYTES;
  skb.lenBytes += ETH_HEADER_BYTES;
  skb.macAt = skb.at;
  bytes.set(direct.destination, skb.at);
  bytes.set(direct.source, skb.at + 6);
  const ethertype = family === 2 ? 0x0800 : 0x86dd;
  bytes[skb.at + 12] = ethertype >> 8;
  bytes[skb.at + 13] = ethertype & 0xff;
  stack.xmit(skb, direct.outDev);
}
