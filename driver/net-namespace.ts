// A network namespace as the driver layer has it (struct net with net/core/dev.c): the devices in it by name and index, up and down,
// MTU, address, carrier, statistics, and who receives what its devices pass up. Names and indices count per namespace.
//
// A device finds its namespace in `dev.net`, so a packet pays one load for it whatever the number of namespaces. What a namespace has
// above its devices (routes, neighbours, netfilter) is the stack's; making and naming namespaces too (src/stack/namespaces.ts).
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
  RxHandler,
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

export class NetNamespace {
  /** Its number on this machine, in order of making; not given again when it goes. */
  readonly number: number;
  readonly notifiers: NetDeviceNotifier[] = [];
  /** The stack's receive function; null: what devices pass up is dropped. */
  rxHandler: RxHandler | null = null;

  private readonly kernel: Kernel;
  private readonly devs: (NetDevice | null)[] = [null, null];
  private nextIfindex = 2;

  constructor(kernel: Kernel, number: number) {
    this.kernel = kernel;
    this.number = number;
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

  register(dev: NetDevice): number {
    if (dev.name.includes('%d')) dev.name = this.numbered(dev.name);
    if (!validName(dev.name)) return -EINVAL;
    if (this.byName(dev.name) !== null) return -EEXIST;
    if (dev.ifindex === 0) dev.ifindex = this.nextIfindex++;
    else if (this.byIndex(dev.ifindex) !== null) return -EEXIST;
    dev.state = new DevState(dev);
    this.enlist(dev);
    return 0;
  }

  unregister(dev: NetDevice): void {
    this.close(dev);
    this.notify(dev, 'unregister');
    this.delist(dev);
    dev.state = null;
  }

  /**
   * Takes a device over from the namespace that it is in (dev_change_net_namespace): it goes down there and keeps its ifindex where
   * that is free. −EEXIST when the name is taken here, unless `fallback` (`dev%d`) names it anew.
   */
  takeOver(dev: NetDevice, fallback = ''): number {
    const from = namespaceOf(dev);
    if (from === this) return 0;
    const isTaken = this.byName(dev.name) !== null;
    if (isTaken && fallback === '') return -EEXIST;
    from.close(dev);
    from.notify(dev, 'unregister');
    from.delist(dev);
    if (isTaken) dev.name = this.numbered(fallback);
    if (this.byIndex(dev.ifindex) !== null) dev.ifindex = this.nextIfindex++;
    this.enlist(dev);
    return 0;
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
    updateRunning(dev);
    dev.ops.ndo_set_rx_mode?.(dev);
    this.notify(dev, 'up');
    return 0;
  }

  close(dev: NetDevice): void {
    if (!dev.isUp) return;
    dev.flags &= ~IFF_UP;
    updateRunning(dev);
    for (const queue of stateOf(dev).txQueues) this.kernel.transmit.purge(queue);
    dev.ops.ndo_stop(dev);
    this.notify(dev, 'down');
  }

  setMtu(dev: NetDevice, mtuBytes: number, extack?: ExtAck): number {
    if (mtuBytes === dev.mtuBytes) return 0;
    const tooSmall = mtuBytes < dev.minMtuBytes;
    if (tooSmall || (dev.maxMtuBytes > 0 && mtuBytes > dev.maxMtuBytes)) {
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

  stats(dev: NetDevice): LinkStats64 {
    const state = stateOf(dev);
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

  /** Tells whoever follows the devices of this namespace. */
  notify(dev: NetDevice, event: NetDeviceEvent): void {
    for (const notifier of this.notifiers) notifier.netdevEvent(dev, event);
  }

  private enlist(dev: NetDevice): void {
    if (dev.ifindex >= this.nextIfindex) this.nextIfindex = dev.ifindex + 1;
    while (this.devs.length <= dev.ifindex) this.devs.push(null);
    this.devs[dev.ifindex] = dev;
    dev.net = this;
  }

  private delist(dev: NetDevice): void {
    this.devs[dev.ifindex] = null;
    dev.net = null;
  }

  /** The first free name of a pattern with %d. */
  private numbered(pattern: string): string {
    let n = 0;
    while (this.byName(pattern.replace('%d', String(n))) !== null) n++;
    return pattern.replace('%d', String(n));
  }
}

/** netif_carrier_on, netif_carrier_off: also before the device is registered. */
export function setCarrier(dev: NetDevice, on: boolean): void {
  if (dev.carrier === on) return;
  dev.carrier = on;
  if (dev.state === null) return;
  dev.state.carrierChanges++;
  updateRunning(dev);
  dev.net?.notify(dev, 'carrier');
}

function updateRunning(dev: NetDevice): void {
  const running = dev.isUp && (dev.carrier || (dev.flags & IFF_LOOPBACK) !== 0);
  dev.flags = running ? dev.flags | IFF_RUNNING : dev.flags & ~IFF_RUNNING;
}

/** The namespace that a registered device is in. */
export function namespaceOf(dev: NetDevice): NetNamespace {
  if (dev.net === null) assert(false, `${dev.name} is not a registered device`);
  return dev.net;
}

/** What the core keeps of a registered device. */
export function stateOf(dev: NetDevice): DevState {
  if (dev.state === null) assert(false, `${dev.name} is not a registered device`);
  return dev.state;
}

/** dev_valid_name: at most 15 bytes, no slash, colon or space, not '.' or '..'. */
function validName(name: string): boolean {
  return /^[^/:\s]{1,15}$/.test(name) && name !== '.' && name !== '..';
}
