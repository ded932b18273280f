// What a recorded driver was asked (`driver` of a step) against what the model asked its `offsim` driver.
//
// The recording read the driver's log at the end of a step, a moment before or after conntrack's, and requests run in work
// queues: a call may stand with the step before or after the model's. So each recorded call must be found among the model's of
// the time from the step before to the step after, calls of one rule in the recorded order, and no call of the model may be left
// over. Cookies and ifindexes are names: they are replaced by the order in which they first appear.

import type { OffsimCall } from '../../../driver/sim/offsim.ts';

/** One recorded step. */
export interface DriverStep {
  name: string;
  timeS: number;
  lines: readonly string[];
  /** Calls of the model in this time (exclusive, inclusive) may be meant. */
  fromPs: number;
  toPs: number;
}

export interface DriverDifference {
  step: string;
  timeS: number;
  expected: string;
  found: string;
}

/** Replaces cookies and ifindexes by their order of appearance, over a whole log. */
class Names {
  private readonly known = new Map<string, number>();

  plain(line: string): string {
    return line.replace(/\b(cookie|meta\.iif)=[0-9a-f]+/g, (text: string, key: string) => {
      const number = this.known.get(text) ?? this.known.size;
      this.known.set(text, number);
      return `${key}=#${number}`;
    });
  }
}

/** A log with cookies and ifindexes replaced by their order of appearance. */
export function plainNames(lines: readonly string[]): string[] {
  const names = new Names();
  return lines.map((line) => names.plain(line));
}

/** The calls that do not agree. */
export function compareDriver(
  steps: readonly DriverStep[],
  calls: readonly OffsimCall[],
): DriverDifference[] {
  const recordedNames = new Names();
  const ownNames = new Names();
  const own = calls.map((call) => ({ call, plain: ownNames.plain(call.line), taken: false }));
  const differences: DriverDifference[] = [];
  for (const step of steps)
    for (const line of step.lines) {
      const plain = recordedNames.plain(line);
      const free = own.filter(
        ({ call, taken }) => !taken && call.atPs > step.fromPs && call.atPs <= step.toPs,
      );
      const found = free.find((one) => one.plain === plain);
      if (found !== undefined) {
        found.taken = true;
        continue;
      }
      // The call that stands in its place, for the report.
      const near = free.find((one) => sameSubject(one.plain, plain));
      if (near !== undefined) near.taken = true;
      differences.push({
        step: step.name,
        timeS: step.timeS,
        expected: line,
        found: near?.call.line ?? '',
      });
    }
  for (const { call, taken } of own) {
    if (taken) continue;
    const at = steps.find((step) => call.atPs <= step.toPs) ?? steps[steps.length - 1];
    differences.push({ step: at.name, timeS: at.timeS, expected: '', found: call.line });
  }
  return differences;
}

/** Device, kind, command and cookie agree: the first four words. */
function sameSubject(a: string, b: string): boolean {
  const head = (text: string): string => text.split(' ').slice(0, 4).join(' ');
  return head(a) === head(b);
}
