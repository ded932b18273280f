// pcapng: sections, interfaces, the three packet blocks, what is passed over, and every fault.

import { describe, expect, it } from 'vitest';
import { BIG, LITTLE, join, readAll } from './capture-bytes.ts';

const text = (value: string) => new TextEncoder().encode(value);
const TSRESOL_NS = LITTLE.option(9, [9]);
const END = LITTLE.option(0, []);

describe('pcapng', () => {
  it('reads several sections of either byte order and numbers interfaces on', () => {
    const file = join(
      LITTLE.section(),
      LITTLE.interface(
        1,
        96,
        join(LITTLE.option(2, text('eth0')), LITTLE.option(3, text('täst')), TSRESOL_NS, END),
      ),
      LITTLE.interface(113),
      LITTLE.enhanced(1, 1_700_000_000_123_456n, [1, 2, 3, 4, 5]),
      BIG.section(),
      BIG.interface(101, 0, BIG.option(14, BIG.u64(-3600n & 0xffffffffffffffffn))),
      BIG.enhanced(0, 1_700_000_000_000_001n, [0x45], 40),
      LITTLE.section(),
      LITTLE.interface(1, 0, TSRESOL_NS),
      LITTLE.enhanced(0, 1_700_000_000_123_456_789n, []),
    );
    const { packets, error, reader } = readAll(file);
    expect(error).toBe('');
    expect(reader.interfaces).toMatchObject([
      {
        index: 0,
        linkType: 1,
        name: 'eth0',
        description: 'täst',
        snaplenBytes: 96,
        sectionIndex: 0,
      },
      { index: 1, linkType: 113, name: '', sectionIndex: 0 },
      { index: 2, linkType: 101, sectionIndex: 1 },
      { index: 3, linkType: 1, sectionIndex: 2 },
    ]);
    const s = 1_700_000_000;
    expect(packets).toMatchObject([
      {
        data: [1, 2, 3, 4, 5],
        interfaceIndex: 1,
        linkType: 113,
        seconds: s,
        fractionPs: 123_456_000_000,
      },
      {
        data: [0x45],
        wireLen: 40,
        snapped: true,
        interfaceIndex: 2,
        seconds: s - 3600,
        fractionPs: 1_000_000,
      },
      { data: [], interfaceIndex: 3, seconds: s, fractionPs: 123_456_789_000, number: 3 },
    ]);
  });

  it('reads direction and comments, and passes over unknown options', () => {
    const options = join(
      LITTLE.option(1, text('first')),
      LITTLE.option(2988, [1, 2, 3]),
      LITTLE.option(2, LITTLE.u32(2)),
      LITTLE.option(1, text('zweiter: ü')),
      END,
    );
    const file = join(
      LITTLE.section(),
      LITTLE.interface(1),
      LITTLE.enhanced(0, 0n, [1], 1, options),
      LITTLE.enhanced(0, 0n, [1], 1, LITTLE.option(2, LITTLE.u32(0x1e1))),
      LITTLE.enhanced(0, 0n, [1]),
    );
    expect(readAll(file).packets).toMatchObject([
      { comment: 'first\nzweiter: ü', direction: 2 },
      { comment: '', direction: 1 },
      { comment: '', direction: 0 },
    ]);
  });

  it('reads simple and obsolete packets', () => {
    const lengths = join(BIG.u32(3), BIG.u32(100));
    const obsolete = join(BIG.u16(0), BIG.u16(7), BIG.halves(5_000_001n), lengths, [7, 8, 9, 0]);
    const file = join(
      BIG.section(),
      BIG.interface(1, 4),
      BIG.block(2, obsolete),
      BIG.block(3, join(BIG.u32(1500), [1, 2, 3, 4])),
      BIG.block(3, join(BIG.u32(3), [1, 2, 3, 0])),
    );
    const { packets, error } = readAll(file);
    expect(error).toBe('');
    const time = { seconds: 5, fractionPs: 1_000_000 };
    expect(packets).toMatchObject([
      { data: [7, 8, 9], wireLen: 100, snapped: true, ...time },
      { data: [1, 2, 3, 4], wireLen: 1500, snapped: true, ...time },
      { data: [1, 2, 3], wireLen: 3, snapped: false, ...time },
    ]);
  });

  it('passes over other blocks without holding them', () => {
    const secrets = LITTLE.block(10, new Uint8Array(3_000_000));
    const file = join(
      LITTLE.section(),
      LITTLE.block(4, new Uint8Array(20)),
      LITTLE.interface(1),
      LITTLE.block(5, new Uint8Array(12)),
      LITTLE.enhanced(0, 0n, [1]),
    );
    const all = new Uint8Array(file.length + secrets.length * 2);
    all.set(secrets.subarray(0), LITTLE.section().length);
    all.set(LITTLE.section());
    all.set(file.subarray(28), 28 + secrets.length);
    all.set(secrets, file.length + secrets.length);
    const { packets, error, reader } = readAll(all, 1000);
    expect(error).toBe('');
    expect(packets).toMatchObject([{ data: [1] }]);
    const held = (reader as unknown as { input: { bytes: Uint8Array } }).input.bytes.length;
    expect(held).toBeLessThan(65536);
    expect(readAll(all.subarray(0, all.length - 8), 1000).error).toContain(
      `FILE: block at offset ${all.length - secrets.length}: expected a block of 3000012 bytes, found`,
    );
  });

  const start = join(LITTLE.section(), LITTLE.interface(1));
  const at = start.length;
  const packet = LITTLE.enhanced(0, 0n, [1, 2, 3, 4]);
  const patched = (offset: number, value: number) => {
    const block = packet.slice();
    block.set(LITTLE.u32(value), offset);
    return join(start, packet, block);
  };
  const second = `FILE: packet 2 at offset ${at + packet.length}: `;
  it.each([
    [
      patched(4, 37),
      `${second}expected a block length that is a multiple of 4 and at least 12, found 37`,
    ],
    [
      patched(4, 8),
      `${second}expected a block length that is a multiple of 4 and at least 12, found 8`,
    ],
    [patched(4, 0xfffffffc), `${second}expected a block of at most 393216 bytes, found 4294967292`],
    [patched(32, 40), `${second}expected the block length 36 again at the block's end, found 40`],
    [patched(8, 1), `${second}expected one of the 1 interfaces described, found interface 1`],
    [
      patched(20, 5),
      `${second}expected an original length of at least the captured 5 bytes, found 4`,
    ],
    [
      patched(20, 300000),
      `${second}expected a captured length of at most 262144 bytes, found 300000`,
    ],
    [
      join(
        start,
        packet,
        LITTLE.block(6, join(new Uint8Array(12), LITTLE.u32(9), LITTLE.u32(9), [0, 0, 0, 0])),
      ),
      `${second}expected at most 4 captured bytes in its block, found 9`,
    ],
    [
      join(start, packet, LITTLE.block(6, new Uint8Array(16))),
      `${second}expected a packet block of at least 32 bytes, found 28`,
    ],
    [
      join(start, packet, LITTLE.block(3, LITTLE.u32(5))),
      `${second}expected at most 0 captured bytes in its block, found 5`,
    ],
    [
      join(
        start,
        packet,
        LITTLE.enhanced(0, 0n, [], 0, join(LITTLE.u16(1), LITTLE.u16(9), [1, 2, 3, 4])),
      ),
      `${second}expected 9 bytes of option 1, found 4 bytes left in its block`,
    ],
    [
      join(LITTLE.section(), LITTLE.interface(1, 0, join(LITTLE.u16(2), LITTLE.u16(8)))),
      'FILE: interface description at offset 28: expected 8 bytes of option 2, found 0 bytes left in its block',
    ],
    [
      join(
        start,
        LITTLE.interface(147, 0, LITTLE.option(2, text('usb0'))),
        packet,
        LITTLE.enhanced(1, 0n, [1]),
      ),
      `FILE: packet 2 at offset ${at + 32 + packet.length - 4}: expected link type 0, 1, 12, 14, 101, 108, 113, 228, 229 or 276, found 147 on interface 1 (usb0)`,
    ],
    [
      join(LITTLE.u32(0x0a0d0d0a), LITTLE.u32(28), LITTLE.u32(1), new Uint8Array(16)),
      'FILE: section header at offset 0: expected the byte-order magic 1a2b3c4d, found 01000000',
    ],
    [
      packet,
      'FILE: file header at offset 0: expected the magic of a pcap or pcapng file, found 06000000',
    ],
  ])('tells the fault of case %#', (bytes, message) => {
    expect(readAll(bytes).error).toBe(message);
    expect(readAll(bytes, 5).error).toBe(message);
  });

  it('gives fewer packets and the error at every truncation, or the complete set', () => {
    const blocks = [
      LITTLE.section(),
      LITTLE.interface(1, 0, TSRESOL_NS),
      LITTLE.enhanced(0, 1n, [1, 2, 3]),
      LITTLE.block(77, new Uint8Array(8)),
      LITTLE.enhanced(0, 2n, [], 60, LITTLE.option(2, LITTLE.u32(1))),
    ];
    const file = join(...blocks);
    const ends = [0];
    for (const block of blocks) ends.push(ends[ends.length - 1] + block.length);
    for (let length = 0; length <= file.length; length++) {
      const { packets, error } = readAll(file.slice(0, length), 9);
      const wholeBlocks = ends.filter((end) => end <= length).length - 1;
      expect(packets.length).toBe(wholeBlocks < 3 ? 0 : wholeBlocks < 5 ? 1 : 2);
      expect(error === '').toBe(length > 0 && ends.includes(length));
      if (error !== '') expect(error).toMatch(/^FILE: .* at offset \d+: expected .*, found .*$/);
    }
  });
});
