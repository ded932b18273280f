// Whether two entries are of one mask: what groups entries for exact matching under a mask.

/** Same mask, word for word. */
export function sameMask(a: Uint32Array, b: Uint32Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
