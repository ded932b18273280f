// The network device as the kernel and a driver author see it: net_device, its ops table and ethtool ops, with Linux's
// names. What is not here: qdiscs other than a pfifo in front of each queue, VLAN/bridge uppers (src/stack), XDP.
//
// Contract (spec D): a missing op is answered EOPNOTSUPP before any argument check; the core validates the ranges that
// it knows, the driver the rest. Control-plane ops return 0 or a negative errno and explain themselves in `extack`.

import type { NapiDeferral } from './napi.ts';
import type { EthtoolOps } from './ethtool.ts';
import { NetFeatures } from './features.ts';
import type { DevState, NetNamespace } from './net-namespace.ts';
import type { SkBuff } from './skb.ts';
import type { TcSetupData, TcSetupType } from './flow-block.ts';
import type { XpsMaps } from './xps.ts';
import type { FlowOffload, FlowOffloadType, FlowStats } from './flow-offload.ts';

/** NETDEV_TX_OK: the driver owns the packet now, also when it dropped and counted it. */
export const NETDEV_TX_OK = 0;
/** NETDEV_TX_BUSY: not taken; the core requeues it. */
export const NETDEV_TX_BUSY = 0x10;

/** if.h flags. */
export const IFF_UP = 0x1;
export const IFF_BROADCAST = 0x2;
export const IFF_LOOPBACK = 0x8;
export const IFF_POINTOPOINT = 0x10;
export const IFF_RUNNING = 0x40;
export const IFF_NOARP = 0x80;
export const IFF_PROMISC = 0x100;
export const IFF_ALLMULTI = 0x200;
export const IFF_MULTICAST = 0x1000;

/** Where an op leaves the message for the user and the reason for programs. */
export interface ExtAck {
  /** One sentence that names what did not fit; '' when nothing was said. */
  message: string;
  /** Machine-readable reason from the driver's documented list, '' for none. */
  reason: string;
}

/** rtnl_link_stats64, the part in use. */
export interface LinkStats64 {
  rx_packets: number;
  tx_packets: number;
  rx_bytes: number;
  tx_bytes: number;
  rx_errors: number;
  tx_errors: number;
  rx_dropped: number;
  tx_dropped: number;
  multicast: number;
  rx_missed_errors: number;
  rx_length_errors: number;
  rx_crc_errors: number;
}

/** All counters zero. */
export function zeroStats64(): LinkStats64 {
  return {
    rx_packets: 0,
    tx_packets: 0,
    rx_bytes: 0,
    tx_bytes: 0,
    rx_errors: 0,
    tx_errors: 0,
    rx_dropped: 0,
    tx_dropped: 0,
    multicast: 0,
    rx_missed_errors: 0,
    rx_length_errors: 0,
    rx_crc_errors: 0,
  };
}

/** Driver entry points, named as in Linux. All run in softirq or process context of the simulated host. */
export interface NetDeviceOps {
  ndo_open(dev: NetDevice): number;
  ndo_stop(dev: NetDevice): number;
  /** Must not keep a reference after NETDEV_TX_BUSY; frees the packet when its transmission completed. */
  ndo_start_xmit(skb: SkBuff, dev: NetDevice): number;
  ndo_select_queue?(dev: NetDevice, skb: SkBuff): number;
  /**
   * Asks the device to deliver a flow to another receive queue: the filter's id (below 0xffff) or −errno. In softirq: must not
   * sleep. `flowId` is what `rps_may_expire_flow` wants back.
   */
  ndo_rx_flow_steer?(dev: NetDevice, skb: SkBuff, rxQueue: number, flowId: number): number;
  ndo_set_rx_mode?(dev: NetDevice): void;
  ndo_set_mac_address?(dev: NetDevice, mac: Uint8Array): number;
  ndo_change_mtu?(dev: NetDevice, mtuBytes: number): number;
  /** Told before txqueuelen changes; may refuse (Linux tells drivers by NETDEV_CHANGE_TX_QUEUE_LEN). */
  ndo_change_tx_queue_len?(dev: NetDevice, length: number): number;
  ndo_get_stats64?(dev: NetDevice, stats: LinkStats64): void;
  /**
   * Adds, deletes or reads a flow in the device's flow table. May sleep: the answer comes through `done` (0 or −errno),
   * at once or later in simulated time. STATS fills `stats` with deltas since the last call before calling `done`.
   */
  ndo_flow_offload?(
    dev: NetDevice,
    type: FlowOffloadType,
    flow: FlowOffload,
    extack: ExtAck,
    done: (error: number) => void,
    stats?: FlowStats,
  ): void;
  /**
   * Today's form of offloading: binds tc blocks (TC_SETUP_BLOCK) and flowtables (TC_SETUP_FT) to the driver's callbacks
   * (flow-block.ts). 0, or −EOPNOTSUPP for a type that the driver does not know. Synchronous: the callbacks may sleep.
   */
  ndo_setup_tc?(dev: NetDevice, type: TcSetupType, data: TcSetupData): number;
}

/** Receives what a driver passes up (`netif_receive_skb`); set by the stack. */
export interface RxHandler {
  receive(skb: SkBuff, dev: NetDevice): void;
}

/** NETDEV_UP, NETDEV_DOWN, carrier, MTU, address; 'unregister': it leaves this namespace (or the machine), down already. */
export type NetDeviceEvent = 'up' | 'down' | 'carrier' | 'mtu' | 'address' | 'unregister';

/** Told of changes of the devices of a namespace; set by the stack. */
export interface NetDeviceNotifier {
  netdevEvent(dev: NetDevice, event: NetDeviceEvent): void;
}

/** Where a device sits and what its hardware calls it, as `ip -d link` shows it. */
export interface DeviceIdentity {
  parentBus: string;
  parentDev: string;
  physPortName: string;
  /** Hexadecimal. */
  physSwitchId: string;
}

/** One network device. Created by `alloc_netdev`, announced by `register_netdev` (kernel.ts). */
export class NetDevice {
  ifindex = 0;
  mtuBytes = 1500;
  minMtuBytes = 68;
  /** 0: the device says itself what it can take. */
  maxMtuBytes = 9710;
  /** IFF_* bits. IFF_RUNNING follows the carrier while up. */
  flags = IFF_BROADCAST | IFF_MULTICAST;
  readonly mac = new Uint8Array(6);
  realNumTxQueues = 1;
  realNumRxQueues = 1;
  /** Bit per TX queue that the driver stopped. */
  readonly txStopped: Uint8Array;
  carrier = false;
  /** false: the driver never says whether there is a carrier (operstate UNKNOWN while up). */
  reportsCarrier = true;
  /** IFF_NO_QUEUE: no queueing discipline in front of it unless somebody asks for one. */
  noQueue = false;
  identity: DeviceIdentity | null = null;
  txqueuelen = 1000;
  ethtoolOps: EthtoolOps | null = null;
  /** napi_defer_hard_irqs and gro_flush_timeout of /sys/class/net/DEV. */
  readonly napiDeferral: NapiDeferral = { napiDeferHardIrqs: 0, groFlushTimeoutPs: 0 };
  readonly features = new NetFeatures();
  /** IFF_RXFH_CONFIGURED: the indirection table is a user's. */
  rxfhConfigured = false;
  /** Receive queue of each CPU (rx_cpu_rmap), null when the driver has none. */
  rxCpuRmap: readonly number[] | null = null;
  /** Transmit packet steering, null while nothing is set. */
  xps: XpsMaps | null = null;
  /** The driver's private structure. */
  priv: unknown = null;
  /** Namespace that it is in, and what the core keeps of it; null while it is not registered. */
  net: NetNamespace | null = null;
  state: DevState | null = null;

  name: string;
  readonly ops: NetDeviceOps;
  readonly numTxQueues: number;
  readonly numRxQueues: number;

  constructor(name: string, ops: NetDeviceOps, numTxQueues = 1, numRxQueues = 1) {
    this.name = name;
    this.ops = ops;
    this.numTxQueues = numTxQueues;
    this.numRxQueues = numRxQueues;
    this.txStopped = new Uint8Array(numTxQueues);
  }

  /** NETIF_F_HW_TC: `ethtool -K DEV hw-tc-offload`. */
  get hwTcOffload(): boolean {
    return this.features.has('hw-tc-offload');
  }

  /** IFF_UP is set. */
  get isUp(): boolean {
    return (this.flags & IFF_UP) !== 0;
  }
}
