// A device of netdevsim: some ports, a devlink instance, and a say in the machine's routes, whose number its resources limit
// (drivers/net/netdevsim/{bus,dev,fib}.c of Linux 6.1). `echo "ID PORTS QUEUES" > /sys/bus/netdevsim/new_device` makes one.
//
// A reload takes everything apart and makes it anew: the ports' devices get new names and indices, as in Linux.

import { EEXIST, ENOENT, ENOSPC, EOPNOTSUPP } from '../../errno.ts';
import { Devlink, reportTraps } from '../../devlink.ts';
import type { DevlinkEswitchMode } from '../../devlink.ts';
import { applySizes } from '../../devlink-core.ts';
import type { FibFamily, FibNotifier } from '../../fib-notifier.ts';
import type { Kernel } from '../../kernel.ts';
import type { ExtAck } from '../../netdev.ts';
import { nsimParams, nsimRegions, nsimReporters, nsimResources } from './parts.ts';
import { addNsimPort } from './port.ts';
import type { NsimPort } from './port.ts';
import { nsimTraps } from './traps.ts';

/** What Linux draws at random, and names, for whoever repeats a recorded boot. */
export interface NsimIdentity {
  /** Hexadecimal. */
  switchId?: string;
  /** By port index. */
  macs?: readonly (Uint8Array | undefined)[];
  names?: readonly (string | undefined)[];
  ifindexes?: readonly (number | undefined)[];
  /** What the "dummy" reporter's message holds. */
  binary?: Uint8Array;
}

export interface NsimOptions {
  id: number;
  ports: number;
  queues: number;
  identity?: NsimIdentity;
}

const SWITCH_ID_BYTES = 32;
const FIRMWARE = [['fw.mgmt', '10.20.30']] as const;

export class Netdevsim {
  readonly devlink: Devlink;
  readonly ports: NsimPort[] = [];
  /** debugfs fail_reload and dont_allow_reload. */
  failReload = false;
  dontAllowReload = false;

  private readonly kernel: Kernel;
  private readonly options: NsimOptions;
  private eswitchMode: DevlinkEswitchMode = 'legacy';
  private trapPacketCount = 0;

  constructor(kernel: Kernel, options: NsimOptions) {
    this.kernel = kernel;
    this.options = options;
    this.devlink = new Devlink('netdevsim', `netdevsim${options.id}`, {
      info: () => ({ driver: 'netdevsim', fixed: [], running: FIRMWARE, stored: FIRMWARE }),
      reloadDown: (extack) => this.reloadDown(extack),
      reloadUp: (extack) => this.reloadUp(extack),
      eswitchMode: () => this.eswitchMode,
      setEswitchMode: (mode) => {
        this.eswitchMode = mode;
        return 0;
      },
      // One count for all traps: how often any was asked for.
      trapDropped: () => this.trapPacketCount++,
    });
    this.devlink.params = nsimParams();
    this.devlink.resources = nsimResources(kernel);
    this.devlink.regions = nsimRegions();
    this.devlink.reporters = nsimReporters(options.identity?.binary);
    Object.assign(this.devlink, nsimTraps());
  }

  /** Makes the ports; 0 or −errno, and then nothing is left. */
  create(): number {
    const error = this.addPorts(this.options.identity ?? {});
    if (error !== 0) return error;
    this.kernel.fib.notifiers.push(this.fibNotifier);
    this.kernel.devlinks.register(this.devlink);
    return 0;
  }

  destroy(): void {
    this.kernel.devlinks.unregister(this.devlink);
    this.takeApart();
  }

  private addPorts(identity: NsimIdentity): number {
    const { id, ports, queues } = this.options;
    for (let index = 0; index < ports; index++) {
      const port = addNsimPort(this.kernel, {
        name: identity.names?.[index] ?? 'eth%d',
        index,
        queues,
        parentDev: this.devlink.name,
        switchId: this.options.identity?.switchId ?? defaultSwitchId(id),
        mac: identity.macs?.[index] ?? Uint8Array.of(0x02, 0x6e, 0x73, id >> 8, id, index),
        ifindex: identity.ifindexes?.[index] ?? 0,
      });
      if (typeof port === 'number') {
        this.removePorts();
        return port;
      }
      this.ports.push(port);
    }
    this.devlink.ports = this.ports.map(({ dev, index }) => ({
      dev,
      index,
      portNumber: index + 1,
    }));
    return 0;
  }

  private removePorts(): void {
    for (const { dev } of this.ports.splice(0).reverse()) this.kernel.unregister_netdev(dev);
    this.devlink.ports = [];
  }

  private takeApart(): void {
    this.removePorts();
    const at = this.kernel.fib.notifiers.indexOf(this.fibNotifier);
    if (at >= 0) this.kernel.fib.notifiers.splice(at, 1);
  }

  private reloadDown(extack: ExtAck): number {
    if (this.dontAllowReload) {
      extack.message = 'netdevsim: User forbid the reload for testing purposes';
      extack.reason = 'reload-forbidden';
      return -EOPNOTSUPP;
    }
    this.takeApart();
    return 0;
  }

  private reloadUp(extack: ExtAck): number {
    if (this.failReload) {
      extack.message = 'netdevsim: User setup the reload to fail for testing purposes';
      extack.reason = 'reload-fails';
      return -EOPNOTSUPP;
    }
    const { devlink, kernel } = this;
    applySizes(devlink.resources);
    this.trapPacketCount = 0;
    Object.assign(devlink, nsimTraps());
    devlink.reporters = nsimReporters(this.options.identity?.binary);
    reportTraps(devlink);
    for (const family of ['ipv4', 'ipv6'] as const)
      if ((kernel.fib.tables?.routeCount(family) ?? 0) > this.fibSize(family)) return -ENOSPC;
    kernel.fib.notifiers.push(this.fibNotifier);
    return this.addPorts({});
  }

  private fibSize(family: FibFamily): number {
    const [four, six] = this.devlink.resources;
    return (family === 'ipv4' ? four : six).children[0].size;
  }

  private readonly fibNotifier: FibNotifier = (family, extack) => {
    const { tables } = this.kernel.fib;
    if (tables === null || tables.routeCount(family) < this.fibSize(family)) return 0;
    extack.message = 'netdevsim: Exceeded number of supported fib entries';
    extack.reason = 'fib-entries';
    return -ENOSPC;
  };
}

/** As drawn at random, but the same for the same device (xorshift32). */
function defaultSwitchId(id: number): string {
  let state = (id + 1) * 0x9e3779b1;
  let text = '';
  for (let i = 0; i < SWITCH_ID_BYTES; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    text += (state & 0xff).toString(16).padStart(2, '0');
  }
  return text;
}

const DEVICES = new WeakMap<Kernel, Netdevsim[]>();

/** The netdevsim devices of a kernel. */
export function netdevsims(kernel: Kernel): readonly Netdevsim[] {
  return DEVICES.get(kernel) ?? [];
}

/** `new_device`: 0 or −errno (−EEXIST: the id is taken). */
export function newNetdevsim(kernel: Kernel, options: NsimOptions): number {
  const known = DEVICES.get(kernel) ?? [];
  if (kernel.devlinks.find('netdevsim', `netdevsim${options.id}`) !== null) return -EEXIST;
  const device = new Netdevsim(kernel, options);
  const error = device.create();
  if (error === 0) DEVICES.set(kernel, [...known, device]);
  return error;
}

/** `del_device`: 0 or −ENOENT. */
export function delNetdevsim(kernel: Kernel, id: number): number {
  const known = DEVICES.get(kernel) ?? [];
  const device = known.find(({ devlink }) => devlink.name === `netdevsim${id}`);
  if (device === undefined) return -ENOENT;
  device.destroy();
  DEVICES.set(
    kernel,
    known.filter((one) => one !== device),
  );
  return 0;
}
