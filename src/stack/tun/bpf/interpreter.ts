// Runs a program that the verifier accepted: registers are two halves of 32 bits each, the stack is 512 bytes, the packet is read in
// place. Nothing is checked here but what only the packet decides: a load outside of it ends the program with result 0, as in Linux.
//
// Registers that hold a pointer hold an offset (the stack's: from its lowest byte) under a tag; what a load or store addresses is
// known from the verifier (`memoryKind`). Jumps only go forward, so a run takes at most as many steps as there are instructions.

import { EFAULT } from '../../../../driver/errno.ts';
import { Alu64, alu32 } from './alu.ts';
import type { BpfContext } from './context.ts';
import * as I from './insn.ts';
import { HELPER_CPU, HELPER_KTIME, HELPER_LOAD_BYTES, HELPER_RANDOM } from './helpers.ts';
import { MEMORY_CTX } from './verifier.ts';
import type { VerifiedProgram } from './verifier.ts';
import { xorshift32 } from '../../xorshift.ts';

/** Tags in the high half of pointers: nothing depends on them, they make a leak easy to see. */
const TAG_CTX = 0x0c70_0000;
const TAG_STACK = 0x57ac_0000;

export class BpfInterpreter {
  /** Instructions executed since the start. */
  insnCount = 0;

  private readonly low = new Int32Array(16);
  private readonly high = new Int32Array(16);
  private readonly stack = new Uint8Array(I.BPF_STACK_BYTES);
  private readonly alu = new Alu64();

  /** Runs a program on a context; the low 32 bits of R0, unsigned. */
  run(program: VerifiedProgram, ctx: BpfContext): number {
    const { op, dst, src, off, imm } = program.code;
    const { low, high } = this;
    low[1] = 0;
    high[1] = TAG_CTX;
    low[I.BPF_REG_FP] = I.BPF_STACK_BYTES;
    high[I.BPF_REG_FP] = TAG_STACK;
    for (let pc = 0; ; pc++) {
      this.insnCount++;
      const code = op[pc];
      const d = dst[pc];
      switch (code & 7) {
        case I.BPF_ALU64:
          this.arithmetic64(code, d, src[pc], off[pc], imm[pc]);
          break;
        case I.BPF_ALU:
          this.arithmetic32(code, d, src[pc], off[pc], imm[pc]);
          break;
        case I.BPF_JMP:
        case I.BPF_JMP32:
          if (code === (I.BPF_JMP | I.BPF_EXIT)) return low[0] >>> 0;
          if (code === (I.BPF_JMP | I.BPF_CALL)) this.call(imm[pc], ctx);
          else if (code === (I.BPF_JMP32 | I.BPF_JA)) pc += imm[pc];
          else if (this.jumps(code, d, src[pc], imm[pc])) pc += off[pc];
          break;
        case I.BPF_LD:
          if (code === I.LD_IMM64) {
            low[d] = imm[pc];
            high[d] = imm[++pc];
          } else if (!this.loadPacket(code, src[pc], imm[pc], ctx)) return 0;
          break;
        case I.BPF_LDX:
          this.load(code, d, low[src[pc]] + off[pc], program.memoryKind[pc], ctx);
          break;
        default: {
          const isRegister = (code & 7) === I.BPF_STX;
          const vl = isRegister ? low[src[pc]] : imm[pc];
          const vh = isRegister ? high[src[pc]] : imm[pc] >> 31;
          this.store(code, low[d] + off[pc], vl, vh, program.memoryKind[pc], ctx);
        }
      }
    }
  }

  private arithmetic64(code: number, d: number, s: number, off: number, imm: number): void {
    const { low, high, alu } = this;
    const op = code & 0xf0;
    const isRegister = (code & I.BPF_X) !== 0;
    const bl = isRegister ? low[s] : imm;
    const bh = isRegister ? high[s] : imm >> 31;
    if (op === I.BPF_MOV) {
      low[d] = extend(bl, off);
      high[d] = off === 0 ? bh : low[d] >> 31;
    } else if (op === I.BPF_NEG) {
      alu.run(I.BPF_SUB, 0, 0, low[d], high[d], false);
      low[d] = alu.low;
      high[d] = alu.high;
    } else if (op === I.BPF_END) this.swap(d, imm);
    else if (alu.run(op, low[d], high[d], bl, bh, off === 1)) {
      low[d] = alu.low;
      high[d] = alu.high;
    }
  }

  private arithmetic32(code: number, d: number, s: number, off: number, imm: number): void {
    const { low, high } = this;
    const op = code & 0xf0;
    if (op === I.BPF_END) {
      // To big-endian a little-endian machine swaps; to little-endian it only cuts.
      if ((code & I.BPF_X) !== 0) this.swap(d, imm);
      else this.cut(d, imm);
      return;
    }
    const b = (code & I.BPF_X) !== 0 ? low[s] : imm;
    if (op === I.BPF_NEG) low[d] = -low[d];
    else if (op === I.BPF_MOV) low[d] = extend(b, off);
    else low[d] = alu32(op, low[d], b, off === 1);
    high[d] = 0;
  }

  private cut(d: number, bits: number): void {
    if (bits < 64) this.high[d] = 0;
    if (bits === 16) this.low[d] &= 0xffff;
  }

  private swap(d: number, bits: number): void {
    const { low, high } = this;
    const l = swap32(low[d]);
    const h = swap32(high[d]);
    if (bits === 64) {
      low[d] = h;
      high[d] = l;
      return;
    }
    low[d] = bits === 16 ? l >>> 16 : l;
    high[d] = 0;
  }

  /** Whether a conditional jump (or JA) is taken. */
  private jumps(code: number, d: number, s: number, imm: number): boolean {
    const { low, high } = this;
    const wide = (code & 7) === I.BPF_JMP;
    const isRegister = (code & I.BPF_X) !== 0;
    const al = low[d];
    const bl = isRegister ? low[s] : imm;
    // In 32 bits both high halves are the signs of the low ones: comparisons of either kind come out right.
    const ah = wide ? high[d] : al >> 31;
    const bh = wide ? (isRegister ? high[s] : imm >> 31) : bl >> 31;
    switch (code & 0xf0) {
      case I.BPF_JA:
        return true;
      case I.BPF_JEQ:
        return al === bl && ah === bh;
      case I.BPF_JNE:
        return al !== bl || ah !== bh;
      case I.BPF_JSET:
        return ((al & bl) | (ah & bh)) !== 0;
      case I.BPF_JGT:
        return below(bl, bh, al, ah);
      case I.BPF_JGE:
        return !below(al, ah, bl, bh);
      case I.BPF_JLT:
        return below(al, ah, bl, bh);
      case I.BPF_JLE:
        return !below(bl, bh, al, ah);
      case I.BPF_JSGT:
        return less(bl, bh, al, ah);
      case I.BPF_JSGE:
        return !less(al, ah, bl, bh);
      case I.BPF_JSLT:
        return less(al, ah, bl, bh);
      default:
        return !less(bl, bh, al, ah);
    }
  }

  /** LD_ABS, LD_IND: R0 becomes bytes of the packet in network order; false outside of it. */
  private loadPacket(code: number, s: number, imm: number, ctx: BpfContext): boolean {
    const offset = (code & 0xe0) === I.BPF_IND ? (imm + this.low[s]) | 0 : imm;
    const sizeBytes = sizeOf(code);
    const at = ctx.packetAt(offset, sizeBytes);
    if (at < 0) return false;
    let value = 0;
    for (let i = 0; i < sizeBytes; i++) value = (value << 8) | ctx.bytes[at + i];
    this.low[0] = value;
    this.high[0] = 0;
    return true;
  }

  private load(code: number, d: number, at: number, kind: number, ctx: BpfContext): void {
    const { low, high, stack } = this;
    const sizeBytes = sizeOf(code);
    let vl = 0;
    let vh = 0;
    if (kind === MEMORY_CTX) {
      vl = ctx.read(at, sizeBytes) | 0;
      if (sizeBytes === 8) vh = ctx.read(at + 4, 4) | 0;
    } else {
      for (let i = Math.min(sizeBytes, 4) - 1; i >= 0; i--) vl = (vl << 8) | stack[at + i];
      if (sizeBytes === 8) for (let i = 7; i >= 4; i--) vh = (vh << 8) | stack[at + i];
    }
    if ((code & 0xe0) === I.BPF_MEMSX) {
      vl = extend(vl, 8 * sizeBytes);
      vh = vl >> 31;
    }
    low[d] = vl;
    high[d] = vh;
  }

  private store(
    code: number,
    at: number,
    vl: number,
    vh: number,
    kind: number,
    ctx: BpfContext,
  ): void {
    const sizeBytes = sizeOf(code);
    if (kind === MEMORY_CTX) {
      ctx.write(at, sizeBytes, vl, vh);
      return;
    }
    for (let i = 0; i < sizeBytes; i++)
      this.stack[at + i] = (i < 4 ? vl >>> (8 * i) : vh >>> (8 * (i - 4))) & 0xff;
  }

  private call(helper: number, ctx: BpfContext): void {
    const { low, high } = this;
    high[0] = 0;
    if (helper === HELPER_CPU) low[0] = ctx.cpu;
    else if (helper === HELPER_RANDOM) low[0] = nextRandom(ctx);
    else if (helper === HELPER_KTIME) {
      low[0] = (ctx.nowNs % 0x1_0000_0000) | 0;
      high[0] = Math.floor(ctx.nowNs / 0x1_0000_0000) | 0;
    } else if (helper === HELPER_LOAD_BYTES) this.loadBytes(ctx);
  }

  /** bpf_skb_load_bytes(skb, offset, to, len): copies, or clears `to` and answers −EFAULT. */
  private loadBytes(ctx: BpfContext): void {
    const { low, high, stack } = this;
    const to = low[3];
    const lenBytes = low[4];
    const at = low[2] < 0 ? -1 : ctx.packetAt(low[2], lenBytes);
    if (at < 0) stack.fill(0, to, to + lenBytes);
    else for (let i = 0; i < lenBytes; i++) stack[to + i] = ctx.bytes[at + i];
    low[0] = at < 0 ? -EFAULT : 0;
    high[0] = low[0] >> 31;
  }
}

function sizeOf(code: number): number {
  const size = code & 0x18;
  return size === I.BPF_W ? 4 : size === I.BPF_H ? 2 : size === I.BPF_B ? 1 : 8;
}

/** Sign extension from `bits`; 0 and 32 leave the low half as it is. */
function extend(value: number, bits: number): number {
  return bits === 8 || bits === 16 ? (value << (32 - bits)) >> (32 - bits) : value;
}

function swap32(value: number): number {
  return (value << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24);
}

function below(al: number, ah: number, bl: number, bh: number): boolean {
  return ah === bh ? al >>> 0 < bl >>> 0 : ah >>> 0 < bh >>> 0;
}

function less(al: number, ah: number, bl: number, bh: number): boolean {
  return ah === bh ? al >>> 0 < bl >>> 0 : ah < bh;
}

function nextRandom(ctx: BpfContext): number {
  const x = xorshift32(ctx.random);
  ctx.random = x === 0 ? 1 : x;
  return x;
}
