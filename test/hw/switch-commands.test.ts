// Staged tables through the admin queue: refusals, counters, aging, meters, groups, copies and their account, time.

import { describe, expect, it } from 'vitest';
import { DETAIL_NAMES } from '../../hw/admin/format.ts';
import { ALL_ACTIONS } from '../../hw/switch/actions.ts';
import { genericStage, genericSwitch, type SwitchConfig } from '../../hw/switch/config.ts';
import { Bench, frame, type FrameSpec } from './harness.ts';
import * as S from './switch-helper.ts';

const V4 = ['eth_type', 'ip_proto', 'src', 'dst', 'sport', 'dport', 'range'];
const L2 = ['in_port', 'eth_type', 'meta0'];

function setup(overrides: Partial<SwitchConfig> = {}): { b: Bench; side: S.SwitchSide } {
  const b = new Bench({ ports: 4, stages: genericSwitch(overrides) });
  for (let port = 0; port < 4; port++) {
    b.start(port);
    b.rxQueue(port, 0, 128);
  }
  return { b, side: new S.SwitchSide(b) };
}

function send(b: Bench, spec: FrameSpec = {}, port = 0): Uint8Array {
  const bytes = frame(spec);
  b.nic.frameIn(port, b.scheduler.nowPs, bytes, 0, bytes.length, 1);
  return bytes;
}

function refusal(answer: S.SwitchAnswer): string {
  expect(answer.status).not.toBe(0);
  return DETAIL_NAMES[answer.detail];
}

const dport = (value: number, mask?: number): S.Match => ({
  field: 'dport',
  value,
  ...(mask === undefined ? {} : { mask }),
});
const drop = (...matches: S.Match[]): S.EntrySpec => ({ matches, items: [S.DROP] });

describe('refusals of staged tables, each with its reason', () => {
  const table = (side: S.SwitchSide, id: number, spec: Partial<S.TableSpec> = {}): S.SwitchAnswer =>
    side.table(id, { templates: [V4], ...spec });

  it('of tables', () => {
    const { side } = setup({
      stages: [genericStage({ maxTables: 3, exactEntries: 64 }), genericStage({ ternary: null })],
    });
    expect(refusal(table(side, 64))).toBe('table-id');
    expect(refusal(table(side, 0, { stage: 2 }))).toBe('table-config');
    expect(refusal(table(side, 0, { kind: 0, templates: [V4, L2] }))).toBe('table-config');
    expect(refusal(table(side, 0, { templates: [['src', 'dst'].concat(V4), []] }))).toBe(
      'table-config',
    );
    expect(refusal(table(side, 0, { next: 1 }))).toBe('no-such-table');
    expect(refusal(table(side, 0, { stage: 1 }))).toBe('key-too-wide');
    expect(refusal(table(side, 0, { kind: 0, entries: 128 }))).toBe('no-free-slices');
    expect(table(side, 0, { kind: 0, entries: 64 }).status).toBe(0);
    expect(refusal(table(side, 0))).toBe('table-exists');
    expect(refusal(table(side, 1, { kind: 0, entries: 4 }))).toBe('no-free-slices');
    expect(refusal(table(side, 1, { next: 0 }))).toBe('goto-backwards');
    expect(table(side, 1).status).toBe(0);
    expect(table(side, 2).status).toBe(0);
    expect(refusal(table(side, 3))).toBe('no-free-table');
    expect(refusal(side.run(17, 9))).toBe('no-such-table');
  });

  it('of keys', () => {
    const { side } = setup({ rangeRegisters: 1, tables: [] });
    table(side, 0);
    table(side, 1, { kind: 0, templates: [['eth_type', 'dport']] });
    table(side, 2, { kind: 2, templates: [['dst']] });
    table(side, 3, { templates: [['dport']], stage: 1 });
    const stranger = side.add(0, drop({ field: 'vlan_id', value: 5 }));
    expect([refusal(stranger), stranger.what]).toEqual(['field-not-in-template', 2]);
    expect(refusal(side.add(0, drop({ field: 'range', value: 1, mask: 1 })))).toBe(
      'field-not-in-template',
    );
    expect(refusal(side.add(0, { ...drop(), priority: 2 ** 31 }))).toBe('priority-range');
    expect(refusal(side.add(1, drop(dport(80))))).toBe('mask-not-allowed');
    expect(refusal(side.add(2, drop({ field: 'dst', value: 1, mask: 0xff00ff00 })))).toBe(
      'mask-not-allowed',
    );
    expect(refusal(side.add(3, { ...drop(), dport: [1, 5] }))).toBe('range-not-allowed');
    expect(refusal(side.add(0, { ...drop(), dport: [5, 1] }))).toBe('range-not-allowed');
    expect(side.add(0, { ...drop(), dport: [1, 5] }).status).toBe(0);
    expect(side.add(0, { ...drop(), dport: [1, 5] }).status).toBe(0);
    expect(refusal(side.add(0, { ...drop(), sport: [1, 5] }))).toBe('no-free-range-register');
    const whole = [{ field: 'eth_type', value: 0x0800 }, dport(80)];
    expect(side.add(1, drop(...whole)).status).toBe(0);
    expect(refusal(side.add(1, drop(...whole)))).toBe('same-key');
    expect(refusal(side.add(9, drop()))).toBe('no-such-table');
    expect(refusal(side.run(20, 0, 0))).toBe('batch-size');
    expect(refusal(side.del(0x09000000))).toBe('no-such-table');
    expect(refusal(side.del(60))).toBe('handle-free');
  });

  it('of room: entries of the table, slices of the stage, all of a batch or none', () => {
    const slices = {
      slices: 4,
      sliceBits: 40,
      depth: 4,
      gang: 'power-of-two',
      engine: 'parman',
    } as const;
    const { side, b } = setup({ stages: [genericStage({ ternary: slices })] });
    table(side, 0, { templates: [V4, L2], entries: 3 });
    table(side, 1, { templates: [L2] });
    const one = (n: number): S.EntrySpec => ({ ...drop(dport(n)), priority: n });
    const batch = side.add(0, one(1), one(2), one(3), one(4));
    expect(refusal(batch)).toBe('no-free-entry');
    expect(b.nic.stages?.tables[0]?.count).toBe(0);
    expect(side.add(0, one(1), one(2), one(3)).status).toBe(0);
    expect(refusal(side.add(0, one(4)))).toBe('no-free-entry');
    // The key of the first table (104 bits) has taken all four slices.
    expect(refusal(side.add(1, drop({ field: 'meta0', value: 1 })))).toBe('no-free-slices');
    expect(side.run(17, 0).status).toBe(0);
    expect(side.add(1, drop({ field: 'meta0', value: 1 })).status).toBe(0);
  });

  it('of hash buckets', () => {
    const { side } = setup();
    table(side, 0, { kind: 0, templates: [['dport']], entries: 64 });
    const reasons: string[] = [];
    for (let n = 0; n < 80; n++) {
      const answer = side.add(0, drop(dport(n)));
      if (answer.status !== 0) reasons.push(refusal(answer));
    }
    expect(reasons.length).toBeGreaterThanOrEqual(16);
    expect(reasons.every((reason) => reason === 'bucket-full' || reason === 'no-free-entry')).toBe(
      true,
    );
  });

  it('of actions', () => {
    const { side } = setup({
      stages: [genericStage({ actions: ALL_ACTIONS & ~(1 << 11), maxItems: 3 }), genericStage()],
      counters: 1,
    });
    table(side, 1, { stage: 1 });
    table(side, 0, { writes: 1 << 17 });
    const why = (...items: S.Item[]): [string, number] => {
      const answer = side.add(0, { matches: [], items });
      return [refusal(answer), answer.what];
    };
    expect(why(S.MIRROR(1))).toEqual(['action-not-supported', 11]);
    expect(why([17])).toEqual(['action-not-supported', 17]);
    expect(why(S.COUNT, S.COUNT, S.COUNT, S.DROP)).toEqual(['too-many-actions', 4]);
    expect(why(S.SET('ip_proto', 1))).toEqual(['action-field', 6]);
    expect(why(S.SET('dport', 1))).toEqual(['action-field', 15]);
    expect(why(S.OUTPUT(4))).toEqual(['action-port', 4]);
    expect(why(S.QUEUE(64))).toEqual(['action-queue', 64]);
    expect(why(S.GOTO(5))).toEqual(['no-such-table', 5]);
    expect(why(S.GOTO(0))).toEqual(['goto-backwards', 0]);
    expect(why(S.GROUP(3))).toEqual(['no-such-group', 3]);
    expect(why(S.METER(3, 1, 1))).toEqual(['no-such-meter', 3]);
    expect(why(S.SAMPLE(0, 0, 1))).toEqual(['action-argument', 12]);
    expect(why(S.DROP, S.COUNT)).toEqual(['action-argument', 2]);
    expect(side.add(0, { matches: [], items: [S.COUNT] }).status).toBe(0);
    expect(why(S.COUNT)[0]).toBe('no-free-counter');
    expect(side.add(0, { matches: [dport(1)], items: [S.GOTO(1)] }).status).toBe(0);
    expect(refusal(side.run(17, 1))).toBe('table-in-use');
  });

  it('of groups, meters and devices without stages', () => {
    const { side } = setup({ groups: 4, groupBuckets: 2 });
    table(side, 0);
    expect(refusal(side.group(4, 0, []))).toBe('no-such-group');
    expect(refusal(side.group(0, 2, []))).toBe('group-buckets');
    expect(refusal(side.group(0, 0, [[S.DROP], [S.DROP], [S.DROP]]))).toBe('group-buckets');
    expect(refusal(side.group(0, 0, [[S.GOTO(0)]]))).toBe('action-not-supported');
    expect(refusal(side.group(0, 0, [[S.DEC_TTL]]))).toBe('action-argument');
    expect(side.group(0, 0, [[S.OUTPUT(1)]]).status).toBe(0);
    expect(refusal(side.meter(9999, { algorithm: 0, cir: 1, cbs: 1 }))).toBe('no-such-meter');
    expect(refusal(side.meter(0, { algorithm: 3, cir: 1, cbs: 1 }))).toBe('meter-config');
    expect(side.meter(0, { algorithm: 0, cir: 1, cbs: 1 }).status).toBe(0);
    const user = side.add(0, { matches: [], items: [S.METER(0, 1, 1), S.GROUP(0)] });
    expect(refusal(side.run(26, 0))).toBe('group-in-use');
    expect(refusal(side.run(28, 0))).toBe('meter-in-use');
    side.del(user.result);
    expect(side.run(26, 0).status).toBe(0);
    expect(side.run(28, 0).status).toBe(0);
    const plain = new Bench({ stages: null });
    expect(refusal(new S.SwitchSide(plain).run(18, 0))).toBe('no-stages');
  });
});

describe('moves and batches', () => {
  it('reports the moves of an insert, and plans a batch together', () => {
    const { side } = setup();
    side.table(0, { templates: [V4] });
    const one = (n: number): S.EntrySpec => ({ ...drop(dport(n)), priority: n });
    const alone = [9, 8, 7, 6].map((n) => side.add(0, one(n)).moves);
    expect(alone).toEqual([0, 1, 2, 3]);
    const together = side.add(0, one(5), one(4), one(3), one(2));
    // The four that are there move once each; one after another would have cost 4 + 5 + 6 + 7.
    expect(together).toMatchObject({ status: 0, moves: 4 });
  });
});

describe('counters, aging, defaults', () => {
  it('counters have the width of the device, wrap, and show the last copy', () => {
    const { b, side } = setup({ packetBits: 2, byteBits: 8, counterRefreshPs: 1e12 });
    side.table(0, { templates: [V4] });
    const { result } = side.add(0, { matches: [], items: [S.COUNT, S.DROP], cookie: 77 });
    b.scheduler.runUntil(2e12);
    const bytes = send(b).length;
    for (let n = 0; n < 4; n++) send(b);
    expect(side.counters(result)).toMatchObject({ packets: 0, bytes: 0, cookie: 77 });
    b.scheduler.runUntil(3e12);
    expect(side.counters(result)).toMatchObject({ packets: 5 % 4, bytes: (5 * bytes) % 256 });
  });

  it('an entry that ages and is not hit is reported once', () => {
    const aging = { entriesPerTick: 64, tickPs: 1e9, maxAge: 2 };
    const { b, side } = setup({ aging });
    side.table(0, { templates: [V4] });
    const idle = side.add(0, { ...drop(dport(1)), ages: true }).result;
    const busy = side.add(0, { ...drop(dport(2000)), priority: 2, ages: true }).result;
    side.add(0, { ...drop(dport(3)), priority: 3 });
    const seen: number[] = [];
    for (let n = 0; n < 10; n++) {
      send(b);
      b.scheduler.runFor(0.5e9);
    }
    seen.push(...side.aged());
    expect(seen).toContain(idle);
    expect(seen.filter((handle) => handle === idle).length).toBe(1);
    expect(seen.filter((handle) => handle === busy).length).toBeLessThanOrEqual(1);
  });

  it('a default action takes what no entry takes; modify changes an entry at once', () => {
    const { b, side } = setup();
    side.table(0, { templates: [V4], items: [S.OUTPUT(2)] });
    const { result } = side.add(0, drop(dport(2000)));
    send(b);
    send(b, { dport: 9 });
    expect([b.drops.length, b.egress.map((f) => f.port)]).toEqual([1, [2]]);
    expect(side.modify(result, [S.OUTPUT(3)]).status).toBe(0);
    expect(side.setDefault(0, [S.DROP]).status).toBe(0);
    send(b);
    send(b, { dport: 9 });
    expect([b.drops.length, b.egress.map((f) => f.port)]).toEqual([2, [2, 3]]);
    b.nic.checkInvariants();
  });

  it('tells a driver what a table is', () => {
    const { side } = setup();
    side.table(0, { templates: [V4, L2], entries: 32, stage: 1, items: [S.DROP] });
    side.add(0, drop(dport(1)));
    expect(side.run(18, 0)).toMatchObject({ status: 0, result: 1 });
    expect([0, 4, 8, 20, 24, 28, 32].map((at) => side.word(at))).toEqual([1, 1, 32, 2, 1, 1, 16]);
    expect(side.admin.r(0x48)).toBe(4 | (64 << 8) | (16 << 16));
  });
});

describe('longest prefix match', () => {
  it('the longer prefix wins, whatever the order and the priorities given', () => {
    const { b, side } = setup();
    side.table(0, { kind: 2, templates: [['eth_type', 'dst']] });
    const route = (value: number, mask: number, port: number): S.EntrySpec => ({
      matches: [
        { field: 'eth_type', value: 0x0800 },
        { field: 'dst', value, mask },
      ],
      items: [S.OUTPUT(port)],
    });
    side.add(0, route(0x0a000000, 0xff000000, 1));
    side.add(0, route(0x0a000100, 0xffffff00, 2));
    side.add(0, route(0, 0, 3));
    for (const dstIp of [0x0a000102, 0x0a990001, 0x0b000001]) send(b, { dstIp });
    expect(b.egress.map((f) => f.port)).toEqual([2, 1, 3]);
  });
});

describe('meters', () => {
  it('drops what is above the rate and counts it so; colours steer later tables', () => {
    const { b, side } = setup();
    side.table(1, { stage: 1, templates: [['colour']] });
    side.table(0, { templates: [V4], next: 1 });
    side.meter(0, { algorithm: 0, cir: 0, cbs: 100, ebs: 100 });
    side.add(0, { matches: [], items: [S.METER(0, 0, 1)] });
    side.add(1, { matches: [{ field: 'colour', value: 1 }], items: [S.OUTPUT(3)] });
    side.add(1, { matches: [{ field: 'colour', value: 0 }], items: [S.OUTPUT(2)] });
    const { length } = send(b, { payload: 40 });
    expect(length).toBeLessThan(100);
    send(b, { payload: 40 });
    send(b, { payload: 40 });
    expect(b.egress.map((f) => f.port)).toEqual([2, 3]);
    expect(b.drops.map(({ reason }) => reason)).toEqual([13]);
    b.nic.checkInvariants();
  });
});
