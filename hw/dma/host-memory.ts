// Host memory as a device sees it: regions of bytes mapped at I/O addresses (IOVA). One large region by default, and
// whatever a driver brings and maps itself (an ArrayBuffer of a driver written elsewhere, a WebAssembly memory).
// An access outside every region is a DMA fault: `resolve` returns false, the device reports it as its data sheet says.
// With one region the look-up costs one comparison, with several a binary search. No IOMMU page tables here: PCIe cost is charged in pcie/.
//
// Buffers carry no packet identity in real memory. For traces and the count of fates, `owner` keeps beside memory,
// per 2 KiB of I/O address, the id of the packet last written there by the device: simulation data, invisible to drivers.

import { assert } from '../base/assert.ts';
import type { IoCache } from './io-cache.ts';

const OWNER_SHIFT = 11;

/** One mapped run of memory. */
export class MemoryRegion {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Packet id per 2 KiB, −1 for none. */
  readonly owner: Int32Array;
  /** First I/O address. */
  readonly iova: number;

  constructor(iova: number, bytes: Uint8Array) {
    this.iova = iova;
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.owner = new Int32Array((bytes.byteLength >> OWNER_SHIFT) + 1).fill(-1);
  }
}

/** Stands for an unmapped region. */
const NOWHERE = new MemoryRegion(-1, new Uint8Array(0));

export class HostMemory {
  /** The region of the last successful `resolve`, and the offset in its bytes: out-parameters, no allocation. */
  region: MemoryRegion;
  offset = 0;

  /** The cache that device writes land in; null: reading a received frame costs the same wherever it is. */
  ioCache: IoCache | null = null;
  /** Accesses that no region covered, since the start. */
  faultCount = 0;

  /** The default region, for allocators. */
  readonly main: MemoryRegion;

  /** In order of address. */
  private readonly regions: MemoryRegion[] = [];

  /** Allocates and maps a first region of `sizeBytes` at `iova` (default 0x10000000: address 0 stays a fault). */
  constructor(sizeBytes: number, iova = 0x1000_0000) {
    this.main = this.map(iova, new Uint8Array(sizeBytes));
    this.region = this.main;
  }

  /** Maps the caller's bytes at an I/O address; throws on overlap. */
  map(iova: number, bytes: Uint8Array): MemoryRegion {
    for (const r of this.regions)
      assert(
        iova + bytes.byteLength <= r.iova || r.iova + r.bytes.byteLength <= iova,
        `map: 0x${iova.toString(16)} overlaps a region at 0x${r.iova.toString(16)}`,
      );
    const region = new MemoryRegion(iova, bytes);
    this.regions.splice(this.indexBelow(iova) + 1, 0, region);
    return region;
  }

  /** Takes a mapped region away; false when none begins at `iova`. Accesses to it are DMA faults from then on. */
  unmap(iova: number): boolean {
    const i = this.indexBelow(iova);
    if (i < 0 || this.regions[i].iova !== iova) return false;
    const [region] = this.regions.splice(i, 1);
    if (this.region === region) this.region = NOWHERE;
    return true;
  }

  /** Index of the last region that begins at or below an address, −1 for none. */
  private indexBelow(iova: number): number {
    let low = 0;
    let high = this.regions.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.regions[middle].iova <= iova) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** Finds the region that covers [iova, iova + lenBytes) and sets `region` and `offset`; false (and a fault) if none. */
  resolve(iova: number, lenBytes: number): boolean {
    const last = this.region;
    const at = iova - last.iova;
    if (at >= 0 && at + lenBytes <= last.bytes.length) {
      this.offset = at;
      return true;
    }
    return this.resolveSlow(iova, lenBytes);
  }

  /** Packet id noted at an I/O address, −1 for none or outside memory. */
  ownerAt(iova: number): number {
    if (!this.resolve(iova, 1)) return -1;
    return this.region.owner[this.offset >> OWNER_SHIFT];
  }

  /** Notes a packet id at an I/O address (ignored outside memory). */
  setOwner(iova: number, packetId: number): void {
    if (this.resolve(iova, 1)) this.region.owner[this.offset >> OWNER_SHIFT] = packetId;
  }

  private resolveSlow(iova: number, lenBytes: number): boolean {
    const i = this.indexBelow(iova);
    if (i >= 0) {
      const region = this.regions[i];
      const at = iova - region.iova;
      if (at + lenBytes <= region.bytes.length) {
        this.region = region;
        this.offset = at;
        return true;
      }
    }
    this.faultCount++;
    return false;
  }
}
