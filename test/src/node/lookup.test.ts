// `flowtwin lookup` as a user runs it, on built output: traces and captures, plain, packed and piped; other dialects; partial and
// malformed files.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';

const ROOT = new URL('../../..', import.meta.url).pathname;
const CLI = join(ROOT, 'dist/bundle/node/cli.js');
const RULES = join(ROOT, 'fixtures/rules');
const folder = mkdtempSync(join(tmpdir(), 'flowtwin-lookup-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function run(args: string[], input?: string | Uint8Array): [number | null, string, string] {
  const result = spawnSync(process.execPath, [CLI, 'lookup', ...args], {
    encoding: 'utf8',
    ...(input === undefined ? {} : { input }),
  });
  return [result.status, result.stdout, result.stderr];
}

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const two = file(
  'two.rules',
  '# any UDP, then any TCP to port 80\n' +
    '@0.0.0.0/0\t0.0.0.0/0\t0 : 65535\t0 : 65535\t0x11/0xFF\n' +
    '@0.0.0.0/0\t0.0.0.0/0\t0 : 65535\t80 : 80\t0x06/0xFF\n',
);

describe('flowtwin lookup', () => {
  it('prints one winner per header, the same from a packed file and a pipe', () => {
    const rules = join(RULES, 'acl1_1000.rules');
    const packed = join(RULES, 'acl1_1000.trace.gz');
    const trace = gunzipSync(readFileSync(packed));
    const [status, stdout, stderr] = run([rules, '--headers', packed]);
    expect([status, stderr]).toEqual([0, '']);
    const lines = stdout.trimEnd().split('\n');
    expect(lines.length).toBe(trace.toString().trimEnd().split('\n').length);
    expect(lines.every((line) => /^(-1|\d{1,3})$/.test(line))).toBe(true);
    expect(run([rules, '--headers', '-'], trace)).toEqual([0, stdout, '']);
  });

  it('answers for the packets of a capture, -1 for what is not IPv4', () => {
    const capture = join(ROOT, 'fixtures/pcap/udp.pcap');
    const [status, stdout] = run([two, '--headers', capture]);
    expect(status).toBe(0);
    const ipv6 = run([two, '--headers', join(ROOT, 'fixtures/pcap/ipv6.pcap')]);
    expect(ipv6[0]).toBe(0);
    expect(new Set(ipv6[1].trimEnd().split('\n'))).toEqual(new Set(['-1']));
    expect(stdout).toContain('0\n');
  });

  it('prints JSON with the line of the rule', () => {
    const [, stdout] = run([two, '--headers', '-', '--json'], '1 2 3 80 6\n1 2 3 81 6');
    expect(
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown),
    ).toEqual([
      { header: 1, rule: 1, line: 3 },
      { header: 2, rule: -1, line: null },
    ]);
  });

  it('takes rules of a dialect with priorities', () => {
    const head = 'tc filter add dev p0 ingress protocol ip';
    const tc = file(
      'rules.tc',
      `${head} pref 10 flower ip_proto tcp dst_port 80 action drop\n` +
        `${head} pref 5 flower dst_ip 10.0.0.0/8 ip_proto tcp action drop\n`,
    );
    const trace = '1 167772161 5 80 6\n1 2 5 80 6\n1 2 3 81 6\n';
    expect(run([tc, '--headers', '-'], trace)).toEqual([0, '1\n0\n-1\n', '']);
    const more = file('more.tc', `${head} pref 5 flower dst_mac 00:00:00:00:00:01 action drop\n`);
    const [status, stdout, stderr] = run([more, '--headers', '-'], trace);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toContain('more.tc:1:');
    expect(stderr).toContain('eth_dst');
  });

  it('refuses to answer from a part of the rules, unless asked to', () => {
    const broken = file('broken.rules', `${readFileSync(two, 'utf8')}@1.2.3.4/99\n`);
    const wanted = `flowtwin: ${broken}:4:10: expected a source prefix length from 0 to 32, found '99'`;
    const more = '; --partial answers from the 2 rules before it\n';
    expect(run([broken, '--headers', '-'], '1 2 3 80 6\n')).toEqual([2, '', wanted + more]);
    const [status, stdout, stderr] = run([broken, '--headers', '-', '--partial'], '1 2 3 80 6\n');
    expect([status, stdout, stderr]).toEqual([2, '1\n', `${wanted}\n`]);
  });

  it('answers up to a malformed header', () => {
    const [status, stdout, stderr] = run([two, '--headers', '-'], '1 2 3 4 17\n1 2 3\n');
    expect([status, stdout]).toEqual([2, '0\n']);
    expect(stderr).toBe(
      'flowtwin: (standard input):2:6: expected a blank and the destination port, found the end of the line\n',
    );
  });

  it('tells bad usage in one line', () => {
    expect(run(['-', '--headers', '-'])[0]).toBe(2);
    expect(run([two, '--headers', '-', '--format', 'xml'])[2]).toMatch(
      /^flowtwin: --format: .*\n$/,
    );
    expect(run([join(folder, 'none'), '--headers', '-'])[2]).toMatch(
      /no such file or directory\n$/,
    );
    expect(run([two])[0]).toBe(2);
  });
});
