// RSS as a steering policy, after the proposal of 2024/25 (TUNSETVNETHASH, spec A.6.1): Toeplitz hash with a 40-byte key
// over the fields that the enabled hash types name, then an indirection table.
//
// The hash itself is the NIC's (hw/table/rss.ts); the dissection is tun's own. A packet whose kind is not enabled goes to the
// unclassified queue. Layout of the request: struct tun_vnet_hash {u16 flags, u8 pad[2], u32 types}, then with RSS {u16 table
// mask, u16 unclassified queue}, u16 table[mask + 1], u8 key[40]; little-endian.

import { MRQC_RSSEN, MRQC_RSS_FIELD_IPV4, MRQC_RSS_FIELD_IPV4_TCP } from '../../../hw/regs.ts';
import { MRQC_RSS_FIELD_IPV4_UDP, MRQC_RSS_FIELD_IPV6 } from '../../../hw/regs.ts';
import { MRQC_RSS_FIELD_IPV6_TCP, MRQC_RSS_FIELD_IPV6_UDP } from '../../../hw/regs.ts';
import {
  K_DPORT,
  K_DST,
  K_FAMILY,
  K_FLAGS,
  K_PROTO,
  K_SPORT,
  K_SRC,
  KEY_WORDS,
  PARSE_FRAGMENT,
  PARSE_PORTS,
} from '../../../hw/parse/key-layout.ts';
import { Rss } from '../../../hw/table/rss.ts';
import type { SkBuff } from '../../../driver/skb.ts';
import { DISSECT_PS, INDIRECTION_PS, TOEPLITZ_PS } from './costs.ts';
import { FlowKeys } from './dissect.ts';
import type { SteeringDevice, TunSteeringOps } from './steering.ts';
import * as U from './uapi.ts';

const ETH_HEADER_BYTES = 14;
const PROTO_TCP = 6;
const PROTO_UDP = 17;

/** virtio_net's VIRTIO_NET_HASH_REPORT_*: by hash type bit. */
const REPORTS: readonly (readonly [type: number, report: number])[] = [
  [U.HASH_TYPE_IPV4, 1],
  [U.HASH_TYPE_TCPV4, 2],
  [U.HASH_TYPE_UDPV4, 3],
  [U.HASH_TYPE_IPV6, 4],
  [U.HASH_TYPE_TCPV6, 5],
  [U.HASH_TYPE_UDPV6, 6],
];

/** MRQC bits that make the NIC's hash look at the same fields. */
const FIELDS: readonly (readonly [type: number, mrqc: number])[] = [
  [U.HASH_TYPE_IPV4, MRQC_RSS_FIELD_IPV4],
  [U.HASH_TYPE_TCPV4, MRQC_RSS_FIELD_IPV4_TCP],
  [U.HASH_TYPE_UDPV4, MRQC_RSS_FIELD_IPV4_UDP],
  [U.HASH_TYPE_IPV6, MRQC_RSS_FIELD_IPV6],
  [U.HASH_TYPE_TCPV6, MRQC_RSS_FIELD_IPV6_TCP],
  [U.HASH_TYPE_UDPV6, MRQC_RSS_FIELD_IPV6_UDP],
];

/** What TUNSETVNETHASH asked for. */
export interface VnetHashRequest {
  flags: number;
  types: number;
  unclassifiedQueue: number;
  table: number[];
  key: Uint8Array;
}

/** Reads the request from memory: null when it is cut off, 'invalid' when it makes no sense. */
export function readVnetHash(bytes: Uint8Array): VnetHashRequest | 'invalid' | null {
  if (bytes.length < 8) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const flags = view.getUint16(0, true);
  const types = view.getUint32(4, true);
  const known = U.TUN_VNET_HASH_REPORT | U.TUN_VNET_HASH_RSS;
  if ((flags & ~known) !== 0 || (types & ~U.HASH_TYPES_ALL) !== 0) return 'invalid';
  const plain = { flags, types, unclassifiedQueue: 0, table: [], key: new Uint8Array(40) };
  if ((flags & U.TUN_VNET_HASH_RSS) === 0) return plain;
  if (bytes.length < 12) return null;
  const mask = view.getUint16(8, true);
  if (mask >= U.RSS_TABLE_MAX || (mask & (mask + 1)) !== 0) return 'invalid';
  const keyAt = 12 + 2 * (mask + 1);
  if (bytes.length < keyAt + U.RSS_KEY_BYTES) return null;
  const table = Array.from({ length: mask + 1 }, (_v, i) => view.getUint16(12 + 2 * i, true));
  const key = bytes.slice(keyAt, keyAt + U.RSS_KEY_BYTES);
  return { flags, types, unclassifiedQueue: view.getUint16(10, true), table, key };
}

/** The request as bytes, for callers that have it as values. */
export function writeVnetHash(request: VnetHashRequest): Uint8Array {
  const { table, key } = request;
  const bytes = new Uint8Array(12 + 2 * table.length + key.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, request.flags, true);
  view.setUint32(4, request.types, true);
  view.setUint16(8, table.length - 1, true);
  view.setUint16(10, request.unclassifiedQueue, true);
  table.forEach((queue, i) => view.setUint16(12 + 2 * i, queue, true));
  bytes.set(key, 12 + 2 * table.length);
  return bytes;
}

/** The policy with its settings. */
export class RssSteering implements TunSteeringOps {
  readonly name = 'rss';
  readonly request: VnetHashRequest;
  /** Out-parameters of `classify`: hash, and which kind was hashed (HASH_TYPE_*, 0 for none). */
  hash = 0;
  hashType = 0;

  private readonly rss = new Rss();
  private readonly keys = new FlowKeys();
  private readonly words = new Uint32Array(KEY_WORDS);

  constructor(request: VnetHashRequest) {
    this.request = request;
    this.rss.key.set(request.key);
    this.rss.keyChanged();
    let mrqc = MRQC_RSSEN;
    for (const [type, bits] of FIELDS) if ((request.types & type) !== 0) mrqc |= bits;
    this.rss.mrqc = mrqc;
  }

  select_queue(tun: SteeringDevice, skb: SkBuff): number {
    if (tun.numqueues === 0) return 0;
    tun.kernel.charge(DISSECT_PS);
    this.classify(skb);
    const { table, unclassifiedQueue } = this.request;
    if (this.hashType === 0) return unclassifiedQueue % tun.numqueues;
    tun.kernel.charge(TOEPLITZ_PS + INDIRECTION_PS);
    return table[this.hash & (table.length - 1)] % tun.numqueues;
  }

  /** Sets `hash` and `hashType` for a packet whose Ethernet header is at skb.at. */
  classify(skb: SkBuff): void {
    const { keys, words, rss } = this;
    const { bytes, at } = skb;
    const protocol = (bytes[at + 12] << 8) | bytes[at + 13];
    keys.dissect(bytes, at + ETH_HEADER_BYTES, at + skb.lenBytes, protocol);
    words[K_FAMILY] = keys.family;
    words[K_PROTO] = keys.ipProtocol;
    words[K_FLAGS] = keys.isFragment ? PARSE_FRAGMENT : PARSE_PORTS;
    words.set(keys.src, K_SRC);
    words.set(keys.dst, K_DST);
    words[K_SPORT] = keys.srcPort;
    words[K_DPORT] = keys.dstPort;
    rss.classify(words);
    this.hash = rss.hash >>> 0;
    this.hashType = rss.type === 0 ? 0 : this.kindOf(keys);
  }

  /** The hash type of the last packet as virtio reports it. */
  get report(): number {
    return REPORTS.find(([type]) => type === this.hashType)?.[1] ?? 0;
  }

  xmit(): void {}

  pre_rx(): number {
    return 0;
  }

  post_rx(): void {}

  private kindOf(keys: FlowKeys): number {
    const { types } = this.request;
    const four = keys.family === 4;
    const withPorts = keys.isFragment
      ? 0
      : keys.ipProtocol === PROTO_TCP
        ? four
          ? U.HASH_TYPE_TCPV4
          : U.HASH_TYPE_TCPV6
        : keys.ipProtocol === PROTO_UDP
          ? four
            ? U.HASH_TYPE_UDPV4
            : U.HASH_TYPE_UDPV6
          : 0;
    if ((types & withPorts) !== 0) return withPorts;
    return four ? U.HASH_TYPE_IPV4 : U.HASH_TYPE_IPV6;
  }
}
