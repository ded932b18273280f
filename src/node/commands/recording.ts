// `flowtwin recording [FILE...]`: plays recordings of a real Linux on the emulated machine and prints every difference; a folder
// stands for the recordings below it, no argument for those that are shipped.
// The form of a file is recognised: frames through the machine (format.ts) or tests of tun queues (tun-format.ts).
// Exit status 0 when there is none, 1 when there is one, 2 when a file cannot be read.

import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { parseRecording } from '../../scenario/recording/format.ts';
import { playRecording } from '../../scenario/recording/player.ts';
import type { RecordingReport } from '../../scenario/recording/player.ts';
import type { Difference } from '../../scenario/recording/compare.ts';
import { playTranscript } from '../../scenario/recording/transcript.ts';
import type { TranscriptReport } from '../../scenario/recording/transcript.ts';
import { isTunRecording, parseTunRecording } from '../../scenario/recording/tun-format.ts';
import type { TunReport } from '../../scenario/recording/tun-comparison.ts';
import { playTunRecording } from '../../scenario/recording/tun-player.ts';
import { InputError, systemErrorText } from '../errors.ts';

export function registerRecording(program: Command): void {
  program
    .command('recording')
    .description('compare the machine with recordings of a real Linux')
    .argument('[file...]', 'recordings, or folders of them (default: those of fixtures/recordings)')
    .option('--json', 'one JSON report per file')
    .action((files: string[], flags: { json?: boolean }) => {
      let different = false;
      for (const file of files.length > 0 ? files.flatMap(expand) : shipped()) {
        const played = play(file);
        different ||= played.isDifferent;
        if (flags.json === true)
          process.stdout.write(`${JSON.stringify({ file, ...played.report })}\n`);
        else process.stdout.write(played.text);
      }
      if (different) process.exitCode = 1;
    });
}

/** Folders of fixtures/recordings whose files this command plays; the others are of tests with players of their own. */
const PLAYED = [
  'flowtable',
  'namespaces/two-namespaces.json',
  'bridge/classic.json',
  'offload',
  'tun',
  'ovs/ovs.json',
];

function shipped(): string[] {
  const root = fileURLToPath(new URL('../../../fixtures/recordings', import.meta.url));
  if (!existsSync(root))
    throw new InputError('recording: no fixtures/recordings here: name the recordings to play');
  return PLAYED.flatMap((name) => expand(relative(process.cwd(), join(root, name))));
}

/** The recordings of a folder, in the order of their names; a file is itself. */
function expand(path: string): string[] {
  if (!existsSync(path) || !statSync(path).isDirectory()) return [path];
  return readdirSync(path)
    .sort()
    .flatMap((name) => {
      const file = join(path, name);
      if (statSync(file).isDirectory()) return expand(file);
      const isRuleset = name.endsWith('.ruleset.json');
      return (name.endsWith('.json') && !isRuleset) || name.endsWith(TRANSCRIPT_END) ? [file] : [];
    });
}

interface Played {
  report: RecordingReport | TunReport | TranscriptReport;
  text: string;
  isDifferent: boolean;
}

const TRANSCRIPT_END = '.commands.txt';

/** Plays a file by its form: a transcript of commands, tests of tun queues, or frames through the machine. */
function play(file: string): Played {
  const text = read(file);
  if (file.endsWith(TRANSCRIPT_END)) {
    const report = transcript(file, text);
    const isDifferent = report.differences.length > 0;
    return { report, text: formatTranscript(file, report), isDifferent };
  }
  if (isTunRecording(text)) {
    const report = playTunRecording(parsed(() => parseTunRecording(text, file)));
    const isDifferent = report.differences.length + report.unknown.length > 0;
    return { report, text: formatTun(file, report), isDifferent };
  }
  const report = playRecording(parsed(() => parseRecording(text, file)));
  return { report, text: format(file, report), isDifferent: report.differences.length > 0 };
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new InputError(systemErrorText(file, error));
  }
}

/** A transcript with what stands beside it. */
function transcript(file: string, text: string): TranscriptReport {
  const beside = (end: string): string | null => {
    const name = file.replace(TRANSCRIPT_END, end);
    return existsSync(name) ? read(name) : null;
  };
  const extras = { driverLog: beside('.driver.txt'), tcMonitor: beside('.tc-monitor.txt') };
  return playTranscript(text, extras);
}

function parsed<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new InputError(error instanceof Error ? error.message : String(error));
  }
}

function formatTun(file: string, report: TunReport): string {
  const lines = report.differences.flatMap((one) => [
    `${file}: ${one.test}: ${one.what}`,
    `  expected ${one.expected}`,
    `  found    ${one.found}`,
  ]);
  for (const name of report.unknown) lines.push(`${file}: not known to the player: ${name}`);
  for (const { test, fromS, toS } of report.phases)
    lines.push(
      `${file}: ${test}: as recorded when taught ${fromS} to ${toS} s after a whole second`,
    );
  lines.push(
    `${file}: ${report.differences.length} differences in ${report.tests} tests ` +
      `(${report.compared} choices, errnos and listings compared; ${report.defining} choices define ` +
      `the hash of a flow, which is random in Linux; ${report.unknown.length} tests not known)`,
  );
  return `${lines.join('\n')}\n`;
}

function formatTranscript(file: string, report: TranscriptReport): string {
  const { outputs, driverCalls, monitorLines } = report.compared;
  const lines = differenceLines(file, report.differences);
  lines.push(
    `${file}: ${report.differences.length} differences in ${report.commands} commands ` +
      `(${outputs} outputs, ${driverCalls} driver calls, ${monitorLines} lines of tc monitor)`,
  );
  return `${lines.join('\n')}\n`;
}

function differenceLines(file: string, differences: readonly Difference[]): string[] {
  return differences.flatMap((one) => [
    `${file}: ${one.timeS.toFixed(3)} s, ${one.step}: ${one.what}`,
    `  expected ${one.expected || '(nothing)'}`,
    `  found    ${one.found || '(nothing)'}`,
  ]);
}

function format(file: string, report: RecordingReport): string {
  const { frames, ctLines, hookCounts, driverCalls } = report.compared;
  const idle = report.flowIdleS > 0 ? `, flow idle time ${report.flowIdleS} s` : '';
  const lines = differenceLines(file, report.differences);
  const notes =
    report.uncompared.length > 0 ? `; not compared: ${report.uncompared.join(', ')}` : '';
  lines.push(
    `${file}: ${report.differences.length} differences in ${report.steps} steps ` +
      `(${frames} frames, ${ctLines} conntrack lines, ${hookCounts} hook counts, ${driverCalls} driver calls; ` +
      `collector phase ${report.gcPhaseS} s${idle}${notes})`,
  );
  return `${lines.join('\n')}\n`;
}
