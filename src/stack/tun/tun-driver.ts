// /dev/net/tun of a machine: opening it, the table of file descriptors, the devices that came of it, and how `ip link` sees them.
//
// One table of descriptors for the whole machine (there are no processes here): tun files, loaded eBPF programs and network namespaces,
// from 3 on. A blocking read is `waitRead`: it answers when a packet comes, or with −EFAULT when the device goes.

import { EAGAIN, EBADF, EFAULT, EINVAL, EMFILE } from '../../../driver/errno.ts';
import type { Kernel } from '../../../driver/kernel.ts';
import type { NetNamespace } from '../../../driver/net-namespace.ts';
import type { NetDevice } from '../../../driver/netdev.ts';
import type { SkBuff } from '../../../driver/skb.ts';
import { OK } from '../answer.ts';
import type { Answer } from '../answer.ts';
import type { StackDrop } from '../outcome.ts';
import { BpfContext } from './bpf/context.ts';
import type { BpfCode } from './bpf/insn.ts';
import { BpfInterpreter } from './bpf/interpreter.ts';
import { BpfProgram, BpfRunner } from './bpf/program.ts';
import type { BpfProgramType } from './bpf/program.ts';
import { isVerified, verify } from './bpf/verifier.ts';
import { symmetricHash } from './flow-hash.ts';
import type { FlowHash } from './flow-hash.ts';
import { runIoctl } from './ioctl.ts';
import type { IoctlArgument } from './ioctl.ts';
import { TunDevice } from './tun-device.ts';
import type { TunHost } from './tun-device.ts';
import { ROOT, TunFile } from './tun-file.ts';
import type { Credentials } from './tun-file.ts';
import { pollFile, readFrame, writeFrame } from './tun-io.ts';
import * as U from './uapi.ts';

/** What tun needs of the network stack. */
export interface TunStack {
  readonly kernel: Kernel;
  drop(skb: SkBuff, reason: StackDrop): void;
  consume(skb: SkBuff, what: string): void;
  /** The namespace that it makes devices in. */
  readonly net: NetNamespace;
  /** A device of tun's was registered. */
  linkAdded(tun: TunDevice): void;
}

/** The namespace that the driver is of, as TUNGETDEVNETNS opens it (tun devices stay in it: namespaces.ts). */
export interface NetnsFile {
  readonly kind: 'netns';
}

/** A loaded program behind a descriptor. */
export interface BpfFile {
  readonly kind: 'bpf';
  readonly program: BpfProgram;
}

type OpenFile = TunFile | BpfFile | NetnsFile;

const FIRST_FD = 3;
/** RLIMIT_NOFILE's usual soft limit. */
const FDS_MAX = 1024;
/** Key of the flow hash unless `seed` says otherwise: any number will do. */
const DEFAULT_SEED = 0x7475_6e31;

export class TunDriver implements TunHost {
  readonly kernel: Kernel;
  readonly bpf: BpfRunner;
  /** Hash of new devices; devices keep theirs. */
  flowHash: FlowHash = symmetricHash(DEFAULT_SEED);

  private readonly stack: TunStack;
  private readonly files: (OpenFile | null)[] = [];
  private readonly tuns = new Map<NetDevice, TunDevice>();
  private macCount = 0;

  constructor(stack: TunStack) {
    this.stack = stack;
    this.kernel = stack.kernel;
    this.bpf = new BpfRunner(stack.kernel, new BpfInterpreter(), new BpfContext());
  }

  /** All devices by ifindex. */
  devices(): TunDevice[] {
    return [...this.tuns.values()].sort((a, b) => a.dev.ifindex - b.dev.ifindex);
  }

  /** A device of the namespace. */
  deviceByName(name: string): NetDevice | null {
    return this.kernel.dev_get_by_name(name, this.stack.net);
  }

  /** The tun device behind a network device, null when it is none. */
  deviceOf(dev: NetDevice): TunDevice | null {
    return this.tuns.size === 0 ? null : (this.tuns.get(dev) ?? null);
  }

  // ---- system calls ----

  /** open("/dev/net/tun"): a descriptor, or −EMFILE. */
  open(credentials: Credentials = ROOT): number {
    return this.install(new TunFile(credentials));
  }

  /** ioctl(2) by number, or by name where a proposed number means another request today. */
  ioctl(fd: number, request: number | string, argument: IoctlArgument = 0): number {
    const file = this.files[fd - FIRST_FD];
    if (file === null || file === undefined) return -EBADF;
    if (file.kind !== 'tun') return -EINVAL;
    return runIoctl(this, file, request, argument);
  }

  /** write(2) from core `cpu`; `bytes` null for a bad address. */
  write(fd: number, bytes: Uint8Array | null, cpu = 0): number {
    const file = this.file(fd);
    return file === null ? -EBADF : writeFrame(this, file, bytes, cpu);
  }

  /** read(2) without waiting; `buffer` null for a bad address. */
  read(fd: number, buffer: Uint8Array | null): number {
    const file = this.file(fd);
    if (file === null) return -EBADF;
    return buffer === null ? -EFAULT : readFrame(this, file, buffer);
  }

  /** A blocking read(2): `done` gets its result now or when a packet comes. */
  waitRead(fd: number, buffer: Uint8Array, done: (result: number) => void): void {
    const result = this.read(fd, buffer);
    const file = this.file(fd);
    if (result !== -EAGAIN || file === null) {
      done(result);
      return;
    }
    file.waiting.push({ buffer, done });
    file.onReadable ??= () => this.wake(file);
  }

  poll(fd: number): number {
    const file = this.file(fd);
    return file === null ? U.POLLERR : pollFile(file);
  }

  /** close(2): 0 or −EBADF. The last queue of a device that is not persistent takes it along. */
  close(fd: number): number {
    const file = this.files[fd - FIRST_FD];
    if (file === null || file === undefined) return -EBADF;
    this.files[fd - FIRST_FD] = null;
    if (file.kind === 'tun' && file.tun !== null) this.leave(file, file.tun);
    return 0;
  }

  /** bpf(BPF_PROG_LOAD): a descriptor, or why not. Types other than socket_filter are taken unverified: nothing here runs them. */
  bpfProgLoad(type: BpfProgramType, code: BpfCode): number | Answer {
    const verified =
      type === 'socket_filter' ? verify(code) : { code, memoryKind: new Uint8Array(code.count) };
    if (!isVerified(verified)) return verified;
    return this.install({ kind: 'bpf', program: new BpfProgram(type, verified) });
  }

  // ---- for the ioctls and the commands ----

  /** Program behind a descriptor: −EBADF when it is not open, −EINVAL when it is no socket filter. */
  programOf(fd: number): BpfProgram | number {
    const file = this.files[fd - FIRST_FD];
    if (file === null || file === undefined) return -EBADF;
    if (file.kind !== 'bpf' || file.program.type !== 'socket_filter') return -EINVAL;
    return file.program;
  }

  /** The tun file behind a descriptor, null when there is none. */
  file(fd: number): TunFile | null {
    const file = this.files[fd - FIRST_FD];
    return file?.kind === 'tun' ? file : null;
  }

  /** Descriptors of tun files, ascending. */
  openFiles(): { fd: number; file: TunFile }[] {
    const out: { fd: number; file: TunFile }[] = [];
    this.files.forEach((file, index) => {
      if (file?.kind === 'tun') out.push({ fd: index + FIRST_FD, file });
    });
    return out;
  }

  openNetns(): number {
    return this.install({ kind: 'netns' });
  }

  /** Makes and registers a device; itself, or −errno. */
  create(name: string, flags: number, ifindex: number): TunDevice | number {
    const tun = new TunDevice(this, name, flags);
    tun.dev.ifindex = ifindex;
    if (tun.isTap) tun.dev.mac.set(this.nextMac());
    const error = this.kernel.register_netdev(tun.dev, this.stack.net);
    if (error !== 0) {
      tun.flows.destroy();
      return error;
    }
    this.tuns.set(tun.dev, tun);
    this.stack.linkAdded(tun);
    return tun;
  }

  /** Unregisters a device (`ip link del`, or its last queue closed): its files lose it, readers wake with −EFAULT. */
  remove(tun: TunDevice): Answer {
    const files = tun.detachAll();
    this.kernel.unregister_netdev(tun.dev);
    this.tuns.delete(tun.dev);
    for (const file of files) for (const reader of file.waiting.splice(0)) reader.done(-EFAULT);
    return OK;
  }

  drop(skb: SkBuff, reason: StackDrop): void {
    this.stack.drop(skb, reason);
  }

  consume(skb: SkBuff, what: string): void {
    this.stack.consume(skb, what);
  }

  private leave(file: TunFile, tun: TunDevice): void {
    if (!tun.close(file)) return;
    if (tun.dev.carrier) this.kernel.netif_carrier_off(tun.dev);
    if ((tun.flags & U.IFF_PERSIST) === 0) this.remove(tun);
  }

  private wake(file: TunFile): void {
    while (file.waiting.length > 0 && file.ring.count > 0) {
      const reader = file.waiting.shift();
      reader?.done(readFrame(this, file, reader.buffer));
    }
  }

  private install(file: OpenFile): number {
    let index = this.files.findIndex((one) => one === null);
    if (index < 0) index = this.files.length;
    if (index >= FDS_MAX - FIRST_FD) return -EMFILE;
    this.files[index] = file;
    return index + FIRST_FD;
  }

  /** A locally administered address; Linux draws one, here they are numbered. */
  private nextMac(): Uint8Array {
    const number = this.macCount++;
    return Uint8Array.of(0x02, 0x74, 0x61, 0x70, number >> 8, number & 0xff);
  }
}
