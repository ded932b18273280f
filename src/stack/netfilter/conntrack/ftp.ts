// The FTP helper (nf_conntrack_ftp.c, nf_nat_ftp.c): reads PORT, EPRT, 227 and 229 at the beginning of lines, expects the data
// connection, and with NAT writes the address and port into the text by which the other side can reach it.
//
// A line counts only where an earlier one ended: the last two ends of each direction are remembered. A line that is cut drops its
// segment, so that it comes again whole. An address that is not the sender's own is not believed (loose=0).

import type { SkBuff } from '../../../../driver/skb.ts';
import { loadInt32, storeUint16 } from '../../ip/address.ts';
import { replace16, transportChecksum } from '../../ip/checksum.ts';
import type { Conntrack } from './conntrack.ts';
import { IP_CT_ESTABLISHED, IP_CT_ESTABLISHED_REPLY } from './ctinfo.ts';
import type { Extension } from './extensions.ts';
import { readFtpEnd, writeFtpEnd } from './ftp-text.ts';
import { expectConnection } from './helper.ts';
import type { Helper } from './helper.ts';
import type { PacketView } from './packet.ts';
import { moveSequence } from './seqadj.ts';
import {
  C_STATUS,
  IPS_DST_NAT,
  IPS_SEQ_ADJUST,
  IPS_SRC_NAT,
  ROW_REPLY,
  ROW_WORDS,
} from './table.ts';
import type { Connection } from './table.ts';
import { IPPROTO_TCP, T_DST, Tuple, tupleAddress } from './tuple.ts';

/** Line ends remembered per direction. */
const REMEMBERED = 2;
const NEWLINE = 10;

class Ftp implements Helper {
  readonly name = 'ftp';
  readonly protocol = IPPROTO_TCP;
  readonly maxExpected = 1;

  help(ct: Conntrack, skb: SkBuff, view: PacketView, conn: Connection, direction: number): boolean {
    if (skb.ctinfo !== IP_CT_ESTABLISHED && skb.ctinfo !== IP_CT_ESTABLISHED_REPLY) return true;
    const { bytes } = skb;
    const dataAt = view.l4At + (bytes[view.l4At + 12] >> 4) * 4;
    const end = view.l4At + view.l4Bytes;
    if (dataAt >= end) return true;
    const extension = ct.extensions.of(conn.id);
    const seq = loadInt32(bytes, view.l4At + 4);
    const { ends } = (extension.lines ??= [{ ends: [] }, { ends: [] }])[direction];
    const endsLine = bytes[end - 1] === NEWLINE;
    const behind = (seq + (end - dataAt)) | 0;
    const goesOn =
      !ends.includes(seq) || this.read(ct, skb, view, conn, direction, extension, dataAt, end);
    if (goesOn && endsLine && !ends.includes(behind)) {
      if (ends.length >= REMEMBERED) ends.shift();
      ends.push(behind);
    }
    return goesOn;
  }

  private read(
    ct: Conntrack,
    skb: SkBuff,
    view: PacketView,
    conn: Connection,
    direction: number,
    extension: Extension,
    dataAt: number,
    end: number,
  ): boolean {
    const { words } = ct.table;
    const row = conn.id * ROW_WORDS;
    const six = (words[row + 9] & 0xff) !== 2;
    let line = '';
    for (let i = dataAt; i < end; i++) line += String.fromCharCode(skb.bytes[i]);
    const found = readFtpEnd(line, direction, six ? 10 : 2);
    if (found === null) return true;
    if (found === 'partial') return false;
    const own = tupleAddress(words, row + direction * ROW_REPLY, 0);
    if (found.address !== null && !found.address.every((byte, i) => byte === own[i])) return true;
    // Behind NAT the other side reaches it by where its replies go.
    const outside = row + (1 - direction) * ROW_REPLY;
    const target = new Tuple();
    target.load(words, outside);
    target.l4 = found.port;
    const port = expectConnection(ct, this, conn, direction, IPPROTO_TCP, target);
    if (port < 0) return false;
    if ((words[row + C_STATUS] & (IPS_SRC_NAT | IPS_DST_NAT)) === 0) return true;
    const address = tupleAddress(words, outside, T_DST);
    const text = writeFtpEnd(found.form, address, port);
    const at = dataAt + found.start;
    const seq = loadInt32(skb.bytes, view.l4At + 4);
    if (!replaceText(skb, view, at, found.lengthChars, text)) return false;
    const grownBytes = text.length - found.lengthChars;
    if (grownBytes !== 0) {
      moveSequence(extension, direction, seq, grownBytes);
      words[row + C_STATUS] |= IPS_SEQ_ADJUST;
    }
    return true;
  }
}

/** Replaces `oldBytes` at `at` by a text; lengths and checksums follow. False when the buffer has no room. */
function replaceText(
  skb: SkBuff,
  view: PacketView,
  at: number,
  oldBytes: number,
  text: string,
): boolean {
  const { bytes, networkAt } = skb;
  const grownBytes = text.length - oldBytes;
  const packetEnd = skb.at + skb.lenBytes;
  if (packetEnd + grownBytes > skb.headAt + skb.truesizeBytes && skb.truesizeBytes > 0)
    return false;
  bytes.copyWithin(at + text.length, at + oldBytes, packetEnd);
  for (let i = 0; i < text.length; i++) bytes[at + i] = text.charCodeAt(i);
  skb.lenBytes += grownBytes;
  view.l4Bytes += grownBytes;
  const six = bytes[networkAt] >> 4 === 6;
  const lengthAt = networkAt + (six ? 4 : 2);
  const oldLength = (bytes[lengthAt] << 8) | bytes[lengthAt + 1];
  replace16(bytes, lengthAt, oldLength + grownBytes, six ? -1 : networkAt + 10);
  storeUint16(bytes, view.l4At + 16, 0);
  const sum = transportChecksum(bytes, networkAt, IPPROTO_TCP, view.l4At, view.l4Bytes);
  storeUint16(bytes, view.l4At + 16, sum);
  return true;
}

export const FTP: Helper = new Ftp();
