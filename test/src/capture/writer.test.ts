// Writers: what they write, read by pcap-parser's rules (classic) and compared with blocks put together by hand.

import { describe, expect, it } from 'vitest';
import { PcapWriter, PcapngWriter } from '../../../src/capture/index.ts';
import { LITTLE, join, readAll } from './capture-bytes.ts';

const text = (value: string) => new TextEncoder().encode(value);

function collect(): { sink: (bytes: Uint8Array) => void; bytes: () => Uint8Array } {
  const chunks: Uint8Array[] = [];
  return {
    sink: (bytes) => chunks.push(bytes.slice()),
    bytes: () => Uint8Array.from(Buffer.concat(chunks)),
  };
}

describe('PcapWriter', () => {
  it.each(['us', 'ns'] as const)('writes the %s form', (resolution) => {
    const out = collect();
    const writer = new PcapWriter(out.sink, { resolution, snaplenBytes: 65535 });
    writer.write(Uint8Array.of(9, 1, 2, 3), 1, 3, 60, 1_700_000_000, 123_456_789_999);
    writer.write(Uint8Array.of(), 0, 0, 0, 4_294_967_295, 0);
    writer.flush();
    const units = resolution === 'ns' ? 123_456_789 : 123_456;
    const expected = join(
      LITTLE.pcapHeader(resolution === 'ns'),
      LITTLE.pcapRecord(1_700_000_000, units, [1, 2, 3], 60),
      LITTLE.pcapRecord(4_294_967_295, 0, []),
    );
    expect(out.bytes()).toEqual(expected);
  });

  it('cuts at the snap length and hands on large amounts whole', () => {
    const out = collect();
    const writer = new PcapWriter(out.sink, { snaplenBytes: 1000 });
    const packet = Uint8Array.from({ length: 1514 }, (_, i) => i & 255);
    for (let n = 0; n < 3000; n++) writer.write(packet, 0, 1514, 1514, n, 5000);
    writer.flush();
    const { packets, error } = readAll(out.bytes(), 65536);
    expect(error).toBe('');
    expect(packets.length).toBe(3000);
    const kept = Array.from(packet.subarray(0, 1000));
    expect(packets[2999]).toMatchObject({
      seconds: 2999,
      wireLen: 1514,
      snapped: true,
      data: kept,
    });
  });
});

describe('PcapngWriter', () => {
  it('writes section, interfaces, packets with direction and comment', () => {
    const out = collect();
    const writer = new PcapngWriter(out.sink, 'me');
    const first = writer.addInterface({ name: 'eth0', snaplenBytes: 2 });
    writer.write(first, Uint8Array.of(1, 2, 3), 0, 3, 60, 1_700_000_000, 123_456_789_000);
    const second = writer.addInterface({ name: 'lan', linkType: 101 });
    writer.write(second, Uint8Array.of(4), 0, 1, 1, 17_179_869_183, 999_999_999_999, 2, 'né');
    writer.flush();
    const END = LITTLE.option(0, []);
    const interfaceOptions = (name: string) =>
      join(LITTLE.option(2, text(name)), LITTLE.option(9, [9]), END);
    const magic = join(LITTLE.u32(0x1a2b3c4d), LITTLE.u16(1), LITTLE.u16(0));
    const section = join(magic, LITTLE.u64((1n << 64n) - 1n), LITTLE.option(4, text('me')), END);
    const options = join(LITTLE.option(1, text('né')), LITTLE.option(2, LITTLE.u32(2)), END);
    const expected = join(
      LITTLE.block(0x0a0d0d0a, section),
      LITTLE.interface(1, 2, interfaceOptions('eth0')),
      LITTLE.enhanced(0, 1_700_000_000_123_456_789n, [1, 2], 60),
      LITTLE.interface(101, 262144, interfaceOptions('lan')),
      LITTLE.enhanced(1, 17_179_869_183_999_999_999n, [4], 1, options),
    );
    expect(Buffer.from(out.bytes()).toString('hex')).toBe(Buffer.from(expected).toString('hex'));
  });

  it('cuts a long comment between characters', () => {
    const out = collect();
    const writer = new PcapngWriter(out.sink);
    writer.addInterface({ name: 'a' });
    writer.write(0, Uint8Array.of(1), 0, 1, 1, 0, 0, 0, '€'.repeat(30_000));
    writer.flush();
    const { packets, error } = readAll(out.bytes());
    expect(error).toBe('');
    expect(packets[0].comment).toBe('€'.repeat(21_845));
  });

  it('refuses what a capture cannot hold', () => {
    const writer = new PcapngWriter(() => undefined);
    const one = Uint8Array.of(1);
    expect(() => writer.write(0, one, 0, 1, 1, 0, 0)).toThrow('interface not described');
    writer.addInterface({ name: 'a' });
    expect(() => writer.write(0, one, 0, 1, 0, 0, 0)).toThrow('captured longer');
  });
});
