// Running the actions of a flow (net/openvswitch/actions.c; spec A.7): the list, its copies, and the order in which nested lists run.
//
// Nested lists (sample, clone, check_pkt_len) and recirculations run at once while there is a spare key for their level, three
// of them; deeper ones wait in a queue until the outermost list is through. That queue has ten places of which nine can be used,
// and is emptied only as a whole: what does not fit is lost. A packet that comes back into the datapath within its own processing
// (through an internal port or a tunnel) goes one level up; above five it is dropped.
//
// Left out: psample, drop reasons (later kernels), NSH.

import { EHOSTUNREACH, EINPROGRESS, EINVAL, ENETDOWN } from '../../../driver/errno.ts';
import type { Action, CheckPktLenAction, CtAction, UserspaceAction } from './action.ts';
import type { DpPacket } from './dp-packet.ts';
import { macHeaderBytes } from './dp-packet.ts';
import { ETH_P_IP, ETH_P_IPV6, FlowKey } from './flow-key.ts';
import type { Flow } from './flow-table.ts';
import { setField } from './field-edit.ts';
import {
  addMpls,
  isStale,
  popEth,
  popMpls,
  popVlan,
  pushEth,
  pushMpls,
  pushVlan,
  refreshKey,
} from './header-edit.ts';
import { decreaseTtl } from '../ip/checksum.ts';

/** OVS_RECURSION_LIMIT. */
const RECURSION_LIMIT = 5;
/** OVS_DEFERRED_ACTION_THRESHOLD: spare keys, and so levels that run at once. */
const SPARE_KEYS = RECURSION_LIMIT - 2;
/** DEFERRED_ACTION_FIFO_SIZE less the place that is never used. */
const DEFERRED_MAX = 9;
const ALWAYS = 0xffffffff;

/** What the executor needs of the datapath around it. */
export interface ActionHost {
  /** The flow of a packet and its actions, or an upcall (ovs_dp_process_packet). Takes the packet. */
  process(packet: DpPacket, key: FlowKey): void;
  /** Sends a packet out of a port. Takes the packet. */
  output(packet: DpPacket, port: number, key: FlowKey): void;
  /** Tells userspace; the packet stays the caller's. */
  upcallAction(packet: DpPacket, key: FlowKey, action: UserspaceAction, flow: Flow): void;
  /** Connection tracking: 0, −EINPROGRESS when the packet was kept, −errno when it was dropped. */
  track(packet: DpPacket, key: FlowKey, action: CtAction): number;
  clearTracking(packet: DpPacket, key: FlowKey): void;
  /** True when a meter's band says to drop the packet. */
  meterDrops(packet: DpPacket, id: number): boolean;
  /** Hash of the packet for the hash action. */
  hash(packet: DpPacket, key: FlowKey, basis: number): number;
  copy(packet: DpPacket): DpPacket | null;
  /** Ends a packet; `dropped` false where the actions asked for no more than that. */
  end(packet: DpPacket, why: 'consumed' | 'actions' | 'deferred' | 'recursion' | 'meter'): void;
  random32(): number;
}

interface Deferred {
  readonly packet: DpPacket;
  readonly key: FlowKey;
  /** null: a recirculation. */
  readonly actions: readonly Action[] | null;
  readonly flow: Flow;
}

export class Executor {
  /** Packets lost because the queue of deferred actions was full. */
  deferredLost = 0;
  /** Packets dropped above the recursion limit. */
  recursionDrops = 0;
  private readonly host: ActionHost;
  private level = 0;
  private readonly spare: FlowKey[] = [];
  private deferred: Deferred[] = [];

  constructor(host: ActionHost) {
    this.host = host;
    for (let i = 0; i < SPARE_KEYS; i++) this.spare.push(new FlowKey());
  }

  /** ovs_execute_actions: the actions of a flow on a packet. Takes the packet. */
  execute(packet: DpPacket, key: FlowKey, flow: Flow): number {
    this.level++;
    let error = 0;
    if (this.level > RECURSION_LIMIT) {
      this.recursionDrops++;
      this.host.end(packet, 'recursion');
      error = -ENETDOWN;
    } else {
      error = this.run(packet, key, flow.actions, flow);
      if (this.level === 1) this.drain();
    }
    this.level--;
    return error;
  }

  /** do_execute_actions. Takes the packet; −errno when an action failed and ended it. */
  private run(packet: DpPacket, key: FlowKey, actions: readonly Action[], flow: Flow): number {
    const { host } = this;
    for (let i = 0; i < actions.length; i++) {
      const action = actions[i];
      const isLast = i === actions.length - 1;
      switch (action.kind) {
        case 'output': {
          const sent = isLast ? packet : host.copy(packet);
          if (sent !== null) host.output(sent, action.port, key);
          if (isLast) return 0;
          packet.cutlen = 0;
          break;
        }
        case 'userspace':
          host.upcallAction(packet, key, action, flow);
          packet.cutlen = 0;
          break;
        case 'recirc':
        case 'sample':
        case 'clone':
        case 'check_pkt_len': {
          const error = this.branch(packet, key, action, isLast, flow);
          if (isLast) return error;
          break;
        }
        case 'ct': {
          if (isStale(key)) refreshKey(key, packet);
          const error = host.track(packet, key, action);
          if (error !== 0) return error === -EINPROGRESS ? 0 : error;
          break;
        }
        case 'meter':
          if (!host.meterDrops(packet, action.id)) break;
          host.end(packet, 'meter');
          return 0;
        case 'dec_ttl':
          if (decreaseTtlOf(packet, key) !== -EHOSTUNREACH) break;
          return this.exceeded(packet, key, action.exceeded, flow);
        default:
          if (this.edit(packet, key, action) === 0) break;
          host.end(packet, 'actions');
          return -EINVAL;
      }
    }
    host.end(packet, 'consumed');
    return 0;
  }

  /** Actions that change the packet in place. */
  private edit(packet: DpPacket, key: FlowKey, action: Action): number {
    switch (action.kind) {
      case 'trunc':
        if (packet.skb.lenBytes > action.maxBytes)
          packet.cutlen = packet.skb.lenBytes - action.maxBytes;
        return 0;
      case 'set':
        setField(packet, key, action);
        return 0;
      case 'set_tunnel':
        packet.skb.dst = null;
        packet.skb.tunnelInfo = action.info;
        return 0;
      case 'push_vlan':
        pushVlan(packet, key, action.tpid, action.tci);
        return 0;
      case 'pop_vlan':
        popVlan(packet, key);
        return 0;
      case 'push_mpls':
        pushMpls(packet, key, action.lse, action.ethType);
        return 0;
      case 'add_mpls':
        addMpls(packet, key, action.lse, action.ethType);
        return 0;
      case 'pop_mpls':
        popMpls(packet, key, action.ethType);
        return 0;
      case 'push_eth':
        pushEth(packet, key, action.src, action.dst);
        return 0;
      case 'pop_eth':
        popEth(packet, key);
        return 0;
      case 'hash':
        key.dpHash = this.host.hash(packet, key, action.basis);
        return 0;
      case 'ct_clear':
        this.host.clearTracking(packet, key);
        return 0;
      default:
        return -EINVAL;
    }
  }

  private branch(
    packet: DpPacket,
    key: FlowKey,
    action: Extract<Action, { kind: 'recirc' | 'sample' | 'clone' | 'check_pkt_len' }>,
    isLast: boolean,
    flow: Flow,
  ): number {
    switch (action.kind) {
      case 'recirc':
        if (isStale(key)) refreshKey(key, packet);
        return this.cloneExecute(packet, key, action.id, null, isLast, true, flow);
      case 'check_pkt_len': {
        const isGreater = lengthOf(packet, key) > action.lenBytes;
        const actions = isGreater ? action.greater : action.lessEqual;
        const shares = sharesKey(action, isGreater);
        return this.cloneExecute(packet, key, 0, actions, isLast, !shares, flow);
      }
      default: {
        const { probability } = action;
        const isTaken =
          probability === ALWAYS || (probability > 0 && this.host.random32() <= probability);
        if (!isTaken) {
          if (isLast) this.host.end(packet, 'consumed');
          return 0;
        }
        return this.cloneExecute(packet, key, 0, action.actions, isLast, !action.sharesKey, flow);
      }
    }
  }

  /** clone_execute: now, with a key of its own where one is free, or later. `actions` null: a recirculation to `recircId`. */
  private cloneExecute(
    packet: DpPacket,
    key: FlowKey,
    recircId: number,
    actions: readonly Action[] | null,
    isLast: boolean,
    clonesKey: boolean,
    flow: Flow,
  ): number {
    const copy = isLast ? packet : this.host.copy(packet);
    if (copy === null) return 0;
    if (!clonesKey || this.level <= SPARE_KEYS) {
      let own = key;
      if (clonesKey) {
        own = this.spare[this.level - 1];
        own.copy(key);
      }
      if (actions === null) {
        own.recircId = recircId;
        this.host.process(copy, own);
        return 0;
      }
      if (clonesKey) this.level++;
      const error = this.run(copy, own, actions, flow);
      if (clonesKey) this.level--;
      return error;
    }
    if (this.deferred.length >= DEFERRED_MAX) {
      this.deferredLost++;
      this.host.end(copy, 'deferred');
      return 0;
    }
    const later = new FlowKey();
    later.copy(key);
    if (actions === null) later.recircId = recircId;
    this.deferred.push({ packet: copy, key: later, actions, flow });
    return 0;
  }

  /** process_deferred_actions: what is added meanwhile comes at the end, and counts towards the places. */
  private drain(): void {
    for (let i = 0; i < this.deferred.length; i++) {
      const { packet, key, actions, flow } = this.deferred[i];
      if (actions === null) this.host.process(packet, key);
      else this.run(packet, key, actions, flow);
    }
    this.deferred = [];
  }

  /** dec_ttl_exception_handler. */
  private exceeded(packet: DpPacket, key: FlowKey, actions: readonly Action[], flow: Flow): number {
    if (actions.length > 0) return this.cloneExecute(packet, key, 0, actions, true, false, flow);
    this.host.end(packet, 'consumed');
    return 0;
  }
}

function sharesKey(action: CheckPktLenAction, isGreater: boolean): boolean {
  return isGreater ? action.greaterSharesKey : action.lessEqualSharesKey;
}

/** What check_pkt_len compares: without a tag that stands beside the frame; of a reassembled packet its largest fragment. */
function lengthOf(packet: DpPacket, key: FlowKey): number {
  return packet.mru > 0 ? packet.mru + macHeaderBytes(key) : packet.skb.lenBytes;
}

function decreaseTtlOf(packet: DpPacket, key: FlowKey): number {
  const { bytes } = packet.skb;
  const at = packet.networkAt;
  if (packet.protocol === ETH_P_IPV6) {
    if (bytes[at + 7] <= 1) return -EHOSTUNREACH;
    bytes[at + 7]--;
    key.ipTtl = bytes[at + 7];
  } else if (packet.protocol === ETH_P_IP) {
    if (bytes[at + 8] <= 1) return -EHOSTUNREACH;
    decreaseTtl(bytes, at);
    key.ipTtl = bytes[at + 8];
  }
  return 0;
}
