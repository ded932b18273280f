// sysctl(8) of procps 4: reading and setting kernel parameters of the model.
//
// Parameters that the model does not have answer "cannot stat", as on a kernel without them. Left out: -p, -r, -N, --system.

import { strerror } from '../../../driver/errno.ts';
import { sysctlDotted, sysctlPath } from '../../stack/sysctl.ts';
import { failed } from './command.ts';
import type { CommandContext, CommandResult, ShellCommand } from './command.ts';

interface Options {
  write: boolean;
  valuesOnly: boolean;
  quiet: boolean;
  ignore: boolean;
  all: boolean;
}

export const sysctl: ShellCommand = {
  name: 'sysctl',
  summary: 'kernel parameters (net.ipv4.*, net.ipv6.*, net.netfilter.*)',
  run(args, ctx) {
    const options: Options = {
      write: false,
      valuesOnly: false,
      quiet: false,
      ignore: false,
      all: false,
    };
    const names: string[] = [];
    for (const word of args) {
      if (!word.startsWith('-')) names.push(word);
      else if (!setOption(word, options))
        return failed(1, `sysctl: invalid option -- '${word.replace(/^-+/, '')}'\n`);
    }
    // Devices that have appeared since bring their parameters.
    ctx.stack.links.all();
    if (options.all) return show(ctx, ctx.stack.sysctl.names(), options);
    if (names.length === 0)
      return failed(
        1,
        "sysctl: no variables specified\nTry `sysctl --help' for more information.\n",
      );
    return each(ctx, names, options);
  },
};

function setOption(word: string, options: Options): boolean {
  if (word === '-w' || word === '--write') options.write = true;
  else if (word === '-n' || word === '--values') options.valuesOnly = true;
  else if (word === '-q' || word === '--quiet') options.quiet = true;
  else if (word === '-e' || word === '--ignore') options.ignore = true;
  else if (word === '-a' || word === '--all' || word === '-A') options.all = true;
  else return false;
  return true;
}

function each(ctx: CommandContext, names: readonly string[], options: Options): CommandResult {
  const result: CommandResult = { status: 0, stdout: '', stderr: '' };
  for (const word of names) {
    const equals = word.indexOf('=');
    const one =
      equals >= 0
        ? write(ctx, word.slice(0, equals).trim(), word.slice(equals + 1).trim(), options)
        : options.write
          ? failed(1, `sysctl: "${word}" must be of the form name=value\n`)
          : show(ctx, [word], options);
    result.stdout += one.stdout;
    result.stderr += one.stderr;
    if (one.status !== 0) result.status = one.status;
  }
  return result;
}

function write(ctx: CommandContext, name: string, value: string, options: Options): CommandResult {
  const table = ctx.stack.sysctl;
  if (!table.has(name)) return unknown(name, options);
  const answer = table.set(name, value);
  const dotted = sysctlDotted(sysctlPath(name));
  if (answer.error !== 0)
    return failed(1, `sysctl: setting key "${dotted}": ${strerror(answer.error)}\n`);
  if (options.quiet) return { status: 0, stdout: '', stderr: '' };
  return { status: 0, stdout: line(dotted, Number(value), options), stderr: '' };
}

function show(ctx: CommandContext, names: readonly string[], options: Options): CommandResult {
  const table = ctx.stack.sysctl;
  let stdout = '';
  for (const name of names) {
    if (!table.has(name)) return unknown(name, options);
    stdout += line(sysctlDotted(sysctlPath(name)), table.get(name), options);
  }
  return { status: 0, stdout, stderr: '' };
}

function line(dotted: string, value: number, options: Options): string {
  return options.valuesOnly ? `${value}\n` : `${dotted} = ${value}\n`;
}

function unknown(name: string, options: Options): CommandResult {
  if (options.ignore) return { status: 0, stdout: '', stderr: '' };
  return failed(
    1,
    `sysctl: cannot stat /proc/sys/${sysctlPath(name)}: No such file or directory\n`,
  );
}
