// Placement engines against a linear scan, looked up after every single table write, and against the published counts.

import { describe, expect, it } from 'vitest';
import type { PlacementEngine, PlacementEntry } from '../../hw/table/placement/engine.ts';
import { makePlacement, type PlacementConfig } from '../../hw/table/placement/index.ts';
import { ChainAncestorOrder } from '../../hw/table/placement/chain-ancestor.ts';
import { Parman } from '../../hw/table/placement/parman.ts';
import { applyStep, applySteps, StepPlayer, stepsPs } from '../../hw/table/placement/player.ts';
import { PrefixLengthOrder, prefixPriority } from '../../hw/table/placement/prefix-length.ts';
import { RegionMasks } from '../../hw/table/placement/region-masks.ts';
import { RowManager } from '../../hw/table/placement/row-manager.ts';
import { ShiftingArray } from '../../hw/table/placement/shifting-array.ts';
import { Scheduler } from '../../hw/time/scheduler.ts';
import {
  bestPriority,
  OracleTable,
  seeded,
  toWords,
  type OracleEntry,
} from '../reference/linear-tcam.ts';

const NO_BITS = new Uint32Array(1);

function plain(id: number, priority: number, slices = 1): PlacementEntry {
  return { id, priority, value: NO_BITS, mask: NO_BITS, slices };
}

function ternary(oracle: OracleEntry, slices = 1): PlacementEntry {
  const { id, priority, value, mask } = oracle;
  return { id, priority, value: toWords(value, 2), mask: toWords(mask, 2), slices };
}

/** Prefix over the top bits of a 32-bit key; priority by length. */
function prefix(id: number, address: number, length: number): PlacementEntry {
  const mask = length === 0 ? 0 : (-1 << (32 - length)) >>> 0;
  return {
    id,
    priority: prefixPriority(32, length),
    value: Uint32Array.of((address & mask) >>> 0),
    mask: Uint32Array.of(mask),
    slices: 1,
  };
}

/** Drives an engine and a table side by side; after every write the table must agree with the linear scan. */
class Rig {
  readonly engine: PlacementEngine;
  readonly table: OracleTable;
  readonly live = new Map<number, OracleEntry>();
  private readonly known = new Map<number, OracleEntry>();
  private readonly keys: bigint[];

  constructor(engine: PlacementEngine, keys: bigint[]) {
    this.engine = engine;
    this.table = new OracleTable(engine.depth, engine.orderedDepth);
    this.keys = keys;
  }

  insert(oracle: OracleEntry, slices = 1): string {
    this.known.set(oracle.id, oracle);
    const result = this.engine.insert(ternary(oracle, slices));
    this.replay(new Set([oracle.id]));
    if (result.status === 'ok') expect(this.engine.placeOf(oracle.id)).toBe(result.place);
    return result.status;
  }

  insertBatch(batch: OracleEntry[]): string {
    for (const oracle of batch) this.known.set(oracle.id, oracle);
    const result = this.engine.insertBatch(batch.map((oracle) => ternary(oracle)));
    this.replay(new Set(batch.map((oracle) => oracle.id)));
    return result.status;
  }

  remove(id: number): void {
    expect(this.engine.remove(id).status).toBe('ok');
    this.replay(new Set());
    expect(this.engine.placeOf(id)).toBe(-1);
  }

  /** Write by write. An entry counts for the oracle from its first write on, and until it is invalidated. */
  private replay(fresh: Set<number>): void {
    const { steps } = this.engine;
    for (let i = 0; i < steps.count; i++) {
      const [id, from, to] = [steps.id[i], steps.from[i], steps.to[i]];
      const oracle = this.known.get(id) as OracleEntry;
      if (from < 0) {
        expect(fresh.has(id)).toBe(true);
        this.live.set(id, oracle);
      }
      if (to < 0) this.live.delete(id);
      applyStep(
        {
          writeEntry: (written, place) => {
            expect(this.table.places[place], 'a write goes to a free place').toBeNull();
            this.table.places[place] = this.known.get(written) as OracleEntry;
            this.check();
          },
          invalidatePlace: (place) => {
            this.table.places[place] = null;
            this.check();
          },
        },
        id,
        from,
        to,
      );
    }
    for (const [id, oracle] of this.live)
      expect(this.table.places[this.engine.placeOf(id)]).toBe(oracle);
    expect(this.table.places.filter((entry) => entry !== null).length).toBe(this.live.size);
    expect(this.engine.count).toBe(this.live.size);
  }

  private check(): void {
    for (const key of this.keys)
      if (this.table.lookup(key) !== bestPriority(this.live.values(), key))
        expect.fail(
          `${this.engine.name}: key ${key}: table ${this.table.lookup(key)}, ` +
            `scan ${bestPriority(this.live.values(), key)}`,
        );
  }
}

const KEY_POOL = [0n, 1n, 2n, 3n, 0x100000000n, 0x100000001n, 0x300000002n, 0x500000003n];
const MASK_POOL = [0n, 1n, 2n, 3n, 0x100000000n, 0x500000001n, 0x300000003n, 0x700000003n];

const CONFIGS: PlacementConfig[] = [
  { engine: 'shifting-array', depth: 24 },
  { engine: 'parman', depth: 24 },
  { engine: 'rows-per-priority', depth: 24, rowSlices: 1, topPriority: 0 },
  { engine: 'rows-per-priority', depth: 24, rowSlices: 4, topPriority: 0 },
  { engine: 'prefix-length-middle', depth: 24, levels: 9 },
  { engine: 'prefix-length-end', depth: 24, levels: 9 },
  { engine: 'chain-ancestor', depth: 24 },
  { engine: 'exact-masks-and-spill', depth: 16, buckets: 4, ways: 2, maxMasks: 4 },
];

describe('every engine, any moment', () => {
  it.each(CONFIGS.flatMap((config) => [1, 2, 3, 4, 5].map((seed) => [config, seed] as const)))(
    '%o, seed %i: lookups agree with a linear scan after every write',
    (config, seed) => {
      const random = seeded(seed);
      const rig = new Rig(makePlacement(config), KEY_POOL);
      const statuses = new Set<string>();
      const make = (id: number): OracleEntry => {
        const mask = MASK_POOL[random(MASK_POOL.length)];
        const value = KEY_POOL[random(KEY_POOL.length)] & mask;
        return { id, priority: random(9), value, mask };
      };
      let id = 0;
      for (let turn = 0; turn < 160; turn++) {
        const ids = [...rig.live.keys()];
        const action = random(10);
        if (action < 4 && ids.length > 0) rig.remove(ids[random(ids.length)]);
        else if (action === 4) statuses.add(rig.insertBatch([make(id++), make(id++), make(id++)]));
        else {
          const wide = config.engine === 'rows-per-priority' && config.rowSlices === 4;
          statuses.add(rig.insert(make(id++), wide ? [1, 2, 4][random(3)] : 1));
        }
      }
      // Fill it up: the refusal leaves everything as it was (the rig checks), and comes only when it must.
      for (let n = 0; n < 60; n++) statuses.add(rig.insert(make(id++)));
      expect([...statuses].sort()).toEqual(['no-free-entry', 'ok']);
      if (rig.engine.name === 'shifting-array') expect(rig.engine.count).toBe(24);
    },
  );

  it('refuses a second entry with one id and the removal of none', () => {
    for (const config of CONFIGS) {
      const engine = makePlacement(config);
      expect(engine.insert(plain(7, 1)).status).toBe('ok');
      expect(engine.insert(plain(7, 2)).status).toBe('entry-exists');
      expect(engine.insertBatch([plain(8, 1), plain(8, 1)]).status).toBe('entry-exists');
      expect(engine.remove(9).status).toBe('unknown-entry');
      expect(engine.count).toBe(1);
    }
    expect(new RowManager(4, 4).insert(plain(1, 1, 3)).status).toBe('key-too-wide');
    expect(new PrefixLengthOrder(8, 4).insert(plain(1, 4)).status).toBe('priority-out-of-range');
  });
});

function totalMoves(engine: PlacementEngine, priorities: readonly number[]): number {
  return priorities.reduce(
    (sum, priority, id) => sum + engine.insert(plain(id, priority)).moves,
    0,
  );
}

function shuffled(count: number, random: (below: number) => number): number[] {
  const list = Array.from({ length: count }, (_, i) => i + 1);
  for (let i = count - 1; i > 0; i--) {
    const j = random(i + 1);
    [list[i], list[j]] = [list[j], list[i]];
  }
  return list;
}

describe('published move counts (V14, hw 3.1)', () => {
  const up = Array.from({ length: 50 }, (_, i) => i + 1);
  const down = [...up].reverse();

  it('parman: 0 appending, 1225 in reverse, 0 with one priority', () => {
    expect(totalMoves(new Parman(64), up)).toBe(0);
    expect(totalMoves(new Parman(64), down)).toBe(1225);
    expect(totalMoves(new Parman(64), Array<number>(50).fill(3))).toBe(0);
  });

  it('parman and rows: mean 612.5 in random order, within 2 %', () => {
    const random = seeded(14);
    let parman = 0;
    let rows = 0;
    const rounds = 400;
    for (let i = 0; i < rounds; i++) {
      const order = shuffled(50, random);
      parman += totalMoves(new Parman(64), order);
      rows += totalMoves(new RowManager(64), order);
    }
    expect(Math.abs(parman / rounds / 612.5 - 1)).toBeLessThan(0.02);
    expect(Math.abs(rows / rounds / 612.5 - 1)).toBeLessThan(0.02);
  });

  it('rows: 48 entries in 8 priorities of 6, opposite order, 168 moves; cheap order none', () => {
    const highFirst = Array.from({ length: 48 }, (_, i) => 1 + Math.floor(i / 6));
    expect(totalMoves(new RowManager(64), highFirst)).toBe(168);
    expect(totalMoves(new RowManager(64), [...highFirst].reverse())).toBe(0);
    expect(totalMoves(new RowManager(64), down)).toBe(0);
    expect(totalMoves(new RowManager(64), up)).toBe(1225);
    // Four narrow entries share a row: 12 rows instead of 48, and the top priority never moves anything.
    expect(totalMoves(new RowManager(16, 4), highFirst)).toBeLessThan(168 / 2);
    const top = new RowManager(64);
    totalMoves(top, highFirst);
    for (let id = 100; id < 110; id++) expect(top.insert(plain(id, 0)).moves).toBe(0);
  });

  it('parman: the region grows and shrinks by 16, never below 16', () => {
    const engine = new Parman(64);
    expect(engine.regionSize).toBe(16);
    totalMoves(engine, up);
    expect([engine.regionSize, engine.resizes]).toEqual([64, 3]);
    for (let id = 0; id < 50; id++) {
      engine.remove(id);
      expect(engine.regionSize).toBeGreaterThanOrEqual(Math.max(16, engine.count));
    }
    expect(engine.regionSize).toBe(16);
  });

  it('parman: a removal costs one move unless last of its chunk, and one for every chunk behind', () => {
    const engine = new Parman(32);
    totalMoves(engine, [1, 1, 1, 2, 2, 5]);
    expect(engine.remove(2).moves).toBe(2);
    expect(engine.remove(0).moves).toBe(3);
    expect(engine.remove(5).moves).toBe(0);
  });
});

describe('prefix tables', () => {
  const routes = (count: number, random: (below: number) => number): PlacementEntry[] =>
    Array.from({ length: count }, (_, id) => {
      const pool = [0, 0x0a000000, 0x0a010000, 0x0a010200, 0xc0a80000, 0x0aff0000];
      const base = pool[random(pool.length)] + random(65536);
      return prefix(id, base, random(33));
    });

  it('free space in the middle: never more than 16 moves for 32-bit prefixes, 32 with it at the end', () => {
    for (const seed of [1, 2, 3]) {
      const entries = routes(600, seeded(seed));
      const middle = new PrefixLengthOrder(700, 33);
      const end = new PrefixLengthOrder(700, 33, 33);
      let [worstMiddle, worstEnd, sumMiddle, sumEnd] = [0, 0, 0, 0];
      for (const entry of entries) {
        const a = middle.insert(entry).moves;
        const b = end.insert(entry).moves;
        [worstMiddle, worstEnd] = [Math.max(worstMiddle, a), Math.max(worstEnd, b)];
        sumMiddle += a;
        sumEnd += b;
      }
      expect(worstMiddle).toBeLessThanOrEqual(16);
      expect(worstEnd).toBeLessThanOrEqual(32);
      expect(worstEnd).toBeGreaterThan(16);
      expect(sumMiddle).toBeLessThan(sumEnd);
    }
  });

  it('the bound of 16 is reached when every length is there', () => {
    const engine = new PrefixLengthOrder(64, 33);
    for (let level = 0; level < 33; level++) engine.insert(plain(level, level));
    expect(engine.insert(plain(100, 32)).moves).toBe(16);
    expect(engine.insert(plain(101, 0)).moves).toBe(15);
  });

  it('chain-ancestor order: half the longest chain, and fewer than by length', () => {
    // Lazy rebalancing (see the head of chain-ancestor.ts) may exceed the bound: rarely, and here by one move at most.
    let [inserted, above] = [0, 0];
    for (const seed of [1, 2, 3, 4]) {
      const entries = routes(400, seeded(seed));
      const engine = new ChainAncestorOrder(400);
      const byLength = new PrefixLengthOrder(400, 33);
      let [longest, sum, sumByLength] = [1, 0, 0];
      for (const entry of entries) {
        const { moves } = engine.insert(entry);
        longest = Math.max(longest, engine.chainLength(entry.id));
        expect(moves).toBeLessThanOrEqual(longest / 2 + 1);
        if (moves > longest / 2) above++;
        inserted++;
        sum += moves;
        sumByLength += byLength.insert(entry).moves;
      }
      expect(longest).toBeGreaterThan(8);
      expect(sum).toBeLessThan(sumByLength);
    }
    expect(above / inserted).toBeLessThan(0.005);
  });

  it('chain-ancestor order: a single chain in any order costs at most half of it', () => {
    for (const seed of [1, 2, 3, 4]) {
      const random = seeded(seed);
      const engine = new ChainAncestorOrder(40);
      let count = 0;
      for (const length of shuffled(32, random)) {
        const { moves } = engine.insert(prefix(length, 0x0a000000, length));
        expect(moves).toBeLessThanOrEqual(++count / 2);
      }
    }
  });

  it('chain-ancestor order: chain lengths stay right under insertions and removals', () => {
    const random = seeded(77);
    const engine = new ChainAncestorOrder(40);
    const live = new Map<number, OracleEntry>();
    const beats = (a: OracleEntry, b: OracleEntry): boolean =>
      a.priority < b.priority && ((a.value ^ b.value) & a.mask & b.mask) === 0n;
    const longest = (entry: OracleEntry, isUp: boolean): number =>
      1 +
      Math.max(
        0,
        ...[...live.values()]
          .filter((other) => (isUp ? beats(other, entry) : beats(entry, other)))
          .map((other) => longest(other, isUp)),
      );
    for (let id = 0; id < 200; id++) {
      if (live.size > 12 || (live.size > 0 && random(3) === 0)) {
        const victim = [...live.keys()][random(live.size)];
        engine.remove(victim);
        live.delete(victim);
      }
      const mask = MASK_POOL[random(MASK_POOL.length)];
      const value = KEY_POOL[random(KEY_POOL.length)] & mask;
      const oracle = { id, priority: random(6), value, mask };
      engine.insert(ternary(oracle));
      live.set(id, oracle);
      for (const entry of live.values())
        expect(engine.chainLength(entry.id)).toBe(longest(entry, true) + longest(entry, false) - 1);
    }
  });

  it('chain-ancestor order: wide entries that come late meet the others in the hole, lookups agree at every write', () => {
    for (const seed of [1, 2, 3, 4]) {
      const random = seeded(seed);
      const keys = Array.from({ length: 24 }, (_, i) => BigInt(i));
      const rig = new Rig(new ChainAncestorOrder(160), keys);
      let worst = 0;
      for (let id = 0; id < 130; id++) {
        const isWide = id > 80 && random(4) === 0;
        const mask = isWide ? BigInt(random(3)) : 31n - BigInt(random(4));
        const value = BigInt(random(24)) & mask;
        expect(rig.insert({ id, priority: random(1000), value, mask })).toBe('ok');
        worst = Math.max(worst, rig.engine.steps.count - 1);
        if (random(6) === 0) rig.remove([...rig.live.keys()][random(rig.live.size)]);
      }
      expect(worst).toBeGreaterThan(8);
    }
  });

  it('chain-ancestor order: chain lengths that were left for later come out right', () => {
    const engine = new ChainAncestorOrder(700);
    for (const priority of shuffled(600, seeded(5))) engine.insert(plain(priority, priority));
    expect(engine.chainLength(300)).toBe(600);
    for (let id = 1; id <= 600; id += 2) engine.remove(id);
    expect(engine.chainLength(300)).toBe(300);
  });

  it('entries that no packet matches together never move each other', () => {
    const engine = new ChainAncestorOrder(32);
    for (let i = 0; i < 32; i++) expect(engine.insert(prefix(i, i << 24, 8)).moves).toBe(0);
  });
});

describe('batches', () => {
  it.each(CONFIGS)('%o: planned together never more moves, and usually fewer', (config) => {
    let [single, together] = [0, 0];
    for (const seed of [1, 2, 3, 4, 5, 6]) {
      const random = seeded(seed);
      const scale = { ...config, depth: 96 };
      const make = (id: number): PlacementEntry => {
        const mask = MASK_POOL[random(MASK_POOL.length)];
        const value = KEY_POOL[random(KEY_POOL.length)] & mask;
        return ternary({ id, priority: random(9), value, mask });
      };
      const residents = Array.from({ length: 40 }, (_, id) => make(id));
      const batch = Array.from({ length: 30 }, (_, id) => make(100 + id));
      const one = makePlacement(scale);
      const all = makePlacement(scale);
      for (const entry of residents) {
        one.insert(entry);
        all.insert(entry);
      }
      for (const entry of batch) single += one.insert(entry).moves;
      together += all.insertBatch(batch).moves;
    }
    expect(together).toBeLessThanOrEqual(single);
    if (['shifting-array', 'parman'].includes(config.engine)) expect(together).toBeLessThan(single);
  });

  it('shifting array: each resident moves once at most', () => {
    const engine = new ShiftingArray(128);
    totalMoves(
      engine,
      Array.from({ length: 50 }, (_, i) => 10 + i),
    );
    const batch = Array.from({ length: 50 }, (_, i) => plain(100 + i, i % 5));
    expect(engine.insertBatch(batch).moves).toBe(50);
  });
});

describe('A-TCAM and C-TCAM', () => {
  it('16 masks are hashed at no move, the seventeenth spills; a freed mask serves again', () => {
    const engine = new RegionMasks({ cDepth: 32, buckets: 64, ways: 4, maxMasks: 16 });
    const withMask = (id: number, bits: number): PlacementEntry => ({
      id,
      priority: 100 - id,
      value: Uint32Array.of(0),
      mask: Uint32Array.of(bits),
      slices: 1,
    });
    for (let id = 0; id < 16; id++) expect(engine.insert(withMask(id, id + 1)).moves).toBe(0);
    expect([engine.masksInUse, engine.spilled]).toEqual([16, 0]);
    expect(engine.insert(withMask(16, 17)).place).toBeLessThan(engine.orderedDepth);
    expect([engine.spilled, engine.spilledByMask]).toEqual([1, 1]);
    engine.remove(3);
    expect(engine.insert(withMask(17, 18)).place).toBeGreaterThanOrEqual(engine.orderedDepth);
    expect(engine.masksInUse).toBe(16);
    // Same mask and value: two places in the bucket, then more ways, then the spill.
    for (let id = 20; id < 26; id++) engine.insert(withMask(id, 1));
    expect(engine.spilledByBucket).toBeGreaterThan(0);
  });
});

describe('time', () => {
  it('plays moves in simulated time, two writes each, and charges them', () => {
    const scheduler = new Scheduler();
    const table = new Map<number, number>();
    const engine = new Parman(16);
    const events: string[] = [];
    const target = {
      writeEntry: (id: number, place: number): void => {
        table.set(place, id);
        events.push(`${scheduler.nowPs} write ${id}@${place}`);
      },
      invalidatePlace: (place: number): void => {
        table.delete(place);
        events.push(`${scheduler.nowPs} free ${place}`);
      },
    };
    const costs = { writePs: 100, movePs: 600 };
    const player = new StepPlayer(scheduler, target, costs);
    engine.insert(plain(1, 5));
    player.play(engine.steps);
    engine.insert(plain(2, 3));
    expect(stepsPs(engine.steps, costs)).toBe(700);
    expect(player.play(engine.steps)).toBe(800);
    scheduler.runUntil(1000);
    expect(events).toEqual(['100 write 1@0', '700 write 1@1', '700 free 0', '800 write 2@0']);
    engine.remove(2);
    applySteps(target, engine.steps);
    expect([...table]).toEqual([[0, 1]]);
  });
});
