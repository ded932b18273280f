// What the blocks of one device share: configuration, clock, host memory, PCIe, observer, trace, and the way a drop is
// counted. One object per device, handed to every block.

import type { NicConfig } from './models.ts';
import type { Scheduler } from './time/scheduler.ts';
import type { HostMemory } from './dma/host-memory.ts';
import type { DeviceObserver, TraceSink } from './observer.ts';
import { DropReason } from './pipeline/outcome.ts';
import { Card } from './control/card.ts';
import { PcieLink } from './pcie/link.ts';
import { PacketMemory } from './mac/packet-memory.ts';
import { Port } from './mac/port.ts';
import { C, PortStats } from './stats.ts';
import { TraceStep } from './trace.ts';

/** Words of a bit per queue: 128 queues a port. */
export const QUEUE_WORDS = 4;

export class DeviceContext {
  readonly config: NicConfig;
  readonly scheduler: Scheduler;
  readonly memory: HostMemory;
  readonly observer: DeviceObserver;
  readonly pcie: PcieLink;
  readonly card: Card;
  readonly packets: PacketMemory;
  readonly ports: Port[] = [];
  readonly stats: PortStats[] = [];
  trace: TraceSink | null = null;
  /** No staged write-back is due before this time, ps. */
  publishDuePs = Infinity;
  /** Queues that may have staged write-backs: bit q & 31 of word QUEUE_WORDS * port + (q >> 5). Set by rings, cleared by `sync`. */
  readonly rxStaged: Int32Array;
  readonly txStaged: Int32Array;

  constructor(
    config: NicConfig,
    scheduler: Scheduler,
    memory: HostMemory,
    observer: DeviceObserver,
  ) {
    this.config = config;
    this.scheduler = scheduler;
    this.memory = memory;
    this.observer = observer;
    this.pcie = new PcieLink(config.pcie, scheduler);
    this.card = new Card(config.ports, (i) => this.macOf(i));
    this.packets = new PacketMemory(config.maxFrameBytes);
    this.rxStaged = new Int32Array(QUEUE_WORDS * config.ports);
    this.txStaged = new Int32Array(QUEUE_WORDS * config.ports);
    for (let i = 0; i < config.ports; i++) {
      this.ports.push(
        new Port(
          i,
          config.lineRateBps,
          config.macLatencyPs,
          config.rxPacketBufferBytes,
          config.txPacketBufferBytes,
        ),
      );
      this.stats.push(new PortStats());
    }
  }

  /** Permanent address of a port: the card's, the port added to the last byte. */
  macOf(portIndex: number): number[] {
    return this.config.permanentMac.map((byte, i) => (i === 5 ? (byte + portIndex) & 255 : byte));
  }

  /** Ends a received frame as dropped. */
  dropRx(packetId: number, portIndex: number, reason: DropReason, atPs: number): void {
    const stats = this.stats[portIndex];
    stats.rxDrops[reason] = stats.rxDrops[reason] + 1;
    if (reason === DropReason.RX_BUFFER_FULL) {
      stats.add(C.RX_MISSED, 1);
      stats.add(C.RX_CLASS_MISSED + (this.ports[portIndex].split?.trafficClass ?? 0), 1);
    } else if (reason === DropReason.OVERSIZE) stats.add(C.RX_OVERSIZE, 1);
    else if (reason === DropReason.UNDERSIZE) stats.add(C.RX_UNDERSIZE, 1);
    this.trace?.step(packetId, atPs, TraceStep.DROP, portIndex, reason, 0);
    this.observer.onDrop(packetId, portIndex, reason, atPs);
  }

  /** Ends a frame of the host as dropped. */
  dropTx(packetId: number, portIndex: number, reason: DropReason, atPs: number): void {
    const stats = this.stats[portIndex];
    stats.txDrops[reason] = stats.txDrops[reason] + 1;
    this.trace?.step(packetId, atPs, TraceStep.DROP, portIndex, reason, 0);
    this.observer.onDrop(packetId, portIndex, reason, atPs);
  }
}
