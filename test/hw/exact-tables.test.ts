// Exact match at real load factors, against published thresholds and the Poisson law; MediaTek PPE (V19, hw 4.2).

import { describe, expect, it } from 'vitest';
import { EXACT_KEY_WORDS } from '../../hw/parse/key-layout.ts';
import { ExactMatchTable, INSERT_BUCKET_FULL } from '../../hw/table/exact-match.ts';
import { PPE_ENTRIES, ppeHashIpv4, ppeHashIpv6 } from '../../hw/table/ppe-hash.ts';
import {
  MT7621_PPE,
  MT7986_PPE,
  PPE_FORWARD,
  PPE_HIT_BIND_TCP_FIN,
  PPE_HIT_UNBIND,
  PPE_HIT_UNBIND_RATE_REACHED,
  PPE_STATIC,
  PPE_UN_HIT,
  PpeTable,
} from '../../hw/table/ppe-table.ts';
import { seeded } from '../reference/linear-tcam.ts';

function randomKey(random: (below: number) => number): Uint32Array {
  const key = new Uint32Array(EXACT_KEY_WORDS);
  for (let i = 0; i < EXACT_KEY_WORDS; i++) key[i] = random(2 ** 32);
  return key;
}

/** Load at which the first insertion fails, mean of several fills. */
function loadAtFirstFailure(ways: number, maxKicks: number, stash: number): number {
  let sum = 0;
  const fills = 6;
  for (let seed = 1; seed <= fills; seed++) {
    const random = seeded(seed);
    const table = new ExactMatchTable(4096, ways, stash, maxKicks);
    while (table.insert(randomKey(random)) !== INSERT_BUCKET_FULL);
    sum += table.count / 4096;
  }
  return sum / fills;
}

describe('cuckoo at real load factors', () => {
  // Thresholds of two-choice cuckoo hashing with buckets of 1, 2, 4, 8: 0.5, 0.897, 0.980, 0.998 (Dietzfelbinger and
  // Weidling; Fernholz and Ramachandran; Cain, Sanders and Wormald). A bounded search without look-ahead stays below.
  it.each([
    [1, 0.4, 0.5],
    [2, 0.7, 0.897],
    [4, 0.9, 0.98],
    [8, 0.95, 0.998],
  ])('%i ways: fails between %f and the threshold %f', (ways, low, threshold) => {
    const load = loadAtFirstFailure(ways, 128, 0);
    expect(load).toBeGreaterThan(low);
    expect(load).toBeLessThan(threshold + 0.01);
  });

  it('fewer kicks fail earlier; a stash helps', () => {
    const none = loadAtFirstFailure(4, 0, 0);
    const few = loadAtFirstFailure(4, 8, 0);
    const many = loadAtFirstFailure(4, 64, 0);
    const stash = loadAtFirstFailure(4, 8, 16);
    expect(none).toBeLessThan(few);
    expect(few).toBeLessThan(many);
    expect(stash).toBeGreaterThan(few);
  });

  it('a failed insertion leaves every resident where lookups find it', () => {
    const random = seeded(7);
    const table = new ExactMatchTable(256, 2, 2, 16);
    const keys: Uint32Array[] = [];
    for (let n = 0; n < 400; n++) {
      const key = randomKey(random);
      if (table.insert(key) >= 0) keys.push(key);
    }
    expect(keys.length).toBe(table.count);
    for (const key of keys) expect(table.find(key)).toBeGreaterThanOrEqual(0);
  });
});

const ip = (text: string): number =>
  text.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0);

describe('MediaTek PPE', () => {
  it('hashes the published vectors', () => {
    const hash = (src: string, sport: number, dst: string, dport: number, entries: number) =>
      ppeHashIpv4(ip(src), ip(dst), (sport << 16) | dport, entries);
    expect(hash('192.168.1.10', 40000, '1.1.1.1', 443, 2)).toBe(2608);
    expect(hash('192.168.1.10', 40000, '1.1.1.1', 443, 4)).toBe(5216);
    expect(hash('10.0.0.1', 1024, '10.0.0.2', 80, 2)).toBe(2738);
    expect(hash('10.0.0.1', 1024, '10.0.0.2', 80, 4)).toBe(5476);
    expect(hash('66.9.149.187', 2794, '161.142.100.80', 1766, 2)).toBe(6506);
    expect(hash('66.9.149.187', 2794, '161.142.100.80', 1766, 4)).toBe(4820);
  });

  it('IPv6: the formula in BigInt, for random addresses', () => {
    const random = seeded(6);
    const u32 = (x: bigint): bigint => BigInt.asUintN(32, x);
    for (let n = 0; n < 200; n++) {
      const words = Uint32Array.from({ length: 8 }, () => random(2 ** 32));
      const [s0, s1, s2, s3, d0, d1, d2, d3] = Array.from(words, BigInt);
      const ports = BigInt(random(2 ** 32));
      const hv1 = s3 ^ d3 ^ ports;
      const hv2 = s2 ^ d2 ^ d0;
      const hv3 = s1 ^ d1 ^ s0;
      let h = (hv1 & hv2) | (u32(~hv1) & hv3);
      h = u32((h << 8n) | (h >> 24n));
      h ^= hv1 ^ hv2 ^ hv3;
      h ^= h >> 16n;
      for (const [entries, shift] of [
        [2, 1n],
        [4, 2n],
      ] as const)
        expect(ppeHashIpv6(words, 0, 4, Number(ports), entries)).toBe(Number((h << shift) & 8191n));
    }
  });

  it('MT7621: 7744 of 8192 usable, the seven positions of every 128', () => {
    const table = new PpeTable(MT7621_PPE);
    expect(table.usable).toBe(7744);
    const reserved = [12, 25, 38, 51, 76, 89, 102];
    for (let i = 0; i < PPE_ENTRIES; i++) {
      expect(table.state[i] === PPE_STATIC).toBe(reserved.includes(i % 128));
      // Each of them does cross a boundary of 1024 bytes.
      if (reserved.includes(i % 128)) expect((i * 80) % 1024).toBeGreaterThan(1024 - 80);
    }
    expect(new PpeTable(MT7986_PPE).usable).toBe(8192);
  });

  it('binds no flow before 30 packets in a tick', () => {
    const table = new PpeTable(MT7986_PPE);
    const key = randomKey(seeded(1));
    expect(table.packet(64, key, 17, false, 5)).toBe(PPE_UN_HIT);
    for (let n = 2; n < 30; n++) expect(table.packet(64, key, 17, false, 5)).toBe(PPE_HIT_UNBIND);
    expect(table.packet(64, key, 17, false, 6)).toBe(PPE_HIT_UNBIND);
    for (let n = 2; n < 30; n++) table.packet(64, key, 17, false, 6);
    expect(table.bound).toBe(0);
    expect(table.packet(64, key, 17, false, 6)).toBe(PPE_HIT_UNBIND_RATE_REACHED);
    expect(table.bind(table.lastEntry)).toBe(true);
    expect(table.bind(table.lastEntry)).toBe(false);
    expect(table.packet(64, key, 17, false, 6)).toBe(PPE_FORWARD);
    expect(table.bound).toBe(1);
    expect(table.packet(64, key, 17, false, 18)).toBe(PPE_FORWARD);
    expect(table.sweep(30)).toBe(0);
    expect(table.sweep(31)).toBe(1);
  });

  it('ages by protocol, ends a bound flow on FIN', () => {
    const table = new PpeTable(MT7986_PPE);
    const key = randomKey(seeded(2));
    table.packet(0, key, 6, false, 0);
    table.bind(table.lastEntry);
    expect(table.packet(0, key, 6, false, 7)).toBe(PPE_FORWARD);
    expect(table.packet(0, key, 6, true, 8)).toBe(PPE_HIT_BIND_TCP_FIN);
    expect(table.sweep(9)).toBe(0);
    expect(table.sweep(10)).toBe(1);
    expect(table.packet(0, key, 6, false, 10)).toBe(PPE_UN_HIT);
    expect(table.clear(table.lastEntry)).toBe(true);
    expect(table.clear(table.lastEntry)).toBe(false);
  });

  it('full buckets follow the Poisson law: no displacement helps', () => {
    for (const [config, seed] of [
      [MT7986_PPE, 3],
      [{ ...MT7621_PPE, staticEntries: [] }, 4],
    ] as const) {
      const random = seeded(seed);
      const table = new PpeTable(config);
      const flows = 8192;
      const buckets = PPE_ENTRIES / config.bucketEntries;
      for (let n = 0; n < flows; n++) {
        const hash = ppeHashIpv4(
          random(2 ** 32),
          random(2 ** 32),
          random(2 ** 32),
          config.bucketEntries,
        );
        table.packet(hash, randomKey(random), 17, false, 0);
      }
      const mean = flows / buckets;
      let lost = 0;
      for (let k = 0, p = Math.exp(-mean); k < 60; k++, p *= mean / k)
        lost += Math.max(0, k - config.bucketEntries) * p;
      const expected = lost * buckets;
      expect(Math.abs(table.collisions / expected - 1)).toBeLessThan(0.06);
    }
  });
});
