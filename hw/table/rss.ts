// Receive-side scaling: hash over addresses and ports, indirection table (82599 7.1.2.8), and what the extension block adds:
// larger tables, further contexts, and other hash functions.
//
// The Toeplitz hash of an input is the XOR, over its one bits i, of the 32 key bits from i on. So it is the XOR of one value per
// input byte and position: 36 tables of 256 words, built when the key changes, make an IPv4 4-tuple 12 look-ups.
// Which fields are hashed depends on MRQC: TCP and UDP with ports if their bit is set and the packet is no fragment,
// else the addresses if the IP bit is set, else nothing (hash 0, RSS type 0, queue 0).
//
// Symmetric XOR: source and destination addresses are replaced by their XOR, and so are the ports, before either hash
// function sees them (both copies; as RXH_XFRM_SYM_XOR of Linux): both directions of a flow hash alike. The XOR function
// folds all input words into one. MRQC modes with pools or traffic classes are not modelled: they give queue 0.

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
/** Bytes of a key that the hash can use; a 52-byte key has more than IPv6 4-tuples need. */
export const RSS_KEY_BYTES = 40;
const RSS_KEY_MAX_BYTES = 52;
export const RETA_ENTRIES = 128;

/** What a device's RSS offers. */
export interface RssConfig {
  /** Entries of every indirection table, a power of two from 64 to 2048. */
  tableEntries: number;
  keyBytes: number;
  /** Bits of an entry: 4 reach 16 queues, 6 reach 64. */
  entryBits: number;
  /** Contexts beside the port's own. */
  contexts: number;
}

/** Whether a device has what the 82599 has and nothing more: then there is no extension block. */
export function isPlainRss(config: RssConfig): boolean {
  const { tableEntries, keyBytes, entryBits, contexts } = RSS_82599;
  return (
    config.tableEntries === tableEntries &&
    config.keyBytes === keyBytes &&
    config.entryBits === entryBits &&
    config.contexts === contexts
  );
}

/** The 82599: 128 entries of four bits, 40 bytes of key, no further context. */
export const RSS_82599: RssConfig = {
  tableEntries: RETA_ENTRIES,
  keyBytes: RSS_KEY_BYTES,
  entryBits: 4,
  contexts: 0,
};

export const HashFunction = { TOEPLITZ: 0, XOR: 1 } as const;
export type HashFunction = (typeof HashFunction)[keyof typeof HashFunction];

/** One key, one indirection table, one hash function. */
export class RssContext {
  func: HashFunction = HashFunction.TOEPLITZ;
  isSymmetric = false;
  readonly key = new Uint8Array(RSS_KEY_MAX_BYTES);
  readonly reta: Uint8Array;
  readonly indexMask: number;
  readonly entryMask: number;

  private readonly tables = new Int32Array(INPUT_BYTES * 256);
  private isStale = true;
  // Input words of the packet at hand.
  private readonly words = new Int32Array(INPUT_BYTES / 4);

  constructor(config: RssConfig) {
    this.reta = new Uint8Array(config.tableEntries);
    this.indexMask = config.tableEntries - 1;
    this.entryMask = (1 << config.entryBits) - 1;
  }

  /** Tells that `key` changed. */
  keyChanged(): void {
    this.isStale = true;
  }

  /** As after a reset. */
  clear(): void {
    this.func = HashFunction.TOEPLITZ;
    this.isSymmetric = false;
    this.key.fill(0);
    this.reta.fill(0);
    this.isStale = true;
  }

  /** Queue of a hash. */
  queueOf(hash: number): number {
    return this.reta[hash & this.indexMask] & this.entryMask;
  }

  /** Hash of a parsed IPv4 packet, signed 32 bit. */
  hash4(key: Uint32Array, withPorts: boolean): number {
    if (this.func !== HashFunction.TOEPLITZ || this.isSymmetric)
      return this.other(key, 1, withPorts);
    if (this.isStale) this.rebuild();
    let h = this.word(0, key[K_SRC]) ^ this.word(4, key[K_DST]);
    if (withPorts) h ^= this.word(8, (key[K_SPORT] << 16) | key[K_DPORT]);
    return h;
  }

  /** Hash of a parsed IPv6 packet, signed 32 bit. */
  hash6(key: Uint32Array, withPorts: boolean): number {
    if (this.func !== HashFunction.TOEPLITZ || this.isSymmetric)
      return this.other(key, 4, withPorts);
    if (this.isStale) this.rebuild();
    let h = 0;
    for (let i = 0; i < 4; i++) {
      h ^= this.word(4 * i, key[K_SRC + i]);
      h ^= this.word(16 + 4 * i, key[K_DST + i]);
    }
    if (withPorts) h ^= this.word(32, (key[K_SPORT] << 16) | key[K_DPORT]);
    return h;
  }

  /** The functions other than plain Toeplitz, from the input's words. */
  private other(key: Uint32Array, addressWords: number, withPorts: boolean): number {
    const words = this.words;
    const count = 2 * addressWords + (withPorts ? 1 : 0);
    for (let i = 0; i < addressWords; i++) {
      const both = this.isSymmetric ? key[K_SRC + i] ^ key[K_DST + i] : 0;
      words[i] = this.isSymmetric ? both : key[K_SRC + i];
      words[addressWords + i] = this.isSymmetric ? both : key[K_DST + i];
    }
    if (withPorts) {
      const port = key[K_SPORT] ^ key[K_DPORT];
      const ports = this.isSymmetric ? (port << 16) | port : (key[K_SPORT] << 16) | key[K_DPORT];
      words[2 * addressWords] = ports;
    }
    let h = 0;
    if (this.func === HashFunction.XOR) {
      for (let i = 0; i < count; i++) h ^= words[i];
      return h;
    }
    if (this.isStale) this.rebuild();
    for (let i = 0; i < count; i++) h ^= this.word(4 * i, words[i]);
    return h;
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

export class Rss {
  /** Out-parameter of `classify`: hash, signed 32 bit. */
  hash = 0;
  /** Out-parameter of `classify`: RSS type of the descriptor. */
  type = 0;
  /** MRQC. */
  mrqc = 0;
  readonly config: RssConfig;
  /** The port's own context first. */
  readonly contexts: RssContext[] = [];

  private readonly main: RssContext;

  constructor(config: RssConfig = RSS_82599) {
    this.config = config;
    for (let i = 0; i <= config.contexts; i++) this.contexts.push(new RssContext(config));
    this.main = this.contexts[0];
  }

  /** Key of the port's own context. */
  get key(): Uint8Array {
    return this.main.key;
  }

  /** Indirection table of the port's own context. */
  get reta(): Uint8Array {
    return this.main.reta;
  }

  /** Tells that `key` changed. */
  keyChanged(): void {
    this.main.keyChanged();
  }

  /** As after a reset of the function. */
  reset(): void {
    this.mrqc = 0;
    for (const context of this.contexts) context.clear();
  }

  /** Sets `hash` and `type` for a parsed frame and returns the queue. */
  classify(key: Uint32Array): number {
    return this.classifyIn(this.main, key);
  }

  /** As `classify`, in another context. */
  classifyIn(context: RssContext, key: Uint32Array): number {
    this.hash = 0;
    this.type = D.RSS_TYPE_NONE;
    const family = key[K_FAMILY];
    if ((this.mrqc & R.MRQC_MRQE_MASK) !== R.MRQC_RSSEN || family === 0) return 0;
    const flags = key[K_FLAGS];
    if ((flags & PARSE_MALFORMED) !== 0) return 0;
    if (family === 4) this.classify4(context, key, flags);
    else this.classify6(context, key, flags);
    if (this.type === D.RSS_TYPE_NONE) return 0;
    return context.queueOf(this.hash);
  }

  private classify4(context: RssContext, key: Uint32Array, flags: number): void {
    const proto = portsProto(key, flags);
    const mrqc = this.mrqc;
    const withPorts =
      (proto === PROTO_TCP && (mrqc & R.MRQC_RSS_FIELD_IPV4_TCP) !== 0) ||
      (proto === PROTO_UDP && (mrqc & R.MRQC_RSS_FIELD_IPV4_UDP) !== 0);
    if (!withPorts && (mrqc & R.MRQC_RSS_FIELD_IPV4) === 0) return;
    this.hash = context.hash4(key, withPorts);
    this.type = D.RSS_TYPE_IPV4;
    if (withPorts) this.type = proto === PROTO_TCP ? D.RSS_TYPE_IPV4_TCP : D.RSS_TYPE_IPV4_UDP;
  }

  private classify6(context: RssContext, key: Uint32Array, flags: number): void {
    const proto = (flags & PARSE_EXTENSION) !== 0 ? 0 : portsProto(key, flags);
    const mrqc = this.mrqc;
    const withPorts =
      (proto === PROTO_TCP && (mrqc & R.MRQC_RSS_FIELD_IPV6_TCP) !== 0) ||
      (proto === PROTO_UDP && (mrqc & R.MRQC_RSS_FIELD_IPV6_UDP) !== 0);
    if (!withPorts && (mrqc & R.MRQC_RSS_FIELD_IPV6) === 0) return;
    this.hash = context.hash6(key, withPorts);
    this.type = D.RSS_TYPE_IPV6;
    if (withPorts) this.type = proto === PROTO_TCP ? D.RSS_TYPE_IPV6_TCP : D.RSS_TYPE_IPV6_UDP;
  }
}

/** TCP or UDP when the packet has ports and is whole, else 0. */
function portsProto(key: Uint32Array, flags: number): number {
  if ((flags & PARSE_PORTS) === 0 || (flags & PARSE_FRAGMENT) !== 0) return 0;
  return key[K_PROTO];
}
