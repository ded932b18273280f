// Pacing and mending: arrival times, filled bytes, completed checksums, removed tags.

import { describe, expect, it } from 'vitest';
import { PacketMemory } from '../../../hw/mac/packet-memory.ts';
import { CaptureRecord } from '../../../src/capture/record.ts';
import { Feed } from '../../../src/scenario/feed.ts';
import { Pacer } from '../../../src/scenario/pacing.ts';
import { formatDuration, parseDurationPs } from '../../../src/scenario/quantity.ts';

/** RFC 1071 over any bytes, the slow way. */
function onesSum(bytes: number[]): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) {
    sum += bytes[i] * 256 + (bytes[i + 1] ?? 0);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return sum;
}

function udpFrame(payload: number[], checksum: [number, number], vlan = false): Uint8Array {
  const ipBytes = 28 + payload.length;
  const tag = vlan ? [0x81, 0, 0, 5] : [];
  return Uint8Array.from([
    ...[2, 0, 0, 0, 0, 9],
    ...[2, 0, 0, 0, 0, 1],
    ...tag,
    ...[8, 0, 0x45, 0, ipBytes >> 8, ipBytes & 255, 0, 0, 0, 0, 64, 17, 0, 0],
    ...[10, 0, 0, 1, 10, 0, 1, 2, 0x9c, 0x40, 0, 53],
    ...[0, 8 + payload.length, ...checksum],
    ...payload,
  ]);
}

function record(bytes: Uint8Array, capturedBytes = bytes.length): CaptureRecord {
  const one = new CaptureRecord();
  one.bytes = bytes;
  one.lenBytes = capturedBytes;
  one.wireLenBytes = bytes.length;
  one.snapped = capturedBytes < bytes.length;
  one.linkType = 1;
  return one;
}

function feed(): { feed: Feed; addresses: string[] } {
  const addresses: string[] = [];
  const made = new Feed({
    memory: new PacketMemory(2000),
    split: { kind: 'client-server' },
    portCount: 2,
    learn: true,
    portMacs: [Uint8Array.of(2, 0, 0x5e, 0, 0, 1), Uint8Array.of(2, 0, 0x5e, 0, 0, 2)],
    onAddress: (_family, address, side, mac) =>
      addresses.push(`${address.join('.')}@${side} ${mac[5]}`),
  });
  return { feed: made, addresses };
}

/** The transport checksum of the feed's frame is right: pseudo-header, segment and field sum to all ones. */
function udpSumOk(made: Feed): boolean {
  const ip = [...made.bytes.subarray(made.at + 14, made.at + made.lenBytes)];
  const udp = ip.slice(20);
  return (
    onesSum([...ip.slice(12, 20), 0, 17, udp.length >> 8, udp.length & 255, ...udp]) === 0xffff
  );
}

describe('Feed', () => {
  it('addresses frames to the router and learns both ends', () => {
    const { feed: made, addresses } = feed();
    made.take(record(udpFrame([1, 2, 3], [0, 0])), -1, -1);
    expect(made.portIndex).toBe(0);
    expect([...made.bytes.subarray(made.at, made.at + 6)]).toEqual([2, 0, 0x5e, 0, 0, 1]);
    expect(addresses).toEqual(['10.0.0.1@0 1', '10.0.1.2@1 9']);
  });

  it('fills what the snap length cut and makes the checksum right', () => {
    const { feed: made } = feed();
    made.take(record(udpFrame(new Array<number>(100).fill(7), [0x12, 0x34]), 60), -1, -1);
    expect(made.lenBytes).toBe(142);
    expect(made.assumptions.snappedFilled).toBe(1);
    expect(udpSumOk(made)).toBe(true);
  });

  it('completes a checksum left to the NIC, and leaves a wrong one wrong', () => {
    const payload = [1, 2, 3, 4];
    const partial = onesSum([10, 0, 0, 1, 10, 0, 1, 2, 0, 17, 0, 12]);
    const { feed: made } = feed();
    made.take(record(udpFrame(payload, [partial >> 8, partial & 255])), -1, -1);
    expect(made.assumptions.checksumsCompleted).toBe(1);
    expect(udpSumOk(made)).toBe(true);
    made.take(record(udpFrame(payload, [0xba, 0xad])), -1, -1);
    expect(made.assumptions.checksumsCompleted).toBe(1);
    expect(udpSumOk(made)).toBe(false);
  });

  it.each([0, 10, 14, 20, 33, 34, 35, 41, 42, 47, 53])(
    'keeps the length of a frame cut at %i bytes, with a right checksum where ports are left',
    (snap) => {
      const { feed: made } = feed();
      const frame = udpFrame(new Array<number>(100).fill(7), [0x12, 0x34]);
      made.take(record(frame, snap), -1, -1);
      expect(made.lenBytes).toBe(142);
      // Below 42 bytes the UDP header itself is cut: its length field is zero then, and so is the packet's meaning.
      if (snap >= 40) expect(udpSumOk(made)).toBe(true);
    },
  );

  it('fills in an IPv4 length that was left at zero', () => {
    const { feed: made } = feed();
    const frame = udpFrame([1, 2, 3, 4], [0, 0]);
    frame[16] = 0;
    frame[17] = 0;
    made.take(record(frame), -1, -1);
    expect([...made.bytes.subarray(made.at + 16, made.at + 18)]).toEqual([0, 32]);
    expect(onesSum([...made.bytes.subarray(made.at + 14, made.at + 34)])).toBe(0xffff);
    expect(made.assumptions.lengthsCompleted).toBe(1);
  });

  it('removes VLAN tags', () => {
    const { feed: made } = feed();
    made.take(record(udpFrame([9], [0, 0], true)), -1, -1);
    expect(made.assumptions.vlanTagsRemoved).toBe(1);
    expect([...made.bytes.subarray(made.at + 12, made.at + 14)]).toEqual([8, 0]);
    expect(made.lenBytes).toBe(43);
  });

  it('takes any bytes at all', () => {
    const { feed: made } = feed();
    for (let lenBytes = 0; lenBytes < 64; lenBytes++) {
      made.take(record(udpFrame([1, 2, 3], [0, 0]).subarray(0, lenBytes)), -1, -1);
      expect(made.portIndex).toBeGreaterThanOrEqual(0);
    }
  });
});

describe('Pacer', () => {
  it('keeps gaps, scales them, and never outruns the wire', () => {
    const pacer = new Pacer({ kind: 'speed', factor: 2 }, 10e9, 1, 1000);
    expect(pacer.arrivalPs(0, 0, 60)).toBe(1000);
    // 84 bytes at 10 Gbit/s are 67.2 ns.
    expect(pacer.arrivalPs(10, 0, 60)).toBe(1000 + 67_200);
    expect(pacer.arrivalPs(4_000_000, 0, 60)).toBe(1000 + 2_000_000);
  });

  it('sends back to back at exactly line rate', () => {
    const pacer = new Pacer({ kind: 'back-to-back' }, 10e9, 2, 0);
    const times = [0, 1, 2].map(() => pacer.arrivalPs(0, 0, 1514));
    expect(times).toEqual([0, 1_230_400, 2_460_800]);
  });

  it('paces by packets and bits', () => {
    const pps = new Pacer({ kind: 'pps', packetsPerSecond: 1e6 }, 10e9, 1, 0);
    expect([0, 1, 2].map(() => pps.arrivalPs(0, 0, 60))).toEqual([0, 1e6, 2e6]);
    const bps = new Pacer({ kind: 'bps', bitsPerSecond: 8e9 }, 10e9, 1, 0);
    expect([0, 1, 2].map(() => bps.arrivalPs(0, 0, 1000))).toEqual([0, 1e6, 2e6]);
  });
});

it('reads and writes times', () => {
  expect(parseDurationPs('5ms')).toBe(5e9);
  expect(parseDurationPs('1.5')).toBe(1.5e12);
  expect(() => parseDurationPs('5 parsecs')).toThrow("found '5 parsecs'");
  expect(formatDuration(1_234_000)).toBe('1.23 us');
});
