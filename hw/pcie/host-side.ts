// What the host side of PCI Express adds to a transfer when it is asked for: latency that varies, an IO-TLB in front of memory, a
// limited number of reads and of posted bytes in flight. link.ts goes through here only when one of these is configured.
//
// Reads in flight: each read request TLP holds a tag from its start until its last completion; a request waits for
// the tag that is free first. Posted bytes: the flow-control credits of the root complex as bytes of buffer; a write
// waits until enough earlier ones are in memory. Both are what bounds throughput at high latency: in flight / latency.
// IO-TLB: the last `entries` pages used (true LRU); a page that is not there takes a walk of `missPs`, of which `walkers` run
// at a time. Latency spread: drawn per read from a distribution through its least value, median and 99.9th percentile.
// Left out: ordering between reads and writes (each direction waits for itself only), pages of mixed sizes, invalidations.

import type { HostSideConfig, IommuConfig, ReadSpread } from '../models.ts';

export class HostSide {
  /** Reads and writes that waited for a tag or for credit, and for how long, ps. */
  tagWaits = 0;
  tagWaitPs = 0;
  creditWaits = 0;
  creditWaitPs = 0;
  readonly ioTlb: IoTlb | null;
  readonly spread: LatencySpread | null;
  private readonly tags: Float64Array;
  private readonly postedBytes: number;
  /** Writes under way, oldest first: a ring of times and bytes. */
  private writeEndPs = new Float64Array(64);
  private writeBytes = new Float64Array(64);
  private writeFirst = 0;
  private writeCount = 0;
  private bytesInFlight = 0;
  /** Latest end of a write that another one waited for, ps. */
  private creditPs = 0;
  private tag = 0;

  constructor(config: HostSideConfig) {
    this.tags = new Float64Array(config.readTags);
    this.postedBytes = config.postedBytes;
    this.ioTlb = config.iommu === null ? null : new IoTlb(config.iommu);
    this.spread = config.readSpread === null ? null : new LatencySpread(config.readSpread);
  }

  /** When a read request that is ready at `readyPs` may start, ps; `endRead` gives its tag back. */
  startRead(readyPs: number): number {
    const { tags } = this;
    if (tags.length === 0) return readyPs;
    let first = 0;
    for (let i = 1; i < tags.length; i++) if (tags[i] < tags[first]) first = i;
    this.tag = first;
    const freePs = tags[first];
    if (freePs <= readyPs) return readyPs;
    this.tagWaits++;
    this.tagWaitPs += freePs - readyPs;
    return freePs;
  }

  endRead(endPs: number): void {
    if (this.tags.length > 0) this.tags[this.tag] = endPs;
  }

  /** When a write may start, ps. A write larger than the buffer waits until it is empty. */
  startWrite(readyPs: number, lenBytes: number): number {
    if (this.postedBytes === 0) return readyPs;
    // Credit that came back at some time is not there for a write before it.
    let startPs = readyPs > this.creditPs ? readyPs : this.creditPs;
    while (
      this.writeCount > 0 &&
      (this.writeEndPs[this.writeFirst] <= startPs ||
        this.bytesInFlight + lenBytes > this.postedBytes)
    ) {
      const endPs = this.writeEndPs[this.writeFirst];
      if (endPs > startPs) startPs = this.creditPs = endPs;
      this.bytesInFlight -= this.writeBytes[this.writeFirst];
      this.writeFirst = (this.writeFirst + 1) % this.writeEndPs.length;
      this.writeCount--;
    }
    if (startPs > readyPs) {
      this.creditWaits++;
      this.creditWaitPs += startPs - readyPs;
    }
    return startPs;
  }

  endWrite(endPs: number, lenBytes: number): void {
    if (this.postedBytes === 0) return;
    if (this.writeCount === this.writeEndPs.length) this.growWrites();
    const at = (this.writeFirst + this.writeCount++) % this.writeEndPs.length;
    this.writeEndPs[at] = endPs;
    this.writeBytes[at] = lenBytes;
    this.bytesInFlight += lenBytes;
  }

  private growWrites(): void {
    const size = this.writeEndPs.length;
    const [endPs, bytes] = [new Float64Array(2 * size), new Float64Array(2 * size)];
    for (let i = 0; i < size; i++) {
      const from = (this.writeFirst + i) % size;
      endPs[i] = this.writeEndPs[from];
      bytes[i] = this.writeBytes[from];
    }
    this.writeEndPs = endPs;
    this.writeBytes = bytes;
    this.writeFirst = 0;
  }
}

/** The last pages that were used. */
export class IoTlb {
  hits = 0;
  misses = 0;
  readonly missPs: number;
  /** Time that the walkers as a whole are taken up by one walk, ps. */
  readonly walkPs: number;
  private readonly pageBytes: number;
  /** Page numbers, the last used first; −1 unused. */
  private readonly pages: Float64Array;

  constructor({ pageBytes, entries, missPs, walkers }: IommuConfig) {
    this.pageBytes = pageBytes;
    this.missPs = missPs;
    this.walkPs = missPs / walkers;
    this.pages = new Float64Array(entries).fill(-1);
  }

  /** Pages of a transfer that have to be walked. */
  missesOf(iova: number, lenBytes: number): number {
    const last = Math.floor((iova + Math.max(lenBytes, 1) - 1) / this.pageBytes);
    let missing = 0;
    for (let page = Math.floor(iova / this.pageBytes); page <= last; page++)
      if (!this.use(page)) missing++;
    return missing;
  }

  private use(page: number): boolean {
    const at = this.pages.indexOf(page);
    const isHit = at >= 0;
    if (isHit) this.hits++;
    else this.misses++;
    this.pages.copyWithin(1, 0, isHit ? at : this.pages.length - 1);
    this.pages[0] = page;
    return isHit;
  }
}

/**
 * How much later or earlier than the median a read is: evenly between the least and the median, and an exponential tail beyond
 * it through the 99.9th percentile.
 */
export class LatencySpread {
  private readonly earliestPs: number;
  private readonly tailPs: number;
  private state: number;

  constructor({ leastPs, medianPs, p999Ps, seed }: ReadSpread) {
    this.earliestPs = leastPs - medianPs;
    this.tailPs = (p999Ps - medianPs) / Math.log(0.5 / 0.001);
    this.state = (seed ^ 0x9e3779b9) >>> 0 || 1;
  }

  next(): number {
    let s = this.state;
    s ^= s << 13;
    s ^= s >>> 17;
    s ^= s << 5;
    this.state = s >>> 0;
    const share = this.state / 2 ** 32;
    if (share < 0.5) return this.earliestPs * (1 - 2 * share);
    return this.tailPs * Math.log(0.5 / (1 - share));
  }
}
