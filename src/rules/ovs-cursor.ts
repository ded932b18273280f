// A cursor over the text of one OVS flow: names, parentheses, values, and the place of each for messages.

import { FIELD_BITS, fullMask } from './rule.ts';
import type { FieldName, Place } from './rule.ts';
import { RuleSyntaxError, shown } from './scan.ts';
import type { LogicalLine } from './scan.ts';
import type { OvsForm } from './ovs-keys.ts';
import { parseIp, parseMacWords, parseWide } from './values.ts';

export class OvsCursor {
  readonly file: string;
  readonly text: string;
  private readonly lineNumber: number;
  private readonly shift: number;
  pos = 0;

  constructor(file: string, line: LogicalLine) {
    this.file = file;
    this.text = line.text;
    this.lineNumber = line.line;
    this.shift = line.words.length > 0 ? line.words[0].at.column : 1;
  }

  get at(): Place {
    return this.placeOf(this.pos);
  }

  placeOf(pos: number): Place {
    return { line: this.lineNumber, column: pos + this.shift };
  }

  get done(): boolean {
    return this.pos >= this.text.length;
  }

  fail(expected: string): never {
    const rest = /^[^,()\s]*[,()]?/.exec(this.text.slice(this.pos))?.[0] ?? '';
    const found = rest === '' && !this.done ? this.text[this.pos] : rest;
    throw new RuleSyntaxError(this.file, this.at, expected, shown(found));
  }

  failAt(at: Place, expected: string, found: string): never {
    throw new RuleSyntaxError(this.file, at, expected, found);
  }

  looksAt(text: string): boolean {
    return this.text.startsWith(text, this.pos);
  }

  takeIf(text: string): boolean {
    if (!this.looksAt(text)) return false;
    this.pos += text.length;
    return true;
  }

  expect(text: string): void {
    if (!this.takeIf(text)) this.fail(`'${text}'`);
  }

  /** The text that a sticky pattern takes here, '' for none. */
  match(pattern: RegExp): string {
    const sticky = new RegExp(pattern.source, 'y');
    sticky.lastIndex = this.pos;
    const found = sticky.exec(this.text)?.[0] ?? '';
    this.pos += found.length;
    return found;
  }

  skipBlanks(): void {
    this.match(/\s*/);
  }

  name(expected: string): string {
    const name = this.match(/[a-z_0-9]+/);
    if (name === '') this.fail(expected);
    return name;
  }

  /** Text up to the next comma or parenthesis. */
  takeAs<T>(expected: string, parse: (text: string) => T | null): T {
    const from = this.pos;
    const parsed = parse(this.match(/[^,()\s]*/));
    if (parsed === null) {
      this.pos = from;
      this.fail(expected);
    }
    return parsed;
  }

  number(high: number): number {
    return this.takeAs(`a number up to ${high}`, (text) => {
      const value = /^(0x[0-9a-f]{1,13}|[0-9]{1,15})$/i.test(text) ? Number(text) : high + 1;
      return value <= high ? value : null;
    });
  }

  /** VALUE or VALUE/MASK of a field, in a form. */
  masked(field: FieldName, form: OvsForm): { value: number[]; mask: number[] } {
    const what = { number: 'a number', hex: 'a number', mac: 'a MAC address', ip: 'an address' };
    return this.takeAs(
      `${what[form]} for ${field} (${FIELD_BITS[field]} bits), [/MASK]`,
      (text) => {
        const parts = text.split('/');
        if (parts.length > 2) return null;
        const value = parseOne(field, form, parts[0]);
        const mask = parts.length === 1 ? fullMask(field) : parseOne(field, form, parts[1]);
        return value === null || mask === null ? null : { value, mask };
      },
    );
  }

  /** Everything up to the parenthesis that closes the one before the cursor, which is taken too. */
  nested(): string {
    const from = this.pos;
    let depth = 1;
    for (; this.pos < this.text.length; this.pos++) {
      const character = this.text[this.pos];
      if (character === '(') depth++;
      if (character === ')' && --depth === 0) {
        this.pos++;
        return this.text.slice(from, this.pos - 1);
      }
    }
    this.fail("')'");
  }
}

function parseOne(field: FieldName, form: OvsForm, text: string): number[] | null {
  if (form === 'mac') return parseMacWords(text);
  if (form === 'ip') {
    const address = parseIp(text);
    return address !== null && address.words.length * 32 === FIELD_BITS[field]
      ? address.words
      : null;
  }
  return parseWide(text, FIELD_BITS[field]);
}

/** '+a-b' (masked), 'a|b' (exact), a number or NUMBER/MASK, over named bits; null when malformed. */
export function parseFlags(
  text: string,
  names: readonly string[],
  widthBits: number,
): { value: number; mask: number } | null {
  const all = 2 ** widthBits - 1;
  const numbers = /^(0x[0-9a-f]+|[0-9]+)(?:\/(0x[0-9a-f]+|[0-9]+))?$/i.exec(text);
  if (numbers !== null) {
    const value = Number(numbers[1]);
    const mask = numbers[2] === undefined ? all : Number(numbers[2]);
    return value > all || mask > all ? null : { value, mask };
  }
  const signed = /^[+-]/.test(text);
  const pieces = signed ? [...text.matchAll(/[+-][^+-]*/g)].map((one) => one[0]) : text.split('|');
  let value = 0;
  let mask = signed ? 0 : all;
  for (const piece of pieces) {
    const bit = 1 << names.indexOf(signed ? piece.slice(1) : piece);
    if (!names.includes(signed ? piece.slice(1) : piece)) return null;
    if (signed && (mask & bit) !== 0) return null;
    if (signed) mask |= bit;
    if (!piece.startsWith('-')) value |= bit;
  }
  return { value, mask };
}
