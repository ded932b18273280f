// The transmit side of the core (net/core/dev.c): queue selection, a pfifo in front of each hardware queue, requeues.
//
// A packet bypasses an empty pfifo, as pfifo_fast's TCQ_F_CAN_BYPASS lets it; it waits there only while the driver has the
// queue stopped, after NETDEV_TX_BUSY, or while packets are gathered for one doorbell. A device with txqueuelen 0 has no
// queue (noqueue): stopped or BUSY then means dropped. Queue selection is spec D.2: the driver's own choice, else XPS
// maps, else the recorded receive queue brought below the number of queues by subtraction, else reciprocal_scale(hash).
//
// Not here: other qdiscs, byte queue limits, traffic classes, skb lists.

import type { Kernel } from './kernel.ts';
import { ENETDOWN, ENOBUFS } from './errno.ts';
import { NETDEV_TX_BUSY } from './netdev.ts';
import type { NetDevice } from './netdev.ts';
import type { SkBuff } from './skb.ts';

/** Why the driver layer dropped a packet. */
export const KernelDrop = {
  /** Device or carrier down. */
  DEV_DOWN: 1,
  /** pfifo full (txqueuelen). */
  QDISC_FULL: 2,
  /** Device without queue answered BUSY, or the driver could not send it. */
  TX_ERROR: 3,
  /** No stack is attached. */
  NO_HANDLER: 4,
  /** No packet buffer. */
  NOMEM: 5,
  /** The device marked the received frame as bad, or its descriptors made no frame. */
  RX_ERROR: 6,
  /** Backlog of the CPU that RPS chose is full (netdev_max_backlog). */
  CPU_BACKLOG: 7,
  /** In a receive ring that was thrown away while the device stayed up (other size, other number of queues, reset). */
  RING_RESET: 8,
  /** The device has no wire: it ends what it is given (netdevsim). */
  NO_WIRE: 9,
  /** Went through more than eight devices without a queue within one another (dev_xmit_recursion). */
  RECURSION: 10,
} as const;
export type KernelDrop = (typeof KernelDrop)[keyof typeof KernelDrop];

/** net_xmit answers beside 0 and negative errnos. */
export const NET_XMIT_SUCCESS = 0;
export const NET_XMIT_DROP = 1;
export const NET_XMIT_CN = 2;

/** XMIT_RECURSION_LIMIT: devices without a queue that a packet may pass within one another. */
const RECURSION_LIMIT = 8;

/** A queue that the driver answered BUSY for without stopping it is tried again after this time (assumed). */
const BUSY_RETRY_PS = 10e6;

/** One hardware queue's pfifo and its counters. */
export class TxQueue {
  /** Packets waiting. */
  backlog = 0;
  /** Packets that found it full. */
  dropCount = 0;
  /** NETDEV_TX_BUSY answers: the packet went back to the head. */
  requeueCount = 0;
  /** Packets that waited here. */
  queuedCount = 0;
  /** On the kernel's list of queues to flush at the end of the step. */
  flushPending = false;
  retryPending = false;

  readonly dev: NetDevice;
  readonly index: number;
  private ring: (SkBuff | null)[] = new Array<SkBuff | null>(64).fill(null);
  private head = 0;

  constructor(dev: NetDevice, index: number) {
    this.dev = dev;
    this.index = index;
  }

  push(skb: SkBuff): void {
    if (this.backlog === this.ring.length) this.grow();
    this.ring[(this.head + this.backlog++) & (this.ring.length - 1)] = skb;
  }

  unshift(skb: SkBuff): void {
    if (this.backlog === this.ring.length) this.grow();
    this.head = (this.head - 1) & (this.ring.length - 1);
    this.ring[this.head] = skb;
    this.backlog++;
  }

  shift(): SkBuff {
    const skb = this.ring[this.head] as SkBuff;
    this.ring[this.head] = null;
    this.head = (this.head + 1) & (this.ring.length - 1);
    this.backlog--;
    return skb;
  }

  private grow(): void {
    const bigger = new Array<SkBuff | null>(this.ring.length * 2).fill(null);
    for (let i = 0; i < this.backlog; i++)
      bigger[i] = this.ring[(this.head + i) & (this.ring.length - 1)];
    this.ring = bigger;
    this.head = 0;
  }
}

export class Transmit {
  /** Packets gathered per doorbell within one step; 1: each packet is handed over at once. */
  bulk = 1;
  /** What netdev_xmit_more() answers the driver now. */
  xmitMore = false;

  private readonly kernel: Kernel;
  private readonly gathered: TxQueue[] = [];
  /** Devices without a queue that are sending now, one within the other. */
  private depth = 0;

  constructor(kernel: Kernel) {
    this.kernel = kernel;
  }

  /** netdev_pick_tx. */
  pickQueue(skb: SkBuff, dev: NetDevice): number {
    const count = dev.realNumTxQueues;
    if (count === 1) return 0;
    if (dev.ops.ndo_select_queue !== undefined) {
      const queue = dev.ops.ndo_select_queue(dev, skb);
      if (queue < count) return queue;
      this.kernel.printkOnce(
        `${dev.name} selects TX queue ${queue}, but real number of TX queues is ${count}`,
      );
      return 0;
    }
    if (dev.xps !== null) {
      const queue = dev.xps.pick(skb.rxQueue - 1, this.kernel.current?.index ?? 0, skb.hash);
      if (queue >= 0 && queue < count) return queue;
    }
    if (skb.rxQueue > 0) {
      let queue = skb.rxQueue - 1;
      while (queue >= count) queue -= count;
      return queue;
    }
    return Math.floor(((skb.hash >>> 0) * count) / 0x1_0000_0000);
  }

  /** dev_queue_xmit: takes the packet in every case. */
  xmit(skb: SkBuff, dev: NetDevice): number {
    const { kernel } = this;
    kernel.charge(kernel.costs.devQueueXmitPs);
    skb.dev = dev;
    if (!dev.isUp) return this.drop(skb, dev, KernelDrop.DEV_DOWN, -ENETDOWN);
    const index = this.pickQueue(skb, dev);
    skb.queueMapping = index;
    if (dev.txqueuelen === 0) return this.xmitNoQueue(skb, dev, index);
    if (!dev.carrier) return this.drop(skb, dev, KernelDrop.DEV_DOWN, NET_XMIT_CN);
    kernel.memory.setOwner(kernel.iovaOf(skb.at), skb.packetId);
    if (dev.noQueue) return this.xmitNested(skb, dev, index);
    const queue = kernel.txQueues(dev)[index];
    if (this.bulk > 1 && kernel.current !== null) return this.gather(skb, queue);
    if (queue.backlog > 0 || dev.txStopped[index] !== 0) return this.enqueue(skb, queue);
    if (dev.ops.ndo_start_xmit(skb, dev) === NETDEV_TX_BUSY) this.requeue(skb, queue);
    return NET_XMIT_SUCCESS;
  }

  /** Sends what waits while the driver takes it (__qdisc_run). */
  run(queue: TxQueue): void {
    const { dev, index } = queue;
    while (queue.backlog > 0 && dev.txStopped[index] === 0 && dev.isUp) {
      const skb = queue.shift();
      this.xmitMore = this.bulk > 1 && queue.backlog > 0;
      const busy = dev.ops.ndo_start_xmit(skb, dev) === NETDEV_TX_BUSY;
      this.xmitMore = false;
      if (busy) {
        this.requeue(skb, queue);
        return;
      }
    }
  }

  /** Runs the queues that gathered packets during the step. */
  flush(): void {
    if (this.gathered.length === 0) return;
    for (let i = 0; i < this.gathered.length; i++) {
      const queue = this.gathered[i];
      queue.flushPending = false;
      this.run(queue);
    }
    this.gathered.length = 0;
  }

  /** Drops what waits (device closed). */
  purge(queue: TxQueue): void {
    while (queue.backlog > 0) this.drop(queue.shift(), queue.dev, KernelDrop.DEV_DOWN, 0);
  }

  private enqueue(skb: SkBuff, queue: TxQueue): number {
    const { kernel } = this;
    kernel.charge(kernel.costs.qdiscPs);
    if (queue.backlog >= queue.dev.txqueuelen) {
      queue.dropCount++;
      return this.drop(skb, queue.dev, KernelDrop.QDISC_FULL, NET_XMIT_DROP);
    }
    queue.push(skb);
    queue.queuedCount++;
    return NET_XMIT_SUCCESS;
  }

  private gather(skb: SkBuff, queue: TxQueue): number {
    const answer = this.enqueue(skb, queue);
    if (queue.backlog >= this.bulk) this.run(queue);
    if (queue.backlog > 0 && !queue.flushPending) {
      queue.flushPending = true;
      this.gathered.push(queue);
    }
    return answer;
  }

  private requeue(skb: SkBuff, queue: TxQueue): void {
    queue.requeueCount++;
    queue.unshift(skb);
    if (queue.dev.txStopped[queue.index] !== 0 || queue.retryPending) return;
    queue.retryPending = true;
    this.kernel.mod_timer(this.kernel.scheduler.nowPs + BUSY_RETRY_PS, () => {
      queue.retryPending = false;
      this.run(queue);
    });
  }

  private xmitNoQueue(skb: SkBuff, dev: NetDevice, index: number): number {
    const { kernel } = this;
    if (dev.txStopped[index] === 0 && dev.ops.ndo_start_xmit(skb, dev) !== NETDEV_TX_BUSY)
      return NET_XMIT_SUCCESS;
    kernel.printkOnce(`Virtual device ${dev.name} asks to queue packet!`);
    return this.drop(skb, dev, KernelDrop.TX_ERROR, -ENETDOWN);
  }

  /** A device that gives its packets to other devices: those count one another, so that a loop ends. */
  private xmitNested(skb: SkBuff, dev: NetDevice, index: number): number {
    if (this.depth > RECURSION_LIMIT) {
      this.kernel.printkOnce(`Dead loop on virtual device ${dev.name}, fix it urgently!`);
      return this.drop(skb, dev, KernelDrop.RECURSION, -ENETDOWN);
    }
    this.depth++;
    const answer = this.xmitNoQueue(skb, dev, index);
    this.depth--;
    return answer;
  }

  private drop(skb: SkBuff, dev: NetDevice, reason: KernelDrop, answer: number): number {
    if (dev.state !== null) dev.state.txDropped++;
    this.kernel.kfree_skb_reason(skb, reason);
    return answer;
  }
}

/** What a socket's sender sees for an answer of dev_queue_xmit (net_xmit_errno). */
export function netXmitErrno(answer: number): number {
  return answer === NET_XMIT_CN || answer <= 0 ? Math.min(answer, 0) : -ENOBUFS;
}
