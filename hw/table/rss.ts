// Receive-side scaling: Toeplitz hash over addresses and ports, indirection table of 128 entries (82599 7.1.2.8).
//
// The hash of an input is the XOR, over its one bits i, of the 32 key bits from i on. So it is the XOR of one value per
// input byte and position: 36 tables of 256 words, built when the key changes, make an IPv4 4-tuple 12 look-ups.
// Which fields are hashed depends on MRQC: TCP and UDP with ports if their bit is set and the packet is no fragment,
// else the addresses if the IP bit is set, else nothing (hash 0, RSS type 0, queue 0).

import {
  K_DPORT,
  K_DST,
  K_FAMILY,
  K_FLAGS,
  K_PROTO,
  K_SPORT,
  K_SRC,
  PARSE_EXTENSION,
  PARSE_FRAGMENT,
  PARSE_MALFORMED,
  PARSE_PORTS,
} from '../parse/key-layout.ts';
import { PROTO_TCP, PROTO_UDP } from '../wire/headers.ts';
import * as D from '../dma/descriptor.ts';
import * as R from '../regs.ts';

/** Longest input: two IPv6 addresses and two ports. */
const INPUT_BYTES = 36;
export const RSS_KEY_BYTES = 40;
export const RETA_ENTRIES = 128;

export class Rss {
  /** Out-parameter of `classify`: hash, signed 32 bit. */
  hash = 0;
  /** Out-parameter of `classify`: RSS type of the descriptor. */
  type = 0;
  /** MRQC. */
  mrqc = 0;
  readonly key = new Uint8Array(RSS_KEY_BYTES);
  readonly reta = new Uint8Array(RETA_ENTRIES);

  private readonly tables = new Int32Array(INPUT_BYTES * 256);
  private isStale = true;

  /** Tells that `key` changed. */
  keyChanged(): void {
    this.isStale = true;
  }

  /** Sets `hash` and `type` for a parsed frame and returns the queue. */
  classify(key: Uint32Array): number {
    this.hash = 0;
    this.type = D.RSS_TYPE_NONE;
    const family = key[K_FAMILY];
    if ((this.mrqc & R.MRQC_MRQE_MASK) !== R.MRQC_RSSEN || family === 0) return 0;
    const flags = key[K_FLAGS];
    if ((flags & PARSE_MALFORMED) !== 0) return 0;
    if (this.isStale) this.rebuild();
    if (family === 4) this.classify4(key, flags);
    else this.classify6(key, flags);
    if (this.type === D.RSS_TYPE_NONE) return 0;
    return this.reta[this.hash & (RETA_ENTRIES - 1)] & 15;
  }

  private classify4(key: Uint32Array, flags: number): void {
    const proto = portsProto(key, flags);
    const mrqc = this.mrqc;
    const withPorts =
      (proto === PROTO_TCP && (mrqc & R.MRQC_RSS_FIELD_IPV4_TCP) !== 0) ||
      (proto === PROTO_UDP && (mrqc & R.MRQC_RSS_FIELD_IPV4_UDP) !== 0);
    if (!withPorts && (mrqc & R.MRQC_RSS_FIELD_IPV4) === 0) return;
    let h = this.word(0, key[K_SRC]) ^ this.word(4, key[K_DST]);
    this.type = D.RSS_TYPE_IPV4;
    if (withPorts) {
      h ^= this.word(8, (key[K_SPORT] << 16) | key[K_DPORT]);
      this.type = proto === PROTO_TCP ? D.RSS_TYPE_IPV4_TCP : D.RSS_TYPE_IPV4_UDP;
    }
    this.hash = h;
  }

  private classify6(key: Uint32Array, flags: number): void {
    const proto = (flags & PARSE_EXTENSION) !== 0 ? 0 : portsProto(key, flags);
    const mrqc = this.mrqc;
    const withPorts =
      (proto === PROTO_TCP && (mrqc & R.MRQC_RSS_FIELD_IPV6_TCP) !== 0) ||
      (proto === PROTO_UDP && (mrqc & R.MRQC_RSS_FIELD_IPV6_UDP) !== 0);
    if (!withPorts && (mrqc & R.MRQC_RSS_FIELD_IPV6) === 0) return;
    let h = 0;
    for (let i = 0; i < 4; i++) {
      h ^= this.word(4 * i, key[K_SRC + i]);
      h ^= this.word(16 + 4 * i, key[K_DST + i]);
    }
    this.type = D.RSS_TYPE_IPV6;
    if (withPorts) {
      h ^= this.word(32, (key[K_SPORT] << 16) | key[K_DPORT]);
      this.type = proto === PROTO_TCP ? D.RSS_TYPE_IPV6_TCP : D.RSS_TYPE_IPV6_UDP;
    }
    this.hash = h;
  }

  /** Contribution of four input bytes from position `position` on. */
  private word(position: number, value: number): number {
    const t = this.tables;
    const at = position << 8;
    return (
      t[at + (value >>> 24)] ^
      t[at + 256 + ((value >>> 16) & 255)] ^
      t[at + 512 + ((value >>> 8) & 255)] ^
      t[at + 768 + (value & 255)]
    );
  }

  private rebuild(): void {
    this.isStale = false;
    const key = this.key;
    for (let position = 0; position < INPUT_BYTES; position++) {
      // 40 key bits from this byte on: the window of bit b (0 is the most significant) starts b bits in.
      const high =
        (key[position] << 24) |
        (key[position + 1] << 16) |
        (key[position + 2] << 8) |
        key[position + 3];
      const low = key[position + 4];
      const base = position << 8;
      this.tables[base] = 0;
      for (let value = 1; value < 256; value++) {
        const top = 31 - Math.clz32(value);
        const bit = 7 - top;
        const window = bit === 0 ? high : (high << bit) | (low >>> (8 - bit));
        this.tables[base + value] = this.tables[base + (value ^ (1 << top))] ^ window;
      }
    }
  }
}

/** TCP or UDP when the packet has ports and is whole, else 0. */
function portsProto(key: Uint32Array, flags: number): number {
  if ((flags & PARSE_PORTS) === 0 || (flags & PARSE_FRAGMENT) !== 0) return 0;
  return key[K_PROTO];
}
