// Decides whether a program may run: it ends, touches nothing but its registers, stack, context and packet, and reads nothing
// that was not written. What passes here cannot make the interpreter fail, so the interpreter checks nothing.
//
// Jumps may only go forward, so one pass in program order sees every instruction after all that lead to it: a state (what each
// register and stack byte holds) flows along, and where ways meet, the states are merged to what holds on both. That is coarser
// than the kernel's verifier, which follows every way by itself and allows bounded loops: it can refuse a program that Linux
// takes, never the other way round. Packet bounds are checked at run time, as LD_ABS and LD_IND define it (out of the packet: the
// program ends with 0); direct packet access, maps, tail calls, sub-programs and atomics are refused.
//
// Messages are the kernel's own where it has one (kernel/bpf/verifier.c); reasons are for programs.

import { EACCES, EINVAL, E2BIG } from '../../../../driver/errno.ts';
import { refuse } from '../../answer.ts';
import type { Answer } from '../../answer.ts';
import { mayAccess } from './context.ts';
import { HELPER_LOAD_BYTES } from './helpers.ts';
import * as I from './insn.ts';
import type { BpfCode } from './insn.ts';
import { checkInsn } from './insn-check.ts';
import { CTX, SCALAR, STACK, UNKNOWN, VerifierState } from './verifier-state.ts';

/** What a load or store addresses. */
export const MEMORY_CTX = 1;
export const MEMORY_STACK = 2;

/** A program that may run. */
export interface VerifiedProgram {
  readonly code: BpfCode;
  /** MEMORY_* of each load and store. */
  readonly memoryKind: Uint8Array;
}

/** Ends a verification; caught by `verify`. */
class Refusal extends Error {
  readonly reason: string;
  readonly errno: number;

  constructor(message: string, reason: string, errno = EINVAL) {
    super(message);
    this.reason = reason;
    this.errno = errno;
  }
}

/** Verifies a SOCKET_FILTER program: itself when it may run, else why not (E2BIG, EINVAL, EACCES). */
export function verify(code: BpfCode): VerifiedProgram | Answer {
  try {
    return new Verifier(code).run();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return refuse(error.errno, error.message, error.reason);
  }
}

export function isVerified(result: VerifiedProgram | Answer): result is VerifiedProgram {
  return 'code' in result;
}

class Verifier {
  private readonly code: BpfCode;
  private readonly memoryKind: Uint8Array;
  /** State in which each instruction is reached by a jump; null for none so far. */
  private readonly waiting: (VerifierState | null)[];
  private state = VerifierState.atEntry();
  private pc = 0;

  constructor(code: BpfCode) {
    this.code = code;
    this.memoryKind = new Uint8Array(code.count);
    this.waiting = new Array<VerifierState | null>(code.count).fill(null);
  }

  run(): VerifiedProgram {
    const { code, waiting } = this;
    if (code.count === 0 || code.count > I.BPF_MAXINSNS)
      throw new Refusal(`${code.count} instructions, 1 to ${I.BPF_MAXINSNS}`, 'bpf-size', E2BIG);
    this.checkShape();
    // Whether the instruction before leads to this one.
    let falls = true;
    for (this.pc = 0; this.pc < code.count; this.pc++) {
      const arrived = waiting[this.pc];
      if (arrived !== null) {
        if (falls) arrived.merge(this.state);
        this.state = arrived;
      } else if (!falls) throw new Refusal(`unreachable insn ${this.pc}`, 'bpf-unreachable');
      falls = this.step();
    }
    return { code, memoryKind: this.memoryKind };
  }

  /** Each instruction alone, and the last one. */
  private checkShape(): void {
    const { code } = this;
    for (let pc = 0; pc < code.count; pc++) {
      const complaint = checkInsn(code, pc);
      if (complaint !== null)
        throw new Refusal(`insn ${pc}: ${complaint.message}`, complaint.reason);
      if (code.op[pc] === I.LD_IMM64) pc++;
    }
    const last = code.op[code.count - 1];
    const ends =
      last === (I.BPF_JMP | I.BPF_EXIT) ||
      last === (I.BPF_JMP | I.BPF_JA) ||
      last === (I.BPF_JMP32 | I.BPF_JA);
    if (!ends) throw new Refusal('last insn is not an exit or jmp', 'bpf-exit');
  }

  /** Interprets one instruction abstractly; false when the next one is not reached from it. */
  private step(): boolean {
    const op = this.code.op[this.pc];
    switch (op & 7) {
      case I.BPF_ALU:
      case I.BPF_ALU64:
        this.arithmetic(op);
        return true;
      case I.BPF_JMP:
      case I.BPF_JMP32:
        return this.jump(op);
      case I.BPF_LD:
        this.loadWord(op);
        return true;
      case I.BPF_LDX:
        this.load(op);
        return true;
      default:
        this.store(op);
        return true;
    }
  }

  // ---- registers ----

  private need(register: number): number {
    const type = this.state.type[register];
    if (type === 0) throw new Refusal(`R${register} !read_ok`, 'bpf-uninitialised', EACCES);
    return type;
  }

  private needScalar(register: number, what: string): void {
    if (this.need(register) !== SCALAR)
      throw new Refusal(`R${register} ${what} prohibited`, 'bpf-pointer', EACCES);
  }

  private write(register: number, type: number, value: number): void {
    if (register === I.BPF_REG_FP)
      throw new Refusal('frame pointer is read only', 'bpf-pointer', EACCES);
    this.state.type[register] = type;
    this.state.value[register] = value;
  }

  // ---- instructions ----

  private arithmetic(op: number): void {
    const { code, pc, state } = this;
    const [d, s, imm] = [code.dst[pc], code.src[pc], code.imm[pc]];
    const operation = op & 0xf0;
    const wide = (op & 7) === I.BPF_ALU64;
    const isRegister = (op & I.BPF_X) !== 0 && operation !== I.BPF_END;
    if (isRegister) this.need(s);
    if (operation === I.BPF_MOV) {
      const plain = wide && code.off[pc] === 0;
      if (!isRegister) this.write(d, SCALAR, wide || imm >= 0 ? imm : UNKNOWN);
      else if (plain) this.write(d, state.type[s], state.value[s]);
      else {
        if (state.type[s] !== SCALAR)
          throw new Refusal(`R${s} partial copy of pointer`, 'bpf-pointer', EACCES);
        this.write(d, SCALAR, UNKNOWN);
      }
      return;
    }
    this.need(d);
    const value = isRegister ? state.value[s] : imm;
    const pointers = state.type[d] !== SCALAR || (isRegister && state.type[s] !== SCALAR);
    if (pointers) this.pointerArithmetic(operation, wide, d, isRegister ? s : -1, value);
    else this.write(d, SCALAR, constantOf(operation, wide, state.value[d], value));
  }

  /** Only adding a known number to (or taking it from) a pointer into the stack. */
  private pointerArithmetic(
    operation: number,
    wide: boolean,
    d: number,
    s: number,
    value: number,
  ): void {
    const { state } = this;
    const types = [state.type[d], s < 0 ? SCALAR : state.type[s]];
    const isSum = operation === I.BPF_ADD || operation === I.BPF_SUB;
    const commuted = operation === I.BPF_ADD && types[0] === SCALAR && types[1] === STACK;
    const allowed = wide && isSum && ((types[0] === STACK && types[1] === SCALAR) || commuted);
    if (!allowed)
      throw new Refusal(
        `R${types[0] === SCALAR ? s : d} pointer arithmetic prohibited`,
        'bpf-pointer',
        EACCES,
      );
    const base = commuted ? value : state.value[d];
    const by = commuted ? state.value[d] : value;
    const sum = by === UNKNOWN ? UNKNOWN : operation === I.BPF_SUB ? base - by : base + by;
    if (!(Math.abs(sum) < 1 << 29))
      throw new Refusal(`R${d} variable or far stack pointer`, 'bpf-bounds', EACCES);
    this.write(d, STACK, sum);
  }

  private jump(op: number): boolean {
    const { code, pc } = this;
    const operation = op & 0xf0;
    if (operation === I.BPF_EXIT) {
      this.need(0);
      if (this.state.type[0] !== SCALAR)
        throw new Refusal('R0 leaks addr as return value', 'bpf-pointer', EACCES);
      return false;
    }
    if (operation === I.BPF_CALL) {
      this.call(code.imm[pc]);
      return true;
    }
    const isAlways = operation === I.BPF_JA;
    if (!isAlways) {
      this.needScalar(code.dst[pc], 'pointer comparison');
      if ((op & I.BPF_X) !== 0) this.needScalar(code.src[pc], 'pointer comparison');
    }
    const isLong = isAlways && (op & 7) === I.BPF_JMP32;
    this.branch(pc + 1 + (isLong ? code.imm[pc] : code.off[pc]));
    return !isAlways;
  }

  /** A jump to `target` with the state of now. */
  private branch(target: number): void {
    const { code, pc, waiting } = this;
    if (target < 0 || target >= code.count)
      throw new Refusal(`jump out of range from insn ${pc} to ${target}`, 'bpf-jump');
    if (target <= pc) throw new Refusal(`back-edge from insn ${pc} to ${target}`, 'bpf-loop');
    if (code.op[target] === 0 && code.op[target - 1] === I.LD_IMM64)
      throw new Refusal(`jump into the middle of ldimm64 insn ${target - 1}`, 'bpf-jump');
    const known = waiting[target];
    if (known === null) waiting[target] = this.state.copy();
    else known.merge(this.state);
  }

  private call(helper: number): void {
    const { state } = this;
    if (helper === HELPER_LOAD_BYTES) {
      this.need(1);
      if (state.type[1] !== CTX)
        throw new Refusal('R1 type=scalar expected=ctx', 'bpf-argument', EACCES);
      this.needScalar(2, 'pointer as offset');
      this.need(3);
      this.need(4);
      const lenBytes = state.type[4] === SCALAR ? state.value[4] : UNKNOWN;
      const ok = state.type[3] === STACK && lenBytes > 0;
      if (!ok || !state.isStackRange(state.value[3], lenBytes))
        throw new Refusal('invalid indirect access to stack R3', 'bpf-bounds', EACCES);
      state.writeBytes(state.value[3], lenBytes);
    }
    this.write(0, SCALAR, UNKNOWN);
    for (let register = 1; register <= 5; register++) this.write(register, 0, 0);
  }

  /** LD_IMM64 and packet loads. */
  private loadWord(op: number): void {
    const { code, pc, state } = this;
    if (op === I.LD_IMM64) {
      const high = code.imm[pc + 1];
      this.write(code.dst[pc], SCALAR, high === code.imm[pc] >> 31 ? code.imm[pc] : UNKNOWN);
      this.pc++;
      return;
    }
    if ((op & 0xe0) === I.BPF_IND) this.needScalar(code.src[pc], 'pointer as offset');
    this.need(6);
    if (state.type[6] !== CTX)
      throw new Refusal('at the time of BPF_LD_ABS|IND R6 != pointer to skb', 'bpf-argument');
    this.write(0, SCALAR, UNKNOWN);
    for (let register = 1; register <= 5; register++) this.write(register, 0, 0);
  }

  private load(op: number): void {
    const { code, pc, state } = this;
    const [d, s, off] = [code.dst[pc], code.src[pc], code.off[pc]];
    const sizeBytes = sizeOf(op);
    const type = this.need(s);
    if (type === CTX) {
      this.needContext(off, sizeBytes, false);
      this.write(d, SCALAR, UNKNOWN);
      return;
    }
    if (type !== STACK) throw badMemory(s);
    const at = this.needStack(s, off, sizeBytes);
    const spilled = state.spilledType(at, sizeBytes);
    if (spilled !== 0 && (op & 0xe0) === I.BPF_MEM) this.write(d, spilled, state.spilledValue(at));
    else {
      if (!state.isWritten(at, sizeBytes))
        throw new Refusal(
          `invalid read from stack off ${at} size ${sizeBytes}`,
          'bpf-uninitialised',
          EACCES,
        );
      this.write(d, SCALAR, UNKNOWN);
    }
  }

  private store(op: number): void {
    const { code, pc, state } = this;
    const [d, s, off] = [code.dst[pc], code.src[pc], code.off[pc]];
    const sizeBytes = sizeOf(op);
    const isRegister = (op & 7) === I.BPF_STX;
    if (isRegister) this.need(s);
    const type = this.need(d);
    const isPointer = isRegister && state.type[s] !== SCALAR;
    if (type === CTX) {
      if (isPointer) throw new Refusal(`R${s} leaks addr into ctx`, 'bpf-pointer', EACCES);
      this.needContext(off, sizeBytes, true);
      return;
    }
    if (type !== STACK) throw badMemory(d);
    const at = this.needStack(d, off, sizeBytes);
    if (!isPointer) state.writeBytes(at, sizeBytes);
    else if (sizeBytes === 8 && at % 8 === 0) state.spill(at, state.type[s], state.value[s]);
    else throw new Refusal('invalid size of register spill', 'bpf-pointer', EACCES);
  }

  private needContext(off: number, sizeBytes: number, isWrite: boolean): void {
    this.memoryKind[this.pc] = MEMORY_CTX;
    if (!mayAccess(off, sizeBytes, isWrite))
      throw new Refusal(
        `invalid bpf_context access off=${off} size=${sizeBytes}`,
        'bpf-bounds',
        EACCES,
      );
  }

  /** Place on the stack, relative to the frame pointer. */
  private needStack(register: number, off: number, sizeBytes: number): number {
    this.memoryKind[this.pc] = MEMORY_STACK;
    const at = this.state.value[register] + off;
    if (!this.state.isStackRange(at, sizeBytes))
      throw new Refusal(
        `invalid access to stack R${register} off=${at} size=${sizeBytes}`,
        'bpf-bounds',
        EACCES,
      );
    if (at % sizeBytes !== 0)
      throw new Refusal(
        `misaligned stack access off ${at} size ${sizeBytes}`,
        'bpf-bounds',
        EACCES,
      );
    return at;
  }
}

function badMemory(register: number): Refusal {
  return new Refusal(`R${register} invalid mem access 'scalar'`, 'bpf-bounds', EACCES);
}

function sizeOf(op: number): number {
  const size = op & 0x18;
  return size === I.BPF_W ? 4 : size === I.BPF_H ? 2 : size === I.BPF_B ? 1 : 8;
}

/** Constants are followed through additions and subtractions only. */
function constantOf(operation: number, wide: boolean, a: number, b: number): number {
  if (!wide || a === UNKNOWN || b === UNKNOWN) return UNKNOWN;
  const sum = operation === I.BPF_ADD ? a + b : operation === I.BPF_SUB ? a - b : UNKNOWN;
  return Math.abs(sum) < 2 ** 31 ? sum : UNKNOWN;
}
