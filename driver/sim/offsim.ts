// `offsim`: a driver that accepts every flower filter and flowtable entry and writes each call down, decoded. Its device
// forwards nothing by itself: packets keep coming to the host.
//
// Modelled on the driver of the recordings in reference/offload: it takes ingress blocks only, knows no matchall, binds its
// callback once per block, joins the flowtable of each conntrack zone that a filter names (`[ct table: 0]`, −17 when it has
// joined), and answers every STATS with one packet of 100 bytes, just used, "delayed".

import { EEXIST, EOPNOTSUPP } from '../errno.ts';
import {
  FLOW_CLS_REPLACE,
  FLOW_CLS_STATS,
  TC_SETUP_BLOCK,
  TC_SETUP_CLSFLOWER,
  TC_SETUP_FT,
  blockOffloadOf,
  flow_block_cb_setup_simple,
  flow_stats_update,
} from '../flow-block.ts';
import type { FlowBlockRequest, FlowSetupCallback, TcSetupType } from '../flow-block.ts';
import { FLOW_ACTION_CT, FLOW_ACTION_HW_STATS_DELAYED } from '../flow-rule.ts';
import type { NetFeatures } from '../features.ts';
import type { NetDevice, NetDeviceOps } from '../netdev.ts';
import { describeRequest } from './describe.ts';

const STATS_BYTES = 100;

/** One call, as it was answered: `os0 flower REPLACE ... -> 0`. */
export interface OffsimCall {
  line: string;
  atPs: number;
}

/** The calls of one or more offsim devices, in order. */
export type OffsimLog = OffsimCall[];

/**
 * The offload hooks of an offsim device; everything else is the driver's that the device stands on. `refuse` answers a request in
 * the driver's place (a negative errno; 0 lets it be accepted), for tests of refusals.
 */
export function offsimOps(
  kernel: { readonly scheduler: { readonly nowPs: number } },
  log: OffsimLog,
  refuse: (request: FlowBlockRequest, dev: NetDevice) => number = () => 0,
): Pick<NetDeviceOps, 'ndo_setup_tc'> {
  const ident = { name: 'offsim' };
  const zones = new Set<number>();
  const note = (line: string): void => {
    log.push({ line, atPs: kernel.scheduler.nowPs });
  };
  const callback = (dev: NetDevice, kind: 'flower' | 'flowtable'): FlowSetupCallback => {
    return (request, done) => {
      if (request.type !== TC_SETUP_CLSFLOWER) {
        note(`${dev.name} block type=${request.type} -> unsupported`);
        done(-EOPNOTSUPP);
        return;
      }
      const error = refuse(request, dev);
      const tables = error === 0 ? joinZones(request, zones) : '';
      if (error === 0 && request.command === FLOW_CLS_STATS)
        flow_stats_update(
          request.stats,
          STATS_BYTES,
          1,
          0,
          kernel.scheduler.nowPs,
          FLOW_ACTION_HW_STATS_DELAYED,
        );
      note(`${dev.name} ${kind} ${describeRequest(request)}${tables} -> ${error}`);
      done(error);
    };
  };
  return {
    ndo_setup_tc(dev, type, data): number {
      const offload = blockOffloadOf(type, data);
      if (offload === null) {
        note(`${dev.name} setup type=${type} -> unsupported`);
        return -EOPNOTSUPP;
      }
      const kind = kindOf(type);
      const binder = kind === 'block' ? ` binder=${offload.binderType}` : '';
      note(`${dev.name} ${kind} command=${offload.command}${binder}`);
      const rules = callback(dev, kind === 'block' ? 'flower' : 'flowtable');
      return flow_block_cb_setup_simple(offload, dev, rules, ident, true);
    },
  };
}

/** What an offsim device announces: tc offload, on and switchable, beside what the core gives any device. */
export function offsimFeatures(features: NetFeatures): void {
  features.init(['hw-tc-offload'], ['hw-tc-offload']);
  features.addCoreFeatures();
}

function kindOf(type: TcSetupType): 'block' | 'flowtable' | 'other' {
  if (type === TC_SETUP_BLOCK) return 'block';
  return type === TC_SETUP_FT ? 'flowtable' : 'other';
}

/** Joins the flowtables of the conntrack zones that a filter's actions name, as a driver of ct offload does. */
function joinZones(request: FlowBlockRequest, zones: Set<number>): string {
  if (request.command !== FLOW_CLS_REPLACE) return '';
  let text = '';
  for (const action of request.rule?.actions ?? []) {
    if (action.id !== FLOW_ACTION_CT || action.table === 0) continue;
    text += ` [ct table: ${zones.has(action.table) ? -EEXIST : 0}]`;
    zones.add(action.table);
  }
  return text;
}
