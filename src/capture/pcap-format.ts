// The classic pcap file format (draft-ietf-opsawg-pcap): 24-byte header, then 16-byte record headers with data.
//
// Micro- and nanosecond magic, both byte orders, version 2.3 and 2.4. Not read: the "modified" format of some 1990s
// kernels, and versions before 2.3, which order the two lengths differently; both are refused by magic or version.
// A frame check sequence that the header announces stays part of the packet.

import type { CaptureInterface, CaptureRecord } from './record.ts';
import { DIRECTION_UNKNOWN } from './record.ts';
import { isLinkTypeSupported, SUPPORTED_LINK_TYPES } from './link-types.ts';
import { parsePcapHeader } from './layouts.ts';
import type { CaptureWindow } from './window.ts';

/** Longest captured packet accepted, in bytes: the limit libpcap has for everything but USB and D-Bus. */
export const MAX_PACKET_BYTES = 262144;

export const PCAP_HEADER_BYTES = 24;
const RECORD_HEADER_BYTES = 16;

/** How a decoder reports a fault: throws a CaptureError that names the place. */
export type Fault = (offset: number, fault: string, what?: string) => never;

/** Decodes the records of one classic file. */
export class PcapDecoder {
  private readonly fault: Fault;
  private readonly littleEndian: boolean;
  private readonly psPerUnit: number;
  private readonly unitsPerSecond: number;
  private readonly linkType: number;
  private packetCount = 0;

  /** `window` stands at the magic and holds the whole header, whose magic is already known. */
  constructor(window: CaptureWindow, magic: { little: boolean; nano: boolean }, fault: Fault) {
    this.fault = fault;
    this.littleEndian = magic.little;
    this.psPerUnit = magic.nano ? 1e3 : 1e6;
    this.unitsPerSecond = magic.nano ? 1e9 : 1e6;
    const bytes = window.bytes.subarray(window.at + 4, window.at + PCAP_HEADER_BYTES);
    const header = parsePcapHeader(bytes, magic.little);
    const { versionMajor, versionMinor } = header;
    if (versionMajor !== 2 || versionMinor < 3 || versionMinor > 4) {
      fault(0, `expected version 2.3 or 2.4, found ${versionMajor}.${versionMinor}`, 'file header');
    }
    this.linkType = header.linkTypeAndFcs & 0xffff;
    if (!isLinkTypeSupported(this.linkType)) {
      const found = `found ${this.linkType} on interface 0`;
      fault(0, `expected link type ${SUPPORTED_LINK_TYPES}, ${found}`, 'file header');
    }
    this.interface = {
      index: 0,
      linkType: this.linkType,
      name: '',
      description: '',
      snaplenBytes: header.snaplenBytes,
      sectionIndex: 0,
      resolution: magic.nano ? 9 : 6,
    };
    window.at += PCAP_HEADER_BYTES;
  }

  /** The one interface of the file. */
  readonly interface: CaptureInterface;

  /** Fills `record` with the next packet and returns true, or false when the window does not hold a whole one. */
  next(window: CaptureWindow, record: CaptureRecord): boolean {
    const at = window.at;
    const availableBytes = window.end - at;
    if (availableBytes < RECORD_HEADER_BYTES) return false;
    const view = window.view;
    const little = this.littleEndian;
    const lenBytes = view.getUint32(at + 8, little);
    const wireLenBytes = view.getUint32(at + 12, little);
    if (lenBytes > MAX_PACKET_BYTES || lenBytes > wireLenBytes) {
      this.badLength(window, lenBytes, wireLenBytes);
    }
    if (availableBytes < RECORD_HEADER_BYTES + lenBytes) return false;
    const units = view.getUint32(at + 4, little);
    if (units >= this.unitsPerSecond) this.badTime(window, units);
    record.bytes = window.bytes;
    record.at = at + RECORD_HEADER_BYTES;
    record.lenBytes = lenBytes;
    record.wireLenBytes = wireLenBytes;
    record.seconds = view.getUint32(at, little);
    record.fractionPs = units * this.psPerUnit;
    record.interfaceIndex = 0;
    record.linkType = this.linkType;
    record.direction = DIRECTION_UNKNOWN;
    record.snapped = lenBytes !== wireLenBytes;
    record.packetNumber = ++this.packetCount;
    record.fileOffset = window.baseOffset + at;
    record.comment = '';
    window.at = at + RECORD_HEADER_BYTES + lenBytes;
    return true;
  }

  /** What would have to be there for a packet, for the message about a truncated file. */
  expectation(window: CaptureWindow): string {
    if (window.end - window.at < RECORD_HEADER_BYTES) return 'a record header of 16 bytes';
    const lenBytes = window.view.getUint32(window.at + 8, this.littleEndian);
    return `a record of 16 + ${lenBytes} bytes`;
  }

  private badLength(window: CaptureWindow, lenBytes: number, wireLenBytes: number): never {
    const offset = window.baseOffset + window.at;
    if (lenBytes > MAX_PACKET_BYTES) {
      const limit = `a captured length of at most ${MAX_PACKET_BYTES} bytes`;
      return this.fault(offset, `expected ${limit}, found ${lenBytes}`);
    }
    const least = `an original length of at least the captured ${lenBytes} bytes`;
    return this.fault(offset, `expected ${least}, found ${wireLenBytes}`);
  }

  private badTime(window: CaptureWindow, units: number): never {
    const unit = this.unitsPerSecond === 1e9 ? 'nanoseconds' : 'microseconds';
    const most = `fewer than ${this.unitsPerSecond} ${unit} within a second`;
    return this.fault(window.baseOffset + window.at, `expected ${most}, found ${units}`);
  }
}
