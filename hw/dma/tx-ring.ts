// Device side of one transmit ring (82599 7.2): doorbell, descriptor fetch in batches, payload fetch, offloads by context,
// segmentation, egress; tx-write-back.ts reports what is done.
//
// A frame is fetched when the port's transmit buffer has room for it; until then the ring waits and one event resumes it
// when the buffer is half empty: host frames are never dropped for want of buffer. Descriptors are read when the device has none
// left, and ahead of need when it has fewer than PTHRESH and the ring has HTHRESH more.
// The driver is distrusted: a malformed chain, a bad length, an address outside memory or a tail past the ring stops
// the queue (`stopReason`, `faultLog`) until it is disabled and enabled; the offending frame is counted as dropped. A chain
// without EOP waits for the rest of it.

import type { DeviceContext } from '../context.ts';
import type { Egress } from '../mac/egress.ts';
import type { EventHandler } from '../time/scheduler.ts';
import { NO_EVENT } from '../time/scheduler.ts';
import { DropReason } from '../pipeline/outcome.ts';
import { copyWords, WORD_COPY_MAX_BYTES } from '../mac/packet-memory.ts';
import { TXDCTL_HTHRESH_SHIFT, TXDCTL_THRESH_MASK, TXDCTL_WTHRESH_SHIFT } from '../regs.ts';
import { ETH_TYPE_AT, VLAN_TAG_BYTES } from '../wire/headers.ts';
import { C } from '../stats.ts';
import { TraceStep } from '../trace.ts';
import * as D from './descriptor.ts';
import { FaultLog, QueueFault } from './queue-fault.ts';
import { QueueSwitch, ringFault } from './queue-switch.ts';
import { Found, MAX_CHAIN, TxChain } from './tx-chain.ts';
import { insertChecksums, insertLegacyChecksum, insertTag } from './tx-offload.ts';
import { SegmentJob } from './tx-segment.ts';
import type { TxUnit } from './tx-unit.ts';
import { TxWriteBack } from './tx-write-back.ts';

const CONTEXTS = 2;
const CONTEXT_WORDS = 3;

export class TxRing implements EventHandler {
  // Registers.
  baseIova = 0;
  lenBytes = 0;
  /** Next descriptor to fetch. */
  head = 0;
  tail = 0;
  isEnabled = false;
  stopReason: DropReason = DropReason.NONE;
  /** Statistics counter (TQSM). */
  counter = 0;

  // Reports.
  packets = 0;
  bytes = 0;
  drops = 0;
  readonly faultLog = new FaultLog();
  /** Times that the ring waited for the transmit buffer. */
  stalls = 0;

  readonly portIndex: number;
  readonly queueIndex: number;
  readonly writeBack: TxWriteBack;

  private readonly ctx: DeviceContext;
  private readonly egress: Egress;
  private readonly unit: TxUnit;
  private readonly enabling = new QueueSwitch();
  private slots = 0;
  private pthresh = 0;
  private hthresh = 0;
  /** Descriptors in the device; the first `readyCount` have arrived, the rest arrive at `batchPs`. */
  private cached = 0;
  private readyCount = 0;
  private batchPs = 0;
  private resumeEvent = NO_EVENT;
  private readonly contextWords = new Int32Array(CONTEXTS * CONTEXT_WORDS);
  private job: SegmentJob | null = null;
  private jobReadyPs = 0;
  private readonly chain: TxChain;

  constructor(
    ctx: DeviceContext,
    egress: Egress,
    unit: TxUnit,
    portIndex: number,
    queueIndex: number,
  ) {
    this.ctx = ctx;
    this.egress = egress;
    this.unit = unit;
    this.portIndex = portIndex;
    this.queueIndex = queueIndex;
    this.chain = new TxChain(ctx.memory, ctx.config.maxFrameBytes);
    this.writeBack = new TxWriteBack(ctx, portIndex, queueIndex);
    this.writeBack.onFault = (isHead) =>
      this.stop(isHead ? QueueFault.HEAD_WRITE_BACK_ADDRESS : QueueFault.DESCRIPTOR_ADDRESS);
  }

  /** Misuses by the driver. */
  get faults(): number {
    return this.faultLog.total;
  }

  /** TXDCTL: thresholds. */
  setThresholds(txdctl: number): void {
    this.pthresh = txdctl & TXDCTL_THRESH_MASK;
    this.hthresh = (txdctl >>> TXDCTL_HTHRESH_SHIFT) & TXDCTL_THRESH_MASK;
    const wthresh = (txdctl >>> TXDCTL_WTHRESH_SHIFT) & TXDCTL_THRESH_MASK;
    if (wthresh < this.writeBack.wthresh) this.writeBack.flush(this.ctx.scheduler.nowPs);
    this.writeBack.wthresh = wthresh;
    this.chain.maxChain = Math.max(1, MAX_CHAIN - wthresh);
  }

  /** TXDCTL.ENABLE was set: the queue is on a moment later. */
  enable(nowPs: number): void {
    if (this.isEnabled) return;
    const onPs = this.enabling.turnOn(nowPs);
    if (this.resumeEvent === NO_EVENT) this.resumeEvent = this.ctx.scheduler.schedule(onPs, this);
  }

  /** TXDCTL.ENABLE was cleared: frames not fetched stay with the driver, what is done is still reported. */
  disable(nowPs: number): void {
    this.cancelResume();
    if (this.isEnabled || this.turnsOn(nowPs)) {
      this.writeBack.flush(nowPs);
      this.enabling.turnOff(nowPs, this.writeBack.staged.lastPs);
    } else this.enabling.cancel();
    this.isEnabled = false;
    if (this.job !== null) this.job.isActive = false;
  }

  /** TXDCTL.ENABLE as read. */
  get readsEnabled(): boolean {
    if (this.isEnabled) return true;
    const { nowPs } = this.ctx.scheduler;
    this.process(nowPs);
    return this.isEnabled || this.enabling.isWindingDown(nowPs);
  }

  /** The function was reset. */
  reset(): void {
    this.cancelResume();
    this.isEnabled = false;
    this.enabling.reset();
    this.writeBack.clear();
    if (this.job !== null) this.job.isActive = false;
    this.baseIova = 0;
    this.lenBytes = 0;
    this.head = 0;
    this.tail = 0;
    this.setThresholds(0);
    this.contextWords.fill(0);
  }

  /** TDT was written: the doorbell arrives at `arrivalPs`. */
  doorbell(tail: number, arrivalPs: number): void {
    this.tail = tail;
    if (!this.isEnabled && !this.turnsOn(arrivalPs)) return;
    if (tail >= this.slots) this.stop(QueueFault.TAIL_PAST_RING);
    else this.process(arrivalPs);
  }

  /** The transmit buffer has room again, or the queue comes on. */
  onEvent(): void {
    this.resumeEvent = NO_EVENT;
    this.process(this.ctx.scheduler.nowPs);
  }

  /** Sends what the ring holds, as far as the transmit buffer allows. */
  process(nowPs: number): void {
    if (!this.isEnabled && !this.turnsOn(nowPs)) return;
    const { chain } = this;
    let atPs = nowPs;
    while (this.isEnabled && this.stopReason === DropReason.NONE && this.resumeEvent === NO_EVENT) {
      if (this.job !== null && this.job.isActive) {
        this.sendSegments(this.job, atPs);
        continue;
      }
      if (this.head === this.tail || !this.unit.isEnabled) return;
      const fault = chain.scan(this.head, this.available);
      if (fault !== QueueFault.NONE) {
        this.fail(fault, atPs);
        return;
      }
      if (chain.found === Found.NOTHING) return;
      atPs = this.fetchDescriptors(atPs);
      if (chain.found === Found.FRAME && !this.hasRoom(atPs, chain.frameBytes)) return;
      this.takeChain(atPs);
    }
  }

  private get available(): number {
    const n = this.tail - this.head;
    return n < 0 ? n + this.slots : n;
  }

  /** A slot counted on past the end of the ring, at most once round (a division here took 450 bytes of code each time). */
  private wrap(slot: number): number {
    return slot < this.slots ? slot : slot - this.slots;
  }

  private cancelResume(): void {
    this.ctx.scheduler.cancel(this.resumeEvent);
    this.resumeEvent = NO_EVENT;
  }

  /** Whether a pending enable has come true by `nowPs`; starts the queue then. */
  private turnsOn(nowPs: number): boolean {
    const clockPs = this.ctx.scheduler.nowPs;
    if (!this.enabling.isDue(nowPs > clockPs ? nowPs : clockPs)) return false;
    this.cancelResume();
    this.isEnabled = true;
    this.stopReason = DropReason.NONE;
    this.cached = 0;
    this.readyCount = 0;
    this.slots = Math.floor(this.lenBytes / D.DESCRIPTOR_BYTES);
    const fault = ringFault(this.lenBytes, this.head, this.tail, this.ctx.config.maxRingSlots);
    if (fault !== QueueFault.NONE) this.stop(fault);
    else this.writeBack.start(this.baseIova, this.slots);
    this.chain.baseIova = this.baseIova;
    this.chain.slots = this.slots;
    return true;
  }

  /** Reads descriptors until the chain at the head is in the device; returns when it is, ps. */
  private fetchDescriptors(atPs: number): number {
    const needed = this.chain.count;
    const batch = this.ctx.config.descriptorBatch;
    let startPs = atPs;
    if (this.readyCount < needed && this.cached > this.readyCount) {
      if (this.batchPs > startPs) startPs = this.batchPs;
      this.readyCount = this.cached;
    }
    while (this.cached < needed) {
      const n = Math.min(this.available - this.cached, batch);
      startPs = this.ctx.pcie.read(startPs, n * D.DESCRIPTOR_BYTES, this.cachedEndIova());
      this.cached += n;
      this.readyCount = this.cached;
    }
    return startPs;
  }

  /** Address of the first descriptor that the device does not have. */
  private cachedEndIova(): number {
    return this.baseIova + this.wrap(this.head + this.cached) * D.DESCRIPTOR_BYTES;
  }

  /** Reads ahead when fewer than PTHRESH are in the device and at least HTHRESH more wait (82599 7.2.3.4). */
  private prefetch(atPs: number): void {
    const ahead = this.available - this.cached;
    const n = Math.min(ahead, this.ctx.config.descriptorBatch - this.cached);
    if (n <= 0 || ahead < this.hthresh || this.readyCount !== this.cached) return;
    this.batchPs = this.ctx.pcie.read(atPs, n * D.DESCRIPTOR_BYTES, this.cachedEndIova());
    this.cached += n;
  }

  /** Whether the transmit buffer has room now; makes the ring wait for it otherwise. */
  private hasRoom(atPs: number, lenBytes: number): boolean {
    const port = this.ctx.ports[this.portIndex];
    if (port.pause !== null && port.pause.mask !== 0) {
      const untilPs = port.pause.stoppedUntilPs(this.queueIndex);
      if (untilPs > 0) {
        this.resumeEvent = this.ctx.scheduler.schedule(untilPs, this);
        return false;
      }
    }
    if (port.hasTxRoom(atPs, lenBytes)) return true;
    this.stalls++;
    this.resumeEvent = this.ctx.scheduler.schedule(port.txRoomPs(lenBytes), this);
    return false;
  }

  /** The end of a pause: looks again at once. */
  resume(nowPs: number): void {
    if (this.resumeEvent === NO_EVENT) return;
    this.ctx.scheduler.cancel(this.resumeEvent);
    this.resumeEvent = NO_EVENT;
    this.process(nowPs);
  }

  private takeChain(atPs: number): void {
    const count = this.chain.count;
    const firstSlot = this.head;
    if (this.chain.found === Found.MESSAGE) return this.takeMessage(firstSlot, count, atPs);
    if (this.chain.found === Found.CONTEXT) this.takeContext(firstSlot);
    if (this.chain.found === Found.FRAME) {
      if (!this.takeFrame(firstSlot, count, atPs)) return;
    } else this.report(firstSlot, count, atPs);
    this.advance(count, atPs);
  }

  private advance(count: number, atPs: number): void {
    this.head = this.wrap(this.head + count);
    this.cached -= count;
    this.readyCount -= count;
    if (this.cached < this.pthresh) this.prefetch(atPs);
  }

  private takeContext(slot: number): void {
    const memory = this.ctx.memory;
    if (!this.chain.resolve(slot)) return;
    const { view } = memory.region;
    const at = memory.offset;
    const index = (view.getUint32(at + 12, true) >>> D.TXD_IDX_SHIFT) & (CONTEXTS - 1);
    const w = CONTEXT_WORDS * index;
    this.contextWords[w] = view.getInt32(at, true);
    this.contextWords[w + 1] = view.getInt32(at + 8, true);
    this.contextWords[w + 2] = view.getInt32(at + 12, true);
  }

  /** Fetches, finishes and sends one frame; false when it stopped the queue. */
  private takeFrame(firstSlot: number, count: number, atPs: number): boolean {
    const { packets, memory } = this.ctx;
    const packetId = memory.ownerAt(this.chain.firstIova);
    const frameAt = packets.allocate();
    const donePs = this.fetchPayload(firstSlot, count, packets.bytes, packets.view, frameAt, atPs);
    if (donePs < 0) {
      this.fail(QueueFault.BUFFER_ADDRESS, atPs);
      return false;
    }
    if (!this.insertChecksums(frameAt)) {
      this.fail(QueueFault.BAD_CONTEXT, atPs);
      return false;
    }
    this.report(firstSlot, count, donePs);
    const lastSlot = this.wrap(firstSlot + count - 1);
    this.emit(packetId, lastSlot, frameAt, this.chain.frameBytes, donePs);
    return true;
  }

  /** Hands a finished frame to the port; adds the tag that it asked for. */
  private emit(
    packetId: number,
    lastSlot: number,
    frameAt: number,
    frameBytes: number,
    donePs: number,
  ): void {
    const ctx = this.ctx;
    let at = frameAt;
    let lenBytes = frameBytes;
    if ((this.chain.cmd & D.TXD_DCMD_VLE) !== 0) {
      at = this.insertTag(frameAt);
      lenBytes += VLAN_TAG_BYTES;
    }
    const stats = ctx.stats[this.portIndex];
    stats.txFetched++;
    ctx.trace?.step(packetId, donePs, TraceStep.TX_FETCHED, this.queueIndex, lastSlot, lenBytes);
    const port = this.portIndex;
    this.egress.readyPs = donePs;
    const reason = this.egress.send(port, packetId, this.queueIndex, -1, at, lenBytes);
    if (reason !== DropReason.NONE) {
      this.drops++;
      ctx.dropTx(packetId, port, reason, donePs);
      return;
    }
    stats.txSent++;
    this.packets++;
    this.bytes += lenBytes;
    stats.add(C.QUEUE_TX_PACKETS + this.counter, 1);
    stats.add(C.QUEUE_TX_BYTES + this.counter, lenBytes);
  }

  /** Copies the buffers of a chain to `target`; returns the finish time, −1 for a DMA fault. */
  private fetchPayload(
    firstSlot: number,
    count: number,
    target: Uint8Array,
    targetView: DataView,
    targetAt: number,
    atPs: number,
  ): number {
    const memory = this.ctx.memory;
    const { reads } = this.unit;
    let donePs = atPs;
    let to = targetAt;
    for (let i = 0; i < count; i++) {
      const slot = this.wrap(firstSlot + i);
      if (!this.chain.resolve(slot)) return -1;
      const iova = D.readAddress(memory.region.view, memory.offset);
      const lenBytes = memory.region.view.getUint16(memory.offset + 8, true);
      if (!memory.resolve(iova, lenBytes)) return -1;
      const region = memory.region;
      if (lenBytes <= WORD_COPY_MAX_BYTES)
        copyWords(region.view, memory.offset, targetView, to, lenBytes);
      else target.set(region.bytes.subarray(memory.offset, memory.offset + lenBytes), to);
      const fromPs = reads.isLimited ? reads.startPs(atPs, lenBytes) : atPs;
      donePs = this.ctx.pcie.read(fromPs, lenBytes, iova);
      if (reads.isLimited) reads.started(donePs, lenBytes);
      to += lenBytes;
    }
    return donePs;
  }

  private get contextAt(): number {
    return CONTEXT_WORDS * ((this.chain.olinfo >>> D.TXD_IDX_SHIFT) & (CONTEXTS - 1));
  }

  /** What the first descriptor asks for, by its context; false when the lengths do not fit the frame. */
  private insertChecksums(frameAt: number): boolean {
    const { view } = this.ctx.packets;
    if (this.chain.isLegacy) {
      if ((this.chain.cmd & D.TXD_CMD_IC) === 0) return true;
      const fieldAt = (this.chain.cmd >>> 16) & 255;
      const startAt = (this.chain.olinfo >>> 8) & 255;
      insertLegacyChecksum(view, frameAt, this.chain.frameBytes, startAt, fieldAt);
      return true;
    }
    const popts = this.chain.olinfo & (D.TXD_POPTS_IXSM | D.TXD_POPTS_TXSM);
    if (popts === 0) return true;
    const w = this.contextAt;
    const words = this.contextWords;
    return insertChecksums(view, frameAt, this.chain.frameBytes, popts, words[w], words[w + 1]);
  }

  private insertTag(frameAt: number): number {
    const tci =
      (this.chain.isLegacy ? this.chain.olinfo : this.contextWords[this.contextAt]) >>> 16;
    const { unit } = this;
    const { view } = this.ctx.packets;
    const hasOuter = unit.isDoubleVlan && view.getUint16(frameAt + ETH_TYPE_AT) === unit.outerType;
    const tagAt = hasOuter ? ETH_TYPE_AT + VLAN_TAG_BYTES : ETH_TYPE_AT;
    return insertTag(view, frameAt, tagAt, unit.tagType * 0x10000 + tci);
  }

  /** Fetches a message for segmentation; the segments follow from `process`. */
  private takeMessage(firstSlot: number, count: number, atPs: number): void {
    const job = (this.job ??= new SegmentJob());
    const w = this.contextAt;
    const words = this.contextWords;
    const payLenBytes = this.chain.olinfo >>> D.TXD_PAYLEN_SHIFT;
    const isAsked = (this.chain.olinfo & D.TXD_POPTS_TXSM) !== 0;
    const messageBytes = this.chain.frameBytes;
    const maxBytes = this.ctx.config.maxFrameBytes;
    if (
      !isAsked ||
      !job.start(words[w], words[w + 1], words[w + 2], messageBytes, payLenBytes, maxBytes)
    )
      return this.fail(QueueFault.BAD_SEGMENTATION, atPs);
    job.reserve(messageBytes);
    job.setFlags(...this.unit.readTcpFlags());
    const donePs = this.fetchPayload(firstSlot, count, job.bytes, job.view, 0, atPs);
    if (donePs < 0) return this.fail(QueueFault.BUFFER_ADDRESS, atPs);
    this.jobReadyPs = donePs;
    job.isActive = true;
  }

  /** Sends segments while the transmit buffer has room; the chain is done with the last. */
  private sendSegments(job: SegmentJob, nowPs: number): void {
    const { packets, memory } = this.ctx;
    const lastSlot = this.wrap(this.head + this.chain.count - 1);
    let readyPs = this.jobReadyPs;
    if (nowPs > readyPs) readyPs = nowPs;
    while (job.isActive) {
      if (!this.hasRoom(nowPs, job.nextBytes)) return;
      const packetId = job.isFirst ? memory.ownerAt(this.chain.firstIova) : -1;
      const lenBytes = job.nextBytes;
      const frameAt = packets.allocate();
      job.build(packets.bytes, packets.view, frameAt);
      this.emit(packetId, lastSlot, frameAt, lenBytes, readyPs);
    }
    this.report(this.head, this.chain.count, readyPs);
    this.advance(this.chain.count, readyPs);
  }

  /** Reports the descriptors of a chain that asked for it. */
  private report(firstSlot: number, count: number, donePs: number): void {
    const memory = this.ctx.memory;
    for (let i = 0; i < count; i++) {
      const slot = this.wrap(firstSlot + i);
      if (!this.chain.resolve(slot)) return;
      const cmd = memory.region.view.getInt32(memory.offset + 8, true);
      if ((cmd & D.TXD_DCMD_RS) !== 0) this.writeBack.complete(slot, this.wrap(slot + 1), donePs);
    }
  }

  /** Drops the frame at the head, if there is one, and stops the queue. */
  private fail(fault: QueueFault, atPs: number): void {
    const packetId =
      this.chain.firstIova === 0 ? -1 : this.ctx.memory.ownerAt(this.chain.firstIova);
    const isDma = fault === QueueFault.DESCRIPTOR_ADDRESS || fault === QueueFault.BUFFER_ADDRESS;
    const reason = isDma ? DropReason.DMA_FAULT : DropReason.TX_MALFORMED;
    const stats = this.ctx.stats[this.portIndex];
    stats.txFetched++;
    this.drops++;
    this.ctx.dropTx(packetId, this.portIndex, reason, atPs);
    this.stop(fault);
    this.stopReason = reason;
  }

  private stop(fault: QueueFault): void {
    this.stopReason = DropReason.DMA_FAULT;
    this.faultLog.add(fault);
  }
}
