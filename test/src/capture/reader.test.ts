// Classic captures: both byte orders and units, every fault, every truncation, and an independent reader over the fixtures.

import { createRequire } from 'node:module';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { MonotonicTime, CaptureRecord } from '../../../src/capture/index.ts';
import { BIG, LITTLE, join, readAll } from './capture-bytes.ts';

const PCAP = new URL('../../../fixtures/pcap/', import.meta.url);

describe('classic pcap', () => {
  it.each([
    ['little us', LITTLE, false],
    ['big us', BIG, false],
    ['little ns', LITTLE, true],
    ['big ns', BIG, true],
  ])('reads %s', (_name, order, nano) => {
    const file = join(
      order.pcapHeader(nano),
      order.pcapRecord(1_700_000_000, 123_456, [1, 2, 3], 60),
      order.pcapRecord(4_294_967_295, 999_999, []),
    );
    const { packets, error, reader } = readAll(file);
    expect(error).toBe('');
    const ps = nano ? 1000 : 1_000_000;
    expect(packets).toMatchObject([
      {
        data: [1, 2, 3],
        wireLen: 60,
        seconds: 1_700_000_000,
        fractionPs: 123_456 * ps,
        snapped: true,
      },
      { data: [], wireLen: 0, seconds: 4_294_967_295, fractionPs: 999_999 * ps, snapped: false },
    ]);
    expect(packets.map((p) => [p.number, p.fileOffset])).toEqual([
      [1, 24],
      [2, 43],
    ]);
    expect(reader.interfaces).toMatchObject([{ linkType: 1, snaplenBytes: 65535 }]);
  });

  const head = LITTLE.pcapHeader();
  const good = LITTLE.pcapRecord(1, 2, [1, 2, 3, 4]);
  const raw = (captured: number, original: number) =>
    join(LITTLE.u32(1), LITTLE.u32(2), LITTLE.u32(captured), LITTLE.u32(original), [0, 0, 0, 0]);
  it.each([
    [[], 0, 'FILE: file header at offset 0: expected a capture, found the end of the file after 0'],
    [
      [1, 2, 3, 4],
      0,
      'FILE: file header at offset 0: expected the magic of a pcap or pcapng file, found 01020304',
    ],
    [
      [0x1f, 0x8b, 8, 0],
      0,
      'FILE: file header at offset 0: expected the magic of a pcap or pcapng file, found 1f8b0800 (gzip: unpack it first)',
    ],
    [
      join(LITTLE.u32(0xa1b2c3d4), LITTLE.u16(3), LITTLE.u16(0), new Uint8Array(16)),
      0,
      'FILE: file header at offset 0: expected version 2.3 or 2.4, found 3.0',
    ],
    [
      LITTLE.pcapHeader(false, 147),
      0,
      'FILE: file header at offset 0: expected link type 0, 1, 12, 14, 101, 108, 113, 228, 229 or 276, found 147 on interface 0',
    ],
    [
      join(head, good, raw(5, 4)),
      1,
      'FILE: packet 2 at offset 44: expected an original length of at least the captured 5 bytes, found 4',
    ],
    [
      join(head, good, raw(262145, 262145)),
      1,
      'FILE: packet 2 at offset 44: expected a captured length of at most 262144 bytes, found 262145',
    ],
    [
      join(head, good, raw(0xffffffff, 0xffffffff)),
      1,
      'FILE: packet 2 at offset 44: expected a captured length of at most 262144 bytes, found 4294967295',
    ],
    [
      join(head, LITTLE.pcapRecord(1, 1_000_000, [])),
      0,
      'FILE: packet 1 at offset 24: expected fewer than 1000000 microseconds within a second, found 1000000',
    ],
    [
      join(head, good, raw(5, 5)),
      1,
      'FILE: packet 2 at offset 44: expected a record of 16 + 5 bytes, found the end of the file after 20',
    ],
    [
      join(head, good, [1]),
      1,
      'FILE: packet 2 at offset 44: expected a record header of 16 bytes, found the end of the file after 1',
    ],
  ])('tells the fault of case %#', (bytes, packetCount, message) => {
    const result = readAll(Uint8Array.from(bytes));
    expect(result.error).toBe(message);
    expect(result.packets.length).toBe(packetCount);
    expect(() => result.reader.finish()).toThrow(message); // and again
  });

  it('gives fewer packets and the error at every truncation, or the complete set', () => {
    const records = [[9, 9], [], [1, 2, 3, 4, 5]].map((data) => BIG.pcapRecord(7, 8, data, 60));
    const file = join(BIG.pcapHeader(), ...records);
    const ends = [24];
    for (const record of records) ends.push(ends[ends.length - 1] + record.length);
    for (let length = 0; length <= file.length; length++) {
      const { packets, error } = readAll(file.slice(0, length));
      expect(packets.length).toBe(Math.max(ends.filter((end) => end <= length).length - 1, 0));
      expect(error === '').toBe(ends.includes(length));
      if (error !== '') expect(error).toMatch(/^FILE: .* at offset \d+: expected .*, found .*$/);
    }
  });

  it('reads the same in pieces of any size', () => {
    const file = new Uint8Array(readFileSync(new URL('udp.pcap', PCAP))).slice(0, 6000);
    const whole = readAll(file);
    for (const pieceBytes of [1, 2, 3, 7, 16, 24, 25, 61, 1000]) {
      const { packets, error } = readAll(file, pieceBytes);
      expect(packets).toEqual(whole.packets);
      expect(error).toBe(whole.error);
    }
  });
});

describe('time that runs backwards', () => {
  it('is moved up and counted', () => {
    const time = new MonotonicTime();
    const record = new CaptureRecord();
    const at = (seconds: number, fractionPs: number) => {
      record.seconds = seconds;
      record.fractionPs = fractionPs;
      return time.timePs(record);
    };
    expect(at(1_700_000_000, 999_999_000_000)).toBe(0);
    expect(at(1_700_000_001, 1_000_000)).toBe(2_000_000);
    expect(at(1_700_000_000, 999_999_500_000)).toBe(2_000_000);
    expect(at(1_600_000_000, 0)).toBe(2_000_000);
    expect(at(1_700_000_001, 1_000_001)).toBe(2_000_001);
    expect(time.backwardsCount).toBe(2);
  });
});

interface ParserPacket {
  header: {
    timestampSeconds: number;
    timestampMicroseconds: number;
    capturedLength: number;
    originalLength: number;
  };
  data: Uint8Array;
}
interface Parser {
  on(event: 'packet', handler: (packet: ParserPacket) => void): void;
  on(event: 'end' | 'error', handler: (error?: unknown) => void): void;
}
const pcapParser = createRequire(import.meta.url)('pcap-parser') as {
  parse(path: string): Parser;
};

describe('the package pcap-parser', () => {
  const files = readdirSync(PCAP).filter((name) => /\.pcap$/.test(name) && name !== 'tcp-ns.pcap');
  it('has files to agree on', () => expect(files.length).toBeGreaterThan(8));

  it.each(files)('reads %s alike', async (name) => {
    const path = new URL(name, PCAP);
    const theirs: unknown[] = [];
    await new Promise<void>((resolve, reject) => {
      const parser = pcapParser.parse(path.pathname);
      parser.on('packet', ({ header, data }) => {
        theirs.push([
          header.timestampSeconds,
          header.timestampMicroseconds * 1e6,
          header.capturedLength,
          header.originalLength,
          Buffer.from(data).toString('hex'),
        ]);
      });
      parser.on('end', () => resolve());
      parser.on('error', reject);
    });
    const { packets, error } = readAll(new Uint8Array(readFileSync(path)), 65536);
    expect(error).toBe('');
    const ours = packets.map((p) => {
      const hex = Buffer.from(p.data).toString('hex');
      return [p.seconds, p.fractionPs, p.data.length, p.wireLen, hex];
    });
    expect(ours).toEqual(theirs);
  });
});
