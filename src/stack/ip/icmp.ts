import type { SkBuff } from '../../../driver/skb.ts';

export interface Icmp {
  /** Answers the offending packet (header at skb.networkAt) with an ICMP error, subject to RFC 1122 and rate limits; `skb` stays the caller's. */
  sendError4(skb: SkBuff, type: number, code: number, info: number): void;
  sendError6(skb: SkBuff, type: number, code: number, info: number): void;
}
