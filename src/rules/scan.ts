// Reading rule text: lines into words with their places, one error for all dialects, and numbers as the tools write them.
//
// A line that ends in a backslash goes on in the next one (tc -batch, shell scripts); a word keeps its own line, so messages
// point at it. `#` opens a comment at the start of a line. Quotes around a word are taken off (lines copied from scripts).

import type { Place } from './rule.ts';

/** Malformed rule text. `message` is one line: FILE:LINE:COLUMN: expected ..., found ... */
export class RuleSyntaxError extends Error {
  override readonly name = 'RuleSyntaxError';
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly expected: string;
  readonly found: string;

  constructor(file: string, at: Place, expected: string, found: string) {
    super(`${file}:${at.line}:${at.column}: expected ${expected}, found ${found}`);
    this.file = file;
    this.line = at.line;
    this.column = at.column;
    this.expected = expected;
    this.found = found;
  }
}

/** How `found` reads: quoted and cut, or the end of the line. */
export function shown(text: string): string {
  if (text === '') return 'the end of the line';
  return `'${text.length > 40 ? `${text.slice(0, 40)}...` : text}'`;
}

export interface Word {
  text: string;
  at: Place;
}

/** A rule's text: one line, or several joined by backslashes. */
export interface LogicalLine {
  /** Number of the first line, from 1. */
  line: number;
  /** As written, joined by blanks. */
  text: string;
  words: Word[];
}

/** Lines with words in them and no comment; lazily, so that a bad line stops nothing before it. */
export function* logicalLines(text: string): Generator<LogicalLine> {
  let from = 0;
  let line = 0;
  let open: LogicalLine | null = null;
  while (from <= text.length) {
    let end = text.indexOf('\n', from);
    if (end < 0) end = text.length;
    line++;
    let raw = text.slice(from, end).replace(/\r$/, '');
    from = end + 1;
    if (open === null && /^\s*(#|$)/.test(raw)) continue;
    const goesOn: boolean = raw.endsWith('\\');
    if (goesOn) raw = raw.slice(0, -1);
    const words = splitWords(raw, line);
    if (open === null) open = { line, text: raw.trim(), words };
    else {
      open.text += ` ${raw.trim()}`;
      open.words.push(...words);
    }
    if (goesOn) continue;
    yield open;
    open = null;
  }
  if (open !== null) yield open;
}

function splitWords(raw: string, line: number): Word[] {
  const words: Word[] = [];
  for (const match of raw.matchAll(/\S+/g)) {
    const quoted = /^(['"])(.*)\1$/.exec(match[0]);
    const column = match.index + 1 + (quoted === null ? 0 : 1);
    words.push({ text: quoted === null ? match[0] : quoted[2], at: { line, column } });
  }
  return words;
}

/** A cursor over the words of one rule. */
export class Words {
  readonly file: string;
  readonly line: LogicalLine;
  private next = 0;

  constructor(file: string, line: LogicalLine) {
    this.file = file;
    this.line = line;
  }

  /** Place of the next word, or just after the last. */
  get at(): Place {
    const { words } = this.line;
    if (this.next < words.length) return words[this.next].at;
    const last = words.at(-1);
    if (last === undefined) return { line: this.line.line, column: 1 };
    return { line: last.at.line, column: last.at.column + last.text.length };
  }

  /** The next word without taking it, '' at the end. */
  peek(): string {
    return this.next < this.line.words.length ? this.line.words[this.next].text : '';
  }

  /** The word after the next one if the next one is `first`, '' otherwise. */
  peekAfter(first: string): string {
    const { words } = this.line;
    if (this.peek() !== first || this.next + 1 >= words.length) return '';
    return words[this.next + 1].text;
  }

  get done(): boolean {
    return this.next >= this.line.words.length;
  }

  /** Takes the next word; throws RuleSyntaxError at the end of the line. */
  take(expected: string): string {
    const word = this.peek();
    if (this.done) this.fail(expected);
    this.next++;
    return word;
  }

  /** Takes the next word if it is one of these; '' otherwise. */
  takeIf(...choices: string[]): string {
    const word = this.peek();
    if (this.done || !choices.includes(word)) return '';
    this.next++;
    return word;
  }

  /** Takes one of these words. */
  takeOneOf(...choices: string[]): string {
    const word = this.takeIf(...choices);
    if (word === '') this.fail(choices.join(', '));
    return word;
  }

  /** Takes a word that `parse` understands (null: it does not). */
  takeAs<T>(expected: string, parse: (text: string) => T | null): T {
    const parsed = this.done ? null : parse(this.peek());
    if (parsed === null) this.fail(expected);
    this.next++;
    return parsed;
  }

  /** Takes an integer of low..high, decimal or 0x. */
  takeNumber(low: number, high: number): number {
    return this.takeAs(`a number from ${low} to ${high}`, (text) => inRange(text, low, high));
  }

  /** Throws for the next word. */
  fail(expected: string): never {
    throw new RuleSyntaxError(this.file, this.at, expected, shown(this.peek()));
  }

  failAt(at: Place, expected: string, found: string): never {
    throw new RuleSyntaxError(this.file, at, expected, found);
  }
}

/** Decimal or 0x-prefixed integer up to 2^53 − 1; null for anything else. */
export function parseUnsigned(text: string): number | null {
  if (!/^(0[xX][0-9a-fA-F]{1,14}|[0-9]{1,16})$/.test(text)) return null;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : null;
}

/** As parseUnsigned, but also bare hexadecimal where it is not decimal (tc's get_u8 with base 16). */
export function parseHex(text: string): number | null {
  if (!/^(0[xX])?[0-9a-fA-F]{1,13}$/.test(text)) return null;
  return parseInt(text, 16);
}

export function inRange(text: string, low: number, high: number): number | null {
  const value = parseUnsigned(text);
  return value === null || value < low || value > high ? null : value;
}
