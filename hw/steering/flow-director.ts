// Flow Director of the 82599 (datasheet 7.1.2.7): a hash table of filters in part of the receive packet buffer.
//
// Perfect mode: a filter holds IPv4 addresses, ports, transport, VLAN and two flexible bytes; the packet's fields and the filter's
// are compared under one global mask (FDIRM and the address and port masks). Signature mode: a filter is its bucket and a 15-bit
// signature, so flows that agree in both share it. Buckets are chains in order of addition; the first match wins. PBALLOC sets
// the size: 2046, 4094 or 8190 perfect filters, or 8, 16 or 32 K signatures (spec/hardware.md 4.1).
//
// Commands (FDIRCMD) are executed one after the other, each in its own time, and change the table when they end; a command that
// cannot be done counts as failed in FDIRFSTAT. Writing FDIRCTRL empties the table and takes INIT_DONE away for a while.
// A filter that is added again (perfect: same bucket and software index; signature: same bucket, signature and flow type) is
// overwritten if FILTER_UPDATE is set; otherwise the addition fails, and in signature mode to another queue it marks a collision.
//
// IPv6 has no perfect filters here. The registers of a filter hold one address of 128 bits (FDIRCMD.IPV6DMATCH says whose), but ixgbe
// and DPDK both mask the destination (FDIRM.DIPV6) and refuse IPv6 in perfect mode, so that nothing tells how the one address is hashed.
// Signatures cover IPv6, under byte masks (FDIRIP6M).
//
// Left out: pools, FDIRSIPV6, the DROP_Q number (DROP drops), aging (there is none).

import {
  K_DPORT,
  K_DST,
  K_FAMILY,
  K_FLAGS,
  K_PROTO,
  K_SPORT,
  K_SRC,
  K_VLAN_COUNT,
  K_VLAN_OUTER,
  PARSE_FRAGMENT,
  PARSE_MALFORMED,
  PARSE_PORTS,
} from '../parse/key-layout.ts';
import { PROTO_SCTP, PROTO_TCP, PROTO_UDP } from '../wire/headers.ts';
import { FLOW_IPV6, FLOW_SCTP, FLOW_TCP, FLOW_UDP, fdirHash } from './fdir-hash.ts';
import * as S from './regs.ts';

/** Words of one filter. */
const F_NEXT = 0;
/** Software index, or signature. */
const F_ID = 1;
/** FDIRCMD as it was added. */
const F_CMD = 2;
const F_SRC = 3;
const F_DST = 4;
const F_PORTS = 5;
/** VLAN tag << 16 | flexible bytes. */
const F_VLAN_FLEX = 6;
const F_CONTEXT = 7;
const FILTER_WORDS = 8;
const FLOW_TYPE_SHIFT = S.FDIRCMD_L4TYPE_SHIFT;
const FLOW_TYPE_MASK = 7;

/** A filter to add, remove or find, and how: the registers when FDIRCMD was written, addresses and so on as numbers. */
export interface FdirCommand {
  cmd: number;
  hash: number;
  src: number;
  dst: number;
  /** Source port << 16 | destination port. */
  ports: number;
  vlan: number;
  /** Flexible bytes, the first on the wire highest. */
  flex: number;
  context: number;
}

/** What is compared and hashed: one bits count. */
export class FdirMask {
  src = 0xffffffff;
  dst = 0xffffffff;
  /** IPv6: source 0 to 3, destination 4 to 7. */
  readonly ipv6 = new Int32Array(8).fill(-1);
  tcpPorts = 0xffffffff;
  udpPorts = 0xffffffff;
  vlan = 0xffff;
  flex = 0xffff;
  l4 = 3;
}

export class FlowDirector {
  readonly mask = new FdirMask();
  bucketKey = 0;
  signatureKey = 0;
  isPerfect = false;
  /** PBALLOC is not 0 and the table is initialised. */
  isOn = false;
  /** Matches report the filter in the descriptor. */
  reportsStatus = false;
  capacity = 0;
  freeCount = 0;
  /** Filters with a collision. */
  collisionCount = 0;
  maxLength = 0;
  flexAt = 0;

  // Read-to-clear registers.
  added = 0;
  removed = 0;
  failedAdds = 0;
  failedRemoves = 0;
  matched = 0;
  missed = 0;
  longestChain = 0;
  longestHash = 0;

  // Out-parameters of `lookup`.
  /** Bucket hash of the packet, 15 bits. */
  hash = 0;
  /** Software index or signature of the filter that matched. */
  id = 0;
  /** The filter that matched lies too far down its chain. */
  isTooLong = false;

  private filters = new Int32Array(0);
  private heads = new Int32Array(0);
  private hashMask = 0;
  private firstFree = -1;
  // The packet at hand, masked.
  private flowType = 0;
  private src = 0;
  private dst = 0;
  private ports = 0;
  private vlanFlex = 0;
  private signature = 0;

  /** FDIRCTRL was written: empties the table and takes its size. */
  configure(ctrl: number): void {
    const pballoc = ctrl & S.FDIRCTRL_PBALLOC_MASK;
    this.isOn = false;
    this.isPerfect = (ctrl & S.FDIRCTRL_PERFECT) !== 0;
    this.reportsStatus = (ctrl & S.FDIRCTRL_REPORT_STATUS) !== 0;
    this.maxLength = (ctrl >>> S.FDIRCTRL_MAX_LENGTH_SHIFT) & 15;
    this.flexAt = 2 * ((ctrl >>> S.FDIRCTRL_FLEX_SHIFT) & 31);
    const buckets = pballoc === 0 ? 0 : (this.isPerfect ? 1024 : 4096) << pballoc;
    // hw 4.1: (1024 << PBALLOC) − 2 perfect filters are usable, or 8, 16, 32 K signatures.
    this.capacity = buckets === 0 ? 0 : this.isPerfect ? buckets - 2 : buckets;
    this.hashMask = buckets - 1;
    this.filters = new Int32Array(this.capacity * FILTER_WORDS);
    this.heads = new Int32Array(buckets);
    this.clear();
  }

  /** Initialisation is over: packets are looked up. */
  start(): void {
    this.isOn = this.capacity > 0;
  }

  /** Empties the table. */
  clear(): void {
    this.heads.fill(-1);
    this.freeCount = this.capacity;
    this.collisionCount = 0;
    for (let i = 0; i < this.capacity; i++)
      this.filters[i * FILTER_WORDS + F_NEXT] = i + 1 < this.capacity ? i + 1 : -1;
    this.firstFree = this.capacity > 0 ? 0 : -1;
  }

  /** Number of the filter that matches a parsed frame, −1 for none; counts. Frames that are no IP are not looked up. */
  lookup(key: Uint32Array, view: DataView, frameAt: number): number {
    if (!this.prepare(key, view, frameAt)) return -1;
    let length = 0;
    let at = this.heads[this.hash & this.hashMask];
    while (at >= 0 && !this.matchesFilter(at)) {
      at = this.filters[at * FILTER_WORDS + F_NEXT];
      length++;
    }
    if (at < 0) {
      this.missed++;
      return -1;
    }
    this.matched++;
    this.id = this.filters[at * FILTER_WORDS + F_ID];
    this.isTooLong = length >= 2 * this.maxLength;
    return at;
  }

  /** Queue, context and the drop bit of a filter. */
  queueOf(filter: number): number {
    const cmd = this.filters[filter * FILTER_WORDS + F_CMD];
    return (cmd >>> S.FDIRCMD_RX_QUEUE_SHIFT) & S.FDIRCMD_RX_QUEUE_MASK;
  }

  contextOf(filter: number): number {
    return this.filters[filter * FILTER_WORDS + F_CONTEXT];
  }

  drops(filter: number): boolean {
    return (this.filters[filter * FILTER_WORDS + F_CMD] & S.FDIRCMD_DROP) !== 0;
  }

  interruptsAtOnce(filter: number): boolean {
    return (this.filters[filter * FILTER_WORDS + F_CMD] & S.FDIRCMD_INT) !== 0;
  }

  collides(filter: number): boolean {
    return (this.filters[filter * FILTER_WORDS + F_CMD] & S.FDIRCMD_COLLISION) !== 0;
  }

  /** Executes a command. Returns the bits that FDIRCMD shows afterwards (FILTER_VALID after a query that found it). */
  execute(command: FdirCommand): number {
    switch (command.cmd & S.FDIRCMD_CMD_MASK) {
      case S.FDIRCMD_ADD:
        if (this.add(command)) this.added++;
        else this.failedAdds++;
        return 0;
      case S.FDIRCMD_REMOVE:
        if (this.remove(command)) this.removed++;
        else this.failedRemoves++;
        return 0;
      default:
        return this.find(command) >= 0 ? S.FDIRCMD_FILTER_VALID : 0;
    }
  }

  /** Links that a command of this hash walks at most: what its time depends on. */
  chainLength(hash: number): number {
    let length = 0;
    if (this.capacity === 0) return 0;
    for (let at = this.heads[hash & this.hashMask]; at >= 0; length++)
      at = this.filters[at * FILTER_WORDS + F_NEXT];
    return length;
  }

  /** Sets the masked fields and hashes of a packet; false when Flow Director does not look at it. */
  private prepare(key: Uint32Array, view: DataView, frameAt: number): boolean {
    const family = key[K_FAMILY];
    const flags = key[K_FLAGS];
    if (family === 0 || (flags & PARSE_MALFORMED) !== 0) return false;
    const mask = this.mask;
    const hasPorts = (flags & PARSE_PORTS) !== 0 && (flags & PARSE_FRAGMENT) === 0;
    const l4 = hasPorts ? l4Type(key[K_PROTO]) : 0;
    const portMask = l4 === FLOW_TCP ? mask.tcpPorts : l4 === FLOW_UDP ? mask.udpPorts : 0xffffffff;
    this.flowType = (l4 & mask.l4) | (family === 6 ? FLOW_IPV6 : 0);
    this.ports = hasPorts ? ((key[K_SPORT] << 16) | key[K_DPORT]) & portMask : 0;
    const tag = key[K_VLAN_COUNT] > 0 ? key[K_VLAN_OUTER] & mask.vlan : 0;
    const flex = view.getUint16(frameAt + this.flexAt) & mask.flex;
    this.vlanFlex = (tag << 16) | flex;
    this.src = key[K_SRC] & mask.src;
    this.dst = key[K_DST] & mask.dst;
    let common = this.src ^ this.dst ^ this.ports ^ (flex << 16);
    if (family === 6) {
      common = this.ports ^ (flex << 16);
      for (let i = 0; i < 4; i++)
        common ^= (key[K_SRC + i] & mask.ipv6[i]) ^ (key[K_DST + i] & mask.ipv6[4 + i]);
    }
    const head = (this.flowType << 16) | tag;
    this.hash = fdirHash(head, common, this.bucketKey);
    if (!this.isPerfect) this.signature = fdirHash(head, common, this.signatureKey);
    return !this.isPerfect || family === 4;
  }

  private matchesFilter(filter: number): boolean {
    const f = this.filters;
    const at = filter * FILTER_WORDS;
    const type = (f[at + F_CMD] >>> FLOW_TYPE_SHIFT) & FLOW_TYPE_MASK;
    const mask = this.mask;
    if ((type & (mask.l4 | FLOW_IPV6)) !== this.flowType) return false;
    if (!this.isPerfect) return f[at + F_ID] === this.signature;
    const portMask =
      (type & 3) === FLOW_TCP
        ? mask.tcpPorts
        : (type & 3) === FLOW_UDP
          ? mask.udpPorts
          : 0xffffffff;
    return (
      (f[at + F_SRC] & mask.src) === this.src &&
      (f[at + F_DST] & mask.dst) === this.dst &&
      (f[at + F_PORTS] & portMask) === this.ports &&
      (f[at + F_VLAN_FLEX] & ((mask.vlan << 16) | mask.flex)) === this.vlanFlex
    );
  }

  /** The filter that a command names: by bucket and id, in signature mode also by flow type; −1 for none. */
  private find(command: FdirCommand): number {
    if (this.capacity === 0) return -1;
    const id = command.hash >>> S.FDIRHASH_SIG_SHIFT;
    const type = (command.cmd >>> FLOW_TYPE_SHIFT) & FLOW_TYPE_MASK;
    let at = this.heads[command.hash & this.hashMask];
    while (at >= 0) {
      const word = at * FILTER_WORDS;
      const hasType = ((this.filters[word + F_CMD] >>> FLOW_TYPE_SHIFT) & FLOW_TYPE_MASK) === type;
      if (this.filters[word + F_ID] === id && (this.isPerfect || hasType)) return at;
      at = this.filters[word + F_NEXT];
    }
    return -1;
  }

  private add(command: FdirCommand): boolean {
    const known = this.find(command);
    if (known >= 0) {
      if ((command.cmd & S.FDIRCMD_FILTER_UPDATE) !== 0) {
        this.store(known, command);
        return true;
      }
      if (!this.isPerfect) this.collide(known, command);
      return false;
    }
    const slot = this.firstFree;
    if (slot < 0) return false;
    this.firstFree = this.filters[slot * FILTER_WORDS + F_NEXT];
    this.freeCount--;
    this.filters[slot * FILTER_WORDS + F_NEXT] = -1;
    this.store(slot, command);
    this.append(command.hash, slot);
    return true;
  }

  /** A signature that exists already is to be added for another queue. */
  private collide(known: number, command: FdirCommand): void {
    const at = known * FILTER_WORDS + F_CMD;
    const other = (command.cmd >>> S.FDIRCMD_RX_QUEUE_SHIFT) & S.FDIRCMD_RX_QUEUE_MASK;
    if (other === this.queueOf(known) || this.collides(known)) return;
    this.filters[at] |= S.FDIRCMD_COLLISION;
    this.collisionCount++;
  }

  private append(hash: number, slot: number): void {
    const bucket = hash & this.hashMask;
    let length = 1;
    if (this.heads[bucket] < 0) this.heads[bucket] = slot;
    else {
      let at = this.heads[bucket];
      length = 2;
      while (this.filters[at * FILTER_WORDS + F_NEXT] >= 0) {
        at = this.filters[at * FILTER_WORDS + F_NEXT];
        length++;
      }
      this.filters[at * FILTER_WORDS + F_NEXT] = slot;
    }
    if (length <= this.longestChain) return;
    this.longestChain = length;
    this.longestHash = hash & S.FDIRHASH_BUCKET_MASK;
  }

  private store(slot: number, command: FdirCommand): void {
    const at = slot * FILTER_WORDS;
    this.filters[at + F_ID] = command.hash >>> S.FDIRHASH_SIG_SHIFT;
    this.filters[at + F_CMD] = command.cmd & ~S.FDIRCMD_COLLISION;
    this.filters[at + F_SRC] = command.src;
    this.filters[at + F_DST] = command.dst;
    this.filters[at + F_PORTS] = command.ports;
    this.filters[at + F_VLAN_FLEX] = (command.vlan << 16) | command.flex;
    this.filters[at + F_CONTEXT] = command.context;
  }

  private remove(command: FdirCommand): boolean {
    const slot = this.find(command);
    if (slot < 0) return false;
    if (this.collides(slot)) this.collisionCount--;
    const bucket = command.hash & this.hashMask;
    const next = this.filters[slot * FILTER_WORDS + F_NEXT];
    if (this.heads[bucket] === slot) this.heads[bucket] = next;
    else {
      let at = this.heads[bucket];
      while (this.filters[at * FILTER_WORDS + F_NEXT] !== slot)
        at = this.filters[at * FILTER_WORDS + F_NEXT];
      this.filters[at * FILTER_WORDS + F_NEXT] = next;
    }
    this.filters[slot * FILTER_WORDS + F_NEXT] = this.firstFree;
    this.firstFree = slot;
    this.freeCount++;
    return true;
  }
}

function l4Type(proto: number): number {
  if (proto === PROTO_TCP) return FLOW_TCP;
  if (proto === PROTO_UDP) return FLOW_UDP;
  return proto === PROTO_SCTP ? FLOW_SCTP : 0;
}
