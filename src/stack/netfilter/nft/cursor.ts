// A place in the token list, with the expectations that give nft's error messages.

import { NftError, isKeyword, tokenName } from './lexer.ts';
import type { Token } from './lexer.ts';

/** The machine's devices, for values that are interface indices. */
export interface DeviceNames {
  byName(name: string): { readonly ifindex: number; readonly name: string } | null;
  byIndex(ifindex: number): { readonly ifindex: number; readonly name: string } | null;
}

export class Cursor {
  readonly tokens: Token[];
  readonly devices: DeviceNames | null;
  at = 0;
  /** Transport protocol that the rule so far has asked for, 0 for none. */
  l4proto = 0;

  constructor(tokens: Token[], devices: DeviceNames | null) {
    this.tokens = tokens;
    this.devices = devices;
  }

  get token(): Token {
    return this.tokens[this.at];
  }

  peek(ahead: number): Token {
    return this.tokens[Math.min(this.at + ahead, this.tokens.length - 1)];
  }

  next(): Token {
    const token = this.tokens[this.at];
    if (this.at < this.tokens.length - 1) this.at++;
    return token;
  }

  /** Whether the token is this punctuation or word. */
  is(text: string): boolean {
    const { kind } = this.token;
    return (kind === 'punct' || kind === 'word') && this.token.text === text;
  }

  /** Takes the token if it is this one. */
  take(text: string): boolean {
    if (!this.is(text)) return false;
    this.at++;
    return true;
  }

  expect(text: string): Token {
    if (!this.is(text)) this.fail('{}()[]=$'.includes(text) ? `'${text}'` : text);
    return this.next();
  }

  /** A word of any kind (names). */
  word(): Token {
    if (this.token.kind !== 'word' && this.token.kind !== 'quoted') this.fail('string');
    return this.next();
  }

  /** A word that names something: none that nft keeps for itself (`chain fwd`, `set drop`). */
  name(): Token {
    if (isKeyword(this.token)) this.fail('string');
    return this.word();
  }

  /** A decimal or hexadecimal number. */
  number(): number {
    if (this.token.kind !== 'number') this.fail('number');
    return Number(this.next().text);
  }

  /** Refuses the token as the parser of nft does. */
  fail(expected = ''): never {
    const { token } = this;
    const tail = expected === '' ? '' : `, expecting ${expected}`;
    const end = token.kind === 'end' ? token.start + 1 : token.end;
    throw new NftError(`syntax error, unexpected ${tokenName(token)}${tail}`, token.start, end);
  }

  /** Whether a statement ends here. */
  get atEnd(): boolean {
    const { kind, text } = this.token;
    return (
      kind === 'end' || kind === 'newline' || (kind === 'punct' && (text === ';' || text === '}'))
    );
  }

  skipNewlines(): void {
    while (this.token.kind === 'newline') this.at++;
  }

  /** Skips newlines and semicolons. */
  skipSeparators(): void {
    while (this.token.kind === 'newline' || this.is(';')) this.at++;
  }
}
