// Steps that the IP layer writes to a trace (hw/observer.ts TraceSink): numbers from 100 on (netfilter's own from 200 on,
// src/stack/netfilter/trace-steps.ts). The text given with a step names devices and addresses.

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

/** Name and meaning of each step and of its integers a and b (c is not used by the IP layer). */
export const TRACE_STEPS: Readonly<Record<TraceStep, { name: string; text: string }>> = {
  100: { name: 'receive', text: 'the stack takes a frame; a = ifindex, b = ethertype' },
  101: {
    name: 'vlan-receive',
    text: 'the tag leads to a VLAN device; a = its ifindex, b = VLAN id',
  },
  102: { name: 'hook', text: 'netfilter hooks of one point answered; a = hook, b = verdict' },
  103: {
    name: 'route',
    text: 'routing decision; a = egress ifindex, b = generation; text = type and next hop',
  },
  104: { name: 'local', text: 'delivered to this host; a = transport protocol or ethertype' },
  105: {
    name: 'forward',
    text: 'forwarded by the classic path; a = egress ifindex, b = TTL or hop limit',
  },
  106: {
    name: 'neigh-queued',
    text: 'waits for the address of its next hop; a = ifindex; text = next hop',
  },
  107: { name: 'xmit', text: 'given to the device; a = ifindex, b = frame length in bytes' },
  108: { name: 'drop', text: 'dropped; a = StackDrop; text = its name' },
  109: { name: 'fragment', text: 'cut into fragments; a = bytes of each at most, b = how many' },
  110: {
    name: 'reassembly',
    text: 'a = 0 fragment waits, 1 packet complete, 2 refused; b = bytes',
  },
  111: { name: 'icmp-sent', text: 'the host answers with an ICMP error; a = type, b = code' },
};
