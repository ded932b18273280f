// What listings of filters and of actions share: options, times, labels.

import { PS_PER_MS, PS_PER_S } from '../../../hw/time/units.ts';

/** How listings are made. */
export interface ShowOptions {
  stats: boolean;
  nowPs: number;
  /** An action by itself (`tc actions`), not one of a filter. */
  isAction?: boolean;
}

/** Seconds since a time, and whether tc prints them: it leaves out what is less than a hundredth of a second. */
export function elapsed(nowPs: number, sincePs: number): { seconds: number; isShown: boolean } {
  const centiseconds = Math.floor((nowPs - sincePs) / (10 * PS_PER_MS));
  return { seconds: Math.floor((nowPs - sincePs) / PS_PER_S), isShown: centiseconds > 0 };
}

/** Bytes from the first on: a label's first byte is the lowest of its number. */
export function labelHex(words: readonly number[]): string {
  const text = words.map((word) => word.toString(16).padStart(8, '0')).join('');
  return (text.match(/../g) ?? []).reverse().join('');
}
