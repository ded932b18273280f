// tc filters (flower, matchall) for the reference driver. This device has no table stage that the driver programs from a
// flow_rule, so each rule is refused by name and stays with software.
//
// Contract for whoever gives it one: `setupRule` is called for every REPLACE, DESTROY and STATS of an ingress block of `adapter`'s
// device; it calls `done` once, at once or later, with 0 or −errno. Rules are keyed by `request.cookie`; `request.common` has
// chain and prio (lower wins), `request.rule` (REPLACE) match and actions, `request.stats` takes flow_stats_update's deltas.

import type { TwinAdapter } from './adapter.ts';
import { ENOENT, EOPNOTSUPP } from '../errno.ts';
import { FLOW_CLS_REPLACE } from '../flow-block.ts';
import type { FlowBlockRequest } from '../flow-block.ts';

/** One request about a filter. */
export function setupRule(
  adapter: TwinAdapter,
  request: FlowBlockRequest,
  done: (error: number) => void,
): void {
  const { extack } = request.common;
  if (request.command !== FLOW_CLS_REPLACE) {
    extack.message = 'filter is not in hardware';
    extack.reason = 'not-found';
    done(-ENOENT);
    return;
  }
  extack.message = `${adapter.dev.name}: the device has no table for tc filters`;
  extack.reason = 'no-stage';
  done(-EOPNOTSUPP);
}
