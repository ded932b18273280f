// Plays a recording on the emulated machine: builds what it describes, runs its commands, feeds its frames at their times
// and compares what came out. The frames cross the whole machine: port, pipeline, rings, driver, stack and back.
//
// Two things a recording does not hold. The phase of the flowtable's collector (once a second, counted from the flowtable's
// creation): `playRecording` tries ten phases and keeps the one with the fewest differences; a recording without a flowtable
// gives the same result for all, so that the first is taken at once. And, where a driver logged, the idle time of flows, which
// the recording system had set before `setup` (conntrack's `17 115` after the end, and STATS every second, say 4 s): it
// is tried beside Linux's own 30 s. It had set conntrack's accounting too where its listings count packets.

import { offsimOps } from '../../../driver/sim/offsim.ts';
import type { OffsimLog } from '../../../driver/sim/offsim.ts';
import { twinProbe } from '../../../driver/twin/probe.ts';
import { PS_PER_MS, PS_PER_S } from '../../../hw/time/units.ts';
import { tokenize } from '../commands/command.ts';
import { Testbed } from '../testbed.ts';
import type { DriverProbe } from '../testbed.ts';
import {
  compareLists,
  sameConntrackLine,
  sameFrame,
  shortLine,
  withoutRepeats,
} from './compare.ts';
import type { Difference } from './compare.ts';
import { compareDriver } from './driver-log.ts';
import { fromHex, toHex, uncomparedKeys } from './format.ts';
import type { Recording, RecordingStep } from './format.ts';
import { MatchWatch } from './match-watch.ts';
import { OvsWatch } from './ovs-watch.ts';
import { pathSegments } from './segments.ts';
import type { Station } from './segments.ts';

/** What a played recording gave. */
export interface RecordingReport {
  steps: number;
  /** Frames, conntrack lines and hook counts that were compared. */
  compared: { frames: number; ctLines: number; hookCounts: number; driverCalls: number };
  differences: Difference[];
  /** Idle time of flows that was set, s; 0 where Linux's own was left. */
  flowIdleS: number;
  /** Phase of the once-a-second collector that was used, in s. */
  gcPhaseS: number;
  /** Facts of the recording that this project does not compare. */
  uncompared: string[];
}

/** Setup happens this long before the recording's time 0 (less the phase). */
const SETUP_LEAD_S = 10;
/** What a step set off is through by then; listings are taken at this time after it. */
const SETTLE_PS = 50 * PS_PER_MS;
const PHASES = 10;

/** Idle time of the recording system's flows where it logged a driver, s. */
const LOGGED_IDLE_S = 4;

export function playRecording(recording: Recording): RecordingReport {
  let best: RecordingReport | null = null;
  const logged = recording.steps.some((step) => step.driver !== undefined);
  const hasFlowtable = JSON.stringify(recording.setup).includes('flowtable');
  for (const idleS of logged && hasFlowtable ? [LOGGED_IDLE_S, 0] : [0])
    for (let i = 0; i < PHASES; i++) {
      const report = new Player(recording, i / PHASES, idleS).play();
      if (best === null || report.differences.length < best.differences.length) best = report;
      if (best.differences.length === 0) return best;
      if (!hasFlowtable) break;
    }
  if (best === null) throw new Error('unreachable');
  return best;
}

/** What was done in steps that say it only by name, or only by what came out. */
const IMPLIED_COMMANDS: Readonly<
  Record<string, { cmd: string; stdin?: string; error?: string }[]>
> = {
  'table deleted': [{ cmd: 'nft flush ruleset' }],
  "tunnel looped back through the datapath's own port: flows": [
    { cmd: 'ip neigh replace 10.9.9.2 lladdr 02:00:00:00:00:99 dev dp0 nud permanent' },
  ],
};

interface OutFrame {
  port: string;
  hex: string;
  atPs: number;
  taken: boolean;
}

class Player {
  private readonly recording: Recording;
  private readonly testbed: Testbed;
  private readonly ports: string[];
  /** Ports without a wire, and their devices. */
  private readonly internals: ReadonlyMap<string, string>;
  private readonly phaseS: number;
  private readonly out: OutFrame[] = [];
  private readonly differences: Difference[] = [];
  private readonly compared = { frames: 0, ctLines: 0, hookCounts: 0, driverCalls: 0 };
  private readonly flowIdleS: number;
  private readonly log: OffsimLog = [];
  private readonly watch: MatchWatch;
  private readonly ovs: OvsWatch;
  private packetNumber = 0;
  private counters = new Map<string, number>();
  private ownAddresses = new Set<string>();

  constructor(recording: Recording, phaseS: number, flowIdleS: number) {
    this.recording = recording;
    this.flowIdleS = flowIdleS;
    this.phaseS = phaseS;
    const entries = Object.entries(recording.wires);
    const wired = entries.flatMap(([port, wire]) => ('mac' in wire ? [{ ...wire, port }] : []));
    this.ports = wired.map(({ port }) => port);
    this.internals = new Map(
      entries.flatMap(([port, wire]) => ('internal' in wire ? [[port, wire.device]] : [])),
    );
    const wires = wired as { device: string; mac: string; mtu: number }[];
    this.testbed = new Testbed({
      // A veth has no MAC filter and does not pad: neither may the ports of this machine.
      device: { txPadReset: false },
      ports: wires.map((wire) => ({ name: wire.device, mac: wire.mac, promisc: true })),
      ...(this.hasDriverLog ? { driver: this.offsim } : {}),
    });
    wires.forEach((wire, index) => this.testbed.setMtu(index, wire.mtu));
    this.watch = new MatchWatch(this.testbed.stack.hooks);
    this.ovs = new OvsWatch(this.testbed);
    this.testbed.onFrame = (frame) => {
      this.out.push({
        port: this.ports[frame.portIndex],
        hex: toHex(frame.bytes, frame.at, frame.at + frame.lenBytes),
        atPs: frame.endPs,
        taken: false,
      });
    };
  }

  play(): RecordingReport {
    this.testbed.advanceTo((SETUP_LEAD_S - this.phaseS) * PS_PER_S);
    this.preset();
    for (const command of this.recording.setup) this.setUp(command);
    this.ownAddresses = this.addressesHex();
    for (const [port, device] of this.internals)
      this.ovs.watchInternal(device, (hex) => {
        this.out.push({ port, hex, atPs: this.testbed.nowPs, taken: false });
      });
    const steps = this.recording.steps;
    this.readCounters();
    steps.forEach((step, index) => {
      this.playStep(step);
      const next = index + 1 < steps.length ? this.stepPs(steps[index + 1]) : Infinity;
      this.compareStep(step, Math.min(next, this.testbed.nowPs + PS_PER_S));
    });
    this.compareFrames();
    this.compareDriverCalls();
    this.testbed.checkInvariants();
    return {
      steps: steps.length,
      compared: this.compared,
      differences: this.differences,
      flowIdleS: this.flowIdleS,
      gcPhaseS: this.phaseS,
      uncompared: uncomparedKeys(this.recording),
    };
  }

  private setUp(command: Recording['setup'][number]): void {
    const entry = typeof command === 'string' ? { cmd: command } : command;
    const stdin = typeof command === 'string' ? undefined : command.stdin;
    const says = typeof command === 'string' ? undefined : command.says;
    const result = this.runCommand(entry.cmd, stdin);
    const failed = result.status !== 0;
    if (failed !== (says !== undefined))
      this.differ('setup', 0, 'command', says ?? 'success', `${entry.cmd}: ${result.text}`);
  }

  private runCommand(cmd: string, stdin?: string): { status: number; text: string } {
    const words = tokenize(cmd)[0] ?? [];
    const result = this.testbed.runWords(words, stdin);
    return { status: result.status, text: (result.stderr || result.stdout).trim() };
  }

  private stepPs(step: RecordingStep): number {
    return (SETUP_LEAD_S + step.t) * PS_PER_S;
  }

  private playStep(step: RecordingStep): void {
    const path = step.name.split(':')[0];
    const segments = this.recording.paths?.[path];
    this.testbed.advanceTo(this.stepPs(step) - (segments === undefined ? 0 : 4 * SETTLE_PS));
    if (segments !== undefined && step.in !== undefined) this.playPath(step, segments);
    if (step.before !== undefined) this.compareShort(step, step.before);
    this.watch.clear();
    for (const entry of [...(IMPLIED_COMMANDS[step.name] ?? []), ...(step.run ?? [])]) {
      if ('netlink' in entry && entry.netlink !== undefined) {
        const error = -this.ovs.put(entry.netlink);
        const wanted = typeof entry.error === 'object' ? entry.error.errno : 0;
        if (error !== wanted) this.differ(step.name, step.t, 'command', `${wanted}`, `${error}`);
        continue;
      }
      if (entry.cmd === undefined) continue;
      const result = this.runCommand(entry.cmd, entry.stdin);
      const expected = typeof entry.error === 'string' ? entry.error : 'success';
      if ((result.status !== 0) !== (entry.error !== undefined))
        this.differ(step.name, step.t, 'command', expected, `${entry.cmd}: ${result.text}`);
    }
    this.ovs.begin(step);
    if (step.in !== undefined) this.inject(step.in.port, fromHex(step.in.frame));
    this.testbed.advanceTo(this.testbed.nowPs + SETTLE_PS);
  }

  private playPath(step: RecordingStep, path: readonly string[]): void {
    if (step.in === undefined) return;
    const wires = this.recording.wires;
    const station = (port: string): Station => {
      const near = fromHex(macOf(wires[port]).replaceAll(':', ''));
      const far = near.slice();
      far[5] = 2;
      return { nearMac: near, farMac: far };
    };
    const stations = { c: station('c'), s: station('s') };
    const before = this.out.length;
    for (const segment of pathSegments(path, step.in.frame, step.in.port, stations)) {
      this.inject(segment.side, segment.frame);
      this.testbed.advanceTo(this.testbed.nowPs + 10 * PS_PER_MS);
    }
    // What the path made come out is not part of the recording.
    for (let i = before; i < this.out.length; i++) this.out[i].taken = true;
  }

  private inject(port: string, frame: Uint8Array): void {
    const internal = this.internals.get(port);
    if (internal !== undefined) {
      this.ovs.sendInternal(internal, frame);
      return;
    }
    const index = this.ports.indexOf(port);
    if (index < 0) throw new Error(`no port '${port}' among the wires`);
    this.testbed.inject(index, this.testbed.nowPs, frame, 0, frame.length, ++this.packetNumber);
  }

  private compareStep(step: RecordingStep, nextPs: number): void {
    if (step.hooks !== undefined) this.compareHooks(step, step.hooks);
    if (step.ct !== undefined) this.compareConntrack(step, step.ct, nextPs);
    if (OvsWatch.concerns(step))
      for (const { what, expected, found } of this.ovs.differences(step))
        this.differ(step.name, step.t, what, expected, found);
    for (const [name, listed] of Object.entries(step.ctOf ?? {}))
      this.compareConntrack(step, listed, nextPs, name);
    if (step.after !== undefined) {
      this.compareShort(step, step.after.ct);
      const { missing, extra } = compareLists(step.after.matched, this.watch.states(), equal);
      this.reportLists(step, 'matched', missing, extra);
    }
  }

  /**
   * The recorded listing was taken at an unknown moment between this step and the next: it agrees when the model's does at
   * one of a few moments in between (a flow that is collected in that time changes `use=`).
   */
  private compareConntrack(
    step: RecordingStep,
    listed: readonly string[],
    nextPs: number,
    namespace = '',
  ): void {
    const expected = withoutRepeats(listed);
    this.compared.ctLines += expected.length;
    let first: { missing: string[]; extra: string[] } | null = null;
    for (;;) {
      const found = compareLists(expected, this.conntrack(namespace), sameConntrackLine);
      if (found.missing.length === 0 && found.extra.length === 0) return;
      first ??= found;
      const laterPs = this.testbed.nowPs + 2 * SETTLE_PS;
      if (laterPs >= nextPs) break;
      this.testbed.advanceTo(laterPs);
    }
    this.reportLists(step, 'ct', first.missing, first.extra);
  }

  private compareHooks(step: RecordingStep, expected: Record<string, number>): void {
    const before = this.counters;
    this.readCounters();
    for (const [hook, count] of Object.entries(expected)) {
      const name = `${hook}_c`;
      const found = (this.counters.get(name) ?? 0) - (before.get(name) ?? 0);
      if (hook === 'post' && count > found && this.sendsListenerReports(step)) continue;
      this.compared.hookCounts++;
      if (found !== count)
        this.differ(step.name, step.t, 'hooks', `${hook} ${count}`, `${hook} ${found}`);
    }
  }

  /**
   * A Linux with IPv6 reports its multicast groups in the first seconds, at random times, through postrouting; recordings
   * leave those frames out, and this machine does not send them.
   */
  private sendsListenerReports(step: RecordingStep): boolean {
    const { setup } = this.recording;
    return step.t < 5 && !JSON.stringify(setup).includes('disable_ipv6=1');
  }

  private compareShort(step: RecordingStep, expected: readonly string[]): void {
    const port = this.portOf(step);
    const found = this.conntrack()
      .map(shortLine)
      .filter((line) => line.includes(`port=${port} `) || line.endsWith(`port=${port}`));
    this.compared.ctLines += expected.length;
    const { missing, extra } = compareLists(expected, found, sameConntrackLine);
    this.reportLists(step, 'ct', missing, extra);
  }

  /** The client's port of a step's TCP frame: the one that is not 80. */
  private portOf(step: RecordingStep): string {
    const bytes = fromHex(step.in?.frame ?? '');
    const at = 14 + (bytes[14] & 15) * 4;
    const sport = (bytes[at] << 8) | bytes[at + 1];
    const dport = (bytes[at + 2] << 8) | bytes[at + 3];
    return String(sport === 80 ? dport : sport);
  }

  private conntrack(namespace = ''): string[] {
    const where = namespace === '' ? [] : ['ip', 'netns', 'exec', namespace];
    const words = [...where, 'conntrack', '-L', '-o', 'extended,id'];
    const text = this.testbed.runWords(words).stdout;
    return text.split('\n').filter((line) => line !== '');
  }

  /** Addresses of the machine, in all its namespaces, hex. */
  private addressesHex(): Set<string> {
    return new Set(
      this.testbed
        .stacks()
        .flatMap((stack) => stack.links.all().map((dev) => ({ stack, dev })))
        .flatMap(({ stack, dev }) => [2, 10].flatMap((family) => stack.addresses.of(dev, family)))
        .map((one) => toHex(one.address)),
    );
  }

  private readCounters(): void {
    this.counters = this.testbed.namedCounters();
  }

  /**
   * Frames are compared after the run: `out` of a step was collected between the step before and a moment after the
   * step, so a frame that a timer sent may stand with the step before or after the model's.
   */
  private compareFrames(): void {
    const steps = this.recording.steps;
    let previousPs = 0;
    for (let i = 0; i < steps.length; i++) {
      const step = steps[i];
      const expected = step.out ?? [];
      this.compared.frames += expected.length;
      const endPs = this.stepPs(step) + SETTLE_PS;
      const nextPs = i + 1 < steps.length ? this.stepPs(steps[i + 1]) + SETTLE_PS : Infinity;
      for (const frame of expected) this.expectFrame(step, frame, previousPs, endPs, nextPs);
      previousPs = endPs;
    }
    for (const frame of this.out) {
      if (frame.taken) continue;
      const timeS = frame.atPs / PS_PER_S - SETUP_LEAD_S;
      const last = [...steps].reverse().find((one) => one.t <= timeS);
      // After the last step nothing was recorded any more.
      if (timeS > steps[steps.length - 1].t + 1) continue;
      this.differ(last?.name ?? 'setup', timeS, 'frame', '', `${frame.port} ${frame.hex}`);
    }
  }

  private expectFrame(
    step: RecordingStep,
    expected: { port: string; frame: string },
    previousPs: number,
    endPs: number,
    nextPs: number,
  ): void {
    const fits = (frame: OutFrame, fromPs: number, toPs: number): boolean =>
      !frame.taken &&
      frame.port === expected.port &&
      frame.atPs > fromPs &&
      frame.atPs <= toPs &&
      sameFrame(expected.frame, frame.hex, this.ownAddresses);
    const found =
      this.out.find((frame) => fits(frame, previousPs, endPs)) ??
      this.out.find((frame) => fits(frame, previousPs - PS_PER_S, nextPs));
    if (found !== undefined) {
      found.taken = true;
      return;
    }
    const near = this.out.find(
      (frame) =>
        !frame.taken &&
        frame.port === expected.port &&
        frame.atPs > previousPs &&
        frame.atPs <= endPs,
    );
    if (near !== undefined) near.taken = true;
    this.differ(step.name, step.t, 'frame', `${expected.port} ${expected.frame}`, near?.hex ?? '');
  }

  private get hasDriverLog(): boolean {
    return this.recording.steps.some((step) => step.driver !== undefined);
  }

  /** The recordings' driver: accepts and writes down every offload; its frames cross the reference driver. */
  private readonly offsim: DriverProbe = (kernel, pdev, name) =>
    twinProbe(kernel, pdev, { name, ops: offsimOps(kernel, this.log) }).dev;

  /** The recorded log of a step was read somewhere between the step before and a moment after it. */
  private compareDriverCalls(): void {
    const { steps } = this.recording;
    const last = steps.length - 1;
    const expected = steps.map((step, i) => ({
      name: step.name,
      timeS: step.t,
      lines: step.driver ?? [],
      fromPs: i < 2 ? 0 : this.stepPs(steps[i - 2]),
      toPs: i < last ? this.stepPs(steps[i + 1]) : this.stepPs(step) + PS_PER_S,
    }));
    this.compared.driverCalls = expected.reduce((sum, { lines }) => sum + lines.length, 0);
    if (!this.hasDriverLog) return;
    for (const one of compareDriver(expected, this.log))
      this.differ(one.step, one.timeS, 'driver', one.expected, one.found);
  }

  /** What the recording system had set before a setup that says nothing of it. */
  private preset(): void {
    if (this.recording.steps.some((step) => step.ct?.some((line) => line.includes(' packets='))))
      this.setUp('sysctl -w net.netfilter.nf_conntrack_acct=1');
    if (this.flowIdleS === 0) return;
    for (const protocol of ['tcp', 'udp'])
      this.setUp(`sysctl -w net.netfilter.nf_flowtable_${protocol}_timeout=${this.flowIdleS}`);
  }

  private reportLists(
    step: RecordingStep,
    what: 'ct' | 'matched',
    missing: readonly string[],
    extra: readonly string[],
  ): void {
    const count = Math.max(missing.length, extra.length);
    for (let i = 0; i < count; i++)
      this.differ(step.name, step.t, what, missing[i] ?? '', extra[i] ?? '');
  }

  private differ(
    step: string,
    timeS: number,
    what: Difference['what'],
    expected: string,
    found: string,
  ): void {
    this.differences.push({ step, timeS, what, expected, found });
  }
}

/** Address of a wire's near end. */
function macOf(wire: Recording['wires'][string] | undefined): string {
  return wire !== undefined && 'mac' in wire ? String(wire.mac) : '';
}

function equal(a: string, b: string): boolean {
  return a === b;
}
