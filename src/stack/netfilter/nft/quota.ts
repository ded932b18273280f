// `quota`: so many bytes match and then no more, or (`over`) only what comes after them; in a rule or as an object that rules name.
//
// As the kernel counts from 6.16 on: the packet that uses the quota up still matches. Left out: the event that tells monitors of a
// used-up object; comments of objects.

import type { Place } from './ast.ts';
import type { Cursor } from './cursor.ts';
import { NftError } from './lexer.ts';

export interface QuotaLimit {
  over: boolean;
  bytes: number;
  /** Bytes used: shared with the running program. */
  used: Float64Array;
}

/** A quota object as written. */
export interface QuotaSpec extends QuotaLimit {
  name: string;
  place: Place;
}

const UNITS = [
  ['mbytes', 1024 * 1024],
  ['kbytes', 1024],
  ['bytes', 1],
] as const;

/** `[over|until] N UNIT [used N UNIT]`. Throws NftError. */
export function parseQuotaLimit(cursor: Cursor): QuotaLimit {
  const { start } = cursor.tokens[cursor.at - 1];
  const over = cursor.take('over');
  if (!over) cursor.take('until');
  const bytes = parseBytes(cursor, start);
  const used = Float64Array.of(cursor.take('used') ? parseBytes(cursor, start) : 0);
  return { over, bytes, used };
}

function parseBytes(cursor: Cursor, start: number): number {
  const number = cursor.token;
  if (number.kind !== 'number') cursor.fail('number');
  cursor.next();
  const word = cursor.token;
  if (word.kind !== 'word') cursor.fail('string or bytes');
  cursor.next();
  const unit = UNITS.find(([name]) => name === word.text);
  if (unit === undefined) throw new NftError('Wrong rate format', start, word.end);
  return Number(number.text) * unit[1];
}

/** Body of an object, behind its name: in braces or bare. */
export function parseQuotaBody(cursor: Cursor, name: string, place: Place): QuotaSpec {
  if (!cursor.take('{')) return { name, place, ...parseQuotaLimit(cursor) };
  cursor.skipSeparators();
  const limit = parseQuotaLimit(cursor);
  cursor.skipSeparators();
  cursor.expect('}');
  return { name, place, ...limit };
}

/** More used than there is, which the kernel refuses (nft_quota_do_init). */
export function isOverdrawn({ bytes, used }: QuotaLimit): boolean {
  return used[0] > bytes;
}

/** Whether a packet of this length matches; it uses the quota either way. */
export function quotaMatches(quota: QuotaLimit, lenBytes: number): boolean {
  quota.used[0] += lenBytes;
  return quota.used[0] > quota.bytes === quota.over;
}

/** In the largest unit that leaves no fraction. */
function withUnit(bytes: number): [count: number, unit: string] {
  for (const [name, size] of UNITS)
    if (bytes > 0 && bytes % size === 0) return [bytes / size, name];
  return [bytes, 'bytes'];
}

const usedOf = ({ used, bytes }: QuotaLimit): number => Math.min(used[0], bytes);

/** `over 10 mbytes used 2 kbytes`. */
export function printQuotaLimit(quota: QuotaLimit): string {
  const used = usedOf(quota);
  const tail = used > 0 ? ` used ${withUnit(used).join(' ')}` : '';
  return `${quota.over ? 'over ' : ''}${withUnit(quota.bytes).join(' ')}${tail}`;
}

/** The statement. */
export function quotaJson(quota: QuotaLimit): unknown {
  const [val, unit] = withUnit(quota.bytes);
  const [used, usedUnit] = withUnit(usedOf(quota));
  return {
    quota: {
      val,
      val_unit: unit,
      ...(quota.over ? { inv: true } : {}),
      ...(used > 0 ? { used, used_unit: usedUnit } : {}),
    },
  };
}

/** What the object has beside its names. */
export function quotaFields(quota: QuotaLimit): object {
  return { bytes: quota.bytes, used: usedOf(quota), inv: quota.over };
}
