// ICMP errors that this host makes (RFC 792, 1122, 1812 as net/ipv4/icmp.c has them): when one may be sent, its source
// address, how much it quotes, and the limits. ICMPv6 is in icmp6.ts; both are reached through here.
//
// Left out: echoing IP options into the error, RFC 4884 extensions, icmp_errors_use_inbound_ifaddr.

import type { SkBuff } from '../../../driver/skb.ts';
import { LOCAL_PACKET_PS } from '../costs.ts';
import type { NetStack } from '../net-stack.ts';
import { PACKET_HOST } from '../packet-types.ts';
import { TraceStep } from '../trace-steps.ts';
import { loadInt32, storeInt32, storeUint16 } from './address.ts';
import { inetChecksum } from './checksum.ts';
import type { Route } from './fib.ts';
import { IcmpLimit } from './icmp-limit.ts';
import { Icmp6 } from './icmp6.ts';

export const ICMP_ECHOREPLY = 0;
export const ICMP_DEST_UNREACH = 3;
export const ICMP_REDIRECT = 5;
export const ICMP_ECHO = 8;
export const ICMP_TIME_EXCEEDED = 11;
export const ICMP_PARAMETERPROB = 12;
export const IPPROTO_ICMP = 1;

const ICMP_FRAG_NEEDED = 4;
/** An error's IP packet is at most this long (RFC 1122). */
const ERROR_MAX_BYTES = 576;
const HEADERS_BYTES = 28;

/** Types above 18 are unknown to Linux and never answered. */
const NR_ICMP_TYPES = 18;

export class Icmp {
  readonly limit = new IcmpLimit();

  private readonly stack: NetStack;
  private readonly six: Icmp6;
  /** net.ipv4.icmp_ratelimit, ms, and icmp_ratemask. */
  private rateMs = 1000;
  private rateMask = 0x1818;

  constructor(stack: NetStack) {
    this.stack = stack;
    this.six = new Icmp6(stack, this.limit);
    const { sysctl } = stack;
    sysctl.register('net/ipv4/icmp_ratelimit', 1000, (v) => (this.rateMs = v), 0);
    sysctl.register('net/ipv4/icmp_ratemask', 0x1818, (v) => (this.rateMask = v), 0);
    sysctl.register(
      'net/ipv4/icmp_msgs_per_sec',
      1000,
      (v) => (this.limit.messagesPerSecond = v),
      0,
    );
    sysctl.register('net/ipv4/icmp_msgs_burst', 50, (v) => (this.limit.messagesBurst = v), 0);
  }

  /**
   * Answers a packet (IPv4 header at skb.networkAt) with an ICMP error, unless the rules or limits forbid it. `info` is the
   * second word of the ICMP header (next-hop MTU, gateway, pointer shifted up). `skb` stays the caller's, unchanged.
   */
  sendError4(skb: SkBuff, type: number, code: number, info: number): void {
    const { stack } = this;
    const { bytes } = skb;
    const at = skb.networkAt;
    const lenBytes = skb.at + skb.lenBytes - at;
    if (!this.mayAnswer(skb, at)) return;
    const limited =
      (type !== ICMP_DEST_UNREACH || code !== ICMP_FRAG_NEEDED) &&
      ((1 << type) & this.rateMask) !== 0;
    const nowPs = stack.scheduler.nowPs;
    if (limited && !this.limit.allowGlobal(nowPs)) return;
    const sender = loadInt32(bytes, at + 12);
    const route = stack.fib.lookup4(sender);
    if (route === null || (route.type !== 'unicast' && route.type !== 'local')) return;
    if (limited && route.type !== 'local' && !this.limit.allow(sender, this.rateMs, nowPs)) return;
    const source = this.sourceFor(bytes, at, route);
    if (source === null) return;
    const most = Math.min(ERROR_MAX_BYTES, route.pathMtuBytes) - HEADERS_BYTES;
    const quoteBytes = Math.min(lenBytes, most);
    const error = stack.ipv4Output.build(8 + quoteBytes);
    if (error === null) return;
    stack.kernel.charge(LOCAL_PACKET_PS);
    const icmpAt = error.transportAt;
    const out = error.bytes;
    out[icmpAt] = type;
    out[icmpAt + 1] = code;
    storeUint16(out, icmpAt + 2, 0);
    storeInt32(out, icmpAt + 4, info);
    out.set(bytes.subarray(at, at + quoteBytes), icmpAt + 8);
    storeUint16(out, icmpAt + 2, inetChecksum(out, icmpAt, 8 + quoteBytes));
    const tos = (bytes[at + 1] & 0x1e) | 0xc0;
    if (stack.trace !== null) stack.step(skb, TraceStep.ICMP_SENT, type, code);
    stack.ipv4Output.send(error, route, tos, 64, IPPROTO_ICMP, source, sender, false);
  }

  /** ICMPv6 error; `info` as above. `skb` stays the caller's, unchanged. */
  sendError6(skb: SkBuff, type: number, code: number, info: number): void {
    this.six.sendError(skb, type, code, info);
  }

  /** Whether an unreachable error for a packet without route may be sent to its source now (ip_error). */
  allowRouteError(skb: SkBuff): boolean {
    return this.limit.allowRouteError(
      loadInt32(skb.bytes, skb.networkAt + 12),
      this.stack.scheduler.nowPs,
    );
  }

  /** Tells the sender of a packet that `gateway` (int32) is a better next hop, at a limited rate. */
  sendRedirect4(skb: SkBuff, gateway: number): void {
    const sender = loadInt32(skb.bytes, skb.networkAt + 12);
    if (this.limit.allowRedirect(sender, this.stack.scheduler.nowPs))
      this.sendError4(skb, ICMP_REDIRECT, 1, gateway);
  }

  /** RFC 1122 3.2.2: not for broadcasts, later fragments, or other errors. */
  private mayAnswer(skb: SkBuff, at: number): boolean {
    const { bytes } = skb;
    if (skb.pktType !== PACKET_HOST) return false;
    const route = skb.dst as Route | null;
    if (route !== null && (route.type === 'broadcast' || route.type === 'multicast')) return false;
    if ((((bytes[at + 6] << 8) | bytes[at + 7]) & 0x1fff) !== 0) return false;
    const source0 = bytes[at + 12];
    if (source0 === 0 || source0 === 127 || source0 >= 224) return source0 === 127;
    if (bytes[at + 9] !== IPPROTO_ICMP) return true;
    const icmpAt = at + (bytes[at] & 15) * 4;
    if (icmpAt >= skb.at + skb.lenBytes) return false;
    return bytes[icmpAt] <= NR_ICMP_TYPES && !isError4(bytes[icmpAt]);
  }

  private sourceFor(bytes: Uint8Array, at: number, route: Route): Uint8Array | null {
    const { addresses } = this.stack;
    const dst = bytes.slice(at + 16, at + 20);
    if (addresses.isLocal4(loadInt32(dst, 0))) return dst;
    if (route.prefSrc !== null) return route.prefSrc;
    return addresses.select4(route.dev, route.gateway ?? bytes.slice(at + 12, at + 16));
  }
}

/** ICMP types that report errors (icmp_pointers[].error). */
function isError4(type: number): boolean {
  return type === 3 || type === 4 || type === 5 || type === 11 || type === 12;
}
