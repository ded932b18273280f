// What `ct zone|helper|label set` does to a packet: a zone before conntrack becomes a template; a helper is given to a new connection;
// a label is a bit of the connection.

import type { SkBuff } from '../../../../driver/skb.ts';
import type { Conntrack } from '../conntrack/conntrack.ts';
import { EVENT_HELPER, EVENT_LABEL } from '../conntrack/events.ts';
import type { Helper } from '../conntrack/helper.ts';
import { C_STATUS, IPS_CONFIRMED, IPS_HELPER, ROW_WORDS } from '../conntrack/table.ts';
import type { Connection } from '../conntrack/table.ts';
import { T_META } from '../conntrack/tuple.ts';

const KEY_ZONE = 0;
const KEY_HELPER = 1;
const LABEL_WORDS = 4;

/** Operands as of OP_CTSET. */
export function setConntrack(
  ct: Conntrack,
  skb: SkBuff,
  key: number,
  directions: number,
  value: number,
  helper: Helper | null,
): void {
  const conn = skb.nfct as Connection | null;
  if (key === KEY_ZONE) {
    if (conn === null)
      skb.nfct = ct.templates.of(
        (directions & 1) !== 0 ? value : 0,
        (directions & 2) !== 0 ? value : 0,
      );
    return;
  }
  if (conn === null || conn.id < 0) return;
  const { words } = ct.table;
  const row = conn.id * ROW_WORDS;
  if (key === KEY_HELPER) {
    if (helper === null || (words[row + C_STATUS] & IPS_CONFIRMED) !== 0) return;
    if (((words[row + T_META] >> 8) & 0xff) !== helper.protocol) return;
    ct.extensions.of(conn.id).helper = helper;
    words[row + C_STATUS] |= IPS_HELPER;
    ct.events.note(conn.id, EVENT_HELPER);
    return;
  }
  const extension = ct.extensions.of(conn.id);
  const labels = (extension.labels ??= new Uint32Array(LABEL_WORDS));
  const bit = 2 ** (value & 31);
  if ((labels[value >> 5] & bit) !== 0) return;
  labels[value >> 5] |= bit;
  ct.events.note(conn.id, EVENT_LABEL);
}
