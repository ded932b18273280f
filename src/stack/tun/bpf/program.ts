// A loaded program, as a file descriptor of bpf(2) names it: of a type, verified, counted. Only SOCKET_FILTER programs are verified
// and run here; another type can be loaded to be refused where a socket filter is wanted.

import type { Kernel } from '../../../../driver/kernel.ts';
import type { SkBuff } from '../../../../driver/skb.ts';
import { PROGRAM_CALL_PS, PROGRAM_INSN_PS } from '../costs.ts';
import type { BpfContext } from './context.ts';
import type { BpfInterpreter } from './interpreter.ts';
import type { VerifiedProgram } from './verifier.ts';

/** enum bpf_prog_type, the names that a command may give. */
export type BpfProgramType = 'socket_filter' | 'xdp' | 'sched_cls' | 'kprobe';

export class BpfProgram {
  readonly type: BpfProgramType;
  readonly insnCount: number;
  readonly verified: VerifiedProgram;
  /** Times that it ran. */
  runCount = 0;

  constructor(type: BpfProgramType, verified: VerifiedProgram) {
    this.type = type;
    this.verified = verified;
    this.insnCount = verified.code.count;
  }
}

/** What runs programs: one interpreter and one context, shared by the programs of a machine. */
export class BpfRunner {
  private readonly kernel: Kernel;
  private readonly interpreter: BpfInterpreter;
  private readonly context: BpfContext;

  constructor(kernel: Kernel, interpreter: BpfInterpreter, context: BpfContext) {
    this.kernel = kernel;
    this.interpreter = interpreter;
    this.context = context;
  }

  /** Runs a program on a packet whose bytes begin at skb.at; its 32-bit result, unsigned. The core pays for it. */
  run(program: BpfProgram, skb: SkBuff): number {
    const { kernel, interpreter, context } = this;
    context.load(skb);
    context.cpu = kernel.current?.index ?? 0;
    context.nowNs = Math.floor(kernel.scheduler.nowPs / 1000);
    program.runCount++;
    const before = interpreter.insnCount;
    const result = interpreter.run(program.verified, context);
    kernel.charge(PROGRAM_CALL_PS + (interpreter.insnCount - before) * PROGRAM_INSN_PS);
    return result;
  }
}
