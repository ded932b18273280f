// Meters of a datapath (net/openvswitch/meter.c, spec A.7.6): one band each, a bucket that fills with time.
//
// The bucket holds at most burst × 1,000 and starts full. A packet costs its bits, or 1,000 where the meter counts packets; the
// bucket gains rate × elapsed milliseconds.

import { PS_PER_MS } from '../../../hw/time/units.ts';

export interface Meter {
  readonly id: number;
  /** Counts kilobits, else packets, a second. */
  readonly kbps: boolean;
  readonly rate: number;
  readonly burst: number;
  bucket: number;
  usedPs: number;
  packets: number;
  bytes: number;
  bandPackets: number;
  bandBytes: number;
}

const ZERO = { packets: 0, bytes: 0, bandPackets: 0, bandBytes: 0 };

export class MeterTable {
  private readonly meters = new Map<number, Meter>();

  /** Makes or replaces a meter. Rate 0 is a programmer's error: the caller checks. */
  set(id: number, kbps: boolean, rate: number, burst: number, nowPs: number): void {
    const old = this.meters.get(id);
    const { packets, bytes, bandPackets, bandBytes } = old ?? ZERO;
    const bucket = burst * 1000;
    const counts = { packets, bytes, bandPackets, bandBytes };
    this.meters.set(id, { id, kbps, rate, burst, bucket, usedPs: nowPs, ...counts });
  }

  get(id: number): Meter | null {
    return this.meters.get(id) ?? null;
  }

  delete(id: number): boolean {
    return this.meters.delete(id);
  }

  /** Whether the band says to drop a packet; an unknown meter does nothing. */
  exceeds(id: number, lenBytes: number, nowPs: number): boolean {
    const meter = this.meters.get(id);
    if (meter === undefined) return false;
    const cap = meter.burst * 1000;
    const elapsedMs = Math.floor((nowPs - meter.usedPs) / PS_PER_MS);
    if (elapsedMs > 0) {
      meter.usedPs = nowPs;
      meter.bucket = Math.min(cap, meter.bucket + elapsedMs * meter.rate);
    }
    meter.packets++;
    meter.bytes += lenBytes;
    const cost = meter.kbps ? lenBytes * 8 : 1000;
    if (meter.bucket >= cost) {
      meter.bucket -= cost;
      return false;
    }
    meter.bandPackets++;
    meter.bandBytes += lenBytes;
    return true;
  }
}
