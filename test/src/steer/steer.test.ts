// `flowtwin steer`: published hashes, mechanisms in the device's order, the spread against counting by hand, remedies that hold when
// they are applied, and bad input.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Rss } from '../../../hw/table/rss.ts';
import { SkewMeter } from '../../../src/steer/skew.ts';
import { naiveToeplitz } from '../../reference/naive-toeplitz.ts';

const ROOT = join(import.meta.dirname, '../../..');
const CLI = join(ROOT, 'dist/bundle/node/cli.js');

function run(...args: string[]): { stdout: string; stderr: string; status: number | null } {
  const { stdout, stderr, status } = spawnSync(process.execPath, [CLI, 'steer', ...args], {
    encoding: 'utf8',
    cwd: ROOT,
    maxBuffer: 1 << 26,
  });
  return { stdout, stderr, status };
}

function scenario(...commands: string[]): string {
  const file = join(mkdtempSync(join(tmpdir(), 'steer-')), 'steer.yaml');
  const lines = commands.map((line) => `      ${line}`).join('\n');
  writeFileSync(
    file,
    `host: { cores: 8 }\nports:\n  - { name: p0 }\n  - { name: p1 }\nrun:\n  - commands: |\n${lines}\n`,
  );
  return file;
}

describe('flowtwin steer --flow', () => {
  it('gives the published hashes, entries and queues', () => {
    const { stdout, status } = run(
      '--queues',
      '8',
      '--flow',
      'tcp 66.9.149.187:2794 > 161.142.100.80:1766',
      '--flow',
      'tcp [3ffe:2501:200:1fff::7]:2794 > [3ffe:2501:200:3::1]:1766',
      '--flow',
      'udp 66.9.149.187:2794 > 161.142.100.80:1766',
      '--flow',
      'tcp 66.9.149.187:2794 > 161.142.100.80:1766 frag',
    );
    expect(status).toBe(0);
    expect(stdout).toContain('hash 0x51ccc178 (Toeplitz, ipv4-tcp), entry 120 of 128');
    expect(stdout).toContain('hash 0x40207d3d (Toeplitz, ipv6-tcp), entry 61 of 128');
    // Without ports: UDP by default, and fragments.
    expect(stdout.match(/hash 0x323e8fc2 \(Toeplitz, ipv4\), entry 66 of 128/g)).toHaveLength(2);
    expect(stdout).toContain('port p0: queue 0 by rss'); // 120 % 8
  });

  it('says who decides and who else would have matched', () => {
    const file = scenario(
      'ethtool -K p0 ntuple on',
      'ethtool -N p0 flow-type tcp4 dst-port 80 action 5 loc 9',
      'ethtool -N p0 flow-type tcp4 dst-port 81 action -1 loc 10',
    );
    const flows = ['80 syn', '81', '80 frag'].map((to) => `tcp 10.0.0.1:1 > 10.0.0.2:${to}`);
    const all = flows.flatMap((flow) => ['--flow', flow]);
    const [first, second, third] = run(file, '--explain', ...all).stdout.split(/^(?=tcp)/m);
    expect(first).toContain('decides: queue 5 by flow-director 9\n');
    expect(first).toMatch(/would also have matched: queue [0-7] by rss\n/);
    expect(second).toContain('port p0: dropped by flow-director 10');
    expect(third).toContain('by rss');
    const json = JSON.parse(run(file, '--json', '--flow', flows[0]).stdout) as {
      matches: unknown[];
    };
    expect(json.matches[0]).toEqual({ mechanism: 'flow-director', filter: 9, queue: 5 });
  });

  it('follows a context of a rule, and a key given on the command line', () => {
    const file = scenario(
      'ethtool -K p0 ntuple on',
      'ethtool -X p0 context new start 6 equal 1',
      'ethtool -N p0 flow-type tcp4 dst-port 80 context 1',
    );
    expect(run(file, '--flow', 'tcp 10.0.0.1:1 > 10.0.0.2:80').stdout).toContain(
      'queue 6 by rss-context',
    );
    const key = '6d5a'.repeat(20);
    const both = run(
      '--key',
      key,
      '--flow',
      'tcp 1.2.3.4:5 > 6.7.8.9:10',
      '--flow',
      'tcp 6.7.8.9:10 > 1.2.3.4:5',
    );
    const hashes = [...both.stdout.matchAll(/hash (0x[0-9a-f]+)/g)].map((match) => match[1]);
    expect(hashes[0]).toBe(hashes[1]);
    const bytes = Uint8Array.from(key.match(/../g) ?? [], (pair) => parseInt(pair, 16));
    const input = [1, 2, 3, 4, 6, 7, 8, 9, 0, 5, 0, 10];
    expect(Number(hashes[0])).toBe(naiveToeplitz(bytes, input));
  });

  it('asks the device that the scenario names', () => {
    const file = join(mkdtempSync(join(tmpdir(), 'steer-')), 'profile.yaml');
    const flow = ['--flow', 'tcp 66.9.149.187:2794 > 161.142.100.80:1766'];
    // Entries of hash 0x51ccc178 in tables of 128, 256 and 2048 (hw 2.1: 120, 376 in the largest).
    for (const [name, entry] of [
      ['intel-82599', '120 of 128'],
      ['mellanox-cx5', '120 of 256'],
      ['intel-e810', '376 of 2048'],
    ]) {
      writeFileSync(file, `device: { profile: ${name} }\nhost: { cores: 40 }\n`);
      expect(run(file, ...flow).stdout).toContain(
        `hash 0x51ccc178 (Toeplitz, ipv4-tcp), entry ${entry}`,
      );
    }
    // 40 queues, of which an 82599's entries name 16: weights are for those, and ethtool takes them.
    writeFileSync(file, 'device: { profile: intel-82599 }\nhost: { cores: 40 }\n');
    const capture = new URL('../../../fixtures/pcap/default.pcap', import.meta.url).pathname;
    const { queues, weights } = spread(file, '--in', capture);
    expect(queues).toHaveLength(40);
    expect(weights?.weights).toHaveLength(16);
    const command = `ethtool -X p0 weight ${weights?.weights.join(' ')}`;
    writeFileSync(
      file,
      `device: { profile: intel-82599 }\nhost: { cores: 40 }\nrun: [{ commands: ${command} }]\n`,
    );
    expect(spread(file, '--in', capture).weights).toBeNull();
  });

  it.each([
    [[], 'expected --flow TEXT or --in FILE, one of them'],
    [['--flow', 'tcp 1.2.3.4 > 5.6.7.8'], "--flow 'tcp 1.2.3.4 > 5.6.7.8': expected"],
    [['--flow', 'tcp 1.2.3.4:5 > [::1]:6'], 'expected two addresses of one family'],
    [['--flow', 'udp 1.2.3.4:7 > 1.2.3.4:6 syn'], "expected 'syn' (of tcp)"],
    [['--flow', 'ip 1.2.3.4 > 1.2.3.4', '--port', 'px'], "--port: no port 'px'"],
    [
      ['--flow', 'ip 1.2.3.4 > 1.2.3.4', '--key', '6d5a'],
      '--key: Key is too short for device (2 < 40)',
    ],
    [
      ['--flow', 'ip 1.2.3.4 > 1.2.3.4', '--queues', '99'],
      '--queues: netlink error: requested channel count',
    ],
    [['--in', '/nonexistent.pcap'], '/nonexistent.pcap: no such file or directory'],
    [['/nonexistent.yaml', '--flow', 'ip 1.2.3.4 > 1.2.3.4'], 'no such file or directory'],
  ])('bad input %j: one line, status 2', (args, message) => {
    const { stderr, status } = run(...args);
    expect(status).toBe(2);
    expect(stderr).toContain(message);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  });
});

interface Spread {
  packets: number;
  queues: { queue: number; packets: number }[];
  key: { key: string; busiestShare: number } | null;
  weights: { weights: number[]; busiestShare: number } | null;
}

function spread(...args: string[]): Spread {
  const lines = run(...args, '--json')
    .stdout.trim()
    .split('\n');
  return JSON.parse(lines[lines.length - 1]) as Spread;
}

describe('flowtwin steer --in', () => {
  const capture = join(ROOT, 'fixtures/pcap/tcp-many.pcap');

  it('counts as its own lines do, and its remedies hold when they are applied', () => {
    const lines = run('--in', capture, '--queues', '4', '--json').stdout.trim().split('\n');
    const summary = JSON.parse(lines.pop() ?? '') as Spread;
    const counts = [0, 0, 0, 0];
    for (const line of lines) {
      const { matches } = JSON.parse(line) as { matches: { queue: number }[] };
      counts[matches[0].queue]++;
    }
    expect(summary.queues.map((one) => one.packets)).toEqual(counts);
    expect(summary.packets).toBe(lines.length);
    const share = (of: Spread): number =>
      Math.max(...of.queues.map((one) => one.packets)) / of.packets;
    const keyed = spread('--in', capture, '--queues', '4', '--key', summary.key?.key ?? '');
    expect(share(keyed)).toBeCloseTo(summary.key?.busiestShare ?? 0, 10);
    expect(share(keyed)).toBeLessThan(share(summary));
    const weights = (summary.weights?.weights ?? []).join(' ');
    const file = scenario('ethtool -L p0 combined 4', `ethtool -X p0 weight ${weights}`);
    const weighted = spread(file, '--in', capture);
    expect(share(weighted)).toBeCloseTo(summary.weights?.busiestShare ?? 0, 10);
    // Another seed gives another key.
    expect(spread('--in', capture, '--queues', '4', '--seed', '5').key).not.toEqual(summary.key);
  });

  it('weights are the best contiguous shares there are', () => {
    const loads = fc.array(fc.nat(20), { minLength: 4, maxLength: 9 });
    fc.assert(
      fc.property(loads, fc.integer({ min: 2, max: 3 }), (entries, queues) => {
        const meter = new SkewMeter(queues, entries.length);
        entries.forEach((packets, entry) => {
          for (let i = 0; i < packets; i++) meter.count(0, 'rss', entry, new Uint32Array(32), 60);
        });
        const total = entries.reduce((sum, one) => sum + one, 0);
        const found = meter.findWeights();
        if (total === 0) return expect(found).toBeNull();
        expect(found?.weights.reduce((sum, one) => sum + one, 0)).toBe(entries.length);
        expect(found?.weights).toHaveLength(queues);
        // Every way to cut the table into runs.
        let least = total;
        const cut = (at: number, left: number, most: number): void => {
          if (left === 1) {
            const rest = entries.slice(at).reduce((sum, one) => sum + one, 0);
            least = Math.min(least, Math.max(most, rest));
            return;
          }
          let load = 0;
          for (let end = at; end <= entries.length; end++) {
            cut(end, left - 1, Math.max(most, load));
            load += entries[end] ?? 0;
          }
        };
        cut(0, queues, 0);
        expect((found?.busiestShare ?? 0) * total).toBeCloseTo(least, 6);
        // Only what is better than a table at hand, and only queues that an entry can name.
        const spread = Uint8Array.from(entries, (_, entry) => entry % queues);
        const loads = spread.reduce((all, queue, entry) => {
          all[queue] += entries[entry];
          return all;
        }, new Array<number>(queues).fill(0));
        const gain = meter.findWeights(queues, spread);
        expect(gain !== null).toBe(least < Math.max(...loads));
        expect(meter.findWeights(1)).toBeNull();
        if (queues === 3) expect(meter.findWeights(2)?.weights).toHaveLength(2);
      }),
      { seed: 17, numRuns: 200 },
    );
  });

  it('a device without hashing spreads nothing', () => {
    const meter = new SkewMeter(2, 128);
    expect(meter.imbalance).toBe(1);
    expect(meter.findWeights()).toBeNull();
    expect(meter.findKey(new Rss().config, new Rss(), 1)).toBeNull();
  });
});
