// The files of netdevsim: making and deleting devices (/sys/bus/netdevsim/{new,del}_device), and the debugfs knobs that make its requests fail:
//
//   /sys/kernel/debug/netdevsim/netdevsimN/dont_allow_reload  fail_reload  health/break_health
//   /sys/kernel/debug/netdevsim/netdevsimN/ports/P/ethtool/get_err  set_err
//
// Left out: the other knobs; del_device of a device in use by anything but the stack.

import { reportHealth } from '../../../driver/devlink-core.ts';
import { EINVAL } from '../../../driver/errno.ts';
import { delNetdevsim, netdevsims, newNetdevsim } from '../../../driver/sim/netdevsim/device.ts';
import type { Netdevsim } from '../../../driver/sim/netdevsim/device.ts';
import type { CommandContext } from './command.ts';
import type { PseudoFile } from './queue-files.ts';

const BUS = /^\/sys\/bus\/netdevsim\/(new|del)_device$/;
const DEBUG = /^\/sys\/kernel\/debug\/netdevsim\/(netdevsim[0-9]+)\/(.+)$/;
const PORT = /^ports\/([0-9]+)\/ethtool\/(get|set)_err$/;

/** The file of a path, null when it is none of netdevsim's. */
export function findNetdevsimFile(path: string, ctx: CommandContext): PseudoFile | null {
  const bus = BUS.exec(path);
  if (bus !== null) return bus[1] === 'new' ? newDevice(ctx) : delDevice(ctx);
  const match = DEBUG.exec(path);
  const device = netdevsims(ctx.kernel).find(({ devlink }) => devlink.name === match?.[1]);
  return match === null || device === undefined ? null : debugFile(device, match[2]);
}

/** "id port_count num_queues": the last two are 1 unless given. */
function newDevice({ kernel }: CommandContext): PseudoFile {
  return {
    read: () => null,
    write(text) {
      const match = /^\s*([0-9]+)(?:\s+([0-9]+))?(?:\s+([0-9]+))?/.exec(text);
      if (match === null || Number(match[1]) > 0x7fffffff) return -EINVAL;
      const [id, ports, queues] = [match[1], match[2] ?? '1', match[3] ?? '1'].map(Number);
      if (queues === 0) return -EINVAL;
      return newNetdevsim(kernel, { id, ports, queues });
    },
  };
}

function delDevice({ kernel }: CommandContext): PseudoFile {
  return {
    read: () => null,
    write(text) {
      const match = /^\s*([0-9]+)/.exec(text);
      return match === null ? -EINVAL : delNetdevsim(kernel, Number(match[1]));
    },
  };
}

function debugFile(device: Netdevsim, name: string): PseudoFile | null {
  if (name === 'fail_reload' || name === 'dont_allow_reload') {
    const key = name === 'fail_reload' ? 'failReload' : 'dontAllowReload';
    return {
      read: () => (device[key] ? 'Y' : 'N'),
      write(text) {
        if (!/^[yn01]/i.test(text)) return -EINVAL;
        device[key] = /^[y1]/i.test(text);
        return 0;
      },
    };
  }
  if (name === 'health/break_health') {
    return {
      read: () => null,
      write() {
        const reporter = device.devlink.reporters.find((one) => one.name === 'dummy');
        if (reporter !== undefined) reportHealth(reporter);
        return 0;
      },
    };
  }
  const match = PORT.exec(name);
  const port = match === null ? undefined : device.ports[Number(match[1])];
  if (match === null || port === undefined) return null;
  const key = match[2] === 'get' ? 'getError' : 'setError';
  return {
    read: () => String(port.settings[key]),
    write(text) {
      if (!/^[0-9]+$/.test(text)) return -EINVAL;
      port.settings[key] = Number(text);
      return 0;
    },
  };
}
