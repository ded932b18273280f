// Files of a device's queues in sysfs: receive and transmit packet steering.
//
//   /sys/class/net/DEV/queues/rx-N/rps_cpus      CPUs as a hexadecimal mask      rps_flow_cnt   entries of the flow table
//   /sys/class/net/DEV/queues/tx-N/xps_cpus      CPUs as a mask                  xps_rxqs       receive queues as a mask

import { EINVAL } from '../../../driver/errno.ts';
import type { NetDevice } from '../../../driver/netdev.ts';
import { XpsMaps } from '../../../driver/xps.ts';
import type { CommandContext } from './command.ts';

/** One file: its text (null: it cannot be read), and what a write does (0 or −errno). */
export interface PseudoFile {
  read(): string | null;
  write(text: string): number;
}

const QUEUE_FILE = /^\/sys\/class\/net\/([^/]+)\/queues\/(rx|tx)-([0-9]+)\/([a-z_]+)$/;
/** Largest flow table (spec: an int's worth; the model keeps it in memory). */
const FLOWS_MAX = 1 << 20;

/** The file of a path, null when it is none of a queue. */
export function findQueueFile(path: string, ctx: CommandContext): PseudoFile | null {
  const match = QUEUE_FILE.exec(path);
  const dev = match === null ? null : ctx.stack.links.byName(match[1]);
  if (match === null || dev === null) return null;
  const queue = Number(match[3]);
  const count = match[2] === 'rx' ? dev.realNumRxQueues : dev.realNumTxQueues;
  if (queue >= count) return null;
  return match[2] === 'rx'
    ? receiveFile(match[4], dev, queue, ctx)
    : transmitFile(match[4], dev, queue, ctx);
}

function receiveFile(
  name: string,
  dev: NetDevice,
  queue: number,
  ctx: CommandContext,
): PseudoFile | null {
  const { receiveSteering: rfs, cores } = ctx.kernel;
  if (name === 'rps_cpus')
    return maskFile(cores.length, rfs.cpusOf(dev, queue), (cpus) => {
      rfs.setCpus(dev, queue, cpus);
    });
  if (name !== 'rps_flow_cnt') return null;
  return {
    read: () => String(rfs.flowCountOf(dev, queue)),
    write(text) {
      const count = /^[0-9]+$/.test(text) ? Number(text) : -1;
      if (count < 0 || count > FLOWS_MAX) return -EINVAL;
      rfs.setFlowCount(dev, queue, count);
      return 0;
    },
  };
}

function transmitFile(
  name: string,
  dev: NetDevice,
  queue: number,
  ctx: CommandContext,
): PseudoFile | null {
  const maps = (): XpsMaps => (dev.xps ??= new XpsMaps());
  if (name === 'xps_cpus')
    return maskFile(ctx.kernel.cores.length, dev.xps?.cpusOf(queue) ?? [], (cpus) => {
      maps().setCpus(queue, cpus);
    });
  if (name !== 'xps_rxqs') return null;
  return maskFile(dev.realNumRxQueues, dev.xps?.rxQueuesOf(queue) ?? [], (queues) => {
    maps().setRxQueues(queue, queues);
  });
}

/** A bitmap of `count` bits in hexadecimal, commas every 32 bits. */
function maskFile(
  count: number,
  members: readonly number[],
  set: (members: number[]) => void,
): PseudoFile {
  return {
    read() {
      const digits = new Array<number>(Math.ceil(count / 4)).fill(0);
      for (const member of members) digits[digits.length - 1 - (member >> 2)] |= 1 << (member & 3);
      const text = digits.map((digit) => digit.toString(16)).join('');
      return text.replace(/(?<=.)(?=(.{8})+$)/g, ',');
    },
    write(text) {
      const digits = text.replaceAll(',', '');
      if (!/^[0-9a-f]{1,32}$/i.test(digits)) return -EINVAL;
      const chosen: number[] = [];
      for (let bit = 0; bit < 4 * digits.length; bit++)
        if (((parseInt(digits[digits.length - 1 - (bit >> 2)], 16) >> (bit & 3)) & 1) === 1)
          chosen.push(bit);
      if (chosen.some((bit) => bit >= count)) return -EINVAL;
      set(chosen);
      return 0;
    },
  };
}
