// Writes classic pcap files, micro- or nanosecond, little-endian, as chunks of bytes for a sink.

import { assert } from '../../hw/base/assert.ts';
import type { ByteSink } from './chunk-buffer.ts';
import { assertLengths, ChunkBuffer } from './chunk-buffer.ts';
import { LINKTYPE_ETHERNET } from './link-types.ts';
import { MAX_PACKET_BYTES, PCAP_HEADER_BYTES } from './pcap-format.ts';

const RECORD_HEADER_BYTES = 16;

/** What a classic file says of itself. */
export interface PcapWriterOptions {
  /** Default Ethernet. */
  linkType?: number;
  /** Unit of time stamps, default nanoseconds; finer times are cut. */
  resolution?: 'us' | 'ns';
  /** Packets are cut at this many bytes; default and maximum 262,144. */
  snaplenBytes?: number;
}

export class PcapWriter {
  /** Packets written. */
  packetCount = 0;
  private readonly buffer: ChunkBuffer;
  private readonly psPerUnit: number;
  private readonly snaplenBytes: number;

  /** Starts with the file header. `sink` is called with bytes that it must take at once. */
  constructor(sink: ByteSink, options: PcapWriterOptions = {}) {
    this.buffer = new ChunkBuffer(sink);
    const nano = (options.resolution ?? 'ns') === 'ns';
    this.psPerUnit = nano ? 1e3 : 1e6;
    this.snaplenBytes = options.snaplenBytes ?? MAX_PACKET_BYTES;
    assert(this.snaplenBytes > 0 && this.snaplenBytes <= MAX_PACKET_BYTES, 'bad snap length');
    const at = this.buffer.take(PCAP_HEADER_BYTES);
    const { view } = this.buffer;
    view.setUint32(at, nano ? 0xa1b23c4d : 0xa1b2c3d4, true);
    view.setUint16(at + 4, 2, true);
    view.setUint16(at + 6, 4, true);
    view.setUint32(at + 8, 0, true);
    view.setUint32(at + 12, 0, true);
    view.setUint32(at + 16, this.snaplenBytes, true);
    view.setUint32(at + 20, options.linkType ?? LINKTYPE_ETHERNET, true);
  }

  /**
   * Appends a packet of `lenBytes` bytes at `at`, which was `wireLenBytes` long on the wire. Time: whole seconds
   * (below 2^32) and picoseconds within the second.
   */
  write(
    bytes: Uint8Array,
    at: number,
    lenBytes: number,
    wireLenBytes: number,
    seconds: number,
    fractionPs: number,
  ): void {
    assertLengths(lenBytes, wireLenBytes);
    const keptBytes = Math.min(lenBytes, this.snaplenBytes);
    const buffer = this.buffer;
    const to = buffer.take(RECORD_HEADER_BYTES + keptBytes);
    const { view } = buffer;
    view.setUint32(to, seconds, true);
    view.setUint32(to + 4, Math.floor(fractionPs / this.psPerUnit), true);
    view.setUint32(to + 8, keptBytes, true);
    view.setUint32(to + 12, wireLenBytes, true);
    buffer.copy(to + RECORD_HEADER_BYTES, bytes, at, keptBytes);
    this.packetCount++;
  }

  /** Hands everything written so far to the sink. Needed at the end. */
  flush(): void {
    this.buffer.flush();
  }
}
