// ndo_setup_tc of the reference driver: binds a tc block or a flowtable of the stack to this function of the card.
//
// tc filters go to flower.ts, flowtable entries to flow-block.ts; a card without a flow table takes no flowtable. Only ingress blocks are taken; `hw-tc-offload off` refuses
// each filter (EOPNOTSUPP, reason 'offload-disabled'), as drivers do that check it in their callback. When a flowtable is
// unbound the driver takes its entries out by itself: the kernel does not ask for each.

import { adapterOf } from './adapter.ts';
import type { TwinAdapter } from './adapter.ts';
import { setupFlow } from './flow-block.ts';
import { setupRule } from './flower.ts';
import { EOPNOTSUPP } from '../errno.ts';
import {
  FLOW_BLOCK_UNBIND,
  TC_SETUP_FT,
  blockOffloadOf,
  flow_block_cb_setup_simple,
} from '../flow-block.ts';
import type {
  FlowBlockRequest,
  FlowSetupCallback,
  TcSetupData,
  TcSetupType,
} from '../flow-block.ts';
import type { NetDevice } from '../netdev.ts';

/** ndo_setup_tc: see driver/netdev.ts. */
export function twinSetupTc(dev: NetDevice, type: TcSetupType, data: TcSetupData): number {
  const offload = blockOffloadOf(type, data);
  if (offload === null) return -EOPNOTSUPP;
  const adapter = adapterOf(dev);
  const { block } = offload;
  if (type === TC_SETUP_FT) {
    if (!adapter.hasFlowTable) return -EOPNOTSUPP;
    const flowCallback: FlowSetupCallback = (request, done) => {
      setupFlow(adapter, block, request, done);
    };
    const error = flow_block_cb_setup_simple(offload, dev, flowCallback, adapter, true);
    if (error === 0 && offload.command === FLOW_BLOCK_UNBIND)
      adapter.flows.removeBlock(adapter, block);
    return error;
  }
  return flow_block_cb_setup_simple(offload, dev, ruleCallback(adapter), adapter, true);
}

function ruleCallback(adapter: TwinAdapter): FlowSetupCallback {
  return (request, done) => {
    if (adapter.dev.hwTcOffload) setupRule(adapter, request, done);
    else done(refuseDisabled(request));
  };
}

function refuseDisabled(request: FlowBlockRequest): number {
  request.common.extack.message = 'TC offload is disabled on net device';
  request.common.extack.reason = 'offload-disabled';
  return -EOPNOTSUPP;
}
