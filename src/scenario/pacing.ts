// When each frame of a capture arrives: its own gaps, scaled, or a fixed rate, or as fast as the wire carries it.
//
// Never faster than the wire: a frame starts when the one before it on the same port, its FCS and the gap are through.

import { PS_PER_S, serialisePs } from '../../hw/time/units.ts';

/** Preamble 8, FCS 4, inter-frame gap 12. */
const WIRE_OVERHEAD_BYTES = 24;
const MIN_FRAME_BYTES = 60;

export type Pace =
  | { kind: 'speed'; factor: number }
  | { kind: 'pps'; packetsPerSecond: number }
  | { kind: 'bps'; bitsPerSecond: number }
  | { kind: 'back-to-back' };

export class Pacer {
  /** Latest start given out, ps. */
  lastPs = 0;
  private readonly pace: Pace;
  private readonly lineRateBps: number;
  private readonly wireFreePs: Float64Array;
  private nextPs = 0;
  private readonly startPs: number;

  /** `startPs` is the time of the first packet. */
  constructor(pace: Pace, lineRateBps: number, portCount: number, startPs: number) {
    this.pace = pace;
    this.lineRateBps = lineRateBps;
    this.wireFreePs = new Float64Array(portCount);
    this.startPs = startPs;
    this.nextPs = startPs;
  }

  /** Start of a frame's first bit on the wire of `port`, ps; never before the previous frame's. */
  arrivalPs(capturePs: number, port: number, lenBytes: number): number {
    const wirePs = serialisePs(
      (lenBytes < MIN_FRAME_BYTES ? MIN_FRAME_BYTES : lenBytes) + WIRE_OVERHEAD_BYTES,
      this.lineRateBps,
    );
    const wished = this.wishedPs(capturePs, lenBytes);
    const free = this.wireFreePs[port];
    const start = Math.max(wished, free, this.lastPs);
    this.wireFreePs[port] = start + wirePs;
    this.lastPs = start;
    return start;
  }

  /** Start of a packet with this capture time, if the wire is free, ps; for 'speed' only. */
  plannedPs(capturePs: number): number {
    return this.pace.kind === 'speed'
      ? this.startPs + Math.round(capturePs / this.pace.factor)
      : this.lastPs;
  }

  private wishedPs(capturePs: number, lenBytes: number): number {
    const pace = this.pace;
    if (pace.kind === 'speed') return this.startPs + Math.round(capturePs / pace.factor);
    if (pace.kind === 'back-to-back') return this.startPs;
    const at = this.nextPs;
    if (pace.kind === 'pps') this.nextPs += PS_PER_S / pace.packetsPerSecond;
    else this.nextPs += (lenBytes * 8 * PS_PER_S) / pace.bitsPerSecond;
    return Math.round(at);
  }
}
