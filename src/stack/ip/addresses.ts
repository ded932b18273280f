// Addresses of interfaces (net/ipv4/devinet.c, net/ipv6/addrconf.c) and the routes that come and go with them: local,
// broadcast and connected for IPv4; local, connected and the link-local address with its multicast route for IPv6.
//
// Left out: duplicate address detection (every address is usable at once), router advertisements, temporary addresses,
// lifetimes, peer addresses, labels other than the device's name.

import { EACCES, EADDRNOTAVAIL, EEXIST, EINVAL } from '../../../driver/errno.ts';
import type { NetDevice } from '../../../driver/netdev.ts';
import { IFF_LOOPBACK, IFF_MULTICAST } from '../../../driver/netdev.ts';
import { OK, refuse } from '../answer.ts';
import type { Answer } from '../answer.ts';
import type { DeviceConf } from '../links.ts';
import { AF_INET, AF_INET6, loadInt32, maskAddress, sameBytes, samePrefix } from './address.ts';
import type { Fib, FibEntry, RouteType } from './fib.ts';
import {
  RT_SCOPE_HOST,
  RT_SCOPE_LINK,
  RT_SCOPE_UNIVERSE,
  RT_TABLE_LOCAL,
  RT_TABLE_MAIN,
  RTPROT_KERNEL,
} from './fib.ts';

/** One address of an interface. */
export interface InterfaceAddress {
  family: number;
  dev: NetDevice;
  address: Uint8Array;
  prefixLen: number;
  /** RT_SCOPE_*. */
  scope: number;
  /** IPv4 broadcast address, null for none. */
  broadcast: Uint8Array | null;
  /** A further IPv4 address of the same subnet (IFA_F_SECONDARY). */
  secondary: boolean;
  /** Given with `nodad`. */
  nodad: boolean;
  /** `noprefixroute`: no connected route. */
  noPrefixRoute: boolean;
}

/** addr_gen_mode: no link-local address. */
const ADDR_GEN_NONE = 1;

export class Addresses {
  private readonly fib: Fib;
  private readonly confOf: (dev: NetDevice) => DeviceConf;
  private readonly all: InterfaceAddress[] = [];
  private readonly local4 = new Set<number>();

  /** Told of each address that goes. */
  readonly removed: { addressGone(ifindex: number, address: Uint8Array): void }[] = [];

  constructor(fib: Fib, confOf: (dev: NetDevice) => DeviceConf) {
    this.fib = fib;
    this.confOf = confOf;
  }

  /** Addresses of one device in the order in which they are listed. */
  of(dev: NetDevice, family: number): InterfaceAddress[] {
    return this.all.filter((a) => a.dev === dev && a.family === family);
  }

  /** Whether an IPv4 address (int32) is one of this host's. */
  isLocal4(address: number): boolean {
    return this.local4.has(address);
  }

  /** `ip addr add`. EEXIST for the same address and prefix length, EINVAL, EACCES for IPv6 that is switched off. */
  add(address: InterfaceAddress): Answer {
    const { dev, family } = address;
    const width = family === AF_INET ? 32 : 128;
    if (address.prefixLen > width) return refuse(EINVAL, 'ipv4: Invalid prefix length', 'prefix');
    if (family === AF_INET6 && this.confOf(dev).disableIpv6)
      return refuse(EACCES, 'ipv6: IPv6 is disabled on this device', 'ipv6-disabled');
    const others = this.of(dev, family);
    for (const other of others) {
      const same = sameBytes(other.address, 0, address.address, 0, address.address.length);
      if (same && (family === AF_INET6 || other.prefixLen === address.prefixLen))
        return refuse(
          EEXIST,
          family === AF_INET6 ? 'ipv6: address already assigned' : '',
          'address-exists',
        );
      if (
        family === AF_INET &&
        other.prefixLen === address.prefixLen &&
        samePrefix(other.address, address.address, address.prefixLen) &&
        !other.secondary
      )
        address.secondary = true;
    }
    this.insert(address);
    if (dev.isUp) this.addRoutes(address);
    else if (family === AF_INET) this.addLocalRoute(address);
    this.fib.invalidate();
    return OK;
  }

  /** `ip addr del`. EADDRNOTAVAIL when it is not there. Secondaries of a deleted IPv4 primary go with it. */
  remove(dev: NetDevice, address: Uint8Array, prefixLen: number): Answer {
    const family = address.length === 4 ? AF_INET : AF_INET6;
    const found = this.of(dev, family).find(
      (a) =>
        sameBytes(a.address, 0, address, 0, address.length) &&
        (a.prefixLen === prefixLen || (family === AF_INET && prefixLen === 32)),
    );
    if (found === undefined)
      return refuse(
        EADDRNOTAVAIL,
        family === AF_INET ? 'ipv4: Address not found' : 'ipv6: address not found',
        'address-unknown',
      );
    this.drop(found);
    if (family === AF_INET && !found.secondary)
      for (const other of this.of(dev, family))
        if (other.secondary && samePrefix(other.address, found.address, found.prefixLen))
          this.drop(other);
    this.fib.invalidate();
    return OK;
  }

  /** Removes every address of a device of one family (`ip addr flush`, disable_ipv6, device gone). */
  flush(dev: NetDevice, family: number): number {
    const list = this.of(dev, family);
    for (const address of list) this.drop(address);
    if (list.length > 0) this.fib.invalidate();
    return list.length;
  }

  /** NETDEV_UP: routes of the IPv4 addresses come back; the IPv6 link-local address is made. */
  deviceUp(dev: NetDevice): void {
    for (const address of this.of(dev, AF_INET)) this.addRoutes(address);
    if (!this.confOf(dev).disableIpv6) this.startIpv6(dev);
    this.fib.invalidate();
  }

  /** NETDEV_DOWN: every route through the device goes but IPv4's local ones; IPv6 addresses go. */
  deviceDown(dev: NetDevice): void {
    this.fib.flush(AF_INET, (e) => e.dev === dev && e.type !== 'local');
    this.flush(dev, AF_INET6);
    this.fib.flush(AF_INET6, (e) => e.dev === dev);
    this.fib.invalidate();
  }

  /** Link-local address and multicast route of an interface that is up and may speak IPv6. */
  startIpv6(dev: NetDevice): void {
    if ((dev.flags & IFF_LOOPBACK) !== 0) {
      this.add(
        ipv6Address(dev, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], 128, RT_SCOPE_HOST),
      );
      return;
    }
    if ((dev.flags & IFF_MULTICAST) === 0) return;
    const m = dev.mac;
    const eui = [m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]];
    this.fib.addRoute(
      routeOf('multicast', ipv6Bytes([0xff]), 8, RT_TABLE_LOCAL, dev, 256, RT_SCOPE_UNIVERSE, null),
    );
    if (this.confOf(dev).addrGenMode === ADDR_GEN_NONE) return;
    this.add(ipv6Address(dev, [0xfe, 0x80, 0, 0, 0, 0, 0, 0, ...eui], 64, RT_SCOPE_LINK));
  }

  /** inet_select_addr: an IPv4 source address on `dev`, of its subnet with `dst` when there is one. null for none at all. */
  select4(dev: NetDevice | null, dst: Uint8Array | null): Uint8Array | null {
    const list = this.all.filter((a) => a.family === AF_INET && a.scope < RT_SCOPE_HOST);
    const own = dev === null ? [] : list.filter((a) => a.dev === dev && !a.secondary);
    const match =
      dst === null ? undefined : own.find((a) => samePrefix(a.address, dst, a.prefixLen));
    const chosen = match ?? own[0] ?? list.find((a) => !a.secondary);
    return chosen === undefined ? null : chosen.address;
  }

  /** IPv6 source for a destination (RFC 6724 rules 1, 2, 5 and 8: itself, scope, interface, longest prefix). */
  select6(dev: NetDevice, dst: Uint8Array, at = 0): Uint8Array | null {
    let best: InterfaceAddress | null = null;
    let bestScore = -1;
    const linkScope = isLinkLocal(dst, at) || (dst[at] === 0xff && (dst[at + 1] & 15) <= 2);
    for (const a of this.all) {
      if (a.family !== AF_INET6 || a.scope === RT_SCOPE_HOST) continue;
      if (a.scope === RT_SCOPE_LINK && a.dev !== dev) continue;
      let score = commonBits(a.address, dst, at);
      if (a.dev === dev) score += 1000;
      if ((a.scope === RT_SCOPE_LINK) === linkScope) score += 10000;
      if (score > bestScore) {
        best = a;
        bestScore = score;
      }
    }
    return best === null ? null : best.address;
  }

  /** The device's link-local address, null for none. */
  linkLocal6(dev: NetDevice): Uint8Array | null {
    const found = this.of(dev, AF_INET6).find((a) => a.scope === RT_SCOPE_LINK);
    return found === undefined ? null : found.address;
  }

  /** Whether an IPv6 address belongs to the device. */
  has6(dev: NetDevice, bytes: Uint8Array, at: number): boolean {
    for (const a of this.all)
      if (a.dev === dev && a.family === AF_INET6 && sameBytes(a.address, 0, bytes, at, 16))
        return true;
    return false;
  }

  private insert(address: InterfaceAddress): void {
    // Linux lists IPv6 addresses by scope, global first; IPv4 ones in order of addition.
    const wider = this.all.findIndex(
      (a) => a.dev === address.dev && a.family === AF_INET6 && a.scope > address.scope,
    );
    const at = address.family === AF_INET6 && wider >= 0 ? wider : this.all.length;
    this.all.splice(at, 0, address);
    if (address.family === AF_INET) this.local4.add(loadInt32(address.address, 0));
  }

  private drop(address: InterfaceAddress): void {
    const at = this.all.indexOf(address);
    if (at < 0) return;
    this.all.splice(at, 1);
    const { family, dev } = address;
    for (const watcher of this.removed) watcher.addressGone(dev.ifindex, address.address);
    if (family === AF_INET) {
      const word = loadInt32(address.address, 0);
      const left = this.all.some((a) => a.family === AF_INET && loadInt32(a.address, 0) === word);
      if (!left) this.local4.delete(word);
    }
    this.fib.flush(
      family,
      (e) =>
        e.dev === dev &&
        e.protocol === RTPROT_KERNEL &&
        this.belongs(e, address) &&
        !this.all.some((a) => a.family === family && a.dev === dev && this.belongs(e, a)),
    );
    if (family === AF_INET)
      this.fib.flush(
        AF_INET,
        (e) =>
          e.prefSrc !== null &&
          sameBytes(e.prefSrc, 0, address.address, 0, 4) &&
          !this.isLocal4(loadInt32(e.prefSrc, 0)),
      );
  }

  /** Whether a kernel route is one that this address brings. */
  private belongs(entry: FibEntry, address: InterfaceAddress): boolean {
    return this.routesOf(address).some(
      (r) =>
        r.table === entry.table &&
        r.type === entry.type &&
        r.prefixLen === entry.prefixLen &&
        sameBytes(r.dst, 0, entry.dst, 0, entry.dst.length),
    );
  }

  private addRoutes(address: InterfaceAddress): void {
    for (const route of this.routesOf(address)) this.addOnce(route);
  }

  private addLocalRoute(address: InterfaceAddress): void {
    for (const route of this.routesOf(address)) if (route.type === 'local') this.addOnce(route);
  }

  private addOnce(route: FibEntry): void {
    const same = this.fib
      .table(route.family, route.table)
      .exact(route.dst, route.prefixLen)
      ?.some((e) => e.dev === route.dev && e.type === route.type && e.metric === route.metric);
    if (!same) this.fib.addRoute(route);
  }

  /** The routes that an address brings while its device is up. */
  private routesOf(a: InterfaceAddress): FibEntry[] {
    const { dev, address, prefixLen } = a;
    if (a.family === AF_INET6) {
      const own = routeOf('local', address, 128, RT_TABLE_LOCAL, dev, 0, RT_SCOPE_UNIVERSE, null);
      const prefix = maskAddress(address, prefixLen);
      const connected = routeOf(
        'unicast',
        prefix,
        prefixLen,
        RT_TABLE_MAIN,
        dev,
        256,
        RT_SCOPE_UNIVERSE,
        null,
      );
      return a.noPrefixRoute ? [own] : [own, connected];
    }
    const out = [routeOf('local', address, 32, RT_TABLE_LOCAL, dev, 0, RT_SCOPE_HOST, address)];
    if (a.broadcast !== null)
      out.push(
        routeOf('broadcast', a.broadcast, 32, RT_TABLE_LOCAL, dev, 0, RT_SCOPE_LINK, address),
      );
    const prefix = maskAddress(address, prefixLen);
    if (prefix[0] === 0 || a.secondary || prefixLen === 32) return out;
    if ((dev.flags & IFF_LOOPBACK) !== 0)
      out.push(routeOf('local', prefix, prefixLen, RT_TABLE_LOCAL, dev, 0, RT_SCOPE_HOST, address));
    else if (!a.noPrefixRoute)
      out.push(
        routeOf('unicast', prefix, prefixLen, RT_TABLE_MAIN, dev, 0, RT_SCOPE_LINK, address),
      );
    if (prefixLen < 31) {
      const last = prefix.map((byte, i) => byte | (0xff & ~maskAddress(ALL_ONES, prefixLen)[i]));
      const known = a.broadcast !== null && sameBytes(a.broadcast, 0, last, 0, 4);
      if (!known)
        out.push(routeOf('broadcast', last, 32, RT_TABLE_LOCAL, dev, 0, RT_SCOPE_LINK, address));
    }
    return out;
  }
}

const ALL_ONES = new Uint8Array(4).fill(0xff);

function ipv6Bytes(first: number[]): Uint8Array {
  const out = new Uint8Array(16);
  out.set(first);
  return out;
}

function ipv6Address(
  dev: NetDevice,
  bytes: number[],
  prefixLen: number,
  scope: number,
): InterfaceAddress {
  return {
    family: AF_INET6,
    dev,
    address: Uint8Array.from(bytes),
    prefixLen,
    scope,
    broadcast: null,
    secondary: false,
    nodad: true,
    noPrefixRoute: false,
  };
}

function routeOf(
  type: RouteType,
  dst: Uint8Array,
  prefixLen: number,
  table: number,
  dev: NetDevice,
  metric: number,
  scope: number,
  prefSrc: Uint8Array | null,
): FibEntry {
  const family = dst.length === 4 ? AF_INET : AF_INET6;
  return {
    family,
    dst,
    prefixLen,
    type,
    table,
    dev,
    gateway: null,
    metric,
    scope,
    protocol: RTPROT_KERNEL,
    prefSrc,
    mtuBytes: 0,
    onlink: false,
    removed: false,
  };
}

/** fe80::/10. */
export function isLinkLocal(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === 0xfe && (bytes[at + 1] & 0xc0) === 0x80;
}

function commonBits(a: Uint8Array, b: Uint8Array, bAt: number): number {
  for (let i = 0; i < a.length; i++) {
    const x = a[i] ^ b[bAt + i];
    if (x !== 0) return i * 8 + Math.clz32(x) - 24;
  }
  return a.length * 8;
}
