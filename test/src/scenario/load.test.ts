// Scenario files: every mistake is one line that names file, line and what was expected.

import { describe, expect, it } from 'vitest';
import { loadScenario } from '../../../src/scenario/load.ts';

function errorOf(text: string): string {
  try {
    loadScenario(text, 'x.yaml');
  } catch (error) {
    return (error as Error).message;
  }
  return 'accepted';
}

describe('loadScenario', () => {
  it('fills defaults and resolves units', () => {
    const scenario = loadScenario('device: { lineRate: 25G, flowInsert: 3us }\n', 'x.yaml');
    expect(scenario.device.lineRate).toBe(25e9);
    expect(scenario.device.flowInsert).toBe(3e6);
    expect(scenario.ports.map((port) => port.name)).toEqual(['p0', 'p1']);
    expect(scenario.traffic.split).toEqual({ kind: 'client-server' });
    expect(scenario.seed).toBe(1);
  });

  it('reads a PCIe link with its host', () => {
    const text = 'device: { pcie: { lanes: 16, mps: 512, numa: remote, iommu: { page: 2Mi } } }\n';
    const { pcie } = loadScenario(text, 'x.yaml').device;
    expect(pcie).toMatchObject({ lanes: 16, mps: 512, numa: 'remote', spread: 'off' });
    expect(pcie?.iommu).toEqual({ page: 2 ** 21, entries: 64, miss: 330_000, walkers: 6 });
    const bad = (pcieText: string): string => errorOf(`name: x\ndevice:\n  pcie: ${pcieText}\n`);
    expect(bad('{ mps: 300 }')).toBe(
      'x.yaml:3: device.pcie.mps: expected one of 128, 256, 512, 1024',
    );
    expect(bad('{ generation: 2, lanes: 4 }')).toMatch(/^x.yaml:3: device.pcie: no figures for/);
    expect(bad('{ spread: e7 }')).toMatch(/^x.yaml:3: device.pcie.spread: /);
    expect(bad('{ ntags: 3 }')).toMatch(/^x.yaml:3: device.pcie.ntags: unknown key; expected one/);
  });

  it.each([
    [
      'a misspelt key',
      'name: x\nhosts: { cores: 2 }\n',
      'x.yaml:2: hosts: unknown key; expected one of name',
    ],
    [
      'a misspelt inner key',
      'host:\n  core: 2\n',
      'x.yaml:2: host.core: unknown key; expected one of cores',
    ],
    [
      'a misspelt key in a list',
      'ports:\n  - name: p0\n    mat: x\n',
      'x.yaml:3: ports.0.mat: unknown key',
    ],
    ['a wrong type', 'seed: 1\nhost:\n  mhz: fast\n', 'x.yaml:3: host.mhz: '],
    [
      'a bad rate',
      'device:\n  lineRate: quick\n',
      'x.yaml:2: device.lineRate: expected a rate like 10G',
    ],
    [
      'a bad time',
      'run:\n  - at: soon\n    commands: x\n',
      'x.yaml:2: run.0.at: expected a time like 5ms',
    ],
    [
      'a bad MAC',
      "ports:\n  - { name: p0, mac: '02:00' }\n",
      'x.yaml:2: ports.0.mac: expected a MAC address',
    ],
    ['a bad split', 'traffic: { split: up }\n', 'x.yaml:1: traffic.split: expected client-server'],
    ['broken YAML', 'name: [1, 2\nseed: 1\n', 'not valid YAML'],
    ['no mapping', '- 1\n', 'x.yaml:1: expected a mapping of keys, found a list'],
    ['nothing', '', 'x.yaml:1: expected a mapping of keys, found nothing'],
  ])('names %s', (_what, text, expected) => {
    const message = errorOf(text);
    expect(message).toContain(expected);
    expect(message).not.toContain('\n');
  });
});
