// ICMP errors about translated connections (nf_nat_icmp_reply_translation): the quoted packet goes the other way, so its other end
// changes; then the error itself gets the end that a reply would have. Checksums of the message are computed anew.

import type { SkBuff } from '../../../../driver/skb.ts';
import { storeUint16 } from '../../ip/address.ts';
import { inetChecksum, transportChecksum } from '../../ip/checksum.ts';
import { icmpChecksumIsRight, l4ChecksumIsRight } from '../conntrack/checksum.ts';
import { PacketView } from '../conntrack/packet.ts';
import {
  C_STATUS,
  IPS_DST_NAT,
  IPS_DST_NAT_DONE,
  IPS_SRC_NAT,
  IPS_SRC_NAT_DONE,
  ROW_REPLY,
  ROW_WORDS,
} from '../conntrack/table.ts';
import type { ConnectionTable } from '../conntrack/table.ts';
import { IPPROTO_ICMP, IPPROTO_ICMPV6, Tuple } from '../conntrack/tuple.ts';
import { mangle } from './mangle.ts';
import { MANIP_DST, MANIP_SRC } from './range.ts';

const ICMP_HEADER_BYTES = 8;
const ICMP_REDIRECT = 5;
const NDISC_REDIRECT = 137;

const quoted = new PacketView();
const other = new Tuple();
const target = new Tuple();

/**
 * Translates an error that belongs to row `id` and was matched in `direction`; `view` has its ICMP header. False: the error must not
 * go on.
 */
export function translateError(
  table: ConnectionTable,
  skb: SkBuff,
  view: PacketView,
  id: number,
  direction: number,
  manip: number,
): boolean {
  const { bytes, networkAt } = skb;
  const { l4At, l4Bytes, protocol } = view;
  const six = protocol === IPPROTO_ICMPV6;
  const right = six
    ? l4ChecksumIsRight(bytes, networkAt, 10, protocol, l4At, l4Bytes)
    : icmpChecksumIsRight(bytes, l4At, l4Bytes);
  if (!right) return false;
  const status = table.words[id * ROW_WORDS + C_STATUS];
  if (bytes[l4At] === (six ? NDISC_REDIRECT : ICMP_REDIRECT)) {
    const done = IPS_SRC_NAT_DONE | IPS_DST_NAT_DONE;
    if ((status & done) !== done) return false;
    if ((status & (IPS_SRC_NAT | IPS_DST_NAT)) !== 0) return false;
  }
  const own = (manip === MANIP_SRC) === (direction === 0) ? IPS_SRC_NAT : IPS_DST_NAT;
  if ((status & own) === 0) return true;
  other.load(table.words, id * ROW_WORDS + (1 - direction) * ROW_REPLY);
  const family = six ? 10 : 2;
  const innerAt = l4At + ICMP_HEADER_BYTES;
  if (!quoted.locate(bytes, innerAt, l4Bytes - ICMP_HEADER_BYTES, family)) return false;
  const { l4At: innerL4At, l4Bytes: innerBytes } = quoted;
  const back = manip === MANIP_SRC ? MANIP_DST : MANIP_SRC;
  mangle(bytes, innerAt, innerL4At, innerBytes, quoted.protocol, other, back);
  storeUint16(bytes, l4At + 2, 0);
  const sum = six
    ? transportChecksum(bytes, networkAt, protocol, l4At, l4Bytes)
    : inetChecksum(bytes, l4At, l4Bytes);
  storeUint16(bytes, l4At + 2, sum);
  other.invert(target);
  mangle(bytes, networkAt, l4At, l4Bytes, six ? IPPROTO_ICMPV6 : IPPROTO_ICMP, target, manip);
  return true;
}
