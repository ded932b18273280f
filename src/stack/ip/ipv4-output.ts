// IPv4 on the way out (net/ipv4/ip_output.c): building packets of this host's own, local output and postrouting hooks,
// fragmentation, and the hand-over to the neighbour layer.
//
// A packet that was put together from fragments leaves in the fragments it came in (`fragSizes`), or cut to at most the
// largest of them. The first fragment carries the packet's id, further ones the ids that had been merged into it.

import type { NetDevice } from '../../../driver/netdev.ts';
import { SKB_HEADROOM_BYTES } from '../../../driver/skb.ts';
import type { SkBuff } from '../../../driver/skb.ts';
import { FRAGMENT_PS } from '../costs.ts';
import type { NetStack } from '../net-stack.ts';
import { ETH_P_IP } from '../packet-types.ts';
import { NF_INET_LOCAL_OUT, NF_INET_POST_ROUTING } from '../netfilter/hooks.ts';
import { StackDrop } from '../outcome.ts';
import { TraceStep } from '../trace-steps.ts';
import { AF_INET, loadInt32, storeInt32, storeUint16 } from './address.ts';
import { setIpv4Checksum } from './checksum.ts';
import type { Route } from './fib.ts';
import { ICMP_DEST_UNREACH } from './icmp.ts';
import { blankUncopiedOptions } from './ipv4-options.ts';

const IP_HEADER_BYTES = 20;
const IP_DF = 0x4000;
const IP_MF = 0x2000;
const ICMP_FRAG_NEEDED = 4;

export class Ipv4Output {
  private readonly stack: NetStack;
  /** IPv4 ids of packets made here: a plain count (Linux: hashed counters and random numbers). */
  private nextId = 1;

  constructor(stack: NetStack) {
    this.stack = stack;
  }

  /** Postrouting, fragmentation, next hop: skb.at at the network header. Takes the packet. */
  output(skb: SkBuff, out: NetDevice, route: Route): void {
    const { stack } = this;
    if (!stack.passHook(AF_INET, NF_INET_POST_ROUTING, skb, null, out)) return;
    if (skb.fragMaxBytes === 0 && skb.lenBytes <= route.pathMtuBytes)
      stack.neigh.output(skb, out, route);
    else this.fragment(skb, out, route);
  }

  /** A packet with room for `payloadBytes` behind an IPv4 header: at, networkAt and transportAt set. null: no memory. */
  build(payloadBytes: number): SkBuff | null {
    const skb = this.stack.kernel.alloc_skb(IP_HEADER_BYTES + payloadBytes);
    if (skb === null) return null;
    skb.lenBytes = IP_HEADER_BYTES + payloadBytes;
    skb.networkAt = skb.at;
    skb.transportAt = skb.at + IP_HEADER_BYTES;
    skb.protocol = ETH_P_IP;
    return skb;
  }

  /** Fills the header of a built packet and sends it by `route` (to this host itself through lo). Takes the packet. */
  send(
    skb: SkBuff,
    route: Route,
    tos: number,
    ttl: number,
    protocol: number,
    source: Uint8Array,
    dst: number,
    dontFragment: boolean,
  ): void {
    const to = new Uint8Array(4);
    storeInt32(to, 0, dst);
    this.fill(skb, tos, ttl, protocol, source, to, dontFragment);
    this.localOut(skb, route);
  }

  /** Fills the header of a packet of this host's own. */
  fill(
    skb: SkBuff,
    tos: number,
    ttl: number,
    protocol: number,
    source: Uint8Array,
    dst: Uint8Array,
    dontFragment: boolean,
  ): void {
    const { bytes, at } = skb;
    bytes[at] = 0x45;
    bytes[at + 1] = tos;
    storeUint16(bytes, at + 2, skb.lenBytes);
    storeUint16(bytes, at + 4, dontFragment ? 0 : this.nextId++);
    storeUint16(bytes, at + 6, dontFragment ? IP_DF : 0);
    bytes[at + 8] = ttl;
    bytes[at + 9] = protocol;
    bytes.set(source, at + 12);
    bytes.set(dst, at + 16);
    setIpv4Checksum(bytes, at);
  }

  /** Sends a filled packet by `route` (to this host itself through lo). Takes the packet. */
  localOut(skb: SkBuff, route: Route): void {
    const { stack } = this;
    const dst = loadInt32(skb.bytes, skb.at + 16);
    const out = route.type === 'local' ? stack.links.lo : (route.dev as NetDevice);
    skb.dst = route;
    skb.dev = out;
    if (!stack.passHook(AF_INET, NF_INET_LOCAL_OUT, skb, null, out)) return;
    const wanted = loadInt32(skb.bytes, skb.at + 16);
    if (wanted === dst) this.output(skb, out, route);
    else this.reroute(skb, wanted);
  }

  /** ip_route_me_harder: NAT at output gave the packet another destination. */
  private reroute(skb: SkBuff, dst: number): void {
    const { stack } = this;
    const route = stack.fib.lookup4(dst);
    if (route === null || (route.type !== 'unicast' && route.type !== 'local')) {
      stack.drop(skb, StackDrop.NO_ROUTE);
      return;
    }
    const out = route.type === 'local' ? stack.links.lo : (route.dev as NetDevice);
    skb.dst = route;
    skb.dev = out;
    this.output(skb, out, route);
  }

  /** ip_fragment. */
  private fragment(skb: SkBuff, out: NetDevice, route: Route): void {
    const { stack } = this;
    const { bytes, at } = skb;
    let mtuBytes = route.pathMtuBytes;
    const dontFragment = (bytes[at + 6] & 0x40) !== 0;
    if (dontFragment && (skb.fragMaxBytes === 0 || skb.fragMaxBytes > mtuBytes)) {
      skb.networkAt = at;
      stack.icmp.sendError4(skb, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, mtuBytes);
      stack.drop(skb, StackDrop.PKT_TOO_BIG);
      return;
    }
    if (skb.fragMaxBytes > 0 && skb.fragMaxBytes < mtuBytes) mtuBytes = skb.fragMaxBytes;
    this.cut(skb, mtuBytes, (piece) => {
      stack.neigh.output(piece, out, route);
    });
  }

  /** Sends a packet (skb.at at its header) as fragments of at most `mtuBytes`, each through `send`. Takes the packet. */
  cut(skb: SkBuff, mtuBytes: number, send: (piece: SkBuff) => void): void {
    const { stack } = this;
    const headerBytes = (skb.bytes[skb.at] & 15) * 4;
    const roomBytes = mtuBytes - headerBytes;
    if (roomBytes < 8) {
      stack.drop(skb, StackDrop.PKT_TOO_BIG);
      return;
    }
    const sizes =
      fittingSizes(skb.fragSizes, roomBytes) ?? cutSizes(skb.lenBytes - headerBytes, roomBytes);
    if (stack.trace !== null) stack.step(skb, TraceStep.FRAGMENT, mtuBytes, sizes.length);
    this.sendFragments(skb, sizes, headerBytes, send);
  }

  private sendFragments(
    skb: SkBuff,
    sizes: readonly number[],
    headerBytes: number,
    send: (piece: SkBuff) => void,
  ): void {
    const { stack } = this;
    const { bytes, at } = skb;
    const flags = (bytes[at + 6] << 8) | bytes[at + 7];
    let offsetBytes = (flags & 0x1fff) * 8;
    let from = at + headerBytes;
    for (let i = 0; i < sizes.length; i++) {
      const piece = stack.kernel.alloc_skb(headerBytes + sizes[i], SKB_HEADROOM_BYTES);
      if (piece === null) {
        failRest(stack, skb, i);
        return;
      }
      stack.kernel.charge(FRAGMENT_PS);
      const p = piece.at;
      if (i === 1 && offsetBytes > 0) blankUncopiedOptions(bytes, at);
      piece.bytes.set(bytes.subarray(at, at + headerBytes), p);
      piece.bytes.set(bytes.subarray(from, from + sizes[i]), p + headerBytes);
      copyMetadata(skb, piece, i);
      piece.lenBytes = headerBytes + sizes[i];
      piece.networkAt = p;
      piece.transportAt = p + headerBytes;
      storeUint16(piece.bytes, p + 2, piece.lenBytes);
      const more = i + 1 < sizes.length ? IP_MF : flags & IP_MF;
      storeUint16(piece.bytes, p + 6, (flags & IP_DF) | more | (offsetBytes >> 3));
      setIpv4Checksum(piece.bytes, p);
      from += sizes[i];
      offsetBytes += sizes[i];
      send(piece);
    }
    endParent(stack, skb, sizes.length);
  }
}

/** The sizes a packet came in, when each still fits and all but the last are multiples of 8; null otherwise. */
export function fittingSizes(
  sizes: readonly number[] | null,
  roomBytes: number,
): readonly number[] | null {
  if (sizes === null) return null;
  for (let i = 0; i < sizes.length; i++)
    if (sizes[i] > roomBytes || (i + 1 < sizes.length && (sizes[i] & 7) !== 0)) return null;
  return sizes;
}

/** As large pieces as fit, multiples of 8 but for the last. */
export function cutSizes(payloadBytes: number, roomBytes: number): number[] {
  const sizes: number[] = [];
  for (let left = payloadBytes; left > 0;) {
    const size = left > roomBytes ? roomBytes & ~7 : left;
    sizes.push(size);
    left -= size;
  }
  return sizes;
}

/** What a fragment takes over from the packet; the `index`th gets the id of the packet or of one merged into it. */
export function copyMetadata(from: SkBuff, to: SkBuff, index: number): void {
  to.dev = from.dev;
  to.iif = from.iif;
  to.protocol = from.protocol;
  to.mark = from.mark;
  to.priority = from.priority;
  to.hash = from.hash;
  to.rxQueue = from.rxQueue;
  to.pktType = from.pktType;
  to.dst = from.dst;
  to.tstampPs = from.tstampPs;
  to.packetId = index === 0 ? from.packetId : (from.mergedIds?.[index - 1] ?? -1);
}

/** Frees the packet that was cut; merged ids for which there was no fragment end here. */
export function endParent(stack: NetStack, skb: SkBuff, fragments: number): void {
  if (skb.mergedIds !== null)
    for (let i = Math.max(0, fragments - 1); i < skb.mergedIds.length; i++)
      if (skb.mergedIds[i] >= 0) stack.observer.onLocal(skb.mergedIds[i], 'merged');
  skb.packetId = -1;
  skb.mergedIds = null;
  stack.release(skb);
}

/** No memory for the `sent`th fragment: ids that have not gone out with one are dropped with the packet. */
export function failRest(stack: NetStack, skb: SkBuff, sent: number): void {
  if (sent > 0) skb.packetId = -1;
  if (skb.mergedIds !== null) skb.mergedIds = skb.mergedIds.slice(Math.max(0, sent - 1));
  stack.drop(skb, StackDrop.NOMEM);
}
