// IPv6 on the way in (net/ipv6/ip6_input.c, ip6_output.c: ip6_forward): header checks, hop-by-hop options, prerouting, route,
// and the forwarding decision up to the output routine.
//
// Left out: multicast forwarding, segment routing, mobile IPv6, redirects by the router, proxy ND.

import type { NetDevice } from '../../../driver/netdev.ts';
import { IFF_LOOPBACK } from '../../../driver/netdev.ts';
import type { SkBuff } from '../../../driver/skb.ts';
import { IP_FORWARD_PS, IP_RECEIVE_PS, ROUTE_LOOKUP_PS } from '../costs.ts';
import type { NetStack } from '../net-stack.ts';
import { PACKET_HOST, PACKET_OTHERHOST } from '../packet-types.ts';
import { NF_INET_FORWARD, NF_INET_PRE_ROUTING } from '../netfilter/hooks.ts';
import { PATH_CLASSIC, StackDrop } from '../outcome.ts';
import { TraceStep } from '../trace-steps.ts';
import { AF_INET6, formatAddress } from './address.ts';
import { isLinkLocal } from './addresses.ts';
import type { Route } from './fib.ts';
import {
  ICMPV6_DEST_UNREACH,
  ICMPV6_PARAMPROB,
  ICMPV6_PKT_TOOBIG,
  ICMPV6_TIME_EXCEED,
} from './icmp6.ts';
import {
  IPV6_HEADER_BYTES,
  NEXTHDR_HOP,
  OPTIONS_OK,
  checkOptions,
  walkHeaders,
} from './ipv6-headers.ts';

const NOROUTE = 0;
const ADM_PROHIBITED = 1;
const NOT_NEIGHBOUR = 2;
const UNK_OPTION = 2;
const MIN_MTU_BYTES = 1280;

export class Ipv6Receive {
  private readonly stack: NetStack;

  constructor(stack: NetStack) {
    this.stack = stack;
  }

  /** skb.at at the IPv6 header. Takes the packet. */
  receive(skb: SkBuff, dev: NetDevice): void {
    const { stack } = this;
    stack.kernel.charge(IP_RECEIVE_PS);
    if (skb.pktType === PACKET_OTHERHOST) {
      stack.drop(skb, StackDrop.OTHERHOST);
      return;
    }
    const reason = this.checkHeader(skb, dev);
    if (reason !== StackDrop.NONE) {
      stack.drop(skb, reason);
      return;
    }
    const { bytes, at } = skb;
    const next = bytes[at + 6];
    if (next === NEXTHDR_HOP && !this.hopOptions(skb)) return;
    // TCP, UDP and ICMPv6 follow at once in nearly every packet.
    skb.transportAt =
      next === 6 || next === 17 || next === 58
        ? at + IPV6_HEADER_BYTES
        : walkHeaders(bytes, at, skb.lenBytes).transportAt;
    if (!stack.passHook(AF_INET6, NF_INET_PRE_ROUTING, skb, dev, null)) return;
    this.finish(skb, dev);
  }

  /** ip6_rcv_core: version, addresses, lengths; trims padding. */
  private checkHeader(skb: SkBuff, dev: NetDevice): StackDrop {
    const { bytes, at } = skb;
    if (this.stack.links.conf(dev).disableIpv6 !== 0) return StackDrop.UNHANDLED_PROTO;
    if (skb.lenBytes < IPV6_HEADER_BYTES || bytes[at] >> 4 !== 6) return StackDrop.IP_INHDR;
    const loopback = (dev.flags & IFF_LOOPBACK) !== 0;
    if (bytes[at + 8] === 0xff) return StackDrop.IP_INADDRERRORS;
    if (!loopback && (isLoopback(bytes, at + 8) || isLoopback(bytes, at + 24)))
      return StackDrop.IP_INADDRERRORS;
    if (bytes[at + 24] === 0xff) {
      const scope = bytes[at + 25] & 15;
      if (scope === 0 || (scope === 1 && !loopback)) return StackDrop.IP_INADDRERRORS;
    }
    const payloadBytes = (bytes[at + 4] << 8) | bytes[at + 5];
    if (payloadBytes === 0 && bytes[at + 6] === NEXTHDR_HOP) return StackDrop.IP_INHDR;
    if (payloadBytes + IPV6_HEADER_BYTES > skb.lenBytes) return StackDrop.IP_INHDR;
    skb.lenBytes = payloadBytes + IPV6_HEADER_BYTES;
    return StackDrop.NONE;
  }

  private hopOptions(skb: SkBuff): boolean {
    const { stack } = this;
    const { bytes, at } = skb;
    const toGroup = bytes[at + 24] === 0xff;
    const problem = checkOptions(bytes, at, at + IPV6_HEADER_BYTES, at + skb.lenBytes, toGroup);
    if (problem === OPTIONS_OK) return true;
    if (problem >= 0) stack.icmp.sendError6(skb, ICMPV6_PARAMPROB, UNK_OPTION, problem);
    stack.drop(skb, StackDrop.IP_INHDR);
    return false;
  }

  private finish(skb: SkBuff, dev: NetDevice): void {
    const { stack } = this;
    const { bytes, at } = skb;
    stack.kernel.charge(ROUTE_LOOKUP_PS);
    if (bytes[at + 24] === 0xff) {
      stack.ipv6Local.deliverGroup(skb, dev);
      return;
    }
    const route = stack.fib.lookup6(bytes, at + 24, isLinkLocal(bytes, at + 24) ? dev.ifindex : 0);
    skb.dst = route;
    if (stack.trace !== null) this.traceRoute(skb, route);
    if (route !== null && route.type === 'local') {
      stack.ipv6Local.deliver(skb, dev);
      return;
    }
    if (route === null || route.type !== 'unicast') this.reject(skb, route);
    else this.forward(skb, dev, route);
  }

  /** ip6_pkt_discard, ip6_pkt_prohibit, dst_discard. */
  private reject(skb: SkBuff, route: Route | null): void {
    const { stack } = this;
    if (route === null || route.type !== 'blackhole')
      stack.icmp.sendError6(
        skb,
        ICMPV6_DEST_UNREACH,
        route !== null && route.type === 'prohibit' ? ADM_PROHIBITED : NOROUTE,
        0,
      );
    stack.drop(skb, StackDrop.NO_ROUTE);
  }

  /** ip6_forward. */
  private forward(skb: SkBuff, dev: NetDevice, route: Route): void {
    const { stack } = this;
    const { bytes, at } = skb;
    const out = route.dev as NetDevice;
    stack.kernel.charge(IP_FORWARD_PS);
    if (stack.links.allConf.forwarding6 === 0 || skb.pktType !== PACKET_HOST) {
      stack.drop(skb, StackDrop.NOT_FORWARDING);
      return;
    }
    if (bytes[at + 7] <= 1) {
      stack.icmp.sendError6(skb, ICMPV6_TIME_EXCEED, 0, 0);
      stack.drop(skb, StackDrop.TTL);
      return;
    }
    if (isUnspecified(bytes, at + 8) || isLinkLocal(bytes, at + 8)) {
      if (isLinkLocal(bytes, at + 8))
        stack.icmp.sendError6(skb, ICMPV6_DEST_UNREACH, NOT_NEIGHBOUR, 0);
      stack.drop(skb, StackDrop.IP_INADDRERRORS);
      return;
    }
    const mtuBytes = Math.max(route.pathMtuBytes, MIN_MTU_BYTES);
    if (skb.lenBytes > mtuBytes && (skb.fragMaxBytes === 0 || skb.fragMaxBytes > mtuBytes)) {
      stack.icmp.sendError6(skb, ICMPV6_PKT_TOOBIG, 0, mtuBytes);
      stack.drop(skb, StackDrop.PKT_TOO_BIG);
      return;
    }
    bytes[at + 7]--;
    if (stack.trace !== null)
      stack.step(skb, TraceStep.FORWARD, out.ifindex, bytes[at + 7], out.name);
    if (!stack.passHook(AF_INET6, NF_INET_FORWARD, skb, dev, out)) return;
    if (skb.packetId >= 0) stack.observer.onForward(skb.packetId, PATH_CLASSIC);
    stack.ipv6Output.output(skb, out, route);
  }

  private traceRoute(skb: SkBuff, route: Route | null): void {
    if (route === null) {
      this.stack.step(skb, TraceStep.ROUTE, 0, this.stack.fib.genId, 'no route');
      return;
    }
    const via = route.gateway === null ? '' : ` via ${formatAddress(route.gateway)}`;
    const dev = route.dev === null ? '' : ` dev ${route.dev.name}`;
    this.stack.step(
      skb,
      TraceStep.ROUTE,
      route.dev?.ifindex ?? 0,
      route.genId,
      `${route.type}${via}${dev}`,
    );
  }
}

function isUnspecified(bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < 16; i++) if (bytes[at + i] !== 0) return false;
  return true;
}

function isLoopback(bytes: Uint8Array, at: number): boolean {
  if (bytes[at] !== 0 || bytes[at + 15] !== 1) return false;
  for (let i = 1; i < 15; i++) if (bytes[at + i] !== 0) return false;
  return true;
}
