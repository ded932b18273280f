// The staged match-action pipeline: ordered stages of tables that a packet passes after the parser and before MAC filter, flow
// tables and host. THE HOT PATH of devices that use it; devices without tables pay one branch (Nic).
//
// A packet enters at the first table, the one of the lowest stage and number that has an entry or a default action. A
// table gives it an action list: of the entry that matches, or the default. GOTO goes on in a table of a later stage; a
// list without a terminal item in the table's `next`; otherwise the packet leaves the pipeline with PASS, and goes the
// way of every frame. State between stages: metadata registers, colour, and the frame itself as rewritten so far.
//
// Time (V26). `latency: 'pipe'`: every packet passes all stages. A stage costs what stageCycles says of it: match-dependent
// (20 cycles and more) if a word of one of its keys may be written by a table of an earlier stage since the last
// match-dependent one, action-dependent (2) if it only writes such words, else concurrent (1). The first stage with tables is
// match-dependent, as in a real pipe; `dependency` of a stage overrides all that. Which words a table may write is
// declared with it (TABLE_SET), for a pipe's timing is fixed when it is set up. 'visited': each table looked up costs its
// stage's match-dependent time: devices that chain look-ups in memory.
//
// Copies (mirror, sample, groups) are frames of their own: `CopySink` gets each as the frame is at that moment.

import type { ActionExecutor } from '../action/execute.ts';
import { Verdict } from '../admin/format.ts';
import * as K from '../parse/key-layout.ts';
import { DropReason, MissReason } from '../pipeline/outcome.ts';
import { GREEN, MeterTable, YELLOW } from '../table/meter.ts';
import { RangeRegisters } from '../table/ranges.ts';
import { pipeCycles, stageCycles, type StageFeatures } from '../table/stage-latency.ts';
import { Timeline } from '../time/timeline.ts';
import type { Scheduler } from '../time/scheduler.ts';
import { cyclePs } from '../time/units.ts';
import {
  ActionKind,
  GroupType,
  isTerminal,
  ITEM_WORDS,
  MeterVerdict,
  TO_HOST_PORT,
} from './actions.ts';
import { MAX_TABLES, TableKind, type SwitchConfig, type TableConfig } from './config.ts';
import { CounterPool } from './counters.ts';
import { FrameEdit } from './frame-edit.ts';
import { bucketPort, GroupTable, selectBucket } from './groups.ts';
import * as P from './phv.ts';
import { StageMemory } from './stage-memory.ts';
import { StageTable, type NewEntry } from './table.ts';

/** Fields by which RangeRegisters are told apart. */
export const RANGE_SPORT = 0;
export const RANGE_DPORT = 1;

/** Why a copy is made. */
export const CopyKind = { MIRROR: 0, SAMPLE: 1, REPLICA: 2 } as const;

/** Takes copies of the frame that the pipeline is working on. */
export interface CopySink {
  /**
   * Sends a copy of the frame in hand, its first `lenBytes` bytes, out of a port or (TO_HOST_PORT) to the host, where
   * `group` is its sampling group.
   */
  copy(kind: number, port: number, lenBytes: number, group: number): void;
  /** Keeps the frame in hand; `restoreFrame` brings it back. */
  saveFrame(): void;
  restoreFrame(): void;
}

/** Told of entries that got old. */
export type AgedSink = (table: number, entry: number) => void;

/** What a packet does after an action list that named no table: its way is decided, it leaves, or the list just ended. */
const DECIDED = -1;
const LEAVE = -2;
const ENDED = -3;

export class SwitchPipeline {
  readonly config: SwitchConfig;
  readonly stages: StageMemory[];
  readonly tables: (StageTable | null)[] = new Array<StageTable | null>(MAX_TABLES).fill(null);
  readonly groups: GroupTable;
  readonly meters: MeterTable;
  /** Action lists that name each meter, and which meters are set. */
  readonly meterUsers: Int32Array;
  readonly isMeterSet: Uint8Array;
  readonly counters: CounterPool;
  readonly ranges: RangeRegisters;
  readonly phv = new Uint32Array(P.PHV_WORDS);
  readonly line = new Timeline();
  /** Set by the owner. */
  copies: CopySink | null = null;
  onAged: AgedSink | null = null;
  /** Look-ups of a packet for traces; null: off. */
  onLookup: ((table: number, entry: number, atPs: number) => void) | null = null;

  /** Whether packets have anything to do here. */
  isActive = false;
  /** Time of the whole pipe, ps ('pipe'). */
  pipePs = 0;
  /** In: the frame is in the buffer. Out: when the pipeline is done with it. ps. */
  timePs = 0;
  /** In: port of the frame in hand, its length as received. */
  inPort = 0;

  // Results of `run`.
  verdict: number = Verdict.CONTINUE;
  outPort = -1;
  missReason: number = MissReason.NONE;
  dropReason: number = DropReason.RULE;
  queueIndex = -1;
  mark = 0;
  hasMark = false;
  /** Table and entry of the last hit, as a handle (table << 24 | entry); −1 for none. */
  handle = -1;
  /** The frame was changed. */
  isChanged = false;

  private readonly edit: FrameEdit;
  private readonly executor: ActionExecutor;
  private readonly key: Uint32Array;
  private readonly scheduler: Scheduler;
  private readonly cycle: number;
  private readonly intervalPs: number;
  private readonly parserPs: { base: number; header: number };
  /** Time of a visited table, by stage ('visited'). */
  private readonly visitPs: Float64Array;
  private readonly savedPhv = new Uint32Array(P.PHV_WORDS);
  /** Action lists of each stage with a meter, and with a SELECT group. */
  private readonly metersOf: Int32Array;
  private readonly selectorsOf: Int32Array;
  private first = -1;
  private random: number;

  constructor(
    config: SwitchConfig,
    scheduler: Scheduler,
    executor: ActionExecutor,
    view: DataView,
    key: Uint32Array,
    parser: { basePs: number; headerPs: number },
  ) {
    this.config = config;
    this.scheduler = scheduler;
    this.executor = executor;
    this.key = key;
    this.stages = config.stages.map((stage) => new StageMemory(stage));
    this.groups = new GroupTable(config.groups);
    this.meters = new MeterTable(config.meters);
    this.meterUsers = new Int32Array(config.meters);
    this.isMeterSet = new Uint8Array(config.meters);
    this.counters = new CounterPool(config);
    this.ranges = new RangeRegisters(config.rangeRegisters);
    this.edit = new FrameEdit(executor, view, key, this.phv);
    this.cycle = cyclePs(config.clockMhz);
    this.intervalPs = config.intervalCycles * this.cycle;
    this.parserPs = { base: parser.basePs, header: parser.headerPs };
    this.visitPs = new Float64Array(config.stages.length);
    this.metersOf = new Int32Array(config.stages.length);
    this.selectorsOf = new Int32Array(config.stages.length);
    this.random = (config.seed ^ 0x9e3779b9) | 1;
    this.reset();
  }

  /** Tables as they are from the start: everything else goes. */
  reset(): void {
    for (let id = 0; id < MAX_TABLES; id++) if (this.tables[id] !== null) this.removeTable(id);
    this.config.tables.forEach((table, id) => this.makeTable(id, table));
    this.changed();
  }

  /** Makes a table; resources were checked. */
  makeTable(id: number, config: TableConfig): StageTable {
    const stage = this.stages[config.stage];
    const table = new StageTable(id, config, this.config, stage, this.scheduler, {
      released: (entry) => this.released(entry, config.stage),
      aged: { onAged: (entry) => this.onAged?.(id, entry) },
    });
    stage.tables++;
    if (config.kind === TableKind.EXACT) stage.freeExact -= config.entries;
    this.tables[id] = table;
    this.useShared(config.defaultItems, 1, config.stage);
    this.changed();
    return table;
  }

  /** Takes a table with all its entries away. */
  removeTable(id: number): void {
    const table = this.tables[id];
    if (table === null) return;
    table.forEach((_entry, number) => {
      if (table.entry(number) !== null) table.remove(number);
    });
    table.flush();
    table.release();
    this.useShared(table.defaultItems, -1, table.config.stage);
    table.stage.tables--;
    if (table.config.kind === TableKind.EXACT) table.stage.freeExact += table.config.entries;
    this.tables[id] = null;
    this.changed();
  }

  /** Whether packets have anything to do here; after entries came or went. */
  refreshActive(): void {
    // A pipe takes its time as soon as it has tables; devices that chain look-ups only when there is something to find.
    this.isActive = this.config.latency === 'pipe' && this.first >= 0;
    for (let id = 0; id < MAX_TABLES && !this.isActive; id++) {
      const table = this.tables[id];
      this.isActive = table !== null && (table.count > 0 || table.defaultItems.length > 0);
    }
  }

  /** Tables, defaults or what a stage does have changed: where packets enter, and how long the pipe is. */
  changed(): void {
    this.first = -1;
    for (const table of this.tables) {
      if (table === null) continue;
      if (this.first >= 0 && table.config.stage >= this.stageOf(this.first)) continue;
      this.first = table.id;
    }
    this.refreshActive();
    this.pipePs = pipeCycles(this.features(), false) * this.cycle;
    this.config.stages.forEach((_stage, index) => {
      this.visitPs[index] = stageCycles(this.stageFeatures(index, 'match')) * this.cycle;
    });
  }

  /** Cycles of each stage as set up now. */
  features(): StageFeatures[] {
    let written = 0;
    let isFirst = true;
    return this.config.stages.map((stage, index) => {
      let reads = 0;
      let writes = 0;
      let isEmpty = true;
      for (const table of this.tables) {
        if (table === null || table.config.stage !== index) continue;
        isEmpty = false;
        for (const template of table.templates)
          template.mask.forEach((word, at) => {
            if (word !== 0) reads |= 1 << at;
          });
        writes |= table.config.writes;
      }
      let dependency: StageFeatures['dependency'] = 'concurrent';
      if (!isEmpty && (isFirst || (reads & written) !== 0)) dependency = 'match';
      else if ((writes & written) !== 0) dependency = 'action';
      if (dependency === 'match') written = 0;
      if (!isEmpty) isFirst = false;
      written |= writes;
      return this.stageFeatures(index, stage.dependency ?? dependency);
    });
  }

  /** Runs the parsed frame (executor.at, executor.lenBytes), in the buffer at `timePs`, through the tables. */
  run(portIndex: number): void {
    const { line, phv } = this;
    line.freePs = (this.timePs > line.freePs ? this.timePs : line.freePs) + this.intervalPs;
    line.busyPs += this.intervalPs;
    const isPipe = this.config.latency === 'pipe';
    this.timePs = line.freePs - this.intervalPs + (isPipe ? this.pipePs : 0);
    this.inPort = portIndex;
    this.verdict = Verdict.CONTINUE;
    this.outPort = -1;
    this.missReason = MissReason.NONE;
    this.queueIndex = -1;
    this.hasMark = false;
    this.handle = -1;
    this.isChanged = false;
    this.edit.pushes = 0;
    P.fillPhv(this.key, phv);
    for (let i = P.P_META; i < P.P_META + P.META_REGISTERS; i++) phv[i] = 0;
    phv[P.P_COLOUR] = GREEN;
    this.matchRanges();
    let next = this.first;
    while (next >= 0) {
      const table = this.tables[next] as StageTable;
      if (!isPipe) this.timePs += this.visitPs[table.config.stage];
      next = this.step(table);
    }
    // What leaves the device here has paid for the parser; the rest pays for it in the fixed pipeline.
    if (this.verdict !== Verdict.CONTINUE)
      this.timePs += this.parserPs.base + this.parserPs.header * this.key[K.K_HEADERS];
    else if (this.isChanged) this.edit.parseAgain();
    if (this.verdict === Verdict.TO_HOST && this.isChanged) this.edit.parseAgain();
  }

  /** One table: the next one, or below 0. */
  private step(table: StageTable): number {
    const number = table.lookup(this.phv);
    if (this.onLookup !== null) this.onLookup(table.id, number, this.timePs);
    let items = table.defaultItems;
    if (number >= 0) {
      items = table.itemsOf(number);
      this.handle = (table.id << 24) | number;
      table.lastHitPs[number] = this.timePs;
      const counter = table.counterOf(number);
      if (counter >= 0) this.counters.count(counter, this.executor.lenBytes, this.timePs);
    }
    const next = this.execute(items);
    return next === ENDED ? table.config.next : next;
  }

  /** Runs an action list: a table's number, DECIDED, LEAVE or ENDED. */
  private execute(items: Uint32Array): number {
    for (let at = 0; at < items.length; at += ITEM_WORDS) {
      const kind = items[at] & 0xff;
      if (isTerminal(kind)) return this.terminal(kind, items[at + 1]);
      if (!this.apply(kind, items, at)) return DECIDED;
    }
    return ENDED;
  }

  private terminal(kind: number, argument: number): number {
    switch (kind) {
      case ActionKind.OUTPUT:
        this.verdict = Verdict.OUTPUT;
        this.outPort = argument;
        return DECIDED;
      case ActionKind.DROP:
        return this.drop(DropReason.RULE);
      case ActionKind.TRAP:
        return this.toHost(MissReason.TRAP);
      case ActionKind.GOTO:
        return argument;
      case ActionKind.GROUP:
        return this.group(argument);
      default:
        return LEAVE;
    }
  }

  /** An item that is not terminal; false when it decided the packet's way. */
  private apply(kind: number, items: Uint32Array, at: number): boolean {
    switch (kind) {
      case ActionKind.SET:
        this.edit.set(items[at + 1], items[at + 2], items[at + 3]);
        this.rewritten(items[at + 1]);
        return true;
      case ActionKind.DEC_TTL:
        this.isChanged = true;
        if (this.edit.decTtl()) return true;
        this.toHost(MissReason.TTL);
        return false;
      case ActionKind.PUSH_VLAN:
        this.isChanged = true;
        this.edit.pushVlan(items[at + 1], items[at + 2]);
        return true;
      case ActionKind.POP_VLAN:
        this.isChanged = true;
        this.edit.popVlan();
        return true;
      case ActionKind.MIRROR:
        this.copies?.copy(CopyKind.MIRROR, items[at + 1], this.executor.lenBytes, 0);
        return true;
      case ActionKind.SAMPLE:
        this.sample(items, at);
        return true;
      case ActionKind.METER:
        return this.meter(items, at);
      case ActionKind.QUEUE:
        this.queueIndex = items[at + 1];
        return true;
      case ActionKind.MARK:
        this.mark = items[at + 1];
        this.hasMark = true;
        return true;
      default:
        return true; // COUNT: done where the entry was found
    }
  }

  private rewritten(word: number): void {
    if (word < P.P_META) this.isChanged = true;
    if (word === P.P_PORTS) this.matchRanges();
  }

  private drop(reason: number): number {
    this.verdict = Verdict.DROP;
    this.dropReason = reason;
    return DECIDED;
  }

  private toHost(reason: number): number {
    this.verdict = Verdict.TO_HOST;
    this.missReason = reason;
    return DECIDED;
  }

  private sample(items: Uint32Array, at: number): void {
    if (this.draw() % items[at + 1] !== 0) return;
    const { lenBytes } = this.executor;
    const kept = items[at + 2] === 0 ? lenBytes : Math.min(lenBytes, items[at + 2]);
    this.copies?.copy(CopyKind.SAMPLE, items[at + 3], kept, items[at] >>> 16);
  }

  private meter(items: Uint32Array, at: number): boolean {
    const { phv, meters } = this;
    const { lenBytes } = this.executor;
    const colour = meters.colour(items[at + 1], lenBytes, phv[P.P_COLOUR], this.timePs);
    phv[P.P_COLOUR] = colour;
    if (colour === GREEN) return true;
    const verdict = colour === YELLOW ? items[at + 2] : items[at + 3];
    if (verdict === MeterVerdict.GO_ON) return true;
    if (verdict === MeterVerdict.DROP) this.drop(DropReason.METER);
    else this.toHost(MissReason.METER);
    return false;
  }

  private group(id: number): number {
    const group = this.groups.get(id);
    if (group === null || group.buckets.length === 0) return this.drop(DropReason.GROUP_EMPTY);
    if (group.type !== GroupType.ALL) {
      const { buckets } = group;
      return this.execute(buckets[selectBucket(this.phv, buckets.length)]);
    }
    let last = -1;
    for (let i = 0; i < group.buckets.length; i++) {
      const port = bucketPort(group.buckets[i]);
      if (port < 0 || (group.notBack && port === this.inPort)) continue;
      if (last >= 0) this.replicate(group.buckets[last]);
      last = i;
    }
    return last < 0 ? this.drop(DropReason.GROUP_EMPTY) : this.execute(group.buckets[last]);
  }

  /** A copy through one bucket; the frame in hand is as before afterwards. */
  private replicate(items: Uint32Array): void {
    const { copies, savedPhv, phv } = this;
    if (copies === null) return;
    copies.saveFrame();
    savedPhv.set(phv);
    const { isChanged } = this;
    this.execute(items);
    const port = this.verdict === Verdict.OUTPUT ? this.outPort : TO_HOST_PORT;
    if (this.verdict !== Verdict.DROP)
      copies.copy(CopyKind.REPLICA, port, this.executor.lenBytes, 0);
    this.verdict = Verdict.CONTINUE;
    this.isChanged = isChanged;
    copies.restoreFrame();
    phv.set(savedPhv);
  }

  private matchRanges(): void {
    if (this.ranges.inUse === 0) return;
    const ports = this.phv[P.P_PORTS];
    const { ranges } = this;
    this.phv[P.P_RANGE] =
      (this.key[K.K_FLAGS] & K.PARSE_PORTS) === 0
        ? 0
        : ranges.match(RANGE_SPORT, ports >>> 16) | ranges.match(RANGE_DPORT, ports & 0xffff);
  }

  /** Next number of the sampling generator (xorshift32), unsigned. */
  private draw(): number {
    let x = this.random;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.random = x;
    return x >>> 0;
  }

  private stageOf(id: number): number {
    return (this.tables[id] as StageTable).config.stage;
  }

  private stageFeatures(index: number, dependency: StageFeatures['dependency']): StageFeatures {
    let hasTcam = false;
    for (const table of this.tables)
      if (table?.config.stage === index && table.config.kind !== TableKind.EXACT) hasTcam = true;
    const hasSelector = this.selectorsOf[index] > 0;
    const hasMeter = this.metersOf[index] > 0;
    return { dependency, hasTcam, hasSelector, hasMeter, hasStateful: false };
  }

  /** An entry has left the memory: what it held is free. */
  private released(entry: NewEntry, stage: number): void {
    if (entry.counter >= 0) this.counters.giveBack(entry.counter);
    for (const register of entry.registers) this.ranges.release(register);
    this.useShared(entry.items, -1, stage);
  }

  /** Notes what an action list uses: groups and meters, and what that makes of its stage. */
  useShared(items: Uint32Array, by: number, stage: number): void {
    for (let at = 0; at < items.length; at += ITEM_WORDS) {
      const kind = items[at] & 0xff;
      if (kind !== ActionKind.GROUP && kind !== ActionKind.METER) continue;
      const id = items[at + 1];
      if (kind === ActionKind.GROUP) this.groups.use(id, by);
      else this.meterUsers[id] = this.meterUsers[id] + by;
      const isSelector =
        kind === ActionKind.METER || this.groups.get(id)?.type === GroupType.SELECT;
      if (!isSelector) continue;
      const users = kind === ActionKind.METER ? this.metersOf : this.selectorsOf;
      users[stage] = users[stage] + by;
      if (users[stage] === (by > 0 ? 1 : 0)) this.changed();
    }
  }
}
