// Aging by hit bits: the lookup sets a bit, a sweeper comes by periodically, clears it and counts how often it was clear.
//
// Naive idea: a time stamp for each entry and a comparison on each sweep (EntryStats has those, for reports). Hardware
// has one bit and a few bits of age, and walks its table a piece at a time: every `tickPs` it visits `entriesPerTick`
// entries, wrapping around, so one round takes entries / entriesPerTick ticks. A visited entry with its bit set starts
// again at age 0, one without gets a round older; at `maxAge` it is aged out and reported once. So an idle entry lives
// between maxAge − 1 and maxAge rounds after it was added, and one more after a hit (the visit that clears the bit).
// Not here: what happens to an aged entry (the firmware removes it, or the driver reads the list).

import type { EventHandler, Scheduler } from '../time/scheduler.ts';
import { assert } from '../base/assert.ts';

export interface AgingConfig {
  entries: number;
  entriesPerTick: number;
  tickPs: number;
  /** Rounds without a hit after which an entry is old, 1 to 255. */
  maxAge: number;
}

/** Told about each entry that got old. */
export interface AgingListener {
  onAged(entry: number, atPs: number): void;
}

export class AgingSweeper implements EventHandler {
  /** Set by lookups. */
  readonly hitBit: Uint8Array;
  /** Whole rounds done. */
  rounds = 0;

  private readonly config: AgingConfig;
  private readonly scheduler: Scheduler;
  private readonly listener: AgingListener;
  private readonly isLive: Uint8Array;
  private readonly age: Uint8Array;
  private liveCount = 0;
  private cursor = 0;
  private isRunning = false;

  constructor(config: AgingConfig, scheduler: Scheduler, listener: AgingListener) {
    assert(config.maxAge >= 1 && config.maxAge <= 255, 'aging: maxAge is 1 to 255');
    assert(config.entriesPerTick >= 1 && config.tickPs > 0, 'aging: a tick visits something');
    this.config = config;
    this.scheduler = scheduler;
    this.listener = listener;
    this.hitBit = new Uint8Array(config.entries);
    this.isLive = new Uint8Array(config.entries);
    this.age = new Uint8Array(config.entries);
  }

  /** A new entry, aged from now on. The sweeper runs only while there are entries. */
  add(entry: number): void {
    if (this.isLive[entry] === 0) this.liveCount++;
    this.isLive[entry] = 1;
    this.age[entry] = 0;
    this.hitBit[entry] = 0;
    if (this.isRunning) return;
    this.isRunning = true;
    this.scheduler.schedule(this.scheduler.nowPs + this.config.tickPs, this);
  }

  remove(entry: number): void {
    if (this.isLive[entry] === 0) return;
    this.isLive[entry] = 0;
    this.liveCount--;
  }

  /** One tick of the walk. */
  onEvent(): void {
    const { entries, entriesPerTick, tickPs } = this.config;
    for (let n = 0; n < entriesPerTick; n++) {
      this.visit(this.cursor);
      if (++this.cursor < entries) continue;
      this.cursor = 0;
      this.rounds++;
    }
    this.isRunning = this.liveCount > 0;
    if (this.isRunning) this.scheduler.schedule(this.scheduler.nowPs + tickPs, this);
  }

  private visit(entry: number): void {
    if (this.isLive[entry] === 0) return;
    if (this.hitBit[entry] === 1) {
      this.hitBit[entry] = 0;
      this.age[entry] = 0;
      return;
    }
    const age = this.age[entry] + 1;
    this.age[entry] = age;
    if (age < this.config.maxAge) return;
    this.remove(entry);
    this.listener.onAged(entry, this.scheduler.nowPs);
  }
}
