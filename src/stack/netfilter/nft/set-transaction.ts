// Sets, maps and their elements in a transaction, and what a rule may say about them.

import { EEXIST, ENOENT, EOPNOTSUPP, strerror } from '../../../../driver/errno.ts';
import type { MapRef, Place, Rhs, SetElement, Statement } from './ast.ts';
import type { Change } from './changes.ts';
import type { Command } from './command-parser.ts';
import type { Field } from './fields.ts';
import { NftError } from './lexer.ts';
import { refuseByKernel } from './refusal.ts';
import type { Table } from './ruleset.ts';
import { addElements, removeElements } from './set-model.ts';
import type { NamedSet, SetSpec } from './set-model.ts';
import { parseElements } from './set-parser.ts';
import { describe } from './types.ts';
import type { TypeName } from './types.ts';

/** nft looks names of sets up itself: without the kernel's words. */
function missing(place: Place): never {
  throw new NftError(strerror(ENOENT), place.start, place.end);
}

/** `add set`, `add map`: the declaration, then its elements. */
export function addSet(table: Table, spec: SetSpec, create: boolean, changes: Change[]): void {
  const old = table.set(spec.name);
  if (old !== undefined) {
    const isSame =
      old.isMap === spec.isMap && old.keyType === spec.keyType && old.dataType === spec.dataType;
    if (create || !isSame || old.interval !== spec.interval) refuseByKernel(EEXIST, spec.place);
    changes.push({ verb: 'add', object: 'set', table, set: old });
    insert(table, old, spec.elements, false, changes);
    return;
  }
  const set: NamedSet = { ...spec, elements: [], handle: table.nextHandle++ };
  table.sets.push(set);
  changes.push({ verb: 'add', object: 'set', table, set });
  insert(table, set, spec.elements, false, changes);
}

/** `add element`, `create element`, `delete element`. */
export function changeElements(table: Table, command: Command, changes: Change[]): void {
  const set = table.set(command.name) ?? missing(command.namePlace);
  const elements = parseElements(command.elements, set.keyType, set.dataType);
  if (command.verb !== 'delete') {
    insert(table, set, elements, command.verb === 'create', changes);
    return;
  }
  for (const element of removeElements(set, elements))
    changes.push({ verb: 'delete', object: 'element', table, set, element });
}

function insert(
  table: Table,
  set: NamedSet,
  elements: readonly SetElement[],
  create: boolean,
  changes: Change[],
): void {
  for (const element of elements)
    if (element.data?.kind === 'jump') checkTarget(table, element.data.chain, element);
  for (const element of addElements(set, elements, create))
    changes.push({ verb: 'add', object: 'element', table, set, element });
}

/** A chain that one may jump to: it exists and is no base chain. */
export function checkTarget(table: Table, name: string, place: Place): void {
  const chain = table.chain(name);
  if (chain === undefined) refuseByKernel(ENOENT, place);
  if (chain.base !== null) refuseByKernel(EOPNOTSUPP, place);
}

/** Refuses a statement whose sets do not exist or are of another type. */
export function checkSetUse(table: Table, s: Statement): void {
  if (s.kind === 'match') checkRhs(table, s.left, s.right);
  else if (s.kind === 'vmap') checkMap(table, s.key, s.map, 'verdict');
  else if (s.kind === 'map-mark') checkMap(table, s.key, s.map, 'mark');
}

function checkRhs(table: Table, field: Field, right: Rhs): void {
  if (right.kind === 'named') checkKey(table.set(right.name) ?? missing(right), field, right);
}

function checkKey(set: NamedSet, field: Field, place: Place): void {
  if (set.keyType === field.type) return;
  const [want, found] = [describe(field.type), describe(set.keyType)];
  throw new NftError(
    `datatype mismatch, expected ${want}, expression has type ${found}`,
    place.start,
    place.end,
  );
}

function checkMap(table: Table, field: Field, map: MapRef, dataType: TypeName | 'verdict'): void {
  if (map.kind === 'elements') {
    for (const element of map.elements)
      if (element.data?.kind === 'jump') checkTarget(table, element.data.chain, element);
    return;
  }
  const set = table.set(map.name) ?? missing(map);
  checkKey(set, field, map);
  if (set.dataType === dataType) return;
  const found =
    set.dataType === null || set.dataType === 'verdict' ? 'verdict' : describe(set.dataType);
  const want = dataType === 'verdict' ? 'verdict' : describe(dataType);
  throw new NftError(
    `datatype mismatch, map expects ${want}, mapping expression has type ${found}`,
    map.start,
    map.end,
  );
}

/** Whether a statement refers to the set or map of this name. */
export function usesSet(s: Statement, name: string): boolean {
  if (s.kind === 'match') return s.right.kind === 'named' && s.right.name === name;
  if (s.kind !== 'vmap' && s.kind !== 'map-mark') return false;
  return s.map.kind === 'named' && s.map.name === name;
}
