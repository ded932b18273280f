// ip(8) and sysctl(8) against recorded output of iproute2 6.1 (fixtures/recordings/netlink), and the messages and exit statuses
// of wrong input as the real tools give them.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ShellSyntaxError, tokenize } from '../../../src/scenario/commands/command.ts';
import { StackRig } from '../../support/stack-rig.ts';

function machine(): StackRig {
  const rig = new StackRig();
  rig.addPort('a', 'v0', '02:00:00:00:00:10');
  rig.must('sysctl -w net.ipv6.conf.all.disable_ipv6=1');
  return rig;
}

/** Output as the recorder wrote it: text, then the status when it is not 0. */
function told(rig: StackRig, command: string): string {
  const { status, stdout, stderr } = rig.run(command);
  return stdout + stderr + (status === 0 ? '' : `[rc ${status}]\n`);
}

describe('ip', () => {
  it('prints what iproute2 printed', () => {
    const url = new URL('../../../fixtures/recordings/netlink/ip.commands.txt', import.meta.url);
    const rig = machine();
    for (const part of readFileSync(url, 'utf8').split(/^\$ /m).slice(1)) {
      const [command] = part.split('\n', 1);
      expect(`${command}\n${told(rig, command)}`).toBe(part);
    }
  });

  it('shows addresses of both families', () => {
    const rig = new StackRig();
    rig.addPort('a', 'v0', '02:00:00:00:00:10');
    rig.must('ip addr add 10.0.0.1/24 dev v0 brd +');
    rig.must('ip addr add fd00::1/64 dev v0');
    expect(rig.must('ip addr show v0')).toBe(
      '2: v0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc pfifo_fast state UP group default qlen 1000\n' +
        '    link/ether 02:00:00:00:00:10 brd ff:ff:ff:ff:ff:ff\n' +
        '    inet 10.0.0.1/24 brd 10.0.0.255 scope global v0\n' +
        '       valid_lft forever preferred_lft forever\n' +
        '    inet6 fd00::1/64 scope global \n' +
        '       valid_lft forever preferred_lft forever\n' +
        '    inet6 fe80::ff:fe00:10/64 scope link \n' +
        '       valid_lft forever preferred_lft forever\n',
    );
    expect(rig.must('ip -br -4 addr show v0')).toBe(
      'v0               UP             10.0.0.1/24 \n',
    );
    expect(rig.must('ip -6 route')).toBe(
      '::1 dev lo proto kernel metric 256 pref medium\n' +
        'fd00::/64 dev v0 proto kernel metric 256 pref medium\n' +
        'fe80::/64 dev v0 proto kernel metric 256 pref medium\n',
    );
    expect(rig.must('ip route show table local dev v0')).toBe(
      'local 10.0.0.1 proto kernel scope host src 10.0.0.1 \n' +
        'broadcast 10.0.0.255 proto kernel scope link src 10.0.0.1 \n',
    );
  });

  it('link down takes routes and neighbours, up brings back what belongs to addresses', () => {
    const rig = machine();
    rig.must('ip addr add 10.0.0.1/24 dev v0');
    rig.must('ip route add 10.9.0.0/16 via 10.0.0.9 mtu 1200 metric 5');
    expect(rig.must('ip route show 10.9.0.0/16')).toBe(
      '10.9.0.0/16 via 10.0.0.9 dev v0 metric 5 mtu 1200 \n',
    );
    rig.must('ip neigh add 10.0.0.9 lladdr 02:00:00:00:00:99 dev v0');
    rig.must('ip link set v0 down');
    expect(rig.must('ip route')).toBe('');
    expect(rig.must('ip neigh')).toBe('');
    rig.must('ip link set v0 up');
    expect(rig.must('ip route')).toBe('10.0.0.0/24 dev v0 proto kernel scope link src 10.0.0.1 \n');
  });

  // Texts and statuses of iproute2 6.1 (lib/utils.c, lib/libnetlink.c) and of the kernel's extack.
  it.each([
    ['ip route add 10.9.0.0/16 via 172.16.0.1', 2, 'Error: Nexthop has invalid gateway.\n'],
    ['ip route add 10.9.0.0/16', 2, 'RTNETLINK answers: No such device\n'],
    ['ip route add 10.9.0.0/16 dev nosuch', 1, 'Cannot find device "nosuch"\n'],
    ['ip route add foo dev v0', 1, 'Error: any valid prefix is expected rather than "foo".\n'],
    // As the real ip on Linux 6.18 answers: encapsulation is known, but there is no device.
    ['ip route replace 10.9.0.0/16 encap ip id 1', 2, 'RTNETLINK answers: No such device\n'],
    ['ip route get 8.8.8.8', 2, 'RTNETLINK answers: Network is unreachable\n'],
    ['ip addr del 10.0.0.7/24 dev v0', 2, 'Error: ipv4: Address not found.\n'],
    ['ip addr add 10.0.0.7/24', 1, 'Not enough information: "dev" argument is required.\n'],
    ['ip addr add fd00::1/64 dev v0', 2, 'Error: ipv6: IPv6 is disabled on this device.\n'],
    ['ip neigh del 10.0.0.7 dev v0', 2, 'RTNETLINK answers: No such file or directory\n'],
    ['ip neigh add 10.0.0.7 dev v0', 2, 'RTNETLINK answers: Invalid argument\n'],
    ['ip link show nosuch', 1, 'Device "nosuch" does not exist.\n'],
    ['ip link add br0 type dummy', 2, 'Error: Unknown device type.\n'],
    ['ip link del v0', 2, 'RTNETLINK answers: Operation not supported\n'],
    ['ip link set v0 mtu 20', 2, 'Error: mtu less than device minimum.\n'],
    ['ip link add link v0 name x type vlan id 4095', 2, 'Error: 8021q: Invalid VLAN id.\n'],
    ['ip link frob', 255, 'Command "frob" is unknown, try "ip link help".\n'],
    ['ip frob', 1, 'Object "frob" is unknown, try "ip help".\n'],
    ['ip -Q link', 255, 'Option "-Q" is unknown, try "ip -help".\n'],
    ['ip link set v0 mtu', 255, 'Command line is not complete. Try option "help"\n'],
  ])('%s', (command, status, stderr) => {
    const rig = machine();
    expect(rig.run(command)).toEqual({ status, stdout: '', stderr });
  });
});

describe('sysctl', () => {
  it('reads and writes, in both notations', () => {
    const rig = machine();
    expect(rig.must('sysctl -w net.ipv4.ip_forward=1')).toBe('net.ipv4.ip_forward = 1\n');
    expect(rig.must('sysctl -n net/ipv4/conf/v0/forwarding')).toBe('1\n');
    expect(rig.run('sysctl net.nosuch')).toEqual({
      status: 1,
      stdout: '',
      stderr: 'sysctl: cannot stat /proc/sys/net/nosuch: No such file or directory\n',
    });
    expect(rig.run('sysctl -w net.ipv4.ip_forward=x').stderr).toBe(
      'sysctl: setting key "net.ipv4.ip_forward": Invalid argument\n',
    );
  });
});

describe('words of a command line', () => {
  it('follow the shell', () => {
    expect(tokenize(`a 'b c' "d \\"e" f\\ g # no\nh;i`)).toEqual([
      ['a', 'b c', 'd "e', 'f g'],
      ['h'],
      ['i'],
    ]);
    expect(tokenize('x \'\' ""')).toEqual([['x', '', '']]);
    expect(() => tokenize('a | b')).toThrow(ShellSyntaxError);
    expect(() => tokenize("a 'b")).toThrow(ShellSyntaxError);
  });
});
