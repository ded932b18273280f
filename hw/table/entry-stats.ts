// Counters and age of table entries, one slot per handle, in typed arrays: packets, bytes, last hit, hit bit.
// 64-bit counters are doubles, exact to 2^53.

export class EntryStats {
  readonly packets: Float64Array;
  /** Frame bytes without FCS, as received. */
  readonly bytes: Float64Array;
  /** Time of the last hit, ps, 0 for never. */
  readonly lastHitPs: Float64Array;
  /** Time of insertion, ps. */
  readonly addedPs: Float64Array;
  /** Set by a hit, cleared by reading the hit bits. */
  readonly hitBit: Uint8Array;

  constructor(entries: number) {
    this.packets = new Float64Array(entries);
    this.bytes = new Float64Array(entries);
    this.lastHitPs = new Float64Array(entries);
    this.addedPs = new Float64Array(entries);
    this.hitBit = new Uint8Array(entries);
  }

  /** Counts a packet that hit `handle` at `atPs`. */
  hit(handle: number, lenBytes: number, atPs: number): void {
    this.packets[handle] = (this.packets[handle] as number) + 1;
    this.bytes[handle] = (this.bytes[handle] as number) + lenBytes;
    this.lastHitPs[handle] = atPs;
    this.hitBit[handle] = 1;
  }

  /** Starts a new entry's counters. */
  clear(handle: number, nowPs: number): void {
    this.packets[handle] = 0;
    this.bytes[handle] = 0;
    this.lastHitPs[handle] = 0;
    this.addedPs[handle] = nowPs;
    this.hitBit[handle] = 0;
  }

  /** Time since the last hit, or since insertion, ps. */
  idlePs(handle: number, nowPs: number): number {
    return nowPs - Math.max(this.lastHitPs[handle] as number, this.addedPs[handle] as number);
  }
}
