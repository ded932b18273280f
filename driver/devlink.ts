// devlink as drivers see it (net/core/devlink.c of Linux 6.1): what a device says of itself beside its network devices, and what can
// be changed there: ports, versions, parameters, resources, health reporters, packet traps, e-switch mode, regions, reload.
//
// An instance is made by a driver and registered with the kernel (`kernel.devlinks`). What the core checks before it asks a driver is in
// devlink-core.ts. Left out: rates, line cards, shared buffers, dpipe tables, port functions, regions' contents, notifications.

import type { ExtAck, NetDevice } from './netdev.ts';

/** A component and its version. */
export type DevlinkVersion = readonly [name: string, version: string];

export interface DevlinkInfo {
  driver: string;
  fixed: readonly DevlinkVersion[];
  running: readonly DevlinkVersion[];
  stored: readonly DevlinkVersion[];
}

/** A port of flavour "physical". */
export interface DevlinkPort {
  index: number;
  dev: NetDevice;
  /** What stands on the front panel, from 1. */
  portNumber: number;
}

export type DevlinkParamValue = number | boolean;
export type DevlinkCmode = 'runtime' | 'driverinit' | 'permanent';

/** A parameter in its one mode of configuration. */
export interface DevlinkParam {
  readonly name: string;
  readonly isGeneric: boolean;
  readonly cmode: DevlinkCmode;
  /** Largest value; null for a switch. */
  readonly maximum: number | null;
  get(): DevlinkParamValue;
  set(value: DevlinkParamValue, extack: ExtAck): number;
}

/** A driverinit parameter: kept here until the driver reads it with its next start. */
export function driverinitParam(
  name: string,
  isGeneric: boolean,
  maximum: number | null,
  initial: DevlinkParamValue,
): DevlinkParam {
  let value = initial;
  return {
    name,
    isGeneric,
    cmode: 'driverinit',
    maximum,
    get: () => value,
    set(next) {
      value = next;
      return 0;
    },
  };
}

/** A resource: entries of a table. Infinity is "unlimited". */
export interface DevlinkResource {
  readonly name: string;
  size: number;
  /** What `devlink resource set` asked for; takes effect with a reload. */
  sizeNew: number;
  readonly sizeMin: number;
  readonly sizeMax: number;
  readonly granularity: number;
  /** Entries in use; null when the driver does not say. */
  readonly occupied: (() => number) | null;
  readonly children: readonly DevlinkResource[];
}

/** A piece of a health reporter's message. */
export type DevlinkFmsg =
  | { kind: 'value'; name: string; value: boolean | number | string }
  | { kind: 'binary'; name: string; bytes: Uint8Array }
  | { kind: 'nest'; name: string; members: readonly DevlinkFmsg[] }
  | { kind: 'array'; name: string; count: number };

export interface DevlinkReporter {
  readonly name: string;
  isHealthy: boolean;
  errorCount: number;
  recoverCount: number;
  /** Least time between two recoveries, ms, and whether they happen by themselves; null when the driver cannot recover. */
  recovery: { gracePeriodMs: number; isAutomatic: boolean } | null;
  autoDump: boolean;
  diagnose(): readonly DevlinkFmsg[];
}

export type DevlinkTrapAction = 'drop' | 'trap' | 'mirror';

export interface DevlinkTrap {
  readonly name: string;
  readonly type: 'drop' | 'exception' | 'control';
  readonly isGeneric: boolean;
  readonly group: string;
  action: DevlinkTrapAction;
  rxBytes: number;
  rxPackets: number;
}

export interface DevlinkTrapGroup {
  readonly name: string;
  /** Policer in front of it, 0 for none. */
  policer: number;
}

export interface DevlinkTrapPolicer {
  readonly id: number;
  /** Packets per second and packets at once, with their limits. */
  rate: number;
  burst: number;
  readonly rateLimits: readonly [min: number, max: number];
  readonly burstLimits: readonly [min: number, max: number];
}

export interface DevlinkRegion {
  readonly name: string;
  readonly sizeBytes: number;
  readonly snapshotsMax: number;
  snapshots: readonly number[];
}

export type DevlinkEswitchMode = 'legacy' | 'switchdev';

/** What a driver does when asked; a missing operation is EOPNOTSUPP. */
export interface DevlinkOps {
  info?: () => DevlinkInfo;
  /** Takes the device apart; −errno leaves it as it was. */
  reloadDown?: (extack: ExtAck) => number;
  /** Puts it together again with new parameters and sizes. */
  reloadUp?: (extack: ExtAck) => number;
  eswitchMode?: () => DevlinkEswitchMode;
  setEswitchMode?: (mode: DevlinkEswitchMode, extack: ExtAck) => number;
  /** Packets that a trap dropped in hardware; asked each time the trap is reported. Undefined: the device does not count them. */
  trapDropped?: (trap: DevlinkTrap) => number;
}

export class Devlink {
  readonly bus: string;
  readonly name: string;
  readonly ops: DevlinkOps;
  ports: DevlinkPort[] = [];
  params: readonly DevlinkParam[] = [];
  resources: readonly DevlinkResource[] = [];
  reporters: readonly DevlinkReporter[] = [];
  traps: readonly DevlinkTrap[] = [];
  trapGroups: readonly DevlinkTrapGroup[] = [];
  trapPolicers: readonly DevlinkTrapPolicer[] = [];
  regions: readonly DevlinkRegion[] = [];

  constructor(bus: string, name: string, ops: DevlinkOps) {
    this.bus = bus;
    this.name = name;
    this.ops = ops;
  }

  /** `pci/0000:01:00.0`. */
  get handle(): string {
    return `${this.bus}/${this.name}`;
  }
}

/** The instances of a kernel. */
export class DevlinkRegistry {
  private readonly instances: Devlink[] = [];

  /** Makes an instance visible; its traps are reported to whoever listens (devlink_notify_register). */
  register(devlink: Devlink): void {
    this.instances.push(devlink);
    reportTraps(devlink);
  }

  unregister(devlink: Devlink): void {
    const at = this.instances.indexOf(devlink);
    if (at >= 0) this.instances.splice(at, 1);
  }

  all(): readonly Devlink[] {
    return this.instances;
  }

  find(bus: string, name: string): Devlink | null {
    return this.instances.find((one) => one.bus === bus && one.name === name) ?? null;
  }

  /** The instance and port of a network device, null when no driver announced one. */
  portOf(dev: NetDevice): { devlink: Devlink; port: DevlinkPort } | null {
    for (const devlink of this.instances) {
      const port = devlink.ports.find((one) => one.dev === dev);
      if (port !== undefined) return { devlink, port };
    }
    return null;
  }
}

/** A notification per trap carries its counters: the driver is asked for them (devlink_trap_notify). */
export function reportTraps(devlink: Devlink): void {
  for (const trap of devlink.traps) devlink.ops.trapDropped?.(trap);
}
