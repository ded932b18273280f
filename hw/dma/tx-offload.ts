// What the device does to a host's frame on its way out (82599 7.2.5): checksums by context (IPv4, TCP, UDP, SCTP) or by the
// legacy descriptor's offsets, and a VLAN tag. On bytes in packet memory; pure.
//
// TCP and UDP: the driver leaves the pseudo-header's sum in the field, the device sums from the transport header on.

import { fold, sumBytes } from '../wire/checksum.ts';
import { sctpChecksum } from '../wire/crc32c.ts';
import {
  ETH_HEADER_BYTES,
  IPV4_CHECKSUM_AT,
  IPV4_HEADER_BYTES,
  TCP_CHECKSUM_AT,
  UDP_CHECKSUM_AT,
  VLAN_TAG_BYTES,
} from '../wire/headers.ts';
import * as D from './descriptor.ts';

const SCTP_HEADER_BYTES = 12;
const SCTP_CHECKSUM_AT = 8;

/** MACLEN of a context's word 0. */
export function macLenOf(lens: number): number {
  return (lens >>> 9) & 0x7f;
}

/** IPLEN of a context's word 0. */
export function ipLenOf(lens: number): number {
  return lens & 0x1ff;
}

/** Inserts what POPTS asks for into the frame at `frameAt`; false when the context's lengths do not fit it. */
export function insertChecksums(
  view: DataView,
  frameAt: number,
  frameBytes: number,
  popts: number,
  lens: number,
  tucmd: number,
): boolean {
  const l3At = macLenOf(lens);
  const ipBytes = ipLenOf(lens);
  const l4At = l3At + ipBytes;
  if (l3At < ETH_HEADER_BYTES || l4At > frameBytes) return false;
  if ((popts & D.TXD_POPTS_IXSM) !== 0 && (tucmd & D.TUCMD_IPV4) !== 0) {
    if (ipBytes < IPV4_HEADER_BYTES) return false;
    const at = frameAt + l3At + IPV4_CHECKSUM_AT;
    view.setUint16(at, 0);
    view.setUint16(at, ~fold(sumBytes(view, frameAt + l3At, ipBytes)) & 0xffff);
  }
  if ((popts & D.TXD_POPTS_TXSM) === 0) return true;
  const l4Bytes = frameBytes - l4At;
  const l4Type = tucmd & D.TUCMD_L4T_MASK;
  if (l4Type === D.TUCMD_L4T_SCTP) {
    if (l4Bytes < SCTP_HEADER_BYTES) return false;
    const crc = sctpChecksum(view, frameAt + l4At, l4Bytes);
    view.setUint32(frameAt + l4At + SCTP_CHECKSUM_AT, crc, true);
    return true;
  }
  if (l4Type !== D.TUCMD_L4T_TCP && l4Type !== D.TUCMD_L4T_UDP) return false;
  const isTcp = l4Type === D.TUCMD_L4T_TCP;
  const fieldAt = l4At + (isTcp ? TCP_CHECKSUM_AT : UDP_CHECKSUM_AT);
  if (fieldAt + 2 > frameBytes) return false;
  const sum = ~fold(sumBytes(view, frameAt + l4At, l4Bytes)) & 0xffff;
  view.setUint16(frameAt + fieldAt, !isTcp && sum === 0 ? 0xffff : sum);
  return true;
}

/** Legacy IC: the sum from offset CSS to the end goes to offset CSO. Offsets past the end insert nothing (82599 7.2.3.2.2). */
export function insertLegacyChecksum(
  view: DataView,
  frameAt: number,
  frameBytes: number,
  startAt: number,
  fieldAt: number,
): void {
  if (startAt >= frameBytes || fieldAt + 2 > frameBytes) return;
  const sum = ~fold(sumBytes(view, frameAt + startAt, frameBytes - startAt)) & 0xffff;
  view.setUint16(frameAt + fieldAt, sum);
}

/** Moves the first `tagAt` bytes (addresses, and an outer tag) down by four and puts a tag behind them; returns the frame's new start. */
export function insertTag(view: DataView, frameAt: number, tagAt: number, tag: number): number {
  const to = frameAt - VLAN_TAG_BYTES;
  for (let i = 0; i < tagAt; i += 4) view.setInt32(to + i, view.getInt32(frameAt + i));
  view.setUint32(to + tagAt, tag);
  return to;
}
