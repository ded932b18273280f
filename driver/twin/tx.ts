// Transmit ring of the reference driver: maps a packet in place, posts it, rings the doorbell, reclaims on write-back.
//
// One data descriptor per packet, more only above 16 KiB (IXGBE_MAX_DATA_PER_TXD); a context descriptor goes in front when
// the VLAN tag to insert differs from the previous packet's. RS is set on the last descriptor of each packet, as ixgbe does,
// so the device writes DD back per packet. The queue is stopped while fewer slots are free than one maximal packet
// needs, and woken from reclaim when twice as many are. The doorbell is rung per packet unless netdev_xmit_more().
//
// Not here: TSO, checksum offload (the stack's packets carry finished checksums), scatter/gather.

import type { CoherentMemory } from '../alloc.ts';
import type { Kernel } from '../kernel.ts';
import type { Mmio } from '../mmio.ts';
import { NETDEV_TX_BUSY, NETDEV_TX_OK } from '../netdev.ts';
import type { NetDevice } from '../netdev.ts';
import type { SkBuff } from '../skb.ts';
import { KernelDrop } from '../transmit.ts';
import type { AtrSampler } from './atr.ts';
import type { TxQueueStats } from './queue-stats.ts';
import {
  DESCRIPTOR_BYTES,
  TXD_CC,
  TXD_DCMD_EOP,
  TXD_DCMD_IFCS,
  TXD_DCMD_RS,
  TXD_DCMD_VLE,
  txIsDone,
  writeTxContext,
  writeTxData,
} from '../../hw/dma/descriptor.ts';
import { TDT } from '../../hw/regs.ts';

/** Bytes per data descriptor. */
const DATA_PER_DESCRIPTOR_BYTES = 16384;
/** Slots that one maximal packet (64 KiB and a header) takes, with its context descriptor. */
export const TX_SLOTS_NEEDED = 6;
/** Free slots at which a stopped queue is woken. */
const TX_WAKE_SLOTS = 2 * TX_SLOTS_NEEDED;
/** Packets reclaimed per poll (ixgbe's tx work limit). */
const TX_WORK_LIMIT = 256;
/** Shortest frame that the device takes; shorter ones are padded with zeros by software. */
const TX_MIN_BYTES = 17;

export class TxRing {
  readonly stats: TxQueueStats;
  readonly queue: number;
  readonly slots: number;
  readonly memory: CoherentMemory;
  private readonly kernel: Kernel;
  private readonly dev: NetDevice;
  private readonly bar0: Mmio;
  private readonly view: DataView;
  private readonly ringAt: number;
  /** The packet that begins in a slot, and its last slot. */
  private readonly skbs: (SkBuff | null)[];
  private readonly lastSlot: Int32Array;
  private nextToUse = 0;
  private nextToClean = 0;
  private used = 0;
  private contextTci = -1;
  private doorbellDue = false;
  /** Teaches Flow Director the flows sent here; null: ATR is off. */
  atr: AtrSampler | null = null;

  constructor(
    kernel: Kernel,
    dev: NetDevice,
    bar0: Mmio,
    queue: number,
    slots: number,
    memory: CoherentMemory,
    stats: TxQueueStats,
  ) {
    this.stats = stats;
    this.kernel = kernel;
    this.dev = dev;
    this.bar0 = bar0;
    this.queue = queue;
    this.slots = slots;
    this.memory = memory;
    this.view = memory.view;
    this.ringAt = memory.at;
    this.skbs = new Array<SkBuff | null>(slots).fill(null);
    this.lastSlot = new Int32Array(slots);
  }

  /** Slots that the driver may fill now: one always stays free, so that head = tail means empty. */
  get freeSlots(): number {
    return this.slots - 1 - this.used;
  }

  /** Packets posted and not reclaimed. */
  get pending(): boolean {
    return this.used > 0;
  }

  /** ndo_start_xmit on this queue. */
  xmit(skb: SkBuff): number {
    const { kernel, dev, queue } = this;
    if (this.freeSlots < TX_SLOTS_NEEDED) {
      this.stats.busy++;
      kernel.netif_tx_stop_queue(dev, queue);
      this.ring();
      return NETDEV_TX_BUSY;
    }
    kernel.charge(kernel.costs.txDescriptorPs);
    if (skb.lenBytes > DATA_PER_DESCRIPTOR_BYTES * (TX_SLOTS_NEEDED - 1) || skb.lenBytes < 14) {
      this.stats.drops++;
      kernel.kfree_skb_reason(skb, KernelDrop.TX_ERROR);
      return NETDEV_TX_OK;
    }
    if (skb.lenBytes < TX_MIN_BYTES) {
      skb.bytes.fill(0, skb.at + skb.lenBytes, skb.at + TX_MIN_BYTES);
      skb.lenBytes = TX_MIN_BYTES;
    }
    this.post(skb);
    if (this.atr !== null) this.atr.sample(skb);
    if (this.freeSlots < TX_SLOTS_NEEDED) kernel.netif_tx_stop_queue(dev, queue);
    this.doorbellDue = true;
    if (!kernel.netdev_xmit_more() || dev.txStopped[queue] !== 0) this.ring();
    return NETDEV_TX_OK;
  }

  /** Frees what the device has sent; true when it got through, false when the work limit stopped it. */
  clean(): boolean {
    const { view, kernel } = this;
    let work = 0;
    while (this.used > 0 && work < TX_WORK_LIMIT) {
      const first = this.nextToClean;
      const last = this.lastSlot[first];
      if (!txIsDone(view, this.ringAt + last * DESCRIPTOR_BYTES)) break;
      const skb = this.skbs[first] as SkBuff;
      this.skbs[first] = null;
      this.stats.packets++;
      this.stats.bytes += skb.lenBytes;
      kernel.free_skb(skb);
      this.release(first, last);
      work++;
    }
    const stopped = this.dev.txStopped[this.queue] !== 0;
    if (stopped && work > 0 && this.dev.isUp && this.freeSlots >= TX_WAKE_SLOTS) {
      this.stats.restarts++;
      kernel.netif_tx_wake_queue(this.dev, this.queue);
    }
    return work < TX_WORK_LIMIT;
  }

  /** Drops what the device did not report done (the queue is disabled in the device). */
  close(): void {
    this.clean();
    while (this.used > 0) {
      const first = this.nextToClean;
      const skb = this.skbs[first] as SkBuff;
      this.skbs[first] = null;
      this.stats.drops++;
      this.release(first, this.lastSlot[first]);
      this.kernel.kfree_skb_reason(skb, KernelDrop.TX_ERROR);
    }
    this.kernel.dma_free_coherent(this.memory);
  }

  private post(skb: SkBuff): void {
    const first = this.nextToUse;
    let slot = first;
    let dcmd = TXD_DCMD_IFCS;
    let olinfo = 0;
    if (skb.vlanTci >= 0) {
      if (skb.vlanTci !== this.contextTci) {
        writeTxContext(this.view, this.ringAt + slot * DESCRIPTOR_BYTES, 14, 0, skb.vlanTci, 0);
        this.contextTci = skb.vlanTci;
        slot = this.advance(slot);
      }
      dcmd |= TXD_DCMD_VLE;
      olinfo = TXD_CC;
    }
    let doneBytes = 0;
    let last = slot;
    while (doneBytes < skb.lenBytes) {
      let pieceBytes = skb.lenBytes - doneBytes;
      let pieceDcmd = dcmd | TXD_DCMD_EOP | TXD_DCMD_RS;
      if (pieceBytes > DATA_PER_DESCRIPTOR_BYTES) {
        pieceBytes = DATA_PER_DESCRIPTOR_BYTES;
        pieceDcmd = dcmd;
      }
      const iova = this.kernel.iovaOf(skb.at + doneBytes);
      const at = this.ringAt + slot * DESCRIPTOR_BYTES;
      writeTxData(this.view, at, iova, pieceBytes, pieceDcmd, skb.lenBytes, olinfo);
      doneBytes += pieceBytes;
      last = slot;
      slot = this.advance(slot);
    }
    this.skbs[first] = skb;
    this.lastSlot[first] = last;
    this.nextToUse = slot;
  }

  private advance(slot: number): number {
    this.used++;
    return slot + 1 === this.slots ? 0 : slot + 1;
  }

  private release(first: number, last: number): void {
    const count = last >= first ? last - first + 1 : last - first + 1 + this.slots;
    this.used -= count;
    this.nextToClean = last + 1 === this.slots ? 0 : last + 1;
  }

  private ring(): void {
    if (!this.doorbellDue) return;
    this.doorbellDue = false;
    this.bar0.write32(TDT(this.queue), this.nextToUse);
  }
}
