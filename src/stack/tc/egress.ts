// Software classification at egress (sch_handle_egress): a frame on its way to a device runs through the filters of its clsact qdisc.
//
// A VLAN tag in the frame is taken out for the filters, as the kernel has it beside the packet, and put back after them. Redirection
// from egress to egress is followed four times (MIRRED_NEST_LIMIT), then the packet is dropped.

import type { NetDevice } from '../../../driver/netdev.ts';
import type { SkBuff } from '../../../driver/skb.ts';
import { HOOK_POINT_PS } from '../costs.ts';
import { pastMacHeader, toMacHeader, toNetworkHeader } from '../mac-header.ts';
import { StackDrop } from '../outcome.ts';
import { popVlanTag, pushVlanTag } from '../vlan-tag.ts';
import type { TcBlock } from './block.ts';
import { BlockClassifier } from './block-classifier.ts';
import type { ClassifierPort } from './classify.ts';
import type { PacketPort } from './execute.ts';

const MIRRED_NEST_LIMIT = 4;

export class EgressHooks implements PacketPort {
  private readonly port: ClassifierPort;
  private readonly hooks = new Map<NetDevice, { block: TcBlock; classifier: BlockClassifier }>();
  private depth = 0;

  constructor(port: ClassifierPort) {
    this.port = port;
  }

  get isEmpty(): boolean {
    return this.hooks.size === 0;
  }

  get nowPs(): number {
    return this.port.scheduler.nowPs;
  }

  /** The block at a device's egress, null for none. */
  set(dev: NetDevice, block: TcBlock | null): void {
    if (block === null) this.hooks.delete(dev);
    else this.hooks.set(dev, { block, classifier: new BlockClassifier(block) });
  }

  /** A frame (skb.at at its MAC header) to `dev`: true when it goes on, else it is gone. */
  pass(skb: SkBuff, dev: NetDevice): boolean {
    const hook = this.hooks.get(dev);
    if (hook === undefined || hook.block.chains.length === 0) return true;
    this.port.kernel.charge(HOOK_POINT_PS);
    const hadTag = skb.vlanTci < 0 && popVlanTag(skb);
    skb.protocol = (skb.bytes[skb.at + 12] << 8) | skb.bytes[skb.at + 13];
    pastMacHeader(skb);
    this.depth++;
    const verdict = this.depth > MIRRED_NEST_LIMIT ? 'drop' : hook.classifier.verdict(skb, this);
    this.depth--;
    if (verdict === 'stolen') return false;
    if (verdict === 'drop') {
      this.port.drop(skb, StackDrop.TC_EGRESS);
      return false;
    }
    toMacHeader(skb);
    if (!hadTag || skb.vlanTci < 0) return true;
    pushVlanTag(skb, skb.vlanTci);
    skb.vlanTci = -1;
    return true;
  }

  mirror(skb: SkBuff, device: string): void {
    const { kernel, links } = this.port;
    const copy = kernel.skb_copy(toMacHeader(skb));
    toNetworkHeader(skb);
    const dev = links.byName(device);
    if (copy === null) return;
    if (dev === null) this.port.release(copy);
    else this.port.xmit(copy, dev);
  }

  redirect(skb: SkBuff, device: string): void {
    const dev = this.port.links.byName(device);
    if (dev === null) this.port.drop(skb, StackDrop.TC_EGRESS);
    else {
      toMacHeader(skb);
      this.port.xmit(skb, dev);
    }
  }
}
