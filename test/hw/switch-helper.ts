// A driver's side of the staged tables, with raw numbers: writes records into host memory, posts commands, reads completions.

import { AdminSide, type Answer } from './admin-helper.ts';
import { MEMORY_BASE, type Bench } from './harness.ts';

/** Word, shift and width of key fields, as the manual has them. */
export const FIELD_AT: Readonly<Record<string, readonly [number, number, number]>> = {
  in_port: [0, 24, 8],
  eth_type: [0, 0, 16],
  vlan_tpid: [1, 16, 16],
  cvlan_tpid: [1, 0, 16],
  vlan_id: [2, 16, 12],
  cvlan_id: [2, 0, 12],
  eth_dst_lo: [4, 0, 32],
  ip_proto: [6, 24, 8],
  ip_tos: [6, 16, 8],
  ip_ttl: [6, 8, 8],
  ip_frag: [6, 0, 2],
  src: [7, 0, 32],
  dst: [11, 0, 32],
  sport: [15, 16, 16],
  dport: [15, 0, 16],
  tcp_flags: [16, 16, 12],
  meta0: [17, 0, 32],
  meta1: [18, 0, 32],
  range: [21, 0, 32],
  colour: [22, 0, 2],
};

export interface Match {
  field: string;
  value: number;
  /** Default: all bits of the field. */
  mask?: number;
}

/** Items as [kind, w1, w2, w3, high half of word 0]. */
export type Item = readonly number[];

export const OUTPUT = (port: number): Item => [1, port];
export const DROP: Item = [2];
export const TRAP: Item = [3];
export const PASS: Item = [4];
export const GOTO = (table: number): Item => [5, table];
export const GROUP = (group: number): Item => [6, group];
export const SET = (field: string, value: number, mask?: number): Item => {
  const [word, shift, bits] = FIELD_AT[field];
  const full = bits === 32 ? 0xffffffff : 2 ** bits - 1;
  return [7, word, (value << shift) >>> 0, ((mask ?? full) << shift) >>> 0];
};
export const DEC_TTL: Item = [8];
export const PUSH = (tci: number, tpid = 0x8100): Item => [9, tci, tpid];
export const POP: Item = [10];
export const MIRROR = (port: number): Item => [11, port];
export const SAMPLE = (rate: number, keptBytes: number, port: number, group = 0): Item => [
  12,
  rate,
  keptBytes,
  port,
  group,
];
export const METER = (meter: number, yellow: number, red: number): Item => [13, meter, yellow, red];
export const COUNT: Item = [14];
export const QUEUE = (queue: number): Item => [15, queue];
export const HOST = 0xffffffff;

export interface EntrySpec {
  priority?: number;
  cookie?: number;
  ages?: boolean;
  matches: readonly Match[];
  /** Low and high. */
  sport?: readonly [number, number];
  dport?: readonly [number, number];
  items: readonly Item[];
}

export interface TableSpec {
  kind?: number;
  stage?: number;
  entries?: number;
  next?: number;
  writes?: number;
  templates: readonly (readonly string[])[];
  items?: readonly Item[];
}

export interface SwitchAnswer extends Answer {
  moves: number;
  what: number;
}

function maskWords(fields: readonly string[]): number[] {
  const words = new Array<number>(24).fill(0);
  for (const name of fields) {
    const [word, shift, bits] = FIELD_AT[name];
    words[word] = (words[word] | ((bits === 32 ? 0xffffffff : 2 ** bits - 1) << shift)) >>> 0;
  }
  return words;
}

export class SwitchSide {
  readonly admin: AdminSide;
  private readonly bench: Bench;
  private readonly buffer: number;

  constructor(bench: Bench, port = 0) {
    this.bench = bench;
    this.admin = new AdminSide(bench, port);
    this.buffer = bench.alloc(64 * 512);
  }

  private get view(): DataView {
    const { bytes } = this.bench.memory.main;
    return new DataView(bytes.buffer, bytes.byteOffset + this.buffer - MEMORY_BASE, 64 * 512);
  }

  /** Posts a command and runs time until it completes. */
  run(opcode: number, id: number, count = 0, handle = 0): SwitchAnswer {
    return this.wait(this.post(opcode, id, count, handle));
  }

  /** Runs 100 ms and answers what a posted command said. */
  wait(slot: number): SwitchAnswer {
    this.bench.scheduler.runFor(100e9);
    return this.answer(slot);
  }

  post(opcode: number, id: number, count = 0, handle = 0): number {
    return this.admin.post(opcode, 7, (v) => {
      v.setUint32(8, id, true);
      v.setUint32(12, count, true);
      v.setUint32(16, this.buffer, true);
      v.setUint32(24, handle, true);
    });
  }

  answer(slot: number): SwitchAnswer {
    const at = this.admin.completions - MEMORY_BASE + slot * 32;
    const view = this.bench.view();
    return {
      ...this.admin.answer(slot),
      moves: view.getUint32(at + 16, true),
      what: view.getUint32(at + 20, true),
    };
  }

  items(at: number, items: readonly Item[]): void {
    items.forEach((item, i) => {
      this.view.setUint32(at + 16 * i, (item[0] | ((item[4] ?? 0) << 16)) >>> 0, true);
      for (let w = 1; w < 4; w++) this.view.setUint32(at + 16 * i + 4 * w, item[w] ?? 0, true);
    });
  }

  fillTable(spec: TableSpec): void {
    const { view } = this;
    for (let at = 0; at < 1024; at += 4) view.setUint32(at, 0, true);
    view.setUint32(0, spec.kind ?? 1, true);
    view.setUint32(4, spec.stage ?? 0, true);
    view.setUint32(8, spec.entries ?? 64, true);
    view.setUint32(12, spec.next ?? 0xffffffff, true);
    view.setUint32(16, spec.writes ?? 0, true);
    view.setUint32(20, spec.templates.length, true);
    view.setUint32(24, spec.items?.length ?? 0, true);
    this.items(64, spec.items ?? []);
    spec.templates.forEach((fields, t) =>
      maskWords(fields).forEach((word, i) => view.setUint32(320 + 96 * t + 4 * i, word, true)),
    );
  }

  table(id: number, spec: TableSpec): SwitchAnswer {
    this.fillTable(spec);
    return this.run(16, id);
  }

  setDefault(id: number, items: readonly Item[]): SwitchAnswer {
    this.fillTable({ templates: [['in_port']], items });
    return this.run(19, id);
  }

  fillEntry(at: number, spec: EntrySpec): void {
    const { view } = this;
    for (let i = 0; i < 512; i += 4) view.setUint32(at + i, 0, true);
    view.setUint32(at, spec.priority ?? 1, true);
    view.setUint32(at + 4, spec.cookie ?? 0, true);
    view.setUint32(at + 8, spec.ages === true ? 1 : 0, true);
    view.setUint32(at + 16, spec.items.length, true);
    view.setUint32(at + 20, (spec.sport ? 1 : 0) | (spec.dport ? 2 : 0), true);
    [...(spec.sport ?? [0, 0]), ...(spec.dport ?? [0, 0])].forEach((bound, i) =>
      view.setUint16(at + 24 + 2 * i, bound, true),
    );
    for (const { field, value, mask } of spec.matches) {
      const [word, shift, bits] = FIELD_AT[field];
      const care = ((mask ?? (bits === 32 ? 0xffffffff : 2 ** bits - 1)) << shift) >>> 0;
      const or = (place: number, more: number): void =>
        view.setUint32(place, (view.getUint32(place, true) | more) >>> 0, true);
      or(at + 32 + 4 * word, ((value << shift) & care) >>> 0);
      or(at + 128 + 4 * word, care);
    }
    this.items(at + 224, spec.items);
  }

  add(table: number, ...specs: readonly EntrySpec[]): SwitchAnswer {
    specs.forEach((spec, i) => this.fillEntry(i * 512, spec));
    return this.run(20, table, specs.length);
  }

  /** Handle that the device wrote to record `i` of the last add. */
  handleOf(i: number): number {
    return this.view.getUint32(i * 512 + 12, true);
  }

  modify(handle: number, items: readonly Item[]): SwitchAnswer {
    this.fillEntry(0, { matches: [], items });
    return this.run(21, handle >>> 24, 1, handle);
  }

  del(handle: number): SwitchAnswer {
    return this.run(22, 0, 0, handle);
  }

  group(id: number, type: number, buckets: readonly (readonly Item[])[], flags = 0): SwitchAnswer {
    const { view } = this;
    view.setUint32(0, type, true);
    view.setUint32(4, buckets.length, true);
    view.setUint32(8, flags, true);
    buckets.forEach((items, i) => {
      view.setUint32(16 + 128 * i, items.length, true);
      this.items(32 + 128 * i, items);
    });
    return this.run(25, id);
  }

  meter(
    id: number,
    spec: { algorithm: number; cir: number; cbs: number; eir?: number; ebs?: number },
  ): SwitchAnswer {
    const slot = this.admin.post(27, 7, (v) => {
      v.setUint32(8, id, true);
      v.setUint8(12, spec.algorithm);
      v.setUint32(24, spec.cir, true);
      v.setUint32(32, spec.eir ?? 0, true);
      v.setUint32(40, spec.cbs, true);
      v.setUint32(44, spec.ebs ?? 0, true);
    });
    this.bench.scheduler.runFor(100e9);
    return this.answer(slot);
  }

  /** Counter record of a handle: packets, bytes, flags, cookie. */
  counters(handle: number): { packets: number; bytes: number; flags: number; cookie: number } {
    this.run(23, handle >>> 24, 1, handle);
    const { view } = this;
    return {
      packets: view.getUint32(0, true) + view.getUint32(4, true) * 2 ** 32,
      bytes: view.getUint32(8, true) + view.getUint32(12, true) * 2 ** 32,
      flags: view.getUint32(24, true),
      cookie: view.getUint32(28, true),
    };
  }

  /** Handles that got old since the last call. */
  aged(): number[] {
    const { result } = this.run(24, 0, 64);
    return Array.from({ length: result }, (_, i) => this.view.getUint32(4 * i, true));
  }

  word(at: number): number {
    return this.view.getUint32(at, true);
  }
}
