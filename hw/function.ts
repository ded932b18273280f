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
import { Msix, type CauseSource, type MsixSink } from './irq/msix.ts';
import type { Egress } from './mac/egress.ts';
import { MacFilter } from './mac/mac-filter.ts';
import type { WaitingFrames } from './mac/waiting-frames.ts';
import type { Pipeline } from './pipeline/pipeline.ts';
import { RegisterFile } from './register-file.ts';
import { wireQueueRegisters } from './function-queues.ts';
import { wireInterruptRegisters } from './function-interrupts.ts';
import { wireStatistics } from './function-statistics.ts';
import { Rss } from './table/rss.ts';
import { TraceStep } from './trace.ts';
import * as R from './regs.ts';

/** A window of 32-bit registers, as a driver maps it. */
export interface Bar {
  /** Reads the register at a byte offset; unsigned. */
  read32(offset: number): number;
  /** Writes the register at a byte offset. */
  write32(offset: number, value: number): void;
}

const STANDARD_FRAME_BYTES = 1518;
const MFS_UNLIMITED = 0xffff;

export class PciFunction implements CauseSource {
  readonly index: number;
  readonly bar0: Bar;
  readonly bar2: Bar;
  readonly registers = new RegisterFile();
  readonly rxRings: RxRing[] = [];
  readonly txRings: TxRing[] = [];
  readonly rss = new Rss();
  readonly filter: MacFilter;
  readonly msix: Msix;
  readonly admin: AdminQueue;
  /** Vector of each queue, −1 for none. */
  readonly rxVector: Int32Array;
  readonly txVector: Int32Array;
  /** RXCTRL.RXEN. */
  isRxEnabled = false;
  /** DMATXCTL.TE. */
  isTxEnabled = false;
  /** Largest untagged frame without FCS that the MAC takes. */
  maxFrameBytes = STANDARD_FRAME_BYTES - 4;
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
    this.rxVector = new Int32Array(queues).fill(-1);
    this.txVector = new Int32Array(queues).fill(-1);
    for (let q = 0; q < queues; q++) {
      this.rxRings.push(new RxRing(ctx, index, q));
      const tx = new TxRing(ctx, egress, index, q);
      tx.onStaged = (queue, finishPs) => this.txStaged(queue, finishPs);
      tx.isDmaEnabled = () => this.isTxEnabled;
      this.txRings.push(tx);
    }
    this.filter = new MacFilter((offset) => this.registers.peek(offset));
    const latencyPs = ctx.config.pcie.writeLatencyPs;
    this.msix = new Msix(index, vectors, ctx.scheduler, sink, this, latencyPs);
    this.admin = new AdminQueue(ctx, tables, pipeline, this.msix, index);
    this.bar0 = this.makeBar0();
    this.bar2 = this.makeBar2();
    this.wireControl();
    wireQueueRegisters(this);
    wireInterruptRegisters(this);
    wireStatistics(this);
    this.loadDefaults();
  }

  /** A received packet's write-back is staged. */
  rxStaged(queueIndex: number, finishPs: number): void {
    this.msix.raise(this.rxVector[queueIndex], finishPs);
  }

  /** CauseSource: earliest staged write-back of the queues of a vector. */
  nextCausePs(vector: number): number {
    let nextPs = Infinity;
    for (let q = 0; q < this.rxRings.length; q++) {
      if (this.rxVector[q] === vector) nextPs = Math.min(nextPs, this.rxRings[q].staged.nextPs);
      if (this.txVector[q] === vector) nextPs = Math.min(nextPs, this.txRings[q].staged.nextPs);
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
    for (const ring of this.rxRings) {
      ring.disable(nowPs);
      ring.baseIova = 0;
      ring.lenBytes = 0;
      ring.head = 0;
      ring.tail = 0;
      ring.bufferBytes = 2048;
      ring.dropsWhenEmpty = false;
      ring.stripsVlan = false;
    }
    for (const ring of this.txRings) {
      ring.disable();
      ring.baseIova = 0;
      ring.lenBytes = 0;
      ring.head = 0;
      ring.tail = 0;
    }
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
    this.rss.mrqc = 0;
    this.rss.key.fill(0);
    this.rss.keyChanged();
    this.rss.reta.fill(0);
    this.isRxEnabled = false;
    this.isTxEnabled = false;
    this.filter.fctrl = 0;
    this.filter.vlnctrl = 0;
    this.filter.mcstctrl = 0;
    for (let i = 0; i < 128; i++) this.filter.setAddress(i, 0, 0);
    const mac = config.permanentMac.map((byte, i) => (i === 5 ? (byte + this.index) & 255 : byte));
    const byte = (i: number): number => mac[i] ?? 0;
    const low = byte(0) | (byte(1) << 8) | (byte(2) << 16) | (byte(3) << 24);
    this.registers.poke(R.RAL(0), low);
    this.registers.poke(R.RAH(0), byte(4) | (byte(5) << 8) | R.RAH_AV);
    this.addressChanged(0);
    const hlreg0 = this.registers.peek(R.HLREG0) | (config.txPadReset ? R.HLREG0_TXPADEN : 0);
    this.registers.poke(R.HLREG0, hlreg0);
    this.macChanged();
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

  private txStaged(queueIndex: number, finishPs: number): void {
    this.msix.raise(this.txVector[queueIndex], finishPs);
  }

  private makeBar0(): Bar {
    return {
      read32: (offset) => {
        this.sync(this.ctx.scheduler.nowPs);
        return this.registers.read32(offset);
      },
      write32: (offset, value) => {
        this.sync(this.ctx.scheduler.nowPs);
        this.registers.write32(offset, value);
      },
    };
  }

  private makeBar2(): Bar {
    return {
      read32: (offset) => this.admin.read32(offset),
      write32: (offset, value) => this.admin.write32(offset, value),
    };
  }

  private addressChanged(index: number): void {
    this.filter.setAddress(
      index,
      this.registers.peek(R.RAL(index)),
      this.registers.peek(R.RAH(index)),
    );
    if (index === 0) this.pipeline.setMac(this.index, this.filter.ownAddress());
  }

  /** HLREG0 or MAXFRS changed. */
  private macChanged(): void {
    const hlreg0 = this.registers.peek(R.HLREG0);
    const port = this.ctx.ports[this.index];
    port.padsShort = (hlreg0 & R.HLREG0_TXPADEN) !== 0;
    const mfs = this.registers.peek(R.MAXFRS) >>> R.MAXFRS_MFS_SHIFT;
    const isJumbo = (hlreg0 & R.HLREG0_JUMBOEN) !== 0;
    const deviceBytes = this.ctx.config.maxFrameBytes;
    if (!isJumbo) this.maxFrameBytes = STANDARD_FRAME_BYTES - 4;
    else this.maxFrameBytes = mfs === MFS_UNLIMITED ? deviceBytes : Math.max(mfs - 4, 0);
  }

  private wireControl(): void {
    const regs = this.registers;
    regs.onWrite('CTRL', (_i, value) => {
      if ((value & (R.CTRL_RST | R.CTRL_LNK_RST)) !== 0) this.reset();
      regs.poke(R.CTRL, value & ~(R.CTRL_RST | R.CTRL_LNK_RST));
    });
    regs.onRead('STATUS', () => {
      const isMaster = (regs.peek(R.CTRL) & R.CTRL_GIO_DIS) === 0;
      return (
        ((this.index & 3) << R.STATUS_LAN_ID_SHIFT) | (isMaster ? R.STATUS_GIO_MASTER_ENABLE : 0)
      );
    });
    regs.onRead('EERD', () => (regs.peek(R.EERD) & 0xfffe) | R.EERD_DONE);
    regs.onRead('RDRXCTL', () => regs.peek(R.RDRXCTL) | R.RDRXCTL_DMAIDONE);
    regs.onRead('LINKS', () => {
      const port = this.ctx.ports[this.index];
      const speed = this.ctx.config.lineRateBps < 10e9 ? R.LINKS_SPEED_1G : R.LINKS_SPEED_10G;
      return port.isLinkUp ? R.LINKS_UP | speed : 0;
    });
    regs.onWrite('RXCTRL', (_i, value) => {
      this.isRxEnabled = (value & R.RXCTRL_RXEN) !== 0;
    });
    regs.onWrite('DMATXCTL', (_i, value) => {
      this.isTxEnabled = (value & R.DMATXCTL_TE) !== 0;
      for (const ring of this.txRings) ring.process(this.ctx.scheduler.nowPs);
    });
    regs.onWrite('FCTRL', (_i, value) => {
      this.filter.fctrl = value;
    });
    regs.onWrite('VLNCTRL', (_i, value) => {
      this.filter.vlnctrl = value;
    });
    regs.onWrite('MCSTCTRL', (_i, value) => {
      this.filter.mcstctrl = value;
    });
    regs.onWrite('RAL', (index) => this.addressChanged(index));
    regs.onWrite('RAH', (index) => this.addressChanged(index));
    regs.onWrite('HLREG0', () => this.macChanged());
    regs.onWrite('MAXFRS', () => this.macChanged());
  }
}
