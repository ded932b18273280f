// What ethtool can ask of a device and no driver here answers beyond what the kernel itself knows: -P, -T, -s (its words are checked,
// nothing can be set), and the options that end in "Operation not supported" on every device. Text and exit statuses as recorded from
// ethtool 6.1 (fixtures/recordings/ethtool/settings.txt).

import { ENODEV, EOPNOTSUPP, strerror } from '../../../../driver/errno.ts';
import type { NetDevice } from '../../../../driver/netdev.ts';
import { failed, ok } from '../command.ts';
import type { CommandResult } from '../command.ts';
import { isResult, netlinkError, noDevice, readParameters, unexpected } from './args.ts';
import type { ParameterKind, Target } from './args.ts';

/** Exit status of a refused `ethtool -s`. */
const SET_STATUS = 75;

const LINK_KINDS: Readonly<Record<string, ParameterKind>> = {
  speed: 'u32',
  lanes: 'u32',
  duplex: ['half', 'full'],
  port: ['tp', 'aui', 'mii', 'fibre', 'bnc', 'da', 'none'],
  autoneg: 'switch',
  advertise: 'u32',
  phyad: 'u32',
  'master-slave': ['preferred-master', 'preferred-slave', 'forced-master', 'forced-slave'],
  xcvr: ['internal', 'external'],
  msglvl: 'u32',
};

/** `ethtool -P DEV`: the address that the device was made with; virtual devices have none. Further words are not looked at. */
export function permanentAddress({ dev }: Target): CommandResult {
  if (dev === null) return netlinkError('', ENODEV);
  const address = dev.ethtoolOps?.get_perm_addr?.(dev) ?? null;
  return ok(`Permanent address: ${address === null ? 'not set' : macText(address)}\n`);
}

function macText(mac: Uint8Array): string {
  return [...mac].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}

/** `ethtool -T DEV`: what the stack stamps by itself; no device here has a clock. */
export function timestamping({ dev }: Target, words: string[]): CommandResult {
  if (words.length > 0) return unexpected(words[0]);
  if (dev === null) return noDevice();
  return ok(
    `Time stamping parameters for ${dev.name}:\nCapabilities:\n` +
      '\tsoftware-transmit\n\tsoftware-receive\n\tsoftware-system-clock\n' +
      'PTP Hardware Clock: none\nHardware Transmit Timestamp Modes: none\n' +
      'Hardware Receive Filter Modes: none\n',
  );
}

/** `ethtool -s DEV ...`: links here have one speed, which the scenario sets. */
export function setLink({ dev }: Target, words: string[]): CommandResult {
  const asked = readParameters('-s', words, LINK_KINDS);
  if (isResult(asked)) return asked;
  if (asked.size === 0) return ok();
  return dev === null ? noDevice(SET_STATUS) : netlinkError('', EOPNOTSUPP, SET_STATUS);
}

type Refusal = (dev: NetDevice | null) => CommandResult;

/** A refusal of the tool's older half: what it says before the kernel's error, for a device and for a name without one. */
function cannot(status: number, said: string, withoutDevice = said): Refusal {
  return (dev) =>
    dev === null
      ? failed(status, `${withoutDevice}: ${strerror(ENODEV)}\n`)
      : failed(status, `${said}: ${strerror(EOPNOTSUPP)}\n`);
}

const overNetlink: Refusal = (dev) => (dev === null ? noDevice() : netlinkError('', EOPNOTSUPP));

function phyStatistics(dev: NetDevice | null): CommandResult {
  return dev === null
    ? failed(96, `Cannot get stats strings information: ${strerror(ENODEV)}\n`)
    : failed(94, 'no stats available\n');
}

/** Options that no driver here has operations for. */
export const REFUSALS: readonly (readonly [names: readonly string[], refuse: Refusal])[] = [
  [['-r', '--negotiate'], cannot(255, 'Cannot restart autonegotiation')],
  [['-t', '--test'], cannot(74, 'Cannot test', 'Cannot get strings')],
  [['-p', '--identify'], cannot(255, 'Cannot identify NIC')],
  [['-w', '--get-dump'], cannot(1, 'Can not get dump level')],
  [['-m', '--dump-module-eeprom', '--module-info'], overNetlink],
  [['--show-priv-flags', '--show-eee'], overNetlink],
  [['--phy-statistics'], phyStatistics],
];
