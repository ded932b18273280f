// The same ring tests for two drivers: the reference driver on its kernel, and one written from the register document only, which
// polls and brings its own memory.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ForeignHost } from '../../driver/foreign-host.ts';
import { HostMemory } from '../../hw/dma/host-memory.ts';
import { genericNic } from '../../hw/models.ts';
import { Nic } from '../../hw/nic.ts';
import { Scheduler } from '../../hw/time/scheduler.ts';
import { MinimalDriver } from '../support/minimal-driver.ts';
import { ipFrame, TwinRig } from '../support/twin-rig.ts';

const SLOTS = 64;
const MAC = Uint8Array.of(2, 0x66, 0x74, 0, 0, 0);

/** One driver with its machine, port 0. */
interface Subject {
  /** A frame arrives on the wire now. */
  arrive(frame: Uint8Array): void;
  /** Time passes; a driver that polls does so every 5 us, unless it is held. */
  pass(us: number): void;
  /** While held, the driver takes nothing from its receive ring. */
  hold(isHeld: boolean): void;
  /** False when the driver has no room. */
  send(frame: Uint8Array): boolean;
  stop(): void;
  start(): void;
  /** What the driver passed up, and what left the port. */
  received: Uint8Array[];
  sent: Uint8Array[];
  drops: number;
  nic: Nic;
}

function minimalSubject(): Subject {
  const scheduler = new Scheduler();
  const memory = new HostMemory(0);
  const host = new ForeignHost(scheduler, memory);
  const sent: Uint8Array[] = [];
  const nic = new Nic(genericNic(), {
    scheduler,
    memory,
    msix: host,
    observer: {
      onEgress: ({ bytes, at, lenBytes }) => void sent.push(bytes.slice(at, at + lenBytes)),
      onDrop: () => void subject.drops++,
      onRx: () => undefined,
    },
  });
  host.sync = (nowPs) => nic.sync(nowPs);
  const bar = host.bar(nic.functions[0].bar0);
  const driver = new MinimalDriver(
    {
      read32: (offset) => bar.read32(offset),
      write32: (offset, value) => bar.write32(offset, value),
      map: (buffer) => host.map(buffer),
      usleep: (us) => host.usleep(us),
    },
    SLOTS,
  );
  driver.start();
  expect(driver.mac).toEqual(MAC);
  let isHeld = false;
  const subject: Subject = {
    nic,
    sent,
    received: [],
    drops: 0,
    arrive: (frame) => nic.frameIn(0, scheduler.nowPs, frame, 0, frame.length, -1),
    pass: (us) => {
      for (let left = us; left > 0; left -= 5) {
        host.usleep(Math.min(left, 5));
        if (!isHeld) subject.received.push(...driver.poll(32));
      }
    },
    hold: (held) => (isHeld = held),
    send: (frame) => driver.send(frame),
    stop: () => driver.stop(),
    start: () => driver.start(),
  };
  return subject;
}

function referenceSubject(): Subject {
  const rig = new TwinRig({ queues: 1, rxSlots: SLOTS, txSlots: SLOTS, maxMtuBytes: 9000 });
  const dev = rig.devs[0];
  dev.mtuBytes = 9000;
  rig.up();
  const { kernel } = rig;
  kernel.rxHandler = {
    receive: (skb) => {
      // The kernel has taken the Ethernet header off.
      subject.received.push(skb.bytes.slice(skb.macAt, skb.at + skb.lenBytes));
      kernel.free_skb(skb);
    },
  };
  const subject: Subject = {
    nic: rig.nic,
    received: [],
    get sent() {
      return rig.sent.filter((frame) => frame.portIndex === 0).map((frame) => frame.bytes);
    },
    get drops() {
      return [...rig.fates.values()].flat().filter((fate) => fate.startsWith('hw:')).length;
    },
    arrive: (frame) => void rig.inject(0, frame),
    pass: (us) => rig.advance(us * 1e6),
    // A core that is busy polls nothing.
    hold: (isHeld) => {
      if (isHeld) kernel.cores[0].interrupt(() => kernel.udelay(3000));
    },
    send: (frame) => {
      const headAt = kernel.buffers.alloc(kernel.buffers.classFor(frame.length + 256));
      const skb = kernel.build_skb(headAt, 16384, headAt + 128, frame.length);
      skb.bytes.set(frame, skb.at);
      return kernel.dev_queue_xmit(skb, dev) >= 0;
    },
    stop: () => void kernel.dev_close(dev),
    start: () => {
      kernel.dev_open(dev);
      rig.advance(1e9);
    },
  };
  return subject;
}

const frameOf = (lenBytes: number, fill: number): Uint8Array =>
  ipFrame({ dst: MAC, lenBytes, fill, srcIp: 0x0a000101 + (fill % 50) });

describe.each([
  ['the reference driver', referenceSubject],
  ['a driver from the register document', minimalSubject],
])('%s', (_name, make) => {
  it('receives every frame in order and unchanged, over several laps of the ring', () => {
    const s = make();
    const frames = Array.from({ length: 300 }, (_, n) => frameOf(60 + ((n * 37) % 1441), n & 255));
    for (const frame of frames) {
      s.arrive(frame);
      s.pass(5);
    }
    s.pass(200);
    expect(s.received).toEqual(frames);
    expect(s.drops).toBe(0);
    s.nic.checkInvariants();
  });

  it('receives frames of several descriptors', () => {
    const s = make();
    const frames = [2048, 2049, 4096, 5000, 9000, 60].map((lenBytes, n) => frameOf(lenBytes, n));
    for (const frame of frames) {
      s.arrive(frame);
      s.pass(50);
    }
    s.pass(200);
    expect(s.received).toEqual(frames);
  });

  it('sends every frame unchanged and padded, over several laps of the ring', () => {
    const s = make();
    const frames = Array.from({ length: 300 }, (_, n) => frameOf(60 + ((n * 53) % 1441), n & 255));
    for (const frame of frames) {
      while (!s.send(frame)) s.pass(5);
      s.pass(1);
    }
    s.send(frameOf(60, 1).subarray(0, 42));
    s.pass(500);
    expect(s.sent.slice(0, 300)).toEqual(frames);
    expect(s.sent[300].length).toBe(60);
    expect(s.sent[300].subarray(42)).toEqual(new Uint8Array(18));
    s.nic.checkInvariants();
  });

  it('loses what overflows the ring, counts it, and goes on', () => {
    const s = make();
    s.hold(true);
    s.pass(10);
    const frames = Array.from({ length: 100 }, (_, n) => frameOf(100, n));
    for (const frame of frames) s.arrive(frame);
    s.pass(200);
    s.hold(false);
    s.pass(10_000);
    const kept = s.received.length;
    expect(kept).toBeGreaterThanOrEqual(SLOTS - 2);
    expect(kept + s.drops).toBe(100);
    expect(s.received).toEqual(frames.slice(0, kept));
    const last = frameOf(777, 9);
    s.arrive(last);
    s.pass(500);
    expect(s.received.at(-1)).toEqual(last);
    s.nic.checkInvariants();
  });

  it('stops and starts again with frames under way', () => {
    const s = make();
    for (let round = 0; round < 4; round++) {
      for (let n = 0; n < 20; n++) {
        s.arrive(frameOf(200, n));
        s.send(frameOf(300, n));
      }
      s.stop();
      s.pass(100);
      s.start();
      const frame = frameOf(400 + round, round);
      s.arrive(frame);
      s.pass(500);
      expect(s.received.at(-1)).toEqual(frame);
      s.nic.checkInvariants();
    }
  });

  it('whatever arrives and is sent when: in order, unchanged, or counted', () => {
    const step = fc.record({
      arrive: fc.integer({ min: 0, max: 40 }),
      send: fc.integer({ min: 0, max: 12 }),
      lenBytes: fc.constantFrom(60, 61, 64, 1500, 1514, 2048, 3000),
      pauseUs: fc.constantFrom(0, 1, 7, 60, 400),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const s = make();
        const given: Uint8Array[] = [];
        const posted: Uint8Array[] = [];
        for (const { arrive, send, lenBytes, pauseUs } of steps) {
          for (let n = 0; n < arrive; n++) {
            given.push(frameOf(lenBytes, given.length & 255));
            s.arrive(given[given.length - 1]);
          }
          for (let n = 0; n < send; n++) {
            const frame = frameOf(lenBytes, posted.length & 255);
            if (s.send(frame)) posted.push(frame);
          }
          s.pass(pauseUs);
        }
        s.pass(3000);
        expect(s.sent).toEqual(posted);
        expect(s.received.length + s.drops).toBe(given.length);
        let at = 0;
        for (const frame of s.received) {
          while (Buffer.compare(given[at], frame) !== 0) at++;
          at++;
        }
        s.nic.checkInvariants();
      }),
      { numRuns: 12 },
    );
  });
});
