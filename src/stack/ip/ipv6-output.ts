// IPv6 on the way out (net/ipv6/ip6_output.c): building packets of this host's own, local output and postrouting hooks, and
// cutting again what was put together from fragments. A router fragments nothing else: too long is answered, not cut.

import type { NetDevice } from '../../../driver/netdev.ts';
import { SKB_HEADROOM_BYTES } from '../../../driver/skb.ts';
import type { SkBuff } from '../../../driver/skb.ts';
import { FRAGMENT_PS } from '../costs.ts';
import type { NetStack } from '../net-stack.ts';
import { ETH_P_IPV6 } from '../packet-types.ts';
import { NF_INET_LOCAL_OUT, NF_INET_POST_ROUTING } from '../netfilter/hooks.ts';
import { StackDrop } from '../outcome.ts';
import { TraceStep } from '../trace-steps.ts';
import { AF_INET6, sameBytes, storeInt32, storeUint16 } from './address.ts';
import { sumWords, transportChecksum } from './checksum.ts';
import type { Route } from './fib.ts';
import { ICMPV6_PKT_TOOBIG } from './icmp6.ts';
import { copyMetadata, cutSizes, endParent, failRest, fittingSizes } from './ipv4-output.ts';
import {
  IPV6_HEADER_BYTES,
  NEXTHDR_DEST,
  NEXTHDR_FRAGMENT,
  NEXTHDR_HOP,
  NEXTHDR_ICMP,
  NEXTHDR_ROUTING,
} from './ipv6-headers.ts';

const MIN_MTU_BYTES = 1280;
const FRAGMENT_HEADER_BYTES = 8;

export class Ipv6Output {
  private readonly stack: NetStack;
  /** Identification of fragments made here: a plain count (Linux: random). */
  private nextId = 1;

  constructor(stack: NetStack) {
    this.stack = stack;
  }

  /** Postrouting, fragmentation, next hop: skb.at at the network header. Takes the packet. */
  output(skb: SkBuff, out: NetDevice, route: Route): void {
    const { stack } = this;
    if (!stack.passHook(AF_INET6, NF_INET_POST_ROUTING, skb, null, out)) return;
    const tooLong = skb.lenBytes > route.pathMtuBytes;
    const wasFragments = skb.fragMaxBytes > 0 && skb.lenBytes > skb.fragMaxBytes;
    if (tooLong || wasFragments) this.fragment(skb, out, route);
    else stack.neigh.output(skb, out, route);
  }

  /** A packet with room for `payloadBytes` behind an IPv6 header: at, networkAt and transportAt set. null: no memory. */
  build(payloadBytes: number): SkBuff | null {
    const skb = this.stack.kernel.alloc_skb(IPV6_HEADER_BYTES + payloadBytes);
    if (skb === null) return null;
    skb.lenBytes = IPV6_HEADER_BYTES + payloadBytes;
    skb.networkAt = skb.at;
    skb.transportAt = skb.at + IPV6_HEADER_BYTES;
    skb.protocol = ETH_P_IPV6;
    return skb;
  }

  /** `send` of a built ICMPv6 message: its checksum is filled in too. */
  sendIcmp(
    skb: SkBuff,
    route: Route,
    trafficClass: number,
    hopLimit: number,
    source: Uint8Array,
    dst: Uint8Array,
  ): void {
    this.fill(skb, trafficClass, hopLimit, NEXTHDR_ICMP, source, dst);
    const icmpBytes = skb.lenBytes - IPV6_HEADER_BYTES;
    const sum = transportChecksum(skb.bytes, skb.at, NEXTHDR_ICMP, skb.transportAt, icmpBytes);
    storeUint16(skb.bytes, skb.transportAt + 2, sum);
    this.send(skb, route);
  }

  /** Fills the header of a built packet. */
  fill(
    skb: SkBuff,
    trafficClass: number,
    hopLimit: number,
    protocol: number,
    source: Uint8Array,
    dst: Uint8Array,
  ): void {
    const { bytes, at } = skb;
    const label = sumWords(source, 0, 16, sumWords(dst, 0, 16)) & 0xfffff;
    storeInt32(bytes, at, (6 << 28) | (trafficClass << 20) | label);
    storeUint16(bytes, at + 4, skb.lenBytes - IPV6_HEADER_BYTES);
    bytes[at + 6] = protocol;
    bytes[at + 7] = hopLimit;
    bytes.set(source, at + 8);
    bytes.set(dst, at + 24);
  }

  /** Sends a filled packet by `route` (to this host itself through lo). Takes the packet. */
  send(skb: SkBuff, route: Route): void {
    const { stack } = this;
    const out = route.type === 'local' ? stack.links.lo : (route.dev as NetDevice);
    skb.dst = route;
    skb.dev = out;
    const dst = skb.bytes.slice(skb.at + 24, skb.at + 40);
    if (!stack.passHook(AF_INET6, NF_INET_LOCAL_OUT, skb, null, out)) return;
    if (sameBytes(skb.bytes, skb.at + 24, dst, 0, 16)) this.output(skb, out, route);
    else this.reroute(skb);
  }

  /** ip6_route_me_harder: NAT at output gave the packet another destination. */
  private reroute(skb: SkBuff): void {
    const { stack } = this;
    const route = stack.fib.lookup6(skb.bytes, skb.at + 24);
    if (route === null || (route.type !== 'unicast' && route.type !== 'local')) {
      stack.drop(skb, StackDrop.NO_ROUTE);
      return;
    }
    const out = route.type === 'local' ? stack.links.lo : (route.dev as NetDevice);
    skb.dst = route;
    skb.dev = out;
    this.output(skb, out, route);
  }

  /** ip6_fragment. */
  private fragment(skb: SkBuff, out: NetDevice, route: Route): void {
    const { stack } = this;
    const pathMtuBytes = route.pathMtuBytes;
    const own = skb.packetId < 0 && skb.iif === 0;
    const refused =
      skb.fragMaxBytes === 0
        ? !own && skb.lenBytes > pathMtuBytes
        : skb.fragMaxBytes > pathMtuBytes;
    if (refused) {
      skb.networkAt = skb.at;
      stack.icmp.sendError6(skb, ICMPV6_PKT_TOOBIG, 0, pathMtuBytes);
      stack.drop(skb, StackDrop.PKT_TOO_BIG);
      return;
    }
    const limitBytes =
      skb.fragMaxBytes === 0 ? pathMtuBytes : Math.max(skb.fragMaxBytes, MIN_MTU_BYTES);
    this.cut(skb, Math.min(limitBytes, pathMtuBytes), (piece) => {
      stack.neigh.output(piece, out, route);
    });
  }

  /** Sends a packet (skb.at at its header) as fragments of at most `limitBytes`, each through `send`. Takes the packet. */
  cut(skb: SkBuff, limitBytes: number, send: (piece: SkBuff) => void): void {
    const { stack } = this;
    const nextAt = lastUnfragmentable(skb);
    const headerBytes = nextAt.headerBytes;
    const roomBytes = limitBytes - headerBytes - FRAGMENT_HEADER_BYTES;
    const payloadBytes = skb.lenBytes - headerBytes;
    const sizes = fittingSizes(skb.fragSizes, roomBytes) ?? cutSizes(payloadBytes, roomBytes);
    if (stack.trace !== null) stack.step(skb, TraceStep.FRAGMENT, limitBytes, sizes.length);
    const id = this.nextId++;
    let offsetBytes = 0;
    for (let i = 0; i < sizes.length; i++) {
      const lenBytes = headerBytes + FRAGMENT_HEADER_BYTES + sizes[i];
      const piece = stack.kernel.alloc_skb(lenBytes, SKB_HEADROOM_BYTES);
      if (piece === null) {
        failRest(stack, skb, i);
        return;
      }
      stack.kernel.charge(FRAGMENT_PS);
      piece.lenBytes = lenBytes;
      copyMetadata(skb, piece, i);
      const more = i + 1 < sizes.length ? 1 : 0;
      fillFragment(skb, piece, headerBytes, nextAt.offset, offsetBytes, sizes[i], more, id);
      offsetBytes += sizes[i];
      send(piece);
    }
    endParent(stack, skb, sizes.length);
  }
}

function fillFragment(
  skb: SkBuff,
  piece: SkBuff,
  headerBytes: number,
  nextOffset: number,
  offsetBytes: number,
  sizeBytes: number,
  more: number,
  id: number,
): void {
  const { bytes, at } = skb;
  const out = piece.bytes;
  const p = piece.at;
  const f = p + headerBytes;
  const from = at + headerBytes + offsetBytes;
  out.set(bytes.subarray(at, at + headerBytes), p);
  out[f] = out[p + nextOffset];
  out[p + nextOffset] = NEXTHDR_FRAGMENT;
  out[f + 1] = 0;
  storeUint16(out, f + 2, offsetBytes | more);
  storeInt32(out, f + 4, id);
  out.set(bytes.subarray(from, from + sizeBytes), f + FRAGMENT_HEADER_BYTES);
  storeUint16(out, p + 4, piece.lenBytes - IPV6_HEADER_BYTES);
  piece.networkAt = p;
  piece.transportAt = f + FRAGMENT_HEADER_BYTES;
}

/** ip6_find_1stfragopt: end of the unfragmentable part, and where its last next-header field stands (from the start). */
function lastUnfragmentable(skb: SkBuff): { headerBytes: number; offset: number } {
  const { bytes, at } = skb;
  const end = at + skb.lenBytes;
  let offset = 6;
  let p = at + IPV6_HEADER_BYTES;
  let found = { headerBytes: IPV6_HEADER_BYTES, offset };
  let next = bytes[at + 6];
  while (
    (next === NEXTHDR_HOP || next === NEXTHDR_ROUTING || next === NEXTHDR_DEST) &&
    p + 8 <= end
  ) {
    // A destination header counts only in front of a routing header.
    const kept = next !== NEXTHDR_DEST || bytes[p] === NEXTHDR_ROUTING;
    if (!kept) break;
    offset = p - at;
    next = bytes[p];
    p += (bytes[p + 1] + 1) * 8;
    found = { headerBytes: p - at, offset };
  }
  return found;
}
