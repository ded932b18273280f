// Loading the Open vSwitch module into a network namespace: the first command that asks for a datapath does it.

import type { Netfilter } from '../netfilter/index.ts';
import { Datapaths } from './datapaths.ts';
import type { DatapathsStack } from './datapaths.ts';

/** The stack with the places where netfilter and datapaths hang. */
export interface OpenvswitchStack extends DatapathsStack {
  readonly netfilter: object | null;
  datapaths: Datapaths | null;
}

/** The namespace's datapaths; null where there is no netfilter to track connections with. */
export function attachDatapaths(stack: OpenvswitchStack): Datapaths | null {
  if (stack.netfilter === null) return null;
  stack.datapaths ??= new Datapaths(stack, stack.netfilter as Netfilter);
  return stack.datapaths;
}
