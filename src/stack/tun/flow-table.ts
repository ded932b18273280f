// The table of the automatic policy (drivers/net/tun.c, tun_flow_*): which queue a flow was last written on.
//
// 1,024 buckets by the low bits of the hash, chained; at most 4,096 entries, and a full table refuses new flows rather than throw
// old ones out. An entry lives until a timer finds that it was not updated for 3 s; the timer runs at whole seconds only (Linux
// rounds it so that timers wake the processor together), so an entry's life is 3 to 4 s. Only `update` refreshes it, look-ups do not.
//
// Entries are columns of typed arrays; chains and the free list are indices. A bucket's newest entry is found first.

import { assert } from '../../../hw/base/assert.ts';
import { PS_PER_S } from '../../../hw/time/units.ts';

export const FLOW_BUCKETS = 1024;
export const FLOWS_MAX = 4096;
/** Life of an entry that is not updated, ps. */
export const FLOW_EXPIRE_PS = 3 * PS_PER_S;

const NONE = -1;

/** What the table needs of the machine. */
export interface FlowTimer {
  readonly nowPs: number;
  /** Runs `run` at `atPs`; whatever it returns is given to `cancel`. */
  at(atPs: number, run: () => void): number;
  cancel(id: number): void;
}

/** Tells what happened to each `update` and `lookup`, for the per-policy counters. */
export class FlowTableCounters {
  lookups = 0;
  hits = 0;
  creations = 0;
  updates = 0;
  /** New flows that found the table full. */
  refusals = 0;
  expiries = 0;
}

/** One entry, for listings. */
export interface FlowEntry {
  hash: number;
  queueIndex: number;
  updatedPs: number;
  rpsHash: number;
}

export class FlowTable {
  readonly counters = new FlowTableCounters();
  /** Entries now. */
  count = 0;

  private readonly timer: FlowTimer;
  private readonly head = new Int16Array(FLOW_BUCKETS).fill(NONE);
  private readonly next = new Int16Array(FLOWS_MAX);
  private readonly hashOf = new Uint32Array(FLOWS_MAX);
  private readonly queueOf = new Uint16Array(FLOWS_MAX);
  /** Hash of the last packet sent to the flow: what RFS files it under. */
  private readonly rpsHashOf = new Uint32Array(FLOWS_MAX);
  private readonly updatedPs = new Float64Array(FLOWS_MAX);
  private free = 0;
  private timerId = NONE;

  /** The collector is armed at once, as at device creation. */
  constructor(timer: FlowTimer) {
    this.timer = timer;
    for (let i = 0; i < FLOWS_MAX; i++) this.next[i] = i + 1 < FLOWS_MAX ? i + 1 : NONE;
    this.arm(timer.nowPs + FLOW_EXPIRE_PS);
  }

  /** Whether the collector is to run. */
  get isArmed(): boolean {
    return this.timerId !== NONE;
  }

  /** Entry of a flow, −1 for none. Not counted, refreshes nothing. */
  find(hash: number): number {
    for (let at = this.head[hash & (FLOW_BUCKETS - 1)]; at !== NONE; at = this.next[at])
      if (this.hashOf[at] === hash) return at;
    return NONE;
  }

  /** Queue of a flow that was learned, −1 for none; notes the hash with the entry (rps_rxhash). */
  lookup(hash: number): number {
    this.counters.lookups++;
    const at = this.find(hash);
    if (at === NONE) return NONE;
    this.counters.hits++;
    this.rpsHashOf[at] = hash;
    return this.queueOf[at];
  }

  /** A packet of the flow was written on this queue. */
  update(hash: number, queueIndex: number): void {
    const { counters } = this;
    counters.lookups++;
    const known = this.find(hash);
    if (known !== NONE) {
      counters.updates++;
      this.queueOf[known] = queueIndex;
      this.updatedPs[known] = this.timer.nowPs;
      return;
    }
    if (this.free === NONE) counters.refusals++;
    else {
      counters.creations++;
      this.insert(hash, queueIndex);
    }
    if (this.timerId === NONE) this.arm(this.timer.nowPs + FLOW_EXPIRE_PS);
  }

  /** Saves the hash of a packet with an entry that exists (single queue, RPS). */
  saveRpsHash(hash: number): void {
    const at = this.find(hash);
    if (at !== NONE) this.rpsHashOf[at] = hash;
  }

  /** Deletes the entries of one queue index. */
  deleteQueue(queueIndex: number): void {
    this.deleteWhere((at) => this.queueOf[at] === queueIndex);
  }

  /** Empties the table and stops the collector (device removal). */
  destroy(): void {
    if (this.timerId !== NONE) this.timer.cancel(this.timerId);
    this.timerId = NONE;
    this.deleteWhere(() => true);
  }

  /** All entries by bucket, newest of a bucket first. */
  entries(): FlowEntry[] {
    const out: FlowEntry[] = [];
    for (let bucket = 0; bucket < FLOW_BUCKETS; bucket++)
      for (let at = this.head[bucket]; at !== NONE; at = this.next[at])
        out.push({
          hash: this.hashOf[at],
          queueIndex: this.queueOf[at],
          updatedPs: this.updatedPs[at],
          rpsHash: this.rpsHashOf[at],
        });
    return out;
  }

  private insert(hash: number, queueIndex: number): void {
    const at = this.free;
    assert(at >= 0 && this.count < FLOWS_MAX, 'flow table: insert into a full table');
    this.free = this.next[at];
    const bucket = hash & (FLOW_BUCKETS - 1);
    this.next[at] = this.head[bucket];
    this.head[bucket] = at;
    this.hashOf[at] = hash;
    this.queueOf[at] = queueIndex;
    this.rpsHashOf[at] = 0;
    this.updatedPs[at] = this.timer.nowPs;
    this.count++;
  }

  private deleteWhere(leaves: (at: number) => boolean): void {
    for (let bucket = 0; bucket < FLOW_BUCKETS; bucket++) {
      let before = NONE;
      for (let at = this.head[bucket]; at !== NONE;) {
        const after = this.next[at];
        if (leaves(at)) {
          if (before === NONE) this.head[bucket] = after;
          else this.next[before] = after;
          this.next[at] = this.free;
          this.free = at;
          this.count--;
        } else before = at;
        at = after;
      }
    }
  }

  /** The collector: deletes what is due, runs again for the earliest that is left. */
  private readonly collect = (): void => {
    this.timerId = NONE;
    const { nowPs } = this.timer;
    const before = this.count;
    let nextPs = Infinity;
    this.deleteWhere((at) => {
      const duePs = this.updatedPs[at] + FLOW_EXPIRE_PS;
      if (duePs > nowPs && duePs < nextPs) nextPs = duePs;
      return duePs <= nowPs;
    });
    this.counters.expiries += before - this.count;
    if (nextPs < Infinity) this.arm(nextPs);
  };

  /** Arms the collector for `atPs`, rounded up to a whole second. */
  private arm(atPs: number): void {
    this.timerId = this.timer.at(Math.ceil(atPs / PS_PER_S) * PS_PER_S, this.collect);
  }
}
