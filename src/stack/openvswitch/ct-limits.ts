// Limits of connections per conntrack zone (OVS_CT_LIMIT; net/openvswitch/conntrack.c): a commit beyond one is refused. 0: no limit.

import type { Conntrack } from '../netfilter/conntrack/conntrack.ts';
import { ROW_WORDS } from '../netfilter/conntrack/table.ts';
import { T_META } from '../netfilter/conntrack/tuple.ts';

export class CtLimits {
  defaultLimit = 0;
  readonly zones = new Map<number, number>();
  private readonly ct: Conntrack;

  constructor(ct: Conntrack) {
    this.ct = ct;
  }

  limitOf(zone: number): number {
    return this.zones.get(zone) ?? this.defaultLimit;
  }

  /** Connections of a zone. */
  count(zone: number): number {
    const { words } = this.ct.table;
    return this.ct.liveIds().filter((id) => words[id * ROW_WORDS + T_META] >>> 16 === zone).length;
  }

  /** Whether one more connection may be committed. */
  admits(zone: number): boolean {
    const limit = this.limitOf(zone);
    return limit === 0 || this.count(zone) < limit;
  }
}
