// ethtool ops of netdevsim: each setting is kept and given back (drivers/net/netdevsim/ethtool.c of Linux 6.1). `getError` and
// `setError` stand for the debugfs files get_err and set_err, which make the FEC requests fail.

import { EINVAL } from '../../errno.ts';
import {
  COALESCE_PARAMS,
  ETHTOOL_FEC_AUTO,
  ETHTOOL_FEC_NONE,
  ETHTOOL_FEC_OFF,
} from '../../ethtool.ts';
import type { EthtoolCoalesce, EthtoolFecParam, EthtoolOps } from '../../ethtool.ts';
import type { EthtoolRingParam } from '../../ethtool.ts';

const RING_MAX = 4096;
/** UDP_TUNNEL_TYPE tables of udp_tunnels.c: four ports each. */
const TUNNEL_TABLES = [
  { entries: 4, types: ['vxlan'] },
  { entries: 4, types: ['geneve', 'vxlan-gpe'] },
];

/** What a port remembers. */
export class NsimSettings {
  rxPause = false;
  txPause = false;
  rings: EthtoolRingParam = {
    rx_max_pending: RING_MAX,
    tx_max_pending: RING_MAX,
    rx_pending: 0,
    tx_pending: 0,
    rx_mini: { max_pending: RING_MAX, pending: 0 },
    rx_jumbo: { max_pending: RING_MAX, pending: 0 },
  };
  coalesce: EthtoolCoalesce = {};
  fec: EthtoolFecParam = { fec: ETHTOOL_FEC_NONE, active_fec: ETHTOOL_FEC_NONE };
  channels: number;
  /** Errno with which reading and setting FEC fail; 0 for none. */
  getError = 0;
  setError = 0;

  constructor(queues: number) {
    this.channels = queues;
  }
}

export function nsimEthtoolOps(settings: NsimSettings): EthtoolOps {
  return {
    udp_tunnel_tables: TUNNEL_TABLES,
    get_pauseparam: () => ({
      autoneg: false,
      rx_pause: settings.rxPause,
      tx_pause: settings.txPause,
    }),
    set_pauseparam(_dev, param) {
      if (param.autoneg) return -EINVAL;
      settings.rxPause = param.rx_pause;
      settings.txPause = param.tx_pause;
      return 0;
    },
    get_ringparam: () => settings.rings,
    set_ringparam(_dev, param) {
      settings.rings = param;
      return 0;
    },
    get_channels: (dev) => ({
      max_rx: 0,
      max_tx: 0,
      max_other: 0,
      max_combined: dev.numTxQueues,
      rx_count: 0,
      tx_count: 0,
      other_count: 0,
      combined_count: settings.channels,
    }),
    set_channels(dev, channels) {
      settings.channels = channels.combined_count;
      dev.realNumTxQueues = channels.combined_count;
      dev.realNumRxQueues = channels.combined_count;
      return 0;
    },
    supported_coalesce_params: COALESCE_PARAMS,
    get_coalesce: () => settings.coalesce,
    set_coalesce(_dev, coalesce) {
      settings.coalesce = coalesce;
      return 0;
    },
    get_fecparam: () => (settings.getError === 0 ? settings.fec : -settings.getError),
    set_fecparam(_dev, { fec }) {
      if (settings.setError !== 0) return -settings.setError;
      settings.fec = { fec, active_fec: activeFec(fec) };
      return 0;
    },
  };
}

/** The strongest of the encodings asked for: the highest bit; "auto" alone means none. */
function activeFec(fec: number): number {
  const bits = (fec === ETHTOOL_FEC_AUTO ? fec | ETHTOOL_FEC_OFF : fec) | ETHTOOL_FEC_NONE;
  return 1 << (31 - Math.clz32(bits));
}
