// The card's flow table as its driver sees it: one entry per direction of a connection, keyed by cookie, put in and taken out
// through the admin queue.
//
// One FlowTable serves all functions of a card, because the device has one table for all its ports. A direction that is
// deleted while its insertion is under way is removed when the insertion completes; an insertion that completes after its
// time limit is removed again. The two forms of asking are flow-hook.ts (ndo_flow_offload) and flow-block.ts (TC_SETUP_FT).
//
// Reasons in extack (beside the device's own Detail names: table-full, bucket-full, same-key, ...): flow-translate.ts's,
// 'offload-disabled', 'exists', 'busy', 'not-found', 'timeout', 'device'.

import type { TwinAdapter } from './adapter.ts';
import { FlowCounters } from './flow-stats.ts';
import { translate } from './flow-translate.ts';
import { EBUSY, EEXIST, ENOENT, EOPNOTSUPP, ETIMEDOUT } from '../errno.ts';
import type { FlowBlock } from '../flow-block.ts';
import type { FlowDirection } from '../flow-offload.ts';
import { DEL_HANDLE, DETAIL_NAMES, Opcode, RESET_SCOPE } from '../../hw/admin/format.ts';

/** One direction in (or on its way into) the device. */
interface Entry {
  state: 'adding' | 'in' | 'deleting';
  handle: number;
  /** The function whose admin queue inserted it. */
  adapter: TwinAdapter;
  block: FlowBlock | null;
  /** Deleted while its insertion was under way: called when it is gone. */
  onInserted: (() => void) | null;
  /** Deltas reported so far. */
  packetsTold: number;
  bytesTold: number;
}

/** Answer of one direction. */
export interface DirectionResult {
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

  /** Inserts a direction; `block` is the flow block that asked, null for ndo_flow_offload. */
  addDirection(
    adapter: TwinAdapter,
    way: FlowDirection,
    block: FlowBlock | null,
    asked: DirectionDone,
  ): void {
    const done: DirectionDone = (result) => {
      if (result.error !== 0 && result.error !== -EEXIST) this.refusedCount++;
      asked(result);
    };
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
      block,
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

  /** Takes a direction out; −ENOENT for one that is not there. */
  removeDirection(cookie: number, done: (error: number) => void): void {
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

  /** Reads an entry's counters: deltas since the last call; `lastUsedPs` 0 for never. −ENOENT when it is not in the device. */
  readStats(
    adapter: TwinAdapter,
    cookie: number,
    done: (error: number, packets: number, bytes: number, lastUsedPs: number) => void,
  ): void {
    if (!this.isIn(cookie)) {
      done(-ENOENT, 0, 0, 0);
      return;
    }
    this.counters.refresh(adapter, (error) => {
      const entry = this.entries.get(cookie);
      if (error !== 0 || entry?.state !== 'in') {
        done(error, 0, 0, 0);
        return;
      }
      const packets = this.counters.packets[entry.handle];
      const bytes = this.counters.bytes[entry.handle];
      const told = { packets: packets - entry.packetsTold, bytes: bytes - entry.bytesTold };
      // Before the answer: who gets it may ask the card's other function about the same entry at once.
      entry.packetsTold = packets;
      entry.bytesTold = bytes;
      done(0, told.packets, told.bytes, this.counters.lastHitPs[entry.handle]);
    });
  }

  /** The direction is in the device as far as the driver knows. */
  isIn(cookie: number): boolean {
    return this.entries.get(cookie)?.state === 'in';
  }

  /** Removes what a function inserted for a flow block. */
  removeBlock(adapter: TwinAdapter, block: FlowBlock): void {
    for (const [cookie, entry] of [...this.entries])
      if (entry.adapter === adapter && entry.block === block)
        this.removeDirection(cookie, () => undefined);
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
