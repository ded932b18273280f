// Captures written byte by byte for the tests, from the format descriptions and not with the project's writers.

import { CaptureReader, CaptureRecord } from '../../../src/capture/index.ts';

/** Bytes from numbers and arrays, one after the other. */
export function join(...parts: (ArrayLike<number> | number)[]): Uint8Array {
  const chunks = parts.map((part) => Uint8Array.from(typeof part === 'number' ? [part] : part));
  const all = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

/** Integers of one byte order. */
export class Order {
  private readonly little: boolean;

  constructor(little: boolean) {
    this.little = little;
  }

  u16(value: number): number[] {
    const bytes = [(value >>> 8) & 0xff, value & 0xff];
    return this.little ? bytes.reverse() : bytes;
  }

  u32(value: number): number[] {
    const bytes = [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) & 0xff);
    return this.little ? bytes.reverse() : bytes;
  }

  u64(value: bigint): number[] {
    const bytes: number[] = [];
    for (let i = 0n; i < 8n; i++) bytes.push(Number((value >> (56n - 8n * i)) & 0xffn));
    return this.little ? bytes.reverse() : bytes;
  }

  /** High half first, as packet blocks have it, each half in the byte order. */
  halves(value: bigint): number[] {
    return [
      ...this.u32(Number((value >> 32n) & 0xffffffffn)),
      ...this.u32(Number(value & 0xffffffffn)),
    ];
  }

  block(type: number, body: ArrayLike<number>): Uint8Array {
    const total = body.length + 12;
    return join(this.u32(type), this.u32(total), body, this.u32(total));
  }

  option(code: number, value: ArrayLike<number>): Uint8Array {
    return join(this.u16(code), this.u16(value.length), value, new Uint8Array(-value.length & 3));
  }

  section(): Uint8Array {
    const body = join(this.u32(0x1a2b3c4d), this.u16(1), this.u16(0), this.u64((1n << 64n) - 1n));
    return this.block(0x0a0d0d0a, body);
  }

  interface(linkType: number, snaplen = 0, options: ArrayLike<number> = []): Uint8Array {
    return this.block(1, join(this.u16(linkType), this.u16(0), this.u32(snaplen), options));
  }

  enhanced(
    number: number,
    time: bigint,
    data: ArrayLike<number>,
    wireLen: number = data.length,
    options: ArrayLike<number> = [],
  ): Uint8Array {
    const lengths = join(this.u32(data.length), this.u32(wireLen));
    const padding = new Uint8Array(-data.length & 3);
    return this.block(
      6,
      join(this.u32(number), this.halves(time), lengths, data, padding, options),
    );
  }

  pcapHeader(nano = false, linkType = 1): Uint8Array {
    const versions = join(this.u16(2), this.u16(4));
    const rest = join(this.u32(0), this.u32(0), this.u32(65535), this.u32(linkType));
    return join(this.u32(nano ? 0xa1b23c4d : 0xa1b2c3d4), versions, rest);
  }

  pcapRecord(
    seconds: number,
    units: number,
    data: ArrayLike<number>,
    wireLen: number = data.length,
  ): Uint8Array {
    return join(this.u32(seconds), this.u32(units), this.u32(data.length), this.u32(wireLen), data);
  }
}

export const LITTLE = new Order(true);
export const BIG = new Order(false);

/** A packet as read, with bytes of its own. */
export interface ReadPacket {
  data: number[];
  wireLen: number;
  seconds: number;
  fractionPs: number;
  interfaceIndex: number;
  linkType: number;
  direction: number;
  snapped: boolean;
  number: number;
  fileOffset: number;
  comment: string;
}

/** Reads all of `bytes` in pieces of `pieceBytes`; `error` is the message at the end, '' when there was none. */
export function readAll(
  bytes: Uint8Array,
  pieceBytes: number = bytes.length,
): { packets: ReadPacket[]; error: string; reader: CaptureReader } {
  const reader = new CaptureReader('FILE');
  const record = new CaptureRecord();
  const packets: ReadPacket[] = [];
  try {
    for (let at = 0; at < bytes.length; at += Math.max(pieceBytes, 1)) {
      reader.feed(bytes, at, Math.min(pieceBytes, bytes.length - at));
      while (reader.next(record)) packets.push(snapshot(record));
    }
    reader.finish();
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'CaptureError') throw error;
    return { packets, error: error.message, reader };
  }
  return { packets, error: '', reader };
}

function snapshot(record: CaptureRecord): ReadPacket {
  return {
    data: Array.from(record.bytes.subarray(record.at, record.at + record.lenBytes)),
    wireLen: record.wireLenBytes,
    seconds: record.seconds,
    fractionPs: record.fractionPs,
    interfaceIndex: record.interfaceIndex,
    linkType: record.linkType,
    direction: record.direction,
    snapped: record.snapped,
    number: record.packetNumber,
    fileOffset: record.fileOffset,
    comment: record.comment,
  };
}
