// The machine on which a recording of tun queues is played: a kernel with its stack and /dev/net/tun, queues by their place in the
// recording program's list, flows by number, and the hash that the recorded kernel must have given them.
//
// That kernel's hash has a random key, so the queue of an untaught flow says something about the hash, not about the rules: of q among
// n queues, hash · n / 2^32 lies in [q, q + 1). A flow's first such choice defines an interval, every further one (with another
// number of queues, on another device, repeated) must leave something of it. The model runs with the middle of what is left.

import { errnoName } from '../../../driver/errno.ts';
import { Kernel } from '../../../driver/kernel.ts';
import { HostMemory } from '../../../hw/dma/host-memory.ts';
import { Scheduler } from '../../../hw/time/scheduler.ts';
import { PS_PER_S } from '../../../hw/time/units.ts';
import { NetStack } from '../../stack/net-stack.ts';
import type { FlowKeys } from '../../stack/tun/dissect.ts';
import { symmetricHash } from '../../stack/tun/flow-hash.ts';
import { sendFrame } from '../../stack/tun/send.ts';
import { makeIfreq } from '../../stack/tun/tun-attach.ts';
import type { TunDevice } from '../../stack/tun/tun-device.ts';
import { IFF_MULTI_QUEUE, IFF_NO_PI, IFF_TAP, IFF_TUN } from '../../stack/tun/uapi.ts';
import { tokenize } from '../commands/command.ts';
import { runCommand } from '../commands/table.ts';

const TWO_32 = 0x1_0000_0000;
const MEMORY_BYTES = 24 << 20;

/** A flow is its two UDP ports; the addresses are always the same. */
export interface LabFlow {
  srcPort: number;
  dstPort: number;
}

/** What the choices of untaught flows say about their hashes. */
export class HashKnowledge {
  private readonly intervals = new Map<string, { from: number; to: number }>();

  /** Flows that have an interval. */
  get flows(): number {
    return this.intervals.size;
  }

  /** Flow `flow` came on index `index` of `count` queues; false when nothing new was learned from it. */
  learn(flow: LabFlow, index: number, count: number): boolean {
    const name = nameOf(flow);
    const known = this.intervals.get(name);
    const from = Math.ceil((index * TWO_32) / count);
    const to = Math.ceil(((index + 1) * TWO_32) / count);
    if (known === undefined) {
      this.intervals.set(name, { from, to });
      return true;
    }
    const narrowed = { from: Math.max(known.from, from), to: Math.min(known.to, to) };
    // A contradiction is left for the comparison to find.
    if (narrowed.from < narrowed.to) this.intervals.set(name, narrowed);
    return false;
  }

  /** The hash of a flow: the middle of its interval, else any. */
  hashOf(keys: FlowKeys, otherwise: number): number {
    const known = this.intervals.get(nameOf(keys));
    return known === undefined ? otherwise : Math.floor((known.from + known.to) / 2);
  }
}

function nameOf(flow: LabFlow): string {
  const { srcPort, dstPort } = flow;
  return srcPort < dstPort ? `${srcPort} ${dstPort}` : `${dstPort} ${srcPort}`;
}

/** One device of the recording and its queues by list position; −1 where one is closed. */
export class LabDevice {
  readonly name: string;
  readonly isTap: boolean;
  readonly fds: number[] = [];

  constructor(name: string, isTap: boolean) {
    this.name = name;
    this.isTap = isTap;
  }
}

export class TunLab {
  readonly scheduler = new Scheduler();
  readonly stack: NetStack;

  private readonly knowledge: HashKnowledge;

  constructor(knowledge: HashKnowledge) {
    const { scheduler } = this;
    this.knowledge = knowledge;
    const memory = new HostMemory(MEMORY_BYTES);
    this.stack = new NetStack(new Kernel({ scheduler, memory, coreCount: 2 }));
    const any = symmetricHash(1);
    this.stack.tun.flowHash = (keys) => knowledge.hashOf(keys, any(keys));
  }

  get nowS(): number {
    return this.scheduler.nowPs / PS_PER_S;
  }

  pass(seconds: number): void {
    this.scheduler.runFor(Math.round(seconds * PS_PER_S));
  }

  /** Lets time pass until `phaseS` after a whole second, at least `leastS` from now. */
  passToPhase(leastS: number, phaseS: number): void {
    this.scheduler.runUntil(Math.round((Math.ceil(this.nowS + leastS) + phaseS) * PS_PER_S));
  }

  /** Opens a queue at the end of the device's list: its descriptor or −errno. `ifindex` 0 for any. */
  open(device: LabDevice, multiQueue: boolean, ifindex = 0): number {
    const fd = this.openFd(device, multiQueue, ifindex);
    if (fd >= 0) device.fds.push(fd);
    return fd;
  }

  /** Opens a queue without entering it into the list. */
  openFd(device: LabDevice, multiQueue: boolean, ifindex = 0): number {
    const { tun } = this.stack;
    const fd = tun.open();
    if (fd < 0) return fd;
    if (ifindex > 0) {
      const wished = new Uint8Array(4);
      new DataView(wished.buffer).setInt32(0, ifindex, true);
      tun.ioctl(fd, 'TUNSETIFINDEX', wished);
    }
    const kind = device.isTap ? IFF_TAP : IFF_TUN;
    const flags = kind | IFF_NO_PI | (multiQueue ? IFF_MULTI_QUEUE : 0);
    const error = tun.ioctl(fd, 'TUNSETIFF', makeIfreq(device.name, flags));
    if (error < 0) tun.close(fd);
    return error < 0 ? error : fd;
  }

  closeAll(device: LabDevice): void {
    for (const fd of device.fds.splice(0)) this.stack.tun.close(fd);
  }

  /** TUNSETQUEUE on a list position: 'done' or an errno's name. */
  setQueue(device: LabDevice, position: number, flag: number): string {
    const error = this.stack.tun.ioctl(device.fds[position], 'TUNSETQUEUE', makeIfreq('', flag));
    return error < 0 ? errnoName(error) : 'done';
  }

  /** A flow is written on a list position, as its other side sends it: 'written' or an errno's name. */
  teach(device: LabDevice, position: number, flow: LabFlow): string {
    const back = { srcPort: flow.dstPort, dstPort: flow.srcPort };
    const result = this.stack.tun.write(device.fds[position], frameOf(device, back, true));
    return result < 0 ? errnoName(result) : 'written';
  }

  /** Sends a packet of a flow: the list position on which it can be read, −1 for none. */
  cameOn(device: LabDevice, flow: LabFlow): number {
    const tun = this.device(device);
    sendFrame(tun, frameOf(device, flow, false));
    const buffer = new Uint8Array(2048);
    return device.fds.findIndex((fd) => fd >= 0 && this.stack.tun.read(fd, buffer) > 0);
  }

  /** Where an untaught flow was recorded to come: what that says about its hash. */
  learnHome(device: LabDevice, flow: LabFlow, position: number): boolean {
    const tun = this.device(device);
    const index = this.stack.tun.file(device.fds[position])?.queueIndex ?? 0;
    return this.knowledge.learn(flow, index, tun.numqueues);
  }

  /** Slot of a list position in the device's queues. */
  indexOf(device: LabDevice, position: number): number {
    return this.stack.tun.file(device.fds[position])?.queueIndex ?? -1;
  }

  device(device: LabDevice): TunDevice {
    const dev = this.stack.links.byName(device.name);
    const tun = dev === null ? null : this.stack.tun.deviceOf(dev);
    if (tun === null) throw new Error(`${device.name} is not there`);
    return tun;
  }

  /** Runs a command: what it printed, on either stream. */
  run(text: string): string {
    const [words] = tokenize(text);
    const machine = { stack: this.stack, kernel: this.stack.kernel, readText: () => null };
    const { stdout, stderr } = runCommand(words, machine);
    return stdout + stderr;
  }
}

/** A UDP packet between the two hosts of the lab, without checksums: nothing looks at them on the way to a queue. */
function frameOf(device: LabDevice, flow: LabFlow, isBack: boolean): Uint8Array {
  const frame = new Uint8Array(14 + 20 + 8 + 4);
  const view = new DataView(frame.buffer);
  frame.set([0x02, 0, 0, 0, 0, 0x99, 0x02, 0, 0, 0, 0, 0x98, 0x08, 0x00]);
  frame.set([0x45, 0, 0, 32, 0, 0, 0x40, 0, 64, 17], 14);
  frame.set([198, 51, 100, isBack ? 2 : 1], 26);
  frame.set([198, 51, 100, isBack ? 1 : 2], 30);
  view.setUint16(34, flow.srcPort);
  view.setUint16(36, flow.dstPort);
  view.setUint16(38, 12);
  return device.isTap ? frame : frame.subarray(14);
}
