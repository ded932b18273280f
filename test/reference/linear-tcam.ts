// The oracle of every ternary table: BigInt keys, a list, and the smallest priority that matches. Slow and obvious.

export interface OracleEntry {
  id: number;
  priority: number;
  value: bigint;
  mask: bigint;
}

export function matches(entry: { value: bigint; mask: bigint }, key: bigint): boolean {
  return (key & entry.mask) === (entry.value & entry.mask);
}

/** Smallest priority among the entries that match, or null. */
export function bestPriority(entries: Iterable<OracleEntry>, key: bigint): number | null {
  let best: number | null = null;
  for (const entry of entries)
    if (matches(entry, key) && (best === null || entry.priority < best)) best = entry.priority;
  return best;
}

/** A big number as 32-bit words, most significant first. */
export function toWords(value: bigint, words: number): Uint32Array {
  const out = new Uint32Array(words);
  for (let i = words - 1; i >= 0; i--) {
    out[i] = Number(value & 0xffffffffn);
    value >>= 32n;
  }
  return out;
}

/**
 * A table of places written one write at a time. The first place below `orderedDepth` that matches competes by priority
 * with every match above it, as A-TCAM and C-TCAM do.
 */
export class OracleTable {
  readonly places: (OracleEntry | null)[];
  private readonly orderedDepth: number;

  constructor(depth: number, orderedDepth: number) {
    this.places = new Array<OracleEntry | null>(depth).fill(null);
    this.orderedDepth = orderedDepth;
  }

  /** Priority of the entry that wins. */
  lookup(key: bigint): number | null {
    const isHit = (entry: OracleEntry | null): boolean => entry !== null && matches(entry, key);
    const ordered = this.places.slice(0, this.orderedDepth).find(isHit);
    const hashed = this.places.slice(this.orderedDepth).filter(isHit);
    const rivals = [...hashed, ordered].flatMap((entry) => (entry ? [entry.priority] : []));
    return rivals.length === 0 ? null : Math.min(...rivals);
  }
}

/** Deterministic generator of tests: mulberry32. */
export function seeded(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * below);
  };
}
