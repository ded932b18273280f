// Filters and drivers (fl_hw_replace_filter and its like in net/sched): every callback of the block is asked; with skip_sw the first
// refusal ends the request and is the user's error, without it a refusal only leaves the filter out of that device.
//
// Drivers may sleep: the command waits, simulated time passes (`wait`), at most a minute of it.

import { EINVAL, EOPNOTSUPP, ETIMEDOUT } from '../../../driver/errno.ts';
import {
  FLOW_CLS_DESTROY,
  FLOW_CLS_REPLACE,
  FLOW_CLS_STATS,
  TC_SETUP_CLSFLOWER,
  TC_SETUP_CLSMATCHALL,
  zeroRuleStats,
} from '../../../driver/flow-block.ts';
import type {
  FlowBlockCallback,
  FlowBlockRequest,
  FlowClsCommand,
} from '../../../driver/flow-block.ts';
import { FLOW_ACTION_POLICE } from '../../../driver/flow-rule.ts';
import type { FlowPolice, FlowRule } from '../../../driver/flow-rule.ts';
import type { ExtAck } from '../../../driver/netdev.ts';
import type { Scheduler } from '../../../hw/time/scheduler.ts';
import { PS_PER_S } from '../../../hw/time/units.ts';
import type { TcBlock, TcChain, TcFilter, TcProto } from './block.ts';

const WAIT_LIMIT_PS = 60 * PS_PER_S;

/** Where a filter is. */
export interface FilterPlace {
  block: TcBlock;
  chain: TcChain;
  proto: TcProto;
}

export class FilterOffload {
  private readonly scheduler: Scheduler;

  constructor(scheduler: Scheduler) {
    this.scheduler = scheduler;
  }

  /** Offers a filter; 0, or a negative errno with which it must not stay. */
  replace(place: FilterPlace, filter: TcFilter, extack: ExtAck): number {
    const { block } = place;
    if (filter.skipSw && block.unbound.size > 0) return -EOPNOTSUPP;
    const request = this.request(place, filter, FLOW_CLS_REPLACE, extack);
    request.rule = filter.flowRule;
    for (const { cb } of [...block.callbacks]) {
      const error = this.wait((done) => {
        cb(request, done);
      });
      if (error >= 0) filter.inHwCount++;
      else if (filter.skipSw) {
        this.destroy(place, filter);
        return error;
      }
    }
    if (!filter.skipSw || filter.inHwCount > 0) return 0;
    return block.callbacks.length === 0 ? -EOPNOTSUPP : -EINVAL;
  }

  /** Takes a filter out of every driver. */
  destroy(place: FilterPlace, filter: TcFilter): void {
    const request = this.request(place, filter, FLOW_CLS_DESTROY, { message: '', reason: '' });
    for (const { cb } of [...place.block.callbacks])
      this.wait((done) => {
        cb(request, done);
      });
    filter.inHwCount = 0;
  }

  /** Offers a filter to one driver: 0 or −errno. */
  replaceIn(
    bound: FlowBlockCallback,
    place: FilterPlace,
    filter: TcFilter,
    extack: ExtAck,
  ): number {
    const request = this.request(place, filter, FLOW_CLS_REPLACE, extack);
    request.rule = filter.flowRule;
    const error = this.wait((done) => {
      bound.cb(request, done);
    });
    if (error === 0) filter.inHwCount++;
    return error;
  }

  /** Takes a filter out of one driver. */
  destroyIn(bound: FlowBlockCallback, place: FilterPlace, filter: TcFilter): void {
    const extack = { message: '', reason: '' };
    const request = this.request(place, filter, FLOW_CLS_DESTROY, extack);
    const error = this.wait((done) => {
      bound.cb(request, done);
    });
    if (error === 0 && filter.inHwCount > 0) filter.inHwCount--;
  }

  /** Fetches what hardware counted into the filter's actions (before each listing, as the kernel does). */
  readStats(place: FilterPlace, filter: TcFilter): void {
    if (filter.skipHw || place.block.callbacks.length === 0) return;
    const request = this.request(place, filter, FLOW_CLS_STATS, { message: '', reason: '' });
    let answered = false;
    for (const { cb } of [...place.block.callbacks]) {
      const error = this.wait((done) => {
        cb(request, done);
      });
      if (error === 0) answered = true;
    }
    if (answered && filter.inHwCount > 0)
      for (const action of filter.actions) action.addHardware(request.stats);
  }

  private request(
    place: FilterPlace,
    filter: TcFilter,
    command: FlowClsCommand,
    extack: ExtAck,
  ): FlowBlockRequest {
    const { chain, proto } = place;
    const common = {
      chainIndex: chain.index,
      protocol: proto.protocol,
      prio: proto.pref,
      skipSw: filter.skipSw,
      // The kernel passes drivers no extack for a filter that may fall back to software.
      extack: filter.skipSw ? extack : { message: '', reason: '' },
    };
    const shared = { common, command, cookie: filter.cookie, rule: null, stats: zeroRuleStats() };
    if (proto.classifier === 'flower') return { type: TC_SETUP_CLSFLOWER, ...shared };
    return { type: TC_SETUP_CLSMATCHALL, ...shared, police: policeOf(filter.flowRule) };
  }

  /** Runs a request to its answer. */
  private wait(start: (done: (error: number) => void) => void): number {
    const answer = { given: false, error: 0 };
    start((error) => {
      answer.given = true;
      answer.error = error;
    });
    const untilPs = this.scheduler.nowPs + WAIT_LIMIT_PS;
    while (!isGiven(answer) && this.scheduler.nextPs <= untilPs) this.scheduler.runNext();
    return isGiven(answer) ? answer.error : -ETIMEDOUT;
  }
}

/** Set from a callback: the compiler must not assume what it was before. */
function isGiven(answer: { given: boolean }): boolean {
  return answer.given;
}

function policeOf(rule: FlowRule | null): FlowPolice | null {
  if (rule === null || rule.actions.length !== 1) return null;
  const [action] = rule.actions;
  return action.id === FLOW_ACTION_POLICE ? action.police : null;
}
