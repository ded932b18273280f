// Conservation of frames at a port: what came in (and what the device copied) is what went somewhere; what the host gave is what was
// sent or dropped.

import { assert } from './base/assert.ts';
import type { PciFunction } from './function.ts';
import { type PortStats, sumOf } from './stats.ts';

/** Throws ModelError unless every frame of port `index` is accounted for. */
export function checkPort(fn: PciFunction, stats: PortStats, index: number): void {
  let staged = 0;
  for (const ring of fn.rxRings) staged += ring.stagedPackets;
  const waiting = fn.waiting === null ? 0 : fn.waiting.count;
  const dropped = sumOf(stats.rxDrops);
  const out = stats.forwarded + dropped + stats.delivered + staged + waiting;
  assert(
    out === stats.framesIn + stats.copies,
    `port ${index}: ${stats.framesIn} frames in, ${stats.copies} copies, ${out} accounted for (forwarded ` +
      `${stats.forwarded}, dropped ${dropped}, delivered ${stats.delivered}, staged ${staged}, waiting ${waiting})`,
  );
  const sent = stats.txSent + sumOf(stats.txDrops);
  assert(
    sent === stats.txFetched,
    `port ${index}: ${stats.txFetched} host frames fetched, ${sent} accounted for`,
  );
}
