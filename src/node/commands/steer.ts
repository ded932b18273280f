// `flowtwin steer`: which receive queue a flow, or every packet of a capture, gets on a port of a scenario's machine, and why.
//
// The machine is set up as the scenario says: its commands due before the first packet are run (ethtool -X, -N, -L ... among them).
// Nothing is sent through it. With a capture every packet is taken as if it arrived on the one port. docs/steer.md is the manual.

import process from 'node:process';
import type { Command } from 'commander';
import { CaptureRecord, toEthernet } from '../../capture/index.ts';
import { parseQuantity } from '../../scenario/quantity.ts';
import { tokenize } from '../../scenario/commands/command.ts';
import { Testbed } from '../../scenario/testbed.ts';
import { decide } from '../../steer/decision.ts';
import type { Decision } from '../../steer/decision.ts';
import { FlowTextError, frameOfFlow } from '../../steer/flow-text.ts';
import { formatDecision, formatSpread, keyCommand, weightCommand } from '../../steer/print.ts';
import type { SpreadReport } from '../../steer/print.ts';
import { SkewMeter } from '../../steer/skew.ts';
import { openCapture } from '../capture-files.ts';
import { InputError, UsageError } from '../errors.ts';
import { loadScenarioFile, portIndex } from '../scenario-files.ts';
import type { LoadedScenario } from '../scenario-files.ts';

interface SteerFlags {
  flow?: string[];
  in?: string;
  port?: string;
  queues?: string;
  key?: string;
  seed?: string;
  explain?: boolean;
  json?: boolean;
}

/** Time that filters being programmed are given to be in the device, ps. */
const SETTLE_PS = 1e9;

/** Adds the command to the program. */
export function registerSteer(program: Command): void {
  program
    .command('steer')
    .description('which receive queue a flow or a capture’s packets get, why, and how evenly')
    .argument('[scenario]', 'scenario (YAML); default: the default scenario')
    .option('--flow <text>', "a flow, e.g. 'tcp 10.0.0.1:1234 > 10.0.0.2:80' (repeatable)", collect)
    .option('--in <file>', 'capture, may be gzipped; - for standard input')
    .option('--port <name>', 'port that the packets arrive on; default: the first')
    .option('--queues <n>', 'queues of the port (ethtool -L combined)')
    .option('--key <hex>', 'RSS key, bytes in hex with or without colons')
    .option('--seed <n>', 'seed of the search for a better key')
    .option('--explain', 'also say which other mechanisms would have matched')
    .option('--json', 'one JSON object per flow or packet, and one for the capture')
    .action(async (scenario: string | undefined, flags: SteerFlags) => steer(scenario, flags));
}

async function steer(path: string | undefined, flags: SteerFlags): Promise<void> {
  if ((flags.flow === undefined) === (flags.in === undefined))
    throw new UsageError('expected --flow TEXT or --in FILE, one of them');
  const loaded = loadScenarioFile(path);
  if (loaded.bareCapture)
    throw new UsageError('expected a scenario, found a capture (use --in FILE)');
  const machine = new SteeredPort(loaded, flags);
  if (flags.in === undefined) {
    for (const text of flags.flow ?? []) process.stdout.write(machine.flow(text));
    return;
  }
  await machine.capture(flags.in);
}

/** One port of the machine, set up, and what was asked about it. */
class SteeredPort {
  private readonly bed: Testbed;
  private readonly flags: SteerFlags;
  private readonly portName: string;
  private readonly index: number;
  private readonly seed: number;

  constructor(loaded: LoadedScenario, flags: SteerFlags) {
    const { scenario } = loaded;
    this.flags = flags;
    this.portName = flags.port ?? scenario.ports[0].name;
    this.index = portIndex(scenario, this.portName, '--port');
    this.seed = flags.seed === undefined ? scenario.seed : whole('--seed', flags.seed);
    this.bed = Testbed.ofScenario(scenario, scenario.seed, loaded.profile);
    for (const block of scenario.run)
      if (block.at === 0) for (const words of tokenize(block.commands)) this.run(words, loaded);
    if (flags.queues !== undefined) {
      const queues = String(whole('--queues', flags.queues));
      this.run(['ethtool', '-L', this.portName, 'combined', queues], loaded, '--queues');
    }
    if (flags.key !== undefined)
      this.run(['ethtool', '-X', this.portName, 'hkey', colons(flags.key)], loaded, '--key');
    this.bed.advance(SETTLE_PS);
  }

  /** The answer about a flow. */
  flow(text: string): string {
    let frame: Uint8Array;
    try {
      frame = frameOfFlow(text, this.bed.devices[this.index].mac);
    } catch (error) {
      if (error instanceof FlowTextError) throw new UsageError(error.message);
      throw error;
    }
    const decision = this.decide(new DataView(frame.buffer), 0, frame.length);
    if (this.flags.json === true) return jsonLine({ flow: text, port: this.portName, ...decision });
    return formatDecision(text, this.portName, decision, this.flags.explain === true);
  }

  /** The answer about a capture: every packet (with --explain or --json), then the spread. */
  async capture(file: string): Promise<void> {
    const { nic } = this.bed;
    const fn = nic.functions[this.index];
    const queues = this.bed.devices[this.index].realNumRxQueues;
    const meter = new SkewMeter(queues, fn.rss.config.tableEntries);
    const input = openCapture(file);
    const record = new CaptureRecord();
    const { packets } = nic;
    try {
      do {
        while (input.next(record)) {
          const at = packets.stage();
          const fits = record.lenBytes + 64 <= packets.roomBytes;
          const lenBytes = fits ? Math.max(0, toEthernet(record, packets.bytes, at)) : 0;
          if (lenBytes < 14) continue;
          this.packet(meter, record, at, lenBytes);
        }
      } while (await input.more());
    } finally {
      input.close();
    }
    const key = meter.findKey(fn.rss.config, fn.rss, this.seed);
    const weights = meter.findWeights(1 << fn.rss.config.entryBits, fn.rss.reta);
    this.report({ meter, key, weights, port: this.portName });
  }

  private packet(meter: SkewMeter, record: CaptureRecord, at: number, lenBytes: number): void {
    const { nic } = this.bed;
    const decision = this.decide(nic.packets.view, at, lenBytes);
    const [first] = decision.matches;
    const { entry } = decision;
    meter.count(first.queue, first.mechanism, entry, nic.pipeline.key, lenBytes);
    const { json, explain } = this.flags;
    const number = record.packetNumber;
    if (json === true)
      process.stdout.write(jsonLine({ packet: number, port: this.portName, ...decision }));
    else if (explain === true)
      process.stdout.write(formatDecision(`packet ${number}`, this.portName, decision, true));
  }

  private report(spread: SpreadReport): void {
    if (this.flags.json !== true) {
      process.stdout.write(formatSpread(spread));
      return;
    }
    const { meter, key, weights, port } = spread;
    const summary = {
      port,
      packets: meter.packets,
      dropped: meter.dropped,
      flows: meter.flowCount,
      queues: meter.queues,
      mechanisms: Object.fromEntries(meter.mechanisms),
      imbalance: meter.imbalance,
      key: key === null ? null : { ...key, command: keyCommand(port, key) },
      weights: weights === null ? null : { ...weights, command: weightCommand(port, weights) },
    };
    process.stdout.write(jsonLine(summary));
  }

  private decide(view: DataView, at: number, lenBytes: number): Decision {
    const { nic } = this.bed;
    return decide(nic, nic.functions[this.index], view, at, lenBytes);
  }

  /** A command of the scenario or of a flag; one that fails is an error of the input. */
  private run(words: string[], loaded: LoadedScenario, flag = ''): void {
    const { status, stdout, stderr } = this.bed.runWords(words, undefined, loaded.readText);
    if (status === 0) return;
    const said = (stderr || stdout).trim().replace(/\n/g, '; ');
    throw new InputError(
      flag === '' ? `${loaded.file}: '${words.join(' ')}' failed: ${said}` : `${flag}: ${said}`,
    );
  }
}

function jsonLine(value: object): string {
  return `${JSON.stringify(value)}\n`;
}

/** "6d5a..." or "6d:5a:..." as ethtool takes it. */
function colons(text: string): string {
  if (text.includes(':') || !/^([0-9a-f]{2})+$/i.test(text)) return text;
  return (text.match(/../g) ?? []).join(':');
}

function whole(flag: string, text: string): number {
  try {
    return parseQuantity(text);
  } catch (error) {
    throw new UsageError(`${flag}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function collect(value: string, previous: string[] | undefined): string[] {
  return [...(previous ?? []), value];
}
