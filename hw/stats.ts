// Counters of one port. Running totals in one Float64Array; a read-to-clear register shows the difference to what was
// there at its last read, so that the hot path counts once and reports never depend on who read which register.

import { DROP_REASONS, MISS_REASONS } from './pipeline/outcome.ts';

/** Places in PortStats.total. */
export const C = {
  /** Frames that arrived on the line (TPR). */
  RX_FRAMES: 0,
  /** Octets of those, with FCS (TOR). */
  RX_OCTETS: 1,
  /** Good frames accepted by the MAC filter (GPRC), octets with FCS (GORC). */
  RX_GOOD: 2,
  RX_GOOD_OCTETS: 3,
  RX_BROADCAST: 4,
  RX_MULTICAST: 5,
  RX_MISSED: 6,
  RX_OVERSIZE: 7,
  RX_UNDERSIZE: 8,
  TX_FRAMES: 9,
  TX_OCTETS: 10,
  TX_BROADCAST: 11,
  TX_MULTICAST: 12,
  /** Frames by size with FCS: 64, 65-127, 128-255, 256-511, 512-1023, 1024 and more. */
  RX_SIZE: 13,
  /** 16 each: per statistics counter (RQSMR, TQSM). */
  QUEUE_RX_PACKETS: 19,
  QUEUE_RX_BYTES: 35,
  QUEUE_RX_DROPS: 51,
  QUEUE_TX_PACKETS: 67,
  QUEUE_TX_BYTES: 83,
  /** TPT: every frame sent. */
  TX_TOTAL: 99,
  /** Frames sent by size with FCS, as RX_SIZE. */
  TX_SIZE: 100,
  /** Frames that found no descriptor (RNBC). */
  RX_NO_BUFFER: 106,
  /** Frames for the host with a wrong checksum (XEC). */
  RX_CHECKSUM_ERRORS: 107,
  /** Pause frames sent and received (LXONTXC, LXOFFTXC, LXONRXC, LXOFFRXC). */
  TX_XON: 108,
  TX_XOFF: 109,
  RX_XON: 110,
  RX_XOFF: 111,
  /** 8 each: by class sent (PXONTXC, PXOFFTXC), by priority received (PXONRXC, PXOFFRXC). */
  TX_PRIORITY_XON: 112,
  TX_PRIORITY_XOFF: 120,
  RX_PRIORITY_XON: 128,
  RX_PRIORITY_XOFF: 136,
  /** 8: frames missed by traffic class (MPC). */
  RX_CLASS_MISSED: 144,
  COUNT: 152,
} as const;

export class PortStats {
  readonly total = new Float64Array(C.COUNT);
  /** Frames that entered by `frameIn`. */
  framesIn = 0;
  /** Copies that the device made of frames of this port: they end as those do. */
  copies = 0;
  /** Frames that the pipeline sent out of another port (or this one), counted at the ingress port. */
  forwarded = 0;
  /** Received frames whose write-back is published. */
  delivered = 0;
  /** Received frames (not host ones) dropped, by DropReason. */
  readonly rxDrops = new Float64Array(DROP_REASONS.length);
  /** Host frames dropped, by DropReason. */
  readonly txDrops = new Float64Array(DROP_REASONS.length);
  /** Host frames taken from TX rings, and those that left. */
  txFetched = 0;
  txSent = 0;
  /** Frames that went to the host path, by MissReason. */
  readonly misses = new Float64Array(MISS_REASONS.length);

  private readonly seen = new Float64Array(C.COUNT);

  /** Adds to a counter. */
  add(counter: number, amount: number): void {
    this.total[counter] = this.total[counter] + amount;
  }

  /** What has been counted since the last `clear`, without clearing. */
  peek(counter: number): number {
    return this.total[counter] - this.seen[counter];
  }

  /** Read-to-clear of a 32-bit counter that sticks at its maximum. */
  take32(counter: number): number {
    const value = this.peek(counter);
    this.clear(counter);
    return value > 0xffffffff ? 0xffffffff : value;
  }

  /** Clears what registers show. */
  clear(counter: number): void {
    this.seen[counter] = this.total[counter];
  }

  /** Clears all registers (reset); the totals of reports stay. */
  clearAll(): void {
    this.seen.set(this.total);
  }

  /** Counts the size class of a frame: RX_SIZE or TX_SIZE, and its length without FCS. */
  countSize(counter: number, lenBytes: number): void {
    const octets = lenBytes + 4;
    const bin = octets <= 64 ? 0 : octets >= 1024 ? 5 : 26 - Math.clz32(octets);
    this.add(counter + bin, 1);
  }
}

/** Sum of an array of counters. */
export function sumOf(counters: Float64Array): number {
  let total = 0;
  for (let i = 0; i < counters.length; i++) total += counters[i];
  return total;
}
