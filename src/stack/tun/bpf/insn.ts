// eBPF instructions (include/uapi/linux/bpf.h, Documentation/bpf/standardization/instruction-set.rst): encoding, and the program
// as columns of typed arrays. Also the text forms in which a program is given: hex (16 digits an instruction, as in
// memory) and JSON (objects with the members of struct bpf_insn, arrays of those five numbers, or hex strings).

/** Instruction classes: the low three bits of the opcode. */
export const BPF_LD = 0;
export const BPF_LDX = 1;
export const BPF_ST = 2;
export const BPF_STX = 3;
export const BPF_ALU = 4;
export const BPF_JMP = 5;
export const BPF_JMP32 = 6;
export const BPF_ALU64 = 7;

/** Sizes of loads and stores: bits 3 and 4. */
export const BPF_W = 0x00;
export const BPF_H = 0x08;
export const BPF_B = 0x10;
export const BPF_DW = 0x18;

/** Modes of loads and stores: the top three bits. */
export const BPF_IMM = 0x00;
export const BPF_ABS = 0x20;
export const BPF_IND = 0x40;
export const BPF_MEM = 0x60;
export const BPF_MEMSX = 0x80;

/** Second operand of arithmetic and jumps: 0 the immediate, 8 a register. */
export const BPF_X = 0x08;

/** Arithmetic: the top four bits. */
export const BPF_ADD = 0x00;
export const BPF_SUB = 0x10;
export const BPF_MUL = 0x20;
export const BPF_DIV = 0x30;
export const BPF_OR = 0x40;
export const BPF_AND = 0x50;
export const BPF_LSH = 0x60;
export const BPF_RSH = 0x70;
export const BPF_NEG = 0x80;
export const BPF_MOD = 0x90;
export const BPF_XOR = 0xa0;
export const BPF_MOV = 0xb0;
export const BPF_ARSH = 0xc0;
export const BPF_END = 0xd0;

/** Jumps: the top four bits. */
export const BPF_JA = 0x00;
export const BPF_JEQ = 0x10;
export const BPF_JGT = 0x20;
export const BPF_JGE = 0x30;
export const BPF_JSET = 0x40;
export const BPF_JNE = 0x50;
export const BPF_JSGT = 0x60;
export const BPF_JSGE = 0x70;
export const BPF_CALL = 0x80;
export const BPF_EXIT = 0x90;
export const BPF_JLT = 0xa0;
export const BPF_JLE = 0xb0;
export const BPF_JSLT = 0xc0;
export const BPF_JSLE = 0xd0;

/** The first half of a 64-bit immediate load, which takes two instructions. */
export const LD_IMM64 = BPF_LD | BPF_IMM | BPF_DW;

/** Longest program, instructions (BPF_MAXINSNS). */
export const BPF_MAXINSNS = 4096;
export const BPF_STACK_BYTES = 512;
/** The frame pointer, read only. */
export const BPF_REG_FP = 10;
export const BPF_REGISTERS = 11;

const INSN_BYTES = 8;

/** One instruction as struct bpf_insn has it. */
export interface BpfInsn {
  code: number;
  dst_reg: number;
  src_reg: number;
  off: number;
  imm: number;
}

/** Instructions as columns. */
export class BpfCode {
  readonly count: number;
  readonly op: Uint8Array;
  readonly dst: Uint8Array;
  readonly src: Uint8Array;
  readonly off: Int16Array;
  readonly imm: Int32Array;

  constructor(count: number) {
    this.count = count;
    this.op = new Uint8Array(count);
    this.dst = new Uint8Array(count);
    this.src = new Uint8Array(count);
    this.off = new Int16Array(count);
    this.imm = new Int32Array(count);
  }

  /** From memory: 8 bytes an instruction, little-endian; null when the length is no multiple of 8. */
  static fromBytes(bytes: Uint8Array): BpfCode | null {
    if (bytes.length % INSN_BYTES !== 0) return null;
    const code = new BpfCode(bytes.length / INSN_BYTES);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let i = 0; i < code.count; i++) {
      const at = i * INSN_BYTES;
      code.op[i] = bytes[at];
      code.dst[i] = bytes[at + 1] & 0xf;
      code.src[i] = bytes[at + 1] >> 4;
      code.off[i] = view.getInt16(at + 2, true);
      code.imm[i] = view.getInt32(at + 4, true);
    }
    return code;
  }

  static fromInsns(insns: readonly BpfInsn[]): BpfCode {
    const code = new BpfCode(insns.length);
    insns.forEach((insn, i) => {
      code.op[i] = insn.code;
      code.dst[i] = insn.dst_reg;
      code.src[i] = insn.src_reg;
      code.off[i] = insn.off;
      code.imm[i] = insn.imm;
    });
    return code;
  }
}

/** A program's text that cannot be read: what was expected, and where. */
export class BpfTextError extends Error {
  override readonly name = 'BpfTextError';
}

/** Reads hex or JSON. Throws BpfTextError. */
export function parseBpfText(text: string): BpfCode {
  const first = text.trimStart().charAt(0);
  return first === '[' || first === '{' ? parseJson(text) : parseHex(text);
}

/** `#` and `//` begin comments; blanks, commas and `0x` in front of an instruction are allowed. */
function parseHex(text: string): BpfCode {
  let digits = '';
  text.split('\n').forEach((line, index) => {
    const words = line.replace(/(#|\/\/).*$/, '').split(/[\s,]+/);
    for (const word of words) {
      const hex = word.replace(/^0x/i, '');
      if (!/^[0-9a-f]*$/i.test(hex))
        throw new BpfTextError(`line ${index + 1}: hex digits expected, not "${word}"`);
      digits += hex;
    }
  });
  if (digits.length === 0) throw new BpfTextError('line 1: instructions expected');
  if (digits.length % 16 !== 0)
    throw new BpfTextError(`${digits.length} hex digits: 16 an instruction expected`);
  return codeOfHex(digits);
}

function codeOfHex(digits: string): BpfCode {
  const bytes = new Uint8Array(digits.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = parseInt(digits.slice(2 * i, 2 * i + 2), 16);
  return BpfCode.fromBytes(bytes) as BpfCode;
}

const MEMBERS = ['code', 'dst_reg', 'src_reg', 'off', 'imm'] as const;
const RANGES: Readonly<Record<(typeof MEMBERS)[number], readonly [number, number]>> = {
  code: [0, 255],
  dst_reg: [0, 15],
  src_reg: [0, 15],
  off: [-0x8000, 0x7fff],
  imm: [-0x8000_0000, 0xffff_ffff],
};

function parseJson(text: string): BpfCode {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new BpfTextError(`not JSON: ${(error as Error).message}`);
  }
  const list = isRecord(value) ? value['insns'] : value;
  if (!Array.isArray(list) || list.length === 0)
    throw new BpfTextError('an array of instructions expected');
  return BpfCode.fromInsns(list.map((item: unknown, index) => insnOfJson(item, index)));
}

function insnOfJson(item: unknown, index: number): BpfInsn {
  if (typeof item === 'string' && /^(0x)?[0-9a-f]{16}$/i.test(item)) {
    const code = codeOfHex(item.replace(/^0x/i, ''));
    return {
      code: code.op[0],
      dst_reg: code.dst[0],
      src_reg: code.src[0],
      off: code.off[0],
      imm: code.imm[0],
    };
  }
  const insn: BpfInsn = { code: 0, dst_reg: 0, src_reg: 0, off: 0, imm: 0 };
  if (!Array.isArray(item) && !isRecord(item))
    throw new BpfTextError(`instruction ${index}: an object, an array or 16 hex digits expected`);
  MEMBERS.forEach((member, place) => {
    const value: unknown = Array.isArray(item) ? item[place] : (item[member] ?? 0);
    const [low, high] = RANGES[member];
    if (typeof value !== 'number' || !Number.isInteger(value) || value < low || value > high)
      throw new BpfTextError(`instruction ${index}: ${member}: ${low} to ${high} expected`);
    insn[member] = value;
  });
  return insn;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
