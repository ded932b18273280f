// A veth pair (drivers/net/veth.c): two devices, what is sent into one is received by the other, in another namespace if it was
// moved there. Carrier is on while both are up.
//
// A packet crosses in a softirq of its own, as netif_rx lets it: it waits in the peer's backlog (net.core.netdev_max_backlog,
// 1,000) until the current step is over. It sheds what belongs to its old namespace: route, connection, and in another one its mark
// (skb_scrub_packet). Left out: XDP, GRO on the way, several queues, checksums that are not computed on the way.

import type { Kernel } from '../../driver/kernel.ts';
import type { LinkStats64, NetDeviceOps } from '../../driver/netdev.ts';
import { NETDEV_TX_OK, NetDevice, zeroStats64 } from '../../driver/netdev.ts';
import type { SkBuff } from '../../driver/skb.ts';
import { KernelDrop } from '../../driver/transmit.ts';
import { PS_PER_NS } from '../../hw/time/units.ts';
import { OK } from './answer.ts';
import type { Answer } from './answer.ts';
import type { LinkKind } from './link-kind.ts';
import type { Links } from './links.ts';

/** Packets that wait for the softirq at most (netdev_max_backlog). */
const BACKLOG_PACKETS = 1000;
/** Through the pair: veth_xmit and the backlog's NAPI, two hops through the receive core at 20 ns (costs.ts); assumed. */
const VETH_PS = 40 * PS_PER_NS;
/** Ethernet header, and room for a VLAN tag that is_skb_forwardable grants. */
const HEADER_BYTES = 14 + 4;

/** One device of a pair. */
interface VethEnd {
  readonly dev: NetDevice;
  readonly stats: LinkStats64;
  /** Packets that have been sent to it and wait for the softirq. */
  readonly backlog: SkBuff[];
  armed: boolean;
}

export class VethPair {
  private readonly kernel: Kernel;
  private readonly ends: readonly [VethEnd, VethEnd];

  constructor(kernel: Kernel, names: readonly [string, string]) {
    this.kernel = kernel;
    this.ends = [this.makeEnd(names[0], 0), this.makeEnd(names[1], 1)];
  }

  /** The device of an end (0: as named first, 1: the peer). */
  dev(index: number): NetDevice {
    return this.ends[index].dev;
  }

  /** Registers both, the peer first, each in the namespace of its `links`; −errno of the first that was refused, and then neither is. */
  register(links: readonly [Links, Links]): number {
    for (const index of [1, 0]) {
      const { dev } = this.ends[index];
      const error = this.kernel.register_netdev(dev, links[index].net);
      if (error !== 0) {
        if (index === 0) this.kernel.unregister_netdev(this.ends[1].dev);
        return error;
      }
      links[index].setKind(dev, this.kindOf(index));
    }
    return 0;
  }

  private makeEnd(name: string, index: number): VethEnd {
    const stats = zeroStats64();
    const queues = this.kernel.cores.length;
    const dev = new NetDevice(name, this.opsOf(index, stats), queues, queues);
    dev.maxMtuBytes = 65535;
    dev.noQueue = true;
    return { dev, stats, backlog: [], armed: false };
  }

  private opsOf(index: number, stats: LinkStats64): NetDeviceOps {
    return {
      ndo_open: () => {
        this.setCarrier(this.ends[1 - index].dev.isUp);
        return 0;
      },
      ndo_stop: () => {
        this.setCarrier(false);
        this.purge(this.ends[index]);
        return 0;
      },
      ndo_start_xmit: (skb) => {
        this.cross(skb, this.ends[index], this.ends[1 - index]);
        return NETDEV_TX_OK;
      },
      ndo_set_mac_address: (dev, mac) => {
        dev.mac.set(mac);
        return 0;
      },
      ndo_get_stats64: (_dev, out) => {
        Object.assign(out, stats);
      },
    };
  }

  private kindOf(index: number): LinkKind {
    return {
      kind: 'veth',
      linkType: 'ether',
      text: () => 'veth ',
      json: () => null,
      remove: () => this.remove(),
      peer: () => this.ends[1 - index].dev,
    };
  }

  /** `ip link del` of either: both go. */
  private remove(): Answer {
    for (const { dev } of this.ends) this.kernel.unregister_netdev(dev);
    return OK;
  }

  private setCarrier(on: boolean): void {
    for (const { dev } of this.ends)
      if (on) this.kernel.netif_carrier_on(dev);
      else this.kernel.netif_carrier_off(dev);
  }

  private cross(skb: SkBuff, from: VethEnd, to: VethEnd): void {
    const { kernel } = this;
    kernel.charge(VETH_PS);
    if (!to.dev.isUp || skb.lenBytes > to.dev.mtuBytes + HEADER_BYTES) {
      this.drop(skb, from, KernelDrop.DEV_DOWN);
      return;
    }
    if (to.backlog.length >= BACKLOG_PACKETS) {
      this.drop(skb, from, KernelDrop.CPU_BACKLOG);
      return;
    }
    from.stats.tx_packets++;
    from.stats.tx_bytes += skb.lenBytes;
    scrub(skb, from.dev.net !== to.dev.net);
    to.backlog.push(skb);
    if (to.armed) return;
    to.armed = true;
    kernel.mod_timer(kernel.scheduler.nowPs, () => {
      to.armed = false;
      this.receive(to);
    });
  }

  private receive(end: VethEnd): void {
    const { kernel } = this;
    // What its own processing sends back here waits for the next round.
    for (let left = end.backlog.length; left > 0 && end.backlog.length > 0; left--) {
      const skb = end.backlog.shift() as SkBuff;
      end.stats.rx_packets++;
      end.stats.rx_bytes += skb.lenBytes;
      kernel.memory.setOwner(kernel.iovaOf(skb.at), skb.packetId);
      kernel.netif_receive_skb(skb, end.dev);
    }
  }

  private purge(end: VethEnd): void {
    for (const skb of end.backlog.splice(0)) this.kernel.kfree_skb_reason(skb, KernelDrop.DEV_DOWN);
  }

  private drop(skb: SkBuff, from: VethEnd, reason: KernelDrop): void {
    from.stats.tx_dropped++;
    this.kernel.kfree_skb_reason(skb, reason);
  }
}

/** skb_scrub_packet: takes off what the packet got in the namespace that it leaves. */
function scrub(skb: SkBuff, otherNamespace: boolean): void {
  skb.dst = null;
  skb.tunnelInfo = null;
  skb.nfct = null;
  skb.ctinfo = 0;
  skb.vlanTci = -1;
  skb.transportAt = 0;
  skb.fragMaxBytes = 0;
  skb.fragSizes = null;
  skb.priority = 0;
  if (otherNamespace) skb.mark = 0;
}
