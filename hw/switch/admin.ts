// What admin commands do to the staged tables: reads records from host memory, validates, changes, answers. Shared by the admin
// queues of all functions; nothing here throws. Formats: admin/switch-format.ts.
//
// A batch of entries goes in as a whole or not at all, and the placement engine plans it as a whole. The completion comes
// when everything that had to move has moved (`settledPs`), and says how many moves that were.

import { Detail, Status } from '../admin/format.ts';
import * as F from '../admin/format.ts';
import * as S from '../admin/switch-format.ts';
import type { DeviceContext } from '../context.ts';
import { METER_RFC4115, type MeterConfig } from '../table/meter.ts';
import { ActionKind, GroupType, ITEM_WORDS, MAX_ITEMS, readItems } from './actions.ts';
import { checkBucket, checkList, type Check, type ListContext } from './admin-check.ts';
import { readEntry, takeResources } from './admin-entry.ts';
import { checkTable, readTable, writeTable } from './admin-table.ts';
import { MAX_TABLES, type StageConfig } from './config.ts';
import { bucketsFit } from './groups.ts';
import type { SwitchPipeline } from './pipeline.ts';
import type { AddResult, NewEntry, StageTable } from './table.ts';

/** What a table's refusal of entries becomes. */
const ADD_ANSWERS: Readonly<Partial<Record<AddResult, readonly [Status, Detail]>>> = {
  'no-free-entry': [Status.NO_SPACE, Detail.NO_FREE_ENTRY],
  'no-free-slices': [Status.NO_SPACE, Detail.NO_FREE_SLICES],
  'bucket-full': [Status.NO_SPACE, Detail.BUCKET_FULL],
  'entry-exists': [Status.EXISTS, Detail.SAME_KEY],
  'priority-out-of-range': [Status.BAD_KEY, Detail.PRIORITY_RANGE],
};

/** Status that goes with a Detail; BAD_KEY for those not listed. */
const STATUS_OF: Readonly<Record<number, Status>> = {
  [Detail.NO_FREE_COUNTER]: Status.NO_SPACE,
  [Detail.NO_FREE_RANGE_REGISTER]: Status.NO_SPACE,
  [Detail.NO_FREE_SLICES]: Status.NO_SPACE,
  [Detail.NO_FREE_TABLE]: Status.NO_SPACE,
  [Detail.ACTION_NOT_SUPPORTED]: Status.BAD_ACTION,
  [Detail.TOO_MANY_ACTIONS]: Status.BAD_ACTION,
  [Detail.ACTION_FIELD]: Status.BAD_ACTION,
  [Detail.ACTION_ARGUMENT]: Status.BAD_ACTION,
  [Detail.ACTION_PORT]: Status.BAD_ACTION,
  [Detail.ACTION_QUEUE]: Status.BAD_ACTION,
  [Detail.NO_SUCH_TABLE]: Status.BAD_ACTION,
  [Detail.GOTO_BACKWARDS]: Status.BAD_ACTION,
  [Detail.NO_SUCH_GROUP]: Status.BAD_ACTION,
  [Detail.NO_SUCH_METER]: Status.BAD_ACTION,
  [Detail.GROUP_BUCKETS]: Status.BAD_RANGE,
  [Detail.BATCH_SIZE]: Status.BAD_RANGE,
  [Detail.TABLE_CONFIG]: Status.BAD_RANGE,
};

/** Entries that got old and nobody has asked for: the oldest are forgotten beyond this. */
const AGED_MAX = 65536;
/** Fastest meter, bytes per second (table/meter.ts). */
const METER_RATE_MAX = 5e10;

export class SwitchAdmin {
  // Answer of the last command.
  status: Status = Status.OK;
  detail: Detail = Detail.NONE;
  result = 0;
  what = 0;
  moves = 0;
  /** Time at which the last change is wholly in the tables, ps. */
  settledPs = 0;

  readonly pipeline: SwitchPipeline;
  private readonly ctx: DeviceContext;
  private readonly aged: number[] = [];

  constructor(ctx: DeviceContext, pipeline: SwitchPipeline) {
    this.ctx = ctx;
    this.pipeline = pipeline;
    pipeline.onAged = (table, entry) => {
      if (this.aged.length === AGED_MAX) this.aged.shift();
      this.aged.push((table << S.HANDLE_BITS) | entry);
    };
  }

  /** Device time of a command beyond the firmware's own, ps. */
  costPs(command: DataView): number {
    const { entryPs } = this.ctx.config.admin;
    const count = Math.min(command.getUint32(S.SW_COUNT, true), S.BATCH_MAX);
    switch (command.getUint16(F.CMD_OPCODE, true)) {
      case F.Opcode.ENTRY_ADD: {
        const table = this.pipeline.tables[command.getUint32(S.SW_ID, true)] ?? null;
        return table === null ? 0 : insertCostPs(table.stage.config, table.count, count);
      }
      case F.Opcode.ENTRY_COUNTERS:
      case F.Opcode.AGED_READ:
        return count * entryPs;
      default:
        return 0;
    }
  }

  /** When the next write of a move is done, ps; Infinity when nothing moves. */
  get nextPs(): number {
    let atPs = Infinity;
    for (const table of this.pipeline.tables)
      if (table !== null) atPs = Math.min(atPs, table.nextPs);
    return atPs;
  }

  /** Executes a command and leaves the answer. */
  execute(command: DataView, functionIndex: number): void {
    this.settledPs = 0;
    this.moves = 0;
    this.what = 0;
    const id = command.getUint32(S.SW_ID, true);
    switch (command.getUint16(F.CMD_OPCODE, true)) {
      case F.Opcode.TABLE_SET:
        return this.tableSet(command, id);
      case F.Opcode.TABLE_DEL:
        return this.tableDel(id);
      case F.Opcode.TABLE_QUERY:
        return this.tableQuery(command, id);
      case F.Opcode.DEFAULT_SET:
        return this.defaultSet(command, id);
      case F.Opcode.ENTRY_ADD:
        return this.entryAdd(command, id, functionIndex);
      case F.Opcode.ENTRY_MOD:
        return this.entryMod(command, id);
      case F.Opcode.ENTRY_DEL:
        return this.entryDel(command);
      case F.Opcode.ENTRY_COUNTERS:
        return this.entryCounters(command, id);
      case F.Opcode.AGED_READ:
        return this.agedRead(command);
      case F.Opcode.GROUP_SET:
        return this.groupSet(command, id);
      case F.Opcode.GROUP_DEL:
        return this.groupDel(id);
      case F.Opcode.METER_SET:
        return this.meterSet(command, id);
      case F.Opcode.METER_DEL:
        return this.meterDel(id);
      default:
        return this.answer(Status.BAD_OPCODE, Detail.NONE);
    }
  }

  /** Removes the entries that a function added (−1: all, with groups, meters and tables), at once; returns how many. */
  removeAll(functionIndex: number): number {
    const { pipeline } = this;
    let removed = 0;
    for (const table of pipeline.tables) {
      if (table === null) continue;
      table.forEach((entry, number) => {
        if (functionIndex >= 0 && entry.owner !== functionIndex) return;
        if (table.entry(number) === null) return;
        table.remove(number);
        removed++;
      });
      table.flush();
    }
    if (functionIndex < 0) {
      pipeline.reset();
      for (let id = 0; id < pipeline.groups.size; id++) pipeline.groups.set(id, null);
      pipeline.isMeterSet.fill(0);
      this.aged.length = 0;
    }
    pipeline.refreshActive();
    return removed;
  }

  private tableSet(command: DataView, id: number): void {
    if (id >= MAX_TABLES) return this.answer(Status.BAD_RANGE, Detail.TABLE_ID);
    if (this.pipeline.tables[id] !== null) return this.answer(Status.EXISTS, Detail.TABLE_EXISTS);
    const record = this.record(command, S.TABLE_RECORD_END);
    if (record === null) return;
    const config = readTable(record);
    if (config === null) return this.answer(Status.BAD_KEY, Detail.TABLE_CONFIG);
    const check = checkTable(this.pipeline, id, config);
    if (check.detail !== Detail.NONE) return this.refuse(check);
    const list = checkList(config.defaultItems, this.contextOf(config.stage, config.writes));
    if (list.detail !== Detail.NONE) return this.refuse(list);
    this.pipeline.makeTable(id, config);
    this.answer(Status.OK, Detail.NONE, id);
  }

  private tableDel(id: number): void {
    const table = this.table(id);
    if (table === null) return;
    if (this.isTableUsed(id)) return this.answer(Status.IN_USE, Detail.TABLE_IN_USE);
    const { count } = table;
    this.pipeline.removeTable(id);
    this.answer(Status.OK, Detail.NONE, count);
  }

  private tableQuery(command: DataView, id: number): void {
    const table = this.table(id);
    if (table === null) return;
    const record = this.record(command, S.TABLE_BYTES);
    if (record === null) return;
    writeTable(record, table, this.pipeline.config);
    this.answer(Status.OK, Detail.NONE, table.count);
  }

  private defaultSet(command: DataView, id: number): void {
    const table = this.table(id);
    if (table === null) return;
    const record = this.record(command, S.TABLE_RECORD_END);
    if (record === null) return;
    const count = record.getUint32(S.TABLE_ITEMS, true);
    if (count > MAX_ITEMS) return this.refuse({ detail: Detail.TOO_MANY_ACTIONS, what: count });
    const items = readItems(record, S.TABLE_DEFAULT, count);
    const { stage, writes } = table.config;
    const check = checkList(items, this.contextOf(stage, writes));
    if (check.detail !== Detail.NONE) return this.refuse(check);
    this.pipeline.useShared(items, 1, stage);
    this.pipeline.useShared(table.defaultItems, -1, stage);
    table.defaultItems = items;
    this.pipeline.changed();
    this.answer(Status.OK, Detail.NONE, id);
  }

  private entryAdd(command: DataView, id: number, functionIndex: number): void {
    const table = this.table(id);
    if (table === null) return;
    const count = command.getUint32(S.SW_COUNT, true);
    if (count === 0 || count > S.BATCH_MAX)
      return this.refuse({ detail: Detail.BATCH_SIZE, what: count });
    const records = this.record(command, count * S.ENTRY_BYTES);
    if (records === null) return;
    const { writes, stage } = table.config;
    const context = this.contextOf(stage, writes);
    const entries: NewEntry[] = [];
    for (let index = 0; index < count; index++) {
      const at = index * S.ENTRY_BYTES;
      const { entry, ranges, check } = readEntry(records, at, table, functionIndex);
      const fault = check.detail === Detail.NONE ? takeResources(entry, ranges, context) : check;
      if (fault.detail === Detail.NONE) {
        entries.push(entry);
        continue;
      }
      for (const one of entries) this.giveBack(one, stage);
      this.refuse(fault);
      this.result = index;
      return;
    }
    this.install(table, entries, records);
  }

  /** Puts checked entries in; their counters, registers and shared things are taken already. */
  private install(table: StageTable, entries: readonly NewEntry[], records: DataView): void {
    const numbers: number[] = [];
    const status = table.add(entries, numbers);
    this.pipeline.refreshActive();
    if (status !== 'ok') {
      const [answer, detail] = ADD_ANSWERS[status] ?? [Status.NO_SPACE, Detail.NO_FREE_ENTRY];
      this.what = table.count;
      return this.answer(answer, detail);
    }
    numbers.forEach((number, index) => {
      const handle = (table.id << S.HANDLE_BITS) | number;
      records.setUint32(index * S.ENTRY_BYTES + S.ENTRY_HANDLE, handle, true);
    });
    this.settle(table);
    this.answer(Status.OK, Detail.NONE, ((table.id << S.HANDLE_BITS) | numbers[0]) >>> 0);
  }

  private entryMod(command: DataView, id: number): void {
    const table = this.table(id);
    if (table === null) return;
    const number = command.getUint32(S.SW_HANDLE, true) & ((1 << S.HANDLE_BITS) - 1);
    const entry = table.entry(number);
    if (entry === null) return this.answer(Status.NOT_FOUND, Detail.HANDLE_FREE);
    const record = this.record(command, S.ENTRY_BYTES);
    if (record === null) return;
    const count = record.getUint32(S.ENTRY_ITEMS, true);
    if (count > MAX_ITEMS) return this.refuse({ detail: Detail.TOO_MANY_ACTIONS, what: count });
    const items = readItems(record, S.ENTRY_ACTIONS, count);
    const { stage, writes } = table.config;
    const check = checkList(items, this.contextOf(stage, writes));
    if (check.detail !== Detail.NONE) return this.refuse(check);
    if (hasCount(items) && entry.counter < 0) {
      entry.counter = this.pipeline.counters.take();
      if (entry.counter < 0) return this.refuse({ detail: Detail.NO_FREE_COUNTER, what: 0 });
    }
    this.pipeline.useShared(items, 1, stage);
    this.pipeline.useShared(entry.items, -1, stage);
    entry.items = items;
    this.answer(Status.OK, Detail.NONE, command.getUint32(S.SW_HANDLE, true));
  }

  private entryDel(command: DataView): void {
    const handle = command.getUint32(S.SW_HANDLE, true);
    const table = this.table(handle >>> S.HANDLE_BITS);
    if (table === null) return;
    const number = handle & ((1 << S.HANDLE_BITS) - 1);
    if (table.entry(number) === null) return this.answer(Status.NOT_FOUND, Detail.HANDLE_FREE);
    table.remove(number);
    this.pipeline.refreshActive();
    this.settle(table);
    this.answer(Status.OK, Detail.NONE, handle);
  }

  private settle(table: StageTable): void {
    this.moves = table.lastMoves;
    const { nowPs } = this.ctx.scheduler;
    this.settledPs = Math.max(table.settledPs, nowPs);
    // Displacements of hashed entries are done at once, and take their time all the same.
    if (table.settledPs === 0) this.settledPs = nowPs + this.moves * table.stage.config.movePs;
  }

  private entryCounters(command: DataView, id: number): void {
    const table = this.table(id);
    if (table === null) return;
    const first = command.getUint32(S.SW_HANDLE, true) & ((1 << S.HANDLE_BITS) - 1);
    const count = command.getUint32(S.SW_COUNT, true);
    if (first + count > table.config.entries)
      return this.answer(Status.BAD_RANGE, Detail.HANDLE_RANGE);
    const view = this.record(command, count * F.COUNTER_RECORD_BYTES);
    if (view === null) return;
    const { packets, bytes } = this.pipeline.counters;
    const { nowPs } = this.ctx.scheduler;
    for (let i = 0; i < count; i++) {
      const entry = table.entry(first + i);
      const at = i * F.COUNTER_RECORD_BYTES;
      const counter = entry?.counter ?? -1;
      F.writeU64(view, at + F.REC_PACKETS, counter < 0 ? 0 : packets.read(counter, nowPs));
      F.writeU64(view, at + F.REC_BYTES, counter < 0 ? 0 : bytes.read(counter, nowPs));
      const hitPs = entry === null ? 0 : Math.floor(table.lastHitPs[first + i]);
      F.writeU64(view, at + F.REC_LAST_HIT_PS, hitPs);
      const counted = counter < 0 ? 0 : S.REC_FLAG_COUNTED;
      const hit = table.aging.hitBit[first + i] === 1 ? F.REC_FLAG_HIT : 0;
      view.setUint32(at + F.REC_FLAGS, entry === null ? 0 : F.REC_FLAG_VALID | counted | hit, true);
      view.setUint32(at + F.REC_COOKIE, entry?.cookie ?? 0, true);
    }
    this.answer(Status.OK, Detail.NONE, count);
  }

  private agedRead(command: DataView): void {
    const count = Math.min(command.getUint32(S.SW_COUNT, true), this.aged.length);
    const view = this.record(command, 4 * count);
    if (view === null) return;
    this.aged.splice(0, count).forEach((handle, i) => view.setUint32(4 * i, handle, true));
    this.answer(Status.OK, Detail.NONE, count);
  }

  private groupSet(command: DataView, id: number): void {
    const { groups, config } = this.pipeline;
    if (id >= groups.size) return this.answer(Status.BAD_RANGE, Detail.NO_SUCH_GROUP);
    const head = this.record(command, S.GROUP_LIST);
    if (head === null) return;
    const type = head.getUint32(S.GROUP_TYPE, true);
    const count = head.getUint32(S.GROUP_BUCKETS, true);
    // A group in use keeps its type: the timing of the stages that use it follows from it.
    const isOtherType = groups.isUsed(id) && groups.get(id)?.type !== type;
    if (isOtherType || !bucketsFit(type, count, config.groupBuckets))
      return this.refuse({ detail: Detail.GROUP_BUCKETS, what: count });
    const record = this.record(command, S.groupBytes(count));
    if (record === null) return;
    const buckets: Uint32Array[] = [];
    for (let i = 0; i < count; i++) {
      const at = S.GROUP_LIST + i * S.BUCKET_BYTES;
      const length = record.getUint32(at, true);
      if (length > S.BUCKET_ITEMS_MAX)
        return this.refuse({ detail: Detail.TOO_MANY_ACTIONS, what: length });
      const items = readItems(record, at + 16, length);
      const check = checkBucket(items, this.contextOf(0, 0));
      if (check.detail !== Detail.NONE) return this.refuse(check);
      buckets.push(items);
    }
    const notBack = (record.getUint32(S.GROUP_FLAGS, true) & S.GROUP_NOT_BACK) !== 0;
    groups.set(id, { type, buckets, notBack: notBack && type === GroupType.ALL });
    this.answer(Status.OK, Detail.NONE, id);
  }

  private groupDel(id: number): void {
    const { groups } = this.pipeline;
    if (groups.get(id) === null) return this.answer(Status.NOT_FOUND, Detail.NO_SUCH_GROUP);
    if (groups.isUsed(id)) return this.answer(Status.IN_USE, Detail.GROUP_IN_USE);
    groups.set(id, null);
    this.answer(Status.OK, Detail.NONE, id);
  }

  private meterSet(command: DataView, id: number): void {
    const { meters, isMeterSet } = this.pipeline;
    if (id >= meters.meters) return this.answer(Status.BAD_RANGE, Detail.NO_SUCH_METER);
    const algorithm = command.getUint8(S.METER_ALGORITHM);
    const committed = F.readU64(command, S.METER_CIR);
    const excess = F.readU64(command, S.METER_EIR);
    if (algorithm > METER_RFC4115 || Math.max(committed, excess) > METER_RATE_MAX)
      return this.answer(Status.BAD_RANGE, Detail.METER_CONFIG);
    const config: MeterConfig = {
      algorithm: algorithm as MeterConfig['algorithm'],
      isColourAware: command.getUint8(S.METER_AWARE) === 1,
      committedBytesPerSecond: committed,
      committedBurstBytes: command.getUint32(S.METER_CBS, true),
      excessBytesPerSecond: excess,
      excessBurstBytes: command.getUint32(S.METER_EBS, true),
    };
    meters.configure(id, config, this.ctx.scheduler.nowPs);
    isMeterSet[id] = 1;
    this.answer(Status.OK, Detail.NONE, id);
  }

  private meterDel(id: number): void {
    const { isMeterSet, meterUsers } = this.pipeline;
    if (isMeterSet[id] !== 1) return this.answer(Status.NOT_FOUND, Detail.NO_SUCH_METER);
    if (meterUsers[id] > 0) return this.answer(Status.IN_USE, Detail.METER_IN_USE);
    isMeterSet[id] = 0;
    this.answer(Status.OK, Detail.NONE, id);
  }

  private giveBack(entry: NewEntry, stage: number): void {
    const { counters, ranges } = this.pipeline;
    if (entry.counter >= 0) counters.giveBack(entry.counter);
    for (const register of entry.registers) ranges.release(register);
    this.pipeline.useShared(entry.items, -1, stage);
  }

  /** Whether a list or another table leads to a table. */
  private isTableUsed(id: number): boolean {
    const leadsThere = (items: Uint32Array): boolean => {
      for (let at = 0; at < items.length; at += ITEM_WORDS)
        if ((items[at] & 0xff) === ActionKind.GOTO && items[at + 1] === id) return true;
      return false;
    };
    return this.pipeline.tables.some((table) => {
      if (table === null || table.id === id) return false;
      if (table.config.next === id || leadsThere(table.defaultItems)) return true;
      let isUsed = false;
      table.forEach(({ items }) => {
        isUsed = isUsed || leadsThere(items);
      });
      return isUsed;
    });
  }

  private contextOf(stage: number, writes: number): ListContext {
    const { ports, queues } = this.ctx.config;
    return { pipeline: this.pipeline, ports, queues, stage, writes };
  }

  private table(id: number): StageTable | null {
    const table = this.pipeline.tables[id] ?? null;
    if (table === null) this.answer(Status.NOT_FOUND, Detail.NO_SUCH_TABLE);
    return table;
  }

  /** The records that a command points to; null with an answer when they are not in host memory. */
  private record(command: DataView, lenBytes: number): DataView | null {
    const { memory } = this.ctx;
    if (!memory.resolve(F.readU64(command, S.SW_IOVA), lenBytes)) {
      this.answer(Status.DMA_FAULT, Detail.BUFFER);
      return null;
    }
    const { bytes } = memory.region;
    return new DataView(bytes.buffer, bytes.byteOffset + memory.offset, lenBytes);
  }

  private refuse(check: Check): void {
    this.what = check.what;
    this.answer(STATUS_OF[check.detail] ?? Status.BAD_KEY, check.detail);
  }

  private answer(status: Status, detail: Detail, result = 0): void {
    this.status = status;
    this.detail = detail;
    this.result = result;
  }
}

function hasCount(items: Uint32Array): boolean {
  return items.some((word, at) => at % ITEM_WORDS === 0 && (word & 0xff) === ActionKind.COUNT);
}

/** Time that `added` more entries take in a table of `held`, ps. */
function insertCostPs(stage: StageConfig, held: number, added: number): number {
  const steps = stage.insertSteps;
  if (steps === undefined || steps.length === 0) return added * stage.insertPs;
  let totalPs = 0;
  for (let step = 0, n = held; n < held + added; n++) {
    while (step < steps.length - 1 && n >= steps[step].below) step++;
    totalPs += steps[step].ps;
  }
  return totalPs;
}
