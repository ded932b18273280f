// The ioctl entry by number, with errnos in Linux's order; headers around packets; filters; RSS. Numbers are written out here on
// purpose: an independent transcription of if_tun.h.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RssSteering, writeVnetHash } from '../../../../src/stack/tun/steering-rss.ts';
import { makeIfreq } from '../../../../src/stack/tun/tun-attach.ts';
import { must } from '../../../support/must.ts';
import { MULTI_QUEUE, NO_PI, TAP, TunRig, returning, udpFrame } from '../../../support/tun-rig.ts';

const TUN = 1;
const VNET_HDR = 0x4000;
const [EPERM, EBADF, EFAULT, EBUSY, EINVAL, EBADFD] = [-1, -9, -14, -16, -22, -77];

function tap(): { rig: TunRig; fd: number } {
  const rig = new TunRig();
  const fd = rig.open('tap0', TAP | NO_PI | MULTI_QUEUE);
  rig.up();
  return { rig, fd };
}

describe('ioctl', () => {
  it('features, name and flags', () => {
    const { rig, fd } = tap();
    const { tun } = rig.stack;
    expect(rig.readInt(fd, 0x800454cf)).toBe(0x7173);
    expect(rig.readInt(tun.open(), 0x800454cf)).toBe(0x7173);
    const ifreq = new Uint8Array(40);
    expect(tun.ioctl(fd, 0x800454d2, ifreq)).toBe(0);
    expect(Array.from(ifreq.subarray(0, 5))).toEqual([0x74, 0x61, 0x70, 0x30, 0]);
    expect(ifreq[16] | (ifreq[17] << 8)).toBe(TAP | NO_PI | MULTI_QUEUE);
    rig.setQueue(fd, 0x400);
    tun.ioctl(fd, 0x800454d2, ifreq);
    expect(ifreq[17] & 4).toBe(4);
  });

  it('default names are numbered; TUNSETIFINDEX chooses the index', () => {
    const rig = new TunRig();
    const { tun } = rig.stack;
    const names = [TAP, TAP, TUN].map((kind) => {
      const ifreq = makeIfreq('', kind | NO_PI);
      tun.ioctl(tun.open(), 0x400454ca, ifreq);
      return String.fromCharCode(...ifreq.subarray(0, 4));
    });
    expect(names).toEqual(['tap0', 'tap1', 'tun0']);
    const fd = tun.open();
    expect(rig.ioctlInt(fd, 0x400454da, -1)).toBe(EINVAL);
    expect(rig.ioctlInt(fd, 0x400454da, 77)).toBe(0);
    expect(tun.ioctl(fd, 0x400454ca, makeIfreq('x', TAP))).toBe(0);
    expect(must(rig.kernel.dev_get_by_name('x')).ifindex).toBe(77);
    expect(rig.ioctlInt(fd, 0x400454da, 78)).toBe(EPERM);
    const other = tun.open();
    rig.ioctlInt(other, 0x400454da, 77);
    expect(tun.ioctl(other, 0x400454ca, makeIfreq('y', TAP))).toBe(EBUSY);
  });

  it('who may: CAP_NET_ADMIN to create, owner and group to join', () => {
    const rig = new TunRig();
    expect(rig.open('tap0', TAP, { uid: 1000, gid: 100 })).toBe(EPERM);
    const fd = rig.open('tap0', TAP | MULTI_QUEUE);
    expect(rig.stack.tun.ioctl(fd, 0x400454cc, 1000)).toBe(0);
    expect(rig.open('tap0', TAP | MULTI_QUEUE, { uid: 1001, gid: 100 })).toBe(EPERM);
    expect(rig.open('tap0', TAP | MULTI_QUEUE, { uid: 1000, gid: 9 })).toBeGreaterThan(0);
    expect(rig.stack.tun.ioctl(fd, 0x400454ce, 100)).toBe(0);
    expect(rig.open('tap0', TAP | MULTI_QUEUE, { uid: 1000, gid: 9 })).toBe(EPERM);
    expect(rig.open('tap0', TAP | MULTI_QUEUE, { uid: 1000, gid: 100 })).toBeGreaterThan(0);
  });

  it('joining: kinds, exclusive, other devices', () => {
    const { rig } = tap();
    expect(rig.open('tap0', TUN | MULTI_QUEUE)).toBe(EINVAL);
    expect(rig.open('tap0', TAP | MULTI_QUEUE | 0x8000)).toBe(EBUSY);
    expect(rig.open('lo', TAP)).toBe(EINVAL);
    expect(rig.open('neither', 0)).toBe(EINVAL);
    expect(rig.open('frags', TAP | 0x20)).toBe(EINVAL);
    expect(rig.open('frags', TAP | 0x30)).toBeGreaterThan(0);
  });

  it('bad addresses, unknown numbers, unattached and closed descriptors', () => {
    const { rig, fd } = tap();
    const { tun } = rig.stack;
    const requests = [0x400454ca, 0x400454d9, 0x800454d2, 0x800454d3, 0x400454d4, 0x800454e0];
    for (const request of requests) expect(tun.ioctl(fd, request, null)).toBe(EFAULT);
    expect(tun.ioctl(fd, 0x400454e3, 0)).toBe(EINVAL);
    expect(tun.ioctl(fd, 'TUNSETNOTHING', 0)).toBe(EINVAL);
    const unattached = tun.open();
    for (const request of [0x800454d2, 0x800454e0, 0x12345678])
      expect(tun.ioctl(unattached, request, new Uint8Array(40))).toBe(EBADFD);
    tun.close(fd);
    expect(tun.ioctl(fd, 0x800454cf, new Uint8Array(4))).toBe(EBADF);
    expect(tun.write(fd, new Uint8Array(60))).toBe(EBADF);
    expect(tun.close(fd)).toBe(EBADF);
  });

  it('the number that two requests share is the merged one; the proposal goes by name', () => {
    const { rig, fd } = tap();
    const program = rig.load(returning(0));
    expect(rig.ioctlInt(fd, 0x800454e1, program)).toBe(0);
    expect(must(rig.device().filterProgram).insnCount).toBe(2);
    expect(rig.ioctlInt(fd, 0x400454e0, 2)).toBe(0);
    expect(rig.device().policy.name).toBe('cpu');
    expect(rig.readInt(fd, 'TUNGETSTEERING')).toBe(2);
    expect(rig.readInt(fd, 0x800454e2)).toBe(3);
  });

  it('send buffer, vnet header size, offloads, link type, carrier', () => {
    const { rig, fd } = tap();
    const { tun } = rig.stack;
    expect(rig.readInt(fd, 0x800454d3)).toBe(0x7fffffff);
    expect(rig.ioctlInt(fd, 0x400454d4, 0)).toBe(EINVAL);
    expect(rig.ioctlInt(fd, 0x400454d4, 5000)).toBe(0);
    expect(rig.readInt(fd, 0x800454d3)).toBe(5000);
    expect(rig.readInt(fd, 0x800454d7)).toBe(10);
    expect(rig.ioctlInt(fd, 0x400454d8, 9)).toBe(EINVAL);
    expect(rig.ioctlInt(fd, 0x400454d8, 12)).toBe(0);
    expect(tun.ioctl(fd, 0x400454d0, 0x7f)).toBe(0);
    expect(tun.ioctl(fd, 0x400454d0, 0x80)).toBe(EINVAL);
    expect(tun.ioctl(fd, 0x400454cd, 1)).toBe(EBUSY);
    expect(rig.ioctlInt(fd, 0x400454de, 1)).toBe(EINVAL);
    expect(rig.ioctlInt(fd, 0x400454e2, 0)).toBe(0);
    expect(rig.must('ip link show tap0')).toContain('NO-CARRIER');
    expect(tun.ioctl(fd, 0x54e3, 0)).toBeGreaterThan(fd);
  });

  it('any request with any argument answers a number', () => {
    const { rig, fd } = tap();
    const request = fc.oneof(
      fc.integer({ min: 0x400454c0, max: 0x400454ff }),
      fc.integer({ min: 0x800454c0, max: 0x800454ff }),
      fc.constantFrom(0x401054d5, 0x800854e4, 0x400854e5, 0x8924, 0x8927),
    );
    const argument = fc.oneof(fc.integer(), fc.uint8Array({ maxLength: 60 }), fc.constant(null));
    fc.assert(
      fc.property(request, argument, (number, value) => {
        const answer = rig.stack.tun.ioctl(fd, number, value);
        expect(Number.isInteger(answer)).toBe(true);
      }),
      { numRuns: 3000 },
    );
  });
});

describe('headers', () => {
  it('packet information: ethertype on read, STRIP when cut, protocol on write', () => {
    const rig = new TunRig();
    const fd = rig.open('tun0', TUN);
    rig.up('tun0');
    rig.must('ip addr add 198.51.100.9/24 dev tun0');
    const packet = udpFrame(1, 2).subarray(14);
    rig.send(packet, 0, 'tun0');
    rig.send(packet, 0, 'tun0');
    rig.send(packet, 0, 'tun0');
    const buffer = new Uint8Array(100);
    expect(rig.stack.tun.read(fd, buffer)).toBe(34);
    expect(Array.from(buffer.subarray(0, 6))).toEqual([0, 0, 8, 0, 0x45, 0]);
    const short = new Uint8Array(14);
    expect(rig.stack.tun.read(fd, short)).toBe(14);
    expect(Array.from(short.subarray(0, 4))).toEqual([1, 0, 8, 0]);
    expect(rig.stack.tun.read(fd, new Uint8Array(3))).toBe(EINVAL);
    expect(rig.stack.tun.write(fd, new Uint8Array(3))).toBe(EINVAL);
    expect(rig.stack.tun.write(fd, Uint8Array.of(0, 0, 8, 0, ...packet))).toBe(34);
    expect(rig.device('tun0').stats.rxBytes).toBe(30);
    expect(rig.kernel.skbs.liveCount).toBe(0);
  });

  it('a tun without it goes by the IP version', () => {
    const rig = new TunRig();
    const [fd] = rig.queues(1, TUN, 'tun0');
    const packet = udpFrame(1, 2).slice(14);
    expect(rig.stack.tun.write(fd, packet)).toBe(30);
    packet[0] = 0x55;
    expect(rig.stack.tun.write(fd, packet)).toBe(EINVAL);
    expect(rig.device('tun0').stats.rxDropped).toBe(1);
    expect(rig.stack.tun.write(fd, null)).toBe(EFAULT);
  });

  it('a tun answers a ping: routes through a device without addresses work both ways', () => {
    const rig = new TunRig();
    const [fd] = rig.queues(1, TUN, 'tun0');
    rig.must('ip addr add 10.9.0.1/24 dev tun0');
    const echo = Uint8Array.from(
      '45000020000040004001000000000000000000000800f7fd00010001abcd0000'.match(/../g) ?? [],
      (pair) => parseInt(pair, 16),
    );
    echo.set([10, 9, 0, 2, 10, 9, 0, 1], 12);
    fillChecksums(echo);
    expect(rig.stack.tun.write(fd, echo)).toBe(32);
    const [reply] = rig.read(fd);
    expect(Array.from(reply.subarray(12, 21))).toEqual([10, 9, 0, 1, 10, 9, 0, 2, 0]);
  });

  it('vnet headers: read with zeros, checksum filled in, segmentation refused', () => {
    const rig = new TunRig();
    const fd = rig.open('tap0', TAP | NO_PI | VNET_HDR);
    rig.up();
    const frame = udpFrame(1, 2);
    rig.send(frame);
    const buffer = new Uint8Array(100);
    expect(rig.stack.tun.read(fd, buffer)).toBe(54);
    expect(buffer.slice(10, 54)).toEqual(frame);
    const write = (header: number[]): number =>
      rig.stack.tun.write(fd, Uint8Array.of(...header, ...frame));
    expect(write([0, 0, 0, 0, 0, 0, 0, 0, 0, 0])).toBe(54);
    // NEEDS_CSUM from byte 34, at 6: the checksum field would be outside with 40.
    expect(write([1, 0, 0, 0, 0, 0, 34, 0, 6, 0])).toBe(54);
    expect(write([1, 0, 0, 0, 0, 0, 34, 0, 40, 0])).toBe(EINVAL);
    expect(write([0, 1, 54, 0, 100, 0, 0, 0, 0, 0])).toBe(EINVAL);
    expect(rig.device().stats.rxFrameErrors).toBe(0);
    expect(write([0, 1, 34, 0, 100, 0, 0, 0, 0, 0])).toBe(EINVAL);
    expect(rig.device().stats.rxFrameErrors).toBe(1);
    expect(rig.stack.tun.write(fd, new Uint8Array(20))).toBe(EINVAL);
  });

  it('whatever is written, nothing breaks and nothing is left behind', () => {
    const rig = new TunRig();
    const fds = [TAP, TAP | VNET_HDR, TUN, TUN | VNET_HDR, TUN | NO_PI, TAP | NO_PI].map(
      (flags, i) => rig.open(`d${i}`, flags),
    );
    fds.forEach((_fd, i) => rig.up(`d${i}`));
    fc.assert(
      fc.property(fc.nat(5), fc.uint8Array({ maxLength: 200 }), (which, bytes) => {
        const result = rig.stack.tun.write(fds[which], bytes);
        expect(result === bytes.length || result < 0).toBe(true);
      }),
      { numRuns: 2000 },
    );
    rig.pass(60);
    for (const fd of fds) rig.read(fd);
    expect(rig.kernel.skbs.liveCount).toBe(0);
  });
});

describe('readers and removal', () => {
  it('a waiting reader gets the next packet, or EFAULT when the device goes', () => {
    const { rig, fd } = tap();
    const { tun } = rig.stack;
    const results: number[] = [];
    tun.waitRead(fd, new Uint8Array(100), (result) => results.push(result));
    expect([results, tun.poll(fd)]).toEqual([[], 4]);
    rig.send(udpFrame(1, 2));
    expect(results).toEqual([44]);
    rig.send(udpFrame(1, 2));
    expect(tun.poll(fd)).toBe(5);
    rig.read(fd);
    tun.waitRead(fd, new Uint8Array(100), (result) => results.push(result));
    rig.must('ip link del tap0');
    expect(results).toEqual([44, EFAULT]);
    expect(tun.poll(fd)).toBe(8);
    expect(tun.read(fd, new Uint8Array(1))).toBe(EBADFD);
    expect(tun.ioctl(fd, 'TUNGETIFF', new Uint8Array(40))).toBe(EBADFD);
    expect(rig.kernel.dev_get_by_name('tap0')).toBe(null);
    // The descriptor may make a device again.
    expect(tun.ioctl(fd, 'TUNSETIFF', makeIfreq('tap0', TAP))).toBe(0);
  });

  it('shorter and longer txqueuelen: what no longer fits goes', () => {
    const { rig, fd } = tap();
    for (let n = 0; n < 5; n++) rig.send(udpFrame(n, 9));
    rig.must('ip link set tap0 txqueuelen 3');
    rig.send(udpFrame(9, 9));
    rig.must('ip link set tap0 txqueuelen 4');
    rig.send(udpFrame(10, 9));
    const ports = rig.read(fd).map((frame) => (frame[34] << 8) | frame[35]);
    expect(ports).toEqual([0, 1, 2, 10]);
    expect(rig.device().stats.txDropped).toBe(1);
    expect(rig.run('ip link set tap0 txqueuelen 2000000').stderr).toBe(
      'RTNETLINK answers: Cannot allocate memory\n',
    );
    rig.must('ip link set tap0 txqueuelen 0');
    rig.send(udpFrame(1, 2));
    expect(rig.read(fd)).toEqual([]);
  });
});

describe('filters', () => {
  const frameTo = (...mac: number[]): Uint8Array => {
    const frame = udpFrame(1, 2);
    frame.set(mac);
    return frame;
  };

  it('addresses: eight exact, further multicast ones by hash', () => {
    const { rig, fd } = tap();
    const set = (flags: number, ...macs: number[][]): number =>
      rig.stack.tun.ioctl(fd, 0x400454d1, Uint8Array.of(flags, 0, macs.length, 0, ...macs.flat()));
    const passes = (mac: number[]): boolean => {
      rig.send(frameTo(...mac));
      return rig.read(fd).length === 1;
    };
    const own = [2, 0, 0, 0, 0, 1];
    const group = (n: number): number[] => [1, 0, 0x5e, 0, 0, n];
    expect(set(0, own)).toBe(1);
    expect([own, [2, 0, 0, 0, 0, 2], group(1)].map(passes)).toEqual([true, false, false]);
    const eight = Array.from({ length: 8 }, (_v, i) => [2, 0, 0, 0, 1, i]);
    expect(set(0, ...eight, group(5))).toBe(8);
    expect([group(5), group(6), [2, 0, 0, 0, 1, 7]].map(passes)).toEqual([true, false, true]);
    expect(set(0, ...eight, own)).toBe(0);
    expect(passes([2, 9, 9, 9, 9, 9])).toBe(true);
    expect(set(1, own)).toBe(1);
    expect([group(77), [2, 9, 9, 9, 9, 9]].map(passes)).toEqual([true, false]);
    expect(set(0)).toBe(0);
    expect(passes([2, 9, 9, 9, 9, 9])).toBe(true);
    expect(rig.stack.tun.ioctl(fd, 0x400454d1, Uint8Array.of(0, 0, 2, 0, 1))).toBe(EFAULT);
    const [tun] = rig.queues(1, TUN, 'tun0');
    expect(rig.stack.tun.ioctl(tun, 0x400454d1, Uint8Array.of(0, 0, 0, 0))).toBe(EINVAL);
  });

  it('a classic socket filter (tcpdump -dd "udp port 53") lets through what it should', () => {
    const { rig, fd } = tap();
    // From tcpdump's manual of the classic code: ethertype, protocol, fragment, header length, ports.
    const classic: readonly (readonly [number, number, number, number])[] = [
      [0x28, 0, 0, 12],
      [0x15, 0, 8, 0x0800],
      [0x30, 0, 0, 23],
      [0x15, 0, 6, 17],
      [0x28, 0, 0, 20],
      [0x45, 4, 0, 0x1fff],
      [0xb1, 0, 0, 14],
      [0x48, 0, 0, 16],
      [0x15, 0, 1, 53],
      [0x06, 0, 0, 0xffff],
      [0x06, 0, 0, 0],
    ];
    const bytes = new Uint8Array(classic.length * 8);
    const view = new DataView(bytes.buffer);
    classic.forEach(([code, jt, jf, k], i) => {
      view.setUint16(8 * i, code, true);
      bytes.set([jt, jf], 8 * i + 2);
      view.setUint32(8 * i + 4, k, true);
    });
    expect(rig.stack.tun.ioctl(fd, 0x401054d5, bytes)).toBe(0);
    const passes = (frame: Uint8Array): boolean => {
      rig.send(frame);
      return rig.read(fd).length === 1;
    };
    expect(passes(udpFrame(9, 53))).toBe(true);
    expect(passes(udpFrame(53, 9))).toBe(false);
    expect(passes(frameTo(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 8, 6))).toBe(false);
    expect(rig.device().stats.txDropped).toBe(2);
    expect(rig.stack.tun.ioctl(fd, 0x401054d6, 0)).toBe(0);
    expect(passes(udpFrame(53, 9))).toBe(true);
    expect(rig.stack.tun.ioctl(fd, 0x401054d5, new Uint8Array(8).fill(0xff))).toBe(EINVAL);
  });
});

describe('rss', () => {
  // Microsoft's verification suite: 66.9.149.187:2794 to 161.142.100.80:1766.
  const KEY = '6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa';
  const key = Uint8Array.from(KEY.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  const suite = (protocol: number): Uint8Array => {
    const frame = udpFrame(2794, 1766);
    frame[23] = protocol;
    frame.set([66, 9, 149, 187, 161, 142, 100, 80], 26);
    return frame;
  };
  const request = { flags: 2, types: 0x3, unclassifiedQueue: 3, table: [0, 1, 2, 3], key };

  it('hashes as the suite says, by the types that are on', () => {
    const { rig } = tap();
    const hashOf = (types: number, frame: Uint8Array): number => {
      const policy = new RssSteering({ ...request, types });
      const skb = must(rig.kernel.alloc_skb(64));
      skb.bytes.set(frame, skb.at);
      skb.lenBytes = frame.length;
      policy.classify(skb);
      rig.kernel.free_skb(skb);
      return policy.hashType === 0 ? 0 : policy.hash;
    };
    expect(hashOf(0x3, suite(6))).toBe(0x51ccc178);
    expect(hashOf(0x1, suite(6))).toBe(0x323e8fc2);
    expect(hashOf(0x4, suite(17))).toBe(0x51ccc178);
    expect(hashOf(0x2, suite(17))).toBe(0);
  });

  it('chooses by table, and the unclassified queue for the rest', () => {
    const rig = new TunRig();
    const fds = rig.queues(4);
    const set = (change: Partial<typeof request>): number =>
      rig.stack.tun.ioctl(fds[0], 'TUNSETVNETHASH', writeVnetHash({ ...request, ...change }));
    expect(set({})).toBe(0);
    expect(rig.cameOn(suite(6), fds)).toBe(0x51ccc178 & 3);
    expect(rig.cameOn(suite(17), fds)).toBe(0x323e8fc2 & 3);
    const arp = udpFrame(1, 2);
    arp[13] = 6;
    expect(rig.cameOn(arp, fds)).toBe(3);
    expect(rig.readInt(fds[0], 'TUNGETSTEERING')).toBe(4);
    expect(set({ table: [5, 5] })).toBe(0);
    expect(rig.cameOn(suite(6), fds)).toBe(1);
    expect(set({ table: [1, 2, 3] })).toBe(EINVAL);
    expect(set({ table: new Array<number>(256).fill(0) })).toBe(EINVAL);
    expect(set({ types: 0x40 })).toBe(EINVAL);
    expect(set({ flags: 3 })).toBe(EINVAL);
    expect(rig.ioctlInt(fds[0], 'TUNSETVNETHDRSZ', 20)).toBe(0);
    expect(set({ flags: 3 })).toBe(0);
    rig.ioctlInt(fds[0], 'TUNSETSTEERINGEBPF', rig.load(returning(1)));
    expect(set({})).toBe(EBUSY);
  });
});

function fillChecksums(packet: Uint8Array): void {
  const put = (from: number, to: number, at: number): void => {
    packet[at] = packet[at + 1] = 0;
    let sum = 0;
    for (let i = from; i < to; i += 2) sum += (packet[i] << 8) | packet[i + 1];
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
    packet[at] = (~sum >> 8) & 0xff;
    packet[at + 1] = ~sum & 0xff;
  };
  put(0, 20, 10);
  put(20, packet.length, 22);
}
