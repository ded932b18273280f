// Work queues: named queues whose items run in process context on a core, started in the order in which they were queued.
//
// An item may sleep: it is given `done` and finishes when it calls it, at once or later in simulated time. At most
// `maxActive` items of a queue are unfinished at a time (1: an ordered queue, as alloc_ordered_workqueue makes).
// Items belong to the queue's core; Linux would spread an unbound queue's items over cores.

import { assert } from '../hw/base/assert.ts';
import type { Scheduler } from '../hw/time/scheduler.ts';
import type { HostCore } from './host-core.ts';

/** One item: works, then calls `done` exactly once. */
export type WorkItem = (done: () => void) => void;

export class WorkQueue {
  /** Items queued, started and finished since the start. */
  queuedCount = 0;
  startedCount = 0;
  finishedCount = 0;

  readonly name: string;
  readonly maxActive: number;
  private readonly scheduler: Scheduler;
  private readonly core: HostCore;
  /** Items not yet started, from `waitingFrom` on: shifting an array of 50 k items cost 4 % of a replay. */
  private waiting: WorkItem[] = [];
  private waitingFrom = 0;
  private activeCount = 0;

  constructor(name: string, maxActive: number, scheduler: Scheduler, core: HostCore) {
    assert(maxActive >= 1, `alloc_workqueue ${name}: maxActive is ${maxActive}`);
    this.name = name;
    this.maxActive = maxActive;
    this.scheduler = scheduler;
    this.core = core;
  }

  /** Items queued and not finished. */
  get pendingCount(): number {
    return this.queuedCount - this.finishedCount;
  }

  /** Queues an item, `delayPs` from now (queue_delayed_work). */
  queue(item: WorkItem, delayPs = 0): void {
    this.queuedCount++;
    if (delayPs > 0) {
      this.scheduler.at(this.scheduler.nowPs + delayPs, () => {
        this.admit(item);
      });
    } else this.admit(item);
  }

  private admit(item: WorkItem): void {
    this.waiting.push(item);
    this.startNext();
  }

  private startNext(): void {
    while (this.activeCount < this.maxActive && this.waitingFrom < this.waiting.length) {
      const item = this.takeWaiting();
      this.activeCount++;
      this.core.runTask(() => {
        this.run(item);
      });
    }
  }

  private takeWaiting(): WorkItem {
    const item = this.waiting[this.waitingFrom++];
    if (this.waitingFrom * 2 > this.waiting.length) {
      this.waiting = this.waiting.slice(this.waitingFrom);
      this.waitingFrom = 0;
    }
    return item;
  }

  private run(item: WorkItem): void {
    let finished = false;
    this.startedCount++;
    item(() => {
      assert(!finished, `work queue ${this.name}: an item called done twice`);
      finished = true;
      this.activeCount--;
      this.finishedCount++;
      this.startNext();
    });
  }
}
