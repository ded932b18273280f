// Reading the text of datapath keys and actions: a position in a string, words, numbers, addresses. What does not fit throws OdpError,
// which says where.

import { parseAddress, parseMac } from '../ip/address.ts';

export class OdpError extends Error {
  override readonly name = 'OdpError';
}

export class Scan {
  readonly text: string;
  at = 0;

  constructor(text: string) {
    this.text = text;
  }

  get isEnd(): boolean {
    return this.at >= this.text.length;
  }

  /** Takes `word` when it stands here. */
  take(word: string): boolean {
    if (!this.text.startsWith(word, this.at)) return false;
    this.at += word.length;
    return true;
  }

  expect(word: string): void {
    if (!this.take(word)) this.fail(`'${word}' expected`);
  }

  /** What matches here, '' when nothing does. */
  match(pattern: RegExp): string {
    const sticky = new RegExp(pattern.source, 'y');
    sticky.lastIndex = this.at;
    const found = sticky.exec(this.text)?.[0] ?? '';
    this.at += found.length;
    return found;
  }

  /** Commas and blanks between attributes. */
  skipDelimiters(): void {
    this.match(/[,\s]*/);
  }

  fail(message: string): never {
    throw new OdpError(`syntax error at ${this.text.slice(this.at) || 'end of line'}: ${message}`);
  }

  number(max: number): number {
    const text = this.match(/0[xX][0-9a-fA-F]+|[0-9]+/);
    if (text === '') this.fail('a number expected');
    const value = Number(text);
    if (value > max) this.fail(`a number of at most ${max} expected`);
    return value;
  }

  ipv4(): Uint8Array {
    return this.address(/[0-9.]+/, 4);
  }

  ipv6(): Uint8Array {
    return this.address(/[0-9a-fA-F:.]+/, 16);
  }

  private address(pattern: RegExp, bytes: number): Uint8Array {
    const start = this.at;
    const found = parseAddress(this.match(pattern));
    if (found?.length === bytes) return found;
    this.at = start;
    return this.fail('an address expected');
  }

  mac(): Uint8Array {
    const start = this.at;
    const found = parseMac(this.match(/[0-9a-fA-F:]+/));
    if (found !== null) return found;
    this.at = start;
    return this.fail('a MAC address expected');
  }

  /** A number of up to `bytes` bytes in hexadecimal (or decimal, up to 32 bits), most significant byte first. */
  big(bytes: number): Uint8Array {
    const digits = this.match(/0[xX][0-9a-fA-F]+/).slice(2);
    const text =
      digits === '' ? this.number(0xffffffff).toString(16) : digits.replace(/^0+(?=.)/, '');
    if (text.length > 2 * bytes) this.fail(`a number of at most ${bytes} bytes expected`);
    const padded = text.padStart(2 * bytes, '0');
    return Uint8Array.from({ length: bytes }, (_, i) =>
      parseInt(padded.slice(2 * i, 2 * i + 2), 16),
    );
  }
}
