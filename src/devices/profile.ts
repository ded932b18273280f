// A device profile: what one NIC or switch has for flow rules, as data. `fit` places rules by it, `devices` prints it.
//
// A table is one of four kinds; the kind says which figures it needs (REQUIRED_FIGURES):
//  - ternary: rows of slices under a placement engine (hw/table/placement); a wider key takes several slices side by side;
//  - list: so many entries, whose order costs nothing (perfect filters, root tables of firmware);
//  - hash: exact match in buckets with displacement (hw/table/exact-match.ts);
//  - buckets: the MediaTek packet processing engine (hw/table/ppe-table.ts).
// A rule goes into the first table, in the profile's order, that can hold it. Every number is a figure: value, unit, source and
// how sure it is. Which fields and actions a table takes are lists without a source of their own; `notes` says what they rest on.
//
// `pipeline` gives the order in which packets meet the tables, for devices that run. Left out: parsers, and memories that no
// flow rule goes into.

import type { PlacementEngineName } from '../../hw/table/placement/index.ts';
import type { RangeMethod } from '../../hw/table/ranges.ts';
import type { ActionKind, FieldName } from '../rules/rule.ts';

/** Where a number comes from: data sheet or driver source read, measured by others, our choice, memory of a document. */
export type FigureStatus = 'datasheet-or-driver' | 'measured' | 'assumed' | 'memory';
export const FIGURE_STATUSES = ['datasheet-or-driver', 'measured', 'assumed', 'memory'] as const;

export interface Figure {
  value: number | number[];
  unit?: string | undefined;
  source: string;
  status: FigureStatus;
}

export const TABLE_KINDS = ['ternary', 'list', 'hash', 'buckets'] as const;
export type TableKind = (typeof TABLE_KINDS)[number];

/** Masks that a table takes: any; a field wholly or not at all; every field of the template wholly. */
export const MASK_RULES = ['any', 'full-or-none', 'exact'] as const;
export type MaskRule = (typeof MASK_RULES)[number];

/** 'none': a range that is no single mask is refused. */
export const RANGE_RULES = ['none', 'prefix', 'srge', 'registers'] as const;
export type RangeRule = RangeMethod | 'none';

/** 'none' for tables whose order costs nothing. */
export const ENGINES = [
  'none',
  'shifting-array',
  'parman',
  'rows-per-priority',
  'prefix-length-middle',
  'prefix-length-end',
  'chain-ancestor',
  'exact-masks-and-spill',
] as const;
export type EngineName = PlacementEngineName | 'none';

/** Slices side by side: rounded up to a power of two, or as many as the key needs. */
export const GANGS = ['power-of-two', 'whole'] as const;
export type Gang = (typeof GANGS)[number];

export const ACTION_KINDS = [
  ...(['drop', 'pass', 'continue', 'trap', 'output', 'mirror', 'queue', 'vf', 'rss'] as const),
  ...(['mark', 'set_field', 'dec_ttl', 'push_vlan', 'pop_vlan', 'push_mpls'] as const),
  ...(['pop_mpls', 'encap', 'decap', 'count', 'police', 'meter', 'sample'] as const),
  ...(['goto', 'ct', 'checksum'] as const),
] as const satisfies readonly ActionKind[];

export interface TableProfile {
  title: string;
  kind: TableKind;
  /** Key templates by name: the fields of the key. A rule takes the narrowest that has its fields. */
  templates: Record<string, FieldName[]>;
  /** Fields that the parser has told apart: matched wholly, at no cost in key bits. */
  implied: FieldName[];
  masks: MaskRule;
  ranges: RangeRule;
  engine: EngineName;
  gang: Gang;
  actions: ActionKind[];
  notes: string;
  figures: Record<string, Figure>;
}

/** How the device's tables stand in the way of packets, for devices that run (nic-config.ts). */
export interface PipelineProfile {
  /** A packet passes all stages (Tofino), or pays for the look-ups that it has. */
  latency: 'pipe' | 'visited';
  /** The table that each stage is, by name; chain N of tc is stage N. */
  stages: string[];
  /** The hash table of flows behind the stages, '' for none. */
  flows: string;
}

export interface DeviceProfile {
  name: string;
  title: string;
  kind: 'nic' | 'switch';
  notes: string;
  /** null: the profile serves `fit` only. */
  pipeline: PipelineProfile | null;
  tables: Record<string, TableProfile>;
  /** Of the device as a whole; `counters` and `meters` limit rules that count or police. */
  figures: Record<string, Figure>;
}

/** Figures that a kind of table cannot do without; of a list, one of `entries` and `pballoc`. */
export const REQUIRED_FIGURES: Record<TableKind, readonly string[]> = {
  ternary: ['depth'],
  list: [],
  hash: ['entries', 'ways', 'stashEntries', 'maxKicks'],
  buckets: ['entries', 'bucketEntries', 'staticEntries'],
};

/** Figures that an engine cannot do without. */
export const ENGINE_FIGURES: Partial<Record<EngineName, readonly string[]>> = {
  'rows-per-priority': ['sliceBits', 'rowSlices', 'topPriority'],
  'prefix-length-middle': ['levels'],
  'prefix-length-end': ['levels'],
  'exact-masks-and-spill': ['maxMasks', 'buckets', 'ways'],
};

/** A profile that makes no sense, or a setting of what is not there; one line. */
export class ProfileError extends Error {
  override readonly name = 'ProfileError';
}

/** The number of a figure, `otherwise` where there is none. */
export function figure(
  figures: Readonly<Record<string, Figure>>,
  name: string,
  otherwise: number,
): number {
  const value = figures[name]?.value;
  return typeof value === 'number' ? value : otherwise;
}

/** The list of a figure, empty where there is none. */
export function figureList(figures: Readonly<Record<string, Figure>>, name: string): number[] {
  const value = figures[name]?.value;
  return Array.isArray(value) ? value : [];
}
