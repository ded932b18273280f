// Flows and the driver (spec B.1, B.6): ADD, DEL and STATS are work items in process context, at most one in flight per flow.
//
// ADD builds both directions from routes and neighbours; without a valid neighbour it ends silently. The driver answers later;
// until then, and after a refusal, the software path carries the flow. A refusal is retried by software hits, at most once per
// second (FlowTable.refresh). DEL clears HW_OFFLOAD and leaves DEAD; the collection after that frees the flow.
// STATS are asked when less than nine tenths of the idle time remain; fresh use prolongs the flow.

import { ENOENT } from '../../../../driver/errno.ts';
import {
  FLOW_OFFLOAD_ADD,
  FLOW_OFFLOAD_DEL,
  FLOW_OFFLOAD_STATS,
} from '../../../../driver/flow-offload.ts';
import type { FlowDirection, FlowOffload, FlowStats } from '../../../../driver/flow-offload.ts';
import type { ExtAck } from '../../../../driver/netdev.ts';
import {
  C_STATUS,
  D_START,
  IPS_HW_OFFLOAD,
  ROW_DOUBLES,
  ROW_REPLY,
  ROW_WORDS,
} from '../conntrack/table.ts';
import { Tuple } from '../conntrack/tuple.ts';
import { addressesOf, nextHopOf } from './admission.ts';
import {
  NF_FLOW_DNAT,
  NF_FLOW_HW_DEAD,
  NF_FLOW_HW_DYING,
  NF_FLOW_PENDING,
  NF_FLOW_SNAT,
  NF_FLOW_TEARDOWN,
} from './flow.ts';
import type { Flow } from './flow.ts';
import type { FlowTable } from './flowtable.ts';

/** STATS are due when less than this part of the idle time remains. */
const STATS_BELOW = 0.9;

export class HardwarePath {
  /** The last refusal, for reports. */
  readonly extack: ExtAck = { message: '', reason: '' };

  private readonly table: FlowTable;
  private readonly tuple = new Tuple();
  private readonly target = new Tuple();

  constructor(table: FlowTable) {
    this.table = table;
  }

  /** Queues an ADD unless something is in flight. */
  add(flow: Flow): void {
    if (!this.begin(flow)) return;
    this.table.queues.add.queue((done) => this.runAdd(flow, done));
  }

  /** Queues the deletion. */
  remove(flow: Flow): void {
    if (!this.begin(flow)) return;
    flow.flags |= NF_FLOW_HW_DYING;
    this.table.queues.del.queue((done) => this.runDel(flow, done));
  }

  /** Queues a STATS request when it is time. */
  stats(flow: Flow): void {
    const leftPs = flow.timeoutPs - this.table.stack.scheduler.nowPs;
    if (leftPs >= STATS_BELOW * this.table.idlePs(flow.protocol)) return;
    if (flow.offload === null || !this.begin(flow)) return;
    this.table.queues.stats.queue((done) => this.runStats(flow, done));
  }

  private begin(flow: Flow): boolean {
    if ((flow.flags & NF_FLOW_PENDING) !== 0) return false;
    flow.flags |= NF_FLOW_PENDING;
    return true;
  }

  private end(flow: Flow, done: () => void): void {
    flow.flags &= ~NF_FLOW_PENDING;
    done();
  }

  private runAdd(flow: Flow, done: () => void): void {
    const { table } = this;
    const { counters } = table;
    if (table.ctIsDying(flow) || (flow.flags & NF_FLOW_TEARDOWN) !== 0) {
      this.end(flow, done);
      return;
    }
    const offload = flow.offload ?? this.build(flow);
    if (offload === null) {
      counters.hwNoNeighbour++;
      this.end(flow, done);
      return;
    }
    flow.offload = offload;
    counters.hwAsked++;
    this.extack.message = this.extack.reason = '';
    const dev = flow.sides[0].inDev;
    const answered = (error: number): void => {
      if (error < 0) counters.refusedByDriver(error);
      else this.installed(flow, offload);
      this.end(flow, done);
    };
    const { ops } = dev;
    if (ops.ndo_flow_offload === undefined) answered(-ENOENT);
    else ops.ndo_flow_offload(dev, FLOW_OFFLOAD_ADD, offload, this.extack, answered);
  }

  private installed(flow: Flow, offload: FlowOffload): void {
    const { table } = this;
    if (!flow.inHardware) {
      table.counters.hwInstalled++;
      const startPs = table.ct.table.doubles[flow.ctId * ROW_DOUBLES + D_START];
      table.counters.timeToHardware.add(table.stack.scheduler.nowPs - startPs);
    }
    // A driver that accepts without saying which directions has both.
    if (offload.inHardware === 0) offload.inHardware = 3;
    if (offload.inHardware !== 3) table.counters.hwPartly++;
    flow.inHardware = true;
    table.ct.table.words[flow.ctId * ROW_WORDS + C_STATUS] |= IPS_HW_OFFLOAD;
  }

  private runDel(flow: Flow, done: () => void): void {
    const { table } = this;
    table.ct.table.words[flow.ctId * ROW_WORDS + C_STATUS] &= ~IPS_HW_OFFLOAD;
    const dead = (): void => {
      if (flow.inHardware) table.counters.hwDeleted++;
      flow.inHardware = false;
      if (flow.offload !== null) flow.offload.inHardware = 0;
      flow.flags |= NF_FLOW_HW_DEAD;
      this.end(flow, done);
    };
    const dev = flow.sides[0].inDev;
    const { ops } = dev;
    if (ops.ndo_flow_offload === undefined || flow.offload === null) dead();
    else ops.ndo_flow_offload(dev, FLOW_OFFLOAD_DEL, flow.offload, this.extack, dead);
  }

  private runStats(flow: Flow, done: () => void): void {
    const { table } = this;
    const stats: FlowStats = { packets: [0, 0], bytes: [0, 0], lastUsedPs: 0 };
    const answered = (): void => {
      table.counters.hwStats++;
      const untilPs = stats.lastUsedPs + table.idlePs(flow.protocol);
      if (stats.lastUsedPs > 0 && untilPs > flow.timeoutPs) flow.timeoutPs = untilPs;
      if (table.settings.counter)
        for (const direction of [0, 1])
          table.ct.account(flow.ctId, direction, stats.packets[direction], stats.bytes[direction]);
      this.end(flow, done);
    };
    const dev = flow.sides[0].inDev;
    const { ops } = dev;
    if (ops.ndo_flow_offload === undefined || flow.offload === null) answered();
    else ops.ndo_flow_offload(dev, FLOW_OFFLOAD_STATS, flow.offload, this.extack, answered, stats);
  }

  /** Both directions as a driver wants them; null when a neighbour is not valid. */
  private build(flow: Flow): FlowOffload | null {
    const original = this.buildDirection(flow, 0);
    const reply = original === null ? null : this.buildDirection(flow, 1);
    if (original === null || reply === null) return null;
    if ((flow.flags & (NF_FLOW_SNAT | NF_FLOW_DNAT)) === 0) {
      reply.src = original.dst;
      reply.dst = original.src;
    }
    return { directions: [original, reply], inHardware: 0 };
  }

  private buildDirection(flow: Flow, direction: number): FlowDirection | null {
    const { table } = this;
    const { stack } = table;
    const side = flow.sides[direction];
    const other = flow.sides[1 - direction];
    const hop = nextHopOf(table, flow.ctId, direction, side);
    const neighbour = stack.neigh.find(side.outDev, hop);
    if (neighbour === null || !neighbour.isValid) return null;
    const [src, dst] = addressesOf(table, flow.ctId, direction);
    const row = flow.ctId * ROW_WORDS;
    const { words } = table.ct.table;
    this.tuple.load(words, row + direction * ROW_REPLY);
    const { l4 } = this.tuple;
    this.tuple.load(words, row + (1 - direction) * ROW_REPLY);
    this.tuple.invert(this.target);
    // SNAT changes the original's source and the reply's destination, DNAT the others.
    const sourceChanges = (flow.flags & (direction === 0 ? NF_FLOW_SNAT : NF_FLOW_DNAT)) !== 0;
    const destinationChanges = (flow.flags & (direction === 0 ? NF_FLOW_DNAT : NF_FLOW_SNAT)) !== 0;
    const isRewritten = sourceChanges || destinationChanges;
    const [farSrc, farDst] = isRewritten
      ? addressesOf(table, flow.ctId, 1 - direction)
      : [null, null];
    return {
      cookie: table.queues.nextCookie++,
      inDev: side.inDev,
      outDev: other.inDev,
      family: src.length === 4 ? 4 : 6,
      l4proto: flow.protocol,
      src,
      dst,
      sport: l4 >>> 16,
      dport: l4 & 0xffff,
      vlanId: side.vlanId,
      // Shared: drivers only read them, and 50 k flows would hold 200 k copies.
      ethSrc: side.outDev.mac,
      ethDst: neighbour.mac,
      pushVlanId: other.vlanId,
      newSrc: sourceChanges ? farDst : null,
      newDst: destinationChanges ? farSrc : null,
      newSport: this.target.l4 >>> 16,
      newDport: this.target.l4 & 0xffff,
      mtuBytes: side.mtuBytes,
    };
  }
}
