// Flow control of one port: acting on pause frames (MFLCN), and sending them when the receive buffer fills (FCCFG, FCRTH, FCRTL, FCTTV,
// FCRTV), as the 82599 does (3.7.7). Per traffic class when the device is in a DCB mode, else one class for everything.
//
// Sending: when a class's level passes FCRTH, an XOFF leaves at once, ahead of what waits for the line; it is repeated before its
// time runs out (FCRTV), and an XON follows when the level is back at FCRTL (XONE). The level only matters while an XOFF is out: then
// it is looked at every half microsecond. Whoever feeds the port decides whether to obey: captures do not slow down.
//
// Left out: pause frames to the station's own address, forwarding MAC control frames to the host (MFLCN.PMCF; they end in the MAC),
// TFCS, the thresholds' 32-byte granularity aside. An XOFF is ahead of every waiting frame, also of one that is being sent.

import type { DeviceContext } from '../context.ts';
import type { EventHandler, EventId } from '../time/scheduler.ts';
import { NO_EVENT } from '../time/scheduler.ts';
import { PS_PER_S } from '../time/units.ts';
import { C } from '../stats.ts';
import {
  CLASSES,
  PauseFrame,
  PauseKind,
  QUANTUM_BITS,
  linkPauseFrame,
  priorityPauseFrame,
  readPauseFrame,
} from './pause-frame.ts';
import type { Port } from './port.ts';
import type { TxPause } from './tx-pause.ts';

/** How often the level is looked at while an XOFF is out, ps: about one large frame at 25G (assumed). */
const CHECK_PS = 500_000;

/** What FCCFG.TFCE says. */
export const SendMode = { OFF: 0, LINK: 1, PRIORITY: 2 } as const;
export type SendMode = (typeof SendMode)[keyof typeof SendMode];

export class FlowControl implements EventHandler {
  /** MFLCN.RFCE or RPFCE: pause frames are acted upon. */
  isListening = false;
  /** FCCFG.TFCE: the receive level is watched. */
  isSending = false;
  /** MFLCN. */
  acceptsLink = false;
  acceptsPriority = false;
  sendMode: SendMode = SendMode.OFF;
  /** FCRTH and FCRTL, bytes; Infinity and −1: not enabled. */
  readonly highBytes = new Float64Array(CLASSES).fill(Infinity);
  readonly lowBytes = new Float64Array(CLASSES).fill(-1);
  /** FCTTV by class, FCRTV, in quanta. */
  readonly timeQuanta = new Uint16Array(CLASSES);
  refreshQuanta = 0;
  /** Source of the frames that are sent: RAL0/RAH0. */
  ownAddress: () => Uint8Array = () => new Uint8Array(6);
  /** Puts a control frame on the line at once. */
  send: (frame: Uint8Array) => void = () => undefined;

  private readonly ctx: DeviceContext;
  private readonly port: Port;
  private readonly pause: TxPause;
  private readonly quantumPs: number;
  private readonly frame = new PauseFrame();
  private readonly isOff = new Uint8Array(CLASSES);
  private readonly repeatPs = new Float64Array(CLASSES);
  private readonly events: EventId[] = new Array<EventId>(CLASSES).fill(NO_EVENT);

  constructor(ctx: DeviceContext, portIndex: number, pause: TxPause) {
    this.ctx = ctx;
    this.port = ctx.ports[portIndex];
    this.pause = pause;
    this.quantumPs = (QUANTUM_BITS * PS_PER_S) / ctx.config.lineRateBps;
  }

  /** Acts on a pause frame that has just arrived (`port.arrivalPs`); true when the frame was one, and ends here. */
  take(view: DataView, at: number, lenBytes: number): boolean {
    const { frame, port, pause } = this;
    const kind = readPauseFrame(view, at, lenBytes, frame);
    const isOurs =
      (kind === PauseKind.LINK && this.acceptsLink) ||
      (kind === PauseKind.PRIORITY && this.acceptsPriority);
    if (!isOurs) return false;
    this.countReceived(kind);
    port.pause = pause;
    for (let i = 0; i < CLASSES; i++) {
      if ((frame.classes & (1 << i)) === 0) continue;
      const tc = kind === PauseKind.LINK ? i : pause.classOf[i];
      const forPs = frame.quanta[i] * this.quantumPs;
      pause.pause(tc, forPs === 0 ? 0 : port.arrivalPs + forPs);
    }
    return true;
  }

  /** A frame came into class `tc`: sends XOFF when its level is high. */
  raised(tc: number): void {
    const level = this.levelBytes(tc);
    if (level <= this.highBytes[tc] || this.isOff[tc] !== 0) return;
    this.isOff[tc] = 1;
    this.sendOff(tc);
    this.watch(tc);
  }

  /** Forgets XOFFs that are out (reset, or sending was switched off). */
  forget(): void {
    for (let tc = 0; tc < CLASSES; tc++) {
      this.ctx.scheduler.cancel(this.events[tc]);
      this.events[tc] = NO_EVENT;
    }
    this.isOff.fill(0);
  }

  /** While an XOFF is out: XON when the level is low, the XOFF again when its time runs out. */
  onEvent(tc: number): void {
    this.events[tc] = NO_EVENT;
    const nowPs = this.ctx.scheduler.nowPs;
    this.port.drain(nowPs);
    const low = this.lowBytes[tc];
    // Without XONE nobody sends an XON: the partner goes on when its time is up, and a new XOFF follows if need be.
    if (this.levelBytes(tc) <= (low < 0 ? this.highBytes[tc] : low)) {
      this.isOff[tc] = 0;
      if (low >= 0) this.sendOn(tc);
      return;
    }
    if (nowPs >= this.repeatPs[tc]) this.sendOff(tc);
    this.watch(tc);
  }

  private levelBytes(tc: number): number {
    const { split } = this.port;
    return split === null ? this.port.rxLevelBytes : split.levelBytes[tc];
  }

  private watch(tc: number): void {
    const { scheduler } = this.ctx;
    this.events[tc] = scheduler.schedule(scheduler.nowPs + CHECK_PS, this, tc);
  }

  private sendOff(tc: number): void {
    const quanta = this.timeQuanta[tc];
    const after = this.refreshQuanta > 0 && this.refreshQuanta < quanta ? this.refreshQuanta : 0;
    this.repeatPs[tc] = this.ctx.scheduler.nowPs + (quanta - after) * this.quantumPs;
    this.sendFrame(tc, quanta, C.TX_XOFF, C.TX_PRIORITY_XOFF);
  }

  private sendOn(tc: number): void {
    this.sendFrame(tc, 0, C.TX_XON, C.TX_PRIORITY_XON);
  }

  private sendFrame(tc: number, quanta: number, link: number, priority: number): void {
    const stats = this.ctx.stats[this.port.index];
    if (this.sendMode !== SendMode.PRIORITY) {
      stats.add(link, 1);
      this.send(linkPauseFrame(this.ownAddress(), quanta));
      return;
    }
    let priorities = 0;
    const classOf = this.port.split?.classOf;
    for (let up = 0; up < CLASSES; up++)
      if ((classOf === undefined ? up : classOf[up]) === tc) priorities |= 1 << up;
    stats.add(priority + tc, 1);
    this.send(priorityPauseFrame(this.ownAddress(), priorities, quanta));
  }

  private countReceived(kind: PauseKind): void {
    const stats = this.ctx.stats[this.port.index];
    const { frame } = this;
    if (kind === PauseKind.LINK) {
      stats.add(frame.quanta[0] === 0 ? C.RX_XON : C.RX_XOFF, 1);
      return;
    }
    for (let i = 0; i < CLASSES; i++)
      if ((frame.classes & (1 << i)) !== 0)
        stats.add((frame.quanta[i] === 0 ? C.RX_PRIORITY_XON : C.RX_PRIORITY_XOFF) + i, 1);
  }
}
