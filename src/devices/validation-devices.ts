// Published figures of single devices against their profiles (V18, V20 to V22), through `fit` where it decides them.

import { interpolate } from '../fit/cost.ts';
import { fitRules } from '../fit/fit.ts';
import { readRules } from '../rules/dialects.ts';
import type { Rule } from '../rules/rule.ts';
import { figure, figureList } from './profile.ts';
import type { DeviceProfile, TableProfile } from './profile.ts';
import { applySetting } from './profile-schema.ts';
import { row } from './validation-row.ts';
import type { Published } from './validation-row.ts';

type Load = (name: string) => DeviceProfile;

export function deviceRows(device: Load): Published[] {
  return [...intelRows(device('intel-82599')), ...connectxRows(device('mellanox-cx5'))];
}

/** Steering rules of one mask: distinct destination addresses and one port. */
function oneMask(count: number): string {
  const lines: string[] = [];
  for (let i = 0; i < count; i++)
    lines.push(
      `ethtool -N p0 flow-type tcp4 dst-ip 10.0.${i >> 8}.${i & 255} dst-port 80 action 1 loc ${i}`,
    );
  return lines.join('\n');
}

function rulesOf(text: string): Rule[] {
  return readRules(text, 'validate', 'ethtool').rules;
}

function intelRows(profile: DeviceProfile): Published[] {
  const source = 'ixgbe @52e3c49 ixgbe_ethtool.c, ixgbe_param.c';
  const rules = rulesOf(oneMask(8200));
  const expected = [2046, 4094, 8190];
  const rows = expected.map((published, at) => {
    const device = applySetting(profile, `perfect.pballoc=${at + 1}`);
    const { report } = fitRules(rules, device, { overlaps: NO_OVERLAPS });
    const installed = report.tables[0].rules;
    const what = `82599: perfect filters, FdirPballoc ${at + 1}`;
    return row('V18', what, source, 'filters', published, installed, { basis: 'calibrated' });
  });
  for (const [at, published] of [8192, 16384, 32768].entries()) {
    const what = `82599: signature filters, FdirPballoc ${at + 1}`;
    const model = figureList(profile.figures, 'signatureFilters')[at];
    rows.push(row('V18', what, source, 'filters', published, model, { basis: 'calibrated' }));
  }
  const two = rulesOf(`${oneMask(1)}\nethtool -N p0 flow-type udp4 src-port 53 action -1 loc 9`);
  const { report } = fitRules(two, profile);
  const conflicts = report.refusedBy['mask-conflict'] ?? 0;
  rows.push(
    row('V18', '82599: rules of a second mask refused', source, 'of 1', 1, conflicts, {
      basis: 'calibrated',
    }),
  );
  return rows;
}

const NO_OVERLAPS = {
  shadowed: [],
  shadowedTogether: [],
  redundant: [],
  redundantTogether: [],
  notDecided: 0,
  redundantSought: false,
};

function connectxRows(device: DeviceProfile): Published[] {
  return [...stallRows(device), ...rateRows(device), ...throughputRows(device)];
}

const CALIBRATED = { tolerance: 0.05, basis: 'calibrated' } as const;

function digitised(number: string): string {
  return `nic-bench @f38ea62, fig. ${number} (digitised)`;
}

/** A curve of a table at a number of rules. */
function curve(table: TableProfile, x: string, y: string, rules: number): number {
  return interpolate(figureList(table.figures, x), figureList(table.figures, y), rules);
}

function stallRows({ tables }: DeviceProfile): Published[] {
  const stallS = figure(tables['t0'].figures, 'sameCoreUs', 0) / 1e6;
  const published = [
    [1, 83.3],
    [5, 50.4],
    [10, 33.8],
  ];
  return published.map(([kiloPerS, gbps]) => {
    const what = `ConnectX-5 T0: forwarding while its core inserts ${kiloPerS} k/s`;
    const model = 100 / (1 + stallS * kiloPerS * 1000);
    return row('V20', what, digitised('4a'), 'Gb/s', gbps, model, {
      ...CALIBRATED,
      tolerance: 0.03,
    });
  });
}

function rateRows({ tables }: DeviceProfile): Published[] {
  const rate = (id: string, rules: number): number =>
    curve(tables[id], 'rateEntries', 'ratePerS', rules) / 1000;
  const published: [string, string, number, number][] = [
    ['t0', '5a', 65500, 1.4],
    ['t0', '5a', 32000, 38.5],
    ['t1', '5b', 65500, 493],
  ];
  return published.map(([id, number, rules, perS]) => {
    const what = `ConnectX-5 ${id.toUpperCase()}: insert rate, ${rules / 1000} k rules`;
    return row('V21', what, digitised(number), 'k/s', perS, rate(id, rules), CALIBRATED);
  });
}

function throughputRows({ tables, figures }: DeviceProfile): Published[] {
  const forward = (id: string, rules: number): number =>
    curve(tables[id], 'throughputEntries', 'throughputGbps', rules);
  const published: [string, string, number, number, Published['bound']][] = [
    ['t0', '2a', 16, 98, 'least'],
    ['t0', '2a', 56, 49, 'equal'],
    ['t0', '2a', 57, 1, 'most'],
    ['t1', '2b', 2000, 98, 'least'],
    ['t1', '2b', 4000, 69.7, 'equal'],
  ];
  const rows = published.map(([id, number, kilo, gbps, bound]) => {
    const what = `ConnectX-5 ${id.toUpperCase()}: throughput, ${kilo} k rules`;
    const model = forward(id, kilo * 1000);
    return row('V22', what, digitised(number), 'Gb/s', gbps, model, { ...CALIBRATED, bound });
  });
  const chained = figure(figures, 'chained16Gbps', 0);
  const what = 'ConnectX-5: throughput, 16 chained tables, 100 k rules';
  return [...rows, row('V22', what, digitised('2b'), 'Gb/s', 17.4, chained, CALIBRATED)];
}
