// Headers and rules of tunnels against published and recorded values: Geneve's and VXLAN's headers (RFC 7348, 8926 as the kernel
// writes them), UDP source ports by the kernel's formula, ECN by the table of RFC 6040 as Linux has it.

import { describe, expect, it } from 'vitest';
import { geneve } from '../../../../src/stack/lwtunnel/geneve.ts';
import { ecnDecapsulate, ecnEncapsulate } from '../../../../src/stack/lwtunnel/inner-packet.ts';
import type { TunnelInfo } from '../../../../src/stack/lwtunnel/tunnel-info.ts';
import {
  TUNNEL_CRIT_OPT,
  TUNNEL_GENEVE_OPT,
  TUNNEL_KEY,
  TUNNEL_OAM,
  TUNNEL_VXLAN_OPT,
  idOfKey32,
} from '../../../../src/stack/lwtunnel/tunnel-info.ts';
import { flowSourcePort } from '../../../../src/stack/lwtunnel/underlay.ts';
import { vxlan } from '../../../../src/stack/lwtunnel/vxlan.ts';

const bytesOf = (hex: string) => Uint8Array.from(Buffer.from(hex, 'hex'));
const GENEVE = geneve({ port: 6081, zeroChecksum6: true });
const vxlanOf = (gbp: boolean) =>
  vxlan({ port: 4789, sourceMin: 0, sourceMax: 0, gbp, zeroChecksum6: false });

function infoOf(flags: number, options = ''): TunnelInfo {
  return {
    isTx: true,
    id: idOfKey32(0x1c7),
    src: new Uint8Array(4),
    dst: new Uint8Array(4),
    flags: TUNNEL_KEY | flags,
    tos: 0,
    ttl: 0,
    label: 0,
    tpSrc: 0,
    tpDst: 0,
    options: bytesOf(options),
  };
}

function written(encapsulation: typeof GENEVE, info: TunnelInfo): string {
  const bytes = new Uint8Array(encapsulation.headerBytes(info) + 2).fill(0xaa);
  encapsulation.write(bytes, 1, info);
  return Buffer.from(bytes.subarray(1, -1)).toString('hex');
}

describe('tunnel headers', () => {
  it.each([
    [TUNNEL_OAM, '', '00806558' + '0001c700'],
    [
      TUNNEL_CRIT_OPT | TUNNEL_GENEVE_OPT,
      'ffff80010000000a',
      '02406558' + '0001c700' + 'ffff80010000000a',
    ],
  ])('Geneve, flags 0x%s', (flags, options, hex) => {
    expect(written(GENEVE, infoOf(flags, options))).toBe(hex);
    const bytes = bytesOf('ff' + hex);
    const header = GENEVE.read(bytes, 1, bytes.length);
    expect(header?.vni).toBe(0x1c7);
    expect(header?.flags).toBe(flags | TUNNEL_KEY);
    expect(header?.innerAt).toBe(bytes.length);
    expect(Buffer.from(header?.options ?? []).toString('hex')).toBe(options);
  });

  it.each(['4000655800006400', '0000080000006400', '0200655800006400', '00006558000064'])(
    'Geneve %s is not taken',
    (hex) => {
      expect(GENEVE.read(bytesOf(hex), 0, hex.length / 2)).toBeNull();
    },
  );

  it('VXLAN: the policy goes along only where the device has the extension', () => {
    const policy = infoOf(TUNNEL_VXLAN_OPT, '07000000');
    expect(written(vxlanOf(false), policy)).toBe('080000000001c700');
    expect(written(vxlanOf(true), policy)).toBe('880000070001c700');
    expect(written(vxlanOf(true), infoOf(0))).toBe('080000000001c700');
  });

  it.each(['0000000000006400', '0c00000000006400', '0800000000006407', '8800000700006400'])(
    'VXLAN %s is not taken',
    (hex) => {
      expect(vxlanOf(false).read(bytesOf(hex), 0, 8)).toBeNull();
    },
  );

  it('VXLAN with the extension takes a policy', () => {
    const header = vxlanOf(true).read(bytesOf('8848000700006400'), 0, 8);
    expect(header?.vni).toBe(100);
    expect(header?.flags).toBe(TUNNEL_KEY | TUNNEL_VXLAN_OPT);
    expect([...(header?.options ?? [])]).toEqual([7, 0, 0x48, 0]);
  });
});

describe('rules', () => {
  it.each([
    [1, 32768, 60999, 32768],
    [0x12345678, 32768, 60999, 40299],
    [0x80000000, 32768, 60999, 46883],
    [0xdeadbeef, 0, 0, 43383],
    [0xffffffff, 0, 0, 32768],
    [0x12345678, 1, 65535, 17484],
    [0xdeadbeef, 1, 65535, 24642],
  ])('source port of hash %i in [%i, %i): %i', (hash, min, max, port) => {
    expect(flowSourcePort(hash, min, max)).toBe(port);
  });

  it('ECN on the way in: as inside, CE as ECT(0)', () => {
    expect([0, 1, 2, 3, 0xb9].map((inner) => ecnEncapsulate(0x23, inner))).toEqual([
      0x20, 0x21, 0x22, 0x22, 0x21,
    ]);
  });

  /** Rows: inner; columns: outer, each Not-ECT, ECT(1), ECT(0), CE; −1: dropped. Outer ECT(1) wins over ECT(0) (recorded). */
  const OUT = [
    [0, 0, 0, -1],
    [1, 1, 1, 3],
    [2, 1, 2, 3],
    [3, 3, 3, 3],
  ];

  it.each([0, 1, 2, 3].flatMap((inner) => [0, 1, 2, 3].map((outer) => [inner, outer])))(
    'ECN on the way out: inner %i, outer %i',
    (inner, outer) => {
      const four = bytesOf('4500001f00074000401126c50a0000010a000002');
      four[1] = 0x28 | inner;
      const isKept = ecnDecapsulate(0xb8 | outer, four, 0, 0x0800);
      expect(isKept ? four[1] & 3 : -1).toBe(OUT[inner][outer]);
      const six = bytesOf('60a00000000b1140');
      six[1] = 0x80 | (inner << 4) | 0x0f;
      expect(ecnDecapsulate(outer, six, 0, 0x86dd)).toBe(isKept);
      if (isKept) expect(six[1]).toBe(0x80 | (OUT[inner][outer] << 4) | 0x0f);
    },
  );
});
