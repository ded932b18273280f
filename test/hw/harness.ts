// The other side of the device, reduced to what hw tests need: host memory with rings set up by raw register numbers
// (repeated here on purpose: a wrong constant in hw/regs.ts must fail a test), an observer that records, frame builders.

import { Nic } from '../../hw/nic.ts';
import { genericNic, type NicConfig } from '../../hw/models.ts';
import { HostMemory } from '../../hw/dma/host-memory.ts';
import { Scheduler } from '../../hw/time/scheduler.ts';

export const MEMORY_BASE = 0x1000_0000;

export interface SeenFrame {
  port: number;
  packetId: number;
  fromHost: boolean;
  queue: number;
  entry: number;
  bytes: Uint8Array;
  startPs: number;
  endPs: number;
}

export class Bench {
  readonly scheduler = new Scheduler();
  readonly memory = new HostMemory(4 * 1024 * 1024, MEMORY_BASE);
  readonly egress: SeenFrame[] = [];
  readonly drops: { packetId: number; port: number; reason: number }[] = [];
  readonly received: { packetId: number; queue: number; slot: number; miss: number; ps: number }[] =
    [];
  readonly interrupts: { fn: number; vector: number; ps: number }[] = [];
  readonly nic: Nic;
  private nextAt = 0;

  constructor(overrides: Partial<NicConfig> = {}) {
    this.nic = new Nic(genericNic(overrides), {
      scheduler: this.scheduler,
      memory: this.memory,
      msix: {
        interrupt: (fn, vector) => this.interrupts.push({ fn, vector, ps: this.scheduler.nowPs }),
      },
      observer: {
        onEgress: (f) =>
          this.egress.push({
            port: f.portIndex,
            packetId: f.packetId,
            fromHost: f.fromHost,
            queue: f.queueIndex,
            entry: f.entryHandle,
            bytes: f.bytes.slice(f.at, f.at + f.lenBytes),
            startPs: f.startPs,
            endPs: f.endPs,
          }),
        onDrop: (packetId, port, reason) => this.drops.push({ packetId, port, reason }),
        onRx: (packetId, _port, queue, slot, miss, ps) =>
          this.received.push({ packetId, queue, slot, miss, ps }),
      },
    });
  }

  alloc(bytes: number): number {
    const at = this.nextAt;
    this.nextAt += (bytes + 127) & ~127;
    return MEMORY_BASE + at;
  }

  view(): DataView {
    return this.memory.main.view;
  }

  r(port: number, offset: number): number {
    return this.nic.functions[port].bar0.read32(offset);
  }

  w(port: number, offset: number, value: number): void {
    this.nic.functions[port].bar0.write32(offset, value);
  }

  /** Receive queue with buffers; returns ring and buffer addresses. */
  rxQueue(
    port: number,
    q: number,
    slots: number,
    opts: { drop?: boolean; kib?: number; vme?: boolean } = {},
  ): { ring: number; buffers: number[] } {
    const ring = this.alloc(slots * 16);
    const buffers: number[] = [];
    for (let i = 0; i < slots; i++) {
      const buffer = this.alloc(2048);
      buffers.push(buffer);
      this.view().setUint32(ring - MEMORY_BASE + i * 16, buffer, true);
    }
    const block = 0x1000 + 0x40 * q;
    this.w(port, block, ring);
    this.w(port, block + 4, 0);
    this.w(port, block + 8, slots * 16);
    this.w(
      port,
      block + 0x14,
      (opts.kib ?? 2) | 0x02000000 | (opts.drop === true ? 0x10000000 : 0),
    );
    this.w(port, block + 0x28, 0x02000000 | (opts.vme === true ? 0x40000000 : 0));
    this.w(port, block + 0x18, slots - 1);
    this.pass(2e6);
    return { ring, buffers };
  }

  txQueue(port: number, q: number, slots: number): number {
    const ring = this.alloc(slots * 16);
    const block = 0x6000 + 0x40 * q;
    this.w(port, 0x4a80, 0x81000001);
    this.w(port, block, ring);
    this.w(port, block + 8, slots * 16);
    this.w(port, block + 0x28, 0x02000000);
    this.pass(2e6);
    return ring;
  }

  /** Lets time pass: queues come on a moment after they were enabled. */
  pass(ps: number): void {
    this.scheduler.runUntil(this.scheduler.nowPs + ps);
  }

  /** Promiscuous receive on, broadcast accepted, jumbo frames of any size. */
  start(port: number): void {
    this.w(port, 0x5080, 0x700);
    this.w(port, 0x4240, this.r(port, 0x4240) | 4);
    this.w(port, 0x4268, 0xffff0000);
    this.w(port, 0x3000, 1);
  }

  mac(port: number): Uint8Array {
    return new Uint8Array([0x02, 0x66, 0x74, 0, 0, port]);
  }
}

export interface FrameSpec {
  dst?: Uint8Array;
  src?: Uint8Array;
  vlans?: number[];
  v6?: boolean;
  srcIp?: number;
  dstIp?: number;
  proto?: number;
  sport?: number;
  dport?: number;
  ttl?: number;
  tcpFlags?: number;
  payload?: number;
  noUdpChecksum?: boolean;
}

/** Builds an Ethernet frame with right checksums, the slow way. */
export function frame(spec: FrameSpec = {}): Uint8Array {
  const proto = spec.proto ?? 17;
  const l4Header = proto === 6 ? 20 : 8;
  const l4Len = l4Header + (spec.payload ?? 20);
  const out: number[] = [];
  const u16 = (v: number): void => void out.push((v >> 8) & 255, v & 255);
  const u32 = (v: number): void =>
    void out.push((v >>> 24) & 255, (v >>> 16) & 255, (v >>> 8) & 255, v & 255);
  out.push(...(spec.dst ?? [2, 0, 0, 0, 0, 9]), ...(spec.src ?? [2, 0, 0, 0, 0, 8]));
  for (const tci of spec.vlans ?? []) {
    u16(0x8100);
    u16(tci);
  }
  const srcIp = spec.srcIp ?? 0x0a000001;
  const dstIp = spec.dstIp ?? 0x0a000102;
  if (spec.v6 === true) {
    u16(0x86dd);
    u32(0x60000000);
    u16(l4Len);
    out.push(proto, spec.ttl ?? 64);
    for (const a of [srcIp, dstIp]) {
      u32(0x20010db8);
      u32(0);
      u32(1);
      u32(a);
    }
  } else {
    u16(0x0800);
    out.push(0x45, 0);
    u16(20 + l4Len);
    u32(0x12340000);
    out.push(spec.ttl ?? 64, proto);
    u16(0);
    u32(srcIp);
    u32(dstIp);
  }
  u16(spec.sport ?? 1000);
  u16(spec.dport ?? 2000);
  if (proto === 6) {
    u32(1);
    u32(2);
    out.push(0x50, spec.tcpFlags ?? 0x10);
    u16(1000);
    u32(0);
  } else {
    u16(l4Len);
    u16(0);
  }
  for (let i = 0; i < (spec.payload ?? 20); i++) out.push((i * 7 + 3) & 255);
  const bytes = new Uint8Array(out);
  fixChecksums(bytes, spec.noUdpChecksum === true);
  return bytes;
}

/** One's-complement sum with BigInt: the whole range as one number modulo 2^16 - 1. */
export function bigSum(bytes: Uint8Array): number {
  let n = 0n;
  for (const b of bytes) n = (n << 8n) | BigInt(b);
  if (bytes.length % 2 === 1) n <<= 8n;
  if (n === 0n) return 0;
  const rest = Number(n % 65535n);
  return rest === 0 ? 0xffff : rest;
}

function layout(bytes: Uint8Array): {
  l3: number;
  l4: number;
  v6: boolean;
  proto: number;
  end: number;
} {
  let l3 = 14;
  while (bytes[l3 - 2] === 0x81 && bytes[l3 - 1] === 0) l3 += 4;
  const v6 = bytes[l3 - 2] === 0x86;
  const l4 = l3 + (v6 ? 40 : 20);
  const at = v6 ? l3 + 4 : l3 + 2;
  const len = (bytes[at] << 8) | bytes[at + 1];
  return { l3, l4, v6, proto: bytes[v6 ? l3 + 6 : l3 + 9], end: l3 + len + (v6 ? 40 : 0) };
}

/** Transport checksum of a frame, from scratch, with the field taken as 0. */
export function transportChecksum(bytes: Uint8Array): number {
  const { l3, l4, v6, proto, end } = layout(bytes);
  const segment = bytes.slice(l4, end);
  const at = proto === 6 ? 16 : 6;
  segment[at] = 0;
  segment[at + 1] = 0;
  const addresses = bytes.slice(v6 ? l3 + 8 : l3 + 12, l4);
  const pseudo = new Uint8Array([
    ...addresses,
    0,
    proto,
    segment.length >> 8,
    segment.length & 255,
    ...segment,
  ]);
  const sum = ~bigSum(pseudo) & 0xffff;
  return proto === 17 && sum === 0 ? 0xffff : sum;
}

export function transportField(bytes: Uint8Array): number {
  const { l4, proto } = layout(bytes);
  const at = l4 + (proto === 6 ? 16 : 6);
  return (bytes[at] << 8) | bytes[at + 1];
}

/** Whether the IPv4 header sums to 0xffff. */
export function ipv4HeaderIsRight(bytes: Uint8Array): boolean {
  const { l3, l4, v6 } = layout(bytes);
  return v6 || bigSum(bytes.slice(l3, l4)) === 0xffff;
}

export function fixChecksums(bytes: Uint8Array, noUdp = false): void {
  const { l3, l4, v6, proto } = layout(bytes);
  if (!v6) {
    bytes[l3 + 10] = 0;
    bytes[l3 + 11] = 0;
    const sum = ~bigSum(bytes.slice(l3, l4)) & 0xffff;
    bytes[l3 + 10] = sum >> 8;
    bytes[l3 + 11] = sum & 255;
  }
  if (noUdp || (proto !== 6 && proto !== 17)) return;
  const sum = transportChecksum(bytes);
  const at = l4 + (proto === 6 ? 16 : 6);
  bytes[at] = sum >> 8;
  bytes[at + 1] = sum & 255;
}
