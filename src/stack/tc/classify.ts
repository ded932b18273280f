// Software classification at ingress (sch_handle_ingress): before netfilter and the IP layer a packet runs through the filters of its
// device that are not skip_sw, chain by chain, in order of preference.
//
// A device without filters costs nothing: its hook is registered with the qdisc. Not here: egress (filters there are kept and
// listed, packets do not pass them: `setFilter` refuses any but skip_sw), reclassification more than once.

import type { NetDevice } from '../../../driver/netdev.ts';
import type { SkBuff } from '../../../driver/skb.ts';
import { HOOK_POINT_PS } from '../costs.ts';
import { NF_ACCEPT, NF_STOLEN } from '../netfilter/hooks.ts';
import type { Hook, NetfilterHooks } from '../netfilter/hooks.ts';
import { PATH_CLASSIC, StackDrop } from '../outcome.ts';
import type { StackObserver } from '../outcome.ts';
import type { TcBlock, TcFilter } from './block.ts';
import type { TcQdisc, TrafficControl } from './control.ts';
import { runAction } from './execute.ts';
import type { PacketPort, StepResult } from './execute.ts';
import { PacketKey } from './packet-key.ts';

const ETH_P_ALL = 3;
const ETH_P_8021Q = 0x8100;
/** Chains that one packet may be sent to; after that it is dropped (the kernel has no such limit: it would hang). */
const MAX_JUMPS = 64;

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
  xmit(skb: SkBuff, dev: NetDevice): void;
  drop(skb: SkBuff, reason: StackDrop): void;
  release(skb: SkBuff): void;
}

/** Hangs the ingress blocks of traffic control into the stack. */
export function attachClassifier(control: TrafficControl, port: ClassifierPort): void {
  const hooks = new Map<NetDevice, IngressHook>();
  control.onAttach = (qdisc: TcQdisc, attached: boolean): void => {
    const { dev } = qdisc;
    const old = hooks.get(dev);
    if (old !== undefined) port.hooks.unregisterIngress(dev, old);
    hooks.delete(dev);
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
  private readonly key = new PacketKey();

  constructor(block: TcBlock, port: ClassifierPort) {
    this.block = block;
    this.port = port;
  }

  get nowPs(): number {
    return this.port.scheduler.nowPs;
  }

  run(skb: SkBuff): number {
    if (this.block.chains.length === 0) return NF_ACCEPT;
    this.port.kernel.charge(HOOK_POINT_PS);
    let chain = 0;
    for (let jumps = 0; jumps < MAX_JUMPS; jumps++) {
      const result = this.runChain(skb, chain);
      if (typeof result === 'number') {
        chain = result;
        continue;
      }
      if (result === 'stolen') return NF_STOLEN;
      if (result !== 'drop' && result !== 'trap') return NF_ACCEPT;
      break;
    }
    this.port.drop(skb, StackDrop.TC_INGRESS);
    return NF_STOLEN;
  }

  mirror(skb: SkBuff, device: string): void {
    const copy = this.port.kernel.skb_copy(withMac(skb));
    withoutMac(skb);
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
    this.port.xmit(withMac(skb), dev);
  }

  private runChain(skb: SkBuff, index: number): StepResult {
    const chain = this.block.chain(index);
    // A chain that nobody made has no filters: the packet goes on.
    if (chain === undefined) return 'ok';
    const { key } = this;
    key.read(skb);
    const protocol = skb.vlanTci >= 0 ? ETH_P_8021Q : skb.protocol;
    for (const proto of chain.protos) {
      if (proto.protocol !== ETH_P_ALL && proto.protocol !== protocol) continue;
      for (const filter of proto.filters) {
        if (filter.skipSw || !key.matches(filter.match)) continue;
        const result = this.runFilter(filter, skb);
        if (result === 'continue' || result === 'reclassify') break;
        return result;
      }
    }
    return 'ok';
  }

  private runFilter(filter: TcFilter, skb: SkBuff): StepResult {
    filter.hits++;
    for (const action of filter.actions) {
      const result = runAction(action, skb, this);
      if (result !== 'pipe') return result;
    }
    return 'ok';
  }
}

/** The frame from its MAC header on. */
function withMac(skb: SkBuff): SkBuff {
  skb.lenBytes += skb.at - skb.macAt;
  skb.at = skb.macAt;
  return skb;
}

function withoutMac(skb: SkBuff): void {
  skb.lenBytes -= skb.networkAt - skb.at;
  skb.at = skb.networkAt;
}
