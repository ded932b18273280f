// The internal port's device (net/openvswitch/vport-internal_dev.c): what the host sends into it goes into the datapath, what the datapath
// sends out of it the host receives.

import type { Kernel } from '../../../driver/kernel.ts';
import type { LinkStats64 } from '../../../driver/netdev.ts';
import { NETDEV_TX_OK, NetDevice, zeroStats64 } from '../../../driver/netdev.ts';
import type { SkBuff } from '../../../driver/skb.ts';
import { KernelDrop } from '../../../driver/transmit.ts';
import type { LinkKind } from '../link-kind.ts';
import { refuse } from '../answer.ts';
import { EOPNOTSUPP } from '../../../driver/errno.ts';

export class InternalDev {
  readonly dev: NetDevice;
  readonly stats: LinkStats64 = zeroStats64();
  private readonly kernel: Kernel;

  /** `send` takes what the host transmits, skb.at at the MAC header. */
  constructor(kernel: Kernel, name: string, mac: Uint8Array, send: (skb: SkBuff) => void) {
    this.kernel = kernel;
    this.dev = new NetDevice(name, {
      ndo_open: (dev) => {
        kernel.netif_carrier_on(dev);
        return 0;
      },
      ndo_stop: () => 0,
      ndo_start_xmit: (skb) => {
        this.stats.tx_packets++;
        this.stats.tx_bytes += skb.lenBytes;
        send(skb);
        return NETDEV_TX_OK;
      },
      ndo_set_mac_address: (dev, address) => {
        dev.mac.set(address);
        return 0;
      },
      ndo_get_stats64: (_dev, out) => {
        Object.assign(out, this.stats);
      },
    });
    this.dev.mac.set(mac);
    this.dev.maxMtuBytes = 65535;
    this.dev.noQueue = true;
    this.dev.reportsCarrier = false;
    this.dev.carrier = true;
  }

  /** internal_dev_recv: to the host, in a softirq of its own; dropped while the device is down. */
  receive(skb: SkBuff): void {
    const { kernel, dev, stats } = this;
    if (!dev.isUp) {
      stats.rx_dropped++;
      kernel.kfree_skb_reason(skb, KernelDrop.DEV_DOWN);
      return;
    }
    skb.dst = null;
    skb.tunnelInfo = null;
    skb.nfct = null;
    skb.ctinfo = 0;
    stats.rx_packets++;
    stats.rx_bytes += skb.lenBytes;
    kernel.mod_timer(kernel.scheduler.nowPs, () => {
      kernel.memory.setOwner(kernel.iovaOf(skb.at), skb.packetId);
      kernel.netif_receive_skb(skb, dev);
    });
  }
}

/** `openvswitch` in `ip -d link`: such a device cannot be deleted by `ip link`. */
export const INTERNAL_KIND: LinkKind = {
  kind: 'openvswitch',
  linkType: 'ether',
  netnsLocal: true,
  text: () => 'openvswitch ',
  json: () => null,
  remove: () => refuse(EOPNOTSUPP, 'Operation not supported', 'link-kind'),
};
