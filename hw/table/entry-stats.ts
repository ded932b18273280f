// Counters and age of table entries: packets, bytes, last hit, insertion, hit bit. One row of 8 doubles per handle in one
// array, so that a hit touches one cache line (five arrays: five misses on a table of 50 k flows).
// 64-bit counters are doubles, exact to 2^53.

/** Doubles per entry. */
const ROW_SHIFT = 3;
const PACKETS = 0;
const BYTES = 1;
const LAST_HIT = 2;
const ADDED = 3;
const HIT_BIT = 4;

export class EntryStats {
  private readonly rows: Float64Array;

  constructor(entries: number) {
    this.rows = new Float64Array(entries << ROW_SHIFT);
  }

  /** Counts a packet that hit `handle` at `atPs`. */
  hit(handle: number, lenBytes: number, atPs: number): void {
    const rows = this.rows;
    const at = handle << ROW_SHIFT;
    rows[at + PACKETS] = rows[at + PACKETS] + 1;
    rows[at + BYTES] = rows[at + BYTES] + lenBytes;
    rows[at + LAST_HIT] = atPs;
    rows[at + HIT_BIT] = 1;
  }

  /** Starts a new entry's counters. */
  clear(handle: number, nowPs: number): void {
    const at = handle << ROW_SHIFT;
    this.rows.fill(0, at, at + HIT_BIT + 1);
    this.rows[at + ADDED] = nowPs;
  }

  /** Packets that hit the entry. */
  packets(handle: number): number {
    return this.rows[(handle << ROW_SHIFT) + PACKETS];
  }

  /** Their bytes without FCS, as received. */
  bytes(handle: number): number {
    return this.rows[(handle << ROW_SHIFT) + BYTES];
  }

  /** Time of the last hit, ps, 0 for never. */
  lastHitPs(handle: number): number {
    return this.rows[(handle << ROW_SHIFT) + LAST_HIT];
  }

  /** Whether the entry was hit since its hit bit was cleared. */
  wasHit(handle: number): boolean {
    return this.rows[(handle << ROW_SHIFT) + HIT_BIT] === 1;
  }

  /** Clears the hit bit. */
  clearHit(handle: number): void {
    this.rows[(handle << ROW_SHIFT) + HIT_BIT] = 0;
  }

  /** Time since the last hit, or since insertion, ps. */
  idlePs(handle: number, nowPs: number): number {
    const at = handle << ROW_SHIFT;
    return nowPs - Math.max(this.rows[at + LAST_HIT], this.rows[at + ADDED]);
  }
}
