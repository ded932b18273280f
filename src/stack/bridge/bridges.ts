// The bridges of a network namespace: making them, ports coming and going (net/bridge/br_if.c, br.c), with the kernel's refusals.

import { EBUSY, EINVAL, ELOOP, EOPNOTSUPP } from '../../../driver/errno.ts';
import type { NetDevice, NetDeviceEvent } from '../../../driver/netdev.ts';
import { IFF_LOOPBACK } from '../../../driver/netdev.ts';
import { OK, refuse } from '../answer.ts';
import type { Answer } from '../answer.ts';
import type { Links } from '../links.ts';
import { Bridge } from './bridge.ts';
import type { BridgePort, BridgeStack } from './bridge.ts';
import { bridgeKind } from './bridge-link.ts';

/** What the stack gives beyond what a bridge needs. */
export interface BridgesStack extends BridgeStack {
  readonly links: Links;
}

export class Bridges {
  private readonly stack: BridgesStack;
  private readonly byDevice = new Map<NetDevice, Bridge>();
  private readonly ports = new Map<NetDevice, BridgePort>();

  constructor(stack: BridgesStack) {
    this.stack = stack;
  }

  /** The port that a device is, null for none. */
  portOf(dev: NetDevice): BridgePort | null {
    return this.ports.size === 0 ? null : (this.ports.get(dev) ?? null);
  }

  /** The bridge behind a device, null for none. */
  bridgeOf(dev: NetDevice): Bridge | null {
    return this.byDevice.size === 0 ? null : (this.byDevice.get(dev) ?? null);
  }

  /** All bridges in order of making. */
  list(): Bridge[] {
    return [...this.byDevice.values()];
  }

  /** `ip link add NAME type bridge`; `mac` null: the ports' lowest address. */
  add(name: string, mac: Uint8Array | null, randomMac: Uint8Array): Bridge | Answer {
    const { stack } = this;
    const bridge = new Bridge(stack, name, mac ?? randomMac, mac !== null);
    const error = stack.kernel.register_netdev(bridge.dev, stack.links.net);
    if (error !== 0) return { error, message: '', reason: 'link-name' };
    this.byDevice.set(bridge.dev, bridge);
    stack.links.setKind(
      bridge.dev,
      bridgeKind(bridge, () => this.remove(bridge)),
    );
    bridge.follow();
    return bridge;
  }

  /** `ip link set DEV master BRIDGE`: EOPNOTSUPP for no bridge, EINVAL for lo, ELOOP for a bridge. */
  enslave(dev: NetDevice, master: NetDevice): Answer {
    const bridge = this.bridgeOf(master);
    if (bridge === null) return refuse(EOPNOTSUPP, '', 'master');
    if (this.bridgeOf(dev) !== null)
      return refuse(ELOOP, 'Can not enslave a bridge to a bridge', 'bridge-loop');
    if ((dev.flags & IFF_LOOPBACK) !== 0) return refuse(EINVAL, '', 'bridge-port');
    const kind = this.stack.links.kind(dev);
    if (kind?.linkType === 'none') return refuse(EINVAL, '', 'bridge-port');
    const vlan = this.stack.links.vlan(dev);
    if (vlan !== null && vlan.lower === master) return refuse(EBUSY, '', 'bridge-loop');
    const old = this.portOf(dev);
    if (old?.bridge === bridge) return OK;
    if (old !== null) this.release(dev);
    this.ports.set(dev, bridge.addPort(dev));
    return OK;
  }

  /** `ip link set DEV nomaster`. */
  release(dev: NetDevice): Answer {
    const port = this.portOf(dev);
    if (port === null) return OK;
    this.ports.delete(dev);
    port.bridge.removePort(port);
    return OK;
  }

  /** A device of the namespace changed. */
  netdevEvent(dev: NetDevice, event: NetDeviceEvent): void {
    const port = this.portOf(dev);
    const bridge = this.bridgeOf(dev);
    if (port !== null) {
      if (event === 'unregister') this.release(dev);
      else if (event === 'down' || (event === 'carrier' && !dev.carrier))
        port.bridge.portDown(port);
      else port.bridge.follow();
    }
    if (bridge === null) return;
    if (event === 'unregister') this.forget(bridge);
    else if (event !== 'carrier' && event !== 'mtu') bridge.follow();
  }

  private remove(bridge: Bridge): Answer {
    this.stack.kernel.unregister_netdev(bridge.dev);
    return OK;
  }

  private forget(bridge: Bridge): void {
    for (const port of [...bridge.ports]) this.release(port.dev);
    this.byDevice.delete(bridge.dev);
  }
}
