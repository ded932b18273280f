// One CPU core of the host as a busy-until time line: hard interrupts, softirq (NAPI polls), then process context.
//
// The core works in steps, one step per event: pending interrupt handlers, then one NAPI poll or one work item. While a
// step runs the scheduler's clock is the core's time and moves as work is charged; afterwards the core is busy until
// then, and the next step is an event at that time. So frames that arrive while a core polls are in the rings before its
// next poll, and cores interleave at the grain of a poll. An interrupt that comes while a step runs is handled at the end
// of the step (a real one preempts it).
//
// Softirq rules (spec D.5, hardware.md 5.4): NAPIs are polled round robin with weight 64; a run ends after 300 packets or
// 2 ms (sysctls net.core.netdev_budget and netdev_budget_usecs); if NAPIs are left then, time_squeeze grows and ksoftirqd
// carries on, sharing the core with process context.

import type { EventHandler, Scheduler } from '../hw/time/scheduler.ts';
import type { HostCosts } from './costs.ts';
import type { Napi } from './napi.ts';

/** net.core.netdev_budget: packets per softirq run. */
export const NETDEV_BUDGET = 300;
/** net.core.netdev_budget_usecs at HZ 1000, ps. */
export const NETDEV_BUDGET_PS = 2e9;

/** Limits of a softirq run: net.core.netdev_budget and netdev_budget_usecs. One object per kernel, read at each run. */
export interface SoftirqLimits {
  budgetPackets: number;
  budgetPs: number;
}

/** Runs on a core: an interrupt handler or an item in process context. */
export type CoreTask = () => void;

/** What a core needs of its kernel. */
export interface CoreHost {
  readonly scheduler: Scheduler;
  readonly softirqLimits: SoftirqLimits;
  /** Core that runs now; null outside of host code. */
  current: HostCore | null;
  /** Publishes what devices finished by now (nic.sync). */
  syncDevices: ((nowPs: number) => void) | null;
  charge(costPs: number): void;
  /** Called at the end of each step: packets gathered for one doorbell leave. */
  flushTransmit(): void;
  printk(text: string): void;
}

export class HostCore implements EventHandler {
  /** Free again at this time, ps. */
  freePs = 0;
  /** Time spent working, ps. */
  busyPs = 0;
  /** Hard interrupts handled. */
  irqCount = 0;
  /** Softirq runs, NAPI polls, and runs that ended for lack of budget (/proc/net/softnet_stat). */
  softirqCount = 0;
  pollCount = 0;
  timeSqueeze = 0;
  /** Packets handled by polls. */
  packetCount = 0;

  readonly index: number;
  readonly frequencyMhz: number;

  private readonly host: CoreHost;
  private readonly costs: HostCosts;
  private readonly napis: Napi[] = [];
  private readonly irqs: CoreTask[] = [];
  private readonly tasks: CoreTask[] = [];
  private eventPending = false;
  private inRun = false;
  private budgetLeft = 0;
  private runStartPs = 0;
  private yieldToTask = false;

  constructor(index: number, frequencyMhz: number, host: CoreHost, costs: HostCosts) {
    this.index = index;
    this.frequencyMhz = frequencyMhz;
    this.host = host;
    this.costs = costs;
  }

  /** A hard interrupt for this core arrives now. */
  interrupt(handler: CoreTask): void {
    this.irqs.push(handler);
    this.wake(this.costs.irqLatencyPs);
  }

  /** Queues an item for process context. */
  runTask(task: CoreTask): void {
    this.tasks.push(task);
    this.wake(this.costs.workWakePs);
  }

  /** Puts a NAPI at the end of the poll list (NET_RX_SOFTIRQ raised). */
  addNapi(napi: Napi): void {
    napi.core = this;
    this.napis.push(napi);
    this.wake(0);
  }

  /** Takes a NAPI off the poll list (napi_disable). */
  removeNapi(napi: Napi): void {
    const place = this.napis.indexOf(napi);
    if (place >= 0) this.napis.splice(place, 1);
  }

  /** Share of `elapsedPs` that the core worked. */
  utilisation(elapsedPs: number): number {
    return elapsedPs > 0 ? this.busyPs / elapsedPs : 0;
  }

  /** Runs `task` at once as this core's work, from the time at which it is free; the clock is put back afterwards. */
  runNow(task: CoreTask): void {
    const { host } = this;
    if (host.current === this) {
      task();
      return;
    }
    const callerPs = host.scheduler.nowPs;
    const callerCore = host.current;
    if (this.freePs > callerPs) host.scheduler.nowPs = this.freePs;
    host.current = this;
    if (host.syncDevices !== null) host.syncDevices(host.scheduler.nowPs);
    task();
    host.flushTransmit();
    host.current = callerCore;
    this.finishStep();
    host.scheduler.nowPs = callerPs;
  }

  onEvent(): void {
    const { host } = this;
    this.eventPending = false;
    const { scheduler } = host;
    if (scheduler.nowPs < this.freePs) {
      // Something (runNow) occupied the core meanwhile.
      this.wake(0);
      return;
    }
    host.current = this;
    if (host.syncDevices !== null) host.syncDevices(scheduler.nowPs);
    this.step();
    host.flushTransmit();
    host.current = null;
    this.finishStep();
  }

  private step(): void {
    const { host } = this;
    while (this.irqs.length > 0) {
      const handler = this.irqs.shift() as CoreTask;
      this.irqCount++;
      host.charge(this.costs.irqEntryPs);
      handler();
    }
    const task = this.yieldToTask || this.napis.length === 0 ? this.tasks.shift() : undefined;
    this.yieldToTask = false;
    if (task !== undefined) {
      host.charge(this.costs.workItemPs);
      task();
    } else if (this.napis.length > 0) this.pollOne();
  }

  /** One poll of the first NAPI on the list, within the budget of the softirq run. */
  private pollOne(): void {
    const { host, costs } = this;
    const { scheduler } = host;
    if (!this.inRun) {
      this.inRun = true;
      this.softirqCount++;
      this.budgetLeft = host.softirqLimits.budgetPackets;
      this.runStartPs = scheduler.nowPs;
    }
    const napi = this.napis.shift() as Napi;
    host.charge(costs.napiPollPs);
    const work = napi.poller.poll(napi.weight);
    napi.pollCount++;
    napi.workCount += work;
    this.pollCount++;
    this.packetCount += work;
    this.budgetLeft -= work;
    if (work > napi.weight && !napi.overBudgetLogged) {
      napi.overBudgetLogged = true;
      host.printk(
        `NAPI poll function ${napi.name} returned ${work}, exceeding its budget of ${napi.weight}.`,
      );
    }
    if (work >= napi.weight && napi.scheduled && !napi.disabled && !this.napis.includes(napi))
      this.napis.push(napi);
    if (this.napis.length === 0) this.inRun = false;
    else if (
      this.budgetLeft <= 0 ||
      scheduler.nowPs - this.runStartPs >= host.softirqLimits.budgetPs
    ) {
      this.timeSqueeze++;
      this.inRun = false;
      this.yieldToTask = true;
    }
  }

  private finishStep(): void {
    const nowPs = this.host.scheduler.nowPs;
    if (nowPs > this.freePs) this.freePs = nowPs;
    if (this.irqs.length + this.napis.length + this.tasks.length > 0) this.wake(0);
  }

  private wake(latencyPs: number): void {
    const { scheduler, current } = this.host;
    if (this.eventPending || current === this) return; // the step that runs looks again at its end
    this.eventPending = true;
    const atPs = scheduler.nowPs + latencyPs;
    scheduler.schedule(atPs > this.freePs ? atPs : this.freePs, this);
  }
}
