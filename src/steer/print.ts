// `flowtwin steer` for people: one frame's decision, and the spread of a capture.

import type { Decision, MechanismMatch } from './decision.ts';
import type { KeyRemedy, SkewMeter, WeightRemedy } from './skew.ts';

/** What `steer` found about a capture. */
export interface SpreadReport {
  meter: SkewMeter;
  key: KeyRemedy | null;
  weights: WeightRemedy | null;
  port: string;
}

function target({ mechanism, filter, queue }: MechanismMatch): string {
  const by = filter === null ? mechanism : `${mechanism} ${filter}`;
  return queue === null ? `dropped by ${by}` : `queue ${queue} by ${by}`;
}

/** Lines of one decision; with `explain` also why, and who else would have taken the frame. */
export function formatDecision(title: string, port: string, d: Decision, explain: boolean): string {
  let text = `${title}\n  port ${port}: ${target(d.matches[0])}\n`;
  text +=
    d.hash === null
      ? '  hash: none\n'
      : `  hash 0x${d.hash.toString(16).padStart(8, '0')} (${d.hashFunction}, ${d.hashType}), ` +
        `entry ${d.entry} of ${d.tableEntries}\n`;
  if (!explain) return text;
  if (d.isMalformed) text += '  the headers are truncated or contradict themselves: not hashed\n';
  if (d.isFragment)
    text += '  a fragment: hashed by its addresses, and filters with ports pass it by\n';
  d.matches.forEach((match, i) => {
    text +=
      i === 0 ? `  decides: ${target(match)}\n` : `  would also have matched: ${target(match)}\n`;
  });
  return text;
}

function percent(part: number, whole: number): string {
  return `${whole === 0 ? '0.0' : ((100 * part) / whole).toFixed(1)} %`;
}

/** The table of queues, the mechanisms, and what would even it out. */
export function formatSpread({ meter, key, weights, port }: SpreadReport): string {
  const kept = meter.packets - meter.dropped;
  let text = `${meter.packets} packets on port ${port}, ${meter.flowCount} flows spread by RSS\n`;
  for (const { queue, packets, bytes } of meter.queues)
    text += `  queue ${queue}: ${packets} packets (${percent(packets, kept)}), ${bytes} bytes\n`;
  if (meter.dropped > 0) text += `  dropped by a filter: ${meter.dropped}\n`;
  const by = [...meter.mechanisms].map(([name, count]) => `${name} ${count}`);
  text += `  decided by: ${by.join(', ')}\n`;
  text += `  skew: the busiest queue has ${meter.imbalance.toFixed(2)} times the mean\n`;
  const share = (value: number): string => `busiest queue ${(100 * value).toFixed(1)} %`;
  if (key !== null)
    text += `  a better key (${share(key.busiestShare)}):\n    ${keyCommand(port, key)}\n`;
  if (weights !== null)
    text += `  best weights (${share(weights.busiestShare)}):\n    ${weightCommand(port, weights)}\n`;
  if (key === null && weights === null && meter.imbalance > 1)
    text += '  no better key found, and no better weights: the busiest flows stay together\n';
  return text;
}

export function keyCommand(port: string, { key }: KeyRemedy): string {
  return `ethtool -X ${port} hkey ${key}`;
}

export function weightCommand(port: string, { weights }: WeightRemedy): string {
  return `ethtool -X ${port} weight ${weights.join(' ')}`;
}
