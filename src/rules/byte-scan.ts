// Reading numbers from lines of ASCII bytes without making strings: ClassBench files come with 100,000 rules and traces with
// millions of headers. Knows line and column of everything for messages; faults are RuleSyntaxErrors (scan.ts).

import { RuleSyntaxError, shown } from './scan.ts';

const TAB = 9;
const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;
const SPACE = 32;
const HASH = 35;
const DIGIT_0 = 48;
const SMALL_X = 120;
const LOWER_CASE = 32;

/** A cursor over lines. */
export class ByteScanner {
  readonly file: string;
  /** Line under the cursor, from 1. */
  line: number;
  private readonly bytes: Uint8Array;
  private readonly end: number;
  private at: number;
  private lineAt: number;

  /** Reads bytes `at` to `end`; `line` is the number of the first line. */
  constructor(file: string, bytes: Uint8Array, at = 0, end: number = bytes.length, line = 1) {
    this.file = file;
    this.bytes = bytes;
    this.at = at;
    this.lineAt = at;
    this.end = end;
    this.line = line;
  }

  /** Bytes passed. */
  get done(): number {
    return this.at;
  }

  /** Column under the cursor, from 1. */
  get column(): number {
    return this.at - this.lineAt + 1;
  }

  /** Goes to the first word of the next line that has one and is no comment (`#`); false at the end. */
  nextLine(): boolean {
    for (;;) {
      this.skipBlanks();
      if (this.at >= this.end) return false;
      const first = this.bytes[this.at];
      if (first !== HASH && !this.atLineEnd()) return true;
      this.endLine();
    }
  }

  /** Leaves the line, whatever is left on it. */
  endLine(): void {
    while (this.at < this.end && this.bytes[this.at] !== LINE_FEED) this.at++;
    if (this.at >= this.end) return;
    this.at++;
    this.line++;
    this.lineAt = this.at;
  }

  /** Passes over blanks and tabs; false when there were none. */
  skipBlanks(): boolean {
    const from = this.at;
    while (this.at < this.end && (this.bytes[this.at] === SPACE || this.bytes[this.at] === TAB))
      this.at++;
    return this.at > from;
  }

  atLineEnd(): boolean {
    if (this.at >= this.end) return true;
    const byte = this.bytes[this.at];
    return (
      byte === LINE_FEED || (byte === CARRIAGE_RETURN && this.bytes[this.at + 1] === LINE_FEED)
    );
  }

  /** Takes one character; throws where there is another. */
  take(character: string): void {
    if (!this.takeIf(character)) this.fail(`'${character}'`);
  }

  takeIf(character: string): boolean {
    if (this.at >= this.end || this.bytes[this.at] !== character.charCodeAt(0)) return false;
    this.at++;
    return true;
  }

  /** Takes a number from 0 to `highest`, decimal or 0x and hexadecimal; throws with `what` where there is none. */
  takeNumber(highest: number, what: string): number {
    const from = this.at;
    let base = 10;
    if (this.bytes[from] === DIGIT_0 && (this.byteAt(from + 1) | LOWER_CASE) === SMALL_X) {
      base = 16;
      this.at += 2;
    }
    const digitsFrom = this.at;
    let value = 0;
    for (; this.at < this.end; this.at++) {
      const digit = digitOf(this.bytes[this.at]);
      if (digit >= base) break;
      value = value * base + digit;
      if (value > highest) break;
    }
    if (this.at === digitsFrom || value > highest) {
      this.at = from;
      this.fail(`${what} from 0 to ${highest}`);
    }
    return value;
  }

  /** Throws for what is under the cursor. */
  fail(expected: string): never {
    let to = this.at;
    let word = '';
    while (to < this.end && this.byteAt(to) > SPACE && word.length <= 40)
      word += String.fromCharCode(this.byteAt(to++));
    this.failAt(this.column, expected, shown(word));
  }

  failAt(column: number, expected: string, found: string): never {
    throw new RuleSyntaxError(this.file, { line: this.line, column }, expected, found);
  }

  private byteAt(at: number): number {
    return at < this.end ? this.bytes[at] : 0;
  }
}

/** Value of a digit to base 16, 99 for what is none. */
function digitOf(byte: number): number {
  const decimal = byte - DIGIT_0;
  if (decimal >= 0 && decimal <= 9) return decimal;
  const letter = (byte | LOWER_CASE) - 97;
  return letter >= 0 && letter <= 5 ? letter + 10 : 99;
}
