// All flowtables of a machine: made and unmade as the rule set says, bound to devices at ingress, told of devices going down.

import { ENOENT } from '../../../../driver/errno.ts';
import type { NetDevice, NetDeviceEvent, NetDeviceNotifier } from '../../../../driver/netdev.ts';
import { assert } from '../../../../hw/base/assert.ts';
import type { Conntrack } from '../conntrack/conntrack.ts';
import type { FlowTableConfig, Ruleset, Table } from '../nft/ruleset.ts';
import type { FlowTableCheck } from '../nft/transaction.ts';
import type { StackPort } from '../stack-port.ts';
import { bindDevices, newBinding, unbindDevices } from './binding.ts';
import type { Binding } from './binding.ts';
import { FlowTable, makeQueues } from './flowtable.ts';
import type { OffloadQueues } from './flowtable.ts';
import { PendingWork } from './pending-work.ts';

/**
 * Not a parameter of Linux: flowtables that are made while it is 1 admit flows and offload as the RFC of 2017 did (admission.ts;
 * offload-form.ts, 'rfc').
 * A flowtable keeps what it was made with.
 */
const RFC_SYSCTL = 'net.netfilter.nf_flowtable_rfc_offload';

export class FlowTables implements NetDeviceNotifier, FlowTableCheck {
  private readonly stack: StackPort;
  private readonly ct: Conntrack;
  private readonly tables = new Map<string, FlowTable>();
  readonly queues: OffloadQueues;
  readonly pendingWork: PendingWork;
  private readonly bindings = new Map<FlowTable, Binding>();
  /** What the rule set says of each. */
  private readonly configs = new Map<FlowTable, FlowTableConfig>();
  /** Removed flowtables whose flows drivers may still have. */
  private closing: FlowTable[] = [];
  /** What the transaction under way has bound. */
  private prepared: { binding: Binding; devices: NetDevice[] }[] = [];

  constructor(stack: StackPort, ct: Conntrack, queues: OffloadQueues | null = null) {
    this.stack = stack;
    this.ct = ct;
    this.queues = queues ?? makeQueues(stack);
    this.pendingWork = new PendingWork(stack.kernel.cores.length);
    stack.sysctl.register(RFC_SYSCTL, 0, null, 0, 1);
  }

  /** Running flowtables, in the order in which they were made. */
  list(): FlowTable[] {
    return [...this.tables.values()];
  }

  /** Cookies under which drivers may know flows, those of flowtables being removed included. */
  cookies(): Set<number> {
    this.closing = this.closing.filter((table) => table.liveCount > 0);
    const known = new Set<number>();
    for (const table of [...this.tables.values(), ...this.closing])
      for (const flow of table.flows)
        if (flow !== null && flow.cookie > 0) known.add(flow.cookie).add(flow.cookie + 1);
    return known;
  }

  /** The running flowtable of a name; it must exist. */
  runtime(family: string, table: string, name: string): FlowTable {
    const found = this.tables.get(key(family, table, name));
    assert(found !== undefined, `flowtable ${family} ${table} ${name} is not running`);
    return found;
  }

  bind(
    old: Binding | null,
    names: readonly string[],
    offload: boolean,
  ): { errno: number; binding: Binding } {
    const devices: NetDevice[] = [];
    for (const name of names) {
      const dev = this.stack.links.byName(name);
      if (dev === null) return { errno: ENOENT, binding: old ?? newBinding([], false) };
      devices.push(dev);
    }
    const rfc = this.stack.sysctl.get(RFC_SYSCTL) !== 0;
    const binding = old ?? newBinding(devices, rfc);
    const errno = offload ? bindDevices(binding, devices) : 0;
    if (errno === 0 && offload) this.prepared.push({ binding, devices });
    return { errno, binding };
  }

  abort(): void {
    for (const { binding, devices } of this.prepared.reverse()) unbindDevices(binding, devices);
    this.prepared.length = 0;
  }

  /** Makes the running flowtables those of the rule set: flows of removed ones end, their connections go on. */
  sync(ruleset: Ruleset): void {
    this.prepared.length = 0;
    const wanted = new Map<string, Binding>();
    for (const table of ruleset.tables)
      for (const config of table.flowtables)
        wanted.set(key(table.family, table.name, config.name), config.binding);
    for (const [id, running] of [...this.tables])
      if (wanted.get(id)?.block !== running.block) this.close(id, running);
    for (const table of ruleset.tables)
      for (const config of table.flowtables) this.run(table, config);
  }

  private run(table: Table, config: FlowTableConfig): void {
    const id = key(table.family, table.name, config.name);
    let running = this.tables.get(id);
    if (running === undefined) {
      const { name, priority, offload, counter, binding } = config;
      const settings = { name, priority, offload, counter, form: binding.form };
      const { stack, ct, queues, pendingWork } = this;
      running = new FlowTable(settings, stack, ct, queues, pendingWork, binding.block);
      this.tables.set(id, running);
    }
    this.bindings.set(running, config.binding);
    this.configs.set(running, config);
    for (const name of config.devices) this.attach(running, name);
  }

  /** Unbinds first, so that no driver is asked about the flows any more: it drops what the binding brought by itself. */
  private close(id: string, running: FlowTable): void {
    for (const dev of running.devices) this.stack.hooks.unregisterIngress(dev, running.fastPath);
    running.devices.length = 0;
    const binding = this.bindings.get(running);
    if (binding !== undefined) unbindDevices(binding, [...binding.devices]);
    this.bindings.delete(running);
    this.configs.delete(running);
    running.closed = true;
    this.closing.push(running);
    running.flush('flush', () => true);
    this.tables.delete(id);
  }

  /** NETDEV_DOWN: every flow that uses the device ends at once. */
  netdevEvent(dev: NetDevice, event: NetDeviceEvent): void {
    if (event === 'unregister') this.deviceGone(dev);
    if (event !== 'down') return;
    for (const table of this.tables.values())
      table.flush('device-down', (flow) =>
        [flow.original, flow.reply].some((s) => s.inDev === dev || s.outDev === dev),
      );
  }

  /** NETDEV_UNREGISTER: no flowtable has the device any more, and its driver is asked about none. */
  private deviceGone(dev: NetDevice): void {
    for (const table of this.tables.values()) {
      const at = table.devices.indexOf(dev);
      if (at < 0) continue;
      table.devices.splice(at, 1);
      this.stack.hooks.unregisterIngress(dev, table.fastPath);
      const binding = this.bindings.get(table);
      if (binding !== undefined) unbindDevices(binding, [dev]);
      const config = this.configs.get(table);
      if (config !== undefined) config.devices = config.devices.filter((n) => n !== dev.name);
    }
  }

  /** Faults in the books of all flowtables. */
  checkInvariants(): string[] {
    return this.list().flatMap((t) => t.checkInvariants().map((f) => `${t.settings.name}: ${f}`));
  }

  private attach(table: FlowTable, name: string): void {
    const dev = this.stack.links.byName(name);
    if (dev === null || table.devices.includes(dev)) return;
    table.devices.push(dev);
    this.stack.hooks.registerIngress(dev, table.fastPath);
  }
}

function key(family: string, table: string, name: string): string {
  return `${family} ${table} ${name}`;
}
