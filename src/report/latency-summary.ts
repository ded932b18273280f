// A histogram as the report gives it.

import type { TimeHistogram } from './histogram.ts';
import type { TimeSummary } from './run-report.ts';

/** Percentiles of a histogram, ps. */
export function summarise(histogram: TimeHistogram): TimeSummary {
  const { count } = histogram;
  return {
    count,
    meanPs: count === 0 ? 0 : Math.round(histogram.sumPs / count),
    p50Ps: Math.round(histogram.percentilePs(0.5)),
    p90Ps: Math.round(histogram.percentilePs(0.9)),
    p99Ps: Math.round(histogram.percentilePs(0.99)),
    p999Ps: Math.round(histogram.percentilePs(0.999)),
    maxPs: Math.round(histogram.maxPs),
  };
}
