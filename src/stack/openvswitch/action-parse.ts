// Actions out of their attributes, with the checks that the kernel makes when a flow is installed (net/openvswitch/flow_netlink.c,
// __ovs_nla_copy_actions; spec A.7). What may follow depends on what came before: the validator follows Ethernet type, tag, MAC header and
// number of labels through the list.
//
// Left out: NSH (EOPNOTSUPP would hide that the kernel knows it: EINVAL, as for an unknown action).

import { EINVAL, EMSGSIZE, EOVERFLOW } from '../../../driver/errno.ts';
import type { Action, NestedAction } from './action.ts';
import { readCtAction } from './ct-action.ts';
import type { FlowKey } from './flow-key.ts';
import { ETH_P_ARP, ETH_P_IP, ETH_P_IPV6, ETH_P_RARP } from './flow-key.ts';
import { isMplsType, isVlanType, MAC_PROTO_ETHERNET, MAC_PROTO_NONE } from './flow-key.ts';
import { VLAN_TAG_PRESENT } from './flow-key.ts';
import { readAttrs, readBe16, readBe32, readU16, readU32 } from './nlattr.ts';
import type { NlAttr } from './nlattr.ts';
import { readSetAction } from './set-parse.ts';
import {
  ACT,
  CHECK_PKT_LEN,
  DP_MAX_PORTS,
  MPLS_L3_TUNNEL_FLAG,
  SAMPLE,
  USERSPACE,
} from './uapi.ts';

/** MAX_ACTIONS_BUFSIZE. */
const MAX_ACTIONS_BYTES = 32 * 1024;
/** OVS_COPY_ACTIONS_MAX_DEPTH. */
const MAX_DEPTH = 16;
const ETH_HEADER_BYTES = 14;

/** Thrown inside; the number is what the kernel answers. */
class Refused extends Error {
  readonly error: number;
  constructor(error: number) {
    super(`refused: ${error}`);
    this.error = error;
  }
}

/** What the validator knows of the packet at a place of the list. */
interface State {
  ethType: number;
  vlanTci: number;
  mplsCount: number;
  macProto: number;
}

/** The actions in `attrs` for packets that match `key`; −errno where the kernel refuses. */
export function readActions(attrs: Uint8Array, key: FlowKey): Action[] | number {
  if (attrs.length > MAX_ACTIONS_BYTES) return -EMSGSIZE;
  const state: State = {
    ethType: key.ethType,
    vlanTci: key.vlanTci,
    mplsCount: isMplsType(key.ethType) ? key.mplsCount : 0,
    macProto: key.macProto,
  };
  try {
    return new Parser(key).list(attrs, state, 0);
  } catch (problem) {
    if (problem instanceof Refused) return problem.error;
    throw problem;
  }
}

function check(condition: boolean, error: number = EINVAL): asserts condition {
  if (!condition) throw new Refused(-error);
}

function attrsOf(bytes: Uint8Array): NlAttr[] {
  const attrs = readAttrs(bytes);
  check(attrs !== null);
  return attrs;
}

class Parser {
  private readonly key: FlowKey;

  constructor(key: FlowKey) {
    this.key = key;
  }

  list(bytes: Uint8Array, state: State, depth: number): Action[] {
    check(depth <= MAX_DEPTH, EOVERFLOW);
    const attrs = attrsOf(bytes);
    return attrs.map((attr, i) => this.action(attr, state, i === attrs.length - 1, depth));
  }

  private action({ type, value }: NlAttr, state: State, isLast: boolean, depth: number): Action {
    const size = FIXED_BYTES[type];
    check(size !== undefined && (size < 0 || size === value.length));
    switch (type) {
      case ACT.OUTPUT: {
        const port = readU32(value);
        check(port < DP_MAX_PORTS);
        return { kind: 'output', port };
      }
      case ACT.TRUNC:
        check(readU32(value) >= ETH_HEADER_BYTES);
        return { kind: 'trunc', maxBytes: readU32(value) };
      case ACT.USERSPACE:
        return userspace(value);
      case ACT.SET:
      case ACT.SET_MASKED: {
        const set = readSetAction(value, type === ACT.SET_MASKED, this.key, state);
        if (typeof set === 'number') throw new Refused(set);
        return set;
      }
      case ACT.RECIRC:
        return { kind: 'recirc', id: readU32(value) };
      case ACT.HASH:
        check(readU32(value) === 0);
        return { kind: 'hash', basis: readU32(value, 4) };
      case ACT.METER:
        return { kind: 'meter', id: readU32(value) };
      case ACT.CT: {
        const ct = readCtAction(value, state.ethType);
        if (typeof ct === 'number') throw new Refused(ct);
        return ct;
      }
      case ACT.CT_CLEAR:
        return { kind: 'ct_clear' };
      case ACT.SAMPLE:
        return this.sample(value, state, isLast, depth);
      case ACT.CLONE: {
        const actions = this.list(value, { ...state }, depth + 1);
        const sharesKey = isLast || keepsKey(actions);
        return { kind: 'clone', probability: 0xffffffff, actions, sharesKey };
      }
      case ACT.CHECK_PKT_LEN:
        return this.checkPktLen(value, state, isLast, depth);
      case ACT.DEC_TTL:
        return { kind: 'dec_ttl', exceeded: this.decTtl(value, state, depth) };
      default:
        return header(type, value, state);
    }
  }

  private sample(value: Uint8Array, state: State, isLast: boolean, depth: number): NestedAction {
    const found = byType(value, SAMPLE.ACTIONS);
    const probability = found.get(SAMPLE.PROBABILITY);
    const inside = found.get(SAMPLE.ACTIONS);
    check(probability?.length === 4 && inside !== undefined);
    const actions = this.list(inside, { ...state }, depth + 1);
    const sharesKey = isLast || keepsKey(actions);
    return { kind: 'sample', probability: readU32(probability), actions, sharesKey };
  }

  private checkPktLen(value: Uint8Array, state: State, isLast: boolean, depth: number): Action {
    const found = byType(value, CHECK_PKT_LEN.IF_LESS_EQUAL);
    const size = found.get(CHECK_PKT_LEN.PKT_LEN);
    const ifGreater = found.get(CHECK_PKT_LEN.IF_GREATER);
    const ifLessEqual = found.get(CHECK_PKT_LEN.IF_LESS_EQUAL);
    check(size?.length === 2 && readU16(size) > 0);
    check(ifGreater !== undefined && ifLessEqual !== undefined);
    const lessEqual = this.list(ifLessEqual, { ...state }, depth + 1);
    const greater = this.list(ifGreater, { ...state }, depth + 1);
    return {
      kind: 'check_pkt_len',
      lenBytes: readU16(size),
      greater,
      lessEqual,
      greaterSharesKey: isLast || keepsKey(greater),
      lessEqualSharesKey: isLast || keepsKey(lessEqual),
    };
  }

  private decTtl(value: Uint8Array, state: State, depth: number): Action[] {
    const [inside] = attrsOf(value);
    if (inside === undefined) return [];
    check(inside.type === 1);
    return this.list(inside.value, { ...state }, depth + 1);
  }
}

/** Payload of each action's attribute; −1: nested or of several lengths. */
const FIXED_BYTES: Readonly<Record<number, number>> = {
  [ACT.OUTPUT]: 4,
  [ACT.USERSPACE]: -1,
  [ACT.SET]: -1,
  [ACT.PUSH_VLAN]: 4,
  [ACT.POP_VLAN]: 0,
  [ACT.SAMPLE]: -1,
  [ACT.RECIRC]: 4,
  [ACT.HASH]: 8,
  [ACT.PUSH_MPLS]: 8,
  [ACT.POP_MPLS]: 2,
  [ACT.SET_MASKED]: -1,
  [ACT.CT]: -1,
  [ACT.TRUNC]: 4,
  [ACT.PUSH_ETH]: 12,
  [ACT.POP_ETH]: 0,
  [ACT.CT_CLEAR]: 0,
  [ACT.METER]: 4,
  [ACT.CLONE]: -1,
  [ACT.CHECK_PKT_LEN]: -1,
  [ACT.ADD_MPLS]: 8,
  [ACT.DEC_TTL]: -1,
};

/** Actions that add or remove headers: they change what the rest of the list may do. */
function header(type: number, value: Uint8Array, state: State): Action {
  const isTagged = (state.vlanTci & VLAN_TAG_PRESENT) !== 0;
  switch (type) {
    case ACT.PUSH_VLAN: {
      const [tpid, tci] = [readBe16(value), readBe16(value, 2)];
      check(state.macProto === MAC_PROTO_ETHERNET);
      check(isVlanType(tpid) && (tci & VLAN_TAG_PRESENT) !== 0);
      state.vlanTci = tci;
      return { kind: 'push_vlan', tpid, tci };
    }
    case ACT.POP_VLAN:
      check(state.macProto === MAC_PROTO_ETHERNET);
      state.vlanTci = 0;
      return { kind: 'pop_vlan' };
    case ACT.PUSH_MPLS: {
      const [lse, ethType] = [readBe32(value), readBe16(value, 4)];
      check(isMplsType(ethType) && !isTagged && mayCarryLabel(state.ethType));
      state.ethType = ethType;
      state.mplsCount++;
      return { kind: 'push_mpls', lse, ethType };
    }
    case ACT.ADD_MPLS: {
      const [lse, ethType] = [readBe32(value), readBe16(value, 4)];
      check(isMplsType(ethType));
      const isLayer3 = (readU16(value, 6) & MPLS_L3_TUNNEL_FLAG) !== 0;
      if (isLayer3) check(!isTagged && mayCarryLabel(state.ethType));
      else {
        check(state.macProto === MAC_PROTO_ETHERNET);
        state.macProto = MAC_PROTO_NONE;
      }
      state.ethType = ethType;
      state.mplsCount++;
      return { kind: isLayer3 ? 'push_mpls' : 'add_mpls', lse, ethType };
    }
    case ACT.POP_MPLS: {
      check(!isTagged && isMplsType(state.ethType));
      const ethType = readBe16(value);
      state.mplsCount--;
      // What is behind the last label is not known.
      state.ethType = isMplsType(ethType) && state.mplsCount > 0 ? ethType : 0;
      return { kind: 'pop_mpls', ethType };
    }
    case ACT.PUSH_ETH:
      check(state.macProto === MAC_PROTO_NONE);
      state.macProto = MAC_PROTO_ETHERNET;
      return { kind: 'push_eth', src: value.slice(0, 6), dst: value.slice(6, 12) };
    case ACT.POP_ETH:
      check(state.macProto === MAC_PROTO_ETHERNET && !isTagged);
      state.macProto = MAC_PROTO_NONE;
      return { kind: 'pop_eth' };
  }
  throw new Refused(-EINVAL);
}

function mayCarryLabel(ethType: number): boolean {
  return [ETH_P_IP, ETH_P_IPV6, ETH_P_ARP, ETH_P_RARP].includes(ethType) || isMplsType(ethType);
}

function byType(value: Uint8Array, highest: number): Map<number, Uint8Array> {
  const found = new Map<number, Uint8Array>();
  for (const attr of attrsOf(value)) {
    check(attr.type >= 1 && attr.type <= highest && !found.has(attr.type));
    found.set(attr.type, attr.value);
  }
  return found;
}

function userspace(value: Uint8Array): Action {
  const found = byType(value, USERSPACE.ACTIONS);
  const pid = found.get(USERSPACE.PID);
  const port = found.get(USERSPACE.EGRESS_TUN_PORT);
  check(pid?.length === 4 && readU32(pid) !== 0);
  check(port === undefined || port.length === 4);
  return {
    kind: 'userspace',
    pid: readU32(pid),
    userdata: found.get(USERSPACE.USERDATA)?.slice() ?? null,
    withActions: found.has(USERSPACE.ACTIONS),
    egressTunPort: port === undefined ? -1 : readU32(port),
  };
}

/** Lists of these leave the key as it is. */
function keepsKey(actions: readonly Action[]): boolean {
  return actions.every(({ kind }) => ['output', 'recirc', 'trunc', 'userspace'].includes(kind));
}
