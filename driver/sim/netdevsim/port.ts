// A port of netdevsim: a network device without a wire. What it is given to send is counted and ends there; nothing ever arrives.
// Its settings are kept and answered, and change nothing (drivers/net/netdevsim/netdev.c of Linux 6.1).
//
// Left out: virtual functions, IPsec, XDP and BPF, MACsec, the debugfs files but for those in netdevsim-files.ts of the commands.

import { IFF_MULTICAST, IFF_NOARP, NETDEV_TX_OK } from '../../netdev.ts';
import type { NetDevice, NetDeviceOps } from '../../netdev.ts';
import type { Kernel } from '../../kernel.ts';
import { KernelDrop } from '../../transmit.ts';
import { NsimSettings, nsimEthtoolOps } from './ethtool.ts';
import { NETDEVSIM_TC_OPS } from './tc.ts';

/** ETH_MAX_MTU. */
const MTU_MAX_BYTES = 65535;

export interface NsimPort {
  dev: NetDevice;
  index: number;
  settings: NsimSettings;
}

/** What a port is made with. */
export interface NsimPortOptions {
  name: string;
  index: number;
  queues: number;
  parentDev: string;
  switchId: string;
  mac: Uint8Array;
  /** 0: the next free one. */
  ifindex: number;
}

/** Makes and registers a port's device: the port, or −errno. */
export function addNsimPort(kernel: Kernel, options: NsimPortOptions): NsimPort | number {
  const { queues, index } = options;
  let sentPackets = 0;
  let sentBytes = 0;
  const ops: NetDeviceOps = {
    ...NETDEVSIM_TC_OPS,
    ndo_open: () => 0,
    ndo_stop: () => 0,
    ndo_start_xmit(skb) {
      sentPackets++;
      sentBytes += skb.lenBytes;
      kernel.kfree_skb_reason(skb, KernelDrop.NO_WIRE);
      return NETDEV_TX_OK;
    },
    ndo_set_mac_address(dev, mac) {
      dev.mac.set(mac);
      return 0;
    },
    ndo_get_stats64(_dev, stats) {
      stats.tx_packets = sentPackets;
      stats.tx_bytes = sentBytes;
    },
  };
  const dev = kernel.alloc_netdev(options.name, ops, queues, queues);
  const settings = new NsimSettings(queues);
  dev.ifindex = options.ifindex;
  dev.mac.set(options.mac);
  dev.flags = (dev.flags | IFF_NOARP) & ~IFF_MULTICAST;
  dev.maxMtuBytes = MTU_MAX_BYTES;
  dev.noQueue = true;
  dev.reportsCarrier = false;
  dev.identity = {
    parentBus: 'netdevsim',
    parentDev: options.parentDev,
    physPortName: `p${index + 1}`,
    physSwitchId: options.switchId,
  };
  dev.ethtoolOps = nsimEthtoolOps(settings);
  initFeatures(dev);
  const error = kernel.register_netdev(dev);
  return error === 0 ? { dev, index, settings } : error;
}

/** What netdevsim sets itself, its IPsec part, and the core's. */
function initFeatures(dev: NetDevice): void {
  dev.features.init(
    [
      ...(['highdma', 'tx-scatter-gather', 'tx-scatter-gather-fraglist'] as const),
      ...(['tx-checksum-ip-generic', 'tx-tcp-segmentation'] as const),
      ...(['esp-hw-offload', 'esp-tx-csum-hw-offload', 'tx-esp-segmentation'] as const),
      'rx-udp_tunnel-port-offload',
    ],
    ['hw-tc-offload', 'rx-udp_tunnel-port-offload'],
  );
  dev.features.addCoreFeatures();
}
