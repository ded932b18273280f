// The services of driver/kernel.ts that the stack uses, as an interface: the Kernel class has them, and tests of the stack
// alone bring a small double (test/support/stack-kernel.ts).

import type { NetDevice, NetDeviceNotifier, RxHandler } from '../../driver/netdev.ts';
import type { SkBuff } from '../../driver/skb.ts';
import type { Scheduler } from '../../hw/time/scheduler.ts';

/** What the stack asks of the kernel below it. */
export interface KernelPort {
  readonly scheduler: Scheduler;
  /**
   * A buffer with `sizeBytes` of room after `SKB_HEADROOM_BYTES` of headroom: at = start of the room, lenBytes = 0.
   * null when memory is used up.
   */
  alloc_skb(sizeBytes: number): SkBuff | null;
  /** Gives handle and buffer back to the pool. */
  free_skb(skb: SkBuff): void;
  /** The core that runs now is busy for `costPs` more. */
  charge(costPs: number): void;
  /** Hands a frame (skb.at at the MAC header) to a device's queue; takes the packet in every case. 0 or -errno. */
  dev_queue_xmit(skb: SkBuff, dev: NetDevice): number;
  /** Registered devices in order of ifindex. */
  devices(): readonly NetDevice[];
  /** Gives a device an ifindex and a place among the devices. 0 or -errno. */
  register_netdev(dev: NetDevice): number;
  unregister_netdev(dev: NetDevice): void;
  dev_open(dev: NetDevice): number;
  dev_close(dev: NetDevice): number;
  dev_set_mtu(dev: NetDevice, mtuBytes: number): number;
  /** Sets who receives packets, and who is told of device changes. */
  attachStack(rx: RxHandler, notifier: NetDeviceNotifier): void;
}
