// RSS against a bit-by-bit Toeplitz: every hash-type combination, any key, the extension's functions, contexts and table sizes.
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KEY_WORDS } from '../../hw/parse/key-layout.ts';
import { parseFrame } from '../../hw/parse/parser.ts';
import { HashFunction, Rss } from '../../hw/table/rss.ts';
import { bytesOf, naiveToeplitz } from '../reference/naive-toeplitz.ts';
import { Bench, frame } from './harness.ts';
import type { FrameSpec } from './harness.ts';

const MICROSOFT_KEY =
  '6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa';
/** Hash types of MRQC: bit, and what it hashes. */
const TYPES = {
  v4Tcp: 1 << 16,
  v4: 1 << 17,
  v6: 1 << 20,
  v6Tcp: 1 << 21,
  v4Udp: 1 << 22,
  v6Udp: 1 << 23,
};

function keyBytes(hex: string): number[] {
  return (hex.match(/../g) ?? []).map((pair) => parseInt(pair, 16));
}

function parsed(spec: FrameSpec): Uint32Array {
  const bytes = frame(spec);
  const key = new Uint32Array(KEY_WORDS);
  parseFrame(new DataView(bytes.buffer), 0, bytes.length, 0, key);
  return key;
}

/** What the data sheet says is hashed of a frame under MRQC, and the RSS type. */
function expected(spec: FrameSpec, mrqc: number): { input: number[]; type: number } {
  const { v6 = false, proto = 17 } = spec;
  const address = (value: number): number[] =>
    v6
      ? [...bytesOf(0x20010db8, 4), 0, 0, 0, 0, 0, 0, 0, 1, ...bytesOf(value, 4)]
      : bytesOf(value, 4);
  const addresses = [...address(spec.srcIp ?? 0), ...address(spec.dstIp ?? 0)];
  const ports = [...bytesOf(spec.sport ?? 0, 2), ...bytesOf(spec.dport ?? 0, 2)];
  const has = (bit: number): boolean => (mrqc & bit) !== 0;
  if (proto === 6 && has(v6 ? TYPES.v6Tcp : TYPES.v4Tcp))
    return { input: [...addresses, ...ports], type: v6 ? 3 : 1 };
  if (proto === 17 && has(v6 ? TYPES.v6Udp : TYPES.v4Udp))
    return { input: [...addresses, ...ports], type: v6 ? 8 : 7 };
  return has(v6 ? TYPES.v6 : TYPES.v4)
    ? { input: addresses, type: v6 ? 5 : 2 }
    : { input: [], type: 0 };
}

const anyFrame = fc.record({
  v6: fc.boolean(),
  proto: fc.constantFrom(6, 17, 132),
  srcIp: fc.integer({ min: 0, max: 0xffffffff }),
  dstIp: fc.integer({ min: 0, max: 0xffffffff }),
  sport: fc.nat(0xffff),
  dport: fc.nat(0xffff),
});

describe('RSS', () => {
  it('hashes what MRQC says, as the bit-by-bit definition does, for every combination of types', () => {
    fc.assert(
      fc.property(
        anyFrame,
        fc.nat(63),
        fc.uint8Array({ minLength: 40, maxLength: 40 }),
        (spec, combination, key) => {
          const rss = new Rss();
          rss.key.set(key);
          rss.keyChanged();
          const bits = Object.values(TYPES).filter((_, i) => ((combination >> i) & 1) !== 0);
          rss.mrqc = bits.reduce((sum, bit) => sum | bit, 1);
          for (let i = 0; i < 128; i++) rss.reta[i] = (i * 7) & 15;
          const queue = rss.classify(parsed(spec));
          const { input, type } = expected(spec, rss.mrqc);
          const hash = type === 0 ? 0 : naiveToeplitz(key, input);
          expect([rss.hash >>> 0, rss.type]).toEqual([hash, type]);
          expect(queue).toBe(type === 0 ? 0 : ((hash & 127) * 7) & 15);
        },
      ),
      { seed: 20261121, numRuns: 500 },
    );
  });

  it('hashes both directions alike with symmetric XOR, and the XOR function folds the words', () => {
    fc.assert(
      fc.property(anyFrame, fc.boolean(), (spec, isXor) => {
        const rss = new Rss();
        rss.key.set(keyBytes(MICROSOFT_KEY));
        rss.mrqc = Object.values(TYPES).reduce((sum, bit) => sum | bit, 1);
        const context = rss.contexts[0];
        context.isSymmetric = true;
        if (isXor) context.func = HashFunction.XOR;
        const { srcIp, dstIp, sport, dport } = spec;
        rss.classify(parsed(spec));
        const there = rss.hash;
        rss.classify(parsed({ ...spec, srcIp: dstIp, dstIp: srcIp, sport: dport, dport: sport }));
        expect(rss.hash).toBe(there);
        context.isSymmetric = false;
        context.func = HashFunction.XOR;
        rss.classify(parsed(spec));
        const { input } = expected(spec, rss.mrqc);
        let folded = 0;
        for (let i = 0; i < input.length; i += 4)
          folded ^= (input[i] << 24) | (input[i + 1] << 16) | (input[i + 2] << 8) | input[i + 3];
        expect(rss.hash).toBe(folded);
      }),
      { seed: 7, numRuns: 200 },
    );
  });

  it('symmetric XOR is Toeplitz over both copies of the XORed fields', () => {
    const rss = new Rss();
    const key = keyBytes(MICROSOFT_KEY);
    rss.key.set(key);
    rss.mrqc = TYPES.v4Tcp | 1;
    rss.contexts[0].isSymmetric = true;
    rss.classify(
      parsed({ proto: 6, srcIp: 0x0a000001, dstIp: 0x0a0000fe, sport: 1000, dport: 80 }),
    );
    const [address, port] = [0x000000ff, 1000 ^ 80];
    const input = [
      ...bytesOf(address, 4),
      ...bytesOf(address, 4),
      ...bytesOf(port, 2),
      ...bytesOf(port, 2),
    ];
    expect(rss.hash >>> 0).toBe(naiveToeplitz(Uint8Array.from(key), input));
  });

  it('a repeated key is symmetric by itself: published values', () => {
    const rss = new Rss();
    rss.key.set(keyBytes('6d5a'.repeat(20)));
    rss.mrqc = TYPES.v4Tcp | 1;
    const spec = { proto: 6, srcIp: 0x420995bb, dstIp: 0xa18e6450, sport: 2794, dport: 1766 };
    rss.classify(parsed(spec));
    expect(rss.hash >>> 0).toBe(0x9fcc9fcc);
    rss.classify(
      parsed({ proto: 6, srcIp: spec.dstIp, dstIp: spec.srcIp, sport: 1766, dport: 2794 }),
    );
    expect(rss.hash >>> 0).toBe(0x9fcc9fcc);
  });

  it.each([
    [128, 120],
    [512, 376],
    [2048, 376],
  ])('V13: hash 0x51ccc178 in a table of %i entries is entry %i', (tableEntries, entry) => {
    const rss = new Rss({ tableEntries, keyBytes: 40, entryBits: 6, contexts: 0 });
    rss.key.set(keyBytes(MICROSOFT_KEY));
    rss.mrqc = TYPES.v4Tcp | 1;
    rss.reta[entry] = 33;
    const spec = { proto: 6, srcIp: 0x420995bb, dstIp: 0xa18e6450, sport: 2794, dport: 1766 };
    expect(rss.classify(parsed(spec))).toBe(33);
    expect(rss.hash >>> 0).toBe(0x51ccc178);
  });

  it('RETA entries of the 82599 reach 16 queues, and fragments hash by addresses', () => {
    const b = new Bench({ rss: { tableEntries: 128, keyBytes: 40, entryBits: 4, contexts: 0 } });
    for (let i = 0; i < 32; i++) b.w(0, 0xeb00 + 4 * i, 0x12121212);
    b.w(0, 0xec80, 1 | TYPES.v4 | TYPES.v4Tcp);
    const { rss } = b.nic.functions[0];
    expect(rss.classify(parsed({ proto: 6 }))).toBe(2);
    const bytes = frame({ proto: 6 });
    bytes[20] = 0x20; // more fragments
    const key = new Uint32Array(KEY_WORDS);
    parseFrame(new DataView(bytes.buffer), 0, bytes.length, 0, key);
    rss.classify(key);
    expect(rss.type).toBe(2);
  });

  it('shows its contexts through the extension block', () => {
    const rss = { tableEntries: 2048, keyBytes: 52, entryBits: 6, contexts: 3 };
    const b = new Bench({ rss, queues: 8 });
    expect(b.r(0, 0x1f000)).toBe((2048 | (3 << 16) | (52 << 24)) >>> 0);
    b.w(0, 0x1f004, 2); // context 2
    b.w(0, 0x1f008, 0x101); // XOR, symmetric
    b.w(0, 0x1f040, 0x04030201); // key bytes 0 to 3
    b.w(0, 0x1f400 + 4 * 300, 0x3f000102); // entries 1200 to 1203
    expect([b.r(0, 0x1f008), b.r(0, 0x1f040), b.r(0, 0x1f400 + 1200)]).toEqual([
      0x101, 0x04030201, 0x3f000102,
    ]);
    const context = b.nic.functions[0].rss.contexts[2];
    expect([...context.key.slice(0, 4), ...context.reta.slice(1200, 1204)]).toEqual([
      1, 2, 3, 4, 2, 1, 0, 63,
    ]);
    b.w(0, 0x1f004, 4); // there is no context 4: back to the port's own
    expect(b.r(0, 0x1f004)).toBe(0);
    b.w(0, 0xeb00, 0x03020100); // RETA shows the same table as X_RETA of context 0
    expect(b.r(0, 0x1f400)).toBe(0x03020100);
    b.w(0, 0, 1 << 26); // reset
    expect(context.reta[1203]).toBe(0);
  });
});
