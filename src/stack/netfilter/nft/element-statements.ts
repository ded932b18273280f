// Statements that an element of a set has by itself: they run each time the element is looked up or updated (nft_set_elem_update_expr).

import type { ElementStatement } from './ast.ts';
import { limitMatches } from './limit.ts';

/** Runs them in order; false when one ends the rule (a limit that does not match). */
export function runStatements(
  statements: readonly ElementStatement[],
  lenBytes: number,
  nowPs: number,
): boolean {
  for (let i = 0; i < statements.length; i++) {
    const s = statements[i];
    if (s.kind === 'counter') {
      s.values[0]++;
      s.values[1] += lenBytes;
    } else if (!limitMatches(s, lenBytes, nowPs)) return false;
  }
  return true;
}
