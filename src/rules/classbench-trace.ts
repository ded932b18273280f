// ClassBench traces, the headers that its trace generator draws from a filter file. One header a line, decimal or 0x numbers:
//
//   SRC  DST  SRC_PORT  DST_PORT  PROTOCOL  [FLAGS  [RULE]]
//
// RULE is the rule that the generator drew the header from, not necessarily the one that wins; it and FLAGS are checked and
// ignored. Comes in pieces of any length; keys come out as words for FiveTupleClassifier.

import { ByteScanner } from './byte-scan.ts';

const LINE_FEED = 10;
/** Words of a key: source, destination, ports (source port << 16 | destination port), protocol. */
export const TRACE_KEY_WORDS = 4;

/** Reads traces piece by piece. */
export class TraceReader {
  /** Keys of the last `feed`, TRACE_KEY_WORDS words each. */
  keys = new Int32Array(1024 * TRACE_KEY_WORDS);
  private readonly file: string;
  private line = 1;
  private kept: Uint8Array = new Uint8Array(0);
  private keyCount = 0;

  /** `file` is the name that messages begin with. */
  constructor(file: string) {
    this.file = file;
  }

  /**
   * Reads the lines that `chunk` completes into `keys` and returns how many there are. Throws RuleSyntaxError at a malformed
   * line; `readBeforeFault` headers before it are in `keys`.
   */
  feed(chunk: Uint8Array): number {
    const end = chunk.lastIndexOf(LINE_FEED) + 1;
    if (end === 0) {
      this.kept = joined(this.kept, chunk);
      return (this.keyCount = 0);
    }
    const bytes = joined(this.kept, chunk.subarray(0, end));
    this.kept = chunk.slice(end);
    return this.read(bytes);
  }

  /** Reads a last line without a line feed, as `feed` does. */
  finish(): number {
    const bytes = this.kept;
    this.kept = new Uint8Array(0);
    return this.read(bytes);
  }

  /** Headers that the last `feed` or `finish` read, also when it threw. */
  get readBeforeFault(): number {
    return this.keyCount;
  }

  private read(bytes: Uint8Array): number {
    const scanner = new ByteScanner(this.file, bytes, 0, bytes.length, this.line);
    this.keyCount = 0;
    while (scanner.nextLine()) {
      const at = this.keyCount * TRACE_KEY_WORDS;
      if (at === this.keys.length) {
        const keys = new Int32Array(2 * this.keys.length);
        keys.set(this.keys);
        this.keys = keys;
      }
      readHeader(scanner, this.keys, at);
      this.keyCount++;
    }
    this.line = scanner.line;
    return this.keyCount;
  }
}

function readHeader(scanner: ByteScanner, keys: Int32Array, at: number): void {
  keys[at] = scanner.takeNumber(0xffffffff, 'a source address as a number');
  nextColumn(scanner, 'the destination address');
  keys[at + 1] = scanner.takeNumber(0xffffffff, 'a destination address as a number');
  nextColumn(scanner, 'the source port');
  const srcPort = scanner.takeNumber(65535, 'a source port');
  nextColumn(scanner, 'the destination port');
  keys[at + 2] = (srcPort << 16) | scanner.takeNumber(65535, 'a destination port');
  nextColumn(scanner, 'the protocol');
  keys[at + 3] = scanner.takeNumber(255, 'a protocol');
  for (const what of ['flags', 'a rule number']) {
    if (!scanner.skipBlanks() || scanner.atLineEnd()) break;
    scanner.takeNumber(0xffffffff, what);
  }
  scanner.skipBlanks();
  if (!scanner.atLineEnd()) scanner.fail('the end of the line');
  scanner.endLine();
}

function nextColumn(scanner: ByteScanner, what: string): void {
  if (!scanner.skipBlanks() || scanner.atLineEnd()) scanner.fail(`a blank and ${what}`);
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b.slice();
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
