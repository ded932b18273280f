// Neighbour discovery (RFC 4861, net/ipv6/ndisc.c), the part a router of hosts needs: answers solicitations for its addresses,
// learns from them and from advertisements, and asks for unresolved neighbours. Router solicitations, advertisements and
// redirects are taken and ignored.
//
// Left out: duplicate address detection, sending router advertisements, proxy ND, options other than link-layer addresses.

import type { NetDevice } from '../../../driver/netdev.ts';
import type { SkBuff } from '../../../driver/skb.ts';
import { LOCAL_PACKET_PS } from '../costs.ts';
import type { TunnelInfo } from '../lwtunnel/tunnel-info.ts';
import type { NetStack } from '../net-stack.ts';
import { StackDrop } from '../outcome.ts';
import { storeInt32, storeUint16 } from './address.ts';
import { Route, RT_SCOPE_LINK, RT_TABLE_LOCAL, RTPROT_KERNEL } from './fib.ts';
import type { Neighbour } from './neigh.ts';
import { encapOf, NUD_FAILED, NUD_REACHABLE, NUD_STALE } from './neigh.ts';

const SOLICITATION = 135;
const ADVERTISEMENT = 136;
const SOURCE_OPTION = 1;
const TARGET_OPTION = 2;
const FLAG_ROUTER = 0x80;
const FLAG_SOLICITED = 0x40;
const FLAG_OVERRIDE = 0x20;

const ALL_NODES = Uint8Array.of(0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);

export class Nd {
  private readonly stack: NetStack;

  constructor(stack: NetStack) {
    this.stack = stack;
  }

  /** An ND message: skb.at at the IPv6 header, transportAt at the ICMPv6 one, checksum good. Takes the packet. */
  receive(skb: SkBuff, dev: NetDevice, lenBytes: number): void {
    const { bytes, at, transportAt: m } = skb;
    if (bytes[at + 7] !== 255 || bytes[m + 1] !== 0) {
      this.stack.drop(skb, StackDrop.IP_INADDRERRORS);
      return;
    }
    const type = bytes[m];
    if (type === SOLICITATION && lenBytes >= 24) this.solicited(skb, dev, lenBytes);
    else if (type === ADVERTISEMENT && lenBytes >= 24) this.advertised(skb, dev, lenBytes);
    this.stack.consume(skb, 'nd');
  }

  /** Asks for a neighbour: to its solicited-node group, or to itself (probe). */
  solicit(neighbour: Neighbour, unicast: boolean): void {
    const { dev, address } = neighbour;
    const source =
      this.stack.addresses.linkLocal6(dev) ?? this.stack.addresses.select6(dev, address);
    if (source === null) return;
    const group = Uint8Array.of(0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0);
    group.set(address.subarray(13), 13);
    const dst = unicast ? address : group;
    this.send(dev, SOLICITATION, 0, address, SOURCE_OPTION, source, dst, encapOf(neighbour));
  }

  private solicited(skb: SkBuff, dev: NetDevice, lenBytes: number): void {
    const { stack } = this;
    const { bytes, at, transportAt: m } = skb;
    const target = bytes.slice(m + 8, m + 24);
    if (target[0] === 0xff || !stack.addresses.has6(dev, target, 0)) return;
    const sender = bytes.slice(at + 8, at + 24);
    const toGroup = bytes[at + 24] === 0xff;
    const mac = option(bytes, m + 24, m + lenBytes, SOURCE_OPTION);
    if (sender.every((b) => b === 0)) {
      this.send(
        dev,
        ADVERTISEMENT,
        this.flags(false, true),
        target,
        TARGET_OPTION,
        target,
        ALL_NODES,
      );
      return;
    }
    if (mac !== null) {
      const neighbour = stack.neigh.findOrCreate(dev, sender, 0, 16);
      stack.neigh.update(neighbour, mac, NUD_STALE, true, false);
    } else if (toGroup) return;
    this.send(
      dev,
      ADVERTISEMENT,
      this.flags(true, toGroup),
      target,
      toGroup ? TARGET_OPTION : 0,
      target,
      sender,
    );
  }

  private advertised(skb: SkBuff, dev: NetDevice, lenBytes: number): void {
    const { stack } = this;
    const { bytes, at, transportAt: m } = skb;
    const flags = bytes[m + 4];
    if (bytes[at + 24] === 0xff && (flags & FLAG_SOLICITED) !== 0) return;
    const neighbour = stack.neigh.find(dev, bytes, m + 8, 16);
    if (neighbour === null || neighbour.state === NUD_FAILED) return;
    const mac = option(bytes, m + 24, m + lenBytes, TARGET_OPTION);
    if (mac === null && !neighbour.isValid) return;
    neighbour.isRouter = (flags & FLAG_ROUTER) !== 0;
    const state = (flags & FLAG_SOLICITED) !== 0 ? NUD_REACHABLE : NUD_STALE;
    stack.neigh.update(neighbour, mac, state, (flags & FLAG_OVERRIDE) !== 0, false);
  }

  private flags(solicited: boolean, override: boolean): number {
    return (
      (this.stack.links.allConf.forwarding6 !== 0 ? FLAG_ROUTER : 0) |
      (solicited ? FLAG_SOLICITED : 0) |
      (override ? FLAG_OVERRIDE : 0)
    );
  }

  private send(
    dev: NetDevice,
    type: number,
    flags: number,
    target: Uint8Array,
    optionType: number,
    source: Uint8Array,
    dst: Uint8Array,
    tunnelInfo: TunnelInfo | null = null,
  ): void {
    const { stack } = this;
    const skb = stack.ipv6Output.build(optionType === 0 ? 24 : 32);
    if (skb === null) return;
    stack.kernel.charge(LOCAL_PACKET_PS);
    const m = skb.transportAt;
    const { bytes } = skb;
    bytes[m] = type;
    bytes[m + 1] = 0;
    storeUint16(bytes, m + 2, 0);
    storeInt32(bytes, m + 4, flags << 24);
    bytes.set(target, m + 8);
    if (optionType !== 0) {
      bytes[m + 24] = optionType;
      bytes[m + 25] = 1;
      bytes.set(dev.mac, m + 26);
    }
    skb.tunnelInfo = tunnelInfo;
    stack.ipv6Output.sendIcmp(skb, onLink(dev, dst), 0, 255, source, dst);
  }
}

/** A route for one packet to a neighbour on the link, whatever the tables say (icmp6_dst_alloc). */
function onLink(dev: NetDevice, dst: Uint8Array): Route {
  return new Route(
    {
      family: 10,
      dst,
      prefixLen: 128,
      type: 'unicast',
      table: RT_TABLE_LOCAL,
      dev,
      gateway: null,
      metric: 0,
      scope: RT_SCOPE_LINK,
      protocol: RTPROT_KERNEL,
      prefSrc: null,
      mtuBytes: 0,
      onlink: true,
      removed: false,
    },
    -1,
  );
}

/** The link-layer address in an option of this type, null when there is none or the options are malformed. */
function option(bytes: Uint8Array, from: number, end: number, type: number): Uint8Array | null {
  for (let i = from; i + 8 <= end;) {
    const lengthBytes = bytes[i + 1] * 8;
    if (lengthBytes === 0 || i + lengthBytes > end) return null;
    if (bytes[i] === type) return bytes.slice(i + 2, i + 8);
    i += lengthBytes;
  }
  return null;
}
