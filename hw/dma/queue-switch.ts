// The ENABLE bit of one queue, RXDCTL or TXDCTL (82599 4.6.7, 4.6.8): the bit reads 1, and the queue works, a moment after it
// was set; once cleared it reads 1 until what is under way is in host memory. Decided by time when somebody asks, so that
// a driver which spins on the bit inside one event sees it change.

import { QueueFault } from './queue-fault.ts';
import { DESCRIPTOR_BYTES } from './descriptor.ts';

/** From setting or clearing ENABLE to its effect, ps. Assumed; drivers wait up to 10 ms in steps of 1 ms. */
export const QUEUE_SWITCH_PS = 1_000_000;
const RING_ALIGN_BYTES = 128;

export class QueueSwitch {
  private onAtPs = Infinity;
  private offAtPs = -Infinity;

  /** ENABLE was set; a queue that still winds down comes on after that. Answers when, ps. */
  turnOn(nowPs: number): number {
    if (this.onAtPs === Infinity)
      this.onAtPs = (nowPs > this.offAtPs ? nowPs : this.offAtPs) + QUEUE_SWITCH_PS;
    return this.onAtPs;
  }

  /** ENABLE was cleared; the last write-back is in memory at `lastPs`. */
  turnOff(nowPs: number, lastPs: number): void {
    this.onAtPs = Infinity;
    const offAtPs = (lastPs > nowPs ? lastPs : nowPs) + QUEUE_SWITCH_PS;
    if (offAtPs > this.offAtPs) this.offAtPs = offAtPs;
  }

  /** ENABLE was cleared before it came true. */
  cancel(): void {
    this.onAtPs = Infinity;
  }

  /** Whether a pending enable has come true; it then is no longer pending. */
  isDue(nowPs: number): boolean {
    if (nowPs < this.onAtPs) return false;
    this.onAtPs = Infinity;
    return true;
  }

  /** Whether the cleared bit still reads 1. */
  isWindingDown(nowPs: number): boolean {
    return nowPs < this.offAtPs;
  }

  reset(): void {
    this.onAtPs = Infinity;
    this.offAtPs = -Infinity;
  }
}

/** What is wrong with a ring that is about to start, NONE when nothing is. */
export function ringFault(
  lenBytes: number,
  head: number,
  tail: number,
  maxSlots: number,
): QueueFault {
  if (lenBytes === 0 || lenBytes % RING_ALIGN_BYTES !== 0) return QueueFault.RING_LENGTH;
  const slots = lenBytes / DESCRIPTOR_BYTES;
  if (slots > maxSlots) return QueueFault.RING_TOO_LONG;
  if (head >= slots) return QueueFault.HEAD_PAST_RING;
  return tail >= slots ? QueueFault.TAIL_PAST_RING : QueueFault.NONE;
}
