// Addresses, checksums, routes and the destination cache against oracles that are not ours.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NetDevice } from '../../../driver/netdev.ts';
import { formatAddress, maskAddress, parseAddress } from '../../../src/stack/ip/address.ts';
import { decreaseTtl, inetChecksum, setIpv4Checksum } from '../../../src/stack/ip/checksum.ts';
import type { FibEntry } from '../../../src/stack/ip/fib.ts';
import { Fib } from '../../../src/stack/ip/fib.ts';
import { naiveChecksum, naiveLongestPrefix } from '../../reference/naive-ip.ts';

const ops = { ndo_open: () => 0, ndo_stop: () => 0, ndo_start_xmit: () => 0 };

function entryFor(dst: Uint8Array, prefixLen: number, metric: number): FibEntry {
  return {
    family: dst.length === 4 ? 2 : 10,
    dst,
    prefixLen,
    type: 'unicast',
    table: 254,
    dev: new NetDevice('d', ops),
    gateway: null,
    metric,
    scope: 0,
    protocol: 3,
    prefSrc: null,
    mtuBytes: 0,
    onlink: false,
    removed: false,
  };
}

describe('addresses', () => {
  // RFC 5952 section 4 and 5, RFC 4291 section 2.2.
  it.each([
    ['2001:0db8::0001', '2001:db8::1'],
    ['2001:db8:0:0:0:0:2:1', '2001:db8::2:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:DB8::ABCD', '2001:db8::abcd'],
    ['::', '::'],
    ['::1', '::1'],
    ['::ffff:192.0.2.1', '::ffff:192.0.2.1'],
    ['fe80::1', 'fe80::1'],
    ['192.0.2.33', '192.0.2.33'],
  ])('%s is written %s', (text, canonical) => {
    const bytes = parseAddress(text);
    expect(bytes).not.toBeNull();
    expect(formatAddress(bytes as Uint8Array)).toBe(canonical);
  });

  it.each(['1.2.3', '1.2.3.256', '1::2::3', ':1', '12345::', '1:2:3:4:5:6:7', '::1.2.3', 'x'])(
    '%s is no address',
    (text) => {
      expect(parseAddress(text)).toBeNull();
    },
  );
});

describe('checksums', () => {
  it('agree with BigInt arithmetic', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), (bytes) => {
        const sum = inetChecksum(bytes, 0, bytes.length);
        const other = naiveChecksum(bytes);
        // 0 and 0xffff are the same number in one's complement.
        expect(sum % 0xffff).toBe(other % 0xffff);
      }),
    );
  });

  it('stay right when the TTL goes down, for every TTL and checksum', () => {
    for (let ttl = 1; ttl < 256; ttl++)
      for (let id = 0; id < 65536; id += 251) {
        const header = new Uint8Array(20);
        header.set([0x45, 0, 0, 40, id >> 8, id & 255, 0x40, 0, ttl, 6, 10, 0, 0, 1, 10, 0, 0, 2]);
        setIpv4Checksum(header, 0);
        decreaseTtl(header, 0);
        expect(header[8]).toBe(ttl - 1);
        if (inetChecksum(header, 0, 20) !== 0) throw new Error(`ttl ${ttl} id ${id}`);
      }
  });
});

describe('routes', () => {
  const byte = fc.constantFrom(0, 1, 128, 255);
  it.each([4, 16])('longest prefix of %i-byte addresses as by trying all', (size) => {
    const address = fc.array(byte, { minLength: size, maxLength: size });
    const route = fc.record({ address, prefixLen: fc.integer({ min: 0, max: size * 8 }) });
    fc.assert(
      fc.property(
        fc.array(route, { maxLength: 20 }),
        fc.array(address, { maxLength: 20 }),
        (routes, asked) => {
          const fib = new Fib();
          const entries = routes.map((r, i) =>
            entryFor(maskAddress(Uint8Array.from(r.address), r.prefixLen), r.prefixLen, i),
          );
          for (const entry of entries) fib.addRoute(entry);
          for (const a of [...asked, ...asked]) {
            const want = naiveLongestPrefix(routes, a);
            const got = fib.lookup(Uint8Array.from(a));
            expect(got === null ? -1 : entries.indexOf(got.entry)).toBe(want);
          }
        },
      ),
    );
  });

  it('a change makes cached routes stale, a quiet host route only its own', () => {
    const fib = new Fib();
    const net = entryFor(Uint8Array.of(10, 0, 0, 0), 8, 0);
    fib.addRoute(net);
    const one = fib.lookup(Uint8Array.of(10, 0, 0, 1));
    const two = fib.lookup(Uint8Array.of(10, 0, 0, 2));
    expect(fib.lookup(Uint8Array.of(10, 0, 0, 1))).toBe(one);
    const dev = new NetDevice('e', ops);
    fib.addHostRouteQuiet(Uint8Array.of(10, 0, 0, 1), dev);
    expect(fib.lookup(Uint8Array.of(10, 0, 0, 2))).toBe(two);
    expect(two?.genId).toBe(fib.genId);
    expect(one?.genId).not.toBe(fib.genId);
    expect(fib.lookup(Uint8Array.of(10, 0, 0, 1))?.dev).toBe(dev);
    expect(fib.removeRoute(net)).toBe(true);
    expect(two?.genId).not.toBe(fib.genId);
    expect(fib.lookup(Uint8Array.of(10, 0, 0, 2))).toBeNull();
  });

  it('a hundred thousand quiet routes are found', () => {
    const fib = new Fib();
    const dev = new NetDevice('e', ops);
    const at = (i: number): Uint8Array => Uint8Array.of(10, i >> 16, (i >> 8) & 255, i & 255);
    for (let i = 0; i < 100_000; i++) fib.addHostRouteQuiet(at(i), dev);
    for (let i = 0; i < 100_000; i += 7) expect(fib.lookup(at(i))?.dev).toBe(dev);
    expect(fib.lookup(at(100_001))).toBeNull();
    expect(fib.genId).toBe(1);
  });
});
