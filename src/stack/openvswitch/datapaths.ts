// The datapaths of a network namespace and their ports (net/openvswitch/datapath.c, vport*.c; spec A.6): making and deleting them with
// the kernel's refusals, and the way between devices and datapaths.
//
// Left out: upcall pids by CPU, receive headroom (section B), tunnel ports that the datapath makes itself (userspace adds a device).

import { EBUSY, EEXIST, EFBIG, EINVAL, ENODEV } from '../../../driver/errno.ts';
import type { NetDevice, NetDeviceEvent } from '../../../driver/netdev.ts';
import { IFF_LOOPBACK, IFF_PROMISC } from '../../../driver/netdev.ts';
import type { SkBuff } from '../../../driver/skb.ts';
import { PS_PER_S } from '../../../hw/time/units.ts';
import type { Links } from '../links.ts';
import { toMacHeader } from '../mac-header.ts';
import type { TunnelInfo } from '../lwtunnel/tunnel-info.ts';
import type { Netfilter } from '../netfilter/index.ts';
import { ConnectionTracking } from './ct-execute.ts';
import type { Reassembly } from './ct-execute.ts';
import { CtLimits } from './ct-limits.ts';
import { Datapath } from './datapath.ts';
import type { DatapathStack, VportSender } from './datapath.ts';
import type { DpPacket } from './dp-packet.ts';
import { tagIntoFrame } from './dp-packet.ts';
import { ETH_P_IPV6 } from './flow-key.ts';
import { INTERNAL_KIND, InternalDev } from './internal-dev.ts';
import { DP_MAX_PORTS, OVSP_LOCAL } from './uapi.ts';
import type { Vport, VportType } from './vport.ts';

/** DP_MASKS_REBALANCE_INTERVAL. */
const REBALANCE_PS = 4 * PS_PER_S;

/** What datapaths need of the stack around them. */
export interface DatapathsStack extends DatapathStack {
  readonly links: Links;
  readonly defrag: Reassembly;
  readonly ipv4Output: Fragmenter;
  readonly ipv6Output: Fragmenter;
  readonly tunnels: TunnelFiller | null;
  timer(atPs: number, run: () => void): number;
}

/** Says what a packet would be sent with through a tunnel's device. */
interface TunnelFiller {
  fill(skb: SkBuff, dev: NetDevice): TunnelInfo | null;
}

/** Cuts packets into fragments. */
interface Fragmenter {
  cut(skb: SkBuff, mtuBytes: number, send: (piece: SkBuff) => void): void;
}

interface Place {
  readonly datapath: Datapath;
  readonly vport: Vport;
}

export class Datapaths implements VportSender {
  readonly ctLimits: CtLimits;
  private readonly stack: DatapathsStack;
  private readonly ct: ConnectionTracking;
  private readonly seed: number;
  private readonly byName = new Map<string, Datapath>();
  private readonly places = new Map<NetDevice, Place>();
  private readonly internals = new Map<NetDevice, InternalDev>();

  constructor(stack: DatapathsStack, netfilter: Netfilter) {
    this.stack = stack;
    this.seed = netfilter.seed;
    this.ctLimits = new CtLimits(netfilter.conntrack);
    this.ct = new ConnectionTracking(
      netfilter.conntrack,
      netfilter.nat,
      stack.defrag,
      this.ctLimits,
    );
  }

  /** Where frames of a device go, null for a device that is no port. */
  placeOf(dev: NetDevice): Place | null {
    return this.places.size === 0 ? null : (this.places.get(dev) ?? null);
  }

  get(name: string): Datapath | null {
    return this.byName.get(name) ?? null;
  }

  list(): Datapath[] {
    return [...this.byName.values()];
  }

  /** A frame that came in on a port's device (skb.at at the network header). Takes it. */
  receive(skb: SkBuff, { datapath, vport }: Place): void {
    datapath.receive(toMacHeader(skb), vport);
  }

  /** OVS_DP_CMD_NEW: 0 or −errno. */
  add(name: string, mac: Uint8Array): number {
    if (this.byName.has(name) || this.stack.links.byName(name) !== null) return -EEXIST;
    const datapath = new Datapath(name, this.stack, this, this.ct, this.seed);
    this.byName.set(name, datapath);
    const error = this.addInternal(datapath, name, OVSP_LOCAL, mac);
    if (error !== 0) this.byName.delete(name);
    else if (this.byName.size === 1) this.rebalanceLater();
    return error;
  }

  /** OVS_DP_CMD_DEL: with its internal ports' devices. */
  remove(name: string): number {
    const datapath = this.byName.get(name);
    if (datapath === undefined) return -ENODEV;
    this.byName.delete(name);
    for (const vport of [...datapath.ports.values()]) this.detach(datapath, vport);
    datapath.table.flush();
    return 0;
  }

  /** OVS_VPORT_CMD_NEW of an internal port; `number` −1: the lowest free one. */
  addInternal(datapath: Datapath, name: string, number: number, mac: Uint8Array): number {
    const chosen = this.chooseNumber(datapath, number);
    if (chosen < 0) return chosen;
    const { stack } = this;
    const internal = new InternalDev(stack.kernel, name, mac, (skb) => {
      const place = this.places.get(internal.dev);
      skb.macAt = skb.at;
      skb.tunnelInfo = null;
      if (place !== undefined) place.datapath.receive(skb, place.vport);
      else stack.release(skb);
    });
    const error = stack.kernel.register_netdev(internal.dev, stack.links.net);
    if (error !== 0) return error;
    stack.links.setKind(internal.dev, INTERNAL_KIND);
    this.internals.set(internal.dev, internal);
    this.attach(datapath, internal.dev, 'internal', chosen);
    return 0;
  }

  /** OVS_VPORT_CMD_NEW of a device. */
  addDevice(datapath: Datapath, dev: NetDevice, number: number): number {
    const isBad = (dev.flags & IFF_LOOPBACK) !== 0 || this.internals.has(dev);
    if (isBad) return -EINVAL;
    if (this.places.has(dev)) return -EBUSY;
    const chosen = this.chooseNumber(datapath, number);
    if (chosen < 0) return chosen;
    this.attach(datapath, dev, 'netdev', chosen);
    this.stack.kernel.dev_change_rx_flags(dev, IFF_PROMISC, 0);
    return 0;
  }

  /** OVS_VPORT_CMD_DEL. */
  removePort(datapath: Datapath, number: number): number {
    const vport = datapath.ports.get(number);
    if (vport === undefined) return -ENODEV;
    if (number === OVSP_LOCAL) return -EINVAL;
    this.detach(datapath, vport);
    return 0;
  }

  /** A device of the namespace changed: one that goes leaves its datapath. */
  netdevEvent(dev: NetDevice, event: NetDeviceEvent): void {
    const place = this.placeOf(dev);
    if (place !== null && event === 'unregister') {
      this.places.delete(dev);
      place.datapath.ports.delete(place.vport.number);
    }
  }

  /** VportSender: internal ports. */
  send(packet: DpPacket, vport: Vport): boolean {
    const internal = this.internals.get(vport.dev);
    if (internal === undefined) return false;
    tagIntoFrame(packet);
    packet.skb.macAt = packet.skb.at;
    internal.receive(packet.skb);
    return true;
  }

  /** VportSender, ovs_fragment: each fragment gets the link-layer header that the whole packet has. */
  sendFragments(packet: DpPacket, vport: Vport): void {
    tagIntoFrame(packet);
    const { skb } = packet;
    const networkAt = packet.networkAt;
    const header = skb.bytes.slice(skb.at, networkAt);
    const isSix = ((skb.bytes[networkAt - 2] << 8) | skb.bytes[networkAt - 1]) === ETH_P_IPV6;
    skb.lenBytes -= header.length;
    skb.at = networkAt;
    skb.networkAt = networkAt;
    const fragmenter = isSix ? this.stack.ipv6Output : this.stack.ipv4Output;
    fragmenter.cut(skb, packet.mru, (piece) => {
      piece.at -= header.length;
      piece.bytes.set(header, piece.at);
      piece.macAt = piece.at;
      piece.lenBytes += header.length;
      const internal = this.internals.get(vport.dev);
      if (internal !== undefined) internal.receive(piece);
      else this.stack.xmit(piece, vport.dev);
    });
  }

  /** VportSender. */
  egressTunnel({ skb }: DpPacket, { dev }: Vport): TunnelInfo | null {
    return this.stack.tunnels?.fill(skb, dev) ?? null;
  }

  private chooseNumber(datapath: Datapath, number: number): number {
    if (number < 0) return datapath.freePort();
    if (number >= DP_MAX_PORTS) return -EFBIG;
    return datapath.ports.has(number) ? -EBUSY : number;
  }

  private attach(datapath: Datapath, dev: NetDevice, type: VportType, number: number): void {
    const wasPromisc = dev.flags & IFF_PROMISC;
    const vport: Vport = { number, dev, type, upcallPid: 0, wasPromisc };
    datapath.ports.set(number, vport);
    this.places.set(dev, { datapath, vport });
  }

  private detach(datapath: Datapath, vport: Vport): void {
    const { dev, number, wasPromisc } = vport;
    datapath.ports.delete(number);
    this.places.delete(dev);
    if (this.internals.delete(dev)) this.stack.kernel.unregister_netdev(dev);
    else this.stack.kernel.dev_change_rx_flags(dev, 0, IFF_PROMISC & ~wasPromisc);
  }

  private rebalanceLater(): void {
    const { stack } = this;
    stack.timer(stack.kernel.scheduler.nowPs + REBALANCE_PS, () => {
      for (const { table } of this.byName.values()) table.rebalance();
      if (this.byName.size > 0) this.rebalanceLater();
    });
  }
}
