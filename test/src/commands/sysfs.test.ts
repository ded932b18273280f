// NAPI attributes and softirq limits as a user sets them: echo, cat, sysctl.

import { describe, expect, it } from 'vitest';
import { ShellSyntaxError, tokenize } from '../../../src/scenario/commands/command.ts';
import { Testbed } from '../../../src/scenario/testbed.ts';

function shell(): {
  run: (line: string) => { status: number; stdout: string; stderr: string };
  bed: Testbed;
} {
  const bed = new Testbed();
  const run = (line: string): { status: number; stdout: string; stderr: string } =>
    bed.runWords(tokenize(line)[0] ?? []);
  return { run, bed };
}

describe('echo and cat', () => {
  it('sets and shows the deferral of a device', () => {
    const { run, bed } = shell();
    expect(run('echo 20000 > /sys/class/net/p0/gro_flush_timeout').status).toBe(0);
    expect(run('echo 2 >/sys/class/net/p0/napi_defer_hard_irqs').status).toBe(0);
    expect(bed.devices[0].napiDeferral).toEqual({
      napiDeferHardIrqs: 2,
      groFlushTimeoutPs: 20_000_000,
    });
    expect(run('cat /sys/class/net/p0/gro_flush_timeout').stdout).toBe('20000\n');
    expect(run('cat /sys/class/net/p1/napi_defer_hard_irqs').stdout).toBe('0\n');
  });

  it('writes /proc/sys and refuses what is not there or makes no sense', () => {
    const { run, bed } = shell();
    expect(run('echo 64 > /proc/sys/net/core/netdev_budget').status).toBe(0);
    expect(bed.kernel.softirqLimits.budgetPackets).toBe(64);
    expect(run('cat /proc/sys/net/core/netdev_budget_usecs').stdout).toBe('2000\n');
    expect(run('echo x > /sys/class/net/p0/gro_flush_timeout')).toEqual({
      status: 1,
      stdout: '',
      stderr: 'sh: 1: echo: echo: I/O error\n',
    });
    expect(run('echo 1 > /sys/class/net/p9/gro_flush_timeout').status).toBe(2);
    expect(run('cat /nowhere').stderr).toBe('cat: /nowhere: No such file or directory\n');
    expect(run('echo hello world').stdout).toBe('hello world\n');
    expect(() => tokenize('nft list ruleset > x')).toThrow(ShellSyntaxError);
  });

  it('shows softnet_stat, one line a core', () => {
    const { run } = shell();
    const lines = run('cat /proc/net/softnet_stat').stdout.trim().split('\n');
    expect(lines).toHaveLength(2);
    for (const [core, line] of lines.entries()) {
      expect(line).toMatch(/^([0-9a-f]{8} ){14}[0-9a-f]{8}$/);
      expect(line.split(' ')[12]).toBe(core.toString(16).padStart(8, '0'));
    }
  });
});

describe('sysctl net.core', () => {
  it('has the limits with their defaults', () => {
    const { run, bed } = shell();
    expect(run('sysctl net.core.netdev_budget').stdout).toBe('net.core.netdev_budget = 300\n');
    expect(run('sysctl net.core.dev_weight').stdout).toBe('net.core.dev_weight = 64\n');
    expect(run('sysctl -w net.core.dev_weight=32').status).toBe(1);
    expect(run('sysctl -w net.core.netdev_budget_usecs=500').status).toBe(0);
    expect(run('sysctl -w net.core.busy_read=50').status).toBe(0);
    expect(bed.kernel.softirqLimits.budgetPs).toBe(500e6);
    expect(bed.kernel.busyReadUs).toBe(50);
  });
});
