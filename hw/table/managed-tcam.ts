// A TCAM whose device decides where rules go: priorities in, handles out, moves played in simulated time.
//
// The driver of a plain table says positions and does its own shuffling. Here a placement engine (placement/) decides,
// and a player writes its steps to the table while packets are looked up; actions and counters hang on the handle, so a
// move does not touch them. A handle is free again when its last place is invalidated, not when its removal was asked
// for: until then packets may still hit it. Changes from several admin queues play one after another.
// Left out: tables whose engine spreads rules over hashed and ternary memory, and rows of several slices (their places
// are not positions of one TCAM); `flowtwin fit` uses those engines alone.

import { assert } from '../base/assert.ts';
import { TCAM_WORDS } from '../parse/key-layout.ts';
import type { Scheduler } from '../time/scheduler.ts';
import type { PlacementEngine } from './placement/engine.ts';
import { makePlacement, type PlacementConfig } from './placement/index.ts';
import { StepPlayer, type StepTarget } from './placement/player.ts';
import type { Tcam } from './tcam.ts';

export class ManagedTcam implements StepTarget {
  /** Moves of the last change. */
  lastMoves = 0;
  private readonly engine: PlacementEngine;
  private readonly player: StepPlayer;
  private readonly tcam: Tcam;
  private readonly value: Uint32Array;
  private readonly mask: Uint32Array;
  /** Places that each handle is at now: two in the middle of a move. */
  private readonly placeCount: Uint8Array;
  private readonly freeHandles: number[] = [];

  /** `movePs` for every rule that moves; the write of a new rule is part of the command's own time. */
  constructor(config: PlacementConfig, tcam: Tcam, scheduler: Scheduler, movePs: number) {
    this.engine = makePlacement(config);
    const { depth, orderedDepth } = this.engine;
    assert(depth === tcam.entries && orderedDepth === depth, 'tcam: placement of another depth');
    assert(
      config.engine !== 'rows-per-priority' || config.rowSlices === 1,
      'tcam: a rule takes a whole row here',
    );
    this.tcam = tcam;
    this.player = new StepPlayer(scheduler, this, { writePs: 0, movePs });
    this.value = new Uint32Array(depth * TCAM_WORDS);
    this.mask = new Uint32Array(depth * TCAM_WORDS);
    this.placeCount = new Uint8Array(depth);
    for (let handle = depth - 1; handle >= 0; handle--) this.freeHandles.push(handle);
  }

  /** Time at which all changes so far are in the table, ps. */
  get settledPs(): number {
    return this.player.donePs;
  }

  /** When the next move is done, ps; Infinity when nothing moves. */
  get nextPs(): number {
    return this.player.nextPs;
  }

  /** Whether a handle names a rule that has not been removed. */
  isUsed(handle: number): boolean {
    return this.engine.placeOf(handle) >= 0;
  }

  /** The handle that the next rule gets, −1 when there is no room; `add` takes it. */
  nextHandle(): number {
    if (this.engine.count === this.engine.depth) return -1;
    return this.freeHandles[this.freeHandles.length - 1] ?? -1;
  }

  /** Adds a rule under `nextHandle()`; false when the engine has no place for its priority. */
  add(priority: number, value: Uint32Array, mask: Uint32Array): boolean {
    const handle = this.nextHandle();
    assert(handle >= 0, 'tcam: add without a free handle');
    const result = this.engine.insert({
      id: handle,
      priority,
      value: value.slice(),
      mask: mask.slice(),
      slices: 1,
    });
    this.lastMoves = result.moves;
    if (result.status !== 'ok') return false;
    this.freeHandles.pop();
    this.value.set(value, handle * TCAM_WORDS);
    this.mask.set(mask, handle * TCAM_WORDS);
    this.player.play(this.engine.steps);
    return true;
  }

  /** Removes a rule; false when the handle names none. */
  remove(handle: number): boolean {
    const result = this.engine.remove(handle);
    this.lastMoves = result.moves;
    if (result.status !== 'ok') return false;
    this.player.play(this.engine.steps);
    return true;
  }

  /** Does what is still to come at once (a reset). */
  flush(): void {
    this.player.flush();
  }

  writeEntry(handle: number, place: number): void {
    const at = handle * TCAM_WORDS;
    const end = at + TCAM_WORDS;
    this.tcam.set(place, this.value.subarray(at, end), this.mask.subarray(at, end));
    this.tcam.handleAt[place] = handle;
    this.placeCount[handle]++;
  }

  invalidatePlace(place: number): void {
    const handle = this.tcam.handleAt[place];
    this.tcam.remove(place);
    if (--this.placeCount[handle] === 0) this.freeHandles.push(handle);
  }
}
