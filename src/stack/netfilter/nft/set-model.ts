// Named sets and maps: what they declare, which elements they hold, and what adding or removing elements refuses.
//
// Elements are kept sorted by key, as nft lists them. Without `flags interval` a key is one value; with it a range or prefix
// too, and two that overlap are refused unless they are equal. Left out: timeouts, dynamic sets, per-element counters,
// auto-merge, concatenated keys.

import { EEXIST, EINVAL, ENFILE, ENOENT } from '../../../../driver/errno.ts';
import type { Rhs, SetElement } from './ast.ts';
import { NftError } from './lexer.ts';
import { refuseByKernel } from './refusal.ts';
import { compareScalars } from './types.ts';
import type { Scalar, TypeName } from './types.ts';
import { first, last } from './value-parser.ts';

/** What `add set` and `add map` declare. */
export interface SetSpec {
  name: string;
  place: { start: number; end: number };
  isMap: boolean;
  keyType: TypeName;
  /** Of a map; null for a set. */
  dataType: TypeName | 'verdict' | null;
  interval: boolean;
  constant: boolean;
  /** Most elements, 0 for no limit. */
  size: number;
  comment: string | null;
  elements: SetElement[];
}

export interface NamedSet extends SetSpec {
  handle: number;
}

/** Adds elements in place; `create` refuses those that exist. Returns the ones that are new. Throws NftError. */
export function addElements(
  set: NamedSet,
  elements: readonly SetElement[],
  create: boolean,
): SetElement[] {
  const added: SetElement[] = [];
  // nft sorts intervals before it hands them over.
  const sorted = [...elements];
  if (set.interval) sorted.sort((a, b) => compareKeys(a.key, b.key));
  for (const element of sorted) {
    checkShape(set, element);
    const at = placeOf(set.elements, element.key);
    const same = sameAt(set.elements, at, element.key);
    if (same >= 0) {
      if (create || !sameData(set.elements[same], element)) refuseByKernel(EEXIST, element);
      continue;
    }
    if (overlapsAt(set.elements, at, element.key))
      throw new NftError('interval overlaps with an existing one', element.start, element.end);
    if (set.size > 0 && set.elements.length >= set.size) refuseByKernel(ENFILE, element);
    set.elements.splice(at, 0, element);
    added.push(element);
  }
  return added;
}

/** Removes elements by key; returns them as they were. Throws NftError (ENOENT). */
export function removeElements(set: NamedSet, elements: readonly SetElement[]): SetElement[] {
  return elements.map((element) => {
    const at = sameAt(set.elements, placeOf(set.elements, element.key), element.key);
    if (at < 0) refuseByKernel(ENOENT, element);
    return set.elements.splice(at, 1)[0];
  });
}

/** Where the key belongs among elements in order: how many begin at or below it. */
function placeOf(elements: readonly SetElement[], key: Rhs): number {
  let [low, high] = [0, elements.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compareKeys(elements[middle].key, key) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Place of the element with this key, -1 for none: elements are disjoint, so only the one below can be it. */
function sameAt(elements: readonly SetElement[], at: number, key: Rhs): number {
  return at > 0 && sameKey(elements[at - 1].key, key) ? at - 1 : -1;
}

/** Whether a neighbour reaches into the key (elements are disjoint: no other can). */
function overlapsAt(elements: readonly SetElement[], at: number, key: Rhs): boolean {
  return (
    (at > 0 && overlap(elements[at - 1].key, key)) ||
    (at < elements.length && overlap(elements[at].key, key))
  );
}

function checkShape(set: NamedSet, element: SetElement): void {
  if (set.isMap && element.data === null) refuseByKernel(EINVAL, element);
  const { kind } = element.key;
  if (set.interval || (kind !== 'prefix' && kind !== 'range')) return;
  throw new NftError(
    `You must add 'flags interval' to your set declaration if you want to add ${kind} elements`,
    element.start,
    element.end,
  );
}

function sameKey(a: Rhs, b: Rhs): boolean {
  return compareScalars(first(a), first(b)) === 0 && compareScalars(last(a), last(b)) === 0;
}

function sameData(a: SetElement, b: SetElement): boolean {
  if (a.data === null || b.data === null) return a.data === b.data;
  if (a.data.kind === 'value' && b.data.kind === 'value')
    return compareScalars(a.data.value, b.data.value) === 0;
  if (a.data.kind === 'jump' && b.data.kind === 'jump')
    return a.data.goto === b.data.goto && a.data.chain === b.data.chain;
  return a.data.kind === b.data.kind;
}

function overlap(a: Rhs, b: Rhs): boolean {
  return compareScalars(first(a), last(b)) <= 0 && compareScalars(first(b), last(a)) <= 0;
}

/** Order of listing: by value; names as little-endian numbers, which is how nft compares them. */
function compareKeys(a: Rhs, b: Rhs): number {
  const [x, y] = [first(a), first(b)];
  if (typeof x === 'string' && typeof y === 'string') return compareNames(x, y);
  return compareScalars(x, y);
}

function compareNames(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length;
  for (let i = a.length - 1; i >= 0; i--)
    if (a[i] !== b[i]) return a.charCodeAt(i) - b.charCodeAt(i);
  return 0;
}

/** Whether `value` is a chain target of some element. */
export function jumpsTo(elements: readonly SetElement[], chain: string): boolean {
  return elements.some((e) => e.data?.kind === 'jump' && e.data.chain === chain);
}

/** Keys of elements, for programs that only ask for membership. */
export function keysOf(elements: readonly SetElement[]): Rhs[] {
  return elements.map((e) => e.key);
}

/** A scalar or null: what a map answers as a value. */
export function valueOf(element: SetElement): Scalar {
  return element.data?.kind === 'value' ? element.data.value : 0;
}
