// Receive packet steering in the core (net/core/dev.c, spec D.3): RPS spreads packets over CPUs by hash, RFS sends a flow to the CPU
// where its application last read, and accelerated RFS asks the device to deliver it there.
//
// A packet that belongs on another CPU goes into that CPU's backlog (net.core.netdev_max_backlog packets), which its softirq polls like
// any NAPI. A flow follows its application only when its old CPU is unset or has worked off everything queued for the flow, so
// packets are never reordered. The CPU that an application reads on is told by `recordFlow`.

import type { HostCore } from './host-core.ts';
import type { Kernel } from './kernel.ts';
import type { Napi, NapiPoller } from './napi.ts';
import type { NetDevice } from './netdev.ts';
import type { SkBuff } from './skb.ts';
import { KernelDrop } from './transmit.ts';

/** net.core.netdev_max_backlog. */
export const NETDEV_MAX_BACKLOG = 1000;
const NO_CPU = -1;
/** No filter (RPS_NO_FILTER). */
const NO_FILTER = 0xffff;

/** One receive queue's flow table: where each flow is being processed. */
class DevFlowTable {
  readonly mask: number;
  readonly cpu: Int32Array;
  readonly lastTail: Float64Array;
  readonly filter: Uint16Array;

  constructor(entries: number) {
    this.mask = entries - 1;
    this.cpu = new Int32Array(entries).fill(NO_CPU);
    this.lastTail = new Float64Array(entries);
    this.filter = new Uint16Array(entries).fill(NO_FILTER);
  }
}

/** RPS settings of one receive queue. */
class QueueSettings {
  /** rps_cpus: CPUs to spread over; empty: RPS is off. */
  cpus: number[] = [];
  /** rps_flow_cnt. */
  flows: DevFlowTable | null = null;
}

/** Packets that wait for a CPU (softnet_data.input_pkt_queue). */
class Backlog implements NapiPoller {
  readonly packets: SkBuff[] = [];
  /** Packets taken off, and put on, since the start. */
  head = 0;
  tail = 0;
  dropCount = 0;
  napi!: Napi;
  private readonly kernel: Kernel;

  constructor(kernel: Kernel) {
    this.kernel = kernel;
  }

  poll(budget: number): number {
    let work = 0;
    while (work < budget && this.packets.length > 0) {
      const skb = this.packets.shift() as SkBuff;
      this.head++;
      work++;
      this.kernel.deliverUp(skb);
    }
    if (work < budget) this.kernel.napi_complete_done(this.napi, work);
    return work;
  }
}

export class Rfs {
  /** rps_sock_flow_entries: hash → CPU, or null. */
  private sockFlows: Int32Array | null = null;
  private readonly settings = new Map<NetDevice, QueueSettings[]>();
  private readonly backlogs: Backlog[] = [];
  private readonly kernel: Kernel;
  /** Flows that asked the device for a filter, and how often it refused. */
  steerCount = 0;
  steerRefusals = 0;
  // The flow of the packet at hand: where it is kept.
  private table: DevFlowTable | null = null;
  private slot = 0;

  constructor(kernel: Kernel) {
    this.kernel = kernel;
  }

  /** net.core.rps_sock_flow_entries: rounded up to a power of two, 0 switches RFS off. */
  setSockFlowEntries(entries: number): void {
    this.sockFlows = entries === 0 ? null : new Int32Array(powerOfTwo(entries)).fill(NO_CPU);
  }

  get sockFlowEntries(): number {
    return this.sockFlows?.length ?? 0;
  }

  /** rps_cpus of a queue. */
  setCpus(dev: NetDevice, queue: number, cpus: readonly number[]): void {
    this.of(dev, queue).cpus = [...cpus];
  }

  cpusOf(dev: NetDevice, queue: number): readonly number[] {
    return this.settings.get(dev)?.[queue]?.cpus ?? [];
  }

  /** rps_flow_cnt of a queue: rounded up to a power of two, 0 for no table. */
  setFlowCount(dev: NetDevice, queue: number, entries: number): void {
    const flows = entries === 0 ? null : new DevFlowTable(powerOfTwo(entries));
    this.of(dev, queue).flows = flows;
  }

  flowCountOf(dev: NetDevice, queue: number): number {
    const flows = this.settings.get(dev)?.[queue]?.flows;
    return flows === null || flows === undefined ? 0 : flows.mask + 1;
  }

  /** An application on `cpu` reads the flow with this hash (rps_record_sock_flow). */
  recordFlow(hash: number, cpu: number): void {
    const table = this.sockFlows;
    if (table !== null && hash !== 0) table[hash & (table.length - 1)] = cpu;
  }

  /** A driver passed a packet up: true when it waits in another CPU's backlog now. */
  steer(skb: SkBuff, dev: NetDevice): boolean {
    const queue = Math.max(skb.rxQueue - 1, 0);
    const settings = this.settings.get(dev)?.[queue];
    if (settings === undefined || (settings.cpus.length === 0 && settings.flows === null))
      return false;
    if (skb.hash === 0) return false;
    const current = this.kernel.current;
    const cpu = this.cpuOf(skb, dev, queue, settings);
    if (cpu < 0 || current === null || cpu === current.index) return false;
    this.enqueue(skb, cpu);
    return true;
  }

  /** rps_may_expire_flow: whether the driver should remove a filter (spec D.3, E.6 92). */
  mayExpire(dev: NetDevice, queue: number, flowId: number, filterId: number): boolean {
    const flows = this.settings.get(dev)?.[queue]?.flows ?? null;
    if (flows === null || flowId > flows.mask) return true;
    const cpu = flows.cpu[flowId];
    if (flows.filter[flowId] !== filterId || cpu < 0 || cpu >= this.kernel.cores.length)
      return true;
    const advance = this.backlog(cpu).head - flows.lastTail[flowId];
    return advance >= 10 * flows.mask;
  }

  /** The CPU that a packet belongs on, −1 for where it is; leaves its flow in `table` and `slot` (get_rps_cpu). */
  private cpuOf(skb: SkBuff, dev: NetDevice, queue: number, settings: QueueSettings): number {
    const { flows, cpus } = settings;
    const hash = skb.hash >>> 0;
    this.table = null;
    if (flows !== null && this.sockFlows !== null) {
      const wanted = this.sockFlows[hash & (this.sockFlows.length - 1)];
      if (wanted >= 0 && wanted < this.kernel.cores.length) {
        this.table = flows;
        this.slot = hash & flows.mask;
        if (wanted !== flows.cpu[this.slot] && this.hasDrained(flows, this.slot))
          this.move(skb, dev, queue, flows, wanted);
        return this.table.cpu[this.slot];
      }
    }
    if (cpus.length === 0) return -1;
    return cpus[Math.floor((hash * cpus.length) / 0x1_0000_0000)];
  }

  /** Whether the old CPU is unset, gone, or has worked off the flow's last packet. */
  private hasDrained(flows: DevFlowTable, slot: number): boolean {
    const old = flows.cpu[slot];
    if (old < 0 || old >= this.kernel.cores.length) return true;
    return this.backlog(old).head - flows.lastTail[slot] >= 0;
  }

  /** The flow goes to another CPU (set_rps_cpu): if the device follows, in the table of its new queue, else in this one. */
  private move(skb: SkBuff, dev: NetDevice, queue: number, flows: DevFlowTable, cpu: number): void {
    const target = this.targetQueue(skb, dev, queue, cpu);
    const table = target < 0 ? null : this.of(dev, target).flows;
    if (table !== null) {
      const flowId = skb.hash & table.mask;
      this.steerCount++;
      const filter = dev.ops.ndo_rx_flow_steer?.(dev, skb, target, flowId) ?? -1;
      if (filter < 0) this.steerRefusals++;
      else {
        if (flows.filter[this.slot] === filter) flows.filter[this.slot] = NO_FILTER;
        this.table = table;
        this.slot = flowId;
        table.filter[flowId] = filter;
      }
    }
    const to = this.table ?? flows;
    to.lastTail[this.slot] = this.backlog(cpu).head;
    to.cpu[this.slot] = cpu;
  }

  /** The queue of a CPU to which the device could move the flow, −1 when it cannot be asked. */
  private targetQueue(skb: SkBuff, dev: NetDevice, queue: number, cpu: number): number {
    if (skb.rxQueue === 0 || dev.ops.ndo_rx_flow_steer === undefined || dev.rxCpuRmap === null)
      return -1;
    if (!dev.features.has('rx-ntuple-filter')) return -1;
    const target = dev.rxCpuRmap[cpu] ?? -1;
    return target === queue ? -1 : target;
  }

  private enqueue(skb: SkBuff, cpu: number): void {
    const { kernel } = this;
    const backlog = this.backlog(cpu);
    kernel.charge(kernel.costs.backlogPs);
    if (backlog.packets.length >= NETDEV_MAX_BACKLOG) {
      backlog.dropCount++;
      kernel.kfree_skb_reason(skb, KernelDrop.CPU_BACKLOG);
      return;
    }
    backlog.packets.push(skb);
    backlog.tail++;
    if (this.table !== null) this.table.lastTail[this.slot] = backlog.tail;
    if (backlog.napi.scheduled) return;
    backlog.napi.scheduled = true;
    const core: HostCore = kernel.cores[cpu];
    core.interrupt(() => {
      core.addNapi(backlog.napi);
    });
  }

  private backlog(cpu: number): Backlog {
    let backlog = this.backlogs[cpu];
    if (backlog === undefined) {
      backlog = new Backlog(this.kernel);
      backlog.napi = this.kernel.netif_napi_add(`backlog-${cpu}`, backlog);
      this.kernel.napi_enable(backlog.napi);
      this.backlogs[cpu] = backlog;
    }
    return backlog;
  }

  private of(dev: NetDevice, queue: number): QueueSettings {
    let queues = this.settings.get(dev);
    if (queues === undefined) {
      queues = [];
      this.settings.set(dev, queues);
    }
    return (queues[queue] ??= new QueueSettings());
  }
}

function powerOfTwo(entries: number): number {
  let size = 1;
  while (size < entries) size *= 2;
  return size;
}
