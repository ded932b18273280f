// Register programming: reset, units, rings, interrupts, in the order of the 82599 datasheet (4.6) and of ixgbe.

import { EIO } from '../errno.ts';
import type { TwinAdapter } from './adapter.ts';
import { dropsWhenEmpty, writeFlowControl } from './flow-control.ts';
import { writeIntervals } from './interval.ts';
import { rxBufferFor } from './rx.ts';
import type { RxRing } from './rx.ts';
import type { TxRing } from './tx.ts';
import { DESCRIPTOR_BYTES } from '../../hw/dma/descriptor.ts';
import * as R from '../../hw/regs.ts';

/** Polls until `ready` holds, 10 µs apart; false after `limit` tries. */
function waitFor(adapter: TwinAdapter, limit: number, ready: () => boolean): boolean {
  for (let i = 0; i < limit; i++) {
    if (ready()) return true;
    adapter.kernel.udelay(10);
  }
  return ready();
}

/** Resets the function and waits for its self-initialisation; 0 or −EIO. */
export function resetHardware(adapter: TwinAdapter): number {
  const { bar0 } = adapter;
  bar0.write32(R.EIMC, 0x7fffffff);
  bar0.write32(R.EIMC_EX(0), 0xffffffff);
  bar0.write32(R.CTRL, bar0.read32(R.CTRL) | R.CTRL_RST);
  if (!waitFor(adapter, 100, () => (bar0.read32(R.CTRL) & R.CTRL_RST) === 0)) return -EIO;
  // The datasheet (4.2.1.6) wants 10 ms after a software reset before registers are touched again.
  adapter.kernel.udelay(10_000);
  if (!waitFor(adapter, 1000, () => (bar0.read32(R.EEC) & R.EEC_ARD) !== 0)) return -EIO;
  if (!waitFor(adapter, 1000, () => (bar0.read32(R.RDRXCTL) & R.RDRXCTL_DMAIDONE) !== 0))
    return -EIO;
  bar0.write32(R.EIMC, 0x7fffffff);
  bar0.write32(R.EIMC_EX(0), 0xffffffff);
  bar0.read32(R.EICR);
  bar0.write32(R.CTRL_EXT, bar0.read32(R.CTRL_EXT) | R.CTRL_EXT_DRV_LOAD);
  adapter.resetCount++;
  return 0;
}

/** The permanent address that the device read from its EEPROM into RAL0/RAH0. */
export function readMacAddress(adapter: TwinAdapter, mac: Uint8Array): void {
  const low = adapter.bar0.read32(R.RAL(0));
  const high = adapter.bar0.read32(R.RAH(0));
  for (let i = 0; i < 4; i++) mac[i] = (low >>> (8 * i)) & 0xff;
  for (let i = 0; i < 2; i++) mac[4 + i] = (high >>> (8 * i)) & 0xff;
}

/** Writes the station address (RAR 0). */
export function writeMacAddress(adapter: TwinAdapter, mac: Uint8Array): void {
  const low = mac[0] | (mac[1] << 8) | (mac[2] << 16) | (mac[3] << 24);
  adapter.bar0.write32(R.RAL(0), low >>> 0);
  adapter.bar0.write32(R.RAH(0), (mac[4] | (mac[5] << 8) | R.RAH_AV) >>> 0);
}

/** Largest frame (FCS included, tag not) for an MTU. */
export function maxFrameBytes(mtuBytes: number): number {
  return mtuBytes + 14 + 4;
}

/** Receive and transmit units, except the rings: MAC, filters, statistics mapping. */
export function configureUnits(adapter: TwinAdapter): void {
  const { bar0, dev } = adapter;
  const hlreg0 = bar0.read32(R.HLREG0);
  const jumbo = dev.mtuBytes > 1500 ? R.HLREG0_JUMBOEN : 0;
  const base = (hlreg0 & ~R.HLREG0_JUMBOEN) | R.HLREG0_TXCRCEN | R.HLREG0_RXCRCSTRP;
  // Padding stays as the device resets it (on, for every device but the veth-like ones of recordings).
  bar0.write32(R.HLREG0, (base | jumbo) >>> 0);
  bar0.write32(R.RDRXCTL, bar0.read32(R.RDRXCTL) | R.RDRXCTL_CRCSTRIP);
  // The field has 16 bits; all ones means as large as the device takes.
  const frameBytes = Math.min(maxFrameBytes(dev.mtuBytes), 0xffff);
  bar0.write32(R.MAXFRS, (frameBytes << R.MAXFRS_MFS_SHIFT) >>> 0);
  for (let i = 0; i < 32; i++) {
    // Queue q counts in statistics register q modulo 16.
    const four = [0, 1, 2, 3].reduce((value, n) => value | (((4 * i + n) % 16) << (8 * n)), 0);
    bar0.write32(R.RQSMR(i), four >>> 0);
    bar0.write32(R.TQSM(i), four >>> 0);
  }
  // Without DCB one port may have as many bytes under way as it likes (82599 4.6.11.3).
  bar0.write32(R.DTXMXSZRQ, R.DTXMXSZRQ_MAX);
  if (adapter.rxPause || adapter.txPause) writeFlowControl(adapter);
  bar0.write32(R.DMATXCTL, bar0.read32(R.DMATXCTL) | R.DMATXCTL_TE);
}

/** RXDCTL of a running queue: tags are stripped unless `rxvlan` is off. */
function rxControl(adapter: TwinAdapter): number {
  const strip = adapter.dev.features.has('rx-vlan-hw-parse') ? R.RXDCTL_VME : 0;
  return R.RXDCTL_ENABLE | strip;
}

/** Programs one receive ring and enables it; −EIO when the enable bit does not read back. */
export function enableRxRing(adapter: TwinAdapter, ring: RxRing): number {
  const { bar0 } = adapter;
  const q = ring.queue;
  const { sizeKib } = rxBufferFor(maxFrameBytes(adapter.dev.mtuBytes) + 4);
  bar0.write32(R.RDBAL(q), ring.memory.iova >>> 0);
  bar0.write32(R.RDBAH(q), Math.floor(ring.memory.iova / 0x1_0000_0000));
  bar0.write32(R.RDLEN(q), ring.slots * DESCRIPTOR_BYTES);
  bar0.write32(R.RDH(q), 0);
  bar0.write32(R.RDT(q), 0);
  const drop = dropsWhenEmpty(adapter) ? R.SRRCTL_DROP_EN : 0;
  bar0.write32(R.SRRCTL(q), sizeKib | R.SRRCTL_DESCTYPE_ADV_ONEBUF | drop);
  bar0.write32(R.RXDCTL(q), rxControl(adapter));
  const on = waitFor(adapter, 10, () => (bar0.read32(R.RXDCTL(q)) & R.RXDCTL_ENABLE) !== 0);
  return on ? 0 : -EIO;
}

/** Programs one transmit ring and enables it. */
export function enableTxRing(adapter: TwinAdapter, ring: TxRing): number {
  const { bar0 } = adapter;
  const q = ring.queue;
  bar0.write32(R.TDBAL(q), ring.memory.iova >>> 0);
  bar0.write32(R.TDBAH(q), Math.floor(ring.memory.iova / 0x1_0000_0000));
  bar0.write32(R.TDLEN(q), ring.slots * DESCRIPTOR_BYTES);
  bar0.write32(R.TDH(q), 0);
  bar0.write32(R.TDT(q), 0);
  bar0.write32(R.TXDCTL(q), R.TXDCTL_ENABLE);
  const on = waitFor(adapter, 10, () => (bar0.read32(R.TXDCTL(q)) & R.TXDCTL_ENABLE) !== 0);
  return on ? 0 : -EIO;
}

/**
 * Stops receive first, then waits (up to 10 ms) for the transmit rings to drain, then disables all queues. Ring memory may be
 * freed only when the enable bits read 0: what the device had under way is then in host memory.
 */
export function disableRings(adapter: TwinAdapter): void {
  const { bar0 } = adapter;
  bar0.write32(R.RXCTRL, bar0.read32(R.RXCTRL) & ~R.RXCTRL_RXEN);
  for (const ring of adapter.rxRings) bar0.write32(R.RXDCTL(ring.queue), 0);
  waitFor(adapter, 1000, () => {
    for (const ring of adapter.txRings) ring.clean();
    adapter.kernel.syncDevices?.(adapter.kernel.scheduler.nowPs);
    return adapter.txRings.every((ring) => !ring.pending);
  });
  for (const ring of adapter.txRings) bar0.write32(R.TXDCTL(ring.queue), 0);
  const isOff = (control: number): boolean => (bar0.read32(control) & R.RXDCTL_ENABLE) === 0;
  waitFor(adapter, 1000, () => adapter.rxRings.every((ring) => isOff(R.RXDCTL(ring.queue))));
  waitFor(adapter, 1000, () => adapter.txRings.every((ring) => isOff(R.TXDCTL(ring.queue))));
}

/** Vectors of the link and the admin queue: behind those that queues can have, so that they stay when channels change. */
export function linkVector(adapter: TwinAdapter): number {
  return adapter.maxQueueCount;
}

export function adminVector(adapter: TwinAdapter): number {
  return adapter.maxQueueCount + 1;
}

/** Writes a bit per vector below `count` to a register of 32 vectors and its successor. */
function writeVectors(adapter: TwinAdapter, register: (i: number) => number, count: number): void {
  const { bar0 } = adapter;
  for (let i = 0; 32 * i < count; i++) {
    const bits = Math.min(count - 32 * i, 32);
    bar0.write32(register(i), (2 ** bits - 1) >>> 0);
  }
}

/** Unmasks or masks one vector. */
export function enableVector(adapter: TwinAdapter, vector: number): void {
  adapter.bar0.write32(R.EIMS_EX(vector >> 5), (1 << (vector & 31)) >>> 0);
}

export function enableQueueVectors(adapter: TwinAdapter): void {
  writeVectors(adapter, R.EIMS_EX, adapter.queueCount);
}

export function disableQueueVectors(adapter: TwinAdapter): void {
  writeVectors(adapter, R.EIMC_EX, adapter.queueCount);
}

/** MSI-X mode, auto-mask and auto-clear for queue vectors, causes to vectors, intervals. */
export function configureInterrupts(adapter: TwinAdapter): void {
  const { bar0, queueCount } = adapter;
  const gpie = R.GPIE_MSIX_MODE | R.GPIE_PBA_SUPPORT | R.GPIE_OCD | R.GPIE_EIAME;
  bar0.write32(R.GPIE, gpie >>> 0);
  for (let q = 0; q < queueCount; q += 2) {
    const even = q | R.IVAR_ALLOC_VAL;
    const odd = q + 1 < queueCount ? (q + 1) | R.IVAR_ALLOC_VAL : 0;
    bar0.write32(R.IVAR(q >> 1), (even | (even << 8) | (odd << 16) | (odd << 24)) >>> 0);
  }
  bar0.write32(R.IVAR_MISC, (linkVector(adapter) | R.IVAR_ALLOC_VAL) << 8);
  writeIntervals(adapter);
  bar0.write32(R.EITR(linkVector(adapter)), 0);
  bar0.write32(R.EITR(adminVector(adapter)), 0);
  // Only queue vectors mask themselves; NAPI unmasks them.
  bar0.write32(R.EIAC, (2 ** Math.min(queueCount, 16) - 1) >>> 0);
  writeVectors(adapter, R.EIAM_EX, queueCount);
}
