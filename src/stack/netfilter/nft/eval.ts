// Runs a base chain on a packet: one loop over the program's words, no allocation, no closures.

import { IFF_LOOPBACK, IFF_NOARP } from '../../../../driver/netdev.ts';
import type { NetDevice } from '../../../../driver/netdev.ts';
import type { SkBuff } from '../../../../driver/skb.ts';
import type { Conntrack } from '../conntrack/conntrack.ts';
import { IP_CT_UNTRACKED } from '../conntrack/ctinfo.ts';
import { EVENT_MARK } from '../conntrack/events.ts';
import { PacketView } from '../conntrack/packet.ts';
import { C_MARK, ROW_WORDS } from '../conntrack/table.ts';
import type { Connection } from '../conntrack/table.ts';
import { NFT_CHAIN_PS, NFT_EXPR_PS } from '../costs.ts';
import { NF_DROP } from '../hooks.ts';
import type { HookState } from '../hooks.ts';
import type { StackPort } from '../stack-port.ts';
import { loadInt32 } from '../../ip/address.ts';
import { TRACE_RULE } from '../trace-steps.ts';
import { labelsMatch } from './ct-label.ts';
import { connectionOf, ctAddress6, ctAmount, ctNumber, ctState } from './ct-load.ts';
import { setConntrack } from './ct-set.ts';
import * as fields from './fields.ts';
import { runStatements } from './element-statements.ts';
import { MAX_KEY_WORDS, writeName } from './key-words.ts';
import { limitMatches } from './limit.ts';
import * as op from './program.ts';
import { quotaMatches } from './quota.ts';
import type { Program } from './program.ts';

const AF_INET6 = 10;
/** Jumps deeper than this cannot be loaded (NFT_JUMP_STACK_SIZE). */
const MAX_DEPTH = 16;

/** ARPHRD_* of a device, as `meta iiftype` gives it. */
function hardwareType(dev: NetDevice): number {
  if ((dev.flags & IFF_LOOPBACK) !== 0) return ARPHRD_LOOPBACK;
  return (dev.flags & IFF_NOARP) !== 0 ? ARPHRD_NONE : ARPHRD_ETHER;
}

const ARPHRD_ETHER = 1;
const ARPHRD_LOOPBACK = 772;
/** A tun device: packets without a link header. */
const ARPHRD_NONE = 0xfffe;

/** Words of the instructions that may end their rule, 0 for the others. */
const OP_LENGTHS = new Uint8Array(64);
OP_LENGTHS[op.OP_L4PROTO] = OP_LENGTHS[op.OP_FAMILY] = 2;
OP_LENGTHS[op.OP_NETWORK] = OP_LENGTHS[op.OP_TRANSPORT] = 5;
OP_LENGTHS[op.OP_META] = OP_LENGTHS[op.OP_CT] = OP_LENGTHS[op.OP_AND] = 2;
OP_LENGTHS[op.OP_TEST] = OP_LENGTHS[op.OP_ADDRESS6] = OP_LENGTHS[op.OP_IFNAME] = 4;
OP_LENGTHS[op.OP_SET] = OP_LENGTHS[op.OP_FIND] = 3;
OP_LENGTHS[op.OP_KEY] = OP_LENGTHS[op.OP_UPDATE] = OP_LENGTHS[op.OP_QUOTA] = 2;
OP_LENGTHS[op.OP_KEY6] = OP_LENGTHS[op.OP_KEYNAME] = 3;
OP_LENGTHS[op.OP_CTAMOUNT] = OP_LENGTHS[op.OP_CTADDRESS6] = 4;
OP_LENGTHS[op.OP_CTHELPER] = 3;
OP_LENGTHS[op.OP_CTLABEL] = 2;
OP_LENGTHS[op.OP_FLOW] = OP_LENGTHS[op.OP_MAPVALUE] = OP_LENGTHS[op.OP_LIMIT] = 2;

export class Evaluator {
  program: Program;

  private readonly stack: StackPort;
  private readonly ct: Conntrack;
  private readonly view = new PacketView();
  private readonly returns = new Int32Array(MAX_DEPTH);
  private located = false;
  private hasTransport = false;
  private register = 0;
  /** Of the key sets: what the KEY instructions have put together. */
  private readonly key = new Int32Array(MAX_KEY_WORDS);
  private readonly address = new Uint8Array(16);
  /** Number of the element that the last set instruction found, −1 for none. */
  private found = -1;

  constructor(stack: StackPort, ct: Conntrack, program: Program) {
    this.stack = stack;
    this.ct = ct;
    this.program = program;
  }

  /** Verdict of the base chain at `entry`: NF_ACCEPT, NF_DROP or NF_STOLEN. */
  run(entry: number, policy: number, skb: SkBuff, state: HookState): number {
    const { program } = this;
    const { code } = program;
    this.located = false;
    let pc = entry;
    let next = entry;
    let depth = 0;
    let steps = 0;
    for (;;) {
      steps++;
      const opcode = code[pc];
      const length = OP_LENGTHS[opcode];
      if (length > 0) {
        pc = this.matches(opcode, code, pc, skb, state) ? pc + length : next;
        continue;
      }
      switch (opcode) {
        case op.OP_RULE:
          next = code[pc + 1];
          pc += 3;
          break;
        case op.OP_VMAP:
          pc = program.verdictMaps[code[pc + 1]][this.found];
          break;
        case op.OP_END:
        case op.OP_RETURN:
          if (depth === 0) return this.done(policy, steps);
          // The caller's rule is over when its jump returns: `returns` has the rule after it.
          next = pc = this.returns[--depth];
          break;
        case op.OP_COUNT: {
          const values = program.counters[code[pc + 1]];
          values[0]++;
          values[1] += skb.lenBytes;
          pc += 2;
          break;
        }
        case op.OP_VERDICT:
          if (this.stack.trace !== null) this.traceRule(skb, next);
          return this.done(code[pc + 1], steps);
        case op.OP_JUMP:
          if (depth < MAX_DEPTH) this.returns[depth++] = next;
          next = pc = code[pc + 1];
          break;
        case op.OP_GOTO:
          next = pc = code[pc + 1];
          break;
        case op.OP_NAT: {
          const nat = program.nats[code[pc + 1]];
          if (nat.family === 0 || nat.family === state.family) {
            const range = nat.ranges[code[pc + 2] === 0 ? 0 : this.found];
            return this.done(nat.apply(skb, state, range), steps);
          }
          pc += 3;
          break;
        }
        case op.OP_REJECT:
          this.reject(code, pc, skb, state);
          return this.done(NF_DROP, steps);
        default:
          pc = this.modify(code, pc, skb);
      }
    }
  }

  /** An instruction that may end its rule. */
  private matches(
    opcode: number,
    code: Int32Array,
    pc: number,
    skb: SkBuff,
    state: HookState,
  ): boolean {
    const { program } = this;
    switch (opcode) {
      case op.OP_L4PROTO:
        return this.locate(skb, state) && this.view.protocol === code[pc + 1];
      case op.OP_FAMILY:
        return state.family === code[pc + 1];
      case op.OP_NETWORK:
        return this.load(skb, skb.networkAt, skb.networkAt + skb.lenBytes, code, pc);
      case op.OP_TRANSPORT: {
        const { view } = this;
        if (!this.locate(skb, state)) return false;
        return this.load(skb, view.l4At, view.l4At + view.l4Bytes, code, pc);
      }
      case op.OP_META:
        return this.meta(code[pc + 1], skb, state);
      case op.OP_CT:
        return this.conntrack(code[pc + 1], skb);
      case op.OP_AND:
        this.register &= code[pc + 1];
        return true;
      case op.OP_TEST:
        return test(code[pc + 1], this.register, code[pc + 2], code[pc + 3]);
      case op.OP_SET: {
        this.found = findNumber(program.numberSets[code[pc + 1]], this.register >>> 0);
        return this.found >= 0 !== (code[pc + 2] !== 0);
      }
      case op.OP_ADDRESS6: {
        const set = program.addressSets[code[pc + 2]];
        this.found = findAddress(set, skb.bytes, skb.networkAt + code[pc + 1]);
        return this.found >= 0 !== (code[pc + 3] !== 0);
      }
      case op.OP_IFNAME: {
        const dev = code[pc + 1] === 0 ? state.inDev : state.outDev;
        if (dev === null) return false;
        this.found = program.nameSets[code[pc + 2]].find(dev.ifindex, dev.name);
        return this.found >= 0 !== (code[pc + 3] !== 0);
      }
      case op.OP_MAPVALUE:
        this.register = program.valueMaps[code[pc + 1]][this.found];
        return true;
      case op.OP_LIMIT: {
        const { nowPs } = this.stack.scheduler;
        return limitMatches(program.limits[code[pc + 1]], skb.lenBytes, nowPs);
      }
      case op.OP_QUOTA:
        return quotaMatches(program.quotas[code[pc + 1]], skb.lenBytes);
      case op.OP_FLOW:
        return program.flowtables[code[pc + 1]].add(skb, state);
      default:
        if (opcode >= op.OP_CTAMOUNT) return this.connectionHas(opcode, code, pc, skb);
        return this.keyed(opcode, code, pc, skb, state);
    }
  }

  /** An instruction about the key of a key set. */
  private keyed(
    opcode: number,
    code: Int32Array,
    pc: number,
    skb: SkBuff,
    state: HookState,
  ): boolean {
    const { key } = this;
    switch (opcode) {
      case op.OP_KEY:
        key[code[pc + 1]] = this.register;
        return true;
      case op.OP_KEY6: {
        const from = skb.networkAt + code[pc + 1];
        for (let i = 0; i < 4; i++) key[code[pc + 2] + i] = loadInt32(skb.bytes, from + 4 * i);
        return true;
      }
      case op.OP_KEYNAME: {
        const dev = code[pc + 1] === 0 ? state.inDev : state.outDev;
        if (dev === null) return false;
        writeName(dev.name, key, code[pc + 2], 0);
        return true;
      }
      case op.OP_UPDATE: {
        const updater = this.program.updaters[code[pc + 1]];
        return updater.run(key, skb.lenBytes, this.stack.scheduler.nowPs);
      }
      default: {
        const set = this.program.keySets[code[pc + 1]];
        const { nowPs } = this.stack.scheduler;
        this.found = set.find(key, nowPs);
        if (this.found >= 0 !== (code[pc + 2] !== 0)) {
          const own = this.found < 0 ? null : set.statements[this.found];
          return own === null || own.length === 0 || runStatements(own, skb.lenBytes, nowPs);
        }
        return false;
      }
    }
  }

  private done(verdict: number, steps: number): number {
    this.stack.kernel.charge(NFT_CHAIN_PS + steps * NFT_EXPR_PS);
    return verdict;
  }

  private locate(skb: SkBuff, state: HookState): boolean {
    if (this.located) return this.hasTransport;
    this.located = true;
    this.hasTransport =
      state.family !== 0 && this.view.locate(skb.bytes, skb.networkAt, skb.lenBytes, state.family);
    return this.hasTransport;
  }

  /** Header field to the register; false when the packet ends before it. */
  private load(skb: SkBuff, from: number, end: number, code: Int32Array, pc: number): boolean {
    const { bytes } = skb;
    const at = from + code[pc + 1];
    const count = code[pc + 2];
    if (at + count > end) return false;
    let value = 0;
    for (let i = 0; i < count; i++) value = (value << 8) | bytes[at + i];
    this.register = (value >>> code[pc + 3]) & code[pc + 4];
    return true;
  }

  private meta(key: number, skb: SkBuff, state: HookState): boolean {
    switch (key) {
      case fields.META_L4PROTO:
        if (!this.locate(skb, state)) return false;
        this.register = this.view.protocol;
        return true;
      case fields.META_NFPROTO:
        this.register = state.family;
        return true;
      case fields.META_PROTOCOL:
        this.register = skb.protocol;
        return true;
      case fields.META_IIF:
        this.register = state.inDev === null ? 0 : state.inDev.ifindex;
        return state.inDev !== null;
      case fields.META_OIF:
        this.register = state.outDev === null ? 0 : state.outDev.ifindex;
        return state.outDev !== null;
      case fields.META_MARK:
        this.register = skb.mark | 0;
        return true;
      case fields.META_LENGTH:
        this.register = skb.lenBytes;
        return true;
      case fields.META_PKTTYPE:
        this.register = skb.pktType;
        return true;
      case fields.META_CPU:
        this.register = this.stack.kernel.current?.index ?? 0;
        return true;
      default:
        return this.deviceKey(key, state);
    }
  }

  /** Type or group of the device; every device is in group 0. */
  private deviceKey(key: number, state: HookState): boolean {
    const isIn = key === fields.META_IIFTYPE || key === fields.META_IIFGROUP;
    const dev = isIn ? state.inDev : state.outDev;
    if (dev === null) return false;
    const isType = key === fields.META_IIFTYPE || key === fields.META_OIFTYPE;
    this.register = isType ? hardwareType(dev) : 0;
    return true;
  }

  private conntrack(key: number, skb: SkBuff): boolean {
    if (key === fields.CT_STATE) {
      this.register = ctState(skb);
      return true;
    }
    const conn = connectionOf(skb);
    if (conn === null) return false;
    this.register = ctNumber(this.ct, conn, key, skb) | 0;
    return true;
  }

  /** What of a connection does not fit the register: amounts, IPv6 addresses, the helper, labels. */
  private connectionHas(opcode: number, code: Int32Array, pc: number, skb: SkBuff): boolean {
    const { program, ct } = this;
    const conn = connectionOf(skb);
    if (conn === null) return false;
    const own = ct.extensions.get(conn.id);
    if (opcode === op.OP_CTLABEL)
      return labelsMatch(program.labels[code[pc + 1]], own === null ? null : own.labels);
    if (opcode === op.OP_CTHELPER) {
      if (own === null || own.helper === null) return false;
      const isIn = program.helperNames[code[pc + 1]].includes(own.helper.name);
      return isIn !== (code[pc + 2] !== 0);
    }
    if (opcode === op.OP_CTAMOUNT)
      this.found = findNumber(program.numberSets[code[pc + 2]], ctAmount(ct, conn, code[pc + 1]));
    else {
      ctAddress6(ct, conn, code[pc + 1], this.address);
      this.found = findAddress(program.addressSets[code[pc + 2]], this.address, 0);
    }
    return this.found >= 0 !== (code[pc + 3] !== 0);
  }

  /** CTSET, SETMARK, NOTRACK; the address of the next instruction. */
  private modify(code: Int32Array, pc: number, skb: SkBuff): number {
    if (code[pc] === op.OP_CTSET) {
      const helper = code[pc + 1] === 1 ? this.program.helpers[code[pc + 3]] : null;
      setConntrack(this.ct, skb, code[pc + 1], code[pc + 2], code[pc + 3], helper);
      return pc + 4;
    }
    if (code[pc] === op.OP_NOTRACK) {
      if (skb.nfct === null) skb.ctinfo = IP_CT_UNTRACKED;
      return pc + 1;
    }
    const conn = skb.nfct as Connection | null;
    const row = conn === null || conn.id < 0 ? -1 : conn.id * ROW_WORDS + C_MARK;
    let value = 0;
    if (code[pc + 2] === 3) value = this.register;
    else if (code[pc + 2] === 1) value = skb.mark;
    else if (code[pc + 2] === 2 && row >= 0) value = this.ct.table.words[row];
    value = (value & code[pc + 3]) ^ code[pc + 4];
    if (code[pc + 1] === 0) skb.mark = value >>> 0;
    else if (row >= 0) this.setMark(row, value);
    return pc + 5;
  }

  private setMark(at: number, value: number): void {
    const { words } = this.ct.table;
    if (words[at] === value) return;
    words[at] = value;
    if (this.ct.events.isOn) this.ct.events.note((at - C_MARK) / ROW_WORDS, EVENT_MARK);
  }

  private reject(code: Int32Array, pc: number, skb: SkBuff, state: HookState): void {
    const { icmp } = this.stack;
    if (code[pc + 1] < 0) this.stack.answerReset(skb, state.family);
    else if (state.family === AF_INET6) icmp.sendError6(skb, code[pc + 3], code[pc + 4], 0);
    else icmp.sendError4(skb, code[pc + 1], code[pc + 2], 0);
  }

  private traceRule(skb: SkBuff, next: number): void {
    let start = 0;
    for (const at of this.program.places.keys()) if (this.program.code[at + 1] === next) start = at;
    this.stack.trace?.step(
      skb.packetId,
      this.stack.scheduler.nowPs,
      TRACE_RULE,
      this.program.code[start + 2],
      0,
      0,
      this.program.places.get(start) ?? '',
    );
  }
}

function test(kind: number, value: number, from: number, to: number): boolean {
  switch (kind) {
    case op.TEST_EQ:
      return value === from;
    case op.TEST_NE:
      return value !== from;
    case op.TEST_RANGE:
      return value >>> 0 >= from >>> 0 && value >>> 0 <= to >>> 0;
    case op.TEST_NOT_RANGE:
      return value >>> 0 < from >>> 0 || value >>> 0 > to >>> 0;
    case op.TEST_ANY:
      return (value & from) !== 0;
    default:
      return (value & from) === 0;
  }
}

/** Number of the pair that holds the value, −1 for none. */
function findNumber(set: Float64Array, value: number): number {
  if (set.length <= 16) {
    for (let i = 0; i < set.length; i += 2)
      if (value >= set[i] && value <= set[i + 1]) return i >> 1;
    return -1;
  }
  let low = 0;
  let high = set.length / 2;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (set[2 * middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low > 0 && value <= set[2 * low - 1] ? low - 1 : -1;
}

/** Number of the range that holds the address, −1 for none. */
function findAddress(set: Uint32Array, bytes: Uint8Array, at: number): number {
  for (let e = 0; e < set.length; e += 8)
    if (compareWords(set, e, bytes, at) <= 0 && compareWords(set, e + 4, bytes, at) >= 0)
      return e >> 3;
  return -1;
}

/** Order of the words at `e` against the address. */
function compareWords(set: Uint32Array, e: number, bytes: Uint8Array, at: number): number {
  for (let i = 0; i < 4; i++) {
    const b = at + 4 * i;
    const word =
      ((bytes[b] << 24) | (bytes[b + 1] << 16) | (bytes[b + 2] << 8) | bytes[b + 3]) >>> 0;
    if (set[e + i] !== word) return set[e + i] < word ? -1 : 1;
  }
  return 0;
}
