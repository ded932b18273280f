// The emulated machine: one clock, one host with its cores and memory, one NIC with its ports, the driver, the network
// stack, and the ledger that counts every packet's fate. Everything that carries a packet is built here, and nothing else.
//
// A driver author gives a driver of their own (`driver`) and may leave the stack out (`stack: false`): then packets that
// their driver passes up end there, and those that it transmits leave as any other.

import type { HostCosts } from '../../driver/costs.ts';
import { Kernel } from '../../driver/kernel.ts';
import type { PciDev } from '../../driver/mmio.ts';
import { IFF_PROMISC } from '../../driver/netdev.ts';
import type { NetDevice } from '../../driver/netdev.ts';
import type { SkBuff } from '../../driver/skb.ts';
import { twinAdapter } from '../../driver/twin/adapter.ts';
import { IXGBE_RING_LIMITS } from '../../driver/twin/adapter.ts';
import type { TwinOptions } from '../../driver/twin/adapter.ts';
import { twinProbe } from '../../driver/twin/probe.ts';
import { ModelError } from '../../hw/base/assert.ts';
import { HostMemory } from '../../hw/dma/host-memory.ts';
import { E5_IO_CACHE, IoCache } from '../../hw/dma/io-cache.ts';
import type { IoCacheConfig } from '../../hw/dma/io-cache.ts';
import type { NicConfig } from '../../hw/models.ts';
import { genericNic } from '../../hw/models.ts';
import { Nic } from '../../hw/nic.ts';
import type { EgressFrame, TraceSink } from '../../hw/observer.ts';
import { Scheduler } from '../../hw/time/scheduler.ts';
import { PacketLedger } from '../report/ledger.ts';
import type { TraceCollector } from '../report/trace.ts';
import { attachNetfilter } from '../stack/netfilter/index.ts';
import type { Netfilter } from '../stack/netfilter/index.ts';
import { Namespaces } from '../stack/namespaces.ts';
import { DRIVER_DROPS, NetStack } from '../stack/net-stack.ts';
import { symmetricHash } from '../stack/tun/flow-hash.ts';
import { runCommand } from './commands/table.ts';
import type { CommandResult } from './commands/command.ts';
import { driverOptionsOf, nicConfigOf } from '../devices/nic-config.ts';
import type { DeviceProfile } from '../devices/profile.ts';
import { BYTES_PER_SLOT, RINGS_MEMORY_BYTES } from './device-limits.ts';
import { pcieOf } from './pcie-option.ts';
import type { Scenario } from './schema.ts';

/** One port of the machine. */
export interface PortOptions {
  /** Interface name; default p0, p1, ... */
  name?: string;
  /** "02:00:5e:00:00:01"; default: the device's own address. */
  mac?: string;
  /** L3 MTU, bytes; default 1500. */
  mtuBytes?: number;
  /** Accept frames for other stations. */
  promisc?: boolean;
  /** Network namespace to put it in, made when it is not there; default the initial one. */
  netns?: string;
}

/** Binds one PCI function to a driver; what `probe` of a driver written elsewhere does. null when it refuses. */
export type DriverProbe = (kernel: Kernel, pdev: PciDev, name: string) => NetDevice | null;

export interface TestbedOptions {
  /** What differs from the generic NIC (hw/models.ts). */
  device?: Partial<NicConfig>;
  /** One entry a port; default two ports. None: a card that no driver is bound to. */
  ports?: readonly PortOptions[];
  cores?: number;
  frequencyMhz?: number;
  /** Host memory, bytes; default: room for all rings at their largest. */
  memoryBytes?: number;
  /** Descriptors per ring of the reference driver; default 512. */
  ringSlots?: number;
  /** Further module parameters of the reference driver. */
  twin?: TwinOptions;
  /** What steps cost the cores; default: `hostCosts(frequencyMhz)`. */
  costs?: HostCosts;
  /** The cache that devices write into; default none: every received frame is read at the same cost. */
  ioCache?: IoCacheConfig;
  /** A driver in place of the reference driver. */
  driver?: DriverProbe;
  /** Seed of what the machine draws at random (ports of NAT). */
  seed?: number;
  /** false: no network stack above the driver. */
  stack?: boolean;
}

/** Time that resources have been busy since the start, ps. */
export interface BusyTimes {
  pcieToHost: number;
  pcieToDevice: number;
  cores: number[];
}

const LEAST_MEMORY_BYTES = 96 << 20;
const DEFAULT_MTU_BYTES = 1500;
/** MSI-X vectors of a function (82599 7.3.4). */
const VECTORS_MAX = 64;

export class Testbed {
  readonly scheduler = new Scheduler();
  readonly memory: HostMemory;
  readonly kernel: Kernel;
  readonly nic: Nic;
  readonly ledger = new PacketLedger();
  /** Network devices by port. */
  readonly devices: NetDevice[] = [];
  /** Called for every frame that leaves a port. */
  onFrame: ((frame: EgressFrame) => void) | null = null;
  /** Called for every packet that the driver passes up. */
  onHostReceive: ((skb: SkBuff, portIndex: number, atPs: number) => void) | null = null;

  private readonly netStack: NetStack | null = null;
  private readonly netFilter: Netfilter | null = null;

  constructor(options: TestbedOptions = {}) {
    const ports = options.ports ?? [{}, {}];
    const config = genericNic({ ...options.device, ports: Math.max(ports.length, 1) });
    const { max } = options.twin?.ringLimits ?? IXGBE_RING_LIMITS;
    this.memory = new HostMemory(options.memoryBytes ?? memoryFor(config, max));
    if (options.ioCache !== undefined) this.memory.ioCache = new IoCache(options.ioCache);
    this.kernel = new Kernel({
      scheduler: this.scheduler,
      memory: this.memory,
      coreCount: options.cores ?? 2,
      frequencyMhz: options.frequencyMhz ?? 3600,
      ...(options.costs === undefined ? {} : { costs: options.costs }),
    });
    this.ledger.clock = this.scheduler;
    this.ledger.onFrame = (frame) => this.onFrame?.(frame);
    this.nic = new Nic(config, {
      scheduler: this.scheduler,
      memory: this.memory,
      msix: this.kernel,
      observer: this.ledger.device,
    });
    this.kernel.syncDevices = (nowPs) => this.nic.sync(nowPs);
    this.kernel.onSample = (id) => this.ledger.stack.onLocal(id, 'sample');
    this.kernel.onFrameLost = (id, reason) => this.ledger.stack.onDrop(id, DRIVER_DROPS[reason]);
    if (options.stack !== false) {
      this.netStack = new NetStack(this.kernel, this.ledger.stack);
      if (options.seed !== undefined) this.netStack.tun.flowHash = symmetricHash(options.seed);
      this.netFilter = attachNetfilter(this.netStack, options.seed);
    }
    ports.forEach((port, index) => this.addPort(index, port, options));
    this.kernel.onReceive = (skb, dev) => {
      if (this.onHostReceive === null) return;
      const portIndex = this.devices.indexOf(dev);
      if (portIndex >= 0) this.onHostReceive(skb, portIndex, this.nowPs);
    };
  }

  /**
   * The machine that a scenario describes. `profile` is the device that it names (whoever can read files gives it); without it
   * the generic NIC, which has no tables for tc filters then.
   */
  static ofScenario(
    scenario: Scenario,
    seed: number = scenario.seed,
    profile: DeviceProfile | null = null,
  ): Testbed {
    const { device, host } = scenario;
    const overrides: Partial<NicConfig> = profile === null ? {} : nicConfigOf(profile);
    if (overrides.stages) overrides.stages = { ...overrides.stages, seed };
    const standard = genericNic(overrides);
    if (device.lineRate !== undefined) overrides.lineRateBps = device.lineRate;
    if (device.queues !== undefined) {
      overrides.queues = device.queues;
      // A vector per queue pair, one for the link, one for the admin queue.
      overrides.vectors = Math.max(standard.vectors, Math.min(device.queues + 2, VECTORS_MAX));
    }
    const { rssEntries, rssQueues, rssContexts } = device;
    overrides.rss = {
      ...standard.rss,
      ...(rssEntries === undefined ? {} : { tableEntries: rssEntries }),
      ...(rssQueues === undefined ? {} : { entryBits: rssQueues === 64 ? 6 : 4 }),
      ...(rssContexts === undefined ? {} : { contexts: rssContexts }),
    };
    if (device.flowEntries !== undefined)
      overrides.exactMatch = { ...standard.exactMatch, entries: device.flowEntries };
    if (device.flowInsert !== undefined)
      overrides.admin = { ...standard.admin, commandPs: device.flowInsert };
    if (device.pcie !== undefined) Object.assign(overrides, pcieOf(device.pcie, standard, seed));
    return new Testbed({
      device: overrides,
      seed,
      cores: host.cores,
      frequencyMhz: host.mhz,
      ...(host.ioCache === undefined
        ? {}
        : { ioCache: { ...E5_IO_CACHE, shareBytes: host.ioCache } }),
      twin: {
        ...(profile === null ? {} : driverOptionsOf(profile)),
        ...(device.ringSlots === undefined
          ? {}
          : { rxSlots: device.ringSlots, txSlots: device.ringSlots }),
        ...(device.atrSampleRate === undefined ? {} : { atrSampleRate: device.atrSampleRate }),
      },
      ports: scenario.ports.map((port) => ({
        name: port.name,
        promisc: port.promisc,
        ...(port.mac === undefined ? {} : { mac: port.mac }),
        ...(port.mtu === undefined ? {} : { mtuBytes: port.mtu }),
        ...(port.netns === undefined ? {} : { netns: port.netns }),
      })),
    });
  }

  /** Simulated time, ps. */
  get nowPs(): number {
    return this.scheduler.nowPs;
  }

  /** The network stack; throws when the testbed was built without one. */
  get stack(): NetStack {
    if (this.netStack === null) throw new ModelError('this testbed has no network stack');
    return this.netStack;
  }

  /** Netfilter of the stack, null without a stack. */
  get netfilter(): Netfilter | null {
    return this.netFilter;
  }

  /** Runs everything due until `atPs`; the clock is then there. */
  advanceTo(atPs: number): void {
    this.scheduler.runUntil(atPs);
  }

  /** Runs everything due within the next `byPs`. */
  advance(byPs: number): void {
    this.scheduler.runFor(byPs);
  }

  /** Puts a frame (without FCS) on the wire of a port at `startPs`, not before now; returns its ledger id. */
  inject(
    portIndex: number,
    startPs: number,
    bytes: Uint8Array,
    at = 0,
    lenBytes: number = bytes.length - at,
    packetNumber: number = this.ledger.inPackets + 1,
  ): number {
    const { scheduler, nic } = this;
    if (startPs > scheduler.nowPs) scheduler.runUntil(startPs);
    else if (scheduler.isDue) scheduler.runFor(0);
    const id = this.ledger.begin(packetNumber, lenBytes);
    const frameAt = nic.packets.allocate();
    nic.packets.copyIn(frameAt, bytes, at, Math.min(lenBytes, nic.packets.roomBytes));
    nic.ctx.ports[portIndex].firstBitPs = scheduler.nowPs;
    nic.frameInPlace(portIndex, frameAt, lenBytes, id);
    return id;
  }

  /** Runs until no packet is in the machine, at most until `limitPs`; whether all ended. */
  settle(limitPs: number): boolean {
    while (this.ledger.pending > 0 && this.scheduler.nextPs <= limitPs) this.scheduler.runNext();
    return this.ledger.pending === 0;
  }

  /**
   * Runs one command (its words) as typed at a shell of the machine. `readText` answers for files that it names, relative
   * to wherever its caller says.
   */
  runWords(
    words: readonly string[],
    stdin?: string,
    readText: (name: string) => string | null = () => null,
  ): CommandResult {
    return runCommand(words, { stack: this.stack, kernel: this.kernel, readText }, stdin);
  }

  /** A unicast address of a capture is on this side: host route and permanent neighbour, as if there from the start. */
  learn(address: Uint8Array, side: number, mac: Uint8Array): void {
    const dev = this.devices[side];
    const stack = this.stack.namespaces?.stackOf(dev) ?? this.stack;
    stack.fib.addHostRouteQuiet(address, dev);
    stack.neigh.replace(dev, address, mac);
  }

  /** Sets a port's MTU. */
  setMtu(portIndex: number, mtuBytes: number): void {
    const error = this.kernel.dev_set_mtu(this.devices[portIndex], mtuBytes);
    if (error !== 0) throw new ModelError(`port ${portIndex}: MTU ${mtuBytes} refused: ${error}`);
  }

  /** Stacks of all network namespaces, the initial one first; none without a stack. */
  stacks(): NetStack[] {
    if (this.netStack === null) return [];
    return this.netStack.namespaces === null ? [this.netStack] : this.netStack.namespaces.all();
  }

  /** Netfilter of all network namespaces, removed ones included while a driver still holds flows of theirs. */
  netfilters(): Netfilter[] {
    const stacks = this.netStack?.namespaces?.withLeaving() ?? this.stacks();
    return stacks.map((stack) => stack.netfilter as Netfilter);
  }

  /** Packets that each named counter of the rule sets has counted; one name in several tables or namespaces is one counter. */
  namedCounters(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const { nft } of this.netfilters())
      for (const table of nft.ruleset.tables)
        for (const counter of table.counters)
          counts.set(counter.name, (counts.get(counter.name) ?? 0) + counter.values[0]);
    return counts;
  }

  /** Switches the trace of every packet on. */
  setTrace(collector: TraceCollector): void {
    const sink: TraceSink = collector;
    collector.vectorOf = (port, queue) => this.nic.functions[port].rxVector[queue];
    this.nic.trace = sink;
    for (const stack of this.stacks()) stack.trace = sink;
    this.ledger.listener = collector;
  }

  /** How long PCIe and the cores have worked since the start. */
  busyPs(): BusyTimes {
    const { pcie } = this.nic.ctx;
    return {
      pcieToHost: pcie.up.busyPs,
      pcieToDevice: pcie.down.busyPs,
      cores: this.kernel.cores.map((core) => core.busyPs),
    };
  }

  /** What must always hold; throws ModelError otherwise. */
  checkInvariants(): void {
    this.ledger.check();
    this.nic.checkInvariants();
    const netfilters = this.netfilters();
    const faults = netfilters.flatMap((netfilter) => netfilter.flowtables.checkInvariants());
    faults.push(...this.ownerlessEntries());
    if (faults.length > 0) throw new ModelError(`flowtables: ${faults.join('; ')}`);
  }

  /** Entries of the hardware flow table that the driver does not know, and entries of the driver that no live flow owns. */
  private ownerlessEntries(): string[] {
    const adapter = this.devices.length > 0 ? twinAdapter(this.devices[0]) : null;
    if (this.netFilter === null || adapter === null) return [];
    const owned = new Set(this.netfilters().flatMap((nf) => [...nf.flowtables.cookies()]));
    const faults: string[] = [];
    const known = new Set<number>();
    let underWay = 0;
    for (const { cookie, handle, state } of adapter.flows.audit()) {
      if (state === 'in' && !owned.has(cookie)) faults.push(`hardware entry ${handle} has no flow`);
      if (handle >= 0) known.add(handle);
      else underWay++;
    }
    const { flows } = this.nic.pipeline;
    let unknown = 0;
    for (let handle = 0; handle < flows.capacity; handle++)
      if (flows.isUsed(handle) && !known.has(handle)) unknown++;
    if (unknown > underWay)
      faults.push(
        `${unknown} hardware entries that the driver does not know, ${underWay} under way`,
      );
    return faults;
  }

  private addPort(index: number, port: PortOptions, options: TestbedOptions): void {
    const name = port.name ?? `p${index}`;
    const pdev: PciDev = {
      functionIndex: index,
      busInfo: `0000:01:00.${index}`,
      bar0: this.nic.functions[index].bar0,
      bar2: this.nic.functions[index].bar2,
      debug: this.nic.functions[index].debug,
    };
    const probe = options.driver ?? this.probeReference(options);
    const dev = probe(this.kernel, pdev, name);
    if (dev === null) throw new ModelError(`port ${index}: the driver refused the device`);
    this.devices.push(dev);
    if (port.mac !== undefined) this.kernel.dev_set_mac_address(dev, macBytes(port.mac));
    if (options.stack === false) return;
    if (port.netns !== undefined) this.moveTo(dev, port.netns);
    if (port.mtuBytes !== undefined && port.mtuBytes !== DEFAULT_MTU_BYTES)
      this.setMtu(index, port.mtuBytes);
    if (port.promisc === true) this.kernel.dev_change_rx_flags(dev, IFF_PROMISC, 0);
    const error = this.kernel.dev_open(dev);
    if (error !== 0) throw new ModelError(`port ${index}: ndo_open failed: ${error}`);
  }

  private moveTo(dev: NetDevice, name: string): void {
    const namespaces = Namespaces.of(this.stack);
    if (namespaces.find(name) === null) namespaces.add(name);
    namespaces.move(dev, namespaces.find(name) ?? this.stack);
  }

  private probeReference(options: TestbedOptions): DriverProbe {
    return (kernel, pdev, name) =>
      twinProbe(kernel, pdev, {
        name,
        maxMtuBytes: this.nic.config.maxFrameBytes - 18,
        ...(options.ringSlots === undefined
          ? {}
          : { rxSlots: options.ringSlots, txSlots: options.ringSlots }),
        ...options.twin,
      }).dev;
  }
}

function macBytes(text: string): Uint8Array {
  return Uint8Array.from(text.split(':').map((part) => parseInt(part, 16)));
}

/** Host memory, bytes: room for all rings at their largest (`ethtool -G`). It costs nothing until it is used. */
function memoryFor({ ports, queues, vectors }: NicConfig, ringSlotsMax: number): number {
  const ringsBytes = ports * Math.min(queues, vectors) * ringSlotsMax * BYTES_PER_SLOT;
  return LEAST_MEMORY_BYTES + Math.min(ringsBytes, RINGS_MEMORY_BYTES);
}
