// Times as nft writes them: `1d2h3m4s`, `1s500ms`.

import type { Cursor } from './cursor.ts';
import { NftError } from './lexer.ts';

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
] as const;

const TIME = /^(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?$/;

/** One word as a time in milliseconds. Throws NftError. */
export function parseTime(cursor: Cursor): number {
  const { token } = cursor;
  if (token.kind !== 'word') cursor.fail('string');
  cursor.next();
  const timeMs = timeOf(token.text);
  if (timeMs < 0) throw new NftError('wrong time format', token.start, token.end);
  return timeMs;
}

/** `1m30s`, or a number of seconds, in milliseconds; −1 for anything else. */
export function timeOf(text: string): number {
  if (/^\d+$/.test(text)) return 1000 * Number(text);
  const parts = TIME.exec(text);
  if (parts === null) return -1;
  return UNITS.reduce((sum, [, unitMs], i) => sum + unitMs * Number(parts[i + 1] ?? 0), 0);
}

/** Milliseconds as a time; fractions are cut off. */
export function formatTime(timeMs: number): string {
  let left = Math.floor(timeMs);
  let text = '';
  for (const [name, unitMs] of UNITS) {
    const count = Math.floor(left / unitMs);
    if (count > 0) text += `${count}${name}`;
    left -= count * unitMs;
  }
  return text === '' ? '0s' : text;
}
