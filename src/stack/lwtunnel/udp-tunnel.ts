// A flow-based tunnel over UDP: VXLAN or Geneve (vxlan_xmit_one, vxlan_rcv, geneve_xmit_skb, geneve_udp_encap_recv; spec D.6 to D.8).
//
// A frame that is too long for the path is fragmented outside, but where the device is a port of a bridge or datapath its sender is
// told, if it can be (too-big.ts). A tunnel takes packets of its port while its device is up.

import { EADDRINUSE } from '../../../driver/errno.ts';
import type { SkBuff } from '../../../driver/skb.ts';
import { StackDrop } from '../outcome.ts';
import type { NetStack } from '../net-stack.ts';
import { PACKET_HOST } from '../packet-types.ts';
import { FlowHasher } from '../tun/flow-hash.ts';
import type { UdpEncapsulation } from './encapsulation.ts';
import { InnerPacket, ecnEncapsulate } from './inner-packet.ts';
import { tooBigAnswer } from './too-big.ts';
import { TunnelLink } from './tunnel-link.ts';
import type { TunnelInfo } from './tunnel-info.ts';
import { TUNNEL_CSUM, TUNNEL_DONT_FRAGMENT, idOfKey32, txInfo } from './tunnel-info.ts';
import type { Path } from './underlay.ts';
import {
  IPPROTO_UDP,
  LINK_RESERVE_BYTES,
  UDP_HEADER_BYTES,
  flowSourcePort,
  isBridgePort,
  pathOf,
  pushUdp,
  scrub,
  sendOuter,
} from './underlay.ts';

const ETH_HEADER_BYTES = 14;

/** The UDP ports of a namespace that tunnels listen on. */
export type TunnelPorts = Map<number, UdpTunnel>;

export class UdpTunnel {
  readonly link: TunnelLink;
  readonly encapsulation: UdpEncapsulation;
  private readonly stack: NetStack;
  private readonly inner = new InnerPacket();
  private readonly hasher: FlowHasher;

  constructor(
    stack: NetStack,
    ports: TunnelPorts,
    name: string,
    mac: Uint8Array,
    encapsulation: UdpEncapsulation,
  ) {
    this.stack = stack;
    this.encapsulation = encapsulation;
    this.hasher = new FlowHasher(stack.tun.flowHash);
    const { port, mostMtuBytes } = encapsulation;
    this.link = new TunnelLink(stack, name, mac, {
      mostMtuBytes,
      open: () => {
        if (ports.has(port)) return -EADDRINUSE;
        ports.set(port, this);
        return 0;
      },
      stop: () => {
        if (ports.get(port) === this) ports.delete(port);
      },
      transmit: (skb) => {
        this.transmit(skb);
      },
    });
    this.link.dev.maxMtuBytes = mostMtuBytes;
  }

  /** UDP source port for a frame (udp_flow_src_port); its flow hash is kept. */
  sourcePort(skb: SkBuff): number {
    const { encapsulation, inner } = this;
    if (skb.hash === 0) {
      inner.read(skb);
      const end = skb.at + skb.lenBytes;
      skb.hash = this.hasher.hash(skb.bytes, inner.networkAt, end, inner.protocol);
    }
    return flowSourcePort(skb.hash, encapsulation.sourceMin, encapsulation.sourceMax);
  }

  /** UDP port that a packet goes to. */
  destinationPort({ tpDst }: TunnelInfo): number {
    const { portByPacket, port } = this.encapsulation;
    return portByPacket && tpDst !== 0 ? tpDst : port;
  }

  private transmit(skb: SkBuff): void {
    const { link, stack, encapsulation } = this;
    const info = txInfo(skb);
    if (info === null) {
      link.refuse(skb, StackDrop.TUNNEL_TXINFO, encapsulation.missingInfoCounter);
      return;
    }
    const path = pathOf(stack, info);
    if (path === null || path.route.dev === link.dev) {
      const reason = path === null ? StackDrop.NO_ROUTE : StackDrop.TUNNEL_LOOP;
      link.refuse(skb, reason, 'tx_errors');
      return;
    }
    this.inner.read(skb);
    const headerBytes = encapsulation.headerBytes(info);
    const overheadBytes = path.ipBytes + UDP_HEADER_BYTES + headerBytes + ETH_HEADER_BYTES;
    if (this.isAnswered(skb, info, path, overheadBytes)) return;
    const sourcePort = this.sourcePort(skb);
    const tos = ecnEncapsulate(info.tos, this.inner.dsfield(skb.bytes));
    if (!stack.kernel.skbs.cowHead(skb, overheadBytes + LINK_RESERVE_BYTES)) {
      link.refuse(skb, StackDrop.NOMEM, 'tx_errors');
      return;
    }
    link.countSent(skb);
    scrub(skb, link.dev.net !== stack.net);
    skb.at -= headerBytes;
    skb.lenBytes += headerBytes;
    encapsulation.write(skb.bytes, skb.at, info);
    const withChecksum = (info.flags & TUNNEL_CSUM) !== 0;
    pushUdp(skb, path, sourcePort, this.destinationPort(info), withChecksum);
    sendOuter(stack, skb, path, {
      protocol: IPPROTO_UDP,
      tos,
      ttl: info.ttl === 0 && encapsulation.ttlByRoute ? path.hopLimit : info.ttl,
      dontFragment: (info.flags & TUNNEL_DONT_FRAGMENT) !== 0,
      label: info.label,
    });
  }

  /** skb_tunnel_check_pmtu: true when the frame was too long and its sender was told; the frame has ended then. */
  private isAnswered(skb: SkBuff, info: TunnelInfo, path: Path, overheadBytes: number): boolean {
    const { link, stack, inner } = this;
    const mtuBytes = path.route.pathMtuBytes - overheadBytes;
    if (skb.at + skb.lenBytes - inner.networkAt <= mtuBytes) return false;
    if (skb.pktType === PACKET_HOST || !isBridgePort(stack, link.dev)) return false;
    const answer = tooBigAnswer(stack.kernel, skb, inner, mtuBytes);
    if (answer === null) return false;
    if (this.encapsulation.kind === 'vxlan') link.stats.tx_packets++;
    else link.stats.tx_errors++;
    link.answer(answer, { ...info, src: info.dst, dst: path.src });
    stack.drop(skb, StackDrop.PKT_TOO_BIG);
    return true;
  }

  /** A UDP packet to this tunnel's port: skb.at at the outer IP header, transportAt at UDP's. Takes the packet. */
  receive(skb: SkBuff, udpBytes: number): void {
    const { bytes, at, transportAt } = skb;
    const end = transportAt + udpBytes;
    const header = this.encapsulation.read(bytes, transportAt + UDP_HEADER_BYTES, end);
    if (header === null) {
      this.stack.drop(skb, StackDrop.TUNNEL_HEADER);
      return;
    }
    const hasChecksum = (bytes[transportAt + 6] | bytes[transportAt + 7]) !== 0;
    const info: TunnelInfo = {
      ...outerOf(bytes, at),
      isTx: false,
      id: idOfKey32(header.vni),
      flags: header.flags | (hasChecksum ? TUNNEL_CSUM : 0),
      tpSrc: (bytes[transportAt] << 8) | bytes[transportAt + 1],
      tpDst: (bytes[transportAt + 2] << 8) | bytes[transportAt + 3],
      options: header.options,
    };
    this.link.receive(skb, header.innerAt, end, info, { checksOwn: true, macBytes: 0 });
  }
}

/** What the metadata takes from the outer IP header (ip_tun_rx_dst, ipv6_tun_rx_dst). */
export function outerOf(
  bytes: Uint8Array,
  at: number,
): Pick<TunnelInfo, 'src' | 'dst' | 'tos' | 'ttl' | 'label'> {
  if (bytes[at] >> 4 === 4)
    return {
      src: bytes.slice(at + 12, at + 16),
      dst: bytes.slice(at + 16, at + 20),
      tos: bytes[at + 1],
      ttl: bytes[at + 8],
      label: 0,
    };
  return {
    src: bytes.slice(at + 8, at + 24),
    dst: bytes.slice(at + 24, at + 40),
    tos: ((bytes[at] & 15) << 4) | (bytes[at + 1] >> 4),
    ttl: bytes[at + 7],
    label: ((bytes[at + 1] & 15) << 16) | (bytes[at + 2] << 8) | bytes[at + 3],
  };
}
