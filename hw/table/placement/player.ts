// Plays an engine's steps against the table in simulated time: what the firmware does after it has decided.
//
// Each step takes time and ends in one or two table writes: a move copies to the new place at its end and invalidates
// the old place right after it (two writes, two events, so a packet in between finds the entry twice, never missing).
// Steps are copied at `play`, so the engine may plan the next change meanwhile; changes play one after another.
// The table stays readable all the time. (Some devices stop lookups while they move entries, hw 3.1 FastUp; a caller
// that models one of those reserves its pipeline for the time that `play` returns.)

import { NO_EVENT, type EventHandler, type Scheduler } from '../../time/scheduler.ts';
import type { StepLog } from './engine.ts';

/** What the player writes to. Ids are the caller's; it knows the keys. */
export interface StepTarget {
  writeEntry(id: number, place: number): void;
  invalidatePlace(place: number): void;
}

export interface StepCosts {
  /** One entry written or invalidated, ps. */
  writePs: number;
  /** One entry moved (read, written, old place invalidated), ps. */
  movePs: number;
}

/** Applies one step at once, without time: new place first, then the old one. */
export function applyStep(target: StepTarget, id: number, from: number, to: number): void {
  if (to >= 0) target.writeEntry(id, to);
  if (from >= 0) target.invalidatePlace(from);
}

/** Applies all steps at once. */
export function applySteps(target: StepTarget, steps: StepLog): void {
  for (let i = 0; i < steps.count; i++) applyStep(target, steps.id[i], steps.from[i], steps.to[i]);
}

/** Time that the steps take, ps. */
export function stepsPs(steps: StepLog, costs: StepCosts): number {
  let totalPs = 0;
  for (let i = 0; i < steps.count; i++)
    totalPs += steps.from[i] >= 0 && steps.to[i] >= 0 ? costs.movePs : costs.writePs;
  return totalPs;
}

export class StepPlayer implements EventHandler {
  /** Time at which the last step that was given will be done, ps. */
  donePs = 0;

  private readonly scheduler: Scheduler;
  private readonly target: StepTarget;
  private readonly costs: StepCosts;
  /** Table writes to come, in order: id −1 for an invalidation. */
  private readonly writes: { id: number; place: number; atPs: number }[] = [];
  private next = 0;
  private event = NO_EVENT;

  constructor(scheduler: Scheduler, target: StepTarget, costs: StepCosts) {
    this.scheduler = scheduler;
    this.target = target;
    this.costs = costs;
  }

  /** Time of the next write, ps; Infinity when there is none. */
  get nextPs(): number {
    return this.next < this.writes.length ? this.writes[this.next].atPs : Infinity;
  }

  /** Queues the steps behind those still playing; returns when the last one is done, ps. What takes no time is done now. */
  play(steps: StepLog): number {
    let atPs = Math.max(this.scheduler.nowPs, this.donePs);
    for (let i = 0; i < steps.count; i++) {
      const id = steps.id[i];
      const from = steps.from[i];
      const to = steps.to[i];
      atPs += from >= 0 && to >= 0 ? this.costs.movePs : this.costs.writePs;
      if (to >= 0) this.writes.push({ id, place: to, atPs });
      if (from >= 0) this.writes.push({ id: -1, place: from, atPs });
    }
    this.donePs = atPs;
    if (this.event === NO_EVENT) this.proceed();
    return atPs;
  }

  /** Does everything that is still to come at once (a reset). */
  flush(): void {
    this.scheduler.cancel(this.event);
    this.event = NO_EVENT;
    while (this.next < this.writes.length) this.writeNext();
    this.donePs = Math.min(this.donePs, this.scheduler.nowPs);
    this.proceed();
  }

  /** The next write happens now. */
  onEvent(): void {
    this.event = NO_EVENT;
    this.writeNext();
    this.proceed();
  }

  private proceed(): void {
    const nowPs = this.scheduler.nowPs;
    // A copy and the invalidation after it are two events; only what was due at the call itself is done in one go.
    const isFirst = this.next === 0;
    while (isFirst && this.next < this.writes.length && this.writes[this.next].atPs <= nowPs)
      this.writeNext();
    if (this.next < this.writes.length)
      this.event = this.scheduler.schedule(this.writes[this.next].atPs, this);
    else {
      this.writes.length = 0;
      this.next = 0;
    }
  }

  private writeNext(): void {
    const { id, place } = this.writes[this.next++];
    if (id >= 0) this.target.writeEntry(id, place);
    else this.target.invalidatePlace(place);
  }
}
