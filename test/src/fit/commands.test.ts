// The commands devices, fit and validate as a user runs them: output, exit status, bad input.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { registerDevices } from '../../../src/node/commands/devices.ts';
import { registerFit } from '../../../src/node/commands/fit.ts';
import { registerValidate } from '../../../src/node/commands/validate.ts';
import type { FitReport } from '../../../src/fit/fit.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'flowtwin-fit-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

async function run(...args: string[]): Promise<{ stdout: string; status: number }> {
  let stdout = '';
  const before = process.exitCode;
  process.exitCode = 0;
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    stdout += String(text);
    return true;
  });
  try {
    const program = new Command('flowtwin').exitOverride();
    registerDevices(program);
    registerFit(program);
    registerValidate(program);
    await program.parseAsync(['node', 'flowtwin', ...args]);
    return { stdout, status: Number(process.exitCode) };
  } finally {
    write.mockRestore();
    process.exitCode = before ?? 0;
  }
}

const RULES = `@10.0.0.0/8\t0.0.0.0/0\t0 : 65535\t80 : 80\t0x06/0xFF
@10.1.0.0/16\t0.0.0.0/0\t0 : 65535\t1024 : 65535\t0x06/0xFF
`;

describe('fit', () => {
  it('prints a report and ends with 0 when all fits, 1 when not', async () => {
    const rules = file('two.rules', RULES);
    const fits = await run('fit', rules, '--device', 'tofino1');
    expect(fits.status).toBe(0);
    expect(fits.stdout).toContain('on tofino1 (Intel (Barefoot) Tofino 1): fits');
    const small = await run('fit', rules, '--device', 'generic-nic', '--set', 'tcam.depth=6');
    expect(small.status).toBe(1);
    expect(small.stdout).toContain('tcam.depth=7 (then 2 rules)');
  });

  it('prints JSON, compares, explains', async () => {
    const rules = file('two.rules', RULES);
    const { stdout } = await run('fit', rules, '--device', 'intel-e810', '--json');
    const report = JSON.parse(stdout) as FitReport;
    expect(report).toMatchObject({ schema: 'flowtwin-fit/1', fits: true, rules: 2 });
    const compared = await run('fit', rules, '--compare', 'intel-e810,mellanox-cx5');
    expect(compared.status).toBe(1);
    expect(compared.stdout).toMatch(/mellanox-cx5 +no/);
    const explained = await run('fit', rules, '--device', 'intel-e810', '--explain', '1');
    expect(explained.stdout).toContain('dport 1024 to 65535: a range register or one entry');
    const grouped = await run('fit', rules, '--device', 'mellanox-cx5', '--group', '1', '--json');
    expect((JSON.parse(grouped.stdout) as FitReport).tables[1].rules).toBe(1);
  });

  it('tells bad input in one line, with exit status 2', async () => {
    const rules = file('two.rules', RULES);
    const bad = file('bad.rules', `${RULES}@10.0.0.0/40\t0.0.0.0/0\t0 : 1\t0 : 1\t0x06/0xFF\n`);
    const failing = [
      { args: [bad, '--device', 'tofino1'], message: /bad\.rules:3:11: expected/ },
      { args: [rules], message: /expected --device or --compare/ },
      { args: [rules, '--device', 'nosuch'], message: /no device 'nosuch'; there are broadcom/ },
      { args: [rules, '--device', 'tofino1', '--set', 'x'], message: /PATH=VALUE/ },
      { args: [rules, '--device', 'tofino1', '--explain', '2'], message: /a rule from 0 to 1/ },
      { args: [rules, '--device', 'tofino1', '--format', 'p4'], message: /--format: expected tc/ },
      { args: [rules, '--device', 'tofino1', '--group', 'x'], message: /--group: expected/ },
      { args: [join(folder, 'none'), '--device', 'tofino1'], message: /no such file/ },
    ];
    for (const { args, message } of failing)
      await expect(run('fit', ...args), args.join(' ')).rejects.toMatchObject({
        exitCode: 2,
        message: expect.stringMatching(message) as string,
      });
  });
});

describe('devices and validate', () => {
  it('lists devices, and every figure of one with source and status', async () => {
    const list = await run('devices');
    expect(list.stdout).toMatch(/^intel-e810 +nic +fdir, tcam +Intel E810/m);
    const one = await run('devices', 'intel-e810', '--set', 'tcam.depth=64');
    expect(one.stdout).toMatch(/^ {2}tcam\.depth +64 +rows +assumed +--set$/m);
    expect(one.stdout).toMatch(/tcam\.sliceBits +40 +bits +datasheet-or-driver +DPDK/);
    const json = await run('devices', 'tofino1', '--json');
    expect(JSON.parse(json.stdout)).toMatchObject({ name: 'tofino1', kind: 'switch' });
  });

  it('prints each published figure with model, error, basis and gate', async () => {
    const { stdout } = await run('validate');
    expect(stdout).toMatch(/^V1 .*57\.885 .*Gb\/s.*predicted +holds/m);
    expect(stdout).toMatch(/^V21 .*493 .*calibrated +holds/m);
    expect(stdout).toMatch(/memory, gates nothing/);
    expect(stdout).toMatch(/\d+ figures, \d+ gated \(\d+ predicted\): \d+ hold, \d+ outside/);
  });
});
