// Queue registers of a function: what a write does to its ring, what a read answers.
// Registers of queues that the configuration does not have are kept and do nothing.

import type { PciFunction } from './function.ts';
import type { RxRing } from './dma/rx-ring.ts';
import { QueueFault } from './dma/queue-fault.ts';
import type { TxRing } from './dma/tx-ring.ts';
import * as R from './regs.ts';

const HIGH = 0x1_0000_0000;
/** RDT, RDH, TDT and TDH have 16 bits. */
const INDEX_MASK = 0xffff;
const LENGTH_MASK = 0xfffff;
/** Bits 6:0 of a ring's base are ignored. */
const BASE_MASK = ~127;

/** Installs the hooks. */
export function wireQueueRegisters(fn: PciFunction): void {
  wireReceive(fn);
  wireTransmit(fn);
}

function wireReceive(fn: PciFunction): void {
  const regs = fn.registers;
  const nowPs = (): number => fn.ctx.scheduler.nowPs;
  const onRing = (name: string, write: (ring: RxRing, value: number) => void): void =>
    regs.onWrite(name, (q, value) => {
      const ring = fn.rxRings[q];
      if (ring !== undefined) write(ring, value);
    });
  const base = (q: number): number => regs.peek(R.RDBAL(q)) + regs.peek(R.RDBAH(q)) * HIGH;
  onRing('RDBAL', (ring, value) => {
    regs.poke(R.RDBAL(ring.queueIndex), value & BASE_MASK);
    if ((value & ~BASE_MASK) !== 0) ring.faultLog.add(QueueFault.BASE_MISALIGNED);
    ring.baseIova = base(ring.queueIndex);
  });
  onRing('RDBAH', (ring) => (ring.baseIova = base(ring.queueIndex)));
  onRing('RDLEN', (ring, value) => (ring.lenBytes = value & LENGTH_MASK));
  onRing('RDH', (ring, value) => {
    if (!ring.isEnabled) ring.head = value & INDEX_MASK;
    else if (value !== ring.head) ring.faultLog.add(QueueFault.HEAD_WRITTEN_LIVE);
  });
  onRing('RDT', (ring, value) => {
    fn.ctx.pcie.doorbell(nowPs());
    ring.setTail(value & INDEX_MASK);
    fn.onDescriptors();
  });
  onRing('SRRCTL', (ring, value) => {
    ring.setSplit(value);
    fn.splitsHeaders = fn.rxRings.some((r) => r.splits);
  });
  onRing('RXDCTL', (ring, value) => {
    ring.stripsVlan = (value & R.RXDCTL_VME) !== 0;
    if ((value & R.RXDCTL_ENABLE) !== 0) ring.enable(nowPs());
    else ring.disable(nowPs());
    fn.onDescriptors();
  });
  regs.onRead('RXDCTL', (q) => enableBit(regs.peek(R.RXDCTL(q)), fn.rxRings[q]));
  onRing('RSCCTL', (ring, value) => {
    if ((value & R.RSCCTL_RSCEN) === 0) return;
    ring.faultLog.add(QueueFault.RSC_REFUSED);
    regs.poke(R.RSCCTL(ring.queueIndex), value & ~R.RSCCTL_RSCEN);
  });
  regs.onRead('RDH', (q) => fn.rxRings[q]?.head ?? 0);
  regs.onWrite('RQSMR', (i, value) => {
    for (let b = 0; b < 4; b++) {
      const ring = fn.rxRings[4 * i + b];
      if (ring !== undefined) ring.counter = (value >>> (8 * b)) & 15;
    }
  });
}

function wireTransmit(fn: PciFunction): void {
  const regs = fn.registers;
  const nowPs = (): number => fn.ctx.scheduler.nowPs;
  const onRing = (name: string, write: (ring: TxRing, value: number) => void): void =>
    regs.onWrite(name, (q, value) => {
      const ring = fn.txRings[q];
      if (ring !== undefined) write(ring, value);
    });
  const base = (q: number): number => regs.peek(R.TDBAL(q)) + regs.peek(R.TDBAH(q)) * HIGH;
  onRing('TDBAL', (ring, value) => {
    regs.poke(R.TDBAL(ring.queueIndex), value & BASE_MASK);
    if ((value & ~BASE_MASK) !== 0) ring.faultLog.add(QueueFault.BASE_MISALIGNED);
    ring.baseIova = base(ring.queueIndex);
  });
  onRing('TDBAH', (ring) => (ring.baseIova = base(ring.queueIndex)));
  onRing('TDLEN', (ring, value) => (ring.lenBytes = value & LENGTH_MASK));
  onRing('TDH', (ring, value) => {
    if (!ring.isEnabled) ring.head = value & INDEX_MASK;
    else if (value !== ring.head) ring.faultLog.add(QueueFault.HEAD_WRITTEN_LIVE);
  });
  onRing('TDT', (ring, value) => ring.doorbell(value & INDEX_MASK, fn.ctx.pcie.doorbell(nowPs())));
  onRing('TXDCTL', (ring, value) => {
    ring.setThresholds(value);
    if ((value & R.TXDCTL_ENABLE) !== 0) ring.enable(nowPs());
    else ring.disable(nowPs());
  });
  regs.onRead('TXDCTL', (q) => enableBit(regs.peek(R.TXDCTL(q)), fn.txRings[q]));
  const setHead = (ring: TxRing): void => {
    const low = regs.peek(R.TDWBAL(ring.queueIndex));
    const isOn = (low & R.TDWBAL_HEAD_WB_EN) !== 0;
    const high = regs.peek(R.TDWBAH(ring.queueIndex));
    ring.writeBack.headIova = isOn ? ((low & ~3) >>> 0) + high * HIGH : -1;
  };
  onRing('TDWBAL', setHead);
  onRing('TDWBAH', setHead);
  regs.onRead('TDH', (q) => fn.txRings[q]?.head ?? 0);
  regs.onWrite('TQSM', (i, value) => {
    for (let b = 0; b < 4; b++) {
      const ring = fn.txRings[4 * i + b];
      if (ring !== undefined) ring.counter = (value >>> (8 * b)) & 15;
    }
  });
}

/** RXDCTL or TXDCTL as read: ENABLE tells the queue's state; queues that the device lacks read as written. */
function enableBit(stored: number, ring: RxRing | TxRing | undefined): number {
  if (ring === undefined) return stored;
  return ring.readsEnabled ? stored | R.RXDCTL_ENABLE : stored & ~R.RXDCTL_ENABLE;
}
