// flowtable stats: what each flowtable has counted since it was made, a counter a line as `ethtool -S` prints them: why `flow add`
// refused, why the fast path let packets go, what was asked of hardware, why flows ended. Every name is listed, also at 0.

import type { FlowTable } from '../../stack/netfilter/flowtable/flowtable.ts';

export function statsText(table: FlowTable): string {
  const { counters, settings, liveCount } = table;
  const all: [string, number][] = [
    ['flows', liveCount],
    ['added', counters.added],
    ...under('not-added', counters.refusedAdmission),
    ['fast-packets', counters.fastPackets],
    ['fast-bytes', counters.fastBytes],
    ...under('passed', counters.passed),
    ['hw-asked', counters.hwAsked],
    ['hw-not-asked:no-neighbour', counters.hwNoNeighbour],
    ['hw-installed', counters.hwInstalled],
    ['hw-one-direction', counters.hwPartly],
    ['hw-refused', counters.hwRefused],
    ...under('hw-refused', counters.hwRefusedBy),
    ['hw-deleted', counters.hwDeleted],
    ['hw-stats', counters.hwStats],
    ...under('ended', counters.removedBy),
    ['freed', counters.freed],
  ];
  const lines = all.map(([name, count]) => `     ${name}: ${count}\n`);
  return `${settings.name}:\n${lines.join('')}`;
}

function under(group: string, counts: Record<string, number>): [string, number][] {
  return Object.entries(counts).map(([name, count]) => [`${group}:${name}`, count]);
}
