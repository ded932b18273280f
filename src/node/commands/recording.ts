// `flowtwin recording FILE...`: plays recordings of a real Linux on the emulated machine and prints every difference.
// Exit status 0 when there is none, 1 when there is one, 2 when a file cannot be read.

import { readFileSync } from 'node:fs';
import process from 'node:process';
import type { Command } from 'commander';
import { parseRecording } from '../../scenario/recording/format.ts';
import type { Recording } from '../../scenario/recording/format.ts';
import { playRecording } from '../../scenario/recording/player.ts';
import type { RecordingReport } from '../../scenario/recording/player.ts';
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
        const report = playRecording(read(file));
        different ||= report.differences.length > 0;
        if (flags.json === true) process.stdout.write(`${JSON.stringify({ file, ...report })}\n`);
        else process.stdout.write(format(file, report));
      }
      if (different) process.exitCode = 1;
    });
}

function read(file: string): Recording {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new InputError(systemErrorText(file, error));
  }
  try {
    return parseRecording(text, file);
  } catch (error) {
    throw new InputError(error instanceof Error ? error.message : String(error));
  }
}

function format(file: string, report: RecordingReport): string {
  const { frames, ctLines, hookCounts, driverCalls } = report.compared;
  const idle = report.flowIdleS > 0 ? `, flow idle time ${report.flowIdleS} s` : '';
  const lines = report.differences.flatMap((one) => [
    `${file}: ${one.timeS.toFixed(3)} s, ${one.step}: ${one.what}`,
    `  expected ${one.expected || '(nothing)'}`,
    `  found    ${one.found || '(nothing)'}`,
  ]);
  const notes =
    report.uncompared.length > 0 ? `; not compared: ${report.uncompared.join(', ')}` : '';
  lines.push(
    `${file}: ${report.differences.length} differences in ${report.steps} steps ` +
      `(${frames} frames, ${ctLines} conntrack lines, ${hookCounts} hook counts, ${driverCalls} driver calls; ` +
      `collector phase ${report.gcPhaseS} s${idle}${notes})`,
  );
  return `${lines.join('\n')}\n`;
}
