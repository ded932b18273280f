// Which receive queue a packet for the host gets: the 82599's mechanisms in the order of its datasheet (7.1.2.1).
//
//   1. EtherType filters;  2. the SYN filter if SYNQF.SYNQFP is set;  3. 5-tuple filters;  4. the SYN filter otherwise;
//   5. Flow Director;      6. RSS (the hash goes into the descriptor whoever decides)
//
// Beside the queue: whether the packet's interrupt waits for the interval of its vector. EtherType and 5-tuple filters say so, also
// those that give no queue, Flow Director's (FDIRCMD.INT), and the priority of the tag (IMIRVP).
//
// `isActive` is false while nothing but RSS can decide: then the device does not call this at all.

import { K_VLAN_COUNT, K_VLAN_OUTER } from '../parse/key-layout.ts';
import type { Rss } from '../table/rss.ts';
import { EthertypeFilters, FiveTupleFilters, isSyn } from './queue-filters.ts';
import { FlowDirector } from './flow-director.ts';
import * as S from './regs.ts';

export const Mechanism = {
  RSS: 0,
  ETHERTYPE: 1,
  SYN: 2,
  FIVE_TUPLE: 3,
  FLOW_DIRECTOR: 4,
  /** Flow Director chose an RSS context, whose hash chose the queue (extension). */
  RSS_CONTEXT: 5,
} as const;
export type Mechanism = (typeof Mechanism)[keyof typeof Mechanism];

/** Names of Mechanism, by number. */
export const MECHANISM_NAMES: readonly string[] = [
  'rss',
  'ethertype-filter',
  'syn-filter',
  '5-tuple-filter',
  'flow-director',
  'rss-context',
];

/** `choose` answers this for a packet that a filter drops. */
export const STEER_DROP = -1;

/** One mechanism that takes a packet. */
export interface SteeringMatch {
  mechanism: Mechanism;
  /** Number of the filter (Flow Director: software index or signature), −1 where there is none. */
  filter: number;
  /** STEER_DROP for a filter that drops. */
  queue: number;
}

export class RxSteering {
  readonly ethertype = new EthertypeFilters();
  readonly fiveTuple = new FiveTupleFilters();
  readonly flowDirector = new FlowDirector();
  synqf = 0;
  imirvp = 0;
  /** Some mechanism in front of RSS is on. */
  isActive = false;
  /** Out-parameters of `choose`: who decided, by which filter, and whether the descriptor reports a Flow Director filter. */
  mechanism: Mechanism = Mechanism.RSS;
  filter = -1;
  reportsFilter = false;
  /** EtherType filter that the packet matched, −1 for none, whoever gives the queue. */
  ethertypeFilter = -1;
  /** The packet interrupts at once. */
  isLowLatency = false;

  private readonly rss: Rss;

  constructor(rss: Rss) {
    this.rss = rss;
  }

  /** A register changed: whether anything but RSS can decide. */
  update(): void {
    this.isActive =
      this.ethertype.isActive ||
      this.fiveTuple.isActive ||
      (this.synqf & S.SYNQF_ENABLE) !== 0 ||
      (this.imirvp & S.IMIRVP_PRIORITY_EN) !== 0 ||
      this.flowDirector.isOn;
  }

  /** Queue of a parsed frame for which RSS has chosen `rssQueue`, STEER_DROP if a filter drops it. */
  choose(
    rssQueue: number,
    key: Uint32Array,
    view: DataView,
    frameAt: number,
    lenBytes: number,
  ): number {
    this.reportsFilter = false;
    this.isLowLatency = this.hasUrgentTag(key);
    this.mechanism = Mechanism.ETHERTYPE;
    this.filter = this.ethertype.match(key);
    this.ethertypeFilter = this.filter;
    if (this.filter >= 0) {
      if (this.ethertype.isLowLatency(this.filter)) this.isLowLatency = true;
      if (this.ethertype.givesQueue(this.filter)) return this.ethertype.queueOf(this.filter);
    }
    const takesSyn = (this.synqf & S.SYNQF_ENABLE) !== 0 && isSyn(key);
    if (takesSyn && (this.synqf & S.SYNQF_SYNQFP) !== 0) return this.bySyn();
    this.mechanism = Mechanism.FIVE_TUPLE;
    this.filter = this.fiveTuple.match(key);
    if (this.filter >= 0) {
      if (this.fiveTuple.isLowLatency(this.filter, lenBytes)) this.isLowLatency = true;
      if (this.fiveTuple.givesQueue(this.filter)) return this.fiveTuple.queueOf(this.filter);
    }
    if (takesSyn) return this.bySyn();
    const fdir = this.flowDirector;
    if (fdir.isOn) {
      const found = fdir.lookup(key, view, frameAt);
      if (found >= 0) return this.byFlowDirector(found, key);
    }
    this.mechanism = Mechanism.RSS;
    this.filter = -1;
    return rssQueue;
  }

  /** Every mechanism that would take the frame, the one that decides first. Leaves counters as they are. */
  explain(rssQueue: number, key: Uint32Array, view: DataView, frameAt: number): SteeringMatch[] {
    const found: SteeringMatch[] = [];
    const ethertype = this.ethertype.match(key);
    if (ethertype >= 0 && this.ethertype.givesQueue(ethertype)) {
      const queue = this.ethertype.queueOf(ethertype);
      found.push({ mechanism: Mechanism.ETHERTYPE, filter: ethertype, queue });
    }
    const takesSyn = (this.synqf & S.SYNQF_ENABLE) !== 0 && isSyn(key);
    const syn = { mechanism: Mechanism.SYN, filter: -1, queue: this.synQueue() };
    const synFirst = (this.synqf & S.SYNQF_SYNQFP) !== 0;
    if (takesSyn && synFirst) found.push(syn);
    const tuple = this.fiveTuple.match(key);
    if (tuple >= 0 && this.fiveTuple.givesQueue(tuple)) {
      const queue = this.fiveTuple.queueOf(tuple);
      found.push({ mechanism: Mechanism.FIVE_TUPLE, filter: tuple, queue });
    }
    if (takesSyn && !synFirst) found.push(syn);
    const fdir = this.flowDirector;
    if (fdir.isOn) {
      const { matched, missed } = fdir;
      const entry = fdir.lookup(key, view, frameAt);
      fdir.matched = matched;
      fdir.missed = missed;
      if (entry >= 0) {
        const queue = this.byFlowDirector(entry, key);
        found.push({ mechanism: this.mechanism, filter: fdir.id, queue });
      }
    }
    found.push({ mechanism: Mechanism.RSS, filter: -1, queue: rssQueue });
    return found;
  }

  /** IMIRVP: the tag's priority asks for an interrupt at once. */
  private hasUrgentTag(key: Uint32Array): boolean {
    if ((this.imirvp & S.IMIRVP_PRIORITY_EN) === 0 || key[K_VLAN_COUNT] === 0) return false;
    return key[K_VLAN_OUTER] >>> 13 >= (this.imirvp & S.IMIRVP_PRIORITY_MASK);
  }

  private bySyn(): number {
    this.mechanism = Mechanism.SYN;
    this.filter = -1;
    return this.synQueue();
  }

  private synQueue(): number {
    return (this.synqf >>> S.SYNQF_QUEUE_SHIFT) & 0x7f;
  }

  private byFlowDirector(found: number, key: Uint32Array): number {
    const fdir = this.flowDirector;
    this.mechanism = Mechanism.FLOW_DIRECTOR;
    this.filter = fdir.id;
    this.reportsFilter = fdir.reportsStatus;
    if (fdir.interruptsAtOnce(found)) this.isLowLatency = true;
    if (fdir.drops(found)) return STEER_DROP;
    const context = fdir.contextOf(found);
    if (context === 0 || context >= this.rss.contexts.length) return fdir.queueOf(found);
    this.mechanism = Mechanism.RSS_CONTEXT;
    return this.rss.classifyIn(this.rss.contexts[context], key);
  }
}
