// ethtool(8), version 6.1: -i, -S, -g, -G, and -K/-k for hw-tc-offload. Output and exit statuses as recorded from ethtool 6.1
// (spec peers.md 4.1; -g and -S have no --json there). Further options are refused as an unknown argument is.
//
// Not here yet: -l, -n, -N, -x, -X, -c, -C, -d (they come with steering and the rings).

import { strerror } from '../../../driver/errno.ts';
import type { ExtAck, NetDevice } from '../../../driver/netdev.ts';
import { failed, ok } from './command.ts';
import type { CommandContext, CommandResult, ShellCommand } from './command.ts';
import { registerDump } from './ethtool-regs.ts';

const BAD_ARGUMENTS =
  'ethtool: bad command line argument(s)\nFor more information run ethtool -h\n';
/** Exit status of `ethtool -S` on a device without statistics. */
const NO_STATS_STATUS = 94;
/** Exit status of a request that the kernel refused. */
const REFUSED_STATUS = 1;

type Option = (dev: NetDevice, args: string[]) => CommandResult;

const OPTIONS: Readonly<Record<string, Option>> = {
  '-i': driverInfo,
  '--driver': driverInfo,
  '-S': statistics,
  '--statistics': statistics,
  '-g': showRings,
  '--show-ring': showRings,
  '-G': setRings,
  '--set-ring': setRings,
  '-k': showFeatures,
  '--show-features': showFeatures,
  '-d': registerDump,
  '--register-dump': registerDump,
  '-K': setFeatures,
  '--features': setFeatures,
};

export const ethtool: ShellCommand = {
  name: 'ethtool',
  summary: 'driver information, statistics and rings of a device (-i -S -g -G -k -K)',
  run(args: string[], ctx: CommandContext): CommandResult {
    const option = OPTIONS[args[0] ?? ''];
    if (option === undefined || args[1] === undefined) return failed(1, BAD_ARGUMENTS);
    const dev = ctx.kernel.dev_get_by_name(args[1]);
    if (dev === null) return failed(REFUSED_STATUS, 'netlink error: No such device\n');
    return option(dev, args.slice(2));
  },
};

function driverInfo(dev: NetDevice): CommandResult {
  const ops = dev.ethtoolOps;
  if (ops === null) return failed(71, 'Cannot get driver information: Operation not supported\n');
  const info = ops.get_drvinfo(dev);
  const hasStats = ops.get_strings(dev).length > 0 ? 'yes' : 'no';
  return ok(
    `driver: ${info.driver}\n` +
      `version: ${info.version}\n` +
      `firmware-version: ${info.fw_version}\n` +
      `expansion-rom-version: ${info.expansion_rom_version}\n` +
      `bus-info: ${info.bus_info}\n` +
      `supports-statistics: ${hasStats}\n` +
      'supports-test: no\n' +
      'supports-eeprom-access: no\n' +
      'supports-register-dump: yes\n' +
      'supports-priv-flags: no\n',
  );
}

function statistics(dev: NetDevice): CommandResult {
  const names = dev.ethtoolOps?.get_strings(dev) ?? [];
  if (names.length === 0) return failed(NO_STATS_STATUS, 'no stats available\n');
  const values = dev.ethtoolOps?.get_ethtool_stats(dev) ?? [];
  const lines = names.map((name, i) => `     ${name}: ${values[i]}\n`);
  return ok(`NIC statistics:\n${lines.join('')}`);
}

function showRings(dev: NetDevice): CommandResult {
  const rings = dev.ethtoolOps?.get_ringparam?.(dev);
  if (rings === undefined) return refused();
  return ok(
    `Ring parameters for ${dev.name}:\n` +
      'Pre-set maximums:\n' +
      `RX:\t\t${rings.rx_max_pending}\n` +
      'RX Mini:\tn/a\nRX Jumbo:\tn/a\n' +
      `TX:\t\t${rings.tx_max_pending}\n` +
      'Current hardware settings:\n' +
      `RX:\t\t${rings.rx_pending}\n` +
      'RX Mini:\tn/a\nRX Jumbo:\tn/a\n' +
      `TX:\t\t${rings.tx_pending}\n` +
      'RX Buf Len:\t\tn/a\nCQE Size:\t\tn/a\nTX Push:\toff\nTCP data split:\tn/a\n',
  );
}

function setRings(dev: NetDevice, args: string[]): CommandResult {
  const ops = dev.ethtoolOps;
  const rings = ops?.get_ringparam?.(dev);
  if (ops?.set_ringparam === undefined || rings === undefined) return refused();
  const wished = { ...rings };
  for (let i = 0; i < args.length; i += 2) {
    const value = Number(args[i + 1]);
    if (!Number.isInteger(value) || value < 0) return failed(1, BAD_ARGUMENTS);
    if (args[i] === 'rx') wished.rx_pending = value;
    else if (args[i] === 'tx') wished.tx_pending = value;
    else return failed(1, BAD_ARGUMENTS);
  }
  if (wished.rx_pending > rings.rx_max_pending || wished.tx_pending > rings.tx_max_pending)
    return refused(22, 'requested ring size exceeds maximum');
  if (wished.rx_pending === rings.rx_pending && wished.tx_pending === rings.tx_pending) return ok();
  const extack: ExtAck = { message: '', reason: '' };
  const error = ops.set_ringparam(dev, wished, extack);
  return error === 0 ? ok() : refused(error, extack.message);
}

function showFeatures(dev: NetDevice): CommandResult {
  return ok(`Features for ${dev.name}:\nhw-tc-offload: ${dev.hwTcOffload ? 'on' : 'off'}\n`);
}

function setFeatures(dev: NetDevice, args: string[]): CommandResult {
  if (args.length !== 2 || (args[1] !== 'on' && args[1] !== 'off')) return failed(1, BAD_ARGUMENTS);
  if (args[0] !== 'hw-tc-offload')
    return failed(1, `ethtool: bad command line argument(s): unknown feature '${args[0]}'\n`);
  dev.hwTcOffload = args[1] === 'on';
  return ok();
}

function refused(error = 95, message = ''): CommandResult {
  const said = message === '' ? '' : `netlink error: ${message}\n`;
  return failed(REFUSED_STATUS, `${said}netlink error: ${strerror(error)}\n`);
}
