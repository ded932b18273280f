// Reads captures, pcap and pcapng, from bytes that are pushed in; hands out one packet at a time in a reused record.
//
// Use: `feed(bytes)` (or `room` + `filled`, which saves a copy), then `next(record)` until it returns false, and so on;
// after the last bytes `finish()`, which tells a truncated file. A bad file throws CaptureError once everything before
// the fault has been delivered, and again at each later call. Memory: what is fed at once plus one record; lengths that
// the file claims are checked against limits before anything waits for them.
//
// Formats: pcap-format.ts, pcapng-format.ts. Compressed files are unpacked outside (src/node/capture-files.ts).

import { assert } from '../../hw/base/assert.ts';
import { CaptureError } from './errors.ts';
import { PCAP_HEADER_BYTES, PcapDecoder } from './pcap-format.ts';
import { PcapngDecoder } from './pcapng-format.ts';
import type { CaptureInterface, CaptureRecord } from './record.ts';
import { CaptureWindow } from './window.ts';

/** Format of the file as its first bytes tell. */
export type CaptureFormat = 'unknown' | 'pcap' | 'pcapng';

const MAGIC_BYTES = 4;

export class CaptureReader {
  /** Format of the file, 'unknown' until its first four bytes have come in. */
  format: CaptureFormat = 'unknown';
  /** Packets delivered. */
  packetCount = 0;
  /** Interfaces described so far; `record.interfaceIndex` is an index into it. */
  readonly interfaces: CaptureInterface[] = [];

  private readonly file: string;
  private readonly input = new CaptureWindow();
  private pcap: PcapDecoder | null = null;
  private pcapng: PcapngDecoder | null = null;
  private error: CaptureError | null = null;
  private roomBytes = 0;

  /** `file` is the name that messages begin with. */
  constructor(file: string) {
    this.file = file;
  }

  /** Takes in a copy of `lenBytes` bytes at `at`. Drain `next` first: what is not read is kept, and grows the window. */
  feed(bytes: Uint8Array, at = 0, lenBytes: number = bytes.length - at): void {
    const input = this.input;
    input.room(lenBytes);
    input.bytes.set(
      at === 0 && lenBytes === bytes.length ? bytes : bytes.subarray(at, at + lenBytes),
      input.end,
    );
    input.end += lenBytes;
  }

  /**
   * Makes room for `lenBytes` in the reader's own window and returns the array to write into, from `roomAt` on.
   * Afterwards call `filled`. Bytes of records handed out before are gone.
   */
  room(lenBytes: number): Uint8Array {
    this.input.room(lenBytes);
    this.roomBytes = lenBytes;
    return this.input.bytes;
  }

  /** Where to write in the array returned by `room`. */
  get roomAt(): number {
    return this.input.end;
  }

  /** Says that `lenBytes` bytes have been written at `roomAt`. */
  filled(lenBytes: number): void {
    assert(lenBytes <= this.roomBytes, 'filled: more bytes than there was room for');
    this.roomBytes = 0;
    this.input.end += lenBytes;
  }

  /**
   * Fills `record` with the next packet and returns true; false when more bytes are needed (or, at the end of the file,
   * when all have been read). Throws CaptureError at bytes that cannot be read.
   */
  next(record: CaptureRecord): boolean {
    if (this.error !== null) throw this.error;
    let found = false;
    if (this.pcap !== null) found = this.pcap.next(this.input, record);
    else if (this.pcapng !== null) found = this.pcapng.next(this.input, record);
    else if (this.begin()) return this.next(record);
    if (found) this.packetCount = record.packetNumber;
    return found;
  }

  /** Ends the file: throws CaptureError when it stops inside a header, record or block. */
  finish(): void {
    if (this.error !== null) throw this.error;
    const input = this.input;
    const foundBytes = input.end - input.at;
    const offset = input.baseOffset + input.at;
    const end = 'found the end of the file after';
    if (this.pcap !== null) {
      if (foundBytes === 0) return;
      this.fail(offset, `expected ${this.pcap.expectation(input)}, ${end} ${foundBytes}`);
    }
    if (this.pcapng !== null) {
      const skippedBytes = this.pcapng.skippedOfBlockBytes;
      const seenBytes = foundBytes + skippedBytes;
      if (seenBytes === 0) return;
      const fault = `expected ${this.pcapng.expectation(input)}, ${end} ${seenBytes}`;
      this.fail(offset - skippedBytes, fault, this.pcapng.placeAtEnd(input));
    }
    const needed = foundBytes < MAGIC_BYTES ? 'a capture' : 'a header of 24 bytes';
    this.fail(0, `expected ${needed}, ${end} ${foundBytes}`, 'file header');
  }

  /** Looks at the magic; returns false while there are too few bytes. */
  private begin(): boolean {
    const { view, at, end } = this.input;
    if (end - at < MAGIC_BYTES) return false;
    const magic = view.getUint32(at, false);
    if (magic === 0x0a0d0d0a) {
      this.format = 'pcapng';
      this.pcapng = new PcapngDecoder(this.fail, this.interfaces);
      return true;
    }
    const little = magic === 0xd4c3b2a1 || magic === 0x4d3cb2a1;
    const nano = magic === 0xa1b23c4d || magic === 0x4d3cb2a1;
    if (!little && !nano && magic !== 0xa1b2c3d4) this.badMagic(magic);
    this.format = 'pcap';
    if (end - at < PCAP_HEADER_BYTES) return false;
    this.pcap = new PcapDecoder(this.input, { little, nano }, this.fail);
    this.interfaces.push(this.pcap.interface);
    return true;
  }

  private badMagic(magic: number): never {
    const hex = magic.toString(16).padStart(8, '0');
    const found = magic >>> 16 === 0x1f8b ? `${hex} (gzip: unpack it first)` : hex;
    return this.fail(
      0,
      `expected the magic of a pcap or pcapng file, found ${found}`,
      'file header',
    );
  }

  /** Throws the CaptureError for the packet being read, or for the header named `what`. */
  private readonly fail = (offset: number, fault: string, what?: string): never => {
    const packetNumber = what === undefined ? this.packetCount + 1 : 0;
    const place = { file: this.file, packetNumber, what: what ?? `packet ${packetNumber}`, offset };
    this.error = new CaptureError(place, fault);
    throw this.error;
  };
}
