// The form of a recording of tun queues: an array with one object a test. `test` says in words what was done, the other members what
// was seen. It has no frames and no times but those in the words, so the player knows each kind of test by its name.

import { z } from 'zod';

const position = z.number().int();
const positions = z.array(position);

const tunTest = z.looseObject({
  test: z.string(),
  mode: z.enum(['tap', 'tun']).optional(),
  link: z.record(z.string(), z.unknown()).optional(),
  text: z.string().optional(),
  queues: positions.optional(),
  again: z.union([z.boolean(), position, positions]).optional(),
  home: position.optional(),
  taught: position.optional(),
  seen: z.array(z.tuple([z.number(), position])).optional(),
  after: z.union([positions, z.record(z.string(), position)]).optional(),
  before: z.union([position, positions]).optional(),
  write_on_detached: z.string().optional(),
  spread: positions.optional(),
  taught_again: positions.optional(),
  untaught: positions.optional(),
  came: z.union([position, positions, z.record(z.string(), position)]).optional(),
  ports: z.tuple([position, position]).optional(),
  result: z.string().optional(),
});

const tunRecordingSchema = z.array(tunTest);

export type TunTest = z.infer<typeof tunTest>;

/** Whether JSON text has this form and not the other (format.ts), which is one object. */
export function isTunRecording(text: string): boolean {
  return /^\s*\[/.test(text);
}

/** Parses JSON text; throws an Error whose message is one line with the place. */
export function parseTunRecording(text: string, fileName: string): TunTest[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`${fileName}: not JSON: ${(error as Error).message}`);
  }
  const result = tunRecordingSchema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new Error(`${fileName}: ${issue.path.map(String).join('.')}: ${issue.message}`);
}
