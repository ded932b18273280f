// Network namespaces of a machine: making, naming and removing them, and moving devices between them (net/core/net_namespace.c,
// dev_change_net_namespace, ip-netns(8)).
//
// A namespace is a NetStack (routes, neighbours, netfilter with its connections, rule set and flowtables, sysctls) over a
// NetNamespace of the driver layer (its devices). Devices find the latter in `dev.net`, so a packet pays for namespaces by one load,
// whatever their number. All share cores, work queues, ledger and trace; flows of two namespaces stand side by side in a card's
// tables because their match has the port.
//
// Namespaces here are named ones (`ip netns add`); they end with their name: nothing else can hold one (no processes, no files).
// Left out: moving tun devices, `netns set`, `attach`, `pids`, `monitor`; per-namespace limits.

import { EEXIST, EINVAL, ENOENT, EOPNOTSUPP } from '../../driver/errno.ts';
import type { NetDevice } from '../../driver/netdev.ts';
import { IFF_LOOPBACK } from '../../driver/netdev.ts';
import { OK, refuse } from './answer.ts';
import type { Answer } from './answer.ts';
import { attachNetfilter } from './netfilter/index.ts';
import type { Netfilter } from './netfilter/index.ts';
import { NetStack } from './net-stack.ts';

export class Namespaces {
  readonly init: NetStack;
  /** Newest last. */
  private readonly named = new Map<string, NetStack>();
  /** Per namespace the ids by which it knows others (nsid). */
  private readonly ids = new Map<NetStack, Map<NetStack, number>>();
  /** Removed ones whose flows a driver may still hold. */
  private leaving: NetStack[] = [];
  private macCount = 0;

  private constructor(init: NetStack) {
    this.init = init;
    init.namespaces = this;
  }

  /** The namespaces of the machine that a stack is of; the first call finds the stack of the initial one. */
  static of(stack: NetStack): Namespaces {
    return stack.namespaces ?? new Namespaces(stack);
  }

  /** Stacks of all namespaces, the initial one first, then in order of making. */
  all(): NetStack[] {
    return [this.init, ...this.named.values()];
  }

  /** As `all`, with removed ones of which drivers still hold flows. */
  withLeaving(): NetStack[] {
    this.leaving = this.leaving.filter((stack) => (flowCookies(stack)?.size ?? 0) > 0);
    return [...this.all(), ...this.leaving];
  }

  /** Names, newest first (the order in which ip(8) finds them). */
  names(): string[] {
    return [...this.named.keys()].reverse();
  }

  find(name: string): NetStack | null {
    return this.named.get(name) ?? null;
  }

  /** '' for the initial namespace. */
  nameOf(stack: NetStack): string {
    for (const [name, one] of this.named) if (one === stack) return name;
    return '';
  }

  /** The stack of the namespace that a device is in; the initial one's for a device that is in none. */
  stackOf(dev: NetDevice): NetStack {
    for (const stack of this.named.values()) if (stack.net === dev.net) return stack;
    return this.init;
  }

  /** `ip netns add`: EEXIST. It starts with lo, down, and IPv4 switches of `all` and `default` as the initial namespace has them. */
  add(name: string): Answer {
    if (this.named.has(name)) return refuse(EEXIST, '', 'netns-exists');
    const { init } = this;
    const stack = new NetStack(init.kernel, init.observer, init.kernel.addNamespace());
    stack.namespaces = this;
    stack.trace = init.trace;
    stack.monitors = init.monitors;
    stack.tun.flowHash = init.tun.flowHash;
    const netfilter = init.netfilter as Netfilter | null;
    if (netfilter !== null) attachNetfilter(stack, netfilter.seed, netfilter.flowtables.queues);
    for (const conf of ['default', 'all'])
      for (const leaf of ['forwarding', 'rp_filter', 'send_redirects', 'accept_local']) {
        const path = `net/ipv4/conf/${conf}/${leaf}`;
        stack.sysctl.set(path, String(init.sysctl.get(path)));
      }
    stack.sysctl.set('net/ipv4/ip_forward', String(init.sysctl.get('net/ipv4/ip_forward')));
    this.named.set(name, stack);
    return OK;
  }

  /**
   * `ip netns del`: ENOENT. Devices of drivers go back to the initial namespace, down, renamed `devN` where their name is taken
   * there; devices of virtual kinds are removed; rule set, flowtables and connections end, and what hardware holds of them.
   */
  remove(name: string): Answer {
    const stack = this.named.get(name);
    if (stack === undefined) return refuse(ENOENT, '', 'netns-unknown');
    for (const dev of stack.net.all()) {
      const isLo = (dev.flags & IFF_LOOPBACK) !== 0;
      if (isLo || stack.links.kind(dev) !== null || stack.links.vlan(dev) !== null) continue;
      this.move(dev, this.init, `dev${dev.ifindex}`);
    }
    // One goes with the other: what is left is looked for anew each time.
    for (;;) {
      const dev = stack.net.all().find((one) => one !== stack.links.lo);
      if (dev === undefined) break;
      stack.links.remove(dev);
    }
    const netfilter = stack.netfilter as Netfilter | null;
    netfilter?.nft.run(['flush', 'ruleset'], '', () => null);
    for (const id of netfilter?.conntrack.liveIds() ?? []) netfilter?.conntrack.kill(id);
    stack.kernel.dev_close(stack.links.lo);
    const { namespaces } = stack.kernel;
    namespaces.splice(namespaces.indexOf(stack.net), 1);
    this.named.delete(name);
    this.ids.delete(stack);
    for (const known of this.ids.values()) known.delete(stack);
    this.leaving.push(stack);
    return OK;
  }

  /**
   * `ip link set DEV netns NAME`: the device goes down, loses its addresses, and appears in the other namespace. EEXIST where its
   * name is taken there, unless `fallback` is given.
   */
  move(dev: NetDevice, to: NetStack, fallback = ''): Answer {
    const from = this.stackOf(dev);
    const kind = from.links.kind(dev);
    if ((dev.flags & IFF_LOOPBACK) !== 0 || kind?.netnsLocal === true)
      return refuse(EINVAL, 'The interface netns is immutable', 'netns-local');
    if (kind?.kind === 'tun')
      return refuse(EOPNOTSUPP, 'tun: devices stay in the namespace of their file', 'netns-tun');
    if (from === to) return OK;
    if (fallback === '' && to.links.byName(dev.name) !== null)
      return refuse(EEXIST, '', 'netns-name');
    const luggage = from.links.release(dev);
    const error = to.net.takeOver(dev, fallback);
    if (error !== 0) return { error, message: '', reason: 'netns-name' };
    to.links.adopt(dev, luggage);
    this.meet(from, to);
    const peer = kind?.peer?.() ?? luggage.vlan?.lower ?? null;
    if (peer !== null) this.acquaint(dev, peer);
    return OK;
  }

  /** Two devices that are tied to each other: their namespaces know each other by id from then on. */
  acquaint(a: NetDevice, b: NetDevice): void {
    const [one, other] = [this.stackOf(a), this.stackOf(b)];
    this.meet(one, other);
    this.meet(other, one);
  }

  /** A locally administered address for a virtual device; Linux draws one, here they are numbered. */
  nextMac(): Uint8Array {
    const number = this.macCount++;
    return Uint8Array.of(0x02, 0x76, 0x69, 0x72, number >> 8, number & 0xff);
  }

  /** The id by which `viewer` knows `other`, −1 for none. */
  idOf(viewer: NetStack, other: NetStack): number {
    return this.ids.get(viewer)?.get(other) ?? -1;
  }

  private meet(viewer: NetStack, other: NetStack): void {
    if (viewer === other) return;
    const known = this.ids.get(viewer) ?? new Map<NetStack, number>();
    this.ids.set(viewer, known);
    if (known.has(other)) return;
    const taken = new Set(known.values());
    let id = 0;
    while (taken.has(id)) id++;
    known.set(other, id);
  }
}

function flowCookies(stack: NetStack): Set<number> | undefined {
  return (stack.netfilter as Netfilter | null)?.flowtables.cookies();
}
