// Which addresses and ports a new connection gets (spec C.7; get_unique_tuple): its own ones when they fit and no reply would clash, else
// those that its source already has, else an address by hash and a port by search.
//
// The search begins at a random offset (destination ports without randomness: at the first of the range), tries at most 128
// ports, then smaller windows at fresh offsets; when all fail the last try stands, and confirmation drops the packet.

import type { Conntrack } from '../conntrack/conntrack.ts';
import { ROW_WORDS } from '../conntrack/table.ts';
import { IPPROTO_ICMP, IPPROTO_ICMPV6, Tuple, hasPorts } from '../conntrack/tuple.ts';
import { chooseAddress, setAddress } from './address-hash.ts';
import type { NatRandom } from './random.ts';
import {
  MANIP_DST,
  MANIP_SRC,
  RANGE_MAP_IPS,
  RANGE_PROTO_SPECIFIED,
  RANGE_RANDOM_ALL,
  portInRange,
  sourceInRange,
} from './range.ts';
import type { NatRange } from './range.ts';
import type { SourceIndex } from './source-index.ts';

const MAX_ATTEMPTS = 128;
/** A search window is not halved below this. */
const MIN_ATTEMPTS = 16;

export class TupleChooser {
  private readonly ct: Conntrack;
  private readonly sources: SourceIndex;
  private readonly random: NatRandom;
  private readonly reply = new Tuple();
  private readonly candidate = new Tuple();

  constructor(ct: Conntrack, sources: SourceIndex, random: NatRandom) {
    this.ct = ct;
    this.sources = sources;
    this.random = random;
  }

  /** `tuple`, the original key as it is now, becomes what the packet shall look like behind this manipulation. */
  choose(tuple: Tuple, range: NatRange, manip: number, id: number): void {
    const random = (range.flags & RANGE_RANDOM_ALL) !== 0;
    if (manip === MANIP_SRC && !random) {
      if (sourceInRange(tuple, range)) {
        if (!this.isTaken(tuple, id)) return;
      } else if (this.reuse(tuple, range, id)) return;
    }
    if ((range.flags & RANGE_MAP_IPS) !== 0) {
      if (range.isOneAddress) setAddress(tuple, manip, range.min);
      else chooseAddress(tuple, range, manip, tuple.zone);
    }
    if (!random) {
      if ((range.flags & RANGE_PROTO_SPECIFIED) !== 0) {
        const onlyOne = range.minPort === range.maxPort;
        if (portInRange(tuple, manip, range) && (onlyOne || !this.isTaken(tuple, id))) return;
      } else if (!this.isTaken(tuple, id)) return;
    }
    this.choosePort(tuple, range, manip, id);
  }

  /** Whether replies to the key would be taken for those of another connection. */
  isTaken(tuple: Tuple, id: number): boolean {
    const { reply, ct } = this;
    if (!tuple.invert(reply)) return false;
    const element = ct.findLive(reply, reply.hash(), ct.now);
    if (element < 0 || element >> 1 === id) return false;
    // The same flow in the table already is no clash: confirmation will sort it out.
    const { words } = ct.table;
    const own = id * ROW_WORDS;
    reply.load(words, own);
    const isOther = !reply.equals(words, (element >> 1) * ROW_WORDS);
    if (isOther) ct.stats.found++;
    return isOther;
  }

  /** Takes over the mapping that the source has towards other destinations. */
  private reuse(tuple: Tuple, range: NatRange, id: number): boolean {
    const { sources, candidate } = this;
    for (let other = sources.first(tuple); other >= 0; other = sources.after(other)) {
      if (!sources.matches(other, tuple)) continue;
      this.ct.table.outside(other, candidate);
      candidate.d0 = tuple.d0;
      candidate.d1 = tuple.d1;
      candidate.d2 = tuple.d2;
      candidate.d3 = tuple.d3;
      candidate.l4 = (candidate.l4 & ~0xffff) | (tuple.l4 & 0xffff);
      if (!sourceInRange(candidate, range)) continue;
      if (this.isTaken(candidate, id)) return false;
      tuple.copy(candidate);
      return true;
    }
    return false;
  }

  private choosePort(tuple: Tuple, range: NatRange, manip: number, id: number): void {
    const { protocol } = tuple;
    const specified = (range.flags & RANGE_PROTO_SPECIFIED) !== 0;
    const isIcmp = protocol === IPPROTO_ICMP || protocol === IPPROTO_ICMPV6;
    let first: number;
    let count: number;
    if (specified) {
      first = Math.min(range.minPort, range.maxPort);
      count = Math.abs(range.maxPort - range.minPort) + 1;
      if (!isIcmp && !hasPorts(protocol)) return;
    } else if (isIcmp) {
      first = 0;
      count = 65536;
    } else if (hasPorts(protocol)) {
      // Destination ports mean something: without a range they stay.
      if (manip === MANIP_DST) return;
      [first, count] = usualPorts(tuple.l4 >>> 16);
    } else return;
    this.search(tuple, isIcmp ? MANIP_SRC : manip, first, count, range, id);
  }

  private search(
    tuple: Tuple,
    manip: number,
    first: number,
    count: number,
    range: NatRange,
    id: number,
  ): void {
    const inOrder = manip === MANIP_DST && (range.flags & RANGE_RANDOM_ALL) === 0;
    let offset = inOrder ? 0 : this.random.next16();
    let attempts = Math.min(count, MAX_ATTEMPTS);
    for (;;) {
      for (let i = 0; i < attempts; i++, offset++) {
        const port = first + (offset % count);
        tuple.l4 =
          manip === MANIP_SRC
            ? (tuple.l4 & 0xffff) | (port << 16)
            : (tuple.l4 & ~0xffff) | (port & 0xffff);
        if (!this.isTaken(tuple, id)) return;
      }
      if (attempts >= count || attempts < MIN_ATTEMPTS) return;
      attempts >>= 1;
      offset = this.random.next16();
    }
  }
}

/** Ports of the same kind as the old one: below 512, 600 to 1023, or unprivileged. */
function usualPorts(port: number): [first: number, count: number] {
  if (port < 512) return [1, 511];
  return port < 1024 ? [600, 424] : [1024, 64512];
}
