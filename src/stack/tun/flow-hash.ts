// The symmetric flow hash (__skb_get_hash_symmetric): the same for both directions of a flow, keyed, never 0.
//
// Addresses are put in numeric order, ports likewise and independently of the addresses, then the keys go through SipHash and
// the low 32 bits are the result. The kernel draws its key at boot; here it comes from a seed, so that a run can be repeated, and
// any function of the keys can take its place (`FlowHash`): the recordings' player uses one that answers as the recorded kernel did.

import { FlowKeys } from './dissect.ts';
import { SipHash } from './siphash.ts';

/** Words hashed: protocol and IP protocol, two addresses of four words, ports. */
const INPUT_WORDS = 10;

/** A 32-bit hash of the keys of a packet; 0 is replaced by 1 by the caller. */
export type FlowHash = (keys: FlowKeys) => number;

/** Hash of a packet by a hash function, with its work counted. */
export class FlowHasher {
  /** Hashes computed since the start. */
  count = 0;
  /** The keys of the last packet hashed. */
  readonly keys = new FlowKeys();

  private readonly hashOf: FlowHash;

  constructor(hashOf: FlowHash) {
    this.hashOf = hashOf;
  }

  /** Hash (unsigned, not 0) of the packet whose network header is at `at`, ending at `end`. */
  hash(bytes: Uint8Array, at: number, end: number, protocol: number): number {
    this.count++;
    this.keys.dissect(bytes, at, end, protocol);
    const hash = this.hashOf(this.keys) >>> 0;
    return hash === 0 ? 1 : hash;
  }
}

/** The kernel's own hash with a key drawn from `seed`. */
export function symmetricHash(seed: number): FlowHash {
  const sip = new SipHash(keyFromSeed(seed));
  const words = new Uint32Array(INPUT_WORDS);
  return (keys) => {
    words[0] = keys.protocol | (keys.ipProtocol << 16);
    const swap = addressOrder(keys) > 0;
    words.set(swap ? keys.dst : keys.src, 1);
    words.set(swap ? keys.src : keys.dst, 5);
    const { srcPort, dstPort } = keys;
    words[9] = dstPort < srcPort ? (srcPort << 16) | dstPort : (dstPort << 16) | srcPort;
    sip.hash(words, INPUT_WORDS);
    return sip.low;
  };
}

/** Positive when the source address is the greater one. */
function addressOrder(keys: FlowKeys): number {
  const { src, dst } = keys;
  for (let i = 0; i < 4; i++) if (src[i] !== dst[i]) return src[i] > dst[i] ? 1 : -1;
  return 0;
}

/** Four words from a seed by a multiplicative generator (splitmix32): any fixed, well-mixed key will do. */
function keyFromSeed(seed: number): number[] {
  const words: number[] = [];
  let state = seed >>> 0;
  for (let i = 0; i < 4; i++) {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    words.push((z ^ (z >>> 16)) >>> 0);
  }
  return words;
}

/** Brings a hash into [0, count): a multiply and shift, not a remainder. */
export function reciprocalScale(hash: number, count: number): number {
  return Math.floor(((hash >>> 0) * count) / 0x1_0000_0000);
}
