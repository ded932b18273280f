#!/usr/bin/env node
// The program `flowtwin`: its commands, and what becomes of errors. Bad usage and bad input are one line and exit status 2,
// a failed run is 1; anything else that is thrown is a bug and keeps its stack trace.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { Command, CommanderError } from 'commander';
import { CaptureError } from '../capture/index.ts';
import { registerConvert } from './commands/convert.ts';
import { registerDevices } from './commands/devices.ts';
import { registerDissect } from './commands/dissect.ts';
import { registerFit } from './commands/fit.ts';
import { registerLookup } from './commands/lookup.ts';
import { registerRecording } from './commands/recording.ts';
import { registerReplay } from './commands/replay.ts';
import { registerShell } from './commands/shell.ts';
import { registerSteer } from './commands/steer.ts';
import { registerValidate } from './commands/validate.ts';
import { registerWhy } from './commands/why.ts';
import { tuneEngine } from './engine.ts';
import { InputError } from './errors.ts';

function version(): string {
  const file = join(import.meta.dirname, '../../../package.json');
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

async function main(): Promise<void> {
  tuneEngine();
  const program = new Command('flowtwin')
    .description('what will the flow hardware do? An emulated NIC, its driver and the stack above')
    .version(version())
    .exitOverride()
    .configureOutput({
      outputError: (text, write) => write(text.replace(/^error: /, 'flowtwin: ')),
    });
  registerReplay(program);
  registerWhy(program);
  registerDissect(program);
  registerShell(program);
  registerDevices(program);
  registerFit(program);
  registerConvert(program);
  registerLookup(program);
  registerRecording(program);
  registerSteer(program);
  registerValidate(program);
  for (const command of program.commands) command.copyInheritedSettings(program);
  await program.parseAsync();
}

main().catch((error: unknown) => {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : 2;
    return;
  }
  if (error instanceof InputError || error instanceof CaptureError) {
    process.stderr.write(`flowtwin: ${error.message}\n`);
    process.exitCode = 2;
    return;
  }
  throw error;
});

// Whoever reads our output may stop early (`flowtwin dissect x | head`): that is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});
