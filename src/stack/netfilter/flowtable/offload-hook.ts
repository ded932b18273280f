// Flows to drivers through `ndo_flow_offload` (spec B.1): one call with both directions to the original direction's device.

import { ENOENT } from '../../../../driver/errno.ts';
import {
  FLOW_OFFLOAD_ADD,
  FLOW_OFFLOAD_DEL,
  FLOW_OFFLOAD_STATS,
} from '../../../../driver/flow-offload.ts';
import type { FlowDirection, FlowOffload, FlowStats } from '../../../../driver/flow-offload.ts';
import type { ExtAck } from '../../../../driver/netdev.ts';
import { ROW_REPLY, ROW_WORDS } from '../conntrack/table.ts';
import { Tuple } from '../conntrack/tuple.ts';
import { addressesOf } from './admission.ts';
import { NF_FLOW_DNAT, NF_FLOW_SNAT } from './flow.ts';
import type { Flow } from './flow.ts';
import type { FlowTable } from './flowtable.ts';
import type { OffloadForm } from './offload-form.ts';
import { ethernetOf } from './offload-rule.ts';

export class HookForm implements OffloadForm {
  readonly refreshes: boolean;
  private readonly table: FlowTable;
  private readonly tuple = new Tuple();
  private readonly target = new Tuple();

  constructor(table: FlowTable, refreshes: boolean) {
    this.table = table;
    this.refreshes = refreshes;
  }

  add(flow: Flow, extack: ExtAck, done: (directions: number, error: number) => void): boolean {
    const offload = flow.offload ?? this.build(flow);
    if (offload === null) return false;
    flow.offload = offload;
    const dev = flow.original.inDev;
    const answered = (error: number): void => {
      // A driver that accepts without saying which directions has both.
      if (error >= 0 && offload.inHardware === 0) offload.inHardware = 3;
      done(error < 0 ? 0 : offload.inHardware, error);
    };
    const { ops } = dev;
    if (ops.ndo_flow_offload === undefined) answered(-ENOENT);
    else ops.ndo_flow_offload(dev, FLOW_OFFLOAD_ADD, offload, extack, answered);
    return true;
  }

  remove(flow: Flow, extack: ExtAck, done: () => void): void {
    const { offload } = flow;
    const dev = flow.original.inDev;
    const { ops } = dev;
    if (ops.ndo_flow_offload === undefined || offload === null) done();
    else
      ops.ndo_flow_offload(dev, FLOW_OFFLOAD_DEL, offload, extack, () => {
        offload.inHardware = 0;
        done();
      });
  }

  stats(flow: Flow, stats: FlowStats, extack: ExtAck, done: () => void): void {
    const dev = flow.original.inDev;
    const { ops } = dev;
    if (ops.ndo_flow_offload === undefined || flow.offload === null) done();
    else ops.ndo_flow_offload(dev, FLOW_OFFLOAD_STATS, flow.offload, extack, done, stats);
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
    const side = flow.side(direction);
    const other = flow.side(1 - direction);
    const header = ethernetOf(table, flow, direction);
    if (header === null) return null;
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
      cookie: flow.cookie + direction,
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
      ethSrc: header.source,
      ethDst: header.destination,
      pushVlanId: other.vlanId,
      newSrc: sourceChanges ? farDst : null,
      newDst: destinationChanges ? farSrc : null,
      newSport: this.target.l4 >>> 16,
      newDport: this.target.l4 & 0xffff,
      mtuBytes: side.mtuBytes,
    };
  }
}
