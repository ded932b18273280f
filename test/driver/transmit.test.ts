// The transmit side of the core against spec/tun-and-flow-offload.md D.1, D.2 and E.6 (87, 88).

import { describe, expect, it } from 'vitest';
import { ENETDOWN } from '../../driver/errno.ts';
import { Kernel } from '../../driver/kernel.ts';
import { KernelDrop, NET_XMIT_DROP, NET_XMIT_SUCCESS } from '../../driver/transmit.ts';
import type { SkBuff } from '../../driver/skb.ts';
import { HostMemory } from '../../hw/dma/host-memory.ts';
import { Scheduler } from '../../hw/time/scheduler.ts';
import { DummyNic, numberedFrame } from '../support/dummy-nic.ts';
import { must } from '../support/must.ts';

interface Host {
  kernel: Kernel;
  drops: number[];
}

function host(): Host {
  const kernel = new Kernel({ scheduler: new Scheduler(), memory: new HostMemory(4 << 20) });
  const drops: number[] = [];
  kernel.onDrop = (_skb, reason) => drops.push(reason);
  return { kernel, drops };
}

function packet(kernel: Kernel, n: number): SkBuff {
  const skb = must(kernel.alloc_skb(60));
  skb.bytes.set(numberedFrame(n), skb.at);
  skb.lenBytes = 60;
  return skb;
}

function run(kernel: Kernel): void {
  for (let i = 0; i < 100_000 && kernel.scheduler.runNext(); i++);
}

describe('dev_queue_xmit', () => {
  it('requeues after NETDEV_TX_BUSY: counted, in order, nothing lost (E.6 87)', () => {
    const { kernel, drops } = host();
    const nic = new DummyNic(kernel);
    kernel.dev_open(nic.dev);
    nic.busyCount = 3;
    for (let n = 0; n < 5; n++)
      expect(kernel.dev_queue_xmit(packet(kernel, n), nic.dev)).toBe(NET_XMIT_SUCCESS);
    expect(nic.sent).toEqual([]);
    run(kernel);
    expect(nic.sent).toEqual([0, 1, 2, 3, 4]);
    expect(kernel.txQueues(nic.dev)[0].requeueCount).toBe(3);
    expect(drops).toEqual([]);
    expect(kernel.skbs.liveCount).toBe(0);
  });

  it('drops BUSY on a device without queue and answers ENETDOWN (E.6 87)', () => {
    const { kernel, drops } = host();
    const nic = new DummyNic(kernel);
    nic.dev.txqueuelen = 0;
    kernel.dev_open(nic.dev);
    nic.busyCount = 1;
    expect(kernel.dev_queue_xmit(packet(kernel, 1), nic.dev)).toBe(-ENETDOWN);
    expect(drops).toEqual([KernelDrop.TX_ERROR]);
    expect(kernel.dev_get_stats(nic.dev).tx_dropped).toBe(1);
    expect(kernel.log.at(-1)?.text).toMatch(/asks to queue packet/);
  });

  it('takes queue 0 for an answer beyond the queues, with one warning (E.6 88)', () => {
    const { kernel } = host();
    const nic = new DummyNic(kernel, 'd%d', 4, { ndo_select_queue: () => 9 });
    kernel.dev_open(nic.dev);
    for (let n = 0; n < 3; n++) kernel.dev_queue_xmit(packet(kernel, n), nic.dev);
    expect(nic.sentQueues).toEqual([0, 0, 0]);
    const warning = 'd0 selects TX queue 9, but real number of TX queues is 4';
    expect(kernel.log.filter((line) => line.text === warning)).toHaveLength(1);
  });

  it('does not ask ndo_select_queue with one queue (E.6 88)', () => {
    const { kernel } = host();
    let asked = 0;
    const nic = new DummyNic(kernel, 'd%d', 1, { ndo_select_queue: () => asked++ });
    kernel.dev_open(nic.dev);
    kernel.dev_queue_xmit(packet(kernel, 0), nic.dev);
    expect(asked).toBe(0);
  });

  it('brings the recorded rx queue below the count, else scales the hash (D.2)', () => {
    const { kernel } = host();
    const nic = new DummyNic(kernel, 'd%d', 4);
    kernel.dev_open(nic.dev);
    const send = (rxQueue: number, hash: number): void => {
      const skb = packet(kernel, 0);
      skb.rxQueue = rxQueue;
      skb.hash = hash;
      kernel.dev_queue_xmit(skb, nic.dev);
    };
    send(3, 0); // recorded queue 2
    send(12, 0); // recorded queue 11 = 3 modulo 4
    send(0, 0x7fffffff | 0); // reciprocal_scale: (h * 4) >> 32
    send(0, 0xffffffff | 0);
    send(0, 0x40000000);
    expect(nic.sentQueues).toEqual([2, 3, 1, 3, 1]);
  });

  it('queues while stopped, drops above txqueuelen, drains in order on wake', () => {
    const { kernel, drops } = host();
    const nic = new DummyNic(kernel);
    kernel.dev_open(nic.dev);
    nic.dev.txqueuelen = 4;
    kernel.netif_tx_stop_queue(nic.dev, 0);
    const answers = [0, 1, 2, 3, 4, 5].map((n) =>
      kernel.dev_queue_xmit(packet(kernel, n), nic.dev),
    );
    expect(answers).toEqual([0, 0, 0, 0, NET_XMIT_DROP, NET_XMIT_DROP]);
    expect(drops).toEqual([KernelDrop.QDISC_FULL, KernelDrop.QDISC_FULL]);
    kernel.netif_tx_wake_queue(nic.dev, 0);
    expect(nic.sent).toEqual([0, 1, 2, 3]);
    expect(kernel.txQueues(nic.dev)[0].dropCount).toBe(2);
  });

  it('drops on a device that is down or without carrier, and what waited when it is closed', () => {
    const { kernel, drops } = host();
    const nic = new DummyNic(kernel);
    expect(kernel.dev_queue_xmit(packet(kernel, 0), nic.dev)).toBe(-ENETDOWN);
    kernel.dev_open(nic.dev);
    kernel.netif_carrier_off(nic.dev);
    kernel.dev_queue_xmit(packet(kernel, 1), nic.dev);
    kernel.netif_carrier_on(nic.dev);
    kernel.netif_tx_stop_queue(nic.dev, 0);
    kernel.dev_queue_xmit(packet(kernel, 2), nic.dev);
    kernel.dev_close(nic.dev);
    expect(drops).toEqual([KernelDrop.DEV_DOWN, KernelDrop.DEV_DOWN, KernelDrop.DEV_DOWN]);
    expect(nic.sent).toEqual([]);
    expect(kernel.skbs.liveCount).toBe(0);
  });

  it('gathers packets of one step for one doorbell when asked to', () => {
    const { kernel } = host();
    const more: boolean[] = [];
    const nic = new DummyNic(kernel, 'd%d', 1, {
      ndo_start_xmit: (skb) => {
        more.push(kernel.netdev_xmit_more());
        kernel.free_skb(skb);
        return 0;
      },
    });
    kernel.dev_open(nic.dev);
    kernel.transmit.bulk = 16;
    kernel.inContext(0, () => {
      for (let n = 0; n < 5; n++) kernel.dev_queue_xmit(packet(kernel, n), nic.dev);
      expect(more).toEqual([]);
    });
    expect(more).toEqual([true, true, true, true, false]);
  });

  it('notes the packet id beside the buffer for the device', () => {
    const { kernel } = host();
    const owners: number[] = [];
    const nic = new DummyNic(kernel, 'd%d', 1, {
      ndo_start_xmit: (skb) => {
        owners.push(kernel.memory.ownerAt(kernel.iovaOf(skb.at)));
        kernel.free_skb(skb);
        return 0;
      },
    });
    kernel.dev_open(nic.dev);
    for (const id of [7, -1]) {
      const skb = packet(kernel, 0);
      skb.packetId = id;
      kernel.dev_queue_xmit(skb, nic.dev);
    }
    expect(owners).toEqual([7, -1]);
  });
});
