// The TCP timer (TCPTIMER, 82599 8.2.3.5): counts down milliseconds and raises EICR.TCP_TIMER, for drivers that drive their
// transports' timers by it. KICK_START loads DURATION and starts; COUNT_EN clear stops the count where it is; COUNT_FINISH raises
// the interrupt at once and loads again (it goes on with LOOP only); LOOP starts over at zero.

import { EICR_TCP_TIMER } from '../regs.ts';
import type { Msix } from '../irq/msix.ts';
import type { EventHandler, Scheduler } from '../time/scheduler.ts';
import { NO_EVENT } from '../time/scheduler.ts';
import { PS_PER_MS } from '../time/units.ts';

const DURATION_MASK = 0xff;
const KICK_START = 1 << 8;
const COUNT_EN = 1 << 9;
const COUNT_FINISH = 1 << 10;
const LOOP = 1 << 11;

export class TcpTimer implements EventHandler {
  private readonly scheduler: Scheduler;
  private readonly msix: Msix;
  private control = 0;
  /** What is left to count, ps, while the timer stands; 0: nothing. */
  private leftPs = 0;
  private endPs = 0;
  private event = NO_EVENT;

  constructor(scheduler: Scheduler, msix: Msix) {
    this.scheduler = scheduler;
    this.msix = msix;
  }

  /** TCPTIMER was written; returns what it reads from now on. */
  write(value: number): number {
    this.stop();
    this.control = value;
    const loops = (value & LOOP) !== 0;
    if ((value & COUNT_FINISH) !== 0) {
      this.leftPs = loops ? this.durationPs : 0;
      this.msix.raiseOther(EICR_TCP_TIMER);
    }
    if ((value & KICK_START) !== 0) this.leftPs = this.durationPs;
    if ((value & COUNT_EN) !== 0) this.run();
    return value & (DURATION_MASK | COUNT_EN | LOOP);
  }

  reset(): void {
    this.stop();
    this.control = 0;
    this.leftPs = 0;
  }

  onEvent(): void {
    this.event = NO_EVENT;
    this.leftPs = (this.control & LOOP) !== 0 ? this.durationPs : 0;
    this.run();
    this.msix.raiseOther(EICR_TCP_TIMER);
  }

  private get durationPs(): number {
    return (this.control & DURATION_MASK) * PS_PER_MS;
  }

  private run(): void {
    if (this.leftPs <= 0) return;
    this.endPs = this.scheduler.nowPs + this.leftPs;
    this.event = this.scheduler.schedule(this.endPs, this);
  }

  private stop(): void {
    if (this.event === NO_EVENT) return;
    this.scheduler.cancel(this.event);
    this.event = NO_EVENT;
    this.leftPs = this.endPs - this.scheduler.nowPs;
  }
}
