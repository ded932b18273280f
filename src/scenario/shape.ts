// Reads the headers of a captured Ethernet frame as far as the split and the normaliser need them, and mends what a
// capture leaves out: bytes that the snap length cut, and checksums that the capturing host had left to its NIC.

import type { FrameShape } from './split.ts';

const ETH_IP4 = 0x0800;
const ETH_IP6 = 0x86dd;
const ETH_VLAN = 0x8100;
const ETH_QINQ = 0x88a8;

/** A shape to be filled by `readShape`. */
export function newShape(): FrameShape {
  return { family: 0, srcAt: 0, dstAt: 0, addressBytes: 0, l4proto: 0, l4At: 0, multicast: false };
}

/** Fills `shape` from the frame; never reads beyond `lenBytes`. */
export function readShape(
  bytes: Uint8Array,
  at: number,
  lenBytes: number,
  shape: FrameShape,
): void {
  shape.family = 0;
  shape.l4At = 0;
  shape.l4proto = 0;
  shape.multicast = lenBytes > 0 && (bytes[at] & 1) !== 0;
  if (lenBytes < 14) return;
  const end = at + lenBytes;
  const type = (bytes[at + 12] << 8) | bytes[at + 13];
  if (type === ETH_IP4) readIp4(bytes, at + 14, end, shape);
  else if (type === ETH_IP6) readIp6(bytes, at + 14, end, shape);
}

/** Removes VLAN tags in place (the MAC addresses move towards the type); returns how many bytes the frame start moved. */
export function stripVlanTags(bytes: Uint8Array, at: number, lenBytes: number): number {
  let moved = 0;
  while (lenBytes - moved >= 18) {
    const from = at + moved;
    const type = (bytes[from + 12] << 8) | bytes[from + 13];
    if (type !== ETH_VLAN && type !== ETH_QINQ) break;
    bytes.copyWithin(from + 4, from, from + 12);
    moved += 4;
  }
  return moved;
}

function readIp4(bytes: Uint8Array, at: number, end: number, shape: FrameShape): void {
  if (end - at < 20 || bytes[at] >> 4 !== 4) return;
  const headerBytes = (bytes[at] & 15) * 4;
  if (headerBytes < 20 || at + headerBytes > end) return;
  shape.family = 4;
  shape.addressBytes = 4;
  shape.srcAt = at + 12;
  shape.dstAt = at + 16;
  shape.l4proto = bytes[at + 9];
  const dst = bytes[at + 16];
  if (dst >= 224) shape.multicast = true;
  const fragmentOffset = ((bytes[at + 6] & 0x1f) << 8) | bytes[at + 7];
  if (fragmentOffset === 0 && end - at - headerBytes >= l4MinBytes(shape.l4proto))
    shape.l4At = at + headerBytes;
}

function readIp6(bytes: Uint8Array, at: number, end: number, shape: FrameShape): void {
  if (end - at < 40 || bytes[at] >> 4 !== 6) return;
  shape.family = 6;
  shape.addressBytes = 16;
  shape.srcAt = at + 8;
  shape.dstAt = at + 24;
  if (bytes[at + 24] === 0xff) shape.multicast = true;
  let next = bytes[at + 6];
  let l4 = at + 40;
  // Hop-by-hop 0, routing 43, destination 60: length in 8 bytes after the first 8. A fragment header (44) ends the walk.
  while ((next === 0 || next === 43 || next === 60) && l4 + 8 <= end) {
    next = bytes[l4];
    l4 += 8 * (bytes[l4 + 1] + 1);
  }
  shape.l4proto = next;
  if (next !== 44 && end - l4 >= l4MinBytes(next)) shape.l4At = l4;
}

function l4MinBytes(l4proto: number): number {
  if (l4proto === 6) return 20;
  return l4proto === 17 || l4proto === 1 || l4proto === 58 ? 8 : 0;
}

/** What the transport checksum field of a frame holds. */
export type ChecksumState = 'not-present' | 'as-captured' | 'partial';

/**
 * Tells whether the checksum was left to the capturing host's NIC: the field then holds the folded, uncomplemented sum of
 * the pseudo-header alone (CHECKSUM_PARTIAL). Costs a dozen additions; the payload is not read.
 */
export function checksumState(
  bytes: Uint8Array,
  shape: FrameShape,
  lenBytes: number,
): ChecksumState {
  const fieldAt = checksumAt(shape);
  if (fieldAt < 0 || lenBytes <= 0) return 'not-present';
  const field = (bytes[fieldAt] << 8) | bytes[fieldAt + 1];
  return field === fold(pseudoSum(bytes, shape, lenBytes)) ? 'partial' : 'as-captured';
}

/** Writes the right transport checksum over `lenBytes` from the transport header on. */
export function fillChecksum(bytes: Uint8Array, shape: FrameShape, lenBytes: number): void {
  const fieldAt = checksumAt(shape);
  if (fieldAt < 0) return;
  bytes[fieldAt] = 0;
  bytes[fieldAt + 1] = 0;
  let sum = pseudoSum(bytes, shape, lenBytes);
  const end = shape.l4At + lenBytes;
  let i = shape.l4At;
  for (; i + 1 < end; i += 2) sum += (bytes[i] << 8) | bytes[i + 1];
  if (i < end) sum += bytes[i] << 8;
  let value = ~fold(sum) & 0xffff;
  if (value === 0 && shape.l4proto === 17) value = 0xffff;
  bytes[fieldAt] = value >> 8;
  bytes[fieldAt + 1] = value & 0xff;
}

/** Writes the right IPv4 header checksum. */
export function fillHeaderChecksum(bytes: Uint8Array, l3At: number): void {
  bytes[l3At + 10] = 0;
  bytes[l3At + 11] = 0;
  let sum = 0;
  for (let i = l3At; i < l3At + (bytes[l3At] & 15) * 4; i += 2)
    sum += (bytes[i] << 8) | bytes[i + 1];
  const value = ~fold(sum) & 0xffff;
  bytes[l3At + 10] = value >> 8;
  bytes[l3At + 11] = value & 0xff;
}

function checksumAt(shape: FrameShape): number {
  if (shape.l4At === 0) return -1;
  if (shape.l4proto === 6) return shape.l4At + 16;
  return shape.l4proto === 17 ? shape.l4At + 6 : -1;
}

function pseudoSum(bytes: Uint8Array, shape: FrameShape, lenBytes: number): number {
  let sum = shape.l4proto + lenBytes;
  const end = shape.srcAt + 2 * shape.addressBytes;
  for (let i = shape.srcAt; i < end; i += 2) sum += (bytes[i] << 8) | bytes[i + 1];
  return sum;
}

function fold(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded & 0xffff) + Math.floor(folded / 65536);
  return folded;
}
