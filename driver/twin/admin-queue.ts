// Driver side of the admin queue (hw/admin/format.ts): commands out, completions in, a time limit for each.
//
// Commands are posted in order and complete in order. More than the ring holds wait in a list. A command that has not
// completed within the limit is answered −ETIMEDOUT; its slot stays taken until the device completes it or the function
// is reset, and a late completion goes to `late`, so that a flow that appears after all can be removed again.
//
// Completions are told in process context, as after wait_for_completion.

import type { CoherentMemory } from '../alloc.ts';
import { EBUSY, EEXIST, EINVAL, EIO, ENOENT, ENOMEM, ENOSPC, ETIMEDOUT } from '../errno.ts';
import type { Kernel } from '../kernel.ts';
import type { Mmio } from '../mmio.ts';
import { NO_EVENT } from '../../hw/time/scheduler.ts';
import type { EventId } from '../../hw/time/scheduler.ts';
import {
  ADM_BASE_HI,
  ADM_BASE_LO,
  ADM_CAP_MAX_SLOTS,
  ADM_COMPLETION_HI,
  ADM_COMPLETION_LO,
  ADM_ENABLE,
  ADM_SLOTS,
  ADM_TAIL,
  ADM_VECTOR,
  ADM_VERSION,
  ADMIN_VERSION,
  CMD_COOKIE,
  CMD_OPCODE,
  COMMAND_BYTES,
  COMPLETION_BYTES,
  CPL_COOKIE,
  CPL_DETAIL,
  CPL_MOVES,
  CPL_PHASE,
  CPL_RESULT,
  CPL_STATUS,
  Status,
} from '../../hw/admin/format.ts';
import type { Opcode } from '../../hw/admin/format.ts';
import { CPL_WHAT } from '../../hw/admin/switch-format.ts';

const SLOTS_WANTED = 256;

/** Writes a command's body; the first 8 bytes are filled already. */
export type CommandFill = (view: DataView, at: number) => void;

/** How a command ended: 0 or −errno, the completion's result word, its Detail, and what the Detail is about. */
export type CommandDone = (error: number, result: number, detail: number, what: number) => void;

interface Command {
  opcode: Opcode;
  fill: CommandFill;
  /** Null after it was answered (timed out). */
  done: CommandDone | null;
  late: CommandDone | null;
  deadlinePs: number;
}

/** Errno of each Status. */
function statusErrno(status: number): number {
  switch (status) {
    case Status.OK:
      return 0;
    case Status.NO_SPACE:
      return -ENOSPC;
    case Status.EXISTS:
      return -EEXIST;
    case Status.NOT_FOUND:
      return -ENOENT;
    case Status.BAD_OPCODE:
    case Status.DMA_FAULT:
      return -EIO;
    default:
      return -EINVAL;
  }
}

export class AdminQueue {
  /** Commands sent, answered by the device, and given up. */
  sentCount = 0;
  completedCount = 0;
  timeoutCount = 0;
  /** Table entries that the device had to move for these commands. */
  movesCount = 0;

  private readonly kernel: Kernel;
  private readonly bar2: Mmio;
  private readonly timeoutPs: number;
  private commands: CoherentMemory | null = null;
  private completions: CoherentMemory | null = null;
  private slots = 0;
  private tail = 0;
  private nextCompletion = 0;
  private phase = 1;
  private inFlight: (Command | null)[] = [];
  private inFlightCount = 0;
  private waiting: Command[] = [];
  private watchdog: EventId = NO_EVENT;

  constructor(kernel: Kernel, bar2: Mmio, timeoutPs: number) {
    this.kernel = kernel;
    this.bar2 = bar2;
    this.timeoutPs = timeoutPs;
  }

  /** Commands not yet answered by the device. */
  get pendingCount(): number {
    return this.inFlightCount + this.waiting.length;
  }

  /** Sets the rings up and starts the queue; −EIO for a device of another version, −ENOMEM. */
  start(vector: number): number {
    const { bar2, kernel } = this;
    if (bar2.read32(ADM_VERSION) !== ADMIN_VERSION) return -EIO;
    if (this.commands === null) {
      this.slots = Math.min(SLOTS_WANTED, bar2.read32(ADM_CAP_MAX_SLOTS));
      this.commands = kernel.dma_alloc_coherent(this.slots * COMMAND_BYTES);
      this.completions = kernel.dma_alloc_coherent(this.slots * COMPLETION_BYTES);
    }
    if (this.commands === null || this.completions === null) return -ENOMEM;
    const { bytes, at } = this.completions;
    bytes.fill(0, at, at + this.slots * COMPLETION_BYTES);
    this.inFlight = new Array<Command | null>(this.slots).fill(null);
    this.inFlightCount = 0;
    this.tail = 0;
    this.nextCompletion = 0;
    this.phase = 1;
    this.write64(ADM_BASE_LO, ADM_BASE_HI, this.commands.iova);
    this.write64(ADM_COMPLETION_LO, ADM_COMPLETION_HI, this.completions.iova);
    bar2.write32(ADM_SLOTS, this.slots);
    bar2.write32(ADM_VECTOR, vector);
    bar2.write32(ADM_ENABLE, 1);
    this.postWaiting();
    return 0;
  }

  /** Stops the queue: commands in flight are answered −EIO now (the device forgets them). */
  stop(): void {
    this.bar2.write32(ADM_ENABLE, 0);
    this.abort();
  }

  /** The function was reset: as `stop`, but the device is stopped already. */
  abort(): void {
    const lost = [...this.inFlight.filter((command) => command !== null), ...this.waiting];
    this.inFlight.fill(null);
    this.inFlightCount = 0;
    this.waiting = [];
    this.kernel.del_timer(this.watchdog);
    this.watchdog = NO_EVENT;
    for (const command of lost) command.done?.(-EIO, 0, 0, 0);
  }

  /** Frees the rings. */
  free(): void {
    if (this.commands !== null) this.kernel.dma_free_coherent(this.commands);
    if (this.completions !== null) this.kernel.dma_free_coherent(this.completions);
    this.commands = null;
    this.completions = null;
  }

  /** Sends a command; `done` is called once, `late` when it completes after its time limit. */
  submit(opcode: Opcode, fill: CommandFill, done: CommandDone, late?: CommandDone): void {
    const command: Command = { opcode, fill, done, late: late ?? null, deadlinePs: 0 };
    if (this.commands === null) {
      done(-EBUSY, 0, 0, 0);
      return;
    }
    if (this.waiting.length > 0 || this.inFlightCount >= this.slots - 1) this.waiting.push(command);
    else this.post(command);
  }

  /** The admin vector's handler: takes what completed. */
  harvest(): void {
    const { completions } = this;
    if (completions === null) return;
    const { view } = completions;
    for (;;) {
      const at = completions.at + this.nextCompletion * COMPLETION_BYTES;
      if ((view.getUint32(at + CPL_PHASE, true) & 1) !== this.phase) break;
      const slot = this.nextCompletion;
      this.nextCompletion = slot + 1 === this.slots ? 0 : slot + 1;
      if (this.nextCompletion === 0) this.phase ^= 1;
      if (view.getUint32(at + CPL_COOKIE, true) !== slot)
        this.kernel.printkOnce('twin: admin completion with a foreign cookie');
      this.complete(
        slot,
        statusErrno(view.getUint16(at + CPL_STATUS, true)),
        view.getUint32(at + CPL_RESULT, true),
        view.getUint32(at + CPL_DETAIL, true),
        view.getUint32(at + CPL_WHAT, true),
        view.getUint32(at + CPL_MOVES, true),
      );
    }
    this.postWaiting();
    if (this.pendingCount === 0 && this.watchdog !== NO_EVENT) {
      this.kernel.del_timer(this.watchdog);
      this.watchdog = NO_EVENT;
    }
  }

  private complete(
    slot: number,
    error: number,
    result: number,
    detail: number,
    what: number,
    moves: number,
  ): void {
    const command = this.inFlight[slot] ?? null;
    if (command === null) return; // a completion that nobody waits for: ignored, as a driver must
    this.inFlight[slot] = null;
    this.inFlightCount--;
    this.completedCount++;
    this.movesCount += moves;
    const tell = command.done ?? command.late;
    if (tell === null) return;
    const core = this.kernel.current ?? this.kernel.cores[0];
    core.runTask(() => {
      tell(error, result, detail, what);
    });
  }

  private postWaiting(): void {
    while (this.waiting.length > 0 && this.inFlightCount < this.slots - 1)
      this.post(this.waiting.shift() as Command);
  }

  private post(command: Command): void {
    const commands = this.commands as CoherentMemory;
    const slot = this.tail;
    const at = commands.at + slot * COMMAND_BYTES;
    commands.bytes.fill(0, at, at + COMMAND_BYTES);
    commands.view.setUint16(at + CMD_OPCODE, command.opcode, true);
    commands.view.setUint32(at + CMD_COOKIE, slot, true);
    command.fill(commands.view, at);
    command.deadlinePs = this.kernel.scheduler.nowPs + this.timeoutPs;
    this.inFlight[slot] = command;
    this.inFlightCount++;
    this.tail = slot + 1 === this.slots ? 0 : slot + 1;
    this.sentCount++;
    this.armWatchdog(command.deadlinePs);
    this.bar2.write32(ADM_TAIL, this.tail);
  }

  private armWatchdog(atPs: number): void {
    if (this.watchdog !== NO_EVENT) return;
    this.watchdog = this.kernel.mod_timer(atPs, () => {
      this.watchdog = NO_EVENT;
      this.expire();
    });
  }

  /** Answers what is over its time limit and waits for the next deadline. */
  private expire(): void {
    this.harvest(); // a lost interrupt: what completed is taken first
    const nowPs = this.kernel.scheduler.nowPs;
    let nextPs = Infinity;
    for (const command of this.inFlight) {
      if (command === null || command.done === null) continue;
      if (command.deadlinePs > nowPs) nextPs = Math.min(nextPs, command.deadlinePs);
      else {
        const { done } = command;
        command.done = null;
        this.timeoutCount++;
        done(-ETIMEDOUT, 0, 0, 0);
      }
    }
    if (nextPs < Infinity) this.armWatchdog(nextPs);
  }

  private write64(lowRegister: number, highRegister: number, value: number): void {
    this.bar2.write32(lowRegister, value >>> 0);
    this.bar2.write32(highRegister, Math.floor(value / 0x1_0000_0000));
  }
}
