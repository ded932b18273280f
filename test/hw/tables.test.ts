// Exact match against a Map, TCAM against a linear scan with BigInt, RSS against the published verification suite.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ExactMatchTable } from '../../hw/table/exact-match.ts';
import { Tcam } from '../../hw/table/tcam.ts';
import { Rss } from '../../hw/table/rss.ts';
import { LinearTcam, wordsToBigint } from '../reference/position-tcam.ts';
import {
  KEY_WORDS,
  K_DPORT,
  K_DST,
  K_FAMILY,
  K_FLAGS,
  K_PROTO,
  K_SPORT,
  K_SRC,
} from '../../hw/parse/key-layout.ts';

function keyOf(a: number, b: number): Uint32Array {
  const key = new Uint32Array(11);
  key[0] = a;
  key[3] = b;
  key[7] = a ^ b;
  return key;
}

describe('exact match', () => {
  it('agrees with a Map under random operations on few keys', () => {
    const op = fc.tuple(
      fc.constantFrom('add', 'del', 'find'),
      fc.integer({ min: 0, max: 7 }),
      fc.integer({ min: 0, max: 7 }),
    );
    fc.assert(
      fc.property(fc.array(op, { maxLength: 120 }), (ops) => {
        const table = new ExactMatchTable(16, 4, 2, 8);
        const oracle = new Map<string, number>();
        for (const [kind, a, b] of ops) {
          const key = keyOf(a, b);
          const name = `${a}/${b}`;
          const known = oracle.get(name);
          if (kind === 'find') expect(table.find(key)).toBe(known ?? -1);
          else if (kind === 'del') {
            if (known !== undefined) expect(table.remove(known)).toBe(true);
            oracle.delete(name);
          } else {
            const handle = table.insert(key);
            if (known !== undefined) expect(handle).toBe(-3);
            else if (oracle.size === 16) expect(handle).toBe(-1);
            else if (handle >= 0) {
              expect([...oracle.values()]).not.toContain(handle);
              oracle.set(name, handle);
            } else expect(handle).toBe(-2);
          }
          expect(table.count).toBe(oracle.size);
          for (const [n, h] of oracle) {
            const [x, y] = n.split('/').map(Number);
            expect(table.find(keyOf(x, y))).toBe(h);
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  it('fills to more than 90 % before the first bucket failure, and keeps every handle valid', () => {
    const table = new ExactMatchTable(4096, 4, 16, 32);
    const handles: number[] = [];
    for (let i = 0; i < 4096; i++) {
      const handle = table.insert(keyOf(0x0a000000 + i, i * 3));
      if (handle < 0) break;
      handles.push(handle);
    }
    expect(handles.length).toBeGreaterThan(4096 * 0.9);
    handles.forEach((h, i) => expect(table.find(keyOf(0x0a000000 + i, i * 3))).toBe(h));
    expect(new Set(handles).size).toBe(handles.length);
  });
});

describe('TCAM', () => {
  const words = fc
    .array(fc.constantFrom(0, 1, 0x80000000, 0xffffffff), { minLength: 13, maxLength: 13 })
    .map((a) => Uint32Array.from(a));
  it('agrees with the linear oracle', () => {
    const op = fc.record({
      at: fc.integer({ min: 0, max: 7 }),
      value: words,
      mask: words,
      del: fc.boolean(),
    });
    fc.assert(
      fc.property(
        fc.array(op, { maxLength: 20 }),
        fc.array(words, { minLength: 1, maxLength: 10 }),
        (ops, keys) => {
          const tcam = new Tcam(8);
          const oracle = new LinearTcam(8);
          for (const { at, value, mask, del } of ops) {
            if (del) {
              expect(tcam.remove(at)).toBe(oracle.rules[at] !== null);
              oracle.rules[at] = null;
            } else if (!tcam.isUsed(at)) {
              tcam.set(at, value, mask);
              oracle.rules[at] = { value: wordsToBigint(value), mask: wordsToBigint(mask) };
            }
          }
          for (const key of keys) expect(tcam.lookup(key)).toBe(oracle.lookup(wordsToBigint(key)));
        },
      ),
    );
  });
});

describe('RSS: Toeplitz verification suite (Microsoft; 82599 datasheet 7.1.2.8.3)', () => {
  const KEY = '6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa';
  const rss = new Rss();
  for (let i = 0; i < 40; i++) rss.key[i] = parseInt(KEY.slice(2 * i, 2 * i + 2), 16);
  for (let i = 0; i < 128; i++) rss.reta[i] = i & 15;
  const hash = (mrqc: number, fill: (key: Uint32Array) => void): number => {
    const key = new Uint32Array(KEY_WORDS);
    key[K_PROTO] = 6;
    key[K_FLAGS] = 1 << 8; // ports valid
    fill(key);
    rss.mrqc = mrqc;
    const queue = rss.classify(key);
    expect(queue).toBe(rss.hash & 15);
    return rss.hash >>> 0;
  };
  const v4 = (text: string): number => text.split('.').reduce((n, b) => n * 256 + Number(b), 0);
  it.each([
    ['66.9.149.187', 2794, '161.142.100.80', 1766, 0x323e8fc2, 0x51ccc178],
    ['199.92.111.2', 14230, '65.69.140.83', 4739, 0xd718262a, 0xc626b0ea],
    ['24.19.198.95', 12898, '12.22.207.184', 38024, 0xd2d0a5de, 0x5c2b394a],
    ['38.27.205.30', 48228, '209.142.163.6', 2217, 0x82989176, 0xafc7327f],
    ['153.39.163.191', 44251, '202.188.127.2', 1303, 0x5d1809c5, 0x10e828a2],
  ])('%s:%i -> %s:%i', (src, sport, dst, dport, ipOnly, withPorts) => {
    const fill = (key: Uint32Array): void => {
      key[K_FAMILY] = 4;
      key[K_SRC] = v4(src);
      key[K_DST] = v4(dst);
      key[K_SPORT] = sport;
      key[K_DPORT] = dport;
    };
    expect(hash(0x00020001, fill)).toBe(ipOnly);
    expect(hash(0x00030001, fill)).toBe(withPorts);
    expect(hash(0, fill)).toBe(0);
  });
  it.each([
    [
      '3ffe250102001fff0000000000000007',
      2794,
      '3ffe2501020000030000000000000001',
      1766,
      0x2cc18cd5,
      0x40207d3d,
    ],
    [
      '3ffe050100080000026097fffe40efab',
      14230,
      'ff020000000000000000000000000001',
      4739,
      0x0f0c461c,
      0xdde51bbf,
    ],
    [
      '3ffe1900454500030200f8fffe2167cf',
      44251,
      'fe800000000000000200f8fffe2167cf',
      38024,
      0x4b61e985,
      0x02d1feef,
    ],
  ])('IPv6 %s:%i', (src, sport, dst, dport, ipOnly, withPorts) => {
    const fill = (key: Uint32Array): void => {
      key[K_FAMILY] = 6;
      for (let i = 0; i < 4; i++) {
        key[K_SRC + i] = parseInt(src.slice(8 * i, 8 * i + 8), 16);
        key[K_DST + i] = parseInt(dst.slice(8 * i, 8 * i + 8), 16);
      }
      key[K_SPORT] = sport;
      key[K_DPORT] = dport;
    };
    expect(hash(0x00100001, fill)).toBe(ipOnly);
    expect(hash(0x00300001, fill)).toBe(withPorts);
  });
});
