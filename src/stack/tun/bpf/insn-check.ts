// The checks that look at one instruction alone: known opcode, registers that exist, reserved fields zero, shifts within the
// width, no division by a constant zero. Messages are the kernel's where it has one (kernel/bpf/verifier.c).

import * as I from './insn.ts';
import type { BpfCode } from './insn.ts';
import { HELPERS } from './helpers.ts';

/** A refusal: sentence and machine-readable reason. */
export interface Complaint {
  message: string;
  reason: string;
}

function reserved(what: string): Complaint {
  return { message: `${what} uses reserved fields`, reason: 'bpf-reserved' };
}

function unknown(op: number): Complaint {
  return { message: `unknown opcode ${op.toString(16).padStart(2, '0')}`, reason: 'bpf-opcode' };
}

/** What is wrong with the instruction at `pc`, null when nothing is. */
export function checkInsn(code: BpfCode, pc: number): Complaint | null {
  const op = code.op[pc];
  for (const register of [code.dst[pc], code.src[pc]])
    if (register >= I.BPF_REGISTERS && !isPseudo(code, pc))
      return { message: `R${register} is invalid`, reason: 'bpf-register' };
  switch (op & 7) {
    case I.BPF_ALU:
    case I.BPF_ALU64:
      return checkAlu(code, pc);
    case I.BPF_JMP:
    case I.BPF_JMP32:
      return checkJump(code, pc);
    case I.BPF_LD:
      return checkLd(code, pc);
    default:
      return checkMemory(code, pc);
  }
}

/** The second half of a 64-bit immediate and its sources are checked in checkLd. */
function isPseudo(code: BpfCode, pc: number): boolean {
  return code.op[pc] === I.LD_IMM64;
}

function checkAlu(code: BpfCode, pc: number): Complaint | null {
  const op = code.op[pc];
  const wide = (op & 7) === I.BPF_ALU64;
  const isRegister = (op & I.BPF_X) !== 0;
  const [src, off, imm] = [code.src[pc], code.off[pc], code.imm[pc]];
  const name = wide ? 'BPF_ALU64' : 'BPF_ALU';
  switch (op & 0xf0) {
    case I.BPF_NEG:
      return isRegister || src !== 0 || off !== 0 || imm !== 0 ? reserved('BPF_NEG') : null;
    case I.BPF_END:
      if (src !== 0 || off !== 0 || (wide && isRegister) || ![16, 32, 64].includes(imm))
        return reserved('BPF_END');
      return null;
    case I.BPF_MOV:
      return checkMov(wide, isRegister, src, off, imm);
    case I.BPF_DIV:
    case I.BPF_MOD:
      if (off !== 0 && off !== 1) return reserved(name);
      break;
    default:
      if ((op & 0xf0) > I.BPF_END) return unknown(op);
      if (off !== 0) return reserved(name);
  }
  if (isRegister ? imm !== 0 : src !== 0) return reserved(name);
  return isRegister ? null : checkConstant(op & 0xf0, imm, wide);
}

function checkMov(
  wide: boolean,
  isRegister: boolean,
  src: number,
  off: number,
  imm: number,
): Complaint | null {
  if (!isRegister) return src !== 0 || off !== 0 ? reserved('BPF_MOV') : null;
  const widths = wide ? [0, 8, 16, 32] : [0, 8, 16];
  return imm !== 0 || !widths.includes(off) ? reserved('BPF_MOV') : null;
}

function checkConstant(operation: number, imm: number, wide: boolean): Complaint | null {
  if ((operation === I.BPF_DIV || operation === I.BPF_MOD) && imm === 0)
    return { message: 'div by zero', reason: 'bpf-division' };
  const isShift = operation === I.BPF_LSH || operation === I.BPF_RSH || operation === I.BPF_ARSH;
  if (isShift && (imm < 0 || imm >= (wide ? 64 : 32)))
    return { message: `invalid shift ${imm}`, reason: 'bpf-shift' };
  return null;
}

function checkJump(code: BpfCode, pc: number): Complaint | null {
  const op = code.op[pc];
  const operation = op & 0xf0;
  const narrow = (op & 7) === I.BPF_JMP32;
  const isRegister = (op & I.BPF_X) !== 0;
  const [dst, src, off, imm] = [code.dst[pc], code.src[pc], code.off[pc], code.imm[pc]];
  if (operation === I.BPF_CALL || operation === I.BPF_EXIT) {
    if (narrow) return unknown(op);
    if (operation === I.BPF_EXIT)
      return isRegister || dst !== 0 || src !== 0 || off !== 0 || imm !== 0
        ? reserved('BPF_EXIT')
        : null;
    if (isRegister || dst !== 0 || src !== 0 || off !== 0) return reserved('BPF_CALL');
    if (HELPERS.has(imm)) return null;
    return { message: `invalid func unknown#${imm}`, reason: 'bpf-helper' };
  }
  if (operation === I.BPF_JA) {
    // JA jumps by off, its 32-bit form by imm.
    const unused = narrow ? off : imm;
    return isRegister || dst !== 0 || src !== 0 || unused !== 0 ? reserved('BPF_JA') : null;
  }
  if (operation > I.BPF_JSLE) return unknown(op);
  return (isRegister ? imm !== 0 : src !== 0) ? reserved('BPF_JMP/JMP32') : null;
}

function checkLd(code: BpfCode, pc: number): Complaint | null {
  const op = code.op[pc];
  const mode = op & 0xe0;
  if (op === I.LD_IMM64) {
    const next = pc + 1;
    const whole =
      next < code.count &&
      code.op[next] === 0 &&
      code.dst[next] === 0 &&
      code.src[next] === 0 &&
      code.off[next] === 0;
    if (!whole) return { message: 'invalid bpf_ld_imm64 insn', reason: 'bpf-opcode' };
    if (code.src[pc] !== 0) return { message: 'unrecognized bpf_ld_imm64 insn', reason: 'bpf-map' };
    if (code.dst[pc] >= I.BPF_REGISTERS)
      return { message: `R${code.dst[pc]} is invalid`, reason: 'bpf-register' };
    return code.off[pc] !== 0 ? reserved('BPF_LD_IMM64') : null;
  }
  if ((mode !== I.BPF_ABS && mode !== I.BPF_IND) || (op & 0x18) === I.BPF_DW) return unknown(op);
  const badSource = mode === I.BPF_ABS && code.src[pc] !== 0;
  return code.dst[pc] !== 0 || code.off[pc] !== 0 || badSource
    ? reserved('BPF_LD_[ABS|IND]')
    : null;
}

function checkMemory(code: BpfCode, pc: number): Complaint | null {
  const op = code.op[pc];
  const kind = op & 7;
  const mode = op & 0xe0;
  if (mode === I.BPF_MEMSX)
    return kind === I.BPF_LDX && op !== 0x99 ? checkImm(code, pc) : unknown(op);
  if (mode !== I.BPF_MEM) return unknown(op);
  if (kind === I.BPF_ST) return code.src[pc] !== 0 ? reserved('BPF_ST') : null;
  return checkImm(code, pc);
}

function checkImm(code: BpfCode, pc: number): Complaint | null {
  if (code.imm[pc] === 0) return null;
  return reserved((code.op[pc] & 7) === I.BPF_LDX ? 'BPF_LDX' : 'BPF_STX');
}
