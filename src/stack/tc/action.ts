// tc actions as the kernel holds them (net/sched/act_api.c): instances with an index per kind, what they do, and their counters of
// software and hardware. An action that a filter brings along is bound to it and goes with it.
//
// Not here: actions that several filters share (`index` of an existing one is refused), cookies, `tc actions add`.

import { FLOW_ACTION_HW_STATS_DELAYED } from '../../../driver/flow-rule.ts';
import type { FlowRuleStats } from '../../../driver/flow-block.ts';
import type { Action } from '../../rules/rule.ts';
import type { TcAction, TcControl } from '../../rules/tc-actions.ts';

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
  readonly steps: readonly Action[];
  readonly control: TcControl | null;
  /** Words of a pedit, else empty. */
  readonly peditKeys: readonly PeditKey[];
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
    this.steps = spec.steps;
    this.control = spec.control;
    this.peditKeys = peditKeys;
    this.installedPs = this.lastUsePs = this.filledPs = nowPs;
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

/** The actions of a machine: the lowest free index of each kind is given. */
export class ActionTable {
  private readonly kinds = new Map<string, Map<number, TcActionInstance>>();

  /** Makes an action; null when its index is taken. */
  create(spec: TcAction, peditKeys: readonly PeditKey[], nowPs: number): TcActionInstance | null {
    const table = this.kinds.get(spec.kind) ?? new Map<number, TcActionInstance>();
    this.kinds.set(spec.kind, table);
    let index = spec.index;
    if (index === 0) {
      index = 1;
      while (table.has(index)) index++;
    } else if (table.has(index)) return null;
    const made = new TcActionInstance(spec, index, peditKeys, nowPs);
    table.set(index, made);
    return made;
  }

  release(actions: readonly TcActionInstance[]): void {
    for (const action of actions) this.kinds.get(action.kind)?.delete(action.index);
  }

  /** Actions of a kind by index. */
  list(kind: string): TcActionInstance[] {
    return [...(this.kinds.get(kind)?.values() ?? [])].sort((a, b) => a.index - b.index);
  }
}
