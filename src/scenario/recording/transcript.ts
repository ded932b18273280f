// Plays a transcript (`*.commands.txt`): `$ COMMAND`, what it printed (both streams), `[rc N]` where its exit status was not 0. Each
// command runs on a machine with the devices that the transcript names; what it prints must be the same to the byte.
//
// Beside it may stand what the driver was asked (`*.driver.txt`) and what `tc monitor` printed (`*.tc-monitor.txt`): compared too.
// Not compared: seconds in "installed N sec" and "used N sec" and their JSON forms (a transcript does not say when it ran).

import type { OffsimLog } from '../../../driver/sim/offsim.ts';
import { PS_PER_MS } from '../../../hw/time/units.ts';
import { tokenize } from '../commands/command.ts';
import { watchTc } from '../commands/tc-monitor.ts';
import type { Difference } from './compare.ts';
import { plainNames } from './driver-log.ts';
import { machineFor } from './transcript-machine.ts';

/** One command of a transcript. */
export interface TranscriptEntry {
  command: string;
  output: string;
  status: number;
  /** Line of the command in the file, from 1. */
  line: number;
}

/** What stands beside a transcript; null where nothing does. */
export interface TranscriptExtras {
  driverLog: string | null;
  tcMonitor: string | null;
}

export interface TranscriptReport {
  commands: number;
  compared: { outputs: number; driverCalls: number; monitorLines: number };
  differences: Difference[];
}

/** Time from a command to the next. */
const COMMAND_PS = 120 * PS_PER_MS;

/** Splits a transcript. */
export function parseTranscript(text: string): TranscriptEntry[] {
  const entries: TranscriptEntry[] = [];
  let open: TranscriptEntry | null = null;
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  lines.forEach((line, i) => {
    if (line.startsWith('$ ')) {
      open = { command: line.slice(2), output: '', status: 0, line: i + 1 };
      entries.push(open);
    } else if (open !== null) {
      const status = /^\[rc ([0-9]+)\]$/.exec(line);
      if (status === null) open.output += `${line}\n`;
      else open.status = Number(status[1]);
    }
  });
  return entries;
}

export function playTranscript(text: string, extras: TranscriptExtras): TranscriptReport {
  const entries = parseTranscript(text);
  const log: OffsimLog = [];
  const testbed = machineFor(entries, log);
  watchTc(testbed.stack);
  const differences: Difference[] = [];
  let monitored = '';
  for (const entry of entries) {
    const words = tokenize(entry.command)[0] ?? [];
    const { status, stdout, stderr } = testbed.runWords(words);
    monitored += testbed.stack.monitors.take();
    const found = `${stderr}${stdout}`; // As a file gets them: stdout is written at exit.
    const rc = (n: number): string => (n === 0 ? '' : `[rc ${n}]\n`);
    const expected = plainTimes(entry.output) + rc(entry.status);
    const got = plainTimes(found) + rc(status);
    if (expected !== got) differences.push(differenceOf(entry, testbed.nowPs, expected, got));
    testbed.advance(COMMAND_PS);
  }
  const compared = { outputs: entries.length, driverCalls: 0, monitorLines: 0 };
  if (extras.driverLog !== null) {
    const expected = linesOf(extras.driverLog).map((line) => line.replace(/^offsim: /, ''));
    compared.driverCalls = expected.length;
    const found = log.map(({ line }) => line);
    compareInOrder('driver', plainNames(expected), plainNames(found), differences);
  }
  if (extras.tcMonitor !== null) {
    const expected = linesOf(extras.tcMonitor);
    compared.monitorLines = expected.length;
    compareInOrder('monitor', expected, linesOf(monitored), differences);
  }
  return { commands: entries.length, compared, differences };
}

function linesOf(text: string): string[] {
  return text.replace(/\n$/, '').split('\n');
}

/** The first line in which two texts differ, with the command. */
function differenceOf(
  entry: TranscriptEntry,
  nowPs: number,
  expected: string,
  found: string,
): Difference {
  const [a, b] = [linesOf(expected), linesOf(found)];
  let at = 0;
  while (at < a.length && at < b.length && a[at] === b[at]) at++;
  const place = at > 0 ? `, line ${at + 1} of its output` : '';
  return {
    step: `line ${entry.line}, ${entry.command}${place}`,
    timeS: nowPs / 1e12,
    what: 'command',
    expected: a[at] ?? '',
    found: b[at] ?? '',
  };
}

/** Both logs line by line; after a missing or extra line they are brought in step again. */
function compareInOrder(
  what: 'driver' | 'monitor',
  expected: readonly string[],
  found: readonly string[],
  differences: Difference[],
): void {
  let [i, j] = [0, 0];
  const differ = (line: number, a: string, b: string): void => {
    differences.push({ step: `${what} log, line ${line}`, timeS: 0, what, expected: a, found: b });
  };
  while (i < expected.length || j < found.length) {
    if (expected[i] === found[j]) {
      i++;
      j++;
      continue;
    }
    const ahead = found.indexOf(expected[i] ?? '', j);
    const back = expected.indexOf(found[j] ?? '', i);
    if (i >= expected.length || (ahead >= 0 && (back < 0 || ahead - j <= back - i)))
      differ(i + 1, '', found[j++]);
    else if (j >= found.length || back >= 0) differ(i + 1, expected[i++], '');
    else differ(i + 1, expected[i++], found[j++]);
  }
}

/** Seconds since an action was made or used: `N`. */
function plainTimes(text: string): string {
  return text
    .replace(/(installed|used) [0-9]+ sec/g, '$1 N sec')
    .replace(/"(installed|last_used)": ?[0-9]+/g, '"$1":N');
}
