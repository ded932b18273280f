// A nat statement of a rule made ready to run: its range as words (one for each element of its map), and what it asks of NAT.

import type { SkBuff } from '../../../../driver/skb.ts';
import type { Connection } from '../conntrack/table.ts';
import { NF_ACCEPT } from '../hooks.ts';
import type { HookState } from '../hooks.ts';
import { addressWords } from '../nat/nat.ts';
import type { Nat } from '../nat/nat.ts';
import {
  MANIP_DST,
  MANIP_SRC,
  NatRange,
  RANGE_FLAG_WORDS,
  RANGE_MAP_IPS,
  RANGE_PROTO_SPECIFIED,
} from '../nat/range.ts';
import type { NatStatement, SetElement } from './ast.ts';
import { first, last, partsOfKey } from './key-order.ts';
import type { NatAction } from './program.ts';
import type { Scalar } from './types.ts';

/** `elements`: of the statement's map, in the order of their numbers; empty when it has none. */
export function natAction(
  nat: Nat,
  s: NatStatement,
  elements: readonly SetElement[] = [],
): NatAction {
  const ranges = s.map === null ? [rangeOf(s)] : elements.map((e) => rangeOf(withTarget(s, e)));
  const family = s.family === 'ip' ? 2 : s.family === 'ip6' ? 10 : 0;
  const tracked = (skb: SkBuff): number => (skb.nfct as Connection | null)?.id ?? -1;
  switch (s.nat) {
    case 'masquerade':
      return {
        family: 0,
        ranges,
        apply: (skb, state: HookState, range) =>
          tracked(skb) < 0 ? NF_ACCEPT : nat.masquerade(skb, state, range),
      };
    case 'redirect':
      return {
        family: 0,
        ranges,
        apply: (skb, state: HookState, range) =>
          tracked(skb) < 0 ? NF_ACCEPT : nat.redirect(skb, state, range),
      };
    default: {
      const manip = s.nat === 'snat' ? MANIP_SRC : MANIP_DST;
      return {
        family,
        ranges,
        apply: (skb, _state, range) => {
          const id = tracked(skb);
          return id < 0 ? NF_ACCEPT : nat.setup(id, range, manip);
        },
      };
    }
  }
}

/** The statement with the address, and perhaps port, of an element of its map. */
function withTarget(s: NatStatement, { data }: SetElement): NatStatement {
  if (data?.kind !== 'value') return s;
  const [address, port] = partsOfKey(data.value);
  return {
    ...s,
    address: [first(address), last(address)],
    port: port === undefined ? s.port : [Number(first(port)), Number(last(port))],
  };
}

function rangeOf(s: NatStatement): NatRange {
  const range = new NatRange();
  for (const flag of s.flags) range.flags |= RANGE_FLAG_WORDS[flag] ?? 0;
  if (s.address !== null) {
    range.flags |= RANGE_MAP_IPS;
    range.min.set(wordsOf(s.address[0]));
    range.max.set(wordsOf(s.address[1]));
  }
  if (s.port !== null) {
    range.flags |= RANGE_PROTO_SPECIFIED;
    [range.minPort, range.maxPort] = s.port;
  }
  return range;
}

function wordsOf(address: Scalar): Int32Array {
  if (address instanceof Uint8Array) return addressWords(address);
  return Int32Array.of(Number(address) | 0, 0, 0, 0);
}
