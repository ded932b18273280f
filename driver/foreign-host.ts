// A machine for a driver that was written elsewhere: registers, DMA memory that the driver brings, interrupts to wait for, and a
// clock that moves when the driver uses time. No kernel, no cores: one flow of control, as a user-space driver has.
//
// A register read takes a PCIe round trip, a write its issue cost, `usleep` what it says; events of the device run
// meanwhile, so a driver that spins on a bit sees it change. Call it from outside of events only (it runs the scheduler).
// Addresses that `map` gives out begin above 4 GiB: a driver that loses the high half of an address is found out.

import { assert } from '../hw/base/assert.ts';
import type { HostMemory } from '../hw/dma/host-memory.ts';
import type { Bar } from '../hw/function.ts';
import type { MsixSink } from '../hw/irq/msix.ts';
import type { Scheduler } from '../hw/time/scheduler.ts';
import { hostCosts } from './costs.ts';

const FIRST_IOVA = 0x1_0000_0000;
const PAGE_BYTES = 4096;
const PS_PER_US = 1e6;

/** One BAR as a foreign driver sees it. */
export class ForeignBar implements Bar {
  private readonly bar: Bar;
  private readonly host: ForeignHost;

  constructor(bar: Bar, host: ForeignHost) {
    this.bar = bar;
    this.host = host;
  }

  /** Reads a 32-bit register at a byte offset; unsigned. */
  read32(offset: number): number {
    this.host.passPs(this.host.readPs);
    return this.bar.read32(offset);
  }

  /** Writes a 32-bit register. */
  write32(offset: number, value: number): void {
    this.host.passPs(this.host.writePs);
    this.bar.write32(offset, value);
  }

  /** Reads a pair of registers, low one first; exact below 2^53. */
  read64(offset: number): number {
    this.host.passPs(this.host.readPs);
    return this.bar.read64(offset);
  }

  /** Writes a pair of registers, low one first. */
  write64(offset: number, value: number): void {
    this.host.passPs(this.host.writePs);
    this.bar.write64(offset, value);
  }
}

export class ForeignHost implements MsixSink {
  /** Cost of a register read and write, ps. */
  readonly readPs: number;
  readonly writePs: number;
  /** Publishes what devices finished by now: Nic.sync. */
  sync: (nowPs: number) => void = () => undefined;
  private readonly scheduler: Scheduler;
  private readonly memory: HostMemory;
  private nextIova = FIRST_IOVA;
  /** Interrupts that nobody waited for yet: 64 × function + vector. */
  private readonly pending: number[] = [];

  constructor(scheduler: Scheduler, memory: HostMemory) {
    this.scheduler = scheduler;
    this.memory = memory;
    const costs = hostCosts();
    this.readPs = costs.mmioReadPs;
    this.writePs = costs.mmioWritePs;
  }

  /** Gives a BAR of a PCI function the driver's sense of time. */
  bar(bar: Bar): ForeignBar {
    return new ForeignBar(bar, this);
  }

  /** Makes the driver's memory visible to the device; returns its I/O address. */
  map(memory: ArrayBuffer | Uint8Array): number {
    const bytes = memory instanceof Uint8Array ? memory : new Uint8Array(memory);
    const iova = this.nextIova;
    this.memory.map(iova, bytes);
    // A page stays free between regions: running over the end of one is a DMA fault.
    this.nextIova += (Math.ceil(bytes.byteLength / PAGE_BYTES) + 1) * PAGE_BYTES;
    return iova;
  }

  /** Takes it back: further accesses by the device are DMA faults. */
  unmap(iova: number): void {
    this.memory.unmap(iova);
  }

  /** Sleeps. */
  usleep(microseconds: number): void {
    this.passPs(microseconds * PS_PER_US);
  }

  /** Lets time pass; what the device has written by then is in memory. */
  passPs(ps: number): void {
    this.scheduler.runFor(ps);
    this.sync(this.scheduler.nowPs);
  }

  /** MsixSink: remembers the message. */
  interrupt(functionIndex: number, vector: number): void {
    const message = 64 * functionIndex + vector;
    if (!this.pending.includes(message)) this.pending.push(message);
  }

  /** Waits for an interrupt of a function; the vector, or −1 after the time-out. */
  waitInterrupt(functionIndex: number, timeoutUs: number): number {
    const untilPs = this.scheduler.nowPs + timeoutUs * PS_PER_US;
    for (;;) {
      const i = this.pending.findIndex((message) => message >> 6 === functionIndex);
      if (i >= 0) {
        this.sync(this.scheduler.nowPs);
        return this.pending.splice(i, 1)[0] & 63;
      }
      const nextPs = this.scheduler.nextPs;
      if (nextPs > untilPs) break;
      assert(this.scheduler.runNext(), 'waitInterrupt: the event that was there is gone');
    }
    this.passPs(untilPs - this.scheduler.nowPs);
    return -1;
  }
}
