// One function's BAR0: 32-bit words, built from the register map. A read or write finds its register through a table of
// 32,768 words and then either touches storage or calls the hook that the function installed for that register.
// Accesses outside the map read 0, keep nothing and are counted by offset.

import { assert } from './base/assert.ts';
import { BAR0_BYTES } from './regs.ts';
import { REGISTERS } from './register-map.ts';

type ReadHook = (index: number) => number;
type WriteHook = (index: number, value: number, previous: number) => void;

/** word of BAR0 → register number + 1 in bits 31:8 (0: none), index in bits 7:0. */
const MAP = new Int32Array(BAR0_BYTES / 4);
/** word of BAR0 → word that holds the value (aliases share one). */
const HOME = new Int32Array(BAR0_BYTES / 4);

function mapRegisters(): void {
  REGISTERS.forEach((def, number) => {
    const places = [{ offset: def.offset, stride: def.stride, count: def.count }, ...def.aliases];
    for (const place of places)
      for (let i = 0; i < place.count; i++) {
        const word = (place.offset + i * place.stride) / 4;
        assert(MAP[word] === 0, `register map: ${def.name}[${i}] overlaps another register`);
        MAP[word] = ((number + 1) << 8) | i;
        HOME[word] = (def.offset + i * def.stride) / 4;
      }
  });
}
mapRegisters();

export class RegisterFile {
  /** Accesses to offsets without a register: offset → count; −1 stands for all that is
   * unaligned or outside BAR0. */
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
      for (let i = 0; i < def.count; i++) this.words[(def.offset + i * def.stride) / 4] = def.reset;
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
    if (entry === 0) return 0;
    const number = (entry >> 8) - 1;
    const hook = this.readHooks[number];
    if (hook !== null && hook !== undefined) return hook(entry & 255) >>> 0;
    if (REGISTERS[number]?.access === 'wo') return 0;
    return this.words[HOME[offset >> 2]];
  }

  /** Writes the register at a byte offset. */
  write32(offset: number, value: number): void {
    const entry = this.find(offset);
    if (entry === 0) return;
    const number = (entry >> 8) - 1;
    const access = REGISTERS[number]?.access;
    if (access === 'ro' || access === 'rc') return;
    const home = HOME[offset >> 2];
    const previous = this.words[home];
    this.words[home] = value;
    const hook = this.writeHooks[number];
    if (hook !== null && hook !== undefined) hook(entry & 255, value >>> 0, previous);
  }

  /** Stored value at an offset, without hooks. */
  peek(offset: number): number {
    return this.words[HOME[offset >> 2]];
  }

  /** Stores a value without hooks. */
  poke(offset: number, value: number): void {
    this.words[HOME[offset >> 2]] = value;
  }

  private find(offset: number): number {
    const isInside = (offset & 3) === 0 && offset >= 0 && offset < BAR0_BYTES;
    const entry = isInside ? MAP[offset >> 2] : 0;
    if (entry === 0) this.countUnknown(isInside ? offset : -1);
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
