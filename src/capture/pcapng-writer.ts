// Writes pcapng files as chunks of bytes for a sink: one little-endian section, interfaces with names, nanosecond time
// stamps (if_tsresol 9), enhanced packet blocks with direction and comment where there is one.

import { assert } from '../../hw/base/assert.ts';
import type { ByteSink } from './chunk-buffer.ts';
import { assertLengths, ChunkBuffer } from './chunk-buffer.ts';
import { LINKTYPE_ETHERNET } from './link-types.ts';
import {
  BLOCK_ENHANCED_PACKET,
  BLOCK_INTERFACE,
  BLOCK_SECTION_HEADER,
  BYTE_ORDER_MAGIC,
} from './pcapng-format.ts';
import { OPT_COMMENT } from './options.ts';
import { MAX_PACKET_BYTES } from './pcap-format.ts';
import { DIRECTION_UNKNOWN } from './record.ts';
import { encodeUtf8 } from './text.ts';

const OPT_USERAPPL = 4;
const OPT_IF_NAME = 2;
const OPT_IF_TSRESOL = 9;
const OPT_EPB_FLAGS = 2;
const PACKET_FIXED_BYTES = 32;
const MAX_OPTION_BYTES = 65535;
const NANOSECONDS = Uint8Array.of(9);
const NO_BYTES = new Uint8Array(0);

/** An interface as its description block tells it. */
export interface PcapngInterfaceOptions {
  name: string;
  /** Default Ethernet. */
  linkType?: number;
  /** Packets are cut at this many bytes; default and maximum 262,144. */
  snaplenBytes?: number;
}

export class PcapngWriter {
  /** Packets written. */
  packetCount = 0;
  private readonly buffer: ChunkBuffer;
  private readonly snaplens: number[] = [];

  /** Starts with the section header; `application` is the program's name in it. */
  constructor(sink: ByteSink, application = 'flowtwin') {
    this.buffer = new ChunkBuffer(sink);
    const name = encodeUtf8(application, MAX_OPTION_BYTES);
    const totalBytes = 28 + optionBytes(name.length) + 4;
    const at = this.begin(BLOCK_SECTION_HEADER, totalBytes);
    const { view } = this.buffer;
    view.setUint32(at + 8, BYTE_ORDER_MAGIC, true);
    view.setUint16(at + 12, 1, true);
    view.setUint16(at + 14, 0, true);
    view.setUint32(at + 16, 0xffffffff, true); // section length not given
    view.setUint32(at + 20, 0xffffffff, true);
    this.endOptions(this.option(at + 24, OPT_USERAPPL, name));
  }

  /** Describes one more interface, at any time; returns its number. */
  addInterface(options: PcapngInterfaceOptions): number {
    const name = encodeUtf8(options.name, MAX_OPTION_BYTES);
    const snaplenBytes = options.snaplenBytes ?? MAX_PACKET_BYTES;
    assert(snaplenBytes > 0 && snaplenBytes <= MAX_PACKET_BYTES, 'bad snap length');
    const totalBytes = 20 + optionBytes(name.length) + optionBytes(1) + 4;
    const at = this.begin(BLOCK_INTERFACE, totalBytes);
    const { view } = this.buffer;
    view.setUint16(at + 8, options.linkType ?? LINKTYPE_ETHERNET, true);
    view.setUint16(at + 10, 0, true);
    view.setUint32(at + 12, snaplenBytes, true);
    const next = this.option(at + 16, OPT_IF_NAME, name);
    this.endOptions(this.option(next, OPT_IF_TSRESOL, NANOSECONDS));
    this.snaplens.push(snaplenBytes);
    return this.snaplens.length - 1;
  }

  /**
   * Appends a packet of interface `interfaceNumber`: `lenBytes` bytes at `at`, `wireLenBytes` on the wire, at `seconds`
   * and `fractionPs` (cut to nanoseconds), with a DIRECTION_* and a comment if there is one.
   */
  write(
    interfaceNumber: number,
    bytes: Uint8Array,
    at: number,
    lenBytes: number,
    wireLenBytes: number,
    seconds: number,
    fractionPs: number,
    direction = DIRECTION_UNKNOWN,
    comment = '',
  ): void {
    assertLengths(lenBytes, wireLenBytes);
    assert(interfaceNumber < this.snaplens.length, 'interface not described');
    const keptBytes = Math.min(lenBytes, this.snaplens[interfaceNumber]);
    const paddedBytes = (keptBytes + 3) & ~3;
    const text = comment === '' ? NO_BYTES : encodeUtf8(comment, MAX_OPTION_BYTES);
    let optionsBytes = 0;
    if (text.length > 0) optionsBytes += optionBytes(text.length);
    if (direction !== DIRECTION_UNKNOWN) optionsBytes += optionBytes(4);
    if (optionsBytes > 0) optionsBytes += 4;
    const to = this.begin(BLOCK_ENHANCED_PACKET, PACKET_FIXED_BYTES + paddedBytes + optionsBytes);
    const { view } = this.buffer;
    view.setUint32(to + 8, interfaceNumber, true);
    this.time(to + 12, seconds, Math.floor(fractionPs / 1e3));
    view.setUint32(to + 20, keptBytes, true);
    view.setUint32(to + 24, wireLenBytes, true);
    this.buffer.copy(to + 28, bytes, at, keptBytes);
    this.buffer.bytes.fill(0, to + 28 + keptBytes, to + 28 + paddedBytes);
    if (optionsBytes > 0) this.packetOptions(to + 28 + paddedBytes, text, direction);
    this.packetCount++;
  }

  /** Hands everything written so far to the sink. Needed at the end. */
  flush(): void {
    this.buffer.flush();
  }

  private packetOptions(at: number, text: Uint8Array, direction: number): void {
    let next = at;
    if (text.length > 0) next = this.option(next, OPT_COMMENT, text);
    if (direction !== DIRECTION_UNKNOWN) {
      const { view } = this.buffer;
      view.setUint16(next, OPT_EPB_FLAGS, true);
      view.setUint16(next + 2, 4, true);
      view.setUint32(next + 4, direction, true);
      next += 8;
    }
    this.endOptions(next);
  }

  /** `seconds * 10^9 + ns` as two 32-bit halves: the product of halves of 16 bits stays exact. */
  private time(at: number, seconds: number, ns: number): void {
    const upperSeconds = Math.floor(seconds / 65536);
    const upper = upperSeconds * 1e9; // in units of 2^16 ns
    const lower = (upper % 65536) * 65536 + (seconds - upperSeconds * 65536) * 1e9 + ns;
    const carry = Math.floor(lower / 4294967296);
    const { view } = this.buffer;
    view.setUint32(at, Math.floor(upper / 65536) + carry, true);
    view.setUint32(at + 4, lower - carry * 4294967296, true);
  }

  /** Takes room for a block, writes type and both lengths, returns where it starts. */
  private begin(type: number, totalBytes: number): number {
    const at = this.buffer.take(totalBytes);
    const { view } = this.buffer;
    view.setUint32(at, type, true);
    view.setUint32(at + 4, totalBytes, true);
    view.setUint32(at + totalBytes - 4, totalBytes, true);
    return at;
  }

  private option(at: number, code: number, value: Uint8Array): number {
    const { view, bytes } = this.buffer;
    view.setUint16(at, code, true);
    view.setUint16(at + 2, value.length, true);
    bytes.set(value, at + 4);
    const end = at + optionBytes(value.length);
    bytes.fill(0, at + 4 + value.length, end);
    return end;
  }

  private endOptions(at: number): void {
    this.buffer.view.setUint32(at, 0, true);
  }
}

/** Length of an option with its header and padding. */
function optionBytes(valueBytes: number): number {
  return 4 + ((valueBytes + 3) & ~3);
}
