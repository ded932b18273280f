// net.core.*: the limits of a softirq run, busy polling, RFS (Documentation/admin-guide/sysctl/net.rst): of the machine, so only the
// initial namespace has them.
//
// dev_weight bounds the backlog NAPI of RPS and loopback, which the model does not have: it can be read, and set to its default only.

import { NETDEV_BUDGET, NETDEV_BUDGET_PS } from '../../driver/host-core.ts';
import type { Kernel } from '../../driver/kernel.ts';
import { NAPI_POLL_WEIGHT } from '../../driver/napi.ts';
import type { Sysctl } from './sysctl.ts';

const PS_PER_US = 1e6;

/** Registers the parameters; they act from the next softirq run on. */
export function registerCoreConf(sysctl: Sysctl, kernel: Kernel): void {
  const limits = kernel.softirqLimits;
  const budget = (packets: number): void => {
    limits.budgetPackets = packets;
  };
  const budgetTime = (us: number): void => {
    limits.budgetPs = us * PS_PER_US;
  };
  const busyRead = (us: number): void => {
    kernel.busyReadUs = us;
  };
  sysctl.register('net/core/netdev_budget', NETDEV_BUDGET, budget);
  sysctl.register('net/core/netdev_budget_usecs', NETDEV_BUDGET_PS / PS_PER_US, budgetTime);
  const weight = NAPI_POLL_WEIGHT;
  for (const name of ['dev_weight', 'dev_weight_rx_bias', 'dev_weight_tx_bias']) {
    const value = name === 'dev_weight' ? weight : 1;
    sysctl.register(`net/core/${name}`, value, null, value, value);
  }
  const flowEntries = (entries: number): void => {
    kernel.receiveSteering.setSockFlowEntries(entries);
    // Reads as the table's size, which is rounded up to a power of two (rps_sock_flow_sysctl).
    sysctl.keep('net/core/rps_sock_flow_entries', kernel.receiveSteering.sockFlowEntries);
  };
  sysctl.register('net/core/rps_sock_flow_entries', 0, flowEntries, 0, 1 << 29);
  sysctl.register('net/core/busy_read', 0, busyRead, 0);
  // poll() and select() of sockets, of which there are none: kept.
  sysctl.register('net/core/busy_poll', 0, null, 0);
}
