// IPv6 packets for this host (ip6_input): input hooks, the chain of extension headers, and what a host without sockets
// answers: echo replies, neighbour discovery, port unreachable, RST, parameter problem.
//
// Left out: sockets, routing headers (all but an exhausted one are refused), MLD (queries are taken and ignored).

import type { NetDevice } from '../../../driver/netdev.ts';
import { CHECKSUM_UNNECESSARY } from '../../../driver/skb.ts';
import type { SkBuff } from '../../../driver/skb.ts';
import { LOCAL_PACKET_PS } from '../costs.ts';
import type { NetStack } from '../net-stack.ts';
import { PACKET_HOST } from '../packet-types.ts';
import { NF_INET_LOCAL_IN } from '../netfilter/hooks.ts';
import { StackDrop } from '../outcome.ts';
import { TraceStep } from '../trace-steps.ts';
import { AF_INET6, loadUint16, storeUint16 } from './address.ts';
import { transportChecksum } from './checksum.ts';
import {
  ICMPV6_DEST_UNREACH,
  ICMPV6_ECHO_REPLY,
  ICMPV6_ECHO_REQUEST,
  ICMPV6_PARAMPROB,
} from './icmp6.ts';
import {
  IPV6_HEADER_BYTES,
  NEXTHDR_DEST,
  NEXTHDR_FRAGMENT,
  NEXTHDR_HOP,
  NEXTHDR_ICMP,
  NEXTHDR_NONE,
  NEXTHDR_ROUTING,
  OPTIONS_OK,
  checkOptions,
} from './ipv6-headers.ts';
import { TCP_HEADER_BYTES, fillReset, wantsReset } from './tcp-reset.ts';

const IPPROTO_TCP = 6;
const IPPROTO_UDP = 17;
const PORT_UNREACH = 4;
const HDR_FIELD = 0;
const UNK_NEXTHDR = 1;
const UNK_OPTION = 2;

export class Ipv6Local {
  private readonly stack: NetStack;

  constructor(stack: NetStack) {
    this.stack = stack;
  }

  /** Destination is a multicast group: taken when joined (all nodes, all routers, solicited nodes). Takes the packet. */
  deliverGroup(skb: SkBuff, dev: NetDevice): void {
    if (this.joined(skb, dev)) this.deliver(skb, dev);
    else this.stack.drop(skb, StackDrop.IP_INADDRERRORS);
  }

  /** skb.at at the IPv6 header. Takes the packet. */
  deliver(skb: SkBuff, dev: NetDevice): void {
    const { stack } = this;
    if (!stack.passHook(AF_INET6, NF_INET_LOCAL_IN, skb, dev, null)) return;
    this.chain(skb, dev);
  }

  /** ip6_protocol_deliver_rcu: header after header. */
  private chain(skb: SkBuff, dev: NetDevice): void {
    const { stack } = this;
    let next = skb.bytes[skb.at + 6];
    let nextOffset = 6;
    let p = skb.at + IPV6_HEADER_BYTES;
    for (;;) {
      const { bytes } = skb;
      const end = skb.at + skb.lenBytes;
      if (next === NEXTHDR_FRAGMENT) {
        if (stack.defrag.ipv6(skb) === null) return;
        this.chain(skb, dev);
        return;
      }
      if (next !== NEXTHDR_HOP && next !== NEXTHDR_DEST && next !== NEXTHDR_ROUTING) break;
      if (p + 8 > end || p + (bytes[p + 1] + 1) * 8 > end) {
        stack.drop(skb, StackDrop.IP_INHDR);
        return;
      }
      if (!this.extension(skb, next, p)) return;
      nextOffset = p - skb.at;
      next = bytes[p];
      p += (bytes[p + 1] + 1) * 8;
    }
    skb.transportAt = p;
    this.transport(skb, dev, next, nextOffset);
  }

  /** One options or routing header; false when the packet ended. */
  private extension(skb: SkBuff, next: number, p: number): boolean {
    const { stack } = this;
    const { bytes, at } = skb;
    if (next === NEXTHDR_HOP && p === at + IPV6_HEADER_BYTES) return true;
    if (next === NEXTHDR_DEST) {
      const toGroup = bytes[at + 24] === 0xff;
      const problem = checkOptions(bytes, at, p, at + skb.lenBytes, toGroup);
      if (problem === OPTIONS_OK) return true;
      if (problem >= 0) stack.icmp.sendError6(skb, ICMPV6_PARAMPROB, UNK_OPTION, problem);
    } else if (next === NEXTHDR_ROUTING) {
      if (bytes[p + 3] === 0) return true;
      stack.icmp.sendError6(skb, ICMPV6_PARAMPROB, HDR_FIELD, p + 2 - at);
    } else stack.icmp.sendError6(skb, ICMPV6_PARAMPROB, UNK_NEXTHDR, p - at);
    stack.drop(skb, StackDrop.IP_INHDR);
    return false;
  }

  private transport(skb: SkBuff, dev: NetDevice, protocol: number, nextOffset: number): void {
    const { stack } = this;
    if (stack.trace !== null) stack.step(skb, TraceStep.LOCAL, protocol, 0);
    const group = skb.bytes[skb.at + 24] === 0xff;
    const lenBytes = skb.at + skb.lenBytes - skb.transportAt;
    if (protocol === NEXTHDR_NONE) stack.consume(skb, 'no-next-header');
    else if (protocol === NEXTHDR_ICMP) this.icmp(skb, dev, lenBytes, group);
    else if (protocol === IPPROTO_UDP) this.udp(skb, lenBytes, group);
    else if (protocol === IPPROTO_TCP) this.tcp(skb, lenBytes, group);
    else {
      stack.icmp.sendError6(skb, ICMPV6_PARAMPROB, UNK_NEXTHDR, nextOffset);
      stack.drop(skb, StackDrop.NO_SOCKET);
    }
  }

  private icmp(skb: SkBuff, dev: NetDevice, lenBytes: number, group: boolean): void {
    const { stack } = this;
    const { bytes, transportAt: at } = skb;
    if (lenBytes < 4 || transportChecksum(bytes, skb.at, NEXTHDR_ICMP, at, lenBytes) !== 0) {
      stack.drop(skb, StackDrop.L4_CSUM);
      return;
    }
    const type = bytes[at];
    if (type === ICMPV6_ECHO_REQUEST) this.echo(skb, dev, lenBytes, group);
    else if (type >= 133 && type <= 137) {
      stack.nd.receive(skb, dev, lenBytes);
      return;
    }
    stack.consume(skb, 'icmp');
  }

  private echo(skb: SkBuff, dev: NetDevice, lenBytes: number, group: boolean): void {
    const { stack } = this;
    const { bytes, at } = skb;
    const linkLocal = bytes[at + 8] === 0xfe;
    const route = stack.fib.lookup6(bytes, at + 8, linkLocal ? dev.ifindex : 0);
    if (route === null || (route.type !== 'unicast' && route.type !== 'local')) return;
    const source = group
      ? stack.addresses.select6(dev, bytes, at + 8)
      : bytes.slice(at + 24, at + 40);
    const reply = source === null ? null : stack.ipv6Output.build(lenBytes);
    if (source === null || reply === null) return;
    stack.kernel.charge(LOCAL_PACKET_PS);
    const to = reply.transportAt;
    reply.bytes.set(bytes.subarray(skb.transportAt, skb.transportAt + lenBytes), to);
    reply.bytes[to] = ICMPV6_ECHO_REPLY;
    storeUint16(reply.bytes, to + 2, 0);
    stack.ipv6Output.sendIcmp(reply, route, 0, 64, source, bytes.slice(at + 8, at + 24));
  }

  private udp(skb: SkBuff, lenBytes: number, group: boolean): void {
    const { stack } = this;
    const { bytes, transportAt: at } = skb;
    const udpBytes = lenBytes < 8 ? 0 : loadUint16(bytes, at + 4);
    if (udpBytes < 8 || udpBytes > lenBytes) {
      stack.drop(skb, StackDrop.IP_INHDR);
      return;
    }
    const isZero = (bytes[at + 6] | bytes[at + 7]) === 0;
    const mayBeZero = isZero && stack.tunnels?.takesZeroChecksum6(loadUint16(bytes, at + 2));
    const unchecked = skb.ipSummed === CHECKSUM_UNNECESSARY || mayBeZero === true;
    if (
      (isZero && mayBeZero !== true) ||
      (!unchecked && transportChecksum(bytes, skb.at, IPPROTO_UDP, at, udpBytes) !== 0)
    ) {
      stack.drop(skb, StackDrop.L4_CSUM);
      return;
    }
    if (stack.tunnels !== null && stack.tunnels.receiveUdp(skb, udpBytes)) return;
    if (!group) stack.icmp.sendError6(skb, ICMPV6_DEST_UNREACH, PORT_UNREACH, 0);
    stack.drop(skb, StackDrop.NO_SOCKET);
  }

  private tcp(skb: SkBuff, lenBytes: number, group: boolean): void {
    const { stack } = this;
    const { bytes, transportAt: at } = skb;
    if (lenBytes < TCP_HEADER_BYTES || (bytes[at + 12] >> 4) * 4 > lenBytes) {
      stack.drop(skb, StackDrop.IP_INHDR);
      return;
    }
    const checked =
      skb.ipSummed === CHECKSUM_UNNECESSARY ||
      transportChecksum(bytes, skb.at, IPPROTO_TCP, at, lenBytes) === 0;
    if (!checked) {
      stack.drop(skb, StackDrop.L4_CSUM);
      return;
    }
    if (!group && skb.pktType === PACKET_HOST && wantsReset(bytes, at)) this.reset(skb, lenBytes);
    stack.drop(skb, StackDrop.NO_SOCKET);
  }

  /** As Ipv4Local.answerReset. */
  answerReset(skb: SkBuff): void {
    const lenBytes = skb.at + skb.lenBytes - skb.transportAt;
    if (lenBytes < TCP_HEADER_BYTES || !wantsReset(skb.bytes, skb.transportAt)) return;
    this.reset(skb, lenBytes);
  }

  private reset(skb: SkBuff, lenBytes: number): void {
    const { stack } = this;
    const { bytes, at } = skb;
    const route = stack.fib.lookup6(bytes, at + 8, bytes[at + 8] === 0xfe ? skb.iif : 0);
    if (route === null || (route.type !== 'unicast' && route.type !== 'local')) return;
    const reset = stack.ipv6Output.build(TCP_HEADER_BYTES);
    if (reset === null) return;
    stack.kernel.charge(LOCAL_PACKET_PS);
    const to = reset.transportAt;
    fillReset(bytes, skb.transportAt, lenBytes, reset.bytes, to);
    const trafficClass = ((bytes[at] & 15) << 4) | (bytes[at + 1] >> 4);
    const source = bytes.slice(at + 24, at + 40);
    stack.ipv6Output.fill(
      reset,
      trafficClass,
      64,
      IPPROTO_TCP,
      source,
      bytes.slice(at + 8, at + 24),
    );
    storeUint16(
      reset.bytes,
      to + 16,
      transportChecksum(reset.bytes, reset.at, IPPROTO_TCP, to, TCP_HEADER_BYTES),
    );
    stack.ipv6Output.send(reset, route);
  }

  /** ff01::1, ff02::1, all routers when forwarding, and the solicited-node groups of the device's addresses. */
  private joined(skb: SkBuff, dev: NetDevice): boolean {
    const { bytes, at } = skb;
    const g = at + 24;
    const scope = bytes[g + 1];
    if (scope !== 1 && scope !== 2 && scope !== 5) return false;
    for (let i = 2; i < 11; i++) if (bytes[g + i] !== 0) return false;
    if (bytes[g + 11] === 1 && bytes[g + 12] === 0xff) {
      for (const a of this.stack.addresses.of(dev, AF_INET6))
        if (
          a.address[13] === bytes[g + 13] &&
          a.address[14] === bytes[g + 14] &&
          a.address[15] === bytes[g + 15]
        )
          return true;
      return false;
    }
    for (let i = 11; i < 15; i++) if (bytes[g + i] !== 0) return false;
    if (bytes[g + 15] === 1) return true;
    return bytes[g + 15] === 2 && this.stack.links.allConf.forwarding6 !== 0;
  }
}
