// set(): fields of a packet overwritten where the mask says so, in the bytes and in the key (net/openvswitch/actions.c,
// execute_masked_set_action). Checksums follow by difference: a wrong one stays as wrong, UDP's 0 stays 0; SCTP's CRC likewise.
//
// A later fragment has no transport header: addresses change there without any checksum but IPv4's own.

import { IPPROTO_ICMPV6, IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP } from './flow-key.ts';
import type { FlowKey } from './flow-key.ts';
import { replace16 } from '../ip/checksum.ts';
import { walkHeaders } from '../ip/ipv6-headers.ts';
import { crc32c } from '../netfilter/nat/crc32c.ts';
import type { SetAction } from './action.ts';
import type { DpPacket } from './dp-packet.ts';
import { ethernetAt, setMpls } from './header-edit.ts';
import { readBe16, readBe32, readU32 } from './nlattr.ts';
import { KEY } from './uapi.ts';

/** Runs a set action. */
export function setField(packet: DpPacket, key: FlowKey, { attr, value, mask }: SetAction): void {
  const { skb } = packet;
  switch (attr) {
    case KEY.PRIORITY:
      skb.priority = merge32(skb.priority, readU32(value), readU32(mask));
      key.priority = skb.priority;
      break;
    case KEY.SKB_MARK:
      skb.mark = merge32(skb.mark, readU32(value), readU32(mask));
      key.skbMark = skb.mark;
      break;
    case KEY.ETHERNET: {
      const { src, dst } = ethernetAt(packet);
      mergeBytes(skb.bytes, src, value, mask, 0, 6);
      mergeBytes(skb.bytes, dst, value, mask, 6, 6);
      key.ethSrc.set(skb.bytes.subarray(src, src + 6));
      key.ethDst.set(skb.bytes.subarray(dst, dst + 6));
      break;
    }
    case KEY.IPV4:
      setIpv4(packet, key, value, mask);
      break;
    case KEY.IPV6:
      setIpv6(packet, key, value, mask);
      break;
    case KEY.TCP:
    case KEY.UDP:
    case KEY.SCTP:
      setPorts(packet, key, value, mask);
      break;
    case KEY.MPLS:
      setMpls(packet, key, readBe32(value), readBe32(mask));
      break;
  }
}

function setIpv4(packet: DpPacket, key: FlowKey, value: Uint8Array, mask: Uint8Array): void {
  const { bytes, at: frameAt, lenBytes } = packet.skb;
  const at = packet.networkAt;
  if (at + 20 > frameAt + lenBytes) return;
  const isLater = (((bytes[at + 6] << 8) | bytes[at + 7]) & 0x1fff) !== 0;
  const l4At = at + (bytes[at] & 15) * 4;
  const checkAt = isLater ? -1 : transportCheckAt(packet, bytes[at + 9], l4At);
  for (const [field, offset] of [
    [12, 0],
    [16, 4],
  ])
    if (setAddress(bytes, at + field, value, mask, offset, 4, at + 10, checkAt)) lostFlow(packet);
  keepUdpChecksum(bytes, bytes[at + 9], checkAt);
  for (const [field, offset] of [
    [1, 9],
    [8, 10],
  ]) {
    // replace16 wants the whole word that a byte is in.
    const wordAt = at + (field & ~1);
    const old = readBe16(bytes, wordAt);
    const shift = (field & 1) === 1 ? 0 : 8;
    const byte = (bytes[at + field] & ~mask[offset]) | (value[offset] & mask[offset]);
    replace16(bytes, wordAt, (old & ~(0xff << shift)) | (byte << shift), at + 10);
  }
  key.ipv4Src.set(bytes.subarray(at + 12, at + 16));
  key.ipv4Dst.set(bytes.subarray(at + 16, at + 20));
  key.ipTos = bytes[at + 1];
  key.ipTtl = bytes[at + 8];
}

function setIpv6(packet: DpPacket, key: FlowKey, value: Uint8Array, mask: Uint8Array): void {
  const { bytes, at: frameAt, lenBytes } = packet.skb;
  const at = packet.networkAt;
  if (at + 40 > frameAt + lenBytes) return;
  const header = walkHeaders(bytes, at, frameAt + lenBytes - at);
  const checkAt =
    header.fragmentOffset > 0 ? -1 : transportCheckAt(packet, header.protocol, header.transportAt);
  if (setAddress(bytes, at + 8, value, mask, 0, 16, -1, checkAt)) lostFlow(packet);
  const dstCheckAt = header.hasRouting ? -1 : checkAt;
  if (setAddress(bytes, at + 24, value, mask, 16, 16, -1, dstCheckAt)) lostFlow(packet);
  keepUdpChecksum(bytes, header.protocol, checkAt);
  const word = readBe32(bytes, at);
  const label = ((word & ~readBe32(mask, 32)) | readBe32(value, 32)) & 0xfffff;
  const tos = (((word >>> 20) & 0xff & ~mask[37]) | (value[37] & mask[37])) & 0xff;
  bytes[at] = 0x60 | (tos >>> 4);
  bytes[at + 1] = ((tos & 15) << 4) | (label >>> 16);
  bytes[at + 2] = label >>> 8;
  bytes[at + 3] = label;
  bytes[at + 7] = (bytes[at + 7] & ~mask[38]) | (value[38] & mask[38]);
  key.ipv6Src.set(bytes.subarray(at + 8, at + 24));
  key.ipv6Dst.set(bytes.subarray(at + 24, at + 40));
  key.ipTos = tos;
  key.ipv6Label = label;
  key.ipTtl = bytes[at + 7];
}

function setPorts(packet: DpPacket, key: FlowKey, value: Uint8Array, mask: Uint8Array): void {
  const { skb } = packet;
  const { bytes } = skb;
  const networkAt = packet.networkAt;
  const end = skb.at + skb.lenBytes;
  const four = bytes[networkAt] >> 4 === 4;
  const protocol = key.ipProto;
  const l4At = four
    ? networkAt + (bytes[networkAt] & 15) * 4
    : walkHeaders(bytes, networkAt, end - networkAt).transportAt;
  if (l4At + 8 > end) return;
  const checkAt = transportCheckAt(packet, protocol, l4At);
  const before =
    protocol === IPPROTO_SCTP ? crc32c(withoutCrc(bytes, l4At, end), 0, end - l4At) : 0;
  for (const offset of [0, 2]) {
    const old = readBe16(bytes, l4At + offset);
    const port = (old & ~readBe16(mask, offset)) | readBe16(value, offset);
    if (port !== old) lostFlow(packet);
    replace16(bytes, l4At + offset, port, checkAt);
  }
  keepUdpChecksum(bytes, protocol, checkAt);
  if (protocol === IPPROTO_SCTP) {
    const after = crc32c(withoutCrc(bytes, l4At, end), 0, end - l4At);
    // The CRC stands little-endian in the header.
    const crc = readU32(bytes, l4At + 8) ^ before ^ after;
    for (let i = 0; i < 4; i++) bytes[l4At + 8 + i] = crc >>> (8 * i);
  }
  key.tpSrc = readBe16(bytes, l4At);
  key.tpDst = readBe16(bytes, l4At + 2);
}

function withoutCrc(bytes: Uint8Array, l4At: number, end: number): Uint8Array {
  const message = bytes.slice(l4At, end);
  message.fill(0, 8, 12);
  return message;
}

/** Where the checksum is that covers the pseudo header; −1 for none, or for UDP's 0. */
function transportCheckAt(packet: DpPacket, protocol: number, l4At: number): number {
  const { bytes, at, lenBytes } = packet.skb;
  const end = at + lenBytes;
  if (protocol === IPPROTO_TCP) return l4At + 20 <= end ? l4At + 16 : -1;
  if (protocol === IPPROTO_UDP)
    return l4At + 8 <= end && readBe16(bytes, l4At + 6) !== 0 ? l4At + 6 : -1;
  if (protocol === IPPROTO_ICMPV6) return l4At + 4 <= end ? l4At + 2 : -1;
  return -1;
}

/** A UDP checksum that comes out as 0 is written as 0xffff. */
function keepUdpChecksum(bytes: Uint8Array, protocol: number, checkAt: number): void {
  if (protocol !== IPPROTO_UDP || checkAt < 0 || readBe16(bytes, checkAt) !== 0) return;
  bytes[checkAt] = 0xff;
  bytes[checkAt + 1] = 0xff;
}

/** Writes an address; true when it changed. */
function setAddress(
  bytes: Uint8Array,
  at: number,
  value: Uint8Array,
  mask: Uint8Array,
  offset: number,
  lenBytes: number,
  checkAt: number,
  otherCheckAt: number,
): boolean {
  let changed = false;
  for (let i = 0; i < lenBytes; i += 2) {
    const old = readBe16(bytes, at + i);
    const word = (old & ~readBe16(mask, offset + i)) | readBe16(value, offset + i);
    if (word !== old) changed = true;
    replace16(bytes, at + i, word, checkAt, otherCheckAt);
  }
  return changed;
}

/** What was known of the packet's flow does not hold any more: its hash and its connection. */
function lostFlow(packet: DpPacket): void {
  packet.skb.hash = 0;
  packet.skb.nfct = null;
  packet.skb.ctinfo = 0;
}

function merge32(old: number, value: number, mask: number): number {
  return ((old & ~mask) | (value & mask)) >>> 0;
}

function mergeBytes(
  bytes: Uint8Array,
  at: number,
  value: Uint8Array,
  mask: Uint8Array,
  offset: number,
  lenBytes: number,
): void {
  for (let i = 0; i < lenBytes; i++)
    bytes[at + i] = (bytes[at + i] & ~mask[offset + i]) | (value[offset + i] & mask[offset + i]);
}
