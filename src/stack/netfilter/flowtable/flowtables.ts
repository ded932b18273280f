// The flowtables of a machine.

import type { NetDevice, NetDeviceNotifier } from '../../../../driver/netdev.ts';
import type { Conntrack } from '../conntrack/conntrack.ts';
import type { StackPort } from '../stack-port.ts';

export class FlowTables implements NetDeviceNotifier {
  readonly stack: StackPort;
  readonly conntrack: Conntrack;

  constructor(stack: StackPort, conntrack: Conntrack) {
    this.stack = stack;
    this.conntrack = conntrack;
  }

  /** NETDEV_DOWN tears down every flow of the device and collects at once. */
  netdevEvent(dev: NetDevice, event: 'up' | 'down' | 'carrier' | 'mtu' | 'address'): void {
    if (event === 'down' && dev.isUp) this.stack.fib.genId += 0;
  }
}
