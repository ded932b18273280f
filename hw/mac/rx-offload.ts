// What the receive descriptor says about a frame for the host: packet type, RSS type and hash (or a rule's mark),
// checksum verdicts, the tag that a queue may strip. 82599 7.1.6.2 and 7.1.11.
//
// Transport checksums are verified for whole TCP, UDP and SCTP packets; a UDP checksum of 0 is not verified (L4CS stays
// clear). A mark takes the place of the hash, with RSS type 0 and the flow-match bit (FLM) set.
// With two tags per frame (CTRL_EXT.EXTENDED_VLAN) the tag that may be stripped is the inner one.

import * as D from '../dma/descriptor.ts';
import type { RxMeta } from './waiting-frames.ts';
import * as K from '../parse/key-layout.ts';
import type { Pipeline } from '../pipeline/pipeline.ts';
import type { RxSteering } from '../steering/rx-steering.ts';
import type { Rss } from '../table/rss.ts';
import * as R from '../regs.ts';
import { fold, sumBytes } from '../wire/checksum.ts';
import { sctpChecksum } from '../wire/crc32c.ts';
import {
  ETH_HEADER_BYTES,
  ETH_TYPE_AT,
  IPV6_HEADER_BYTES,
  PROTO_SCTP,
  PROTO_TCP,
  PROTO_UDP,
  TCP_FLAGS_AT,
  UDP_CHECKSUM_AT,
  UDP_HEADER_BYTES,
  VLAN_TAG_BYTES,
} from '../wire/headers.ts';

const SCTP_HEADER_BYTES = 12;
const SCTP_CHECKSUM_AT = 8;

/** Fills `meta` from the parsed frame at `frameAt` of packet memory. */
export function classifyForHost(
  meta: RxMeta,
  pipeline: Pipeline,
  rss: Rss,
  view: DataView,
  frameAt: number,
  verifiesTransport: boolean,
  tagType: number,
  isDoubleVlan: boolean,
): void {
  const key = pipeline.key;
  const flags = key[K.K_FLAGS];
  meta.hash = rss.hash;
  meta.packetInfo = packetType(key, flags) | rss.type;
  meta.status = 0;
  meta.isLowLatency = false;
  if (pipeline.hasMark) {
    meta.hash = pipeline.mark | 0;
    meta.packetInfo = packetType(key, flags);
    meta.status = D.RXD_STAT_FLM;
  }
  meta.vlanTci = -1;
  if (key[K.K_VLAN_COUNT] > 0) classifyTag(meta, key, view, frameAt, tagType, isDoubleVlan);
  if ((flags & K.PARSE_MALFORMED) !== 0) return;
  if (key[K.K_FAMILY] === 4) {
    meta.status |= D.RXD_STAT_IPCS;
    if ((flags & K.PARSE_IP_CHECKSUM_BAD) !== 0) meta.status |= D.RXD_ERR_IPE;
  }
  if (verifiesTransport) meta.status |= transportStatus(key, flags, view, frameAt);
}

function classifyTag(
  meta: RxMeta,
  key: Uint32Array,
  view: DataView,
  frameAt: number,
  tagType: number,
  isDoubleVlan: boolean,
): void {
  meta.tagAt = ETH_TYPE_AT;
  if (!isDoubleVlan) {
    if (view.getUint16(frameAt + ETH_TYPE_AT) === tagType) meta.vlanTci = key[K.K_VLAN_OUTER];
    return;
  }
  meta.status |= D.RXD_STAT_VEXT;
  meta.tagAt = ETH_TYPE_AT + VLAN_TAG_BYTES;
  if (key[K.K_VLAN_COUNT] > 1 && view.getUint16(frameAt + meta.tagAt) === tagType)
    meta.vlanTci = key[K.K_VLAN_INNER];
}

/** Where header split cuts a frame: behind the deepest header that PSRTYPE names, 0 when it has none of them. */
export function headerLengthOf(
  psrtype: number,
  key: Uint32Array,
  view: DataView,
  frameAt: number,
): number {
  const flags = key[K.K_FLAGS];
  const l3At = key[K.K_L3_AT];
  const l4At = key[K.K_L4_AT];
  if ((flags & K.PARSE_MALFORMED) !== 0) return 0;
  if ((flags & K.PARSE_PORTS) !== 0 && (flags & K.PARSE_FRAGMENT) === 0) {
    const proto = key[K.K_PROTO];
    if (proto === PROTO_TCP && (psrtype & R.PSRTYPE_TCPHDR) !== 0)
      return l4At + 4 * (view.getUint8(frameAt + l4At + TCP_FLAGS_AT) >>> 4);
    if (proto === PROTO_UDP && (psrtype & R.PSRTYPE_UDPHDR) !== 0) return l4At + UDP_HEADER_BYTES;
  }
  const family = key[K.K_FAMILY];
  if (family === 4 && (psrtype & R.PSRTYPE_IPV4HDR) !== 0)
    return l3At + 4 * (view.getUint8(frameAt + l3At) & 15);
  if (family === 6 && (psrtype & R.PSRTYPE_IPV6HDR) !== 0)
    return l4At > 0 ? l4At : l3At + IPV6_HEADER_BYTES;
  if ((psrtype & R.PSRTYPE_L2HDR) === 0) return 0;
  return l3At > 0 ? l3At : ETH_HEADER_BYTES + VLAN_TAG_BYTES * key[K.K_VLAN_COUNT];
}

/** FDIRCTRL.REPORT_STATUS: the hash word names the filter (hash 31:16, software index or signature 15:0). */
export function reportFilter(meta: RxMeta, steering: RxSteering): void {
  const fdir = steering.flowDirector;
  meta.hash = (fdir.hash << 16) | (fdir.id & 0xffff);
  meta.packetInfo &= ~D.RSS_TYPE_MASK;
  meta.status |= D.RXD_STAT_FLM | (fdir.isTooLong ? D.RXD_ERR_FDIR_LEN : 0);
}

function packetType(key: Uint32Array, flags: number): number {
  const family = key[K.K_FAMILY];
  if (family === 0) return 0;
  let type = family === 4 ? D.PKT_TYPE_IPV4 : D.PKT_TYPE_IPV6;
  if (family === 4 && (flags & K.PARSE_IP_OPTIONS) !== 0) type |= D.PKT_TYPE_IPV4_EX;
  if (family === 6 && (flags & K.PARSE_EXTENSION) !== 0) type |= D.PKT_TYPE_IPV6_EX;
  if ((flags & K.PARSE_PORTS) === 0 || (flags & K.PARSE_FRAGMENT) !== 0) return type;
  const proto = key[K.K_PROTO];
  if (proto === PROTO_TCP) return type | D.PKT_TYPE_TCP;
  if (proto === PROTO_UDP) return type | D.PKT_TYPE_UDP;
  return proto === PROTO_SCTP ? type | D.PKT_TYPE_SCTP : type;
}

function transportStatus(key: Uint32Array, flags: number, view: DataView, frameAt: number): number {
  const proto = key[K.K_PROTO];
  const isWhole = (flags & K.PARSE_PORTS) !== 0 && (flags & K.PARSE_FRAGMENT) === 0;
  if (!isWhole || (proto !== PROTO_TCP && proto !== PROTO_UDP && proto !== PROTO_SCTP)) return 0;
  const l4At = key[K.K_L4_AT];
  const at = frameAt + l4At;
  if (proto === PROTO_SCTP) {
    const l4Bytes = key[K.K_L3_AT] + key[K.K_L3_LEN] - l4At;
    if (l4Bytes < SCTP_HEADER_BYTES) return 0;
    const isRight = view.getInt32(at + SCTP_CHECKSUM_AT, true) === sctpChecksum(view, at, l4Bytes);
    return D.RXD_STAT_L4CS | (isRight ? 0 : D.RXD_ERR_TCPE);
  }
  if (proto === PROTO_UDP && view.getUint16(at + UDP_CHECKSUM_AT) === 0) return 0;
  const lenBytes = key[K.K_L3_AT] + key[K.K_L3_LEN] - l4At;
  let sum = proto + lenBytes;
  const words = key[K.K_FAMILY] === 6 ? 4 : 1;
  for (let i = 0; i < words; i++) {
    const src = key[K.K_SRC + i];
    const dst = key[K.K_DST + i];
    sum += (src >>> 16) + (src & 0xffff) + (dst >>> 16) + (dst & 0xffff);
  }
  const udp = proto === PROTO_UDP ? D.RXD_STAT_UDPCS : 0;
  const good = fold(sumBytes(view, at, lenBytes, sum)) === 0xffff;
  return D.RXD_STAT_L4CS | udp | (good ? 0 : D.RXD_ERR_TCPE);
}
