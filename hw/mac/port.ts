// One Ethernet port: serialisation in both directions, receive packet buffer with tail drop, transmit buffer, link state.
//
// Line occupancy of a frame (spec/hardware.md 6): preamble and SFD 8, frame padded to 60, FCS 4, gap 12. The receive
// buffer is a FIFO: bytes are held from the frame's last bit until its DMA (or its way through the pipeline) finishes,
// kept as a ring of (finish time, bytes) and drained lazily, so it needs no event. The transmit buffer's level follows
// from the transmit time line: what is not yet sent is what lies ahead of now. Pause frames: flow-control.ts,
// tx-pause.ts; a buffer split by class: class-buffers.ts. Left out: EEE, errors.

import type { ClassBuffers } from './class-buffers.ts';
import type { TxPause } from './tx-pause.ts';
import { Timeline } from '../time/timeline.ts';
import { PS_PER_S } from '../time/units.ts';

export const PREAMBLE_BYTES = 8;
export const GAP_BYTES = 12;
export const FCS_BYTES = 4;
export const MIN_FRAME_BYTES = 60;

export class Port {
  readonly index: number;
  isLinkUp = true;
  /** HLREG0.LPBK. */
  isLoopback = false;
  /** HLREG0.TXPADEN: pad short frames on the way out. */
  padsShort = true;
  /** In-parameter of `receive`: first bit on the wire, ps. */
  firstBitPs = 0;
  /** Out-parameter of `receive`: the frame is in the buffer, ps. Times go through fields: a returned one is boxed. */
  arrivalPs = 0;
  /** In-parameter of `hold`: the frame leaves the receive buffer, ps. */
  releasePs = 0;
  /** In-parameter of `transmit`: the frame is ready, ps. */
  readyPs = 0;
  /** Out-parameters of `transmit`: first and last bit on the wire, ps. */
  startPs = 0;
  endPs = 0;
  readonly rxLine = new Timeline();
  readonly txLine = new Timeline();
  /** Bytes of frames that wait in the receive buffer for descriptors. */
  waitingBytes = 0;
  /** Sizes of the buffers; RXPBSIZE and TXPBSIZE make them smaller than what the port was made with, never larger. */
  rxBufferBytes: number;
  txBufferBytes: number;
  /** A transmit buffer filled beyond this takes no frame (TXPBTHRESH). */
  txFillBytes = Infinity;
  /** The receive buffer's shares by traffic class; null: it is one buffer. */
  split: ClassBuffers | null = null;
  /** What the link partner asked to stop; null until it first did. */
  pause: TxPause | null = null;
  /** Most bytes ever held in the receive buffer. */
  peakHeldBytes = 0;

  /** Rate of the port, and of its link as it came up last. */
  readonly lineRateBps: number;
  rateBps = 0;
  private psPerByte = 0;
  private readonly macLatencyPs: number;
  private heldBytes = 0;
  private readonly heldPs: Float64Array;
  private readonly heldLen: Int32Array;
  private readonly heldMask: number;
  private heldHead = 0;
  private heldTail = 0;

  constructor(
    index: number,
    lineRateBps: number,
    macLatencyPs: number,
    rxBufferBytes: number,
    txBufferBytes: number,
  ) {
    this.index = index;
    this.lineRateBps = lineRateBps;
    this.setRate(lineRateBps);
    this.macLatencyPs = macLatencyPs;
    this.rxBufferBytes = rxBufferBytes;
    this.txBufferBytes = txBufferBytes;
    const ring = 2 ** Math.ceil(Math.log2(rxBufferBytes / MIN_FRAME_BYTES + 2));
    this.heldPs = new Float64Array(ring);
    this.heldLen = new Int32Array(ring);
    this.heldMask = ring - 1;
  }

  /** The link came up at another rate. */
  setRate(rateBps: number): void {
    this.rateBps = rateBps;
    this.psPerByte = (8 * PS_PER_S) / rateBps;
  }

  /** Takes a frame whose first bit arrives at `firstBitPs` (or when the line is free); sets `arrivalPs`. */
  receive(lenBytes: number): void {
    const padded = lenBytes < MIN_FRAME_BYTES ? MIN_FRAME_BYTES : lenBytes;
    // Timeline.reserve by hand: in the place where it is called from, it is not inlined and boxes two numbers a frame.
    const line = this.rxLine;
    const costPs = (PREAMBLE_BYTES + padded + FCS_BYTES + GAP_BYTES) * this.psPerByte;
    const freePs = (this.firstBitPs > line.freePs ? this.firstBitPs : line.freePs) + costPs;
    line.freePs = freePs;
    line.busyPs += costPs;
    this.arrivalPs = freePs - GAP_BYTES * this.psPerByte + this.macLatencyPs;
  }

  /** Whether the receive buffer has room for the frame at `arrivalPs`. */
  hasRoom(lenBytes: number): boolean {
    this.drain(this.arrivalPs);
    if (this.split !== null && !this.split.hasRoom(this.arrivalPs, lenBytes)) return false;
    return (
      this.heldBytes + this.waitingBytes + lenBytes <= this.rxBufferBytes &&
      this.heldTail - this.heldHead <= this.heldMask
    );
  }

  /** Takes what has left the receive buffer by `nowPs` out of its level. */
  drain(nowPs: number): void {
    while (this.heldHead !== this.heldTail) {
      const i = this.heldHead & this.heldMask;
      if (this.heldPs[i] > nowPs) break;
      this.heldBytes -= this.heldLen[i];
      this.heldHead++;
    }
    if (this.split !== null) this.split.drain(nowPs);
  }

  /** Notes that a frame leaves the receive buffer at `releasePs`. */
  hold(lenBytes: number): void {
    if (this.heldTail - this.heldHead > this.heldMask) return; // freed frames of a stalled queue: already counted out
    const i = this.heldTail++ & this.heldMask;
    this.heldPs[i] = this.releasePs;
    this.heldLen[i] = lenBytes;
    this.heldBytes += lenBytes;
    if (this.split !== null) this.split.hold(this.releasePs, lenBytes);
    const level = this.heldBytes + this.waitingBytes;
    if (level > this.peakHeldBytes) this.peakHeldBytes = level;
  }

  /** Bytes in the receive buffer as of the last `hasRoom`. */
  get rxLevelBytes(): number {
    return this.heldBytes + this.waitingBytes;
  }

  /** Bytes (with overhead) not yet sent at `nowPs`. */
  txBacklogBytes(nowPs: number): number {
    const aheadPs = this.txLine.freePs - nowPs;
    return aheadPs > 0 ? aheadPs / this.psPerByte : 0;
  }

  /** Whether the transmit buffer takes a frame at `nowPs`; an idle line takes any. */
  hasTxRoom(nowPs: number, lenBytes: number): boolean {
    const backlogBytes = this.txBacklogBytes(nowPs);
    if (backlogBytes === 0) return true;
    return backlogBytes + lenBytes <= this.txBufferBytes && backlogBytes <= this.txFillBytes;
  }

  /** Time at which the transmit buffer will be half empty and have room for a frame of `lenBytes`, ps. */
  txRoomPs(lenBytes: number): number {
    const room = Math.min(this.txBufferBytes / 2, this.txBufferBytes - lenBytes, this.txFillBytes);
    const level = Math.floor(room) - 1;
    return level <= 0 ? this.txLine.freePs : this.txLine.freePs - level * this.psPerByte;
  }

  /** Sends a MAC control frame of this port's own at `readyPs`, ahead of whatever waits; sets `startPs` and `endPs`. */
  transmitControl(lenBytes: number): void {
    const line = this.txLine;
    const costPs = (PREAMBLE_BYTES + lenBytes + FCS_BYTES + GAP_BYTES) * this.psPerByte;
    this.startPs = this.readyPs;
    this.endPs = this.readyPs + costPs - GAP_BYTES * this.psPerByte;
    line.freePs = (line.freePs > this.readyPs ? line.freePs : this.readyPs) + costPs;
    line.busyPs += costPs;
  }

  /** Sends a frame that is ready at `readyPs`; sets `startPs` and `endPs`; false when the buffer is full. */
  transmit(lenBytes: number): boolean {
    const line = this.txLine;
    const aheadPs = line.freePs - this.readyPs;
    if (aheadPs > 0 && aheadPs / this.psPerByte + lenBytes > this.txBufferBytes) return false;
    const padded = lenBytes < MIN_FRAME_BYTES ? MIN_FRAME_BYTES : lenBytes;
    // Timeline.reserve by hand, as in `receive`.
    const costPs = (PREAMBLE_BYTES + padded + FCS_BYTES + GAP_BYTES) * this.psPerByte;
    const earliestPs = this.readyPs + this.macLatencyPs;
    const freePs = (earliestPs > line.freePs ? earliestPs : line.freePs) + costPs;
    line.freePs = freePs;
    line.busyPs += costPs;
    this.startPs = freePs - costPs;
    this.endPs = freePs - GAP_BYTES * this.psPerByte;
    return true;
  }
}
