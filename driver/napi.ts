// NAPI: a polled receive context, as the kernel runs it (spec/tun-and-flow-offload.md D.5).
//
// The contract: `poll(budget)` handles at most `budget` received packets. When it did less it calls
// `napi_complete_done` and re-enables its interrupt only if that answered true; when it did exactly `budget` it
// returns without completing and is polled again, round robin. Scheduling a NAPI that is scheduled already sets
// MISSED: completion then answers false and one more poll follows.
//
// Deferral (napi_defer_hard_irqs, gro_flush_timeout, per device as in /sys/class/net/DEV): a completion that may still defer
// keeps interrupts masked and sets a timer that polls again. Busy polling (Kernel.napi_busy_loop): a reader polls the device
// itself, eight packets at a time, with interrupts masked.
//
// Not here: threaded NAPI, netpoll (budget 0), GRO itself.

import type { EventId } from '../hw/time/scheduler.ts';
import { NO_EVENT } from '../hw/time/scheduler.ts';
import type { HostCore } from './host-core.ts';

/** Default weight: packets per poll. */
export const NAPI_POLL_WEIGHT = 64;

/** Packets per poll of a busy poller (BUSY_POLL_BUDGET). */
export const BUSY_POLL_BUDGET = 8;

/** Deferral of hard interrupts: two attributes of a device (net/core/dev.c). Zero: off. */
export interface NapiDeferral {
  /** Completions in a row, without a packet in between, that keep interrupts masked. */
  napiDeferHardIrqs: number;
  /** Time until the poll that replaces the interrupt, ps. */
  groFlushTimeoutPs: number;
}

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
  /** Deferral of the device it belongs to, null for none. */
  deferral: NapiDeferral | null = null;
  /** Completions that may still defer. */
  deferLeft = 0;
  /** Polls that a timer asked for in place of an interrupt. */
  deferredPolls = 0;
  watchdog: EventId = NO_EVENT;
  /** A busy poller owns it: completion neither reschedules nor unmasks. */
  inBusyPoll = false;
  /** Polls of busy pollers, beside `pollCount`. */
  busyPollCount = 0;

  readonly name: string;
  readonly poller: NapiPoller;
  readonly weight: number;

  constructor(name: string, poller: NapiPoller, weight = NAPI_POLL_WEIGHT) {
    this.name = name;
    this.poller = poller;
    this.weight = weight;
  }
}
