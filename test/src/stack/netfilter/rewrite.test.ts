// Incremental checksums against full ones: after rewriting, a packet whose checksums were right has right ones, and a wrong one
// stays wrong by the same amount. The oracle sums whole packets with BigInt (RFC 1071 in its plainest form).

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Tuple } from '../../../../src/stack/netfilter/conntrack/tuple.ts';
import { decrementTtl, rewriteTuple } from '../../../../src/stack/netfilter/flowtable/rewrite.ts';

const SEED = 20261121;

/** One's complement sum of everything given, as a 16-bit number. */
function sum(...parts: Uint8Array[]): number {
  let total = 0n;
  for (const part of parts)
    for (let i = 0; i < part.length; i += 2)
      total += (BigInt(part[i]) << 8n) + BigInt(part[i + 1] ?? 0);
  while (total > 0xffffn) total = (total & 0xffffn) + (total >> 16n);
  return Number(total);
}

function pseudo(packet: Uint8Array, six: boolean): Uint8Array {
  const at = six ? 40 : 20;
  const addresses = six ? packet.slice(8, 40) : packet.slice(12, 20);
  const lenBytes = packet.length - at;
  const protocol = six ? packet[6] : packet[9];
  return Uint8Array.of(...addresses, 0, protocol, lenBytes >> 8, lenBytes & 255);
}

function l4Sum(packet: Uint8Array, six: boolean): number {
  return sum(pseudo(packet, six), packet.slice(six ? 40 : 20));
}

/** A packet with right checksums. */
function build(six: boolean, udp: boolean, bytes: Uint8Array): Uint8Array {
  const at = six ? 40 : 20;
  const packet = new Uint8Array(at + 20 + 7);
  packet.set(bytes.subarray(0, packet.length));
  packet[0] = six ? 0x60 : 0x45;
  packet[six ? 6 : 9] = udp ? 17 : 6;
  packet[six ? 7 : 8] = 2 + (packet[six ? 7 : 8] % 250);
  const check = at + (udp ? 6 : 16);
  packet[check] = packet[check + 1] = 0;
  const l4 = ~l4Sum(packet, six) & 0xffff;
  packet.set([l4 >> 8, l4 & 255], check);
  if (!six) {
    packet[10] = packet[11] = 0;
    const ip = ~sum(packet.slice(0, 20)) & 0xffff;
    packet.set([ip >> 8, ip & 255], 10);
  }
  return packet;
}

const word = fc.oneof(fc.constantFrom(0, -1, 0x0a000001, 0x00010000), fc.integer());

describe(`rewriting in place (seed ${SEED})`, () => {
  it('keeps right checksums right', () => {
    fc.assert(
      fc.property(
        fc.boolean(),
        fc.boolean(),
        fc.uint8Array({ minLength: 67, maxLength: 67 }),
        fc.array(word, { minLength: 9, maxLength: 9 }),
        (six, udp, bytes, words) => {
          const packet = build(six, udp, bytes);
          const target = new Tuple();
          [target.s0, target.s1, target.s2, target.s3] = words;
          [target.d0, target.d1, target.d2, target.d3, target.l4] = words.slice(4);
          const at = six ? 40 : 20;
          const hadNone = udp && packet[at + 6] === 0 && packet[at + 7] === 0;
          rewriteTuple(packet, 0, at, six ? 10 : 2, udp ? 17 : 6, target);
          decrementTtl(packet, 0, six ? 10 : 2);
          if (!six) expect(sum(packet.slice(0, 20)) % 0xffff).toBe(0);
          if (!hadNone) expect(l4Sum(packet, six) % 0xffff).toBe(0);
          const view = new DataView(packet.buffer);
          expect(view.getInt32(at)).toBe(words[8]);
          expect(view.getInt32(six ? 8 : 12)).toBe(words[0]);
        },
      ),
      { seed: SEED, numRuns: 500 },
    );
  });

  it('leaves UDP checksum 0 alone and never writes one', () => {
    const packet = build(false, true, new Uint8Array(67).fill(7));
    packet[26] = packet[27] = 0;
    const target = new Tuple();
    target.s0 = 0x01020304;
    rewriteTuple(packet, 0, 20, 2, 17, target);
    expect([packet[26], packet[27]]).toEqual([0, 0]);
  });
});
