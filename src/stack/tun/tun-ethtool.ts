// What ethtool gets from a tun device (drivers/net/tun.c tun_ethtool_ops): driver information, channels, and rx-frames, which is the
// batch that a write may gather. Everything else it does not have: EOPNOTSUPP.

import type { EthtoolCoalesce, EthtoolOps } from '../../../driver/ethtool.ts';
import type { TunDevice } from './tun-device.ts';
import { MAX_TAP_QUEUES } from './uapi.ts';

/** rx-frames are cut to this without a word (NAPI_POLL_WEIGHT). */
const RX_BATCH_MAX = 64;
const SPEED_MBPS = 10_000;

export function tunEthtoolOps(tun: TunDevice): EthtoolOps {
  return {
    get_drvinfo: () => ({
      driver: 'tun',
      version: '1.6',
      fw_version: '',
      expansion_rom_version: '',
      bus_info: tun.isTap ? 'tap' : 'tun',
    }),
    // Whatever TUNSETIFF made, it says 10 Gb/s over twisted pair.
    get_link_speed: () => SPEED_MBPS,
    link_port: 'tp',
    get_msglevel: () => 0,
    get_strings: () => [],
    get_ethtool_stats: () => [],
    get_channels: () => ({
      max_rx: 0,
      max_tx: 0,
      max_other: 0,
      max_combined: tun.isMultiQueue ? MAX_TAP_QUEUES : 1,
      rx_count: 0,
      tx_count: 0,
      other_count: 0,
      combined_count: tun.numqueues,
    }),
    supported_coalesce_params: ['rx-frames'],
    get_coalesce: (): EthtoolCoalesce => ({ 'rx-frames': tun.rxBatched }),
    set_coalesce: (_dev, coalesce) => {
      tun.rxBatched = Math.min(coalesce['rx-frames'] ?? 0, RX_BATCH_MAX);
      return 0;
    },
  };
}
