// Two predicates over ternary entries: whether some packet matches both, and whether their masks are equal.

import type { PlacementEntry } from './engine.ts';

/** Some key matches both: no bit that both care about differs. */
export function overlaps(a: PlacementEntry, b: PlacementEntry): boolean {
  const words = a.mask.length;
  for (let i = 0; i < words; i++) {
    const differ = (a.value[i] ^ b.value[i]) & a.mask[i];
    if ((differ & b.mask[i]) !== 0) return false;
  }
  return true;
}

/** Same mask, word for word. */
export function sameMask(a: Uint32Array, b: Uint32Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
