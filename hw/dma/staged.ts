// Descriptor write-backs on their way to host memory: a ring of (finish time, descriptor slot, content) per queue.
// Stage then publish: `nic.sync(now)` writes what has finished, so that no event per packet is needed and a driver never
// sees a descriptor before its time. Times in one queue do not decrease.

export class StagedWrites {
  /** Write-backs waiting. */
  count = 0;
  readonly finishPs: Float64Array;
  readonly slot: Int32Array;
  readonly packetId: Int32Array;
  readonly missReason: Int32Array;
  /** Four words of content per write-back. */
  readonly words: Int32Array;
  readonly capacity: number;
  private readonly mask: number;
  private head = 0;

  /** `capacity` is rounded up to a power of two. */
  constructor(capacity: number) {
    const size = 2 ** Math.ceil(Math.log2(Math.max(2, capacity)));
    this.capacity = size;
    this.mask = size - 1;
    this.finishPs = new Float64Array(size);
    this.slot = new Int32Array(size);
    this.packetId = new Int32Array(size);
    this.missReason = new Int32Array(size);
    this.words = new Int32Array(size * 4);
  }

  /** Index of a new write-back at the tail; the caller fills it. Callers check `count < capacity`. */
  push(finishPs: number, slot: number): number {
    const i = (this.head + this.count) & this.mask;
    const lastPs = this.count === 0 ? finishPs : this.finishPs[(i - 1) & this.mask];
    this.finishPs[i] = finishPs > lastPs ? finishPs : lastPs;
    this.slot[i] = slot;
    this.count++;
    return i;
  }

  /** Index of the oldest write-back. */
  get first(): number {
    return this.head;
  }

  /** Finish time of the oldest write-back, Infinity when there is none. */
  get nextPs(): number {
    return this.count === 0 ? Infinity : this.finishPs[this.head];
  }

  /** Finish time of the youngest write-back, −Infinity when there is none. */
  get lastPs(): number {
    if (this.count === 0) return -Infinity;
    return this.finishPs[(this.head + this.count - 1) & this.mask];
  }

  /** Removes the oldest write-back. */
  shift(): void {
    this.head = (this.head + 1) & this.mask;
    this.count--;
  }
}
