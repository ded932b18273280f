// Fields of scenario files that carry a unit in text, as zod schemas: parsed once, into the model's units.

import { z } from 'zod';
import { parseDurationPs, parseQuantity, parseRateBps } from './quantity.ts';

/** "4096", "64k", "4Ki". */
export const quantity = z
  .union([z.number().int().nonnegative(), z.string()])
  .transform((value, ctx) => orIssue(ctx, () => parseQuantity(String(value))));

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
