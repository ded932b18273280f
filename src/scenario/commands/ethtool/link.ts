// ethtool(8) 6.1: link settings (`ethtool DEV`) and pause parameters (-a, -A). Text as ethtool prints it over netlink.

import { EOPNOTSUPP } from '../../../../driver/errno.ts';
import type { ExtAck, NetDevice } from '../../../../driver/netdev.ts';
import { ok } from '../command.ts';
import type { CommandResult } from '../command.ts';
import { isResult, netlinkError, noDevice, readParameters, unexpected } from './args.ts';
import type { ParameterKind, Target } from './args.ts';

const PAUSE_KINDS: Readonly<Record<string, ParameterKind>> = {
  autoneg: 'switch',
  rx: 'switch',
  tx: 'switch',
};

/** Requests that `ethtool DEV` is made of: each complains about a name that no device has. */
const SETTINGS_REQUESTS = 5;
const NO_SETTINGS_STATUS = 75;

/** `ethtool NAME` for a name that no device has. */
export function noSettings(): CommandResult {
  const { stderr } = noDevice();
  return {
    status: NO_SETTINGS_STATUS,
    stdout: 'No data available\n',
    stderr: stderr.repeat(SETTINGS_REQUESTS),
  };
}

/** What follows the transceiver: twisted pair has a crossover, a driver with messages their level. */
function lastLines(dev: NetDevice): string {
  const port = dev.ethtoolOps?.link_port;
  const level = dev.ethtoolOps?.get_msglevel?.(dev);
  return (
    (port === 'tp' ? '\tMDI-X: Unknown\n' : '') +
    (level === undefined
      ? ''
      : `        Current message level: 0x${level.toString(16).padStart(8, '0')} (${level})\n${' '.repeat(30)}\n`) +
    `\tLink detected: ${dev.carrier ? 'yes' : 'no'}\n`
  );
}

/** `ethtool DEV`; further words are not looked at. */
export function linkSettings(dev: NetDevice): CommandResult {
  const speedMbps = dev.ethtoolOps?.get_link_speed?.(dev);
  if (speedMbps === undefined)
    return ok(`Settings for ${dev.name}:\n\tLink detected: ${dev.carrier ? 'yes' : 'no'}\n`);
  const isKnown = speedMbps >= 0;
  return ok(
    `Settings for ${dev.name}:\n` +
      '\tSupported ports: [  ]\n' +
      '\tSupported link modes:   Not reported\n' +
      `\tSupported pause frame use: ${dev.ethtoolOps?.get_pauseparam === undefined ? 'No' : 'Symmetric Receive-only'}\n` +
      '\tSupports auto-negotiation: No\n' +
      '\tSupported FEC modes: Not reported\n' +
      '\tAdvertised link modes:  Not reported\n' +
      '\tAdvertised pause frame use: No\n' +
      '\tAdvertised auto-negotiation: No\n' +
      '\tAdvertised FEC modes: Not reported\n' +
      `\tSpeed: ${isKnown ? `${speedMbps}Mb/s` : 'Unknown!'}\n` +
      `\tDuplex: ${isKnown ? 'Full' : 'Unknown! (255)'}\n` +
      '\tAuto-negotiation: off\n' +
      `\tPort: ${dev.ethtoolOps?.link_port === 'tp' ? 'Twisted Pair' : 'Other'}\n` +
      '\tPHYAD: 0\n' +
      '\tTransceiver: internal\n' +
      lastLines(dev),
  );
}

/** `ethtool -a DEV`. The tool's JSON says true for whatever was reported (recorded from 6.1). */
export function showPause({ dev }: Target, words: string[], json: boolean): CommandResult {
  if (words.length > 0) return unexpected(words[0]);
  if (dev === null) return noDevice();
  const pause = dev.ethtoolOps?.get_pauseparam?.(dev);
  if (pause === undefined) return netlinkError('', EOPNOTSUPP);
  if (json)
    return ok(
      `[ {\n        "ifname": "${dev.name}",\n        "autonegotiate": true,\n` +
        '        "rx": true,\n        "tx": true\n    } ]\n',
    );
  const word = (isOn: boolean): string => (isOn ? 'on' : 'off');
  return ok(
    `Pause parameters for ${dev.name}:\n` +
      `Autonegotiate:\t${word(pause.autoneg)}\n` +
      `RX:\t\t${word(pause.rx_pause)}\n` +
      `TX:\t\t${word(pause.tx_pause)}\n\n`,
  );
}

/** `ethtool -A DEV [autoneg on|off] [rx on|off] [tx on|off]`. */
export function setPause({ dev }: Target, words: string[]): CommandResult {
  const asked = readParameters('-A', words, PAUSE_KINDS);
  if (isResult(asked)) return asked;
  if (dev === null) return noDevice();
  const ops = dev.ethtoolOps;
  const pause = ops?.get_pauseparam?.(dev);
  if (ops?.set_pauseparam === undefined || pause === undefined) return netlinkError('', EOPNOTSUPP);
  const value = (name: string, now: boolean): boolean => {
    const wished = asked.get(name);
    return wished === undefined ? now : wished === 1;
  };
  const wished = {
    autoneg: value('autoneg', pause.autoneg),
    rx_pause: value('rx', pause.rx_pause),
    tx_pause: value('tx', pause.tx_pause),
  };
  const extack: ExtAck = { message: '', reason: '' };
  const error = ops.set_pauseparam(dev, wished, extack);
  return error === 0 ? ok() : netlinkError(extack.message, error);
}
