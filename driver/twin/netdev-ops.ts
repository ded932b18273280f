// net_device_ops of the reference driver: open and stop, transmit, MTU, address, receive filters, statistics.

import { adapterOf } from './adapter.ts';
import { AtrSampler } from './atr.ts';
import type { TwinAdapter } from './adapter.ts';
import { twinFlowOffload } from './flow-hook.ts';
import {
  adminVector,
  configureInterrupts,
  configureUnits,
  disableQueueVectors,
  disableRings,
  enableQueueVectors,
  enableRxRing,
  enableTxRing,
  enableVector,
  maxFrameBytes,
  writeMacAddress,
} from './hardware.ts';
import { adaptInterval } from './interval.ts';
import { RxRing, rxBufferFor } from './rx.ts';
import { twinSetupTc } from './tc-setup.ts';
import { TxRing } from './tx.ts';
import { ENOMEM } from '../errno.ts';
import type { FeatureName } from '../features.ts';
import type { NapiPoller } from '../napi.ts';
import { IFF_ALLMULTI, IFF_PROMISC } from '../netdev.ts';
import type { LinkStats64, NetDevice, NetDeviceOps } from '../netdev.ts';
import type { SkBuff } from '../skb.ts';
import {
  Opcode,
  PORT_FLOW_ENABLE,
  PORT_INDEX,
  PORT_MTU,
  PORT_VALID,
} from '../../hw/admin/format.ts';
import { DESCRIPTOR_BYTES } from '../../hw/dma/descriptor.ts';
import * as R from '../../hw/regs.ts';

/** NAPI of one queue pair: reclaims transmit, then harvests receive (as ixgbe_poll). */
class QueuePoller implements NapiPoller {
  private readonly adapter: TwinAdapter;
  private readonly queue: number;

  constructor(adapter: TwinAdapter, queue: number) {
    this.adapter = adapter;
    this.queue = queue;
  }

  poll(budget: number): number {
    const { adapter, queue } = this;
    const txDone = adapter.txRings[queue].clean();
    const work = adapter.rxRings[queue].harvest(budget);
    if (!txDone || work >= budget) return budget;
    if (adapter.kernel.napi_complete_done(adapter.napis[queue], work)) {
      if (adapter.adaptiveRx) adaptInterval(adapter, queue);
      enableVector(adapter, queue);
    }
    return work;
  }
}

function freeRings(adapter: TwinAdapter): void {
  for (const ring of adapter.rxRings) ring.close();
  for (const ring of adapter.txRings) ring.close();
  adapter.rxRings.length = 0;
  adapter.txRings.length = 0;
}

function allocateRings(adapter: TwinAdapter): number {
  const { kernel, dev, bar0 } = adapter;
  const { bufferClass } = rxBufferFor(maxFrameBytes(dev.mtuBytes) + 4);
  for (let q = 0; q < adapter.queueCount; q++) {
    const rx = kernel.dma_alloc_coherent(adapter.rxSlots * DESCRIPTOR_BYTES);
    if (rx !== null) {
      const stats = adapter.rxStats[q];
      const slots = adapter.rxSlots;
      adapter.rxRings.push(new RxRing(kernel, dev, bar0, q, slots, rx, bufferClass, stats));
    }
    const tx = kernel.dma_alloc_coherent(adapter.txSlots * DESCRIPTOR_BYTES);
    if (tx !== null) {
      const stats = adapter.txStats[q];
      adapter.txRings.push(new TxRing(kernel, dev, bar0, q, adapter.txSlots, tx, stats));
    }
    if (rx === null || tx === null) return -ENOMEM;
  }
  return 0;
}

function startRings(adapter: TwinAdapter): number {
  const { bar0 } = adapter;
  for (const ring of adapter.txRings) {
    const error = enableTxRing(adapter, ring);
    if (error !== 0) return error;
  }
  for (const ring of adapter.rxRings) {
    const error = enableRxRing(adapter, ring);
    if (error !== 0) return error;
    const empty = ring.start();
    if (empty !== 0) return empty;
  }
  bar0.write32(R.RXCTRL, bar0.read32(R.RXCTRL) | R.RXCTRL_RXEN);
  return 0;
}

/** Perfect filters when ntuple is on, else signatures when ATR is on and there are queues to choose from, else nothing. */
function startFlowDirector(adapter: TwinAdapter): number {
  const { dev, fdir, atrSampleRate } = adapter;
  const hasNtuple = dev.features.has('rx-ntuple-filter');
  const hasAtr = !hasNtuple && atrSampleRate > 0 && adapter.queueCount > 1;
  for (const ring of adapter.txRings)
    ring.atr = hasAtr ? new AtrSampler(fdir, atrSampleRate, ring.queue) : null;
  for (const ring of adapter.rxRings) applyRxFeatures(adapter, ring);
  return fdir.start(hasNtuple ? 'perfect' : hasAtr ? 'signature' : 'off');
}

/** What `ethtool -K` says about received packets. */
function applyRxFeatures(adapter: TwinAdapter, ring: RxRing): void {
  ring.hasHash = adapter.dev.features.has('rx-hashing');
  ring.hasChecksums = adapter.dev.features.has('rx-checksum');
}

/** `ethtool -K`: what the device does itself is switched at once, Flow Director's mode with a restart (as ixgbe does). */
export function setTwinFeatures(adapter: TwinAdapter, next: ReadonlySet<FeatureName>): number {
  const { dev, fdir } = adapter;
  const { features } = dev;
  const changes = (name: FeatureName): boolean => next.has(name) !== features.has(name);
  const restarts = changes('rx-ntuple-filter') || changes('rx-vlan-hw-parse');
  if (changes('rx-ntuple-filter') && !next.has('rx-ntuple-filter')) adapter.arfs.removeAll();
  // The rings and Flow Director are set up by what `features` says: it has to say the new state first.
  const old = new Set(features.active);
  for (const name of old) if (!next.has(name)) features.active.delete(name);
  for (const name of next) features.active.add(name);
  if (!adapter.running) return 0;
  for (const ring of adapter.rxRings) applyRxFeatures(adapter, ring);
  if (!restarts) return 0;
  twinDown(adapter);
  const error = twinUp(adapter);
  if (error === 0) return 0;
  for (const name of next) if (!old.has(name)) features.active.delete(name);
  for (const name of old) features.active.add(name);
  fdir.mode = 'off';
  twinUp(adapter);
  return error;
}

/** Tells the pipeline the port's MTU and switches its table stages on or off. */
export function setPort(adapter: TwinAdapter): void {
  const { dev } = adapter;
  adapter.admin.submit(
    Opcode.PORT_SET,
    (view, at) => {
      view.setUint32(at + PORT_INDEX, adapter.portIndex, true);
      view.setUint32(at + PORT_VALID, 3, true);
      view.setUint32(at + PORT_FLOW_ENABLE, dev.hwTcOffload ? 1 : 0, true);
      view.setUint32(at + PORT_MTU, dev.mtuBytes, true);
    },
    () => undefined,
  );
}

/** Brings the rings and interrupts up; undone on failure. */
export function twinUp(adapter: TwinAdapter): number {
  const { kernel, dev, bar0, pdev } = adapter;
  let error = allocateRings(adapter);
  if (error === 0) {
    configureUnits(adapter);
    adapter.rss.program();
    configureInterrupts(adapter);
    error = startFlowDirector(adapter);
    if (error === 0) error = startRings(adapter);
  }
  if (error !== 0) {
    disableRings(adapter);
    freeRings(adapter);
    return error;
  }
  for (let q = 0; q < adapter.queueCount; q++) {
    const poller = new QueuePoller(adapter, q);
    const napi = kernel.netif_napi_add(`${dev.name}-${q}`, poller, undefined, dev.napiDeferral);
    adapter.napis[q] = napi;
    adapter.rxRings[q].kick = () => {
      kernel.napi_schedule(napi);
    };
    const schedule = (): void => {
      kernel.napi_schedule(napi);
    };
    kernel.request_irq(pdev.functionIndex, q, schedule, adapter.firstCpu + q);
    kernel.napi_enable(napi);
  }
  dev.rxCpuRmap = kernel.cores.map((core) => {
    const queue =
      (core.index - (adapter.firstCpu % kernel.cores.length) + kernel.cores.length) %
      kernel.cores.length;
    return queue < adapter.queueCount ? queue : -1;
  });
  adapter.running = true;
  setPort(adapter);
  kernel.netif_tx_start_all_queues(dev);
  enableQueueVectors(adapter);
  bar0.write32(R.EIMS, R.EICR_LSC);
  updateLink(adapter);
  return 0;
}

/** Takes interrupts and rings down. The admin queue stays: flows are removed after a port went down. */
export function twinDown(adapter: TwinAdapter): void {
  if (!adapter.running) return;
  const { kernel, dev, bar0, pdev } = adapter;
  adapter.running = false;
  bar0.write32(R.EIMC, R.EICR_LSC);
  disableQueueVectors(adapter);
  dev.txStopped.fill(1);
  for (let q = 0; q < adapter.queueCount; q++) {
    kernel.napi_disable(adapter.napis[q]);
    kernel.free_irq(pdev.functionIndex, q);
  }
  disableRings(adapter);
  freeRings(adapter);
  kernel.netif_carrier_off(dev);
}

/** Reads LINKS and tells the core. */
export function updateLink(adapter: TwinAdapter): void {
  const up = (adapter.bar0.read32(R.LINKS) & R.LINKS_UP) !== 0;
  if (up && adapter.running) adapter.kernel.netif_carrier_on(adapter.dev);
  else adapter.kernel.netif_carrier_off(adapter.dev);
}

/** The two vectors that stay while the function is bound: link and admin queue. */
export function enableAdminInterrupt(adapter: TwinAdapter): void {
  enableVector(adapter, adminVector(adapter));
}

export const TWIN_OPS: NetDeviceOps = {
  ndo_open(dev: NetDevice): number {
    return twinUp(adapterOf(dev));
  },

  ndo_stop(dev: NetDevice): number {
    twinDown(adapterOf(dev));
    return 0;
  },

  ndo_start_xmit(skb: SkBuff, dev: NetDevice): number {
    return (dev.priv as TwinAdapter).txRings[skb.queueMapping].xmit(skb);
  },

  ndo_rx_flow_steer(dev: NetDevice, skb: SkBuff, rxQueue: number, flowId: number): number {
    return adapterOf(dev).arfs.steer(skb, rxQueue, flowId);
  },

  ndo_set_rx_mode(dev: NetDevice): void {
    const { bar0 } = adapterOf(dev);
    // ixgbe: broadcasts always; unicast and multicast promiscuity by flags. Multicast addresses are not listed
    // by the stack here, so all multicast is let through (a filter of ours would need ndo_set_rx_mode's lists).
    let fctrl = bar0.read32(R.FCTRL) & ~(R.FCTRL_UPE | R.FCTRL_MPE);
    fctrl |= R.FCTRL_BAM | R.FCTRL_MPE;
    if ((dev.flags & (IFF_PROMISC | IFF_ALLMULTI)) !== 0) fctrl |= R.FCTRL_MPE;
    if ((dev.flags & IFF_PROMISC) !== 0) fctrl |= R.FCTRL_UPE;
    bar0.write32(R.FCTRL, fctrl >>> 0);
  },

  ndo_set_mac_address(dev: NetDevice, mac: Uint8Array): number {
    dev.mac.set(mac.subarray(0, 6));
    writeMacAddress(adapterOf(dev), dev.mac);
    return 0;
  },

  ndo_change_mtu(dev: NetDevice, mtuBytes: number): number {
    const adapter = adapterOf(dev);
    const oldBytes = dev.mtuBytes;
    dev.mtuBytes = mtuBytes;
    if (!adapter.running) return 0;
    twinDown(adapter);
    const error = twinUp(adapter);
    if (error === 0) return 0;
    dev.mtuBytes = oldBytes;
    twinUp(adapter);
    return error;
  },

  ndo_get_stats64(dev: NetDevice, stats: LinkStats64): void {
    fillStats(adapterOf(dev), stats);
  },

  ndo_flow_offload: twinFlowOffload,
  ndo_setup_tc: twinSetupTc,
};

/** Software counts of packets and bytes (as ixgbe: the rings'), hardware counts of errors. */
export function fillStats(adapter: TwinAdapter, stats: LinkStats64): void {
  const hw = adapter.stats;
  hw.update(adapter.queueCount);
  for (const rx of adapter.rxStats) {
    stats.rx_packets += rx.packets;
    stats.rx_bytes += rx.bytes;
    stats.rx_errors += rx.errors;
    stats.rx_dropped += rx.drops;
  }
  for (const tx of adapter.txStats) {
    stats.tx_packets += tx.packets;
    stats.tx_bytes += tx.bytes;
    stats.tx_dropped += tx.drops;
  }
  stats.rx_errors += hw.rxCrcErrors + hw.rxTooLong + hw.rxTooShort;
  stats.rx_dropped += hw.rxNoDescriptor;
  stats.multicast = hw.multicast;
  stats.rx_missed_errors = hw.rxMissed;
  stats.rx_length_errors = hw.rxTooLong + hw.rxTooShort;
  stats.rx_crc_errors = hw.rxCrcErrors;
}
