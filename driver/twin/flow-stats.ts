// Counter cache of the flow table: all entries are read together, at most once a second, by bulk COUNTERS_READ commands.
//
// A STATS request is answered from the cache while that is younger than a second; otherwise it waits for a refresh, which
// serves all requests that came meanwhile. One command covers a range of 4,096 handles that has at least one live
// entry, so 50,000 flows cost 13 commands a second, not 50,000.

import type { TwinAdapter } from './adapter.ts';
import type { CoherentMemory } from '../alloc.ts';
import { ENOMEM } from '../errno.ts';
import {
  COUNTER_RECORD_BYTES,
  Opcode,
  READ_COUNT,
  READ_FIRST,
  READ_IOVA,
  READ_TABLE,
  REC_BYTES,
  REC_FLAGS,
  REC_FLAG_VALID,
  REC_LAST_HIT_PS,
  REC_PACKETS,
  TABLE_FLOW,
  readU64,
  writeU64,
} from '../../hw/admin/format.ts';

const RANGE_SHIFT = 12;
const RANGE_ENTRIES = 1 << RANGE_SHIFT;
/** Age at which the cache is refreshed, ps. */
const REFRESH_PS = 1e12;

export class FlowCounters {
  /** Per handle since insertion, as of the last refresh. */
  packets = new Float64Array(RANGE_ENTRIES);
  bytes = new Float64Array(RANGE_ENTRIES);
  lastHitPs = new Float64Array(RANGE_ENTRIES);
  /** Entries in the device. */
  liveCount = 0;
  /** Packets seen by refreshes, entries since removed included. */
  totalPackets = 0;
  /** Refreshes done, and the commands they took. */
  refreshCount = 0;
  commandCount = 0;

  private live = new Uint8Array(RANGE_ENTRIES);
  private liveInRange = new Int32Array(1);
  private refreshedPs = -Infinity;
  private waiting: ((error: number) => void)[] = [];
  private buffer: CoherentMemory | null = null;

  /** An entry came into being: its counters start at zero. */
  insert(handle: number): void {
    this.reserve(handle);
    this.packets[handle] = 0;
    this.bytes[handle] = 0;
    this.lastHitPs[handle] = 0;
    this.live[handle] = 1;
    this.liveInRange[handle >> RANGE_SHIFT]++;
    this.liveCount++;
  }

  remove(handle: number): void {
    if (this.live[handle] !== 1) return;
    this.live[handle] = 0;
    this.liveInRange[handle >> RANGE_SHIFT]--;
    this.liveCount--;
  }

  /** Calls `done` when the cache is less than a second old: at once, or after a refresh through `adapter`. */
  refresh(adapter: TwinAdapter, done: (error: number) => void): void {
    const { kernel } = adapter;
    if (kernel.scheduler.nowPs - this.refreshedPs < REFRESH_PS && this.waiting.length === 0) {
      done(0);
      return;
    }
    this.waiting.push(done);
    if (this.waiting.length > 1) return;
    this.buffer ??= kernel.dma_alloc_coherent(RANGE_ENTRIES * COUNTER_RECORD_BYTES);
    if (this.buffer === null) {
      this.finish(-ENOMEM);
      return;
    }
    this.readRange(adapter, 0, kernel.scheduler.nowPs);
  }

  private readRange(adapter: TwinAdapter, from: number, startPs: number): void {
    let range = from;
    while (range < this.liveInRange.length && this.liveInRange[range] === 0) range++;
    if (range >= this.liveInRange.length) {
      this.refreshedPs = startPs;
      this.refreshCount++;
      this.finish(0);
      return;
    }
    const first = range << RANGE_SHIFT;
    this.commandCount++;
    adapter.admin.submit(
      Opcode.COUNTERS_READ,
      (view, at) => {
        view.setUint32(at + READ_TABLE, TABLE_FLOW, true);
        view.setUint32(at + READ_FIRST, first, true);
        view.setUint32(at + READ_COUNT, this.lastLive(first) - first + 1, true);
        writeU64(view, at + READ_IOVA, (this.buffer as CoherentMemory).iova);
      },
      (error, recordCount) => {
        if (error !== 0) {
          this.finish(error);
          return;
        }
        this.takeRecords(first, recordCount);
        this.readRange(adapter, range + 1, startPs);
      },
    );
  }

  /** Highest live handle of the range that begins at `first`. */
  private lastLive(first: number): number {
    let handle = first + RANGE_ENTRIES - 1;
    while (handle > first && this.live[handle] === 0) handle--;
    return handle;
  }

  private takeRecords(first: number, recordCount: number): void {
    const { view, at: bufferAt } = this.buffer as CoherentMemory;
    for (let i = 0; i < recordCount; i++) {
      const handle = first + i;
      const at = bufferAt + i * COUNTER_RECORD_BYTES;
      if (this.live[handle] !== 1) continue;
      if ((view.getUint32(at + REC_FLAGS, true) & REC_FLAG_VALID) === 0) continue;
      const packets = readU64(view, at + REC_PACKETS);
      this.totalPackets += packets - this.packets[handle];
      this.packets[handle] = packets;
      this.bytes[handle] = readU64(view, at + REC_BYTES);
      this.lastHitPs[handle] = readU64(view, at + REC_LAST_HIT_PS);
    }
  }

  private finish(error: number): void {
    const { waiting } = this;
    this.waiting = [];
    for (const done of waiting) done(error);
  }

  private reserve(handle: number): void {
    if (handle < this.live.length) return;
    const size = Math.max(this.live.length * 2, (handle & ~(RANGE_ENTRIES - 1)) + RANGE_ENTRIES);
    const grow = (old: Float64Array): Float64Array<ArrayBuffer> => {
      const bigger = new Float64Array(size);
      bigger.set(old);
      return bigger;
    };
    this.packets = grow(this.packets);
    this.bytes = grow(this.bytes);
    this.lastHitPs = grow(this.lastHitPs);
    const live = new Uint8Array(size);
    live.set(this.live);
    this.live = live;
    const inRange = new Int32Array(size >> RANGE_SHIFT);
    inRange.set(this.liveInRange);
    this.liveInRange = inRange;
  }
}
