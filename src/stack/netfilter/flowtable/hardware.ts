// Flows and the driver (spec B.1, B.6): ADD, DEL and STATS are work items in process context, at most one in flight per flow.
//
// ADD builds both directions from routes and neighbours; without a valid neighbour it ends silently. The driver answers later;
// until then, and after a refusal, the software path carries the flow. A refusal is retried by software hits, at most once per
// second (FlowTable.refresh). DEL clears HW_OFFLOAD and leaves DEAD; the collection after that frees the flow.
// STATS are asked when less than nine tenths of the idle time remain; fresh use prolongs the flow. How a driver is spoken to is
// the form's matter (offload-form.ts).

import { EEXIST } from '../../../../driver/errno.ts';
import type { FlowBlock } from '../../../../driver/flow-block.ts';
import type { FlowStats } from '../../../../driver/flow-offload.ts';
import type { ExtAck } from '../../../../driver/netdev.ts';
import { C_STATUS, D_START, IPS_HW_OFFLOAD, ROW_DOUBLES, ROW_WORDS } from '../conntrack/table.ts';
import {
  NF_FLOW_HW,
  NF_FLOW_HW_DEAD,
  NF_FLOW_HW_DYING,
  NF_FLOW_PENDING,
  NF_FLOW_TEARDOWN,
} from './flow.ts';
import type { Flow } from './flow.ts';
import { F_HARDWARE, F_TIMEOUT } from './flow-rows.ts';
import type { FlowTable } from './flowtable.ts';
import { BlockForm } from './offload-block.ts';
import type { FormName, OffloadForm } from './offload-form.ts';
import { HookForm } from './offload-hook.ts';
import type { WorkKind } from './pending-work.ts';

/** STATS are due when less than this part of the idle time remains. */
const STATS_BELOW = 0.9;
/** Both directions of a flow, as bits. */
const BOTH = 3;

export class HardwarePath {
  /** The last refusal, for reports. */
  readonly extack: ExtAck = { message: '', reason: '' };

  private readonly table: FlowTable;
  private readonly form: OffloadForm;
  /** By connection: the flow of it that came into hardware last, as id + 1; 0 for none. */
  private ownerOf = new Int32Array(1024);

  constructor(table: FlowTable, form: FormName, block: FlowBlock) {
    this.table = table;
    this.form =
      form === 'block' ? new BlockForm(table, block) : new HookForm(table, form === 'hook');
  }

  /** A software hit moved the timeout of a flow: asks again. */
  refresh(flow: Flow): void {
    if (this.form.refreshes && (flow.flags & NF_FLOW_HW) !== 0) this.add(flow);
  }

  /** Whether the driver, not the collector, ages this flow. */
  agesItself(flow: Flow): boolean {
    return !this.form.refreshes && flow.hwDirections !== 0;
  }

  /** Queues an ADD unless something is in flight. */
  add(flow: Flow): void {
    if (!this.begin(flow, 'add')) return;
    this.table.queues.add.queue((done) => this.runAdd(flow, done));
  }

  /** Queues the deletion. */
  remove(flow: Flow): void {
    if (!this.begin(flow, 'del')) return;
    flow.flags |= NF_FLOW_HW_DYING;
    this.table.queues.del.queue((done) => this.runDel(flow, done));
  }

  /**
   * Hands a flow back to the software path: out of hardware, and not offered again. False while a work item of the flow is under
   * way.
   */
  release(flow: Flow): boolean {
    if ((flow.flags & NF_FLOW_PENDING) !== 0) return false;
    flow.flags &= ~NF_FLOW_HW;
    if (flow.hwDirections === 0) return true;
    this.begin(flow, 'del');
    this.table.queues.del.queue((done) => this.runDel(flow, done));
    return true;
  }

  /** Queues a STATS request when it is time. */
  stats(flow: Flow): void {
    if (!this.form.refreshes) return;
    const leftPs = this.table.rows.get(flow.id, F_TIMEOUT) - this.table.stack.scheduler.nowPs;
    if (leftPs >= STATS_BELOW * this.table.idlePs(flow.protocol)) return;
    if (!this.begin(flow, 'stats')) return;
    this.table.queues.stats.queue((done) => this.runStats(flow, done));
  }

  private begin(flow: Flow, kind: WorkKind): boolean {
    if ((flow.flags & NF_FLOW_PENDING) !== 0) return false;
    flow.flags |= NF_FLOW_PENDING;
    this.table.pendingWork.queued(kind, this.table.stack.kernel.current?.index ?? 0);
    return true;
  }

  private end(flow: Flow, kind: WorkKind, done: () => void): void {
    flow.flags &= ~NF_FLOW_PENDING;
    this.table.pendingWork.finished(kind);
    done();
    // A flowtable that is gone does not wait for its collector (nf_flow_table_free flushes the work).
    if (this.table.closed) this.table.collectFlow(flow);
  }

  private runAdd(flow: Flow, done: () => void): void {
    const { table } = this;
    const { counters } = table;
    if (table.ctIsDying(flow) || (flow.flags & NF_FLOW_TEARDOWN) !== 0) {
      this.end(flow, 'add', done);
      return;
    }
    this.extack.message = this.extack.reason = '';
    const asked = this.form.add(flow, this.extack, (directions, error) => {
      if (directions !== 0) this.installed(flow, directions);
      // Hardware that has the flow already says so at each further request.
      else if (error !== -EEXIST || flow.hwDirections === 0) counters.refusedByDriver(error);
      this.end(flow, 'add', done);
    });
    if (asked) counters.hwAsked++;
    else {
      counters.hwNoNeighbour++;
      this.end(flow, 'add', done);
    }
  }

  private installed(flow: Flow, directions: number): void {
    const { table } = this;
    if (flow.hwDirections === 0) {
      table.counters.hwInstalled++;
      const startPs = table.ct.table.doubles[flow.ctId * ROW_DOUBLES + D_START];
      table.counters.timeToHardware.add(table.stack.scheduler.nowPs - startPs);
    }
    flow.hwDirections |= directions;
    this.own(flow);
    if (flow.hwDirections !== BOTH) table.counters.hwPartly++;
    table.ct.table.words[flow.ctId * ROW_WORDS + C_STATUS] |= IPS_HW_OFFLOAD;
  }

  private own(flow: Flow): void {
    if (flow.ctId >= this.ownerOf.length) {
      const grown = new Int32Array(Math.max(2 * this.ownerOf.length, flow.ctId + 1));
      grown.set(this.ownerOf);
      this.ownerOf = grown;
    }
    const isTornDown = (flow.flags & NF_FLOW_TEARDOWN) !== 0;
    if (this.ownerOf[flow.ctId] === 0 || !isTornDown) this.ownerOf[flow.ctId] = flow.id + 1;
  }

  private runDel(flow: Flow, done: () => void): void {
    const { table } = this;
    // A connection that was offloaded anew before its old flow is gone keeps its mark (Linux 6.1 takes it away).
    const owner = this.ownerOf[flow.ctId];
    if (owner === flow.id + 1 || owner === 0 || owner === undefined) {
      table.ct.table.words[flow.ctId * ROW_WORDS + C_STATUS] &= ~IPS_HW_OFFLOAD;
      if (owner !== undefined) this.ownerOf[flow.ctId] = 0;
    }
    this.form.remove(flow, this.extack, () => {
      if (flow.hwDirections !== 0) table.counters.hwDeleted++;
      flow.hwDirections = 0;
      // Of a released flow the entry goes, the flow stays.
      if ((flow.flags & NF_FLOW_HW) !== 0) flow.flags |= NF_FLOW_HW_DEAD;
      this.end(flow, 'del', done);
    });
  }

  private runStats(flow: Flow, done: () => void): void {
    const { table } = this;
    const stats: FlowStats = { packets: [0, 0], bytes: [0, 0], lastUsedPs: 0 };
    this.form.stats(flow, stats, this.extack, () => {
      table.counters.hwStats++;
      const untilPs = stats.lastUsedPs + table.idlePs(flow.protocol);
      const { rows } = table;
      if (stats.lastUsedPs > 0 && untilPs > rows.get(flow.id, F_TIMEOUT))
        rows.set(flow.id, F_TIMEOUT, untilPs);
      for (const direction of [0, 1]) {
        rows.add(flow.id, F_HARDWARE + direction, stats.packets[direction]);
        if (table.settings.counter)
          table.ct.account(flow.ctId, direction, stats.packets[direction], stats.bytes[direction]);
      }
      this.end(flow, 'stats', done);
    });
  }
}
