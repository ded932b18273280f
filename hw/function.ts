// One PCI function: a port with its BARs. Wires the register file to the blocks behind it: rings, RSS, MAC filter,
// interrupts, statistics, admin queue. Values are decoded when they are written; packets never look at registers.
//
// Reads and writes first publish the write-backs that are due (`sync`), so a driver that polls RDH or memory right after
// an access sees a consistent state. CTRL.RST resets the function and removes the flow entries that it added.

import type { AdminTables } from './admin/tables.ts';
import { AdminQueue } from './admin/admin-queue.ts';
import type { DeviceContext } from './context.ts';
import { RxRing } from './dma/rx-ring.ts';
import { TxRing } from './dma/tx-ring.ts';
import { QUEUE_FAULTS } from './dma/queue-fault.ts';
import { TxUnit } from './dma/tx-unit.ts';
import { Msix, type CauseSource, type MsixSink } from './irq/msix.ts';
import { Link } from './control/link.ts';
import type { Egress } from './mac/egress.ts';
import { ClassBuffers } from './mac/class-buffers.ts';
import { FlowControl } from './mac/flow-control.ts';
import { wireFlowControl } from './mac/flow-control-registers.ts';
import { TxPause, type HeldSink } from './mac/tx-pause.ts';
import { MacFilter } from './mac/mac-filter.ts';
import type { WaitingFrames } from './mac/waiting-frames.ts';
import type { Pipeline } from './pipeline/pipeline.ts';
import { RegisterFile, type UnmodelledAccess } from './register-file.ts';
import { FunctionControl } from './function-control.ts';
import { wireQueueRegisters } from './function-queues.ts';
import { wireInterruptRegisters } from './function-interrupts.ts';
import { wireStatistics } from './function-statistics.ts';
import { makeFdirCommands, resetSteering, wireSteering } from './function-steering.ts';
import type { FdirCommands } from './steering/fdir-commands.ts';
import { RxSteering } from './steering/rx-steering.ts';
import { Rss } from './table/rss.ts';
import { TraceStep } from './trace.ts';
import * as R from './regs.ts';

/** A window of 32-bit registers, as a driver maps it. */
export interface Bar {
  /** Reads the register at a byte offset; unsigned. */
  read32(offset: number): number;
  /** Writes the register at a byte offset. */
  write32(offset: number, value: number): void;
  /** Reads a pair of registers, low one first; exact below 2^53. */
  read64(offset: number): number;
  /** Writes a pair of registers, low one first. */
  write64(offset: number, value: number): void;
}

/** What the function knows about its driver, out of band. */
export interface FunctionDebug {
  /** Reads a register of BAR0 without counting the access. */
  read32(offset: number): number;
  /** Accesses to registers that are not modelled, by offset. */
  unmodelled(): UnmodelledAccess[];
  /** Misuses of queues: those that occurred. */
  queueFaults(): { queue: string; name: string; text: string; count: number }[];
}

const HIGH = 0x1_0000_0000;
const STANDARD_FRAME_BYTES = 1518;

export class PciFunction implements CauseSource {
  readonly index: number;
  readonly bar0: Bar;
  readonly bar2: Bar;
  readonly debug: FunctionDebug = {
    read32: (offset) => this.registers.readQuietly(offset),
    unmodelled: () => this.registers.unmodelled(),
    queueFaults: () => this.queueFaults(),
  };
  readonly registers = new RegisterFile();
  readonly rxRings: RxRing[] = [];
  readonly txRings: TxRing[] = [];
  readonly rss: Rss;
  readonly steering: RxSteering;
  readonly fdirCommands: FdirCommands;
  readonly filter: MacFilter;
  readonly msix: Msix;
  readonly link: Link;
  readonly flow: FlowControl;
  /** What the link partner paused, and the receive buffer's split: the port has them while they are in force. */
  readonly pause: TxPause;
  readonly split = new ClassBuffers();
  readonly control: FunctionControl;
  readonly txUnit = new TxUnit();
  readonly admin: AdminQueue;
  /** Vector of each queue, −1 for none. */
  readonly rxVector: Int32Array;
  readonly txVector: Int32Array;
  /** RXCTRL.RXEN, and SECRXCTRL.RX_DIS is clear. */
  isRxEnabled = false;
  /** Largest untagged frame without FCS that the MAC takes. */
  maxFrameBytes = STANDARD_FRAME_BYTES - 4;
  /** A receive queue splits headers: the parser's cut is worked out for every frame. */
  splitsHeaders = false;
  /** CTRL_EXT.EXTENDED_VLAN: frames have an outer tag. */
  isDoubleVlan = false;
  /** Frames that wait for descriptors; made when first needed. */
  waiting: WaitingFrames | null = null;

  readonly ctx: DeviceContext;
  readonly pipeline: Pipeline;
  private readonly tables: AdminTables;
  /** Publishes write-backs of the whole device. */
  private readonly sync: (nowPs: number) => void;
  /** Descriptors appeared: frames that wait may go on. */
  readonly onDescriptors: () => void;

  constructor(
    ctx: DeviceContext,
    pipeline: Pipeline,
    egress: Egress,
    tables: AdminTables,
    index: number,
    sink: MsixSink,
    device: { sync(nowPs: number): void; drainWaiting(functionIndex: number): void },
  ) {
    this.ctx = ctx;
    this.pipeline = pipeline;
    this.tables = tables;
    this.index = index;
    this.sync = (nowPs) => device.sync(nowPs);
    this.onDescriptors = () => device.drainWaiting(index);
    const { queues, vectors } = ctx.config;
    this.rss = new Rss(ctx.config.rss);
    this.steering = new RxSteering(this.rss);
    this.rxVector = new Int32Array(queues).fill(-1);
    this.txVector = new Int32Array(queues).fill(-1);
    for (let q = 0; q < queues; q++) {
      this.rxRings.push(new RxRing(ctx, index, q));
      const tx = new TxRing(ctx, egress, this.txUnit, index, q);
      tx.writeBack.onStaged = (queue, finishPs) => this.txStaged(queue, finishPs);
      tx.writeBack.intervalPs = () => this.msix.intervalOf(this.txVector[q]);
      this.txRings.push(tx);
    }
    this.filter = new MacFilter((offset) => this.registers.peek(offset));
    const latencyPs = ctx.config.pcie.writeLatencyPs;
    this.msix = new Msix(index, vectors, ctx.scheduler, sink, this, latencyPs);
    const held: HeldSink = (id, entry, bytes, at, lenBytes) =>
      egress.sendHeld(index, id, entry, bytes.slice(at, at + lenBytes));
    this.pause = new TxPause(ctx.ports[index], ctx.scheduler, ctx.config.maxFrameBytes, held, () =>
      this.txResumed(),
    );
    this.flow = new FlowControl(ctx, index, this.pause);
    this.flow.ownAddress = () => Uint8Array.from(ctx.macOf(index));
    this.flow.send = (control) => egress.sendControl(index, control);
    this.link = new Link(ctx.ports[index], ctx.scheduler, this.msix);
    this.admin = new AdminQueue(ctx, tables, pipeline, this.msix, index);
    this.bar0 = this.makeBar0();
    this.bar2 = this.makeBar2();
    this.control = new FunctionControl(this);
    this.fdirCommands = makeFdirCommands(this);
    wireQueueRegisters(this);
    wireSteering(this);
    wireInterruptRegisters(this);
    wireStatistics(this);
    wireFlowControl(this);
    this.loadDefaults();
  }

  /** A received packet's write-back is staged. */
  rxStaged(queueIndex: number, finishPs: number, isLowLatency: boolean): void {
    if (isLowLatency) this.msix.raiseLowLatency(this.rxVector[queueIndex], finishPs);
    else this.msix.raise(this.rxVector[queueIndex], finishPs);
  }

  /** CauseSource: earliest staged write-back of the queues of a vector. */
  nextCausePs(vector: number): number {
    let nextPs = Infinity;
    for (let q = 0; q < this.rxRings.length; q++) {
      if (this.rxVector[q] === vector) nextPs = Math.min(nextPs, this.rxRings[q].staged.nextPs);
      if (this.txVector[q] === vector)
        nextPs = nextPs = Math.min(nextPs, this.txRings[q].writeBack.staged.nextPs);
    }
    return nextPs;
  }

  /** CauseSource: a message leaves. */
  beforeFire(vector: number): void {
    const nowPs = this.ctx.scheduler.nowPs;
    this.sync(nowPs);
    this.ctx.pcie.message();
    this.ctx.trace?.step(-1, nowPs, TraceStep.INTERRUPT, this.index, vector, 0);
  }

  /** Function reset (CTRL.RST): registers, queues, interrupts, admin queue, and the entries that this function added. */
  reset(): void {
    const nowPs = this.ctx.scheduler.nowPs;
    for (const ring of this.rxRings) ring.reset(nowPs);
    for (const ring of this.txRings) ring.reset();
    this.onDescriptors(); // every queue is off now: frames that wait are dropped and counted
    this.msix.reset();
    this.admin.reset();
    this.tables.removeAll(this.index);
    this.registers.reset();
    this.ctx.stats[this.index].clearAll();
    this.loadDefaults();
  }

  /** Decodes what follows from the reset values, and the EEPROM's address. */
  private loadDefaults(): void {
    const config = this.ctx.config;
    this.rxVector.fill(-1);
    this.txVector.fill(-1);
    resetSteering(this);
    for (let i = 0; i < 128; i++) this.filter.setAddress(i, 0, 0);
    const mac = this.ctx.macOf(this.index);
    const byte = (i: number): number => mac[i] ?? 0;
    const low = byte(0) | (byte(1) << 8) | (byte(2) << 16) | (byte(3) << 24);
    this.registers.poke(R.RAL(0), low);
    this.registers.poke(R.RAH(0), byte(4) | (byte(5) << 8) | R.RAH_AV);
    this.addressChanged(0);
    const hlreg0 = this.registers.peek(R.HLREG0) | (config.txPadReset ? R.HLREG0_TXPADEN : 0);
    this.registers.poke(R.HLREG0, hlreg0);
    this.control.loadDefaults();
    for (let q = 0; q < config.queues; q++) {
      this.rxRings[q].counter = q & 15;
      this.txRings[q].counter = q & 15;
    }
    for (let i = 0; i < 32; i++) {
      const identity = (4 * i) & 15;
      const word =
        identity | ((identity + 1) << 8) | ((identity + 2) << 16) | ((identity + 3) << 24);
      this.registers.poke(R.RQSMR(i), word);
      this.registers.poke(R.TQSM(i), word);
    }
    this.pipeline.isFlowEnabled[this.index] = 1;
    this.pipeline.portMtuBytes[this.index] = 0;
  }

  /** A pause is over: transmit rings go on. */
  private txResumed(): void {
    for (const ring of this.txRings) ring.resume(this.ctx.scheduler.nowPs);
  }

  private txStaged(queueIndex: number, finishPs: number): void {
    this.msix.raise(this.txVector[queueIndex], finishPs);
  }

  private makeBar0(): Bar {
    const { registers, ctx, sync } = this;
    const { scheduler } = ctx;
    const read32 = (offset: number): number => {
      if (scheduler.nowPs >= ctx.publishDuePs) sync(scheduler.nowPs);
      return registers.read32(offset);
    };
    const write32 = (offset: number, value: number): void => {
      if (scheduler.nowPs >= ctx.publishDuePs) sync(scheduler.nowPs);
      registers.write32(offset, value);
    };
    return { read32, write32, ...pairs(read32, write32) };
  }

  private makeBar2(): Bar {
    const read32 = (offset: number): number => this.admin.read32(offset);
    const write32 = (offset: number, value: number): void => this.admin.write32(offset, value);
    return { read32, write32, ...pairs(read32, write32) };
  }

  private queueFaults(): { queue: string; name: string; text: string; count: number }[] {
    const found: { queue: string; name: string; text: string; count: number }[] = [];
    const add = (queue: string, counts: Float64Array): void =>
      QUEUE_FAULTS.forEach(({ name, text }, fault) => {
        const count = counts[fault];
        if (count > 0) found.push({ queue, name, text, count });
      });
    this.rxRings.forEach((ring, q) => add(`rx ${q}`, ring.faultLog.counts));
    this.txRings.forEach((ring, q) => add(`tx ${q}`, ring.faultLog.counts));
    return found;
  }

  /** RAL or RAH changed. */
  addressChanged(index: number): void {
    this.filter.setAddress(
      index,
      this.registers.peek(R.RAL(index)),
      this.registers.peek(R.RAH(index)),
    );
    if (index === 0) this.pipeline.setMac(this.index, this.filter.ownAddress());
  }
}

/** 64-bit accesses as two of 32 bits, low one first. */
function pairs(
  read32: (offset: number) => number,
  write32: (offset: number, value: number) => void,
): Pick<Bar, 'read64' | 'write64'> {
  return {
    read64: (offset) => {
      const low = read32(offset);
      return low + read32(offset + 4) * HIGH;
    },
    write64: (offset, value) => {
      write32(offset, value >>> 0);
      write32(offset + 4, Math.floor(value / HIGH));
    },
  };
}
