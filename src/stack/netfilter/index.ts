// netfilter of one machine: connection tracking, nft rule sets and flowtables, attached to a stack.

import { Conntrack } from './conntrack/conntrack.ts';
import { FlowTables } from './flowtable/flowtables.ts';
import { Nft } from './nft/nft.ts';
import type { StackPort } from './stack-port.ts';

export interface Netfilter {
  readonly conntrack: Conntrack;
  readonly nft: Nft;
  readonly flowtables: FlowTables;
}

/** Gives a stack its netfilter. As in Linux nothing runs for a packet until a rule set asks for it. */
export function attachNetfilter(stack: StackPort): Netfilter {
  const conntrack = new Conntrack(stack);
  const flowtables = new FlowTables(stack, conntrack);
  const nft = new Nft(stack, conntrack, flowtables);
  const netfilter: Netfilter = { conntrack, nft, flowtables };
  stack.netfilter = netfilter;
  stack.notifiers.push(flowtables);
  return netfilter;
}

export type { StackPort } from './stack-port.ts';
