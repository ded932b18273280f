// A flow-based Ethernet tunnel over GRE, `gretap external` (net/ipv4/ip_gre.c, gre_demux.c; RFC 2784, 2890; spec D.6, D.8). IPv4 only.
//
// A sequence number is sent where asked for and never looked at. A packet with a checksum, right or wrong, is dropped: the kernel wants
// it to agree with the device's own flags, of which an external device has none. Left out: routed (layer 3) GRE devices, ERSPAN, WCCP.

import type { SkBuff } from '../../../driver/skb.ts';
import { storeInt32, storeUint16 } from '../ip/address.ts';
import { inetChecksum } from '../ip/checksum.ts';
import type { Route } from '../ip/fib.ts';
import { ICMPV6_PKT_TOOBIG } from '../ip/icmp6.ts';
import { ICMP_DEST_UNREACH } from '../ip/icmp.ts';
import type { NetStack } from '../net-stack.ts';
import { StackDrop } from '../outcome.ts';
import { ETH_P_IP, ETH_P_IPV6 } from '../packet-types.ts';
import { InnerPacket, ecnEncapsulate } from './inner-packet.ts';
import { TunnelLink } from './tunnel-link.ts';
import type { TunnelInfo } from './tunnel-info.ts';
import {
  TUNNEL_CSUM,
  TUNNEL_DONT_FRAGMENT,
  TUNNEL_KEY,
  TUNNEL_SEQ,
  idOfKey32,
  key32Of,
  txInfo,
} from './tunnel-info.ts';
import { outerOf } from './udp-tunnel.ts';
import type { Path } from './underlay.ts';
import { LINK_RESERVE_BYTES, pathOf, scrub, sendOuter } from './underlay.ts';

const IPPROTO_GRE = 47;
const IP_HEADER_BYTES = 20;
const ETH_HEADER_BYTES = 14;
const BASE_BYTES = 4;
const ETH_P_TEB = 0x6558;
const GRE_CSUM = 0x8000;
const GRE_ROUTING = 0x4000;
const GRE_KEY = 0x2000;
const GRE_SEQ = 0x1000;
const GRE_VERSION = 0x0007;
const ICMP_FRAG_NEEDED = 4;
const IPV6_MIN_MTU_BYTES = 1280;
/** TOS that stands for the inner packet's. */
const TOS_INHERIT = 1;
/** 0xfff8 less Ethernet's, IPv4's and GRE's headers (ip_tunnel_change_mtu). */
const MOST_MTU_BYTES = 0xfff8 - ETH_HEADER_BYTES - IP_HEADER_BYTES - BASE_BYTES;
/** 1,500 less the same. */
const DEFAULT_MTU_BYTES = 1500 - ETH_HEADER_BYTES - IP_HEADER_BYTES - BASE_BYTES;

export class GreTunnel {
  readonly link: TunnelLink;
  private readonly stack: NetStack;
  private readonly inner = new InnerPacket();
  private sequence = 0;

  constructor(stack: NetStack, name: string, mac: Uint8Array) {
    this.stack = stack;
    this.link = new TunnelLink(stack, name, mac, {
      mostMtuBytes: MOST_MTU_BYTES,
      open: () => 0,
      stop: () => undefined,
      transmit: (skb) => {
        this.transmit(skb);
      },
    });
    this.link.dev.maxMtuBytes = 0;
    this.link.dev.mtuBytes = DEFAULT_MTU_BYTES;
  }

  /** gre_fb_xmit and ip_md_tunnel_xmit. */
  private transmit(skb: SkBuff): void {
    const { link, stack, inner } = this;
    const info = txInfo(skb);
    if (info?.dst.length !== 4) {
      link.refuse(skb, StackDrop.TUNNEL_TXINFO, 'tx_dropped');
      return;
    }
    inner.read(skb);
    const path = pathOf(stack, info);
    if (path === null || path.route.dev === link.dev) {
      const reason = path === null ? StackDrop.NO_ROUTE : StackDrop.TUNNEL_LOOP;
      link.refuse(skb, reason, 'tx_errors');
      return;
    }
    const greBytes = headerBytes(info.flags);
    if (this.isTooBig(skb, info, path, greBytes)) return;
    const needBytes = IP_HEADER_BYTES + greBytes + LINK_RESERVE_BYTES;
    if (!stack.kernel.skbs.cowHead(skb, needBytes)) {
      link.refuse(skb, StackDrop.NOMEM, 'tx_dropped');
      return;
    }
    inner.read(skb);
    const dsfield = inner.dsfield(skb.bytes);
    const tos = ecnEncapsulate(info.tos === TOS_INHERIT ? dsfield : info.tos, dsfield);
    const ttl = info.ttl || inner.ttl(skb.bytes) || path.hopLimit;
    link.countSent(skb);
    scrub(skb, link.dev.net !== stack.net);
    this.push(skb, info, greBytes);
    sendOuter(stack, skb, path, {
      protocol: IPPROTO_GRE,
      tos,
      ttl,
      dontFragment: (info.flags & TUNNEL_DONT_FRAGMENT) !== 0,
      label: 0,
    });
  }

  /**
   * tnl_update_pmtu: true when an inner packet that must not be fragmented does not fit, and its sender was told; the frame has ended
   * then. What counts is the path with DF, the device's MTU without.
   */
  private isTooBig(skb: SkBuff, info: TunnelInfo, path: Path, greBytes: number): boolean {
    const { link, stack, inner } = this;
    const hasDf = (info.flags & TUNNEL_DONT_FRAGMENT) !== 0;
    const overheadBytes = IP_HEADER_BYTES + greBytes + ETH_HEADER_BYTES;
    const ownMtuBytes = (skb.dst as Route | null)?.pathMtuBytes ?? link.dev.mtuBytes;
    const mtuBytes = hasDf ? path.route.pathMtuBytes - overheadBytes : ownMtuBytes;
    if (skb.lenBytes - ETH_HEADER_BYTES <= mtuBytes) return false;
    const { bytes } = skb;
    const at = inner.networkAt;
    const isFour = inner.outerType === ETH_P_IP && (bytes[at + 6] & 0x40) !== 0;
    const isSix = inner.outerType === ETH_P_IPV6 && mtuBytes >= IPV6_MIN_MTU_BYTES;
    if (!isFour && !isSix) return false;
    skb.networkAt = at;
    if (isFour) stack.icmp.sendError4(skb, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, mtuBytes);
    else stack.icmp.sendError6(skb, ICMPV6_PKT_TOOBIG, 0, mtuBytes);
    link.refuse(skb, StackDrop.PKT_TOO_BIG, 'tx_errors');
    return true;
  }

  /** gre_build_header. */
  private push(skb: SkBuff, info: TunnelInfo, greBytes: number): void {
    const { bytes } = skb;
    skb.at -= greBytes;
    skb.lenBytes += greBytes;
    const { at, lenBytes } = skb;
    const has = (flag: number): boolean => (info.flags & flag) !== 0;
    const word =
      (has(TUNNEL_CSUM) ? GRE_CSUM : 0) |
      (has(TUNNEL_KEY) ? GRE_KEY : 0) |
      (has(TUNNEL_SEQ) ? GRE_SEQ : 0);
    storeUint16(bytes, at, word);
    storeUint16(bytes, at + 2, ETH_P_TEB);
    let p = at + BASE_BYTES + (has(TUNNEL_CSUM) ? 4 : 0);
    if (has(TUNNEL_KEY)) {
      storeInt32(bytes, p, key32Of(info));
      p += 4;
    }
    if (has(TUNNEL_SEQ)) storeInt32(bytes, p, this.sequence++);
    if (!has(TUNNEL_CSUM)) return;
    storeInt32(bytes, at + BASE_BYTES, 0);
    storeUint16(bytes, at + BASE_BYTES, inetChecksum(bytes, at, lenBytes));
  }

  /**
   * gre_rcv, ipgre_rcv: a packet of protocol 47, skb.at at the IP header. False when no device takes it (the sender is to be told);
   * else the packet is taken.
   */
  receive(skb: SkBuff): boolean {
    const { link, stack } = this;
    const { bytes, at, transportAt } = skb;
    const end = at + skb.lenBytes;
    const lenBytes = end - transportAt;
    const flags =
      lenBytes < BASE_BYTES ? GRE_ROUTING : (bytes[transportAt] << 8) | bytes[transportAt + 1];
    const isOdd = (flags & (GRE_ROUTING | GRE_VERSION)) !== 0;
    const hasCsum = (flags & GRE_CSUM) !== 0;
    const hasKey = (flags & GRE_KEY) !== 0;
    const greBytes =
      BASE_BYTES + 4 * (Number(hasCsum) + Number(hasKey) + (flags & GRE_SEQ ? 1 : 0));
    const isWrong = hasCsum && inetChecksum(bytes, transportAt, lenBytes) !== 0;
    if (isOdd || isWrong || greBytes > lenBytes) {
      stack.drop(skb, isWrong && !isOdd ? StackDrop.L4_CSUM : StackDrop.TUNNEL_HEADER);
      return true;
    }
    const protocol = (bytes[transportAt + 2] << 8) | bytes[transportAt + 3];
    if (protocol !== ETH_P_TEB || !link.dev.isUp) return false;
    if (hasCsum) {
      link.stats.rx_errors++;
      stack.drop(skb, StackDrop.TUNNEL_HEADER);
      return true;
    }
    const keyAt = transportAt + BASE_BYTES;
    const key = hasKey ? bytes.slice(keyAt, keyAt + 4) : new Uint8Array(4);
    const info: TunnelInfo = {
      ...outerOf(bytes, at),
      isTx: false,
      id: idOfKey32(((key[0] << 24) | (key[1] << 16) | (key[2] << 8) | key[3]) >>> 0),
      flags: hasKey ? TUNNEL_KEY : 0,
      tpSrc: 0,
      tpDst: 0,
      options: new Uint8Array(0),
    };
    link.receive(skb, transportAt + greBytes, end, info, {
      checksOwn: false,
      macBytes: ETH_HEADER_BYTES,
    });
    return true;
  }
}

/** gre_calc_hlen. */
function headerBytes(flags: number): number {
  let bytes = BASE_BYTES;
  for (const flag of [TUNNEL_CSUM, TUNNEL_KEY, TUNNEL_SEQ]) if ((flags & flag) !== 0) bytes += 4;
  return bytes;
}
