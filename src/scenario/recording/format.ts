// The form of a recording: a machine, commands, frames at times, and what a real Linux answered.
// fixtures/recordings/README.md describes it for people. Keys that this project does not compare are kept, not refused.

import { z } from 'zod';

const setupCommand = z.union([
  z.string(),
  z.looseObject({
    cmd: z.string(),
    stdin: z.string().optional(),
    says: z.string().optional(),
  }),
]);

const frame = z.looseObject({ port: z.string(), frame: z.string().regex(/^([0-9a-f]{2})*$/) });

const hexBytes = z.string().regex(/^([0-9a-f]{2})*$/);

const stepCommand = z.looseObject({
  cmd: z.string().optional(),
  /** A flow of a datapath as attributes in hex. */
  netlink: z.looseObject({ key: hexBytes, mask: hexBytes, actions: hexBytes }).optional(),
  stdin: z.string().optional(),
  /** What the command said, or the errno of a netlink request. */
  error: z.union([z.string(), z.looseObject({ errno: z.number() })]).optional(),
});

const step = z.looseObject({
  t: z.number(),
  name: z.string(),
  case: z.string().optional(),
  run: z.array(stepCommand).optional(),
  in: frame.optional(),
  // Text where the step is a command whose output was kept, not frames.
  out: z.union([z.array(frame), z.string().transform(() => [])]).optional(),
  ct: z.array(z.string()).optional(),
  /** The same of named network namespaces. */
  ctOf: z.record(z.string(), z.array(z.string())).optional(),
  hooks: z.record(z.string(), z.number()).optional(),
  driver: z.array(z.string()).optional(),
  /** `ovs-dpctl dump-flows`, and the first lines of `ovs-dpctl show`. */
  dump: z.array(z.string()).optional(),
  dp: z.array(z.string()).optional(),
  upcalls: z.array(z.unknown()).optional(),
  before: z.array(z.string()).optional(),
  after: z.looseObject({ ct: z.array(z.string()), matched: z.array(z.string()) }).optional(),
});

/** A whole recording. */
export const recordingSchema = z.looseObject({
  about: z.string(),
  wires: z.record(
    z.string(),
    z.union([
      z.looseObject({ device: z.string(), mac: z.string(), mtu: z.number().int() }),
      /** A device without a wire: frames go in and come out on the host's side. */
      z.looseObject({ device: z.string(), internal: z.literal(true) }),
    ]),
  ),
  setup: z.array(setupCommand),
  paths: z.record(z.string(), z.array(z.string())).optional(),
  steps: z.array(step),
});

export type Recording = z.infer<typeof recordingSchema>;
export type RecordingStep = Recording['steps'][number];

/** Step keys that the player plays or compares. */
const KNOWN_KEYS = new Set([
  't',
  'name',
  'case',
  'run',
  'in',
  'out',
  'ct',
  'ctOf',
  'hooks',
  'driver',
  'dump',
  'dp',
  'upcalls',
  'before',
  'after',
  'ruleset',
]);

/** Keys of the steps that hold facts which are not compared here (driver calls, upcalls, ...). */
export function uncomparedKeys(recording: Recording): string[] {
  const found = new Set<string>();
  for (const one of recording.steps)
    for (const key of Object.keys(one)) if (!KNOWN_KEYS.has(key)) found.add(key);
  return [...found].sort();
}

/** Parses JSON text; throws an Error whose message is one line with the place. */
export function parseRecording(text: string, fileName: string): Recording {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`${fileName}: not JSON: ${(error as Error).message}`);
  }
  const result = recordingSchema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new Error(`${fileName}: ${issue.path.map(String).join('.')}: ${issue.message}`);
}

/** Bytes of a hex string of a recording. */
export function fromHex(hex: string): Uint8Array {
  const bytes = new Uint8Array(hex.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = parseInt(hex.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

/** Lower-case hex of bytes. */
export function toHex(bytes: Uint8Array, at = 0, end = bytes.length): string {
  let text = '';
  for (let i = at; i < end; i++) text += bytes[i].toString(16).padStart(2, '0');
  return text;
}
