// A network device without hardware, for tests of the kernel side: frames are handed to it, NAPIs pull them, transmitted
// packets are kept. Its interrupt is masked by hand, as a driver of a real device would do.

import type { Kernel } from '../../driver/kernel.ts';
import { eth_type_trans } from '../../driver/ether.ts';
import type { Napi } from '../../driver/napi.ts';
import { NETDEV_TX_BUSY, NETDEV_TX_OK } from '../../driver/netdev.ts';
import type { NetDevice, NetDeviceOps } from '../../driver/netdev.ts';
import type { SkBuff } from '../../driver/skb.ts';
import { must } from './must.ts';

/** A 60-byte frame from 02:..:0b to 02:..:0a with a number in its payload. */
export function numberedFrame(n: number): Uint8Array {
  const frame = new Uint8Array(60);
  frame.set([2, 0, 0, 0, 0, 0x0a, 2, 0, 0, 0, 0, 0x0b, 0x88, 0xb5]);
  new DataView(frame.buffer).setUint32(14, n);
  return frame;
}

/** Number of a frame made by `numberedFrame`. */
export function frameNumber(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(at + 14);
}

export class DummyNic {
  readonly dev: NetDevice;
  readonly napi: Napi;
  /** Frames that wait to be polled. */
  rx: Uint8Array[] = [];
  /** Packets handed to the poll function keep coming. */
  endless = false;
  irqMasked = false;
  /** What happened, in order: 'poll N', 'complete', 'unmask'. */
  readonly events: string[] = [];
  /** Work of each poll. */
  readonly polls: number[] = [];
  /** Numbers of the packets transmitted, and the queue of each. */
  readonly sent: number[] = [];
  readonly sentQueues: number[] = [];
  /** So many transmissions are answered BUSY. */
  busyCount = 0;
  /** What the poll function returns beyond its work. */
  overReport = 0;

  private readonly kernel: Kernel;

  constructor(kernel: Kernel, name = 'dummy%d', txQueues = 1, extra: Partial<NetDeviceOps> = {}) {
    this.kernel = kernel;
    const ops: NetDeviceOps = {
      ndo_open: () => 0,
      ndo_stop: () => 0,
      ndo_start_xmit: (skb) => this.xmit(skb),
      ...extra,
    };
    this.dev = kernel.alloc_netdev(name, ops, txQueues, 1);
    this.napi = kernel.netif_napi_add(name, { poll: (budget) => this.poll(budget) });
    kernel.register_netdev(this.dev);
    kernel.napi_enable(this.napi);
    const vector = this.dev.ifindex;
    kernel.request_irq(0, vector, () => kernel.napi_schedule(this.napi), 0);
  }

  /** The interrupt line: does nothing while masked. */
  raise(): void {
    if (this.irqMasked) return;
    this.irqMasked = true;
    this.kernel.interrupt(0, this.dev.ifindex);
  }

  private poll(budget: number): number {
    let work = 0;
    while (work < budget && (this.endless || this.rx.length > 0)) {
      const frame = this.rx.shift() ?? numberedFrame(0);
      const skb = must(this.kernel.alloc_skb(frame.length));
      skb.bytes.set(frame, skb.at);
      skb.lenBytes = frame.length;
      eth_type_trans(skb, this.dev);
      this.kernel.netif_receive_skb(skb, this.dev);
      work++;
    }
    this.polls.push(work);
    this.events.push(`poll ${work}`);
    if (work < budget) {
      this.events.push('complete');
      if (this.kernel.napi_complete_done(this.napi, work)) {
        this.irqMasked = false;
        this.events.push('unmask');
      }
    }
    return work + this.overReport;
  }

  private xmit(skb: SkBuff): number {
    if (this.busyCount > 0) {
      this.busyCount--;
      return NETDEV_TX_BUSY;
    }
    this.sent.push(frameNumber(skb.bytes, skb.at));
    this.sentQueues.push(skb.queueMapping);
    this.kernel.free_skb(skb);
    return NETDEV_TX_OK;
  }
}
