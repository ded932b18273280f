// Tuples as words: the key of a connection in one direction (spec C.1), in the layout of the table's columns.
//
//   word 0..3  source address (IPv4 in word 0, the rest 0)
//   word 4..7  destination address
//   word 8     layer-4 part: source port << 16 | destination port; ICMP: id << 16 | type << 8 | code; GRE of version 1:
//              source key << 16 | destination key; else 0
//   word 9     zone << 16 | protocol << 8 | family (2 or 10)

import { loadInt32 } from '../../ip/address.ts';

export const IPPROTO_ICMP = 1;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_DCCP = 33;
export const IPPROTO_GRE = 47;
export const IPPROTO_ICMPV6 = 58;
export const IPPROTO_SCTP = 132;
export const IPPROTO_UDPLITE = 136;

/** Whether the protocol's header begins with source and destination port. */
export function hasPorts(protocol: number): boolean {
  return (
    protocol === IPPROTO_TCP ||
    protocol === IPPROTO_UDP ||
    protocol === IPPROTO_SCTP ||
    protocol === IPPROTO_DCCP ||
    protocol === IPPROTO_UDPLITE
  );
}

/** Words of a key. */
export const TUPLE_WORDS = 10;
export const T_DST = 4;
export const T_L4 = 8;
export const T_META = 9;

/** A key under construction: plain numbers, one reused object per user. */
export class Tuple {
  s0 = 0;
  s1 = 0;
  s2 = 0;
  s3 = 0;
  d0 = 0;
  d1 = 0;
  d2 = 0;
  d3 = 0;
  l4 = 0;
  meta = 0;

  get family(): number {
    return this.meta & 0xff;
  }

  get protocol(): number {
    return (this.meta >> 8) & 0xff;
  }

  get zone(): number {
    return this.meta >>> 16;
  }

  /** Addresses of the packet whose network header is at `at`. */
  setAddresses(bytes: Uint8Array, at: number, family: number): void {
    if (family === 2) {
      this.s0 = loadInt32(bytes, at + 12);
      this.d0 = loadInt32(bytes, at + 16);
      this.s1 = this.s2 = this.s3 = this.d1 = this.d2 = this.d3 = 0;
      return;
    }
    this.s0 = loadInt32(bytes, at + 8);
    this.s1 = loadInt32(bytes, at + 12);
    this.s2 = loadInt32(bytes, at + 16);
    this.s3 = loadInt32(bytes, at + 20);
    this.d0 = loadInt32(bytes, at + 24);
    this.d1 = loadInt32(bytes, at + 28);
    this.d2 = loadInt32(bytes, at + 32);
    this.d3 = loadInt32(bytes, at + 36);
  }

  /** Protocol, zone and the layer-4 word. */
  setL4(family: number, protocol: number, zone: number, l4: number): void {
    this.meta = (zone << 16) | (protocol << 8) | family;
    this.l4 = l4;
  }

  /** Copies a key out of columns. */
  load(words: Int32Array, at: number): void {
    this.s0 = words[at];
    this.s1 = words[at + 1];
    this.s2 = words[at + 2];
    this.s3 = words[at + 3];
    this.d0 = words[at + 4];
    this.d1 = words[at + 5];
    this.d2 = words[at + 6];
    this.d3 = words[at + 7];
    this.l4 = words[at + 8];
    this.meta = words[at + 9];
  }

  /** Copies the key into columns. */
  store(words: Int32Array, at: number): void {
    words[at] = this.s0;
    words[at + 1] = this.s1;
    words[at + 2] = this.s2;
    words[at + 3] = this.s3;
    words[at + 4] = this.d0;
    words[at + 5] = this.d1;
    words[at + 6] = this.d2;
    words[at + 7] = this.d3;
    words[at + 8] = this.l4;
    words[at + 9] = this.meta;
  }

  copy(from: Tuple): void {
    this.s0 = from.s0;
    this.s1 = from.s1;
    this.s2 = from.s2;
    this.s3 = from.s3;
    this.d0 = from.d0;
    this.d1 = from.d1;
    this.d2 = from.d2;
    this.d3 = from.d3;
    this.l4 = from.l4;
    this.meta = from.meta;
  }

  /** Turns the key round into `into`; false when this ICMP type has no counterpart. */
  invert(into: Tuple): boolean {
    const l4 = invertL4(this.protocol, this.l4);
    if (l4 === NOT_INVERTIBLE) return false;
    into.s0 = this.d0;
    into.s1 = this.d1;
    into.s2 = this.d2;
    into.s3 = this.d3;
    into.d0 = this.s0;
    into.d1 = this.s1;
    into.d2 = this.s2;
    into.d3 = this.s3;
    into.l4 = l4;
    into.meta = this.meta;
    return true;
  }

  /** Signed 32-bit hash of all words. */
  hash(): number {
    let h = Math.imul(this.s0, 0x9e3779b1) ^ Math.imul(this.d0, 0x85ebca6b);
    h ^= Math.imul(this.l4, 0xc2b2ae35) ^ Math.imul(this.meta, 0x27d4eb2f);
    if ((this.meta & 0xff) !== 2) {
      h ^= Math.imul(this.s1 ^ Math.imul(this.s2, 0x165667b1) ^ (this.s3 << 7), 0x2545f491);
      h ^= Math.imul(this.s3 ^ Math.imul(this.d3, 0x9e3779b1), 0x7feb352d);
      h ^= Math.imul(this.d1 ^ Math.imul(this.d2, 0x846ca68b) ^ (this.d3 << 5), 0x5bd1e995);
    }
    h ^= h >>> 15;
    h = Math.imul(h, 0x2c1b3c6d);
    h ^= h >>> 13;
    return h | 0;
  }

  /** Whether the words at `at` are this key. */
  equals(words: Int32Array, at: number): boolean {
    return words[at + 9] === this.meta && this.equalsBesideZone(words, at);
  }

  /** Whether the words at `at` are this key in another zone or the same. */
  equalsBesideZone(words: Int32Array, at: number): boolean {
    if (words[at] !== this.s0 || words[at + 4] !== this.d0) return false;
    if (words[at + 8] !== this.l4 || ((words[at + 9] ^ this.meta) & 0xffff) !== 0) return false;
    if ((this.meta & 0xff) === 2) return true;
    return (
      words[at + 1] === this.s1 &&
      words[at + 2] === this.s2 &&
      words[at + 3] === this.s3 &&
      words[at + 5] === this.d1 &&
      words[at + 6] === this.d2 &&
      words[at + 7] === this.d3
    );
  }
}

/** What `invertL4` answers for an ICMP type without a counterpart (no layer-4 word has this value: type 255). */
export const NOT_INVERTIBLE = 0x0000_ffff;

/** The layer-4 word of the opposite direction. */
export function invertL4(protocol: number, l4: number): number {
  if (protocol === IPPROTO_ICMP) return invertType(l4, ICMP_PAIRS);
  if (protocol === IPPROTO_ICMPV6) return invertType(l4, ICMPV6_PAIRS);
  return (l4 << 16) | (l4 >>> 16);
}

const ICMP_PAIRS = pairs([8, 0], [13, 14], [15, 16], [17, 18]);
const ICMPV6_PAIRS = pairs([128, 129], [139, 140]);

/** Request and reply types mapped to each other; −1 elsewhere. */
function pairs(...list: [number, number][]): Int16Array {
  const map = new Int16Array(256).fill(-1);
  for (const [a, b] of list) {
    map[a] = b;
    map[b] = a;
  }
  return map;
}

function invertType(l4: number, map: Int16Array): number {
  const type = map[(l4 >> 8) & 0xff];
  return type < 0 ? NOT_INVERTIBLE : (l4 & ~0xff00) | (type << 8);
}

/** Bytes of the source (`offset` 0) or destination (`offset` T_DST) address of a key in columns. */
export function tupleAddress(words: Int32Array, at: number, offset: number): Uint8Array {
  const six = (words[at + T_META] & 0xff) !== 2;
  const out = new Uint8Array(six ? 16 : 4);
  for (let i = 0; i < out.length; i++)
    out[i] = words[at + offset + (i >> 2)] >>> (24 - 8 * (i & 3));
  return out;
}
