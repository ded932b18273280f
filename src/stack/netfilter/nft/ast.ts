// What a rule is made of after parsing: plain objects that are printed (print.ts, json.ts) and compiled (compile.ts).

import type { Field } from './fields.ts';
import type { Scalar } from './types.ts';

/** Right side of a match. */
export type Rhs =
  | { kind: 'value'; value: Scalar }
  | { kind: 'range'; from: Scalar; to: Scalar }
  | { kind: 'prefix'; value: Scalar; lenBits: number }
  | { kind: 'set'; elements: Rhs[] };

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

export type NatKind = 'snat' | 'dnat' | 'masquerade' | 'redirect';

export type Statement =
  | MatchStatement
  | { kind: 'counter'; values: Float64Array }
  | { kind: 'counter-name'; name: string; start: number; end: number }
  | { kind: 'accept' }
  | { kind: 'drop' }
  | { kind: 'return' }
  | { kind: 'jump'; goto: boolean; chain: string; start: number; end: number }
  | { kind: 'flow'; flowtable: string; start: number; end: number }
  | { kind: 'log'; prefix: string | null }
  | { kind: 'reject'; type: 'default' | 'tcp reset' | 'icmp' | 'icmpv6' | 'icmpx'; code: string }
  | {
      kind: 'set-mark';
      target: 'meta' | 'ct';
      value: number;
      from: 'meta' | 'ct' | null;
      mask: number;
    }
  | { kind: 'notrack' }
  | { kind: 'comment'; text: string }
  | NatStatement;

export interface NatStatement extends Place {
  kind: 'nat';
  nat: NatKind;
  /** Of the address; null when the table has one family anyway. */
  family: 'ip' | 'ip6' | null;
  address: [first: Scalar, last: Scalar] | null;
  port: [first: number, last: number] | null;
  flags: string[];
}

export type Family = 'ip' | 'ip6' | 'inet';

/** Names the place in the source that an error of the kernel is shown at. */
export interface Place {
  start: number;
  end: number;
}
