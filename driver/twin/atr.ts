// Application targeted routing (ixgbe_atr): of the TCP packets that a queue sends, every n-th, and every SYN, teaches Flow Director
// that the flow's packets the other way go to the queue of the same number. Signature filters; excluded by ntuple.

import { FlowKeys, readFlowKeys } from '../flow-keys.ts';
import type { SkBuff } from '../skb.ts';
import { FLOW_IPV6, FLOW_TCP } from '../../hw/steering/fdir-hash.ts';
import type { FlowDirectorDriver } from './fdir.ts';

const TCP_FIN = 0x01;
const TCP_SYN = 0x02;

export class AtrSampler {
  /** Filters that this queue added. */
  sampleCount = 0;

  private readonly fdir: FlowDirectorDriver;
  private readonly rate: number;
  private readonly queue: number;
  private readonly keys = new FlowKeys();
  private seen = 0;

  constructor(fdir: FlowDirectorDriver, rate: number, queue: number) {
    this.fdir = fdir;
    this.rate = rate;
    this.queue = queue;
  }

  /** A packet is posted on this queue. */
  sample(skb: SkBuff): void {
    const keys = this.keys;
    if (!readFlowKeys(skb.bytes, skb.at, skb.lenBytes, keys) || keys.proto !== 6) return;
    if ((keys.tcpFlags & TCP_FIN) !== 0) return;
    this.seen++;
    if ((keys.tcpFlags & TCP_SYN) === 0 && this.seen < this.rate) return;
    this.seen = 0;
    // As the packets that come back: their source port is our destination port. The flexible bytes are their EtherType.
    const tagged = skb.vlanTci >= 0;
    const etherType = tagged ? 0x8100 : keys.family === 4 ? 0x0800 : 0x86dd;
    const ports = (keys.dport << 16) | keys.sport;
    const common = keys.addressXor ^ ports ^ (etherType << 16);
    const flowType = FLOW_TCP | (keys.family === 6 ? FLOW_IPV6 : 0);
    this.fdir.addSignature(flowType, tagged ? skb.vlanTci : 0, common, this.queue);
    this.sampleCount++;
  }
}
