// State of one port's link: the cable, AUTOC's restart of the negotiation, the MAC's loopback (82599 3.7.4, 8.2.3.22).
//
// The link is up when there is a cable and no negotiation runs, or in loopback. A restart (AUTOC.AN_RESTART, a link reset)
// takes it down for `TRAINING_PS` and takes the mode that AUTOC then has. Changes raise EICR.LSC.
//
// Modes (AUTOC.LMS): 1 Gb/s, or the port's own rate, "10 Gb/s" in the registers of a faster device too. The backplane modes
// negotiate the best of what the driver offers. Left out: what the partner can do (everything), its pause abilities, 100 Mb/s.

import * as R from '../regs.ts';
import { EICR_LSC } from '../regs.ts';
import type { Msix } from '../irq/msix.ts';
import type { Port } from '../mac/port.ts';
import type { EventHandler, Scheduler } from '../time/scheduler.ts';
import { NO_EVENT } from '../time/scheduler.ts';

/** Serial 10G link: from the restart to link up, ps. Assumed; drivers wait seconds for it. */
const TRAINING_PS = 20e9;

const ONE_GBPS = 1e9;

export class Link implements EventHandler {
  private hasCable = true;
  private downCount = 0;
  private trainedPs = -Infinity;
  /** The last negotiation found nothing in common. */
  private hasFailed = false;
  private event = NO_EVENT;
  private readonly port: Port;
  private readonly scheduler: Scheduler;
  private readonly msix: Msix;

  constructor(port: Port, scheduler: Scheduler, msix: Msix) {
    this.port = port;
    this.scheduler = scheduler;
    this.msix = msix;
  }

  /** Plugs or pulls the cable. */
  setCable(isPlugged: boolean): void {
    this.hasCable = isPlugged;
    this.update();
  }

  /** HLREG0.LPBK: what the port sends comes back to it, with or without a cable. */
  setLoopback(isLoopback: boolean): void {
    this.port.isLoopback = isLoopback;
    this.update();
  }

  /** Negotiates anew, in the mode of AUTOC. */
  restart(autoc: number): void {
    const rateBps = rateOf(autoc, this.port.lineRateBps);
    this.hasFailed = rateBps === 0;
    if (!this.hasFailed) this.port.setRate(rateBps);
    this.trainedPs = this.scheduler.nowPs + TRAINING_PS;
    this.scheduler.cancel(this.event);
    this.event = this.scheduler.schedule(this.trainedPs, this);
    this.update();
  }

  /** Whether the link is up now; brings the port up to date, so that a driver which spins sees the change. */
  isUp(): boolean {
    if (this.event !== NO_EVENT) this.update();
    return this.port.isLinkUp;
  }

  /** Times that the link went down since the last call (MLFC). */
  takeDowns(): number {
    const count = this.downCount;
    this.downCount = 0;
    return count;
  }

  onEvent(): void {
    this.event = NO_EVENT;
    this.update();
  }

  private update(): void {
    const isTrained = this.scheduler.nowPs >= this.trainedPs && !this.hasFailed;
    const isUp = (this.hasCable && isTrained) || this.port.isLoopback;
    if (isUp === this.port.isLinkUp) return;
    this.port.isLinkUp = isUp;
    if (!isUp) this.downCount++;
    this.msix.raiseOther(EICR_LSC);
  }
}

/** Rate that a port of `portBps` has in the mode of AUTOC; 0 when nothing is offered. */
function rateOf(autoc: number, portBps: number): number {
  const slowBps = Math.min(ONE_GBPS, portBps);
  switch ((autoc >>> R.AUTOC_LMS_SHIFT) & R.AUTOC_LMS_MASK) {
    case 0:
    case 2:
    case 5:
      return slowBps;
    case 1:
    case 3:
      return portBps;
    default:
      if ((autoc & (R.AUTOC_KR_SUPP | R.AUTOC_KX4_SUPP)) !== 0) return portBps;
      return (autoc & R.AUTOC_KX_SUPP) !== 0 ? slowBps : 0;
  }
}
