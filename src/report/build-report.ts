// Gathers the run report from the machine's counters at the end of a run.

import { C } from '../../hw/stats.ts';
import type { PortStats } from '../../hw/stats.ts';
import { DROP_REASONS, MISS_REASONS } from '../../hw/pipeline/outcome.ts';
import type { PacketLedger } from './ledger.ts';
import { summarise } from './latency-summary.ts';
import { namespaceReports } from './namespace-report.ts';
import { RUN_REPORT_SCHEMA } from './run-report.ts';
import type {
  Count,
  OffloadReport,
  PortReport,
  QueueReport,
  RunReport,
  TimeSummary,
} from './run-report.ts';
import type { SpanSamples } from '../stack/netfilter/flowtable/counters.ts';
import { STACK_DROPS } from '../stack/outcome.ts';
import type { Assumptions } from '../scenario/feed.ts';
import type { ReplayRun } from '../scenario/replay-run.ts';
import type { Testbed } from '../scenario/testbed.ts';

/** Fills the report; mixes the final counts into the run's digest. */
export function buildReport(run: ReplayRun): RunReport {
  const { testbed, scenario } = run;
  const { ledger, nic } = testbed;
  const firstArrivalPs = Math.max(run.firstArrivalPs, 0);
  // Shares are of the time in which traffic came, not of the wait for the last fragment that never does.
  const spanPs = Math.max(run.lastArrivalPs - firstArrivalPs, 1);
  const fate = (index: number): Count => ({
    packets: ledger.fatePackets[index],
    bytes: ledger.fateBytes[index],
  });
  const [hardware, fastPath, classicPath] = ledger.latency.map(summarise);
  for (const packets of ledger.fatePackets) run.digest.number(packets);
  return {
    schema: RUN_REPORT_SCHEMA,
    scenario: scenario.name,
    device: nic.config.name,
    seed: run.seed,
    firstArrivalPs: Math.round(firstArrivalPs),
    lastArrivalPs: Math.round(run.lastArrivalPs),
    endPs: Math.round(testbed.nowPs),
    ports: portReports(testbed),
    in: { packets: ledger.inPackets, bytes: ledger.inBytes },
    fates: {
      hardware: fate(0),
      fastPath: fate(1),
      classicPath: fate(2),
      local: fate(3),
      dropped: fate(4),
      inFlight: ledger.pending - ledger.pendingCopies,
    },
    toHost: named(ledger.missPackets, MISS_REASONS),
    localBy: Object.fromEntries([...ledger.localEnds].sort()),
    droppedBy: dropped(ledger),
    copies: copyCounts(ledger),
    extraFrames: ledger.extraFrames,
    hostFrames: ledger.hostFrames,
    offload: offloadReport(testbed),
    namespaces: namespaceReports(testbed.stacks()),
    queues: queueReports(testbed),
    latency: { hardware, fastPath, classicPath },
    utilisation: utilisation(run, spanPs),
    assumptions: assumptionCounts(run.feed.assumptions, run.backwardsCount),
    commands: run.commandOutput.filter((entry) => entry.stdout !== '' || entry.stderr !== ''),
    inputFaults: [...run.inputFaults],
    digest: run.digest.hex(),
  };
}

function copyCounts(ledger: PacketLedger): RunReport['copies'] {
  const [mirrored, sampled, replicated] = ledger.copiesMade;
  const [sent, fast, classic, toHost, dropped] = ledger.copyFates;
  return { mirrored, sampled, replicated, sent: sent + fast + classic, toHost, dropped };
}

/** Busy shares over the time of traffic; all 0 without traffic. */
function utilisation(run: ReplayRun, spanPs: number): RunReport['utilisation'] {
  const before = run.busyBefore;
  const now = run.testbed.busyPs();
  const share = (nowPs: number, beforePs: number): number =>
    before === null ? 0 : (nowPs - beforePs) / spanPs;
  return {
    pcieToHost: share(now.pcieToHost, before?.pcieToHost ?? 0),
    pcieToDevice: share(now.pcieToDevice, before?.pcieToDevice ?? 0),
    cores: now.cores.map((busyPs, i) => share(busyPs, before?.cores[i] ?? 0)),
  };
}

function named(
  counts: Float64Array,
  names: readonly { name: string }[],
  into: Record<string, number> = {},
): Record<string, number> {
  counts.forEach((count, index) => {
    if (count > 0) into[names[index].name] = count;
  });
  return into;
}

function dropped(ledger: PacketLedger): Record<string, number> {
  return named(ledger.stackDrops, STACK_DROPS, named(ledger.deviceDrops, DROP_REASONS));
}

function assumptionCounts(
  assumptions: Assumptions,
  backwardsCount: number,
): Record<string, number> {
  const counts: [string, number][] = [
    ['frames addressed to the router', assumptions.addressedToRouter],
    ['addresses learned on the first port', assumptions.addresses[0]],
    ['addresses learned on the second port', assumptions.addresses[1]],
    ['VLAN tags removed', assumptions.vlanTagsRemoved],
    ['cut packets filled with zeros', assumptions.snappedFilled],
    ['checksums completed', assumptions.checksumsCompleted],
    ['zero lengths filled in', assumptions.lengthsCompleted],
    ['Ethernet headers made', assumptions.ethernetHeadersMade],
    ['placed by the capture itself', assumptions.placedByCapture],
    ['times that ran backwards', backwardsCount],
  ];
  return Object.fromEntries(counts.filter(([, count]) => count > 0));
}

function portReports(testbed: Testbed): PortReport[] {
  return testbed.devices.map((dev, index) => {
    const stats = testbed.nic.ctx.stats[index];
    const drops = named(stats.rxDrops, DROP_REASONS);
    return {
      name: dev.name,
      rx: { packets: stats.framesIn, bytes: withoutFcs(stats, C.RX_FRAMES, C.RX_OCTETS) },
      tx: { packets: stats.total[C.TX_FRAMES], bytes: withoutFcs(stats, C.TX_FRAMES, C.TX_OCTETS) },
      drops: named(stats.txDrops, DROP_REASONS, drops),
    };
  });
}

function queueReports(testbed: Testbed): QueueReport[] {
  return testbed.devices.flatMap((dev, index) => {
    const pci = testbed.nic.functions[index];
    return pci.rxRings.map((rx, queue) => {
      const tx = pci.txRings[queue];
      const vector = pci.rxVector[queue];
      return {
        port: dev.name,
        queue,
        rxPackets: rx.packets,
        rxBytes: rx.bytes,
        rxDrops: rx.drops,
        txPackets: tx.packets,
        txBytes: tx.bytes,
        interrupts: vector >= 0 ? pci.msix.fired[vector] : 0,
      };
    });
  });
}

/** Octet counters hold the FCS, reports do not. */
function withoutFcs(stats: PortStats, frames: number, octets: number): number {
  return stats.total[octets] - 4 * stats.total[frames];
}

/** All flowtables of all namespaces together; null when the machine has none. */
function offloadReport(testbed: Testbed): OffloadReport | null {
  const tables = testbed.netfilters().flatMap(({ flowtables }) => flowtables.list());
  if (tables.length === 0) return null;
  const report: OffloadReport = {
    added: 0,
    notAdded: {},
    asked: 0,
    installed: 0,
    refused: {},
    removed: {},
    timeToHardware: spanSummary(tables[0].counters.timeToHardware),
    hardwareEntries: testbed.nic.pipeline.flows.count,
  };
  for (const { counters } of tables) {
    report.added += counters.added;
    addCounts(report.notAdded, counters.refusedAdmission);
    report.asked += counters.hwAsked;
    report.installed += counters.hwInstalled;
    addCounts(report.refused, counters.hwRefusedBy);
    addCounts(report.removed, counters.hwRemovedBy);
  }
  return report;
}

function addCounts(into: Record<string, number>, from: Record<string, number>): void {
  for (const [name, count] of Object.entries(from))
    if (count > 0) into[name] = (into[name] ?? 0) + count;
}

function spanSummary(spans: SpanSamples): TimeSummary {
  return {
    count: spans.count,
    meanPs: Math.round(spans.meanPs),
    p50Ps: spans.percentilePs(50),
    p90Ps: spans.percentilePs(90),
    p99Ps: spans.percentilePs(99),
    p999Ps: spans.percentilePs(99.9),
    maxPs: spans.maxPs,
  };
}
