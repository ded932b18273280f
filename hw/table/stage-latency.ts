// Latency of a match-action pipe by what its stages do (Tofino 1; p4lang's power model, mau_power.cpp; hw 4.3, V26).
//
// Naive idea: stages × a constant. What the hardware does: a stage waits for the stage before it only as long as it
// depends on it. Match-dependent (its key was written there): the whole match, 20 cycles, 2 more if any TCAM (or wide
// selector) is in it, then 8 more for a selector, else 4 for a meter, else 4 for a stateful unit. Only its action depends
// on it: 2 cycles in all. Independent (concurrent): 1. The pipe adds 4 for the corner turn; an egress pipe takes
// 160 cycles at least. The first stage is match-dependent in a real pipe; the formula takes what it is given.
// Not here: Tofino 2 (20 stages, no corner turn), parser and deparser.

/** How a stage depends on the one before it. */
export type StageDependency = 'match' | 'action' | 'concurrent';

export interface StageFeatures {
  readonly dependency: StageDependency;
  readonly hasTcam: boolean;
  readonly hasSelector: boolean;
  readonly hasMeter: boolean;
  readonly hasStateful: boolean;
}

export const MATCH_CYCLES = 20;
export const TCAM_CYCLES = 2;
export const SELECTOR_CYCLES = 8;
export const METER_CYCLES = 4;
export const STATEFUL_CYCLES = 4;
export const ACTION_DEPENDENT_CYCLES = 2;
export const CONCURRENT_CYCLES = 1;
export const CORNER_TURN_CYCLES = 4;
export const EGRESS_MINIMUM_CYCLES = 160;
/** Match-action clock, MHz. */
export const TOFINO_CLOCK_MHZ = 1270;

/** Cycles that one stage adds. */
export function stageCycles(stage: StageFeatures): number {
  if (stage.dependency === 'action') return ACTION_DEPENDENT_CYCLES;
  if (stage.dependency === 'concurrent') return CONCURRENT_CYCLES;
  const match = MATCH_CYCLES + (stage.hasTcam ? TCAM_CYCLES : 0);
  if (stage.hasSelector) return match + SELECTOR_CYCLES;
  if (stage.hasMeter) return match + METER_CYCLES;
  return stage.hasStateful ? match + STATEFUL_CYCLES : match;
}

/** Cycles of an ingress or egress pipe. */
export function pipeCycles(stages: readonly StageFeatures[], isEgress: boolean): number {
  const sum = stages.reduce((total, stage) => total + stageCycles(stage), CORNER_TURN_CYCLES);
  return isEgress ? Math.max(EGRESS_MINIMUM_CYCLES, sum) : sum;
}
