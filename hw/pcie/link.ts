// PCI Express between device and host memory: what DMA costs on the wire, as one busy-until time line per direction.
//
// Formulas and constants: spec/hardware.md 1.1 and 1.2 (the pcie-bench model of Neugebauer et al., SIGCOMM 2018):
// TLP bandwidth = raw × (1 − 8/ACK limit − 8/FC guide − 4/1538); a write of s bytes moves s + 24·⌈s/MPS⌉ bytes up; a read
// moves 24·⌈s/MRRS⌉ up and s + 20·⌈s/RCB⌉ down. "Up" is device to host. Left out: IOMMU, NUMA, credits, ordering stalls.

import type { Clock } from '../time/scheduler.ts';
import { Timeline } from '../time/timeline.ts';
import { assert } from '../base/assert.ts';
import type { PcieConfig } from '../models.ts';
import { HostSide } from './host-side.ts';

/** Raw bandwidth per lane after line coding, Gb/s (hw 1.1), by generation. */
const LANE_GBPS = [0, 2.0, 4.0, (8 * 128) / 130, (16 * 128) / 130, (32 * 128) / 130];
/** ACK limit in bytes (equal to the FC guide) for generations 3 to 5, by lanes, for MPS 128, 256, 512, 1024 (hw 1.1). */
const ACK_LIMIT: Record<number, readonly number[]> = {
  1: [333, 512, 655, 1167],
  4: [169, 214, 250, 378],
  8: [163, 203, 182, 246],
  16: [144, 168, 182, 246],
};
/**
 * The same of generations 1 and 2, x8 only, MPS 128, 256, 512: ACK limit and FC guide differ there; these are the common
 * limits that give the published bandwidths (hw 1.1).
 */
const ACK_LIMIT_X8: Record<number, readonly number[]> = { 1: [67, 107, 86], 2: [118, 158, 137] };
/** TLP overheads with 64-bit addresses and no ECRC, bytes (hw 1.1). */
const MWR_OVERHEAD_BYTES = 24;
const MRD_OVERHEAD_BYTES = 24;
const CPLD_OVERHEAD_BYTES = 20;
/** Saved by a 32-bit address in each request; taken by an ECRC in each TLP. */
const ADDRESS_32_BYTES = 4;
const ECRC_BYTES = 4;
/** A register, a tail or head pointer, an MSI message (hw 1.1). */
const WORD_BYTES = 4;

/** ACK limit in bytes (equal to the FC guide, or standing for both); undefined for a link that the tables do not have. */
function ackLimit({ generation, lanes, mpsBytes }: PcieConfig): number | undefined {
  const column = [128, 256, 512, 1024].indexOf(mpsBytes);
  if (generation < 3) return lanes === 8 ? ACK_LIMIT_X8[generation]?.[column] : undefined;
  return generation <= 5 ? ACK_LIMIT[lanes]?.[column] : undefined;
}

/** Whether there are figures for such a link. */
export function hasPcieFigures(config: PcieConfig): boolean {
  return ackLimit(config) !== undefined;
}

/** Bandwidth left for TLPs in Gb/s. Throws for a link that the tables do not have. */
export function tlpBandwidthGbps(config: PcieConfig): number {
  const limit = ackLimit(config);
  assert(
    limit !== undefined,
    `pcie: no figures for generation ${config.generation} x${config.lanes} MPS ${config.mpsBytes}`,
  );
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

  /** Null: the host takes everything at once, with one latency. */
  readonly host: HostSide | null;
  readonly readLatencyPs: number;
  readonly writeLatencyPs: number;
  private readonly psPerByte: number;
  private readonly mpsBytes: number;
  private readonly mrrsBytes: number;
  private readonly rcbBytes: number;
  private readonly readPsPerByte: number;
  private readonly writeOverheadBytes: number;
  private readonly requestBytes: number;
  private readonly completionBytes: number;
  /** Page walks of the IO-TLB. */
  private readonly walks = new Timeline();
  private readonly clock: Clock;

  constructor(config: PcieConfig, clock: Clock) {
    this.clock = clock;
    this.psPerByte = 8000 / tlpBandwidthGbps(config);
    this.mpsBytes = config.mpsBytes;
    this.mrrsBytes = config.mrrsBytes;
    this.rcbBytes = config.rcbBytes;
    this.readLatencyPs = config.readLatencyPs + config.numaPs;
    this.readPsPerByte = config.readPsPerByte;
    this.writeLatencyPs = config.writeLatencyPs;
    const digest = config.ecrc ? ECRC_BYTES : 0;
    const request = digest - (config.addressBits === 32 ? ADDRESS_32_BYTES : 0);
    this.writeOverheadBytes = MWR_OVERHEAD_BYTES + request;
    this.requestBytes = MRD_OVERHEAD_BYTES + request;
    this.completionBytes = CPLD_OVERHEAD_BYTES + digest;
    this.host = config.host === null ? null : new HostSide(config.host);
  }

  /** DMA write to `iova` that may start at `readyPs`; returns the time at which the data is in host memory, ps. */
  write(readyPs: number, lenBytes: number, iova: number): number {
    const wireBytes = lenBytes + this.writeOverheadBytes * Math.ceil(lenBytes / this.mpsBytes);
    this.upBytes += wireBytes;
    if (this.host !== null) return this.writeSlowly(this.host, readyPs, lenBytes, iova, wireBytes);
    return this.pass(this.up, readyPs, wireBytes) + this.writeLatencyPs;
  }

  /** DMA read from `iova` that may start at `readyPs`; returns the time at which all data is in the device, ps. */
  read(readyPs: number, lenBytes: number, iova: number): number {
    if (this.host !== null) return this.readSlowly(this.host, readyPs, lenBytes, iova);
    const requestBytes = this.requestBytes * Math.ceil(lenBytes / this.mrrsBytes);
    const dataBytes = lenBytes + this.completionBytes * Math.ceil(lenBytes / this.rcbBytes);
    this.upBytes += requestBytes;
    this.downBytes += dataBytes;
    const sentPs = this.pass(this.up, readyPs, requestBytes);
    const firstPs = sentPs + this.readLatencyPs + lenBytes * this.readPsPerByte;
    return this.pass(this.down, firstPs, dataBytes);
  }

  private writeSlowly(
    host: HostSide,
    readyPs: number,
    lenBytes: number,
    iova: number,
    wireBytes: number,
  ): number {
    const sentPs = this.pass(this.up, host.startWrite(readyPs, lenBytes), wireBytes);
    const endPs = this.translated(host, sentPs, lenBytes, iova) + this.writeLatencyPs;
    host.endWrite(endPs, lenBytes);
    return endPs;
  }

  /** Request by request: each takes a tag and may wait for it; the data of a later one is not there before its own latency. */
  private readSlowly(host: HostSide, readyPs: number, lenBytes: number, iova: number): number {
    const spreadPs = host.spread === null ? 0 : host.spread.next();
    let endPs = readyPs;
    for (let done = 0; done < lenBytes;) {
      const bytes = lenBytes - done < this.mrrsBytes ? lenBytes - done : this.mrrsBytes;
      const dataBytes = bytes + this.completionBytes * Math.ceil(bytes / this.rcbBytes);
      this.upBytes += this.requestBytes;
      this.downBytes += dataBytes;
      const sentPs = this.pass(this.up, host.startRead(readyPs), this.requestBytes);
      const atHostPs = this.translated(host, sentPs, bytes, iova + done);
      done += bytes;
      const latencyPs = this.readLatencyPs + spreadPs + done * this.readPsPerByte;
      endPs = this.pass(this.down, atHostPs + latencyPs, dataBytes);
      host.endRead(endPs);
    }
    return endPs;
  }

  /** When the pages of a transfer that reaches the host at `atPs` are known, ps. */
  private translated({ ioTlb }: HostSide, atPs: number, lenBytes: number, iova: number): number {
    if (ioTlb === null) return atPs;
    const missing = ioTlb.missesOf(iova, lenBytes);
    let knownPs = atPs;
    for (let i = 0; i < missing; i++)
      knownPs = this.take(this.walks, atPs, ioTlb.walkPs) - ioTlb.walkPs + ioTlb.missPs;
    return knownPs;
  }

  /**
   * Moves bytes over one direction; returns the time at which they are through, ps. Requests come with ready times ahead of the
   * clock (data of a read, the end of a write before it) and out of order: capacity is taken from now on, so that one that
   * is ready late does not hold up those that are ready before it. A plain busy-until line would, and cap the link at
   * one transfer per latency.
   */
  private pass(line: Timeline, readyPs: number, wireBytes: number): number {
    return this.take(line, readyPs, wireBytes * this.psPerByte);
  }

  private take(line: Timeline, readyPs: number, costPs: number): number {
    const nowPs = this.clock.nowPs;
    const freePs = line.freePs > nowPs ? line.freePs : nowPs;
    line.freePs = freePs + costPs;
    line.busyPs += costPs;
    return (readyPs > freePs ? readyPs : freePs) + costPs;
  }

  /** A 4-byte register write by the host: counted, it never waits behind data; returns its arrival time, ps. */
  doorbell(nowPs: number): number {
    this.count(this.down, WORD_BYTES + this.writeOverheadBytes);
    return nowPs + this.writeLatencyPs;
  }

  /** A 4-byte register read by the host: counted in both directions. */
  registerRead(): void {
    this.count(this.down, this.requestBytes);
    this.count(this.up, WORD_BYTES + this.completionBytes);
  }

  /** An MSI-X message: counted; its latency is `writeLatencyPs`. */
  message(): void {
    this.count(this.up, WORD_BYTES + this.writeOverheadBytes);
  }

  private count(line: Timeline, wireBytes: number): void {
    if (line === this.up) this.upBytes += wireBytes;
    else this.downBytes += wireBytes;
    line.busyPs += wireBytes * this.psPerByte;
  }
}
