// A resource that serves one thing at a time, as a busy-until time line: start = max(ready, free), finish = start + cost.
// MAC, table pipeline, DMA engine, PCIe direction and host core are each one of these. It needs no event per packet.

export class Timeline {
  /** Time at which the resource is free again, ps. */
  freePs = 0;
  /** Time spent busy since the start, ps. */
  busyPs = 0;

  /** Occupies the resource for `costPs` from `readyPs` or when it becomes free; returns the finish time in ps. */
  reserve(readyPs: number, costPs: number): number {
    const startPs = readyPs > this.freePs ? readyPs : this.freePs;
    this.freePs = startPs + costPs;
    this.busyPs += costPs;
    return this.freePs;
  }
}
