// Steps that the IP layer writes to a trace (hw/observer.ts TraceSink): numbers from 100 on (netfilter's own from 200 on,
// src/stack/netfilter/trace-steps.ts). The text given with a step names devices and addresses.
// Names and fields of each are in src/report/trace-schema.ts.

export const TraceStep = {
  RECEIVE: 100,
  VLAN_RECEIVE: 101,
  HOOK: 102,
  ROUTE: 103,
  LOCAL: 104,
  FORWARD: 105,
  NEIGH_QUEUED: 106,
  XMIT: 107,
  DROP: 108,
  FRAGMENT: 109,
  REASSEMBLY: 110,
  ICMP_SENT: 111,
} as const;
export type TraceStep = (typeof TraceStep)[keyof typeof TraceStep];
