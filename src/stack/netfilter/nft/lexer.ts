// Words and punctuation of the nft language, each with its place, and the shape of nft's error messages.

import { parseAddress } from '../../ip/address.ts';

export type TokenKind = 'word' | 'quoted' | 'number' | 'address' | 'punct' | 'newline' | 'end';

export interface Token {
  kind: TokenKind;
  text: string;
  /** Offsets in the source: first character and one past the last. */
  start: number;
  end: number;
}

/** A fault of the input or a refusal of the kernel (refusal.ts), with the place that it is about. */
export class NftError extends Error {
  override readonly name = 'NftError';
  readonly start: number;
  readonly end: number;
  /** What else the message is about: underlined with tildes. */
  readonly context: { start: number; end: number } | null;

  constructor(
    message: string,
    start: number,
    end: number,
    context: { start: number; end: number } | null = null,
  ) {
    super(message);
    this.start = start;
    this.end = end;
    this.context = context;
  }
}

const WORD = /[A-Za-z_][A-Za-z0-9_\-./]*\*?/y;
const NUMBER = /0x[0-9a-fA-F]+|\d+/y;
const NUMBER_WORD = /\d+[A-Za-z_][A-Za-z0-9_]*/y;
const IPV4 = /\d+\.\d+\.\d+\.\d+/y;
const IPV6 = /[0-9a-fA-F]*:[0-9a-fA-F:]*:[0-9a-fA-F:.]*/y;
const PUNCTUATION = ['==', '!=', '<=', '>=', '<<', '>>', ...'{};,=<>&|()[]@!-/:^$.+'];

function matchAt(pattern: RegExp, source: string, at: number): string | null {
  pattern.lastIndex = at;
  return pattern.exec(source)?.[0] ?? null;
}

/** Splits a source; newlines are tokens (they end statements). */
export function lex(source: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  const push = (kind: TokenKind, text: string, lenChars = text.length): void => {
    tokens.push({ kind, text, start: at, end: at + lenChars });
    at += lenChars;
  };
  while (at < source.length) {
    const c = source.charAt(at);
    if (c === '\n') push('newline', c);
    else if (c === '\\' && source.charAt(at + 1) === '\n') at += 2;
    else if (/\s/.test(c)) at++;
    else if (c === '#') while (at < source.length && source.charAt(at) !== '\n') at++;
    else if (c === '"') {
      const close = source.indexOf('"', at + 1);
      if (close < 0) throw new NftError('syntax error, unexpected junk', at, source.length);
      push('quoted', source.slice(at + 1, close), close + 1 - at);
    } else lexPlain(source, at, push);
  }
  tokens.push({ kind: 'end', text: '', start: source.length, end: source.length });
  return tokens;
}

function lexPlain(source: string, at: number, push: (kind: TokenKind, text: string) => void): void {
  const six = matchAt(IPV6, source, at);
  if (six !== null && parseAddress(six) !== null) {
    push('address', six);
    return;
  }
  const four = matchAt(IPV4, source, at);
  if (four !== null) {
    push('address', four);
    return;
  }
  const numberWord = matchAt(NUMBER_WORD, source, at);
  const number = matchAt(NUMBER, source, at);
  if (numberWord !== null && numberWord.length > (number ?? '').length) {
    push('word', numberWord);
    return;
  }
  if (number !== null) {
    push('number', number);
    return;
  }
  const word = matchAt(WORD, source, at);
  if (word !== null) {
    push('word', word);
    return;
  }
  const punct = PUNCTUATION.find((p) => source.startsWith(p, at));
  if (punct === undefined) throw new NftError('syntax error, unexpected junk', at, at + 1);
  push('punct', punct);
}

/** How bison names a token in "unexpected …". */
export function tokenName(token: Token): string {
  // The brace that closes elements is their end.
  if (token.kind === 'end') return token.text === '' ? 'end of file' : `'${token.text}'`;
  if (token.kind === 'newline') return 'newline';
  if (token.kind === 'number') return 'number';
  if (token.kind === 'quoted') return 'quoted string';
  if (token.kind === 'address') return 'string';
  if (token.kind === 'punct')
    return NAMES[token.text] ?? ('{}()[]=$'.includes(token.text) ? `'${token.text}'` : token.text);
  return KEYWORDS.has(token.text) ? token.text : 'string';
}

const NAMES: Readonly<Record<string, string>> = { ',': 'comma', ';': 'semicolon', ':': 'colon' };

/** Whether a token is a word that nft keeps for itself. */
export function isKeyword(token: Token): boolean {
  return token.kind === 'word' && KEYWORDS.has(token.text);
}

const KEYWORDS = new Set(
  [
    'table chain rule set map element flowtable counter quota add create insert replace delete',
    'list flush reset hook priority policy type device devices flags ip ip6 inet arp bridge',
    'netdev tcp udp icmp icmpv6 meta ct accept drop reject jump goto return log limit masquerade',
    'snat dnat redirect flow offload mark handle position index ruleset tables chains counters',
    'flowtables comment prefix to with notrack queue dup fwd timeout',
  ]
    .join(' ')
    .split(' '),
);

/** The message with the line and carets under its place. `file` is null for the command line. */
export function renderError(error: NftError, source: string, file: string | null): string {
  const lineStart = source.lastIndexOf('\n', Math.min(error.start, source.length) - 1) + 1;
  const newline = source.indexOf('\n', lineStart);
  const lineEnd = newline < 0 ? source.length : newline;
  const line = source.slice(lineStart, lineEnd);
  const column = error.start - lineStart;
  const end = Math.max(Math.min(error.end, lineEnd + 1), error.start + 1);
  const lineNumber = source.slice(0, lineStart).split('\n').length;
  const where =
    file === null ? '' : `${file}:${lineNumber}:${column + 1}-${column + end - error.start}: `;
  return `${where}Error: ${error.message}\n${line}\n${underline(error, lineStart, line, end)}\n`;
}

/** Carets below the place, tildes below its context. */
function underline(error: NftError, lineStart: number, line: string, end: number): string {
  const marks: string[] = [...line].map((c) => (c === '\t' ? c : ' '));
  const mark = (from: number, to: number, sign: string): void => {
    for (let i = from; i < to; i++) marks[i] = sign;
  };
  const { context } = error;
  if (context !== null) mark(context.start - lineStart, context.end - lineStart, '~');
  mark(error.start - lineStart, end - lineStart, '^');
  const last = Math.max(end, context?.end ?? 0) - lineStart;
  return Array.from({ length: last }, (_, i) => marks[i] ?? ' ').join('');
}
