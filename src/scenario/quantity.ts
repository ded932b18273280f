// Quantities as people write them: "10G" bits per second, "64k" entries, "5ms". Decimal prefixes for rates and times,
// binary ones (k = 1024) only where the unit says so (KiB, MiB).

import { PS_PER_MS, PS_PER_NS, PS_PER_S, PS_PER_US } from '../../hw/time/units.ts';

const NUMBER = /^\s*([0-9]+(?:\.[0-9]+)?(?:e[0-9]+)?)\s*([A-Za-zµ]*)\s*$/;

const TIME_UNITS: Record<string, number> = {
  ps: 1,
  ns: PS_PER_NS,
  us: PS_PER_US,
  µs: PS_PER_US,
  ms: PS_PER_MS,
  s: PS_PER_S,
  '': PS_PER_S,
  m: 60 * PS_PER_S,
  min: 60 * PS_PER_S,
  h: 3600 * PS_PER_S,
};

const SCALES: Record<string, number> = { '': 1, k: 1e3, K: 1e3, M: 1e6, G: 1e9, T: 1e12 };

/** "5ms" to ps; a bare number is seconds. Throws an Error that says what was expected. */
export function parseDurationPs(text: string): number {
  const match = NUMBER.exec(text);
  const unit = match === null ? undefined : TIME_UNITS[match[2]];
  if (match === null || unit === undefined)
    throw new Error(`expected a time like 5ms, 10us or 2s, found '${text}'`);
  return Math.round(Number(match[1]) * unit);
}

/** "10G", "2.5Gbit", "100Mbps" to bits per second. */
export function parseRateBps(text: string): number {
  const match = NUMBER.exec(text);
  const unit = match === null ? '' : match[2].replace(/(bps|bits?|b\/s)$/i, '');
  const scale = SCALES[unit];
  if (match === null || scale === undefined || Number(match[1]) === 0)
    throw new Error(`expected a rate like 10G, 100Mbit or 2.5Gbps, found '${text}'`);
  return Number(match[1]) * scale;
}

/** "64k", "1.5M", "4096" to a whole number (k = 1000; Ki = 1024). */
export function parseQuantity(text: string): number {
  const match = NUMBER.exec(text);
  if (match !== null) {
    const binary: Record<string, number> = { Ki: 1024, Mi: 1048576, Gi: 1073741824 };
    const scale = SCALES[match[2]] ?? binary[match[2]];
    const value = Number(match[1]) * (scale ?? NaN);
    if (Number.isInteger(value)) return value;
  }
  throw new Error(`expected a whole number like 4096 or 64Ki, found '${text}'`);
}

/** A factor like "2x" or "0.5". */
export function parseFactor(text: string): number {
  const match = /^\s*([0-9]+(?:\.[0-9]+)?)\s*x?\s*$/.exec(text);
  const value = match === null ? 0 : Number(match[1]);
  if (value <= 0) throw new Error(`expected a factor like 2x or 0.5, found '${text}'`);
  return value;
}

const DURATION_STEPS: readonly [number, string][] = [
  [PS_PER_S, 's'],
  [PS_PER_MS, 'ms'],
  [PS_PER_US, 'us'],
  [PS_PER_NS, 'ns'],
];

/** A time for people: three significant digits and a unit ("1.25 us"). */
export function formatDuration(ps: number): string {
  for (const [unit, name] of DURATION_STEPS) if (ps >= unit) return `${trim(ps / unit)} ${name}`;
  return `${Math.round(ps)} ps`;
}

/** A rate for people ("9.41 Gbit/s"). */
export function formatRate(bps: number): string {
  if (bps >= 1e9) return `${trim(bps / 1e9)} Gbit/s`;
  if (bps >= 1e6) return `${trim(bps / 1e6)} Mbit/s`;
  return bps >= 1e3 ? `${trim(bps / 1e3)} kbit/s` : `${trim(bps)} bit/s`;
}

/** A whole number with thin grouping ("1,234,567"), the same in every locale. */
export function formatCount(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+(?!\d))/g, ',');
}

function trim(value: number): string {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return value.toFixed(digits);
}
