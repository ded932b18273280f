// The Linux network stack above the drivers, tied together (see CONTRACT.md). SKELETON: signatures that others program against.

import type { NetDevice, NetDeviceNotifier, RxHandler } from '../../driver/netdev.ts';
import type { SkBuff } from '../../driver/skb.ts';
import type { TraceSink } from '../../hw/observer.ts';
import type { Scheduler } from '../../hw/time/scheduler.ts';
import type { Defrag } from './ip/defrag.ts';
import type { Fib } from './ip/fib.ts';
import type { Icmp } from './ip/icmp.ts';
import type { Neighbour, NeighbourTable } from './ip/neigh.ts';
import type { KernelPort } from './kernel-port.ts';
import type { NetfilterHooks } from './netfilter/hooks.ts';
import type { StackDrop, StackObserver } from './outcome.ts';
import type { Sysctl } from './sysctl.ts';

interface Solicitor {
  solicit(neighbour: Neighbour, unicast: boolean): void;
}

export interface NetStack extends RxHandler, NetDeviceNotifier {
  readonly scheduler: Scheduler;
  readonly kernel: KernelPort;
  readonly hooks: NetfilterHooks;
  readonly fib: Fib;
  readonly neigh: NeighbourTable;
  readonly sysctl: Sysctl;
  readonly arp: Solicitor;
  readonly nd: Solicitor;
  readonly defrag: Defrag;
  readonly icmp: Icmp;
  observer: StackObserver;
  trace: TraceSink | null;
  /** What attachNetfilter() returned (src/stack/netfilter/index.ts), null without netfilter. */
  netfilter: object | null;
  /** Told after links, addresses and routes have been updated (netfilter: NETDEV_DOWN tears flows down). */
  readonly notifiers: NetDeviceNotifier[];
  receive(skb: SkBuff, dev: NetDevice): void;
  /** Frees a packet (and the ids merged into it) and tells the observer why. */
  drop(skb: SkBuff, reason: StackDrop): void;
  /** Frees a packet that ended at this host. */
  consume(skb: SkBuff, what: string): void;
  /** skb.at at the MAC header: VLAN devices tag, the device's queue takes it. */
  xmit(skb: SkBuff, dev: NetDevice): void;
  /** Trace step when a trace is on. */
  step(skb: SkBuff, step: number, a: number, b: number, text?: string): void;
  /** Next hop did not answer: ICMP host unreachable / address unreachable to the sender; `skb` stays the caller's. */
  linkFailure(skb: SkBuff): void;
}
