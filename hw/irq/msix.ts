// Interrupts of one function: causes, masks, auto-clear and auto-mask, moderation (82599 7.3), in MSI-X mode and with a single
// message (GPIE.MSIX_MODE clear: legacy and MSI).
//
// A vector holds at most one pending event. A cause is raised with the time at which it becomes true (a write-back's
// finish), which may lie ahead; the vector fires at max(cause + message latency, end of its EITR interval), if it is
// unmasked then. A masked cause stays pending and fires on unmasking. When a vector fires, write-backs that are still
// on their way are asked for (`nextCausePs`), so that none loses its interrupt.
// Vectors 0 to 15 are bits of EICR, EIMS, EIMC, EIAC, EIAM; all vectors are bits of the _EX registers; vectors from 16
// on always auto-clear. With a single message IVAR names bits of EICR; a bit that becomes set and is unmasked sends vector 0,
// spaced by EITR 0, and stays set until the driver reads or clears EICR (which masks what EIAM says).
// Left out: low-latency interrupts, the level of the legacy line (it is one message, as MSI).

import type { EventHandler, EventId, Scheduler } from '../time/scheduler.ts';
import { NO_EVENT } from '../time/scheduler.ts';
import {
  EICR_RTX_QUEUE,
  EITR_ITR_MASK,
  EITR_ITR_SHIFT,
  GPIE_EIAME,
  GPIE_MSIX_MODE,
  GPIE_OCD,
} from '../regs.ts';

/** Takes MSI-X messages: the host's interrupt controller. */
export interface MsixSink {
  /** Vector `vector` of function `functionIndex` fired; called at its time from the scheduler. */
  interrupt(functionIndex: number, vector: number): void;
}

/** One step of EITR, ps. */
export const EITR_STEP_PS = 2_048_000;

/** What the vectors need from the rest of the device. */
export interface CauseSource {
  /** Earliest staged write-back of the queues of a vector, ps; Infinity for none. */
  nextCausePs(vector: number): number;
  /** A vector is about to fire: publish what is due, count the message. */
  beforeFire(vector: number): void;
}

export class Msix implements EventHandler {
  /** Messages sent, per vector. */
  readonly fired: Float64Array;
  /** GPIE. */
  gpie = 0;
  /** Vector of link and other causes (IVAR_MISC), −1 for none. */
  otherVector = -1;

  private readonly functionIndex: number;
  private readonly scheduler: Scheduler;
  private readonly sink: MsixSink;
  private readonly source: CauseSource;
  private readonly latencyPs: number;
  private readonly vectors: number;
  private readonly causePs: Float64Array;
  private readonly allowedPs: Float64Array;
  private readonly intervalPs: Float64Array;
  private readonly eventPs: Float64Array;
  private readonly events: EventId[] = [];
  /** Bits per vector, two words each. */
  private readonly mask = new Int32Array(2);
  private readonly autoMask = new Int32Array(2);
  private readonly recorded = new Int32Array(2);
  private autoClear = 0;
  private otherCauses = 0;
  private otherMask = 0;
  private otherPending = false;
  private autoMaskOther = 0;
  /** Single message: set bits were unmasked and want to be told again. */
  private retells = false;

  constructor(
    functionIndex: number,
    vectors: number,
    scheduler: Scheduler,
    sink: MsixSink,
    source: CauseSource,
    latencyPs: number,
  ) {
    this.functionIndex = functionIndex;
    this.vectors = vectors;
    this.scheduler = scheduler;
    this.sink = sink;
    this.source = source;
    this.latencyPs = latencyPs;
    this.fired = new Float64Array(vectors);
    this.causePs = new Float64Array(vectors).fill(Infinity);
    this.allowedPs = new Float64Array(vectors);
    this.intervalPs = new Float64Array(vectors);
    this.eventPs = new Float64Array(vectors);
    for (let v = 0; v < vectors; v++) this.events.push(NO_EVENT);
  }

  /** Masks everything, forgets causes and pending events. */
  reset(): void {
    for (let v = 0; v < this.vectors; v++) this.cancel(v);
    this.causePs.fill(Infinity);
    this.allowedPs.fill(0);
    this.intervalPs.fill(0);
    this.mask.fill(0);
    this.autoMask.fill(0);
    this.autoMaskOther = 0;
    this.retells = false;
    this.recorded.fill(0);
    this.autoClear = 0;
    this.otherCauses = 0;
    this.otherMask = 0;
    this.otherPending = false;
    this.gpie = 0;
    this.otherVector = -1;
  }

  /** A cause of `vector` becomes true at `atPs`. */
  raise(vector: number, atPs: number): void {
    if (vector < 0 || vector >= this.vectors) return;
    if (atPs >= this.causePs[vector]) return;
    this.causePs[vector] = atPs;
    if (this.isUnmasked(vector)) this.arm(vector, atPs);
  }

  /** GPIE.MSIX_MODE. */
  get isMultiple(): boolean {
    return (this.gpie & GPIE_MSIX_MODE) !== 0;
  }

  /** EITR interval of a vector, ps; 0 for none. */
  intervalOf(vector: number): number {
    if (vector < 0 || vector >= this.vectors) return 0;
    return this.intervalPs[this.isMultiple ? vector : 0];
  }

  /** Causes outside the queues (bits 16 to 30 of EICR), now. */
  raiseOther(causes: number): void {
    this.otherCauses |= causes;
    this.tryOther();
  }

  /** EICR: causes that are true now; reading clears them (only bits 16 and up with GPIE.OCD). */
  readEicr(): number {
    const nowPs = this.scheduler.nowPs;
    let value = this.otherCauses | (this.recorded[0] & EICR_RTX_QUEUE);
    for (let v = 0; v < 16 && v < this.vectors; v++) if (this.causePs[v] <= nowPs) value |= 1 << v;
    this.clearCauses(value);
    return value;
  }

  /** Reading or clearing EICR masks what EIAM says, where messages do not. */
  private autoMaskRead(bits: number): void {
    if (this.isMultiple && (this.gpie & GPIE_EIAME) !== 0) return;
    this.mask[0] = this.mask[0] & ~(this.autoMask[0] & bits & EICR_RTX_QUEUE);
    this.otherMask &= ~(this.autoMaskOther & bits);
  }

  /** EICR write: write 1 to clear. */
  clearCauses(bits: number): void {
    if (bits === 0) return;
    this.autoMaskRead(bits);
    this.otherCauses &= ~bits;
    if ((this.gpie & GPIE_OCD) !== 0) return;
    const nowPs = this.scheduler.nowPs;
    this.recorded[0] = this.recorded[0] & ~bits;
    for (let v = 0; v < 16 && v < this.vectors; v++)
      if ((bits & (1 << v)) !== 0 && this.causePs[v] <= nowPs) {
        if (this.isMultiple) this.cancel(v);
        this.causePs[v] = Infinity;
        const nextPs = this.source.nextCausePs(v);
        if (nextPs < Infinity) this.raise(v, nextPs);
      }
  }

  /** EIMS, EIMC as read: the mask. */
  get eims(): number {
    return (this.mask[0] & EICR_RTX_QUEUE) | this.otherMask;
  }

  /** EIMS_EX(i) as read. */
  eimsEx(i: number): number {
    return this.mask[i];
  }

  /** EIMS write: bits 15:0 are vectors, the rest other causes. */
  setMask(bits: number): void {
    this.otherMask |= bits & ~EICR_RTX_QUEUE;
    this.setMaskEx(0, bits & EICR_RTX_QUEUE);
    this.tryOther();
  }

  /** EIMC write. */
  clearMask(bits: number): void {
    this.otherMask &= ~bits | EICR_RTX_QUEUE;
    this.clearMaskEx(0, bits & EICR_RTX_QUEUE);
  }

  /** EIMS_EX write: unmasks vectors; pending causes fire. */
  setMaskEx(i: number, bits: number): void {
    const newly = bits & ~this.mask[i];
    if (newly === 0) return;
    this.mask[i] = this.mask[i] | bits;
    if (i === 0 && !this.isMultiple && (this.recorded[0] & newly) !== 0) {
      this.retells = true;
      this.arm(0, this.scheduler.nowPs);
    }
    for (let b = 0; b < 32; b++) {
      const vector = 32 * i + b;
      if ((newly & (1 << b)) === 0 || vector >= this.vectors) continue;
      const causePs = this.causePs[vector];
      if (causePs < Infinity) this.arm(vector, causePs);
    }
  }

  /** EIMC_EX write. */
  clearMaskEx(i: number, bits: number): void {
    this.mask[i] = this.mask[i] & ~bits;
  }

  /** EIAC write. */
  setAutoClear(bits: number): void {
    this.autoClear = bits;
  }

  /** EIAM write: bits 15:0 are vectors, the rest other causes. */
  setAutoMaskLow(bits: number): void {
    this.autoMaskOther = bits & ~EICR_RTX_QUEUE;
    this.setAutoMask(0, bits & EICR_RTX_QUEUE);
  }

  /** EIAM_EX write (EIAM is its low half). */
  setAutoMask(i: number, bits: number): void {
    this.autoMask[i] = bits;
  }

  /** EICS write: software interrupts. */
  setCauses(bits: number): void {
    this.setCausesEx(0, bits & EICR_RTX_QUEUE);
    if ((bits & ~EICR_RTX_QUEUE) !== 0) this.raiseOther(bits & ~EICR_RTX_QUEUE);
  }

  /** EICS_EX write. */
  setCausesEx(i: number, bits: number): void {
    for (let b = 0; b < 32; b++)
      if ((bits & (1 << b)) !== 0) this.raise(32 * i + b, this.scheduler.nowPs);
  }

  /** EITR write: takes effect from the next interrupt on. */
  setInterval(vector: number, eitr: number): void {
    if (vector < this.vectors)
      this.intervalPs[vector] = ((eitr & EITR_ITR_MASK) >>> EITR_ITR_SHIFT) * EITR_STEP_PS;
  }

  /** The vector's time has come. */
  onEvent(vector: number): void {
    this.events[vector] = NO_EVENT;
    const nowPs = this.scheduler.nowPs;
    if (!this.isMultiple) return this.tellSingle(nowPs);
    const fires = this.causePs[vector] <= nowPs && this.isUnmasked(vector);
    const firesOther = vector === this.otherVector && this.takeOther();
    if (!fires && !firesOther) return;
    this.source.beforeFire(vector);
    if (fires) this.latch(vector);
    this.fired[vector] = this.fired[vector] + 1;
    this.allowedPs[vector] = nowPs + this.intervalPs[vector];
    const nextPs = this.source.nextCausePs(vector);
    if (nextPs < Infinity) this.raise(vector, nextPs);
    this.sink.interrupt(this.functionIndex, vector);
  }

  /** Single message: sends it when an unmasked bit of EICR becomes set. */
  private tellSingle(nowPs: number): void {
    let due = 0;
    let nextPs = Infinity;
    for (let v = 0; v < 16 && v < this.vectors; v++) {
      if (!this.isUnmasked(v)) continue;
      const causePs = this.causePs[v];
      if (causePs <= nowPs) due |= 1 << v;
      else if (causePs < nextPs) nextPs = causePs;
    }
    const isNew = (due & ~this.recorded[0]) !== 0 || this.retells;
    const tellsOther = this.takeOther();
    this.retells = false;
    if (isNew || tellsOther) {
      this.source.beforeFire(0);
      this.fired[0] = this.fired[0] + 1;
      this.allowedPs[0] = nowPs + this.intervalPs[0];
    }
    this.recorded[0] = this.recorded[0] | due;
    for (let v = 0; due >>> v !== 0; v++)
      if ((due & (1 << v)) !== 0) {
        this.causePs[v] = Infinity;
        // What is due already shows in the bit that is set; raising it again would not end.
        const laterPs = this.source.nextCausePs(v);
        if (laterPs > nowPs) this.raise(v, laterPs);
      }
    if (nextPs < Infinity) this.arm(0, nextPs);
    if (isNew || tellsOther) this.sink.interrupt(this.functionIndex, 0);
  }

  /** EICR, auto-clear and auto-mask of a queue vector that fires. */
  private latch(vector: number): void {
    const i = vector >> 5;
    const bit = 1 << (vector & 31);
    this.causePs[vector] = Infinity;
    const clears = vector >= 16 || (this.autoClear & bit) !== 0;
    this.recorded[i] = clears ? this.recorded[i] & ~bit : this.recorded[i] | bit;
    if ((this.gpie & GPIE_EIAME) !== 0 && (this.autoMask[i] & bit) !== 0)
      this.mask[i] = this.mask[i] & ~bit;
  }

  private isUnmasked(vector: number): boolean {
    return (this.mask[vector >> 5] & (1 << (vector & 31))) !== 0;
  }

  private tryOther(): void {
    if ((this.otherCauses & this.otherMask) === 0) return;
    if (this.isMultiple && this.otherVector < 0) return;
    this.otherPending = true;
    this.arm(this.otherVector, this.scheduler.nowPs);
  }

  private takeOther(): boolean {
    const fires = this.otherPending && (this.otherCauses & this.otherMask) !== 0;
    this.otherPending = false;
    return fires;
  }

  /** Makes sure that the vector's event is not later than this cause demands. */
  private arm(causeVector: number, causePs: number): void {
    const vector = this.isMultiple ? causeVector : 0;
    if (vector >= this.vectors) return;
    let atPs = causePs + this.latencyPs;
    if (this.allowedPs[vector] > atPs) atPs = this.allowedPs[vector];
    if (this.scheduler.nowPs > atPs) atPs = this.scheduler.nowPs;
    const event = this.events[vector];
    if (event !== NO_EVENT) {
      if (this.eventPs[vector] <= atPs) return;
      this.scheduler.cancel(event);
    }
    this.eventPs[vector] = atPs;
    this.events[vector] = this.scheduler.schedule(atPs, this, vector);
  }

  private cancel(vector: number): void {
    this.scheduler.cancel(this.events[vector]);
    this.events[vector] = NO_EVENT;
  }
}
