// `netdevsim`'s offload hooks (drivers/net/netdevsim of Linux 6.1): it binds tc blocks and refuses everything in them but BPF
// classifiers, of which there are none here. Flowtables it does not know.

import { EOPNOTSUPP } from '../../errno.ts';
import { TC_SETUP_FT, blockOffloadOf, flow_block_cb_setup_simple } from '../../flow-block.ts';
import type { FlowSetupCallback } from '../../flow-block.ts';
import type { NetDeviceOps } from '../../netdev.ts';

const IDENT = { name: 'netdevsim' };

const refuseAll: FlowSetupCallback = (request, done) => {
  request.common.extack.message = 'netdevsim: only offload of BPF classifiers supported';
  request.common.extack.reason = 'classifier';
  done(-EOPNOTSUPP);
};

export const NETDEVSIM_TC_OPS: Pick<NetDeviceOps, 'ndo_setup_tc'> = {
  ndo_setup_tc(dev, type, data): number {
    const offload = blockOffloadOf(type, data);
    if (offload === null || type === TC_SETUP_FT) return -EOPNOTSUPP;
    return flow_block_cb_setup_simple(offload, dev, refuseAll, IDENT, false);
  },
};
