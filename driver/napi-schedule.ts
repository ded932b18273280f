// Completion, deferral and busy polling of a NAPI (net/core/dev.c; spec/tun-and-flow-offload.md D.5).
//
// Deferral: with napi_defer_hard_irqs N and gro_flush_timeout T set, a poll that handled packets may be followed by N
// completions without any that keep interrupts masked; after each a timer polls again in T. So a device under load is polled
// without interrupts, and goes back to them when N polls in a row found nothing.
//
// Busy polling: a reader takes the NAPI and polls it eight packets at a time while interrupts stay masked; each poll is an event of
// its own, so that frames which arrive meanwhile are seen. At the end it leaves the NAPI to the deferral timer or schedules one
// more poll, whose completion unmasks.

import { assert } from '../hw/base/assert.ts';
import { NO_EVENT } from '../hw/time/scheduler.ts';
import type { Kernel } from './kernel.ts';
import { BUSY_POLL_BUDGET } from './napi.ts';
import type { Napi } from './napi.ts';

/** What a busy poller says when it ends: packets handled, and whether `done` held (false: the time was up). */
export type BusyPollEnd = (packets: number, wasDone: boolean) => void;

/** napi_complete_done: true when interrupts may be enabled again. */
export function completeDone(kernel: Kernel, napi: Napi, workDone: number): boolean {
  assert(workDone >= 0, 'napi_complete_done: negative work');
  if (napi.disabled || napi.inBusyPoll) return false;
  const keepsMasked = napi.deferral !== null && defers(napi, workDone);
  if (napi.missed) {
    napi.missed = false;
    napi.core?.addNapi(napi);
    return false;
  }
  napi.scheduled = false;
  if (keepsMasked) arm(kernel, napi);
  return !keepsMasked;
}

/** Uses up one deferral; whether this completion keeps interrupts masked. */
function defers(napi: Napi, workDone: number): boolean {
  const { deferral } = napi;
  if (deferral === null) return false;
  if (workDone > 0) napi.deferLeft = deferral.napiDeferHardIrqs;
  if (napi.deferLeft === 0) return false;
  napi.deferLeft--;
  return deferral.groFlushTimeoutPs > 0;
}

/** Sets the timer that polls again (napi_watchdog), on the core that runs. */
function arm(kernel: Kernel, napi: Napi): void {
  disarm(kernel, napi);
  const timeoutPs = napi.deferral?.groFlushTimeoutPs ?? 0;
  const cpu = (kernel.current ?? kernel.cores[0]).index;
  const fire = (): void => {
    napi.watchdog = NO_EVENT;
    if (napi.disabled || napi.scheduled) return;
    napi.deferredPolls++;
    kernel.napi_schedule(napi);
  };
  napi.watchdog = kernel.mod_timer(kernel.scheduler.nowPs + timeoutPs, fire, cpu);
}

/** Stops the timer (napi_disable, a busy poller). */
export function disarm(kernel: Kernel, napi: Napi): void {
  if (napi.watchdog !== NO_EVENT) kernel.del_timer(napi.watchdog);
  napi.watchdog = NO_EVENT;
}

/** napi_busy_loop on core `cpu`; false when somebody else polls the NAPI. */
export function busyPoll(
  kernel: Kernel,
  napi: Napi,
  cpu: number,
  forPs: number,
  done: () => boolean,
  end: BusyPollEnd,
): boolean {
  if (napi.disabled || napi.scheduled) return false;
  const { scheduler } = kernel;
  const endPs = scheduler.nowPs + forPs;
  let packets = 0;
  napi.scheduled = true;
  napi.inBusyPoll = true;
  disarm(kernel, napi);
  const once = (): void => {
    if (napi.disabled) {
      napi.inBusyPoll = false;
      end(packets, false);
      return;
    }
    kernel.charge(kernel.costs.napiPollPs);
    packets += napi.poller.poll(BUSY_POLL_BUDGET);
    napi.busyPollCount++;
    const isDone = done();
    if (!isDone && scheduler.nowPs < endPs) {
      kernel.mod_timer(scheduler.nowPs, once, cpu);
      return;
    }
    release(kernel, napi);
    napi.workCount += packets;
    end(packets, isDone);
  };
  kernel.mod_timer(scheduler.nowPs, once, cpu);
  return true;
}

/** The busy poller gives the NAPI back (busy_poll_stop). */
function release(kernel: Kernel, napi: Napi): void {
  const { deferral } = napi;
  napi.inBusyPoll = false;
  napi.missed = false;
  napi.scheduled = false;
  napi.deferLeft = deferral?.napiDeferHardIrqs ?? 0;
  if (napi.deferLeft > 0 && (deferral?.groFlushTimeoutPs ?? 0) > 0) arm(kernel, napi);
  else kernel.napi_schedule(napi);
}
