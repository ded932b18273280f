// The Linux network stack above the drivers, tied together: the way in from netif_receive_skb to the protocol
// handlers (net/core/dev.c, 8021q), the way out to dev_queue_xmit, and the one place where packets end.
//
// One NetStack is one network namespace: what a namespace has of its own hangs on it, what all share is the kernel's (namespaces.ts).
// Not here: GRO, packet sockets, generic XDP; sockets (nobody listens: the host answers echo, ARP, ND and errors).

import type { Kernel } from '../../driver/kernel.ts';
import type { NetNamespace } from '../../driver/net-namespace.ts';
import type {
  NetDevice,
  NetDeviceEvent,
  NetDeviceNotifier,
  RxHandler,
} from '../../driver/netdev.ts';
import { IFF_LOOPBACK } from '../../driver/netdev.ts';
import type { SkBuff } from '../../driver/skb.ts';
import { KernelDrop } from '../../driver/transmit.ts';
import type { TraceSink } from '../../hw/observer.ts';
import type { Scheduler } from '../../hw/time/scheduler.ts';
import { registerCoreConf } from './core-conf.ts';
import { Bridges } from './bridge/bridges.ts';
import { HOOK_POINT_PS, RECEIVE_CORE_PS, VLAN_PS } from './costs.ts';
import { AF_INET, AF_INET6 } from './ip/address.ts';
import { Addresses } from './ip/addresses.ts';
import { Arp } from './ip/arp.ts';
import { Defrag } from './ip/defrag.ts';
import { Fib } from './ip/fib.ts';
import type { Route } from './ip/fib.ts';
import { Icmp } from './ip/icmp.ts';
import { Ipv4Local } from './ip/ipv4-local.ts';
import { Ipv4Output } from './ip/ipv4-output.ts';
import { Ipv4Receive } from './ip/ipv4-receive.ts';
import { Ipv6Local } from './ip/ipv6-local.ts';
import { Ipv6Output } from './ip/ipv6-output.ts';
import { Ipv6Receive } from './ip/ipv6-receive.ts';
import { Nd } from './ip/nd.ts';
import { NeighbourTable } from './ip/neigh.ts';
import { askFibNotifiers, fibTablesOf } from './ip/fib-notify.ts';
import { RouteAdmin } from './ip/route-admin.ts';
import { Links } from './links.ts';
import { Monitors } from './monitors.ts';
import type { Namespaces } from './namespaces.ts';
import { HOOK_NAMES, NF_ACCEPT, NF_DROP, NF_STOLEN, NetfilterHooks } from './netfilter/hooks.ts';
import { STACK_DROPS, StackDrop } from './outcome.ts';
import type { StackObserver } from './outcome.ts';
import {
  ETH_P_8021Q,
  ETH_P_ARP,
  ETH_P_IP,
  ETH_P_IPV6,
  PACKET_BROADCAST,
  PACKET_HOST,
  PACKET_MULTICAST,
  PACKET_OTHERHOST,
} from './packet-types.ts';
import { Sysctl } from './sysctl.ts';
import { attachClassifier } from './tc/classify.ts';
import type { EgressHooks } from './tc/egress.ts';
import { TrafficControl } from './tc/control.ts';
import { TraceStep } from './trace-steps.ts';
import type { Datapaths } from './openvswitch/datapaths.ts';
import type { Tunnels } from './lwtunnel/tunnels.ts';
import type { TunDevice } from './tun/tun-device.ts';
import { pushVlanTag, takeVlanTag } from './vlan-tag.ts';
import { TunDriver } from './tun/tun-driver.ts';
import { tunLinkKind } from './tun/tun-link.ts';

const ETH_HEADER_BYTES = 14;
const VLAN_TAG_BYTES = 4;

const SILENT: StackObserver = {
  onForward: () => undefined,
  onLocal: () => undefined,
  onDrop: () => undefined,
};

export class NetStack implements RxHandler, NetDeviceNotifier {
  readonly kernel: Kernel;
  /** Its devices. */
  readonly net: NetNamespace;
  /** All namespaces of the machine; null while nobody asked for a second one. */
  namespaces: Namespaces | null = null;
  readonly scheduler: Scheduler;
  readonly hooks = new NetfilterHooks();
  readonly sysctl = new Sysctl();
  monitors = new Monitors();
  readonly fib = new Fib();
  readonly links: Links;
  readonly bridges: Bridges;
  readonly tc: TrafficControl;
  readonly addresses: Addresses;
  readonly routes: RouteAdmin;
  readonly neigh: NeighbourTable;
  readonly arp: Arp;
  readonly nd: Nd;
  readonly defrag: Defrag;
  readonly icmp: Icmp;
  readonly ipv4: Ipv4Receive;
  readonly ipv4Output: Ipv4Output;
  readonly ipv4Local: Ipv4Local;
  readonly ipv6: Ipv6Receive;
  readonly ipv6Output: Ipv6Output;
  readonly ipv6Local: Ipv6Local;
  /** /dev/net/tun. */
  readonly tun: TunDriver;
  /** Told after links, addresses and routes followed a device change (netfilter: NETDEV_DOWN). */
  readonly notifiers: NetDeviceNotifier[] = [];
  /** tc filters on the way out. */
  egress: EgressHooks | null = null;
  observer: StackObserver;
  trace: TraceSink | null = null;
  /** Open vSwitch datapaths; null while nobody has asked for one. */
  datapaths: Datapaths | null = null;
  /** Flow-based tunnel devices; null while there is none. */
  tunnels: Tunnels | null = null;
  /** What attachNetfilter() returned (src/stack/netfilter/index.ts); null without netfilter. */
  netfilter: object | null = null;

  /** Registers with the kernel: receive function, device notifier, fate of packets that the driver layer drops. */
  constructor(
    kernel: Kernel,
    observer: StackObserver = SILENT,
    net: NetNamespace = kernel.initNet,
  ) {
    this.kernel = kernel;
    this.net = net;
    this.scheduler = kernel.scheduler;
    this.observer = observer;
    this.links = new Links(kernel, this.sysctl, this.ipv6Switched, net);
    this.bridges = new Bridges(this);
    this.tc = new TrafficControl({
      scheduler: this.scheduler,
      deviceByName: (name) => this.links.byName(name),
      namespaceNumber: net.number,
    });
    this.addresses = new Addresses(this.fib, (dev) => this.links.conf(dev));
    this.routes = new RouteAdmin(this.fib, this.addresses, (family) => {
      return askFibNotifiers(kernel, family);
    });
    if (net === kernel.initNet) kernel.fib.tables = fibTablesOf(this.fib);
    this.neigh = new NeighbourTable(this);
    this.arp = new Arp(this);
    this.nd = new Nd(this);
    this.defrag = new Defrag(this);
    this.icmp = new Icmp(this);
    this.ipv4 = new Ipv4Receive(this);
    this.ipv4Output = new Ipv4Output(this);
    this.ipv4Local = new Ipv4Local(this);
    this.ipv6 = new Ipv6Receive(this);
    this.ipv6Output = new Ipv6Output(this);
    this.ipv6Local = new Ipv6Local(this);
    this.tun = new TunDriver(this);
    attachClassifier(this.tc, this);
    this.sysctl.register('net/ipv4/ip_forward', 0, (value) => {
      this.sysctl.set('net/ipv4/conf/all/forwarding', value === 0 ? '0' : '1');
    });
    if (net === kernel.initNet) {
      registerCoreConf(this.sysctl, kernel);
      kernel.onDrop = this.driverDropped;
    }
    net.rxHandler = this;
    kernel.register_netdevice_notifier(this, net);
    this.links.conf(this.links.lo);
    // As if it had been brought up at boot; in a new namespace lo is down.
    if (net === kernel.initNet) kernel.dev_open(this.links.lo);
    for (const dev of this.links.all())
      if (dev.isUp && dev !== this.links.lo) this.addresses.deviceUp(dev);
  }

  /** A RST to the sender of a TCP packet that is on its way through. */
  answerReset(skb: SkBuff, family: number): void {
    if (family === AF_INET6) this.ipv6Local.answerReset(skb);
    else this.ipv4Local.answerReset(skb);
  }

  /** RxHandler: a frame from a driver, skb.at at its MAC header. Takes the packet. */
  receive(skb: SkBuff, dev: NetDevice): void {
    this.kernel.charge(RECEIVE_CORE_PS);
    const { bytes } = skb;
    let macAt = skb.at;
    if (skb.lenBytes < ETH_HEADER_BYTES) {
      this.drop(skb, StackDrop.IP_INHDR);
      return;
    }
    let protocol = (bytes[macAt + 12] << 8) | bytes[macAt + 13];
    if (
      protocol === ETH_P_8021Q &&
      skb.vlanTci < 0 &&
      skb.lenBytes >= ETH_HEADER_BYTES + VLAN_TAG_BYTES
    ) {
      takeVlanTag(skb);
      macAt = skb.at;
      protocol = (bytes[macAt + 12] << 8) | bytes[macAt + 13];
    }
    skb.macAt = macAt;
    skb.protocol = protocol;
    skb.at = macAt + ETH_HEADER_BYTES;
    skb.networkAt = skb.at;
    skb.lenBytes -= ETH_HEADER_BYTES;
    skb.pktType = packetType(bytes, macAt, dev.mac);
    if (this.trace !== null) this.step(skb, TraceStep.RECEIVE, dev.ifindex, protocol, dev.name);
    this.deliver(skb, dev);
  }

  /** One round of __netif_receive_skb_core: ingress hooks, VLAN device, bridge, protocol handler. */
  deliver(skb: SkBuff, dev: NetDevice): void {
    skb.dev = dev;
    skb.iif = dev.ifindex;
    const { protocol } = skb;
    const family = protocol === ETH_P_IP ? AF_INET : protocol === ETH_P_IPV6 ? AF_INET6 : 0;
    const verdict = this.hooks.runIngress(skb, dev, family);
    if (verdict !== NF_ACCEPT) {
      if (verdict === NF_DROP) this.drop(skb, StackDrop.NETFILTER_DROP);
      return;
    }
    const vlanId = skb.vlanTci < 0 ? 0 : skb.vlanTci & 0xfff;
    const port = this.bridges.portOf(dev);
    const place = this.datapaths?.placeOf(dev) ?? null;
    const isPort = port !== null || place !== null;
    if (vlanId !== 0 && (!isPort || this.links.vlanFor(dev, vlanId) !== null)) {
      this.deliverVlan(skb, dev);
      return;
    }
    if (place !== null && place.vport.type !== 'internal') {
      this.datapaths?.receive(skb, place);
      return;
    }
    if (port !== null) {
      port.bridge.receive(skb, port);
      return;
    }
    this.deliverToHost(skb, dev);
  }

  /** The protocol handlers: what comes after VLAN devices and bridges. */
  deliverToHost(skb: SkBuff, dev: NetDevice): void {
    const { protocol } = skb;
    const family = protocol === ETH_P_IP ? AF_INET : protocol === ETH_P_IPV6 ? AF_INET6 : 0;
    skb.vlanTci = -1;
    if (family === AF_INET) this.ipv4.receive(skb, dev);
    else if (family === AF_INET6) this.ipv6.receive(skb, dev);
    else if (protocol === ETH_P_ARP) this.arp.receive(skb, dev);
    else this.drop(skb, StackDrop.UNHANDLED_PROTO);
  }

  private deliverVlan(skb: SkBuff, dev: NetDevice): void {
    this.kernel.charge(VLAN_PS);
    const vlanId = skb.vlanTci & 0xfff;
    const vlan = this.links.vlanFor(dev, vlanId);
    if (vlan === null || !vlan.dev.isUp) {
      this.drop(skb, vlan === null ? StackDrop.VLAN_UNKNOWN : StackDrop.DEV_DOWN);
      return;
    }
    skb.priority = skb.vlanTci >> 13;
    skb.vlanTci = -1;
    vlan.stats.rx_packets++;
    vlan.stats.rx_bytes += skb.lenBytes;
    if (skb.pktType === PACKET_MULTICAST) vlan.stats.multicast++;
    if (skb.pktType === PACKET_OTHERHOST)
      skb.pktType = packetType(skb.bytes, skb.macAt, vlan.dev.mac);
    if (this.trace !== null)
      this.step(skb, TraceStep.VLAN_RECEIVE, vlan.dev.ifindex, vlanId, vlan.dev.name);
    this.stackOf(vlan.dev).deliver(skb, vlan.dev);
  }

  /**
   * Runs the hooks of one point over a packet. True when it goes on; else it is gone: dropped here (NF_DROP) or taken by a hook
   * (NF_STOLEN).
   */
  passHook(
    family: number,
    hook: number,
    skb: SkBuff,
    inDev: NetDevice | null,
    outDev: NetDevice | null,
  ): boolean {
    if (!this.hooks.hasHooks(family, hook)) return true;
    this.kernel.charge(HOOK_POINT_PS);
    const verdict = this.hooks.run(family, hook, skb, inDev, outDev);
    // A packet that a hook took may be gone already: only its fate is told then.
    if (verdict === NF_STOLEN) return false;
    if (this.trace !== null) this.step(skb, TraceStep.HOOK, hook, verdict, HOOK_NAMES[hook]);
    if (verdict === NF_ACCEPT) return true;
    this.drop(skb, StackDrop.NETFILTER_DROP);
    return false;
  }

  /** Sends a frame (skb.at at its MAC header) through a device: VLAN devices add their tag. Takes the packet. */
  xmit(skb: SkBuff, dev: NetDevice): void {
    let out = dev;
    if (this.egress !== null && !this.egress.pass(skb, out)) return;
    for (let vlan = this.links.vlan(out); vlan !== null; vlan = this.links.vlan(out)) {
      this.kernel.charge(VLAN_PS);
      if (!out.isUp) {
        this.drop(skb, StackDrop.DEV_DOWN);
        return;
      }
      vlan.stats.tx_packets++;
      vlan.stats.tx_bytes += skb.lenBytes;
      pushVlanTag(skb, vlan.vlanId);
      out = vlan.lower;
      if (out.net !== this.net) {
        this.stackOf(out).xmit(skb, out);
        return;
      }
      if (this.egress !== null && !this.egress.pass(skb, out)) return;
    }
    if (this.trace !== null) this.step(skb, TraceStep.XMIT, out.ifindex, skb.lenBytes, out.name);
    if ((out.flags & IFF_LOOPBACK) !== 0) this.loopback(skb);
    else this.kernel.dev_queue_xmit(skb, out);
  }

  /** The stack of the namespace that a device is in. */
  private stackOf(dev: NetDevice): NetStack {
    return dev.net === this.net ? this : (this.namespaces?.stackOf(dev) ?? this);
  }

  /** Ends a packet: tells the observer about it and the packets merged into it, frees it. */
  drop(skb: SkBuff, reason: StackDrop): void {
    if (this.trace !== null) this.step(skb, TraceStep.DROP, reason, 0, STACK_DROPS[reason].name);
    if (skb.packetId >= 0) this.observer.onDrop(skb.packetId, reason);
    if (skb.mergedIds !== null)
      for (const id of skb.mergedIds) if (id >= 0) this.observer.onDrop(id, reason);
    this.release(skb);
  }

  /** Ends a packet that was for this host; `what` is a short fixed word. */
  consume(skb: SkBuff, what: string): void {
    if (this.trace !== null) this.step(skb, TraceStep.LOCAL, skb.protocol, 0, what);
    if (skb.packetId >= 0) this.observer.onLocal(skb.packetId, what);
    if (skb.mergedIds !== null)
      for (const id of skb.mergedIds) if (id >= 0) this.observer.onLocal(id, what);
    this.release(skb);
  }

  /** Frees a packet whose fate another packet carries on. */
  release(skb: SkBuff): void {
    this.kernel.free_skb(skb);
  }

  /** Writes a trace step for a packet when a trace is on. */
  step(skb: SkBuff, step: number, a: number, b: number, text = ''): void {
    this.trace?.step(skb.packetId, this.scheduler.nowPs, step, a, b, 0, text);
  }

  /** dst_link_failure: the next hop did not answer. The packet stays the caller's. */
  linkFailure(skb: SkBuff): void {
    const route = skb.dst as Route | null;
    // A route taken out of its table has left its packets without a network (dst_dev_put): recorded in timeouts.json.
    if (route === null || route.entry.removed) return;
    skb.networkAt = skb.at;
    if (skb.bytes[skb.at] >> 4 === 4) this.icmp.sendError4(skb, 3, 1, 0);
    else this.icmp.sendError6(skb, 1, 3, 0);
  }

  /** TunStack: a tun device was registered. */
  linkAdded(tun: TunDevice): void {
    this.links.setKind(
      tun.dev,
      tunLinkKind(tun, () => this.tun.remove(tun)),
    );
  }

  /** Runs `run` as a timer of the host at `atPs`. */
  timer(atPs: number, run: () => void): number {
    return this.kernel.mod_timer(atPs, run);
  }

  /** NetDeviceNotifier. */
  netdevEvent(dev: NetDevice, event: NetDeviceEvent): void {
    if (event === 'up') {
      this.links.everUp.add(dev.ifindex);
      this.addresses.deviceUp(dev);
      if (dev === this.links.lo) this.addLoopbackAddress();
    } else if (event === 'down') {
      for (const upper of this.links.vlansOn(dev)) this.kernel.dev_close(upper);
      this.addresses.deviceDown(dev);
      this.neigh.flushDevice(dev);
    } else if (event === 'address') this.neigh.flushDevice(dev);
    else if (event === 'mtu') this.clampVlans(dev);
    else if (event === 'unregister') this.deviceGone(dev);
    else for (const upper of this.links.vlansOn(dev)) upper.carrier = dev.carrier;
    this.bridges.netdevEvent(dev, event);
    this.datapaths?.netdevEvent(dev, event);
    this.fib.invalidate();
    for (const notifier of this.notifiers) notifier.netdevEvent(dev, event);
    if (event === 'unregister') this.links.forget(dev);
  }

  /** A device leaves the namespace: whatever stands on it, or was set up for it here, goes. */
  private deviceGone(dev: NetDevice): void {
    for (const upper of this.links.vlansOn(dev)) this.kernel.unregister_netdev(upper);
    this.addresses.flush(dev, AF_INET);
    this.addresses.flush(dev, AF_INET6);
    this.fib.flush(AF_INET, (e) => e.dev === dev);
    this.fib.flush(AF_INET6, (e) => e.dev === dev);
    this.neigh.flushDevice(dev);
    this.tc.deviceGone(dev);
  }

  private clampVlans(dev: NetDevice): void {
    for (const upper of this.links.vlansOn(dev))
      if (upper.mtuBytes > dev.mtuBytes) this.kernel.dev_set_mtu(upper, dev.mtuBytes);
  }

  /** inetdev_event: lo that comes up without address gets 127.0.0.1/8. */
  private addLoopbackAddress(): void {
    const { lo } = this.links;
    if (this.addresses.of(lo, AF_INET).length > 0) return;
    this.addresses.add({
      family: AF_INET,
      dev: lo,
      address: Uint8Array.of(127, 0, 0, 1),
      prefixLen: 8,
      scope: 254,
      broadcast: null,
      secondary: false,
      nodad: false,
      noPrefixRoute: false,
    });
  }

  /** A frame sent to lo comes back as received, in an event of its own (the backlog queue). */
  private loopback(skb: SkBuff): void {
    const { loStats, lo } = this.links;
    loStats.tx_packets++;
    loStats.rx_packets++;
    loStats.tx_bytes += skb.lenBytes;
    loStats.rx_bytes += skb.lenBytes;
    skb.dst = null;
    this.timer(this.scheduler.nowPs, () => this.receive(skb, lo));
  }

  private readonly ipv6Switched = (dev: NetDevice, off: boolean): void => {
    if (off) {
      this.addresses.flush(dev, AF_INET6);
      this.fib.flush(AF_INET6, (e) => e.dev === dev);
      for (const n of this.neigh.list())
        if (n.dev === dev && n.family === AF_INET6) this.neigh.remove(dev, n.address);
    } else if (dev.isUp) this.addresses.startIpv6(dev);
  };

  private readonly driverDropped = (skb: SkBuff, reason: KernelDrop): void => {
    const told = DRIVER_DROPS[reason];
    if (skb.packetId >= 0) this.observer.onDrop(skb.packetId, told);
    if (skb.mergedIds !== null)
      for (const id of skb.mergedIds) if (id >= 0) this.observer.onDrop(id, told);
    if (this.trace !== null) this.step(skb, TraceStep.DROP, told, 0, STACK_DROPS[told].name);
  };
}

/** The stack's reason for each of the driver layer's. */
export const DRIVER_DROPS: Readonly<Record<KernelDrop, StackDrop>> = {
  [KernelDrop.DEV_DOWN]: StackDrop.DEV_DOWN,
  [KernelDrop.QDISC_FULL]: StackDrop.QDISC_DROP,
  [KernelDrop.TX_ERROR]: StackDrop.TX_ERROR,
  [KernelDrop.NO_HANDLER]: StackDrop.UNHANDLED_PROTO,
  [KernelDrop.NOMEM]: StackDrop.NOMEM,
  [KernelDrop.RX_ERROR]: StackDrop.IP_INHDR,
  [KernelDrop.CPU_BACKLOG]: StackDrop.CPU_BACKLOG,
  [KernelDrop.RING_RESET]: StackDrop.RING_RESET,
  [KernelDrop.NO_WIRE]: StackDrop.NO_WIRE,
  [KernelDrop.RECURSION]: StackDrop.XMIT_RECURSION,
};

/** eth_type_trans: to us, to all, to a group, to another station. */
function packetType(bytes: Uint8Array, macAt: number, own: Uint8Array): number {
  if ((bytes[macAt] & 1) !== 0) {
    for (let i = 0; i < 6; i++) if (bytes[macAt + i] !== 0xff) return PACKET_MULTICAST;
    return PACKET_BROADCAST;
  }
  for (let i = 0; i < 6; i++) if (bytes[macAt + i] !== own[i]) return PACKET_OTHERHOST;
  return PACKET_HOST;
}
