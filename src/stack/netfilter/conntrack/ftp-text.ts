// The four ways in which FTP names a data connection's end: PORT and EPRT of the client, the replies 227 (PASV) and 229 (EPSV) of the
// server (RFC 959, RFC 2428). Reading gives the address and port and where the text stands; writing gives the text for another end.

import { formatAddress, parseAddress } from '../../ip/address.ts';

/** PORT/227 `h1,h2,h3,h4,p1,p2`; EPRT `|1|address|port|`; 229 `|||port|`. */
export type FtpForm = 'commas' | 'eprt' | 'epsv';

export interface FtpEnd {
  form: FtpForm;
  /** null where the text does not name one (229). */
  address: Uint8Array | null;
  port: number;
  /** Characters of the address and port within the line. */
  start: number;
  lengthChars: number;
}

interface Pattern {
  word: string;
  /** The text begins behind the first of these characters that follows the word. */
  skip: string;
  end: string;
  form: FtpForm;
}

/** By direction. */
const PATTERNS: readonly (readonly Pattern[])[] = [
  [
    { word: 'PORT', skip: ' ', end: '\r', form: 'commas' },
    { word: 'EPRT', skip: ' ', end: '\r', form: 'eprt' },
  ],
  [
    { word: '227 ', skip: '(', end: ')', form: 'commas' },
    { word: '229 ', skip: '(', end: ')', form: 'epsv' },
  ],
];

/** What a line of a direction names: null for nothing, 'partial' when the rest is in a later segment. */
export function readFtpEnd(
  line: string,
  direction: number,
  family: number,
): FtpEnd | 'partial' | null {
  for (const pattern of PATTERNS[direction]) {
    const { word } = pattern;
    if (line.length <= word.length) {
      if (word.startsWith(line.toUpperCase()) && line !== '') return 'partial';
      continue;
    }
    if (line.slice(0, word.length).toUpperCase() !== word) continue;
    const skipAt = line.indexOf(pattern.skip, word.length);
    if (skipAt < 0) return 'partial';
    return readForm(line, skipAt + 1, pattern, family) ?? 'partial';
  }
  return null;
}

function readForm(line: string, start: number, pattern: Pattern, family: number): FtpEnd | null {
  const rest = line.slice(start);
  const { form } = pattern;
  if (form === 'commas') {
    const match = /^(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3})/.exec(rest);
    if (match === null || rest.charAt(match[0].length) !== pattern.end) return null;
    const numbers = match.slice(1).map(Number);
    if (numbers.some((n) => n > 255) || family !== 2) return null;
    const port = numbers[4] * 256 + numbers[5];
    const address = Uint8Array.from(numbers.slice(0, 4));
    return { form, address, port, start, lengthChars: match[0].length };
  }
  const delimiter = rest.charAt(0);
  if (delimiter === '' || /[0-9]/.test(delimiter)) return null;
  const parts = rest.split(delimiter);
  // Empty, protocol, address, port, and what follows the last delimiter.
  if (parts.length < 5 || !/^\d{1,5}$/.test(parts[3])) return null;
  const port = Number(parts[3]);
  const lengthChars = parts.slice(0, 4).join(delimiter).length + 1;
  if (port === 0 || port > 65535) return null;
  if (form === 'epsv')
    return parts[1] === '' && parts[2] === ''
      ? { form, address: null, port, start, lengthChars }
      : null;
  const address = parseAddress(parts[2]);
  const wanted = family === 2 ? 4 : 16;
  if (address === null || address.length !== wanted || parts[1] !== (family === 2 ? '1' : '2'))
    return null;
  return { form, address, port, start, lengthChars };
}

/** The text that names an end. */
export function writeFtpEnd(form: FtpForm, address: Uint8Array, port: number): string {
  if (form === 'commas') return [...address, port >> 8, port & 255].join(',');
  if (form === 'epsv') return `|||${port}|`;
  return `|${address.length === 4 ? 1 : 2}|${formatAddress(address)}|${port}|`;
}
