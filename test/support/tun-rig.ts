// A machine with eight cores, the stack and /dev/net/tun, for tests of tun devices: opens queues, sends and reads frames. Nothing here
// knows how queues are chosen.

import { Kernel } from '../../driver/kernel.ts';
import { HostMemory } from '../../hw/dma/host-memory.ts';
import { Scheduler } from '../../hw/time/scheduler.ts';
import { PS_PER_S } from '../../hw/time/units.ts';
import type { CommandResult } from '../../src/scenario/commands/command.ts';
import { tokenize } from '../../src/scenario/commands/command.ts';
import { runCommand } from '../../src/scenario/commands/table.ts';
import { NetStack } from '../../src/stack/net-stack.ts';
import { STACK_DROPS } from '../../src/stack/outcome.ts';
import { BpfCode } from '../../src/stack/tun/bpf/insn.ts';
import type { BpfProgramType } from '../../src/stack/tun/bpf/program.ts';
import { sendFrame } from '../../src/stack/tun/send.ts';
import { makeIfreq } from '../../src/stack/tun/tun-attach.ts';
import type { TunDevice } from '../../src/stack/tun/tun-device.ts';

export const CORES = 8;
export const TAP = 0x0002;
export const NO_PI = 0x1000;
export const MULTI_QUEUE = 0x0100;

/** One eBPF instruction as 8 bytes. */
export function insn(code: number, dst = 0, src = 0, off = 0, imm = 0): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  bytes[0] = code;
  bytes[1] = dst | (src << 4);
  view.setInt16(2, off, true);
  view.setInt32(4, imm | 0, true);
  return bytes;
}

export function program(...insns: Uint8Array[]): BpfCode {
  const bytes = new Uint8Array(insns.length * 8);
  insns.forEach((one, i) => bytes.set(one, i * 8));
  const code = BpfCode.fromBytes(bytes);
  if (code === null) throw new Error('not whole instructions');
  return code;
}

/** r0 = value; exit */
export function returning(value: number): BpfCode {
  return program(insn(0xb7, 0, 0, 0, value), insn(0x95));
}

export class TunRig {
  readonly scheduler = new Scheduler();
  readonly memory = new HostMemory(48 << 20);
  readonly kernel: Kernel;
  readonly stack: NetStack;
  /** `drop NAME`, `local WORD` of packets with an id. */
  readonly fates: string[] = [];

  constructor() {
    const { scheduler, memory } = this;
    this.kernel = new Kernel({ scheduler, memory, coreCount: CORES });
    this.stack = new NetStack(this.kernel, {
      onForward: () => undefined,
      onLocal: (_id, what) => this.fates.push(`local ${what}`),
      onDrop: (_id, reason) => this.fates.push(`drop ${STACK_DROPS[reason].name}`),
    });
  }

  /** Opens /dev/net/tun and calls TUNSETIFF: the descriptor, or −errno of the ioctl. */
  open(name: string, flags: number, credentials?: { uid: number; gid: number }): number {
    const { tun } = this.stack;
    const fd = tun.open(
      credentials === undefined ? undefined : { ...credentials, netAdmin: false },
    );
    const error = tun.ioctl(fd, 'TUNSETIFF', makeIfreq(name, flags));
    if (error < 0) tun.close(fd);
    return error < 0 ? error : fd;
  }

  /** A multi-queue tap (or tun) with `count` queues, up. */
  queues(count: number, flags = TAP, name = 'tap0'): number[] {
    const fds = Array.from({ length: count }, () => this.open(name, flags | NO_PI | MULTI_QUEUE));
    this.up(name);
    return fds;
  }

  up(name = 'tap0'): void {
    this.must(`ip link set ${name} up`);
  }

  device(name = 'tap0'): TunDevice {
    const dev = this.kernel.dev_get_by_name(name);
    const tun = dev === null ? null : this.stack.tun.deviceOf(dev);
    if (tun === null) throw new Error(`no tun device ${name}`);
    return tun;
  }

  /** The stack sends a frame from a core. */
  send(frame: Uint8Array, cpu = 0, name = 'tap0'): void {
    if (!sendFrame(this.device(name), frame, cpu)) throw new Error('no memory');
  }

  /** What is readable on a descriptor now. */
  read(fd: number, bufferBytes = 2048): Uint8Array[] {
    const out: Uint8Array[] = [];
    for (;;) {
      const buffer = new Uint8Array(bufferBytes);
      const length = this.stack.tun.read(fd, buffer);
      if (length < 0) return out;
      out.push(buffer.slice(0, length));
    }
  }

  /** Sends a frame and finds the descriptor on which it comes; −1 for none. More than one is an error. */
  cameOn(frame: Uint8Array, fds: readonly number[], cpu = 0, name = 'tap0'): number {
    this.send(frame, cpu, name);
    const on = fds.filter((fd) => this.read(fd).length > 0);
    if (on.length > 1) throw new Error(`came on ${on.join(', ')}`);
    return on.length === 0 ? -1 : fds.indexOf(on[0]);
  }

  /** Puts an int at an address and calls an ioctl with it. */
  ioctlInt(fd: number, request: number | string, value: number): number {
    const buffer = new Uint8Array(4);
    new DataView(buffer.buffer).setInt32(0, value, true);
    return this.stack.tun.ioctl(fd, request, buffer);
  }

  /** Calls an ioctl that answers an int. */
  readInt(fd: number, request: number | string): number {
    const buffer = new Uint8Array(4);
    const error = this.stack.tun.ioctl(fd, request, buffer);
    if (error < 0) return error;
    return new DataView(buffer.buffer).getInt32(0, true);
  }

  setQueue(fd: number, flags: number): number {
    return this.stack.tun.ioctl(fd, 'TUNSETQUEUE', makeIfreq('', flags));
  }

  /** Loads a program: its descriptor. */
  load(code: BpfCode, type: BpfProgramType = 'socket_filter'): number {
    const fd = this.stack.tun.bpfProgLoad(type, code);
    if (typeof fd !== 'number') throw new Error(fd.message);
    return fd;
  }

  /** Runs the clock on by `seconds`. */
  pass(seconds: number): void {
    this.scheduler.runFor(seconds * PS_PER_S);
  }

  run(text: string): CommandResult {
    const [words] = tokenize(text);
    return runCommand(words, { stack: this.stack, kernel: this.kernel, readText: () => null });
  }

  must(text: string): string {
    const result = this.run(text);
    if (result.status !== 0) throw new Error(`${text}: ${result.stderr}`);
    return result.stdout;
  }
}

/** A UDP frame of 44 bytes: 10.0.0.1 to 10.0.0.2 unless said otherwise. */
export function udpFrame(srcPort: number, dstPort: number, src = 1, dst = 2): Uint8Array {
  const frame = new Uint8Array(44);
  const view = new DataView(frame.buffer);
  frame.set([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 8, 0]);
  frame.set([0x45, 0, 0, 30, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, src, 10, 0, 0, dst], 14);
  view.setUint16(34, srcPort);
  view.setUint16(36, dstPort);
  view.setUint16(38, 10);
  let sum = 0;
  for (let at = 14; at < 34; at += 2) sum += view.getUint16(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(24, ~sum & 0xffff);
  return frame;
}

export function arpFrame(target: number): Uint8Array {
  const frame = new Uint8Array(42);
  frame.set([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 8, 6]);
  frame.set([0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 9, 10, 0, 0, 1], 14);
  frame.set([10, 0, 0, target], 38);
  return frame;
}
