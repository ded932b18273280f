// ndo_flow_offload of the reference driver: both directions of a connection in one call. ADD is accepted when at least one is in
// hardware (spec B.6.3); FlowOffload.inHardware says which.

import { adapterOf } from './adapter.ts';
import type { TwinAdapter } from './adapter.ts';
import type { DirectionResult } from './flow.ts';
import { EEXIST, ENOENT } from '../errno.ts';
import { FLOW_OFFLOAD_ADD, FLOW_OFFLOAD_DEL } from '../flow-offload.ts';
import type { FlowOffload, FlowStats } from '../flow-offload.ts';
import type { ExtAck, NetDeviceOps } from '../netdev.ts';

/** See driver/netdev.ts. */
export const twinFlowOffload: NonNullable<NetDeviceOps['ndo_flow_offload']> = (
  dev,
  type,
  flow,
  extack,
  done,
  stats,
) => {
  const adapter = adapterOf(dev);
  if (type === FLOW_OFFLOAD_ADD) add(adapter, flow, extack, done);
  else if (type === FLOW_OFFLOAD_DEL) remove(adapter, flow, extack, done);
  else readStats(adapter, flow, extack, done, stats);
};

function add(
  adapter: TwinAdapter,
  flow: FlowOffload,
  extack: ExtAck,
  done: (error: number) => void,
): void {
  const results: DirectionResult[] = [];
  const finish = (index: number, result: DirectionResult): void => {
    results[index] = result;
    if (result.error === 0 || result.error === -EEXIST) flow.inHardware |= 1 << index;
    if (results[0] === undefined || results[1] === undefined) return;
    const [first, second] = [results[0], results[1]];
    const failed = first.error !== 0 ? first : second;
    extack.message = failed.message;
    extack.reason = failed.reason;
    done(first.error === 0 || second.error === 0 ? 0 : failed.error);
  };
  for (const index of [0, 1] as const)
    adapter.flows.addDirection(adapter, flow.directions[index], null, (result) => {
      finish(index, result);
    });
}

function remove(
  adapter: TwinAdapter,
  flow: FlowOffload,
  extack: ExtAck,
  done: (error: number) => void,
): void {
  let waiting = 2;
  let found = 0;
  let worst = 0;
  const finish = (error: number): void => {
    if (error !== -ENOENT) found++;
    if (error !== 0 && error !== -ENOENT) worst = error;
    if (--waiting > 0) return;
    if (found > 0) done(worst);
    else notFound(extack, done);
  };
  flow.inHardware = 0;
  for (const way of flow.directions) adapter.flows.removeDirection(way.cookie, finish);
}

function notFound(extack: ExtAck, done: (error: number) => void): void {
  extack.message = 'flow is not in hardware';
  extack.reason = 'not-found';
  done(-ENOENT);
}

function readStats(
  adapter: TwinAdapter,
  flow: FlowOffload,
  extack: ExtAck,
  done: (error: number) => void,
  stats?: FlowStats,
): void {
  const [first, second] = flow.directions;
  const { flows } = adapter;
  if (!flows.isIn(first.cookie) && !flows.isIn(second.cookie)) {
    notFound(extack, done);
    return;
  }
  if (stats !== undefined) stats.lastUsedPs = 0;
  let waiting = 2;
  let worst = 0;
  for (const index of [0, 1] as const)
    flows.readStats(adapter, flow.directions[index].cookie, (error, packets, bytes, lastUsedPs) => {
      if (error !== 0 && error !== -ENOENT) worst = error;
      if (stats !== undefined) {
        stats.packets[index] = packets;
        stats.bytes[index] = bytes;
        stats.lastUsedPs = Math.max(stats.lastUsedPs, lastUsedPs);
      }
      if (--waiting === 0) done(worst);
    });
}
