// Interrupt intervals of the queue vectors: the fixed one (`ethtool -C rx-usecs`), or the adaptive one (`adaptive-rx on`).

import type { TwinAdapter } from './adapter.ts';
import { ADAPTIVE_START_US, AdaptiveInterval } from './moderation.ts';
import * as R from '../../hw/regs.ts';

/** One step of EITR as the data sheet has it, us. */
const EITR_STEP_US = 2.048;

/** Programs the interval of every queue vector: the fixed one, or where adaptive ones stand. */
export function writeIntervals(adapter: TwinAdapter): void {
  const { bar0, queueCount, adaptive } = adapter;
  const steps = Math.round(adapter.interruptIntervalUs / EITR_STEP_US);
  adaptive.length = adapter.adaptiveRx ? Math.min(adaptive.length, queueCount) : 0;
  for (let v = 0; v < queueCount; v++) {
    if (adapter.adaptiveRx) {
      adaptive[v] ??= new AdaptiveInterval(adapter.speedMbps);
      bar0.write32(R.EITR(v), eitrOf(adaptive[v].intervalUs));
    } else bar0.write32(R.EITR(v), ((steps << R.EITR_ITR_SHIFT) & R.EITR_ITR_MASK) | 0);
  }
}

/**
 * ETHTOOL_SCOALESCE: a fixed interval for all queue vectors, us (0: none), or adaptive ones. Takes effect at once when the
 * rings are up, else when they come up.
 */
export function setInterval(adapter: TwinAdapter, intervalUs: number, adaptiveRx: boolean): void {
  adapter.interruptIntervalUs = intervalUs;
  adapter.adaptiveRx = adaptiveRx;
  if (!adaptiveRx) adapter.adaptive.length = 0;
  if (adapter.running) writeIntervals(adapter);
}

/** Present interval of a queue vector, us. */
export function intervalUs(adapter: TwinAdapter, queue: number): number {
  if (!adapter.adaptiveRx) return adapter.interruptIntervalUs;
  return adapter.adaptive[queue]?.intervalUs ?? ADAPTIVE_START_US;
}

/** After a completed poll of a queue pair: lets its vector's interval follow the traffic (ixgbe_set_itr). */
export function adaptInterval(adapter: TwinAdapter, queue: number): void {
  const rx = adapter.rxStats[queue];
  const tx = adapter.txStats[queue];
  const vector = adapter.adaptive[queue];
  const nowPs = adapter.kernel.scheduler.nowPs;
  if (vector.update(nowPs, rx.packets, rx.bytes, tx.packets, tx.bytes))
    adapter.bar0.write32(R.EITR(queue), eitrOf(vector.intervalUs));
}

/** ixgbe's encoding: two microseconds a step of 2.048, and the interval counter untouched. */
function eitrOf(us: number): number {
  return (((us << 2) & R.EITR_ITR_MASK) | R.EITR_CNT_WDIS) >>> 0;
}
