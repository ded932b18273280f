// Steering by commands of a scenario: the burst of docs/steer.md, sysfs files, and a machine that stays sound while its device is
// reconfigured under traffic.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { tokenize } from '../../../src/scenario/commands/command.ts';
import { loadScenario } from '../../../src/scenario/load.ts';
import { Testbed } from '../../../src/scenario/testbed.ts';
import { CaptureReader } from '../../../src/capture/index.ts';
import { ReplayRun } from '../../../src/scenario/replay-run.ts';
import { CaptureRecord } from '../../../src/capture/record.ts';

const fixture = (name: string): URL => new URL(`../../../fixtures/${name}`, import.meta.url);

/** Packets that had no descriptor when a burst scenario is played. */
function dropsOf(name: string): { noDescriptor: number; shown: string } {
  const scenario = loadScenario(readFileSync(fixture(`scenarios/${name}`), 'utf8'), name);
  const run = new ReplayRun(scenario, {
    pace: { kind: 'speed', factor: scenario.traffic.speed },
    seed: 1,
    scenarioFile: name,
    readText: () => null,
  });
  const reader = new CaptureReader('tcp-bulk.pcap');
  reader.feed(readFileSync(fixture('pcap/tcp-bulk.pcap')));
  const record = new CaptureRecord();
  let first = -1;
  while (reader.next(record)) {
    const ps = record.seconds * 1e12 + record.fractionPs;
    if (first < 0) first = ps;
    run.offer(record, ps - first, -1, -1);
  }
  run.finish();
  const stats = run.commandOutput.find(({ command }) => command === 'ethtool -S p1');
  const shown = /rx_no_dma_resources: [0-9]+/.exec(stats?.stdout ?? '')?.[0] ?? '';
  return { noDescriptor: run.testbed.nic.ctx.stats[1].rxDrops[3], shown };
}

describe('rings by hand', () => {
  it('256 descriptors drop in a burst that 1024 hold', () => {
    const small = dropsOf('burst-256.yaml');
    expect(small.noDescriptor).toBeGreaterThan(0);
    expect(small.shown).toBe(`rx_no_dma_resources: ${small.noDescriptor}`);
    expect(dropsOf('burst-1024.yaml')).toEqual({
      noDescriptor: 0,
      shown: 'rx_no_dma_resources: 0',
    });
  });
});

describe('sysfs', () => {
  const bed = new Testbed({ cores: 8 });
  const run = (line: string): string => {
    const { stdout, stderr, status } = bed.runWords(tokenize(line)[0]);
    return `${stdout}${stderr}${status === 0 ? '' : `[${status}]`}`;
  };
  const rx = '/sys/class/net/p0/queues/rx-1';
  const tx = '/sys/class/net/p0/queues/tx-2';

  it('sets and shows RPS, RFS and XPS', () => {
    expect(run(`cat ${rx}/rps_cpus ${rx}/rps_flow_cnt ${tx}/xps_cpus`)).toBe('00\n0\n00\n');
    expect(run(`echo 3c > ${rx}/rps_cpus`)).toBe('');
    expect(run(`echo 100 > ${rx}/rps_flow_cnt`)).toBe('');
    expect(run(`echo 00000004 > ${tx}/xps_cpus`)).toBe('');
    expect(run(`cat ${rx}/rps_cpus ${rx}/rps_flow_cnt ${tx}/xps_cpus`)).toBe('3c\n128\n04\n');
    expect(bed.kernel.receiveSteering.cpusOf(bed.devices[0], 1)).toEqual([2, 3, 4, 5]);
    expect(run('echo 1000 > /proc/sys/net/core/rps_sock_flow_entries')).toBe('');
    expect(bed.kernel.receiveSteering.sockFlowEntries).toBe(1024);
    expect(run('sysctl -n net.core.rps_sock_flow_entries')).toBe('1024\n');
    expect(run('echo hello world')).toBe('hello world\n');
  });

  it.each([
    [`echo 1ff > ${rx}/rps_cpus`, 'sh: 1: echo: echo: I/O error\n[1]'],
    [`echo x > ${rx}/rps_cpus`, 'sh: 1: echo: echo: I/O error\n[1]'],
    [`echo -1 > ${rx}/rps_flow_cnt`, 'sh: 1: echo: echo: I/O error\n[1]'],
    ['echo 1 > /sys/class/net/p0/queues/rx-8/rps_cpus', 'sh: 1: cannot create'],
    ['echo 1 > /sys/class/net/px/queues/rx-0/rps_cpus', 'sh: 1: cannot create'],
    ['cat /etc/passwd', 'cat: /etc/passwd: No such file or directory\n[1]'],
  ])('%s', (line, said) => {
    expect(run(line)).toContain(said);
  });
});
