// The classifier for five-tuples: prefixes or any masks on the addresses, ranges on the ports, value and mask on the protocol.

import { assert } from '../../base/assert.ts';
import { RuleIndex } from './classifier.ts';
import {
  commonPrefixMask16,
  DST,
  DST_MASK,
  DST_PORT_RANGE,
  FIVE_TUPLE_LAYOUT,
  PORTS_MASK,
  PORTS_VALUE,
  PROTOCOL,
  PROTOCOL_MASK,
  PROTOCOL_VALUE,
  SRC,
  SRC_MASK,
  SRC_PORT_RANGE,
} from './layout.ts';
import { searchFiveTuple } from './search.ts';

/** The match part of a five-tuple rule: 32-bit addresses and masks, inclusive port ranges, 8-bit protocol and mask. */
export interface FiveTupleRule {
  readonly src: number;
  readonly srcMask: number;
  readonly dst: number;
  readonly dstMask: number;
  readonly srcPortLow: number;
  readonly srcPortHigh: number;
  readonly dstPortLow: number;
  readonly dstPortHigh: number;
  readonly protocol: number;
  readonly protocolMask: number;
}

export class FiveTupleClassifier extends RuleIndex {
  constructor() {
    super(FIVE_TUPLE_LAYOUT);
  }

  /** Adds a rule under an id that is free. The lowest priority wins, among equals the lowest id. */
  insert(ruleId: number, priority: number, rule: FiveTupleRule): void {
    const { srcPortLow, srcPortHigh, dstPortLow, dstPortHigh } = rule;
    assert(
      isRange16(srcPortLow, srcPortHigh) && isRange16(dstPortLow, dstPortHigh),
      'classifier: a port range is not within 0 to 65535',
    );
    const at = this.claim(ruleId, priority);
    const words = this.store.words;
    words[at + SRC] = rule.src & rule.srcMask;
    words[at + SRC_MASK] = rule.srcMask;
    words[at + DST] = rule.dst & rule.dstMask;
    words[at + DST_MASK] = rule.dstMask;
    words[at + SRC_PORT_RANGE] = srcPortLow | ((srcPortHigh - srcPortLow) << 16);
    words[at + DST_PORT_RANGE] = dstPortLow | ((dstPortHigh - dstPortLow) << 16);
    const protocolMask = rule.protocolMask & 0xff;
    words[at + PROTOCOL] = (rule.protocol & protocolMask) | (protocolMask << 8);
    const srcPortMask = commonPrefixMask16(srcPortLow, srcPortHigh);
    const dstPortMask = commonPrefixMask16(dstPortLow, dstPortHigh);
    words[at + PORTS_VALUE] = ((srcPortLow & srcPortMask) << 16) | (dstPortLow & dstPortMask);
    words[at + PORTS_MASK] = (srcPortMask << 16) | dstPortMask;
    words[at + PROTOCOL_VALUE] = rule.protocol & protocolMask;
    words[at + PROTOCOL_MASK] = protocolMask;
    this.added(ruleId);
  }

  /** Id of the rule that wins, -1 for none. `ports` is source port << 16 | destination port; signed words are welcome. */
  lookup(src: number, dst: number, ports: number, protocol: number): number {
    return searchFiveTuple(
      this.tree.arena.words,
      this.tree.root,
      this.pending,
      src | 0,
      dst | 0,
      ports | 0,
      protocol,
    );
  }
}

function isRange16(low: number, high: number): boolean {
  return (
    Number.isInteger(low) && Number.isInteger(high) && 0 <= low && low <= high && high <= 65535
  );
}
