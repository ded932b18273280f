// Devices and blocks: a driver's callback joins a block (tcf_block_offload_bind), is given the filters that are there
// (tcf_block_playback_offloads), and is told to delete them when its device leaves.

import { EOPNOTSUPP } from '../../../driver/errno.ts';
import {
  FLOW_BLOCK_BIND,
  FLOW_BLOCK_BINDER_TYPE_CLSACT_EGRESS,
  FLOW_BLOCK_BINDER_TYPE_CLSACT_INGRESS,
  FLOW_BLOCK_UNBIND,
  TC_SETUP_BLOCK,
} from '../../../driver/flow-block.ts';
import type { FlowBlockCallback, FlowBlockOffload } from '../../../driver/flow-block.ts';
import type { NetDevice } from '../../../driver/netdev.ts';
import { OK, refuse } from '../answer.ts';
import type { Answer } from '../answer.ts';
import type { Direction, TcBlock, TcFilter } from './block.ts';
import { ruleOf } from './flow-rule-of.ts';
import type { RuleContext } from './flow-rule-of.ts';
import type { FilterOffload, FilterPlace } from './offload.ts';

export class BlockBinding {
  private readonly offload: FilterOffload;
  private readonly context: RuleContext;

  constructor(offload: FilterOffload, context: RuleContext) {
    this.offload = offload;
    this.context = context;
  }

  /** tcf_block_offload_bind: a driver that cannot is counted, unless hardware has filters of the block already. */
  bind(block: TcBlock, dev: NetDevice, direction: Direction): Answer {
    const inUse = block.offloadCount > 0;
    if (dev.ops.ndo_setup_tc !== undefined && !dev.hwTcOffload && inUse) {
      const said = 'Bind to offloaded block failed as dev has offload disabled';
      return refuse(EOPNOTSUPP, said, 'offload-disabled');
    }
    const offload = request(block, direction, FLOW_BLOCK_BIND);
    const error = dev.ops.ndo_setup_tc?.(dev, TC_SETUP_BLOCK, offload) ?? -EOPNOTSUPP;
    if (error === -EOPNOTSUPP) {
      if (inUse) return refuse(EOPNOTSUPP, '', 'offload-in-use');
      block.unbound.add(dev);
      return OK;
    }
    if (error !== 0) return refuse(-error, offload.extack.message, offload.extack.reason);
    for (const bound of offload.cbList) {
      const refused = this.replay(block, bound);
      if (refused !== null) {
        this.unbind(block, dev, direction);
        return refused;
      }
      block.callbacks.push(bound);
    }
    return OK;
  }

  /** tcf_block_playback_offloads: the filters that are there, for a driver that joins; its refusal of one with skip_sw. */
  private replay(block: TcBlock, bound: FlowBlockCallback): Answer | null {
    const done: { place: FilterPlace; filter: TcFilter }[] = [];
    for (const { chain, proto, filter } of block.all()) {
      if (filter.skipHw) continue;
      if (filter.flowRule === null) {
        const rule = ruleOf(filter.keys, filter.actions, this.context);
        if (typeof rule === 'string') continue;
        filter.flowRule = rule;
      }
      const place = { block, chain, proto };
      const extack = { message: '', reason: '' };
      const error = this.offload.replaceIn(bound, place, filter, extack);
      if (error === 0) done.push({ place, filter });
      else if (filter.skipSw) {
        for (const one of done) this.offload.destroyIn(bound, one.place, one.filter);
        return refuse(-error, extack.message, extack.reason);
      }
    }
    return null;
  }

  unbind(block: TcBlock, dev: NetDevice, direction: Direction): void {
    if (block.unbound.delete(dev)) return;
    const before = [...block.callbacks];
    dev.ops.ndo_setup_tc?.(dev, TC_SETUP_BLOCK, request(block, direction, FLOW_BLOCK_UNBIND));
    for (const bound of before)
      if (!block.callbacks.includes(bound))
        for (const { chain, proto, filter } of block.all())
          if (filter.flowRule !== null)
            this.offload.destroyIn(bound, { block, chain, proto }, filter);
  }
}

function request(
  block: TcBlock,
  direction: Direction,
  command: FlowBlockOffload['command'],
): FlowBlockOffload {
  const binderType =
    direction === 'ingress'
      ? FLOW_BLOCK_BINDER_TYPE_CLSACT_INGRESS
      : FLOW_BLOCK_BINDER_TYPE_CLSACT_EGRESS;
  const blockShared = block.index > 0;
  const extack = { message: '', reason: '' };
  return { command, binderType, blockShared, block, cbList: [], extack };
}
