// Changes of the rule set: commands are applied to a copy, which replaces the rule set only when all of them could be done
// (nf_tables' batch). Refusals carry the kernel's errno text and the place in the source that nft underlines.

import { EEXIST, EINVAL, ENOENT, EOPNOTSUPP, EPROTO } from '../../../../driver/errno.ts';
import type { Binding } from '../flowtable/binding.ts';
import type { Place, SetElement, Statement } from './ast.ts';
import type { ChainSpec, CounterSpec, FlowTableSpec } from './block-parser.ts';
import type { Change } from './changes.ts';
import type { Command } from './command-parser.ts';
import { checkNat, checkNatMap, checkNatPlaces, isNatChainRefused } from './nat-check.ts';
import { helperOf } from '../conntrack/helpers.ts';
import type { HelperSpec } from './ct-statements.ts';
import { chainOf, tableOf } from './lookup.ts';
import { refuseByKernel } from './refusal.ts';
import { needsConntrack } from './compile.ts';
import type { NamedObject } from './objects.ts';
import { isOverdrawn } from './quota.ts';
import type { QuotaSpec } from './quota.ts';
import { applyDelete, applyFlush } from './deletion.ts';
import { addSet, changeElements } from './set-transaction.ts';
import { checkSetUse, checkTarget, hasAnonymousSet } from './set-use.ts';
import { Ruleset, Table } from './ruleset.ts';
import type { BaseHook, Chain, FlowTableConfig } from './ruleset.ts';

/** What a transaction asks of the machine about a flowtable before it is made. */
export interface FlowTableCheck {
  /**
   * Binds a flowtable's (further) devices to their drivers; `old` is its binding when it exists. errno 0, or positive: ENOENT for
   * an unknown device, the driver's own otherwise; then nothing of this call stays bound.
   */
  bind(
    old: Binding | null,
    devices: readonly string[],
    offload: boolean,
  ): { errno: number; binding: Binding };
  /** Undoes every bind since the last commit. */
  abort(): void;
}

/** A copy whose lists may be changed; rules and counters are shared. */
export function copyRuleset(from: Ruleset): Ruleset {
  const to = new Ruleset();
  to.nextTableHandle = from.nextTableHandle;
  for (const table of from.tables) {
    const copy = new Table(table.family, table.name, table.handle);
    copy.nextHandle = table.nextHandle;
    for (const chain of table.chains) {
      const base = chain.base === null ? null : { ...chain.base };
      copy.chains.push({ ...chain, base, rules: [...chain.rules] });
    }
    copy.counters.push(...table.counters);
    copy.quotas.push(...table.quotas);
    for (const set of table.sets) copy.sets.push({ ...set, elements: [...set.elements] });
    copy.helpers.push(...table.helpers);
    for (const ft of table.flowtables) copy.flowtables.push({ ...ft, devices: [...ft.devices] });
    to.tables.push(copy);
  }
  return to;
}

/** A refused transaction leaves nothing behind but its handles: the kernel does not give them out again. */
export function keepHandles(refused: Ruleset, standing: Ruleset): void {
  for (const table of standing.tables) {
    const copy = refused.tables.find((t) => t.handle === table.handle);
    if (copy !== undefined) table.nextHandle = copy.nextHandle;
  }
}

/** Applies one command and notes what it changed. Throws NftError. */
export function applyCommand(
  ruleset: Ruleset,
  command: Command,
  check: FlowTableCheck,
  changes: Change[],
): void {
  if (command.verb === 'delete') applyDelete(ruleset, command, changes);
  else if (command.verb === 'flush') applyFlush(ruleset, command, changes);
  else if (command.verb === 'rename') renameChain(ruleset, command, changes);
  else applyAdd(ruleset, command, check, changes);
}

function applyAdd(
  ruleset: Ruleset,
  command: Command,
  check: FlowTableCheck,
  changes: Change[],
): void {
  if (command.object === 'table') {
    let table = ruleset.find(command.family, command.table);
    if (table !== undefined && command.verb === 'create')
      refuseByKernel(EEXIST, command.tablePlace);
    if (table !== undefined) changes.push({ verb: 'add', object: 'table', table });
    if (table === undefined) {
      table = new Table(command.family, command.table, ruleset.nextTableHandle++);
      ruleset.tables.push(table);
      changes.push({ verb: 'add', object: 'table', table });
    }
    for (const chain of command.chains) addChain(table, chain, command, check, changes);
    for (const counter of command.counters) addCounter(table, counter, command, changes);
    for (const quota of command.quotas) addQuota(table, quota, command, changes);
    for (const helper of command.helpers) addHelper(table, helper, command, changes);
    for (const set of command.sets)
      addSet(table, set, command.verb === 'create', set.place, changes);
    for (const ft of command.flowtables) addFlowTable(table, ft, ft.place, command, check);
    for (const chain of command.chains) addRules(table, chain, changes);
    return;
  }
  const table = tableOf(ruleset, command);
  if (command.object === 'rule') {
    addRule(table, command, changes);
    return;
  }
  if (command.object === 'element') {
    changeElements(table, command, changes);
    return;
  }
  for (const chain of command.chains) {
    addChain(table, chain, command, check, changes);
    addRules(table, chain, changes);
  }
  for (const counter of command.counters) addCounter(table, counter, command, changes);
  for (const quota of command.quotas) addQuota(table, quota, command, changes);
  for (const helper of command.helpers) addHelper(table, helper, command, changes);
  for (const set of command.sets)
    addSet(table, set, command.verb === 'create', command.place, changes);
  for (const ft of command.flowtables) addFlowTable(table, ft, command.place, command, check);
}

function addChain(
  table: Table,
  spec: ChainSpec,
  command: Command,
  check: FlowTableCheck,
  changes: Change[],
): void {
  const old = table.chain(spec.name);
  if (spec.base !== null && isNatChainRefused(spec.base)) refuseByKernel(EOPNOTSUPP, spec.place);
  if (old === undefined) {
    const base = spec.base === null ? null : { ...spec.base };
    if (base !== null && base.hook === 'ingress') checkIngress(table, base, spec.place, check);
    const chain = { name: spec.name, handle: table.nextHandle++, base, rules: [] };
    table.chains.push(chain);
    changes.push({ verb: 'add', object: 'chain', table, chain });
    return;
  }
  if (command.verb === 'create') refuseByKernel(EEXIST, spec.place);
  changes.push({ verb: 'add', object: 'chain', table, chain: old });
  if (spec.base !== null) {
    const same =
      old.base !== null &&
      old.base.type === spec.base.type &&
      old.base.hook === spec.base.hook &&
      old.base.priority === spec.base.priority;
    if (!same) refuseByKernel(EEXIST, spec.place);
  }
  if (spec.policy === null) return;
  if (old.base === null) refuseByKernel(EOPNOTSUPP, spec.place);
  old.base.policy = spec.policy;
}

/** An ingress chain: of an inet or netdev table, type filter, on devices that exist. */
function checkIngress(table: Table, base: BaseHook, place: Place, check: FlowTableCheck): void {
  const hasIngress = table.family === 'inet' || table.family === 'netdev';
  if (!hasIngress || base.type !== 'filter') refuseByKernel(EOPNOTSUPP, place);
  const { errno } = check.bind(null, base.devices, false);
  if (errno !== 0) refuseByKernel(errno, place);
}

function renameChain(ruleset: Ruleset, command: Command, changes: Change[]): void {
  const table = tableOf(ruleset, command);
  const chain = chainOf(table, command);
  if (table.chain(command.newName) !== undefined) refuseByKernel(EEXIST, command.newNamePlace);
  const renamed = { ...chain, name: command.newName };
  table.chains.splice(table.chains.indexOf(chain), 1, renamed);
  renameTargets(table, chain.name, command.newName);
  changes.push({ verb: 'add', object: 'chain', table, chain: renamed });
}

/** Jumps follow the chain, whose name they print. */
function renameTargets(table: Table, from: string, to: string): void {
  const follow = <T extends { chain: string }>(jump: T): T =>
    jump.chain === from ? { ...jump, chain: to } : jump;
  const element = (e: SetElement): SetElement =>
    e.data?.kind === 'jump' ? { ...e, data: follow(e.data) } : e;
  const statement = (s: Statement): Statement => {
    if (s.kind === 'jump') return follow(s);
    if (s.kind !== 'vmap' || s.map.kind === 'named') return s;
    return { ...s, map: { ...s.map, elements: s.map.elements.map(element) } };
  };
  for (const chain of table.chains)
    chain.rules = chain.rules.map((r) => ({ ...r, statements: r.statements.map(statement) }));
  for (const set of table.sets) set.elements = set.elements.map(element);
}

function addRules(table: Table, spec: ChainSpec, changes: Change[]): void {
  const chain = table.chain(spec.name) as Chain;
  for (const rule of spec.rules) {
    const made = makeRule(table, chain, rule.statements);
    chain.rules.push(made);
    checkNatPlaces(table, rule.place);
    changes.push({ verb: 'add', object: 'rule', table, chain, rule: made });
  }
}

function addCounter(table: Table, spec: CounterSpec, command: Command, changes: Change[]): void {
  const old = table.counter(spec.name);
  if (old !== undefined) {
    if (command.verb === 'create') refuseByKernel(EEXIST, spec.place);
    tellObject(table, { object: 'counter', item: old }, changes);
    return;
  }
  const values = Float64Array.of(spec.packets, spec.bytes);
  const counter = { name: spec.name, handle: table.nextHandle++, values };
  table.counters.push(counter);
  tellObject(table, { object: 'counter', item: counter }, changes);
}

function tellObject(table: Table, named: NamedObject, changes: Change[]): void {
  changes.push({ verb: 'add', object: 'object', table, named });
}

/** A quota that is there takes the new limit and what is said to be used. */
function addQuota(table: Table, spec: QuotaSpec, command: Command, changes: Change[]): void {
  const old = table.quota(spec.name);
  if (old !== undefined && command.verb === 'create') refuseByKernel(EEXIST, spec.place);
  if (isOverdrawn(spec))
    refuseByKernel(EINVAL, command.object === 'table' ? spec.place : command.place);
  const { name, over, bytes, used } = spec;
  const quota = { name, handle: old?.handle ?? table.nextHandle++, over, bytes, used };
  if (old === undefined) table.quotas.push(quota);
  else table.quotas.splice(table.quotas.indexOf(old), 1, quota);
  tellObject(table, { object: 'quota', item: quota }, changes);
}

function addHelper(table: Table, spec: HelperSpec, command: Command, changes: Change[]): void {
  if (table.helper(spec.name) !== undefined) {
    if (command.verb === 'create') refuseByKernel(EEXIST, spec.place);
    return;
  }
  const { name, type, protocol } = spec;
  if (helperOf(type, protocol) === null) refuseByKernel(ENOENT, spec.place);
  const l3proto = spec.l3proto ?? table.family;
  const helper = { name, handle: table.nextHandle++, type, protocol, l3proto };
  table.helpers.push(helper);
  tellObject(table, { object: 'ct helper', item: helper }, changes);
}

function addFlowTable(
  table: Table,
  spec: FlowTableSpec,
  place: Place,
  command: Command,
  check: FlowTableCheck,
): void {
  const old = table.flowtable(spec.name);
  if (old !== undefined && command.verb === 'create') refuseByKernel(EEXIST, spec.place);
  if (old === undefined && spec.hook === null) refuseByKernel(ENOENT, place);
  if (spec.hook !== null && spec.hook !== 'ingress') refuseByKernel(EOPNOTSUPP, place);
  if (old !== undefined) {
    const moved = spec.priority !== null && spec.priority !== old.priority;
    if (moved || spec.offload !== old.offload) refuseByKernel(EOPNOTSUPP, place);
  }
  if (new Set(spec.devices).size !== spec.devices.length) refuseByKernel(EEXIST, place);
  for (const other of table.flowtables)
    if (other !== old && other.devices.some((d) => spec.devices.includes(d)))
      refuseByKernel(EEXIST, place);
  const added = spec.devices.filter((name) => old?.devices.includes(name) !== true);
  const { errno, binding } = check.bind(old?.binding ?? null, added, spec.offload);
  if (errno !== 0) refuseByKernel(errno, place);
  if (old !== undefined) {
    for (const name of spec.devices) if (!old.devices.includes(name)) old.devices.push(name);
    old.devices.sort();
    return;
  }
  const made: FlowTableConfig = {
    name: spec.name,
    handle: table.nextHandle++,
    priority: spec.priority ?? 0,
    devices: [...spec.devices].sort(),
    offload: spec.offload,
    counter: spec.counter,
    binding,
  };
  table.flowtables.push(made);
}

function addRule(table: Table, command: Command, changes: Change[]): void {
  const chain = chainOf(table, command);
  let at = command.verb === 'insert' ? 0 : chain.rules.length;
  const place = command.place;
  if (command.handle >= 0 || command.position >= 0) {
    const handle = command.handle >= 0 ? command.handle : command.position;
    // nft 1.0.6 takes `position 0` of insert as the head of the chain.
    const found = chain.rules.findIndex((r) => r.handle === handle);
    if (found < 0 && handle !== 0) refuseByKernel(ENOENT, place);
    if (found >= 0)
      at = command.verb === 'insert' || command.verb === 'replace' ? found : found + 1;
  } else if (command.index >= 0) {
    if (command.index >= chain.rules.length) refuseByKernel(ENOENT, place);
    at = command.verb === 'insert' ? command.index : command.index + 1;
  }
  const rule = makeRule(table, chain, command.statements);
  const old = chain.rules.splice(at, command.verb === 'replace' ? 1 : 0, rule);
  for (const gone of old)
    changes.push({ verb: 'delete', object: 'rule', table, chain, rule: gone });
  checkNatPlaces(table, place);
  const verb = command.verb === 'insert' ? 'insert' : 'add';
  changes.push({ verb, object: 'rule', table, chain, rule });
}

/** Conntrack does not see packets at a device. */
function refuseTracking(s: Statement): void {
  if (!needsConntrack([s])) return;
  const key = s.kind === 'match' ? s.left.place : undefined;
  refuseByKernel(EPROTO, key ?? { start: 0, end: 0 });
}

function makeRule(table: Table, chain: Chain, statements: Statement[]): Chain['rules'][number] {
  checkNat(table.family, statements);
  let comment: string | null = null;
  // The kernel numbers anonymous sets and the rule before it looks into them: a refused rule has used its handles up.
  for (const s of statements) if (hasAnonymousSet(s)) table.nextHandle++;
  const handle = table.nextHandle++;
  for (const s of statements) {
    checkSetUse(table, s);
    if (s.kind === 'nat') checkNatMap(table, s);
    if (s.kind === 'comment') comment = s.text;
    if (s.kind === 'counter-name' && table.counter(s.name) === undefined) refuseByKernel(ENOENT, s);
    if (s.kind === 'quota' && isOverdrawn(s.quota)) refuseByKernel(EINVAL, s);
    if (s.kind === 'quota-name' && table.quota(s.name) === undefined) refuseByKernel(ENOENT, s);
    if (table.family === 'netdev') refuseTracking(s);
    if (s.kind === 'ct-set' && s.key === 'helper' && table.helper(s.name) === undefined)
      refuseByKernel(ENOENT, s);
    if (s.kind === 'jump') checkTarget(table, s.chain, s);
    if (s.kind === 'flow') {
      if (table.flowtable(s.flowtable) === undefined) refuseByKernel(ENOENT, s);
      if (chain.base !== null && chain.base.hook !== 'forward') refuseByKernel(EOPNOTSUPP, s);
    }
  }
  return {
    handle,
    statements: statements.filter((s) => s.kind !== 'comment'),
    comment,
  };
}
