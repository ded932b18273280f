// Clash resolution (nf_ct_resolve_clash): two first packets of one conversation were on the way at the same time. Of protocols without
// handshake the later packet joins the entry that was first; if NAT chose differently for it, its replies get an entry of their
// own for one second (NAT_CLASH). Everything else is dropped.

import type { SkBuff } from '../../../../driver/skb.ts';
import { PS_PER_S } from '../../../../hw/time/units.ts';
import type { Conntrack } from './conntrack.ts';
import { IP_CT_ESTABLISHED, IP_CT_NEW } from './ctinfo.ts';
import {
  C_STATUS,
  D_TIMEOUT,
  IPS_CONFIRMED,
  IPS_DYING,
  IPS_FIXED_TIMEOUT,
  IPS_NAT_CLASH,
  IPS_SEEN_REPLY,
  ROW_DOUBLES,
  ROW_REPLY,
  ROW_WORDS,
} from './table.ts';
import type { Connection } from './table.ts';
import { IPPROTO_GRE, IPPROTO_UDP, IPPROTO_UDPLITE, Tuple } from './tuple.ts';

const SHADOW_PS = PS_PER_S;

const key = new Tuple();

/** Whether the packet may go on: with the winner's entry, or with a short-lived one of its own. */
export function resolveClash(
  ct: Conntrack,
  skb: SkBuff,
  loser: Connection,
  winner: number,
  reply: Tuple,
  replyHash: number,
): boolean {
  const { table } = ct;
  const { words } = table;
  const { protocol } = reply;
  if (protocol !== IPPROTO_UDP && protocol !== IPPROTO_UDPLITE && protocol !== IPPROTO_GRE)
    return false;
  const own = loser.id * ROW_WORDS;
  const other = winner * ROW_WORDS;
  if ((words[other + C_STATUS] & IPS_DYING) !== 0) return false;
  key.load(words, own);
  if (!key.equals(words, other)) return false;
  if (reply.equals(words, other + ROW_REPLY)) {
    skb.nfct = table.conns[winner];
    skb.ctinfo = (words[other + C_STATUS] & IPS_SEEN_REPLY) !== 0 ? IP_CT_ESTABLISHED : IP_CT_NEW;
    ct.account(winner, 0, 1, skb.lenBytes);
    return true;
  }
  // The original key is the winner's: only the reply key of this entry becomes known.
  if (ct.findLive(reply, replyHash, ct.now) >= 0) return false;
  words[own + C_STATUS] |= IPS_CONFIRMED | IPS_NAT_CLASH | IPS_FIXED_TIMEOUT;
  table.doubles[loser.id * ROW_DOUBLES + D_TIMEOUT] = ct.now + SHADOW_PS;
  table.link(2 * loser.id + 1, replyHash);
  return true;
}
