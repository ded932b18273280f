// What a NAT rule allows: addresses, ports (or ICMP ids, GRE keys) and flags (struct nf_nat_range2), as words of tuples.
// Left out: port shifting (PROTO_OFFSET) and netmaps, which nft 1.0.6 writes as `snat prefix to`.

import type { Tuple } from '../conntrack/tuple.ts';
import { IPPROTO_ICMP, IPPROTO_ICMPV6, hasPorts } from '../conntrack/tuple.ts';

/** Which end of the original direction changes. */
export const MANIP_SRC = 0;
export const MANIP_DST = 1;

export const RANGE_MAP_IPS = 1;
export const RANGE_PROTO_SPECIFIED = 2;
const RANGE_PROTO_RANDOM = 4;
export const RANGE_PERSISTENT = 8;
const RANGE_PROTO_RANDOM_FULLY = 16;
/** Either kind of randomness asks for a fresh port even when the old one would do. */
export const RANGE_RANDOM_ALL = RANGE_PROTO_RANDOM | RANGE_PROTO_RANDOM_FULLY;

/** Range flags by nft's words. */
export const RANGE_FLAG_WORDS: Readonly<Record<string, number>> = {
  random: RANGE_PROTO_RANDOM,
  'fully-random': RANGE_PROTO_RANDOM_FULLY,
  persistent: RANGE_PERSISTENT,
};

export class NatRange {
  flags = 0;
  /** First and last address as four words each (IPv4 in the first). */
  readonly min = new Int32Array(4);
  readonly max = new Int32Array(4);
  minPort = 0;
  maxPort = 0;

  /** Gives the range one address: the words at `at`. */
  setAddress(words: ArrayLike<number>, at: number): void {
    this.flags |= RANGE_MAP_IPS;
    for (let i = 0; i < 4; i++) this.min[i] = this.max[i] = words[at + i];
  }

  /** Flags and ports of another range. */
  takePorts(from: NatRange): void {
    this.flags = from.flags;
    this.minPort = from.minPort;
    this.maxPort = from.maxPort;
  }

  get isOneAddress(): boolean {
    for (let i = 0; i < 4; i++) if (this.min[i] !== this.max[i]) return false;
    return true;
  }
}

/** Whether source address and source port of a key are ones that the range would give (in_range). */
export function sourceInRange(tuple: Tuple, range: NatRange): boolean {
  if ((range.flags & RANGE_MAP_IPS) !== 0 && !addressInRange(tuple, range)) return false;
  return (range.flags & RANGE_PROTO_SPECIFIED) === 0 || portInRange(tuple, MANIP_SRC, range);
}

/** Whether the key's port of that end is in the range; protocols without ports always are. */
export function portInRange(tuple: Tuple, manip: number, range: NatRange): boolean {
  const { protocol, l4 } = tuple;
  if (!hasPorts(protocol) && protocol !== IPPROTO_ICMP && protocol !== IPPROTO_ICMPV6) return true;
  const value =
    manip === MANIP_SRC || protocol === IPPROTO_ICMP || protocol === IPPROTO_ICMPV6
      ? l4 >>> 16
      : l4 & 0xffff;
  return value >= range.minPort && value <= range.maxPort;
}

function addressInRange(t: Tuple, { min, max }: NatRange): boolean {
  return compare(t.s0, t.s1, t.s2, t.s3, min) >= 0 && compare(t.s0, t.s1, t.s2, t.s3, max) <= 0;
}

function compare(a0: number, a1: number, a2: number, a3: number, b: Int32Array): number {
  return (
    (a0 >>> 0) - (b[0] >>> 0) ||
    (a1 >>> 0) - (b[1] >>> 0) ||
    (a2 >>> 0) - (b[2] >>> 0) ||
    (a3 >>> 0) - (b[3] >>> 0)
  );
}
