// devlink(8): refusals as the tool and the kernel word them, reloads with limits, and what the reference driver says of itself. The
// listings are compared with a real devlink in transcripts.test.ts.

import { beforeEach, describe, expect, it } from 'vitest';
import type { CommandResult } from '../../../src/scenario/commands/command.ts';
import { tokenize } from '../../../src/scenario/commands/command.ts';
import { Testbed } from '../../../src/scenario/testbed.ts';

let testbed: Testbed;

function sh(line: string): CommandResult {
  return testbed.runWords(tokenize(line)[0]);
}

function out(line: string): string {
  const { stdout, stderr } = sh(line);
  return stderr + stdout;
}

describe('devlink of netdevsim', () => {
  beforeEach(() => {
    testbed = new Testbed({ ports: [] });
    sh("echo '1 2' > /sys/bus/netdevsim/new_device");
  });

  it.each([
    ['foo', 'Object "foo" not found\n'],
    ['dev foo', 'Command "foo" not found\n'],
    ['dev show netdevsim', /^Wrong identification string format\.\n.*"netdevsim" is invalid\n$/],
    ['dev info netdevsim/netdevsim9', 'kernel answers: No such device\n'],
    ['port show nosuch', 'Netdevice "nosuch" not found\n'],
    ['port show netdevsim/netdevsim1/7', 'kernel answers: No such device\n'],
    ['resource set netdevsim/netdevsim1 path /IPv4/fib', 'Resource size expected.\n'],
    [
      'resource set netdevsim/netdevsim1 path /IPv4/fib size x',
      '"x" is not a number or not within range\n',
    ],
    ['dev param show netdevsim/netdevsim1', 'Parameter name expected.\n'],
    ['dev param show netdevsim/netdevsim1 name x', 'kernel answers: Invalid argument\n'],
    [
      'dev param set netdevsim/netdevsim1 name test1 value 7 cmode driverinit',
      'Value "7" is not a number or not within range\n',
    ],
    [
      'dev param set netdevsim/netdevsim1 name test1 value true cmode runtime',
      'kernel answers: Operation not supported\n',
    ],
    ['dev eswitch set netdevsim/netdevsim1 mode x', 'Unknown eswitch mode "x"\n'],
    ['health recover netdevsim/netdevsim1 reporter empty', /Operation not supported\n$/],
    ['trap show netdevsim/netdevsim1 trap x', /^Error: devlink: Device did not register this trap/],
    [
      'trap policer set netdevsim/netdevsim1 policer 1 rate 9000',
      'Error: Policer rate higher than limit.\nkernel answers: Invalid argument\n',
    ],
    ['dev show netdevsim/netdevsim1 more', 'Unknown option "more"\n'],
  ])('refuses: %s', (words, said) => {
    const result = sh(`devlink ${words}`);
    expect(result.status).toBe(1);
    if (typeof said === 'string') expect(result.stderr).toBe(said);
    else expect(result.stderr).toMatch(said);
  });

  // devlink.sh of the selftests, resource_test and params_test: a new size counts after a reload, and no route is added above it.
  it('limits routes after a reload', () => {
    sh('devlink resource set netdevsim/netdevsim1 path /IPv4/fib size 4');
    expect(sh('ip route add blackhole 192.0.2.1').status).toBe(0);
    expect(sh('ip route add blackhole 192.0.2.2').status).toBe(0);
    sh('ip route del blackhole 192.0.2.2');
    expect(out('devlink dev reload netdevsim/netdevsim1')).toBe('');
    expect(out('devlink resource show netdevsim/netdevsim1')).toContain('fib size 4 occ 4 ');
    const refused = sh('ip route add blackhole 192.0.2.2');
    expect(refused.stderr).toBe('Error: netdevsim: Exceeded number of supported fib entries.\n');
    expect(refused.status).toBe(2);
    sh('ip route del blackhole 192.0.2.1');
    expect(sh('ip route add blackhole 192.0.2.2').status).toBe(0);
    sh('devlink resource set netdevsim/netdevsim1 path /IPv4/fib size 3');
    expect(out('devlink dev reload netdevsim/netdevsim1')).toBe(
      'kernel answers: No space left on device\n',
    );
  });

  it('refuses parts that do not fit into the whole', () => {
    sh('devlink resource set netdevsim/netdevsim1 path /IPv6 size 10');
    sh('devlink resource set netdevsim/netdevsim1 path /IPv6/fib size 11');
    expect(out('devlink resource show netdevsim/netdevsim1')).toMatch(/IPv6.*size_valid false\n/);
    expect(out('devlink dev reload netdevsim/netdevsim1')).toBe(
      'Error: devlink: resources size validation failed.\nkernel answers: Invalid argument\n',
    );
  });

  it('reload makes the ports anew, and its failures are for testing', () => {
    const ifindex = (): number => testbed.kernel.dev_get_by_name('eth0')?.ifindex ?? -1;
    const before = ifindex();
    sh('devlink dev reload netdevsim/netdevsim1');
    expect(ifindex()).toBe(before + 2);
    sh('echo Y > /sys/kernel/debug/netdevsim/netdevsim1/dont_allow_reload');
    expect(out('devlink dev reload netdevsim/netdevsim1')).toBe(
      'Error: netdevsim: User forbid the reload for testing purposes.\n' +
        'kernel answers: Operation not supported\n',
    );
    expect(ifindex()).toBe(before + 2);
  });

  it('counts errors of a reporter, recovers by itself or when told', () => {
    const file = '/sys/kernel/debug/netdevsim/netdevsim1/health/break_health';
    const show = 'devlink health show netdevsim/netdevsim1 reporter dummy';
    sh(`echo broken > ${file}`);
    expect(out(show)).toContain('state healthy error 1 recover 1 ');
    sh('devlink health set netdevsim/netdevsim1 reporter dummy auto_recover false');
    sh(`echo broken > ${file}`);
    expect(out(show)).toContain('state error error 2 recover 1 ');
    expect(out('devlink health recover netdevsim/netdevsim1 reporter dummy')).toBe('');
    expect(out(show)).toContain('state healthy error 2 recover 2 ');
  });

  it('changes the action of drop traps only, and policers of groups', () => {
    const set = (trap: string): string =>
      out(`devlink trap set netdevsim/netdevsim1 trap ${trap} action mirror`);
    expect(set('blackhole_route')).toBe('');
    expect(set('fid_miss')).toContain('Cannot change action of non-drop traps. Skipping');
    expect(out('devlink trap show')).toMatch(/blackhole_route .* action mirror .*\n/);
    expect(out('devlink trap show')).toMatch(/fid_miss .* action trap .*\n/);
    sh('devlink trap group set netdevsim/netdevsim1 group l2_drops policer 3');
    expect(out('devlink trap group show')).toContain('name l2_drops generic true policer 3\n');
  });
});

describe('devlink of the reference driver', () => {
  beforeEach(() => {
    testbed = new Testbed();
  });

  it('shows filters of Flow Director as they come and go, and sizes that its share gives', () => {
    const handle = 'pci/0000:01:00.0';
    const line = (): string =>
      /flow_director .*/.exec(out(`devlink resource show ${handle}`))?.[0] ?? '';
    expect(line()).toBe('flow_director size 2046 occ 0 unit entry dpipe_tables none');
    sh('ethtool -K p0 ntuple on');
    sh('ethtool -N p0 flow-type udp4 dst-port 4789 action 1');
    expect(line()).toContain('size 2046 occ 1 ');
    sh(`devlink dev param set ${handle} name fdir_pballoc value 3 cmode driverinit`);
    expect(line()).toContain('size 2046 ');
    expect(out(`devlink dev reload ${handle} action driver_reinit`)).toBe(
      'reload_actions_performed:\n    driver_reinit\n',
    );
    expect(line()).toContain('size 8190 occ 1 ');
    expect(out('ethtool -n p0')).toContain('Total 1 rules');
    expect(out(`devlink resource show pci/0000:01:00.1`)).toContain('flow_director size 2046 ');
  });

  it('instances are in the initial namespace, and stay there when their port leaves', () => {
    sh('ip netns add red');
    sh('ip link set p0 netns red');
    expect(out('ip netns exec red devlink dev show')).toBe('');
    expect(out('ip netns exec red devlink dev info pci/0000:01:00.0')).toBe(
      'kernel answers: No such device\n',
    );
    expect(out('ip netns exec red devlink port show p1')).toBe('Netdevice "p1" not found\n');
    expect(out('devlink dev show')).toBe('pci/0000:01:00.0\npci/0000:01:00.1\n');
  });

  it('refuses what it has not', () => {
    const handle = 'pci/0000:01:00.0';
    expect(sh(`devlink dev eswitch show ${handle}`).status).toBe(1);
    expect(sh(`devlink resource set ${handle} path /flow_table size 1`).status).toBe(1);
    expect(
      out('devlink dev param set pci/0000:01:00.0 name fdir_pballoc value 9 cmode driverinit'),
    ).toBe('Error: twin: fdir_pballoc is 1 to 3.\nkernel answers: Invalid argument\n');
  });
});
