// tc filters (flower, matchall) in the device's staged tables, through the admin queue: chain N is table N.
//
// One FilterTable serves all functions of a card. REPLACE adds a rule's entries in one batch (several if its port ranges had to
// be expanded), DESTROY deletes them, STATS reads their counters, which are narrow and may have wrapped once in between.
// A policer is a meter of the device; rules that name the same one share it. The priority is tc's pref: lower wins.
//
// Refusals carry the reasons of docs/rules.md, with errno and a sentence that names what did not fit; beside those 'exists',
// 'busy', 'not-found', 'timeout'. After a reset of the function its rules are added again (`restore`).

import { switchId, type TwinAdapter } from './adapter.ts';
import { planActions } from './flower-actions.ts';
import { planKey } from './flower-match.ts';
import { refusalOf, type FilterRefusal } from './flower-refusal.ts';
import {
  deleteEntry,
  deleteMeter,
  fillEntries,
  handleIn,
  queryTable,
  readCounter,
  setMeter,
  submitStage,
  type EntryRecord,
  type StageInfo,
} from './stage-commands.ts';
import { EBUSY, EEXIST, ENOENT, ETIMEDOUT } from '../errno.ts';
import {
  FLOW_CLS_DESTROY,
  FLOW_CLS_REPLACE,
  flow_stats_update,
  type FlowBlockRequest,
} from '../flow-block.ts';
import { FLOW_ACTION_HW_STATS_IMMEDIATE, type FlowPolice } from '../flow-rule.ts';
import { Opcode, readU64, REC_BYTES, REC_LAST_HIT_PS, REC_PACKETS } from '../../hw/admin/format.ts';
import { BATCH_MAX, ENTRY_BYTES } from '../../hw/admin/switch-format.ts';
import { counterDelta } from '../../hw/table/wrap-counters.ts';

/** Chains have numbers below this: tables of the device. */
const CHAINS_MAX = 64;

interface Filter {
  state: 'adding' | 'in' | 'deleting';
  adapter: TwinAdapter;
  chain: number;
  record: EntryRecord;
  handles: number[];
  /** Last reading of each entry's counter. */
  packets: number[];
  bytes: number[];
  meters: number[];
  /** Deleted while it was being added: called when that is over. */
  onAdded: (() => void) | null;
}

interface Meter {
  police: FlowPolice;
  users: number;
}

type Done = (error: number) => void;

export class FilterTable {
  /** Requests by outcome. */
  addedCount = 0;
  refusedCount = 0;
  private readonly filters = new Map<string, Filter>();
  private readonly meters = new Map<number, Meter>();
  private readonly tables = new Map<number, StageInfo>();

  /** Rules in the device. */
  get count(): number {
    let count = 0;
    for (const { state } of this.filters.values()) if (state === 'in') count++;
    return count;
  }

  /** One request about a filter of a block of `adapter`'s device. */
  request(adapter: TwinAdapter, request: FlowBlockRequest, done: Done): void {
    const key = `${adapter.portIndex} ${request.cookie}`;
    if (request.command === FLOW_CLS_REPLACE) this.replace(adapter, key, request, done);
    else if (request.command === FLOW_CLS_DESTROY) this.destroy(key, request, done);
    else this.stats(key, request, done);
  }

  /** The function was reset: its entries are gone from the device and go in again. */
  restore(adapter: TwinAdapter): void {
    const lost = [...this.filters].filter(([, filter]) => filter.adapter === adapter);
    for (const [key, filter] of lost) {
      if (filter.state === 'deleting') this.filters.delete(key);
      if (filter.state !== 'in') continue;
      filter.state = 'adding';
      this.install(key, filter, (error) => {
        if (error !== 0)
          adapter.kernel.printk(`${adapter.dev.name}: a filter was lost in the reset`);
      });
    }
  }

  private replace(adapter: TwinAdapter, key: string, request: FlowBlockRequest, done: Done): void {
    const known = this.filters.get(key);
    if (known !== undefined) {
      const isIn = known.state === 'in';
      const reason = isIn ? 'exists' : 'busy';
      const message = isIn ? 'filter is in hardware already' : 'filter has a request under way';
      this.refuse(request, { error: isIn ? EEXIST : EBUSY, reason, message }, done);
      return;
    }
    const { chainIndex } = request.common;
    this.withTable(adapter, chainIndex, (info) => {
      if (!info.exists) this.refuse(request, refusalOf('no-such-group', String(chainIndex)), done);
      else this.add(adapter, key, request, info, done);
    });
  }

  private add(
    adapter: TwinAdapter,
    key: string,
    request: FlowBlockRequest,
    info: StageInfo,
    done: Done,
  ): void {
    const { rule } = request;
    if (rule === null) return this.refuse(request, refusalOf('rule-missing', ''), done);
    const { dev, portIndex } = adapter;
    const plan = planKey(rule, portIndex, dev.ifindex, info.rangeRegisters);
    if (typeof plan === 'string')
      return this.refuse(request, refusalOf('field-not-in-template', plan), done);
    if (plan.keys.length > BATCH_MAX)
      return this.refuse(request, refusalOf('range-too-costly', String(plan.keys.length)), done);
    const policers: FlowPolice[] = [];
    const items = planActions(adapter, rule, (police) => {
      policers.push(police);
      return police.index;
    });
    if ('reason' in items) return this.refuse(request, refusalOf(items.reason, items.what), done);
    const filter: Filter = {
      state: 'adding',
      adapter,
      chain: request.common.chainIndex,
      record: { priority: request.common.prio, cookie: request.cookie, ...plan, items },
      handles: [],
      packets: plan.keys.map(() => 0),
      bytes: plan.keys.map(() => 0),
      meters: [],
      onAdded: null,
    };
    this.filters.set(key, filter);
    this.takeMeters(filter, policers, (refusal) => {
      if (refusal !== null) {
        this.forget(key, filter);
        this.refuse(request, refusal, done);
        filter.onAdded?.();
        return;
      }
      this.install(key, filter, done, request);
    });
  }

  /** Adds the entries of a filter; `request` is null when they are added again. */
  private install(
    key: string,
    filter: Filter,
    done: Done,
    request: FlowBlockRequest | null = null,
  ): void {
    const { adapter, chain, record } = filter;
    const command = {
      opcode: Opcode.ENTRY_ADD,
      id: chain,
      count: record.keys.length,
      handle: 0,
      recordBytes: record.keys.length * ENTRY_BYTES,
      fill: (records: DataView) => fillEntries(records, record),
    };
    submitStage(adapter, command, (error, _result, detail, what, records) => {
      if (error === 0) {
        filter.state = 'in';
        filter.handles = record.keys.map((_key, i) => handleIn(records, i));
        filter.packets.fill(0);
        filter.bytes.fill(0);
        this.addedCount++;
        done(0);
      } else {
        this.forget(key, filter);
        const refusal =
          error === -ETIMEDOUT
            ? refusalOf('timeout', '')
            : refusalOf('', String(what), detail, record.keys.length);
        if (request === null) done(error);
        else this.refuse(request, refusal, done);
      }
      filter.onAdded?.();
    });
  }

  private destroy(key: string, request: FlowBlockRequest, done: Done): void {
    const filter = this.filters.get(key);
    if (filter === undefined || filter.state === 'deleting')
      return this.refuse(request, NOT_FOUND, done);
    if (filter.state === 'adding') {
      filter.onAdded = () => {
        filter.onAdded = null;
        this.destroy(key, request, done);
      };
      return;
    }
    filter.state = 'deleting';
    let left = filter.handles.length;
    let worst = 0;
    for (const handle of filter.handles)
      deleteEntry(filter.adapter, handle, (error) => {
        if (error !== 0) worst = error;
        if (--left > 0) return;
        this.forget(key, filter);
        done(worst);
      });
  }

  private stats(key: string, request: FlowBlockRequest, done: Done): void {
    const filter = this.filters.get(key);
    if (filter?.state !== 'in') return this.refuse(request, NOT_FOUND, done);
    const info = this.tables.get(filter.chain) as StageInfo;
    let left = filter.handles.length;
    filter.handles.forEach((handle, i) => {
      readCounter(filter.adapter, handle, (error, _result, _detail, _what, record) => {
        if (error === 0) {
          const packets = readU64(record, REC_PACKETS);
          const bytes = readU64(record, REC_BYTES);
          const { stats } = request;
          const more = counterDelta(filter.packets[i], packets, info.packetBits);
          const moreBytes = counterDelta(filter.bytes[i], bytes, info.byteBits);
          const hitPs = readU64(record, REC_LAST_HIT_PS);
          flow_stats_update(stats, moreBytes, more, 0, hitPs, FLOW_ACTION_HW_STATS_IMMEDIATE);
          filter.packets[i] = packets;
          filter.bytes[i] = bytes;
        }
        if (--left === 0) done(error);
      });
    });
  }

  private withTable(adapter: TwinAdapter, chain: number, then: (info: StageInfo) => void): void {
    const known = this.tables.get(chain);
    if (known !== undefined) return then(known);
    if (chain >= CHAINS_MAX)
      return then({ exists: false, packetBits: 0, byteBits: 0, rangeRegisters: 0 });
    queryTable(adapter, chain, (info) => {
      if (info.exists) this.tables.set(chain, info);
      then(info);
    });
  }

  private takeMeters(
    filter: Filter,
    policers: readonly FlowPolice[],
    then: (refusal: FilterRefusal | null) => void,
  ): void {
    const [police, ...rest] = policers;
    if (police === undefined) return then(null);
    const known = this.meters.get(police.index);
    const proceed = (): void => {
      filter.meters.push(police.index);
      this.takeMeters(filter, rest, then);
    };
    if (known !== undefined) {
      known.users++;
      return proceed();
    }
    setMeter(filter.adapter, police.index, police, (error, detail) => {
      if (error !== 0) return then(refusalOf('', String(police.index), detail));
      this.meters.set(police.index, { police, users: 1 });
      proceed();
    });
  }

  private forget(key: string, filter: Filter): void {
    this.filters.delete(key);
    for (const id of filter.meters.splice(0)) {
      const meter = this.meters.get(id);
      if (meter === undefined || --meter.users > 0) continue;
      this.meters.delete(id);
      deleteMeter(filter.adapter, id);
    }
  }

  private refuse(request: FlowBlockRequest, refusal: FilterRefusal, done: Done): void {
    if (request.command === FLOW_CLS_REPLACE) this.refusedCount++;
    const { extack } = request.common;
    extack.message = refusal.message;
    extack.reason = refusal.reason;
    done(-refusal.error);
  }
}

const NOT_FOUND: FilterRefusal = {
  error: ENOENT,
  reason: 'not-found',
  message: 'filter is not in hardware',
};

/** Filter tables by card. */
const TABLES = new WeakMap<object, Map<string, FilterTable>>();

/** The filters of the card that a function belongs to. */
export function filtersOf(adapter: TwinAdapter): FilterTable {
  const { kernel, pdev } = adapter;
  const ofKernel = TABLES.get(kernel) ?? new Map<string, FilterTable>();
  TABLES.set(kernel, ofKernel);
  const card = switchId(pdev);
  const table = ofKernel.get(card) ?? new FilterTable();
  ofKernel.set(card, table);
  return table;
}

/** One request about a filter: see flow-block.ts. */
export function setupRule(adapter: TwinAdapter, request: FlowBlockRequest, done: Done): void {
  filtersOf(adapter).request(adapter, request, done);
}
