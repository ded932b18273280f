// `flowtwin shell`: the emulated machine at a prompt. Beside the commands of `run:` blocks (ip, nft, conntrack, ethtool, sysctl) it
// knows `step TIME`, `run`, `time`, `help` and `exit`. `-c` and piped standard input are a batch: it ends at the first failure,
// with that command's exit status.

import process from 'node:process';
import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import { formatSummary } from '../../report/summary.ts';
import { COMMANDS } from '../../scenario/commands/table.ts';
import { failed, ok, ShellSyntaxError, tokenize } from '../../scenario/commands/command.ts';
import type { CommandResult } from '../../scenario/commands/command.ts';
import { ScenarioError } from '../../scenario/load.ts';
import { formatDuration, parseDurationPs } from '../../scenario/quantity.ts';
import { ReplayRun } from '../../scenario/replay-run.ts';
import { InputError } from '../errors.ts';
import { loadScenarioFile } from '../scenario-files.ts';
import type { LoadedScenario } from '../scenario-files.ts';
import { Sources } from '../sources.ts';

/** Exit status of words that are no command, as a shell gives it. */
const USAGE_STATUS = 2;

export function registerShell(program: Command): void {
  program
    .command('shell')
    .description('the emulated machine at a prompt')
    .argument('[scenario]', 'scenario (YAML) or a capture for the default scenario')
    .option('-c, --command <commands>', 'run these commands (separated by ;) and exit')
    .action(async (scenario: string | undefined, flags: { command?: string }) => {
      const shell = new Shell(loadScenarioFile(scenario));
      process.exitCode = await shell.main(flags.command);
    });
}

class Shell {
  private readonly loaded: LoadedScenario;
  private readonly run: ReplayRun;
  private readonly sources: Sources;
  private left = true;
  private exiting = false;

  constructor(loaded: LoadedScenario) {
    this.loaded = loaded;
    try {
      this.run = new ReplayRun(loaded.scenario, {
        pace: { kind: 'speed', factor: loaded.scenario.traffic.speed },
        seed: loaded.scenario.seed,
        profile: loaded.profile,
        scenarioFile: loaded.file,
        readText: loaded.readText,
      });
    } catch (error) {
      if (error instanceof ScenarioError) throw new InputError(error.message);
      throw error;
    }
    this.sources = new Sources(loaded.sources, {
      loop: loaded.scenario.traffic.loop,
      limit: Infinity,
    });
  }

  /** Runs `-c` text, or standard input as a batch or with a prompt; returns the exit status. */
  async main(commands: string | undefined): Promise<number> {
    if (commands !== undefined) return this.batch(commands);
    const interactive = process.stdin.isTTY === true;
    const lines = createInterface({
      input: process.stdin,
      ...(interactive ? { output: process.stdout } : {}),
    });
    const prompt = `${this.loaded.scenario.name}> `;
    if (interactive) process.stdout.write(`flowtwin shell: 'help' lists the commands\n${prompt}`);
    let status = 0;
    for await (const line of lines) {
      status = await this.batch(line);
      if (this.exiting || (status !== 0 && !interactive)) break;
      if (interactive) process.stdout.write(prompt);
    }
    lines.close();
    this.sources.close();
    return interactive ? 0 : status;
  }

  /** Runs a line of commands up to the first failure. */
  private async batch(text: string): Promise<number> {
    let commands: string[][];
    try {
      commands = tokenize(text);
    } catch (error) {
      if (!(error instanceof ShellSyntaxError)) throw error;
      process.stderr.write(`flowtwin shell: ${error.message}\n`);
      return USAGE_STATUS;
    }
    for (const words of commands) {
      const result = await this.command(words);
      process.stdout.write(this.run.testbed.stack.monitors.take());
      process.stdout.write(result.stdout);
      process.stderr.write(result.stderr);
      if (result.status !== 0) return result.status;
      if (this.exiting) return 0;
    }
    return 0;
  }

  private async command(words: string[]): Promise<CommandResult> {
    switch (words[0]) {
      case 'step':
        return this.step(words[1]);
      case 'run':
        return this.runToEnd();
      case 'time':
        return ok(`${formatDuration(this.run.testbed.nowPs)}\n`);
      case 'help':
        return ok(helpText());
      case 'exit':
      case 'quit':
        this.exiting = true;
        return ok();
      default:
        return this.run.testbed.runWords(words, undefined, this.loaded.readTyped);
    }
  }

  /** Lets simulated time pass, with the traffic that arrives in it. */
  private async step(text: string | undefined): Promise<CommandResult> {
    let byPs: number;
    try {
      byPs = parseDurationPs(text ?? '');
    } catch (error) {
      return failed(USAGE_STATUS, `step: ${(error as Error).message}\n`);
    }
    const { testbed } = this.run;
    const untilPs = testbed.nowPs + byPs;
    if (this.left)
      this.left = await this.sources.play(
        (record, capturePs, port, place) => {
          this.run.offer(record, capturePs, port, place);
        },
        (capturePs) => this.run.plannedPs(capturePs) <= untilPs,
      );
    if (testbed.nowPs < untilPs) testbed.advanceTo(untilPs);
    return ok(`${formatDuration(testbed.nowPs)}, ${testbed.ledger.inPackets} packets in\n`);
  }

  /** Plays the rest of the traffic and prints the summary. */
  private async runToEnd(): Promise<CommandResult> {
    if (this.left)
      this.left = await this.sources.play((record, capturePs, port, place) => {
        this.run.offer(record, capturePs, port, place);
      });
    this.run.inputFaults.push(...this.sources.faults);
    return ok(formatSummary(this.run.finish()));
  }
}

function helpText(): string {
  const rows: [string, string][] = [
    ['step TIME', 'let simulated time pass (10ms, 2s), with the traffic that arrives'],
    ['run', 'play the rest of the traffic and print the summary'],
    ['time', 'print the simulated time'],
    ['exit', 'leave'],
    ...[...COMMANDS.values()].map((command): [string, string] => [command.name, command.summary]),
  ];
  return rows.map(([name, summary]) => `${name.padEnd(12)} ${summary}\n`).join('');
}
