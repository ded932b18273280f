// ARP (RFC 826, net/ipv4/arp.c): answers requests for this host's addresses, learns from them, takes replies and gratuitous
// announcements for neighbours it knows, and asks for unresolved ones.
//
// Left out: proxy ARP, arp_ignore/arp_announce/arp_accept other than their defaults, hardware types other than Ethernet.

import type { NetDevice } from '../../../driver/netdev.ts';
import { IFF_LOOPBACK } from '../../../driver/netdev.ts';
import type { SkBuff } from '../../../driver/skb.ts';
import { PS_PER_S } from '../../../hw/time/units.ts';
import { LOCAL_PACKET_PS } from '../costs.ts';
import type { TunnelInfo } from '../lwtunnel/tunnel-info.ts';
import type { NetStack } from '../net-stack.ts';
import { ETH_P_ARP, PACKET_HOST, PACKET_OTHERHOST } from '../packet-types.ts';
import { StackDrop } from '../outcome.ts';
import { loadInt32, storeUint16 } from './address.ts';
import type { Neighbour } from './neigh.ts';
import { encapOf, NUD_REACHABLE, NUD_STALE } from './neigh.ts';

const ARP_BYTES = 28;
const OP_REQUEST = 1;
const OP_REPLY = 2;
/** A different MAC is not taken from a reply within this time of the last change (LOCKTIME). */
const LOCK_PS = PS_PER_S;

const BROADCAST_MAC = new Uint8Array(6).fill(0xff);

export class Arp {
  private readonly stack: NetStack;
  /** The packet's addresses: a neighbour update may send queued packets and reuse buffers. */
  private readonly senderMac = new Uint8Array(6);
  private readonly senderIp = new Uint8Array(4);
  private readonly targetIp = new Uint8Array(4);

  constructor(stack: NetStack) {
    this.stack = stack;
  }

  /** skb.at at the ARP header. Takes the packet. */
  receive(skb: SkBuff, dev: NetDevice): void {
    const { stack } = this;
    if (skb.pktType === PACKET_OTHERHOST || (dev.flags & IFF_LOOPBACK) !== 0) {
      stack.drop(skb, StackDrop.OTHERHOST);
      return;
    }
    const { bytes, at } = skb;
    const op = (bytes[at + 6] << 8) | bytes[at + 7];
    const fits =
      skb.lenBytes >= ARP_BYTES &&
      bytes[at] === 0 &&
      bytes[at + 1] === 1 &&
      bytes[at + 2] === 0x08 &&
      bytes[at + 3] === 0x00 &&
      bytes[at + 4] === 6 &&
      bytes[at + 5] === 4 &&
      (op === OP_REQUEST || op === OP_REPLY);
    const targetWord = loadInt32(bytes, at + 24);
    const target0 = targetWord >>> 24;
    if (!fits || target0 === 127 || (target0 >= 224 && target0 < 240)) {
      stack.drop(skb, StackDrop.UNHANDLED_PROTO);
      return;
    }
    this.senderMac.set(bytes.subarray(at + 8, at + 14));
    this.senderIp.set(bytes.subarray(at + 14, at + 18));
    this.targetIp.set(bytes.subarray(at + 24, at + 28));
    const toUs = skb.pktType === PACKET_HOST;
    stack.consume(skb, 'arp');
    this.process(dev, op, toUs);
  }

  /** Asks who has the neighbour's address: broadcast, or to its last known MAC (probe). */
  solicit(neighbour: Neighbour, unicast: boolean): void {
    const source = this.stack.addresses.select4(neighbour.dev, neighbour.address);
    if (source === null) return;
    const to = unicast ? neighbour.mac : BROADCAST_MAC;
    this.send(neighbour.dev, OP_REQUEST, to, source, null, neighbour.address, encapOf(neighbour));
  }

  private process(dev: NetDevice, op: number, toUs: boolean): void {
    const { stack, senderIp, senderMac, targetIp } = this;
    const targetWord = loadInt32(targetIp, 0);
    const senderWord = loadInt32(senderIp, 0);
    const forUs = stack.addresses.isLocal4(targetWord);
    if (op === OP_REQUEST && forUs && (senderWord === 0 || this.validSource(senderWord))) {
      const reply = senderMac.slice();
      const replyIp = senderIp.slice();
      if (senderWord !== 0) {
        const neighbour = stack.neigh.findOrCreate(dev, senderIp, 0, 4);
        stack.neigh.update(neighbour, reply, NUD_STALE, true, false);
      }
      this.send(dev, OP_REPLY, reply, targetIp.slice(), reply, replyIp);
      return;
    }
    const neighbour = stack.neigh.find(dev, senderIp);
    if (neighbour === null) return;
    const gratuitous = senderWord === targetWord;
    const override = stack.scheduler.nowPs > neighbour.updatedPs + LOCK_PS || gratuitous;
    const state = op === OP_REPLY && toUs ? NUD_REACHABLE : NUD_STALE;
    stack.neigh.update(neighbour, senderMac.slice(), state, override, false);
  }

  /** A sender that a route leads to and that is not this host itself. */
  private validSource(senderWord: number): boolean {
    return (
      !this.stack.addresses.isLocal4(senderWord) && this.stack.fib.lookup4(senderWord) !== null
    );
  }

  private send(
    dev: NetDevice,
    op: number,
    toMac: Uint8Array,
    fromIp: Uint8Array,
    targetMac: Uint8Array | null,
    targetIp: Uint8Array,
    tunnelInfo: TunnelInfo | null = null,
  ): void {
    const { kernel } = this.stack;
    kernel.charge(LOCAL_PACKET_PS);
    const skb = kernel.alloc_skb(14 + ARP_BYTES);
    if (skb === null) return;
    const { bytes, at } = skb;
    bytes.set(toMac, at);
    bytes.set(dev.mac, at + 6);
    storeUint16(bytes, at + 12, ETH_P_ARP);
    const arp = at + 14;
    bytes.set([0, 1, 8, 0, 6, 4, 0, op], arp);
    bytes.set(dev.mac, arp + 8);
    bytes.set(fromIp, arp + 14);
    if (targetMac === null) bytes.fill(0, arp + 18, arp + 24);
    else bytes.set(targetMac, arp + 18);
    bytes.set(targetIp, arp + 24);
    skb.lenBytes = 14 + ARP_BYTES;
    skb.macAt = at;
    skb.networkAt = arp;
    skb.protocol = ETH_P_ARP;
    skb.tunnelInfo = tunnelInfo;
    this.stack.xmit(skb, dev);
  }
}
