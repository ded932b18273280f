// Device side of one receive ring (82599 7.1.4 to 7.1.9): descriptors prefetched in batches, payload written to their
// buffers, write-back staged with its finish time. Packets longer than SRRCTL.BSIZEPACKET take several descriptors.
//
// The driver is distrusted: a tail or length that does not fit stops the queue (`stopReason`), so does a descriptor or
// buffer outside host memory; packets for a stopped queue are dropped with that reason until it is disabled and enabled
// again. Simplified: a packet takes its descriptors only when all are there; addresses are read when used, not when
// prefetched (no difference to a driver that keeps to the rules).

import type { DeviceContext } from '../context.ts';
import { DropReason } from '../pipeline/outcome.ts';
import type { MissReason } from '../pipeline/outcome.ts';
import type { RxMeta } from '../mac/waiting-frames.ts';
import { copyWords, WORD_COPY_MAX_BYTES } from '../mac/packet-memory.ts';
import { C } from '../stats.ts';
import { TraceStep } from '../trace.ts';
import {
  DESCRIPTOR_BYTES,
  RXD_STAT_DD,
  RXD_STAT_EOP,
  RXD_STAT_VP,
  rxBufferIova,
} from './descriptor.ts';
import { StagedWrites } from './staged.ts';

const RING_ALIGN_BYTES = 128;

export class RxRing {
  // Registers.
  baseIova = 0;
  lenBytes = 0;
  /** Next descriptor that the device uses (RDH). */
  head = 0;
  /** One past the last descriptor that the driver gave (RDT). */
  tail = 0;
  /** SRRCTL. */
  bufferBytes = 2048;
  dropsWhenEmpty = false;
  stripsVlan = false;
  isEnabled = false;
  /** NONE, or why the queue stopped. */
  stopReason: DropReason = DropReason.NONE;
  /** Statistics counter (RQSMR). */
  counter = 0;
  /** Out-parameter of `deliver`: the write-back is in host memory, ps. */
  finishPs = 0;

  // Reports.
  packets = 0;
  bytes = 0;
  drops = 0;
  /** Misuses by the driver. */
  faults = 0;
  /** Received packets staged and not yet published. */
  stagedPackets = 0;

  readonly portIndex: number;
  readonly queueIndex: number;
  staged = new StagedWrites(2);

  private readonly ctx: DeviceContext;
  /** Where this queue stands in ctx.rxStaged. */
  private readonly markWord: number;
  private readonly markBit: number;
  private slots = 0;
  /** Descriptors read ahead of `head`; of those, the first `readyCount` have arrived, the rest arrive at `batchPs`. */
  private cached = 0;
  private readyCount = 0;
  private batchPs = 0;

  constructor(ctx: DeviceContext, portIndex: number, queueIndex: number) {
    this.ctx = ctx;
    this.portIndex = portIndex;
    this.queueIndex = queueIndex;
    this.markWord = 2 * portIndex + (queueIndex >> 5);
    this.markBit = 1 << (queueIndex & 31);
  }

  /** RXDCTL.ENABLE was set. */
  enable(): void {
    if (this.isEnabled) return;
    this.isEnabled = true;
    this.stopReason = DropReason.NONE;
    this.slots = this.lenBytes / DESCRIPTOR_BYTES;
    this.cached = 0;
    this.readyCount = 0;
    if (
      this.lenBytes === 0 ||
      this.lenBytes % RING_ALIGN_BYTES !== 0 ||
      this.slots > this.ctx.config.maxRingSlots ||
      this.bufferBytes === 0 ||
      this.head >= this.slots ||
      this.tail >= this.slots
    ) {
      this.stop(DropReason.DMA_FAULT);
      return;
    }
    if (this.staged.capacity < this.slots) this.staged = new StagedWrites(this.slots);
  }

  /** RXDCTL.ENABLE was cleared, or the function was reset: staged packets are lost and counted. */
  disable(nowPs: number): void {
    this.isEnabled = false;
    const staged = this.staged;
    while (staged.count > 0) {
      const i = staged.first;
      if ((staged.words[4 * i + 2] & RXD_STAT_EOP) !== 0) {
        this.stagedPackets--;
        this.drops++;
        this.ctx.dropRx(staged.packetId[i], this.portIndex, DropReason.QUEUE_DISABLED, nowPs);
      }
      staged.shift();
    }
  }

  /** RDT was written. */
  setTail(tail: number): void {
    this.tail = tail;
    if (this.isEnabled && tail >= this.slots) this.stop(DropReason.DMA_FAULT);
  }

  /** Descriptors that the device may use. */
  get available(): number {
    const n = this.tail - this.head;
    return n < 0 ? n + this.slots : n;
  }

  /**
   * Writes a frame to host memory, ready in the device at `readyPs`. NONE: staged, `finishPs` says when it is there.
   * NO_DESCRIPTOR: nothing happened. Any other reason: the packet cannot be delivered.
   */
  deliver(
    meta: RxMeta,
    bytes: Uint8Array,
    view: DataView,
    frameAt: number,
    frameBytes: number,
    readyPs: number,
  ): DropReason {
    if (!this.isEnabled) return DropReason.QUEUE_DISABLED;
    if (this.stopReason !== DropReason.NONE) return this.stopReason;
    const strips = this.stripsVlan && meta.vlanTci >= 0;
    const lenBytes = strips ? frameBytes - 4 : frameBytes;
    const needed = Math.ceil(lenBytes / this.bufferBytes);
    if (needed >= this.slots) return DropReason.OVERSIZE;
    if (needed > this.available || this.staged.count + needed > this.staged.capacity)
      return DropReason.NO_DESCRIPTOR;
    let at = frameAt;
    if (strips) {
      at = frameAt + 4;
      bytes.copyWithin(at, frameAt, frameAt + 12);
    }
    const startPs = this.prefetch(needed, readyPs);
    const firstSlot = this.head;
    let donePs = startPs;
    for (let left = lenBytes, i = 0; i < needed; i++) {
      const chunkBytes = left < this.bufferBytes ? left : this.bufferBytes;
      const slot = (firstSlot + i) % this.slots;
      if (!this.writeBuffer(slot, meta.packetId, bytes, view, at, chunkBytes)) {
        this.stop(DropReason.DMA_FAULT);
        return DropReason.DMA_FAULT;
      }
      donePs = this.ctx.pcie.write(startPs, chunkBytes);
      at += chunkBytes;
      left -= chunkBytes;
    }
    donePs = this.ctx.pcie.write(donePs - this.ctx.pcie.writeLatencyPs, DESCRIPTOR_BYTES * needed);
    this.stage(meta, firstSlot, needed, lenBytes, donePs, strips);
    this.ctx.trace?.step(
      meta.packetId,
      donePs,
      TraceStep.RX_DESCRIPTOR,
      this.queueIndex,
      firstSlot,
      needed,
    );
    return DropReason.NONE;
  }

  /** Publishes write-backs that are in host memory at `nowPs`. */
  publish(nowPs: number): void {
    const staged = this.staged;
    const memory = this.ctx.memory;
    while (staged.count > 0 && staged.nextPs <= nowPs) {
      const i = staged.first;
      const slot = staged.slot[i];
      const w = 4 * i;
      if (memory.resolve(this.baseIova + slot * DESCRIPTOR_BYTES, DESCRIPTOR_BYTES)) {
        const view = memory.region.view;
        const at = memory.offset;
        view.setInt32(at, staged.words[w], true);
        view.setInt32(at + 4, staged.words[w + 1], true);
        view.setInt32(at + 12, staged.words[w + 3], true);
        view.setInt32(at + 8, staged.words[w + 2], true);
      } else {
        this.faults++;
      }
      const finishPs = staged.finishPs[i];
      const packetId = staged.packetId[i];
      const missReason = staged.missReason[i] as MissReason;
      const isEnd = (staged.words[w + 2] & RXD_STAT_EOP) !== 0;
      staged.shift();
      if (isEnd) this.published(packetId, slot, missReason, finishPs);
    }
  }

  private published(
    packetId: number,
    slot: number,
    missReason: MissReason,
    finishPs: number,
  ): void {
    const ctx = this.ctx;
    this.stagedPackets--;
    ctx.stats[this.portIndex].delivered++;
    ctx.trace?.step(packetId, finishPs, TraceStep.RX_PUBLISHED, this.queueIndex, slot, missReason);
    ctx.observer.onRx(packetId, this.portIndex, this.queueIndex, slot, missReason, finishPs);
  }

  private stop(reason: DropReason): void {
    this.stopReason = reason;
    this.faults++;
  }

  /** Makes sure that `needed` descriptors are in the device; returns when, ps. Reads ahead when the store runs low. */
  private prefetch(needed: number, readyPs: number): number {
    let startPs = readyPs;
    const batch = this.ctx.config.descriptorBatch;
    if (this.readyCount < needed && this.cached > 0) {
      if (this.batchPs > startPs) startPs = this.batchPs;
      this.readyCount = this.cached;
    }
    while (this.cached < needed) {
      const n = Math.min(this.available - this.cached, batch);
      startPs = this.ctx.pcie.read(startPs, n * DESCRIPTOR_BYTES);
      this.cached += n;
      this.readyCount = this.cached;
      this.batchPs = startPs;
    }
    this.cached -= needed;
    this.readyCount -= needed;
    const ahead = this.available - needed - this.cached;
    if (this.cached < batch >> 1 && ahead > 0 && this.readyCount === this.cached) {
      const n = Math.min(ahead, batch);
      this.batchPs = this.ctx.pcie.read(readyPs, n * DESCRIPTOR_BYTES);
      this.cached += n;
    }
    return startPs;
  }

  private writeBuffer(
    slot: number,
    packetId: number,
    bytes: Uint8Array,
    view: DataView,
    at: number,
    lenBytes: number,
  ): boolean {
    const memory = this.ctx.memory;
    if (!memory.resolve(this.baseIova + slot * DESCRIPTOR_BYTES, DESCRIPTOR_BYTES)) return false;
    const iova = rxBufferIova(memory.region.view, memory.offset);
    if (!memory.resolve(iova, lenBytes)) return false;
    if (lenBytes <= WORD_COPY_MAX_BYTES)
      copyWords(view, at, memory.region.view, memory.offset, lenBytes);
    else memory.region.bytes.set(bytes.subarray(at, at + lenBytes), memory.offset);
    memory.setOwner(iova, packetId);
    if (memory.ioCache !== null) memory.ioCache.deviceWrites(iova);
    return true;
  }

  private stage(
    meta: RxMeta,
    firstSlot: number,
    needed: number,
    lenBytes: number,
    finishPs: number,
    stripped: boolean,
  ): void {
    const staged = this.staged;
    let left = lenBytes;
    for (let n = 1; n <= needed; n++) {
      const slot = (firstSlot + n - 1) % this.slots;
      const i = staged.push(finishPs, slot);
      const isEnd = n === needed;
      const chunkBytes = isEnd ? left : this.bufferBytes;
      left -= chunkBytes;
      const w = 4 * i;
      staged.packetId[i] = meta.packetId;
      staged.missReason[i] = meta.missReason;
      staged.words[w] = isEnd ? meta.packetInfo : 0;
      staged.words[w + 1] = isEnd ? meta.hash : 0;
      staged.words[w + 2] = isEnd
        ? meta.status | RXD_STAT_DD | RXD_STAT_EOP | (stripped ? RXD_STAT_VP : 0)
        : RXD_STAT_DD;
      staged.words[w + 3] = chunkBytes | (isEnd && stripped ? meta.vlanTci << 16 : 0);
    }
    this.head = (firstSlot + needed) % this.slots;
    this.stagedPackets++;
    this.packets++;
    this.bytes += lenBytes;
    const stats = this.ctx.stats[this.portIndex];
    stats.add(C.QUEUE_RX_PACKETS + this.counter, 1);
    stats.add(C.QUEUE_RX_BYTES + this.counter, lenBytes);
    this.finishPs = finishPs;
    const marks = this.ctx.rxStaged;
    marks[this.markWord] = marks[this.markWord] | this.markBit;
    if (finishPs < this.ctx.publishDuePs) this.ctx.publishDuePs = finishPs;
  }
}
