// A datapath of the Open vSwitch kernel module (net/openvswitch/datapath.c; spec A.1, A.5, A.6): ports, the flow table, what happens to a
// packet that comes in, and what userspace may ask for.
//
// A packet's key is looked up; a hit runs the flow's actions, a miss is told to userspace and ends here. Flows come and go through
// `flowNew`, `flowDel`, ..., in the form of the netlink interface.
//
// Left out: per-CPU dispatch of upcalls, UFIDs longer than their text, notifications.

import { EEXIST, EINVAL, ENODEV, ENOENT, ENOTCONN } from '../../../driver/errno.ts';
import type { Kernel } from '../../../driver/kernel.ts';
import type { NetDevice } from '../../../driver/netdev.ts';
import type { SkBuff } from '../../../driver/skb.ts';
import { PS_PER_NS } from '../../../hw/time/units.ts';
import type { TunnelInfo } from '../lwtunnel/tunnel-info.ts';
import { ETH_HEADER_BYTES } from '../mac-header.ts';
import { StackDrop } from '../outcome.ts';
import type { CtAction, UserspaceAction } from './action.ts';
import { canonicalActions } from './action-canonical.ts';
import { readActions } from './action-parse.ts';
import type { ConnectionTracking } from './ct-execute.ts';
import { DpPacket, macHeaderBytes, tagIntoFrame, tagOutOfFrame } from './dp-packet.ts';
import { Executor } from './execute.ts';
import type { ActionHost } from './execute.ts';
import { ADDRESS_WORDS, FlowKey } from './flow-key.ts';
import { FlowTable } from './flow-table.ts';
import type { Flow } from './flow-table.ts';
import { isStale, refreshKey } from './header-edit.ts';
import { readKeyAttrs, readMatch } from './match.ts';
import { MeterTable } from './meter.ts';
import type { NlAttr } from './nlattr.ts';
import { fillTunnelKey, tunnelAttr } from './tunnel-key.ts';
import { DP_MAX_PORTS, OVSP_LOCAL, PACKET, PACKET_CMD_ACTION, PACKET_CMD_MISS } from './uapi.ts';
import { upcallOf } from './upcall.ts';
import type { Upcall, UpcallInfo } from './upcall.ts';
import type { Vport } from './vport.ts';
import { VLAN_TAG_BYTES } from '../vlan-tag.ts';
import { xorshift32 } from '../xorshift.ts';
import { mix32 } from './mix.ts';

/** Extraction of the key and one masked look-up: three L3 hits of 17.45 ns (hardware.md 5.2) and 40 ns of work, assumed. */
const LOOKUP_PS = (3 * 17.45 + 40) * PS_PER_NS;
/** One action, assumed. */
const ACTION_PS = 10 * PS_PER_NS;
/** Building and queueing an upcall, assumed. */
const UPCALL_PS = 1000 * PS_PER_NS;

/** What a datapath needs of the stack around it. */
export interface DatapathStack {
  readonly kernel: Kernel;
  drop(skb: SkBuff, reason: StackDrop): void;
  /** Frees a packet whose fate another one carries. */
  release(skb: SkBuff): void;
  /** Sends a frame (skb.at at its MAC header) through a device. */
  xmit(skb: SkBuff, dev: NetDevice): void;
}

/** How ports other than plain devices send, and what they say of tunnels. */
export interface VportSender {
  /** Sends a packet out of a port that is no plain device; false when it is one. Takes the packet when true. */
  send(packet: DpPacket, vport: Vport): boolean;
  /** Sends the fragments of a packet that was reassembled from fragments of at most `packet.mru`. Takes it. */
  sendFragments(packet: DpPacket, vport: Vport): void;
  /** What a packet would be sent with through a tunnel's port, null where that cannot be said (dev_fill_metadata_dst). */
  egressTunnel(packet: DpPacket, vport: Vport): TunnelInfo | null;
}

export class Datapath implements ActionHost {
  readonly name: string;
  readonly table = new FlowTable();
  readonly meters = new MeterTable();
  readonly ports = new Map<number, Vport>();
  /** Who listens for upcalls, by netlink port. */
  readonly listeners = new Map<number, (upcall: Upcall) => void>();
  readonly executor: Executor;
  /** Packets with a flow, without one, and upcalls that did not arrive. */
  hits = 0;
  missed = 0;
  lost = 0;
  private readonly stack: DatapathStack;
  private readonly sender: VportSender;
  private readonly ct: ConnectionTracking;
  private random: number;
  /** A key per level of packets that come in while another is being worked on: making one costs 4 µs of host time. */
  private readonly keys: FlowKey[] = [];
  private depth = 0;

  constructor(
    name: string,
    stack: DatapathStack,
    sender: VportSender,
    ct: ConnectionTracking,
    seed: number,
  ) {
    this.name = name;
    this.stack = stack;
    this.sender = sender;
    this.ct = ct;
    this.random = seed >>> 0 || 1;
    this.executor = new Executor(this);
  }

  // ---- Packets ----

  /** ovs_vport_receive: a frame (skb.at at its MAC header) that came in by a port, out of a tunnel when it has tunnel metadata. */
  receive(skb: SkBuff, vport: Vport): void {
    const packet = new DpPacket(skb, { packetId: skb.packetId, alive: 1, hasLeft: false });
    packet.tpid = 0x8100;
    if (skb.vlanTci < 0) tagOutOfFrame(packet);
    const key = (this.keys[this.depth] ??= new FlowKey());
    key.clear();
    key.inPort = vport.number;
    key.priority = skb.priority;
    key.skbMark = skb.mark;
    if (skb.tunnelInfo !== null) fillTunnelKey(key, skb.tunnelInfo as TunnelInfo);
    if (skb.lenBytes < ETH_HEADER_BYTES) {
      this.finish(packet, StackDrop.OVS_KEY);
      return;
    }
    refreshKey(key, packet);
    this.ct.fillKey(packet, key);
    this.depth++;
    this.process(packet, key);
    this.depth--;
  }

  /** ovs_dp_process_packet. */
  process(packet: DpPacket, key: FlowKey): void {
    const { skb } = packet;
    this.stack.kernel.charge(LOOKUP_PS);
    const flow = this.table.lookup(key, this.hashOf(packet, key));
    if (flow === null) {
      this.missed++;
      const vport = this.ports.get(key.inPort);
      const pid = vport?.upcallPid ?? 0;
      const error = this.upcall(packet, key, {
        cmd: PACKET_CMD_MISS,
        pid,
        userdata: null,
        egressTunKey: null,
        actions: null,
      });
      this.finish(packet, error === 0 ? StackDrop.OVS_MISS : StackDrop.OVS_UPCALL_LOST);
      return;
    }
    this.hits++;
    flow.packets++;
    flow.bytes += packet.statBytes;
    flow.usedPs = this.stack.kernel.scheduler.nowPs;
    flow.tcpFlags |= key.tcpFlags & 0xff;
    this.stack.kernel.charge(ACTION_PS * flow.actions.length);
    skb.dev = null;
    this.executor.execute(packet, key, flow);
  }

  output(packet: DpPacket, port: number, key: FlowKey): void {
    const vport = this.ports.get(port);
    if (vport === undefined || !vport.dev.carrier) {
      this.finish(packet, StackDrop.OVS_NO_PORT);
      return;
    }
    const { skb } = packet;
    if (packet.cutlen > 0) {
      skb.lenBytes = Math.max(skb.lenBytes - packet.cutlen, macHeaderBytes(key));
      packet.cutlen = 0;
    }
    const { mru } = packet;
    if (mru > 0 && skb.lenBytes > mru + ETH_HEADER_BYTES) {
      if (mru > vport.dev.mtuBytes) this.finish(packet, StackDrop.PKT_TOO_BIG);
      else {
        this.left(packet);
        this.sender.sendFragments(packet, vport);
      }
      return;
    }
    this.send(packet, vport);
  }

  upcallAction(packet: DpPacket, key: FlowKey, action: UserspaceAction, flow: Flow): void {
    this.upcall(packet, key, {
      cmd: PACKET_CMD_ACTION,
      pid: action.pid,
      userdata: action.userdata,
      egressTunKey: this.egressTunKey(packet, action.egressTunPort),
      actions: action.withActions ? flow.actionAttrs : null,
    });
  }

  /** OVS_PACKET_ATTR_EGRESS_TUN_KEY for the tunnel's port that a userspace action names. */
  private egressTunKey(packet: DpPacket, port: number): NlAttr | null {
    const vport = port < 0 ? undefined : this.ports.get(port);
    const info = vport === undefined ? null : this.sender.egressTunnel(packet, vport);
    if (info === null) return null;
    const key = new FlowKey();
    fillTunnelKey(key, info);
    return tunnelAttr(PACKET.EGRESS_TUN_KEY, key, key);
  }

  track(packet: DpPacket, key: FlowKey, action: CtAction): number {
    return this.ct.execute(packet, key, action, (reason) => {
      this.finish(packet, reason);
    });
  }

  clearTracking(packet: DpPacket, key: FlowKey): void {
    this.ct.clear(packet, key);
  }

  meterDrops(packet: DpPacket, id: number): boolean {
    return this.meters.exceeds(id, packet.skb.lenBytes, this.stack.kernel.scheduler.nowPs);
  }

  hash(packet: DpPacket, key: FlowKey, basis: number): number {
    const mixed = mix32(this.hashOf(packet, key), basis);
    return mixed === 0 ? 1 : mixed;
  }

  copy(packet: DpPacket): DpPacket | null {
    return packet.clone(this.stack.kernel);
  }

  end(packet: DpPacket, why: 'consumed' | 'actions' | 'deferred' | 'recursion' | 'meter'): void {
    this.finish(packet, END_REASONS[why]);
  }

  random32(): number {
    this.random = xorshift32(this.random) >>> 0;
    return this.random;
  }

  /** Ends a copy of a packet; the last one, when none has left, closes the account. */
  private finish(packet: DpPacket, reason: StackDrop): void {
    const { family, skb } = packet;
    family.alive--;
    if (family.alive === 0 && !family.hasLeft) {
      skb.packetId = family.packetId;
      this.stack.drop(skb, reason);
      return;
    }
    skb.packetId = -1;
    this.stack.release(skb);
  }

  private left(packet: DpPacket): void {
    packet.family.alive--;
    packet.family.hasLeft = true;
  }

  /** ovs_vport_send. */
  private send(packet: DpPacket, vport: Vport): void {
    const { skb } = packet;
    const { dev } = vport;
    if (packet.isLayer3) {
      this.finish(packet, StackDrop.OVS_NO_PORT);
      return;
    }
    const inlineTag = skb.vlanTci < 0 && isTagged(packet) ? VLAN_TAG_BYTES : 0;
    if (skb.lenBytes - ETH_HEADER_BYTES - inlineTag > dev.mtuBytes) {
      this.finish(packet, StackDrop.PKT_TOO_BIG);
      return;
    }
    this.left(packet);
    if (this.sender.send(packet, vport)) return;
    tagIntoFrame(packet);
    skb.nfct = null;
    skb.ctinfo = 0;
    skb.macAt = skb.at;
    this.stack.xmit(skb, dev);
  }

  private upcall(packet: DpPacket, key: FlowKey, info: UpcallInfo): number {
    this.stack.kernel.charge(UPCALL_PS);
    const listener = info.pid === 0 ? undefined : this.listeners.get(info.pid);
    if (isStale(key)) refreshKey(key, packet);
    if (listener === undefined) {
      this.lost++;
      return -ENOTCONN;
    }
    listener(upcallOf(packet, key, info, this.hashOf(packet, key)));
    return 0;
  }

  /** skb_get_hash: the device's, or one of addresses, protocol and ports; never 0. */
  private hashOf({ skb }: DpPacket, key: FlowKey): number {
    if (skb.hash === 0) {
      let hash = mix32(mix32(key.ethType, key.ipProto), (key.tpSrc << 16) | key.tpDst);
      const { words } = key;
      for (let i = ADDRESS_WORDS.start; i < ADDRESS_WORDS.end; i++) hash = mix32(hash, words[i]);
      skb.hash = hash === 0 ? 1 : hash;
    }
    return skb.hash >>> 0;
  }

  // ---- Flows ----

  /** OVS_FLOW_CMD_NEW. `exclusive`: CREATE and EXCL, an existing flow is refused. 0 or −errno. */
  flowNew(
    key: Uint8Array,
    mask: Uint8Array | null,
    actions: Uint8Array,
    exclusive: boolean,
  ): number {
    const match = readMatch(key, mask);
    if (typeof match === 'number') return match;
    const list = readActions(actions, match.key);
    if (typeof list === 'number') return list;
    const found = this.table.findAny(match.key);
    if (found === null) {
      this.table.insert(match.key, match.mask, list, canonicalActions(actions));
      return 0;
    }
    if (exclusive) return -EEXIST;
    const same = this.table.findExact(match.key);
    if (same === null) return -ENOENT;
    same.actions = list;
    same.actionAttrs = canonicalActions(actions);
    return 0;
  }

  /** OVS_FLOW_CMD_SET: other actions for a flow, its counters at zero when `clears`. */
  flowSet(key: Uint8Array, mask: Uint8Array | null, actions: Uint8Array, clears: boolean): number {
    const match = readMatch(key, mask);
    if (typeof match === 'number') return match;
    const list = readActions(actions, match.key);
    if (typeof list === 'number') return list;
    const flow = this.table.findExact(match.key);
    if (flow === null) return -ENOENT;
    flow.actions = list;
    flow.actionAttrs = canonicalActions(actions);
    if (clears) Object.assign(flow, { packets: 0, bytes: 0, usedPs: -1, tcpFlags: 0 });
    return 0;
  }

  /** OVS_FLOW_CMD_GET: the flow with exactly this key, or −errno. */
  flowGet(key: Uint8Array): Flow | number {
    const match = readMatch(key, null);
    if (typeof match === 'number') return match;
    return this.table.findExact(match.key) ?? -ENOENT;
  }

  /** OVS_FLOW_CMD_DEL: one flow, or all when `key` is null. The flow with its last counters, 0 for all, or −errno. */
  flowDel(key: Uint8Array | null): Flow | number {
    if (key === null) {
      this.table.flush();
      return 0;
    }
    const flow = this.flowGet(key);
    if (typeof flow !== 'number') this.table.remove(flow);
    return flow;
  }

  /** OVS_PACKET_CMD_EXECUTE: actions on a packet of userspace's. A refused packet stays the caller's. */
  executePacket(skb: SkBuff, keyBytes: Uint8Array, actions: Uint8Array): number {
    const key = readKeyAttrs(keyBytes);
    if (typeof key === 'number') return key;
    const packet = new DpPacket(skb, { packetId: skb.packetId, alive: 1, hasLeft: false });
    tagOutOfFrame(packet);
    refreshKey(key, packet);
    const list = readActions(actions, key);
    if (typeof list === 'number') return list;
    const local = key.inPort === DP_MAX_PORTS ? OVSP_LOCAL : key.inPort;
    if (!this.ports.has(local)) return -ENODEV;
    skb.priority = key.priority;
    skb.mark = key.skbMark;
    const flow: Flow = {
      ...NO_FLOW,
      key,
      mask: key,
      masked: key,
      actions: list,
      actionAttrs: actions,
    };
    return this.executor.execute(packet, key, flow);
  }

  // ---- Ports ----

  /** The lowest free port number, −EINVAL when there is none. */
  freePort(): number {
    for (let number = 1; number < DP_MAX_PORTS; number++)
      if (!this.ports.has(number)) return number;
    return -EINVAL;
  }
}

const END_REASONS = {
  consumed: StackDrop.OVS_ACTIONS,
  actions: StackDrop.OVS_ACTIONS,
  deferred: StackDrop.OVS_DEFERRED,
  recursion: StackDrop.OVS_RECURSION,
  meter: StackDrop.OVS_METER,
} as const;

const NO_FLOW = { packets: 0, bytes: 0, usedPs: -1, tcpFlags: 0 };

function isTagged(packet: DpPacket): boolean {
  return packet.protocol === 0x8100 || packet.protocol === 0x88a8;
}
