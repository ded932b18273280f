// ethtool ops of the reference driver: -i, -S, -g, -G, -l, -L, -c, -C, -x, -X (rules of -N are in ntuple.ts). Statistics carry ixgbe's names where ixgbe has them.
//
// hw_flow_hits counts packets as the last bulk counter read saw them (at most a second old while flows are polled).

import { DRIVER_NAME, DRIVER_VERSION, adapterOf } from './adapter.ts';
import type { RingLimits, TwinAdapter } from './adapter.ts';
import { QUEUE_COUNTERS } from './hw-stats.ts';
import { setInterval } from './interval.ts';
import { fillStats, twinDown, twinUp } from './netdev-ops.ts';
import { TWIN_RXNFC } from './ntuple.ts';
import { EINVAL } from '../errno.ts';
import type {
  EthtoolChannels,
  EthtoolCoalesce,
  EthtoolDrvInfo,
  EthtoolOps,
  EthtoolPauseParam,
  EthtoolRingParam,
  RxFhChange,
  RxFhOps,
} from '../ethtool.ts';
import { setPause } from './flow-control.ts';
import { zeroStats64 } from '../netdev.ts';
import type { ExtAck, NetDevice } from '../netdev.ts';
import { getRegs } from './regs-dump.ts';
import { ADM_VERSION } from '../../hw/admin/format.ts';

/** Vectors that are not a queue's, as ixgbe counts them. */
const OTHER_VECTORS = 1;
/** Largest EITR interval, us (IXGBE_MAX_EITR >> 2). */
const USECS_MAX = 1022;

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
    ['tx_flow_control_xon', hw.txXon],
    ['rx_flow_control_xon', hw.rxXon],
    ['tx_flow_control_xoff', hw.txXoff],
    ['rx_flow_control_xoff', hw.rxXoff],
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
  const { fdir, arfs, queueCount } = adapter;
  fdir.updateCounters();
  list.push(
    ['fdir_match', fdir.matches],
    ['fdir_miss', fdir.misses],
    ['fdir_overflow', fdir.addFailures],
    ['arfs_filters', arfs.count],
    ['arfs_expired', arfs.expiredCount],
  );
  txStats.slice(0, queueCount).forEach((tx, q) => {
    list.push([`tx_queue_${q}_packets`, tx.packets], [`tx_queue_${q}_bytes`, tx.bytes]);
  });
  rxStats.slice(0, queueCount).forEach((rx, q) => {
    const hardwareDrops = q < QUEUE_COUNTERS ? hw.rxNoDescriptorOfQueue[q] : 0;
    list.push([`rx_queue_${q}_packets`, rx.packets], [`rx_queue_${q}_bytes`, rx.bytes]);
    list.push([`rx_queue_${q}_drops`, rx.drops + hardwareDrops]);
  });
  for (let i = 0; i < 8; i++)
    list.push([`tx_pb_${i}_pxon`, hw.txPriorityXon[i]], [`tx_pb_${i}_pxoff`, hw.txPriorityXoff[i]]);
  for (let i = 0; i < 8; i++)
    list.push([`rx_pb_${i}_pxon`, hw.rxPriorityXon[i]], [`rx_pb_${i}_pxoff`, hw.rxPriorityXoff[i]]);
  return list;
}

/** Rounds a ring size as ixgbe does: clamped to the driver's range, then up to a multiple of its step (as mlx5: a power of two). */
function ringSlots(wanted: number, { min, max, step }: RingLimits): number {
  const clamped = Math.min(Math.max(wanted, min), max);
  return step === 0 ? 2 ** Math.ceil(Math.log2(clamped)) : Math.ceil(clamped / step) * step;
}

/** The rings are taken down, `change` made, and brought up again; `undo` and the old state if that fails. */
function restart(adapter: TwinAdapter, change: () => void, undo: () => void): number {
  const wasRunning = adapter.running;
  if (wasRunning) twinDown(adapter);
  change();
  if (!wasRunning) return 0;
  const error = twinUp(adapter);
  if (error === 0) return 0;
  undo();
  twinUp(adapter);
  return error;
}

/** Queue pairs: a table that no user set is spread over them anew; accelerated flows lose their filters. */
function setQueueCount(adapter: TwinAdapter, count: number): void {
  const { dev, kernel, rss } = adapter;
  adapter.queueCount = count;
  dev.realNumTxQueues = count;
  dev.realNumRxQueues = count;
  if (!dev.rxfhConfigured)
    for (const context of rss.contexts) if (context !== null) rss.resetTable(context, count);
  for (const queue of kernel.txQueues(dev)) if (queue.index >= count) kernel.transmit.purge(queue);
}

const TWIN_RXFH: RxFhOps = {
  indirSize: (dev) => adapterOf(dev).rss.tableEntries,
  keySize: (dev) => adapterOf(dev).rss.keyBytes,
  get: (dev, context) => adapterOf(dev).rss.contexts[context] ?? null,
  set(dev: NetDevice, context: number, change: RxFhChange, extack: ExtAck): number {
    const { rss, queueCount, running } = adapterOf(dev);
    if (!reaches(rss.queueLimit, change, extack)) return -EINVAL;
    return rss.change(context, change, queueCount, running);
  },
  create(dev: NetDevice, change: RxFhChange, extack: ExtAck): number {
    const { rss, queueCount, running } = adapterOf(dev);
    if (!reaches(rss.queueLimit, change, extack)) return -EINVAL;
    return rss.create(change, queueCount, running);
  },
  remove(dev: NetDevice, context: number): number {
    adapterOf(dev).rss.remove(context);
    return 0;
  },
};

/** Entries name only as many queues as they have bits for. */
function reaches(limit: number, change: RxFhChange, extack: ExtAck): boolean {
  const { indir } = change;
  if (indir === undefined || indir === 'reset' || indir.every((ring) => ring < limit)) return true;
  extack.message = `an entry reaches the first ${limit} queues only`;
  extack.reason = 'indir-limit';
  return false;
}

export const TWIN_ETHTOOL_OPS: EthtoolOps = {
  rxnfc: TWIN_RXNFC,
  rxfh: TWIN_RXFH,
  supported_coalesce_params: ['rx-usecs', 'tx-usecs', 'adaptive-rx'],

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

  get_link_speed(dev: NetDevice): number {
    return dev.carrier ? adapterOf(dev).speedMbps : -1;
  },

  get_perm_addr: (dev: NetDevice) => adapterOf(dev).permAddr,

  get_pauseparam(dev: NetDevice): EthtoolPauseParam {
    const { rxPause, txPause } = adapterOf(dev);
    return { autoneg: false, rx_pause: rxPause, tx_pause: txPause };
  },

  set_pauseparam(dev: NetDevice, param: EthtoolPauseParam, extack: ExtAck): number {
    return setPause(adapterOf(dev), param, extack);
  },

  get_ringparam(dev: NetDevice): EthtoolRingParam {
    const { rxSlots, txSlots, ringLimits } = adapterOf(dev);
    return {
      rx_max_pending: ringLimits.max,
      tx_max_pending: ringLimits.max,
      rx_pending: rxSlots,
      tx_pending: txSlots,
    };
  },

  set_ringparam(dev: NetDevice, param: EthtoolRingParam, extack: ExtAck): number {
    const adapter = adapterOf(dev);
    const { ringLimits } = adapter;
    if (param.rx_pending > ringLimits.max || param.tx_pending > ringLimits.max) {
      extack.message = 'requested ring size exceeds maximum';
      extack.reason = 'ring-size';
      return -EINVAL;
    }
    const rxSlots = ringSlots(param.rx_pending, ringLimits);
    const txSlots = ringSlots(param.tx_pending, ringLimits);
    const [oldRx, oldTx] = [adapter.rxSlots, adapter.txSlots];
    if (rxSlots === oldRx && txSlots === oldTx) return 0;
    const set = (rx: number, tx: number): void => {
      adapter.rxSlots = rx;
      adapter.txSlots = tx;
    };
    return restart(
      adapter,
      () => {
        set(rxSlots, txSlots);
      },
      () => {
        set(oldRx, oldTx);
      },
    );
  },

  get_channels(dev: NetDevice): EthtoolChannels {
    const { maxQueueCount, queueCount } = adapterOf(dev);
    return {
      max_rx: 0,
      max_tx: 0,
      max_other: OTHER_VECTORS,
      max_combined: maxQueueCount,
      rx_count: 0,
      tx_count: 0,
      other_count: OTHER_VECTORS,
      combined_count: queueCount,
    };
  },

  set_channels(dev: NetDevice, channels: EthtoolChannels, extack: ExtAck): number {
    const adapter = adapterOf(dev);
    if (channels.other_count !== OTHER_VECTORS || channels.rx_count + channels.tx_count > 0) {
      extack.message = 'only combined channels can be set';
      extack.reason = 'channel-kind';
      return -EINVAL;
    }
    const old = adapter.queueCount;
    adapter.arfs.removeAll();
    return restart(
      adapter,
      () => {
        setQueueCount(adapter, channels.combined_count);
      },
      () => {
        setQueueCount(adapter, old);
      },
    );
  },

  get_coalesce(dev: NetDevice): EthtoolCoalesce {
    const { interruptIntervalUs, adaptiveRx } = adapterOf(dev);
    // Receive and transmit share a vector: only the receive interval is reported (as ixgbe).
    return { 'rx-usecs': interruptIntervalUs, 'tx-usecs': 0, 'adaptive-rx': adaptiveRx ? 1 : 0 };
  },

  set_coalesce(dev: NetDevice, coalesce: EthtoolCoalesce, extack: ExtAck): number {
    const adapter = adapterOf(dev);
    const usecs = coalesce['rx-usecs'] ?? 0;
    if ((coalesce['tx-usecs'] ?? 0) !== 0 || usecs > USECS_MAX) {
      const tx = (coalesce['tx-usecs'] ?? 0) !== 0;
      extack.message = tx
        ? 'tx-usecs cannot differ: transmit shares the receive vector'
        : `rx-usecs is at most ${USECS_MAX}`;
      extack.reason = tx ? 'shared-vector' : 'interval-range';
      return -EINVAL;
    }
    setInterval(adapter, usecs, (coalesce['adaptive-rx'] ?? 0) !== 0);
    return 0;
  },
};
