// The filters in front of RSS that are not Flow Director: EtherType (8), SYN (1) and 5-tuple (128) filters of the 82599
// (datasheet 7.1.2.3, 7.1.2.5, 7.1.2.6).
//
// 5-tuple filters compare whole IPv4 packets (a fragment has no ports, and IPv6 has no filter registers); several that match are
// decided by priority, 7 the highest, then by number. The hardware compares all at once; here the enabled ones are kept in that
// order and searched, at no cost in modelled time. A filter may give a queue, ask for a low-latency interrupt, or both. Left out:
// pools, and TCP flags as a condition of the interrupt (the data sheet reserves their bits in L34TIMIR).

import {
  K_DPORT,
  K_DST,
  K_ETHERTYPE,
  K_FAMILY,
  K_FLAGS,
  K_PROTO,
  K_SPORT,
  K_SRC,
  K_TCP_FLAGS,
  K_VLAN_COUNT,
  K_VLAN_OUTER,
  PARSE_FRAGMENT,
  PARSE_MALFORMED,
  PARSE_PORTS,
} from '../parse/key-layout.ts';
import { PROTO_SCTP, PROTO_TCP, PROTO_UDP, TCP_SYN } from '../wire/headers.ts';
import * as S from './regs.ts';

const ETHERTYPE_MIN = 0x600;

/** The other byte order of a word: registers hold addresses with the first wire byte lowest. */
export function swap32(value: number): number {
  return (
    ((value >>> 24) | ((value >>> 8) & 0xff00) | ((value << 8) & 0xff0000) | (value << 24)) >>> 0
  );
}

function swap16(value: number): number {
  return ((value & 0xff) << 8) | ((value >>> 8) & 0xff);
}

export class EthertypeFilters {
  readonly etqf = new Uint32Array(S.ETHERTYPE_FILTERS);
  readonly etqs = new Uint32Array(S.ETHERTYPE_FILTERS);

  /** Whether any filter is on. */
  get isActive(): boolean {
    for (let i = 0; i < S.ETHERTYPE_FILTERS; i++) if (this.isOn(i)) return true;
    return false;
  }

  /** Number of the first filter that matches, −1 for none. */
  match(key: Uint32Array): number {
    const type = key[K_ETHERTYPE];
    if (type < ETHERTYPE_MIN) return -1;
    for (let i = 0; i < S.ETHERTYPE_FILTERS; i++) {
      const filter = this.etqf[i];
      if (!this.isOn(i) || (filter & 0xffff) !== type) continue;
      if ((filter & S.ETQF_UP_EN) === 0) return i;
      const priority = key[K_VLAN_COUNT] === 0 ? -1 : key[K_VLAN_OUTER] >>> 13;
      if (priority === ((filter >>> S.ETQF_UP_SHIFT) & 7)) return i;
    }
    return -1;
  }

  /** Queue of a filter. */
  queueOf(filter: number): number {
    return (this.etqs[filter] >>> S.ETQS_QUEUE_SHIFT) & 0x7f;
  }

  givesQueue(filter: number): boolean {
    return (this.etqs[filter] & S.ETQS_QUEUE_EN) !== 0;
  }

  /** Whether packets of a filter interrupt at once. */
  isLowLatency(filter: number): boolean {
    return (this.etqs[filter] & S.ETQS_LLI) !== 0;
  }

  private isOn(filter: number): boolean {
    const does = S.ETQS_QUEUE_EN | S.ETQS_LLI;
    return (this.etqf[filter] & S.ETQF_FILTER_EN) !== 0 && (this.etqs[filter] & does) !== 0;
  }
}

/** Whether a SYN filter takes the packet: a whole TCP packet with SYN set, with or without ACK. */
export function isSyn(key: Uint32Array): boolean {
  const flags = key[K_FLAGS];
  return (
    (flags & PARSE_PORTS) !== 0 &&
    (flags & (PARSE_MALFORMED | PARSE_FRAGMENT)) === 0 &&
    key[K_PROTO] === PROTO_TCP &&
    (key[K_TCP_FLAGS] & TCP_SYN) !== 0
  );
}

const MASK_SRC = 1;
const MASK_DST = 2;
const MASK_SPORT = 4;
const MASK_DPORT = 8;
const MASK_PROTO = 16;

export class FiveTupleFilters {
  readonly saqf = new Uint32Array(S.FIVE_TUPLE_FILTERS);
  readonly daqf = new Uint32Array(S.FIVE_TUPLE_FILTERS);
  readonly sdpqf = new Uint32Array(S.FIVE_TUPLE_FILTERS);
  readonly ftqf = new Uint32Array(S.FIVE_TUPLE_FILTERS);
  readonly l34timir = new Uint32Array(S.FIVE_TUPLE_FILTERS);
  /** LLITHRESH. */
  lowLatencyBytes = 0;
  /** Numbers of the enabled filters, the one that wins first. */
  private readonly order = new Int32Array(S.FIVE_TUPLE_FILTERS);
  private count = 0;

  get isActive(): boolean {
    return this.count > 0;
  }

  /** FTQF or L34TIMIR changed: the order is made anew. */
  reorder(): void {
    const on: number[] = [];
    for (let i = 0; i < S.FIVE_TUPLE_FILTERS; i++)
      if (this.givesQueue(i) || (this.l34timir[i] & S.L34TIMIR_LLI) !== 0) on.push(i);
    on.sort((a, b) => this.priorityOf(b) - this.priorityOf(a) || a - b);
    this.count = on.length;
    this.order.set(on);
  }

  /** Number of the filter that wins, −1 when none matches. */
  match(key: Uint32Array): number {
    if (key[K_FAMILY] !== 4) return -1;
    if ((key[K_FLAGS] & (PARSE_MALFORMED | PARSE_FRAGMENT)) !== 0) return -1;
    for (let n = 0; n < this.count; n++) if (this.matches(this.order[n], key)) return this.order[n];
    return -1;
  }

  /** Whether an enabled filter matches a whole IPv4 packet. */
  matches(filter: number, key: Uint32Array): boolean {
    const control = this.ftqf[filter];
    const ignored = control >>> S.FTQF_MASK_SHIFT;
    if ((ignored & MASK_PROTO) === 0 && (control & S.FTQF_PROTOCOL_MASK) !== kindOf(key[K_PROTO]))
      return false;
    if ((ignored & MASK_SRC) === 0 && swap32(this.saqf[filter]) !== key[K_SRC]) return false;
    if ((ignored & MASK_DST) === 0 && swap32(this.daqf[filter]) !== key[K_DST]) return false;
    const comparesPorts = (ignored & (MASK_SPORT | MASK_DPORT)) !== (MASK_SPORT | MASK_DPORT);
    if (!comparesPorts) return true;
    if ((key[K_FLAGS] & PARSE_PORTS) === 0) return false;
    const ports = this.sdpqf[filter];
    if ((ignored & MASK_SPORT) === 0 && swap16(ports & 0xffff) !== key[K_SPORT]) return false;
    return (ignored & MASK_DPORT) !== 0 || swap16(ports >>> 16) === key[K_DPORT];
  }

  /** Queue of a filter. */
  queueOf(filter: number): number {
    return (this.l34timir[filter] >>> S.L34TIMIR_QUEUE_SHIFT) & S.L34TIMIR_QUEUE_MASK;
  }

  givesQueue(filter: number): boolean {
    return (this.ftqf[filter] & S.FTQF_QUEUE_ENABLE) !== 0;
  }

  /** Whether a packet of so many bytes that matches a filter interrupts at once. */
  isLowLatency(filter: number, lenBytes: number): boolean {
    const control = this.l34timir[filter];
    if ((control & S.L34TIMIR_LLI) === 0) return false;
    return (control & S.L34TIMIR_SIZE_BP) !== 0 || lenBytes < this.lowLatencyBytes;
  }

  private priorityOf(filter: number): number {
    return (this.ftqf[filter] >>> S.FTQF_PRIORITY_SHIFT) & S.FTQF_PRIORITY_MASK;
  }
}

/** FTQF.PROTOCOL of an IP protocol. */
function kindOf(proto: number): number {
  if (proto === PROTO_TCP) return 0;
  if (proto === PROTO_UDP) return 1;
  return proto === PROTO_SCTP ? 2 : 3;
}
