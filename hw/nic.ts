// The device: ports, pipeline, tables, PCI functions, composed. Its verbs: frame in, registers (through the functions),
// sync, link, reset. `frameIn` is one packet's whole way through the silicon, computed at once on busy-until time lines:
//
//   line -> link, size, packet buffer -> packet memory -> parser -> staged tables (switch/) -> MAC filter -> tables
//        -> egress of a port, or RSS -> ring -> staged write-back (published by `sync`) -> interrupt
//
// Every frame ends in exactly one of: forwarded, dropped (one DropReason), delivered to a ring; until then it is staged
// or waits for descriptors. Copies that the staged tables make are frames of their own, counted as made in the device.
// `checkInvariants` adds that up.

import type { PacketMemory } from './mac/packet-memory.ts';
import { AdminTables } from './admin/tables.ts';
import { Verdict } from './admin/format.ts';
import { assert } from './base/assert.ts';
import { DeviceContext, QUEUE_WORDS } from './context.ts';
import type { HostMemory } from './dma/host-memory.ts';
import type { RxRing } from './dma/rx-ring.ts';
import { PciFunction } from './function.ts';
import type { MsixSink } from './irq/msix.ts';
import { Egress } from './mac/egress.ts';
import { Loopback } from './mac/loopback.ts';
import { FCS_BYTES, type Port } from './mac/port.ts';
import { RxMeta, WaitingFrames } from './mac/waiting-frames.ts';
import { classifyForHost, headerLengthOf } from './mac/rx-offload.ts';
import type { NicConfig } from './models.ts';
import type { DeviceObserver, TraceSink } from './observer.ts';
import { RXD_CHECKSUM_ERRORS, RXD_STAT_COPY, RXD_STAT_FLM } from './dma/descriptor.ts';
import { FrameCopier } from './frame-copier.ts';
import { DropReason, MissReason } from './pipeline/outcome.ts';
import { Pipeline } from './pipeline/pipeline.ts';
import { SwitchPipeline } from './switch/pipeline.ts';
import * as K from './parse/key-layout.ts';
import { PSRTYPE } from './regs.ts';
import { STEER_DROP } from './steering/rx-steering.ts';
import { steerFrame } from './steering/steer-frame.ts';
import { checkPort } from './nic-invariants.ts';
import { C, type PortStats } from './stats.ts';
import type { Scheduler } from './time/scheduler.ts';
import { cyclePs } from './time/units.ts';
import { TraceStep } from './trace.ts';
import { ETHERTYPE_VLAN, ETH_HEADER_BYTES, VLAN_TAG_BYTES } from './wire/headers.ts';

/** What a device is connected to. */
export interface NicHost {
  scheduler: Scheduler;
  memory: HostMemory;
  msix: MsixSink;
  observer: DeviceObserver;
}

export class Nic {
  readonly config: NicConfig;
  readonly functions: PciFunction[] = [];
  readonly pipeline: Pipeline;
  /** Staged tables, null where the device has none. */
  readonly stages: SwitchPipeline | null;
  readonly tables: AdminTables;
  readonly ctx: DeviceContext;

  private readonly egress: Egress;
  /** Id of the packet in the staged tables. */
  packetId = -1;
  private readonly meta = new RxMeta();
  private isCopy = false;
  private readonly waitingMeta = new RxMeta();

  constructor(config: NicConfig, host: NicHost) {
    this.config = config;
    assert(config.ports >= 1 && config.ports <= 16, 'nic: 1 to 16 ports');
    assert(config.queues >= 1 && config.queues <= 128, 'nic: 1 to 128 queues per port');
    assert(config.vectors >= 1 && config.vectors <= 64, 'nic: 1 to 64 vectors');
    this.ctx = new DeviceContext(config, host.scheduler, host.memory, host.observer);
    this.pipeline = new Pipeline(config, this.ctx.packets.bytes);
    const loopback = new Loopback(host.scheduler, (...frame) => this.frameIn(...frame));
    this.egress = new Egress(this.ctx, loopback);
    this.stages = config.stages ? makeStages(config, this.ctx, this.pipeline) : null;
    if (this.stages !== null) this.stages.copies = new FrameCopier(this, this.stages);
    this.tables = new AdminTables(this.ctx, this.pipeline, this.stages);
    for (let i = 0; i < config.ports; i++) {
      const { ctx, pipeline, egress, tables } = this;
      this.functions.push(new PciFunction(ctx, pipeline, egress, tables, i, host.msix, this));
    }
  }

  /** Receives the steps of every packet; null switches tracing off. */
  get trace(): TraceSink | null {
    return this.ctx.trace;
  }

  set trace(sink: TraceSink | null) {
    this.ctx.trace = sink;
    if (this.stages === null) return;
    this.stages.onLookup =
      sink === null
        ? null
        : (table, entry, atPs) =>
            sink.step(this.packetId, atPs, TraceStep.STAGE_LOOKUP, table, entry, 0);
  }

  /**
   * A frame arrives: `lenBytes` at bytes[at], without FCS, first bit on the wire at `startPs` (or when the line is free
   * again). Run the scheduler to `startPs` first. `packetId` goes to the observer; −1: not tracked.
   */
  frameIn(
    portIndex: number,
    startPs: number,
    bytes: Uint8Array,
    at: number,
    lenBytes: number,
    packetId: number,
  ): void {
    const { packets } = this.ctx;
    const frameAt = packets.allocate();
    packets.copyIn(frameAt, bytes, at, Math.min(lenBytes, packets.roomBytes));
    this.ctx.ports[portIndex].firstBitPs = startPs;
    this.frameInPlace(portIndex, frameAt, lenBytes, packetId);
  }

  /** The memory in which frames lie inside the device: for callers that put them there themselves (saves a copy). */
  get packets(): PacketMemory {
    return this.ctx.packets;
  }

  /**
   * As `frameIn`, for a frame that the caller has put into `packets.bytes` at `frameAt` (`packets.stage`). Its first bit is on
   * the wire at `ctx.ports[portIndex].firstBitPs`, which the caller sets (a field: an argument would be boxed).
   */
  frameInPlace(portIndex: number, frameAt: number, lenBytes: number, packetId: number): void {
    const ctx = this.ctx;
    const port = ctx.ports[portIndex];
    const fn = this.functions[portIndex];
    const stats = ctx.stats[portIndex];
    stats.framesIn++;
    if (!port.isLinkUp)
      return ctx.dropRx(packetId, portIndex, DropReason.LINK_DOWN, port.firstBitPs);
    port.receive(lenBytes);
    stats.add(C.RX_FRAMES, 1);
    stats.add(C.RX_OCTETS, lenBytes + FCS_BYTES);
    if (fn.flow.isListening && fn.flow.take(ctx.packets.view, frameAt, lenBytes))
      return ctx.dropRx(packetId, portIndex, DropReason.MAC_CONTROL, port.arrivalPs);
    const refused = this.admit(fn, port, ctx.packets.view, frameAt, lenBytes);
    if (refused !== DropReason.NONE)
      return ctx.dropRx(packetId, portIndex, refused, port.arrivalPs);
    if (ctx.trace !== null)
      ctx.trace.step(
        packetId,
        port.arrivalPs,
        TraceStep.FRAME_RECEIVED,
        portIndex,
        lenBytes,
        port.rxLevelBytes,
      );
    const pipeline = this.pipeline;
    pipeline.parse(ctx.packets.view, frameAt, lenBytes, portIndex);
    pipeline.timePs = port.arrivalPs;
    let inHandBytes = lenBytes;
    let inHandAt = frameAt;
    if (this.stages !== null && this.stages.isActive) {
      if (this.runStages(this.stages, fn, port, packetId, lenBytes)) return;
      inHandBytes = pipeline.executor.lenBytes;
      inHandAt = pipeline.executor.at;
    }
    if (!fn.filter.accepts(pipeline.key))
      return ctx.dropRx(packetId, portIndex, DropReason.MAC_FILTER, port.arrivalPs);
    this.countGood(stats, lenBytes);
    pipeline.process(portIndex);
    if (this.stages !== null && this.stages.isActive) this.takeFromStages(this.stages);
    if (ctx.trace !== null) this.tracePipeline(ctx.trace, packetId);
    if (pipeline.verdict === Verdict.TO_HOST)
      return this.toHost(fn, port, packetId, inHandAt, inHandBytes);
    const { verdict } = pipeline;
    this.leave(port, packetId, lenBytes, verdict, pipeline.flowHandle, DropReason.RULE);
  }

  /** Sends the frame in hand out of `pipeline.outPort`, or drops it, at `pipeline.timePs`. */
  private leave(
    port: Port,
    packetId: number,
    heldBytes: number,
    verdict: number,
    handle: number,
    dropReason: DropReason,
  ): void {
    const { pipeline, ctx } = this;
    let reason = dropReason;
    if (verdict === Verdict.OUTPUT) {
      const { at, lenBytes } = pipeline.executor;
      this.egress.readyPs = pipeline.timePs;
      reason = this.egress.send(pipeline.outPort, packetId, -1, handle, at, lenBytes);
    }
    port.releasePs = pipeline.timePs;
    port.hold(heldBytes);
    if (reason === DropReason.NONE) ctx.stats[port.index].forwarded++;
    else ctx.dropRx(packetId, port.index, reason, pipeline.timePs);
  }

  /** Staged tables: true when they decided the frame's way; else the frame in hand (executor) goes on. */
  private runStages(
    stages: SwitchPipeline,
    fn: PciFunction,
    port: Port,
    packetId: number,
    heldBytes: number,
  ): boolean {
    const { pipeline } = this;
    this.packetId = packetId;
    stages.timePs = pipeline.timePs;
    stages.run(port.index);
    pipeline.timePs = stages.timePs;
    if (stages.verdict === Verdict.CONTINUE) return false;
    this.countGood(this.ctx.stats[port.index], heldBytes);
    if (stages.verdict === Verdict.TO_HOST) {
      const { at, lenBytes } = pipeline.executor;
      this.takeFromStages(stages);
      pipeline.missReason = stages.missReason;
      this.toHost(fn, port, packetId, at, lenBytes);
      return true;
    }
    pipeline.outPort = stages.outPort;
    const dropReason = stages.dropReason as DropReason;
    this.leave(port, packetId, heldBytes, stages.verdict, stages.handle, dropReason);
    return true;
  }

  /** Queue and mark that the staged tables gave, where later tables gave none. */
  private takeFromStages(stages: SwitchPipeline): void {
    const { pipeline } = this;
    if (stages.verdict !== Verdict.CONTINUE) {
      pipeline.queueIndex = -1;
      pipeline.hasMark = false;
    }
    if (pipeline.queueIndex < 0) pipeline.queueIndex = stages.queueIndex;
    if (pipeline.hasMark || !stages.hasMark) return;
    pipeline.hasMark = true;
    pipeline.mark = stages.mark;
  }

  /** A copy for a port leaves (for FrameCopier): the caller has counted it as made. */
  copyOut(copyId: number, outPort: number, at: number, lenBytes: number, atPs: number): void {
    const stages = this.stages as SwitchPipeline;
    const stats = this.ctx.stats[stages.inPort];
    this.egress.readyPs = atPs;
    const reason = this.egress.send(outPort, copyId, -1, stages.handle, at, lenBytes);
    if (reason === DropReason.NONE) stats.forwarded++;
    else this.ctx.dropRx(copyId, stages.inPort, reason, atPs);
  }

  /** A copy for the host goes to a queue of the port of arrival; `group` stands in the descriptor in place of the hash. */
  copyToHost(copyId: number, at: number, lenBytes: number, atPs: number, group: number): void {
    const stages = this.stages as SwitchPipeline;
    const fn = this.functions[stages.inPort];
    const { pipeline } = this;
    const { timePs } = pipeline;
    pipeline.timePs = atPs;
    pipeline.queueIndex = -1;
    pipeline.missReason = MissReason.COPY;
    pipeline.hasMark = true;
    pipeline.mark = group;
    this.isCopy = true;
    this.toHost(fn, this.ctx.ports[stages.inPort], copyId, at, lenBytes);
    this.isCopy = false;
    pipeline.timePs = timePs;
    pipeline.hasMark = false;
  }

  /** Publishes the write-backs that are in host memory at `nowPs`. Call it before looking at descriptors. */
  sync(nowPs: number): void {
    const ctx = this.ctx;
    if (nowPs < ctx.publishDuePs) return;
    ctx.publishDuePs = Infinity;
    const { rxStaged, txStaged } = ctx;
    for (let word = 0; word < rxStaged.length; word++) {
      // Only queues that staged something: looking at all of them was 8 % of the software path.
      let bits = rxStaged[word] | txStaged[word];
      while (bits !== 0) {
        const bit = bits & -bits;
        bits ^= bit;
        this.publishQueue(word, bit, nowPs);
      }
    }
  }

  /** Publishes what is due on one queue (as in DeviceContext.rxStaged); lowers `publishDuePs` to what stays. */
  private publishQueue(word: number, bit: number, nowPs: number): void {
    const ctx = this.ctx;
    const fn = this.functions[word >> 2];
    const queue = ((word & (QUEUE_WORDS - 1)) << 5) + 31 - Math.clz32(bit);
    const rx = fn.rxRings[queue].staged;
    if (rx.count > 0) fn.rxRings[queue].publish(nowPs);
    if (rx.count === 0) ctx.rxStaged[word] = ctx.rxStaged[word] & ~bit;
    else if (rx.nextPs < ctx.publishDuePs) ctx.publishDuePs = rx.nextPs;
    const { writeBack } = fn.txRings[queue];
    const tx = writeBack.staged;
    if (tx.count > 0) writeBack.publish(nowPs);
    if (tx.count === 0) ctx.txStaged[word] = ctx.txStaged[word] & ~bit;
    else if (tx.nextPs < ctx.publishDuePs) ctx.publishDuePs = tx.nextPs;
  }

  /** Plugs or pulls a port's cable; the function gets a link status interrupt. */
  setLink(portIndex: number, isUp: boolean): void {
    this.functions[portIndex].link.setCable(isUp);
  }

  /** Resets every function and empties the tables. Frames staged or waiting are dropped and counted. */
  reset(): void {
    for (const fn of this.functions) fn.reset();
    this.tables.removeAll(-1);
  }

  /** Throws ModelError unless every frame is accounted for. */
  checkInvariants(): void {
    this.functions.forEach((fn, i) => checkPort(fn, this.ctx.stats[i], i));
  }

  /** Frames that wait at a port go on, now that descriptors appeared (called by the function). */
  drainWaiting(functionIndex: number): void {
    const fn = this.functions[functionIndex];
    if (fn === undefined || fn.waiting === null) return;
    const waiting = fn.waiting;
    const meta = this.waitingMeta;
    const port = this.ctx.ports[functionIndex];
    const nowPs = this.ctx.scheduler.nowPs;
    while (waiting.peek(meta)) {
      const ring = fn.rxRings[meta.queueIndex];
      const { at, lenBytes } = waiting;
      const reason = ring.deliver(meta, waiting.bytes, waiting.view, at, lenBytes, nowPs);
      if (reason === DropReason.NO_DESCRIPTOR && !ring.dropsWhenEmpty) return;
      waiting.pop();
      port.waitingBytes -= lenBytes;
      if (port.split !== null) {
        port.split.trafficClass = meta.trafficClass;
        port.split.wait(-lenBytes);
      }
      this.settle(fn, port, ring, reason, meta, lenBytes, nowPs);
    }
  }

  /** Checks before the packet buffer: NONE when the frame may enter. */
  private admit(
    fn: PciFunction,
    port: Port,
    view: DataView,
    at: number,
    lenBytes: number,
  ): DropReason {
    if (!fn.isRxEnabled) return DropReason.RX_DISABLED;
    if (lenBytes < ETH_HEADER_BYTES) return DropReason.UNDERSIZE;
    const isTagged = view.getUint16(at + 12) === ETHERTYPE_VLAN;
    const maxBytes = fn.maxFrameBytes + (isTagged ? VLAN_TAG_BYTES : 0);
    if (lenBytes > maxBytes || lenBytes > this.config.maxFrameBytes) return DropReason.OVERSIZE;
    if (port.split !== null) port.split.classify(view, at);
    return port.hasRoom(lenBytes) ? DropReason.NONE : DropReason.RX_BUFFER_FULL;
  }

  private countGood(stats: PortStats, lenBytes: number): void {
    stats.add(C.RX_GOOD, 1);
    stats.add(C.RX_GOOD_OCTETS, lenBytes + FCS_BYTES);
    stats.countSize(C.RX_SIZE, lenBytes);
    const flags = this.pipeline.key[K.K_FLAGS];
    if ((flags & K.PARSE_MULTICAST) === 0) return;
    stats.add((flags & K.PARSE_BROADCAST) !== 0 ? C.RX_BROADCAST : C.RX_MULTICAST, 1);
  }

  /** Queue, checksum verdicts, ring. */
  private toHost(
    fn: PciFunction,
    port: Port,
    packetId: number,
    frameAt: number,
    lenBytes: number,
  ): void {
    const { pipeline, meta } = this;
    const donePs = pipeline.timePs;
    const { packets, trace } = this.ctx;
    const stats = this.ctx.stats[fn.index];
    stats.misses[pipeline.missReason] = stats.misses[pipeline.missReason] + 1;
    let queue = fn.rss.classify(pipeline.key);
    const tagType = fn.filter.vlnctrl & 0xffff;
    const isVerified = this.config.rxChecksum;
    const isDouble = fn.isDoubleVlan;
    classifyForHost(meta, pipeline, fn.rss, packets.view, frameAt, isVerified, tagType, isDouble);
    if (fn.steering.isActive && !this.isCopy) {
      queue = steerFrame(this.ctx, fn, meta, queue, packetId, frameAt, lenBytes, donePs);
      if (queue === STEER_DROP) return this.dropSteered(fn, port, packetId, lenBytes, donePs);
    }
    if (pipeline.queueIndex >= 0) queue = pipeline.queueIndex;
    if (queue >= fn.rxRings.length) queue = 0;
    meta.queueIndex = queue;
    meta.packetId = packetId;
    meta.missReason = pipeline.missReason;
    if (this.isCopy) {
      meta.status = (meta.status & RXD_STAT_FLM) | RXD_STAT_COPY;
      meta.vlanTci = -1; // tags of copies stay in them
    }
    if ((meta.status & RXD_CHECKSUM_ERRORS) !== 0) stats.add(C.RX_CHECKSUM_ERRORS, 1);
    if (fn.splitsHeaders) {
      const psrtype = fn.registers.peek(PSRTYPE(0));
      meta.headerBytes = headerLengthOf(psrtype, pipeline.key, packets.view, frameAt);
    }
    trace?.step(packetId, donePs, TraceStep.QUEUE_CHOSEN, queue, fn.rss.hash >>> 0, fn.rss.type);
    const ring = fn.rxRings[queue];
    let reason: DropReason = DropReason.NO_DESCRIPTOR;
    if (fn.waiting === null || fn.waiting.count === 0)
      reason = ring.deliver(meta, packets.bytes, packets.view, frameAt, lenBytes, donePs);
    if (reason === DropReason.NO_DESCRIPTOR) stats.add(C.RX_NO_BUFFER, 1);
    if (reason === DropReason.NO_DESCRIPTOR && ring.isEnabled && !ring.dropsWhenEmpty) {
      if (this.wait(fn, port, frameAt, lenBytes)) {
        trace?.step(packetId, donePs, TraceStep.RX_WAITING, queue, port.waitingBytes, 0);
        return;
      }
      reason = DropReason.RX_BUFFER_FULL;
    }
    this.settle(fn, port, ring, reason, meta, lenBytes, donePs);
  }

  /** A Flow Director filter drops the frame. */
  private dropSteered(
    fn: PciFunction,
    port: Port,
    packetId: number,
    lenBytes: number,
    atPs: number,
  ): void {
    port.releasePs = atPs;
    port.hold(lenBytes);
    this.ctx.dropRx(packetId, fn.index, DropReason.RULE, atPs);
  }

  private wait(fn: PciFunction, port: Port, frameAt: number, lenBytes: number): boolean {
    if (fn.waiting === null)
      fn.waiting = new WaitingFrames(this.config.rxPacketBufferBytes, this.config.maxFrameBytes);
    this.meta.trafficClass = port.split === null ? 0 : port.split.trafficClass;
    if (!fn.waiting.push(this.meta, this.ctx.packets.bytes, frameAt, lenBytes)) return false;
    port.waitingBytes += lenBytes;
    if (port.split !== null) port.split.wait(lenBytes);
    if (fn.flow.isSending) fn.flow.raised(this.meta.trafficClass);
    return true;
  }

  /** After an attempt to deliver: interrupt and buffer release, or the drop. */
  private settle(
    fn: PciFunction,
    port: Port,
    ring: RxRing,
    reason: DropReason,
    meta: RxMeta,
    lenBytes: number,
    atPs: number,
  ): void {
    if (reason === DropReason.NONE) {
      port.releasePs = ring.finishPs;
      port.hold(lenBytes);
      fn.rxStaged(ring.queueIndex, ring.finishPs, meta.isLowLatency);
      if (fn.flow.isSending) fn.flow.raised(port.split === null ? 0 : port.split.trafficClass);
      return;
    }
    port.releasePs = atPs;
    port.hold(lenBytes);
    ring.drops++;
    const stats = this.ctx.stats[fn.index];
    if (reason === DropReason.NO_DESCRIPTOR) stats.add(C.QUEUE_RX_DROPS + ring.counter, 1);
    this.ctx.dropRx(meta.packetId, fn.index, reason, atPs);
  }

  private tracePipeline(trace: TraceSink, packetId: number): void {
    const p = this.pipeline;
    const donePs = p.timePs;
    const key = p.key;
    const headers = key[K.K_HEADERS];
    const family = key[K.K_FAMILY];
    trace.step(packetId, donePs, TraceStep.PARSED, key[K.K_FLAGS], family, headers);
    if (p.tcam.count > 0)
      trace.step(packetId, donePs, TraceStep.TCAM_LOOKUP, p.tcamPosition, p.verdict, 0);
    trace.step(packetId, donePs, TraceStep.FLOW_LOOKUP, p.flowHandle, p.missReason, 0);
    trace.step(packetId, donePs, TraceStep.ACTION, p.verdict, p.outPort, p.actionFlags);
  }
}

function makeStages(
  config: NicConfig,
  ctx: DeviceContext,
  pipeline: Pipeline,
): SwitchPipeline | null {
  if (!config.stages) return null;
  const { clockMhz, parserBaseCycles, parserHeaderCycles } = config.pipeline;
  const cycle = cyclePs(clockMhz);
  const parser = { basePs: parserBaseCycles * cycle, headerPs: parserHeaderCycles * cycle };
  const { view } = ctx.packets;
  const { executor, key } = pipeline;
  return new SwitchPipeline(config.stages, ctx.scheduler, executor, view, key, parser);
}
