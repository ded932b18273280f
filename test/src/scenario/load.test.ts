// Scenario files: every mistake is one line that names file, line and what was expected.

import { describe, expect, it } from 'vitest';
import { loadDevice } from '../../../src/node/device-files.ts';
import { deviceFault } from '../../../src/scenario/device-limits.ts';
import { loadScenario, scenarioErrorAt } from '../../../src/scenario/load.ts';

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
    [
      'no queues',
      'device: { queues: 0 }\n',
      'x.yaml:1: device.queues: expected a number from 1 to',
    ],
    ['half a queue', 'device: { queues: 1.5 }\n', 'expected a whole number like 4096 or 64Ki'],
    ['a list', 'device: { queues: [4] }\n', 'expected a whole number like 4096 or 64Ki'],
    ['no cores', 'host: { cores: 0 }\n', 'x.yaml:1: host.cores: expected a number from 1 to 1024'],
    ['a RETA', 'device: { rssEntries: 100 }\n', 'expected one of 128, 256, 512, 1024, 2048'],
    [
      'an MTU',
      'ports: [{ name: a, mtu: 67 }]\n',
      'ports.0.mtu: expected a number from 68 to 65535',
    ],
    ['a group', "ports: [{ name: a, mac: '01:00:5e:00:00:01' }]\n", "expected one station's MAC"],
    ['lo', 'ports: [{ name: lo }]\n', 'x.yaml:1: ports.0.name: this name is taken'],
    [
      'two ports of one name',
      'ports:\n  - { name: a }\n  - { name: a }\n',
      "x.yaml:3: ports.1.name: a second port 'a'",
    ],
    ['broken YAML', 'name: [1, 2\nseed: 1\n', 'not valid YAML'],
    ['no mapping', '- 1\n', 'x.yaml:1: expected a mapping of keys, found a list'],
    ['nothing', '', 'x.yaml:1: expected a mapping of keys, found nothing'],
  ])('names %s', (_what, text, expected) => {
    const message = errorOf(text);
    expect(message).toContain(expected);
    expect(message).not.toContain('\n');
  });
});

describe('what the device of a scenario cannot have', () => {
  /** The complaint, or 'fits'. */
  function complaint(device: string, name: string, more = ''): string {
    const text = `name: x\ndevice:\n  ${device}\n${more}`;
    const fault = deviceFault(loadScenario(text, 'x.yaml'), loadDevice(name));
    if (fault === null) return 'fits';
    return scenarioErrorAt(text, 'x.yaml', fault.path, fault.message).message;
  }

  it.each([
    ['generic-nic', 64, 4096, [10, 63, 100, 4104, 8192]],
    ['intel-e810', 64, 8160, [100, 8192]],
    ['mellanox-cx5', 64, 8192, [1000, 32]],
  ])('%s has rings of %d to %d descriptors', (name, least, most, bad) => {
    for (const slots of [least, most]) expect(complaint(`ringSlots: ${slots}`, name)).toBe('fits');
    for (const slots of bad)
      expect(complaint(`ringSlots: ${slots}`, name)).toMatch(
        new RegExp(`^x.yaml:3: device.ringSlots: expected ${least} to ${most}, .*${name}$`),
      );
  });

  it('names tables that no hash has, long MTUs, and more than memory holds', () => {
    expect(complaint('flowEntries: 64Ki', 'generic-nic')).toBe('fits');
    expect(complaint('flowEntries: 1000', 'generic-nic')).toBe(
      'x.yaml:3: device.flowEntries: expected 4 times a power of two with the device generic-nic',
    );
    const ports = 'ports:\n  - { name: p0, mtu: 16000 }\n';
    expect(complaint('queues: 4', 'generic-nic', ports)).toBe('fits');
    expect(complaint('queues: 4', 'intel-82599', ports)).toBe(
      'x.yaml:5: ports.0.mtu: expected at most 15850 with the device intel-82599',
    );
    expect(complaint('ringSlots: 8160', 'intel-e810', 'host: { cores: 62 }\n')).toMatch(
      /^x.yaml:3: device.ringSlots: expected at most 2114, as memory goes,/,
    );
  });
});
