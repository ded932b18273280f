// A driver's side of the admin queue, with raw numbers: writes commands, runs time, reads completions.

import type { Bench } from './harness.ts';
import { MEMORY_BASE } from './harness.ts';

export interface Answer {
  cookie: number;
  status: number;
  result: number;
  detail: number;
  phase: number;
}

export class AdminSide {
  readonly ring: number;
  readonly completions: number;
  private tail = 0;
  private readonly bench: Bench;
  private readonly port: number;
  private readonly slots: number;

  constructor(bench: Bench, port: number, slots = 8, vector = 1) {
    this.bench = bench;
    this.port = port;
    this.slots = slots;
    this.ring = bench.alloc(slots * 128);
    this.completions = bench.alloc(slots * 32);
    bench.w(port, 0x898, 0x10); // GPIE: MSI-X
    this.w(0x20, this.ring);
    this.w(0x2c, this.completions);
    this.w(0x28, slots);
    this.w(0x34, vector);
    this.w(0x38, 1);
  }

  w(offset: number, value: number): void {
    this.bench.nic.functions[this.port].bar2.write32(offset, value);
  }

  r(offset: number): number {
    return this.bench.nic.functions[this.port].bar2.read32(offset);
  }

  /** Posts a command; `fill` sets its fields. Returns its slot. */
  post(opcode: number, cookie: number, fill: (v: DataView) => void): number {
    const slot = this.tail;
    const at = this.ring - MEMORY_BASE + slot * 128;
    this.bench.memory.main.bytes.fill(0, at, at + 128);
    const bytes = this.bench.memory.main.bytes;
    const v = new DataView(bytes.buffer, bytes.byteOffset + at, 128);
    v.setUint16(0, opcode, true);
    v.setUint32(4, cookie, true);
    fill(v);
    this.tail = (slot + 1) % this.slots;
    this.w(0x40, this.tail);
    return slot;
  }

  answer(slot: number): Answer {
    const v = this.bench.view();
    const at = this.completions - MEMORY_BASE + slot * 32;
    return {
      cookie: v.getUint32(at, true),
      status: v.getUint16(at + 6, true),
      result: v.getUint32(at + 8, true),
      detail: v.getUint32(at + 12, true),
      phase: v.getUint32(at + 28, true) & 1,
    };
  }

  /** Posts and waits 1 ms. */
  run(opcode: number, cookie: number, fill: (v: DataView) => void): Answer {
    const slot = this.post(opcode, cookie, fill);
    this.bench.scheduler.runUntil(this.bench.scheduler.nowPs + 1e9);
    return this.answer(slot);
  }
}

export interface FlowSpec {
  inPort?: number;
  family?: number;
  proto?: number;
  vlan?: number;
  mtu?: number;
  sport?: number;
  dport?: number;
  src?: number;
  dst?: number;
  flags?: number;
  verdict?: number;
  outPort?: number;
  queue?: number;
  newSrc?: number;
  newDst?: number;
  newSport?: number;
  newDport?: number;
  pushTci?: number;
}

const v6Prefix = [0x20010db8, 0, 1];

/** Fills FLOW_ADD for frames of harness.frame(). */
export function flow(spec: FlowSpec): (v: DataView) => void {
  return (v) => {
    const family = spec.family ?? 4;
    const address = (at: number, a: number): void => {
      if (family === 6) v6Prefix.forEach((w, i) => v.setUint32(at + 4 * i, w));
      v.setUint32(family === 6 ? at + 12 : at, a);
    };
    v.setUint8(8, spec.inPort ?? 0);
    v.setUint8(9, family);
    v.setUint8(10, spec.proto ?? 17);
    v.setUint16(12, spec.vlan ?? 0xffff, true);
    v.setUint16(14, spec.mtu ?? 0, true);
    v.setUint16(16, spec.sport ?? 1000, true);
    v.setUint16(18, spec.dport ?? 2000, true);
    address(24, spec.src ?? 0x0a000001);
    address(40, spec.dst ?? 0x0a000102);
    v.setUint32(56, spec.flags ?? 0, true);
    v.setUint8(60, spec.verdict ?? 0);
    v.setUint8(61, spec.outPort ?? 1);
    v.setUint8(62, spec.queue ?? 0);
    v.setUint32(64, 0xabcd, true);
    [2, 0, 0, 0, 1, 1, 2, 0, 0, 0, 1, 2].forEach((b, i) => v.setUint8(68 + i, b));
    v.setUint16(80, spec.newSport ?? 0, true);
    v.setUint16(82, spec.newDport ?? 0, true);
    v.setUint16(84, spec.pushTci ?? 0, true);
    address(88, spec.newSrc ?? 0);
    address(104, spec.newDst ?? 0);
  };
}
