// What a socket-filter program sees of a packet: struct __sk_buff by offsets, and the packet's bytes through LD_ABS and LD_IND.
//
// A program of type SOCKET_FILTER may read the fields below and write `cb` only; data pointers, sockets and tunnel fields are refused at load
// (sk_filter_is_valid_access). Fields that the model has no source for (tc_index, napi_id, gso_*) read 0.

import type { SkBuff } from '../../../../driver/skb.ts';

const OFF_LEN = 0;
const OFF_PKT_TYPE = 4;
const OFF_MARK = 8;
const OFF_QUEUE_MAPPING = 12;
const OFF_PROTOCOL = 16;
const OFF_VLAN_PRESENT = 20;
const OFF_VLAN_TCI = 24;
const OFF_VLAN_PROTO = 28;
const OFF_PRIORITY = 32;
const OFF_INGRESS_IFINDEX = 36;
const OFF_IFINDEX = 40;
const OFF_TC_INDEX = 44;
const OFF_CB = 48;
const CB_BYTES = 20;
const OFF_HASH = 68;
const OFF_NAPI_ID = 84;
const OFF_GSO_SEGS = 164;
const OFF_GSO_SIZE = 176;

/** Fields of 4 bytes that may be read. */
const READABLE = new Set([
  OFF_LEN,
  OFF_PKT_TYPE,
  OFF_MARK,
  OFF_QUEUE_MAPPING,
  OFF_PROTOCOL,
  OFF_VLAN_PRESENT,
  OFF_VLAN_TCI,
  OFF_VLAN_PROTO,
  OFF_PRIORITY,
  OFF_INGRESS_IFINDEX,
  OFF_IFINDEX,
  OFF_TC_INDEX,
  OFF_HASH,
  OFF_NAPI_ID,
  OFF_GSO_SEGS,
  OFF_GSO_SIZE,
]);

/** Loads relative to the network header, and to the link-layer header, start at these offsets. */
const SKF_NET_OFF = -0x100000;
const SKF_LL_OFF = -0x200000;

/** Whether a program may read (or write) `sizeBytes` at `offset` of the context. */
export function mayAccess(offset: number, sizeBytes: number, isWrite: boolean): boolean {
  if (offset < 0 || offset % sizeBytes !== 0) return false;
  if (offset >= OFF_CB && offset + sizeBytes <= OFF_CB + CB_BYTES) return true;
  if (isWrite || sizeBytes > 4) return false;
  return READABLE.has(offset & ~3);
}

/** The packet and machine that a program runs on. One object, filled before each run. */
export class BpfContext {
  bytes: Uint8Array = new Uint8Array(0);
  /** First byte and end of the packet. */
  at = 0;
  end = 0;
  /** Offsets of the network and link-layer headers in `bytes`. */
  networkAt = 0;
  macAt = 0;
  /** Processor that runs the program, and the time, ns. */
  cpu = 0;
  nowNs = 0;
  /** State of bpf_get_prandom_u32: a seed, never 0. */
  random = 1;

  private skb: SkBuff | null = null;
  private readonly cb = new Uint8Array(CB_BYTES);

  /** Takes a packet whose skb.at is where the device sees it begin; `cb` is cleared. */
  load(skb: SkBuff): void {
    this.skb = skb;
    this.bytes = skb.bytes;
    this.at = skb.at;
    this.end = skb.at + skb.lenBytes;
    this.networkAt = skb.networkAt;
    this.macAt = skb.macAt < 0 ? skb.at : skb.macAt;
    this.cb.fill(0);
  }

  /** `sizeBytes` (1, 2, 4) of a field, little-endian; for cb also the low half of 8. */
  read(offset: number, sizeBytes: number): number {
    if (offset >= OFF_CB && offset < OFF_CB + CB_BYTES) {
      let value = 0;
      const count = Math.min(sizeBytes, 4);
      for (let i = count - 1; i >= 0; i--) value = (value << 8) | this.cb[offset - OFF_CB + i];
      return value >>> 0;
    }
    const shifted = this.field(offset & ~3) >>> (8 * (offset & 3));
    if (sizeBytes === 1) return shifted & 0xff;
    return sizeBytes === 2 ? shifted & 0xffff : shifted;
  }

  /** Writes to cb. */
  write(offset: number, sizeBytes: number, low: number, high: number): void {
    for (let i = 0; i < sizeBytes; i++)
      this.cb[offset - OFF_CB + i] = (i < 4 ? low >>> (8 * i) : high >>> (8 * (i - 4))) & 0xff;
  }

  /** Offset in `bytes` for a packet load of `sizeBytes` at `offset` (signed), −1 outside of the packet. */
  packetAt(offset: number, sizeBytes: number): number {
    let place = this.at + offset;
    if (offset < 0) {
      if (offset >= SKF_NET_OFF) place = this.networkAt + (offset - SKF_NET_OFF);
      else if (offset >= SKF_LL_OFF) place = this.macAt + (offset - SKF_LL_OFF);
      else return -1;
    }
    const start = offset < 0 ? this.macAt : this.at;
    return place < start || place + sizeBytes > this.end ? -1 : place;
  }

  private field(offset: number): number {
    const { skb } = this;
    if (skb === null) return 0;
    switch (offset) {
      case OFF_LEN:
        return skb.lenBytes;
      case OFF_PKT_TYPE:
        return skb.pktType;
      case OFF_MARK:
        return skb.mark >>> 0;
      case OFF_QUEUE_MAPPING:
        return skb.queueMapping;
      case OFF_PROTOCOL:
        return swap16(skb.protocol);
      case OFF_VLAN_PRESENT:
        return skb.vlanTci >= 0 ? 1 : 0;
      case OFF_VLAN_TCI:
        return skb.vlanTci >= 0 ? skb.vlanTci : 0;
      case OFF_VLAN_PROTO:
        return skb.vlanTci >= 0 ? swap16(0x8100) : 0;
      case OFF_PRIORITY:
        return skb.priority >>> 0;
      case OFF_INGRESS_IFINDEX:
        return skb.iif;
      case OFF_IFINDEX:
        return skb.dev?.ifindex ?? 0;
      case OFF_HASH:
        return skb.hash >>> 0;
      default:
        return 0;
    }
  }
}

/** A 16-bit field in network order as a little-endian machine reads it. */
function swap16(value: number): number {
  return ((value & 0xff) << 8) | ((value >> 8) & 0xff);
}
