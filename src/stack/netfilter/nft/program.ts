// The running form of rules: one array of int32 words per machine, with the tables that operands point into.
//
// An instruction is an opcode and fixed operands. A rule begins with RULE <address of the next rule> <handle>; a match that
// fails goes there. LOAD puts a value into the register; matches test the register.

import type { SkBuff } from '../../../../driver/skb.ts';
import type { Helper } from '../conntrack/helper.ts';
import type { FlowTable } from '../flowtable/flowtable.ts';
import type { HookState } from '../hooks.ts';
import type { NatRange } from '../nat/range.ts';
import type { LimitStatement } from './ast.ts';
import type { LabelMatch } from './ct-label.ts';
import type { KeySet } from './key-set.ts';
import type { QuotaLimit } from './quota.ts';
import type { SetUpdater } from './live-set.ts';

/** RULE next handle */
export const OP_RULE = 0;
/** END: end of a chain: the policy, or back to the caller. */
export const OP_END = 1;
/** L4PROTO protocol: fails unless the packet carries it. */
export const OP_L4PROTO = 2;
/** FAMILY family */
export const OP_FAMILY = 3;
/** NETWORK at bytes shift mask: header field to the register. */
export const OP_NETWORK = 4;
/** TRANSPORT at bytes shift mask */
export const OP_TRANSPORT = 5;
/** META key */
export const OP_META = 6;
/** CT key: fails when the packet has no connection (state, direction excepted). */
export const OP_CT = 7;
/** AND mask */
export const OP_AND = 8;
/** TEST comparison from to (unsigned; C_* below) */
export const OP_TEST = 9;
/** SET index negated: register in the number set. */
export const OP_SET = 10;
/** ADDRESS6 at index negated: address at the offset of the IPv6 header in the address set. */
export const OP_ADDRESS6 = 11;
/** IFNAME out index negated */
export const OP_IFNAME = 12;
/** COUNT index */
export const OP_COUNT = 13;
/** VERDICT verdict */
export const OP_VERDICT = 14;
/** JUMP address, GOTO address, RETURN */
export const OP_JUMP = 15;
export const OP_GOTO = 16;
export const OP_RETURN = 17;
/** FLOW index: `flow add`; goes on within the rule only when a flow was made. */
export const OP_FLOW = 18;
/** SETMARK target (0 meta, 1 ct) source (0 none, 1 meta, 2 ct, 3 the register) and xor: writes (source & and) ^ xor */
export const OP_SETMARK = 19;
export const OP_NOTRACK = 20;
/** REJECT type4 code4 type6 code6; type4 −1: a TCP reset */
export const OP_REJECT = 21;
/** NAT index mapped: a verdict, unless the statement is for the other family; mapped: the range is that of the element found. */
export const OP_NAT = 22;
/** CTSET key (0 zone, 1 helper, 2 label) directions (1 original, 2 reply) value: zone, helper index or label */
export const OP_CTSET = 28;

/** VMAP index: goes to the verdict of the element that the SET, ADDRESS6 or IFNAME before it found. */
export const OP_VMAP = 23;
/** MAPVALUE index: the value of the element found to the register. */
export const OP_MAPVALUE = 24;
/** LIMIT index: fails beyond the rate (or within it, for `over`). */
export const OP_LIMIT = 25;

/** KEY at: the register as a word of the key. */
export const OP_KEY = 26;
/** KEY6 offset at: the address at the offset of the IPv6 header as four words of the key. */
export const OP_KEY6 = 27;
/** KEYNAME out at: the name of the device as four words of the key. */
export const OP_KEYNAME = 29;
/** FIND index negated: the key in the key set; runs the statements of the element found. */
export const OP_FIND = 30;

/** UPDATE index: adds, updates or deletes the key in a set; fails when that ends the rule. */
export const OP_UPDATE = 31;

/** QUOTA index: fails beyond the quota (or within it, for `over`). */
export const OP_QUOTA = 32;

/** CTAMOUNT key index negated: packets, bytes or their quotient in the number set (they are longer than the register). */
export const OP_CTAMOUNT = 33;
/** CTADDRESS6 key index negated: an IPv6 address of the connection's key in the address set. */
export const OP_CTADDRESS6 = 34;
/** CTHELPER index negated: name of the connection's helper in the name list. */
export const OP_CTHELPER = 35;
/** CTLABEL index */
export const OP_CTLABEL = 36;

export const TEST_EQ = 0;
export const TEST_NE = 1;
export const TEST_RANGE = 2;
export const TEST_NOT_RANGE = 3;
/** Some bit of the operand is set. */
export const TEST_ANY = 4;
export const TEST_NONE = 5;

/** Names of one `iifname`/`oifname` match; a trailing `*` matches any rest. Answers are kept by ifindex. */
export class NameSet {
  private readonly patterns: readonly string[];
  private readonly names: string[] = [];
  private readonly answers: number[] = [];

  constructor(patterns: readonly string[]) {
    this.patterns = patterns;
  }

  /** Number of the first pattern that the device's name matches, −1 for none. */
  find(ifindex: number, name: string): number {
    if (this.names[ifindex] === name) return this.answers[ifindex];
    const exact = this.patterns.indexOf(name);
    const answer =
      exact >= 0
        ? exact
        : this.patterns.findIndex((p) => p.endsWith('*') && name.startsWith(p.slice(0, -1)));
    this.names[ifindex] = name;
    this.answers[ifindex] = answer;
    return answer;
  }
}

/** Ranges of numbers, ascending, in pairs. */
export type NumberSet = Float64Array;

/** IPv6 prefixes or ranges: words from[4], to[4] each. */
export type AddressSet = Uint32Array;

/** A nat statement. */
export interface NatAction {
  /** 2 or 10 when it is for one family only, else 0. */
  readonly family: number;
  /** By element of its map; one when there is no map. */
  readonly ranges: readonly NatRange[];
  /** Decides the connection; NF_ACCEPT or NF_DROP. */
  apply(skb: SkBuff, state: HookState, range: NatRange): number;
}

export class Program {
  code = new Int32Array(0);
  readonly numberSets: NumberSet[] = [];
  readonly addressSets: AddressSet[] = [];
  readonly nameSets: NameSet[] = [];
  /** Packets and bytes. */
  readonly counters: Float64Array[] = [];
  readonly flowtables: FlowTable[] = [];
  readonly nats: NatAction[] = [];
  /** Address to go on at, by element. */
  readonly verdictMaps: Int32Array[] = [];
  readonly valueMaps: Int32Array[] = [];
  readonly keySets: KeySet[] = [];
  readonly quotas: QuotaLimit[] = [];
  readonly updaters: SetUpdater[] = [];
  readonly limits: LimitStatement[] = [];
  readonly helpers: Helper[] = [];
  readonly labels: LabelMatch[] = [];
  readonly helperNames: string[][] = [];
  /** Table and chain by rule address, for traces. */
  readonly places = new Map<number, string>();
}
