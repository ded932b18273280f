// ClassBench filter files (Taylor and Turner, "ClassBench: A Packet Classification Benchmark", 2005), as its generator
// writes them. One rule a line, earlier lines win:
//
//   @SRC/LEN  DST/LEN  LOW : HIGH  LOW : HIGH  PROTOCOL/MASK  [FLAGS/MASK]
//
// source and destination prefix, source and destination port range, protocol; numbers decimal or 0x. Blanks or tabs
// between columns; `#` opens a comment line. The last column is checked and ignored, as five-tuple tools do: for TCP it is
// 16 bits of the header that the seeds say little about, for ICMP type and code.
//
// Rules are held as columns of one Int32Array, not as objects: 100,000 of them are 4.8 MB. As neutral rules: below,
// and classbench-print.ts; headers to look up: classbench-trace.ts.

import type { FiveTupleClassifier, FiveTupleRule } from '../../hw/table/classifier/five-tuple.ts';
import { ByteScanner } from './byte-scan.ts';
import { RuleDraft } from './draft.ts';
import { ETH_IPV4 } from './names.ts';
import type { Place, Rule } from './rule.ts';
import { RuleSyntaxError } from './scan.ts';
import type { LogicalLine } from './scan.ts';

// Words of a rule in `FiveTupleList.words`.
const SRC = 0;
const SRC_MASK = 1;
const DST = 2;
const DST_MASK = 3;
const SRC_PORT_LOW = 4;
const SRC_PORT_HIGH = 5;
const DST_PORT_LOW = 6;
const DST_PORT_HIGH = 7;
const PROTOCOL = 8;
const PROTOCOL_MASK = 9;
const PRIORITY = 10;
const LINE = 11;
const RULE_WORDS = 12;

/** Rules in file order, as numbers. */
export class FiveTupleList {
  /** Rules in the list. */
  count = 0;
  private words = new Int32Array(64 * RULE_WORDS);

  /** Line of a rule in its file, from 1. */
  lineOf(index: number): number {
    return this.words[index * RULE_WORDS + LINE];
  }

  /** A rule as the classifier takes it. */
  rule(index: number): FiveTupleRule {
    const { words } = this;
    const at = index * RULE_WORDS;
    return {
      src: words[at + SRC],
      srcMask: words[at + SRC_MASK],
      dst: words[at + DST],
      dstMask: words[at + DST_MASK],
      srcPortLow: words[at + SRC_PORT_LOW],
      srcPortHigh: words[at + SRC_PORT_HIGH],
      dstPortLow: words[at + DST_PORT_LOW],
      dstPortHigh: words[at + DST_PORT_HIGH],
      protocol: words[at + PROTOCOL],
      protocolMask: words[at + PROTOCOL_MASK],
    };
  }

  /** Puts all rules into a classifier, in one load: the id is the index, so of equal priorities the earlier line wins. */
  loadInto(classifier: FiveTupleClassifier): void {
    classifier.load(() => {
      for (let index = 0; index < this.count; index++)
        classifier.insert(index, this.words[index * RULE_WORDS + PRIORITY], this.rule(index));
    });
  }

  /** Reads the ClassBench rule under the cursor as the next of the list. Throws RuleSyntaxError, the list unchanged. */
  read(scanner: ByteScanner): void {
    const at = this.room();
    readRule(scanner, this.words, at, null);
    this.words[at + PRIORITY] = this.count++;
  }

  /** Appends a rule from elsewhere: the lowest priority wins. */
  append(rule: FiveTupleRule, priority: number, line: number): void {
    const at = this.room();
    const { words } = this;
    words[at + SRC] = rule.src;
    words[at + SRC_MASK] = rule.srcMask;
    words[at + DST] = rule.dst;
    words[at + DST_MASK] = rule.dstMask;
    words[at + SRC_PORT_LOW] = rule.srcPortLow;
    words[at + SRC_PORT_HIGH] = rule.srcPortHigh;
    words[at + DST_PORT_LOW] = rule.dstPortLow;
    words[at + DST_PORT_HIGH] = rule.dstPortHigh;
    words[at + PROTOCOL] = rule.protocol;
    words[at + PROTOCOL_MASK] = rule.protocolMask;
    words[at + PRIORITY] = priority;
    words[at + LINE] = line;
    this.count++;
  }

  /** First word of the next rule, the array grown if need be. */
  private room(): number {
    const at = this.count * RULE_WORDS;
    if (at < this.words.length) return at;
    const words = new Int32Array(2 * this.words.length);
    words.set(this.words);
    this.words = words;
    return at;
  }
}

/** Called with the bytes read so far, now and then. */
export type ByteProgress = (doneBytes: number) => void;

const PROGRESS_RULES = 8192;

/** Reads a whole file into `list`. Throws RuleSyntaxError at the first malformed line; the rules before it are in `list`. */
export function readClassbench(
  bytes: Uint8Array,
  file: string,
  list: FiveTupleList,
  progress: ByteProgress = () => undefined,
): void {
  const scanner = new ByteScanner(file, bytes);
  while (scanner.nextLine()) {
    list.read(scanner);
    if (list.count % PROGRESS_RULES === 0) progress(scanner.done);
  }
}

/** Columns at which the five fields of a rule begin. */
type Columns = [src: number, dst: number, srcPort: number, dstPort: number, protocol: number];

function readRule(
  scanner: ByteScanner,
  words: Int32Array,
  at: number,
  columns: Columns | null,
): void {
  words[at + LINE] = scanner.line;
  scanner.take('@');
  if (columns !== null) columns[0] = scanner.column;
  readPrefix(scanner, words, at + SRC, 'source');
  nextColumn(scanner, 'the destination prefix');
  if (columns !== null) columns[1] = scanner.column;
  readPrefix(scanner, words, at + DST, 'destination');
  nextColumn(scanner, 'the source port range');
  if (columns !== null) columns[2] = scanner.column;
  readRange(scanner, words, at + SRC_PORT_LOW, 'a source port');
  nextColumn(scanner, 'the destination port range');
  if (columns !== null) columns[3] = scanner.column;
  readRange(scanner, words, at + DST_PORT_LOW, 'a destination port');
  nextColumn(scanner, 'the protocol');
  if (columns !== null) columns[4] = scanner.column;
  words[at + PROTOCOL] = scanner.takeNumber(255, 'a protocol');
  scanner.take('/');
  words[at + PROTOCOL_MASK] = scanner.takeNumber(255, 'a protocol mask');
  words[at + PROTOCOL] &= words[at + PROTOCOL_MASK];
  if (scanner.skipBlanks() && !scanner.atLineEnd()) {
    scanner.takeNumber(0xffff, 'flags');
    scanner.take('/');
    scanner.takeNumber(0xffff, 'a mask of flags');
    scanner.skipBlanks();
  }
  if (!scanner.atLineEnd()) scanner.fail('the end of the line');
  scanner.endLine();
}

function nextColumn(scanner: ByteScanner, what: string): void {
  if (!scanner.skipBlanks() || scanner.atLineEnd()) scanner.fail(`a blank and ${what}`);
}

/** Address and mask into words `at` and `at + 1`; bits beyond the length do not count. */
function readPrefix(scanner: ByteScanner, words: Int32Array, at: number, which: string): void {
  let address = 0;
  for (let part = 0; part < 4; part++) {
    if (part > 0) scanner.take('.');
    address = (address << 8) | scanner.takeNumber(255, `a byte of the ${which} address`);
  }
  scanner.take('/');
  const length = scanner.takeNumber(32, `a ${which} prefix length`);
  const mask = length === 0 ? 0 : -1 << (32 - length);
  words[at] = address & mask;
  words[at + 1] = mask;
}

/** Lowest and highest port into words `at` and `at + 1`. */
function readRange(scanner: ByteScanner, words: Int32Array, at: number, what: string): void {
  const low = scanner.takeNumber(65535, what);
  scanner.skipBlanks();
  scanner.take(':');
  scanner.skipBlanks();
  const { column } = scanner;
  const high = scanner.takeNumber(65535, what);
  if (high < low) scanner.failAt(column, `${what} from ${low} on`, `'${high}'`);
  words[at] = low;
  words[at + 1] = high;
}

/** ClassBench lines as neutral rules. Priority is the line's index among the rules: earlier wins. */
export class ClassbenchReader {
  private readonly file: string;
  private ruleCount = 0;
  private readonly words = new Int32Array(RULE_WORDS);

  constructor(file: string) {
    this.file = file;
  }

  /** The rule of a line. Throws RuleSyntaxError. */
  read(line: LogicalLine): Rule {
    const { words } = this;
    const [first] = line.words;
    const columns: Columns = [1, 1, 1, 1, 1];
    const scanner = new ByteScanner(this.file, latin1(line.text), 0, line.text.length, line.line);
    // The line's text begins at its first word: columns count from there.
    const shift = first.at.column - 1;
    try {
      readRule(scanner, words, 0, columns);
    } catch (error) {
      if (!(error instanceof RuleSyntaxError) || shift === 0) throw error;
      const at = { line: error.line, column: error.column + shift };
      throw new RuleSyntaxError(this.file, at, error.expected, error.found);
    }
    const place = (field: number): Place => ({
      line: line.line,
      column: columns[field] + shift,
    });
    const draft = new RuleDraft(this.file, 'classbench');
    draft.priority = this.ruleCount++;
    draft.exact('eth_type', ETH_IPV4, place(0));
    draft.mask('ip_proto', [words[PROTOCOL]], [words[PROTOCOL_MASK]], place(4));
    draft.mask('ipv4_src', [words[SRC] >>> 0], [words[SRC_MASK] >>> 0], place(0));
    draft.mask('ipv4_dst', [words[DST] >>> 0], [words[DST_MASK] >>> 0], place(1));
    draft.range('sport', words[SRC_PORT_LOW], words[SRC_PORT_HIGH], place(2));
    draft.range('dport', words[DST_PORT_LOW], words[DST_PORT_HIGH], place(3));
    return draft.build(line.line, line.text);
  }
}

function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
