// The kernel's part of ethtool: what it checks before it calls a driver (net/ethtool, spec D.6 to D.8, E.6 93 to 95).
//
// A missing operation is −EOPNOTSUPP before anything else. `extack.attribute` names the parameter at fault, where the kernel
// attaches its message to one; the command turns it into the offset that the real tool prints.

import { EINVAL, ENOENT, EOPNOTSUPP } from './errno.ts';
import type { DevlinkRegistry } from './devlink.ts';
import * as E from './ethtool.ts';
import { COALESCE_PARAMS } from './ethtool.ts';
import type {
  EthtoolChannels,
  EthtoolCoalesce,
  EthtoolRingParam,
  EthtoolRxFlowSpec,
  RxFhChange,
} from './ethtool.ts';
import type { ExtAck, NetDevice } from './netdev.ts';

/** The kernel's answer with the parameter that it complains about. */
export interface EthtoolExtAck extends ExtAck {
  /** Name of the parameter, '' for none. */
  attribute: string;
}

export function newExtAck(): EthtoolExtAck {
  return { message: '', reason: '', attribute: '' };
}

/** Release of the kernel whose behaviour the model follows: the version of drivers that have none of their own. */
const UTS_RELEASE = '6.1.0-56-amd64';

function refuse(extack: EthtoolExtAck, message: string, reason: string, attribute = ''): number {
  extack.message = message;
  extack.reason = reason;
  extack.attribute = attribute;
  return -EINVAL;
}

const EXTRA_RINGS = [
  ['rx-mini', 'rx_mini'],
  ['rx-jumbo', 'rx_jumbo'],
] as const;

/** `ethtool -G`: `wished` by the names of the parameters. */
export function ethtoolSetRings(
  dev: NetDevice,
  wished: ReadonlyMap<string, number>,
  extack: EthtoolExtAck,
): number {
  const ops = dev.ethtoolOps;
  if (ops?.get_ringparam === undefined || ops.set_ringparam === undefined) return -EOPNOTSUPP;
  const old = ops.get_ringparam(dev);
  const param: EthtoolRingParam = { ...old };
  param.rx_pending = wished.get('rx') ?? old.rx_pending;
  param.tx_pending = wished.get('tx') ?? old.tx_pending;
  const maximum: Record<string, number> = {
    rx: old.rx_max_pending,
    tx: old.tx_max_pending,
    'rx-mini': old.rx_mini?.max_pending ?? 0,
    'rx-jumbo': old.rx_jumbo?.max_pending ?? 0,
  };
  let isChanged = param.rx_pending !== old.rx_pending || param.tx_pending !== old.tx_pending;
  for (const [name, key] of EXTRA_RINGS) {
    const pending = wished.get(name) ?? old[key]?.pending ?? 0;
    isChanged ||= pending !== (old[key]?.pending ?? 0);
    if (old[key] !== undefined) param[key] = { ...old[key], pending };
  }
  if (!isChanged) return 0;
  for (const name of ['rx', 'rx-mini', 'rx-jumbo', 'tx'])
    if ((wished.get(name) ?? 0) > (maximum[name] ?? 0))
      return refuse(extack, 'requested ring size exceeds maximum', 'ring-size', name);
  for (const name of ['rx-buf-len', 'cqe-size', 'tx-push', 'tcp-data-split'])
    if (wished.has(name)) {
      extack.message = `setting ${name.replaceAll('-', ' ')} not supported`;
      extack.reason = 'ring-parameter';
      extack.attribute = name;
      return -EOPNOTSUPP;
    }
  return ops.set_ringparam(dev, param, extack);
}

/** Encodings by the names of link modes: what `ethtool --set-fec` sends, and --show-fec prints. */
export const FEC_MODES: readonly (readonly [name: string, bit: number])[] = [
  ['None', E.ETHTOOL_FEC_OFF],
  ['RS', E.ETHTOOL_FEC_RS],
  ['BASER', E.ETHTOOL_FEC_BASER],
  ['LLRS', E.ETHTOOL_FEC_LLRS],
];

/** `ethtool --set-fec`: the encodings wished, as bits (ETHTOOL_FEC_AUTO among them). */
export function ethtoolSetFec(dev: NetDevice, wished: number, extack: EthtoolExtAck): number {
  const ops = dev.ethtoolOps;
  if (ops?.get_fecparam === undefined || ops.set_fecparam === undefined) return -EOPNOTSUPP;
  const old = ops.get_fecparam(dev);
  if (typeof old === 'number') return old;
  if (wished === (old.fec & ~E.ETHTOOL_FEC_NONE)) return 0;
  if (wished === 0) return refuse(extack, 'no FEC modes set', 'fec-none', 'encoding');
  return ops.set_fecparam(dev, { fec: wished, active_fec: old.active_fec });
}

/** ETHTOOL_GDRVINFO: what a driver does not say, the kernel and devlink do. */
export function ethtoolDrvInfo(dev: NetDevice, devlinks: DevlinkRegistry): E.EthtoolDrvInfo | null {
  const own = dev.ethtoolOps?.get_drvinfo?.(dev);
  if (own !== undefined) return own;
  const { identity, ethtoolOps } = dev;
  if (identity === null || ethtoolOps === null) return null;
  const info = devlinks.portOf(dev)?.devlink.ops.info?.();
  const running = info?.running.map(([, version]) => `${version} `) ?? [];
  return {
    driver: info?.driver ?? identity.parentBus,
    version: UTS_RELEASE,
    fw_version: running.join(''),
    expansion_rom_version: '',
    bus_info: identity.parentDev,
  };
}

/** Highest receive ring that a user's indirection table, or an ntuple rule, names; −1 for none. */
function highestRingInUse(dev: NetDevice): { table: number; rules: number } {
  const { rxfh, rxnfc } = dev.ethtoolOps ?? {};
  let table = -1;
  let rules = -1;
  if (rxfh !== undefined && dev.rxfhConfigured)
    for (const ring of rxfh.get(dev, 0)?.indir ?? []) table = Math.max(table, ring);
  for (const location of rxnfc?.locations(dev) ?? []) {
    const cookie = rxnfc?.rule(dev, location)?.cookie;
    if (cookie !== undefined && !cookie.drop && cookie.vf === 0)
      rules = Math.max(rules, cookie.ring);
  }
  return { table, rules };
}

const CHANNEL_KINDS = ['rx', 'tx', 'other', 'combined'] as const;

/** `ethtool -L`. */
export function ethtoolSetChannels(
  dev: NetDevice,
  wished: ReadonlyMap<string, number>,
  extack: EthtoolExtAck,
): number {
  const ops = dev.ethtoolOps;
  if (ops?.get_channels === undefined || ops.set_channels === undefined) return -EOPNOTSUPP;
  const old = ops.get_channels(dev);
  const channels: EthtoolChannels = { ...old };
  for (const kind of CHANNEL_KINDS)
    channels[`${kind}_count`] = wished.get(kind) ?? old[`${kind}_count`];
  if (CHANNEL_KINDS.every((kind) => channels[`${kind}_count`] === old[`${kind}_count`])) return 0;
  for (const kind of CHANNEL_KINDS)
    if (channels[`${kind}_count`] > old[`max_${kind}`])
      return refuse(extack, 'requested channel count exceeds maximum', 'channel-count', kind);
  const { rx_count, tx_count, combined_count } = channels;
  if (combined_count === 0 && (rx_count === 0 || tx_count === 0)) {
    const said = 'requested channel counts would result in no RX or TX channel being configured';
    // The kernel points at the first of combined, rx and tx that the request set.
    const at = ['combined', rx_count === 0 ? 'rx' : '', 'tx'].find((name) => wished.has(name));
    return refuse(extack, said, 'channel-none', at ?? '');
  }
  const highest = highestRingInUse(dev);
  if (rx_count + combined_count <= highest.table) {
    const said = `requested channel counts are too low for existing indirection table (${highest.table})`;
    return refuse(extack, said, 'indirection-table');
  }
  if (rx_count + combined_count <= highest.rules) {
    const said = 'requested channel counts are too low for existing ntuple filter settings';
    return refuse(extack, said, 'ntuple-filter');
  }
  return ops.set_channels(dev, channels, extack);
}

/** `ethtool -C`. */
export function ethtoolSetCoalesce(
  dev: NetDevice,
  wished: ReadonlyMap<string, number>,
  extack: EthtoolExtAck,
): number {
  const ops = dev.ethtoolOps;
  if (ops?.get_coalesce === undefined || ops.set_coalesce === undefined) return -EOPNOTSUPP;
  const supported = ops.supported_coalesce_params ?? [];
  const coalesce: EthtoolCoalesce = { ...ops.get_coalesce(dev) };
  let isChanged = false;
  for (const name of COALESCE_PARAMS) {
    const value = wished.get(name);
    if (value === undefined) continue;
    if (!supported.includes(name))
      return refuse(extack, 'cannot modify an unsupported parameter', 'coalesce-parameter', name);
    isChanged ||= coalesce[name] !== value;
    coalesce[name] = value;
  }
  return isChanged ? ops.set_coalesce(dev, coalesce, extack) : 0;
}

/** ETHTOOL_SRSSH: context 0 is the device's own, `'new'` makes one. Answers the context or −errno. */
export function ethtoolSetRxfh(
  dev: NetDevice,
  context: number | 'new',
  change: RxFhChange,
  extack: EthtoolExtAck,
): number {
  const rxfh = dev.ethtoolOps?.rxfh;
  if (rxfh === undefined) return -EOPNOTSUPP;
  if (context !== 0 && rxfh.create === undefined) return -EOPNOTSUPP;
  const { indir, key, hfunc } = change;
  const rings = dev.ethtoolOps?.rxnfc?.rings(dev) ?? dev.realNumRxQueues;
  const isTable = indir !== undefined && indir !== 'reset';
  if (isTable && indir.length !== rxfh.indirSize(dev))
    return refuse(extack, 'indirection table size does not match the device', 'indir-size');
  if (key !== undefined && key.length !== rxfh.keySize(dev))
    return refuse(extack, 'key size does not match the device', 'key-size');
  if (isTable && indir.some((ring) => ring >= rings))
    return refuse(extack, 'indirection table names a ring that does not exist', 'indir-ring');
  if (hfunc !== undefined && (hfunc & (hfunc - 1)) !== 0)
    return refuse(extack, 'more than one hash function', 'hfunc');
  const { symmetricXor } = change;
  if (symmetricXor === true && !flowHashIsPaired(dev))
    return refuse(
      extack,
      'symmetric-xor needs source and destination fields in pairs',
      'symmetric-xor',
    );
  const isEmpty = [indir, key, hfunc, symmetricXor].every((one) => one === undefined);
  if (context === 'new') return rxfh.create?.(dev, change, extack) ?? -EOPNOTSUPP;
  if (isEmpty) return refuse(extack, 'nothing to change', 'nothing');
  const error = rxfh.set(dev, context, change, extack);
  if (error === 0 && context === 0 && indir !== undefined) dev.rxfhConfigured = indir !== 'reset';
  return error < 0 ? error : context;
}

/** Deletes a context: 0, −ENOENT, −EOPNOTSUPP. */
export function ethtoolDeleteContext(dev: NetDevice, context: number): number {
  const rxfh = dev.ethtoolOps?.rxfh;
  if (rxfh?.remove === undefined) return -EOPNOTSUPP;
  return context === 0 || rxfh.get(dev, context) === null ? -ENOENT : rxfh.remove(dev, context);
}

/** Whether every flow hash takes addresses, and ports, in pairs only. */
function flowHashIsPaired(dev: NetDevice): boolean {
  const rxnfc = dev.ethtoolOps?.rxnfc;
  if (rxnfc === undefined) return true;
  for (let type = 1; type <= 8; type++) {
    const fields = rxnfc.flowHash(dev, type);
    if (fields < 0) continue;
    if (((fields >> 4) & 1) !== ((fields >> 5) & 1)) return false;
    if (((fields >> 6) & 1) !== ((fields >> 7) & 1)) return false;
  }
  return true;
}

/** ETHTOOL_SRXCLSRLINS: the location or −errno. */
export function ethtoolInsertRule(
  dev: NetDevice,
  spec: EthtoolRxFlowSpec,
  extack: EthtoolExtAck,
): number {
  const ops = dev.ethtoolOps;
  if (ops?.rxnfc === undefined) return -EOPNOTSUPP;
  const { cookie } = spec;
  if (spec.rss_context >= 0) {
    if (cookie.drop || cookie.ring !== 0 || cookie.vf !== 0)
      return refuse(extack, 'a rule with an RSS context names no ring', 'rss-context');
    if (spec.rss_context > 0 && (ops.rxfh?.get(dev, spec.rss_context) ?? null) === null)
      return refuse(extack, 'no such RSS context', 'rss-context');
  }
  return ops.rxnfc.insert(dev, spec, extack);
}
