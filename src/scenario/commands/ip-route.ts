// `ip route` of iproute2 6.1: show, get, add, change, replace, append, prepend, del, flush.
//
// Left out: nexthop groups, encap other than ip and ip6, tables other than main and local, TOS, metrics other than mtu; refused with
// the kernel's EOPNOTSUPP, never ignored.

import type { NetDevice } from '../../../driver/netdev.ts';
import {
  AF_INET,
  AF_INET6,
  formatAddress,
  maskAddress,
  sameBytes,
} from '../../stack/ip/address.ts';
import type { FibEntry, RouteType } from '../../stack/ip/fib.ts';
import {
  RTPROT_BOOT,
  RTPROT_KERNEL,
  RTPROT_RA,
  RTPROT_STATIC,
  RT_TABLE_LOCAL,
  RT_TABLE_MAIN,
} from '../../stack/ip/fib.ts';
import type { RouteRequest, RouteVerb } from '../../stack/ip/route-admin.ts';
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
  networkOf,
  numberOf,
  prefixOf,
  scopeName,
  scopeOf,
  wrongArgument,
} from './ip-common.ts';
import type { Words, IpOptions, Prefix } from './ip-common.ts';
import { encapJson, encapText, parseEncap } from './ip-route-encap.ts';

const TYPES: readonly RouteType[] = [
  'unicast',
  'local',
  'broadcast',
  'multicast',
  'blackhole',
  'unreachable',
  'prohibit',
];
const PROTOCOLS: readonly (readonly [number, string])[] = [
  [RTPROT_KERNEL, 'kernel'],
  [RTPROT_BOOT, 'boot'],
  [RTPROT_STATIC, 'static'],
  [RTPROT_RA, 'ra'],
];
const UNSUPPORTED = [
  'encap',
  'nexthop',
  'nhid',
  'tos',
  'dsfield',
  'realms',
  'advmss',
  'window',
  'rtt',
  'initcwnd',
  'congctl',
  'hoplimit',
  'expires',
  'weight',
];

/** `ip route VERB ...`. */
export function route(words: Words, ctx: CommandContext, options: IpOptions): CommandResult {
  if (words.isEmpty) return show(words, ctx.stack, options);
  const verb = words.next();
  for (const name of ['add', 'change', 'replace', 'prepend', 'append', 'test'] as const)
    if (abbreviates(verb, name)) return modify(words, ctx.stack, options, name);
  if (verb === 'chg') return modify(words, ctx.stack, options, 'change');
  if (abbreviates(verb, 'delete')) {
    const request = parse(words, ctx.stack, options);
    return answered(ctx.stack.routes.remove(request));
  }
  if (abbreviates(verb, 'get')) return get(words, ctx.stack, options);
  if (abbreviates(verb, 'list') || abbreviates(verb, 'show') || abbreviates(verb, 'lst'))
    return show(words, ctx.stack, options);
  if (abbreviates(verb, 'flush')) return flush(words, ctx.stack, options);
  throw new IpError(255, `Command "${verb}" is unknown, try "ip route help".`);
}

function modify(words: Words, stack: NetStack, options: IpOptions, verb: RouteVerb): CommandResult {
  return answered(stack.routes.add(parse(words, stack, options), verb));
}

/** The words of a route; throws what iproute2 says of wrong ones. */
function parse(words: Words, stack: NetStack, options: IpOptions): RouteRequest {
  const out: RouteRequest = { family: options.family, dst: new Uint8Array(0), prefixLen: 0 };
  let to: Prefix | null = null;
  let device = '';
  while (!words.isEmpty) {
    const word = words.next();
    if (word === 'via') {
      if (words.takes('inet') || words.takes('inet6')) {
        // The family is plain from the address.
      }
      out.gateway = addressOf(words.next(), 0);
    } else if (word === 'dev' || word === 'oif') device = words.next();
    else if (word === 'metric' || word === 'priority' || word === 'preference')
      out.metric = numberOf(words.next(), '"metric" value is invalid\n');
    else if (word === 'src') out.prefSrc = addressOf(words.next(), out.family);
    else if (word === 'proto' || word === 'protocol') out.protocol = protocolOf(words.next());
    else if (word === 'scope') out.scope = scopeOf(words.next());
    else if (word === 'table') out.table = tableOf(words.next());
    else if (word === 'mtu') {
      words.takes('lock');
      out.mtuBytes = numberOf(words.next(), '"mtu" value is invalid\n');
    } else if (word === 'onlink') out.onlink = true;
    else if (word === 'encap' && ['ip', 'ip6'].includes(words.peek))
      out.encap = parseEncap(words, words.next() === 'ip6');
    else if (UNSUPPORTED.includes(word))
      throw new IpError(2, 'RTNETLINK answers: Operation not supported');
    else {
      const type = TYPES.find((t) => t === word);
      if (type !== undefined && to === null && out.type === undefined) {
        out.type = type;
        continue;
      }
      const text = word === 'to' ? words.next() : word;
      if (to !== null) throw garbage('to', text);
      to = prefixOf(
        text,
        out.family === 0 && text === 'default' && out.gateway !== undefined
          ? familyOf(out.gateway)
          : out.family,
      );
      if (text !== 'default' && text !== 'any' && text !== 'all') out.family = to.family;
    }
  }
  return finish(out, to, device, stack);
}

function finish(
  out: RouteRequest,
  to: Prefix | null,
  device: string,
  stack: NetStack,
): RouteRequest {
  if (out.family === 0) out.family = out.gateway === undefined ? AF_INET : familyOf(out.gateway);
  const size = out.family === AF_INET ? 4 : 16;
  if (to === null || to.prefixLen === 0) {
    out.dst = new Uint8Array(size);
    out.prefixLen = 0;
  } else {
    out.dst = networkOf(to);
    out.prefixLen = to.prefixLen;
    if (!sameBytes(out.dst, 0, to.address, 0, size))
      throw new IpError(2, 'Error: Invalid prefix for given prefix length.');
  }
  if (out.gateway !== undefined && familyOf(out.gateway) !== out.family)
    throw new IpError(2, 'Error: IPv6 gateway for IPv4 routes is not supported by this model.');
  if (device !== '') out.dev = deviceOf(stack, device);
  return out;
}

function familyOf(address: Uint8Array): number {
  return address.length === 4 ? AF_INET : AF_INET6;
}

function protocolOf(word: string): number {
  const known = PROTOCOLS.find(([, name]) => name === word);
  return known !== undefined ? known[0] : numberOf(word, '"protocol" value is invalid\n');
}

function protocolName(protocol: number): string {
  return PROTOCOLS.find(([value]) => value === protocol)?.[1] ?? String(protocol);
}

function tableOf(word: string): number {
  if (word === 'main' || word === '254') return RT_TABLE_MAIN;
  if (word === 'local' || word === '255') return RT_TABLE_LOCAL;
  if (/^\d+$/.test(word)) throw new IpError(2, 'RTNETLINK answers: Operation not supported');
  throw wrongArgument(word, '"table" value is invalid\n');
}

// ---- show, flush ----

interface Filter {
  /** RT_TABLE_* or 0 for all. */
  table: number;
  dev: NetDevice | null;
  type: RouteType | null;
  protocol: number;
  scope: number;
  gateway: Uint8Array | null;
  to: Prefix | null;
  how: 'exact' | 'root' | 'match';
}

function filterOf(words: Words, stack: NetStack, options: IpOptions): Filter {
  const f: Filter = {
    table: RT_TABLE_MAIN,
    dev: null,
    type: null,
    protocol: -1,
    scope: -1,
    gateway: null,
    to: null,
    how: 'exact',
  };
  while (!words.isEmpty) {
    const word = words.next();
    if (word === 'table')
      f.table = words.takes('all') || words.takes('0') ? 0 : tableOf(words.next());
    else if (word === 'dev' || word === 'oif') f.dev = deviceOf(stack, words.next());
    else if (word === 'proto' || word === 'protocol') f.protocol = protocolOf(words.next());
    else if (word === 'scope') f.scope = scopeOf(words.next());
    else if (word === 'via') f.gateway = addressOf(words.next(), options.family);
    else if (word === 'type') f.type = typeOf(words.next());
    else if (word === 'root' || word === 'match' || word === 'exact') {
      f.how = word;
      f.to = prefixOf(words.next(), options.family);
    } else f.to = prefixOf(word === 'to' ? words.next() : word, options.family);
  }
  return f;
}

function typeOf(word: string): RouteType {
  const type = TYPES.find((t) => t === word);
  if (type === undefined) throw wrongArgument(word, 'node type value is invalid\n');
  return type;
}

function picked(stack: NetStack, family: number, f: Filter): FibEntry[] {
  const tables = f.table === 0 ? [RT_TABLE_MAIN, RT_TABLE_LOCAL] : [f.table];
  return tables
    .flatMap((t) => stack.fib.table(family, t).list())
    .filter(
      (e) =>
        (f.dev === null || e.dev === f.dev) &&
        (f.type === null || e.type === f.type) &&
        (f.protocol < 0 || e.protocol === f.protocol) &&
        (f.scope < 0 || e.scope === f.scope) &&
        (f.gateway === null ||
          (e.gateway !== null && formatAddress(e.gateway) === formatAddress(f.gateway))) &&
        fitsPrefix(e, f),
    );
}

function fitsPrefix(e: FibEntry, f: Filter): boolean {
  const { to } = f;
  if (to === null) return true;
  if (to.family !== e.family) return to.prefixLen === 0 && e.prefixLen === 0;
  const shorter = Math.min(to.prefixLen, e.prefixLen);
  if (f.how === 'exact' && to.prefixLen !== e.prefixLen) return false;
  if (f.how === 'root' && e.prefixLen < to.prefixLen) return false;
  if (f.how === 'match' && e.prefixLen > to.prefixLen) return false;
  return sameBytes(
    maskAddress(e.dst, shorter),
    0,
    maskAddress(to.address, shorter),
    0,
    e.dst.length,
  );
}

function show(words: Words, stack: NetStack, options: IpOptions): CommandResult {
  const f = filterOf(words, stack, options);
  const family = options.family !== 0 ? options.family : (f.to?.family ?? AF_INET);
  const list = picked(stack, family, f);
  if (options.json) return ok(jsonText(list.map((e) => routeJson(e, f, options))));
  return ok(list.map((e) => routeText(e, f, options)).join(''));
}

function flush(words: Words, stack: NetStack, options: IpOptions): CommandResult {
  if (words.isEmpty) return failed(1, '"ip route flush" requires arguments.\n');
  if (words.peek === 'cache') return ok();
  const f = filterOf(words, stack, options);
  const family = options.family !== 0 ? options.family : (f.to?.family ?? AF_INET);
  for (const entry of picked(stack, family, f)) stack.fib.removeRoute(entry);
  return ok();
}

function prefixText(e: FibEntry): string {
  if (e.prefixLen === 0) return 'default';
  const host = e.prefixLen === e.dst.length * 8;
  return host ? formatAddress(e.dst) : `${formatAddress(e.dst)}/${e.prefixLen}`;
}

function flagsOf(e: FibEntry): string[] {
  const flags: string[] = [];
  if (e.onlink) flags.push('onlink');
  if (e.dev !== null && e.dev.isUp && !e.dev.carrier) flags.push('linkdown');
  return flags;
}

function routeText(e: FibEntry, f: Filter, options: IpOptions): string {
  let text = '';
  if (e.type !== 'unicast' || options.details) text += `${e.type} `;
  text += `${prefixText(e)} `;
  if (e.encap) text += encapText(e.encap);
  if (e.gateway !== null) text += `via ${formatAddress(e.gateway)} `;
  const shownDev = e.dev !== null ? e.dev.name : e.family === AF_INET6 ? 'lo' : '';
  if (shownDev !== '' && f.dev === null) text += `dev ${shownDev} `;
  if (e.table !== RT_TABLE_MAIN && f.table === 0) text += 'table local ';
  if (e.protocol !== RTPROT_BOOT || options.details) text += `proto ${protocolName(e.protocol)} `;
  if (e.scope !== 0 || options.details) text += `scope ${scopeName(e.scope)} `;
  if (e.prefSrc !== null) text += `src ${formatAddress(e.prefSrc)} `;
  if (e.metric !== 0 || e.family === AF_INET6) text += `metric ${e.metric} `;
  for (const flag of flagsOf(e)) text += `${flag} `;
  if (e.mtuBytes !== 0) text += `mtu ${e.mtuBytes} `;
  if (e.family === AF_INET6) text += 'pref medium';
  return `${text}\n`;
}

function routeJson(e: FibEntry, f: Filter, options: IpOptions): Record<string, unknown> {
  return {
    ...(e.type !== 'unicast' || options.details ? { type: e.type } : {}),
    dst: prefixText(e),
    ...(e.encap ? encapJson(e.encap) : {}),
    ...(e.gateway === null ? {} : { gateway: formatAddress(e.gateway) }),
    ...(e.dev === null || f.dev !== null ? {} : { dev: e.dev.name }),
    ...(e.table !== RT_TABLE_MAIN && f.table === 0 ? { table: 'local' } : {}),
    ...(e.protocol !== RTPROT_BOOT || options.details
      ? { protocol: protocolName(e.protocol) }
      : {}),
    ...(e.scope !== 0 || options.details ? { scope: scopeName(e.scope) } : {}),
    ...(e.prefSrc === null ? {} : { prefsrc: formatAddress(e.prefSrc) }),
    ...(e.metric !== 0 || e.family === AF_INET6 ? { metric: e.metric } : {}),
    flags: flagsOf(e),
    ...(e.mtuBytes === 0 ? {} : { metrics: [{ mtu: e.mtuBytes }] }),
    ...(e.family === AF_INET6 ? { pref: 'medium' } : {}),
  };
}

// ---- get ----

function get(words: Words, stack: NetStack, options: IpOptions): CommandResult {
  let to: Prefix | null = null;
  let oif = 0;
  while (!words.isEmpty) {
    const word = words.next();
    if (word === 'dev' || word === 'oif') oif = deviceOf(stack, words.next()).ifindex;
    else if (word === 'from' || word === 'iif' || word === 'mark') words.next();
    else to = prefixOf(word === 'to' ? words.next() : word, options.family);
  }
  if (to === null) return failed(255, 'need at least a destination address\n');
  const found = stack.fib.match(to.address, oif);
  const refused = found === null ? -101 : REJECTED[found.type];
  if (found === null || refused !== undefined)
    return answered({ error: refused ?? -101, message: '', reason: 'no-route' });
  return ok(options.json ? getJson(stack, to, found) : getText(stack, to, found));
}

/** What looking up a route of these types answers. */
const REJECTED: Readonly<Partial<Record<RouteType, number>>> = {
  blackhole: -22,
  unreachable: -113,
  prohibit: -13,
};

function sourceFor(stack: NetStack, to: Prefix, e: FibEntry): Uint8Array | null {
  if (e.type === 'local') return to.address;
  if (e.prefSrc !== null) return e.prefSrc;
  if (to.family === AF_INET) return stack.addresses.select4(e.dev, e.gateway ?? to.address);
  return e.dev === null ? null : stack.addresses.select6(e.dev, to.address);
}

function getText(stack: NetStack, to: Prefix, e: FibEntry): string {
  const source = sourceFor(stack, to, e);
  const type = e.type === 'unicast' ? '' : `${e.type} `;
  const via = e.gateway === null ? '' : `via ${formatAddress(e.gateway)} `;
  const dev = e.type === 'local' && to.family === AF_INET ? 'lo' : (e.dev?.name ?? 'lo');
  const src = source === null ? '' : `src ${formatAddress(source)} `;
  if (to.family === AF_INET6)
    return (
      `${type}${formatAddress(to.address)} from :: ${via}dev ${dev} ` +
      (e.protocol === RTPROT_BOOT ? '' : `proto ${protocolName(e.protocol)} `) +
      `${src}metric ${e.metric} pref medium\n`
    );
  const mtu = e.mtuBytes === 0 ? '' : `mtu ${e.mtuBytes} `;
  const flags = e.type === 'unicast' ? '' : `<${e.type}> `;
  return `${type}${formatAddress(to.address)} ${via}dev ${dev} ${src}uid 0 \n    cache ${flags}${mtu}\n`;
}

function getJson(stack: NetStack, to: Prefix, e: FibEntry): string {
  const source = sourceFor(stack, to, e);
  const four = to.family === AF_INET;
  return jsonText([
    {
      ...(e.type === 'unicast' ? {} : { type: e.type }),
      dst: formatAddress(to.address),
      ...(four ? {} : { from: '::' }),
      ...(e.gateway === null ? {} : { gateway: formatAddress(e.gateway) }),
      dev: e.type === 'local' && four ? 'lo' : (e.dev?.name ?? 'lo'),
      ...(four || e.protocol === RTPROT_BOOT ? {} : { protocol: protocolName(e.protocol) }),
      ...(source === null ? {} : { prefsrc: formatAddress(source) }),
      ...(four ? {} : { metric: e.metric }),
      flags: [],
      ...(four ? { uid: 0, cache: e.type === 'unicast' ? [] : [e.type] } : { pref: 'medium' }),
    },
  ]);
}
