// `flowtwin convert`: flow rules of one dialect as rules of another, or as JSON.
//
// Exit status: 0 when every rule was printed, 1 when the target cannot say some (each named on standard error), 2 when the file is
// malformed (the rules before the line are printed).

import { readFileSync } from 'node:fs';
import process from 'node:process';
import type { Command } from 'commander';
import { convertRules } from '../../rules/convert.ts';
import { readRules } from '../../rules/dialects.ts';
import type { RulesRead } from '../../rules/dialects.ts';
import { ruleToJson } from '../../rules/json.ts';
import { refusalText } from '../../rules/refusal.ts';
import { DIALECTS } from '../../rules/rule.ts';
import type { Action, Dialect } from '../../rules/rule.ts';
import { InputError, systemErrorText, UsageError } from '../errors.ts';

interface ConvertFlags {
  from: string;
  to?: string;
  device: string;
  action?: string;
  ignoreActions: boolean;
  json: boolean;
}

export function registerConvert(program: Command): void {
  program
    .command('convert')
    .description('print flow rules of one dialect as rules of another')
    .argument('<file>', 'rules; - for standard input')
    .option('--from <dialect>', `${DIALECTS.join(', ')} or auto`, 'auto')
    .option('--to <dialect>', DIALECTS.join(', '))
    .option('--device <name>', 'device for rules that name none', '')
    .option('--action <action>', 'for rules that have none: drop, pass, queue:N or output:PORT')
    .option('--ignore-actions', 'leave the actions of the rules out', false)
    .option('--json', 'print the neutral rules (docs/rules.md)', false)
    .action((file: string, flags: ConvertFlags) => convert(file, flags));
}

function convert(file: string, flags: ConvertFlags): void {
  const from = flags.from === 'auto' ? 'auto' : dialect('--from', flags.from);
  if (flags.to === undefined && !flags.json)
    throw new UsageError('convert: expected --to or --json');
  const to = flags.to === undefined ? null : dialect('--to', flags.to);
  const action = flags.action === undefined ? null : defaultAction(flags.action);
  const shown = file === '-' ? '<stdin>' : file;
  const read = readRules(readText(file, shown), shown, from);
  if (flags.json) printJson(read);
  else if (to !== null) {
    const { device, ignoreActions } = flags;
    printText(read, { to, device, action, ignoreActions });
  }
  if (read.error !== null) throw new InputError(read.error.message);
}

function dialect(option: string, name: string): Dialect {
  const known = DIALECTS.find((one) => one === name);
  if (known === undefined)
    throw new UsageError(`${option}: expected ${DIALECTS.join(', ')}, found '${name}'`);
  return known;
}

function defaultAction(text: string): Action {
  const at = { line: 0, column: 0 };
  const [kind, value] = text.split(':', 2);
  if (text === 'drop' || text === 'pass') return { kind: text, at };
  if (kind === 'queue' && /^[0-9]{1,5}$/.test(value ?? ''))
    return { kind: 'queue', index: Number(value), at };
  if (kind === 'output' && (value ?? '') !== '') return { kind: 'output', port: value, at };
  throw new UsageError(`--action: expected drop, pass, queue:N or output:PORT, found '${text}'`);
}

function readText(file: string, shown: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    throw new InputError(systemErrorText(shown, error));
  }
}

function printText(read: RulesRead, options: Parameters<typeof convertRules>[1]): void {
  let refused = 0;
  let text = '';
  for (const one of convertRules(read.rules, options)) {
    if (one.refusals.length === 0) text += `${one.text}\n`;
    else refused++;
    for (const refusal of one.refusals) process.stderr.write(`${refusalText(one.rule, refusal)}\n`);
  }
  process.stdout.write(text);
  if (refused === 0) return;
  process.stderr.write(`flowtwin: ${refused} of ${read.rules.length} rules refused\n`);
  process.exitCode = 1;
}

/** One array, a rule on each line. */
function printJson(read: RulesRead): void {
  const lines = read.rules.map((rule) => `  ${JSON.stringify(ruleToJson(rule))}`);
  process.stdout.write(lines.length === 0 ? '[]\n' : `[\n${lines.join(',\n')}\n]\n`);
}
