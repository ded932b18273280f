// How one transmit ring tells the driver what is done (82599 7.2.3.5, 7.2.6): DD in descriptors with RS, one by one or
// TXDCTL.WTHRESH at a time, or the ring's head written to a place of its own (TDWBAL.HEAD_WB_EN).
//
// With WTHRESH, finished descriptors are held until so many are there or the EITR interval of the queue's vector is over; without
// an interval they wait for company, which is why drivers set WTHRESH only together with EITR.

import { QUEUE_WORDS, type DeviceContext } from '../context.ts';
import type { EventHandler } from '../time/scheduler.ts';
import { NO_EVENT } from '../time/scheduler.ts';
import { DESCRIPTOR_BYTES, TXD_STAT_DD } from './descriptor.ts';
import { StagedWrites } from './staged.ts';

const HEAD_BYTES = 4;
/** WTHRESH has seven bits. */
const HELD_MAX = 128;

export class TxWriteBack implements EventHandler {
  staged = new StagedWrites(2);
  /** Descriptors written back at once, 0: each by itself. */
  wthresh = 0;
  /** Where the head is written, −1: nowhere (DD in descriptors). */
  headIova = -1;
  /** Called when a write-back is staged: (queue, finish time). */
  onStaged: (queueIndex: number, finishPs: number) => void = () => {};
  /** Called when a write-back found no memory. */
  onFault: (isHead: boolean) => void = () => {};
  /** EITR interval of the queue's vector, ps. */
  intervalPs: () => number = () => 0;

  private readonly ctx: DeviceContext;
  private readonly queueIndex: number;
  /** Where this queue stands in ctx.txStaged. */
  private readonly markWord: number;
  private readonly markBit: number;
  private readonly held = new Int32Array(HELD_MAX);
  private heldCount = 0;
  private baseIova = 0;
  private flushEvent = NO_EVENT;

  constructor(ctx: DeviceContext, portIndex: number, queueIndex: number) {
    this.ctx = ctx;
    this.queueIndex = queueIndex;
    this.markWord = QUEUE_WORDS * portIndex + (queueIndex >> 5);
    this.markBit = 1 << (queueIndex & 31);
  }

  /** The ring starts: `slots` descriptors at `baseIova`. */
  start(baseIova: number, slots: number): void {
    if (this.staged.count > 0) this.publish(Infinity); // of before it was disabled: long in memory
    this.baseIova = baseIova;
    if (this.staged.capacity < slots) this.staged = new StagedWrites(slots);
  }

  /** Forgets what is held and staged (reset). */
  clear(): void {
    this.ctx.scheduler.cancel(this.flushEvent);
    this.flushEvent = NO_EVENT;
    this.heldCount = 0;
    while (this.staged.count > 0) this.staged.shift();
    this.wthresh = 0;
    this.headIova = -1;
  }

  /** The descriptor in `slot` asked for a report and is done; the head is then `head`. */
  complete(slot: number, head: number, readyPs: number): void {
    if (this.headIova >= 0) {
      this.push(this.ctx.pcie.write(readyPs, HEAD_BYTES, this.headIova), head);
      return;
    }
    if (this.wthresh === 0) {
      this.push(this.ctx.pcie.write(readyPs, DESCRIPTOR_BYTES, this.iovaOf(slot)), slot);
      return;
    }
    this.held[this.heldCount++] = slot;
    if (this.heldCount >= this.wthresh) this.flush(readyPs);
    else if (this.flushEvent === NO_EVENT) {
      const intervalPs = this.intervalPs();
      if (intervalPs > 0) this.flushEvent = this.ctx.scheduler.schedule(readyPs + intervalPs, this);
    }
  }

  /** The interval is over. */
  onEvent(): void {
    this.flushEvent = NO_EVENT;
    this.flush(this.ctx.scheduler.nowPs);
  }

  /** Writes back what is held. */
  flush(readyPs: number): void {
    this.ctx.scheduler.cancel(this.flushEvent);
    this.flushEvent = NO_EVENT;
    const count = this.heldCount;
    if (count === 0) return;
    this.heldCount = 0;
    const finishPs = this.ctx.pcie.write(
      readyPs,
      DESCRIPTOR_BYTES * count,
      this.iovaOf(this.held[0]),
    );
    for (let i = 0; i < count; i++) this.push(finishPs, this.held[i]);
  }

  /** Publishes what is in host memory at `nowPs`. */
  publish(nowPs: number): void {
    while (this.staged.count > 0 && this.staged.nextPs <= nowPs) this.publishOne();
  }

  private iovaOf(slot: number): number {
    return this.baseIova + slot * DESCRIPTOR_BYTES;
  }

  private publishOne(): void {
    const { staged, headIova } = this;
    const memory = this.ctx.memory;
    const slot = staged.slot[staged.first];
    staged.shift();
    if (headIova >= 0) {
      if (memory.resolve(headIova, HEAD_BYTES))
        memory.region.view.setUint32(memory.offset, slot, true);
      else this.onFault(true);
      return;
    }
    if (memory.resolve(this.iovaOf(slot), DESCRIPTOR_BYTES))
      memory.region.view.setUint32(memory.offset + 12, TXD_STAT_DD, true);
    else this.onFault(false);
  }

  private push(finishPs: number, slot: number): void {
    // Only a driver that posts over descriptors not yet reported gets here with a full store.
    if (this.staged.count === this.staged.capacity) this.publishOne();
    this.staged.push(finishPs, slot);
    const marks = this.ctx.txStaged;
    marks[this.markWord] = marks[this.markWord] | this.markBit;
    if (finishPs < this.ctx.publishDuePs) this.ctx.publishDuePs = finishPs;
    this.onStaged(this.queueIndex, finishPs);
  }
}
