// The pcapng block format (draft-ietf-opsawg-pcapng): sections, interfaces, packets, and blocks that are passed over.
//
// Read: section header (each section with its own byte order), interface description (name, description, if_tsresol,
// if_tsoffset), enhanced packet (flags' direction, comments), simple packet, obsolete packet. All other blocks (name
// resolution, statistics, secrets, custom, unknown) are passed over without being held, and so are unknown options.
// Section lengths are not needed and not believed. A simple packet carries no time: it gets that of the packet before.
// Interface numbers count on over sections, so packets of different sections never share one by accident.

import { parseInterfaceDescription, parseSectionHeader } from './layouts.ts';
import { isLinkTypeSupported, SUPPORTED_LINK_TYPES } from './link-types.ts';
import { OPT_COMMENT, OptionCursor } from './options.ts';
import { MAX_PACKET_BYTES } from './pcap-format.ts';
import type { Fault } from './pcap-format.ts';
import type { CaptureInterface, CaptureRecord } from './record.ts';
import { DIRECTION_UNKNOWN } from './record.ts';
import { decodeUtf8 } from './text.ts';
import { RESOLUTION_MICROSECONDS, TimestampSplitter } from './timestamp.ts';
import type { CaptureWindow } from './window.ts';

export const BLOCK_SECTION_HEADER = 0x0a0d0d0a;
export const BLOCK_INTERFACE = 1;
const BLOCK_OBSOLETE_PACKET = 2;
const BLOCK_SIMPLE_PACKET = 3;
export const BLOCK_ENHANCED_PACKET = 6;
export const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const BYTE_ORDER_MAGIC_SWAPPED = 0x4d3c2b1a;

const MIN_BLOCK_BYTES = 12; // type, length, length
const SECTION_FIXED_BYTES = 28; // with both lengths
const INTERFACE_FIXED_BYTES = 20;
const PACKET_FIXED_BYTES = 32; // enhanced and obsolete
const SIMPLE_FIXED_BYTES = 16;
/** Longest block that is held whole: a packet and room for its options. */
export const MAX_BLOCK_BYTES = MAX_PACKET_BYTES + 131072;
/** Interfaces a file may describe. */
const MAX_INTERFACES = 65536;

const OPT_IF_NAME = 2;
const OPT_IF_DESCRIPTION = 3;
const OPT_IF_TSRESOL = 9;
const OPT_IF_TSOFFSET = 14;
const OPT_EPB_FLAGS = 2;

/** Decodes the blocks of one pcapng file. */
export class PcapngDecoder {
  /** Bytes of the block being passed over that have already left the window. */
  skippedOfBlockBytes = 0;

  private readonly fault: Fault;
  private readonly interfaces: CaptureInterface[];
  private readonly offsetSeconds: number[] = []; // if_tsoffset per interface
  private readonly option = new OptionCursor();
  private readonly time = new TimestampSplitter();
  private littleEndian = false;
  private sectionIndex = -1;
  private sectionBase = 0; // first interface of the section
  private packetCount = 0;
  private skipTotalBytes = 0; // length of the block being passed over, 0 for none
  private skipLeftBytes = 0; // of it, before its trailing length

  /** `interfaces` is filled as descriptions come. */
  constructor(fault: Fault, interfaces: CaptureInterface[]) {
    this.fault = fault;
    this.interfaces = interfaces;
  }

  /** Fills `record` with the next packet and returns true, or false when the window does not hold a whole block. */
  next(window: CaptureWindow, record: CaptureRecord): boolean {
    for (;;) {
      if (this.skipTotalBytes !== 0 && !this.skip(window)) return false;
      const at = window.at;
      const availableBytes = window.end - at;
      if (availableBytes < MIN_BLOCK_BYTES) return false;
      const type = window.view.getUint32(at, this.littleEndian);
      if (type === BLOCK_SECTION_HEADER) this.byteOrder(window);
      const totalBytes = window.view.getUint32(at + 4, this.littleEndian);
      if (totalBytes < MIN_BLOCK_BYTES || (totalBytes & 3) !== 0) {
        this.faultAt(window, 'a block length that is a multiple of 4 and at least 12', totalBytes);
      }
      if (isPassedOver(type)) {
        this.skipTotalBytes = totalBytes;
        this.skipLeftBytes = totalBytes - 4;
        continue;
      }
      if (totalBytes > MAX_BLOCK_BYTES) {
        this.faultAt(window, `a block of at most ${MAX_BLOCK_BYTES} bytes`, totalBytes);
      }
      if (availableBytes < totalBytes) return false;
      const trailer = window.view.getUint32(at + totalBytes - 4, this.littleEndian);
      if (trailer !== totalBytes) {
        this.faultAt(window, `the block length ${totalBytes} again at the block's end`, trailer);
      }
      if (type === BLOCK_SECTION_HEADER) this.section(window, totalBytes);
      else if (type === BLOCK_INTERFACE) this.interfaceDescription(window, totalBytes);
      else if (type === BLOCK_SIMPLE_PACKET) this.simplePacket(window, totalBytes, record);
      else this.packet(window, totalBytes, type === BLOCK_ENHANCED_PACKET, record);
      window.at = at + totalBytes;
      if (type !== BLOCK_SECTION_HEADER && type !== BLOCK_INTERFACE) return true;
    }
  }

  /** What would have to be there for a block, for the message about a truncated file. */
  expectation(window: CaptureWindow): string {
    if (this.skipTotalBytes !== 0) return `a block of ${this.skipTotalBytes} bytes`;
    if (window.end - window.at < MIN_BLOCK_BYTES) return 'a block of at least 12 bytes';
    return `a block of ${window.view.getUint32(window.at + 4, this.littleEndian)} bytes`;
  }

  /** Name of the block at which the file ends, undefined when it is (or may have been) a packet's. */
  placeAtEnd(window: CaptureWindow): string | undefined {
    if (this.skipTotalBytes !== 0) return 'block';
    if (window.end - window.at < 4) return this.sectionIndex < 0 ? 'section header' : undefined;
    const type = window.view.getUint32(window.at, this.littleEndian);
    if (type === BLOCK_SECTION_HEADER) return 'section header';
    return type === BLOCK_INTERFACE ? 'interface description' : undefined;
  }

  /** Passes over the block under way as far as the window reaches; true when it is over. */
  private skip(window: CaptureWindow): boolean {
    const takenBytes = Math.min(this.skipLeftBytes, window.end - window.at);
    window.at += takenBytes;
    this.skipLeftBytes -= takenBytes;
    this.skippedOfBlockBytes += takenBytes;
    if (this.skipLeftBytes > 0 || window.end - window.at < 4) return false;
    const trailer = window.view.getUint32(window.at, this.littleEndian);
    const totalBytes = this.skipTotalBytes;
    if (trailer !== totalBytes) {
      window.at -= this.skippedOfBlockBytes;
      this.faultAt(window, `the block length ${totalBytes} again at the block's end`, trailer);
    }
    window.at += 4;
    this.skipTotalBytes = 0;
    this.skippedOfBlockBytes = 0;
    return true;
  }

  /** Takes the byte order from a section header, before its length can be read. */
  private byteOrder(window: CaptureWindow): void {
    const magic = window.view.getUint32(window.at + 8, false);
    if (magic !== BYTE_ORDER_MAGIC && magic !== BYTE_ORDER_MAGIC_SWAPPED) {
      const found = `found ${magic.toString(16).padStart(8, '0')}`;
      const offset = window.baseOffset + window.at;
      this.fault(offset, `expected the byte-order magic 1a2b3c4d, ${found}`, 'section header');
    }
    this.littleEndian = magic === BYTE_ORDER_MAGIC_SWAPPED;
  }

  private section(window: CaptureWindow, totalBytes: number): void {
    if (totalBytes < SECTION_FIXED_BYTES) {
      this.faultAt(window, 'a section header of at least 28 bytes', totalBytes, 'section header');
    }
    const at = window.at;
    const fixed = window.bytes.subarray(at + 12, at + 24);
    const { versionMajor, versionMinor } = parseSectionHeader(fixed, this.littleEndian);
    if (versionMajor !== 1) {
      const found = `found ${versionMajor}.${versionMinor}`;
      this.fault(window.baseOffset + at, `expected version 1.0, ${found}`, 'section header');
    }
    this.sectionIndex++;
    this.sectionBase = this.interfaces.length;
  }

  private interfaceDescription(window: CaptureWindow, totalBytes: number): void {
    const what = 'interface description';
    if (totalBytes < INTERFACE_FIXED_BYTES) {
      this.faultAt(window, 'an interface description of at least 20 bytes', totalBytes, what);
    }
    const index = this.interfaces.length;
    if (index >= MAX_INTERFACES) {
      this.faultAt(window, `at most ${MAX_INTERFACES} interfaces`, index + 1, what);
    }
    const at = window.at;
    const little = this.littleEndian;
    const fixed = parseInterfaceDescription(window.bytes.subarray(at + 8, at + 16), little);
    let name = '';
    let description = '';
    let resolution = RESOLUTION_MICROSECONDS;
    let offsetSeconds = 0;
    const option = this.option;
    option.start(at + 16, at + totalBytes - 4);
    while (this.nextOption(window, what)) {
      const { code, valueAt, valueBytes } = option;
      if (code === OPT_IF_NAME) name = decodeUtf8(window.bytes, valueAt, valueBytes);
      else if (code === OPT_IF_DESCRIPTION) {
        description = decodeUtf8(window.bytes, valueAt, valueBytes);
      } else if (code === OPT_IF_TSRESOL && valueBytes === 1) resolution = window.bytes[valueAt];
      else if (code === OPT_IF_TSOFFSET && valueBytes === 8) {
        const high = window.view.getInt32(valueAt + (little ? 4 : 0), little);
        const low = window.view.getUint32(valueAt + (little ? 0 : 4), little);
        offsetSeconds = high * 4294967296 + low;
      }
    }
    this.offsetSeconds.push(offsetSeconds);
    this.interfaces.push({
      index,
      linkType: fixed.linkType,
      name,
      description,
      snaplenBytes: fixed.snaplenBytes,
      sectionIndex: this.sectionIndex,
      resolution,
    });
  }

  /** An enhanced packet block, or the obsolete one, which differs in a 16-bit interface number. */
  private packet(
    window: CaptureWindow,
    totalBytes: number,
    enhanced: boolean,
    record: CaptureRecord,
  ): void {
    const { at, view } = window;
    const little = this.littleEndian;
    if (totalBytes < PACKET_FIXED_BYTES) {
      this.faultAt(window, 'a packet block of at least 32 bytes', totalBytes);
    }
    const number = enhanced ? view.getUint32(at + 8, little) : view.getUint16(at + 8, little);
    const lenBytes = view.getUint32(at + 20, little);
    const wireLenBytes = view.getUint32(at + 24, little);
    const dataEnd = PACKET_FIXED_BYTES - 4 + ((lenBytes + 3) & ~3);
    if (lenBytes > MAX_PACKET_BYTES || lenBytes > wireLenBytes || dataEnd + 4 > totalBytes) {
      this.badLength(window, totalBytes - PACKET_FIXED_BYTES, lenBytes, wireLenBytes);
    }
    this.fill(window, number, record);
    this.time.split(
      view.getUint32(at + 12, little),
      view.getUint32(at + 16, little),
      this.interfaces[record.interfaceIndex].resolution,
    );
    record.at = at + PACKET_FIXED_BYTES - 4;
    record.lenBytes = lenBytes;
    record.wireLenBytes = wireLenBytes;
    record.snapped = lenBytes !== wireLenBytes;
    record.seconds = this.time.seconds + this.offsetSeconds[record.interfaceIndex];
    record.fractionPs = this.time.fractionPs;
    if (dataEnd + 4 < totalBytes) {
      this.packetOptions(window, at + dataEnd, at + totalBytes - 4, record);
    }
    this.packetCount++;
  }

  /** A simple packet block: of the section's first interface, without time, cut at that interface's snap length. */
  private simplePacket(window: CaptureWindow, totalBytes: number, record: CaptureRecord): void {
    if (totalBytes < SIMPLE_FIXED_BYTES) {
      this.faultAt(window, 'a simple packet block of at least 16 bytes', totalBytes);
    }
    const wireLenBytes = window.view.getUint32(window.at + 8, this.littleEndian);
    this.fill(window, 0, record);
    const snaplenBytes = this.interfaces[record.interfaceIndex].snaplenBytes;
    const cut = snaplenBytes !== 0 && snaplenBytes < wireLenBytes;
    const lenBytes = cut ? snaplenBytes : wireLenBytes;
    if (lenBytes > MAX_PACKET_BYTES || lenBytes > totalBytes - SIMPLE_FIXED_BYTES) {
      this.badLength(window, totalBytes - SIMPLE_FIXED_BYTES, lenBytes, wireLenBytes);
    }
    record.at = window.at + SIMPLE_FIXED_BYTES - 4;
    record.lenBytes = lenBytes;
    record.wireLenBytes = wireLenBytes;
    record.snapped = cut;
    record.seconds = this.time.seconds;
    record.fractionPs = this.time.fractionPs;
    this.packetCount++;
  }

  /** What all packet blocks have in common. `number` is the interface's number in its section. */
  private fill(window: CaptureWindow, number: number, record: CaptureRecord): void {
    const index = this.sectionBase + number;
    if (index >= this.interfaces.length) {
      const described = this.interfaces.length - this.sectionBase;
      this.faultAt(window, `one of the ${described} interfaces described`, `interface ${number}`);
    }
    const { linkType, name } = this.interfaces[index];
    if (!isLinkTypeSupported(linkType)) {
      const found = `${linkType} on interface ${number}${name === '' ? '' : ` (${name})`}`;
      this.faultAt(window, `link type ${SUPPORTED_LINK_TYPES}`, found);
    }
    record.bytes = window.bytes;
    record.interfaceIndex = index;
    record.linkType = linkType;
    record.direction = DIRECTION_UNKNOWN;
    record.packetNumber = this.packetCount + 1;
    record.fileOffset = window.baseOffset + window.at;
    record.comment = '';
  }

  private packetOptions(
    window: CaptureWindow,
    at: number,
    end: number,
    record: CaptureRecord,
  ): void {
    const option = this.option;
    option.start(at, end);
    while (this.nextOption(window)) {
      if (option.code === OPT_EPB_FLAGS && option.valueBytes === 4) {
        const direction = window.view.getUint32(option.valueAt, this.littleEndian) & 3;
        record.direction = direction === 3 ? DIRECTION_UNKNOWN : direction;
      } else if (option.code === OPT_COMMENT) {
        const text = decodeUtf8(window.bytes, option.valueAt, option.valueBytes);
        record.comment = record.comment === '' ? text : `${record.comment}\n${text}`;
      }
    }
  }

  private nextOption(window: CaptureWindow, what?: string): boolean {
    const step = this.option.next(window, this.littleEndian);
    if (step >= 0) return step === 1;
    const found = `${this.option.leftBytes} bytes left in its block`;
    const { code, valueBytes } = this.option;
    return this.faultAt(window, `${valueBytes} bytes of option ${code}`, found, what);
  }

  private badLength(
    window: CaptureWindow,
    roomBytes: number,
    lenBytes: number,
    wireLenBytes: number,
  ): never {
    if (lenBytes > MAX_PACKET_BYTES) {
      const limit = `a captured length of at most ${MAX_PACKET_BYTES} bytes`;
      return this.faultAt(window, limit, lenBytes);
    }
    if (lenBytes > wireLenBytes) {
      const least = `an original length of at least the captured ${lenBytes} bytes`;
      return this.faultAt(window, least, wireLenBytes);
    }
    return this.faultAt(window, `at most ${roomBytes} captured bytes in its block`, lenBytes);
  }

  private faultAt(
    window: CaptureWindow,
    expected: string,
    found: string | number,
    what?: string,
  ): never {
    const offset = window.baseOffset + window.at;
    return this.fault(offset, `expected ${expected}, found ${found}`, what);
  }
}

function isPassedOver(type: number): boolean {
  return (
    type !== BLOCK_ENHANCED_PACKET &&
    type !== BLOCK_INTERFACE &&
    type !== BLOCK_SECTION_HEADER &&
    type !== BLOCK_SIMPLE_PACKET &&
    type !== BLOCK_OBSOLETE_PACKET
  );
}
