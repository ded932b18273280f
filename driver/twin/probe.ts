// Binding the reference driver to a PCI function: reset, MAC address, vectors, admin queue, network device.
//
// Two vectors stay for as long as the driver is bound (link, admin queue); the queues' come with ndo_open.
// `twinReinit` is what a transmit time-out or `devlink dev reload` leads to: the function is reset, its flow entries are
// gone, rings and admin queue start anew.

import { DRIVER_NAME, TwinAdapter, adapterOf, switchId, twinAdapter } from './adapter.ts';
import type { TwinOptions } from './adapter.ts';
import { registerTwinDevlink, unregisterTwinDevlink } from './devlink.ts';
import { TWIN_ETHTOOL_OPS } from './ethtool.ts';
import { FlowTable } from './flow.ts';
import { filtersOf } from './flower.ts';
import {
  adminVector,
  configureInterrupts,
  linkVector,
  readMacAddress,
  resetHardware,
  writeMacAddress,
} from './hardware.ts';
import {
  TWIN_OPS,
  enableAdminInterrupt,
  setTwinFeatures,
  twinDown,
  twinUp,
  updateLink,
} from './netdev-ops.ts';
import { RxQueueStats, TxQueueStats } from './queue-stats.ts';
import { EIO, ENODEV } from '../errno.ts';
import type { FeatureName } from '../features.ts';
import type { Kernel } from '../kernel.ts';
import type { PciDev } from '../mmio.ts';
import type { NetDevice } from '../netdev.ts';
import { ADM_CAP_FLOW_ENTRIES, ADM_CAP_PORTS, ADM_LINK_MBPS } from '../../hw/admin/format.ts';
import * as R from '../../hw/regs.ts';

/** Transmit and receive queues that a device is announced with, unless it can have more. */
const QUEUES_ANNOUNCED = 16;
/** Vectors: 64, two of them for link and admin queue. */
const QUEUES_MAX = 62;
const ADMIN_TIMEOUT_PS = 1e12;
/** What the driver does for the stack, and what of it a user can switch. */
const FEATURES_ON: readonly FeatureName[] = [
  ...(['highdma', 'tx-vlan-hw-insert', 'rx-vlan-hw-parse', 'rx-hashing', 'rx-checksum'] as const),
  'hw-tc-offload',
];
const FEATURES_SWITCHABLE: readonly FeatureName[] = [
  ...(['rx-vlan-hw-parse', 'rx-ntuple-filter', 'rx-hashing', 'rx-checksum'] as const),
  'hw-tc-offload',
];

/** What probe answers: the registered device, or a negative errno. */
export interface ProbeResult {
  dev: NetDevice | null;
  error: number;
}

/** Flow table of the card that the function belongs to, when another function of it is bound already. */
function sharedFlowTable(kernel: Kernel, pdev: PciDev): FlowTable | null {
  for (const dev of kernel.netdevs()) {
    const other = twinAdapter(dev);
    if (other !== null && switchId(other.pdev) === switchId(pdev)) return other.flows;
  }
  return null;
}

/** Queue pairs that a device with these capabilities can have. */
function queuesOf(caps: number): number {
  const deviceQueues = (caps >>> 16) & 0xff;
  const vectors = caps >>> 24;
  return Math.max(Math.min(deviceQueues, vectors - 2, QUEUES_MAX), 1);
}

function readCapabilities(adapter: TwinAdapter, options: TwinOptions): void {
  const caps = adapter.bar2.read32(ADM_CAP_PORTS);
  adapter.portIndex = (caps >>> 8) & 0xff;
  adapter.hasFlowTable = adapter.bar2.read32(ADM_CAP_FLOW_ENTRIES) > 0;
  adapter.speedMbps = adapter.bar2.read32(ADM_LINK_MBPS);
  const wanted = options.queues ?? adapter.kernel.cores.length;
  adapter.maxQueueCount = queuesOf(caps);
  adapter.queueCount = Math.max(Math.min(wanted, adapter.maxQueueCount), 1);
}

function applyOptions(adapter: TwinAdapter, options: TwinOptions): void {
  adapter.rxSlots = options.rxSlots ?? adapter.rxSlots;
  adapter.txSlots = options.txSlots ?? adapter.txSlots;
  adapter.ringLimits = options.ringLimits ?? adapter.ringLimits;
  adapter.interruptIntervalUs = options.interruptIntervalUs ?? adapter.interruptIntervalUs;
  adapter.adaptiveRx = options.adaptiveRx ?? adapter.adaptiveRx;
  adapter.rss.udp4 = options.rssUdp ?? false;
  adapter.rss.udp6 = options.rssUdp ?? false;
  adapter.atrSampleRate = options.atrSampleRate ?? adapter.atrSampleRate;
  adapter.fdir.pballoc = options.fdirPballoc ?? adapter.fdir.pballoc;
  adapter.firstCpu = options.firstCpu ?? 0;
  const { dev } = adapter;
  dev.maxMtuBytes = options.maxMtuBytes ?? dev.maxMtuBytes;
  dev.realNumTxQueues = adapter.queueCount;
  dev.realNumRxQueues = adapter.queueCount;
  for (let q = 0; q < adapter.maxQueueCount; q++) {
    adapter.rxStats.push(new RxQueueStats());
    adapter.txStats.push(new TxQueueStats());
  }
}

function requestMiscIrqs(adapter: TwinAdapter): void {
  const { kernel, pdev, firstCpu } = adapter;
  const onLink = (): void => {
    adapter.bar0.read32(R.EICR);
    updateLink(adapter);
    if (adapter.running) adapter.bar0.write32(R.EIMS, R.EICR_LSC);
  };
  const onAdmin = (): void => {
    adapter.admin.harvest();
    enableAdminInterrupt(adapter);
  };
  kernel.request_irq(pdev.functionIndex, linkVector(adapter), onLink, firstCpu);
  kernel.request_irq(pdev.functionIndex, adminVector(adapter), onAdmin, firstCpu);
}

/** Resets the function and starts the admin queue. */
function startFunction(adapter: TwinAdapter): number {
  const error = resetHardware(adapter);
  if (error !== 0) return error;
  configureInterrupts(adapter);
  const started = adapter.admin.start(adminVector(adapter));
  if (started === 0) enableAdminInterrupt(adapter);
  return started;
}

/** Binds the driver to a function: on success the device is registered, down, without carrier. */
export function twinProbe(kernel: Kernel, pdev: PciDev, options: TwinOptions = {}): ProbeResult {
  if (pdev.bar0.read32(R.STATUS) === 0xffffffff) return { dev: null, error: -ENODEV };
  const flows = sharedFlowTable(kernel, pdev) ?? new FlowTable();
  const ops = options.ops === undefined ? TWIN_OPS : { ...TWIN_OPS, ...options.ops };
  const announced = Math.max(queuesOf(pdev.bar2.read32(ADM_CAP_PORTS)), QUEUES_ANNOUNCED);
  const dev = kernel.alloc_netdev(options.name ?? 'eth%d', ops, announced, announced);
  const timeoutPs = options.adminTimeoutPs ?? ADMIN_TIMEOUT_PS;
  const adapter = new TwinAdapter(kernel, pdev, dev, flows, timeoutPs);
  dev.priv = adapter;
  dev.ethtoolOps = TWIN_ETHTOOL_OPS;
  readCapabilities(adapter, options);
  applyOptions(adapter, options);
  adapter.rss.probe(adapter.queueCount);
  if (options.initFeatures !== undefined) options.initFeatures(dev.features);
  else dev.features.init(FEATURES_ON, FEATURES_SWITCHABLE);
  dev.features.apply = (next) => setTwinFeatures(adapter, next);
  let error = startFunction(adapter);
  if (error === 0) {
    readMacAddress(adapter, dev.mac);
    adapter.permAddr.set(dev.mac);
    if (dev.mac.every((byte) => byte === 0)) error = -EIO;
  }
  if (error === 0) {
    kernel.netif_carrier_off(dev);
    error = kernel.register_netdev(dev);
  }
  if (error !== 0) {
    kernel.printk(`${DRIVER_NAME} ${pdev.busInfo}: probe failed with error ${error}`);
    adapter.admin.free();
    return { dev: null, error };
  }
  requestMiscIrqs(adapter);
  registerTwinDevlink(dev, twinReinit);
  kernel.printk(`${DRIVER_NAME} ${pdev.busInfo} ${dev.name}: ${adapter.queueCount} queue pairs`);
  return { dev, error: 0 };
}

/** Unbinds: closes and unregisters the device, removes its flows with a reset, frees everything. */
export function twinRemove(dev: NetDevice): void {
  const adapter = adapterOf(dev);
  const { kernel, pdev } = adapter;
  unregisterTwinDevlink(dev);
  kernel.unregister_netdev(dev);
  adapter.flows.forget(adapter);
  adapter.admin.stop();
  resetHardware(adapter);
  kernel.free_irq(pdev.functionIndex, linkVector(adapter));
  kernel.free_irq(pdev.functionIndex, adminVector(adapter));
  adapter.admin.free();
}

/** Resets the function and brings it up as it was; 0 or −errno (then the device stays without rings). */
export function twinReinit(dev: NetDevice): number {
  const adapter = adapterOf(dev);
  const wasRunning = adapter.running;
  twinDown(adapter);
  adapter.flows.forget(adapter);
  adapter.fdir.mode = 'off';
  adapter.admin.abort();
  const error = startFunction(adapter);
  if (error !== 0) return error;
  writeMacAddress(adapter, dev.mac);
  filtersOf(adapter).restore(adapter);
  if (!wasRunning) return 0;
  const up = twinUp(adapter);
  if (up === 0) TWIN_OPS.ndo_set_rx_mode?.(dev);
  return up;
}
