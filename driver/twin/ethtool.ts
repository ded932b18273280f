// ethtool ops of the reference driver: -i, -S, -g, -G. Statistics carry ixgbe's names where ixgbe has them.
//
// hw_flow_hits counts packets as the last bulk counter read saw them (at most a second old while flows are polled).

import { DRIVER_NAME, DRIVER_VERSION, adapterOf } from './adapter.ts';
import type { TwinAdapter } from './adapter.ts';
import { QUEUE_COUNTERS } from './hw-stats.ts';
import { fillStats, twinDown, twinUp } from './netdev-ops.ts';
import { EINVAL } from '../errno.ts';
import type { EthtoolDrvInfo, EthtoolOps, EthtoolRingParam } from '../netdev.ts';
import { zeroStats64 } from '../netdev.ts';
import type { ExtAck, NetDevice } from '../netdev.ts';
import { getRegs } from './regs-dump.ts';
import { ADM_VERSION } from '../../hw/admin/format.ts';

const SLOTS_MIN = 64;
const SLOTS_MAX = 4096;
const SLOTS_STEP = 8;

function sum<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((total, item) => total + value(item), 0);
}

/** All statistics as (name, value), in the order of ethtool -S. */
function collect(adapter: TwinAdapter): [name: string, value: number][] {
  const link = zeroStats64();
  fillStats(adapter, link);
  const { stats: hw, flows, rxStats, txStats } = adapter;
  const list: [string, number][] = [
    ['rx_packets', link.rx_packets],
    ['tx_packets', link.tx_packets],
    ['rx_bytes', link.rx_bytes],
    ['tx_bytes', link.tx_bytes],
    ['rx_pkts_nic', hw.macRxPackets],
    ['tx_pkts_nic', hw.macTxPackets],
    ['rx_bytes_nic', hw.macRxBytes],
    ['tx_bytes_nic', hw.macTxBytes],
    ['multicast', hw.multicast],
    ['rx_errors', link.rx_errors],
    ['rx_dropped', link.rx_dropped],
    ['tx_dropped', link.tx_dropped],
    ['rx_missed_errors', hw.rxMissed],
    ['rx_no_dma_resources', hw.rxNoDescriptor],
    ['rx_crc_errors', hw.rxCrcErrors],
    ['rx_long_length_errors', hw.rxTooLong],
    ['rx_short_length_errors', hw.rxTooShort],
    ['tx_busy', sum(txStats, (tx) => tx.busy)],
    ['tx_restart_queue', sum(txStats, (tx) => tx.restarts)],
    ['alloc_rx_buff_failed', sum(rxStats, (rx) => rx.allocFailed)],
    ['hw_flow_entries', flows.inHardwareCount],
    ['hw_flow_hits', flows.counters.totalPackets],
    ['hw_flow_added', flows.addedCount],
    ['hw_flow_deleted', flows.deletedCount],
    ['hw_flow_refused', flows.refusedCount],
    ['hw_flow_no_space', flows.noSpaceCount],
    ['adm_commands', adapter.admin.sentCount],
    ['adm_timeouts', adapter.admin.timeoutCount],
  ];
  txStats.forEach((tx, q) => {
    list.push([`tx_queue_${q}_packets`, tx.packets], [`tx_queue_${q}_bytes`, tx.bytes]);
  });
  rxStats.forEach((rx, q) => {
    const hardwareDrops = q < QUEUE_COUNTERS ? hw.rxNoDescriptorOfQueue[q] : 0;
    list.push([`rx_queue_${q}_packets`, rx.packets], [`rx_queue_${q}_bytes`, rx.bytes]);
    list.push([`rx_queue_${q}_drops`, rx.drops + hardwareDrops]);
  });
  return list;
}

/** Rounds a ring size as ixgbe does: clamped to the driver's range, then up to a multiple of 8. */
function ringSlots(wanted: number): number {
  const clamped = Math.min(Math.max(wanted, SLOTS_MIN), SLOTS_MAX);
  return Math.ceil(clamped / SLOTS_STEP) * SLOTS_STEP;
}

export const TWIN_ETHTOOL_OPS: EthtoolOps = {
  get_drvinfo(dev: NetDevice): EthtoolDrvInfo {
    const adapter = adapterOf(dev);
    return {
      driver: DRIVER_NAME,
      version: DRIVER_VERSION,
      fw_version: `adminq ${adapter.bar2.read32(ADM_VERSION)}`,
      expansion_rom_version: '',
      bus_info: adapter.pdev.busInfo,
    };
  },

  get_strings(dev: NetDevice): string[] {
    return collect(adapterOf(dev)).map(([name]) => name);
  },

  get_ethtool_stats(dev: NetDevice): number[] {
    return collect(adapterOf(dev)).map(([, value]) => value);
  },

  get_regs: getRegs,

  get_ringparam(dev: NetDevice): EthtoolRingParam {
    const { rxSlots, txSlots } = adapterOf(dev);
    return {
      rx_max_pending: SLOTS_MAX,
      tx_max_pending: SLOTS_MAX,
      rx_pending: rxSlots,
      tx_pending: txSlots,
    };
  },

  set_ringparam(dev: NetDevice, param: EthtoolRingParam, extack: ExtAck): number {
    const adapter = adapterOf(dev);
    if (param.rx_pending > SLOTS_MAX || param.tx_pending > SLOTS_MAX) {
      extack.message = 'requested ring size exceeds maximum';
      extack.reason = 'ring-size';
      return -EINVAL;
    }
    const rxSlots = ringSlots(param.rx_pending);
    const txSlots = ringSlots(param.tx_pending);
    const [oldRx, oldTx] = [adapter.rxSlots, adapter.txSlots];
    if (rxSlots === oldRx && txSlots === oldTx) return 0;
    adapter.rxSlots = rxSlots;
    adapter.txSlots = txSlots;
    if (!adapter.running) return 0;
    twinDown(adapter);
    const error = twinUp(adapter);
    if (error === 0) return 0;
    adapter.rxSlots = oldRx;
    adapter.txSlots = oldTx;
    twinUp(adapter);
    return error;
  },
};
