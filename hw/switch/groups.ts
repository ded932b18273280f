// Groups: what several entries do in common, or one packet several times. All, select by hash, indirect (OpenFlow 1.3, 5.6.1).
//
// A bucket is an action list that ends in an output, a drop or a trap. ALL gives every bucket the packet as it came to the
// group; SELECT takes one by a hash of addresses, ports and protocol, so that a flow stays on its path; INDIRECT has one.
// A group in use can be changed (all its entries change at once), not deleted. Left out: fast failover, weights.

import { ActionKind, GroupType, ITEM_WORDS, TO_HOST_PORT } from './actions.ts';
import { P_DST, P_L3, P_PORTS, P_SRC } from './phv.ts';

export interface Group {
  type: number;
  /** ALL: no copy goes back to the port of arrival. */
  notBack: boolean;
  buckets: readonly Uint32Array[];
}

export class GroupTable {
  private readonly groups: (Group | null)[];
  /** Action lists that name each group. */
  private readonly users: Int32Array;

  constructor(size: number) {
    this.groups = new Array<Group | null>(size).fill(null);
    this.users = new Int32Array(size);
  }

  get size(): number {
    return this.groups.length;
  }

  get(id: number): Group | null {
    return this.groups[id] ?? null;
  }

  set(id: number, group: Group | null): void {
    this.groups[id] = group;
  }

  isUsed(id: number): boolean {
    return this.users[id] > 0;
  }

  /** An action list names the group (+1), or no longer (−1). */
  use(id: number, by: number): void {
    this.users[id] = this.users[id] + by;
  }
}

/** The bucket of a SELECT group for a packet. */
export function selectBucket(phv: Uint32Array, buckets: number): number {
  let h = Math.imul((phv[P_L3] >>> 24) ^ 0x2545f491, 0x9e3779b1);
  for (let i = 0; i < 4; i++) {
    h = Math.imul(h ^ phv[P_SRC + i], 0x85ebca6b);
    h = Math.imul((h >>> 15) ^ h ^ phv[P_DST + i], 0x9e3779b1);
  }
  h = Math.imul((h >>> 13) ^ h ^ phv[P_PORTS], 0x85ebca6b);
  return ((h ^ (h >>> 16)) >>> 0) % buckets;
}

/** Port that a bucket sends to, TO_HOST_PORT for the host, −1 for a drop. */
export function bucketPort(items: Uint32Array): number {
  const last = items.length - ITEM_WORDS;
  if (last < 0) return -1;
  const kind = items[last] & 0xff;
  if (kind === ActionKind.TRAP) return TO_HOST_PORT;
  return kind === ActionKind.OUTPUT ? items[last + 1] : -1;
}

/** Whether a type exists and takes so many buckets. */
export function bucketsFit(type: number, buckets: number, most: number): boolean {
  if (type > GroupType.INDIRECT || buckets > most) return false;
  return type === GroupType.INDIRECT ? buckets === 1 : type === GroupType.ALL || buckets >= 1;
}
