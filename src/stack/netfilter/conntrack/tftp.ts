// The TFTP helper (RFC 1350): a read or write request makes the server answer from a port of its own choice, to the port that asked.

import type { SkBuff } from '../../../../driver/skb.ts';
import { loadUint16 } from '../../ip/address.ts';
import type { Conntrack } from './conntrack.ts';
import { expectConnection } from './helper.ts';
import type { Helper } from './helper.ts';
import type { PacketView } from './packet.ts';
import { ROW_REPLY, ROW_WORDS } from './table.ts';
import type { Connection } from './table.ts';
import { IPPROTO_UDP, T_L4, Tuple } from './tuple.ts';

const UDP_HEADER_BYTES = 8;
const READ_REQUEST = 1;
const WRITE_REQUEST = 2;

class Tftp implements Helper {
  readonly name = 'tftp';
  readonly protocol = IPPROTO_UDP;
  readonly maxExpected = 1;

  help(ct: Conntrack, skb: SkBuff, view: PacketView, conn: Connection, direction: number): boolean {
    if (view.l4Bytes < UDP_HEADER_BYTES + 2 || direction !== 0) return true;
    const opcode = loadUint16(skb.bytes, view.l4At + UDP_HEADER_BYTES);
    if (opcode !== READ_REQUEST && opcode !== WRITE_REQUEST) return true;
    // Where replies go to; with NAT the port is followed back to the one that asked.
    const target = new Tuple();
    const row = conn.id * ROW_WORDS;
    const asked = ct.table.words[row + T_L4] >>> 16;
    target.load(ct.table.words, row + ROW_REPLY);
    return expectConnection(ct, this, conn, 0, IPPROTO_UDP, target, asked, false) >= 0;
  }
}

export const TFTP: Helper = new Tftp();
