// The services that a kernel gives its drivers, under Linux's names: device registry, packet buffers, DMA memory,
// interrupts, NAPI, work queues, timers, the way up (`netif_receive_skb`) and the way down (`dev_queue_xmit`).
//
// One Kernel is one host. It owns the cores (host-core.ts); `charge` is how any code on a core says what it cost. Cost charged
// outside of a core's work (a command typed at the prompt) moves the clock but belongs to no core; `inContext` runs
// such code on one. Devices are reached through PciDev and through `syncDevices`, never by methods of the model.
//
// Not here: GRO, rtnl locking, module loading; lo (ifindex 1) belongs to the stack.

import { assert } from '../hw/base/assert.ts';
import type { HostMemory } from '../hw/dma/host-memory.ts';
import type { EventId, Scheduler } from '../hw/time/scheduler.ts';
import { BUFFER_CLASS_BYTES, BufferPool, SkbPool } from './alloc.ts';
import type { CoherentMemory } from './alloc.ts';
import { hostCosts } from './costs.ts';
import { DevlinkRegistry } from './devlink.ts';
import type { HostCosts } from './costs.ts';
import { FibHooks } from './fib-notifier.ts';
import { NetNamespace, namespaceOf, setCarrier, stateOf } from './net-namespace.ts';
import { HostCore, NETDEV_BUDGET, NETDEV_BUDGET_PS } from './host-core.ts';
import type { CoreHost, CoreTask, SoftirqLimits } from './host-core.ts';
import { Napi } from './napi.ts';
import type { NapiDeferral, NapiPoller } from './napi.ts';
import { busyPoll, completeDone, disarm } from './napi-schedule.ts';
import type { BusyPollEnd } from './napi-schedule.ts';
import { NetDevice } from './netdev.ts';
import type { ExtAck, LinkStats64, NetDeviceNotifier, NetDeviceOps, RxHandler } from './netdev.ts';
import { Rfs } from './rfs.ts';
import { SKB_HEADROOM_BYTES } from './skb.ts';
import type { SkBuff } from './skb.ts';
import { KernelDrop, Transmit } from './transmit.ts';
import type { TxQueue } from './transmit.ts';
import { WorkQueue } from './workqueue.ts';
import type { WorkItem } from './workqueue.ts';

/** What a host is made of. */
export interface KernelConfig {
  scheduler: Scheduler;
  memory: HostMemory;
  /** Number of cores, default 1. */
  coreCount?: number;
  /** Default 3600. */
  frequencyMhz?: number;
  /** Default: `hostCosts(frequencyMhz)`. */
  costs?: HostCosts;
}

/** An interrupt handler; runs in hard interrupt context on the core given to request_irq. */
export type IrqHandler = (vector: number) => void;

const LOG_LINES_MAX = 1000;

export class Kernel implements CoreHost {
  readonly scheduler: Scheduler;
  readonly memory: HostMemory;
  readonly costs: HostCosts;
  readonly cores: HostCore[] = [];
  readonly buffers: BufferPool;
  readonly skbs: SkbPool;
  readonly transmit: Transmit;
  readonly devlinks = new DevlinkRegistry();
  readonly fib = new FibHooks();
  readonly softirqLimits: SoftirqLimits = {
    budgetPackets: NETDEV_BUDGET,
    budgetPs: NETDEV_BUDGET_PS,
  };
  /** net.core.busy_read: how long a reader polls the device, us; 0: not at all. */
  busyReadUs = 0;

  /** Core that runs now; null outside of host code. */
  current: HostCore | null = null;
  /** Called before host code runs: publishes what devices finished by now (nic.sync). Set by the testbed. */
  syncDevices: ((nowPs: number) => void) | null = null;
  /** All network namespaces. The initial one is the first: devices come into it unless told otherwise. */
  readonly namespaces: NetNamespace[] = [];
  readonly initNet: NetNamespace;
  /** Told of each packet that a driver passes up, before the stack is. */
  onReceive: ((skb: SkBuff, dev: NetDevice) => void) | null = null;
  /** Told of each packet that the driver layer drops, before it is freed. Set by the stack or the testbed. */
  onDrop: ((skb: SkBuff, reason: KernelDrop) => void) | null = null;
  /** Told of each packet that a driver hands to a sampling group, by packet id. */
  onSample: ((packetId: number, group: number) => void) | null = null;
  /** Packets and bytes by sampling group (psample). */
  readonly samples = new Map<number, { packets: number; bytes: number }>();
  /** Told of received frames that a driver throws away with its ring (a reset, a device going down), by packet id. */
  onFrameLost: ((packetId: number, reason: KernelDrop) => void) | null = null;
  /** Called when a packet with conntrack reference is freed (nf_conntrack_put). */
  onSkbFree: ((skb: SkBuff) => void) | null = null;
  /** dmesg: newest last, at most 1000 lines. */
  readonly log: { atPs: number; text: string }[] = [];

  private namespacesMade = 0;
  private rfs: Rfs | null = null;
  private readonly irqs = new Map<number, { handler: IrqHandler; core: HostCore }>();
  private readonly logged = new Set<string>();
  private readonly regionIova: number;

  constructor(config: KernelConfig) {
    const frequencyMhz = config.frequencyMhz ?? 3600;
    this.scheduler = config.scheduler;
    this.memory = config.memory;
    this.costs = config.costs ?? hostCosts(frequencyMhz);
    this.regionIova = config.memory.main.iova;
    this.buffers = new BufferPool(config.memory);
    this.skbs = new SkbPool(this.buffers, config.memory);
    this.transmit = new Transmit(this);
    this.initNet = this.addNamespace();
    for (let i = 0; i < (config.coreCount ?? 1); i++)
      this.cores.push(new HostCore(i, frequencyMhz, this, this.costs));
  }

  // ---- Time ----

  /** The core that runs worked for `costPs`: its clock moves on. */
  charge(costPs: number): void {
    this.scheduler.nowPs += costPs;
    if (this.current !== null) this.current.busyPs += costPs;
  }

  /** Waits by spinning (udelay). */
  udelay(microseconds: number): void {
    this.charge(microseconds * 1e6);
  }

  /** Runs `task` now as work of core `cpu`, from the time at which that core is free; the caller's clock is kept. */
  inContext(cpu: number, task: CoreTask): void {
    this.cores[cpu].runNow(task);
  }

  /** Runs `task` on core `cpu` at `atPs` in softirq context, as a kernel timer does. */
  mod_timer(atPs: number, task: CoreTask, cpu = this.current?.index ?? 0): EventId {
    return this.scheduler.at(atPs, () => {
      this.inContext(cpu, task);
    });
  }

  /** Cancels a timer; false when it ran already. */
  del_timer(timer: EventId): boolean {
    return this.scheduler.cancel(timer);
  }

  /** Writes a line to the kernel log. */
  printk(text: string): void {
    if (this.log.length >= LOG_LINES_MAX) this.log.shift();
    this.log.push({ atPs: this.scheduler.nowPs, text });
  }

  /** Writes a line once per run (our form of a rate limit). */
  printkOnce(text: string): void {
    if (this.logged.has(text)) return;
    this.logged.add(text);
    this.printk(text);
  }

  // ---- Devices (net-namespace.ts) ----

  /** A device that is not announced yet; carrier is on, as in Linux: a driver with a link switches it off. */
  alloc_netdev(name: string, ops: NetDeviceOps, txQueues = 1, rxQueues = 1): NetDevice {
    const dev = new NetDevice(name, ops, txQueues, rxQueues);
    dev.carrier = true;
    dev.realNumTxQueues = txQueues;
    dev.realNumRxQueues = rxQueues;
    return dev;
  }

  /** A new, empty network namespace. */
  addNamespace(): NetNamespace {
    const net = new NetNamespace(this, this.namespacesMade++);
    this.namespaces.push(net);
    return net;
  }

  /** The stack's receive function in the initial namespace. */
  get rxHandler(): RxHandler | null {
    return this.initNet.rxHandler;
  }

  set rxHandler(handler: RxHandler | null) {
    this.initNet.rxHandler = handler;
  }

  /** Announces a device; ifindex from 2 unless set before. −EEXIST when name or ifindex is taken. `%d` in a name is numbered. */
  register_netdev(dev: NetDevice, net = this.initNet): number {
    return net.register(dev);
  }

  /** Closes a device and forgets it. */
  unregister_netdev(dev: NetDevice): void {
    namespaceOf(dev).unregister(dev);
  }

  dev_get_by_name(name: string, net = this.initNet): NetDevice | null {
    return net.byName(name);
  }

  /** Registered devices of all namespaces; of each by ascending ifindex. */
  netdevs(): NetDevice[] {
    return this.namespaces.flatMap((net) => net.all());
  }

  /** Renames a device that is down: 0, −EBUSY (up), −EEXIST, −EINVAL. */
  dev_change_name(dev: NetDevice, name: string): number {
    return namespaceOf(dev).rename(dev, name);
  }

  /** Brings a device up: 0 or the errno of ndo_open. */
  dev_open(dev: NetDevice): number {
    return namespaceOf(dev).open(dev);
  }

  /** Brings a device down; what waits for transmission is dropped. */
  dev_close(dev: NetDevice): void {
    namespaceOf(dev).close(dev);
  }

  /** Sets the MTU: −EINVAL outside min/max ("mtu greater than device maximum"), else the driver's answer. */
  dev_set_mtu(dev: NetDevice, mtuBytes: number, extack?: ExtAck): number {
    return namespaceOf(dev).setMtu(dev, mtuBytes, extack);
  }

  /** Sets txqueuelen: 0 or the driver's refusal (−ENOMEM). */
  dev_change_tx_queue_len(dev: NetDevice, length: number): number {
    return namespaceOf(dev).setTxQueueLen(dev, length);
  }

  /** Sets the MAC address: −EOPNOTSUPP without the op, −EADDRNOTAVAIL for a group or zero address. */
  dev_set_mac_address(dev: NetDevice, mac: Uint8Array, extack?: ExtAck): number {
    return namespaceOf(dev).setMac(dev, mac, extack);
  }

  /** Sets or clears IFF_PROMISC / IFF_ALLMULTI and tells the driver. */
  dev_change_rx_flags(dev: NetDevice, setFlags: number, clearFlags: number): void {
    namespaceOf(dev).changeRxFlags(dev, setFlags, clearFlags);
  }

  /** dev_get_stats: the driver's counters plus what the core dropped. */
  dev_get_stats(dev: NetDevice): LinkStats64 {
    return namespaceOf(dev).stats(dev);
  }

  netif_carrier_on(dev: NetDevice): void {
    setCarrier(dev, true);
  }

  netif_carrier_off(dev: NetDevice): void {
    setCarrier(dev, false);
  }

  register_netdevice_notifier(notifier: NetDeviceNotifier, net = this.initNet): void {
    net.notifiers.push(notifier);
  }

  // ---- Memory ----

  /** A packet with room for `sizeBytes` behind `headroomBytes`, lenBytes 0; null when memory is exhausted or it is too big. */
  alloc_skb(sizeBytes: number, headroomBytes: number = SKB_HEADROOM_BYTES): SkBuff | null {
    const bufferClass = this.buffers.classFor(sizeBytes + headroomBytes);
    const headAt = bufferClass < 0 ? -1 : this.buffers.alloc(bufferClass);
    if (headAt < 0) return null;
    const truesizeBytes = BUFFER_CLASS_BYTES[bufferClass];
    return this.skbs.build(headAt, truesizeBytes, headAt + headroomBytes, 0);
  }

  /** A packet around a buffer that the driver owns: no copy (build_skb). */
  build_skb(headAt: number, truesizeBytes: number, at: number, lenBytes: number): SkBuff {
    return this.skbs.build(headAt, truesizeBytes, at, lenBytes);
  }

  /** A copy with its own buffer and the same metadata (not nfct and dst); null when memory is exhausted. */
  skb_copy(skb: SkBuff): SkBuff | null {
    const copy = this.alloc_skb(skb.lenBytes, skb.at - skb.headAt);
    if (copy === null) return null;
    skb.bytes.copyWithin(copy.at, skb.at, skb.at + skb.lenBytes);
    const shift = copy.at - skb.at;
    copy.lenBytes = skb.lenBytes;
    copy.networkAt = skb.networkAt + shift;
    copy.transportAt = skb.transportAt === 0 ? 0 : skb.transportAt + shift;
    copy.macAt = skb.macAt < 0 ? -1 : skb.macAt + shift;
    copy.dev = skb.dev;
    copy.iif = skb.iif;
    copy.protocol = skb.protocol;
    copy.vlanTci = skb.vlanTci;
    copy.hash = skb.hash;
    copy.rxQueue = skb.rxQueue;
    copy.pktType = skb.pktType;
    copy.mark = skb.mark;
    copy.priority = skb.priority;
    copy.tstampPs = skb.tstampPs;
    copy.tunnelInfo = skb.tunnelInfo;
    return copy;
  }

  /** Frees a packet whose fate was told (consume_skb). */
  free_skb(skb: SkBuff): void {
    if (skb.nfct !== null && this.onSkbFree !== null) this.onSkbFree(skb);
    this.skbs.release(skb);
  }

  /** A driver frees a receive buffer without passing its frame up; −1 (no frame) is ignored. */
  frameLost(packetId: number, dev: NetDevice): void {
    if (packetId < 0 || this.onFrameLost === null) return;
    this.onFrameLost(packetId, dev.isUp ? KernelDrop.RING_RESET : KernelDrop.DEV_DOWN);
  }

  /** Drops a packet in the driver layer: tells `onDrop`, then frees it. */
  kfree_skb_reason(skb: SkBuff, reason: KernelDrop): void {
    if (this.onDrop !== null) this.onDrop(skb, reason);
    this.free_skb(skb);
  }

  /** I/O address of an offset in the main region (every packet buffer lies there). */
  iovaOf(at: number): number {
    return this.regionIova + at;
  }

  /** Memory shared with a device, zeroed; null when exhausted. */
  dma_alloc_coherent(sizeBytes: number): CoherentMemory | null {
    return this.buffers.allocCoherent(sizeBytes);
  }

  dma_free_coherent(memory: CoherentMemory): void {
    this.buffers.freeCoherentMemory(memory);
  }

  // ---- Interrupts, NAPI, work ----

  /** Installs the handler of an MSI-X vector on core `cpu` (taken modulo the number of cores). */
  request_irq(functionIndex: number, vector: number, handler: IrqHandler, cpu: number): void {
    const key = functionIndex * 4096 + vector;
    assert(!this.irqs.has(key), `request_irq: function ${functionIndex} vector ${vector} is taken`);
    this.irqs.set(key, { handler, core: this.cores[cpu % this.cores.length] });
  }

  free_irq(functionIndex: number, vector: number): void {
    this.irqs.delete(functionIndex * 4096 + vector);
  }

  /** MsixSink of the device: a message arrived now. */
  interrupt(functionIndex: number, vector: number): void {
    const irq = this.irqs.get(functionIndex * 4096 + vector);
    if (irq === undefined) {
      this.printkOnce(`irq: function ${functionIndex} vector ${vector}: nobody cared`);
      return;
    }
    irq.core.interrupt(() => {
      irq.handler(vector);
    });
  }

  /** A NAPI, disabled until napi_enable. `deferral`: the device's own (NetDevice.napiDeferral). */
  netif_napi_add(
    name: string,
    poller: NapiPoller,
    weight?: number,
    deferral: NapiDeferral | null = null,
  ): Napi {
    if (weight !== undefined && weight > 64)
      this.printk(`netif_napi_add() called with weight ${weight}`);
    const napi = new Napi(name, poller, weight);
    napi.deferral = deferral;
    return napi;
  }

  napi_enable(napi: Napi): void {
    napi.disabled = false;
  }

  /** Takes it off its list; schedule requests are ignored until napi_enable. */
  napi_disable(napi: Napi): void {
    napi.disabled = true;
    napi.core?.removeNapi(napi);
    disarm(this, napi);
    napi.scheduled = false;
    napi.missed = false;
  }

  /** Schedules a poll on the core that runs (core 0 outside of one). */
  napi_schedule(napi: Napi): void {
    if (napi.disabled) return;
    if (napi.scheduled) {
      napi.missed = true;
      return;
    }
    napi.scheduled = true;
    (this.current ?? this.cores[0]).addNapi(napi);
  }

  /** The poll found less than its budget: true when interrupts may be enabled again. */
  napi_complete_done(napi: Napi, workDone: number): boolean {
    return completeDone(this, napi, workDone);
  }

  /**
   * A reader on core `cpu` polls the device itself for `forPs` (default: net.core.busy_read) or until `done` answers true
   * (napi_busy_loop); `end` is told what came of it. False when somebody else polls the NAPI, or the time is zero.
   */
  napi_busy_loop(
    napi: Napi,
    cpu: number,
    done: () => boolean,
    end: BusyPollEnd,
    forPs: number = this.busyReadUs * 1e6,
  ): boolean {
    return forPs > 0 && busyPoll(this, napi, cpu, forPs, done, end);
  }

  /** A work queue on core `cpu` with at most `maxActive` unfinished items. */
  alloc_workqueue(name: string, maxActive = 1, cpu = 0): WorkQueue {
    return new WorkQueue(name, maxActive, this.scheduler, this.cores[cpu % this.cores.length]);
  }

  /** Queues an item, `delayPs` from now; the item calls `done` when it has finished. */
  queue_work(workQueue: WorkQueue, item: WorkItem, delayPs = 0): void {
    workQueue.queue(item, delayPs);
  }

  // ---- Packets up and down ----

  /** A driver passes a packet up: skb.at at the MAC header, eth_type_trans done. */
  netif_receive_skb(skb: SkBuff, dev: NetDevice): void {
    this.charge(this.costs.netifReceivePs);
    skb.dev = dev;
    skb.iif = dev.ifindex;
    skb.packetId = this.memory.ownerAt(this.regionIova + skb.at);
    skb.tstampPs = this.scheduler.nowPs;
    const state = stateOf(dev);
    state.rxPackets++;
    state.rxBytes += skb.lenBytes;
    if (this.rfs !== null && this.rfs.steer(skb, dev)) return;
    this.deliverUp(skb);
  }

  /** Gives a received packet to the stack, on the core that runs. */
  deliverUp(skb: SkBuff): void {
    const dev = skb.dev as NetDevice;
    const handler = dev.net === null ? null : dev.net.rxHandler;
    if (handler === null) {
      if (dev.state !== null) dev.state.rxDropped++;
      this.kfree_skb_reason(skb, KernelDrop.NO_HANDLER);
      return;
    }
    if (this.onReceive !== null) this.onReceive(skb, dev);
    handler.receive(skb, dev);
  }

  /** Receive packet steering; made when first asked for, and off until something is set. */
  get receiveSteering(): Rfs {
    this.rfs ??= new Rfs(this);
    return this.rfs;
  }

  /** rps_may_expire_flow: whether a driver should remove the filter of an accelerated flow. */
  rps_may_expire_flow(dev: NetDevice, queue: number, flowId: number, filterId: number): boolean {
    return this.receiveSteering.mayExpire(dev, queue, flowId, filterId);
  }

  /**
   * Sends a packet: skb.at at the MAC header. Takes the packet in every case. Answers 0, NET_XMIT_DROP or NET_XMIT_CN
   * (dropped and told to onDrop), or −ENETDOWN (likewise).
   */
  dev_queue_xmit(skb: SkBuff, dev: NetDevice): number {
    return this.transmit.xmit(skb, dev);
  }

  /** Whether the driver may leave the doorbell to a packet that follows at once. */
  netdev_xmit_more(): boolean {
    return this.transmit.xmitMore;
  }

  /** The driver cannot take packets on this queue. */
  netif_tx_stop_queue(dev: NetDevice, queue: number): void {
    dev.txStopped[queue] = 1;
  }

  /** It can again: what waits is sent now. */
  netif_tx_wake_queue(dev: NetDevice, queue: number): void {
    if (dev.txStopped[queue] === 0) return;
    dev.txStopped[queue] = 0;
    this.transmit.run(stateOf(dev).txQueues[queue]);
  }

  /** Allows packets on every queue (ndo_open). */
  netif_tx_start_all_queues(dev: NetDevice): void {
    dev.txStopped.fill(0);
  }

  /** Called by cores at the end of each step. */
  flushTransmit(): void {
    this.transmit.flush();
  }

  /** The pfifos in front of a device's queues. */
  txQueues(dev: NetDevice): TxQueue[] {
    return stateOf(dev).txQueues;
  }
}
