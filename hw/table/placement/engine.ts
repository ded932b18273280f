// What every placement engine of a ternary table offers: where an entry goes, and which entries must move first.
//
// A TCAM answers with the lowest position that matches, so the position of an entry is its precedence and an insertion
// may have to move others. An engine is the bookkeeping of the firmware or driver that decides this: it knows ids,
// priorities and positions, and hands out an ordered list of steps. It does not hold keys (only the engines that look at
// overlaps read them) and has no notion of time: the caller plays the steps against the table and charges them
// (player.ts), so a step is the unit of both cost and correctness.
//
// Make before break: a move is copy to the new place, then invalidate the old one. Between the two writes the entry is
// there twice, which no lookup can tell apart. Every engine orders its steps so that after each single write a lookup
// gives what a linear scan over all entries by priority gives; the new entry is written last.
//
// Priorities: the LOWER number wins. Among entries of equal priority that match the same packet, any may win: that is
// what hardware gives, and callers that need an order give distinct priorities.

import { assert } from '../../base/assert.ts';

/** One ternary entry. A rule with ranges is several of these (ranges.ts), each with its own id. */
export interface PlacementEntry {
  /** Unique in the table; a small integer (below 2^24: places are kept in an array by id). */
  readonly id: number;
  /** Lower wins. */
  readonly priority: number;
  /** Words of the key, most significant first; read by the engines that look at overlaps or masks. */
  readonly value: Uint32Array;
  readonly mask: Uint32Array;
  /** Slices of a row that it takes (bnxt rows); 1 elsewhere. */
  readonly slices: number;
}

/** Why an entry was not taken. */
export type PlacementStatus =
  | 'ok'
  /** No position left (for a batch: not enough for all of it; nothing was done). */
  | 'no-free-entry'
  | 'entry-exists'
  | 'unknown-entry'
  /** More slices than a row has, or a number that rows are not cut into. */
  | 'key-too-wide'
  /** Outside the levels of the engine. */
  | 'priority-out-of-range';

export interface PlacementResult {
  readonly status: PlacementStatus;
  /** Position of the new entry; of the freed one for `remove`; −1 otherwise, and for a batch. */
  readonly place: number;
  /** Entries (bnxt: rows) that moved. */
  readonly moves: number;
}

export interface PlacementEngine {
  readonly name: string;
  /** Positions that a table under this engine needs. */
  readonly depth: number;
  /** Entries in place. */
  readonly count: number;
  /** Steps of the last call, in order; the next call overwrites them. */
  readonly steps: StepLog;
  /** Positions below this are ordered by position; at and above, by the priority of the entry (A-TCAM only). */
  readonly orderedDepth: number;
  insert(entry: PlacementEntry): PlacementResult;
  remove(id: number): PlacementResult;
  /** Inserts all or none, planned together: never more moves than the worst order, usually fewer than file order. */
  insertBatch(entries: readonly PlacementEntry[]): PlacementResult;
  /** Position of an entry, −1 for none. */
  placeOf(id: number): number;
}

/** Ordered atomic steps: (id, from, to); from −1 writes a new entry, to −1 invalidates one, both set is a move. */
export class StepLog {
  count = 0;
  id = new Int32Array(64);
  from = new Int32Array(64);
  to = new Int32Array(64);

  clear(): void {
    this.count = 0;
  }

  push(id: number, from: number, to: number): void {
    if (this.count === this.id.length) this.grow();
    const i = this.count++;
    this.id[i] = id;
    this.from[i] = from;
    this.to[i] = to;
  }

  private grow(): void {
    for (const name of ['id', 'from', 'to'] as const) {
      const larger = new Int32Array(this[name].length * 2);
      larger.set(this[name]);
      this[name] = larger;
    }
  }
}

/** The engine's picture of the table: which id is where. Every change becomes a step. */
export class Slots {
  readonly depth: number;
  /** Id at each position, −1 free. */
  readonly idAt: Int32Array;
  readonly steps = new StepLog();
  count = 0;
  /** Place of each id, −1 for none. An array: a Map took most of the time of long shifts. */
  private places = new Int32Array(64).fill(-1);

  constructor(depth: number) {
    assert(Number.isInteger(depth) && depth > 0, 'placement: depth must be a positive integer');
    this.depth = depth;
    this.idAt = new Int32Array(depth).fill(-1);
  }

  placeOf(id: number): number {
    return id < this.places.length ? this.places[id] : -1;
  }

  write(id: number, place: number): void {
    assert(this.idAt[place] === -1, 'placement: write to a place in use');
    if (id >= this.places.length) this.growPlaces(id);
    this.idAt[place] = id;
    this.places[id] = place;
    this.count++;
    this.steps.push(id, -1, place);
  }

  move(from: number, to: number): void {
    const id = this.idAt[from];
    assert(id >= 0 && this.idAt[to] === -1, 'placement: move needs an entry and a free place');
    this.idAt[to] = id;
    this.idAt[from] = -1;
    this.places[id] = to;
    this.steps.push(id, from, to);
  }

  invalidate(place: number): void {
    const id = this.idAt[place];
    assert(id >= 0, 'placement: invalidate of a free place');
    this.idAt[place] = -1;
    this.places[id] = -1;
    this.count--;
    this.steps.push(id, place, -1);
  }

  private growPlaces(id: number): void {
    assert(Number.isInteger(id) && id >= 0 && id < 1 << 24, 'placement: id is no small integer');
    const larger = new Int32Array(Math.max(this.places.length * 2, id + 1)).fill(-1);
    larger.set(this.places);
    this.places = larger;
  }
}

export function placed(place: number, moves: number): PlacementResult {
  return { status: 'ok', place, moves };
}

export function refused(status: PlacementStatus): PlacementResult {
  return { status, place: -1, moves: 0 };
}

/** 'ok', or why a batch cannot start: ids in use or twice, or more entries than free places. */
export function checkBatch(
  entries: readonly PlacementEntry[],
  engine: { placeOf(id: number): number; readonly depth: number; readonly count: number },
): PlacementStatus {
  const seen = new Set<number>();
  for (const { id } of entries) {
    if (engine.placeOf(id) >= 0 || seen.has(id)) return 'entry-exists';
    seen.add(id);
  }
  return engine.count + entries.length > engine.depth ? 'no-free-entry' : 'ok';
}

/** Inserts in the given order; the steps of all of them stay in the log (`insertOne` must not clear it). */
export function insertInOrder(
  entries: readonly PlacementEntry[],
  insertOne: (entry: PlacementEntry) => PlacementResult,
): PlacementResult {
  let moves = 0;
  for (const entry of entries) {
    const result = insertOne(entry);
    assert(result.status === 'ok', `placement: batch entry refused: ${result.status}`);
    moves += result.moves;
  }
  return placed(-1, moves);
}
