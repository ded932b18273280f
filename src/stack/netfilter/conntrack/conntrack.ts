// Connection tracking (spec C.2): the hooks that find or make a packet's connection, and the life of entries.
//
// At prerouting and output (priority −200) a packet gets skb.nfct and skb.ctinfo, or stays without (ct state invalid);
// conntrack itself drops only when the table is full. At postrouting and input (last) a new entry is confirmed: only then
// others can find it, so a packet dropped by a rule leaves nothing. Entries expire lazily: look-ups and listings do not see
// an expired one; a background scan looks at every row within a minute.

import type { SkBuff } from '../../../../driver/skb.ts';
import { CHECKSUM_UNNECESSARY } from '../../../../driver/skb.ts';
import { PS_PER_S } from '../../../../hw/time/units.ts';
import { StackDrop } from '../../outcome.ts';
import { CONNTRACK_CONFIRM_PS, CONNTRACK_NEW_PS, CONNTRACK_PS } from '../costs.ts';
import { NF_ACCEPT, NF_DROP, NF_INET_PRE_ROUTING, NF_STOLEN } from '../hooks.ts';
import type { HookState } from '../hooks.ts';
import type { StackPort } from '../stack-port.ts';
import { TRACE_CONNTRACK } from '../trace-steps.ts';
import { icmpChecksumIsRight, l4ChecksumIsRight } from './checksum.ts';
import { resolveClash } from './clash.ts';
import {
  IP_CT_ESTABLISHED,
  IP_CT_ESTABLISHED_REPLY,
  IP_CT_NEW,
  IP_CT_RELATED,
  IP_CT_RELATED_REPLY,
  IP_CT_UNTRACKED,
} from './ctinfo.ts';
import { EarlyDrop } from './early-drop.ts';
import { ConntrackEvents, EVENT_HELPER, EVENT_NEW, EVENT_RELATED } from './events.ts';
import { Expectations } from './expect.ts';
import type { Expectation } from './expect.ts';
import { Extensions } from './extensions.ts';
import { headerIsRight } from './header-check.ts';
import { helpPacket } from './help-packet.ts';
import { ICMP_ERROR, ICMP_INVALID, ICMP_UNTRACKED, icmpClass, isIcmp } from './icmp.ts';
import { PacketView, readTuple } from './packet.ts';
import { findRelated } from './related.ts';
import { seqOffset } from './seqadj.ts';
import { zeroStats } from './stats.ts';
import type { ConntrackStats } from './stats.ts';
import {
  C_FLOW_REFS,
  C_ID,
  C_MARK,
  C_STATUS,
  C_TCP_STATE,
  ConnectionTable,
  D_BYTES,
  D_PACKETS,
  D_START,
  D_TIMEOUT,
  IPS_CONFIRMED,
  IPS_DYING,
  IPS_EXPECTED,
  IPS_FIXED_TIMEOUT,
  IPS_HAS_ACCT,
  IPS_HAS_EXT,
  IPS_HELPER,
  IPS_SEEN_REPLY,
  IPS_SEQ_ADJUST,
  IPS_SRC_NAT_DONE,
  ROW_DOUBLES,
  ROW_REPLY,
  ROW_WORDS,
  entryId,
} from './table.ts';
import type { Connection } from './table.ts';
import {
  TRACK_ACCEPT,
  TRACK_ACCEPT_KILL,
  TRACK_ACCEPT_QUIET,
  TRACK_INVALID,
  TRACK_REPEAT,
} from './tcp.ts';
import { ZoneTemplates, isTemplate, originalZoneOf, replyZoneOf } from './template.ts';
import { Timeouts } from './timeouts.ts';
import { Trackers } from './trackers.ts';
import { UnconfirmedList } from './unconfirmed.ts';
import { IPPROTO_ICMP, Tuple, hasPorts } from './tuple.ts';

const SCAN_PERIOD_PS = PS_PER_S;
/** The background scan sees every row within this many runs. */
const SCAN_RUNS = 60;

export class Conntrack {
  readonly table = new ConnectionTable();
  readonly timeouts: Timeouts;
  readonly coreStats: ConntrackStats[];
  readonly events = new ConntrackEvents();
  readonly extensions = new Extensions(this.table);
  readonly templates = new ZoneTemplates();
  readonly expectations: Expectations;
  /** Zones of the packet that is being tracked: of its original and of its reply key. */
  zone = 0;
  private replyZone = 0;
  /** Told when a row that NAT has decided goes. */
  onForget: (id: number) => void = () => undefined;
  /** Gives an expected connection the addresses of its master (NAT). */
  followMaster: (id: number, expected: Expectation) => void = () => undefined;

  private readonly stack: StackPort;
  private readonly trackers: Trackers;
  private readonly room: EarlyDrop;
  private readonly tuple = new Tuple();
  private readonly inverse = new Tuple();
  private readonly view = new PacketView();
  private readonly unconfirmed = new UnconfirmedList(this);
  private scanPending = false;
  private scanAt = 0;
  private nextId = 1;

  constructor(stack: StackPort) {
    this.stack = stack;
    this.timeouts = new Timeouts(stack.sysctl);
    this.trackers = new Trackers(this.table, this.timeouts);
    this.expectations = new Expectations(stack);
    this.room = new EarlyDrop(this);
    this.coreStats = stack.kernel.cores.map(zeroStats);
  }

  /** The counters of the core that runs now; `coreStats` has those of all. */
  get stats(): ConntrackStats {
    return this.coreStats[this.stack.kernel.current?.index ?? 0];
  }

  /** Time of the code that runs, ps. */
  get now(): number {
    return this.stack.scheduler.nowPs;
  }

  /** The hook at prerouting and output: finds or makes the connection of a packet. */
  track(skb: SkBuff, state: HookState): number {
    const given = skb.nfct as Connection | null;
    if (skb.ctinfo === IP_CT_UNTRACKED && given === null) return NF_ACCEPT;
    if (given !== null) {
      if (!isTemplate(given)) return NF_ACCEPT;
      this.zone = originalZoneOf(given);
      this.replyZone = replyZoneOf(given);
      skb.nfct = null;
    } else this.zone = this.replyZone = 0;
    this.stack.kernel.charge(CONNTRACK_PS);
    const { view } = this;
    if (!view.locate(skb.bytes, skb.networkAt, skb.lenBytes, state.family))
      return this.invalid(skb);
    const protocol = view.protocol;
    const check = this.timeouts.checksum && state.hook === NF_INET_PRE_ROUTING;
    if (hasPorts(protocol)) {
      if (!headerIsRight(view, skb, state.family, check)) return this.invalid(skb);
    } else if (isIcmp(protocol, state.family)) {
      const verdict = this.trackIcmp(skb, state, check);
      if (verdict >= 0) return verdict;
    }
    if (!readTuple(this.tuple, skb.bytes, skb.networkAt, state.family, view, this.zone))
      return this.invalid(skb);
    return this.resolve(skb, state);
  }

  /** The hook at postrouting and input: makes a new entry known. */
  confirm(skb: SkBuff, state: HookState): number {
    const conn = skb.nfct as Connection | null;
    if (conn === null || conn.id < 0) return NF_ACCEPT;
    const { table } = this;
    const { id } = conn;
    const row = id * ROW_WORDS;
    let status = table.words[row + C_STATUS];
    if ((status & (IPS_HELPER | IPS_SEQ_ADJUST)) !== 0) {
      if (!helpPacket(this, skb, this.view, state.family)) return NF_DROP;
      status = table.words[row + C_STATUS];
    }
    if ((status & IPS_CONFIRMED) !== 0) {
      if (this.events.isOn) this.events.deliver(id);
      return NF_ACCEPT;
    }
    if (skb.ctinfo >= IP_CT_ESTABLISHED_REPLY) return NF_ACCEPT;
    if ((status & IPS_DYING) !== 0) return NF_ACCEPT; // reset before it was answered: the packet itself is fine
    this.stack.kernel.charge(CONNTRACK_CONFIRM_PS);
    const nowPs = this.stack.scheduler.nowPs;
    this.tuple.load(table.words, row);
    const hash = this.tuple.hash();
    this.inverse.load(table.words, row + ROW_REPLY);
    const replyHash = this.inverse.hash();
    let winner = this.findLive(this.tuple, hash, nowPs);
    if (winner < 0) winner = this.findLive(this.inverse, replyHash, nowPs);
    if (winner >= 0) return this.clash(skb, conn, winner, this.inverse, replyHash);
    this.publish(id, hash, replyHash);
    this.unconfirmed.remove(conn);
    return NF_ACCEPT;
  }

  /** Makes a row known; its timeout, a span until now, begins to run. */
  publish(id: number, hash: number, replyHash: number): void {
    const { table } = this;
    const at = id * ROW_WORDS + C_STATUS;
    table.link(2 * id, hash);
    table.link(2 * id + 1, replyHash);
    table.words[at] |= IPS_CONFIRMED;
    table.doubles[id * ROW_DOUBLES + D_TIMEOUT] += this.now;
    if (this.timeouts.timestamp) this.extensions.of(id).startPs = this.now;
    if (this.events.isOn) {
      const status = table.words[at];
      const born = (status & IPS_EXPECTED) !== 0 ? EVENT_RELATED : EVENT_NEW;
      this.events.note(id, born | ((status & IPS_HELPER) !== 0 ? EVENT_HELPER : 0));
      this.events.deliver(id);
    }
    this.scheduleScan();
  }

  /** A row for these keys, not yet known. */
  newRow(original: Tuple, reply: Tuple): Connection {
    const { table } = this;
    const conn = table.alloc();
    const row = conn.id * ROW_WORDS;
    original.store(table.words, row);
    reply.store(table.words, row + ROW_REPLY);
    if (this.timeouts.acct) table.words[row + C_STATUS] = IPS_HAS_ACCT;
    table.words[row + C_ID] = entryId(original.hash(), this.nextId++);
    table.doubles[conn.id * ROW_DOUBLES + D_START] = this.now;
    return conn;
  }

  /** Removes an entry from listings and look-ups at once; the row lives on while flows hold it. */
  kill(id: number): void {
    const { words } = this.table;
    const row = id * ROW_WORDS;
    const status = words[row + C_STATUS];
    if ((status & IPS_DYING) !== 0) return;
    words[row + C_STATUS] = status | IPS_DYING;
    if ((status & IPS_CONFIRMED) !== 0) {
      if (this.events.isOn) this.events.destroyed(id);
      this.table.unlink(2 * id);
      this.table.unlink(2 * id + 1);
    }
    if (!this.expectations.isEmpty) this.expectations.forget(this.table.conns[id] as Connection);
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

  /** Gives a row back with all that belongs to it. */
  freeRow(id: number): void {
    const status = this.table.words[id * ROW_WORDS + C_STATUS];
    if ((status & IPS_SRC_NAT_DONE) !== 0) this.onForget(id);
    if ((status & IPS_HAS_EXT) !== 0) this.extensions.forget(id);
    if (this.events.isOn) this.events.forget(id);
    this.table.free(id);
  }

  /** Handles of connections whose first packet is still on its way. */
  pending(): Connection[] {
    this.unconfirmed.reap();
    return this.unconfirmed.conns();
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
      if (table.doubles[id * ROW_DOUBLES + D_TIMEOUT] <= nowPs || this.room.mayGo(id))
        this.kill(id);
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
    const { table, trackers } = this;
    for (;;) {
      const nowPs = this.stack.scheduler.nowPs;
      const element = this.find(nowPs);
      if (element < 0) return this.open(skb, nowPs);
      const id = element >> 1;
      const direction = element & 1;
      const row = id * ROW_WORDS;
      const before = table.words[row + C_STATUS];
      const stateBefore = table.words[row + C_TCP_STATE];
      const ackOffset =
        (before & IPS_SEQ_ADJUST) === 0
          ? 0
          : seqOffset(this.extensions.get(id), 1 - direction, skb.bytes, this.view.l4At);
      const verdict = trackers.advance(skb, this.view, id, direction, nowPs, ackOffset);
      if (verdict === TRACK_REPEAT) {
        this.stats.search_restart++;
        this.kill(id);
        continue;
      }
      if (verdict === TRACK_INVALID) return this.invalid(skb);
      skb.nfct = table.conns[id];
      if (direction === 1) {
        skb.ctinfo = IP_CT_ESTABLISHED_REPLY;
        table.words[row + C_STATUS] |= IPS_SEEN_REPLY;
      } else if ((before & IPS_SEEN_REPLY) !== 0) skb.ctinfo = IP_CT_ESTABLISHED;
      else skb.ctinfo = (before & IPS_EXPECTED) !== 0 ? IP_CT_RELATED : IP_CT_NEW;
      if (verdict === TRACK_ACCEPT || verdict === TRACK_ACCEPT_KILL)
        this.account(id, direction, 1, skb.lenBytes);
      if (verdict === TRACK_ACCEPT && (before & IPS_FIXED_TIMEOUT) === 0) {
        const at = id * ROW_DOUBLES + D_TIMEOUT;
        table.doubles[at] = nowPs + trackers.result.timeoutPs;
      }
      if (this.events.isOn) this.events.noteChanges(table.words, id, before, stateBefore);
      this.traced(skb, id, state);
      if (verdict === TRACK_ACCEPT_KILL) this.killKeepingState(skb, id);
      return NF_ACCEPT;
    }
  }

  /** Element of `tuple`; a packet that answers out of another zone is looked up there too. */
  private find(nowPs: number): number {
    const { tuple } = this;
    const element = this.findLive(tuple, tuple.hash(), nowPs);
    if (element >= 0 || this.zone === this.replyZone) return element;
    tuple.setL4(tuple.family, tuple.protocol, this.replyZone, tuple.l4);
    const reply = this.findLive(tuple, tuple.hash(), nowPs);
    if (reply < 0) tuple.setL4(tuple.family, tuple.protocol, this.zone, tuple.l4);
    return reply;
  }

  /** A packet without an entry: makes one, to be confirmed when the packet got through. */
  private open(skb: SkBuff, nowPs: number): number {
    const { table, tuple, view, trackers } = this;
    if (!tuple.invert(this.inverse)) return this.invalid(skb);
    this.inverse.setL4(tuple.family, tuple.protocol, this.replyZone, this.inverse.l4);
    if (!this.unconfirmed.isEmpty) this.unconfirmed.reap();
    if (
      table.count >= this.timeouts.max &&
      this.timeouts.max > 0 &&
      !this.room.make(tuple.hash())
    ) {
      this.stats.drop++;
      this.stack.drop(skb, StackDrop.CONNTRACK_FULL);
      return NF_STOLEN;
    }
    this.stack.kernel.charge(CONNTRACK_NEW_PS);
    const conn = this.newRow(tuple, this.inverse);
    const { id } = conn;
    const isOpening = trackers.mayOpen(skb, view, id, isIcmp(tuple.protocol, tuple.family));
    const verdict = isOpening ? trackers.advance(skb, view, id, 0, nowPs, 0) : TRACK_INVALID;
    if (verdict !== TRACK_ACCEPT && verdict !== TRACK_ACCEPT_QUIET) {
      this.freeRow(id);
      return this.invalid(skb);
    }
    table.doubles[id * ROW_DOUBLES + D_TIMEOUT] = trackers.result.timeoutPs;
    this.account(id, 0, 1, skb.lenBytes);
    skb.nfct = conn;
    skb.ctinfo = IP_CT_NEW;
    if (!this.expectations.isEmpty && this.meetExpectation(id)) skb.ctinfo = IP_CT_RELATED;
    this.unconfirmed.add(conn, skb);
    const trace = this.stack.trace;
    if (trace !== null) trace.step(skb.packetId, nowPs, TRACE_CONNTRACK, id, skb.ctinfo, 0, 'new');
    return NF_ACCEPT;
  }

  /** Whether a helper expected the new connection: then it has a master, and the master's mark. */
  private meetExpectation(id: number): boolean {
    const expected = this.expectations.take(this.tuple);
    if (expected === null || expected.master.id < 0) return false;
    const { words } = this.table;
    words[id * ROW_WORDS + C_STATUS] |= IPS_EXPECTED;
    words[id * ROW_WORDS + C_MARK] = words[expected.master.id * ROW_WORDS + C_MARK];
    this.extensions.of(id).master = expected.master;
    if (expected.natDirection >= 0) this.followMaster(id, expected);
    return true;
  }

  /** An unanswered connection that was reset: gone from the table, but this packet keeps its state for the rules. */
  private killKeepingState(skb: SkBuff, id: number): void {
    this.hold(id);
    this.kill(id);
    this.unconfirmed.add(skb.nfct as Connection, skb);
  }

  /** Another entry has one of the keys already: the packet joins that one where it can, or is dropped. */
  private clash(
    skb: SkBuff,
    conn: Connection,
    winner: number,
    reply: Tuple,
    replyHash: number,
  ): number {
    this.unconfirmed.remove(conn);
    if (resolveClash(this, skb, conn, winner >> 1, reply, replyHash)) {
      this.stats.clash_resolve++;
      if (conn.id >= 0 && skb.nfct !== conn) this.freeRow(conn.id);
      return NF_ACCEPT;
    }
    this.stats.insert_failed++;
    this.stats.drop++;
    this.freeRow(conn.id);
    return NF_DROP;
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
