// Software classification (sch_handle_ingress; egress.ts has the other direction): before netfilter and the IP layer a packet runs
// through the filters of its device that are not skip_sw, chain by chain, in order of preference.
//
// A device without filters costs nothing: its hook is registered with the qdisc. Not here: reclassification more than once.

import type { NetDevice } from '../../../driver/netdev.ts';
import type { SkBuff } from '../../../driver/skb.ts';
import { HOOK_POINT_PS } from '../costs.ts';
import { toMacHeader, toNetworkHeader } from '../mac-header.ts';
import { NF_ACCEPT, NF_STOLEN } from '../netfilter/hooks.ts';
import type { Hook, NetfilterHooks } from '../netfilter/hooks.ts';
import { PATH_CLASSIC, StackDrop } from '../outcome.ts';
import type { StackObserver } from '../outcome.ts';
import type { TcBlock } from './block.ts';
import { BlockClassifier } from './block-classifier.ts';
import type { TcQdisc, TrafficControl } from './control.ts';
import { EgressHooks } from './egress.ts';
import type { PacketPort } from './execute.ts';

/** What classification asks of the stack. */
export interface ClassifierPort {
  readonly kernel: {
    charge(costPs: number): void;
    skb_copy(skb: SkBuff): SkBuff | null;
  };
  readonly scheduler: { readonly nowPs: number };
  readonly hooks: NetfilterHooks;
  readonly observer: StackObserver;
  readonly links: { byName(name: string): NetDevice | null };
  /** Egress filters; null while no device has any qdisc for them. */
  egress: EgressHooks | null;
  xmit(skb: SkBuff, dev: NetDevice): void;
  drop(skb: SkBuff, reason: StackDrop): void;
  release(skb: SkBuff): void;
}

/** Hangs the blocks of traffic control into the stack. */
export function attachClassifier(control: TrafficControl, port: ClassifierPort): void {
  const hooks = new Map<NetDevice, IngressHook>();
  const egress = new EgressHooks(port);
  control.onAttach = (qdisc: TcQdisc, attached: boolean): void => {
    const { dev } = qdisc;
    const old = hooks.get(dev);
    if (old !== undefined) port.hooks.unregisterIngress(dev, old);
    hooks.delete(dev);
    egress.set(dev, attached ? qdisc.egress : null);
    port.egress = egress.isEmpty ? null : egress;
    if (!attached) return;
    const hook = new IngressHook(qdisc.ingress, port);
    hooks.set(dev, hook);
    port.hooks.registerIngress(dev, hook);
  };
}

class IngressHook implements Hook, PacketPort {
  readonly name = 'tc ingress';
  /** Before every netfilter hook at ingress. */
  readonly priority = -Infinity;

  private readonly block: TcBlock;
  private readonly port: ClassifierPort;
  private readonly classifier: BlockClassifier;

  constructor(block: TcBlock, port: ClassifierPort) {
    this.block = block;
    this.port = port;
    this.classifier = new BlockClassifier(block);
  }

  get nowPs(): number {
    return this.port.scheduler.nowPs;
  }

  run(skb: SkBuff): number {
    if (this.block.chains.length === 0) return NF_ACCEPT;
    this.port.kernel.charge(HOOK_POINT_PS);
    const verdict = this.classifier.verdict(skb, this);
    if (verdict === 'pass') return NF_ACCEPT;
    if (verdict === 'drop') this.port.drop(skb, StackDrop.TC_INGRESS);
    return NF_STOLEN;
  }

  mirror(skb: SkBuff, device: string): void {
    const copy = this.port.kernel.skb_copy(toMacHeader(skb));
    toNetworkHeader(skb);
    const dev = this.port.links.byName(device);
    if (copy === null) return;
    if (dev === null) this.port.release(copy);
    else this.port.xmit(copy, dev);
  }

  redirect(skb: SkBuff, device: string): void {
    const dev = this.port.links.byName(device);
    if (dev === null) {
      this.port.drop(skb, StackDrop.TC_INGRESS);
      return;
    }
    if (skb.packetId >= 0) this.port.observer.onForward(skb.packetId, PATH_CLASSIC);
    this.port.xmit(toMacHeader(skb), dev);
  }
}
