// The staged pipeline in the device against the naive interpreter (test/reference/naive-switch.ts): random tables, rules and
// packets from small pools, entries that come and go, packets in the middle of moves.

import { describe, expect, it } from 'vitest';
import { genericStage, genericSwitch, type StageConfig } from '../../hw/switch/config.ts';
import type { PlacementEngineName } from '../../hw/table/placement/index.ts';
import { seeded } from '../reference/linear-tcam.ts';
import {
  naiveRun,
  type NaiveAction,
  type NaiveRule,
  type NaiveTable,
} from '../reference/naive-switch.ts';
import { Bench, frame, type FrameSpec } from './harness.ts';
import * as S from './switch-helper.ts';

const PORTS = 4;
const KEY = [
  'in_port',
  'eth_type',
  'vlan_tpid',
  'vlan_id',
  'ip_proto',
  'src',
  'dst',
  'sport',
  'dport',
  'meta0',
  'range',
];
const L2 = ['in_port', 'eth_type', 'vlan_tpid', 'vlan_id', 'meta0'];
const EXACT = ['in_port', 'eth_type', 'dport', 'meta0'];

const POOL: Readonly<Record<string, readonly number[]>> = {
  in_port: [0, 1],
  eth_type: [0x0800, 0x86dd],
  vlan_tpid: [0, 0x8100],
  vlan_id: [0, 5, 7],
  ip_proto: [6, 17],
  src: [0x0a000001, 0x0a000002, 0x0a010001],
  dst: [0x0a000102, 0x0b000001],
  sport: [1000, 1001, 4000],
  dport: [80, 81, 443],
  meta0: [0, 1, 2],
};
const MASKS: Readonly<Record<string, readonly number[]>> = {
  src: [0xffffffff, 0xffff0000, 0xff000000],
  dst: [0xffffffff, 0xff000000],
  dport: [0xffff, 0xfffe],
  meta0: [3, 1],
};

type Random = (below: number) => number;
const pick = <T>(random: Random, list: readonly T[]): T => list[random(list.length)];

function randomMatches(
  random: Random,
  fields: readonly string[],
  chance: number,
): NaiveRule['matches'] {
  return fields
    .filter((field) => field !== 'range' && random(100) < chance)
    .map((field) => {
      const [, , bits] = S.FIELD_AT[field];
      const full = bits === 32 ? 0xffffffff : 2 ** bits - 1;
      return {
        field,
        value: pick(random, POOL[field]),
        mask: pick(random, MASKS[field] ?? [full]),
      };
    });
}

function randomActions(random: Random, table: number, isV4: boolean): NaiveAction[] {
  const actions: NaiveAction[] = [];
  const some: (() => NaiveAction)[] = [
    () => ({ do: 'set', field: 'meta0', value: random(4), mask: pick(random, [3, 1, 2]) }),
    () => ({ do: 'mirror', port: random(PORTS) }),
    () => ({ do: 'dec-ttl' }),
    () => ({ do: 'push', tci: pick(random, [5, 7, 0x2005]) }),
    () => ({ do: 'pop' }),
    () => ({ do: 'set', field: 'dport', value: pick(random, POOL['dport']), mask: 0xffff }),
    () => ({ do: 'set', field: 'vlan_id', value: 5, mask: 0xfff }),
    () => ({ do: 'sample-all', port: random(PORTS), keptBytes: pick(random, [64, 80]) }),
    () => (isV4 ? { do: 'set', field: 'dst', value: 0x0b000001, mask: 0xffffffff } : { do: 'pop' }),
  ];
  for (let n = random(4); n > 0; n--) actions.push(pick(random, some)());
  const last = random(8);
  if (last < 3 && table < 3) actions.push({ do: 'goto', table: table + 1 + random(3 - table) });
  else if (last === 3) actions.push({ do: 'drop' });
  else if (last === 4) actions.push({ do: 'trap' });
  else if (last === 5) actions.push({ do: 'pass' });
  else if (last === 6) actions.push({ do: 'group', group: random(3) });
  else actions.push({ do: 'output', port: random(PORTS) });
  return actions;
}

/** The same list for the device. */
function itemsOf(actions: readonly NaiveAction[]): S.Item[] {
  return actions.map((action): S.Item => {
    switch (action.do) {
      case 'output':
        return S.OUTPUT(action.port);
      case 'drop':
        return S.DROP;
      case 'trap':
        return S.TRAP;
      case 'pass':
        return S.PASS;
      case 'goto':
        return S.GOTO(action.table);
      case 'group':
        return S.GROUP(action.group);
      case 'set':
        return S.SET(action.field, action.value, action.mask);
      case 'dec-ttl':
        return S.DEC_TTL;
      case 'push':
        return S.PUSH(action.tci);
      case 'pop':
        return S.POP;
      case 'mirror':
        return S.MIRROR(action.port);
      case 'sample-all':
        return S.SAMPLE(1, action.keptBytes, action.port);
    }
  });
}

const GROUPS: { kind: 'all' | 'indirect'; buckets: NaiveAction[][] }[] = [
  {
    kind: 'all',
    buckets: [
      [
        { do: 'set', field: 'vlan_id', value: 7, mask: 0xfff },
        { do: 'output', port: 2 },
      ],
      [{ do: 'drop' }],
      [
        { do: 'push', tci: 9 },
        { do: 'output', port: 3 },
      ],
      [{ do: 'output', port: 1 }],
    ],
  },
  { kind: 'indirect', buckets: [[{ do: 'dec-ttl' }, { do: 'output', port: 2 }]] },
  { kind: 'all', buckets: [] },
];

/** Device and oracle with the same tables: two ternary ones, an exact one, a ternary one; the last sends what it does not know up. */
class Twin {
  readonly b: Bench;
  readonly side: S.SwitchSide;
  readonly tables: NaiveTable[];
  readonly handles = new Map<number, number>();
  private nextId = 1;

  constructor(engine: PlacementEngineName) {
    const stage = (overrides: Partial<StageConfig> = {}): StageConfig =>
      genericStage({
        ternary: {
          slices: 16,
          sliceBits: 40,
          depth: 64,
          gang: 'power-of-two',
          engine,
          maxMasks: 3,
          buckets: 8,
          ways: 2,
        },
        movePs: 50_000_000,
        insertPs: 1_000_000,
        ...overrides,
      });
    this.b = new Bench({
      ports: PORTS,
      stages: genericSwitch({ stages: [stage(), stage(), stage(), stage()] }),
    });
    for (let port = 0; port < PORTS; port++) {
      this.b.start(port);
      this.b.rxQueue(port, 0, 64, { drop: true });
    }
    this.side = new S.SwitchSide(this.b);
    const { side } = this;
    GROUPS.forEach((group, id) => {
      const buckets = group.buckets.map(itemsOf);
      expect(side.group(id, group.kind === 'all' ? 0 : 2, buckets).status).toBe(0);
    });
    const spec = (id: number, next: number): S.TableSpec => ({
      stage: id,
      kind: id === 2 ? 0 : 1,
      templates: id === 2 ? [EXACT] : [KEY, L2],
      next: next < 0 ? 0xffffffff : next,
    });
    this.tables = [1, 2, -1, -1].map((next) => ({ rules: [], otherwise: [], next }));
    this.tables[3].otherwise = [{ do: 'set', field: 'meta0', value: 1, mask: 1 }, { do: 'trap' }];
    for (let id = 3; id >= 0; id--) {
      const answer = side.table(id, {
        ...spec(id, this.tables[id].next),
        items: itemsOf(this.tables[id].otherwise),
      });
      expect(answer).toMatchObject({ status: 0, detail: 0 });
    }
  }

  newRule(random: Random, table: number): NaiveRule {
    const fields = table === 2 ? EXACT : pick(random, [KEY, L2]);
    const matches = randomMatches(random, fields, table === 2 ? 100 : 35);
    const isV4 = matches.some(({ field, value }) => field === 'eth_type' && value === 0x0800);
    const hasRange = table !== 2 && fields === KEY && random(4) === 0;
    return {
      id: this.nextId++,
      priority: table === 2 ? 1 : random(1000) * 1000 + this.nextId,
      matches: matches.map((m) =>
        table === 2
          ? { ...m, mask: m.field === 'meta0' ? 0xffffffff : m.field === 'dport' ? 0xffff : m.mask }
          : m,
      ),
      dport: hasRange
        ? pick(random, [
            [80, 81],
            [81, 500],
          ] as const)
        : undefined,
      actions: randomActions(random, table, isV4),
    };
  }

  specOf(rule: NaiveRule): S.EntrySpec {
    return {
      priority: rule.priority,
      cookie: rule.id,
      matches: rule.matches,
      items: [S.COUNT, ...itemsOf(rule.actions)],
      ...(rule.dport === undefined ? {} : { dport: rule.dport }),
    };
  }

  /** Starts adding rules in one batch without waiting for it. */
  post(table: number, rules: readonly NaiveRule[]): number {
    rules.forEach((rule, i) => this.side.fillEntry(i * 512, this.specOf(rule)));
    return this.side.post(20, table, rules.length);
  }

  /**
   * Sends a packet and compares everything that is seen of it with the oracle's account; while a change is under way
   * (`after`: the tables with it), with the account without or with it.
   */
  check(inPort: number, spec: FrameSpec, after: readonly NaiveTable[] | null = null): void {
    const seen = this.observe(inPort, spec);
    const accounts = [this.account(this.tables, inPort, spec)];
    if (after !== null) accounts.push(this.account(after, inPort, spec));
    const right = accounts.filter(({ facts }) => facts === seen);
    if (right.length === 0) expect({ seen }).toEqual({ seen: accounts[0].facts });
    const isSure = right.length === 1 || String(right[0].hits) === String(right[1].hits);
    for (const { hits } of isSure ? right.slice(0, 1) : right)
      for (const id of hits) {
        this.counted.set(id, (this.counted.get(id) ?? 0) + 1);
        if (!isSure) this.unsure.add(id);
      }
  }

  /** Lets a posted command run, with packets all the while. */
  finish(slot: number, random: Random, after: readonly NaiveTable[]): S.SwitchAnswer {
    const { phase } = this.side.answer(slot);
    const isOver = (): boolean => this.side.answer(slot).phase !== phase;
    while (!isOver()) {
      this.b.scheduler.runNext();
      if (!isOver()) this.check(random(2), randomPacket(random), after);
    }
    return this.side.answer(slot);
  }

  /** The tables with rules added to or taken from one. */
  changed(table: number, change: (rules: NaiveRule[]) => NaiveRule[]): NaiveTable[] {
    return this.tables.map((one, id) =>
      id === table ? { ...one, rules: change(one.rules) } : one,
    );
  }

  private observe(inPort: number, spec: FrameSpec): string {
    const { b } = this;
    b.egress.length = 0;
    b.drops.length = 0;
    const { misses } = b.nic.ctx.stats[inPort];
    const before = misses.slice();
    const bytes = frame(spec);
    b.nic.frameIn(inPort, b.scheduler.nowPs, bytes, 0, bytes.length, 1);
    const up = misses.findIndex((count, reason) => count > before[reason]);
    const isDropped = b.drops.some(({ reason }) => reason !== NO_DESCRIPTOR);
    let fate = isDropped ? 'drop' : 'out';
    if (up >= 0) fate = up === TTL || up === TRAP ? 'host' : 'pass';
    return facts(fate, b.egress);
  }

  private account(
    tables: readonly NaiveTable[],
    inPort: number,
    spec: FrameSpec,
  ): { facts: string; hits: readonly number[] } {
    const { fate, bytes, copies, hits } = naiveRun(tables, GROUPS, inPort, spec);
    const isOut = /^[0-9]+$/.test(fate);
    const sent = isOut ? [...copies, { port: Number(fate), bytes }] : copies;
    return { facts: facts(isOut ? 'out' : fate, sent), hits };
  }

  readonly counted = new Map<number, number>();
  /** Rules whose count is not known for sure. */
  readonly unsure = new Set<number>();
}

const NO_DESCRIPTOR = 3;
const TTL = 6;
const TRAP = 16;

/** Fate and frames sent, as text. */
function facts(fate: string, sent: readonly { port: number; bytes: Uint8Array }[]): string {
  const frames = sent.map(
    ({ port, bytes }) => `${port}: ${Buffer.from(padded(bytes)).toString('hex')}`,
  );
  return [fate, ...frames].join('\n');
}

function padded(bytes: Uint8Array): Uint8Array {
  if (bytes.length >= 60) return bytes;
  const out = new Uint8Array(60);
  out.set(bytes);
  return out;
}

function randomPacket(random: Random): FrameSpec {
  const vlans = pick(random, [[], [], [5], [7]]);
  const isV6 = random(4) === 0;
  return {
    vlans,
    v6: isV6,
    proto: pick(random, POOL['ip_proto']),
    srcIp: pick(random, POOL['src']),
    dstIp: pick(random, POOL['dst']),
    sport: pick(random, POOL['sport']),
    dport: pick(random, POOL['dport']),
    ttl: pick(random, [1, 2, 64]),
    payload: 40,
  };
}

const ENGINES: PlacementEngineName[] = [
  'parman',
  'shifting-array',
  'chain-ancestor',
  'rows-per-priority',
  'exact-masks-and-spill',
];

describe('staged pipeline against a naive interpreter', () => {
  it.each(ENGINES)('%s: rules come and go, packets also in the middle of moves', (engine) => {
    for (const seed of [1, 2, 3]) {
      const draw = seeded(seed * 77 + 5);
      const random: Random = draw;
      const twin = new Twin(engine);
      const live: { table: number; rule: NaiveRule }[] = [];
      for (let step = 0; step < 60; step++) {
        const table = random(4);
        if (random(3) > 0 || live.length === 0) {
          const rules = Array.from({ length: 1 + random(3) }, () => twin.newRule(random, table));
          // Several entries are written one after another: packets in between are looked at for single ones only.
          const slot = twin.post(table, rules);
          const after = twin.changed(table, (old) => [...old, ...rules]);
          const answer =
            rules.length === 1 ? twin.finish(slot, random, after) : twin.side.wait(slot);
          if (answer.status === 0) {
            rules.forEach((rule, i) => twin.handles.set(rule.id, twin.side.handleOf(i)));
            twin.tables[table].rules.push(...rules);
            live.push(...rules.map((rule) => ({ table, rule })));
          } else expect([1, 2]).toContain(answer.status);
        } else {
          const [{ table: of, rule }] = live.splice(random(live.length), 1);
          const after = twin.changed(of, (old) => old.filter((one) => one !== rule));
          const slot = twin.side.post(22, 0, 0, twin.handles.get(rule.id) ?? 0);
          expect(twin.finish(slot, random, after).status).toBe(0);
          twin.tables[of].rules = after[of].rules;
        }
        for (let n = 0; n < 4; n++) twin.check(random(2), randomPacket(random));
      }
      for (const { rule } of live.filter((one) => !twin.unsure.has(one.rule.id)))
        expect(twin.side.counters(twin.handles.get(rule.id) ?? 0)).toMatchObject({
          packets: twin.counted.get(rule.id) ?? 0,
          cookie: rule.id,
        });
      twin.b.nic.checkInvariants();
    }
  });
});
