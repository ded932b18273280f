// Room in a full table (spec C.2): the unassured entries of the first of eight buckets that has any go. When none has, the next
// background scan also ends connections that are closing, until the table is below 95 % (nf_conntrack_core.c early_drop, gc_worker).

import { PS_PER_S } from '../../../../hw/time/units.ts';
import type { Conntrack } from './conntrack.ts';
import {
  C_STATUS,
  C_TCP_STATE,
  D_TIMEOUT,
  IPS_ASSURED,
  IPS_CONFIRMED,
  IPS_OFFLOAD,
  ROW_DOUBLES,
  ROW_WORDS,
} from './table.ts';
import { TCP_FIN_WAIT } from './tcp-table.ts';
import { IPPROTO_TCP, T_META } from './tuple.ts';

const BUCKETS = 8;
/** Above this part of the limit closing connections are ended early. */
const CROWDED = 0.95;
/** The scan looks for closing connections for this long after a new one found no room, ps. */
const HURRY_PS = PS_PER_S;

export class EarlyDrop {
  private readonly ct: Conntrack;
  private hurryUntilPs = 0;

  constructor(ct: Conntrack) {
    this.ct = ct;
  }

  /** Makes room for a new key of this hash; whether something went. */
  make(hash: number): boolean {
    const { ct } = this;
    const { table } = ct;
    for (let b = 0; b < BUCKETS; b++) {
      const victims: number[] = [];
      for (let e = table.firstInBucket(hash + b); e >= 0; e = table.nextInBucket(e))
        if (this.isExpendable(e >> 1)) victims.push(e >> 1);
      for (const id of victims) ct.kill(id);
      ct.stats.early_drop += new Set(victims).size;
      if (victims.length > 0) return true;
    }
    this.hurryUntilPs = ct.now + 2 * HURRY_PS;
    return false;
  }

  /** Whether the background scan may end a row although its time is not up. */
  mayGo(id: number): boolean {
    const { ct } = this;
    if (ct.now > this.hurryUntilPs || ct.table.count < CROWDED * ct.timeouts.max) return false;
    const { words } = ct.table;
    const row = id * ROW_WORDS;
    const status = words[row + C_STATUS];
    if ((status & IPS_OFFLOAD) !== 0) return false;
    const isTcp = ((words[row + T_META] >> 8) & 0xff) === IPPROTO_TCP;
    const closing = isTcp && words[row + C_TCP_STATE] >= TCP_FIN_WAIT;
    if ((status & IPS_ASSURED) !== 0 && !closing) return false;
    ct.stats.early_drop++;
    return true;
  }

  private isExpendable(id: number): boolean {
    const { table, now } = this.ct;
    const status = table.words[id * ROW_WORDS + C_STATUS];
    if ((status & IPS_CONFIRMED) === 0) return false;
    return (status & IPS_ASSURED) === 0 || table.doubles[id * ROW_DOUBLES + D_TIMEOUT] <= now;
  }
}
