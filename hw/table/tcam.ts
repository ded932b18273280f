// Ternary table: value and mask planes, priority by position (the lowest position that matches wins).
//
// A lookup is a linear scan over the used positions with early exit: (key ^ value) & mask per word. The modelled cost is
// a constant number of cycles whatever the scan costs us. Slices and key widths: slices.ts; an index beside the scan:
// classifier/; who decides positions: the driver, or managed-tcam.ts. Oracle in tests: test/reference/position-tcam.ts.

import { TCAM_WORDS } from '../parse/key-layout.ts';

export class Tcam {
  readonly entries: number;
  /** Positions in use. */
  count = 0;
  hits = 0;
  misses = 0;

  /** Handle of the rule at each position: the position itself, unless rules are placed by priority (managed-tcam.ts). */
  readonly handleAt: Int32Array;

  private readonly value: Uint32Array;
  private readonly mask: Uint32Array;
  private readonly used: Uint8Array;
  /** One past the highest used position. */
  private limit = 0;

  constructor(entries: number) {
    this.entries = entries;
    this.handleAt = Int32Array.from({ length: entries }, (_, position) => position);
    this.value = new Uint32Array(entries * TCAM_WORDS);
    this.mask = new Uint32Array(entries * TCAM_WORDS);
    this.used = new Uint8Array(entries);
  }

  /** Whether a position holds a rule. */
  isUsed(position: number): boolean {
    return position >= 0 && position < this.entries && this.used[position] === 1;
  }

  /** Lowest free position, −1 when full. */
  firstFree(): number {
    return this.used.indexOf(0);
  }

  /** Writes a rule to a free position; bits outside the mask are ignored. */
  set(position: number, value: Uint32Array, mask: Uint32Array): void {
    const at = position * TCAM_WORDS;
    for (let i = 0; i < TCAM_WORDS; i++) {
      this.mask[at + i] = mask[i];
      this.value[at + i] = value[i] & mask[i];
    }
    this.used[position] = 1;
    this.count++;
    if (position >= this.limit) this.limit = position + 1;
  }

  /** Frees a position; false when it was free. */
  remove(position: number): boolean {
    if (!this.isUsed(position)) return false;
    this.used[position] = 0;
    this.count--;
    while (this.limit > 0 && this.used[this.limit - 1] === 0) this.limit--;
    return true;
  }

  /** Position of the first rule that matches the key (13 words), −1 for none; counts hit or miss. */
  lookup(key: Uint32Array): number {
    const position = scan(key, this.value, this.mask, this.used, this.limit);
    if (position >= 0) this.hits++;
    else this.misses++;
    return position;
  }
}

function scan(
  key: Uint32Array,
  value: Uint32Array,
  mask: Uint32Array,
  used: Uint8Array,
  limit: number,
): number {
  for (let position = 0; position < limit; position++) {
    if (used[position] === 0) continue;
    const at = position * TCAM_WORDS;
    let i = 0;
    while (i < TCAM_WORDS && ((key[i] ^ value[at + i]) & mask[at + i]) === 0) i++;
    if (i === TCAM_WORDS) return position;
  }
  return -1;
}
