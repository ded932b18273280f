// What a device has for staged match-action tables: stages with their memories, and what they share. Data, from profiles.

import type { PlacementEngineName } from '../table/placement/index.ts';
import type { StageDependency } from '../table/stage-latency.ts';
import { ALL_ACTIONS } from './actions.ts';
import { maskOfFields } from './phv.ts';

/** Most tables, stages, templates of a table: admin records name them in a byte or less. */
export const MAX_TABLES = 64;
export const MAX_TEMPLATES = 4;
/** Words of an exact table's key (the crossbar of the exact-match unit, table/exact-match.ts). */
export const EXACT_WORDS = 11;

export const TableKind = { EXACT: 0, TERNARY: 1, LPM: 2 } as const;
export type TableKind = (typeof TableKind)[keyof typeof TableKind];

/** Ternary memory of a stage. */
export interface TernaryMemory {
  /** Blocks side by side; 0: plain rows that any key fits, `depth` of them. */
  slices: number;
  sliceBits: number;
  /** Rows of a slice. */
  depth: number;
  /** Slices of a wide key: the next power of two, or as many as it needs. */
  gang: 'power-of-two' | 'whole';
  engine: PlacementEngineName;
  /** Figures of engines that need them (placement/index.ts). */
  maxMasks?: number;
  buckets?: number;
  ways?: number;
  topPriority?: number;
}

/** An entry takes `ps` to insert while the table holds fewer than `below`. */
export interface InsertStep {
  below: number;
  ps: number;
}

export interface StageConfig {
  ternary: TernaryMemory | null;
  /** Room for exact-match entries of all tables of the stage; 0: none. */
  exactEntries: number;
  maxTables: number;
  /** Allowed kinds of actions (actionBit). */
  actions: number;
  /** Items of an action list. */
  maxItems: number;
  /** Device time of a written entry and of a moved one, ps. */
  insertPs: number;
  movePs: number;
  /** In place of `insertPs`, where it depends on how full the table is: rising `below`, the last step for all beyond. */
  insertSteps?: readonly InsertStep[];
  /** How the stage depends on the one before; without it, it follows from keys and actions (pipeline.ts). */
  dependency?: StageDependency;
}

/** One table, as the firmware has it from the start or TABLE_SET makes it. */
export interface TableConfig {
  kind: TableKind;
  stage: number;
  entries: number;
  /** Mask words of each key template; one for exact and LPM tables. */
  templates: readonly Uint32Array[];
  /** Default action (items); empty: like PASS. */
  defaultItems: Uint32Array;
  /** Table to go on in after a list without a terminal item, −1: out of the pipeline. */
  next: number;
  /** Bits of PHV words that its actions may write; 0: any. */
  writes: number;
}

export interface SwitchConfig {
  stages: readonly StageConfig[];
  clockMhz: number;
  /** One packet may start every so many cycles. */
  intervalCycles: number;
  /** A packet passes all stages (a pipe: V26), or only those that it has lookups in. */
  latency: 'pipe' | 'visited';
  /** 0 to 32. */
  rangeRegisters: number;
  groups: number;
  groupBuckets: number;
  meters: number;
  counters: number;
  packetBits: number;
  byteBits: number;
  /** Counters are copied to where commands read them this often, ps; 0: reads are current. */
  counterRefreshPs: number;
  aging: { entriesPerTick: number; tickPs: number; maxAge: number };
  /** Fields that cost no key bits: told apart by the parser. */
  implied: Uint32Array;
  /** Of the generator that draws samples. */
  seed: number;
  /** Tables from the start, by number. */
  tables: readonly TableConfig[];
}

/** Fields that parsers tell apart before the tables: free in every key. */
export const IMPLIED_FIELDS = ['in_port', 'eth_type', 'vlan_tpid', 'cvlan_tpid', 'range'] as const;

/** A stage of a generic device: one sliced TCAM kept by parman, room for exact entries, every action. */
export function genericStage(overrides: Partial<StageConfig> = {}): StageConfig {
  return {
    ternary: {
      slices: 16, // assumed
      sliceBits: 40, // hw 4.1: E810's slice
      depth: 512, // hw 4.1: E810's slice
      gang: 'power-of-two',
      engine: 'parman',
    },
    exactEntries: 4096, // assumed
    maxTables: 4, // assumed
    actions: ALL_ACTIONS,
    maxItems: 16,
    insertPs: 10_000_000, // assumed: no source
    movePs: 1_000_000, // assumed: no source
    ...overrides,
  };
}

/** A pipeline of generic stages without tables. */
export function genericSwitch(overrides: Partial<SwitchConfig> = {}): SwitchConfig {
  return {
    stages: [genericStage(), genericStage(), genericStage(), genericStage()],
    clockMhz: 1270, // hw 4.3
    intervalCycles: 1, // hw 4.3: a match-action pipe takes a packet each cycle
    latency: 'visited',
    rangeRegisters: 16, // assumed; mlxsw has 16
    groups: 256, // assumed
    groupBuckets: 16, // assumed
    meters: 1024, // assumed
    counters: 16384, // assumed
    packetBits: 40, // hw 4.2: MediaTek PPE
    byteBits: 48, // hw 4.2
    counterRefreshPs: 0,
    aging: { entriesPerTick: 1024, tickPs: 10_000_000_000, maxAge: 3 }, // assumed
    implied: maskOfFields(IMPLIED_FIELDS),
    seed: 1,
    tables: [],
    ...overrides,
  };
}
