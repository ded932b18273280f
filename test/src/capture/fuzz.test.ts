// Random bytes and mutated captures: packets or one line of error, never a crash, a hang or a large window.

import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toEthernet } from '../../../src/capture/index.ts';
import { CaptureRecord } from '../../../src/capture/index.ts';
import { BIG, LITTLE, join, readAll } from './capture-bytes.ts';

const PCAP = new URL('../../../fixtures/pcap/', import.meta.url);
const SEED = 20260721;

/** Reads and checks what must hold whatever the bytes are. */
function check(bytes: Uint8Array, pieceBytes: number): void {
  const { packets, error, reader } = readAll(bytes, pieceBytes);
  expect(error).toMatch(/^$|^FILE: [a-z 0-9]+ at offset \d+: expected [^\n]*, found [^\n]*$/);
  expect(packets.length).toBeLessThanOrEqual(bytes.length / 12);
  for (const packet of packets) {
    expect(packet.wireLen).toBeGreaterThanOrEqual(packet.data.length);
    expect(packet.fractionPs).toBeLessThan(1e12);
  }
  const held = (reader as unknown as { input: { bytes: Uint8Array } }).input.bytes.length;
  expect(held).toBeLessThanOrEqual(Math.max(2 * bytes.length, 16384));
}

describe('bad captures', () => {
  it('of random bytes behind a good start', () => {
    const starts = [
      new Uint8Array(0),
      LITTLE.pcapHeader(),
      BIG.pcapHeader(true, 113),
      LITTLE.section(),
      join(BIG.section(), BIG.interface(1)),
      join(LITTLE.section(), LITTLE.interface(1), LITTLE.u32(6)),
    ];
    const small = fc.constantFrom(0, 1, 2, 3, 4, 6, 9, 12, 16, 28, 32, 36, 255);
    const tail = fc.array(fc.oneof(small, fc.nat(255)), { maxLength: 200 });
    fc.assert(
      fc.property(
        fc.constantFrom(...starts),
        tail,
        fc.integer({ min: 1, max: 64 }),
        (start, rest, piece) => {
          check(join(start, rest), piece);
        },
      ),
      { seed: SEED, numRuns: 2000 },
    );
  });

  it.each(['icmp.pcap', 'sll2.pcap', 'two-sides.pcapng'])('mutated from %s', (name) => {
    const file = new Uint8Array(readFileSync(new URL(name, PCAP))).slice(0, 3000);
    const change = fc.record({ at: fc.nat(file.length - 1), value: fc.nat(255) });
    fc.assert(
      fc.property(
        fc.array(change, { minLength: 1, maxLength: 8 }),
        fc.nat(file.length),
        (changes, end) => {
          const bytes = file.slice(0, end);
          for (const { at, value } of changes) if (at < end) bytes[at] = value;
          check(bytes, 700);
        },
      ),
      { seed: SEED, numRuns: 400 },
    );
  });

  it('packets of any link type become frames or are refused, within their room', () => {
    const types = fc.constantFrom(0, 1, 12, 14, 101, 108, 113, 228, 229, 276);
    fc.assert(
      fc.property(types, fc.uint8Array({ maxLength: 60 }), (linkType, data) => {
        const record = new CaptureRecord();
        record.bytes = data;
        record.lenBytes = data.length;
        record.wireLenBytes = data.length;
        record.linkType = linkType;
        const out = new Uint8Array(100).fill(0x55);
        const lenBytes = toEthernet(record, out, 3);
        expect(lenBytes === -1 || lenBytes <= data.length + 14).toBe(true);
        expect(out.subarray(0, 3).every((b) => b === 0x55)).toBe(true);
        expect(out.subarray(3 + data.length + 14).every((b) => b === 0x55)).toBe(true);
      }),
      { seed: SEED, numRuns: 3000 },
    );
  });
});
