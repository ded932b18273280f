// What a rule is made of after parsing: plain objects that are printed (print.ts, json.ts) and compiled (compile.ts).

import type { LabelMatch } from './ct-label.ts';
import type { Field } from './fields.ts';
import type { LogStatement } from './log.ts';
import type { QuotaLimit } from './quota.ts';
import type { Scalar, Types } from './types.ts';

/** Right side of a match. */
export type Rhs =
  /** `device`: what the device that an interface index is is called now; undefined where there is none (any more). */
  | { kind: 'value'; value: Scalar; device?: () => string | undefined }
  | { kind: 'range'; from: Scalar; to: Scalar }
  | { kind: 'prefix'; value: Scalar; lenBits: number }
  | { kind: 'concat'; parts: Rhs[]; places: Place[] }
  /** Elements in the order of listing, and as they were handed to the kernel. */
  | { kind: 'set'; elements: Rhs[]; written: Rhs[] }
  | { kind: 'named'; name: string; start: number; end: number };

/** What a verdict map answers. */
export type MapVerdict =
  | { kind: 'accept' }
  | { kind: 'drop' }
  | { kind: 'return' }
  | { kind: 'continue' }
  | { kind: 'jump'; goto: boolean; chain: string; start: number; end: number };

/** What a map answers: a verdict, or a value of its data type (a range or prefix of them for NAT). */
export type MapData = MapVerdict | { kind: 'value'; value: Rhs; place: Place };

/** Data of a map: verdicts, or values of these types. */
export type DataTypes = Types | 'verdict';

/** One element of a set, or of a map with what it answers. */
export interface SetElement {
  key: Rhs;
  data: MapData | null;
  /** How long it stays, 0 for as long as the set says; and how long from now on (Infinity: for ever). */
  timeoutMs: number;
  leftMs: number;
  comment: string | null;
  statements: ElementStatement[];
  /** Where the key stands. */
  start: number;
  end: number;
}

/** The map of a `vmap` or `map` expression: written in the rule, or named. */
export type MapRef =
  | {
      kind: 'elements';
      /** In the order of listing, and as they were written. */
      elements: SetElement[];
      written: SetElement[];
      dataTypes: DataTypes;
      start: number;
      end: number;
    }
  | { kind: 'named'; name: string; start: number; end: number };

/** `any`: some of these bits (types that are bit masks, written without an operator). */
export type MatchOp = '==' | '!=' | '<' | '>' | '<=' | '>=' | 'any' | 'none';

export interface MatchStatement {
  kind: 'match';
  left: Field;
  /** `left & mask`; −1 for none. */
  mask: number;
  op: MatchOp;
  right: Rhs;
}

/** What an element does by itself each time it is looked up or updated. */
export type ElementStatement = { kind: 'counter'; values: Float64Array } | LimitStatement;

/** `limit rate`: at most so much, or (`over`) what goes beyond. */
export interface LimitStatement {
  kind: 'limit';
  over: boolean;
  rate: number;
  /** 'packets', or the unit in which bytes were written. */
  unit: LimitUnit;
  per: 'second' | 'minute' | 'hour' | 'day' | 'week';
  /** In packets or burstUnit; packets default to 5. */
  burst: number;
  burstUnit: LimitUnit;
  /** Tokens left (ns) and when they were counted (ps): shared with the running program. */
  state: Float64Array;
}

export type LimitUnit = 'packets' | 'bytes' | 'kbytes' | 'mbytes';

export type NatKind = 'snat' | 'dnat' | 'masquerade' | 'redirect';

export type Statement =
  | MatchStatement
  | { kind: 'counter'; values: Float64Array }
  | { kind: 'counter-name'; name: string; start: number; end: number }
  | { kind: 'quota'; quota: QuotaLimit; start: number; end: number }
  | { kind: 'quota-name'; name: string; start: number; end: number }
  | { kind: 'accept' }
  | { kind: 'drop' }
  | { kind: 'return' }
  | { kind: 'jump'; goto: boolean; chain: string; start: number; end: number }
  | { kind: 'flow'; flowtable: string; start: number; end: number }
  | { kind: 'continue' }
  | LogStatement
  | LabelMatch
  | { kind: 'reject'; type: 'default' | 'tcp reset' | 'icmp' | 'icmpv6' | 'icmpx'; code: string }
  /** Writes (mark of `from` & and) ^ xor; without `from`, xor. */
  | {
      kind: 'set-mark';
      target: 'meta' | 'ct';
      from: 'meta' | 'ct' | null;
      and: number;
      xor: number;
    }
  | { kind: 'vmap'; key: Field; map: MapRef }
  | { kind: 'map-mark'; target: 'meta' | 'ct'; key: Field; map: MapRef; place: Place }
  | LimitStatement
  | { kind: 'notrack' }
  | { kind: 'comment'; text: string }
  | NatStatement
  | SetUpdate
  | CtStatement;

/** A rule that changes a set. */
export interface SetUpdate extends Place {
  kind: 'set-update';
  op: 'add' | 'update' | 'delete';
  set: { name: string } & Place;
  key: Field;
  /** 0 for as long as the set says. */
  timeoutMs: number;
  statements: ElementStatement[];
}

export interface CtStatement extends Place {
  kind: 'ct-set';
  key: 'zone' | 'helper' | 'label';
  direction: 'original' | 'reply' | null;
  /** Zone or label. */
  value: number;
  /** Of a `ct helper` object. */
  name: string;
}

export interface NatStatement extends Place {
  kind: 'nat';
  nat: NatKind;
  /** Of the address; null when the table has one family anyway. */
  family: 'ip' | 'ip6' | null;
  address: [first: Scalar, last: Scalar] | null;
  /** What gives the address, and with `addr . port` the port, instead. */
  map: { key: Field; map: MapRef } | null;
  port: [first: number, last: number] | null;
  /** Where the port stands. */
  portPlace: Place | null;
  flags: string[];
}

export type Family = 'ip' | 'ip6' | 'inet' | 'netdev';

/** Names the place in the source that an error of the kernel is shown at. */
export interface Place {
  start: number;
  end: number;
}
