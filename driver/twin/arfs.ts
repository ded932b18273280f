// Accelerated RFS of the reference driver: perfect filters for single flows, on demand of the core (ndo_rx_flow_steer, spec D.3).
//
// The call comes in softirq: the id is given at once, the device is written by a work item. Ids begin above every ntuple location,
// since both are software indices of one table. Expired filters are looked for once a second, 60 at most per pass (as mlx5 does).
// TCP and UDP over IPv4, whole packets: that is what perfect filters can tell apart.

import type { TwinAdapter } from './adapter.ts';
import { FULL_FDIR_MASK } from './fdir.ts';
import { EINVAL, ENOSPC, EPERM, EPROTONOSUPPORT } from '../errno.ts';
import { FlowKeys, readFlowKeys } from '../flow-keys.ts';
import type { SkBuff } from '../skb.ts';
import type { WorkQueue } from '../workqueue.ts';
import { FLOW_TCP, FLOW_UDP } from '../../hw/steering/fdir-hash.ts';

const FIRST_ID = 0x4000;
const EXPIRE_PERIOD_PS = 1e12;
const EXPIRE_QUOTA = 60;

interface Filter {
  id: number;
  key: string;
  queue: number;
  flowId: number;
}

export class Arfs {
  /** Filters made and removed since the start. */
  addedCount = 0;
  expiredCount = 0;

  private readonly adapter: TwinAdapter;
  private readonly keys = new FlowKeys();
  private readonly byKey = new Map<string, Filter>();
  private readonly byId = new Map<number, Filter>();
  private work: WorkQueue | null = null;
  private nextId = FIRST_ID;
  private isScanning = false;

  constructor(adapter: TwinAdapter) {
    this.adapter = adapter;
  }

  /** Filters that there are. */
  get count(): number {
    return this.byKey.size;
  }

  /** ndo_rx_flow_steer: the filter's id, or −EPROTONOSUPPORT, −EPERM, −EINVAL (another mask is in use), −ENOSPC. */
  steer(skb: SkBuff, queue: number, flowId: number): number {
    const { adapter, keys } = this;
    const { fdir, dev } = adapter;
    if (!dev.features.has('rx-ntuple-filter') || !adapter.running) return -EPERM;
    const lenBytes = skb.lenBytes + skb.at - skb.macAt;
    const isFlow = readFlowKeys(skb.bytes, skb.macAt, lenBytes, keys);
    if (!isFlow || keys.family !== 4) return -EPROTONOSUPPORT;
    if (!fdir.takesMask(FULL_FDIR_MASK)) return -EINVAL;
    const { src, dst, sport, dport, proto } = keys;
    const key = `${src} ${dst} ${sport} ${dport} ${proto}`;
    let filter = this.byKey.get(key);
    if (filter === undefined) {
      if (fdir.count >= fdir.capacity) return -ENOSPC;
      filter = { id: this.freeId(), key, queue, flowId };
      this.byKey.set(key, filter);
      this.byId.set(filter.id, filter);
      this.addedCount++;
    }
    filter.queue = queue;
    filter.flowId = flowId;
    const input = {
      flowType: proto === 6 ? FLOW_TCP : FLOW_UDP,
      src: src >>> 0,
      dst: dst >>> 0,
      ports: ((sport << 16) | dport) >>> 0,
      vlan: 0,
      flex: 0,
    };
    const { id } = filter;
    this.queue((done) => {
      const live = this.byId.get(id);
      if (live !== undefined) {
        const action = { drop: false, queue: live.queue, context: 0 };
        if (fdir.add(id, input, FULL_FDIR_MASK, action) !== 0) this.forget(live);
      }
      done();
    });
    this.scanLater();
    return id;
  }

  /** Removes every filter: ntuple was switched off, or the channels change. */
  removeAll(): void {
    for (const filter of [...this.byKey.values()]) this.remove(filter);
  }

  /** Looks at filters that nobody has looked at for longest; removes those that the core has forgotten. */
  private expire(): void {
    const { kernel, dev } = this.adapter;
    let quota = EXPIRE_QUOTA;
    for (const filter of [...this.byKey.values()]) {
      if (quota-- === 0) break;
      if (kernel.rps_may_expire_flow(dev, filter.queue, filter.flowId, filter.id)) {
        this.expiredCount++;
        this.remove(filter);
      } else {
        // To the end, so that the next pass looks at others.
        this.byKey.delete(filter.key);
        this.byKey.set(filter.key, filter);
      }
    }
  }

  private scanLater(): void {
    if (this.isScanning) return;
    this.isScanning = true;
    const { kernel } = this.adapter;
    kernel.mod_timer(kernel.scheduler.nowPs + EXPIRE_PERIOD_PS, () => {
      this.isScanning = false;
      this.expire();
      if (this.byKey.size > 0) this.scanLater();
    });
  }

  private remove(filter: Filter): void {
    this.forget(filter);
    this.adapter.fdir.remove(filter.id);
  }

  private forget(filter: Filter): void {
    this.byKey.delete(filter.key);
    this.byId.delete(filter.id);
  }

  private freeId(): number {
    while (this.byId.has(this.nextId)) this.nextId = this.after(this.nextId);
    const id = this.nextId;
    this.nextId = this.after(id);
    return id;
  }

  private after(id: number): number {
    return id === 0x7fff ? FIRST_ID : id + 1;
  }

  private queue(item: (done: () => void) => void): void {
    const { kernel } = this.adapter;
    this.work ??= kernel.alloc_workqueue(`${this.adapter.dev.name}-arfs`, 1, this.adapter.firstCpu);
    kernel.queue_work(this.work, item);
  }
}
