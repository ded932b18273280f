// Whether a transport header can be what it says: length, flags, checksum (nf_conntrack_proto_*.c, "error" checks). A packet that fails
// has no connection: ct state invalid.

import type { SkBuff } from '../../../../driver/skb.ts';
import { CHECKSUM_UNNECESSARY } from '../../../../driver/skb.ts';
import { l4ChecksumIsRight } from './checksum.ts';
import type { PacketView } from './packet.ts';
import { sctpHeaderIsRight } from './sctp.ts';
import { flagsAreLegal } from './tcp-table.ts';
import { IPPROTO_DCCP, IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP } from './tuple.ts';
import { udpLengthIsRight } from './udp.ts';

const DCCP_HEADER_BYTES = 12;

/** Length, flags and, if `check`, checksum of a header with ports. */
export function headerIsRight(
  view: PacketView,
  skb: SkBuff,
  family: number,
  check: boolean,
): boolean {
  const { protocol, l4At, l4Bytes } = view;
  const { bytes } = skb;
  if (protocol === IPPROTO_TCP) {
    if (l4Bytes < 20) return false;
    const headerBytes = (bytes[l4At + 12] >> 4) * 4;
    if (headerBytes < 20 || headerBytes > l4Bytes) return false;
    if (!flagsAreLegal(bytes[l4At + 13])) return false;
  } else if (protocol === IPPROTO_UDP) {
    if (!udpLengthIsRight(bytes, l4At, l4Bytes)) return false;
    if (bytes[l4At + 6] === 0 && bytes[l4At + 7] === 0) return true;
  } else if (protocol === IPPROTO_SCTP) return sctpHeaderIsRight(bytes, l4At, l4Bytes);
  else if (protocol === IPPROTO_DCCP) return l4Bytes >= DCCP_HEADER_BYTES;
  else return l4Bytes >= 8;
  if (!check || skb.ipSummed === CHECKSUM_UNNECESSARY) return true;
  return l4ChecksumIsRight(bytes, skb.networkAt, family, protocol, l4At, l4Bytes);
}
