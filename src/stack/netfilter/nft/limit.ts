// `limit rate`: a token bucket per rule, in nanoseconds of credit as the kernel keeps it (nft_limit).
//
// A packet costs the time that the rate allows for it (a period over the rate; for byte limits times its length); the bucket
// holds `burst` packets (5 unless written), or one period and the burst of bytes. `limit` matches while there is credit, `limit
// rate over` when there is none.

import type { LimitStatement, LimitUnit } from './ast.ts';
import type { Cursor } from './cursor.ts';
import { PS_PER_NS } from '../../../../hw/time/units.ts';

const SECONDS = { second: 1, minute: 60, hour: 3600, day: 86400, week: 604800 } as const;
const BYTES = { packets: 1, bytes: 1, kbytes: 1024, mbytes: 1024 * 1024 } as const;
const NS_PER_S = 1e9;
const DEFAULT_BURST = 5;

/** After the word `limit`. Throws NftError. */
export function parseLimit(cursor: Cursor): LimitStatement {
  cursor.next();
  cursor.expect('rate');
  const over = cursor.take('over');
  if (!over) cursor.take('until');
  const rate = cursor.number();
  const [unit, per] = parseRate(cursor);
  let burst = unit === 'packets' ? DEFAULT_BURST : 0;
  let burstUnit: LimitUnit = unit === 'packets' ? 'packets' : 'bytes';
  if (cursor.take('burst')) {
    burst = cursor.number();
    if (cursor.token.kind === 'word') burstUnit = parseUnit(cursor);
  }
  return fresh({ kind: 'limit', over, rate, unit, per, burst, burstUnit });
}

/** `/second`, or `mbytes/second`, which the lexer takes for one word. */
function parseRate(cursor: Cursor): [LimitUnit, LimitStatement['per']] {
  const isPackets = cursor.take('/');
  const [unit, per] = isPackets ? ['packets', cursor.token.text] : cursor.token.text.split('/');
  if (!Object.hasOwn(BYTES, unit)) cursor.fail();
  if (!Object.hasOwn(SECONDS, per ?? '')) cursor.fail('second or minute or hour or day or week');
  cursor.next();
  return [unit as LimitUnit, per as LimitStatement['per']];
}

function parseUnit(cursor: Cursor): LimitUnit {
  const { text } = cursor.token;
  if (!Object.hasOwn(BYTES, text)) cursor.fail();
  cursor.next();
  return text as LimitUnit;
}

/** The statement with a full bucket. */
export function fresh(statement: Omit<LimitStatement, 'state'>): LimitStatement {
  const limit: LimitStatement = { ...statement, state: new Float64Array(2) };
  limit.state[0] = bucketNs(limit);
  return limit;
}

function periodNs(limit: LimitStatement): number {
  return SECONDS[limit.per] * NS_PER_S;
}

function bucketNs(limit: LimitStatement): number {
  const rate = limit.rate * BYTES[limit.unit];
  if (limit.unit === 'packets') return Math.floor(periodNs(limit) / rate) * limit.burst;
  return Math.floor((periodNs(limit) * (rate + limit.burst * BYTES[limit.burstUnit])) / rate);
}

/** Whether a packet of this length matches at this time; takes its credit. */
export function limitMatches(limit: LimitStatement, lenBytes: number, nowPs: number): boolean {
  const { state } = limit;
  const rate = limit.rate * BYTES[limit.unit];
  const size = limit.unit === 'packets' ? 1 : lenBytes;
  const costNs = Math.floor((periodNs(limit) * size) / rate);
  const tokens = Math.min(bucketNs(limit), state[0] + Math.floor((nowPs - state[1]) / PS_PER_NS));
  state[1] = nowPs;
  const fits = tokens >= costNs;
  state[0] = fits ? tokens - costNs : tokens;
  return fits !== limit.over;
}

/** As `nft list` prints it. */
export function printLimit(limit: LimitStatement): string {
  const { over, rate, unit, per, burst, burstUnit } = limit;
  const size = unit === 'packets' ? '' : ` ${unit}`;
  const head = `limit rate ${over ? 'over ' : ''}${rate}${size}/${per}`;
  const usual = unit === 'packets' ? burst === DEFAULT_BURST : burst === 0;
  return usual ? head : `${head} burst ${burst} ${burstUnit}`;
}

/** As `nft -j list` gives it. */
export function limitJson(limit: LimitStatement): unknown {
  const { over, rate, unit, per, burst, burstUnit } = limit;
  const units = unit === 'packets' ? {} : { rate_unit: unit, burst_unit: burstUnit };
  return { limit: { rate, burst, per, ...(over ? { inv: true } : {}), ...units } };
}
