// The five-tuple of an Ethernet frame, as words for FiveTupleClassifier: what `flowtwin lookup` asks for the packets of a
// capture. VLAN tags are passed over. Ports are those of TCP, UDP, SCTP and DCCP; 0 where there are none: other protocols,
// fragments but the first, ports that the capture cut off. Not IPv4, or its header incomplete: no key.

import {
  ETH_HEADER_BYTES,
  ETH_TYPE_AT,
  ETHERTYPE_IPV4,
  ETHERTYPE_QINQ,
  ETHERTYPE_VLAN,
  IPV4_DST_AT,
  IPV4_FRAGMENT_AT,
  IPV4_HEADER_BYTES,
  IPV4_PROTO_AT,
  IPV4_SRC_AT,
  PROTO_TCP,
  PROTO_UDP,
  VLAN_TAG_BYTES,
} from '../../hw/wire/headers.ts';

const PROTO_DCCP = 33;
const PROTO_SCTP = 132;
/** Bytes of the two ports. */
const PORTS_BYTES = 4;

/** Writes source, destination, ports and protocol to `key` from `keyAt`; false when the frame is no IPv4. */
export function keyOfFrame(
  bytes: Uint8Array,
  at: number,
  lenBytes: number,
  key: Int32Array,
  keyAt: number,
): boolean {
  const end = at + lenBytes;
  let typeAt = at + ETH_TYPE_AT;
  let ip = at + ETH_HEADER_BYTES;
  while (ip <= end && isTag(read16(bytes, typeAt))) {
    typeAt += VLAN_TAG_BYTES;
    ip += VLAN_TAG_BYTES;
  }
  if (ip + IPV4_HEADER_BYTES > end || read16(bytes, typeAt) !== ETHERTYPE_IPV4) return false;
  const headerBytes = (bytes[ip] & 0xf) * 4;
  if (bytes[ip] >>> 4 !== 4 || headerBytes < IPV4_HEADER_BYTES) return false;
  const protocol = bytes[ip + IPV4_PROTO_AT];
  const isLaterFragment = (read16(bytes, ip + IPV4_FRAGMENT_AT) & 0x1fff) !== 0;
  const l4 = ip + headerBytes;
  const hasPorts = !isLaterFragment && l4 + PORTS_BYTES <= end && isPortProtocol(protocol);
  key[keyAt] = read32(bytes, ip + IPV4_SRC_AT);
  key[keyAt + 1] = read32(bytes, ip + IPV4_DST_AT);
  key[keyAt + 2] = hasPorts ? read32(bytes, l4) : 0;
  key[keyAt + 3] = protocol;
  return true;
}

function isTag(etherType: number): boolean {
  return etherType === ETHERTYPE_VLAN || etherType === ETHERTYPE_QINQ;
}

function isPortProtocol(protocol: number): boolean {
  return (
    protocol === PROTO_TCP ||
    protocol === PROTO_UDP ||
    protocol === PROTO_SCTP ||
    protocol === PROTO_DCCP
  );
}

function read16(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1];
}

function read32(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
}
