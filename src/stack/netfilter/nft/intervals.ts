// Masks as prefixes, and the ranges of an anonymous set put together: nft merges those that overlap or touch, and lists what makes a
// prefix as one.

import type { Rhs } from './ast.ts';
import { first, last } from './key-order.ts';
import { compareScalars } from './types.ts';
import type { Scalar, TypeName } from './types.ts';

/** Whether nft writes ranges of the type as prefixes where it can. */
export function hasPrefixes(type: TypeName): boolean {
  return type === 'ipv4_addr' || type === 'ipv6_addr' || type === 'mark';
}

/** The value with all but its first bits cleared. */
export function maskScalar(value: Scalar, lenBits: number, widthBits: number): Scalar {
  if (typeof value === 'number') {
    const keep = 2 ** (widthBits - lenBits);
    return Math.floor(value / keep) * keep;
  }
  if (typeof value === 'string') return value;
  return value.map((byte, i) => {
    const left = lenBits - 8 * i;
    return left >= 8 ? byte : left <= 0 ? 0 : byte & (0xff << (8 - left));
  });
}

/** How many leading ones a mask has, −1 when ones come behind a zero. */
export function maskLength(mask: Scalar, widthBits: number): number {
  const ones = typeof mask === 'number' ? 2 ** widthBits - 1 : new Uint8Array(16).fill(0xff);
  for (let lenBits = 0; lenBits <= widthBits; lenBits++)
    if (compareScalars(maskScalar(ones, lenBits, widthBits), mask) === 0) return lenBits;
  return -1;
}

/** Elements in ascending order, put together. */
export function mergeIntervals(type: TypeName, elements: readonly Rhs[]): Rhs[] {
  const out: Rhs[] = [];
  let open: { from: Scalar; to: Scalar; element: Rhs; isMerged: boolean } | null = null;
  for (const element of elements) {
    const from = first(element);
    const to = last(element);
    if (open !== null && compareScalars(from, successor(open.to)) <= 0) {
      const grows = compareScalars(to, open.to) > 0;
      if (grows) open.to = to;
      open.isMerged ||= grows;
      continue;
    }
    if (open !== null) out.push(close(type, open));
    open = { from, to, element, isMerged: false };
  }
  if (open !== null) out.push(close(type, open));
  return out;
}

function close(
  type: TypeName,
  { from, to, element, isMerged }: { from: Scalar; to: Scalar; element: Rhs; isMerged: boolean },
): Rhs {
  return isMerged || element.kind === 'range' ? rangeOf(type, from, to) : element;
}

function rangeOf(type: TypeName, from: Scalar, to: Scalar): Rhs {
  if (compareScalars(from, to) === 0) return { kind: 'value', value: from };
  const widthBits = type === 'ipv6_addr' ? 128 : 32;
  for (let lenBits = 0; hasPrefixes(type) && lenBits < widthBits; lenBits++) {
    const prefix = { kind: 'prefix', value: from, lenBits } as const;
    const isAligned = compareScalars(maskScalar(from, lenBits, widthBits), from) === 0;
    if (isAligned && compareScalars(last(prefix), to) === 0) return prefix;
  }
  return { kind: 'range', from, to };
}

/** The value behind; the highest address has none and stays. */
function successor(value: Scalar): Scalar {
  if (typeof value === 'number') return value + 1;
  if (typeof value === 'string' || value.every((byte) => byte === 0xff)) return value;
  const out = value.slice();
  for (let i = out.length - 1; i >= 0; i--) if (++out[i] !== 0) break;
  return out;
}
