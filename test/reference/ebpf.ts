// eBPF arithmetic and jumps with BigInt, from the instruction set's text: the oracle of the interpreter. Registers are unsigned
// 64-bit numbers. Obviously right, and slow.

const M64 = (1n << 64n) - 1n;
const M32 = (1n << 32n) - 1n;

const signed = (value: bigint, bits: number): bigint => BigInt.asIntN(bits, value);
const unsigned = (value: bigint, bits: number): bigint => BigInt.asUintN(bits, value);

export interface OracleInsn {
  code: number;
  dst: number;
  src: number;
  off: number;
  imm: number;
}

function reverse(value: bigint, bits: number): bigint {
  let out = 0n;
  for (let i = 0; i < bits; i += 8) out = (out << 8n) | ((value >> BigInt(i)) & 0xffn);
  return out;
}

/** Result of an arithmetic instruction. */
export function oracleAlu(insn: OracleInsn, dst: bigint, src: bigint): bigint {
  const wide = (insn.code & 7) === 7;
  const bits = wide ? 64 : 32;
  const mask = wide ? M64 : M32;
  const isRegister = (insn.code & 8) !== 0;
  const a = dst & mask;
  const b = (isRegister ? src : unsigned(BigInt(insn.imm), 64)) & mask;
  const isSigned = insn.off === 1;
  const [sa, sb] = [signed(a, bits), signed(b, bits)];
  const shift = b & BigInt(bits - 1);
  switch (insn.code & 0xf0) {
    case 0x00:
      return (a + b) & mask;
    case 0x10:
      return (a - b) & mask;
    case 0x20:
      return (a * b) & mask;
    case 0x30:
      if (b === 0n) return 0n;
      return (isSigned ? sa / sb : a / b) & mask;
    case 0x40:
      return a | b;
    case 0x50:
      return a & b;
    case 0x60:
      return (a << shift) & mask;
    case 0x70:
      return a >> shift;
    case 0x80:
      return -a & mask;
    case 0x90:
      if (b === 0n) return a;
      return (isSigned ? sa % sb : a % b) & mask;
    case 0xa0:
      return a ^ b;
    case 0xb0:
      if (insn.off === 0) return b;
      return signed(src & ((1n << BigInt(insn.off)) - 1n), insn.off) & mask;
    case 0xc0:
      return (sa >> shift) & mask;
    case 0xd0: {
      const low = unsigned(dst, insn.imm);
      return wide || isRegister ? reverse(low, insn.imm) : low;
    }
    default:
      throw new Error('no such operation');
  }
}

/** Whether a conditional jump is taken. */
export function oracleJump(insn: OracleInsn, dst: bigint, src: bigint): boolean {
  const bits = (insn.code & 7) === 5 ? 64 : 32;
  const a = unsigned(dst, bits);
  const b = unsigned((insn.code & 8) !== 0 ? src : BigInt(insn.imm), bits);
  const [sa, sb] = [signed(a, bits), signed(b, bits)];
  switch (insn.code & 0xf0) {
    case 0x10:
      return a === b;
    case 0x20:
      return a > b;
    case 0x30:
      return a >= b;
    case 0x40:
      return (a & b) !== 0n;
    case 0x50:
      return a !== b;
    case 0x60:
      return sa > sb;
    case 0x70:
      return sa >= sb;
    case 0xa0:
      return a < b;
    case 0xb0:
      return a <= b;
    case 0xc0:
      return sa < sb;
    default:
      return sa <= sb;
  }
}
