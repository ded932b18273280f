// What installing costs: moves and modelled time in file order and in the best order, and the rate at which rules go in at the end.
//
// Tables with measured rates (`rateEntries`, `ratePerS`): n rules take n / rate(n), rate(n) interpolated between the measured sizes (on
// logarithmic scales), since the published figure is the mean rate of filling a table to that size. Others: `insertUs` an entry
// and `moveUs` a move. Best order is the engine's own batch plan. The rate at this occupancy takes 16 rules, evenly spread over
// the file, out and puts them back one by one.
// Left out: rules refused on the way cost nothing; firmware batching; the time of removals.

import { figure, figureList } from '../devices/profile.ts';
import type { TableProfile } from '../devices/profile.ts';
import type { Admission, FitPlan, Progress } from './admission.ts';
import { EngineSet } from './engine-set.ts';

export interface InstallCost {
  table: string;
  rules: number;
  entries: number;
  moves: number;
  /** −1 when the engine does not plan such a batch. */
  movesBest: number;
  timeS: number;
  timeBestS: number;
  /** Rules per second that still go in at this occupancy, one by one; 0 for an empty table. */
  rulesPerS: number;
  /** Forwarding throughput with so many rules, where it was measured; else null. */
  throughputGbps: number | null;
}

const PROBES = 16;
const PROGRESS_RULES = 256;

export function installCosts(
  plan: FitPlan,
  admission: Admission,
  progress: Progress = () => undefined,
): InstallCost[] {
  return plan.tables.map((table, t) => {
    const indices: number[] = [];
    for (let i = 0; i < plan.rules.length; i++) if (admission.tableOf[i] === t) indices.push(i);
    const room = admission.rooms[t];
    const moves =
      table.table.kind === 'ternary' && table.table.engine !== 'none'
        ? engineMoves(plan, t, indices, progress)
        : {
            inOrder: room.moves,
            best: room.moves,
            probe: room.moves / Math.max(1, indices.length),
          };
    return costOf(table.id, table.table, indices.length, room.entries, moves);
  });
}

interface Moves {
  inOrder: number;
  best: number;
  /** Of putting one rule in at the end, on the average. */
  probe: number;
}

function engineMoves(
  plan: FitPlan,
  t: number,
  indices: readonly number[],
  progress: Progress,
): Moves {
  const engines = new EngineSet(plan.tables[t]);
  let inOrder = 0;
  for (const [done, index] of indices.entries()) {
    if (done % PROGRESS_RULES === 0) progress('moves', done, indices.length);
    inOrder += Math.max(0, engines.insert(index, plan.rules[index], plan.plans[index][t]));
  }
  const together = indices.map((i) => ({ rule: plan.rules[i], plan: plan.plans[i][t] }));
  const best = new EngineSet(plan.tables[t]).insertTogether(together);
  let probes = 0;
  let probeMoves = 0;
  const step = Math.max(1, Math.floor(indices.length / PROBES));
  for (let at = step >> 1; at < indices.length; at += step) {
    probeMoves += Math.max(0, engines.reinsert(indices[at]));
    probes++;
  }
  return { inOrder, best, probe: probeMoves / Math.max(1, probes) };
}

function costOf(
  id: string,
  table: TableProfile,
  rules: number,
  entries: number,
  moves: Moves,
): InstallCost {
  const { figures } = table;
  const rates = figureList(figures, 'ratePerS');
  const throughput = figureList(figures, 'throughputGbps');
  const insertUs = figure(figures, 'insertUs', 0);
  const moveUs = figure(figures, 'moveUs', 0);
  const best = Math.max(0, moves.best);
  let timeS = (entries * insertUs + moves.inOrder * moveUs) / 1e6;
  let timeBestS = (entries * insertUs + best * moveUs) / 1e6;
  const perRule = rules === 0 ? 0 : entries / rules;
  const ruleUs = perRule * insertUs + moves.probe * moveUs;
  let rulesPerS = rules === 0 || ruleUs === 0 ? 0 : 1e6 / ruleUs;
  if (rates.length > 0 && rules > 0) {
    rulesPerS = interpolate(figureList(figures, 'rateEntries'), rates, entries);
    timeS = timeBestS = entries / rulesPerS;
  }
  return {
    table: id,
    rules,
    entries,
    moves: moves.inOrder,
    movesBest: moves.best,
    timeS,
    timeBestS,
    rulesPerS,
    throughputGbps:
      throughput.length === 0
        ? null
        : interpolate(figureList(figures, 'throughputEntries'), throughput, Math.max(1, entries)),
  };
}

/** The curve through (x, y) at `at`, straight between points on logarithmic scales, constant beyond the ends. */
export function interpolate(x: readonly number[], y: readonly number[], at: number): number {
  const next = x.findIndex((point) => point >= at);
  if (next < 0) return y[y.length - 1];
  if (next === 0 || x[next] === at) return y[next];
  const share = Math.log(at / x[next - 1]) / Math.log(x[next] / x[next - 1]);
  return y[next - 1] * (y[next] / y[next - 1]) ** share;
}
