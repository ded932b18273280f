// Helpers: readers of control connections that announce others (FTP's data connections, TFTP's transfers). A rule gives a new
// connection its helper (`ct helper set`); Linux 6.1 assigns none by itself. Left out: SIP, H.323, PPTP, IRC, Amanda, SANE, NetBIOS,
// SNMP.

import type { SkBuff } from '../../../../driver/skb.ts';
import { PS_PER_S } from '../../../../hw/time/units.ts';
import type { Conntrack } from './conntrack.ts';
import type { PacketView } from './packet.ts';
import { C_STATUS, IPS_DST_NAT, IPS_SRC_NAT, ROW_REPLY, ROW_WORDS } from './table.ts';
import type { Connection } from './table.ts';
import { Tuple } from './tuple.ts';

export interface Helper {
  readonly name: string;
  /** Transport protocol of the control connection. */
  readonly protocol: number;
  /** Expectations of one master at a time. */
  readonly maxExpected: number;
  /** Reads a packet of the control connection, and changes it where NAT wants that; false: the packet must not go on. */
  help(ct: Conntrack, skb: SkBuff, view: PacketView, conn: Connection, direction: number): boolean;
}

/** Life of an expectation, ps. */
const EXPECT_PS = 300 * PS_PER_S;

/**
 * Announces a connection from the far end of `direction` (any port) to `target`, which holds destination address and port. With NAT
 * the first free port from the wanted one on is taken, if it may move; behind NAT the connection goes to `savedPort`. The port, or
 * −1 when none could be announced.
 */
export function expectConnection(
  ct: Conntrack,
  helper: Helper,
  master: Connection,
  direction: number,
  protocol: number,
  target: Tuple,
  savedPort = target.l4 & 0xffff,
  mayMove = true,
): number {
  const { words } = ct.table;
  const row = master.id * ROW_WORDS;
  const hasNat = (words[row + C_STATUS] & (IPS_SRC_NAT | IPS_DST_NAT)) !== 0;
  const far = new Tuple();
  far.load(words, row + (1 - direction) * ROW_REPLY);
  const wanted = target.l4 & 0xffff;
  for (let port = wanted; port <= 0xffff; port++) {
    const tuple = new Tuple();
    tuple.copy(target);
    tuple.s0 = far.s0;
    tuple.s1 = far.s1;
    tuple.s2 = far.s2;
    tuple.s3 = far.s3;
    tuple.setL4(far.family, protocol, far.zone, port);
    const expectation = {
      tuple,
      master,
      helper,
      untilPs: ct.now + EXPECT_PS,
      natDirection: hasNat ? 1 - direction : -1,
      savedPort,
    };
    if (ct.expectations.add(expectation, helper.maxExpected, ct.timeouts.expectMax)) return port;
    if (!hasNat || !mayMove) return -1;
  }
  return -1;
}
