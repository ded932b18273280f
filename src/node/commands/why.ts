// `flowtwin why`: one packet's way through the machine, explained.

import process from 'node:process';
import type { Command } from 'commander';
import { explain } from '../../report/explain.ts';
import type { TraceRecord } from '../../report/trace.ts';
import { parseQuantity } from '../../scenario/quantity.ts';
import { InputError, UsageError } from '../errors.ts';
import { runReplay } from '../run-replay.ts';
import { loadScenarioFile } from '../scenario-files.ts';
import { addInputs, parseSettings, trafficOptions } from './replay.ts';

type WhyFlags = Parameters<typeof parseSettings>[1] & { packet: string };

export function registerWhy(program: Command): void {
  trafficOptions(
    program
      .command('why')
      .description('explain why packet N took the path it took, and what would keep it in hardware')
      .argument('[scenario]', 'scenario (YAML) or a capture for the default scenario')
      .requiredOption('--packet <n>', 'number of the packet in order of arrival, from 1'),
  ).action(async (scenario: string | undefined, flags: WhyFlags) => why(scenario, flags));
}

async function why(scenario: string | undefined, flags: WhyFlags): Promise<void> {
  const packet = packetNumber(flags.packet);
  const loaded = loadScenarioFile(scenario);
  addInputs(loaded, flags.in);
  const settings = parseSettings(loaded, flags);
  // Later packets cannot change what became of this one, except those that complete its reassembly: play all.
  const found: { record: TraceRecord | null } = { record: null };
  settings.trace = { sink: (record) => (found.record = record), only: packet };
  const { report } = await runReplay(loaded, settings);
  if (found.record === null) {
    const count = report.in.packets;
    throw new InputError(`--packet ${packet}: expected 1 to ${count}, the packets of this run`);
  }
  process.stdout.write(explain(found.record));
}

function packetNumber(text: string): number {
  try {
    const value = parseQuantity(text);
    if (value >= 1) return value;
  } catch {
    // said below
  }
  throw new UsageError(`--packet: expected a number from 1, found '${text}'`);
}
