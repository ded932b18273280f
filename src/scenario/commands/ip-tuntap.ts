// `ip tuntap` of iproute2 6.1: add (a persistent device without queues), del, show. Texts and exit statuses are the tool's own: it
// opens /dev/net/tun, calls TUNSETIFF and TUNSETPERSIST, and closes it again, as this does.
//
// The machine knows one user and one group by name, root. `-d` lists descriptors where the tool lists processes.

import { strerror } from '../../../driver/errno.ts';
import type { NetStack } from '../../stack/net-stack.ts';
import { makeIfreq } from '../../stack/tun/tun-attach.ts';
import type { TunDevice } from '../../stack/tun/tun-device.ts';
import { tunFlagWords } from '../../stack/tun/tun-link.ts';
import * as U from '../../stack/tun/uapi.ts';
import { failed, ok } from './command.ts';
import type { CommandContext, CommandResult } from './command.ts';
import { IpError, abbreviates, garbage, jsonText, wrongArgument } from './ip-common.ts';
import type { IpOptions, Words } from './ip-common.ts';

const USAGE =
  'Usage: ip tuntap { add | del | show | list | lst | help } [ dev PHYS_DEV ]\n' +
  '\t[ mode { tun | tap } ] [ user USER ] [ group GROUP ]\n' +
  '\t[ one_queue ] [ pi ] [ vnet_hdr ] [ multi_queue ] [ name NAME ]\n' +
  '\n' +
  'Where:\tUSER  := { STRING | NUMBER }\n' +
  '\tGROUP := { STRING | NUMBER }';

/** What the words of `add` and `del` ask for. */
interface Request {
  name: string;
  flags: number;
  /** −1 for none. */
  uid: number;
  gid: number;
}

/** `ip tuntap VERB ...`. */
export function tuntap(words: Words, ctx: CommandContext, options: IpOptions): CommandResult {
  if (words.isEmpty) return show(ctx.stack, options);
  const verb = words.next();
  if (abbreviates(verb, 'add')) return add(parse(words, true), ctx.stack);
  if (abbreviates(verb, 'delete')) return remove(parse(words, false), ctx.stack);
  if (abbreviates(verb, 'show') || abbreviates(verb, 'lst') || abbreviates(verb, 'list'))
    return show(ctx.stack, options);
  if (abbreviates(verb, 'help')) throw new IpError(255, USAGE);
  throw new IpError(255, `Command "${verb}" is unknown, try "ip tuntap help".`);
}

function parse(words: Words, takesOwner: boolean): Request {
  const request: Request = { name: '', flags: U.IFF_NO_PI, uid: -1, gid: -1 };
  while (!words.isEmpty) {
    const word = words.next();
    if (abbreviates(word, 'mode')) setMode(request, words.next());
    else if (takesOwner && abbreviates(word, 'user')) request.uid = idOf(words.next(), 'user');
    else if (takesOwner && abbreviates(word, 'group')) request.gid = idOf(words.next(), 'group');
    else if (abbreviates(word, 'pi')) request.flags &= ~U.IFF_NO_PI;
    else if (abbreviates(word, 'one_queue')) request.flags |= U.IFF_ONE_QUEUE;
    else if (abbreviates(word, 'vnet_hdr')) request.flags |= U.IFF_VNET_HDR;
    else if (abbreviates(word, 'multi_queue')) request.flags |= U.IFF_MULTI_QUEUE;
    else if (abbreviates(word, 'dev')) request.name = interfaceName(words.next(), 'dev');
    else if (word !== 'name' && abbreviates(word, 'help')) throw new IpError(255, USAGE);
    else {
      const name = abbreviates(word, 'name') ? words.next() : word;
      if (request.name !== '') throw garbage('name', name);
      request.name = interfaceName(name, 'name');
    }
  }
  return request;
}

function setMode(request: Request, mode: string): void {
  const flag = abbreviates(mode, 'tun') ? U.IFF_TUN : abbreviates(mode, 'tap') ? U.IFF_TAP : 0;
  if (flag === 0) throw new IpError(255, `Unknown tunnel mode "${mode}"`);
  if ((request.flags & (flag ^ (U.IFF_TUN | U.IFF_TAP))) !== 0)
    throw new IpError(255, 'You managed to ask for more than one tunnel mode.');
  request.flags |= flag;
}

function idOf(word: string, what: string): number {
  if (/^\d+$/.test(word)) return Number(word);
  if (word === 'root') return 0;
  throw new IpError(255, `invalid ${what} "${word}"`);
}

function interfaceName(word: string, key: string): string {
  if (/^[^/\s]{1,15}$/.test(word)) return word;
  throw wrongArgument(word, `"${key}" not a valid ifname`);
}

const NO_MODE = 'You failed to specify a tunnel mode\n';
const hasMode = (request: Request): boolean => (request.flags & (U.IFF_TUN | U.IFF_TAP)) !== 0;

function add(request: Request, stack: NetStack): CommandResult {
  if (!hasMode(request)) return failed(1, NO_MODE);
  const { tun } = stack;
  const steps: readonly (readonly [string, number | Uint8Array])[] = [
    ['TUNSETIFF', makeIfreq(request.name, request.flags | U.IFF_TUN_EXCL)],
    ...(request.uid < 0 ? [] : [['TUNSETOWNER', request.uid] as const]),
    ...(request.gid < 0 ? [] : [['TUNSETGROUP', request.gid] as const]),
    ['TUNSETPERSIST', 1],
  ];
  return openAndCall(tun, steps);
}

function remove(request: Request, stack: NetStack): CommandResult {
  if (!hasMode(request)) return failed(1, NO_MODE);
  return openAndCall(stack.tun, [
    ['TUNSETIFF', makeIfreq(request.name, request.flags)],
    ['TUNSETPERSIST', 0],
  ]);
}

function openAndCall(
  tun: NetStack['tun'],
  steps: readonly (readonly [string, number | Uint8Array])[],
): CommandResult {
  const fd = tun.open();
  if (fd < 0) return failed(1, `open: ${strerror(fd)}\n`);
  for (const [name, argument] of steps) {
    const error = tun.ioctl(fd, name, argument);
    if (error >= 0) continue;
    tun.close(fd);
    return failed(1, `ioctl(${name}): ${strerror(error)}\n`);
  }
  tun.close(fd);
  return ok();
}

function show(stack: NetStack, options: IpOptions): CommandResult {
  const devices = stack.tun.devices();
  if (options.json) return ok(jsonText(devices.map((tun) => json(stack, tun, options))));
  return ok(devices.map((tun) => text(stack, tun, options)).join(''));
}

function text(stack: NetStack, tun: TunDevice, options: IpOptions): string {
  let line = `${tun.dev.name}: ${tunFlagWords(tun).join(' ')}`;
  if (tun.owner >= 0) line += ` user ${tun.owner}`;
  if (tun.group >= 0) line += ` group ${tun.group}`;
  if (options.details)
    line += `\n\tAttached to processes:${descriptors(stack, tun)
      .map((fd) => ` tuntap(${fd})`)
      .join('')}`;
  return `${line}\n`;
}

function json(stack: NetStack, tun: TunDevice, options: IpOptions): Record<string, unknown> {
  return {
    ifname: tun.dev.name,
    flags: tunFlagWords(tun),
    ...(tun.owner >= 0 ? { user: tun.owner } : {}),
    ...(tun.group >= 0 ? { group: tun.group } : {}),
    ...(options.details
      ? { processes: descriptors(stack, tun).map((fd) => ({ name: 'tuntap', pid: fd })) }
      : {}),
  };
}

function descriptors(stack: NetStack, tun: TunDevice): number[] {
  return stack.tun
    .openFiles()
    .filter(({ file }) => file.tun === tun)
    .map(({ fd }) => fd);
}
