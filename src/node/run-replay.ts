// One replay from the command line's point of view: scenario, sources and outputs put together around a ReplayRun. `replay` and
// `why` share it.

import type { EgressFrame } from '../../hw/observer.ts';
import type { Pace } from '../scenario/pacing.ts';
import { ScenarioError } from '../scenario/load.ts';
import { ReplayRun } from '../scenario/replay-run.ts';
import type { SplitPolicy } from '../scenario/split.ts';
import type { RunReport } from '../report/run-report.ts';
import { TraceCollector } from '../report/trace.ts';
import type { TraceRecord } from '../report/trace.ts';
import { FlowKey } from '../stack/openvswitch/flow-key.ts';
import { extractFlowKey } from '../stack/openvswitch/key-extract.ts';
import { formatFlowKey } from '../stack/openvswitch/flow-key-text.ts';
import { writeAll } from './capture-files.ts';
import { EgressFiles } from './egress-files.ts';
import type { OutputFormat } from './egress-files.ts';
import { InputError } from './errors.ts';
import type { LoadedScenario } from './scenario-files.ts';
import { Sources } from './sources.ts';

/** Progress is told every 8,192 packets. */
const TICK_MASK = 0x1fff;

export interface ReplaySettings {
  pace: Pace;
  loop: number;
  limit: number;
  seed?: number;
  split?: SplitPolicy;
  /** Folder for egress captures. */
  out?: string;
  format: OutputFormat;
  /** Receives trace records; `only` as in TraceCollector. */
  trace?: { sink: (record: TraceRecord) => void; only: number };
  /** Called now and then with the packets so far. */
  tick?: (count: number) => void;
}

/** Plays everything and returns the report and the run. Throws InputError for what the user must mend. */
export async function runReplay(
  loaded: LoadedScenario,
  settings: ReplaySettings,
): Promise<{ report: RunReport; run: ReplayRun }> {
  if (loaded.sources.length === 0)
    throw new InputError(`${loaded.file}: no captures: give traffic.captures or --in PORT=FILE`);
  const { scenario } = loaded;
  if (settings.split !== undefined) scenario.traffic.split = settings.split;
  const seed = settings.seed ?? scenario.seed;
  const portNames = scenario.ports.map((port) => port.name);
  const files =
    settings.out === undefined ? null : new EgressFiles(settings.out, settings.format, portNames);
  const sources = new Sources(loaded.sources, {
    loop: settings.loop * scenario.traffic.loop,
    limit: settings.limit,
  });
  const collector =
    settings.trace === undefined
      ? null
      : new TraceCollector(settings.trace.sink, settings.trace.only);
  const run = makeRun(loaded, settings, seed, collector, files);
  if (collector !== null) run.testbed.setTrace(collector);
  if (files !== null)
    run.testbed.onHostReceive = (skb, portIndex, atPs) => files.writeHost(skb, portIndex, atPs);
  const { tick } = settings;
  try {
    await sources.play((record, capturePs, port, place) => {
      if (sources.count === 0)
        files?.setBase(sources.baseSeconds, sources.baseFractionPs, run.trafficStartPs);
      run.offer(record, capturePs, port, place);
      if (tick !== undefined && (sources.count & TICK_MASK) === 0) tick(sources.count);
    });
    run.inputFaults.push(...sources.faults);
    run.backwardsCount = sources.backwardsCount;
    return { report: run.finish(), run };
  } catch (error) {
    if (error instanceof ScenarioError) throw new InputError(error.message);
    throw error;
  } finally {
    sources.close();
    files?.close();
  }
}

function makeRun(
  loaded: LoadedScenario,
  settings: ReplaySettings,
  seed: number,
  collector: TraceCollector | null,
  files: EgressFiles | null,
): ReplayRun {
  const { scenario } = loaded;
  const key = new FlowKey();
  const run: { now: ReplayRun | null } = { now: null };
  const onEgress = (frame: EgressFrame): void => {
    files?.writeEgress(frame, run.now?.testbed.ledger.pathName(frame.packetId) ?? 'host');
  };
  try {
    run.now = new ReplayRun(scenario, {
      pace: settings.pace,
      seed,
      profile: loaded.profile,
      scenarioFile: loaded.file,
      readText: loaded.readText,
      ...(files === null ? {} : { onEgress }),
      ...(collector === null
        ? {}
        : {
            onArrival: (id, feed, startPs, packetNumber) => {
              extractFlowKey(key, feed.bytes, feed.at, feed.lenBytes, feed.portIndex + 1);
              const { portIndex } = feed;
              const port = { name: scenario.ports[portIndex].name, index: portIndex };
              const text = formatFlowKey(key);
              collector.begin(id, packetNumber, port, startPs, feed.lenBytes, text);
            },
          }),
    });
    return run.now;
  } catch (error) {
    if (error instanceof ScenarioError) throw new InputError(error.message);
    throw error;
  }
}

/** Buffered lines to a file descriptor. */
export class LineWriter {
  private readonly fd: number;
  private pending: string[] = [];
  private pendingChars = 0;

  constructor(fd: number) {
    this.fd = fd;
  }

  line(text: string): void {
    this.pending.push(text);
    this.pendingChars += text.length;
    if (this.pendingChars > 1 << 16) this.flush();
  }

  flush(): void {
    if (this.pending.length === 0) return;
    writeAll('(trace)', this.fd, new TextEncoder().encode(`${this.pending.join('\n')}\n`));
    this.pending = [];
    this.pendingChars = 0;
  }
}
