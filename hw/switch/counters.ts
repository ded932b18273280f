// The device's pool of counters: packets and bytes, of finite width, copied to where they can be read now and then
// (table/wrap-counters.ts). An entry takes one when it is added with COUNT; the pool can run out before the tables do.

import { WrapCounters } from '../table/wrap-counters.ts';
import type { SwitchConfig } from './config.ts';

export class CounterPool {
  readonly packets: WrapCounters;
  readonly bytes: WrapCounters;
  private readonly free: number[] = [];

  constructor(config: SwitchConfig) {
    const { counters, packetBits, byteBits, counterRefreshPs } = config;
    this.packets = new WrapCounters(counters, packetBits, counterRefreshPs);
    this.bytes = new WrapCounters(counters, byteBits, counterRefreshPs);
    for (let counter = counters - 1; counter >= 0; counter--) this.free.push(counter);
  }

  get freeCount(): number {
    return this.free.length;
  }

  /** A zeroed counter, −1 when none is left. */
  take(): number {
    const counter = this.free.pop() ?? -1;
    if (counter < 0) return -1;
    this.packets.clear(counter);
    this.bytes.clear(counter);
    return counter;
  }

  giveBack(counter: number): void {
    this.free.push(counter);
  }

  count(counter: number, lenBytes: number, atPs: number): void {
    this.packets.add(counter, 1, atPs);
    this.bytes.add(counter, lenBytes, atPs);
  }
}
