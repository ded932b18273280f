// PCI Express between device and host memory: what DMA costs on the wire, as one busy-until time line per direction.
//
// Formulas and constants: spec/hardware.md 1.1 and 1.2 (the pcie-bench model of Neugebauer et al., SIGCOMM 2018):
// TLP bandwidth = raw × (1 − 8/ACK limit − 8/FC guide − 4/1538); a write of s bytes moves s + 24·⌈s/MPS⌉ bytes up; a read
// moves 24·⌈s/MRRS⌉ up and s + 20·⌈s/RCB⌉ down. "Up" is device to host. Left out: IOMMU, NUMA, credits, ordering stalls.

import type { Clock } from '../time/scheduler.ts';
import { Timeline } from '../time/timeline.ts';
import { assert } from '../base/assert.ts';
import type { PcieConfig } from '../models.ts';

/** Raw bandwidth per lane after line coding, Gb/s (hw 1.1), by generation. */
const LANE_GBPS = [0, 2.0, 4.0, (8 * 128) / 130, (16 * 128) / 130, (32 * 128) / 130];
/** ACK limit in bytes (equal to the FC guide) for generations 3 to 5, by lanes, for MPS 128, 256, 512, 1024 (hw 1.1). */
const ACK_LIMIT: Record<number, readonly number[]> = {
  1: [333, 512, 655, 1167],
  4: [169, 214, 250, 378],
  8: [163, 203, 182, 246],
  16: [144, 168, 182, 246],
};
/** TLP overheads with 64-bit addresses, bytes (hw 1.1). */
export const MWR_OVERHEAD_BYTES = 24;
export const MRD_OVERHEAD_BYTES = 24;
export const CPLD_OVERHEAD_BYTES = 20;

/** Bandwidth left for TLPs in Gb/s, generations 3 to 5. Throws for a link that the tables do not have. */
export function tlpBandwidthGbps(config: PcieConfig): number {
  const limits = ACK_LIMIT[config.lanes];
  const column = [128, 256, 512, 1024].indexOf(config.mpsBytes);
  assert(
    config.generation >= 3 && config.generation <= 5 && limits !== undefined && column >= 0,
    `pcie: no figures for generation ${config.generation} x${config.lanes} MPS ${config.mpsBytes}`,
  );
  const limit = limits[column];
  const raw = LANE_GBPS[config.generation] * config.lanes;
  return raw * (1 - 16 / limit - 4 / 1538);
}

export class PcieLink {
  /** Device to host. */
  readonly up = new Timeline();
  /** Host to device. */
  readonly down = new Timeline();
  /** Bytes moved including TLP overhead. */
  upBytes = 0;
  downBytes = 0;

  private readonly psPerByte: number;
  private readonly mpsBytes: number;
  private readonly mrrsBytes: number;
  private readonly rcbBytes: number;
  readonly readLatencyPs: number;
  private readonly readPsPerByte: number;
  readonly writeLatencyPs: number;

  private readonly clock: Clock;

  constructor(config: PcieConfig, clock: Clock) {
    this.clock = clock;
    this.psPerByte = 8000 / tlpBandwidthGbps(config);
    this.mpsBytes = config.mpsBytes;
    this.mrrsBytes = config.mrrsBytes;
    this.rcbBytes = config.rcbBytes;
    this.readLatencyPs = config.readLatencyPs;
    this.readPsPerByte = config.readPsPerByte;
    this.writeLatencyPs = config.writeLatencyPs;
  }

  /** DMA write that may start at `readyPs`; returns the time at which the data is in host memory, ps. */
  write(readyPs: number, lenBytes: number): number {
    const wireBytes = lenBytes + MWR_OVERHEAD_BYTES * Math.ceil(lenBytes / this.mpsBytes);
    this.upBytes += wireBytes;
    return this.pass(this.up, readyPs, wireBytes) + this.writeLatencyPs;
  }

  /** DMA read that may start at `readyPs`; returns the time at which all data is in the device, ps. */
  read(readyPs: number, lenBytes: number): number {
    const requestBytes = MRD_OVERHEAD_BYTES * Math.ceil(lenBytes / this.mrrsBytes);
    const dataBytes = lenBytes + CPLD_OVERHEAD_BYTES * Math.ceil(lenBytes / this.rcbBytes);
    this.upBytes += requestBytes;
    this.downBytes += dataBytes;
    const sentPs = this.pass(this.up, readyPs, requestBytes);
    const firstPs = sentPs + this.readLatencyPs + lenBytes * this.readPsPerByte;
    return this.pass(this.down, firstPs, dataBytes);
  }

  /**
   * Moves bytes over one direction; returns the time at which they are through, ps. Requests come with ready times ahead of the
   * clock (data of a read, the end of a write before it) and out of order: capacity is taken from now on, so that one that
   * is ready late does not hold up those that are ready before it. A plain busy-until line would, and cap the link at
   * one transfer per latency.
   */
  private pass(line: Timeline, readyPs: number, wireBytes: number): number {
    const costPs = wireBytes * this.psPerByte;
    const nowPs = this.clock.nowPs;
    const freePs = line.freePs > nowPs ? line.freePs : nowPs;
    line.freePs = freePs + costPs;
    line.busyPs += costPs;
    return (readyPs > freePs ? readyPs : freePs) + costPs;
  }

  /** A 4-byte register write by the host: counted, it never waits behind data; returns its arrival time, ps. */
  doorbell(nowPs: number): number {
    const wireBytes = 4 + MWR_OVERHEAD_BYTES;
    this.downBytes += wireBytes;
    this.down.busyPs += wireBytes * this.psPerByte;
    return nowPs + this.writeLatencyPs;
  }

  /** An MSI-X message: counted; its latency is `writeLatencyPs`. */
  message(): void {
    const wireBytes = 4 + MWR_OVERHEAD_BYTES;
    this.upBytes += wireBytes;
    this.up.busyPs += wireBytes * this.psPerByte;
  }
}
