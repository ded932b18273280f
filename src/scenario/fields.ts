// Fields of scenario files that carry a unit in text, as zod schemas: parsed once, into the model's units.

import { z } from 'zod';
import { parseDurationPs, parseQuantity, parseRateBps } from './quantity.ts';

/** "4096", "64k", "4Ki". */
export const quantity = z
  .union([z.number(), z.string()], 'expected a whole number like 4096 or 64Ki')
  .transform((value, ctx) => orIssue(ctx, () => parseQuantity(String(value))));

/** A quantity that is one of a few. */
export const oneOf = (...values: number[]) =>
  quantity.refine((value) => values.includes(value), `expected one of ${values.join(', ')}`);

/** A quantity from `least` to `most`. */
export const upTo = (most: number, least = 0) =>
  quantity.refine(
    (value) => value >= least && value <= most,
    `expected a number from ${least} to ${most}`,
  );

/** "10G" to bits per second. */
export const rateBps = z
  .union([z.number().positive(), z.string()])
  .transform((value, ctx) => orIssue(ctx, () => parseRateBps(String(value))));

/** "5ms" to ps. */
export const durationPs = z
  .union([z.number().nonnegative(), z.string()])
  .transform((value, ctx) => orIssue(ctx, () => parseDurationPs(String(value))));

/** What `parse` throws becomes an issue of the schema. */
export function orIssue<T>(ctx: z.RefinementCtx, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    ctx.addIssue({
      code: 'custom',
      message: error instanceof Error ? error.message : String(error),
    });
    return z.NEVER;
  }
}
