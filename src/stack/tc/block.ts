// Filters of one attachment point (struct tcf_block): chains of classifiers by preference, each with its filters.
//
// A block hangs on ingress or egress of one device, or under a number (`ingress_block N`) on several. Drivers see it as a flow
// block; devices whose driver refused to bind count in `unbound`: skip_sw is impossible while there is one.

import type { FlowBlock } from '../../../driver/flow-block.ts';
import type { FlowMatch, FlowRule } from '../../../driver/flow-rule.ts';
import type { NetDevice } from '../../../driver/netdev.ts';
import type { FieldMatch, Rule } from '../../rules/rule.ts';
import type { TcActionInstance } from './action.ts';

export type Direction = 'ingress' | 'egress';

export interface TcFilter {
  handle: number;
  /** Identity for drivers. */
  cookie: number;
  rule: Rule;
  /** The keys as written. */
  keys: readonly FieldMatch[];
  /** Fields and masks, for flower's "same mask" and "same filter" rules. */
  maskText: string;
  keyText: string;
  skipSw: boolean;
  skipHw: boolean;
  inHwCount: number;
  actions: TcActionInstance[];
  /** What is compared, in software as in hardware. */
  match: FlowMatch;
  /** What drivers were given; null before, and with skip_hw. */
  flowRule: FlowRule | null;
  /** Packets that matched in software (matchall's rule hit). */
  hits: number;
}

/** One classifier instance (tcf_proto): all its filters share protocol and preference. */
export interface TcProto {
  /** EtherType, 3 for all. */
  protocol: number;
  pref: number;
  classifier: 'flower' | 'matchall';
  /** By handle. */
  filters: TcFilter[];
}

export interface TcChain {
  index: number;
  /** By preference. */
  protos: TcProto[];
  /** Made by `tc chain add`: stays without filters. */
  isExplicit: boolean;
}

export class TcBlock implements FlowBlock {
  readonly callbacks: FlowBlock['callbacks'] = [];
  /** In the order in which they were made. */
  readonly chains: TcChain[] = [];
  readonly devices: NetDevice[] = [];
  /** Devices whose driver takes no filters of the block. */
  readonly unbound = new Set<NetDevice>();

  /** Number of a shared block, 0 for a device's own. */
  readonly index: number;
  readonly direction: Direction;

  constructor(index: number, direction: Direction) {
    this.index = index;
    this.direction = direction;
  }

  /** Filters that some hardware has. */
  get offloadCount(): number {
    let count = 0;
    for (const { filter } of this.all()) if (filter.inHwCount > 0) count++;
    return count;
  }

  chain(index: number): TcChain | undefined {
    return this.chains.find((one) => one.index === index);
  }

  /** Every filter with its place. */
  *all(): Generator<{ chain: TcChain; proto: TcProto; filter: TcFilter }> {
    for (const chain of this.chains)
      for (const proto of chain.protos)
        for (const filter of proto.filters) yield { chain, proto, filter };
  }
}
