// The neighbour tables (ARP and ND share one here): unreachability detection of RFC 4861 7.3 as net/core/neighbour.c does
// it, the queue of packets that wait for an address, and the finished Ethernet header per neighbour (Linux's hh_cache).
//
// Left out: proxies, table size limits and their garbage collection, random reachable times (30 s always, Linux takes 0.5 to
// 1.5 of that). Who-has and solicitation packets are built in arp.ts and nd.ts.

import { EINVAL, ENOENT } from '../../../driver/errno.ts';
import type { NetDevice } from '../../../driver/netdev.ts';
import { IFF_LOOPBACK, IFF_NOARP } from '../../../driver/netdev.ts';
import type { SkBuff } from '../../../driver/skb.ts';
import type { EventId } from '../../../hw/time/scheduler.ts';
import { NO_EVENT } from '../../../hw/time/scheduler.ts';
import { PS_PER_S } from '../../../hw/time/units.ts';
import { OK, refuse } from '../answer.ts';
import type { Answer } from '../answer.ts';
import { NEIGH_OUTPUT_PS } from '../costs.ts';
import type { NetStack } from '../net-stack.ts';
import type { TunnelInfo } from '../lwtunnel/tunnel-info.ts';
import { txInfo } from '../lwtunnel/tunnel-info.ts';
import { StackDrop } from '../outcome.ts';
import { TraceStep } from '../trace-steps.ts';
import { AF_INET, AF_INET6, formatAddress, loadInt32, sameBytes } from './address.ts';
import type { Route } from './fib.ts';

export const NUD_NONE = 0;
export const NUD_INCOMPLETE = 0x01;
export const NUD_REACHABLE = 0x02;
export const NUD_STALE = 0x04;
export const NUD_DELAY = 0x08;
export const NUD_PROBE = 0x10;
export const NUD_FAILED = 0x20;
export const NUD_NOARP = 0x40;
export const NUD_PERMANENT = 0x80;

export const NUD_CONNECTED = NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE;
export const NUD_VALID = NUD_CONNECTED | NUD_PROBE | NUD_STALE | NUD_DELAY;

/** Packets that wait for one unresolved neighbour (unres_qlen). */
const UNRES_QUEUE_PACKETS = 101;
const UCAST_PROBES = 3;
const MCAST_PROBES = 3;
const RETRANS_PS = PS_PER_S;
const DELAY_PROBE_PS = 5 * PS_PER_S;
const REACHABLE_PS = 30 * PS_PER_S;

const ETH_HEADER_BYTES = 14;
const HEADER_STRIDE = 16;

/** One neighbour on one device. */
export class Neighbour {
  readonly family: number;
  readonly dev: NetDevice;
  /** 4 or 16 bytes. */
  readonly address: Uint8Array;
  /** Meaningful while the state is in NUD_VALID. */
  readonly mac = new Uint8Array(6);
  /** Place in the table's columns. */
  readonly index: number;
  /** One NUD_* bit. */
  state = NUD_NONE;
  /** IPv6: it said that it is a router. */
  isRouter = false;
  /** Removed from the table: holders must look it up again. */
  dead = false;
  probes = 0;
  confirmedPs = -REACHABLE_PS * 2;
  usedPs = 0;
  updatedPs = 0;
  timer: EventId = NO_EVENT;
  queue: SkBuff[] = [];

  constructor(family: number, dev: NetDevice, address: Uint8Array, index: number) {
    this.index = index;
    this.family = family;
    this.dev = dev;
    this.address = address;
  }

  /** Its MAC address may be used. */
  get isValid(): boolean {
    return (this.state & NUD_VALID) !== 0;
  }
}

export class NeighbourTable {
  private readonly stack: NetStack;
  private readonly byAddress = new Map<number | string, Neighbour>();
  private readonly slots: (Neighbour | null)[] = [];
  private readonly freeSlots: number[] = [];
  /** State and Ethernet header (16 bytes apart) of each neighbour side by side: what a forwarded packet touches. */
  private states = new Uint8Array(64);
  private headers = new Uint8Array(64 * HEADER_STRIDE);
  /** Incremented when a neighbour leaves: indices that routes remember are good only for the same value. */
  private generation = 0;

  constructor(stack: NetStack) {
    this.stack = stack;
  }

  /**
   * Sends an IP packet on: skb.at is at the network header; pushes the MAC header of the next hop and gives the frame to
   * `stack.xmit`. Takes the packet in every case: an unresolved neighbour queues it and is solicited.
   */
  output(skb: SkBuff, dev: NetDevice, route: Route): void {
    this.stack.kernel.charge(NEIGH_OUTPUT_PS);
    if (route.neighGeneration === this.generation && route.dev === dev) {
      const index = route.neighIndex;
      if ((this.states[index] & NUD_CONNECTED) !== 0) {
        this.pushHeader(skb, this.headers, index * HEADER_STRIDE);
        this.stack.xmit(skb, dev);
      } else this.outputTo(skb, this.slots[index] as Neighbour);
      return;
    }
    if (this.outputMapped(skb, dev, route)) return;
    const neighbour = this.nextHop(skb, dev, route);
    route.neighIndex = neighbour.index;
    route.neighGeneration = this.generation;
    this.outputTo(skb, neighbour);
  }

  /** Same with a known neighbour. */
  outputTo(skb: SkBuff, neighbour: Neighbour): void {
    if ((neighbour.state & NUD_CONNECTED) === 0 && !this.use(neighbour, skb)) return;
    this.pushHeader(skb, this.headers, neighbour.index * HEADER_STRIDE);
    this.stack.xmit(skb, neighbour.dev);
  }

  /** The neighbour with this address, null when unknown. */
  find(dev: NetDevice, address: Uint8Array, at = 0, lenBytes = address.length): Neighbour | null {
    return this.byAddress.get(tableKey(dev, address, at, lenBytes)) ?? null;
  }

  /** The neighbour with this address, made (state NONE) when unknown. */
  findOrCreate(dev: NetDevice, address: Uint8Array, at: number, lenBytes: number): Neighbour {
    const key = tableKey(dev, address, at, lenBytes);
    const old = this.byAddress.get(key);
    if (old !== undefined) return old;
    const family = lenBytes === 4 ? AF_INET : AF_INET6;
    const index = this.freeSlots.pop() ?? this.slots.length;
    const neighbour = new Neighbour(family, dev, address.slice(at, at + lenBytes), index);
    this.slots[index] = neighbour;
    this.fillColumns(neighbour);
    neighbour.updatedPs = neighbour.usedPs = this.stack.scheduler.nowPs;
    this.byAddress.set(key, neighbour);
    return neighbour;
  }

  /** `ip neigh replace`: sets address and state as an administrator; `mac` null only with a state that needs none. */
  replace(
    dev: NetDevice,
    address: Uint8Array,
    mac: Uint8Array | null,
    state = NUD_PERMANENT,
  ): Answer {
    if ((state & NUD_VALID) !== 0 && mac === null) {
      const known = this.find(dev, address);
      if (known === null || !known.isValid) return refuse(EINVAL, '', 'neigh-no-lladdr');
    }
    const neighbour = this.findOrCreate(dev, address, 0, address.length);
    this.update(neighbour, mac, state, true, true);
    return OK;
  }

  /** `ip neigh del`. ENOENT when it is not there. */
  remove(dev: NetDevice, address: Uint8Array): Answer {
    const neighbour = this.find(dev, address);
    if (neighbour === null) return refuse(ENOENT, '', 'neigh-unknown');
    this.update(neighbour, null, NUD_FAILED, true, true);
    this.forget(neighbour);
    return OK;
  }

  /** Drops every neighbour of a device (it went down, or its address changed). */
  flushDevice(dev: NetDevice): void {
    for (const neighbour of this.list()) if (neighbour.dev === dev) this.forget(neighbour);
  }

  /** All neighbours in order of first use. */
  list(): Neighbour[] {
    return [...this.byAddress.values()];
  }

  /**
   * What was learnt from the wire or set by hand (neigh_update): `override` lets a different MAC replace a valid one,
   * `admin` may change permanent entries.
   */
  update(
    neighbour: Neighbour,
    mac: Uint8Array | null,
    newState: number,
    override: boolean,
    admin: boolean,
  ): void {
    const old = neighbour.state;
    if (!admin && (old & (NUD_NOARP | NUD_PERMANENT)) !== 0) return;
    const now = this.stack.scheduler.nowPs;
    if ((newState & NUD_VALID) === 0) {
      this.setState(neighbour, newState);
      if ((old & (NUD_INCOMPLETE | NUD_PROBE)) !== 0 && newState === NUD_FAILED)
        this.failQueue(neighbour);
      return;
    }
    const same = mac === null || sameBytes(mac, 0, neighbour.mac, 0, 6);
    let state = newState;
    if ((state & NUD_CONNECTED) !== 0) neighbour.confirmedPs = now;
    if ((old & NUD_VALID) !== 0) {
      if (!same && !override) return;
      if (same && state === NUD_STALE && !admin) state = old;
    }
    neighbour.updatedPs = now;
    if (state !== old) this.setState(neighbour, state);
    if (!same || (old & NUD_VALID) === 0) {
      if (mac !== null) neighbour.mac.set(mac);
      this.headers.set(neighbour.mac, neighbour.index * HEADER_STRIDE);
      if ((state & NUD_CONNECTED) === 0) neighbour.confirmedPs = now - 2 * REACHABLE_PS;
    }
    if ((old & NUD_VALID) === 0 && neighbour.queue.length > 0) this.sendQueue(neighbour);
  }

  /** Timer of one neighbour (neigh_timer_handler). */
  private onTimer(neighbour: Neighbour): void {
    neighbour.timer = NO_EVENT;
    if (neighbour.dead) return;
    const now = this.stack.scheduler.nowPs;
    const { state } = neighbour;
    if (state === NUD_REACHABLE) {
      if (now < neighbour.confirmedPs + REACHABLE_PS)
        this.startTimer(neighbour, neighbour.confirmedPs + REACHABLE_PS);
      else if (now < neighbour.usedPs + DELAY_PROBE_PS) this.setState(neighbour, NUD_DELAY);
      else this.setState(neighbour, NUD_STALE);
    } else if (state === NUD_DELAY) {
      if (now < neighbour.confirmedPs + DELAY_PROBE_PS) this.setState(neighbour, NUD_REACHABLE);
      else {
        this.setState(neighbour, NUD_PROBE);
        neighbour.probes = 0;
        this.probe(neighbour);
      }
    } else if ((state & (NUD_INCOMPLETE | NUD_PROBE)) !== 0) {
      const most = state === NUD_PROBE ? UCAST_PROBES : UCAST_PROBES + MCAST_PROBES;
      if (neighbour.probes >= most) {
        this.setState(neighbour, NUD_FAILED);
        this.failQueue(neighbour);
      } else {
        this.startTimer(neighbour, now + RETRANS_PS);
        this.probe(neighbour);
      }
    }
  }

  /** neigh_event_send: whether the packet may go now; otherwise it was queued. */
  private use(neighbour: Neighbour, skb: SkBuff): boolean {
    const now = this.stack.scheduler.nowPs;
    neighbour.usedPs = now;
    const { state } = neighbour;
    if ((state & (NUD_DELAY | NUD_PROBE)) !== 0) return true;
    if (state === NUD_STALE) {
      this.setState(neighbour, NUD_DELAY);
      return true;
    }
    if (neighbour.queue.length >= UNRES_QUEUE_PACKETS)
      this.stack.drop(neighbour.queue.shift() as SkBuff, StackDrop.NEIGH_QUEUEFULL);
    neighbour.queue.push(skb);
    if (this.stack.trace !== null)
      this.stack.step(
        skb,
        TraceStep.NEIGH_QUEUED,
        neighbour.dev.ifindex,
        0,
        formatAddress(neighbour.address),
      );
    if (state !== NUD_INCOMPLETE) {
      neighbour.probes = UCAST_PROBES;
      neighbour.updatedPs = now;
      this.setState(neighbour, NUD_INCOMPLETE);
      this.probe(neighbour);
    }
    return false;
  }

  /** Addresses that need no resolution: loopback, multicast, broadcast. True when the packet was sent. */
  private outputMapped(skb: SkBuff, dev: NetDevice, route: Route): boolean {
    const b = skb.bytes;
    const at = skb.at;
    const header = this.mapped;
    header.set(dev.mac, 6);
    const six = b[at] >> 4 === 6;
    header[12] = six ? 0x86 : 0x08;
    header[13] = six ? 0xdd : 0x00;
    if ((dev.flags & (IFF_LOOPBACK | IFF_NOARP)) !== 0) header.fill(0, 0, 6);
    else if (six && b[at + 24] === 0xff && route.gateway === null) {
      header[0] = header[1] = 0x33;
      header.set(b.subarray(at + 36, at + 40), 2);
    } else if (!six && route.type === 'broadcast') header.fill(0xff, 0, 6);
    else if (!six && (b[at + 16] & 0xf0) === 0xe0 && route.gateway === null) {
      header[0] = 0x01;
      header[1] = 0x00;
      header[2] = 0x5e;
      header[3] = b[at + 17] & 0x7f;
      header[4] = b[at + 18];
      header[5] = b[at + 19];
    } else return false;
    this.pushHeader(skb, header, 0);
    this.stack.xmit(skb, dev);
    return true;
  }
  private readonly mapped = new Uint8Array(ETH_HEADER_BYTES);

  private nextHop(skb: SkBuff, dev: NetDevice, route: Route): Neighbour {
    const { gateway } = route;
    if (gateway !== null) return this.findOrCreate(dev, gateway, 0, gateway.length);
    return skb.bytes[skb.at] >> 4 === 6
      ? this.findOrCreate(dev, skb.bytes, skb.at + 24, 16)
      : this.findOrCreate(dev, skb.bytes, skb.at + 16, 4);
  }

  private pushHeader(skb: SkBuff, header: Uint8Array, headerAt: number): void {
    const at = skb.at - ETH_HEADER_BYTES;
    const { bytes } = skb;
    for (let i = 0; i < ETH_HEADER_BYTES; i++) bytes[at + i] = header[headerAt + i];
    skb.at = at;
    skb.macAt = at;
    skb.lenBytes += ETH_HEADER_BYTES;
  }

  private fillColumns(neighbour: Neighbour): void {
    const { index, dev, family } = neighbour;
    if (index >= this.states.length) {
      const states = new Uint8Array(index * 2);
      states.set(this.states);
      this.states = states;
      const headers = new Uint8Array(index * 2 * HEADER_STRIDE);
      headers.set(this.headers);
      this.headers = headers;
    }
    const at = index * HEADER_STRIDE;
    this.states[index] = NUD_NONE;
    this.headers.set(dev.mac, at + 6);
    this.headers[at + 12] = family === AF_INET ? 0x08 : 0x86;
    this.headers[at + 13] = family === AF_INET ? 0x00 : 0xdd;
  }

  private setState(neighbour: Neighbour, state: number): void {
    const now = this.stack.scheduler.nowPs;
    this.stack.scheduler.cancel(neighbour.timer);
    neighbour.timer = NO_EVENT;
    neighbour.state = state;
    this.states[neighbour.index] = state;
    neighbour.updatedPs = now;
    if (state === NUD_REACHABLE) this.startTimer(neighbour, now + REACHABLE_PS);
    else if (state === NUD_DELAY) this.startTimer(neighbour, now + DELAY_PROBE_PS);
    else if ((state & (NUD_INCOMPLETE | NUD_PROBE)) !== 0)
      this.startTimer(neighbour, now + RETRANS_PS);
  }

  private startTimer(neighbour: Neighbour, atPs: number): void {
    neighbour.timer = this.stack.timer(atPs, () => this.onTimer(neighbour));
  }

  private probe(neighbour: Neighbour): void {
    neighbour.probes++;
    const unicast = neighbour.state === NUD_PROBE;
    if (neighbour.family === AF_INET) this.stack.arp.solicit(neighbour, unicast);
    else this.stack.nd.solicit(neighbour, unicast);
  }

  private sendQueue(neighbour: Neighbour): void {
    const waiting = neighbour.queue;
    neighbour.queue = [];
    for (const skb of waiting) this.outputTo(skb, neighbour);
  }

  private failQueue(neighbour: Neighbour): void {
    const waiting = neighbour.queue;
    neighbour.queue = [];
    for (const skb of waiting) {
      this.stack.linkFailure(skb);
      this.stack.drop(skb, StackDrop.NEIGH_FAILED);
    }
  }

  private forget(neighbour: Neighbour): void {
    this.stack.scheduler.cancel(neighbour.timer);
    neighbour.dead = true;
    this.generation++;
    this.states[neighbour.index] = NUD_NONE;
    this.slots[neighbour.index] = null;
    this.freeSlots.push(neighbour.index);
    this.byAddress.delete(tableKey(neighbour.dev, neighbour.address, 0, neighbour.address.length));
    for (const skb of neighbour.queue) this.stack.drop(skb, StackDrop.NEIGH_FAILED);
    neighbour.queue = [];
  }
}

function tableKey(
  dev: NetDevice,
  bytes: Uint8Array,
  at: number,
  lenBytes: number,
): number | string {
  if (lenBytes === 4) return dev.ifindex * 0x1_0000_0000 + (loadInt32(bytes, at) >>> 0);
  let key = String.fromCharCode(dev.ifindex);
  for (let i = 0; i < 16; i += 2)
    key += String.fromCharCode((bytes[at + i] << 8) | bytes[at + i + 1]);
  return key;
}

/** Where a solicitation is to go when the packet that waits for it goes through a flow-based tunnel: the same way. */
export function encapOf({ queue }: Neighbour): TunnelInfo | null {
  const waiting = queue.at(-1);
  return waiting === undefined ? null : txInfo(waiting);
}
