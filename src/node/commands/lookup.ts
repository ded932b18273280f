// `flowtwin lookup RULES --headers TRACE`: for each header of a ClassBench trace, or packet of a capture, the number of the rule
// that wins: counted from 0 in file order, first match wins, -1 for none (and for packets that are not IPv4).
//
// Rules come in any dialect that the neutral rule knows; one that asks for more than the five fields of an IPv4 packet
// is a fault like a malformed one. In dialects with priorities the winner is the rule of the lowest neutral priority, then the first.
//
// A malformed rule file is not answered from: one line with its place and status 2. With `--partial` the rules before the
// fault answer, and the status is 2 all the same. A malformed trace is answered up to the fault.

import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import process from 'node:process';
import { SingleBar } from 'cli-progress';
import type { Command } from 'commander';
import { FiveTupleClassifier } from '../../../hw/table/classifier/five-tuple.ts';
import {
  CaptureError,
  CaptureReader,
  CaptureRecord,
  MAX_GROWTH_BYTES,
  MAX_PACKET_BYTES,
  toEthernet,
} from '../../capture/index.ts';
import { FiveTupleList, readClassbench } from '../../rules/classbench.ts';
import { detectDialect, readRules } from '../../rules/dialects.ts';
import { fiveTupleOf } from '../../rules/five-tuple.ts';
import { DIALECTS } from '../../rules/rule.ts';
import type { Dialect } from '../../rules/rule.ts';
import { TRACE_KEY_WORDS, TraceReader } from '../../rules/classbench-trace.ts';
import { keyOfFrame } from '../../rules/frame-key.ts';
import { RuleSyntaxError } from '../../rules/scan.ts';
import { captureChunks } from '../capture-files.ts';
import { InputError, UsageError } from '../errors.ts';

/** Bytes of a rule file that tell its dialect. */
const DIALECT_BYTES = 64 * 1024;
/** Headers between two updates of the bar. */
const BAR_HEADERS = 65536;

const FORMATS: readonly string[] = ['auto', ...DIALECTS];

interface LookupFlags {
  headers: string;
  format: string;
  partial?: boolean;
  json?: boolean;
}

/** Adds the command to the program. */
export function registerLookup(program: Command): void {
  program
    .command('lookup')
    .description('print for each header the number of the rule that wins, -1 for none')
    .argument('<rules>', 'rules, may be gzipped; - for standard input')
    .requiredOption('--headers <trace>', 'ClassBench trace or capture, may be gzipped, or -')
    .option('--format <form>', `form of the rules: ${FORMATS.join(', ')}`, 'auto')
    .option('--partial', 'answer from the rules before a malformed one')
    .option('--json', 'one JSON object per header: header (from 1), rule, line of the rule')
    .action(async (rules: string, flags: LookupFlags) => lookup(rules, flags));
}

async function lookup(rulesFile: string, flags: LookupFlags): Promise<void> {
  if (!FORMATS.includes(flags.format))
    throw new UsageError(`--format: expected ${FORMATS.join(', ')}, found '${flags.format}'`);
  if (rulesFile === '-' && flags.headers === '-')
    throw new UsageError('expected standard input (-) for the rules or for the headers, not both');
  const bar = new Bar();
  const rules = new FiveTupleList();
  const fault = await readRuleFile(rulesFile, flags.format as Dialect | 'auto', rules, bar);
  if (fault !== '' && flags.partial !== true)
    throw new InputError(`${fault}; --partial answers from the ${rules.count} rules before it`);
  const classifier = new FiveTupleClassifier();
  rules.loadInto(classifier);
  const answers = new Answers(classifier, rules, flags.json === true, bar);
  try {
    await readHeaders(flags.headers, answers);
  } catch (error) {
    if (!(error instanceof RuleSyntaxError || error instanceof CaptureError)) throw error;
    throw new InputError(error.message);
  } finally {
    await answers.write();
    bar.stop();
    if (fault !== '') process.stderr.write(`flowtwin: ${fault}\n`);
  }
  if (fault !== '') process.exitCode = 2;
}

/** Reads a rule file; returns its fault as one line, '' for none. */
async function readRuleFile(
  file: string,
  format: Dialect | 'auto',
  rules: FiveTupleList,
  bar: Bar,
): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of captureChunks(file)) chunks.push(chunk);
  const bytes = Buffer.concat(chunks);
  const name = file === '-' ? '(standard input)' : file;
  const start = bytes.toString('utf8', 0, DIALECT_BYTES);
  const dialect = format === 'auto' ? detectDialect(start) : format;
  if (dialect !== 'classbench') return readNeutral(bytes.toString('utf8'), name, format, rules);
  try {
    readClassbench(bytes, name, rules, () => bar.show(rules.count, 'rules read'));
  } catch (error) {
    if (error instanceof RuleSyntaxError) return error.message;
    throw error;
  }
  return '';
}

/** Reads rules of the other dialects; returns the first fault, a rule about more than five fields among them. */
function readNeutral(
  text: string,
  file: string,
  format: Dialect | 'auto',
  rules: FiveTupleList,
): string {
  const read = readRules(text, file, format);
  try {
    for (const rule of read.rules) rules.append(fiveTupleOf(rule), rule.priority, rule.source.line);
  } catch (error) {
    if (error instanceof RuleSyntaxError) return error.message;
    throw error;
  }
  return read.error === null ? '' : read.error.message;
}

/** Gives every header of a trace or capture to `answers`. Throws at a fault, what is before it answered. */
async function readHeaders(file: string, answers: Answers): Promise<void> {
  const name = file === '-' ? '(standard input)' : file;
  const trace = new TraceReader(name);
  let capture: CaptureHeaders | null = null;
  let start: Uint8Array | null = new Uint8Array(0);
  for await (const piece of captureChunks(file)) {
    let chunk = piece;
    if (start !== null) {
      chunk = Buffer.concat([start, piece]);
      start = chunk.length < 4 ? chunk : null;
      if (start !== null) continue;
      if (isCapture(chunk)) capture = new CaptureHeaders(name);
    }
    if (capture === null) feedTrace(trace, () => trace.feed(chunk), answers);
    else capture.feed(chunk, answers);
    await answers.write();
  }
  if (start !== null) feedTrace(trace, () => trace.feed(start), answers);
  if (capture === null) feedTrace(trace, () => trace.finish(), answers);
  else capture.finish();
}

function feedTrace(trace: TraceReader, feed: () => number, answers: Answers): void {
  try {
    feed();
  } finally {
    for (let i = 0; i < trace.readBeforeFault; i++) answers.key(trace.keys, i * TRACE_KEY_WORDS);
  }
}

/** The four magics of pcap, in either byte order, and pcapng's. */
const MAGICS = [0xa1b2c3d4, 0xd4c3b2a1, 0xa1b23c4d, 0x4d3cb2a1, 0x0a0d0d0a];

function isCapture(bytes: Uint8Array): boolean {
  const magic = ((bytes[0] << 24) | (bytes[1] << 16) | (bytes[2] << 8) | bytes[3]) >>> 0;
  return MAGICS.includes(magic);
}

/** The packets of a capture as keys. */
class CaptureHeaders {
  private readonly reader: CaptureReader;
  private readonly record = new CaptureRecord();
  private readonly frame = new Uint8Array(MAX_PACKET_BYTES + MAX_GROWTH_BYTES);
  private readonly key = new Int32Array(TRACE_KEY_WORDS);

  constructor(file: string) {
    this.reader = new CaptureReader(file);
  }

  feed(chunk: Uint8Array, answers: Answers): void {
    this.reader.feed(chunk);
    while (this.reader.next(this.record)) {
      const lenBytes = toEthernet(this.record, this.frame, 0);
      if (lenBytes > 0 && keyOfFrame(this.frame, 0, lenBytes, this.key, 0))
        answers.key(this.key, 0);
      else answers.none();
    }
  }

  finish(): void {
    this.reader.finish();
  }
}

/** Looks keys up and prints the answers. */
class Answers {
  private readonly classifier: FiveTupleClassifier;
  private readonly rules: FiveTupleList;
  private readonly json: boolean;
  private readonly bar: Bar;
  private headerCount = 0;
  private text = '';

  constructor(classifier: FiveTupleClassifier, rules: FiveTupleList, json: boolean, bar: Bar) {
    this.classifier = classifier;
    this.rules = rules;
    this.json = json;
    this.bar = bar;
  }

  key(keys: Int32Array, at: number): void {
    this.print(this.classifier.lookup(keys[at], keys[at + 1], keys[at + 2], keys[at + 3]));
  }

  none(): void {
    this.print(-1);
  }

  /** Writes what has been printed, and waits while whoever reads it is slow. */
  async write(): Promise<void> {
    const { text } = this;
    this.text = '';
    if (text !== '' && !process.stdout.write(text)) await once(process.stdout, 'drain');
  }

  private print(rule: number): void {
    this.headerCount++;
    if (this.json) {
      const line = rule < 0 ? null : this.rules.lineOf(rule);
      this.text += `${JSON.stringify({ header: this.headerCount, rule, line })}\n`;
    } else this.text += `${rule}\n`;
    if (this.headerCount % BAR_HEADERS === 0) this.bar.show(this.headerCount, 'headers');
  }
}

/** A count of what has been done, on a terminal that does not also get the answers. */
class Bar {
  private bar: SingleBar | null = null;

  show(count: number, what: string): void {
    if (!process.stderr.isTTY || process.stdout.isTTY) return;
    if (this.bar === null) {
      this.bar = new SingleBar({
        format: '{value} {what}, {duration_formatted}',
        stream: process.stderr,
        clearOnComplete: true,
        hideCursor: true,
      });
      this.bar.start(1, 0, { what });
    }
    this.bar.update(count, { what });
  }

  stop(): void {
    this.bar?.stop();
  }
}
