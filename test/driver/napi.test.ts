// NAPI, cores and budgets against spec/tun-and-flow-offload.md D.5 and E.6 (89, 90).

import { describe, expect, it } from 'vitest';
import { Kernel } from '../../driver/kernel.ts';
import { NETDEV_BUDGET } from '../../driver/host-core.ts';
import { HostMemory } from '../../hw/dma/host-memory.ts';
import { Scheduler } from '../../hw/time/scheduler.ts';
import { DummyNic, numberedFrame } from '../support/dummy-nic.ts';

function host(coreCount = 1): Kernel {
  return new Kernel({ scheduler: new Scheduler(), memory: new HostMemory(4 << 20), coreCount });
}

function run(kernel: Kernel): void {
  for (let i = 0; i < 100_000 && kernel.scheduler.runNext(); i++);
}

describe('NAPI', () => {
  it('polls 200 packets as 64, 64, 64, 8 and unmasks only after the last (E.6 89)', () => {
    const kernel = host();
    const nic = new DummyNic(kernel);
    for (let n = 0; n < 200; n++) nic.rx.push(numberedFrame(n));
    nic.raise();
    nic.raise(); // masked: no second interrupt
    run(kernel);
    expect(nic.events).toEqual(['poll 64', 'poll 64', 'poll 64', 'poll 8', 'complete', 'unmask']);
    expect(kernel.cores[0].irqCount).toBe(1);
    expect(kernel.skbs.liveCount).toBe(0);
    expect(nic.dev.state?.rxDropped).toBe(200); // no stack attached: freed and counted
  });

  it('asks once more without completing when scheduled while polled (MISSED)', () => {
    const kernel = host();
    const nic = new DummyNic(kernel);
    let asked = false;
    kernel.rxHandler = {
      receive: (skb) => {
        if (!asked) kernel.napi_schedule(nic.napi);
        asked = true;
        kernel.free_skb(skb);
      },
    };
    nic.rx.push(numberedFrame(1));
    nic.raise();
    run(kernel);
    expect(nic.events).toEqual(['poll 1', 'complete', 'poll 0', 'complete', 'unmask']);
  });

  it('logs a poll above its budget once', () => {
    const kernel = host();
    const nic = new DummyNic(kernel);
    nic.overReport = 1;
    for (let n = 0; n < 150; n++) nic.rx.push(numberedFrame(n));
    nic.raise();
    run(kernel);
    expect(kernel.log.filter((line) => line.text.includes('exceeding its budget'))).toHaveLength(1);
    expect(nic.polls).toEqual([64, 64, 22]);
  });

  it('squeezes with 10 busy NAPIs and starves none (E.6 90)', () => {
    const kernel = host();
    const nics = Array.from({ length: 10 }, () => new DummyNic(kernel));
    for (const nic of nics) {
      nic.endless = true;
      nic.raise();
    }
    for (let i = 0; i < 1000; i++) kernel.scheduler.runNext();
    const core = kernel.cores[0];
    expect(core.timeSqueeze).toBeGreaterThan(100);
    // 300 packets and polls of 64: a run ends after its fifth poll.
    expect(core.pollCount / core.timeSqueeze).toBeCloseTo(Math.ceil(NETDEV_BUDGET / 64), 0);
    const counts = nics.map((nic) => nic.polls.length);
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
  });

  it('lets work items run beside endless softirqs', () => {
    const kernel = host();
    const nic = new DummyNic(kernel);
    nic.endless = true;
    nic.raise();
    let ran = 0;
    const queue = kernel.alloc_workqueue('test');
    for (let i = 0; i < 5; i++)
      kernel.queue_work(queue, (done) => {
        ran++;
        done();
      });
    for (let i = 0; i < 100; i++) kernel.scheduler.runNext();
    expect(ran).toBe(5);
  });

  it('ends on napi_disable and ignores schedules until napi_enable', () => {
    const kernel = host();
    const nic = new DummyNic(kernel);
    nic.endless = true;
    nic.raise();
    for (let i = 0; i < 10; i++) kernel.scheduler.runNext();
    kernel.napi_disable(nic.napi);
    const polled = nic.polls.length;
    kernel.napi_schedule(nic.napi);
    run(kernel);
    expect(nic.polls).toHaveLength(polled);
    nic.endless = false;
    kernel.napi_enable(nic.napi);
    kernel.napi_schedule(nic.napi);
    run(kernel);
    expect(nic.polls).toHaveLength(polled + 1);
  });
});

describe('HostCore', () => {
  it('is busy for what is charged, and starts later work when it is free', () => {
    const kernel = host(2);
    const starts: number[] = [];
    const task = (): void => {
      starts.push(kernel.scheduler.nowPs);
      kernel.charge(1_000_000);
    };
    kernel.inContext(0, task);
    kernel.inContext(0, task);
    kernel.inContext(1, task);
    expect(starts).toEqual([0, 1_000_000, 0]);
    expect(kernel.scheduler.nowPs).toBe(0);
    expect(kernel.cores[0].freePs).toBe(2_000_000);
    expect(kernel.cores[0].utilisation(4_000_000)).toBe(0.5);
    expect(kernel.cores[1].utilisation(4_000_000)).toBe(0.25);
  });

  it('handles an interrupt after the step that runs, at the latest', () => {
    const kernel = host();
    let atPs = -1;
    kernel.request_irq(0, 1, () => (atPs = kernel.scheduler.nowPs), 0);
    kernel.scheduler.at(0, () => {
      kernel.inContext(0, () => {
        kernel.charge(50_000_000);
      });
    });
    kernel.scheduler.at(10_000_000, () => {
      kernel.interrupt(0, 1);
    });
    run(kernel);
    expect(atPs).toBeGreaterThanOrEqual(50_000_000);
    expect(atPs).toBeLessThan(52_000_000);
  });

  it('publishes device state before it works', () => {
    const kernel = host();
    const synced: number[] = [];
    kernel.syncDevices = (nowPs) => synced.push(nowPs);
    const nic = new DummyNic(kernel);
    for (let n = 0; n < 100; n++) nic.rx.push(numberedFrame(n));
    nic.raise();
    run(kernel);
    expect(synced).toHaveLength(2); // once per poll
    expect(synced[1]).toBeGreaterThan(synced[0]);
  });
});

describe('softirq limits', () => {
  it('ends a run after netdev_budget packets', () => {
    const kernel = host();
    kernel.softirqLimits.budgetPackets = 64;
    const nics = Array.from({ length: 2 }, () => new DummyNic(kernel));
    for (const nic of nics) {
      nic.endless = true;
      nic.raise();
    }
    for (let i = 0; i < 100; i++) kernel.scheduler.runNext();
    const core = kernel.cores[0];
    expect(core.timeSqueeze).toBe(core.pollCount); // every poll uses a run's budget up
  });
});

describe('deferred interrupts', () => {
  it('polls by timer while packets come, and unmasks after N empty polls (napi_defer_hard_irqs)', () => {
    const kernel = host();
    const nic = new DummyNic(kernel);
    nic.napi.deferral = nic.dev.napiDeferral;
    nic.dev.napiDeferral.napiDeferHardIrqs = 2;
    nic.dev.napiDeferral.groFlushTimeoutPs = 20e6;
    const arrivals = [0, 10e6, 30e6];
    for (const [n, atPs] of arrivals.entries())
      kernel.scheduler.at(atPs, () => {
        nic.rx.push(numberedFrame(n));
        nic.raise();
      });
    run(kernel);
    // Interrupt, then timer polls 20 us apart: packets 2 and 3, two empty ones, and back to interrupts.
    expect(nic.events).toEqual([
      ...['poll 1', 'complete', 'poll 1', 'complete', 'poll 1', 'complete'],
      ...['poll 0', 'complete', 'poll 0', 'complete', 'unmask'],
    ]);
    expect(kernel.cores[0].irqCount).toBe(1);
    expect(nic.napi.deferredPolls).toBe(4);
  });

  it('forgets its timer when the NAPI is disabled', () => {
    const kernel = host();
    const nic = new DummyNic(kernel);
    nic.napi.deferral = { napiDeferHardIrqs: 5, groFlushTimeoutPs: 20e6 };
    nic.rx.push(numberedFrame(1));
    nic.raise();
    kernel.scheduler.runUntil(10e6);
    kernel.napi_disable(nic.napi);
    run(kernel);
    expect(nic.polls).toEqual([1]);
  });
});

describe('busy polling', () => {
  it('finds packets without an interrupt, eight at a time, and gives the NAPI back', () => {
    const kernel = host(2);
    const nic = new DummyNic(kernel);
    kernel.busyReadUs = 50;
    kernel.scheduler.at(20e6, () => {
      for (let n = 0; n < 12; n++) nic.rx.push(numberedFrame(n));
    });
    const ends: [number, boolean, number][] = [];
    let received = 0;
    kernel.rxHandler = {
      receive: (skb) => {
        received++;
        kernel.free_skb(skb);
      },
    };
    const started = kernel.napi_busy_loop(
      nic.napi,
      1,
      () => received === 12,
      (packets, done) => ends.push([packets, done, kernel.scheduler.nowPs]),
    );
    expect(started).toBe(true);
    expect(
      kernel.napi_busy_loop(
        nic.napi,
        0,
        () => false,
        () => undefined,
      ),
    ).toBe(false);
    run(kernel);
    expect(ends).toHaveLength(1);
    expect(ends[0].slice(0, 2)).toEqual([12, true]);
    expect(ends[0][2]).toBeLessThan(30e6);
    expect(nic.polls.filter((work) => work > 0)).toEqual([8, 4]);
    expect(kernel.cores[0].irqCount + kernel.cores[1].irqCount).toBe(0);
    expect(nic.events.slice(-2)).toEqual(['complete', 'unmask']);
    expect(nic.napi.scheduled).toBe(false);
  });

  it('ends when the time is up', () => {
    const kernel = host();
    const nic = new DummyNic(kernel);
    let end = -1;
    kernel.napi_busy_loop(
      nic.napi,
      0,
      () => false,
      () => (end = kernel.scheduler.nowPs),
      30e6,
    );
    run(kernel);
    expect(end).toBeGreaterThanOrEqual(30e6);
    expect(end).toBeLessThan(31e6);
  });
});
