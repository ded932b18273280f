// Device side of one transmit ring (82599 7.2): doorbell, descriptor fetch in batches, payload fetch, checksum and VLAN
// insertion by context, egress, staged write-back of DD where the driver asked for it (RS).
//
// A frame is fetched when the port's transmit buffer has room for it; until then the ring waits and one event resumes it
// when the buffer is half empty: host frames are never dropped for want of buffer. Checksum insertion does what the
// hardware does: the driver leaves the pseudo-header sum in the field, the device sums from the transport header on.
// The driver is distrusted: a malformed chain, a bad length, an address outside memory or a tail past the ring stops
// the queue (`stopReason`) until it is disabled and enabled; the offending frame is counted as dropped.
// Left out: TSE (refused as malformed), legacy descriptors, head write-back, WTHRESH coalescing.

import type { DeviceContext } from '../context.ts';
import type { Egress } from '../mac/egress.ts';
import type { EventHandler } from '../time/scheduler.ts';
import { NO_EVENT } from '../time/scheduler.ts';
import { DropReason } from '../pipeline/outcome.ts';
import { copyWords, WORD_COPY_MAX_BYTES } from '../mac/packet-memory.ts';
import { fold, sumBytes } from '../wire/checksum.ts';
import { ETHERTYPE_VLAN, IPV4_CHECKSUM_AT } from '../wire/headers.ts';
import { C } from '../stats.ts';
import { TraceStep } from '../trace.ts';
import * as D from './descriptor.ts';
import { StagedWrites } from './staged.ts';

/** Longest descriptor chain of one frame (82599: 40). */
export const MAX_CHAIN = 40;
const CONTEXTS = 2;
const MIN_FRAME_BYTES = 14;

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
  faults = 0;
  /** Times that the ring waited for the transmit buffer. */
  stalls = 0;

  readonly portIndex: number;
  readonly queueIndex: number;
  staged = new StagedWrites(2);
  /** Called when a write-back is staged: (queue, finish time). */
  onStaged: (queueIndex: number, finishPs: number) => void = () => {};
  /** DMATXCTL.TE. */
  isDmaEnabled: () => boolean = () => true;

  private readonly ctx: DeviceContext;
  private readonly egress: Egress;
  /** Where this queue stands in ctx.txStaged. */
  private readonly markWord: number;
  private readonly markBit: number;
  private slots = 0;
  private cached = 0;
  private resumeEvent = NO_EVENT;
  private readonly contextWords = new Int32Array(CONTEXTS * 2);
  // Results of `scan`.
  private chainLen = 0;
  private frameBytes = 0;
  private firstIova = 0;
  private firstCmd = 0;
  private firstOlinfo = 0;

  constructor(ctx: DeviceContext, egress: Egress, portIndex: number, queueIndex: number) {
    this.ctx = ctx;
    this.egress = egress;
    this.portIndex = portIndex;
    this.queueIndex = queueIndex;
    this.markWord = 2 * portIndex + (queueIndex >> 5);
    this.markBit = 1 << (queueIndex & 31);
  }

  /** TXDCTL.ENABLE was set. */
  enable(nowPs: number): void {
    if (this.isEnabled) return;
    this.isEnabled = true;
    this.stopReason = DropReason.NONE;
    this.cached = 0;
    this.slots = this.lenBytes / D.DESCRIPTOR_BYTES;
    if (
      this.lenBytes === 0 ||
      this.lenBytes % 128 !== 0 ||
      this.slots > this.ctx.config.maxRingSlots ||
      this.head >= this.slots ||
      this.tail >= this.slots
    ) {
      this.stop(DropReason.DMA_FAULT);
      return;
    }
    if (this.staged.capacity < this.slots) this.staged = new StagedWrites(this.slots);
    this.process(nowPs);
  }

  /** TXDCTL.ENABLE was cleared or the function was reset: frames not fetched stay with the driver. */
  disable(): void {
    this.isEnabled = false;
    this.ctx.scheduler.cancel(this.resumeEvent);
    this.resumeEvent = NO_EVENT;
    while (this.staged.count > 0) this.staged.shift();
  }

  /** TDT was written: the doorbell arrives at `arrivalPs`. */
  doorbell(tail: number, arrivalPs: number): void {
    this.tail = tail;
    if (!this.isEnabled) return;
    if (tail >= this.slots) this.stop(DropReason.DMA_FAULT);
    else this.process(arrivalPs);
  }

  /** The transmit buffer has room again. */
  onEvent(): void {
    this.resumeEvent = NO_EVENT;
    this.process(this.ctx.scheduler.nowPs);
  }

  /** Publishes DD of descriptors whose write-back is in host memory at `nowPs`. */
  publish(nowPs: number): void {
    const staged = this.staged;
    const memory = this.ctx.memory;
    while (staged.count > 0 && staged.nextPs <= nowPs) {
      const slot = staged.slot[staged.first];
      if (memory.resolve(this.descriptorIova(slot), D.DESCRIPTOR_BYTES))
        memory.region.view.setUint32(memory.offset + 12, D.TXD_STAT_DD, true);
      else this.faults++;
      staged.shift();
    }
  }

  /** Sends what the ring holds, as far as the transmit buffer allows. */
  process(nowPs: number): void {
    let atPs = nowPs;
    while (this.isEnabled && this.stopReason === DropReason.NONE && this.resumeEvent === NO_EVENT) {
      if (this.head === this.tail || !this.isDmaEnabled()) return;
      const reason = this.scan();
      if (reason !== DropReason.NONE) {
        this.fail(reason, atPs);
        return;
      }
      if (this.chainLen === 0) return;
      if (this.staged.count + this.chainLen > this.staged.capacity) {
        this.fail(DropReason.TX_MALFORMED, atPs);
        return;
      }
      while (this.cached < this.chainLen) {
        const n = Math.min(this.available - this.cached, this.ctx.config.descriptorBatch);
        atPs = this.ctx.pcie.read(atPs, n * D.DESCRIPTOR_BYTES);
        this.cached += n;
      }
      const port = this.ctx.ports[this.portIndex];
      if (this.frameBytes > 0 && !port.hasTxRoom(atPs, this.frameBytes)) {
        this.stalls++;
        this.resumeEvent = this.ctx.scheduler.schedule(port.txRoomPs(this.frameBytes), this);
        return;
      }
      this.takeChain(atPs);
    }
  }

  private get available(): number {
    const n = this.tail - this.head;
    return n < 0 ? n + this.slots : n;
  }

  private descriptorIova(slot: number): number {
    return this.baseIova + slot * D.DESCRIPTOR_BYTES;
  }

  /** Looks at the chain at the head: a context descriptor, or data descriptors up to EOP. Length 0: not complete yet. */
  private scan(): DropReason {
    const memory = this.ctx.memory;
    const available = this.available;
    this.chainLen = 0;
    this.frameBytes = 0;
    this.firstIova = 0;
    for (let n = 0; n < available; n++) {
      if (n === MAX_CHAIN) return DropReason.TX_MALFORMED;
      const slot = (this.head + n) % this.slots;
      if (!memory.resolve(this.descriptorIova(slot), D.DESCRIPTOR_BYTES))
        return DropReason.DMA_FAULT;
      const view = memory.region.view;
      const at = memory.offset;
      const cmd = view.getInt32(at + 8, true);
      const kind = cmd & D.TXD_DTYP_MASK;
      if ((cmd & D.TXD_DCMD_DEXT) === 0) return DropReason.TX_MALFORMED;
      if (kind === D.TXD_DTYP_CTXT && n === 0) {
        this.chainLen = 1;
        return DropReason.NONE;
      }
      if (kind !== D.TXD_DTYP_DATA || (cmd & D.TXD_DCMD_TSE) !== 0) return DropReason.TX_MALFORMED;
      if (n === 0) {
        this.firstIova = D.readAddress(view, at);
        this.firstCmd = cmd;
        this.firstOlinfo = view.getInt32(at + 12, true);
      }
      this.frameBytes += cmd & 0xffff;
      if ((cmd & D.TXD_DCMD_EOP) !== 0) {
        this.chainLen = n + 1;
        const tooLong = this.frameBytes > this.ctx.config.maxFrameBytes;
        return tooLong || this.frameBytes < MIN_FRAME_BYTES
          ? DropReason.TX_MALFORMED
          : DropReason.NONE;
      }
    }
    return DropReason.NONE;
  }

  private takeChain(atPs: number): void {
    const count = this.chainLen;
    const firstSlot = this.head;
    if (this.frameBytes === 0) this.takeContext(firstSlot, atPs);
    else if (!this.takeFrame(firstSlot, count, atPs)) return;
    this.head = (firstSlot + count) % this.slots;
    this.cached -= count;
  }

  private takeContext(slot: number, atPs: number): void {
    const memory = this.ctx.memory;
    if (!memory.resolve(this.descriptorIova(slot), D.DESCRIPTOR_BYTES)) return;
    const view = memory.region.view;
    const index = (view.getUint32(memory.offset + 12, true) >>> D.TXD_IDX_SHIFT) & (CONTEXTS - 1);
    this.contextWords[2 * index] = view.getInt32(memory.offset, true);
    this.contextWords[2 * index + 1] = view.getInt32(memory.offset + 8, true);
    if ((view.getInt32(memory.offset + 8, true) & D.TXD_DCMD_RS) !== 0) this.stage(slot, atPs);
  }

  /** Fetches, finishes and sends one frame; false when it stopped the queue. */
  private takeFrame(firstSlot: number, count: number, atPs: number): boolean {
    const ctx = this.ctx;
    const packetId = ctx.memory.ownerAt(this.firstIova);
    const frameAt = ctx.packets.allocate();
    const donePs = this.fetchPayload(firstSlot, count, frameAt, atPs);
    if (donePs < 0) {
      this.fail(DropReason.DMA_FAULT, atPs);
      return false;
    }
    if (!this.insertChecksums(frameAt)) {
      this.fail(DropReason.TX_MALFORMED, atPs);
      return false;
    }
    let at = frameAt;
    let lenBytes = this.frameBytes;
    if ((this.firstCmd & D.TXD_DCMD_VLE) !== 0) {
      at -= 4;
      lenBytes += 4;
      this.insertTag(at);
    }
    for (let i = 0; i < count; i++) this.stageIfAsked((firstSlot + i) % this.slots, donePs);
    const stats = ctx.stats[this.portIndex];
    stats.txFetched++;
    const lastSlot = (firstSlot + count - 1) % this.slots;
    ctx.trace?.step(packetId, donePs, TraceStep.TX_FETCHED, this.queueIndex, lastSlot, lenBytes);
    const port = this.portIndex;
    this.egress.readyPs = donePs;
    const reason = this.egress.send(port, packetId, this.queueIndex, -1, at, lenBytes);
    if (reason !== DropReason.NONE) {
      this.drops++;
      ctx.dropTx(packetId, port, reason, donePs);
      return true;
    }
    stats.txSent++;
    this.packets++;
    this.bytes += lenBytes;
    stats.add(C.QUEUE_TX_PACKETS + this.counter, 1);
    stats.add(C.QUEUE_TX_BYTES + this.counter, lenBytes);
    return true;
  }

  /** Copies the buffers of a chain into packet memory; returns the finish time, −1 for a DMA fault. */
  private fetchPayload(firstSlot: number, count: number, frameAt: number, atPs: number): number {
    const memory = this.ctx.memory;
    const packets = this.ctx.packets;
    let donePs = atPs;
    let to = frameAt;
    for (let i = 0; i < count; i++) {
      const slot = (firstSlot + i) % this.slots;
      if (!memory.resolve(this.descriptorIova(slot), D.DESCRIPTOR_BYTES)) return -1;
      const iova = D.readAddress(memory.region.view, memory.offset);
      const lenBytes = memory.region.view.getUint16(memory.offset + 8, true);
      if (lenBytes === 0) continue;
      if (to + lenBytes > frameAt + this.frameBytes || !memory.resolve(iova, lenBytes)) return -1;
      const region = memory.region;
      if (lenBytes <= WORD_COPY_MAX_BYTES)
        copyWords(region.view, memory.offset, packets.view, to, lenBytes);
      else packets.bytes.set(region.bytes.subarray(memory.offset, memory.offset + lenBytes), to);
      donePs = this.ctx.pcie.read(atPs, lenBytes);
      to += lenBytes;
    }
    return donePs;
  }

  private get contextAt(): number {
    return 2 * ((this.firstOlinfo >>> D.TXD_IDX_SHIFT) & (CONTEXTS - 1));
  }

  /** IXSM and TXSM of the first data descriptor, by its context; false when the lengths do not fit the frame. */
  private insertChecksums(frameAt: number): boolean {
    const popts = this.firstOlinfo & (D.TXD_POPTS_IXSM | D.TXD_POPTS_TXSM);
    if (popts === 0) return true;
    const lens = this.contextWords[this.contextAt];
    const tucmd = this.contextWords[this.contextAt + 1];
    const l3At = (lens >>> 9) & 0x7f;
    const ipBytes = lens & 0x1ff;
    const l4At = l3At + ipBytes;
    const view = this.ctx.packets.view;
    if (l3At < MIN_FRAME_BYTES || l4At > this.frameBytes) return false;
    if ((popts & D.TXD_POPTS_IXSM) !== 0 && (tucmd & D.TUCMD_IPV4) !== 0) {
      if (ipBytes < 20) return false;
      const at = frameAt + l3At + IPV4_CHECKSUM_AT;
      view.setUint16(at, 0);
      view.setUint16(at, ~fold(sumBytes(view, frameAt + l3At, ipBytes)) & 0xffff);
    }
    if ((popts & D.TXD_POPTS_TXSM) === 0) return true;
    const isTcp = (tucmd & D.TUCMD_L4T_MASK) === D.TUCMD_L4T_TCP;
    const isUdp = (tucmd & D.TUCMD_L4T_MASK) === D.TUCMD_L4T_UDP;
    const fieldAt = l4At + (isTcp ? 16 : 6);
    if ((!isTcp && !isUdp) || fieldAt + 2 > this.frameBytes) return false;
    const sum = ~fold(sumBytes(view, frameAt + l4At, this.frameBytes - l4At)) & 0xffff;
    view.setUint16(frameAt + fieldAt, isUdp && sum === 0 ? 0xffff : sum);
    return true;
  }

  private insertTag(at: number): void {
    const view = this.ctx.packets.view;
    const tci = this.contextWords[this.contextAt] >>> 16;
    for (let i = 0; i < 12; i += 4) view.setInt32(at + i, view.getInt32(at + 4 + i));
    view.setUint32(at + 12, ETHERTYPE_VLAN * 0x10000 + tci);
  }

  private stageIfAsked(slot: number, atPs: number): void {
    const memory = this.ctx.memory;
    if (!memory.resolve(this.descriptorIova(slot), D.DESCRIPTOR_BYTES)) return;
    const cmd = memory.region.view.getInt32(memory.offset + 8, true);
    if ((cmd & D.TXD_DCMD_RS) !== 0) this.stage(slot, atPs);
  }

  private stage(slot: number, readyPs: number): void {
    const finishPs = this.ctx.pcie.write(readyPs, D.DESCRIPTOR_BYTES);
    this.staged.push(finishPs, slot);
    const marks = this.ctx.txStaged;
    marks[this.markWord] = marks[this.markWord] | this.markBit;
    if (finishPs < this.ctx.publishDuePs) this.ctx.publishDuePs = finishPs;
    this.onStaged(this.queueIndex, finishPs);
  }

  /** Drops the frame at the head, if there is one, and stops the queue. */
  private fail(reason: DropReason, atPs: number): void {
    const packetId = this.firstIova === 0 ? -1 : this.ctx.memory.ownerAt(this.firstIova);
    const stats = this.ctx.stats[this.portIndex];
    stats.txFetched++;
    this.drops++;
    this.ctx.dropTx(packetId, this.portIndex, reason, atPs);
    this.stop(reason);
  }

  private stop(reason: DropReason): void {
    this.stopReason = reason;
    this.faults++;
  }
}
