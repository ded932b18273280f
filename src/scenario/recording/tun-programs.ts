// The steering programs that recordings name in words: return a number, or a field of the packet.

import { BpfCode } from '../../stack/tun/bpf/insn.ts';

const MOV64_IMM = 0xb7;
const MOV64_REG = 0xbf;
const EXIT = 0x95;
const LD_ABS: Readonly<Record<string, number>> = { byte: 0x30, word: 0x20 };
const LD_ABS_HALF = 0x28;

function insn(code: number, dst = 0, src = 0, imm = 0): Parameters<typeof BpfCode.fromInsns>[0][0] {
  return { code, dst_reg: dst, src_reg: src, off: 0, imm };
}

/** r0 = value; exit */
export function returningNumber(value: number): BpfCode {
  return BpfCode.fromInsns([insn(MOV64_IMM, 0, 0, value), insn(EXIT)]);
}

/** r6 = r1; r0 = *(kind *)skb[at]; exit */
export function returningField(kind: string, at: number): BpfCode {
  const load = LD_ABS[kind] ?? LD_ABS_HALF;
  return BpfCode.fromInsns([insn(MOV64_REG, 6, 1), insn(load, 0, 0, at), insn(EXIT)]);
}
