// What conntrack(8) may do to connections by hand (nf_conntrack_netlink.c): make one, change one. Bits that only the kernel sets are
// left as they are; SEEN_REPLY and ASSURED can be set, not cleared.

import { EEXIST } from '../../../../driver/errno.ts';
import { PS_PER_S } from '../../../../hw/time/units.ts';
import type { Nat } from '../nat/nat.ts';
import type { NatRange } from '../nat/range.ts';
import { MANIP_DST, MANIP_SRC } from '../nat/range.ts';
import type { Conntrack } from './conntrack.ts';
import { EVENT_LABEL, EVENT_MARK } from './events.ts';
import {
  C_MARK,
  C_STATUS,
  C_TCP_STATE,
  D_TIMEOUT,
  IPS_ASSURED,
  IPS_FIXED_TIMEOUT,
  IPS_SEEN_REPLY,
  ROW_DOUBLES,
  ROW_REPLY,
  ROW_WORDS,
} from './table.ts';
import { Tuple } from './tuple.ts';

/** What may be said of a connection; null or 0 leaves it as it is. */
export interface ConnectionChange {
  timeoutS: number | null;
  status: number;
  mark: { value: number; mask: number } | null;
  state: number | null;
  addLabels: readonly number[];
  /** null: none; an empty list: all. */
  removeLabels: readonly number[] | null;
}

const SETTABLE = IPS_SEEN_REPLY | IPS_ASSURED | IPS_FIXED_TIMEOUT;
const LABEL_WORDS = 4;

/** Makes a connection; 0 or EEXIST. NAT ranges give it other ends than its original key says. */
export function createConnection(
  ct: Conntrack,
  nat: Nat,
  original: Tuple,
  reply: Tuple,
  change: ConnectionChange,
  srcNat: NatRange | null,
  dstNat: NatRange | null,
): number {
  const nowPs = ct.now;
  const hash = original.hash();
  if (ct.findLive(original, hash, nowPs) >= 0) return EEXIST;
  if (ct.findLive(reply, reply.hash(), nowPs) >= 0) return EEXIST;
  const { id } = ct.newRow(original, reply);
  const { words } = ct.table;
  const row = id * ROW_WORDS;
  if (dstNat !== null) nat.setup(id, dstNat, MANIP_DST);
  if (srcNat !== null) nat.setup(id, srcNat, MANIP_SRC);
  ct.table.doubles[id * ROW_DOUBLES + D_TIMEOUT] = (change.timeoutS ?? 0) * PS_PER_S;
  words[row + C_STATUS] |= change.status & SETTABLE;
  if (change.state !== null) words[row + C_TCP_STATE] = change.state;
  if (change.mark !== null) words[row + C_MARK] = change.mark.value;
  changeLabels(ct, id, change);
  const key = new Tuple();
  key.load(words, row + ROW_REPLY);
  ct.publish(id, hash, key.hash());
  ct.stats.insert++;
  return 0;
}

/** Changes a living connection. */
export function updateConnection(ct: Conntrack, id: number, change: ConnectionChange): void {
  const { words, doubles } = ct.table;
  const row = id * ROW_WORDS;
  words[row + C_STATUS] |= change.status & SETTABLE;
  if (change.timeoutS !== null)
    doubles[id * ROW_DOUBLES + D_TIMEOUT] = ct.now + change.timeoutS * PS_PER_S;
  if (change.state !== null) words[row + C_TCP_STATE] = change.state;
  if (change.mark !== null) {
    const mark = (words[row + C_MARK] & ~change.mark.mask) ^ change.mark.value;
    if (mark !== words[row + C_MARK]) ct.events.note(id, EVENT_MARK);
    words[row + C_MARK] = mark;
  }
  if (changeLabels(ct, id, change)) ct.events.note(id, EVENT_LABEL);
  ct.events.deliver(id);
}

/** Whether a label changed. */
function changeLabels(ct: Conntrack, id: number, change: ConnectionChange): boolean {
  const { addLabels, removeLabels } = change;
  if (addLabels.length === 0 && removeLabels === null) return false;
  const extension = ct.extensions.of(id);
  const labels = (extension.labels ??= new Uint32Array(LABEL_WORDS));
  const before = labels.join();
  if (removeLabels !== null && removeLabels.length === 0) labels.fill(0);
  for (const bit of removeLabels ?? []) labels[bit >> 5] &= ~(2 ** (bit & 31));
  for (const bit of addLabels) labels[bit >> 5] |= 2 ** (bit & 31);
  return labels.join() !== before;
}
