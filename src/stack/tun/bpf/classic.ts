// Classic BPF (struct sock_filter: what TUNATTACHFILTER takes, what `tcpdump -dd` prints) turned into eBPF, as the kernel does
// (net/core/filter.c bpf_convert_filter): the accumulator becomes R0, the index register R7, the context R6, the sixteen
// words of scratch memory lie on the stack. The verifier then judges the result, so nothing is trusted here.
//
// Loads at negative offsets reach packet metadata (SKF_AD_OFF): protocol, packet type, ifindex, mark, queue, hash, VLAN tag, processor.
// The other ancillary loads (pay_offset, hatype, nlattr, random, ...) are refused.

import * as I from './insn.ts';
import { BpfCode } from './insn.ts';
import type { BpfInsn } from './insn.ts';
import { HELPER_CPU } from './helpers.ts';

const A = 0;
const X = 7;
const CTX = 6;
const SAVED = 8;

const BPF_RET = 0x06;
const BPF_MISC = 0x07;
const BPF_LEN = 0x80;
const BPF_MSH = 0xa0;
const BPF_TXA = 0x80;
const SCRATCH_WORDS = 16;

const SKF_AD_OFF = -0x1000;
/** Ancillary loads that are a field of __sk_buff: ancillary number to offset. */
const ANCILLARY: Readonly<Record<number, number>> = {
  4: 4, // PKTTYPE
  8: 40, // IFINDEX
  20: 8, // MARK
  24: 12, // QUEUE
  32: 68, // RXHASH
  44: 24, // VLAN_TAG
  48: 20, // VLAN_TAG_PRESENT
};
const AD_PROTOCOL = 0;
const AD_CPU = 36;
const CTX_PROTOCOL = 16;

/** One classic instruction. */
interface SockFilter {
  code: number;
  jt: number;
  jf: number;
  k: number;
}

/** The eBPF program, null when the classic one has an instruction that is not known, or jumps out of it. */
export function convertClassic(bytes: Uint8Array): BpfCode | null {
  if (bytes.length === 0 || bytes.length % 8 !== 0 || bytes.length / 8 > I.BPF_MAXINSNS)
    return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const classic: SockFilter[] = [];
  for (let at = 0; at < bytes.length; at += 8)
    classic.push({
      code: view.getUint16(at, true),
      jt: bytes[at + 2],
      jf: bytes[at + 3],
      k: view.getInt32(at + 4, true),
    });
  return convert(classic);
}

function convert(classic: readonly SockFilter[]): BpfCode | null {
  const out: BpfInsn[] = [
    insn(I.BPF_ALU64 | I.BPF_MOV | I.BPF_X, CTX, 1),
    insn(I.BPF_ALU | I.BPF_MOV, A),
    insn(I.BPF_ALU | I.BPF_MOV, X),
  ];
  /** First eBPF instruction of each classic one; jumps note the classic one they go to. */
  const startOf: number[] = [];
  const jumps: { at: number; to: number }[] = [];
  for (let pc = 0; pc < classic.length; pc++) {
    startOf.push(out.length);
    const one = classic[pc];
    const made = (one.code & 7) === I.BPF_JMP ? jump(one, pc, out.length, jumps) : plain(one);
    if (made === null) return null;
    out.push(...made);
  }
  for (const { at, to } of jumps) {
    if (to >= classic.length) return null;
    out[at].off = startOf[to] - at - 1;
  }
  return BpfCode.fromInsns(out);
}

function insn(code: number, dst: number, src = 0, imm = 0, off = 0): BpfInsn {
  return { code, dst_reg: dst, src_reg: src, off, imm };
}

/** Everything but jumps; null when unknown. */
function plain(one: SockFilter): BpfInsn[] | null {
  const { code, k } = one;
  switch (code & 7) {
    case I.BPF_LD:
      return load(one);
    case I.BPF_LDX:
      return loadIndex(one);
    case I.BPF_ST:
    case I.BPF_STX: {
      const store = insn(
        I.BPF_STX | I.BPF_MEM | I.BPF_W,
        I.BPF_REG_FP,
        (code & 7) === I.BPF_ST ? A : X,
      );
      return scratch(store, k, code === I.BPF_ST || code === I.BPF_STX);
    }
    case I.BPF_ALU:
      return arithmetic(one);
    case BPF_RET: {
      const exit = insn(I.BPF_JMP | I.BPF_EXIT, 0);
      if (code === BPF_RET) return [insn(I.BPF_ALU | I.BPF_MOV, A, 0, k), exit];
      return code === (BPF_RET | 0x10) ? [exit] : null;
    }
    default:
      if (code === BPF_MISC) return [insn(I.BPF_ALU | I.BPF_MOV | I.BPF_X, X, A)];
      if (code === (BPF_MISC | BPF_TXA)) return [insn(I.BPF_ALU | I.BPF_MOV | I.BPF_X, A, X)];
      return null;
  }
}

/** A word of scratch memory: `access` gets its place on the stack. */
function scratch(access: BpfInsn, k: number, isKnown: boolean): BpfInsn[] | null {
  if (!isKnown || k < 0 || k >= SCRATCH_WORDS) return null;
  return [{ ...access, off: -4 * (k + 1) }];
}

function load({ code, k }: SockFilter): BpfInsn[] | null {
  const size = code & 0x18;
  const mode = code & 0xe0;
  if (size === I.BPF_DW) return null;
  if (mode === I.BPF_ABS && k < 0 && k >= SKF_AD_OFF) return ancillary(k - SKF_AD_OFF);
  if (mode === I.BPF_ABS) return [insn(I.BPF_LD | mode | size, 0, 0, k)];
  if (mode === I.BPF_IND) return [insn(I.BPF_LD | mode | size, 0, X, k)];
  if (size !== I.BPF_W) return null;
  if (mode === I.BPF_IMM) return [insn(I.BPF_ALU | I.BPF_MOV, A, 0, k)];
  if (mode === BPF_LEN) return [insn(I.BPF_LDX | I.BPF_MEM | I.BPF_W, A, CTX)];
  return scratch(insn(I.BPF_LDX | I.BPF_MEM | I.BPF_W, A, I.BPF_REG_FP), k, mode === I.BPF_MEM);
}

function ancillary(what: number): BpfInsn[] | null {
  if (what === AD_CPU) return [insn(I.BPF_JMP | I.BPF_CALL, 0, 0, HELPER_CPU)];
  if (what === AD_PROTOCOL)
    return [
      insn(I.BPF_LDX | I.BPF_MEM | I.BPF_H, A, CTX, 0, CTX_PROTOCOL),
      insn(I.BPF_ALU | I.BPF_END | I.BPF_X, A, 0, 16),
    ];
  const offset = ANCILLARY[what];
  if (offset === undefined) return null;
  return [insn(I.BPF_LDX | I.BPF_MEM | I.BPF_W, A, CTX, 0, offset)];
}

function loadIndex({ code, k }: SockFilter): BpfInsn[] | null {
  const word = I.BPF_LDX | I.BPF_W;
  if (code === word) return [insn(I.BPF_ALU | I.BPF_MOV, X, 0, k)];
  if (code === (word | BPF_LEN)) return [insn(I.BPF_LDX | I.BPF_MEM | I.BPF_W, X, CTX)];
  if (code === (I.BPF_LDX | I.BPF_B | BPF_MSH))
    // Four times the low nibble of a byte of the packet: the length of an IPv4 header. A is kept.
    return [
      insn(I.BPF_ALU64 | I.BPF_MOV | I.BPF_X, SAVED, A),
      insn(I.BPF_LD | I.BPF_ABS | I.BPF_B, 0, 0, k),
      insn(I.BPF_ALU | I.BPF_AND, A, 0, 0xf),
      insn(I.BPF_ALU | I.BPF_LSH, A, 0, 2),
      insn(I.BPF_ALU | I.BPF_MOV | I.BPF_X, X, A),
      insn(I.BPF_ALU64 | I.BPF_MOV | I.BPF_X, A, SAVED),
    ];
  const access = insn(I.BPF_LDX | I.BPF_MEM | I.BPF_W, X, I.BPF_REG_FP);
  return scratch(access, k, code === (word | I.BPF_MEM));
}

function arithmetic({ code, k }: SockFilter): BpfInsn[] | null {
  const operation = code & 0xf0;
  const isRegister = (code & I.BPF_X) !== 0;
  if (operation > I.BPF_XOR) return null;
  if (operation === I.BPF_NEG) return [insn(I.BPF_ALU | I.BPF_NEG, A)];
  const op = I.BPF_ALU | operation | (isRegister ? I.BPF_X : 0);
  const compute = isRegister ? insn(op, A, X) : insn(op, A, 0, k);
  const divides = operation === I.BPF_DIV || operation === I.BPF_MOD;
  if (!isRegister || !divides) return [compute];
  // Classic BPF ends with 0 when it divides by 0; eBPF goes on.
  return [
    insn(I.BPF_JMP32 | I.BPF_JNE, X, 0, 0, 2),
    insn(I.BPF_ALU | I.BPF_MOV, A),
    insn(I.BPF_JMP | I.BPF_EXIT, 0),
    compute,
  ];
}

/** A jump is a conditional one to the true branch and one to the false branch; targets are filled in later. */
function jump(
  { code, jt, jf, k }: SockFilter,
  pc: number,
  at: number,
  jumps: { at: number; to: number }[],
): BpfInsn[] | null {
  const operation = code & 0xf0;
  const always = insn(I.BPF_JMP | I.BPF_JA, 0);
  if (operation === I.BPF_JA) {
    if (k < 0) return null;
    jumps.push({ at, to: pc + 1 + k });
    return [always];
  }
  if (operation > I.BPF_JSET) return null;
  const isRegister = (code & I.BPF_X) !== 0;
  const op = I.BPF_JMP32 | operation | (isRegister ? I.BPF_X : 0);
  jumps.push({ at, to: pc + 1 + jt }, { at: at + 1, to: pc + 1 + jf });
  return [insn(op, A, isRegister ? X : 0, isRegister ? 0 : k), always];
}
