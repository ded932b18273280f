// The driver's private structure for one PCI function, and what several functions of one card share.

import type { Kernel } from '../kernel.ts';
import { Mmio } from '../mmio.ts';
import type { PciDev } from '../mmio.ts';
import type { Napi } from '../napi.ts';
import type { NetDevice, NetDeviceOps } from '../netdev.ts';
import type { EthtoolRxFlowSpec } from '../ethtool.ts';
import type { NetFeatures } from '../features.ts';
import { AdminQueue } from './admin-queue.ts';
import { Arfs } from './arfs.ts';
import { FlowDirectorDriver } from './fdir.ts';
import type { FlowTable } from './flow.ts';
import { HardwareStats } from './hw-stats.ts';
import type { AdaptiveInterval } from './moderation.ts';
import type { RxQueueStats, TxQueueStats } from './queue-stats.ts';
import { RssDriver } from './rss.ts';
import type { RxRing } from './rx.ts';
import type { TxRing } from './tx.ts';

export const DRIVER_NAME = 'twin';
export const DRIVER_VERSION = '1.0';

/** Ring sizes that the driver takes: from `min` to `max` descriptors, a multiple of `step` (0: a power of two). */
export interface RingLimits {
  min: number;
  max: number;
  step: number;
}

/** ixgbe's: IXGBE_MIN_RXD, IXGBE_MAX_RXD, IXGBE_REQ_RX_DESCRIPTOR_MULTIPLE (hw 4.1). */
export const IXGBE_RING_LIMITS: RingLimits = { min: 64, max: 4096, step: 8 };

/** Module parameters. */
export interface TwinOptions {
  /** Interface name, may hold %d; default 'eth%d'. */
  name?: string;
  /** Queue pairs, at most what the device has; default: the smaller of its queues and the cores. */
  queues?: number;
  /** Descriptors per ring, within `ringLimits`; default 512 (ixgbe). */
  rxSlots?: number;
  txSlots?: number;
  /** What `ethtool -G` can ask for; default ixgbe's. */
  ringLimits?: RingLimits;
  /** Interrupt interval per vector, µs; 0 for none; default 50 (ixgbe's IXGBE_20K_ITR). */
  interruptIntervalUs?: number;
  /** Adaptive moderation (moderation.ts); default off: a run is then easier to reason about. */
  adaptiveRx?: boolean;
  /** Largest MTU; default 9710 (ixgbe). Captures of GSO frames need more, up to 65,517. */
  maxMtuBytes?: number;
  /** Hash UDP ports for RSS too; default false, as in ixgbe. */
  rssUdp?: boolean;
  /** ATR: every n-th TCP packet sent teaches the device where its flow's packets go; default 0, off (ixgbe's is 20). */
  atrSampleRate?: number;
  /** Flow Director's share of the packet buffer: 1, 2 or 3 (2046, 4094 or 8190 ntuple rules); default 1, as ixgbe. */
  fdirPballoc?: number;
  /** An admin command that takes longer has failed, ps; default 1 s. */
  adminTimeoutPs?: number;
  /** First core for interrupts: vector q goes to core firstCpu + q; default 0. */
  firstCpu?: number;
  /** Entry points in place of this driver's own: a driver that is this one but for them. */
  ops?: Partial<NetDeviceOps>;
  /** Offload features in place of this driver's own: how a device of another name announces itself. */
  initFeatures?: (features: NetFeatures) => void;
}

/** One function (port) of a device. */
export class TwinAdapter {
  readonly kernel: Kernel;
  readonly pdev: PciDev;
  readonly bar0: Mmio;
  readonly bar2: Mmio;
  readonly rxRings: RxRing[] = [];
  readonly txRings: TxRing[] = [];
  readonly napis: Napi[] = [];
  readonly rxStats: RxQueueStats[] = [];
  readonly txStats: TxQueueStats[] = [];

  queueCount = 1;
  /** Queue pairs that device and vectors allow. */
  maxQueueCount = 1;
  rxSlots = 512;
  txSlots = 512;
  ringLimits = IXGBE_RING_LIMITS;
  interruptIntervalUs = 50;
  /** Adaptive interval per vector; empty when moderation does not adapt (setInterval). */
  readonly adaptive: AdaptiveInterval[] = [];
  /** `ethtool -C adaptive-rx`: the interval follows the traffic instead of `interruptIntervalUs`. */
  adaptiveRx = false;
  atrSampleRate = 0;
  /** 802.3x flow control: obey pause frames, send them (`ethtool -A`). */
  rxPause = false;
  txPause = false;
  firstCpu = 0;
  /** The address that the EEPROM gave. */
  readonly permAddr = new Uint8Array(6);
  /** Port of the device that this function drives. */
  portIndex = 0;
  /** The card has a flow table. */
  hasFlowTable = true;
  /** Line rate of the port, Mb/s. */
  speedMbps = 10_000;
  /** Rings are live. */
  running = false;
  /** Resets since probe. */
  resetCount = 0;

  readonly dev: NetDevice;
  readonly admin: AdminQueue;
  /** The card's flow table: shared with its other functions. */
  readonly flows: FlowTable;
  readonly stats: HardwareStats;
  readonly rss: RssDriver;
  readonly fdir: FlowDirectorDriver;
  /** Rules of `ethtool -N` by location. */
  readonly ntuple = new Map<number, EthtoolRxFlowSpec>();
  readonly arfs: Arfs;

  constructor(kernel: Kernel, pdev: PciDev, dev: NetDevice, flows: FlowTable, timeoutPs: number) {
    this.kernel = kernel;
    this.pdev = pdev;
    this.dev = dev;
    this.flows = flows;
    this.bar0 = new Mmio(pdev.bar0, kernel, kernel.costs);
    this.bar2 = new Mmio(pdev.bar2, kernel, kernel.costs);
    this.admin = new AdminQueue(kernel, this.bar2, timeoutPs);
    this.stats = new HardwareStats(this.bar0);
    this.rss = new RssDriver(this.bar0);
    this.fdir = new FlowDirectorDriver(kernel, this.bar0);
    this.arfs = new Arfs(this);
  }
}

/** The adapter behind a network device of this driver, null for another driver's. */
export function twinAdapter(dev: NetDevice): TwinAdapter | null {
  return dev.priv instanceof TwinAdapter ? dev.priv : null;
}

/** The adapter behind a device that is known to be this driver's. */
export function adapterOf(dev: NetDevice): TwinAdapter {
  return dev.priv as TwinAdapter;
}

/** 'domain:bus:device' without the function: names the card. */
export function switchId(pdev: PciDev): string {
  return pdev.busInfo.replace(/\.[0-9]+$/, '');
}
