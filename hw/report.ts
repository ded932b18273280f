// Figures of a device for reports: a plain snapshot of ports, queues, vectors, PCIe and tables, in base units.

import type { Nic } from './nic.ts';
import { DROP_REASONS, MISS_REASONS } from './pipeline/outcome.ts';
import { C } from './stats.ts';

export interface QueueReport {
  rxPackets: number;
  rxBytes: number;
  rxDrops: number;
  txPackets: number;
  txBytes: number;
  txDrops: number;
  txStalls: number;
  /** Misuses by the driver, both directions. */
  faults: number;
}

export interface PortReport {
  /** Frames and bytes (without FCS) on the wire. */
  rxPackets: number;
  rxBytes: number;
  txPackets: number;
  txBytes: number;
  /** Received frames by end. */
  forwarded: number;
  delivered: number;
  /** Names of DROP_REASONS → count, only those that occurred. */
  rxDrops: Record<string, number>;
  txDrops: Record<string, number>;
  /** Names of MISS_REASONS → frames that went to the host path for it. */
  misses: Record<string, number>;
  /** Most bytes ever in the receive packet buffer. */
  rxBufferPeakBytes: number;
  queues: QueueReport[];
  /** MSI-X messages per vector. */
  interrupts: number[];
  /** Admin commands by Status number. */
  adminCommands: number[];
}

export interface NicReport {
  name: string;
  ports: PortReport[];
  pcie: { upBusy: number; downBusy: number; upBytes: number; downBytes: number };
  flowTable: { entries: number; used: number; hits: number; misses: number };
  tcam: { entries: number; used: number; hits: number; misses: number };
}

/** Snapshot; `nowPs` is the time over which busy fractions are taken. */
export function reportNic(nic: Nic, nowPs: number): NicReport {
  const { pcie } = nic.ctx;
  const { flows, tcam } = nic.pipeline;
  const overPs = nowPs > 0 ? nowPs : 1;
  return {
    name: nic.config.name,
    ports: nic.functions.map((_fn, i) => reportPort(nic, i)),
    pcie: {
      upBusy: pcie.up.busyPs / overPs,
      downBusy: pcie.down.busyPs / overPs,
      upBytes: pcie.upBytes,
      downBytes: pcie.downBytes,
    },
    flowTable: {
      entries: flows.capacity,
      used: flows.count,
      hits: flows.hits,
      misses: flows.misses,
    },
    tcam: { entries: tcam.entries, used: tcam.count, hits: tcam.hits, misses: tcam.misses },
  };
}

function reportPort(nic: Nic, i: number): PortReport {
  const stats = nic.ctx.stats[i];
  const fn = nic.functions[i];
  const total = (counter: number): number => stats.total[counter];
  return {
    rxPackets: total(C.RX_FRAMES),
    rxBytes: total(C.RX_OCTETS) - 4 * total(C.RX_FRAMES),
    txPackets: total(C.TX_FRAMES),
    txBytes: total(C.TX_OCTETS) - 4 * total(C.TX_FRAMES),
    forwarded: stats.forwarded,
    delivered: stats.delivered,
    rxDrops: byName(stats.rxDrops, DROP_REASONS),
    txDrops: byName(stats.txDrops, DROP_REASONS),
    misses: byName(stats.misses, MISS_REASONS),
    rxBufferPeakBytes: nic.ctx.ports[i].peakHeldBytes,
    queues: fn.rxRings.map((rx, q) => {
      const tx = fn.txRings[q];
      return {
        rxPackets: rx.packets,
        rxBytes: rx.bytes,
        rxDrops: rx.drops,
        txPackets: tx.packets,
        txBytes: tx.bytes,
        txDrops: tx.drops,
        txStalls: tx.stalls,
        faults: rx.faults + tx.faults,
      };
    }),
    interrupts: [...fn.msix.fired],
    adminCommands: [...fn.admin.executed],
  };
}

function byName(counts: Float64Array, names: readonly { name: string }[]): Record<string, number> {
  const result: Record<string, number> = {};
  names.forEach((entry, i) => {
    const count = counts[i];
    if (count > 0) result[entry.name] = count;
  });
  return result;
}
