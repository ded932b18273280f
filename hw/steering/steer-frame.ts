// One received frame through the filters in front of RSS, and what its descriptor says of them.

import type { DeviceContext } from '../context.ts';
import type { PciFunction } from '../function.ts';
import {
  PKT_TYPE_ETQF,
  PKT_TYPE_ETQF_SHIFT,
  RSS_TYPE_MASK,
  RXD_CHECKSUM_ERRORS,
} from '../dma/descriptor.ts';
import { reportFilter } from '../mac/rx-offload.ts';
import type { RxMeta } from '../mac/waiting-frames.ts';
import { TraceStep } from '../trace.ts';
import { Mechanism } from './rx-steering.ts';

/** Queue of a frame for which RSS has chosen `rssQueue`, STEER_DROP if a filter drops it; completes `meta`. */
export function steerFrame(
  ctx: DeviceContext,
  fn: PciFunction,
  meta: RxMeta,
  rssQueue: number,
  packetId: number,
  frameAt: number,
  lenBytes: number,
  atPs: number,
): number {
  const { steering } = fn;
  const queue = steering.choose(rssQueue, fn.pipeline.key, ctx.packets.view, frameAt, lenBytes);
  meta.isLowLatency = steering.isLowLatency && (meta.status & RXD_CHECKSUM_ERRORS) === 0;
  if (steering.mechanism === Mechanism.RSS_CONTEXT) meta.hash = fn.rss.hash;
  if (steering.reportsFilter) reportFilter(meta, steering);
  if (steering.ethertypeFilter >= 0)
    meta.packetInfo =
      (meta.packetInfo & RSS_TYPE_MASK) |
      PKT_TYPE_ETQF |
      (steering.ethertypeFilter << PKT_TYPE_ETQF_SHIFT);
  if (steering.mechanism !== Mechanism.RSS)
    ctx.trace?.step(packetId, atPs, TraceStep.STEERED, steering.mechanism, steering.filter, queue);
  return queue;
}
