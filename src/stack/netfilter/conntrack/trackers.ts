// The protocols' trackers behind one function: what a packet does to its entry, and which packets may open one. Protocols without a
// tracker of their own (DCCP among them) are generic: one timeout, no state.

import type { SkBuff } from '../../../../driver/skb.ts';
import { icmpMayOpen } from './icmp.ts';
import type { PacketView } from './packet.ts';
import { sctpMayOpen, sctpPacket } from './sctp.ts';
import { C_STATUS, IPS_ASSURED, IPS_SEEN_REPLY, ROW_WORDS } from './table.ts';
import type { ConnectionTable } from './table.ts';
import { TRACK_ACCEPT, tcpNew, tcpPacket } from './tcp.ts';
import { segmentKind } from './tcp-table.ts';
import { Segment } from './tcp-window.ts';
import type { Timeouts } from './timeouts.ts';
import {
  IPPROTO_GRE,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_SCTP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  IPPROTO_UDPLITE,
} from './tuple.ts';
import { udpPacket } from './udp.ts';

export class Trackers {
  /** What the last accepted packet asked for, ps. */
  readonly result = { timeoutPs: 0 };

  private readonly table: ConnectionTable;
  private readonly timeouts: Timeouts;
  private readonly segment = new Segment();

  constructor(table: ConnectionTable, timeouts: Timeouts) {
    this.table = table;
    this.timeouts = timeouts;
  }

  /** Whether the packet may open an entry; sets the row up. */
  mayOpen(skb: SkBuff, view: PacketView, id: number, isIcmp: boolean): boolean {
    const { bytes } = skb;
    const { protocol, l4At } = view;
    if (isIcmp) return icmpMayOpen(protocol, bytes[l4At]);
    if (protocol === IPPROTO_SCTP) return sctpMayOpen(bytes, l4At);
    if (protocol !== IPPROTO_TCP) return true;
    const { segment } = this;
    segment.read(bytes, l4At, view.l4Bytes);
    segment.kind = segmentKind(segment.flags);
    return tcpNew(this.table.words, id * ROW_WORDS, segment, this.timeouts.tcpLoose);
  }

  /**
   * Moves the entry on; TRACK_*, and `result.timeoutPs`. `ackOffset` is how far the sender of acknowledgements is ahead of what
   * the other side sent (sequence adjustment), 0 as a rule.
   */
  advance(
    skb: SkBuff,
    view: PacketView,
    id: number,
    direction: number,
    nowPs: number,
    ackOffset: number,
  ): number {
    const { timeouts, table, result } = this;
    const { protocol } = view;
    const row = id * ROW_WORDS;
    if (protocol === IPPROTO_TCP) {
      const { segment } = this;
      segment.read(skb.bytes, view.l4At, view.l4Bytes);
      segment.kind = segmentKind(segment.flags);
      segment.ackOffset = ackOffset;
      segment.ack = (segment.ack - ackOffset) | 0;
      return tcpPacket(table.words, row, direction, segment, timeouts, result);
    }
    if (protocol === IPPROTO_UDP || protocol === IPPROTO_UDPLITE)
      result.timeoutPs = udpPacket(table, id, timeouts, nowPs);
    else if (protocol === IPPROTO_ICMP) result.timeoutPs = timeouts.icmpPs;
    else if (protocol === IPPROTO_ICMPV6) result.timeoutPs = timeouts.icmpv6Ps;
    else if (protocol === IPPROTO_SCTP)
      return sctpPacket(
        table.words,
        row,
        direction,
        skb.bytes,
        view.l4At,
        view.l4Bytes,
        timeouts,
        result,
      );
    else if (protocol === IPPROTO_GRE) result.timeoutPs = this.grePacket(row);
    else result.timeoutPs = timeouts.genericPs;
    return TRACK_ACCEPT;
  }

  /** GRE is ASSURED and a stream from the first packet behind a reply on. */
  private grePacket(row: number): number {
    const { words } = this.table;
    if ((words[row + C_STATUS] & IPS_SEEN_REPLY) === 0) return this.timeouts.grePs;
    words[row + C_STATUS] |= IPS_ASSURED;
    return this.timeouts.greStreamPs;
  }
}
