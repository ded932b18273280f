// The steering policies of a tun device as sets of four operations, the interface that the RFC of 2017 proposed
// (spec A.3.1). `select_queue` and `xmit` run on the way from the stack to a queue, `pre_rx` and `post_rx` around the delivery of
// what a program wrote: the packet may be gone after delivery, so the hash is taken before and used after.
//
//   automq   learned from writes (flow-table.ts), untaught flows by scaled hash
//   cpu      number of the processor that sends, modulo the queues: no look at the packet, a flow may change queues
//   rss      Toeplitz hash and indirection table (steering-rss.ts)
//   program  result of an eBPF program, cut to 16 bits, modulo the queues
//
// Each charges the core for what it does (costs.ts) and counts it.

import type { Kernel } from '../../../driver/kernel.ts';
import type { SkBuff } from '../../../driver/skb.ts';
import type { BpfProgram, BpfRunner } from './bpf/program.ts';
import { CPU_ID_PS, DISSECT_PS, FLOW_BUCKET_PS, FLOW_ENTRY_PS, KEYED_HASH_PS } from './costs.ts';
import { reciprocalScale } from './flow-hash.ts';
import type { FlowHasher } from './flow-hash.ts';
import type { FlowTable } from './flow-table.ts';

const ETH_HEADER_BYTES = 14;

/** What a policy sees of its device. */
export interface SteeringDevice {
  readonly kernel: Kernel;
  readonly bpf: BpfRunner;
  /** Attached queues. */
  readonly numqueues: number;
  readonly hasher: FlowHasher;
  readonly flows: FlowTable;
  readonly steeringProgram: BpfProgram | null;
  /** Bytes of a header that only the stack sees in front of a packet: 14 for a tun, 0 for a tap. */
  readonly madeUpHeaderBytes: number;
  /** Receive packet steering is in use on this machine. */
  readonly rpsNeeded: boolean;
}

/** What a policy sees of the queue that was written on. */
export interface SteeringQueue {
  readonly queueIndex: number;
}

/** One policy (tun_steering_ops). */
export interface TunSteeringOps {
  readonly name: 'automq' | 'cpu' | 'rss' | 'program';
  /** Queue for a packet on its way out; called by ndo_select_queue, so only with more than one queue. */
  select_queue(tun: SteeringDevice, skb: SkBuff): number;
  /** At the start of ndo_start_xmit. */
  xmit(tun: SteeringDevice, skb: SkBuff): void;
  /** A packet was written, before the stack gets it: whatever `post_rx` is to be given, 0 for nothing. */
  pre_rx(tun: SteeringDevice, skb: SkBuff): number;
  /** The stack has it. */
  post_rx(tun: SteeringDevice, tfile: SteeringQueue, value: number): void;
}

/** Symmetric hash of a packet whose (possibly made up) Ethernet header is at skb.at. */
function symmetricHash(tun: SteeringDevice, skb: SkBuff): number {
  tun.kernel.charge(DISSECT_PS + KEYED_HASH_PS);
  const { bytes, at } = skb;
  const protocol = (bytes[at + 12] << 8) | bytes[at + 13];
  return tun.hasher.hash(bytes, at + ETH_HEADER_BYTES, at + skb.lenBytes, protocol);
}

export const AUTOMQ: TunSteeringOps = {
  name: 'automq',
  select_queue(tun, skb) {
    const hash = symmetricHash(tun, skb);
    tun.kernel.charge(FLOW_BUCKET_PS);
    const learned = tun.flows.lookup(hash);
    if (learned < 0) return reciprocalScale(hash, tun.numqueues);
    tun.kernel.charge(FLOW_ENTRY_PS);
    return learned;
  },
  xmit(tun, skb) {
    // With one queue select_queue is not asked; receive flow steering still wants the hash noted.
    if (tun.numqueues === 1 && tun.rpsNeeded) tun.flows.saveRpsHash(symmetricHash(tun, skb));
  },
  pre_rx(tun, skb) {
    return tun.numqueues > 1 ? symmetricHash(tun, skb) : 0;
  },
  post_rx(tun, tfile, hash) {
    if (hash === 0) return;
    tun.kernel.charge(FLOW_BUCKET_PS + FLOW_ENTRY_PS);
    tun.flows.update(hash, tfile.queueIndex);
  },
};

export const CPU: TunSteeringOps = {
  name: 'cpu',
  select_queue(tun) {
    tun.kernel.charge(CPU_ID_PS);
    return tun.numqueues === 0 ? 0 : (tun.kernel.current?.index ?? 0) % tun.numqueues;
  },
  xmit: () => undefined,
  pre_rx: () => 0,
  post_rx: () => undefined,
};

export const PROGRAM: TunSteeringOps = {
  name: 'program',
  select_queue(tun, skb) {
    if (tun.steeringProgram === null || tun.numqueues === 0) return 0;
    const hidden = tun.madeUpHeaderBytes;
    skb.at += hidden;
    skb.lenBytes -= hidden;
    const result = tun.bpf.run(tun.steeringProgram, skb);
    skb.at -= hidden;
    skb.lenBytes += hidden;
    return (result & 0xffff) % tun.numqueues;
  },
  xmit: () => undefined,
  pre_rx: () => 0,
  post_rx: () => undefined,
};
