// Connection tracking (spec C.2): the hooks that find or make a packet's connection, and the life of entries.
//
// At prerouting and output (priority −200) a packet gets skb.nfct and skb.ctinfo, or stays without (ct state invalid);
// conntrack itself drops only when the table is full. At postrouting and input (last) a new entry is confirmed: only then
// others can find it, so a packet dropped by a rule leaves nothing. Entries expire lazily: look-ups and listings do not see
// an expired one; a background scan looks at every row within a minute.
//
// Left out: helpers and expectations, clash resolution between processors (one core at a time), conntrack events.

import type { SkBuff } from '../../../../driver/skb.ts';
import { CHECKSUM_UNNECESSARY } from '../../../../driver/skb.ts';
import { PS_PER_S } from '../../../../hw/time/units.ts';
import { StackDrop } from '../../outcome.ts';
import { CONNTRACK_CONFIRM_PS, CONNTRACK_NEW_PS, CONNTRACK_PS } from '../costs.ts';
import { NF_ACCEPT, NF_DROP, NF_INET_PRE_ROUTING } from '../hooks.ts';
import type { HookState } from '../hooks.ts';
import type { StackPort } from '../stack-port.ts';
import { TRACE_CONNTRACK } from '../trace-steps.ts';
import { icmpChecksumIsRight, l4ChecksumIsRight } from './checksum.ts';
import {
  IP_CT_ESTABLISHED,
  IP_CT_ESTABLISHED_REPLY,
  IP_CT_NEW,
  IP_CT_RELATED,
  IP_CT_RELATED_REPLY,
  IP_CT_UNTRACKED,
} from './ctinfo.ts';
import { ICMP_ERROR, ICMP_INVALID, ICMP_UNTRACKED, icmpClass, icmpMayOpen } from './icmp.ts';
import { PacketView, readTuple } from './packet.ts';
import { findRelated } from './related.ts';
import { zeroStats } from './stats.ts';
import {
  C_FLOW_REFS,
  C_ID,
  C_STATUS,
  ConnectionTable,
  D_BYTES,
  D_PACKETS,
  D_START,
  D_TIMEOUT,
  IPS_ASSURED,
  IPS_CONFIRMED,
  IPS_DYING,
  IPS_HAS_ACCT,
  IPS_SEEN_REPLY,
  IPS_SRC_NAT_DONE,
  ROW_DOUBLES,
  ROW_REPLY,
  ROW_WORDS,
} from './table.ts';
import type { Connection } from './table.ts';
import {
  TRACK_ACCEPT,
  TRACK_ACCEPT_KILL,
  TRACK_ACCEPT_QUIET,
  TRACK_INVALID,
  TRACK_REPEAT,
  tcpNew,
  tcpPacket,
} from './tcp.ts';
import { flagsAreLegal, segmentKind } from './tcp-table.ts';
import { Segment } from './tcp-window.ts';
import { Timeouts } from './timeouts.ts';
import { IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_TCP, IPPROTO_UDP, Tuple } from './tuple.ts';
import { udpLengthIsRight, udpPacket } from './udp.ts';

/** Buckets that early drop looks at. */
const EARLY_DROP_BUCKETS = 8;
const SCAN_PERIOD_PS = PS_PER_S;
/** The background scan sees every row within this many runs. */
const SCAN_RUNS = 60;

/** A new entry whose packet is still on its way to confirmation. */
interface Unconfirmed {
  conn: Connection;
  skb: SkBuff;
}

export class Conntrack {
  readonly table = new ConnectionTable();
  readonly timeouts: Timeouts;
  readonly stats = zeroStats();
  /** Zone of packets that enter (rules may not set it yet). */
  zone = 0;
  /** Told when a row that NAT has decided goes. */
  onForget: (id: number) => void = () => undefined;

  private readonly stack: StackPort;
  private readonly tuple = new Tuple();
  private readonly inverse = new Tuple();
  private readonly view = new PacketView();
  private readonly segment = new Segment();
  private readonly result = { timeoutPs: 0 };
  private readonly unconfirmed: Unconfirmed[] = [];
  private scanPending = false;
  private scanAt = 0;
  private nextId = 1;

  constructor(stack: StackPort) {
    this.stack = stack;
    this.timeouts = new Timeouts(stack.sysctl);
  }

  /** Time of the code that runs, ps. */
  get now(): number {
    return this.stack.scheduler.nowPs;
  }

  /** The hook at prerouting and output: finds or makes the connection of a packet. */
  track(skb: SkBuff, state: HookState): number {
    if (skb.nfct !== null || skb.ctinfo === IP_CT_UNTRACKED) return NF_ACCEPT;
    this.stack.kernel.charge(CONNTRACK_PS);
    const { view } = this;
    if (!view.locate(skb.bytes, skb.networkAt, skb.lenBytes, state.family))
      return this.invalid(skb);
    const protocol = view.protocol;
    const check = this.timeouts.checksum && state.hook === NF_INET_PRE_ROUTING;
    if (protocol === IPPROTO_TCP || protocol === IPPROTO_UDP) {
      if (!this.headerIsRight(skb, state.family, check)) return this.invalid(skb);
    } else if (isIcmp(protocol, state.family)) {
      const verdict = this.trackIcmp(skb, state, check);
      if (verdict >= 0) return verdict;
    }
    if (!readTuple(this.tuple, skb.bytes, skb.networkAt, state.family, view, this.zone))
      return this.invalid(skb);
    return this.resolve(skb, state);
  }

  /** The hook at postrouting and input: makes a new entry known. */
  confirm(skb: SkBuff): number {
    const conn = skb.nfct as Connection | null;
    if (conn === null || conn.id < 0) return NF_ACCEPT;
    const { table } = this;
    const { id } = conn;
    const row = id * ROW_WORDS;
    const status = table.words[row + C_STATUS];
    if ((status & IPS_CONFIRMED) !== 0) return NF_ACCEPT;
    if (skb.ctinfo >= IP_CT_ESTABLISHED_REPLY) return NF_ACCEPT;
    if ((status & IPS_DYING) !== 0) return this.refuseConfirm(skb);
    this.stack.kernel.charge(CONNTRACK_CONFIRM_PS);
    const nowPs = this.stack.scheduler.nowPs;
    this.tuple.load(table.words, row);
    const hash = this.tuple.hash();
    this.inverse.load(table.words, row + ROW_REPLY);
    const replyHash = this.inverse.hash();
    if (
      this.findLive(this.tuple, hash, nowPs) >= 0 ||
      this.findLive(this.inverse, replyHash, nowPs) >= 0
    )
      return this.refuseConfirm(skb);
    table.link(2 * id, hash);
    table.link(2 * id + 1, replyHash);
    table.words[row + C_STATUS] = status | IPS_CONFIRMED;
    table.doubles[id * ROW_DOUBLES + D_TIMEOUT] += nowPs;
    this.stats.insert++;
    this.forgetUnconfirmed(conn);
    this.scheduleScan();
    return NF_ACCEPT;
  }

  /** Removes an entry from listings and look-ups at once; the row lives on while flows hold it. */
  kill(id: number): void {
    const { words } = this.table;
    const row = id * ROW_WORDS;
    const status = words[row + C_STATUS];
    if ((status & IPS_DYING) !== 0) return;
    words[row + C_STATUS] = status | IPS_DYING;
    if ((status & IPS_CONFIRMED) !== 0) {
      this.table.unlink(2 * id);
      this.table.unlink(2 * id + 1);
    }
    if (words[row + C_FLOW_REFS] === 0) this.freeRow(id);
  }

  /** A flow object holds the entry. */
  hold(id: number): void {
    this.table.words[id * ROW_WORDS + C_FLOW_REFS]++;
  }

  /** A flow object that held the entry was freed. */
  release(id: number): void {
    const { words } = this.table;
    const row = id * ROW_WORDS;
    words[row + C_FLOW_REFS]--;
    if (words[row + C_FLOW_REFS] === 0 && (words[row + C_STATUS] & IPS_DYING) !== 0)
      this.freeRow(id);
  }

  /** Whether the row is a confirmed, living, unexpired connection. */
  isLive(id: number): boolean {
    const status = this.table.words[id * ROW_WORDS + C_STATUS];
    if (this.table.conns[id] === null || (status & IPS_CONFIRMED) === 0) return false;
    if ((status & IPS_DYING) !== 0) return false;
    return this.table.doubles[id * ROW_DOUBLES + D_TIMEOUT] > this.stack.scheduler.nowPs;
  }

  private freeRow(id: number): void {
    if ((this.table.words[id * ROW_WORDS + C_STATUS] & IPS_SRC_NAT_DONE) !== 0) this.onForget(id);
    this.table.free(id);
  }

  /** Rows of all living connections, ascending. */
  liveIds(): number[] {
    const ids: number[] = [];
    for (let id = 0; id < this.table.highWater; id++) if (this.isLive(id)) ids.push(id);
    return ids;
  }

  /** Element (id * 2 + direction) of a key, −1 for none; expired entries met are removed. */
  findLive(tuple: Tuple, hash: number, nowPs: number): number {
    for (;;) {
      const element = this.table.find(tuple, hash);
      if (element < 0) return -1;
      const id = element >> 1;
      if (this.table.doubles[id * ROW_DOUBLES + D_TIMEOUT] > nowPs) return element;
      this.kill(id);
    }
  }

  /** Adds packets to the counters of a direction, if the entry has counters. */
  account(id: number, direction: number, packets: number, lenBytes: number): void {
    if ((this.table.words[id * ROW_WORDS + C_STATUS] & IPS_HAS_ACCT) === 0) return;
    const at = id * ROW_DOUBLES + direction;
    this.table.doubles[at + D_PACKETS] += packets;
    this.table.doubles[at + D_BYTES] += lenBytes;
  }

  onEvent(): void {
    this.scanPending = false;
    const { table } = this;
    const rows = Math.max(1024, Math.ceil(table.highWater / SCAN_RUNS));
    const nowPs = this.stack.scheduler.nowPs;
    for (let n = 0; n < rows && n < table.highWater; n++) {
      const id = this.scanAt;
      this.scanAt = id + 1 >= table.highWater ? 0 : id + 1;
      const status = table.words[id * ROW_WORDS + C_STATUS];
      if (table.conns[id] === null || (status & (IPS_CONFIRMED | IPS_DYING)) !== IPS_CONFIRMED)
        continue;
      if (table.doubles[id * ROW_DOUBLES + D_TIMEOUT] <= nowPs) this.kill(id);
    }
    this.scheduleScan();
  }

  private scheduleScan(): void {
    if (this.scanPending || this.table.count === 0) return;
    this.scanPending = true;
    this.stack.scheduler.schedule(this.stack.scheduler.nowPs + SCAN_PERIOD_PS, this);
  }

  private invalid(skb: SkBuff): number {
    this.stats.invalid++;
    const trace = this.stack.trace;
    if (trace !== null)
      trace.step(skb.packetId, this.stack.scheduler.nowPs, TRACE_CONNTRACK, -1, 0, 0, 'invalid');
    return NF_ACCEPT;
  }

  /** Length, flags and checksum of TCP and UDP headers. */
  private headerIsRight(skb: SkBuff, family: number, check: boolean): boolean {
    const { protocol, l4At, l4Bytes } = this.view;
    const { bytes } = skb;
    if (protocol === IPPROTO_TCP) {
      if (l4Bytes < 20) return false;
      const headerBytes = (bytes[l4At + 12] >> 4) * 4;
      if (headerBytes < 20 || headerBytes > l4Bytes) return false;
      if (!flagsAreLegal(bytes[l4At + 13])) return false;
    } else {
      if (!udpLengthIsRight(bytes, l4At, l4Bytes)) return false;
      if (bytes[l4At + 6] === 0 && bytes[l4At + 7] === 0) return true;
    }
    if (!check || skb.ipSummed === CHECKSUM_UNNECESSARY) return true;
    return l4ChecksumIsRight(bytes, skb.networkAt, family, protocol, l4At, l4Bytes);
  }

  /** ICMP before the look-up; a verdict, or −1 to go on as with any protocol. */
  private trackIcmp(skb: SkBuff, state: HookState, check: boolean): number {
    const { protocol, l4At, l4Bytes } = this.view;
    const { bytes } = skb;
    if (l4Bytes < 8) return this.invalid(skb);
    if (check && skb.ipSummed !== CHECKSUM_UNNECESSARY) {
      const right =
        protocol === IPPROTO_ICMP
          ? icmpChecksumIsRight(bytes, l4At, l4Bytes)
          : l4ChecksumIsRight(bytes, skb.networkAt, state.family, protocol, l4At, l4Bytes);
      if (!right) return this.invalid(skb);
    }
    const kind = icmpClass(protocol, bytes[l4At]);
    if (kind === ICMP_INVALID) return this.invalid(skb);
    if (kind === ICMP_UNTRACKED) {
      skb.ctinfo = IP_CT_UNTRACKED;
      return NF_ACCEPT;
    }
    if (kind !== ICMP_ERROR) return -1;
    const element = findRelated(this, skb, state.family, l4At, l4Bytes);
    if (element < 0) {
      this.stats.error++;
      return this.invalid(skb);
    }
    skb.nfct = this.table.conns[element >> 1];
    skb.ctinfo = (element & 1) === 0 ? IP_CT_RELATED : IP_CT_RELATED_REPLY;
    return NF_ACCEPT;
  }

  /** Look-up or creation, then the protocol's tracker; starts over once when the entry turned out to be stale. */
  private resolve(skb: SkBuff, state: HookState): number {
    for (;;) {
      const nowPs = this.stack.scheduler.nowPs;
      const hash = this.tuple.hash();
      const element = this.findLive(this.tuple, hash, nowPs);
      if (element < 0) return this.open(skb, nowPs);
      const id = element >> 1;
      const direction = element & 1;
      const row = id * ROW_WORDS;
      const seenReply = (this.table.words[row + C_STATUS] & IPS_SEEN_REPLY) !== 0;
      const verdict = this.advance(skb, id, direction, nowPs);
      if (verdict === TRACK_REPEAT) {
        this.stats.search_restart++;
        this.kill(id);
        continue;
      }
      if (verdict === TRACK_INVALID) return this.invalid(skb);
      this.stats.found++;
      skb.nfct = this.table.conns[id];
      if (direction === 1) {
        skb.ctinfo = IP_CT_ESTABLISHED_REPLY;
        this.table.words[row + C_STATUS] |= IPS_SEEN_REPLY;
      } else skb.ctinfo = seenReply ? IP_CT_ESTABLISHED : IP_CT_NEW;
      if (verdict === TRACK_ACCEPT || verdict === TRACK_ACCEPT_KILL)
        this.account(id, direction, 1, skb.lenBytes);
      if (verdict === TRACK_ACCEPT) {
        const at = id * ROW_DOUBLES + D_TIMEOUT;
        this.table.doubles[at] = nowPs + this.result.timeoutPs;
      }
      this.traced(skb, id, state);
      if (verdict === TRACK_ACCEPT_KILL) this.killKeepingState(skb, id);
      return NF_ACCEPT;
    }
  }

  /** A packet without an entry: makes one, to be confirmed when the packet got through. */
  private open(skb: SkBuff, nowPs: number): number {
    const { table, tuple, view } = this;
    const protocol = tuple.protocol;
    if (isIcmp(protocol, tuple.family) && !icmpMayOpen(protocol, (tuple.l4 >> 8) & 0xff))
      return this.invalid(skb);
    if (!tuple.invert(this.inverse)) return this.invalid(skb);
    if (this.unconfirmed.length > 0) this.reapUnconfirmed();
    if (table.count >= this.timeouts.max && this.timeouts.max > 0 && !this.earlyDrop()) {
      this.stats.drop++;
      this.stack.drop(skb, StackDrop.CONNTRACK_FULL);
      return NF_STOLEN_BY_CONNTRACK;
    }
    this.stack.kernel.charge(CONNTRACK_NEW_PS);
    const conn = table.alloc();
    const { id } = conn;
    const row = id * ROW_WORDS;
    tuple.store(table.words, row);
    this.inverse.store(table.words, row + ROW_REPLY);
    if (this.timeouts.acct) table.words[row + C_STATUS] = IPS_HAS_ACCT;
    table.words[row + C_ID] = entryId(tuple.hash(), this.nextId++);
    table.doubles[id * ROW_DOUBLES + D_START] = nowPs;
    if (protocol === IPPROTO_TCP) {
      this.segment.read(skb.bytes, view.l4At, view.l4Bytes);
      this.segment.kind = segmentKind(this.segment.flags);
      if (!tcpNew(table.words, row, this.segment, this.timeouts.tcpLoose)) {
        this.freeRow(id);
        return this.invalid(skb);
      }
    }
    const verdict = this.advance(skb, id, 0, nowPs);
    if (verdict !== TRACK_ACCEPT && verdict !== TRACK_ACCEPT_QUIET) {
      this.freeRow(id);
      return this.invalid(skb);
    }
    table.doubles[id * ROW_DOUBLES + D_TIMEOUT] = this.result.timeoutPs;
    this.account(id, 0, 1, skb.lenBytes);
    skb.nfct = conn;
    skb.ctinfo = IP_CT_NEW;
    this.unconfirmed.push({ conn, skb });
    const trace = this.stack.trace;
    if (trace !== null) trace.step(skb.packetId, nowPs, TRACE_CONNTRACK, id, IP_CT_NEW, 0, 'new');
    return NF_ACCEPT;
  }

  /** Runs the protocol's tracker; TRACK_*, and `result.timeoutPs`. */
  private advance(skb: SkBuff, id: number, direction: number, nowPs: number): number {
    const { view, timeouts, table } = this;
    const protocol = view.protocol;
    if (protocol === IPPROTO_TCP) {
      this.segment.read(skb.bytes, view.l4At, view.l4Bytes);
      this.segment.kind = segmentKind(this.segment.flags);
      const row = id * ROW_WORDS;
      return tcpPacket(table.words, row, direction, this.segment, timeouts, this.result);
    }
    if (protocol === IPPROTO_UDP) this.result.timeoutPs = udpPacket(table, id, timeouts, nowPs);
    else if (protocol === IPPROTO_ICMP) this.result.timeoutPs = timeouts.icmpPs;
    else if (protocol === IPPROTO_ICMPV6) this.result.timeoutPs = timeouts.icmpv6Ps;
    else this.result.timeoutPs = timeouts.genericPs;
    return TRACK_ACCEPT;
  }

  /** An unanswered connection that was reset: gone from the table, but this packet keeps its state for the rules. */
  private killKeepingState(skb: SkBuff, id: number): void {
    this.hold(id);
    this.kill(id);
    this.unconfirmed.push({ conn: skb.nfct as Connection, skb });
  }

  /** Entries of packets that were dropped on their way: the packet is gone, so the entry goes. */
  private reapUnconfirmed(): void {
    for (let i = this.unconfirmed.length - 1; i >= 0; i--) {
      const { conn, skb } = this.unconfirmed[i];
      if (skb.poolIndex !== -1 && skb.nfct === conn) continue;
      this.unconfirmed.splice(i, 1);
      if (conn.id < 0) continue;
      if (this.table.words[conn.id * ROW_WORDS + C_FLOW_REFS] > 0) this.release(conn.id);
      else this.freeRow(conn.id);
    }
  }

  private forgetUnconfirmed(conn: Connection): void {
    const list = this.unconfirmed;
    for (let i = list.length - 1; i >= 0; i--)
      if (list[i].conn === conn) {
        list[i] = list[list.length - 1];
        list.pop();
        return;
      }
  }

  private refuseConfirm(skb: SkBuff): number {
    const conn = skb.nfct as Connection;
    const dying = (this.table.words[conn.id * ROW_WORDS + C_STATUS] & IPS_DYING) !== 0;
    if (dying) return NF_ACCEPT; // reset before it was answered: the packet itself is fine
    this.stats.insert_failed++;
    this.forgetUnconfirmed(conn);
    this.freeRow(conn.id);
    return NF_DROP;
  }

  /** Makes room: the first unassured entry in eight buckets goes. */
  private earlyDrop(): boolean {
    const { table } = this;
    const first = this.tuple.hash();
    for (let b = 0; b < EARLY_DROP_BUCKETS; b++)
      for (let e = table.firstInBucket(first + b); e >= 0; e = table.nextInBucket(e)) {
        const status = table.words[(e >> 1) * ROW_WORDS + C_STATUS];
        const expired =
          table.doubles[(e >> 1) * ROW_DOUBLES + D_TIMEOUT] <= this.stack.scheduler.nowPs;
        if ((status & IPS_ASSURED) !== 0 && !expired) continue;
        this.kill(e >> 1);
        this.stats.early_drop++;
        return true;
      }
    return false;
  }

  private traced(skb: SkBuff, id: number, state: HookState): void {
    const trace = this.stack.trace;
    if (trace === null) return;
    const text = skb.ctinfo === IP_CT_NEW ? 'new' : 'established';
    trace.step(
      skb.packetId,
      this.stack.scheduler.nowPs,
      TRACE_CONNTRACK,
      id,
      skb.ctinfo,
      state.hook,
      text,
    );
  }
}

/** NF_STOLEN: conntrack dropped the packet itself, with its own reason. */
const NF_STOLEN_BY_CONNTRACK = 2;

function isIcmp(protocol: number, family: number): boolean {
  return family === 2 ? protocol === IPPROTO_ICMP : protocol === IPPROTO_ICMPV6;
}

/** A number for id=: stable for the entry's life, spread over 32 bits as the kernel's siphash is. */
function entryId(hash: number, serial: number): number {
  let h = Math.imul(hash ^ Math.imul(serial, 0x9e3779b1), 0x85ebca6b);
  h ^= h >>> 16;
  return h;
}
