// DMA-able buffers and packet handles: free lists over the main region of host memory.
//
// Buffers come in four sizes, carved on demand and never given back to the region: 2 KiB (a standard frame with its
// headroom), 4 KiB (one piece of a jumbo frame, ixgbe's 3 KiB buffers), 16 KiB (a linear jumbo frame), 128 KiB (a
// linear GSO frame of up to 64 KiB). Each is aligned to 2 KiB, so no two share an owner cell of HostMemory.
//
// A double free, or a free of what is no buffer, is a programmer error and throws. What is not here: page fragments,
// NUMA, an IOMMU, kmalloc'd memory (control structures are TypeScript objects).

import { assert } from '../hw/base/assert.ts';
import type { HostMemory, MemoryRegion } from '../hw/dma/host-memory.ts';
import { CHECKSUM_NONE, SkBuff } from './skb.ts';

/** Sizes of the buffer classes, bytes. A class is the index in this list. */
export const BUFFER_CLASS_BYTES: readonly number[] = [2048, 4096, 16384, 131072];
export const BUFFER_2K = 0;
export const BUFFER_4K = 1;
export const BUFFER_16K = 2;
export const BUFFER_128K = 3;

const BLOCK_SHIFT = 11;
const STATE_LIVE = 0x80;

/** Memory that CPU and device share (rings, admin queue), as dma_alloc_coherent gives it. */
export interface CoherentMemory {
  /** Address for the device. */
  iova: number;
  sizeBytes: number;
  /** The region that holds it, and the offset of the first byte there. */
  bytes: Uint8Array;
  view: DataView;
  at: number;
}

export class BufferPool {
  /** Buffers handed out and not yet freed, by class. */
  readonly liveCount = new Int32Array(BUFFER_CLASS_BYTES.length);
  /** Buffers carved from the region since the start, by class. */
  readonly carvedCount = new Int32Array(BUFFER_CLASS_BYTES.length);
  /** Bytes of coherent memory handed out and not yet freed. */
  coherentBytes = 0;
  /** Requests that found no memory. */
  failedCount = 0;

  private readonly region: MemoryRegion;
  private topAt = 0;
  private readonly state: Uint8Array;
  private readonly freeAt: Int32Array[] = [];
  private readonly freeCount = new Int32Array(BUFFER_CLASS_BYTES.length);
  private readonly freeCoherent = new Map<number, number[]>();

  constructor(memory: HostMemory) {
    this.region = memory.main;
    this.state = new Uint8Array((this.region.bytes.length >> BLOCK_SHIFT) + 1);
    for (let i = 0; i < BUFFER_CLASS_BYTES.length; i++) this.freeAt.push(new Int32Array(64));
  }

  /** Smallest class that holds `sizeBytes`, −1 when none does. */
  classFor(sizeBytes: number): number {
    for (let i = 0; i < BUFFER_CLASS_BYTES.length; i++)
      if (sizeBytes <= BUFFER_CLASS_BYTES[i]) return i;
    return -1;
  }

  /** Offset of a free buffer in the region's bytes, −1 when memory is exhausted. */
  alloc(bufferClass: number): number {
    let at = -1;
    if (this.freeCount[bufferClass] > 0) {
      at = this.freeAt[bufferClass][--this.freeCount[bufferClass]];
    } else {
      at = this.carve(BUFFER_CLASS_BYTES[bufferClass], 2048);
      if (at < 0) return -1;
      this.carvedCount[bufferClass]++;
    }
    this.state[at >> BLOCK_SHIFT] = STATE_LIVE | (bufferClass + 1);
    this.liveCount[bufferClass]++;
    return at;
  }

  /** Gives a buffer back; throws when `at` is not the start of a live buffer. */
  free(at: number): void {
    const state = this.state[at >> BLOCK_SHIFT];
    if ((state & STATE_LIVE) === 0 || (at & 2047) !== 0)
      assert(false, `free: no live buffer at offset ${at} (double free?)`);
    const bufferClass = (state & ~STATE_LIVE) - 1;
    this.state[at >> BLOCK_SHIFT] = bufferClass + 1;
    this.liveCount[bufferClass]--;
    let list = this.freeAt[bufferClass];
    const count = this.freeCount[bufferClass];
    if (count === list.length) {
      list = new Int32Array(count * 2);
      list.set(this.freeAt[bufferClass]);
      this.freeAt[bufferClass] = list;
    }
    list[count] = at;
    this.freeCount[bufferClass] = count + 1;
  }

  /** Zeroed memory for a ring, 4 KiB aligned; null when exhausted. */
  allocCoherent(sizeBytes: number): CoherentMemory | null {
    const roundedBytes = Math.ceil(sizeBytes / 4096) * 4096;
    const at = this.freeCoherent.get(roundedBytes)?.pop() ?? this.carve(roundedBytes, 4096);
    if (at < 0) return null;
    this.coherentBytes += roundedBytes;
    const { bytes, view, iova } = this.region;
    bytes.fill(0, at, at + roundedBytes);
    return { iova: iova + at, sizeBytes, bytes, view, at };
  }

  /** Gives coherent memory back. */
  freeCoherentMemory(memory: CoherentMemory): void {
    const roundedBytes = Math.ceil(memory.sizeBytes / 4096) * 4096;
    const list = this.freeCoherent.get(roundedBytes) ?? [];
    assert(!list.includes(memory.at), `dma_free_coherent: double free at offset ${memory.at}`);
    list.push(memory.at);
    this.freeCoherent.set(roundedBytes, list);
    this.coherentBytes -= roundedBytes;
  }

  private carve(sizeBytes: number, alignBytes: number): number {
    const at = Math.ceil(this.topAt / alignBytes) * alignBytes;
    if (at + sizeBytes > this.region.bytes.length) {
      this.failedCount++;
      return -1;
    }
    this.topAt = at + sizeBytes;
    return at;
  }
}

/** Packet handles. Each live handle owns one buffer of the BufferPool. */
export class SkbPool {
  /** Handles in use now. */
  liveCount = 0;
  /** Handles given out since the start. */
  allocCount = 0;

  private readonly buffers: BufferPool;
  private readonly bytes: Uint8Array;
  private readonly handles: SkBuff[] = [];
  private readonly free: number[] = [];

  constructor(buffers: BufferPool, memory: HostMemory) {
    this.buffers = buffers;
    this.bytes = memory.main.bytes;
  }

  /** Puts a handle around a live buffer (build_skb): `at` is the first byte of the packet. */
  build(headAt: number, truesizeBytes: number, at: number, lenBytes: number): SkBuff {
    const index = this.free.pop() ?? this.addHandle();
    const skb = this.handles[index];
    skb.poolIndex = index;
    skb.headAt = headAt;
    skb.truesizeBytes = truesizeBytes;
    skb.at = at;
    skb.lenBytes = lenBytes;
    this.liveCount++;
    this.allocCount++;
    return skb;
  }

  /** Frees handle and buffer; throws when the handle is free already. */
  release(skb: SkBuff): void {
    const index = skb.poolIndex;
    if (index < 0) assert(false, 'free_skb: the packet is free already');
    skb.poolIndex = -1;
    this.buffers.free(skb.headAt);
    clear(skb);
    this.free.push(index);
    this.liveCount--;
  }

  /** Sees to room for `headroomBytes` in front of a packet, in another buffer if need be (skb_cow_head); false: no memory. */
  cowHead(skb: SkBuff, headroomBytes: number): boolean {
    if (skb.at - skb.headAt >= headroomBytes) return true;
    const bufferClass = this.buffers.classFor(headroomBytes + skb.lenBytes);
    const headAt = bufferClass < 0 ? -1 : this.buffers.alloc(bufferClass);
    if (headAt < 0) return false;
    const shift = headAt + headroomBytes - skb.at;
    skb.bytes.copyWithin(skb.at + shift, skb.at, skb.at + skb.lenBytes);
    this.buffers.free(skb.headAt);
    skb.headAt = headAt;
    skb.truesizeBytes = BUFFER_CLASS_BYTES[bufferClass];
    skb.at += shift;
    skb.networkAt += shift;
    if (skb.transportAt !== 0) skb.transportAt += shift;
    if (skb.macAt >= 0) skb.macAt += shift;
    return true;
  }

  /** Handles in use, for leak reports. */
  live(): SkBuff[] {
    return this.handles.filter((skb) => skb.poolIndex >= 0);
  }

  private addHandle(): number {
    this.handles.push(new SkBuff(this.bytes));
    return this.handles.length - 1;
  }
}

function clear(skb: SkBuff): void {
  skb.networkAt = 0;
  skb.transportAt = 0;
  skb.macAt = -1;
  skb.dev = null;
  skb.iif = 0;
  skb.protocol = 0;
  skb.vlanTci = -1;
  skb.ipSummed = CHECKSUM_NONE;
  skb.hash = 0;
  skb.rxQueue = 0;
  skb.queueMapping = 0;
  skb.mark = 0;
  skb.priority = 0;
  skb.pktType = 0;
  skb.nfct = null;
  skb.ctinfo = 0;
  skb.dst = null;
  skb.tunnelInfo = null;
  skb.fragMaxBytes = 0;
  skb.fragSizes = null;
  skb.tstampPs = 0;
  skb.packetId = -1;
  skb.mergedIds = null;
}
