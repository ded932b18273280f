// `ip addr` of iproute2 6.1: show, add, change, replace, del, flush.
//
// Left out: lifetimes other than forever, peer addresses, labels other than the device's name, save and restore.

import { EINVAL, ENOENT } from '../../../driver/errno.ts';
import { refuse } from '../../stack/answer.ts';
import type { NetDevice } from '../../../driver/netdev.ts';
import { IFF_BROADCAST } from '../../../driver/netdev.ts';
import {
  AF_INET,
  AF_INET6,
  formatAddress,
  maskAddress,
  sameBytes,
} from '../../stack/ip/address.ts';
import type { InterfaceAddress } from '../../stack/ip/addresses.ts';
import { isLinkLocal } from '../../stack/ip/addresses.ts';
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
  prefixOf,
  scopeName,
  scopeOf,
} from './ip-common.ts';
import type { Words, IpOptions, Prefix } from './ip-common.ts';
import { linkJson, linkLine, linkText, operstate, shownName, statsText } from './ip-link-show.ts';

/** `ip addr VERB ...`. */
export function addr(words: Words, ctx: CommandContext, options: IpOptions): CommandResult {
  if (words.isEmpty) return show(words, ctx.stack, options);
  const verb = words.next();
  if (abbreviates(verb, 'add')) return modify(words, ctx.stack, options, 'add');
  if (abbreviates(verb, 'change') || verb === 'chg')
    return modify(words, ctx.stack, options, 'change');
  if (abbreviates(verb, 'replace')) return modify(words, ctx.stack, options, 'replace');
  if (abbreviates(verb, 'delete')) return modify(words, ctx.stack, options, 'delete');
  if (abbreviates(verb, 'show') || abbreviates(verb, 'lst') || abbreviates(verb, 'list'))
    return show(words, ctx.stack, options);
  if (abbreviates(verb, 'flush')) return flush(words, ctx.stack, options);
  throw new IpError(255, `Command "${verb}" is unknown, try "ip address help".`);
}

interface AddressWords {
  local: Prefix | null;
  device: string;
  broadcast: string;
  scope: number;
  nodad: boolean;
  noPrefixRoute: boolean;
}

function parse(words: Words, options: IpOptions): AddressWords {
  const out: AddressWords = {
    local: null,
    device: '',
    broadcast: '',
    scope: -1,
    nodad: false,
    noPrefixRoute: false,
  };
  while (!words.isEmpty) {
    const word = words.next();
    if (word === 'dev') out.device = words.next();
    else if (word === 'broadcast' || word === 'brd') out.broadcast = words.next();
    else if (word === 'scope') out.scope = scopeOf(words.next());
    else if (word === 'label') words.next();
    else if (word === 'nodad') out.nodad = true;
    else if (word === 'noprefixroute') out.noPrefixRoute = true;
    else if (word === 'valid_lft' || word === 'preferred_lft') {
      const value = words.next();
      if (value !== 'forever') throw new IpError(2, 'RTNETLINK answers: Operation not supported');
    } else {
      const text = word === 'local' ? words.next() : word;
      if (out.local !== null) throw garbage('local', text);
      out.local = prefixOf(text, options.family);
    }
  }
  return out;
}

function modify(
  words: Words,
  stack: NetStack,
  options: IpOptions,
  verb: 'add' | 'change' | 'replace' | 'delete',
): CommandResult {
  const said = parse(words, options);
  if (said.device === '') return failed(1, 'Not enough information: "dev" argument is required.\n');
  const { local } = said;
  const dev = deviceOf(stack, said.device);
  if (local === null) return answered(refuse(EINVAL, '', 'no-address'));
  if (verb === 'delete')
    return answered(
      stack.addresses.remove(
        dev,
        local.address,
        local.hasLength ? local.prefixLen : local.address.length * 8,
      ),
    );
  const known = stack.addresses
    .of(dev, local.family)
    .some(
      (a) =>
        sameBytes(a.address, 0, local.address, 0, a.address.length) &&
        a.prefixLen === local.prefixLen,
    );
  if (known && verb !== 'add') return ok();
  if (!known && verb === 'change') return answered(refuse(ENOENT, '', 'address-unknown'));
  return answered(stack.addresses.add(addressFor(dev, local, said)));
}

function addressFor(dev: NetDevice, local: Prefix, said: AddressWords): InterfaceAddress {
  const { address, prefixLen, family } = local;
  const automatic =
    family === AF_INET
      ? address[0] === 127
        ? 254
        : 0
      : isLinkLocal(address, 0)
        ? 253
        : isV6Loopback(address)
          ? 254
          : 0;
  return {
    family,
    dev,
    address,
    prefixLen,
    scope: family === AF_INET && said.scope >= 0 ? said.scope : automatic,
    broadcast: family === AF_INET ? broadcastFor(dev, local, said.broadcast) : null,
    secondary: false,
    nodad: said.nodad,
    noPrefixRoute: said.noPrefixRoute,
  };
}

function isV6Loopback(address: Uint8Array): boolean {
  return address.every((byte, i) => byte === (i === 15 ? 1 : 0));
}

function broadcastFor(dev: NetDevice, local: Prefix, word: string): Uint8Array | null {
  if (word === '' || word === '-' || (dev.flags & IFF_BROADCAST) === 0) {
    if (word !== '+') return null;
  }
  if (word !== '+') return addressOf(word, AF_INET);
  if (local.prefixLen > 30) return null;
  const mask = maskAddress(new Uint8Array(4).fill(255), local.prefixLen);
  return local.address.map((byte, i) => byte | (0xff & ~mask[i]));
}

interface Filter {
  dev: NetDevice | null;
  up: boolean;
  scope: number;
  to: Prefix | null;
}

function filterOf(words: Words, stack: NetStack, options: IpOptions): Filter {
  const filter: Filter = { dev: null, up: false, scope: -1, to: null };
  while (!words.isEmpty) {
    const word = words.next();
    if (word === 'up') filter.up = true;
    else if (word === 'scope') filter.scope = scopeOf(words.next());
    else if (word === 'to') filter.to = prefixOf(words.next(), options.family);
    else if (word === 'permanent' || word === 'primary') continue;
    else {
      const name = word === 'dev' ? words.next() : word;
      filter.dev = stack.links.byName(name);
      if (filter.dev === null) throw new IpError(1, `Device "${name}" does not exist.`);
    }
  }
  return filter;
}

function passes(a: InterfaceAddress, filter: Filter): boolean {
  if (filter.scope >= 0 && a.scope !== filter.scope) return false;
  const { to } = filter;
  if (to === null) return true;
  return (
    to.family === a.family &&
    sameBytes(
      maskAddress(a.address, to.prefixLen),
      0,
      maskAddress(to.address, to.prefixLen),
      0,
      a.address.length,
    )
  );
}

function show(words: Words, stack: NetStack, options: IpOptions): CommandResult {
  const filter = filterOf(words, stack, options);
  let text = '';
  const list: unknown[] = [];
  const families = options.family === 0 ? [AF_INET, AF_INET6] : [options.family];
  for (const dev of stack.links.all()) {
    if ((filter.dev !== null && dev !== filter.dev) || (filter.up && !dev.isUp)) continue;
    const addresses = families
      .flatMap((f) => stack.addresses.of(dev, f))
      .filter((a) => passes(a, filter));
    const narrowed = options.family !== 0 || filter.scope >= 0 || filter.to !== null;
    if (narrowed && addresses.length === 0) continue;
    if (options.json) {
      list.push(
        linkJson(
          stack,
          dev,
          options,
          false,
          addresses.map((a) => addressJson(a, options)),
        ),
      );
      continue;
    }
    if (options.brief) {
      const shown = addresses.map((a) => `${formatAddress(a.address)}/${a.prefixLen} `).join('');
      text += `${shownName(stack, dev).padEnd(16)} ${operstate(stack, dev).padEnd(14)} ${shown}\n`;
      continue;
    }
    text +=
      options.family === 0 ? linkText(stack, dev, options, false) : linkLine(stack, dev, false);
    text += addresses.map(addressText).join('');
    if (options.stats) text += statsText(stack, dev);
  }
  return ok(options.json ? jsonText(list) : text);
}

function addressText(a: InterfaceAddress): string {
  const brd = a.broadcast === null ? '' : `brd ${formatAddress(a.broadcast)} `;
  const flags =
    (a.secondary ? 'secondary ' : '') +
    (a.family === AF_INET6 && a.nodad && a.scope === 0 ? 'nodad ' : '') +
    (a.noPrefixRoute ? 'noprefixroute ' : '');
  const label = a.family === AF_INET ? a.dev.name : '';
  return (
    `    inet${a.family === AF_INET ? '' : '6'} ${formatAddress(a.address)}/${a.prefixLen} ${brd}` +
    `scope ${scopeName(a.scope)} ${flags}${label}\n` +
    '       valid_lft forever preferred_lft forever\n'
  );
}

function addressJson(a: InterfaceAddress, options: IpOptions): Record<string, unknown> {
  if (options.brief) return { local: formatAddress(a.address), prefixlen: a.prefixLen };
  return {
    family: a.family === AF_INET ? 'inet' : 'inet6',
    local: formatAddress(a.address),
    prefixlen: a.prefixLen,
    ...(a.broadcast === null ? {} : { broadcast: formatAddress(a.broadcast) }),
    scope: scopeName(a.scope),
    ...(a.secondary ? { secondary: true } : {}),
    ...(a.family === AF_INET6 && a.nodad && a.scope === 0 ? { nodad: true } : {}),
    ...(a.noPrefixRoute ? { noprefixroute: true } : {}),
    ...(a.family === AF_INET ? { label: a.dev.name } : {}),
    valid_life_time: 0xffff_ffff,
    preferred_life_time: 0xffff_ffff,
  };
}

function flush(words: Words, stack: NetStack, options: IpOptions): CommandResult {
  if (words.isEmpty) return failed(255, 'Flush requires arguments.\n');
  const filter = filterOf(words, stack, options);
  const families = options.family === 0 ? [AF_INET, AF_INET6] : [options.family];
  for (const dev of stack.links.all()) {
    if ((filter.dev !== null && dev !== filter.dev) || (filter.up && !dev.isUp)) continue;
    for (const a of families.flatMap((f) => stack.addresses.of(dev, f)))
      if (passes(a, filter)) stack.addresses.remove(dev, a.address, a.prefixLen);
  }
  return ok();
}
