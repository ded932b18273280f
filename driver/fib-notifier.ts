// What drivers see of the stack's routes (net/core/fib_notifier.c, the part in use): how many there are, and a say in each new one.

import type { ExtAck } from './netdev.ts';

export type FibFamily = 'ipv4' | 'ipv6';

/** The stack's routes, in all tables. */
export interface FibTables {
  routeCount(family: FibFamily): number;
  /** Policy rules (local, main and, in IPv4, default). */
  ruleCount(family: FibFamily): number;
}

/** Asked before a route is added that was not there; −errno refuses it. */
export type FibNotifier = (family: FibFamily, extack: ExtAck) => number;

/** What a kernel has of both. */
export class FibHooks {
  /** Set by the stack; null without one. */
  tables: FibTables | null = null;
  readonly notifiers: FibNotifier[] = [];
}
