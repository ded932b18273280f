// The scenario file: what a user writes in YAML, validated by zod. docs/scenario.md is its manual.
//
// Unknown keys are errors (a misspelt key must not be ignored). Quantities carry units in text ("10G", "5ms", "64k")
// and are parsed here, once, into the model's units. Files named in a scenario are relative to the scenario's folder.

import { z } from 'zod';
import { genericNic } from '../../hw/models.ts';
import { durationPs, oneOf, orIssue, quantity, rateBps, upTo } from './fields.ts';
import { isKnownLink, pcieSchema } from './pcie-option.ts';
import { parseSplit } from './split-option.ts';

const mac = z
  .string()
  .regex(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i, 'expected a MAC address like 02:00:00:00:00:01')
  .refine(
    (text) => /^.[02468ace]/i.test(text) && /[1-9a-f]/i.test(text),
    "expected one station's MAC address: the first byte even, not all zeros",
  );

const portName = z
  .string()
  .regex(/^[A-Za-z0-9_.-]{1,15}$/, 'expected an interface name of 1 to 15 characters')
  .refine(
    (name) => !['lo', '.', '..', 'all', 'default'].includes(name),
    'this name is taken: lo, all and default are the machine’s own',
  );

const split = z.string().transform((value, ctx) => orIssue(ctx, () => parseSplit(value)));

const portSchema = z.strictObject({
  name: portName,
  mac: mac.optional(),
  /** L3 MTU, bytes: what IPv4 needs at least to the longest IP packet; the device may take less (device-limits.ts). */
  mtu: upTo(65535, 68).optional(),
  promisc: z.boolean().default(false),
  /** Network namespace that it is in. */
  netns: z
    .string()
    .regex(/^[^/\s]{1,255}$/, 'expected a name of a network namespace')
    .optional(),
});

const deviceSchema = z.strictObject({
  /** A shipped profile's name, or a profile file, relative to the scenario. */
  profile: z.string().min(1).default('generic-nic'),
  lineRate: rateBps.optional(),
  queues: upTo(128, 1).optional(),
  /** Within what the profile's driver takes (device-limits.ts). */
  ringSlots: upTo(8192, 1).optional(),
  /** As many as the table's hash can have (device-limits.ts). */
  flowEntries: upTo(1 << 24, 1).optional(),
  /** Entries of the RSS indirection table. */
  rssEntries: oneOf(128, 256, 512, 1024, 2048).optional(),
  /** Queues that one of its entries can name: 16 as the 82599, or 64. */
  rssQueues: oneOf(16, 64).optional(),
  /** RSS contexts beside the port's own. */
  rssContexts: upTo(63).optional(),
  /** Every n-th TCP packet sent teaches the device where its flow belongs (ATR); 0: off. */
  atrSampleRate: upTo(255).optional(),
  /** Time that one flow-table command takes in the device. */
  flowInsert: durationPs.optional(),
  pcie: pcieSchema
    .refine(
      (pcie) => isKnownLink(pcie, genericNic()),
      'no figures for such a link: generations 1 and 2 are known with 8 lanes and an mps up to 512',
    )
    .optional(),
});

const hostSchema = z.strictObject({
  cores: upTo(1024, 1).default(2),
  mhz: z.number().positive().default(3600),
  /** Bytes of the last-level cache that devices write into; without it every received frame costs the same to read. */
  ioCache: quantity.refine((bytes) => bytes >= 8192, 'expected at least 8192 bytes').optional(),
});

const captureSchema = z.strictObject({
  file: z.string().min(1),
  port: portName.optional(),
});

const trafficSchema = z.strictObject({
  captures: z.array(captureSchema).default([]),
  split: split.default({ kind: 'client-server' }),
  /** Time scale: 2 replays twice as fast. */
  speed: z.number().positive().default(1),
  loop: z.number().int().min(1).default(1),
  /** Routes, neighbours and the frames' destination MAC are made up from the capture's own addresses. */
  learn: z.boolean().default(false),
});

const runSchema = z.strictObject({
  at: durationPs.default(0),
  commands: z.string(),
});

/** Two ports of one name in one namespace: the machine would refuse the second. */
function namesDiffer(ports: readonly z.infer<typeof portSchema>[], ctx: z.RefinementCtx): void {
  const seen = new Set<string>();
  ports.forEach(({ name, netns = '' }, index) => {
    const key = `${netns}/${name}`;
    if (seen.has(key))
      ctx.addIssue({ code: 'custom', path: [index, 'name'], message: `a second port '${name}'` });
    seen.add(key);
  });
}

/** The whole file. */
export const scenarioSchema = z.strictObject({
  name: z.string().default('scenario'),
  about: z.string().default(''),
  seed: z.number().int().min(0).max(0xffffffff).default(1),
  device: deviceSchema.prefault({}),
  host: hostSchema.prefault({}),
  ports: z
    .array(portSchema)
    .min(1)
    .max(8)
    .superRefine(namesDiffer)
    .default([
      { name: 'p0', promisc: false },
      { name: 'p1', promisc: false },
    ]),
  traffic: trafficSchema.prefault({}),
  run: z.array(runSchema).default([]),
});

/** A validated scenario, units resolved. */
export type Scenario = z.infer<typeof scenarioSchema>;
