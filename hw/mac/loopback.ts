// The MAC's loopback (HLREG0.LPBK, 82599 3.7.6.4.2): a frame that the port has sent arrives at the same port when its last bit is
// out. A diagnostic mode, so each frame is copied and scheduled by itself.

import type { Scheduler } from '../time/scheduler.ts';

/** Takes a frame at a port: Nic.frameIn. */
export type FrameSink = (
  portIndex: number,
  startPs: number,
  bytes: Uint8Array,
  at: number,
  lenBytes: number,
  packetId: number,
) => void;

export class Loopback {
  private readonly scheduler: Scheduler;
  private readonly sink: FrameSink;

  constructor(scheduler: Scheduler, sink: FrameSink) {
    this.scheduler = scheduler;
    this.sink = sink;
  }

  /** A frame left `portIndex`, its last bit at `endPs`. */
  take(
    portIndex: number,
    packetId: number,
    bytes: Uint8Array,
    at: number,
    lenBytes: number,
    endPs: number,
  ): void {
    const copy = bytes.slice(at, at + lenBytes);
    this.scheduler.at(endPs, () =>
      this.sink(portIndex, this.scheduler.nowPs, copy, 0, lenBytes, packetId),
    );
  }
}
