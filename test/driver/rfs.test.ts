// RPS, RFS and accelerated RFS, XPS and queue selection (spec D.2, D.3; E.6 88, 91, 92), ATR, and settings changed while running.
import { describe, expect, it } from 'vitest';
import { ENOSPC, EPROTONOSUPPORT } from '../../driver/errno.ts';
import type { SkBuff } from '../../driver/skb.ts';
import { twinAdapter } from '../../driver/twin/adapter.ts';
import { XpsMaps } from '../../driver/xps.ts';
import { must } from '../support/must.ts';
import { TwinRig, ethtoolStat, fateCounts, ipFrame } from '../support/twin-rig.ts';
import { frame } from '../hw/harness.ts';
import type { FrameSpec } from '../hw/harness.ts';

const FLOW = { proto: 6, srcIp: 0x0a000001, dstIp: 0x0a000002, sport: 1234, dport: 80 };

/** A machine of four cores and queues; packets end in the stack, which says on which core and queue they came. */
class SteerRig extends TwinRig {
  readonly seen: { cpu: number; queue: number; hash: number }[] = [];

  constructor(options: ConstructorParameters<typeof TwinRig>[0] = {}) {
    super({ queues: 4, host: { coreCount: 4 }, ...options });
    this.kernel.rxHandler = {
      receive: (skb: SkBuff) => {
        const cpu = must(this.kernel.current).index;
        this.seen.push({ cpu, queue: skb.rxQueue - 1, hash: skb.hash });
        this.kernel.free_skb(skb);
      },
    };
    this.up();
  }

  /** Accelerated RFS on, with so many flows a queue. */
  accelerate(flowsPerQueue: number): void {
    const [dev] = this.devs;
    const rfs = this.kernel.receiveSteering;
    dev.features.request(new Map([['rx-ntuple-filter', true]]));
    this.advance(1e9);
    rfs.setSockFlowEntries(1024);
    for (let q = 0; q < 4; q++) rfs.setFlowCount(dev, q, flowsPerQueue);
  }

  /** Sends the flow, whose application then reads on another CPU than the packet came to. */
  sendAndMove(spec: FrameSpec): { queue: number; hash: number; target: number } {
    this.send(spec);
    const { queue, hash } = this.last();
    const target = (queue + 1) % 4;
    this.kernel.receiveSteering.recordFlow(hash, target);
    return { queue, hash, target };
  }

  send(spec: FrameSpec, count = 1, gapPs = 20e6): void {
    const bytes = frame({ ...spec, dst: this.devs[0].mac });
    for (let i = 0; i < count; i++) this.inject(0, bytes, gapPs);
    this.advance(1e9);
  }

  last(): { cpu: number; queue: number; hash: number } {
    return must(this.seen[this.seen.length - 1]);
  }
}

describe('RPS and RFS', () => {
  it('RPS spreads a queue over its CPUs by reciprocal_scale of the hash', () => {
    const rig = new SteerRig({ queues: 1 });
    const [dev] = rig.devs;
    rig.kernel.receiveSteering.setCpus(dev, 0, [1, 2, 3]);
    for (let i = 0; i < 40; i++) rig.send({ ...FLOW, sport: 1000 + i });
    for (const { cpu, hash } of rig.seen)
      expect(cpu).toBe(1 + Math.floor(((hash >>> 0) * 3) / 2 ** 32));
    expect(rig.seen).toHaveLength(40);
    expect(new Set(rig.seen.map((one) => one.cpu)).size).toBe(3);
  });

  it('RFS follows the application, but never before the old CPU has worked off the flow', () => {
    const rig = new SteerRig({ queues: 1 });
    const [dev] = rig.devs;
    const rfs = rig.kernel.receiveSteering;
    rfs.setSockFlowEntries(1000);
    expect(rfs.sockFlowEntries).toBe(1024);
    rfs.setFlowCount(dev, 0, 64);
    rig.send(FLOW);
    expect(rig.last().cpu).toBe(0); // nobody reads it yet
    rfs.recordFlow(rig.last().hash, 2);
    rig.send(FLOW);
    expect(rig.last().cpu).toBe(2);
    // CPU 2 is busy: what waits there keeps the flow, although its application has moved on.
    const seenBefore = rig.seen.length;
    rig.kernel.inContext(2, () => rig.kernel.charge(500e6));
    rig.inject(0, frame({ ...FLOW, dst: dev.mac }));
    rig.advance(200e6);
    rfs.recordFlow(rig.last().hash, 3);
    rig.inject(0, frame({ ...FLOW, dst: dev.mac }));
    rig.advance(2e9);
    expect(rig.seen.slice(seenBefore).map((one) => one.cpu)).toEqual([2, 2]);
    rig.send(FLOW);
    expect(rig.last().cpu).toBe(3);
    expect(rfs.steerCount).toBe(0); // ntuple is off: the device is not asked
  });

  it('E.6 91: with ntuple on the device takes the flow to the queue of the CPU', () => {
    const rig = new SteerRig();
    const [dev] = rig.devs;
    const rfs = rig.kernel.receiveSteering;
    rig.accelerate(64);
    const { queue, target } = rig.sendAndMove(FLOW);
    rig.send(FLOW, 3);
    expect(rfs.steerCount).toBe(1);
    expect(rig.last()).toMatchObject({ cpu: target, queue: target });
    expect(ethtoolStat(dev, 'arfs_filters')).toBe(1);
    expect(ethtoolStat(dev, 'fdir_match')).toBeGreaterThan(0);
    // ntuple off: filters go, software RFS stays.
    dev.features.request(new Map([['rx-ntuple-filter', false]]));
    rig.advance(1e9);
    rig.send(FLOW);
    expect(rig.last()).toMatchObject({ cpu: target, queue });
    expect(ethtoolStat(dev, 'arfs_filters')).toBe(0);
    expect(rfs.steerCount).toBe(1);
  });

  it('a refusal of the device leaves the flow with software RFS', () => {
    const rig = new SteerRig();
    const [dev] = rig.devs;
    const rfs = rig.kernel.receiveSteering;
    rig.accelerate(64);
    const adapter = must(twinAdapter(dev));
    const { arfs } = adapter;
    const { queue, target } = rig.sendAndMove({ ...FLOW, v6: true });
    rig.send({ ...FLOW, v6: true });
    expect(rig.last()).toMatchObject({ cpu: target, queue });
    expect([rfs.steerCount, rfs.steerRefusals, arfs.count]).toEqual([1, 1, 0]);
    // The driver's errno, asked directly; and a table without room.
    const skb = must(rig.kernel.alloc_skb(128));
    const bytes = frame({ ...FLOW, v6: true });
    skb.bytes.set(bytes, skb.at);
    skb.lenBytes = bytes.length;
    skb.macAt = skb.at;
    expect(arfs.steer(skb, 1, 5)).toBe(-EPROTONOSUPPORT);
    const v4 = frame(FLOW);
    skb.bytes.set(v4, skb.at);
    skb.lenBytes = v4.length;
    Object.defineProperty(adapter.fdir, 'capacity', { value: 0 });
    expect(arfs.steer(skb, 1, 5)).toBe(-ENOSPC);
    rig.kernel.free_skb(skb);
  });

  it('E.6 92: rps_may_expire_flow', () => {
    const rig = new SteerRig();
    const [dev] = rig.devs;
    const rfs = rig.kernel.receiveSteering;
    rig.accelerate(2);
    const { hash, target } = rig.sendAndMove(FLOW);
    rig.send(FLOW);
    const flowId = hash & 1;
    const id = 0x4000;
    const may = (filter: number, flow = flowId): boolean =>
      rig.kernel.rps_may_expire_flow(dev, target, flow, filter);
    expect(may(id + 1)).toBe(true); // another filter
    expect(may(id, 99)).toBe(true); // beyond the table
    expect(may(id)).toBe(false); // fresh
    expect(rig.kernel.rps_may_expire_flow(dev, 0, flowId, id)).toBe(target !== 0);
    // Ten times the mask (1) of packets through the CPU's backlog, of another flow that RPS sends there.
    rfs.setSockFlowEntries(0);
    const other = (target + 2) % 4;
    for (let q = 0; q < 4; q++) if (q !== target) rfs.setCpus(dev, q, [target]);
    for (let i = 0; rig.seen.length < 60 && i < 200; i++) rig.send({ ...FLOW, sport: 2000 + i });
    expect(other).not.toBe(target);
    expect(may(id)).toBe(true);
    rig.advance(3e12); // the driver looks once a second
    expect(ethtoolStat(dev, 'arfs_expired')).toBe(1);
    expect(ethtoolStat(dev, 'arfs_filters')).toBe(0);
  });
});

describe('transmit queue selection', () => {
  it('XPS: the receive queue’s map, then the CPU’s; several queues by hash', () => {
    const xps = new XpsMaps();
    xps.setCpus(0, [0, 1]);
    xps.setCpus(1, [2, 3]);
    xps.setRxQueues(2, [5]);
    expect([xps.pick(-1, 1, 7), xps.pick(-1, 3, 7), xps.pick(5, 1, 7), xps.pick(4, 9, 7)]).toEqual([
      0, 1, 2, -1,
    ]);
    xps.setCpus(3, [0]);
    expect(xps.pick(-1, 0, 0)).toBe(0);
    expect(xps.pick(-1, 0, 0xffffffff)).toBe(3);
    expect(xps.cpusOf(3)).toEqual([0]);
    xps.setCpus(3, []);
    expect(xps.pick(-1, 0, 0xffffffff)).toBe(0);
  });

  it('the core asks XPS before it follows the receive queue', () => {
    const rig = new TwinRig({ queues: 4, host: { coreCount: 4 } }).bridge().up();
    const [, out] = rig.devs;
    out.xps = new XpsMaps();
    for (let q = 0; q < 4; q++) out.xps.setRxQueues(3 - q, [q]);
    for (let i = 0; i < 32; i++)
      rig.inject(0, frame({ ...FLOW, sport: 1000 + i, dst: rig.devs[0].mac }), 20e6);
    rig.advance(10e9);
    const received = [0, 1, 2, 3].map((q) => ethtoolStat(rig.devs[0], `rx_queue_${q}_packets`));
    const sent = [0, 1, 2, 3].map((q) => ethtoolStat(out, `tx_queue_${3 - q}_packets`));
    expect(sent).toEqual(received);
  });
});

describe('ATR', () => {
  it('samples every 20th TCP packet and every SYN, and is excluded by ntuple', () => {
    const rig = new TwinRig({ queues: 4, host: { coreCount: 4 }, atrSampleRate: 20 }).bridge().up();
    const [dev, out] = rig.devs;
    const there = { ...FLOW, dst: dev.mac };
    for (let i = 0; i < 40; i++) rig.inject(0, frame(there), 20e6);
    rig.advance(1e9);
    const fdir = rig.nic.functions[1].steering.flowDirector;
    expect(fdir.isPerfect).toBe(false);
    expect(fdir.added).toBe(2);
    expect(8192 - fdir.freeCount).toBe(1); // the same flow twice
    // The way back goes to the queue that sent.
    const sentBy = rig.sent[0].queueIndex;
    const back = { proto: 6, srcIp: FLOW.dstIp, dstIp: FLOW.srcIp, sport: 80, dport: 1234 };
    const before = ethtoolStat(out, `rx_queue_${sentBy}_packets`);
    for (let i = 0; i < 5; i++) rig.inject(1, frame({ ...back, dst: out.mac }), 20e6);
    rig.advance(1e9);
    expect(ethtoolStat(out, `rx_queue_${sentBy}_packets`) - before).toBe(5);
    expect(ethtoolStat(out, 'fdir_match')).toBe(5);
    rig.inject(0, frame({ ...there, sport: 9, tcpFlags: 2 }), 20e6);
    rig.advance(1e9);
    expect(8192 - fdir.freeCount).toBe(2);
    rig.inject(0, frame({ ...there, sport: 10, tcpFlags: 1 }), 20e6);
    rig.inject(0, frame({ ...there, proto: 17 }), 20e6);
    rig.advance(1e9);
    expect(8192 - fdir.freeCount).toBe(2);
    out.features.request(new Map([['rx-ntuple-filter', true]]));
    rig.advance(1e9);
    expect(fdir.isPerfect).toBe(true);
    for (let i = 0; i < 40; i++) rig.inject(0, frame(there), 20e6);
    rig.advance(1e9);
    expect(fdir.freeCount).toBe(2046);
  });
});

describe('changes while running', () => {
  it('rings: packets in the old ones are lost under a reason, and every packet has one fate', () => {
    const rig = new TwinRig({ queues: 2 }).bridge().up();
    const [dev] = rig.devs;
    const reasons = new Set<number>();
    const onLost = must(rig.kernel.onFrameLost);
    rig.kernel.onFrameLost = (id, reason) => {
      reasons.add(reason);
      onLost(id, reason);
    };
    const extack = { message: '', reason: '' };
    const ops = must(dev.ethtoolOps);
    for (let i = 0; i < 300; i++) {
      rig.inject(0, ipFrame({ dst: dev.mac, sport: 1000 + i }));
      if (i === 150) {
        const param = must(ops.get_ringparam?.(dev));
        expect(ops.set_ringparam?.(dev, { ...param, rx_pending: 64 }, extack)).toBe(0);
      }
      if (i === 200) {
        const channels = must(ops.get_channels?.(dev));
        expect(ops.set_channels?.(dev, { ...channels, combined_count: 1 }, extack)).toBe(0);
      }
    }
    rig.advance(20e9);
    const counts = fateCounts(rig);
    const disabled = counts['hw:queue-disabled'] ?? 0;
    expect(counts['egress'] + disabled + (counts['lost'] ?? 0)).toBe(300);
    expect(counts['egress']).toBeLessThan(300);
    expect([...reasons]).toEqual([8]); // RING_RESET
    expect(ops.get_ringparam?.(dev)).toMatchObject({ rx_pending: 64 });
    expect(dev.realNumRxQueues).toBe(1);
    rig.nic.checkInvariants();
  });

  it('coalescing reaches EITR, tag stripping RXDCTL', () => {
    const rig = new TwinRig({ queues: 2 }).up();
    const [dev] = rig.devs;
    const { bar0 } = rig.nic.functions[0];
    const extack = { message: '', reason: '' };
    const ops = must(dev.ethtoolOps);
    expect(ops.set_coalesce?.(dev, { 'rx-usecs': 100 }, extack)).toBe(0);
    expect((bar0.read32(0x820) >>> 3) & 0x1ff).toBe(49); // 100 us in steps of 2.048
    expect(ops.set_coalesce?.(dev, { 'adaptive-rx': 1 }, extack)).toBe(0);
    expect(must(twinAdapter(dev)).adaptiveRx).toBe(true);
    expect(ops.set_coalesce?.(dev, { 'tx-usecs': 5 }, extack)).toBe(-22);
    expect(bar0.read32(0x1028) & 0x40000000).toBe(0x40000000);
    dev.features.request(new Map([['rx-vlan-hw-parse', false]]));
    expect(bar0.read32(0x1028) & 0x42000000).toBe(0x02000000);
  });

  it('runs with 62 queues', () => {
    const rig = new TwinRig({
      queues: 62,
      rxSlots: 64,
      txSlots: 64,
      host: { coreCount: 4 },
      nic: { queues: 64, vectors: 64 },
    });
    rig.bridge().up();
    for (let i = 0; i < 64; i++)
      rig.inject(0, frame({ ...FLOW, sport: 1000 + i, dst: rig.devs[0].mac }), 20e6);
    rig.advance(10e9);
    expect(rig.sent).toHaveLength(64);
    expect(Math.max(...rig.sent.map((one) => one.queueIndex))).toBeLessThan(16); // RETA has four bits
  });
});
