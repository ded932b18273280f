// `flowtwin fit`: whether a rule set fits a device, what it costs, and why not (docs/fit.md).
//
// A malformed rule file: the rules before the fault are reported on, the fault is one line with its place, and the status 2.
// Exit status: 0 when every rule goes in, 1 when one does not (on any of the devices), 2 for bad input.

import process from 'node:process';
import { SingleBar } from 'cli-progress';
import type { Command } from 'commander';
import { explainRule, fitRules } from '../../fit/fit.ts';
import type { Fit } from '../../fit/fit.ts';
import type { Progress } from '../../fit/admission.ts';
import { printComparison, printExplained, printFit } from '../../fit/print.ts';
import { readRules } from '../../rules/dialects.ts';
import type { RulesRead } from '../../rules/dialects.ts';
import { DIALECTS } from '../../rules/rule.ts';
import type { Rule } from '../../rules/rule.ts';
import type { DeviceProfile } from '../../devices/profile.ts';
import { captureChunks } from '../capture-files.ts';
import { loadDevice } from '../device-files.ts';
import { InputError, UsageError } from '../errors.ts';
import { collect } from './devices.ts';

/** Sets from which on a terminal sees progress. */
const BAR_RULES = 2000;

interface FitFlags {
  device?: string;
  compare?: string;
  format: string;
  set: string[];
  group?: string;
  explain?: string;
  json: boolean;
}

export function registerFit(program: Command): void {
  program
    .command('fit')
    .description('does a rule set fit a device, what does it cost, and why not')
    .argument('<rules>', 'rules of any dialect, may be gzipped; - for standard input')
    .option('--device <device>', 'a profile (flowtwin devices) or a .json file')
    .option('--compare <devices>', 'several, separated by commas, side by side')
    .option('--format <dialect>', `${DIALECTS.join(', ')} or auto`, 'auto')
    .option(
      '--set <path=value>',
      'change a figure, such as tcam.depth=512 (repeatable)',
      collect,
      [],
    )
    .option('--group <number>', 'put rules of group (chain) 0 into this group')
    .option('--explain <rule>', 'explain one rule, counted from 0')
    .option('--json', 'print JSON', false)
    .action(async (file: string, flags: FitFlags) => fit(file, flags));
}

async function fit(file: string, flags: FitFlags): Promise<void> {
  const shown = file === '-' ? '<stdin>' : file;
  const devices = devicesOf(flags);
  const read = await readRuleFile(file, shown, flags.format);
  if (read.error !== null && read.rules.length === 0) throw new InputError(read.error.message);
  const rules = inGroup(read.rules, flags.group);
  const index = flags.explain === undefined ? -1 : ruleNumber(flags.explain, rules.length);
  const bar = new PhaseBar(rules.length);
  const fits: Fit[] = [];
  try {
    for (const device of devices) {
      const overlaps = fits[0]?.report.overlaps;
      const options = overlaps === undefined ? {} : { overlaps };
      fits.push(fitRules(rules, device, { progress: bar.progress, ...options }));
    }
  } finally {
    bar.stop();
  }
  if (index >= 0) printOne(fits, index, flags.json);
  else printAll(fits, devices, shown, flags);
  if (read.error !== null)
    throw new InputError(`${read.error.message}; reported on the ${rules.length} rules before it`);
  if (fits.some(({ report }) => !report.fits)) process.exitCode = 1;
}

function devicesOf(flags: FitFlags): DeviceProfile[] {
  if ((flags.device === undefined) === (flags.compare === undefined))
    throw new UsageError('fit: expected --device or --compare');
  const names = flags.compare === undefined ? [flags.device ?? ''] : flags.compare.split(',');
  return names.map((name) => loadDevice(name.trim(), flags.set));
}

function printOne(fits: readonly Fit[], index: number, json: boolean): void {
  for (const one of fits) {
    const explained = explainRule(one, index);
    if (json) process.stdout.write(`${JSON.stringify(explained, null, 2)}\n`);
    else process.stdout.write(`${one.report.device}: ${printExplained(explained)}`);
  }
}

function printAll(
  fits: readonly Fit[],
  devices: readonly DeviceProfile[],
  file: string,
  flags: FitFlags,
): void {
  const reports = fits.map(({ report }) => report);
  if (flags.json) {
    const value = flags.compare === undefined ? reports[0] : reports;
    process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
  } else if (flags.compare === undefined)
    process.stdout.write(printFit(reports[0], file, devices[0].title));
  else process.stdout.write(printComparison(reports, file));
}

async function readRuleFile(file: string, shown: string, format: string): Promise<RulesRead> {
  const dialect = format === 'auto' ? 'auto' : DIALECTS.find((one) => one === format);
  if (dialect === undefined)
    throw new UsageError(`--format: expected ${DIALECTS.join(', ')} or auto, found '${format}'`);
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of captureChunks(file)) text += decoder.decode(chunk, { stream: true });
  return readRules(text + decoder.decode(), shown, dialect);
}

function inGroup(rules: Rule[], group: string | undefined): Rule[] {
  if (group === undefined) return rules;
  const number = wholeNumber(group);
  if (number === null) throw new UsageError(`--group: expected a number, found '${group}'`);
  return rules.map((rule) => (rule.group === 0 ? { ...rule, group: number } : rule));
}

function ruleNumber(text: string, count: number): number {
  const number = wholeNumber(text);
  if (number !== null && number < count) return number;
  throw new UsageError(`--explain: expected a rule from 0 to ${count - 1}, found '${text}'`);
}

function wholeNumber(text: string): number | null {
  return /^[0-9]{1,9}$/.test(text) ? Number(text) : null;
}

/** What is being done, on a terminal. */
class PhaseBar {
  private readonly rules: number;
  private bar: SingleBar | null = null;

  constructor(rules: number) {
    this.rules = rules;
  }

  readonly progress: Progress = (phase, done, total) => {
    if (this.rules < BAR_RULES || !process.stderr.isTTY) return;
    if (this.bar === null) {
      const format = '{phase} {value}/{total}, {duration_formatted}';
      const options = { format, stream: process.stderr, clearOnComplete: true, hideCursor: true };
      this.bar = new SingleBar(options);
      this.bar.start(total, done, { phase });
    }
    this.bar.setTotal(total);
    this.bar.update(done, { phase });
  };

  stop(): void {
    this.bar?.stop();
  }
}
