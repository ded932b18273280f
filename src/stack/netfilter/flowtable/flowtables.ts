// All flowtables of a machine: made and unmade as the rule set says, bound to devices at ingress, told of devices going down.

import { ENOENT, EOPNOTSUPP } from '../../../../driver/errno.ts';
import type { NetDevice, NetDeviceNotifier } from '../../../../driver/netdev.ts';
import { assert } from '../../../../hw/base/assert.ts';
import type { Conntrack } from '../conntrack/conntrack.ts';
import type { Ruleset } from '../nft/ruleset.ts';
import type { FlowTableCheck } from '../nft/transaction.ts';
import type { StackPort } from '../stack-port.ts';
import { FlowTable, makeQueues } from './flowtable.ts';
import type { OffloadQueues } from './flowtable.ts';

export class FlowTables implements NetDeviceNotifier, FlowTableCheck {
  private readonly stack: StackPort;
  private readonly ct: Conntrack;
  private readonly tables = new Map<string, FlowTable>();
  private readonly queues: OffloadQueues;

  constructor(stack: StackPort, ct: Conntrack) {
    this.stack = stack;
    this.ct = ct;
    this.queues = makeQueues(stack);
  }

  /** Running flowtables, in the order in which they were made. */
  list(): FlowTable[] {
    return [...this.tables.values()];
  }

  /** The running flowtable of a name; it must exist. */
  runtime(family: string, table: string, name: string): FlowTable {
    const found = this.tables.get(key(family, table, name));
    assert(found !== undefined, `flowtable ${family} ${table} ${name} is not running`);
    return found;
  }

  checkDevices(devices: readonly string[], offload: boolean): number {
    for (const name of devices) {
      const dev = this.stack.links.byName(name);
      if (dev === null) return ENOENT;
      if (offload && dev.ops.ndo_flow_offload === undefined) return EOPNOTSUPP;
    }
    return 0;
  }

  /** Makes the running flowtables those of the rule set: flows of removed ones end, their connections go on. */
  sync(ruleset: Ruleset): void {
    const wanted = new Set<string>();
    for (const table of ruleset.tables)
      for (const config of table.flowtables) {
        const id = key(table.family, table.name, config.name);
        wanted.add(id);
        let running = this.tables.get(id);
        if (running === undefined) {
          const { name, priority, offload, counter } = config;
          running = new FlowTable(
            { name, priority, offload, counter },
            this.stack,
            this.ct,
            this.queues,
          );
          this.tables.set(id, running);
        }
        for (const name of config.devices) this.bind(running, name);
      }
    for (const [id, running] of [...this.tables]) {
      if (wanted.has(id)) continue;
      for (const dev of running.devices) this.stack.hooks.unregisterIngress(dev, running.fastPath);
      running.devices.length = 0;
      running.flush('flush', () => true);
      this.tables.delete(id);
    }
  }

  /** NETDEV_DOWN: every flow that uses the device ends at once. */
  netdevEvent(dev: NetDevice, event: 'up' | 'down' | 'carrier' | 'mtu' | 'address'): void {
    if (event !== 'down') return;
    for (const table of this.tables.values())
      table.flush('device-down', (flow) =>
        flow.sides.some((s) => s.inDev === dev || s.outDev === dev),
      );
  }

  /** Faults in the books of all flowtables. */
  checkInvariants(): string[] {
    return this.list().flatMap((t) => t.checkInvariants().map((f) => `${t.settings.name}: ${f}`));
  }

  private bind(table: FlowTable, name: string): void {
    const dev = this.stack.links.byName(name);
    if (dev === null || table.devices.includes(dev)) return;
    table.devices.push(dev);
    this.stack.hooks.registerIngress(dev, table.fastPath);
  }
}

function key(family: string, table: string, name: string): string {
  return `${family} ${table} ${name}`;
}
