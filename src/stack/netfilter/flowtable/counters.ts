// What flowtables counted: admissions by refusal, requests to hardware, removals by cause, fast-path passes, and how long a
// connection waited for hardware (a reservoir that keeps every sample up to its size, then every 2nd, 4th, …: deterministic).

import { errnoName } from '../../../../driver/errno.ts';
import type { TeardownCause } from './flow.ts';

/**
 * Why `flow add` refused, in the order of the checks (spec B.3). Conditions of Linux that cannot arise here have no name: an IPsec
 * path, a TCP header that cannot be read (conntrack had it already), memory that runs out.
 */
export const ADMISSION_REFUSALS = [
  'ip-options',
  /** Untracked or invalid. */
  'no-conntrack',
  'tcp-fin-rst',
  /** The connection is not both ESTABLISHED and ASSURED (SYN_RECV will do for the RFC's form). */
  'tcp-not-established',
  /** Of the connection: neither TCP nor UDP. */
  'protocol',
  'helper',
  'seq-adjust',
  'nat-clash',
  'unconfirmed',
  /** These two only with nf_flowtable_rfc_offload: no packet of the other side yet; first packet of an expected connection. */
  'new',
  'related',
  'offloaded-already',
  'no-return-route',
  'conntrack-dying',
] as const;
export type AdmissionRefusal = (typeof ADMISSION_REFUSALS)[number];

/** Why the fast path let a packet go to the classic path (spec B.5). */
export const FAST_PASSES = [
  'not-ip',
  'fragment-or-options',
  'protocol',
  'ttl',
  'truncated',
  'miss',
  'mtu',
  'fin-rst',
  'route',
] as const;
export type FastPass = (typeof FAST_PASSES)[number];

function zeros<K extends string>(keys: readonly K[]): Record<K, number> {
  return Object.fromEntries(keys.map((k) => [k, 0])) as Record<K, number>;
}

const SAMPLES = 8192;

/** Spans of time, ps. */
export class SpanSamples {
  count = 0;
  minPs = Infinity;
  maxPs = 0;
  private sumPs = 0;
  private readonly samples = new Float64Array(SAMPLES);
  private kept = 0;
  private stride = 1;

  add(spanPs: number): void {
    if (this.count % this.stride === 0) {
      if (this.kept === SAMPLES) {
        for (let i = 0; i < SAMPLES / 2; i++) this.samples[i] = this.samples[2 * i];
        this.kept = SAMPLES / 2;
        this.stride *= 2;
      }
      if (this.count % this.stride === 0) this.samples[this.kept++] = spanPs;
    }
    this.count++;
    this.sumPs += spanPs;
    if (spanPs < this.minPs) this.minPs = spanPs;
    if (spanPs > this.maxPs) this.maxPs = spanPs;
  }

  get meanPs(): number {
    return this.count === 0 ? 0 : this.sumPs / this.count;
  }

  /** The span that `percent` of the samples do not exceed; 0 without samples. */
  percentilePs(percent: number): number {
    if (this.kept === 0) return 0;
    const sorted = this.samples.slice(0, this.kept).sort();
    return sorted[Math.min(this.kept - 1, Math.max(0, Math.ceil((percent / 100) * this.kept) - 1))];
  }
}

export class FlowCounters {
  readonly refusedAdmission = zeros(ADMISSION_REFUSALS);
  readonly passed = zeros(FAST_PASSES);
  /** Flows made, flows freed. */
  added = 0;
  freed = 0;
  fastPackets = 0;
  fastBytes = 0;
  /** Requests to hardware and their answers. */
  hwAsked = 0;
  hwInstalled = 0;
  /** Accepted with one direction only. */
  hwPartly = 0;
  hwRefused = 0;
  readonly hwRefusedBy: Record<string, number> = {};
  /** Not even asked: no valid neighbour. */
  hwNoNeighbour = 0;
  hwDeleted = 0;
  hwStats = 0;
  readonly removedBy: Record<TeardownCause, number> = zeros([
    'fin-rst',
    'idle',
    'ct-gone',
    'route',
    'device-down',
    'flush',
    'user',
  ]);
  /** Of those that were in hardware. */
  readonly hwRemovedBy: Record<TeardownCause, number> = zeros([
    'fin-rst',
    'idle',
    'ct-gone',
    'route',
    'device-down',
    'flush',
    'user',
  ]);
  /** From the connection's first packet to the driver's acceptance. */
  readonly timeToHardware = new SpanSamples();

  refusedByDriver(error: number): void {
    this.hwRefused++;
    const name = errnoName(error);
    this.hwRefusedBy[name] = (this.hwRefusedBy[name] ?? 0) + 1;
  }
}
