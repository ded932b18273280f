// The ring of one queue: packets that wait for the program behind the file descriptor to read them (include/linux/ptr_ring.h).
//
// It holds exactly `capacity` packets and takes no more: the newest is refused. Producers take its lock: the ring remembers which core
// had it last and until when, so that contention costs time (costs.ts).

import type { SkBuff } from '../../../driver/skb.ts';

export class TunRing {
  /** Packets waiting. */
  count = 0;
  /** Packets that were put in, and refused because it was full. */
  producedCount = 0;
  fullCount = 0;
  /** Times that the lock went to another core than the one that had it before. */
  lockSwitches = 0;
  /** Core that produced last, −1 for none; and the time until which it held the lock. */
  lastCpu = -1;
  lockedUntilPs = 0;

  private slots: (SkBuff | null)[] = new Array<SkBuff | null>(16).fill(null);
  private head = 0;
  private limit: number;

  constructor(capacity: number) {
    this.limit = capacity;
  }

  get capacity(): number {
    return this.limit;
  }

  /** False when it is full. */
  push(skb: SkBuff): boolean {
    if (this.count >= this.limit) {
      this.fullCount++;
      return false;
    }
    if (this.count === this.slots.length) this.grow();
    this.slots[(this.head + this.count++) & (this.slots.length - 1)] = skb;
    this.producedCount++;
    return true;
  }

  /** Oldest packet, null when there is none. */
  shift(): SkBuff | null {
    if (this.count === 0) return null;
    const skb = this.slots[this.head];
    this.slots[this.head] = null;
    this.head = (this.head + 1) & (this.slots.length - 1);
    this.count--;
    return skb;
  }

  /** Sets the capacity; what no longer fits (the newest) is returned. */
  resize(capacity: number): SkBuff[] {
    this.limit = capacity;
    const kept: SkBuff[] = [];
    const out: SkBuff[] = [];
    for (let skb = this.shift(); skb !== null; skb = this.shift())
      (kept.length < capacity ? kept : out).push(skb);
    for (const skb of kept) this.push(skb);
    this.producedCount -= kept.length;
    return out;
  }

  private grow(): void {
    const bigger = new Array<SkBuff | null>(this.slots.length * 2).fill(null);
    for (let i = 0; i < this.count; i++)
      bigger[i] = this.slots[(this.head + i) & (this.slots.length - 1)];
    this.slots = bigger;
    this.head = 0;
  }
}
