// `flowtwin replay`: a capture through the emulated machine, and the summary of what became of every packet.

import { closeSync, openSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import { SingleBar } from 'cli-progress';
import type { Command } from 'commander';
import { formatSummary } from '../../report/summary.ts';
import { fatesAddUp } from '../../report/run-report.ts';
import { parseFactor, parseQuantity, parseRateBps } from '../../scenario/quantity.ts';
import type { Pace } from '../../scenario/pacing.ts';
import { parseSplit } from '../../scenario/split-option.ts';
import { InputError, systemErrorText, UsageError } from '../errors.ts';
import { LineWriter, runReplay } from '../run-replay.ts';
import type { ReplaySettings } from '../run-replay.ts';
import { loadScenarioFile, portIndex } from '../scenario-files.ts';
import type { LoadedScenario } from '../scenario-files.ts';

interface ReplayFlags {
  in?: string[];
  speed?: string;
  pps?: string;
  bps?: string;
  backToBack?: boolean;
  loop?: string;
  seed?: string;
  out?: string;
  format?: string;
  json?: string;
  trace?: string;
  limit?: string;
  split?: string;
}

/** Options that choose and pace the traffic; `why` has them too. */
export function trafficOptions(command: Command): Command {
  return command
    .option('--in <port=file>', 'capture that arrives on a port (repeatable; - is stdin)', collect)
    .option('--split <how>', 'client-server, mac, none or cidr=NET/LEN')
    .option('--speed <factor>', 'time scale, e.g. 2x')
    .option('--pps <n>', 'constant packet rate')
    .option('--bps <n>', 'constant bit rate, e.g. 1G')
    .option('--back-to-back', 'as fast as the wire carries it')
    .option('--loop <n>', 'play the captures n times')
    .option('--seed <n>', 'seed of everything random')
    .option('--limit <n>', 'stop after n packets');
}

export function registerReplay(program: Command): void {
  trafficOptions(
    program
      .command('replay')
      .description('replay captures through the emulated machine and report every packet’s fate')
      .argument('[scenario]', 'scenario (YAML) or a capture for the default scenario'),
  )
    .option('--out <dir>', 'write one capture per egress port, and what went up to the host')
    .option('--format <form>', 'form of the captures in --out: pcapng or pcap', 'pcapng')
    .option('--json <file>', 'write the report as JSON (- for standard output)')
    .option(
      '--trace <file>',
      'write one NDJSON record per packet (- for standard output, in place of the summary)',
    )
    .action(async (scenario: string | undefined, flags: ReplayFlags) => replay(scenario, flags));
}

async function replay(scenario: string | undefined, flags: ReplayFlags): Promise<void> {
  const loaded = loadScenarioFile(scenario);
  addInputs(loaded, flags.in);
  const settings = parseSettings(loaded, flags);
  if (flags.format !== 'pcap' && flags.format !== 'pcapng')
    throw new UsageError(`--format: expected pcapng or pcap, found '${flags.format ?? ''}'`);
  settings.format = flags.format;
  if (flags.out !== undefined) settings.out = flags.out;
  const bar = progressBar(flags);
  if (bar !== null) settings.tick = (count) => bar.update(count);
  const traceFd = flags.trace === undefined ? -1 : openForWriting(flags.trace);
  const lines = new LineWriter(traceFd);
  if (traceFd >= 0)
    settings.trace = { sink: (record) => lines.line(JSON.stringify(record)), only: 0 };
  const { report } = await runReplay(loaded, settings);
  bar?.stop();
  if (traceFd >= 0) {
    lines.flush();
    if (traceFd > 2) closeSync(traceFd);
  }
  if (flags.trace !== '-')
    writeReport(flags.json, JSON.stringify(report, null, 2), formatSummary(report));
  for (const fault of report.inputFaults) process.stderr.write(`${fault}\n`);
  if (!fatesAddUp(report) || report.fates.inFlight > 0) process.exitCode = 1;
  if (report.inputFaults.length > 0) process.exitCode = 2;
}

/** Takes `--in PORT=FILE` in place of the scenario's captures. */
export function addInputs(loaded: LoadedScenario, inputs: readonly string[] | undefined): void {
  if (inputs === undefined) return;
  if (loaded.bareCapture)
    throw new UsageError('expected a scenario or --in PORT=FILE, found a capture and --in');
  loaded.sources = inputs.map((input) => {
    const at = input.indexOf('=');
    if (at < 1) throw new UsageError(`--in: expected PORT=FILE, found '${input}'`);
    const port = portIndex(loaded.scenario, input.slice(0, at), `--in ${input}`);
    return { file: input.slice(at + 1), port };
  });
}

/** Flags to settings; a flag that makes no sense is one line and exit status 2. */
export function parseSettings(loaded: LoadedScenario, flags: ReplayFlags): ReplaySettings {
  const settings: ReplaySettings = {
    pace: parsePace(loaded, flags),
    loop: flags.loop === undefined ? 1 : whole('--loop', flags.loop, 1),
    limit: flags.limit === undefined ? Infinity : whole('--limit', flags.limit, 0),
    format: 'pcapng',
  };
  if (flags.seed !== undefined) settings.seed = whole('--seed', flags.seed, 0);
  if (flags.split !== undefined) settings.split = flagged('--split', flags.split, parseSplit);
  return settings;
}

function parsePace(loaded: LoadedScenario, flags: ReplayFlags): Pace {
  const given = [flags.speed, flags.pps, flags.bps, flags.backToBack].filter(
    (flag) => flag !== undefined,
  );
  if (given.length > 1)
    throw new UsageError('expected one of --speed, --pps, --bps and --back-to-back');
  if (flags.backToBack === true) return { kind: 'back-to-back' };
  if (flags.pps !== undefined)
    return { kind: 'pps', packetsPerSecond: whole('--pps', flags.pps, 1) };
  if (flags.bps !== undefined)
    return { kind: 'bps', bitsPerSecond: flagged('--bps', flags.bps, parseRateBps) };
  if (flags.speed !== undefined)
    return { kind: 'speed', factor: flagged('--speed', flags.speed, parseFactor) };
  return { kind: 'speed', factor: loaded.scenario.traffic.speed };
}

function whole(flag: string, text: string, least: number): number {
  const value = flagged(flag, text, parseQuantity);
  if (value < least) throw new UsageError(`${flag}: expected at least ${least}, found ${text}`);
  return value;
}

function flagged<T>(flag: string, text: string, parse: (text: string) => T): T {
  try {
    return parse(text);
  } catch (error) {
    throw new UsageError(`${flag}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function collect(value: string, previous: string[] | undefined): string[] {
  return [...(previous ?? []), value];
}

/** The summary goes to standard output unless the JSON does. */
function writeReport(target: string | undefined, json: string, summary: string): void {
  if (target === '-') {
    process.stdout.write(`${json}\n`);
    return;
  }
  process.stdout.write(summary);
  if (target === undefined) return;
  try {
    writeFileSync(target, `${json}\n`);
  } catch (error) {
    throw new InputError(systemErrorText(target, error));
  }
}

function openForWriting(path: string): number {
  if (path === '-') return 1;
  try {
    return openSync(path, 'w');
  } catch (error) {
    throw new InputError(systemErrorText(path, error));
  }
}

/** On a terminal only; packets so far (the number to come is not known of a stream). */
function progressBar(flags: ReplayFlags): SingleBar | null {
  if (!process.stderr.isTTY || flags.trace === '-') return null;
  const bar = new SingleBar({
    format: '{value} packets, {duration_formatted}',
    stream: process.stderr,
    clearOnComplete: true,
    hideCursor: true,
  });
  bar.start(1, 0);
  return bar;
}
