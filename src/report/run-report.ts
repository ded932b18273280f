// The result of a run as data: what `replay --json` prints and the summary is made of. docs/run-report.md describes it.
//
// Times are in picoseconds, rates in bits per second, shares from 0 to 1. Records by reason or cause hold only what occurred.

/** Version of this form; grows when a key changes its meaning or goes. */
export const RUN_REPORT_SCHEMA = 'flowtwin-run/1';

export interface Count {
  packets: number;
  bytes: number;
}

/** Percentiles of a time, ps; all 0 when `count` is 0. */
export interface TimeSummary {
  count: number;
  meanPs: number;
  p50Ps: number;
  p90Ps: number;
  p99Ps: number;
  p999Ps: number;
  maxPs: number;
}

export interface PortReport {
  name: string;
  rx: Count;
  tx: Count;
  /** Device drops at this port, by DropReason name. */
  drops: Record<string, number>;
}

export interface QueueReport {
  port: string;
  queue: number;
  rxPackets: number;
  rxBytes: number;
  rxDrops: number;
  txPackets: number;
  txBytes: number;
  interrupts: number;
}

export interface OffloadReport {
  /** Flows that `flow add` made, and packets that it refused, by condition (ADMISSION_REFUSALS). */
  added: number;
  notAdded: Record<string, number>;
  /** Adds asked of the driver (a retry counts again). */
  asked: number;
  /** Flows that a driver accepted in at least one direction. */
  installed: number;
  /** Refusals by errno name. */
  refused: Record<string, number>;
  /** Removed flows by cause. */
  removed: Record<string, number>;
  /** From the first packet of the connection to the driver's answer. */
  timeToHardware: TimeSummary;
  /** Entries in the device's flow table at the end. */
  hardwareEntries: number;
}

/** A network namespace at the end of the run. */
export interface NamespaceReport {
  /** '' for the initial one. */
  name: string;
  devices: string[];
  /** Entries of its conntrack table, flows of its flowtables, and those of them that are in hardware. */
  connections: number;
  flows: number;
  flowsInHardware: number;
  /** Packets that its flowtables forwarded in software. */
  fastPathPackets: number;
}

/** What a command of a `run:` block printed, or what a watch (`nft monitor`) printed since the entry before. */
export interface CommandReport {
  /** Simulated time, ps. */
  atPs: number;
  /** As typed; '(monitor)' for what watches printed. */
  command: string;
  stdout: string;
  stderr: string;
}

export interface RunReport {
  schema: typeof RUN_REPORT_SCHEMA;
  scenario: string;
  device: string;
  seed: number;
  /** Simulated time of the first arrival, the last arrival and the end of the run. */
  firstArrivalPs: number;
  lastArrivalPs: number;
  endPs: number;
  ports: PortReport[];
  in: Count;
  fates: {
    hardware: Count;
    fastPath: Count;
    classicPath: Count;
    local: Count;
    dropped: Count;
    /** Still in the machine when the run ended; 0 unless the run was cut short. */
    inFlight: number;
  };
  /** Packets that hardware gave to the host, by MissReason name. */
  toHost: Record<string, number>;
  /** Local ends by kind, drops by reason (device and software reasons have different names). */
  localBy: Record<string, number>;
  droppedBy: Record<string, number>;
  /** Copies that the device made, by why and by end; they are no packets of `in` and have fates of their own. */
  copies: {
    mirrored: number;
    sampled: number;
    replicated: number;
    sent: number;
    toHost: number;
    dropped: number;
  };
  /** Frames beyond one per packet (router fragments) and frames that the host made itself. */
  extraFrames: number;
  hostFrames: number;
  offload: OffloadReport | null;
  /** Empty unless there are several. */
  namespaces: NamespaceReport[];
  queues: QueueReport[];
  latency: { hardware: TimeSummary; fastPath: TimeSummary; classicPath: TimeSummary };
  utilisation: { pcieToHost: number; pcieToDevice: number; cores: number[] };
  /** What was assumed or changed on the way in: counts by kind. */
  assumptions: Record<string, number>;
  /** Commands that printed something, in order. */
  commands: CommandReport[];
  /** What went wrong on the way in: one line each (a capture that ended early). */
  inputFaults: string[];
  digest: string;
}

/** Whether the fates add up to what came in. */
export function fatesAddUp(report: RunReport): boolean {
  const { hardware, fastPath, classicPath, local, dropped, inFlight } = report.fates;
  const sum =
    hardware.packets + fastPath.packets + classicPath.packets + local.packets + dropped.packets;
  return sum + inFlight === report.in.packets;
}
