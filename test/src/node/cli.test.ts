// The program as a user runs it: built output in child processes. Replay of every shipped capture, outputs, explanations, the
// shell, and bad input: one line, exit status 2.

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fatesAddUp } from '../../../src/report/run-report.ts';
import type { RunReport } from '../../../src/report/run-report.ts';
import { CaptureReader, CaptureRecord } from '../../../src/capture/index.ts';

const ROOT = new URL('../../..', import.meta.url).pathname;
const CLI = join(ROOT, 'dist/bundle/node/cli.js');
const PCAP = join(ROOT, 'fixtures/pcap');

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'flowtwin-test-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Result {
  status: number | null;
  stdout: string;
  stderr: string;
}

function run(args: string[], input?: string | Uint8Array): Result {
  const result = spawnSync(process.execPath, [CLI, ...args], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    cwd: ROOT,
    ...(input === undefined ? {} : { input }),
  });
  return { status: result.status, stdout: result.stdout, stderr: result.stderr };
}

function report(args: string[], input?: Uint8Array): RunReport {
  const { status, stdout, stderr } = run(['replay', ...args, '--json', '-'], input);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return JSON.parse(stdout) as RunReport;
}

function packetsIn(file: string): number {
  const bytes = readFileSync(file);
  const reader = new CaptureReader(file);
  reader.feed(file.endsWith('.gz') ? gunzipSync(bytes) : bytes);
  const record = new CaptureRecord();
  let count = 0;
  while (reader.next(record)) count++;
  return count;
}

const CAPTURES = readdirSync(PCAP).filter((name) => /\.(pcap|pcapng)(\.gz)?$/.test(name));

describe('replay', () => {
  it('replays the default scenario and prints a summary that adds up', () => {
    const { status, stdout } = run(['replay']);
    expect(status).toBe(0);
    expect(stdout).toContain('adds up to what came in');
    expect(stdout).toMatch(/forwarded in hardware +[1-9]/);
    expect(stdout).toMatch(/digest +[0-9a-f]{16}\n$/);
  });

  it.each(CAPTURES)('%s: every packet has one fate', (name) => {
    const file = join(PCAP, name);
    const found = report([file]);
    expect(found.in.packets).toBe(packetsIn(file));
    expect(fatesAddUp(found)).toBe(true);
    expect(found.fates.inFlight).toBe(0);
    const ports = found.ports.reduce((sum, port) => sum + port.rx.packets, 0);
    expect(ports).toBe(found.in.packets);
    const { hardware, fastPath, classicPath } = found.fates;
    const out = found.ports.reduce((sum, port) => sum + port.tx.packets, 0);
    expect(out).toBe(
      hardware.packets +
        fastPath.packets +
        classicPath.packets +
        found.extraFrames +
        found.hostFrames,
    );
  });

  it('gives the same digest again, and another one for other traffic', () => {
    const file = join(PCAP, 'default.pcap');
    const first = report([file]).digest;
    expect(report([file]).digest).toBe(first);
    expect(report([file, '--limit', '5000']).digest).not.toBe(first);
    expect(report([file, '--speed', '2x']).digest).not.toBe(first);
  });

  it('reads standard input, loops, limits and splits', () => {
    const bytes = readFileSync(join(PCAP, 'udp.pcap'));
    const count = packetsIn(join(PCAP, 'udp.pcap'));
    expect(report(['-'], bytes).in.packets).toBe(count);
    expect(report([join(PCAP, 'udp.pcap'), '--loop', '3']).in.packets).toBe(3 * count);
    expect(report([join(PCAP, 'udp.pcap'), '--limit', '7']).in.packets).toBe(7);
    const none = report([join(PCAP, 'udp.pcap'), '--split', 'none']);
    expect(none.ports[1].rx.packets).toBe(0);
    const each = ['p0', 'p1'].flatMap((port) => ['--in', `${port}=${join(PCAP, 'udp.pcap')}`]);
    expect(report(each).ports.map((port) => port.rx.packets)).toEqual([count, count]);
  });

  it('plays on a machine with one port, and nothing at all', () => {
    const one = join(folder, 'one.yaml');
    writeFileSync(one, 'ports: [{ name: p0 }]\n');
    const found = report([one, '--in', `p0=${join(PCAP, 'udp.pcap')}`]);
    expect(fatesAddUp(found)).toBe(true);
    expect(report([one, '--in', `p0=${join(PCAP, 'udp.pcap')}`, '--limit', '0'])).toMatchObject({
      in: { packets: 0 },
      utilisation: { pcieToHost: 0, cores: [0, 0] },
    });
  });

  it.each([['--speed', '10x'], ['--pps', '100k'], ['--bps', '1G'], ['--back-to-back']])(
    'paces by %s %s',
    (...pace) => {
      const found = report([join(PCAP, 'default.pcap'), ...pace]);
      expect(fatesAddUp(found)).toBe(true);
      expect(found.in.packets).toBe(5172);
    },
  );

  it('shows what commands printed, under their times', () => {
    const scenario = join(folder, 'commands.yaml');
    writeFileSync(
      scenario,
      `traffic: { captures: [ { file: ${join(PCAP, 'udp.pcap')} } ], learn: true }\n` +
        'run:\n  - commands: sysctl -q -w net.ipv4.ip_forward=1\n' +
        '  - { at: 1s, commands: sysctl net.ipv4.ip_forward }\n',
    );
    expect(run(['replay', scenario]).stdout).toContain(
      '[1.00 s] sysctl net.ipv4.ip_forward\nnet.ipv4.ip_forward = 1\n',
    );
    const [entry, ...others] = report([scenario]).commands;
    expect(others).toEqual([]);
    expect(entry).toMatchObject({ stdout: 'net.ipv4.ip_forward = 1\n', stderr: '' });
  });

  it('writes what left each port, what went to the host, and a trace of each packet', () => {
    const out = join(folder, 'out');
    const trace = join(folder, 'trace.ndjson');
    const found = report([join(PCAP, 'default.pcap'), '--out', out, '--trace', trace]);
    found.ports.forEach((port) => {
      expect(packetsIn(join(out, `${port.name}.pcapng`))).toBe(port.tx.packets);
    });
    // Each flow went into hardware, and each FIN or RST that hardware let go came to `flow add` in vain.
    expect(found.offload?.added).toBe(found.offload?.installed);
    expect(found.offload?.notAdded['tcp-fin-rst']).toBe(found.toHost['tcp-flags']);
    const toHost = Object.values(found.toHost).reduce((sum, count) => sum + count, 0);
    expect(packetsIn(join(out, 'host.pcapng'))).toBe(toHost);
    const records = readFileSync(trace, 'utf8').trim().split('\n');
    expect(records.length).toBe(found.in.packets);
    const fates = new Map<string, number>();
    for (const line of records) {
      const record = JSON.parse(line) as { fate: string; schema: string; steps: unknown[] };
      expect(record.schema).toBe('flowtwin-trace/1');
      expect(record.steps.length).toBeGreaterThan(0);
      fates.set(record.fate, (fates.get(record.fate) ?? 0) + 1);
    }
    expect(fates.get('hardware')).toBe(found.fates.hardware.packets);
    expect(fates.get('classic-path')).toBe(found.fates.classicPath.packets);
    const classic = run(['replay', '--out', out, '--format', 'pcap', '--limit', '100']);
    expect(classic.status).toBe(0);
    expect(packetsIn(join(out, 'p0.pcap'))).toBeGreaterThan(0);
  });
});

describe('why', () => {
  it('explains a packet that stayed in hardware and one that did not', () => {
    const trace = join(folder, 'why.ndjson');
    run(['replay', '--trace', trace]);
    const records = readFileSync(trace, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { packet: number; fate: string });
    const hardware = records.find((record) => record.fate === 'hardware')?.packet ?? 0;
    const kept = run(['why', '--packet', String(hardware)]).stdout;
    expect(kept).toContain('fate: forwarded in hardware');
    expect(kept).toContain('why: an entry of the flow table matched');
    const syn = run(['why', join(PCAP, 'tcp-many.pcap'), '--packet', '1']).stdout;
    expect(syn).toContain('flow-lookup handle=-1 miss=no-entry');
    expect(syn).toMatch(/to stay in hardware: an entry .*; here: the connection was not yet/);
  });
});

describe('shell', () => {
  it('runs a batch and ends with the status of the first failure', () => {
    const good = run(['shell', '-c', 'ip -br link; step 100ms; conntrack -L; time']);
    expect(good.status).toBe(0);
    expect(good.stdout).toContain('p0               UP');
    expect(good.stderr).toContain('flow entries have been shown');
    const bad = run(['shell', '-c', 'ip link show dev nosuch; time']);
    expect(bad.status).toBe(1);
    expect(bad.stderr).toContain('Device "nosuch" does not exist.');
    const piped = run(['shell'], 'time\nno-such-command\ntime\n');
    expect(piped.status).toBe(127);
    expect(piped.stderr).toBe('no-such-command: command not found\n');
  });

  it('finds files in the working directory, else beside the scenario', () => {
    writeFileSync(join(folder, 'here.nft'), 'add table ip here\n');
    const { stdout, stderr } = spawnSync(
      process.execPath,
      [CLI, 'shell', '-c', 'nft -f here.nft; nft -f router.nft; nft list tables'],
      { cwd: folder, encoding: 'utf8' },
    );
    expect(stderr).toBe('');
    expect(stdout).toContain('table ip here\n');
  });

  it('names a value that the device cannot have, with its line', () => {
    const file = join(folder, 'rings.yaml');
    writeFileSync(file, 'name: x\ndevice:\n  ringSlots: 100\n');
    const { status, stderr } = run(['replay', file]);
    expect(status).toBe(2);
    expect(stderr).toMatch(
      /rings.yaml:3: device.ringSlots: expected 64 to 4096, a multiple of 8, with the device generic-nic\n$/,
    );
  });

  it('plays the traffic and prints the summary', () => {
    const { stdout, status } = run(['shell'], 'step 1s\nethtool -S p0\nrun\n');
    expect(status).toBe(0);
    expect(stdout).toContain('NIC statistics:\n     rx_packets: ');
    expect(stdout).toContain('adds up to what came in');
  });
});

describe('recording', () => {
  it('plays what is shipped, without difference', () => {
    const shipped = run(['recording']);
    expect(shipped.stdout).not.toMatch(/ [1-9]\d* differences/);
    expect(shipped.stdout.match(/ 0 differences in /g)?.length).toBeGreaterThan(15);
    expect(shipped.status).toBe(0);
  }, 120_000);

  it('prints differences and exits with 0, 1 or 2', () => {
    const file = join(ROOT, 'fixtures/recordings/flowtable/fast-plain.json');
    const same = run(['recording', file]);
    expect(same.status).toBe(0);
    expect(same.stdout).toContain('0 differences in 60 steps');
    const changed = join(folder, 'changed.json');
    writeFileSync(
      changed,
      readFileSync(file, 'utf8').replace('dport=80 packets=2', 'dport=99 packets=2'),
    );
    const different = run(['recording', '--json', changed]);
    expect(different.status).toBe(1);
    const json = JSON.parse(different.stdout) as { differences: { what: string }[] };
    expect(json.differences[0].what).toBe('ct');
    expect(run(['recording', join(folder, 'nosuch.json')]).status).toBe(2);
  });
});

describe('bad input: one line that names file and place, exit status 2', () => {
  const scenario = (text: string): string => {
    const file = join(folder, 'bad.yaml');
    writeFileSync(file, text);
    return file;
  };
  const pcap = (bytes: Uint8Array): string => {
    const file = join(folder, 'bad.pcap');
    writeFileSync(file, bytes);
    return file;
  };
  const good = readFileSync(join(PCAP, 'udp.pcap'));

  it.each<[string, () => string[], RegExp]>([
    ['a missing file', () => ['replay', 'nosuch.pcap'], /nosuch\.pcap: no such file/],
    ['a misspelt key', () => ['replay', scenario('nam: x\n')], /bad\.yaml:1: nam: unknown key/],
    ['a wrong type', () => ['replay', scenario('seed: x\n')], /bad\.yaml:1: seed: /],
    [
      'a rule that does not parse',
      () => [
        'replay',
        scenario('run: [{ commands: "nft add rule" }]\ntraffic: { captures: [{ file: x }] }\n'),
      ],
      /bad\.yaml: run\[0\]: 'nft add rule' failed: /,
    ],
    ['no captures', () => ['replay', scenario('name: x\n')], /bad\.yaml: no captures/],
    [
      'a port that does not exist',
      () => ['replay', '--in', 'p9=x.pcap'],
      /no port 'p9'; expected one of p0, p1/,
    ],
    [
      'a capture and --in',
      () => ['replay', join(PCAP, 'udp.pcap'), '--in', 'p0=x.pcap'],
      /expected a scenario or --in PORT=FILE/,
    ],
    [
      'standard input twice',
      () => ['replay', '--in', 'p0=-', '--in', 'p1=-'],
      /standard input can be read only once/,
    ],
    ['a bad --in', () => ['replay', '--in', 'p0'], /--in: expected PORT=FILE, found 'p0'/],
    ['a bad pace', () => ['replay', '--pps', 'fast'], /--pps: expected a whole number/],
    ['two paces', () => ['replay', '--pps', '5', '--bps', '5'], /expected one of --speed/],
    ['a bad split', () => ['replay', '--split', 'up'], /--split: expected client-server/],
    ['a bad format', () => ['replay', '--format', 'x'], /--format: expected pcapng or pcap/],
    ['an unknown option', () => ['replay', '--nosuch'], /unknown option '--nosuch'/],
    ['an unknown command', () => ['frobnicate'], /unknown command 'frobnicate'/],
    ['a bad magic', () => ['replay', pcap(Uint8Array.of(1, 2, 3, 4, 5, 6))], /bad\.pcap.*magic/],
    ['an empty capture', () => ['replay', pcap(new Uint8Array(0))], /bad\.pcap/],
    ['a packet that is not there', () => ['why', '--packet', '99999'], /expected 1 to 5172/],
    ['no packet number', () => ['why', '--packet', 'x'], /--packet: expected a number from 1/],
    [
      'a capture cut short',
      () => ['replay', pcap(good.subarray(0, 1000))],
      /bad\.pcap: packet \d+ at offset \d+/,
    ],
  ])('%s', (_what, args, expected) => {
    const { status, stderr } = run(args());
    expect(stderr).toMatch(expected);
    expect(stderr.trimEnd().split('\n').length).toBe(1);
    expect(status).toBe(2);
  });

  it('processes and reports what came before a fault in a gzip', () => {
    const whole = readFileSync(join(PCAP, 'mixed.pcap.gz'));
    const file = join(folder, 'cut.pcap.gz');
    writeFileSync(file, whole.subarray(0, whole.length >> 1));
    const { status, stdout, stderr } = run(['replay', file, '--json', '-']);
    expect({ status, lines: stderr.trimEnd().split('\n').length }).toEqual({ status: 2, lines: 1 });
    expect((JSON.parse(stdout) as RunReport).in.packets).toBeGreaterThan(10);
  });

  it('writes a trace to a reader that stops early, and a whole one to a pipe', () => {
    const file = join(PCAP, 'default.pcap');
    const pipe = (tail: string): Result => {
      const command = `node ${CLI} replay --trace - ${file} | ${tail}; exit \${PIPESTATUS[0]}`;
      const result = spawnSync('bash', ['-c', command], { encoding: 'utf8', cwd: ROOT });
      return { status: result.status, stdout: result.stdout, stderr: result.stderr };
    };
    expect(pipe('head -c 300')).toMatchObject({ status: 0, stderr: '' });
    expect(pipe('wc -l')).toMatchObject({ status: 0, stdout: '5172\n', stderr: '' });
  });

  it('processes and reports what came before the fault', () => {
    const { status, stdout } = run(['replay', pcap(good.subarray(0, 1000)), '--json', '-']);
    expect(status).toBe(2);
    const found = JSON.parse(stdout) as RunReport;
    expect(found.in.packets).toBeGreaterThan(0);
    expect(fatesAddUp(found)).toBe(true);
    expect(found.inputFaults.length).toBe(1);
  });
});

it('prints its version', () => {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    version: string;
  };
  expect(execFileSync(process.execPath, [CLI, '--version'], { encoding: 'utf8' })).toBe(
    `${version}\n`,
  );
});
