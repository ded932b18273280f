// How many bytes of frames a port's transmit DMA may have asked the host for at a time: DTXMXSZRQ, in units of 256 bytes
// (82599 8.2.3.9.1). Reads end in the order in which they started; a read larger than the limit goes alone.
//
// The largest value stands for no limit: it is more than the transmit buffer takes, and the packet path then skips this.

const UNIT_BYTES = 256;
const UNITS_MASK = 0xfff;
/** Reads in flight at most, whatever their bytes: a power of two. */
const READS = 1024;

export class TxReads {
  /** The register's value stands for a limit. */
  isLimited = false;
  private limitBytes = Infinity;
  private readonly endPs = new Float64Array(READS);
  private readonly lenBytes = new Int32Array(READS);
  private head = 0;
  private tail = 0;
  private flyingBytes = 0;

  /** DTXMXSZRQ was written. */
  setLimit(value: number): void {
    const units = value & UNITS_MASK;
    this.isLimited = units !== UNITS_MASK;
    this.limitBytes = units * UNIT_BYTES;
    this.head = 0;
    this.tail = 0;
    this.flyingBytes = 0;
  }

  /** When a read that could start at `atPs` may start, ps. */
  startPs(atPs: number, lenBytes: number): number {
    let startPs = atPs;
    while (this.head !== this.tail) {
      const oldest = this.head & (READS - 1);
      const isOver = this.endPs[oldest] <= startPs;
      const hasRoom =
        this.flyingBytes + lenBytes <= this.limitBytes && this.tail - this.head < READS;
      if (!isOver && hasRoom) break;
      if (!isOver) startPs = this.endPs[oldest];
      this.flyingBytes -= this.lenBytes[oldest];
      this.head++;
    }
    return startPs;
  }

  /** A read is under way until `endPs`. */
  started(endPs: number, lenBytes: number): void {
    const newest = this.tail++ & (READS - 1);
    this.endPs[newest] = endPs;
    this.lenBytes[newest] = lenBytes;
    this.flyingBytes += lenBytes;
  }
}
