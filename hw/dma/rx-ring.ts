// Device side of one receive ring (82599 7.1.4 to 7.1.10): descriptors prefetched in batches, payload written to their
// buffers, write-back staged with its finish time. Packets longer than SRRCTL.BSIZEPACKET take several descriptors; with
// header split the header goes to the first one's header buffer.
//
// The driver is distrusted: a tail or length that does not fit stops the queue (`stopReason`, `faultLog`), so does a
// descriptor or buffer outside host memory; packets for a stopped queue are dropped with that reason until it is disabled and
// enabled again. Simplified: a packet takes its descriptors only when all are there; addresses are read when used, not when
// prefetched (no difference to a driver that keeps to the rules); header replication is left out.

import { QUEUE_WORDS, type DeviceContext } from '../context.ts';
import { DropReason } from '../pipeline/outcome.ts';
import type { MissReason } from '../pipeline/outcome.ts';
import type { RxMeta } from '../mac/waiting-frames.ts';
import { copyWords, WORD_COPY_MAX_BYTES } from '../mac/packet-memory.ts';
import { C } from '../stats.ts';
import { TraceStep } from '../trace.ts';
import {
  DESCRIPTOR_BYTES,
  RXD_HBO,
  RXD_HDR_LEN_SHIFT,
  RXD_SPH,
  RXD_STAT_DD,
  RXD_STAT_EOP,
  RXD_STAT_VP,
  rxBufferIova,
  rxHeaderIova,
  writeLegacyRxWriteBack,
} from './descriptor.ts';
import { FaultLog, QueueFault } from './queue-fault.ts';
import { QueueSwitch, ringFault } from './queue-switch.ts';
import { StagedWrites } from './staged.ts';
import {
  SRRCTL_BSIZEHDR_MASK,
  SRRCTL_BSIZEHDR_SHIFT,
  SRRCTL_BSIZEPKT_MASK,
  SRRCTL_DESCTYPE_ADV_ONEBUF,
  SRRCTL_DESCTYPE_HDR_SPLIT,
  SRRCTL_DESCTYPE_HDR_SPLIT_ALWAYS,
  SRRCTL_DESCTYPE_LEGACY,
  SRRCTL_DESCTYPE_MASK,
  SRRCTL_DROP_EN,
} from '../regs.ts';

/** SRRCTL after a reset: 2 KiB, header buffer of 256 bytes. */
const SRRCTL_RESET = 0x402;
/** The descriptor types that the model has (SRRCTL.DESCTYPE, in place). */
const DESCTYPES = [
  SRRCTL_DESCTYPE_LEGACY,
  SRRCTL_DESCTYPE_ADV_ONEBUF,
  SRRCTL_DESCTYPE_HDR_SPLIT,
  SRRCTL_DESCTYPE_HDR_SPLIT_ALWAYS,
];

export class RxRing {
  // Registers.
  baseIova = 0;
  lenBytes = 0;
  /** Next descriptor that the device uses (RDH). */
  head = 0;
  /** One past the last descriptor that the driver gave (RDT). */
  tail = 0;
  // SRRCTL, decoded.
  bufferBytes = 2048;
  headerBufferBytes = 256;
  dropsWhenEmpty = false;
  /** Header split, of either kind. */
  splits = false;
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
  readonly faultLog = new FaultLog();
  /** Received packets staged and not yet published. */
  stagedPackets = 0;

  readonly portIndex: number;
  readonly queueIndex: number;
  staged = new StagedWrites(2);

  private readonly ctx: DeviceContext;
  private readonly enabling = new QueueSwitch();
  private descType = SRRCTL_DESCTYPE_LEGACY;
  /** Results of `splitHeader`: HDR_LEN and SPH for word 0, HBO for word 2 of the first descriptor. */
  private splitInfo = 0;
  private splitStatus = 0;
  /** Where this queue stands in ctx.rxStaged. */
  private readonly markWord: number;
  private readonly markBit: number;
  private slots = 0;
  /** Descriptors read ahead of `head`; of those, the first `readyCount` have arrived, the rest arrive at `batchPs`. */
  private cached = 0;
  private readyCount = 0;
  private batchPs = 0;
  /** Where the last header or payload went. */
  private bufferIova = 0;

  constructor(ctx: DeviceContext, portIndex: number, queueIndex: number) {
    this.ctx = ctx;
    this.portIndex = portIndex;
    this.queueIndex = queueIndex;
    this.markWord = QUEUE_WORDS * portIndex + (queueIndex >> 5);
    this.markBit = 1 << (queueIndex & 31);
  }

  /** Misuses by the driver. */
  get faults(): number {
    return this.faultLog.total;
  }

  /** RXDCTL.ENABLE was set: the queue is on a moment later. */
  enable(nowPs: number): void {
    if (!this.isEnabled) this.enabling.turnOn(nowPs);
  }

  /** RXDCTL.ENABLE was cleared: no more packets; those on their way to memory still get there. */
  disable(nowPs: number): void {
    if (this.isEnabled || this.turnsOn(nowPs)) this.enabling.turnOff(nowPs, this.staged.lastPs);
    else this.enabling.cancel();
    this.isEnabled = false;
  }

  /** RXDCTL.ENABLE as read. */
  get readsEnabled(): boolean {
    if (this.isEnabled) return true;
    const { nowPs } = this.ctx.scheduler;
    return this.turnsOn(nowPs) || this.enabling.isWindingDown(nowPs);
  }

  /** The function was reset: staged packets are lost and counted. */
  reset(nowPs: number): void {
    this.isEnabled = false;
    this.enabling.reset();
    this.baseIova = 0;
    this.lenBytes = 0;
    this.head = 0;
    this.tail = 0;
    this.setSplit(SRRCTL_RESET);
    this.stripsVlan = false;
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

  /** SRRCTL was written. */
  setSplit(srrctl: number): void {
    this.bufferBytes = (srrctl & SRRCTL_BSIZEPKT_MASK) * 1024;
    this.headerBufferBytes = ((srrctl >>> SRRCTL_BSIZEHDR_SHIFT) & SRRCTL_BSIZEHDR_MASK) * 64;
    this.descType = srrctl & SRRCTL_DESCTYPE_MASK;
    this.splits =
      this.descType === SRRCTL_DESCTYPE_HDR_SPLIT ||
      this.descType === SRRCTL_DESCTYPE_HDR_SPLIT_ALWAYS;
    this.dropsWhenEmpty = (srrctl & SRRCTL_DROP_EN) !== 0;
    if (this.isEnabled) this.checkBuffers();
  }

  /** RDT was written. */
  setTail(tail: number): void {
    this.tail = tail;
    if (this.isEnabled && tail >= this.slots) this.stop(QueueFault.TAIL_PAST_RING);
  }

  /** Descriptors that the device may use. */
  get available(): number {
    const n = this.tail - this.head;
    return n < 0 ? n + this.slots : n;
  }

  /** A slot counted on past the end of the ring, at most once round (a division here took 450 bytes of code each time). */
  private wrap(slot: number): number {
    return slot < this.slots ? slot : slot - this.slots;
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
    if (!this.isEnabled && !this.turnsOn(readyPs)) return DropReason.QUEUE_DISABLED;
    if (this.stopReason !== DropReason.NONE) return this.stopReason;
    const strips = this.stripsVlan && meta.vlanTci >= 0;
    const lenBytes = strips ? frameBytes - 4 : frameBytes;
    let headBytes = 0;
    if (this.splits)
      headBytes = this.splitHeader(strips ? meta.headerBytes - 4 : meta.headerBytes, lenBytes);
    let needed = Math.ceil((lenBytes - headBytes) / this.bufferBytes);
    if (needed === 0) needed = 1;
    if (needed >= this.slots) return DropReason.OVERSIZE;
    if (needed > this.available || this.staged.count + needed > this.staged.capacity)
      return DropReason.NO_DESCRIPTOR;
    let at = frameAt;
    if (strips) {
      at = frameAt + 4;
      bytes.copyWithin(at, frameAt, frameAt + meta.tagAt);
    }
    const startPs = this.prefetch(needed, readyPs);
    const firstSlot = this.head;
    let donePs = startPs;
    if (headBytes > 0) {
      if (!this.writeHeader(firstSlot, meta.packetId, bytes, at, headBytes)) return this.stopReason;
      donePs = this.ctx.pcie.write(startPs, headBytes, this.bufferIova);
      at += headBytes;
    }
    for (let left = lenBytes - headBytes, i = 0; i < needed; i++) {
      const chunkBytes = left < this.bufferBytes ? left : this.bufferBytes;
      const slot = this.wrap(firstSlot + i);
      if (!this.writeBuffer(slot, meta.packetId, bytes, view, at, chunkBytes))
        return this.stopReason;
      if (chunkBytes > 0) donePs = this.ctx.pcie.write(startPs, chunkBytes, this.bufferIova);
      at += chunkBytes;
      left -= chunkBytes;
    }
    donePs = this.ctx.pcie.write(
      donePs - this.ctx.pcie.writeLatencyPs,
      DESCRIPTOR_BYTES * needed,
      this.descriptorIova(firstSlot),
    );
    this.stage(meta, firstSlot, needed, lenBytes, headBytes, donePs, strips);
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

  private descriptorIova(slot: number): number {
    return this.baseIova + slot * DESCRIPTOR_BYTES;
  }

  /** Publishes write-backs that are in host memory at `nowPs`. */
  publish(nowPs: number): void {
    const staged = this.staged;
    const memory = this.ctx.memory;
    while (staged.count > 0 && staged.nextPs <= nowPs) {
      const i = staged.first;
      const slot = staged.slot[i];
      const w = 4 * i;
      if (memory.resolve(this.descriptorIova(slot), DESCRIPTOR_BYTES)) {
        const view = memory.region.view;
        const at = memory.offset;
        if (this.descType === SRRCTL_DESCTYPE_LEGACY) {
          writeLegacyRxWriteBack(view, at, staged.words[w + 2], staged.words[w + 3]);
        } else {
          view.setInt32(at, staged.words[w], true);
          view.setInt32(at + 4, staged.words[w + 1], true);
          view.setInt32(at + 12, staged.words[w + 3], true);
          view.setInt32(at + 8, staged.words[w + 2], true);
        }
      } else {
        this.stop(QueueFault.DESCRIPTOR_ADDRESS);
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

  /** Whether a pending enable has come true by `nowPs`; starts the queue then. */
  private turnsOn(nowPs: number): boolean {
    const clockPs = this.ctx.scheduler.nowPs;
    if (!this.enabling.isDue(nowPs > clockPs ? nowPs : clockPs)) return false;
    if (this.staged.count > 0) this.publish(Infinity); // of before it was disabled: long in memory
    this.isEnabled = true;
    this.stopReason = DropReason.NONE;
    this.slots = Math.floor(this.lenBytes / DESCRIPTOR_BYTES);
    this.cached = 0;
    this.readyCount = 0;
    const fault = ringFault(this.lenBytes, this.head, this.tail, this.ctx.config.maxRingSlots);
    if (fault !== QueueFault.NONE) this.stop(fault);
    else {
      this.checkBuffers();
      if (this.staged.capacity < this.slots) this.staged = new StagedWrites(this.slots);
    }
    return true;
  }

  private checkBuffers(): void {
    if (this.bufferBytes === 0 || (this.splits && this.headerBufferBytes === 0))
      this.stop(QueueFault.BUFFER_SIZE);
    else if (!DESCTYPES.includes(this.descType)) this.stop(QueueFault.DESCRIPTOR_TYPE);
  }

  private stop(fault: QueueFault): void {
    this.stopReason = DropReason.DMA_FAULT;
    this.faultLog.add(fault);
  }

  /**
   * Bytes that go to the header buffer; `headerBytes` is where the parser would cut, 0 for nowhere. Sets what the first descriptor
   * says about it (82599 7.1.10.1): a header larger than its buffer is reported (HBO) and not split off.
   */
  private splitHeader(headerBytes: number, lenBytes: number): number {
    const room = this.headerBufferBytes;
    const always = this.descType === SRRCTL_DESCTYPE_HDR_SPLIT_ALWAYS;
    this.splitStatus = 0;
    if (always && lenBytes <= room) {
      this.splitInfo = lenBytes << RXD_HDR_LEN_SHIFT;
      return lenBytes;
    }
    if (headerBytes <= 0) {
      this.splitInfo = always ? room << RXD_HDR_LEN_SHIFT : 0;
      return always ? room : 0;
    }
    this.splitInfo = (headerBytes << RXD_HDR_LEN_SHIFT) | RXD_SPH;
    if (headerBytes <= room) return headerBytes;
    this.splitStatus = RXD_HBO;
    return always ? room : 0;
  }

  /** Finds a descriptor in host memory (HostMemory.resolve); the queue stops where there is none. */
  private resolveDescriptor(slot: number): boolean {
    if (this.ctx.memory.resolve(this.descriptorIova(slot), DESCRIPTOR_BYTES)) return true;
    this.stop(QueueFault.DESCRIPTOR_ADDRESS);
    return false;
  }

  /** As `resolveDescriptor` for a buffer, which becomes `bufferIova`. */
  private resolveBuffer(iova: number, lenBytes: number): boolean {
    this.bufferIova = iova;
    if (this.ctx.memory.resolve(iova, lenBytes)) return true;
    this.stop(QueueFault.BUFFER_ADDRESS);
    return false;
  }

  private writeHeader(
    slot: number,
    packetId: number,
    bytes: Uint8Array,
    at: number,
    lenBytes: number,
  ): boolean {
    const memory = this.ctx.memory;
    if (!this.resolveDescriptor(slot)) return false;
    const iova = rxHeaderIova(memory.region.view, memory.offset);
    if (!this.resolveBuffer(iova, lenBytes)) return false;
    memory.region.bytes.set(bytes.subarray(at, at + lenBytes), memory.offset);
    memory.setOwner(iova, packetId);
    return true;
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
      const iova = this.descriptorIova(this.wrap(this.head + this.cached));
      startPs = this.ctx.pcie.read(startPs, n * DESCRIPTOR_BYTES, iova);
      this.cached += n;
      this.readyCount = this.cached;
      this.batchPs = startPs;
    }
    this.cached -= needed;
    this.readyCount -= needed;
    const ahead = this.available - needed - this.cached;
    if (this.cached < batch >> 1 && ahead > 0 && this.readyCount === this.cached) {
      const n = Math.min(ahead, batch);
      const iova = this.descriptorIova(this.wrap(this.head + needed + this.cached));
      this.batchPs = this.ctx.pcie.read(readyPs, n * DESCRIPTOR_BYTES, iova);
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
    if (!this.resolveDescriptor(slot)) return false;
    if (lenBytes === 0) return true; // all of it is in the header buffer
    const iova = rxBufferIova(memory.region.view, memory.offset);
    if (!this.resolveBuffer(iova, lenBytes)) return false;
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
    headBytes: number,
    finishPs: number,
    stripped: boolean,
  ): void {
    const staged = this.staged;
    let left = lenBytes - headBytes;
    for (let n = 1; n <= needed; n++) {
      const slot = this.wrap(firstSlot + n - 1);
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
      if (this.splits && n === 1) {
        staged.words[w] = staged.words[w] | this.splitInfo;
        staged.words[w + 2] = staged.words[w + 2] | this.splitStatus;
      }
    }
    this.head = this.wrap(firstSlot + needed);
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
