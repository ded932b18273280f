// Changes of the rule set: commands are applied to a copy, which replaces the rule set only when all of them could be done
// (nf_tables' batch). Refusals carry the kernel's errno text and the place in the source that nft underlines.

import { EBUSY, EEXIST, ENOENT, EOPNOTSUPP, strerror } from '../../../../driver/errno.ts';
import type { Binding } from '../flowtable/binding.ts';
import type { Place, Statement } from './ast.ts';
import { checkNat, checkNatPlaces, isNatChainRefused } from './nat-check.ts';
import type { ChainSpec, Command, CounterSpec, FlowTableSpec } from './command-parser.ts';
import { NftError } from './lexer.ts';
import { Ruleset, Table } from './ruleset.ts';
import type { Chain, FlowTableConfig } from './ruleset.ts';

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

function refuse(errno: number, place: Place): never {
  throw new NftError(`Could not process rule: ${strerror(errno)}`, place.start, place.end);
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
    for (const ft of table.flowtables) copy.flowtables.push({ ...ft, devices: [...ft.devices] });
    to.tables.push(copy);
  }
  return to;
}

/** Applies one command. Throws NftError. */
export function applyCommand(ruleset: Ruleset, command: Command, check: FlowTableCheck): void {
  if (command.verb === 'delete') applyDelete(ruleset, command);
  else if (command.verb === 'flush') applyFlush(ruleset, command);
  else applyAdd(ruleset, command, check);
}

function tableOf(ruleset: Ruleset, command: Command): Table {
  return ruleset.find(command.family, command.table) ?? refuse(ENOENT, command.tablePlace);
}

function chainOf(table: Table, command: Command): Chain {
  return table.chain(command.name) ?? refuse(ENOENT, command.namePlace);
}

function applyAdd(ruleset: Ruleset, command: Command, check: FlowTableCheck): void {
  if (command.object === 'table') {
    let table = ruleset.find(command.family, command.table);
    if (table !== undefined && command.verb === 'create') refuse(EEXIST, command.tablePlace);
    if (table === undefined) {
      table = new Table(command.family, command.table, ruleset.nextTableHandle++);
      ruleset.tables.push(table);
    }
    for (const chain of command.chains) addChain(table, chain, command);
    for (const counter of command.counters) addCounter(table, counter, command);
    for (const ft of command.flowtables) addFlowTable(table, ft, ft.place, command, check);
    for (const chain of command.chains) addRules(table, chain);
    return;
  }
  const table = tableOf(ruleset, command);
  if (command.object === 'rule') {
    addRule(table, command);
    return;
  }
  for (const chain of command.chains) {
    addChain(table, chain, command);
    addRules(table, chain);
  }
  for (const counter of command.counters) addCounter(table, counter, command);
  for (const ft of command.flowtables) addFlowTable(table, ft, command.place, command, check);
}

function addChain(table: Table, spec: ChainSpec, command: Command): void {
  const old = table.chain(spec.name);
  if (spec.base !== null && isNatChainRefused(spec.base)) refuse(EOPNOTSUPP, spec.place);
  if (old === undefined) {
    const base = spec.base === null ? null : { ...spec.base };
    table.chains.push({ name: spec.name, handle: table.nextHandle++, base, rules: [] });
    return;
  }
  if (command.verb === 'create') refuse(EEXIST, spec.place);
  if (spec.base !== null) {
    const same =
      old.base !== null &&
      old.base.type === spec.base.type &&
      old.base.hook === spec.base.hook &&
      old.base.priority === spec.base.priority;
    if (!same) refuse(EEXIST, spec.place);
  }
  if (spec.policy === null) return;
  if (old.base === null) refuse(EOPNOTSUPP, spec.place);
  old.base.policy = spec.policy;
}

function addRules(table: Table, spec: ChainSpec): void {
  const chain = table.chain(spec.name) as Chain;
  for (const rule of spec.rules) {
    const made = makeRule(table, chain, rule.statements, rule.place);
    chain.rules.push(made);
    checkNatPlaces(table, rule.place);
  }
}

function addCounter(table: Table, spec: CounterSpec, command: Command): void {
  const old = table.counter(spec.name);
  if (old !== undefined) {
    if (command.verb === 'create') refuse(EEXIST, spec.place);
    return;
  }
  const values = Float64Array.of(spec.packets, spec.bytes);
  table.counters.push({ name: spec.name, handle: table.nextHandle++, values });
}

function addFlowTable(
  table: Table,
  spec: FlowTableSpec,
  place: Place,
  command: Command,
  check: FlowTableCheck,
): void {
  const old = table.flowtable(spec.name);
  if (old !== undefined && command.verb === 'create') refuse(EEXIST, spec.place);
  if (old === undefined && spec.hook === null) refuse(ENOENT, place);
  if (spec.hook !== null && spec.hook !== 'ingress') refuse(EOPNOTSUPP, place);
  if (old !== undefined) {
    const moved = spec.priority !== null && spec.priority !== old.priority;
    if (moved || spec.offload !== old.offload) refuse(EOPNOTSUPP, place);
  }
  if (new Set(spec.devices).size !== spec.devices.length) refuse(EEXIST, place);
  for (const other of table.flowtables)
    if (other !== old && other.devices.some((d) => spec.devices.includes(d))) refuse(EEXIST, place);
  const added = spec.devices.filter((name) => old?.devices.includes(name) !== true);
  const { errno, binding } = check.bind(old?.binding ?? null, added, spec.offload);
  if (errno !== 0) refuse(errno, place);
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

function addRule(table: Table, command: Command): void {
  const chain = chainOf(table, command);
  let at = command.verb === 'insert' ? 0 : chain.rules.length;
  const place = command.place;
  if (command.handle >= 0 || command.position >= 0) {
    const handle = command.handle >= 0 ? command.handle : command.position;
    // nft 1.0.6 takes `position 0` of insert as the head of the chain.
    const found = chain.rules.findIndex((r) => r.handle === handle);
    if (found < 0 && handle !== 0) refuse(ENOENT, place);
    if (found >= 0)
      at = command.verb === 'insert' || command.verb === 'replace' ? found : found + 1;
  } else if (command.index >= 0) {
    if (command.index >= chain.rules.length) refuse(ENOENT, place);
    at = command.verb === 'insert' ? command.index : command.index + 1;
  }
  const rule = makeRule(table, chain, command.statements, command.namePlace);
  chain.rules.splice(at, command.verb === 'replace' ? 1 : 0, rule);
  checkNatPlaces(table, place);
}

function makeRule(
  table: Table,
  chain: Chain,
  statements: Statement[],
  place: Place,
): Chain['rules'][number] {
  checkNat(table.family, statements);
  let comment: string | null = null;
  for (const s of statements) {
    if (s.kind === 'match' && s.right.kind === 'set') table.nextHandle++;
    if (s.kind === 'comment') comment = s.text;
    if (s.kind === 'counter-name' && table.counter(s.name) === undefined) refuse(ENOENT, s);
    if (s.kind === 'jump' && table.chain(s.chain) === undefined) refuse(ENOENT, s);
    if (s.kind === 'flow') {
      if (table.flowtable(s.flowtable) === undefined) refuse(ENOENT, s);
      if (chain.base !== null && chain.base.hook !== 'forward') refuse(EOPNOTSUPP, s);
    }
    if (s.kind === 'reject' && s.type === 'tcp reset') refuse(EOPNOTSUPP, place);
  }
  return {
    handle: table.nextHandle++,
    statements: statements.filter((s) => s.kind !== 'comment'),
    comment,
  };
}

function uses(table: Table, test: (s: Statement) => boolean): boolean {
  return table.chains.some((c) => c.rules.some((r) => r.statements.some(test)));
}

function applyDelete(ruleset: Ruleset, command: Command): void {
  const table = tableOf(ruleset, command);
  const { name, object } = command;
  if (object === 'table') {
    ruleset.tables.splice(ruleset.tables.indexOf(table), 1);
    return;
  }
  if (object === 'rule') {
    const chain = chainOf(table, command);
    const at = chain.rules.findIndex((r) => r.handle === command.handle);
    if (at < 0) refuse(ENOENT, command.place);
    chain.rules.splice(at, 1);
    return;
  }
  if (object === 'chain') {
    const chain = chainOf(table, command);
    const own = new Set(chain.rules);
    const jumped = table.chains.some((c) =>
      c.rules.some(
        (r) => !own.has(r) && r.statements.some((s) => s.kind === 'jump' && s.chain === name),
      ),
    );
    if (jumped) refuse(EBUSY, command.namePlace);
    table.chains.splice(table.chains.indexOf(chain), 1);
    return;
  }
  if (object === 'counter') {
    const at = table.counters.findIndex((c) => c.name === name);
    if (at < 0) refuse(ENOENT, command.namePlace);
    if (uses(table, (s) => s.kind === 'counter-name' && s.name === name))
      refuse(EBUSY, command.namePlace);
    table.counters.splice(at, 1);
    return;
  }
  const at = table.flowtables.findIndex((f) => f.name === name);
  if (at < 0) refuse(ENOENT, command.namePlace);
  if (uses(table, (s) => s.kind === 'flow' && s.flowtable === name))
    refuse(EBUSY, command.namePlace);
  table.flowtables.splice(at, 1);
}

function applyFlush(ruleset: Ruleset, command: Command): void {
  if (command.object === 'ruleset') {
    const keep = ruleset.tables.filter((t) => command.familyGiven && t.family !== command.family);
    ruleset.tables.splice(0, ruleset.tables.length, ...keep);
    return;
  }
  const table = tableOf(ruleset, command);
  if (command.object === 'table') for (const chain of table.chains) chain.rules.length = 0;
  else chainOf(table, command).rules.length = 0;
}
