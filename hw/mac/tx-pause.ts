// A port that its link partner told to pause (802.3x for everything, 802.1Qbb by class). Transmit rings whose class is paused do not
// fetch: their frames stay in host memory. Frames of the pipeline wait in a FIFO per class, as long as the transmit buffer has
// room for them. When the pause ends, by time or by an XON, both go on.
//
// Simplified: frames that were already given to the line when the pause frame came are sent, so a pause takes effect behind what
// the transmit buffer held at that time.

import type { EventHandler, EventId, Scheduler } from '../time/scheduler.ts';
import { NO_EVENT } from '../time/scheduler.ts';
import { ETHERTYPE_VLAN } from '../wire/headers.ts';
import { CLASSES } from './pause-frame.ts';
import type { Port } from './port.ts';
import { RxMeta, WaitingFrames } from './waiting-frames.ts';

const TYPE_AT = 12;
const TCI_AT = 14;
const PCP_SHIFT = 13;

/** Sends a frame of the pipeline that had to wait. */
export type HeldSink = (
  packetId: number,
  entryHandle: number,
  bytes: Uint8Array,
  at: number,
  lenBytes: number,
) => void;

export class TxPause implements EventHandler {
  /** Classes that are paused or have frames waiting, one bit each. */
  mask = 0;
  /** Frames that waited here. */
  heldCount = 0;
  /** RTTUP2TC: class by user priority. */
  readonly classOf = new Uint8Array(CLASSES);
  /** Class of a transmit queue (MTQC), by queue. */
  queueClass: (queueIndex: number) => number = () => 0;

  private readonly port: Port;
  private readonly scheduler: Scheduler;
  private readonly maxFrameBytes: number;
  private readonly sink: HeldSink;
  private readonly onResume: () => void;
  private readonly untilPs = new Float64Array(CLASSES);
  private readonly events: EventId[] = new Array<EventId>(CLASSES).fill(NO_EVENT);
  private readonly fifos: (WaitingFrames | null)[] = new Array<WaitingFrames | null>(CLASSES).fill(
    null,
  );
  private heldBytes = 0;
  private readonly meta = new RxMeta();

  constructor(
    port: Port,
    scheduler: Scheduler,
    maxFrameBytes: number,
    sink: HeldSink,
    onResume: () => void,
  ) {
    this.port = port;
    this.scheduler = scheduler;
    this.maxFrameBytes = maxFrameBytes;
    this.sink = sink;
    this.onResume = onResume;
  }

  /** Pauses a class until `untilPs`; a time that is over lets it go on. */
  pause(tc: number, untilPs: number): void {
    this.scheduler.cancel(this.events[tc]);
    this.events[tc] = NO_EVENT;
    this.untilPs[tc] = untilPs;
    if (untilPs > this.scheduler.nowPs) {
      this.mask |= 1 << tc;
      this.events[tc] = this.scheduler.schedule(untilPs, this, tc);
    } else this.resume(tc);
  }

  /** Lets every class go on (reception of pause frames was switched off). */
  release(): void {
    for (let tc = 0; tc < CLASSES; tc++) if ((this.mask & (1 << tc)) !== 0) this.pause(tc, 0);
  }

  /** When a transmit queue may go on, ps; 0 when it may now. */
  stoppedUntilPs(queueIndex: number): number {
    const tc = this.queueClass(queueIndex);
    return (this.mask & (1 << tc)) === 0 ? 0 : Math.max(this.untilPs[tc], this.scheduler.nowPs + 1);
  }

  /** Takes a frame of the pipeline whose class is paused: 0 not paused, 1 taken, −1 no room. */
  hold(
    packetId: number,
    entryHandle: number,
    view: DataView,
    bytes: Uint8Array,
    at: number,
    lenBytes: number,
  ): number {
    const isTagged = view.getUint16(at + TYPE_AT) === ETHERTYPE_VLAN;
    const tc = this.classOf[isTagged ? view.getUint16(at + TCI_AT) >> PCP_SHIFT : 0];
    if ((this.mask & (1 << tc)) === 0) return 0;
    const { port } = this;
    const backlogBytes = port.txBacklogBytes(this.scheduler.nowPs) + this.heldBytes;
    if (backlogBytes + lenBytes > port.txBufferBytes) return -1;
    const fifo = (this.fifos[tc] ??= new WaitingFrames(port.txBufferBytes, this.maxFrameBytes));
    const { meta } = this;
    meta.packetId = packetId;
    meta.packetInfo = entryHandle;
    if (!fifo.push(meta, bytes, at, lenBytes)) return -1;
    this.heldBytes += lenBytes;
    this.heldCount++;
    return 1;
  }

  /** A class's time is up, or there is room for what waited. */
  onEvent(tc: number): void {
    this.events[tc] = NO_EVENT;
    this.resume(tc);
  }

  private resume(tc: number): void {
    const { port, scheduler, meta } = this;
    const fifo = this.fifos[tc];
    while (fifo?.peek(meta) === true) {
      const { at, lenBytes } = fifo;
      if (!port.hasTxRoom(scheduler.nowPs, lenBytes)) {
        this.events[tc] = scheduler.schedule(port.txRoomPs(lenBytes), this, tc);
        return;
      }
      fifo.pop();
      this.heldBytes -= lenBytes;
      this.sink(meta.packetId, meta.packetInfo, fifo.bytes, at, lenBytes);
    }
    this.mask &= ~(1 << tc);
    this.onResume();
  }
}
