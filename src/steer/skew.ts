// How evenly a capture spreads over queues, and what would even it out: a key, or weights for the indirection table.
//
// Packets are summed per flow (parsed key) and per table entry. Two remedies are looked for, both deterministic from the seed:
//  - a key: of so many random ones, the one whose busiest queue has least (flows keep together, so one heavy flow bounds it);
//  - weights, as `ethtool -X weight` takes them: queues get contiguous runs of entries, so the best runs are found exactly, by
//    bisection on the busiest queue's load.

import { K_DPORT, K_PROTO, K_SPORT, K_SRC } from '../../hw/parse/key-layout.ts';
import type { RssConfig } from '../../hw/table/rss.ts';
import { Rss } from '../../hw/table/rss.ts';
import { NatRandom } from '../stack/netfilter/nat/random.ts';

/** Flows that are told apart; packets of further ones count, but keys are judged without them. */
export const FLOWS_MAX = 200_000;
const KEYS_TRIED = 64;

interface FlowLoad {
  key: Uint32Array;
  packets: number;
}

/** Load of one queue. */
export interface QueueLoad {
  queue: number;
  packets: number;
  bytes: number;
}

export interface KeyRemedy {
  key: string;
  busiestShare: number;
}

export interface WeightRemedy {
  weights: number[];
  busiestShare: number;
}

export class SkewMeter {
  packets = 0;
  dropped = 0;
  readonly queues: QueueLoad[] = [];
  /** Packets by mechanism. */
  readonly mechanisms = new Map<string, number>();
  /** Packets that RSS placed, by table entry. */
  readonly entries: Float64Array;
  private readonly flows = new Map<string, FlowLoad>();
  private readonly queueCount: number;

  constructor(queueCount: number, tableEntries: number) {
    this.queueCount = queueCount;
    for (let queue = 0; queue < queueCount; queue++)
      this.queues.push({ queue, packets: 0, bytes: 0 });
    this.entries = new Float64Array(tableEntries);
  }

  /** Counts one packet: its queue (null: dropped), mechanism, entry when RSS hashed it, and its parsed key. */
  count(
    queue: number | null,
    mechanism: string,
    entry: number | null,
    key: Uint32Array,
    lenBytes: number,
  ): void {
    this.packets++;
    this.mechanisms.set(mechanism, (this.mechanisms.get(mechanism) ?? 0) + 1);
    if (queue === null) {
      this.dropped++;
      return;
    }
    const load = this.queues[queue];
    load.packets++;
    load.bytes += lenBytes;
    if (mechanism !== 'rss' || entry === null) return;
    this.entries[entry] = this.entries[entry] + 1;
    const addresses = key.slice(K_SRC, K_PROTO + 1).join(' ');
    const name = `${addresses} ${key[K_SPORT]} ${key[K_DPORT]}`;
    const flow = this.flows.get(name);
    if (flow !== undefined) flow.packets++;
    else if (this.flows.size < FLOWS_MAX)
      this.flows.set(name, { key: Uint32Array.from(key), packets: 1 });
  }

  get flowCount(): number {
    return this.flows.size;
  }

  /** Busiest queue's packets over the mean: 1 is even. */
  get imbalance(): number {
    const kept = this.packets - this.dropped;
    return kept === 0 ? 1 : this.busiest() / (kept / this.queueCount);
  }

  busiest(): number {
    return Math.max(0, ...this.queues.map(({ packets }) => packets));
  }

  /** The best of KEYS_TRIED random keys, null when none is better than the present one. */
  findKey(config: RssConfig, present: Rss, seed: number): KeyRemedy | null {
    const random = new NatRandom(seed);
    const rss = new Rss(config);
    rss.mrqc = present.mrqc;
    rss.reta.set(present.reta);
    let best: KeyRemedy | null = null;
    let least = this.loadUnder(present);
    for (let n = 0; n < KEYS_TRIED; n++) {
      for (let i = 0; i < config.keyBytes; i++) rss.key[i] = random.next16() & 255;
      rss.keyChanged();
      const load = this.loadUnder(rss);
      if (load >= least) continue;
      least = load;
      const bytes = [...rss.key.slice(0, config.keyBytes)];
      const key = bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(':');
      best = { key, busiestShare: load / this.hashedPackets() };
    }
    return best;
  }

  /**
   * Weights whose busiest queue has least, over the first `reach` queues (an entry can name no others); null when there is nothing
   * to share out, or nothing to gain over the `present` table.
   */
  findWeights(reach = this.queueCount, present: Uint8Array | null = null): WeightRemedy | null {
    const total = this.hashedPackets();
    const queueCount = Math.min(this.queueCount, reach);
    if (total === 0 || queueCount < 2 || queueCount > this.entries.length) return null;
    let low = Math.max(...this.entries);
    let high = total;
    while (high - low > 0.5) {
      const limit = Math.floor((low + high) / 2);
      if (this.runs(limit).length <= queueCount) high = limit;
      else low = limit + 1;
    }
    const weights = padded(this.runs(high), queueCount);
    const heaviest = this.heaviestRun(weights);
    if (present !== null && heaviest >= this.heaviestQueue(present)) return null;
    return { weights, busiestShare: heaviest / total };
  }

  /** Packets that RSS gives the queue with the most under a table. */
  private heaviestQueue(table: Uint8Array): number {
    const loads = new Map<number, number>();
    this.entries.forEach((packets, entry) => {
      loads.set(table[entry], (loads.get(table[entry]) ?? 0) + packets);
    });
    return Math.max(...loads.values());
  }

  /** Packets that RSS hashed. */
  hashedPackets(): number {
    return this.entries.reduce((sum, packets) => sum + packets, 0);
  }

  /** Runs of entries, greedily filled up to `limit` packets each. */
  private runs(limit: number): number[] {
    const lengths: number[] = [];
    let load = Infinity;
    for (const packets of this.entries) {
      if (load + packets > limit) {
        lengths.push(0);
        load = 0;
      }
      lengths[lengths.length - 1]++;
      load += packets;
    }
    return lengths;
  }

  private heaviestRun(weights: readonly number[]): number {
    let at = 0;
    let most = 0;
    for (const weight of weights) {
      let load = 0;
      for (let i = 0; i < weight; i++) load += this.entries[at++];
      most = Math.max(most, load);
    }
    return most;
  }

  private loadUnder(rss: Rss): number {
    const loads = new Float64Array(64);
    for (const { key, packets } of this.flows.values()) {
      const queue = rss.classify(key);
      loads[queue] = loads[queue] + packets;
    }
    return Math.max(...loads);
  }
}

/** So many runs: the longest are cut in two until there are enough. */
function padded(lengths: number[], count: number): number[] {
  const all = [...lengths];
  while (all.length < count) {
    const longest = all.indexOf(Math.max(...all));
    const half = Math.floor(all[longest] / 2);
    all.splice(longest, 1, all[longest] - half, half);
  }
  return all;
}
