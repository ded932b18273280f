// IPv4 packets for this host (ip_local_deliver): reassembly, input hooks, and what a host without sockets answers: echo
// replies, port unreachable, RST, protocol unreachable.
//
// Left out: sockets of any kind, ICMP timestamp and redirect processing, IGMP membership (reports are taken and ignored).

import type { NetDevice } from '../../../driver/netdev.ts';
import { CHECKSUM_UNNECESSARY } from '../../../driver/skb.ts';
import type { SkBuff } from '../../../driver/skb.ts';
import { LOCAL_PACKET_PS } from '../costs.ts';
import type { NetStack } from '../net-stack.ts';
import { PACKET_HOST } from '../packet-types.ts';
import { NF_INET_LOCAL_IN } from '../netfilter/hooks.ts';
import { StackDrop } from '../outcome.ts';
import { TraceStep } from '../trace-steps.ts';
import { AF_INET, loadInt32, storeUint16 } from './address.ts';
import { inetChecksum, transportChecksum } from './checksum.ts';
import { ICMP_DEST_UNREACH, ICMP_ECHO, ICMP_ECHOREPLY, IPPROTO_ICMP } from './icmp.ts';
import { TCP_HEADER_BYTES, fillReset, wantsReset } from './tcp-reset.ts';

const IPPROTO_IGMP = 2;
const IPPROTO_TCP = 6;
const IPPROTO_UDP = 17;
const IPPROTO_GRE = 47;
const ICMP_PROT_UNREACH = 2;
const ICMP_PORT_UNREACH = 3;

export class Ipv4Local {
  private readonly stack: NetStack;

  constructor(stack: NetStack) {
    this.stack = stack;
  }

  /** skb.at at the header; `group`: the destination is a broadcast or multicast address. Takes the packet. */
  deliver(skb: SkBuff, dev: NetDevice, group: boolean): void {
    const { stack } = this;
    const { bytes } = skb;
    if ((((bytes[skb.at + 6] << 8) | bytes[skb.at + 7]) & 0x3fff) !== 0)
      if (stack.defrag.ipv4(skb) === null) return;
    if (!stack.passHook(AF_INET, NF_INET_LOCAL_IN, skb, dev, null)) return;
    const protocol = skb.bytes[skb.at + 9];
    if (stack.trace !== null) stack.step(skb, TraceStep.LOCAL, protocol, 0);
    if (protocol === IPPROTO_ICMP) this.icmp(skb, group);
    else if (protocol === IPPROTO_UDP) this.udp(skb, group);
    else if (protocol === IPPROTO_TCP) this.tcp(skb, group);
    else if (protocol === IPPROTO_IGMP) stack.consume(skb, 'igmp');
    else if (protocol !== IPPROTO_GRE || stack.tunnels?.receiveGre(skb) !== true) {
      stack.icmp.sendError4(skb, ICMP_DEST_UNREACH, ICMP_PROT_UNREACH, 0);
      stack.drop(skb, StackDrop.NO_SOCKET);
    }
  }

  private icmp(skb: SkBuff, group: boolean): void {
    const { stack } = this;
    const { bytes } = skb;
    const at = skb.transportAt;
    const lenBytes = skb.at + skb.lenBytes - at;
    if (lenBytes < 8 || inetChecksum(bytes, at, lenBytes) !== 0) {
      stack.drop(skb, StackDrop.L4_CSUM);
      return;
    }
    if (bytes[at] === ICMP_ECHO && !group && skb.pktType === PACKET_HOST)
      this.echo(skb, at, lenBytes);
    stack.consume(skb, 'icmp');
  }

  private echo(skb: SkBuff, at: number, lenBytes: number): void {
    const { stack } = this;
    const sender = loadInt32(skb.bytes, skb.at + 12);
    const route = stack.fib.lookup4(sender);
    if (route === null || (route.type !== 'unicast' && route.type !== 'local')) return;
    const reply = stack.ipv4Output.build(lenBytes);
    if (reply === null) return;
    stack.kernel.charge(LOCAL_PACKET_PS);
    const to = reply.transportAt;
    reply.bytes.set(skb.bytes.subarray(at, at + lenBytes), to);
    reply.bytes[to] = ICMP_ECHOREPLY;
    storeUint16(reply.bytes, to + 2, 0);
    storeUint16(reply.bytes, to + 2, inetChecksum(reply.bytes, to, lenBytes));
    const source = skb.bytes.slice(skb.at + 16, skb.at + 20);
    const tos = skb.bytes[skb.at + 1];
    stack.ipv4Output.send(reply, route, tos, 64, IPPROTO_ICMP, source, sender, false);
  }

  private udp(skb: SkBuff, group: boolean): void {
    const { stack } = this;
    const { bytes } = skb;
    const at = skb.transportAt;
    const lenBytes = skb.at + skb.lenBytes - at;
    const udpBytes = (bytes[at + 4] << 8) | bytes[at + 5];
    if (lenBytes < 8 || udpBytes < 8 || udpBytes > lenBytes) {
      stack.drop(skb, StackDrop.IP_INHDR);
      return;
    }
    const unchecked =
      (bytes[at + 6] | bytes[at + 7]) === 0 || skb.ipSummed === CHECKSUM_UNNECESSARY;
    if (!unchecked && transportChecksum(bytes, skb.at, IPPROTO_UDP, at, udpBytes) !== 0) {
      stack.drop(skb, StackDrop.L4_CSUM);
      return;
    }
    if (stack.tunnels !== null && stack.tunnels.receiveUdp(skb, udpBytes)) return;
    if (!group) stack.icmp.sendError4(skb, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, 0);
    stack.drop(skb, StackDrop.NO_SOCKET);
  }

  private tcp(skb: SkBuff, group: boolean): void {
    const { stack } = this;
    const { bytes } = skb;
    const at = skb.transportAt;
    const lenBytes = skb.at + skb.lenBytes - at;
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
    if (!group && skb.pktType === PACKET_HOST && wantsReset(bytes, at))
      this.reset(skb, at, lenBytes);
    stack.drop(skb, StackDrop.NO_SOCKET);
  }

  /** Answers a TCP segment on its way through with a RST (nft `reject with tcp reset`); nothing for a RST or a cut header. */
  answerReset(skb: SkBuff): void {
    const lenBytes = skb.at + skb.lenBytes - skb.transportAt;
    if (lenBytes < TCP_HEADER_BYTES || !wantsReset(skb.bytes, skb.transportAt)) return;
    this.reset(skb, skb.transportAt, lenBytes);
  }

  private reset(skb: SkBuff, at: number, lenBytes: number): void {
    const { stack } = this;
    const sender = loadInt32(skb.bytes, skb.at + 12);
    const route = stack.fib.lookup4(sender);
    if (route === null || (route.type !== 'unicast' && route.type !== 'local')) return;
    const reset = stack.ipv4Output.build(TCP_HEADER_BYTES);
    if (reset === null) return;
    stack.kernel.charge(LOCAL_PACKET_PS);
    const to = reset.transportAt;
    fillReset(skb.bytes, at, lenBytes, reset.bytes, to);
    const source = skb.bytes.slice(skb.at + 16, skb.at + 20);
    // The pseudo header needs the addresses in place before `send` fills the rest of the header.
    reset.bytes[reset.at] = 0x45;
    reset.bytes.set(source, reset.at + 12);
    reset.bytes.set(skb.bytes.subarray(skb.at + 12, skb.at + 16), reset.at + 16);
    storeUint16(
      reset.bytes,
      to + 16,
      transportChecksum(reset.bytes, reset.at, IPPROTO_TCP, to, TCP_HEADER_BYTES),
    );
    const tos = skb.bytes[skb.at + 1];
    stack.ipv4Output.send(reset, route, tos, 64, IPPROTO_TCP, source, sender, true);
  }
}
