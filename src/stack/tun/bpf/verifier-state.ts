// What the verifier knows at one place of a program: the type of each register, its value when that is a known number or a place on
// the stack, and what each byte of the stack holds.

import { BPF_REGISTERS, BPF_REG_FP, BPF_STACK_BYTES } from './insn.ts';

/** Register types; 0 is not initialised. */
export const SCALAR = 1;
export const CTX = 2;
export const STACK = 3;

/** Value of a number that is not known (NaN would not compare equal to itself). */
export const UNKNOWN = Infinity;

const SLOTS = BPF_STACK_BYTES / 8;

export class VerifierState {
  readonly type: Uint8Array;
  /** Number of a SCALAR or UNKNOWN; offset of a STACK pointer from the frame pointer. */
  readonly value: Float64Array;
  /** 1 where a byte was written. */
  private readonly written: Uint8Array;
  /** Type of the pointer that a slot of eight bytes holds, 0 for none; and its value. */
  private readonly slotType: Uint8Array;
  private readonly slotValue: Float64Array;

  private constructor(from: VerifierState | null) {
    this.type = from === null ? new Uint8Array(BPF_REGISTERS) : from.type.slice();
    this.value = from === null ? new Float64Array(BPF_REGISTERS) : from.value.slice();
    this.written = from === null ? new Uint8Array(BPF_STACK_BYTES) : from.written.slice();
    this.slotType = from === null ? new Uint8Array(SLOTS) : from.slotType.slice();
    this.slotValue = from === null ? new Float64Array(SLOTS) : from.slotValue.slice();
  }

  /** R1 is the context, R10 the frame pointer. */
  static atEntry(): VerifierState {
    const state = new VerifierState(null);
    state.type[1] = CTX;
    state.type[BPF_REG_FP] = STACK;
    return state;
  }

  copy(): VerifierState {
    return new VerifierState(this);
  }

  /** Keeps what holds in both. */
  merge(other: VerifierState): void {
    for (let r = 0; r < BPF_REGISTERS; r++) {
      if (this.type[r] !== other.type[r]) this.type[r] = 0;
      else if (this.value[r] !== other.value[r]) {
        if (this.type[r] === SCALAR) this.value[r] = UNKNOWN;
        else this.type[r] = 0;
      }
    }
    for (let i = 0; i < BPF_STACK_BYTES; i++) this.written[i] &= other.written[i];
    for (let slot = 0; slot < SLOTS; slot++) {
      const same =
        this.slotType[slot] === other.slotType[slot] &&
        this.slotValue[slot] === other.slotValue[slot];
      if (same) continue;
      this.slotType[slot] = 0;
      this.written.fill(0, slot * 8, slot * 8 + 8);
    }
  }

  /** Whether bytes from `at` (below the frame pointer) on lie on the stack. */
  isStackRange(at: number, lenBytes: number): boolean {
    return at >= -BPF_STACK_BYTES && at + lenBytes <= 0;
  }

  /** Numbers were written: a pointer that was there is gone, with what is left of it. */
  writeBytes(at: number, lenBytes: number): void {
    const from = at + BPF_STACK_BYTES;
    for (let slot = from >> 3; slot <= (from + lenBytes - 1) >> 3; slot++) {
      if (this.slotType[slot] !== 0) this.written.fill(0, slot * 8, slot * 8 + 8);
      this.slotType[slot] = 0;
      this.slotValue[slot] = 0;
    }
    this.written.fill(1, from, from + lenBytes);
  }

  /** A pointer was stored in a whole slot. */
  spill(at: number, type: number, value: number): void {
    const slot = (at + BPF_STACK_BYTES) >> 3;
    this.slotType[slot] = type;
    this.slotValue[slot] = value;
    this.written.fill(0, slot * 8, slot * 8 + 8);
  }

  /** Type of the pointer that a load of a whole slot gives back, 0 when it is none. */
  spilledType(at: number, lenBytes: number): number {
    return lenBytes === 8 ? this.slotType[(at + BPF_STACK_BYTES) >> 3] : 0;
  }

  spilledValue(at: number): number {
    return this.slotValue[(at + BPF_STACK_BYTES) >> 3];
  }

  isWritten(at: number, lenBytes: number): boolean {
    const from = at + BPF_STACK_BYTES;
    for (let i = from; i < from + lenBytes; i++) if (this.written[i] === 0) return false;
    return true;
  }
}
