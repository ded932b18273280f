// The device registry of the core (net/core/dev.c): names and indices, up and down, MTU, address, carrier, statistics.
//
// Messages are the kernel's own where it has one. ifindex 1 is left to lo, which the stack registers itself.

import { assert } from '../hw/base/assert.ts';
import { EADDRNOTAVAIL, EBUSY, EEXIST, EINVAL, EOPNOTSUPP } from './errno.ts';
import type { Kernel } from './kernel.ts';
import { IFF_LOOPBACK, IFF_RUNNING, IFF_UP, zeroStats64 } from './netdev.ts';
import type {
  ExtAck,
  LinkStats64,
  NetDevice,
  NetDeviceEvent,
  NetDeviceNotifier,
} from './netdev.ts';
import { TxQueue } from './transmit.ts';

/** What the core keeps per registered device. */
export class DevState {
  /** Packets passed up, and dropped for want of a stack. */
  rxPackets = 0;
  rxBytes = 0;
  rxDropped = 0;
  /** Packets that the core dropped on the way down. */
  txDropped = 0;
  /** carrier_changes of sysfs. */
  carrierChanges = 0;
  readonly txQueues: TxQueue[] = [];

  constructor(dev: NetDevice) {
    for (let i = 0; i < dev.numTxQueues; i++) this.txQueues.push(new TxQueue(dev, i));
  }
}

export class NetdevRegistry {
  readonly notifiers: NetDeviceNotifier[] = [];

  private readonly kernel: Kernel;
  private readonly devs: (NetDevice | null)[] = [null, null];
  private readonly states: (DevState | null)[] = [null, null];
  private nextIfindex = 2;

  constructor(kernel: Kernel) {
    this.kernel = kernel;
  }

  byName(name: string): NetDevice | null {
    return this.devs.find((dev) => dev?.name === name) ?? null;
  }

  byIndex(ifindex: number): NetDevice | null {
    return this.devs[ifindex] ?? null;
  }

  all(): NetDevice[] {
    return this.devs.filter((dev) => dev !== null && dev !== undefined);
  }

  stateOf(dev: NetDevice): DevState {
    const state = this.states[dev.ifindex];
    if (state === null || state === undefined)
      assert(false, `${dev.name} is not a registered device`);
    return state;
  }

  register(dev: NetDevice): number {
    if (dev.name.includes('%d')) {
      let n = 0;
      while (this.byName(dev.name.replace('%d', String(n))) !== null) n++;
      dev.name = dev.name.replace('%d', String(n));
    }
    if (!validName(dev.name)) return -EINVAL;
    if (this.byName(dev.name) !== null) return -EEXIST;
    if (dev.ifindex === 0) dev.ifindex = this.nextIfindex++;
    else if (this.byIndex(dev.ifindex) !== null) return -EEXIST;
    if (dev.ifindex >= this.nextIfindex) this.nextIfindex = dev.ifindex + 1;
    while (this.devs.length <= dev.ifindex) {
      this.devs.push(null);
      this.states.push(null);
    }
    this.devs[dev.ifindex] = dev;
    this.states[dev.ifindex] = new DevState(dev);
    return 0;
  }

  unregister(dev: NetDevice): void {
    this.close(dev);
    this.stateOf(dev);
    this.notify(dev, 'unregister');
    this.devs[dev.ifindex] = null;
    this.states[dev.ifindex] = null;
  }

  rename(dev: NetDevice, name: string): number {
    if (dev.isUp) return -EBUSY;
    if (!validName(name)) return -EINVAL;
    if (name !== dev.name && this.byName(name) !== null) return -EEXIST;
    dev.name = name;
    return 0;
  }

  open(dev: NetDevice): number {
    if (dev.isUp) return 0;
    // IFF_UP is set only after ndo_open succeeded; __LINK_STATE_START before, which nothing here looks at.
    const error = dev.ops.ndo_open(dev);
    if (error !== 0) return error;
    dev.flags |= IFF_UP;
    this.updateRunning(dev);
    dev.ops.ndo_set_rx_mode?.(dev);
    this.notify(dev, 'up');
    return 0;
  }

  close(dev: NetDevice): void {
    if (!dev.isUp) return;
    dev.flags &= ~IFF_UP;
    this.updateRunning(dev);
    for (const queue of this.stateOf(dev).txQueues) this.kernel.transmit.purge(queue);
    dev.ops.ndo_stop(dev);
    this.notify(dev, 'down');
  }

  setMtu(dev: NetDevice, mtuBytes: number, extack?: ExtAck): number {
    if (mtuBytes === dev.mtuBytes) return 0;
    const tooSmall = mtuBytes < dev.minMtuBytes;
    if (tooSmall || mtuBytes > dev.maxMtuBytes) {
      if (extack !== undefined) {
        extack.message = tooSmall
          ? 'mtu less than device minimum'
          : 'mtu greater than device maximum';
        extack.reason = 'mtu-range';
      }
      return -EINVAL;
    }
    if (dev.ops.ndo_change_mtu === undefined) dev.mtuBytes = mtuBytes;
    else {
      const error = dev.ops.ndo_change_mtu(dev, mtuBytes);
      if (error !== 0) return error;
    }
    this.notify(dev, 'mtu');
    return 0;
  }

  setTxQueueLen(dev: NetDevice, length: number): number {
    if (length === dev.txqueuelen) return 0;
    const error = dev.ops.ndo_change_tx_queue_len?.(dev, length) ?? 0;
    if (error === 0) dev.txqueuelen = length;
    return error;
  }

  setMac(dev: NetDevice, mac: Uint8Array, extack?: ExtAck): number {
    if (dev.ops.ndo_set_mac_address === undefined) return -EOPNOTSUPP;
    if ((mac[0] & 1) !== 0 || mac.every((byte) => byte === 0)) {
      if (extack !== undefined) {
        extack.message = 'Cannot assign requested address';
        extack.reason = 'mac-address';
      }
      return -EADDRNOTAVAIL;
    }
    const error = dev.ops.ndo_set_mac_address(dev, mac);
    if (error !== 0) return error;
    this.notify(dev, 'address');
    return 0;
  }

  changeRxFlags(dev: NetDevice, setFlags: number, clearFlags: number): void {
    dev.flags = (dev.flags | setFlags) & ~clearFlags;
    if (dev.isUp) dev.ops.ndo_set_rx_mode?.(dev);
  }

  setCarrier(dev: NetDevice, on: boolean): void {
    if (dev.carrier === on) return;
    dev.carrier = on;
    if (dev.ifindex === 0) return;
    this.stateOf(dev).carrierChanges++;
    this.updateRunning(dev);
    this.notify(dev, 'carrier');
  }

  stats(dev: NetDevice): LinkStats64 {
    const state = this.stateOf(dev);
    const stats = zeroStats64();
    if (dev.ops.ndo_get_stats64 !== undefined) dev.ops.ndo_get_stats64(dev, stats);
    else {
      stats.rx_packets = state.rxPackets;
      stats.rx_bytes = state.rxBytes;
    }
    stats.rx_dropped += state.rxDropped;
    stats.tx_dropped += state.txDropped;
    return stats;
  }

  private updateRunning(dev: NetDevice): void {
    const running = dev.isUp && (dev.carrier || (dev.flags & IFF_LOOPBACK) !== 0);
    dev.flags = running ? dev.flags | IFF_RUNNING : dev.flags & ~IFF_RUNNING;
  }

  private notify(dev: NetDevice, event: NetDeviceEvent): void {
    for (const notifier of this.notifiers) notifier.netdevEvent(dev, event);
  }
}

/** dev_valid_name: at most 15 bytes, no slash, colon or space, not '.' or '..'. */
function validName(name: string): boolean {
  return /^[^/:\s]{1,15}$/.test(name) && name !== '.' && name !== '..';
}
