// The device of a tunnel as the rest of the host sees it: a virtual Ethernet device with the counters of its kind, and the way of a packet
// that came out of the tunnel into the host (gro_cells: a softirq of its own).
//
// Left out: the limit of that softirq's queue, GRO, counters beyond rtnl_link_stats64's common part.

import type { LinkStats64 } from '../../../driver/netdev.ts';
import { NETDEV_TX_OK, NetDevice, zeroStats64 } from '../../../driver/netdev.ts';
import type { SkBuff } from '../../../driver/skb.ts';
import { PS_PER_NS } from '../../../hw/time/units.ts';
import type { NetStack } from '../net-stack.ts';
import { StackDrop } from '../outcome.ts';
import { ecnDecapsulate } from './inner-packet.ts';
import type { TunnelInfo } from './tunnel-info.ts';
import { scrub } from './underlay.ts';

const ETH_HEADER_BYTES = 14;
/** Headers written or read, and the route cache (an L3 hit of 17.45 ns, hardware.md 5.2); 60 ns in all, assumed. */
const TUNNEL_PS = 60 * PS_PER_NS;

/** What a kind of tunnel does with its device. */
export interface TunnelHooks {
  /** 0 or −errno. */
  open(): number;
  stop(): void;
  /** Takes a frame, skb.at at its MAC header. */
  transmit(skb: SkBuff): void;
  /** Most that `ip link set mtu` may ask for where maxMtuBytes does not say it. */
  readonly mostMtuBytes: number;
}

export class TunnelLink {
  readonly dev: NetDevice;
  readonly stats: LinkStats64 = zeroStats64();
  /** Namespace of the outer packets. */
  readonly stack: NetStack;

  constructor(stack: NetStack, name: string, mac: Uint8Array, hooks: TunnelHooks) {
    this.stack = stack;
    this.dev = new NetDevice(name, {
      ndo_open: () => hooks.open(),
      ndo_stop: () => {
        hooks.stop();
        return 0;
      },
      ndo_start_xmit: (skb) => {
        stack.kernel.charge(TUNNEL_PS);
        hooks.transmit(skb);
        return NETDEV_TX_OK;
      },
      ndo_set_mac_address: (dev, address) => {
        dev.mac.set(address);
        return 0;
      },
      ndo_change_mtu: (dev, mtuBytes) => {
        dev.mtuBytes = Math.min(mtuBytes, hooks.mostMtuBytes);
        return 0;
      },
      ndo_get_stats64: (_dev, out) => {
        Object.assign(out, this.stats);
      },
    });
    this.dev.mac.set(mac);
    this.dev.noQueue = true;
    this.dev.carrier = true;
    this.dev.reportsCarrier = false;
  }

  /** Counts a frame that leaves: without its MAC header, as iptunnel_xmit does. */
  countSent(skb: SkBuff): void {
    this.stats.tx_packets++;
    this.stats.tx_bytes += skb.lenBytes - ETH_HEADER_BYTES;
  }

  /** Ends a frame that does not leave. */
  refuse(skb: SkBuff, reason: StackDrop, counter: 'tx_errors' | 'tx_dropped'): void {
    this.stats[counter]++;
    this.stack.drop(skb, reason);
  }

  /**
   * A frame came out of the tunnel: it stands at [innerAt, end) of the packet. `checksOwn`: one with this device's own address as
   * source is dropped. Takes the packet.
   */
  receive(
    skb: SkBuff,
    innerAt: number,
    end: number,
    info: TunnelInfo,
    counts: { checksOwn: boolean; macBytes: number },
  ): void {
    const { stack, stats, dev } = this;
    const { bytes } = skb;
    stack.kernel.charge(TUNNEL_PS);
    if (end - innerAt < ETH_HEADER_BYTES) {
      stack.drop(skb, StackDrop.TUNNEL_HEADER);
      return;
    }
    if (counts.checksOwn && dev.mac.every((byte, i) => bytes[innerAt + 6 + i] === byte)) {
      stats.rx_errors++;
      stack.drop(skb, StackDrop.TUNNEL_LOOP);
      return;
    }
    const protocol = (bytes[innerAt + 12] << 8) | bytes[innerAt + 13];
    if (!ecnDecapsulate(info.tos, bytes, innerAt + ETH_HEADER_BYTES, protocol)) {
      stats.rx_errors++;
      stack.drop(skb, StackDrop.TUNNEL_ECN);
      return;
    }
    if (!dev.isUp) {
      stats.rx_dropped++;
      stack.drop(skb, StackDrop.DEV_DOWN);
      return;
    }
    scrub(skb, dev.net !== stack.net);
    skb.hash = 0;
    skb.queueMapping = 0;
    skb.at = innerAt;
    skb.lenBytes = end - innerAt;
    skb.macAt = innerAt;
    stats.rx_packets++;
    stats.rx_bytes += skb.lenBytes - ETH_HEADER_BYTES + counts.macBytes;
    this.deliver(skb, info);
  }

  /** An answer to a frame that was too long for the tunnel: received here. */
  answer(skb: SkBuff, info: TunnelInfo): void {
    const { stats } = this;
    stats.rx_packets++;
    stats.rx_bytes += skb.lenBytes - ETH_HEADER_BYTES;
    this.deliver(skb, info);
  }

  private deliver(skb: SkBuff, info: TunnelInfo): void {
    const { kernel } = this.stack;
    skb.tunnelInfo = info;
    kernel.mod_timer(kernel.scheduler.nowPs, () => {
      kernel.memory.setOwner(kernel.iovaOf(skb.at), skb.packetId);
      kernel.netif_receive_skb(skb, this.dev);
    });
  }
}
