// Ternary memory of one key template of a table: a placement engine decides where entries go, a player moves them there in
// simulated time, lookups see what is in place at that moment.
//
// Entries keep their handle while they move, so actions and counters never do; between copy and invalidation an entry is in
// two places. A handle whose entry was removed is given back (`onGone`) when its last place is invalid: packets hit it until then.
// Lookups go through an index (table/classifier) over places: the lowest place that matches wins; where the engine has hashed
// places (A-TCAM), the best priority there, and the better of both. That is what a scan of all places gives.

import type { Scheduler } from '../time/scheduler.ts';
import { TernaryClassifier } from '../table/classifier/ternary.ts';
import type {
  PlacementEngine,
  PlacementEntry,
  PlacementStatus,
} from '../table/placement/engine.ts';
import { makePlacement, type PlacementConfig } from '../table/placement/index.ts';
import { StepPlayer, type StepTarget } from '../table/placement/player.ts';

/** Told that a removed entry is in no place any more. */
export type GoneListener = (handle: number) => void;

export class TernaryRegion implements StepTarget {
  /** Moves of the last change. */
  lastMoves = 0;
  private readonly engine: PlacementEngine;
  private readonly player: StepPlayer;
  private readonly ordered: TernaryClassifier;
  private readonly hashed: TernaryClassifier | null;
  private readonly onGone: GoneListener;
  /** Key, mask and priority by handle. */
  private readonly entries: (PlacementEntry | null)[] = [];
  private readonly placeCount = new Map<number, number>();
  private readonly handleAt: Int32Array;

  constructor(
    config: PlacementConfig,
    keyWords: number,
    scheduler: Scheduler,
    costs: { movePs: number },
    onGone: GoneListener,
  ) {
    this.engine = makePlacement(config);
    // The write of a new entry is part of the command's own time; removals take none, as in managed-tcam.ts.
    this.player = new StepPlayer(scheduler, this, { writePs: 0, movePs: costs.movePs });
    this.ordered = new TernaryClassifier(keyWords);
    const { depth, orderedDepth } = this.engine;
    this.hashed = depth > orderedDepth ? new TernaryClassifier(keyWords) : null;
    this.handleAt = new Int32Array(depth).fill(-1);
    this.onGone = onGone;
  }

  /** Entries, removed ones not counted. */
  get count(): number {
    return this.engine.count;
  }

  /** Places with an entry now: more than `count` while entries move or go. */
  get placesInUse(): number {
    return this.ordered.ruleCount + (this.hashed?.ruleCount ?? 0);
  }

  /** When all changes so far are in place, ps. */
  get settledPs(): number {
    return this.player.donePs;
  }

  /** When the next write is done, ps; Infinity when nothing moves. */
  get nextPs(): number {
    return this.player.nextPs;
  }

  /** Adds entries, all or none, planned together. Words are kept. */
  add(entries: readonly PlacementEntry[]): PlacementStatus {
    const { engine } = this;
    const result = entries.length === 1 ? engine.insert(entries[0]) : engine.insertBatch(entries);
    this.lastMoves = result.moves;
    if (result.status !== 'ok') return result.status;
    for (const entry of entries) this.entries[entry.id] = entry;
    this.player.play(engine.steps);
    return 'ok';
  }

  remove(handle: number): void {
    const result = this.engine.remove(handle);
    this.lastMoves = result.moves;
    if (result.status === 'ok') this.player.play(this.engine.steps);
  }

  /** Does what is still to come at once. */
  flush(): void {
    this.player.flush();
  }

  /** Handle of the entry that wins, −1 for none. */
  lookup(key: Uint32Array): number {
    const place = this.ordered.lookup(key);
    const handle = place < 0 ? -1 : this.handleAt[place];
    if (this.hashed === null) return handle;
    const other = this.hashed.lookup(key);
    if (other < 0) return handle;
    const hashedHandle = this.handleAt[this.engine.orderedDepth + other];
    if (handle < 0 || this.priorityOf(hashedHandle) < this.priorityOf(handle)) return hashedHandle;
    return handle;
  }

  priorityOf(handle: number): number {
    return this.entries[handle]?.priority ?? 0;
  }

  writeEntry(handle: number, place: number): void {
    const entry = this.entries[handle] as PlacementEntry;
    const { orderedDepth } = this.engine;
    if (place < orderedDepth) this.ordered.insert(place, place, entry.value, entry.mask);
    else this.hashed?.insert(place - orderedDepth, entry.priority, entry.value, entry.mask);
    this.handleAt[place] = handle;
    this.placeCount.set(handle, (this.placeCount.get(handle) ?? 0) + 1);
  }

  invalidatePlace(place: number): void {
    const handle = this.handleAt[place];
    const { orderedDepth } = this.engine;
    if (place < orderedDepth) this.ordered.remove(place);
    else this.hashed?.remove(place - orderedDepth);
    this.handleAt[place] = -1;
    const left = (this.placeCount.get(handle) ?? 1) - 1;
    if (left > 0) {
      this.placeCount.set(handle, left);
      return;
    }
    this.placeCount.delete(handle);
    this.entries[handle] = null;
    this.onGone(handle);
  }
}
