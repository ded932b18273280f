// The checkable behaviours of tun/tap steering (specification E.1, 1 to 30), each named by its number. "tap4" is a multi-queue tap
// with four attached queues, up, automatic policy.

import { describe, expect, it } from 'vitest';
import { must } from '../../../support/must.ts';
import {
  MULTI_QUEUE,
  NO_PI,
  TAP,
  TunRig,
  arpFrame,
  insn,
  program,
  returning,
  udpFrame,
} from '../../../support/tun-rig.ts';

const [EPERM, EIO, ENXIO, E2BIG, EBADF, EAGAIN] = [-1, -5, -6, -7, -9, -11];
const [EBUSY, EEXIST, EINVAL, EBADFD] = [-16, -17, -22, -77];
const ATTACH = 0x200;
const DETACH = 0x400;

function tap4(): { rig: TunRig; fds: number[] } {
  const rig = new TunRig();
  return { rig, fds: rig.queues(4) };
}

/** The two directions of flow `n`. */
const out = (n: number): Uint8Array => udpFrame(3000 + n, 9);
const back = (n: number): Uint8Array => udpFrame(9, 3000 + n, 2, 1);

describe('automatic policy', () => {
  it('E.1-1: an untaught flow goes to floor(hash * queues / 2^32)', () => {
    const { rig, fds } = tap4();
    const tun = rig.device();
    for (let n = 0; n < 40; n++) {
      const frame = out(n);
      const hash = tun.hasher.hash(frame, 14, frame.length, 0x0800);
      const queue = Number((BigInt(hash) * 4n) >> 32n);
      expect(rig.cameOn(frame, fds)).toBe(queue);
    }
  });

  it('E.1-2, 3: a flow follows the queue it was written on last, in either direction', () => {
    const { rig, fds } = tap4();
    rig.stack.tun.write(fds[2], back(1));
    expect(rig.cameOn(out(1), fds)).toBe(2);
    rig.stack.tun.write(fds[0], back(1));
    expect(rig.cameOn(out(1), fds)).toBe(0);
  });

  it('E.1-4: an entry is there after 1.5 s and gone after 5 s', () => {
    const { rig, fds } = tap4();
    const home = rig.cameOn(out(1), fds);
    const taught = (home + 2) % 4;
    rig.stack.tun.write(fds[taught], back(1));
    rig.pass(1.5);
    expect(rig.cameOn(out(1), fds)).toBe(taught);
    rig.pass(3.5);
    expect(rig.cameOn(out(1), fds)).toBe(home);
    expect(rig.device().flows.count).toBe(0);
  });

  it('E.1-5: sending does not refresh an entry', () => {
    const { rig, fds } = tap4();
    const home = rig.cameOn(out(1), fds);
    rig.stack.tun.write(fds[(home + 1) % 4], back(1));
    for (let second = 0; second < 6; second++) {
      rig.cameOn(out(1), fds);
      rig.pass(1);
    }
    expect(rig.cameOn(out(1), fds)).toBe(home);
  });

  it('E.1-6, 7: 4096 entries, no eviction; known flows are still updated', () => {
    const { rig, fds } = tap4();
    const tun = rig.device();
    const flow = (n: number): Uint8Array => udpFrame(1000 + (n % 5000), 9, n % 7);
    const homes = Array.from({ length: 5000 }, (_v, n) => rig.cameOn(flow(n), fds));
    for (let n = 0; n < 5000; n++) rig.stack.tun.write(fds[0], flow(n));
    expect(tun.flows.count).toBe(4096);
    expect(tun.flows.counters.refusals).toBe(904);
    for (let n = 0; n < 5000; n += 7)
      expect(rig.cameOn(flow(n), fds)).toBe(n < 4096 ? 0 : homes[n]);
    rig.stack.tun.write(fds[3], flow(5));
    expect(rig.cameOn(flow(5), fds)).toBe(3);
    expect(tun.flows.count).toBe(4096);
  });

  it('E.1-8: with one queue nothing is learned and nothing selected', () => {
    const rig = new TunRig();
    const fd = rig.open('tap0', TAP | NO_PI);
    rig.up();
    rig.stack.tun.write(fd, back(1));
    expect(rig.cameOn(out(1), [fd])).toBe(0);
    expect(rig.device().flows.count).toBe(0);
    expect(rig.device().hasher.count).toBe(0);
  });

  it('E.1-9: all ARP is one flow', () => {
    const { rig, fds } = tap4();
    expect(rig.cameOn(arpFrame(7), fds)).toBe(rig.cameOn(arpFrame(200), fds));
  });
});

describe('policies', () => {
  it('E.1-10: cpu: the number of the core that sends, modulo the queues; nothing is learned', () => {
    const { rig, fds } = tap4();
    expect(rig.ioctlInt(fds[0], 'TUNSETSTEERING', 2)).toBe(0);
    for (let n = 0; n < 5; n++) expect(rig.cameOn(out(n), fds, 6)).toBe(2);
    expect(rig.cameOn(out(1), fds, 3)).toBe(3);
    rig.stack.tun.write(fds[1], back(1));
    expect(rig.device().flows.count).toBe(0);
    expect(rig.device().hasher.count).toBe(0);
  });

  it('E.1-11: back to automq, the rules of learning hold for the next packet', () => {
    const { rig, fds } = tap4();
    rig.stack.tun.write(fds[2], back(1));
    rig.ioctlInt(fds[0], 'TUNSETSTEERING', 2);
    expect(rig.cameOn(out(1), fds, 1)).toBe(1);
    rig.ioctlInt(fds[0], 'TUNSETSTEERING', 1);
    // The entry learned before was kept.
    expect(rig.cameOn(out(1), fds, 1)).toBe(2);
    rig.stack.tun.write(fds[0], back(1));
    expect(rig.cameOn(out(1), fds, 1)).toBe(0);
  });

  it('E.1-12: an unknown policy is EINVAL and the old one stays', () => {
    const { rig, fds } = tap4();
    rig.ioctlInt(fds[0], 'TUNSETSTEERING', 2);
    for (const value of [0, 3, 4, 8, -1])
      expect(rig.ioctlInt(fds[0], 'TUNSETSTEERING', value)).toBe(EINVAL);
    expect(rig.readInt(fds[1], 'TUNGETSTEERING')).toBe(2);
    expect(rig.readInt(fds[1], 'TUNGETSTEERINGFEATURES')).toBe(3);
  });

  it('E.1-13: a program: its value, cut to 16 bits, modulo the queues', () => {
    const { rig, fds } = tap4();
    const cases = [
      [5, 1],
      [-1, 3],
      [-2, 2],
      [65536, 0],
      [70000, 0],
    ];
    for (const [value, queue] of cases) {
      expect(rig.ioctlInt(fds[0], 'TUNSETSTEERINGEBPF', rig.load(returning(value)))).toBe(0);
      for (let n = 0; n < 3; n++) expect(rig.cameOn(out(n), fds, n)).toBe(queue);
    }
  });

  it('E.1-14: while a program steers nothing is learned; −1 removes it, twice', () => {
    const { rig, fds } = tap4();
    rig.ioctlInt(fds[0], 'TUNSETSTEERINGEBPF', rig.load(returning(5)));
    for (let n = 0; n < 10; n++) rig.stack.tun.write(fds[0], back(n));
    expect(rig.device().flows.count).toBe(0);
    expect(rig.ioctlInt(fds[0], 'TUNSETSTEERINGEBPF', -1)).toBe(0);
    expect(rig.ioctlInt(fds[0], 'TUNSETSTEERINGEBPF', -1)).toBe(0);
    rig.stack.tun.write(fds[3], back(1));
    expect(rig.cameOn(out(1), fds)).toBe(3);
  });

  it('E.1-15: descriptors that are no such program', () => {
    const { rig, fds } = tap4();
    expect(rig.ioctlInt(fds[0], 'TUNSETSTEERINGEBPF', 9999)).toBe(EBADF);
    expect(rig.ioctlInt(fds[0], 'TUNSETSTEERINGEBPF', fds[1])).toBe(EINVAL);
    const other = rig.load(returning(1), 'sched_cls');
    expect(rig.ioctlInt(fds[0], 'TUNSETSTEERINGEBPF', other)).toBe(EINVAL);
    const unattached = rig.stack.tun.open();
    const good = rig.load(returning(1));
    expect(rig.ioctlInt(unattached, 'TUNSETSTEERINGEBPF', good)).toBe(EBADFD);
    // The device keeps the program when its descriptor is closed.
    expect(rig.ioctlInt(fds[2], 'TUNSETSTEERINGEBPF', good)).toBe(0);
    rig.stack.tun.close(good);
    expect(rig.cameOn(out(1), fds)).toBe(1);
  });

  it('E.1-16: a filter program drops with 0, cuts with less than the length, keeps with more', () => {
    const { rig, fds } = tap4();
    const tun = rig.device();
    const lengthWith = (value: number): number => {
      expect(rig.ioctlInt(fds[0], 'TUNSETFILTEREBPF', rig.load(returning(value)))).toBe(0);
      rig.send(out(1));
      const read = fds.flatMap((fd) => rig.read(fd));
      return read.length === 0 ? 0 : read[0].length;
    };
    expect(lengthWith(0)).toBe(0);
    expect(tun.stats.txDropped).toBe(1);
    expect(lengthWith(20)).toBe(20);
    expect(lengthWith(-1)).toBe(44);
    expect(lengthWith(1000)).toBe(44);
    expect(tun.stats.txDropped).toBe(1);
  });
});

describe('rings', () => {
  it('E.1-17, 18: a full ring drops the newest; packets count when they are read', () => {
    const { rig, fds } = tap4();
    const tun = rig.device();
    rig.must('ip link set tap0 txqueuelen 8');
    rig.ioctlInt(fds[0], 'TUNSETSTEERINGEBPF', rig.load(returning(0)));
    for (let n = 0; n < 20; n++) rig.send(out(n));
    expect(tun.stats.txDropped).toBe(12);
    expect(tun.stats.txPackets).toBe(0);
    const queue = rig.kernel.txQueues(tun.dev)[0];
    expect([queue.dropCount, queue.backlog, tun.dev.txStopped[0]]).toEqual([0, 0, 0]);
    const buffer = new Uint8Array(100);
    for (let n = 0; n < 8; n++) {
      expect(rig.stack.tun.read(fds[0], buffer)).toBe(44);
      expect(buffer.slice(0, 44)).toEqual(out(n));
      expect(tun.stats.txPackets).toBe(n + 1);
      expect(tun.stats.txBytes).toBe(44 * (n + 1));
    }
    expect(rig.stack.tun.read(fds[0], buffer)).toBe(EAGAIN);
  });

  it('E.1-19: what waits in a ring goes with it, uncounted', () => {
    const { rig, fds } = tap4();
    rig.ioctlInt(fds[0], 'TUNSETSTEERINGEBPF', rig.load(returning(0)));
    for (let n = 0; n < 5; n++) rig.send(out(n));
    rig.setQueue(fds[0], DETACH);
    expect(rig.read(fds[0])).toEqual([]);
    rig.setQueue(fds[0], ATTACH);
    expect(rig.read(fds[0])).toEqual([]);
    expect(rig.device().stats.txDropped).toBe(0);
    expect(rig.kernel.skbs.liveCount).toBe(0);
  });
});

describe('attach and detach', () => {
  it('E.1-20: the last queue takes the place of the disabled one', () => {
    const { rig, fds } = tap4();
    const tun = rig.device();
    const index = (fd: number): number => must(rig.stack.tun.file(fd)).queueIndex;
    rig.setQueue(fds[1], DETACH);
    expect(index(fds[3])).toBe(1);
    expect([tun.numqueues, tun.dev.realNumTxQueues, tun.dev.realNumRxQueues]).toEqual([3, 3, 3]);
    rig.setQueue(fds[1], ATTACH);
    expect(index(fds[1])).toBe(3);
    expect(tun.dev.realNumTxQueues).toBe(4);
  });

  it('E.1-21: flows of a disabled last queue go to queue 0, and back when it returns', () => {
    const { rig, fds } = tap4();
    rig.stack.tun.write(fds[3], back(1));
    rig.setQueue(fds[3], DETACH);
    expect(rig.cameOn(out(1), fds)).toBe(0);
    expect(rig.kernel.log.some((line) => line.text.includes('selects TX queue 3'))).toBe(true);
    rig.setQueue(fds[3], ATTACH);
    expect(rig.cameOn(out(1), fds)).toBe(3);
  });

  it('E.1-22: a disabled queue is written on but not learned, and reads nothing', () => {
    const { rig, fds } = tap4();
    rig.setQueue(fds[2], DETACH);
    expect(rig.stack.tun.write(fds[2], back(1))).toBe(44);
    expect(rig.device().stats.rxPackets).toBe(1);
    expect(rig.device().flows.count).toBe(0);
    expect(rig.stack.tun.read(fds[2], new Uint8Array(100))).toBe(EAGAIN);
  });

  it('E.1-23: joining a device', () => {
    const rig = new TunRig();
    const fd = rig.open('tap0', TAP | NO_PI);
    expect(rig.open('tap0', TAP | NO_PI)).toBe(EBUSY);
    expect(rig.open('tap0', TAP | NO_PI | MULTI_QUEUE)).toBe(EINVAL);
    expect(rig.stack.tun.ioctl(fd, 'TUNSETIFF', new Uint8Array(40))).toBe(EEXIST);
  });

  it('E.1-24: 256 queues, attached and disabled together', () => {
    const rig = new TunRig();
    const fds = rig.queues(256);
    expect(Math.min(...fds)).toBeGreaterThan(0);
    expect(rig.device().dev.realNumTxQueues).toBe(256);
    expect(rig.open('tap0', TAP | NO_PI | MULTI_QUEUE)).toBe(E2BIG);
    rig.setQueue(fds[9], DETACH);
    expect(rig.open('tap0', TAP | NO_PI | MULTI_QUEUE)).toBe(E2BIG);
    rig.stack.tun.close(fds[9]);
    expect(rig.open('tap0', TAP | NO_PI | MULTI_QUEUE)).toBeGreaterThan(0);
  });

  it('E.1-25: TUNSETQUEUE', () => {
    const { rig, fds } = tap4();
    const single = rig.open('tap1', TAP | NO_PI);
    expect(rig.setQueue(single, DETACH)).toBe(EINVAL);
    expect(rig.setQueue(fds[0], ATTACH)).toBe(EINVAL);
    expect(rig.setQueue(fds[0], DETACH)).toBe(0);
    expect(rig.setQueue(fds[0], DETACH)).toBe(EINVAL);
    expect(rig.setQueue(fds[0], 0)).toBe(EINVAL);
    expect(rig.setQueue(fds[1], 0)).toBe(EINVAL);
    expect(rig.setQueue(rig.stack.tun.open(), DETACH)).toBe(EINVAL);
  });

  it('E.1-26: without any queue packets are dropped, and the carrier cannot be set', () => {
    const { rig, fds } = tap4();
    for (const fd of fds) rig.setQueue(fd, DETACH);
    const tun = rig.device();
    expect(tun.dev.carrier).toBe(true);
    rig.send(out(1));
    expect(tun.stats.txDropped).toBe(1);
    expect(rig.ioctlInt(fds[0], 'TUNSETCARRIER', 1)).toBe(EPERM);
    expect(rig.ioctlInt(fds[0], 'TUNSETCARRIER', 0)).toBe(0);
    expect(tun.dev.carrier).toBe(false);
  });

  it('E.1-27: device down, and no device', () => {
    const rig = new TunRig();
    const fd = rig.open('tap0', TAP | NO_PI);
    expect(rig.stack.tun.write(fd, back(1))).toBe(EIO);
    expect(rig.device().stats.rxDropped).toBe(1);
    const unattached = rig.stack.tun.open();
    expect(rig.stack.tun.write(unattached, back(1))).toBe(EBADFD);
    expect(rig.stack.tun.read(unattached, new Uint8Array(10))).toBe(EBADFD);
  });

  it('E.1-28: the last descriptor takes the device along, unless it is persistent', () => {
    const rig = new TunRig();
    rig.stack.tun.close(rig.open('tap0', TAP | NO_PI));
    expect(rig.kernel.dev_get_by_name('tap0')).toBe(null);
    const fd = rig.open('tap0', TAP | NO_PI);
    rig.stack.tun.ioctl(fd, 'TUNSETPERSIST', 1);
    rig.up();
    rig.stack.tun.close(fd);
    const dev = must(rig.kernel.dev_get_by_name('tap0'));
    expect(dev.carrier).toBe(false);
    expect(rig.must('ip link show tap0')).toContain('<NO-CARRIER,BROADCAST,MULTICAST,UP>');
  });
});

describe('around it', () => {
  it('E.1-29: what ethtool is told', () => {
    const { rig } = tap4();
    const { dev } = rig.device();
    const ops = must(dev.ethtoolOps);
    expect(ops.get_channels?.(dev)).toMatchObject({ max_combined: 256, combined_count: 4 });
    expect('set_channels' in ops || 'get_ringparam' in ops).toBe(false);
    const extack = { message: '', reason: '' };
    const coalesce = must(ops.get_coalesce?.(dev) ?? null);
    ops.set_coalesce?.(dev, { ...coalesce, 'rx-frames': 100 }, extack);
    expect(ops.get_coalesce?.(dev)['rx-frames']).toBe(64);
    expect(rig.must('ethtool -i tap0')).toContain('driver: tun\nversion: 1.6\n');
    expect(rig.must('ethtool -i tap0')).toContain('bus-info: tap\n');
  });

  it('E.1-30: XDP redirect goes by the core, whatever the policy', () => {
    const { rig, fds } = tap4();
    const tun = rig.device();
    const frames = Array.from({ length: 3 }, (_v, n) => {
      const skb = must(rig.kernel.alloc_skb(44));
      skb.bytes.set(out(n), skb.at);
      skb.lenBytes = 44;
      return skb;
    });
    let taken = 0;
    rig.ioctlInt(fds[0], 'TUNSETSTEERINGEBPF', rig.load(returning(2)));
    rig.kernel.inContext(5, () => (taken = tun.xdpXmit(frames)));
    expect(taken).toBe(3);
    expect(fds.map((fd) => rig.read(fd).length)).toEqual([0, 3, 0, 0]);
    expect(tun.xdpXmit([], 2)).toBe(EINVAL);
    for (const fd of fds) rig.setQueue(fd, DETACH);
    expect(tun.xdpXmit([])).toBe(ENXIO);
  });

  it('E.1-30: a full ring stops the batch, counts one drop and says how many were taken', () => {
    const { rig } = tap4();
    const tun = rig.device();
    rig.must('ip link set tap0 txqueuelen 2');
    const frames = [1, 2, 3, 4].map(() => must(rig.kernel.alloc_skb(44)));
    expect(tun.xdpXmit(frames)).toBe(2);
    expect(tun.stats.txDropped).toBe(1);
    for (const skb of frames.slice(2)) rig.kernel.free_skb(skb);
  });

  it('a program reads the packet: the low byte of the destination port (recorded)', () => {
    const { rig, fds } = tap4();
    const code = program(insn(0xbf, 6, 1), insn(0x30, 0, 0, 0, 37), insn(0x95));
    rig.ioctlInt(fds[0], 'TUNSETSTEERINGEBPF', rig.load(code));
    for (let port = 5000; port < 5016; port++)
      expect(rig.cameOn(udpFrame(7, port), fds)).toBe((port & 0xff) % 4);
  });
});
