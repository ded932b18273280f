// Device profile files: validation by zod, `extends`, and settings from the command line (`--set tcam.depth=512`).
//
// A file that extends another gives only what differs: objects merge by key, a figure or a list replaces the whole one.
// Unknown keys are errors, and so is a table without the figures that its kind needs. Format: docs/devices.md.

import { z } from 'zod';
import { FIELD_NAMES } from '../rules/rule.ts';
import {
  ACTION_KINDS,
  ENGINES,
  ENGINE_FIGURES,
  FIGURE_STATUSES,
  GANGS,
  MASK_RULES,
  ProfileError,
  RANGE_RULES,
  REQUIRED_FIGURES,
  TABLE_KINDS,
} from './profile.ts';
import type { DeviceProfile, Figure, TableProfile } from './profile.ts';

const number = z.number().nonnegative();
const figureSchema = z.strictObject({
  value: z.union([number, z.array(number)]),
  unit: z.string().optional(),
  source: z.string().min(1),
  status: z.literal([...FIGURE_STATUSES]),
});
const key = z.string().regex(/^[A-Za-z][A-Za-z0-9]*$/, 'expected letters and digits');
const field = z.literal(FIELD_NAMES);

const tableSchema = z.strictObject({
  title: z.string(),
  kind: z.literal([...TABLE_KINDS]),
  templates: z.record(key, z.array(field).min(1)),
  implied: z.array(field).default([]),
  masks: z.literal([...MASK_RULES]).default('any'),
  ranges: z.literal([...RANGE_RULES]).default('prefix'),
  engine: z.literal([...ENGINES]).default('none'),
  gang: z.literal([...GANGS]).default('power-of-two'),
  actions: z.array(z.literal([...ACTION_KINDS])),
  notes: z.string().default(''),
  figures: z.record(key, figureSchema),
});

const profileSchema = z.strictObject({
  schema: z.literal('flowtwin-device/1'),
  name: z.string().regex(/^[a-z0-9][a-z0-9.-]*$/, 'expected a name of a-z, 0-9, . and -'),
  title: z.string(),
  kind: z.literal(['nic', 'switch']),
  notes: z.string().default(''),
  tables: z.record(key, tableSchema),
  pipeline: z
    .strictObject({
      latency: z.literal(['pipe', 'visited']).default('visited'),
      stages: z.array(key).max(32),
      flows: key.or(z.literal('')).default(''),
    })
    .nullable()
    .default(null),
  figures: z.record(key, figureSchema).default({}),
});

/** JSON text of a profile file as a value, not validated. Throws ProfileError. */
export function parseProfileText(text: string, file: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ProfileError(`${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (isObject(value)) return value;
  throw new ProfileError(`${file}: expected a JSON object`);
}

/** `own` over `base`: objects merge, anything else (and every figure) replaces. */
export function mergeProfiles(
  base: Record<string, unknown>,
  own: Record<string, unknown>,
): Record<string, unknown> {
  const merged = { ...base };
  for (const [key, value] of Object.entries(own)) {
    const below = base[key];
    const merges = isObject(value) && isObject(below) && !('value' in value);
    if (key !== 'extends') merged[key] = merges ? mergeProfiles(below, value) : value;
  }
  return merged;
}

/** Validates a merged profile. Throws ProfileError with the path of what is wrong. */
export function validateProfile(value: unknown, file: string): DeviceProfile {
  const result = profileSchema.safeParse(value);
  if (!result.success) {
    const [issue] = result.error.issues;
    throw new ProfileError(`${file}: ${issue.path.join('.') || 'profile'}: ${issue.message}`);
  }
  const { name, title, kind, notes, tables, pipeline, figures } = result.data;
  const profile: DeviceProfile = { name, title, kind, notes, pipeline, tables, figures };
  checkTables(profile, file);
  return profile;
}

/**
 * Applies `PATH=VALUE`: `tcam.depth=512` (figure of a table), `tcam.engine=parman` (also ranges, masks, gang), `counters=100` (figure
 * of the device). Figures set so are 'assumed'. Throws ProfileError for a path that is not there.
 */
export function applySetting(profile: DeviceProfile, setting: string): DeviceProfile {
  const match = /^([A-Za-z0-9.]+)=(.+)$/.exec(setting);
  if (match === null) throw new ProfileError(`--set: expected PATH=VALUE, found '${setting}'`);
  const [, path, text] = match;
  const parts = path.split('.');
  const changed = copyOf(profile);
  if (parts.length === 1) setFigure(changed.figures, path, path, text);
  else setInTable(changed, parts, text);
  return validateProfile({ schema: 'flowtwin-device/1', ...changed }, `--set ${setting}`);
}

function setInTable(profile: DeviceProfile, parts: readonly string[], text: string): void {
  const path = parts.join('.');
  const table = profile.tables[parts[0]];
  if (table === undefined || parts.length !== 2) {
    const tables = Object.keys(profile.tables).join(', ');
    throw new ProfileError(`--set ${path}: ${profile.name} has the tables ${tables}`);
  }
  const words: Record<string, unknown> = table as unknown as Record<string, unknown>;
  if (['engine', 'ranges', 'masks', 'gang'].includes(parts[1])) words[parts[1]] = text;
  else setFigure(table.figures, parts[1], path, text);
}

function setFigure(figures: Record<string, Figure>, key: string, path: string, text: string): void {
  const old = figures[key];
  const isOptional = [
    'rangeRegisters',
    'masks',
    'masksPerType',
    'levels',
    'topPriority',
    'counters',
    'meters',
  ];
  if (old === undefined && !isOptional.includes(key)) {
    const known = Object.keys(figures).join(', ');
    throw new ProfileError(`--set ${path}: no such figure; there are ${known}`);
  }
  if (!/^[0-9]+(\.[0-9]+)?(e[0-9]+)?$/.test(text))
    throw new ProfileError(`--set ${path}: expected a number, found '${text}'`);
  const unit = old?.unit;
  figures[key] = { value: Number(text), unit, source: '--set', status: 'assumed' };
}

function checkTables(profile: DeviceProfile, file: string): void {
  for (const [id, table] of Object.entries(profile.tables)) {
    const where = `${file}: tables.${id}`;
    const needed = [...REQUIRED_FIGURES[table.kind], ...(ENGINE_FIGURES[table.engine] ?? [])];
    for (const key of needed)
      if (table.figures[key] === undefined)
        throw new ProfileError(`${where}.figures.${key}: a table of this kind needs it`);
    if (table.kind === 'list' && !('entries' in table.figures) && !('pballoc' in table.figures))
      throw new ProfileError(`${where}.figures.entries: a table of this kind needs it`);
    checkNumbers(table, where);
  }
}

function checkNumbers(table: TableProfile, where: string): void {
  const whole = ['depth', 'slices', 'sliceBits', 'slicesPerBank', 'entries', 'ways', 'buckets'];
  for (const key of [...whole, 'unitRows', 'rowSlices', 'levels', 'maxMasks']) {
    const value = table.figures[key]?.value;
    if (value !== undefined && (!Number.isInteger(value) || (value as number) < 1))
      throw new ProfileError(`${where}.figures.${key}: expected a whole number above 0`);
  }
  const value = (key: string): number => table.figures[key]?.value as number;
  const isPower = (n: number): boolean => Number.isInteger(Math.log2(n));
  if (table.kind === 'hash' && !isPower(value('entries') / value('ways')))
    throw new ProfileError(`${where}.figures.entries: entries / ways must be a power of two`);
  if (table.engine === 'exact-masks-and-spill' && !isPower(value('buckets')))
    throw new ProfileError(`${where}.figures.buckets: expected a power of two`);
  if (table.engine === 'rows-per-priority' && ![1, 2, 4].includes(value('rowSlices')))
    throw new ProfileError(`${where}.figures.rowSlices: expected 1, 2 or 4`);
  const { slices, slicesPerBank } = table.figures;
  if (slices !== undefined && value('slices') % (slicesPerBank ? value('slicesPerBank') : 1) !== 0)
    throw new ProfileError(`${where}.figures.slices: expected whole banks`);
  if (
    table.kind === 'buckets' &&
    (value('entries') !== 8192 || ![2, 4].includes(value('bucketEntries')))
  )
    throw new ProfileError(`${where}.figures: a PPE has 8192 entries in buckets of 2 or 4`);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function copyOf<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}
