// `--out DIR`: one capture per egress port, and host.pcapng (or .pcap) with what went up to the host.
//
// Time stamps are the simulated ones (last bit of the frame on the wire; for the host, when the stack takes the packet),
// laid over the time of the capture's first packet. pcapng packets carry a comment with path, queue and rule.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { SkBuff } from '../../driver/skb.ts';
import type { EgressFrame } from '../../hw/observer.ts';
import { PcapngWriter, PcapWriter } from '../capture/index.ts';
import { CaptureOutput } from './capture-files.ts';
import { InputError, systemErrorText } from './errors.ts';

export type OutputFormat = 'pcapng' | 'pcap';

/** Ethernet header bytes in front of what the stack sees, when the driver left them. */
const DIRECTION_INBOUND = 1;
const DIRECTION_OUTBOUND = 2;

class FrameFile {
  private readonly output: CaptureOutput;
  private readonly pcapng: PcapngWriter | null = null;
  private readonly pcap: PcapWriter | null = null;

  constructor(path: string, format: OutputFormat, interfaceNames: readonly string[]) {
    this.output = new CaptureOutput(path);
    if (format === 'pcapng') {
      this.pcapng = new PcapngWriter(this.output.sink);
      for (const name of interfaceNames) this.pcapng.addInterface({ name });
    } else this.pcap = new PcapWriter(this.output.sink);
  }

  write(
    interfaceNumber: number,
    bytes: Uint8Array,
    at: number,
    lenBytes: number,
    seconds: number,
    fractionPs: number,
    direction: number,
    comment: string,
  ): void {
    if (this.pcapng !== null)
      this.pcapng.write(
        interfaceNumber,
        bytes,
        at,
        lenBytes,
        lenBytes,
        seconds,
        fractionPs,
        direction,
        comment,
      );
    else this.pcap?.write(bytes, at, lenBytes, lenBytes, seconds, fractionPs);
  }

  close(): void {
    this.pcapng?.flush();
    this.pcap?.flush();
    this.output.close();
  }
}

export class EgressFiles {
  /** Absolute time of the run's time 0. */
  private baseSeconds = 0;
  private basePs = 0;
  private readonly ports: FrameFile[];
  private readonly host: FrameFile;

  /** Creates the folder and the files. Throws InputError when the system refuses. */
  constructor(folder: string, format: OutputFormat, portNames: readonly string[]) {
    try {
      mkdirSync(folder, { recursive: true });
    } catch (error) {
      throw new InputError(systemErrorText(folder, error));
    }
    const path = (name: string): string => join(folder, `${name}.${format}`);
    this.ports = portNames.map((name) => new FrameFile(path(name), format, [name]));
    this.host = new FrameFile(path('host'), format, portNames);
  }

  /** Simulated time `arrivalPs` is `seconds` + `fractionPs` since the epoch. */
  setBase(seconds: number, fractionPs: number, arrivalPs: number): void {
    this.baseSeconds = seconds;
    this.basePs = fractionPs - arrivalPs;
  }

  writeEgress(frame: EgressFrame, path: string): void {
    const comment =
      frame.packetId < 0
        ? `path=host tx-queue=${frame.queueIndex}`
        : frame.fromHost
          ? `path=${path} tx-queue=${frame.queueIndex}`
          : `path=hardware tx-queue=none rule=${frame.entryHandle}`;
    this.write(
      this.ports[frame.portIndex],
      0,
      frame.bytes,
      frame.at,
      frame.lenBytes,
      frame.endPs,
      DIRECTION_OUTBOUND,
      comment,
    );
  }

  writeHost(skb: SkBuff, portIndex: number, atPs: number): void {
    const at = skb.macAt >= 0 ? skb.macAt : skb.at;
    const lenBytes = skb.lenBytes + (skb.at - at);
    const comment = `rx-queue=${skb.rxQueue - 1}`;
    this.write(this.host, portIndex, skb.bytes, at, lenBytes, atPs, DIRECTION_INBOUND, comment);
  }

  close(): void {
    for (const file of this.ports) file.close();
    this.host.close();
  }

  private write(
    file: FrameFile,
    interfaceNumber: number,
    bytes: Uint8Array,
    at: number,
    lenBytes: number,
    timePs: number,
    direction: number,
    comment: string,
  ): void {
    const ps = this.basePs + timePs;
    const carry = Math.floor(ps / 1e12);
    file.write(
      interfaceNumber,
      bytes,
      at,
      lenBytes,
      this.baseSeconds + carry,
      ps - carry * 1e12,
      direction,
      comment,
    );
  }
}
