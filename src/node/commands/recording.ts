// `flowtwin recording FILE...`: plays recordings of a real Linux on the emulated machine and prints every difference.
// The form of a file is recognised: frames through the machine (format.ts) or tests of tun queues (tun-format.ts).
// Exit status 0 when there is none, 1 when there is one, 2 when a file cannot be read.

import { existsSync, readFileSync } from 'node:fs';
import process from 'node:process';
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
    .argument('<file...>', 'recordings (fixtures/recordings)')
    .option('--json', 'one JSON report per file')
    .action((files: string[], flags: { json?: boolean }) => {
      let different = false;
      for (const file of files) {
        const played = play(file);
        different ||= played.isDifferent;
        if (flags.json === true)
          process.stdout.write(`${JSON.stringify({ file, ...played.report })}\n`);
        else process.stdout.write(played.text);
      }
      if (different) process.exitCode = 1;
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
