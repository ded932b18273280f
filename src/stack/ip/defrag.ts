import type { SkBuff } from '../../../driver/skb.ts';

export interface Defrag {
  /** Takes a fragment: the whole packet (fragMaxBytes, mergedIds set) or null while it waits (packet taken). */
  ipv4(skb: SkBuff): SkBuff | null;
  ipv6(skb: SkBuff): SkBuff | null;
}
