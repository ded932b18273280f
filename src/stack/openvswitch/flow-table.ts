// The flow table of the kernel datapath (net/openvswitch/flow_table.c, spec A.4): tuple-space search.
//
// The naive idea is to try every flow. Flows with the same mask can share a hash table: AND the packet's key with the mask, look the result
// up, one try per mask whatever the number of flows. There are no priorities: the first mask in array order that has a match wins.
// Two more steps as in the kernel: a cache from the packet's hash to the mask that matched last (256 entries, four candidates per hash), so
// that most packets try one mask; and every four seconds the masks are sorted by use. Both change which mask is tried first, and so,
// with overlapping flows, what matches: they are part of what is modelled, as are the counts of tries.
//
// Left out: rehashing with a new seed every ten minutes (not visible), growing and shrinking of the mask array (order is kept).

import type { Action } from './action.ts';
import { AT_PHY, FlowKey, KEY_BYTES } from './flow-key.ts';
import { mix32 } from './mix.ts';

const CACHE_ENTRIES = 256;
const CACHE_SEGMENTS = 4;
const WORDS = KEY_BYTES / 4;

/** A mask with the flows that have it. */
interface MaskTable {
  readonly mask: FlowKey;
  /** Words [start, end) that can differ from zero. */
  readonly start: number;
  readonly end: number;
  readonly flows: Map<number, Flow[]>;
  flowCount: number;
  /** Packets that matched since the array was last put in order. */
  used: number;
}

/** An installed flow. */
export interface Flow {
  /** The key as it was given, not masked. */
  readonly key: FlowKey;
  readonly mask: FlowKey;
  readonly masked: FlowKey;
  actions: readonly Action[];
  /** The same as attributes, for dumps and upcalls. */
  actionAttrs: Uint8Array;
  packets: number;
  bytes: number;
  /** Time of the last packet, ps; −1 for never. */
  usedPs: number;
  tcpFlags: number;
}

export class FlowTable {
  /** Tries of masks, over all packets. */
  maskHits = 0;
  /** Look-ups whose cached mask was right. */
  cacheHits = 0;
  private readonly masks: MaskTable[] = [];
  private readonly all = new Set<Flow>();
  private readonly cacheHash = new Uint32Array(CACHE_ENTRIES);
  private readonly cacheMask = new Uint32Array(CACHE_ENTRIES);
  private readonly scratch = new FlowKey();
  /** Index of the mask that the last search ended at. */
  private index = 0;

  get flowCount(): number {
    return this.all.size;
  }

  get maskCount(): number {
    return this.masks.length;
  }

  /** All flows, oldest first. */
  flows(): Flow[] {
    return [...this.all];
  }

  /** The flow for a packet; `skbHash` 0: the packet has none, nothing is cached. */
  lookup(key: FlowKey, skbHash: number): Flow | null {
    if (skbHash === 0) {
      this.index = 0;
      return this.search(key, false);
    }
    const full = key.recircId === 0 ? skbHash >>> 0 : mix32(skbHash, key.recircId);
    let rest = full;
    let candidate = -1;
    for (let segment = 0; segment < CACHE_SEGMENTS; segment++) {
      const entry = rest & (CACHE_ENTRIES - 1);
      if (this.cacheHash[entry] === full) {
        this.index = this.cacheMask[entry];
        const flow = this.search(key, true);
        this.cacheMask[entry] = this.index;
        if (flow === null) this.cacheHash[entry] = 0;
        return flow;
      }
      if (candidate < 0 || this.cacheHash[entry] < this.cacheHash[candidate]) candidate = entry;
      rest >>>= 8;
    }
    this.index = this.cacheMask[candidate];
    const flow = this.search(key, true);
    this.cacheMask[candidate] = this.index;
    if (flow !== null) this.cacheHash[candidate] = full;
    return flow;
  }

  /** The first flow that matches a key, without counting. */
  findAny(key: FlowKey): Flow | null {
    for (const table of this.masks) {
      const flow = this.tryMask(table, key);
      if (flow !== null) return flow;
    }
    return null;
  }

  /** The flow that was installed with exactly this key. */
  findExact(key: FlowKey): Flow | null {
    for (const table of this.masks) {
      const flow = this.tryMask(table, key);
      if (flow !== null && equalWords(flow.key, key, 0, WORDS)) return flow;
    }
    return null;
  }

  /** Installs a flow. */
  insert(key: FlowKey, mask: FlowKey, list: Action[], attrs: Uint8Array): Flow {
    let table = this.masks.find((one) => equalWords(one.mask, mask, 0, WORDS));
    if (table === undefined) {
      table = { ...rangeOf(mask), mask, flows: new Map(), flowCount: 0, used: 0 };
      this.masks.push(table);
    }
    const masked = new FlowKey();
    maskInto(masked, key, mask, 0, WORDS);
    const flow: Flow = {
      key,
      mask: table.mask,
      masked,
      actions: list,
      actionAttrs: attrs,
      packets: 0,
      bytes: 0,
      usedPs: -1,
      tcpFlags: 0,
    };
    const hash = hashWords(masked, table.start, table.end);
    const bucket = table.flows.get(hash);
    if (bucket === undefined) table.flows.set(hash, [flow]);
    else bucket.push(flow);
    table.flowCount++;
    this.all.add(flow);
    return flow;
  }

  /** Takes a flow out; a mask without flows goes, and the last of the array moves into its place. */
  remove(flow: Flow): void {
    const at = this.masks.findIndex((one) => one.mask === flow.mask);
    const table = this.masks[at];
    const hash = hashWords(flow.masked, table.start, table.end);
    const bucket = table.flows.get(hash)?.filter((one) => one !== flow) ?? [];
    if (bucket.length > 0) table.flows.set(hash, bucket);
    else table.flows.delete(hash);
    this.all.delete(flow);
    table.flowCount--;
    if (table.flowCount > 0) return;
    const last = this.masks.pop();
    if (last !== undefined && last !== table) this.masks[at] = last;
  }

  /** Removes all flows. */
  flush(): void {
    this.masks.length = 0;
    this.all.clear();
  }

  /** ovs_flow_masks_rebalance: the masks in order of use since the last time. */
  rebalance(): void {
    const isSorted = this.masks.every((one, i) => i === 0 || this.masks[i - 1].used >= one.used);
    if (!isSorted) this.masks.sort((a, b) => b.used - a.used);
    for (const table of this.masks) table.used = 0;
  }

  /** The mask at `index` first, then all others in order. */
  private search(key: FlowKey, counts: boolean): Flow | null {
    const first = this.masks[this.index] as MaskTable | undefined;
    if (first !== undefined) {
      this.maskHits++;
      const flow = this.tryMask(first, key);
      if (flow !== null) {
        first.used++;
        if (counts) this.cacheHits++;
        return flow;
      }
    }
    for (let i = 0; i < this.masks.length; i++) {
      if (i === this.index) continue;
      this.maskHits++;
      const flow = this.tryMask(this.masks[i], key);
      if (flow === null) continue;
      this.masks[i].used++;
      this.index = i;
      return flow;
    }
    return null;
  }

  private tryMask({ mask, start, end, flows }: MaskTable, key: FlowKey): Flow | null {
    const { scratch } = this;
    maskInto(scratch, key, mask, start, end);
    const bucket = flows.get(hashWords(scratch, start, end));
    if (bucket === undefined) return null;
    for (const flow of bucket) if (equalWords(flow.masked, scratch, start, end)) return flow;
    return null;
  }
}

function rangeOf({ words }: FlowKey): { start: number; end: number } {
  const tunnelWords = AT_PHY / 4;
  let start = tunnelWords;
  let end = tunnelWords;
  for (let i = 0; i < WORDS; i++) {
    if (words[i] === 0) continue;
    if (i < start) start = i;
    end = i + 1;
  }
  return { start, end };
}

function maskInto(
  { words: out }: FlowKey,
  { words: key }: FlowKey,
  { words: mask }: FlowKey,
  start: number,
  end: number,
): void {
  for (let i = start; i < end; i++) out[i] = key[i] & mask[i];
}

function equalWords(
  { words: a }: FlowKey,
  { words: b }: FlowKey,
  from: number,
  to: number,
): boolean {
  for (let i = from; i < to; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** A multiply-rotate hash over words: any good one will do, its values are not visible. */
function hashWords({ words }: FlowKey, start: number, end: number): number {
  let hash = end - start;
  for (let i = start; i < end; i++) {
    hash = Math.imul(hash ^ words[i], 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  return hash;
}
