// ethtool -g and -G (rings), -l and -L (channels), -c and -C (coalescing): text as recorded from ethtool 6.1.

import {
  ethtoolSetChannels,
  ethtoolSetCoalesce,
  ethtoolSetRings,
  newExtAck,
} from '../../../../driver/ethtool-core.ts';
import type { EthtoolExtAck } from '../../../../driver/ethtool-core.ts';
import { EOPNOTSUPP } from '../../../../driver/errno.ts';
import { COALESCE_PARAMS } from '../../../../driver/ethtool.ts';
import type { CoalesceParam } from '../../../../driver/ethtool.ts';
import type { NetDevice } from '../../../../driver/netdev.ts';
import { ok } from '../command.ts';
import type { CommandResult } from '../command.ts';
import { isResult, netlinkError, noDevice, readParameters, refused, unexpected } from './args.ts';
import type { ParameterKind, Target } from './args.ts';

/** Exit status of a refused `-G`: the tool has one of its own for it. */
const RINGS_REFUSED_STATUS = 81;

const RING_KINDS: Readonly<Record<string, ParameterKind>> = {
  rx: 'u32',
  'rx-mini': 'u32',
  'rx-jumbo': 'u32',
  tx: 'u32',
  'rx-buf-len': 'u32',
  'cqe-size': 'u32',
  'tx-push': 'switch',
};

const CHANNEL_KINDS: Readonly<Record<string, ParameterKind>> = {
  rx: 'u32',
  tx: 'u32',
  other: 'u32',
  combined: 'u32',
};

const SWITCHES: readonly CoalesceParam[] = [
  ...(['adaptive-rx', 'adaptive-tx', 'cqe-mode-rx', 'cqe-mode-tx'] as const),
];
const COALESCE_KINDS: Readonly<Record<string, ParameterKind>> = Object.fromEntries(
  COALESCE_PARAMS.map((name) => [name, SWITCHES.includes(name) ? 'switch' : 'u32']),
);

type Setter = (
  dev: NetDevice,
  wished: ReadonlyMap<string, number>,
  extack: EthtoolExtAck,
) => number;

/** An option that sets parameters: reads them, asks the kernel, prints its refusal. */
function set(
  option: string,
  kinds: Readonly<Record<string, ParameterKind>>,
  setter: Setter,
  status: number,
): (target: Target, words: string[]) => CommandResult {
  return (target, words) => {
    const wished = readParameters(option, words, kinds);
    if (isResult(wished)) return wished;
    if (target.dev === null) return noDevice(status);
    const extack = newExtAck();
    const error = setter(target.dev, wished, extack);
    return error === 0 ? ok() : refused(target, words, extack, error, status);
  };
}

export const setRings = set('-G', RING_KINDS, ethtoolSetRings, RINGS_REFUSED_STATUS);
export const setChannels = set('-L', CHANNEL_KINDS, ethtoolSetChannels, 1);
export const setCoalesce = set('-C', COALESCE_KINDS, ethtoolSetCoalesce, 1);

export function showRings({ dev }: Target, words: string[]): CommandResult {
  if (words.length > 0) return unexpected(words[0]);
  if (dev === null) return noDevice();
  const rings = dev.ethtoolOps?.get_ringparam?.(dev);
  if (rings === undefined) return netlinkError('', EOPNOTSUPP);
  const extra = (name: string, value: number | undefined): string =>
    `${name}:\t${value ?? 'n/a'}\n`;
  return ok(
    `Ring parameters for ${dev.name}:\n` +
      'Pre-set maximums:\n' +
      `RX:\t\t${rings.rx_max_pending}\n` +
      extra('RX Mini', rings.rx_mini?.max_pending) +
      extra('RX Jumbo', rings.rx_jumbo?.max_pending) +
      `TX:\t\t${rings.tx_max_pending}\n` +
      'Current hardware settings:\n' +
      `RX:\t\t${rings.rx_pending}\n` +
      extra('RX Mini', rings.rx_mini?.pending) +
      extra('RX Jumbo', rings.rx_jumbo?.pending) +
      `TX:\t\t${rings.tx_pending}\n` +
      'RX Buf Len:\t\tn/a\nCQE Size:\t\tn/a\nTX Push:\toff\nTCP data split:\tn/a\n',
  );
}

export function showChannels({ dev }: Target, words: string[]): CommandResult {
  if (words.length > 0) return unexpected(words[0]);
  if (dev === null) return noDevice();
  const c = dev.ethtoolOps?.get_channels?.(dev);
  if (c === undefined) return netlinkError('', EOPNOTSUPP);
  // What a device has none of is not reported at all.
  const shown = (value: number, maximum: number): string => (maximum === 0 ? 'n/a' : `${value}`);
  return ok(
    `Channel parameters for ${dev.name}:\n` +
      'Pre-set maximums:\n' +
      `RX:\t\t${shown(c.max_rx, c.max_rx)}\nTX:\t\t${shown(c.max_tx, c.max_tx)}\n` +
      `Other:\t\t${shown(c.max_other, c.max_other)}\n` +
      `Combined:\t${shown(c.max_combined, c.max_combined)}\n` +
      'Current hardware settings:\n' +
      `RX:\t\t${shown(c.rx_count, c.max_rx)}\nTX:\t\t${shown(c.tx_count, c.max_tx)}\n` +
      `Other:\t\t${shown(c.other_count, c.max_other)}\n` +
      `Combined:\t${shown(c.combined_count, c.max_combined)}\n`,
  );
}

/** Lines of `-c`, an empty one where the tool leaves one; the two pairs that share a line stand before and after. */
const COALESCE_LINES: readonly (CoalesceParam | '')[] = [
  ...(['stats-block-usecs', 'sample-interval', 'pkt-rate-low', 'pkt-rate-high', ''] as const),
  ...(['rx-usecs', 'rx-frames', 'rx-usecs-irq', 'rx-frames-irq', ''] as const),
  ...(['tx-usecs', 'tx-frames', 'tx-usecs-irq', 'tx-frames-irq', ''] as const),
  ...(['rx-usecs-low', 'rx-frames-low', 'tx-usecs-low', 'tx-frames-low', ''] as const),
  ...(['rx-usecs-high', 'rx-frames-high', 'tx-usecs-high', 'tx-frames-high', ''] as const),
];

export function showCoalesce({ dev }: Target, words: string[]): CommandResult {
  if (words.length > 0) return unexpected(words[0]);
  if (dev === null) return noDevice();
  const ops = dev.ethtoolOps;
  const values = ops?.get_coalesce?.(dev);
  if (values === undefined) return netlinkError('', EOPNOTSUPP);
  const supported = ops?.supported_coalesce_params ?? [];
  const number = (name: CoalesceParam): string =>
    supported.includes(name) ? String(values[name] ?? 0) : 'n/a';
  const onOff = (name: CoalesceParam): string =>
    !supported.includes(name) ? 'n/a' : (values[name] ?? 0) === 0 ? 'off' : 'on';
  // The tool says "frame" in the low and high lines.
  const label = (name: CoalesceParam): string => name.replace(/frames-(low|high)$/, 'frame-$1');
  const lines = COALESCE_LINES.map((name) =>
    name === '' ? '\n' : `${label(name)}: ${number(name)}\n`,
  );
  return ok(
    `Coalesce parameters for ${dev.name}:\n` +
      `Adaptive RX: ${onOff('adaptive-rx')}  TX: ${onOff('adaptive-tx')}\n` +
      lines.join('') +
      `CQE mode RX: ${onOff('cqe-mode-rx')}  TX: ${onOff('cqe-mode-tx')}\n\n`,
  );
}
