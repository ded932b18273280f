// TCAM rules placed by the device: priorities through the admin queue, packets in the middle of moves, moves charged.

import { describe, expect, it } from 'vitest';
import type { PlacementConfig } from '../../hw/table/placement/index.ts';
import { TCAM_WORDS } from '../../hw/parse/key-layout.ts';
import { ManagedTcam } from '../../hw/table/managed-tcam.ts';
import { Tcam } from '../../hw/table/tcam.ts';
import { Scheduler } from '../../hw/time/scheduler.ts';
import { seeded } from '../reference/linear-tcam.ts';
import { AdminSide } from './admin-helper.ts';
import { Bench, frame } from './harness.ts';

const TCAM_ADD = 4;
const TCAM_DEL = 5;
const RESET_TABLES = 8;
const DROP = 1;
const TO_HOST = 2;
const MOVE_PS = 50_000_000;

const ADMIN = { maxSlots: 64, commandPs: 2_000_000, insertPs: 0, movePs: MOVE_PS, entryPs: 50_000 };

function setup(placement: PlacementConfig): { b: Bench; admin: AdminSide } {
  const b = new Bench({ tcam: { entries: placement.depth, placement }, admin: ADMIN });
  b.start(0);
  b.start(1);
  for (const queue of [0, 1, 2, 3]) b.rxQueue(0, queue, 256);
  return { b, admin: new AdminSide(b, 0, 64) };
}

/** A rule on the destination port (0: any) that drops or steers to a queue. */
function rule(priority: number, dport: number, verdict: number, queue = 0) {
  return (v: DataView): void => {
    v.setUint32(8, priority, true);
    v.setUint8(12, verdict);
    v.setUint8(14, queue);
    v.setUint8(15, verdict === TO_HOST ? 1 : 0);
    v.setUint32(24 + 8, dport, true);
    v.setUint32(76 + 8, dport === 0 ? 0 : 0xffff, true);
  };
}

function send(b: Bench, dport: number, id: number): void {
  const f = frame({ dst: b.mac(0), dport });
  b.nic.frameIn(0, b.scheduler.nowPs, f, 0, f.length, id);
}

describe('placement by priority in the device', () => {
  it('says so in its capabilities, and by position otherwise', () => {
    expect(setup({ engine: 'parman', depth: 16 }).admin.r(0x18)).toBe(1);
    expect(new AdminSide(new Bench(), 0).r(0x18)).toBe(0);
  });

  it('completes after the moves: 2 us for the command, 50 us for each rule that moved', () => {
    const { b, admin } = setup({ engine: 'parman', depth: 16 });
    const timeOf = (priority: number): number => {
      const startPs = b.scheduler.nowPs;
      const slot = admin.post(TCAM_ADD, 1, rule(priority, 0, DROP));
      const phase = admin.answer(slot).phase;
      while (admin.answer(slot).phase === phase) b.scheduler.runNext();
      expect(admin.answer(slot).status).toBe(0);
      return b.scheduler.nowPs - startPs;
    };
    const plainPs = timeOf(9);
    expect(plainPs).toBeLessThan(4_000_000);
    expect(timeOf(8)).toBeCloseTo(plainPs + MOVE_PS, -5);
    expect(timeOf(7)).toBeCloseTo(plainPs + 2 * MOVE_PS, -5);
    expect(timeOf(10)).toBeCloseTo(plainPs, -5);
  });

  it('an action and its counters stay with the rule when it moves', () => {
    const { b, admin } = setup({ engine: 'shifting-array', depth: 8 });
    const low = admin.run(TCAM_ADD, 1, rule(100, 53, TO_HOST, 3)).result;
    send(b, 53, 1);
    b.scheduler.runUntil(b.scheduler.nowPs + 1e9);
    for (const priority of [50, 40, 30]) admin.run(TCAM_ADD, 1, rule(priority, 99, DROP));
    send(b, 53, 2);
    b.scheduler.runUntil(b.scheduler.nowPs + 1e9);
    b.nic.sync(b.scheduler.nowPs);
    expect(b.received.map((r) => r.queue)).toEqual([3, 3]);
    const buffer = b.alloc(32);
    const read = admin.run(3, 1, (v) => {
      v.setUint32(8, 1, true);
      v.setUint32(12, low, true);
      v.setUint32(16, 1, true);
      v.setUint32(24, buffer, true);
    });
    expect(read.status).toBe(0);
    expect(b.view().getUint32(buffer - 0x1000_0000, true)).toBe(2);
  });

  it('packets in the middle of moves find every rule that was there; a reset empties the table', () => {
    const { b, admin } = setup({ engine: 'shifting-array', depth: 8 });
    for (const [i, priority] of [80, 70, 60, 50].entries())
      expect(admin.run(TCAM_ADD, 1, rule(priority, 100 + i, TO_HOST, i)).status).toBe(0);
    const slot = admin.post(TCAM_ADD, 1, rule(1, 0, DROP));
    let packets = 0;
    for (let n = 0; n < 40 && admin.answer(slot).cookie === 0; n++) {
      b.scheduler.runUntil(b.scheduler.nowPs + 6_000_000);
      if (admin.answer(slot).cookie !== 0) break;
      send(b, 100 + (n % 4), packets++);
    }
    b.scheduler.runUntil(b.scheduler.nowPs + 1e9);
    b.nic.sync(b.scheduler.nowPs);
    // Four moves of 50 us went on meanwhile.
    expect(packets).toBeGreaterThan(30);
    expect(b.received.filter((r) => r.queue !== r.packetId % 4)).toEqual([]);
    expect(b.received.length).toBeGreaterThanOrEqual(packets - 1);
    send(b, 101, 99);
    expect(b.drops.at(-1)?.packetId).toBe(99);
    expect(admin.run(RESET_TABLES, 1, () => undefined).result).toBe(5);
    send(b, 101, 100);
    b.scheduler.runUntil(b.scheduler.nowPs + 1e9);
    expect(b.drops.at(-1)?.packetId).toBe(99);
  });

  it('refuses by reason: no room, no such level, no such handle', () => {
    const full = setup({ engine: 'parman', depth: 2 }).admin;
    const add = (admin: AdminSide, priority: number) =>
      admin.run(TCAM_ADD, 1, rule(priority, 1, DROP));
    expect([add(full, 1).status, add(full, 2).status]).toEqual([0, 0]);
    expect(add(full, 3)).toMatchObject({ status: 1, detail: 1 });
    const del = (handle: number) => full.run(TCAM_DEL, 1, (v) => v.setUint32(8, handle, true));
    expect(del(0).status).toBe(0);
    expect(del(0)).toMatchObject({ status: 3, detail: 13 });
    expect(add(full, 3).status).toBe(0);
    const levels = setup({ engine: 'prefix-length-middle', depth: 8, levels: 4 }).admin;
    expect(add(levels, 4)).toMatchObject({ status: 4, detail: 19 });
    expect(add(levels, 3).status).toBe(0);
  });
});

describe('any engine under the table', () => {
  const configs: PlacementConfig[] = [
    { engine: 'shifting-array', depth: 12 },
    { engine: 'parman', depth: 12 },
    { engine: 'rows-per-priority', depth: 12, rowSlices: 1, topPriority: 0 },
    { engine: 'prefix-length-middle', depth: 12, levels: 8 },
    { engine: 'prefix-length-end', depth: 12, levels: 8 },
    { engine: 'chain-ancestor', depth: 12 },
  ];

  it.each(configs)('$engine: at any time, the best of the rules that are in', (placement) => {
    const random = seeded(placement.engine.length);
    const scheduler = new Scheduler();
    const tcam = new Tcam(placement.depth);
    const managed = new ManagedTcam(placement, tcam, scheduler, 100);
    const rules = new Map<number, { priority: number; value: number; mask: number }>();
    const wordOf = (word: number): Uint32Array => {
      const words = new Uint32Array(TCAM_WORDS);
      words[2] = word;
      return words;
    };
    const best = (key: number, without: number): number =>
      Math.min(
        ...[...rules]
          .filter(([handle, r]) => handle !== without && ((key ^ r.value) & r.mask) === 0)
          .map(([, r]) => r.priority),
      );
    const priorityOf = new Map<number, number>();
    for (let turn = 0; turn < 300; turn++) {
      const handles = [...rules.keys()];
      const isRemoval = handles.length === 12 || (handles.length > 0 && random(3) === 0);
      let changing = isRemoval ? handles[random(handles.length)] : managed.nextHandle();
      if (changing < 0) changing = handles[0];
      if (isRemoval) managed.remove(changing);
      else {
        const mask = random(8);
        const fresh = { priority: random(8), value: random(8) & mask, mask };
        expect(managed.add(fresh.priority, wordOf(fresh.value), wordOf(mask))).toBe(true);
        rules.set(changing, fresh);
        priorityOf.set(changing, fresh.priority);
      }
      // While it goes on, a packet may or may not see the rule that comes or goes; all others it must.
      while (scheduler.pendingCount > 0) {
        const key = random(8);
        const position = tcam.lookup(wordOf(key));
        const found = position < 0 ? Infinity : (priorityOf.get(tcam.handleAt[position]) ?? NaN);
        if (found !== best(key, -1) && found !== best(key, changing))
          expect.fail(`turn ${turn}: key ${key}: ${found}`);
        scheduler.runNext();
      }
      if (isRemoval) rules.delete(changing);
      expect(tcam.count).toBe(rules.size);
      for (let key = 0; key < 8; key++) {
        const position = tcam.lookup(wordOf(key));
        const found = position < 0 ? Infinity : priorityOf.get(tcam.handleAt[position]);
        expect(found).toBe(best(key, -1));
      }
    }
    for (const handle of rules.keys()) managed.remove(handle);
    managed.flush();
    expect([tcam.count, scheduler.pendingCount]).toEqual([0, 0]);
  });
});
