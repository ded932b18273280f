// The eBPF interpreter against BigInt, the verifier against programs that must and must not pass, and both against noise: whatever
// the verifier accepts runs to an end.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SkBuff } from '../../../../driver/skb.ts';
import { BpfContext } from '../../../../src/stack/tun/bpf/context.ts';
import { BpfCode, parseBpfText } from '../../../../src/stack/tun/bpf/insn.ts';
import { BpfInterpreter } from '../../../../src/stack/tun/bpf/interpreter.ts';
import { isVerified, verify } from '../../../../src/stack/tun/bpf/verifier.ts';
import { oracleAlu, oracleJump } from '../../../reference/ebpf.ts';
import type { OracleInsn } from '../../../reference/ebpf.ts';
import { insn, program } from '../../../support/tun-rig.ts';

const EXIT = insn(0x95);

function contextOf(packet: Uint8Array): BpfContext {
  const skb = new SkBuff(packet);
  skb.lenBytes = packet.length;
  skb.protocol = 0x0800;
  skb.networkAt = 14;
  skb.macAt = 0;
  skb.mark = 0xdeadbeef;
  skb.hash = 0x12345678;
  skb.iif = 7;
  const ctx = new BpfContext();
  ctx.load(skb);
  ctx.cpu = 5;
  ctx.nowNs = 5_000_000_123;
  return ctx;
}

const PACKET = Uint8Array.from({ length: 60 }, (_v, i) => i * 3);

function run(...insns: Uint8Array[]): number {
  const verified = verify(program(...insns));
  if (!isVerified(verified)) throw new Error(verified.message);
  return new BpfInterpreter().run(verified, contextOf(PACKET));
}

/** Reason of a refusal, '' when the program passes. */
function reason(...insns: Uint8Array[]): string {
  const verified = verify(program(...insns));
  return isVerified(verified) ? '' : verified.reason;
}

/** r = value (64 bits), two instructions. */
function load64(register: number, value: bigint): Uint8Array {
  const both = new Uint8Array(16);
  both.set(insn(0x18, register, 0, 0, Number(BigInt.asIntN(32, value))));
  both.set(insn(0x00, 0, 0, 0, Number(BigInt.asIntN(32, value >> 32n))), 8);
  return both;
}

function programOf(parts: Uint8Array[]): BpfCode {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  const code = BpfCode.fromBytes(bytes);
  if (code === null) throw new Error('odd length');
  return code;
}

/** Runs instructions on r1 and r2 and gives r1's two halves. */
function halves(a: bigint, b: bigint, tested: Uint8Array[]): bigint {
  const result = [0, 32].map((shift) => {
    const code = programOf([
      load64(1, a),
      load64(2, b),
      ...tested,
      insn(0xbf, 0, 1),
      insn(0x77, 0, 0, 0, shift),
      EXIT,
    ]);
    const verified = verify(code);
    if (!isVerified(verified)) throw new Error(verified.message);
    return BigInt(new BpfInterpreter().run(verified, contextOf(PACKET)));
  });
  return (result[1] << 32n) | result[0];
}

const SMALL = [0n, 1n, 2n, 7n, 31n, 32n, 33n, 63n, 64n, 0x7fffffffn, 0x80000000n, 0xffffffffn];
const EDGES = [
  ...SMALL,
  0x1_0000_0000n,
  0x7fff_ffff_ffff_ffffn,
  0x8000_0000_0000_0000n,
  0xffff_ffff_ffff_ffffn,
  0xffff_ffff_8000_0000n,
];
const value64 = fc.oneof(fc.constantFrom(...EDGES), fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }));
const imm = fc.oneof(
  fc.constantFrom(0, 1, -1, 7, 0x7fffffff, -0x80000000),
  fc.integer({ min: -0x80000000, max: 0x7fffffff }),
);

const ALU_OPS = [0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x90, 0xa0, 0xb0, 0xc0];

/** Any arithmetic instruction on r1 (and r2) that the checks allow. */
const aluInsn: fc.Arbitrary<OracleInsn> = fc
  .record({
    wide: fc.boolean(),
    isRegister: fc.boolean(),
    op: fc.constantFrom(...ALU_OPS, 0x80, 0xd0),
    imm,
    pick: fc.nat(3),
  })
  .map(({ wide, isRegister, op, imm: value, pick }) => {
    const base = { dst: 1, src: 0, off: 0, imm: 0 };
    const code = (wide ? 7 : 4) | op;
    if (op === 0x80) return { ...base, code };
    if (op === 0xd0)
      return { ...base, code: code | (isRegister && !wide ? 8 : 0), imm: [16, 32, 64, 16][pick] };
    const signed = (op === 0x30 || op === 0x90) && pick === 1 ? 1 : 0;
    const widths = wide ? [0, 8, 16, 32] : [0, 8, 16, 0];
    const off = op === 0xb0 && isRegister ? widths[pick] : signed;
    if (isRegister) return { ...base, code: code | 8, src: 2, off };
    const isShift = op === 0x60 || op === 0x70 || op === 0xc0;
    const shifted = isShift ? Math.abs(value) % (wide ? 64 : 32) : value;
    const divides = op === 0x30 || op === 0x90;
    return { ...base, code, off, imm: divides && shifted === 0 ? 3 : shifted };
  });

const encode = (one: OracleInsn): Uint8Array => insn(one.code, one.dst, one.src, one.off, one.imm);

describe('interpreter against BigInt', () => {
  it('every arithmetic instruction', () => {
    fc.assert(
      fc.property(aluInsn, value64, value64, (one, a, b) => {
        expect(halves(a, b, [encode(one)])).toBe(oracleAlu(one, a, b));
      }),
      { numRuns: 3000 },
    );
  });

  it('chains of arithmetic', () => {
    fc.assert(
      fc.property(fc.array(aluInsn, { maxLength: 20 }), value64, value64, (insns, a, b) => {
        const expected = insns.reduce((value, one) => oracleAlu(one, value, b), a);
        expect(halves(a, b, insns.map(encode))).toBe(expected);
      }),
      { numRuns: 500 },
    );
  });

  it('every conditional jump, 64 and 32 bits wide', () => {
    const ops = [0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0, 0xb0, 0xc0, 0xd0];
    fc.assert(
      fc.property(
        fc.constantFrom(...ops),
        fc.boolean(),
        fc.boolean(),
        imm,
        value64,
        value64,
        (op, wide, isRegister, value, a, other) => {
          const b = other % 3n === 0n ? a : other;
          const code = (wide ? 5 : 6) | op | (isRegister ? 8 : 0);
          const one = {
            code,
            dst: 1,
            src: isRegister ? 2 : 0,
            off: 2,
            imm: isRegister ? 0 : value,
          };
          const taken = halves(a, b, [
            encode(one),
            insn(0xb7, 1, 0, 0, 0),
            insn(0x05, 0, 0, 1),
            insn(0xb7, 1, 0, 0, 1),
          ]);
          expect(taken === 1n).toBe(oracleJump(one, a, b));
        },
      ),
      { numRuns: 3000 },
    );
  });
});

describe('packet, context, stack, helpers', () => {
  const keep = insn(0xbf, 6, 1); // r6 = r1

  it('loads from the packet are in network order', () => {
    expect(run(keep, insn(0x20, 0, 0, 0, 4), EXIT)).toBe(0x0c0f1215);
    expect(run(keep, insn(0x28, 0, 0, 0, 4), EXIT)).toBe(0x0c0f);
    expect(run(keep, insn(0x30, 0, 0, 0, 59), EXIT)).toBe(177);
    expect(run(keep, insn(0xb7, 7, 0, 0, 10), insn(0x48, 0, 7, 0, -6), EXIT)).toBe(0x0c0f);
    // Relative to the network header, and to the link-layer header.
    expect(run(keep, insn(0x30, 0, 0, 0, -0x100000 + 2), EXIT)).toBe(48);
    expect(run(keep, insn(0x30, 0, 0, 0, -0x200000 + 2), EXIT)).toBe(6);
  });

  it('a load outside of the packet ends the program with 0', () => {
    for (const offset of [57, 60, 0x7fffffff, -1, -0x300000, -0x100000 - 1])
      expect(run(keep, insn(0x20, 0, 0, 0, offset), insn(0xb7, 0, 0, 0, 9), EXIT)).toBe(0);
  });

  it('context fields, whole and in part', () => {
    const field = (offset: number, code = 0x61): number => run(insn(code, 0, 1, offset), EXIT);
    expect(field(0)).toBe(60);
    expect(field(8)).toBe(0xdeadbeef);
    expect(field(8, 0x71)).toBe(0xef);
    expect(field(10, 0x69)).toBe(0xdead);
    expect(field(16)).toBe(0x0008);
    expect(field(36)).toBe(7);
    expect(field(68)).toBe(0x12345678);
  });

  it('cb and stack keep what is stored', () => {
    expect(run(insn(0x62, 1, 0, 52, -2), insn(0x61, 0, 1, 52), EXIT)).toBe(0xfffffffe);
    expect(run(insn(0x7a, 10, 0, -8, -2), insn(0x79, 0, 10, -8), EXIT)).toBe(0xfffffffe);
    expect(run(insn(0x7a, 10, 0, -8, -2), insn(0x91, 0, 10, -5), EXIT)).toBe(0xffffffff);
    const through = [insn(0x7b, 10, 1, -16), insn(0x79, 3, 10, -16), insn(0x61, 0, 3, 0), EXIT];
    expect(run(...through)).toBe(60);
    const moved = [insn(0xbf, 2, 10), insn(0x07, 2, 0, 0, -8), insn(0x62, 2, 0, 4, 77)];
    expect(run(...moved, insn(0x61, 0, 10, -4), EXIT)).toBe(77);
  });

  it('helpers: processor, time, bytes of the packet', () => {
    expect(run(insn(0x85, 0, 0, 0, 8), EXIT)).toBe(5);
    expect(run(insn(0x85, 0, 0, 0, 5), insn(0x77, 0, 0, 0, 32), EXIT)).toBe(1);
    const copy = (offset: number): Uint8Array[] => [
      insn(0xb7, 2, 0, 0, offset),
      insn(0xbf, 3, 10),
      insn(0x07, 3, 0, 0, -8),
      insn(0xb7, 4, 0, 0, 4),
      insn(0x85, 0, 0, 0, 26),
    ];
    expect(run(...copy(4), insn(0x61, 0, 10, -8), EXIT)).toBe(0x15120f0c);
    expect(run(...copy(58), EXIT)).toBe(0xfffffff2);
    expect(run(...copy(58), insn(0x61, 0, 10, -8), EXIT)).toBe(0);
  });
});

describe('verifier', () => {
  const ZERO = insn(0xb7, 0, 0, 0, 0);

  it('wants a size within bounds, an end, and no way around it', () => {
    expect(reason()).toBe('bpf-size');
    expect(reason(...new Array<Uint8Array>(4096).fill(ZERO), EXIT)).toBe('bpf-size');
    expect(reason(...new Array<Uint8Array>(4095).fill(ZERO), EXIT)).toBe('');
    expect(reason(ZERO)).toBe('bpf-exit');
    expect(reason(ZERO, EXIT, ZERO, EXIT)).toBe('bpf-unreachable');
  });

  it('refuses jumps backwards, out of the program and into an instruction', () => {
    expect(reason(ZERO, insn(0x05, 0, 0, -2), EXIT)).toBe('bpf-loop');
    expect(reason(ZERO, insn(0x15, 0, 0, -1, 0), EXIT)).toBe('bpf-loop');
    expect(reason(ZERO, insn(0x15, 0, 0, 5, 0), EXIT)).toBe('bpf-jump');
    expect(reason(ZERO, insn(0x15, 0, 0, 1, 0), insn(0x18, 0), insn(0), EXIT)).toBe('bpf-jump');
  });

  it('refuses unknown opcodes, reserved fields and registers that there are not', () => {
    for (const code of [0xe7, 0xf4, 0x8d, 0x06 | 0x80, 0x38, 0xdb, 0xe5, 0x9d, 0x99, 0xc3])
      expect(reason(ZERO, insn(code), EXIT)).toMatch(/^bpf-(opcode|reserved)$/);
    expect(reason(insn(0xb7, 0, 1, 0, 0), EXIT)).toBe('bpf-reserved');
    expect(reason(insn(0xb7, 11, 0, 0, 0), EXIT)).toBe('bpf-register');
    expect(reason(insn(0x85, 0, 0, 0, 1), EXIT)).toBe('bpf-helper');
    expect(reason(insn(0x18, 0, 1), insn(0), EXIT)).toBe('bpf-map');
    expect(reason(ZERO, insn(0x37, 0, 0, 0, 0), EXIT)).toBe('bpf-division');
    expect(reason(ZERO, insn(0x67, 0, 0, 0, 64), EXIT)).toBe('bpf-shift');
    expect(reason(ZERO, insn(0x64, 0, 0, 0, 32), EXIT)).toBe('bpf-shift');
  });

  it('refuses what was not written, on any way', () => {
    expect(reason(EXIT)).toBe('bpf-uninitialised');
    expect(reason(insn(0xbf, 0, 3), EXIT)).toBe('bpf-uninitialised');
    expect(reason(insn(0x79, 0, 10, -8), EXIT)).toBe('bpf-uninitialised');
    // r0 is set on one way only: if (len > 60) r0 = 1; exit
    const oneWay = [insn(0x61, 2, 1, 0), insn(0x25, 2, 0, 1, 60), insn(0xb7, 0, 0, 0, 1), EXIT];
    expect(reason(...oneWay)).toBe('bpf-uninitialised');
    expect(reason(ZERO, ...oneWay)).toBe('');
    // A packet load and a call forget r1 to r5.
    const loads = [insn(0xbf, 6, 1), insn(0x30, 0, 0, 0, 0), insn(0x61, 0, 1, 0), EXIT];
    expect(reason(...loads)).toBe('bpf-uninitialised');
  });

  it('refuses pointers where numbers belong, and memory that is not the program’s', () => {
    expect(reason(insn(0xbf, 0, 1), EXIT)).toBe('bpf-pointer');
    expect(reason(ZERO, insn(0x07, 1, 0, 0, 4), EXIT)).toBe('bpf-pointer');
    expect(reason(ZERO, insn(0x15, 1, 0, 0, 0), EXIT)).toBe('bpf-pointer');
    expect(reason(insn(0xb7, 10, 0, 0, 0), EXIT)).toBe('bpf-pointer');
    expect(reason(ZERO, insn(0x7b, 1, 10, 48), EXIT)).toBe('bpf-pointer');
    expect(reason(ZERO, insn(0x61, 0, 0, 0), EXIT)).toBe('bpf-bounds');
    for (const off of [0, -520, -4, 504])
      expect(reason(ZERO, insn(0x7b, 10, 0, off), EXIT)).toBe('bpf-bounds');
    for (const off of [-4, 2, 72, 76, 80, 140, 188, 1000])
      expect(reason(insn(0x61, 0, 1, off), EXIT)).toBe('bpf-bounds');
    expect(reason(ZERO, insn(0x63, 1, 0, 8), EXIT)).toBe('bpf-bounds');
    expect(reason(insn(0x30, 0, 0, 0, 0), EXIT)).toBe('bpf-uninitialised');
    expect(reason(insn(0xb7, 6, 0, 0, 0), insn(0x30), EXIT)).toBe('bpf-argument');
  });

  it('noise never crashes it, and what it accepts runs to an end', () => {
    const noise = fc.record({
      code: fc.oneof(
        fc.constantFrom(0xb7, 0xbf, 0x07, 0x0f, 0x15, 0x61, 0x63, 0x7b, 0x79, 0x30, 0x50, 0x85),
        fc.nat(255),
      ),
      dst: fc.nat(11),
      src: fc.nat(11),
      off: fc.oneof(fc.integer({ min: -16, max: 16 }), fc.integer({ min: -32768, max: 32767 })),
      imm,
    });
    const prologue = [insn(0xbf, 6, 1), insn(0xb7, 0, 0, 0, 1), insn(0xb7, 2, 0, 0, 4)];
    let accepted = 0;
    fc.assert(
      fc.property(fc.array(noise, { maxLength: 12 }), fc.nat(3), (insns, trim) => {
        const code = programOf([
          ...prologue.slice(0, 3 - (trim === 3 ? 3 : 0)),
          ...insns.map((one) => insn(one.code, one.dst, one.src, one.off, one.imm)),
          ...(trim === 1 ? [] : [insn(0xb7, 0, 0, 0, 1), EXIT]),
        ]);
        const verified = verify(code);
        if (!isVerified(verified)) {
          expect(verified.error).toBeLessThan(0);
          expect(verified.reason).toMatch(/^bpf-/);
          return;
        }
        accepted++;
        const interpreter = new BpfInterpreter();
        const result = interpreter.run(verified, contextOf(PACKET));
        expect(result).toBe(result >>> 0);
        expect(interpreter.insnCount).toBeLessThanOrEqual(code.count);
      }),
      { numRuns: 20_000 },
    );
    expect(accepted).toBeGreaterThan(500);
  });
});

describe('program text', () => {
  it('hex, objects, arrays and strings are the same program', () => {
    const forms = [
      'b700000005000000 9500000000000000',
      '0xb700000005000000, # r0 = 5\n9500000000000000 // exit',
      '[{"code":183,"imm":5},{"code":149}]',
      '{"insns":[[183,0,0,0,5],[149,0,0,0,0]]}',
      '["b700000005000000","0x9500000000000000"]',
    ];
    for (const form of forms) {
      const verified = verify(parseBpfText(form));
      if (!isVerified(verified)) throw new Error(verified.message);
      expect(new BpfInterpreter().run(verified, contextOf(PACKET))).toBe(5);
    }
  });

  it('says what was expected', () => {
    for (const bad of ['', 'b7', 'hello there', '[]', '[1]', '[{"code":300}]', '{', '{"a":1}'])
      expect(() => parseBpfText(bad)).toThrow(/expected|not JSON/);
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          parseBpfText(text);
        } catch (error) {
          expect((error as Error).name).toBe('BpfTextError');
        }
      }),
    );
  });
});
