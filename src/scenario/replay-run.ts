// One run of a scenario over captures: setup commands, then each record through feed, pacer and testbed, then the time that
// packets still need, then the report. Pure: whoever has the records (files, standard input, a test) offers them here.

import type { CaptureRecord } from '../capture/record.ts';
import type { EgressFrame } from '../../hw/observer.ts';
import { PS_PER_MS, PS_PER_S } from '../../hw/time/units.ts';
import { Digest } from '../report/digest.ts';
import { buildReport } from '../report/build-report.ts';
import type { CommandReport, RunReport } from '../report/run-report.ts';
import { tokenize } from './commands/command.ts';
import { Feed } from './feed.ts';
import { ScenarioError } from './load.ts';
import { Pacer } from './pacing.ts';
import type { Pace } from './pacing.ts';
import type { DeviceProfile } from '../devices/profile.ts';
import type { Scenario } from './schema.ts';
import { Testbed } from './testbed.ts';
import type { BusyTimes } from './testbed.ts';

/** Time for the devices to come up before the first packet. */
const TRAFFIC_START_PS = 100 * PS_PER_MS;
/** How long after the last arrival a run waits for packets that are still in the machine (reassembly takes 60 s). */
const DRAIN_LIMIT_PS = 120 * PS_PER_S;

export interface ReplayOptions {
  pace: Pace;
  seed: number;
  /** The device that the scenario names; null: the generic NIC. */
  profile?: DeviceProfile | null;
  /** Where messages about the scenario point to. */
  scenarioFile: string;
  /** Text of a file that a command names, relative to the scenario; null when there is none. */
  readText: (name: string) => string | null;
  /** Every frame that leaves a port. */
  onEgress?: (frame: EgressFrame) => void;
  /** Every frame offered, before it enters: id, port, arrival and the frame in `feed`. */
  onArrival?: (id: number, feed: Feed, startPs: number, packetNumber: number) => void;
}

export class ReplayRun {
  readonly testbed: Testbed;
  readonly feed: Feed;
  readonly digest = new Digest();
  readonly scenario: Scenario;
  readonly seed: number;
  /** Output of the `run:` commands, in order. */
  readonly commandOutput: CommandReport[] = [];
  /** Lines about the input (a capture that ended early), for the report. */
  readonly inputFaults: string[] = [];
  /** Packets whose time ran backwards. */
  backwardsCount = 0;
  /** When the first packet arrives at the earliest, ps. */
  readonly trafficStartPs = TRAFFIC_START_PS;
  firstArrivalPs = -1;
  lastArrivalPs = 0;
  /** What was busy before the first packet (bringing the devices up), ps. */
  busyBefore: BusyTimes | null = null;

  private readonly options: ReplayOptions;
  private readonly pacer: Pacer;
  private readonly blocks: { atPs: number; commands: string; index: number }[];
  private nextBlock = 0;
  private packetCount = 0;

  constructor(scenario: Scenario, options: ReplayOptions) {
    this.scenario = scenario;
    this.options = options;
    this.seed = options.seed;
    this.testbed = Testbed.ofScenario(scenario, options.seed, options.profile);
    this.pacer = new Pacer(
      options.pace,
      this.testbed.nic.config.lineRateBps,
      scenario.ports.length,
      TRAFFIC_START_PS,
    );
    this.feed = new Feed({
      memory: this.testbed.nic.packets,
      split: scenario.traffic.split,
      portCount: scenario.ports.length,
      learn: scenario.traffic.learn,
      portMacs: this.testbed.devices.map((dev) => dev.mac),
      onAddress: (_family, address, side, mac) => this.testbed.learn(address, side, mac),
    });
    this.testbed.onFrame = (frame) => this.egress(frame);
    this.blocks = scenario.run
      .map((block, index) => ({ atPs: block.at, commands: block.commands, index }))
      .sort((a, b) => a.atPs - b.atPs || a.index - b.index);
    this.runBlocks(0);
  }

  /**
   * Plays one record: `capturePs` is its time since the start of all captures, `port` where it arrives (−1: by flags or
   * split), `place` its interface's number in its section (−1 when the section has only one).
   */
  offer(record: CaptureRecord, capturePs: number, port: number, place: number): void {
    const feed = this.feed;
    feed.take(record, port, place);
    const startPs = this.pacer.arrivalPs(capturePs, feed.portIndex, feed.lenBytes);
    if (this.firstArrivalPs < 0) {
      this.firstArrivalPs = startPs;
      this.busyBefore = this.testbed.busyPs();
    }
    this.lastArrivalPs = startPs;
    if (this.nextBlock < this.blocks.length) this.runBlocks(startPs - this.firstArrivalPs);
    this.packetCount++;
    const testbed = this.testbed;
    testbed.advanceTo(startPs);
    const id = testbed.ledger.begin(this.packetCount, feed.lenBytes);
    this.options.onArrival?.(id, feed, startPs, this.packetCount);
    const { nic } = testbed;
    nic.ctx.ports[feed.portIndex].firstBitPs = startPs;
    nic.frameInPlace(feed.portIndex, feed.at, feed.lenBytes, id);
  }

  /** When a record of this capture time arrives at the earliest, ps (replays with their own gaps). */
  plannedPs(capturePs: number): number {
    return this.pacer.plannedPs(capturePs);
  }

  /** Lets the machine finish what is in it, checks the invariants, and reports. */
  finish(): RunReport {
    this.runBlocks(Infinity);
    this.testbed.settle(this.testbed.nowPs + DRAIN_LIMIT_PS);
    this.testbed.checkInvariants();
    this.takeMonitors();
    return buildReport(this);
  }

  private egress(frame: EgressFrame): void {
    const digest = this.digest;
    digest.word(frame.portIndex);
    digest.number(frame.startPs);
    digest.frame(frame.bytes, frame.at, frame.lenBytes);
    if (this.options.onEgress !== undefined) this.options.onEgress(frame);
  }

  /** Runs the blocks due `sincePs` after the first arrival (0: before it; Infinity: all that are left). */
  private runBlocks(sincePs: number): void {
    while (this.nextBlock < this.blocks.length && this.blocks[this.nextBlock].atPs <= sincePs) {
      const block = this.blocks[this.nextBlock++];
      if (block.atPs > 0) this.testbed.advanceTo(Math.max(this.firstArrivalPs, 0) + block.atPs);
      for (const words of tokenize(block.commands)) this.runCommand(words, block.index);
    }
  }

  /** What watches have printed since the last entry becomes an entry. */
  private takeMonitors(): void {
    const stdout = this.testbed.stack.monitors.take();
    if (stdout !== '')
      this.commandOutput.push({
        atPs: this.testbed.nowPs,
        command: '(monitor)',
        stdout,
        stderr: '',
      });
  }

  private runCommand(words: string[], blockIndex: number): void {
    this.takeMonitors();
    const result = this.testbed.runWords(words, undefined, this.options.readText);
    const command = words.join(' ');
    const { stdout, stderr } = result;
    this.commandOutput.push({ atPs: this.testbed.nowPs, command, stdout, stderr });
    this.takeMonitors();
    if (result.status !== 0) {
      const said = (result.stderr || result.stdout).trim().split('\n')[0];
      throw new ScenarioError(
        `${this.options.scenarioFile}: run[${blockIndex}]: '${command}' failed: ${said}`,
      );
    }
  }
}
