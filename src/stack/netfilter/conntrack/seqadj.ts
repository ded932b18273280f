// Sequence adjustment (nf_conntrack_seqadj.c): where a helper made a segment longer or shorter, all later sequence numbers of that
// direction, the other direction's acknowledgements and its SACK blocks are moved by the difference. Left out: SACK blocks at odd
// offsets.

import type { SkBuff } from '../../../../driver/skb.ts';
import { loadInt32 } from '../../ip/address.ts';
import { replace32 } from '../../ip/checksum.ts';
import type { Extension, SeqAdjust } from './extensions.ts';
import type { PacketView } from './packet.ts';
import { before } from './tcp-window.ts';
import { IPPROTO_TCP } from './tuple.ts';

const TCP_HEADER_BYTES = 20;

/** Offset of a direction at a sequence number. */
function offsetAt(way: SeqAdjust, seq: number): number {
  const moved = way.offsetBefore !== way.offsetAfter && before(way.position, seq);
  return moved ? way.offsetAfter : way.offsetBefore;
}

/** How far the acknowledgement of the segment at `l4At` is ahead of what `direction` sent. */
export function seqOffset(
  extension: Extension | null,
  direction: number,
  bytes: Uint8Array,
  l4At: number,
): number {
  const ways = extension?.seqAdjust ?? null;
  if (ways === null) return 0;
  return offsetAt(ways[direction], (loadInt32(bytes, l4At + 8) - 1) | 0);
}

/** A segment of `direction` whose data begin at `seq` grew by `byBytes`. */
export function moveSequence(
  extension: Extension,
  direction: number,
  seq: number,
  byBytes: number,
): void {
  extension.seqAdjust ??= [
    { position: 0, offsetBefore: 0, offsetAfter: 0 },
    { position: 0, offsetBefore: 0, offsetAfter: 0 },
  ];
  const way = extension.seqAdjust[direction];
  if (way.offsetBefore === way.offsetAfter || before(way.position, seq)) {
    way.position = seq;
    way.offsetBefore = way.offsetAfter;
    way.offsetAfter += byBytes;
  }
}

/** Moves sequence number, acknowledgement and SACK blocks of a segment. */
export function adjustSequence(
  extension: Extension,
  skb: SkBuff,
  view: PacketView,
  direction: number,
): void {
  const { seqAdjust } = extension;
  if (seqAdjust === null || view.protocol !== IPPROTO_TCP || view.l4Bytes < TCP_HEADER_BYTES)
    return;
  const { bytes } = skb;
  const at = view.l4At;
  const check = at + 16;
  const seq = loadInt32(bytes, at + 4);
  replace32(bytes, at + 4, (seq + offsetAt(seqAdjust[direction], seq)) | 0, check);
  if ((bytes[at + 13] & 0x10) === 0) return;
  const other = seqAdjust[1 - direction];
  const ack = loadInt32(bytes, at + 8);
  replace32(bytes, at + 8, takenBack(other, ack), check);
  const end = at + (bytes[at + 12] >> 4) * 4;
  for (let i = at + TCP_HEADER_BYTES; i < end;) {
    if (bytes[i] === 0) break;
    const lenBytes = bytes[i] === 1 ? 1 : bytes[i + 1];
    if (lenBytes === 0 || i + lenBytes > end) break;
    if (bytes[i] === 5 && lenBytes >= 10 && ((i - at) & 1) === 0)
      for (let b = i + 2; b + 8 <= i + lenBytes; b += 4)
        replace32(bytes, b, takenBack(other, loadInt32(bytes, b)), check);
    i += lenBytes;
  }
}

/** A number of the changed side as the sender of the original knows it. */
function takenBack(way: SeqAdjust, seq: number): number {
  const behind = before(way.position, (seq - way.offsetBefore) | 0);
  return (seq - (behind ? way.offsetAfter : way.offsetBefore)) | 0;
}
