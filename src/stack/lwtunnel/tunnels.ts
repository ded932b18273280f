// The flow-based tunnel devices of a network namespace: making and removing them with the kernel's refusals, and what of received packets is
// for them (UDP ports, protocol 47).
//
// Left out: a device that serves packets of another namespace than the one it was made in after that one is gone.

import { EBUSY, EEXIST } from '../../../driver/errno.ts';
import type { NetDevice } from '../../../driver/netdev.ts';
import type { SkBuff } from '../../../driver/skb.ts';
import { OK, refuse } from '../answer.ts';
import type { Answer } from '../answer.ts';
import { ICMP_DEST_UNREACH } from '../ip/icmp.ts';
import type { NetStack } from '../net-stack.ts';
import { StackDrop } from '../outcome.ts';
import { geneve } from './geneve.ts';
import type { GeneveConfig } from './geneve.ts';
import { GreTunnel } from './gre-tunnel.ts';
import { geneveKind, gretapKind, vxlanKind } from './tunnel-kind.ts';
import type { TunnelLink } from './tunnel-link.ts';
import type { TunnelInfo } from './tunnel-info.ts';
import { txInfo } from './tunnel-info.ts';
import { UdpTunnel } from './udp-tunnel.ts';
import type { TunnelPorts } from './udp-tunnel.ts';
import { pathOf } from './underlay.ts';
import { vxlan } from './vxlan.ts';
import type { VxlanConfig } from './vxlan.ts';
import type { LinkKind } from '../link-kind.ts';

const ICMP_PORT_UNREACH = 3;

export class Tunnels {
  private readonly stack: NetStack;
  /** Tunnels whose device is up, by UDP port. */
  private readonly ports: TunnelPorts = new Map();
  private readonly udp = new Map<NetDevice, UdpTunnel>();
  private gre: GreTunnel | null = null;

  private constructor(stack: NetStack) {
    this.stack = stack;
  }

  /** The tunnels of a namespace; the first call loads the modules, as it were. */
  static of(stack: NetStack): Tunnels {
    stack.tunnels ??= new Tunnels(stack);
    return stack.tunnels;
  }

  /** `ip link add NAME type vxlan ... external`: EEXIST for a second one on a port. */
  addVxlan(name: string, mac: Uint8Array, config: VxlanConfig): Answer {
    if (this.hasUdp('vxlan', config.port))
      return refuse(EEXIST, 'A VXLAN device with the specified VNI already exists', 'tunnel-port');
    const tunnel = new UdpTunnel(this.stack, this.ports, name, mac, vxlan(config));
    return this.addUdp(tunnel, vxlanKind(config, this.remover(tunnel.link)));
  }

  /** `ip link add NAME type geneve external`: EBUSY for a second one on a port. */
  addGeneve(name: string, mac: Uint8Array, config: GeneveConfig): Answer {
    if (this.hasUdp('geneve', config.port)) return refuse(EBUSY, '', 'tunnel-port');
    const tunnel = new UdpTunnel(this.stack, this.ports, name, mac, geneve(config));
    tunnel.link.dev.mtuBytes = tunnel.encapsulation.mostMtuBytes;
    return this.addUdp(tunnel, geneveKind(config, this.remover(tunnel.link)));
  }

  /** `ip link add NAME type gretap external`: EEXIST for a second one. */
  addGretap(name: string, mac: Uint8Array): Answer {
    if (this.gre !== null) return refuse(EEXIST, '', 'tunnel-gre');
    const tunnel = new GreTunnel(this.stack, name, mac);
    const answer = this.register(tunnel.link, gretapKind(this.remover(tunnel.link)));
    if (answer.error === 0) this.gre = tunnel;
    return answer;
  }

  /**
   * ndo_fill_metadata_dst: a packet's metadata with what sending it would add, its source and its ports. null for other devices,
   * packets that do not say where to, and where there is no way.
   */
  fill(skb: SkBuff, dev: NetDevice): TunnelInfo | null {
    const info = txInfo(skb);
    const udp = this.udp.get(dev);
    const isGre = this.gre?.link.dev === dev;
    if (info === null || (udp === undefined && !(isGre && info.dst.length === 4))) return null;
    const path = pathOf(this.stack, info);
    if (path === null || path.route.dev === dev || (udp !== undefined && !dev.isUp)) return null;
    if (udp === undefined) return { ...info, src: path.src };
    const [tpSrc, tpDst] = [udp.sourcePort(skb), udp.destinationPort(info)];
    return { ...info, src: path.src, tpSrc, tpDst };
  }

  /** A UDP packet for this host (skb.at at the IP header, transportAt at UDP's, checksum good): true when a tunnel took it. */
  receiveUdp(skb: SkBuff, udpBytes: number): boolean {
    const { bytes, transportAt } = skb;
    const tunnel = this.ports.get((bytes[transportAt + 2] << 8) | bytes[transportAt + 3]);
    if (tunnel === undefined) return false;
    tunnel.receive(skb, udpBytes);
    return true;
  }

  /** Whether UDP over IPv6 to a port may go without a checksum. */
  takesZeroChecksum6(port: number): boolean {
    return this.ports.get(port)?.encapsulation.zeroChecksum6 ?? false;
  }

  /** A packet of protocol 47 for this host: false when GRE is not loaded. */
  receiveGre(skb: SkBuff): boolean {
    if (this.gre === null) return false;
    if (this.gre.receive(skb)) return true;
    this.stack.icmp.sendError4(skb, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, 0);
    this.stack.drop(skb, StackDrop.NO_SOCKET);
    return true;
  }

  private forget(dev: NetDevice): void {
    this.udp.delete(dev);
    if (this.gre?.link.dev === dev) this.gre = null;
  }

  private hasUdp(kind: string, port: number): boolean {
    return [...this.udp.values()].some(
      ({ encapsulation }) => encapsulation.kind === kind && encapsulation.port === port,
    );
  }

  private addUdp(tunnel: UdpTunnel, kind: LinkKind): Answer {
    const answer = this.register(tunnel.link, kind);
    if (answer.error === 0) this.udp.set(tunnel.link.dev, tunnel);
    return answer;
  }

  private register({ dev }: TunnelLink, kind: LinkKind): Answer {
    const { kernel, links } = this.stack;
    const error = kernel.register_netdev(dev, links.net);
    if (error !== 0) return { error, message: '', reason: 'link-name' };
    links.setKind(dev, kind);
    return OK;
  }

  private remover({ dev }: TunnelLink): () => Answer {
    return () => {
      this.stack.kernel.unregister_netdev(dev);
      this.forget(dev);
      return OK;
    };
  }
}
