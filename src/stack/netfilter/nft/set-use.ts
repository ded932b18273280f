// What rules say about sets, maps and chains of their table: names that exist, types that fit.

import { ENOENT, EOPNOTSUPP, strerror } from '../../../../driver/errno.ts';
import type { DataTypes, MapRef, Place, Rhs, Statement } from './ast.ts';
import { typesOf } from './fields.ts';
import type { Field } from './fields.ts';
import { NftError } from './lexer.ts';
import { refuseByKernel } from './refusal.ts';
import type { Table } from './ruleset.ts';
import type { NamedSet } from './set-model.ts';
import { admitSetUpdate, isKeyOf } from './set-statement.ts';
import { describeAll } from './types.ts';

/** A set or map by name; nft looks these names up itself: without the kernel's words. */
export function lookUp(table: Table, name: string, place: Place): NamedSet {
  const set = table.set(name);
  if (set === undefined) throw new NftError(strerror(ENOENT), place.start, place.end);
  return set;
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
  else if (s.kind === 'set-update') {
    const set = lookUp(table, s.set.name, s.set);
    if (!isKeyOf(set, s.key)) refuseTypes(set.keyTypes, typesOf(s.key), s.key.place ?? s, s);
    admitSetUpdate(set, s);
  } else if (s.kind === 'vmap') checkMap(table, s.key, s.map, 'verdict', null);
  else if (s.kind === 'map-mark') checkMap(table, s.key, s.map, ['mark'], s.place);
}

function checkRhs(table: Table, field: Field, right: Rhs): void {
  if (right.kind === 'named') checkKey(lookUp(table, right.name, right), field, right);
}

function checkKey(set: NamedSet, field: Field, place: Place): void {
  if (String(set.keyTypes) === String(typesOf(field))) return;
  const [want, found] = [describeAll(typesOf(field)), describeAll(set.keyTypes)];
  throw new NftError(
    `datatype mismatch, expected ${want}, expression has type ${found}`,
    place.start,
    place.end,
    field.place ?? null,
  );
}

/** Refuses a map of another type of key or data. `context`: the statement, where nft underlines it too. */
function checkMap(
  table: Table,
  key: Field,
  map: MapRef,
  wanted: DataTypes,
  context: Place | null,
): void {
  const found = mapTypes(table, key, map);
  if (String(found) === String(wanted)) return;
  refuseTypes(wanted, found, { start: key.place?.start ?? map.start, end: map.end }, context);
}

/** The data types of a map; targets of its jumps exist, and its keys are of the key's type. */
export function mapTypes(table: Table, key: Field, map: MapRef): DataTypes {
  if (map.kind === 'elements') {
    for (const element of map.elements)
      if (element.data?.kind === 'jump') checkTarget(table, element.data.chain, element);
    return map.dataTypes;
  }
  const set = lookUp(table, map.name, map);
  const refuse = (message: string): never => {
    throw new NftError(message, map.start, map.end, key.place ?? null);
  };
  if (set.dataTypes === null) throw new NftError('Expression is not a map', map.start, map.end);
  if (String(set.keyTypes) !== String(typesOf(key))) {
    const [wanted, found] = [describeAll(set.keyTypes), describeAll(typesOf(key))];
    refuse(`datatype mismatch, map expects ${wanted}, mapping expression has type ${found}`);
  }
  return set.dataTypes;
}

export function refuseTypes(
  wanted: DataTypes,
  found: DataTypes,
  place: Place,
  context: Place | null,
): never {
  const message = `datatype mismatch: expected ${describeData(wanted)}, expression has type ${describeData(found)}`;
  throw new NftError(message, place.start, place.end, context);
}

function describeData(dataTypes: DataTypes): string {
  return dataTypes === 'verdict' ? 'netfilter verdict' : describeAll(dataTypes);
}

/** Whether a statement refers to the set or map of this name. */
export function usesSet(s: Statement, name: string): boolean {
  if (s.kind === 'match') return s.right.kind === 'named' && s.right.name === name;
  if (s.kind === 'set-update') return s.set.name === name;
  const map = mapOf(s);
  return map?.kind === 'named' && map.name === name;
}

/** The map that a statement asks. */
function mapOf(s: Statement): MapRef | null {
  if (s.kind === 'vmap' || s.kind === 'map-mark') return s.map;
  return s.kind === 'nat' ? (s.map?.map ?? null) : null;
}

/** Whether a statement brings a set of its own, which the kernel numbers. */
export function hasAnonymousSet(s: Statement): boolean {
  if (s.kind === 'match') return s.right.kind === 'set';
  return mapOf(s)?.kind === 'elements';
}
