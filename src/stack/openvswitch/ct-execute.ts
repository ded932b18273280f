// The ct action (net/openvswitch/conntrack.c; spec A.8.4 to A.8.7): a packet goes through connection tracking, reassembled if it is a
// fragment, and its key gets state, zone, mark, labels and original tuple; with commit the connection is made known.
//
// The packet is at its network header meanwhile. Left out: explicit expectation look-ups without an entry (an expected packet makes its
// entry at once here, RELATED all the same), timeout policies.

import { EINPROGRESS, EINVAL, ENOENT, ENOMEM } from '../../../driver/errno.ts';
import type { SkBuff } from '../../../driver/skb.ts';
import { AF_INET } from '../ip/address.ts';
import type { Conntrack } from '../netfilter/conntrack/conntrack.ts';
import {
  IP_CT_ESTABLISHED,
  IP_CT_ESTABLISHED_REPLY,
  IP_CT_NEW,
  IP_CT_RELATED,
  IP_CT_RELATED_REPLY,
  IP_CT_UNTRACKED,
} from '../netfilter/conntrack/ctinfo.ts';
import { EVENT_HELPER, EVENT_LABEL, EVENT_MARK } from '../netfilter/conntrack/events.ts';
import { helperOf } from '../netfilter/conntrack/helpers.ts';
import { peekConnection } from '../netfilter/conntrack/peek.ts';
import {
  C_MARK,
  C_STATUS,
  IPS_CONFIRMED,
  IPS_DST_NAT,
  IPS_EXPECTED,
  IPS_HELPER,
  IPS_SEEN_REPLY,
  IPS_SRC_NAT,
  ROW_WORDS,
} from '../netfilter/conntrack/table.ts';
import type { Connection } from '../netfilter/conntrack/table.ts';
import { relaxEstablished } from '../netfilter/conntrack/tcp.ts';
import { Tuple } from '../netfilter/conntrack/tuple.ts';
import { NF_ACCEPT, NF_INET_LOCAL_IN, NF_INET_LOCAL_OUT } from '../netfilter/hooks.ts';
import { NF_INET_PRE_ROUTING } from '../netfilter/hooks.ts';
import type { HookState } from '../netfilter/hooks.ts';
import { addressWords } from '../netfilter/nat/nat.ts';
import type { Nat } from '../netfilter/nat/nat.ts';
import {
  MANIP_DST,
  MANIP_SRC,
  NatRange,
  RANGE_FLAG_WORDS,
  RANGE_MAP_IPS,
  RANGE_PERSISTENT,
  RANGE_PROTO_SPECIFIED,
} from '../netfilter/nat/range.ts';
import { StackDrop } from '../outcome.ts';
import type { CtAction, CtNat } from './action.ts';
import type { CtLimits } from './ct-limits.ts';
import type { DpPacket } from './dp-packet.ts';
import type { FlowKey } from './flow-key.ts';
import {
  ETH_P_IP,
  ETH_P_IPV6,
  FRAG_NONE,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_TCP,
} from './flow-key.ts';
import { refreshKey } from './header-edit.ts';
import {
  CS_DST_NAT,
  CS_ESTABLISHED,
  CS_INVALID,
  CS_NEW,
  CS_RELATED,
  CS_REPLY_DIR,
  CS_SRC_NAT,
  CS_TRACKED,
} from './uapi.ts';

const IP_CT_REPLY_FIRST = IP_CT_ESTABLISHED_REPLY;
const LABEL_WORDS = 4;
const IPV4_BYTES = 20;

/** What the action needs of the stack: reassembly. */
export interface Reassembly {
  /** The packet when it is whole, null while it waits or when it was dropped. */
  ipv4(skb: SkBuff): SkBuff | null;
  ipv6(skb: SkBuff): SkBuff | null;
}

export class ConnectionTracking {
  private readonly ct: Conntrack;
  private readonly nat: Nat;
  private readonly defrag: Reassembly;
  private readonly limits: CtLimits;
  private readonly range = new NatRange();
  private readonly tuple = new Tuple();
  private readonly state: HookState = { hook: 0, family: 0, inDev: null, outDev: null };

  constructor(ct: Conntrack, nat: Nat, defrag: Reassembly, limits: CtLimits) {
    this.ct = ct;
    this.nat = nat;
    this.defrag = defrag;
    this.limits = limits;
  }

  /**
   * ovs_ct_execute. 0; −EINPROGRESS when the packet waits for its other fragments; another −errno when it was dropped, which `drop`
   * was told.
   */
  execute(
    packet: DpPacket,
    key: FlowKey,
    action: CtAction,
    drop: (reason: StackDrop) => void,
  ): number {
    const { skb } = packet;
    const networkAt = packet.networkAt;
    const header = skb.bytes.slice(skb.at, networkAt);
    skb.lenBytes -= networkAt - skb.at;
    skb.at = networkAt;
    skb.networkAt = networkAt;
    trim(skb, action.family);
    if (key.ipFrag !== FRAG_NONE && !this.reassemble(packet, action)) return -EINPROGRESS;
    const wasFragment = key.ipFrag !== FRAG_NONE;
    const error =
      this.lookUp(packet, key, action) || (action.commit ? this.commit(skb, key, action) : 0);
    skb.at -= header.length;
    skb.bytes.set(header, skb.at);
    skb.macAt = skb.at;
    skb.lenBytes += header.length;
    if (error !== 0) {
      drop(StackDrop.OVS_CT);
      return error;
    }
    if (wasFragment) this.rereadPorts(packet, key);
    return 0;
  }

  /** ct_clear. */
  clear(packet: DpPacket, key: FlowKey): void {
    const { skb } = packet;
    if (skb.nfct === null && skb.ctinfo !== IP_CT_UNTRACKED) return;
    skb.nfct = null;
    skb.ctinfo = 0;
    key.clearConntrack();
  }

  /** Conntrack fields of a fresh packet's key, from what the packet already carries. */
  fillKey(packet: DpPacket, key: FlowKey): void {
    const conn = packet.skb.nfct as Connection | null;
    if (conn !== null && conn.id >= 0) this.updateKey(packet.skb, key, 0, false, false);
  }

  /** False: the packet waits, or was dropped by reassembly. */
  private reassemble(packet: DpPacket, action: CtAction): boolean {
    const { skb } = packet;
    // Only the last copy may close the packet's account.
    if (packet.family.alive > 1 || packet.family.hasLeft) skb.packetId = -1;
    packet.family.alive--;
    const whole = action.family === AF_INET ? this.defrag.ipv4(skb) : this.defrag.ipv6(skb);
    if (whole === null) return false;
    packet.family.alive++;
    packet.family.packetId = whole.packetId;
    packet.skb = whole;
    packet.mru = whole.fragMaxBytes;
    whole.hash = 0;
    whole.networkAt = whole.at;
    return true;
  }

  /** After reassembly the ports can be read: the packet matches frag=no. */
  private rereadPorts(packet: DpPacket, key: FlowKey): void {
    const { ctState, ctZone } = key;
    refreshKey(key, packet);
    key.ctState = ctState;
    key.ctZone = ctZone;
  }

  /** __ovs_ct_lookup. */
  private lookUp(packet: DpPacket, key: FlowKey, action: CtAction): number {
    const { skb } = packet;
    const isCached = this.isCached(skb, key, action);
    if (!isCached) {
      skb.nfct = this.ct.templates.of(action.zone, action.zone);
      skb.ctinfo = IP_CT_NEW;
      if (this.ct.track(skb, this.at(NF_INET_PRE_ROUTING, action)) !== NF_ACCEPT) return -ENOENT;
      key.ctState = 0;
      this.updateKey(skb, key, action.zone, true, true);
    }
    const conn = skb.nfct as Connection | null;
    if (conn === null || conn.id < 0) return 0;
    const isConfirmed = (this.status(conn) & IPS_CONFIRMED) !== 0;
    const hasNat = (key.ctState & (CS_SRC_NAT | CS_DST_NAT)) !== 0;
    if (action.nat !== null && !hasNat && (isConfirmed || action.commit))
      if (!this.translate(skb, key, action, action.nat, conn)) return -EINVAL;
    if (action.helper !== '' && action.commit && !isConfirmed) this.attachHelper(conn, action);
    // So that segments which a datapath's rules let pass out of order are not invalid.
    if (isConfirmed && key.ipProto === IPPROTO_TCP)
      relaxEstablished(this.ct.table.words, conn.id * ROW_WORDS);
    return 0;
  }

  /** skb_nfct_cached: the packet carries an entry that fits the action. */
  private isCached(skb: SkBuff, key: FlowKey, action: CtAction): boolean {
    let conn = skb.nfct as Connection | null;
    const knows =
      (key.ctState & CS_TRACKED) !== 0 &&
      (key.ctState & CS_INVALID) === 0 &&
      key.ctZone === action.zone;
    let isExecuted = conn !== null && conn.id >= 0;
    if (!isExecuted) {
      if (!knows && !(key.ctState === 0 && action.force)) return false;
      if (!this.findExisting(skb, action)) return false;
      conn = skb.nfct as Connection;
      isExecuted = knows;
    }
    if (conn === null || this.zoneOf(conn) !== action.zone) return false;
    const { helper } = this.ct.extensions.get(conn.id) ?? { helper: null };
    if (action.helper !== '' && helper !== null && helper.name !== action.helper) return false;
    if (action.force && isReply(skb.ctinfo)) {
      if ((this.status(conn) & IPS_CONFIRMED) !== 0) this.ct.kill(conn.id);
      skb.nfct = null;
      skb.ctinfo = 0;
      return false;
    }
    return isExecuted;
  }

  /** ovs_ct_find_existing: the entry of the packet by its tuple, without tracking it. */
  private findExisting(skb: SkBuff, action: CtAction): boolean {
    const found = peekConnection(this.ct, skb, action.family, action.zone);
    if (found < 0) return false;
    const conn = this.ct.table.conns[found >> 1];
    const status = this.ct.table.words[(found >> 1) * ROW_WORDS + C_STATUS];
    skb.nfct = conn;
    if ((found & 1) === 1) skb.ctinfo = IP_CT_ESTABLISHED_REPLY;
    else skb.ctinfo = (status & IPS_SEEN_REPLY) !== 0 ? IP_CT_ESTABLISHED : IP_CT_NEW;
    return conn !== null;
  }

  /** ovs_ct_nat: false when the packet must not go on. */
  private translate(
    skb: SkBuff,
    key: FlowKey,
    action: CtAction,
    asked: CtNat,
    conn: Connection,
  ): boolean {
    const status = this.status(conn);
    const isBound = (status & (IPS_SRC_NAT | IPS_DST_NAT)) !== 0;
    let manip: number;
    if (skb.ctinfo !== IP_CT_NEW && isBound && (skb.ctinfo !== IP_CT_RELATED || action.commit)) {
      const bySource = (status & IPS_SRC_NAT) !== 0;
      manip = bySource !== isReply(skb.ctinfo) ? MANIP_SRC : MANIP_DST;
    } else if (asked.side === null) return true;
    else manip = asked.side === 'src' ? MANIP_SRC : MANIP_DST;
    if (!this.runNat(skb, key, action, manip, asked)) return false;
    const now = this.status(conn);
    if ((now & IPS_DST_NAT) === 0) return true;
    if ((now & IPS_SRC_NAT) !== 0)
      return this.runNat(skb, key, action, manip === MANIP_SRC ? MANIP_DST : MANIP_SRC, asked);
    return isReply(skb.ctinfo) || this.runNat(skb, key, action, MANIP_SRC, null);
  }

  /** ovs_ct_nat_execute, and what it means for the key. */
  private runNat(
    skb: SkBuff,
    key: FlowKey,
    action: CtAction,
    manip: number,
    asked: CtNat | null,
  ): boolean {
    const { range } = this;
    const before = skb.bytes.slice(skb.at, skb.at + 40);
    const chain = {
      name: 'ct(nat)',
      priority: 0,
      run: (one: SkBuff): number => {
        const conn = one.nfct as Connection;
        if (
          asked === null ||
          asked.min === null ||
          (asked.side === 'src') !== (manip === MANIP_SRC)
        )
          return NF_ACCEPT;
        fillRange(range, asked);
        return this.nat.setup(conn.id, range, manip);
      },
    };
    const hook = manip === MANIP_SRC ? NF_INET_LOCAL_IN : NF_INET_LOCAL_OUT;
    if (this.nat.run(skb, this.at(hook, action), [chain]) !== NF_ACCEPT) return false;
    this.natKey(skb, key, action, manip, before);
    return true;
  }

  /** ovs_nat_update_key: addresses and ports as the packet has them now; the state bit of what changed. */
  private natKey(
    skb: SkBuff,
    key: FlowKey,
    action: CtAction,
    manip: number,
    before: Uint8Array,
  ): void {
    const { bytes, at } = skb;
    const conn = skb.nfct as Connection;
    const bit = (manip === MANIP_SRC) !== isReply(skb.ctinfo) ? IPS_SRC_NAT : IPS_DST_NAT;
    if ((this.status(conn) & bit) === 0 && before.every((byte, i) => byte === bytes[at + i]))
      return;
    key.ctState |= manip === MANIP_SRC ? CS_SRC_NAT : CS_DST_NAT;
    const four = action.family === AF_INET;
    const [src, dst, size] = four ? [at + 12, at + 16, 4] : [at + 8, at + 24, 16];
    const from = manip === MANIP_SRC ? src : dst;
    const target = four
      ? manip === MANIP_SRC
        ? key.ipv4Src
        : key.ipv4Dst
      : manip === MANIP_SRC
        ? key.ipv6Src
        : key.ipv6Dst;
    target.set(bytes.subarray(from, from + size));
    if (key.ipProto === IPPROTO_ICMP || key.ipProto === IPPROTO_ICMPV6) return;
    const l4At = at + (four ? (bytes[at] & 15) * 4 : 40);
    if (manip === MANIP_SRC) key.tpSrc = (bytes[l4At] << 8) | bytes[l4At + 1];
    else key.tpDst = (bytes[l4At + 2] << 8) | bytes[l4At + 3];
  }

  private attachHelper(conn: Connection, action: CtAction): void {
    const extension = this.ct.extensions.of(conn.id);
    if (extension.helper !== null) return;
    const helper = helperOf(action.helper, 'tcp') ?? helperOf(action.helper, 'udp');
    if (helper === null) return;
    extension.helper = helper;
    this.ct.table.words[conn.id * ROW_WORDS + C_STATUS] |= IPS_HELPER;
    this.ct.events.note(conn.id, EVENT_HELPER);
  }

  /** ovs_ct_commit. */
  private commit(skb: SkBuff, key: FlowKey, action: CtAction): number {
    const conn = skb.nfct as Connection | null;
    if (conn === null || conn.id < 0) return 0;
    const isConfirmed = (this.status(conn) & IPS_CONFIRMED) !== 0;
    if (!isConfirmed && !this.limits.admits(action.zone)) return -ENOMEM;
    const { words } = this.ct.table;
    const row = conn.id * ROW_WORDS;
    if (action.mark !== null) {
      const { value, mask } = action.mark;
      const mark = value | (words[row + C_MARK] & ~mask);
      if (mark !== words[row + C_MARK]) {
        words[row + C_MARK] = mark;
        this.ct.events.note(conn.id, EVENT_MARK);
      }
      key.ctMark = words[row + C_MARK];
    }
    if (action.labels !== null) this.setLabels(conn, key, action.labels);
    if (this.ct.confirm(skb, this.at(NF_INET_LOCAL_IN, action)) !== NF_ACCEPT) return -EINVAL;
    return 0;
  }

  private setLabels(
    conn: Connection,
    key: FlowKey,
    { value, mask }: { value: Uint8Array; mask: Uint8Array },
  ): void {
    const labels = (this.ct.extensions.of(conn.id).labels ??= new Uint32Array(LABEL_WORDS));
    const now = labelBytes(labels);
    for (let i = 0; i < now.length; i++) now[i] = (now[i] & ~mask[i]) | (value[i] & mask[i]);
    const view = new DataView(now.buffer);
    for (let i = 0; i < LABEL_WORDS; i++) labels[i] = view.getUint32(4 * i, true);
    key.ctLabels.set(now);
    this.ct.events.note(conn.id, EVENT_LABEL);
  }

  /** ovs_ct_update_key. */
  private updateKey(
    skb: SkBuff,
    key: FlowKey,
    zone: number,
    isTracked: boolean,
    keepsNat: boolean,
  ): void {
    const conn = skb.nfct as Connection | null;
    let state = 0;
    let keyZone = zone;
    if (conn !== null && conn.id >= 0) {
      const status = this.status(conn);
      state = stateOf(skb.ctinfo);
      if ((status & IPS_CONFIRMED) === 0) state |= CS_NEW;
      if ((status & IPS_EXPECTED) !== 0) state |= CS_RELATED;
      if (keepsNat) state |= key.ctState & (CS_SRC_NAT | CS_DST_NAT);
      else {
        if ((status & IPS_SRC_NAT) !== 0) state |= CS_SRC_NAT;
        if ((status & IPS_DST_NAT) !== 0) state |= CS_DST_NAT;
      }
      keyZone = this.zoneOf(conn);
    } else if (isTracked) {
      state = CS_TRACKED | (skb.ctinfo === IP_CT_UNTRACKED ? 0 : CS_INVALID);
    }
    key.clearConntrack();
    key.ctState = state;
    key.ctZone = keyZone;
    if (conn !== null && conn.id >= 0) this.fillOriginal(conn, key);
  }

  /** Mark, labels and original tuple: the master's for an expected connection that is not known yet. */
  private fillOriginal(conn: Connection, key: FlowKey): void {
    const { words } = this.ct.table;
    const extension = this.ct.extensions.get(conn.id);
    const master = extension?.master ?? null;
    const isConfirmed = (this.status(conn) & IPS_CONFIRMED) !== 0;
    const marked = master !== null && !isConfirmed && master.id >= 0 ? master : conn;
    key.ctMark = words[marked.id * ROW_WORDS + C_MARK];
    const labels = this.ct.extensions.get(marked.id)?.labels ?? null;
    if (labels !== null) key.ctLabels.set(labelBytes(labels));
    const origin = master !== null && master.id >= 0 ? master : conn;
    const { tuple } = this;
    tuple.load(words, origin.id * ROW_WORDS);
    const four = tuple.family === AF_INET;
    if (key.ethType !== (four ? ETH_P_IP : ETH_P_IPV6)) return;
    // The place is shared with neighbour discovery's fields.
    if (key.ipProto === IPPROTO_ICMPV6 && (key.tpSrc === 135 || key.tpSrc === 136)) return;
    putWords(key.ctSrc, [tuple.s0, tuple.s1, tuple.s2, tuple.s3], four);
    putWords(key.ctDst, [tuple.d0, tuple.d1, tuple.d2, tuple.d3], four);
    key.ctOrigProto = tuple.protocol;
    key.ctTpSrc = tuple.l4 >>> 16;
    key.ctTpDst = tuple.l4 & 0xffff;
  }

  private at(hook: number, action: CtAction): HookState {
    this.state.hook = hook;
    this.state.family = action.family;
    return this.state;
  }

  private status(conn: Connection): number {
    return this.ct.table.words[conn.id * ROW_WORDS + C_STATUS];
  }

  private zoneOf(conn: Connection): number {
    this.tuple.load(this.ct.table.words, conn.id * ROW_WORDS);
    return this.tuple.zone;
  }
}

/** ovs_skb_network_trim: what is behind the IP packet goes. */
function trim(skb: SkBuff, family: number): void {
  const { bytes, at } = skb;
  if (skb.lenBytes < IPV4_BYTES) return;
  const lenBytes =
    family === AF_INET
      ? (bytes[at + 2] << 8) | bytes[at + 3]
      : ((bytes[at + 4] << 8) | bytes[at + 5]) + 40;
  if (lenBytes < skb.lenBytes) skb.lenBytes = lenBytes;
}

function isReply(ctinfo: number): boolean {
  return ctinfo >= IP_CT_REPLY_FIRST && ctinfo !== IP_CT_UNTRACKED;
}

/** ovs_ct_get_state. */
function stateOf(ctinfo: number): number {
  let state = CS_TRACKED;
  if (isReply(ctinfo)) state |= CS_REPLY_DIR;
  if (ctinfo === IP_CT_ESTABLISHED || ctinfo === IP_CT_ESTABLISHED_REPLY) state |= CS_ESTABLISHED;
  if (ctinfo === IP_CT_RELATED || ctinfo === IP_CT_RELATED_REPLY) state |= CS_RELATED;
  if (ctinfo === IP_CT_NEW) state |= CS_NEW;
  return state;
}

function fillRange(range: NatRange, asked: CtNat): void {
  range.flags = RANGE_MAP_IPS;
  range.min.set(addressWords(asked.min ?? new Uint8Array(4)));
  range.max.set(addressWords(asked.max ?? new Uint8Array(4)));
  if (asked.persistent) range.flags |= RANGE_PERSISTENT;
  if (asked.random) range.flags |= RANGE_FLAG_WORDS['fully-random'];
  if (asked.hash) range.flags |= RANGE_FLAG_WORDS['random'];
  range.minPort = asked.portMin;
  range.maxPort = asked.portMax;
  if (asked.portMin > 0) range.flags |= RANGE_PROTO_SPECIFIED;
}

/** Labels as they stand in a key: least significant byte first. */
function labelBytes(labels: Uint32Array): Uint8Array {
  const out = new Uint8Array(4 * LABEL_WORDS);
  const view = new DataView(out.buffer);
  for (let i = 0; i < LABEL_WORDS; i++) view.setUint32(4 * i, labels[i], true);
  return out;
}

function putWords(out: Uint8Array, words: readonly number[], four: boolean): void {
  const view = new DataView(out.buffer, out.byteOffset, out.length);
  for (let i = 0; i < (four ? 1 : 4); i++) view.setUint32(4 * i, words[i]);
}
