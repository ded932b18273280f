// Public surface of the package: build a machine, play captures through it, read what became of every packet.
//
// The parts have entry points of their own: flowtwin/hw (the device), flowtwin/driver (the driver layer), flowtwin/stack (the
// network stack), flowtwin/capture (captures as bytes). docs/write-a-driver-test.md shows a driver of one's own in 20 lines.

export { Testbed } from './scenario/testbed.ts';
export type { DriverProbe, PortOptions, TestbedOptions } from './scenario/testbed.ts';
export { ReplayRun } from './scenario/replay-run.ts';
export type { ReplayOptions } from './scenario/replay-run.ts';
export { loadScenario, ScenarioError } from './scenario/load.ts';
export type { Scenario } from './scenario/schema.ts';
export type { Pace } from './scenario/pacing.ts';
export type { SplitPolicy } from './scenario/split.ts';
export { parseSplit } from './scenario/split-option.ts';
export type { CommandResult } from './scenario/commands/command.ts';
export { PacketLedger } from './report/ledger.ts';
export type { Fate, FateListener } from './report/ledger.ts';
export { TimeHistogram } from './report/histogram.ts';
export { fatesAddUp } from './report/run-report.ts';
export type {
  Count,
  OffloadReport,
  PortReport,
  QueueReport,
  RunReport,
  TimeSummary,
} from './report/run-report.ts';
export { formatSummary } from './report/summary.ts';
export { TraceCollector } from './report/trace.ts';
export type { TraceRecord, TraceRecordStep } from './report/trace.ts';
export { explain } from './report/explain.ts';
export { parseRecording } from './scenario/recording/format.ts';
export type { Recording } from './scenario/recording/format.ts';
export { playRecording } from './scenario/recording/player.ts';
export type { RecordingReport } from './scenario/recording/player.ts';
