// Naive ternary table: an array of rules, the first one that matches wins. BigInt keys, no cleverness.

export interface LinearRule {
  value: bigint;
  mask: bigint;
}

export class LinearTcam {
  readonly rules: (LinearRule | null)[];

  constructor(entries: number) {
    this.rules = new Array<LinearRule | null>(entries).fill(null);
  }

  lookup(key: bigint): number {
    return this.rules.findIndex((r) => r !== null && (key & r.mask) === (r.value & r.mask));
  }
}

/** Words to one number, word 0 most significant. */
export function wordsToBigint(words: Uint32Array): bigint {
  let n = 0n;
  for (const w of words) n = (n << 32n) | BigInt(w);
  return n;
}
