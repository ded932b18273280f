// The admin queue of one function: BAR2 registers, command fetch, execution in simulated time, completion by DMA.
//
// One command at a time, in order: fetch (a DMA read), firmware time and per-entry costs (AdminConfig), then the tables
// change, entries that have to move do so (AdminConfig.movePs each), the completion is written and the vector's cause is
// raised. Everything asynchronous goes through the
// scheduler: one pending event per queue. A setup, tail or address that makes no sense stops the queue with ADM_ERROR.

import type { DeviceContext } from '../context.ts';
import type { Msix } from '../irq/msix.ts';
import type { Pipeline } from '../pipeline/pipeline.ts';
import type { EventHandler } from '../time/scheduler.ts';
import { NO_EVENT } from '../time/scheduler.ts';
import * as K from '../parse/key-layout.ts';
import type { AdminTables } from './tables.ts';
import { MAX_TABLES } from '../switch/config.ts';
import * as F from './format.ts';
import { CPL_WHAT } from './switch-format.ts';

const LAST_REGISTER = F.ADM_CAP_STAGES;
const HIGH = 0x1_0000_0000;

export class AdminQueue implements EventHandler {
  /** Commands executed, by status (Status numbers). */
  readonly executed = new Float64Array(16);

  private readonly ctx: DeviceContext;
  private readonly tables: AdminTables;
  private readonly pipeline: Pipeline;
  private readonly msix: Msix;
  private readonly functionIndex: number;
  private readonly words = new Uint32Array(LAST_REGISTER / 4 + 1);
  private readonly command = new Uint8Array(F.COMMAND_BYTES);
  private readonly commandView = new DataView(this.command.buffer);
  private event = NO_EVENT;
  private phase = 1;
  /** The tables have changed, the moves that this takes are still going on. */
  private isExecuted = false;
  private answer = { status: F.Status.OK as number, detail: 0, result: 0, moves: 0, what: 0 };

  constructor(
    ctx: DeviceContext,
    tables: AdminTables,
    pipeline: Pipeline,
    msix: Msix,
    functionIndex: number,
  ) {
    this.ctx = ctx;
    this.tables = tables;
    this.pipeline = pipeline;
    this.msix = msix;
    this.functionIndex = functionIndex;
    this.reset();
  }

  /** Function reset: the queue is off, commands in flight are lost. Tables stay. */
  reset(): void {
    this.disable();
    this.words.fill(0);
    this.words[F.ADM_VERSION / 4] = F.ADMIN_VERSION;
    const hasFlows = this.ctx.config.hasFlowTable !== false;
    this.words[F.ADM_CAP_FLOW_ENTRIES / 4] = hasFlows ? this.pipeline.flows.capacity : 0;
    this.words[F.ADM_CAP_TCAM_ENTRIES / 4] = this.pipeline.tcam.entries;
    this.words[F.ADM_CAP_TCAM_KEY_BITS / 4] = K.TCAM_KEY_BITS;
    const { ports, queues, vectors, admin } = this.ctx.config;
    this.words[F.ADM_CAP_PORTS / 4] =
      ports | (this.functionIndex << 8) | (queues << 16) | (vectors << 24);
    this.words[F.ADM_CAP_MAX_SLOTS / 4] = admin.maxSlots;
    this.words[F.ADM_LINK_MBPS / 4] = Math.round(this.ctx.config.lineRateBps / 1e6);
    this.words[F.ADM_CAP_TCAM_MODE / 4] =
      this.tables.managed === null ? F.TCAM_BY_POSITION : F.TCAM_BY_PRIORITY;
    const stages = this.tables.staged?.pipeline.config;
    this.words[F.ADM_CAP_STAGES / 4] =
      stages === undefined
        ? 0
        : stages.stages.length | (MAX_TABLES << 8) | (stages.rangeRegisters << 16);
  }

  /** BAR2 read; offsets without a register read 0. */
  read32(offset: number): number {
    if ((offset & 3) !== 0 || offset < 0 || offset > LAST_REGISTER) return 0;
    return this.words[offset >> 2];
  }

  /** BAR2 write; read-only registers and offsets without one ignore it. */
  write32(offset: number, value: number): void {
    switch (offset) {
      case F.ADM_BASE_LO:
      case F.ADM_BASE_HI:
      case F.ADM_SLOTS:
      case F.ADM_COMPLETION_LO:
      case F.ADM_COMPLETION_HI:
      case F.ADM_VECTOR:
        this.words[offset >> 2] = value;
        return;
      case F.ADM_ENABLE:
        if ((value & 1) !== 0) this.enable();
        else this.disable();
        return;
      case F.ADM_TAIL:
        this.doorbell(value >>> 0);
        return;
      default:
        return;
    }
  }

  /** The command that was fetched is executed, or its moves are done and it completes. */
  onEvent(): void {
    this.event = NO_EVENT;
    if (!this.isExecuted) {
      const settledPs = this.isSwitchCommand ? this.executeSwitch() : this.executeTables();
      this.executed[this.answer.status]++;
      this.isExecuted = true;
      if (settledPs > this.ctx.scheduler.nowPs) {
        this.event = this.ctx.scheduler.schedule(settledPs, this);
        return;
      }
    } else if (this.tables.nextPs <= this.ctx.scheduler.nowPs) {
      // The last writes are due at this very moment, each an event of its own: they come first.
      this.event = this.ctx.scheduler.schedule(this.ctx.scheduler.nowPs, this);
      return;
    }
    this.isExecuted = false;
    if (!this.complete()) return;
    this.begin(this.ctx.scheduler.nowPs);
  }

  private get slots(): number {
    return this.words[F.ADM_SLOTS / 4];
  }

  private get head(): number {
    return this.words[F.ADM_HEAD / 4];
  }

  private address(register: number): number {
    return this.words[register / 4] + this.words[register / 4 + 1] * HIGH;
  }

  private enable(): void {
    if (this.words[F.ADM_ENABLE / 4] === 1) return;
    this.words[F.ADM_ERROR / 4] = 0;
    this.words[F.ADM_HEAD / 4] = 0;
    this.words[F.ADM_TAIL / 4] = 0;
    this.phase = 1;
    const slots = this.slots;
    const isPowerOfTwo = slots >= 2 && (slots & (slots - 1)) === 0;
    const memory = this.ctx.memory;
    if (
      !isPowerOfTwo ||
      slots > this.ctx.config.admin.maxSlots ||
      !memory.resolve(this.address(F.ADM_BASE_LO), slots * F.COMMAND_BYTES) ||
      !memory.resolve(this.address(F.ADM_COMPLETION_LO), slots * F.COMPLETION_BYTES)
    ) {
      this.fail(F.ADM_ERROR_BAD_SETUP);
      return;
    }
    this.words[F.ADM_ENABLE / 4] = 1;
  }

  private disable(): void {
    this.words[F.ADM_ENABLE / 4] = 0;
    this.isExecuted = false;
    this.ctx.scheduler.cancel(this.event);
    this.event = NO_EVENT;
  }

  private fail(error: number): void {
    this.disable();
    this.words[F.ADM_ERROR / 4] = error;
  }

  private doorbell(tail: number): void {
    const arrivalPs = this.ctx.pcie.doorbell(this.ctx.scheduler.nowPs);
    if (this.words[F.ADM_ENABLE / 4] === 0) return;
    if (tail >= this.slots) {
      this.fail(F.ADM_ERROR_BAD_TAIL);
      return;
    }
    this.words[F.ADM_TAIL / 4] = tail;
    if (this.event === NO_EVENT) this.begin(arrivalPs);
  }

  /** Fetches the next command, if any, and schedules its end. */
  private begin(atPs: number): void {
    if (this.head === this.words[F.ADM_TAIL / 4]) return;
    const memory = this.ctx.memory;
    const iova = this.address(F.ADM_BASE_LO) + this.head * F.COMMAND_BYTES;
    if (!memory.resolve(iova, F.COMMAND_BYTES)) {
      this.fail(F.ADM_ERROR_DMA_FAULT);
      return;
    }
    this.command.set(memory.region.bytes.subarray(memory.offset, memory.offset + F.COMMAND_BYTES));
    const fetchedPs = this.ctx.pcie.read(atPs, F.COMMAND_BYTES, iova);
    this.event = this.ctx.scheduler.schedule(fetchedPs + this.costPs(), this);
  }

  /** Firmware time of the fetched command, ps. Moves are charged for the insertion that made them, afterwards. */
  private costPs(): number {
    const { commandPs, insertPs, entryPs } = this.ctx.config.admin;
    const flows = this.pipeline.flows;
    if (this.isSwitchCommand)
      return commandPs + (this.tables.staged?.costPs(this.commandView) ?? 0);
    switch (this.commandView.getUint16(F.CMD_OPCODE, true)) {
      case F.Opcode.FLOW_ADD:
      case F.Opcode.TCAM_ADD:
        return commandPs + insertPs;
      case F.Opcode.COUNTERS_READ:
      case F.Opcode.AGE_QUERY: {
        const count = this.commandView.getUint32(F.READ_COUNT, true);
        return commandPs + entryPs * Math.min(count, flows.capacity);
      }
      case F.Opcode.RESET_TABLES:
        return commandPs + entryPs * (flows.count + this.pipeline.tcam.count);
      default:
        return commandPs;
    }
  }

  private get isSwitchCommand(): boolean {
    return this.commandView.getUint16(F.CMD_OPCODE, true) >= F.Opcode.TABLE_SET;
  }

  /** Commands of the staged tables; returns when their moves are done, ps. */
  private executeSwitch(): number {
    const { staged } = this.tables;
    if (staged === null) {
      const { BAD_OPCODE } = F.Status;
      this.answer = {
        status: BAD_OPCODE,
        detail: F.Detail.NO_STAGES,
        result: 0,
        moves: 0,
        what: 0,
      };
      return 0;
    }
    staged.execute(this.commandView, this.functionIndex);
    const { status, detail, result, moves, what, settledPs } = staged;
    this.answer = { status, detail, result, moves, what };
    return settledPs;
  }

  private executeTables(): number {
    this.tables.settledPs = 0;
    this.tables.moves = 0;
    this.execute();
    const { status, detail, result, moves, settledPs } = this.tables;
    this.answer = { status, detail, result, moves, what: 0 };
    return settledPs;
  }

  private execute(): void {
    const tables = this.tables;
    const command = this.commandView;
    switch (command.getUint16(F.CMD_OPCODE, true)) {
      case F.Opcode.NOP:
        return tables.answer(F.Status.OK, F.Detail.NONE);
      case F.Opcode.FLOW_ADD:
        return tables.flowAdd(command, this.functionIndex);
      case F.Opcode.FLOW_DEL:
        return tables.flowDel(command);
      case F.Opcode.COUNTERS_READ:
        return tables.countersRead(command);
      case F.Opcode.TCAM_ADD:
        return tables.tcamAdd(command, this.functionIndex);
      case F.Opcode.TCAM_DEL:
        return tables.tcamDel(command);
      case F.Opcode.AGE_QUERY:
        return tables.ageQuery(command);
      case F.Opcode.PORT_SET:
        return tables.portSet(command);
      case F.Opcode.RESET_TABLES:
        return tables.resetTables(command, this.functionIndex);
      default:
        return tables.answer(F.Status.BAD_OPCODE, F.Detail.NONE);
    }
  }

  /** Writes the completion, advances the head, raises the vector; false on a DMA fault. */
  private complete(): boolean {
    const slot = this.head;
    const next = slot + 1 === this.slots ? 0 : slot + 1;
    const memory = this.ctx.memory;
    const iova = this.address(F.ADM_COMPLETION_LO) + slot * F.COMPLETION_BYTES;
    if (!memory.resolve(iova, F.COMPLETION_BYTES)) {
      this.fail(F.ADM_ERROR_DMA_FAULT);
      return false;
    }
    const view = memory.region.view;
    const at = memory.offset;
    view.setUint32(at + F.CPL_COOKIE, this.commandView.getUint32(F.CMD_COOKIE, true), true);
    view.setUint16(at + F.CPL_OPCODE, this.commandView.getUint16(F.CMD_OPCODE, true), true);
    view.setUint16(at + F.CPL_STATUS, this.answer.status, true);
    view.setUint32(at + F.CPL_RESULT, this.answer.result, true);
    view.setUint32(at + F.CPL_DETAIL, this.answer.detail, true);
    view.setUint32(at + F.CPL_MOVES, this.answer.moves, true);
    view.setUint32(at + CPL_WHAT, this.answer.what, true);
    for (let i = CPL_WHAT + 4; i < F.CPL_PHASE; i += 4) view.setUint32(at + i, 0, true);
    view.setUint32(at + F.CPL_PHASE, this.phase | (next << 16), true);
    const nowPs = this.ctx.scheduler.nowPs;
    this.ctx.pcie.write(nowPs, F.COMPLETION_BYTES, iova);
    if (next === 0) this.phase ^= 1;
    this.words[F.ADM_HEAD / 4] = next;
    this.msix.raise(this.words[F.ADM_VECTOR / 4], nowPs);
    return true;
  }
}
