// The run report's part about network namespaces: what each has at the end. Empty for a machine with one namespace.

import type { Netfilter } from '../stack/netfilter/index.ts';
import type { NetStack } from '../stack/net-stack.ts';
import type { NamespaceReport } from './run-report.ts';

/** One entry a namespace, the initial one (name '') first; none when there is no other. */
export function namespaceReports(stacks: readonly NetStack[]): NamespaceReport[] {
  if (stacks.length < 2) return [];
  return stacks.map((stack) => {
    const { conntrack, flowtables } = stack.netfilter as Netfilter;
    const report: NamespaceReport = {
      name: stack.namespaces?.nameOf(stack) ?? '',
      devices: stack.links.all().map((dev) => dev.name),
      connections: conntrack.liveIds().length,
      flows: 0,
      flowsInHardware: 0,
      fastPathPackets: 0,
    };
    for (const table of flowtables.list()) {
      report.fastPathPackets += table.counters.fastPackets;
      for (const flow of table.flows) {
        if (flow === null) continue;
        report.flows++;
        if (flow.hwDirections !== 0) report.flowsInHardware++;
      }
    }
    return report;
  });
}
