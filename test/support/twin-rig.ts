// A whole small machine for driver tests: the real device model, a kernel, the reference driver on every port. Frames go in
// with ids, what leaves the device is kept, and every id must end in exactly one fate (`fates`).

import { Kernel } from '../../driver/kernel.ts';
import type { KernelConfig } from '../../driver/kernel.ts';
import type { NetDevice } from '../../driver/netdev.ts';
import { twinProbe } from '../../driver/twin/probe.ts';
import type { TwinOptions } from '../../driver/twin/adapter.ts';
import { HostMemory } from '../../hw/dma/host-memory.ts';
import { genericNic } from '../../hw/models.ts';
import type { NicConfig } from '../../hw/models.ts';
import { Nic } from '../../hw/nic.ts';
import { DROP_REASONS } from '../../hw/pipeline/outcome.ts';
import { Scheduler } from '../../hw/time/scheduler.ts';
import { must } from './must.ts';

/** One frame that left the device. */
export interface SentFrame {
  portIndex: number;
  packetId: number;
  fromHost: boolean;
  queueIndex: number;
  bytes: Uint8Array;
  startPs: number;
}

export interface RigOptions extends TwinOptions {
  nic?: Partial<NicConfig>;
  host?: Partial<KernelConfig>;
  memoryBytes?: number;
}

export class TwinRig {
  readonly scheduler = new Scheduler();
  readonly memory: HostMemory;
  readonly kernel: Kernel;
  readonly nic: Nic;
  readonly devs: NetDevice[] = [];
  /** Frames that left, in order. */
  readonly sent: SentFrame[] = [];
  /** Fate of each tracked packet: 'egress', 'hw:REASON' or 'kernel:N'. */
  readonly fates = new Map<number, string[]>();
  nextId = 0;

  constructor(options: RigOptions = {}) {
    const { scheduler } = this;
    this.memory = new HostMemory(options.memoryBytes ?? 32 << 20);
    this.kernel = new Kernel({ scheduler, memory: this.memory, coreCount: 2, ...options.host });
    this.nic = new Nic(genericNic(options.nic), {
      scheduler,
      memory: this.memory,
      msix: this.kernel,
      observer: {
        onEgress: (frame) => {
          const { bytes, at, lenBytes, ...rest } = frame;
          this.sent.push({ ...rest, bytes: bytes.slice(at, at + lenBytes) });
          this.fate(frame.packetId, 'egress');
        },
        onDrop: (packetId, _port, reason) => {
          this.fate(packetId, `hw:${DROP_REASONS[reason].name}`);
        },
        onRx: () => undefined,
      },
    });
    this.kernel.syncDevices = (nowPs) => {
      this.nic.sync(nowPs);
    };
    this.kernel.onDrop = (skb, reason) => {
      this.fate(skb.packetId, `kernel:${reason}`);
    };
    // A buffer of the ring may still carry the id of a packet that ended long ago: only those without a fate are lost.
    this.kernel.onFrameLost = (packetId) => {
      if (!this.fates.has(packetId)) this.fate(packetId, 'lost');
    };
    for (const fn of this.nic.functions) {
      const { index: functionIndex, bar0, bar2 } = fn;
      const pdev = { functionIndex, busInfo: `0000:01:00.${functionIndex}`, bar0, bar2 };
      const { dev, error } = twinProbe(this.kernel, pdev, options);
      if (dev === null) throw new Error(`probe failed: ${error}`);
      this.devs.push(dev);
    }
    this.advance(0);
  }

  /** Every device up; frames may be injected afterwards. */
  up(): this {
    for (const dev of this.devs) {
      const error = this.kernel.dev_open(dev);
      if (error !== 0) throw new Error(`dev_open ${dev.name}: ${error}`);
    }
    this.advance(1e9);
    return this;
  }

  /** Packets received on one device leave through another, as they are. */
  bridge(): this {
    this.kernel.rxHandler = {
      receive: (skb, dev) => {
        const out = this.devs[dev === this.devs[0] ? 1 : 0];
        this.kernel.dev_queue_xmit(skb, out);
      },
    };
    return this;
  }

  /** Gives a frame to a port now, or after what its line is busy with; returns its id. */
  inject(portIndex: number, frame: Uint8Array, gapPs = 0): number {
    const id = this.nextId++;
    this.advance(gapPs);
    this.nic.frameIn(portIndex, this.scheduler.nowPs, frame, 0, frame.length, id);
    return id;
  }

  /** Lets simulated time pass. */
  advance(ps: number): void {
    this.scheduler.runUntil(this.scheduler.nowPs + ps);
    this.nic.sync(this.scheduler.nowPs);
  }

  private fate(packetId: number, what: string): void {
    if (packetId < 0) return;
    const list = this.fates.get(packetId) ?? [];
    list.push(what);
    this.fates.set(packetId, list);
  }
}

/** Counts of fates; throws when a packet has none or two. */
export function fateCounts(rig: TwinRig): Record<string, number> {
  const counts: Record<string, number> = {};
  for (let id = 0; id < rig.nextId; id++) {
    const fates = rig.fates.get(id) ?? [];
    if (fates.length !== 1) throw new Error(`packet ${id} has fates [${fates.join(', ')}]`);
    counts[fates[0]] = (counts[fates[0]] ?? 0) + 1;
  }
  return counts;
}

/** A statistic of ethtool -S by name. */
export function ethtoolStat(dev: NetDevice, name: string): number {
  const index = (dev.ethtoolOps?.get_strings?.(dev) ?? []).indexOf(name);
  if (index < 0) throw new Error(`no statistic ${name}`);
  return must(dev.ethtoolOps?.get_ethtool_stats?.(dev))[index];
}

/** An IPv4 UDP or TCP frame with correct lengths (header checksum correct, transport checksum 0). */
export function ipFrame(options: {
  dst: Uint8Array;
  lenBytes?: number;
  proto?: number;
  sport?: number;
  dport?: number;
  vlan?: number;
  srcIp?: number;
  dstIp?: number;
  fill?: number;
}): Uint8Array {
  const tag = options.vlan === undefined ? 0 : 4;
  const lenBytes = options.lenBytes ?? 60 + tag;
  const frame = new Uint8Array(lenBytes).fill(options.fill ?? 0);
  const view = new DataView(frame.buffer);
  frame.set(options.dst.subarray(0, 6));
  frame.set([2, 0, 0, 0, 0, 0x0b], 6);
  if (options.vlan !== undefined) view.setUint32(12, 0x8100_0000 + options.vlan);
  view.setUint16(12 + tag, 0x0800);
  const ip = 14 + tag;
  frame.set([0x45, 0], ip);
  view.setUint16(ip + 2, Math.min(lenBytes - ip, 0xffff));
  frame.set([0, 0, 0, 0, 64, options.proto ?? 17, 0, 0], ip + 4);
  view.setUint32(ip + 12, options.srcIp ?? 0x0a000101);
  view.setUint32(ip + 16, options.dstIp ?? 0x0a000201);
  let sum = 0;
  for (let i = 0; i < 20; i += 2) sum += view.getUint16(ip + i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(ip + 10, ~sum & 0xffff);
  const l4 = ip + 20;
  view.setUint16(l4, options.sport ?? 1000);
  view.setUint16(l4 + 2, options.dport ?? 2000);
  if ((options.proto ?? 17) === 17) {
    view.setUint16(l4 + 4, Math.min(lenBytes - l4, 0xffff));
    view.setUint16(l4 + 6, 0);
  } else {
    view.setUint16(l4 + 12, 0x5010);
  }
  return frame;
}
