// `echo VALUE > FILE` and `cat FILE` for what Linux has only as files: the NAPI attributes of a device in /sys/class/net, those of
// its queues (queue-files.ts), netdevsim's (netdevsim-files.ts), the softirq statistics of /proc/net/softnet_stat, the flowtables' work under way
// in /proc/net/stat/nf_flowtable. /proc/sys is there too, as sysctl sees it; so are a tun device's flags and owners.
//
// softnet_stat has the 15 columns of Linux 6.1, hexadecimal: packets, drops, time_squeeze, then zeros for what the model does not
// have (RPS, flow limits), the core's number in column 13.

import { EINVAL, EIO, ENOENT, strerror } from '../../../driver/errno.ts';
import type { NetDevice } from '../../../driver/netdev.ts';
import { failed, ok } from './command.ts';
import type { CommandContext, CommandResult, ShellCommand } from './command.ts';
import { findNetdevsimFile } from './netdevsim-files.ts';
import { netfilterOf } from './nft.ts';
import { findQueueFile } from './queue-files.ts';

const PS_PER_NS = 1000;
/** gro_flush_timeout is an unsigned long, napi_defer_hard_irqs an unsigned int. */
const ATTRIBUTE = /^\/sys\/class\/net\/([^/]+)\/(gro_flush_timeout|napi_defer_hard_irqs)$/;
const DEFER_MAX = 0x7fff_ffff;
/** What tun devices show of themselves. */
const TUN_ATTRIBUTE = /^\/sys\/class\/net\/([^/]+)\/(tun_flags|owner|group)$/;

export const echo: ShellCommand = {
  name: 'echo',
  summary: 'text, or VALUE > FILE for NAPI attributes in /sys/class/net and /proc/sys',
  run(args: string[], ctx: CommandContext): CommandResult {
    const arrow = args.indexOf('>');
    if (arrow < 0) return ok(`${args.join(' ')}\n`);
    const file = args[arrow + 1];
    if (file === undefined || args.length !== arrow + 2)
      return failed(2, 'sh: 1: Syntax error: newline unexpected\n');
    const error = writeFile(ctx, file, args.slice(0, arrow).join(' '));
    if (error === 0) return ok();
    if (error === ENOENT) return failed(2, `sh: 1: cannot create ${file}: Directory nonexistent\n`);
    return failed(1, 'sh: 1: echo: echo: I/O error\n');
  },
};

export const cat: ShellCommand = {
  name: 'cat',
  summary:
    '/proc/net/softnet_stat, /proc/net/stat/nf_flowtable, NAPI attributes in /sys/class/net, /proc/sys',
  run(args: string[], ctx: CommandContext): CommandResult {
    const result: CommandResult = { status: 0, stdout: '', stderr: '' };
    for (const file of args) {
      const text = readFile(ctx, file);
      if (text !== null) result.stdout += text;
      else {
        result.status = 1;
        result.stderr += `cat: ${file}: ${strerror(ENOENT)}\n`;
      }
    }
    return result;
  },
};

function deviceOf(ctx: CommandContext, file: string): [NetDevice | null, string] {
  const match = ATTRIBUTE.exec(file);
  return match === null ? [null, ''] : [ctx.stack.links.byName(match[1]), match[2]];
}

/** 0 or a positive errno. */
function writeFile(ctx: CommandContext, file: string, text: string): number {
  if (file.startsWith('/proc/sys/')) {
    const name = file.slice('/proc/sys/'.length);
    return ctx.stack.sysctl.has(name) ? Math.abs(ctx.stack.sysctl.set(name, text).error) : ENOENT;
  }
  const pseudoFile = findQueueFile(file, ctx) ?? findNetdevsimFile(file, ctx);
  if (pseudoFile !== null) {
    const error = Math.abs(pseudoFile.write(text.trim()));
    return error === ENOENT ? EIO : error; // The file is there: it is the write that failed.
  }
  const [dev, attribute] = deviceOf(ctx, file);
  if (dev === null) return ENOENT;
  const value = /^\s*(0x[0-9a-f]+|\d+)\s*$/i.test(text) ? Number(text) : -1;
  if (value < 0) return EINVAL;
  if (attribute === 'gro_flush_timeout') dev.napiDeferral.groFlushTimeoutPs = value * PS_PER_NS;
  else if (value > DEFER_MAX) return EINVAL;
  else dev.napiDeferral.napiDeferHardIrqs = value;
  return 0;
}

function readFile(ctx: CommandContext, file: string): string | null {
  if (file === '/proc/net/softnet_stat') return softnetStat(ctx);
  if (file === '/proc/net/stat/nf_flowtable')
    return netfilterOf(ctx)?.flowtables.pendingWork.text() ?? null;
  if (file.startsWith('/proc/sys/')) {
    const name = file.slice('/proc/sys/'.length);
    return ctx.stack.sysctl.has(name) ? `${ctx.stack.sysctl.get(name)}\n` : null;
  }
  const tun = tunAttribute(ctx, file);
  if (tun !== null) return tun;
  const pseudoFile = findQueueFile(file, ctx) ?? findNetdevsimFile(file, ctx);
  if (pseudoFile !== null) {
    const text = pseudoFile.read();
    return text === null ? null : `${text}\n`;
  }
  const [dev, attribute] = deviceOf(ctx, file);
  if (dev === null) return null;
  const { napiDeferHardIrqs, groFlushTimeoutPs } = dev.napiDeferral;
  return `${attribute === 'gro_flush_timeout' ? groFlushTimeoutPs / PS_PER_NS : napiDeferHardIrqs}\n`;
}

function tunAttribute(ctx: CommandContext, file: string): string | null {
  const match = TUN_ATTRIBUTE.exec(file);
  const dev = match === null ? null : ctx.stack.links.byName(match[1]);
  const tun = dev === null ? null : ctx.stack.tun.deviceOf(dev);
  if (tun === null || match === null) return null;
  if (match[2] === 'tun_flags') return `0x${tun.flags.toString(16)}\n`;
  return `${match[2] === 'owner' ? tun.owner : tun.group}\n`;
}

function softnetStat(ctx: CommandContext): string {
  const lines = ctx.kernel.cores.map((core) => {
    const columns = new Array<number>(15).fill(0);
    columns[0] = core.packetCount;
    columns[2] = core.timeSqueeze;
    columns[12] = core.index;
    return columns.map((value) => (value >>> 0).toString(16).padStart(8, '0')).join(' ');
  });
  return `${lines.join('\n')}\n`;
}
