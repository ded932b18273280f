// psample: packets that a driver hands to a sampling group (net/psample). Counted; listeners of the netlink group are not modelled.

import type { Kernel } from './kernel.ts';
import type { SkBuff } from './skb.ts';

/** psample_sample_packet: counts a sampled packet for its group and frees it. */
export function psample(kernel: Kernel, skb: SkBuff, group: number): void {
  const seen = kernel.samples.get(group) ?? { packets: 0, bytes: 0 };
  kernel.samples.set(group, seen);
  seen.packets++;
  seen.bytes += skb.lenBytes;
  kernel.onSample?.(skb.packetId, group);
  kernel.free_skb(skb);
}
