// Reassembly of IPv4 and IPv6 fragments (net/ipv4/ip_fragment.c, inet_fragment.c, nf_conntrack_reasm.c of 6.1): fragments wait
// until the packet is whole; an overlap drops everything, a duplicate only itself; 30 s (60 s) later the rest is dropped.
//
// The completed packet keeps the handle of the fragment that came last (as skb_morph does), the header of the first one, the
// largest size it came in (`fragMaxBytes`) and all sizes (`fragSizes`). Left out: ipfrag_max_dist, separate queues per user.

import type { SkBuff } from '../../../driver/skb.ts';
import { PS_PER_S } from '../../../hw/time/units.ts';
import { FRAGMENT_PS } from '../costs.ts';
import type { NetStack } from '../net-stack.ts';
import { StackDrop } from '../outcome.ts';
import { TraceStep } from '../trace-steps.ts';
import { loadInt32, loadUint16, storeUint16 } from './address.ts';
import { setIpv4Checksum } from './checksum.ts';
import { walkHeaders } from './ipv6-headers.ts';

const LAST_IN = 1;
const FIRST_IN = 2;
const HIGH_THRESHOLD_BYTES = 4 * 1024 * 1024;
const IP_DF = 0x4000;
const IP_MF = 0x2000;

const INSERTED = 0;
const DUPLICATE = 1;
const OVERLAP = 2;

/** A stretch that arrived in order, for telling duplicates from overlaps. */
interface Run {
  start: number;
  end: number;
}

interface Fragment {
  skb: SkBuff;
  offset: number;
  /** Payload, bytes, and where it begins in the packet's memory. */
  lenBytes: number;
  dataAt: number;
}

/** The fragments of one packet so far, by offset. */
class FragmentQueue {
  readonly key: string;
  readonly fragments: Fragment[] = [];
  readonly runs: Run[] = [];
  flags = 0;
  /** Length of the payload as far as known, and how much of it is here. */
  lenBytes = 0;
  meatBytes = 0;
  maxSizeBytes = 0;
  maxDfBytes = 0;
  /** One bit per ECN codepoint seen. */
  ecn = 0;
  truesizeBytes = 0;
  timer = -1;

  constructor(key: string) {
    this.key = key;
  }

  get isComplete(): boolean {
    return this.flags === (FIRST_IN | LAST_IN) && this.meatBytes === this.lenBytes;
  }

  /** inet_frag_queue_insert. */
  insert(fragment: Fragment): number {
    const { offset } = fragment;
    const end = offset + fragment.lenBytes;
    const { runs } = this;
    const tail = runs.length > 0 ? runs[runs.length - 1] : null;
    if (tail === null) runs.push({ start: offset, end });
    else if (tail.end < end) {
      if (offset < tail.end) return OVERLAP;
      if (offset === tail.end) tail.end = end;
      else runs.push({ start: offset, end });
    } else {
      let at = 0;
      while (at < runs.length && runs[at].end <= offset) at++;
      if (at < runs.length && end > runs[at].start)
        return offset >= runs[at].start && end <= runs[at].end ? DUPLICATE : OVERLAP;
      runs.splice(at, 0, { start: offset, end });
    }
    let place = this.fragments.length;
    while (place > 0 && this.fragments[place - 1].offset > offset) place--;
    this.fragments.splice(place, 0, fragment);
    this.meatBytes += fragment.lenBytes;
    this.truesizeBytes += fragment.skb.truesizeBytes;
    if (offset === 0) this.flags |= FIRST_IN;
    return INSERTED;
  }
}

export class Defrag {
  /** Packets completed, and fragments dropped for each reason, since the start. */
  readonly counters = { reassembled: 0, timedOut: 0, overlaps: 0, duplicates: 0, noMemory: 0 };

  private readonly stack: NetStack;
  private readonly queues = new Map<string, FragmentQueue>();
  private memoryBytes = 0;
  private timeout4S = 30;
  private timeout6S = 60;
  private highThresholdBytes = HIGH_THRESHOLD_BYTES;

  constructor(stack: NetStack) {
    this.stack = stack;
    const { sysctl } = stack;
    sysctl.register('net/ipv4/ipfrag_time', 30, (v) => (this.timeout4S = v), 0);
    sysctl.register('net/ipv6/ip6frag_time', 60, (v) => (this.timeout6S = v), 0);
    const limit = (v: number): void => void (this.highThresholdBytes = v);
    sysctl.register('net/ipv4/ipfrag_high_thresh', HIGH_THRESHOLD_BYTES, limit, 0);
  }

  /** Bytes of buffers that wait. */
  get waitingBytes(): number {
    return this.memoryBytes;
  }

  /**
   * Takes an IPv4 packet (skb.at at its header). The same handle when the packet is whole (or was no fragment), null while it
   * waits or when it was dropped: the packet is taken then.
   */
  ipv4(skb: SkBuff): SkBuff | null {
    const { bytes, at } = skb;
    const field = loadUint16(bytes, at + 6);
    if ((field & (IP_MF | 0x1fff)) === 0) return skb;
    this.stack.kernel.charge(FRAGMENT_PS);
    const key = `4 ${loadInt32(bytes, at + 12)} ${loadInt32(bytes, at + 16)} ${loadUint16(bytes, at + 4)} ${bytes[at + 9]}`;
    const queue = this.find(key, this.timeout4S);
    if (queue === null) return this.refuse(skb, StackDrop.NOMEM);
    const headerBytes = (bytes[at] & 15) * 4;
    const offset = (field & 0x1fff) * 8;
    let end = offset + skb.lenBytes - headerBytes;
    if ((field & IP_MF) === 0) {
      if (end < queue.lenBytes || ((queue.flags & LAST_IN) !== 0 && end !== queue.lenBytes))
        return this.kill(queue, skb);
      queue.flags |= LAST_IN;
      queue.lenBytes = end;
    } else {
      end -= end & 7;
      if (end > queue.lenBytes) {
        if ((queue.flags & LAST_IN) !== 0) return this.kill(queue, skb);
        queue.lenBytes = end;
      }
    }
    if (end === offset) return this.kill(queue, skb);
    const fragment = { skb, offset, lenBytes: end - offset, dataAt: at + headerBytes };
    if (!this.insert(queue, fragment)) return null;
    queue.ecn |= 1 << (bytes[at + 1] & 3);
    const sizeBytes = headerBytes + fragment.lenBytes;
    queue.maxSizeBytes = Math.max(queue.maxSizeBytes, sizeBytes);
    if ((field & IP_DF) !== 0) queue.maxDfBytes = Math.max(queue.maxDfBytes, sizeBytes);
    if (!queue.isComplete) return this.wait(skb);
    return this.complete4(queue, skb);
  }

  /** Same for an IPv6 packet with a fragment header. */
  ipv6(skb: SkBuff): SkBuff | null {
    const { bytes, at } = skb;
    const walk = walkHeaders(bytes, at, skb.lenBytes);
    if (walk.fragmentAt < 0) return skb;
    const f = walk.fragmentAt;
    const previousAt = walk.fragmentNextAt;
    this.stack.kernel.charge(FRAGMENT_PS);
    const key = `6 ${String.fromCharCode(...bytes.subarray(at + 8, at + 40))} ${loadInt32(bytes, f + 4)}`;
    const queue = this.find(key, this.timeout6S);
    if (queue === null) return this.refuse(skb, StackDrop.NOMEM);
    const payloadBytes = loadUint16(bytes, at + 4);
    const field = loadUint16(bytes, f + 2);
    const offset = field & 0xfff8;
    const end = offset + payloadBytes - (f + 8 - (at + 40));
    if (end > 65535 || end <= offset) return this.refuse(skb, StackDrop.FRAG_INVALID);
    if ((field & 1) === 0) {
      if (end < queue.lenBytes || ((queue.flags & LAST_IN) !== 0 && end !== queue.lenBytes))
        return this.refuse(skb, StackDrop.FRAG_INVALID);
      queue.flags |= LAST_IN;
      queue.lenBytes = end;
    } else {
      if ((end & 7) !== 0) return this.kill(queue, skb);
      if (end > queue.lenBytes) {
        if ((queue.flags & LAST_IN) !== 0) return this.refuse(skb, StackDrop.FRAG_INVALID);
        queue.lenBytes = end;
      }
    }
    const fragment = { skb, offset, lenBytes: end - offset, dataAt: f + 8 };
    if (!this.insert(queue, fragment)) return null;
    queue.ecn |= 1 << ((bytes[at + 1] >> 4) & 3);
    queue.maxSizeBytes = Math.max(queue.maxSizeBytes, 40 + payloadBytes);
    if (!queue.isComplete) return this.wait(skb);
    return this.complete6(queue, skb, previousAt - at, f - at);
  }

  private find(key: string, timeoutS: number): FragmentQueue | null {
    const known = this.queues.get(key);
    if (known !== undefined) return known;
    if (this.memoryBytes > this.highThresholdBytes) {
      this.counters.noMemory++;
      return null;
    }
    const queue = new FragmentQueue(key);
    this.queues.set(key, queue);
    queue.timer = this.stack.timer(this.stack.scheduler.nowPs + timeoutS * PS_PER_S, () =>
      this.expire(queue),
    );
    return queue;
  }

  private insert(queue: FragmentQueue, fragment: Fragment): boolean {
    const answer = queue.insert(fragment);
    if (answer === INSERTED) {
      this.memoryBytes += fragment.skb.truesizeBytes;
      return true;
    }
    if (answer === DUPLICATE) {
      this.counters.duplicates++;
      this.refuse(fragment.skb, StackDrop.FRAG_INVALID);
    } else {
      this.counters.overlaps++;
      this.kill(queue, fragment.skb);
    }
    return false;
  }

  private wait(skb: SkBuff): null {
    if (this.stack.trace !== null) this.stack.step(skb, TraceStep.REASSEMBLY, 0, skb.lenBytes);
    return null;
  }

  private refuse(skb: SkBuff, reason: StackDrop): null {
    this.stack.drop(skb, reason);
    return null;
  }

  /** Drops the packet that was just given and every fragment that waits with it. */
  private kill(queue: FragmentQueue, skb: SkBuff): null {
    this.forget(queue);
    for (const fragment of queue.fragments) this.stack.drop(fragment.skb, StackDrop.FRAG_INVALID);
    return this.refuse(skb, StackDrop.FRAG_INVALID);
  }

  private forget(queue: FragmentQueue): void {
    this.queues.delete(queue.key);
    this.memoryBytes -= queue.truesizeBytes;
    this.stack.scheduler.cancel(queue.timer);
  }

  private expire(queue: FragmentQueue): void {
    const { stack } = this;
    this.forget(queue);
    this.counters.timedOut++;
    const first = queue.fragments.length > 0 ? queue.fragments[0] : null;
    if (first !== null && first.offset === 0) {
      const { skb } = first;
      skb.networkAt = skb.at;
      if (skb.bytes[skb.at] >> 4 === 6) stack.icmp.sendError6(skb, 3, 1, 0);
      else if (stack.addresses.isLocal4(loadInt32(skb.bytes, skb.at + 16)))
        stack.icmp.sendError4(skb, 11, 1, 0);
    }
    for (const fragment of queue.fragments) stack.drop(fragment.skb, StackDrop.FRAG_REASM_TIMEOUT);
  }

  private complete4(queue: FragmentQueue, skb: SkBuff): SkBuff | null {
    const first = queue.fragments[0];
    const headerBytes = first.dataAt - first.skb.at;
    const ecn = combinedEcn(queue.ecn);
    if (headerBytes + queue.lenBytes > 65535 || ecn < 0) return this.killWhole(queue);
    if (!this.assemble(queue, skb, headerBytes)) return null;
    const { bytes, at } = skb;
    storeUint16(bytes, at + 2, skb.lenBytes);
    bytes[at + 1] |= ecn;
    // DF only when the largest fragment had it, so that no small DF fragment shrinks the path (ip_frag_reasm).
    storeUint16(bytes, at + 6, queue.maxDfBytes === queue.maxSizeBytes ? IP_DF : 0);
    setIpv4Checksum(bytes, at);
    skb.fragMaxBytes = Math.max(queue.maxDfBytes, queue.maxSizeBytes);
    skb.transportAt = at + headerBytes;
    return skb;
  }

  private complete6(
    queue: FragmentQueue,
    skb: SkBuff,
    previousOffset: number,
    fragmentOffset: number,
  ): SkBuff | null {
    const first = queue.fragments[0];
    const ecn = combinedEcn(queue.ecn);
    const nextHeader = first.skb.bytes[first.dataAt - 8];
    const payloadBytes = fragmentOffset - 40 + queue.lenBytes;
    if (payloadBytes > 65535 || ecn < 0) return this.killWhole(queue);
    const headerBytes = first.dataAt - 8 - first.skb.at;
    if (!this.assemble(queue, skb, headerBytes)) return null;
    const { bytes, at } = skb;
    bytes[at + previousOffset] = nextHeader;
    storeUint16(bytes, at + 4, skb.lenBytes - 40);
    bytes[at + 1] |= ecn << 4;
    skb.fragMaxBytes = queue.maxSizeBytes;
    skb.transportAt = walkHeaders(bytes, at, skb.lenBytes).transportAt;
    return skb;
  }

  private killWhole(queue: FragmentQueue): null {
    this.forget(queue);
    for (const fragment of queue.fragments) this.stack.drop(fragment.skb, StackDrop.FRAG_INVALID);
    return null;
  }

  /** Copies the first fragment's header and all payloads into one buffer and gives it to `skb`. False: no memory, dropped. */
  private assemble(queue: FragmentQueue, skb: SkBuff, headerBytes: number): boolean {
    const { stack } = this;
    const whole = stack.kernel.alloc_skb(headerBytes + queue.lenBytes);
    if (whole === null) {
      this.forget(queue);
      for (const fragment of queue.fragments) stack.drop(fragment.skb, StackDrop.NOMEM);
      return false;
    }
    this.forget(queue);
    const first = queue.fragments[0].skb;
    whole.bytes.set(first.bytes.subarray(first.at, first.at + headerBytes), whole.at);
    let to = whole.at + headerBytes;
    const ids: number[] = [];
    const sizes: number[] = [];
    for (const f of queue.fragments) {
      whole.bytes.set(f.skb.bytes.subarray(f.dataAt, f.dataAt + f.lenBytes), to);
      to += f.lenBytes;
      sizes.push(f.lenBytes);
      ids.push(f.skb.packetId);
      if (f.skb.mergedIds !== null) ids.push(...f.skb.mergedIds);
    }
    skb.pktType = first.pktType;
    swapBuffers(skb, whole);
    skb.at = to - headerBytes - queue.lenBytes;
    skb.networkAt = skb.at;
    skb.macAt = -1;
    skb.lenBytes = headerBytes + queue.lenBytes;
    skb.packetId = ids[0];
    skb.mergedIds = ids.slice(1);
    skb.fragSizes = sizes;
    stack.release(whole);
    for (const f of queue.fragments) if (f.skb !== skb) stack.release(f.skb);
    this.counters.reassembled++;
    if (stack.trace !== null) stack.step(skb, TraceStep.REASSEMBLY, 1, skb.lenBytes);
    return true;
  }
}

function swapBuffers(a: SkBuff, b: SkBuff): void {
  const { bytes, headAt, truesizeBytes } = a;
  a.bytes = b.bytes;
  a.headAt = b.headAt;
  a.truesizeBytes = b.truesizeBytes;
  b.bytes = bytes;
  b.headAt = headAt;
  b.truesizeBytes = truesizeBytes;
}

/** ip_frag_ecn_table: CE when fragments with and without CE mix, −1 when ECT mixes with not-ECT; else 0 (nothing to add). */
function combinedEcn(seen: number): number {
  const notEct = (seen & 1) !== 0;
  const ect = (seen & 0b0110) !== 0;
  const ce = (seen & 0b1000) !== 0;
  if (notEct && (ect || ce)) return -1;
  return ce && ect ? 3 : 0;
}
