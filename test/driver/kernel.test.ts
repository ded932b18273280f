// Device registry, memory pools and work queues.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BUFFER_CLASS_BYTES } from '../../driver/alloc.ts';
import { EADDRNOTAVAIL, EBUSY, EEXIST, EINVAL, EOPNOTSUPP } from '../../driver/errno.ts';
import { Kernel } from '../../driver/kernel.ts';
import { IFF_RUNNING } from '../../driver/netdev.ts';
import type { SkBuff } from '../../driver/skb.ts';
import { HostMemory } from '../../hw/dma/host-memory.ts';
import { Scheduler } from '../../hw/time/scheduler.ts';
import { DummyNic } from '../support/dummy-nic.ts';
import { must } from '../support/must.ts';

function host(sizeBytes = 4 << 20): Kernel {
  return new Kernel({ scheduler: new Scheduler(), memory: new HostMemory(sizeBytes) });
}

describe('device registry', () => {
  it('numbers devices from 2 and names from 0, and refuses what is taken', () => {
    const kernel = host();
    const a = new DummyNic(kernel, 'eth%d').dev;
    const b = new DummyNic(kernel, 'eth%d').dev;
    expect([a.name, a.ifindex, b.name, b.ifindex]).toEqual(['eth0', 2, 'eth1', 3]);
    expect(kernel.register_netdev(kernel.alloc_netdev('eth1', a.ops))).toBe(-EEXIST);
    expect(kernel.register_netdev(kernel.alloc_netdev('a/b', a.ops))).toBe(-EINVAL);
    expect(kernel.register_netdev(kernel.alloc_netdev('sixteen-letters-x', a.ops))).toBe(-EINVAL);
    const lo = kernel.alloc_netdev('lo', a.ops);
    lo.ifindex = 1;
    expect(kernel.register_netdev(lo)).toBe(0);
    expect(kernel.netdevs().map((dev) => dev.name)).toEqual(['lo', 'eth0', 'eth1']);
    expect(kernel.dev_change_name(b, 'eth0')).toBe(-EEXIST);
    kernel.dev_open(b);
    expect(kernel.dev_change_name(b, 'wan')).toBe(-EBUSY);
    kernel.unregister_netdev(b);
    expect(kernel.dev_get_by_name('eth1')).toBeNull();
    expect(new DummyNic(kernel, 'eth%d').dev.ifindex).toBe(4); // not reused
  });

  it('tells notifiers of up, carrier, mtu and down, and keeps IFF_RUNNING', () => {
    const kernel = host();
    const { dev } = new DummyNic(kernel);
    const events: string[] = [];
    kernel.register_netdevice_notifier({ netdevEvent: (_dev, event) => events.push(event) });
    kernel.dev_open(dev);
    expect(dev.flags & IFF_RUNNING).not.toBe(0);
    kernel.netif_carrier_off(dev);
    expect(dev.flags & IFF_RUNNING).toBe(0);
    kernel.netif_carrier_on(dev);
    expect(kernel.dev_set_mtu(dev, 9000)).toBe(0);
    expect(kernel.dev_set_mtu(dev, 9000)).toBe(0); // no change, no event
    kernel.dev_close(dev);
    expect(events).toEqual(['up', 'carrier', 'carrier', 'mtu', 'down']);
  });

  it('checks MTU and address as the core does', () => {
    const kernel = host();
    const { dev } = new DummyNic(kernel);
    const extack = { message: '', reason: '' };
    expect(kernel.dev_set_mtu(dev, 67, extack)).toBe(-EINVAL);
    expect(extack.message).toBe('mtu less than device minimum');
    expect(kernel.dev_set_mtu(dev, 9711, extack)).toBe(-EINVAL);
    expect(extack.message).toBe('mtu greater than device maximum');
    const mac = new Uint8Array([2, 0, 0, 0, 0, 1]);
    expect(kernel.dev_set_mac_address(dev, mac)).toBe(-EOPNOTSUPP);
    const settable = new DummyNic(kernel, 'x%d', 1, { ndo_set_mac_address: () => 0 }).dev;
    expect(kernel.dev_set_mac_address(settable, mac)).toBe(0);
    const group = new Uint8Array([1, 0, 0, 0, 0, 1]);
    expect(kernel.dev_set_mac_address(settable, group)).toBe(-EADDRNOTAVAIL);
    expect(kernel.dev_set_mac_address(settable, new Uint8Array(6))).toBe(-EADDRNOTAVAIL);
  });
});

describe('packet buffers', () => {
  it('never overlap, keep their contents, and all come back (random alloc and free)', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({ size: fc.constantFrom(0, 60, 1984, 1985, 9000, 65000), free: fc.nat(9) }),
          {
            maxLength: 60,
          },
        ),
        (steps) => {
          const kernel = host(2 << 20);
          const live: { skb: SkBuff; mark: number }[] = [];
          let mark = 0;
          for (const { size, free } of steps) {
            const skb = kernel.alloc_skb(size);
            if (skb !== null) {
              mark = (mark + 1) & 0xff;
              skb.bytes.fill(mark, skb.headAt, skb.headAt + skb.truesizeBytes);
              expect(skb.headAt % 2048).toBe(0);
              live.push({ skb, mark });
            }
            if (free < 5 && live.length > 0) {
              const [gone] = live.splice(free % live.length, 1);
              kernel.free_skb(gone.skb);
            }
          }
          for (const { skb, mark: expected } of live) {
            const whole = skb.bytes.subarray(skb.headAt, skb.headAt + skb.truesizeBytes);
            expect(whole.every((byte) => byte === expected)).toBe(true);
          }
          expect(kernel.skbs.liveCount).toBe(live.length);
          for (const { skb } of live) kernel.free_skb(skb);
          expect(kernel.skbs.liveCount).toBe(0);
          expect([...kernel.buffers.liveCount]).toEqual(BUFFER_CLASS_BYTES.map(() => 0));
        },
      ),
      { seed: 42, numRuns: 200 },
    );
  });

  it('throws on a double free and answers null when memory is exhausted', () => {
    const kernel = host(1 << 16);
    const skb = must(kernel.alloc_skb(100));
    kernel.free_skb(skb);
    expect(() => {
      kernel.free_skb(skb);
    }).toThrow(/free already/);
    expect(() => {
      kernel.buffers.free(skb.headAt);
    }).toThrow(/double free/);
    expect(() => {
      kernel.buffers.free(100);
    }).toThrow(/no live buffer/);
    let count = 0;
    while (kernel.alloc_skb(100) !== null) count++;
    expect(count).toBe(32);
    expect(kernel.buffers.failedCount).toBe(1);
    expect(kernel.alloc_skb(1 << 20)).toBeNull();
  });

  it('gives handles back clean', () => {
    const kernel = host();
    const skb = must(kernel.alloc_skb(100));
    const fresh = { ...must(kernel.alloc_skb(100)), bytes: 0, headAt: 0, at: 0, poolIndex: 0 };
    let put = 0;
    kernel.onSkbFree = () => put++;
    Object.assign(skb, { mark: 5, vlanTci: 3, nfct: {}, packetId: 9, rxQueue: 2, mergedIds: [1] });
    kernel.free_skb(skb);
    expect(put).toBe(1);
    const again = must(kernel.alloc_skb(100));
    expect(again).toBe(skb);
    expect({ ...again, bytes: 0, headAt: 0, at: 0, poolIndex: 0 }).toEqual(fresh);
  });

  it('reuses coherent memory, zeroed, and refuses a double free', () => {
    const kernel = host();
    const ring = must(kernel.dma_alloc_coherent(8192));
    ring.bytes.fill(0xff, ring.at, ring.at + 8192);
    kernel.dma_free_coherent(ring);
    expect(() => {
      kernel.dma_free_coherent(ring);
    }).toThrow(/double free/);
    const again = must(kernel.dma_alloc_coherent(8192));
    expect(again.iova).toBe(ring.iova);
    expect(again.iova % 4096).toBe(0);
    expect(again.bytes.subarray(again.at, again.at + 8192).every((byte) => byte === 0)).toBe(true);
  });
});

describe('work queues', () => {
  function run(kernel: Kernel): void {
    for (let i = 0; i < 10_000 && kernel.scheduler.runNext(); i++);
  }

  it('runs an ordered queue one item at a time, also when items sleep', () => {
    const kernel = host();
    const queue = kernel.alloc_workqueue('ordered');
    const log: string[] = [];
    for (const [name, sleepPs] of [
      ['a', 5e6],
      ['b', 0],
      ['c', 1e6],
    ] as const)
      kernel.queue_work(queue, (done) => {
        log.push(`${name}+`);
        kernel.scheduler.at(kernel.scheduler.nowPs + sleepPs, () => {
          log.push(`${name}-`);
          done();
        });
      });
    run(kernel);
    expect(log).toEqual(['a+', 'a-', 'b+', 'b-', 'c+', 'c-']);
    expect(queue.pendingCount).toBe(0);
  });

  it('runs items concurrently up to maxActive, started in order, delayed ones later', () => {
    const kernel = host();
    const queue = kernel.alloc_workqueue('unbound', 2);
    const log: string[] = [];
    const item =
      (name: string) =>
      (done: () => void): void => {
        log.push(`${name}+`);
        kernel.scheduler.at(kernel.scheduler.nowPs + 10e6, () => {
          log.push(`${name}-`);
          done();
        });
      };
    kernel.queue_work(queue, item('late'), 1e9);
    kernel.queue_work(queue, item('a'));
    kernel.queue_work(queue, item('b'));
    kernel.queue_work(queue, item('c'));
    run(kernel);
    expect(log).toEqual(['a+', 'b+', 'a-', 'b-', 'c+', 'c-', 'late+', 'late-']);
  });

  it('throws when an item finishes twice', () => {
    const kernel = host();
    kernel.queue_work(kernel.alloc_workqueue('twice'), (done) => {
      done();
      done();
    });
    expect(() => {
      run(kernel);
    }).toThrow(/done twice/);
  });
});
