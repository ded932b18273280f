// A packet through the filters of a block (tcf_classify): chains, classifiers by preference, the first filter that matches, its
// actions; what becomes of the packet. skb.at is at the network header, the MAC header is before it.

import type { SkBuff } from '../../../driver/skb.ts';
import { ETH_P_8021Q } from '../packet-types.ts';
import type { TcBlock, TcFilter } from './block.ts';
import { runAction } from './execute.ts';
import type { PacketPort, StepResult } from './execute.ts';
import { PacketKey } from './packet-key.ts';

const ETH_P_ALL = 3;
/** Chains that one packet may be sent to; after that it is dropped (the kernel has no such limit: it would hang). */
const MAX_JUMPS = 64;

export class BlockClassifier {
  private readonly block: TcBlock;
  private readonly key = new PacketKey();

  constructor(block: TcBlock) {
    this.block = block;
  }

  /** What becomes of a packet; 'stolen': an action took it. */
  verdict(skb: SkBuff, port: PacketPort): 'pass' | 'drop' | 'stolen' {
    let chain = 0;
    for (let jumps = 0; jumps < MAX_JUMPS; jumps++) {
      const result = this.runChain(skb, chain, port);
      if (typeof result === 'number') chain = result;
      else if (result === 'stolen') return 'stolen';
      else return result === 'drop' || result === 'trap' ? 'drop' : 'pass';
    }
    return 'drop';
  }

  private runChain(skb: SkBuff, index: number, port: PacketPort): StepResult {
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
        const result = runFilter(filter, skb, port);
        if (result === 'continue' || result === 'reclassify') break;
        return result;
      }
    }
    return 'ok';
  }
}

function runFilter(filter: TcFilter, skb: SkBuff, port: PacketPort): StepResult {
  filter.hits++;
  for (const action of filter.actions) {
    const result = runAction(action, skb, port);
    if (result !== 'pipe') return result;
  }
  return 'ok';
}
