// `ip neigh` of iproute2 6.1: show, get, add, change, replace, del, flush.
//
// Left out: proxy entries, the `use` and `managed` flags, protocol, statistics of the cache (`ip ntable`).

import { EEXIST, ENOENT } from '../../../driver/errno.ts';
import { refuse } from '../../stack/answer.ts';
import { PS_PER_S } from '../../../hw/time/units.ts';
import { formatAddress, formatMac, parseMac, AF_INET, AF_INET6 } from '../../stack/ip/address.ts';
import type { Neighbour } from '../../stack/ip/neigh.ts';
import {
  NUD_DELAY,
  NUD_FAILED,
  NUD_INCOMPLETE,
  NUD_NOARP,
  NUD_NONE,
  NUD_PERMANENT,
  NUD_PROBE,
  NUD_REACHABLE,
  NUD_STALE,
  NUD_VALID,
} from '../../stack/ip/neigh.ts';
import type { NetStack } from '../../stack/net-stack.ts';
import { failed, ok } from './command.ts';
import type { CommandContext, CommandResult } from './command.ts';
import {
  IpError,
  abbreviates,
  addressOf,
  answered,
  deviceOf,
  garbage,
  jsonText,
  wrongArgument,
} from './ip-common.ts';
import type { Words, IpOptions } from './ip-common.ts';

const STATES: readonly (readonly [number, string])[] = [
  [NUD_INCOMPLETE, 'INCOMPLETE'],
  [NUD_REACHABLE, 'REACHABLE'],
  [NUD_STALE, 'STALE'],
  [NUD_DELAY, 'DELAY'],
  [NUD_PROBE, 'PROBE'],
  [NUD_FAILED, 'FAILED'],
  [NUD_NOARP, 'NOARP'],
  [NUD_PERMANENT, 'PERMANENT'],
  [NUD_NONE, 'NONE'],
];

type Verb = 'add' | 'change' | 'replace' | 'delete';

/** `ip neigh VERB ...`. */
export function neigh(words: Words, ctx: CommandContext, options: IpOptions): CommandResult {
  if (words.isEmpty) return show(words, ctx.stack, options);
  const verb = words.next();
  if (abbreviates(verb, 'add')) return modify(words, ctx.stack, options, 'add');
  if (abbreviates(verb, 'change') || verb === 'chg')
    return modify(words, ctx.stack, options, 'change');
  if (abbreviates(verb, 'replace')) return modify(words, ctx.stack, options, 'replace');
  if (abbreviates(verb, 'delete')) return modify(words, ctx.stack, options, 'delete');
  if (abbreviates(verb, 'get')) return get(words, ctx.stack, options);
  if (abbreviates(verb, 'show') || abbreviates(verb, 'lst') || abbreviates(verb, 'list'))
    return show(words, ctx.stack, options);
  if (abbreviates(verb, 'flush')) return flush(words, ctx.stack, options);
  throw new IpError(255, `Command "${verb}" is unknown, try "ip neigh help".`);
}

function stateOf(word: string): number {
  const found = STATES.find(([, name]) => name.toLowerCase() === word.toLowerCase());
  if (found === undefined) throw wrongArgument(word, 'nud state is bad');
  return found[0];
}

function modify(words: Words, stack: NetStack, options: IpOptions, verb: Verb): CommandResult {
  let address: Uint8Array | null = null;
  let mac: Uint8Array | null = null;
  let device = '';
  let state = NUD_PERMANENT;
  while (!words.isEmpty) {
    const word = words.next();
    if (word === 'lladdr') {
      const text = words.next();
      mac = parseMac(text);
      if (mac === null) throw new IpError(255, `"${text}" is invalid lladdr.`);
    } else if (word === 'nud') state = stateOf(words.next());
    else if (word === 'dev') device = words.next();
    else if (word === 'router') continue;
    else {
      const text = word === 'to' ? words.next() : word;
      if (address !== null) throw garbage('to', text);
      address = addressOf(text, options.family);
    }
  }
  if (address === null || device === '')
    return failed(255, 'Device and destination are required arguments.\n');
  const dev = deviceOf(stack, device);
  if (verb === 'delete') return answered(stack.neigh.remove(dev, address));
  const known = stack.neigh.find(dev, address) !== null;
  if (known && verb === 'add') return answered(refuse(EEXIST, '', 'neigh-exists'));
  if (!known && verb === 'change') return answered(refuse(ENOENT, '', 'neigh-unknown'));
  return answered(stack.neigh.replace(dev, address, mac, state));
}

interface Filter {
  device: string;
  address: Uint8Array | null;
  /** Mask of states, 0 for the usual ones. */
  states: number;
  all: boolean;
}

function filterOf(words: Words, options: IpOptions): Filter {
  const filter: Filter = { device: '', address: null, states: 0, all: false };
  while (!words.isEmpty) {
    const word = words.next();
    if (word === 'dev') filter.device = words.next();
    else if (word === 'nud') {
      const name = words.next();
      if (name === 'all') filter.all = true;
      else filter.states |= stateOf(name);
    } else filter.address = addressOf(word === 'to' ? words.next() : word, options.family);
  }
  return filter;
}

function picks(
  stack: NetStack,
  filter: Filter,
  options: IpOptions,
  flushing: boolean,
): Neighbour[] {
  const dev = filter.device === '' ? null : deviceOf(stack, filter.device);
  const usual = flushing
    ? (NUD_VALID & ~(NUD_PERMANENT | NUD_NOARP)) | NUD_FAILED | NUD_INCOMPLETE
    : 0xff & ~NUD_NOARP;
  const mask = filter.all ? 0xff : filter.states !== 0 ? filter.states : usual;
  return stack.neigh.list().filter((n) => {
    if (dev !== null && n.dev !== dev) return false;
    if (options.family !== 0 && n.family !== options.family) return false;
    if (filter.address !== null && formatAddress(filter.address) !== formatAddress(n.address))
      return false;
    return (n.state & mask) !== 0;
  });
}

function show(words: Words, stack: NetStack, options: IpOptions): CommandResult {
  const filter = filterOf(words, options);
  // The kernel dumps ARP before ND.
  const list = picks(stack, filter, options, false);
  const ordered = [
    ...list.filter((n) => n.family === AF_INET),
    ...list.filter((n) => n.family === AF_INET6),
  ];
  const noDev = filter.device !== '';
  if (options.json)
    return ok(jsonText(ordered.map((n) => neighbourJson(stack, n, options, noDev))));
  return ok(ordered.map((n) => neighbourText(stack, n, options, noDev)).join(''));
}

function get(words: Words, stack: NetStack, options: IpOptions): CommandResult {
  const filter = filterOf(words, options);
  if (filter.address === null || filter.device === '')
    return failed(255, 'Device and address are required arguments.\n');
  const found = stack.neigh.find(deviceOf(stack, filter.device), filter.address);
  if (found === null) return answered(refuse(ENOENT, '', 'neigh-unknown'));
  if (options.json) return ok(jsonText([neighbourJson(stack, found, options, false)]));
  return ok(neighbourText(stack, found, options, false));
}

function flush(words: Words, stack: NetStack, options: IpOptions): CommandResult {
  if (words.isEmpty) return failed(255, 'Flush requires arguments.\n');
  for (const n of picks(stack, filterOf(words, options), options, true))
    stack.neigh.remove(n.dev, n.address);
  return ok();
}

function stateName(n: Neighbour): string {
  return STATES.find(([value]) => value === n.state)?.[1] ?? 'NONE';
}

function seconds(stack: NetStack, sincePs: number): number {
  return Math.max(0, Math.floor((stack.scheduler.nowPs - sincePs) / PS_PER_S));
}

function neighbourText(stack: NetStack, n: Neighbour, options: IpOptions, noDev: boolean): string {
  let text = `${formatAddress(n.address)} `;
  if (!noDev) text += `dev ${n.dev.name} `;
  if (n.isValid) text += `lladdr ${formatMac(n.mac)} `;
  if (n.isRouter) text += 'router ';
  if (options.stats)
    text += `used ${seconds(stack, n.usedPs)}/${seconds(stack, n.confirmedPs)}/${seconds(stack, n.updatedPs)} probes ${n.probes} `;
  return `${text}${stateName(n)} \n`;
}

function neighbourJson(
  stack: NetStack,
  n: Neighbour,
  options: IpOptions,
  noDev: boolean,
): Record<string, unknown> {
  return {
    dst: formatAddress(n.address),
    ...(noDev ? {} : { dev: n.dev.name }),
    ...(n.isValid ? { lladdr: formatMac(n.mac) } : {}),
    ...(n.isRouter ? { router: null } : {}),
    ...(options.stats
      ? {
          used: seconds(stack, n.usedPs),
          confirmed: seconds(stack, n.confirmedPs),
          updated: seconds(stack, n.updatedPs),
          probes: n.probes,
        }
      : {}),
    state: [stateName(n)],
  };
}
