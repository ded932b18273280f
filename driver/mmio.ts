// A driver's access to a BAR: each access charges the core and is counted.
//
// A write is posted: the core pays the issue cost and goes on. A read waits for a PCIe round trip (spec/hardware.md 1.5
// has the device's own reads of host memory at 413 to 506 ns; costs.ts says what is assumed for the other direction).
// The device sees an access at the time at which the core has reached it.

import type { HostCosts } from './costs.ts';

/** One BAR as a device offers it: 32-bit registers at byte offsets. */
export interface Bar {
  read32(offset: number): number;
  write32(offset: number, value: number): void;
}

/** Simulation data beside a function, out of band: nothing that a driver needs, all that its author wants to see. */
export interface FunctionDebug {
  /** Reads a register of BAR0 without counting the access. */
  read32(offset: number): number;
  /** Accesses to registers that are not modelled. */
  unmodelled(): readonly { offset: number; name: string | null; count: number }[];
  /** Misuses of queues. */
  queueFaults(): readonly { queue: string; name: string; text: string; count: number }[];
}

/** What the bus hands a driver's probe function: one PCI function. */
export interface PciDev {
  /** Names it towards `request_irq`. */
  readonly functionIndex: number;
  /** 'domain:bus:device.function', for ethtool -i. */
  readonly busInfo: string;
  readonly bar0: Bar;
  readonly bar2: Bar;
  readonly debug?: FunctionDebug;
}

/** Charges modelled cost to the core that runs. */
export interface Charger {
  charge(costPs: number): void;
}

export class Mmio {
  readCount = 0;
  writeCount = 0;

  private readonly bar: Bar;
  private readonly charger: Charger;
  private readonly readPs: number;
  private readonly writePs: number;

  constructor(bar: Bar, charger: Charger, costs: HostCosts) {
    this.bar = bar;
    this.charger = charger;
    this.readPs = costs.mmioReadPs;
    this.writePs = costs.mmioWritePs;
  }

  /** Reads a register as an unsigned 32-bit number. */
  read32(offset: number): number {
    this.readCount++;
    this.charger.charge(this.readPs);
    return this.bar.read32(offset) >>> 0;
  }

  /** Writes a register (posted). */
  write32(offset: number, value: number): void {
    this.writeCount++;
    this.charger.charge(this.writePs);
    this.bar.write32(offset, value);
  }
}
