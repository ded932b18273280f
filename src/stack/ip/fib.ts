// The forwarding information base: tables local (255) and main (254) of both families, looked up in that order, and the
// destination cache that keeps the per-packet cost at one hash probe.
//
// `genId` is Linux's rt_genid / fib6 sernum: any route, address, link state or MTU change increments it, and a Route whose
// genId differs is stale. `addHostRouteQuiet` is the exception, for set-up in bulk: the route counts as if present from the
// start. What a request must satisfy is checked in route-admin.ts. Left out: policy rules, TOS, multipath, nexthop objects.

import type { NetDevice } from '../../../driver/netdev.ts';
import type { TunnelInfo } from '../lwtunnel/tunnel-info.ts';
import { AF_INET, AF_INET6, loadInt32 } from './address.ts';
import { PrefixTable } from './prefix-table.ts';

export type RouteType =
  'unicast' | 'local' | 'broadcast' | 'multicast' | 'blackhole' | 'unreachable' | 'prohibit';

export const RT_TABLE_MAIN = 254;
export const RT_TABLE_LOCAL = 255;

export const RT_SCOPE_UNIVERSE = 0;
export const RT_SCOPE_LINK = 253;
export const RT_SCOPE_HOST = 254;
export const RT_SCOPE_NOWHERE = 255;

export const RTPROT_KERNEL = 2;
export const RTPROT_BOOT = 3;
export const RTPROT_STATIC = 4;
export const RTPROT_RA = 9;

/** One configured route. */
export interface FibEntry {
  family: number;
  /** 4 or 16 bytes, host bits zero. */
  dst: Uint8Array;
  prefixLen: number;
  type: RouteType;
  table: number;
  dev: NetDevice | null;
  gateway: Uint8Array | null;
  metric: number;
  scope: number;
  protocol: number;
  prefSrc: Uint8Array | null;
  /** RTAX_MTU, 0 for none. */
  mtuBytes: number;
  onlink: boolean;
  /** Taken out of its table: packets that wait under it get no ICMP error any more (its dst is dead). */
  removed: boolean;
  /** lwtunnel state of type IP or IP6: what the tunnel device behind the route is told. */
  encap?: TunnelInfo | null;
}

/** What a look-up answers for one destination; shared by all packets to it while valid. */
export class Route {
  readonly family: number;
  readonly type: RouteType;
  readonly dev: NetDevice | null;
  /** Next hop, null when the destination itself is on the link. */
  readonly gateway: Uint8Array | null;
  /** MTU metric of the route, 0 for the device's. */
  readonly mtuBytes: number;
  /** Preferred source address, null to choose one. */
  readonly prefSrc: Uint8Array | null;
  /** Valid while equal to `fib.genId`. */
  genId: number;
  readonly scope: number;
  /** Next hop found by the last packet: its place in the neighbour table, good while neighGeneration is the table's. */
  neighIndex = -1;
  neighGeneration = -1;
  /** Destination as int32 words, the key in the destination cache (IPv4: the first word). */
  key0 = 0;
  key1 = 0;
  key2 = 0;
  key3 = 0;
  /** The configured route behind it. */
  readonly entry: FibEntry;

  constructor(entry: FibEntry, genId: number) {
    this.entry = entry;
    this.family = entry.family;
    this.type = entry.type;
    this.dev = entry.dev;
    this.gateway = entry.gateway;
    this.mtuBytes = entry.mtuBytes;
    this.prefSrc = entry.prefSrc;
    this.scope = entry.scope;
    this.genId = genId;
  }

  /** Longest packet that may leave by this route, bytes of network header and payload. */
  get pathMtuBytes(): number {
    const deviceMtu = this.dev === null ? 65535 : this.dev.mtuBytes;
    return this.mtuBytes > 0 && this.mtuBytes < deviceMtu ? this.mtuBytes : deviceMtu;
  }
}

const CACHE_MAX = 1 << 20;

/**
 * Destination -> Route, open addressing; emptied when genId moves. The key stands in the Route, which a hit needs anyway: a
 * look-up touches one array slot and the Route.
 */
class RouteCache {
  private mask = 1023;
  private routes: (Route | null)[];
  private count = 0;
  private genId = 0;

  constructor() {
    this.routes = new Array<Route | null>(1024).fill(null);
  }

  /** The cached route, null when the destination is not here. */
  find(a: number, b: number, c: number, d: number, genId: number): Route | null {
    if (this.genId !== genId) this.clear(genId);
    const { routes, mask } = this;
    for (let i = hashOf(a, b, c, d) & mask; ; i = (i + 1) & mask) {
      const route = routes[i];
      if (route === null) return null;
      if (route.key0 === a && route.key1 === b && route.key2 === c && route.key3 === d)
        return route;
    }
  }

  /** Puts a route under its destination, in place of the one that is there. */
  set(route: Route, a: number, b: number, c: number, d: number, genId: number): void {
    if (this.genId !== genId) this.clear(genId);
    route.key0 = a;
    route.key1 = b;
    route.key2 = c;
    route.key3 = d;
    this.place(route);
    if (this.count * 2 > this.mask) this.grow();
  }

  private place(route: Route): void {
    const { routes, mask } = this;
    let i = hashOf(route.key0, route.key1, route.key2, route.key3) & mask;
    for (; ; i = (i + 1) & mask) {
      const old = routes[i];
      if (old === null) {
        this.count++;
        break;
      }
      if (
        old.key0 === route.key0 &&
        old.key1 === route.key1 &&
        old.key2 === route.key2 &&
        old.key3 === route.key3
      )
        break;
    }
    routes[i] = route;
  }

  private clear(genId: number): void {
    this.genId = genId;
    if (this.count === 0) return;
    this.routes.fill(null);
    this.count = 0;
  }

  private grow(): void {
    const old = this.routes;
    const size = (this.mask + 1) * 2;
    if (size > CACHE_MAX * 2) {
      this.clear(this.genId);
      return;
    }
    this.mask = size - 1;
    this.routes = new Array<Route | null>(size).fill(null);
    this.count = 0;
    for (const route of old) if (route !== null) this.place(route);
  }
}

function hashOf(a: number, b: number, c: number, d: number): number {
  const mixed = a ^ Math.imul(b, 0x85ebca6b) ^ Math.imul(c, 0x27d4eb2f) ^ Math.imul(d, 0x165667b1);
  const h = Math.imul(mixed, 0x9e3779b1);
  return h ^ (h >>> 15);
}

export class Fib {
  /** Generation of routes: a cached route is valid while its genId is this. */
  genId = 1;

  private readonly local4 = new PrefixTable(AF_INET);
  private readonly main4 = new PrefixTable(AF_INET);
  private readonly local6 = new PrefixTable(AF_INET6);
  private readonly main6 = new PrefixTable(AF_INET6);
  private readonly cache4 = new RouteCache();
  private readonly cache6 = new RouteCache();
  private readonly scratch = new Uint8Array(4);

  /** Makes every cached route stale (route, address, link state or MTU changed). */
  invalidate(): void {
    this.genId++;
  }

  /** Route for an IPv4 destination (int32, host order); `oif` 0 for any device. null: no route (ENETUNREACH). */
  lookup4(dst: number, oif = 0): Route | null {
    if (oif !== 0) return this.find4(dst, oif);
    const cached = this.cache4.find(dst, 0, 0, 0, this.genId);
    if (cached !== null) return cached;
    const route = this.find4(dst, 0);
    if (route !== null) this.cache4.set(route, dst, 0, 0, 0, this.genId);
    return route;
  }

  /** Route for an IPv6 destination at `bytes[at..at+15]`; `oif` 0 for any device. null: no route. */
  lookup6(bytes: Uint8Array, at: number, oif = 0): Route | null {
    if (oif !== 0) return this.find6(bytes, at, oif);
    const a = loadInt32(bytes, at);
    const b = loadInt32(bytes, at + 4);
    const c = loadInt32(bytes, at + 8);
    const d = loadInt32(bytes, at + 12);
    const cached = this.cache6.find(a, b, c, d, this.genId);
    if (cached !== null) return cached;
    const route = this.find6(bytes, at, 0);
    if (route !== null) this.cache6.set(route, a, b, c, d, this.genId);
    return route;
  }

  /** Same for an address in control-plane form. */
  lookup(address: Uint8Array, oif = 0): Route | null {
    return address.length === 4
      ? this.lookup4(loadInt32(address, 0), oif)
      : this.lookup6(address, 0, oif);
  }

  /** The configured route that a look-up would choose, uncached, for `ip route get` and next-hop checks. */
  match(address: Uint8Array, oif = 0): FibEntry | null {
    const family = address.length === 4 ? AF_INET : AF_INET6;
    return (
      this.table(family, RT_TABLE_LOCAL).lookup(address, 0, oif) ??
      this.table(family, RT_TABLE_MAIN).lookup(address, 0, oif)
    );
  }

  /** Adds without checks (route-admin.ts has them) and makes cached routes stale. */
  addRoute(entry: FibEntry, before = false): void {
    this.table(entry.family, entry.table).insert(entry, before);
    this.genId++;
  }

  /** Removes one route; false when it is not configured. */
  removeRoute(entry: FibEntry): boolean {
    if (!this.table(entry.family, entry.table).remove(entry)) return false;
    entry.removed = true;
    this.genId++;
    return true;
  }

  /**
   * Adds a host route (/32 or /128 in main) as if it had been present from the start: genId stays, only the destination's
   * own cached route is dropped. For set-up in bulk, before or between traffic to other destinations.
   */
  addHostRouteQuiet(dst: Uint8Array, dev: NetDevice, gateway: Uint8Array | null = null): void {
    const family = dst.length === 4 ? AF_INET : AF_INET6;
    this.table(family, RT_TABLE_MAIN).insert({
      family,
      dst,
      prefixLen: dst.length * 8,
      type: 'unicast',
      table: RT_TABLE_MAIN,
      dev,
      gateway,
      metric: family === AF_INET ? 0 : 1024,
      scope: gateway === null && family === AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
      protocol: RTPROT_STATIC,
      prefSrc: null,
      mtuBytes: 0,
      onlink: false,
      removed: false,
    });
    const a = loadInt32(dst, 0);
    const six = family === AF_INET6;
    const b = six ? loadInt32(dst, 4) : 0;
    const c = six ? loadInt32(dst, 8) : 0;
    const d = six ? loadInt32(dst, 12) : 0;
    const cache = six ? this.cache6 : this.cache4;
    const old = cache.find(a, b, c, d, this.genId);
    if (old === null) return;
    old.genId = -1;
    const route = six ? this.find6(dst, 0, 0) : this.find4(a, 0);
    if (route !== null) cache.set(route, a, b, c, d, this.genId);
  }

  /** The tables, for listing and administration. */
  table(family: number, table: number): PrefixTable {
    if (family === AF_INET) return table === RT_TABLE_LOCAL ? this.local4 : this.main4;
    return table === RT_TABLE_LOCAL ? this.local6 : this.main6;
  }

  /** Removes every route that `which` picks; the number removed. */
  flush(family: number, which: (entry: FibEntry) => boolean): number {
    let removed = 0;
    for (const id of [RT_TABLE_LOCAL, RT_TABLE_MAIN]) {
      const table = this.table(family, id);
      for (const entry of table.list()) {
        if (!which(entry) || !table.remove(entry)) continue;
        entry.removed = true;
        removed++;
      }
    }
    if (removed > 0) this.genId++;
    return removed;
  }

  private find4(dst: number, oif: number): Route | null {
    const s = this.scratch;
    s[0] = dst >>> 24;
    s[1] = dst >>> 16;
    s[2] = dst >>> 8;
    s[3] = dst;
    const entry = this.local4.lookup(s, 0, oif) ?? this.main4.lookup(s, 0, oif);
    return entry === null ? null : new Route(entry, this.genId);
  }

  private find6(bytes: Uint8Array, at: number, oif: number): Route | null {
    const entry = this.local6.lookup(bytes, at, oif) ?? this.main6.lookup(bytes, at, oif);
    return entry === null ? null : new Route(entry, this.genId);
  }
}
