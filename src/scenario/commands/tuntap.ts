// `tuntap`: what a program does with /dev/net/tun, as commands (there is no such tool; docs/tun.md). Opens queues and closes them,
// disables and enables them, reads and writes frames, sends frames through the device, sets the steering policy and programs, and shows
// queues, learned flows and counters. System calls that fail are reported as perror(3) does, with status 1; wrong words with status 2.

import { EBADF, errnoName, strerror } from '../../../driver/errno.ts';
import { PS_PER_S } from '../../../hw/time/units.ts';
import type { NetStack } from '../../stack/net-stack.ts';
import { sendFrame } from '../../stack/tun/send.ts';
import { makeIfreq, requestName } from '../../stack/tun/tun-attach.ts';
import type { TunDevice } from '../../stack/tun/tun-device.ts';
import * as U from '../../stack/tun/uapi.ts';
import { failed, ok } from './command.ts';
import type { CommandContext, CommandResult, ShellCommand } from './command.ts';
import { setFilter, steering } from './tuntap-steering.ts';
import { TunError, bytesOf, deviceOf, numberOf, take } from './tuntap-words.ts';

const USAGE =
  'usage: tuntap open [DEV] [mode tun|tap] [multi_queue] [pi] [vnet_hdr] [no_carrier] [excl]\n' +
  '       tuntap close|attach|detach|drain FD\n' +
  '       tuntap write FD HEX [cpu N] | read FD [count N] | send DEV HEX [cpu N]\n' +
  '       tuntap steering DEV [automq | cpu | program FILE|none | rss [key HEX] [table N,N,...]\n' +
  '                            [types TYPE,TYPE,...] [unclassified N]]\n' +
  '       tuntap filter DEV FILE|none\n' +
  '       tuntap queues|flows|stats DEV\n' +
  '       tuntap ioctl FD NAME|NUMBER [NUMBER | hex:BYTES]\n';

type Verb = (args: string[], ctx: CommandContext) => CommandResult;

const VERBS: Readonly<Record<string, Verb>> = {
  open,
  close: (args, { stack }) => call(stack, args, 'close', (fd) => stack.tun.close(fd)),
  attach: (args, { stack }) => setQueue(stack, args, U.IFF_ATTACH_QUEUE),
  detach: (args, { stack }) => setQueue(stack, args, U.IFF_DETACH_QUEUE),
  drain,
  write,
  read,
  send,
  steering,
  filter: setFilter,
  queues,
  flows,
  stats,
  ioctl,
};

export const tuntap: ShellCommand = {
  name: 'tuntap',
  summary: 'queues of tun and tap devices: open, read, write, steering policies',
  run(args, ctx) {
    const verb = VERBS[args[0] ?? ''];
    if (verb === undefined) return failed(2, USAGE);
    try {
      return verb(args.slice(1), ctx);
    } catch (error) {
      if (error instanceof TunError) return failed(2, `tuntap: ${error.message}\n`);
      throw error;
    }
  },
};

/** A refused system call. */
function refused(call: string, error: number): CommandResult {
  return failed(1, `tuntap: ${call}: ${strerror(error)} (${errnoName(error)})\n`);
}

const OPEN_FLAGS: Readonly<Record<string, number>> = {
  multi_queue: U.IFF_MULTI_QUEUE,
  vnet_hdr: U.IFF_VNET_HDR,
  no_carrier: U.IFF_NO_CARRIER,
  one_queue: U.IFF_ONE_QUEUE,
  excl: U.IFF_TUN_EXCL,
};

function open(args: string[], { stack }: CommandContext): CommandResult {
  let name = '';
  let kind = U.IFF_TAP;
  let flags = U.IFF_NO_PI;
  for (let i = 0; i < args.length; i++) {
    const word = args[i];
    if (word === 'mode') {
      const mode = args[++i];
      if (mode !== 'tun' && mode !== 'tap') throw new TunError('mode: tun or tap expected');
      kind = mode === 'tun' ? U.IFF_TUN : U.IFF_TAP;
    } else if (word === 'pi') flags &= ~U.IFF_NO_PI;
    else if (OPEN_FLAGS[word] !== undefined) flags |= OPEN_FLAGS[word];
    else if (name === '') name = word;
    else throw new TunError(`open: "${word}" is not known`);
  }
  const { tun } = stack;
  const fd = tun.open();
  if (fd < 0) return refused('open', fd);
  const ifreq = makeIfreq(name, kind | flags);
  const error = tun.ioctl(fd, 'TUNSETIFF', ifreq);
  if (error < 0) {
    tun.close(fd);
    return refused('ioctl(TUNSETIFF)', error);
  }
  return ok(`fd ${fd}: ${requestName(ifreq)} queue ${tun.file(fd)?.queueIndex ?? 0}\n`);
}

function call(
  _stack: NetStack,
  args: string[],
  name: string,
  run: (fd: number) => number,
): CommandResult {
  const error = run(numberOf(take(args, 0, 'FD'), 'FD'));
  return error < 0 ? refused(name, error) : ok();
}

function setQueue(stack: NetStack, args: string[], flag: number): CommandResult {
  return call(stack, args, 'ioctl(TUNSETQUEUE)', (fd) =>
    stack.tun.ioctl(fd, 'TUNSETQUEUE', makeIfreq('', flag)),
  );
}

/** `WORD N` among the words from `from` on; `standard` without it. */
function option(args: string[], from: number, word: string, standard: number): number {
  if (args.length <= from) return standard;
  if (args[from] !== word) throw new TunError(`"${args[from]}": ${word} expected`);
  return numberOf(take(args, from + 1, 'N'), word);
}

function write(args: string[], { stack }: CommandContext): CommandResult {
  const fd = numberOf(take(args, 0, 'FD'), 'FD');
  const result = stack.tun.write(fd, bytesOf(take(args, 1, 'HEX')), option(args, 2, 'cpu', 0));
  return result < 0 ? refused('write', result) : ok(`${result}\n`);
}

const READ_BYTES = 65_600;

function read(args: string[], { stack }: CommandContext): CommandResult {
  const fd = numberOf(take(args, 0, 'FD'), 'FD');
  const count = option(args, 1, 'count', 1);
  const buffer = new Uint8Array(READ_BYTES);
  let text = '';
  for (let i = 0; i < count; i++) {
    const result = stack.tun.read(fd, buffer);
    if (result < 0) {
      // Running dry after the first packet is no failure.
      return i > 0 ? ok(text) : refused('read', result);
    }
    text += `${Array.from(buffer.subarray(0, result), (b) => b.toString(16).padStart(2, '0')).join('')}\n`;
  }
  return ok(text);
}

/** From now on a program reads everything that comes to the queue, and throws it away. */
function drain(args: string[], { stack }: CommandContext): CommandResult {
  const fd = numberOf(take(args, 0, 'FD'), 'FD');
  const file = stack.tun.file(fd);
  if (file === null) return refused('read', -EBADF);
  const buffer = new Uint8Array(READ_BYTES);
  file.onReadable = () => {
    while (stack.tun.read(fd, buffer) > 0);
  };
  file.onReadable();
  return ok();
}

function send(args: string[], { stack }: CommandContext): CommandResult {
  const tun = deviceOf(stack, take(args, 0, 'DEV'));
  const bytes = bytesOf(take(args, 1, 'HEX'));
  if (bytes.length < (tun.isTap ? 14 : 1)) throw new TunError('HEX: a whole frame expected');
  return sendFrame(tun, bytes, option(args, 2, 'cpu', 0)) ? ok() : refused('send', -12);
}

function queues(args: string[], { stack }: CommandContext): CommandResult {
  const tun = deviceOf(stack, take(args, 0, 'DEV'));
  const open = stack.tun.openFiles();
  const fdOf = (file: unknown): number => open.find((one) => one.file === file)?.fd ?? -1;
  const line = (file: TunDevice['queues'][number], name: string): string => {
    const { ring } = file;
    return (
      `${name} fd ${fdOf(file)}: ${ring.count} of ${ring.capacity} packets wait, ` +
      `${ring.producedCount} put in, ${ring.fullCount} refused, ${ring.lockSwitches} lock switches\n`
    );
  };
  return ok(
    tun.queues.map((file, index) => line(file, `queue ${index}`)).join('') +
      tun.disabled.map((file) => line(file, 'disabled')).join(''),
  );
}

function flows(args: string[], { stack }: CommandContext): CommandResult {
  const tun = deviceOf(stack, take(args, 0, 'DEV'));
  const now = stack.scheduler.nowPs;
  const lines = tun.flows.entries().map((entry) => {
    const age = (Math.max(0, now - entry.updatedPs) / PS_PER_S).toFixed(3);
    const hash = entry.hash.toString(16).padStart(8, '0');
    return `hash ${hash} queue ${entry.queueIndex} updated ${age} s ago\n`;
  });
  return ok(`${tun.dev.name}: ${tun.flows.count} of 4096 flows\n${lines.join('')}`);
}

function stats(args: string[], { stack }: CommandContext): CommandResult {
  const tun = deviceOf(stack, take(args, 0, 'DEV'));
  const { counters } = tun.flows;
  const s = tun.stats;
  const rows: readonly (readonly [string, number])[] = [
    ['hash computations', tun.hasher.count],
    ['table lookups', counters.lookups],
    ['table hits', counters.hits],
    ['flows created', counters.creations],
    ['flows updated', counters.updates],
    ['flows refused (table full)', counters.refusals],
    ['flows expired', counters.expiries],
    ['steering program runs', tun.steeringProgram?.runCount ?? 0],
    ['ring-lock switches', tun.ringLockSwitches],
    ['rx packets', s.rxPackets],
    ['rx dropped', s.rxDropped],
    ['rx frame errors', s.rxFrameErrors],
    ['tx packets (read)', s.txPackets],
    ['tx dropped', s.txDropped],
  ];
  return ok(
    `${tun.dev.name}: policy ${tun.steering.name}, ${tun.numqueues} queues, ` +
      `${tun.disabled.length} disabled\n` +
      rows.map(([name, value]) => `     ${name}: ${value}\n`).join(''),
  );
}

/** A raw request: prints what the kernel put into the buffer when one was given. */
function ioctl(args: string[], { stack }: CommandContext): CommandResult {
  const fd = numberOf(take(args, 0, 'FD'), 'FD');
  const word = take(args, 1, 'NAME or NUMBER');
  const request = /^(0x)?[0-9a-f]+$/i.test(word) ? Number(word) : word;
  if (typeof request === 'string' && !(request in U.TUN_IOCTLS))
    throw new TunError(`ioctl: "${word}" is not known`);
  const argument = args[2] ?? '0';
  if (!argument.startsWith('hex:')) {
    const error = stack.tun.ioctl(fd, request, numberOf(argument, 'argument'));
    return error < 0 ? refused(`ioctl(${word})`, error) : ok(`${error}\n`);
  }
  const buffer = bytesOf(argument.slice(4));
  const error = stack.tun.ioctl(fd, request, buffer);
  if (error < 0) return refused(`ioctl(${word})`, error);
  const hex = Array.from(buffer, (b) => b.toString(16).padStart(2, '0')).join('');
  return ok(`${error} hex:${hex}\n`);
}
