// Comparing what a tun machine does with what was recorded: single values, the queues on which packets come, and experiments whose
// result depends on the fraction of a second at which they begin.

import { TunLab } from './tun-lab.ts';
import type { HashKnowledge, LabDevice, LabFlow } from './tun-lab.ts';

/** One difference. */
export interface TunDifference {
  test: string;
  what: string;
  expected: string;
  found: string;
}

/** What a played recording gave. */
export interface TunReport {
  tests: number;
  /** Choices, errnos and listings that were compared. */
  compared: number;
  /** Choices that defined the hash of a flow and so could not differ. */
  defining: number;
  differences: TunDifference[];
  /** Names of tests that the player does not know. */
  unknown: string[];
  /** Fractions of a second that explain each test of expiry. */
  phases: { test: string; fromS: number; toS: number }[];
}

/** Everything learned has expired after this, s. */
export const FORGET_S = 6;
/** Between the steps of a test, s: well within an entry's life. */
const STEP_S = 0.01;
const PHASES = 20;

export class TunComparison {
  protected readonly lab: TunLab;
  protected readonly learning: boolean;
  protected readonly report: TunReport;
  protected readonly knowledge: HashKnowledge;
  /** Name of the test that is played. */
  protected current = '';

  /** `learning`: what untaught flows do is noted in `knowledge` before it is compared. */
  constructor(testCount: number, knowledge: HashKnowledge, learning: boolean) {
    this.learning = learning;
    this.knowledge = knowledge;
    this.lab = new TunLab(knowledge);
    const counts = { tests: testCount, compared: 0, defining: 0 };
    this.report = { ...counts, differences: [], unknown: [], phases: [] };
  }

  protected same(what: string, expected: unknown, found: unknown): void {
    this.report.compared++;
    const [a, b] = [JSON.stringify(expected) ?? '', JSON.stringify(found) ?? ''];
    if (a !== b) this.report.differences.push({ test: this.current, what, expected: a, found: b });
  }

  /** Sends packets of flows that must come where they were recorded. */
  protected comes(
    what: string,
    device: LabDevice,
    flows: readonly LabFlow[],
    recorded: readonly number[],
  ): void {
    recorded.forEach((position, i) => {
      this.same(`${what} ${i}`, position, this.lab.cameOn(device, flows[i]));
      this.lab.pass(STEP_S / 10);
    });
  }

  /** The same for flows that nobody taught: their choices say something about their hashes. */
  protected comesHome(
    what: string,
    device: LabDevice,
    flows: readonly LabFlow[],
    recorded: readonly number[],
  ): void {
    if (this.learning)
      recorded.forEach((position, i) => this.lab.learnHome(device, flows[i], position));
    this.comes(what, device, flows, recorded);
  }

  protected teach(device: LabDevice, position: number, flow: LabFlow): void {
    this.lab.teach(device, position, flow);
    this.lab.pass(STEP_S);
  }

  /** Runs an experiment at twenty fractions of a second; compares with the first that gives what was recorded. */
  protected tryPhases(recorded: readonly number[], experiment: () => number[]): void {
    let first: number[] = [];
    const fitting: number[] = [];
    for (let i = 0; i < PHASES; i++) {
      const phaseS = (i + 0.5) / PHASES;
      this.lab.passToPhase(FORGET_S, phaseS);
      const found = experiment();
      if (i === 0) first = found;
      if (found.join() === recorded.join()) fitting.push(phaseS);
    }
    const found = fitting.length > 0 ? recorded : first;
    recorded.forEach((position, i) => this.same(`sample ${i}`, position, found[i]));
    if (fitting.length > 0)
      this.report.phases.push({
        test: this.current,
        fromS: Math.min(...fitting),
        toS: Math.max(...fitting),
      });
  }
}
