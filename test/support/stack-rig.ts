// A host with the network stack and without a NIC model: plain devices whose frames are kept as hex, for tests of the stack alone.

import type { NetDeviceOps } from '../../driver/netdev.ts';
import type { NetDevice } from '../../driver/netdev.ts';
import { Kernel } from '../../driver/kernel.ts';
import { HostMemory } from '../../hw/dma/host-memory.ts';
import { Scheduler } from '../../hw/time/scheduler.ts';
import { PS_PER_S } from '../../hw/time/units.ts';
import type { CommandResult } from '../../src/scenario/commands/command.ts';
import { tokenize } from '../../src/scenario/commands/command.ts';
import { runCommand } from '../../src/scenario/commands/table.ts';
import { NetStack } from '../../src/stack/net-stack.ts';
import { STACK_DROPS } from '../../src/stack/outcome.ts';

/** A frame that left the host. */
export interface SentFrame {
  port: string;
  frame: string;
}

export class StackRig {
  readonly scheduler = new Scheduler();
  readonly kernel: Kernel;
  readonly stack: NetStack;
  readonly sent: SentFrame[] = [];
  /** Packet id of each frame that left, −1 for the host's own. */
  readonly sentIds: number[] = [];
  /** `drop 3 ttl`, `local 4 icmp`, `forward 5 0`, in order. */
  readonly fates: string[] = [];

  private readonly memory = new HostMemory(24 << 20);
  private readonly devices = new Map<string, NetDevice>();
  private nextId = 1;

  constructor() {
    this.kernel = new Kernel({ scheduler: this.scheduler, memory: this.memory, coreCount: 1 });
    this.stack = new NetStack(this.kernel, {
      onForward: (id, path) => this.fates.push(`forward ${id} ${path}`),
      onLocal: (id, what) => this.fates.push(`local ${id} ${what}`),
      onDrop: (id, reason) => this.fates.push(`drop ${id} ${STACK_DROPS[reason].name}`),
    });
  }

  /** Adds a device that is up; `port` names the far end of its wire. */
  addPort(port: string, name: string, mac: string, mtuBytes = 1500): NetDevice {
    const ops: NetDeviceOps = {
      ndo_open: () => 0,
      ndo_stop: () => 0,
      ndo_set_mac_address: (dev, bytes) => {
        dev.mac.set(bytes);
        return 0;
      },
      ndo_start_xmit: (skb) => {
        this.sent.push({ port, frame: hex(skb.bytes.subarray(skb.at, skb.at + skb.lenBytes)) });
        this.sentIds.push(skb.packetId);
        this.kernel.free_skb(skb);
        return 0;
      },
    };
    const dev = this.kernel.alloc_netdev(name, ops);
    dev.mac.set(bytesOf(mac.replaceAll(':', '')));
    dev.mtuBytes = mtuBytes;
    this.kernel.register_netdev(dev);
    this.kernel.dev_open(dev);
    this.devices.set(port, dev);
    return dev;
  }

  /** A frame arrives now; returns its packet id. */
  receive(port: string, frameHex: string): number {
    const dev = this.devices.get(port);
    if (dev === undefined) throw new Error(`no port ${port}`);
    const bytes = bytesOf(frameHex);
    const skb = this.kernel.alloc_skb(bytes.length);
    if (skb === null) throw new Error('no memory');
    const id = this.nextId++;
    skb.bytes.set(bytes, skb.at);
    skb.lenBytes = bytes.length;
    this.memory.setOwner(this.kernel.iovaOf(skb.at), id);
    this.kernel.inContext(0, () => this.kernel.netif_receive_skb(skb, dev));
    return id;
  }

  /** Runs the clock on to `atS` seconds. */
  runTo(atS: number): void {
    this.scheduler.runUntil(atS * PS_PER_S);
  }

  /** Frames sent since the last call. */
  take(): SentFrame[] {
    return this.sent.splice(0);
  }

  /** Runs one `ip` or `sysctl` command. */
  run(text: string): CommandResult {
    const [words] = tokenize(text);
    return runCommand(words, { stack: this.stack, kernel: this.kernel, readText: () => null });
  }

  /** Runs a command that must succeed; its output. */
  must(text: string): string {
    const result = this.run(text);
    if (result.status !== 0) throw new Error(`${text}: ${result.stderr}`);
    return result.stdout;
  }

  /** Packet handles that are still held somewhere. */
  get liveCount(): number {
    return this.kernel.skbs.liveCount;
  }
}

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');
}

export function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}
