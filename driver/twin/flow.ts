// ndo_flow_offload of the reference driver: connections to flow-table entries of the device, through the admin queue.
//
// One FlowTable serves all functions of a card, because the device has one table for all its ports. Each direction is one
// entry, keyed here by its cookie. ADD is accepted when at least one direction is in hardware (spec B.6.3); FlowOffload.
// inHardware says which. A flow that is deleted while its insertion is under way is removed when the insertion
// completes; an insertion that completes after its time limit is removed again.
//
// Reasons in extack (beside the device's own Detail names: table-full, bucket-full, same-key, ...): flow-translate.ts's,
// 'offload-disabled', 'exists', 'busy', 'not-found', 'timeout', 'device'.

import type { TwinAdapter } from './adapter.ts';
import { FlowCounters } from './flow-stats.ts';
import { translate } from './flow-translate.ts';
import { EBUSY, EEXIST, ENOENT, EOPNOTSUPP, ETIMEDOUT } from '../errno.ts';
import {
  FLOW_OFFLOAD_ADD,
  FLOW_OFFLOAD_DEL,
  type FlowDirection,
  type FlowOffload,
  type FlowOffloadType,
  type FlowStats,
} from '../flow-offload.ts';
import type { ExtAck } from '../netdev.ts';
import { DEL_HANDLE, DETAIL_NAMES, Opcode, RESET_SCOPE } from '../../hw/admin/format.ts';

/** One direction in (or on its way into) the device. */
interface Entry {
  state: 'adding' | 'in' | 'deleting';
  handle: number;
  /** The function whose admin queue inserted it. */
  adapter: TwinAdapter;
  /** Deleted while its insertion was under way: called when it is gone. */
  onInserted: (() => void) | null;
  /** Deltas reported so far. */
  packetsTold: number;
  bytesTold: number;
}

/** Answer of one direction. */
interface DirectionResult {
  error: number;
  message: string;
  reason: string;
}

type DirectionDone = (result: DirectionResult) => void;

const OK: DirectionResult = { error: 0, message: '', reason: '' };

export class FlowTable {
  /** Requests by outcome (ethtool -S). */
  addedCount = 0;
  deletedCount = 0;
  refusedCount = 0;
  /** Refused because the table had no room. */
  noSpaceCount = 0;

  readonly counters: FlowCounters;
  private readonly entries = new Map<number, Entry>();

  constructor() {
    this.counters = new FlowCounters();
  }

  /** Entries that are in the device as far as the driver knows. */
  get inHardwareCount(): number {
    return this.counters.liveCount;
  }

  /** What the driver knows of its entries, for audits: cookie, handle (−1 while it is being added), and state. */
  audit(): { cookie: number; handle: number; state: string }[] {
    return [...this.entries].map(([cookie, { handle, state }]) => ({ cookie, handle, state }));
  }

  /** ndo_flow_offload: see driver/netdev.ts. */
  offload(
    adapter: TwinAdapter,
    type: FlowOffloadType,
    flow: FlowOffload,
    extack: ExtAck,
    done: (error: number) => void,
    stats?: FlowStats,
  ): void {
    if (type === FLOW_OFFLOAD_ADD) this.add(adapter, flow, extack, done);
    else if (type === FLOW_OFFLOAD_DEL) this.remove(flow, extack, done);
    else this.readStats(adapter, flow, extack, done, stats);
  }

  /** Removes every entry that this function inserted, in the device (RESET_TABLES) and here. */
  removeAll(adapter: TwinAdapter, done: (error: number) => void): void {
    this.forget(adapter);
    adapter.admin.submit(
      Opcode.RESET_TABLES,
      (view, at) => {
        view.setUint32(at + RESET_SCOPE, 0, true);
      },
      (error) => {
        done(error);
      },
    );
  }

  /** The function was reset: its entries are gone. */
  forget(adapter: TwinAdapter): void {
    for (const [cookie, entry] of this.entries)
      if (entry.adapter === adapter) {
        if (entry.state === 'in') this.counters.remove(entry.handle);
        this.entries.delete(cookie);
      }
  }

  private add(
    adapter: TwinAdapter,
    flow: FlowOffload,
    extack: ExtAck,
    done: (error: number) => void,
  ): void {
    const results: DirectionResult[] = [];
    const finish = (index: number, result: DirectionResult): void => {
      results[index] = result;
      if (result.error === 0 || result.error === -EEXIST) flow.inHardware |= 1 << index;
      if (results[0] === undefined || results[1] === undefined) return;
      const [first, second] = [results[0], results[1]];
      const failed = first.error !== 0 ? first : second;
      extack.message = failed.message;
      extack.reason = failed.reason;
      done(first.error === 0 || second.error === 0 ? 0 : failed.error);
    };
    for (const index of [0, 1])
      this.addDirection(adapter, flow.directions[index as 0 | 1], (result) => {
        if (result.error !== 0) this.refusedCount++;
        finish(index, result);
      });
  }

  private addDirection(adapter: TwinAdapter, way: FlowDirection, done: DirectionDone): void {
    const old = this.entries.get(way.cookie);
    if (old !== undefined) {
      if (old.state === 'in')
        done({ error: -EEXIST, message: 'flow is in hardware already', reason: 'exists' });
      else done({ error: -EBUSY, message: 'flow has a request under way', reason: 'busy' });
      return;
    }
    if (!way.inDev.hwTcOffload) {
      const message = `${way.inDev.name}: hw-tc-offload is off`;
      done({ error: -EOPNOTSUPP, message, reason: 'offload-disabled' });
      return;
    }
    const rule = translate(adapter, way);
    if (rule.fill === null) {
      done({ error: rule.error, message: rule.message, reason: rule.reason });
      return;
    }
    const entry: Entry = {
      state: 'adding',
      handle: -1,
      adapter,
      onInserted: null,
      packetsTold: 0,
      bytesTold: 0,
    };
    this.entries.set(way.cookie, entry);
    adapter.admin.submit(
      Opcode.FLOW_ADD,
      rule.fill,
      (error, handle, detail) => {
        this.inserted(way.cookie, entry, error, handle, detail, done);
      },
      (error, handle) => {
        if (error === 0) this.deleteHandle(adapter, handle, () => undefined);
      },
    );
  }

  private inserted(
    cookie: number,
    entry: Entry,
    error: number,
    handle: number,
    detail: number,
    done: DirectionDone,
  ): void {
    const forgotten = this.entries.get(cookie) !== entry;
    if (error === 0 && !forgotten) {
      entry.state = 'in';
      entry.handle = handle;
      this.counters.insert(handle);
      this.addedCount++;
      done(OK);
    } else {
      if (!forgotten) this.entries.delete(cookie);
      const reason = error === -ETIMEDOUT ? 'timeout' : (DETAIL_NAMES[detail] ?? 'device');
      if (reason === 'table-full' || reason === 'bucket-full') this.noSpaceCount++;
      done({ error: error === 0 ? -ENOENT : error, message: addMessage(reason), reason });
    }
    entry.onInserted?.();
  }

  private remove(flow: FlowOffload, extack: ExtAck, done: (error: number) => void): void {
    let waiting = 2;
    let found = 0;
    let worst = 0;
    const finish = (error: number): void => {
      if (error !== -ENOENT) found++;
      if (error !== 0 && error !== -ENOENT) worst = error;
      if (--waiting > 0) return;
      if (found > 0) {
        done(worst);
        return;
      }
      extack.message = 'flow is not in hardware';
      extack.reason = 'not-found';
      done(-ENOENT);
    };
    flow.inHardware = 0;
    for (const way of flow.directions) this.removeDirection(way.cookie, finish);
  }

  private removeDirection(cookie: number, done: (error: number) => void): void {
    const entry = this.entries.get(cookie);
    if (entry === undefined || entry.state === 'deleting') {
      done(-ENOENT);
      return;
    }
    if (entry.state === 'adding') {
      entry.onInserted = () => {
        this.removeDirection(cookie, done);
      };
      return;
    }
    entry.state = 'deleting';
    this.deleteHandle(entry.adapter, entry.handle, (error) => {
      if (this.entries.get(cookie) === entry) {
        this.entries.delete(cookie);
        this.counters.remove(entry.handle);
        this.deletedCount++;
      }
      done(error);
    });
  }

  private deleteHandle(adapter: TwinAdapter, handle: number, done: (error: number) => void): void {
    adapter.admin.submit(
      Opcode.FLOW_DEL,
      (view, at) => {
        view.setUint32(at + DEL_HANDLE, handle, true);
      },
      (error) => {
        done(error);
      },
    );
  }

  private readStats(
    adapter: TwinAdapter,
    flow: FlowOffload,
    extack: ExtAck,
    done: (error: number) => void,
    stats?: FlowStats,
  ): void {
    const known = flow.directions.some((way) => this.entries.get(way.cookie)?.state === 'in');
    if (!known) {
      extack.message = 'flow is not in hardware';
      extack.reason = 'not-found';
      done(-ENOENT);
      return;
    }
    this.counters.refresh(adapter, (error) => {
      if (error === 0 && stats !== undefined) this.fillStats(flow, stats);
      done(error);
    });
  }

  private fillStats(flow: FlowOffload, stats: FlowStats): void {
    stats.lastUsedPs = 0;
    for (const index of [0, 1] as const) {
      const entry = this.entries.get(flow.directions[index].cookie);
      stats.packets[index] = 0;
      stats.bytes[index] = 0;
      if (entry?.state !== 'in') continue;
      const { packets, bytes, lastHitPs } = this.counters;
      stats.packets[index] = packets[entry.handle] - entry.packetsTold;
      stats.bytes[index] = bytes[entry.handle] - entry.bytesTold;
      entry.packetsTold = packets[entry.handle];
      entry.bytesTold = bytes[entry.handle];
      stats.lastUsedPs = Math.max(stats.lastUsedPs, lastHitPs[entry.handle]);
    }
  }
}

/** One sentence for the user per reason. */
function addMessage(reason: string): string {
  switch (reason) {
    case 'table-full':
      return 'flow table of the device is full';
    case 'bucket-full':
      return 'no free entry in reach of this key in the flow table';
    case 'same-key':
      return 'an entry with the same key is in the flow table';
    case 'timeout':
      return 'the device did not answer in time';
    default:
      return `the device refused the entry: ${reason}`;
  }
}
