// A device profile as a device that runs: the staged tables and the flow table of its NicConfig (hw/models.ts).
//
// A profile says how with `pipeline`: which of its tables each stage is, in order (chain N of tc is stage N), and which hash
// table holds flows. Each stage has memory of its own: all slices of the table, or one bank of them where it has several. So a
// chain never takes another one's room, which `fit` counts as one table. A pipeline may be empty: the device steers to queues and
// forwards nothing (82599). Rings, RSS, MACs and the PCIe link are the profile's where it has figures for them (docs/devices.md),
// the generic NIC's otherwise. Insertion rates that were measured at several sizes (ConnectX) become a time for each size. Not
// taken over: throughput that falls with the number of rules, rows of several slices, packet processing engines; a profile that needs
// the last two is refused by name.

import { IXGBE_RING_LIMITS } from '../../driver/twin/adapter.ts';
import type { TwinOptions } from '../../driver/twin/adapter.ts';
import { actionBit, ActionKind } from '../../hw/switch/actions.ts';
import {
  genericStage,
  genericSwitch,
  IMPLIED_FIELDS,
  MAX_TEMPLATES,
  TableKind,
} from '../../hw/switch/config.ts';
import type { InsertStep, StageConfig, SwitchConfig, TableConfig } from '../../hw/switch/config.ts';
import { maskOfFields, PHV_FIELDS, type PhvFieldName } from '../../hw/switch/phv.ts';
import { genericNic, type NicConfig } from '../../hw/models.ts';
import { PS_PER_S, PS_PER_US } from '../../hw/time/units.ts';
import type { PlacementEngineName } from '../../hw/table/placement/index.ts';
import type { FieldName } from '../rules/rule.ts';
import { figure, figureList, ProfileError } from './profile.ts';
import type { DeviceProfile, TableProfile } from './profile.ts';

const BPS_PER_GBPS = 1e9;
const FCS_BYTES = 4;
/** Queues that the register interface has room for (82599 8.2.3.8). */
const QUEUES_MAX = 128;
/** Most entries of a stage's table that are made room for in the model. */
const ENTRIES_MAX = 1 << 17;

/** Kinds of a profile's actions as kinds of the device's. */
const KINDS: Readonly<Record<string, number>> = {
  drop: ActionKind.DROP,
  pass: ActionKind.PASS,
  trap: ActionKind.TRAP,
  output: ActionKind.OUTPUT,
  mirror: ActionKind.MIRROR,
  queue: ActionKind.QUEUE,
  mark: ActionKind.MARK,
  set_field: ActionKind.SET,
  dec_ttl: ActionKind.DEC_TTL,
  push_vlan: ActionKind.PUSH_VLAN,
  pop_vlan: ActionKind.POP_VLAN,
  count: ActionKind.COUNT,
  police: ActionKind.METER,
  meter: ActionKind.METER,
  sample: ActionKind.SAMPLE,
  goto: ActionKind.GOTO,
};

/** What differs from the generic NIC. Throws ProfileError when the device cannot run, naming what is missing. */
export function nicConfigOf(profile: DeviceProfile): Partial<NicConfig> {
  const { pipeline } = profile;
  if (pipeline === null)
    throw new ProfileError(
      `device ${profile.name} cannot run: its profile has no pipeline (the tables that a packet passes, in order)`,
    );
  const tables = pipeline.stages.map((id) => tableOf(profile, id));
  const stages = tables.map((table, index) => stageOf(profile, table, pipeline.stages[index]));
  const config: Partial<NicConfig> = {
    name: profile.name,
    ...portsOf(profile),
    stages: stages.length === 0 ? null : switchOf(profile, tables, stages),
  };
  return pipeline.flows === ''
    ? { ...config, hasFlowTable: false }
    : { ...config, ...flowsOf(profile, pipeline.flows) };
}

/** Rings, RSS, MACs and PCIe, as far as the profile has figures for them. */
function portsOf({ figures }: DeviceProfile): Partial<NicConfig> {
  const generic = genericNic();
  const own = (name: string, otherwise: number): number => figure(figures, name, otherwise);
  const { rss, pcie } = generic;
  return {
    queues: Math.min(own('rxQueues', generic.queues), QUEUES_MAX),
    vectors: own('vectors', generic.vectors),
    maxRingSlots: own('ringMax', generic.maxRingSlots),
    lineRateBps: own('lineRate', generic.lineRateBps / BPS_PER_GBPS) * BPS_PER_GBPS,
    maxFrameBytes: own('maxFrame', generic.maxFrameBytes + FCS_BYTES) - FCS_BYTES,
    rss: {
      tableEntries: own('retaEntries', rss.tableEntries),
      keyBytes: own('rssKey', rss.keyBytes),
      entryBits: Math.log2(own('rssQueues', 1 << rss.entryBits)),
      contexts: own('rssContexts', rss.contexts),
    },
    pcie: {
      ...pcie,
      generation: own('pcieGeneration', pcie.generation),
      lanes: own('pcieLanes', pcie.lanes),
    },
  };
}

/** Module parameters of the reference driver that follow from a profile. */
export function driverOptionsOf(
  profile: DeviceProfile,
): Pick<TwinOptions, 'fdirPballoc' | 'ringLimits' | 'rxSlots' | 'txSlots'> {
  const own = (name: string, otherwise: number): number => figure(profile.figures, name, otherwise);
  const { min, max, step } = IXGBE_RING_LIMITS;
  const rxSlots = own('ringDefault', 0);
  const pballoc = Object.values(profile.tables).find((table) => 'pballoc' in table.figures);
  return {
    ringLimits: {
      min: own('ringMin', min),
      max: own('ringMax', max),
      step: own('ringStep', step),
    },
    ...(rxSlots === 0 ? {} : { rxSlots, txSlots: own('txRingDefault', rxSlots) }),
    ...(pballoc === undefined ? {} : { fdirPballoc: figure(pballoc.figures, 'pballoc', 1) }),
  };
}

function tableOf(profile: DeviceProfile, id: string): TableProfile {
  const table = profile.tables[id];
  if (table !== undefined) return table;
  const names = Object.keys(profile.tables).join(', ');
  throw new ProfileError(
    `device ${profile.name}: pipeline names the table '${id}'; there are ${names}`,
  );
}

function cannot(profile: DeviceProfile, id: string, what: string): ProfileError {
  return new ProfileError(`device ${profile.name} cannot run: table ${id} ${what}`);
}

function stageOf(profile: DeviceProfile, table: TableProfile, id: string): StageConfig {
  const { figures } = table;
  let actions = 0;
  for (const kind of table.actions) {
    const known = KINDS[kind];
    if (known !== undefined) actions |= actionBit(known);
  }
  if (figure(profile.figures, 'groups', 0) > 0) actions |= actionBit(ActionKind.GROUP);
  const stage = genericStage({
    actions,
    maxTables: 1,
    insertPs: figure(figures, 'insertUs', 0) * PS_PER_US,
    movePs: figure(figures, 'moveUs', 0) * PS_PER_US,
    exactEntries: 0,
    ternary: null,
  });
  if (table.kind === 'hash') return { ...stage, exactEntries: figure(figures, 'entries', 0) };
  if (table.kind === 'buckets') throw cannot(profile, id, 'is a packet processing engine');
  if (figure(figures, 'rowSlices', 1) > 1) throw cannot(profile, id, 'has rows of several slices');
  if (table.masks === 'full-or-none' || figure(figures, 'masks', 0) > 0)
    throw cannot(profile, id, 'allows some masks only');
  const isList = table.kind === 'list';
  const slices = figure(figures, 'slices', 0);
  return {
    ...stage,
    movePs: isList ? 0 : stage.movePs,
    insertSteps: insertStepsOf(figures),
    ternary: {
      slices: figure(figures, 'slicesPerBank', slices),
      sliceBits: figure(figures, 'sliceBits', 0),
      depth: Math.min(figure(figures, isList ? 'entries' : 'depth', 1), ENTRIES_MAX),
      gang: table.gang,
      engine: isList ? 'shifting-array' : (table.engine as PlacementEngineName),
      maxMasks: figure(figures, 'maxMasks', 1),
      buckets: figure(figures, 'buckets', 1),
      ways: figure(figures, 'ways', 1),
      topPriority: figure(figures, 'topPriority', 0),
    },
  };
}

/**
 * Measured rates as times: a table of n entries was filled in n / rate(n), so between two measured sizes an entry takes the slope of
 * that. Where noise makes it negative (a larger table filled sooner) it is 0.
 */
function insertStepsOf(figures: TableProfile['figures']): InsertStep[] {
  const sizes = figureList(figures, 'rateEntries');
  const rates = figureList(figures, 'ratePerS');
  const filledPs = sizes.map((entries, i) => (entries / rates[i]) * PS_PER_S);
  return sizes.map((below, i) => {
    if (i === 0) return { below, ps: filledPs[0] / below };
    return { below, ps: Math.max(0, filledPs[i] - filledPs[i - 1]) / (below - sizes[i - 1]) };
  });
}

function switchOf(
  profile: DeviceProfile,
  tables: readonly TableProfile[],
  stages: StageConfig[],
): SwitchConfig {
  const own = (name: string, otherwise: number): number => figure(profile.figures, name, otherwise);
  const generic = genericSwitch();
  const registers = tables.map((table) =>
    table.ranges === 'registers' ? figure(table.figures, 'rangeRegisters', 0) : 0,
  );
  return {
    ...generic,
    stages,
    latency: profile.pipeline?.latency ?? 'visited',
    clockMhz: own('clock', generic.clockMhz),
    counters: own('counters', generic.counters),
    meters: own('meters', generic.meters),
    groups: own('groups', 0),
    rangeRegisters: Math.min(32, Math.max(0, ...registers)),
    tables: tables.map((table, index) => tableConfigOf(table, stages[index], index)),
  };
}

function tableConfigOf(table: TableProfile, stage: StageConfig, index: number): TableConfig {
  const isExact = table.kind === 'hash';
  const templates = Object.values(table.templates)
    .slice(0, isExact ? 1 : MAX_TEMPLATES)
    .map((fields) => templateOf(table, fields));
  return {
    kind: isExact ? TableKind.EXACT : TableKind.TERNARY,
    stage: index,
    entries: Math.min(isExact ? stage.exactEntries : ternaryEntries(stage), ENTRIES_MAX),
    templates,
    defaultItems: new Uint32Array(0),
    next: -1,
    writes: 0,
  };
}

/** The template's fields that the parser finds, and those told apart by it. */
function templateOf(table: TableProfile, fields: readonly FieldName[]): Uint32Array {
  const names = new Set<PhvFieldName>();
  for (const field of [...fields, ...table.implied])
    if (field === 'eth_dst') names.add('eth_dst_hi').add('eth_dst_lo');
    else if (field === 'eth_src') names.add('eth_src_hi').add('eth_src_lo');
    else if (field in PHV_FIELDS) names.add(field as PhvFieldName);
  for (const field of IMPLIED_FIELDS)
    if (field !== 'range' || table.ranges === 'registers') names.add(field);
  return maskOfFields([...names]);
}

function ternaryEntries({ ternary }: StageConfig): number {
  if (ternary === null) return 0;
  const hashed =
    ternary.engine === 'exact-masks-and-spill' ? (ternary.buckets ?? 1) * (ternary.ways ?? 1) : 0;
  return Math.max(1, ternary.slices) * ternary.depth + hashed;
}

/** The flow table behind the stages. */
function flowsOf(profile: DeviceProfile, id: string): Partial<NicConfig> {
  const { figures, kind } = tableOf(profile, id);
  if (kind !== 'hash') throw cannot(profile, id, 'holds flows and is no hash table');
  const { admin } = genericNic();
  return {
    exactMatch: {
      entries: figure(figures, 'entries', 4),
      ways: figure(figures, 'ways', 4),
      stashEntries: figure(figures, 'stashEntries', 0),
      maxKicks: figure(figures, 'maxKicks', 0),
    },
    admin: {
      ...admin,
      commandPs: figure(figures, 'insertUs', admin.commandPs / PS_PER_US) * PS_PER_US,
      movePs: figure(figures, 'moveUs', admin.movePs / PS_PER_US) * PS_PER_US,
    },
  };
}
