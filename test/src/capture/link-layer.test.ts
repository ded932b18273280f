// Frames from other link layers, byte by byte from the header descriptions of tcpdump.org.

import { describe, expect, it } from 'vitest';
import { CaptureRecord, ethernetGrowthBytes, toEthernet } from '../../../src/capture/index.ts';
import { join } from './capture-bytes.ts';

const hex = (text: string) => Uint8Array.from(Buffer.from(text.replace(/[^0-9a-f]/g, ''), 'hex'));
const MADE_UP = '02005e005302 02005e005301';
const IPV4 = '4500001400000000400100000a000001e1020304'; // to 225.2.3.4
const IPV6 = `6000000000003b40${'fd00'.padEnd(32, '0')}ff02000000000000000000000102aabb`;

function convert(linkType: number, packet: string): string {
  const record = new CaptureRecord();
  const bytes = hex(packet);
  record.bytes = join([9, 9], bytes);
  record.at = 2;
  record.lenBytes = bytes.length;
  record.wireLenBytes = bytes.length;
  record.linkType = linkType;
  const out = new Uint8Array(200);
  const lenBytes = toEthernet(record, out, 5);
  if (lenBytes < 0) return 'none';
  expect(lenBytes).toBe(bytes.length + ethernetGrowthBytes(linkType));
  return Buffer.from(out.subarray(5, 5 + lenBytes)).toString('hex');
}

const frame = (text: string) => Buffer.from(hex(text)).toString('hex');
const SLL_TO_US = '0000 0001 0006 020000000102 0000';
const SLL2_OUT = '0000 00000003 0001 04 06 020000000102 0000';

describe('toEthernet', () => {
  it.each([
    ['Ethernet', 1, 'ffffffffffff0200000001020806 0001', 'ffffffffffff0200000001020806 0001'],
    ['raw IPv4', 101, IPV4, `${MADE_UP}0800${IPV4}`],
    ['raw IPv6', 12, IPV6, `${MADE_UP}86dd${IPV6}`],
    ['link type IPv4', 228, IPV4, `${MADE_UP}0800${IPV4}`],
    ['link type IPv6', 229, IPV6, `${MADE_UP}86dd${IPV6}`],
    ['loopback, little-endian', 0, `02000000${IPV4}`, `${MADE_UP}0800${IPV4}`],
    ['loopback, big-endian', 0, `00000002${IPV4}`, `${MADE_UP}0800${IPV4}`],
    ['loopback of macOS, IPv6', 0, `1e000000${IPV6}`, `${MADE_UP}86dd${IPV6}`],
    ['OpenBSD loopback, IPv6', 108, `00000018${IPV6}`, `${MADE_UP}86dd${IPV6}`],
    ['cooked to us', 113, `${SLL_TO_US} 0800${IPV4}`, `02005e005302 020000000102 0800${IPV4}`],
    [
      'cooked broadcast ARP',
      113,
      '0001 0001 0006 020000000102 0000 0806 0102',
      'ffffffffffff 020000000102 0806 0102',
    ],
    [
      'cooked multicast',
      113,
      `0002 0001 0006 020000000102 0000 0800${IPV4}`,
      `01005e020304 020000000102 0800${IPV4}`,
    ],
    [
      'cooked IPv6 multicast',
      113,
      `0002 0001 0006 020000000102 0000 86dd${IPV6}`,
      `33330102aabb 020000000102 86dd${IPV6}`,
    ],
    [
      'cooked without address (tun)',
      113,
      `0000 fffe 0000 0000000000000000 0800${IPV4}`,
      `${MADE_UP}0800${IPV4}`,
    ],
    ['cooked LLC', 113, `${SLL_TO_US} 0004 424203`, '02005e005302 020000000102 0003 424203'],
    ['cooked v2', 276, `0800${SLL2_OUT}${IPV4}`, `02005e005302 020000000102 0800${IPV4}`],
  ])('%s', (_name, linkType, packet, expected) => {
    expect(convert(linkType, packet)).toBe(frame(expected));
  });

  it.each([
    ['raw, neither version', 101, '50'],
    ['raw, empty', 101, ''],
    ['loopback of another family', 0, '07000000aabb'],
    ['loopback cut short', 0, '0200'],
    ['cooked CAN', 113, `${SLL_TO_US} 000c 00`],
    ['cooked netlink', 113, '0000 0338 0000 0000000000000000 0800 4500'],
    ['cooked cut short', 113, '000000010006'],
    ['cooked v2 cut short', 276, '080000000000'],
  ])('refuses %s', (_name, linkType, packet) => {
    expect(convert(linkType, packet)).toBe('none');
  });
});
