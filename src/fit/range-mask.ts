// The longest prefix that all numbers of a range share.

/** Its mask in a field of `widthBits` bits: the bits in which low and high do not part yet. */
export function rangeMask(low: number, high: number, widthBits: number): number {
  const all = 2 ** widthBits - 1;
  const unlike = (low ^ high) >>> 0;
  return unlike === 0 ? all : (all - (2 ** (32 - Math.clz32(unlike)) - 1)) >>> 0;
}
