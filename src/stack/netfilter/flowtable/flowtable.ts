// One running flowtable (struct nf_flowtable, spec B.2, B.4): its flows, insertion, refresh, teardown, collection every second.
//
// fast-path.ts uses it at ingress, admission.ts fills it, hardware.ts talks to drivers about its flows. The connection of a
// flow is held until the flow is freed; while OFFLOAD is set conntrack lists it without timeout.

import type { FlowBlock } from '../../../../driver/flow-block.ts';
import type { NetDevice } from '../../../../driver/netdev.ts';
import type { SkBuff } from '../../../../driver/skb.ts';
import { PS_PER_S } from '../../../../hw/time/units.ts';
import type { Conntrack } from '../conntrack/conntrack.ts';
import {
  C_STATUS,
  C_TCP_STATE,
  C_SEEN,
  D_TIMEOUT,
  IPS_DYING,
  IPS_HW_OFFLOAD,
  IPS_OFFLOAD,
  ROW_DOUBLES,
  ROW_REPLY,
  ROW_WORDS,
  SEEN_WORDS,
} from '../conntrack/table.ts';
import { TCP_CLOSE, TCP_ESTABLISHED, TCP_FIN_WAIT } from '../conntrack/tcp-table.ts';
import { S_MAXWIN } from '../conntrack/tcp-window.ts';
import { FLOW_TIMEOUT_S } from '../conntrack/timeouts.ts';
import { IPPROTO_TCP, IPPROTO_UDP, Tuple } from '../conntrack/tuple.ts';
import type { HookState } from '../hooks.ts';
import type { StackPort, WorkQueuePort } from '../stack-port.ts';
import { Admission } from './admission.ts';
import { FastPath } from './fast-path.ts';
import {
  Flow,
  NF_FLOW_HW,
  NF_FLOW_HW_DEAD,
  NF_FLOW_HW_DYING,
  NF_FLOW_PENDING,
  NF_FLOW_TEARDOWN,
} from './flow.ts';
import type { FlowSide, TeardownCause } from './flow.ts';
import { FlowCounters } from './counters.ts';
import { F_TIMEOUT, FlowRows } from './flow-rows.ts';
import { HardwarePath } from './hardware.ts';
import type { FormName } from './offload-form.ts';
import type { PendingWork } from './pending-work.ts';
import { TupleTable } from './tuple-table.ts';
import type { Connection } from '../conntrack/table.ts';

/**
 * The collector asks for a second (250 jiffies at HZ 250); the timer wheel rounds such a time up to a multiple of 8 jiffies,
 * 256 = 1.024 s. The recordings show it: ticks drift against the second by 24 ms each.
 */
const GC_PERIOD_PS = 1.024 * PS_PER_S;
const DAY_PS = 86400 * PS_PER_S;
const REFRESH_STEP_PS = PS_PER_S;
/** A connection with less left is extended while its flow lives. */
const EXTEND_BELOW_PS = 300 * PS_PER_S;

/** Items unfinished at a time per queue (WQ_UNBOUND_MAX_ACTIVE is 512; drivers sleep on their device). */
const MAX_ACTIVE = 512;

/** The three work queues that all flowtables of a machine share. */
export interface OffloadQueues {
  add: WorkQueuePort;
  del: WorkQueuePort;
  stats: WorkQueuePort;
  /** Next cookie for a driver: unique over all flowtables of a machine. */
  nextCookie: number;
}

export function makeQueues(stack: StackPort): OffloadQueues {
  return {
    add: stack.kernel.alloc_workqueue('nf_ft_offload_add', MAX_ACTIVE),
    del: stack.kernel.alloc_workqueue('nf_ft_offload_del', MAX_ACTIVE),
    stats: stack.kernel.alloc_workqueue('nf_ft_offload_stats', MAX_ACTIVE),
    nextCookie: 1,
  };
}

/** Settings of a flowtable. */
export interface FlowTableSettings {
  name: string;
  priority: number;
  offload: boolean;
  counter: boolean;
  /** How drivers are asked. */
  form: FormName;
}

export class FlowTable {
  readonly settings: FlowTableSettings;
  readonly stack: StackPort;
  readonly ct: Conntrack;
  readonly queues: OffloadQueues;
  /** What of its work, and of the namespace's other flowtables, is under way. */
  readonly pendingWork: PendingWork;
  readonly counters = new FlowCounters();
  readonly tuples: TupleTable;
  readonly rows = new FlowRows();
  readonly fastPath: FastPath;
  readonly hardware: HardwarePath;
  /** Devices that it is bound to. */
  readonly devices: NetDevice[] = [];
  /** The drivers' callbacks; empty unless `settings.form` is 'block' and the flowtable offloads. */
  readonly block: FlowBlock;
  /** The flowtable is being removed: flows go as soon as their work items are through. */
  closed = false;
  /** Flow by id, null while free. */
  readonly flows: (Flow | null)[] = [];
  liveCount = 0;

  private readonly admission: Admission;
  private readonly freeIds: number[] = [];
  private readonly tuple = new Tuple();
  private readonly madePs: number;
  private gcPending = false;

  constructor(
    settings: FlowTableSettings,
    stack: StackPort,
    ct: Conntrack,
    queues: OffloadQueues,
    pendingWork: PendingWork,
    block: FlowBlock = { callbacks: [] },
  ) {
    this.block = block;
    this.queues = queues;
    this.pendingWork = pendingWork;
    this.madePs = stack.scheduler.nowPs;
    this.settings = settings;
    this.stack = stack;
    this.ct = ct;
    this.tuples = new TupleTable(ct.table);
    this.admission = new Admission(this);
    this.fastPath = new FastPath(this);
    this.hardware = new HardwarePath(this, settings.form, block);
  }

  /** `flow add @this` on a packet in a forward chain; false breaks the rule. */
  add(skb: SkBuff, state: HookState): boolean {
    return this.admission.admit(skb, state);
  }

  /** Makes and publishes a flow; the connection's OFFLOAD bit is set already. */
  insert(
    conn: Connection,
    protocol: number,
    flags: number,
    original: FlowSide,
    reply: FlowSide,
  ): Flow {
    const nowPs = this.stack.scheduler.nowPs;
    const idlePs = this.idlePs(protocol);
    const id = this.freeIds.pop() ?? this.flows.length;
    const hw = this.settings.offload ? NF_FLOW_HW : 0;
    const flow = new Flow(id, conn, protocol, flags | hw, original, reply);
    this.flows[id] = flow;
    this.rows.clear(id);
    this.rows.set(id, F_TIMEOUT, nowPs + idlePs);
    this.ct.hold(flow.ctId);
    const row = flow.ctId * ROW_WORDS;
    for (const direction of [1, 0]) {
      const side = flow.side(direction);
      this.tuple.load(this.ct.table.words, row + direction * ROW_REPLY);
      this.tuple.meta = (side.inDev.ifindex << 16) | (this.tuple.meta & 0xffff);
      this.tuples.insert(2 * id + direction, flow.ctId, this.tuple, side.vlanId);
    }
    this.liveCount++;
    this.counters.added++;
    // Conntrack must not expire it meanwhile: at least half a day, else a day (6.1).
    const at = flow.ctId * ROW_DOUBLES + D_TIMEOUT;
    if (this.ct.table.doubles[at] - nowPs < DAY_PS / 2) this.ct.table.doubles[at] = nowPs + DAY_PS;
    this.startGc();
    if (this.settings.offload) {
      flow.cookie = this.queues.nextCookie;
      this.queues.nextCookie += 2;
      this.hardware.add(flow);
    }
    return flow;
  }

  /** Idle time of a protocol's flows, ps. */
  idlePs(protocol: number): number {
    if (protocol === IPPROTO_TCP) return this.ct.timeouts.flowTcpPs;
    return protocol === IPPROTO_UDP ? this.ct.timeouts.flowUdpPs : FLOW_TIMEOUT_S * PS_PER_S;
  }

  /** A software hit: moves the timeout when that is worth a second, and then asks hardware again. */
  refresh(flow: Flow): void {
    const untilPs = this.stack.scheduler.nowPs + this.idlePs(flow.protocol);
    if (untilPs - this.rows.get(flow.id, F_TIMEOUT) <= REFRESH_STEP_PS) return;
    this.rows.set(flow.id, F_TIMEOUT, untilPs);
    if (this.settings.offload) this.hardware.refresh(flow);
  }

  /** Whether conntrack's entry of the flow is being deleted. */
  ctIsDying(flow: Flow): boolean {
    return (this.ct.table.words[flow.ctId * ROW_WORDS + C_STATUS] & IPS_DYING) !== 0;
  }

  /** Ends the hits of a flow and gives its connection back to conntrack's rules. The entry goes at a collection. */
  teardown(flow: Flow, cause: TeardownCause): void {
    const { words } = this.ct.table;
    const row = flow.ctId * ROW_WORDS;
    if ((flow.flags & NF_FLOW_TEARDOWN) !== 0) return;
    words[row + C_STATUS] &= ~IPS_OFFLOAD;
    flow.flags |= NF_FLOW_TEARDOWN;
    flow.cause = cause;
    this.counters.removedBy[cause]++;
    if (flow.hwDirections !== 0) this.counters.hwRemovedBy[cause]++;
    this.fixConnection(flow);
  }

  /** Tears down every flow that `which` picks, and collects at once. */
  flush(cause: TeardownCause, which: (flow: Flow) => boolean): void {
    for (const flow of this.flows)
      if (flow !== null && which(flow))
        this.teardown(flow, this.ctIsDying(flow) ? 'ct-gone' : cause);
    this.collect();
  }

  /** One round of garbage collection (spec B.4 "GC"). */
  collect(): void {
    for (const flow of this.flows) if (flow !== null) this.collectFlow(flow);
  }

  /** Garbage collection of one flow. */
  collectFlow(flow: Flow): void {
    if ((flow.flags & NF_FLOW_PENDING) !== 0) return;
    const nowPs = this.stack.scheduler.nowPs;
    const dying = this.ctIsDying(flow);
    const idle = this.rows.get(flow.id, F_TIMEOUT) <= nowPs && !this.hardware.agesItself(flow);
    if (dying || idle) this.teardown(flow, dying ? 'ct-gone' : 'idle');
    if ((flow.flags & NF_FLOW_TEARDOWN) !== 0) this.retire(flow);
    else {
      this.extendConnection(flow, nowPs);
      if ((flow.flags & NF_FLOW_HW) !== 0) this.hardware.stats(flow);
    }
  }

  /** Faults in the books, as sentences; empty when all is well. */
  checkInvariants(): string[] {
    const faults: string[] = [];
    let live = 0;
    for (const flow of this.flows) {
      if (flow === null) continue;
      live++;
      const status = this.ct.table.words[flow.ctId * ROW_WORDS + C_STATUS];
      const torn = (flow.flags & NF_FLOW_TEARDOWN) !== 0;
      if (!torn && (status & IPS_OFFLOAD) === 0)
        faults.push(`flow ${flow.id}: alive, but its connection is not marked OFFLOAD`);
      if (!torn && flow.hwDirections !== 0 && (status & IPS_HW_OFFLOAD) === 0)
        faults.push(`flow ${flow.id}: in hardware, but its connection is not marked HW_OFFLOAD`);
      if (flow.hwDirections !== 0 && !this.settings.offload)
        faults.push(`flow ${flow.id}: in hardware, but its flowtable does not offload`);
    }
    if (live !== this.liveCount) faults.push(`${live} flows, ${this.liveCount} counted`);
    if (this.tuples.count !== 2 * live)
      faults.push(`${this.tuples.count} tuples for ${live} flows`);
    return faults;
  }

  private retire(flow: Flow): void {
    if ((flow.flags & NF_FLOW_HW) !== 0 && (flow.flags & NF_FLOW_HW_DEAD) === 0) {
      if ((flow.flags & NF_FLOW_HW_DYING) === 0) this.hardware.remove(flow);
      return;
    }
    this.tuples.remove(2 * flow.id);
    this.tuples.remove(2 * flow.id + 1);
    this.flows[flow.id] = null;
    this.freeIds.push(flow.id);
    this.liveCount--;
    this.counters.freed++;
    this.ct.release(flow.ctId);
  }

  /** Windows are relearned, and what is left of the timeout is lowered to what conntrack alone would have. */
  private fixConnection(flow: Flow): void {
    const { table, timeouts } = this.ct;
    const row = flow.ctId * ROW_WORDS;
    let allowedPs: number;
    if (flow.protocol === IPPROTO_TCP) {
      table.words[row + C_SEEN + S_MAXWIN] = 0;
      table.words[row + C_SEEN + SEEN_WORDS + S_MAXWIN] = 0;
      allowedPs = timeouts.tcpPs[table.words[row + C_TCP_STATE]] - timeouts.flowTcpPs;
    } else if (flow.protocol === IPPROTO_UDP) allowedPs = timeouts.udpStreamPs - timeouts.flowUdpPs;
    else return;
    const untilPs = this.stack.scheduler.nowPs + Math.max(0, allowedPs);
    const at = flow.ctId * ROW_DOUBLES + D_TIMEOUT;
    if (table.doubles[at] > untilPs) table.doubles[at] = untilPs;
  }

  private extendConnection(flow: Flow, nowPs: number): void {
    const { table } = this.ct;
    const at = flow.ctId * ROW_DOUBLES + D_TIMEOUT;
    if (table.doubles[at] - nowPs >= EXTEND_BELOW_PS) return;
    const state = table.words[flow.ctId * ROW_WORDS + C_TCP_STATE];
    if (flow.protocol === IPPROTO_UDP || state === TCP_ESTABLISHED)
      table.doubles[at] = nowPs + DAY_PS;
    else if (state >= TCP_FIN_WAIT && state < TCP_CLOSE)
      table.doubles[at] = nowPs + EXTEND_BELOW_PS;
  }

  private startGc(): void {
    if (this.gcPending) return;
    this.gcPending = true;
    // Once a second counted from the flowtable's making; rounds without flows are left out.
    const rounds = Math.floor((this.stack.scheduler.nowPs - this.madePs) / GC_PERIOD_PS) + 1;
    this.stack.timer(this.madePs + rounds * GC_PERIOD_PS, () => {
      this.gcPending = false;
      this.collect();
      if (this.liveCount > 0) this.startGc();
    });
  }
}
