// The staged pipeline, the slow way: packets are objects, tables are lists of rules scanned from the best priority on, actions
// change the object, and frames are built from it afresh. The oracle of test/hw/switch.test.ts; shares no code with hw/switch.

import { frame, type FrameSpec } from '../hw/harness.ts';

export interface NaiveRule {
  id: number;
  priority: number;
  matches: readonly { field: string; value: number; mask: number }[];
  sport?: readonly [number, number] | undefined;
  dport?: readonly [number, number] | undefined;
  actions: readonly NaiveAction[];
}

export type NaiveAction =
  | { do: 'output'; port: number }
  | { do: 'drop' }
  | { do: 'trap' }
  | { do: 'pass' }
  | { do: 'goto'; table: number }
  | { do: 'group'; group: number }
  | { do: 'set'; field: string; value: number; mask: number }
  | { do: 'dec-ttl' }
  | { do: 'push'; tci: number }
  | { do: 'pop' }
  | { do: 'mirror'; port: number }
  | { do: 'sample-all'; port: number; keptBytes: number };

export interface NaiveTable {
  rules: NaiveRule[];
  otherwise: readonly NaiveAction[];
  next: number;
}

export interface NaiveGroup {
  kind: 'all' | 'indirect';
  buckets: readonly (readonly NaiveAction[])[];
}

export interface NaiveResult {
  /** 'pass', 'host', 'drop' or the port. */
  fate: string;
  /** The frame as it is at the end. */
  bytes: Uint8Array;
  /** Frames sent besides, in order. */
  copies: { port: number; bytes: Uint8Array }[];
  /** Rules hit, in order. */
  hits: number[];
}

interface Packet {
  inPort: number;
  spec: FrameSpec;
  meta: number[];
}

export function naiveRun(
  tables: readonly NaiveTable[],
  groups: readonly NaiveGroup[],
  inPort: number,
  spec: FrameSpec,
): NaiveResult {
  const packet: Packet = { inPort, spec: structuredClone(spec), meta: [0, 0] };
  const result: NaiveResult = { fate: '', bytes: frame(spec), copies: [], hits: [] };
  let at = 0;
  while (result.fate === '') {
    const table = tables[at];
    const rule = table.rules
      .filter((one) => matches(one, packet))
      .reduce<NaiveRule | null>(
        (best, one) => (best === null || one.priority < best.priority ? one : best),
        null,
      );
    if (rule !== null) result.hits.push(rule.id);
    const jump = perform(rule?.actions ?? table.otherwise, packet, groups, result);
    if (result.fate !== '') break;
    at = jump ?? table.next;
    if (at < 0) result.fate = 'pass';
  }
  result.bytes = frame(packet.spec);
  return result;
}

function valueOf(field: string, { inPort, spec, meta }: Packet): number {
  const vlans = spec.vlans ?? [];
  switch (field) {
    case 'in_port':
      return inPort;
    case 'eth_type':
      return spec.v6 === true ? 0x86dd : 0x0800;
    case 'vlan_tpid':
      return vlans.length > 0 ? 0x8100 : 0;
    case 'vlan_id':
      return (vlans[0] ?? 0) & 0xfff;
    case 'ip_proto':
      return spec.proto ?? 17;
    case 'ip_ttl':
      return spec.ttl ?? 64;
    case 'src':
      return spec.v6 === true ? 0x20010db8 : (spec.srcIp ?? 0x0a000001);
    case 'dst':
      return spec.v6 === true ? 0x20010db8 : (spec.dstIp ?? 0x0a000102);
    case 'sport':
      return spec.sport ?? 1000;
    case 'dport':
      return spec.dport ?? 2000;
    case 'meta0':
      return meta[0];
    case 'meta1':
      return meta[1];
    default:
      throw new Error(`naive switch: field ${field}`);
  }
}

function within(value: number, range: readonly [number, number] | undefined): boolean {
  return range === undefined || (value >= range[0] && value <= range[1]);
}

function matches(rule: NaiveRule, packet: Packet): boolean {
  const isMasked = rule.matches.every(
    ({ field, value, mask }) => ((valueOf(field, packet) ^ value) & mask) === 0,
  );
  return (
    isMasked &&
    within(valueOf('sport', packet), rule.sport) &&
    within(valueOf('dport', packet), rule.dport)
  );
}

/** The table to go on in, undefined when the list did not say. */
function perform(
  actions: readonly NaiveAction[],
  packet: Packet,
  groups: readonly NaiveGroup[],
  result: NaiveResult,
): number | undefined {
  for (const action of actions) {
    switch (action.do) {
      case 'output':
        result.fate = String(action.port);
        return undefined;
      case 'drop':
      case 'pass':
        result.fate = action.do;
        return undefined;
      case 'trap':
        result.fate = 'host';
        return undefined;
      case 'goto':
        return action.table;
      case 'group':
        throughGroup(groups[action.group], packet, groups, result);
        return undefined;
      case 'mirror':
        result.copies.push({ port: action.port, bytes: frame(packet.spec) });
        break;
      case 'sample-all':
        result.copies.push({
          port: action.port,
          bytes: frame(packet.spec).slice(0, action.keptBytes),
        });
        break;
      default:
        rewrite(action, packet, result);
        if (result.fate !== '') return undefined;
    }
  }
  return undefined;
}

function rewrite(action: NaiveAction, packet: Packet, result: NaiveResult): void {
  const { spec, meta } = packet;
  if (action.do === 'push') spec.vlans = [action.tci, ...(spec.vlans ?? [])];
  if (action.do === 'pop') spec.vlans = (spec.vlans ?? []).slice(1);
  if (action.do === 'dec-ttl') {
    const ttl = spec.ttl ?? 64;
    if (ttl <= 1) result.fate = 'host';
    else spec.ttl = ttl - 1;
  }
  if (action.do !== 'set') return;
  const value =
    ((valueOf(action.field, packet) & ~action.mask) | (action.value & action.mask)) >>> 0;
  if (action.field === 'meta0') meta[0] = value;
  else if (action.field === 'meta1') meta[1] = value;
  else if (action.field === 'ip_ttl') spec.ttl = value;
  else if (action.field === 'sport') spec.sport = value;
  else if (action.field === 'dport') spec.dport = value;
  else if (action.field === 'vlan_id') {
    const [outer, ...rest] = spec.vlans ?? [];
    if (outer !== undefined) spec.vlans = [(outer & 0xf000) | value, ...rest];
  } else if (spec.v6 !== true) {
    if (action.field === 'src') spec.srcIp = value;
    if (action.field === 'dst') spec.dstIp = value;
  } else throw new Error(`naive switch: set ${action.field}`);
}

function throughGroup(
  group: NaiveGroup,
  packet: Packet,
  groups: readonly NaiveGroup[],
  result: NaiveResult,
): void {
  const live = group.buckets.filter((bucket) => bucket.every((action) => action.do !== 'drop'));
  if (live.length === 0) {
    result.fate = 'drop';
    return;
  }
  live.slice(0, -1).forEach((bucket) => {
    const clone = structuredClone(packet);
    const own: NaiveResult = { fate: '', bytes: result.bytes, copies: [], hits: [] };
    perform(bucket, clone, groups, own);
    result.copies.push({
      port: own.fate === 'host' ? -1 : Number(own.fate),
      bytes: frame(clone.spec),
    });
  });
  perform(live[live.length - 1], packet, groups, result);
}
