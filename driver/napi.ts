// NAPI: a polled receive context, as the kernel runs it (spec/tun-and-flow-offload.md D.5).
//
// The contract: `poll(budget)` handles at most `budget` received packets. When it did less it calls
// `napi_complete_done` and re-enables its interrupt only if that answered true; when it did exactly `budget` it
// returns without completing and is polled again, round robin. Scheduling a NAPI that is scheduled already sets
// MISSED: completion then answers false and one more poll follows.
//
// Not here: busy polling, threaded NAPI, gro_flush_timeout, netpoll (budget 0), GRO itself.

import type { HostCore } from './host-core.ts';

/** Default weight: packets per poll. */
export const NAPI_POLL_WEIGHT = 64;

/** What a driver supplies. */
export interface NapiPoller {
  /** Handles at most `budget` received packets; returns how many it handled. */
  poll(budget: number): number;
}

export class Napi {
  /** Scheduled: on a core's list or being polled. */
  scheduled = false;
  /** Asked again while scheduled. */
  missed = false;
  /** napi_disable was called: schedule requests are ignored. */
  disabled = true;
  /** Polls so far, and received packets they handled. */
  pollCount = 0;
  workCount = 0;
  /** A poll that returned more than its budget was logged. */
  overBudgetLogged = false;
  /** Core whose list it is on, while scheduled. */
  core: HostCore | null = null;

  readonly name: string;
  readonly poller: NapiPoller;
  readonly weight: number;

  constructor(name: string, poller: NapiPoller, weight = NAPI_POLL_WEIGHT) {
    this.name = name;
    this.poller = poller;
    this.weight = weight;
  }
}
