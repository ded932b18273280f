// Statements that an element of a set has by itself (`counter`, `limit`): they run each time the element is looked up or updated
// (nft_set_elem_update_expr). A set declares them for its elements, or a rule gives them to those that it adds.

import type { ElementStatement } from './ast.ts';
import type { Cursor } from './cursor.ts';
import { fresh, limitJson, limitMatches, parseLimit, printLimit } from './limit.ts';

/** `counter [packets N bytes N]`, `limit rate …`, as many as there are. Throws NftError. */
export function parseElementStatements(cursor: Cursor): ElementStatement[] {
  const statements: ElementStatement[] = [];
  for (;;) {
    if (cursor.take('counter')) {
      const values = new Float64Array(2);
      if (cursor.take('packets')) {
        values[0] = cursor.number();
        cursor.expect('bytes');
        values[1] = cursor.number();
      }
      statements.push({ kind: 'counter', values });
    } else if (cursor.is('limit')) statements.push(parseLimit(cursor));
    else return statements;
  }
}

/** The same statements for another element, counted from nothing. */
export function cloned(statements: readonly ElementStatement[]): ElementStatement[] {
  return statements.map((s) =>
    s.kind === 'counter' ? { kind: 'counter', values: new Float64Array(2) } : fresh(s),
  );
}

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

/** With the values of counters for an element, without them for what a set or rule declares. */
export function printElementStatements(
  statements: readonly ElementStatement[],
  values: boolean,
): string[] {
  return statements.map((s) => {
    if (s.kind === 'limit') return printLimit(s);
    return values ? `counter packets ${s.values[0]} bytes ${s.values[1]}` : 'counter';
  });
}

export function elementStatementJson(s: ElementStatement, values: boolean): unknown {
  if (s.kind === 'limit') return limitJson(s);
  return { counter: values ? { packets: s.values[0], bytes: s.values[1] } : null };
}
