// The RST that a host without listening sockets answers to a TCP segment (RFC 9293 3.10.7.1; tcp_v4_send_reset): no options,
// window 0, sequence number from the segment's acknowledgement, or zero with everything of the segment acknowledged.

import { loadInt32, storeInt32, storeUint16 } from './address.ts';

export const TCP_HEADER_BYTES = 20;

const FIN = 0x01;
const SYN = 0x02;
const RST = 0x04;
const ACK = 0x10;

/** A RST is never answered. */
export function wantsReset(bytes: Uint8Array, at: number): boolean {
  return (bytes[at + 13] & RST) === 0;
}

/** Writes the RST for the segment at `at` (`lenBytes` with its header) to `out[to..]`; checksum 0. */
export function fillReset(
  bytes: Uint8Array,
  at: number,
  lenBytes: number,
  out: Uint8Array,
  to: number,
): void {
  const flags = bytes[at + 13];
  out[to] = bytes[at + 2];
  out[to + 1] = bytes[at + 3];
  out[to + 2] = bytes[at];
  out[to + 3] = bytes[at + 1];
  out[to + 12] = (TCP_HEADER_BYTES / 4) << 4;
  if ((flags & ACK) !== 0) {
    storeInt32(out, to + 4, loadInt32(bytes, at + 8));
    storeInt32(out, to + 8, 0);
    out[to + 13] = RST;
  } else {
    const dataBytes = lenBytes - (bytes[at + 12] >> 4) * 4;
    const length = dataBytes + ((flags & SYN) !== 0 ? 1 : 0) + ((flags & FIN) !== 0 ? 1 : 0);
    storeInt32(out, to + 4, 0);
    storeInt32(out, to + 8, loadInt32(bytes, at + 4) + length);
    out[to + 13] = RST | ACK;
  }
  storeUint16(out, to + 14, 0);
  storeUint16(out, to + 16, 0);
  storeUint16(out, to + 18, 0);
}
