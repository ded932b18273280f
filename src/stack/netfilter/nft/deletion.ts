// Deletions and flushes of a transaction. What is still referred to is refused with EBUSY.

import { EBUSY, ENOENT } from '../../../../driver/errno.ts';
import type { Statement } from './ast.ts';
import type { Change } from './changes.ts';
import type { Command } from './command-parser.ts';
import { chainOf, tableOf } from './lookup.ts';
import { objectsOf } from './objects.ts';
import type { NamedObject } from './objects.ts';
import { refuseByKernel } from './refusal.ts';
import type { Chain, Ruleset, Table } from './ruleset.ts';
import { changeElements } from './set-transaction.ts';
import { usesSet } from './set-use.ts';
import { jumpsTo } from './set-model.ts';

function uses(table: Table, test: (s: Statement) => boolean): boolean {
  return table.chains.some((c) => c.rules.some((r) => r.statements.some(test)));
}

/** Takes the one of this name out of its list. */
function takeNamed<T extends { name: string }>(list: T[], command: Command): T {
  const at = list.findIndex((one) => one.name === command.name);
  if (at < 0) refuseByKernel(ENOENT, command.namePlace);
  return list.splice(at, 1)[0];
}

/** Applies a `delete` command. Throws NftError. */
export function applyDelete(ruleset: Ruleset, command: Command, changes: Change[]): void {
  const table = tableOf(ruleset, command);
  const { name, namePlace } = command;
  switch (command.object) {
    case 'table':
      emptied(table, changes);
      ruleset.tables.splice(ruleset.tables.indexOf(table), 1);
      return;
    case 'rule':
      deleteRule(table, command, changes);
      return;
    case 'element':
      changeElements(table, command, changes);
      return;
    case 'chain':
      deleteChain(table, command, changes);
      return;
    case 'quota': {
      if (uses(table, (s) => s.kind === 'quota-name' && s.name === name))
        refuseByKernel(EBUSY, namePlace);
      const item = takeNamed(table.quotas, command);
      gone(table, { object: 'quota', item }, changes);
      return;
    }
    case 'ct helper':
      if (uses(table, (s) => s.kind === 'ct-set' && s.key === 'helper' && s.name === name))
        refuseByKernel(EBUSY, command.namePlace);
      gone(table, { object: 'ct helper', item: takeNamed(table.helpers, command) }, changes);
      return;
    case 'counter': {
      if (uses(table, (s) => s.kind === 'counter-name' && s.name === name))
        refuseByKernel(EBUSY, namePlace);
      gone(table, { object: 'counter', item: takeNamed(table.counters, command) }, changes);
      return;
    }
    case 'set':
    case 'map': {
      if (uses(table, (s) => usesSet(s, name))) refuseByKernel(EBUSY, namePlace);
      const set = takeNamed(table.sets, command);
      changes.push({ verb: 'delete', object: 'set', table, set });
      return;
    }
    default:
      if (uses(table, (s) => s.kind === 'flow' && s.flowtable === name))
        refuseByKernel(EBUSY, namePlace);
      takeNamed(table.flowtables, command);
  }
}

function deleteRule(table: Table, command: Command, changes: Change[]): void {
  const chain = chainOf(table, command);
  const at = chain.rules.findIndex((r) => r.handle === command.handle);
  if (at < 0) refuseByKernel(ENOENT, command.place);
  const [rule] = chain.rules.splice(at, 1);
  changes.push({ verb: 'delete', object: 'rule', table, chain, rule });
}

function deleteChain(table: Table, command: Command, changes: Change[]): void {
  const { name } = command;
  const chain = chainOf(table, command);
  const own = new Set(chain.rules);
  const isTarget = (s: Statement): boolean =>
    (s.kind === 'jump' && s.chain === name) ||
    (s.kind === 'vmap' && s.map.kind === 'elements' && jumpsTo(s.map.elements, name));
  const jumped = table.chains.some((c) =>
    c.rules.some((r) => !own.has(r) && r.statements.some(isTarget)),
  );
  if (jumped || table.sets.some((set) => jumpsTo(set.elements, name)))
    refuseByKernel(EBUSY, command.namePlace);
  for (const rule of chain.rules)
    changes.push({ verb: 'delete', object: 'rule', table, chain, rule });
  table.chains.splice(table.chains.indexOf(chain), 1);
  changes.push({ verb: 'delete', object: 'chain', table, chain });
}

function gone(table: Table, named: NamedObject, changes: Change[]): void {
  changes.push({ verb: 'delete', object: 'object', table, named });
}

/** Everything in a table goes, in the kernel's order, and the table. */
function emptied(table: Table, changes: Change[]): void {
  flushRules(table, table.chains, changes);
  for (const set of table.sets) changes.push({ verb: 'delete', object: 'set', table, set });
  for (const named of objectsOf(table)) gone(table, named, changes);
  for (const chain of table.chains) changes.push({ verb: 'delete', object: 'chain', table, chain });
  changes.push({ verb: 'delete', object: 'table', table });
}

function flushRules(table: Table, chains: readonly Chain[], changes: Change[]): void {
  for (const chain of chains)
    for (const rule of chain.rules)
      changes.push({ verb: 'delete', object: 'rule', table, chain, rule });
}

/** Applies a `flush` command. Throws NftError. */
export function applyFlush(ruleset: Ruleset, command: Command, changes: Change[]): void {
  if (command.object === 'ruleset') {
    const keep = ruleset.tables.filter((t) => command.familyGiven && t.family !== command.family);
    for (const table of ruleset.tables) if (!keep.includes(table)) emptied(table, changes);
    ruleset.tables.splice(0, ruleset.tables.length, ...keep);
    return;
  }
  const table = tableOf(ruleset, command);
  if (command.object === 'set' || command.object === 'map') {
    const set = table.set(command.name) ?? refuseByKernel(ENOENT, command.namePlace);
    for (const element of set.elements.splice(0))
      changes.push({ verb: 'delete', object: 'element', table, set, element });
    return;
  }
  const chains = command.object === 'table' ? table.chains : [chainOf(table, command)];
  flushRules(table, chains, changes);
  for (const chain of chains) chain.rules = [];
}
