// At which size of each resource the answer changes.
//
// When rules are refused for lack of room: the next size at which more go in, and the size from which a larger one brings no
// more. When none is: the smallest size at which all still go in. Found by doubling and halving over whole admissions, which
// assumes that more of a resource never takes fewer rules. One resource at a time, the others as they are; where all fits, resources
// that no rule uses are left out.

import type { DeviceProfile } from '../devices/profile.ts';
import { admit, withSizes } from './admission.ts';
import type { Admission, FitPlan, Progress } from './admission.ts';

export interface SizeAnswer {
  /** Setting, as `--set` takes it. */
  path: string;
  now: number;
  /** Smallest size with the same number of rules in; null when none was looked for (rules are missing). */
  leastForAll: number | null;
  /** Next size with more rules in, and how many then; null when a larger one brings none. */
  next: number | null;
  nextRules: number;
  /** Size from which a larger one brings no more, and how many rules are in then. */
  enough: number | null;
  enoughRules: number;
}

/** Largest factor by which a resource is enlarged. */
const LARGEST_FACTOR = 1024;

export function sizeAnswers(
  plan: FitPlan,
  admission: Admission,
  progress: Progress = () => undefined,
): SizeAnswer[] {
  const isShort = lacksRoom(admission);
  const sized = admission.resources.filter(
    ({ path, used }) => path !== '' && (isShort || used > 0),
  );
  const paths = sized.map(({ path }) => path);
  return paths.map((path, done) => {
    progress('sizes', done, paths.length);
    return sizeAnswer(plan, admission, path);
  });
}

function sizeAnswer(plan: FitPlan, admission: Admission, path: string): SizeAnswer {
  const now = sizeOf(plan.device, path);
  const known = new Map([[now, admission.accepted]]);
  const rulesAt = (size: number): number => {
    let rules = known.get(size);
    if (rules === undefined) {
      rules = admit(withSizes(plan, resized(plan.device, path, size))).accepted;
      known.set(size, rules);
    }
    return rules;
  };
  const sizes = candidates(plan.device, path, now);
  const answer: SizeAnswer = {
    path,
    now,
    leastForAll: null,
    next: null,
    nextRules: 0,
    enough: null,
    enoughRules: 0,
  };
  if (!lacksRoom(admission)) {
    answer.leastForAll = smallest(sizes.below, now, (size) => rulesAt(size) >= admission.accepted);
    return answer;
  }
  const largest = sizes.at(sizes.last);
  if (rulesAt(largest) <= admission.accepted) return answer;
  answer.next = smallest(sizes.above, largest, (size) => rulesAt(size) > admission.accepted);
  answer.nextRules = rulesAt(answer.next);
  answer.enough = smallest(sizes.above, largest, (size) => rulesAt(size) >= rulesAt(largest));
  answer.enoughRules = rulesAt(answer.enough);
  return answer;
}

/** Whether some rule was refused because something ran out (or because there is one mask only). */
function lacksRoom({ refusals }: Admission): boolean {
  for (const { resource, reason } of refusals.values())
    if (reason.endsWith('-conflict') || (resource !== '' && reason !== 'no-such-group'))
      return true;
  return false;
}

/** Sizes that a resource can have, as a function of a step number. */
interface Candidates {
  at: (step: number) => number;
  last: number;
  below: { at: (step: number) => number; from: number; to: number };
  above: { at: (step: number) => number; from: number; to: number };
}

/** Powers of two for hashed memory and FdirPballoc's three values; whole banks of slices; units of rows; else every number. */
function candidates(device: DeviceProfile, path: string, now: number): Candidates {
  const [tableId, key] = path.split('.');
  const table = device.tables[tableId];
  const hashed = key === 'buckets' || (key === 'entries' && table?.kind === 'hash');
  if (hashed) {
    const base = Math.log2(now);
    const at = (step: number): number => 2 ** step;
    const least = key === 'entries' ? Math.log2(figureOf(device, `${tableId}.ways`)) : 0;
    return spans(at, least, base, base + 6);
  }
  if (key === 'pballoc') return spans((step) => step, 1, now, 3);
  const unit =
    key === 'slices'
      ? figureOf(device, `${tableId}.slicesPerBank`) || 1
      : key === 'depth'
        ? figureOf(device, `${tableId}.unitRows`) || 1
        : 1;
  const step = now % unit === 0 ? unit : 1;
  return spans((n) => n * step, 1, now / step, Math.max(1, now / step) * LARGEST_FACTOR);
}

function spans(at: (step: number) => number, least: number, now: number, last: number): Candidates {
  return {
    at,
    last,
    below: { at, from: least, to: now },
    above: { at, from: now + 1, to: last },
  };
}

/** First size of a span for which `holds`, by bisection; `otherwise` when none does. */
function smallest(
  span: { at: (step: number) => number; from: number; to: number },
  otherwise: number,
  holds: (size: number) => boolean,
): number {
  let [low, high] = [span.from, span.from];
  let stride = 1;
  while (high <= span.to && !holds(span.at(high))) {
    low = high + 1;
    high += stride;
    stride *= 2;
  }
  high = Math.min(high, span.to);
  if (!holds(span.at(high))) return otherwise;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (holds(span.at(middle))) high = middle;
    else low = middle + 1;
  }
  return span.at(low);
}

function figureOf(device: DeviceProfile, path: string): number {
  return sizeOf(device, path);
}

function sizeOf(device: DeviceProfile, path: string): number {
  const [tableId, key] = path.split('.');
  const figures = key === undefined ? device.figures : device.tables[tableId].figures;
  const value = figures[key ?? tableId]?.value;
  return typeof value === 'number' ? value : 0;
}

function resized(device: DeviceProfile, path: string, size: number): DeviceProfile {
  const [tableId, key] = path.split('.');
  if (key === undefined) {
    const figure = { ...device.figures[tableId], value: size };
    return { ...device, figures: { ...device.figures, [tableId]: figure } };
  }
  const table = device.tables[tableId];
  const old = table.figures[key] ?? { source: '', status: 'assumed' };
  const figures = { ...table.figures, [key]: { ...old, value: size } };
  return { ...device, tables: { ...device.tables, [tableId]: { ...table, figures } } };
}
