// One function's BAR0: 32-bit words, built from the register map. A read or write finds its register through a table of
// 32,768 words and then either touches storage or calls the hook that the function installed for that register.
// Registers that are documented but not modelled answer their reset value; those and accesses outside of any register keep
// nothing and are counted by offset.

import { assert } from './base/assert.ts';
import { BAR0_BYTES } from './regs.ts';
import { offsetOf, placesOf } from './register-def.ts';
import { DOCUMENTED } from './register-map-documented.ts';
import { REGISTERS } from './register-map.ts';

type ReadHook = (index: number) => number;
type WriteHook = (index: number, value: number, previous: number) => void;

/** word of BAR0 → register number + 1 in bits 31:8 (0: none), index in bits 7:0; −1 − line of DOCUMENTED. */
const MAP = new Int32Array(BAR0_BYTES / 4);
/** word of BAR0 → word that holds the value (aliases share one). */
const HOME = new Int32Array(BAR0_BYTES / 4);
/** register number → 1: reads 0, 2: ignores writes. */
const FLAGS = new Uint8Array(REGISTERS.length);
const FLAG_WRITE_ONLY = 1;
const FLAG_READ_ONLY = 2;

function mapRegisters(): void {
  REGISTERS.forEach((def, number) => {
    if (def.access === 'wo') FLAGS[number] = FLAG_WRITE_ONLY;
    if (def.access === 'ro' || def.access === 'rc') FLAGS[number] = FLAG_READ_ONLY;
    for (const { offset, index } of placesOf(def)) {
      const word = offset / 4;
      assert(MAP[word] === 0, `register map: ${def.name}[${index}] overlaps another register`);
      MAP[word] = ((number + 1) << 8) | index;
      HOME[word] = offsetOf(def, index) / 4;
    }
  });
  DOCUMENTED.forEach((def, line) => {
    for (let i = 0; i < def.count; i++) {
      const word = (def.offset + i * def.stride) / 4;
      if (MAP[word] === 0) MAP[word] = -1 - line;
    }
  });
}
mapRegisters();

/** Name of what lies at an offset of BAR0, with its index in an array; null when no register is known there. */
export function registerName(offset: number): string | null {
  const entry = offset >= 0 && offset < BAR0_BYTES ? MAP[offset >> 2] : 0;
  if (entry === 0) return null;
  const def = entry < 0 ? DOCUMENTED[-1 - entry] : REGISTERS[(entry >> 8) - 1];
  if (def.count === 1) return def.name;
  return `${def.name}(${entry < 0 ? (offset - def.offset) / def.stride : entry & 255})`;
}

/** An offset that was accessed although the model does not act on it. */
export interface UnmodelledAccess {
  /** Offset in BAR0; −1 stands for all that is unaligned or outside. */
  offset: number;
  /** Name in the data sheet, null for an offset where it has no register. */
  name: string | null;
  /** Reads and writes. */
  count: number;
}

export class RegisterFile {
  /** Accesses to what is not modelled: offset → count; −1 stands for all that is unaligned or outside BAR0. */
  readonly unknown = new Map<number, number>();
  private readonly words = new Uint32Array(BAR0_BYTES / 4);
  private readonly readHooks: (ReadHook | null)[] = REGISTERS.map(() => null);
  private readonly writeHooks: (WriteHook | null)[] = REGISTERS.map(() => null);

  constructor() {
    this.reset();
  }

  /** All registers to their reset values; hooks are not called. */
  reset(): void {
    this.words.fill(0);
    for (const def of REGISTERS)
      for (let i = 0; i < def.count; i++) this.words[offsetOf(def, i) / 4] = def.reset;
  }

  /** Installs what reading a register answers. */
  onRead(name: string, hook: ReadHook): void {
    this.readHooks[numberOf(name)] = hook;
  }

  /** Installs what writing a register does; its new value is already stored. */
  onWrite(name: string, hook: WriteHook): void {
    this.writeHooks[numberOf(name)] = hook;
  }

  /** Reads the register at a byte offset. */
  read32(offset: number): number {
    const entry = this.find(offset);
    if (entry <= 0) return entry === 0 ? 0 : DOCUMENTED[-1 - entry].reset >>> 0;
    const number = (entry >> 8) - 1;
    const hook = this.readHooks[number];
    if (hook !== null) return hook(entry & 255) >>> 0;
    if ((FLAGS[number] & FLAG_WRITE_ONLY) !== 0) return 0;
    return this.words[HOME[offset >> 2]];
  }

  /** Writes the register at a byte offset. */
  write32(offset: number, value: number): void {
    const entry = this.find(offset);
    if (entry <= 0) return;
    const number = (entry >> 8) - 1;
    if ((FLAGS[number] & FLAG_READ_ONLY) !== 0) return;
    const home = HOME[offset >> 2];
    const previous = this.words[home];
    this.words[home] = value;
    const hook = this.writeHooks[number];
    if (hook !== null) hook(entry & 255, value >>> 0, previous);
  }

  /** As `read32`, without counting: for dumps. */
  readQuietly(offset: number): number {
    const entry = MAP[offset >> 2];
    if (entry > 0) return this.read32(offset);
    return entry === 0 ? 0 : DOCUMENTED[-1 - entry].reset >>> 0;
  }

  /** Stored value at an offset, without hooks. */
  peek(offset: number): number {
    return this.words[HOME[offset >> 2]];
  }

  /** Stores a value without hooks. */
  poke(offset: number, value: number): void {
    this.words[HOME[offset >> 2]] = value;
  }

  /** What was accessed and is not modelled, by offset. */
  unmodelled(): UnmodelledAccess[] {
    return [...this.unknown]
      .map(([offset, count]) => ({ offset, name: registerName(offset), count }))
      .sort((a, b) => a.offset - b.offset);
  }

  /** Entry of MAP; counts what is not modelled. */
  private find(offset: number): number {
    const isInside = (offset & 3) === 0 && offset >= 0 && offset < BAR0_BYTES;
    const entry = isInside ? MAP[offset >> 2] : 0;
    if (entry <= 0) this.countUnknown(isInside ? offset : -1);
    return entry;
  }

  private countUnknown(offset: number): void {
    this.unknown.set(offset, (this.unknown.get(offset) ?? 0) + 1);
  }
}

function numberOf(name: string): number {
  const number = REGISTERS.findIndex((def) => def.name === name);
  assert(number >= 0, `register map has no ${name}`);
  return number;
}
