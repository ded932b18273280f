// Sets whose elements change between two transactions: by time, by `add @set`, `update @set` and `delete @set` of rules, or in the
// counters and limits of elements. While a program runs, its key set (key-set.ts) is the truth; each nft command first takes the
// elements back into the rule set (harvest), so that listings and transactions see them.
//
// The kernel collects expired elements every gc-interval; here they are not found and not listed from the moment they expire, and
// make room when a full set takes a new one.

import { PS_PER_MS } from '../../../../hw/time/units.ts';
import type { ElementStatement, SetElement, SetUpdate } from './ast.ts';
import { cloned, runStatements } from './element-statements.ts';
import { compareKeys, isRange } from './key-order.ts';
import { KeySet } from './key-set.ts';
import { MAX_KEY_WORDS, readKey, wordsOf, writeKey } from './key-words.ts';
import type { NamedSet } from './set-model.ts';

export class LiveSet {
  readonly keys: KeySet;
  private readonly set: NamedSet;
  /** By slot: the elements that were there when the program was made. */
  private readonly loaded: readonly SetElement[];

  constructor(set: NamedSet, nowPs: number) {
    this.set = set;
    this.loaded = set.elements;
    const isRanged = set.interval || set.elements.some((e) => isRange(e.key));
    this.keys = new KeySet(set.keyTypes.map(wordsOf), isRanged);
    const low = new Int32Array(MAX_KEY_WORDS);
    const high = new Int32Array(MAX_KEY_WORDS);
    for (const element of set.elements) {
      writeKey(set.keyTypes, element.key, low, high);
      const slot = this.keys.insert(low, high, element.statements);
      this.keys.expiresPs[slot] = nowPs + element.leftMs * PS_PER_MS;
      this.keys.timeoutPs[slot] = element.timeoutMs * PS_PER_MS;
    }
  }

  /** Takes the elements of this moment back into the rule set. */
  harvest(nowPs: number): void {
    const { keys, set } = this;
    const elements: SetElement[] = [];
    for (let slot = 0; slot < keys.slots; slot++) {
      const statements = keys.statements[slot];
      if (statements === null || keys.expiresPs[slot] <= nowPs) continue;
      const leftMs = (keys.expiresPs[slot] - nowPs) / PS_PER_MS;
      const old = this.loaded[slot] as SetElement | undefined;
      elements.push(
        old?.statements === statements
          ? { ...old, leftMs }
          : this.added(slot, statements as ElementStatement[], leftMs),
      );
    }
    if (!set.interval) elements.sort((a, b) => compareKeys(set.keyTypes, a.key, b.key));
    set.elements = elements;
  }

  /** An element that a rule has added. */
  private added(slot: number, statements: ElementStatement[], leftMs: number): SetElement {
    const timeoutMs = this.keys.timeoutPs[slot] / PS_PER_MS;
    return {
      key: readKey(this.set.keyTypes, this.keys.keyOf(slot)),
      data: null,
      start: 0,
      end: 0,
      timeoutMs: timeoutMs === this.set.timeoutMs ? 0 : timeoutMs,
      leftMs,
      comment: null,
      statements,
    };
  }
}

/** A statement that changes a set, ready to run (nft_dynset_eval). */
export class SetUpdater {
  private readonly keys: KeySet;
  private readonly op: SetUpdate['op'];
  private readonly ownPs: number;
  private readonly timeoutPs: number;
  private readonly size: number;
  private readonly statements: readonly ElementStatement[];

  constructor(keys: KeySet, set: NamedSet, s: SetUpdate) {
    this.keys = keys;
    this.op = s.op;
    this.ownPs = s.timeoutMs * PS_PER_MS;
    this.timeoutPs = (s.timeoutMs > 0 ? s.timeoutMs : set.timeoutMs) * PS_PER_MS;
    this.size = set.size;
    this.statements = s.statements.length > 0 ? s.statements : set.statements;
  }

  /** Whether the rule goes on: not when the set is full, nor when a statement of the element ends it. */
  run(key: Int32Array, lenBytes: number, nowPs: number): boolean {
    const { keys } = this;
    let slot = keys.find(key, nowPs);
    if (this.op === 'delete') {
      if (slot >= 0) keys.remove(slot);
      return true;
    }
    if (slot < 0) {
      if (keys.count >= this.size) keys.sweep(nowPs);
      if (keys.count >= this.size) return false;
      slot = keys.insert(key, key, cloned(this.statements));
      keys.timeoutPs[slot] = this.ownPs;
      if (this.timeoutPs > 0) keys.expiresPs[slot] = nowPs + this.timeoutPs;
    } else if (this.op === 'update' && keys.expiresPs[slot] < Infinity)
      keys.expiresPs[slot] = nowPs + this.timeoutPs;
    const own = keys.statements[slot];
    return own === null || own.length === 0 || runStatements(own, lenBytes, nowPs);
  }
}
