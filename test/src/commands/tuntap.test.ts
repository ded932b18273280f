// `ip tuntap` with the tool's own texts and statuses, and the `tuntap` command.

import { describe, expect, it } from 'vitest';
import { TunRig, udpFrame } from '../../support/tun-rig.ts';

const FRAME = Array.from(udpFrame(7, 9), (b) => b.toString(16).padStart(2, '0')).join('');

describe('ip tuntap', () => {
  it('adds, shows and deletes', () => {
    const rig = new TunRig();
    expect(rig.must('ip tuntap')).toBe('');
    rig.must('ip tuntap add dev tap4 mode tap multi_queue');
    rig.must('ip tuntap add tun9 mode tun user 1000 group root pi vnet_hdr');
    expect(rig.must('ip tuntap show')).toBe(
      'tap4: tap multi_queue persist\ntun9: tun pi vnet_hdr persist user 1000 group 0\n',
    );
    expect(JSON.parse(rig.must('ip -j tuntap'))).toEqual([
      { ifname: 'tap4', flags: ['tap', 'multi_queue', 'persist'] },
      { ifname: 'tun9', flags: ['tun', 'pi', 'vnet_hdr', 'persist'], user: 1000, group: 0 },
    ]);
    expect(rig.must('ip -d link show tun9')).toMatch(
      /link\/none {2}promiscuity 0 .*\n {4}tun type tun pi on vnet_hdr on persist on user 1000 group root addrgenmode/,
    );
    expect(rig.must('ip tuntap del tap4 mode tap multi_queue')).toBe('');
    rig.must('ip link del tun9');
    expect(rig.must('ip tuntap list')).toBe('');
  });

  it('is seen by ip link and in sysfs, and not made by ip link', () => {
    const rig = new TunRig();
    rig.must('ip tuntap add tap0 mode tap user 7');
    expect(rig.must('ip -o link show type tun')).toMatch(/^\d+: tap0: [^\n]*\n$/);
    expect(rig.must('cat /sys/class/net/tap0/tun_flags')).toBe('0x1802\n');
    expect(rig.must('cat /sys/class/net/tap0/owner')).toBe('7\n');
    expect(rig.must('cat /sys/class/net/tap0/group')).toBe('-1\n');
    expect(rig.run('cat /sys/class/net/lo/tun_flags').status).toBe(1);
    expect(rig.run('ip link add tap1 type tun')).toMatchObject({
      status: 2,
      stderr: 'Error: tun/tap creation via rtnetlink is not supported.\n',
    });
  });

  it('refuses as the tool does', () => {
    const rig = new TunRig();
    rig.must('ip tuntap add tap0 mode tap');
    const cases: readonly (readonly [string, number, string])[] = [
      ['add tap0 mode tap', 1, 'ioctl(TUNSETIFF): Device or resource busy\n'],
      ['del tap0 mode tap multi_queue', 1, 'ioctl(TUNSETIFF): Invalid argument\n'],
      ['del lo mode tun', 1, 'ioctl(TUNSETIFF): Invalid argument\n'],
      ['add tap1', 1, 'You failed to specify a tunnel mode\n'],
      ['add tap1 mode bridge', 255, 'Unknown tunnel mode "bridge"\n'],
      ['add x mode tap mode tun', 255, 'You managed to ask for more than one tunnel mode.\n'],
      ['add x mode tap user nobody9', 255, 'invalid user "nobody9"\n'],
      ['add x mode tap y', 255, 'Error: either "name" is duplicate, or "y" is a garbage.\n'],
      ['add a/b mode tap', 255, 'Error: argument "a/b" is wrong: "name" not a valid ifname\n'],
      ['frob', 255, 'Command "frob" is unknown, try "ip tuntap help".\n'],
    ];
    for (const [words, status, stderr] of cases) {
      const result = rig.run(`ip tuntap ${words}`);
      expect([words, result.status, result.stderr]).toEqual([words, status, stderr]);
    }
    expect(rig.run('ip tuntap help').stderr).toMatch(/^Usage: ip tuntap \{ add \| del/);
  });
});

describe('tuntap', () => {
  it('opens, sends, reads, writes, shows', () => {
    const rig = new TunRig();
    expect(rig.must('tuntap open tap0 multi_queue')).toBe('fd 3: tap0 queue 0\n');
    expect(rig.must('tuntap open tap0 multi_queue')).toBe('fd 4: tap0 queue 1\n');
    rig.up();
    rig.must('tuntap steering tap0 cpu');
    rig.must(`tuntap send tap0 ${FRAME} cpu 1`);
    expect(rig.must('tuntap queues tap0')).toContain('queue 1 fd 4: 1 of 1000 packets wait');
    expect(rig.must('tuntap read 4')).toBe(`${FRAME}\n`);
    rig.must('tuntap steering tap0 automq');
    expect(rig.must(`tuntap write 4 ${FRAME}`)).toBe('44\n');
    expect(rig.must('tuntap flows tap0')).toMatch(
      /^tap0: 1 of 4096 flows\nhash [0-9a-f]{8} queue 1 /,
    );
    expect(rig.must('tuntap stats tap0')).toContain('     flows created: 1\n');
    rig.must('tuntap detach 3');
    expect(rig.must('tuntap queues tap0')).toMatch(/^queue 0 fd 4: .*\ndisabled fd 3: /);
    rig.must('tuntap attach 3');
    rig.must('tuntap steering tap0 rss table 1,1 types udpv4');
    expect(rig.must('tuntap steering tap0')).toBe('tap0: rss\n');
    expect(rig.must('tuntap ioctl 3 TUNGETFEATURES hex:00000000')).toBe('0 hex:73710000\n');
    rig.must('tuntap close 3');
    rig.must('tuntap close 4');
    expect(rig.run('ip link show tap0').status).toBe(1);
  });

  it('says what was refused and what was expected', () => {
    const rig = new TunRig();
    rig.must('tuntap open tap0');
    const cases: readonly (readonly [string, number, string])[] = [
      ['open tap0', 1, 'ioctl(TUNSETIFF): Device or resource busy (EBUSY)'],
      ['open tap0 multi_queue', 1, 'ioctl(TUNSETIFF): Invalid argument (EINVAL)'],
      [`write 3 ${FRAME}`, 1, 'write: Input/output error (EIO)'],
      ['read 3', 1, 'read: Resource temporarily unavailable (EAGAIN)'],
      ['read 9', 1, 'read: Bad file descriptor (EBADF)'],
      ['detach 3', 1, 'ioctl(TUNSETQUEUE): Invalid argument (EINVAL)'],
      ['ioctl 3 0x800454d2', 1, 'ioctl(0x800454d2): Bad address (EFAULT)'],
      ['write 3 abc', 2, '"abc": pairs of hex digits expected'],
      ['queues eth9', 2, '"eth9" is no tun or tap device'],
      ['queues', 2, 'DEV expected'],
      ['steering tap0 fast', 2, '"fast": automq, cpu, rss or program expected'],
      ['steering tap0 program x.hex', 2, 'x.hex: cannot be read'],
      ['steering tap0 rss key 00', 2, 'key: 40 bytes expected, not 1'],
      ['send tap0 0102', 2, 'HEX: a whole frame expected'],
      ['ioctl 3 TUNFROB', 2, 'ioctl: "TUNFROB" is not known'],
    ];
    for (const [words, status, stderr] of cases) {
      const result = rig.run(`tuntap ${words}`);
      expect([words, result.status, result.stderr]).toEqual([words, status, `tuntap: ${stderr}\n`]);
    }
    expect(rig.run('tuntap').stderr).toMatch(/^usage: tuntap open/);
  });
});
