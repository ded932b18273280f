// What netfilter asks of the stack around it as an interface: NetStack has these parts, and tests
// of netfilter alone bring a small double (test/support/nf-stack.ts).

import type { NetDevice, NetDeviceNotifier } from '../../../driver/netdev.ts';
import type { SkBuff } from '../../../driver/skb.ts';
import type { Scheduler } from '../../../hw/time/scheduler.ts';
import type { TraceSink } from '../../../hw/observer.ts';
import type { StackDrop, StackObserver } from '../outcome.ts';
import type { Route } from '../ip/fib.ts';
import type { Monitors } from '../monitors.ts';
import type { Sysctl } from '../sysctl.ts';
import type { NetfilterHooks } from './hooks.ts';

/** Reassembly: the whole packet, or null while it waits (or when it was dropped). */
export interface DefragPort {
  ipv4(skb: SkBuff): SkBuff | null;
  ipv6(skb: SkBuff): SkBuff | null;
}

export interface IcmpPort {
  /** Answers a packet with an ICMP error; the packet stays the caller's. */
  sendError4(skb: SkBuff, type: number, code: number, info: number): void;
  sendError6(skb: SkBuff, type: number, code: number, info: number): void;
}

export interface FibPort {
  genId: number;
  lookup4(dst: number, oif?: number): Route | null;
  lookup6(bytes: Uint8Array, at: number, oif?: number): Route | null;
}

/** Told of addresses that are taken from a device. */
export interface AddressWatcher {
  addressGone(ifindex: number, address: Uint8Array): void;
}

export interface AddressPort {
  readonly removed: AddressWatcher[];
  /** Addresses of a device; family 2 or 10. */
  of(dev: NetDevice, family: number): readonly { readonly address: Uint8Array }[];
  /** A source address towards `dst`, of the device if it can be; null for none. */
  select4(dev: NetDevice | null, dst: Uint8Array | null): Uint8Array | null;
  select6(dev: NetDevice, dst: Uint8Array, at?: number): Uint8Array | null;
}

export interface NeighPort {
  /** Finishes a packet: skb.at at the network header. */
  output(skb: SkBuff, dev: NetDevice, route: Route): void;
  /** The entry of an address on a device, null for none. */
  find(dev: NetDevice, address: Uint8Array): NeighbourPort | null;
  /** All entries, for counting the packets that they hold. */
  list(): readonly NeighbourPort[];
}

export interface NeighbourPort {
  readonly mac: Uint8Array;
  /** NUD_VALID: the MAC address may be used. */
  readonly isValid: boolean;
  /** Packets that wait for resolution. */
  readonly queue: readonly SkBuff[];
}

export interface StackPort {
  readonly scheduler: Scheduler;
  readonly hooks: NetfilterHooks;
  readonly sysctl: Sysctl;
  readonly monitors: Monitors;
  readonly fib: FibPort;
  readonly neigh: NeighPort;
  readonly addresses: AddressPort;
  readonly notifiers: NetDeviceNotifier[];
  observer: StackObserver;
  trace: TraceSink | null;
  /** Set by attachNetfilter. */
  netfilter: object | null;
  readonly kernel: KernelPart;
  readonly links: LinksPort;
  readonly bridges?: BridgesPort;
  /** Sends a frame (skb.at at its MAC header) through a device. */
  xmit(skb: SkBuff, dev: NetDevice): void;
  readonly defrag: DefragPort;
  readonly icmp: IcmpPort;
  drop(skb: SkBuff, reason: StackDrop): void;
  /** Answers a TCP packet with a RST; the packet stays the caller's. */
  answerReset(skb: SkBuff, family: number): void;
  /** Runs `run` as a timer of the host at `atPs`. */
  timer(atPs: number, run: () => void): number;
}

export interface KernelPart {
  readonly cores: readonly unknown[];
  /** The core that runs now, null outside of any. */
  readonly current: { readonly index: number } | null;
  charge(costPs: number): void;
  alloc_workqueue(name: string, maxActive?: number): WorkQueuePort;
}

/** A work queue: items run in process context and finish when they call `done`. */
export interface WorkQueuePort {
  queue(item: (done: () => void) => void, delayPs?: number): void;
}

export interface BridgesPort {
  /** The bridge behind a device, null for none. */
  bridgeOf(
    dev: NetDevice,
  ): { forwardPath(mac: Uint8Array, vlanId: number): BridgeHop | null } | null;
}

/** How a bridge would send a frame on. */
export interface BridgeHop {
  /** Out of this port. */
  readonly dev: NetDevice;
  readonly vlanId: number;
  /** What happens to the frame's tag. */
  readonly tag: 'keep' | 'add' | 'remove';
}

export interface LinksPort {
  byName(name: string): NetDevice | null;
  byIndex(ifindex: number): NetDevice | null;
  /** What a VLAN device stands on, null for other devices. */
  vlan(dev: NetDevice): { readonly lower: NetDevice; readonly vlanId: number } | null;
}
