// A tun or tap device: its queues, which one a packet takes, and what is dropped on the way there (drivers/net/tun.c).
//
// Directions: the stack sends to the device (ndo_start_xmit) and the program behind a queue's file descriptor reads; what it writes the
// stack receives (tun-io.ts). A device keeps its queues without gaps: detaching one moves the last into its slot, so flows learned for
// that index follow it. Flows of the removed last index are left in the table (detach deletes an index that nothing
// uses: recorded), answer a queue that does not exist and are sent to queue 0 by the core, until the queue comes back.
//
// Packets of a tun (no Ethernet) carry a made-up header of 14 bytes inside the stack. Left out: GSO packets, VLAN offload in vnet
// headers, XDP programs on the device, NAPI per queue (IFF_NAPI is accepted and changes nothing), send-buffer accounting.

import { E2BIG, EBUSY, EINVAL, ENOMEM, ENXIO } from '../../../driver/errno.ts';
import type { Kernel } from '../../../driver/kernel.ts';
import {
  IFF_BROADCAST,
  IFF_MULTICAST,
  IFF_NOARP,
  IFF_POINTOPOINT,
} from '../../../driver/netdev.ts';
import type { LinkStats64, NetDevice, NetDeviceOps } from '../../../driver/netdev.ts';
import type { SkBuff } from '../../../driver/skb.ts';
import { NET_XMIT_DROP, NET_XMIT_SUCCESS } from '../../../driver/transmit.ts';
import { StackDrop } from '../outcome.ts';
import type { BpfProgram, BpfRunner } from './bpf/program.ts';
import { RING_PRODUCE_PS, RING_SWITCH_PS } from './costs.ts';
import { FlowHasher } from './flow-hash.ts';
import type { FlowHash } from './flow-hash.ts';
import { FlowTable } from './flow-table.ts';
import { AUTOMQ, PROGRAM } from './steering.ts';
import type { SteeringDevice, TunSteeringOps } from './steering.ts';
import { TapFilter } from './tap-filter.ts';
import type { TunFile } from './tun-file.ts';
import { tunEthtoolOps } from './tun-ethtool.ts';
import * as U from './uapi.ts';

const ETH_HEADER_BYTES = 14;
const TX_QUEUE_LEN_TUN = 500;
const TX_QUEUE_LEN_TAP = 1000;
/** Longest ring that memory is found for. */
const RING_MAX = 1 << 20;

/** What a device needs of the machine around it. */
export interface TunHost {
  readonly kernel: Kernel;
  readonly bpf: BpfRunner;
  readonly flowHash: FlowHash;
  /** Ends a packet with a reason, and as read by a program. */
  drop(skb: SkBuff, reason: StackDrop): void;
  consume(skb: SkBuff, what: string): void;
}

/** Counters that `ip -s link` and tuntap show. */
export class TunStats {
  rxPackets = 0;
  rxBytes = 0;
  rxDropped = 0;
  rxFrameErrors = 0;
  txPackets = 0;
  txBytes = 0;
  txDropped = 0;
}

export class TunDevice implements SteeringDevice {
  readonly dev: NetDevice;
  readonly kernel: Kernel;
  readonly bpf: BpfRunner;
  readonly hasher: FlowHasher;
  readonly flows: FlowTable;
  readonly stats = new TunStats();
  readonly txFilter = new TapFilter();
  /** IFF_* as TUNSETIFF gave them, with IFF_PERSIST. */
  flags: number;
  /** Attached queues by index; disabled ones in order of their detaching. */
  readonly queues: TunFile[] = [];
  readonly disabled: TunFile[] = [];
  /** −1 for anyone. */
  owner = -1;
  group = -1;
  vnetHeaderBytes = U.VNET_HDR_BYTES;
  sndbufBytes = 0x7fff_ffff;
  /** TUNSETVNETLE. The machine is little-endian, so headers are anyway. */
  vnetLittleEndian = false;
  offloads = 0;
  /** ethtool rx-frames, at most 64. */
  rxBatched = 0;
  rpsNeeded = false;
  /** Policy while no program is set. */
  policy: TunSteeringOps = AUTOMQ;
  steeringProgram: BpfProgram | null = null;
  filterProgram: BpfProgram | null = null;

  private readonly host: TunHost;

  /** Not registered yet. `flags` are TUNSETIFF's. */
  constructor(host: TunHost, name: string, flags: number) {
    this.host = host;
    this.kernel = host.kernel;
    this.bpf = host.bpf;
    this.hasher = new FlowHasher(host.flowHash);
    this.flags = flags;
    const { scheduler } = host.kernel;
    this.flows = new FlowTable({
      get nowPs() {
        return scheduler.nowPs;
      },
      at: (atPs, run) => scheduler.at(atPs, run),
      cancel: (id) => scheduler.cancel(id),
    });
    const queues = (flags & U.IFF_MULTI_QUEUE) !== 0 ? U.MAX_TAP_QUEUES : 1;
    this.dev = host.kernel.alloc_netdev(name, this.ops(), queues, queues);
    this.initNetDevice();
  }

  get isTap(): boolean {
    return (this.flags & U.IFF_TAP) !== 0;
  }

  get madeUpHeaderBytes(): number {
    return this.isTap ? 0 : ETH_HEADER_BYTES;
  }

  get numqueues(): number {
    return this.queues.length;
  }

  get isMultiQueue(): boolean {
    return (this.flags & U.IFF_MULTI_QUEUE) !== 0;
  }

  /** The policy in force: a program comes before all others. */
  get steering(): TunSteeringOps {
    return this.steeringProgram !== null ? PROGRAM : this.policy;
  }

  /** Times that a ring's lock went from one core to another. */
  get ringLockSwitches(): number {
    return [...this.queues, ...this.disabled].reduce((sum, q) => sum + q.ring.lockSwitches, 0);
  }

  // ---- queues ----

  /** tun_attach: 0 or −errno. */
  attach(file: TunFile): number {
    if (file.tun !== null && !file.detached) return -EINVAL;
    if (!this.isMultiQueue && this.numqueues === 1) return -EBUSY;
    if (!file.detached && this.numqueues + this.disabled.length === U.MAX_TAP_QUEUES) return -E2BIG;
    if (file.detached) {
      this.disabled.splice(this.disabled.indexOf(file), 1);
      file.detached = false;
    } else file.ring.resize(this.dev.txqueuelen);
    file.queueIndex = this.numqueues;
    file.tun = this;
    this.queues.push(file);
    this.setRealQueues();
    return 0;
  }

  /** The queue stays with its file, disabled (IFF_DETACH_QUEUE). */
  disable(file: TunFile): void {
    this.takeOut(file);
    file.detached = true;
    this.disabled.push(file);
  }

  /** The file is closed: true when no queue is left, attached or disabled. */
  close(file: TunFile): boolean {
    if (file.detached) this.disabled.splice(this.disabled.indexOf(file), 1);
    else this.takeOut(file);
    file.tun = null;
    file.detached = false;
    return this.numqueues + this.disabled.length === 0;
  }

  /** The device goes: every file loses it (tun_detach_all). */
  detachAll(): TunFile[] {
    const files = [...this.queues, ...this.disabled];
    this.queues.length = this.disabled.length = 0;
    for (const file of files) {
      file.tun = null;
      file.detached = false;
      this.purge(file);
    }
    this.flows.destroy();
    return files;
  }

  /** First half of detaching: the last queue moves into the slot. */
  private takeOut(file: TunFile): void {
    const index = file.queueIndex;
    const last = this.queues[this.numqueues - 1];
    this.queues[index] = last;
    last.queueIndex = index;
    this.queues.length--;
    // Not the index that is gone but the one after: as Linux has it (recorded), nothing uses it.
    this.flows.deleteQueue(this.numqueues + 1);
    this.purge(file);
    this.setRealQueues();
  }

  /** Throws away what waits in a ring; no counter of the device moves. */
  private purge(file: TunFile): void {
    for (let skb = file.ring.shift(); skb !== null; skb = file.ring.shift())
      this.host.drop(skb, StackDrop.TUN_PURGED);
  }

  /** The core refuses 0 queues: the number stays 1 then. */
  private setRealQueues(): void {
    if (this.numqueues === 0) return;
    this.dev.realNumTxQueues = this.numqueues;
    this.dev.realNumRxQueues = this.numqueues;
  }

  // ---- way out: from the stack to a queue ----

  /** Order of spec A.7; every refusal is counted as tx_dropped and takes the packet. */
  xmit(skb: SkBuff): number {
    const file = this.queues[skb.queueMapping];
    if (file === undefined) return this.dropOut(skb, StackDrop.TUN_NO_QUEUE);
    this.steering.xmit(this, skb);
    if (this.isTap && !this.txFilter.passes(skb.bytes, skb.at))
      return this.dropOut(skb, StackDrop.TAP_TXFILTER);
    skb.at += this.madeUpHeaderBytes;
    skb.lenBytes -= this.madeUpHeaderBytes;
    const filtered = this.runFilters(skb, file);
    if (filtered !== StackDrop.NONE) return this.dropOut(skb, filtered);
    if (skb.nfct !== null) {
      this.kernel.onSkbFree?.(skb);
      skb.nfct = null;
    }
    return this.produce(skb, file) ? NET_XMIT_SUCCESS : this.dropOut(skb, StackDrop.FULL_RING);
  }

  /** Socket filter and eBPF filter: what they keep stays; NONE when the packet goes on. */
  private runFilters(skb: SkBuff, file: TunFile): StackDrop {
    if (file.socketFilter !== null) {
      const keep = this.bpf.run(file.socketFilter, skb);
      if (keep === 0) return StackDrop.SOCKET_FILTER;
      if (keep < skb.lenBytes) skb.lenBytes = keep;
    }
    if (this.filterProgram !== null) {
      const keep = this.bpf.run(this.filterProgram, skb);
      if (keep === 0) return StackDrop.TAP_FILTER;
      if (keep < skb.lenBytes) skb.lenBytes = keep;
    }
    return StackDrop.NONE;
  }

  /** Into the ring under its lock; false when it is full. */
  private produce(skb: SkBuff, file: TunFile): boolean {
    const { kernel } = this;
    const { ring } = file;
    const cpu = kernel.current?.index ?? 0;
    const waitPs = ring.lockedUntilPs - kernel.scheduler.nowPs;
    if (waitPs > 0 && ring.lastCpu !== cpu) kernel.charge(waitPs);
    if (ring.lastCpu !== cpu) {
      if (ring.lastCpu >= 0) {
        ring.lockSwitches++;
        kernel.charge(RING_SWITCH_PS);
      }
      ring.lastCpu = cpu;
    }
    kernel.charge(RING_PRODUCE_PS);
    ring.lockedUntilPs = kernel.scheduler.nowPs;
    const wasEmpty = ring.count === 0;
    if (!ring.push(skb)) return false;
    if (wasEmpty) file.onReadable?.();
    return true;
  }

  private dropOut(skb: SkBuff, reason: StackDrop): number {
    this.stats.txDropped++;
    this.host.drop(skb, reason);
    return NET_XMIT_DROP;
  }

  /**
   * ndo_xdp_xmit: frames redirected here by XDP on the running core go to ring `cpu % queues`, whatever the policy. Answers how many
   * were taken (the rest stays the caller's), −ENXIO without queues, −EINVAL for unknown flags.
   */
  xdpXmit(frames: readonly SkBuff[], flags = 0): number {
    if ((flags & ~1) !== 0) return -EINVAL;
    if (this.numqueues === 0) return -ENXIO;
    const cpu = this.kernel.current?.index ?? 0;
    const file = this.queues[cpu % this.numqueues];
    let taken = 0;
    for (const skb of frames) {
      if (!this.produce(skb, file)) {
        this.stats.txDropped++;
        break;
      }
      taken++;
    }
    return taken;
  }

  /** `ip link set txqueuelen`: every ring of the device, attached and disabled; what no longer fits is freed. */
  resizeRings(capacity: number): number {
    if (capacity > RING_MAX) return -ENOMEM;
    for (const file of [...this.queues, ...this.disabled])
      for (const skb of file.ring.resize(capacity)) this.host.drop(skb, StackDrop.TUN_PURGED);
    return 0;
  }

  // ---- net device ----

  private initNetDevice(): void {
    const { dev } = this;
    dev.priv = this;
    dev.ethtoolOps = tunEthtoolOps(this);
    dev.realNumTxQueues = dev.realNumRxQueues = 1;
    dev.mtuBytes = 1500;
    dev.minMtuBytes = 68;
    dev.carrier = false;
    if (this.isTap) {
      dev.maxMtuBytes = 65535 - ETH_HEADER_BYTES;
      dev.txqueuelen = TX_QUEUE_LEN_TAP;
      dev.flags = IFF_BROADCAST | IFF_MULTICAST;
    } else {
      dev.maxMtuBytes = 65535;
      dev.txqueuelen = TX_QUEUE_LEN_TUN;
      dev.flags = IFF_POINTOPOINT | IFF_MULTICAST | IFF_NOARP;
    }
  }

  private ops(): NetDeviceOps {
    return {
      ndo_open: (dev) => {
        this.kernel.netif_tx_start_all_queues(dev);
        return 0;
      },
      ndo_stop: () => 0,
      ndo_start_xmit: (skb) => this.xmit(skb),
      ndo_select_queue: (_dev, skb) => this.steering.select_queue(this, skb),
      ndo_get_stats64: (_dev, out) => this.fillStats(out),
      ndo_change_tx_queue_len: (_dev, length) => this.resizeRings(length),
      ...(this.isTap
        ? {
            ndo_set_mac_address: (dev: NetDevice, mac: Uint8Array): number => {
              dev.mac.set(mac);
              return 0;
            },
          }
        : {}),
    };
  }

  private fillStats(out: LinkStats64): void {
    const { stats } = this;
    out.rx_packets = stats.rxPackets;
    out.rx_bytes = stats.rxBytes;
    out.rx_dropped = stats.rxDropped;
    out.rx_errors = stats.rxFrameErrors;
    out.tx_packets = stats.txPackets;
    out.tx_bytes = stats.txBytes;
    out.tx_dropped = stats.txDropped;
  }
}
