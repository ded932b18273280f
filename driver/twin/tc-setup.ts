// ndo_setup_tc of the reference driver: binds a tc block or a flowtable of the stack to this function of the card.
//
// tc filters go to flower.ts, flowtable entries to flow-block.ts. Only ingress blocks are taken; `hw-tc-offload off` refuses
// each request (EOPNOTSUPP, reason 'offload-disabled'), as drivers do that check it in their callback.

import { adapterOf } from './adapter.ts';
import type { TwinAdapter } from './adapter.ts';
import { setupRule } from './flower.ts';
import { EOPNOTSUPP } from '../errno.ts';
import { TC_SETUP_FT, blockOffloadOf, flow_block_cb_setup_simple } from '../flow-block.ts';
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
  if (offload === null || type === TC_SETUP_FT) return -EOPNOTSUPP;
  const adapter = adapterOf(dev);
  return flow_block_cb_setup_simple(offload, dev, callbackOf(adapter), adapter, true);
}

function callbackOf(adapter: TwinAdapter): FlowSetupCallback {
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
