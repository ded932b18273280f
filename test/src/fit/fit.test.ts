// fit against arithmetic done by hand from data sheets, a transcription of MediaTek's buckets, and brute force over sizes.

import { describe, expect, it } from 'vitest';
import { explainRule, fitRules } from '../../../src/fit/fit.ts';
import type { FitReport } from '../../../src/fit/fit.ts';
import { printComparison, printExplained, printFit } from '../../../src/fit/print.ts';
import { interpolate } from '../../../src/fit/cost.ts';
import { loadDevice } from '../../../src/node/device-files.ts';
import { readRules } from '../../../src/rules/dialects.ts';
import type { Rule } from '../../../src/rules/rule.ts';
import { seeded } from '../../reference/linear-tcam.ts';
import { flowsPlaced, ppeBucket } from './ppe-reference.ts';

function rulesOf(lines: readonly string[], dialect: 'tc' | 'ethtool' | 'classbench'): Rule[] {
  const read = readRules(lines.join('\n'), 'test', dialect);
  if (read.error !== null) throw read.error;
  return read.rules;
}

const fitOn = (rules: readonly Rule[], device: string, ...set: string[]): FitReport =>
  fitRules(rules, loadDevice(device, set)).report;

const many = (count: number, line: (i: number) => string): string[] =>
  Array.from({ length: count }, (_, i) => line(i));

const address = (i: number): string => `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`;
/** ClassBench lines: distinct sources, one destination port range. */
const bench = (i: number, ports = '80 : 80'): string =>
  `@${address(i)}/32\t0.0.0.0/0\t0 : 65535\t${ports}\t0x06/0xFF`;
/** tc rules of one kind, priorities given. */
const flower = (i: number, pref: number, rest = 'dst_port 80 action drop'): string =>
  `tc filter add dev p0 ingress protocol ip pref ${pref} flower ip_proto tcp src_ip ${address(i)} ${rest}`;

const resource = (report: FitReport, title: string) =>
  report.resources.find((one) => one.title === title);

describe('slices and rows', () => {
  it('E810: 104-bit keys gang four 40-bit slices, so 16 slices of 512 hold 2048', () => {
    const report = fitOn(
      rulesOf(
        // A destination prefix keeps them out of Flow Director.
        many(2049, (i) => bench(i).replace('0.0.0.0/0', '10.0.0.0/8')),
        'classbench',
      ),
      'intel-e810',
    );
    expect(report).toMatchObject({ fits: false, accepted: 2048, refused: 1 });
    expect(resource(report, 'tcam slices')).toMatchObject({ used: 16, capacity: 16, percent: 100 });
    expect(report.firstRefused).toMatchObject({ rule: 2048, line: 2049 });
    expect(report.firstRefused?.refusal).toMatchObject({ reason: 'no-free-entry', error: -28 });
    expect(report.firstRefused?.refusal.remedy).toMatch(/tcam\.depth=576 \(then 2049 rules\)/);
  });

  it('Tofino 1: three 44-bit blocks a key, eight keys side by side in each of 12 stages', () => {
    const report = fitOn(
      rulesOf(
        many(3, (i) => bench(i)),
        'classbench',
      ),
      'tofino1',
    );
    expect(resource(report, 'tcam slices')).toMatchObject({ used: 3, capacity: 288 });
    expect(resource(report, 'tcam entries')).toMatchObject({ used: 3, capacity: 49152 });
  });

  it('bnxt: two 82-bit slices a key; a row holds two rules of one priority, or one of each', () => {
    const same = rulesOf(
      many(513, (i) => flower(i, 5)),
      'tc',
    );
    expect(fitOn(same, 'broadcom-bnxt')).toMatchObject({ accepted: 512, refused: 1 });
    const distinct = rulesOf(
      many(300, (i) => flower(i, i + 1)),
      'tc',
    );
    expect(fitOn(distinct, 'broadcom-bnxt')).toMatchObject({ accepted: 256, refused: 44 });
    expect(fitOn(same, 'broadcom-bnxt-p58')).toMatchObject({ fits: true });
  });

  it('counts the expansion of ranges, and refuses one that is larger than the room', () => {
    const lines = [bench(0, '1 : 65534'), bench(1, '1024 : 65535'), bench(2)];
    const rules = rulesOf(lines, 'classbench');
    const report = fitOn(rules, 'generic-nic');
    expect(report.tables.find(({ table }) => table === 'tcam')).toMatchObject({ entries: 37 });
    expect(report.expansion).toBeCloseTo(37 / 3);
    const small = fitOn(rules, 'generic-nic', 'tcam.depth=32');
    expect(small).toMatchObject({
      accepted: 2,
      refusedBy: { 'range-too-costly': 1 },
    });
  });
});

describe('peculiarities', () => {
  it('E810: eight distinct ranges, equal ones shared', () => {
    const lines = many(18, (i) => bench(i, `${1000 + (i % 9)} : 2001`));
    const report = fitOn(rulesOf(lines, 'classbench'), 'intel-e810');
    expect(report).toMatchObject({ accepted: 16, refusedBy: { 'no-free-range-register': 2 } });
    const size = report.sizes.find(({ path }) => path === 'tcam.rangeRegisters');
    expect(size).toMatchObject({ now: 8, next: 9, nextRules: 18, enough: 9 });
  });

  it('E810: Flow Director takes whole fields, one input set a flow type; the rest goes to the ACL', () => {
    const rule = (proto: string, rest: string, i: number): string =>
      `ethtool -N p0 flow-type ${proto} ${rest} action 1 loc ${i}`;
    const rules = rulesOf(
      [
        rule('tcp4', 'dst-ip 10.0.0.1 dst-port 80', 0),
        rule('tcp4', 'dst-ip 10.0.0.2 dst-port 81', 1),
        rule('udp4', 'src-port 53', 2),
        rule('tcp4', 'dst-ip 10.0.0.3', 3),
        rule('tcp4', 'dst-ip 10.1.0.0 m 0.0.255.255 dst-port 80', 4),
      ],
      'ethtool',
    );
    const report = fitOn(rules, 'intel-e810');
    expect(report.tables.map((table) => table.rules)).toEqual([3, 2]);
    const alone = fitOn(rules, 'intel-e810', 'tcam.masks=exact');
    expect(alone.refusedBy).toMatchObject({ 'input-set-conflict': 1 });
  });

  it('Tofino 1: whole five-tuples go to SRAM, others to the TCAM', () => {
    const whole = (i: number): string =>
      `@${address(i)}/32\t10.0.0.1/32\t${i} : ${i}\t80 : 80\t0x06/0xFF`;
    const lines = [...many(100, (i) => whole(i + 1)), ...many(7, (i) => bench(i + 1000))];
    const report = fitOn(rulesOf(lines, 'classbench'), 'tofino1');
    expect(report.tables.map(({ table, rules }) => [table, rules])).toEqual([
      ['exact', 100],
      ['tcam', 7],
    ]);
  });

  it('82599: 2046, 4094, 8190 perfect filters of one mask, then 128 five-tuple filters', () => {
    const one = (i: number): string =>
      `ethtool -N p0 flow-type tcp4 dst-ip ${address(i)} dst-port 80 action 1 loc ${i}`;
    const rules = rulesOf(many(4500, one), 'ethtool');
    const first = fitOn(rules, 'intel-82599');
    expect(first.tables.map((table) => table.rules)).toEqual([2046, 128]);
    const second = fitOn(rules, 'intel-82599', 'perfect.pballoc=2');
    expect(second.tables.map((table) => table.rules)).toEqual([4094, 128]);
    expect(first.sizes[0]).toMatchObject({ path: 'perfect.pballoc', next: 2, enough: 3 });
    const masked = rulesOf([one(0), one(1).replace(/dst-ip \S+/, '$& m 0.0.0.255')], 'ethtool');
    const report = fitOn(masked, 'intel-82599');
    expect(report.firstRefused?.refusal).toMatchObject({ reason: 'mask-conflict', error: -22 });
    const same = fitOn(rulesOf([one(0), one(0)], 'ethtool'), 'intel-82599', 'fivetuple.entries=1');
    expect(same).toMatchObject({ accepted: 2 });
  });

  it('ConnectX-5: filling takes the measured time, and the root table collapses beyond 57 k rules', () => {
    const one = (i: number): string => bench(i);
    const report = fitOn(rulesOf(many(16000, one), 'classbench'), 'mellanox-cx5');
    expect(report.tables[0].timeS).toBeCloseTo(16000 / 40700, 6);
    const full = fitOn(rulesOf(many(62000, one), 'classbench'), 'mellanox-cx5');
    expect(full.tables[0].rulesPerS).toBeCloseTo(3300, 6);
    expect(full.tables[0].throughputGbps).toBeLessThan(0.16);
    expect(interpolate([1, 100], [10, 1000], 10)).toBeCloseTo(100);
    expect(interpolate([10, 100], [1, 2], 5)).toBe(1);
    expect(interpolate([10, 100], [1, 2], 500)).toBe(2);
  });

  it.each(['mediatek-mt7621', 'mediatek-mt7986'])('%s: buckets as published', (device) => {
    const next = seeded(77);
    const [bucketEntries, statics] =
      device === 'mediatek-mt7621' ? [2, [12, 25, 38, 51, 76, 89, 102]] : [4, []];
    const buckets: number[] = [];
    const lines = many(5000, (i) => {
      const ports = [1024 + next(60000), 1 + next(100)];
      const src = 0x0a000000 + i;
      const packed = (BigInt(ports[0]) << 16n) | BigInt(ports[1]);
      buckets.push(ppeBucket(BigInt(src), 0xc0000201n, packed, bucketEntries));
      const tail = `dst_ip 192.0.2.1 src_port ${ports[0]} dst_port ${ports[1]}`;
      return flower(i, 1, `${tail} action mirred egress redirect dev p1`);
    });
    const report = fitOn(rulesOf(lines, 'tc'), device);
    const placed = flowsPlaced(buckets, bucketEntries, statics);
    expect(placed).toBeLessThan(5000);
    expect(report).toMatchObject({ accepted: placed, refusedBy: { 'bucket-full': 5000 - placed } });
    const masked = rulesOf([flower(0, 1, 'src_port 1 dst_port 2 action drop')], 'tc');
    expect(fitOn(masked, device).firstRefused?.refusal.reason).toBe('mask-not-allowed');
  });

  it('Spectrum-2: 16 masks in hashed memory, rules of the 17th in the C-TCAM', () => {
    const lines = many(
      20,
      (i) => `@10.0.0.0/${i < 17 ? i + 8 : 24}\t1.2.3.4/32\t0 : 65535\t${i} : ${i}\t0x06/0xFF`,
    );
    const report = fitOn(rulesOf(lines, 'classbench'), 'mellanox-spectrum2');
    expect(resource(report, 'tcam masks (eRPs)')).toMatchObject({ used: 16, capacity: 16 });
    expect(resource(report, 'tcam C-TCAM entries')).toMatchObject({ used: 4 });
    expect(resource(report, 'tcam A-TCAM entries')).toMatchObject({ used: 16 });
  });

  it('rocker: 100 flows', () => {
    const rules = rulesOf(
      many(101, (i) => flower(i, 1)),
      'tc',
    );
    expect(fitOn(rules, 'rocker-ofdpa')).toMatchObject({ accepted: 100, refused: 1 });
  });

  it('refuses actions, groups and fields by name; rules for software are no failure', () => {
    const lines = [
      flower(0, 1, 'action police rate 1mbit burst 10k'),
      flower(1, 2, 'tcp_flags 0x2/0x2 action drop'),
      flower(2, 3).replace('ingress', 'ingress chain 5'),
      flower(3, 4, 'skip_hw action drop'),
    ];
    const { report, plan, admission } = fitRules(rulesOf(lines, 'tc'), loadDevice('intel-e810'));
    expect(report).toMatchObject({ accepted: 0, refused: 3, software: 1 });
    expect(report.refusedBy).toEqual({
      'action-not-supported': 1,
      'field-not-in-template': 1,
      'no-such-group': 1,
    });
    const explained = explainRule({ report, plan, admission }, 3);
    expect(explained.outcome).toBe('software');
  });

  it('counts counters and meters of the device', () => {
    const rules = rulesOf(
      many(3, (i) => flower(i, 1, 'action police rate 1mbit burst 10k')),
      'tc',
    );
    const report = fitOn(rules, 'mellanox-spectrum', 'meters=2');
    expect(report).toMatchObject({ accepted: 2, refusedBy: { 'no-free-meter': 1 } });
  });
});

describe('cost', () => {
  it('parman: 1225 moves for 50 priorities in the worst order, none in the best', () => {
    const worst = rulesOf(
      many(50, (i) => flower(i, 50 - i)),
      'tc',
    );
    const [tcam] = fitOn(worst, 'mellanox-spectrum').tables;
    expect(tcam).toMatchObject({ rules: 50, entries: 50, moves: 1225, movesBest: 0 });
    const figures = loadDevice('mellanox-spectrum').tables['tcam'].figures;
    const [insertUs, moveUs] = [
      figures['insertUs'].value as number,
      figures['moveUs'].value as number,
    ];
    expect(tcam.timeS).toBeCloseTo((50 * insertUs + 1225 * moveUs) / 1e6, 9);
    const best = fitOn(
      rulesOf(
        many(50, (i) => flower(i, i + 1)),
        'tc',
      ),
      'mellanox-spectrum',
    );
    expect(best.tables[0]).toMatchObject({ moves: 0, movesBest: 0 });
    const alike = fitOn(
      rulesOf(
        many(50, (i) => flower(i, 7)),
        'tc',
      ),
      'mellanox-spectrum',
    );
    expect(alike.tables[0]).toMatchObject({ moves: 0 });
    expect(alike.tables[0].rulesPerS).toBeCloseTo(1e6 / insertUs);
  });
});

describe('sizes', () => {
  it('agree with trying every size', () => {
    const lines = many(40, (i) => bench(i, `${10 + (i % 6)} : 77`));
    const rules = rulesOf(lines, 'classbench');
    const set = ['tcam.depth=8', 'tcam.unitRows=1', 'tcam.rangeRegisters=3', 'tcam.slices=16'];
    const report = fitOn(rules, 'intel-e810', ...set);
    const base = report.accepted;
    for (const answer of report.sizes) {
      const step = answer.path === 'tcam.slices' ? 16 : 1;
      const at = (size: number) =>
        fitOn(rules, 'intel-e810', ...set, `${answer.path}=${size}`).accepted;
      const sizes = many(60, () => '').map((_, i) => answer.now + (i + 1) * step);
      const counts = sizes.map(at);
      const most = Math.max(...counts);
      const next = sizes[counts.findIndex((count) => count > base)] ?? null;
      expect(answer.next, answer.path).toBe(next);
      expect(answer.enough, answer.path).toBe(next === null ? null : sizes[counts.indexOf(most)]);
    }
    const fitting = fitOn(rules.slice(0, 5), 'intel-e810');
    const depth = fitting.sizes.find(({ path }) => path === 'tcam.rangeRegisters');
    expect(depth?.leastForAll).toBe(5);
  });
});

describe('output', () => {
  const rules = rulesOf([bench(0, '10 : 20'), bench(1), bench(1)], 'classbench');

  it('is the same every time', () => {
    const once = (): string => JSON.stringify(fitOn(rules, 'generic-switch'));
    expect(once()).toBe(once());
  });

  it('says what a person asks: fit, resources, cost, sizes, shadows', () => {
    const text = printFit(fitOn(rules, 'intel-e810', 'tcam.rangeRegisters=0'), 'r', 'E810');
    expect(text).toContain('r on intel-e810 (E810): does not fit');
    expect(text).toContain(
      'first refused: rule 0 (line 1): no free port range register: 0 of 0 in use',
    );
    expect(text).toContain('(no-free-range-register, ENOSPC -28); ran out: range registers');
    expect(text).toContain('tcam.rangeRegisters=1 (then 3 rules)');
    expect(text).toContain('shadowed: 1 (rule 2 by 1)');
    for (const line of text.split('\n')) expect(line).not.toMatch(/ $/);
  });

  it('explains one rule, and sets devices side by side', () => {
    const fit = fitRules(rules, loadDevice('tofino1'));
    const text = printExplained(explainRule(fit, 0));
    expect(text).toContain("table tcam (taken): key 'ipv4' of 104 bits, 3 slices wide, 4 entries");
    expect(text).toContain('dport 10 to 20: 4 entries');
    const table = printComparison([fit.report, fitOn(rules, 'intel-82599')], 'r');
    expect(table).toMatch(/tofino1 +yes +3 +0/);
    expect(table).toMatch(/intel-82599 +no +.*range-not-allowed/);
  });
});
