// netdevsim through its files and ethtool: what its selftests in the Linux tree (tools/testing/selftests/drivers/net/netdevsim) ask of it.

import { beforeEach, describe, expect, it } from 'vitest';
import type { CommandResult } from '../../src/scenario/commands/command.ts';
import { tokenize } from '../../src/scenario/commands/command.ts';
import { Testbed } from '../../src/scenario/testbed.ts';

let testbed: Testbed;

function sh(line: string): CommandResult {
  return testbed.runWords(tokenize(line)[0]);
}

function out(line: string): string {
  const { stdout, stderr } = sh(line);
  return stdout + stderr;
}

beforeEach(() => {
  testbed = new Testbed({ ports: [] });
  expect(sh("echo '7 2 4' > /sys/bus/netdevsim/new_device").status).toBe(0);
});

describe('netdevsim', () => {
  it('makes and deletes devices', () => {
    expect(out('ip -br link')).toMatch(/eth0 .*\neth1 /);
    expect(sh("echo '7 1' > /sys/bus/netdevsim/new_device").status).toBe(1);
    expect(sh('echo x > /sys/bus/netdevsim/new_device').status).toBe(1);
    sh('ip addr add 192.0.2.1/24 dev eth0');
    sh('ip link set eth0 up');
    expect(out('ip route')).toContain('192.0.2.0/24 dev eth0');
    expect(sh('echo 7 > /sys/bus/netdevsim/del_device').status).toBe(0);
    expect(out('ip -br link')).not.toContain('eth0');
    expect(out('ip route')).toBe('');
    expect(out('ip addr show')).not.toContain('192.0.2.1');
    expect(sh('echo 7 > /sys/bus/netdevsim/del_device').status).toBe(1);
  });

  // ethtool-fec.sh: what is configured, and which one that makes active.
  it.each([
    ['encoding auto', 'Auto', 'None'],
    ['encoding off', 'None', 'None'],
    ['encoding rs', 'RS', 'RS'],
    ['encoding rs llrs', 'RS LLRS', 'LLRS'],
    ['encoding rs auto', 'Auto RS', 'RS'],
    ['encoding baser', 'BASER', 'BASER'],
  ])('--set-fec %s', (words, configured, active) => {
    expect(out(`ethtool --set-fec eth0 ${words}`)).toBe('');
    expect(out('ethtool --show-fec eth0')).toBe(
      'FEC parameters for eth0:\n' +
        `Supported/Configured FEC encodings: ${configured}\n` +
        `Active FEC encoding: ${active}\n`,
    );
  });

  it('fails FEC requests with the errno in debugfs', () => {
    const folder = '/sys/kernel/debug/netdevsim/netdevsim7/ports/0/ethtool';
    sh(`echo 11 > ${folder}/set_err`);
    const refused = sh('ethtool --set-fec eth0 encoding rs');
    expect(refused.stderr).toBe('netlink error: Resource temporarily unavailable\n');
    expect(refused.status).toBe(83);
    sh(`echo 0 > ${folder}/set_err`);
    sh(`echo 1 > ${folder}/get_err`);
    expect(out('ethtool --show-fec eth0')).toBe('netlink error: Operation not permitted\n');
    expect(out(`cat ${folder}/get_err`)).toBe('1\n');
  });

  // ethtool-ring.sh, ethtool-coalesce.sh, ethtool-pause.sh: set one by one, read back; the maximum is kept.
  it('keeps rings, coalescing, pause and channels, and changes nothing else', () => {
    for (const [name, label] of [
      ['rx', 'RX'],
      ['rx-mini', 'RX Mini'],
      ['rx-jumbo', 'RX Jumbo'],
      ['tx', 'TX'],
    ]) {
      expect(sh(`ethtool -G eth0 ${name} 77`).status).toBe(0);
      expect(out('ethtool -g eth0')).toMatch(new RegExp(`Current[^]*${label}:\\t+77\n`));
      expect(sh(`ethtool -G eth0 ${name} 4097`).status).toBe(81);
    }
    sh('ethtool -C eth0 rx-frames-high 5 adaptive-tx on');
    expect(out('ethtool -c eth0')).toMatch(/TX: on\n[^]*rx-frame-high: 5\n/);
    expect(sh('ethtool -A eth0 autoneg on').status).toBe(1);
    sh('ethtool -A eth0 tx on');
    expect(out('ethtool -a eth0')).toContain('TX:\t\ton\n');
    sh('ethtool -L eth0 combined 2');
    expect(out('ethtool -l eth0')).toMatch(/Combined:\t4\n[^]*Combined:\t2\n/);
    expect(out('ethtool -g eth1')).not.toContain('77');
  });

  it('ends what is sent through it, counted', () => {
    sh('ip link set eth0 up');
    sh('ip addr add 192.0.2.1/24 dev eth0');
    sh('ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev eth0 nud permanent');
    const dev = testbed.kernel.dev_get_by_name('eth0');
    const skb = testbed.kernel.alloc_skb(64);
    if (dev === null || skb === null) throw new Error('no device or packet');
    skb.lenBytes = 64;
    skb.dev = dev;
    testbed.kernel.dev_queue_xmit(skb, dev);
    expect(testbed.kernel.dev_get_stats(dev)).toMatchObject({ tx_packets: 1, tx_bytes: 64 });
  });
});
