// What `ip route` may ask for and what the kernel answers: validity of next hops (fib_check_nh, ip6_route_check_nh), the
// meaning of add, replace, change, append and del, errnos and extack sentences of Linux 6.1.
//
// Left out: multipath, nexthop objects, encapsulation other than IP, TOS, realms, metrics other than mtu, tables other than main and local.

import {
  EEXIST,
  EHOSTUNREACH,
  EINVAL,
  ENETDOWN,
  ENETUNREACH,
  ENODEV,
  ENOENT,
  ESRCH,
} from '../../../driver/errno.ts';
import type { NetDevice } from '../../../driver/netdev.ts';
import { OK, refuse } from '../answer.ts';
import type { Answer } from '../answer.ts';
import type { TunnelInfo } from '../lwtunnel/tunnel-info.ts';
import { sameInfo } from '../lwtunnel/tunnel-info.ts';
import { AF_INET, AF_INET6, loadInt32, sameBytes } from './address.ts';
import type { Addresses } from './addresses.ts';
import { isLinkLocal } from './addresses.ts';
import type { Fib, FibEntry, RouteType } from './fib.ts';
import {
  RT_SCOPE_HOST,
  RT_SCOPE_LINK,
  RT_SCOPE_NOWHERE,
  RT_SCOPE_UNIVERSE,
  RT_TABLE_LOCAL,
  RT_TABLE_MAIN,
  RTPROT_BOOT,
} from './fib.ts';

/** A route as asked for; what is undefined was not said. */
export interface RouteRequest {
  family: number;
  dst: Uint8Array;
  prefixLen: number;
  type?: RouteType;
  table?: number;
  dev?: NetDevice;
  gateway?: Uint8Array;
  metric?: number;
  scope?: number;
  protocol?: number;
  prefSrc?: Uint8Array;
  mtuBytes?: number;
  onlink?: boolean;
  /** What the tunnel device behind is told (`encap ip`). */
  encap?: TunnelInfo;
}

/** add: EEXIST when there; replace: either; change: must exist; append: behind; prepend: in front. */
export type RouteVerb = 'add' | 'replace' | 'change' | 'append' | 'prepend' | 'test';

/** Asked before a route is added that replaces none: drivers may refuse it (FIB notifiers). */
export type RouteGate = (family: number) => Answer;

export class RouteAdmin {
  private readonly fib: Fib;
  private readonly addresses: Addresses;
  private readonly gate: RouteGate;

  constructor(fib: Fib, addresses: Addresses, gate: RouteGate = () => OK) {
    this.fib = fib;
    this.addresses = addresses;
    this.gate = gate;
  }

  /** `ip route add|replace|change|append|prepend`. */
  add(request: RouteRequest, verb: RouteVerb = 'add'): Answer {
    const entry = this.entryOf(request);
    const answer =
      entry.family === AF_INET ? this.check4(entry, request) : this.check6(entry, request);
    if (answer.error !== 0) return answer;
    const table = this.fib.table(entry.family, entry.table);
    const same = (table.exact(entry.dst, entry.prefixLen) ?? []).filter(
      (e) => e.metric === entry.metric,
    );
    const identical = same.some((e) => sameRoute(e, entry));
    if (verb === 'add' && same.length > 0) return refuse(EEXIST, '', 'route-exists');
    if (verb === 'change' && same.length === 0) return refuse(ENOENT, '', 'route-unknown');
    if (verb === 'test') return same.length === 0 ? refuse(ENOENT, '', 'route-unknown') : OK;
    if (verb === 'append' || verb === 'prepend') {
      if (identical) return refuse(EEXIST, '', 'route-exists');
      return this.insert(entry, verb === 'prepend');
    }
    if (same.length > 0) {
      if (identical && sameRoute(same[0], entry)) return OK;
      this.fib.removeRoute(same[0]);
      this.fib.addRoute(entry, true);
      return OK;
    }
    return this.insert(entry, false);
  }

  private insert(entry: FibEntry, before: boolean): Answer {
    const answer = this.gate(entry.family);
    if (answer.error === 0) this.fib.addRoute(entry, before);
    return answer;
  }

  /** `ip route del`: the first route that agrees with everything that was said. */
  remove(request: RouteRequest): Answer {
    const type = request.type;
    const table = request.table ?? defaultTable(type);
    const list = this.fib.table(request.family, table).exact(request.dst, request.prefixLen) ?? [];
    const found = list.find(
      (e) =>
        (type === undefined || e.type === type) &&
        (request.dev === undefined || e.dev === request.dev) &&
        (request.metric === undefined || e.metric === request.metric) &&
        (request.protocol === undefined || e.protocol === request.protocol) &&
        (request.scope === undefined || e.scope === request.scope) &&
        (request.gateway === undefined || sameOptional(e.gateway, request.gateway)) &&
        (request.prefSrc === undefined || sameOptional(e.prefSrc, request.prefSrc)),
    );
    if (found === undefined) return refuse(ESRCH, '', 'route-unknown');
    this.fib.removeRoute(found);
    return OK;
  }

  private entryOf(request: RouteRequest): FibEntry {
    const type = request.type ?? 'unicast';
    const gateway = request.gateway ?? null;
    const four = request.family === AF_INET;
    return {
      family: request.family,
      dst: request.dst,
      prefixLen: request.prefixLen,
      type,
      table: request.table ?? defaultTable(type),
      dev: request.dev ?? null,
      gateway,
      metric: request.metric ?? (four ? 0 : 1024),
      scope: request.scope ?? defaultScope(request.family, type, gateway !== null),
      protocol: request.protocol ?? RTPROT_BOOT,
      prefSrc: request.prefSrc ?? null,
      mtuBytes: request.mtuBytes ?? 0,
      onlink: request.onlink ?? false,
      removed: false,
      encap: request.encap ?? null,
    };
  }

  private check4(entry: FibEntry, request: RouteRequest): Answer {
    if (entry.scope >= RT_SCOPE_NOWHERE || (entry.type === 'local' && entry.scope < RT_SCOPE_HOST))
      return refuse(EINVAL, 'Invalid scope', 'route-scope');
    if (isReject(entry.type)) {
      if (entry.gateway !== null || request.dev !== undefined)
        return refuse(
          EINVAL,
          'Gateway, device and multipath can not be specified for this route type',
          'route-type',
        );
      return OK;
    }
    if (entry.prefSrc !== null && !this.addresses.isLocal4(loadInt32(entry.prefSrc, 0)))
      return refuse(EINVAL, 'Invalid prefsrc address', 'route-prefsrc');
    if (entry.gateway !== null) return this.checkGateway4(entry);
    if (entry.dev === null) return refuse(ENODEV, '', 'route-no-device');
    if (!entry.dev.isUp) return refuse(ENETDOWN, 'Device for nexthop is not up', 'device-down');
    return OK;
  }

  private checkGateway4(entry: FibEntry): Answer {
    const gateway = entry.gateway as Uint8Array;
    if (entry.onlink) {
      if (entry.dev === null)
        return refuse(ENODEV, 'Nexthop device required for onlink', 'route-no-device');
      if (!entry.dev.isUp) return refuse(ENETDOWN, 'Nexthop device is not up', 'device-down');
      return OK;
    }
    const via = this.fib.match(gateway, entry.dev === null ? 0 : entry.dev.ifindex);
    if (via === null || isReject(via.type))
      return refuse(ENETUNREACH, 'Nexthop has invalid gateway', 'gateway');
    if (via.type !== 'unicast' || via.scope < RT_SCOPE_LINK)
      return refuse(
        via.type === 'unicast' ? ENETUNREACH : EINVAL,
        'Nexthop has invalid gateway',
        'gateway',
      );
    entry.dev = via.dev;
    if (via.dev === null || !via.dev.isUp)
      return refuse(ENETDOWN, 'Nexthop device is not up', 'device-down');
    return OK;
  }

  private check6(entry: FibEntry, request: RouteRequest): Answer {
    if (isReject(entry.type)) {
      if (request.dev === undefined) return OK;
      entry.dev = null;
      return OK;
    }
    const { gateway } = entry;
    if (gateway !== null && !entry.onlink) {
      if (isLinkLocal(gateway, 0)) {
        if (entry.dev === null) return refuse(EINVAL, '', 'route-no-device');
      } else {
        const via = this.fib.match(gateway, entry.dev === null ? 0 : entry.dev.ifindex);
        if (via === null || via.type !== 'unicast' || via.gateway !== null)
          return refuse(
            via !== null && via.type === 'local' ? EINVAL : EHOSTUNREACH,
            via !== null && via.type === 'local' ? 'Gateway can not be a local address' : '',
            'gateway',
          );
        entry.dev = via.dev;
      }
    }
    if (entry.dev === null) return refuse(ENODEV, '', 'route-no-device');
    if (!entry.dev.isUp) return refuse(ENETDOWN, 'Nexthop device is not up', 'device-down');
    if (entry.prefSrc !== null && this.fib.match(entry.prefSrc)?.type !== 'local')
      return refuse(EINVAL, 'Invalid source address', 'route-prefsrc');
    return OK;
  }
}

/** Types that need no next hop. */
export function isReject(type: RouteType): boolean {
  return type === 'blackhole' || type === 'unreachable' || type === 'prohibit';
}

function defaultTable(type: RouteType | undefined): number {
  return type === 'local' || type === 'broadcast' ? RT_TABLE_LOCAL : RT_TABLE_MAIN;
}

/** Scope that iproute2 sends when none was given. */
function defaultScope(family: number, type: RouteType, hasGateway: boolean): number {
  if (family === AF_INET6) return RT_SCOPE_UNIVERSE;
  if (type === 'local') return RT_SCOPE_HOST;
  if (type === 'broadcast' || type === 'multicast') return RT_SCOPE_LINK;
  return type === 'unicast' && !hasGateway ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
}

function sameOptional(a: Uint8Array | null, b: Uint8Array | null): boolean {
  if (a === null || b === null) return a === b;
  return a.length === b.length && sameBytes(a, 0, b, 0, a.length);
}

/** Same in everything but place. */
function sameRoute(a: FibEntry, b: FibEntry): boolean {
  return (
    a.type === b.type &&
    a.dev === b.dev &&
    a.scope === b.scope &&
    a.protocol === b.protocol &&
    a.mtuBytes === b.mtuBytes &&
    sameInfo(a.encap ?? null, b.encap ?? null) &&
    sameOptional(a.gateway, b.gateway) &&
    sameOptional(a.prefSrc, b.prefSrc)
  );
}
