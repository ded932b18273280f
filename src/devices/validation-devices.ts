// Published figures of single devices against their profiles (V18, V20 to V22), through `fit` where it decides them.

import { interpolate } from '../fit/cost.ts';
import { fitRules } from '../fit/fit.ts';
import { readRules } from '../rules/dialects.ts';
import type { Rule } from '../rules/rule.ts';
import { figure, figureList } from './profile.ts';
import type { DeviceProfile } from './profile.ts';
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

const NO_OVERLAPS = { shadowed: [], redundant: [], redundantSought: false };

function connectxRows({ tables, figures }: DeviceProfile): Published[] {
  const source = (number: string): string => `nic-bench @f38ea62, fig. ${number} (digitised)`;
  const { t0, t1 } = tables;
  const calibrated = { tolerance: 0.05, basis: 'calibrated' } as const;
  const rate = (table: typeof t0, rules: number): number =>
    interpolate(
      figureList(table.figures, 'rateEntries'),
      figureList(table.figures, 'ratePerS'),
      rules,
    ) / 1000;
  const forward = (table: typeof t0, rules: number): number =>
    interpolate(
      figureList(table.figures, 'throughputEntries'),
      figureList(table.figures, 'throughputGbps'),
      rules,
    );
  const stall = (rulesPerS: number): number =>
    100 / (1 + (figure(t0.figures, 'sameCoreUs', 0) / 1e6) * rulesPerS);
  const fitted = { tolerance: 0.03, basis: 'calibrated' } as const;
  const cx = 'ConnectX-5';
  const least = { ...calibrated, bound: 'least' } as const;
  const most = { ...calibrated, bound: 'most' } as const;
  const chained = figure(figures, 'chained16Gbps', 0);
  return [
    row(
      'V20',
      `${cx} T0: forwarding while its core inserts 1 k/s`,
      source('4a'),
      'Gb/s',
      83.3,
      stall(1000),
      fitted,
    ),
    row(
      'V20',
      `${cx} T0: forwarding while its core inserts 5 k/s`,
      source('4a'),
      'Gb/s',
      50.4,
      stall(5000),
      fitted,
    ),
    row(
      'V20',
      `${cx} T0: forwarding while its core inserts 10 k/s`,
      source('4a'),
      'Gb/s',
      33.8,
      stall(10000),
      fitted,
    ),
    row(
      'V21',
      `${cx} T0: insert rate, 65.5 k rules`,
      source('5a'),
      'k/s',
      1.4,
      rate(t0, 65500),
      calibrated,
    ),
    row(
      'V21',
      `${cx} T0: insert rate, 32 k rules`,
      source('5a'),
      'k/s',
      38.5,
      rate(t0, 32000),
      calibrated,
    ),
    row(
      'V21',
      `${cx} T1: insert rate, 65.5 k rules`,
      source('5b'),
      'k/s',
      493,
      rate(t1, 65500),
      calibrated,
    ),
    row(
      'V22',
      `${cx} T0: throughput, 16 k rules`,
      source('2a'),
      'Gb/s',
      98,
      forward(t0, 16000),
      least,
    ),
    row(
      'V22',
      `${cx} T0: throughput, 56 k rules`,
      source('2a'),
      'Gb/s',
      49,
      forward(t0, 56000),
      calibrated,
    ),
    row(
      'V22',
      `${cx} T0: throughput, 57 k rules`,
      source('2a'),
      'Gb/s',
      1,
      forward(t0, 57000),
      most,
    ),
    row(
      'V22',
      `${cx} T1: throughput, 2 M rules`,
      source('2b'),
      'Gb/s',
      98,
      forward(t1, 2e6),
      least,
    ),
    row(
      'V22',
      `${cx} T1: throughput, 4 M rules`,
      source('2b'),
      'Gb/s',
      69.7,
      forward(t1, 4e6),
      calibrated,
    ),
    row(
      'V22',
      `${cx}: 16 chained tables, 100 k rules`,
      source('2b'),
      'Gb/s',
      17.4,
      chained,
      calibrated,
    ),
  ];
}
