// The rule set as the kernel holds it: tables with chains, rules, named counters and flowtables, each with its handle.
//
// Handles: tables count machine-wide; everything else counts within its table, in the order in which a transaction makes
// things (chains, then counters, sets, flowtables, rules; an anonymous set takes a handle before its rule).

import type { Binding } from '../flowtable/binding.ts';
import type { Family, Statement } from './ast.ts';
import type { QuotaLimit } from './quota.ts';
import type { NamedSet } from './set-model.ts';

export type ChainType = 'filter' | 'nat' | 'route';

export interface BaseHook {
  type: ChainType;
  hook: string;
  priority: number;
  policy: 'accept' | 'drop';
  /** Of an ingress chain, by name; empty for the others. */
  devices: string[];
}

export interface Rule {
  handle: number;
  statements: Statement[];
  comment: string | null;
}

export interface Chain {
  name: string;
  handle: number;
  /** null for a regular chain. */
  base: BaseHook | null;
  rules: Rule[];
}

export interface Counter {
  name: string;
  handle: number;
  /** Packets, bytes: shared with the running program. */
  values: Float64Array;
}

export interface Quota extends QuotaLimit {
  name: string;
  handle: number;
}

/** An object `ct helper`. */
export interface CtHelper {
  name: string;
  handle: number;
  type: string;
  protocol: string;
  l3proto: Family;
}

export interface FlowTableConfig {
  name: string;
  handle: number;
  priority: number;
  devices: string[];
  offload: boolean;
  counter: boolean;
  /** What drivers it is bound to; shared with the running flowtable. */
  binding: Binding;
}

export class Table {
  readonly family: Family;
  readonly name: string;
  readonly handle: number;
  nextHandle = 1;
  readonly chains: Chain[] = [];
  readonly counters: Counter[] = [];
  readonly quotas: Quota[] = [];
  /** Sets and maps share their names. */
  readonly sets: NamedSet[] = [];
  readonly helpers: CtHelper[] = [];
  readonly flowtables: FlowTableConfig[] = [];

  constructor(family: Family, name: string, handle: number) {
    this.family = family;
    this.name = name;
    this.handle = handle;
  }

  chain(name: string): Chain | undefined {
    return this.chains.find((c) => c.name === name);
  }

  counter(name: string): Counter | undefined {
    return this.counters.find((c) => c.name === name);
  }

  quota(name: string): Quota | undefined {
    return this.quotas.find((q) => q.name === name);
  }

  set(name: string): NamedSet | undefined {
    return this.sets.find((s) => s.name === name);
  }

  helper(name: string): CtHelper | undefined {
    return this.helpers.find((h) => h.name === name);
  }

  flowtable(name: string): FlowTableConfig | undefined {
    return this.flowtables.find((f) => f.name === name);
  }
}

export class Ruleset {
  readonly tables: Table[] = [];
  nextTableHandle = 1;

  find(family: Family, name: string): Table | undefined {
    return this.tables.find((t) => t.family === family && t.name === name);
  }
}

/** Priority names by family and hook (nft(8) "Standard priority names"). */
const PRIORITIES: readonly (readonly [name: string, value: number])[] = [
  ['raw', -300],
  ['mangle', -150],
  ['dstnat', -100],
  ['filter', 0],
  ['security', 50],
  ['srcnat', 100],
];

/** Number of a priority name, null for an unknown one or one that this hook does not have. */
export function priorityValue(name: string, hook: string): number | null {
  const row = PRIORITIES.find((p) => p[0] === name);
  if (row === undefined) return null;
  if (name === 'dstnat' && hook !== 'prerouting' && hook !== 'output') return null;
  if (name === 'srcnat' && hook !== 'postrouting' && hook !== 'input') return null;
  return row[1];
}

/** How far from a name nft still prints a priority as name ± number. */
const NEAR = 10;

/** The priority as nft prints it: `filter`, `filter + 10`, `300`. */
export function priorityText(value: number, hook: string): string {
  for (const [name, base] of PRIORITIES) {
    if (Math.abs(value - base) > NEAR || priorityValue(name, hook) === null) continue;
    if (name === 'dstnat' && hook !== 'prerouting') continue;
    if (name === 'srcnat' && hook !== 'postrouting') continue;
    if (value === base) return name;
    return `${name} ${value > base ? '+' : '-'} ${Math.abs(value - base)}`;
  }
  return String(value);
}
