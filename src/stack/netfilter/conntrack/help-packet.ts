// The step before confirmation for connections with a helper, or whose sequence numbers a helper has moved: the helper reads the
// packet, then its numbers are adjusted.

import type { SkBuff } from '../../../../driver/skb.ts';
import type { Conntrack } from './conntrack.ts';
import { IP_CT_ESTABLISHED_REPLY, IP_CT_RELATED_REPLY } from './ctinfo.ts';
import type { PacketView } from './packet.ts';
import { adjustSequence } from './seqadj.ts';
import type { Connection } from './table.ts';

/** False: the packet must not go on. `view` is filled anew. */
export function helpPacket(ct: Conntrack, skb: SkBuff, view: PacketView, family: number): boolean {
  const conn = skb.nfct as Connection;
  const extension = ct.extensions.get(conn.id);
  if (extension === null || skb.ctinfo === IP_CT_RELATED_REPLY) return true;
  if (!view.locate(skb.bytes, skb.networkAt, skb.lenBytes, family)) return true;
  const direction = skb.ctinfo >= IP_CT_ESTABLISHED_REPLY ? 1 : 0;
  const { helper } = extension;
  if (helper !== null && helper.protocol === view.protocol)
    if (!helper.help(ct, skb, view, conn, direction)) return false;
  adjustSequence(extension, skb, view, direction);
  return true;
}
