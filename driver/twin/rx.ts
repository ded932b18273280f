// Receive ring of the reference driver: refill, harvest, and the way up. Zero copy: the buffer that the device filled
// becomes the packet, a fresh one takes its place (ixgbe's build_skb path).
//
// A standard frame lies in one 2 KiB buffer: MAXFRS keeps the device from writing past its end, although SRRCTL counts in
// whole KiB and says 2. Larger MTUs use 4 KiB buffers with 3 KiB for data; a frame that needs several is copied into one linear
// buffer, because packets here have no fragments (ixgbe would attach pages instead: the copy is charged).
// When no buffer is to be had the ring runs with fewer descriptors and a timer refills it later.

import type { CoherentMemory } from '../alloc.ts';
import { BUFFER_2K, BUFFER_4K, BUFFER_CLASS_BYTES } from '../alloc.ts';
import { ENOMEM } from '../errno.ts';
import { eth_type_trans } from '../ether.ts';
import type { Kernel } from '../kernel.ts';
import { psample } from '../psample.ts';
import type { Mmio } from '../mmio.ts';
import type { NetDevice } from '../netdev.ts';
import { CHECKSUM_NONE, CHECKSUM_UNNECESSARY, SKB_HEADROOM_BYTES } from '../skb.ts';
import type { SkBuff } from '../skb.ts';
import { KernelDrop } from '../transmit.ts';
import type { RxQueueStats } from './queue-stats.ts';
import {
  DESCRIPTOR_BYTES,
  RXD_ERR_IPE,
  RXD_ERR_RXE,
  RXD_ERR_TCPE,
  RXD_STAT_COPY,
  RXD_STAT_DD,
  RXD_STAT_EOP,
  RXD_STAT_FLM,
  RXD_STAT_L4CS,
  RXD_STAT_VP,
  rxHash,
  rxLengthBytes,
  rxStatus,
  rxVlanTci,
  writeRxRead,
} from '../../hw/dma/descriptor.ts';
import { RDT } from '../../hw/regs.ts';

/** Refilled slots per tail write (IXGBE_RX_BUFFER_WRITE). */
const REFILL_BATCH = 16;
/** Pieces of one frame: 64 KiB in 3 KiB pieces are 22. */
const SEGMENTS_MAX = 64;
/** Frames whose L2 length (FCS included) is at most this fit a 2 KiB buffer with headroom. */
const STANDARD_FRAME_MAX_BYTES = 2048 - SKB_HEADROOM_BYTES;

/** Buffer class and SRRCTL.BSIZEPKT (KiB) for frames of up to `maxFrameBytes`. */
export function rxBufferFor(maxFrameBytes: number): { bufferClass: number; sizeKib: number } {
  return maxFrameBytes <= STANDARD_FRAME_MAX_BYTES
    ? { bufferClass: BUFFER_2K, sizeKib: 2 }
    : { bufferClass: BUFFER_4K, sizeKib: 3 };
}

export class RxRing {
  readonly stats: RxQueueStats;
  readonly queue: number;
  readonly slots: number;
  readonly memory: CoherentMemory;
  private readonly kernel: Kernel;
  private readonly dev: NetDevice;
  private readonly bar0: Mmio;
  private readonly view: DataView;
  private readonly ringAt: number;
  private readonly bufferAt: Int32Array;
  private readonly bufferClass: number;
  private readonly truesizeBytes: number;
  private nextToClean = 0;
  private nextToUse = 0;
  /** Slots with a buffer that the driver has not harvested. */
  private filled = 0;
  private readonly segmentAt = new Int32Array(SEGMENTS_MAX);
  private readonly segmentBytes = new Int32Array(SEGMENTS_MAX);
  private segmentCount = 0;
  private refillTimer = false;
  private closed = false;
  /** Report the hash, and checksum verdicts (`ethtool -K rxhash`, `rx`). */
  hasHash = true;
  hasChecksums = true;
  /** Set by the driver: schedules this queue's NAPI. */
  kick: () => void = () => undefined;

  constructor(
    kernel: Kernel,
    dev: NetDevice,
    bar0: Mmio,
    queue: number,
    slots: number,
    memory: CoherentMemory,
    bufferClass: number,
    stats: RxQueueStats,
  ) {
    this.stats = stats;
    this.kernel = kernel;
    this.dev = dev;
    this.bar0 = bar0;
    this.queue = queue;
    this.slots = slots;
    this.memory = memory;
    this.view = memory.view;
    this.ringAt = memory.at;
    this.bufferAt = new Int32Array(slots).fill(-1);
    this.bufferClass = bufferClass;
    this.truesizeBytes = BUFFER_CLASS_BYTES[bufferClass];
  }

  /** Gives the device buffers for all slots but one; 0 or −ENOMEM when there was none at all. */
  start(): number {
    this.refill();
    return this.filled > 0 ? 0 : -ENOMEM;
  }

  /** Handles at most `budget` packets; returns how many. */
  harvest(budget: number): number {
    const { view, kernel } = this;
    const descriptorPs = kernel.costs.rxDescriptorPs;
    let work = 0;
    while (work < budget && this.filled > 0) {
      const slot = this.nextToClean;
      const at = this.ringAt + slot * DESCRIPTOR_BYTES;
      const status = rxStatus(view, at);
      if ((status & RXD_STAT_DD) === 0) break;
      kernel.charge(descriptorPs);
      const headAt = this.bufferAt[slot];
      const cache = kernel.memory.ioCache;
      if (cache !== null) kernel.charge(cache.readPs(kernel.iovaOf(headAt + SKB_HEADROOM_BYTES)));
      const lenBytes = rxLengthBytes(view, at);
      const hash = rxHash(view, at);
      const vlanTci = (status & RXD_STAT_VP) !== 0 ? rxVlanTci(view, at) : -1;
      this.bufferAt[slot] = -1;
      this.filled--;
      this.nextToClean = slot + 1 === this.slots ? 0 : slot + 1;
      if (this.slots - 1 - this.filled >= REFILL_BATCH) this.refill();
      if ((status & RXD_STAT_EOP) === 0 || this.segmentCount > 0) {
        const skb = this.segment(headAt, lenBytes, (status & RXD_STAT_EOP) !== 0);
        if ((status & RXD_STAT_EOP) === 0) continue;
        work++;
        if (skb !== null) this.deliver(skb, status, hash, vlanTci);
        continue;
      }
      work++;
      const dataAt = headAt + SKB_HEADROOM_BYTES;
      const skb = kernel.build_skb(headAt, this.truesizeBytes, dataAt, lenBytes);
      this.deliver(skb, status, hash, vlanTci);
    }
    if (this.slots - 1 - this.filled >= REFILL_BATCH || this.filled === 0) this.refill();
    return work;
  }

  /** Takes all buffers back (the queue is disabled in the device). */
  close(): void {
    this.closed = true;
    for (let slot = 0; slot < this.slots; slot++) {
      if (this.bufferAt[slot] >= 0) this.discard(this.bufferAt[slot]);
      this.bufferAt[slot] = -1;
    }
    for (let i = 0; i < this.segmentCount; i++) this.discard(this.segmentAt[i]);
    this.segmentCount = 0;
    this.filled = 0;
    this.kernel.dma_free_coherent(this.memory);
  }

  /** Frees a buffer of the ring; a frame that the device put there and nobody harvested is lost, and told. */
  private discard(headAt: number): void {
    const { kernel } = this;
    kernel.frameLost(kernel.memory.ownerAt(kernel.iovaOf(headAt + SKB_HEADROOM_BYTES)), this.dev);
    kernel.buffers.free(headAt);
  }

  private deliver(skb: SkBuff, status: number, hash: number, vlanTci: number): void {
    const { kernel, dev } = this;
    kernel.charge(kernel.costs.skbBuildPs);
    if ((status & RXD_ERR_RXE) !== 0) {
      this.stats.errors++;
      skb.packetId = kernel.memory.ownerAt(kernel.iovaOf(skb.at));
      kernel.kfree_skb_reason(skb, KernelDrop.RX_ERROR);
      return;
    }
    if ((status & RXD_STAT_COPY) !== 0) {
      skb.packetId = kernel.memory.ownerAt(kernel.iovaOf(skb.at));
      psample(kernel, skb, hash >>> 0);
      return;
    }
    if ((status & RXD_STAT_FLM) !== 0) skb.mark = hash >>> 0;
    else skb.hash = this.hasHash ? hash : 0;
    skb.vlanTci = vlanTci;
    skb.rxQueue = this.queue + 1;
    const bad = status & (RXD_ERR_TCPE | RXD_ERR_IPE);
    skb.ipSummed =
      (status & RXD_STAT_L4CS) !== 0 && bad === 0 && this.hasChecksums
        ? CHECKSUM_UNNECESSARY
        : CHECKSUM_NONE;
    eth_type_trans(skb, dev);
    this.stats.packets++;
    this.stats.bytes += skb.lenBytes;
    kernel.netif_receive_skb(skb, dev);
  }

  /** Collects a piece of a frame; at its last one answers the linear packet, or null when it had to be dropped. */
  private segment(headAt: number, lenBytes: number, last: boolean): SkBuff | null {
    const { kernel } = this;
    if (this.segmentCount < SEGMENTS_MAX) {
      this.segmentAt[this.segmentCount] = headAt;
      this.segmentBytes[this.segmentCount++] = lenBytes;
    } else kernel.buffers.free(headAt); // longer than any frame: the linear copy below is cut, and counted as an error
    if (!last) return null;
    let totalBytes = 0;
    for (let i = 0; i < this.segmentCount; i++) totalBytes += this.segmentBytes[i];
    const packetId = kernel.memory.ownerAt(kernel.iovaOf(this.segmentAt[0] + SKB_HEADROOM_BYTES));
    const skb = kernel.alloc_skb(totalBytes);
    if (skb === null) {
      this.dropSegments(packetId);
      return null;
    }
    const { bytes } = this.memory;
    for (let i = 0; i < this.segmentCount; i++) {
      const fromAt = this.segmentAt[i] + SKB_HEADROOM_BYTES;
      bytes.copyWithin(skb.at + skb.lenBytes, fromAt, fromAt + this.segmentBytes[i]);
      skb.lenBytes += this.segmentBytes[i];
      kernel.buffers.free(this.segmentAt[i]);
    }
    this.segmentCount = 0;
    kernel.charge(totalBytes * kernel.costs.copyPerBytePs);
    kernel.memory.setOwner(kernel.iovaOf(skb.at), packetId);
    return skb;
  }

  /** No linear buffer: the first piece becomes a packet just to be dropped under its id. */
  private dropSegments(packetId: number): void {
    const { kernel } = this;
    const headAt = this.segmentAt[0];
    const dataAt = headAt + SKB_HEADROOM_BYTES;
    const skb = kernel.build_skb(headAt, this.truesizeBytes, dataAt, this.segmentBytes[0]);
    skb.packetId = packetId;
    this.stats.drops++;
    for (let i = 1; i < this.segmentCount; i++) kernel.buffers.free(this.segmentAt[i]);
    this.segmentCount = 0;
    kernel.kfree_skb_reason(skb, KernelDrop.NOMEM);
  }

  private refill(): void {
    if (this.closed) return; // the stack closed the device while this ring was harvested
    const { kernel, view } = this;
    let slot = this.nextToUse;
    let count = 0;
    while (this.filled < this.slots - 1) {
      const headAt = kernel.buffers.alloc(this.bufferClass);
      if (headAt < 0) {
        this.stats.allocFailed++;
        this.refillLater();
        break;
      }
      this.bufferAt[slot] = headAt;
      const iova = kernel.iovaOf(headAt + SKB_HEADROOM_BYTES);
      writeRxRead(view, this.ringAt + slot * DESCRIPTOR_BYTES, iova);
      slot = slot + 1 === this.slots ? 0 : slot + 1;
      this.filled++;
      count++;
    }
    if (count === 0) return;
    this.nextToUse = slot;
    this.bar0.write32(RDT(this.queue), slot);
  }

  private refillLater(): void {
    if (this.refillTimer) return;
    this.refillTimer = true;
    this.kernel.mod_timer(this.kernel.scheduler.nowPs + 10e9, () => {
      this.refillTimer = false;
      if (this.closed) return;
      this.refill();
      this.kick();
    });
  }
}
