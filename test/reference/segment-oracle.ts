// Segmentation of a TCP or UDP message as its definition reads: cut the payload, copy the header, set lengths, identification,
// sequence number and flags, and compute both checksums anew with BigInt sums. Shares nothing with hw/dma/tx-segment.ts.

import { bigSum, fixChecksums } from '../hw/harness.ts';

export interface Message {
  /** Whole message with its headers, checksums of any value. */
  bytes: Uint8Array;
  l3At: number;
  l4At: number;
  headerBytes: number;
  mss: number;
}

/** Frames that the message becomes. `flags`: which TCP flags the first, middle and last frame keep. */
export function segments(
  message: Message,
  flags = { first: 0xff6, middle: 0xff6, last: 0xf7f },
): Uint8Array[] {
  const { bytes, l3At, l4At, headerBytes, mss } = message;
  const payload = bytes.slice(headerBytes);
  const frames: Uint8Array[] = [];
  for (let at = 0; at < payload.length; at += mss) {
    const part = payload.slice(at, at + mss);
    const frame = new Uint8Array([...bytes.slice(0, headerBytes), ...part]);
    const view = new DataView(frame.buffer);
    const isV4 = frame[l3At] >> 4 === 4;
    const proto = frame[l3At + (isV4 ? 9 : 6)];
    if (isV4) {
      view.setUint16(l3At + 2, frame.length - l3At);
      view.setUint16(l3At + 4, (view.getUint16(l3At + 4) + frames.length) % 65536);
    } else view.setUint16(l3At + 4, frame.length - l3At - 40);
    if (proto === 6) {
      view.setUint32(l4At + 4, (view.getUint32(l4At + 4) + at) % 2 ** 32);
      const isLast = at + mss >= payload.length;
      const kept = isLast ? flags.last : at === 0 ? flags.first : flags.middle;
      const word = view.getUint16(l4At + 12);
      view.setUint16(l4At + 12, (word & 0xf000) | (word & 0xfff & kept));
    } else view.setUint16(l4At + 4, frame.length - l4At);
    fixChecksums(frame);
    frames.push(frame);
  }
  return frames;
}

/** What a driver leaves in the transport checksum field for segmentation: the pseudo-header's sum without the length. */
export function pseudoSum(bytes: Uint8Array, l3At: number): number {
  const isV4 = bytes[l3At] >> 4 === 4;
  const addresses = isV4 ? bytes.slice(l3At + 12, l3At + 20) : bytes.slice(l3At + 8, l3At + 40);
  return bigSum(new Uint8Array([...addresses, 0, bytes[l3At + (isV4 ? 9 : 6)]]));
}
