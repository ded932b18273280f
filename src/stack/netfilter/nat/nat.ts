// Network address translation (spec C.7; nf_nat_core.c, nf_nat_proto.c): what a connection's packets look like behind this machine is
// decided on its first packet, destination in prerouting and output, source in postrouting and input, by the nat chains or, where they
// say nothing, by a null binding; every later packet is changed as the two keys of its connection say.
//
// Nat chains run only for packets of connections that are not decided yet. NAT's own hooks stand at −100 and +100 whatever priority a
// chain has: that only orders chains. Left out: netmaps, port shifting, helpers that expect GRE.

import type { NetDevice, NetDeviceEvent, NetDeviceNotifier } from '../../../../driver/netdev.ts';
import type { SkBuff } from '../../../../driver/skb.ts';
import { IP_CT_NEW, IP_CT_RELATED, IP_CT_RELATED_REPLY } from '../conntrack/ctinfo.ts';
import type { Conntrack } from '../conntrack/conntrack.ts';
import type { Expectation } from '../conntrack/expect.ts';
import { PacketView } from '../conntrack/packet.ts';
import {
  C_STATUS,
  IPS_CONFIRMED,
  IPS_DST_NAT,
  IPS_DST_NAT_DONE,
  IPS_SRC_NAT,
  IPS_SRC_NAT_DONE,
  ROW_REPLY,
  ROW_WORDS,
} from '../conntrack/table.ts';
import type { Connection } from '../conntrack/table.ts';
import { IPPROTO_ICMP, IPPROTO_ICMPV6, T_DST, Tuple } from '../conntrack/tuple.ts';
import { FLOWTABLE_NAT_PS } from '../costs.ts';
import { NF_ACCEPT, NF_DROP, NF_INET_LOCAL_IN, NF_INET_POST_ROUTING } from '../hooks.ts';
import type { Hook, HookState } from '../hooks.ts';
import type { StackPort } from '../stack-port.ts';
import { TRACE_NAT } from '../trace-steps.ts';
import { translateError } from './icmp-errors.ts';
import { mangle } from './mangle.ts';
import { NatRandom } from './random.ts';
import { MANIP_DST, MANIP_SRC, NatRange, RANGE_PROTO_SPECIFIED } from './range.ts';
import { SourceIndex } from './source-index.ts';
import { TupleChooser } from './unique-tuple.ts';

export class Nat implements NetDeviceNotifier {
  readonly sources: SourceIndex;

  private readonly stack: StackPort;
  private readonly ct: Conntrack;
  private readonly chooser: TupleChooser;
  private readonly view = new PacketView();
  private readonly current = new Tuple();
  private readonly chosen = new Tuple();
  private readonly target = new Tuple();
  private readonly bound = new NatRange();

  constructor(stack: StackPort, ct: Conntrack, seed: number) {
    this.stack = stack;
    this.ct = ct;
    this.sources = new SourceIndex(ct.table);
    this.chooser = new TupleChooser(ct, this.sources, new NatRandom(seed));
    ct.onForget = (id) => this.sources.remove(id);
    ct.followMaster = (id, expected) => this.followMaster(id, expected);
  }

  /** A packet at a nat hook; `chains` are the nat chains of that hook in order. */
  run(skb: SkBuff, state: HookState, chains: readonly Hook[]): number {
    const conn = skb.nfct as Connection | null;
    if (conn === null || conn.id < 0) return NF_ACCEPT;
    const manip = manipOf(state.hook);
    const { ctinfo } = skb;
    if (ctinfo === IP_CT_RELATED || ctinfo === IP_CT_RELATED_REPLY) {
      const { view } = this;
      if (!view.locate(skb.bytes, skb.networkAt, skb.lenBytes, state.family)) return NF_DROP;
      if (view.protocol === (state.family === 2 ? IPPROTO_ICMP : IPPROTO_ICMPV6)) {
        const direction = ctinfo === IP_CT_RELATED ? 0 : 1;
        return translateError(this.ct.table, skb, view, conn.id, direction, manip)
          ? NF_ACCEPT
          : NF_DROP;
      }
    }
    if (ctinfo === IP_CT_NEW || ctinfo === IP_CT_RELATED) {
      const verdict = this.decide(skb, state, conn, manip, chains);
      if (verdict !== NF_ACCEPT) return verdict;
    }
    if (this.leftItsDevice(skb, state, conn.id)) {
      this.ct.kill(conn.id);
      return NF_DROP;
    }
    this.translate(skb, state, conn.id, manip);
    return NF_ACCEPT;
  }

  /** Decides one end of a connection (nf_nat_setup_info); NF_ACCEPT or NF_DROP. */
  setup(id: number, range: NatRange, manip: number): number {
    const { ct, current, chosen } = this;
    const { words } = ct.table;
    const row = id * ROW_WORDS;
    if ((words[row + C_STATUS] & IPS_CONFIRMED) !== 0) return NF_ACCEPT;
    ct.table.outside(id, current);
    chosen.copy(current);
    this.chooser.choose(chosen, range, manip, id);
    current.store(this.scratch, 0);
    if (!chosen.equals(this.scratch, 0)) {
      chosen.invert(current);
      current.meta = words[row + ROW_REPLY + 9];
      current.store(words, row + ROW_REPLY);
      words[row + C_STATUS] |= manip === MANIP_SRC ? IPS_SRC_NAT : IPS_DST_NAT;
    }
    if (manip === MANIP_SRC) this.sources.add(id);
    words[row + C_STATUS] |= manip === MANIP_SRC ? IPS_SRC_NAT_DONE : IPS_DST_NAT_DONE;
    return NF_ACCEPT;
  }

  /** Source becomes an address of the device that the packet leaves through; the connection dies with that address. */
  masquerade(skb: SkBuff, state: HookState, ports: NatRange): number {
    const conn = skb.nfct as Connection;
    const { outDev } = state;
    const { words } = this.ct.table;
    const row = conn.id * ROW_WORDS;
    if (outDev === null) return NF_ACCEPT;
    // A packet of a host without address yet (DHCP) keeps it.
    if (state.family === 2 && words[row] === 0) return NF_ACCEPT;
    const address = this.addressTowards(skb, state.family, outDev);
    if (address === null) return NF_DROP;
    this.sources.setMasquerade(conn.id, outDev.ifindex);
    return this.setupAddress(conn.id, address, ports, MANIP_SRC);
  }

  /** Destination becomes this machine: the first address of the device that the packet came in on, or loopback. */
  redirect(skb: SkBuff, state: HookState, ports: NatRange): number {
    const conn = skb.nfct as Connection;
    let address: Uint8Array | null = null;
    if (state.inDev === null)
      address =
        state.family === 2
          ? Uint8Array.of(127, 0, 0, 1)
          : Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
    else address = this.stack.addresses.of(state.inDev, state.family)[0]?.address ?? null;
    return address === null ? NF_DROP : this.setupAddress(conn.id, address, ports, MANIP_DST);
  }

  /** An expected connection gets the ends that its master has (nf_nat_follow_master). */
  private followMaster(id: number, expected: Expectation): void {
    const { words } = this.ct.table;
    const near = expected.master.id * ROW_WORDS + (1 - expected.natDirection) * ROW_REPLY;
    const { bound } = this;
    bound.flags = 0;
    bound.setAddress(words, near + T_DST);
    this.setup(id, bound, MANIP_SRC);
    bound.flags = RANGE_PROTO_SPECIFIED;
    bound.minPort = bound.maxPort = expected.savedPort;
    bound.setAddress(words, near);
    this.setup(id, bound, MANIP_DST);
  }

  /** NETDEV_DOWN: what was masqueraded through the device goes. */
  netdevEvent(dev: NetDevice, event: NetDeviceEvent): void {
    if (event === 'down') this.killMasqueraded(dev.ifindex, null);
  }

  /** An address was taken from a device. */
  addressGone(ifindex: number, address: Uint8Array): void {
    this.killMasqueraded(ifindex, address);
  }

  private readonly scratch = new Int32Array(10);

  private setupAddress(id: number, address: Uint8Array, ports: NatRange, manip: number): number {
    const { bound } = this;
    bound.takePorts(ports);
    bound.setAddress(addressWords(address), 0);
    return this.setup(id, bound, manip);
  }

  private addressTowards(skb: SkBuff, family: number, dev: NetDevice): Uint8Array | null {
    const { addresses } = this.stack;
    const { bytes, networkAt } = skb;
    if (family !== 2) return addresses.select6(dev, bytes, networkAt + 24);
    const route = skb.dst as { gateway: Uint8Array | null } | null;
    const next = route?.gateway ?? bytes.subarray(networkAt + 16, networkAt + 20);
    return addresses.select4(dev, next.length === 4 ? next : null);
  }

  /** Runs the chains for a connection that is not decided yet, then binds it to what it has. */
  private decide(
    skb: SkBuff,
    state: HookState,
    conn: Connection,
    manip: number,
    chains: readonly Hook[],
  ): number {
    const { words } = this.ct.table;
    const at = conn.id * ROW_WORDS + C_STATUS;
    const done = manip === MANIP_SRC ? IPS_SRC_NAT_DONE : IPS_DST_NAT_DONE;
    if ((words[at] & done) !== 0) return NF_ACCEPT;
    for (let i = 0; i < chains.length; i++) {
      const verdict = chains[i].run(skb, state);
      if (verdict !== NF_ACCEPT) return verdict;
      if ((this.ct.table.words[at] & done) !== 0) break;
    }
    const verdict =
      (this.ct.table.words[at] & done) === 0 ? this.bindAsIs(conn.id, manip) : NF_ACCEPT;
    if (this.stack.trace !== null) this.traced(skb, conn.id, manip);
    return verdict;
  }

  /** Keeps the address; a port whose replies would clash changes all the same. */
  private bindAsIs(id: number, manip: number): number {
    const { words } = this.ct.table;
    const reply = id * ROW_WORDS + ROW_REPLY;
    const { bound } = this;
    bound.flags = 0;
    bound.setAddress(words, manip === MANIP_SRC ? reply + T_DST : reply);
    return this.setup(id, bound, manip);
  }

  /** Whether a masqueraded connection would now leave through another device. */
  private leftItsDevice(skb: SkBuff, state: HookState, id: number): boolean {
    if (state.hook !== NF_INET_POST_ROUTING || state.outDev === null) return false;
    if (skb.ctinfo >= 3) return false;
    const ifindex = this.sources.masqueradeOf(id);
    return ifindex !== 0 && ifindex !== state.outDev.ifindex;
  }

  private translate(skb: SkBuff, state: HookState, id: number, manip: number): void {
    const { table } = this.ct;
    const row = id * ROW_WORDS;
    const direction = skb.ctinfo >= 3 ? 1 : 0;
    const bit = (manip === MANIP_SRC) === (direction === 0) ? IPS_SRC_NAT : IPS_DST_NAT;
    if ((table.words[row + C_STATUS] & bit) === 0) return;
    const { view, current, target } = this;
    if (!view.locate(skb.bytes, skb.networkAt, skb.lenBytes, state.family)) return;
    this.stack.kernel.charge(FLOWTABLE_NAT_PS);
    current.load(table.words, row + (1 - direction) * ROW_REPLY);
    current.invert(target);
    mangle(skb.bytes, skb.networkAt, view.l4At, view.l4Bytes, view.protocol, target, manip);
  }

  private killMasqueraded(ifindex: number, address: Uint8Array | null): void {
    const { ct } = this;
    const words = address === null ? null : addressWords(address);
    for (const id of ct.liveIds()) {
      if (this.sources.masqueradeOf(id) !== ifindex) continue;
      const at = id * ROW_WORDS + ROW_REPLY + T_DST;
      if (words === null || words.every((word, i) => ct.table.words[at + i] === word)) ct.kill(id);
    }
  }

  private traced(skb: SkBuff, id: number, manip: number): void {
    const status = this.ct.table.words[id * ROW_WORDS + C_STATUS];
    const bit = manip === MANIP_SRC ? IPS_SRC_NAT : IPS_DST_NAT;
    const what = (status & bit) === 0 ? 'kept' : manip === MANIP_SRC ? 'source' : 'destination';
    const nowPs = this.stack.scheduler.nowPs;
    this.stack.trace?.step(skb.packetId, nowPs, TRACE_NAT, id, manip, 0, what);
  }
}

function manipOf(hook: number): number {
  return hook === NF_INET_POST_ROUTING || hook === NF_INET_LOCAL_IN ? MANIP_SRC : MANIP_DST;
}

/** An address as four words. */
export function addressWords(address: Uint8Array): Int32Array {
  const words = new Int32Array(4);
  for (let i = 0; i < address.length; i++) words[i >> 2] |= address[i] << (24 - 8 * (i & 3));
  return words;
}
