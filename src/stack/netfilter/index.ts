// netfilter of one namespace: connection tracking, nft rule sets and flowtables, attached to a stack.

import { Conntrack } from './conntrack/conntrack.ts';
import { FlowTables } from './flowtable/flowtables.ts';
import { Nat } from './nat/nat.ts';
import { Nft } from './nft/nft.ts';
import type { OffloadQueues } from './flowtable/flowtable.ts';
import type { StackPort } from './stack-port.ts';

export interface Netfilter {
  readonly conntrack: Conntrack;
  readonly nft: Nft;
  readonly flowtables: FlowTables;
  readonly nat: Nat;
  readonly seed: number;
}

/**
 * Gives a stack its netfilter; ports that NAT makes up come from `seed`. As in Linux nothing runs until a rule set asks for it.
 * `queues`: the work queues for hardware, which all namespaces of a machine share; without them it makes its own.
 */
export function attachNetfilter(
  stack: StackPort,
  seed = 1,
  queues: OffloadQueues | null = null,
): Netfilter {
  const conntrack = new Conntrack(stack);
  const flowtables = new FlowTables(stack, conntrack, queues);
  const nat = new Nat(stack, conntrack, seed);
  const nft = new Nft(stack, conntrack, flowtables, nat);
  const netfilter: Netfilter = { conntrack, nft, flowtables, nat, seed };
  stack.netfilter = netfilter;
  stack.notifiers.push(flowtables, nat);
  stack.addresses.removed.push(nat);
  return netfilter;
}

export type { StackPort } from './stack-port.ts';
