// The driver's private structure for one PCI function, and what several functions of one card share.

import type { Kernel } from '../kernel.ts';
import { Mmio } from '../mmio.ts';
import type { PciDev } from '../mmio.ts';
import type { Napi } from '../napi.ts';
import type { NetDevice, NetDeviceOps } from '../netdev.ts';
import { AdminQueue } from './admin-queue.ts';
import type { FlowTable } from './flow.ts';
import { HardwareStats } from './hw-stats.ts';
import type { AdaptiveInterval } from './moderation.ts';
import type { RxQueueStats, TxQueueStats } from './queue-stats.ts';
import type { RxRing } from './rx.ts';
import type { TxRing } from './tx.ts';

export const DRIVER_NAME = 'twin';
export const DRIVER_VERSION = '1.0';

/** The Microsoft verification key (spec/hardware.md 2.1): the default here, so that published vectors apply. */
export const DEFAULT_RSS_KEY: readonly number[] = [
  0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0,
  0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c,
  0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
];

/** Module parameters. */
export interface TwinOptions {
  /** Interface name, may hold %d; default 'eth%d'. */
  name?: string;
  /** Queue pairs, at most what the device has; default: the smaller of its queues and the cores. */
  queues?: number;
  /** Descriptors per ring, 64 to 4096 in steps of 8; default 512 (ixgbe). */
  rxSlots?: number;
  txSlots?: number;
  /** Interrupt interval per vector, µs; 0 for none; default 50 (ixgbe's IXGBE_20K_ITR). */
  interruptIntervalUs?: number;
  /** Adaptive moderation (moderation.ts); default off: a run is then easier to reason about. */
  adaptiveRx?: boolean;
  /** Largest MTU; default 9710 (ixgbe). Captures of GSO frames need more, up to 65,517. */
  maxMtuBytes?: number;
  /** Hash UDP ports for RSS too; default false, as in ixgbe. */
  rssUdp?: boolean;
  /** An admin command that takes longer has failed, ps; default 1 s. */
  adminTimeoutPs?: number;
  /** First core for interrupts: vector q goes to core firstCpu + q; default 0. */
  firstCpu?: number;
  /** Entry points in place of this driver's own: a driver that is this one but for them. */
  ops?: Partial<NetDeviceOps>;
}

/** One function (port) of a device. */
export class TwinAdapter {
  readonly kernel: Kernel;
  readonly pdev: PciDev;
  readonly bar0: Mmio;
  readonly bar2: Mmio;
  readonly rssKey = new Uint8Array(DEFAULT_RSS_KEY);
  /** Redirection table: receive queue per low hash bits. */
  readonly reta = new Uint8Array(128);
  readonly rxRings: RxRing[] = [];
  readonly txRings: TxRing[] = [];
  readonly napis: Napi[] = [];
  readonly rxStats: RxQueueStats[] = [];
  readonly txStats: TxQueueStats[] = [];

  queueCount = 1;
  rxSlots = 512;
  txSlots = 512;
  interruptIntervalUs = 50;
  /** Adaptive interval per vector; empty when moderation does not adapt (setAdaptiveRx). */
  readonly adaptive: AdaptiveInterval[] = [];
  adaptiveRx = false;
  rssUdp = false;
  firstCpu = 0;
  /** Port of the device that this function drives. */
  portIndex = 0;
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

  constructor(kernel: Kernel, pdev: PciDev, dev: NetDevice, flows: FlowTable, timeoutPs: number) {
    this.kernel = kernel;
    this.pdev = pdev;
    this.dev = dev;
    this.flows = flows;
    this.bar0 = new Mmio(pdev.bar0, kernel, kernel.costs);
    this.bar2 = new Mmio(pdev.bar2, kernel, kernel.costs);
    this.admin = new AdminQueue(kernel, this.bar2, timeoutPs);
    this.stats = new HardwareStats(this.bar0);
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
