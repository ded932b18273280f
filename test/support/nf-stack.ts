// A router reduced to what netfilter sees: hooks in Linux's order around a two-port forwarder with fixed routes and neighbours.
// No IP layer, no driver: packets go in as Ethernet frames, what "leaves" is kept. Drops and forwards are counted.

import type { NetDevice, NetDeviceNotifier, NetDeviceOps } from '../../driver/netdev.ts';
import { NetDevice as Device } from '../../driver/netdev.ts';
import { SkBuff } from '../../driver/skb.ts';
import { Scheduler } from '../../hw/time/scheduler.ts';
import { PS_PER_S, PS_PER_US } from '../../hw/time/units.ts';
import type { Route } from '../../src/stack/ip/fib.ts';
import { connectionLines } from '../../src/stack/netfilter/conntrack/listing.ts';
import {
  NF_ACCEPT,
  NF_INET_FORWARD,
  NF_INET_POST_ROUTING,
  NF_INET_PRE_ROUTING,
  NetfilterHooks,
} from '../../src/stack/netfilter/hooks.ts';
import { attachNetfilter } from '../../src/stack/netfilter/index.ts';
import type { Netfilter } from '../../src/stack/netfilter/index.ts';
import type { NeighbourPort, StackPort } from '../../src/stack/netfilter/stack-port.ts';
import { Monitors } from '../../src/stack/monitors.ts';
import { Sysctl } from '../../src/stack/sysctl.ts';

/** What became of a packet. */
export interface Passage {
  fate: 'sent' | 'dropped';
  path: 'fast' | 'classic';
  /** ct state bits as nft has them, at the forward hook; −1 on the fast path. */
  ctState: number;
  bytes: Uint8Array;
}

export class NfStack implements StackPort {
  readonly scheduler = new Scheduler();
  readonly hooks = new NetfilterHooks();
  readonly sysctl = new Sysctl();
  readonly monitors = new Monitors();
  readonly notifiers: NetDeviceNotifier[] = [];
  readonly observer = {
    onForward: () => undefined,
    onLocal: () => undefined,
    onDrop: () => undefined,
  };
  trace = null;
  netfilter: object | null = null;
  chargedPs = 0;
  /** RSTs that rules have asked for. */
  resets = 0;
  readonly kernel = {
    cores: [null],
    current: null,
    charge: (costPs: number): void => {
      this.chargedPs += costPs;
    },
    alloc_workqueue: () => ({
      queue: (item: (done: () => void) => void): void => {
        this.scheduler.at(this.scheduler.nowPs + 10 * PS_PER_US, () => item(() => undefined));
      },
    }),
  };
  readonly fib = {
    genId: 1,
    lookup4: (_dst: number, oif = 0): Route | null => this.routeFor(oif),
    lookup6: (_bytes: Uint8Array, _at: number, oif = 0): Route | null => this.routeFor(oif),
  };
  readonly addresses = {
    removed: [],
    of: (dev: NetDevice, family: number): { address: Uint8Array }[] => [
      { address: this.addressOf(dev, family) },
    ],
    select4: (dev: NetDevice | null): Uint8Array | null =>
      dev === null ? null : this.addressOf(dev, 2),
    select6: (dev: NetDevice): Uint8Array | null => this.addressOf(dev, 10),
  };
  neighboursValid = true;
  readonly neigh = {
    output: (skb: SkBuff): void => {
      this.out = skb.bytes.slice(skb.at, skb.at + skb.lenBytes);
    },
    find: (dev: NetDevice): NeighbourPort => ({
      mac: Uint8Array.of(2, 0, 0, 0, dev.ifindex, 2),
      isValid: this.neighboursValid,
      queue: [],
    }),
    list: (): NeighbourPort[] => [],
  };
  readonly links = {
    byName: (name: string): NetDevice | null => this.devs.find((d) => d.name === name) ?? null,
    byIndex: (index: number): NetDevice | null =>
      this.devs.find((d) => d.ifindex === index) ?? null,
    vlan: () => null,
  };
  readonly defrag = { ipv4: (skb: SkBuff) => skb, ipv6: (skb: SkBuff) => skb };
  readonly icmp = { sendError4: () => undefined, sendError6: () => undefined };
  readonly devs: NetDevice[] = [];
  readonly nf: Netfilter;
  /** A way back to the client exists. */
  hasReturnRoute = true;

  private out: Uint8Array | null = null;

  constructor(names: readonly string[] = ['rc', 'rs'], ops: Partial<NetDeviceOps> = {}) {
    names.forEach((name, i) => {
      const dev = new Device(name, ops as NetDeviceOps);
      dev.ifindex = i + 2;
      dev.mac.set([2, 0, 0, 0, i + 2, 1]);
      this.devs.push(dev);
    });
    this.nf = attachNetfilter(this);
  }

  timer(atPs: number, run: () => void): number {
    return this.scheduler.at(atPs, run);
  }

  answerReset(): void {
    this.resets++;
  }

  drop(skb: SkBuff): void {
    skb.poolIndex = -1;
  }

  /** Moves time to `seconds`. */
  at(seconds: number): this {
    this.scheduler.runUntil(seconds * PS_PER_S);
    return this;
  }

  /** A frame arrives on device `from` (0 or 1) and is routed to the other. */
  send(frame: Uint8Array, from: number): Passage {
    const skb = new SkBuff(frame.slice());
    skb.poolIndex = 0;
    skb.macAt = 0;
    skb.at = skb.networkAt = 14;
    skb.lenBytes = frame.length - 14;
    skb.protocol = (frame[12] << 8) | frame[13];
    const family = skb.protocol === 0x0800 ? 2 : 10;
    const inDev = this.devs[from];
    const outDev = this.devs[1 - from];
    skb.dev = inDev;
    this.out = null;
    const done = (path: 'fast' | 'classic', ctState: number): Passage => {
      const fate = this.out === null ? 'dropped' : 'sent';
      skb.poolIndex = -1;
      return { fate, path, ctState, bytes: this.out ?? new Uint8Array(0) };
    };
    if (this.hooks.runIngress(skb, inDev, family) !== NF_ACCEPT) return done('fast', -1);
    const total = family === 2 ? (frame[16] << 8) | frame[17] : 40 + ((frame[18] << 8) | frame[19]);
    if (total < skb.lenBytes) skb.lenBytes = total;
    skb.transportAt = family === 2 ? 14 + (frame[14] & 15) * 4 : 54;
    skb.dst = this.route(outDev);
    const pre = this.hooks.run(family, NF_INET_PRE_ROUTING, skb, inDev, null);
    if (pre !== NF_ACCEPT) return done('classic', 0);
    const ctState = skb.nfct !== null ? 1 << ((skb.ctinfo % 3) + 1) : skb.ctinfo === 7 ? 64 : 1;
    const forward = this.hooks.run(family, NF_INET_FORWARD, skb, inDev, outDev);
    if (forward !== NF_ACCEPT) return done('classic', ctState);
    const post = this.hooks.run(family, NF_INET_POST_ROUTING, skb, null, outDev);
    if (post === NF_ACCEPT) this.neigh.output(skb);
    return done('classic', ctState);
  }

  /** `conntrack -L -o extended,id` without the ids. */
  connections(): string[] {
    const { conntrack } = this.nf;
    return connectionLines(this, conntrack, conntrack.liveIds(), { extended: true, id: false });
  }

  /** Nothing of these tests goes out without the neighbour layer. */
  xmit(): void {
    throw new Error('xmit');
  }

  private routeFor(oif: number): Route | null {
    const dev = this.devs.find((d) => d.ifindex === oif) ?? null;
    return dev === null || !this.hasReturnRoute ? null : this.route(dev);
  }

  /** 192.168.1.1 and 10.0.0.1, fd01::1 and fd02::1. */
  private addressOf(dev: NetDevice, family: number): Uint8Array {
    const first = dev === this.devs[0];
    if (family === 2) return Uint8Array.from(first ? [192, 168, 1, 1] : [10, 0, 0, 1]);
    return Uint8Array.from([0xfd, first ? 1 : 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
  }

  private route(dev: NetDevice): Route {
    return {
      family: 2,
      type: 'unicast',
      dev,
      gateway: null,
      mtuBytes: 0,
      genId: this.fib.genId,
      pathMtuBytes: dev.mtuBytes,
    } as unknown as Route;
  }
}

/** Bytes of a hex string. */
export function hex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (b) => parseInt(b, 16));
}
