// The part of the host's last-level cache that devices write into (Intel's DDIO), as far as it decides whether the processor finds
// a received frame's header in cache or must fetch it from memory.
//
// A frame written by DMA lands in the I/O ways of the cache, or in place where its line is cached already. Packet buffers lie at
// multiples of 2 KiB, so the first lines of frames compete for one in 32 of the cache's sets: a buffer takes 2 KiB of the I/O
// share however short its frame is. So the share holds (share / 2 KiB) buffers; rings that have more of them in turn push each
// other's frames out to memory before the processor comes to read them, which is why larger rings can be slower.
//
// Modelled per buffer, not per line: sets of `ways` buffers, indexed by address, the victim chosen pseudo-randomly (replacement in
// these parts is not published and no plain LRU). Reading charges one miss for the header; the lines behind it are prefetched
// or not read. Left out: the processor's own use of the cache, descriptor lines (four to a line, read in order),
// device reads (their latency is the PCIe link's), write-back traffic to memory, NUMA.

import { assert } from '../base/assert.ts';

/** Bytes of the share that one packet buffer takes: buffers lie at multiples of it. */
export const IO_BLOCK_BYTES = 2048;

export interface IoCacheConfig {
  /** Bytes of the cache that DMA writes may fill. */
  shareBytes: number;
  /** Ways of those. */
  ways: number;
  /** What a header read from memory costs the core beyond one from the cache, ps. */
  missPs: number;
}

/**
 * Xeon E5-1650 v4 (six cores): 15 MB of last-level cache in 20 ways [Intel's product pages, from memory], of which DDIO fills two,
 * the documented 10 %; memory instead of cache is 54 to 67 ns more on these hosts (hw 1.5), the middle of it here.
 */
export const E5_IO_CACHE: IoCacheConfig = {
  shareBytes: (15 * 1024 * 1024 * 2) / 20,
  ways: 2,
  missPs: 60_000,
};

export class IoCache {
  /** Header reads that found the frame in cache, and that did not. */
  hits = 0;
  misses = 0;

  private readonly tags: Int32Array;
  private readonly sets: number;
  private readonly ways: number;
  private readonly missPs: number;
  private state = 0x2545f491;

  constructor(config: IoCacheConfig) {
    this.ways = config.ways;
    this.missPs = config.missPs;
    this.sets = Math.floor(config.shareBytes / IO_BLOCK_BYTES / config.ways);
    assert(this.sets >= 1, 'io cache: no room for a single buffer per way');
    this.tags = new Int32Array(this.sets * config.ways).fill(-1);
  }

  /** A device wrote a frame at an I/O address. */
  deviceWrites(iova: number): void {
    const block = Math.floor(iova / IO_BLOCK_BYTES) | 0;
    const first = (block % this.sets) * this.ways;
    const { tags, ways } = this;
    for (let w = 0; w < ways; w++) if (tags[first + w] === block) return;
    for (let w = 0; w < ways; w++)
      if (tags[first + w] < 0) {
        tags[first + w] = block;
        return;
      }
    // xorshift32: the victim.
    let x = this.state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x;
    tags[first + ((x >>> 1) % ways)] = block;
  }

  /** The processor reads the header of the frame at an I/O address; what that costs beyond a cache hit, ps. */
  readPs(iova: number): number {
    const block = Math.floor(iova / IO_BLOCK_BYTES) | 0;
    const first = (block % this.sets) * this.ways;
    for (let w = 0; w < this.ways; w++)
      if (this.tags[first + w] === block) {
        this.hits++;
        return 0;
      }
    this.misses++;
    return this.missPs;
  }
}
