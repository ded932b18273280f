// Named sets and maps: what they declare, which elements they hold, and what adding or removing elements refuses.
//
// Elements are kept sorted by key, as nft lists them. Without `flags interval` a key is one value; with it a range or prefix
// too, and two that overlap are refused unless they are equal. Left out: auto-merge, quotas of elements.

import { EEXIST, EINVAL, ENFILE, ENOENT } from '../../../../driver/errno.ts';
import type { DataTypes, ElementStatement, Rhs, SetElement } from './ast.ts';
import { cloned } from './element-statements.ts';
import { compareKeys, first, overlap, partsOfKey, sameKey } from './key-order.ts';
import { KeySet } from './key-set.ts';
import { MAX_KEY_WORDS, wordsOf, writeKey } from './key-words.ts';
import { NftError } from './lexer.ts';
import { refuseByKernel } from './refusal.ts';
import type { Scalar, Types } from './types.ts';

/** What `add set` and `add map` declare. */
export interface SetSpec {
  name: string;
  place: { start: number; end: number };
  isMap: boolean;
  keyTypes: Types;
  /** Of a map; null for a set. */
  dataTypes: DataTypes | null;
  /** `type A : interval B`: values may be ranges. */
  intervalData: boolean;
  interval: boolean;
  constant: boolean;
  /** `flags dynamic`: rules may add elements with statements of their own. */
  dynamic: boolean;
  /** Elements may have timeouts; how long they stay when they do not say (0: for ever). */
  hasTimeout: boolean;
  timeoutMs: number;
  gcMs: number;
  policyMemory: boolean;
  /** What each element has of its own. */
  statements: ElementStatement[];
  /** Most elements, 0 for no limit. */
  size: number;
  comment: string | null;
  elements: SetElement[];
}

export interface NamedSet extends SetSpec {
  handle: number;
  /** The size that its declaration gave: such a set is a hash table that cannot grow (nft_hash). */
  declaredSize: number;
  /** Of a constant set: what it was made with. 0 for no such limit. */
  constantSize: number;
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
  if (set.interval && !isUnordered(set))
    sorted.sort((a, b) => compareKeys(set.keyTypes, a.key, b.key));
  const ranges = isUnordered(set) ? new RangeIndex(set) : null;
  for (const element of sorted) {
    checkShape(set, element);
    const at = placeOf(set, element.key);
    const same = ranges === null ? sameAt(set, at, element.key) : ranges.same(element.key);
    if (same >= 0) {
      if (create || !sameData(set.elements[same], element)) refuseByKernel(EEXIST, element);
      const old = set.elements[same];
      if (!isRetimed(set, old, element)) continue;
      set.elements[same] = started(set, { ...old, ...timesOf(element) });
      added.push(set.elements[same]);
      continue;
    }
    if (ranges === null) checkOverlap(set, at, element);
    else if (ranges.reaches(element.key)) refuseByKernel(EEXIST, element);
    const limit = set.size > 0 ? set.size : set.constantSize;
    if (limit > 0 && set.elements.length >= limit) refuseByKernel(ENFILE, element);
    const begun = started(set, element);
    set.elements.splice(at, 0, begun);
    ranges?.add(begun.key, at);
    added.push(begun);
  }
  return added;
}

const timesOf = ({ timeoutMs, leftMs }: SetElement): { timeoutMs: number; leftMs: number } => ({
  timeoutMs,
  leftMs,
});

/** Whether an element that is there gets another time to stay (as the kernel does from 6.12 on). */
function isRetimed(set: NamedSet, old: SetElement, element: SetElement): boolean {
  return set.hasTimeout && (old.timeoutMs !== element.timeoutMs || element.leftMs < Infinity);
}

/** The element with what its set gives it: statements, and the time from which it counts. */
function started(set: NamedSet, element: SetElement): SetElement {
  if (!set.hasTimeout && set.statements.length === 0) return element;
  const timeoutMs = element.timeoutMs > 0 ? element.timeoutMs : set.timeoutMs;
  const whole = timeoutMs > 0 ? timeoutMs : Infinity;
  return {
    ...element,
    timeoutMs: element.timeoutMs === set.timeoutMs ? 0 : element.timeoutMs,
    leftMs: element.leftMs < Infinity ? element.leftMs : whole,
    statements: element.statements.length > 0 ? element.statements : cloned(set.statements),
  };
}

/** Removes elements by key; returns them as they were. Throws NftError (ENOENT). */
export function removeElements(set: NamedSet, elements: readonly SetElement[]): SetElement[] {
  return elements.map((element) => {
    const at = sameAt(set, placeOf(set, element.key), element.key);
    if (at < 0) refuseByKernel(ENOENT, element);
    return set.elements.splice(at, 1)[0];
  });
}

/** Concatenations with ranges have no order; all others are sorted and disjoint. */
function isUnordered(set: NamedSet): boolean {
  return set.interval && set.keyTypes.length > 1;
}

/** The keys of an unordered set while elements are added: which is the same, and whether one reaches into another (nft_pipapo). */
class RangeIndex {
  private readonly types: Types;
  private readonly keys: KeySet;
  /** Place among the elements by the words of both ends. */
  private readonly places = new Map<string, number>();
  private readonly low = new Int32Array(MAX_KEY_WORDS);
  private readonly high = new Int32Array(MAX_KEY_WORDS);

  constructor(set: NamedSet) {
    this.types = set.keyTypes;
    this.keys = new KeySet(set.keyTypes.map(wordsOf), true);
    set.elements.forEach((e, at) => {
      this.add(e.key, at);
    });
  }

  add(key: Rhs, at: number): void {
    this.places.set(this.textOf(key), at);
    this.keys.insert(this.low, this.high, []);
  }

  /** Place of the element with this key, -1 for none. */
  same(key: Rhs): number {
    return this.places.get(this.textOf(key)) ?? -1;
  }

  /** Whether the lowest or the highest corner of the key lies in an element: what the kernel asks, and all it asks. */
  reaches(key: Rhs): boolean {
    writeKey(this.types, key, this.low, this.high);
    return this.keys.find(this.low, 0) >= 0 || this.keys.find(this.high, 0) >= 0;
  }

  private textOf(key: Rhs): string {
    writeKey(this.types, key, this.low, this.high);
    const words = this.keys.keyWords;
    return `${this.low.subarray(0, words).join()}-${this.high.subarray(0, words).join()}`;
  }
}

/** Where the key belongs: behind the elements that begin at or below it, or last. */
function placeOf(set: NamedSet, key: Rhs): number {
  const { elements } = set;
  if (isUnordered(set)) return elements.length;
  let [low, high] = [0, elements.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compareKeys(set.keyTypes, elements[middle].key, key) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Place of the element with this key, -1 for none: among sorted ones only the one below can be it. */
function sameAt(set: NamedSet, at: number, key: Rhs): number {
  if (isUnordered(set)) return set.elements.findIndex((e) => sameKey(e.key, key));
  return at > 0 && sameKey(set.elements[at - 1].key, key) ? at - 1 : -1;
}

/** Refuses a key that reaches into another one; among sorted ones only a neighbour can be it. */
function checkOverlap(set: NamedSet, at: number, element: SetElement): void {
  const { elements } = set;
  const { key } = element;
  if (set.keyTypes.length > 1) return;
  const below = at > 0 && overlap(elements[at - 1].key, key);
  if (below || (at < elements.length && overlap(elements[at].key, key)))
    throw new NftError('interval overlaps with an existing one', element.start, element.end);
}

function checkShape(set: NamedSet, element: SetElement): void {
  if (set.isMap && element.data === null) refuseByKernel(EINVAL, element);
  if (element.timeoutMs > 0 && !set.hasTimeout) refuseByKernel(EINVAL, element);
  if (set.interval) return;
  const { key } = element;
  const parts = partsOfKey(key);
  const at = parts.findIndex((p) => p.kind === 'prefix' || p.kind === 'range');
  if (at < 0) return;
  const { start, end } = key.kind === 'concat' ? key.places[at] : element;
  throw new NftError(
    `You must add 'flags interval' to your set declaration if you want to add ${parts[at].kind} elements`,
    start,
    end,
  );
}

function sameData(a: SetElement, b: SetElement): boolean {
  if (a.data === null || b.data === null) return a.data === b.data;
  if (a.data.kind === 'value' && b.data.kind === 'value')
    return sameKey(a.data.value, b.data.value);
  if (a.data.kind === 'jump' && b.data.kind === 'jump')
    return a.data.goto === b.data.goto && a.data.chain === b.data.chain;
  return a.data.kind === b.data.kind;
}

/** Whether `value` is a chain target of some element. */
export function jumpsTo(elements: readonly SetElement[], chain: string): boolean {
  return elements.some((e) => e.data?.kind === 'jump' && e.data.chain === chain);
}

/** Keys of elements, for programs that only ask for membership. */
export function keysOf(elements: readonly SetElement[]): Rhs[] {
  return elements.map((e) => e.key);
}

/** The number that a map answers. */
export function valueOf(element: SetElement): Scalar {
  return element.data?.kind === 'value' ? first(element.data.value) : 0;
}
