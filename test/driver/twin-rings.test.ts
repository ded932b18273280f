// The reference driver on the real device model: the data path through rings, NAPI and doorbells.

import { describe, expect, it } from 'vitest';
import { KernelDrop } from '../../driver/transmit.ts';
import { twinAdapter } from '../../driver/twin/adapter.ts';
import { twinReinit, twinRemove } from '../../driver/twin/probe.ts';
import type { SkBuff } from '../../driver/skb.ts';
import { TwinRig, ethtoolStat, fateCounts, ipFrame } from '../support/twin-rig.ts';
import { must } from '../support/must.ts';

/** Frames of 60 to 1500 bytes over many flows. */
function mixedFrames(rig: TwinRig, count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, n) =>
    ipFrame({
      dst: rig.devs[0].mac,
      lenBytes: 60 + ((n * 37) % 1441),
      srcIp: 0x0a000101 + (n % 97),
      fill: n & 0xff,
    }),
  );
}

/** Nothing is left in the kernel but the buffers that fill the receive rings. */
function expectNoLeak(rig: TwinRig): void {
  expect(rig.kernel.skbs.liveCount).toBe(0);
  for (const dev of rig.devs) rig.kernel.dev_close(dev);
  expect([...rig.kernel.buffers.liveCount]).toEqual([0, 0, 0, 0]);
}

describe('probe', () => {
  it('finds address, queues and carrier, and takes everything back', () => {
    const rig = new TwinRig({ queues: 2 });
    expect(rig.devs.map((dev) => dev.name)).toEqual(['eth0', 'eth1']);
    expect([...rig.devs[0].mac]).not.toEqual([...rig.devs[1].mac]);
    expect(rig.devs.map((dev) => dev.realNumRxQueues)).toEqual([2, 2]);
    expect(rig.devs.map((dev) => dev.carrier)).toEqual([false, false]);
    rig.up();
    expect(rig.devs.map((dev) => dev.carrier)).toEqual([true, true]);
    expect(rig.devs[0].ethtoolOps?.get_drvinfo?.(rig.devs[0]).bus_info).toBe('0000:01:00.0');
    for (const dev of rig.devs) twinRemove(dev);
    expect([...rig.kernel.buffers.liveCount]).toEqual([0, 0, 0, 0]);
    expect(rig.kernel.buffers.coherentBytes).toBe(0);
    expect(rig.kernel.netdevs()).toEqual([]);
  });
});

describe('receive and transmit', () => {
  it('carries every frame up and out unchanged, over several ring laps', () => {
    const rig = new TwinRig({ queues: 2, rxSlots: 64, txSlots: 64 }).up().bridge();
    const frames = mixedFrames(rig, 600);
    for (const frame of frames) rig.inject(0, frame, 3e6);
    rig.advance(1e9);
    expect(fateCounts(rig)).toEqual({ egress: 600 });
    for (const out of rig.sent) {
      expect(out.portIndex).toBe(1);
      expect(out.bytes).toEqual(frames[out.packetId]);
    }
    const [eth0, eth1] = rig.devs;
    expect(rig.kernel.dev_get_stats(eth0).rx_packets).toBe(600);
    expect(rig.kernel.dev_get_stats(eth1).tx_packets).toBe(600);
    const bytes = frames.reduce((sum, frame) => sum + frame.length, 0);
    expect(rig.kernel.dev_get_stats(eth0).rx_bytes).toBe(bytes);
    expect(ethtoolStat(eth0, 'rx_pkts_nic')).toBe(600);
    expect(ethtoolStat(eth1, 'tx_pkts_nic')).toBe(600);
    const perQueue = [0, 1].map((q) => ethtoolStat(eth0, `rx_queue_${q}_packets`));
    expect(perQueue[0] + perQueue[1]).toBe(600);
    expect(Math.min(...perQueue)).toBeGreaterThan(100);
    rig.nic.checkInvariants();
    expectNoLeak(rig);
  });

  it('keeps the order within a flow', () => {
    const rig = new TwinRig({ queues: 2 }).up().bridge();
    for (let n = 0; n < 300; n++)
      rig.inject(0, ipFrame({ dst: rig.devs[0].mac, srcIp: 0x0a000101 + (n % 3) }), 100e3);
    rig.advance(1e9);
    for (const flow of [0, 1, 2]) {
      const ids = rig.sent.map((out) => out.packetId).filter((id) => id % 3 === flow);
      expect(ids).toHaveLength(100);
      expect(ids).toEqual([...ids].sort((a, b) => a - b));
    }
  });

  it('fills the packet handle: queue, hash, checksum verdict, type', () => {
    const rig = new TwinRig({ queues: 2 }).up();
    const seen: Partial<SkBuff>[] = [];
    rig.kernel.rxHandler = {
      receive: (skb) => {
        const { rxQueue, hash, protocol, pktType, packetId, iif, at, macAt, networkAt } = skb;
        seen.push({ rxQueue, hash, protocol, pktType, packetId, iif });
        expect([macAt, networkAt]).toEqual([at, at + 14]);
        rig.kernel.free_skb(skb);
      },
    };
    // spec/hardware.md 2.1, first row: TCP 66.9.149.187:2794 -> 161.142.100.80:1766, hash 0x51ccc178.
    const tcp = ipFrame({
      dst: rig.devs[0].mac,
      proto: 6,
      srcIp: 0x420995bb,
      dstIp: 0xa18e6450,
      sport: 2794,
      dport: 1766,
    });
    const id = rig.inject(0, tcp);
    const broadcast = ipFrame({ dst: new Uint8Array(6).fill(0xff) });
    rig.inject(0, broadcast, 1e9);
    rig.advance(1e9);
    expect(seen).toHaveLength(2);
    expect(must(seen[0].hash) >>> 0).toBe(0x51ccc178);
    expect(seen[0]).toMatchObject({ protocol: 0x0800, pktType: 0, packetId: id, iif: 2 });
    expect(seen[0].rxQueue).toBe(((0x51ccc178 & 127) % 2) + 1);
    expect(seen[1].pktType).toBe(1);
  });

  it('strips a VLAN tag on the way up and inserts it on the way down', () => {
    const rig = new TwinRig({ queues: 1 }).up();
    const tcis: number[] = [];
    rig.kernel.rxHandler = {
      receive: (skb) => {
        tcis.push(skb.vlanTci);
        rig.kernel.dev_queue_xmit(skb, rig.devs[1]);
      },
    };
    const frames = [undefined, 5, 5, 0x2007, undefined, 9].map((vlan) =>
      ipFrame({ dst: rig.devs[0].mac, lenBytes: 100, ...(vlan === undefined ? {} : { vlan }) }),
    );
    for (const frame of frames) rig.inject(0, frame, 1e6);
    rig.advance(1e9);
    expect(tcis).toEqual([-1, 5, 5, 0x2007, -1, 9]);
    expect(rig.sent.map((out) => out.bytes)).toEqual(frames);
  });

  it('takes interrupts per burst, not per packet, when frames come fast', () => {
    const rig = new TwinRig({ queues: 1 }).up().bridge();
    for (let n = 0; n < 1000; n++) rig.inject(0, ipFrame({ dst: rig.devs[0].mac }), 100e3);
    rig.advance(1e9);
    expect(fateCounts(rig)).toEqual({ egress: 1000 });
    expect(rig.kernel.cores[0].irqCount).toBeLessThan(300);
    expect(rig.kernel.cores[0].pollCount).toBeLessThan(400);
  });
});

describe('limits', () => {
  it('loses frames to a ring without descriptors when the core is too slow, all counted', () => {
    const rig = new TwinRig({
      queues: 2,
      rxSlots: 64,
      host: { coreCount: 1, frequencyMhz: 200 },
    })
      .up()
      .bridge();
    for (let n = 0; n < 2000; n++) {
      const srcIp = 0x0a000101 + (n % 50);
      rig.inject(0, ipFrame({ dst: rig.devs[0].mac, srcIp }), 67.2e3);
    }
    rig.advance(100e9);
    const counts = fateCounts(rig);
    const lost = counts['hw:no-descriptor'] ?? 0;
    expect(lost).toBeGreaterThan(500);
    expect(counts['egress'] + lost).toBe(2000);
    expect(ethtoolStat(rig.devs[0], 'rx_no_dma_resources')).toBe(lost);
    expect(rig.kernel.dev_get_stats(rig.devs[0]).rx_dropped).toBe(lost);
    const drops = [0, 1].map((q) => ethtoolStat(rig.devs[0], `rx_queue_${q}_drops`));
    expect(drops[0] + drops[1]).toBe(lost);
    expectNoLeak(rig);
  });

  it('stops the queue when its ring is full, keeps packets in the pfifo, wakes and sends all', () => {
    const rig = new TwinRig({ queues: 1, txSlots: 64, nic: { lineRateBps: 1e9 } }).up();
    rig.kernel.inContext(0, () => {
      for (let n = 0; n < 500; n++) {
        const skb = must(rig.kernel.alloc_skb(1500));
        skb.bytes.set(ipFrame({ dst: rig.devs[1].mac, lenBytes: 1500, sport: n }), skb.at);
        skb.lenBytes = 1500;
        rig.kernel.dev_queue_xmit(skb, rig.devs[0]);
      }
    });
    expect(rig.devs[0].txStopped[0]).toBe(1);
    expect(rig.kernel.txQueues(rig.devs[0])[0].backlog).toBeGreaterThan(300);
    rig.advance(100e9);
    const ports = rig.sent.map((out) => new DataView(out.bytes.buffer).getUint16(34));
    expect(ports).toEqual(Array.from({ length: 500 }, (_, n) => n));
    expect(ethtoolStat(rig.devs[0], 'tx_restart_queue')).toBeGreaterThan(5);
    expect(ethtoolStat(rig.devs[0], 'tx_busy')).toBe(0);
    expectNoLeak(rig);
  });

  it('drops above txqueuelen and says so', () => {
    const rig = new TwinRig({ queues: 1, txSlots: 64, nic: { lineRateBps: 1e9 } }).up();
    rig.devs[0].txqueuelen = 100;
    const reasons: number[] = [];
    rig.kernel.onDrop = (_skb, reason) => reasons.push(reason);
    rig.kernel.inContext(0, () => {
      for (let n = 0; n < 1000; n++) {
        const skb = must(rig.kernel.alloc_skb(1500));
        skb.bytes.set(ipFrame({ dst: rig.devs[1].mac, lenBytes: 1500 }), skb.at);
        skb.lenBytes = 1500;
        rig.kernel.dev_queue_xmit(skb, rig.devs[0]);
      }
    });
    rig.advance(100e9);
    expect(new Set(reasons)).toEqual(new Set([KernelDrop.QDISC_FULL]));
    expect(rig.sent.length + reasons.length).toBe(1000);
    expect(rig.kernel.dev_get_stats(rig.devs[0]).tx_dropped).toBe(reasons.length);
  });

  it('drops oversize frames in the device until the MTU is raised, then takes jumbo frames', () => {
    const rig = new TwinRig({ queues: 2, maxMtuBytes: 65517 }).up().bridge();
    const big = ipFrame({ dst: rig.devs[0].mac, lenBytes: 9000, fill: 7 });
    rig.inject(0, big);
    rig.advance(1e9);
    expect(fateCounts(rig)).toEqual({ 'hw:oversize': 1 });
    expect(ethtoolStat(rig.devs[0], 'rx_long_length_errors')).toBe(1);
    for (const dev of rig.devs) expect(rig.kernel.dev_set_mtu(dev, 9000)).toBe(0);
    rig.advance(1e9);
    const sizes = [60, 3072, 3073, 6144, 9014, 1514];
    for (const lenBytes of sizes) {
      const dst = rig.devs[0].mac;
      rig.inject(0, ipFrame({ dst, lenBytes, fill: lenBytes & 0xff }), 10e6);
    }
    rig.advance(1e9);
    expect(rig.sent.map((out) => out.bytes.length)).toEqual(sizes);
    for (const dev of rig.devs) expect(rig.kernel.dev_set_mtu(dev, 65517)).toBe(0);
    rig.advance(1e9);
    const gso = ipFrame({ dst: rig.devs[0].mac, lenBytes: 65531, fill: 9 });
    rig.inject(0, gso);
    rig.advance(1e9);
    expect(must(rig.sent.at(-1)).bytes).toEqual(gso);
    expect(fateCounts(rig)).toEqual({ 'hw:oversize': 1, egress: 7 });
    expectNoLeak(rig);
  });

  it('survives memory exhaustion: the ring refills when buffers come back', () => {
    const rig = new TwinRig({ queues: 1, rxSlots: 256, txSlots: 256, memoryBytes: 2 << 20 }).up();
    const held: SkBuff[] = [];
    rig.kernel.rxHandler = { receive: (skb) => held.push(skb) };
    for (let n = 0; n < 1500; n++) rig.inject(0, ipFrame({ dst: rig.devs[0].mac }), 1e6);
    rig.advance(1e9);
    expect(ethtoolStat(rig.devs[0], 'alloc_rx_buff_failed')).toBeGreaterThan(0);
    const before = held.length;
    expect(before).toBeLessThan(1500);
    for (const skb of held.splice(0)) rig.kernel.free_skb(skb);
    rig.advance(50e9);
    for (let n = 0; n < 100; n++) rig.inject(0, ipFrame({ dst: rig.devs[0].mac }), 1e6);
    rig.advance(1e9);
    expect(held.length).toBeGreaterThanOrEqual(100);
  });
});

describe('control plane', () => {
  it('resizes rings: clamps, rounds, refuses above the maximum, keeps traffic', () => {
    const rig = new TwinRig({ queues: 2 }).up().bridge();
    const dev = rig.devs[0];
    const ops = must(dev.ethtoolOps);
    const extack = { message: '', reason: '' };
    const param = must(ops.get_ringparam?.(dev));
    expect([param.rx_pending, param.rx_max_pending]).toEqual([512, 4096]);
    expect(ops.set_ringparam?.(dev, { ...param, rx_pending: 5000 }, extack)).toBe(-22);
    expect(extack.message).toBe('requested ring size exceeds maximum');
    expect(ops.set_ringparam?.(dev, { ...param, rx_pending: 100, tx_pending: 1 }, extack)).toBe(0);
    expect(ops.get_ringparam?.(dev)).toMatchObject({ rx_pending: 104, tx_pending: 64 });
    rig.advance(1e9);
    for (let n = 0; n < 300; n++) rig.inject(0, ipFrame({ dst: dev.mac, sport: n }), 2e6);
    rig.advance(1e9);
    expect(fateCounts(rig)).toEqual({ egress: 300 });
    expectNoLeak(rig);
  });

  it('closes with packets in every ring, loses none from the accounts, and opens again', () => {
    const rig = new TwinRig({ queues: 2 }).up().bridge();
    const [eth0, eth1] = rig.devs;
    for (let n = 0; n < 200; n++) rig.inject(0, ipFrame({ dst: eth0.mac, sport: n }), 100e3);
    rig.kernel.dev_close(eth0);
    rig.kernel.dev_close(eth1);
    rig.advance(1e9);
    const counts = fateCounts(rig);
    expect(Object.values(counts).reduce((sum, n) => sum + n, 0)).toBe(200);
    expect([...rig.kernel.buffers.liveCount]).toEqual([0, 0, 0, 0]);
    rig.inject(0, ipFrame({ dst: eth0.mac }));
    rig.up();
    rig.inject(0, ipFrame({ dst: eth0.mac }));
    rig.advance(1e9);
    expect(fateCounts(rig)['egress']).toBe((counts['egress'] ?? 0) + 1);
  });

  it('works again after a reset', () => {
    const rig = new TwinRig({ queues: 2 }).up().bridge();
    rig.inject(0, ipFrame({ dst: rig.devs[0].mac }));
    rig.advance(1e9);
    for (const dev of rig.devs) expect(twinReinit(dev)).toBe(0);
    rig.advance(100e9);
    rig.inject(0, ipFrame({ dst: rig.devs[0].mac }));
    rig.advance(1e9);
    expect(fateCounts(rig)).toEqual({ egress: 2 });
    expect(must(twinAdapter(rig.devs[0])).resetCount).toBe(2);
    expectNoLeak(rig);
  });

  it('filters by address, and takes all in promiscuous mode', () => {
    const rig = new TwinRig({ queues: 1 }).up().bridge();
    const other = new Uint8Array([2, 9, 9, 9, 9, 9]);
    rig.inject(0, ipFrame({ dst: other }));
    rig.advance(1e9);
    expect(fateCounts(rig)).toEqual({ 'hw:mac-filter': 1 });
    rig.kernel.dev_change_rx_flags(rig.devs[0], 0x100, 0);
    rig.inject(0, ipFrame({ dst: other }));
    rig.advance(1e9);
    expect(fateCounts(rig)).toEqual({ 'hw:mac-filter': 1, egress: 1 });
    rig.kernel.dev_change_rx_flags(rig.devs[0], 0, 0x100);
    expect(rig.kernel.dev_set_mac_address(rig.devs[0], other)).toBe(0);
    rig.inject(0, ipFrame({ dst: other }));
    rig.advance(1e9);
    expect(fateCounts(rig)).toEqual({ 'hw:mac-filter': 1, egress: 2 });
  });
});
