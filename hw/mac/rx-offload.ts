// What the receive descriptor says about a frame for the host: packet type, RSS type and hash (or a rule's mark),
// checksum verdicts, the tag that a queue may strip. 82599 7.1.6.2 and 7.1.11.
//
// Transport checksums are verified for whole TCP and UDP packets; a UDP checksum of 0 is not verified (L4CS stays
// clear). A mark takes the place of the hash, with RSS type 0 and the flow-match bit (FLM) set.

import * as D from '../dma/descriptor.ts';
import type { RxMeta } from './waiting-frames.ts';
import * as K from '../parse/key-layout.ts';
import type { Pipeline } from '../pipeline/pipeline.ts';
import type { Rss } from '../table/rss.ts';
import { fold, sumBytes } from '../wire/checksum.ts';
import {
  ETHERTYPE_VLAN,
  PROTO_SCTP,
  PROTO_TCP,
  PROTO_UDP,
  UDP_CHECKSUM_AT,
} from '../wire/headers.ts';

/** Fills `meta` from the parsed frame at `frameAt` of packet memory. */
export function classifyForHost(
  meta: RxMeta,
  pipeline: Pipeline,
  rss: Rss,
  view: DataView,
  frameAt: number,
  verifiesTransport: boolean,
): void {
  const key = pipeline.key;
  const flags = key[K.K_FLAGS];
  meta.hash = rss.hash;
  meta.packetInfo = packetType(key, flags) | rss.type;
  meta.status = 0;
  if (pipeline.hasMark) {
    meta.hash = pipeline.mark | 0;
    meta.packetInfo = packetType(key, flags);
    meta.status = D.RXD_STAT_FLM;
  }
  const outerType = view.getUint16(frameAt + 12);
  const isTagged = key[K.K_VLAN_COUNT] > 0 && outerType === ETHERTYPE_VLAN;
  meta.vlanTci = isTagged ? key[K.K_VLAN_OUTER] : -1;
  if ((flags & K.PARSE_MALFORMED) !== 0) return;
  if (key[K.K_FAMILY] === 4) {
    meta.status |= D.RXD_STAT_IPCS;
    if ((flags & K.PARSE_IP_CHECKSUM_BAD) !== 0) meta.status |= D.RXD_ERR_IPE;
  }
  if (verifiesTransport) meta.status |= transportStatus(key, flags, view, frameAt);
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
  if (!isWhole || (proto !== PROTO_TCP && proto !== PROTO_UDP)) return 0;
  const l4At = key[K.K_L4_AT];
  const at = frameAt + l4At;
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
