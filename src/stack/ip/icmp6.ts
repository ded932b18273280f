// ICMPv6 errors that this host makes (RFC 4443 as net/ipv6/icmp.c has it): when one may be sent, its source address, the
// quote up to the minimum MTU of 1280 bytes, and the limits.
//
// The flow label of packets made here is a fixed hash of the addresses (Linux: a keyed hash). Left out: RFC 4884 extensions.

import type { SkBuff } from '../../../driver/skb.ts';
import { LOCAL_PACKET_PS } from '../costs.ts';
import type { NetStack } from '../net-stack.ts';
import { PACKET_HOST } from '../packet-types.ts';
import { TraceStep } from '../trace-steps.ts';
import { storeInt32, storeUint16 } from './address.ts';
import type { IcmpLimit } from './icmp-limit.ts';
import { IPV6_HEADER_BYTES, NEXTHDR_ICMP, walkHeaders } from './ipv6-headers.ts';

export const ICMPV6_DEST_UNREACH = 1;
export const ICMPV6_PKT_TOOBIG = 2;
export const ICMPV6_TIME_EXCEED = 3;
export const ICMPV6_PARAMPROB = 4;
export const ICMPV6_ECHO_REQUEST = 128;
export const ICMPV6_ECHO_REPLY = 129;

const UNK_OPTION = 2;
const QUOTE_MAX_BYTES = 1280 - IPV6_HEADER_BYTES - 8;

export class Icmp6 {
  private readonly stack: NetStack;
  private readonly limit: IcmpLimit;
  /** net.ipv6.icmp.ratelimit, ms. */
  private rateMs = 1000;

  constructor(stack: NetStack, limit: IcmpLimit) {
    this.stack = stack;
    this.limit = limit;
    stack.sysctl.register('net/ipv6/icmp/ratelimit', 1000, (v) => (this.rateMs = v), 0);
  }

  /** See Icmp.sendError6. */
  sendError(skb: SkBuff, type: number, code: number, info: number): void {
    const { stack } = this;
    const { bytes } = skb;
    const at = skb.networkAt;
    const lenBytes = skb.at + skb.lenBytes - at;
    if (!this.mayAnswer(skb, at, lenBytes, type, code)) return;
    const limited = type !== ICMPV6_PKT_TOOBIG;
    const nowPs = stack.scheduler.nowPs;
    if (limited && !this.limit.allowGlobal(nowPs)) return;
    const linkLocal = bytes[at + 8] === 0xfe && (bytes[at + 9] & 0xc0) === 0x80;
    const route = stack.fib.lookup6(bytes, at + 8, linkLocal ? skb.iif : 0);
    if (route === null || (route.type !== 'unicast' && route.type !== 'local')) return;
    if (limited && route.type !== 'local') {
      const wide = route.entry.prefixLen < 128 ? (128 - route.entry.prefixLen) >> 5 : 0;
      const peer = String.fromCharCode(...bytes.subarray(at + 8, at + 24));
      if (!this.limit.allow(peer, this.rateMs >> wide, nowPs)) return;
    }
    const own = stack.fib.lookup6(bytes, at + 24);
    const source =
      own !== null && own.type === 'local'
        ? bytes.slice(at + 24, at + 40)
        : (route.prefSrc ??
          (route.dev === null ? null : stack.addresses.select6(route.dev, bytes, at + 8)));
    if (source === null) return;
    const quoteBytes = Math.min(lenBytes, QUOTE_MAX_BYTES);
    const error = stack.ipv6Output.build(8 + quoteBytes);
    if (error === null) return;
    stack.kernel.charge(LOCAL_PACKET_PS);
    const to = error.transportAt;
    const out = error.bytes;
    out[to] = type;
    out[to + 1] = code;
    storeUint16(out, to + 2, 0);
    storeInt32(out, to + 4, info);
    out.set(bytes.subarray(at, at + quoteBytes), to + 8);
    if (stack.trace !== null) stack.step(skb, TraceStep.ICMP_SENT, type, code);
    stack.ipv6Output.sendIcmp(error, route, 0, 64, source, bytes.slice(at + 8, at + 24));
  }

  private mayAnswer(
    skb: SkBuff,
    at: number,
    lenBytes: number,
    type: number,
    code: number,
  ): boolean {
    const { bytes } = skb;
    if (lenBytes < IPV6_HEADER_BYTES) return false;
    const toGroup = bytes[at + 24] === 0xff || skb.pktType !== PACKET_HOST;
    if (
      toGroup &&
      type !== ICMPV6_PKT_TOOBIG &&
      !(type === ICMPV6_PARAMPROB && code === UNK_OPTION)
    )
      return false;
    if (bytes[at + 8] === 0xff) return false;
    let any = true;
    for (let i = 8; i < 24; i++) if (bytes[at + i] !== 0) any = false;
    if (any) return false;
    // is_ineligible: never answer an error, nor what ends before its ICMPv6 type.
    const walk = walkHeaders(bytes, at, lenBytes);
    if (walk.protocol !== NEXTHDR_ICMP || walk.fragmentOffset !== 0) return !walk.truncated;
    return walk.transportAt < at + lenBytes && bytes[walk.transportAt] >= 128;
  }
}
