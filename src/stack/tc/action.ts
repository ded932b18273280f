// tc actions as the kernel holds them (net/sched/act_api.c): instances with an index per kind, what they do, and their counters of
// software and hardware. An action that a filter brings along is bound to it and goes with it; one made by `tc actions add` stays
// until it is deleted, and filters that name its index share it, counters and all.
//
// Not here: cookies, offloading actions by themselves (TC_SETUP_ACT).

import { EEXIST, EINVAL, EPERM } from '../../../driver/errno.ts';
import { FLOW_ACTION_HW_STATS_DELAYED } from '../../../driver/flow-rule.ts';
import type { FlowRuleStats } from '../../../driver/flow-block.ts';
import type { Action } from '../../rules/rule.ts';
import type { TcAction, TcControl } from '../../rules/tc-actions.ts';
import { OK, refuse } from '../answer.ts';
import type { Answer } from '../answer.ts';

/** One 32-bit word that a pedit writes; `mask` bits that are 1 are kept. */
export interface PeditKey {
  /** 'eth', 'ipv4', 'ipv6', 'tcp', 'udp'. */
  header: string;
  offset: number;
  add: boolean;
  /** The bytes on the wire as one number. */
  val: number;
  mask: number;
}

export interface ActionCounters {
  packets: number;
  bytes: number;
}

export class TcActionInstance {
  readonly kind: string;
  readonly index: number;
  steps: readonly Action[] = [];
  control: TcControl | null = null;
  /** Words of a pedit, else empty. */
  peditKeys: readonly PeditKey[] = [];
  /** Who holds it: filters, and `tc actions add` once. */
  refCount = 1;
  bindCount = 0;
  readonly installedPs: number;
  lastUsePs: number;
  readonly software: ActionCounters = { packets: 0, bytes: 0 };
  readonly hardware: ActionCounters = { packets: 0, bytes: 0 };
  drops = 0;
  overlimits = 0;
  /** FLOW_ACTION_HW_STATS_* that a driver gave; 0 while none did. */
  usedHwStats = 0;
  /** Policer: bytes in the bucket, and when it was filled. */
  tokens = 0;
  filledPs = 0;
  /** Packets that a sampler has seen. */
  seen = 0;

  constructor(spec: TcAction, index: number, peditKeys: readonly PeditKey[], nowPs: number) {
    this.kind = spec.kind;
    this.index = index;
    this.installedPs = this.lastUsePs = this.filledPs = nowPs;
    this.configure(spec, peditKeys);
  }

  /** What it does from now on; counters and times stay (`tc actions replace`). */
  configure(spec: TcAction, peditKeys: readonly PeditKey[]): void {
    this.steps = spec.steps;
    this.control = spec.control;
    this.peditKeys = peditKeys;
    const [step] = spec.steps;
    if (step !== undefined && step.kind === 'police') this.tokens = step.burstBytes;
  }

  /** The action ends in a drop: its packets count as dropped. */
  get isDrop(): boolean {
    return this.kind === 'gact' && this.control?.kind === 'drop';
  }

  /** tcf_action_stats_update: what a driver counted since the last time. */
  addHardware(stats: FlowRuleStats): void {
    this.usedHwStats = stats.usedHwStats;
    if (!COUNTS_HARDWARE.has(this.kind)) return;
    this.hardware.packets += stats.pkts;
    this.hardware.bytes += stats.bytes;
    this.drops += this.isDrop ? stats.pkts : stats.drops;
    this.lastUsePs = Math.max(this.lastUsePs, stats.lastUsedPs);
  }

  /** A packet came to the action in software. */
  addSoftware(lenBytes: number, nowPs: number): void {
    this.software.packets++;
    this.software.bytes += lenBytes;
    this.lastUsePs = nowPs;
  }
}

/** Kinds that take what hardware counted (those with a stats_update operation in Linux 6.1). */
const COUNTS_HARDWARE = new Set([
  'gact',
  'mirred',
  'pedit',
  'vlan',
  'ct',
  'police',
  'skbedit',
  'sample',
]);

/** Name of hardware statistics, for listings. */
export function hwStatsName(used: number): string {
  return used === FLOW_ACTION_HW_STATS_DELAYED ? 'delayed' : 'immediate';
}

/** What a request for an action came to: the action, or why not. */
export type ActionResult = { action: TcActionInstance; isNew: boolean } | Answer;

/** The actions of a machine: the lowest free index of each kind is given. */
export class ActionTable {
  private readonly kinds = new Map<string, Map<number, TcActionInstance>>();

  /** The action of a filter: the one of its index if there is one, whatever else was said; else a new one, bound to the filter. */
  bind(spec: TcAction, peditKeys: readonly PeditKey[], nowPs: number): ActionResult {
    const known = this.find(spec.kind, spec.index);
    if (known !== null) {
      known.refCount++;
      known.bindCount++;
      return { action: known, isNew: false };
    }
    const made = this.create(spec, peditKeys, nowPs);
    if ('action' in made) made.action.bindCount = 1;
    return made;
  }

  /** `tc actions add`, `change` and `replace`: with `replace` an action of this index is changed. */
  put(
    spec: TcAction,
    peditKeys: readonly PeditKey[],
    nowPs: number,
    replace: boolean,
  ): ActionResult {
    const known = this.find(spec.kind, spec.index);
    if (known === null) return this.create(spec, peditKeys, nowPs);
    if (!replace) return refuse(EEXIST, '', 'action-index');
    if (!spec.isReference) known.configure(spec, peditKeys);
    return { action: known, isNew: false };
  }

  /** A filter lets go of its actions: those that nobody else holds are gone. */
  release(actions: readonly TcActionInstance[]): void {
    for (const action of actions) {
      action.bindCount--;
      this.drop(action);
    }
  }

  find(kind: string, index: number): TcActionInstance | null {
    return this.kinds.get(kind)?.get(index) ?? null;
  }

  /** `tc actions del`: not while a filter has it. */
  remove(action: TcActionInstance): Answer {
    if (action.bindCount > 0) return refuse(EPERM, 'Failed to delete TC action', 'action-bound');
    this.drop(action);
    return OK;
  }

  /** `tc actions flush`: in order of index up to the first that a filter has. */
  flush(kind: string): Answer {
    let count = 0;
    for (const action of this.list(kind)) {
      if (action.bindCount > 0)
        return count === 0
          ? refuse(EPERM, '', 'action-bound')
          : { error: 0, message: 'Unable to flush all TC actions', reason: 'action-bound' };
      this.drop(action);
      count++;
    }
    return OK;
  }

  /** Actions of a kind by index. */
  list(kind: string): TcActionInstance[] {
    return [...(this.kinds.get(kind)?.values() ?? [])].sort((a, b) => a.index - b.index);
  }

  /** Lets one hold go. */
  drop(action: TcActionInstance): void {
    action.refCount--;
    if (action.refCount === 0) this.kinds.get(action.kind)?.delete(action.index);
  }

  private create(spec: TcAction, peditKeys: readonly PeditKey[], nowPs: number): ActionResult {
    if (spec.isReference && spec.kind !== 'gact') {
      const said = spec.kind === 'mirred' ? 'act_mirred: Unknown mirred option' : '';
      return refuse(EINVAL, said, 'action-index');
    }
    const table = this.kinds.get(spec.kind) ?? new Map<number, TcActionInstance>();
    this.kinds.set(spec.kind, table);
    let { index } = spec;
    if (index === 0) {
      index = 1;
      while (table.has(index)) index++;
    }
    // A gact without a control word passes packets.
    const whole: TcAction = spec.isReference ? { ...spec, control: { kind: 'pass' } } : spec;
    const action = new TcActionInstance(whole, index, peditKeys, nowPs);
    table.set(index, action);
    return { action, isNew: true };
  }
}
