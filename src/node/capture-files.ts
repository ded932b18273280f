// Capture files for the program: opening by path or `-` (standard input), gzip by its magic, and writing.
//
// One way to read all of them:
//
//   const input = openCapture(path);
//   do while (input.next(record)) ...; while (await input.more());
//   input.close();
//
// A plain file is read synchronously inside `next` (256 KiB at a time, straight into the reader's window): there `more` is
// only the confirmation of the end. Standard input and gzip bring their bytes in `more`. Memory is bounded either way.
// Faults of the capture are CaptureErrors, faults of the file (not there, gzip broken) InputErrors; both carry one line.

import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import process from 'node:process';
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { ByteSink, CaptureInterface, CaptureRecord } from '../capture/index.ts';
import { CaptureReader } from '../capture/index.ts';
import { InputError, systemErrorText } from './errors.ts';

/** Fits the second-level cache: 1 MiB at a time cost 8 % of the hardware path in cache misses. */
const CHUNK_BYTES = 256 * 1024;
/** Compressed bytes per step: what comes out of them waits in the stream. */
const GZIP_CHUNK_BYTES = 64 * 1024;
const STDIN_NAME = '(standard input)';

/** One capture being read. */
export class CaptureInput {
  /** Name for messages. */
  readonly file: string;
  /** The reader: its interfaces and counts. */
  readonly reader: CaptureReader;
  private fd: number; // of a plain file, -1 for none
  private chunks: AsyncIterator<Uint8Array> | null;
  private ended = false;

  /** Reads `fd` synchronously, or `chunks` when there are any; `first` has already been read. */
  constructor(
    file: string,
    fd: number,
    first: Uint8Array | null,
    chunks: AsyncIterable<Uint8Array> | null,
  ) {
    this.file = file;
    this.reader = new CaptureReader(file);
    this.fd = fd;
    this.chunks = chunks === null ? null : chunks[Symbol.asyncIterator]();
    if (first !== null) this.reader.feed(first);
  }

  /** The interfaces described so far. */
  get interfaces(): readonly CaptureInterface[] {
    return this.reader.interfaces;
  }

  /**
   * Fills `record` with the next packet. False: ask `more`. Throws CaptureError at a fault of the capture and InputError
   * at one of the file, once everything before it has been delivered.
   */
  next(record: CaptureRecord): boolean {
    for (;;) {
      if (this.reader.next(record)) return true;
      if (this.ended || this.chunks !== null || !this.fill()) return false;
    }
  }

  /** Brings in more bytes; false when the capture has ended. Throws as `next` does. */
  async more(): Promise<boolean> {
    if (this.ended || this.chunks === null) return false;
    let step: IteratorResult<Uint8Array>;
    try {
      step = await this.chunks.next();
    } catch (error) {
      this.ended = true;
      const text = error instanceof Error ? error.message : String(error);
      const place = `${this.file}: packet ${this.reader.packetCount + 1}`;
      throw new InputError(`${place}: expected more data, found an error: ${text}`);
    }
    if (step.done === true) {
      this.ended = true;
      this.reader.finish();
      return false;
    }
    this.reader.feed(step.value);
    return true;
  }

  /** Closes the file. May be called at any time, and again. */
  close(): void {
    this.ended = true;
    if (this.chunks?.return !== undefined) this.chunks.return().catch(() => undefined);
    this.chunks = null;
    if (this.fd > 2) closeSync(this.fd);
    this.fd = -1;
  }

  /** Reads the next stretch of a plain file; false at its end. */
  private fill(): boolean {
    const reader = this.reader;
    const bytes = reader.room(CHUNK_BYTES);
    const readBytes = readInto(this.file, this.fd, bytes, reader.roomAt, CHUNK_BYTES);
    reader.filled(readBytes);
    if (readBytes > 0) return true;
    this.ended = true;
    reader.finish();
    return false;
  }
}

/** Opens a capture: a path, or `-` for standard input. Throws InputError when it cannot be opened or read. */
export function openCapture(pathOrDash: string): CaptureInput {
  if (pathOrDash === '-') {
    return new CaptureInput(STDIN_NAME, -1, null, unpacked(process.stdin));
  }
  let fd: number;
  try {
    fd = openSync(pathOrDash, 'r');
  } catch (error) {
    throw new InputError(systemErrorText(pathOrDash, error));
  }
  const first = new Uint8Array(GZIP_CHUNK_BYTES);
  let firstBytes = 0;
  while (firstBytes < 2) {
    const readBytes = readInto(pathOrDash, fd, first, firstBytes, first.length - firstBytes);
    if (readBytes === 0) break;
    firstBytes += readBytes;
  }
  const start = first.subarray(0, firstBytes);
  if (!isGzip(start)) return new CaptureInput(pathOrDash, fd, start, null);
  return new CaptureInput(pathOrDash, fd, null, gunzipped(fileChunks(pathOrDash, fd, start)));
}

/** The bytes of a capture as chunks, unpacked when they are gzip: for whoever reads without CaptureInput. */
export async function* captureChunks(pathOrDash: string): AsyncGenerator<Uint8Array> {
  if (pathOrDash === '-') {
    yield* unpacked(process.stdin);
    return;
  }
  let fd: number;
  try {
    fd = openSync(pathOrDash, 'r');
  } catch (error) {
    throw new InputError(systemErrorText(pathOrDash, error));
  }
  try {
    yield* unpacked(fileChunks(pathOrDash, fd, new Uint8Array(0)));
  } finally {
    closeSync(fd);
  }
}

/** A file being written: give `sink` to a writer, then `close`. */
export class CaptureOutput {
  /** Writes bytes at once. Throws InputError when the system refuses. */
  readonly sink: ByteSink;
  private readonly fd: number;

  /** Creates or empties the file; `-` is standard output. */
  constructor(pathOrDash: string) {
    try {
      this.fd = pathOrDash === '-' ? 1 : openSync(pathOrDash, 'w');
    } catch (error) {
      throw new InputError(systemErrorText(pathOrDash, error));
    }
    const file = pathOrDash === '-' ? '(standard output)' : pathOrDash;
    this.sink = (bytes) => writeAll(file, this.fd, bytes);
  }

  /** Closes the file; flush the writer first. */
  close(): void {
    if (this.fd > 2) closeSync(this.fd);
  }
}

/** Writes all of `bytes`, waiting when a pipe is full. */
export function writeAll(file: string, fd: number, bytes: Uint8Array): void {
  let at = 0;
  while (at < bytes.length) {
    try {
      at += writeSync(fd, bytes, at, bytes.length - at);
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : '';
      // Whoever reads our output may stop early (`| head`): that is no error.
      if (code === 'EPIPE' && fd === 1) process.exit(0);
      if (code !== 'EAGAIN') throw new InputError(systemErrorText(file, error));
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

function isGzip(bytes: Uint8Array): boolean {
  return bytes.length >= 2 && bytes[0] === 0x1f && bytes[1] === 0x8b;
}

function readInto(
  file: string,
  fd: number,
  bytes: Uint8Array,
  at: number,
  lenBytes: number,
): number {
  try {
    return readSync(fd, bytes, at, lenBytes, null);
  } catch (error) {
    throw new InputError(systemErrorText(file, error));
  }
}

/** What has been read already, then the rest of the file. */
function* fileChunks(file: string, fd: number, start: Uint8Array): Generator<Uint8Array> {
  if (start.length > 0) yield start;
  for (;;) {
    const chunk = new Uint8Array(GZIP_CHUNK_BYTES);
    const readBytes = readInto(file, fd, chunk, 0, chunk.length);
    if (readBytes === 0) return;
    yield chunk.subarray(0, readBytes);
  }
}

async function* gunzipped(
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const source = Readable.from(chunks, { objectMode: true, highWaterMark: 1 });
  const gunzip = createGunzip({ chunkSize: GZIP_CHUNK_BYTES });
  source.on('error', (error) => gunzip.destroy(error));
  source.pipe(gunzip);
  try {
    for await (const chunk of gunzip) yield chunk as Uint8Array;
  } finally {
    source.destroy();
    gunzip.destroy();
  }
}

/** Passes chunks on, through gunzip when the first two bytes say so. */
async function* unpacked(
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const iterator = pull(chunks);
  let start: Uint8Array = new Uint8Array(0);
  while (start.length < 2) {
    const step = await iterator.next();
    if (step.done === true) break;
    start = start.length === 0 ? step.value : concat(start, step.value);
  }
  const all = prepend(start, iterator);
  yield* isGzip(start) ? gunzipped(all) : all;
}

async function* pull(
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

async function* prepend(
  start: Uint8Array,
  rest: AsyncGenerator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  if (start.length > 0) yield start;
  yield* rest;
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
