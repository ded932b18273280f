// Flow Director's commands in time: FDIRCTRL's initialisation and FDIRCMD's add, remove and query, one after the other.
//
// What is due is done when someone looks (a register, a packet) or when its time has come, whichever is first: a driver that
// polls FDIRCMD inside one event sees the command end.

import type { Scheduler } from '../time/scheduler.ts';
import type { FdirCommand, FlowDirector } from './flow-director.ts';
import * as S from './regs.ts';

/** hw 4.1: a driver polls about 60 us for INIT_DONE at 10G. */
const INIT_PS = 60e6;
/** Assumed: one command on an empty bucket; drivers poll 10 times 10 us (hw 4.1). */
const COMMAND_PS = 1e6;
/** Assumed: one more filter of the chain, a read of the packet buffer. */
const LINK_PS = 100e3;

interface Pending {
  donePs: number;
  /** Null: the initialisation. */
  command: FdirCommand | null;
}

/** Told when something was done. */
export interface FdirListener {
  /** The table is initialised. */
  initialised(): void;
  /** A command ended: FILTER_VALID of a query, and whether it was an addition. */
  executed(answer: number, isAdd: boolean): void;
}

export class FdirCommands {
  private readonly scheduler: Scheduler;
  private readonly table: FlowDirector;
  private readonly listener: FdirListener;
  private readonly pending: Pending[] = [];
  private freePs = 0;

  constructor(scheduler: Scheduler, table: FlowDirector, listener: FdirListener) {
    this.scheduler = scheduler;
    this.table = table;
    this.listener = listener;
  }

  /** Whether a command is still to be executed. */
  get isBusy(): boolean {
    return this.pending.length > 0;
  }

  /** Forgets what is pending (reset). */
  abort(): void {
    this.pending.length = 0;
    this.freePs = 0;
  }

  /** FDIRCTRL was written. */
  initialise(): void {
    this.abort();
    this.push(INIT_PS, null);
  }

  /** FDIRCMD was written with a command. */
  begin(command: FdirCommand): void {
    this.settle();
    this.push(COMMAND_PS + LINK_PS * this.table.chainLength(command.hash), command);
  }

  /** Does what is due. */
  settle(): void {
    const { pending } = this;
    while (pending.length > 0 && pending[0].donePs <= this.scheduler.nowPs) {
      const { command } = pending[0];
      pending.shift();
      if (command === null) {
        this.table.start();
        this.listener.initialised();
        continue;
      }
      const isAdd = (command.cmd & S.FDIRCMD_CMD_MASK) === S.FDIRCMD_ADD;
      this.listener.executed(this.table.execute(command), isAdd);
    }
  }

  private push(costPs: number, command: FdirCommand | null): void {
    this.freePs = Math.max(this.scheduler.nowPs, this.freePs) + costPs;
    this.pending.push({ donePs: this.freePs, command });
    this.scheduler.at(this.freePs, () => {
      this.settle();
    });
  }
}
