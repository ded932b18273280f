// The connection table and the tuple table against a Map, under random inserts, removals and look-ups with few distinct keys.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConnectionTable } from '../../../../src/stack/netfilter/conntrack/table.ts';
import { Tuple } from '../../../../src/stack/netfilter/conntrack/tuple.ts';
import { TupleTable } from '../../../../src/stack/netfilter/flowtable/tuple-table.ts';

const SEED = 11;
const operation = fc.record({
  remove: fc.boolean(),
  family: fc.constantFrom(2, 10),
  src: fc.integer({ min: 0, max: 3 }),
  deep: fc.integer({ min: 0, max: 1 }),
  port: fc.integer({ min: 0, max: 3 }),
});

function fill(
  tuple: Tuple,
  o: { family: number; src: number; deep: number; port: number },
): string {
  const six = o.family === 10;
  tuple.s0 = o.src;
  tuple.s3 = six ? o.deep : 0;
  tuple.d2 = six ? o.deep * 7 : 0;
  tuple.setL4(o.family, 6, 0, o.port);
  return `${o.family} ${o.src} ${six ? o.deep : 0} ${o.port}`;
}

describe(`tables (seed ${SEED})`, () => {
  it('finds what a Map finds', () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 120 }), (operations) => {
        const table = new ConnectionTable();
        const tuples = new TupleTable(table);
        const oracle = new Map<string, number>();
        const tuple = new Tuple();
        for (const o of operations) {
          const key = fill(tuple, o);
          const id = oracle.get(key);
          expect(table.find(tuple, tuple.hash())).toBe(id === undefined ? -1 : 2 * id);
          expect(tuples.find(tuple, -1)).toBe(id === undefined ? -1 : 2 * id);
          expect(tuples.find(tuple, 100)).toBe(-1);
          if (o.remove && id !== undefined) {
            table.unlink(2 * id);
            table.free(id);
            tuples.remove(2 * id);
            oracle.delete(key);
          } else if (!o.remove && id === undefined) {
            const conn = table.alloc();
            tuple.store(table.words, conn.id * 48);
            table.link(2 * conn.id, tuple.hash());
            tuples.insert(2 * conn.id, conn.id, tuple, -1);
            oracle.set(key, conn.id);
          }
          expect(table.count).toBe(oracle.size);
          expect(tuples.count).toBe(oracle.size);
        }
      }),
      { seed: SEED, numRuns: 200 },
    );
  });

  it('finds the newest of equal tuples, also after growing', () => {
    const table = new ConnectionTable();
    const tuples = new TupleTable(table);
    const tuple = new Tuple();
    for (let id = 0; id < 3000; id++) {
      fill(tuple, { family: 2, src: id % 1000, deep: 0, port: 1 });
      const conn = table.alloc();
      tuple.store(table.words, conn.id * 48);
      tuples.insert(2 * id, conn.id, tuple, -1);
    }
    for (let src = 0; src < 1000; src++) {
      fill(tuple, { family: 2, src, deep: 0, port: 1 });
      expect(tuples.find(tuple, -1)).toBe(2 * (2000 + src));
    }
  });
});
