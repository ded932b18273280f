// `flowtwin convert` as a command: what goes to which stream, and the exit status.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { registerConvert } from '../../../src/node/commands/convert.ts';

const FOLDER = join(import.meta.dirname, '../../../fixtures/rules/dialects');
let folder = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'flowtwin-convert-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
  vi.restoreAllMocks();
  process.exitCode = undefined;
});

async function run(...args: string[]): Promise<{ out: string; err: string; status: number }> {
  const written = { out: '', err: '' };
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    written.out += String(text);
    return true;
  });
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    written.err += String(text);
    return true;
  });
  const program = new Command('flowtwin').exitOverride();
  registerConvert(program);
  let status = 0;
  try {
    await program.parseAsync(['convert', ...args], { from: 'user' });
  } catch (error) {
    const failed = error as Error & { exitCode?: number };
    written.err += `${failed.message}\n`;
    status = failed.exitCode ?? 70;
  }
  vi.restoreAllMocks();
  if (status === 0) status = Number(process.exitCode ?? 0);
  return { ...written, status };
}

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

describe('flowtwin convert', () => {
  it('prints rules and ends with 0', async () => {
    const { out, err, status } = await run('--to', 'testpmd', join(FOLDER, 'router.tc'));
    expect([err, status]).toEqual(['', 0]);
    expect(out.split('\n')[0]).toBe(
      'flow create 0 ingress priority 10 pattern eth / ipv4 dst spec 10.0.0.0 dst mask 255.0.0.0 ' +
        '/ tcp dst spec 80 dst last 90 / end actions port_id id 1 / end',
    );
  });

  it('names what the target cannot say and ends with 1', async () => {
    const path = join(FOLDER, 'steering.ethtool');
    const { out, err, status } = await run('--to', 'ovs', path);
    expect(status).toBe(1);
    expect(out.trim().split('\n')).toHaveLength(1);
    const lines = err.trim().split('\n');
    expect(lines[0]).toBe(
      `${path}:2:42: action queue cannot be said in the target dialect (dialect-action); ` +
        'needs another dialect, or the rule without the action',
    );
    expect(lines.at(-1)).toBe('flowtwin: 5 of 6 rules refused');
  });

  it('prints the rules before a malformed line and ends with 2', async () => {
    const path = file('bad', '@1.2.3.4/32 0.0.0.0/0 0 : 65535 0 : 65535 0x00/0x00\n@1.2.3\n');
    const { out, err, status } = await run('--to', 'tc', '--action', 'queue:3', path);
    expect(status).toBe(2);
    expect(out).toBe(
      'tc filter add dev p0 ingress protocol ip pref 1 flower src_ip 1.2.3.4 action skbedit queue_mapping 3\n',
    );
    expect(err).toMatch(/^.*bad:2:\d+: expected .*, found .*\n$/);
  });

  it('leaves actions out on request, for ClassBench', async () => {
    const path = file(
      'one',
      'filter add dev p0 protocol ip pref 5 flower src_ip 10.0.0.0/8 action drop\n',
    );
    const { out, status } = await run('--to', 'classbench', '--ignore-actions', path);
    expect([out, status]).toEqual([
      '@10.0.0.0/8\t0.0.0.0/0\t0 : 65535\t0 : 65535\t0x00/0x00\t0x0000/0x0000\n',
      0,
    ]);
  });

  it('prints neutral rules as JSON', async () => {
    const { out, status } = await run('--json', join(FOLDER, 'router.tc'));
    expect(status).toBe(0);
    const rules = JSON.parse(out) as { matches: unknown; actions: unknown; priority: number }[];
    expect(rules).toHaveLength(5);
    expect(rules[0]).toMatchObject({
      priority: 10,
      residence: 'hardware',
      matches: { ipv4_dst: { value: '10.0.0.0', mask: '255.0.0.0' }, dport: { low: 80, high: 90 } },
      actions: [{ kind: 'output', port: 'p1' }],
    });
    const page = readFileSync(join(import.meta.dirname, '../../../docs/rules.md'), 'utf8');
    for (const name of Object.keys(rules[0])) expect(page).toContain(`\`${name}\``);
  });

  it('ends with 2 for bad usage and files that are not there', async () => {
    expect(await run('--to', 'iptables', 'x')).toMatchObject({ status: 2 });
    expect(await run('x')).toMatchObject({ status: 2 });
    expect(await run('--to', 'tc', join(folder, 'none'))).toMatchObject({ status: 2 });
    expect(await run('--to', 'tc', '--action', 'fly', 'x')).toMatchObject({ status: 2 });
  });
});
