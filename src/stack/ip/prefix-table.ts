// Longest-prefix match of one routing table and family: a hash per prefix length and the list of lengths in use.
// Linux has a compressed trie (v4) and a radix tree (v6); what they answer is the same, and a destination cache stands
// in front of this one (fib.ts), so its cost matters only for the first packet of a destination.

import { AF_INET } from './address.ts';
import type { FibEntry } from './fib.ts';

/** Words that name a masked v4 prefix (its int32) or v6 prefix (eight UTF-16 units). */
type PrefixKey = number | string;

export class PrefixTable {
  private readonly family: number;
  private readonly bits: number;
  /** Per prefix length; null while no route has that length. Routes of one prefix in order of metric. */
  private readonly byLength: (Map<PrefixKey, FibEntry[]> | null)[];
  /** Prefix lengths in use, longest first. */
  private lengths: number[] = [];
  /** Number of routes. */
  size = 0;

  constructor(family: number) {
    this.family = family;
    this.bits = family === AF_INET ? 32 : 128;
    this.byLength = Array.from({ length: this.bits + 1 }, () => null);
  }

  /** Routes with exactly this prefix, best first; undefined when there is none. Do not change the list. */
  exact(bytes: Uint8Array, prefixLen: number): readonly FibEntry[] | undefined {
    return this.byLength[prefixLen]?.get(this.key(bytes, 0, prefixLen));
  }

  /** Adds behind the routes of the same prefix with a lower or equal metric (`before`: in front of equal ones). */
  insert(entry: FibEntry, before = false): void {
    const map = (this.byLength[entry.prefixLen] ??= new Map<PrefixKey, FibEntry[]>());
    const key = this.key(entry.dst, 0, entry.prefixLen);
    const list = map.get(key);
    if (list === undefined) map.set(key, [entry]);
    else {
      let at = 0;
      while (
        at < list.length &&
        (before ? list[at].metric < entry.metric : list[at].metric <= entry.metric)
      )
        at++;
      list.splice(at, 0, entry);
    }
    this.size++;
    if (!this.lengths.includes(entry.prefixLen)) {
      this.lengths.push(entry.prefixLen);
      this.lengths.sort((a, b) => b - a);
    }
  }

  /** Removes one route; false when it is not here. */
  remove(entry: FibEntry): boolean {
    const map = this.byLength[entry.prefixLen];
    if (!map) return false;
    const key = this.key(entry.dst, 0, entry.prefixLen);
    const list = map.get(key);
    const at = list ? list.indexOf(entry) : -1;
    if (!list || at < 0) return false;
    list.splice(at, 1);
    this.size--;
    if (list.length === 0) map.delete(key);
    if (map.size === 0) {
      this.byLength[entry.prefixLen] = null;
      this.lengths = this.lengths.filter((l) => l !== entry.prefixLen);
    }
    return true;
  }

  /** Best route for an address; `oif` 0 for any device. null when nothing matches. */
  lookup(bytes: Uint8Array, at: number, oif: number): FibEntry | null {
    for (const length of this.lengths) {
      const map = this.byLength[length];
      const list = map ? map.get(this.key(bytes, at, length)) : undefined;
      if (list === undefined) continue;
      for (const entry of list)
        if (oif === 0 || (entry.dev !== null && entry.dev.ifindex === oif)) return entry;
    }
    return null;
  }

  /** All routes in the order in which the kernel lists them: by address, shorter prefix first, metric. */
  list(): FibEntry[] {
    const all: FibEntry[] = [];
    for (const map of this.byLength) if (map) for (const list of map.values()) all.push(...list);
    return all.sort(
      (a, b) => compareBytes(a.dst, b.dst) || a.prefixLen - b.prefixLen || a.metric - b.metric,
    );
  }

  private key(bytes: Uint8Array, at: number, length: number): PrefixKey {
    if (this.family === AF_INET) {
      const word = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
      return length === 0 ? 0 : word & (-1 << (32 - length));
    }
    let key = '';
    for (let i = 0; i < 8; i++) {
      const unit = (bytes[at + 2 * i] << 8) | bytes[at + 2 * i + 1];
      const left = length - 16 * i;
      const mask = left >= 16 ? 0xffff : left <= 0 ? 0 : (0xffff << (16 - left)) & 0xffff;
      key += String.fromCharCode(unit & mask);
    }
    return key;
  }
}

/** Order of two addresses of one family as unsigned numbers. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i] - b[i];
  return 0;
}
