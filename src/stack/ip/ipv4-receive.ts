// IPv4 on the way in, in the order of net/ipv4/ip_input.c and route.c: header checks, prerouting, route (local, forward,
// broadcast, multicast, martian), options, and the forwarding decision of ip_forward.c up to the output routine.
//
// Left out: multicast forwarding, source routing (dropped, as with accept_source_route=0), policy routing, early demux.

import type { NetDevice } from '../../../driver/netdev.ts';
import { IFF_LOOPBACK } from '../../../driver/netdev.ts';
import type { SkBuff } from '../../../driver/skb.ts';
import { IP_FORWARD_PS, IP_RECEIVE_PS, ROUTE_LOOKUP_PS } from '../costs.ts';
import type { NetStack } from '../net-stack.ts';
import { PACKET_HOST, PACKET_OTHERHOST } from '../packet-types.ts';
import { NF_INET_FORWARD, NF_INET_PRE_ROUTING } from '../netfilter/hooks.ts';
import { PATH_CLASSIC, StackDrop } from '../outcome.ts';
import { TraceStep } from '../trace-steps.ts';
import { AF_INET, formatAddress, loadInt32 } from './address.ts';
import { decreaseTtl, inetChecksum } from './checksum.ts';
import type { Route } from './fib.ts';
import { RT_SCOPE_LINK } from './fib.ts';
import { ICMP_DEST_UNREACH, ICMP_PARAMETERPROB, ICMP_TIME_EXCEEDED } from './icmp.ts';
import { OPTION_OK, compileOptions, stampForwardOptions } from './ipv4-options.ts';

const ICMP_NET_UNREACH = 0;
const ICMP_HOST_UNREACH = 1;
const ICMP_FRAG_NEEDED = 4;
const ICMP_PKT_FILTERED = 13;

const ALL_HOSTS = 0xe0000001 | 0;

export class Ipv4Receive {
  private readonly stack: NetStack;

  constructor(stack: NetStack) {
    this.stack = stack;
  }

  /** skb.at at the IPv4 header. Takes the packet. */
  receive(skb: SkBuff, dev: NetDevice): void {
    const { stack } = this;
    stack.kernel.charge(IP_RECEIVE_PS);
    if (skb.pktType === PACKET_OTHERHOST) {
      stack.drop(skb, StackDrop.OTHERHOST);
      return;
    }
    const reason = checkHeader(skb);
    if (reason !== StackDrop.NONE) {
      stack.drop(skb, reason);
      return;
    }
    if (!stack.passHook(AF_INET, NF_INET_PRE_ROUTING, skb, dev, null)) return;
    this.finish(skb, dev);
  }

  /** ip_rcv_finish: route the packet and send it on its way. */
  private finish(skb: SkBuff, dev: NetDevice): void {
    const { stack } = this;
    const { bytes, at } = skb;
    stack.kernel.charge(ROUTE_LOOKUP_PS);
    const source = loadInt32(bytes, at + 12);
    const dst = loadInt32(bytes, at + 16);
    const source0 = source >>> 24;
    const dst0 = dst >>> 24;
    if (
      source0 === 0 ||
      source0 === 127 ||
      source0 >= 224 ||
      dst0 === 0 ||
      dst0 === 127 ||
      dst0 >= 224
    ) {
      this.special(skb, dev, source, dst);
      return;
    }
    const route = stack.fib.lookup4(dst);
    skb.dst = route;
    if (stack.trace !== null) this.traceRoute(skb, route);
    if (route === null) {
      this.noRoute(skb, dev, ICMP_NET_UNREACH);
      return;
    }
    if (route.type === 'local' || route.type === 'broadcast') {
      if (!this.validSource(skb, dev, source)) return;
      if ((bytes[at] & 15) > 5 && !this.options(skb)) return;
      stack.ipv4Local.deliver(skb, dev, route.type === 'broadcast');
      return;
    }
    this.forwardRoute(skb, dev, route, source);
  }

  private forwardRoute(skb: SkBuff, dev: NetDevice, route: Route, source: number): void {
    const { stack } = this;
    if (stack.links.conf(dev).forwarding4 === 0) {
      stack.drop(skb, StackDrop.NOT_FORWARDING);
      return;
    }
    switch (route.type) {
      case 'unicast':
        break;
      case 'blackhole':
        stack.drop(skb, StackDrop.NO_ROUTE);
        return;
      case 'unreachable':
        this.noRoute(skb, dev, ICMP_HOST_UNREACH);
        return;
      case 'prohibit':
        this.noRoute(skb, dev, ICMP_PKT_FILTERED);
        return;
      default:
        stack.drop(skb, StackDrop.MARTIAN);
        return;
    }
    if (!this.validSource(skb, dev, source)) return;
    if ((skb.bytes[skb.at] & 15) > 5 && !this.options(skb)) return;
    this.forward(skb, dev, route);
  }

  /** ip_forward. */
  private forward(skb: SkBuff, dev: NetDevice, route: Route): void {
    const { stack } = this;
    const { bytes, at } = skb;
    const out = route.dev as NetDevice;
    stack.kernel.charge(IP_FORWARD_PS);
    if (skb.pktType !== PACKET_HOST) {
      stack.drop(skb, StackDrop.OTHERHOST);
      return;
    }
    if (bytes[at + 8] <= 1) {
      stack.icmp.sendError4(skb, ICMP_TIME_EXCEEDED, 0, 0);
      stack.drop(skb, StackDrop.TTL);
      return;
    }
    const mtuBytes = route.pathMtuBytes;
    if (skb.lenBytes > mtuBytes && (bytes[at + 6] & 0x40) !== 0)
      if (skb.fragMaxBytes === 0 || skb.fragMaxBytes > mtuBytes) {
        stack.icmp.sendError4(skb, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, mtuBytes);
        stack.drop(skb, StackDrop.PKT_TOO_BIG);
        return;
      }
    decreaseTtl(bytes, at);
    if (out === dev) this.redirect(skb, dev, route);
    if (stack.trace !== null)
      stack.step(skb, TraceStep.FORWARD, out.ifindex, bytes[at + 8], out.name);
    if (!stack.passHook(AF_INET, NF_INET_FORWARD, skb, dev, out)) return;
    if ((bytes[skb.at] & 15) > 5) this.stampOptions(skb, out);
    if (skb.packetId >= 0) stack.observer.onForward(skb.packetId, PATH_CLASSIC);
    stack.ipv4Output.output(skb, out, route);
  }

  /** Sources and destinations that no ordinary look-up handles: zero, loopback, multicast, class E, broadcast. */
  private special(skb: SkBuff, dev: NetDevice, source: number, dst: number): void {
    const { stack } = this;
    const source0 = source >>> 24;
    const dst0 = dst >>> 24;
    const loopback = (dev.flags & IFF_LOOPBACK) !== 0;
    if (source0 >= 224 || (source0 === 127 && !loopback)) {
      stack.drop(skb, StackDrop.MARTIAN);
      return;
    }
    if (dst === -1 || (source === 0 && dst === 0)) {
      stack.ipv4Local.deliver(skb, dev, true);
      return;
    }
    if (dst0 >= 224 && dst0 < 240) {
      if (dst === ALL_HOSTS) stack.ipv4Local.deliver(skb, dev, true);
      else stack.drop(skb, StackDrop.IP_INADDRERRORS);
      return;
    }
    if (source0 === 0 || dst0 === 0 || dst0 >= 240 || !loopback) {
      stack.drop(skb, StackDrop.MARTIAN);
      return;
    }
    const route = stack.fib.lookup4(dst);
    skb.dst = route;
    if (route !== null && route.type === 'local') stack.ipv4Local.deliver(skb, dev, false);
    else stack.drop(skb, StackDrop.MARTIAN);
  }

  /** fib_validate_source: the host's own address cannot arrive from outside; rp_filter. Drops what fails. */
  private validSource(skb: SkBuff, dev: NetDevice, source: number): boolean {
    const { stack } = this;
    const { links } = stack;
    const conf = links.conf(dev);
    if ((dev.flags & IFF_LOOPBACK) !== 0) return true;
    if (stack.addresses.isLocal4(source) && conf.acceptLocal === 0) {
      stack.drop(skb, StackDrop.MARTIAN);
      return false;
    }
    const filter = Math.max(conf.rpFilter, links.allConf.rpFilter);
    if (filter === 0) return true;
    const back = stack.fib.lookup4(source);
    const good = back !== null && back.type === 'unicast' && (filter === 2 || back.dev === dev);
    if (!good) stack.drop(skb, StackDrop.MARTIAN);
    return good;
  }

  /** ip_error: forwarding hosts say that there is no way, at a limited rate; others drop silently. */
  private noRoute(skb: SkBuff, dev: NetDevice, code: number): void {
    const { stack } = this;
    if (stack.links.conf(dev).forwarding4 !== 0 && stack.icmp.allowRouteError(skb))
      stack.icmp.sendError4(skb, ICMP_DEST_UNREACH, code, 0);
    stack.drop(skb, StackDrop.NO_ROUTE);
  }

  /** ip_rcv_options: false when the packet ended. */
  private options(skb: SkBuff): boolean {
    const { stack } = this;
    const problem = compileOptions(skb.bytes, skb.at);
    if (problem === OPTION_OK) return true;
    if (problem >= 0) stack.icmp.sendError4(skb, ICMP_PARAMETERPROB, 0, problem * 0x1000000);
    stack.drop(skb, StackDrop.IP_INHDR);
    return false;
  }

  private stampOptions(skb: SkBuff, out: NetDevice): void {
    const address = this.stack.addresses.select4(out, skb.bytes.subarray(skb.at + 16, skb.at + 20));
    if (address !== null)
      stampForwardOptions(skb.bytes, skb.at, address, this.stack.scheduler.nowPs);
  }

  /** ICMP redirect to a neighbour that could have sent the packet to the next hop itself (ip_rt_send_redirect). */
  private redirect(skb: SkBuff, dev: NetDevice, route: Route): void {
    const { stack } = this;
    const { links } = stack;
    // ip-sysctl.rst says that either switch suffices; the recorded router sent none with `all` off.
    if (links.conf(dev).sendRedirects === 0 || links.allConf.sendRedirects === 0) return;
    const back = stack.fib.lookup4(loadInt32(skb.bytes, skb.at + 12));
    if (back === null || back.dev !== dev || back.scope < RT_SCOPE_LINK) return;
    const next =
      route.gateway === null ? loadInt32(skb.bytes, skb.at + 16) : loadInt32(route.gateway, 0);
    stack.icmp.sendRedirect4(skb, next);
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

/** ip_rcv_core: version, lengths, checksum; trims padding and sets transportAt. NONE when the header is good. */
function checkHeader(skb: SkBuff): StackDrop {
  const { bytes, at } = skb;
  if (skb.lenBytes < 20) return StackDrop.IP_INHDR;
  const headerBytes = (bytes[at] & 15) * 4;
  if (bytes[at] >> 4 !== 4 || headerBytes < 20 || skb.lenBytes < headerBytes)
    return StackDrop.IP_INHDR;
  if (inetChecksum(bytes, at, headerBytes) !== 0) return StackDrop.IP_CSUM;
  const totalBytes = (bytes[at + 2] << 8) | bytes[at + 3];
  if (skb.lenBytes < totalBytes || totalBytes < headerBytes) return StackDrop.IP_INHDR;
  skb.lenBytes = totalBytes;
  skb.transportAt = at + headerBytes;
  return StackDrop.NONE;
}
