// The network under a tunnel (udp_tunnel.c, ip_tunnel_core.c, ip6_tunnel; spec D.7, D.8): the way to the far end, the outer UDP and IP
// headers, and local output. The packet leaves as one of this host's own: through output hooks, fragmented if it may be.
//
// A tunnelled packet keeps its id for the account. Over IPv6 a packet that is too long is not fragmented but answered, to this host
// itself, and dropped, as the kernel has it. Left out: VRF and other policy in the look-up, path MTUs of destinations.

import type { NetDevice } from '../../../driver/netdev.ts';
import { CHECKSUM_NONE } from '../../../driver/skb.ts';
import type { SkBuff } from '../../../driver/skb.ts';
import { loadInt32, storeInt32, storeUint16 } from '../ip/address.ts';
import { transportChecksum } from '../ip/checksum.ts';
import type { Route } from '../ip/fib.ts';
import { ICMPV6_PKT_TOOBIG } from '../ip/icmp6.ts';
import type { NetStack } from '../net-stack.ts';
import { StackDrop } from '../outcome.ts';
import { ETH_P_IP, ETH_P_IPV6, PACKET_HOST } from '../packet-types.ts';
import type { TunnelInfo } from './tunnel-info.ts';
import { isZero } from './tunnel-info.ts';

export const IPPROTO_UDP = 17;
export const UDP_HEADER_BYTES = 8;
/** Room for the link-layer header of the device below, and a tag (LL_RESERVED_SPACE). */
export const LINK_RESERVE_BYTES = 32;
/** net.ipv4.ip_default_ttl, and the hop limit of IPv6. */
const DEFAULT_TTL = 64;

const LOOPBACK = Uint8Array.of(127, 0, 0, 1);

/** A way to a tunnel's far end. */
export interface Path {
  readonly isSix: boolean;
  readonly route: Route;
  readonly src: Uint8Array;
  readonly dst: Uint8Array;
  /** Bytes of the outer IP header. */
  readonly ipBytes: number;
  /** TTL where the tunnel has none of its own. */
  readonly hopLimit: number;
}

/** The way for a packet, null when there is none (or the source is no address of this host). */
export function pathOf(stack: NetStack, { src, dst: wanted }: TunnelInfo): Path | null {
  const isSix = wanted.length === 16;
  // No IPv4 destination is this host itself (ip_route_output_key).
  const toSelf = !isSix && isZero(wanted);
  const dst = !toSelf ? wanted : isZero(src) ? LOOPBACK : src;
  const route = isSix ? stack.fib.lookup6(dst, 0) : stack.fib.lookup4(loadInt32(dst, 0));
  if (route === null || !['unicast', 'local', 'broadcast'].includes(route.type)) return null;
  const source = sourceOf(stack, route, src, dst);
  if (source === null) return null;
  return {
    isSix,
    route,
    src: source,
    dst,
    ipBytes: isSix ? 40 : 20,
    hopLimit: DEFAULT_TTL,
  };
}

function sourceOf(
  stack: NetStack,
  route: Route,
  wanted: Uint8Array,
  dst: Uint8Array,
): Uint8Array | null {
  const isSix = dst.length === 16;
  if (!isZero(wanted))
    return isSix || stack.addresses.isLocal4(loadInt32(wanted, 0)) ? wanted : null;
  if (route.type === 'local') return dst;
  if (route.prefSrc !== null) return route.prefSrc;
  if (!isSix) return stack.addresses.select4(route.dev, route.gateway ?? dst);
  return route.dev === null ? null : stack.addresses.select6(route.dev, dst);
}

/** Takes off what the packet got on its way here (skb_scrub_packet); its account and its flow hash stay. */
export function scrub(skb: SkBuff, crossesNamespace: boolean): void {
  skb.dst = null;
  skb.tunnelInfo = null;
  skb.nfct = null;
  skb.ctinfo = 0;
  skb.vlanTci = -1;
  skb.ipSummed = CHECKSUM_NONE;
  skb.transportAt = 0;
  skb.fragMaxBytes = 0;
  skb.fragSizes = null;
  skb.iif = 0;
  skb.pktType = PACKET_HOST;
  if (crossesNamespace) skb.mark = 0;
}

/** Puts a UDP header in front of a packet (skb.at behind it); the checksum covers the IP header that will come. */
export function pushUdp(
  skb: SkBuff,
  path: Path,
  sourcePort: number,
  destinationPort: number,
  withChecksum: boolean,
): void {
  const { bytes } = skb;
  skb.at -= UDP_HEADER_BYTES;
  skb.lenBytes += UDP_HEADER_BYTES;
  const { at, lenBytes } = skb;
  storeUint16(bytes, at, sourcePort);
  storeUint16(bytes, at + 2, destinationPort);
  storeUint16(bytes, at + 4, lenBytes);
  storeUint16(bytes, at + 6, 0);
  if (!withChecksum) return;
  // The pseudo header is summed from where the addresses will stand.
  const ipAt = at - path.ipBytes;
  bytes[ipAt] = path.isSix ? 0x60 : 0x45;
  bytes.set(path.src, ipAt + (path.isSix ? 8 : 12));
  bytes.set(path.dst, ipAt + (path.isSix ? 24 : 16));
  const sum = transportChecksum(bytes, ipAt, IPPROTO_UDP, at, lenBytes);
  storeUint16(bytes, at + 6, sum === 0 ? 0xffff : sum);
}

/** What the outer IP header says beyond the addresses. */
export interface OuterHeader {
  protocol: number;
  tos: number;
  ttl: number;
  /** IPv4. */
  dontFragment: boolean;
  /** IPv6 flow label. */
  label: number;
}

/** iptunnel_xmit, ip6tunnel_xmit: the IP header, and out. skb.at at what follows that header. Takes the packet. */
export function sendOuter(stack: NetStack, skb: SkBuff, path: Path, header: OuterHeader): void {
  const { protocol, tos, ttl } = header;
  skb.at -= path.ipBytes;
  skb.lenBytes += path.ipBytes;
  skb.networkAt = skb.at;
  skb.transportAt = skb.at + path.ipBytes;
  skb.macAt = -1;
  if (!path.isSix) {
    skb.protocol = ETH_P_IP;
    const { ipv4Output } = stack;
    ipv4Output.fill(skb, tos, ttl, protocol, path.src, path.dst, header.dontFragment);
    ipv4Output.localOut(skb, path.route);
    return;
  }
  skb.protocol = ETH_P_IPV6;
  const { bytes, at } = skb;
  storeInt32(bytes, at, (6 << 28) | (tos << 20) | header.label);
  storeUint16(bytes, at + 4, skb.lenBytes - path.ipBytes);
  bytes[at + 6] = protocol;
  bytes[at + 7] = ttl;
  bytes.set(path.src, at + 8);
  bytes.set(path.dst, at + 24);
  if (skb.lenBytes > path.route.pathMtuBytes) {
    stack.icmp.sendError6(skb, ICMPV6_PKT_TOOBIG, 0, path.route.pathMtuBytes);
    stack.drop(skb, StackDrop.PKT_TOO_BIG);
    return;
  }
  stack.ipv6Output.send(skb, path.route);
}

/** Whether a device is a port of a bridge or datapath (netif_is_any_bridge_port). */
export function isBridgePort(stack: NetStack, dev: NetDevice): boolean {
  return stack.bridges.portOf(dev) !== null || (stack.datapaths?.placeOf(dev) ?? null) !== null;
}

/** Source port of a UDP tunnel for a flow (udp_flow_src_port): in [min, max), from the local port range where that is empty. */
export function flowSourcePort(hash: number, min: number, max: number): number {
  const [low, high] = min >= max ? LOCAL_PORTS : [min, max];
  const mixed = (hash ^ (hash << 16)) >>> 0;
  return Math.floor((mixed * (high - low)) / 0x1_0000_0000) + low;
}

/** net.ipv4.ip_local_port_range. */
const LOCAL_PORTS = [32768, 60999] as const;
