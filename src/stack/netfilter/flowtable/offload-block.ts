// Flows to drivers through flow blocks (spec B.6.2): for each direction every callback is asked in turn, one after the other has
// answered. A callback that refuses does not count; nothing is rolled back.

import { EOPNOTSUPP } from '../../../../driver/errno.ts';
import {
  FLOW_CLS_DESTROY,
  FLOW_CLS_REPLACE,
  FLOW_CLS_STATS,
  TC_SETUP_CLSFLOWER,
  zeroRuleStats,
} from '../../../../driver/flow-block.ts';
import type { FlowBlock, FlowClsCommand, FlowClsOffload } from '../../../../driver/flow-block.ts';
import type { FlowStats } from '../../../../driver/flow-offload.ts';
import type { FlowRule } from '../../../../driver/flow-rule.ts';
import type { ExtAck } from '../../../../driver/netdev.ts';
import type { Flow } from './flow.ts';
import type { FlowTable } from './flowtable.ts';
import type { OffloadForm } from './offload-form.ts';
import { buildFlowRule } from './offload-rule.ts';

/** ETH_P_ALL as the kernel passes it here: not turned into network order, so that drivers read 0x0300. */
const ETH_P_ALL = 0x0300;

export class BlockForm implements OffloadForm {
  readonly refreshes = true;
  private readonly table: FlowTable;
  private readonly block: FlowBlock;

  constructor(table: FlowTable, block: FlowBlock) {
    this.table = table;
    this.block = block;
  }

  add(flow: Flow, extack: ExtAck, done: (directions: number, error: number) => void): boolean {
    const original = buildFlowRule(this.table, flow, 0);
    const reply = original === null ? null : buildFlowRule(this.table, flow, 1);
    if (original === null || reply === null) return false;
    let directions = 0;
    let refusal = 0;
    const ask = (direction: 0 | 1, rule: FlowRule, next: () => void): void => {
      const own: ExtAck = { message: '', reason: '' };
      const request = this.request(flow, direction, FLOW_CLS_REPLACE, rule, own);
      this.call(request, next, (error) => {
        if (error >= 0) directions |= 1 << direction;
        else if (refusal === 0 || refusal === -EOPNOTSUPP) {
          // Devices that are not concerned say EOPNOTSUPP: any other reason says more.
          refusal = error;
          Object.assign(extack, own);
        }
      });
    };
    ask(0, original, () => {
      ask(1, reply, () => {
        done(directions, refusal);
      });
    });
    return true;
  }

  remove(flow: Flow, extack: ExtAck, done: () => void): void {
    const first = this.request(flow, 0, FLOW_CLS_DESTROY, null, extack);
    const second = this.request(flow, 1, FLOW_CLS_DESTROY, null, extack);
    this.call(first, () => {
      this.call(second, done);
    });
  }

  stats(flow: Flow, stats: FlowStats, extack: ExtAck, done: () => void): void {
    const ask = (direction: 0 | 1, next: () => void): void => {
      const request = this.request(flow, direction, FLOW_CLS_STATS, null, extack);
      this.call(request, () => {
        stats.packets[direction] = request.stats.pkts;
        stats.bytes[direction] = request.stats.bytes;
        stats.lastUsedPs = Math.max(stats.lastUsedPs, request.stats.lastUsedPs);
        next();
      });
    };
    ask(0, () => {
      ask(1, done);
    });
  }

  private request(
    flow: Flow,
    direction: 0 | 1,
    command: FlowClsCommand,
    rule: FlowRule | null,
    extack: ExtAck,
  ): FlowClsOffload {
    return {
      type: TC_SETUP_CLSFLOWER,
      common: {
        chainIndex: 0,
        protocol: ETH_P_ALL,
        prio: this.table.settings.priority,
        skipSw: false,
        extack,
      },
      command,
      cookie: flow.cookie + direction,
      rule,
      stats: zeroRuleStats(),
    };
  }

  /** Every callback in turn. The block may lose callbacks meanwhile (a device goes): those are not asked any more. */
  private call(
    request: FlowClsOffload,
    done: () => void,
    answered: (error: number) => void = () => undefined,
  ): void {
    const { callbacks } = this.block;
    const next = (index: number): void => {
      if (index >= callbacks.length) {
        done();
        return;
      }
      callbacks[index].cb(request, (error) => {
        answered(error);
        next(index + 1);
      });
    };
    next(0);
  }
}
