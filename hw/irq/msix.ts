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
// A low-latency cause (LLI: filters say which packets, steering/) does not wait for the EITR interval. With EITR.LLI_MOD it takes one
// of the vector's credits, which come back one every GPIE.LL_INTERVAL times 4 us; without a credit it waits as any other.
// Left out: the level of the legacy line (it is one message, as MSI), EITR's running counter.

import type { EventHandler, EventId, Scheduler } from '../time/scheduler.ts';
import { NO_EVENT } from '../time/scheduler.ts';
import {
  EICR_RTX_QUEUE,
  EICR_TCP_TIMER,
  EITR_CNT_WDIS,
  EITR_ITR_MASK,
  EITR_ITR_SHIFT,
  EITR_LLI_CREDIT_MASK,
  EITR_LLI_CREDIT_SHIFT,
  EITR_LLI_MOD,
  GPIE_EIAME,
  GPIE_LL_INTERVAL_MASK,
  GPIE_LL_INTERVAL_SHIFT,
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
/** One step of GPIE.LL_INTERVAL, ps. */
const LL_STEP_PS = 4_000_000;

/** What the vectors need from the rest of the device. */
export interface CauseSource {
  /** Earliest staged write-back of the queues of a vector, ps; Infinity for none. */
  nextCausePs(vector: number): number;
  /** A vector is about to fire: publish what is due, count the message. */
  beforeFire(vector: number): void;
}

/** Vectors that have a bit in EICR. */
const EICR_VECTORS = 16;

export class Msix implements EventHandler {
  /** Messages sent, per vector. */
  readonly fired: Float64Array;
  /** GPIE. */
  gpie = 0;
  /** Vector of link and other causes (IVAR_MISC), −1 for none. */
  otherVector = -1;
  /** Vector of the TCP timer, −1 for none. */
  tcpVector = -1;

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
  /** Other causes that want to be told. */
  private otherPending = 0;
  private autoMaskOther = 0;
  /** Vectors whose low-latency interrupts take credits; the credits, and when they were last counted. */
  private readonly moderatesLow: Uint8Array;
  private readonly credits: Uint8Array;
  private readonly creditPs: Float64Array;
  /** No vector of 0 to 15 has a cause before this time, ps: reading EICR looks no further. */
  private earliestPs = Infinity;
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
    this.moderatesLow = new Uint8Array(vectors);
    this.credits = new Uint8Array(vectors);
    this.creditPs = new Float64Array(vectors);
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
    this.otherPending = 0;
    this.moderatesLow.fill(0);
    this.credits.fill(0);
    this.earliestPs = Infinity;
    this.gpie = 0;
    this.otherVector = -1;
    this.tcpVector = -1;
  }

  /** A cause of `vector` becomes true at `atPs`. */
  raise(vector: number, atPs: number): void {
    if (vector < 0 || vector >= this.vectors) return;
    if (atPs >= this.causePs[vector]) return;
    this.causePs[vector] = atPs;
    if (atPs < this.earliestPs && vector < EICR_VECTORS) this.earliestPs = atPs;
    if (this.isUnmasked(vector)) this.arm(vector, atPs);
  }

  /** As `raise`, for a cause that does not wait for the interval. */
  raiseLowLatency(vector: number, atPs: number): void {
    if (vector < 0 || vector >= this.vectors) return;
    const moderated = this.isMultiple ? vector : 0;
    if (this.takesCredit(moderated)) this.allowedPs[moderated] = 0;
    this.raise(vector, atPs);
    if (this.isUnmasked(vector)) this.arm(vector, atPs);
  }

  /** Whether a low-latency interrupt may pass now; takes its credit. */
  private takesCredit(vector: number): boolean {
    if (this.moderatesLow[vector] === 0) return true;
    const credits = this.creditsOf(vector);
    if (credits === 0) return false;
    this.credits[vector] = credits - 1;
    return true;
  }

  /** Credits of a vector by now. */
  private creditsOf(vector: number): number {
    const steps = (this.gpie >>> GPIE_LL_INTERVAL_SHIFT) & GPIE_LL_INTERVAL_MASK;
    if (steps === 0) return this.credits[vector];
    const stepPs = steps * LL_STEP_PS;
    const more = Math.floor((this.scheduler.nowPs - this.creditPs[vector]) / stepPs);
    this.creditPs[vector] = this.creditPs[vector] + more * stepPs;
    this.credits[vector] = Math.min(this.credits[vector] + more, EITR_LLI_CREDIT_MASK);
    return this.credits[vector];
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
    if (this.earliestPs <= nowPs) value |= this.dueVectors(nowPs);
    if (value !== 0) this.clearCauses(value);
    return value;
  }

  /** Vectors 0 to 15 that have a cause by `nowPs`, as bits; brings `earliestPs` up to date. */
  private dueVectors(nowPs: number): number {
    let due = 0;
    let earliestPs = Infinity;
    for (let v = 0; v < EICR_VECTORS && v < this.vectors; v++) {
      const causePs = this.causePs[v];
      if (causePs <= nowPs) due |= 1 << v;
      if (causePs < earliestPs) earliestPs = causePs;
    }
    this.earliestPs = earliestPs;
    return due;
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
    for (let v = 0; v < EICR_VECTORS && v < this.vectors; v++)
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
    if (vector >= this.vectors) return;
    this.intervalPs[vector] = ((eitr & EITR_ITR_MASK) >>> EITR_ITR_SHIFT) * EITR_STEP_PS;
    this.moderatesLow[vector] = (eitr & EITR_LLI_MOD) !== 0 ? 1 : 0;
    if ((eitr & EITR_CNT_WDIS) !== 0) return;
    this.credits[vector] = (eitr >>> EITR_LLI_CREDIT_SHIFT) & EITR_LLI_CREDIT_MASK;
    this.creditPs[vector] = this.scheduler.nowPs;
  }

  /** EITR as read: what was written, with the credits as they are. */
  eitr(vector: number, written: number): number {
    if (vector >= this.vectors) return written;
    const kept = written & ~(EITR_CNT_WDIS | (EITR_LLI_CREDIT_MASK << EITR_LLI_CREDIT_SHIFT));
    return kept | (this.creditsOf(vector) << EITR_LLI_CREDIT_SHIFT);
  }

  /** The vector's time has come. */
  onEvent(vector: number): void {
    this.events[vector] = NO_EVENT;
    const nowPs = this.scheduler.nowPs;
    if (!this.isMultiple) return this.tellSingle(nowPs);
    const fires = this.causePs[vector] <= nowPs && this.isUnmasked(vector);
    const firesOther = this.takeOther(this.othersOf(vector));
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
    for (let v = 0; v < EICR_VECTORS && v < this.vectors; v++) {
      if (!this.isUnmasked(v)) continue;
      const causePs = this.causePs[v];
      if (causePs <= nowPs) due |= 1 << v;
      else if (causePs < nextPs) nextPs = causePs;
    }
    const isNew = (due & ~this.recorded[0]) !== 0 || this.retells;
    const tellsOther = this.takeOther(-1);
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
    const due = this.otherCauses & this.otherMask;
    if (due === 0) return;
    this.tryOn(this.otherVector, due & ~EICR_TCP_TIMER);
    this.tryOn(this.tcpVector, due & EICR_TCP_TIMER);
  }

  private tryOn(vector: number, causes: number): void {
    if (causes === 0 || (this.isMultiple && vector < 0)) return;
    this.otherPending |= causes;
    this.arm(vector, this.scheduler.nowPs);
  }

  /** Causes beside the queues that a vector tells of. */
  private othersOf(vector: number): number {
    const timer = vector === this.tcpVector ? EICR_TCP_TIMER : 0;
    return vector === this.otherVector ? ~EICR_TCP_TIMER | timer : timer;
  }

  /** Whether one of these causes is to be told now; a cause of EIAC is then cleared. */
  private takeOther(causes: number): boolean {
    const due = this.otherPending & causes & this.otherCauses & this.otherMask;
    this.otherPending &= ~causes;
    if (this.isMultiple) this.otherCauses &= ~(due & this.autoClear & EICR_TCP_TIMER);
    return due !== 0;
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
